/* The backup file.
 *
 *     "BASTIDE-BACKUP-1\n"
 *     one line of JSON: when, generation, and how the file key is wrapped
 *     stream header, then sealed chunks (crypto/aead.h), the last one marked
 *
 * The file key is random. It is wrapped for the recipient (ECIES) or sealed under a key of the
 * passphrase (Argon2id); the stream's key is derived from it and from the JSON line, so that a
 * changed line opens nothing. Inside: for each file a line of JSON with name and size, then its
 * bytes; at the end a line that says so. */
#include "app/backup.h"

#include "base/time.h"
#include "codec/json.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "crypto/rand.h"
#include "se/passphrase.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <stdio.h>

#define MAGIC "BASTIDE-BACKUP-1\n"
#define MAGIC_LEN (sizeof MAGIC - 1)
#define HEAD_MAX 4096
#define FILE_MAX ((size_t)4 << 30)
#define ENTRY_MAX ((size_t)2 << 30)
#define ECIES_INFO "bastide backup file key"
#define SEALED_CHUNK (BST_STREAM_CHUNK_BYTES + BST_STREAM_TAG_BYTES)

static struct bst_view secret_view(const struct bst_secret *secret)
{
    return bst_view_of(secret->ptr, secret->len);
}

static bst_result stream_key(const struct bst_secret *file_key, struct bst_view head,
                             struct bst_secret *ret)
{
    uint8_t bound[BST_SHA256_BYTES];
    BST_TRY(bst_sha256(head, bound));
    BST_TRY(bst_secret_init(ret, BST_AEAD_KEY_BYTES));
    return bst_hkdf_sha256(bst_view_of(bound, sizeof bound), secret_view(file_key),
                           BST_VIEW("bastide backup stream"), ret->ptr, ret->len);
}

/* --- packing -------------------------------------------------------------------------------- */

struct packer {
    struct bst_append out;
    struct bst_stream stream;
    struct bst_buf plain; /* less than a chunk */
    const char *root;
    const char *prefix; /* folder being listed, relative */
    unsigned depth;
};

static bst_result write_chunk(struct packer *p, struct bst_view chunk, bool last)
{
    bst_auto(buf) sealed = {0};
    BST_TRY(bst_stream_seal(&p->stream, chunk, last, &sealed));
    return bst_append_write(&p->out, bst_buf_view(&sealed));
}

static bst_result add_bytes(struct packer *p, struct bst_view bytes)
{
    while (bytes.len > 0) {
        size_t room = BST_STREAM_CHUNK_BYTES - p->plain.len;
        size_t take = bytes.len < room ? bytes.len : room;
        bst_buf_add(&p->plain, bytes.ptr, take);
        bytes = bst_view_from(bytes, take);
        BST_TRY(bst_buf_check(&p->plain));
        /* The last chunk is marked, so a full one waits until more comes. */
        if (p->plain.len == BST_STREAM_CHUNK_BYTES && bytes.len > 0) {
            BST_TRY(write_chunk(p, bst_buf_view(&p->plain), false));
            p->plain.len = 0;
        }
    }
    if (p->plain.len == BST_STREAM_CHUNK_BYTES) {
        BST_TRY(write_chunk(p, bst_buf_view(&p->plain), false));
        p->plain.len = 0;
    }
    return BST_OK;
}

static bst_result add_file(struct packer *p, const char *relative, struct bst_view content)
{
    bst_auto(buf) line = {0};
    bst_buf_adds(&line, "{\"name\":");
    bst_buf_add_json(&line, bst_view(relative));
    bst_buf_addf(&line, ",\"bytes\":%zu}\n", content.len);
    BST_TRY(bst_buf_check(&line));
    BST_TRY(add_bytes(p, bst_buf_view(&line)));
    return add_bytes(p, content);
}

static bst_result add_folder(struct packer *p, const char *relative);

