/* The air-interface algorithms: published vectors, slow twins of what is done fast, and refusals.
 */
#include "core5g/air/air_priv.h"
#include "core5g/kat/kat.h"
#include "crypto/cipher.h"
#include "support/test.h"

#include <stdio.h>

#define FILE_MAX (64 * 1024)
#define TEXT 256

static const uint8_t key_octets[32] = {
    0x2b, 0xd6, 0x45, 0x9f, 0x82, 0xc5, 0xb3, 0x00, 0x95, 0x2c, 0x49, 0x10, 0x48, 0x81, 0xff, 0x48,
    1,    2,    3,    4,    5,    6,    7,    8,    9,    10,   11,   12,   13,   14,   15,   16};
static const struct bst_air_place place = {0x38a6f056, 24, BST_AIR_DOWNLINK};

static void fill(uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)(i * 167 + 13);
    }
}

static void start(struct bst_air_key *key, const char *name, unsigned tag_bytes, uint8_t iv[16])
{
    const struct bst_air_algorithm *row = bst_air_named(bst_view(name));
    assert_non_null(row);
    assert_ok(bst_air_key_init(key, row, bst_view_of(key_octets, row->key_bytes), tag_bytes));
    assert_ok(bst_air_iv(key, &place, iv));
}

/* ---- vectors ---- */

static struct bst_view read_vectors(const char *name, char text[FILE_MAX])
{
    char path[512];
    const char *source = getenv("BST_SOURCE");
    snprintf(path, sizeof path, "%s/tests/vectors/5g/%s.json", source ? source : ".", name);
    FILE *file = fopen(path, "rb");
    if (!file) {
        fail_msg("%s cannot be opened", path);
        return (struct bst_view){0};
    }
    size_t len = fread(text, 1, FILE_MAX, file);
    (void)fclose(file);
    assert_true(len > 0 && len < FILE_MAX);
    return bst_view_of(text, len);
}

static void say(void *ctx, const char *file, const char *vector, const char *why)
{
    if (!ctx) {
        print_message("%s: %s: %s\n", file, vector, why);
    }
}

static const struct {
    const char *name;
    size_t count;
} files[] = {
    {"nea1", 8},
    {"nea2", 4},
    {"nea3", 4},
    {"nia1", 8},
    {"nia2", 9},
    {"nia3", 4},
    {"nea4", 14},
    {"nea5", 12},
    {"nea6", 12},
    {"nia4", 11},
    {"nia5", 12},
    {"nia6", 12},
    {"nca4", 14},
    {"nca5", 14},
    {"nca6", 14},
    {"snow3g-keystream", 3},
    {"zuc128-keystream", 3},
};
#define FILES (sizeof files / sizeof files[0])

static void every_published_vector_comes_out(void **state)
{
    static char text[FILE_MAX];
    for (size_t i = 0; i < FILES; i++) {
        struct bst_kat_tally tally = {.on_failed = say};
        assert_ok(bst_kat_run(files[i].name, read_vectors(files[i].name, text), &tally));
        assert_int_equal(tally.failed, 0);
        assert_int_equal(tally.passed, files[i].count);
    }
}

/* Changes the first digit of an answer wherever it stands. */
static size_t spoil(char *text, size_t len, const char *member)
{
    size_t n = 0, at = strlen(member);
    for (size_t i = 0; i + at < len; i++) {
        if (memcmp(text + i, member, at) == 0) {
            char *digit = text + i + at;
            if (*digit != '"') { /* an empty answer stays */
                *digit = *digit == '0' ? '1' : '0';
                n++;
            }
        }
    }
    return n;
}

static void a_wrong_answer_fails_its_vector(void **state)
{
    static const char *const members[] = {"\"ciphertext\": \"", "\"mac\": \"", "\"tag\": \"",
                                          "\"keystream\": \""};
    static char text[FILE_MAX];
    bool quiet = true;
    for (size_t i = 0; i < FILES; i++) {
        for (size_t m = 0; m < sizeof members / sizeof members[0]; m++) {
            struct bst_kat_tally tally = {.on_failed = say, .ctx = &quiet};
            struct bst_view view = read_vectors(files[i].name, text);
            size_t wrong = spoil(text, view.len, members[m]);
            assert_ok(bst_kat_run(files[i].name, view, &tally));
            assert_int_equal(tally.failed, wrong);
            assert_int_equal(tally.passed, files[i].count - wrong);
        }
    }
}

