/* PDCP: PDUs, COUNT and the window, entities, key refresh; and the decisions of policy.h. */
#include "core5g/kdf/kdf.h"
#include "core5g/pdcp/pdcp.h"
#include "core5g/pdcp/policy.h"
#include "support/test.h"

#define W12 2048
#define LAST UINT32_MAX

static const uint8_t enc_key[32] = {
    0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f,
    1,    2,    3,    4,    5,    6,    7,    8,    9,    10,   11,   12,   13,   14,   15,   16};
static const uint8_t int_key[32] = {0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37,
                                    0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f,
                                    7,    6,    5,    4,    3,    2,    1};

static const struct bst_pdcp_bearer srb1 = {BST_PDCP_SRB, 1, 12, 0, BST_AIR_UPLINK, true, true};
static const struct bst_pdcp_bearer drb1 = {BST_PDCP_DRB, 1, 12, 0, BST_AIR_UPLINK, true, true};
static const struct bst_pdcp_bearer drb5 = {BST_PDCP_DRB, 5, 18, 1, BST_AIR_DOWNLINK, true, true};

static const struct bst_pdcp_suite aes = {.ciphering = 2, .integrity = 2};

static void make_keys(struct bst_pdcp_keys *keys, const struct bst_pdcp_suite *suite, uint8_t salt)
{
    uint8_t enc[32], proof[32];
    for (size_t i = 0; i < sizeof enc; i++) {
        enc[i] = enc_key[i] ^ salt;
        proof[i] = int_key[i] ^ salt;
    }
    *keys = (struct bst_pdcp_keys){0};
    assert_ok(bst_pdcp_keys_init(keys, suite, bst_view_of(enc, 32), bst_view_of(proof, 32)));
}

/* ---- one PDU ---- */

static const struct bst_pdcp_suite suites[] = {
    {.ciphering = 1, .integrity = 1},
    {.ciphering = 2, .integrity = 2},
    {.ciphering = 3, .integrity = 3},
    {.ciphering = 0, .integrity = 2},
    {.ciphering = 4, .integrity = 4},
    {.ciphering = 5, .integrity = 5, .mac_bytes = 8},
    {.ciphering = 6, .integrity = 6, .mac_bytes = 16},
    {.ciphering = 4, .combined = true},
    {.ciphering = 5, .combined = true, .mac_bytes = 12},
    {.ciphering = 6, .combined = true, .mac_bytes = 16},
};
#define SUITES (sizeof suites / sizeof suites[0])
static const struct bst_pdcp_bearer *const bearers[] = {&srb1, &drb1, &drb5};

static void seal_and_open(struct bst_pdcp_keys *keys, const struct bst_pdcp_bearer *bearer,
                          size_t len)
{
    uint8_t text[100];
    bst_auto(buf) pdu = {0}, sdu = {0};
    memset(text, 0x41, sizeof text);
    assert_ok(bst_pdcp_seal(keys, bearer, 0x12345, bst_view_of(text, len), &pdu));
    assert_int_equal(pdu.len, len + (bearer->sn_bits == 18 ? 3 : 2) + keys->suite.mac_bytes);
    assert_ok(bst_pdcp_open(keys, bearer, 0x12345, bst_buf_view(&pdu), &sdu));
    assert_true(bst_view_eq(bst_buf_view(&sdu), bst_view_of(text, len)));
}

static void every_suite_opens_what_it_sealed(void **state)
{
    for (size_t s = 0; s < SUITES; s++) {
        bst_auto(pdcp_keys) keys = {0};
        make_keys(&keys, &suites[s], 0);
        assert_int_equal(keys.experimental, suites[s].ciphering >= 4);
        for (size_t b = 0; b < 3; b++) {
            for (size_t len = bearers[b]->sdap_bytes; len < 70; len += 23) {
                seal_and_open(&keys, bearers[b], len);
            }
        }
    }
}

static void ciphering_and_integrity_are_activated_apart(void **state)
{
    for (size_t s = 0; s < SUITES; s++) {
        bst_auto(pdcp_keys) keys = {0};
        bst_auto(buf) proved = {0}, hidden = {0}, sdu = {0};
        struct bst_pdcp_bearer one = drb1;
        make_keys(&keys, &suites[s], 0);
        one.ciphering = false;
        assert_ok(bst_pdcp_seal(&keys, &one, 7, BST_VIEW("a reading"), &proved));
        assert_memory_equal(proved.ptr, "\x80\x07\x61 reading", 11);
        assert_ok(bst_pdcp_open(&keys, &one, 7, bst_buf_view(&proved), &sdu));
        proved.ptr[4] ^= 1;
        assert_err(bst_pdcp_open(&keys, &one, 7, bst_buf_view(&proved), &sdu), BST_E_BAD_MAC);
        one = drb1;
        one.integrity = false;
        if (!suites[s].combined) {
            assert_ok(bst_pdcp_seal(&keys, &one, 7, BST_VIEW("a reading"), &hidden));
            assert_int_equal(hidden.len, 11);
            bst_buf_clear(&sdu);
            assert_ok(bst_pdcp_open(&keys, &one, 7, bst_buf_view(&hidden), &sdu));
            assert_true(bst_view_is(bst_buf_view(&sdu), "a reading"));
        }
    }
}

static void no_changed_bit_opens(void **state)
{
    for (size_t s = 0; s < SUITES; s++) {
        bst_auto(pdcp_keys) keys = {0};
        bst_auto(buf) pdu = {0}, sdu = {0};
        make_keys(&keys, &suites[s], 0);
        assert_ok(bst_pdcp_seal(&keys, &drb5, 7, BST_VIEW("\x81 a reading"), &pdu));
        for (size_t bit = 0; bit < pdu.len * 8; bit++) {
            pdu.ptr[bit / 8] = (char)(pdu.ptr[bit / 8] ^ 1 << bit % 8);
            assert_err(bst_pdcp_open(&keys, &drb5, 7, bst_buf_view(&pdu), &sdu), BST_E_BAD_MAC);
            assert_int_equal(sdu.len, 0);
            pdu.ptr[bit / 8] = (char)(pdu.ptr[bit / 8] ^ 1 << bit % 8);
        }
        assert_ok(bst_pdcp_open(&keys, &drb5, 7, bst_buf_view(&pdu), &sdu));
    }
}

