/* What happens to keys, on the audit trail. */
#include "obs/audit.h"
#include "obs/log.h"
#include "se/filter_priv.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

struct bst_se_trail {
    atomic_uint refs;
    pthread_mutex_t lock;
    struct bst_audit *audit; /* NULL: closed */
};

struct audit {
    struct bst_se_trail *trail;
    char own_label[BST_SE_PATTERN_MAX];
};

bst_result bst_se_trail_new(struct bst_audit *audit, struct bst_se_trail **ret)
{
    struct bst_se_trail *trail = bst_alloc(sizeof *trail);
    BST_ENSURE(trail, BST_E_NOMEM);
    atomic_init(&trail->refs, 1);
    pthread_mutex_init(&trail->lock, NULL);
    trail->audit = audit;
    *ret = trail;
    return BST_OK;
}

static void trail_drop(struct bst_se_trail *trail)
{
    if (atomic_fetch_sub(&trail->refs, 1) == 1) {
        pthread_mutex_destroy(&trail->lock);
        bst_free(trail);
    }
}

void bst_se_trail_close(struct bst_se_trail **slot)
{
    struct bst_se_trail *trail = bst_steal(slot);
    if (trail) {
        pthread_mutex_lock(&trail->lock);
        trail->audit = NULL;
        pthread_mutex_unlock(&trail->lock);
        trail_drop(trail);
    }
}

static bst_result trail_write(struct bst_se_trail *trail, const struct bst_audit_event *record)
{
    pthread_mutex_lock(&trail->lock);
    bst_result written = bst_audit_write(trail->audit, record);
    pthread_mutex_unlock(&trail->lock);
    return written;
}

/* Successes that are recorded; what is not here is daily use. Refusals always are. */
static const struct {
    const char *op;
    bool labelled; /* only of a key with a label */
} recorded[] = {
    {"release_psk", false}, {"read", false},   {"replace", true},     {"generate", true},
    {"import", true},       {"derived", true}, {"unwrapped", true},   {"delete", true},
    {"rename", true},       {"wrap", false},   {"attest", false},     {"activate", false},
    {"block", false},       {"wipe", false},   {"pin_change", false}, {"counter_remove", false},
};

static bool is_refusal(bst_result outcome)
{
    enum bst_class class = bst_error_class(outcome.code);
    return class == BST_CLASS_DENIED || class == BST_CLASS_AUTH || outcome.code == BST_E_LIMIT;
}

static bool wanted(const struct audit *audit, const struct bst_se_event *event, bst_result outcome)
{
    if (event->label[0] && !event->owner[0] && strcmp(event->label, audit->own_label) == 0) {
        return false; /* the trail signs with it, and would wait for itself */
    }
    if (is_refusal(outcome)) {
        return true;
    }
    for (size_t i = 0; i < sizeof recorded / sizeof recorded[0]; i++) {
        if (strcmp(event->op, recorded[i].op) == 0) {
            return !recorded[i].labelled || event->label[0];
        }
    }
    return false;
}

static void after(void *ctx, const struct bst_se_event *event, bst_result outcome)
{
    const struct audit *audit = ctx;
    if (!wanted(audit, event, outcome)) {
        return;
    }
    char name[48], detail[256];
    bool failed = bst_failed(outcome);
    snprintf(name, sizeof name, "key.%s", event->op);
    snprintf(detail, sizeof detail, "%s", failed ? bst_error_detail() : event->why);
    struct bst_audit_event record = {
        .event = name,
        .subject = bst_view(event->subject),
        .credential = bst_view(event->label),
        .op = bst_view(event->op),
        .target = bst_view(event->owner),
        .decision = is_refusal(outcome) ? BST_VIEW("denied")
                    : failed            ? BST_VIEW("failed")
                                        : BST_VIEW("done"),
        .clause = BST_VIEW("TS-0003 6.3"),
        .detail = bst_view(detail),
    };
    if (bst_failed(trail_write(audit->trail, &record))) {
        bst_log(BST_LOG_ERROR, "audit.failed", "a use of key '%s' is not on the audit trail: %s",
                event->label, bst_error_detail());
    }
}

static void audit_free(void *ctx)
{
    struct audit *audit = ctx;
    trail_drop(audit->trail);
    bst_free(audit);
}

bst_result bst_se_filter_audit(struct bst_se *se, struct bst_se_trail *trail, const char *own_label)
{
    struct audit *audit = bst_alloc(sizeof *audit);
    BST_ENSURE(audit, BST_E_NOMEM);
    atomic_fetch_add(&trail->refs, 1);
    audit->trail = trail;
    snprintf(audit->own_label, sizeof audit->own_label, "%s", own_label);
    return bst_se_filter_add(
        se, &(struct bst_se_filter){.ctx = audit, .after = after, .drop = audit_free});
}
