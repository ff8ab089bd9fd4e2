/* Vectors of MILENAGE, TUAK and MILENAGE-256. */
#include "core5g/aka/functions.h"
#include "core5g/kat/kat_priv.h"

#define ALL (BST_AKA_F1 | BST_AKA_F1_STAR | BST_AKA_F2345 | BST_AKA_F5_STAR)

/* The wanted length is that of the answer. */
static bst_result length_of(const struct kat *kat, const char *name, const char *twin, uint8_t *ret)
{
    struct bst_view octets;
    const char *from = kat_has(kat, name) ? name : twin;
    if (!kat_has(kat, from)) {
        return BST_OK;
    }
    BST_TRY(kat_sized(kat, from, 1, BST_AKA_OUT_MAX, &octets));
    *ret = (uint8_t)octets.len;
    return BST_OK;
}

static bst_result read_keys(const struct kat *kat, const struct bst_aka_algorithm *algorithm,
                            struct bst_aka_keys *keys)
{
    struct bst_view k;
    *keys = algorithm->usual;
    BST_TRY(kat_sized(kat, "k", 16, 32, &k));
    keys->k_bytes = (uint8_t)k.len;
    memcpy(keys->k, k.ptr, k.len);
    if (keys->iterations) {
        int64_t iterations;
        BST_TRY(kat_number(kat, "keccak_iterations", BST_AKA_KECCAK_MAX, &iterations));
        keys->iterations = (uint8_t)iterations;
    }
    BST_TRY(length_of(kat, "f1", "f1star", &keys->mac_bytes));
    BST_TRY(length_of(kat, "f2", "f2", &keys->res_bytes));
    BST_TRY(length_of(kat, "f3", "f3", &keys->ck_bytes));
    BST_TRY(length_of(kat, "f4", "f4", &keys->ik_bytes));
    return algorithm->check(keys);
}

/* OPc is an answer when there is an OP, else an input. */
static bst_result set_opc(struct kat *kat, const struct bst_aka_algorithm *algorithm,
                          const char *op_name, const char *opc_name, struct bst_aka_keys *keys)
{
    uint8_t op[32];
    if (!kat_has(kat, op_name)) {
        return kat_fixed(kat, opc_name, keys->opc, algorithm->op_bytes);
    }
    BST_TRY(kat_fixed(kat, op_name, op, algorithm->op_bytes));
    BST_TRY(algorithm->opc(keys, op, keys->opc));
    return kat_answer(kat, opc_name, keys->opc, algorithm->op_bytes);
}

static void hide(const uint8_t sqn[6], const uint8_t ak[6], uint8_t out[6])
{
    for (int i = 0; i < 6; i++) {
        out[i] = sqn[i] ^ ak[i];
    }
}

static bst_result check_tokens(struct kat *kat, const struct bst_aka_keys *keys,
                               const struct bst_aka_in *in, const struct bst_aka_out *out)
{
    uint8_t autn[8 + BST_AKA_OUT_MAX], auts[6 + BST_AKA_OUT_MAX];
    struct bst_aka_in dummy = *in;
    struct bst_aka_out resync;
    hide(in->sqn, out->ak, autn);
    memcpy(autn + 6, in->amf, 2);
    memcpy(autn + 8, out->mac_a, keys->mac_bytes);
    BST_TRY(kat_answer(kat, "autn", autn, 8u + keys->mac_bytes));
    memset(dummy.amf, 0, sizeof dummy.amf);
    BST_TRY(bst_aka_run(keys, &dummy, BST_AKA_F1_STAR, &resync));
    hide(in->sqn, out->ak_star, auts);
    memcpy(auts + 6, resync.mac_s, keys->mac_bytes);
    return kat_answer(kat, "auts_published", auts, 6u + keys->mac_bytes);
}

static bst_result check_functions(struct kat *kat, const struct bst_aka_keys *keys)
{
    struct bst_aka_in in;
    struct bst_aka_out out;
    BST_TRY(kat_fixed(kat, "rand", in.rand, sizeof in.rand));
    BST_TRY(kat_fixed(kat, "sqn", in.sqn, sizeof in.sqn));
    BST_TRY(kat_fixed(kat, "amf", in.amf, sizeof in.amf));
    BST_TRY(bst_aka_run(keys, &in, ALL, &out));
    BST_TRY(kat_answer(kat, "f1", out.mac_a, keys->mac_bytes));
    BST_TRY(kat_answer(kat, "f1star", out.mac_s, keys->mac_bytes));
    BST_TRY(kat_answer(kat, "f2", out.res, keys->res_bytes));
    BST_TRY(kat_answer(kat, "f3", out.ck, keys->ck_bytes));
    BST_TRY(kat_answer(kat, "f4", out.ik, keys->ik_bytes));
    BST_TRY(kat_answer(kat, "f5", out.ak, sizeof out.ak));
    BST_TRY(kat_answer(kat, "f5star", out.ak_star, sizeof out.ak_star));
    return check_tokens(kat, keys, &in, &out);
}

static bst_result run(struct kat *kat, const struct bst_aka_algorithm *algorithm,
                      const char *op_name, const char *opc_name)
{
    struct bst_aka_keys keys;
    BST_TRY(read_keys(kat, algorithm, &keys));
    BST_TRY(set_opc(kat, algorithm, op_name, opc_name, &keys));
    return check_functions(kat, &keys);
}

bst_result kat_milenage(struct kat *kat)
{
    return run(kat, &bst_aka_milenage, "op", "opc");
}

bst_result kat_tuak(struct kat *kat)
{
    return run(kat, &bst_aka_tuak, "top", "topc");
}

bst_result kat_milenage256(struct kat *kat)
{
    return run(kat, &bst_aka_milenage256, "op", "opc");
}
