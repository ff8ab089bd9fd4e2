/* Pairs in the hands of software: what several backends do with them. */
#include "se/backend.h"

#include "crypto/agree.h"
#include "crypto/pkey.h"

static enum bst_pkey_kind kind_of(enum bst_key_type type)
{
    return type == BST_KEY_EC_P256   ? BST_PKEY_EC_P256
           : type == BST_KEY_EC_P384 ? BST_PKEY_EC_P384
                                     : BST_PKEY_ED25519;
}

bst_result bst_se_pair_load(const struct bst_key_attrs *attrs, const struct bst_secret *value,
                            struct evp_pkey_st **ret)
{
    bst_auto_pkey *pkey = NULL;
    enum bst_pkey_kind kind;
    struct bst_view bytes = bst_view_of(value->ptr, value->len);
    if (attrs->type == BST_KEY_X25519) {
        return bst_agree_key_load(BST_CURVE_X25519, bytes, ret);
    }
    BST_TRY(bst_pkey_load(bytes, &pkey));
    BST_TRY(bst_pkey_kind(pkey, &kind));
    if (kind != kind_of(attrs->type)) {
        BST_FAIL(BST_E_BAD_KEY, "key '%s' is %s, not %s", attrs->label, bst_pkey_kind_name(kind),
                 bst_pkey_kind_name(kind_of(attrs->type)));
    }
    *ret = bst_steal(&pkey);
    return BST_OK;
}

bst_result bst_se_pair_generate(enum bst_key_type type, struct evp_pkey_st **ret)
{
    return type == BST_KEY_X25519 ? bst_agree_key_generate(BST_CURVE_X25519, ret)
                                  : bst_pkey_generate(kind_of(type), ret);
}

struct bst_view bst_se_leftmost(enum bst_key_type type, struct bst_view tbs)
{
    size_t max = type == BST_KEY_EC_P256   ? BST_SHA256_BYTES
                 : type == BST_KEY_EC_P384 ? BST_SHA384_BYTES
                                           : tbs.len;
    return bst_view_of(tbs.ptr, tbs.len < max ? tbs.len : max);
}
