/* One step of ZUC in portable C, for functions that are compiled for different processors. */
#pragma once

#include "core5g/air/air_priv.h"

#include "zuc_tables.h"

#define ZUC_P31 UINT32_C(0x7fffffff)
#define ZUC_GIVES_ZERO UINT32_C(0x06170617) /* S0(06) = S1(17) = 0 */

/* Congruent and from 1 to 2^31 - 1: a sum of cells, of which none is 0, is never 0. */
static inline uint32_t zuc_reduce(uint64_t sum)
{
    sum = (sum & ZUC_P31) + (sum >> 31);
    return (uint32_t)((sum & ZUC_P31) + (sum >> 31));
}

/* `t` is where s0 is kept; the new cell takes its place. */
static inline void zuc_clock_register(struct bst_zuc *g, unsigned t, uint32_t extra)
{
    const uint32_t *s = g->s;
    uint64_t sum = (uint64_t)s[(t + 13) & 15] << 17;
    sum += (uint64_t)s[(t + 10) & 15] << 21;
    sum += (uint64_t)s[(t + 4) & 15] << 20;
    sum += ((uint64_t)s[t & 15] << 8) + s[t & 15] + extra;
    sum += (uint64_t)s[(t + 15) & 15] << 15; /* the newest, which the others need not wait for */
    g->s[t & 15] = zuc_reduce(sum);
}

static inline uint32_t zuc_mix1(uint32_t w)
{
    return (w ^ bst_air_rotl32(w, 2)) ^ (bst_air_rotl32(w, 10) ^ bst_air_rotl32(w, 18)) ^
           bst_air_rotl32(w, 24);
}
static inline uint32_t zuc_mix2(uint32_t w)
{
    return (w ^ bst_air_rotl32(w, 8)) ^ (bst_air_rotl32(w, 14) ^ bst_air_rotl32(w, 22)) ^
           bst_air_rotl32(w, 30);
}

/* Two halves of cells: the upper 16 bits of one, the lower 16 of the other. */
static inline uint32_t zuc_high_low(uint32_t high, uint32_t low)
{
    return (high & 0x7fff8000) << 1 | (low & 0xffff);
}
static inline uint32_t zuc_low_high(uint32_t low, uint32_t high)
{
    return low << 16 | high >> 15;
}

/* What the S-boxes will be asked is kept in the place of what they answer: R1 and R2 are halves
 * that go into the next question before they are joined, which is two steps less from one to the
 * next. */
static inline uint32_t zuc_clock_machine(struct bst_zuc *g, unsigned t)
{
    const uint32_t *s = g->s;
    uint32_t x0 = zuc_high_low(s[(t + 15) & 15], s[(t + 14) & 15]);
    uint32_t x1 = zuc_low_high(s[(t + 11) & 15], s[(t + 9) & 15]);
    /* X2 in halves, the lower one 16 bits up, and X1's lower one too. */
    uint32_t x2_high = s[(t + 7) & 15] & 0xffff, x2_low = s[(t + 5) & 15] << 1 & 0xffff0000;
    uint32_t x1_low = s[(t + 9) & 15] << 1 & 0xffff0000;
    uint32_t u = g->u, v = g->v;
    /* Of R1 the upper half in its place, the lower one 16 bits up; of R2 both the other way. */
    uint32_t r1_high = zuc_s0_3[u >> 24] | zuc_s1_2[u >> 16 & 0xff];
    uint32_t r1_low = zuc_s0_3[u >> 8 & 0xff] + zuc_s1_2[u & 0xff];
    uint32_t r2_high = zuc_s0_1[v >> 24] ^ zuc_s1_0[v >> 16 & 0xff];
    uint32_t r2_low = zuc_s0_3[v >> 8 & 0xff] ^ zuc_s1_2[v & 0xff];
    uint32_t r1 = r1_high | r1_low >> 16, r2 = r2_high << 16 | r2_low >> 16;
    g->u = zuc_mix1((r1_low + x1_low) | (r2_high ^ x2_high));
    g->v = zuc_mix2((r2_low ^ x2_low) | (r1 + x1) >> 16);
    return (x0 ^ r1) + r2;
}

static inline uint32_t zuc_next_word(struct bst_zuc *g, unsigned t)
{
    uint32_t x3 = zuc_low_high(g->s[(t + 2) & 15], g->s[t & 15]);
    uint32_t z = zuc_clock_machine(g, t) ^ x3;
    zuc_clock_register(g, t, 0);
    return z;
}

/* After `n` steps the oldest cell is again the first. */
static inline void zuc_rotate(uint32_t s[16], unsigned n)
{
    uint32_t old[16];
    memcpy(old, s, sizeof old);
    for (unsigned i = 0; i < 16; i++) {
        s[i] = old[(i + n) & 15];
    }
}

static inline void zuc_warm_up(struct bst_zuc *g, unsigned rounds)
{
    struct bst_zuc l = *g;
    l.u = l.v = ZUC_GIVES_ZERO;
    for (unsigned done = 0; done < rounds; done += 16) {
#pragma GCC unroll 16
        for (unsigned t = 0; t < 16; t++) {
            zuc_clock_register(&l, t, zuc_clock_machine(&l, t) >> 1);
        }
    }
    (void)zuc_next_word(&l, 0); /* thrown away */
    zuc_rotate(l.s, 1);
    *g = l;
}
