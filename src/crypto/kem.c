/* ML-KEM-768: the checks of FIPS 203 on keys and ciphertexts from outside, in front of what
 * computes. */
#include "crypto/kem_priv.h"

#include "crypto/rand.h"
#include "crypto/sha3.h"

#define MODULUS 3329
/* An expanded key is the secret vector, the encapsulation key, its hash, and z. */
#define EK_AT 1152
#define HASH_AT (EK_AT + BST_KEM_EK_BYTES)
#define VECTOR_BYTES 1152 /* of an encapsulation key: coefficients of 12 bits; rho follows */

const char *bst_kem_provider(void)
{
    return bst_kem_backend.name;
}

static bst_result check_provider(void)
{
    if (!bst_kem_backend.name) {
        BST_FAIL(BST_E_NOT_IMPLEMENTED,
                 "this build has no ML-KEM-768: it wants OpenSSL 3.5, or PQClean when it is built "
                 "(tools/bootstrap fetches it where there is npm)");
    }
    return BST_OK;
}

bst_result bst_kem_ek_check(struct bst_view ek)
{
    const uint8_t *in = (const uint8_t *)ek.ptr;
    if (ek.len != BST_KEM_EK_BYTES) {
        BST_FAIL(BST_E_BAD_KEY, "an ML-KEM-768 encapsulation key has %d bytes, this one has %zu",
                 BST_KEM_EK_BYTES, ek.len);
    }
    for (size_t i = 0; i < VECTOR_BYTES; i += 3) {
        unsigned low = in[i] | (in[i + 1] & 0x0fu) << 8;
        unsigned high = in[i + 1] >> 4 | (unsigned)in[i + 2] << 4;
        if (low >= MODULUS || high >= MODULUS) {
            BST_FAIL(BST_E_BAD_KEY, "a coefficient of the encapsulation key is not below %d",
                     MODULUS);
        }
    }
    return BST_OK;
}

bst_result bst_kem_keygen(struct bst_view seed, uint8_t ek[BST_KEM_EK_BYTES],
                          struct bst_secret *ret_dk)
{
    bst_auto(secret) dk = {0};
    BST_TRY(check_provider());
    if (seed.len != BST_KEM_SEED_BYTES) {
        BST_FAIL(BST_E_BAD_KEY, "a seed of ML-KEM-768 has %d bytes, this one has %zu",
                 BST_KEM_SEED_BYTES, seed.len);
    }
    BST_TRY(bst_secret_init(&dk, BST_KEM_DK_BYTES));
    BST_TRY(bst_kem_backend.keygen((const uint8_t *)seed.ptr, ek, dk.ptr));
    *ret_dk = dk;
    dk = (struct bst_secret){0};
    return BST_OK;
}

struct bst_view bst_kem_ek_of(struct bst_view dk)
{
    return bst_view_of(dk.ptr + EK_AT, BST_KEM_EK_BYTES);
}

/* [FIPS 203, 7.3] The hash ties the two halves together; a wrong one would make every
 * decapsulation give a pseudo-random secret. */
static bst_result check_expanded(struct bst_view dk)
{
    uint8_t hash[BST_SHA3_256_BYTES];
    const struct bst_view ek = bst_kem_ek_of(dk);
    BST_TRY(bst_sha3_256(&ek, 1, hash));
    if (!bst_equal_ct(hash, dk.ptr + HASH_AT, sizeof hash)) {
        BST_FAIL(BST_E_BAD_KEY, "the hash inside the decapsulation key does not match");
    }
    return bst_kem_ek_check(ek);
}

bst_result bst_kem_dk_load(struct bst_view key, struct bst_secret *ret_dk)
{
    uint8_t ek[BST_KEM_EK_BYTES];
    BST_TRY(check_provider());
    if (key.len == BST_KEM_SEED_BYTES) {
        return bst_kem_keygen(key, ek, ret_dk);
    }
    if (key.len != BST_KEM_DK_BYTES) {
        BST_FAIL(BST_E_BAD_KEY,
                 "a private ML-KEM-768 key is a seed of %d bytes or expanded to %d, this one has "
                 "%zu",
                 BST_KEM_SEED_BYTES, BST_KEM_DK_BYTES, key.len);
    }
    BST_TRY(check_expanded(key));
    return bst_secret_copy(ret_dk, key.ptr, key.len);
}

bst_result bst_kem_encapsulate(struct bst_view ek, struct bst_view m,
                               uint8_t ciphertext[BST_KEM_CIPHERTEXT_BYTES],
                               uint8_t shared[BST_KEM_SHARED_BYTES])
{
    bst_auto(secret) random = {0};
    BST_TRY(check_provider());
    BST_TRY(bst_kem_ek_check(ek));
    BST_ENSURE(m.len == 0 || m.len == BST_KEM_RANDOM_BYTES, BST_E_VALUE);
    BST_TRY(bst_secret_init(&random, BST_KEM_RANDOM_BYTES));
    if (m.len) {
        memcpy(random.ptr, m.ptr, m.len);
    } else {
        BST_TRY(bst_random(random.ptr, random.len));
    }
    return bst_kem_backend.encapsulate((const uint8_t *)ek.ptr, random.ptr, ciphertext, shared);
}

bst_result bst_kem_decapsulate(struct bst_view dk, struct bst_view ciphertext,
                               uint8_t shared[BST_KEM_SHARED_BYTES])
{
    BST_TRY(check_provider());
    BST_ENSURE(dk.len == BST_KEM_DK_BYTES, BST_E_BAD_KEY);
    if (ciphertext.len != BST_KEM_CIPHERTEXT_BYTES) {
        BST_FAIL(BST_E_VALUE, "a ciphertext of ML-KEM-768 has %d bytes, this one has %zu",
                 BST_KEM_CIPHERTEXT_BYTES, ciphertext.len);
    }
    return bst_kem_backend.decapsulate((const uint8_t *)dk.ptr, (const uint8_t *)ciphertext.ptr,
                                       shared);
}
