/* core5g: SUCI on both sides, every form of writing, refusals, rotation of keys. */
#include "support/test.h"

#include "base/time.h"
#include "core5g/suci/sidf.h"
#include "crypto/aes_ctx.h"
#include "crypto/cipher.h"
#include "crypto/kem.h"
#include "crypto/sha3.h"
#include "obs/log.h"
#include "support/hex.h"
#include "support/se_host.h"

static int64_t now_us = TEST_HOST_WALL_US;

static int64_t test_now(void)
{
    return now_us;
}

/* Schemes with keys; the post-quantum ones only where the build has ML-KEM. */
static const uint8_t keyed[] = {BST_SUCI_PROFILE_A, BST_SUCI_PROFILE_B, BST_SUCI_MLKEM768,
                                BST_SUCI_X25519_MLKEM768};
#define FIRST_PQ 2

static size_t keyed_schemes(void)
{
    return bst_kem_provider() ? sizeof keyed : FIRST_PQ;
}

struct world {
    struct test_host host;
    struct bst_se *se;
    struct bst_sidf sidf;
};

static void world_add(struct world *w, uint8_t id, uint8_t scheme, int64_t from_us,
                      int64_t until_us)
{
    const struct bst_hn_wish wish = {
        .id = id, .scheme = scheme, .from_us = from_us, .until_us = until_us};
    assert_ok(bst_hn_key_add(w->se, &wish));
}

static void world_read(struct world *w)
{
    w->host.wall_us = now_us;
    assert_ok(bst_sidf_init(&w->sidf, w->se, test_now));
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    now_us = TEST_HOST_WALL_US;
    test_host_init(&w->host);
    assert_ok(bst_se_open(&w->host.host, "se:soft?dir=home", &w->se));
    world_add(w, 1, BST_SUCI_PROFILE_A, now_us, 0);
    world_add(w, 2, BST_SUCI_PROFILE_B, now_us, 0);
    for (size_t i = FIRST_PQ; i < keyed_schemes(); i++) {
        world_add(w, (uint8_t)(20 + i), keyed[i], now_us, 0);
    }
    world_read(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    bst_se_close(&w->se);
    test_host_clear(&w->host);
    free(w);
    return 0;
}

static struct bst_supi supi_of(const char *text)
{
    struct bst_supi supi;
    assert_ok(bst_supi_parse(bst_view(text), 2, &supi));
    return supi;
}

static struct bst_suci_home home_of(const struct world *w, uint8_t scheme)
{
    const struct bst_hn_key *key = bst_sidf_active(&w->sidf, scheme);
    struct bst_suci_home home = {.scheme = scheme, .routing = "17"};
    assert_non_null(key);
    home.key_id = key->id;
    memcpy(home.public_key, key->public_key, sizeof home.public_key);
    return home;
}

static void expect_reveal(const struct world *w, const struct bst_suci *suci, const char *expected)
{
    struct bst_supi supi;
    bst_auto(buf) text = {0};
    assert_ok(bst_sidf_reveal(&w->sidf, suci, &supi));
    bst_supi_format(&supi, &text);
    bst_buf_addc(&text, '\0');
    assert_string_equal(text.ptr, expected);
}

static void expect_refusal(const struct world *w, const struct bst_suci *suci)
{
    struct bst_supi supi = {.mcc = "x"};
    assert_err(bst_sidf_reveal(&w->sidf, suci, &supi), BST_E_CREDENTIAL);
    assert_string_equal(bst_error_detail(), "the SUCI does not open");
    assert_string_equal(supi.mcc, "x");
}

static const char *const some_supis[] = {"imsi-001010000000001", "imsi-00101123456789",
                                         "imsi-001019", "nai-user@example.com",
                                         "nai-a.user-with-hyphens-0-1@my-realm.example.com"};

static void what_is_concealed_is_revealed_in_every_form(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < sizeof some_supis / sizeof some_supis[0]; i++) {
        for (size_t k = 0; k < keyed_schemes(); k++) {
            struct bst_supi supi = supi_of(some_supis[i]);
            struct bst_suci_home home = home_of(w, keyed[k]);
            bst_auto(suci) suci = {0}, from_text = {0}, from_nas = {0};
            bst_auto(buf) text = {0}, nas = {0};
            assert_ok(bst_suci_conceal(&supi, &home, &suci));
            expect_reveal(w, &suci, some_supis[i]);
            assert_ok(bst_suci_format(&suci, &text));
            assert_ok(bst_suci_parse(bst_buf_view(&text), &from_text));
            expect_reveal(w, &from_text, some_supis[i]);
            assert_string_equal(from_text.routing, "17");
            assert_ok(bst_suci_format_nas(&suci, &nas));
            assert_ok(bst_suci_parse_nas(bst_buf_view(&nas), &from_nas));
            expect_reveal(w, &from_nas, some_supis[i]);
            assert_string_equal(from_nas.routing, "17");
        }
    }
}

