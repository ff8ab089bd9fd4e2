/* AES-256-GCM: single blobs, large files in chunks, and file keys for a P-256 recipient. */
#pragma once

#include "base/text.h"

#define BST_AEAD_KEY_BYTES 32
/** A blob is longer than its content by version, nonce and tag. */
#define BST_AEAD_OVERHEAD (1 + 12 + 16)

/** Seal `in` under a random nonce; appends to `ret`.
 * One key may seal 2^32 blobs (NIST SP 800-38D 8.3); what seals more derives keys.
 *
 * @shape  out: version(1) || nonce[12] || ciphertext || tag[16]
 * @error  BST_E_USAGE  the key is not 32 bytes */
bst_result bst_aead_seal(struct bst_view key, struct bst_view aad, struct bst_view in,
                         struct bst_buf *ret);
/** Open a blob; appends to `ret`, nothing when it fails.
 * @error BST_E_TRUNCATED shorter than any blob  @error BST_E_VERSION another format
 * @error BST_E_BAD_MAC wrong key, wrong aad or changed bytes */
bst_result bst_aead_open(struct bst_view key, struct bst_view aad, struct bst_view blob,
                         struct bst_buf *ret);
/** As bst_aead_open(), for content that is a key. */
bst_result bst_aead_open_secret(struct bst_view key, struct bst_view aad, struct bst_view blob,
                                struct bst_secret *ret);

/* Large content in chunks that are each authenticated in their place, with a marked last one (the
 * STREAM construction): nothing that is cut off, repeated or moved opens. */

#define BST_STREAM_HEADER_BYTES 40
#define BST_STREAM_CHUNK_BYTES 65536
#define BST_STREAM_TAG_BYTES 16

struct bst_stream {
    struct bst_secret key;
    uint8_t prefix[7];
    uint32_t counter;
    bool sealing, ended;
};
/** Begin sealing; the header comes before the first chunk. `key` may serve many streams. */
bst_result bst_stream_seal_init(struct bst_stream *stream, struct bst_view key,
                                uint8_t ret_header[BST_STREAM_HEADER_BYTES]);
bst_result bst_stream_open_init(struct bst_stream *stream, struct bst_view key,
                                struct bst_view header);
/** Seal one chunk; every chunk but the last has exactly BST_STREAM_CHUNK_BYTES. Appends. */
bst_result bst_stream_seal(struct bst_stream *stream, struct bst_view in, bool last,
                           struct bst_buf *ret);
/** Open one sealed chunk; `last` when the input ends with it. BST_E_BAD_MAC when it does not fit.
 */
bst_result bst_stream_open(struct bst_stream *stream, struct bst_view in, bool last,
                           struct bst_buf *ret);
void bst_stream_clear(struct bst_stream *stream);

/* A secret for the holder of a P-256 key: ephemeral ECDH, HKDF-SHA-256, AES-256-GCM. */

/** Encrypt `in` (up to 64 kB) to a recipient's DER SubjectPublicKeyInfo; `info` is bound to it.
 * @shape out: version(1) || ephemeral point[65] || AEAD blob */
bst_result bst_ecies_seal(struct bst_view recipient_spki, struct bst_view info, struct bst_view in,
                          struct bst_buf *ret);
struct evp_pkey_st;
bst_result bst_ecies_open(struct evp_pkey_st *recipient, struct bst_view info, struct bst_view blob,
                          struct bst_secret *ret);
/** The same for a recipient whose private half is elsewhere: `agree` gives Z, 32 bytes, for an
 * uncompressed point of 65 bytes that is on the curve. */
bst_result bst_ecies_open_outside(struct bst_view recipient_spki,
                                  bst_result (*agree)(void *ctx, struct bst_view point,
                                                      struct bst_secret *ret),
                                  void *ctx, struct bst_view info, struct bst_view blob,
                                  struct bst_secret *ret);
