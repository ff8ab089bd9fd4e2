/* Open addressing with linear probing; at most two thirds full, removed entries leave a tomb. */
#include "base/map.h"

struct bst_map_entry {
    char *key; /* NULL: never used */
    size_t len;
    uint64_t hash;
    void *value;
    bool dead;
};

void bst_map_clear(struct bst_map *map)
{
    for (size_t i = 0; i < map->cap; i++) {
        bst_free(map->entries[i].key);
    }
    bst_free(map->entries);
    *map = (struct bst_map){0};
}

static struct bst_map_entry *find(const struct bst_map *map, struct bst_view key, uint64_t hash)
{
    if (!map->cap) {
        return NULL;
    }
    for (size_t i = hash & (map->cap - 1);; i = (i + 1) & (map->cap - 1)) {
        struct bst_map_entry *e = &map->entries[i];
        if (!e->key) {
            return NULL;
        }
        if (!e->dead && e->hash == hash && bst_view_eq((struct bst_view){e->key, e->len}, key)) {
            return e;
        }
    }
}

static void place(struct bst_map_entry *entries, size_t cap, struct bst_map_entry e)
{
    size_t i = e.hash & (cap - 1);
    while (entries[i].key) {
        i = (i + 1) & (cap - 1);
    }
    entries[i] = e;
}

static bst_result grow(struct bst_map *map)
{
    size_t cap = 16;
    while (cap < (map->count + 1) * 3) {
        cap *= 2;
    }
    struct bst_map_entry *entries = bst_alloc(cap * sizeof *entries);
    BST_ENSURE(entries, BST_E_NOMEM);
    for (size_t i = 0; i < map->cap; i++) {
        if (map->entries[i].key && !map->entries[i].dead) {
            place(entries, cap, map->entries[i]);
        } else {
            bst_free(map->entries[i].key);
        }
    }
    bst_free(map->entries);
    map->entries = entries;
    map->cap = cap;
    map->tombs = 0;
    return BST_OK;
}

void *bst_map_get(const struct bst_map *map, struct bst_view key)
{
    const struct bst_map_entry *e = map->count ? find(map, key, bst_hash(key)) : NULL;
    return e ? e->value : NULL;
}

bst_result bst_map_set(struct bst_map *map, struct bst_view key, void *value, void **ret_old)
{
    uint64_t hash = bst_hash(key);
    struct bst_map_entry *e = find(map, key, hash);
    if (ret_old) {
        *ret_old = e ? e->value : NULL;
    }
    if (e) {
        e->value = value;
        return BST_OK;
    }
    if ((map->count + map->tombs + 1) * 3 > map->cap * 2) {
        BST_TRY(grow(map));
    }
    char *copy = bst_strndup(key.ptr, key.len);
    BST_ENSURE(copy, BST_E_NOMEM);
    place(map->entries, map->cap, (struct bst_map_entry){copy, key.len, hash, value, false});
    map->count++;
    return BST_OK;
}

void *bst_map_remove(struct bst_map *map, struct bst_view key)
{
    struct bst_map_entry *e = map->count ? find(map, key, bst_hash(key)) : NULL;
    if (!e) {
        return NULL;
    }
    e->dead = true;
    map->count--;
    map->tombs++;
    return bst_steal(&e->value);
}

bool bst_map_next(const struct bst_map *map, size_t *cursor, struct bst_view *ret_key,
                  void **ret_value)
{
    while (*cursor < map->cap) {
        const struct bst_map_entry *e = &map->entries[(*cursor)++];
        if (e->key && !e->dead) {
            *ret_key = (struct bst_view){e->key, e->len};
            *ret_value = e->value;
            return true;
        }
    }
    return false;
}
