/* Attestation inside the TPM: the attestation key (AK) certifies a key and quotes the PCRs. */
#include "se/tpm2/tpm2_priv.h"

#include <stdio.h>

#define USUAL_PCRS UINT32_C(0xff) /* firmware, its settings, boot loader */

static TPM2B_PUBLIC ak_template(void)
{
    TPM2B_PUBLIC public = tpm2_storage_template();
    TPMS_ECC_PARMS *ec = &public.publicArea.parameters.eccDetail;
    public.publicArea.objectAttributes ^= TPMA_OBJECT_DECRYPT | TPMA_OBJECT_SIGN_ENCRYPT;
    ec->symmetric = (TPMT_SYM_DEF_OBJECT){.algorithm = TPM2_ALG_NULL};
    ec->scheme.scheme = TPM2_ALG_ECDSA;
    ec->scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA256;
    return public;
}

static TSS2_RC put_public(struct tpm2 *t, const TPM2B_PUBLIC *public, struct bst_buf *ret)
{
    uint8_t bytes[sizeof *public];
    size_t len = 0;
    TSS2_RC rc = Tss2_MU_TPM2B_PUBLIC_Marshal(public, bytes, sizeof bytes, &len);
    ret->len = 0;
    bst_buf_add(ret, bytes, len);
    return rc ? rc : tpm2_own(t, bst_buf_check(ret));
}

TSS2_RC tpm2_ak_make(struct tpm2 *t, ESYS_TR *ret, struct bst_buf *ret_public)
{
    const TPM2B_SENSITIVE_CREATE nothing = {.size = 0};
    const TPM2B_DATA no_data = {.size = 0};
    const TPML_PCR_SELECTION no_pcrs = {.count = 0};
    TPM2B_PUBLIC template = ak_template(), *public = NULL;
    ESYS_TR session;
    TSS2_RC rc = tpm2_owner_auth(t);
    rc = rc ? rc : tpm2_session(t, 0, &session);
    rc = rc ? rc
            : Esys_CreatePrimary(t->esys, ESYS_TR_RH_OWNER, session, ESYS_TR_NONE, ESYS_TR_NONE,
                                 &nothing, &template, &no_data, &no_pcrs, ret, &public, NULL, NULL,
                                 NULL);
    rc = rc ? rc : put_public(t, public, ret_public);
    Esys_Free(public);
    return rc;
}

struct attesting {
    struct tpm2_object *object;
    TPM2B_DATA nonce;
    struct bst_se_attestation *ret;
};

static TSS2_RC keep(struct tpm2 *t, const TPM2B_ATTEST *attest, const TPMT_SIGNATURE *signature,
                    struct bst_se_attestation *ret)
{
    uint8_t bytes[sizeof *signature];
    size_t len = 0;
    bst_soft_put(&ret->statement, attest->size, 2);
    bst_buf_add(&ret->statement, attest->attestationData, attest->size);
    TSS2_RC rc = Tss2_MU_TPMT_SIGNATURE_Marshal(signature, bytes, sizeof bytes, &len);
    bst_buf_add(&ret->signature, bytes, len);
    rc = rc ? rc : tpm2_own(t, bst_buf_check(&ret->statement));
    return rc ? rc : tpm2_own(t, bst_buf_check(&ret->signature));
}

/* To certify a key is its administrator's right, which its authorisation value gives, whatever its
 * policy for use. */
static TSS2_RC certify(struct tpm2 *t, struct attesting *a, ESYS_TR ak)
{
    const TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_NULL};
    TPM2B_ATTEST *attest = NULL;
    TPMT_SIGNATURE *signature = NULL;
    ESYS_TR key, session;
    TSS2_RC rc = tpm2_load(t, a->object, &key);
    rc = rc ? rc : tpm2_session(t, 0, &session);
    rc = rc ? rc
            : Esys_Certify(t->esys, key, ak, session, ESYS_TR_PASSWORD, ESYS_TR_NONE, &a->nonce,
                           &scheme, &attest, &signature);
    rc = rc ? rc : keep(t, attest, signature, a->ret);
    Esys_Free(attest);
    Esys_Free(signature);
    return rc;
}

static TSS2_RC quote(struct tpm2 *t, struct attesting *a, ESYS_TR ak)
{
    const TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_NULL};
    TPML_PCR_SELECTION pcrs = tpm2_pcr_selection(t->address.pcrs ? t->address.pcrs : USUAL_PCRS);
    TPM2B_ATTEST *attest = NULL;
    TPMT_SIGNATURE *signature = NULL;
    ESYS_TR session;
    TSS2_RC rc = tpm2_session(t, 0, &session);
    rc = rc ? rc
            : Esys_Quote(t->esys, ak, session, ESYS_TR_NONE, ESYS_TR_NONE, &a->nonce, &scheme,
                         &pcrs, &attest, &signature);
    rc = rc ? rc : keep(t, attest, signature, a->ret);
    Esys_Free(attest);
    Esys_Free(signature);
    return rc;
}

static TSS2_RC attest_call(struct tpm2 *t, void *arg)
{
    struct attesting *a = arg;
    ESYS_TR ak = ESYS_TR_NONE;
    TPMI_ALG_PUBLIC type;
    a->ret->statement.len = a->ret->signature.len = a->ret->chain.len = 0;
    TSS2_RC rc = tpm2_ek_cert(t, &a->ret->chain, &type);
    rc = tpm2_bare(rc) == TPM2_RC_HANDLE ? TSS2_RC_SUCCESS : rc; /* it has none */
    rc = rc ? rc : tpm2_ak_make(t, &ak, &a->ret->signer);
    rc = rc ? rc : certify(t, a, ak);
    rc = rc ? rc : quote(t, a, ak);
    tpm2_flush(t, &ak);
    return rc;
}

bst_result tpm2_attest(struct bst_se_backend *backend, struct bst_se_object *object,
                       struct bst_view nonce, struct bst_se_attestation *ret)
{
    struct tpm2 *t = tpm2_of(backend);
    bst_auto(buf) opened = {0};
    bst_auto(se_attestation) attestation = {.kind = "tpm2"};
    struct attesting attesting = {.object = tpm2_object_of(object), .ret = &attestation};
    if (tpm2_is_challenge(nonce)) {
        BST_TRY(tpm2_activate(t, nonce, &opened));
        nonce = bst_buf_view(&opened);
    }
    BST_TRY(tpm2_nonce(nonce, &attesting.nonce));
    BST_TRY(tpm2_run(t, attest_call, &attesting, "attesting a key"));
    bst_buf_addv(&attestation.object, attesting.object->pub);
    BST_TRY(bst_buf_check(&attestation.object));
    *ret = attestation;
    attestation = (struct bst_se_attestation){.kind = ""};
    return BST_OK;
}
