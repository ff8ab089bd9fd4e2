/* What an attestation consists of, and verifying it without any TPM.
 *
 * statement  TPM2B_ATTEST of TPM2_Certify, then of TPM2_Quote
 * signature  a TPMT_SIGNATURE for each
 * object, signer  TPM2B_PUBLIC
 * chain      the EK certificate, when the TPM holds one
 *
 * The signatures show that a TPM-made restricted key says so; who has made that key is open. A
 * certificate beside them is only a copy. The one proof that the signer is in the TPM of the
 * certificate is a secret that only this TPM can open, for this signer only (activation): see
 * se/tpm2/tpm2.h. */
#include "crypto/endorse.h"
#include "crypto/pkey.h"
#include "se/tpm2/tpm2.h"
#include "se/tpm2/tpm2_priv.h"

#include <stdio.h>

static bst_result no_form(void)
{
    BST_FAIL(BST_E_SYNTAX, "the attestation is damaged: it does not have the form of a TPM's");
}

bst_result tpm2_nonce(struct bst_view nonce, TPM2B_DATA *ret)
{
    if (nonce.len == 0) {
        BST_FAIL(BST_E_VALUE, "an attestation without a nonce could be an old one");
    }
    ret->size = (UINT16)(nonce.len <= BST_SHA256_BYTES ? nonce.len : BST_SHA256_BYTES);
    if (nonce.len > BST_SHA256_BYTES) {
        return bst_sha256(nonce, ret->buffer);
    }
    memcpy(ret->buffer, nonce.ptr, nonce.len);
    return BST_OK;
}

/* One statement with its signature, off the front of both. */
struct part {
    struct bst_view bytes; /* TPMS_ATTEST */
    TPMS_ATTEST attest;
    TPMT_SIGNATURE signature;
};

static bool take_part(struct bst_view *statement, struct bst_view *signature, struct part *ret)
{
    size_t at = 0;
    *ret = (struct part){.bytes = {0}};
    if (!bst_soft_take_view(statement, 2, &ret->bytes) ||
        Tss2_MU_TPMS_ATTEST_Unmarshal((const uint8_t *)ret->bytes.ptr, ret->bytes.len, &at,
                                      &ret->attest) != TSS2_RC_SUCCESS ||
        at != ret->bytes.len) {
        return false;
    }
    at = 0;
    if (Tss2_MU_TPMT_SIGNATURE_Unmarshal((const uint8_t *)signature->ptr, signature->len, &at,
                                         &ret->signature) != TSS2_RC_SUCCESS) {
        return false;
    }
    *signature = bst_view_from(*signature, at);
    return true;
}

struct signer {
    struct evp_pkey_st *pkey;
    TPM2B_NAME qualified;
};

static bst_result check_signature(const struct part *part, struct evp_pkey_st *signer)
{
    uint8_t der[112];
    size_t len = 0;
    if (part->signature.signature.ecdsa.hash != TPM2_ALG_SHA256 ||
        bst_failed(tpm2_ecdsa_der(&part->signature, der, &len))) {
        return no_form();
    }
    return bst_pkey_verify(signer, BST_MD_SHA256, part->bytes, bst_view_of(der, len));
}

/* [Part 1, 26.5] the qualified name of a primary key of the owner hierarchy: so the statement names
 * the whole public area of its signer. */
static bst_result signer_qualified(const TPMT_PUBLIC *signer, TPM2B_NAME *ret)
{
    static const uint8_t owner[] = {0x40, 0x00, 0x00, 0x01};
    uint8_t name[TPM2_NAME_MAX];
    size_t len = 0;
    BST_TRY(tpm2_name(signer, name, &len));
    const struct bst_view parts[] = {bst_view_of(owner, sizeof owner), bst_view_of(name, len)};
    ret->size = (UINT16)len;
    memcpy(ret->name, name, 2);
    return bst_digest(BST_MD_SHA256, parts, 2, ret->name + 2);
}

