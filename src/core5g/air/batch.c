/* Packets side by side: a batch is cut into runs of one algorithm, a run is ordered by length, and
 * what the implementation has for many packets is done with many. */
#include "core5g/air/air_priv.h"

/* ---- lanes: groups of jobs whose keystreams advance together ---- */

static const struct bst_air_lanes *lanes_of(const struct bst_air_job *job)
{
    return job->key->implementation->lanes[job->key->algorithm->core];
}

typedef bst_result group_fn(const struct bst_air_lanes *lanes, struct bst_air_job *jobs, size_t n,
                            bool open);

/* Groups as wide as the lanes; the last one may be too small for them. */
static bst_result in_groups(struct bst_air_job *jobs, size_t n, bool open, group_fn *group)
{
    const struct bst_air_lanes *lanes = lanes_of(jobs);
    for (size_t some; n > 0; n -= some, jobs += some) {
        some = n < lanes->n ? n : lanes->n;
        if (some >= lanes->least) {
            BST_TRY(group(lanes, jobs, some, open));
            continue;
        }
        for (size_t i = 0; i < some; i++) {
            BST_TRY(bst_air_serve_single(&jobs[i], open));
        }
    }
    return BST_OK;
}

static bst_result group_cipher(const struct bst_air_lanes *lanes, struct bst_air_job *jobs,
                               size_t n, bool open)
{
    struct bst_air_lanes_state state;
    lanes->start(&state, jobs, n);
    lanes->apply(&state, jobs, n);
    bst_wipe(&state, sizeof state);
    return BST_OK;
}

bst_result bst_air_lanes_cipher(struct bst_air_job *jobs, size_t n, bool open)
{
    return in_groups(jobs, n, open, group_cipher);
}

static bst_result group_nia1(const struct bst_air_lanes *lanes, struct bst_air_job *jobs, size_t n,
                             bool open)
{
    struct bst_air_lanes_state state;
    uint8_t z[BST_AIR_LANES_MAX][BST_AIR_NIA1_WORDS * 4];
    struct bst_air_job streams[BST_AIR_LANES_MAX] = {0};
    for (size_t i = 0; i < n; i++) {
        streams[i] = jobs[i];
        streams[i].in = NULL;
        streams[i].out = z[i];
        streams[i].len = sizeof z[i];
    }
    lanes->start(&state, streams, n);
    lanes->apply(&state, streams, n);
    for (size_t i = 0; i < n; i++) {
        bst_air_nia1_tag(jobs[i].key, z[i], jobs[i].in, jobs[i].packet->bits, jobs[i].tag);
    }
    bst_wipe(&state, sizeof state);
    bst_wipe(z, sizeof z);
    return BST_OK;
}

bst_result bst_air_lanes_nia1(struct bst_air_job *jobs, size_t n, bool open)
{
    return in_groups(jobs, n, open, group_nia1);
}

/* Each lane's own part of a round; whether any had one. */
static bool nia3_round(const struct bst_air_lanes *lanes, struct bst_air_lanes_state *state,
                       struct bst_air_job *streams, struct bst_air_nia3 *runs, size_t n)
{
    size_t longest = 0;
    for (size_t i = 0; i < n; i++) {
        streams[i].in = NULL;
        streams[i].out = runs[i].z + runs[i].have;
        streams[i].len = bst_air_nia3_wants(&runs[i]);
        longest = streams[i].len > longest ? streams[i].len : longest;
    }
    if (longest == 0) {
        return false;
    }
    lanes->apply(state, streams, n);
    for (size_t i = 0; i < n; i++) {
        if (streams[i].len > 0) {
            bst_air_nia3_go_on(&runs[i], streams[i].key->implementation, streams[i].len);
        }
    }
    return true;
}

static bst_result group_nia3(const struct bst_air_lanes *lanes, struct bst_air_job *jobs, size_t n,
                             bool open)
{
    struct bst_air_lanes_state state;
    struct bst_air_nia3 runs[BST_AIR_LANES_MAX];
    struct bst_air_job streams[BST_AIR_LANES_MAX] = {0};
    for (size_t i = 0; i < n; i++) {
        streams[i] = jobs[i];
        bst_air_nia3_begin(&runs[i], jobs[i].in, jobs[i].packet->bits);
    }
    lanes->start(&state, jobs, n);
    while (nia3_round(lanes, &state, streams, runs, n)) {
    }
    for (size_t i = 0; i < n; i++) {
        bst_air_nia3_tag(&runs[i], jobs[i].tag);
    }
    bst_wipe(&state, sizeof state);
    bst_wipe(runs, sizeof runs[0] * n);
    return BST_OK;
}

