/* Making keys in the TPM, and bringing them there.
 *
 * What the TPM computes with is an EC or HMAC key that never leaves. What has to come out again (a
 * key to be released to a handshake), or what only software can compute with (when fallback=soft
 * allows that), is a sealed value. */
#include "crypto/aead.h"
#include "crypto/pkey.h"
#include "crypto/rand.h"
#include "se/tpm2/tpm2_priv.h"

#define HMAC_BLOCK_BYTES 64

/* ---- templates ---- */

TPM2B_PUBLIC tpm2_storage_template(void)
{
    TPM2B_PUBLIC public = {.size = 0};
    TPMT_PUBLIC *area = &public.publicArea;
    area->type = TPM2_ALG_ECC;
    area->nameAlg = TPM2_ALG_SHA256;
    area->objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                             TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                             TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT;
    TPMS_ECC_PARMS *ec = &area->parameters.eccDetail;
    ec->symmetric.algorithm = TPM2_ALG_AES;
    ec->symmetric.keyBits.aes = 128;
    ec->symmetric.mode.aes = TPM2_ALG_CFB;
    ec->scheme.scheme = TPM2_ALG_NULL;
    ec->curveID = TPM2_ECC_NIST_P256;
    ec->kdf.scheme = TPM2_ALG_NULL;
    return public;
}

/* With a PCR policy only the policy authorises, and it asks for the authorisation value too. */
static TSS2_RC common_template(struct tpm2 *t, TPMI_ALG_PUBLIC type, TPM2B_PUBLIC *ret)
{
    *ret = (TPM2B_PUBLIC){.size = 0};
    ret->publicArea.type = type;
    ret->publicArea.nameAlg = TPM2_ALG_SHA256;
    ret->publicArea.objectAttributes =
        TPMA_OBJECT_NODA | (t->address.pcrs ? 0 : TPMA_OBJECT_USERWITHAUTH);
    return tpm2_policy_digest(t, &ret->publicArea.authPolicy);
}

static TSS2_RC pair_template(struct tpm2 *t, const struct bst_key_attrs *attrs, TPM2B_PUBLIC *ret)
{
    TSS2_RC rc = common_template(t, TPM2_ALG_ECC, ret);
    TPMS_ECC_PARMS *ec = &ret->publicArea.parameters.eccDetail;
    ret->publicArea.objectAttributes |=
        (attrs->uses & BST_KEY_USE_SIGN ? TPMA_OBJECT_SIGN_ENCRYPT : 0) |
        (attrs->uses & BST_KEY_USE_AGREE ? TPMA_OBJECT_DECRYPT : 0);
    if (!(attrs->uses & (BST_KEY_USE_SIGN | BST_KEY_USE_AGREE))) {
        ret->publicArea.objectAttributes |=
            TPMA_OBJECT_SIGN_ENCRYPT; /* a TPM makes no useless key */
    }
    ec->symmetric.algorithm = TPM2_ALG_NULL;
    ec->scheme.scheme = TPM2_ALG_NULL;
    ec->curveID = tpm2_curve(attrs->type);
    ec->kdf.scheme = TPM2_ALG_NULL;
    return rc;
}

static TSS2_RC hash_template(struct tpm2 *t, bool hmac, TPM2B_PUBLIC *ret)
{
    TSS2_RC rc = common_template(t, TPM2_ALG_KEYEDHASH, ret);
    TPMT_KEYEDHASH_SCHEME *scheme = &ret->publicArea.parameters.keyedHashDetail.scheme;
    scheme->scheme = hmac ? TPM2_ALG_HMAC : TPM2_ALG_NULL;
    if (hmac) {
        scheme->details.hmac.hashAlg = TPM2_ALG_SHA256;
        ret->publicArea.objectAttributes |= TPMA_OBJECT_SIGN_ENCRYPT;
    }
    return rc;
}

/* ---- one making ---- */

struct making {
    const struct bst_key_attrs *attrs;
    const struct bst_secret
        *bytes;             /* of a KEYEDHASH object, or a scalar; NULL: the TPM makes them */
    TPMS_ECC_POINT point;   /* of a pair that is brought */
    const TPM2B_AUTH *auth; /* NULL: that of all keys */
    enum tpm2_form form;
    bool guarded; /* wrong authorisation values count */
    struct bst_tpm2_blobs *ret;
};

void bst_tpm2_blobs_clear(struct bst_tpm2_blobs *blobs)
{
    bst_buf_clear(&blobs->pub);
    bst_buf_clear(&blobs->priv);
}

