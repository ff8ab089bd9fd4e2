/* First start: the CSEBase, the administrator's policy and the CSEBase's own. Later starts only
 * find them, or give back an administrator's policy that was deleted. */
#include "cse/cse_priv.h"

#include "sys/clock.h"

#define NS "cse"
#define ADMIN_POLICY_NAME "acp-admin"
#define BASE_POLICY_NAME "acp-base"
#define SE_POLICY_NAME "acp-se"
#define SE_NAME "se"
/* Without end: 9999-12-31, since an ACP has an expirationTime. */
#define NEVER_US (INT64_C(253402300799) * BST_US_PER_S)

static bst_result insert_base(struct bst_cse *cse, struct bst_store_conn *conn, int64_t now_us)
{
    struct bst_row row = {.pi = BST_PI_ROOT,
                          .ty = BST_TY_CB,
                          .name = cse->config.cse_name,
                          .ct = now_us,
                          .lt = now_us};
    BST_TRY(bst_resource_insert(conn, &row, &cse->base_id));
    BST_TRY(bst_alias_set(conn, cse->base_ri, cse->base_id));
    return bst_kv_put(conn, NS, BST_VIEW("id"), bst_entity_abs(&cse->own.id));
}

static bst_result insert_policy(struct bst_cse *cse, struct bst_store_conn *conn, const char *name,
                                const char *rule, int64_t *ret_id)
{
    struct bst_buf body = {0};
    int64_t now_us = bst_wall_us();
    bst_buf_addf(&body, "\"pv\":{\"acr\":[{\"acor\":[");
    bst_buf_add_json(&body, cse->config.admin);
    bst_buf_addf(&body, "],\"acop\":63}%s]},\"pvs\":{\"acr\":[{\"acor\":[", rule);
    bst_buf_add_json(&body, cse->config.admin);
    bst_buf_addf(&body, "],\"acop\":63}]}");
    struct bst_row row = {.pi = cse->base_id,
                          .ty = BST_TY_ACP,
                          .name = bst_view(name),
                          .ct = now_us,
                          .lt = now_us,
                          .et = NEVER_US,
                          .body = bst_buf_view(&body)};
    bst_result r = bst_buf_check(&body);
    r = bst_failed(r) ? r : bst_resource_insert(conn, &row, ret_id);
    bst_buf_clear(&body);
    return r;
}

/* Who may do what on the CSEBase itself: everybody, or, more carefully, who proved who they are may
 * read it. Registration of AEs never asks it. */
static bst_result insert_base_policy(struct bst_cse *cse, struct bst_store_conn *conn)
{
    static const char open[] = ",{\"acor\":[\"all\"],\"acop\":35}";
    static const char careful[] = ",{\"acor\":[\"all\"],\"acop\":34,\"acaf\":true}";
    int64_t id;
    char ri[BST_RI_LEN + 1], body[64];
    struct bst_row row;
    BST_TRY(
        insert_policy(cse, conn, BASE_POLICY_NAME, cse->config.open_base ? open : careful, &id));
    BST_TRY(bst_resource_find(conn, cse->base_id, NULL, &row));
    bst_ri_format(&cse->ri_key, id, ri);
    row.body = bst_view_of(body, (size_t)snprintf(body, sizeof body, "\"acpi\":[\"%s\"]", ri));
    return bst_resource_update(conn, &row);
}

static bst_result check_owner(struct bst_cse *cse, struct bst_store_conn *conn)
{
    struct bst_arena arena;
    struct bst_view id;
    bool found;
    bst_arena_init(&arena, 0);
    bst_result r = bst_kv_get(conn, NS, BST_VIEW("id"), &arena, &id, &found);
    if (!bst_failed(r) && found && !bst_view_eq(id, bst_entity_abs(&cse->own.id))) {
        r = bst_error_detailed(BST_E_CONFIG, "the store belongs to CSE %.*s, not to %.*s",
                               BST_VIEW_ARGS(id), BST_VIEW_ARGS(bst_entity_abs(&cse->own.id)));
    }
    bst_arena_clear(&arena);
    return r;
}