static void two_concealments_of_one_identity_differ(void **state)
{
    struct world *w = *state;
    struct bst_supi supi = supi_of(some_supis[0]);
    struct bst_suci_home home = home_of(w, BST_SUCI_PROFILE_A);
    bst_auto(suci) a = {0}, b = {0};
    assert_ok(bst_suci_conceal(&supi, &home, &a));
    assert_ok(bst_suci_conceal(&supi, &home, &b));
    assert_false(bst_view_eq(bst_buf_view(&a.output), bst_buf_view(&b.output)));
}

static void every_changed_bit_and_every_other_length_is_refused(void **state)
{
    struct world *w = *state;
    for (size_t k = 0; k < keyed_schemes(); k++) {
        struct bst_supi supi = supi_of(some_supis[0]);
        struct bst_suci_home home = home_of(w, keyed[k]);
        bst_auto(suci) suci = {0};
        assert_ok(bst_suci_conceal(&supi, &home, &suci));
        size_t len = suci.output.len;
        for (size_t bit = 0; bit < 8 * len; bit += k < FIRST_PQ ? 3 : 37) {
            suci.output.ptr[bit / 8] ^= (char)(1 << bit % 8);
            /* X25519 ignores the top bit of a point, but SharedInfo1 does not. */
            expect_refusal(w, &suci);
            suci.output.ptr[bit / 8] ^= (char)(1 << bit % 8);
        }
        for (size_t cut = 0; cut < len; cut++) {
            suci.output.len = cut;
            expect_refusal(w, &suci);
        }
        suci.output.len = len;
        bst_buf_addc(&suci.output, 0);
        expect_refusal(w, &suci);
    }
}

static void another_key_or_scheme_does_not_open_it(void **state)
{
    struct world *w = *state;
    struct bst_supi supi = supi_of(some_supis[0]);
    struct bst_suci_home home = home_of(w, BST_SUCI_PROFILE_A);
    bst_auto(suci) suci = {0};
    assert_ok(bst_suci_conceal(&supi, &home, &suci));
    suci.key_id = 9;
    expect_refusal(w, &suci);
    suci.key_id = 2; /* a key of profile B */
    expect_refusal(w, &suci);
    suci.scheme = BST_SUCI_PROFILE_B;
    expect_refusal(w, &suci);
    suci.scheme = BST_SUCI_MLKEM768; /* one of another length, and one that is not there */
    expect_refusal(w, &suci);
    suci.scheme = 15;
    expect_refusal(w, &suci);
}

/* Output whose tag is right for the given Z. */
static void output_for(struct bst_view z, struct bst_view point, struct bst_view input,
                       struct bst_buf *ret)
{
    uint8_t data[64], tag[32], ciphertext[32];
    assert_ok(bst_x963_sha256(z, point, data, sizeof data));
    assert_ok(bst_aes128_ctr32(bst_view_of(data, 16), data + 16, input, ciphertext));
    const struct bst_view part = bst_view_of(ciphertext, input.len);
    assert_ok(bst_hmac_sha256(bst_view_of(data + 32, 32), &part, 1, tag));
    bst_buf_addv(ret, point);
    bst_buf_addv(ret, part);
    bst_buf_add(ret, tag, 8);
}