bst_result bst_air_lanes_nia3(struct bst_air_job *jobs, size_t n, bool open)
{
    return in_groups(jobs, n, open, group_nia3);
}

/* The tag over what is there: for NIA the message is what is authenticated, for NCA it is the
 * ciphertext. */
static void sst_tag(struct bst_air_job *job, const uint8_t subkeys[BST_AIR_SUBKEYS],
                    const uint8_t *text, uint8_t tag[BST_AIR_TAG_MAX])
{
    const bool nia = job->key->algorithm->kind == BST_AIR_NIA;
    struct bst_view message = bst_view_of(text, job->packet->bits / 8), none = {0};
    job->key->implementation->sst_tag(subkeys, nia ? message : job->packet->aad,
                                      nia ? none : message, tag);
}

/* A packet whose tag is wrong is left out of what follows. */
static void sst_check(struct bst_air_job *job, const uint8_t subkeys[BST_AIR_SUBKEYS])
{
    uint8_t right[BST_AIR_TAG_MAX];
    sst_tag(job, subkeys, job->in, right);
    if (!bst_equal_ct(right, job->packet->tag, job->key->tag_bytes)) {
        job->packet->result = bst_error(BST_E_BAD_MAC);
        job->len = 0;
    }
    bst_wipe(right, sizeof right);
}

static void sst_payload(const struct bst_air_lanes *lanes, struct bst_air_lanes_state *state,
                        struct bst_air_job *jobs, size_t n, bool open,
                        uint8_t (*subkeys)[BST_AIR_SUBKEYS])
{
    for (size_t i = 0; open && i < n; i++) {
        sst_check(&jobs[i], subkeys[i]);
    }
    lanes->apply(state, jobs, n);
    for (size_t i = 0; !open && i < n; i++) {
        sst_tag(&jobs[i], subkeys[i], jobs[i].out, jobs[i].tag);
    }
}

static bst_result group_sst(const struct bst_air_lanes *lanes, struct bst_air_job *jobs, size_t n,
                            bool open)
{
    struct bst_air_lanes_state state;
    uint8_t subkeys[BST_AIR_LANES_MAX][BST_AIR_SUBKEYS];
    struct bst_air_job streams[BST_AIR_LANES_MAX] = {0};
    for (size_t i = 0; i < n; i++) {
        streams[i] = jobs[i];
        streams[i].in = NULL;
        streams[i].out = subkeys[i];
        streams[i].len = BST_AIR_SUBKEYS;
    }
    lanes->start(&state, jobs, n);
    lanes->apply(&state, streams, n);
    if (jobs[0].key->algorithm->kind == BST_AIR_NCA) {
        sst_payload(lanes, &state, jobs, n, open, subkeys);
    } else {
        for (size_t i = 0; i < n; i++) {
            sst_tag(&jobs[i], subkeys[i], jobs[i].in, jobs[i].tag);
        }
    }
    bst_wipe(&state, sizeof state);
    bst_wipe(subkeys, sizeof subkeys);
    return BST_OK;
}

bst_result bst_air_lanes_sst(struct bst_air_job *jobs, size_t n, bool open)
{
    return in_groups(jobs, n, open, group_sst);
}

/* ---- one job ---- */

bst_result bst_air_serve_single(struct bst_air_job *job, bool open)
{
    struct bst_air_key *key = job->key;
    const struct bst_air_packet *packet = job->packet;
    const struct bst_air_algorithm *algorithm = key->algorithm;
    struct bst_view text = bst_view_of(job->in, job->len);
    switch (algorithm->kind) {
    case BST_AIR_NEA:
        return algorithm->cipher(key, job->iv, job->in, job->len, job->out);
    case BST_AIR_NIA:
        return algorithm->mac(key, job->iv, job->in, packet->bits, job->tag);
    default:
        if (open) {
            memcpy(job->tag, packet->tag, key->tag_bytes);
        }
        bst_result r = algorithm->aead(key, job->iv, !open, packet->aad, text, job->out, job->tag);
        if (r.code == BST_E_BAD_MAC) {
            job->packet->result = r;
            return BST_OK;
        }
        return r;
    }
}

static bst_result one_by_one(struct bst_air_job *jobs, size_t n, bool open)
{
    for (size_t i = 0; i < n; i++) {
        BST_TRY(bst_air_serve_single(&jobs[i], open));
    }
    return BST_OK;
}

