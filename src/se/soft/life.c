/* Counters and the state of the life cycle, as records of the sealed log. */
#include "se/soft/soft_priv.h"

#include <stdio.h>

static struct bst_soft *soft_of(struct bst_se_backend *backend)
{
    return bst_container_of(backend, struct bst_soft, base);
}

/* ---- as they stand ---- */

static struct bst_soft_counter *counter_at(const struct bst_soft *soft, struct bst_view name)
{
    return bst_map_get(&soft->counters, name);
}

static bst_result counter_make(struct bst_soft *soft, struct bst_view name,
                               struct bst_soft_counter **ret)
{
    *ret = counter_at(soft, name);
    if (*ret) {
        return BST_OK;
    }
    struct bst_soft_counter *counter = bst_alloc(sizeof *counter);
    BST_ENSURE(counter, BST_E_NOMEM);
    counter->value = soft->floor;
    bst_result kept = bst_map_set(&soft->counters, name, counter, NULL);
    if (bst_failed(kept)) {
        bst_free(counter);
        return kept;
    }
    *ret = counter;
    return BST_OK;
}

static void counter_forget(struct bst_soft *soft, struct bst_view name, uint64_t stood)
{
    bst_free(bst_map_remove(&soft->counters, name));
    soft->floor = stood > soft->floor ? stood : soft->floor;
}

static void take_state(struct bst_soft *soft, uint64_t state, struct bst_view why)
{
    soft->state = (enum bst_se_state)state;
    snprintf(soft->why, sizeof soft->why, "%.*s", BST_VIEW_ARGS(why));
}

bst_result bst_soft_life_read(struct bst_soft *soft, const struct bst_soft_record *record)
{
    struct bst_soft_counter *counter;
    switch (record->kind) {
    case BST_SOFT_COUNTER:
        BST_TRY(counter_make(soft, record->text, &counter));
        counter->value = record->number;
        return BST_OK;
    case BST_SOFT_COUNTER_REMOVED:
        counter_forget(soft, record->text, record->number);
        return BST_OK;
    default:
        take_state(soft, record->number, record->text);
        return BST_OK;
    }
}

/* Position 0: state; 1: floor; then the counters, whose cursor is two behind. */
bool bst_soft_life_record(const struct bst_soft *soft, size_t *cursor, struct bst_buf *ret)
{
    struct bst_soft_record record = {
        .kind = BST_SOFT_STATE, .text = bst_view(soft->why), .number = soft->state};
    size_t at = *cursor < 2 ? 0 : *cursor - 2;
    void *value;
    if (*cursor == 1) {
        record = (struct bst_soft_record){.kind = BST_SOFT_COUNTER_REMOVED, .number = soft->floor};
    } else if (*cursor >= 2) {
        record = (struct bst_soft_record){.kind = BST_SOFT_COUNTER};
        if (!bst_map_next(&soft->counters, &at, &record.text, &value)) {
            return false;
        }
        record.number = ((const struct bst_soft_counter *)value)->value;
    }
    *cursor = *cursor < 2 ? *cursor + 1 : at + 2;
    bst_soft_record_note(&record, ret);
    return true;
}

static void counters_free(struct bst_map *counters)
{
    size_t cursor = 0;
    struct bst_view name;
    void *value;
    while (bst_map_next(counters, &cursor, &name, &value)) {
        bst_free(value);
    }
    bst_map_clear(counters);
}

void bst_soft_life_clear(struct bst_soft *soft)
{
    counters_free(&soft->counters);
}

/* ---- durable changes; with the lock ---- */

static bst_result note(struct bst_soft *soft, enum bst_soft_record_kind kind, struct bst_view text,
                       uint64_t number)
{
    const struct bst_soft_record record = {.kind = kind, .text = text, .number = number};
    bst_auto(buf) bytes = {0};
    bst_soft_record_note(&record, &bytes);
    return bst_soft_write(soft, &bytes);
}

