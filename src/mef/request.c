/* A request taken apart: address, attributes, forms. What needs the database comes later.
 * TS-0003 V3.18, tables 8.3.5.2.3-1 to 8.3.5.2.10-1; names in sec/sec_names.h. */
#include "mef/mef_priv.h"

bst_result mef_domain(struct bst_view name, char ret[254])
{
    BST_TRY(bst_view_copy(name, ret, 254));
    for (char *c = ret; *c; c++) {
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    }
    return BST_OK;
}

bst_result mef_client_id(const struct bst_mef *mef, struct bst_view text, char ret[MEF_ID_MAX + 1])
{
    struct bst_entity_id id;
    bool stem = text.len && (text.ptr[0] == 'S' || text.ptr[0] == 'C');
    if (text.len && memchr(text.ptr, ':', text.len)) {
        for (size_t i = 0; i < text.len; i++) {
            BST_ENSURE(text.ptr[i] > 0x20 && text.ptr[i] < 0x7f, BST_E_SYNTAX);
        }
        return bst_view_copy(text, ret, MEF_ID_MAX + 1); /* an M2M-Node-ID, compared as it is */
    }
    if (text.len && !stem && memchr(text.ptr, '.', text.len) && bst_fqdn_valid(text)) {
        return mef_domain(text, ret);
    }
    BST_TRY(bst_entity_parse(&mef->config.self, text, &id));
    return bst_view_copy(bst_entity_abs(&id), ret, MEF_ID_MAX + 1);
}

/* ---- address ---- */

static bool is_base(struct bst_view segment)
{
    return bst_view_is(segment, BST_SEC_BASE) || bst_view_is(segment, BST_SEC_BASE_MEF);
}

/* Registration identifiers start with a letter that no hex digit is. */
static bst_result record_address(struct bst_view segment, struct bst_arena *arena,
                                 struct mef_work *work)
{
    uint8_t raw[BST_EXPORT_ID_LEN];
    if (bst_failed(bst_hex_decode(segment, raw, sizeof raw))) {
        work->target = MEF_REG;
        work->id = segment;
        return BST_OK;
    }
    char upper[BST_RELATIVE_ID_LEN + 1];
    bst_relative_key_id(raw, upper);
    work->target = MEF_KEY;
    work->id = bst_arena_view(arena, bst_view(upper));
    BST_ENSURE(work->id.ptr, BST_E_NOMEM);
    return BST_OK;
}

/* fetchCredentials/<KeID>/<SUID>, TS-0003 8.3.2.1 */
static bst_result fetch_address(const struct bst_mef *mef, struct bst_view rest,
                                struct bst_arena *arena, struct mef_work *work)
{
    struct bst_view suid = rest, key_id, relative, fqdn;
    BST_ENSURE(bst_view_cut(&suid, '/', &key_id), BST_E_NOT_FOUND);
    if (bst_failed(bst_relative_id_split(key_id, &relative, &fqdn)) ||
        !bst_view_eq_nocase(fqdn, mef->config.fqdn) ||
        bst_failed(bst_parse_i64(suid, &work->fetch_suid))) {
        BST_FAIL(BST_E_NOT_FOUND, "no key '%.*s' for that use here", BST_VIEW_ARGS(key_id));
    }
    BST_TRY(record_address(relative, arena, work));
    BST_ENSURE(work->target == MEF_KEY, BST_E_NOT_FOUND);
    work->target = MEF_FETCH;
    return BST_OK;
}

static bst_result address_parse(const struct bst_mef *mef, struct bst_view to,
                                struct bst_arena *arena, struct mef_work *work)
{
    struct bst_view rest = to, head;
    bool more = bst_view_cut(&rest, '/', &head);
    if (is_base(head) && !more) {
        work->target = MEF_BASE;
        return BST_OK;
    }
    if (is_base(head)) {
        more = bst_view_cut(&rest, '/', &head);
    }
    if (more && bst_view_is(head, BST_SEC_FETCH_CREDENTIALS)) {
        return fetch_address(mef, rest, arena, work);
    }
    if (more || !head.len) {
        BST_FAIL(BST_E_NOT_FOUND, "no resource '%.*s' here", BST_VIEW_ARGS(to));
    }
    return record_address(head, arena, work);
}

/* ---- attributes ---- */

