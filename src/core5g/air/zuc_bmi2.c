/* ZUC of one packet: the portable step, compiled for processors that rotate and shift without
 * copying, and words that are put on the text in wide pieces. */
#include "core5g/air/x86.h"
#include "core5g/air/zuc_core.h"

/* A whole turn of the register: the places are constants and nothing rotates. */
AVX2_INLINE void turn(struct bst_zuc *g, uint32_t out[16])
{
#pragma GCC unroll 16
    for (unsigned t = 0; t < 16; t++) {
        out[t] = zuc_next_word(g, t);
    }
}

AVX2 static bst_result apply(struct bst_air_stream *stream, const uint8_t *in, size_t len,
                             uint8_t *out)
{
    struct bst_zuc g = stream->of.zuc;
    uint32_t z[16] = {0};
    for (; len >= 64; len -= 64, in += 64, out += 64) {
        turn(&g, z);
        bst_air_put_words(z, in, out);
    }
    if (len > 0) {
        unsigned words = (unsigned)(len + 3) / 4;
        for (unsigned t = 0; t < words; t++) {
            z[t] = zuc_next_word(&g, t);
        }
        zuc_rotate(g.s, words);
        bst_air_xor_be32(in, z, len, out);
    }
    stream->of.zuc = g;
    bst_wipe(&g, sizeof g);
    bst_wipe(z, sizeof z);
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
