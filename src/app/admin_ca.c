/* The administrative commands that give the project CA a new key, and end the trust in a former
 * one. */
#include "app/admin_priv.h"

#include "app/ca_rotate.h"
#include "base/time.h"
#include "sys/clock.h"

static bst_result read_until(struct admin *a, int64_t *ret)
{
    struct bst_view until = {0};
    *ret = 0;
    BST_TRY(bst_json_opt_string(a->args, "until", &until));
    if (until.len) {
        BST_TRY(bst_rfc3339_parse(until, ret));
    }
    if (until.len && *ret <= bst_wall_us()) {
        BST_FAIL(BST_E_VALUE, "the former root cannot end in the past; without a time it is "
                              "trusted until it is retired");
    }
    return BST_OK;
}

/* "state" is the environment of the state folder, which has no address of its own when it is
 * software. */
static bst_result read_to(struct admin *a, const char **ret)
{
    struct bst_view to = {0};
    *ret = NULL;
    BST_TRY(bst_json_opt_string(a->args, "to", &to));
    if (bst_view_is(to, "state")) {
        *ret = a->server->state->config.se.uri;
    } else if (to.len) {
        *ret = bst_arena_printf(&a->arena, "%.*s", BST_VIEW_ARGS(to)).ptr;
        BST_ENSURE(*ret, BST_E_NOMEM);
    }
    return BST_OK;
}

static bst_result answer_rotated(struct admin *a, const struct bst_ca_rotation *r, int64_t until_us)
{
    bst_buf_addc(a->out, '{');
    admin_member(a->out, "rotated", bst_view(r->rotation.label));
    admin_member(a->out, "kept", bst_view(r->rotation.kept));
    admin_member(a->out, "certificate", BST_VIEW(BST_CA_FILE));
    admin_member(a->out, "address", bst_view(r->address));
    bst_buf_addf(a->out, ",\"resumed\":%s", r->resumed ? "true" : "false");
    admin_member_time(a->out, "until", r->resumed ? 0 : until_us);
    bst_buf_addc(a->out, '}');
    return BST_OK;
}

/* Certificates of the new root are in use before the labels change. */
static bst_result settle_and_label(struct admin *a, struct bst_ca_rotation *r)
{
    BST_TRY(server_ca_settle(a->server));
    BST_TRY(server_reload(a->server));
    return bst_ca_rotate_end(r);
}

bst_result admin_ca_rotate(struct admin *a)
{
    struct bst_server *server = a->server;
    struct bst_ca_rotation rotation;
    const char *to;
    int64_t until_us;
    BST_TRY(server_ca_need(a->server));
    BST_TRY(read_to(a, &to));
    BST_TRY(read_until(a, &until_us));
    BST_TRY(bst_ca_rotate(server->state, server->config, to, until_us, &server->pki, &rotation));
    bst_result r = settle_and_label(a, &rotation);
    if (!bst_failed(r)) {
        r = server_ca_watch(server);
    }
    if (!bst_failed(r)) {
        r = admin_record(a, "ca.rotated", bst_view(rotation.rotation.label),
                         bst_view(rotation.address), bst_view(rotation.rotation.kept));
    }
    if (!bst_failed(r)) {
        r = answer_rotated(a, &rotation, until_us);
    }
    bst_ca_rotation_clear(&rotation);
    return r;
}

static bst_result need_nothing_left(struct admin *a)
{
    bool sure = false;
    size_t left;
    BST_TRY(bst_json_opt_bool(a->args, "sure", &sure));
    BST_TRY(bst_ca_count_left(a->server->state, a->server->pki, 0, &left));
    if (left && !sure) {
        BST_FAIL(BST_E_CONFLICT,
                 "%zu certificates of former roots still hold and would be refused: issue them "
                 "anew first, or add --yes if you mean it",
                 left);
    }
    return BST_OK;
}

bst_result admin_ca_retire(struct admin *a)
{
    BST_TRY(server_ca_need(a->server));
    size_t n = bst_pki_former(a->server->pki);
    if (n == 0) {
        BST_FAIL(BST_E_NOT_FOUND, "the project CA has no former root that is trusted");
    }
    BST_TRY(need_nothing_left(a));
    BST_TRY(server_ca_retire(a->server, 0));
    bst_buf_addf(a->out, "{\"retired\":%zu}", n);
    return BST_OK;
}
