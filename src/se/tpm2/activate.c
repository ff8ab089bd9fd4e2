/* Activation of a credential: made without a TPM, opened only by the TPM of an EK.
 *
 * challenge: "BSTTPMC1" || TPM2B_ID_OBJECT || TPM2B_ENCRYPTED_SECRET, as TPM2_MakeCredential has
 * them [TPM 2.0 Library, Part 1, 24]. */
#include "crypto/cipher.h"
#include "crypto/endorse.h"
#include "crypto/pkey.h"
#include "crypto/rand.h"
#include "se/tpm2/tpm2.h"
#include "se/tpm2/tpm2_priv.h"

#define MAGIC "BSTTPMC1"
#define MAGIC_BYTES 8
#define SECRET_BYTES TPM2_SECRET_BYTES
#define COORDINATE_BYTES 32
#define PLAIN_BYTES (2 + SECRET_BYTES) /* TPM2B_DIGEST */

bool tpm2_is_challenge(struct bst_view nonce)
{
    return bst_view_starts(nonce, bst_view_of(MAGIC, MAGIC_BYTES));
}

/* ---- making ---- */

/* [Part 1, 11.4.10.2] KDFa, one block: HMAC(key, 1 || label || 0 || context || bits). */
static bst_result kdfa(struct bst_view key, const char *label, struct bst_view context,
                       unsigned bits, uint8_t out[BST_SHA256_BYTES])
{
    const uint8_t counter[] = {0, 0, 0, 1};
    const uint8_t size[] = {0, 0, (uint8_t)(bits >> 8), (uint8_t)bits};
    const struct bst_view parts[] = {bst_view_of(counter, 4), bst_view_of(label, strlen(label) + 1),
                                     context, bst_view_of(size, 4)};
    return bst_hmac_sha256(key, parts, 4, out);
}

/* [Part 1, 11.4.10.3] KDFe: H(1 || Z || label || 0 || x of the ephemeral key || x of the EK). */
static bst_result kdfe(const struct bst_secret *z, struct bst_view ephemeral, struct bst_view ek,
                       uint8_t out[BST_SHA256_BYTES])
{
    const uint8_t counter[] = {0, 0, 0, 1};
    const struct bst_view parts[] = {bst_view_of(counter, 4), bst_view_of(z->ptr, z->len),
                                     bst_view_of("IDENTITY", 9), ephemeral, ek};
    return bst_digest(BST_MD_SHA256, parts, 5, out);
}

/* AES-128 in CFB mode from a zero IV. */
static bst_result cfb(struct bst_view key, const uint8_t *in, size_t len, uint8_t *out)
{
    uint8_t block[BST_AES_BLOCK_BYTES] = {0};
    bst_auto(aes) aes = {0};
    BST_TRY(bst_aes_init(&aes, key));
    for (size_t at = 0; at < len; at += sizeof block) {
        BST_TRY(bst_aes_blocks(&aes, block, block, 1));
        for (size_t i = 0; i < sizeof block && at + i < len; i++) {
            block[i] = out[at + i] = in[at + i] ^ block[i];
        }
    }
    return BST_OK;
}

/* The secret under the seed, for the name of one signer only. */
static bst_result put_credential(const uint8_t seed[BST_SHA256_BYTES], struct bst_view name,
                                 const uint8_t secret[SECRET_BYTES], struct bst_buf *ret)
{
    uint8_t plain[PLAIN_BYTES] = {0, SECRET_BYTES}, hidden[PLAIN_BYTES];
    uint8_t cipher_key[BST_SHA256_BYTES], mac_key[BST_SHA256_BYTES], mac[BST_SHA256_BYTES];
    struct bst_view from = bst_view_of(seed, BST_SHA256_BYTES);
    memcpy(plain + 2, secret, SECRET_BYTES);
    BST_TRY(kdfa(from, "STORAGE", name, 128, cipher_key));
    BST_TRY(kdfa(from, "INTEGRITY", (struct bst_view){0}, 256, mac_key));
    BST_TRY(cfb(bst_view_of(cipher_key, BST_AES128_KEY_BYTES), plain, sizeof plain, hidden));
    const struct bst_view parts[] = {bst_view_of(hidden, sizeof hidden), name};
    BST_TRY(bst_hmac_sha256(bst_view_of(mac_key, sizeof mac_key), parts, 2, mac));
    bst_wipe(plain, sizeof plain);
    bst_soft_put(ret, 2 + sizeof mac + sizeof hidden, 2);
    bst_soft_put(ret, sizeof mac, 2);
    bst_buf_add(ret, mac, sizeof mac);
    bst_buf_add(ret, hidden, sizeof hidden);
    return bst_buf_check(ret);
}

