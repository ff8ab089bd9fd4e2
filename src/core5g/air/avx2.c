/* What exists for processors with AVX2, the AES instructions and PCLMULQDQ. */
#include "core5g/air/x86.h"

static bool usable(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("aes") &&
           __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("bmi2");
}

const struct bst_air_implementation bst_air_avx2 = {
    .name = "avx2",
    .usable = usable,
    .generators = {[BST_AIR_SNOW3G] = &bst_air_snow3g_aesni,
                   [BST_AIR_ZUC128] = &bst_air_zuc128_bmi2,
                   [BST_AIR_ZUC256] = &bst_air_zuc256_bmi2,
                   [BST_AIR_SNOW5G] = &bst_air_snow5g_aesni},
    .lanes = {[BST_AIR_ZUC128] = &bst_air_zuc128_avx2, [BST_AIR_ZUC256] = &bst_air_zuc256_avx2},
    .batch = {[BST_AIR_NEA] = {[3] = bst_air_lanes_cipher, [6] = bst_air_lanes_cipher},
              [BST_AIR_NIA] = {[3] = bst_air_lanes_nia3, [6] = bst_air_lanes_sst},
              [BST_AIR_NCA] = {[6] = bst_air_lanes_sst}},
    .nia1_value = bst_air_nia1_value_clmul,
    .nia3_sum = bst_air_nia3_sum_clmul,
    .sst_tag = bst_air_sst_tag_clmul,
};
