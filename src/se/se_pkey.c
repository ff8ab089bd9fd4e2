/* A key of the secure environment as an EVP_PKEY, through the provider of crypto. */
#include "se/se.h"

#include "crypto/extkey.h"
#include "se/se_priv.h"

struct inside_key {
    struct bst_se *se;
    bst_key key;
};

static bst_result inside_sign(void *ctx, enum bst_md md, struct bst_view tbs, uint8_t *out,
                              size_t *ret_len)
{
    struct inside_key *inside = ctx;
    return bst_se_sign_raw(inside->se, inside->key, md, tbs, out, ret_len);
}

static void inside_release(void *ctx)
{
    struct inside_key *inside = ctx;
    bst_se_close(&inside->se);
    bst_free(inside);
}

static const struct bst_extkey_ops inside_ops = {inside_sign, inside_release};

bst_result bst_se_pkey(struct bst_se *se, bst_key key, struct evp_pkey_st **ret)
{
    struct bst_key_info info;
    BST_TRY(bst_se_key_info(se, key, &info));
    if (!(info.attrs.uses & BST_KEY_USE_SIGN)) {
        BST_FAIL(BST_E_SE_USAGE, "key '%s' may not be used for signing", info.label);
    }
    bst_auto(buf) spki = {0};
    BST_TRY(bst_se_key_public(se, key, &spki));
    struct inside_key *inside = bst_alloc(sizeof *inside);
    BST_ENSURE(inside, BST_E_NOMEM);
    inside->key = key;
    bst_result held = bst_se_hold(se, &inside->se);
    if (bst_failed(held)) {
        bst_free(inside);
        return held;
    }
    return bst_extkey_new(&inside_ops, inside, bst_buf_view(&spki), ret);
}
