#include "support/test.h"

#include "crypto/aead.h"
#include "crypto/pkey.h"
#include "support/hex.h"

static const char key_bytes[32] = "0123456789abcdef0123456789abcde";
static const struct bst_view key = {key_bytes, sizeof key_bytes};

struct gcm_case {
    const char *key, *nonce, *aad, *plain, *sealed; /* sealed: ciphertext and tag */
};

/* Test cases 13, 14 and 16 of the GCM submission to NIST (McGrew, Viega), AES-256. */
static const struct gcm_case nist[] = {
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "00000000000000000000000000000000",
     "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b"
     "525"
     "b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828"
     "838"
     "c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b"},
};

static void aes_256_gcm_opens_the_vectors_of_nist(void **state)
{
    for (size_t i = 0; i < sizeof nist / sizeof nist[0]; i++) {
        bst_auto(buf) k = test_hex(nist[i].key), nonce = test_hex(nist[i].nonce),
                      aad = test_hex(nist[i].aad), sealed = test_hex(nist[i].sealed);
        bst_auto(buf) blob = {0}, out = {0};
        bst_buf_addc(&blob, 1);
        bst_buf_addv(&blob, bst_buf_view(&nonce));
        bst_buf_addv(&blob, bst_buf_view(&sealed));
        assert_ok(bst_aead_open(bst_buf_view(&k), bst_buf_view(&aad), bst_buf_view(&blob), &out));
        assert_hex(out.ptr, out.len, nist[i].plain);
    }
}

static void what_was_sealed_opens_with_the_same_key_and_binding(void **state)
{
    bst_auto(buf) blob = {0}, out = {0};
    assert_ok(bst_aead_seal(key, BST_VIEW("label"), BST_VIEW("content"), &blob));
    assert_int_equal(blob.len, 7 + BST_AEAD_OVERHEAD);
    bst_buf_adds(&out, "before ");
    assert_ok(bst_aead_open(key, BST_VIEW("label"), bst_buf_view(&blob), &out));
    assert_true(bst_view_is(bst_buf_view(&out), "before content"));
}

static void two_seals_of_the_same_content_differ(void **state)
{
    bst_auto(buf) a = {0}, b = {0};
    assert_ok(bst_aead_seal(key, BST_VIEW(""), BST_VIEW("content"), &a));
    assert_ok(bst_aead_seal(key, BST_VIEW(""), BST_VIEW("content"), &b));
    assert_false(bst_view_eq(bst_buf_view(&a), bst_buf_view(&b)));
}

static void any_changed_bit_keeps_a_blob_shut_and_gives_nothing(void **state)
{
    bst_auto(buf) blob = {0};
    assert_ok(bst_aead_seal(key, BST_VIEW("label"), BST_VIEW("content"), &blob));
    for (size_t bit = 0; bit < blob.len * 8; bit++) {
        bst_auto(buf) out = {0};
        blob.ptr[bit / 8] ^= (char)(1 << bit % 8);
        assert_err(bst_aead_open(key, BST_VIEW("label"), bst_buf_view(&blob), &out),
                   bit < 8 ? BST_E_VERSION : BST_E_BAD_MAC);
        assert_int_equal(out.len, 0);
        blob.ptr[bit / 8] ^= (char)(1 << bit % 8);
    }
}

static void another_key_or_binding_or_a_cut_blob_does_not_open(void **state)
{
    static const char other[32] = "another key of thirty-two bytes";
    bst_auto(buf) blob = {0}, out = {0};
    assert_ok(bst_aead_seal(key, BST_VIEW("label"), BST_VIEW("content"), &blob));
    struct bst_view whole = bst_buf_view(&blob);
    assert_err(bst_aead_open(bst_view_of(other, 32), BST_VIEW("label"), whole, &out),
               BST_E_BAD_MAC);
    assert_err(bst_aead_open(key, BST_VIEW("labe"), whole, &out), BST_E_BAD_MAC);
    for (size_t len = 0; len < whole.len; len++) {
        assert_err(bst_aead_open(key, BST_VIEW("label"), bst_view_of(whole.ptr, len), &out),
                   len < BST_AEAD_OVERHEAD ? BST_E_TRUNCATED : BST_E_BAD_MAC);
    }
    assert_err(bst_aead_open(bst_view_of(key_bytes, 31), BST_VIEW(""), whole, &out), BST_E_USAGE);
}

