/* Composing notifications in the transaction that makes the event, so that what a target is told is
 * what was committed; they are posted to the notifier once the commit is durable. */
#include "cse/notify.h"

#include "obs/log.h"

#include <stdio.h>

bool bst_cse_is_url(struct bst_view v)
{
    for (size_t i = 0; i + 2 < v.len; i++) {
        if (v.ptr[i] == ':') {
            return i > 0 && v.ptr[i + 1] == '/' && v.ptr[i + 2] == '/';
        }
        if (v.ptr[i] == '/') {
            return false;
        }
    }
    return false;
}

/* -- reading a subscription */

static bst_result read_views(struct bst_arena *arena, yyjson_val *list, struct bst_m2m_views *ret)
{
    size_t i, max;
    yyjson_val *item;
    ret->n = 0;
    ret->v = bst_arena_alloc(arena, (yyjson_arr_size(list) + 1) * sizeof *ret->v);
    BST_ENSURE(ret->v, BST_E_NOMEM);
    yyjson_arr_foreach(list, i, max, item)
    {
        ret->v[ret->n++] = bst_json_view(item);
    }
    return BST_OK;
}

static bst_result read_ints(struct bst_arena *arena, yyjson_val *list, struct bst_m2m_ints *ret)
{
    size_t i, max;
    yyjson_val *item;
    ret->n = 0;
    ret->v = bst_arena_alloc(arena, (yyjson_arr_size(list) + 1) * sizeof *ret->v);
    BST_ENSURE(ret->v, BST_E_NOMEM);
    yyjson_arr_foreach(list, i, max, item)
    {
        ret->v[ret->n++] = yyjson_get_int(item);
    }
    return BST_OK;
}

static bst_result read_conditions(yyjson_val *enc, struct bst_m2m_filter *f)
{
    const struct {
        const char *name;
        enum bst_m2m_criterion which;
        int64_t *value;
        bool time;
    } tags[] = {
        {"crb", BST_FC_CRB, &f->crb_us, true}, {"cra", BST_FC_CRA, &f->cra_us, true},
        {"ms", BST_FC_MS, &f->ms_us, true},    {"us", BST_FC_US, &f->us_us, true},
        {"exb", BST_FC_EXB, &f->exb_us, true}, {"exa", BST_FC_EXA, &f->exa_us, true},
        {"sts", BST_FC_STS, &f->sts, false},   {"stb", BST_FC_STB, &f->stb, false},
        {"sza", BST_FC_SZA, &f->sza, false},   {"szb", BST_FC_SZB, &f->szb, false},
    };
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        yyjson_val *value = bst_json_get(enc, tags[i].name);
        if (!value) {
            continue;
        }
        if (!tags[i].time) {
            *tags[i].value = yyjson_get_sint(value);
        } else if (bst_failed(bst_m2m_time_parse(bst_json_view(value), tags[i].value))) {
            BST_FAIL(BST_E_VALUE, "enc/%s is no timestamp", tags[i].name);
        }
        f->present |= BST_FC_BIT(tags[i].which);
    }
    int64_t fo = BST_FO_AND;
    BST_TRY(bst_json_opt_i64(enc, "fo", &fo));
    f->fo = (int)fo;
    return BST_OK;
}

static bst_result read_criteria(struct bst_arena *arena, yyjson_val *enc, struct bst_cse_sub *ret)
{
    struct bst_m2m_ints net;
    BST_TRY(read_ints(arena, bst_json_get(enc, "net"), &net));
    for (size_t i = 0; i < net.n; i++) {
        if (net.v[i] < 1 || net.v[i] > 31) {
            BST_FAIL(BST_E_VALUE, "enc/net holds %d, which is no notificationEventType", net.v[i]);
        }
        ret->net |= BST_NET_BIT(net.v[i]);
    }
    if (!net.n) {
        ret->net = BST_NET_BIT(BST_CSE_EVENT_UPDATE);
    }
    BST_TRY(read_ints(arena, bst_json_get(enc, "chty"), &ret->chty));
    BST_TRY(read_views(arena, bst_json_get(enc, "atr"), &ret->atr));
    return read_conditions(enc, &ret->conditions);
}

