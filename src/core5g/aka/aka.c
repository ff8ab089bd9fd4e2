/* Subscribers, vectors for EAP-AKA', resynchronisation and the software USIM, as routines inside
 * the secure environment. */
#include "core5g/aka/aka_priv.h"

#include <stdio.h>

#define MAC_BYTES BST_AKA_MAC_BYTES

/* ---- subscribers ---- */

static bst_result label_of(const char *supi, char out[BST_KEY_LABEL_MAX + 1])
{
    int len = snprintf(out, BST_KEY_LABEL_MAX + 1, "aka.%s", supi);
    BST_ENSURE(len > 0 && len <= BST_KEY_LABEL_MAX, BST_E_TOO_LONG);
    return BST_OK;
}

/* AUTN and AUTS have room for 64 bits of MAC, RES* is made of 4 to 16 octets. */
bst_result bst_aka_check_usable(const struct bst_aka_keys *keys)
{
    if (keys->mac_bytes != MAC_BYTES || keys->res_bytes < 4 || keys->res_bytes > BST_AKA_RES_MAX) {
        BST_FAIL(BST_E_VALUE, "5G takes a MAC of 8 octets and a RES of 4 to 16, not of %u and %u",
                 (unsigned)keys->mac_bytes, (unsigned)keys->res_bytes);
    }
    return BST_OK;
}

bst_result bst_aka_subscribe(struct bst_se *se, const char *supi, const struct bst_aka_keys *keys,
                             bool persistent, bst_key *ret)
{
    char label[BST_KEY_LABEL_MAX + 1];
    bst_auto(secret) packed = {0};
    BST_TRY(bst_aka_check_usable(keys));
    BST_TRY(label_of(supi, label));
    BST_TRY(bst_aka_keys_pack(keys, &packed));
    const struct bst_key_attrs attrs = {.type = BST_KEY_SYMMETRIC,
                                        .uses = BST_KEY_USE_ROUTINE,
                                        .label = label,
                                        .persistent = persistent};
    bst_result made = bst_se_key_import(se, &attrs, &packed, ret);
    if (made.code == BST_E_SE_MECHANISM) {
        char why[256];
        snprintf(why, sizeof why, "%s", bst_error_detail());
        BST_FAIL(made.code, "%s runs over K and OPc themselves, not inside this environment: %s",
                 bst_aka_algorithm(keys->alg)->name, why);
    }
    return made;
}

bst_result bst_aka_subscriber(struct bst_se *se, const char *supi, bst_key *ret)
{
    char label[BST_KEY_LABEL_MAX + 1];
    bst_key key = 0;
    BST_TRY(label_of(supi, label));
    BST_TRY(bst_se_key_find(se, label, &key));
    if (!key) {
        BST_FAIL(BST_E_NOT_FOUND, "there are no keys of subscriber %s", supi);
    }
    *ret = key;
    return BST_OK;
}

/* ---- what the routines share ---- */

/* Opened key material and results, wiped at the end of the routine. */
struct work {
    struct bst_aka_keys keys;
    struct bst_aka_in in;
    struct bst_aka_out out;
};
static inline void bst_work_clear(struct work *work)
{
    bst_wipe(work, sizeof *work);
}
#define AUTO_WORK __attribute__((cleanup(bst_work_clear))) struct work

static bst_result work_open(struct work *work, struct bst_view key)
{
    BST_TRY(bst_aka_keys_unpack(key, &work->keys));
    return bst_aka_check_usable(&work->keys);
}

static bst_result functions(struct work *work, unsigned want)
{
    return bst_aka_run(&work->keys, &work->in, want, &work->out);
}

/* RES* and KAUSF, which both sides make in the same way. */
static bst_result derive_5g(const struct work *work, struct bst_view sn_name,
                            const uint8_t hidden_sqn[6], uint8_t res_star[16],
                            uint8_t kausf[BST_5G_KEY_BYTES])
{
    uint8_t joined[BST_AKA_CK_IK_MAX];
    struct bst_view key = bst_aka_ck_ik(&work->keys, &work->out, joined);
    const struct bst_view res_params[] = {sn_name, bst_view_of(work->in.rand, 16),
                                          bst_view_of(work->out.res, work->keys.res_bytes)};
    const struct bst_view ausf_params[] = {sn_name, bst_view_of(hidden_sqn, 6)};
    bst_result made = bst_5g_derive(BST_5G_RES_STAR, key, res_params, 3, res_star);
    if (!bst_failed(made)) {
        made = bst_5g_derive(BST_5G_KAUSF, key, ausf_params, 2, kausf);
    }
    bst_wipe(joined, sizeof joined);
    return made;
}

