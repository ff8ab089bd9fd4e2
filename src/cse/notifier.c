/* One loop: letters come by its mailbox, wait in the queue of their target, and leave one at a time
 * and in order over the transport, or are fetched by the owner of a polling channel. */
#include "cse/notifier.h"

#include "cse/notify.h"
#include "obs/log.h"
#include "obs/metrics.h"

#include <stdio.h>

#define URLS_MAX 8
/* Groups may stand in groups, and lead back to where a letter came from. */
#define GROUPS_MAX 2
/* Polls that wait at one channel; the oldest gives way, since its connection is likely gone. */
#define POLLS_MAX 4
/* How long a letter lies in a mailbox that nobody empties. */
#define MAILBOX_US (INT64_C(24) * 3600 * BST_US_PER_S)
/* Sweeps, of a second each, between looks for channels that were deleted. */
#define DEAD_SWEEPS 30

struct letter {
    struct bst_task task;
    struct bst_list link;
    struct bst_notifier *notifier;
    struct bst_notify_letter what; /* views into `text` */
    char rqi[40];
    unsigned tries;
    int64_t polled_until_us; /* over a polling channel: the answer is awaited until then */
    bst_result result;
    int rsc;
    char detail[256];
    char text[];
};

/* Where the letters of one target go next. */
enum route_kind { ROUTE_URLS, ROUTE_CHANNEL, ROUTE_MEMBERS };
struct route {
    enum route_kind kind;
    struct bst_view urls[URLS_MAX];
    size_t n_urls;
    struct bst_view id; /* absolute id that must be proved */
    int64_t channel;
    struct bst_view members[URLS_MAX * 32];
    size_t n_members;
};

struct target {
    struct bst_notifier *notifier;
    char *name;
    struct bst_list letters;
    unsigned waiting, failures;
    bool busy;
    struct bst_timer retry;
    struct bst_arena arena; /* of the attempt under way */
    struct route *route;
    size_t next_url;
    struct bst_notify_attempt attempt;
};

struct channel {
    struct bst_list letters; /* to be fetched */
    struct bst_list awaited; /* fetched, the answer is awaited */
    struct bst_list polls;
    unsigned waiting;
};

struct bst_notifier {
    struct bst_cse *cse;
    struct bst_loop *loop;
    struct bst_cse_worker *worker;
    struct bst_notify_transport transport;
    struct bst_notify_limits limits;
    struct bst_map targets;  /* text -> struct target */
    struct bst_map channels; /* store id -> struct channel */
    struct bst_timer sweep;  /* answers over polling channels that never came */
    unsigned sweeps;
    _Atomic unsigned waiting;
    _Atomic uint64_t serial;
    struct bst_metric *delivered, *refused, *dropped, *retried, *queued;
};

static void kick(struct target *target);

/* -- letters */

static void letter_report(struct bst_task *task)
{
    struct letter *letter = bst_container_of(task, struct letter, task);
    bst_error_set_detail(letter->detail);
    letter->what.done(letter->what.ctx, letter->result, letter->rsc);
    bst_free(letter);
}

static void letter_end(struct letter *letter, bst_result result, int rsc)
{
    struct bst_notifier *n = letter->notifier;
    bst_list_remove(&letter->link);
    atomic_fetch_sub(&n->waiting, 1);
    bst_metric_add(n->queued, -1);
    bst_metric_add(bst_failed(result) ? n->dropped : rsc < 3000 ? n->delivered : n->refused, 1);
    if (bst_failed(result)) {
        bst_log(BST_LOG_WARN, "notify.dropped", "notification to %s given up: %s %s",
                letter->what.target.ptr, bst_error_text(result.code), bst_error_detail());
    } else if (rsc >= 3000) {
        bst_log(BST_LOG_INFO, "notify.refused", "notification to %s refused with %d",
                letter->what.target.ptr, rsc);
    }
    if (!letter->what.done) {
        bst_free(letter);
        return;
    }
    letter->result = result;
    letter->rsc = rsc;
    snprintf(letter->detail, sizeof letter->detail, "%s", bst_error_detail());
    letter->task.run = letter_report;
    bst_loop_post(letter->what.loop, &letter->task);
}