bst_result bst_cse_sub_read(struct bst_arena *arena, yyjson_val *attrs, struct bst_cse_sub *ret)
{
    int64_t nct = 0, ec = 0;
    bool latest = false;
    *ret = (struct bst_cse_sub){0};
    BST_TRY(read_views(arena, bst_json_get(attrs, "nu"), &ret->nu));
    BST_TRY(read_criteria(arena, bst_json_get(attrs, "enc"), ret));
    BST_TRY(bst_json_opt_i64(attrs, "nct", &nct));
    BST_TRY(bst_json_opt_i64(attrs, "nec", &ec));
    BST_TRY(bst_json_opt_bool(attrs, "ln", &latest));
    BST_TRY(bst_json_opt_i64(attrs, "exc", &ret->exc));
    BST_TRY(bst_json_opt_string(attrs, "su", &ret->su));
    ret->nct = (int)nct;
    ret->ec = latest ? 4 : (int)ec;
    return BST_OK;
}

/* -- does the event concern the subscription? (7.5.1.2.2 step 1.0) */

/* The resource that the event is about, as it is now or was last. */
static bst_result event_object(struct bst_cse_op *op, const struct bst_cse_event *e,
                               yyjson_val **ret)
{
    struct bst_view members = e->after.len ? e->after : e->before;
    struct bst_view text = bst_arena_printf(op->arena, "{%.*s}", (int)members.len, members.ptr);
    BST_ENSURE(text.ptr, BST_E_NOMEM);
    return bst_json_parse(op->arena, text, BST_JSON_DEPTH + 1, ret);
}

static int64_t time_of(yyjson_val *object, const char *name)
{
    int64_t us = BST_TIME_NONE;
    struct bst_view text = bst_json_view(bst_json_get(object, name));
    return text.len && !bst_failed(bst_m2m_time_parse(text, &us)) ? us : BST_TIME_NONE;
}

static int64_t number_of(yyjson_val *object, const char *name)
{
    yyjson_val *value = bst_json_get(object, name);
    return value ? yyjson_get_sint(value) : -1;
}

static bst_result conditions_hold(struct bst_cse_op *op, const struct bst_cse_sub *sub,
                                  const struct bst_cse_event *e, bool *ret)
{
    yyjson_val *object;
    *ret = true;
    if (!bst_m2m_filter_selects(&sub->conditions)) {
        return BST_OK;
    }
    BST_TRY(event_object(op, e, &object));
    struct bst_m2m_subject subject = {
        .ty = e->ty,
        .ct_us = time_of(object, "ct"),
        .lt_us = time_of(object, "lt"),
        .et_us = time_of(object, "et"),
        .st = number_of(object, "st"),
        .size = number_of(object, "cs"),
        .body = object,
    };
    return bst_m2m_filter_match(&sub->conditions, &subject, ret);
}

static bool names_changed(struct bst_cse_op *op, const struct bst_cse_sub *sub,
                          const struct bst_cse_event *e)
{
    struct bst_view text =
        bst_arena_printf(op->arena, "{%.*s}", (int)e->modified.len, e->modified.ptr);
    yyjson_val *changed;
    if (!text.ptr || bst_failed(bst_json_parse(op->arena, text, BST_JSON_DEPTH + 1, &changed))) {
        return false;
    }
    for (size_t i = 0; i < sub->atr.n; i++) {
        if (bst_json_getv(changed, sub->atr.v[i])) {
            return true;
        }
    }
    return false;
}