static void a_low_order_point_is_refused_although_its_tag_is_right(void **state)
{
    struct world *w = *state;
    static const uint8_t zero[32] = {0}, one[32] = {1}, msin[5] = {0, 0x01, 0x20, 0x80, 0xf6};
    const uint8_t *const points[] = {zero, one};
    for (size_t i = 0; i < 2; i++) {
        bst_auto(suci) suci = {
            .mcc = "001", .mnc = "01", .routing = "0", .scheme = BST_SUCI_PROFILE_A, .key_id = 1};
        output_for(bst_view_of(zero, 32), bst_view_of(points[i], 32), bst_view_of(msin, 5),
                   &suci.output);
        expect_refusal(w, &suci);
    }
}

static void digits_that_are_no_bcd_are_refused_although_the_tag_is_right(void **state)
{
    struct world *w = *state;
    static const char *const inputs[] = {"0a",   "a0", "0f",           "f0f0",
                                         "f1f1", "ff", "012345678901", "1f21"};
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        bst_auto(buf) input = test_hex(inputs[i]);
        for (size_t k = 0; k < keyed_schemes(); k++) {
            const struct bst_suci_scheme *row = bst_suci_scheme(keyed[k]);
            struct bst_suci_home home = home_of(w, keyed[k]);
            bst_auto(suci) suci = {.mcc = "001",
                                   .mnc = "01",
                                   .routing = "0",
                                   .scheme = keyed[k],
                                   .key_id = home.key_id};
            assert_ok(row->conceal(row, bst_view_of(home.public_key, row->public_bytes), NULL,
                                   bst_buf_view(&input), &suci.output));
            expect_refusal(w, &suci);
        }
    }
}

/* ---- post-quantum ---- */