static void another_key_count_bearer_or_direction_does_not_open(void **state)
{
    for (size_t s = 0; s < SUITES; s++) {
        bst_auto(pdcp_keys) keys = {0}, others = {0};
        bst_auto(buf) pdu = {0}, sdu = {0};
        struct bst_pdcp_bearer other = drb1;
        make_keys(&keys, &suites[s], 0);
        make_keys(&others, &suites[s], 1);
        assert_ok(bst_pdcp_seal(&keys, &drb1, 7, BST_VIEW("a reading"), &pdu));
        const struct bst_view in = bst_buf_view(&pdu);
        assert_err(bst_pdcp_open(&others, &drb1, 7, in, &sdu), BST_E_BAD_MAC);
        assert_err(bst_pdcp_open(&keys, &drb1, 7 + 4096, in, &sdu), BST_E_BAD_MAC);
        other.rb_id = 2;
        assert_err(bst_pdcp_open(&keys, &other, 7, in, &sdu), BST_E_BAD_MAC);
        other = drb1;
        other.direction = BST_AIR_DOWNLINK;
        assert_err(bst_pdcp_open(&keys, &other, 7, in, &sdu), BST_E_BAD_MAC);
        assert_int_equal(sdu.len, 0);
    }
}

/* MAC-I and octets that Wireshark's dissector computed for the same inputs. */
static void an_independent_implementation_agrees(void **state)
{
    static const uint8_t mac_i[4] = {0x50, 0x78, 0x98, 0x6a};
    struct bst_pdcp_bearer plain = srb1;
    uint8_t text[73];
    bst_auto(pdcp_keys) keys = {0};
    bst_auto(buf) pdu = {0};
    assert_ok(bst_pdcp_keys_init(&keys, &aes, bst_view_of(enc_key, 16), bst_view_of(int_key, 16)));
    for (uint8_t i = 0; i < 40; i++) {
        text[i] = i;
    }
    memcpy(text + 40, "five hundred readings of a meter", 33);
    plain.ciphering = false;
    assert_ok(bst_pdcp_seal(&keys, &plain, 0, bst_view_of(text, sizeof text), &pdu));
    assert_int_equal(pdu.len, 2 + sizeof text + 4);
    assert_memory_equal(pdu.ptr, "\0\0", 2);
    assert_memory_equal(pdu.ptr + 2, text, sizeof text);
    assert_memory_equal(pdu.ptr + 2 + sizeof text, mac_i, 4);
}

/* TS 38.323 5.8 and 5.9, composed by hand from the algorithms. */
static void integrity_covers_headers_and_ciphering_does_not(void **state)
{
    static const uint8_t message[] = {0x80, 0x01, 0x23, 0x81, 'd', 'a', 't', 'a'};
    const struct bst_air_place place = {0x0123, 4, BST_AIR_DOWNLINK};
    uint8_t iv[BST_AIR_IV_BYTES], right[12];
    bst_auto(pdcp_keys) keys = {0};
    bst_auto(buf) pdu = {0};
    make_keys(&keys, &aes, 0);
    assert_ok(bst_pdcp_seal(&keys, &drb5, 0x0123, bst_view_of(message + 3, 5), &pdu));
    memcpy(right, message, 8);
    assert_ok(bst_air_iv(&keys.integrity, &place, iv));
    assert_ok(bst_air_mac(&keys.integrity, iv, right, 64, right + 8));
    assert_ok(bst_air_iv(&keys.ciphering, &place, iv));
    assert_ok(bst_air_cipher(&keys.ciphering, iv, right + 4, 64, right + 4));
    assert_int_equal(pdu.len, 12);
    assert_memory_equal(pdu.ptr, right, 12);
    assert_memory_equal(pdu.ptr, message, 4);
    assert_memory_not_equal(pdu.ptr + 4, message + 4, 4);
}

/* An end marker: one octet, in clear, with a MAC-I that is ciphered. */
static void an_sdap_control_pdu_stays_in_clear(void **state)
{
    bst_auto(pdcp_keys) keys = {0};
    bst_auto(buf) pdu = {0}, sdu = {0};
    make_keys(&keys, &aes, 0);
    assert_ok(bst_pdcp_seal(&keys, &drb5, 9, BST_VIEW("\x05"), &pdu));
    assert_int_equal(pdu.len, 3 + 1 + 4);
    assert_int_equal(pdu.ptr[3], 5);
    assert_ok(bst_pdcp_open(&keys, &drb5, 9, bst_buf_view(&pdu), &sdu));
    assert_int_equal(sdu.len, 1);
}

static void an_srb_has_the_mac_field_in_any_case_and_a_drb_only_with_integrity(void **state)
{
    struct bst_pdcp_bearer srb = srb1, drb = drb1;
    bst_auto(pdcp_keys) keys = {0};
    bst_auto(buf) a = {0}, b = {0};
    make_keys(&keys, &aes, 0);
    srb.integrity = srb.ciphering = drb.integrity = drb.ciphering = false;
    assert_ok(bst_pdcp_seal(&keys, &srb, 5, BST_VIEW("rrc"), &a));
    assert_ok(bst_pdcp_seal(&keys, &drb, 5, BST_VIEW("ip"), &b));
    assert_true(bst_view_eq(bst_buf_view(&a), BST_VIEW("\0\5rrc\0\0\0\0")));
    assert_true(bst_view_eq(bst_buf_view(&b), BST_VIEW("\x80\5ip")));
}

