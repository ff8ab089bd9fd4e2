/* tls: the reader of plaintext handshakes, on made-up messages: whole, cut, too long, of wrong
 * shape. */
#include "support/test.h"

#include "tls/scan.h"

static struct bst_buf built;

static int tear_down(void **state)
{
    bst_buf_clear(&built);
    return 0;
}

static void put(size_t number, unsigned bytes)
{
    while (bytes--) {
        bst_buf_addc(&built, (char)(number >> (8 * bytes)));
    }
}

static size_t open_length(unsigned bytes)
{
    put(0, bytes);
    return built.len;
}

static void close_length(size_t from, unsigned bytes)
{
    size_t n = built.len - from;
    for (unsigned i = 0; i < bytes; i++) {
        built.ptr[from - 1 - i] = (char)(n >> (8 * i));
    }
}

struct hello_parts {
    const char *server_name;
    const char *identities[3];
    const char *versions; /* wire form */
    size_t versions_len;
    uint16_t suite;
    int client_type, server_type; /* RFC 7250, -1: no extension */
};

static void put_name_extension(const char *name)
{
    put(0, 2);
    size_t ext = open_length(2), list = open_length(2);
    put(0, 1);
    size_t at = open_length(2);
    bst_buf_adds(&built, name);
    close_length(at, 2);
    close_length(list, 2);
    close_length(ext, 2);
}

static void put_type_extension(int number, int type)
{
    put((size_t)number, 2);
    put(2, 2);
    put(1, 1);
    put((size_t)type, 1);
}

static void put_psk_extension(const struct hello_parts *parts)
{
    put(41, 2);
    size_t ext = open_length(2), list = open_length(2);
    for (int i = 0; i < 3 && parts->identities[i]; i++) {
        size_t at = open_length(2);
        bst_buf_adds(&built, parts->identities[i]);
        close_length(at, 2);
        put(0, 4);
    }
    close_length(list, 2);
    put(33, 2); /* one binder of 32 octets */
    put(32, 1);
    for (int i = 0; i < 8; i++) {
        put(0, 4);
    }
    close_length(ext, 2);
}

static struct bst_view hello_of(const struct hello_parts *parts)
{
    built.len = 0;
    put(0x0303, 2);
    for (int i = 0; i < 8; i++) {
        put(0x01020304, 4);
    }
    put(0, 1); /* session id */
    put(4, 2);
    put(0x1301, 2);
    put(parts->suite, 2);
    put(0x0100, 2); /* compression */
    size_t extensions = open_length(2);
    if (parts->server_name) {
        put_name_extension(parts->server_name);
    }
    if (parts->versions_len) {
        put(43, 2);
        put(parts->versions_len + 1, 2);
        put(parts->versions_len, 1);
        bst_buf_add(&built, parts->versions, parts->versions_len);
    }
    if (parts->client_type >= 0) {
        put_type_extension(19, parts->client_type);
    }
    if (parts->server_type >= 0) {
        put_type_extension(20, parts->server_type);
    }
    if (parts->identities[0]) {
        put_psk_extension(parts);
    }
    close_length(extensions, 2);
    return bst_buf_view(&built);
}

static const struct hello_parts full = {
    .server_name = "in.acme.example.com",
    .identities = {"\x01\x02ticket", "0A@mef.acme.example.com", "second@mef.acme.example.com"},
    .versions = "\x03\x04\x03\x03",
    .versions_len = 4,
    .suite = 0x00AE,
    .client_type = -1,
    .server_type = -1,
};

static void a_hello_gives_its_name_its_versions_and_the_first_identity_that_is_text(void **state)
{
    struct bst_tls_hello hello;
    assert_ok(bst_tls_hello_read(hello_of(&full), &hello));
    assert_true(bst_view_is(hello.server_name, "in.acme.example.com"));
    assert_true(bst_view_is(hello.psk_identity, "0A@mef.acme.example.com"));
    assert_true(hello.offers_tls13);
    assert_true(hello.offers_psk_suites);
    assert_false(hello.client_raw_key_only);
}

static void a_bare_hello_offers_nothing(void **state)
{
    struct bst_tls_hello hello;
    struct hello_parts bare = {.suite = 0xC02B, .client_type = -1, .server_type = -1};
    assert_ok(bst_tls_hello_read(hello_of(&bare), &hello));
    assert_int_equal(hello.server_name.len, 0);
    assert_int_equal(hello.psk_identity.len, 0);
    assert_false(hello.offers_tls13);
    assert_false(hello.offers_psk_suites);
}

