/* Writing the audit trail: chaining, checkpoints, rotation, merging of equal denials, and the
 * repair of what a crash left torn. Writes reach the file at once and the disk at the next flush.
 */
#include "obs/audit_priv.h"

#include "base/map.h"
#include "base/time.h"
#include "obs/log.h"

#include <pthread.h>
#include <stdio.h>

#define AUDIT_FIELD_MAX 512     /* bytes of one field that are kept */
#define AUDIT_MERGE_MAX 1024    /* different denials watched at a time */
#define AUDIT_MERGE_COARSE 4096 /* and those whose target is left out, beyond that */

/* Equal denials after the first one. */
struct merged {
    struct bst_audit_event event; /* views into `text` */
    struct bst_buf text;
    int64_t since_us, last_us;
    uint64_t count;
};

struct bst_audit {
    struct bst_audit_config config;
    const struct bst_audit_host *host;
    pthread_mutex_t lock;
    struct audit_mark mark;
    unsigned file;
    size_t file_used;
    uint64_t checkpoint_n;
    int64_t checkpoint_us;
    bool unsigned_file; /* the file has no checkpoint yet */
    uint64_t head_n;
    struct bst_map merging;
    bool broken; /* an append failed: the end of the file is unknown */
};

static int64_t now_us(const struct bst_audit *audit)
{
    return audit->host->wall_us(audit->host->ctx);
}

static void add_member(struct bst_buf *out, const char *name, struct bst_view value)
{
    if (value.len == 0) {
        return;
    }
    if (value.len > AUDIT_FIELD_MAX) {
        value.len = AUDIT_FIELD_MAX;
    }
    bst_buf_addf(out, ",\"%s\":", name);
    bst_buf_add_json(out, value);
}

static void rest_begin(struct bst_audit *audit, struct bst_buf *rest, const char *event)
{
    char when[BST_RFC3339_LEN + 1];
    bst_rfc3339_format(now_us(audit), when);
    bst_buf_addf(rest, "\"n\":%llu,\"t\":\"%s\",\"event\":\"%s\"",
                 (unsigned long long)audit->mark.n + 1, when, event);
}

/* Chain and append what rest_begin() began. */
static bst_result rest_append(struct bst_audit *audit, struct bst_buf *rest)
{
    bst_auto(buf) line = {0};
    struct audit_mark next = {.n = audit->mark.n + 1};
    char name[32];
    bst_buf_addc(rest, '}');
    BST_TRY(bst_buf_check(rest));
    BST_TRY(audit_hash(audit->host, &audit->mark, bst_buf_view(rest), next.hash));
    bst_buf_adds(&line, AUDIT_PREFIX);
    bst_hex_add(&line, bst_view_of(next.hash, sizeof next.hash), false);
    bst_buf_adds(&line, "\",");
    bst_buf_addv(&line, bst_buf_view(rest));
    bst_buf_addc(&line, '\n');
    BST_TRY(bst_buf_check(&line));
    bst_audit_file_name(audit->file, name);
    bst_result r = audit->host->append(audit->host->ctx, name, bst_buf_view(&line));
    if (bst_failed(r)) {
        audit->broken = true;
        return r;
    }
    audit->mark = next;
    audit->file_used += line.len;
    return BST_OK;
}

static bst_result write_head(struct bst_audit *audit, const struct audit_head *head)
{
    BST_TRY(audit_head_write(audit->host, head));
    audit->head_n = head->mark.n;
    return BST_OK;
}

/* Every file begins with where the chain stands; the next flush signs it. */
static bst_result begin_file(struct bst_audit *audit, unsigned file)
{
    bst_auto(buf) rest = {0};
    audit->file = file;
    audit->file_used = 0;
    rest_begin(audit, &rest, AUDIT_EVENT_FILE);
    bst_buf_addf(&rest, ",\"file\":%u,\"prev\":\"", file);
    bst_hex_add(&rest, bst_view_of(audit->mark.hash, sizeof audit->mark.hash), false);
    bst_buf_addc(&rest, '"');
    audit->unsigned_file = true;
    return rest_append(audit, &rest);
}

