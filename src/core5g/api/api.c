/* The installed library: the calls of include/bastide/core5g.h over the folders beside this one. */
#include "core5g/air/air.h"
#include "core5g/aka/aka.h"
#include "core5g/aka/keyfile.h"
#include "core5g/suci/sidf.h"

#include <bastide/core5g.h>

struct bst_core5g {
    struct bst_se *se;
    int64_t (*wall_us)(void);
    struct bst_sidf sidf;
};

/* ---- opening ---- */

static int64_t se_clock(void *ctx)
{
    struct bst_core5g *core = ctx;
    return core->wall_us();
}

bst_result bst_core5g_open(const char *uri, int64_t (*wall_us)(void), struct bst_core5g **ret)
{
    struct bst_se_host host = {0};
    struct bst_core5g *core = bst_alloc(sizeof *core);
    BST_ENSURE(core, BST_E_NOMEM);
    core->wall_us = wall_us;
    bst_se_host_file(&host, se_clock);
    host.ctx = core;
    bst_result opened = bst_se_open(&host, uri, &core->se);
    if (!bst_failed(opened)) {
        opened = bst_sidf_init(&core->sidf, core->se, wall_us);
    }
    if (bst_failed(opened)) {
        bst_core5g_close(&core);
        return opened;
    }
    *ret = core;
    return BST_OK;
}

void bst_core5g_close(struct bst_core5g **slot)
{
    struct bst_core5g *core = bst_steal(slot);
    if (core) {
        bst_se_close(&core->se);
        bst_free(core);
    }
}

/* ---- concealed identities ---- */

static bst_result find_scheme(const char *name, const struct bst_suci_scheme **ret)
{
    *ret = bst_suci_scheme_named(bst_view(name));
    if (!*ret) {
        BST_FAIL(BST_E_VALUE, "there is no protection scheme '%s'", name);
    }
    return BST_OK;
}

static bst_result find_home_key(const struct bst_core5g *core, uint8_t id,
                                const struct bst_hn_key **ret)
{
    for (size_t i = 0; i < core->sidf.n; i++) {
        if (core->sidf.keys[i].id == id) {
            *ret = &core->sidf.keys[i];
            return BST_OK;
        }
    }
    BST_FAIL(BST_E_NOT_FOUND, "there is no home network key with id %u", (unsigned)id);
}

bst_result bst_core5g_home_key(struct bst_core5g *core, const char *scheme, uint8_t id,
                               struct bst_view private_key)
{
    const struct bst_suci_scheme *row = NULL;
    struct bst_se_about about;
    BST_TRY(find_scheme(scheme, &row));
    bst_se_about(core->se, &about);
    const struct bst_hn_wish wish = {
        .id = id,
        .scheme = row->id,
        .from_us = core->wall_us(),
        .private_key = private_key,
        .temporary = about.unique[0] == '\0', /* it keeps nothing */
    };
    BST_TRY(bst_hn_key_add(core->se, &wish));
    return bst_sidf_init(&core->sidf, core->se, core->wall_us);
}

bst_result bst_core5g_home_public(const struct bst_core5g *core, uint8_t id,
                                  uint8_t out[BST_CORE5G_PUBLIC_MAX], size_t *ret_len)
{
    const struct bst_hn_key *key = NULL;
    BST_TRY(find_home_key(core, id, &key));
    *ret_len = bst_suci_scheme(key->scheme)->public_bytes;
    memcpy(out, key->public_key, *ret_len);
    return BST_OK;
}

bst_result bst_core5g_home_key_remove(struct bst_core5g *core, uint8_t id)
{
    BST_TRY(bst_hn_key_remove(core->se, id));
    return bst_sidf_init(&core->sidf, core->se, core->wall_us);
}

static bst_result give_text(struct bst_buf *text, char *out, size_t size)
{
    bst_buf_addc(text, '\0');
    BST_TRY(bst_buf_check(text));
    BST_ENSURE(text->len <= size, BST_E_TOO_LONG);
    memcpy(out, text->ptr, text->len);
    return BST_OK;
}

