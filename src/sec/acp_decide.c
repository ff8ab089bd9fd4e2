/* The access decision: the reference algorithm of TS-0003 V3.18, 7.1.5, in the order that is
 * cheapest. A rule permits when all five of its conditions hold; one permitting rule is enough; all
 * else is deny. */
#include "sec/acp_priv.h"

/* What is computed at most once for a decision. */
struct probe {
    const struct bst_access_request *req;
    uint64_t bloom; /* bits of every name that the originator goes by */
    struct bst_calendar now;
    bool has_now;
};

static uint64_t bloom_of(const struct bst_access_request *req)
{
    const struct bst_originator *o = req->originator;
    uint64_t bits = o->id.len ? acp_bloom_bit(o->hash) | acp_bloom_bit(o->sp_hash) : 0;
    for (size_t i = 0; i < req->n_roles; i++) {
        bits |= acp_bloom_bit(bst_hash(req->roles[i]));
    }
    return bits;
}

/* ---- originators ---- */

static bool role_held(const struct bst_access_request *req, struct bst_view role)
{
    for (size_t i = 0; i < req->n_roles; i++) {
        if (bst_view_eq(req->roles[i], role)) {
            return true;
        }
    }
    return false;
}

static bool name_is(const struct bst_acp_rules *set, const struct acp_name *name,
                    const struct bst_access_request *req)
{
    const struct bst_originator *o = req->originator;
    if (name->kind == NAME_ROLE) {
        return role_held(req, acp_view(set, name->normal));
    }
    bool domain = name->kind == NAME_DOMAIN;
    return o->id.len && name->hash == (domain ? o->sp_hash : o->hash) &&
           bst_view_eq(acp_view(set, name->normal),
                       domain ? bst_entity_sp(&o->id) : bst_entity_abs(&o->id));
}

static bool pattern_is(const struct bst_acp_rules *set, const struct acp_pattern *pattern,
                       const struct bst_originator *o)
{
    if (!o->id.len || (pattern->ae_only && o->id.kind == BST_ENTITY_CSE)) {
        return false;
    }
    struct bst_view text = pattern->domain ? bst_entity_sp(&o->id) : bst_entity_abs(&o->id);
    struct bst_view normal = acp_view(set, pattern->normal);
    return text.len >= pattern->prefix && memcmp(text.ptr, normal.ptr, pattern->prefix) == 0 &&
           bst_wildcard_match(normal, text, '/');
}

/* Everything but groups, which may have to be fetched. */
static bool originator_listed(const struct bst_acp_rules *set, const struct acp_rule *rule,
                              const struct probe *p, struct bst_view *ret_entry)
{
    if (rule->all) {
        *ret_entry = BST_VIEW("all");
        return true;
    }
    for (uint32_t i = 0; (rule->bloom & p->bloom) && i < rule->names.n; i++) {
        const struct acp_name *name = &set->names[rule->names.at + i];
        if (name_is(set, name, p->req)) {
            *ret_entry = acp_view(set, name->written);
            return true;
        }
    }
    for (uint32_t i = 0; i < rule->patterns.n; i++) {
        const struct acp_pattern *pattern = &set->patterns[rule->patterns.at + i];
        if (pattern_is(set, pattern, p->req->originator)) {
            *ret_entry = acp_view(set, pattern->written);
            return true;
        }
    }
    return false;
}

/* [TS-0001, 9.6.2.1] a group that cannot be had grants nothing */
static enum bst_membership originator_in_group(const struct bst_acp_rules *set,
                                               const struct acp_rule *rule, const struct probe *p,
                                               struct bst_view *ret_entry)
{
    const struct bst_access_request *req = p->req;
    enum bst_membership worst = BST_MEMBER_NO;
    for (uint32_t i = 0; req->originator->id.len && i < rule->groups.n; i++) {
        struct bst_view group = acp_view(set, set->groups[rule->groups.at + i].written);
        enum bst_membership m = req->group ? req->group(req->group_ctx, group, req->originator)
                                           : BST_MEMBER_UNREACHABLE;
        if (m != BST_MEMBER_NO) {
            *ret_entry = group;
            worst = m;
        }
        if (m == BST_MEMBER_YES) {
            return m;
        }
    }
    return worst;
}