/* What the TPM signs as its own word begins so, and a restricted key signs nothing else that does
 * [TPM 2.0 Library, Part 1, 31.2]. */
static bst_result check_part(const struct part *part, const struct signer *signer,
                             TPMI_ST_ATTEST type, const TPM2B_DATA *nonce)
{
    const TPM2B_NAME *said = &part->attest.qualifiedSigner;
    BST_TRY(check_signature(part, signer->pkey));
    if (!bst_view_eq(bst_view_of(said->name, said->size),
                     bst_view_of(signer->qualified.name, signer->qualified.size))) {
        BST_FAIL(BST_E_BAD_MAC, "the attestation is of another signer than the one beside it");
    }
    if (part->attest.magic != TPM2_GENERATED_VALUE || part->attest.type != type) {
        BST_FAIL(BST_E_BAD_MAC, "the attestation is no word of a TPM about a key and its PCRs");
    }
    if (!bst_view_eq(bst_view_of(part->attest.extraData.buffer, part->attest.extraData.size),
                     bst_view_of(nonce->buffer, nonce->size))) {
        BST_FAIL(BST_E_BAD_MAC, "the attestation answers another nonce: it may be an old one");
    }
    return BST_OK;
}

static bst_result load_signer(const struct bst_se_attestation *a, struct signer *ret)
{
    const TPMA_OBJECT needed = TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT |
                               TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_SENSITIVEDATAORIGIN;
    TPM2B_PUBLIC signer;
    bst_auto(buf) spki = {0};
    if (bst_failed(tpm2_read_public(bst_buf_view(&a->signer), &signer))) {
        return no_form();
    }
    if ((signer.publicArea.objectAttributes & needed) != needed ||
        signer.publicArea.objectAttributes & TPMA_OBJECT_DECRYPT) {
        BST_FAIL(BST_E_BAD_KEY, "the attestation is signed by a key that could sign anything");
    }
    BST_TRY(signer_qualified(&signer.publicArea, &ret->qualified));
    BST_TRY(tpm2_spki(&signer.publicArea, &spki));
    return bst_pkey_load_public(bst_buf_view(&spki), &ret->pkey);
}

static bst_result check_object(const struct part *certified, const TPMT_PUBLIC *object)
{
    const TPM2B_NAME *said = &certified->attest.attested.certify.name;
    uint8_t name[TPM2_NAME_MAX];
    size_t len = 0;
    BST_TRY(tpm2_name(object, name, &len));
    if (!bst_view_eq(bst_view_of(said->name, said->size), bst_view_of(name, len))) {
        BST_FAIL(BST_E_BAD_MAC, "the attestation is about another key");
    }
    return BST_OK;
}

static const char *where_made(const TPMT_PUBLIC *object)
{
    const TPMA_OBJECT inside =
        TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN;
    return (object->objectAttributes & inside) == inside ? "made inside and cannot leave"
                                                         : "brought from outside";
}

static void say_pcrs(const struct part *quote, char out[80])
{
    const TPM2B_DIGEST *digest = &quote->attest.attested.quote.pcrDigest;
    bst_auto(buf) hex = {0};
    bst_hex_add(&hex, bst_view_of(digest->buffer, digest->size <= 32 ? digest->size : 32), false);
    snprintf(out, 80, "%.*s", BST_VIEW_ARGS(bst_buf_view(&hex)));
}

#define ACTIVATED_BYTES (sizeof BST_TPM2_ACTIVATED - 1)
#define CHALLENGED_AT (ACTIVATED_BYTES + TPM2_SECRET_BYTES)

static bool was_challenged(struct bst_view nonce)
{
    return nonce.len == CHALLENGED_AT + BST_SHA256_BYTES &&
           bst_view_starts(nonce, BST_VIEW(BST_TPM2_ACTIVATED));
}

/* Who opened a challenge can tell its secret to others, so the secret alone is not enough: signer
 * and certificate are those that were challenged. */
