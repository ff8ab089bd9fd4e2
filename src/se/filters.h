/* Filters over a secure environment beside those of the public header: what is put on record, and
 * faults for tests. Added by bst_se_filter_add(), the last one asked first.
 *
 * A rule is a line of fields NAME=VALUE separated by blanks; the first rule that fits decides. A
 * field that is not there fits everything; `*` in a value matches any run of characters. */
#pragma once

#include "se/se.h"

struct bst_audit;

/** Where environments write to; calls under way may outlive the trail itself. */
struct bst_se_trail;
bst_result bst_se_trail_new(struct bst_audit *audit, struct bst_se_trail **ret);
/** From now on nothing is written. NULL is fine. */
void bst_se_trail_close(struct bst_se_trail **trail);
/** Put on record (event "key.<operation>"): each release of key bytes, each labelled key that comes
 * or goes, wrapping, the life cycle, and every refusal.
 * @param own_label  key of the trail itself, which is not recorded */
bst_result bst_se_filter_audit(struct bst_se *se, struct bst_se_trail *trail,
                               const char *own_label);

/** Rules of `fault`: op= (one name), nth= (the how-manieth call, from 1), error= (name of an error
 * that the call then gives). For tests. */
bst_result bst_se_filter_fault(struct bst_se *se, const char *const *rules, size_t n);

/** Check rules without an environment, for a configuration. */
bst_result bst_se_policy_rule_check(const char *rule);
bst_result bst_se_quota_rule_check(const char *rule);
