/* What the protection level rests on: the endorsement key (EK), which the maker certifies.
 *
 * A certificate alone proves nothing, since anybody can copy it. The session of the connection is
 * salted for the public key in the certificate: only the TPM that has the private half can go on
 * with it, and every answer in the session is authenticated. So what makes our keys is that TPM. */
#include "crypto/endorse.h"
#include "se/tpm2/tpm2_priv.h"

#include <stdio.h>

#define ROOTS_MAX ((size_t)1 << 20)

/* Handles and templates of EKs [TCG EK Credential Profile, 2.2.1.4 and B.3]. */
static const struct {
    TPM2_HANDLE cert;
    TPMI_ALG_PUBLIC type;
} kinds[] = {
    {0x01c0000a, TPM2_ALG_ECC}, /* L-2: EC P-256 */
    {0x01c00002, TPM2_ALG_RSA}, /* L-1: RSA 2048 */
};
#define KINDS (sizeof kinds / sizeof kinds[0])

/* The policy of every such EK: the endorsement authorisation [B.2]. */
static const BYTE policy_a[32] = {
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
    0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
};

/* Makers whose TPMs are chips of their own; others are firmware of a processor, or may be [TCG
 * Vendor ID Registry]. */
static const struct {
    const char *id, *name;
} discrete[] = {
    {"id:49465800", "Infineon"}, {"id:53544D20", "STMicroelectronics"},
    {"id:4E544300", "Nuvoton"},  {"id:41544D4C", "Atmel"},
    {"id:4E545A00", "Nationz"},  {"id:53454345", "SecEdge"},
};

static const char *discrete_maker(const char *id)
{
    for (size_t i = 0; i < sizeof discrete / sizeof discrete[0]; i++) {
        if (strcmp(discrete[i].id, id) == 0) {
            return discrete[i].name;
        }
    }
    return NULL;
}

/* ---- judging ---- */

static bst_result judge(const struct bst_endorsement *e, bool test_root, int *ret_level,
                        char evidence[320])
{
    const char *maker = discrete_maker(e->maker);
    *ret_level = 2;
    if (test_root) {
        snprintf(
            evidence, 320,
            "2 (test root): its EK certificate is of '%s', which test-root= names; that proves "
            "nothing of any maker",
            e->issuer);
    } else if (maker && e->evaluated) {
        *ret_level = 3;
        snprintf(
            evidence, 320,
            "its EK certificate is of '%s', the EK answers, it is a chip of its own by %s, and "
            "the maker states its evaluation",
            e->issuer, maker);
    } else {
        snprintf(evidence, 320, "its EK certificate is of '%s' and the EK answers; not 3, since %s",
                 e->issuer,
                 maker ? "the certificate states no evaluation of the chip"
                       : "its maker is not known to make chips of their own");
    }
    return BST_OK;
}

bst_result tpm2_ek_judge(struct bst_view cert_der, struct bst_view roots, int64_t now_us,
                         bool test_root, struct bst_buf *ret_spki, int *ret_level,
                         char evidence[320])
{
    bst_auto(endorsement) e = {.evaluated = false};
    *ret_level = 1;
    bst_result verified = bst_endorsement_verify(cert_der, (struct bst_view){0}, roots, now_us, &e);
    if (bst_failed(verified)) {
        snprintf(evidence, 320, "no evidence: %s", bst_error_detail());
        return verified;
    }
    bst_buf_addv(ret_spki, bst_buf_view(&e.spki));
    BST_TRY(bst_buf_check(ret_spki));
    return judge(&e, test_root, ret_level, evidence);
}

/* ---- the certificate in the TPM ---- */

static TSS2_RC read_chunks(struct tpm2 *t, ESYS_TR nv, size_t len, struct bst_buf *ret)
{
    TSS2_RC rc = TSS2_RC_SUCCESS;
    size_t max = t->facts.nv_max && t->facts.nv_max < TPM2_MAX_NV_BUFFER_SIZE
                     ? t->facts.nv_max
                     : TPM2_MAX_NV_BUFFER_SIZE;
    for (size_t at = 0; rc == TSS2_RC_SUCCESS && at < len;) {
        TPM2B_MAX_NV_BUFFER *part = NULL;
        size_t want = len - at < max ? len - at : max;
        rc = Esys_NV_Read(t->esys, nv, nv, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                          (UINT16)want, (UINT16)at, &part);
        if (rc == TSS2_RC_SUCCESS) {
            bst_buf_add(ret, part->buffer, part->size);
            rc = part->size ? tpm2_own(t, bst_buf_check(ret)) : TPM2_RC_SIZE;
            at += part->size;
        }
        Esys_Free(part);
    }
    return rc;
}

/* A certificate may be in a larger place. */
static void trim(struct bst_buf *cert)
{
    const uint8_t *at = (const uint8_t *)cert->ptr;
    if (cert->len > 4 && at[0] == 0x30 && at[1] == 0x82) {
        size_t len = 4 + ((size_t)at[2] << 8 | at[3]);
        cert->len = len < cert->len ? len : cert->len;
    }
}

static TSS2_RC read_cert(struct tpm2 *t, TPM2_HANDLE index, struct bst_buf *ret)
{
    TPM2B_NV_PUBLIC *public = NULL;
    ESYS_TR nv = ESYS_TR_NONE;
    TSS2_RC rc =
        Esys_TR_FromTPMPublic(t->esys, index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &nv);
    rc = rc ? rc
            : Esys_NV_ReadPublic(t->esys, nv, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &public,
                                 NULL);
    if (rc == TSS2_RC_SUCCESS && public->nvPublic.dataSize > TPM2_CERT_MAX) {
        rc = TPM2_RC_SIZE;
    }
    rc = rc ? rc : read_chunks(t, nv, public->nvPublic.dataSize, ret);
    if (nv != ESYS_TR_NONE) {
        (void)Esys_TR_Close(t->esys, &nv);
    }
    Esys_Free(public);
    trim(ret);
    return rc;
}

