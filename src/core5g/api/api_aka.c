/* Authentication of the installed library: subscribers, vectors, sequence numbers, the device. */
#include "core5g/aka/keyfile.h"
#include "core5g/api/api_priv.h"

/* ---- subscribers and names ---- */

bst_result bst_core5g_subscriber(struct bst_core5g *core, const char *supi, struct bst_view keys)
{
    struct bst_aka_keys parsed;
    struct bst_supi unused;
    bst_key key;
    BST_ENSURE(core && supi, BST_E_USAGE);
    BST_TRY(bst_supi_parse(bst_view(supi), 2, &unused));
    BST_TRY(bst_aka_keyfile_parse(keys, &parsed));
    bst_result made = bst_aka_subscribe(core->se, supi, &parsed, api_keeps(core), &key);
    bst_aka_keys_clear(&parsed);
    return made;
}

static bst_result find_subscriber(const struct bst_core5g *core, const char *supi, bst_key *ret)
{
    BST_ENSURE(core && supi, BST_E_USAGE);
    return bst_aka_subscriber(core->se, supi, ret);
}

bst_result bst_core5g_subscriber_remove(struct bst_core5g *core, const char *supi)
{
    bst_key key = 0;
    BST_TRY(find_subscriber(core, supi, &key));
    return bst_se_key_delete(core->se, key);
}

_Static_assert(BST_CORE5G_SN_NAME_MAX == BST_5G_SN_NAME_MAX, "as long inside");

bst_result bst_core5g_sn_name(const char *mcc, const char *mnc, const char *nid,
                              char ret[BST_CORE5G_SN_NAME_MAX])
{
    BST_ENSURE(mcc && mnc, BST_E_USAGE);
    return bst_5g_sn_name(bst_view(mcc), bst_view(mnc), nid, ret);
}

/* ---- vectors ---- */

static struct bst_aka_challenge challenge_of(const struct bst_core5g_challenge *from,
                                             const char *sn_name)
{
    struct bst_aka_challenge to = {.amf = {BST_AKA_AMF_SEPARATION}, .sn_name = bst_view(sn_name)};
    memcpy(to.rand, from->rand, sizeof to.rand);
    memcpy(to.sqn, from->sqn, sizeof to.sqn);
    return to;
}

static bst_result make_chunk(const struct bst_core5g *core, bst_key key, const char *sn_name,
                             const struct bst_core5g_challenge *from, size_t n,
                             struct bst_aka_vector v[API_CHUNK], struct bst_core5g_vector *ret)
{
    struct bst_aka_challenge challenges[API_CHUNK];
    for (size_t i = 0; i < n; i++) {
        challenges[i] = challenge_of(&from[i], sn_name);
    }
    BST_TRY(bst_aka_vectors_5g(core->se, key, challenges, n, v));
    for (size_t i = 0; i < n; i++) {
        memcpy(ret[i].rand, v[i].rand, sizeof ret[i].rand);
        memcpy(ret[i].autn, v[i].autn, sizeof ret[i].autn);
        memcpy(ret[i].xres_star, v[i].xres_star, sizeof ret[i].xres_star);
        memcpy(ret[i].hxres_star, v[i].hxres_star, sizeof ret[i].hxres_star);
        memcpy(ret[i].kausf, v[i].kausf, sizeof ret[i].kausf);
    }
    return BST_OK;
}

bst_result bst_core5g_vectors(const struct bst_core5g *core, const char *supi, const char *sn_name,
                              const struct bst_core5g_challenge *challenges, size_t n,
                              struct bst_core5g_vector *ret)
{
    struct bst_aka_vector v[API_CHUNK];
    bst_key key = 0;
    bst_result made = BST_OK;
    BST_ENSURE(sn_name && (n == 0 || (challenges && ret)), BST_E_USAGE);
    BST_TRY(find_subscriber(core, supi, &key));
    for (size_t at = 0; at < n && !bst_failed(made); at += API_CHUNK) {
        made = make_chunk(core, key, sn_name, challenges + at, api_chunk(n - at), v, ret + at);
    }
    bst_wipe(v, sizeof v);
    if (bst_failed(made)) {
        bst_wipe(ret, n * sizeof *ret);
    }
    return made;
}

static bst_result make_eap(const struct bst_core5g *core, bst_key key, const char *network_name,
                           const struct bst_core5g_challenge *from,
                           struct bst_core5g_vector_eap *ret)
{
    const struct bst_aka_challenge challenge = challenge_of(from, network_name);
    struct bst_aka_vector_eap v;
    BST_TRY(bst_aka_vector_prime(core->se, key, &challenge, &v));
    *ret = (struct bst_core5g_vector_eap){.xres_len = v.xres_bytes};
    memcpy(ret->rand, v.rand, sizeof ret->rand);
    memcpy(ret->autn, v.autn, sizeof ret->autn);
    memcpy(ret->xres, v.xres, v.xres_bytes);
    memcpy(ret->ck_prime, v.ck_prime, sizeof ret->ck_prime);
    memcpy(ret->ik_prime, v.ik_prime, sizeof ret->ik_prime);
    bst_wipe(&v, sizeof v);
    return BST_OK;
}