#define NEED_ML_KEM()                                                                              \
    do {                                                                                           \
        if (!bst_kem_provider()) {                                                                 \
            print_message("SKIP no ML-KEM in this build\n");                                       \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static void post_quantum_outputs_are_laid_out_as_studied(void **state)
{
    struct world *w = *state;
    NEED_ML_KEM();
    struct bst_supi supi = supi_of(some_supis[0]);
    bst_auto(suci) alone = {0}, hybrid = {0};
    bst_auto(buf) text = {0};
    struct bst_suci_home home = home_of(w, BST_SUCI_MLKEM768);
    assert_ok(bst_suci_conceal(&supi, &home, &alone));
    assert_int_equal(alone.output.len, 1088 + 5 + 8);
    home = home_of(w, BST_SUCI_X25519_MLKEM768);
    assert_ok(bst_suci_conceal(&supi, &home, &hybrid));
    assert_int_equal(hybrid.output.len, 1088 + 32 + 5 + 8);
    assert_ok(bst_suci_format(&hybrid, &text));
    assert_true(bst_view_starts(bst_buf_view(&text), BST_VIEW("suci-0-001-01-17-d-23-")));
}

/* Everything computed anew from the parts, as another implementation would. */
static void the_hybrid_takes_both_secrets_and_binds_what_was_sent(void **state)
{
    NEED_ML_KEM();
    static const uint8_t seed[64] = {5}, scalar[32] = {9}, zero[16] = {0};
    const struct bst_suci_scheme *row = bst_suci_scheme(BST_SUCI_X25519_MLKEM768);
    uint8_t home[1216], point[BST_CURVE_POINT_MAX], kem[32], combined[32], data[64], tag[8],
        plain[5];
    bst_auto(secret) dk = {0}, z = {0};
    bst_auto(buf) output = {0};
    bst_auto(ctr) ctr = {0};
    bst_auto_pkey *pair = NULL;
    assert_ok(bst_kem_keygen(bst_view_of(seed, 64), home, &dk));
    assert_ok(bst_agree_key_load(BST_CURVE_X25519, bst_view_of(scalar, 32), &pair));
    assert_ok(bst_agree_key_point(BST_CURVE_X25519, pair, point));
    memcpy(home + 1184, point, 32);
    assert_ok(row->conceal(row, bst_view_of(home, sizeof home), NULL, BST_VIEW("hello"), &output));
    const struct bst_view head = bst_view_of(output.ptr, 1120);
    const struct bst_view text = bst_view_of(output.ptr + 1120, 5);
    assert_ok(bst_kem_decapsulate(bst_view_of(dk.ptr, dk.len), bst_view_of(output.ptr, 1088), kem));
    assert_ok(bst_agree(BST_CURVE_X25519, pair, bst_view_of(output.ptr + 1088, 32), &z));
    const struct bst_view both[] = {bst_view_of(kem, 32), bst_view_of(z.ptr, 32)};
    assert_ok(bst_sha3_256(both, 2, combined));
    assert_ok(bst_x963_sha3_256(bst_view_of(combined, 32), head, data, sizeof data));
    assert_ok(bst_kmac256(bst_view_of(data + 32, 32), BST_VIEW("SUCI-MAC"), text, tag, 8));
    assert_memory_equal(tag, output.ptr + 1125, 8);
    assert_ok(bst_ctr_init(&ctr, bst_view_of(data, 32)));
    assert_ok(bst_ctr_start(&ctr, zero));
    assert_ok(bst_ctr_apply(&ctr, (const uint8_t *)text.ptr, 5, plain));
    assert_memory_equal(plain, "hello", 5);
}

static void post_quantum_keys_are_checked_when_they_come_in(void **state)
{
    struct world *w = *state;
    NEED_ML_KEM();
    bst_auto(secret) dk = {0};
    static uint8_t ek[BST_KEM_EK_BYTES], out[BST_SUCI_PUBLIC_MAX];
    static const uint8_t seed[96] = {1};
    assert_ok(bst_kem_keygen(bst_view_of(seed, 64), ek, &dk));
    struct bst_hn_wish wish = {.id = 90, .scheme = BST_SUCI_MLKEM768};
    wish.private_key = bst_view_of(dk.ptr, dk.len);
    dk.ptr[2340] ^= 1; /* the hash inside */
    assert_err(bst_hn_key_add(w->se, &wish), BST_E_BAD_KEY);
    dk.ptr[2340] ^= 1;
    static const size_t lengths[] = {1, 63, 65, 95, 2399};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        wish.private_key = bst_view_of(dk.ptr, lengths[i]);
        assert_err(bst_hn_key_add(w->se, &wish), BST_E_BAD_KEY);
    }
    wish.private_key = bst_view_of(dk.ptr, dk.len);
    assert_ok(bst_hn_key_add(w->se, &wish));
    wish = (struct bst_hn_wish){.id = 91, .scheme = BST_SUCI_X25519_MLKEM768};
    wish.private_key = bst_view_of(seed, 64); /* no scalar */
    assert_err(bst_hn_key_add(w->se, &wish), BST_E_BAD_KEY);
    wish.private_key = bst_view_of(seed, 96);
    assert_ok(bst_hn_key_add(w->se, &wish));

    const struct bst_suci_scheme *alone = bst_suci_scheme(BST_SUCI_MLKEM768);
    const struct bst_suci_scheme *hybrid = bst_suci_scheme(BST_SUCI_X25519_MLKEM768);
    assert_ok(alone->read_public(alone, bst_view_of(ek, sizeof ek), out));
    assert_err(hybrid->read_public(hybrid, bst_view_of(ek, sizeof ek), out), BST_E_BAD_KEY);
    ek[0] = ek[1] = 0xff; /* above the modulus */
    assert_err(alone->read_public(alone, bst_view_of(ek, sizeof ek), out), BST_E_BAD_KEY);
}

static void post_quantum_keys_stay_through_a_restart(void **state)
{
    struct world *w = *state;
    NEED_ML_KEM();
    struct bst_supi supi = supi_of(some_supis[3]);
    struct bst_suci_home home = home_of(w, BST_SUCI_X25519_MLKEM768);
    bst_auto(suci) suci = {0};
    assert_ok(bst_suci_conceal(&supi, &home, &suci));
    bst_se_close(&w->se);
    assert_ok(bst_se_open(&w->host.host, "se:soft?dir=home", &w->se));
    world_read(w);
    expect_reveal(w, &suci, some_supis[3]);
}

static void a_low_order_point_in_a_hybrid_is_refused(void **state)
{
    struct world *w = *state;
    NEED_ML_KEM();
    struct bst_supi supi = supi_of(some_supis[0]);
    struct bst_suci_home home = home_of(w, BST_SUCI_X25519_MLKEM768);
    bst_auto(suci) suci = {0};
    assert_ok(bst_suci_conceal(&supi, &home, &suci));
    memset(suci.output.ptr + 1088, 0, 32);
    expect_refusal(w, &suci);
    memset(home.public_key + 1184, 0, 32);
    bst_auto(suci) none = {0};
    assert_err(bst_suci_conceal(&supi, &home, &none), BST_E_BAD_KEY);
}

static void without_memory_nothing_is_concealed_or_revealed(void **state)
{
    struct world *w = *state;
    struct bst_supi supi = supi_of(some_supis[0]), revealed = {.mcc = "x"};
    for (size_t k = 0; k < keyed_schemes(); k++) {
        struct bst_suci_home home = home_of(w, keyed[k]);
        bst_auto(suci) suci = {0};
        bst_result r = {BST_E_NOMEM};
        for (long n = 1; bst_failed(r); n++) {
            bst_alloc_fail_at(n);
            r = bst_suci_conceal(&supi, &home, &suci);
            bst_alloc_fail_at(0);
            assert_true(!bst_failed(r) || (r.code == BST_E_NOMEM && suci.output.len == 0));
            assert_true(n < 1000);
        }
        r.code = BST_E_NOMEM;
        for (long n = 1; bst_failed(r); n++) {
            bst_alloc_fail_at(n);
            r = bst_sidf_reveal(&w->sidf, &suci, &revealed);
            bst_alloc_fail_at(0);
            assert_true(!bst_failed(r) || revealed.mcc[0] == 'x');
            assert_true(n < 1000);
        }
        revealed.mcc[0] = 'x';
    }
}

static bst_result gone(void *ctx, const struct bst_se_event *event)
{
    if (strcmp(event->op, "agree") == 0) {
        BST_FAIL(*(enum bst_error *)ctx, "the token is not there");
    }
    return BST_OK;
}

/* A right SUCI is not called wrong because nobody could look at it. */
static void an_environment_that_is_gone_is_not_a_bad_suci(void **state)
{
    struct world *w = *state;
    static const enum bst_error absent[] = {BST_E_BUSY, BST_E_IO, BST_E_SE_BLOCKED};
    enum bst_error error = BST_E_NONE;
    const struct bst_se_filter filter = {.ctx = &error, .before = gone};
    bst_auto(suci) suci = {0};
    struct bst_supi supi = supi_of(some_supis[3]);
    struct bst_suci_home home = home_of(w, BST_SUCI_PROFILE_B);
    assert_ok(bst_suci_conceal(&supi, &home, &suci));
    assert_ok(bst_se_filter_add(w->se, &filter));
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++) {
        error = absent[i];
        assert_err(bst_sidf_reveal(&w->sidf, &suci, &supi), error);
    }
    error = BST_E_BAD_KEY; /* what the SUCI is to blame for stays hidden */
    assert_err(bst_sidf_reveal(&w->sidf, &suci, &supi), BST_E_CREDENTIAL);
}

