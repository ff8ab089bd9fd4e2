/* symmKeyReg: a source leaves a key, its targets fetch it. TS-0003 V3.18, 8.3.5.2.7 to 8.3.5.2.10.
 * The key goes from the session, or from the request, straight into `se`; only a retrieval by a
 * target takes it out again. */
#include "crypto/rand.h"
#include "mef/mef_priv.h"

#include <stdio.h>

/* ---- making ---- */

/* [TS-0003, 10.3.1] the export is the same for the whole session: it gives one key */
static bst_result take_export(struct bst_mef_call *call)
{
    struct bst_mef_session *session = call->session;
    struct mef_work *work = call->work;
    if (!session->exporter.take) {
        BST_FAIL(BST_E_CONTENTS, "no key can be exported from this session: send keyValue (kv)");
    }
    if (session->exported) {
        BST_FAIL(BST_E_CONFLICT,
                 "the key of this session is registered already: open a new one or send keyValue");
    }
    BST_TRY(session->exporter.take(session->exporter.ctx, BST_EXPORTER_ENROLMENT, &work->value));
    BST_ENSURE(work->value.len == BST_EXPORT_LEN, BST_E_INTERNAL);
    session->exported = work->exported = true;
    bst_relative_key_id(work->value.ptr, work->relative_id);
    return BST_OK;
}

static bst_result name_freshly(struct mef_work *work)
{
    uint8_t id[BST_EXPORT_ID_LEN];
    BST_TRY(bst_random(id, sizeof id));
    bst_relative_key_id(id, work->relative_id);
    return BST_OK;
}

static bst_result targets_check(int64_t suid, const struct bst_m2m_views *targets)
{
    if (!targets->n || (targets->n > 1 && !bst_suid_many_targets(suid))) {
        BST_FAIL(BST_E_CONTENTS, "a key with SUID %lld has exactly one target, not %zu",
                 (long long)suid, targets->n);
    }
    return BST_OK;
}

bst_result mef_key_take(struct bst_mef_call *call)
{
    struct mef_work *work = call->work;
    if (!bst_suid_is_mef_key(work->suid)) {
        BST_FAIL(BST_E_CONTENTS, "SUID %lld is not one of keys from a MEF (21 to 25)",
                 (long long)work->suid);
    }
    BST_TRY(targets_check(work->suid, &work->targets));
    return work->has_value ? name_freshly(work) : take_export(call);
}

static bst_result import(struct bst_se *se, const struct bst_key_attrs *attrs,
                         struct mef_work *work)
{
    uint8_t id[BST_EXPORT_ID_LEN];
    if (!work->exported) {
        return bst_se_key_import(se, attrs, &work->value, &work->made);
    }
    bst_result r = bst_se_import_export(se, attrs, work->value.ptr, id, &work->made);
    if (r.code == BST_E_EXISTS) {
        BST_FAIL(BST_E_CONFLICT, "a key with the identifier of this session exists");
    }
    return r;
}

bst_result mef_key_make(struct bst_mef_call *call)
{
    struct mef_work *work = call->work;
    char label[sizeof MEF_KEY_LABEL + BST_RELATIVE_ID_LEN];
    struct bst_key_attrs attrs = {.type = BST_KEY_SYMMETRIC,
                                  .uses = BST_KEY_USE_PSK | BST_KEY_USE_DERIVE,
                                  .suid = (int)work->suid,
                                  .label = label,
                                  .persistent = true};
    snprintf(label, sizeof label, MEF_KEY_LABEL "%s", work->relative_id);
    memcpy(work->own.relative_id, work->relative_id, sizeof work->own.relative_id);
    bst_result r = import(call->mef->config.se, &attrs, work);
    bst_secret_clear(&work->value);
    return r;
}

static bst_result key_find(struct bst_mef *mef, const char *relative_id, bst_key *ret)
{
    char label[sizeof MEF_KEY_LABEL + BST_RELATIVE_ID_LEN];
    snprintf(label, sizeof label, MEF_KEY_LABEL "%s", relative_id);
    return bst_se_key_find(mef->config.se, label, ret);
}

bst_result mef_key_drop(struct bst_mef *mef, const char *relative_id)
{
    bst_key key = 0;
    BST_TRY(key_find(mef, relative_id, &key));
    return key ? bst_se_key_delete(mef->config.se, key) : BST_OK;
}

/* ---- representations ---- */