bst_result bst_core5g_conceal(const char *supi, unsigned mnc_digits, const char *scheme, uint8_t id,
                              struct bst_view public_key, char ret_suci[BST_CORE5G_SUCI_MAX])
{
    const struct bst_suci_scheme *row = NULL;
    struct bst_suci_home home = {.key_id = id};
    struct bst_supi parsed;
    bst_auto(suci) suci = {0};
    bst_auto(buf) text = {0};
    BST_TRY(find_scheme(scheme, &row));
    home.scheme = row->id;
    BST_TRY(bst_supi_parse(bst_view(supi), mnc_digits, &parsed));
    if (row->keyed) {
        BST_TRY(row->read_public(row, public_key, home.public_key));
    }
    BST_TRY(bst_suci_conceal(&parsed, &home, &suci));
    BST_TRY(bst_suci_format(&suci, &text));
    return give_text(&text, ret_suci, BST_CORE5G_SUCI_MAX);
}

bst_result bst_core5g_reveal(const struct bst_core5g *core, const char *suci,
                             char ret_supi[BST_CORE5G_SUPI_MAX])
{
    bst_auto(suci) parsed = {0};
    bst_auto(buf) text = {0};
    struct bst_supi supi;
    BST_TRY(bst_suci_parse(bst_view(suci), &parsed));
    BST_TRY(bst_sidf_reveal(&core->sidf, &parsed, &supi));
    bst_supi_format(&supi, &text);
    return give_text(&text, ret_supi, BST_CORE5G_SUPI_MAX);
}

/* ---- authentication ---- */

bst_result bst_core5g_subscriber(struct bst_core5g *core, const char *supi, struct bst_view keys)
{
    struct bst_se_about about;
    struct bst_aka_keys parsed;
    struct bst_supi unused;
    bst_key key;
    BST_TRY(bst_supi_parse(bst_view(supi), 2, &unused));
    BST_TRY(bst_aka_keyfile_parse(keys, &parsed));
    bst_se_about(core->se, &about);
    bst_result made = bst_aka_subscribe(core->se, supi, &parsed, about.unique[0] != '\0', &key);
    bst_aka_keys_clear(&parsed);
    return made;
}

#define CHUNK 16

