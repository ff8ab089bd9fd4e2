/* A new configuration for a running server: what can change at once does, the rest stays as it was.
 */
#include "app/config_priv.h"

static bool same_texts(const struct bst_config_texts *a, const struct bst_config_texts *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++) {
        same = strcmp(a->items[i], b->items[i]) == 0;
    }
    return same;
}

static bool same_mefs(const struct bst_config *a, const struct bst_config *b)
{
    bool same = a->enrolment.n_servers == b->enrolment.n_servers;
    for (size_t i = 0; same && i < a->enrolment.n_servers; i++) {
        const struct bst_config_mef *x = &a->enrolment.servers[i], *y = &b->enrolment.servers[i];
        same = strcmp(x->fqdn, y->fqdn) == 0 && strcmp(x->address, y->address) == 0 &&
               strcmp(x->ca, y->ca) == 0;
    }
    return same;
}

static bool same_value(const struct bst_config *a, const struct bst_config *b,
                       const struct bst_config_option *option)
{
    const void *x = bst_config_field(a, option), *y = bst_config_field(b, option);
    switch (option->type) {
    case BST_CONFIG_TEXT:
        return strcmp(*(char *const *)x, *(char *const *)y) == 0;
    case BST_CONFIG_TEXTS:
        return same_texts(x, y);
    case BST_CONFIG_INT:
        return *(const int64_t *)x == *(const int64_t *)y;
    case BST_CONFIG_BOOL:
        return *(const bool *)x == *(const bool *)y;
    case BST_CONFIG_MEFS:
        return same_mefs(a, b);
    }
    return true;
}

static bst_result copy_texts(const struct bst_config_texts *from, struct bst_config_texts *to)
{
    config_texts_clear(to);
    static const struct bst_config_option unchecked = {.name = ""};
    for (size_t i = 0; i < from->n; i++) {
        BST_TRY(config_add_text(&unchecked, to, bst_view(from->items[i])));
    }
    return BST_OK;
}

/* MEFs are not compared by whoever asks them, so a changed list simply waits for the restart: the
 * running keys have their own copy. */
static bst_result copy_value(const struct bst_config *from, struct bst_config *to,
                             const struct bst_config_option *option)
{
    const void *source = bst_config_field(from, option);
    void *target = bst_config_field(to, option);
    char *text;
    switch (option->type) {
    case BST_CONFIG_TEXT:
        text = bst_strdup(*(char *const *)source);
        BST_ENSURE(text, BST_E_NOMEM);
        bst_free(*(char **)target);
        *(char **)target = text;
        return BST_OK;
    case BST_CONFIG_TEXTS:
        return copy_texts(source, target);
    case BST_CONFIG_INT:
        *(int64_t *)target = *(const int64_t *)source;
        return BST_OK;
    case BST_CONFIG_BOOL:
        *(bool *)target = *(const bool *)source;
        return BST_OK;
    case BST_CONFIG_MEFS:
        return BST_OK;
    }
    return BST_OK;
}

bst_result bst_config_merge(const struct bst_config *running, struct bst_config *fresh,
                            struct bst_buf *ret_waiting)
{
    for (size_t i = 0; i < bst_config_schema_count; i++) {
        const struct bst_config_option *option = &bst_config_schema[i];
        if (option->live || same_value(running, fresh, option)) {
            continue;
        }
        bst_buf_addf(ret_waiting, "%s%s", ret_waiting->len ? ", " : "", option->name);
        BST_TRY(copy_value(running, fresh, option));
    }
    return bst_buf_check(ret_waiting);
}