static bst_result check_challenged(const struct bst_se_attestation *a, struct bst_view nonce)
{
    uint8_t whose[BST_SHA256_BYTES];
    BST_TRY(tpm2_challenged(a, whose));
    if (!bst_equal_ct(whose, nonce.ptr + CHALLENGED_AT, sizeof whose)) {
        BST_FAIL(BST_E_BAD_MAC,
                 "the attestation has another signer or certificate than those challenged");
    }
    return BST_OK;
}

/* The level of an inside key is that of the TPM, as far as it was proved. */
static void judge_level(const struct bst_se_attestation *a, struct bst_view nonce,
                        struct bst_view roots, const TPMT_PUBLIC *object,
                        struct bst_se_attested *ret, char said[320])
{
    bst_auto(buf) spki = {0};
    bool inside = where_made(object)[0] == 'm';
    ret->level = 1;
    if (a->chain.len == 0) {
        snprintf(said, 320, "the TPM gave no EK certificate");
    } else if (roots.len == 0) {
        snprintf(said, 320, "no root was named to check the EK certificate against");
    } else if (!was_challenged(nonce)) {
        snprintf(said, 320, "that the signer is in the TPM of the EK certificate was not shown");
    } else {
        int level = 1;
        (void)tpm2_ek_judge(bst_buf_view(&a->chain), roots, 0, false, &spki, &level, said).code;
        ret->level = inside ? level : 1;
    }
}

static bst_result check_parts(const struct bst_se_attestation *a, const struct signer *signer,
                              const TPM2B_DATA *extra, const TPMT_PUBLIC *object, char pcrs[80])
{
    struct bst_view statement = bst_buf_view(&a->statement),
                    signature = bst_buf_view(&a->signature);
    struct part certified, quote;
    if (!take_part(&statement, &signature, &certified) ||
        !take_part(&statement, &signature, &quote) || statement.len || signature.len) {
        return no_form();
    }
    BST_TRY(check_part(&certified, signer, TPM2_ST_ATTEST_CERTIFY, extra));
    BST_TRY(check_object(&certified, object));
    BST_TRY(check_part(&quote, signer, TPM2_ST_ATTEST_QUOTE, extra));
    say_pcrs(&quote, pcrs);
    return BST_OK;
}

static bst_result verify_parts(const struct bst_se_attestation *a, struct bst_view nonce,
                               const TPMT_PUBLIC *object, char pcrs[80])
{
    struct signer signer = {.pkey = NULL};
    TPM2B_DATA extra = {.size = 0};
    if (was_challenged(nonce)) {
        BST_TRY(check_challenged(a, nonce));
        nonce.len = CHALLENGED_AT; /* the rest is not the TPM's to know */
    }
    BST_TRY(tpm2_nonce(nonce, &extra));
    BST_TRY(load_signer(a, &signer));
    bst_result checked = check_parts(a, &signer, &extra, object, pcrs);
    bst_pkey_free(&signer.pkey);
    return checked;
}

bst_result tpm2_attest_verify(const struct bst_se_attestation *a, struct bst_view nonce,
                              struct bst_view roots, struct bst_se_attested *ret)
{
    struct bst_se_attested attested = {.level = 1};
    TPM2B_PUBLIC object;
    char pcrs[80], said[320] = "";
    if (bst_failed(tpm2_read_public(bst_buf_view(&a->object), &object))) {
        return no_form();
    }
    BST_TRY(verify_parts(a, nonce, &object.publicArea, pcrs));
    judge_level(a, nonce, roots, &object.publicArea, &attested, said);
    snprintf(attested.evidence, sizeof attested.evidence,
             "a TPM says: the key was %s, PCRs %s; %.170s", where_made(&object.publicArea), pcrs,
             said);
    bst_result put = object.publicArea.type == TPM2_ALG_ECC
                         ? tpm2_spki(&object.publicArea, &attested.spki)
                         : BST_OK;
    if (bst_failed(put)) {
        bst_buf_clear(&attested.spki);
        return put;
    }
    *ret = attested;
    return BST_OK;
}
