/* What JOSE computes with (RFC 7518): ECDSA signatures as two numbers side by side, public keys as
 * coordinates, AES-GCM with nonce and tag given. */
#pragma once

#include "crypto/pkey.h"

#define BST_ES256_NUMBER_BYTES 32
#define BST_ES256_SIGNATURE_BYTES 64
#define BST_GCM_NONCE_BYTES 12
#define BST_GCM_TAG_BYTES 16

/** Verify r || s over the SHA-256 of a message with the P-256 key of these coordinates.
 * @error BST_E_BAD_KEY  not a point of the curve
 * @error BST_E_BAD_MAC  another length, a number outside 1..n-1, or not a signature of this key
 * @clause RFC 7518 3.4 */
bst_result bst_es256_verify(struct bst_view x, struct bst_view y, struct bst_view message,
                            struct bst_view signature);

/** Open with AES-128 or AES-256, by the length of the key. Appends, nothing when it fails.
 * @error BST_E_BAD_KEY @error BST_E_BAD_MAC  @clause RFC 7518 5.3 */
bst_result bst_gcm_open(struct bst_view key, const uint8_t nonce[BST_GCM_NONCE_BYTES],
                        struct bst_view aad, struct bst_view in,
                        const uint8_t tag[BST_GCM_TAG_BYTES], struct bst_buf *ret);