static bst_result derive_prime(const struct work *work, struct bst_view sn_name,
                               const uint8_t hidden_sqn[6], uint8_t ck_prime[16],
                               uint8_t ik_prime[16])
{
    uint8_t joined[BST_AKA_CK_IK_MAX], both[32];
    const struct bst_view params[] = {sn_name, bst_view_of(hidden_sqn, 6)};
    bst_result made = bst_5g_derive(
        BST_5G_CK_IK_PRIME, bst_aka_ck_ik(&work->keys, &work->out, joined), params, 2, both);
    memcpy(ck_prime, both, 16);
    memcpy(ik_prime, both + 16, 16);
    bst_wipe(joined, sizeof joined);
    bst_wipe(both, sizeof both);
    return made;
}

/* ---- home network ---- */

bst_result bst_aka_check_challenge(const struct bst_aka_challenge *challenge)
{
    BST_TRY(bst_5g_sn_name_check(challenge->sn_name));
    if (!(challenge->amf[0] & BST_AKA_AMF_SEPARATION)) {
        BST_FAIL(BST_E_VALUE, "the separation bit of the AMF field is 1 in vectors for 5G");
    }
    return BST_OK;
}

/* f1 to f5 of a challenge, and AUTN = (SQN xor AK) || AMF || MAC-A. */
static bst_result challenge(struct work *work, struct bst_view key,
                            const struct bst_aka_challenge *from, uint8_t autn[BST_AKA_AUTN_BYTES])
{
    BST_TRY(work_open(work, key));
    BST_TRY(bst_aka_check_challenge(from));
    memcpy(work->in.rand, from->rand, sizeof work->in.rand);
    memcpy(work->in.sqn, from->sqn, sizeof work->in.sqn);
    memcpy(work->in.amf, from->amf, sizeof work->in.amf);
    BST_TRY(functions(work, BST_AKA_F1 | BST_AKA_F2345));
    bst_aka_hide_sqn(work->in.sqn, work->out.ak, autn);
    memcpy(autn + 6, work->in.amf, 2);
    memcpy(autn + 8, work->out.mac_a, MAC_BYTES);
    return BST_OK;
}

struct vector_io {
    const struct bst_aka_challenge *challenge;
    struct bst_aka_vector_eap eap;
};

static bst_result run_vector_eap(struct bst_view key, void *ctx)
{
    struct vector_io *io = ctx;
    struct bst_aka_vector_eap *v = &io->eap;
    AUTO_WORK work = {0};
    BST_TRY(challenge(&work, key, io->challenge, v->autn));
    memcpy(v->rand, work.in.rand, sizeof v->rand);
    v->xres_bytes = work.keys.res_bytes;
    memcpy(v->xres, work.out.res, v->xres_bytes);
    return derive_prime(&work, io->challenge->sn_name, v->autn, v->ck_prime, v->ik_prime);
}

bst_result bst_aka_vector_prime(struct bst_se *se, bst_key key,
                                const struct bst_aka_challenge *from,
                                struct bst_aka_vector_eap *ret)
{
    static const struct bst_se_routine routine = {"EAP-AKA' vector", run_vector_eap};
    struct vector_io io = {.challenge = from};
    bst_result made = bst_se_run(se, key, &routine, &io);
    if (!bst_failed(made)) {
        *ret = io.eap;
    }
    bst_wipe(&io, sizeof io);
    return made;
}

/* ---- resynchronisation, both sides ---- */

struct auts_io {
    const uint8_t *rand;
    uint8_t sqn[6];
    uint8_t auts[BST_AKA_AUTS_BYTES];
};

/* [TS 33.102, 6.3.3] the AMF in MAC-S is "a dummy value of all zeros". */
static bst_result run_auts_verify(struct bst_view key, void *ctx)
{
    struct auts_io *io = ctx;
    AUTO_WORK work = {0};
    BST_TRY(work_open(&work, key));
    memcpy(work.in.rand, io->rand, sizeof work.in.rand);
    BST_TRY(functions(&work, BST_AKA_F5_STAR));
    bst_aka_hide_sqn(io->auts, work.out.ak_star, work.in.sqn);
    BST_TRY(functions(&work, BST_AKA_F1_STAR));
    if (!bst_equal_ct(work.out.mac_s, io->auts + 6, MAC_BYTES)) {
        BST_FAIL(BST_E_BAD_MAC, "the AUTS is not an answer of this subscriber to this RAND");
    }
    memcpy(io->sqn, work.in.sqn, 6);
    return BST_OK;
}

static bst_result run_auts_make(struct bst_view key, void *ctx)
{
    struct auts_io *io = ctx;
    AUTO_WORK work = {0};
    BST_TRY(work_open(&work, key));
    memcpy(work.in.rand, io->rand, sizeof work.in.rand);
    memcpy(work.in.sqn, io->sqn, 6);
    BST_TRY(functions(&work, BST_AKA_F1_STAR | BST_AKA_F5_STAR));
    bst_aka_hide_sqn(io->sqn, work.out.ak_star, io->auts);
    memcpy(io->auts + 6, work.out.mac_s, MAC_BYTES);
    return BST_OK;
}