static void headers_are_read_as_they_were_written(void **state)
{
    struct bst_pdcp_header h;
    assert_ok(bst_pdcp_header_parse(&srb1, BST_VIEW("\xf1\x23"), &h)); /* reserved bits set */
    assert_int_equal(h.sn, 0x123);
    assert_ok(bst_pdcp_header_parse(&drb5, BST_VIEW("\x83\xff\xfe"), &h));
    assert_int_equal(h.sn, 0x3fffe);
    assert_false(h.control);
    assert_ok(bst_pdcp_header_parse(&drb5, BST_VIEW("\x00"), &h));
    assert_true(h.control);
    assert_err(bst_pdcp_header_parse(&drb5, BST_VIEW(""), &h), BST_E_TRUNCATED);
    assert_err(bst_pdcp_header_parse(&drb5, BST_VIEW("\x80\0"), &h), BST_E_TRUNCATED);
    assert_err(bst_pdcp_header_parse(&srb1, BST_VIEW("\0"), &h), BST_E_TRUNCATED);
}

static void what_is_too_short_or_too_long_is_refused(void **state)
{
    static char big[BST_PDCP_SDU_MAX + 64];
    bst_auto(pdcp_keys) keys = {0};
    bst_auto(buf) pdu = {0}, sdu = {0};
    make_keys(&keys, &aes, 0);
    assert_ok(bst_pdcp_seal(&keys, &drb5, 1, BST_VIEW("\x81"), &pdu));
    for (size_t len = 0; len < pdu.len; len++) {
        assert_err(bst_pdcp_open(&keys, &drb5, 1, bst_view_of(pdu.ptr, len), &sdu),
                   BST_E_TRUNCATED);
    }
    assert_err(bst_pdcp_seal(&keys, &drb5, 1, BST_VIEW(""), &pdu), BST_E_TRUNCATED);
    assert_ok(bst_pdcp_seal(&keys, &drb5, 1, bst_view_of(big, BST_PDCP_SDU_MAX), &sdu));
    assert_err(bst_pdcp_seal(&keys, &drb5, 1, bst_view_of(big, BST_PDCP_SDU_MAX + 1), &sdu),
               BST_E_TOO_LONG);
    assert_err(bst_pdcp_open(&keys, &drb5, 1, bst_view_of(big, sizeof big), &sdu), BST_E_TOO_LONG);
}

static void bearers_of_no_standard_are_refused(void **state)
{
    static const struct bst_pdcp_bearer wrong[] = {
        {BST_PDCP_SRB, 0, 12, 0, 0, true, true},
        {BST_PDCP_SRB, 5, 12, 0, 0, true, true},
        {BST_PDCP_SRB, 1, 18, 0, 0, true, true},
        {BST_PDCP_SRB, 1, 12, 1, 0, true, true},
        {BST_PDCP_DRB, 0, 12, 0, 0, true, true},
        {BST_PDCP_DRB, 33, 12, 0, 0, true, true},
        {BST_PDCP_DRB, 1, 13, 0, 0, true, true},
        {BST_PDCP_DRB, 1, 0, 0, 0, true, true},
        {BST_PDCP_DRB, 1, 12, 2, 0, true, true},
        {BST_PDCP_DRB, 1, 12, 0, 2, true, true},
        {0, 1, 12, 0, 0, true, true},
        {3, 1, 12, 0, 0, true, true},
    };
    bst_auto(pdcp_keys) keys = {0}, nca = {0};
    bst_auto(buf) out = {0};
    struct bst_pdcp_bearer half = drb1;
    make_keys(&keys, &aes, 0);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_err(bst_pdcp_seal(&keys, &wrong[i], 0, BST_VIEW("xx"), &out), BST_E_VALUE);
        assert_err(bst_pdcp_open(&keys, &wrong[i], 0, BST_VIEW("xxxxxxxxxx"), &out), BST_E_VALUE);
    }
    make_keys(&nca, &(struct bst_pdcp_suite){.ciphering = 5, .combined = true}, 0);
    half.integrity = false;
    assert_err(bst_pdcp_seal(&nca, &half, 0, BST_VIEW("xx"), &out), BST_E_VALUE);
}

static void null_integrity_is_for_emergencies_and_never_on_a_drb(void **state)
{
    struct bst_pdcp_suite suite = {0};
    bst_auto(pdcp_keys) keys = {0};
    bst_auto(buf) pdu = {0}, sdu = {0};
    const struct bst_view none = {0};
    assert_err(bst_pdcp_keys_init(&keys, &suite, none, none), BST_E_VALUE);
    suite.emergency = true;
    suite.ciphering = 2;
    assert_err(bst_pdcp_keys_init(&keys, &suite, bst_view_of(enc_key, 16), none), BST_E_VALUE);
    suite.ciphering = 0;
    assert_ok(bst_pdcp_keys_init(&keys, &suite, none, none));
    assert_ok(bst_pdcp_seal(&keys, &srb1, 0, BST_VIEW("help"), &pdu));
    assert_true(bst_view_eq(bst_buf_view(&pdu), BST_VIEW("\0\0help\0\0\0\0")));
    pdu.ptr[pdu.len - 1] = 1; /* the receiver does not check (D.1) */
    assert_ok(bst_pdcp_open(&keys, &srb1, 0, bst_buf_view(&pdu), &sdu));
    assert_err(bst_pdcp_seal(&keys, &drb1, 0, BST_VIEW("data"), &pdu), BST_E_VALUE);
}

static void keys_have_the_length_of_their_algorithm(void **state)
{
    bst_auto(pdcp_keys) keys = {0};
    const struct bst_view k16 = bst_view_of(enc_key, 16), k15 = bst_view_of(enc_key, 15);
    const struct bst_pdcp_suite none = {.ciphering = 9, .integrity = 2},
                                nca = {.ciphering = 3, .combined = true},
                                wide = {.ciphering = 2, .integrity = 2, .mac_bytes = 8},
                                strong = {.ciphering = 5, .integrity = 5};
    assert_err(bst_pdcp_keys_init(&keys, &aes, k15, k16), BST_E_BAD_KEY);
    assert_err(bst_pdcp_keys_init(&keys, &aes, k16, k15), BST_E_BAD_KEY);
    assert_err(bst_pdcp_keys_init(&keys, &strong, k16, k16), BST_E_BAD_KEY);
    assert_err(bst_pdcp_keys_init(&keys, &none, k16, k16), BST_E_VALUE);
    assert_err(bst_pdcp_keys_init(&keys, &nca, k16, k16), BST_E_VALUE);
    assert_err(bst_pdcp_keys_init(&keys, &wide, k16, k16), BST_E_VALUE);
}

