/* The subscription concealed identifier and its protection schemes.
 *
 * Device side: bst_suci_conceal(). Home network side: sidf.h, over keys that stay in the secure
 * environment. The schemes are one table (schemes.c); whoever adds one adds a row. */
#pragma once

#include "core5g/suci/supi.h"
#include "crypto/agree.h"
#include "se/se.h"

#define BST_SUCI_OUTPUT_MAX (3000 + BST_NAI_MAX) /* TS 33.501 C.1 */
#define BST_SUCI_KEY_ID_MAX 254                  /* 255 is reserved */
#define BST_SUCI_PUBLIC_MAX 1216                 /* of a home network key */

enum {
    BST_SUCI_NULL = 0,
    BST_SUCI_PROFILE_A = 1,
    BST_SUCI_PROFILE_B = 2,
    /* Post-quantum schemes have no numbers yet: these are in the range of the operators (12 to 15),
     * and change here when there are some. */
    BST_SUCI_MLKEM768 = 12,
    BST_SUCI_X25519_MLKEM768 = 13,
};

struct bst_suci {
    enum bst_supi_type type;
    char mcc[4], mnc[4];         /* IMSI */
    char realm[BST_NAI_MAX + 1]; /* NAI */
    char routing[5];             /* 1 to 4 digits */
    uint8_t scheme, key_id;
    struct bst_buf output; /* scheme output in octets, in every form of writing */
};
void bst_suci_clear(struct bst_suci *suci);

/* ---- forms of writing ---- */

/** "suci-0-<mcc>-<mnc>-<rid>-<scheme>-<key id>-<output>", "suci-1-<realm>-...", or the NAI form
 * "type1.rid<n>.schid<n>...@<realm>". The scheme is one hexadecimal digit, the key id decimal
 * without leading zeros. A text with more than one reading is refused.
 * @clause TS 29.571 5.3.2, TS 23.003 2.2B, 28.7.3 */
bst_result bst_suci_parse(struct bst_view text, struct bst_suci *ret);
/** The first form, appended. */
bst_result bst_suci_format(const struct bst_suci *suci, struct bst_buf *ret);
/** The NAI form of an NAI, appended. */
bst_result bst_suci_format_nai(const struct bst_suci *suci, struct bst_buf *ret);
/** The 5GS mobile identity information element from its octet 4.
 * @clause TS 24.501 9.11.3.4 */
bst_result bst_suci_parse_nas(struct bst_view octets, struct bst_suci *ret);
bst_result bst_suci_format_nas(const struct bst_suci *suci, struct bst_buf *ret);

/* ---- schemes ---- */

struct bst_suci_scheme {
    uint8_t id;
    const char *name; /* "null", "A", "B", "mlkem768", "x25519-mlkem768" */
    bool keyed;
    bool ecies;                 /* profile A or B: NAI form with the labels ecckey, cip, mac */
    bool hybrid;                /* X25519 beside ML-KEM */
    enum bst_curve curve;       /* of ECIES, and of the classical half of a hybrid */
    enum bst_key_type key_type; /* of its private keys in a secure environment */
    uint32_t key_uses;
    size_t public_bytes; /* of a home network key as it travels */
    size_t overhead;     /* output is longer than the input by this */
    /** @param ephemeral  key pair to use, NULL for a fresh one; a given one serves published
     * vectors */
    bst_result (*conceal)(const struct bst_suci_scheme *scheme, struct bst_view public_key,
                          struct evp_pkey_st *ephemeral, struct bst_view input,
                          struct bst_buf *ret);
    bst_result (*reveal)(const struct bst_suci_scheme *scheme, struct bst_se *se, bst_key key,
                         struct bst_view output, struct bst_buf *ret);

    /* ---- home network keys; NULL for the null scheme ---- */

    /** A public key from a file to the form that travels; refused when it is not a good one. */
    bst_result (*read_public)(const struct bst_suci_scheme *scheme, struct bst_view text,
                              uint8_t out[BST_SUCI_PUBLIC_MAX]);
    /** A private key from a file to what a secure environment imports. An empty text: a new one,
     * for a scheme whose keys no environment makes by itself. */
    bst_result (*read_private)(const struct bst_suci_scheme *scheme, struct bst_view text,
                               struct bst_secret *ret);
    bool made_inside; /* the environment makes new keys by itself */
    /** The public half of a key inside. */
    bst_result (*public_of)(const struct bst_suci_scheme *scheme, struct bst_se *se, bst_key key,
                            uint8_t out[BST_SUCI_PUBLIC_MAX]);
};
/** NULL when this build does not have it. */
const struct bst_suci_scheme *bst_suci_scheme(uint8_t id);
const struct bst_suci_scheme *bst_suci_scheme_named(struct bst_view name);
/** The n-th row, NULL at the end. */
const struct bst_suci_scheme *bst_suci_scheme_at(size_t n);

/** Z and the 64 octets of key data (encryption 16, counter 16, MAC 32) of one ECIES exchange.
 * @clause TS 33.501 C.3.2, C.3.4 */
#define BST_SUCI_KEY_DATA_BYTES 64
bst_result bst_suci_key_data(enum bst_curve curve, struct evp_pkey_st *key, struct bst_view point,
                             struct bst_view ephemeral_point, struct bst_secret *ret_z,
                             struct bst_secret *ret_data);

/* ---- device side ---- */

/** What a home network gives to its subscribers. */
struct bst_suci_home {
    uint8_t scheme, key_id;
    uint8_t public_key[BST_SUCI_PUBLIC_MAX];
    char routing[5]; /* "" is "0" */
};
/** Conceal a SUPI under a fresh ephemeral key.
 * @clause TS 33.501 6.12.2, C.3.2 */
bst_result bst_suci_conceal(const struct bst_supi *supi, const struct bst_suci_home *home,
                            struct bst_suci *ret);
