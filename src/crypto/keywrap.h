/* AES key wrap with padding (RFC 5649, NIST SP 800-38F KWP): deterministic and authenticated. */
#pragma once

#include "base/text.h"

#define BST_KEYWRAP_INPUT_MAX 4096

/** Wrap 1 to 4096 bytes under a key of 16, 24 or 32; appends. */
bst_result bst_keywrap(struct bst_view key, struct bst_view in, struct bst_buf *ret);
/** @error BST_E_BAD_MAC  another key, or changed bytes */
bst_result bst_keyunwrap(struct bst_view key, struct bst_view wrapped, struct bst_secret *ret);
