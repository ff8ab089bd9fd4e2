/* What a request must look like, whichever binding brought it: TS-0004 7.2.1.1, 7.3.2.1. */
#include "onem2m/primitive_priv.h"

#define AT(member) offsetof(struct bst_m2m_request, member)
const struct bst_m2m_param bst_m2m_params[] = {
    {"asi", BST_PARAM_BOOL, AT(asi), 0, BST_REQ_ASI},
    {"auri", BST_PARAM_BOOL, AT(auri), 0, BST_REQ_AURI},
    {"aus", BST_PARAM_TEXTS, AT(aus), 0, 0},
    {"da", BST_PARAM_BOOL, AT(da), 0, BST_REQ_DA},
    {"drt", BST_PARAM_INT, AT(drt), 0, 0},
    {"ec", BST_PARAM_INT, AT(ec), 0, 0},
    {"fc", BST_PARAM_FC, AT(fc), 0, BST_REQ_FC},
    {"fr", BST_PARAM_TEXT, AT(fr), 0, BST_REQ_FR},
    {"gid", BST_PARAM_TEXT, AT(gid), 0, 0},
    {"grtm", BST_PARAM_TEXTS, AT(grtm), 0, 0},
    {"ltids", BST_PARAM_TEXTS, AT(ltids), 0, 0},
    {"oet", BST_PARAM_TIME, AT(oet), 0, 0},
    {"op", BST_PARAM_INT, AT(op), 0, 0},
    {"ot", BST_PARAM_TIME, AT(ot), 0, 0},
    {"pc", BST_PARAM_PC, AT(pc), 0, 0},
    {"rcn", BST_PARAM_INT, AT(rcn), BST_RCN_ABSENT, 0},
    {"rids", BST_PARAM_TEXTS, AT(rids), 0, 0},
    {"rp", BST_PARAM_TIME, AT(rp), 0, 0},
    {"rqet", BST_PARAM_TIME, AT(rqet), 0, 0},
    {"rqi", BST_PARAM_TEXT, AT(rqi), 0, 0},
    {"rset", BST_PARAM_TIME, AT(rset), 0, 0},
    {"rt", BST_PARAM_RT, AT(rt), 0, 0},
    {"rvi", BST_PARAM_TEXT, AT(rvi), 0, 0},
    {"sqi", BST_PARAM_BOOL, AT(sqi), 0, BST_REQ_SQI},
    {"tids", BST_PARAM_TEXTS, AT(tids), 0, 0},
    {"tkns", BST_PARAM_TEXTS, AT(tkns), 0, 0},
    {"to", BST_PARAM_TEXT, AT(to), 0, 0},
    {"tqi", BST_PARAM_BOOL, AT(tqi), 0, BST_REQ_TQI},
    {"ty", BST_PARAM_INT, AT(ty), 0, 0},
    {"vsi", BST_PARAM_TEXT, AT(vsi), 0, 0},
};
const size_t bst_m2m_n_params = sizeof bst_m2m_params / sizeof bst_m2m_params[0];

/* Numbers from here on belong to interfaces beside the CSE (TS-0032: MEF and MAF), whose types the
 * tables do not have. */
#define TY_OTHER_INTERFACES 30000

static bool of_other_interface(int ty)
{
    return ty >= TY_OTHER_INTERFACES && !bst_m2m_type_by_ty(ty);
}

enum bst_m2m_release bst_m2m_release_of(struct bst_view rvi)
{
    static const char *const texts[] = {
        [BST_RELEASE_1] = "1", [BST_RELEASE_2] = "2", [BST_RELEASE_2A] = "2a",
        [BST_RELEASE_3] = "3", [BST_RELEASE_4] = "4", [BST_RELEASE_5] = "5",
    };
    if (rvi.len == 0) {
        return rvi.ptr ? BST_RELEASE_UNKNOWN : BST_RELEASE_NONE;
    }
    for (int i = BST_RELEASE_1; i <= BST_RELEASE_5; i++) {
        if (bst_view_is(rvi, texts[i])) {
            return (enum bst_m2m_release)i;
        }
    }
    return BST_RELEASE_UNKNOWN;
}

void bst_m2m_request_init(struct bst_m2m_request *req)
{
    memset(req, 0, sizeof *req);
    req->rcn = BST_RCN_ABSENT;
}