/* Nothing in the file but its torn first record, which says nothing. */
static bst_result begin_file_again(struct bst_audit *audit)
{
    char name[32];
    bst_audit_file_name(audit->file, name);
    BST_TRY(audit->host->remove(audit->host->ctx, name));
    return begin_file(audit, audit->file);
}

static bst_result rotate(struct bst_audit *audit)
{
    char name[32];
    bst_audit_file_name(audit->file, name);
    BST_TRY(audit->host->sync(audit->host->ctx, name));
    BST_TRY(begin_file(audit, audit->file + 1));
    unsigned keep = audit->config.keep_files;
    if (keep == 0 || audit->file <= keep) {
        return BST_OK;
    }
    bst_audit_file_name(audit->file - keep, name);
    bst_result r = audit->host->remove(audit->host->ctx, name);
    return r.code == BST_E_NOT_FOUND ? BST_OK : r;
}

/* A failed append leaves a tail of unknown length: read the file again and mark what is torn. */
static bst_result repair_tail(struct bst_audit *audit, struct bst_view data, size_t tail_at)
{
    bst_auto(buf) rest = {0};
    bst_auto(buf) torn = {0};
    uint8_t hash[BST_AUDIT_HASH_LEN];
    char name[32];
    bst_audit_file_name(audit->file, name);
    bst_buf_addv(&torn, bst_view_from(data, tail_at));
    if (data.ptr[data.len - 1] != '\n') {
        bst_buf_addc(&torn, '\n');
        BST_TRY(audit->host->append(audit->host->ctx, name, BST_VIEW("\n")));
    }
    BST_TRY(bst_buf_check(&torn));
    struct bst_view part = bst_buf_view(&torn);
    BST_TRY(audit->host->sha256(audit->host->ctx, &part, 1, hash));
    rest_begin(audit, &rest, AUDIT_EVENT_REPAIR);
    bst_buf_addf(&rest, ",\"bytes\":%zu,\"sha256\":\"", torn.len);
    bst_hex_add(&rest, bst_view_of(hash, sizeof hash), false);
    bst_buf_adds(&rest, "\"");
    add_member(&rest, "detail", BST_VIEW("the bytes before this record were torn by a crash"));
    bst_log(BST_LOG_WARN, "audit.repaired", "%zu torn bytes at the end of %s were marked", torn.len,
            name);
    return rest_append(audit, &rest);
}

static bst_result read_file(struct bst_audit *audit, unsigned file, struct bst_buf *ret)
{
    char name[32];
    bst_audit_file_name(file, name);
    bst_result r = audit->host->read(audit->host->ctx, name, ret);
    return r.code == BST_E_NOT_FOUND ? BST_OK : r;
}

/* The newest file is the head's or one of those begun after the head was written. */
static bst_result load_newest(struct bst_audit *audit, const struct audit_head *head,
                              struct audit_walk *walk, struct bst_buf *data)
{
    walk->file = head->present ? head->file : 1;
    for (;;) {
        bst_auto(buf) next = {0};
        BST_TRY(read_file(audit, walk->file, &next));
        if (next.len == 0) {
            break;
        }
        bst_buf_clear(data);
        *data = next;
        next = (struct bst_buf){0};
        BST_TRY(audit_walk_file(walk, bst_buf_view(data)));
        if (walk->bad) {
            return BST_OK;
        }
        walk->file++;
    }
    if (data->len > 0) {
        walk->file--;
    }
    return BST_OK;
}

static bst_result check_against_head(const struct audit_walk *walk, const struct audit_head *head)
{
    if (!head->present || (walk->mark.n >= head->mark.n && !walk->bad)) {
        return BST_OK;
    }
    if (walk->bad && walk->mark.n >= head->mark.n && walk->report.bad_entry != head->mark.n) {
        return BST_OK; /* torn after the last flush */
    }
    BST_FAIL(BST_E_CORRUPT,
             "the audit trail does not fit its head: records end at %llu, the head knows %llu. See "
             "'bastide audit verify'; keep the folder as evidence, move it away, and a new trail "
             "begins",
             (unsigned long long)walk->mark.n, (unsigned long long)head->mark.n);
}