static void raw_public_keys_are_seen(void **state)
{
    struct bst_tls_hello hello;
    struct hello_parts parts = full;
    parts.client_type = 2;
    parts.server_type = 0;
    assert_ok(bst_tls_hello_read(hello_of(&parts), &hello));
    assert_true(hello.client_raw_key_only);
    assert_false(hello.server_raw_key_only);
}

static void every_cut_of_a_hello_is_an_error_or_loses_only_its_end(void **state)
{
    struct bst_view whole = hello_of(&full);
    for (size_t n = 0; n < whole.len; n++) {
        struct bst_tls_hello hello;
        char *copy =
            bst_strndup(whole.ptr, n); /* its own block, so that a sanitizer sees overreads */
        bst_result read = bst_tls_hello_read((struct bst_view){copy, n}, &hello);
        /* Only the cut right after compression is a hello: one without extensions. */
        assert_true(bst_failed(read) || n == 2 + 32 + 1 + 2 + 4 + 2);
        bst_free(copy);
    }
}

static void bytes_after_the_extensions_are_an_error(void **state)
{
    struct bst_tls_hello hello;
    hello_of(&full);
    put(0, 1);
    assert_err(bst_tls_hello_read(bst_buf_view(&built), &hello), BST_E_SYNTAX);
}

static void lengths_that_lie_inside_an_extension_give_no_identity(void **state)
{
    struct bst_tls_hello hello;
    struct bst_view v = hello_of(&full);
    for (size_t i = 0; i < v.len; i++) {
        char kept = built.ptr[i];
        built.ptr[i] = (char)0xff;
        bst_result read = bst_tls_hello_read(v, &hello);
        if (!bst_failed(read)) {
            assert_true(hello.psk_identity.len <= v.len);
        }
        built.ptr[i] = kept;
    }
}

static void a_key_exchange_gives_its_identity(void **state)
{
    struct bst_view identity;
    assert_ok(bst_tls_key_exchange_read(BST_VIEW("\0\3abc"), &identity));
    assert_true(bst_view_is(identity, "abc"));
    assert_ok(bst_tls_key_exchange_read(BST_VIEW("\0\3abc\x41rest of ECDHE"), &identity));
    assert_true(bst_view_is(identity, "abc"));
    assert_err(bst_tls_key_exchange_read(BST_VIEW("\0\4abc"), &identity), BST_E_TRUNCATED);
    assert_err(bst_tls_key_exchange_read(BST_VIEW("\0"), &identity), BST_E_TRUNCATED);
    assert_err(bst_tls_key_exchange_read(BST_VIEW(""), &identity), BST_E_TRUNCATED);
}

static void identities_are_text(void **state)
{
    assert_true(bst_tls_identity_is_text(BST_VIEW("0A@mef.acme.example.com")));
    assert_true(bst_tls_identity_is_text(BST_VIEW("gr\xc3\xbc\xc3\x9f@mef")));
    assert_false(bst_tls_identity_is_text(BST_VIEW("")));
    assert_false(bst_tls_identity_is_text(BST_VIEW("a\0b")));
    assert_false(bst_tls_identity_is_text(BST_VIEW("a\x7f")));
    assert_false(bst_tls_identity_is_text(BST_VIEW("a\xff")));
}

static void records_are_measured_by_their_heads(void **state)
{
    assert_int_equal(bst_tls_record_len(BST_VIEW("")), 0);
    assert_int_equal(bst_tls_record_len(BST_VIEW("\x16\x03\x01\x00")), 0);
    assert_int_equal(bst_tls_record_len(BST_VIEW("\x16\x03\x01\x00\x02x")), 0);
    assert_int_equal(bst_tls_record_len(BST_VIEW("\x16\x03\x01\x00\x02xyz")), 7);
    /* not a record: all of it, at once */
    assert_int_equal(bst_tls_record_len(BST_VIEW("GET / HTTP/1.1\r\n")), 16);
    assert_int_equal(bst_tls_record_len(BST_VIEW("\x16\x02")), 2);
    assert_int_equal(bst_tls_record_len(BST_VIEW("\x16\x03\x03\xff\xff")), 5);
}

struct seen {
    int hellos, exchanges;
    size_t bytes;
};

static bst_result note(void *ctx, uint8_t type, struct bst_view body)
{
    struct seen *seen = ctx;
    seen->hellos += type == BST_TLS_MSG_CLIENT_HELLO;
    seen->exchanges += type == BST_TLS_MSG_CLIENT_KEY_EXCHANGE;
    seen->bytes += body.len;
    return BST_OK;
}