static TSS2_RC keep_blobs(struct tpm2 *t, const TPM2B_PUBLIC *pub, const TPM2B_PRIVATE *priv,
                          struct bst_tpm2_blobs *ret)
{
    uint8_t bytes[sizeof *pub + sizeof *priv];
    size_t pub_len = 0, priv_len = 0;
    TSS2_RC rc = Tss2_MU_TPM2B_PUBLIC_Marshal(pub, bytes, sizeof bytes, &pub_len);
    ret->pub.len = ret->priv.len = 0;
    bst_buf_add(&ret->pub, bytes, rc ? 0 : pub_len);
    rc = rc ? rc : Tss2_MU_TPM2B_PRIVATE_Marshal(priv, bytes, sizeof bytes, &priv_len);
    bst_buf_add(&ret->priv, bytes, rc ? 0 : priv_len);
    rc = rc ? rc : tpm2_own(t, bst_buf_check(&ret->pub));
    return rc ? rc : tpm2_own(t, bst_buf_check(&ret->priv));
}

static void put_auth(const struct tpm2 *t, const struct making *m, TPM2B_AUTH *ret)
{
    if (m->auth) {
        *ret = *m->auth;
    } else {
        ret->size = (UINT16)t->auth.len;
        memcpy(ret->buffer, t->auth.ptr, t->auth.len);
    }
}

static TSS2_RC template_of(struct tpm2 *t, const struct making *m, TPM2B_PUBLIC *ret)
{
    bool pair = m->attrs && bst_key_is_pair(m->attrs->type) && m->form == TPM2_FORM_KEY;
    TSS2_RC rc =
        pair ? pair_template(t, m->attrs, ret) : hash_template(t, m->form == TPM2_FORM_KEY, ret);
    if (m->guarded) {
        ret->publicArea.objectAttributes &= ~TPMA_OBJECT_NODA;
    }
    return rc;
}

static TSS2_RC create_call(struct tpm2 *t, void *arg)
{
    struct making *m = arg;
    const TPM2B_DATA no_data = {.size = 0};
    const TPML_PCR_SELECTION no_pcrs = {.count = 0};
    TPM2B_SENSITIVE_CREATE sensitive = {.size = 0};
    TPM2B_PUBLIC template, *pub = NULL;
    TPM2B_PRIVATE *priv = NULL;
    ESYS_TR session;
    TSS2_RC rc = template_of(t, m, &template);
    template.publicArea.objectAttributes |= TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT;
    put_auth(t, m, &sensitive.sensitive.userAuth);
    if (m->bytes) {
        sensitive.sensitive.data.size = (UINT16)m->bytes->len;
        memcpy(sensitive.sensitive.data.buffer, m->bytes->ptr, m->bytes->len);
    } else {
        template.publicArea.objectAttributes |= TPMA_OBJECT_SENSITIVEDATAORIGIN;
    }
    rc = rc ? rc : tpm2_session(t, TPM2_HIDE_IN, &session);
    rc = rc ? rc
            : Esys_Create(t->esys, t->parent, session, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive,
                          &template, &no_data, &no_pcrs, &priv, &pub, NULL, NULL, NULL);
    bst_wipe(&sensitive, sizeof sensitive);
    rc = rc ? rc : keep_blobs(t, pub, priv, m->ret);
    Esys_Free(pub);
    Esys_Free(priv);
    return rc;
}

/* A TPM takes a pair in by TPM2_Import. Its bytes were outside before, and its level is 1, so that
 * nothing is lost by letting them travel to the TPM unwrapped. */
static TSS2_RC duplicate_of(const struct tpm2 *t, const struct making *m, TPM2B_PRIVATE *ret)
{
    TPM2B_SENSITIVE sensitive = {.size = 0};
    size_t len = 0;
    sensitive.sensitiveArea.sensitiveType = TPM2_ALG_ECC;
    put_auth(t, m, &sensitive.sensitiveArea.authValue);
    sensitive.sensitiveArea.sensitive.ecc.size = (UINT16)m->bytes->len;
    memcpy(sensitive.sensitiveArea.sensitive.ecc.buffer, m->bytes->ptr, m->bytes->len);
    TSS2_RC rc = Tss2_MU_TPM2B_SENSITIVE_Marshal(&sensitive, ret->buffer, sizeof ret->buffer, &len);
    ret->size = (UINT16)len;
    bst_wipe(&sensitive, sizeof sensitive);
    return rc;
}

