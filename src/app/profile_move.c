/* A profile's keys go from one environment to another: brought in, proved, saved, and only then
 * deleted where they were. */
#include "app/backup.h"
#include "app/profile.h"
#include "app/se_uri.h"

#include <stdio.h>

#define MOVED_MAX 2

struct move {
    struct bst_profile *profile;
    struct bst_se *from, *to;
    bst_key old[MOVED_MAX], fresh[MOVED_MAX];
    size_t n;
};

static bst_result prove_same(const struct move *m, bst_key old, bst_key fresh, const char *label)
{
    uint8_t here[BST_SE_CHECK_BYTES], there[BST_SE_CHECK_BYTES];
    BST_TRY(bst_se_check_value(m->from, old, here));
    BST_TRY(bst_se_check_value(m->to, fresh, there));
    if (!bst_equal_ct(here, there, sizeof here)) {
        BST_FAIL(BST_E_CORRUPT, "key '%s' is another one after it was moved; it stays where it was",
                 label);
    }
    return BST_OK;
}

/* One that is there already is from an attempt that was cut short, if it is the same. */
static bst_result bring_in(struct move *m, const struct bst_key_info *info, bst_key old,
                           bst_key *ret)
{
    bst_auto(secret) value = {0};
    struct bst_key_attrs attrs = info->attrs;
    attrs.persistent = true;
    BST_TRY(bst_se_key_find(m->to, attrs.label, ret));
    if (*ret) {
        return BST_OK;
    }
    BST_TRY(bst_se_release_psk(m->from, old, "move to another environment", &value));
    BST_TRY(bst_se_key_import(m->to, &attrs, &value, ret));
    m->fresh[m->n] = *ret;
    return BST_OK;
}

static bst_result move_psk(struct move *m, const char *identity)
{
    char label[BST_KEY_LABEL_MAX + 1];
    struct bst_key_info info;
    bst_key old = 0, there = 0;
    if (!identity[0]) {
        return BST_OK;
    }
    BST_TRY(bst_profile_psk_label(identity, label));
    BST_TRY(bst_se_key_find(m->from, label, &old));
    if (!old) {
        return BST_OK;
    }
    BST_TRY(bst_se_key_info(m->from, old, &info));
    bst_result r = bring_in(m, &info, old, &there);
    if (!bst_failed(r)) {
        r = prove_same(m, old, there, label);
    }
    m->old[m->n++] = old;
    return r;
}

static bst_result need_private_key(const struct move *m)
{
    bst_key old = 0, there = 0;
    const char *label = bst_profile_tls_label(m->profile);
    BST_TRY(bst_se_key_find(m->from, label, &old));
    BST_TRY(bst_se_key_find(m->to, label, &there));
    if (old && !there) {
        BST_FAIL(BST_E_SE_USAGE,
                 "the private key '%s' does not leave the place where it was made; make the "
                 "profile there: 'bastide mef provision NAME --certificate --se URI'",
                 label);
    }
    return BST_OK;
}

static bst_result move_all(struct move *m, const char *uri)
{
    struct bst_profile *profile = m->profile;
    BST_TRY(need_private_key(m));
    BST_TRY(move_psk(m, profile->mef_psk));
    if (profile->kind == BST_PROFILE_PSK && strcmp(profile->cse_psk, profile->mef_psk) != 0) {
        BST_TRY(move_psk(m, profile->cse_psk));
    }
    BST_TRY(bst_profile_set(&profile->se_uri, bst_view(uri)));
    return bst_profile_save(profile);
}

/* Sealed records of deleted keys stay in a software environment until it is written anew: one that
 * was the profile's own goes as a whole. */
static bst_result clear_old(struct move *m, bool own)
{
    char folder[4096];
    for (size_t i = 0; i < m->n; i++) {
        BST_TRY(bst_se_key_delete(m->from, m->old[i]));
    }
    bst_se_close(&m->from);
    BST_TRY(bst_profile_path(m->profile, "se", folder, sizeof folder));
    return own ? bst_snapshot_remove(folder) : BST_OK;
}

static void undo(struct move *m)
{
    char detail[512];
    snprintf(detail, sizeof detail, "%s", bst_error_detail());
    for (size_t i = 0; m->to && i < MOVED_MAX; i++) {
        if (m->fresh[i]) {
            (void)bst_se_key_delete(m->to, m->fresh[i]).code;
        }
    }
    bst_error_set_detail(detail);
}

static bst_result move_between(struct move *m, const char *uri)
{
    bst_auto(profile) target = {0};
    bool own = m->profile->se_uri[0] == '\0';
    BST_TRY(bst_profile_se(m->profile, &m->from));
    BST_TRY(bst_profile_init(&target, m->profile->folder));
    BST_TRY(bst_profile_set(&target.se_uri, bst_view(uri)));
    BST_TRY(bst_profile_se(&target, &m->to));
    bst_result r = move_all(m, uri);
    if (bst_failed(r)) {
        undo(m);
        return r;
    }
    return clear_old(m, own);
}

bst_result bst_profile_move(struct bst_profile *profile, const char *uri)
{
    struct move m = {.profile = profile};
    struct bst_view name = bst_se_uri_name(uri);
    bool same = bst_view_eq(name, bst_se_uri_name(profile->se_uri)) &&
                !bst_view_starts(name, BST_VIEW("se:"));
    if (same || strcmp(profile->se_uri, uri) == 0) {
        BST_TRY(bst_profile_set(&profile->se_uri, bst_view(uri)));
        return bst_profile_save(profile);
    }
    bst_result r = move_between(&m, uri);
    bst_se_close(&m.from);
    bst_se_close(&m.to);
    return r;
}
