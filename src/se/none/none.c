/* No protection at all, level 0: keys are plain memory and end with the process. For tests and
 * first steps; opened only by its own name. */
#include "se/soft/soft_priv.h"

#include <stdio.h>

static bst_result none_open(const struct bst_se_host *host, struct bst_view query,
                            bst_result (*found)(void *ctx, struct bst_se_object *take), void *ctx,
                            struct bst_se_backend **ret)
{
    struct bst_soft *soft = NULL;
    if (query.len) {
        BST_FAIL(BST_E_CONFIG, "none: takes nothing behind it, '%.*s' is too much",
                 BST_VIEW_ARGS(query));
    }
    BST_TRY(bst_soft_new(&bst_se_none, true, &soft));
    *ret = &soft->base;
    return BST_OK;
}

static void none_about(struct bst_se_backend *backend, struct bst_se_about *ret)
{
    snprintf(ret->evidence, sizeof ret->evidence,
             "plain memory of this process: nothing protects these keys");
}

const struct bst_se_backend_ops bst_se_none = {
    .scheme = "none",
    .level = 0,
    .open = none_open,
    .about = none_about,
    BST_SOFT_OPERATIONS,
};
