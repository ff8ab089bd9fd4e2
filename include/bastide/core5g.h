/* 5G security algorithms for a core network, a test lab or a SIM maker: concealed identities,
 * authentication vectors, the device's side of both, key derivation, air interface.
 *
 * No network, no store, no clock. Keys of home network and subscribers are in a secure environment
 * and do not come out; where sequence numbers are kept is the caller's. Link with
 * `pkg-config bastide-core5g`. */
#pragma once

#include <bastide/result.h>

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BST_CORE5G_SUPI_MAX 300 /* characters with the closing NUL */
#define BST_CORE5G_SUCI_MAX 8192
#define BST_CORE5G_PUBLIC_MAX 1216 /* octets of a home network key */

/** Keys of one home network, or of one device. Calls that change keys are for one thread, without
 * others beside them; all the others may run on any number of threads. */
struct bst_core5g;

/** @param uri      secure environment: "se:soft" keeps nothing, "se:soft?dir=PATH" a folder
 *  @param wall_us  microseconds since 1970 */
bst_result bst_core5g_open(const char *uri, int64_t (*wall_us)(void), struct bst_core5g **ret);
void bst_core5g_close(struct bst_core5g **core);

/* ---- concealed identities (TS 33.501 6.12, Annex C) ---- */

/** Make or import a home network key.
 *
 * @param scheme       "A", "B"; "mlkem768" and "x25519-mlkem768" are experimental
 * @param private_key  raw, hexadecimal, PEM or DER; empty: a new one
 * @error BST_E_EXISTS  the identifier has a key already */
bst_result bst_core5g_home_key(struct bst_core5g *core, const char *scheme, uint8_t id,
                               struct bst_view private_key);
/** Its public half as devices get it.
 * @error BST_E_NOT_FOUND */
bst_result bst_core5g_home_public(const struct bst_core5g *core, uint8_t id,
                                  uint8_t out[BST_CORE5G_PUBLIC_MAX], size_t *ret_len);
/** Remove it for good. */
bst_result bst_core5g_home_key_remove(struct bst_core5g *core, uint8_t id);

/** Conceal, as a device does; needs no environment.
 *
 * @param supi        "imsi-..." with an MNC of `mnc_digits` digits, or "nai-..."
 * @param public_key  raw, hexadecimal, for A and B also PEM or DER; empty for the scheme "null"
 * @param ret_suci    "suci-0-..." or "suci-1-..." with a closing NUL */
bst_result bst_core5g_conceal(const char *supi, unsigned mnc_digits, const char *scheme, uint8_t id,
                              struct bst_view public_key, char ret_suci[BST_CORE5G_SUCI_MAX]);
/** Reveal, as the home network does. The null scheme is refused.
 * @error BST_E_CREDENTIAL  it does not open, whatever the reason is */
bst_result bst_core5g_reveal(const struct bst_core5g *core, const char *suci,
                             char ret_supi[BST_CORE5G_SUPI_MAX]);

/* ---- authentication (TS 33.501 6.1, TS 33.102) ---- */

/** Import a subscriber's keys: a JSON object with "algorithm" (milenage, tuak, milenage256), "k",
 * and "opc" or "op", in hexadecimal. Wipe `keys` afterwards.
 * @error BST_E_EXISTS  there are some of this subscriber */
bst_result bst_core5g_subscriber(struct bst_core5g *core, const char *supi, struct bst_view keys);

/** What a vector is made from. One SQN is used once. */
struct bst_core5g_challenge {
    uint8_t rand[16], sqn[6];
};
struct bst_core5g_vector {
    uint8_t rand[16], autn[16], xres_star[16], hxres_star[16], kausf[32];
};
/** Vectors of one subscriber for 5G AKA, in one use of its key.
 *
 * @param sn_name  "5G:mnc001.mcc001.3gppnetwork.org"
 * @error BST_E_NOT_FOUND  no such subscriber */
bst_result bst_core5g_vectors(const struct bst_core5g *core, const char *supi, const char *sn_name,
                              const struct bst_core5g_challenge *challenges, size_t n,
                              struct bst_core5g_vector *ret);
/** The number of a device from its AUTS.
 * @error BST_E_BAD_MAC  not an answer of this subscriber to this RAND */
bst_result bst_core5g_auts(const struct bst_core5g *core, const char *supi, const uint8_t rand[16],
                           const uint8_t auts[14], uint8_t ret_sqn[6]);

/** Highest numbers that a device has accepted; keep it before the answer is sent. */
struct bst_core5g_device {
    uint64_t accepted[32];
};
enum bst_core5g_verdict {
    BST_CORE5G_ACCEPTED,
    BST_CORE5G_MAC_FAILURE,  /* AUTN is not from the home network */
    BST_CORE5G_NOT_5G,       /* the separation bit is 0 */
    BST_CORE5G_SYNC_FAILURE, /* authentic but not fresh: `auts` is for the home network */
};
struct bst_core5g_answer {
    enum bst_core5g_verdict verdict;
    uint8_t res_star[16], kausf[32]; /* accepted */
    uint8_t auts[14];                /* synchronisation failure */
};
/** Answer a challenge, as a USIM does; `device` changes when it is accepted. */
bst_result bst_core5g_answer(const struct bst_core5g *core, const char *supi, const char *sn_name,
                             const uint8_t rand[16], const uint8_t autn[16],
                             struct bst_core5g_device *device, struct bst_core5g_answer *ret);

/* ---- keys (TS 33.501 Annex A) ---- */

/** Derive by a clause of Annex A: "A.2" to "A.23" without A.5.
 *
 * @param ret_len  32, or 16 where the clause takes the last 128 bits
 * @error BST_E_VALUE  no such clause, or a key or parameter of another length than it gives */
bst_result bst_core5g_derive(const char *clause, struct bst_view key, const struct bst_view *params,
                             size_t n, uint8_t out[32], size_t *ret_len);

/* ---- air interface (TS 33.501 Annex D) ---- */

/** Where a message belongs: what makes its IV besides the key. */
struct bst_core5g_place {
    uint32_t count;
    uint8_t bearer; /* radio bearer identity - 1 */
    bool downlink;
};
/** Encipher or decipher with NEA1 to NEA6. `in` and `out` may be the same. */
bst_result bst_core5g_cipher(const char *algorithm, struct bst_view key,
                             const struct bst_core5g_place *place, struct bst_view in,
                             uint8_t *out);
/** Tag of 32 bits with NIA1 to NIA6... */
bst_result bst_core5g_mac(const char *algorithm, struct bst_view key,
                          const struct bst_core5g_place *place, struct bst_view in,
                          uint8_t ret_tag[4]);
/** ... and whether one is right, in the same time for every tag.
 * @error BST_E_BAD_MAC */
bst_result bst_core5g_mac_check(const char *algorithm, struct bst_view key,
                                const struct bst_core5g_place *place, struct bst_view in,
                                const uint8_t tag[4]);

#ifdef __cplusplus
}
#endif
