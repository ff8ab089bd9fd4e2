/* Group Request Identifiers seen lately, per target (TS-0004 7.3.3.2). In memory: they live no
 * longer than the requests they guard against. */
#include "cse/cse_priv.h"

#include "sys/clock.h"

#define SEEN_MAX 100000
#define SEEN_LONGEST_US (INT64_C(300) * BST_US_PER_S)

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
        /* Rather forget all than let one originator's identifiers refuse those of the others. */
        forget(seen, INT64_MAX);
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
    /* Both texts are the peer's, and long ones if it likes. */
    const uint64_t key[2] = {bst_hash(gid), bst_hash(target)};
    int64_t longest_us = now_us + SEEN_LONGEST_US;
    pthread_mutex_lock(&cse->seen.lock);
    bst_result r = check_locked(&cse->seen, bst_view_of(key, sizeof key), now_us,
                                until_us < longest_us ? until_us : longest_us);
    pthread_mutex_unlock(&cse->seen.lock);
    return r;
}

void bst_cse_seen_clear(struct bst_cse_seen *seen)
{
    forget(seen, INT64_MAX);
    bst_map_clear(&seen->until);
}
