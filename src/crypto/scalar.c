/* The bare private number of a key, as tokens import it. */
#include "crypto/crypto_priv.h"
#include "crypto/extkey_priv.h"
#include "crypto/pkey.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>

BST_OSSL_AUTO(BIGNUM, number, BN_clear_free)

static bool read_scalar(const struct evp_pkey_st *pkey, enum bst_pkey_kind kind,
                        struct bst_secret *out)
{
    if (kind == BST_PKEY_ED25519) {
        size_t len = out->len;
        return EVP_PKEY_get_raw_private_key(pkey, out->ptr, &len) == 1 && len == out->len;
    }
    BST_HEAP_MARKED;
    bst_auto_ossl(number) BIGNUM *number = NULL;
    return EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_PRIV_KEY, &number) == 1 &&
           BN_bn2binpad(number, out->ptr, (int)out->len) == (int)out->len;
}

bst_result bst_pkey_scalar(const struct evp_pkey_st *pkey, struct bst_secret *ret)
{
    enum bst_pkey_kind kind;
    bst_auto(secret) out = {0};
    if (bst_extkey_is(pkey)) {
        BST_FAIL(BST_E_BAD_KEY, "the private half of this key is in a secure environment");
    }
    BST_TRY(bst_pkey_kind(pkey, &kind));
    BST_TRY(bst_secret_init(&out, kind == BST_PKEY_EC_P384 ? 48 : 32));
    if (!read_scalar(pkey, kind, &out)) {
        return bst_crypto_fail(BST_E_BAD_KEY, "the key has no private half");
    }
    *ret = out;
    out = (struct bst_secret){0};
    return BST_OK;
}