static bool type_listed(const struct bst_cse_sub *sub, int ty)
{
    for (size_t i = 0; i < sub->chty.n; i++) {
        if (sub->chty.v[i] == ty) {
            return true;
        }
    }
    return sub->chty.n == 0;
}

static bst_result concerns(struct bst_cse_op *op, const struct bst_cse_sub *sub,
                           const struct bst_cse_event *e, bool *ret)
{
    *ret = false;
    if (!(sub->net & BST_NET_BIT(e->kind))) {
        return BST_OK;
    }
    bool child = e->kind == BST_CSE_EVENT_CHILD_CREATE || e->kind == BST_CSE_EVENT_CHILD_DELETE;
    if (child && !type_listed(sub, e->ty)) {
        return BST_OK;
    }
    if (e->kind == BST_CSE_EVENT_UPDATE && sub->atr.n && !names_changed(op, sub, e)) {
        return BST_OK;
    }
    return conditions_hold(op, sub, e, ret);
}

/* -- what its targets are told (step 2) */

static void add_representation(struct bst_cse_op *op, const struct bst_cse_event *e, int nct,
                               struct bst_buf *out)
{
    struct bst_view whole = e->after.len ? e->after : e->before;
    yyjson_val *object;
    if (nct == 3) {
        struct bst_view ri = {"", 0};
        if (!bst_failed(event_object(op, e, &object))) {
            ri = bst_json_view(bst_json_get(object, "ri"));
        }
        bst_buf_addf(out, "\"m2m:uri\":\"%.*s/%.*s\"", BST_VIEW_ARGS(op->cse->csi),
                     BST_VIEW_ARGS(ri));
        return;
    }
    bst_buf_addc(out, '"');
    bst_buf_addv(out, e->root);
    bst_buf_adds(out, "\":{");
    bst_buf_addv(out, nct == 2 && e->kind == BST_CSE_EVENT_UPDATE ? e->modified : whole);
    bst_buf_addc(out, '}');
}

static bst_result finish_text(struct bst_cse_op *op, struct bst_buf *buf, struct bst_view *ret)
{
    *ret = buf->failed ? (struct bst_view){NULL, 0} : bst_arena_view(op->arena, bst_buf_view(buf));
    bst_buf_clear(buf);
    BST_ENSURE(ret->ptr, BST_E_NOMEM);
    return BST_OK;
}

static bst_result event_content(struct bst_cse_op *op, const struct bst_cse_sub *sub,
                                const struct bst_cse_event *e, struct bst_view sur,
                                struct bst_view *ret)
{
    struct bst_buf buf = {0};
    bst_buf_adds(&buf, "{\"m2m:sgn\":{\"nev\":{\"rep\":{");
    add_representation(op, e, sub->nct, &buf);
    bst_buf_addf(&buf, "},\"net\":%d},\"sur\":", (int)e->kind);
    bst_buf_add_json(&buf, sur);
    bst_buf_adds(&buf, "}}");
    op->notes_bytes += buf.len;
    return finish_text(op, &buf, ret);
}

/* What one request may set off, in all; the write itself does not suffer from who watches it. */
#define NOTES_MAX 10000
#define NOTES_BYTES ((size_t)16 << 20)

static void begin_notes(struct bst_cse_op *op)
{
    op->notes = NULL;
    op->notes_tail = &op->notes;
    op->notes_n = op->notes_bytes = 0;
}

static bool too_many_notes(const struct bst_cse_op *op)
{
    return op->notes_n >= NOTES_MAX || op->notes_bytes >= NOTES_BYTES;
}

static bst_result add_note(struct bst_cse_op *op, struct bst_view target, struct bst_view pc,
                           int ec, int64_t key)
{
    if (too_many_notes(op)) {
        return BST_OK;
    }
    struct bst_cse_note *note = bst_arena_alloc(op->arena, sizeof *note);
    BST_ENSURE(note, BST_E_NOMEM);
    *note = (struct bst_cse_note){NULL, target, pc, ec, key};
    *op->notes_tail = note;
    op->notes_tail = &note->next;
    if (++op->notes_n == NOTES_MAX) {
        bst_log(BST_LOG_WARN, "notify.too_many", "one request set off more than %d notifications",
                NOTES_MAX);
    }
    return BST_OK;
}