static void a_vector_of_another_shape_fails(void **state)
{
#define HEAD(family) "{\"family\":\"" family "\",\"vectors\":[{\"id\":\"x\","
#define KEY16 "\"key\":\"2bd6459f82c5b300952c49104881ff48\","
#define KEY32 "\"key\":\"2bd6459f82c5b300952c49104881ff482bd6459f82c5b300952c49104881ff48\","
#define PLACE "\"count\":\"38a6f056\",\"bearer\":24,\"direction\":0,"
    static const char *const bad[] = {
        HEAD("128-NEA1") KEY16 PLACE "\"bit_length\":8,\"message\":\"00\"}]}",
        HEAD("128-NEA1") KEY16 PLACE "\"bit_length\":9,\"message\":\"00\",\"ciphertext\":\"00\"}]}",
        HEAD("128-NEA1") KEY16 PLACE "\"bit_length\":-1,\"message\":\"\",\"ciphertext\":\"\"}]}",
        HEAD("128-NEA1") KEY16 PLACE "\"message\":\"00\",\"ciphertext\":\"00\"}]}",
        HEAD("128-NEA1") KEY32 PLACE "\"bit_length\":8,\"message\":\"00\",\"ciphertext\":\"00\"}]}",
        HEAD("128-NEA1") KEY16
        "\"count\":\"38a6f0\",\"bearer\":24,\"direction\":0,\"bit_length\":8,"
        "\"message\":\"00\",\"ciphertext\":\"00\"}]}",
        HEAD("128-NEA1") KEY16 "\"count\":\"38a6f056\",\"bearer\":32,\"direction\":0,"
                               "\"bit_length\":8,\"message\":\"00\",\"ciphertext\":\"00\"}]}",
        HEAD("128-NEA1") KEY16 "\"count\":\"38a6f056\",\"bearer\":24,\"direction\":2,"
                               "\"bit_length\":8,\"message\":\"00\",\"ciphertext\":\"00\"}]}",
        HEAD("128-NIA2") KEY16 PLACE "\"bit_length\":8,\"message\":\"00\",\"mac\":7}]}",
        HEAD("128-NIA2") KEY16 PLACE "\"bit_length\":8,\"message\":\"zz\",\"mac\":\"00000000\"}]}",
        HEAD("256-NIA4") KEY32 "\"iv\":\"00\",\"message\":\"\",\"tag_bits\":32,\"tag\":\"00\"}]}",
        HEAD("256-NIA4") KEY32 "\"iv\":\"20000000000000000000000000000000\",\"message\":\"\","
                               "\"tag_bits\":33,\"tag\":\"0000000000\"}]}",
        HEAD("256-NCA5") KEY32
        "\"iv\":\"8c000000000000000000000000000000\",\"message\":\"\","
        "\"aad\":\"\",\"ciphertext\":\"\",\"tag_bits\":136,\"tag\":\"00\"}]}",
        HEAD("256-NCA5") KEY32 "\"iv\":\"24000000000000000000000000000000\",\"message\":\"\","
                               "\"ciphertext\":\"\",\"tag_bits\":32,\"tag\":\"00000000\"}]}",
        HEAD("SNOW 3G keystream") "\"key_words_k0_k1_k2_k3\":\"2bd6459f82c5b300952c49104881ff48\","
                                  "\"iv_words_iv0_iv1_iv2_iv3\":\"00\",\"keystream\":\"00000000\"}]"
                                  "}",
        HEAD("ZUC-128 keystream") KEY16 "\"iv\":\"00000000000000000000000000000000\","
                                        "\"keystream\":\"\"}]}",
    };
    bool quiet = true;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct bst_kat_tally tally = {.on_failed = say, .ctx = &quiet};
        assert_ok(bst_kat_run("bad", bst_view(bad[i]), &tally));
        assert_int_equal(tally.passed, 0);
        assert_int_equal(tally.failed, 1);
    }
}

