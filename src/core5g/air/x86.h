/* Vector instructions: functions are compiled for them one by one, and called only where `usable`
 * of their implementation found them. */
#pragma once

#include "core5g/air/air_priv.h"

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,aes,pclmul,bmi2")))
#define AVX512                                                                                     \
    __attribute__((target("avx2,aes,pclmul,bmi2,avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,"    \
                          "avx512vbmi2,gfni,vaes,vpclmulqdq")))
#define AVX2_INLINE AVX2 static inline __attribute__((always_inline))
#define AVX512_INLINE AVX512 static inline __attribute__((always_inline))

/** Sixteen words of keystream on 64 octets. */
AVX2_INLINE void bst_air_put_words(const uint32_t z[16], const uint8_t *in, uint8_t *out)
{
    const __m256i big_endian = _mm256_broadcastsi128_si256(
        _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
    for (size_t i = 0; i < 2; i++) {
        __m256i words = _mm256_loadu_si256((const __m256i *)(const void *)(z + 8 * i));
        __m256i text = _mm256_loadu_si256((const __m256i *)(const void *)(in + 32 * i));
        text = _mm256_xor_si256(text, _mm256_shuffle_epi8(words, big_endian));
        _mm256_storeu_si256((__m256i *)(void *)(out + 32 * i), text);
    }
}

/** A mask of the first n octets, or of all. */
AVX512_INLINE __mmask64 bst_air_octets_mask(size_t n)
{
    return n < 64 ? ((__mmask64)1 << n) - 1 : ~(__mmask64)0;
}

/** Octets `at` to `at` + 64 of a job, as far as it goes. */
AVX512_INLINE void bst_air_put512(const struct bst_air_job *job, size_t at, __m512i z)
{
    if (job->len <= at) {
        return;
    }
    __mmask64 mask = bst_air_octets_mask(job->len - at);
    if (job->in) {
        z = _mm512_xor_si512(z, _mm512_maskz_loadu_epi8(mask, job->in + at));
    }
    _mm512_mask_storeu_epi8(job->out + at, mask, z);
}

/** Sixteen words of keystream of sixteen lanes, z[word] having one of each lane: octets `at` to
 * `at` + 64 of each job, as far as it goes. */
void bst_air_put_lanes512(const __m512i z[16], const struct bst_air_job *jobs, size_t n, size_t at);

/** How sixteen lanes go on, each by words of 32 bits. */
struct bst_air_steps512 {
    void (*turn)(void *state, __m512i z[16]); /* sixteen words */
    void (*some_words)(void *state, __m512i z[16], unsigned n);
};
/** Put their keystream on the text of all jobs. */
void bst_air_apply_lanes512(void *state, const struct bst_air_steps512 *steps,
                            const struct bst_air_job *jobs, size_t n);

static inline size_t bst_air_longest(const struct bst_air_job *jobs, size_t n)
{
    size_t longest = 0;
    for (size_t i = 0; i < n; i++) {
        longest = jobs[i].len > longest ? jobs[i].len : longest;
    }
    return longest;
}

void bst_air_sst_tag_avx512(const uint8_t subkeys[BST_AIR_SUBKEYS], struct bst_view aad,
                            struct bst_view ciphertext, uint8_t tag[BST_AIR_TAG_MAX]);
uint32_t bst_air_nia1_value_avx512(uint64_t p, uint64_t q, const uint8_t *in, size_t bits);
uint32_t bst_air_nia3_sum_avx512(const uint8_t *in, const uint8_t *z, size_t words);
bst_air_batch bst_air_nia2_avx512;
extern const struct bst_air_generator bst_air_aes_avx512;
void bst_air_sst_tag_clmul(const uint8_t subkeys[BST_AIR_SUBKEYS], struct bst_view aad,
                           struct bst_view ciphertext, uint8_t tag[BST_AIR_TAG_MAX]);
uint32_t bst_air_nia1_value_clmul(uint64_t p, uint64_t q, const uint8_t *in, size_t bits);
uint32_t bst_air_nia3_sum_clmul(const uint8_t *in, const uint8_t *z, size_t words);
extern const struct bst_air_generator bst_air_snow3g_aesni, bst_air_snow5g_aesni,
    bst_air_zuc128_bmi2, bst_air_zuc256_bmi2;