static void the_null_scheme_needs_a_policy(void **state)
{
    struct world *w = *state;
    bst_auto(suci) suci = {0};
    assert_ok(bst_suci_parse(BST_VIEW("suci-0-001-01-0-0-0-0000000001"), &suci));
    expect_refusal(w, &suci);
    w->sidf.allow_null = true;
    expect_reveal(w, &suci, "imsi-001010000000001");
}

static void keys_rotate_by_validity(void **state)
{
    struct world *w = *state;
    const int64_t day = 86400 * BST_US_PER_S;
    struct bst_supi supi = supi_of(some_supis[0]);
    bst_auto(suci) old = {0}, new = {0};
    struct bst_suci_home home = home_of(w, BST_SUCI_PROFILE_A);
    assert_ok(bst_suci_conceal(&supi, &home, &old));
    world_add(w, 3, BST_SUCI_PROFILE_A, now_us + day, now_us + 3 * day);
    world_read(w);
    assert_int_equal(bst_sidf_active(&w->sidf, BST_SUCI_PROFILE_A)->id, 1);
    assert_int_equal(w->sidf.keys[2].state, BST_HN_PENDING);
    now_us += 2 * day;
    world_read(w);
    assert_int_equal(bst_sidf_active(&w->sidf, BST_SUCI_PROFILE_A)->id, 3);
    assert_int_equal(w->sidf.keys[0].state, BST_HN_ACCEPT_ONLY);
    expect_reveal(w, &old, some_supis[0]);
    home = home_of(w, BST_SUCI_PROFILE_A);
    assert_ok(bst_suci_conceal(&supi, &home, &new));
    expect_reveal(w, &new, some_supis[0]);
    now_us += 2 * day; /* past the end of key 3, without a new table */
    w->host.wall_us = now_us;
    expect_refusal(w, &new);
    world_read(w);
    assert_int_equal(w->sidf.keys[2].state, BST_HN_EXPIRED);
    assert_ok(bst_hn_key_remove(w->se, 1));
    assert_err(bst_hn_key_remove(w->se, 1), BST_E_NOT_FOUND);
    expect_refusal(w, &old);
}