static void key_content(struct bst_buf *out, const struct mef_key_row *row,
                        const struct bst_secret *value)
{
    bst_mmef_begin(out, BST_SEC_ROOT_SYMM_KEY_REG);
    bst_mmef_add_text(out, BST_SEC_SN_RESOURCE_ID, bst_view(row->relative_id));
    bst_mmef_add_number(out, BST_SEC_SN_RESOURCE_TYPE, BST_SEC_TY_SYMM_KEY_REG);
    bst_mmef_add_time(out, BST_SEC_SN_CREATION_TIME, row->ct);
    bst_mmef_add_time(out, BST_SEC_SN_LAST_MODIFIED, row->lt);
    bst_mmef_add_time(out, BST_SEC_SN_EXPIRATION_TIME, row->et);
    bst_mmef_add_raw(out, BST_SEC_SN_LABELS, row->labels);
    bst_mmef_add_text(out, BST_SEC_SN_CREATOR, bst_view(row->source));
    bst_mmef_add_text(out, BST_SEC_SN_ADMIN_FQDN, bst_view(row->admin));
    bst_mmef_add_number(out, BST_SEC_SN_SUID, row->suid);
    if (value) {
        /* [TS-0003, table 8.3.5.2.8-2] a target learns the key, not who else may have it */
        bst_mmef_add_key(out, value);
    } else {
        bst_mmef_add_raw(out, BST_SEC_SN_TARGET_IDS, row->targets);
    }
    bst_mmef_end(out);
}

/* ---- create ---- */

bst_result mef_key_create(struct bst_store_conn *conn, struct bst_mef_call *call,
                          const struct mef_client *client)
{
    struct mef_work *work = call->work;
    struct mef_reg_row reg;
    struct mef_key_row row = {.suid = work->suid,
                              .ct = work->now_us,
                              .lt = work->now_us,
                              .labels = work->labels,
                              .targets = work->targets_json},
                       old;
    bool found;
    char admin[254];
    BST_TRY(mef_domain(work->admin, admin));
    BST_TRY(mef_db_reg_of(conn, bst_view(client->id), bst_view(admin), call->arena, &reg, &found));
    if (!found || reg.et <= work->now_us) {
        BST_FAIL(BST_E_DENIED, "client %s is not registered for stakeholder %s", client->id, admin);
    }
    BST_TRY(mef_db_key(conn, bst_view(work->relative_id), call->arena, &old, &found));
    if (found) {
        BST_FAIL(BST_E_CONFLICT, "a key with this identifier exists");
    }
    memcpy(row.relative_id, work->relative_id, sizeof row.relative_id);
    BST_TRY(bst_view_copy(bst_view(client->id), row.source, sizeof row.source));
    memcpy(row.admin, reg.admin, sizeof row.admin);
    BST_TRY(mef_expiry(call->mef, work, &row.et));
    row.et =
        row.et < reg.et ? row.et : reg.et; /* a key goes with the registration it was made under */
    BST_TRY(mef_db_key_put(conn, &row));
    bst_auto(buf) content = {0};
    key_content(&content, &row, NULL);
    call->rsp.content_location = bst_arena_printf(call->arena, BST_SEC_BASE "/%s", row.relative_id);
    return mef_answer(call, BST_RSC_CREATED, &content);
}

/* ---- retrieve ---- */

static bst_result live_key(struct bst_store_conn *conn, struct bst_mef_call *call,
                           struct mef_key_row *ret)
{
    bool found;
    BST_TRY(mef_db_key(conn, call->work->id, call->arena, ret, &found));
    if (!found || ret->et <= call->work->now_us) {
        BST_FAIL(BST_E_NOT_FOUND, "no key '%.*s'", BST_VIEW_ARGS(call->work->id));
    }
    return BST_OK;
}

static bst_result is_target(const struct bst_mef_call *call, const struct mef_key_row *row,
                            const struct mef_client *client, bool *ret)
{
    yyjson_val *list;
    *ret = false;
    if (bst_failed(bst_json_parse(call->arena, row->targets, 2, &list))) {
        BST_FAIL(BST_E_CORRUPT, "the targets of key %s are not readable", row->relative_id);
    }
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&it)) && !*ret;) {
        char normal[MEF_ID_MAX + 1];
        *ret = !bst_failed(mef_client_id(call->mef, bst_json_view(item), normal)) &&
               strcmp(normal, client->id) == 0;
    }
    return BST_OK;
}

static bst_result fetch_content(struct bst_buf *out, const struct mef_key_row *row,
                                const struct bst_secret *value)
{
    BST_ENSURE(bst_buf_reserve(out, 512 + value->len * 2), BST_E_NOMEM);
    char lifetime[BST_M2M_TIME_LEN + 1];
    bst_m2m_time_format(row->et, lifetime);
    bst_buf_adds(out, "{\"" BST_SEC_FETCH_STATUS "\":true,\"" BST_SEC_FETCH_CREDENTIAL "\":\"");
    bst_base64_add(out, bst_view_of(value->ptr, value->len));
    bst_buf_addf(out, "\",\"" BST_SEC_FETCH_LIFETIME "\":\"%s\",\"" BST_SEC_FETCH_ENROLEE_ID "\":",
                 lifetime);
    bst_buf_add_json(out, bst_view(row->source));
    bst_buf_addc(out, '}');
    return BST_OK;
}

