/* Containers: a hash map from byte strings, and an intrusive list. */
#pragma once

#include "base/text.h"

/** Hash map; keys are copied, values are the caller's pointers. Not for threads. */
struct bst_map {
    struct bst_map_entry *entries;
    size_t count, cap, tombs;
};
void bst_map_clear(struct bst_map *map); /* frees keys, not values */
/** NULL when absent. */
void *bst_map_get(const struct bst_map *map, struct bst_view key);
/** Set or replace; the replaced value, or NULL, goes to ret_old when that is given. */
bst_result bst_map_set(struct bst_map *map, struct bst_view key, void *value, void **ret_old);
/** Remove; returns the value, or NULL when absent. */
void *bst_map_remove(struct bst_map *map, struct bst_view key);
/** Walk: *cursor starts at 0; false at the end. The entry just given may be removed. */
bool bst_map_next(const struct bst_map *map, size_t *cursor, struct bst_view *ret_key,
                  void **ret_value);

/** Doubly linked, circular: a head and its members have the same type. */
struct bst_list {
    struct bst_list *next, *prev;
};
static inline void bst_list_init(struct bst_list *head)
{
    head->next = head->prev = head;
}
static inline bool bst_list_empty(const struct bst_list *head)
{
    return head->next == head;
}
static inline void bst_list_append(struct bst_list *head, struct bst_list *item)
{
    item->prev = head->prev;
    item->next = head;
    head->prev->next = item;
    head->prev = item;
}
/** Unlink; a second call, or one on a zeroed item, does nothing. */
static inline void bst_list_remove(struct bst_list *item)
{
    if (item->next) {
        item->prev->next = item->next;
        item->next->prev = item->prev;
        item->next = item->prev = NULL;
    }
}
#define bst_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
