/* Sensitive data leaves the request before anything is stored of it; work for the secure
 * environment runs on a background thread, between two runs of the operation. */
#include "cse/type_se.h"

#include "crypto/pkey.h"
#include "obs/log.h"

#include <stdio.h>

/* A key or its parameters may change between the run that asks and the one that goes on. */
#define ROUNDS_MAX 4

/* What stands in the request instead: it passes for base64. */
static const char placeholder[] = "AAAA";

static struct bst_cse_secure *secure_of(struct bst_cse_op *op)
{
    if (!op->secure) {
        op->secure = bst_arena_alloc(op->arena, sizeof *op->secure);
    }
    return op->secure;
}

/* ---- out of the request ---- */

static bst_result decode(struct bst_view text, struct bst_cse_secure *s)
{
    bst_result r = BST_OK;
    struct bst_buf bytes = {0};
    if (text.len / 4 * 3 > BST_SECURE_INPUT_MAX + 2) {
        s->input_problem = "is too long: 65536 octets are possible";
        return bst_error(BST_E_TOO_LONG);
    }
    /* In one piece: growing would leave copies behind. */
    if (!bst_buf_reserve(&bytes, text.len + 1)) {
        return bst_error(BST_E_NOMEM);
    }
    r = bst_base64_decode(text, &bytes);
    if (!bst_failed(r)) {
        r = bst_secret_copy(&s->input, bytes.ptr, bytes.len);
    } else if (r.code != BST_E_NOMEM) {
        s->input_problem = "must be base64 text";
        r = bst_error(BST_E_VALUE);
    }
    bst_buf_wipe(&bytes);
    return r;
}

/* `s` is NULL when memory is out: the text goes all the same. */
static void take_text(yyjson_val *value, struct bst_cse_secure *s)
{
    struct bst_view text = bst_json_view(value);
    if (s) {
        s->input_problem = NULL;
        s->input_error = decode(text, s);
    }
    bst_wipe((char *)(uintptr_t)text.ptr, text.len);
    yyjson_set_strn(value, placeholder, sizeof placeholder - 1);
}

/* The members of content of the family, NULL: there is none. */
static yyjson_val *find_members(const struct bst_m2m_request *req, const struct bst_m2m_type **ret)
{
    yyjson_obj_iter iter;
    if ((req->op != BST_OP_CREATE && req->op != BST_OP_UPDATE) || !req->pc ||
        !yyjson_obj_iter_init(req->pc, &iter)) {
        return NULL;
    }
    yyjson_val *key = yyjson_obj_iter_next(&iter);
    *ret = key ? bst_m2m_type_by_root(bst_json_view(key)) : NULL;
    return *ret && ((*ret)->flags & BST_TYPE_SECURE) ? yyjson_obj_iter_get_val(key) : NULL;
}

static yyjson_val *find_input(const struct bst_m2m_request *req)
{
    const struct bst_m2m_type *type;
    yyjson_val *members = find_members(req, &type);
    return members ? bst_json_get(members, "msg") : NULL;
}

bool bst_secure_answers_once(const struct bst_cse_op *op)
{
    static const struct {
        int ty;
        const char *sn; /* asks for it */
    } rows[] = {{BST_TY_RAND, "Dsz"}, {BST_TY_IDEN, "oAD"}};
    const struct bst_m2m_type *type;
    yyjson_val *members = find_members(op->req, &type);
    for (size_t i = 0; members && i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].ty == type->ty && bst_json_get(members, rows[i].sn)) {
            return true;
        }
    }
    return false;
}

void bst_secure_divert(struct bst_cse_op *op)
{
    yyjson_val *value = find_input(op->req);
    struct bst_cse_secure *s = value ? secure_of(op) : NULL;
    if (s) {
        s->has_input = true;
        s->input_error = bst_error(BST_E_VALUE);
        s->input_problem = "must be base64 text";
    }
    if (yyjson_is_str(value)) {
        take_text(value, s);
    } else if (value && !yyjson_is_ctn(value) && !yyjson_is_null(value)) {
        yyjson_set_strn(value, placeholder, sizeof placeholder - 1); /* no refusal repeats it */
    }
}

bool bst_secure_has_input(const struct bst_cse_op *op)
{
    return op->secure && op->secure->has_input;
}