/* ---- derivation ---- */

static int64_t no_time(void *ctx)
{
    return 1;
}

static void keys_come_from_kgnb_in_memory_or_in_a_secure_environment(void **state)
{
    struct bst_se *se = NULL;
    struct bst_se_host host;
    bst_key inside, other;
    bst_auto(secret) kgnb = {0};
    bst_auto(pdcp_keys) rrc = {0}, up = {0}, same = {0}, given = {0};
    uint8_t enc[32], proof[32];
    const uint8_t use[2] = {BST_5G_UP_ENC, BST_5G_UP_INT}, id = 2;
    assert_ok(bst_secret_copy(&kgnb, enc_key, 32));
    const struct bst_view key = bst_view_of(kgnb.ptr, 32);
    assert_ok(bst_pdcp_keys_derive(&rrc, &aes, BST_PDCP_SRB, key));
    assert_ok(bst_pdcp_keys_derive(&up, &aes, BST_PDCP_DRB, key));
    assert_memory_not_equal(rrc.id, up.id, sizeof up.id);
    const struct bst_view e[] = {bst_view_of(&use[0], 1), bst_view_of(&id, 1)};
    const struct bst_view i[] = {bst_view_of(&use[1], 1), bst_view_of(&id, 1)};
    assert_ok(bst_5g_derive(BST_5G_ALGORITHM_KEY, key, e, 2, enc));
    assert_ok(bst_5g_derive(BST_5G_ALGORITHM_KEY, key, i, 2, proof));
    assert_ok(bst_pdcp_keys_init(&given, &aes, bst_view_of(enc, 32), bst_view_of(proof, 32)));
    assert_memory_equal(given.id, up.id, sizeof up.id);
    bst_se_host_file(&host, no_time);
    assert_ok(bst_se_open(&host, "se:soft", &se));
    struct bst_key_attrs attrs = {.type = BST_KEY_SYMMETRIC, .uses = BST_KEY_USE_ROUTINE};
    assert_ok(bst_se_key_import(se, &attrs, &kgnb, &inside));
    attrs.uses = BST_KEY_USE_MAC;
    assert_ok(bst_se_key_import(se, &attrs, &kgnb, &other));
    assert_ok(bst_pdcp_keys_derive_se(&same, &aes, BST_PDCP_DRB, se, inside));
    assert_memory_equal(same.id, up.id, sizeof up.id);
    bst_pdcp_keys_clear(&same);
    assert_err(bst_pdcp_keys_derive_se(&same, &aes, BST_PDCP_DRB, se, other), BST_E_SE_USAGE);
    bst_se_close(&se);
}

/* ---- COUNT and the window ---- */

/* The COUNT nearest to RX_DELIV in [RX_DELIV - W, RX_DELIV + W), found by trying. */
static bool nearest(uint64_t deliv, uint32_t sn, uint64_t *ret)
{
    for (int64_t d = -W12; d < W12; d++) {
        int64_t count = (int64_t)deliv + d;
        if (count >= 0 && (count & 4095) == sn) {
            *ret = (uint64_t)count;
            return true;
        }
    }
    return false;
}

static void count_follows_from_the_window(void **state)
{
    static const uint32_t firsts[] = {0, 1, 2047, 2048, 2049, 4095, 4096, 70000, LAST - 4096, LAST};
    for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
        struct bst_pdcp_window w;
        assert_ok(bst_pdcp_window_init(&w, 12, firsts[i], -1));
        for (uint32_t sn = 0; sn < 4096; sn++) {
            uint64_t right;
            uint32_t count = 0;
            if (!nearest(firsts[i], sn, &right)) {
                assert_err(bst_pdcp_window_count(&w, sn, &count), BST_E_REPLAY);
            } else if (right > LAST) {
                assert_err(bst_pdcp_window_count(&w, sn, &count), BST_E_LIMIT);
            } else {
                assert_ok(bst_pdcp_window_count(&w, sn, &count));
                assert_int_equal(count, right);
            }
        }
        bst_pdcp_window_clear(&w);
    }
}

static void each_count_is_fresh_once(void **state)
{
    struct bst_pdcp_window w;
    assert_ok(bst_pdcp_window_init(&w, 12, 0, -1));
    static const uint32_t order[] = {0, 3, 1, 5, 2, 4, 2000, 1999};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        assert_ok(bst_pdcp_window_fresh(&w, order[i]));
        bst_pdcp_window_accept(&w, 0, order[i]);
        for (size_t j = 0; j <= i; j++) {
            assert_err(bst_pdcp_window_fresh(&w, order[j]), BST_E_REPLAY);
        }
    }
    assert_int_equal(w.deliv, 6);
    assert_int_equal(w.next, 2001);
    /* A whole turn of the ring later the same places are free. */
    for (uint32_t c = 6; c < 3 * W12; c++) {
        if (c == 2000 || c == 1999) {
            continue;
        }
        assert_ok(bst_pdcp_window_fresh(&w, c));
        bst_pdcp_window_accept(&w, 0, c);
    }
    assert_int_equal(w.deliv, 3 * W12);
    bst_pdcp_window_clear(&w);
}

