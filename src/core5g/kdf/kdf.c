/* The KDF of TS 33.220 and the table of TS 33.501 Annex A. */
#include "core5g/kdf/kdf.h"

#include "crypto/digest.h"

#include <stdio.h>

#define PARAMS_POSSIBLE 14

/* FC || P0 || L0 || P1 || L1 ... in parts. */
struct input {
    struct bst_view parts[1 + 2 * PARAMS_POSSIBLE];
    size_t n;
    uint8_t fc, lengths[PARAMS_POSSIBLE][2];
};

static bst_result fill(struct input *s, uint8_t fc, const struct bst_view *params, size_t n)
{
    BST_ENSURE(n <= PARAMS_POSSIBLE, BST_E_USAGE);
    s->fc = fc;
    s->n = 0;
    s->parts[s->n++] = bst_view_of(&s->fc, 1);
    for (size_t i = 0; i < n; i++) {
        BST_ENSURE(params[i].len <= UINT16_MAX, BST_E_USAGE);
        s->lengths[i][0] = (uint8_t)(params[i].len >> 8);
        s->lengths[i][1] = (uint8_t)params[i].len;
        s->parts[s->n++] = params[i];
        s->parts[s->n++] = bst_view_of(s->lengths[i], 2);
    }
    return BST_OK;
}

bst_result bst_kdf(struct bst_view key, uint8_t fc, const struct bst_view *params, size_t n,
                   uint8_t out[BST_5G_KEY_BYTES])
{
    struct input s;
    BST_TRY(fill(&s, fc, params, n));
    return bst_hmac_sha256(key, s.parts, s.n, out);
}

bst_result bst_kdf_keyed(struct bst_hmac *key, uint8_t fc, const struct bst_view *params, size_t n,
                         uint8_t out[BST_5G_KEY_BYTES])
{
    struct input s;
    BST_TRY(fill(&s, fc, params, n));
    return bst_hmac_run(key, s.parts, s.n, out);
}

/* CK and IK have 128 or, with TUAK and MILENAGE-256, 256 bits each. */
#define CK_IK 32, 64
#define KEY 32, 32
#define SN_NAME                                                                                    \
    {                                                                                              \
        1, 255                                                                                     \
    }
#define COUNT                                                                                      \
    {                                                                                              \
        4, 4                                                                                       \
    }
#define FULL 32
#define LOW128 16

static const struct bst_5g_kdf_row rows[BST_5G_KDF_COUNT] = {
    [BST_5G_KAUSF] = {"KAUSF", "A.2", 0x6a, CK_IK, 2, 0, {SN_NAME, {6, 6}}, FULL},
    [BST_5G_CK_IK_PRIME] = {"CK' and IK'", "A.3", 0x20, CK_IK, 2, 0, {SN_NAME, {6, 6}}, FULL},
    [BST_5G_RES_STAR] = {"RES*", "A.4", 0x6b, CK_IK, 3, 0, {SN_NAME, {16, 16}, {4, 16}}, LOW128},
    [BST_5G_KSEAF] = {"KSEAF", "A.6", 0x6c, KEY, 1, 0, {SN_NAME}, FULL},
    [BST_5G_KAMF] = {"KAMF", "A.7", 0x6d, KEY, 2, 0, {{1, 255}, {2, 255}}, FULL},
    [BST_5G_ALGORITHM_KEY] = {"algorithm key", "A.8", 0x69, KEY, 2, 0, {{1, 1}, {1, 1}}, FULL},
    [BST_5G_KGNB] = {"KgNB", "A.9", 0x6e, KEY, 2, 0, {COUNT, {1, 1}}, FULL},
    [BST_5G_NH] = {"NH", "A.10", 0x6f, KEY, 1, 0, {{32, 32}}, FULL},
    [BST_5G_KNG_RAN_STAR] = {"KNG-RAN*", "A.11", 0x70, KEY, 2, 0, {{2, 2}, {3, 3}}, FULL},
    [BST_5G_KNG_RAN_STAR_ENB] =
        {"KNG-RAN* (ng-eNB)", "A.12", 0x71, KEY, 2, 0, {{2, 2}, {3, 3}}, FULL},
    [BST_5G_KAMF_PRIME] = {"KAMF'", "A.13", 0x72, KEY, 2, 0, {{1, 1}, COUNT}, FULL},
    [BST_5G_KASME_IDLE] = {"KASME' (idle)", "A.14.1", 0x73, KEY, 1, 0, {COUNT}, FULL},
    [BST_5G_KASME_HANDOVER] = {"KASME' (handover)", "A.14.2", 0x74, KEY, 1, 0, {COUNT}, FULL},
    [BST_5G_KAMF_FROM_TAU] = {"KAMF' (idle, from EPS)", "A.15.1", 0x75, KEY, 1, 0, {COUNT}, FULL},
    [BST_5G_KAMF_FROM_NH] =
        {"KAMF' (handover, from EPS)", "A.15.2", 0x76, KEY, 1, 0, {{32, 32}}, FULL},
    [BST_5G_KSN] = {"KSN", "A.16", 0x79, KEY, 1, 0, {{2, 2}}, FULL},
    [BST_5G_SOR_MAC_AUSF] =
        {"SoR-MAC-IAUSF", "A.17", 0x77, KEY, 3, 1, {{1, 255}, {2, 2}, {1, 65535}}, LOW128},
    [BST_5G_SOR_MAC_UE] = {"SoR-MAC-IUE", "A.18", 0x78, KEY, 2, 0, {{1, 1}, {2, 2}}, LOW128},
    [BST_5G_UPU_MAC_AUSF] =
        {"UPU-MAC-IAUSF", "A.19", 0x7b, KEY, 2, 0, {{1, 65535}, {2, 2}}, LOW128},
    [BST_5G_UPU_MAC_UE] = {"UPU-MAC-IUE", "A.20", 0x7c, KEY, 2, 0, {{1, 1}, {2, 2}}, LOW128},
    [BST_5G_KASME_SRVCC] = {"KASME_SRVCC", "A.21", 0x7d, KEY, 1, 0, {COUNT}, FULL},
    [BST_5G_KTNGF_USE] = {"KTIPSec, KTNAP, KFT", "A.22", 0x84, KEY, 1, 0, {{1, 1}}, FULL},
    [BST_5G_KIAB] = {"KIAB", "A.23", 0x83, KEY, 2, 0, {{4, 16}, {4, 16}}, FULL},
};