/* ---- slow twins ---- */

static void every_length_is_a_beginning_of_the_longest(void **state)
{
    uint8_t iv[16], in[TEXT], whole[TEXT], part[TEXT + 1];
    const struct bst_air_algorithm *row;
    fill(in, sizeof in);
    for (size_t i = 0; (row = bst_air_at(i)); i++) {
        if (row->kind != BST_AIR_NEA) {
            continue;
        }
        bst_auto(air_key) key = {0};
        start(&key, row->name, 0, iv);
        assert_ok(bst_air_cipher(&key, iv, in, sizeof in * 8, whole));
        for (size_t bits = 0; bits <= sizeof in * 8; bits++) {
            size_t len = (bits + 7) / 8;
            memcpy(part, in, len);
            part[len] = 0xa5;
            assert_ok(bst_air_cipher(&key, iv, part, bits, part)); /* in place */
            assert_int_equal(part[len], 0xa5);
            assert_memory_equal(part, whole, bits / 8);
            if (bits % 8) {
                assert_int_equal(part[len - 1], whole[len - 1] & (0xff00 >> bits % 8 & 0xff));
            }
        }
    }
}

static void bits_behind_the_end_change_nothing(void **state)
{
    static const char *const names[] = {"NIA0", "NIA1", "NIA2", "NIA3"};
    uint8_t iv[16], clean[TEXT], dirty[TEXT], a[16], b[16];
    for (size_t i = 0; i < 4; i++) {
        bst_auto(air_key) key = {0};
        start(&key, names[i], 0, iv);
        for (size_t bits = 0; bits < 600; bits++) {
            fill(clean, sizeof clean);
            memcpy(dirty, clean, sizeof dirty);
            clean[bits / 8] &= (uint8_t) ~(0xff >> bits % 8);
            dirty[bits / 8] |= (uint8_t)(0xff >> bits % 8);
            assert_ok(bst_air_mac(&key, iv, clean, bits, a));
            assert_ok(bst_air_mac(&key, iv, dirty, bits, b));
            assert_memory_equal(a, b, 4);
        }
    }
}

static bool bit_at(const uint8_t *in, size_t n)
{
    return in[n / 8] >> (7 - n % 8) & 1;
}

static uint64_t slow_multiply(uint64_t a, uint64_t b)
{
    uint64_t out = 0;
    for (int i = 63; i >= 0; i--) {
        out = out << 1 ^ (out >> 63 ? 0x1b : 0);
        out ^= b >> i & 1 ? a : 0;
    }
    return out;
}

static uint32_t slow_nia1(const uint8_t iv[16], const uint8_t *in, size_t bits)
{
    struct bst_snow3g g;
    uint32_t z[5];
    uint64_t eval = 0;
    bst_snow3g_init(&g, key_octets, iv);
    bst_snow3g_words(&g, z, 5);
    for (size_t at = 0; at < bits; at += 64) {
        uint64_t block = 0;
        for (size_t i = 0; i < 64; i++) {
            block = block << 1 | (at + i < bits && bit_at(in, at + i) ? 1 : 0);
        }
        eval = slow_multiply(eval ^ block, (uint64_t)z[0] << 32 | z[1]);
    }
    eval = slow_multiply(eval ^ bits, (uint64_t)z[2] << 32 | z[3]);
    return (uint32_t)(eval >> 32) ^ z[4];
}

static uint32_t slow_nia3(const uint8_t iv[16], const uint8_t *in, size_t bits)
{
    struct bst_zuc g;
    uint32_t z[64], sum = 0;
    bst_zuc128_init(&g, key_octets, iv);
    bst_zuc_words(&g, z, 64);
    for (size_t i = 0; i <= bits; i++) {
        uint64_t two = (uint64_t)z[i / 32] << 32 | z[i / 32 + 1];
        sum ^= i == bits || bit_at(in, i) ? (uint32_t)(two >> (32 - i % 32)) : 0;
    }
    return sum ^ z[(bits + 31) / 32 + 1];
}