static void what_is_missing_is_waited_for_until_the_timer_expires(void **state)
{
    struct bst_pdcp_window w;
    assert_ok(bst_pdcp_window_init(&w, 12, 0, 100));
    bst_pdcp_window_accept(&w, 10, 1); /* 0 is missing */
    assert_true(w.running);
    assert_int_equal(w.expires_us, 110);
    bst_pdcp_window_accept(&w, 50, 3); /* and 2 */
    assert_false(bst_pdcp_window_tick(&w, 109));
    assert_int_equal(w.deliv, 0);
    assert_true(bst_pdcp_window_tick(&w, 110));
    assert_int_equal(w.deliv, 2); /* 0 was given up, 1 was there, 2 is waited for */
    assert_err(bst_pdcp_window_fresh(&w, 0), BST_E_REPLAY);
    assert_ok(bst_pdcp_window_fresh(&w, 2));
    assert_true(w.running);
    assert_int_equal(w.expires_us, 210);
    bst_pdcp_window_accept(&w, 120, 2);
    assert_false(w.running);
    assert_int_equal(w.deliv, 4);
    bst_pdcp_window_clear(&w);
}

/* ---- entities ---- */

struct got {
    uint32_t counts[64];
    char first[64];
    size_t n;
};

static void note(void *ctx, uint32_t count, struct bst_view sdu)
{
    struct got *got = ctx;
    got->counts[got->n] = count;
    got->first[got->n] = sdu.len ? sdu.ptr[0] : 0;
    got->n++;
}

/* Transmitter, receiver, and the PDUs 'a', 'b', ... between them. */
struct link {
    struct bst_pdcp_keys keys;
    struct bst_pdcp_tx tx;
    struct bst_pdcp_rx rx;
    struct got got;
    struct bst_buf pdu[26];
};

static void link_up(struct link *l, const struct bst_pdcp_bearer *bearer, uint32_t first,
                    bool out_of_order)
{
    *l = (struct link){0};
    make_keys(&l->keys, &aes, 0);
    assert_ok(bst_pdcp_tx_init(&l->tx, bearer, &l->keys, first));
    const struct bst_pdcp_rx_setup setup = {.bearer = *bearer,
                                            .first = first,
                                            .t_reordering_us = 1000,
                                            .out_of_order = out_of_order,
                                            .deliver = note,
                                            .ctx = &l->got};
    assert_ok(bst_pdcp_rx_init(&l->rx, &setup, &l->keys));
}

static void send_n(struct link *l, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const char text[2] = {(char)('a' + i), 0};
        bst_buf_clear(&l->pdu[i]);
        assert_ok(bst_pdcp_send(&l->tx, bst_view_of(text, 2), &l->pdu[i]));
    }
}

static bst_result give(struct link *l, int64_t now_us, char which)
{
    return bst_pdcp_receive(&l->rx, now_us, bst_buf_view(&l->pdu[which - 'a']));
}

static void expect_got(struct link *l, const char *text)
{
    assert_int_equal(l->got.n, strlen(text));
    assert_memory_equal(l->got.first, text, strlen(text));
}

static void link_down(struct link *l)
{
    bst_pdcp_rx_clear(&l->rx);
    bst_pdcp_keys_clear(&l->keys);
    for (size_t i = 0; i < 26; i++) {
        bst_buf_clear(&l->pdu[i]);
    }
}

static void sdus_come_out_in_order_whatever_the_order_of_pdus(void **state)
{
    struct link l;
    link_up(&l, &drb1, 0, false);
    send_n(&l, 6);
    assert_ok(give(&l, 0, 'b'));
    assert_ok(give(&l, 0, 'd'));
    expect_got(&l, "");
    assert_true(l.rx.stored_bytes > 0);
    assert_ok(give(&l, 0, 'a'));
    expect_got(&l, "ab");
    assert_ok(give(&l, 0, 'c'));
    assert_ok(give(&l, 0, 'f'));
    assert_ok(give(&l, 0, 'e'));
    expect_got(&l, "abcdef");
    assert_int_equal(l.rx.stored_bytes, 0);
    assert_int_equal(l.got.counts[5], 5);
    link_down(&l);
}

static void out_of_order_delivery_waits_for_nobody_and_still_refuses_replays(void **state)
{
    struct link l;
    link_up(&l, &drb1, 0, true);
    send_n(&l, 4);
    assert_ok(give(&l, 0, 'c'));
    assert_ok(give(&l, 0, 'a'));
    assert_err(give(&l, 0, 'c'), BST_E_REPLAY);
    assert_err(give(&l, 0, 'a'), BST_E_REPLAY);
    assert_ok(give(&l, 0, 'b'));
    expect_got(&l, "cab");
    assert_int_equal(l.rx.replayed, 2);
    link_down(&l);
}

static void a_lost_pdu_is_given_up_and_then_too_late(void **state)
{
    struct link l;
    link_up(&l, &drb1, 0, false);
    send_n(&l, 5);
    assert_ok(give(&l, 0, 'b'));
    assert_ok(give(&l, 500, 'e'));
    bst_pdcp_rx_tick(&l.rx, 999);
    expect_got(&l, "");
    bst_pdcp_rx_tick(&l.rx, 1000);
    expect_got(&l, "b");
    assert_err(give(&l, 1001, 'a'), BST_E_REPLAY);
    bst_pdcp_rx_tick(&l.rx, 2000);
    expect_got(&l, "be");
    link_down(&l);
}

static void forged_and_replayed_pdus_change_nothing(void **state)
{
    struct link l;
    link_up(&l, &drb1, 0, false);
    send_n(&l, 2);
    for (size_t bit = 0; bit < l.pdu[0].len * 8; bit++) {
        l.pdu[0].ptr[bit / 8] = (char)(l.pdu[0].ptr[bit / 8] ^ 1 << bit % 8);
        bst_result r = give(&l, 0, 'a');
        l.pdu[0].ptr[bit / 8] = (char)(l.pdu[0].ptr[bit / 8] ^ 1 << bit % 8);
        /* The bit that makes a control PDU of it: it goes nowhere. Without the D/C bit the SN may
         * lie before the first COUNT. */
        assert_true(r.code == BST_E_BAD_MAC || r.code == BST_E_REPLAY ||
                    (r.code == BST_E_NONE && bit == 7));
        assert_int_equal(l.rx.window.next, 0);
        assert_int_equal(l.got.n, 0);
    }
    assert_ok(give(&l, 0, 'a'));
    assert_err(give(&l, 0, 'a'), BST_E_REPLAY);
    assert_ok(give(&l, 0, 'b'));
    expect_got(&l, "ab");
    assert_true(l.rx.forged > 0);
    link_down(&l);
}

