/* Rotation: a new key takes the label of an old one, which stays under LABEL.N.
 *
 * In between the new one is LABEL.next, so that a certificate can be issued and put in place for it
 * first; whoever looks for the key of a certificate (bst_state_place_key()) finds the right one at
 * every moment, also after a crash. */
#pragma once

#include "se/se.h"

struct bst_rotation {
    struct bst_se *se; /* borrowed */
    bst_key old, fresh;
    char label[BST_KEY_LABEL_MAX + 1];
    char kept[BST_KEY_LABEL_MAX + 1]; /* label of the old key afterwards; "" when it is deleted */
};
/** Make the new key, of the same attributes; one left by a rotation that was cut short is used.
 * @param expires_us  of the new key; 0: as the old one
 * @error BST_E_NOT_FOUND  no key of this label */
bst_result bst_rotation_begin(struct bst_se *se, const char *label, int64_t expires_us,
                              struct bst_rotation *ret);
/** The same with attributes that are given: the label may be free here, when the old key is
 * elsewhere. */
bst_result bst_rotation_begin_with(struct bst_se *se, const char *label,
                                   const struct bst_key_attrs *attrs, struct bst_rotation *ret);
/** Give the old key its label of afterwards, when the new one is elsewhere: only `se`, `label` and
 * `old` count. */
bst_result bst_rotation_put_by(struct bst_rotation *rotation);
/** Give the labels, and delete the old key if `drop`. */
bst_result bst_rotation_end(struct bst_rotation *rotation, bool drop);
