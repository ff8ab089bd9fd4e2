/* obs/audit: the chain, its head, torn ends, rotation, merging, and what verification notices.
 * Files live in memory; digest and signature are toys, since only their agreement matters here. */
#include "support/test.h"

#include "base/map.h"
#include "base/time.h"
#include "obs/audit.h"
#include "obs/log.h"

#include <stdio.h>

struct disk {
    struct bst_map files; /* name -> struct bst_buf * */
    int64_t now_us;
    long fail_append_in; /* 1: the next append writes half of its bytes and fails */
    struct bst_audit_host host;
};

static int64_t disk_now(void *ctx)
{
    return ((struct disk *)ctx)->now_us;
}

static bst_result toy_sha256(void *ctx, const struct bst_view *parts, size_t n,
                             uint8_t out[BST_AUDIT_HASH_LEN])
{
    for (size_t lane = 0; lane < BST_AUDIT_HASH_LEN; lane++) {
        uint32_t h = 2166136261u + (uint32_t)lane * 7919u;
        for (size_t p = 0; p < n; p++) {
            for (size_t i = 0; i < parts[p].len; i++) {
                h = (h ^ (uint8_t)parts[p].ptr[i]) * 16777619u;
            }
        }
        out[lane] = (uint8_t)(h >> 24);
    }
    return BST_OK;
}

static bst_result toy_sign(void *ctx, struct bst_view message, struct bst_buf *ret)
{
    uint8_t mac[BST_AUDIT_HASH_LEN];
    const struct bst_view parts[] = {BST_VIEW("toy key"), message};
    BST_TRY(toy_sha256(ctx, parts, 2, mac));
    bst_buf_add(ret, mac, sizeof mac);
    return bst_buf_check(ret);
}

static bst_result toy_check(void *ctx, struct bst_view message, struct bst_view signature)
{
    bst_auto(buf) want = {0};
    BST_TRY(toy_sign(ctx, message, &want));
    BST_ENSURE(bst_view_eq(bst_buf_view(&want), signature), BST_E_BAD_MAC);
    return BST_OK;
}

static struct bst_buf *disk_file(struct disk *d, const char *name)
{
    return bst_map_get(&d->files, bst_view(name));
}

static bst_result disk_append(void *ctx, const char *name, struct bst_view bytes)
{
    struct disk *d = ctx;
    struct bst_buf *file = disk_file(d, name);
    if (!file) {
        file = bst_alloc(sizeof *file);
        BST_TRY(bst_map_set(&d->files, bst_view(name), file, NULL));
    }
    if (d->fail_append_in > 0 && --d->fail_append_in == 0) {
        bst_buf_add(file, bytes.ptr, bytes.len / 2);
        return bst_error(BST_E_IO);
    }
    bst_buf_addv(file, bytes);
    return bst_buf_check(file);
}

static bst_result disk_sync(void *ctx, const char *name)
{
    return BST_OK;
}

static bst_result disk_read(void *ctx, const char *name, struct bst_buf *ret)
{
    struct bst_buf *file = disk_file(ctx, name);
    BST_ENSURE(file, BST_E_NOT_FOUND);
    bst_buf_addv(ret, bst_buf_view(file));
    return bst_buf_check(ret);
}

static bst_result disk_remove(void *ctx, const char *name)
{
    struct bst_buf *file = bst_map_remove(&((struct disk *)ctx)->files, bst_view(name));
    BST_ENSURE(file, BST_E_NOT_FOUND);
    bst_buf_clear(file);
    bst_free(file);
    return BST_OK;
}

static bst_result disk_replace(void *ctx, const char *name, struct bst_view bytes)
{
    (void)disk_remove(ctx, name).code;
    return disk_append(ctx, name, bytes);
}

static void quiet(void *ctx, enum bst_log_level level, struct bst_view line)
{
}

