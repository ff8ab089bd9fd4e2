/* Reading rules of filters. */
#include "se/filter_priv.h"

#include <stdio.h>

#define FIELDS_MAX 8

static bst_result unknown_field(struct bst_view name, const struct bst_se_field *fields, size_t n)
{
    char known[160] = "";
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        at +=
            (size_t)snprintf(known + at, sizeof known - at, "%s%s=", i ? ", " : "", fields[i].name);
    }
    BST_FAIL(BST_E_VALUE, "there is no field '%.*s'; there are %s", BST_VIEW_ARGS(name), known);
}

static bst_result take_field(struct bst_view item, const struct bst_se_field *fields, size_t n,
                             uint32_t *seen, void *into)
{
    struct bst_view value = item, name;
    if (!bst_view_cut(&value, '=', &name)) {
        BST_FAIL(BST_E_VALUE, "'%.*s' is no NAME=VALUE", BST_VIEW_ARGS(item));
    }
    size_t i = 0;
    while (i < n && !bst_view_is(name, fields[i].name)) {
        i++;
    }
    if (i == n) {
        return unknown_field(name, fields, n);
    }
    if (*seen >> i & 1) {
        BST_FAIL(BST_E_VALUE, "%s= stands there twice", fields[i].name);
    }
    *seen |= UINT32_C(1) << i;
    return fields[i].take(into, value);
}

static bst_result read_fields(struct bst_view rest, const struct bst_se_field *fields, size_t n,
                              void *into, struct bst_view *ret_word)
{
    uint32_t seen = 0;
    bool first = true;
    while (rest.len) {
        struct bst_view item;
        bst_view_cut(&rest, ' ', &item);
        if (item.len == 0) {
            continue;
        }
        if (first && ret_word && !memchr(item.ptr, '=', item.len)) {
            *ret_word = item;
        } else {
            BST_TRY(take_field(item, fields, n, &seen, into));
        }
        first = false;
    }
    return BST_OK;
}

bst_result bst_se_rule_read(const char *rule, const struct bst_se_field *fields, size_t n,
                            void *into, struct bst_view *ret_word)
{
    BST_ENSURE(n <= FIELDS_MAX, BST_E_INTERNAL);
    bst_result read = read_fields(bst_view(rule), fields, n, into, ret_word);
    if (read.code == BST_E_VALUE) {
        char why[300];
        snprintf(why, sizeof why, "%s", bst_error_detail());
        BST_FAIL(BST_E_VALUE, "rule '%.100s': %s", rule, why);
    }
    return read;
}

bst_result bst_se_rules_read(const char *const *rules, size_t n, size_t bytes,
                             bst_result (*read)(const char *rule, void *into), void *array)
{
    for (size_t i = 0; i < n; i++) {
        BST_TRY(read(rules[i], (char *)array + i * bytes));
    }
    return BST_OK;
}

bst_result bst_se_pattern_take(struct bst_view value, struct bst_se_pattern *ret)
{
    if (bst_failed(bst_view_copy(value, ret->text, sizeof ret->text))) {
        BST_FAIL(BST_E_VALUE, "a pattern has at most %d characters", BST_SE_PATTERN_MAX - 1);
    }
    ret->set = true;
    return BST_OK;
}

bool bst_se_pattern_fits(const struct bst_se_pattern *pattern, const char *text)
{
    return !pattern->set || bst_wildcard_match(bst_view(pattern->text), bst_view(text), '\0');
}

bst_result bst_se_op_find(struct bst_view name, size_t *ret)
{
    for (size_t i = 0; bst_se_op_name(i); i++) {
        if (bst_view_is(name, bst_se_op_name(i))) {
            *ret = i;
            return BST_OK;
        }
    }
    BST_FAIL(BST_E_VALUE, "there is no operation '%.*s'", BST_VIEW_ARGS(name));
}