bst_result bst_core5g_vectors_eap(const struct bst_core5g *core, const char *supi,
                                  const char *network_name,
                                  const struct bst_core5g_challenge *challenges, size_t n,
                                  struct bst_core5g_vector_eap *ret)
{
    bst_key key = 0;
    bst_result made = BST_OK;
    BST_ENSURE(network_name && (n == 0 || (challenges && ret)), BST_E_USAGE);
    BST_TRY(find_subscriber(core, supi, &key));
    for (size_t i = 0; i < n && !bst_failed(made); i++) {
        made = make_eap(core, key, network_name, &challenges[i], &ret[i]);
    }
    if (bst_failed(made)) {
        bst_wipe(ret, n * sizeof *ret);
    }
    return made;
}

bst_result bst_core5g_eap_keys(const uint8_t ck_prime[16], const uint8_t ik_prime[16],
                               const char *identity, struct bst_core5g_eap_keys *ret)
{
    struct bst_eap_aka_keys keys;
    BST_ENSURE(ck_prime && ik_prime && identity && identity[0], BST_E_USAGE);
    BST_TRY(bst_eap_aka_prime(ik_prime, ck_prime, bst_view(identity), &keys));
    memcpy(ret->k_encr, keys.k_encr, sizeof ret->k_encr);
    memcpy(ret->k_aut, keys.k_aut, sizeof ret->k_aut);
    memcpy(ret->k_re, keys.k_re, sizeof ret->k_re);
    memcpy(ret->msk, keys.msk, sizeof ret->msk);
    memcpy(ret->emsk, keys.emsk, sizeof ret->emsk);
    bst_wipe(&keys, sizeof keys);
    return BST_OK;
}

bst_result bst_core5g_check_res_star(const uint8_t xres_star[16], const uint8_t res_star[16])
{
    BST_ENSURE(xres_star && res_star, BST_E_USAGE);
    return bst_aka_check_res_star(xres_star, res_star);
}

bst_result bst_core5g_check_hres_star(const uint8_t rand[16], const uint8_t hxres_star[16],
                                      const uint8_t res_star[16])
{
    BST_ENSURE(rand && hxres_star && res_star, BST_E_USAGE);
    return bst_aka_check_hres_star(rand, hxres_star, res_star);
}

bst_result bst_core5g_auts(const struct bst_core5g *core, const char *supi, const uint8_t rand[16],
                           const uint8_t auts[14], uint8_t ret_sqn[6])
{
    bst_key key = 0;
    BST_ENSURE(rand && auts && ret_sqn, BST_E_USAGE);
    BST_TRY(find_subscriber(core, supi, &key));
    return bst_aka_auts(core->se, key, rand, auts, ret_sqn);
}

/* ---- sequence numbers ---- */

struct bst_core5g_sqn {
    struct bst_core5g_sqn_store store;
    struct bst_sqn_host host;
    struct bst_sqn_counter counter;
    char supi[]; /* the counter has a pointer to it */
};

static bst_result store_load(void *ctx, const char *subscriber, uint64_t *ret_seq)
{
    const struct bst_core5g_sqn_store *store = ctx;
    return store->load(store->ctx, subscriber, ret_seq);
}

static bst_result store_keep(void *ctx, const char *subscriber, uint64_t seq)
{
    const struct bst_core5g_sqn_store *store = ctx;
    return store->keep(store->ctx, subscriber, seq);
}

bst_result bst_core5g_sqn_open(const struct bst_core5g_sqn_store *store, const char *supi,
                               uint64_t block, struct bst_core5g_sqn **ret)
{
    BST_ENSURE(store && store->load && store->keep && supi && ret, BST_E_USAGE);
    const size_t len = strlen(supi) + 1;
    bst_auto_free struct bst_core5g_sqn *sqn = bst_alloc(sizeof *sqn + len);
    BST_ENSURE(sqn, BST_E_NOMEM);
    memcpy(sqn->supi, supi, len);
    sqn->store = *store;
    sqn->host = (struct bst_sqn_host){&sqn->store, store_load, store_keep};
    BST_TRY(bst_sqn_open(&sqn->counter, &sqn->host, sqn->supi, block));
    *ret = bst_steal(&sqn);
    return BST_OK;
}

void bst_core5g_sqn_close(struct bst_core5g_sqn **slot)
{
    if (slot) {
        bst_free(bst_steal(slot));
    }
}

bst_result bst_core5g_sqn_next(struct bst_core5g_sqn *sqn, uint8_t ret[6])
{
    BST_ENSURE(sqn && ret, BST_E_USAGE);
    return bst_sqn_next(&sqn->counter, ret);
}

