/* The sealed log of a folder and its manifest; see soft_priv.h for the form.
 *
 * A crash may leave the log one record ahead of the manifest, or with a torn end behind the last
 * record that the manifest knows. Everything before that must be there and unchanged. */
#include "se/soft/soft_priv.h"

#include "crypto/aead.h"
#include "crypto/rand.h"

#include <inttypes.h>
#include <stdio.h>

/* "BSTSEL", form, newline. */
#define MAGIC "BSTSEL"
#define MAGIC_BYTES 8
#define FORM_NOW 2
#define HEAD_BYTES (MAGIC_BYTES + BST_SOFT_ID_BYTES)
#define LOG_BYTES_MAX ((size_t)1 << 30)
#define RECORD_BYTES_MAX 8192
#define MANIFEST_VERSION 1
#define MANIFEST_BYTES_MAX 4096

static void log_path(const struct bst_soft_log *log, uint64_t number, char out[BST_SOFT_PATH_MAX])
{
    snprintf(out, BST_SOFT_PATH_MAX, "%s/keys.%" PRIu64, log->dir, number);
}

static void manifest_path(const struct bst_soft_log *log, char out[BST_SOFT_PATH_MAX])
{
    snprintf(out, BST_SOFT_PATH_MAX, "%s/manifest", log->dir);
}

static struct bst_view key_view(const struct bst_secret *key)
{
    return bst_view_of(key->ptr, key->len);
}

/* ---- one record ---- */

static bst_result record_binding(const struct bst_soft_log *log, struct bst_buf *ret)
{
    bst_buf_adds(ret, log->form == 1 ? "bastide se record" : "bastide se record 2");
    bst_buf_add(ret, log->id, sizeof log->id);
    bst_soft_put(ret, log->count, 8);
    bst_buf_add(ret, log->tag, sizeof log->tag);
    return bst_buf_check(ret);
}

static void advance(struct bst_soft_log *log, struct bst_view blob)
{
    memcpy(log->tag, blob.ptr + blob.len - BST_SOFT_TAG_BYTES, BST_SOFT_TAG_BYTES);
    log->count++;
}

/* Appends length and sealed record to `out`; the log's place moves on. */
static bst_result seal_record(struct bst_soft_log *log, struct bst_view record, struct bst_buf *out)
{
    BST_ENSURE(record.len <= RECORD_BYTES_MAX - BST_AEAD_OVERHEAD, BST_E_TOO_LONG);
    bst_auto(buf) binding = {0}, blob = {0};
    BST_TRY(record_binding(log, &binding));
    BST_TRY(bst_aead_seal(key_view(&log->keys->log), bst_buf_view(&binding), record, &blob));
    bst_soft_put(out, blob.len, 4);
    bst_buf_addv(out, bst_buf_view(&blob));
    BST_TRY(bst_buf_check(out));
    advance(log, bst_buf_view(&blob));
    return BST_OK;
}

/* ---- manifest ---- */

static bst_result write_manifest(const struct bst_soft_log *log)
{
    bst_auto(buf) plain = {0}, blob = {0};
    bst_soft_put(&plain, MANIFEST_VERSION, 1);
    bst_soft_put(&plain, log->number, 8);
    bst_buf_add(&plain, log->id, sizeof log->id);
    bst_soft_put(&plain, log->count, 8);
    bst_buf_add(&plain, log->tag, sizeof log->tag);
    BST_TRY(bst_buf_check(&plain));
    BST_TRY(bst_aead_seal(key_view(&log->keys->manifest), BST_VIEW("bastide se manifest"),
                          bst_buf_view(&plain), &blob));
    char path[BST_SOFT_PATH_MAX];
    manifest_path(log, path);
    return log->host->replace(log->host->ctx, path, bst_buf_view(&blob));
}

static bool take_manifest(struct bst_view in, struct bst_soft_log *ret)
{
    uint64_t version;
    if (!bst_soft_take(&in, 1, &version) || version != MANIFEST_VERSION ||
        !bst_soft_take(&in, 8, &ret->number) || in.len < sizeof ret->id) {
        return false;
    }
    memcpy(ret->id, in.ptr, sizeof ret->id);
    in = bst_view_from(in, sizeof ret->id);
    if (!bst_soft_take(&in, 8, &ret->count) || in.len != sizeof ret->tag) {
        return false;
    }
    memcpy(ret->tag, in.ptr, sizeof ret->tag);
    return true;
}

