/* Recv-6.0.2: an AE that registers must be covered by the service subscription (TS-0004 7.3.2.7,
 * TS-0001 9.6.19, 9.6.20, 9.6.29): m2mServiceSubscriptionProfile > serviceSubscribedNode of this
 * CSE > ruleLinks > serviceSubscribedAppRule. */
#include "cse/cse_priv.h"

#define RULES_MAX 256
#define PROFILES_MAX 64
#define NODES_MAX 1024

struct rules {
    struct bst_service_subscription sub;
    struct bst_app_rule list[RULES_MAX];
};

static bst_result texts(struct bst_cse_op *op, struct bst_cse_res *res, const char *sn,
                        struct bst_text_list *ret)
{
    yyjson_val *array, *entry;
    size_t index, count;
    BST_TRY(bst_cse_attr(op, res, sn, &array));
    if (!yyjson_is_arr(array) || !yyjson_arr_size(array)) {
        return BST_OK;
    }
    struct bst_view *items = bst_arena_alloc(op->arena, yyjson_arr_size(array) * sizeof *items);
    BST_ENSURE(items, BST_E_NOMEM);
    yyjson_arr_foreach(array, index, count, entry)
    {
        items[index] = bst_json_view(entry);
    }
    *ret = (struct bst_text_list){items, yyjson_arr_size(array)};
    return BST_OK;
}

static bst_result add_rule(struct bst_cse_op *op, struct bst_view link, struct rules *rules)
{
    struct bst_cse_res *res;
    BST_TRY(bst_cse_find(op, link, &res));
    if (!res || res->row.ty != BST_TY_ASAR || rules->sub.n_rules == RULES_MAX) {
        return BST_OK; /* a link to nothing allows nobody */
    }
    struct bst_app_rule *rule = &rules->list[rules->sub.n_rules++];
    rule->id = res->ri;
    BST_TRY(texts(op, res, "apci", &rule->cred_ids));
    BST_TRY(texts(op, res, "aai", &rule->app_ids));
    return texts(op, res, "aae", &rule->ae_ids);
}

static bool names_this_cse(struct bst_cse_op *op, yyjson_val *csi)
{
    struct bst_entity_id id, own;
    return csi && !bst_failed(bst_entity_parse(&op->cse->self, bst_json_view(csi), &id)) &&
           !bst_failed(bst_entity_self(&op->cse->self, &own)) &&
           bst_view_eq(bst_entity_abs(&id), bst_entity_abs(&own));
}

static bst_result add_node(struct bst_cse_op *op, struct bst_cse_res *node, struct rules *rules)
{
    yyjson_val *csi, *links, *link;
    size_t index, count;
    BST_TRY(bst_cse_attr(op, node, "csi", &csi));
    if (!names_this_cse(op, csi)) {
        return BST_OK;
    }
    rules->sub.has_node = true;
    BST_TRY(bst_cse_attr(op, node, "rlk", &links));
    yyjson_arr_foreach(links, index, count, link)
    {
        BST_TRY(add_rule(op, bst_json_view(link), rules));
    }
    return BST_OK;
}

/* Children of one type, copied before anything else is asked of the connection. */
static bst_result children(struct bst_cse_op *op, int64_t parent, int ty, int64_t max,
                           struct bst_cse_res ***ret, size_t *ret_n)
{
    struct bst_cursor cursor;
    struct bst_cse_res **list = bst_arena_alloc(op->arena, (size_t)max * sizeof *list);
    struct bst_row row = {0}, copy;
    size_t n = 0;
    BST_ENSURE(list, BST_E_NOMEM);
    BST_TRY(bst_children_open(op->conn, parent, ty, (struct bst_place){0}, max, &cursor));
    bst_result r = bst_cursor_next(&cursor, &row);
    while (!bst_failed(r) && row.id && n < (size_t)max) {
        r = bst_row_copy(&row, op->arena, &copy);
        r = bst_failed(r) ? r : bst_cse_res_new(op, &copy, NULL, &list[n]);
        n++;
        r = bst_failed(r) ? r : bst_cursor_next(&cursor, &row);
    }
    bst_cursor_clear(&cursor);
    *ret = list;
    *ret_n = n;
    return r;
}

static bst_result load(struct bst_cse_op *op, struct rules *rules)
{
    struct bst_cse_res **profiles, **nodes;
    size_t n_profiles, n_nodes;
    BST_TRY(children(op, op->cse->base_id, BST_TY_MSSP, PROFILES_MAX, &profiles, &n_profiles));
    for (size_t i = 0; i < n_profiles; i++) {
        BST_TRY(children(op, profiles[i]->row.id, BST_TY_SVSN, NODES_MAX, &nodes, &n_nodes));
        for (size_t k = 0; k < n_nodes; k++) {
            BST_TRY(add_node(op, nodes[k], rules));
        }
    }
    rules->sub.rules = rules->list;
    return BST_OK;
}

bst_result bst_cse_check_subscription(struct bst_cse_op *op)
{
    struct bst_ae_registration registration;
    bst_cse_registration(op, &registration);
    if (op->who.id.len && (op->who.id.kind == BST_ENTITY_CSE ||
                           bst_view_eq(bst_entity_last(&op->who.id), op->cse->base_ri))) {
        /* [TS-0004 7.4.5.2.1, 7.3.2.1] a CSE registers no AE, and speaks within an association only
         */
        BST_FAIL(BST_E_ASSOCIATION_REQUIRED, "From names a CSE: an AE registers itself");
    }
    if (op->req->release >= BST_RELEASE_4 && registration.app_id.len &&
        registration.app_id.ptr[0] == 'r') {
        BST_FAIL(BST_E_VALUE, "App-ID (api) starts with R or N from Release 4 on");
    }
    if (!op->cse->config.check_subscription) {
        return bst_app_id_check(registration.app_id);
    }
    struct rules *rules = bst_arena_alloc(op->arena, sizeof *rules);
    BST_ENSURE(rules, BST_E_NOMEM);
    BST_TRY(load(op, rules));
    BST_TRY(bst_registration_check(&registration, &rules->sub, &op->grant));
    op->granted = true;
    return BST_OK;
}
