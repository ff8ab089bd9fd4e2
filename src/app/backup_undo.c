/* What an older state does not know yet, and putting it in the place of the present one. */
#include "app/backup.h"

#include "app/issued.h"
#include "app/server_priv.h"
#include "store/resource.h"
#include "sys/clock.h"

#include <errno.h>
#include <stdio.h>

/* --- what is on record in a folder ---------------------------------------------------------- */

/* Revocations and counters of one state folder. */
struct facts {
    struct bst_map revoked; /* text of the line -> the map's own marker */
    int64_t generation, resources, highest_id;
};

static char marker;

static void facts_clear(struct facts *f)
{
    bst_map_clear(&f->revoked);
}

static bst_result add_fact(struct facts *f, const char *what, struct bst_view name)
{
    bst_auto(buf) line = {0};
    bst_buf_addf(&line, "%s %.*s", what, BST_VIEW_ARGS(name));
    BST_TRY(bst_buf_check(&line));
    return bst_map_set(&f->revoked, bst_buf_view(&line), &marker, NULL);
}

struct collecting {
    struct facts *facts;
    bst_result result;
};

static bool collect_revoked(void *arg, struct bst_view key, struct bst_view value)
{
    struct collecting *c = arg;
    c->result = add_fact(c->facts, "credential", key);
    return !bst_failed(c->result);
}

static bst_result count_resources(struct bst_store_conn *conn, struct facts *f)
{
    static const struct bst_sql sql = {"SELECT count(*), coalesce(max(id),0) FROM resource"};
    bst_auto_query *q = NULL;
    bool row = false;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    BST_TRY(bst_sql_step(q, &row));
    f->resources = row ? bst_sql_i64(q, 0) : 0;
    f->highest_id = row ? bst_sql_i64(q, 1) : 0;
    return BST_OK;
}

static bst_result read_cse(struct bst_store_conn *conn, void *arg)
{
    struct facts *f = arg;
    struct collecting c = {f, BST_OK};
    BST_TRY(bst_store_generation(conn, &f->generation));
    BST_TRY(bst_kv_each(conn, SERVER_NS_REVOKED, (struct bst_view){0}, collect_revoked, &c));
    BST_TRY(c.result);
    return count_resources(conn, f);
}

static bst_result read_mef(struct bst_store_conn *conn, void *arg)
{
    static const struct bst_sql sql = {"SELECT cred FROM client WHERE revoked<>0"};
    bst_auto_query *q = NULL;
    bool row = false;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    for (;;) {
        BST_TRY(bst_sql_step(q, &row));
        if (!row) {
            return BST_OK;
        }
        BST_TRY(add_fact(arg, "MEF client", bst_sql_view(q, 0)));
    }
}

static bst_result read_store(const char *folder, const char *name,
                             const struct bst_store_schema *schema,
                             bst_result (*read)(struct bst_store_conn *conn, void *arg),
                             struct facts *f)
{
    char path[BST_PATH_MAX];
    struct bst_store *store;
    BST_TRY(bst_state_path(folder, name, path));
    if (!bst_file_exists(path)) {
        return BST_OK;
    }
    BST_TRY(bst_store_open(&(struct bst_store_config){.path = path, .schema = schema}, &store));
    bst_result r = bst_store_run(store, read, f);
    bst_store_close(&store);
    return r;
}

static bst_result read_certificates(const char *folder, struct facts *f)
{
    struct bst_state state = {.folder = (char *)(uintptr_t)folder};
    bst_auto_free struct bst_issued *items = NULL;
    size_t n;
    BST_TRY(bst_ca_list(&state, &items, &n));
    for (size_t i = 0; i < n; i++) {
        if (items[i].revoked_us) {
            char name[BST_CERT_NAME_BYTES + 64];
            snprintf(name, sizeof name, "%s of %s", items[i].serial, items[i].name);
            BST_TRY(add_fact(f, "certificate", bst_view(name)));
        }
    }
    return BST_OK;
}

static bst_result read_facts(const char *folder, struct facts *f)
{
    BST_TRY(read_store(folder, "store/cse.db", &bst_resource_schema, read_cse, f));
    BST_TRY(read_store(folder, "store/mef.db", &bst_mef_schema, read_mef, f));
    return read_certificates(folder, f);
}

