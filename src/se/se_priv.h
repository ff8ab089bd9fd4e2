/* Between se.c and se_pkey.c. */
#pragma once

#include "se/se.h"

/** As bst_se_sign() over a digest (ECDSA) or a message (Ed25519). */
bst_result bst_se_sign_raw(struct bst_se *se, bst_key key, enum bst_md md, struct bst_view tbs,
                           uint8_t *out, size_t *ret_len);
/** One more view of the same environment and owner. */
bst_result bst_se_hold(struct bst_se *se, struct bst_se **ret);