int bst_m2m_request_rcn(const struct bst_m2m_request *r)
{
    bool discovery = r->op == BST_OP_RETRIEVE && r->fc.fu == BST_FU_DISCOVERY;
    if (r->rcn != BST_RCN_ABSENT || discovery || r->op == BST_OP_NOTIFY) {
        return r->rcn;
    }
    return r->op == BST_OP_DELETE ? BST_RCN_NOTHING : BST_RCN_ATTRIBUTES;
}

bool bst_m2m_param_present(const struct bst_m2m_request *req, const struct bst_m2m_param *p)
{
    const void *at = (const char *)req + p->at;
    switch (p->form) {
    case BST_PARAM_TEXT:
        return ((const struct bst_view *)at)->ptr != NULL;
    case BST_PARAM_TIME:
        return ((const struct bst_m2m_time *)at)->text.ptr != NULL;
    case BST_PARAM_BOOL:
    case BST_PARAM_FC:
        return (req->present & p->bit) != 0;
    case BST_PARAM_TEXTS:
        return ((const struct bst_m2m_views *)at)->n != 0;
    case BST_PARAM_PC:
        return req->pc != NULL || req->pc_text.len != 0 || req->atrl.n != 0;
    default:
        return *(const int *)at != p->absent;
    }
}

static bst_result check_optionality(const struct bst_m2m_request *req)
{
    if (BST_BUG(bst_m2m_n_params != bst_m2m_n_parameters)) {
        return bst_error(BST_E_INTERNAL);
    }
    for (size_t i = 0; i < bst_m2m_n_params; i++) {
        uint8_t opt = bst_m2m_parameters[i].opt[req->op - 1];
        bool present = bst_m2m_param_present(req, &bst_m2m_params[i]);
        if (opt == BST_OPT_NP && present) {
            BST_FAIL(BST_E_SYNTAX, "%s (%s) must not be present in a %s", bst_m2m_params[i].sn,
                     bst_m2m_name_at(bst_m2m_parameters[i].name), bst_m2m_op_name(req->op));
        }
        /* An absent rvi is read as Release 1 (TS-0004 7.3.2.1). */
        if (opt == BST_OPT_M && !present && bst_m2m_params[i].at != AT(rvi)) {
            BST_FAIL(BST_E_SYNTAX, "%s (%s) is missing in a %s", bst_m2m_params[i].sn,
                     bst_m2m_name_at(bst_m2m_parameters[i].name), bst_m2m_op_name(req->op));
        }
    }
    return BST_OK;
}

static bst_result check_release(const struct bst_m2m_request *req)
{
    if (bst_m2m_release_of(req->rvi) == BST_RELEASE_UNKNOWN) {
        BST_FAIL(BST_E_VERSION,
                 "rvi (Release Version Indicator) \"%.*s\" is not one of 1, 2, 2a, 3, 4, 5",
                 (int)(req->rvi.len > 16 ? 16 : req->rvi.len), req->rvi.ptr);
    }
    return BST_OK;
}

static bst_result check_ids(const struct bst_m2m_request *req)
{
    if (!bst_m2m_is_request_id(req->rqi)) {
        BST_FAIL(BST_E_VALUE, "rqi (Request Identifier) is empty, too long or has blanks");
    }
    if (req->fr.ptr && !bst_m2m_is_id(req->fr)) {
        BST_FAIL(BST_E_VALUE, "fr (From) is no identifier");
    }
    bool may_lack_from = req->ty == BST_TY_AE || of_other_interface(req->ty);
    if (!req->fr.ptr && !(req->op == BST_OP_CREATE && may_lack_from)) {
        BST_FAIL(BST_E_SYNTAX, "fr (From) is missing; only the creation of an AE may do without");
    }
    if (req->to.len == 0 || req->to.len > BST_ADDR_MAX) {
        BST_FAIL(BST_E_SYNTAX, "to (To) is empty or too long");
    }
    return BST_OK;
}