bst_result bst_core5g_challenges(struct bst_core5g_sqn *sqn, size_t n,
                                 struct bst_core5g_challenge *ret)
{
    struct bst_aka_challenge made[API_CHUNK] = {0};
    BST_ENSURE(sqn && (n == 0 || ret), BST_E_USAGE);
    for (size_t at = 0; at < n; at += API_CHUNK) {
        const size_t some = api_chunk(n - at);
        BST_TRY(bst_aka_challenges(&sqn->counter, made, some));
        for (size_t i = 0; i < some; i++) {
            memcpy(ret[at + i].rand, made[i].rand, sizeof ret->rand);
            memcpy(ret[at + i].sqn, made[i].sqn, sizeof ret->sqn);
        }
    }
    return BST_OK;
}

bst_result bst_core5g_sqn_resync(struct bst_core5g_sqn *sqn, const uint8_t sqn_ms[6])
{
    BST_ENSURE(sqn && sqn_ms, BST_E_USAGE);
    return bst_sqn_resync(&sqn->counter, sqn_ms);
}

/* What a device has accepted is in the caller's memory. */

_Static_assert(sizeof((struct bst_core5g_device){0}).accepted ==
                   sizeof((struct bst_sqn_array){0}).seq,
               "as many slots");

static struct bst_sqn_array array_of(const struct bst_core5g_device *device)
{
    struct bst_sqn_array array;
    memcpy(array.seq, device->accepted, sizeof array.seq);
    return array;
}

bool bst_core5g_sqn_fresh(const struct bst_core5g_device *device, const uint8_t sqn[6])
{
    const struct bst_sqn_array array = array_of(device);
    return bst_sqn_fresh(&array, sqn);
}

static bst_result device_load(void *ctx, struct bst_sqn_array *ret)
{
    *ret = array_of(ctx);
    return BST_OK;
}

static bst_result device_keep(void *ctx, const struct bst_sqn_array *array)
{
    struct bst_core5g_device *device = ctx;
    memcpy(device->accepted, array->seq, sizeof device->accepted);
    return BST_OK;
}

void bst_core5g_sqn_accept(struct bst_core5g_device *device, const uint8_t sqn[6])
{
    struct bst_sqn_array array = array_of(device);
    bst_sqn_accept(&array, sqn);
    memcpy(device->accepted, array.seq, sizeof device->accepted);
}

void bst_core5g_sqn_highest(const struct bst_core5g_device *device, uint8_t ret[6])
{
    const struct bst_sqn_array array = array_of(device);
    bst_sqn_highest(&array, ret);
}

/* ---- a device's answer ---- */

_Static_assert((int)BST_CORE5G_SYNC_FAILURE == (int)BST_USIM_SYNC_FAILURE &&
                   (int)BST_CORE5G_NOT_5G == (int)BST_USIM_NOT_5G,
               "verdicts have the same order");

static bst_result ask(const struct bst_core5g *core, const char *supi, const char *sn_name,
                      const uint8_t *rand, const uint8_t *autn, struct bst_core5g_device *device,
                      struct bst_usim_answer *ret)
{
    const struct bst_usim_host host = {device, device_load, device_keep};
    struct bst_usim usim;
    bst_key key = 0;
    BST_ENSURE(sn_name && rand && autn && device, BST_E_USAGE);
    BST_TRY(find_subscriber(core, supi, &key));
    BST_TRY(bst_usim_open(&usim, core->se, key, &host));
    return bst_usim_answer(&usim, rand, autn, bst_view(sn_name), ret);
}

bst_result bst_core5g_answer(const struct bst_core5g *core, const char *supi, const char *sn_name,
                             const uint8_t rand[16], const uint8_t autn[16],
                             struct bst_core5g_device *device, struct bst_core5g_answer *ret)
{
    struct bst_usim_answer answer;
    BST_TRY(ask(core, supi, sn_name, rand, autn, device, &answer));
    ret->verdict = (enum bst_core5g_verdict)answer.verdict;
    memcpy(ret->res_star, answer.res_star, sizeof ret->res_star);
    memcpy(ret->kausf, answer.kausf, sizeof ret->kausf);
    memcpy(ret->auts, answer.auts, sizeof ret->auts);
    bst_wipe(&answer, sizeof answer);
    return BST_OK;
}

bst_result bst_core5g_answer_eap(const struct bst_core5g *core, const char *supi,
                                 const char *network_name, const uint8_t rand[16],
                                 const uint8_t autn[16], struct bst_core5g_device *device,
                                 struct bst_core5g_answer_eap *ret)
{
    struct bst_usim_answer answer;
    BST_TRY(ask(core, supi, network_name, rand, autn, device, &answer));
    ret->verdict = (enum bst_core5g_verdict)answer.verdict;
    ret->res_len = answer.res_bytes;
    memcpy(ret->res, answer.res, sizeof ret->res);
    memcpy(ret->ck_prime, answer.ck_prime, sizeof ret->ck_prime);
    memcpy(ret->ik_prime, answer.ik_prime, sizeof ret->ik_prime);
    memcpy(ret->auts, answer.auts, sizeof ret->auts);
    bst_wipe(&answer, sizeof answer);
    return BST_OK;
}
