/* Rijndael-256/256: 14 rounds, rows shifted by 0, 1, 3 and 4.
 *
 * The S-box is computed, eight octets at a time in a 64-bit word, so that neither caches nor
 * branches see the key. */
#include "core5g/aka/rijndael256.h"

#include <string.h>

#define COLUMNS 8
#define LANES(octet) (UINT64_C(0x0101010101010101) * (octet))

/* ---- GF(2^8) in eight lanes ---- */

static uint64_t xtime(uint64_t a)
{
    return ((a & LANES(0x7f)) << 1) ^ (((a >> 7) & LANES(1)) * 0x1b);
}

static uint64_t multiply(uint64_t a, uint64_t b)
{
    uint64_t product = 0;
    for (int bit = 0; bit < 8; bit++) {
        product ^= a & (((b >> bit) & LANES(1)) * 0xff);
        a = xtime(a);
    }
    return product;
}

static uint64_t square(uint64_t a)
{
    return multiply(a, a);
}

/* a^254, which is the inverse, and 0 for 0. */
static uint64_t invert(uint64_t a)
{
    uint64_t a2 = square(a), a3 = multiply(a2, a), a12 = square(square(a3));
    uint64_t a240 = square(square(square(square(multiply(a12, a3)))));
    return multiply(multiply(a240, a12), a2);
}

static uint64_t rotate(uint64_t a, int n)
{
    uint64_t low = LANES((1u << n) - 1);
    return ((a << n) & ~low) | ((a >> (8 - n)) & low);
}

static void substitute(uint8_t *octets, int n)
{
    for (int i = 0; i < n; i += 8) {
        uint64_t a = 0;
        int take = n - i < 8 ? n - i : 8;
        memcpy(&a, octets + i, (size_t)take);
        a = invert(a);
        a ^= rotate(a, 1) ^ rotate(a, 2) ^ rotate(a, 3) ^ rotate(a, 4) ^ LANES(0x63);
        memcpy(octets + i, &a, (size_t)take);
    }
}

/* ---- key schedule ---- */

/* Word i of the schedule lies at octet 4 i; rounds follow one another. */
void bst_rijndael256_init(struct bst_rijndael256 *cipher, const uint8_t key[BST_RIJNDAEL_BYTES])
{
    uint8_t *words = cipher->round_keys[0];
    uint64_t constant = 1;
    memcpy(words, key, BST_RIJNDAEL_BYTES);
    for (int i = 8; i < COLUMNS * (BST_RIJNDAEL_ROUNDS + 1); i++) {
        uint8_t t[4];
        memcpy(t, words + 4 * (i - 1), 4);
        if (i % 8 == 0) {
            uint8_t first = t[0];
            memmove(t, t + 1, 3);
            t[3] = first;
        }
        if (i % 4 == 0) {
            substitute(t, 4);
        }
        if (i % 8 == 0) {
            t[0] ^= (uint8_t)constant;
            constant = xtime(constant);
        }
        for (int j = 0; j < 4; j++) {
            words[4 * i + j] = words[4 * (i - 8) + j] ^ t[j];
        }
    }
}

/* ---- rounds ---- */

static void shift_rows(uint8_t state[BST_RIJNDAEL_BYTES])
{
    static const uint8_t shift[4] = {0, 1, 3, 4};
    uint8_t old[BST_RIJNDAEL_BYTES];
    memcpy(old, state, sizeof old);
    for (int i = 0; i < BST_RIJNDAEL_BYTES; i++) {
        int row = i % 4, column = i / 4;
        state[i] = old[4 * ((column + shift[row]) % COLUMNS) + row];
    }
}

static uint8_t twice(uint8_t a)
{
    return (uint8_t)xtime(a);
}

static void mix_columns(uint8_t state[BST_RIJNDAEL_BYTES])
{
    for (uint8_t *c = state; c < state + BST_RIJNDAEL_BYTES; c += 4) {
        uint8_t all = c[0] ^ c[1] ^ c[2] ^ c[3], first = c[0];
        for (int i = 0; i < 4; i++) {
            uint8_t next = i < 3 ? c[i + 1] : first;
            c[i] ^= all ^ twice(c[i] ^ next);
        }
    }
}

static void add_key(uint8_t state[BST_RIJNDAEL_BYTES], const uint8_t key[BST_RIJNDAEL_BYTES])
{
    for (int i = 0; i < BST_RIJNDAEL_BYTES; i++) {
        state[i] ^= key[i];
    }
}

void bst_rijndael256_block(const struct bst_rijndael256 *cipher,
                           const uint8_t in[BST_RIJNDAEL_BYTES], uint8_t out[BST_RIJNDAEL_BYTES])
{
    uint8_t state[BST_RIJNDAEL_BYTES];
    memcpy(state, in, sizeof state);
    add_key(state, cipher->round_keys[0]);
    for (int round = 1; round <= BST_RIJNDAEL_ROUNDS; round++) {
        substitute(state, BST_RIJNDAEL_BYTES);
        shift_rows(state);
        if (round < BST_RIJNDAEL_ROUNDS) {
            mix_columns(state);
        }
        add_key(state, cipher->round_keys[round]);
    }
    memcpy(out, state, sizeof state);
}
