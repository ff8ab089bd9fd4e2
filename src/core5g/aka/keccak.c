/* Keccak-f[1600], FIPS 202 3.2 and 3.3; checked in tests against SHA3-256 and TUAK. */
#include "core5g/aka/keccak.h"

#define ROUNDS 24

static const uint64_t round_constants[ROUNDS] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
    0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
    0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};

/* Rotation of each lane, and where pi takes it from. */
static const uint8_t rho[25] = {0,  1,  62, 28, 27, 36, 44, 6,  55, 20, 3,  10, 43,
                                25, 39, 41, 45, 15, 21, 8,  18, 2,  61, 56, 14};

static uint64_t rotl(uint64_t x, unsigned n)
{
    return n ? x << n | x >> (64 - n) : x;
}

static void theta(uint64_t a[25])
{
    uint64_t column[5];
    for (int x = 0; x < 5; x++) {
        column[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
    }
    for (int x = 0; x < 5; x++) {
        uint64_t d = column[(x + 4) % 5] ^ rotl(column[(x + 1) % 5], 1);
        for (int y = 0; y < 25; y += 5) {
            a[x + y] ^= d;
        }
    }
}

static void rho_pi_chi(uint64_t a[25])
{
    uint64_t b[25];
    for (int x = 0; x < 5; x++) {
        for (int y = 0; y < 5; y++) {
            b[y + 5 * ((2 * x + 3 * y) % 5)] = rotl(a[x + 5 * y], rho[x + 5 * y]);
        }
    }
    for (int y = 0; y < 25; y += 5) {
        for (int x = 0; x < 5; x++) {
            a[x + y] = b[x + y] ^ (~b[(x + 1) % 5 + y] & b[(x + 2) % 5 + y]);
        }
    }
}

void bst_keccak_f1600(uint8_t state[BST_KECCAK_BYTES])
{
    uint64_t a[25] = {0};
    for (int i = 0; i < BST_KECCAK_BYTES; i++) {
        a[i / 8] |= (uint64_t)state[i] << (8 * (i % 8));
    }
    for (int round = 0; round < ROUNDS; round++) {
        theta(a);
        rho_pi_chi(a);
        a[0] ^= round_constants[round];
    }
    for (int i = 0; i < BST_KECCAK_BYTES; i++) {
        state[i] = (uint8_t)(a[i / 8] >> (8 * (i % 8)));
    }
}