/* ---- packets ---- */

static bst_result prepare(struct bst_air_packet *packet, struct bst_air_job *job)
{
    struct bst_air_key *key = packet->key;
    size_t len = bst_air_octets(packet->bits);
    BST_ENSURE(key->algorithm, BST_E_USAGE);
    if (packet->iv) {
        memcpy(job->iv, packet->iv, sizeof job->iv);
    } else {
        BST_TRY(bst_air_iv(key, &packet->place, job->iv));
    }
    BST_TRY(
        bst_air_usable(key, key->algorithm->kind, len > packet->aad.len ? len : packet->aad.len));
    if (key->algorithm->key_bytes == 32 && key->algorithm->kind != BST_AIR_NEA) {
        BST_TRY(bst_air_sst_whole(key, packet->bits));
    }
    job->key = key;
    job->packet = packet;
    job->in = packet->in;
    job->out = packet->out;
    job->len = len;
    return BST_OK;
}

/* What is left to do when the octets are there. */
static void finish(struct bst_air_job *job, bool open)
{
    struct bst_air_packet *packet = job->packet;
    size_t tag_bytes = job->key->tag_bytes;
    if (job->key->algorithm->kind == BST_AIR_NEA) {
        if (packet->bits % 8) {
            packet->out[job->len - 1] &= (uint8_t) ~(0xff >> packet->bits % 8);
        }
    } else if (!open) {
        memcpy(packet->tag, job->tag, tag_bytes);
    } else if (job->key->algorithm->kind == BST_AIR_NIA &&
               !bst_equal_ct(job->tag, packet->tag, tag_bytes)) {
        packet->result = bst_error(BST_E_BAD_MAC);
    }
}

/* Packets of one algorithm and one implementation, at the beginning. */
static size_t alike(const struct bst_air_packet *packets, size_t n)
{
    size_t some = 1;
    n = n < BST_AIR_JOBS_MAX ? n : BST_AIR_JOBS_MAX;
    while (some < n && packets[some].key->algorithm == packets[0].key->algorithm &&
           packets[some].key->implementation == packets[0].key->implementation) {
        some++;
    }
    return some;
}

/* Numbers of packets, the longest first, so that packets side by side end together. */
static void order(const struct bst_air_packet *packets, size_t n, uint8_t out[BST_AIR_JOBS_MAX])
{
    for (size_t i = 0; i < n; i++) {
        size_t at = i;
        for (; at > 0 && packets[out[at - 1]].bits < packets[i].bits; at--) {
            out[at] = out[at - 1];
        }
        out[at] = (uint8_t)i;
    }
}

static void serve(struct bst_air_packet *packets, size_t n, bool open)
{
    struct bst_air_job jobs[BST_AIR_JOBS_MAX];
    uint8_t sorted[BST_AIR_JOBS_MAX];
    size_t ready = 0;
    order(packets, n, sorted);
    for (size_t i = 0; i < n; i++) {
        struct bst_air_packet *packet = &packets[sorted[i]];
        packet->result = prepare(packet, &jobs[ready]);
        ready += bst_failed(packet->result) ? 0 : 1;
    }
    if (ready == 0) {
        return;
    }
    const struct bst_air_algorithm *algorithm = jobs[0].key->algorithm;
    bst_air_batch *batch = jobs[0].key->implementation->batch[algorithm->kind][algorithm->id];
    bst_result r = (batch && ready > 1 ? batch : one_by_one)(jobs, ready, open);
    for (size_t i = 0; i < ready; i++) {
        if (bst_failed(r)) {
            jobs[i].packet->result = r; /* the library's failure, not a packet's */
        } else if (!bst_failed(jobs[i].packet->result)) {
            finish(&jobs[i], open);
        }
        bst_wipe(jobs[i].tag, sizeof jobs[i].tag);
    }
}

static size_t run(struct bst_air_packet *packets, size_t n, bool open)
{
    size_t failed = 0;
    for (size_t some; n > 0; n -= some, packets += some) {
        some = alike(packets, n);
        serve(packets, some, open);
        for (size_t i = 0; i < some; i++) {
            failed += bst_failed(packets[i].result) ? 1 : 0;
        }
    }
    return failed;
}

size_t bst_air_protect_batch(struct bst_air_packet *packets, size_t n)
{
    return run(packets, n, false);
}

size_t bst_air_open_batch(struct bst_air_packet *packets, size_t n)
{
    return run(packets, n, true);
}
