/* Authentication vectors for 5G AKA, many at a time: in the open, and as a routine inside the
 * secure environment. */
#include "core5g/aka/aka_priv.h"
#include "crypto/rand.h"

#define BATCH 16

/* ---- challenges ---- */

bst_result bst_aka_challenges(struct bst_sqn_counter *counter, struct bst_aka_challenge *challenges,
                              size_t n)
{
    uint8_t random[BATCH][BST_AKA_RAND_BYTES];
    for (size_t i = 0; i < n; i++) {
        size_t left = n - i < BATCH ? n - i : BATCH;
        if (i % BATCH == 0) {
            BST_TRY(bst_random(random, left * sizeof random[0]));
        }
        challenges[i].sn_name = challenges[0].sn_name;
        memcpy(challenges[i].amf, challenges[0].amf, sizeof challenges[i].amf);
        memcpy(challenges[i].rand, random[i % BATCH], sizeof challenges[i].rand);
        BST_TRY(bst_sqn_next(counter, challenges[i].sqn));
    }
    return BST_OK;
}

/* ---- in the open ---- */

static bst_result make_contexts(struct bst_aka_ready *ready)
{
    BST_TRY(bst_aka_check_usable(&ready->keys));
    BST_TRY(bst_aka_prepare(&ready->keys, &ready->schedule));
    BST_TRY(bst_hmac_init(&ready->kdf));
    return bst_hasher_init(&ready->hash, BST_MD_SHA256);
}

bst_result bst_aka_ready_init(struct bst_aka_ready *ready, const struct bst_aka_keys *keys)
{
    *ready = (struct bst_aka_ready){.keys = *keys};
    bst_result made = make_contexts(ready);
    if (bst_failed(made)) {
        bst_aka_ready_clear(ready);
    }
    return made;
}

void bst_aka_ready_clear(struct bst_aka_ready *ready)
{
    bst_aka_schedule_clear(&ready->schedule);
    bst_hmac_clear(&ready->kdf);
    bst_hasher_clear(&ready->hash);
    bst_wipe(ready, sizeof *ready);
}

/* XRES* and KAUSF are derived from the same key; HXRES* is a hash. */
static bst_result derive(struct bst_aka_ready *ready, struct bst_view sn_name,
                         const struct bst_aka_out *from, struct bst_aka_vector *v)
{
    uint8_t joined[BST_AKA_CK_IK_MAX], digest[BST_SHA256_BYTES];
    const struct bst_view res[] = {sn_name, bst_view_of(v->rand, 16),
                                   bst_view_of(from->res, ready->keys.res_bytes)};
    const struct bst_view ausf[] = {sn_name, bst_view_of(v->autn, 6)};
    const struct bst_view hres[] = {bst_view_of(v->rand, 16), bst_view_of(v->xres_star, 16)};
    bst_result keyed = bst_hmac_key(&ready->kdf, bst_aka_ck_ik(&ready->keys, from, joined));
    bst_wipe(joined, sizeof joined);
    BST_TRY(keyed);
    BST_TRY(bst_5g_derive_keyed(BST_5G_RES_STAR, &ready->kdf, res, 3, v->xres_star));
    BST_TRY(bst_5g_derive_keyed(BST_5G_KAUSF, &ready->kdf, ausf, 2, v->kausf));
    BST_TRY(bst_hasher_again(&ready->hash, hres, 2, digest));
    memcpy(v->hxres_star, digest + 16, 16);
    return BST_OK;
}

/* AUTN = (SQN xor AK) || AMF || MAC-A. */
static bst_result finish(struct bst_aka_ready *ready, const struct bst_aka_challenge *from,
                         const struct bst_aka_out *out, struct bst_aka_vector *v)
{
    memcpy(v->rand, from->rand, sizeof v->rand);
    bst_aka_hide_sqn(from->sqn, out->ak, v->autn);
    memcpy(v->autn + 6, from->amf, 2);
    memcpy(v->autn + 8, out->mac_a, BST_AKA_MAC_BYTES);
    return derive(ready, from->sn_name, out, v);
}