static int disk_setup(void **state)
{
    struct disk *d = bst_alloc(sizeof *d);
    d->now_us = INT64_C(1700000000) * BST_US_PER_S;
    d->host = (struct bst_audit_host){
        .ctx = d,
        .wall_us = disk_now,
        .sha256 = toy_sha256,
        .sign = toy_sign,
        .check = toy_check,
        .append = disk_append,
        .sync = disk_sync,
        .read = disk_read,
        .replace = disk_replace,
        .remove = disk_remove,
    };
    bst_log_configure(&(struct bst_log_setup){.level = BST_LOG_INFO, .write = quiet});
    *state = d;
    return 0;
}

static void disk_clear(struct disk *d)
{
    size_t cursor = 0;
    struct bst_view name;
    void *value;
    while (bst_map_next(&d->files, &cursor, &name, &value)) {
        bst_buf_clear(value);
        bst_free(value);
    }
    bst_map_clear(&d->files);
}

static int disk_teardown(void **state)
{
    disk_clear(*state);
    bst_free(*state);
    return 0;
}

static struct bst_audit *open_trail(struct disk *d)
{
    struct bst_audit *audit = NULL;
    assert_ok(bst_audit_open(&(struct bst_audit_config){.host = &d->host}, &audit));
    return audit;
}

static void write_events(struct bst_audit *audit, int n)
{
    for (int i = 0; i < n; i++) {
        char target[32];
        snprintf(target, sizeof target, "cse-in/c%d", i);
        struct bst_audit_event e = {
            .event = "access.denied",
            .subject = BST_VIEW("CEve"),
            .peer = BST_VIEW("10.0.0.7:4711"),
            .op = BST_VIEW("retrieve"),
            .target = bst_view(target),
            .decision = BST_VIEW("denied"),
            .rule = BST_VIEW("no rule matches"),
            .clause = BST_VIEW("TS-0003 7.1.4"),
            .rsc = 4103,
        };
        assert_ok(bst_audit_write(audit, &e));
    }
}

static struct bst_audit_report verify(struct disk *d)
{
    struct bst_audit_report report;
    assert_ok(bst_audit_verify(&d->host, &report));
    return report;
}

static void a_whole_trail_verifies(void **state)
{
    struct disk *d = *state;
    struct bst_audit *audit = open_trail(d);
    write_events(audit, 20);
    bst_audit_close(&audit);
    struct bst_audit_report report = verify(d);
    assert_string_equal(report.reason, "");
    assert_int_equal(report.first, 1);
    assert_int_equal(report.last, 22); /* the file's record and its checkpoint come first */
    assert_int_equal(report.checkpoints, 1);
    assert_int_equal(report.after_head, 0);
}

static void a_trail_goes_on_after_a_restart(void **state)
{
    struct disk *d = *state;
    for (int i = 0; i < 3; i++) {
        struct bst_audit *audit = open_trail(d);
        write_events(audit, 5);
        bst_audit_close(&audit);
    }
    assert_string_equal(verify(d).reason, "");
    assert_int_equal(verify(d).last, 17);
}

static void a_changed_byte_is_named(void **state)
{
    struct disk *d = *state;
    struct bst_audit *audit = open_trail(d);
    write_events(audit, 20);
    bst_audit_close(&audit);
    struct bst_buf *file = disk_file(d, "audit-000001.jsonl");
    char *at = memmem(file->ptr, file->len, "cse-in/c7\"", 10);
    assert_non_null(at);
    at[8] = '8';
    struct bst_audit_report report = verify(d);
    assert_int_equal(report.bad_entry, 10);
    assert_int_equal(report.bad_line, 10);
    assert_string_equal(report.bad_file, "audit-000001.jsonl");
    assert_non_null(strstr(report.reason, "hash"));
}

static void a_removed_record_is_named(void **state)
{
    struct disk *d = *state;
    struct bst_audit *audit = open_trail(d);
    write_events(audit, 20);
    bst_audit_close(&audit);
    struct bst_buf *file = disk_file(d, "audit-000001.jsonl");
    char *line = file->ptr;
    for (int i = 0; i < 9; i++) {
        line = (char *)memchr(line, '\n', 4096) + 1;
    }
    char *next = (char *)memchr(line, '\n', 4096) + 1;
    memmove(line, next, (size_t)(file->ptr + file->len - next));
    file->len -= (size_t)(next - line);
    struct bst_audit_report report = verify(d);
    assert_int_equal(report.bad_entry, 11);
    assert_non_null(strstr(report.reason, "record 11 follows record 9"));
}