static bst_result add_listed(void *user, const char *name)
{
    struct packer *p = user;
    bst_auto(buf) content = {0};
    char relative[BST_PATH_MAX], path[BST_PATH_MAX];
    int len = p->prefix[0] ? snprintf(relative, sizeof relative, "%s/%s", p->prefix, name)
                           : snprintf(relative, sizeof relative, "%s", name);
    BST_ENSURE(len > 0 && (size_t)len < sizeof relative, BST_E_TOO_LONG);
    BST_TRY(bst_state_path(p->root, relative, path));
    bst_result r = bst_file_read(path, ENTRY_MAX, &content);
    if (r.code == BST_E_IO) {
        return add_folder(p, relative);
    }
    if (!bst_failed(r)) {
        r = add_file(p, relative, bst_buf_view(&content));
    }
    bst_buf_wipe(&content);
    return r;
}

static bst_result add_folder(struct packer *p, const char *relative)
{
    char path[BST_PATH_MAX];
    const char *outer = p->prefix;
    BST_ENSURE(p->depth < 8, BST_E_TOO_DEEP);
    BST_TRY(bst_state_path(p->root, relative[0] ? relative : ".", path));
    p->prefix = relative;
    p->depth++;
    bst_result r = bst_dir_list(path, add_listed, p);
    p->depth--;
    p->prefix = outer;
    return r;
}

static bst_result wrap_for_recipient(struct bst_view recipient, const struct bst_secret *file_key,
                                     struct bst_buf *head)
{
    bst_auto_pkey *key = NULL;
    bst_auto(buf) spki = {0};
    bst_auto(buf) wrapped = {0};
    BST_TRY(bst_pkey_load_public(recipient, &key));
    BST_TRY(bst_pkey_spki(key, &spki));
    BST_TRY(
        bst_ecies_seal(bst_buf_view(&spki), BST_VIEW(ECIES_INFO), secret_view(file_key), &wrapped));
    bst_buf_adds(head, ",\"for\":\"recipient\",\"key\":\"");
    bst_base64url_add(head, bst_buf_view(&wrapped));
    bst_buf_addc(head, '"');
    return BST_OK;
}

static bst_result wrap_for_passphrase(const struct bst_secret *passphrase,
                                      const struct bst_secret *file_key, struct bst_buf *head)
{
    struct bst_passphrase_cost cost = BST_PASSPHRASE_COST;
    uint8_t salt[BST_PASSPHRASE_SALT_BYTES];
    bst_auto(secret) key = {0};
    bst_auto(buf) wrapped = {0};
    BST_TRY(bst_random(salt, sizeof salt));
    BST_TRY(bst_passphrase_key(passphrase, &cost, salt, &key));
    BST_TRY(
        bst_aead_seal(secret_view(&key), BST_VIEW(ECIES_INFO), secret_view(file_key), &wrapped));
    bst_buf_addf(head, ",\"for\":\"passphrase\",\"passes\":%u,\"kib\":%u,\"lanes\":%u,\"salt\":\"",
                 cost.passes, cost.kib, cost.lanes);
    bst_base64url_add(head, bst_view_of(salt, sizeof salt));
    bst_buf_adds(head, "\",\"key\":\"");
    bst_base64url_add(head, bst_buf_view(&wrapped));
    bst_buf_addc(head, '"');
    return BST_OK;
}

static bst_result write_head(struct packer *p, const struct bst_backup_lock *lock,
                             int64_t generation)
{
    bst_auto(secret) file_key = {0};
    bst_auto(secret) key = {0};
    bst_auto(buf) head = {0};
    uint8_t stream_header[BST_STREAM_HEADER_BYTES];
    BST_TRY(bst_secret_init(&file_key, BST_AEAD_KEY_BYTES));
    BST_TRY(bst_random(file_key.ptr, file_key.len));
    bst_buf_addf(&head, "{\"generation\":%lld,\"made\":%lld", (long long)generation,
                 (long long)bst_wall_us());
    BST_TRY(lock->passphrase ? wrap_for_passphrase(lock->passphrase, &file_key, &head)
                             : wrap_for_recipient(lock->recipient, &file_key, &head));
    bst_buf_adds(&head, "}\n");
    BST_TRY(bst_buf_check(&head));
    BST_TRY(stream_key(&file_key, bst_buf_view(&head), &key));
    BST_TRY(bst_stream_seal_init(&p->stream, secret_view(&key), stream_header));
    BST_TRY(bst_append_write(&p->out, BST_VIEW(MAGIC)));
    BST_TRY(bst_append_write(&p->out, bst_buf_view(&head)));
    return bst_append_write(&p->out, bst_view_of(stream_header, sizeof stream_header));
}