static void keys_stay_through_a_restart_and_ids_are_unique(void **state)
{
    struct world *w = *state;
    struct bst_supi supi = supi_of(some_supis[3]);
    struct bst_suci_home home = home_of(w, BST_SUCI_PROFILE_B);
    bst_auto(suci) suci = {0};
    assert_ok(bst_suci_conceal(&supi, &home, &suci));
    const struct bst_hn_wish again = {.id = 2, .scheme = BST_SUCI_PROFILE_A, .from_us = 5};
    assert_err(bst_hn_key_add(w->se, &again), BST_E_EXISTS);
    const struct bst_hn_wish none = {.id = 8, .scheme = BST_SUCI_NULL};
    assert_err(bst_hn_key_add(w->se, &none), BST_E_VALUE);
    const struct bst_hn_wish reserved = {.id = 255, .scheme = BST_SUCI_PROFILE_A};
    assert_err(bst_hn_key_add(w->se, &reserved), BST_E_VALUE);
    const struct bst_hn_wish backwards = {.id = 8, .scheme = 1, .from_us = 9, .until_us = 8};
    assert_err(bst_hn_key_add(w->se, &backwards), BST_E_VALUE);
    bst_se_close(&w->se);
    assert_ok(bst_se_open(&w->host.host, "se:soft?dir=home", &w->se));
    world_read(w);
    expect_reveal(w, &suci, some_supis[3]);
}

/* ---- text ---- */

static void published_texts_are_read(void **state)
{
    bst_auto(suci) a = {0}, b = {0}, c = {0};
    assert_ok(bst_suci_parse(BST_VIEW("suci-0-274-012-0-0-0-001002086"), &a));
    assert_hex(a.output.ptr, a.output.len, "00012080f6");
    assert_ok(bst_suci_parse(BST_VIEW("type1.rid0.schid0.useridverylongusername1@3gpp.com"), &b));
    assert_string_equal(b.realm, "3gpp.com");
    assert_int_equal(b.output.len, 17);
    assert_ok(bst_suci_parse(BST_VIEW("suci-1-my-realm.org-12-0-0-a-b-c"), &c));
    assert_string_equal(c.realm, "my-realm.org");
    assert_int_equal(c.output.len, 5);
}