static void double_block(uint8_t v[16])
{
    int carry = v[0] >> 7;
    for (int i = 0; i < 16; i++) {
        v[i] = (uint8_t)(v[i] << 1 | (i < 15 ? v[i + 1] >> 7 : 0));
    }
    v[15] ^= carry ? 0x87 : 0;
}

static uint32_t slow_nia2(const uint8_t iv[16], const uint8_t *in, size_t bits)
{
    bst_auto(aes) aes = {0};
    uint8_t text[TEXT + 32] = {0}, k[16] = {0}, sum[16] = {0};
    size_t all = bits + 64, blocks = all ? (all + 127) / 128 : 1;
    memcpy(text, iv, 8);
    for (size_t i = 0; i < bits; i++) {
        text[8 + i / 8] |= (uint8_t)(bit_at(in, i) << (7 - i % 8));
    }
    assert_ok(bst_aes_init(&aes, bst_view_of(key_octets, 16)));
    assert_ok(bst_aes_blocks(&aes, k, k, 1));
    double_block(k);
    if (all % 128) {
        double_block(k);
        text[all / 8] |= (uint8_t)(0x80 >> all % 8);
    }
    for (size_t b = 0; b < blocks; b++) {
        for (size_t i = 0; i < 16; i++) {
            sum[i] ^= (uint8_t)(text[16 * b + i] ^ (b == blocks - 1 ? k[i] : 0));
        }
        assert_ok(bst_aes_blocks(&aes, sum, sum, 1));
    }
    return bst_air_be32(sum);
}

static void tags_of_every_bit_length_agree_with_the_definition(void **state)
{
    static const struct {
        const char *name;
        uint32_t (*slow)(const uint8_t iv[16], const uint8_t *in, size_t bits);
    } twins[] = {{"NIA1", slow_nia1}, {"NIA2", slow_nia2}, {"NIA3", slow_nia3}};
    uint8_t iv[16], in[TEXT], tag[16];
    fill(in, sizeof in);
    for (size_t i = 0; i < 3; i++) {
        bst_auto(air_key) key = {0};
        start(&key, twins[i].name, 0, iv);
        for (size_t bits = 0; bits < 1300; bits++) {
            assert_ok(bst_air_mac(&key, iv, in, bits, tag));
            assert_int_equal(bst_air_be32(tag), twins[i].slow(iv, in, bits));
        }
    }
}

/* ---- refusals ---- */