static bst_result pack(struct packer *p, const struct bst_backup_lock *lock, int64_t generation)
{
    BST_TRY(write_head(p, lock, generation));
    BST_TRY(add_folder(p, ""));
    BST_TRY(add_bytes(p, BST_VIEW("{\"end\":true}\n")));
    BST_TRY(write_chunk(p, bst_buf_view(&p->plain), true));
    return bst_append_sync(&p->out);
}

bst_result bst_backup_pack(const char *folder, const char *file, const struct bst_backup_lock *lock,
                           int64_t generation)
{
    struct packer p = {.out = {.fd = -1}, .root = folder, .prefix = ""};
    if (bst_file_exists(file)) {
        BST_FAIL(BST_E_EXISTS, "%s is there already", file);
    }
    BST_TRY(bst_append_open(file, 0600, &p.out));
    bst_result r = pack(&p, lock, generation);
    bst_stream_clear(&p.stream);
    bst_buf_wipe(&p.plain);
    bst_append_clear(&p.out);
    if (bst_failed(r)) {
        char detail[256];
        snprintf(detail, sizeof detail, "%s", bst_error_detail());
        (void)bst_file_remove(file).code;
        bst_error_set_detail(detail);
    }
    return r;
}

/* --- reading the head ----------------------------------------------------------------------- */

struct head {
    struct bst_view line; /* with its line end */
    struct bst_backup_info info;
    struct bst_passphrase_cost cost;
    uint8_t salt[BST_PASSPHRASE_SALT_BYTES];
    struct bst_buf wrapped;
    size_t end; /* in the file */
};

static bst_result read_salt(yyjson_val *root, struct head *h)
{
    struct bst_view text;
    bst_auto(buf) salt = {0};
    int64_t passes, kib, lanes;
    BST_TRY(bst_json_string(root, "salt", &text));
    BST_TRY(bst_base64url_decode(text, &salt));
    BST_ENSURE(salt.len == sizeof h->salt, BST_E_SYNTAX);
    memcpy(h->salt, salt.ptr, sizeof h->salt);
    BST_TRY(bst_json_i64(root, "passes", &passes));
    BST_TRY(bst_json_i64(root, "kib", &kib));
    BST_TRY(bst_json_i64(root, "lanes", &lanes));
    BST_ENSURE(passes > 0 && passes < 1000 && kib > 0 && kib < (1 << 30) && lanes > 0 &&
                   lanes < 1000,
               BST_E_VALUE);
    h->cost = (struct bst_passphrase_cost){(uint32_t)passes, (uint32_t)kib, (uint32_t)lanes};
    return BST_OK;
}

static bst_result read_head_line(struct bst_view line, struct head *h)
{
    bst_auto(arena) arena = {0};
    yyjson_val *root;
    struct bst_view who, wrapped;
    BST_TRY(bst_json_parse(&arena, line, 2, &root));
    BST_TRY(bst_json_i64(root, "generation", &h->info.generation));
    BST_TRY(bst_json_i64(root, "made", &h->info.made_us));
    BST_TRY(bst_json_string(root, "for", &who));
    BST_TRY(bst_json_string(root, "key", &wrapped));
    BST_TRY(bst_base64url_decode(wrapped, &h->wrapped));
    h->info.by_passphrase = bst_view_is(who, "passphrase");
    return h->info.by_passphrase ? read_salt(root, h) : BST_OK;
}

