/* <group> (TS-0004 7.4.13): members without doubles, of one type where the group asks for one. */
#include "cse/cse_priv.h"

enum { MEMBER_MIXED = 0, MEMBER_OLDEST = 20001, MEMBER_LATEST = 20002 };
enum { ABANDON_MEMBER = 1, ABANDON_GROUP = 2, SET_MIXED = 3 };

enum verdict { FITS, DOES_NOT_FIT, UNREACHABLE };

struct wish {
    int64_t type;
    struct bst_view specialization;
};

static enum verdict fits(bool yes)
{
    return yes ? FITS : DOES_NOT_FIT;
}

static bst_result specialization_fits(struct bst_cse_op *op, struct bst_cse_res *res,
                                      struct bst_view wanted, bool *ret)
{
    yyjson_val *definition;
    BST_TRY(bst_cse_attr(op, res, res->row.ty == 28 ? "cnd" : "mgd", &definition));
    struct bst_view text =
        yyjson_is_str(definition)
            ? bst_json_view(definition)
            : bst_arena_printf(op->arena, "%lld", (long long)yyjson_get_sint(definition));
    *ret = bst_view_eq(text, wanted);
    return BST_OK;
}

/* What stands behind a member ID: a resource, a virtual child, or the members of another group. */
static bst_result judge(struct bst_cse_op *op, struct bst_view member, const struct wish *wish,
                        enum verdict *ret)
{
    struct bst_cse_target target;
    *ret = DOES_NOT_FIT;
    BST_TRY(bst_cse_target_find(op, member, &target));
    if (!bst_m2m_address_is_local(&target.address, op->cse->self.sp_domain, op->cse->csi)) {
        *ret = UNREACHABLE; /* another CSE's: not known until it can be asked */
        return BST_OK;
    }
    if (target.virt == BST_VIRT_FANOUT && target.res) {
        int64_t type;
        BST_TRY(bst_cse_number(op, target.res, "mt", MEMBER_MIXED, &type));
        *ret = fits(type == wish->type);
    } else if (target.virt == BST_VIRT_LATEST || target.virt == BST_VIRT_OLDEST) {
        *ret = fits(target.container &&
                    wish->type == (target.virt == BST_VIRT_LATEST ? MEMBER_LATEST : MEMBER_OLDEST));
    } else if (target.virt == BST_VIRT_NONE && target.res) {
        bool fit = target.res->row.ty == wish->type;
        if (fit && wish->specialization.len) {
            BST_TRY(specialization_fits(op, target.res, wish->specialization, &fit));
        }
        *ret = fits(fit);
    }
    return BST_OK;
}

struct member_list {
    struct bst_view *v;
    size_t n;
};

/* [TS-0004 7.4.13.2.1] duplicate members are removed */
static bst_result without_doubles(struct bst_cse_op *op, yyjson_val *mid, struct member_list *ret)
{
    struct bst_map seen = {0};
    yyjson_val *entry;
    size_t index, count;
    bst_result r = BST_OK;
    ret->v = bst_arena_alloc(op->arena, (yyjson_arr_size(mid) + 1) * sizeof *ret->v);
    BST_ENSURE(ret->v, BST_E_NOMEM);
    yyjson_arr_foreach(mid, index, count, entry)
    {
        struct bst_view id = bst_json_view(entry);
        if (!bst_failed(r) && !bst_map_get(&seen, id)) {
            r = bst_map_set(&seen, id, ret, NULL);
            ret->v[ret->n++] = id;
        }
    }
    bst_map_clear(&seen);
    return r;
}

/* Drop what does not fit, or say what the strategy wants instead. */
static bst_result check_types(struct bst_cse_op *op, struct member_list *members, struct wish *wish,
                              int64_t strategy, bool *ret_validated)
{
    size_t kept = 0;
    *ret_validated = true;
    for (size_t i = 0; wish->type != MEMBER_MIXED && i < members->n; i++) {
        enum verdict verdict;
        BST_TRY(judge(op, members->v[i], wish, &verdict));
        *ret_validated = *ret_validated && verdict != UNREACHABLE;
        if (verdict == DOES_NOT_FIT && strategy == ABANDON_GROUP) {
            BST_FAIL(BST_E_MEMBER_TYPE, "member %.*s is not of memberType (mt) %lld",
                     BST_VIEW_ARGS(members->v[i]), (long long)wish->type);
        }
        if (verdict == DOES_NOT_FIT && strategy == SET_MIXED) {
            wish->type = MEMBER_MIXED;
            *ret_validated = true;
            return BST_OK;
        }
        if (verdict != DOES_NOT_FIT) {
            members->v[kept++] = members->v[i];
        }
    }
    members->n = wish->type == MEMBER_MIXED ? members->n : kept;
    return BST_OK;
}