/* ---- object details ---- */

static bool object_is(const struct bst_acp_rules *set, const struct acp_object *obj,
                      const struct bst_access_request *req)
{
    if (obj->ty && obj->ty != req->target_ty) {
        return false;
    }
    struct bst_view spec = acp_view(set, obj->spec);
    /* TS-0001 9.6.2.4 compares with the target, TS-0003 7.1.5 with the content: either will do. */
    if (spec.len && !bst_view_eq(spec, req->target_spec) && !bst_view_eq(spec, req->content_spec)) {
        return false;
    }
    for (uint32_t i = 0; i < obj->children.n; i++) {
        if (set->children[obj->children.at + i] == req->create_ty) {
            return true;
        }
    }
    return false;
}

static bool object_allowed(const struct bst_acp_rules *set, const struct acp_rule *rule,
                           const struct bst_access_request *req)
{
    if (req->op != BST_ACOP_CREATE || !rule->objects.n) {
        return true;
    }
    for (uint32_t i = 0; i < rule->objects.n; i++) {
        if (object_is(set, &set->objects[rule->objects.at + i], req)) {
            return true;
        }
    }
    return false;
}

/* ---- contexts ---- */

static bool in_window(const struct bst_acp_rules *set, struct acp_slice s, struct probe *p)
{
    if (s.n && !p->has_now && p->req->now_us > 0) {
        bst_calendar_of(p->req->now_us, &p->now);
        p->has_now = true;
    }
    for (uint32_t i = 0; p->has_now && i < s.n; i++) {
        if (bst_crontab_match(&set->windows[s.at + i], &p->now)) {
            return true;
        }
    }
    return s.n == 0;
}

static bool from_net(const struct bst_acp_rules *set, struct acp_slice s,
                     const struct bst_access_request *req)
{
    for (uint32_t i = 0; i < s.n; i++) {
        if (bst_cidr_match(&set->nets[s.at + i], &req->ip)) {
            return true;
        }
    }
    return s.n == 0 || req->anywhere;
}

static bool in_region(const struct bst_acp_rules *set, struct acp_slice s,
                      const struct bst_access_request *req)
{
    for (uint32_t i = 0; req->location && i < s.n; i++) {
        if (bst_region_match(&set->regions[s.at + i], req->location)) {
            return true;
        }
    }
    return s.n == 0 || req->anywhere;
}

static enum bst_access_step context_step(const struct bst_acp_rules *set,
                                         const struct acp_context *ctx, struct probe *p)
{
    if (!in_window(set, ctx->windows, p)) {
        return BST_ACCESS_WINDOW;
    }
    if (!from_net(set, ctx->nets, p->req)) {
        return BST_ACCESS_IP;
    }
    if (!in_region(set, ctx->regions, p->req)) {
        return p->req->location ? BST_ACCESS_LOCATION : BST_ACCESS_NO_LOCATION;
    }
    return BST_ACCESS_PERMITTED;
}

/* The furthest that any context of the rule gets. */
static enum bst_access_step contexts_step(const struct bst_acp_rules *set,
                                          const struct acp_rule *rule, struct probe *p)
{
    enum bst_access_step best = rule->contexts.n ? BST_ACCESS_WINDOW : BST_ACCESS_PERMITTED;
    for (uint32_t i = 0; i < rule->contexts.n && best != BST_ACCESS_PERMITTED; i++) {
        enum bst_access_step step = context_step(set, &set->contexts[rule->contexts.at + i], p);
        best = step > best ? step : best;
    }
    return best;
}

/* ---- rules ---- */