static void a_message_that_was_changed_does_not_open(void **state)
{
    static const char *const names[] = {"NCA4", "NCA5", "NCA6"};
    uint8_t iv[16], in[45], sealed[45], out[45], none[45] = {0}, tag[16], aad[7];
    fill(in, sizeof in);
    fill(aad, sizeof aad);
    for (size_t n = 0; n < 3; n++) {
        bst_auto(air_key) key = {0};
        start(&key, names[n], 8, iv);
        struct bst_view a = bst_view_of(aad, sizeof aad), s = bst_view_of(sealed, sizeof sealed);
        struct bst_view t = bst_view_of(tag, 8);
        assert_ok(bst_air_seal(&key, iv, a, bst_view_of(in, sizeof in), sealed, tag));
        memset(out, 0, sizeof out);
        for (size_t bit = 0; bit < sizeof sealed * 8; bit++) {
            sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_err(bst_air_open(&key, iv, a, s, t, out), BST_E_BAD_MAC);
            sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t bit = 0; bit < sizeof aad * 8; bit++) {
            aad[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_err(bst_air_open(&key, iv, a, s, t, out), BST_E_BAD_MAC);
            aad[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t bit = 0; bit < 96; bit++) {
            iv[bit / 8] ^= (uint8_t)(1 << bit % 8);
            /* The lowest bit of octet 0 is the one that NCA5 sets itself for the subkeys. */
            assert_err(bst_air_open(&key, iv, a, s, t, out),
                       n == 1 && bit == 0 ? BST_E_VALUE : BST_E_BAD_MAC);
            iv[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        assert_memory_equal(out, none, sizeof out);
        assert_ok(bst_air_open(&key, iv, a, s, t, sealed)); /* in place */
        assert_memory_equal(sealed, in, sizeof in);
    }
}

static void a_tag_of_another_length_is_refused(void **state)
{
    uint8_t iv[16], in[20], sealed[20], out[20], tag[16];
    fill(in, sizeof in);
    bst_auto(air_key) seal = {0}, nia = {0};
    start(&seal, "NCA5", 16, iv);
    assert_ok(bst_air_seal(&seal, iv, BST_VIEW(""), bst_view_of(in, 20), sealed, tag));
    for (size_t len = 0; len < 16; len++) {
        assert_err(bst_air_open(&seal, iv, BST_VIEW(""), bst_view_of(sealed, 20),
                                bst_view_of(tag, len), out),
                   BST_E_BAD_MAC);
    }
    start(&nia, "NIA2", 0, iv);
    assert_ok(bst_air_mac(&nia, iv, in, 160, tag));
    assert_ok(bst_air_check(&nia, iv, in, 160, bst_view_of(tag, 4)));
    assert_err(bst_air_check(&nia, iv, in, 160, bst_view_of(tag, 3)), BST_E_BAD_MAC);
    assert_err(bst_air_check(&nia, iv, in, 160, bst_view_of(tag, 5)), BST_E_BAD_MAC);
    assert_err(bst_air_check(&nia, iv, in, 159, bst_view_of(tag, 4)), BST_E_BAD_MAC);
    tag[0] ^= 1;
    assert_err(bst_air_check(&nia, iv, in, 160, bst_view_of(tag, 4)), BST_E_BAD_MAC);
}

static void keys_of_another_length_are_refused(void **state)
{
    const struct bst_air_algorithm *row;
    for (size_t i = 0; (row = bst_air_at(i)); i++) {
        bst_auto(air_key) key = {0};
        for (size_t len = 0; row->key_bytes && len <= sizeof key_octets; len++) {
            bst_result r = bst_air_key_init(&key, row, bst_view_of(key_octets, len), 0);
            assert_int_equal(r.code, len == row->key_bytes ? BST_E_NONE : BST_E_BAD_KEY);
            bst_air_key_clear(&key);
        }
        for (unsigned tag = 1; tag < 20; tag++) {
            bst_result r =
                bst_air_key_init(&key, row, bst_view_of(key_octets, row->key_bytes), tag);
            bool good = row->kind != BST_AIR_NEA && tag >= row->tag_min && tag <= row->tag_max;
            assert_int_equal(r.code, good ? BST_E_NONE : BST_E_VALUE);
            bst_air_key_clear(&key);
        }
    }
}

static void a_key_does_only_what_it_is_for(void **state)
{
    uint8_t iv[16], in[8] = {0}, out[16];
    bst_auto(air_key) nea = {0}, nia = {0}, nca = {0}, none = {0};
    struct bst_view v = bst_view_of(in, 8), tag = bst_view_of(in, 4);
    start(&nea, "NEA2", 0, iv);
    start(&nia, "NIA5", 0, iv);
    start(&nca, "NCA5", 0, iv);
    assert_err(bst_air_mac(&nea, iv, in, 64, out), BST_E_USAGE);
    assert_err(bst_air_cipher(&nia, iv, in, 64, out), BST_E_USAGE);
    assert_err(bst_air_cipher(&nca, iv, in, 64, out), BST_E_USAGE);
    assert_err(bst_air_seal(&nia, iv, v, v, out, out), BST_E_USAGE);
    assert_err(bst_air_open(&nea, iv, v, v, tag, out), BST_E_USAGE);
    assert_err(bst_air_check(&nca, iv, in, 64, tag), BST_E_USAGE);
    assert_err(bst_air_cipher(&none, iv, in, 64, out), BST_E_USAGE);
    assert_err(bst_air_iv(&none, &place, iv), BST_E_USAGE);
    assert_err(bst_air_mac(&nia, iv, in, 63, out), BST_E_VALUE);
    assert_err(bst_air_mac(&nia, iv, in, SIZE_MAX, out), BST_E_TOO_LONG);
    assert_err(bst_air_cipher(&nea, iv, in, (BST_AIR_MESSAGE_MAX + 1) * 8, out), BST_E_TOO_LONG);
}

static void the_null_algorithms_change_nothing_and_give_zeros(void **state)
{
    uint8_t iv[16], in[9], out[9], tag[16];
    bst_auto(air_key) nea = {0}, nia = {0};
    fill(in, sizeof in);
    start(&nea, "NEA0", 0, iv);
    assert_ok(bst_air_cipher(&nea, iv, in, 72, out));
    assert_memory_equal(in, out, sizeof in);
    start(&nia, "NIA0", 0, iv);
    assert_ok(bst_air_mac(&nia, iv, in, 72, tag));
    assert_int_equal(bst_air_be32(tag), 0);
}

/* ---- IVs and the table ---- */

static void ivs_differ_by_count_bearer_direction_and_use(void **state)
{
    const struct bst_air_algorithm *row;
    for (size_t i = 0; (row = bst_air_at(i)); i++) {
        bst_auto(air_key) key = {0};
        uint8_t a[16], b[16];
        start(&key, row->name, 0, a);
        struct bst_air_place other[] = {place, place, place};
        other[0].count++;
        other[1].bearer ^= 1;
        other[2].direction = BST_AIR_UPLINK;
        for (size_t n = 0; n < 3; n++) {
            assert_ok(bst_air_iv(&key, &other[n], b));
            assert_memory_not_equal(a, b, 16);
        }
        other[0].bearer = BST_AIR_BEARER_MAX + 1;
        assert_err(bst_air_iv(&key, &other[0], b), BST_E_VALUE);
        if (row->key_bytes == 32) {
            assert_int_equal(a[0], key.tag_bytes * 8 + (row->kind == BST_AIR_NCA ? 4 : 0));
            assert_int_equal(bst_air_be32(a + 12), 0);
        }
    }
}

static void algorithms_are_found_by_name_and_number(void **state)
{
    const struct bst_air_algorithm *row;
    size_t n = 0;
    for (; (row = bst_air_at(n)); n++) {
        assert_ptr_equal(bst_air_find(row->kind, row->id), row);
        assert_ptr_equal(bst_air_named(bst_view(row->name)), row);
    }
    assert_int_equal(n, 17);
    assert_ptr_equal(bst_air_named(BST_VIEW("nea1")), bst_air_find(BST_AIR_NEA, 1));
    assert_null(bst_air_named(BST_VIEW("NEA7")));
    assert_null(bst_air_named(BST_VIEW("NEA")));
    assert_null(bst_air_named(BST_VIEW("")));
    assert_null(bst_air_find(BST_AIR_NCA, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_published_vector_comes_out),
        cmocka_unit_test(a_wrong_answer_fails_its_vector),
        cmocka_unit_test(a_vector_of_another_shape_fails),
        cmocka_unit_test(every_length_is_a_beginning_of_the_longest),
        cmocka_unit_test(bits_behind_the_end_change_nothing),
        cmocka_unit_test(tags_of_every_bit_length_agree_with_the_definition),
        cmocka_unit_test(a_message_that_was_changed_does_not_open),
        cmocka_unit_test(a_tag_of_another_length_is_refused),
        cmocka_unit_test(keys_of_another_length_are_refused),
        cmocka_unit_test(a_key_does_only_what_it_is_for),
        cmocka_unit_test(the_null_algorithms_change_nothing_and_give_zeros),
        cmocka_unit_test(ivs_differ_by_count_bearer_direction_and_use),
        cmocka_unit_test(algorithms_are_found_by_name_and_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
