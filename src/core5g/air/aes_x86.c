/* AES by instructions: round keys, counter mode sixteen blocks at a time, and CMAC of sixteen
 * packets side by side, since the blocks of one packet wait for each other. */
#include "core5g/air/x86.h"

#define BLOCK 16
#define LANES 16

AVX2_INLINE __m128i block_at(const uint8_t *from)
{
    return _mm_loadu_si128((const __m128i *)(const void *)from);
}

/* ---- round keys (FIPS 197 5.2) ---- */

AVX2_INLINE uint32_t substitute(uint32_t word, bool rotated)
{
    __m128i x = _mm_aeskeygenassist_si128(_mm_set1_epi32((int)word), 0);
    return (uint32_t)(rotated ? _mm_extract_epi32(x, 1) : _mm_extract_epi32(x, 0));
}

AVX2 static void expand(const uint8_t *key, size_t key_words, size_t rounds, uint8_t *out)
{
    uint32_t w[60], rcon = 1;
    memcpy(w, key, 4 * key_words);
    for (size_t i = key_words; i < 4 * (rounds + 1); i++) {
        uint32_t next = w[i - 1];
        if (i % key_words == 0) {
            next = substitute(next, true) ^ rcon;
            rcon = rcon << 1 ^ (rcon & 0x80 ? 0x11b : 0);
        } else if (key_words > 6 && i % key_words == 4) {
            next = substitute(next, false);
        }
        w[i] = w[i - key_words] ^ next;
    }
    memcpy(out, w, BLOCK * (rounds + 1));
    bst_wipe(w, sizeof w);
}

/* CMAC's subkeys from the cipher of zero (RFC 4493 2.3). */
AVX2 static void make_subkeys(uint8_t schedule[BST_AIR_SCHEDULE_BYTES])
{
    uint8_t zero[BLOCK];
    __m128i x = block_at(schedule);
    for (int round = 1; round < 10; round++) {
        x = _mm_aesenc_si128(x, block_at(schedule + BLOCK * round));
    }
    x = _mm_aesenclast_si128(x, block_at(schedule + BLOCK * 10));
    _mm_storeu_si128((__m128i *)(void *)zero, x);
    bst_air_twice(zero);
    memcpy(schedule + BST_AIR_K1_AT, zero, BLOCK);
    bst_air_twice(zero);
    memcpy(schedule + BST_AIR_K2_AT, zero, BLOCK);
    bst_wipe(zero, sizeof zero);
}

AVX2 void bst_air_aes_schedule_x86(const uint8_t *key, size_t bytes,
                                   uint8_t out[BST_AIR_SCHEDULE_BYTES])
{
    memset(out, 0, BST_AIR_SCHEDULE_BYTES);
    expand(key, bytes / 4, bytes == 16 ? 10 : 14, out);
    if (bytes == 16) {
        make_subkeys(out);
    }
}

/* ---- counter mode ---- */

#define WIDTH 4 /* registers of four blocks */

struct ctr {
    __m512i counter; /* of the next four blocks, octets reversed */
    const uint8_t *schedule;
    int rounds;
    bool other; /* the counter would carry beyond its 32 bits: that is OpenSSL's */
};

AVX512_INLINE __m512i reversed(__m512i x)
{
    return _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
                                                                      10, 11, 12, 13, 14, 15)));
}

AVX512_INLINE __m512i counters(int n)
{
    return _mm512_set_epi32(0, 0, 0, n, 0, 0, 0, n, 0, 0, 0, n, 0, 0, 0, n);
}

AVX512 static bst_result ctr_start(struct bst_air_stream *stream, struct bst_air_key *key,
                                   const uint8_t *iv)
{
    struct ctr *ctr = (struct ctr *)(void *)stream->of.vectors;
    const __m512i first = _mm512_set_epi32(0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0);
    stream->key = key;
    ctr->other = bst_air_be32(iv + 12) > UINT32_MAX - (BST_AIR_MESSAGE_MAX / BLOCK + 4 * WIDTH);
    if (ctr->other) {
        return bst_air_aes.start(stream, key, iv);
    }
    ctr->schedule = key->schedule.ptr;
    ctr->rounds = key->algorithm->key_bytes == 16 ? 10 : 14;
    ctr->counter = _mm512_add_epi32(reversed(_mm512_broadcast_i32x4(block_at(iv))), first);
    return BST_OK;
}