static bst_result read_head(struct bst_view file, struct head *h)
{
    struct bst_view rest = file, line;
    if (!bst_view_starts(file, BST_VIEW(MAGIC))) {
        BST_FAIL(BST_E_SYNTAX, "this is not a backup of Bastide");
    }
    rest = bst_view_from(file, MAGIC_LEN);
    if (rest.len > HEAD_MAX) {
        rest.len = HEAD_MAX;
    }
    if (!bst_view_cut(&rest, '\n', &line)) {
        BST_FAIL(BST_E_CORRUPT, "the head of the backup is cut off");
    }
    h->line = bst_view_of(line.ptr, line.len + 1);
    h->end = MAGIC_LEN + h->line.len;
    if (bst_failed(read_head_line(line, h))) {
        BST_FAIL(BST_E_CORRUPT, "the head of the backup is damaged");
    }
    return BST_OK;
}

bst_result bst_backup_info(const char *file, struct bst_backup_info *ret)
{
    bst_auto(buf) content = {0};
    struct head h = {0};
    BST_TRY(bst_file_read(file, FILE_MAX, &content));
    bst_result r = read_head(bst_buf_view(&content), &h);
    bst_buf_clear(&h.wrapped);
    *ret = h.info;
    return r;
}

/* --- unpacking ------------------------------------------------------------------------------ */

static bst_result unwrap(const struct head *h, const struct bst_backup_key *key,
                         struct bst_secret *ret)
{
    bst_auto(secret) from_passphrase = {0};
    bst_result r;
    if (h->info.by_passphrase) {
        if (!key->passphrase) {
            BST_FAIL(BST_E_USAGE, "this backup wants a passphrase");
        }
        BST_TRY(bst_passphrase_key(key->passphrase, &h->cost, h->salt, &from_passphrase));
        r = bst_aead_open_secret(secret_view(&from_passphrase), BST_VIEW(ECIES_INFO),
                                 bst_buf_view(&h->wrapped), ret);
    } else {
        if (!key->recipient) {
            BST_FAIL(BST_E_USAGE, "this backup wants the key of its recipient");
        }
        r = bst_ecies_open(key->recipient, BST_VIEW(ECIES_INFO), bst_buf_view(&h->wrapped), ret);
    }
    if (bst_failed(r) && r.code != BST_E_NOMEM) {
        BST_FAIL(BST_E_SE_PIN, "this %s does not open the backup",
                 h->info.by_passphrase ? "passphrase" : "key");
    }
    return r;
}

/* Bytes of the archive as they come out of the stream. */
struct unpacker {
    const char *folder;
    struct bst_buf pending;
    bool in_file;
    char name[BST_PATH_MAX];
    size_t want;
    bool ended;
};

/* A name inside a backup stays inside the folder. */
static bool is_safe_name(struct bst_view name)
{
    if (name.len == 0 || name.ptr[0] == '/' || name.len > 512 || memchr(name.ptr, '\0', name.len)) {
        return false;
    }
    struct bst_view rest = name, part;
    bool more;
    do {
        more = bst_view_cut(&rest, '/', &part);
        if (part.len == 0 || bst_view_is(part, ".") || bst_view_is(part, "..")) {
            return false;
        }
    } while (more);
    return true;
}

static bst_result write_entry(struct unpacker *u)
{
    char path[BST_PATH_MAX], parent[BST_PATH_MAX];
    BST_TRY(bst_state_path(u->folder, u->name, path));
    snprintf(parent, sizeof parent, "%s", path);
    *strrchr(parent, '/') = '\0';
    BST_TRY(bst_dir_make(parent, 0700));
    BST_TRY(bst_file_write_atomic(path, bst_view_of(u->pending.ptr, u->want), 0600));
    bst_buf_consume(&u->pending, u->want);
    u->in_file = false;
    return BST_OK;
}

