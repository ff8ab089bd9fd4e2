/* Group Request Identifiers seen lately, per target (TS-0004 7.3.3.2). In memory: they live no longer
 * than the requests they guard against. */
#include "cse/cse_priv.h"

#include "sys/clock.h"

#define SEEN_MAX 100000

struct seen_entry {
    int64_t until_us;
};

static void forget(struct bst_cse_seen *seen, int64_t now_us)
{
    size_t cursor = 0;
    struct bst_view key;
    void *value;
    while (bst_map_next(&seen->until, &cursor, &key, &value)) {
        struct seen_entry *entry = value;
        if (entry->until_us <= now_us) {
            bst_map_remove(&seen->until, key);
            bst_free(entry);
        }
    }
}

static bst_result check_locked(struct bst_cse_seen *seen, struct bst_view key, int64_t now_us,
                               int64_t until_us)
{
    struct seen_entry *entry = bst_map_get(&seen->until, key);
    if (entry && entry->until_us > now_us) {
        BST_FAIL(BST_E_GROUP_REQUEST_EXISTS,
                 "this resource has seen the Group Request Identifier (gid) already");
    }
    if (entry) {
        entry->until_us = until_us;
        return BST_OK;
    }
    if (seen->until.count >= SEEN_MAX) {
        forget(seen, now_us);
        BST_ENSURE(seen->until.count < SEEN_MAX, BST_E_BUSY);
    }
    entry = bst_alloc(sizeof *entry);
    BST_ENSURE(entry, BST_E_NOMEM);
    entry->until_us = until_us;
    bst_result r = bst_map_set(&seen->until, key, entry, NULL);
    if (bst_failed(r)) {
        bst_free(entry);
    }
    return r;
}

bst_result bst_cse_seen_check(struct bst_cse *cse, struct bst_view gid, struct bst_view target,
                              int64_t now_us, int64_t until_us)
{
    struct bst_buf key = {0};
    bst_buf_addv(&key, gid);
    bst_buf_addc(&key, ' ');
    bst_buf_addv(&key, target);
    bst_result r = bst_buf_check(&key);
    if (!bst_failed(r)) {
        pthread_mutex_lock(&cse->seen.lock);
        r = check_locked(&cse->seen, bst_buf_view(&key), now_us, until_us);
        pthread_mutex_unlock(&cse->seen.lock);
    }
    bst_buf_clear(&key);
    return r;
}

void bst_cse_seen_clear(struct bst_cse_seen *seen)
{
    forget(seen, INT64_MAX);
    bst_map_clear(&seen->until);
}