static bst_result read_manifest(struct bst_soft_log *log)
{
    char path[BST_SOFT_PATH_MAX];
    manifest_path(log, path);
    bst_auto(buf) blob = {0}, plain = {0};
    BST_TRY(log->host->read(log->host->ctx, path, MANIFEST_BYTES_MAX, &blob));
    bst_result opened = bst_aead_open(key_view(&log->keys->manifest),
                                      BST_VIEW("bastide se manifest"), bst_buf_view(&blob), &plain);
    if (opened.code == BST_E_NOMEM) {
        return opened;
    }
    if (bst_failed(opened) || !take_manifest(bst_buf_view(&plain), log)) {
        BST_FAIL(BST_E_CORRUPT,
                 "%s is damaged or of another folder; restore the folder from a backup", path);
    }
    return BST_OK;
}

struct bst_view bst_soft_log_name(const struct bst_soft_log *log, const struct bst_key_attrs *attrs,
                                  char out[BST_SE_NAME_MAX])
{
    return bst_se_name(attrs->label, log->form == 1 ? "" : attrs->owner, out);
}

/* ---- a new log ---- */

static bst_result begin_log(struct bst_soft_log *log, uint64_t number, struct bst_buf *ret)
{
    log->number = number;
    log->count = 0;
    memset(log->tag, 0, sizeof log->tag);
    log->form = FORM_NOW;
    BST_TRY(bst_random(log->id, sizeof log->id));
    bst_buf_addf(ret, MAGIC "%d\n", FORM_NOW);
    bst_buf_add(ret, log->id, sizeof log->id);
    return bst_buf_check(ret);
}

/* Log first, then the manifest that names it: between the two the old log is the valid one. */
static bst_result install(const struct bst_soft_log *log, struct bst_view bytes)
{
    char path[BST_SOFT_PATH_MAX];
    log_path(log, log->number, path);
    BST_TRY(log->host->replace(log->host->ctx, path, bytes));
    return write_manifest(log);
}

bst_result bst_soft_log_rewrite(struct bst_soft_log *log,
                                bst_result (*next)(void *ctx, struct bst_buf *ret), void *ctx)
{
    struct bst_soft_log fresh = *log;
    bst_auto(buf) bytes = {0};
    BST_TRY(begin_log(&fresh, log->number + 1, &bytes));
    for (;;) {
        bst_auto(buf) record = {0};
        BST_TRY(next(ctx, &record));
        BST_TRY(bst_buf_check(&record));
        if (record.len == 0) {
            break;
        }
        BST_TRY(seal_record(&fresh, bst_buf_view(&record), &bytes));
    }
    BST_TRY(install(&fresh, bst_buf_view(&bytes)));
    char old[BST_SOFT_PATH_MAX];
    log_path(log, log->number, old);
    fresh.unsure = false;
    *log = fresh;
    /* A log that stays behind is unused; nothing depends on its going. */
    (void)log->host->remove(log->host->ctx, old).code;
    return BST_OK;
}

bst_result bst_soft_log_append(struct bst_soft_log *log, struct bst_view record)
{
    struct bst_soft_log ahead = *log;
    bst_auto(buf) bytes = {0};
    BST_TRY(seal_record(&ahead, record, &bytes));
    char path[BST_SOFT_PATH_MAX];
    log_path(log, log->number, path);
    bst_result written = log->host->append(log->host->ctx, path, bst_buf_view(&bytes));
    if (!bst_failed(written)) {
        written = write_manifest(&ahead);
    }
    if (bst_failed(written)) {
        log->unsure = true;
        return written;
    }
    *log = ahead;
    return BST_OK;
}

/* ---- reading ---- */

/* The first log of a folder whose making was interrupted has no records yet. */
static bst_result first_log(struct bst_soft_log *log)
{
    char path[BST_SOFT_PATH_MAX];
    log_path(log, 1, path);
    bst_auto(buf) there = {0}, bytes = {0};
    bst_result got = log->host->read(log->host->ctx, path, LOG_BYTES_MAX, &there);
    if (got.code != BST_E_NOT_FOUND) {
        BST_TRY(got);
        if (there.len > HEAD_BYTES) {
            BST_FAIL(BST_E_CORRUPT,
                     "%s/manifest is missing although there are keys; restore the "
                     "folder from a backup",
                     log->dir);
        }
    }
    BST_TRY(begin_log(log, 1, &bytes));
    return install(log, bst_buf_view(&bytes));
}

struct replay {
    struct bst_soft_log *log; /* its place moves through the file */
    struct bst_view rest;
    bst_result (*each)(void *ctx, struct bst_view record);
    void *ctx;
};

