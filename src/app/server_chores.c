/* What may wait for a token, a disk or a lock on behalf of the main loop: one thread of its own, so
 * that signals, timers, metrics and the other administrative commands go on. */
#include "app/server_priv.h"

static struct server_chore *take(struct server_chores *chores)
{
    pthread_mutex_lock(&chores->lock);
    while (!chores->first && !chores->ending) {
        pthread_cond_wait(&chores->wake, &chores->lock);
    }
    struct server_chore *chore = chores->first;
    chores->first = chore ? chore->next : NULL;
    pthread_mutex_unlock(&chores->lock);
    return chore;
}

/* What waits is done before the end: somebody wants an answer. */
static void work(void *arg)
{
    struct server_chores *chores = arg;
    struct server_chore *chore;
    while ((chore = take(chores)) != NULL) {
        chore->run(chore);
    }
}

void server_chore_post(struct bst_server *server, struct server_chore *chore)
{
    struct server_chores *chores = &server->chores;
    chore->next = NULL;
    if (!chores->thread) {
        chore->run(chore); /* no loop waits yet, or any more */
        return;
    }
    pthread_mutex_lock(&chores->lock);
    *(chores->first ? &chores->last->next : &chores->first) = chore;
    chores->last = chore;
    pthread_cond_signal(&chores->wake);
    pthread_mutex_unlock(&chores->lock);
}

bst_result server_chores_start(struct bst_server *server)
{
    struct server_chores *chores = &server->chores;
    chores->ending = false;
    return bst_thread_start("chores", work, chores, &chores->thread);
}

void server_chores_stop(struct bst_server *server)
{
    struct server_chores *chores = &server->chores;
    if (chores->thread) {
        pthread_mutex_lock(&chores->lock);
        chores->ending = true;
        pthread_cond_signal(&chores->wake);
        pthread_mutex_unlock(&chores->lock);
        bst_thread_join(&chores->thread);
    }
}

/* --- duties --------------------------------------------------------------------------------- */

static void run_duty(struct server_chore *chore)
{
    struct server_duty *duty = bst_container_of(chore, struct server_duty, chore);
    struct bst_server *server = duty->server;
    atomic_store(&duty->waits, false);
    pthread_mutex_lock(&server->admin_lock);
    duty->work(server);
    pthread_mutex_unlock(&server->admin_lock);
}

void server_duty_init(struct bst_server *server, struct server_duty *duty,
                      void (*duty_work)(struct bst_server *server))
{
    *duty = (struct server_duty){.chore.run = run_duty, .server = server, .work = duty_work};
}

void server_duty_post(struct server_duty *duty)
{
    if (!atomic_exchange(&duty->waits, true)) {
        server_chore_post(duty->server, &duty->chore);
    }
}