bst_result bst_aka_auts(struct bst_se *se, bst_key key, const uint8_t rand[BST_AKA_RAND_BYTES],
                        const uint8_t auts[BST_AKA_AUTS_BYTES],
                        uint8_t ret_sqn_ms[BST_AKA_SQN_BYTES])
{
    static const struct bst_se_routine routine = {"AUTS verification", run_auts_verify};
    struct auts_io io = {.rand = rand};
    memcpy(io.auts, auts, sizeof io.auts);
    BST_TRY(bst_se_run(se, key, &routine, &io));
    memcpy(ret_sqn_ms, io.sqn, 6);
    return BST_OK;
}

/* ---- device ---- */

const char *bst_usim_verdict_name(enum bst_usim_verdict verdict)
{
    static const char *const names[] = {"ok", "MAC failure", "non-5G authentication unacceptable",
                                        "synchronisation failure"};
    return (unsigned)verdict < sizeof names / sizeof names[0] ? names[verdict] : "?";
}

bst_result bst_usim_open(struct bst_usim *usim, struct bst_se *se, bst_key key,
                         const struct bst_usim_host *host)
{
    *usim = (struct bst_usim){.se = se, .key = key, .host = host};
    return host->load(host->ctx, &usim->accepted);
}

struct usim_io {
    const uint8_t *rand, *autn;
    struct bst_view sn_name;
    uint8_t sqn[6];
    struct bst_usim_answer answer;
};

/* Everything about AUTN but freshness; the answer is made here and held back by the caller. */
static bst_result run_usim(struct bst_view key, void *ctx)
{
    struct usim_io *io = ctx;
    struct bst_usim_answer *a = &io->answer;
    AUTO_WORK work = {0};
    BST_TRY(work_open(&work, key));
    memcpy(work.in.rand, io->rand, sizeof work.in.rand);
    memcpy(work.in.amf, io->autn + 6, sizeof work.in.amf);
    BST_TRY(functions(&work, BST_AKA_F2345));
    bst_aka_hide_sqn(io->autn, work.out.ak, work.in.sqn);
    BST_TRY(functions(&work, BST_AKA_F1));
    if (!bst_equal_ct(work.out.mac_a, io->autn + 8, MAC_BYTES)) {
        a->verdict = BST_USIM_MAC_FAILURE;
        return BST_OK;
    }
    memcpy(io->sqn, work.in.sqn, 6);
    a->res_bytes = work.keys.res_bytes;
    memcpy(a->res, work.out.res, a->res_bytes);
    BST_TRY(derive_5g(&work, io->sn_name, io->autn, a->res_star, a->kausf));
    return derive_prime(&work, io->sn_name, io->autn, a->ck_prime, a->ik_prime);
}

static bst_result sync_failure(struct bst_usim *usim, const uint8_t *rand,
                               struct bst_usim_answer *ret)
{
    static const struct bst_se_routine routine = {"AUTS", run_auts_make};
    struct auts_io io = {.rand = rand};
    bst_sqn_highest(&usim->accepted, io.sqn);
    BST_TRY(bst_se_run(usim->se, usim->key, &routine, &io));
    *ret = (struct bst_usim_answer){.verdict = BST_USIM_SYNC_FAILURE};
    memcpy(ret->auts, io.auts, sizeof ret->auts);
    return BST_OK;
}

static bst_result accept(struct bst_usim *usim, const struct usim_io *io)
{
    struct bst_sqn_array accepted = usim->accepted;
    bst_sqn_accept(&accepted, io->sqn);
    BST_TRY(usim->host->keep(usim->host->ctx, &accepted));
    usim->accepted = accepted;
    return BST_OK;
}

static bst_result decide(struct bst_usim *usim, const struct usim_io *io,
                         struct bst_usim_answer *ret)
{
    if (io->answer.verdict != BST_USIM_OK) {
        *ret = (struct bst_usim_answer){.verdict = io->answer.verdict};
        return BST_OK;
    }
    if (!(io->autn[6] & BST_AKA_AMF_SEPARATION)) {
        *ret = (struct bst_usim_answer){.verdict = BST_USIM_NOT_5G};
        return BST_OK;
    }
    if (!bst_sqn_fresh(&usim->accepted, io->sqn)) {
        return sync_failure(usim, io->rand, ret);
    }
    BST_TRY(accept(usim, io));
    *ret = io->answer;
    return BST_OK;
}

bst_result bst_usim_answer(struct bst_usim *usim, const uint8_t rand[BST_AKA_RAND_BYTES],
                           const uint8_t autn[BST_AKA_AUTN_BYTES], struct bst_view sn_name,
                           struct bst_usim_answer *ret)
{
    static const struct bst_se_routine routine = {"USIM answer", run_usim};
    struct usim_io io = {.rand = rand, .autn = autn, .sn_name = sn_name};
    BST_TRY(bst_5g_sn_name_check(sn_name));
    bst_result answered = bst_se_run(usim->se, usim->key, &routine, &io);
    if (!bst_failed(answered)) {
        answered = decide(usim, &io, ret);
    }
    bst_wipe(&io, sizeof io);
    return answered;
}