/* Which members a request may have, must have, and what they are for. */
struct attribute {
    const char *name;
    bool create_reg, update_reg, create_key, update_key; /* allowed */
    bool required;                                       /* in the creates that allow it */
};
static const struct attribute ATTRIBUTES[] = {
    {BST_SEC_SN_EXPIRATION_TIME, true, true, true, true, true},
    {BST_SEC_SN_LABELS, true, true, true, true, false},
    {BST_SEC_SN_ADMIN_FQDN, true, false, true, false, true},
    {BST_SEC_SN_FQDN, true, true, true, true, true},
    {BST_SEC_SN_SUID, false, false, true, false, true},
    {BST_SEC_SN_TARGET_IDS, false, false, true, true, false},
    {BST_SEC_SN_KEY_VALUE, false, false, true, false, false},
};

static bool allowed(const struct attribute *a, bool create, bool key)
{
    return key ? (create ? a->create_key : a->update_key)
               : (create ? a->create_reg : a->update_reg);
}

static bst_result members_check(yyjson_val *members, bool create, bool key)
{
    const size_t n = sizeof ATTRIBUTES / sizeof ATTRIBUTES[0];
    yyjson_obj_iter it = yyjson_obj_iter_with(members);
    for (yyjson_val *name; (name = yyjson_obj_iter_next(&it));) {
        size_t i = 0;
        while (i < n && !bst_view_is(bst_json_view(name), ATTRIBUTES[i].name)) {
            i++;
        }
        if (i == n || !allowed(&ATTRIBUTES[i], create, key)) {
            BST_FAIL(BST_E_SYNTAX, "attribute '%.*s' is not allowed in this request",
                     BST_VIEW_ARGS(bst_json_view(name)));
        }
    }
    for (size_t i = 0; create && i < n; i++) {
        if (ATTRIBUTES[i].required && allowed(&ATTRIBUTES[i], create, key) &&
            !bst_json_get(members, ATTRIBUTES[i].name)) {
            BST_FAIL(BST_E_SYNTAX, "attribute '%s' is missing", ATTRIBUTES[i].name);
        }
    }
    return BST_OK;
}

static bst_result list_json(yyjson_val *members, const char *name, struct bst_arena *arena,
                            struct bst_m2m_views *ret, struct bst_view *ret_json)
{
    yyjson_val *list = bst_json_get(members, name);
    if (list) {
        BST_TRY(bst_mmef_list(members, name, arena, ret));
        *ret_json = bst_json_text(arena, list);
        BST_ENSURE(ret_json->ptr, BST_E_NOMEM);
    }
    return BST_OK;
}

static bst_result expiration(yyjson_val *members, struct mef_work *work)
{
    struct bst_view text = {NULL, 0};
    BST_TRY(bst_json_opt_string(members, BST_SEC_SN_EXPIRATION_TIME, &text));
    if (!text.len) {
        return BST_OK;
    }
    if (bst_failed(bst_m2m_time_parse(text, &work->expires_us))) {
        BST_FAIL(BST_E_VALUE, "et '%.*s' is not a timestamp", BST_VIEW_ARGS(text));
    }
    if (work->expires_us <= work->now_us) {
        BST_FAIL(BST_E_VALUE, "et '%.*s' is in the past", BST_VIEW_ARGS(text));
    }
    return BST_OK;
}

static bst_result key_value(yyjson_val *members, struct mef_work *work)
{
    struct bst_view text = {NULL, 0};
    BST_TRY(bst_json_opt_string(members, BST_SEC_SN_KEY_VALUE, &text));
    work->has_value = text.ptr != NULL;
    if (!work->has_value) {
        return BST_OK;
    }
    bst_result r = bst_mmef_key_value(text, &work->value);
    bst_wipe((void *)(uintptr_t)text.ptr, text.len); /* the arena's copy */
    return r;
}

/* [TS-0003, 8.3.5.2.7] absolute ids; a MAF, the target of SUID 21, has an FQDN */
static bst_result target_check(const struct bst_mef *mef, struct bst_view target)
{
    char normal[MEF_ID_MAX + 1];
    bool absolute = bst_view_starts(target, BST_VIEW("//"));
    bool fqdn = memchr(target.ptr, '.', target.len) && bst_fqdn_valid(target);
    if ((!absolute && !fqdn) || bst_failed(mef_client_id(mef, target, normal))) {
        BST_FAIL(BST_E_CONTENTS, "target '%.*s' is not an absolute CSE-ID or AE-ID",
                 BST_VIEW_ARGS(target));
    }
    return BST_OK;
}