static void malformed_texts_are_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "suci",
        "suci-",
        "suci-0",
        "suci-0-",
        "suci-0-001-01-0-1-1",
        "suci-0-001-01-0-1-1-",
        "suci-0-001-01-0-1-1-0",
        "suci-0-001-01-0-1-1-zz",
        "suci-0-001-01-0-1-1-aa-bb",
        "suci-0-01-01-0-1-1-aa",
        "suci-0-001-1-0-1-1-aa",
        "suci-0-001-0101-0-1-1-aa",
        "suci-0-001-01--1-1-aa",
        "suci-0-001-01-12345-1-1-aa",
        "suci-0-001-01-a-1-1-aa",
        "suci-0-001-01-0-g-1-aa",
        "suci-0-001-01-0-11-1-aa",
        "suci-0-001-01-0-1-01-aa",
        "suci-0-001-01-0-1-255-aa",
        "suci-0-001-01-0-1-999-aa",
        "suci-0-001-01-0-1--aa",
        "suci-0-001-01-0-0-1-123",
        "suci-0-001-01-0-0-0-12a",
        "suci-0-001-01-0-0-0-12345678901",
        "suci-0-001-01-0-3-1-aa",
        "suci-0-001-01-0-b-1-aa",
        "suci-2-x-0-1-1-aa",
        "suci-9-x-0-1-1-aa",
        "suci-00-001-01-0-1-1-aa",
        " suci-0-001-01-0-1-1-aa",
        "suci-0-001-01-0-1-1-aa ",
        "suci-1--0-1-1-aa",
        "suci-1-.org-0-1-1-aa",
        "suci-1-a..b-0-1-1-aa",
        "suci-1-a-0-0-0-",
        "suci-1-a-0-0-0-b@c",
        "suci-1-a-0-0-0-b-1-0-0-c", /* two readings */
        "type",
        "type1",
        "type1.@a",
        "type1.rid0@a",
        "type1.rid0.schid0.userid@a",
        "type1.rid0.schid0.useridx",
        "type1.rid0.schid0.useridx@",
        "type1.rid0.schid0.useridx@a@b",
        "type0.rid0.schid0.userid1@a",
        "type1.rid.schid0.useridx@a",
        "type1.rid0.schid1.useridx@a",
        "type1.rid0.schid1.hnkey1.ecckeyaa.cipaa.macaa@a",
        "type1.rid0.schid12.hnkey1.ecckeyaa@a",
        "type1.rid0.schidc.hnkey1.ecckeyaa.cipaa.macaa@a",
        "type1.rid0.schidc.hnkey1.out@a",
        "type1.rid0.schidc.hnkey1.outa@a",
        "type1.rid0.schidc.hnkey1.outzz@a",
        "type1.rid0.schidc.outaa@a",
        "type1.rid0.schid1.hnkey1.outaa@a",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        bst_auto(suci) suci = {0};
        if (!bst_failed(bst_suci_parse(bst_view(texts[i]), &suci))) {
            fail_msg("accepted: %s", texts[i]);
        }
    }
}

static void very_long_texts_are_refused(void **state)
{
    static const char *const begin[] = {"suci-0-001-01-0-1-1-",     "suci-0-001-01-0-0-0-",
                                        "suci-1-a-0-1-1-",          "suci-1-",
                                        "type1.rid0.schid0.userid", "suci-0-",
                                        "suci-0-001-01-0-c-1-",     "type1.rid0.schidd.hnkey1.out"};
    for (size_t i = 0; i < sizeof begin / sizeof begin[0]; i++) {
        for (int hyphens = 0; hyphens < 2; hyphens++) {
            bst_auto(buf) text = {0};
            bst_auto(suci) suci = {0};
            bst_buf_adds(&text, begin[i]);
            for (int n = 0; n < 10240; n++) {
                bst_buf_addc(&text, hyphens && n % 2 ? '-' : '1');
            }
            assert_true(bst_failed(bst_suci_parse(bst_buf_view(&text), &suci)));
            text.len = 8000;
            assert_true(bst_failed(bst_suci_parse(bst_buf_view(&text), &suci)));
        }
    }
}

