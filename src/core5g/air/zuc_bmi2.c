/* ZUC of one packet. It waits for the way from one S-box look-up to the next, which is kept short
 * here: what does not depend on it is made beforehand, eight words at a time by vectors; the
 * register runs ahead of the state machine; and of its two words the second, to which nothing is
 * added, comes out of the tables with L1 and L2 done. Addresses depend on the state, as in the
 * portable code. */
#include "core5g/air/x86.h"
#include "core5g/air/zuc_core.h"

#include "vector_tables.h"

#define HALF 8    /* words at a time */
#define AHEAD 11  /* cells beyond the sixteen that half a turn needs made */
#define CELLS 128 /* in a row, before they are moved to the beginning */

/* What the S-boxes are asked next. */
struct questions {
    uint32_t u, v;
};
struct half {
    uint64_t x1[HALF]; /* X1, 16 bits up */
    uint32_t to_u[HALF], to_v[HALF];
};
struct run {
    uint32_t cells[CELLS + 16 + AHEAD + HALF];
    struct half now, next;
    uint64_t w1[HALF], r2[HALF]; /* W1, 16 bits up; R2 in the upper word */
} __attribute__((aligned(64)));

/* Compilers rearrange sums into chains, and pick octets by the slow way: what is behind a fence
 * they take as it is. */
AVX2_INLINE uint32_t fence(uint32_t x)
{
    __asm__("" : "+r"(x));
    return x;
}
AVX2_INLINE uint64_t fence64(uint64_t x)
{
    __asm__("" : "+r"(x));
    return x;
}
/* Into another register, which costs no time. */
AVX2_INLINE uint64_t lowest(uint32_t x)
{
    uint64_t octet;
    __asm__("movzbl %b1, %k0" : "=&r"(octet) : "q"(x));
    return octet;
}

/* ---- what is made beforehand ---- */

AVX2_INLINE __m256i load(const void *from)
{
    return _mm256_loadu_si256((const __m256i *)from);
}
AVX2_INLINE void store(void *to, __m256i x)
{
    _mm256_storeu_si256((__m256i *)to, x);
}
AVX2_INLINE __m256i xor3(__m256i a, __m256i b, __m256i c)
{
    return _mm256_xor_si256(_mm256_xor_si256(a, b), c);
}
AVX2_INLINE __m256i rotl(__m256i x, int n)
{
    return _mm256_or_si256(_mm256_slli_epi32(x, n), _mm256_srli_epi32(x, 32 - n));
}
AVX2_INLINE __m256i rotl8(__m256i x)
{
    return _mm256_shuffle_epi8(x, _mm256_broadcastsi128_si256(_mm_set_epi8(
                                      14, 13, 12, 15, 10, 9, 8, 11, 6, 5, 4, 7, 2, 1, 0, 3)));
}
AVX2_INLINE __m256i rotl16(__m256i x)
{
    return _mm256_shuffle_epi8(x, _mm256_broadcastsi128_si256(_mm_set_epi8(
                                      13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2)));
}

/* L1 is x + 24 + 2 * (0 + 8 + 16), L2 is x + 8 + 14 * (0 + 8 + 16), in rotations. */
AVX2_INLINE __m256i mix1(__m256i x)
{
    __m256i x8 = rotl8(x), x16 = rotl16(x);
    return xor3(x, rotl8(x16), rotl(xor3(x, x8, x16), 2));
}
AVX2_INLINE __m256i mix2(__m256i x)
{
    __m256i x8 = rotl8(x);
    return xor3(x, x8, rotl(xor3(x, x8, rotl16(x)), 14));
}

/* Lower 16 bits of one cell, then the upper 16 (of 31) of the other. */
AVX2_INLINE __m256i low_high(__m256i low, __m256i high)
{
    return _mm256_or_si256(_mm256_slli_epi32(low, 16), _mm256_srli_epi32(high, 15));
}

