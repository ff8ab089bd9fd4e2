/* How many keys an owner may have, and how often they may be used. */
#include "base/map.h"
#include "se/filter_priv.h"

#include <pthread.h>

#define US_PER_S INT64_C(1000000)
#define OWNERS_MAX 4096
#define COUNT_MAX 1000000000

struct rule {
    struct bst_se_pattern owner;
    uint64_t keys, per_second; /* 0: no limit */
};

/* Operations left to one owner, in millionths. */
struct bucket {
    int64_t left, at_us;
};

struct quota {
    int64_t (*mono_us)(void);
    pthread_mutex_t lock;
    struct bst_map buckets; /* owner -> struct bucket */
    size_t n;
    struct rule rules[];
};

/* ---- reading ---- */

static bst_result take_owner(void *into, struct bst_view value)
{
    return bst_se_pattern_take(value, &((struct rule *)into)->owner);
}

static bst_result take_count(struct bst_view value, uint64_t *ret)
{
    if (bst_failed(bst_parse_u64(value, ret)) || *ret == 0 || *ret > COUNT_MAX) {
        BST_FAIL(BST_E_VALUE, "'%.*s' is no number from 1 to %d", BST_VIEW_ARGS(value), COUNT_MAX);
    }
    return BST_OK;
}

static bst_result take_keys(void *into, struct bst_view value)
{
    return take_count(value, &((struct rule *)into)->keys);
}

static bst_result take_rate(void *into, struct bst_view value)
{
    return take_count(value, &((struct rule *)into)->per_second);
}

static bst_result read_rule(const char *text, void *into)
{
    static const struct bst_se_field fields[] = {
        {"owner", take_owner}, {"keys", take_keys}, {"per-second", take_rate}};
    return bst_se_rule_read(text, fields, sizeof fields / sizeof fields[0], into, NULL);
}

bst_result bst_se_quota_rule_check(const char *text)
{
    struct rule rule = {0};
    return read_rule(text, &rule);
}

/* ---- deciding ---- */

/* Owners that have not asked for a second have a full bucket: the same as none. */
static void forget_idle(struct quota *quota, int64_t now)
{
    size_t cursor = 0;
    struct bst_view owner;
    void *value;
    while (bst_map_next(&quota->buckets, &cursor, &owner, &value)) {
        if (now - ((const struct bucket *)value)->at_us > US_PER_S) {
            bst_free(bst_map_remove(&quota->buckets, owner));
        }
    }
}

/* With the lock; NULL: too many owners at a time, or no memory. */
static struct bucket *bucket_of(struct quota *quota, const struct rule *rule, const char *owner,
                                int64_t now)
{
    struct bucket *bucket = bst_map_get(&quota->buckets, bst_view(owner));
    if (bucket) {
        return bucket;
    }
    if (quota->buckets.count >= OWNERS_MAX) {
        forget_idle(quota, now);
    }
    bucket = quota->buckets.count < OWNERS_MAX ? bst_alloc(sizeof *bucket) : NULL;
    if (!bucket || bst_failed(bst_map_set(&quota->buckets, bst_view(owner), bucket, NULL))) {
        bst_free(bucket);
        return NULL;
    }
    *bucket = (struct bucket){(int64_t)rule->per_second * US_PER_S, now};
    return bucket;
}

static bool take_one(struct bucket *bucket, int64_t per_second, int64_t now)
{
    int64_t full = per_second * US_PER_S, passed = now - bucket->at_us;
    int64_t left = passed >= US_PER_S ? full : bucket->left + passed * per_second;
    bucket->at_us = now;
    bucket->left = left < full ? left : full;
    if (bucket->left < US_PER_S) {
        return false;
    }
    bucket->left -= US_PER_S;
    return true;
}

static bst_result check_rate(struct quota *quota, const struct rule *rule,
                             const struct bst_se_event *event)
{
    int64_t now = quota->mono_us();
    pthread_mutex_lock(&quota->lock);
    struct bucket *bucket = bucket_of(quota, rule, event->owner, now);
    bool allowed = bucket && take_one(bucket, (int64_t)rule->per_second, now);
    pthread_mutex_unlock(&quota->lock);
    if (!allowed) {
        BST_FAIL(BST_E_BUSY, "keys of '%s' may be used %llu times a second (se.quota); try again",
                 event->owner, (unsigned long long)rule->per_second);
    }
    return BST_OK;
}

static const struct rule *rule_for(const struct quota *quota, const char *owner)
{
    for (size_t i = 0; i < quota->n; i++) {
        if (bst_se_pattern_fits(&quota->rules[i].owner, owner)) {
            return &quota->rules[i];
        }
    }
    return NULL;
}

static bst_result before(void *ctx, const struct bst_se_event *event)
{
    struct quota *quota = ctx;
    const struct rule *rule = rule_for(quota, event->owner);
    if (!rule || strcmp(event->op, "delete") == 0) {
        return BST_OK;
    }
    if (event->making && rule->keys && event->owned > rule->keys) {
        BST_FAIL(BST_E_LIMIT, "'%s' has %llu keys, as many as it may (se.quota)", event->owner,
                 (unsigned long long)rule->keys);
    }
    return rule->per_second ? check_rate(quota, rule, event) : BST_OK;
}

/* ---- life ---- */

static void quota_free(void *ctx)
{
    struct quota *quota = ctx;
    size_t cursor = 0;
    struct bst_view owner;
    void *value;
    while (bst_map_next(&quota->buckets, &cursor, &owner, &value)) {
        bst_free(value);
    }
    bst_map_clear(&quota->buckets);
    pthread_mutex_destroy(&quota->lock);
    bst_free(quota);
}

bst_result bst_se_filter_quota(struct bst_se *se, const char *const *rules, size_t n,
                               int64_t (*mono_us)(void))
{
    if (n == 0) {
        return BST_OK;
    }
    struct quota *quota = bst_alloc(sizeof *quota + n * sizeof quota->rules[0]);
    BST_ENSURE(quota, BST_E_NOMEM);
    quota->n = n;
    quota->mono_us = mono_us;
    pthread_mutex_init(&quota->lock, NULL);
    bst_result read = bst_se_rules_read(rules, n, sizeof quota->rules[0], read_rule, quota->rules);
    if (bst_failed(read)) {
        quota_free(quota);
        return read;
    }
    return bst_se_filter_add(
        se, &(struct bst_se_filter){.ctx = quota, .before = before, .drop = quota_free});
}
