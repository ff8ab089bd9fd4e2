/* Who sends this request: the checks of TS-0003 7.2.1 and TS-0004 7.3.2.1 in their order. */
#pragma once

#include "sec/association.h"

/** The originator as the access decision wants it: normal form with what is computed once. */
struct bst_originator {
    struct bst_entity_id id; /* len 0: absent, in a request to register an AE */
    bool proved;             /* From is what the peer proved to be */
    bool forwarded;          /* vouched for by the CSE of the association */
    uint64_t hash, sp_hash;  /* of the absolute id and of its domain; bst_originator_init() */
};

/** What the CSE knows about its registrations. */
struct bst_registrations {
    bool (*has_ae)(void *ctx, const struct bst_entity_id *id);
    bool (*has_cse)(void *ctx, struct bst_view abs_cse_id); /* a registree CSE */
    void *ctx;
};

struct bst_originator_check {
    const struct bst_self *self;
    const struct bst_association *assoc; /* NULL is BST_ASSOC_NONE */
    const struct bst_registrations *registrations;
    struct bst_view from;
    bool has_from;
    bool creates_ae; /* CREATE of an AE */
    bool stem_only;  /* refuse From of an AE in other than stem form, as V3.32 has it */
    bool open_aes;   /* serve AEs without an association: field domain only, TS-0003 6.1.2.2.1 */
};

/** Fill the computed members after `id` and `proved` were set; for originators made inside the CSE.
 */
void bst_originator_init(struct bst_originator *o);

/** Verify the originator.
 *
 * @error BST_E_SYNTAX                From absent or malformed (4000)
 * @error BST_E_NOT_AUTHENTICATED     From is not what the peer proved to be (4106)
 * @error BST_E_ASSOCIATION_REQUIRED  a CSE, or a registered AE, without an association (4107)
 * @clause TS-0004 V3.32, 7.3.2.1; TS-0003 V3.18, 7.2.1
 */
bst_result bst_originator_verify(const struct bst_originator_check *check,
                                 struct bst_originator *ret);
