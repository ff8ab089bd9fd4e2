/* Keys that live elsewhere as OpenSSL objects, through a provider compiled in.
 *
 * The EVP_PKEY made here works wherever OpenSSL signs: SSL_CTX_use_PrivateKey(), certificates,
 * CSRs. Only its public half is in OpenSSL. */
#pragma once

#include "crypto/pkey.h"

struct bst_extkey_ops {
    /** Sign: ECDSA (DER) over the digest `tbs`, or Ed25519 over the message `tbs` with md NONE.
     * Called on any thread, several at a time. At most BST_SIGNATURE_MAX bytes. */
    bst_result (*sign)(void *ctx, enum bst_md md, struct bst_view tbs, uint8_t *out,
                       size_t *ret_len);
    /** The last OpenSSL reference is gone. Called once. */
    void (*release)(void *ctx);
};

/** @param ops       static table
 *  @param ctx       taken; released also when this call fails
 *  @param spki_der  the public half, EC P-256, P-384 or Ed25519
 *  @error BST_E_BAD_KEY  another algorithm */
bst_result bst_extkey_new(const struct bst_extkey_ops *ops, void *ctx, struct bst_view spki_der,
                          struct evp_pkey_st **ret);