static struct bst_view x_of(const TPMS_ECC_POINT *point)
{
    return bst_view_of(point->x.buffer, point->x.size);
}

/* The seed, by ECDH with the EK; the ephemeral point goes along. */
static bst_result put_seed(struct bst_view ek_spki, const TPMS_ECC_POINT *ek,
                           uint8_t seed[BST_SHA256_BYTES], struct bst_buf *ret)
{
    bst_auto_pkey *ephemeral = NULL;
    bst_auto(buf) spki = {0};
    bst_auto(secret) z = {0};
    TPMS_ECC_POINT point = {.x.size = 0};
    BST_TRY(bst_pkey_generate(BST_PKEY_EC_P256, &ephemeral));
    BST_TRY(bst_pkey_spki(ephemeral, &spki));
    BST_TRY(tpm2_point(BST_KEY_EC_P256, bst_buf_view(&spki), &point));
    BST_TRY(bst_pkey_agree(ephemeral, ek_spki, &z));
    BST_TRY(kdfe(&z, x_of(&point), x_of(ek), seed));
    bst_soft_put(ret, 2 * (2 + COORDINATE_BYTES), 2);
    bst_soft_put(ret, COORDINATE_BYTES, 2);
    bst_buf_add(ret, point.x.buffer, COORDINATE_BYTES);
    bst_soft_put(ret, COORDINATE_BYTES, 2);
    bst_buf_add(ret, point.y.buffer, COORDINATE_BYTES);
    return bst_buf_check(ret);
}

static bst_result signer_name(const struct bst_se_attestation *first, uint8_t name[TPM2_NAME_MAX],
                              size_t *ret_len)
{
    TPM2B_PUBLIC signer;
    BST_TRY(tpm2_read_public(bst_buf_view(&first->signer), &signer));
    return tpm2_name(&signer.publicArea, name, ret_len);
}

bst_result tpm2_challenged(const struct bst_se_attestation *a, uint8_t out[BST_SHA256_BYTES])
{
    bst_auto(buf) head = {0};
    bst_soft_put(&head, a->signer.len, 4);
    BST_TRY(bst_buf_check(&head));
    const struct bst_view parts[] = {bst_buf_view(&head), bst_buf_view(&a->signer),
                                     bst_buf_view(&a->chain)};
    return bst_digest(BST_MD_SHA256, parts, 3, out);
}

bst_result bst_tpm2_challenge(const struct bst_se_attestation *first, struct bst_view roots,
                              struct bst_buf *ret_challenge, struct bst_buf *ret_nonce)
{
    bst_auto(endorsement) ek = {.evaluated = false};
    bst_auto(buf) seed_point = {0};
    uint8_t name[TPM2_NAME_MAX], secret[SECRET_BYTES], seed[BST_SHA256_BYTES];
    uint8_t whose[BST_SHA256_BYTES];
    size_t name_len = 0;
    TPMS_ECC_POINT point = {.x.size = 0};
    if (first->chain.len == 0) {
        BST_FAIL(BST_E_SE_MECHANISM, "the TPM gave no EK certificate");
    }
    BST_TRY(
        bst_endorsement_verify(bst_buf_view(&first->chain), (struct bst_view){0}, roots, 0, &ek));
    if (bst_failed(tpm2_point(BST_KEY_EC_P256, bst_buf_view(&ek.spki), &point))) {
        BST_FAIL(BST_E_SE_MECHANISM, "the EK is not EC P-256; others are not challenged here");
    }
    BST_TRY(signer_name(first, name, &name_len));
    BST_TRY(tpm2_challenged(first, whose));
    BST_TRY(bst_random(secret, sizeof secret));
    BST_TRY(put_seed(bst_buf_view(&ek.spki), &point, seed, &seed_point));
    bst_buf_add(ret_challenge, MAGIC, MAGIC_BYTES);
    BST_TRY(put_credential(seed, bst_view_of(name, name_len), secret, ret_challenge));
    bst_buf_addv(ret_challenge, bst_buf_view(&seed_point));
    bst_buf_adds(ret_nonce, BST_TPM2_ACTIVATED);
    bst_buf_add(ret_nonce, secret, sizeof secret);
    bst_buf_add(ret_nonce, whose, sizeof whose);
    bst_wipe(secret, sizeof secret);
    bst_wipe(seed, sizeof seed);
    BST_TRY(bst_buf_check(ret_challenge));
    return bst_buf_check(ret_nonce);
}