static bst_result release(struct bst_mef_call *call, struct bst_buf *content)
{
    const struct mef_key_row *row = call->work->wanted;
    bst_key key = 0;
    char why[MEF_ID_MAX + 64];
    bst_auto(secret) value = {0};
    BST_TRY(key_find(call->mef, row->relative_id, &key));
    BST_ENSURE(key, BST_E_NOT_FOUND);
    snprintf(why, sizeof why, "MEF key retrieval by target %s", call->work->from);
    BST_TRY(bst_se_release_psk(call->mef->config.se, key, why, &value));
    if (call->work->target == MEF_FETCH) {
        return fetch_content(content, row, &value);
    }
    /* Room for all of it: growing would leave copies of the key behind. */
    BST_ENSURE(bst_buf_reserve(content, 2048 + row->labels.len + value.len * 2), BST_E_NOMEM);
    key_content(content, row, &value);
    return BST_OK;
}

bst_result mef_key_release(struct bst_mef_call *call)
{
    struct bst_buf content = {0};
    bst_result r = release(call, &content);
    r = bst_failed(r) ? r : mef_answer(call, BST_RSC_OK, &content);
    bst_buf_wipe(&content);
    return r;
}

/* The environment has no part in the transaction: it gives the key afterwards. */
static bst_result want(struct bst_mef_call *call, const struct mef_key_row *row)
{
    struct mef_key_row *wanted = bst_arena_alloc(call->arena, sizeof *wanted);
    BST_ENSURE(wanted, BST_E_NOMEM);
    *wanted = *row;
    call->work->wanted = wanted;
    return BST_OK;
}

bst_result mef_key_retrieve(struct bst_store_conn *conn, struct bst_mef_call *call,
                            const struct mef_client *client)
{
    struct mef_key_row row;
    bool target;
    BST_TRY(live_key(conn, call, &row));
    BST_TRY(is_target(call, &row, client, &target));
    bool source = strcmp(row.source, client->id) == 0 && call->work->target == MEF_KEY;
    if (!target && !source) {
        BST_FAIL(BST_E_DENIED, "client %s is not a target of key %s", client->id, row.relative_id);
    }
    if (call->work->target == MEF_FETCH && call->work->fetch_suid != row.suid) {
        BST_FAIL(BST_E_NOT_FOUND, "key %s is not for SUID %lld", row.relative_id,
                 (long long)call->work->fetch_suid);
    }
    if (target) {
        return want(call, &row);
    }
    /* The source has the key, and learns what became of it. */
    bst_auto(buf) content = {0};
    key_content(&content, &row, NULL);
    return mef_answer(call, BST_RSC_OK, &content);
}

/* ---- update, delete ---- */

static bst_result own_key(struct bst_store_conn *conn, struct bst_mef_call *call,
                          const struct mef_client *client, struct mef_key_row *ret)
{
    BST_TRY(live_key(conn, call, ret));
    if (strcmp(ret->source, client->id) != 0) {
        BST_FAIL(BST_E_DENIED, "key %s was registered by another client", ret->relative_id);
    }
    return BST_OK;
}

static bst_result new_expiry(struct bst_store_conn *conn, struct bst_mef_call *call,
                             struct mef_key_row *row)
{
    struct mef_reg_row reg;
    bool found;
    BST_TRY(mef_db_reg_of(conn, bst_view(row->source), bst_view(row->admin), call->arena, &reg,
                          &found));
    BST_ENSURE(found, BST_E_DENIED);
    BST_TRY(mef_expiry(call->mef, call->work, &row->et));
    row->et = row->et < reg.et ? row->et : reg.et;
    return BST_OK;
}

bst_result mef_key_update(struct bst_store_conn *conn, struct bst_mef_call *call,
                          const struct mef_client *client)
{
    struct mef_work *work = call->work;
    struct mef_key_row row;
    BST_TRY(own_key(conn, call, client, &row));
    if (work->has_targets) {
        BST_TRY(targets_check(row.suid, &work->targets));
        row.targets = work->targets_json;
    }
    if (work->expires_us) {
        BST_TRY(new_expiry(conn, call, &row));
    }
    row.labels = work->labels.len ? work->labels : row.labels;
    row.lt = work->now_us;
    BST_TRY(mef_db_key_put(conn, &row));
    bst_auto(buf) content = {0};
    bst_mmef_begin(&content, BST_SEC_ROOT_SYMM_KEY_REG);
    bst_mmef_add_time(&content, BST_SEC_SN_EXPIRATION_TIME, work->expires_us ? row.et : 0);
    bst_mmef_add_raw(&content, BST_SEC_SN_LABELS, work->labels);
    bst_mmef_add_raw(&content, BST_SEC_SN_TARGET_IDS, work->targets_json);
    bst_mmef_end(&content);
    return mef_answer(call, BST_RSC_UPDATED, &content);
}

bst_result mef_key_delete(struct bst_store_conn *conn, struct bst_mef_call *call,
                          const struct mef_client *client)
{
    struct mef_key_row row;
    BST_TRY(own_key(conn, call, client, &row));
    struct mef_gone *gone = bst_arena_alloc(call->arena, sizeof *gone);
    BST_ENSURE(gone, BST_E_NOMEM);
    memcpy(gone->relative_id, row.relative_id, sizeof gone->relative_id);
    call->work->gone = gone;
    BST_TRY(mef_db_key_remove(conn, bst_view(row.relative_id)));
    return mef_answer(call, BST_RSC_DELETED, NULL);
}
