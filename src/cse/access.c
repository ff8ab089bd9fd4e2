/* Recv-6.3: which policies govern a resource, and what they say (TS-0004 7.3.3.15, TS-0003 7.1,
 * TS-0001 9.6.1.3.2).
 *
 * Policies are compiled once per connection and kept until the generation of all policies moves. A
 * change moves it when it is made (on the writer, so that the next job of the batch sees the
 * change) and again when it is durable, before it is answered: who got an answer finds the new
 * policy in force. */
#include "cse/cse_priv.h"

#include "obs/log.h"
#include "obs/metrics.h"

#define SETS_MAX 64

static void policy_free(struct bst_cse_policy *policy)
{
    bst_acp_rules_free(&policy->pv);
    bst_acp_rules_free(&policy->pvs);
    bst_free(policy);
}

void bst_cse_cache_clear(struct bst_cse_cache *cache)
{
    size_t cursor = 0;
    struct bst_view key;
    void *value;
    while (bst_map_next(&cache->policies, &cursor, &key, &value)) {
        policy_free(value);
    }
    bst_map_clear(&cache->policies);
}

void bst_cse_policies_moved(struct bst_cse *cse)
{
    atomic_fetch_add(&cse->generation, 1);
}

static bst_result compile(struct bst_cse_op *op, struct bst_cse_res *res, const char *sn, bool self,
                          struct bst_acp_rules **ret)
{
    yyjson_val *rules;
    BST_TRY(bst_cse_attr(op, res, sn, &rules));
    if (!rules) {
        return BST_OK;
    }
    const struct bst_acp_source source = {&op->cse->self, res->ri, self};
    bst_result r = bst_acp_compile(&source, rules, ret);
    if (bst_failed(r) && r.code != BST_E_NOMEM) {
        bst_log(BST_LOG_ERROR, "cse.policy_unusable", "%.*s of %.*s grants nothing: %s",
                BST_VIEW_ARGS(bst_view(sn)), BST_VIEW_ARGS(res->ri), bst_error_detail());
        return BST_OK;
    }
    return r;
}

static bst_result policy_load(struct bst_cse_op *op, struct bst_view name,
                              struct bst_cse_policy *ret)
{
    struct bst_cse_res *res;
    BST_TRY(bst_cse_find(op, name, &res));
    if (!res || res->row.ty != BST_TY_ACP) {
        return BST_OK; /* a missing or unreachable policy grants nothing */
    }
    BST_TRY(compile(op, res, "pv", false, &ret->pv));
    return compile(op, res, "pvs", true, &ret->pvs);
}

/* Policies of one name, from the cache or compiled now. */
static bst_result policy_get(struct bst_cse_op *op, struct bst_view name,
                             const struct bst_cse_policy **ret)
{
    struct bst_cse_cache *cache = op->cache;
    struct bst_cse_policy *policy = bst_map_get(&cache->policies, name);
    if (!policy) {
        policy = bst_alloc(sizeof *policy);
        BST_ENSURE(policy, BST_E_NOMEM);
        bst_result r = policy_load(op, name, policy);
        if (!bst_failed(r)) {
            r = bst_map_set(&cache->policies, name, policy, NULL);
        }
        if (bst_failed(r)) {
            policy_free(policy);
            return r;
        }
    }
    *ret = policy;
    return BST_OK;
}

/* How an originator may stand in a list of members: by its identifier in any form, or, an AE, by
 * any address of its resource. Everything is looked up once; members are then compared as text. */
struct names {
    const struct bst_originator *who;
    struct bst_view stem, path; /* path: structured, behind the CSEBase's name; empty: no AE here */
};

static bst_result names_of(struct bst_cse_op *op, const struct bst_originator *who,
                           struct names *ret)
{
    struct bst_cse_res *ae;
    *ret = (struct names){.who = who, .stem = bst_entity_last(&who->id)};
    if (who->id.kind == BST_ENTITY_CSE) {
        return BST_OK;
    }
    BST_TRY(bst_cse_find(op, ret->stem, &ae));
    if (ae && ae->row.ty == BST_TY_AE) {
        ret->path = ae->row.name; /* AEs are children of the CSEBase */
    }
    return BST_OK;
}