/* ---- opening ---- */

struct activating {
    TPM2B_ID_OBJECT credential;
    TPM2B_ENCRYPTED_SECRET seed;
    struct bst_buf *ret;
};

static bst_result read_challenge(struct bst_view in, struct activating *ret)
{
    struct bst_view credential, seed;
    in = bst_view_from(in, MAGIC_BYTES);
    if (!bst_soft_take_view(&in, 2, &credential) || !bst_soft_take_view(&in, 2, &seed) || in.len ||
        credential.len > sizeof ret->credential.credential || seed.len > sizeof ret->seed.secret) {
        BST_FAIL(BST_E_SYNTAX, "the challenge is damaged");
    }
    ret->credential.size = (UINT16)credential.len;
    memcpy(ret->credential.credential, credential.ptr, credential.len);
    ret->seed.size = (UINT16)seed.len;
    memcpy(ret->seed.secret, seed.ptr, seed.len);
    return BST_OK;
}

/* The EK is used by who has the authorisation of the endorsement hierarchy. */
static TSS2_RC ek_session(struct tpm2 *t, ESYS_TR *ret)
{
    const TPM2B_NONCE no_nonce = {.size = 0};
    const TPM2B_DIGEST no_hash = {.size = 0};
    TSS2_RC rc = tpm2_start_session(t, ESYS_TR_NONE, TPM2_SE_POLICY, ret);
    return rc ? rc
              : Esys_PolicySecret(t->esys, ESYS_TR_RH_ENDORSEMENT, *ret, ESYS_TR_PASSWORD,
                                  ESYS_TR_NONE, ESYS_TR_NONE, &no_nonce, &no_hash, &no_nonce, 0,
                                  NULL, NULL);
}

static TSS2_RC activate_call(struct tpm2 *t, void *arg)
{
    struct activating *a = arg;
    bst_auto(buf) public = {0}, spki = {0};
    ESYS_TR ak = ESYS_TR_NONE, ek = ESYS_TR_NONE, session = ESYS_TR_NONE;
    TPM2B_DIGEST *secret = NULL;
    TSS2_RC rc = tpm2_ak_make(t, &ak, &public);
    rc = rc ? rc : tpm2_ek_make(t, TPM2_ALG_ECC, &ek, &spki);
    rc = rc ? rc : ek_session(t, &session);
    rc = rc ? rc
            : Esys_ActivateCredential(t->esys, ak, ek, ESYS_TR_PASSWORD, session, ESYS_TR_NONE,
                                      &a->credential, &a->seed, &secret);
    if (rc == TSS2_RC_SUCCESS) {
        a->ret->len = 0;
        bst_buf_adds(a->ret, BST_TPM2_ACTIVATED);
        bst_buf_add(a->ret, secret->buffer, secret->size);
        rc = tpm2_own(t, bst_buf_check(a->ret));
        session = ESYS_TR_NONE; /* it ended with its use */
    }
    Esys_Free(secret);
    tpm2_flush(t, &session);
    tpm2_flush(t, &ek);
    tpm2_flush(t, &ak);
    return rc;
}

bst_result tpm2_activate(struct tpm2 *t, struct bst_view challenge, struct bst_buf *ret_nonce)
{
    struct activating a = {.ret = ret_nonce};
    BST_TRY(read_challenge(challenge, &a));
    bst_result opened = tpm2_run(t, activate_call, &a, "opening a challenge");
    if (opened.code == BST_E_CORRUPT || opened.code == BST_E_VALUE) {
        BST_FAIL(BST_E_BAD_MAC, "the challenge is for another TPM, or for another signer");
    }
    return opened;
}