static struct bst_view put_text(char **at, struct bst_view v)
{
    struct bst_view copy = {*at, v.len};
    if (v.len) {
        memcpy(*at, v.ptr, v.len);
    }
    (*at)[v.len] = '\0';
    *at += v.len + 1;
    return copy;
}

static struct letter *letter_new(struct bst_notifier *n, const struct bst_notify_letter *what)
{
    struct letter *letter =
        bst_alloc(sizeof *letter + what->target.len + what->fr.len + what->pc.len + 3);
    if (!letter) {
        return NULL;
    }
    char *at = letter->text;
    letter->notifier = n;
    letter->what = *what;
    letter->what.target = put_text(&at, what->target);
    letter->what.fr = put_text(&at, what->fr);
    letter->what.pc = put_text(&at, what->pc);
    snprintf(letter->rqi, sizeof letter->rqi, "n%llu.%lld",
             (unsigned long long)atomic_fetch_add(&n->serial, 1),
             (long long)(bst_wall_us() / 1000));
    return letter;
}

static void fill_request(const struct letter *letter, struct bst_view to,
                         struct bst_m2m_request *req)
{
    bst_m2m_request_init(req);
    req->op = BST_OP_NOTIFY;
    req->present = BST_REQ_FR;
    req->to = to;
    req->fr = letter->what.fr;
    req->rqi = bst_view(letter->rqi);
    req->rvi = BST_VIEW("3");
    req->release = BST_RELEASE_3;
    req->ec = letter->what.ec;
    req->pc_text = letter->what.pc;
}

/* -- routes: where a target is reached now (TS-0001 10.2.10; AE: pointOfAccess, else polling) */

static void route_urls(struct route *route, yyjson_val *poa)
{
    size_t i, max;
    yyjson_val *item;
    yyjson_arr_foreach(poa, i, max, item)
    {
        struct bst_view url = bst_json_view(item);
        bool http =
            bst_view_starts(url, BST_VIEW("http://")) || bst_view_starts(url, BST_VIEW("https://"));
        if (http && route->n_urls < URLS_MAX) {
            route->urls[route->n_urls++] = url;
        }
    }
}

static bst_result route_channel(struct bst_cse_op *op, struct bst_cse_res *ae, struct route *route)
{
    struct bst_row row;
    BST_TRY(bst_resource_find_latest(op->conn, ae->row.id, BST_TY_PCH, op->arena, &row));
    if (row.id) {
        route->kind = ROUTE_CHANNEL;
        route->channel = row.id;
    }
    return BST_OK;
}

static bst_result route_ae(struct bst_cse_op *op, struct bst_cse_res *ae, struct route *route)
{
    yyjson_val *poa;
    bool reachable;
    BST_TRY(bst_cse_attr(op, ae, "poa", &poa));
    BST_TRY(bst_cse_flag(op, ae, "rr", &reachable));
    if (reachable) {
        route_urls(route, poa);
    }
    struct bst_self *self = &op->cse->self;
    struct bst_entity_id id;
    BST_TRY(bst_entity_parse(self, ae->ri, &id));
    route->id = bst_arena_view(op->arena, bst_entity_abs(&id));
    BST_ENSURE(route->id.ptr, BST_E_NOMEM);
    return route->n_urls ? BST_OK : route_channel(op, ae, route);
}

static bst_result route_group(struct bst_cse_op *op, struct bst_cse_res *group, struct route *route)
{
    yyjson_val *mid, *item;
    size_t i, max;
    BST_TRY(bst_cse_attr(op, group, "mid", &mid));
    route->kind = ROUTE_MEMBERS;
    yyjson_arr_foreach(mid, i, max, item)
    {
        if (route->n_members < sizeof route->members / sizeof route->members[0]) {
            route->members[route->n_members++] = bst_json_view(item);
        }
    }
    return BST_OK;
}