static bst_result resume(struct bst_audit *audit)
{
    bst_auto(buf) data = {0};
    struct audit_walk walk = {.host = audit->host};
    struct audit_head head;
    BST_TRY(audit_head_read(audit->host, true, &head));
    walk.head = head;
    BST_TRY(load_newest(audit, &head, &walk, &data));
    BST_TRY(check_against_head(&walk, &head));
    audit->mark = walk.mark;
    audit->file = walk.file;
    audit->file_used = data.len;
    audit->checkpoint_n = walk.signed_n ? walk.signed_n + 1 : audit->mark.n;
    audit->checkpoint_us = now_us(audit);
    audit->unsigned_file = walk.signed_file != walk.file;
    if (data.len > 0 && walk.tail_at == 0) {
        return begin_file_again(audit);
    }
    if (walk.bad) {
        return repair_tail(audit, bst_buf_view(&data), walk.tail_at);
    }
    return data.len == 0 ? begin_file(audit, walk.file) : BST_OK;
}

static bst_result recover(struct bst_audit *audit)
{
    bst_auto(buf) data = {0};
    struct audit_walk walk = {.host = audit->host, .file = audit->file};
    BST_TRY(read_file(audit, audit->file, &data));
    BST_TRY(audit_walk_file(&walk, bst_buf_view(&data)));
    audit->broken = false;
    if (walk.tail_at == 0) {
        return data.len ? begin_file_again(audit) : begin_file(audit, audit->file);
    }
    audit->mark = walk.mark;
    return walk.bad ? repair_tail(audit, bst_buf_view(&data), walk.tail_at) : BST_OK;
}

static void merged_free(struct merged *m)
{
    bst_buf_clear(&m->text);
    bst_free(m);
}

static bst_result append_event(struct bst_audit *audit, const struct bst_audit_event *event,
                               const struct merged *merged)
{
    bst_auto(buf) rest = {0};
    if (audit->broken) {
        BST_TRY(recover(audit));
    }
    size_t limit = audit->config.file_bytes ? audit->config.file_bytes : 16u << 20;
    if (audit->file_used > limit) {
        BST_TRY(rotate(audit));
    }
    rest_begin(audit, &rest, event->event);
    add_member(&rest, "subject", event->subject);
    add_member(&rest, "credential", event->credential);
    add_member(&rest, "peer", event->peer);
    add_member(&rest, "op", event->op);
    add_member(&rest, "target", event->target);
    add_member(&rest, "decision", event->decision);
    add_member(&rest, "rule", event->rule);
    add_member(&rest, "clause", event->clause);
    add_member(&rest, "detail", event->detail);
    if (event->rsc) {
        bst_buf_addf(&rest, ",\"rsc\":%d", event->rsc);
    }
    if (merged) {
        char since[BST_RFC3339_LEN + 1];
        bst_rfc3339_format(merged->since_us, since);
        bst_buf_addf(&rest, ",\"count\":%llu,\"since\":\"%s\"", (unsigned long long)merged->count,
                     since);
    }
    return rest_append(audit, &rest);
}

/* The peer's port differs with every connection. */
static struct bst_view without_port(struct bst_view peer)
{
    for (size_t i = peer.len; i > 0; i--) {
        if (peer.ptr[i - 1] == ':') {
            return bst_view_of(peer.ptr, i - 1);
        }
    }
    return peer;
}

static void add_part(struct bst_buf *key, struct bst_view part)
{
    bst_buf_addf(key, "%zu:", part.len);
    bst_buf_addv(key, part);
}

static void merge_key(const struct bst_audit_event *e, struct bst_buf *key)
{
    add_part(key, bst_view(e->event));
    add_part(key, e->credential);
    add_part(key, without_port(e->peer));
    add_part(key, e->decision);
    add_part(key, e->subject);
    add_part(key, e->op);
    add_part(key, e->target);
    add_part(key, e->rule);
    add_part(key, e->detail);
}

static struct bst_view keep_part(struct bst_buf *text, struct bst_view part)
{
    size_t at = text->len;
    size_t len = part.len > AUDIT_FIELD_MAX ? AUDIT_FIELD_MAX : part.len;
    bst_buf_add(text, part.ptr, len);
    return text->failed ? (struct bst_view){NULL, 0} : bst_view_of(text->ptr + at, len);
}