static TSS2_RC import_call(struct tpm2 *t, void *arg)
{
    struct making *m = arg;
    const TPM2B_DATA no_key = {.size = 0};
    const TPM2B_ENCRYPTED_SECRET no_seed = {.size = 0};
    const TPMT_SYM_DEF_OBJECT no_cipher = {.algorithm = TPM2_ALG_NULL};
    TPM2B_PUBLIC template;
    TPM2B_PRIVATE duplicate = {.size = 0}, *priv = NULL;
    ESYS_TR session;
    TSS2_RC rc = template_of(t, m, &template);
    template.publicArea.unique.ecc = m->point;
    rc = rc ? rc : duplicate_of(t, m, &duplicate);
    rc = rc ? rc : tpm2_session(t, 0, &session);
    rc = rc ? rc
            : Esys_Import(t->esys, t->parent, session, ESYS_TR_NONE, ESYS_TR_NONE, &no_key,
                          &template, &duplicate, &no_seed, &no_cipher, &priv);
    bst_wipe(&duplicate, sizeof duplicate);
    rc = rc ? rc : keep_blobs(t, &template, priv, m->ret);
    Esys_Free(priv);
    return rc;
}

bst_result tpm2_seal_bytes(struct tpm2 *t, const struct bst_secret *bytes, const TPM2B_AUTH *auth,
                           bool guarded, struct bst_tpm2_blobs *ret)
{
    struct making m = {
        .bytes = bytes, .auth = auth, .form = TPM2_FORM_VALUE, .guarded = guarded, .ret = ret};
    return tpm2_run(t, create_call, &m, "sealing a value");
}

/* ---- what it can ---- */

static bst_result cannot(const struct tpm2 *t, const char *what)
{
    BST_FAIL(BST_E_SE_MECHANISM, "TPM '%s' cannot %s%s", t->address.tcti, what,
             t->address.fallback ? ""
                                 : "; with fallback=soft in its address software does it, at "
                                   "protection level 1");
}

static bst_result able(const struct tpm2 *t, const struct bst_key_attrs *attrs)
{
    static const struct {
        uint32_t use;
        const char *what;
    } never[] = {
        {BST_KEY_USE_SEAL, "seal with AES-256-GCM"},
        {BST_KEY_USE_ROUTINE, "run algorithms of ours over its keys"},
        {BST_KEY_USE_KEK, "wrap keys with AES-256 (RFC 5649)"},
        {BST_KEY_USE_WRAP, "give out a key wrapped with AES-256 (RFC 5649)"},
    };
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        if (attrs->uses & never[i].use) {
            return cannot(t, never[i].what);
        }
    }
    switch (attrs->type) {
    case BST_KEY_SYMMETRIC:
    case BST_KEY_EC_P256:
    case BST_KEY_DATA:
        return BST_OK;
    case BST_KEY_EC_P384:
        return t->facts.p384 ? BST_OK : cannot(t, "use EC P-384");
    case BST_KEY_ED25519:
        return cannot(t, "use Ed25519");
    case BST_KEY_X25519:
        return cannot(t, "use X25519");
    }
    return cannot(t, "use such a key");
}

/* ---- values ---- */

static bst_result random_secret(size_t len, struct bst_secret *ret)
{
    bst_auto(secret) bytes = {0};
    BST_TRY(bst_secret_init(&bytes, len));
    BST_TRY(bst_random(bytes.ptr, bytes.len));
    *ret = bytes;
    bytes = (struct bst_secret){0};
    return BST_OK;
}

static bst_result check_symmetric(const struct bst_key_attrs *attrs, const struct bst_secret *value)
{
    size_t max = bst_key_value_max(attrs);
    if (value->len > max) {
        BST_FAIL(BST_E_TOO_LONG, "key '%s' has %zu bytes, %zu at most are possible", attrs->label,
                 value->len, max);
    }
    if ((attrs->uses & (BST_KEY_USE_SEAL | BST_KEY_USE_KEK)) &&
        value->len != TPM2_SYMMETRIC_BYTES) {
        BST_FAIL(BST_E_BAD_KEY, "key '%s' is for sealing or wrapping and must have %d bytes",
                 attrs->label, TPM2_SYMMETRIC_BYTES);
    }
    return BST_OK;
}

/* The bytes that will be sealed: of a pair DER PKCS#8. */
static bst_result value_bytes(const struct bst_key_attrs *attrs, const struct bst_secret *value,
                              struct bst_secret *ret)
{
    bst_auto_pkey *pkey = NULL;
    if (bst_key_is_pair(attrs->type)) {
        BST_TRY(value ? bst_se_pair_load(attrs, value, &pkey)
                      : bst_se_pair_generate(attrs->type, &pkey));
        return bst_pkey_private(pkey, ret);
    }
    if (!value) {
        return random_secret(TPM2_SYMMETRIC_BYTES, ret);
    }
    BST_TRY(check_symmetric(attrs, value));
    return bst_secret_copy(ret, value->ptr, value->len);
}