static void a_sealed_key_opens_into_a_secret(void **state)
{
    bst_auto(buf) blob = {0};
    bst_auto(secret) out = {0};
    assert_ok(bst_aead_seal(key, BST_VIEW(""), BST_VIEW("secret"), &blob));
    assert_ok(bst_aead_open_secret(key, BST_VIEW(""), bst_buf_view(&blob), &out));
    assert_memory_equal(out.ptr, "secret", 6);
    bst_auto(secret) not = {0};
    blob.ptr[20] ^= 1;
    assert_err(bst_aead_open_secret(key, BST_VIEW(""), bst_buf_view(&blob), &not ), BST_E_BAD_MAC);
    assert_null(not .ptr);
}

/* ---- streams ---- */

struct sealed_stream {
    uint8_t header[BST_STREAM_HEADER_BYTES];
    struct bst_buf chunk[3];
};

static void seal_three(struct sealed_stream *out)
{
    static char full[BST_STREAM_CHUNK_BYTES];
    bst_auto(stream) stream = {0};
    memset(out, 0, sizeof *out);
    assert_ok(bst_stream_seal_init(&stream, key, out->header));
    assert_ok(bst_stream_seal(&stream, bst_view_of(full, sizeof full), false, &out->chunk[0]));
    assert_ok(bst_stream_seal(&stream, bst_view_of(full, sizeof full), false, &out->chunk[1]));
    assert_ok(bst_stream_seal(&stream, BST_VIEW("end"), true, &out->chunk[2]));
    bst_auto(buf) more = {0};
    assert_err(bst_stream_seal(&stream, BST_VIEW("end"), true, &more), BST_E_USAGE);
}

static void clear_three(struct sealed_stream *s)
{
    for (int i = 0; i < 3; i++) {
        bst_buf_clear(&s->chunk[i]);
    }
}

static bst_result open_in_order(struct sealed_stream *s, const int *order, int n,
                                struct bst_buf *out)
{
    bst_auto(stream) stream = {0};
    BST_TRY(bst_stream_open_init(&stream, key, bst_view_of(s->header, sizeof s->header)));
    for (int i = 0; i < n; i++) {
        BST_TRY(bst_stream_open(&stream, bst_buf_view(&s->chunk[order[i]]), i == n - 1, out));
    }
    return BST_OK;
}

static void a_stream_opens_in_its_own_order_only(void **state)
{
    struct sealed_stream s;
    seal_three(&s);
    bst_auto(buf) out = {0};
    assert_ok(open_in_order(&s, (int[]){0, 1, 2}, 3, &out));
    assert_int_equal(out.len, 2 * BST_STREAM_CHUNK_BYTES + 3);
    assert_err(open_in_order(&s, (int[]){1, 0, 2}, 3, &out), BST_E_BAD_MAC);
    assert_err(open_in_order(&s, (int[]){0, 0, 2}, 3, &out), BST_E_BAD_MAC);
    assert_err(open_in_order(&s, (int[]){0, 2}, 2, &out), BST_E_BAD_MAC);
    clear_three(&s);
}

static void a_stream_cut_at_a_chunk_does_not_open(void **state)
{
    struct sealed_stream s;
    seal_three(&s);
    bst_auto(buf) out = {0};
    assert_err(open_in_order(&s, (int[]){0, 1}, 2, &out), BST_E_BAD_MAC);
    assert_err(open_in_order(&s, (int[]){0}, 1, &out), BST_E_BAD_MAC);
    clear_three(&s);
}

