/* SNOW 5G (TS 35.240): two registers of sixteen 16-bit cells that move eight cells a step, and a
 * state machine of three 128-bit registers over the AES round. Cells are little-endian in keystream
 * and IV. */
#include "core5g/air/air_priv.h"

#include "aes_columns.h"

#define STEPS 16
#define LANES 8

/* Eight cells at once, where the compiler has registers for that. */
typedef uint16_t lanes __attribute__((vector_size(16)));

static inline lanes load(const uint16_t *cells)
{
    lanes v;
    memcpy(&v, cells, sizeof v);
    return v;
}
static inline void store(uint16_t *cells, lanes v)
{
    memcpy(cells, &v, sizeof v);
}
static void load_le(uint16_t out[LANES], const uint8_t in[16])
{
    for (unsigned i = 0; i < LANES; i++) {
        out[i] = (uint16_t)(in[2 * i] | in[2 * i + 1] << 8);
    }
}

/* The AES round without a round key, on columns that are pairs of cells. */
static inline void aes_round(uint16_t out[LANES], const uint16_t in[LANES])
{
    uint32_t c[4];
    for (unsigned i = 0; i < 4; i++) {
        c[i] = in[2 * i] | (uint32_t)in[2 * i + 1] << 16;
    }
    for (unsigned i = 0; i < 4; i++) {
        uint32_t v = aes_columns[c[i] & 0xff];
        v ^= bst_air_rotl32(aes_columns[c[(i + 1) & 3] >> 8 & 0xff], 8);
        v ^= bst_air_rotl32(aes_columns[c[(i + 2) & 3] >> 16 & 0xff], 16);
        v ^= bst_air_rotl32(aes_columns[c[(i + 3) & 3] >> 24], 24);
        out[2 * i] = (uint16_t)v;
        out[2 * i + 1] = (uint16_t)(v >> 16);
    }
}

/* Sigma: the 4 x 4 octets transposed. */
static inline void transpose(uint16_t out[LANES], const uint16_t in[LANES])
{
    for (unsigned i = 0; i < 4; i++) {
        unsigned shift = 8 * (i & 1), from = i / 2;
        out[2 * i] = (uint16_t)((in[from] >> shift & 0xff) | (in[from + 2] >> shift & 0xff) << 8);
        out[2 * i + 1] =
            (uint16_t)((in[from + 4] >> shift & 0xff) | (in[from + 6] >> shift & 0xff) << 8);
    }
}

/* Times alpha or beta in the fields of 2^16. */
static inline lanes times(lanes x, uint16_t poly)
{
    return x << 1 ^ (-(x >> 15) & poly);
}

static inline lanes step(struct bst_snow5g *g)
{
    lanes a_low = load(g->a), a_high = load(g->a + 8), b_low = load(g->b), b_high = load(g->b + 8);
    lanes r2 = load(g->r2);
    lanes z = (b_high + load(g->r1)) ^ r2;
    uint16_t mixed[LANES];
    store(mixed, (a_high ^ load(g->r3)) + r2);
    aes_round(g->r3, g->r2);
    aes_round(g->r2, g->r1);
    transpose(g->r1, mixed);
    lanes a_new = times(a_low, 0x4a6d) ^ b_low ^ load(g->a + 7);
    lanes b_new = times(b_low, 0xcc87) ^ a_low ^ b_high;
    store(g->a, a_high);
    store(g->a + 8, a_new);
    store(g->b, b_high);
    store(g->b + 8, b_new);
    return z;
}

static void add_key(struct bst_snow5g *g, const uint8_t half[16])
{
    uint16_t k[LANES];
    load_le(k, half);
    store(g->r1, load(g->r1) ^ load(k));
    bst_wipe(k, sizeof k);
}

void bst_snow5g_init(struct bst_snow5g *g, const uint8_t key[32], const uint8_t iv[16])
{
    memset(g, 0, sizeof *g);
    load_le(g->a, iv);
    load_le(g->a + 8, key);
    load_le(g->b + 8, key + 16);
    for (unsigned i = 1; i <= STEPS; i++) {
        lanes z = step(g);
        store(g->a + 8, load(g->a + 8) ^ z);
        if (i == STEPS - 1) {
            add_key(g, key);
        }
    }
    add_key(g, key + 16);
}

static inline void put_le(uint8_t out[16], lanes z)
{
    for (unsigned i = 0; i < LANES; i++) {
        out[2 * i] = (uint8_t)z[i];
        out[2 * i + 1] = (uint8_t)(z[i] >> 8);
    }
}

static bst_result start(struct bst_air_stream *stream, struct bst_air_key *key, const uint8_t *iv)
{
    stream->key = key;
    bst_snow5g_init(&stream->of.snow5g, key->key.ptr, iv);
    return BST_OK;
}

static bst_result apply(struct bst_air_stream *stream, const uint8_t *in, size_t len, uint8_t *out)
{
    uint8_t z[16];
    while (len > 0) {
        size_t n = len < sizeof z ? len : sizeof z;
        put_le(z, step(&stream->of.snow5g));
        for (size_t i = 0; i < n; i++) {
            out[i] = in[i] ^ z[i];
        }
        in += n;
        out += n;
        len -= n;
    }
    bst_wipe(z, sizeof z);
    return BST_OK;
}

const struct bst_air_generator bst_air_snow5g = {.start = start, .apply = apply};