static bool is_member(struct bst_cse_op *op, struct bst_view member, const struct names *names)
{
    struct bst_entity_id id;
    struct bst_m2m_address a;
    if (!bst_failed(bst_entity_parse(&op->cse->self, member, &id)) &&
        bst_view_eq(bst_entity_abs(&id), bst_entity_abs(&names->who->id))) {
        return true;
    }
    if (!names->path.len || bst_failed(bst_m2m_address_parse(member, &a)) ||
        !bst_m2m_address_is_local(&a, op->cse->self.sp_domain, op->cse->csi)) {
        return false;
    }
    bool structured = a.n_seg == 2 && (bst_view_eq(a.seg[0], op->cse->config.cse_name) ||
                                       bst_view_is(a.seg[0], "-"));
    return structured ? bst_view_eq(a.seg[1], names->path)
                      : a.n_seg == 1 && bst_view_eq(a.seg[0], names->stem);
}

static bst_result group_has(struct bst_cse_op *op, struct bst_view group_id,
                            const struct bst_originator *who, enum bst_membership *ret)
{
    struct bst_cse_res *group;
    struct names names;
    yyjson_val *members, *member;
    size_t index, count;
    *ret = BST_MEMBER_UNREACHABLE;
    BST_TRY(bst_cse_find(op, group_id, &group));
    if (!group || group->row.ty != BST_TY_GRP) {
        return BST_OK;
    }
    BST_TRY(names_of(op, who, &names));
    BST_TRY(bst_cse_attr(op, group, "mid", &members));
    *ret = BST_MEMBER_NO;
    yyjson_arr_foreach(members, index, count, member)
    {
        if (is_member(op, bst_json_view(member), &names)) {
            *ret = BST_MEMBER_YES;
            break;
        }
    }
    return BST_OK;
}

/* A look-up that failed, or took too many steps, is no answer: the operation ends with it. */
static enum bst_membership group_lookup(void *ctx, struct bst_view group_id,
                                        const struct bst_originator *who)
{
    struct bst_cse_op *op = ctx;
    enum bst_membership membership = BST_MEMBER_UNREACHABLE;
    bst_result r = group_has(op, group_id, who, &membership);
    if (bst_failed(r)) {
        op->lookup = r;
    }
    return membership;
}

static bst_result as_parent(struct bst_cse_op *op, struct bst_cse_res *res, bool *ret)
{
    yyjson_val *acpi = NULL;
    if (res->rules->governor == BST_GOVERN_INHERIT) {
        BST_TRY(bst_cse_attr(op, res, "acpi", &acpi));
        *ret = !acpi;
    } else {
        *ret = res->rules->governor == BST_GOVERN_PARENT;
    }
    return BST_OK;
}

/* The resource whose acpi, selfPrivileges or creator decides. */
static bst_result governing(struct bst_cse_op *op, struct bst_cse_res *res,
                            struct bst_cse_res **ret)
{
    bool upwards;
    for (;;) {
        struct bst_cse_res *parent;
        BST_TRY(as_parent(op, res, &upwards));
        if (!upwards) {
            break;
        }
        BST_TRY(bst_cse_parent(op, res, &parent));
        if (!parent) {
            break;
        }
        res = parent;
    }
    *ret = res;
    return BST_OK;
}

struct governed {
    struct bst_cse_res *by;
    yyjson_val *custodian; /* NULL: none */
    yyjson_val *acpi;      /* NULL: the creator decides, or `by` is a policy */
    const struct bst_acp_rules *sets[SETS_MAX];
    size_t n;
};

static bst_result collect(struct bst_cse_op *op, bool self, struct governed *g)
{
    const struct bst_cse_policy *policy;
    if (g->by->rules->governor == BST_GOVERN_SELF) {
        BST_TRY(policy_get(op, g->by->ri, &policy));
        g->sets[g->n++] = policy->pvs;
    }
    yyjson_val *entry;
    size_t index, count;
    yyjson_arr_foreach(g->acpi, index, count, entry)
    {
        if (g->n < SETS_MAX - 1) {
            BST_TRY(policy_get(op, bst_json_view(entry), &policy));
            g->sets[g->n++] = self ? policy->pvs : policy->pv;
        }
    }
    /* The administrator's policy is a resource like the others, and holds everywhere. */
    BST_TRY(policy_get(op, bst_view(op->cse->admin_policy), &policy));
    g->sets[g->n++] = policy->pv;
    return BST_OK;
}

