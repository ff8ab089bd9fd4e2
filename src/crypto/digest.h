/* Hashes, HMAC and HKDF. Keys are borrowed views of a bst_secret; outputs that are keys go to one.
 */
#pragma once

#include "base/text.h"

/** Bytes of a digest, 0 for BST_MD_NONE. */
size_t bst_md_bytes(enum bst_md md);
/** Hash the parts one after the other; `out` takes bst_md_bytes(md). */
bst_result bst_digest(enum bst_md md, const struct bst_view *parts, size_t n, uint8_t *out);
bst_result bst_sha256(struct bst_view in, uint8_t out[BST_SHA256_BYTES]);
bst_result bst_sha384(struct bst_view in, uint8_t out[BST_SHA384_BYTES]);

/** RFC 2104 over the parts one after the other.
 * @thread any */
bst_result bst_hmac_sha256(struct bst_view key, const struct bst_view *parts, size_t n,
                           uint8_t out[BST_SHA256_BYTES]);

/** RFC 5869 with SHA-256, extract and expand; an empty salt is hash-length zeros. Up to 8160 bytes.
 */
bst_result bst_hkdf_sha256(struct bst_view salt, struct bst_view ikm, struct bst_view info,
                           uint8_t *out, size_t out_len);

/** A hash over data that comes in pieces: init, update..., final. clear() is harmless at any time.
 */
struct bst_hasher {
    void *ctx;
};
bst_result bst_hasher_init(struct bst_hasher *hasher, enum bst_md md);
bst_result bst_hasher_update(struct bst_hasher *hasher, struct bst_view in);
bst_result bst_hasher_final(struct bst_hasher *hasher, uint8_t *out);
void bst_hasher_clear(struct bst_hasher *hasher);
/** Hash the parts from the beginning; the context stays for the next message. */
bst_result bst_hasher_again(struct bst_hasher *hasher, const struct bst_view *parts, size_t n,
                            uint8_t *out);

/** HMAC-SHA-256 with one key over many messages: the two blocks that depend on the key are hashed
 * once. Keys may change; clear() is harmless at any time. One thread at a time. */
struct bst_hmac {
    void *inner, *outer, *work;
    size_t key_bytes;
};
bst_result bst_hmac_init(struct bst_hmac *hmac);
/** Set the key; the one before is forgotten. */
bst_result bst_hmac_key(struct bst_hmac *hmac, struct bst_view key);
/** Over the parts one after the other. */
bst_result bst_hmac_run(struct bst_hmac *hmac, const struct bst_view *parts, size_t n,
                        uint8_t out[BST_SHA256_BYTES]);
void bst_hmac_clear(struct bst_hmac *hmac);