/* Which rcn goes with what: TS-0001 table 8.1.2-1; 11 and 12 are of later releases. */
#define RCN(n) (1u << (n))
static const unsigned rcn_allowed[] = {
    [BST_OP_CREATE] = RCN(0) | RCN(1) | RCN(2) | RCN(3) | RCN(9),
    [BST_OP_RETRIEVE] = RCN(1) | RCN(4) | RCN(5) | RCN(6) | RCN(7) | RCN(8) | RCN(10) | RCN(12),
    [BST_OP_UPDATE] = RCN(0) | RCN(1) | RCN(9),
    [BST_OP_DELETE] = RCN(0) | RCN(1) | RCN(4) | RCN(5) | RCN(6) | RCN(8),
    [BST_OP_NOTIFY] = 0,
};
#define RCN_DISCOVERY (RCN(6) | RCN(11))

static bst_result check_rcn(const struct bst_m2m_request *req)
{
    if (req->rcn == BST_RCN_ABSENT) {
        return BST_OK;
    }
    bool discovery = req->op == BST_OP_RETRIEVE && req->fc.fu == BST_FU_DISCOVERY;
    unsigned allowed = discovery ? RCN_DISCOVERY : rcn_allowed[req->op];
    if (req->rcn < 0 || req->rcn > 31 || !(allowed & RCN(req->rcn))) {
        BST_FAIL(BST_E_VALUE, "rcn (Result Content) %d is not defined for %s", req->rcn,
                 discovery ? "a discovery" : bst_m2m_op_name(req->op));
    }
    if (req->rcn == BST_RCN_SEMANTIC) {
        BST_FAIL(BST_E_NOT_IMPLEMENTED, "rcn 10 (semantic content) is not supported");
    }
    return BST_OK;
}

static bst_result check_numbers(const struct bst_m2m_request *req)
{
    if (req->rt && (req->rt < BST_RT_NON_BLOCKING_SYNCH || req->rt > BST_RT_NO_RESPONSE)) {
        BST_FAIL(BST_E_VALUE, "rt (Response Type) %d is not one of 1 to 5", req->rt);
    }
    if (req->drt && (req->drt < 1 || req->drt > 2)) {
        BST_FAIL(BST_E_VALUE, "drt (Desired Identifier Result Type) %d is not 1 or 2", req->drt);
    }
    bool standard = req->ec >= 2 && req->ec <= 4, own = req->ec >= 100 && req->ec <= 999;
    if (req->ec && !standard && !own) {
        BST_FAIL(BST_E_VALUE, "ec (Event Category) %d is neither 2 to 4 nor 100 to 999", req->ec);
    }
    if (req->sqi) {
        BST_FAIL(BST_E_NOT_IMPLEMENTED, "sqi (Semantic Query Indicator) is not supported");
    }
    if (req->fc.fu == BST_FU_DISCOVERY && req->op != BST_OP_RETRIEVE) {
        BST_FAIL(BST_E_VALUE, "fu (Filter Usage) 1, discovery, goes with RETRIEVE only");
    }
    return BST_OK;
}

static bst_result check_each(const struct bst_m2m_views *list, bool (*good)(struct bst_view),
                             const char *name)
{
    for (size_t i = 0; i < list->n; i++) {
        if (!good(list->v[i])) {
            BST_FAIL(BST_E_VALUE, "%s: element %zu is malformed", name, i);
        }
    }
    return BST_OK;
}

static bst_result check_lists(const struct bst_m2m_request *req)
{
    BST_TRY(check_each(&req->rids, bst_m2m_is_role_id, "rids (Role IDs)"));
    BST_TRY(check_each(&req->tids, bst_m2m_is_token_id, "tids (Token IDs)"));
    BST_TRY(check_each(&req->ltids, bst_m2m_is_ncname, "ltids (Local Token IDs)"));
    if (req->atrl.n && req->op != BST_OP_RETRIEVE) {
        BST_FAIL(BST_E_SYNTAX, "atrl (attribute list) goes with RETRIEVE only");
    }
    return check_each(&req->atrl, bst_m2m_is_ncname, "atrl (attribute list)");
}

static bst_result one_member(const struct bst_m2m_request *req, yyjson_val **ret_key)
{
    if (!yyjson_is_obj(req->pc) || yyjson_obj_size(req->pc) != 1) {
        BST_FAIL(BST_E_SYNTAX, "pc (Content) must be an object with one member, found %s%s",
                 yyjson_is_obj(req->pc) && yyjson_obj_size(req->pc) ? "an object with more" : "",
                 yyjson_is_obj(req->pc) ? (yyjson_obj_size(req->pc) ? "" : "an empty object")
                                        : bst_json_kind(req->pc));
    }
    yyjson_obj_iter iter = yyjson_obj_iter_with(req->pc);
    *ret_key = yyjson_obj_iter_next(&iter);
    return BST_OK;
}