static void what_waits_has_a_limit(void **state)
{
    struct link l;
    link_up(&l, &drb1, 0, false);
    send_n(&l, 4);
    l.rx.setup.stored_max_bytes = 4;
    assert_ok(give(&l, 0, 'b'));
    assert_ok(give(&l, 0, 'c'));
    assert_err(give(&l, 0, 'd'), BST_E_LIMIT);
    assert_ok(give(&l, 0, 'a'));
    assert_ok(give(&l, 0, 'd')); /* it was not noted as received */
    expect_got(&l, "abcd");
    link_down(&l);
}

static void the_sequence_number_wraps_without_harm(void **state)
{
    struct link l;
    link_up(&l, &drb1, 4090, false);
    send_n(&l, 20);
    for (char c = 'a'; c < 'a' + 20; c++) {
        assert_ok(give(&l, 0, c));
    }
    expect_got(&l, "abcdefghijklmnopqrst");
    assert_int_equal(l.got.counts[19], 4109);
    link_down(&l);
}

static void count_does_not_wrap(void **state)
{
    struct link l;
    bst_auto(buf) none = {0};
    link_up(&l, &drb1, LAST - 2, false);
    assert_true(bst_pdcp_tx_refresh_due(&l.tx) && bst_pdcp_rx_refresh_due(&l.rx));
    send_n(&l, 3);
    assert_err(bst_pdcp_send(&l.tx, BST_VIEW("more"), &none), BST_E_LIMIT);
    assert_int_equal(none.len, 0);
    for (char c = 'a'; c <= 'c'; c++) {
        assert_ok(give(&l, 0, c));
    }
    expect_got(&l, "abc");
    assert_int_equal(l.got.counts[2], LAST);
    assert_err(give(&l, 0, 'c'), BST_E_REPLAY);
    /* What would be COUNT 0 again, sealed by somebody who wraps. */
    assert_ok(bst_pdcp_seal(&l.keys, &drb1, 0, BST_VIEW("z"), &none));
    assert_err(bst_pdcp_receive(&l.rx, 0, bst_buf_view(&none)), BST_E_LIMIT);
    expect_got(&l, "abc");
    link_down(&l);
}

static void a_refresh_is_asked_for_in_time(void **state)
{
    struct bst_pdcp_tx tx;
    bst_auto(pdcp_keys) keys = {0};
    make_keys(&keys, &aes, 0);
    assert_ok(bst_pdcp_tx_init(&tx, &drb1, &keys, LAST - BST_PDCP_REFRESH_LEFT));
    assert_false(bst_pdcp_tx_refresh_due(&tx));
    tx.next++;
    assert_true(bst_pdcp_tx_refresh_due(&tx));
}

static void new_keys_start_a_new_count_and_old_keys_are_refused(void **state)
{
    struct link l;
    bst_auto(pdcp_keys) fresh = {0}, again = {0};
    link_up(&l, &drb1, LAST, false);
    make_keys(&again, &aes, 0);
    make_keys(&fresh, &aes, 0x55);
    send_n(&l, 1);
    assert_err(bst_pdcp_tx_reestablish(&l.tx, &again, false), BST_E_BAD_KEY);
    assert_err(bst_pdcp_rx_reestablish(&l.rx, &again, true), BST_E_BAD_KEY);
    assert_ok(give(&l, 0, 'a'));
    assert_ok(bst_pdcp_tx_reestablish(&l.tx, &fresh, false));
    assert_ok(bst_pdcp_rx_reestablish(&l.rx, &fresh, false));
    assert_false(bst_pdcp_tx_refresh_due(&l.tx) || bst_pdcp_rx_refresh_due(&l.rx));
    assert_err(give(&l, 0, 'a'), BST_E_REPLAY); /* SN 4095 lies before COUNT 0 */
    send_n(&l, 2);
    assert_ok(give(&l, 0, 'a'));
    assert_int_equal(l.got.counts[1], 0);
    link_down(&l);
}

static void acknowledged_bearers_go_on_counting(void **state)
{
    struct link l;
    bst_auto(pdcp_keys) fresh = {0};
    link_up(&l, &drb1, 0, false);
    make_keys(&fresh, &aes, 0x55);
    send_n(&l, 3);
    assert_ok(give(&l, 0, 'a'));
    assert_ok(bst_pdcp_tx_reestablish(&l.tx, &fresh, true));
    assert_ok(bst_pdcp_rx_reestablish(&l.rx, &fresh, true));
    assert_int_equal(l.tx.next, 3);
    assert_int_equal(l.rx.window.next, 1);
    assert_err(give(&l, 0, 'b'), BST_E_BAD_MAC);
    link_down(&l);
}

static void what_waits_at_a_re_establishment_is_delivered_or_dropped(void **state)
{
    struct link l;
    bst_auto(pdcp_keys) fresh = {0};
    make_keys(&fresh, &aes, 0x55);
    link_up(&l, &drb1, 0, false);
    send_n(&l, 4);
    assert_ok(give(&l, 0, 'b'));
    assert_ok(give(&l, 0, 'd'));
    assert_ok(bst_pdcp_rx_reestablish(&l.rx, &fresh, false));
    expect_got(&l, "bd");
    link_down(&l);
    link_up(&l, &srb1, 0, false);
    send_n(&l, 4);
    assert_ok(give(&l, 0, 'b'));
    assert_ok(bst_pdcp_rx_reestablish(&l.rx, &fresh, false));
    expect_got(&l, "");
    link_down(&l);
}