static void a_cut_off_end_shows(void **state)
{
    struct disk *d = *state;
    struct bst_audit *audit = open_trail(d);
    write_events(audit, 20);
    bst_audit_close(&audit);
    struct bst_buf *file = disk_file(d, "audit-000001.jsonl");
    do {
        file->len--;
    } while (file->ptr[file->len - 1] != '\n');
    struct bst_audit_report report = verify(d);
    assert_int_equal(report.bad_entry, 22);
    assert_non_null(strstr(report.reason, "cut off"));
    /* and the trail is not continued as if nothing had happened */
    audit = NULL;
    assert_err(bst_audit_open(&(struct bst_audit_config){.host = &d->host}, &audit), BST_E_CORRUPT);
    assert_null(audit);
}

static void a_missing_head_shows(void **state)
{
    struct disk *d = *state;
    struct bst_audit *audit = open_trail(d);
    write_events(audit, 3);
    bst_audit_close(&audit);
    assert_ok(disk_remove(d, BST_AUDIT_HEAD));
    assert_non_null(strstr(verify(d).reason, "head file is missing"));
}

static void a_forged_head_is_refused(void **state)
{
    struct disk *d = *state;
    struct bst_audit *audit = open_trail(d);
    write_events(audit, 3);
    bst_audit_close(&audit);
    struct bst_buf *head = disk_file(d, BST_AUDIT_HEAD);
    char *n = memmem(head->ptr, head->len, "\"n\":5", 5);
    assert_non_null(n);
    n[4] = '4';
    assert_non_null(strstr(verify(d).reason, "signature of the audit head"));
    assert_err(bst_audit_open(&(struct bst_audit_config){.host = &d->host}, &audit), BST_E_CORRUPT);
}

static void a_forged_checkpoint_is_named(void **state)
{
    struct disk *d = *state;
    struct bst_audit *audit = open_trail(d);
    /* A trail whose checkpoints come from another key: every record chains, no signature fits. */
    struct bst_buf *file = disk_file(d, "audit-000001.jsonl");
    bst_audit_close(&audit);
    char *sig = memmem(file->ptr, file->len, "\"sig\":\"", 7);
    assert_non_null(sig);
    sig[8] = sig[8] == 'A' ? 'B' : 'A';
    assert_int_equal(verify(d).bad_entry, 2);
}

static void a_torn_last_line_is_marked_and_explained(void **state)
{
    struct disk *d = *state;
    struct bst_audit *audit = open_trail(d);
    write_events(audit, 4);
    bst_audit_close(&audit);
    assert_ok(disk_append(d, "audit-000001.jsonl", BST_VIEW("{\"h\":\"0011")));
    assert_non_null(strstr(verify(d).reason, "torn"));
    audit = open_trail(d);
    write_events(audit, 2);
    bst_audit_close(&audit);
    struct bst_audit_report report = verify(d);
    assert_string_equal(report.reason, "");
    assert_int_equal(report.repairs, 1);
    /* the marked bytes may not be changed either */
    struct bst_buf *file = disk_file(d, "audit-000001.jsonl");
    char *torn = memmem(file->ptr, file->len, "{\"h\":\"0011\n", 11);
    assert_non_null(torn);
    torn[8] = '2';
    assert_string_not_equal(verify(d).reason, "");
}

static void a_torn_first_record_of_a_file_is_begun_again(void **state)
{
    struct disk *d = *state;
    struct bst_audit *audit = open_trail(d);
    write_events(audit, 4);
    bst_audit_close(&audit);
    assert_ok(disk_append(d, "audit-000002.jsonl", BST_VIEW("{\"h\":\"")));
    audit = open_trail(d);
    write_events(audit, 1);
    bst_audit_close(&audit);
    assert_string_equal(verify(d).reason, "");
    assert_non_null(disk_file(d, "audit-000002.jsonl"));
}