static bst_result route_resource(struct bst_cse_op *op, struct bst_view name, struct route *route)
{
    struct bst_cse_res *res;
    BST_TRY(bst_cse_find(op, name, &res));
    if (!res) {
        BST_FAIL(BST_E_NOT_REACHABLE, "notification target %.*s does not exist here",
                 BST_VIEW_ARGS(name));
    }
    if (res->row.ty == BST_TY_AE) {
        return route_ae(op, res, route);
    }
    if (res->row.ty == BST_TY_GRP) {
        return route_group(op, res, route);
    }
    BST_FAIL(BST_E_NOT_REACHABLE, "notification target %.*s is neither an AE nor a group",
             BST_VIEW_ARGS(name));
}

static bst_result route_find(struct target *target)
{
    struct bst_notifier *n = target->notifier;
    struct bst_view name = bst_view(target->name);
    bst_arena_reset(&target->arena);
    target->next_url = 0;
    target->route = bst_arena_alloc(&target->arena, sizeof *target->route);
    BST_ENSURE(target->route, BST_E_NOMEM);
    if (bst_cse_is_url(name)) {
        target->route->urls[0] = name;
        target->route->n_urls = 1;
        return BST_OK;
    }
    struct bst_cse_call call = {.arena = &target->arena};
    struct bst_cse_op op;
    bst_cse_op_init(&op, n->cse, &call);
    op.worker = n->worker;
    op.conn = n->worker->reader;
    op.cache = &n->worker->cache;
    BST_TRY(route_resource(&op, name, target->route));
    if (target->route->kind == ROUTE_URLS && !target->route->n_urls) {
        BST_FAIL(BST_E_NOT_REACHABLE, "%s has no HTTP point of access and no polling channel",
                 target->name);
    }
    return BST_OK;
}

/* -- targets */

static void target_drop(struct target *target)
{
    bst_timer_stop(&target->retry);
    (void)!bst_map_remove(&target->notifier->targets, bst_view(target->name));
    bst_arena_clear(&target->arena);
    bst_free(target->name);
    bst_free(target);
}

/* Of a target that has letters. */
static struct letter *first_letter(struct target *target)
{
    return bst_container_of(target->letters.next, struct letter, link);
}

static void first_letter_end(struct target *target, bst_result result, int rsc)
{
    target->waiting--;
    letter_end(first_letter(target), result, rsc);
}

static void retry_later(struct target *target)
{
    struct bst_notifier *n = target->notifier;
    int64_t delay = n->limits.first_retry_ms;
    for (unsigned i = 1; i < target->failures && delay < n->limits.longest_retry_ms; i++) {
        delay *= 2;
    }
    if (delay < target->attempt.retry_ms) {
        delay = target->attempt.retry_ms;
    }
    bst_metric_add(n->retried, 1);
    bst_timer_start(&target->retry,
                    delay < n->limits.longest_retry_ms ? delay : n->limits.longest_retry_ms, 0);
}

/* A letter whose sender waits for the answer does not stand behind those that are tried again. */
static bool promote_once(struct target *target)
{
    for (struct bst_list *at = target->letters.next; at != &target->letters; at = at->next) {
        if (!bst_container_of(at, struct letter, link)->what.once) {
            continue;
        }
        struct bst_list *first = target->letters.next;
        if (at != first) {
            bst_list_remove(at);
            bst_list_append(first, at); /* before the first */
        }
        return true;
    }
    return false;
}

/* Could not be delivered now. */
static void attempt_failed(struct target *target, bst_result result)
{
    struct letter *letter = first_letter(target);
    bool once = letter->what.once;
    bool final = once || ++letter->tries >= target->notifier->limits.tries ||
                 result.code == BST_E_PERMISSION;
    target->failures++;
    if (final) {
        first_letter_end(target, result, 0);
    }
    if (bst_list_empty(&target->letters) || promote_once(target)) {
        kick(target);
    } else {
        retry_later(target);
    }
}

static void try_next_url(struct target *target)
{
    struct bst_notifier *n = target->notifier;
    struct bst_view url = target->route->urls[target->next_url++];
    target->busy = true;
    target->attempt = (struct bst_notify_attempt){
        .url = url, .target_id = target->route->id, .timeout_ms = n->limits.timeout_ms};
    /* To is the entity for one, the URI without its serialization hint for the other (7.5.1.2.2
     * step 2.5). */
    struct bst_view to = target->route->id.len ? target->route->id : url, head, rest = to;
    if (bst_view_cut(&rest, '?', &head) && bst_view_starts(rest, BST_VIEW("ct="))) {
        to = head;
    }
    fill_request(first_letter(target), to, &target->attempt.req);
    n->transport.send(n->transport.ctx, &target->attempt);
}

