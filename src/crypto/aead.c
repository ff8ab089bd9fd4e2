/* AES-256-GCM blobs and the chunked form for large content. */
#include "crypto/aead.h"

#include "crypto/crypto_priv.h"
#include "crypto/rand.h"

#include <limits.h>

#define BLOB_VERSION 1
#define NONCE_BYTES 12
#define TAG_BYTES 16
#define BLOB_HEAD (1 + NONCE_BYTES)

/* One sealing or opening. */
struct gcm_call {
    struct bst_view key, nonce, aad, in;
    bool seal;
};

static bool gcm_feed(EVP_CIPHER_CTX *ctx, struct bst_view aad)
{
    int len;
    return aad.len == 0 ||
           EVP_CipherUpdate(ctx, NULL, &len, (const uint8_t *)aad.ptr, (int)aad.len) == 1;
}

/* `out` takes in.len bytes; `tag` is written by sealing, read by opening. */
static bst_result gcm(const struct gcm_call *call, uint8_t *out, uint8_t tag[TAG_BYTES])
{
    const struct bst_crypto *crypto;
    BST_TRY(bst_crypto_get(&crypto));
    BST_ENSURE(call->key.len == BST_AEAD_KEY_BYTES, BST_E_USAGE);
    BST_ENSURE(call->in.len < INT_MAX && call->aad.len < INT_MAX, BST_E_TOO_LONG);
    BST_HEAP_MARKED;
    bst_auto_ossl(cipher_ctx) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    BST_ENSURE(ctx, BST_E_NOMEM);
    int len = 0;
    bool ok = EVP_CipherInit_ex2(ctx, crypto->gcm, (const uint8_t *)call->key.ptr,
                                 (const uint8_t *)call->nonce.ptr, call->seal, NULL) == 1 &&
              gcm_feed(ctx, call->aad) &&
              (call->in.len == 0 || EVP_CipherUpdate(ctx, out, &len, (const uint8_t *)call->in.ptr,
                                                     (int)call->in.len) == 1) &&
              (call->seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) == 1);
    if (!ok) {
        return bst_crypto_fail(BST_E_CRYPTO, "AES-256-GCM failed");
    }
    uint8_t unused[16];
    if (EVP_CipherFinal_ex(ctx, unused, &len) != 1) {
        ERR_clear_error();
        BST_FAIL(BST_E_BAD_MAC, "wrong key, or the sealed bytes or what they are bound to changed");
    }
    if (call->seal && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tag) != 1) {
        return bst_crypto_fail(BST_E_CRYPTO, "AES-256-GCM gives no tag");
    }
    return BST_OK;
}

bst_result bst_aead_seal(struct bst_view key, struct bst_view aad, struct bst_view in,
                         struct bst_buf *ret)
{
    uint8_t head[BLOB_HEAD] = {BLOB_VERSION};
    BST_TRY(bst_random(head + 1, NONCE_BYTES));
    size_t before = ret->len;
    uint8_t *out = (uint8_t *)bst_buf_reserve(ret, in.len + BST_AEAD_OVERHEAD);
    BST_ENSURE(out, BST_E_NOMEM);
    memcpy(out, head, sizeof head);
    struct gcm_call call = {
        .key = key,
        .nonce = bst_view_of(head + 1, NONCE_BYTES),
        .aad = aad,
        .in = in,
        .seal = true,
    };
    BST_TRY(gcm(&call, out + BLOB_HEAD, out + BLOB_HEAD + in.len));
    ret->len = before + in.len + BST_AEAD_OVERHEAD;
    return BST_OK;
}

