#include "support/cse_fixture.h"

#include "base/map.h"
#include "base/time.h"
#include "store/resource.h"
#include "sys/clock.h"

#include <string.h>

#define START_US (INT64_C(1767225600) * BST_US_PER_S) /* 2026-01-01 */

static const uint8_t ri_key[32] = {7, 1, 2, 3};

void cse_init(struct cse_fixture *f)
{
    memset(f, 0, sizeof *f);
    assert_true(scratch_make(&f->scratch));
    snprintf(f->path, sizeof f->path, "%s", scratch_path(&f->scratch, "cse.db"));
    bst_clock_fake_us(START_US);
    bst_arena_init(&f->arena, 0);
    f->store_config = (struct bst_store_config){.path = f->path, .schema = &bst_resource_schema};
    f->config = (struct bst_cse_config){
        .sp_id = BST_VIEW("acme.example.com"),
        .cse_id = BST_VIEW("/id-in"),
        .cse_name = BST_VIEW("cse-in"),
        .admin = BST_VIEW("CAdmin"),
        .open_base = true,
        .open_aes = true,
        .ri_key = ri_key,
    };
    f->peer_ip = "127.0.0.1";
    f->rvi = "3";
    f->content = bst_strdup("");
    const struct bst_self self = {f->config.sp_id, BST_VIEW("id-in")};
    const struct bst_assoc_proof lab = {.kind = BST_ASSOC_LAB};
    assert_ok(bst_association_new(&self, &lab, NULL, &f->assoc));
}

void cse_start(struct cse_fixture *f)
{
    assert_ok(bst_store_open(&f->store_config, &f->store));
    f->config.store = f->store;
    assert_ok(bst_loop_new(&f->loop));
    assert_ok(bst_cse_new(&f->config, &f->cse));
    assert_ok(bst_cse_worker_new(f->cse, f->loop, &f->worker));
}

void cse_stop(struct cse_fixture *f)
{
    bst_cse_worker_free(&f->worker);
    bst_cse_free(&f->cse);
    bst_loop_free(&f->loop);
    bst_store_close(&f->store);
}

void cse_end(struct cse_fixture *f)
{
    cse_stop(f);
    bst_association_free(&f->assoc);
    bst_arena_clear(&f->arena);
    bst_free(f->content);
    scratch_remove(&f->scratch);
    bst_clock_fake_us(0);
}

int cse_setup(void **state)
{
    struct cse_fixture *f = bst_alloc(sizeof *f);
    cse_init(f);
    cse_start(f);
    *state = f;
    return 0;
}

int cse_teardown(void **state)
{
    cse_end(*state);
    bst_free(*state);
    return 0;
}

struct exchange {
    struct bst_cse_call call;
    bool done;
};

static void exchange_done(struct bst_cse_call *call)
{
    struct exchange *x = bst_container_of(call, struct exchange, call);
    x->done = true;
}

static void take_answer(struct cse_fixture *f, const struct bst_cse_call *call)
{
    f->rsp = call->rsp;
    f->trace = call->trace;
    bst_free(f->content);
    f->content = bst_strndup(call->rsp.pc.ptr, call->rsp.pc.len);
    f->root = NULL;
    if (call->rsp.pc.len) {
        assert_ok(bst_json_parse(&f->arena, call->rsp.pc, 64, &f->root));
    }
}

static int run(struct cse_fixture *f, struct bst_view text)
{
    struct exchange x = {0};
    yyjson_val *root;
    x.call = (struct bst_cse_call){.arena = &f->arena,
                                   .assoc = f->assoc,
                                   .peer_ip = bst_view(f->peer_ip),
                                   .done = exchange_done};
    assert_ok(bst_json_parse(&f->arena, text, 64, &root));
    bst_result r = bst_m2m_request_from_json(&f->arena, root, bst_wall_us(), &x.call.req);
    if (bst_failed(r)) { /* what a binding answers before the CSE sees the request */
        bst_m2m_response_fail(&x.call.rsp, r, &f->arena);
        take_answer(f, &x.call);
        return f->rsp.rsc;
    }
    bst_cse_handle(f->worker, &x.call);
    while (!x.done) {
        bst_loop_run_once(f->loop, 1000);
    }
    take_answer(f, &x.call);
    return f->rsp.rsc;
}

static void quotes(char *text)
{
    for (; *text; text++) {
        *text = *text == '\'' ? '"' : *text;
    }
}