static bst_result content_values(const struct bst_mef *mef, yyjson_val *members,
                                 struct bst_arena *arena, struct mef_work *work)
{
    struct bst_m2m_views labels;
    BST_TRY(expiration(members, work));
    BST_TRY(list_json(members, BST_SEC_SN_LABELS, arena, &labels, &work->labels));
    BST_TRY(list_json(members, BST_SEC_SN_TARGET_IDS, arena, &work->targets, &work->targets_json));
    work->has_targets = work->targets_json.len > 0;
    BST_TRY(bst_json_opt_string(members, BST_SEC_SN_ADMIN_FQDN, &work->admin));
    BST_TRY(bst_json_opt_string(members, BST_SEC_SN_FQDN, &work->fqdn));
    BST_TRY(bst_json_opt_i64(members, BST_SEC_SN_SUID, &work->suid));
    BST_TRY(key_value(members, work));
    if (work->fqdn.ptr && !bst_view_eq_nocase(work->fqdn, mef->config.fqdn)) {
        BST_FAIL(BST_E_VALUE, "fq '%.*s' is not this MEF", BST_VIEW_ARGS(work->fqdn));
    }
    if (work->admin.ptr && !bst_fqdn_valid(work->admin)) {
        BST_FAIL(BST_E_VALUE, "adfq '%.*s' is not a domain name", BST_VIEW_ARGS(work->admin));
    }
    for (size_t i = 0; i < work->targets.n; i++) {
        BST_TRY(target_check(mef, work->targets.v[i]));
    }
    return BST_OK;
}

static bst_result content_parse(const struct bst_mef *mef, struct bst_mef_call *call, bool create,
                                struct mef_work *work)
{
    bool key = create ? work->ty == BST_SEC_TY_SYMM_KEY_REG : work->target == MEF_KEY;
    const char *root = key ? BST_SEC_ROOT_SYMM_KEY_REG : BST_SEC_ROOT_MEF_CLIENT_REG;
    yyjson_val *members = bst_json_get(call->req.pc, root);
    if (!yyjson_is_obj(members) || yyjson_obj_size(call->req.pc) != 1) {
        BST_FAIL(BST_E_SYNTAX, "the content is not one '%s'", root);
    }
    BST_TRY(members_check(members, create, key));
    BST_TRY(content_values(mef, members, call->arena, work));
    if (!create && !work->expires_us && !work->labels.len && !work->has_targets) {
        BST_FAIL(BST_E_SYNTAX, "nothing to update: et, lbl%s", key ? " or tgis" : "");
    }
    return BST_OK;
}

/* ---- operations ---- */

static bst_result create_parse(const struct bst_mef *mef, struct bst_mef_call *call,
                               struct mef_work *work)
{
    if (work->target != MEF_BASE) {
        BST_FAIL(BST_E_OPERATION, "registrations and keys are created under the base resource");
    }
    if (call->req.ty == BST_SEC_TY_MEF_CLIENT_CMD) {
        BST_FAIL(BST_E_OPERATION, "the MEF alone makes commands");
    }
    if (call->req.ty != BST_SEC_TY_MEF_CLIENT_REG && call->req.ty != BST_SEC_TY_SYMM_KEY_REG) {
        BST_FAIL(BST_E_SYNTAX, "resource type %d is not one of a MEF", call->req.ty);
    }
    work->ty = call->req.ty;
    return content_parse(mef, call, true, work);
}

bst_result mef_parse(const struct bst_mef *mef, struct bst_mef_call *call, struct mef_work *work)
{
    const struct bst_m2m_request *req = &call->req;
    if (!req->fr.len) {
        BST_FAIL(BST_E_SYNTAX, "From is missing");
    }
    if (bst_failed(mef_client_id(mef, req->fr, work->from))) {
        BST_FAIL(BST_E_SYNTAX, "From '%.*s' is not an identifier", BST_VIEW_ARGS(req->fr));
    }
    BST_TRY(address_parse(mef, req->to, call->arena, work));
    switch (req->op) {
    case BST_OP_CREATE:
        return create_parse(mef, call, work);
    case BST_OP_RETRIEVE:
        return BST_OK;
    case BST_OP_UPDATE:
        BST_ENSURE(work->target != MEF_BASE && work->target != MEF_FETCH, BST_E_OPERATION);
        return content_parse(mef, call, false, work);
    case BST_OP_DELETE:
        BST_ENSURE(work->target != MEF_BASE && work->target != MEF_FETCH, BST_E_OPERATION);
        return BST_OK;
    default:
        BST_FAIL(BST_E_OPERATION, "a MEF takes CREATE, RETRIEVE, UPDATE and DELETE");
    }
}