/* Addresses were handed out under the name that the CSEBase has. */
static bst_result check_name(struct bst_cse *cse, struct bst_store_conn *conn)
{
    struct bst_arena arena;
    struct bst_row row;
    bst_arena_init(&arena, 0);
    bst_result r = bst_resource_find(conn, cse->base_id, &arena, &row);
    if (!bst_failed(r) && !bst_view_eq(row.name, cse->config.cse_name)) {
        r = bst_error_detailed(BST_E_CONFIG, "the CSEBase of this store is named %.*s, not %.*s",
                               BST_VIEW_ARGS(row.name), BST_VIEW_ARGS(cse->config.cse_name));
    }
    bst_arena_clear(&arena);
    return r;
}

/* A name may be taken by something older: the identifier serves then. */
static bst_result free_name(struct bst_cse *cse, struct bst_store_conn *conn, const char *name,
                            const char **ret)
{
    struct bst_row row;
    BST_TRY(bst_resource_find_name(conn, cse->base_id, bst_view(name), NULL, &row));
    *ret = row.id ? "" : name;
    return BST_OK;
}

/* [TS-0016 7.3] the environment of this CSE: everybody who may read the CSEBase may read what it
 * is; only the administrator uses it until its policy says otherwise. */
static bst_result insert_environment(struct bst_cse *cse, struct bst_store_conn *conn)
{
    static const char open[] = ",{\"acor\":[\"all\"],\"acop\":34}";
    static const char careful[] = ",{\"acor\":[\"all\"],\"acop\":34,\"acaf\":true}";
    int64_t id;
    const char *name;
    char ri[BST_RI_LEN + 1], body[64];
    BST_TRY(free_name(cse, conn, SE_POLICY_NAME, &name));
    BST_TRY(insert_policy(cse, conn, name, cse->config.open_base ? open : careful, &id));
    bst_ri_format(&cse->ri_key, id, ri);
    BST_TRY(free_name(cse, conn, SE_NAME, &name));
    int64_t now_us = bst_wall_us();
    const struct bst_row row = {
        .pi = cse->base_id,
        .ty = BST_TY_SE,
        .name = bst_view(name),
        .ct = now_us,
        .lt = now_us,
        .et = NEVER_US,
        .body = bst_view_of(body, (size_t)snprintf(body, sizeof body, "\"acpi\":[\"%s\"]", ri)),
    };
    return bst_resource_insert(conn, &row, &id);
}

static bst_result find_environment(struct bst_cse *cse, struct bst_store_conn *conn)
{
    struct bst_row row;
    if (!cse->config.se) {
        return BST_OK;
    }
    BST_TRY(bst_resource_find_latest(conn, cse->base_id, BST_TY_SE, NULL, &row));
    return row.id ? BST_OK : insert_environment(cse, conn);
}

static bst_result find_or_insert(struct bst_cse *cse, struct bst_store_conn *conn)
{
    struct bst_row row;
    BST_TRY(check_owner(cse, conn));
    BST_TRY(bst_resource_find_alias(conn, cse->base_ri, NULL, &row));
    cse->base_id = row.id;
    if (!row.id) {
        BST_TRY(insert_base(cse, conn, bst_wall_us()));
        BST_TRY(insert_base_policy(cse, conn));
    }
    BST_TRY(check_name(cse, conn));
    BST_TRY(bst_resource_find_name(conn, cse->base_id, BST_VIEW(ADMIN_POLICY_NAME), NULL, &row));
    if (!row.id) {
        BST_TRY(insert_policy(cse, conn, ADMIN_POLICY_NAME, "", &row.id));
    }
    bst_ri_format(&cse->ri_key, row.id, cse->admin_policy);
    return find_environment(cse, conn);
}

static bst_result run(struct bst_store_conn *conn, void *arg)
{
    return find_or_insert(arg, conn);
}

bst_result bst_cse_bootstrap(struct bst_cse *cse)
{
    return bst_store_run(cse->config.store, run, cse);
}
