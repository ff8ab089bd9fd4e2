/* A secret for the holder of a P-256 key: ephemeral ECDH, HKDF-SHA-256 over both public keys, GCM.
 */
#include "crypto/aead.h"
#include "crypto/crypto_priv.h"
#include "crypto/pkey.h"

#define ECIES_VERSION 1
#define SPKI_BYTES 91 /* of every uncompressed P-256 key, so a point is its last 65 bytes */
#define POINT_BYTES 65
#define PLAIN_MAX 65536

static bst_result p256_spki(struct evp_pkey_st *pkey, struct bst_buf *ret)
{
    enum bst_pkey_kind kind;
    BST_TRY(bst_pkey_kind(pkey, &kind));
    if (kind != BST_PKEY_EC_P256) {
        BST_FAIL(BST_E_BAD_KEY, "the recipient's key is %s; it must be EC P-256",
                 bst_pkey_kind_name(kind));
    }
    BST_TRY(bst_pkey_spki(pkey, ret));
    if (ret->len != SPKI_BYTES) {
        BST_FAIL(BST_E_BAD_KEY, "the recipient's public key is not in the uncompressed form");
    }
    return BST_OK;
}

static struct bst_view point_of(const struct bst_buf *spki)
{
    return bst_view_of(spki->ptr + SPKI_BYTES - POINT_BYTES, POINT_BYTES);
}

/* Both public keys go into the derivation: a blob belongs to one exchange only. */
static bst_result blob_key(const struct bst_secret *shared, struct bst_view ephemeral,
                           struct bst_view recipient, struct bst_secret *ret)
{
    char salt[2 * POINT_BYTES];
    memcpy(salt, ephemeral.ptr, POINT_BYTES);
    memcpy(salt + POINT_BYTES, recipient.ptr, POINT_BYTES);
    bst_auto(secret) key = {0};
    BST_TRY(bst_secret_init(&key, BST_AEAD_KEY_BYTES));
    BST_TRY(bst_hkdf_sha256(bst_view_of(salt, sizeof salt), bst_view_of(shared->ptr, shared->len),
                            BST_VIEW("bastide ecies v1"), key.ptr, key.len));
    *ret = key;
    key = (struct bst_secret){0};
    return BST_OK;
}

bst_result bst_ecies_seal(struct bst_view recipient_spki, struct bst_view info, struct bst_view in,
                          struct bst_buf *ret)
{
    BST_ENSURE(in.len <= PLAIN_MAX, BST_E_TOO_LONG);
    bst_auto_pkey *recipient = NULL, *ephemeral = NULL;
    bst_auto(buf) recipient_der = {0}, ephemeral_der = {0};
    BST_TRY(bst_pkey_load_public(recipient_spki, &recipient));
    BST_TRY(p256_spki(recipient, &recipient_der));
    BST_TRY(bst_pkey_generate(BST_PKEY_EC_P256, &ephemeral));
    BST_TRY(bst_pkey_spki(ephemeral, &ephemeral_der));
    bst_auto(secret) shared = {0}, key = {0};
    BST_TRY(bst_pkey_agree(ephemeral, bst_buf_view(&recipient_der), &shared));
    BST_TRY(blob_key(&shared, point_of(&ephemeral_der), point_of(&recipient_der), &key));
    bst_auto(buf) blob = {0};
    bst_buf_addc(&blob, ECIES_VERSION);
    bst_buf_addv(&blob, point_of(&ephemeral_der));
    BST_TRY(bst_buf_check(&blob));
    BST_TRY(bst_aead_seal(bst_view_of(key.ptr, key.len), info, in, &blob));
    bst_buf_addv(ret, bst_buf_view(&blob));
    return bst_buf_check(ret);
}

static bst_result check_blob(struct bst_view blob)
{
    if (blob.len < 1 + POINT_BYTES + BST_AEAD_OVERHEAD) {
        BST_FAIL(BST_E_TRUNCATED, "%zu bytes are fewer than any encrypted key has", blob.len);
    }
    if (blob.ptr[0] != ECIES_VERSION) {
        BST_FAIL(BST_E_VERSION, "encrypted key format %u is not known to this version",
                 (unsigned)(uint8_t)blob.ptr[0]);
    }
    return BST_OK;
}

bst_result bst_ecies_open_outside(struct bst_view recipient_spki,
                                  bst_result (*agree)(void *ctx, struct bst_view point,
                                                      struct bst_secret *ret),
                                  void *ctx, struct bst_view info, struct bst_view blob,
                                  struct bst_secret *ret)
{
    bst_auto_pkey *recipient = NULL, *ephemeral = NULL;
    bst_auto(buf) recipient_der = {0}, ephemeral_der = {0};
    BST_TRY(check_blob(blob));
    BST_TRY(bst_pkey_load_public(recipient_spki, &recipient));
    BST_TRY(p256_spki(recipient, &recipient_der));
    bst_buf_add(&ephemeral_der, recipient_der.ptr, SPKI_BYTES - POINT_BYTES);
    bst_buf_add(&ephemeral_der, blob.ptr + 1, POINT_BYTES);
    BST_TRY(bst_buf_check(&ephemeral_der));
    /* Loading checks that the point is on the curve: not every token does. */
    BST_TRY(bst_pkey_load_public(bst_buf_view(&ephemeral_der), &ephemeral));
    bst_auto(secret) shared = {0}, key = {0};
    BST_TRY(agree(ctx, point_of(&ephemeral_der), &shared));
    BST_TRY(blob_key(&shared, point_of(&ephemeral_der), point_of(&recipient_der), &key));
    return bst_aead_open_secret(bst_view_of(key.ptr, key.len), info,
                                bst_view_from(blob, 1 + POINT_BYTES), ret);
}

bst_result bst_ecies_open(struct evp_pkey_st *recipient, struct bst_view info, struct bst_view blob,
                          struct bst_secret *ret)
{
    bst_auto(buf) recipient_der = {0}, ephemeral_der = {0};
    BST_TRY(check_blob(blob));
    BST_TRY(p256_spki(recipient, &recipient_der));
    bst_buf_add(&ephemeral_der, recipient_der.ptr, SPKI_BYTES - POINT_BYTES);
    bst_buf_add(&ephemeral_der, blob.ptr + 1, POINT_BYTES);
    BST_TRY(bst_buf_check(&ephemeral_der));
    bst_auto(secret) shared = {0}, key = {0};
    BST_TRY(bst_pkey_agree(recipient, bst_buf_view(&ephemeral_der), &shared));
    BST_TRY(blob_key(&shared, point_of(&ephemeral_der), point_of(&recipient_der), &key));
    return bst_aead_open_secret(bst_view_of(key.ptr, key.len), info,
                                bst_view_from(blob, 1 + POINT_BYTES), ret);
}