static bst_result take_entry_line(struct unpacker *u, struct bst_view line)
{
    bst_auto(arena) arena = {0};
    yyjson_val *root;
    struct bst_view name;
    int64_t bytes;
    bool end = false;
    BST_TRY(bst_json_parse(&arena, line, 2, &root));
    BST_TRY(bst_json_opt_bool(root, "end", &end));
    if (end) {
        u->ended = true;
        return BST_OK;
    }
    BST_TRY(bst_json_string(root, "name", &name));
    BST_TRY(bst_json_i64(root, "bytes", &bytes));
    if (!is_safe_name(name) || bytes < 0 || (uint64_t)bytes > ENTRY_MAX) {
        BST_FAIL(BST_E_CORRUPT, "the backup holds a file that it may not hold");
    }
    BST_TRY(bst_view_copy(name, u->name, sizeof u->name));
    u->want = (size_t)bytes;
    u->in_file = true;
    return BST_OK;
}

static bst_result take_bytes(struct unpacker *u, struct bst_view bytes)
{
    bst_buf_addv(&u->pending, bytes);
    BST_TRY(bst_buf_check(&u->pending));
    for (;;) {
        if (u->in_file) {
            if (u->pending.len < u->want) {
                return BST_OK;
            }
            BST_TRY(write_entry(u));
            continue;
        }
        struct bst_view rest = bst_buf_view(&u->pending), line;
        if (u->ended || !bst_view_cut(&rest, '\n', &line)) {
            return u->ended || u->pending.len < 4096 ? BST_OK : bst_error(BST_E_CORRUPT);
        }
        BST_TRY(take_entry_line(u, line));
        bst_buf_consume(&u->pending, line.len + 1);
    }
}

static bst_result open_chunks(struct bst_stream *stream, struct bst_view sealed, struct unpacker *u)
{
    bool last;
    do {
        bst_auto(buf) plain = {0};
        last = sealed.len <= SEALED_CHUNK;
        struct bst_view chunk = bst_view_of(sealed.ptr, last ? sealed.len : SEALED_CHUNK);
        if (bst_failed(bst_stream_open(stream, chunk, last, &plain))) {
            BST_FAIL(BST_E_CORRUPT, "the backup was changed or cut off");
        }
        sealed = bst_view_from(sealed, chunk.len);
        bst_result r = take_bytes(u, bst_buf_view(&plain));
        bst_buf_wipe(&plain);
        BST_TRY(r);
    } while (!last);
    if (!u->ended) {
        BST_FAIL(BST_E_CORRUPT, "the backup is not complete");
    }
    return BST_OK;
}

static bst_result unpack(struct bst_view file, const struct bst_backup_key *key, struct head *h,
                         struct unpacker *u)
{
    bst_auto(secret) file_key = {0};
    bst_auto(secret) stream_secret = {0};
    struct bst_stream stream = {0};
    BST_TRY(read_head(file, h));
    BST_TRY(unwrap(h, key, &file_key));
    BST_TRY(stream_key(&file_key, h->line, &stream_secret));
    struct bst_view rest = bst_view_from(file, h->end);
    if (rest.len < BST_STREAM_HEADER_BYTES) {
        BST_FAIL(BST_E_CORRUPT, "the backup is cut off");
    }
    BST_TRY(bst_stream_open_init(&stream, secret_view(&stream_secret),
                                 bst_view_of(rest.ptr, BST_STREAM_HEADER_BYTES)));
    bst_result r = open_chunks(&stream, bst_view_from(rest, BST_STREAM_HEADER_BYTES), u);
    bst_stream_clear(&stream);
    return r;
}

bst_result bst_backup_unpack(const char *file, const struct bst_backup_key *key, const char *folder)
{
    bst_auto(buf) content = {0};
    struct head h = {0};
    struct unpacker u = {.folder = folder};
    if (bst_file_exists(folder)) {
        BST_FAIL(BST_E_EXISTS, "%s is there already", folder);
    }
    BST_TRY(bst_file_read(file, FILE_MAX, &content));
    BST_TRY(bst_dir_make(folder, 0700));
    bst_result r = unpack(bst_buf_view(&content), key, &h, &u);
    bst_buf_clear(&h.wrapped);
    bst_buf_wipe(&u.pending);
    if (bst_failed(r)) {
        char detail[256];
        snprintf(detail, sizeof detail, "%s", bst_error_detail());
        (void)bst_snapshot_remove(folder).code;
        bst_error_set_detail(detail);
    }
    return r;
}