static bst_result make_batch(struct bst_aka_ready *ready, const struct bst_aka_challenge *from,
                             size_t n, struct bst_aka_out out[BATCH], struct bst_aka_vector *ret)
{
    struct bst_aka_in in[BATCH];
    for (size_t i = 0; i < n; i++) {
        BST_TRY(bst_aka_check_challenge(&from[i]));
        memcpy(in[i].rand, from[i].rand, sizeof in[i].rand);
        memcpy(in[i].sqn, from[i].sqn, sizeof in[i].sqn);
        memcpy(in[i].amf, from[i].amf, sizeof in[i].amf);
    }
    BST_TRY(
        bst_aka_run_many(&ready->keys, &ready->schedule, in, n, BST_AKA_F1 | BST_AKA_F2345, out));
    for (size_t i = 0; i < n; i++) {
        BST_TRY(finish(ready, &from[i], &out[i], &ret[i]));
    }
    return BST_OK;
}

bst_result bst_aka_ready_vectors(struct bst_aka_ready *ready, const struct bst_aka_challenge *from,
                                 size_t n, struct bst_aka_vector *ret)
{
    struct bst_aka_out out[BATCH];
    bst_result made = BST_OK;
    size_t used = n < BATCH ? n : BATCH;
    for (size_t at = 0; at < n && !bst_failed(made); at += BATCH) {
        made = make_batch(ready, from + at, n - at < BATCH ? n - at : BATCH, out, ret + at);
    }
    bst_wipe(out, used * sizeof out[0]);
    if (bst_failed(made)) {
        bst_wipe(ret, n * sizeof *ret);
    }
    return made;
}

/* ---- inside the secure environment ---- */

struct vectors_io {
    const struct bst_aka_challenge *from;
    size_t n;
    struct bst_aka_vector *ret;
};

static bst_result run_vectors(struct bst_view key, void *ctx)
{
    const struct vectors_io *io = ctx;
    bst_auto(aka_ready) ready = {0};
    BST_TRY(bst_aka_keys_unpack(key, &ready.keys));
    BST_TRY(make_contexts(&ready));
    return bst_aka_ready_vectors(&ready, io->from, io->n, io->ret);
}

bst_result bst_aka_vectors_5g(struct bst_se *se, bst_key key, const struct bst_aka_challenge *from,
                              size_t n, struct bst_aka_vector *ret)
{
    static const struct bst_se_routine routine = {"5G AKA vectors", run_vectors};
    struct vectors_io io = {from, n, ret};
    bst_result made = bst_se_run(se, key, &routine, &io);
    if (bst_failed(made)) {
        bst_wipe(ret, n * sizeof *ret);
    }
    return made;
}

bst_result bst_aka_vector_5g(struct bst_se *se, bst_key key, const struct bst_aka_challenge *from,
                             struct bst_aka_vector *ret)
{
    return bst_aka_vectors_5g(se, key, from, 1, ret);
}

/* ---- what a device answers ---- */

bst_result bst_aka_check_hres_star(const uint8_t rand[BST_AKA_RAND_BYTES],
                                   const uint8_t hxres_star[16], const uint8_t res_star[16])
{
    uint8_t hres_star[16];
    BST_TRY(bst_5g_hres_star(rand, res_star, hres_star));
    if (!bst_equal_ct(hres_star, hxres_star, sizeof hres_star)) {
        BST_FAIL(BST_E_BAD_MAC, "HRES* is not HXRES*");
    }
    return BST_OK;
}

bst_result bst_aka_check_res_star(const uint8_t xres_star[16], const uint8_t res_star[16])
{
    if (!bst_equal_ct(res_star, xres_star, 16)) {
        BST_FAIL(BST_E_BAD_MAC, "RES* is not XRES*");
    }
    return BST_OK;
}
