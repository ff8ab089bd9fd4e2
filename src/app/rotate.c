/* Rotation by three labels: LABEL, LABEL.next, LABEL.N. */
#include "app/rotate.h"

#include "sys/clock.h"

#include <stdio.h>

#define KEPT_MAX 10000

static bst_result suffixed(const char *label, const char *suffix, char out[BST_KEY_LABEL_MAX + 1])
{
    int len = snprintf(out, BST_KEY_LABEL_MAX + 1, "%s.%s", label, suffix);
    if (len < 0 || len > BST_KEY_LABEL_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "the label '%.40s...' is too long for a key beside it", label);
    }
    return BST_OK;
}

/* Known before anything is made: the label that the key has is refused as taken, if labels can be
 * changed at all. */
static bst_result check_able(const struct bst_rotation *r)
{
    bst_result asked = bst_se_key_rename(r->se, r->old, r->label);
    return asked.code == BST_E_EXISTS ? BST_OK : asked;
}

/* Attributes point into the info that they came with. */
static bst_result next_attrs(const struct bst_rotation *r, int64_t expires_us,
                             struct bst_key_info *ret)
{
    struct bst_key_attrs *attrs = &ret->attrs;
    BST_TRY(bst_se_key_info(r->se, r->old, ret));
    if (attrs->expires_us && !expires_us && attrs->expires_us <= bst_wall_us()) {
        BST_FAIL(
            BST_E_EXPIRED,
            "key '%s' has expired, and so would the new one: say until when it holds (--expires)",
            r->label);
    }
    attrs->expires_us = expires_us ? expires_us : attrs->expires_us;
    return BST_OK;
}

static bst_result make_next(struct bst_rotation *r, const char *next,
                            const struct bst_key_attrs *like)
{
    struct bst_key_attrs attrs = *like;
    attrs.label = next;
    attrs.persistent = true;
    return bst_se_key_generate(r->se, &attrs, &r->fresh);
}

static bst_result find_both(struct bst_se *se, const char *label, struct bst_rotation *r,
                            char next[BST_KEY_LABEL_MAX + 1])
{
    *r = (struct bst_rotation){.se = se};
    BST_TRY(bst_view_copy(bst_view(label), r->label, sizeof r->label));
    BST_TRY(suffixed(label, "next", next));
    BST_TRY(bst_se_key_find(se, label, &r->old));
    return bst_se_key_find(se, next, &r->fresh);
}

bst_result bst_rotation_begin(struct bst_se *se, const char *label, int64_t expires_us,
                              struct bst_rotation *ret)
{
    struct bst_rotation r;
    struct bst_key_info info;
    char next[BST_KEY_LABEL_MAX + 1];
    if (bst_view_starts(bst_view(label), BST_VIEW("ts0016"))) {
        BST_FAIL(BST_E_SE_USAGE,
                 "key '%s' belongs to a resource (TS-0016): its generateKey makes the next one",
                 label);
    }
    BST_TRY(find_both(se, label, &r, next));
    if (!r.old && !r.fresh) {
        BST_FAIL(BST_E_NOT_FOUND, "there is no key '%s'; 'bastide key list' shows what there is",
                 label);
    }
    /* Without an old key a rotation ended between its two renamings: only the second is left. */
    if (!r.fresh) {
        BST_TRY(check_able(&r));
        BST_TRY(next_attrs(&r, expires_us, &info));
        BST_TRY(make_next(&r, next, &info.attrs));
    }
    *ret = r;
    return BST_OK;
}

bst_result bst_rotation_begin_with(struct bst_se *se, const char *label,
                                   const struct bst_key_attrs *attrs, struct bst_rotation *ret)
{
    struct bst_rotation r;
    char next[BST_KEY_LABEL_MAX + 1];
    BST_TRY(find_both(se, label, &r, next));
    if (r.old) {
        BST_TRY(check_able(&r));
    }
    if (!r.fresh) {
        BST_TRY(make_next(&r, next, attrs));
    }
    *ret = r;
    return BST_OK;
}

static bst_result free_label(const struct bst_rotation *r, char out[BST_KEY_LABEL_MAX + 1])
{
    bst_key taken = 1;
    for (unsigned n = 1; taken && n < KEPT_MAX; n++) {
        char number[16];
        snprintf(number, sizeof number, "%u", n);
        BST_TRY(suffixed(r->label, number, out));
        BST_TRY(bst_se_key_find(r->se, out, &taken));
    }
    return taken ? bst_error(BST_E_LIMIT) : BST_OK;
}

bst_result bst_rotation_put_by(struct bst_rotation *r)
{
    BST_TRY(free_label(r, r->kept));
    return bst_se_key_rename(r->se, r->old, r->kept);
}

bst_result bst_rotation_end(struct bst_rotation *r, bool drop)
{
    if (r->old) {
        BST_TRY(bst_rotation_put_by(r));
    }
    BST_TRY(bst_se_key_rename(r->se, r->fresh, r->label));
    if (drop && r->old) {
        BST_TRY(bst_se_key_delete(r->se, r->old));
        r->kept[0] = '\0';
    }
    return BST_OK;
}
