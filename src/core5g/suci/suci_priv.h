/* What the protection schemes share: key data to ciphertext and tag, and back. */
#pragma once

#include "core5g/suci/suci.h"

#define BST_SUCI_TAG_BYTES 8

/** How the key data of a scheme is used. */
struct bst_suci_suite {
    /** Encrypts and decrypts. */
    bst_result (*crypt)(const struct bst_secret *data, struct bst_view in, uint8_t *out);
    bst_result (*tag)(const struct bst_secret *data, struct bst_view ciphertext,
                      uint8_t out[BST_SUCI_TAG_BYTES]);
};

/** head || ciphertext || tag, appended. */
bst_result bst_suci_seal(const struct bst_suci_suite *suite, const struct bst_secret *data,
                         struct bst_view head, struct bst_view input, struct bst_buf *ret);
/** The input, appended, after the tag is checked.
 * @param sealed  ciphertext || tag, not shorter than a tag
 * @error BST_E_BAD_MAC */
bst_result bst_suci_open(const struct bst_suci_suite *suite, const struct bst_secret *data,
                         struct bst_view sealed, struct bst_buf *ret);
/** Does an output have a head of the scheme, a tag, and an input between? */
bst_result bst_suci_check_length(const struct bst_suci_scheme *scheme, struct bst_view output);

/* Post-quantum schemes (pq.c). */
bst_result bst_suci_pq_conceal(const struct bst_suci_scheme *scheme, struct bst_view public_key,
                               struct evp_pkey_st *ephemeral, struct bst_view input,
                               struct bst_buf *ret);
bst_result bst_suci_pq_reveal(const struct bst_suci_scheme *scheme, struct bst_se *se, bst_key key,
                              struct bst_view output, struct bst_buf *ret);
bst_result bst_suci_pq_read_public(const struct bst_suci_scheme *scheme, struct bst_view text,
                                   uint8_t out[BST_SUCI_PUBLIC_MAX]);
bst_result bst_suci_pq_read_private(const struct bst_suci_scheme *scheme, struct bst_view text,
                                    struct bst_secret *ret);
bst_result bst_suci_pq_public_of(const struct bst_suci_scheme *scheme, struct bst_se *se,
                                 bst_key key, uint8_t out[BST_SUCI_PUBLIC_MAX]);
