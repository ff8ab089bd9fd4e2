/* Polynomials by PCLMULQDQ: the hash of GCM-SST, the value of UIA2, the sums of EIA3. */
#include "core5g/air/x86.h"

#define BLOCK 16
#define GROUP 8 /* blocks of GCM-SST, or words of UIA2, in one reduction */

AVX2_INLINE __m128i octets(const uint8_t *from)
{
    return _mm_loadu_si128((const __m128i *)(const void *)from);
}

/* ---- GCM-SST: POLYVAL's field, products times x^-128 ---- */

/* Products that are still to be reduced: high * x^128 + middle * x^64 + low. */
struct wide {
    __m128i low, middle, high;
};

AVX2_INLINE void accumulate(struct wide *w, __m128i a, __m128i b)
{
    w->low = _mm_xor_si128(w->low, _mm_clmulepi64_si128(a, b, 0x00));
    w->middle = _mm_xor_si128(w->middle, _mm_clmulepi64_si128(a, b, 0x01));
    w->middle = _mm_xor_si128(w->middle, _mm_clmulepi64_si128(a, b, 0x10));
    w->high = _mm_xor_si128(w->high, _mm_clmulepi64_si128(a, b, 0x11));
}

/* Multiples of x^128 + x^127 + x^126 + x^121 + 1 clear the lower half from below. */
AVX2_INLINE __m128i reduce(const struct wide *w)
{
    const __m128i poly = _mm_set1_epi64x((long long)0xc200000000000000);
    __m128i low = _mm_xor_si128(w->low, _mm_slli_si128(w->middle, 8));
    __m128i high = _mm_xor_si128(w->high, _mm_srli_si128(w->middle, 8));
    for (int i = 0; i < 2; i++) {
        low = _mm_xor_si128(_mm_shuffle_epi32(low, 0x4e), _mm_clmulepi64_si128(low, poly, 0x00));
    }
    return _mm_xor_si128(high, low);
}

