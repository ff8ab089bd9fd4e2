/* ML-KEM-768 (FIPS 203) for protection schemes that are still to be standardised.
 *
 * Computed by OpenSSL from release 3.5, else by PQClean's code when the build found it; what both
 * leave unchecked in keys from outside is checked here. */
#pragma once

#include "base/text.h"

#define BST_KEM_SEED_BYTES 64 /* d, then z */
#define BST_KEM_EK_BYTES 1184
#define BST_KEM_DK_BYTES 2400
#define BST_KEM_CIPHERTEXT_BYTES 1088
#define BST_KEM_SHARED_BYTES 32
#define BST_KEM_RANDOM_BYTES 32 /* m of FIPS 203, 7.2 */

/** "OpenSSL", "PQClean", or NULL when this build has none; every call then fails. */
const char *bst_kem_provider(void);

/** Both keys from a seed.
 * @error BST_E_NOT_IMPLEMENTED  there is no provider  @error BST_E_BAD_KEY  not 64 bytes
 * @clause FIPS 203 7.1 */
bst_result bst_kem_keygen(struct bst_view seed, uint8_t ek[BST_KEM_EK_BYTES],
                          struct bst_secret *ret_dk);
/** A decapsulation key from outside: a seed of 64 bytes, or the expanded form, whose length, hash
 * and coefficients are checked (FIPS 203 7.3). Comes out expanded.
 * @error BST_E_BAD_KEY */
bst_result bst_kem_dk_load(struct bst_view key, struct bst_secret *ret_dk);
/** The encapsulation key inside an expanded decapsulation key. */
struct bst_view bst_kem_ek_of(struct bst_view dk);
/** Length, and every coefficient below 3329.
 * @error BST_E_BAD_KEY  @clause FIPS 203 7.2 */
bst_result bst_kem_ek_check(struct bst_view ek);

/** Encapsulate to a key, which is checked.
 * @param m  32 bytes of randomness; empty draws them. Given ones serve published vectors. */
bst_result bst_kem_encapsulate(struct bst_view ek, struct bst_view m,
                               uint8_t ciphertext[BST_KEM_CIPHERTEXT_BYTES],
                               uint8_t shared[BST_KEM_SHARED_BYTES]);
/** Open a ciphertext with a key that bst_kem_dk_load() gave. A ciphertext that was changed gives a
 * pseudo-random secret, not a failure (implicit rejection).
 * @error BST_E_VALUE  not 1088 bytes  @clause FIPS 203 7.3 */
bst_result bst_kem_decapsulate(struct bst_view dk, struct bst_view ciphertext,
                               uint8_t shared[BST_KEM_SHARED_BYTES]);
