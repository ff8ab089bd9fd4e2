/* Reading the audit trail: walking the chain, the head, and the verification that names the first
 * record which does not fit. Lines are the writer's own, in a fixed order of members, so that the
 * hash covers exact bytes and no JSON reader stands between. */
#include "obs/audit_priv.h"

#include "base/time.h"

#include <stdarg.h>
#include <stdio.h>

void bst_audit_file_name(unsigned n, char out[32])
{
    snprintf(out, 32, "audit-%06u.jsonl", n);
}

bst_result audit_hash(const struct bst_audit_host *host, const struct audit_mark *before,
                      struct bst_view rest, uint8_t out[BST_AUDIT_HASH_LEN])
{
    const struct bst_view parts[] = {bst_view_of(before->hash, sizeof before->hash), rest};
    return host->sha256(host->ctx, parts, 2, out);
}

bst_result audit_signed_text(const char *purpose, const struct audit_mark *mark, unsigned file,
                             struct bst_buf *ret)
{
    bst_buf_addf(ret, "bastide %s %llu %u ", purpose, (unsigned long long)mark->n, file);
    bst_hex_add(ret, bst_view_of(mark->hash, sizeof mark->hash), false);
    return bst_buf_check(ret);
}

/* Take `literal` from the front. */
static bool skip(struct bst_view *v, const char *literal)
{
    if (!bst_view_starts(*v, bst_view(literal))) {
        return false;
    }
    *v = bst_view_from(*v, strlen(literal));
    return true;
}

static bool take_number(struct bst_view *v, char end, uint64_t *ret)
{
    struct bst_view digits;
    return bst_view_cut(v, end, &digits) && !bst_failed(bst_parse_u64(digits, ret));
}

static bool take_hash(struct bst_view *v, uint8_t out[BST_AUDIT_HASH_LEN])
{
    if (v->len < AUDIT_HEX_LEN ||
        bst_failed(bst_hex_decode(bst_view_of(v->ptr, AUDIT_HEX_LEN), out, BST_AUDIT_HASH_LEN))) {
        return false;
    }
    *v = bst_view_from(*v, AUDIT_HEX_LEN);
    return true;
}

/* One line taken apart as far as the chain needs it. */
struct record {
    uint8_t hash[BST_AUDIT_HASH_LEN];
    struct bst_view rest; /* what the hash covers */
    uint64_t n;
    struct bst_view event;
    struct bst_view members; /* what follows the event */
};

static bool record_parse(struct bst_view line, struct record *ret)
{
    struct bst_view v = line, time_text;
    if (!skip(&v, AUDIT_PREFIX) || !take_hash(&v, ret->hash) || !skip(&v, "\",")) {
        return false;
    }
    ret->rest = v;
    if (!skip(&v, "\"n\":") || !take_number(&v, ',', &ret->n) || !skip(&v, "\"t\":\"") ||
        !bst_view_cut(&v, '"', &time_text) || !skip(&v, ",\"event\":\"") ||
        !bst_view_cut(&v, '"', &ret->event)) {
        return false;
    }
    ret->members = v;
    return v.len > 0 && v.ptr[v.len - 1] == '}';
}