/* Open into `out`, which takes blob.len - BST_AEAD_OVERHEAD bytes. */
static bst_result open_blob(struct bst_view key, struct bst_view aad, struct bst_view blob,
                            uint8_t *out)
{
    if (blob.ptr[0] != BLOB_VERSION) {
        BST_FAIL(BST_E_VERSION, "sealed format %u is not known to this version",
                 (unsigned)(uint8_t)blob.ptr[0]);
    }
    uint8_t tag[TAG_BYTES];
    memcpy(tag, blob.ptr + blob.len - TAG_BYTES, TAG_BYTES);
    struct gcm_call call = {
        .key = key,
        .nonce = bst_view_of(blob.ptr + 1, NONCE_BYTES),
        .aad = aad,
        .in = bst_view_of(blob.ptr + BLOB_HEAD, blob.len - BST_AEAD_OVERHEAD),
    };
    return gcm(&call, out, tag);
}

static bst_result check_length(struct bst_view blob)
{
    if (blob.len < BST_AEAD_OVERHEAD) {
        BST_FAIL(BST_E_TRUNCATED, "%zu sealed bytes are fewer than any sealed object has",
                 blob.len);
    }
    return BST_OK;
}

bst_result bst_aead_open(struct bst_view key, struct bst_view aad, struct bst_view blob,
                         struct bst_buf *ret)
{
    BST_TRY(check_length(blob));
    size_t len = blob.len - BST_AEAD_OVERHEAD;
    uint8_t *out = (uint8_t *)bst_buf_reserve(ret, len ? len : 1);
    BST_ENSURE(out, BST_E_NOMEM);
    bst_result opened = open_blob(key, aad, blob, out);
    if (bst_failed(opened)) {
        /* GCM decrypts before it checks. */
        bst_wipe(out, len);
        return opened;
    }
    ret->len += len;
    return BST_OK;
}

bst_result bst_aead_open_secret(struct bst_view key, struct bst_view aad, struct bst_view blob,
                                struct bst_secret *ret)
{
    BST_TRY(check_length(blob));
    bst_auto(secret) secret = {0};
    BST_TRY(bst_secret_init(&secret, blob.len - BST_AEAD_OVERHEAD));
    BST_TRY(open_blob(key, aad, blob, secret.ptr));
    *ret = secret;
    secret = (struct bst_secret){0};
    return BST_OK;
}

/* ---- chunks: nonce = prefix[7] || counter(be32) || last, header = version, salt[32], prefix[7]
 * ---- */

#define STREAM_VERSION 1
#define SALT_BYTES 32
#define PREFIX_BYTES 7

static bst_result stream_begin(struct bst_stream *stream, struct bst_view key,
                               const uint8_t header[BST_STREAM_HEADER_BYTES], bool sealing)
{
    *stream = (struct bst_stream){.sealing = sealing};
    BST_ENSURE(key.len == BST_AEAD_KEY_BYTES, BST_E_USAGE);
    BST_TRY(bst_secret_init(&stream->key, BST_AEAD_KEY_BYTES));
    /* A key of its own for each stream: nonces may repeat between streams of one key. */
    bst_result derived =
        bst_hkdf_sha256(bst_view_of(header + 1, SALT_BYTES), key, BST_VIEW("bastide stream v1"),
                        stream->key.ptr, stream->key.len);
    if (bst_failed(derived)) {
        bst_secret_clear(&stream->key);
        return derived;
    }
    memcpy(stream->prefix, header + 1 + SALT_BYTES, PREFIX_BYTES);
    return BST_OK;
}

bst_result bst_stream_seal_init(struct bst_stream *stream, struct bst_view key,
                                uint8_t ret_header[BST_STREAM_HEADER_BYTES])
{
    uint8_t header[BST_STREAM_HEADER_BYTES] = {STREAM_VERSION};
    BST_TRY(bst_random(header + 1, sizeof header - 1));
    BST_TRY(stream_begin(stream, key, header, true));
    memcpy(ret_header, header, sizeof header);
    return BST_OK;
}