static void fill_request(struct bst_cse_op *op, struct bst_cse_res *res,
                         const struct bst_cse_need *need, struct bst_access_request *ret)
{
    *ret = (struct bst_access_request){
        .originator = &op->who,
        .op = need->acop,
        .target_ty = res->row.ty,
        .create_ty = need->create_ty,
        .content_spec = need->content_spec,
        .now_us = op->now_us,
        .ip = op->ip,
        .authenticated = op->who.proved,
        .group = group_lookup,
        .group_ctx = op,
    };
}

/* Who may do everything where no policy was named: the custodian, where the resource has one
 * (Release 4), else the creator. */
static bst_result default_holder(struct bst_cse_op *op, const struct governed *g,
                                 struct bst_view *ret)
{
    struct bst_entity_id id;
    if (!g->custodian) {
        return bst_principal_name(op->conn, g->by->row.cr, op->arena, ret);
    }
    BST_TRY(bst_entity_parse(&op->cse->self, bst_json_view(g->custodian), &id));
    *ret = bst_arena_view(op->arena, bst_entity_abs(&id));
    BST_ENSURE(ret->ptr, BST_E_NOMEM);
    return BST_OK;
}

static bst_result decide(struct bst_cse_op *op, const struct bst_access_request *request, bool self,
                         struct governed *g, struct bst_access_decision *ret)
{
    BST_TRY(collect(op, self, g));
    bst_access_decide(g->sets, g->n, request, ret);
    BST_TRY(op->lookup);
    if (ret->permit || g->acpi || g->by->rules->governor == BST_GOVERN_SELF) {
        return BST_OK;
    }
    struct bst_view holder;
    BST_TRY(default_holder(op, g, &holder));
    bst_access_decide_creator(holder, request, ret);
    return BST_OK;
}

static uint64_t memo_key(const struct governed *g)
{
    if (g->by->rules->governor == BST_GOVERN_SELF) {
        return (uint64_t)g->by->row.id * 4 + 1;
    }
    if (!g->acpi) {
        return g->custodian ? bst_hash(bst_json_view(g->custodian)) * 4
                            : (uint64_t)g->by->row.cr * 4 + 2;
    }
    uint64_t key = 3;
    yyjson_val *entry;
    size_t index, count;
    yyjson_arr_foreach(g->acpi, index, count, entry)
    {
        key = key * UINT64_C(0x9e3779b97f4a7c15) + bst_hash(bst_json_view(entry));
    }
    return key;
}

static struct bst_cse_decision_memo *memo_find(struct bst_cse_op *op, uint64_t key, uint32_t acop)
{
    for (unsigned i = 0; i < BST_CSE_MEMO; i++) {
        if (op->memo[i].op == acop && op->memo[i].key == key) {
            return &op->memo[i];
        }
    }
    return NULL;
}

static bst_result find_governed(struct bst_cse_op *op, struct bst_cse_res *res,
                                const struct bst_cse_need *need, struct governed *g)
{
    memset(g, 0, offsetof(struct governed, sets));
    g->n = 0;
    BST_TRY(governing(op, res, &g->by));
    if (g->by->rules->governor != BST_GOVERN_ACPI && g->by->rules->governor != BST_GOVERN_INHERIT) {
        return BST_OK;
    }
    if (need->members) {
        BST_TRY(bst_cse_attr(op, g->by, "macp", &g->acpi));
    }
    if (!g->acpi) {
        BST_TRY(bst_cse_attr(op, g->by, "acpi", &g->acpi));
    }
    return g->acpi ? BST_OK : bst_cse_attr(op, g->by, "cstn", &g->custodian);
}

bst_result bst_cse_access(struct bst_cse_op *op, struct bst_cse_res *res,
                          const struct bst_cse_need *need, bool *ret_permit)
{
    struct governed g;
    struct bst_access_request request;
    struct bst_access_decision decision;
    if (op->call->own) {
        *ret_permit = true;
        return BST_OK;
    }
    BST_TRY(find_governed(op, res, need, &g));
    bool repeats = need->acop != BST_ACOP_CREATE && !need->self;
    uint64_t key = repeats ? memo_key(&g) : 0;
    struct bst_cse_decision_memo *memo = repeats ? memo_find(op, key, need->acop) : NULL;
    if (memo) {
        *ret_permit = memo->permit;
        return BST_OK;
    }
    fill_request(op, res, need, &request);
    BST_TRY(decide(op, &request, need->self, &g, &decision));
    *ret_permit = decision.permit;
    if (repeats) {
        op->memo[op->memo_next++ % BST_CSE_MEMO] =
            (struct bst_cse_decision_memo){key, need->acop, decision.permit};
    }
    return BST_OK;
}