static bst_result scan_piece(struct bst_tls_scan *scan, uint8_t type, const char *bytes, size_t len,
                             struct seen *seen)
{
    struct bst_buf record = {0};
    bst_buf_addc(&record, (char)type);
    bst_buf_add(&record, "\x03\x03", 2);
    bst_buf_addc(&record, (char)(len >> 8));
    bst_buf_addc(&record, (char)len);
    bst_buf_add(&record, bytes, len);
    bst_result r = bst_tls_scan_record(scan, bst_buf_view(&record), note, seen);
    bst_buf_clear(&record);
    return r;
}

static void messages_are_put_together_from_any_records(void **state)
{
    static const char flight[] = "\x0b\x00\x00\x05"
                                 "certs"
                                 "\x10\x00\x00\x05"
                                 "\x00\x03"
                                 "abc"
                                 "\x0f\x00\x00\x02"
                                 "vf"
                                 "\x0e\x00\x00\x00";
    for (size_t piece = 1; piece < sizeof flight; piece++) {
        struct bst_tls_scan scan = {0};
        struct seen seen = {0};
        for (size_t at = 0; at < sizeof flight - 1; at += piece) {
            size_t n = sizeof flight - 1 - at < piece ? sizeof flight - 1 - at : piece;
            assert_ok(scan_piece(&scan, BST_TLS_REC_HANDSHAKE, flight + at, n, &seen));
        }
        assert_int_equal(seen.exchanges, 1);
        assert_int_equal(seen.hellos, 0);
        assert_int_equal(seen.bytes, 5);
        bst_tls_scan_clear(&scan);
    }
}

static void nothing_is_read_after_the_first_encrypted_record(void **state)
{
    struct bst_tls_scan scan = {0};
    struct seen seen = {0};
    assert_ok(scan_piece(&scan, BST_TLS_REC_DATA, "x", 1, &seen));
    assert_ok(scan_piece(&scan, BST_TLS_REC_HANDSHAKE, "\x10\x00\x00\x02\x00\x00", 6, &seen));
    assert_int_equal(seen.exchanges, 0);
    bst_tls_scan_clear(&scan);
}

static void a_message_that_is_too_long_is_passed_over_without_being_kept(void **state)
{
    static char big[16000];
    struct bst_tls_scan scan = {0};
    struct seen seen = {0};
    assert_ok(scan_piece(&scan, BST_TLS_REC_HANDSHAKE, "\x10\x00\x7d\x00", 4, &seen));
    assert_ok(scan_piece(&scan, BST_TLS_REC_HANDSHAKE, big, sizeof big, &seen));
    assert_ok(scan_piece(&scan, BST_TLS_REC_HANDSHAKE, big, sizeof big, &seen));
    assert_int_equal(seen.exchanges, 0);
    assert_int_equal(scan.body.cap, 0);
    assert_ok(scan_piece(&scan, BST_TLS_REC_HANDSHAKE, "\x10\x00\x00\x02\x00\x00", 6, &seen));
    assert_int_equal(seen.exchanges, 1);
    bst_tls_scan_clear(&scan);
}

static void memory_that_runs_out_is_reported(void **state)
{
    struct bst_tls_scan scan = {0};
    struct seen seen = {0};
    bst_buf_clear(&built);
    bst_alloc_fail_at(2); /* the first one makes the record of this test */
    bst_result r = scan_piece(&scan, BST_TLS_REC_HANDSHAKE, "\x10\x00\x00\x02\x00\x00", 6, &seen);
    bst_alloc_fail_at(0);
    assert_int_equal(r.code, BST_E_NOMEM);
    bst_tls_scan_clear(&scan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hello_gives_its_name_its_versions_and_the_first_identity_that_is_text),
        cmocka_unit_test(a_bare_hello_offers_nothing),
        cmocka_unit_test(raw_public_keys_are_seen),
        cmocka_unit_test(every_cut_of_a_hello_is_an_error_or_loses_only_its_end),
        cmocka_unit_test(bytes_after_the_extensions_are_an_error),
        cmocka_unit_test(lengths_that_lie_inside_an_extension_give_no_identity),
        cmocka_unit_test(a_key_exchange_gives_its_identity),
        cmocka_unit_test(identities_are_text),
        cmocka_unit_test(records_are_measured_by_their_heads),
        cmocka_unit_test(messages_are_put_together_from_any_records),
        cmocka_unit_test(nothing_is_read_after_the_first_encrypted_record),
        cmocka_unit_test(a_message_that_is_too_long_is_passed_over_without_being_kept),
        cmocka_unit_test(memory_that_runs_out_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
