/* Who may use which key for what. */
#include "se/filter_priv.h"

#include <stdio.h>

struct rule {
    bool allow, has_suid;
    struct bst_se_pattern subject, owner, label;
    int64_t suid;
    uint64_t ops; /* a bit each; 0: all */
};

struct policy {
    size_t n;
    struct rule rules[];
};

/* ---- reading ---- */

static bst_result take_subject(void *into, struct bst_view value)
{
    return bst_se_pattern_take(value, &((struct rule *)into)->subject);
}

static bst_result take_owner(void *into, struct bst_view value)
{
    return bst_se_pattern_take(value, &((struct rule *)into)->owner);
}

static bst_result take_label(void *into, struct bst_view value)
{
    return bst_se_pattern_take(value, &((struct rule *)into)->label);
}

static bst_result take_suid(void *into, struct bst_view value)
{
    struct rule *rule = into;
    rule->has_suid = true;
    if (bst_failed(bst_parse_i64(value, &rule->suid))) {
        BST_FAIL(BST_E_VALUE, "suid= takes a number, not '%.*s'", BST_VIEW_ARGS(value));
    }
    return BST_OK;
}

static bst_result take_ops(void *into, struct bst_view value)
{
    struct rule *rule = into;
    if (value.len == 0) {
        BST_FAIL(BST_E_VALUE, "op= names operations, like op=sign|mac");
    }
    while (value.len) {
        struct bst_view name;
        size_t op;
        bst_view_cut(&value, '|', &name);
        BST_TRY(bst_se_op_find(name, &op));
        rule->ops |= UINT64_C(1) << op;
    }
    return BST_OK;
}

static bst_result read_rule(const char *text, void *into)
{
    static const struct bst_se_field fields[] = {
        {"subject", take_subject}, {"owner", take_owner}, {"label", take_label},
        {"suid", take_suid},       {"op", take_ops},
    };
    struct rule *rule = into;
    struct bst_view word = {0};
    BST_TRY(bst_se_rule_read(text, fields, sizeof fields / sizeof fields[0], rule, &word));
    rule->allow = bst_view_is(word, "allow");
    if (!rule->allow && !bst_view_is(word, "deny")) {
        BST_FAIL(BST_E_VALUE, "rule '%.100s' begins neither with allow nor with deny", text);
    }
    return BST_OK;
}

bst_result bst_se_policy_rule_check(const char *text)
{
    struct rule rule = {0};
    return read_rule(text, &rule);
}

/* ---- deciding ---- */

static bool names_op(const struct rule *rule, const char *op)
{
    size_t i;
    return rule->ops == 0 ||
           (!bst_failed(bst_se_op_find(bst_view(op), &i)) && (rule->ops >> i & 1));
}

static bool fits(const struct rule *rule, const struct bst_se_event *event)
{
    return bst_se_pattern_fits(&rule->subject, event->subject) &&
           bst_se_pattern_fits(&rule->owner, event->owner) &&
           bst_se_pattern_fits(&rule->label, event->label) &&
           (!rule->has_suid || rule->suid == event->suid) && names_op(rule, event->op);
}

static bst_result before(void *ctx, const struct bst_se_event *event)
{
    const struct policy *policy = ctx;
    size_t at = 0;
    while (at < policy->n && !fits(&policy->rules[at], event)) {
        at++;
    }
    if (at < policy->n && policy->rules[at].allow) {
        return BST_OK;
    }
    char which[64] = "no rule of se.policy allows it";
    if (at < policy->n) {
        snprintf(which, sizeof which, "rule %zu of se.policy denies it", at + 1);
    }
    BST_FAIL(BST_E_DENIED, "%s may not do '%s' with '%s' of '%s': %s",
             event->subject[0] ? event->subject : "the server", event->op, event->label,
             event->owner, which);
}

bst_result bst_se_filter_policy(struct bst_se *se, const char *const *rules, size_t n)
{
    if (n == 0) {
        return BST_OK;
    }
    struct policy *policy = bst_alloc(sizeof *policy + n * sizeof policy->rules[0]);
    BST_ENSURE(policy, BST_E_NOMEM);
    policy->n = n;
    bst_result read =
        bst_se_rules_read(rules, n, sizeof policy->rules[0], read_rule, policy->rules);
    if (bst_failed(read)) {
        bst_free(policy);
        return read;
    }
    return bst_se_filter_add(
        se, &(struct bst_se_filter){.ctx = policy, .before = before, .drop = bst_free});
}