bst_result bst_secure_input(struct bst_cse_op *op, size_t max, struct bst_view *ret)
{
    struct bst_cse_secure *s = op->secure;
    if (!s || !s->has_input) {
        BST_FAIL(BST_E_SYNTAX, "the data (msg) is missing");
    }
    if (bst_failed(s->input_error)) {
        BST_FAIL(s->input_error.code, "msg %s",
                 s->input_problem ? s->input_problem : "could not be taken: ask again");
    }
    if (s->input.len > max) {
        BST_FAIL(BST_E_TOO_LONG, "msg has %zu octets, %zu are possible here", s->input.len, max);
    }
    *ret = bst_view_of(s->input.ptr, s->input.len);
    return BST_OK;
}

/* ---- asking ---- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_work(const struct bst_secure_work *a, const struct bst_secure_work *b)
{
    return a->kind == b->kind && same_text(a->owner, b->owner) && same_text(a->label, b->label) &&
           same_text(a->made, b->made) && a->type == b->type && a->uses == b->uses &&
           a->md == b->md && bst_view_eq(a->aad, b->aad) && bst_view_eq(a->salt, b->salt) &&
           bst_view_eq(a->sealed, b->sealed) && bst_view_eq(a->data, b->data) &&
           bst_view_eq(a->signature, b->signature) && bst_view_eq(a->public_key, b->public_key);
}

/* How failures of the environment look to the originator: theirs to mend, where they are. */
static bst_result told(const struct bst_cse_secure *s)
{
    switch (s->outcome.code) {
    case BST_E_BAD_MAC:
    case BST_E_TRUNCATED:
    case BST_E_VERSION:
        BST_FAIL(BST_E_CONTENTS, "the data was not sealed by this key with this associated data");
    case BST_E_SE_USAGE:
    case BST_E_SE_MECHANISM:
    case BST_E_BAD_KEY:
    case BST_E_EXPIRED:
    case BST_E_NOT_IMPLEMENTED:
        BST_FAIL(BST_E_VALUE, "%s", s->detail);
    case BST_E_EXISTS:
        BST_FAIL(BST_E_CONFLICT, "there is a key of this name already");
    default:
        return bst_error_detailed(s->outcome.code, "%s", s->detail);
    }
}

/* A key was made, and the operation came to nothing or wants another one. */
static bool made_key(const struct bst_cse_secure *s)
{
    return s->done && s->work.made && !bst_failed(s->outcome);
}

bst_result bst_secure_run(struct bst_cse_op *op, const struct bst_secure_work *work)
{
    struct bst_cse_secure *s = secure_of(op);
    BST_ENSURE(s, BST_E_NOMEM);
    if (s->done && same_work(&s->work, work)) {
        return bst_failed(s->outcome) ? told(s) : BST_OK;
    }
    if (s->rounds++ == ROUNDS_MAX) {
        BST_FAIL(BST_E_BUSY, "key and parameters change faster than they can be used: ask again");
    }
    if (made_key(s)) {
        bst_buf_add(&s->failed, s->work.made, strlen(s->work.made) + 1);
        BST_TRY(bst_buf_check(&s->failed));
    }
    s->work = *work;
    s->wanted = true;
    s->done = false;
    BST_FAIL(BST_E_BUSY, "the secure environment is at work");
}

void bst_secure_begin(struct bst_cse_op *op)
{
    op->extra = (struct bst_view){0};
    if (op->secure) {
        op->secure->wanted = false;
        bst_buf_clear(&op->secure->gone);
    }
}

bool bst_secure_waits(const struct bst_cse_op *op)
{
    return op->secure && op->secure->wanted;
}

/* ---- at work: on a background thread ---- */

/* A key that a resource made: its label is "ts0016:", a kind, its owner and a name without colon.
 */
static bst_result find_made(struct bst_se *se, const char *label, bst_key *ret)
{
    char owner[BST_KEY_LABEL_MAX + 1];
    struct bst_view rest = bst_view(label), word;
    bst_view_cut(&rest, ':', &word);
    bst_view_cut(&rest, ':', &word);
    while (rest.len && rest.ptr[rest.len - 1] != ':') {
        rest.len--;
    }
    rest.len -= rest.len ? 1 : 0;
    BST_TRY(bst_view_copy(rest, owner, sizeof owner));
    return bst_se_key_find_of(se, owner, label, ret);
}