void bst_notify_sent(struct bst_notify_attempt *attempt, bst_result result, int rsc)
{
    struct target *target = bst_container_of(attempt, struct target, attempt);
    target->busy = false;
    if (!bst_failed(result)) {
        target->failures = 0;
        first_letter_end(target, result, rsc);
        kick(target);
    } else if (target->next_url < target->route->n_urls) {
        try_next_url(target);
    } else {
        attempt_failed(target, result);
    }
}

/* -- polling channels */

static struct bst_view channel_key(const int64_t *id)
{
    return bst_view_of(id, sizeof *id);
}

static struct channel *channel_of(struct bst_notifier *n, int64_t id, bool make)
{
    struct channel *c = bst_map_get(&n->channels, channel_key(&id));
    if (c || !make) {
        return c;
    }
    c = bst_alloc(sizeof *c);
    if (!c || bst_failed(bst_map_set(&n->channels, channel_key(&id), c, NULL))) {
        bst_free(c);
        return NULL;
    }
    bst_list_init(&c->letters);
    bst_list_init(&c->awaited);
    bst_list_init(&c->polls);
    return c;
}

static void poll_report(struct bst_task *task)
{
    struct bst_notify_poll *poll = bst_container_of(task, struct bst_notify_poll, task);
    struct bst_buf text = poll->text;
    poll->text = (struct bst_buf){0};
    poll->done(poll, poll->result, bst_buf_view(&text));
    bst_buf_clear(&text);
}

static void poll_end(struct bst_notify_poll *poll, bst_result result)
{
    bst_list_remove(&poll->link);
    bst_timer_stop(&poll->timer);
    poll->result = result;
    poll->task.run = poll_report;
    bst_loop_post(poll->loop, &poll->task);
}

static void poll_timeout(void *user)
{
    poll_end(user, (bst_result){BST_E_TIMEOUT});
}

/* Hand the oldest letter to the newest poll: who polls again may have lost the connection before.
 */
static void channel_serve(struct channel *c)
{
    while (!bst_list_empty(&c->letters) && !bst_list_empty(&c->polls)) {
        struct letter *letter = bst_container_of(c->letters.next, struct letter, link);
        struct bst_notify_poll *poll =
            bst_container_of(c->polls.prev, struct bst_notify_poll, link);
        struct bst_m2m_request req;
        fill_request(letter, letter->what.target, &req);
        bst_result result = bst_m2m_request_to_json(&req, &poll->text);
        poll_end(poll, result);
        if (bst_failed(result)) {
            continue;
        }
        bst_list_remove(&letter->link);
        c->waiting--;
        if (letter->what.once) {
            letter->polled_until_us = bst_mono_us() + letter->notifier->limits.timeout_ms * 1000;
            bst_list_append(&c->awaited, &letter->link);
        } else {
            letter_end(letter, BST_OK, BST_RSC_OK);
        }
    }
}

static void channel_take(struct bst_notifier *n, int64_t id, struct letter *letter)
{
    struct channel *c = channel_of(n, id, true);
    if (!c) {
        letter_end(letter, bst_error(BST_E_NOMEM), 0);
        return;
    }
    bst_list_remove(&letter->link);
    letter->polled_until_us =
        bst_mono_us() + (letter->what.once ? n->limits.timeout_ms * 1000 : MAILBOX_US);
    bst_list_append(&c->letters, &letter->link);
    if (++c->waiting > n->limits.per_target) {
        struct letter *oldest = bst_container_of(c->letters.next, struct letter, link);
        c->waiting--;
        letter_end(oldest, bst_error_detailed(BST_E_LIMIT, "its owner does not poll"), 0);
    }
    channel_serve(c);
}