static void a_failed_append_is_repaired_while_running(void **state)
{
    struct disk *d = *state;
    struct bst_audit *audit = open_trail(d);
    d->fail_append_in = 1;
    struct bst_audit_event e = {.event = "test.event", .decision = BST_VIEW("done")};
    assert_err(bst_audit_write(audit, &e), BST_E_IO);
    assert_ok(bst_audit_write(audit, &e));
    bst_audit_close(&audit);
    struct bst_audit_report report = verify(d);
    assert_string_equal(report.reason, "");
    assert_int_equal(report.repairs, 1);
}

static void equal_denials_become_one_counted_record(void **state)
{
    struct disk *d = *state;
    struct bst_audit *audit = open_trail(d);
    struct bst_audit_event e = {
        .event = "access.denied",
        .subject = BST_VIEW("CEve"),
        .peer = BST_VIEW("10.0.0.7:1"),
        .target = BST_VIEW("cse-in/a"),
        .decision = BST_VIEW("denied"),
    };
    char peer[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(peer, sizeof peer, "10.0.0.7:%d", i);
        e.peer = bst_view(peer);
        assert_ok(bst_audit_write(audit, &e));
    }
    e.peer = BST_VIEW("10.0.0.7:1");
    e.decision = BST_VIEW("allowed");
    assert_ok(bst_audit_write(audit, &e));
    assert_ok(bst_audit_write(audit, &e));
    assert_ok(bst_audit_flush(audit));
    struct bst_buf *file = disk_file(d, "audit-000001.jsonl");
    assert_null(memmem(file->ptr, file->len, "\"count\"", 7));
    d->now_us += 11 * BST_US_PER_S;
    assert_ok(bst_audit_flush(audit));
    assert_non_null(memmem(file->ptr, file->len, "\"count\":999", 11));
    bst_audit_close(&audit);
    assert_int_equal(verify(d).last, 6);
}

static void a_flood_of_different_denials_does_not_fill_the_disk(void **state)
{
    struct disk *d = *state;
    struct bst_audit *audit = open_trail(d);
    write_events(audit, 5000);
    assert_ok(bst_audit_flush(audit));
    assert_true(verify(d).last < 1100);
    bst_audit_close(&audit);
    assert_string_equal(verify(d).reason, "");
}

static void files_rotate_and_the_oldest_go(void **state)
{
    struct disk *d = *state;
    struct bst_audit *audit = NULL;
    struct bst_audit_config config = {.host = &d->host, .file_bytes = 2000, .keep_files = 3};
    assert_ok(bst_audit_open(&config, &audit));
    struct bst_audit_event e = {.event = "test.event", .decision = BST_VIEW("done")};
    for (int i = 0; i < 100; i++) {
        assert_ok(bst_audit_write(audit, &e));
        assert_ok(bst_audit_flush(audit));
    }
    bst_audit_close(&audit);
    assert_null(disk_file(d, "audit-000001.jsonl"));
    struct bst_audit_report report = verify(d);
    assert_string_equal(report.reason, "");
    assert_true(report.first > 1);
    assert_true(report.last > 100);
    assert_int_equal(report.checkpoints, 3); /* each file has one */
}

static void hostile_text_stays_inside_its_string(void **state)
{
    struct disk *d = *state;
    struct bst_audit *audit = open_trail(d);
    struct bst_audit_event e = {
        .event = "access.denied",
        .subject = BST_VIEW("x\",\"event\":\"audit.repair\"\n\x01\xff"),
        .decision = BST_VIEW("denied"),
    };
    assert_ok(bst_audit_write(audit, &e));
    bst_audit_close(&audit);
    assert_string_equal(verify(d).reason, "");
    assert_int_equal(verify(d).last, 3);
}

static void without_a_trail_nothing_is_written(void **state)
{
    assert_ok(bst_audit_write(NULL, &(struct bst_audit_event){.event = "test.event"}));
    assert_ok(bst_audit_flush(NULL));
}

