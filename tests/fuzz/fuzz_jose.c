/* Compact JWE and JWS, and keys of ML-KEM-768: what opens under fixed keys was in the corpus, so
 * nothing that the fuzzer makes itself may. */
#include "core5g/jose/jose.h"
#include "core5g/suci/suci.h"
#include "crypto/kem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The key of the published JWS. */
static const char jwk_text[] = "{\"kty\":\"EC\",\"crv\":\"P-256\","
                               "\"x\":\"04N0xi21hshyvBp7I167sbE_bXqyqkAPfefdklMO7wY\","
                               "\"y\":\"UI8exy-C06a7DUnjIdENkxeFtHM4-l_41LqEw9nVgmw\"}";
static const uint8_t content_key[16] = {0x5d, 0xcb, 0x4e, 0x84, 0x90, 0x24, 0x03, 0xea,
                                        0x43, 0xf4, 0xb8, 0x7b, 0x66, 0x05, 0xbf, 0xd8};

static void tokens(struct bst_view in)
{
    bst_auto(arena) arena = {0};
    bst_auto(buf) plain = {0}, payload = {0};
    yyjson_val *jwk = NULL;
    if (bst_failed(bst_json_parse(&arena, bst_view(jwk_text), 2, &jwk))) {
        abort();
    }
    bst_result opened = bst_jwe_open(bst_view_of(content_key, sizeof content_key), in, &plain);
    bst_result verified = bst_jws_verify(jwk, in, &payload);
    if ((bst_failed(opened) && plain.len) || (bst_failed(verified) && payload.len)) {
        abort();
    }
    /* The input as a key: any JSON. */
    bst_auto(arena) other = {0};
    if (!bst_failed(bst_json_parse(&other, in, 4, &jwk))) {
        (void)bst_jws_verify(jwk, BST_VIEW("eyJhbGciOiJFUzI1NiJ9.Zm9v.AAAA"), &payload).code;
    }
}

static void keys(struct bst_view in)
{
    static const uint8_t ids[] = {BST_SUCI_MLKEM768, BST_SUCI_X25519_MLKEM768};
    static uint8_t out[BST_SUCI_PUBLIC_MAX];
    for (size_t i = 0; i < sizeof ids; i++) {
        const struct bst_suci_scheme *scheme = bst_suci_scheme(ids[i]);
        bst_auto(secret) value = {0};
        (void)scheme->read_public(scheme, in, out).code;
        (void)scheme->read_private(scheme, in, &value).code;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bst_view in = bst_view_of(data, size);
    tokens(in);
    keys(in);
    return 0;
}
