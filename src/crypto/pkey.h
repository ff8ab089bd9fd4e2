/* Asymmetric keys as OpenSSL objects: load, make, sign, verify. */
#pragma once

#include "crypto/digest.h"

struct evp_pkey_st; /* EVP_PKEY */

/** The kinds of key that Bastide works with. */
enum bst_pkey_kind { BST_PKEY_EC_P256, BST_PKEY_EC_P384, BST_PKEY_ED25519 };
/** No signature of these kinds is longer. */
#define BST_SIGNATURE_MAX 112

void bst_pkey_free(struct evp_pkey_st **pkey);
#define bst_auto_pkey __attribute__((cleanup(bst_pkey_free))) struct evp_pkey_st
struct evp_pkey_st *bst_pkey_hold(struct evp_pkey_st *pkey); /* one more owner of the same key */

/** BST_E_BAD_KEY for any other algorithm or curve. */
bst_result bst_pkey_kind(const struct evp_pkey_st *pkey, enum bst_pkey_kind *ret);
const char *bst_pkey_kind_name(enum bst_pkey_kind kind);

bst_result bst_pkey_generate(enum bst_pkey_kind kind, struct evp_pkey_st **ret);
/** A private key in PEM (PKCS#8 or SEC 1, not encrypted) or DER PKCS#8. */
bst_result bst_pkey_load(struct bst_view text, struct evp_pkey_st **ret);
/** A public key in PEM or DER SubjectPublicKeyInfo. */
bst_result bst_pkey_load_public(struct bst_view text, struct evp_pkey_st **ret);
/** DER SubjectPublicKeyInfo, appended. */
bst_result bst_pkey_spki(const struct evp_pkey_st *pkey, struct bst_buf *ret);
/** DER PKCS#8, for sealing. BST_E_BAD_KEY when the private half is elsewhere. */
bst_result bst_pkey_private(const struct evp_pkey_st *pkey, struct bst_secret *ret);

/** The bare private number: 32 or 48 bytes. BST_E_BAD_KEY when it is elsewhere. */
bst_result bst_pkey_scalar(const struct evp_pkey_st *pkey, struct bst_secret *ret);

/** Sign a message; `md` is BST_MD_NONE for Ed25519. ECDSA as DER (RFC 3279). Appends. */
bst_result bst_pkey_sign(struct evp_pkey_st *pkey, enum bst_md md, struct bst_view message,
                         struct bst_buf *ret_signature);
/** BST_E_BAD_MAC when the signature is not of this key and message. */
bst_result bst_pkey_verify(struct evp_pkey_st *pkey, enum bst_md md, struct bst_view message,
                           struct bst_view signature);
/** Sign a digest (ECDSA), or a message (Ed25519, md = NONE), into BST_SIGNATURE_MAX bytes. */
bst_result bst_pkey_sign_raw(struct evp_pkey_st *pkey, enum bst_md md, struct bst_view tbs,
                             uint8_t *out, size_t *ret_len);
/** ECDH with a peer's DER SubjectPublicKeyInfo on the same curve. */
bst_result bst_pkey_agree(struct evp_pkey_st *pkey, struct bst_view peer_spki,
                          struct bst_secret *ret);
