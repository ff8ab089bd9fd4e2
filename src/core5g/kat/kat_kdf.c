/* Vectors of the key hierarchy: the shape is told by a member that only it has. */
#include "core5g/aka/functions.h"
#include "core5g/kat/kat_priv.h"
#include "core5g/kdf/kdf.h"

#define KEY BST_5G_KEY_BYTES

static bst_result read_ck_ik(const struct kat *kat, uint8_t out[32])
{
    BST_TRY(kat_fixed(kat, "ck", out, 16));
    return kat_fixed(kat, "ik", out + 16, 16);
}

static bst_result kausf_of(const uint8_t ck_ik[32], struct bst_view sn_name,
                           const uint8_t hidden[6], uint8_t out[KEY])
{
    const struct bst_view params[] = {sn_name, bst_view_of(hidden, 6)};
    return bst_5g_derive(BST_5G_KAUSF, bst_view_of(ck_ik, 32), params, 2, out);
}

/* KAUSF, KSEAF, KAMF, KgNB, each from the one before. */
static bst_result chain(struct kat *kat)
{
    uint8_t ck_ik[32], ak[6], hidden[6], count[4], kgnb[KEY];
    struct bst_view sn_name, supi, abba;
    struct bst_5g_keys keys;
    int64_t access;
    BST_TRY(read_ck_ik(kat, ck_ik));
    BST_TRY(kat_fixed(kat, "ak", ak, 6));
    BST_TRY(kat_fixed(kat, "sqn", hidden, 6));
    BST_TRY(kat_text(kat, "serving_network_name", &sn_name));
    BST_TRY(kat_text(kat, "supi", &supi));
    BST_TRY(kat_octets(kat, "abba", &abba));
    BST_TRY(kat_fixed(kat, "ul_nas_count", count, 4));
    BST_TRY(kat_number(kat, "access_type", 255, &access));
    for (int i = 0; i < 6; i++) {
        hidden[i] ^= ak[i];
    }
    BST_TRY(kausf_of(ck_ik, sn_name, hidden, keys.kausf));
    BST_TRY(bst_5g_keys_below_kausf(&keys, sn_name, supi, abba));
    const uint8_t type = (uint8_t)access;
    const struct bst_view params[] = {bst_view_of(count, 4), bst_view_of(&type, 1)};
    BST_TRY(bst_5g_derive(BST_5G_KGNB, bst_view_of(keys.kamf, KEY), params, 2, kgnb));
    BST_TRY(kat_answer(kat, "kausf", keys.kausf, KEY));
    BST_TRY(kat_answer(kat, "kseaf", keys.kseaf, KEY));
    BST_TRY(kat_answer(kat, "kamf", keys.kamf, KEY));
    return kat_answer(kat, "kgnb", kgnb, KEY);
}

/* Where K and OPc are given, CK, IK and RES are answers too. */
static bst_result check_milenage(struct kat *kat, const uint8_t rand[16])
{
    struct bst_aka_keys keys = bst_aka_milenage.usual;
    struct bst_aka_in in = {0};
    struct bst_aka_out out;
    if (!kat_has(kat, "k") || !kat_has(kat, "opc")) {
        return BST_OK;
    }
    BST_TRY(kat_fixed(kat, "k", keys.k, 16));
    BST_TRY(kat_fixed(kat, "opc", keys.opc, 16));
    memcpy(in.rand, rand, 16);
    BST_TRY(bst_aka_run(&keys, &in, BST_AKA_F2345, &out));
    BST_TRY(kat_answer(kat, "res", out.res, keys.res_bytes));
    BST_TRY(kat_answer(kat, "ck", out.ck, 16));
    return kat_answer(kat, "ik", out.ik, 16);
}

static bst_result res_star(struct kat *kat)
{
    uint8_t ck_ik[32], rand[16], star[16], hashed[16];
    struct bst_view sn_name, res;
    BST_TRY(read_ck_ik(kat, ck_ik));
    BST_TRY(kat_fixed(kat, "rand", rand, 16));
    BST_TRY(kat_sized(kat, "res", 4, 16, &res));
    BST_TRY(kat_text(kat, "serving_network_name", &sn_name));
    const struct bst_view params[] = {sn_name, bst_view_of(rand, 16), res};
    BST_TRY(bst_5g_derive(BST_5G_RES_STAR, bst_view_of(ck_ik, 32), params, 3, star));
    BST_TRY(kat_answer(kat, "xres_star", star, 16));
    BST_TRY(bst_5g_hres_star(rand, star, hashed));
    BST_TRY(kat_answer(kat, "hxres_star", hashed, 16));
    return check_milenage(kat, rand);
}

static bst_result algorithm_key(struct kat *kat)
{
    uint8_t key[KEY], out[KEY], ids[2];
    int64_t type, algorithm;
    BST_TRY(kat_fixed(kat, "kgnb", key, KEY));
    BST_TRY(kat_number(kat, "algorithm_type_distinguisher", 255, &type));
    BST_TRY(kat_number(kat, "algorithm_identity", 255, &algorithm));
    ids[0] = (uint8_t)type;
    ids[1] = (uint8_t)algorithm;
    const struct bst_view params[] = {bst_view_of(ids, 1), bst_view_of(ids + 1, 1)};
    BST_TRY(bst_5g_derive(BST_5G_ALGORITHM_KEY, bst_view_of(key, KEY), params, 2, out));
    BST_TRY(kat_answer(kat, "output_256", out, KEY));
    return kat_answer(kat, "key_128", out + 16, 16);
}

