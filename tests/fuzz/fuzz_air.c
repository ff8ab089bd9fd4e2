/* Every implementation of the air-interface algorithms against the portable one: an input is the
 * algorithm, a tag length, key and IV material, and then packets, each two octets of length in bits
 * and as much text as there is. */
#include "core5g/air/air.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PACKETS 40
#define HEAD 35
#define PACKET_OCTETS_MAX 2100

struct input {
    const struct bst_air_algorithm *algorithm;
    unsigned tag_bytes;
    const uint8_t *key, *text;
    size_t n, bits[PACKETS], at[PACKETS];
};

static bool read_input(const uint8_t *data, size_t size, struct input *in)
{
    size_t rows = 0, at = HEAD;
    while (bst_air_at(rows)) {
        rows++;
    }
    if (size < HEAD) {
        return false;
    }
    in->algorithm = bst_air_at(data[0] % rows);
    in->tag_bytes = in->algorithm->tag_max > 4 ? 4 + data[1] % 13 : 0;
    in->key = data + 2;
    in->text = data;
    for (; in->n < PACKETS && at + 2 <= size; in->n++) {
        size_t bits = (size_t)data[at] << 8 | data[at + 1], left = size - at - 2;
        bits = bits % (PACKET_OCTETS_MAX * 8);
        bits = bits / 8 < left ? bits : left * 8;
        bits -= in->algorithm->key_bytes == 32 && in->algorithm->kind != BST_AIR_NEA ? bits % 8 : 0;
        in->bits[in->n] = bits;
        in->at[in->n] = at + 2;
        at += 2 + (bits + 7) / 8;
    }
    return in->n > 0;
}

struct output {
    uint8_t text[PACKETS][PACKET_OCTETS_MAX], tags[PACKETS][BST_AIR_TAG_MAX];
};

static void need(bool good)
{
    if (!good) {
        abort();
    }
}

static void make_packets(const struct input *in, struct bst_air_key *keys,
                         struct bst_air_packet *packets, struct output *out)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < in->n; i++) {
        uint8_t key[32];
        memcpy(key, in->key, sizeof key);
        key[0] ^= (uint8_t)i;
        need(!bst_failed(bst_air_key_init(
            &keys[i], in->algorithm, bst_view_of(key, in->algorithm->key_bytes), in->tag_bytes)));
        packets[i] =
            (struct bst_air_packet){.key = &keys[i],
                                    .place = {(uint32_t)i << 24 | in->key[31], (uint8_t)(i % 32),
                                              i % 2 ? BST_AIR_DOWNLINK : BST_AIR_UPLINK},
                                    .aad = bst_view_of(in->text, i),
                                    .in = in->text + in->at[i],
                                    .bits = in->bits[i],
                                    .out = out->text[i],
                                    .tag = out->tags[i]};
    }
}

static void protect(const char *implementation, const struct input *in, struct output *out)
{
    struct bst_air_key keys[PACKETS] = {{0}};
    struct bst_air_packet packets[PACKETS];
    need(!bst_failed(bst_air_use(bst_view(implementation))));
    make_packets(in, keys, packets, out);
    need(bst_air_protect_batch(packets, in->n) == 0);
    if (in->algorithm->kind != BST_AIR_NEA) {
        /* The other way in place, the last tag being wrong. */
        static struct output opened;
        opened = *out;
        for (size_t i = 0; i < in->n; i++) {
            packets[i].in = in->algorithm->kind == BST_AIR_NCA ? opened.text[i] : packets[i].in;
            packets[i].out = opened.text[i];
            packets[i].tag = opened.tags[i];
        }
        opened.tags[in->n - 1][0] ^= 0x80;
        need(bst_air_open_batch(packets, in->n) == 1);
        need(packets[in->n - 1].result.code == BST_E_BAD_MAC);
        for (size_t i = 0; i + 1 < in->n && in->algorithm->kind == BST_AIR_NCA; i++) {
            need(memcmp(opened.text[i], in->text + in->at[i], in->bits[i] / 8) == 0);
        }
    }
    for (size_t i = 0; i < in->n; i++) {
        bst_air_key_clear(&keys[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct output portable, other;
    struct input in = {0};
    const char *name;
    if (!read_input(data, size, &in)) {
        return 0;
    }
    protect("portable", &in, &portable);
    for (size_t i = 1; (name = bst_air_implementation_at(i)); i++) {
        protect(name, &in, &other);
        need(memcmp(&portable, &other, sizeof portable) == 0);
    }
    return 0;
}