static bst_result counter_next(struct bst_soft *soft, const char *name, uint64_t *ret)
{
    struct bst_soft_counter *counter;
    BST_TRY(counter_make(soft, bst_view(name), &counter));
    BST_ENSURE(counter->value < UINT64_MAX, BST_E_LIMIT);
    BST_TRY(note(soft, BST_SOFT_COUNTER, bst_view(name), counter->value + 1));
    *ret = ++counter->value;
    return BST_OK;
}

static bst_result counter_remove(struct bst_soft *soft, const char *name)
{
    const struct bst_soft_counter *counter = counter_at(soft, bst_view(name));
    if (!counter) {
        BST_FAIL(BST_E_NOT_FOUND, "there is no counter '%s'", name);
    }
    uint64_t stood = counter->value;
    BST_TRY(note(soft, BST_SOFT_COUNTER_REMOVED, bst_view(name), stood));
    counter_forget(soft, bst_view(name), stood);
    return BST_OK;
}

static bst_result set_state(struct bst_soft *soft, enum bst_se_state state, const char *why)
{
    struct bst_view reason = bst_view(why);
    reason.len = reason.len < sizeof soft->why ? reason.len : sizeof soft->why - 1;
    if (soft->persistent) {
        BST_TRY(note(soft, BST_SOFT_STATE, reason, state));
    }
    take_state(soft, state, reason);
    return BST_OK;
}

/* Counters begin at 0 again: there is nothing left that they counted. */
static bst_result wipe(struct bst_soft *soft)
{
    struct bst_map counters = soft->counters;
    uint64_t floor = soft->floor;
    enum bst_se_state state = soft->state;
    soft->counters = (struct bst_map){0};
    soft->floor = 0;
    take_state(soft, BST_SE_PERSONALISATION, BST_VIEW(""));
    bst_result wiped = soft->persistent ? bst_soft_rewrite(soft) : BST_OK;
    if (bst_failed(wiped)) {
        soft->counters = counters;
        soft->floor = floor;
        take_state(soft, state, BST_VIEW("interrupted while it was wiped"));
        return wiped;
    }
    counters_free(&counters);
    return BST_OK;
}

/* ---- the backend's side ---- */

static bst_result lock_counters(struct bst_soft *soft)
{
    if (!soft->persistent) {
        BST_FAIL(BST_E_CONFIG, "counters must be kept, but %s",
                 soft->plain ? "none: keeps nothing" : "se:soft without dir= keeps nothing");
    }
    pthread_mutex_lock(&soft->write);
    return BST_OK;
}

static bst_result unlock(struct bst_soft *soft, bst_result outcome)
{
    pthread_mutex_unlock(&soft->write);
    return outcome;
}

bst_result bst_soft_counter_get(struct bst_se_backend *backend, const char *name, uint64_t *ret)
{
    struct bst_soft *soft = soft_of(backend);
    BST_TRY(lock_counters(soft));
    const struct bst_soft_counter *counter = counter_at(soft, bst_view(name));
    *ret = counter ? counter->value : soft->floor;
    return unlock(soft, BST_OK);
}

bst_result bst_soft_counter_next(struct bst_se_backend *backend, const char *name, uint64_t *ret)
{
    struct bst_soft *soft = soft_of(backend);
    BST_TRY(lock_counters(soft));
    return unlock(soft, counter_next(soft, name, ret));
}

bst_result bst_soft_counter_remove(struct bst_se_backend *backend, const char *name)
{
    struct bst_soft *soft = soft_of(backend);
    BST_TRY(lock_counters(soft));
    return unlock(soft, counter_remove(soft, name));
}

enum bst_se_state bst_soft_state(struct bst_se_backend *backend)
{
    return soft_of(backend)->state;
}

bst_result bst_soft_set_state(struct bst_se_backend *backend, enum bst_se_state state,
                              const char *why)
{
    struct bst_soft *soft = soft_of(backend);
    pthread_mutex_lock(&soft->write);
    return unlock(soft, set_state(soft, state, why));
}

bst_result bst_soft_wipe(struct bst_se_backend *backend)
{
    struct bst_soft *soft = soft_of(backend);
    pthread_mutex_lock(&soft->write);
    return unlock(soft, wipe(soft));
}
