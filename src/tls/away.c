/* Steps of a handshake on a worker thread of a slow secure environment.
 *
 * While one runs, the endpoint belongs to the worker; its owner only holds back what comes in. The
 * end travels back as a letter, unless the owner has given the endpoint up meanwhile. */
#include "tls/tls_priv.h"

#include "base/map.h"

struct bst_tls_away {
    struct bst_se_call call;
    struct bst_tls_letter letter;
    struct bst_tls *t;
    struct bst_buf in; /* what wire.in shows */
    bst_key release;   /* 0: work on `in` */
    bool done;
    bool abandoned;       /* by the owner, after the letter was posted; only its thread looks */
    pthread_mutex_t lock; /* guards what follows */
    bool posted, orphan;
};

struct bst_se *bst_tls_slow(const struct bst_tls *t)
{
    return !t->post ? NULL : t->client ? t->client->slow : t->epoch->slow;
}

bst_result bst_tls_slow_of(struct bst_se *se, bool psk,
                           const struct bst_tls_credential *credentials, size_t n,
                           struct bst_se **ret)
{
    struct bst_se *slow = psk && bst_se_slow(se) ? se : NULL;
    for (size_t i = 0; i < n && !slow; i++) {
        struct bst_se *own = credentials[i].se ? credentials[i].se : se;
        slow = bst_se_slow(own) ? own : NULL;
    }
    return slow ? bst_se_hold(slow, ret) : BST_OK;
}

static void away_free(struct bst_tls_away *away)
{
    bst_buf_clear(&away->in);
    pthread_mutex_destroy(&away->lock);
    bst_free(away);
}

static void back(struct bst_tls_letter *letter)
{
    struct bst_tls_away *away = bst_container_of(letter, struct bst_tls_away, letter);
    struct bst_tls *t = away->t;
    pthread_mutex_lock(&away->lock); /* the worker has left it */
    pthread_mutex_unlock(&away->lock);
    t->away = NULL;
    if (away->abandoned) {
        bst_tls_destroy(t);
    } else {
        bst_error_set_detail(away->call.detail);
        bst_tls_returned(t, away->call.outcome, away->done);
    }
    away_free(away);
}

/* ---- the worker's side ---- */

static bst_result run(struct bst_se *se, struct bst_se_call *call)
{
    struct bst_tls_away *away = bst_container_of(call, struct bst_tls_away, call);
    if (away->release) {
        bst_tls_psk_take(away->t, BST_OK, away->release);
        return BST_OK;
    }
    return bst_tls_step(away->t, &away->done);
}

/* Posted under the lock: while the owner can still be in bst_tls_free(), its loop is there. */
static void done(struct bst_se_call *call)
{
    struct bst_tls_away *away = bst_container_of(call, struct bst_tls_away, call);
    struct bst_tls *t = away->t;
    pthread_mutex_lock(&away->lock);
    bool orphan = away->orphan;
    away->posted = !orphan;
    if (!orphan) {
        t->post(t->post_user, &away->letter);
    }
    pthread_mutex_unlock(&away->lock);
    if (orphan) {
        bst_tls_destroy(t);
        away_free(away);
    }
}

/* ---- the owner's side ---- */

bst_result bst_tls_leave(struct bst_tls *t, struct bst_view in, bst_key release)
{
    struct bst_tls_away *away = bst_alloc(sizeof *away);
    BST_ENSURE(away, BST_E_NOMEM);
    pthread_mutex_init(&away->lock, NULL);
    away->call = (struct bst_se_call){.run = run, .done = done};
    away->letter.run = back;
    away->t = t;
    away->release = release;
    bst_buf_addv(&away->in, in);
    t->wire.in = bst_buf_view(&away->in);
    t->away = away;
    bst_result sent = bst_buf_check(&away->in);
    if (!bst_failed(sent)) {
        sent = bst_se_submit(bst_tls_slow(t), &away->call);
    }
    if (bst_failed(sent)) {
        t->away = NULL;
        t->wire.in = (struct bst_view){0};
        away_free(away);
    }
    return sent;
}

bool bst_tls_abandon(struct bst_tls *t)
{
    struct bst_tls_away *away = t->away;
    pthread_mutex_lock(&away->lock);
    away->abandoned = away->posted;
    away->orphan = !away->posted;
    pthread_mutex_unlock(&away->lock);
    return true;
}