bst_result bst_cse_access_of(struct bst_cse_op *op, struct bst_cse_res *res,
                             const struct bst_originator *who, bool *ret_permit)
{
    const struct bst_cse_need need = {.acop = BST_ACOP_RETRIEVE};
    struct bst_access_request request;
    struct bst_access_decision decision;
    struct governed g;
    BST_TRY(find_governed(op, res, &need, &g));
    fill_request(op, res, &need, &request);
    request.originator = who;
    request.authenticated = who->proved;
    request.ip = (struct bst_ip){0};
    request.anywhere = true;
    BST_TRY(decide(op, &request, false, &g, &decision));
    *ret_permit = decision.permit;
    return BST_OK;
}

static void copy_text(char *out, size_t cap, struct bst_view v)
{
    size_t len = v.len < cap ? v.len : cap - 1;
    if (len) {
        memcpy(out, v.ptr, len);
    }
    out[len] = '\0';
}

static void fill_trace(struct bst_cse_op *op, struct bst_cse_res *res,
                       const struct bst_cse_need *need, const struct bst_access_decision *d)
{
    struct bst_cse_trace *trace = &op->call->trace;
    struct bst_access_request request;
    struct bst_buf reason = {0};
    fill_request(op, res, need, &request);
    bst_access_explain(d, &request, &reason);
    *trace = (struct bst_cse_trace){.checked = true, .permitted = d->permit, .rule = d->rule};
    copy_text(trace->policy, sizeof trace->policy, bst_access_policy_id(d));
    copy_text(trace->reason, sizeof trace->reason, bst_buf_view(&reason));
    copy_text(trace->clause, sizeof trace->clause, bst_view(bst_access_clause(d)));
    copy_text(trace->attribute, sizeof trace->attribute, bst_view(bst_access_attribute(d)));
    bst_buf_clear(&reason);
}

static void audit_denial(struct bst_cse_op *op, const struct bst_cse_need *need)
{
    const struct bst_cse_trace *trace = &op->call->trace;
    const struct bst_association *assoc = op->call->assoc;
    bst_metric_add(op->cse->denied, 1);
    const struct bst_audit_event event = {
        .event = "access.denied",
        .subject = bst_entity_abs(&op->who.id),
        .credential = assoc ? bst_view(assoc->cred_id) : (struct bst_view){0},
        .peer = op->call->peer_ip,
        .op = bst_view(bst_acop_name(need->acop)),
        .target = op->req->to,
        .decision = BST_VIEW("denied"),
        .rule = bst_view(trace->attribute),
        .clause = bst_view(trace->clause),
        .detail = bst_view(trace->reason),
        .rsc = BST_RSC_ORIGINATOR_HAS_NO_PRIVILEGE,
    };
    if (bst_failed(bst_audit_write(op->cse->config.audit, &event))) {
        bst_log(BST_LOG_ERROR, "audit.write_failed", "a denial was not recorded: %s",
                bst_error_detail());
    }
}

bst_result bst_cse_demand(struct bst_cse_op *op, struct bst_cse_res *res,
                          const struct bst_cse_need *need)
{
    struct governed g;
    struct bst_access_request request;
    struct bst_access_decision decision;
    if (op->call->own) {
        return BST_OK;
    }
    BST_TRY(find_governed(op, res, need, &g));
    fill_request(op, res, need, &request);
    BST_TRY(decide(op, &request, need->self, &g, &decision));
    if (decision.permit && !op->call->explain) {
        op->call->trace.checked = op->call->trace.permitted = true;
        return BST_OK;
    }
    fill_trace(op, res, need, &decision);
    if (decision.permit) {
        return BST_OK;
    }
    if (!op->call->explain) {
        audit_denial(op, need);
    }
    BST_FAIL(BST_E_DENIED,
             "%.*s may not %s %.*s: ask its owner for a policy that lets you, or check From",
             BST_VIEW_ARGS(op->req->fr), bst_acop_name(need->acop), BST_VIEW_ARGS(op->req->to));
}