static void end_oldest_polls(struct channel *c)
{
    size_t n = 0;
    for (struct bst_list *at = c->polls.next; at != &c->polls; at = at->next) {
        n++;
    }
    for (; n > POLLS_MAX; n--) {
        poll_end(bst_container_of(c->polls.next, struct bst_notify_poll, link),
                 (bst_result){BST_E_TIMEOUT});
    }
}

static void poll_arrives(struct bst_task *task)
{
    struct bst_notify_poll *poll = bst_container_of(task, struct bst_notify_poll, task);
    struct bst_notifier *n = poll->notifier;
    struct channel *c = channel_of(n, poll->channel, true);
    if (!c) {
        poll_end(poll, (bst_result){BST_E_NOMEM});
        return;
    }
    bst_list_append(&c->polls, &poll->link);
    bst_timer_init(n->loop, &poll->timer, poll_timeout, poll);
    bst_timer_start_at(&poll->timer, poll->until_us);
    end_oldest_polls(c);
    channel_serve(c);
}

void bst_notifier_poll(struct bst_notifier *notifier, struct bst_notify_poll *poll)
{
    poll->notifier = notifier;
    poll->text = (struct bst_buf){0};
    poll->task.run = poll_arrives;
    bst_loop_post(notifier->loop, &poll->task);
}

struct answer {
    struct bst_task task;
    struct bst_notifier *notifier;
    int64_t channel;
    int rsc;
    char rqi[40];
};

static void answer_arrives(struct bst_task *task)
{
    struct answer *answer = bst_container_of(task, struct answer, task);
    struct channel *c = channel_of(answer->notifier, answer->channel, false);
    struct bst_list *at = c ? c->awaited.next : NULL;
    while (c && at != &c->awaited) {
        struct letter *letter = bst_container_of(at, struct letter, link);
        at = at->next;
        if (strcmp(letter->rqi, answer->rqi) == 0) {
            letter_end(letter, BST_OK, answer->rsc);
        }
    }
    bst_free(answer);
}

bst_result bst_notifier_response(struct bst_notifier *notifier, int64_t channel,
                                 struct bst_view rqi, int rsc)
{
    struct answer *answer = bst_alloc(sizeof *answer);
    BST_ENSURE(answer, BST_E_NOMEM);
    answer->notifier = notifier;
    answer->channel = channel;
    answer->rsc = rsc;
    if (bst_failed(bst_view_copy(rqi, answer->rqi, sizeof answer->rqi))) {
        /* Longer than any that was ever sent. */
        bst_free(answer);
        return BST_OK;
    }
    answer->task.run = answer_arrives;
    bst_loop_post(notifier->loop, &answer->task);
    return BST_OK;
}

/* How many letters have waited too long, for an answer or to be fetched at all. */
static unsigned expire(struct bst_list *letters, int64_t now_us)
{
    unsigned ended = 0;
    struct bst_list *at = letters->next;
    while (at != letters) {
        struct letter *letter = bst_container_of(at, struct letter, link);
        at = at->next;
        if (letter->polled_until_us < now_us) {
            letter_end(letter,
                       bst_error_detailed(BST_E_TIMEOUT, "no answer over the polling channel"), 0);
            ended++;
        }
    }
    return ended;
}

/* The letters of a channel that was deleted: nobody can fetch them any more. */
static void drop_dead(struct bst_notifier *n, struct bst_view key, struct channel *c)
{
    int64_t id;
    bool attached = true;
    memcpy(&id, key.ptr, sizeof id);
    if (bst_list_empty(&c->letters) ||
        bst_failed(bst_resource_attached(n->worker->reader, id, &attached)) || attached) {
        return;
    }
    while (!bst_list_empty(&c->letters)) {
        c->waiting--;
        letter_end(bst_container_of(c->letters.next, struct letter, link),
                   bst_error_detailed(BST_E_NOT_REACHABLE, "its polling channel is gone"), 0);
    }
}

static void sweep(void *user)
{
    struct bst_notifier *n = user;
    int64_t now_us = bst_mono_us();
    bool look = n->sweeps++ % DEAD_SWEEPS == 0;
    size_t cursor = 0;
    struct bst_view key;
    void *value;
    while (bst_map_next(&n->channels, &cursor, &key, &value)) {
        struct channel *c = value;
        c->waiting -= expire(&c->letters, now_us);
        (void)expire(&c->awaited, now_us);
        if (look) {
            drop_dead(n, key, c);
        }
        if (bst_list_empty(&c->letters) && bst_list_empty(&c->awaited) &&
            bst_list_empty(&c->polls)) {
            bst_free(bst_map_remove(&n->channels, key));
        }
    }
}