static bst_result make_chunk(const struct bst_core5g *core, bst_key key, struct bst_view sn_name,
                             const struct bst_core5g_challenge *from, size_t n,
                             struct bst_aka_vector v[CHUNK], struct bst_core5g_vector *ret)
{
    struct bst_aka_challenge challenges[CHUNK];
    for (size_t i = 0; i < n; i++) {
        challenges[i] =
            (struct bst_aka_challenge){.amf = {BST_AKA_AMF_SEPARATION}, .sn_name = sn_name};
        memcpy(challenges[i].rand, from[i].rand, sizeof challenges[i].rand);
        memcpy(challenges[i].sqn, from[i].sqn, sizeof challenges[i].sqn);
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
    struct bst_aka_vector v[CHUNK];
    bst_key key;
    bst_result made = BST_OK;
    BST_TRY(bst_aka_subscriber(core->se, supi, &key));
    for (size_t at = 0; at < n && !bst_failed(made); at += CHUNK) {
        made = make_chunk(core, key, bst_view(sn_name), challenges + at,
                          n - at < CHUNK ? n - at : CHUNK, v, ret + at);
    }
    bst_wipe(v, sizeof v);
    if (bst_failed(made)) {
        bst_wipe(ret, n * sizeof *ret);
    }
    return made;
}

bst_result bst_core5g_auts(const struct bst_core5g *core, const char *supi, const uint8_t rand[16],
                           const uint8_t auts[14], uint8_t ret_sqn[6])
{
    bst_key key;
    BST_TRY(bst_aka_subscriber(core->se, supi, &key));
    return bst_aka_auts(core->se, key, rand, auts, ret_sqn);
}

/* What the device has accepted is in the caller's memory. */
static bst_result device_load(void *ctx, struct bst_sqn_array *ret)
{
    const struct bst_core5g_device *device = ctx;
    memcpy(ret->seq, device->accepted, sizeof ret->seq);
    return BST_OK;
}

static bst_result device_keep(void *ctx, const struct bst_sqn_array *array)
{
    struct bst_core5g_device *device = ctx;
    memcpy(device->accepted, array->seq, sizeof device->accepted);
    return BST_OK;
}

bst_result bst_core5g_answer(const struct bst_core5g *core, const char *supi, const char *sn_name,
                             const uint8_t rand[16], const uint8_t autn[16],
                             struct bst_core5g_device *device, struct bst_core5g_answer *ret)
{
    const struct bst_usim_host host = {device, device_load, device_keep};
    struct bst_usim usim;
    struct bst_usim_answer answer;
    bst_key key;
    BST_TRY(bst_aka_subscriber(core->se, supi, &key));
    BST_TRY(bst_usim_open(&usim, core->se, key, &host));
    BST_TRY(bst_usim_answer(&usim, rand, autn, bst_view(sn_name), &answer));
    ret->verdict = (enum bst_core5g_verdict)answer.verdict;
    memcpy(ret->res_star, answer.res_star, sizeof ret->res_star);
    memcpy(ret->kausf, answer.kausf, sizeof ret->kausf);
    memcpy(ret->auts, answer.auts, sizeof ret->auts);
    bst_wipe(&answer, sizeof answer);
    return BST_OK;
}
_Static_assert((int)BST_CORE5G_SYNC_FAILURE == (int)BST_USIM_SYNC_FAILURE &&
                   (int)BST_CORE5G_NOT_5G == (int)BST_USIM_NOT_5G,
               "verdicts have the same order");
_Static_assert(sizeof((struct bst_core5g_device){0}).accepted ==
                   sizeof((struct bst_sqn_array){0}).seq,
               "as many slots");

/* ---- keys ---- */

bst_result bst_core5g_derive(const char *clause, struct bst_view key, const struct bst_view *params,
                             size_t n, uint8_t out[32], size_t *ret_len)
{
    for (unsigned which = 0; which < BST_5G_KDF_COUNT; which++) {
        const struct bst_5g_kdf_row *row = bst_5g_kdf_row((enum bst_5g_kdf)which);
        if (strcmp(row->clause, clause) == 0) {
            *ret_len = row->out;
            return bst_5g_derive((enum bst_5g_kdf)which, key, params, n, out);
        }
    }
    BST_FAIL(BST_E_VALUE, "TS 33.501 has no derivation '%s'", clause);
}

/* ---- air interface ---- */

static bst_result air_begin(const char *name, enum bst_air_kind kind, struct bst_view value,
                            const struct bst_core5g_place *place, struct bst_air_key *key,
                            uint8_t iv[BST_AIR_IV_BYTES])
{
    const struct bst_air_algorithm *algorithm = bst_air_named(bst_view(name));
    const struct bst_air_place at = {place->count, place->bearer,
                                     place->downlink ? BST_AIR_DOWNLINK : BST_AIR_UPLINK};
    if (!algorithm || algorithm->kind != kind || algorithm->id == 0) {
        BST_FAIL(BST_E_VALUE, "'%s' is no algorithm for this", name);
    }
    BST_TRY(bst_air_key_init(key, algorithm, value, 0));
    return bst_air_iv(key, &at, iv);
}

bst_result bst_core5g_cipher(const char *algorithm, struct bst_view key,
                             const struct bst_core5g_place *place, struct bst_view in, uint8_t *out)
{
    bst_auto(air_key) k = {0};
    uint8_t iv[BST_AIR_IV_BYTES];
    BST_TRY(air_begin(algorithm, BST_AIR_NEA, key, place, &k, iv));
    return bst_air_cipher(&k, iv, (const uint8_t *)in.ptr, in.len * 8, out);
}

bst_result bst_core5g_mac(const char *algorithm, struct bst_view key,
                          const struct bst_core5g_place *place, struct bst_view in,
                          uint8_t ret_tag[4])
{
    bst_auto(air_key) k = {0};
    uint8_t iv[BST_AIR_IV_BYTES], tag[BST_AIR_TAG_MAX];
    BST_TRY(air_begin(algorithm, BST_AIR_NIA, key, place, &k, iv));
    BST_TRY(bst_air_mac(&k, iv, (const uint8_t *)in.ptr, in.len * 8, tag));
    memcpy(ret_tag, tag, 4);
    return BST_OK;
}

bst_result bst_core5g_mac_check(const char *algorithm, struct bst_view key,
                                const struct bst_core5g_place *place, struct bst_view in,
                                const uint8_t tag[4])
{
    bst_auto(air_key) k = {0};
    uint8_t iv[BST_AIR_IV_BYTES];
    BST_TRY(air_begin(algorithm, BST_AIR_NIA, key, place, &k, iv));
    return bst_air_check(&k, iv, (const uint8_t *)in.ptr, in.len * 8, bst_view_of(tag, 4));
}