/* Structured, while the subscription stands in the tree. */
static bst_result sub_address(struct bst_cse_op *op, struct bst_cse_res *res, struct bst_view *ret)
{
    struct bst_view path;
    bst_result r = bst_cse_path(op, res, &path);
    if (r.code == BST_E_NOT_FOUND) {
        path = res->ri;
    } else {
        BST_TRY(r);
    }
    *ret =
        bst_arena_printf(op->arena, "%.*s/%.*s", BST_VIEW_ARGS(op->cse->csi), BST_VIEW_ARGS(path));
    BST_ENSURE(ret->ptr, BST_E_NOMEM);
    return BST_OK;
}

/* [TS-0004 7.5.1.2.4] The end of a subscription is told to subscriberURI. */
static bst_result add_farewell(struct bst_cse_op *op, const struct bst_cse_sub *sub,
                               struct bst_view sur, int64_t key)
{
    struct bst_buf buf = {0};
    struct bst_view pc;
    if (!sub->su.len) {
        return BST_OK;
    }
    bst_buf_adds(&buf, "{\"m2m:sgn\":{\"sud\":true,\"sur\":");
    bst_buf_add_json(&buf, sur);
    bst_buf_adds(&buf, "}}");
    BST_TRY(finish_text(op, &buf, &pc));
    return add_note(op, sub->su, pc, sub->ec, key);
}

/* Each composed notification counts, so that the counter holds across a crash and under
 * concurrency. */
static bst_result count_down(struct bst_cse_op *op, struct bst_cse_res *res, int64_t exc)
{
    if (!op->writing) {
        return BST_OK;
    }
    if (exc <= 1) {
        return bst_cse_remove(op, res);
    }
    struct bst_cse_members m = {.arena = op->arena};
    yyjson_val *attrs;
    struct bst_view stored;
    BST_TRY(bst_cse_attrs(op, res, &attrs));
    bst_cse_members_add_json(&m, attrs);
    bst_cse_members_set_number(&m, "exc", exc - 1);
    BST_TRY(bst_cse_members_join(&m, &stored));
    size_t head = res->row.body.len - res->stored.len;
    struct bst_row row = res->row;
    row.body = bst_arena_printf(op->arena, "%.*s%.*s", (int)head, row.body.ptr, (int)stored.len,
                                stored.ptr);
    BST_ENSURE(row.body.ptr, BST_E_NOMEM);
    return bst_resource_update(op->conn, &row);
}

/* -- may who subscribed still know? */

/* The resource of the event as far as the access decision looks at it; a deleted one is in no
 * table. */
static bst_result event_resource(struct bst_cse_op *op, const struct bst_cse_event *e,
                                 struct bst_cse_res **ret)
{
    struct bst_cse_res *res = bst_arena_alloc(op->arena, sizeof *res);
    BST_ENSURE(res, BST_E_NOMEM);
    res->arena = op->arena;
    res->row = (struct bst_row){.id = e->id, .pi = e->parent, .ty = e->ty, .cr = e->creator};
    res->type = bst_m2m_type_by_ty(e->ty);
    res->rules = bst_cse_type_find(e->ty);
    BST_ENSURE(res->type && res->rules, BST_E_CORRUPT);
    BST_TRY(event_object(op, e, &res->attrs));
    res->ri = bst_json_view(bst_json_get(res->attrs, "ri"));
    *ret = res;
    return BST_OK;
}

/* A right to read that was taken away ends the notifications too. Where the subscriber is now
 * connected from, if at all, is not known: what policies say about places is left out. */