static void mobile_identities_are_read_strictly(void **state)
{
    static const char good[] = "0172242071ff01010000";
    static const char *const bad[] = {
        "",
        "01",
        "0172242071ff0101", /* nothing after the head */
        "0072242071ff01010000",
        "0272242071ff01010000",
        "8172242071ff01010000", /* other identities */
        "2172242071ff01010000", /* GLI */
        "01a2242071ff01010000",
        "01f2242071ff01010000",
        "0172ff2071ff01010000", /* MCC */
        "01722420afff01010000", /* routing */
        "01722420ffff01010000",
        "017224201ff101010000", /* none; gap */
        "0172242071ff11010000",
        "0172242071ff03010000", /* spare bits; reserved */
        "0172242071ff01ff0000",
        "0172242071ff00010000", /* key id */
        "11",
        "1174797065",
    };
    bst_auto(buf) octets = test_hex(good);
    bst_auto(suci) suci = {0};
    assert_ok(bst_suci_parse_nas(bst_buf_view(&octets), &suci));
    assert_string_equal(suci.mcc, "274");
    assert_string_equal(suci.mnc, "022");
    assert_string_equal(suci.routing, "17");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bst_auto(suci) none = {0};
        bst_auto(buf) raw = test_hex(bad[i]);
        if (!bst_failed(bst_suci_parse_nas(bst_buf_view(&raw), &none))) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
}

static void supis_are_read_strictly(void **state)
{
    static const char *const bad[] = {"",
                                      "imsi-",
                                      "imsi-00101",
                                      "imsi-0010112345678901",
                                      "imsi-00101a",
                                      "001010000000001",
                                      "nai-",
                                      "nai-user",
                                      "nai-@realm",
                                      "nai-a@",
                                      "nai-a b@c",
                                      "nai-a@b@c",
                                      "nai-a@-b",
                                      "nai-\xff@b",
                                      "gci-x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct bst_supi supi;
        if (!bst_failed(bst_supi_parse(bst_view(bad[i]), 2, &supi))) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    bst_log_configure(&(struct bst_log_setup){.level = BST_LOG_ERROR});
    const struct CMUnitTest tests[] = {
        CASE(what_is_concealed_is_revealed_in_every_form),
        CASE(two_concealments_of_one_identity_differ),
        CASE(every_changed_bit_and_every_other_length_is_refused),
        CASE(another_key_or_scheme_does_not_open_it),
        CASE(a_low_order_point_is_refused_although_its_tag_is_right),
        CASE(digits_that_are_no_bcd_are_refused_although_the_tag_is_right),
        CASE(post_quantum_outputs_are_laid_out_as_studied),
        cmocka_unit_test(the_hybrid_takes_both_secrets_and_binds_what_was_sent),
        CASE(post_quantum_keys_are_checked_when_they_come_in),
        CASE(post_quantum_keys_stay_through_a_restart),
        CASE(a_low_order_point_in_a_hybrid_is_refused),
        CASE(without_memory_nothing_is_concealed_or_revealed),
        CASE(an_environment_that_is_gone_is_not_a_bad_suci),
        CASE(the_null_scheme_needs_a_policy),
        CASE(keys_rotate_by_validity),
        CASE(keys_stay_through_a_restart_and_ids_are_unique),
        cmocka_unit_test(published_texts_are_read),
        cmocka_unit_test(malformed_texts_are_refused),
        cmocka_unit_test(very_long_texts_are_refused),
        cmocka_unit_test(mobile_identities_are_read_strictly),
        cmocka_unit_test(supis_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
