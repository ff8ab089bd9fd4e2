/* Registration of an AE against the service subscription.
 * TS-0001 9.6.19, 9.6.20, 9.6.29, 10.2.2.2; TS-0004 7.3.2.7. */
#pragma once

#include "sec/association.h"

struct bst_text_list {
    const struct bst_view *items;
    size_t n;
};

/** A serviceSubscribedAppRule (asar). A list that is absent has n = 0. */
struct bst_app_rule {
    struct bst_view id;            /* for explanations */
    struct bst_text_list cred_ids; /* apci; absent: for registrations without an association */
    struct bst_text_list app_ids, ae_ids; /* aai, aae */
};

/** What the serviceSubscribedNode of this CSE says. */
struct bst_service_subscription {
    bool has_node; /* a node with our CSE-ID exists */
    const struct bst_app_rule *rules;
    size_t n_rules;
};

struct bst_ae_registration {
    struct bst_view from;                /* "", "S", "C" or a whole stem */
    struct bst_view app_id;              /* api */
    const struct bst_association *assoc; /* NULL: none */
};

/** What a registration may end with: a stem of the shape of a pattern ("S*", "C12*x", or one stem).
 */
struct bst_registration_grant {
    const struct bst_app_rule *rule;      /* NULL: granted by the certificate itself */
    struct bst_view s_pattern, c_pattern; /* empty: none of that kind */
};

/** May this AE register?
 *
 * @error BST_E_SYNTAX           App-ID does not start with R, r or N (4000)
 * @error BST_E_NO_SUBSCRIPTION  no node for this CSE (4128)
 * @error BST_E_APP_RULE         no rule covers credential, App-ID and stem together (4126)
 * @clause TS-0001 V3.36, 10.2.2.2 step 002
 */
bst_result bst_registration_check(const struct bst_ae_registration *reg,
                                  const struct bst_service_subscription *sub,
                                  struct bst_registration_grant *ret);

/** First letter R, r or N, and only unreserved characters. */
bst_result bst_app_id_check(struct bst_view app_id);

#define BST_STEM_MAX 63
struct bst_stem_policy {
    bool prefer_s;   /* the provider's choice when From says nothing */
    bool any_letter; /* laboratories: stems that start with any letter */
    bool (*exists)(void *ctx, struct bst_view stem);
    bst_result (*random)(void *ctx, void *out, size_t len);
    void *ctx;
};

/** Settle the stem.
 *
 * A whole stem is kept; else the one stem that the credential stands for; else a fresh one of the
 * wanted kind. `exists` tells whether an AE has that stem now.
 *
 * @param grant  NULL: no subscription is asked, every stem is open
 * @error BST_E_ALREADY_REGISTERED  (4117)
 * @error BST_E_SYNTAX              a stem that starts with another letter (4000)
 * @clause TS-0001 V3.36, 10.2.2.2 steps 002 to 004; TS-0004 V3.32, 7.4.5.2.1
 */
bst_result bst_registration_stem(const struct bst_ae_registration *reg,
                                 const struct bst_registration_grant *grant,
                                 const struct bst_stem_policy *policy, char ret[BST_STEM_MAX + 1]);