static bst_result may_know(struct bst_cse_op *op, const struct bst_row *sub,
                           const struct bst_cse_event *e, bool *ret)
{
    struct bst_originator who = {.proved = true};
    struct bst_cse_res *res;
    struct bst_view creator;
    *ret = false;
    BST_TRY(bst_principal_name(op->conn, sub->cr, op->arena, &creator));
    if (!creator.len || bst_failed(bst_entity_parse(&op->cse->self, creator, &who.id))) {
        return BST_OK;
    }
    bst_originator_init(&who);
    BST_TRY(event_resource(op, e, &res));
    bst_result r = bst_cse_access_of(op, res, &who, ret);
    if (r.code == BST_E_NOT_FOUND) {
        return BST_OK; /* the parent that governs it went too */
    }
    return r;
}

static bst_result serve_sub(struct bst_cse_op *op, const struct bst_row *row,
                            struct bst_cse_event *e, int64_t host)
{
    struct bst_cse_res *res;
    struct bst_cse_sub sub;
    yyjson_val *attrs;
    struct bst_view sur, pc;
    bool wanted;
    BST_TRY(bst_cse_res_new(op, row, NULL, &res));
    BST_TRY(bst_cse_attrs(op, res, &attrs));
    BST_TRY(bst_cse_sub_read(op->arena, attrs, &sub));
    BST_TRY(concerns(op, &sub, e, &wanted));
    bool ends = e->kind == BST_CSE_EVENT_DELETE && host == e->id;
    if (!wanted && !(ends && sub.su.len)) {
        return BST_OK;
    }
    BST_TRY(sub_address(op, res, &sur));
    if (wanted) {
        BST_TRY(may_know(op, row, e, &wanted));
    }
    if (wanted && !too_many_notes(op)) {
        BST_TRY(event_content(op, &sub, e, sur, &pc));
        for (size_t i = 0; i < sub.nu.n; i++) {
            BST_TRY(add_note(op, sub.nu.v[i], pc, sub.ec, row->id));
        }
        if (sub.exc > 0 && !ends) {
            BST_TRY(count_down(op, res, sub.exc));
        }
    }
    return ends ? add_farewell(op, &sub, sur, row->id) : BST_OK;
}

#define SUBS_MAX 4096

/* Collect first: counting down changes the rows that the walk stands on. */
static bst_result subs_of(struct bst_cse_op *op, int64_t host, struct bst_row **ret, size_t *ret_n)
{
    struct bst_cursor cursor = {0};
    size_t n = 0, cap = 0;
    struct bst_row *rows = NULL, row;
    bst_result r =
        bst_children_open(op->conn, host, BST_TY_SUB, (struct bst_place){0}, SUBS_MAX, &cursor);
    while (!bst_failed(r)) {
        r = bst_cursor_next(&cursor, &row);
        if (bst_failed(r) || !row.id) {
            break;
        }
        if (n == cap) {
            size_t more = cap ? cap * 2 : 4;
            struct bst_row *grown = bst_arena_alloc(op->arena, more * sizeof *grown);
            if (!grown) {
                r = bst_error(BST_E_NOMEM);
                break;
            }
            if (n) {
                memcpy(grown, rows, n * sizeof *rows);
            }
            rows = grown;
            cap = more;
        }
        r = bst_row_copy(&row, op->arena, &rows[n++]);
    }
    bst_cursor_clear(&cursor);
    *ret = rows;
    *ret_n = n;
    return r;
}

