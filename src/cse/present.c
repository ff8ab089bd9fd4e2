/* Representations: columns and stored attributes become the JSON of an answer (TS-0004 8.4, 7.5.2).
 */
#include "cse/cse_priv.h"

static void add_time(struct bst_buf *out, const char *name, int64_t us)
{
    char text[BST_M2M_TIME_LEN + 1];
    bst_m2m_time_format(us, text);
    bst_buf_adds(out, name);
    bst_buf_add(out, text, BST_M2M_TIME_LEN);
    bst_buf_addc(out, '"');
}

static void add_number(struct bst_buf *out, const char *name, int64_t value)
{
    bst_buf_adds(out, name);
    bst_buf_addi(out, value);
}

/* Names and identifiers hold unreserved characters only: no escapes. */
static void add_plain(struct bst_buf *out, const char *name, struct bst_view value)
{
    bst_buf_adds(out, name);
    bst_buf_addv(out, value);
    bst_buf_addc(out, '"');
}

static bst_result parent_ri(struct bst_cse_op *op, struct bst_cse_res *res, struct bst_view *ret)
{
    struct bst_cse_res *parent;
    if (res->row.pi == BST_PI_ROOT) {
        *ret = (struct bst_view){"", 0};
        return BST_OK;
    }
    if (res->row.pi == op->cse->base_id) {
        *ret = op->cse->base_ri;
        return BST_OK;
    }
    BST_TRY(bst_cse_parent(op, res, &parent));
    *ret = parent->ri;
    return BST_OK;
}

bst_result bst_cse_represent(struct bst_cse_op *op, struct bst_cse_res *res, struct bst_buf *out)
{
    struct bst_view pi;
    BST_TRY(parent_ri(op, res, &pi));
    add_plain(out, "\"rn\":\"", res->row.name);
    add_number(out, ",\"ty\":", res->row.ty);
    add_plain(out, ",\"ri\":\"", res->ri);
    add_plain(out, ",\"pi\":\"", pi);
    add_time(out, ",\"ct\":\"", res->row.ct);
    add_time(out, ",\"lt\":\"", res->row.lt);
    if (res->row.et) {
        add_time(out, ",\"et\":\"", res->row.et);
    }
    if (bst_cse_flags(res->type) & BST_TYPE_STATE_TAG) {
        add_number(out, ",\"st\":", res->row.st);
    }
    if (res->rules->present) {
        res->rules->present(op, res, out);
    }
    if (res->stored.len) {
        bst_buf_addc(out, ',');
        bst_buf_addv(out, res->stored);
    }
    return bst_buf_check(out);
}

/* The representation as an object, for what has to look into it. */
static bst_result as_object(struct bst_cse_op *op, struct bst_cse_res *res, yyjson_val **ret)
{
    struct bst_buf text = {0};
    bst_buf_addc(&text, '{');
    bst_result r = bst_cse_represent(op, res, &text);
    bst_buf_addc(&text, '}');
    if (!bst_failed(r)) {
        r = bst_json_parse(op->arena, bst_buf_view(&text), BST_JSON_DEPTH + 1, ret);
    }
    bst_buf_clear(&text);
    return r;
}

static bool wanted(const struct bst_view *only, size_t n, struct bst_view name)
{
    for (size_t i = 0; i < n; i++) {
        if (bst_view_eq(only[i], name)) {
            return true;
        }
    }
    return n == 0;
}

static bst_result show_some(struct bst_cse_op *op, struct bst_cse_res *res,
                            const struct bst_view *only, size_t n, struct bst_buf *out)
{
    bool r1 = bst_m2m_is_r1(op->req), first = true;
    yyjson_val *object, *key;
    yyjson_obj_iter iter;
    BST_TRY(as_object(op, res, &object));
    yyjson_obj_iter_init(object, &iter);
    while ((key = yyjson_obj_iter_next(&iter)) != NULL) {
        struct bst_view name = bst_json_view(key);
        if (!wanted(only, n, name) || (r1 && bst_m2m_r1_hides(res->row.ty, name))) {
            continue;
        }
        if (!first) {
            bst_buf_addc(out, ',');
        }
        first = false;
        bst_buf_add_json(out, name);
        bst_buf_addc(out, ':');
        BST_TRY(bst_json_write(yyjson_obj_iter_get_val(key), out));
    }
    return bst_buf_check(out);
}

