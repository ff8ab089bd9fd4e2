/* RFC 5705 exports, TS-0003 10.3.1. */
#include "tls/tls_priv.h"

#define EXPORT_BYTES 48

static bst_result export_48(struct bst_tls *t, const char *label, uint8_t out[EXPORT_BYTES])
{
    if (t->hs) {
        BST_FAIL(BST_E_HANDSHAKE, "no key can be exported before the handshake is complete");
    }
    if (!t->peer.extended_master_secret) {
        BST_FAIL(BST_E_HANDSHAKE,
                 "the peer's TLS 1.2 lacks the extended master secret (RFC 7627): "
                 "keys exported from this session could be known to a third party");
    }
    ERR_clear_error();
    /* No context: in TLS 1.2 an absent one and an empty one give different values. */
    if (SSL_export_keying_material(t->ssl, out, EXPORT_BYTES, label, strlen(label), NULL, 0, 0) !=
        1) {
        return bst_tls_openssl_error("key export");
    }
    return BST_OK;
}

bst_result bst_tls_export(struct bst_tls *t, const char *label, struct bst_secret *ret)
{
    bst_auto(secret) all = {0};
    BST_TRY(bst_secret_init(&all, EXPORT_BYTES));
    BST_TRY(export_48(t, label, all.ptr));
    *ret = all;
    all = (struct bst_secret){0};
    return BST_OK;
}

bst_result bst_tls_export_id(struct bst_tls *t, const char *label, uint8_t ret_id[16])
{
    bst_auto(secret) all = {0};
    BST_TRY(bst_tls_export(t, label, &all));
    memcpy(ret_id, all.ptr, 16);
    return BST_OK;
}

bst_result bst_tls_export_key(struct bst_tls *t, const char *label, struct bst_se *se,
                              const struct bst_key_attrs *attrs, bst_key *ret)
{
    bst_auto(secret) all = {0};
    uint8_t id[16];
    BST_TRY(bst_tls_export(t, label, &all));
    return bst_se_import_export(se, attrs, all.ptr, id, ret);
}
