/* The table of algorithms, and key material in packed form. */
#include "core5g/aka/functions.h"

#define PACK_VERSION 1
#define PACK_HEAD_BYTES 8

static const struct bst_aka_algorithm *const algorithms[] = {&bst_aka_milenage, &bst_aka_tuak,
                                                             &bst_aka_milenage256};
#define ALGORITHMS (sizeof algorithms / sizeof algorithms[0])

const struct bst_aka_algorithm *bst_aka_algorithm(enum bst_aka_alg id)
{
    for (size_t i = 0; i < ALGORITHMS; i++) {
        if (algorithms[i]->id == id) {
            return algorithms[i];
        }
    }
    return NULL;
}

const struct bst_aka_algorithm *bst_aka_algorithm_named(struct bst_view name)
{
    for (size_t i = 0; i < ALGORITHMS; i++) {
        if (bst_view_is(name, algorithms[i]->name)) {
            return algorithms[i];
        }
    }
    return NULL;
}

bst_result bst_aka_run(const struct bst_aka_keys *keys, const struct bst_aka_in *in, unsigned want,
                       struct bst_aka_out *ret)
{
    const struct bst_aka_algorithm *algorithm = bst_aka_algorithm(keys->alg);
    BST_ENSURE(algorithm, BST_E_VALUE);
    BST_TRY(algorithm->check(keys));
    return algorithm->run(keys, in, want, ret);
}

bst_result bst_aka_prepare(const struct bst_aka_keys *keys, struct bst_aka_schedule *ret)
{
    const struct bst_aka_algorithm *algorithm = bst_aka_algorithm(keys->alg);
    BST_ENSURE(algorithm, BST_E_VALUE);
    BST_TRY(algorithm->check(keys));
    return algorithm->prepare ? algorithm->prepare(keys, ret) : BST_OK;
}

bst_result bst_aka_run_many(const struct bst_aka_keys *keys, struct bst_aka_schedule *schedule,
                            const struct bst_aka_in *in, size_t n, unsigned want,
                            struct bst_aka_out *ret)
{
    const struct bst_aka_algorithm *algorithm = bst_aka_algorithm(keys->alg);
    BST_ENSURE(algorithm, BST_E_VALUE);
    if (algorithm->run_many) {
        return algorithm->run_many(keys, schedule, in, n, want, ret);
    }
    for (size_t i = 0; i < n; i++) {
        BST_TRY(algorithm->run(keys, &in[i], want, &ret[i]));
    }
    return BST_OK;
}

void bst_aka_schedule_clear(struct bst_aka_schedule *schedule)
{
    bst_aes_clear(&schedule->aes);
}

bst_result bst_aka_keys_pack(const struct bst_aka_keys *keys, struct bst_secret *ret)
{
    const struct bst_aka_algorithm *algorithm = bst_aka_algorithm(keys->alg);
    BST_ENSURE(algorithm, BST_E_VALUE);
    BST_TRY(algorithm->check(keys));
    const uint8_t head[PACK_HEAD_BYTES] = {
        PACK_VERSION,    (uint8_t)keys->alg, keys->iterations, keys->mac_bytes,
        keys->res_bytes, keys->ck_bytes,     keys->ik_bytes,   keys->k_bytes,
    };
    bst_auto(secret) out = {0};
    BST_TRY(bst_secret_init(&out, sizeof head + keys->k_bytes + algorithm->op_bytes));
    memcpy(out.ptr, head, sizeof head);
    memcpy(out.ptr + sizeof head, keys->k, keys->k_bytes);
    memcpy(out.ptr + sizeof head + keys->k_bytes, keys->opc, algorithm->op_bytes);
    *ret = out;
    out = (struct bst_secret){0};
    return BST_OK;
}

bst_result bst_aka_keys_unpack(struct bst_view packed, struct bst_aka_keys *ret)
{
    const uint8_t *in = (const uint8_t *)packed.ptr;
    struct bst_aka_keys keys = {0};
    BST_ENSURE(packed.len >= PACK_HEAD_BYTES, BST_E_BAD_KEY);
    const struct bst_aka_algorithm *algorithm = bst_aka_algorithm((enum bst_aka_alg)in[1]);
    BST_ENSURE(in[0] == PACK_VERSION && algorithm && in[7] <= sizeof keys.k, BST_E_BAD_KEY);
    BST_ENSURE(packed.len == (size_t)PACK_HEAD_BYTES + in[7] + algorithm->op_bytes, BST_E_BAD_KEY);
    keys = (struct bst_aka_keys){.alg = algorithm->id,
                                 .iterations = in[2],
                                 .mac_bytes = in[3],
                                 .res_bytes = in[4],
                                 .ck_bytes = in[5],
                                 .ik_bytes = in[6],
                                 .k_bytes = in[7]};
    BST_TRY(algorithm->check(&keys));
    memcpy(keys.k, in + PACK_HEAD_BYTES, keys.k_bytes);
    memcpy(keys.opc, in + PACK_HEAD_BYTES + keys.k_bytes, algorithm->op_bytes);
    *ret = keys;
    bst_aka_keys_clear(&keys);
    return BST_OK;
}

void bst_aka_keys_clear(struct bst_aka_keys *keys)
{
    bst_wipe(keys, sizeof *keys);
}

void bst_aka_out_clear(struct bst_aka_out *out)
{
    bst_wipe(out, sizeof *out);
}