static void every_allocation_may_fail(void **state)
{
    for (long n = 1; n < 12; n++) {
        struct link l;
        link_up(&l, &drb1, 0, false);
        send_n(&l, 3);
        bst_alloc_fail_at(n);
        bst_result b = give(&l, 0, 'b'), a = give(&l, 0, 'a');
        bst_alloc_fail_at(0);
        assert_true(b.code == BST_E_NONE || b.code == BST_E_NOMEM);
        assert_true(a.code == BST_E_NONE || a.code == BST_E_NOMEM);
        if (bst_failed(b)) {
            assert_ok(give(&l, 0, 'b'));
        }
        if (bst_failed(a)) {
            assert_ok(give(&l, 0, 'a'));
        }
        expect_got(&l, "ab");
        link_down(&l);
    }
}

/* ---- policy ---- */

static struct bst_up_case able(void)
{
    return (struct bst_up_case){.ran_confidentiality = true,
                                .ran_integrity = true,
                                .device_bps = BST_UP_RATE_FULL,
                                .session_bps = 100000000,
                                .ciphering = 2,
                                .integrity_algorithm = 2};
}

static void the_policy_decides_by_its_table(void **state)
{
    static const struct {
        enum bst_up_policy policy;
        bool possible, active, refused;
    } table[] = {
        {BST_UP_NOT_NEEDED, true, false, false}, {BST_UP_NOT_NEEDED, false, false, false},
        {BST_UP_PREFERRED, true, true, false},   {BST_UP_PREFERRED, false, false, false},
        {BST_UP_REQUIRED, true, true, false},    {BST_UP_REQUIRED, false, false, true},
    };
    for (size_t c = 0; c < 6; c++) {
        for (size_t i = 0; i < 6; i++) {
            struct bst_up_case in = able();
            struct bst_up_decision out;
            const bool refused = table[c].refused || table[i].refused;
            in.confidentiality = table[c].policy;
            in.ran_confidentiality = table[c].possible;
            in.integrity = table[i].policy;
            in.ran_integrity = table[i].possible;
            bst_up_decide(&in, &out);
            assert_int_equal(out.cause != BST_UP_CAUSE_NONE, refused);
            assert_int_equal(out.confidentiality, table[c].active && !refused);
            assert_int_equal(out.integrity, table[i].active && !refused);
        }
    }
}

static void a_device_that_cannot_verify_so_fast_gets_no_integrity(void **state)
{
    struct bst_up_case in = able();
    struct bst_up_decision out;
    in.integrity = BST_UP_REQUIRED;
    in.device_bps = BST_UP_RATE_64K;
    bst_up_decide(&in, &out);
    assert_int_equal(out.cause, BST_UP_CAUSE_RATE);
    in.integrity = BST_UP_PREFERRED;
    bst_up_decide(&in, &out);
    assert_int_equal(out.cause, BST_UP_CAUSE_NONE);
    assert_false(out.integrity);
    in.session_bps = 64000;
    bst_up_decide(&in, &out);
    assert_true(out.integrity);
    in.device_bps = 0;
    in.integrity = BST_UP_REQUIRED;
    bst_up_decide(&in, &out);
    assert_int_equal(out.cause, BST_UP_CAUSE_RATE);
}

static void null_algorithms_satisfy_no_requirement(void **state)
{
    struct bst_up_case in = able();
    struct bst_up_decision out;
    in.integrity = BST_UP_REQUIRED;
    in.integrity_algorithm = 0;
    bst_up_decide(&in, &out);
    assert_int_equal(out.cause, BST_UP_CAUSE_INTEGRITY);
    in = able();
    in.confidentiality = BST_UP_REQUIRED;
    in.ciphering = 0;
    bst_up_decide(&in, &out);
    assert_int_equal(out.cause, BST_UP_CAUSE_CONFIDENTIALITY);
    assert_string_equal(bst_up_cause_name(out.cause), "up-confidentiality-protection-not-possible");
    in.confidentiality = (enum bst_up_policy)77; /* no policy: the strictest */
    bst_up_decide(&in, &out);
    assert_int_equal(out.cause, BST_UP_CAUSE_CONFIDENTIALITY);
}

static void the_policy_of_the_smf_wins_at_a_path_switch(void **state)
{
    struct bst_up_case smf = able(), target = able();
    smf.integrity = BST_UP_REQUIRED;
    assert_true(bst_up_path_switch(&smf, &target));
    assert_int_equal(target.integrity, BST_UP_REQUIRED);
    assert_false(bst_up_path_switch(&smf, &target));
}

static void policies_have_the_names_of_the_interface(void **state)
{
    enum bst_up_policy policy;
    for (unsigned i = 0; i < 3; i++) {
        assert_ok(
            bst_up_policy_parse(bst_view(bst_up_policy_name((enum bst_up_policy)i)), &policy));
        assert_int_equal(policy, i);
    }
    assert_err(bst_up_policy_parse(BST_VIEW("required"), &policy), BST_E_VALUE);
    assert_err(bst_up_policy_parse(BST_VIEW(""), &policy), BST_E_VALUE);
}

/* ---- algorithms ---- */

static const struct bst_air_priority order = {{2, 1, 3, 0}, {2, 3, 1}, 4, 3};

static void the_first_algorithm_in_common_is_chosen(void **state)
{
    struct bst_air_choice choice;
    struct bst_air_capability device = {.nea = 0x0f, .nia = 0x0f};
    assert_ok(bst_air_choose(&order, &device, false, &choice));
    assert_int_equal(choice.nea, 2);
    assert_int_equal(choice.nia, 2);
    device = (struct bst_air_capability){.nea = 0x0a, .nia = 0x0a};
    assert_ok(bst_air_choose(&order, &device, false, &choice));
    assert_int_equal(choice.nea, 1);
    assert_int_equal(choice.nia, 3);
}