/* ---- the key ---- */

static TPM2B_PUBLIC ek_template(TPMI_ALG_PUBLIC type)
{
    TPM2B_PUBLIC public = tpm2_storage_template();
    TPMT_PUBLIC *area = &public.publicArea;
    area->objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                             TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_ADMINWITHPOLICY |
                             TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT;
    area->authPolicy.size = sizeof policy_a;
    memcpy(area->authPolicy.buffer, policy_a, sizeof policy_a);
    area->unique.ecc.x.size = area->unique.ecc.y.size = 32;
    if (type == TPM2_ALG_RSA) {
        TPMT_SYM_DEF_OBJECT cipher = area->parameters.eccDetail.symmetric;
        area->type = TPM2_ALG_RSA;
        memset(&area->unique, 0, sizeof area->unique);
        area->unique.rsa.size = 256;
        area->parameters.rsaDetail =
            (TPMS_RSA_PARMS){.symmetric = cipher, .scheme.scheme = TPM2_ALG_NULL, .keyBits = 2048};
    }
    return public;
}

TSS2_RC tpm2_ek_make(struct tpm2 *t, TPMI_ALG_PUBLIC type, ESYS_TR *ret, struct bst_buf *ret_spki)
{
    const TPM2B_SENSITIVE_CREATE nothing = {.size = 0};
    const TPM2B_DATA no_data = {.size = 0};
    const TPML_PCR_SELECTION no_pcrs = {.count = 0};
    TPM2B_PUBLIC template = ek_template(type), *public = NULL;
    TSS2_RC rc = Esys_CreatePrimary(t->esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                    ESYS_TR_NONE, &nothing, &template, &no_data, &no_pcrs, ret,
                                    &public, NULL, NULL, NULL);
    rc = rc ? rc : tpm2_own(t, tpm2_spki(&public->publicArea, ret_spki));
    Esys_Free(public);
    return rc;
}

/* ---- the proof ---- */

static void no_evidence(struct tpm2 *t, const char *why)
{
    t->level = 1;
    snprintf(t->evidence, sizeof t->evidence, "no evidence: %s; it calls itself %s %s", why,
             t->facts.maker, t->facts.model);
}

/* Whatever the TPM refuses here leaves it without evidence; what ends the connection does not. */
static TSS2_RC refused(struct tpm2 *t, TSS2_RC rc, const char *what)
{
    if (rc == TSS2_RC_SUCCESS || tpm2_loss(rc) != TPM2_STILL_THERE) {
        return rc;
    }
    (void)tpm2_fail(t, rc, what).code;
    no_evidence(t, bst_error_detail());
    return TSS2_RC_SUCCESS;
}

static TSS2_RC prove_type(struct tpm2 *t, TPMI_ALG_PUBLIC type, struct bst_view roots,
                          struct bst_buf *cert, ESYS_TR *ret_session)
{
    bst_auto(buf) certified = {0}, made = {0};
    ESYS_TR ek = ESYS_TR_NONE;
    int level = 1;
    if (bst_failed(tpm2_ek_judge(bst_buf_view(cert), roots, t->host->wall_us(t->host->ctx),
                                 t->address.test_root, &certified, &level, t->evidence))) {
        t->level = 1;
        return TSS2_RC_SUCCESS;
    }
    TSS2_RC rc = tpm2_ek_make(t, type, &ek, &made);
    if (rc == TSS2_RC_SUCCESS && !bst_view_eq(bst_buf_view(&certified), bst_buf_view(&made))) {
        no_evidence(t, "its EK certificate is for another key");
    } else {
        rc = rc ? rc : tpm2_start_session(t, ek, TPM2_SE_HMAC, ret_session);
        t->level = level;
    }
    tpm2_flush(t, &ek);
    return refused(t, rc, "proving its endorsement key");
}

TSS2_RC tpm2_ek_cert(struct tpm2 *t, struct bst_buf *ret_der, TPMI_ALG_PUBLIC *ret_type)
{
    TSS2_RC rc = TPM2_RC_HANDLE;
    for (size_t i = 0; i < KINDS && tpm2_bare(rc) == TPM2_RC_HANDLE; i++) {
        rc = read_cert(t, kinds[i].cert, ret_der);
        *ret_type = kinds[i].type;
    }
    return rc;
}

static TSS2_RC prove_with(struct tpm2 *t, struct bst_view roots, ESYS_TR *ret_session)
{
    bst_auto(buf) cert = {0};
    TPMI_ALG_PUBLIC type;
    TSS2_RC rc = tpm2_ek_cert(t, &cert, &type);
    if (tpm2_bare(rc) == TPM2_RC_HANDLE) {
        no_evidence(t, "it holds no EK certificate");
        return TSS2_RC_SUCCESS;
    }
    return rc ? refused(t, rc, "reading its EK certificate")
              : prove_type(t, type, roots, &cert, ret_session);
}

TSS2_RC tpm2_prove(struct tpm2 *t, ESYS_TR *ret_session)
{
    bst_auto(buf) roots = {0};
    *ret_session = ESYS_TR_NONE;
    if (!t->address.roots[0]) {
        no_evidence(t, "no maker's root is named (ek-roots=) to check its EK certificate against");
        return TSS2_RC_SUCCESS;
    }
    TSS2_RC rc = tpm2_own(t, t->host->read(t->host->ctx, t->address.roots, ROOTS_MAX, &roots));
    return rc ? rc : prove_with(t, bst_buf_view(&roots), ret_session);
}