static void chunks_of_another_stream_or_size_are_refused(void **state)
{
    struct sealed_stream s, other;
    seal_three(&s);
    seal_three(&other);
    bst_auto(buf) out = {0};
    memcpy(s.header, other.header, sizeof s.header);
    assert_err(open_in_order(&s, (int[]){0, 1, 2}, 3, &out), BST_E_BAD_MAC);
    bst_auto(stream) stream = {0};
    struct bst_view header = bst_view_of(s.header, sizeof s.header);
    assert_err(bst_stream_open_init(&stream, key, bst_view_of(s.header, 39)), BST_E_TRUNCATED);
    s.header[0] = 2;
    assert_err(bst_stream_open_init(&stream, key, header), BST_E_VERSION);
    s.header[0] = 1;
    assert_ok(bst_stream_open_init(&stream, key, header));
    assert_err(bst_stream_open(&stream, BST_VIEW("short"), true, &out), BST_E_TRUNCATED);
    assert_err(bst_stream_open(&stream, bst_buf_view(&other.chunk[2]), false, &out),
               BST_E_TRUNCATED);
    clear_three(&s);
    clear_three(&other);
}

/* ---- for a recipient ---- */

static void a_secret_reaches_only_the_holder_of_the_recipients_key(void **state)
{
    bst_auto_pkey *pkey = NULL, *other = NULL;
    bst_auto(buf) spki = {0}, blob = {0};
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &pkey));
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &other));
    assert_ok(bst_pkey_spki(pkey, &spki));
    assert_ok(bst_ecies_seal(bst_buf_view(&spki), BST_VIEW("backup"), BST_VIEW("file key"), &blob));
    bst_auto(secret) out = {0}, not = {0};
    assert_ok(bst_ecies_open(pkey, BST_VIEW("backup"), bst_buf_view(&blob), &out));
    assert_memory_equal(out.ptr, "file key", 8);
    assert_err(bst_ecies_open(other, BST_VIEW("backup"), bst_buf_view(&blob), &not ),
               BST_E_BAD_MAC);
    assert_err(bst_ecies_open(pkey, BST_VIEW("other"), bst_buf_view(&blob), &not ), BST_E_BAD_MAC);
}

static void a_changed_or_cut_encrypted_secret_is_refused(void **state)
{
    bst_auto_pkey *pkey = NULL;
    bst_auto(buf) spki = {0}, blob = {0};
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &pkey));
    assert_ok(bst_pkey_spki(pkey, &spki));
    assert_ok(bst_ecies_seal(bst_buf_view(&spki), BST_VIEW(""), BST_VIEW("file key"), &blob));
    for (size_t i = 0; i < blob.len; i++) {
        bst_auto(secret) out = {0};
        blob.ptr[i] ^= 0x10;
        assert_true(bst_failed(bst_ecies_open(pkey, BST_VIEW(""), bst_buf_view(&blob), &out)));
        blob.ptr[i] ^= 0x10;
        assert_true(bst_failed(bst_ecies_open(pkey, BST_VIEW(""), bst_view_of(blob.ptr, i), &out)));
    }
}

static void a_recipient_with_another_kind_of_key_is_refused(void **state)
{
    bst_auto_pkey *pkey = NULL;
    bst_auto(buf) spki = {0}, blob = {0};
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P384, &pkey));
    assert_ok(bst_pkey_spki(pkey, &spki));
    assert_err(bst_ecies_seal(bst_buf_view(&spki), BST_VIEW(""), BST_VIEW("k"), &blob),
               BST_E_BAD_KEY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aes_256_gcm_opens_the_vectors_of_nist),
        cmocka_unit_test(what_was_sealed_opens_with_the_same_key_and_binding),
        cmocka_unit_test(two_seals_of_the_same_content_differ),
        cmocka_unit_test(any_changed_bit_keeps_a_blob_shut_and_gives_nothing),
        cmocka_unit_test(another_key_or_binding_or_a_cut_blob_does_not_open),
        cmocka_unit_test(a_sealed_key_opens_into_a_secret),
        cmocka_unit_test(a_stream_opens_in_its_own_order_only),
        cmocka_unit_test(a_stream_cut_at_a_chunk_does_not_open),
        cmocka_unit_test(chunks_of_another_stream_or_size_are_refused),
        cmocka_unit_test(a_secret_reaches_only_the_holder_of_the_recipients_key),
        cmocka_unit_test(a_changed_or_cut_encrypted_secret_is_refused),
        cmocka_unit_test(a_recipient_with_another_kind_of_key_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
