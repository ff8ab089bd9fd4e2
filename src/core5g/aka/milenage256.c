/* MILENAGE-256 over Rijndael with 256-bit blocks, TS 35.234 to 35.236.
 *
 * Known from the structure of the specification and one published case; layout and numbers are the
 * table below. */
#include "core5g/aka/functions.h"
#include "core5g/aka/rijndael256.h"

#define BLOCK BST_RIJNDAEL_BYTES

enum { I_F1_STAR, I_F1, I_F2, I_F3, I_F4, I_F5, I_F5_STAR };

static bst_result check(const struct bst_aka_keys *keys)
{
    bool ok = (keys->k_bytes == 16 || keys->k_bytes == 32) && keys->mac_bytes >= 4 &&
              keys->mac_bytes <= BLOCK && keys->res_bytes >= 4 && keys->res_bytes <= BLOCK &&
              keys->ck_bytes >= 16 && keys->ck_bytes <= BLOCK && keys->ik_bytes >= 16 &&
              keys->ik_bytes <= BLOCK && keys->iterations == 0;
    if (!ok) {
        BST_FAIL(BST_E_VALUE,
                 "MILENAGE-256 has a K of 16 or 32 octets, MAC and RES of 4 to 32, CK and "
                 "IK of 16 to 32");
    }
    return BST_OK;
}

static void schedule(const struct bst_aka_keys *keys, struct bst_rijndael256 *ret)
{
    uint8_t key[BLOCK] = {0};
    memcpy(key, keys->k, keys->k_bytes);
    bst_rijndael256_init(ret, key);
    bst_wipe(key, sizeof key);
}

static void xor_into(uint8_t *out, const uint8_t *in)
{
    for (int i = 0; i < BLOCK; i++) {
        out[i] ^= in[i];
    }
}

static bst_result milenage256_opc(const struct bst_aka_keys *keys, const uint8_t *op, uint8_t *out)
{
    struct bst_rijndael256 cipher = {0};
    uint8_t block[BLOCK], variant[BLOCK] = {0};
    variant[0] = keys->k_bytes >> 5;
    memcpy(variant + 1, "MILENAGE2.0", 11);
    schedule(keys, &cipher);
    bst_rijndael256_block(&cipher, op, block);
    xor_into(block, variant);
    bst_rijndael256_block(&cipher, block, block);
    xor_into(block, op);
    memcpy(out, block, sizeof block);
    bst_wipe(&cipher, sizeof cipher);
    return BST_OK;
}

struct run {
    const struct bst_aka_keys *keys;
    struct bst_rijndael256 cipher;
    uint8_t second[BLOCK]; /* E(RAND xor OPc) xor OPc */
};

/* OUT = E(T xor OPc xor IN) xor OPc, cut to the wanted length. */
static void function(const struct run *run, unsigned i, uint8_t lengths,
                     const struct bst_aka_in *mac, uint8_t *out, size_t len)
{
    uint8_t in[BLOCK] = {0};
    in[0] = (uint8_t)(i << 5 | (BST_AKA_RAND_BYTES - 2) | run->keys->k_bytes >> 5);
    in[1] = lengths;
    if (mac) {
        memcpy(in + 2, mac->amf, sizeof mac->amf);
        memcpy(in + 4, mac->sqn, sizeof mac->sqn);
    }
    in[BLOCK - 1] = i ? (uint8_t)(1u << (i - 1)) : 0;
    xor_into(in, run->second);
    bst_rijndael256_block(&run->cipher, in, in);
    xor_into(in, run->keys->opc);
    memcpy(out, in, len);
    bst_wipe(in, sizeof in);
}

static void begin(struct run *run, const struct bst_aka_keys *keys, const struct bst_aka_in *in)
{
    run->keys = keys;
    schedule(keys, &run->cipher);
    memset(run->second, 0, sizeof run->second);
    memcpy(run->second, in->rand, sizeof in->rand);
    xor_into(run->second, keys->opc);
    bst_rijndael256_block(&run->cipher, run->second, run->second);
    xor_into(run->second, keys->opc);
}

static bst_result milenage256_run(const struct bst_aka_keys *keys, const struct bst_aka_in *in,
                                  unsigned want, struct bst_aka_out *ret)
{
    const uint8_t mac_lengths = (uint8_t)((BST_AKA_SQN_BYTES - 5) << 5 | (keys->mac_bytes - 1));
    const struct {
        unsigned function;
        uint8_t i, lengths, *out, len;
    } rows[] = {
        {BST_AKA_F1, I_F1, mac_lengths, ret->mac_a, keys->mac_bytes},
        {BST_AKA_F1_STAR, I_F1_STAR, mac_lengths, ret->mac_s, keys->mac_bytes},
        {BST_AKA_F2, I_F2, keys->res_bytes - 1, ret->res, keys->res_bytes},
        {BST_AKA_F3, I_F3, keys->ck_bytes - 1, ret->ck, keys->ck_bytes},
        {BST_AKA_F4, I_F4, keys->ik_bytes - 1, ret->ik, keys->ik_bytes},
        {BST_AKA_F5, I_F5, BST_AKA_SQN_BYTES - 5, ret->ak, BST_AKA_SQN_BYTES},
        {BST_AKA_F5_STAR, I_F5_STAR, BST_AKA_SQN_BYTES - 5, ret->ak_star, BST_AKA_SQN_BYTES},
    };
    struct run run = {0};
    begin(&run, keys, in);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (want & rows[i].function) {
            bool mac = rows[i].function & (BST_AKA_F1 | BST_AKA_F1_STAR);
            function(&run, rows[i].i, rows[i].lengths, mac ? in : NULL, rows[i].out, rows[i].len);
        }
    }
    bst_wipe(&run, sizeof run);
    return BST_OK;
}

const struct bst_aka_algorithm bst_aka_milenage256 = {
    .id = BST_AKA_MILENAGE256,
    .name = "milenage256",
    .op_bytes = 32,
    .usual = {.alg = BST_AKA_MILENAGE256,
              .mac_bytes = 8,
              .res_bytes = 8,
              .ck_bytes = 32,
              .ik_bytes = 32,
              .k_bytes = 32},
    .check = check,
    .opc = milenage256_opc,
    .run = milenage256_run,
};
