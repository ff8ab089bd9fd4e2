/* What exists for AVX-512 with VAES, GFNI and VPCLMULQDQ (Intel from Ice Lake on, AMD from Zen 4).
 */
#include "core5g/air/x86.h"

#include <cpuid.h>

/* Not every compiler has a name for it. The registers it works on are AVX-512's. */
static bool has_vaes(void)
{
    unsigned a, b, c = 0, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && c >> 9 & 1;
}

static bool usable(void)
{
    return bst_air_avx2.usable() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi") &&
           __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("gfni") &&
           __builtin_cpu_supports("vpclmulqdq") && has_vaes();
}

const struct bst_air_implementation bst_air_avx512 = {
    .name = "avx512",
    .usable = usable,
    .generators = {[BST_AIR_AES] = &bst_air_aes_avx512,
                   [BST_AIR_SNOW3G] = &bst_air_snow3g_aesni,
                   [BST_AIR_ZUC128] = &bst_air_zuc128_bmi2,
                   [BST_AIR_ZUC256] = &bst_air_zuc256_bmi2,
                   [BST_AIR_SNOW5G] = &bst_air_snow5g_aesni},
    .lanes = {[BST_AIR_SNOW3G] = &bst_air_snow3g_avx512,
              [BST_AIR_ZUC128] = &bst_air_zuc128_avx512,
              [BST_AIR_ZUC256] = &bst_air_zuc256_avx512,
              [BST_AIR_SNOW5G] = &bst_air_snow5g_avx512},
    .batch = {[BST_AIR_NEA] = {[1] = bst_air_lanes_cipher,
                               [3] = bst_air_lanes_cipher,
                               [4] = bst_air_lanes_cipher,
                               [6] = bst_air_lanes_cipher},
              [BST_AIR_NIA] = {[1] = bst_air_lanes_nia1,
                               [2] = bst_air_nia2_avx512,
                               [3] = bst_air_lanes_nia3,
                               [4] = bst_air_lanes_sst,
                               [6] = bst_air_lanes_sst},
              [BST_AIR_NCA] = {[4] = bst_air_lanes_sst, [6] = bst_air_lanes_sst}},
    .aes_schedule = bst_air_aes_schedule_x86,
    .nia1_value = bst_air_nia1_value_avx512,
    .nia3_sum = bst_air_nia3_sum_avx512,
    .sst_tag = bst_air_sst_tag_avx512,
};
