/* mefClientReg: a client tells that it wants the services of the MEF in the name of a stakeholder.
 * TS-0003 V3.18, 8.3.5.2.3 to 8.3.5.2.6. */
#include "crypto/rand.h"
#include "mef/mef_priv.h"

static bool may_register_for(const struct mef_client *client, struct bst_view admin)
{
    struct bst_view rest = bst_view(client->admins), word;
    for (bool more = true; more;) {
        more = bst_view_cut(&rest, ' ', &word);
        if (word.len && bst_view_eq_nocase(word, admin)) {
            return true;
        }
    }
    return false;
}

bst_result mef_expiry(const struct bst_mef *mef, const struct mef_work *work, int64_t *ret_us)
{
    int64_t latest = work->now_us + mef->config.max_life_us;
    *ret_us = work->expires_us < latest ? work->expires_us : latest;
    return BST_OK;
}

static void reg_content(struct bst_buf *out, const struct mef_reg_row *row)
{
    bst_mmef_begin(out, BST_SEC_ROOT_MEF_CLIENT_REG);
    bst_mmef_add_text(out, BST_SEC_SN_RESOURCE_ID, bst_view(row->id));
    bst_mmef_add_number(out, BST_SEC_SN_RESOURCE_TYPE, BST_SEC_TY_MEF_CLIENT_REG);
    bst_mmef_add_time(out, BST_SEC_SN_CREATION_TIME, row->ct);
    bst_mmef_add_time(out, BST_SEC_SN_LAST_MODIFIED, row->lt);
    bst_mmef_add_time(out, BST_SEC_SN_EXPIRATION_TIME, row->et);
    bst_mmef_add_raw(out, BST_SEC_SN_LABELS, row->labels);
    bst_mmef_add_text(out, BST_SEC_SN_CREATOR, bst_view(row->client));
    bst_mmef_add_text(out, BST_SEC_SN_ADMIN_FQDN, bst_view(row->admin));
    bst_mmef_end(out);
}

static bst_result fresh_id(char ret[40])
{
    uint8_t random[16];
    struct bst_buf hex = {0};
    BST_TRY(bst_random(random, sizeof random));
    bst_buf_addc(&hex, 'r');
    bst_hex_add(&hex, bst_view_of(random, sizeof random), false);
    bst_result r = bst_buf_check(&hex);
    r = bst_failed(r) ? r : bst_view_copy(bst_buf_view(&hex), ret, 40);
    bst_buf_clear(&hex);
    return r;
}

/* One registration for each stakeholder; an expired one makes room. */
static bst_result make_room(struct bst_store_conn *conn, struct bst_mef_call *call,
                            const struct mef_reg_row *wanted)
{
    struct mef_reg_row old;
    bool found;
    BST_TRY(mef_db_reg_of(conn, bst_view(wanted->client), bst_view(wanted->admin), call->arena,
                          &old, &found));
    if (found && old.et > call->work->now_us) {
        BST_FAIL(BST_E_ALREADY_REGISTERED, "registered already for %s as %s", old.admin, old.id);
    }
    return found ? mef_db_reg_remove(conn, &old, call->arena, &call->work->gone) : BST_OK;
}

bst_result mef_reg_create(struct bst_store_conn *conn, struct bst_mef_call *call,
                          const struct mef_client *client)
{
    struct mef_work *work = call->work;
    struct mef_reg_row row = {.ct = work->now_us, .lt = work->now_us, .labels = work->labels};
    if (!may_register_for(client, work->admin)) {
        BST_FAIL(BST_E_DENIED, "client %s may not register for stakeholder %.*s", client->id,
                 BST_VIEW_ARGS(work->admin));
    }
    BST_TRY(bst_view_copy(bst_view(client->id), row.client, sizeof row.client));
    BST_TRY(mef_domain(work->admin, row.admin));
    BST_TRY(make_room(conn, call, &row));
    BST_TRY(fresh_id(row.id));
    BST_TRY(mef_expiry(call->mef, work, &row.et));
    BST_TRY(mef_db_reg_put(conn, &row));
    bst_auto(buf) content = {0};
    reg_content(&content, &row);
    call->rsp.content_location = bst_arena_printf(call->arena, BST_SEC_BASE "/%s", row.id);
    return mef_answer(call, BST_RSC_CREATED, &content);
}

/* A registration that lives and belongs to the client. */
static bst_result own_reg(struct bst_store_conn *conn, struct bst_mef_call *call,
                          const struct mef_client *client, struct mef_reg_row *ret)
{
    bool found;
    BST_TRY(mef_db_reg(conn, call->work->id, call->arena, ret, &found));
    if (!found || ret->et <= call->work->now_us) {
        BST_FAIL(BST_E_NOT_FOUND, "no registration '%.*s'", BST_VIEW_ARGS(call->work->id));
    }
    if (strcmp(ret->client, client->id) != 0) {
        BST_FAIL(BST_E_DENIED, "registration %s belongs to another client", ret->id);
    }
    return BST_OK;
}

bst_result mef_reg_retrieve(struct bst_store_conn *conn, struct bst_mef_call *call,
                            const struct mef_client *client)
{
    struct mef_reg_row row;
    BST_TRY(own_reg(conn, call, client, &row));
    bst_auto(buf) content = {0};
    reg_content(&content, &row);
    return mef_answer(call, BST_RSC_OK, &content);
}

bst_result mef_reg_update(struct bst_store_conn *conn, struct bst_mef_call *call,
                          const struct mef_client *client)
{
    struct mef_work *work = call->work;
    struct mef_reg_row row;
    BST_TRY(own_reg(conn, call, client, &row));
    if (work->expires_us) {
        BST_TRY(mef_expiry(call->mef, work, &row.et));
    }
    row.labels = work->labels.len ? work->labels : row.labels;
    row.lt = work->now_us;
    BST_TRY(mef_db_reg_put(conn, &row));
    /* [TS-0003, 8.3.5.2.5] the answer has what was asked for, with the values set */
    bst_auto(buf) content = {0};
    bst_mmef_begin(&content, BST_SEC_ROOT_MEF_CLIENT_REG);
    bst_mmef_add_time(&content, BST_SEC_SN_EXPIRATION_TIME, work->expires_us ? row.et : 0);
    bst_mmef_add_raw(&content, BST_SEC_SN_LABELS, work->labels);
    bst_mmef_end(&content);
    return mef_answer(call, BST_RSC_UPDATED, &content);
}

bst_result mef_reg_delete(struct bst_store_conn *conn, struct bst_mef_call *call,
                          const struct mef_client *client)
{
    struct mef_reg_row row;
    BST_TRY(own_reg(conn, call, client, &row));
    BST_TRY(mef_db_reg_remove(conn, &row, call->arena, &call->work->gone));
    return mef_answer(call, BST_RSC_DELETED, NULL);
}