static bst_result prime(struct kat *kat)
{
    uint8_t ck_ik[32], hidden[6], out[KEY];
    struct bst_view network;
    BST_TRY(read_ck_ik(kat, ck_ik));
    BST_TRY(kat_text(kat, "access_network", &network));
    BST_TRY(kat_fixed(kat, "sqn_xor_ak", hidden, 6));
    const struct bst_view params[] = {network, bst_view_of(hidden, 6)};
    BST_TRY(bst_5g_derive(BST_5G_CK_IK_PRIME, bst_view_of(ck_ik, 32), params, 2, out));
    BST_TRY(kat_answer(kat, "ck_prime", out, 16));
    return kat_answer(kat, "ik_prime", out + 16, 16);
}

/* The conforming output must differ from a wrong one. */
static bst_result differs(const struct kat *kat, const char *name, const uint8_t right[KEY])
{
    struct bst_view wrong;
    BST_TRY(kat_octets(kat, name, &wrong));
    if (bst_view_eq(wrong, bst_view_of(right, KEY))) {
        BST_FAIL(BST_E_VALUE, "field '%s' is the conforming output, not a wrong one", name);
    }
    return BST_OK;
}

static bst_result short_arfcn(struct kat *kat)
{
    uint8_t key[KEY], wrong[KEY], right[KEY];
    int64_t pci, arfcn;
    BST_TRY(kat_fixed(kat, "kgnb", key, KEY));
    BST_TRY(kat_number(kat, "pci", UINT16_MAX, &pci));
    BST_TRY(kat_number(kat, "arfcn_dl", UINT16_MAX, &arfcn));
    const uint8_t p[] = {(uint8_t)(pci >> 8), (uint8_t)pci};
    const uint8_t a[] = {0, (uint8_t)(arfcn >> 8), (uint8_t)arfcn};
    const struct bst_view two[] = {bst_view_of(p, 2), bst_view_of(a + 1, 2)};
    const struct bst_view three[] = {bst_view_of(p, 2), bst_view_of(a, 3)};
    const uint8_t fc = bst_5g_kdf_row(BST_5G_KNG_RAN_STAR)->fc;
    BST_TRY(bst_kdf(bst_view_of(key, KEY), fc, two, 2, wrong));
    BST_TRY(kat_answer(kat, "peer_output", wrong, KEY));
    BST_TRY(bst_5g_derive(BST_5G_KNG_RAN_STAR, bst_view_of(key, KEY), three, 2, right));
    return differs(kat, "peer_output", right);
}

/* MCC and MNC of "5G:mnc<MNC>.mcc<MCC>.", whatever their length. */
static bst_result conforming_name(struct bst_view wrong, char out[BST_5G_SN_NAME_MAX])
{
    struct bst_view rest = wrong, mnc, mcc;
    bool ok = bst_view_starts(rest, BST_VIEW("5G:mnc"));
    rest = bst_view_from(rest, 6);
    ok = ok && bst_view_cut(&rest, '.', &mnc) && bst_view_starts(rest, BST_VIEW("mcc"));
    rest = bst_view_from(rest, 3);
    if (!ok || !bst_view_cut(&rest, '.', &mcc)) {
        BST_FAIL(BST_E_VALUE, "field 'wrong_serving_network_name' has no MNC and MCC");
    }
    return bst_5g_sn_name(mcc, mnc, NULL, out);
}

static bst_result unpadded_mnc(struct kat *kat)
{
    uint8_t ck_ik[32], hidden[6], out[KEY];
    char name[BST_5G_SN_NAME_MAX];
    struct bst_view wrong;
    BST_TRY(read_ck_ik(kat, ck_ik));
    BST_TRY(kat_fixed(kat, "sqn_xor_ak", hidden, 6));
    BST_TRY(kat_text(kat, "wrong_serving_network_name", &wrong));
    BST_TRY(kausf_of(ck_ik, wrong, hidden, out));
    BST_TRY(kat_answer(kat, "wrong_kausf", out, KEY));
    if (!bst_failed(bst_5g_sn_name_check(wrong))) {
        BST_FAIL(BST_E_VALUE, "field 'wrong_serving_network_name' is accepted");
    }
    BST_TRY(conforming_name(wrong, name));
    BST_TRY(kausf_of(ck_ik, bst_view(name), hidden, out));
    return differs(kat, "wrong_kausf", out);
}

bst_result kat_kdf(struct kat *kat)
{
    static const struct {
        const char *member;
        bst_result (*run)(struct kat *kat);
    } shapes[] = {
        {"kausf", chain},    {"xres_star", res_star},      {"output_256", algorithm_key},
        {"ck_prime", prime}, {"peer_output", short_arfcn}, {"wrong_kausf", unpadded_mnc},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        if (kat_has(kat, shapes[i].member)) {
            return shapes[i].run(kat);
        }
    }
    BST_FAIL(BST_E_VALUE, "the vector has none of the members that tell its shape");
}