const struct bst_5g_kdf_row *bst_5g_kdf_row(enum bst_5g_kdf which)
{
    return (unsigned)which < BST_5G_KDF_COUNT ? &rows[which] : NULL;
}

static bst_result check(const struct bst_5g_kdf_row *row, size_t key_len,
                        const struct bst_view *params, size_t n)
{
    if (key_len < row->key_min || key_len > row->key_max) {
        BST_FAIL(BST_E_VALUE, "%s (TS 33.501 %s): the input key has %zu octets", row->name,
                 row->clause, key_len);
    }
    if (n > row->n_params || n + row->optional < row->n_params) {
        BST_FAIL(BST_E_USAGE, "%s (TS 33.501 %s) has %u parameters", row->name, row->clause,
                 (unsigned)row->n_params);
    }
    for (size_t i = 0; i < n; i++) {
        if (params[i].len < row->param[i].min || params[i].len > row->param[i].max) {
            BST_FAIL(BST_E_VALUE, "%s (TS 33.501 %s): parameter P%zu has %zu octets", row->name,
                     row->clause, i, params[i].len);
        }
    }
    return BST_OK;
}

static void take(const struct bst_5g_kdf_row *row, uint8_t full[BST_5G_KEY_BYTES], uint8_t *out)
{
    memcpy(out, full + (BST_5G_KEY_BYTES - row->out), row->out);
    bst_wipe(full, BST_5G_KEY_BYTES);
}

bst_result bst_5g_derive(enum bst_5g_kdf which, struct bst_view key, const struct bst_view *params,
                         size_t n, uint8_t *out)
{
    const struct bst_5g_kdf_row *row = bst_5g_kdf_row(which);
    uint8_t full[BST_5G_KEY_BYTES];
    BST_ENSURE(row, BST_E_USAGE);
    BST_TRY(check(row, key.len, params, n));
    BST_TRY(bst_kdf(key, row->fc, params, n, full));
    take(row, full, out);
    return BST_OK;
}

bst_result bst_5g_derive_keyed(enum bst_5g_kdf which, struct bst_hmac *key,
                               const struct bst_view *params, size_t n, uint8_t *out)
{
    const struct bst_5g_kdf_row *row = bst_5g_kdf_row(which);
    uint8_t full[BST_5G_KEY_BYTES];
    BST_ENSURE(row, BST_E_USAGE);
    BST_TRY(check(row, key->key_bytes, params, n));
    BST_TRY(bst_kdf_keyed(key, row->fc, params, n, full));
    take(row, full, out);
    return BST_OK;
}

bst_result bst_5g_hres_star(const uint8_t rand[16], const uint8_t res_star[16], uint8_t out[16])
{
    uint8_t digest[BST_SHA256_BYTES];
    const struct bst_view parts[] = {bst_view_of(rand, 16), bst_view_of(res_star, 16)};
    BST_TRY(bst_digest(BST_MD_SHA256, parts, 2, digest));
    memcpy(out, digest + 16, 16);
    return BST_OK;
}

