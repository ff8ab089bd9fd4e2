/* Polynomials by VPCLMULQDQ: the hash of GCM-SST, the value of UIA2, the sums of EIA3. Blocks are
 * multiplied by descending powers of the key, so that there is one reduction for a whole group. */
#include "core5g/air/x86.h"

#define BLOCK 16
#define GROUP 16 /* blocks of GCM-SST in one reduction */
#define WORDS 32 /* words of UIA2 in one */

AVX512_INLINE __m512i xor3(__m512i a, __m512i b, __m512i c)
{
    return _mm512_ternarylogic_epi32(a, b, c, 0x96);
}

AVX512_INLINE __m128i sum_of_quarters(__m512i x)
{
    __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
    return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

/* ---- GCM-SST: POLYVAL's field, products times x^-128 ---- */

/* Products that are still to be reduced: high * x^128 + middle * x^64 + low in each quarter. */
struct wide {
    __m512i low, middle, high;
};

AVX512_INLINE void accumulate(struct wide *w, __m512i a, __m512i b)
{
    w->low = _mm512_xor_si512(w->low, _mm512_clmulepi64_epi128(a, b, 0x00));
    w->middle =
        xor3(w->middle, _mm512_clmulepi64_epi128(a, b, 0x01), _mm512_clmulepi64_epi128(a, b, 0x10));
    w->high = _mm512_xor_si512(w->high, _mm512_clmulepi64_epi128(a, b, 0x11));
}

/* Multiples of x^128 + x^127 + x^126 + x^121 + 1 clear the lower half from below. */
AVX512_INLINE __m512i reduce(const struct wide *w)
{
    const __m512i poly = _mm512_set1_epi64((long long)0xc200000000000000);
    __m512i low = _mm512_xor_si512(w->low, _mm512_bslli_epi128(w->middle, 8));
    __m512i high = _mm512_xor_si512(w->high, _mm512_bsrli_epi128(w->middle, 8));
    for (int i = 0; i < 2; i++) {
        low = _mm512_xor_si512(_mm512_shuffle_epi32(low, 0x4e),
                               _mm512_clmulepi64_epi128(low, poly, 0x00));
    }
    return _mm512_xor_si512(high, low);
}

AVX512_INLINE __m512i dot(__m512i a, __m512i b)
{
    struct wide w = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    accumulate(&w, a, b);
    return reduce(&w);
}

/* The same on one block: shorter, where one result waits for the other. */
struct narrow {
    __m128i low, middle, high;
};

AVX512_INLINE __m128i xor3_128(__m128i a, __m128i b, __m128i c)
{
    return _mm_ternarylogic_epi32(a, b, c, 0x96);
}

AVX512_INLINE void accumulate_one(struct narrow *w, __m128i a, __m128i b)
{
    w->low = _mm_xor_si128(w->low, _mm_clmulepi64_si128(a, b, 0x00));
    w->middle =
        xor3_128(w->middle, _mm_clmulepi64_si128(a, b, 0x01), _mm_clmulepi64_si128(a, b, 0x10));
    w->high = _mm_xor_si128(w->high, _mm_clmulepi64_si128(a, b, 0x11));
}

AVX512_INLINE __m128i reduce_one(const struct narrow *w)
{
    const __m128i poly = _mm_set1_epi64x((long long)0xc200000000000000);
    __m128i low = _mm_xor_si128(w->low, _mm_bslli_si128(w->middle, 8));
    __m128i high = _mm_xor_si128(w->high, _mm_bsrli_si128(w->middle, 8));
    for (int i = 0; i < 2; i++) {
        low = _mm_xor_si128(_mm_shuffle_epi32(low, 0x4e), _mm_clmulepi64_si128(low, poly, 0x00));
    }
    return _mm_xor_si128(high, low);
}

AVX512_INLINE __m128i dot_one(__m128i a, __m128i b)
{
    struct narrow w = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
    accumulate_one(&w, a, b);
    return reduce_one(&w);
}

/* Powers of H from the 16th to the first, and nothing behind them. */
struct powers {
    __m512i of[GROUP / 4 + 1];
};

/* As many of the lowest as `blocks` need. */
AVX512_INLINE void make_powers(struct powers *p, __m128i h, size_t blocks)
{
    __m128i h2 = dot_one(h, h), h3 = dot_one(h2, h), h4 = dot_one(h2, h2);
    __m512i four = _mm512_inserti64x2(_mm512_castsi128_si512(h4), h3, 1);
    four = _mm512_inserti64x2(_mm512_inserti64x2(four, h2, 2), h, 3);
    p->of[GROUP / 4] = _mm512_setzero_si512();
    p->of[GROUP / 4 - 1] = four;
    for (size_t have = 1; have < GROUP / 4 && blocks > 4 * have; have *= 2) {
        __m512i *lowest = &p->of[GROUP / 4 - have];
        __m512i by = _mm512_shuffle_i64x2(*lowest, *lowest, 0x00); /* the highest that is there */
        for (size_t i = 0; i < have; i++) {
            lowest[(ptrdiff_t)i - (ptrdiff_t)have] = dot(lowest[i], by);
        }
    }
}

/* What came before takes part at the end of a group only, so that the groups do not wait for each
 * other's sums. */
AVX512_INLINE __m128i absorb(const struct powers *p, __m128i sum, struct bst_view text)
{
    const uint8_t *in = (const uint8_t *)text.ptr;
    for (size_t left = text.len; left > 0;) {
        size_t len = left < GROUP * BLOCK ? left : GROUP * BLOCK,
               blocks = (len + BLOCK - 1) / BLOCK;
        const uint8_t *power = (const uint8_t *)p + BLOCK * (GROUP - blocks);
        __m128i highest = _mm_loadu_si128((const __m128i *)(const void *)power);
        struct wide w = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
        for (size_t at = 0; at < len; at += 64) {
            __m512i data = _mm512_maskz_loadu_epi8(bst_air_octets_mask(len - at), in + at);
            accumulate(&w, data, _mm512_loadu_si512(power + at));
        }
        struct narrow one = {sum_of_quarters(w.low), sum_of_quarters(w.middle),
                             sum_of_quarters(w.high)};
        accumulate_one(&one, sum, highest);
        sum = reduce_one(&one);
        in += len;
        left -= len;
    }
    return sum;
}

AVX512 void bst_air_sst_tag_avx512(const uint8_t subkeys[BST_AIR_SUBKEYS], struct bst_view aad,
                                   struct bst_view ciphertext, uint8_t tag[BST_AIR_TAG_MAX])
{
    const __m128i *key = (const __m128i *)(const void *)subkeys;
    size_t longest = aad.len > ciphertext.len ? aad.len : ciphertext.len;
    struct powers p;
    make_powers(&p, _mm_loadu_si128(key), (longest + BLOCK - 1) / BLOCK);
    __m128i sum = absorb(&p, _mm_setzero_si128(), aad);
    sum = absorb(&p, sum, ciphertext);
    sum = _mm_xor_si128(sum, _mm_set_epi64x((long long)aad.len * 8, (long long)ciphertext.len * 8));
    sum = _mm_xor_si128(dot_one(sum, _mm_loadu_si128(key + 1)), _mm_loadu_si128(key + 2));
    _mm_storeu_si128((__m128i *)(void *)tag, sum);
    bst_wipe(&p, sizeof p);
}

/* ---- UIA2: the field of x^64 + x^4 + x^3 + x + 1, eight words a register ---- */

/* A product of 128 bits in each quarter becomes 64. */
AVX512_INLINE __m512i reduce64(__m512i x)
{
    const __m512i poly = _mm512_set1_epi64(0x1b);
    __m512i once = _mm512_clmulepi64_epi128(x, poly, 0x01);
    return xor3(x, once, _mm512_clmulepi64_epi128(once, poly, 0x01));
}

AVX512_INLINE __m512i multiply(__m512i a, __m512i b)
{
    return _mm512_unpacklo_epi64(reduce64(_mm512_clmulepi64_epi128(a, b, 0x00)),
                                 reduce64(_mm512_clmulepi64_epi128(a, b, 0x11)));
}

AVX512_INLINE __m128i reduce64_one(__m128i x)
{
    const __m128i poly = _mm_set1_epi64x(0x1b);
    __m128i once = _mm_clmulepi64_si128(x, poly, 0x01);
    return xor3_128(x, once, _mm_clmulepi64_si128(once, poly, 0x01));
}

AVX512_INLINE __m128i word(uint64_t w)
{
    return _mm_cvtsi64_si128((long long)w);
}

AVX512_INLINE __m128i multiply_one(__m128i a, __m128i b)
{
    return reduce64_one(_mm_clmulepi64_si128(a, b, 0x00));
}

/* Both words of a by the lower one of b. */
AVX512_INLINE __m128i multiply_two(__m128i a, __m128i b)
{
    return _mm_unpacklo_epi64(reduce64_one(_mm_clmulepi64_si128(a, b, 0x00)),
                              reduce64_one(_mm_clmulepi64_si128(a, b, 0x01)));
}

struct powers64 {
    __m512i of[WORDS / 8 + 1];
};

/* P^32 to P. */
AVX512_INLINE void make_powers64(struct powers64 *to, uint64_t p, size_t words)
{
    __m128i p1 = word(p), p21 = _mm_unpacklo_epi64(multiply_one(p1, p1), p1);
    __m128i p43 = multiply_two(p21, p21), p65 = multiply_two(p21, p43),
            p87 = multiply_two(p43, p43);
    __m512i eight = _mm512_inserti64x2(_mm512_castsi128_si512(p87), p65, 1);
    eight = _mm512_inserti64x2(_mm512_inserti64x2(eight, p43, 2), p21, 3);
    to->of[WORDS / 8] = _mm512_setzero_si512();
    to->of[WORDS / 8 - 1] = eight;
    for (size_t have = 1; have < WORDS / 8 && words > 8 * have; have *= 2) {
        __m512i *lowest = &to->of[WORDS / 8 - have];
        __m512i by = _mm512_broadcastq_epi64(_mm512_castsi512_si128(*lowest));
        for (size_t i = 0; i < have; i++) {
            lowest[(ptrdiff_t)i - (ptrdiff_t)have] = multiply(lowest[i], by);
        }
    }
}

AVX512_INLINE __m128i evaluate(const struct powers64 *p, const uint8_t *in, size_t words)
{
    const __m512i big_endian =
        _mm512_broadcast_i32x4(_mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    __m128i eval = _mm_setzero_si128(); /* in the lower word; the upper one is not looked at */
    while (words > 0) {
        size_t n = words < WORDS ? words : WORDS;
        const uint8_t *power = (const uint8_t *)p + 8 * (WORDS - n);
        __m128i highest = _mm_loadl_epi64((const __m128i *)(const void *)power);
        __m512i sum = _mm512_setzero_si512();
        for (size_t at = 0; at < 8 * n; at += 64) {
            __m512i data = _mm512_maskz_loadu_epi8(bst_air_octets_mask(8 * n - at), in + at);
            data = _mm512_shuffle_epi8(data, big_endian);
            __m512i by = _mm512_loadu_si512(power + at);
            sum = xor3(sum, _mm512_clmulepi64_epi128(data, by, 0x00),
                       _mm512_clmulepi64_epi128(data, by, 0x11));
        }
        eval = reduce64_one(
            _mm_xor_si128(sum_of_quarters(sum), _mm_clmulepi64_si128(eval, highest, 0x00)));
        in += 8 * n;
        words -= n;
    }
    return eval;
}

AVX512 uint32_t bst_air_nia1_value_avx512(uint64_t p, uint64_t q, const uint8_t *in, size_t bits)
{
    struct powers64 powers;
    size_t words = bits / 64;
    make_powers64(&powers, p, words);
    __m128i eval = evaluate(&powers, in, words);
    if (bits % 64) {
        uint64_t last = bst_air_tail(in + 8 * words, bits % 64);
        eval = multiply_one(_mm_xor_si128(eval, word(last)), word(p));
    }
    eval = multiply_one(_mm_xor_si128(eval, word(bits)), word(q));
    bst_wipe(&powers, sizeof powers);
    return (uint32_t)((uint64_t)_mm_cvtsi128_si64(eval) >> 32);
}

/* ---- EIA3: carry-less products of message bits and keystream ---- */

/* A word's bits in reverse times two words of keystream: the window from each set bit on is added
 * in bits 32 to 63. */
AVX512 uint32_t bst_air_nia3_sum_avx512(const uint8_t *in, const uint8_t *z, size_t words)
{
    const __m512i big_endian =
        _mm512_broadcast_i32x4(_mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    const __m512i reverse = _mm512_set1_epi64((long long)0x8040201008040201);
    const __m512i low = _mm512_set1_epi64(0xffffffff);
    __m512i sum = _mm512_setzero_si512();
    for (size_t at = 0; at < 4 * words; at += 64) {
        __mmask64 mask = bst_air_octets_mask(4 * words - at),
                  one_more = bst_air_octets_mask(4 * words - at + 4);
        __m512i data = _mm512_maskz_loadu_epi8(mask, in + at);
        data = _mm512_gf2p8affine_epi64_epi8(data, reverse, 0);
        __m512i even = _mm512_and_si512(data, low), odd = _mm512_srli_epi64(data, 32);
        __m512i a = _mm512_shuffle_epi8(_mm512_maskz_loadu_epi8(one_more, z + at), big_endian);
        __m512i b = _mm512_shuffle_epi8(_mm512_maskz_loadu_epi8(mask, z + at + 4), big_endian);
        sum = xor3(sum, _mm512_clmulepi64_epi128(even, a, 0x00),
                   _mm512_clmulepi64_epi128(even, a, 0x11));
        sum = xor3(sum, _mm512_clmulepi64_epi128(odd, b, 0x00),
                   _mm512_clmulepi64_epi128(odd, b, 0x11));
    }
    return (uint32_t)((uint64_t)_mm_cvtsi128_si64(sum_of_quarters(sum)) >> 32);
}