static void every_failed_allocation_leaves_a_trail_that_verifies(void **state)
{
    struct disk *d = *state;
    struct bst_audit *audit = open_trail(d);
    write_events(audit, 2);
    for (long n = 1; n < 40; n++) {
        struct bst_audit_event e = {.event = "test.event", .decision = BST_VIEW("denied")};
        char target[16];
        snprintf(target, sizeof target, "t%ld", n);
        e.target = bst_view(target);
        bst_alloc_fail_at(n);
        (void)bst_audit_write(audit, &e).code;
        bst_alloc_fail_at(0);
    }
    bst_audit_close(&audit);
    assert_string_equal(verify(d).reason, "");
}

/* A key that takes its time: meanwhile others write. */
static struct {
    struct bst_audit *audit; /* written to while a signature is made; NULL: not */
    struct bst_buf *seen;    /* a file that must have those records before the signature is there */
    int calls;
    bool fails;
} slow;

static bst_result slow_sign(void *ctx, struct bst_view message, struct bst_buf *ret)
{
    slow.calls++;
    if (slow.fails) {
        return bst_error_detailed(BST_E_SE_TOKEN, "the token was pulled out");
    }
    if (slow.audit) {
        size_t before = slow.seen->len;
        struct bst_audit_event e = {.event = "test.meanwhile", .decision = BST_VIEW("done")};
        for (int i = 0; i < 3; i++) {
            assert_ok(bst_audit_write(slow.audit, &e)); /* would never come back if it waited */
        }
        assert_non_null(
            memmem(slow.seen->ptr + before, slow.seen->len - before, "test.meanwhile", 14));
    }
    return toy_sign(ctx, message, ret);
}

static struct bst_audit *open_slow(struct disk *d, size_t file_bytes)
{
    struct bst_audit *audit = NULL;
    memset(&slow, 0, sizeof slow);
    d->host.sign = slow_sign;
    assert_ok(bst_audit_open(&(struct bst_audit_config){.host = &d->host,
                                                        .file_bytes = file_bytes,
                                                        .checkpoint_entries = 2},
                             &audit));
    return audit;
}

static void write_done(struct bst_audit *audit, int n)
{
    struct bst_audit_event e = {.event = "test.event", .decision = BST_VIEW("done")};
    for (int i = 0; i < n; i++) {
        assert_ok(bst_audit_write(audit, &e));
    }
}

static void nobody_waits_for_the_signature_of_a_checkpoint(void **state)
{
    struct disk *d = *state;
    struct bst_audit *audit = open_slow(d, 0);
    write_done(audit, 2);
    slow.audit = audit;
    slow.seen = disk_file(d, "audit-000001.jsonl");
    assert_ok(bst_audit_flush(audit));
    slow.audit = NULL;
    assert_non_null(memmem(slow.seen->ptr, slow.seen->len, ",\"of\":4,\"sig\":", 14));
    bst_audit_close(&audit);
    struct bst_audit_report report = verify(d);
    assert_string_equal(report.reason, "");
    assert_int_equal(report.checkpoints, 3); /* the last one for what came meanwhile */
}

static void a_new_file_is_begun_without_a_signature(void **state)
{
    struct disk *d = *state;
    struct bst_audit *audit = open_slow(d, 500);
    int before = slow.calls;
    write_done(audit, 20);
    assert_non_null(disk_file(d, "audit-000003.jsonl"));
    assert_int_equal(slow.calls, before);
    struct bst_audit_report report = verify(d);
    assert_string_equal(report.reason, "");
    assert_int_equal(report.checkpoints, 1);
    assert_ok(bst_audit_flush(audit));
    assert_int_equal(verify(d).checkpoints, 2);
    assert_ok(bst_audit_flush(audit));
    assert_int_equal(verify(d).checkpoints, 2); /* once */
    bst_audit_close(&audit);
}

