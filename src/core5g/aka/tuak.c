/* TUAK, TS 35.231: Keccak-f[1600] over one block; every field enters and leaves with its octets
 * reversed. */
#include "core5g/aka/functions.h"
#include "core5g/aka/keccak.h"

#define AT_INSTANCE 32
#define AT_NAME 33
#define AT_RAND 40
#define AT_AMF 56
#define AT_SQN 58
#define AT_K 64
#define AT_PAD 96
#define AT_END 135

/* INSTANCE: the function, then the lengths. */
#define INSTANCE_F1 0x00
#define INSTANCE_F1_STAR 0x80
#define INSTANCE_F2345 0x40
#define INSTANCE_F5_STAR 0xc0
#define CK_256 0x04
#define IK_256 0x02
#define K_256 0x01

/* 32, 64, 128 and 256 bits; -1 for any other length. */
static int length_code(uint8_t bytes)
{
    switch (bytes) {
    case 4:
        return 0;
    case 8:
        return 0x08;
    case 16:
        return 0x10;
    case 32:
        return 0x20;
    default:
        return -1;
    }
}

static bool short_or_long(uint8_t bytes)
{
    return bytes == 16 || bytes == 32;
}

static bst_result check(const struct bst_aka_keys *keys)
{
    if (!short_or_long(keys->k_bytes) || !short_or_long(keys->ck_bytes) ||
        !short_or_long(keys->ik_bytes) || length_code(keys->mac_bytes) <= 0 ||
        length_code(keys->res_bytes) < 0 || keys->iterations == 0) {
        BST_FAIL(BST_E_VALUE,
                 "TUAK has a K, CK and IK of 16 or 32 octets, a MAC of 8, 16 or 32, a RES "
                 "of 4, 8, 16 or 32, and at least one iteration");
    }
    return BST_OK;
}

static void put(uint8_t *state, size_t at, const uint8_t *field, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        state[at + i] = field[len - 1 - i];
    }
}

static void take(const uint8_t *state, size_t at, uint8_t *field, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        field[i] = state[at + len - 1 - i];
    }
}

/* The part of the block that every function has. */
static void begin(const struct bst_aka_keys *keys, const uint8_t *top, unsigned instance,
                  uint8_t state[BST_KECCAK_BYTES])
{
    memset(state, 0, BST_KECCAK_BYTES);
    put(state, 0, top, 32);
    state[AT_INSTANCE] = (uint8_t)(instance | (keys->k_bytes == 32 ? K_256 : 0));
    put(state, AT_NAME, (const uint8_t *)"TUAK1.0", 7);
    /* A K of 128 bits is followed by zeros, in reversed order too. */
    put(state, AT_K, keys->k, keys->k_bytes);
    state[AT_PAD] = 0x1f;
    state[AT_END] = 0x80;
}

static void permute(const struct bst_aka_keys *keys, uint8_t state[BST_KECCAK_BYTES])
{
    for (unsigned i = 0; i < keys->iterations; i++) {
        bst_keccak_f1600(state);
    }
}

static bst_result tuak_opc(const struct bst_aka_keys *keys, const uint8_t *op, uint8_t *out)
{
    uint8_t state[BST_KECCAK_BYTES];
    begin(keys, op, 0, state);
    permute(keys, state);
    take(state, 0, out, 32);
    bst_wipe(state, sizeof state);
    return BST_OK;
}

static void mac(const struct bst_aka_keys *keys, const struct bst_aka_in *in, unsigned instance,
                uint8_t *out)
{
    uint8_t state[BST_KECCAK_BYTES];
    begin(keys, keys->opc, instance | (unsigned)length_code(keys->mac_bytes), state);
    put(state, AT_RAND, in->rand, sizeof in->rand);
    put(state, AT_AMF, in->amf, sizeof in->amf);
    put(state, AT_SQN, in->sqn, sizeof in->sqn);
    permute(keys, state);
    take(state, 0, out, keys->mac_bytes);
    bst_wipe(state, sizeof state);
}

static void response(const struct bst_aka_keys *keys, const struct bst_aka_in *in,
                     struct bst_aka_out *ret)
{
    uint8_t state[BST_KECCAK_BYTES];
    unsigned lengths = (unsigned)length_code(keys->res_bytes) |
                       (keys->ck_bytes == 32 ? CK_256 : 0u) | (keys->ik_bytes == 32 ? IK_256 : 0u);
    begin(keys, keys->opc, INSTANCE_F2345 | lengths, state);
    put(state, AT_RAND, in->rand, sizeof in->rand);
    permute(keys, state);
    take(state, 0, ret->res, keys->res_bytes);
    take(state, 32, ret->ck, keys->ck_bytes);
    take(state, 64, ret->ik, keys->ik_bytes);
    take(state, 96, ret->ak, sizeof ret->ak);
    bst_wipe(state, sizeof state);
}

static void resync_ak(const struct bst_aka_keys *keys, const struct bst_aka_in *in, uint8_t out[6])
{
    uint8_t state[BST_KECCAK_BYTES];
    begin(keys, keys->opc, INSTANCE_F5_STAR, state);
    put(state, AT_RAND, in->rand, sizeof in->rand);
    permute(keys, state);
    take(state, 96, out, BST_AKA_SQN_BYTES);
    bst_wipe(state, sizeof state);
}

static bst_result tuak_run(const struct bst_aka_keys *keys, const struct bst_aka_in *in,
                           unsigned want, struct bst_aka_out *ret)
{
    if (want & BST_AKA_F1) {
        mac(keys, in, INSTANCE_F1, ret->mac_a);
    }
    if (want & BST_AKA_F1_STAR) {
        mac(keys, in, INSTANCE_F1_STAR, ret->mac_s);
    }
    if (want & BST_AKA_F2345) {
        response(keys, in, ret);
    }
    if (want & BST_AKA_F5_STAR) {
        resync_ak(keys, in, ret->ak_star);
    }
    return BST_OK;
}

const struct bst_aka_algorithm bst_aka_tuak = {
    .id = BST_AKA_TUAK,
    .name = "tuak",
    .op_bytes = 32,
    .usual = {.alg = BST_AKA_TUAK,
              .iterations = 1,
              .mac_bytes = 8,
              .res_bytes = 8,
              .ck_bytes = 16,
              .ik_bytes = 16,
              .k_bytes = 16},
    .check = check,
    .opc = tuak_opc,
    .run = tuak_run,
};