bst_result bst_m2m_request_resource(const struct bst_m2m_request *req,
                                    const struct bst_m2m_type **ret_type, yyjson_val **ret_members)
{
    yyjson_val *key = NULL;
    BST_TRY(one_member(req, &key));
    struct bst_view root = bst_json_view(key);
    const struct bst_m2m_type *type = bst_m2m_type_by_root(root);
    /* Specializations of other namespaces have no table of their own. */
    if (!type && (req->ty == BST_TY_FLEX || req->ty == BST_TY_FLEX_A)) {
        type = bst_m2m_type_by_ty(req->ty);
    }
    if (!type) {
        BST_FAIL(BST_E_VALUE, "pc (Content): \"%.*s\" is no resource type",
                 (int)(root.len > 40 ? 40 : root.len), root.ptr);
    }
    if (req->op == BST_OP_CREATE && type->ty != req->ty) {
        BST_FAIL(BST_E_VALUE, "pc (Content): \"%s\" is not a resource of type %d", type->root,
                 req->ty);
    }
    *ret_type = type;
    *ret_members = yyjson_obj_iter_get_val(key);
    return BST_OK;
}

static bst_result check_content(const struct bst_m2m_request *req)
{
    const struct bst_m2m_type *type;
    yyjson_val *key;
    if (req->op == BST_OP_CREATE && !of_other_interface(req->ty)) {
        if (!bst_m2m_type_by_ty(req->ty)) {
            BST_FAIL(BST_E_VALUE, "ty (Resource Type) %d is unknown", req->ty);
        }
        return bst_m2m_request_resource(req, &type, &key);
    }
    return req->pc && req->op != BST_OP_RETRIEVE ? one_member(req, &key) : BST_OK;
}

bst_result bst_m2m_request_check(const struct bst_m2m_request *req)
{
    if (req->op < BST_OP_CREATE || req->op > BST_OP_NOTIFY) {
        BST_FAIL(BST_E_VALUE, "op (Operation) %d is unknown", (int)req->op);
    }
    BST_TRY(check_release(req));
    BST_TRY(check_optionality(req));
    BST_TRY(check_ids(req));
    BST_TRY(check_numbers(req));
    BST_TRY(check_rcn(req));
    BST_TRY(check_lists(req));
    return check_content(req);
}

/* What a peer may read: what was wrong with its own input, but not why it was not trusted, nor what
 * is wrong inside. */
static bool detail_for_peer(enum bst_error code)
{
    switch (bst_error_class(code)) {
    case BST_CLASS_USAGE:
    case BST_CLASS_INPUT:
    case BST_CLASS_NOT_FOUND:
    case BST_CLASS_CONFLICT:
    case BST_CLASS_LIMIT:
        return bst_error_rsc(code) != BST_RSC_INTERNAL_SERVER_ERROR;
    default:
        return false;
    }
}

void bst_m2m_response_fail(struct bst_m2m_response *rsp, bst_result failure,
                           struct bst_arena *arena)
{
    const char *text = bst_error_detail();
    rsp->rsc = bst_error_rsc(failure.code);
    rsp->retry_s = bst_m2m_retry_s(failure.code);
    rsp->pc = (struct bst_view){NULL, 0};
    rsp->debug = bst_view(bst_error_text(failure.code));
    if (text[0] && detail_for_peer(failure.code)) {
        struct bst_view copy = bst_arena_view(arena, bst_view(text));
        rsp->debug = copy.ptr ? copy : rsp->debug;
    }
}

bst_result bst_m2m_response_content(const struct bst_m2m_response *rsp, struct bst_buf *ret)
{
    if (rsp->pc.len) {
        bst_buf_addv(ret, rsp->pc);
    } else if (rsp->rsc >= 4000 && rsp->debug.len) {
        bst_buf_adds(ret, "{\"m2m:dbg\":");
        bst_buf_add_json(ret, rsp->debug);
        bst_buf_addc(ret, '}');
    }
    return bst_buf_check(ret);
}