/* So many registers of keystream; `count` and `rounds` are known where it is called. */
AVX512_INLINE void keystream(struct ctr *ctr, int rounds, int count, __m512i z[WIDTH])
{
    __m512i k = _mm512_broadcast_i32x4(block_at(ctr->schedule));
    for (int i = 0; i < count; i++) {
        z[i] = _mm512_xor_si512(reversed(ctr->counter), k);
        ctr->counter = _mm512_add_epi32(ctr->counter, counters(4));
    }
    for (int round = 1; round < rounds; round++) {
        k = _mm512_broadcast_i32x4(block_at(ctr->schedule + BLOCK * round));
        for (int i = 0; i < count; i++) {
            z[i] = _mm512_aesenc_epi128(z[i], k);
        }
    }
    k = _mm512_broadcast_i32x4(block_at(ctr->schedule + BLOCK * rounds));
    for (int i = 0; i < count; i++) {
        z[i] = _mm512_aesenclast_epi128(z[i], k);
    }
}

/* A length that ends inside four blocks makes the counter stand behind what was used. */
AVX512_INLINE void run(struct ctr *ctr, int rounds, const uint8_t *in, size_t len, uint8_t *out)
{
    __m512i z[WIDTH];
    for (; len >= sizeof z; len -= sizeof z, in += sizeof z, out += sizeof z) {
        keystream(ctr, rounds, WIDTH, z);
        for (int i = 0; i < WIDTH; i++) {
            __m512i text = _mm512_loadu_si512(in + 64 * i);
            _mm512_storeu_si512(out + 64 * i, _mm512_xor_si512(text, z[i]));
        }
    }
    if (len == 0) {
        return;
    }
    __m512i before = ctr->counter;
    keystream(ctr, rounds, WIDTH, z);
    for (size_t at = 0; at < len; at += 64) {
        __mmask64 mask = bst_air_octets_mask(len - at);
        __m512i text = _mm512_maskz_loadu_epi8(mask, in + at);
        _mm512_mask_storeu_epi8(out + at, mask, _mm512_xor_si512(text, z[at / 64]));
    }
    ctr->counter = _mm512_add_epi32(before, counters((int)(len / BLOCK)));
}

AVX512 static bst_result ctr_apply(struct bst_air_stream *stream, const uint8_t *in, size_t len,
                                   uint8_t *out)
{
    struct ctr *ctr = (struct ctr *)(void *)stream->of.vectors;
    if (ctr->other) {
        return bst_air_aes.apply(stream, in, len, out);
    }
    if (ctr->rounds == 10) {
        run(ctr, 10, in, len, out);
    } else {
        run(ctr, 14, in, len, out);
    }
    return BST_OK;
}

const struct bst_air_generator bst_air_aes_avx512 = {.start = ctr_start, .apply = ctr_apply};

/* ---- CMAC of sixteen packets ---- */

struct cmac {
    __m512i keys[11][4], x[4];
    const uint8_t *from[LANES]; /* the next block of each lane */
    uint8_t first[LANES][BLOCK], last[LANES][BLOCK];
    size_t blocks[LANES]; /* in all */
};

AVX512_INLINE __m512i four_blocks(const uint8_t *const from[4], size_t at)
{
    __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(block_at(from[0] + at)),
                                          block_at(from[1] + at), 1);
    __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(block_at(from[2] + at)),
                                           block_at(from[3] + at), 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

/* `n` blocks of each lane. */
AVX512 static void chain(struct cmac *c, size_t n)
{
    __m512i x[4] = {c->x[0], c->x[1], c->x[2], c->x[3]};
    for (size_t at = 0; at < n * BLOCK; at += BLOCK) {
        for (int i = 0; i < 4; i++) {
            x[i] = _mm512_ternarylogic_epi32(x[i], four_blocks(c->from + (size_t)4 * i, at),
                                             c->keys[0][i], 0x96);
        }
        for (int round = 1; round < 10; round++) {
            for (int i = 0; i < 4; i++) {
                x[i] = _mm512_aesenc_epi128(x[i], c->keys[round][i]);
            }
        }
        for (int i = 0; i < 4; i++) {
            x[i] = _mm512_aesenclast_epi128(x[i], c->keys[10][i]);
        }
    }
    for (int i = 0; i < 4; i++) {
        c->x[i] = x[i];
    }
}

