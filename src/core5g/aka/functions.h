/* The authentication functions f1 to f5*: MILENAGE (TS 35.206), TUAK (TS 35.231) and MILENAGE-256
 * (TS 35.234..35.236), over one subscriber's key material. */
#pragma once

#include "crypto/cipher.h"

enum bst_aka_alg { BST_AKA_MILENAGE = 1, BST_AKA_TUAK = 2, BST_AKA_MILENAGE256 = 3 };

#define BST_AKA_RAND_BYTES 16
#define BST_AKA_SQN_BYTES 6
#define BST_AKA_AMF_BYTES 2
#define BST_AKA_OUT_MAX 32
#define BST_AKA_KECCAK_MAX 255

/** K, OPc (or TOPc) and the lengths that the operator chose. Lives in locked memory only. */
struct bst_aka_keys {
    enum bst_aka_alg alg;
    uint8_t iterations; /* TUAK: of Keccak; others 0 */
    uint8_t mac_bytes, res_bytes, ck_bytes, ik_bytes;
    uint8_t k_bytes;
    uint8_t k[32], opc[32]; /* MILENAGE uses 16 of opc */
};

/** Which functions to compute. */
enum {
    BST_AKA_F1 = 1,
    BST_AKA_F1_STAR = 2,
    BST_AKA_F2 = 4,
    BST_AKA_F3 = 8,
    BST_AKA_F4 = 16,
    BST_AKA_F5 = 32,
    BST_AKA_F5_STAR = 64,
    BST_AKA_F2345 = BST_AKA_F2 | BST_AKA_F3 | BST_AKA_F4 | BST_AKA_F5,
};
struct bst_aka_in {
    uint8_t rand[BST_AKA_RAND_BYTES], sqn[BST_AKA_SQN_BYTES], amf[BST_AKA_AMF_BYTES];
};
struct bst_aka_out {
    uint8_t mac_a[BST_AKA_OUT_MAX], mac_s[BST_AKA_OUT_MAX], res[BST_AKA_OUT_MAX];
    uint8_t ck[BST_AKA_OUT_MAX], ik[BST_AKA_OUT_MAX];
    uint8_t ak[BST_AKA_SQN_BYTES], ak_star[BST_AKA_SQN_BYTES];
};

/** Key schedules made once for many calls. clear() is harmless at any time. One thread at a time.
 */
struct bst_aka_schedule {
    struct bst_aes aes; /* MILENAGE */
};
void bst_aka_schedule_clear(struct bst_aka_schedule *schedule);

/** One row per algorithm. */
struct bst_aka_algorithm {
    enum bst_aka_alg id;
    const char *name;          /* "milenage" */
    uint8_t op_bytes;          /* of OP, OPc, TOP, TOPc */
    struct bst_aka_keys usual; /* lengths when nobody chooses */
    bst_result (*check)(const struct bst_aka_keys *keys);
    bst_result (*opc)(const struct bst_aka_keys *keys, const uint8_t *op, uint8_t *out);
    bst_result (*run)(const struct bst_aka_keys *keys, const struct bst_aka_in *in, unsigned want,
                      struct bst_aka_out *ret);
    /** Both NULL where there is nothing to win by running many at once. */
    bst_result (*prepare)(const struct bst_aka_keys *keys, struct bst_aka_schedule *ret);
    bst_result (*run_many)(const struct bst_aka_keys *keys, struct bst_aka_schedule *schedule,
                           const struct bst_aka_in *in, size_t n, unsigned want,
                           struct bst_aka_out *ret);
};
extern const struct bst_aka_algorithm bst_aka_milenage, bst_aka_tuak, bst_aka_milenage256;
/** NULL when there is none. */
const struct bst_aka_algorithm *bst_aka_algorithm(enum bst_aka_alg id);
const struct bst_aka_algorithm *bst_aka_algorithm_named(struct bst_view name);

/** Compute what `want` names; the rest of `ret` stays as it is.
 * @error BST_E_VALUE  lengths that the algorithm does not have */
bst_result bst_aka_run(const struct bst_aka_keys *keys, const struct bst_aka_in *in, unsigned want,
                       struct bst_aka_out *ret);

/** Make the schedules of these keys, which bst_aka_run_many() is then given with. */
bst_result bst_aka_prepare(const struct bst_aka_keys *keys, struct bst_aka_schedule *ret);
/** As bst_aka_run() for each of `in`. */
bst_result bst_aka_run_many(const struct bst_aka_keys *keys, struct bst_aka_schedule *schedule,
                            const struct bst_aka_in *in, size_t n, unsigned want,
                            struct bst_aka_out *ret);

/** Key material as a secure environment keeps it.
 * @shape  version(1) || alg || iterations || mac || res || ck || ik || k length || k || opc */
bst_result bst_aka_keys_pack(const struct bst_aka_keys *keys, struct bst_secret *ret);
bst_result bst_aka_keys_unpack(struct bst_view packed, struct bst_aka_keys *ret);
void bst_aka_keys_clear(struct bst_aka_keys *keys);
void bst_aka_out_clear(struct bst_aka_out *out);