AVX2_INLINE struct wide nothing(void)
{
    return (struct wide){_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
}

AVX2_INLINE __m128i dot(__m128i a, __m128i b)
{
    struct wide w = nothing();
    accumulate(&w, a, b);
    return reduce(&w);
}

AVX2_INLINE __m128i block_of(const uint8_t *in, size_t len)
{
    uint8_t last[BLOCK] = {0};
    memcpy(last, in, len < BLOCK ? len : BLOCK);
    return octets(last);
}

/* power[i] is H^(i + 1). */
AVX2_INLINE __m128i absorb(const __m128i power[GROUP], __m128i sum, struct bst_view text)
{
    const uint8_t *in = (const uint8_t *)text.ptr;
    size_t left = text.len;
    for (; left >= GROUP * BLOCK; left -= GROUP * BLOCK, in += GROUP * BLOCK) {
        struct wide w = nothing();
        accumulate(&w, _mm_xor_si128(sum, octets(in)), power[GROUP - 1]);
        for (size_t i = 1; i < GROUP; i++) {
            accumulate(&w, octets(in + BLOCK * i), power[GROUP - 1 - i]);
        }
        sum = reduce(&w);
    }
    for (; left > 0; left -= left < BLOCK ? left : BLOCK, in += BLOCK) {
        sum = dot(_mm_xor_si128(sum, block_of(in, left)), power[0]);
    }
    return sum;
}

AVX2 void bst_air_sst_tag_clmul(const uint8_t subkeys[BST_AIR_SUBKEYS], struct bst_view aad,
                                struct bst_view ciphertext, uint8_t tag[BST_AIR_TAG_MAX])
{
    __m128i power[GROUP];
    power[0] = octets(subkeys);
    for (size_t i = 1; i < GROUP; i++) {
        power[i] = dot(power[i - 1], power[0]);
    }
    __m128i sum = absorb(power, absorb(power, _mm_setzero_si128(), aad), ciphertext);
    sum = _mm_xor_si128(sum, _mm_set_epi64x((long long)aad.len * 8, (long long)ciphertext.len * 8));
    sum = _mm_xor_si128(dot(sum, octets(subkeys + BLOCK)), octets(subkeys + 2 * (size_t)BLOCK));
    _mm_storeu_si128((__m128i *)(void *)tag, sum);
    bst_wipe(power, sizeof power);
}

/* ---- UIA2: the field of x^64 + x^4 + x^3 + x + 1 ---- */

AVX2_INLINE __m128i word(uint64_t w)
{
    return _mm_cvtsi64_si128((long long)w);
}

AVX2_INLINE uint64_t reduce64(__m128i x)
{
    __m128i once = _mm_clmulepi64_si128(x, word(0x1b), 0x01);
    x = _mm_xor_si128(x, _mm_xor_si128(once, _mm_clmulepi64_si128(once, word(0x1b), 0x01)));
    return (uint64_t)_mm_cvtsi128_si64(x);
}

AVX2_INLINE __m128i product(uint64_t a, uint64_t b)
{
    return _mm_clmulepi64_si128(word(a), word(b), 0x00);
}

AVX2 uint32_t bst_air_nia1_value_clmul(uint64_t p, uint64_t q, const uint8_t *in, size_t bits)
{
    uint64_t power[GROUP] = {p}, eval = 0;
    size_t left = bits;
    for (size_t i = 1; i < GROUP; i++) {
        power[i] = reduce64(product(power[i - 1], p));
    }
    for (; left >= (size_t)GROUP * 64; left -= (size_t)GROUP * 64, in += (size_t)GROUP * 8) {
        __m128i sum = product(eval ^ bst_air_be64(in), power[GROUP - 1]);
        for (size_t i = 1; i < GROUP; i++) {
            sum = _mm_xor_si128(sum, product(bst_air_be64(in + 8 * i), power[GROUP - 1 - i]));
        }
        eval = reduce64(sum);
    }
    for (; left > 0; left -= left < 64 ? left : 64, in += 8) {
        uint64_t next = left < 64 ? bst_air_tail(in, left) : bst_air_be64(in);
        eval = reduce64(product(eval ^ next, p));
    }
    bst_wipe(power, sizeof power);
    return (uint32_t)(reduce64(product(eval ^ bits, q)) >> 32);
}

/* ---- EIA3 ---- */

/* Bits of each octet in reverse. */
AVX2_INLINE __m128i reversed(__m128i x)
{
    const __m128i nibbles = _mm_set_epi8(15, 7, 11, 3, 13, 5, 9, 1, 14, 6, 10, 2, 12, 4, 8, 0);
    const __m128i mask = _mm_set1_epi8(15);
    __m128i low = _mm_shuffle_epi8(nibbles, _mm_and_si128(x, mask));
    __m128i high = _mm_shuffle_epi8(nibbles, _mm_and_si128(_mm_srli_epi16(x, 4), mask));
    return _mm_or_si128(_mm_slli_epi16(low, 4), high);
}

/* Four words: bits in reverse times two words of keystream each; the sum is in bits 32 to 63. */
AVX2_INLINE __m128i four_windows(__m128i text, const uint8_t *z)
{
    const __m128i big_endian = _mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    __m128i bits = reversed(text), even = _mm_and_si128(bits, _mm_set1_epi64x(0xffffffff));
    __m128i odd = _mm_srli_epi64(bits, 32);
    __m128i a = _mm_shuffle_epi8(octets(z), big_endian);
    __m128i b = _mm_shuffle_epi8(octets(z + 4), big_endian);
    return _mm_xor_si128(
        _mm_xor_si128(_mm_clmulepi64_si128(even, a, 0x00), _mm_clmulepi64_si128(even, a, 0x11)),
        _mm_xor_si128(_mm_clmulepi64_si128(odd, b, 0x00), _mm_clmulepi64_si128(odd, b, 0x11)));
}

AVX2 uint32_t bst_air_nia3_sum_clmul(const uint8_t *in, const uint8_t *z, size_t words)
{
    __m128i sum = _mm_setzero_si128();
    for (; words >= 4; words -= 4, in += 16, z += 16) {
        sum = _mm_xor_si128(sum, four_windows(octets(in), z));
    }
    if (words > 0) {
        uint8_t text[16] = {0}, stream[20] = {0};
        memcpy(text, in, 4 * words);
        memcpy(stream, z, 4 * words + 4);
        sum = _mm_xor_si128(sum, four_windows(octets(text), stream));
    }
    return (uint32_t)((uint64_t)_mm_cvtsi128_si64(sum) >> 32);
}