static int send_text(struct cse_fixture *f, const char *from, char *members)
{
    struct bst_buf text = {0};
    quotes(members);
    bst_arena_reset(&f->arena);
    f->root = NULL;
    bst_buf_addf(&text, "{\"rqi\":\"r%u\",", f->serial++);
    if (f->rvi) {
        bst_buf_addf(&text, "\"rvi\":\"%s\",", f->rvi);
    }
    if (from) {
        bst_buf_addf(&text, "\"fr\":\"%s\",", from);
    }
    bst_buf_addf(&text, "%s}", members);
    int rsc = run(f, bst_view(bst_arena_strndup(&f->arena, text.ptr, text.len)));
    bst_buf_clear(&text);
    return rsc;
}

int cse_send(struct cse_fixture *f, const char *from, const char *primitive, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, primitive);
    assert_true(vasprintf(&text, primitive, args) >= 0);
    va_end(args);
    int rsc = send_text(f, from, text);
    free(text);
    return rsc;
}

static int type_number(const char *type)
{
    char root[64];
    snprintf(root, sizeof root, "m2m:%s", type);
    const struct bst_m2m_type *found = bst_m2m_type_by_root(bst_view(root));
    assert_non_null(found);
    return found->ty;
}

int cse_create(struct cse_fixture *f, const char *from, const char *to, const char *type,
               const char *members, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, members);
    assert_true(vasprintf(&text, members, args) >= 0);
    va_end(args);
    int rsc = cse_send(f, from, "'op':1,'to':'%s','ty':%d,'pc':{'m2m:%s':{%s}}", to,
                       type_number(type), type, text);
    free(text);
    return rsc;
}

int cse_retrieve(struct cse_fixture *f, const char *from, const char *to)
{
    return cse_send(f, from, "'op':2,'to':'%s'", to);
}

int cse_query(struct cse_fixture *f, const char *from, const char *to, const char *more)
{
    return cse_send(f, from, "'op':2,'to':'%s',%s", to, more);
}

int cse_update(struct cse_fixture *f, const char *from, const char *to, const char *type,
               const char *members)
{
    return cse_send(f, from, "'op':3,'to':'%s','pc':{'m2m:%s':{%s}}", to, type, members);
}

int cse_delete(struct cse_fixture *f, const char *from, const char *to)
{
    return cse_send(f, from, "'op':4,'to':'%s'", to);
}

void cse_register(struct cse_fixture *f, const char *stem, const char *name)
{
    assert_rsc(2001, cse_create(f, stem, "cse-in", "ae",
                                "'rn':'%s','api':'N.test','rr':false,'srv':['3']", name));
}

yyjson_val *cse_at(struct cse_fixture *f, const char *path)
{
    yyjson_val *at = f->root;
    struct bst_view rest = bst_view(path), step;
    for (bool more = path[0] != '\0'; at && more;) {
        int64_t index;
        more = bst_view_cut(&rest, '/', &step);
        if (yyjson_is_arr(at)) {
            at = bst_failed(bst_parse_i64(step, &index)) ? NULL : yyjson_arr_get(at, (size_t)index);
        } else {
            at = bst_json_getv(at, step);
        }
    }
    return at;
}

const char *cse_text(struct cse_fixture *f, const char *path)
{
    const char *text = yyjson_get_str(cse_at(f, path));
    return text ? text : "";
}

int64_t cse_int(struct cse_fixture *f, const char *path)
{
    yyjson_val *value = cse_at(f, path);
    return yyjson_is_int(value) ? yyjson_get_sint(value) : -1;
}

size_t cse_count(struct cse_fixture *f, const char *path)
{
    yyjson_val *value = cse_at(f, path);
    return yyjson_is_arr(value) ? yyjson_arr_size(value) : yyjson_obj_size(value);
}

bool cse_holds(struct cse_fixture *f, const char *path, const char *text)
{
    yyjson_val *entry;
    size_t index, count;
    yyjson_arr_foreach(cse_at(f, path), index, count, entry)
    {
        if (yyjson_equals_str(entry, text)) {
            return true;
        }
    }
    return false;
}

static void swept(void *ctx, unsigned removed)
{
    (void)removed;
    *(bool *)ctx = true;
}

void cse_sweep(struct cse_fixture *f)
{
    bool over = false;
    bst_cse_sweep(f->worker, swept, &over);
    while (!over) {
        bst_loop_run_once(f->loop, 1000);
    }
}

static bst_result nothing(struct bst_store_conn *conn, void *arg)
{
    (void)conn;
    (void)arg;
    return BST_OK;
}

void cse_settle(struct cse_fixture *f)
{
    for (int i = 0; i < 64; i++) {
        assert_ok(bst_store_run(f->store, nothing, NULL));
        while (bst_loop_run_once(f->loop, 0)) {
        }
    }
}
