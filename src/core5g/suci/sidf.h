/* The subscription identifier de-concealing function: home network keys by id, and what they open.
 *
 * Private keys are objects of the secure environment with the label
 * "suci.hn.<key id>.<scheme>.<start of validity>"; their end of validity is the environment's. */
#pragma once

#include "core5g/suci/suci.h"

enum bst_hn_state {
    BST_HN_PENDING,     /* its validity has not begun */
    BST_HN_ACTIVE,      /* the newest valid one of its scheme: give this to devices */
    BST_HN_ACCEPT_ONLY, /* an older one, for devices that have not changed yet */
    BST_HN_EXPIRED,
};
const char *bst_hn_state_name(enum bst_hn_state state);

struct bst_hn_key {
    uint8_t id, scheme;
    int64_t from_us, until_us; /* wall; until 0: no end */
    enum bst_hn_state state;
    int level; /* protection level, 0..3 */
    bst_key key;
    uint8_t public_key[BST_SUCI_PUBLIC_MAX]; /* as it travels */
};

/** What a new key is to be. */
struct bst_hn_wish {
    uint8_t id, scheme;
    int64_t from_us, until_us;
    struct bst_view private_key; /* raw, hexadecimal, PEM or DER; empty: a new one */
    bool temporary;              /* gone when the environment is closed */
};
/** Make or import a home network key.
 * @error BST_E_EXISTS  this id has a key already: ids are not used again */
bst_result bst_hn_key_add(struct bst_se *se, const struct bst_hn_wish *wish);
/** Revoke: from now on nothing is opened with it. BST_E_NOT_FOUND. */
bst_result bst_hn_key_remove(struct bst_se *se, uint8_t id);

#define BST_HN_KEYS_MAX 256
/** The home network's keys at one moment. Reading it needs no lock; a change of keys wants a new
 * one. */
struct bst_sidf {
    struct bst_se *se;
    int64_t (*wall_us)(void);
    bool allow_null; /* the null scheme hides nothing; off unless policy wants it */
    struct bst_hn_key keys[BST_HN_KEYS_MAX]; /* by id */
    size_t n;
};
bst_result bst_sidf_init(struct bst_sidf *sidf, struct bst_se *se, int64_t (*wall_us)(void));
/** The key for new devices, NULL when there is none. */
const struct bst_hn_key *bst_sidf_active(const struct bst_sidf *sidf, uint8_t scheme);

/** Open a SUCI.
 *
 * The reason of a refusal goes to the log only: to the outside an unknown key, a wrong tag, a bad
 * point and malformed digits are the same.
 *
 * @error BST_E_CREDENTIAL  it does not open
 * @error BST_E_BUSY, BST_E_SE_BLOCKED  the environment is gone or blocked, whatever the SUCI is
 * @clause TS 33.501 6.12.5, C.3.3 */
bst_result bst_sidf_reveal(const struct bst_sidf *sidf, const struct bst_suci *suci,
                           struct bst_supi *ret);