bst_result bst_stream_open_init(struct bst_stream *stream, struct bst_view key,
                                struct bst_view header)
{
    if (header.len != BST_STREAM_HEADER_BYTES) {
        BST_FAIL(BST_E_TRUNCATED, "a sealed stream starts with %d bytes, not %zu",
                 BST_STREAM_HEADER_BYTES, header.len);
    }
    if (header.ptr[0] != STREAM_VERSION) {
        BST_FAIL(BST_E_VERSION, "sealed stream format %u is not known to this version",
                 (unsigned)(uint8_t)header.ptr[0]);
    }
    return stream_begin(stream, key, (const uint8_t *)header.ptr, false);
}

static bst_result stream_nonce(struct bst_stream *stream, bool last, uint8_t nonce[NONCE_BYTES])
{
    BST_ENSURE(!stream->ended, BST_E_USAGE);
    BST_ENSURE(stream->counter != UINT32_MAX, BST_E_LIMIT);
    memcpy(nonce, stream->prefix, PREFIX_BYTES);
    for (int i = 0; i < 4; i++) {
        nonce[PREFIX_BYTES + i] = (uint8_t)(stream->counter >> (24 - 8 * i));
    }
    nonce[NONCE_BYTES - 1] = last ? 1 : 0;
    return BST_OK;
}

static void stream_advance(struct bst_stream *stream, bool last)
{
    stream->counter++;
    stream->ended = last;
}

bst_result bst_stream_seal(struct bst_stream *stream, struct bst_view in, bool last,
                           struct bst_buf *ret)
{
    BST_ENSURE(stream->sealing, BST_E_USAGE);
    BST_ENSURE(last ? in.len <= BST_STREAM_CHUNK_BYTES : in.len == BST_STREAM_CHUNK_BYTES,
               BST_E_USAGE);
    uint8_t nonce[NONCE_BYTES];
    BST_TRY(stream_nonce(stream, last, nonce));
    uint8_t *out = (uint8_t *)bst_buf_reserve(ret, in.len + TAG_BYTES);
    BST_ENSURE(out, BST_E_NOMEM);
    struct gcm_call call = {
        .key = bst_view_of(stream->key.ptr, stream->key.len),
        .nonce = bst_view_of(nonce, sizeof nonce),
        .in = in,
        .seal = true,
    };
    BST_TRY(gcm(&call, out, out + in.len));
    ret->len += in.len + TAG_BYTES;
    stream_advance(stream, last);
    return BST_OK;
}

bst_result bst_stream_open(struct bst_stream *stream, struct bst_view in, bool last,
                           struct bst_buf *ret)
{
    BST_ENSURE(!stream->sealing, BST_E_USAGE);
    size_t whole = BST_STREAM_CHUNK_BYTES + TAG_BYTES;
    if (in.len < TAG_BYTES || in.len > whole || (!last && in.len != whole)) {
        BST_FAIL(BST_E_TRUNCATED, "chunk %u of the sealed stream has %zu bytes", stream->counter,
                 in.len);
    }
    uint8_t nonce[NONCE_BYTES], tag[TAG_BYTES];
    BST_TRY(stream_nonce(stream, last, nonce));
    size_t len = in.len - TAG_BYTES;
    uint8_t *out = (uint8_t *)bst_buf_reserve(ret, len ? len : 1);
    BST_ENSURE(out, BST_E_NOMEM);
    memcpy(tag, in.ptr + len, TAG_BYTES);
    struct gcm_call call = {
        .key = bst_view_of(stream->key.ptr, stream->key.len),
        .nonce = bst_view_of(nonce, sizeof nonce),
        .in = bst_view_of(in.ptr, len),
    };
    bst_result opened = gcm(&call, out, tag);
    if (bst_failed(opened)) {
        bst_wipe(out, len);
        BST_FAIL(opened.code, "chunk %u of the sealed stream is changed, moved or cut off",
                 stream->counter);
    }
    ret->len += len;
    stream_advance(stream, last);
    return BST_OK;
}

void bst_stream_clear(struct bst_stream *stream)
{
    bst_secret_clear(&stream->key);
    *stream = (struct bst_stream){0};
}