AVX2_INLINE void prepare(struct half *h, const uint32_t *s)
{
    __m256i x1 = low_high(load(s + 11), load(s + 9));
    __m256i x2_high = _mm256_and_si256(load(s + 7), _mm256_set1_epi32(0xffff));
    __m256i x2_low = _mm256_slli_epi32(_mm256_srli_epi32(load(s + 5), 15), 16);
    __m256i first = _mm256_cvtepu32_epi64(_mm256_castsi256_si128(x1));
    __m256i second = _mm256_cvtepu32_epi64(_mm256_extracti128_si256(x1, 1));
    store(h->x1, _mm256_slli_epi64(first, 16));
    store(h->x1 + 4, _mm256_slli_epi64(second, 16));
    store(h->to_u, mix1(x2_high));
    store(h->to_v, mix2(x2_low));
}

/* s[16] from s[0] to s[15]. */
AVX2_INLINE void clock_register(uint32_t *s)
{
    uint64_t sum = s[4] + 2 * (uint64_t)s[10];
    sum = s[15] + 4 * (s[13] + 8 * sum);
    sum = (sum << 15) + (uint64_t)s[0] * 257;
    uint32_t folded = fence((uint32_t)(sum & ZUC_P31) + (uint32_t)(sum >> 31));
    s[16] = (folded & ZUC_P31) + (folded >> 31);
}

/* ---- the state machine ---- */

AVX2_INLINE void clock_machine(struct run *r, struct questions *q, unsigned t)
{
    uint32_t u = q->u, v = q->v;
    uint32_t u1 = fence(u >> 8), u2 = fence(u >> 16), v1 = fence(v >> 8), v2 = fence(v >> 16);
    uint64_t sum = fence64(zuc_sum[lowest(u)] + r->now.x1[t]) + zuc_sum[256 + lowest(u1)];
    uint64_t w1 = sum + fence64(zuc_sum[512 + lowest(u2)] + zuc_sum[768 + (u >> 24)]);
    uint32_t a = fence((uint32_t)sum); /* W1's lower half, which waits for two look-ups only */
    r->w1[t] = fence64(w1);
    uint32_t b = (uint16_t)fence((uint32_t)(w1 >> 32));
    uint64_t high = zuc_mixed[512 + lowest(v2)] ^ zuc_mixed[768 + (v >> 24)];
    uint64_t low = zuc_mixed[lowest(v)] ^ zuc_mixed[256 + lowest(v1)];
    r->r2[t] = fence64(high ^ low);
    uint32_t x =
        fence(fence(bst_air_rotl32(a, 2) ^ bst_air_rotl32(a, 10)) ^ fence(a ^ r->now.to_u[t]));
    uint32_t y = fence(fence(bst_air_rotl32(b, 8) ^ bst_air_rotl32(b, 14)) ^
                       fence(b ^ fence((uint32_t)low ^ r->now.to_v[t])));
    q->u = fence(x ^ fence(bst_air_rotl32(a, 18) ^ bst_air_rotl32(a, 24))) ^ (uint32_t)high;
    q->v = y ^ fence(bst_air_rotl32(b, 22) ^ bst_air_rotl32(b, 30));
}

/* Of pairs of words the lower or the upper ones. */
AVX2_INLINE __m256i words_of(__m256i first, __m256i second, const bool upper)
{
    __m256 a = _mm256_castsi256_ps(first), b = _mm256_castsi256_ps(second);
    __m256 both = upper ? _mm256_shuffle_ps(a, b, 0xdd) : _mm256_shuffle_ps(a, b, 0x88);
    return _mm256_permute4x64_epi64(_mm256_castps_si256(both), 0xd8);
}