bst_result bst_5g_keys_below_kausf(struct bst_5g_keys *ret, struct bst_view sn_name,
                                   struct bst_view supi, struct bst_view abba)
{
    const struct bst_view amf_params[] = {supi, abba};
    BST_TRY(bst_5g_derive(BST_5G_KSEAF, bst_view_of(ret->kausf, BST_5G_KEY_BYTES), &sn_name, 1,
                          ret->kseaf));
    return bst_5g_derive(BST_5G_KAMF, bst_view_of(ret->kseaf, BST_5G_KEY_BYTES), amf_params, 2,
                         ret->kamf);
}

/* ---- serving network name ---- */

static bool all_digits(struct bst_view v, size_t min, size_t max)
{
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] < '0' || v.ptr[i] > '9') {
            return false;
        }
    }
    return v.len >= min && v.len <= max;
}

static bool is_nid(struct bst_view v)
{
    bool ok = v.len == 11;
    for (size_t i = 0; ok && i < v.len; i++) {
        ok = strchr("0123456789ABCDEFabcdef", v.ptr[i]) && v.ptr[i];
    }
    return ok;
}

bst_result bst_5g_sn_name(struct bst_view mcc, struct bst_view mnc, const char *nid,
                          char out[BST_5G_SN_NAME_MAX])
{
    if (!all_digits(mcc, 3, 3) || !all_digits(mnc, 2, 3)) {
        BST_FAIL(BST_E_VALUE, "an MCC has 3 digits, an MNC 2 or 3");
    }
    if (nid && !is_nid(bst_view(nid))) {
        BST_FAIL(BST_E_VALUE, "a network identifier has 11 hexadecimal digits");
    }
    snprintf(out, BST_5G_SN_NAME_MAX, "5G:mnc%s%.*s.mcc%.3s.3gppnetwork.org%s%s",
             mnc.len == 2 ? "0" : "", (int)mnc.len, mnc.ptr, mcc.ptr, nid ? ":" : "",
             nid ? nid : "");
    return BST_OK;
}

bst_result bst_5g_sn_name_check(struct bst_view name)
{
    static const char form[] = "5G:mnc###.mcc###.3gppnetwork.org";
    const size_t len = sizeof form - 1;
    bool ok = name.len >= len;
    for (size_t i = 0; ok && i < len; i++) {
        ok = form[i] == '#' ? name.ptr[i] >= '0' && name.ptr[i] <= '9' : name.ptr[i] == form[i];
    }
    struct bst_view rest = bst_view_from(name, len);
    if (!ok || (rest.len && (rest.ptr[0] != ':' || !is_nid(bst_view_from(rest, 1))))) {
        BST_FAIL(BST_E_VALUE,
                 "'%.*s' is no serving network name; an example is "
                 "5G:mnc001.mcc001.3gppnetwork.org, with three digits of MNC",
                 (int)(name.len < 64 ? name.len : 64), name.len ? name.ptr : "");
    }
    return BST_OK;
}

/* ---- EAP-AKA' ---- */

/* RFC 5448 3.4: T1 = PRF(K, S || 01), Ti = PRF(K, Ti-1 || S || i). */
static bst_result prf_prime(struct bst_view key, const struct bst_view seed[2], uint8_t *out,
                            size_t blocks)
{
    for (size_t i = 0; i < blocks; i++) {
        const uint8_t number = (uint8_t)(i + 1);
        const struct bst_view before = i ? bst_view_of(out + (i - 1) * 32, 32) : BST_VIEW("");
        const struct bst_view parts[] = {before, seed[0], seed[1], bst_view_of(&number, 1)};
        BST_TRY(bst_hmac_sha256(key, parts, 4, out + i * 32));
    }
    return BST_OK;
}

bst_result bst_eap_aka_prime(const uint8_t ik_prime[16], const uint8_t ck_prime[16],
                             struct bst_view identity, struct bst_eap_aka_keys *ret)
{
    uint8_t key[32], mk[7 * 32];
    const struct bst_view seed[] = {BST_VIEW("EAP-AKA'"), identity};
    memcpy(key, ik_prime, 16);
    memcpy(key + 16, ck_prime, 16);
    bst_result made = prf_prime(bst_view_of(key, sizeof key), seed, mk, 7);
    if (!bst_failed(made)) {
        memcpy(ret->k_encr, mk, 16);
        memcpy(ret->k_aut, mk + 16, 32);
        memcpy(ret->k_re, mk + 48, 32);
        memcpy(ret->msk, mk + 80, 64);
        memcpy(ret->emsk, mk + 144, 64);
    }
    bst_wipe(key, sizeof key);
    bst_wipe(mk, sizeof mk);
    return made;
}
