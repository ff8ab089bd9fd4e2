/* JOSE as the N32 interface uses it (TS 33.501 13.2): compact JWE with a shared key (RFC 7516),
 * compact JWS by ES256 (RFC 7515).
 *
 * Strict: one algorithm each, no header that offers a key or asks for an extension, base64url
 * without padding. */
#pragma once

#include "codec/json.h"

#define BST_JOSE_MAX ((size_t)1 << 20)

/** Open a JWE with "alg" dir and "enc" A128GCM or A256GCM, by the length of the key.
 *
 * @param ret  plaintext, appended; nothing when it fails
 * @error BST_E_SYNTAX  not a compact JWE  @error BST_E_VALUE  another algorithm, a header that is
 * not understood, lengths  @error BST_E_BAD_MAC  the tag does not match */
bst_result bst_jwe_open(struct bst_view key, struct bst_view jwe, struct bst_buf *ret);

/** Verify a JWS.
 *
 * @param jwk  public key: kty EC, crv P-256, x, y; "use", "key_ops" and "alg" must allow it
 * @param ret  payload, appended after the signature has been verified
 * @error BST_E_SYNTAX, BST_E_VALUE as above  @error BST_E_BAD_KEY  a key for something else
 * @error BST_E_BAD_MAC  the signature is not of this key */
bst_result bst_jws_verify(const yyjson_val *jwk, struct bst_view jws, struct bst_buf *ret);