/* --- the difference ------------------------------------------------------------------------- */

static void tell_difference(const struct facts *present, const struct facts *older,
                            struct bst_buf *out)
{
    size_t cursor = 0;
    struct bst_view key;
    void *value;
    while (bst_map_next(&present->revoked, &cursor, &key, &value)) {
        if (!bst_map_get(&older->revoked, key)) {
            bst_buf_addf(out, "revocation of %.*s would be forgotten\n", BST_VIEW_ARGS(key));
        }
    }
    if (present->generation != older->generation) {
        bst_buf_addf(out, "generation goes from %lld back to %lld (it is raised above both)\n",
                     (long long)present->generation, (long long)older->generation);
    }
    if (present->highest_id > older->highest_id) {
        bst_buf_addf(out,
                     "resources made since then would be lost: %lld now, %lld in the backup; their "
                     "identifiers would be given out again\n",
                     (long long)present->resources, (long long)older->resources);
    }
}

bst_result bst_backup_undo(const char *present, const char *older, struct bst_buf *ret_lines)
{
    struct facts now = {0}, then = {0};
    bst_result r = read_facts(present, &now);
    if (!bst_failed(r)) {
        r = read_facts(older, &then);
    }
    if (!bst_failed(r)) {
        tell_difference(&now, &then, ret_lines);
        r = bst_buf_check(ret_lines);
    }
    facts_clear(&now);
    facts_clear(&then);
    return r;
}

/* --- replacing ------------------------------------------------------------------------------ */

/* The marker goes first and comes last: a folder without it is not taken for a whole one. */
static const char *const leaving[] = {"state.json", "bastide.yaml", "audit.pub", "store",
                                      "se",         "pki",          "admin"};
#define LEAVING (sizeof leaving / sizeof leaving[0])

static bst_result move(const char *from, const char *to, const char *name)
{
    char source[BST_PATH_MAX], target[BST_PATH_MAX];
    BST_TRY(bst_state_path(from, name, source));
    BST_TRY(bst_state_path(to, name, target));
    if (bst_file_exists(source) && rename(source, target) != 0) {
        BST_FAIL(BST_E_IO, "%s could not be moved to %s: %s", source, target, strerror(errno));
    }
    return BST_OK;
}

static bst_result raise(struct bst_store_conn *conn, void *arg)
{
    return bst_store_raise_generation(conn, *(int64_t *)arg);
}

static bst_result raise_generation(const char *folder, int64_t present)
{
    char path[BST_PATH_MAX];
    struct bst_store *store;
    struct facts restored = {0};
    BST_TRY(bst_state_path(folder, "store/cse.db", path));
    BST_TRY(bst_store_open(&(struct bst_store_config){.path = path, .schema = &bst_resource_schema},
                           &store));
    bst_result r = bst_store_run(store, read_cse, &restored);
    int64_t next = 1 + (present > restored.generation ? present : restored.generation);
    if (!bst_failed(r)) {
        r = bst_store_run(store, raise, &next);
    }
    facts_clear(&restored);
    bst_store_close(&store);
    return r;
}

bst_result bst_backup_replace(const char *folder, const char *unpacked, char ret_kept[BST_PATH_MAX])
{
    struct facts present = {0};
    char name[64], kept[BST_PATH_MAX];
    bst_result r = read_store(folder, "store/cse.db", &bst_resource_schema, read_cse, &present);
    int64_t generation = present.generation;
    facts_clear(&present);
    BST_TRY(r);
    BST_TRY(raise_generation(unpacked, generation));
    snprintf(name, sizeof name, "replaced-%lld", (long long)bst_wall_us());
    BST_TRY(bst_state_path(folder, name, kept));
    BST_TRY(bst_dir_make(kept, 0700));
    for (size_t i = 0; i < LEAVING; i++) {
        BST_TRY(move(folder, kept, leaving[i]));
    }
    for (size_t i = LEAVING; i > 0; i--) {
        BST_TRY(move(unpacked, folder, leaving[i - 1]));
    }
    char run[BST_PATH_MAX];
    BST_TRY(bst_state_path(folder, "run", run));
    BST_TRY(bst_dir_make(run, 0700));
    snprintf(ret_kept, BST_PATH_MAX, "%s", kept);
    return BST_OK;
}