static void complain(struct audit_walk *walk, uint64_t n, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void complain(struct audit_walk *walk, uint64_t n, const char *format, ...)
{
    struct bst_audit_report *report = &walk->report;
    walk->bad = true;
    if (report->reason[0]) {
        return;
    }
    va_list ap;
    va_start(ap, format);
    vsnprintf(report->reason, sizeof report->reason, format, ap);
    va_end(ap);
    report->bad_entry = n;
    report->bad_line = walk->line;
    bst_audit_file_name(walk->file, report->bad_file);
}

static void uncomplain(struct audit_walk *walk)
{
    walk->bad = false;
    walk->report.reason[0] = '\0';
    walk->report.bad_entry = 0;
    walk->report.bad_line = 0;
    walk->report.bad_file[0] = '\0';
}

/* For a checkpoint that comes later. */
static void remember(struct audit_walk *walk)
{
    if (walk->points) {
        walk->points[walk->mark.n % AUDIT_SIGN_SPAN] = (struct audit_point){walk->mark, walk->file};
    }
}

/* The first record of a file repeats where the chain stands, so that older files may be removed. */
static bool file_record_fits(struct audit_walk *walk, const struct record *r)
{
    struct audit_mark before = {.n = r->n - 1};
    struct bst_view v = r->members;
    uint64_t file;
    if (!bst_view_is(r->event, AUDIT_EVENT_FILE) || r->n == 0 || !skip(&v, ",\"file\":") ||
        !take_number(&v, ',', &file) || file != walk->file || !skip(&v, "\"prev\":\"") ||
        !take_hash(&v, before.hash)) {
        return false;
    }
    if (!walk->started) {
        walk->mark = before;
        walk->started = true;
        walk->report.first = r->n;
        remember(walk);
    }
    return memcmp(before.hash, walk->mark.hash, sizeof before.hash) == 0;
}

/* ,"sig":"..." signs the record before; ,"of":N,"sig":"..." one of those before it. */
static bool checkpoint_read(const struct audit_walk *walk, const struct record *r, uint64_t *ret_of,
                            struct bst_view *ret_signature)
{
    struct bst_view v = r->members;
    *ret_of = walk->mark.n;
    bool named = skip(&v, ",\"of\":");
    return (!named || take_number(&v, ',', ret_of)) &&
           skip(&v, named ? "\"sig\":\"" : ",\"sig\":\"") && *ret_of <= walk->mark.n &&
           bst_view_cut(&v, '"', ret_signature);
}

static bst_result signature_fits(struct audit_walk *walk, const struct audit_point *of,
                                 struct bst_view encoded, bool *ret)
{
    bst_auto(buf) text = {0};
    bst_auto(buf) signature = {0};
    *ret = false;
    if (bst_failed(bst_base64url_decode(encoded, &signature))) {
        return BST_OK;
    }
    BST_TRY(audit_signed_text("audit checkpoint", &of->mark, of->file, &text));
    *ret = !bst_failed(
        walk->host->check(walk->host->ctx, bst_buf_view(&text), bst_buf_view(&signature)));
    return BST_OK;
}

static bst_result signature_check(struct audit_walk *walk, const struct record *r, uint64_t of,
                                  struct bst_view encoded)
{
    bool fits;
    const struct audit_point *point = &walk->points[of % AUDIT_SIGN_SPAN];
    if (of + 1 < walk->report.first && walk->report.checkpoints == 0) {
        return BST_OK; /* a record of a file that was removed */
    }
    if (point->mark.n != of) {
        complain(walk, r->n, "the checkpoint signs record %llu, which is too far before it",
                 (unsigned long long)of);
        return BST_OK;
    }
    BST_TRY(signature_fits(walk, point, encoded, &fits));
    if (!fits) {
        complain(walk, r->n, "the signature of the checkpoint is wrong");
        return BST_OK;
    }
    walk->report.checkpoints++;
    return BST_OK;
}

static bst_result checkpoint_check(struct audit_walk *walk, const struct record *r)
{
    struct bst_view encoded;
    uint64_t of;
    if (!checkpoint_read(walk, r, &of, &encoded)) {
        complain(walk, r->n, "the checkpoint has no signature");
        return BST_OK;
    }
    if (walk->points) {
        BST_TRY(signature_check(walk, r, of, encoded));
    }
    walk->signed_n = of;
    walk->signed_file = of >= walk->file_n ? walk->file : walk->signed_file;
    return BST_OK;
}

/* A good record moves the mark. */
static bst_result record_walk(struct audit_walk *walk, struct bst_view line, bool first_of_file)
{
    struct record r;
    if (!record_parse(line, &r)) {
        complain(walk, walk->mark.n + 1, "the line is not a record");
        return BST_OK;
    }
    if (first_of_file && !file_record_fits(walk, &r)) {
        complain(walk, r.n, "the file does not continue the one before it");
        return BST_OK;
    }
    if (r.n != walk->mark.n + 1) {
        complain(walk, r.n, "record %llu follows record %llu", (unsigned long long)r.n,
                 (unsigned long long)walk->mark.n);
        return BST_OK;
    }
    uint8_t hash[BST_AUDIT_HASH_LEN];
    BST_TRY(audit_hash(walk->host, &walk->mark, r.rest, hash));
    if (memcmp(hash, r.hash, sizeof hash) != 0) {
        complain(walk, r.n, "the hash does not fit: this record or the one before it was changed");
        return BST_OK;
    }
    walk->file_n = first_of_file ? r.n : walk->file_n;
    if (bst_view_is(r.event, AUDIT_EVENT_CHECKPOINT)) {
        BST_TRY(checkpoint_check(walk, &r));
    }
    if (!walk->bad) {
        walk->mark.n = r.n;
        memcpy(walk->mark.hash, hash, sizeof hash);
        remember(walk);
    }
    if (walk->head.present && walk->head.mark.n == r.n &&
        memcmp(walk->head.mark.hash, hash, sizeof hash) != 0) {
        complain(walk, r.n, "the record is not the one that the head knows");
    }
    return BST_OK;
}

/* Whether the line at `at` is a repair that names exactly the bytes between the last good record
 * and itself. */
static bst_result repair_fits(struct audit_walk *walk, struct bst_view data, size_t at,
                              struct bst_view line, bool *ret)
{
    struct record r;
    uint8_t hash[BST_AUDIT_HASH_LEN], named[BST_AUDIT_HASH_LEN];
    uint64_t bytes;
    *ret = false;
    if (!record_parse(line, &r) || !bst_view_is(r.event, AUDIT_EVENT_REPAIR) ||
        r.n != walk->mark.n + 1) {
        return BST_OK;
    }
    struct bst_view v = r.members;
    if (!skip(&v, ",\"bytes\":") || !take_number(&v, ',', &bytes) || bytes != at - walk->tail_at ||
        !skip(&v, "\"sha256\":\"") || !take_hash(&v, named)) {
        return BST_OK;
    }
    struct bst_view torn = bst_view_of(data.ptr + walk->tail_at, at - walk->tail_at);
    BST_TRY(walk->host->sha256(walk->host->ctx, &torn, 1, hash));
    *ret = memcmp(hash, named, sizeof hash) == 0;
    return BST_OK;
}

bst_result audit_walk_file(struct audit_walk *walk, struct bst_view data)
{
    size_t at = 0;
    walk->tail_at = 0;
    walk->line = 0;
    while (at < data.len) {
        struct bst_view line, rest = bst_view_from(data, at);
        bool whole = bst_view_cut(&rest, '\n', &line);
        walk->line++;
        if (walk->bad) {
            bool fits = false;
            if (whole) {
                BST_TRY(repair_fits(walk, data, at, line, &fits));
            }
            if (fits) {
                uncomplain(walk);
                walk->report.repairs++;
            }
        }
        if (!whole && !walk->bad) {
            complain(walk, walk->mark.n + 1, "the last line is torn");
        }
        if (!walk->bad) {
            BST_TRY(record_walk(walk, line, at == 0));
        }
        if (!whole) {
            return BST_OK;
        }
        at += line.len + 1;
        if (!walk->bad) {
            walk->tail_at = at;
        }
    }
    return BST_OK;
}

static bst_result head_signature_check(const struct bst_audit_host *host,
                                       const struct audit_head *head, struct bst_view v)
{
    struct bst_view encoded;
    bst_auto(buf) text = {0};
    bst_auto(buf) signature = {0};
    if (!skip(&v, ",\"sig\":\"") || !bst_view_cut(&v, '"', &encoded) ||
        bst_failed(bst_base64url_decode(encoded, &signature))) {
        BST_FAIL(BST_E_CORRUPT, "the audit head has no signature");
    }
    BST_TRY(audit_signed_text("audit head", &head->mark, head->file, &text));
    if (bst_failed(host->check(host->ctx, bst_buf_view(&text), bst_buf_view(&signature)))) {
        BST_FAIL(BST_E_CORRUPT, "the signature of the audit head is wrong");
    }
    return BST_OK;
}

bst_result audit_head_read(const struct bst_audit_host *host, bool check, struct audit_head *ret)
{
    bst_auto(buf) data = {0};
    struct audit_head head = {.present = true};
    bst_result r = host->read(host->ctx, BST_AUDIT_HEAD, &data);
    if (r.code == BST_E_NOT_FOUND) {
        *ret = (struct audit_head){0};
        return BST_OK;
    }
    BST_TRY(r);
    struct bst_view v = bst_buf_view(&data);
    uint64_t file = 0;
    if (!skip(&v, "{\"n\":") || !take_number(&v, ',', &head.mark.n) || !skip(&v, "\"file\":") ||
        !take_number(&v, ',', &file) || file == 0 || file > 999999 || !skip(&v, "\"h\":\"") ||
        !take_hash(&v, head.mark.hash) || !skip(&v, "\"")) {
        BST_FAIL(BST_E_CORRUPT, "the audit head is not readable");
    }
    head.file = (unsigned)file;
    if (check && host->check) {
        BST_TRY(head_signature_check(host, &head, v));
    }
    *ret = head;
    return BST_OK;
}

bst_result audit_head_write(const struct bst_audit_host *host, const struct audit_head *head)
{
    bst_auto(buf) out = {0};
    bst_auto(buf) text = {0};
    bst_auto(buf) signature = {0};
    bst_buf_addf(&out, "{\"n\":%llu,\"file\":%u,\"h\":\"", (unsigned long long)head->mark.n,
                 head->file);
    bst_hex_add(&out, bst_view_of(head->mark.hash, sizeof head->mark.hash), false);
    bst_buf_addc(&out, '"');
    if (host->sign) {
        BST_TRY(audit_signed_text("audit head", &head->mark, head->file, &text));
        BST_TRY(host->sign(host->ctx, bst_buf_view(&text), &signature));
        bst_buf_adds(&out, ",\"sig\":\"");
        bst_base64url_add(&out, bst_buf_view(&signature));
        bst_buf_addc(&out, '"');
    }
    bst_buf_adds(&out, "}\n");
    BST_TRY(bst_buf_check(&out));
    return host->replace(host->ctx, BST_AUDIT_HEAD, bst_buf_view(&out));
}

/* The oldest file that is still there. */
static bst_result first_file(const struct bst_audit_host *host, unsigned newest, unsigned *ret)
{
    unsigned n = newest;
    while (n > 1) {
        bst_auto(buf) data = {0};
        char name[32];
        bst_audit_file_name(n - 1, name);
        bst_result r = host->read(host->ctx, name, &data);
        if (r.code == BST_E_NOT_FOUND) {
            break;
        }
        BST_TRY(r);
        n--;
    }
    *ret = n;
    return BST_OK;
}

static bst_result walk_all(struct audit_walk *walk)
{
    const struct audit_head *head = &walk->head;
    for (;; walk->file++) {
        bst_auto(buf) data = {0};
        char name[32];
        bst_audit_file_name(walk->file, name);
        bst_result r = walk->host->read(walk->host->ctx, name, &data);
        if (r.code == BST_E_NOT_FOUND) {
            return BST_OK;
        }
        BST_TRY(r);
        BST_TRY(audit_walk_file(walk, bst_buf_view(&data)));
        if (walk->bad) {
            return BST_OK;
        }
        if (head->present && head->file == walk->file && walk->mark.n < head->mark.n) {
            walk->line++;
            complain(walk, walk->mark.n + 1,
                     "the trail ends at record %llu, the head knows %llu: its end was cut off",
                     (unsigned long long)walk->mark.n, (unsigned long long)head->mark.n);
            return BST_OK;
        }
    }
}

bst_result bst_audit_verify(const struct bst_audit_host *host, struct bst_audit_report *ret_report)
{
    bst_auto_free struct audit_point *points = NULL;
    if (host->check) {
        points = bst_alloc(AUDIT_SIGN_SPAN * sizeof *points);
        BST_ENSURE(points, BST_E_NOMEM);
    }
    struct audit_walk walk = {.host = host, .points = points};
    struct audit_head *head = &walk.head;
    bst_result r = audit_head_read(host, true, head);
    if (r.code == BST_E_CORRUPT) {
        snprintf(walk.report.reason, sizeof walk.report.reason, "%s", bst_error_detail());
        snprintf(walk.report.bad_file, sizeof walk.report.bad_file, "%s", BST_AUDIT_HEAD);
        *ret_report = walk.report;
        return BST_OK;
    }
    BST_TRY(r);
    BST_TRY(first_file(host, head->present ? head->file : 1, &walk.file));
    BST_TRY(walk_all(&walk));
    if (!walk.bad && walk.started && !head->present) {
        complain(&walk, 0, "the head file is missing: whether the end was cut off cannot be told");
    }
    if (!walk.bad && !walk.started && head->present) {
        complain(&walk, 1, "the head is there, the records are not");
    }
    walk.report.last = walk.mark.n;
    if (head->present && walk.mark.n > head->mark.n) {
        walk.report.after_head = walk.mark.n - head->mark.n;
    }
    *ret_report = walk.report;
    return BST_OK;
}