/* A file begins while the signature for the one before it is made. */
static void a_signature_may_come_in_a_later_file(void **state)
{
    struct disk *d = *state;
    struct bst_audit *audit = open_slow(d, 500);
    write_done(audit, 2);
    slow.audit = audit;
    slow.seen = disk_file(d, "audit-000001.jsonl");
    while (!disk_file(d, "audit-000002.jsonl")) {
        assert_ok(bst_audit_flush(audit));
    }
    slow.audit = NULL;
    assert_string_equal(verify(d).reason, "");
    bst_audit_close(&audit);
    assert_string_equal(verify(d).reason, "");
    /* The newest file has one of its own. */
    char name[32];
    unsigned newest = 2;
    do {
        bst_audit_file_name(++newest, name);
    } while (disk_file(d, name));
    bst_audit_file_name(newest - 1, name);
    struct bst_buf *file = disk_file(d, name);
    assert_non_null(memmem(file->ptr, file->len, "\"sig\":", 6));
}

static void disk_copy(const struct disk *from, struct disk *to)
{
    size_t cursor = 0;
    struct bst_view name;
    void *value;
    *to = (struct disk){.now_us = from->now_us, .host = from->host};
    to->host.ctx = to;
    while (bst_map_next(&from->files, &cursor, &name, &value)) {
        struct bst_buf *copy = bst_alloc(sizeof *copy);
        bst_buf_addv(copy, bst_buf_view(value));
        assert_ok(bst_map_set(&to->files, name, copy, NULL));
    }
}

static void a_crash_before_the_checkpoint_of_a_file_is_made_good(void **state)
{
    struct disk *d = *state;
    struct disk after;
    struct bst_audit *audit = open_slow(d, 500);
    while (!disk_file(d, "audit-000002.jsonl")) {
        write_done(audit, 1);
    }
    disk_copy(d, &after); /* what a crash would leave */
    bst_audit_close(&audit);
    assert_string_equal(verify(&after).reason, "");
    assert_int_equal(verify(&after).checkpoints, 1);
    assert_ok(bst_audit_open(&(struct bst_audit_config){.host = &after.host}, &audit));
    assert_string_equal(verify(&after).reason, "");
    assert_int_equal(verify(&after).checkpoints, 2);
    bst_audit_close(&audit);
    assert_string_equal(verify(&after).reason, "");
    assert_int_equal(verify(&after).checkpoints, 2);
    disk_clear(&after);
}

static void a_key_that_fails_keeps_no_record_back(void **state)
{
    struct disk *d = *state;
    struct bst_audit *audit = open_slow(d, 500);
    slow.fails = true;
    write_done(audit, 12);
    assert_non_null(disk_file(d, "audit-000002.jsonl"));
    assert_err(bst_audit_flush(audit), BST_E_SE_TOKEN);
    write_done(audit, 1);
    assert_string_equal(verify(d).reason, "");
    assert_int_equal(verify(d).checkpoints, 1);
    slow.fails = false; /* it is back */
    bst_audit_close(&audit);
    assert_string_equal(verify(d).reason, "");
    assert_int_equal(verify(d).checkpoints, 2);
    assert_int_equal(verify(d).after_head, 0);
}

static void hash_of_line(const struct bst_buf *file, unsigned n, uint8_t out[BST_AUDIT_HASH_LEN])
{
    struct bst_view rest = bst_buf_view(file), line = {0};
    for (unsigned i = 0; i < n; i++) {
        (void)bst_view_cut(&rest, '\n', &line);
    }
    assert_ok(bst_hex_decode(bst_view_of(line.ptr + 6, 64), out, BST_AUDIT_HASH_LEN));
}

