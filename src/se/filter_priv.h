/* What the filters share: reading a rule. */
#pragma once

#include "se/filters.h"

#define BST_SE_PATTERN_MAX 128

/** A pattern of a rule. */
struct bst_se_pattern {
    bool set; /* else everything fits */
    char text[BST_SE_PATTERN_MAX];
};
bst_result bst_se_pattern_take(struct bst_view value, struct bst_se_pattern *ret);
bool bst_se_pattern_fits(const struct bst_se_pattern *pattern, const char *text);

/** One field of a kind of rule. */
struct bst_se_field {
    const char *name;
    /** @param into  the rule */
    bst_result (*take)(void *into, struct bst_view value);
};
/** Read "[word] name=value..."; a field comes at most once.
 * @param ret_word  what stands first without '='; NULL: nothing may
 * @error BST_E_VALUE  with the rule and what is wrong */
bst_result bst_se_rule_read(const char *rule, const struct bst_se_field *fields, size_t n,
                            void *into, struct bst_view *ret_word);
/** Read all rules of a filter into an array of `bytes` each. */
bst_result bst_se_rules_read(const char *const *rules, size_t n, size_t bytes,
                             bst_result (*read)(const char *rule, void *into), void *array);
/** Number of an operation. */
bst_result bst_se_op_find(struct bst_view name, size_t *ret);