/* Labels in a row, each with its NUL. Those that cannot be wiped now go at the next start. */
size_t bst_secure_wipe_keys(struct bst_se *se, const struct bst_buf *labels)
{
    size_t n = 0;
    for (size_t at = 0; at < labels->len; at += strlen(labels->ptr + at) + 1) {
        const char *label = labels->ptr + at;
        bst_key key = 0;
        bst_result r = find_made(se, label, &key);
        if (!bst_failed(r) && key) {
            r = bst_se_key_delete(se, key);
            n += !bst_failed(r);
        }
        if (bst_failed(r) && r.code != BST_E_NOT_FOUND) {
            bst_log(BST_LOG_WARN, "cse.wipe_failed",
                    "key %s of a removed resource stays until the next start: %s", label,
                    bst_error_detail());
        }
    }
    return n;
}

struct desk {
    struct bst_se *se; /* of the owner */
    struct bst_cse_secure *s;
    const struct bst_secure_work *work;
    bst_key key;
    bool borrowed; /* a key for this work only */
    struct bst_view data;
};

/* Each is durable, and a token is small. se.quota can make it fewer. */
#define KEYS_OF_AN_OWNER 1000

static bst_result make(struct desk *d, bst_key *ret)
{
    if (d->work->owner[0] && bst_se_key_count(d->se) >= KEYS_OF_AN_OWNER) {
        BST_FAIL(BST_E_LIMIT, "'%s' has %d keys and pieces of sensitive data: delete some first",
                 d->work->owner, KEYS_OF_AN_OWNER);
    }
    const struct bst_key_attrs attrs = {
        .type = d->work->type,
        .uses = d->work->uses,
        .label = d->work->made,
        .owner = d->work->owner,
        .persistent = true,
    };
    return d->work->kind == BST_SECURE_DERIVE
               ? bst_se_hkdf(d->se, d->key, d->work->salt, d->work->aad, &attrs, ret)
               : bst_se_key_generate(d->se, &attrs, ret);
}

/* A key that nothing can be done with is no key. */
static bst_result or_unmake(struct desk *d, bst_result r)
{
    if (bst_failed(r)) {
        char detail[256];
        snprintf(detail, sizeof detail, "%s", bst_error_detail());
        const struct bst_buf label = {(char *)(uintptr_t)d->work->made, strlen(d->work->made) + 1,
                                      0, false};
        bst_secure_wipe_keys(d->se, &label);
        bst_error_set_detail(detail);
    }
    return r;
}

static bst_result work_keep(struct desk *d)
{
    bst_key key;
    BST_TRY(make(d, &key));
    return or_unmake(d, bst_se_seal(d->se, key, bst_view(d->work->made), d->data, &d->s->out));
}

static bst_result work_make(struct desk *d)
{
    bst_key key;
    BST_TRY(make(d, &key));
    if (d->work->type == BST_KEY_SYMMETRIC) {
        return BST_OK;
    }
    return or_unmake(d, bst_se_key_public(d->se, key, &d->s->out));
}

static bst_result work_seal(struct desk *d)
{
    return bst_se_seal(d->se, d->key, d->work->aad, d->data, &d->s->out);
}

static bst_result work_unseal(struct desk *d)
{
    /* The opened text is shorter than the sealed one: no growing, no copies. */
    BST_ENSURE(bst_buf_reserve(&d->s->out, d->data.len + 1), BST_E_NOMEM);
    return bst_se_unseal(d->se, d->key, d->work->aad, d->data, &d->s->out);
}

static bst_result work_sign(struct desk *d)
{
    return bst_se_sign(d->se, d->key, d->work->md, d->data, &d->s->out);
}

static bst_result work_verify(struct desk *d)
{
    bst_auto(buf) spki = {0};
    bst_auto_pkey *pkey = NULL;
    struct bst_view given = d->work->public_key;
    if (!given.len) {
        BST_TRY(bst_se_key_public(d->se, d->key, &spki));
        given = bst_buf_view(&spki);
    }
    BST_TRY(bst_pkey_load_public(given, &pkey));
    bst_result r = bst_pkey_verify(pkey, d->work->md, d->data, d->work->signature);
    d->s->verified = !bst_failed(r);
    return r.code == BST_E_BAD_MAC ? BST_OK : r;
}

static bst_result work_mac(struct desk *d)
{
    uint8_t mac[BST_SHA256_BYTES];
    BST_TRY(bst_se_mac(d->se, d->key, &d->data, 1, mac));
    bst_buf_add(&d->s->out, mac, sizeof mac);
    return bst_buf_check(&d->s->out);
}

