/* Between PKCS#11's forms of points and signatures and those of X.509. */
#include "se/pkcs11/p11_priv.h"

#define BYTES(text)                                                                                \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }

/* SubjectPublicKeyInfo (RFC 5480, RFC 8410) of these curves differ in the point only. */
static const struct {
    struct bst_view params, params_name; /* CKA_EC_PARAMS: OID, or a name as some tokens have it */
    struct bst_view head;
    size_t point;
} curves[] = {
    [BST_KEY_EC_P256] = {BYTES("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"),
                         BYTES("\x13\x0aprime256v1"),
                         BYTES(
                             "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86"
                             "\x48\xce\x3d\x03\x01\x07\x03\x42\x00"),
                         65},
    [BST_KEY_EC_P384] = {BYTES("\x06\x05\x2b\x81\x04\x00\x22"), BYTES("\x13\x09secp384r1"),
                         BYTES(
                             "\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81"
                             "\x04\x00\x22\x03\x62\x00"),
                         97},
    [BST_KEY_ED25519] = {BYTES("\x06\x03\x2b\x65\x70"),
                         BYTES("\x13\x0c"
                               "edwards25519"),
                         BYTES("\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"), 32},
};

struct bst_view p11_ec_params(enum bst_key_type type)
{
    return curves[type].params;
}

bool p11_ec_type(struct bst_view params, enum bst_key_type *ret)
{
    for (unsigned i = BST_KEY_EC_P256; i <= BST_KEY_ED25519; i++) {
        if (bst_view_eq(params, curves[i].params) || bst_view_eq(params, curves[i].params_name)) {
            *ret = (enum bst_key_type)i;
            return true;
        }
    }
    return false;
}

bst_result p11_spki(enum bst_key_type type, struct bst_view point, struct bst_buf *ret)
{
    size_t len = curves[type].point;
    bool octets = point.len == len + 2 && point.ptr[0] == 4 && (uint8_t)point.ptr[1] == len;
    bool bits = point.len == len + 3 && point.ptr[0] == 3 && (uint8_t)point.ptr[1] == len + 1;
    if (octets || bits) {
        point = bst_view_from(point, octets ? 2 : 3);
    }
    if (point.len != len) {
        BST_FAIL(BST_E_BAD_KEY, "the token gives a public key in a form that is not known");
    }
    bst_buf_addv(ret, curves[type].head);
    bst_buf_addv(ret, point);
    return bst_buf_check(ret);
}

struct bst_view p11_spki_point(enum bst_key_type type, struct bst_view spki)
{
    size_t len = curves[type].point;
    return spki.len > len ? bst_view_from(spki, spki.len - len) : (struct bst_view){0};
}

static size_t put_integer(struct bst_view number, uint8_t *out)
{
    while (number.len > 1 && number.ptr[0] == 0) { /* DER integers are as short as possible */
        number = bst_view_from(number, 1);
    }
    size_t pad = (uint8_t)number.ptr[0] >> 7;
    out[0] = 2;
    out[1] = (uint8_t)(number.len + pad);
    out[2] = 0;
    memcpy(out + 2 + pad, number.ptr, number.len);
    return 2 + pad + number.len;
}

bst_result p11_ecdsa_der(struct bst_view raw, uint8_t out[112], size_t *ret_len)
{
    if (raw.len != 64 && raw.len != 96) {
        BST_FAIL(BST_E_SE_TOKEN, "the token gives a signature of %zu bytes", raw.len);
    }
    size_t half = raw.len / 2, len = 2;
    len += put_integer(bst_view_of(raw.ptr, half), out + len);
    len += put_integer(bst_view_of(raw.ptr + half, half), out + len);
    out[0] = 0x30;
    out[1] = (uint8_t)(len - 2);
    *ret_len = len;
    return BST_OK;
}
