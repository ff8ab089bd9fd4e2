/* Key agreement with public keys in the form that travels: X25519 (RFC 7748) and P-256 ECDH with
 * compressed points (SEC 1 2.3.3), and the ANSI X9.63 key derivation. */
#pragma once

#include "crypto/pkey.h"

enum bst_curve { BST_CURVE_X25519, BST_CURVE_P256 };
#define BST_CURVE_POINT_MAX 33
#define BST_CURVE_SCALAR_BYTES 32

/** Bytes of a public key on the wire: 32 or 33. */
size_t bst_curve_point_bytes(enum bst_curve curve);
const char *bst_curve_name(enum bst_curve curve);

bst_result bst_agree_key_generate(enum bst_curve curve, struct evp_pkey_st **ret);
/** A private key: 32 raw bytes, 64 hexadecimal digits (a line end may follow), PEM or DER PKCS#8.
 * @error BST_E_BAD_KEY  another curve, or a scalar outside 1..n-1 */
bst_result bst_agree_key_load(enum bst_curve curve, struct bst_view text, struct evp_pkey_st **ret);
/** The public half as it travels. */
bst_result bst_agree_key_point(enum bst_curve curve, const struct evp_pkey_st *key,
                               uint8_t out[BST_CURVE_POINT_MAX]);
/** A public key: raw, hexadecimal, PEM or DER; for P-256 also uncompressed. Comes out as it
 * travels.
 * @error BST_E_BAD_KEY  not on the curve, or of low order */
bst_result bst_agree_point_load(enum bst_curve curve, struct bst_view text,
                                uint8_t out[BST_CURVE_POINT_MAX]);
#define BST_P256_WIDE_BYTES 65
/** A P-256 public key in any of these forms as 04 || x || y, for who cannot uncompress. */
bst_result bst_agree_point_wide(struct bst_view text, uint8_t out[BST_P256_WIDE_BYTES]);
/** A public P-256 key from a point in its compressed or uncompressed form.
 * @error BST_E_BAD_KEY  not on the curve */
bst_result bst_p256_public(const uint8_t *point, size_t len, struct evp_pkey_st **ret);
/** Z of an exchange with a key in wire form, nothing else: P-256 takes 33 bytes with prefix 02 or
 * 03.
 * @error BST_E_BAD_KEY  wrong length or prefix, not on the curve, or Z would be zero */
bst_result bst_agree(enum bst_curve curve, struct evp_pkey_st *key, struct bst_view point,
                     struct bst_secret *ret);
/** ANSI X9.63 KDF with SHA-256. Up to 8160 bytes. */
bst_result bst_x963_sha256(struct bst_view z, struct bst_view info, uint8_t *out, size_t out_len);
/** The same with SHA3-256. */
bst_result bst_x963_sha3_256(struct bst_view z, struct bst_view info, uint8_t *out, size_t out_len);
