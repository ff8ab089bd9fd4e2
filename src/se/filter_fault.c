/* Faults on demand: the n-th call of an operation fails. For tests. */
#include "se/filter_priv.h"

#include <stdatomic.h>

struct rule {
    bool has_op;
    size_t op;
    uint64_t nth;
    enum bst_error error;
    atomic_uint_least64_t calls;
};

struct fault {
    size_t n;
    struct rule rules[];
};

static bst_result take_op(void *into, struct bst_view value)
{
    struct rule *rule = into;
    rule->has_op = true;
    return bst_se_op_find(value, &rule->op);
}

static bst_result take_nth(void *into, struct bst_view value)
{
    struct rule *rule = into;
    if (bst_failed(bst_parse_u64(value, &rule->nth)) || rule->nth == 0) {
        BST_FAIL(BST_E_VALUE, "nth= takes a number from 1, not '%.*s'", BST_VIEW_ARGS(value));
    }
    return BST_OK;
}

static bst_result take_error(void *into, struct bst_view value)
{
    struct rule *rule = into;
    for (int code = 1; code < BST_E_COUNT; code++) {
        if (bst_view_is(value, bst_error_name((enum bst_error)code))) {
            rule->error = (enum bst_error)code;
            return BST_OK;
        }
    }
    BST_FAIL(BST_E_VALUE, "there is no error '%.*s'", BST_VIEW_ARGS(value));
}

static bst_result read_rule(const char *text, void *into)
{
    static const struct bst_se_field fields[] = {
        {"op", take_op}, {"nth", take_nth}, {"error", take_error}};
    struct rule *rule = into;
    rule->nth = 1;
    rule->error = BST_E_SE_TOKEN;
    return bst_se_rule_read(text, fields, sizeof fields / sizeof fields[0], rule, NULL);
}

static bst_result before(void *ctx, const struct bst_se_event *event)
{
    struct fault *fault = ctx;
    for (size_t i = 0; i < fault->n; i++) {
        struct rule *rule = &fault->rules[i];
        bool counts = !rule->has_op || strcmp(bst_se_op_name(rule->op), event->op) == 0;
        if (counts && atomic_fetch_add(&rule->calls, 1) + 1 == rule->nth) {
            BST_FAIL(rule->error, "fault put in at call %llu of %s", (unsigned long long)rule->nth,
                     event->op);
        }
    }
    return BST_OK;
}

bst_result bst_se_filter_fault(struct bst_se *se, const char *const *rules, size_t n)
{
    struct fault *fault = bst_alloc(sizeof *fault + n * sizeof fault->rules[0]);
    BST_ENSURE(fault, BST_E_NOMEM);
    fault->n = n;
    bst_result read = bst_se_rules_read(rules, n, sizeof fault->rules[0], read_rule, fault->rules);
    if (bst_failed(read)) {
        bst_free(fault);
        return read;
    }
    return bst_se_filter_add(
        se, &(struct bst_se_filter){.ctx = fault, .before = before, .drop = bst_free});
}