static bst_result work_verify_mac(struct desk *d)
{
    uint8_t mac[BST_SHA256_BYTES];
    struct bst_view given = d->work->signature;
    BST_TRY(bst_se_mac(d->se, d->key, &d->data, 1, mac));
    d->s->verified = given.len == sizeof mac && bst_equal_ct(mac, given.ptr, sizeof mac);
    bst_wipe(mac, sizeof mac);
    return BST_OK;
}

static bst_result (*const works[])(struct desk *d) = {
    [BST_SECURE_KEEP] = work_keep,
    [BST_SECURE_SEAL] = work_seal,
    [BST_SECURE_UNSEAL] = work_unseal,
    [BST_SECURE_SIGN] = work_sign,
    [BST_SECURE_VERIFY] = work_verify,
    [BST_SECURE_MAC] = work_mac,
    [BST_SECURE_VERIFY_MAC] = work_verify_mac,
    [BST_SECURE_GENERATE] = work_make,
    [BST_SECURE_DERIVE] = work_make,
};

/* Sensitive data becomes a key that has no name and lives for one piece of work. */
static bst_result borrow(struct desk *d)
{
    const struct bst_key_attrs attrs = {
        .type = BST_KEY_SYMMETRIC,
        .uses = d->work->needs,
        .owner = d->work->owner,
        .borrowed = true,
    };
    bst_auto(secret) value = {0};
    struct bst_buf bytes = {0};
    bst_key key;
    BST_ENSURE(bst_buf_reserve(&bytes, d->work->sealed.len + 1), BST_E_NOMEM);
    bst_result r = bst_se_unseal(d->se, d->key, bst_view(d->work->label), d->work->sealed, &bytes);
    r = bst_failed(r) ? r : bst_secret_copy(&value, bytes.ptr, bytes.len);
    bst_buf_wipe(&bytes);
    BST_TRY(r);
    BST_TRY(bst_se_key_import(d->se, &attrs, &value, &key));
    d->key = key;
    d->borrowed = true;
    return BST_OK;
}

static void give_back(struct desk *d, bst_result *r)
{
    if (d->borrowed) {
        bst_result gone = bst_se_key_delete(d->se, d->key);
        *r = bst_failed(*r) ? *r : gone;
    }
}

static bst_result find_key(struct desk *d)
{
    if (!d->work->label) {
        return BST_OK;
    }
    BST_TRY(bst_se_key_find(d->se, d->work->label, &d->key));
    if (!d->key) {
        BST_FAIL(BST_E_BAD_KEY, "the key is gone");
    }
    return d->work->sealed.len ? borrow(d) : BST_OK;
}

static bst_result perform(struct bst_cse_op *op)
{
    struct bst_cse_secure *s = op->secure;
    struct desk d = {.s = s, .work = &s->work};
    d.data = s->work.data.ptr ? s->work.data : bst_view_of(s->input.ptr, s->input.len);
    bst_buf_wipe(&s->out);
    s->verified = false;
    bst_secure_wipe_keys(op->cse->config.se, &s->failed); /* its label may be wanted again */
    bst_buf_clear(&s->failed);
    BST_TRY(bst_se_for_owner(op->cse->config.se, s->work.owner, &d.se));
    bst_result r = find_key(&d);
    r = bst_failed(r) ? r : works[s->work.kind](&d);
    give_back(&d, &r);
    bst_se_close(&d.se);
    return r;
}

static bst_result run_inside(struct bst_store_conn *conn, struct bst_store_job *job)
{
    struct bst_cse_op *op = bst_container_of(job, struct bst_cse_op, job);
    (void)conn;
    bst_error_set_detail("");
    op->secure->outcome = perform(op);
    snprintf(op->secure->detail, sizeof op->secure->detail, "%s", bst_error_detail());
    return BST_OK;
}

static void done_inside(struct bst_store_job *job, bst_result result)
{
    struct bst_cse_op *op = bst_container_of(job, struct bst_cse_op, job);
    op->secure->wanted = false;
    if (bst_failed(result)) {
        bst_cse_finish(op, result);
        return;
    }
    op->secure->done = true;
    bst_cse_submit(op);
}

void bst_secure_go(struct bst_cse_op *op)
{
    op->job =
        (struct bst_store_job){.loop = op->worker->loop, .run = run_inside, .done = done_inside};
    bst_store_bulk(op->cse->config.store, &op->job);
}

/* ---- wiping ---- */

struct wiping {
    struct bst_store_job job;
    struct bst_cse_op *op; /* waits for it; NULL: nobody does */
    struct bst_se *se;
    struct bst_buf labels;
    bst_result result;
    char detail[256];
    void (*end)(struct bst_cse_op *op, bst_result result);
};

