/* What a reader with shared views has read lately, by a key of its users. A value holds exactly as
 * long as nothing is committed, so that it equals what the same query would give; the next commit
 * makes all of them worthless, without anybody clearing them. */
#include "store/store_priv.h"

#define SLOTS 64
#define ENTRY_BYTES_MAX 2048

struct memo_entry {
    uint64_t valid_at; /* commits + 1; 0: never filled */
    size_t key_len, value_len, cap;
    char *bytes; /* value, then key */
};

struct store_memo {
    struct memo_entry slots[SLOTS];
};

struct store_memo *memo_new(void)
{
    return bst_alloc(sizeof(struct store_memo));
}

void memo_free(struct store_memo **slot)
{
    struct store_memo *memo = bst_steal(slot);
    for (size_t i = 0; memo && i < SLOTS; i++) {
        bst_free(memo->slots[i].bytes);
    }
    bst_free(memo);
}

static struct memo_entry *entry_of(struct bst_store_conn *conn, struct bst_view key)
{
    return conn->memo && conn->in_view ? &conn->memo->slots[bst_hash(key) % SLOTS] : NULL;
}

bool bst_store_recall(struct bst_store_conn *conn, struct bst_view key, struct bst_view *ret)
{
    const struct memo_entry *e = entry_of(conn, key);
    if (!e || e->valid_at != conn->view_commits + 1 ||
        !bst_view_eq(key, bst_view_of(e->bytes + e->value_len, e->key_len))) {
        return false;
    }
    *ret = bst_view_of(e->bytes, e->value_len);
    return true;
}

/* Room for a value that is to be remembered; NULL when it is not worth it. */
static char *room(struct memo_entry *e, size_t bytes)
{
    e->valid_at = 0;
    if (bytes > ENTRY_BYTES_MAX) {
        return NULL;
    }
    if (e->cap < bytes) {
        char *grown = bst_realloc(e->bytes, bytes);
        if (!grown) {
            return NULL;
        }
        e->bytes = grown;
        e->cap = bytes;
    }
    return e->bytes;
}

void bst_store_remember(struct bst_store_conn *conn, struct bst_view key,
                        const struct bst_view *parts, size_t n)
{
    struct memo_entry *e = entry_of(conn, key);
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        len += parts[i].len;
    }
    char *at = e ? room(e, len + key.len) : NULL;
    if (!at) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (parts[i].len) {
            memcpy(at, parts[i].ptr, parts[i].len);
        }
        at += parts[i].len;
    }
    memcpy(at, key.ptr, key.len);
    e->key_len = key.len;
    e->value_len = len;
    e->valid_at = conn->view_commits + 1;
}