/* -- the queue of a target */

/* A group stands for its members: each gets the letter (TS-0004 7.5.1.2.6). */
static void split_members(struct target *target)
{
    struct letter *letter = first_letter(target);
    struct bst_notify_letter share = letter->what;
    share.done = NULL;
    if (++share.groups > GROUPS_MAX) {
        first_letter_end(target, bst_error_detailed(BST_E_TOO_DEEP, "groups within groups"), 0);
        return;
    }
    for (size_t i = 0; i < target->route->n_members; i++) {
        share.target = target->route->members[i];
        if (!bst_view_is(share.target, target->name)) {
            (void)bst_failed(bst_notifier_post(target->notifier, &share));
        }
    }
    first_letter_end(target, BST_OK, BST_RSC_OK);
}

static void kick(struct target *target)
{
    while (!target->busy && !target->retry.armed) {
        if (bst_list_empty(&target->letters)) {
            target_drop(target);
            return;
        }
        bst_result result = route_find(target);
        if (bst_failed(result)) {
            /* Goes on by itself: with the next letter, or when the timer rings. */
            attempt_failed(target, result);
            return;
        }
        if (target->route->kind == ROUTE_CHANNEL) {
            struct letter *letter = first_letter(target);
            target->waiting--;
            channel_take(target->notifier, target->route->channel, letter);
        } else if (target->route->kind == ROUTE_MEMBERS) {
            split_members(target);
        } else {
            try_next_url(target);
            return;
        }
    }
}

static void retry_now(void *user)
{
    kick(user);
}

static struct target *target_of(struct bst_notifier *n, struct bst_view name)
{
    struct target *target = bst_map_get(&n->targets, name);
    if (target) {
        return target;
    }
    target = bst_alloc(sizeof *target);
    if (!target) {
        return NULL;
    }
    target->notifier = n;
    target->name = bst_strndup(name.ptr, name.len);
    bst_list_init(&target->letters);
    bst_arena_init(&target->arena, 0);
    bst_timer_init(n->loop, &target->retry, retry_now, target);
    if (!target->name || bst_failed(bst_map_set(&n->targets, name, target, NULL))) {
        bst_free(target->name);
        bst_free(target);
        return NULL;
    }
    return target;
}

/* Event Category "latest": what waits for the same subscription gives way (TS-0004 7.5.1.2.2). */
static void replace_older(struct target *target, const struct letter *newer)
{
    struct bst_list *at = target->letters.next;
    while (at != &target->letters) {
        struct letter *old = bst_container_of(at, struct letter, link);
        at = at->next;
        bool in_work = target->busy && &old->link == target->letters.next;
        if (!in_work && !old->what.done && old->what.key == newer->what.key) {
            target->waiting--;
            letter_end(old, BST_OK, BST_RSC_OK);
        }
    }
}

static void drop_oldest(struct target *target)
{
    struct bst_list *at = target->busy ? target->letters.next->next : target->letters.next;
    if (at == &target->letters) {
        return;
    }
    struct letter *old = bst_container_of(at, struct letter, link);
    target->waiting--;
    letter_end(old, bst_error_detailed(BST_E_LIMIT, "too many wait for this target"), 0);
}

static void letter_arrives(struct bst_task *task)
{
    struct letter *letter = bst_container_of(task, struct letter, task);
    struct bst_notifier *n = letter->notifier;
    struct target *target = target_of(n, letter->what.target);
    if (!target) {
        letter_end(letter, bst_error(BST_E_NOMEM), 0);
        return;
    }
    if (letter->what.ec == 4) {
        replace_older(target, letter);
    }
    if (target->waiting >= n->limits.per_target) {
        drop_oldest(target);
    }
    target->waiting++;
    bst_list_append(&target->letters, &letter->link);
    if (letter->what.once && !target->busy) {
        bst_timer_stop(&target->retry);
        (void)promote_once(target);
    }
    kick(target);
}