/* Octets of keystream from what eight steps left. */
AVX2_INLINE __m256i keystream(const struct run *r, const uint32_t *s)
{
    const __m256i big_endian = _mm256_broadcastsi128_si256(
        _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
    __m256i first = _mm256_sub_epi64(load(r->w1), load(r->now.x1));
    __m256i second = _mm256_sub_epi64(load(r->w1 + 4), load(r->now.x1 + 4));
    __m256i r1 = words_of(_mm256_srli_epi64(first, 16), _mm256_srli_epi64(second, 16), false);
    __m256i r2 = words_of(load(r->r2), load(r->r2 + 4), true);
    __m256i x0 = _mm256_blend_epi16(_mm256_slli_epi32(load(s + 15), 1), load(s + 14), 0x55);
    __m256i z = _mm256_add_epi32(_mm256_xor_si256(x0, r1), r2);
    z = _mm256_xor_si256(z, low_high(load(s + 2), load(s)));
    return _mm256_shuffle_epi8(z, big_endian);
}

/* The end of a call: the register is far enough. */
AVX2_INLINE void last_words(struct run *r, struct questions *q, uint32_t *s, const uint8_t *in,
                            size_t len, uint8_t *out)
{
    uint8_t text[4 * HALF] = {0};
    for (unsigned t = 0; t < (unsigned)(len + 3) / 4; t++) {
        clock_machine(r, q, t);
    }
    memcpy(text, in, len);
    store(text, _mm256_xor_si256(load(text), keystream(r, s)));
    memcpy(out, text, len);
}

AVX2_INLINE void eight_words(struct run *r, struct questions *q, uint32_t *s, const uint8_t *in,
                             uint8_t *out)
{
    prepare(&r->next, s + HALF);
#pragma GCC unroll 8
    for (unsigned t = 0; t < HALF; t++) {
        clock_machine(r, q, t);
        clock_register(s + AHEAD + t);
    }
    store(out, _mm256_xor_si256(load(in), keystream(r, s)));
    r->now = r->next;
}

AVX2 static bst_result apply(struct bst_air_stream *stream, const uint8_t *in, size_t len,
                             uint8_t *out)
{
    struct questions q = {stream->of.zuc.u, stream->of.zuc.v};
    struct run r;
    uint32_t *s = r.cells;
    memcpy(s, stream->of.zuc.s, sizeof stream->of.zuc.s);
    for (unsigned t = 0; t < AHEAD; t++) {
        clock_register(s + t);
    }
    prepare(&r.now, s);
    for (; len >= 4 * HALF; len -= 4 * HALF, in += 4 * HALF, out += 4 * HALF) {
        eight_words(&r, &q, s, in, out);
        s += HALF;
        if (s == r.cells + CELLS) {
            memcpy(r.cells, s, (16 + AHEAD) * sizeof *s);
            s = r.cells;
        }
    }
    if (len > 0) {
        last_words(&r, &q, s, in, len, out);
        s += (len + 3) / 4;
    }
    memcpy(stream->of.zuc.s, s, sizeof stream->of.zuc.s);
    stream->of.zuc.u = q.u;
    stream->of.zuc.v = q.v;
    bst_wipe(&r, sizeof r);
    return BST_OK;
}

AVX2 static bst_result start128(struct bst_air_stream *stream, struct bst_air_key *key,
                                const uint8_t *iv)
{
    stream->key = key;
    bst_zuc128_load(&stream->of.zuc, key->key.ptr, iv);
    zuc_warm_up(&stream->of.zuc, 32);
    return BST_OK;
}

AVX2 static bst_result start256(struct bst_air_stream *stream, struct bst_air_key *key,
                                const uint8_t *iv)
{
    stream->key = key;
    bst_zuc256_load(&stream->of.zuc, key->key.ptr, iv);
    zuc_warm_up(&stream->of.zuc, 48);
    return BST_OK;
}

const struct bst_air_generator bst_air_zuc128_bmi2 = {.start = start128, .apply = apply};
const struct bst_air_generator bst_air_zuc256_bmi2 = {.start = start256, .apply = apply};