/* The first and the last block of header and message; they may be the same. */
static void ends(struct cmac *c, size_t lane, const struct bst_air_job *job)
{
    const size_t bits = job->packet->bits, total = 64 + bits;
    const size_t blocks = (total + 127) / 128, used = total - 128 * (blocks - 1);
    const uint8_t *subkey = job->key->schedule.ptr + (used == 128 ? BST_AIR_K1_AT : BST_AIR_K2_AT);
    uint8_t *first = c->first[lane], *last = c->last[lane];
    size_t of_first = bst_air_octets(bits) < 8 ? bst_air_octets(bits) : 8;
    c->blocks[lane] = blocks;
    memset(first, 0, BLOCK);
    memcpy(first, job->iv, 8);
    if (of_first > 0) {
        memcpy(first + 8, job->in, of_first);
    }
    memset(last, 0, BLOCK);
    if (blocks == 1) {
        memcpy(last, first, BLOCK);
    } else {
        memcpy(last, job->in + BLOCK * (blocks - 1) - 8, bst_air_octets(used));
    }
    if (used < 128) {
        last[used / 8] = (uint8_t)((last[used / 8] & ~(0xff >> used % 8)) | 0x80 >> used % 8);
    }
    for (size_t i = 0; i < BLOCK; i++) {
        last[i] ^= subkey[i];
    }
}

/* Lanes without a job do what the first one does. */
AVX512 static void load(struct cmac *c, const struct bst_air_job *jobs, size_t n)
{
    const uint8_t *schedule[LANES];
    for (size_t i = 0; i < LANES; i++) {
        schedule[i] = jobs[i < n ? i : 0].key->schedule.ptr;
    }
    for (size_t round = 0; round < 11; round++) {
        for (size_t i = 0; i < 4; i++) {
            c->keys[round][i] = four_blocks(schedule + 4 * i, BLOCK * round);
        }
    }
    for (size_t i = 0; i < 4; i++) {
        c->x[i] = _mm512_setzero_si512();
    }
    for (size_t i = 0; i < n; i++) {
        ends(c, i, &jobs[i]);
    }
}

/* Where each lane reads its block number `at`: lanes that ended go on with the first one's, which
 * is the longest, and nobody looks at what they give. */
static void aim(struct cmac *c, const struct bst_air_job *jobs, size_t n, size_t at)
{
    for (size_t i = 0; i < LANES; i++) {
        size_t lane = i < n && at < c->blocks[i] ? i : 0;
        if (at + 1 == c->blocks[lane]) {
            c->from[i] = c->last[lane];
        } else {
            c->from[i] = at ? jobs[lane].in + BLOCK * at - 8 : c->first[lane];
        }
    }
}

/* Blocks until the next lane ends: the first and each last one come alone. */
static size_t until_next(const struct cmac *c, size_t n, size_t at)
{
    size_t next = c->blocks[0] - 1;
    for (size_t i = 1; i < n; i++) {
        if (c->blocks[i] > at && c->blocks[i] - 1 < next) {
            next = c->blocks[i] - 1;
        }
    }
    return at == 0 || next == at ? 1 : next - at;
}

AVX512 static void group_cmac(struct bst_air_job *jobs, size_t n)
{
    struct cmac c;
    load(&c, jobs, n);
    for (size_t at = 0; at < c.blocks[0];) {
        size_t some = until_next(&c, n, at);
        aim(&c, jobs, n, at);
        chain(&c, some);
        at += some;
        for (size_t i = 0; i < n; i++) {
            if (c.blocks[i] == at) {
                memcpy(jobs[i].tag, (const uint8_t *)c.x + BLOCK * i, BLOCK);
            }
        }
    }
    bst_wipe(&c, sizeof c);
}

bst_result bst_air_nia2_avx512(struct bst_air_job *jobs, size_t n, bool open)
{
    for (size_t some; n > 0; n -= some, jobs += some) {
        some = n < LANES ? n : LANES;
        group_cmac(jobs, some);
    }
    return BST_OK;
}