bst_result bst_cse_show(struct bst_cse_op *op, struct bst_cse_res *res, const struct bst_view *only,
                        size_t n, struct bst_buf *out)
{
    if (n || bst_m2m_is_r1(op->req)) {
        return show_some(op, res, only, n, out);
    }
    return bst_cse_represent(op, res, out);
}

static void open_root(struct bst_cse_op *op, const struct bst_cse_res *res)
{
    bst_buf_addc(&op->out, '{');
    bst_buf_add_json(&op->out, bst_cse_root(res));
    bst_buf_adds(&op->out, ":{");
}

bst_result bst_cse_put_resource(struct bst_cse_op *op, struct bst_cse_res *res,
                                const struct bst_view *only, size_t n)
{
    open_root(op, res);
    BST_TRY(bst_cse_show(op, res, only, n, &op->out));
    if (op->extra.len) {
        bst_buf_addc(&op->out, ',');
        bst_buf_addv(&op->out, op->extra);
    }
    bst_buf_adds(&op->out, "}}");
    return bst_buf_check(&op->out);
}

static bool same_text(const struct bst_cse_members *m, struct bst_view name, struct bst_view text)
{
    const struct bst_cse_member *found = bst_cse_members_find(m, name);
    return found && bst_view_eq(found->text, text);
}

static bst_result members_of(struct bst_cse_op *op, struct bst_cse_res *res,
                             struct bst_cse_members *ret)
{
    yyjson_val *object;
    *ret = (struct bst_cse_members){.arena = op->arena};
    if (res) {
        BST_TRY(as_object(op, res, &object));
        bst_cse_members_add_json(ret, object);
    }
    BST_ENSURE(!ret->failed, BST_E_NOMEM);
    return BST_OK;
}

static void put_member(struct bst_buf *out, size_t *count, struct bst_view name,
                       struct bst_view text)
{
    if ((*count)++) {
        bst_buf_addc(out, ',');
    }
    bst_buf_add_json(out, name);
    bst_buf_addc(out, ':');
    bst_buf_addv(out, text);
}

/* [TS-0004 7.3.3.12] what was added, changed or deleted beyond the request, or came out otherwise
 * than asked for; deleted attributes as null. */
static void collect_modified(const struct bst_cse_members *before,
                             const struct bst_cse_members *after,
                             const struct bst_cse_members *given, struct bst_buf *out,
                             size_t *count)
{
    for (size_t i = 0; i < after->n; i++) {
        const struct bst_cse_member *m = &after->v[i];
        bool asked = bst_cse_members_find(given, m->name) != NULL;
        bool unchanged =
            asked ? same_text(given, m->name, m->text) : same_text(before, m->name, m->text);
        if (!unchanged) {
            put_member(out, count, m->name, m->text);
        }
    }
    for (size_t i = 0; i < before->n; i++) {
        struct bst_view name = before->v[i].name;
        if (!bst_cse_members_find(after, name) && !bst_cse_members_find(given, name)) {
            put_member(out, count, name, BST_VIEW("null"));
        }
    }
}

bst_result bst_cse_put_modified(struct bst_cse_op *op, struct bst_cse_res *before,
                                struct bst_cse_res *after, bool against_request)
{
    struct bst_cse_members old, now, given = {.arena = op->arena};
    size_t count = 0, start = op->out.len;
    BST_TRY(members_of(op, before, &old));
    BST_TRY(members_of(op, after, &now));
    if (against_request) {
        bst_cse_members_add_json(&given, op->content.members);
        BST_ENSURE(!given.failed, BST_E_NOMEM);
        open_root(op, after);
    }
    collect_modified(&old, &now, &given, &op->out, &count);
    if (against_request && op->extra.len) {
        bst_buf_adds(&op->out, count++ ? "," : "");
        bst_buf_addv(&op->out, op->extra);
    }
    if (against_request && !count) {
        op->out.len = start; /* nothing to tell: no content at all */
    } else if (against_request) {
        bst_buf_adds(&op->out, "}}");
    }
    return bst_buf_check(&op->out);
}

bst_result bst_cse_address(struct bst_cse_op *op, struct bst_cse_res *res, struct bst_view *ret)
{
    if (op->req->drt == 2) {
        *ret = res->ri;
        return BST_OK;
    }
    return bst_cse_path(op, res, ret);
}