static bst_result run_wiping(struct bst_store_conn *conn, struct bst_store_job *job)
{
    struct wiping *w = bst_container_of(job, struct wiping, job);
    (void)conn;
    bst_secure_wipe_keys(w->se, &w->labels);
    return BST_OK;
}

static void done_wiping(struct bst_store_job *job, bst_result result)
{
    struct wiping *w = bst_container_of(job, struct wiping, job);
    struct bst_cse_op *op = w->op;
    void (*end)(struct bst_cse_op *, bst_result) = w->end;
    bst_result was = w->result;
    if (bst_failed(result)) {
        bst_log(BST_LOG_WARN, "cse.wipe_failed",
                "keys of removed resources stay until the next start: %s", bst_error_detail());
    }
    bst_error_set_detail(w->detail);
    bst_buf_clear(&w->labels);
    bst_free(w);
    if (op) {
        end(op, was);
    }
}

/* What is not wiped when memory is short is found by the next start. */
static struct wiping *wiping_new(struct bst_cse_op *op, bst_result result)
{
    struct bst_cse_secure *s = op->secure;
    if (!s) {
        return NULL;
    }
    if (made_key(s) && bst_failed(result)) {
        bst_buf_add(&s->failed, s->work.made, strlen(s->work.made) + 1);
    }
    if (bst_failed(result)) {
        bst_buf_clear(&s->gone); /* the records are still there */
    }
    struct wiping *w = s->gone.len + s->failed.len ? bst_alloc(sizeof *w) : NULL;
    if (w) {
        w->se = op->cse->config.se;
        w->result = result;
        snprintf(w->detail, sizeof w->detail, "%s", bst_error_detail());
        bst_buf_addv(&w->labels, bst_buf_view(&s->gone));
        bst_buf_addv(&w->labels, bst_buf_view(&s->failed));
        w->job.run = run_wiping;
        w->job.done = done_wiping;
    }
    return w;
}

/* Who had a key made or wiped; what it is used for is recorded by the environment. */
static void record(struct bst_cse_op *op, const char *event, const char *label)
{
    const struct bst_association *assoc = op->call->assoc;
    const struct bst_audit_event entry = {
        .event = event,
        .subject = bst_entity_abs(op->call->own ? &op->cse->own.id : &op->who.id),
        .credential = assoc ? bst_view(assoc->cred_id) : (struct bst_view){0},
        .peer = op->call->peer_ip,
        .op = op->req->op ? bst_view(bst_m2m_op_name(op->req->op)) : BST_VIEW("EXPIRY"),
        .target = op->req->to,
        .decision = BST_VIEW("done"),
        .detail = bst_view(label),
    };
    if (bst_failed(bst_audit_write(op->cse->config.audit, &entry))) {
        bst_log(BST_LOG_ERROR, "audit.write_failed", "%s %s was not recorded: %s", event, label,
                bst_error_detail());
    }
}

static void record_keys(struct bst_cse_op *op, bst_result result)
{
    const struct bst_cse_secure *s = op->secure;
    if (!s || bst_failed(result)) {
        return;
    }
    if (made_key(s)) {
        record(op, "key.made", s->work.made);
    }
    for (size_t at = 0; at < s->gone.len; at += strlen(s->gone.ptr + at) + 1) {
        record(op, "key.wiped", s->gone.ptr + at);
    }
}

void bst_secure_settle(struct bst_cse_op *op, bst_result result,
                       void (*end)(struct bst_cse_op *op, bst_result result))
{
    record_keys(op, result);
    struct wiping *w = wiping_new(op, result);
    if (!w) {
        end(op, result);
        return;
    }
    w->op = op;
    w->end = end;
    w->job.loop = op->worker->loop;
    bst_store_bulk(op->cse->config.store, &w->job);
}

void bst_secure_settle_unasked(struct bst_cse_op *op, bst_result result)
{
    record_keys(op, result);
    struct wiping *w = wiping_new(op, result);
    if (w) {
        bst_store_bulk(op->cse->config.store, &w->job);
    }
}

void bst_secure_clear(struct bst_cse_op *op)
{
    struct bst_cse_secure *s = op->secure;
    if (s) {
        bst_secret_clear(&s->input);
        bst_buf_wipe(&op->out); /* it may carry what was opened */
        bst_buf_wipe(&s->out);
        bst_buf_clear(&s->gone);
        bst_buf_clear(&s->failed);
    }
}