static bst_result new_object(const struct making *m, struct bst_view extra, bool inside,
                             struct tpm2_object **ret)
{
    BST_TRY(tpm2_object_new(m->attrs, bst_buf_view(&m->ret->pub), bst_buf_view(&m->ret->priv),
                            extra, ret));
    (*ret)->form = m->form;
    (*ret)->inside = inside;
    if (!inside) {
        (*ret)->base.attrs.level = 1; /* its bytes were in this program, or may come here */
    }
    return BST_OK;
}

/* `bytes` are borrowed for the call only. */
static bst_result run_with(struct tpm2 *t, struct making *m, TSS2_RC (*call)(struct tpm2 *, void *),
                           const struct bst_secret *bytes, const char *what)
{
    m->bytes = bytes;
    bst_result made = tpm2_run(t, call, m, what);
    m->bytes = NULL;
    return made;
}

/* A value longer than a TPM seals is under a key that it seals. */
static bst_result make_value(struct tpm2 *t, struct making *m, const struct bst_secret *value,
                             struct tpm2_object **ret)
{
    bst_auto(secret) bytes = {0}, key = {0};
    bst_auto(buf) extra = {0};
    BST_TRY(value_bytes(m->attrs, value, &bytes));
    m->form = TPM2_FORM_VALUE;
    if (bytes.len > TPM2_SEALED_MAX) {
        BST_TRY(random_secret(BST_AEAD_KEY_BYTES, &key));
        BST_TRY(bst_aead_seal(bst_view_of(key.ptr, key.len), BST_VIEW("bastide tpm2 value"),
                              bst_view_of(bytes.ptr, bytes.len), &extra));
    }
    BST_TRY(run_with(t, m, create_call, key.len ? &key : &bytes, "sealing a key"));
    return new_object(m, bst_buf_view(&extra), false, ret);
}

static bst_result bring_pair(struct tpm2 *t, struct making *m, const struct bst_secret *value,
                             struct tpm2_object **ret)
{
    bst_auto_pkey *pkey = NULL;
    bst_auto(secret) scalar = {0};
    bst_auto(buf) spki = {0};
    BST_TRY(bst_se_pair_load(m->attrs, value, &pkey));
    BST_TRY(bst_pkey_scalar(pkey, &scalar));
    BST_TRY(bst_pkey_spki(pkey, &spki));
    BST_TRY(tpm2_point(m->attrs->type, bst_buf_view(&spki), &m->point));
    BST_TRY(run_with(t, m, import_call, &scalar, "importing a key"));
    return new_object(m, (struct bst_view){0}, false, ret);
}

/* [RFC 2104, 2] a key longer than a block counts as its hash, which is all that a TPM takes. */
static bst_result bring_hmac(struct tpm2 *t, struct making *m, const struct bst_secret *value,
                             struct tpm2_object **ret)
{
    bst_auto(secret) bytes = {0};
    BST_TRY(check_symmetric(m->attrs, value));
    if (value->len <= HMAC_BLOCK_BYTES) {
        BST_TRY(bst_secret_copy(&bytes, value->ptr, value->len));
    } else {
        BST_TRY(bst_secret_init(&bytes, BST_SHA256_BYTES));
        BST_TRY(bst_sha256(bst_view_of(value->ptr, value->len), bytes.ptr));
    }
    BST_TRY(run_with(t, m, create_call, &bytes, "importing a key"));
    return new_object(m, (struct bst_view){0}, false, ret);
}

bst_result tpm2_make(struct tpm2 *t, const struct bst_key_attrs *attrs,
                     const struct bst_secret *value, struct tpm2_object **ret)
{
    bst_auto(tpm2_blobs) blobs = {0};
    struct making m = {.attrs = attrs, .form = TPM2_FORM_KEY, .ret = &blobs};
    bst_result can = able(t, attrs);
    bool soft = can.code == BST_E_SE_MECHANISM && t->address.fallback;
    if (soft || (!bst_failed(can) && (attrs->uses & (BST_KEY_USE_PSK | BST_KEY_USE_READ)))) {
        return make_value(t, &m, value, ret);
    }
    BST_TRY(can);
    if (!value) {
        BST_TRY(tpm2_run(t, create_call, &m, "making a key"));
        return new_object(&m, (struct bst_view){0}, true, ret);
    }
    return attrs->type == BST_KEY_SYMMETRIC ? bring_hmac(t, &m, value, ret)
                                            : bring_pair(t, &m, value, ret);
}
