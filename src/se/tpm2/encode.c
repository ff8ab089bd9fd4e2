/* Between the TPM's forms of keys and signatures and those of X.509; public areas and their names.
 */
#include "se/tpm2/tpm2_priv.h"

#define BYTES(text)                                                                                \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }

/* SubjectPublicKeyInfo (RFC 5480) of these curves differ in the point only. */
static const struct {
    enum bst_key_type type;
    TPMI_ECC_CURVE curve;
    size_t width;
    struct bst_view head;
} curves[] = {
    {BST_KEY_EC_P256, TPM2_ECC_NIST_P256, 32,
     BYTES("\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03"
           "\x01\x07\x03\x42\x00")},
    {BST_KEY_EC_P384, TPM2_ECC_NIST_P384, 48,
     BYTES("\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03"
           "\x62\x00")},
};
#define CURVES (sizeof curves / sizeof curves[0])

/* RFC 3279: an RSA key of 2048 bits with the exponent 65537, which all EKs have. */
static const struct bst_view rsa_head = BYTES(
    "\x30\x82\x01\x22\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x82\x01\x0f"
    "\x00\x30\x82\x01\x0a\x02\x82\x01\x01\x00");
static const struct bst_view rsa_tail = BYTES("\x02\x03\x01\x00\x01");
#define RSA_BYTES 256

TPMI_ECC_CURVE tpm2_curve(enum bst_key_type type)
{
    for (size_t i = 0; i < CURVES; i++) {
        if (curves[i].type == type) {
            return curves[i].curve;
        }
    }
    return TPM2_ECC_NONE;
}

void tpm2_widen(const TPM2B_ECC_PARAMETER *number, size_t width, uint8_t *out)
{
    size_t len = number->size < width ? number->size : width;
    memset(out, 0, width - len);
    memcpy(out + width - len, number->buffer + (number->size - len), len);
}

static bst_result ec_spki(const TPMT_PUBLIC *pub, struct bst_buf *ret)
{
    uint8_t point[TPM2_POINT_MAX] = {4};
    for (size_t i = 0; i < CURVES; i++) {
        if (curves[i].curve == pub->parameters.eccDetail.curveID) {
            size_t width = curves[i].width;
            tpm2_widen(&pub->unique.ecc.x, width, point + 1);
            tpm2_widen(&pub->unique.ecc.y, width, point + 1 + width);
            bst_buf_addv(ret, curves[i].head);
            bst_buf_add(ret, point, 1 + 2 * width);
            return bst_buf_check(ret);
        }
    }
    BST_FAIL(BST_E_BAD_KEY, "a TPM key on a curve other than P-256 and P-384 is not used here");
}

bst_result tpm2_spki(const TPMT_PUBLIC *pub, struct bst_buf *ret)
{
    if (pub->type == TPM2_ALG_ECC) {
        return ec_spki(pub, ret);
    }
    if (pub->type != TPM2_ALG_RSA || pub->unique.rsa.size != RSA_BYTES ||
        (pub->parameters.rsaDetail.exponent != 0 && pub->parameters.rsaDetail.exponent != 65537)) {
        BST_FAIL(BST_E_BAD_KEY, "a TPM key that is neither EC nor RSA-2048 is not used here");
    }
    bst_buf_addv(ret, rsa_head);
    bst_buf_add(ret, pub->unique.rsa.buffer, RSA_BYTES);
    bst_buf_addv(ret, rsa_tail);
    return bst_buf_check(ret);
}

bst_result tpm2_point(enum bst_key_type type, struct bst_view spki, TPMS_ECC_POINT *ret)
{
    for (size_t i = 0; i < CURVES; i++) {
        size_t width = curves[i].width;
        size_t before = curves[i].head.len + 1;
        if (curves[i].type == type && spki.ptr && spki.len == before + 2 * width &&
            bst_view_starts(spki, curves[i].head)) {
            ret->x.size = ret->y.size = (UINT16)width;
            memcpy(ret->x.buffer, spki.ptr + before, width);
            memcpy(ret->y.buffer, spki.ptr + before + width, width);
            return BST_OK;
        }
    }
    BST_FAIL(BST_E_BAD_KEY, "the public key is not an uncompressed point of the TPM's curve");
}

/* ---- signatures ---- */

static size_t put_integer(const TPM2B_ECC_PARAMETER *number, uint8_t *out)
{
    const BYTE *at = number->buffer;
    size_t len = number->size;
    while (len > 1 && at[0] == 0) { /* DER integers are as short as possible */
        at++;
        len--;
    }
    size_t pad = len && at[0] >> 7;
    out[0] = 2;
    out[1] = (uint8_t)(len + pad);
    out[2] = 0;
    memcpy(out + 2 + pad, at, len);
    return 2 + pad + len;
}

bst_result tpm2_ecdsa_der(const TPMT_SIGNATURE *signature, uint8_t out[112], size_t *ret_len)
{
    const TPMS_SIGNATURE_ECC *ec = &signature->signature.ecdsa;
    BST_ENSURE(signature->sigAlg == TPM2_ALG_ECDSA && ec->signatureR.size &&
                   ec->signatureR.size <= 48 && ec->signatureS.size && ec->signatureS.size <= 48,
               BST_E_SE_TOKEN);
    size_t r = put_integer(&ec->signatureR, out + 2);
    size_t s = put_integer(&ec->signatureS, out + 2 + r);
    out[0] = 0x30;
    out[1] = (uint8_t)(r + s);
    *ret_len = 2 + r + s;
    return BST_OK;
}

/* ---- public areas ---- */

bst_result tpm2_read_public(struct bst_view blob, TPM2B_PUBLIC *ret)
{
    size_t at = 0;
    *ret = (TPM2B_PUBLIC){.size = 0};
    if (Tss2_MU_TPM2B_PUBLIC_Unmarshal((const uint8_t *)blob.ptr, blob.len, &at, ret) !=
            TSS2_RC_SUCCESS ||
        at != blob.len || ret->size + 2U != blob.len) {
        BST_FAIL(BST_E_CORRUPT, "the public half of a TPM key is damaged");
    }
    return BST_OK;
}

bst_result tpm2_name(const TPMT_PUBLIC *pub, uint8_t out[TPM2_NAME_MAX], size_t *ret_len)
{
    uint8_t bytes[sizeof *pub];
    size_t len = 0;
    BST_ENSURE(pub->nameAlg == TPM2_ALG_SHA256 &&
                   Tss2_MU_TPMT_PUBLIC_Marshal(pub, bytes, sizeof bytes, &len) == TSS2_RC_SUCCESS,
               BST_E_BAD_KEY);
    out[0] = TPM2_ALG_SHA256 >> 8;
    out[1] = TPM2_ALG_SHA256 & 0xff;
    *ret_len = 2 + BST_SHA256_BYTES;
    return bst_sha256(bst_view_of(bytes, len), out + 2);
}