static struct merged *merged_new(const struct bst_audit_event *e, int64_t now)
{
    struct merged *m = bst_alloc(sizeof *m);
    if (!m) {
        return NULL;
    }
    const size_t fields = 9;
    m->since_us = m->last_us = now;
    m->event = *e;
    size_t needed = strlen(e->event) + 1;
    struct bst_view *const views[] = {
        &m->event.subject, &m->event.credential, &m->event.peer,
        &m->event.op,      &m->event.target,     &m->event.decision,
        &m->event.rule,    &m->event.clause,     &m->event.detail,
    };
    for (size_t i = 0; i < fields; i++) {
        needed += views[i]->len > AUDIT_FIELD_MAX ? AUDIT_FIELD_MAX : views[i]->len;
    }
    /* Room for all at once, so that the views stay where they are. */
    bst_buf_reserve(&m->text, needed);
    m->event.event = m->text.ptr;
    bst_buf_add(&m->text, e->event, strlen(e->event) + 1);
    for (size_t i = 0; i < fields; i++) {
        *views[i] = keep_part(&m->text, *views[i]);
    }
    if (m->text.failed) {
        merged_free(m);
        return NULL;
    }
    return m;
}

/* True when the event was counted into an earlier one. */
static bool merge(struct bst_audit *audit, const struct bst_audit_event *event)
{
    if (!bst_view_is(event->decision, "denied") && !bst_view_is(event->decision, "failed")) {
        return false;
    }
    bst_auto(buf) key = {0};
    struct bst_audit_event e = *event;
    if (audit->merging.count >= AUDIT_MERGE_MAX) {
        /* A flood of different denials: told apart by who and from where only. */
        e.target = BST_VIEW("(several)");
        e.rule = e.op = e.clause = e.detail = (struct bst_view){0};
    }
    if (audit->merging.count >= AUDIT_MERGE_COARSE) {
        e.subject = e.credential = e.peer = BST_VIEW("(several)");
    }
    merge_key(&e, &key);
    if (key.failed) {
        return false;
    }
    int64_t now = now_us(audit);
    struct merged *m = bst_map_get(&audit->merging, bst_buf_view(&key));
    if (m) {
        m->count++;
        m->last_us = now;
        return true;
    }
    m = merged_new(&e, now);
    if (m && bst_failed(bst_map_set(&audit->merging, bst_buf_view(&key), m, NULL))) {
        merged_free(m);
    }
    return false;
}

static bst_result write_merged(struct bst_audit *audit, bool all)
{
    int64_t window_us = audit->config.merge_us ? audit->config.merge_us : 10 * BST_US_PER_S;
    int64_t now = now_us(audit);
    size_t cursor = 0;
    struct bst_view key;
    void *value;
    bst_result result = BST_OK;
    while (bst_map_next(&audit->merging, &cursor, &key, &value)) {
        struct merged *m = value;
        if (!all && now >= m->since_us && now - m->since_us < window_us) {
            continue;
        }
        if (m->count > 0 && !bst_failed(result)) {
            result = append_event(audit, &m->event, m);
        }
        bst_map_remove(&audit->merging, key);
        merged_free(m);
    }
    return result;
}

bst_result bst_audit_write(struct bst_audit *audit, const struct bst_audit_event *event)
{
    if (!audit) {
        return BST_OK;
    }
    pthread_mutex_lock(&audit->lock);
    bst_result r = merge(audit, event) ? BST_OK : append_event(audit, event, NULL);
    pthread_mutex_unlock(&audit->lock);
    return r;
}

/* ---- checkpoints ---- */

static bst_result checkpoint_append(struct bst_audit *audit, const struct audit_point *of,
                                    const struct bst_buf *signature)
{
    bst_auto(buf) rest = {0};
    if (audit->broken) {
        BST_TRY(recover(audit));
    }
    if (audit->mark.n - of->mark.n >= AUDIT_SIGN_SPAN) {
        return BST_OK; /* too late for this one */
    }
    rest_begin(audit, &rest, AUDIT_EVENT_CHECKPOINT);
    if (audit->mark.n != of->mark.n) {
        bst_buf_addf(&rest, ",\"of\":%llu", (unsigned long long)of->mark.n);
    }
    bst_buf_adds(&rest, ",\"sig\":\"");
    bst_base64url_add(&rest, bst_buf_view(signature));
    bst_buf_addc(&rest, '"');
    BST_TRY(rest_append(audit, &rest));
    audit->checkpoint_n = of->mark.n + 1; /* what came meanwhile is not signed */
    audit->unsigned_file = audit->unsigned_file && of->file != audit->file;
    return BST_OK;
}