/* A checkpoint as record `n` that names record `of`, its signature over that of line `signs`. */
static void forge_checkpoint(struct disk *d, unsigned n, unsigned of, unsigned signs)
{
    struct bst_buf *file = disk_file(d, "audit-000001.jsonl");
    uint8_t signs_hash[BST_AUDIT_HASH_LEN], last[BST_AUDIT_HASH_LEN], hash[BST_AUDIT_HASH_LEN];
    bst_auto(buf) text = {0}, signature = {0}, rest = {0}, line = {0};
    hash_of_line(file, signs, signs_hash);
    hash_of_line(file, n - 1, last);
    bst_buf_addf(&text, "bastide audit checkpoint %u 1 ", of);
    bst_hex_add(&text, bst_view_of(signs_hash, sizeof signs_hash), false);
    assert_ok(toy_sign(d, bst_buf_view(&text), &signature));
    bst_buf_addf(&rest, "\"n\":%u,\"t\":\"2023-11-14T22:13:20Z\",\"event\":\"audit.checkpoint\"",
                 n);
    bst_buf_addf(&rest, ",\"of\":%u,\"sig\":\"", of);
    bst_base64url_add(&rest, bst_buf_view(&signature));
    bst_buf_adds(&rest, "\"}");
    const struct bst_view parts[] = {bst_view_of(last, sizeof last), bst_buf_view(&rest)};
    assert_ok(toy_sha256(d, parts, 2, hash));
    bst_buf_adds(&line, "{\"h\":\"");
    bst_hex_add(&line, bst_view_of(hash, sizeof hash), false);
    bst_buf_adds(&line, "\",");
    bst_buf_addv(&line, bst_buf_view(&rest));
    bst_buf_addc(&line, '\n');
    assert_ok(disk_append(d, "audit-000001.jsonl", bst_buf_view(&line)));
}

static void a_checkpoint_signs_the_record_that_it_names(void **state)
{
    static const struct {
        unsigned of, signs;
        const char *reason;
    } cases[] = {
        {3, 3, ""},
        {6, 6, ""},
        {3, 4, "the signature of the checkpoint is wrong"},
        {0, 3, "the signature of the checkpoint is wrong"}, /* before the first record */
        {7, 6, "the checkpoint has no signature"},          /* itself */
        {999, 3, "the checkpoint has no signature"},
    };
    struct disk *d = *state;
    struct bst_audit *audit = open_trail(d);
    write_events(audit, 4);
    bst_audit_close(&audit);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct disk copy;
        disk_copy(d, &copy);
        forge_checkpoint(&copy, 7, cases[i].of, cases[i].signs);
        assert_string_equal(verify(&copy).reason, cases[i].reason);
        disk_clear(&copy);
    }
}

#define TRAIL_TEST(name) cmocka_unit_test_setup_teardown(name, disk_setup, disk_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRAIL_TEST(a_whole_trail_verifies),
        TRAIL_TEST(nobody_waits_for_the_signature_of_a_checkpoint),
        TRAIL_TEST(a_new_file_is_begun_without_a_signature),
        TRAIL_TEST(a_signature_may_come_in_a_later_file),
        TRAIL_TEST(a_crash_before_the_checkpoint_of_a_file_is_made_good),
        TRAIL_TEST(a_key_that_fails_keeps_no_record_back),
        TRAIL_TEST(a_checkpoint_signs_the_record_that_it_names),
        TRAIL_TEST(a_trail_goes_on_after_a_restart),
        TRAIL_TEST(a_changed_byte_is_named),
        TRAIL_TEST(a_removed_record_is_named),
        TRAIL_TEST(a_cut_off_end_shows),
        TRAIL_TEST(a_missing_head_shows),
        TRAIL_TEST(a_forged_head_is_refused),
        TRAIL_TEST(a_forged_checkpoint_is_named),
        TRAIL_TEST(a_torn_last_line_is_marked_and_explained),
        TRAIL_TEST(a_torn_first_record_of_a_file_is_begun_again),
        TRAIL_TEST(a_failed_append_is_repaired_while_running),
        TRAIL_TEST(equal_denials_become_one_counted_record),
        TRAIL_TEST(a_flood_of_different_denials_does_not_fill_the_disk),
        TRAIL_TEST(files_rotate_and_the_oldest_go),
        TRAIL_TEST(hostile_text_stays_inside_its_string),
        TRAIL_TEST(without_a_trail_nothing_is_written),
        TRAIL_TEST(every_failed_allocation_leaves_a_trail_that_verifies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