static void set_members(struct bst_cse_draft *draft, const struct member_list *members)
{
    struct bst_buf text = {0};
    bst_buf_addc(&text, '[');
    for (size_t i = 0; i < members->n; i++) {
        if (i) {
            bst_buf_addc(&text, ',');
        }
        bst_buf_add_json(&text, members->v[i]);
    }
    bst_buf_addc(&text, ']');
    struct bst_view none = {NULL, 0};
    bst_cse_members_set(&draft->members, BST_VIEW("mid"),
                        text.failed ? none
                                    : bst_arena_view(draft->members.arena, bst_buf_view(&text)));
    bst_buf_clear(&text);
}

static bst_result number_of(const struct bst_cse_draft *draft, const char *sn, int64_t absent,
                            int64_t *ret)
{
    const struct bst_cse_member *m = bst_cse_members_find(&draft->members, bst_view(sn));
    *ret = absent;
    return m ? bst_parse_i64(m->text, ret) : BST_OK;
}

static bst_result parse_member(struct bst_cse_op *op, const struct bst_cse_draft *draft,
                               const char *sn, yyjson_val **ret)
{
    const struct bst_cse_member *m = bst_cse_members_find(&draft->members, bst_view(sn));
    *ret = NULL;
    return m ? bst_json_parse(op->arena, m->text, BST_JSON_DEPTH, ret) : BST_OK;
}

static bst_result check_count(size_t n, int64_t mnm)
{
    if (n > (uint64_t)mnm) {
        BST_FAIL(BST_E_MAX_MEMBERS, "%zu members, but maxNrOfMembers (mnm) is %lld", n,
                 (long long)mnm);
    }
    return BST_OK;
}

static bst_result validate(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    struct member_list members = {0};
    yyjson_val *mid, *spec;
    int64_t mnm, strategy;
    struct wish wish = {0};
    bool validated;
    BST_TRY(parse_member(op, draft, "mid", &mid));
    BST_TRY(parse_member(op, draft, "spty", &spec));
    BST_TRY(without_doubles(op, mid, &members));
    BST_TRY(number_of(draft, "mnm", INT64_MAX, &mnm));
    BST_TRY(check_count(members.n, mnm));
    BST_TRY(number_of(draft, "mt", MEMBER_MIXED, &wish.type));
    BST_TRY(number_of(draft, "csy", ABANDON_MEMBER, &strategy));
    if (spec) {
        wish.specialization =
            yyjson_is_str(spec) ? bst_json_view(spec) : bst_json_text(op->arena, spec);
    }
    BST_TRY(check_types(op, &members, &wish, strategy, &validated));
    set_members(draft, &members);
    bst_cse_members_set_number(&draft->members, "mt", wish.type);
    bst_cse_members_set_number(&draft->members, "csy", strategy);
    bst_cse_members_set_number(&draft->members, "cnm", (int64_t)members.n);
    bst_cse_members_set(&draft->members, BST_VIEW("mtv"),
                        validated ? BST_VIEW("true") : BST_VIEW("false"));
    return BST_OK;
}

static bst_result update(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    if (bst_json_get(draft->given, "mid")) {
        return validate(op, draft);
    }
    int64_t mnm, cnm;
    BST_TRY(number_of(draft, "mnm", INT64_MAX, &mnm));
    BST_TRY(number_of(draft, "cnm", 0, &cnm));
    return check_count((size_t)cnm, mnm);
}

const struct bst_cse_type bst_cse_type_grp = {
    .ty = BST_TY_GRP,
    .governor = BST_GOVERN_ACPI,
    .virtuals = 1u << BST_VIRT_FANOUT,
    .create = validate,
    .update = update,
};