/* The key may be on a slow token: the others write meanwhile, and the checkpoint says what it
 * signs. */
static bst_result checkpoint(struct bst_audit *audit)
{
    bst_auto(buf) text = {0};
    bst_auto(buf) signature = {0};
    const struct audit_point of = {audit->mark, audit->file};
    audit->checkpoint_us = now_us(audit);
    if (!audit->host->sign) {
        audit->checkpoint_n = audit->mark.n;
        audit->unsigned_file = false;
        return BST_OK;
    }
    BST_TRY(audit_signed_text("audit checkpoint", &of.mark, of.file, &text));
    pthread_mutex_unlock(&audit->lock);
    bst_result r = audit->host->sign(audit->host->ctx, bst_buf_view(&text), &signature);
    pthread_mutex_lock(&audit->lock);
    return bst_failed(r) ? r : checkpoint_append(audit, &of, &signature);
}

static bst_result flush_locked(struct bst_audit *audit, bool all)
{
    unsigned entries = audit->config.checkpoint_entries ? audit->config.checkpoint_entries : 256;
    int64_t interval_us =
        audit->config.checkpoint_us ? audit->config.checkpoint_us : 60 * BST_US_PER_S;
    BST_TRY(write_merged(audit, all));
    uint64_t newer = audit->mark.n - audit->checkpoint_n;
    if (audit->unsigned_file || newer >= entries ||
        (newer > 0 && now_us(audit) - audit->checkpoint_us >= interval_us)) {
        return checkpoint(audit);
    }
    return BST_OK;
}

static bst_result flush(struct bst_audit *audit, bool all)
{
    char name[32];
    pthread_mutex_lock(&audit->lock);
    bst_result r = flush_locked(audit, all);
    struct audit_head head = {.present = true, .mark = audit->mark, .file = audit->file};
    bool moved = audit->mark.n != audit->head_n;
    pthread_mutex_unlock(&audit->lock);
    if (!moved) {
        return r;
    }
    /* Outside the lock: requests do not wait for the disk. The head follows the records, which are
     * safe whatever became of the signature. */
    bst_audit_file_name(head.file, name);
    bst_result synced = audit->host->sync(audit->host->ctx, name);
    BST_TRY(r);
    BST_TRY(synced);
    return write_head(audit, &head);
}

bst_result bst_audit_flush(struct bst_audit *audit)
{
    return audit ? flush(audit, false) : BST_OK;
}

static void audit_free(struct bst_audit *audit)
{
    size_t cursor = 0;
    struct bst_view key;
    void *value;
    while (bst_map_next(&audit->merging, &cursor, &key, &value)) {
        merged_free(value);
    }
    bst_map_clear(&audit->merging);
    pthread_mutex_destroy(&audit->lock);
    bst_free(audit);
}

bst_result bst_audit_open(const struct bst_audit_config *config, struct bst_audit **ret_audit)
{
    struct bst_audit *audit = bst_alloc(sizeof *audit);
    BST_ENSURE(audit, BST_E_NOMEM);
    audit->config = *config;
    audit->host = config->host;
    pthread_mutex_init(&audit->lock, NULL);
    bst_result r = resume(audit);
    if (!bst_failed(r)) {
        r = flush(audit, false);
    }
    if (bst_failed(r)) {
        audit_free(audit);
        return r;
    }
    *ret_audit = audit;
    return BST_OK;
}

void bst_audit_close(struct bst_audit **audit)
{
    if (!*audit) {
        return;
    }
    bst_result r = flush(*audit, true);
    if (bst_failed(r)) {
        bst_log(BST_LOG_ERROR, "audit.close", "the audit trail was not written to its end: %s",
                bst_error_detail());
    }
    audit_free(*audit);
    *audit = NULL;
}