bst_result bst_notifier_post(struct bst_notifier *notifier, const struct bst_notify_letter *what)
{
    if (atomic_load(&notifier->waiting) >= notifier->limits.in_all) {
        bst_metric_add(notifier->dropped, 1);
        BST_FAIL(BST_E_LIMIT, "%u notifications wait already", notifier->limits.in_all);
    }
    struct letter *letter = letter_new(notifier, what);
    BST_ENSURE(letter, BST_E_NOMEM);
    atomic_fetch_add(&notifier->waiting, 1);
    bst_metric_add(notifier->queued, 1);
    letter->task.run = letter_arrives;
    bst_loop_post(notifier->loop, &letter->task);
    return BST_OK;
}

static struct bst_notify_limits with_defaults(const struct bst_notify_limits *given)
{
    struct bst_notify_limits l = given ? *given : (struct bst_notify_limits){0};
    l.per_target = l.per_target ? l.per_target : 1000;
    l.in_all = l.in_all ? l.in_all : 100000;
    l.tries = l.tries ? l.tries : 5;
    l.first_retry_ms = l.first_retry_ms ? l.first_retry_ms : 500;
    l.longest_retry_ms = l.longest_retry_ms ? l.longest_retry_ms : 30000;
    l.timeout_ms = l.timeout_ms ? l.timeout_ms : 10000;
    return l;
}

static struct bst_metric *outcome(const char *label)
{
    return bst_metric_get(BST_METRIC_COUNTER, "bastide_notifications_total",
                          "Notifications by how they ended", label);
}

bst_result bst_notifier_new(struct bst_cse *cse, struct bst_loop *loop,
                            const struct bst_notify_transport *transport,
                            const struct bst_notify_limits *limits, struct bst_notifier **ret)
{
    struct bst_notifier *n = bst_alloc(sizeof *n);
    BST_ENSURE(n, BST_E_NOMEM);
    n->cse = cse;
    n->loop = loop;
    n->transport = *transport;
    n->limits = with_defaults(limits);
    n->delivered = outcome("outcome=\"delivered\"");
    n->refused = outcome("outcome=\"refused\"");
    n->dropped = outcome("outcome=\"dropped\"");
    n->retried = bst_metric_get(BST_METRIC_COUNTER, "bastide_notification_retries_total",
                                "Notifications put off", NULL);
    n->queued = bst_metric_get(BST_METRIC_GAUGE, "bastide_notifications_waiting",
                               "Notifications that wait", NULL);
    bst_result result = bst_cse_worker_new(cse, loop, &n->worker);
    if (bst_failed(result)) {
        bst_free(n);
        return result;
    }
    bst_timer_init(loop, &n->sweep, sweep, n);
    bst_timer_start(&n->sweep, 1000, 1000);
    *ret = n;
    return BST_OK;
}

static void end_all(struct bst_list *letters)
{
    while (!bst_list_empty(letters)) {
        letter_end(bst_container_of(letters->next, struct letter, link), bst_error(BST_E_CANCELLED),
                   0);
    }
}

void bst_notifier_free(struct bst_notifier **notifier)
{
    struct bst_notifier *n = *notifier;
    if (!n) {
        return;
    }
    *notifier = NULL;
    size_t cursor = 0;
    struct bst_view key;
    void *value;
    while (bst_map_next(&n->targets, &cursor, &key, &value)) {
        end_all(&((struct target *)value)->letters);
        target_drop(value);
    }
    cursor = 0;
    while (bst_map_next(&n->channels, &cursor, &key, &value)) {
        struct channel *c = value;
        end_all(&c->letters);
        end_all(&c->awaited);
        while (!bst_list_empty(&c->polls)) {
            poll_end(bst_container_of(c->polls.next, struct bst_notify_poll, link),
                     (bst_result){BST_E_CANCELLED});
        }
        bst_free(bst_map_remove(&n->channels, key));
    }
    bst_timer_stop(&n->sweep);
    bst_map_clear(&n->targets);
    bst_map_clear(&n->channels);
    bst_cse_worker_free(&n->worker);
    bst_free(n);
}