static void null_integrity_is_never_chosen_outside_an_emergency(void **state)
{
    struct bst_air_choice choice = {9, 9};
    const struct bst_air_priority lax = {{0}, {0, 2}, 1, 2};
    const struct bst_air_capability null_only = {.nea = 0x01, .nia = 0x01}, all = {0x0f, 0x0f};
    assert_err(bst_air_choose(&order, &null_only, false, &choice), BST_E_DENIED);
    assert_err(bst_air_choose(&lax, &null_only, false, &choice), BST_E_DENIED);
    assert_int_equal(choice.nia, 9);
    assert_ok(bst_air_choose(&lax, &all, false, &choice));
    assert_int_equal(choice.nia, 2);
    assert_int_equal(choice.nea, 0); /* the list of this operator allows it */
    assert_ok(bst_air_choose(&order, &null_only, true, &choice));
    assert_int_equal(choice.nia, 0);
    assert_int_equal(choice.nea, 0);
}

static void a_device_must_have_what_each_device_has(void **state)
{
    assert_ok(bst_air_capability_check(&(struct bst_air_capability){0x07, 0x07}));
    for (unsigned i = 0; i < 3; i++) {
        const uint8_t less = (uint8_t)(0x07 & ~(1U << i));
        assert_err(bst_air_capability_check(&(struct bst_air_capability){less, 0x07}),
                   BST_E_DENIED);
        assert_err(bst_air_capability_check(&(struct bst_air_capability){0x07, less}),
                   BST_E_DENIED);
    }
}

static void capabilities_are_written_with_algorithm_0_first(void **state)
{
    const struct bst_air_capability c = {.nea = 0x07, .nia = 0x0e};
    struct bst_air_capability back;
    uint8_t out[2];
    bst_air_capability_format(&c, out);
    assert_int_equal(out[0], 0xe0);
    assert_int_equal(out[1], 0x70);
    bst_air_capability_parse(out, &back);
    assert_int_equal(back.nea, c.nea);
    assert_int_equal(back.nia, c.nia);
}

static void a_device_sees_that_somebody_bid_down(void **state)
{
    const struct bst_air_capability sent = {0x07, 0x07}, cut = {0x01, 0x07}, cut_nia = {0x07, 0x01};
    const struct bst_air_choice good = {2, 2}, null_both = {0, 0}, hidden = {2, 0},
                                foreign = {3, 2};
    assert_ok(bst_air_check_choice(&sent, &sent, &good, false));
    assert_err(bst_air_check_choice(&sent, &cut, &(struct bst_air_choice){0, 2}, false),
               BST_E_DENIED);
    assert_non_null(strstr(bst_error_detail(), "bidding down"));
    assert_err(bst_air_check_choice(&sent, &cut_nia, &good, false), BST_E_DENIED);
    assert_err(bst_air_check_choice(&sent, &sent, &null_both, false), BST_E_DENIED);
    assert_ok(bst_air_check_choice(&sent, &sent, &null_both, true));
    assert_err(bst_air_check_choice(&sent, &sent, &hidden, true), BST_E_DENIED);
    assert_err(bst_air_check_choice(&sent, &sent, &foreign, false), BST_E_DENIED);
    assert_err(bst_air_check_choice(&sent, &sent, &(struct bst_air_choice){2, 200}, false),
               BST_E_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_suite_opens_what_it_sealed),
        cmocka_unit_test(ciphering_and_integrity_are_activated_apart),
        cmocka_unit_test(no_changed_bit_opens),
        cmocka_unit_test(another_key_count_bearer_or_direction_does_not_open),
        cmocka_unit_test(an_independent_implementation_agrees),
        cmocka_unit_test(integrity_covers_headers_and_ciphering_does_not),
        cmocka_unit_test(an_sdap_control_pdu_stays_in_clear),
        cmocka_unit_test(an_srb_has_the_mac_field_in_any_case_and_a_drb_only_with_integrity),
        cmocka_unit_test(headers_are_read_as_they_were_written),
        cmocka_unit_test(what_is_too_short_or_too_long_is_refused),
        cmocka_unit_test(bearers_of_no_standard_are_refused),
        cmocka_unit_test(null_integrity_is_for_emergencies_and_never_on_a_drb),
        cmocka_unit_test(keys_have_the_length_of_their_algorithm),
        cmocka_unit_test(keys_come_from_kgnb_in_memory_or_in_a_secure_environment),
        cmocka_unit_test(count_follows_from_the_window),
        cmocka_unit_test(each_count_is_fresh_once),
        cmocka_unit_test(what_is_missing_is_waited_for_until_the_timer_expires),
        cmocka_unit_test(sdus_come_out_in_order_whatever_the_order_of_pdus),
        cmocka_unit_test(out_of_order_delivery_waits_for_nobody_and_still_refuses_replays),
        cmocka_unit_test(a_lost_pdu_is_given_up_and_then_too_late),
        cmocka_unit_test(forged_and_replayed_pdus_change_nothing),
        cmocka_unit_test(what_waits_has_a_limit),
        cmocka_unit_test(the_sequence_number_wraps_without_harm),
        cmocka_unit_test(count_does_not_wrap),
        cmocka_unit_test(a_refresh_is_asked_for_in_time),
        cmocka_unit_test(new_keys_start_a_new_count_and_old_keys_are_refused),
        cmocka_unit_test(acknowledged_bearers_go_on_counting),
        cmocka_unit_test(what_waits_at_a_re_establishment_is_delivered_or_dropped),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(the_policy_decides_by_its_table),
        cmocka_unit_test(a_device_that_cannot_verify_so_fast_gets_no_integrity),
        cmocka_unit_test(null_algorithms_satisfy_no_requirement),
        cmocka_unit_test(the_policy_of_the_smf_wins_at_a_path_switch),
        cmocka_unit_test(policies_have_the_names_of_the_interface),
        cmocka_unit_test(the_first_algorithm_in_common_is_chosen),
        cmocka_unit_test(null_integrity_is_never_chosen_outside_an_emergency),
        cmocka_unit_test(a_device_must_have_what_each_device_has),
        cmocka_unit_test(capabilities_are_written_with_algorithm_0_first),
        cmocka_unit_test(a_device_sees_that_somebody_bid_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