static bool rule_permits(const struct bst_acp_rules *set, const struct acp_rule *rule,
                         struct probe *p, struct bst_view *ret_entry)
{
    if (!(rule->ops & p->req->op) || (rule->authenticated && !p->req->authenticated)) {
        return false;
    }
    bool listed = originator_listed(set, rule, p, ret_entry);
    if (!listed && !rule->groups.n) {
        return false;
    }
    return object_allowed(set, rule, p->req) &&
           contexts_step(set, rule, p) == BST_ACCESS_PERMITTED &&
           (listed || originator_in_group(set, rule, p, ret_entry) == BST_MEMBER_YES);
}

/* Why a rule does not permit, in the order of the standard; only for denials. */
static enum bst_access_step rule_step(const struct bst_acp_rules *set, const struct acp_rule *rule,
                                      struct probe *p, struct bst_view *ret_entry)
{
    if (!originator_listed(set, rule, p, ret_entry)) {
        switch (originator_in_group(set, rule, p, ret_entry)) {
        case BST_MEMBER_NO:
            return BST_ACCESS_ORIGINATOR;
        case BST_MEMBER_UNREACHABLE:
            return BST_ACCESS_GROUP;
        case BST_MEMBER_YES:
            break;
        }
    }
    if (!(rule->ops & p->req->op)) {
        return BST_ACCESS_OPERATION;
    }
    if (rule->authenticated && !p->req->authenticated) {
        return BST_ACCESS_AUTHENTICATION;
    }
    if (!object_allowed(set, rule, p->req)) {
        return BST_ACCESS_OBJECT;
    }
    return contexts_step(set, rule, p);
}

/* The rule that came closest says the most about what to change. */
static void find_reason(const struct bst_acp_rules *const *sets, size_t n_sets, struct probe *p,
                        struct bst_access_decision *ret)
{
    for (size_t s = 0; s < n_sets; s++) {
        if (sets[s] && ret->step == BST_ACCESS_NO_POLICY) {
            *ret = (struct bst_access_decision){
                .step = BST_ACCESS_NO_RULE, .policy = sets[s], .rule = -1};
        }
        for (uint32_t i = 0; sets[s] && i < sets[s]->n_rules; i++) {
            struct bst_view entry = {NULL, 0};
            enum bst_access_step step = rule_step(sets[s], &sets[s]->rules[i], p, &entry);
            if (step > ret->step) {
                *ret = (struct bst_access_decision){
                    .step = step, .policy = sets[s], .rule = (int)i, .entry = entry};
            }
        }
    }
}

void bst_access_decide(const struct bst_acp_rules *const *sets, size_t n_sets,
                       const struct bst_access_request *req, struct bst_access_decision *ret)
{
    struct probe p = {.req = req, .bloom = bloom_of(req)};
    for (size_t s = 0; s < n_sets; s++) {
        const struct bst_acp_rules *set = sets[s];
        for (uint32_t i = 0; set && (set->ops & req->op) && i < set->n_rules; i++) {
            struct bst_view entry = {NULL, 0};
            if (rule_permits(set, &set->rules[i], &p, &entry)) {
                *ret = (struct bst_access_decision){.permit = true,
                                                    .step = BST_ACCESS_PERMITTED,
                                                    .policy = set,
                                                    .rule = (int)i,
                                                    .entry = entry};
                return;
            }
        }
    }
    struct bst_access_decision deny = {.step = BST_ACCESS_NO_POLICY, .rule = -1};
    find_reason(sets, n_sets, &p, &deny);
    deny.permit = false;
    *ret = deny;
}

void bst_access_decide_creator(struct bst_view creator_abs, const struct bst_access_request *req,
                               struct bst_access_decision *ret)
{
    const struct bst_originator *o = req->originator;
    *ret = (struct bst_access_decision){.step = BST_ACCESS_CREATOR, .rule = -1};
    ret->permit = creator_abs.len && o->id.len && bst_view_eq(creator_abs, bst_entity_abs(&o->id));
}