/* One record off the file. BST_E_BAD_MAC and BST_E_TRUNCATED: it is not what was written there. */
static bst_result replay_one(struct replay *replay)
{
    struct bst_view blob, rest = replay->rest;
    if (!bst_soft_take_view(&rest, 4, &blob) || blob.len < BST_AEAD_OVERHEAD ||
        blob.len > RECORD_BYTES_MAX) {
        return bst_error(BST_E_TRUNCATED);
    }
    bst_auto(buf) binding = {0}, record = {0};
    BST_TRY(record_binding(replay->log, &binding));
    BST_TRY(
        bst_aead_open(key_view(&replay->log->keys->log), bst_buf_view(&binding), blob, &record));
    BST_TRY(replay->each(replay->ctx, bst_buf_view(&record)));
    advance(replay->log, blob);
    replay->rest = rest;
    return BST_OK;
}

static bool unreadable(bst_result result)
{
    return result.code == BST_E_BAD_MAC || result.code == BST_E_TRUNCATED ||
           result.code == BST_E_VERSION || result.code == BST_E_CORRUPT;
}

static bst_result damaged(const struct bst_soft_log *log, uint64_t number, const char *what)
{
    BST_FAIL(BST_E_CORRUPT,
             "%s/keys.%" PRIu64 ": record %" PRIu64 " %s; restore the folder from a "
             "backup",
             log->dir, log->number, number + 1, what);
}

/* `known` is what the manifest says; `log` walks from the beginning. */
static bst_result replay_all(struct replay *replay, const struct bst_soft_log *known)
{
    struct bst_soft_log *log = replay->log;
    while (replay->rest.len > 0) {
        bst_result one = replay_one(replay);
        if (unreadable(one)) {
            if (log->count < known->count) {
                return damaged(log, log->count, "is changed, moved or of another folder");
            }
            log->unsure = true; /* torn by a crash while it was written */
            break;
        }
        BST_TRY(one);
        if (log->count == known->count && !bst_equal_ct(log->tag, known->tag, sizeof log->tag)) {
            return damaged(log, log->count - 1, "is older than the manifest");
        }
    }
    if (log->count < known->count) {
        return damaged(log, log->count, "is missing: the file was cut or an old copy was put back");
    }
    log->unsure = log->unsure || log->count > known->count;
    return BST_OK;
}

/* 0: none that is known here. */
static unsigned form_of(struct bst_view bytes)
{
    bool known = bytes.len >= HEAD_BYTES && bst_view_starts(bytes, BST_VIEW(MAGIC)) &&
                 bytes.ptr[sizeof MAGIC] == '\n';
    char digit = known ? bytes.ptr[sizeof MAGIC - 1] : '0';
    return digit >= '1' && digit <= '0' + FORM_NOW ? (unsigned)(digit - '0') : 0;
}

static bst_result check_head(struct bst_soft_log *log, struct bst_view bytes)
{
    log->form = form_of(bytes);
    log->unsure = log->form < FORM_NOW;
    if (log->form == 0 || !bst_equal_ct(bytes.ptr + MAGIC_BYTES, log->id, sizeof log->id)) {
        BST_FAIL(BST_E_CORRUPT,
                 "%s/keys.%" PRIu64 " is not the file that the manifest names; restore "
                 "the folder from a backup",
                 log->dir, log->number);
    }
    return BST_OK;
}

bst_result bst_soft_log_open(struct bst_soft_log *log,
                             bst_result (*each)(void *ctx, struct bst_view record), void *ctx)
{
    bst_result got = read_manifest(log);
    if (got.code == BST_E_NOT_FOUND) {
        return first_log(log);
    }
    BST_TRY(got);
    char path[BST_SOFT_PATH_MAX];
    log_path(log, log->number, path);
    bst_auto(buf) bytes = {0};
    got = log->host->read(log->host->ctx, path, LOG_BYTES_MAX, &bytes);
    if (got.code == BST_E_NOT_FOUND) {
        BST_FAIL(BST_E_CORRUPT,
                 "%s, which the manifest names, is missing; restore the folder from a "
                 "backup",
                 path);
    }
    BST_TRY(got);
    BST_TRY(check_head(log, bst_buf_view(&bytes)));
    struct bst_soft_log known = *log;
    log->count = 0;
    memset(log->tag, 0, sizeof log->tag);
    struct replay replay = {log, bst_view_from(bst_buf_view(&bytes), HEAD_BYTES), each, ctx};
    return replay_all(&replay, &known);
}