static bst_result serve_event(struct bst_cse_op *op, struct bst_cse_event *e)
{
    bool child = e->kind == BST_CSE_EVENT_CHILD_CREATE || e->kind == BST_CSE_EVENT_CHILD_DELETE;
    int64_t host = child ? e->parent : e->id;
    struct bst_row *rows;
    size_t n;
    if (e->kind == BST_CSE_EVENT_DELETE && e->ty == BST_TY_SUB) {
        struct bst_cse_sub sub;
        yyjson_val *object;
        BST_TRY(event_object(op, e, &object));
        BST_TRY(bst_cse_sub_read(op->arena, object, &sub));
        struct bst_view sur =
            bst_arena_printf(op->arena, "%.*s/%.*s", BST_VIEW_ARGS(op->cse->csi),
                             BST_VIEW_ARGS(bst_json_view(bst_json_get(object, "ri"))));
        BST_ENSURE(sur.ptr, BST_E_NOMEM);
        return add_farewell(op, &sub, sur, e->id);
    }
    BST_TRY(subs_of(op, host, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        /* A subscription does not report its own creation or end. */
        if (rows[i].id != e->id) {
            BST_TRY(serve_sub(op, &rows[i], e, host));
        }
    }
    return BST_OK;
}

/* A subscription that cannot be read must not stop the write that it watches. */
static bst_result compose(struct bst_cse_op *op, const struct bst_cse_event *first)
{
    for (const struct bst_cse_event *e = first; e; e = e->next) {
        struct bst_cse_event copy = *e;
        bst_result r = serve_event(op, &copy);
        if (r.code == BST_E_NOMEM || bst_error_class(r.code) == BST_CLASS_IO) {
            return r;
        }
        if (bst_failed(r)) {
            bst_log(BST_LOG_ERROR, "notify.subscription_unreadable", "no notification: %s %s",
                    bst_error_text(r.code), bst_error_detail());
        }
    }
    return BST_OK;
}

static bst_result in_transaction(void *ctx, struct bst_cse_op *op,
                                 const struct bst_cse_event *first)
{
    (void)ctx;
    begin_notes(op);
    return compose(op, first);
}

static void committed(void *ctx, struct bst_cse_op *op, const struct bst_cse_event *first)
{
    struct bst_notifier *notifier = ctx;
    if (!notifier) {
        return;
    }
    if (!op->writing) {
        begin_notes(op);
        if (bst_failed(compose(op, first))) {
            return;
        }
    }
    for (const struct bst_cse_note *note = op->notes; note; note = note->next) {
        struct bst_notify_letter letter = {.target = note->target,
                                           .fr = op->cse->csi,
                                           .pc = note->pc,
                                           .ec = note->ec,
                                           .key = note->key};
        if (bst_failed(bst_notifier_post(notifier, &letter))) {
            bst_log(BST_LOG_WARN, "notify.dropped", "notification to %.*s dropped: %s",
                    BST_VIEW_ARGS(note->target), bst_error_detail());
        }
    }
}

void bst_cse_notify_events(struct bst_notifier *notifier, struct bst_cse_events *ret)
{
    *ret = (struct bst_cse_events){notifier, in_transaction, committed};
}

/* -- verification (7.5.1.2.3) */

struct verification {
    struct bst_cse_op *op;
    size_t open;
    bool failed;
    char why[200];
};

static void verification_end(struct verification *v)
{
    struct bst_cse_op *op = v->op;
    if (v->failed) {
        bst_cse_finish(op, bst_error_detailed(BST_E_SUBSCRIPTION_VERIFICATION, "%s", v->why));
    } else {
        op->verified = true;
        op->verify = NULL;
        bst_cse_submit(op);
    }
    bst_free(v);
}

struct inquiry {
    struct verification *v;
    struct bst_view target;
};

static void inquiry_done(void *ctx, bst_result result, int rsc)
{
    struct inquiry *q = ctx; /* in the operation's arena */
    struct verification *v = q->v;
    if (bst_failed(result) || rsc >= 3000) {
        v->failed = true;
        snprintf(v->why, sizeof v->why, "notification target %.*s %s%s", BST_VIEW_ARGS(q->target),
                 bst_failed(result) ? "was not reached: " : "refused the subscription",
                 bst_failed(result) ? bst_error_text(result.code) : "");
    }
    if (--v->open == 0) {
        verification_end(v);
    }
}

static bst_result inquire(struct verification *v, struct bst_notifier *notifier, struct bst_view pc,
                          struct bst_view target)
{
    struct inquiry *q = bst_arena_alloc(v->op->arena, sizeof *q);
    BST_ENSURE(q, BST_E_NOMEM);
    *q = (struct inquiry){v, target};
    struct bst_notify_letter letter = {.target = target,
                                       .fr = v->op->cse->csi,
                                       .pc = pc,
                                       .once = true,
                                       .done = inquiry_done,
                                       .ctx = q,
                                       .loop = v->op->worker->loop};
    return bst_notifier_post(notifier, &letter);
}

static bst_result question(struct bst_cse_op *op, struct bst_view *ret)
{
    struct bst_buf buf = {0};
    bst_buf_adds(&buf, "{\"m2m:sgn\":{\"vrq\":true,\"sur\":");
    bst_buf_add_json(&buf, op->verify->sur);
    bst_buf_adds(&buf, ",\"cr\":");
    bst_buf_add_json(&buf, bst_entity_sp_relative(&op->who.id));
    bst_buf_adds(&buf, "}}");
    return finish_text(op, &buf, ret);
}

void bst_cse_notify_verify(struct bst_cse_op *op)
{
    const struct bst_cse_events *events = op->cse->config.events;
    struct bst_notifier *notifier = events ? events->ctx : NULL;
    const struct bst_m2m_views *targets = &op->verify->unasked;
    struct verification *v = bst_alloc(sizeof *v);
    struct bst_view pc;
    if (!notifier || !v || bst_failed(question(op, &pc))) {
        bst_free(v);
        bst_cse_finish(op, bst_error_detailed(BST_E_SUBSCRIPTION_VERIFICATION,
                                              "notification targets cannot be asked now"));
        return;
    }
    v->op = op;
    v->open = targets->n + 1;
    for (size_t i = 0; i < targets->n; i++) {
        if (bst_failed(inquire(v, notifier, pc, targets->v[i]))) {
            v->failed = true;
            snprintf(v->why, sizeof v->why, "notification target %.*s cannot be asked now",
                     BST_VIEW_ARGS(targets->v[i]));
            v->open--;
        }
    }
    if (--v->open == 0) {
        verification_end(v);
    }
}

/* -- NOTIFY from one entity to another (7.3.3.9) */

static void forwarded(void *ctx, bst_result result, int rsc)
{
    struct bst_cse_op *op = ctx;
    if (bst_failed(result)) {
        bst_cse_finish(op, bst_error_detailed(BST_E_NOT_REACHABLE, "%.*s was not reached",
                                              BST_VIEW_ARGS(op->req->to)));
        return;
    }
    op->call->rsp.rsc = rsc;
    bst_cse_finish(op, BST_OK);
}

bst_result bst_cse_notify_forward(struct bst_cse_op *op)
{
    const struct bst_cse_events *events = op->cse->config.events;
    struct bst_notifier *notifier = events ? events->ctx : NULL;
    struct bst_view pc = op->req->pc_text;
    if (!notifier || op->target.res->row.ty != BST_TY_AE) {
        BST_FAIL(BST_E_NOT_REACHABLE, "%.*s takes no notifications", BST_VIEW_ARGS(op->req->to));
    }
    if (!pc.len) {
        pc = bst_json_text(op->arena, op->req->pc);
        BST_ENSURE(pc.ptr, BST_E_NOMEM);
    }
    struct bst_notify_letter letter = {.target = op->target.res->ri,
                                       .fr = op->req->fr,
                                       .pc = pc,
                                       .ec = op->req->ec == 4 ? 0 : op->req->ec,
                                       .once = true,
                                       .done = forwarded,
                                       .ctx = op,
                                       .loop = op->worker->loop};
    return bst_notifier_post(notifier, &letter);
}
