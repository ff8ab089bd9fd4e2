/* SHA3-256 (FIPS 202) and KMAC256 (NIST SP 800-185). */
#pragma once

#include "base/text.h"

#define BST_SHA3_256_BYTES 32

/** Hash the parts one after the other. */
bst_result bst_sha3_256(const struct bst_view *parts, size_t n, uint8_t out[BST_SHA3_256_BYTES]);
/** KMAC256 with an output of `len` octets, which is part of what is computed.
 * @param customisation  S of SP 800-185 */
bst_result bst_kmac256(struct bst_view key, struct bst_view customisation, struct bst_view in,
                       uint8_t *out, size_t len);
