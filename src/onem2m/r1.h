/* What a request without Release Version Indicator gets: Release 1 treatment, in one table.
 *
 * TS-0004 7.3.2.1 reads an absent rvi as "1". The table in r1.c says which attributes an answer
 * then leaves out, which status code stands in for a later one, and what CREATE does not demand. */
#pragma once

#include "onem2m/primitive.h"

static inline bool bst_m2m_is_r1(const struct bst_m2m_request *req)
{
    return req->release == BST_RELEASE_NONE || req->release == BST_RELEASE_1;
}
/** True when an attribute of a later release is left out of a Release 1 answer. */
bool bst_m2m_r1_hides(int ty, struct bst_view sn);
/** The Release 1 code nearest to `rsc`. */
int bst_m2m_r1_rsc(int rsc);
/** Optionality of an attribute for a Release 1 originator (srv of an AE is not demanded). */
bool bst_m2m_r1_optional(int ty, struct bst_view sn);
/** As bst_m2m_validate(), but Release 1 optionality. */
bst_result bst_m2m_r1_validate(const struct bst_m2m_type *type, enum bst_m2m_op op,
                               yyjson_val *members);
