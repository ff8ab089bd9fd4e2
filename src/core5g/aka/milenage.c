/* MILENAGE, TS 35.206: five blocks of AES-128 behind one. */
#include "core5g/aka/functions.h"
#include "crypto/cipher.h"

#define BLOCK BST_AES_BLOCK_BYTES

/* Rotation in octets to the left and last octet of the constant, for OUT1 to OUT5. */
static const struct {
    uint8_t rotate, constant;
} steps[5] = {{8, 0}, {0, 1}, {4, 2}, {8, 4}, {12, 8}};

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
static void layer(uint8_t *out, const uint8_t *x, const uint8_t *opc, int i)
{
    uint8_t sum[BLOCK];
    xor_block(sum, x, opc);
    for (int j = 0; j < BLOCK; j++) {
        out[j] = sum[(j + steps[i].rotate) % BLOCK];
    }
    out[BLOCK - 1] ^= steps[i].constant;
}

/* All five blocks in one call of the cipher: it is faster than choosing. */
static bst_result all_out(const struct bst_aka_keys *keys, const struct bst_aka_in *in,
                          uint8_t out[5][BLOCK])
{
    bst_auto(aes) aes = {0};
    uint8_t temp[BLOCK], in1[BLOCK];
    xor_block(temp, in->rand, keys->opc);
    BST_TRY(bst_aes_init(&aes, bst_view_of(keys->k, keys->k_bytes)));
    BST_TRY(bst_aes_blocks(&aes, temp, temp, 1));
    for (int half = 0; half < BLOCK; half += 8) {
        memcpy(in1 + half, in->sqn, 6);
        memcpy(in1 + half + 6, in->amf, 2);
    }
    layer(out[0], in1, keys->opc, 0);
    xor_block(out[0], out[0], temp);
    for (int i = 1; i < 5; i++) {
        layer(out[i], temp, keys->opc, i);
    }
    BST_TRY(bst_aes_blocks(&aes, out[0], out[0], 5));
    for (int i = 0; i < 5; i++) {
        xor_block(out[i], out[i], keys->opc);
    }
    bst_wipe(temp, sizeof temp);
    return BST_OK;
}

static bst_result milenage_run(const struct bst_aka_keys *keys, const struct bst_aka_in *in,
                               unsigned want, struct bst_aka_out *ret)
{
    uint8_t out[5][BLOCK];
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
    BST_TRY(all_out(keys, in, out));
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (want & parts[i].function) {
            memcpy(parts[i].to, parts[i].from, parts[i].len);
        }
    }
    bst_wipe(out, sizeof out);
    return BST_OK;
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
};
