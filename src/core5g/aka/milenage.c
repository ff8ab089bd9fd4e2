/* MILENAGE, TS 35.206: five blocks of AES-128 behind one. */
#include "core5g/aka/functions.h"
#include "crypto/cipher.h"

#define BLOCK BST_AES_BLOCK_BYTES
#define STEPS 5
#define BATCH 16

/* Rotation in octets to the left and last octet of the constant, for OUT1 to OUT5. */
static const struct {
    uint8_t rotate, constant;
} steps[STEPS] = {{8, 0}, {0, 1}, {4, 2}, {8, 4}, {12, 8}};

static bst_result check(const struct bst_aka_keys *keys)
{
    if (keys->k_bytes != 16 || keys->mac_bytes != 8 || keys->res_bytes != 8 ||
        keys->ck_bytes != 16 || keys->ik_bytes != 16 || keys->iterations != 0) {
        BST_FAIL(BST_E_VALUE, "MILENAGE has a K of 16 octets, MAC and RES of 8, CK and IK of 16");
    }
    return BST_OK;
}

static void xor_block(uint8_t *out, const uint8_t *a, const uint8_t *b)
{
    for (int i = 0; i < BLOCK; i++) {
        out[i] = a[i] ^ b[i];
    }
}

static bst_result milenage_opc(const struct bst_aka_keys *keys, const uint8_t *op, uint8_t *out)
{
    bst_auto(aes) aes = {0};
    uint8_t block[BLOCK];
    BST_TRY(bst_aes_init(&aes, bst_view_of(keys->k, keys->k_bytes)));
    BST_TRY(bst_aes_blocks(&aes, op, block, 1));
    xor_block(out, block, op);
    bst_wipe(block, sizeof block);
    return BST_OK;
}

/* What goes into the second layer of step i: rot(x xor OPc, r) xor c. */
static void layer(uint8_t *out, const uint8_t *x, const uint8_t *opc, size_t i)
{
    uint8_t sum[BLOCK];
    xor_block(sum, x, opc);
    memcpy(out, sum + steps[i].rotate, BLOCK - steps[i].rotate);
    memcpy(out + BLOCK - steps[i].rotate, sum, steps[i].rotate);
    out[BLOCK - 1] ^= steps[i].constant;
}

/* What each of OUT1 to OUT5 gives. */
static const unsigned outs[STEPS] = {BST_AKA_F1 | BST_AKA_F1_STAR, BST_AKA_F2 | BST_AKA_F5,
                                     BST_AKA_F3, BST_AKA_F4, BST_AKA_F5_STAR};

/* Blocks of one batch, wiped at its end. */
struct batch {
    uint8_t temp[BATCH][BLOCK];
    uint8_t out[BATCH * STEPS][BLOCK];
    size_t steps[STEPS], n_steps; /* those that are wanted */
};

static void begin(struct batch *b, const struct bst_aka_keys *keys, const struct bst_aka_in *in,
                  size_t n, unsigned want)
{
    b->n_steps = 0;
    for (size_t i = 0; i < STEPS; i++) {
        if (outs[i] & want) {
            b->steps[b->n_steps++] = i;
        }
    }
    for (size_t i = 0; i < n; i++) {
        xor_block(b->temp[i], in[i].rand, keys->opc);
    }
}

/* IN1 = SQN || AMF || SQN || AMF goes into OUT1 only. */
static void second_layer(struct batch *b, const struct bst_aka_keys *keys,
                         const struct bst_aka_in *in, size_t n)
{
    uint8_t in1[BLOCK];
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < b->n_steps; j++) {
            uint8_t *out = b->out[i * b->n_steps + j];
            if (b->steps[j] > 0) {
                layer(out, b->temp[i], keys->opc, b->steps[j]);
                continue;
            }
            memcpy(in1, in[i].sqn, 6);
            memcpy(in1 + 6, in[i].amf, 2);
            memcpy(in1 + 8, in1, 8);
            layer(out, in1, keys->opc, 0);
            xor_block(out, out, b->temp[i]);
        }
    }
}

static void hand_out(const struct batch *b, const uint8_t *opc, size_t i, unsigned want,
                     struct bst_aka_out *ret)
{
    uint8_t out[STEPS][BLOCK];
    const struct {
        unsigned function;
        uint8_t *to;
        const uint8_t *from;
        size_t len;
    } parts[] = {
        {BST_AKA_F1, ret->mac_a, out[0], 8},        {BST_AKA_F1_STAR, ret->mac_s, out[0] + 8, 8},
        {BST_AKA_F2, ret->res, out[1] + 8, 8},      {BST_AKA_F3, ret->ck, out[2], 16},
        {BST_AKA_F4, ret->ik, out[3], 16},          {BST_AKA_F5, ret->ak, out[1], 6},
        {BST_AKA_F5_STAR, ret->ak_star, out[4], 6},
    };
    for (size_t j = 0; j < b->n_steps; j++) {
        xor_block(out[b->steps[j]], b->out[i * b->n_steps + j], opc);
    }
    for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
        if (want & parts[k].function) {
            memcpy(parts[k].to, parts[k].from, parts[k].len);
        }
    }
    bst_wipe(out, sizeof out);
}

/* Two calls of the cipher for the whole batch: the first layer, then every block of the second. */
static bst_result run_batch(struct batch *b, const struct bst_aka_keys *keys, struct bst_aes *aes,
                            const struct bst_aka_in *in, size_t n, unsigned want,
                            struct bst_aka_out *ret)
{
    begin(b, keys, in, n, want);
    BST_TRY(bst_aes_blocks(aes, b->temp[0], b->temp[0], n));
    second_layer(b, keys, in, n);
    BST_TRY(bst_aes_blocks(aes, b->out[0], b->out[0], n * b->n_steps));
    for (size_t i = 0; i < n; i++) {
        hand_out(b, keys->opc, i, want, &ret[i]);
    }
    return BST_OK;
}

static bst_result milenage_prepare(const struct bst_aka_keys *keys, struct bst_aka_schedule *ret)
{
    return bst_aes_init(&ret->aes, bst_view_of(keys->k, keys->k_bytes));
}

static bst_result milenage_run_many(const struct bst_aka_keys *keys,
                                    struct bst_aka_schedule *schedule, const struct bst_aka_in *in,
                                    size_t n, unsigned want, struct bst_aka_out *ret)
{
    struct batch b;
    bst_result made = BST_OK;
    for (size_t at = 0; at < n && !bst_failed(made); at += BATCH) {
        size_t take = n - at < BATCH ? n - at : BATCH;
        made = run_batch(&b, keys, &schedule->aes, in + at, take, want, ret + at);
    }
    bst_wipe(&b, sizeof b);
    return made;
}

static bst_result milenage_run(const struct bst_aka_keys *keys, const struct bst_aka_in *in,
                               unsigned want, struct bst_aka_out *ret)
{
    bst_auto(aka_schedule) schedule = {0};
    BST_TRY(milenage_prepare(keys, &schedule));
    return milenage_run_many(keys, &schedule, in, 1, want, ret);
}

const struct bst_aka_algorithm bst_aka_milenage = {
    .id = BST_AKA_MILENAGE,
    .name = "milenage",
    .op_bytes = 16,
    .usual = {.alg = BST_AKA_MILENAGE,
              .mac_bytes = 8,
              .res_bytes = 8,
              .ck_bytes = 16,
              .ik_bytes = 16,
              .k_bytes = 16},
    .check = check,
    .opc = milenage_opc,
    .run = milenage_run,
    .prepare = milenage_prepare,
    .run_many = milenage_run_many,
};
