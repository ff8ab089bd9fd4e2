/* What the home network's and the device's side share. */
#pragma once

#include "core5g/aka/aka.h"

#define BST_AKA_MAC_BYTES 8  /* of MAC-A and MAC-S in AUTN and AUTS */
#define BST_AKA_CK_IK_MAX 64 /* octets of CK || IK */

/** Lengths of MAC and RES that the tokens of 5G have room for. */
bst_result bst_aka_check_usable(const struct bst_aka_keys *keys);
/** Serving network name and separation bit. */
bst_result bst_aka_check_challenge(const struct bst_aka_challenge *challenge);

static inline void bst_aka_hide_sqn(const uint8_t sqn[6], const uint8_t ak[6], uint8_t out[6])
{
    for (int i = 0; i < 6; i++) {
        out[i] = sqn[i] ^ ak[i];
    }
}

static inline struct bst_view bst_aka_ck_ik(const struct bst_aka_keys *keys,
                                            const struct bst_aka_out *from,
                                            uint8_t out[BST_AKA_CK_IK_MAX])
{
    memcpy(out, from->ck, keys->ck_bytes);
    memcpy(out + keys->ck_bytes, from->ik, keys->ik_bytes);
    return bst_view_of(out, (size_t)keys->ck_bytes + keys->ik_bytes);
}
