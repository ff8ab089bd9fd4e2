/* Operations a second of secure environments, each in turns with the same operation without
 * Bastide: OpenSSL for software, calls into the bare module for tokens, bare ESAPI commands for a
 * TPM. A software TPM has one client: the bare commands go to another one.
 *
 * usage: bench_se ROUNDS FOLDER [MODULE TOKEN PIN-FILE] [TPM-ADDRESS TCTI-OF-ANOTHER-TPM]
 * prints  BACKEND | OPERATION | RATE/s | REFERENCE RATE/s | RATIO */
#include "perf.h"

#include "crypto/pkey.h"
#include "se/se.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <time.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_tctildr.h>

#define TURN_NS INT64_C(60000000)
#define TEXT_BYTES 1024

enum { SIGN, MAC, SEAL, RELEASE, GENERATE, OPERATIONS };
static const char *const names[OPERATIONS] = {
    [SIGN] = "ECDSA P-256 signature",      [MAC] = "HMAC-SHA-256 of 32 octets",
    [SEAL] = "AES-256-GCM of 1 KiB",       [RELEASE] = "release of a pre-shared key",
    [GENERATE] = "P-256 pair made inside",
};

static uint8_t text[TEXT_BYTES];

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t wall_us(void *ctx)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void check(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s failed\n", what);
        exit(1);
    }
}

/* ---- ours ---- */

struct ours {
    struct bst_se *se;
    bst_key pair, mac, seal, psk;
    bool can[OPERATIONS];
};

static bool make(struct ours *o, const struct bst_key_attrs *attrs, bst_key *ret)
{
    bst_result r = bst_se_key_generate(o->se, attrs, ret);
    if (r.code == BST_E_SE_MECHANISM) {
        return false;
    }
    must(r, "making a key");
    return true;
}

static void ours_open(struct ours *o, const struct bst_se_host *host, const char *uri)
{
    const struct bst_key_attrs
        pair = {.type = BST_KEY_EC_P256,
                .uses = BST_KEY_USE_SIGN,
                .label = "bench.sign",
                .persistent = true},
        mac = {.uses = BST_KEY_USE_MAC, .label = "bench.mac", .persistent = true},
        seal = {.uses = BST_KEY_USE_SEAL, .label = "bench.seal", .persistent = true},
        psk = {.uses = BST_KEY_USE_PSK, .label = "bench.psk", .persistent = true};
    memset(o, 0, sizeof *o);
    must(bst_se_open(host, uri, &o->se), uri);
    o->can[SIGN] = o->can[GENERATE] = make(o, &pair, &o->pair);
    o->can[MAC] = make(o, &mac, &o->mac);
    o->can[SEAL] = make(o, &seal, &o->seal);
    o->can[RELEASE] = make(o, &psk, &o->psk);
}

static void ours_close(struct ours *o)
{
    const bst_key keys[] = {o->pair, o->mac, o->seal, o->psk};
    for (size_t i = 0; i < 4; i++) {
        if (keys[i]) {
            must(bst_se_key_delete(o->se, keys[i]), "deleting a key");
        }
    }
    bst_se_close(&o->se);
}

static void ours_run(void *ctx, int operation)
{
    struct ours *o = ctx;
    const struct bst_view part = bst_view_of(text, 32);
    const struct bst_key_attrs attrs = {.type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN};
    bst_auto(buf) out = {0};
    bst_auto(secret) psk = {0};
    uint8_t mac[BST_SHA256_BYTES];
    bst_key key = 0;
    switch (operation) {
    case SIGN:
        must(bst_se_sign(o->se, o->pair, BST_MD_SHA256, part, &out), "signing");
        break;
    case MAC:
        must(bst_se_mac(o->se, o->mac, &part, 1, mac), "a MAC");
        break;
    case SEAL:
        must(bst_se_seal(o->se, o->seal, part, bst_view_of(text, sizeof text), &out), "sealing");
        break;
    case RELEASE:
        must(bst_se_release_psk(o->se, o->psk, "benchmark", &psk), "a release");
        break;
    default:
        must(bst_se_key_generate(o->se, &attrs, &key), "making a pair");
        must(bst_se_key_delete(o->se, key), "deleting a pair");
    }
}

/* ---- OpenSSL ---- */

static EVP_PKEY *ssl_pair;
static EVP_CIPHER *ssl_gcm;

static void ssl_sign(void)
{
    uint8_t out[80];
    size_t len = sizeof out;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    check(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, ssl_pair) == 1 &&
              EVP_DigestSign(ctx, out, &len, text, 32) == 1,
          "OpenSSL: signing");
    EVP_MD_CTX_free(ctx);
}

static void ssl_seal(void)
{
    uint8_t out[12 + TEXT_BYTES + 16], key[32] = {1};
    int len = 0, end = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    check(RAND_bytes(out, 12) == 1 && EVP_EncryptInit_ex2(ctx, ssl_gcm, key, out, NULL) == 1 &&
              EVP_EncryptUpdate(ctx, NULL, &len, text, 32) == 1 &&
              EVP_EncryptUpdate(ctx, out + 12, &len, text, TEXT_BYTES) == 1 &&
              EVP_EncryptFinal_ex(ctx, out + 12 + len, &end) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, out + 12 + len) == 1,
          "OpenSSL: sealing");
    EVP_CIPHER_CTX_free(ctx);
}

static void ssl_run(void *ctx, int operation)
{
    uint8_t out[32], key[32] = {1};
    unsigned len = sizeof out;
    switch (operation) {
    case SIGN:
        ssl_sign();
        break;
    case MAC:
        check(HMAC(EVP_sha256(), key, sizeof key, text, 32, out, &len) != NULL, "OpenSSL: a MAC");
        break;
    case SEAL:
        ssl_seal();
        break;
    default:
        EVP_PKEY_free(EVP_EC_gen("P-256"));
    }
}

/* ---- a bare module ---- */

struct bare {
    CK_FUNCTION_LIST *f;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE pair, mac, seal, psk;
};

static CK_OBJECT_HANDLE bare_find(const struct bare *b, CK_OBJECT_CLASS class, const char *label)
{
    char name[32];
    CK_OBJECT_HANDLE found = 0;
    CK_ULONG n = 0;
    snprintf(name, sizeof name, "%s", label);
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_LABEL, name, strlen(name)}};
    check(b->f->C_FindObjectsInit(b->session, template, 2) == CKR_OK &&
              b->f->C_FindObjects(b->session, &found, 1, &n) == CKR_OK && n == 1 &&
              b->f->C_FindObjectsFinal(b->session) == CKR_OK,
          label);
    return found;
}

static CK_SLOT_ID bare_slot(const struct bare *b, const char *label)
{
    CK_SLOT_ID slots[64];
    CK_ULONG n = 64;
    CK_TOKEN_INFO info;
    check(b->f->C_GetSlotList(CK_TRUE, slots, &n) == CKR_OK, "C_GetSlotList");
    for (CK_ULONG i = 0; i < n; i++) {
        if (b->f->C_GetTokenInfo(slots[i], &info) == CKR_OK &&
            memcmp(info.label, label, strlen(label)) == 0) {
            return slots[i];
        }
    }
    check(false, "the token");
    return 0;
}

/* After ours: the keys are there. A module that is in this process already is used as it is. */
static void bare_open(struct bare *b, char **argv)
{
    char pin[64] = "";
    FILE *file = fopen(argv[2], "r");
    check(file && fgets(pin, sizeof pin, file), argv[2]);
    fclose(file);
    pin[strcspn(pin, "\r\n")] = '\0';
    void *module = dlopen(argv[0], RTLD_NOW | RTLD_LOCAL);
    void *symbol = module ? dlsym(module, "C_GetFunctionList") : NULL;
    CK_C_GetFunctionList get = NULL;
    memcpy(&get, &symbol, sizeof get); /* ISO C has no conversion between the two */
    check(get && get(&b->f) == CKR_OK, argv[0]);
    CK_RV rv = b->f->C_Initialize(NULL);
    check(rv == CKR_OK || rv == CKR_CRYPTOKI_ALREADY_INITIALIZED, "C_Initialize");
    check(b->f->C_OpenSession(bare_slot(b, argv[1]), CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL,
                              NULL, &b->session) == CKR_OK,
          "C_OpenSession");
    rv = b->f->C_Login(b->session, CKU_USER, (unsigned char *)pin, strlen(pin));
    check(rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN, "C_Login");
    b->pair = bare_find(b, CKO_PRIVATE_KEY, "bench.sign");
    b->mac = bare_find(b, CKO_SECRET_KEY, "bench.mac");
    b->seal = bare_find(b, CKO_SECRET_KEY, "bench.seal");
    b->psk = bare_find(b, CKO_SECRET_KEY, "bench.psk");
}

static void bare_sign(const struct bare *b, CK_MECHANISM_TYPE type, CK_OBJECT_HANDLE key)
{
    CK_MECHANISM mech = {type, NULL, 0};
    unsigned char out[80];
    CK_ULONG len = sizeof out;
    check(b->f->C_SignInit(b->session, &mech, key) == CKR_OK &&
              b->f->C_Sign(b->session, text, 32, out, &len) == CKR_OK,
          "C_Sign");
}

static void bare_seal(const struct bare *b)
{
    unsigned char nonce[12], out[TEXT_BYTES + 16];
    CK_ULONG len = sizeof out;
    CK_GCM_PARAMS params = {nonce, sizeof nonce, 96, text, 32, 128};
    CK_MECHANISM mech = {CKM_AES_GCM, &params, sizeof params};
    check(RAND_bytes(nonce, sizeof nonce) == 1 &&
              b->f->C_EncryptInit(b->session, &mech, b->seal) == CKR_OK &&
              b->f->C_Encrypt(b->session, text, TEXT_BYTES, out, &len) == CKR_OK,
          "C_Encrypt");
}

static void bare_release(const struct bare *b)
{
    unsigned char out[32];
    CK_ATTRIBUTE value = {CKA_VALUE, out, sizeof out};
    check(b->f->C_GetAttributeValue(b->session, b->psk, &value, 1) == CKR_OK,
          "C_GetAttributeValue");
}

static void bare_generate(const struct bare *b)
{
    static unsigned char p256[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
    CK_BBOOL no = CK_FALSE, yes = CK_TRUE;
    CK_MECHANISM mech = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_ATTRIBUTE public[] = {{CKA_EC_PARAMS, p256, sizeof p256}, {CKA_TOKEN, &no, sizeof no}},
                 private[] = {{CKA_TOKEN, &no, sizeof no}, {CKA_SIGN, &yes, sizeof yes}};
    CK_OBJECT_HANDLE one, two;
    check(b->f->C_GenerateKeyPair(b->session, &mech, public, 2, private, 2, &one, &two) == CKR_OK &&
              b->f->C_DestroyObject(b->session, one) == CKR_OK &&
              b->f->C_DestroyObject(b->session, two) == CKR_OK,
          "C_GenerateKeyPair");
}

static void bare_run(void *ctx, int operation)
{
    const struct bare *b = ctx;
    switch (operation) {
    case SIGN:
        bare_sign(b, CKM_ECDSA, b->pair);
        break;
    case MAC:
        bare_sign(b, CKM_SHA256_HMAC, b->mac);
        break;
    case SEAL:
        bare_seal(b);
        break;
    case RELEASE:
        bare_release(b);
        break;
    default:
        bare_generate(b);
    }
}

/* ---- a bare TPM: the key loaded, authorised by its empty password, nothing hidden ---- */

struct bare_tpm {
    TSS2_TCTI_CONTEXT *tcti;
    ESYS_CONTEXT *esys;
    ESYS_TR parent, key; /* a TPM may have no more than three places */
    int operation;       /* that `key` is for */
};

static TPM2B_PUBLIC tpm_template(TPMI_ALG_PUBLIC type, TPMA_OBJECT attributes)
{
    TPM2B_PUBLIC public = {.size = 0};
    public.publicArea.type = type;
    public.publicArea.nameAlg = TPM2_ALG_SHA256;
    public.publicArea.objectAttributes = attributes | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA |
                                         TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT;
    return public;
}

static TPM2B_PUBLIC tpm_pair_template(TPMA_OBJECT attributes)
{
    TPM2B_PUBLIC public = tpm_template(TPM2_ALG_ECC, attributes | TPMA_OBJECT_SENSITIVEDATAORIGIN);
    TPMS_ECC_PARMS *ec = &public.publicArea.parameters.eccDetail;
    ec->symmetric.algorithm = ec->scheme.scheme = ec->kdf.scheme = TPM2_ALG_NULL;
    ec->curveID = TPM2_ECC_NIST_P256;
    return public;
}

static ESYS_TR tpm_make(const struct bare_tpm *b, const TPM2B_PUBLIC *public, bool sealed)
{
    const TPM2B_DATA no_data = {.size = 0};
    const TPML_PCR_SELECTION no_pcrs = {.count = 0};
    TPM2B_SENSITIVE_CREATE sensitive = {.size = 0};
    TPM2B_PRIVATE *out_private = NULL;
    TPM2B_PUBLIC *out_public = NULL;
    ESYS_TR key;
    sensitive.sensitive.data.size = sealed ? 32 : 0;
    check(Esys_Create(b->esys, b->parent, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive,
                      public, &no_data, &no_pcrs, &out_private, &out_public, NULL, NULL,
                      NULL) == TSS2_RC_SUCCESS &&
              Esys_Load(b->esys, b->parent, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                        out_private, out_public, &key) == TSS2_RC_SUCCESS,
          "TPM: making a key");
    Esys_Free(out_private);
    Esys_Free(out_public);
    return key;
}

static ESYS_TR tpm_primary(const struct bare_tpm *b)
{
    const TPM2B_SENSITIVE_CREATE no_secret = {.size = 0};
    const TPM2B_DATA no_data = {.size = 0};
    const TPML_PCR_SELECTION no_pcrs = {.count = 0};
    TPM2B_PUBLIC public = tpm_pair_template(TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT);
    TPMT_SYM_DEF_OBJECT *aes = &public.publicArea.parameters.eccDetail.symmetric;
    ESYS_TR parent;
    aes->algorithm = TPM2_ALG_AES;
    aes->keyBits.aes = 128;
    aes->mode.aes = TPM2_ALG_CFB;
    check(Esys_CreatePrimary(b->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                             ESYS_TR_NONE, &no_secret, &public, &no_data, &no_pcrs, &parent, NULL,
                             NULL, NULL, NULL) == TSS2_RC_SUCCESS,
          "TPM: a primary key");
    return parent;
}

static void tpm_open(struct bare_tpm *b, const char *tcti)
{
    memset(b, 0, sizeof *b);
    check(Tss2_TctiLdr_Initialize(tcti, &b->tcti) == TSS2_RC_SUCCESS &&
              Esys_Initialize(&b->esys, b->tcti, NULL) == TSS2_RC_SUCCESS,
          tcti);
    b->parent = tpm_primary(b);
    b->key = ESYS_TR_NONE;
}

static TPM2B_PUBLIC tpm_template_for(int operation)
{
    TPM2B_PUBLIC public;
    if (operation == SIGN || operation == GENERATE) {
        return tpm_pair_template(TPMA_OBJECT_SIGN_ENCRYPT);
    }
    public = tpm_template(TPM2_ALG_KEYEDHASH, operation == MAC ? TPMA_OBJECT_SIGN_ENCRYPT |
                                                                     TPMA_OBJECT_SENSITIVEDATAORIGIN
                                                               : 0);
    TPMT_KEYEDHASH_SCHEME *scheme = &public.publicArea.parameters.keyedHashDetail.scheme;
    scheme->scheme = operation == MAC ? TPM2_ALG_HMAC : TPM2_ALG_NULL;
    scheme->details.hmac.hashAlg = TPM2_ALG_SHA256;
    return public;
}

static void tpm_need(struct bare_tpm *b, int operation)
{
    const TPM2B_PUBLIC public = tpm_template_for(operation);
    if (b->key != ESYS_TR_NONE && b->operation == operation) {
        return;
    }
    check(b->key == ESYS_TR_NONE || Esys_FlushContext(b->esys, b->key) == TSS2_RC_SUCCESS,
          "TPM: flushing a key");
    b->key = tpm_make(b, &public, operation == RELEASE);
    b->operation = operation;
}

static void tpm_close(struct bare_tpm *b)
{
    Esys_Finalize(&b->esys);
    Tss2_TctiLdr_Finalize(&b->tcti);
}

static TSS2_RC tpm_sign(const struct bare_tpm *b)
{
    const TPMT_TK_HASHCHECK no_ticket = {.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL};
    const TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_ECDSA,
                                    .details = {.ecdsa = {.hashAlg = TPM2_ALG_SHA256}}};
    const TPM2B_DIGEST digest = {.size = 32};
    TPMT_SIGNATURE *signature = NULL;
    TSS2_RC rc = Esys_Sign(b->esys, b->key, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &digest,
                           &scheme, &no_ticket, &signature);
    Esys_Free(signature);
    return rc;
}

static TSS2_RC tpm_mac(const struct bare_tpm *b)
{
    const TPM2B_MAX_BUFFER part = {.size = 32};
    TPM2B_DIGEST *digest = NULL;
    TSS2_RC rc = Esys_HMAC(b->esys, b->key, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &part,
                           TPM2_ALG_SHA256, &digest);
    Esys_Free(digest);
    return rc;
}

static TSS2_RC tpm_unseal(const struct bare_tpm *b)
{
    TPM2B_SENSITIVE_DATA *data = NULL;
    TSS2_RC rc = Esys_Unseal(b->esys, b->key, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &data);
    Esys_Free(data);
    return rc;
}

static TSS2_RC tpm_generate(const struct bare_tpm *b)
{
    const TPM2B_PUBLIC pair = tpm_pair_template(TPMA_OBJECT_SIGN_ENCRYPT);
    return Esys_FlushContext(b->esys, tpm_make(b, &pair, false));
}

static void tpm_run(void *ctx, int operation)
{
    static TSS2_RC (*const runs[OPERATIONS])(const struct bare_tpm *b) = {
        [SIGN] = tpm_sign,
        [MAC] = tpm_mac,
        [RELEASE] = tpm_unseal,
        [GENERATE] = tpm_generate,
    };
    tpm_need(ctx, operation);
    check(runs[operation](ctx) == TSS2_RC_SUCCESS, names[operation]);
}

/* ---- in turns ---- */

struct side {
    void (*run)(void *ctx, int operation);
    void *ctx;
};

static double rate_of(const struct side *side, int operation)
{
    int64_t begin = now_ns(), spent = 0;
    long n = 0;
    while (spent < TURN_NS) {
        side->run(side->ctx, operation);
        n++;
        spent = now_ns() - begin;
    }
    return (double)n * 1e9 / (double)spent;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double middle(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, by_value);
    return values[n / 2];
}

static void compare(const char *name, struct ours *o, const struct side *reference, int rounds)
{
    const struct side ours = {ours_run, o};
    for (int operation = 0; operation < OPERATIONS; operation++) {
        bool both = !(reference->run == ssl_run && operation == RELEASE);
        double *rate = malloc((size_t)rounds * sizeof *rate),
               *ref = malloc((size_t)rounds * sizeof *ref),
               *ratio = malloc((size_t)rounds * sizeof *ratio);
        check(rate && ref && ratio, "memory");
        for (int i = 0; o->can[operation] && i < rounds; i++) {
            rate[i] = rate_of(&ours, operation);
            ref[i] = both ? rate_of(reference, operation) : 0;
            ratio[i] = both ? rate[i] / ref[i] : 0;
        }
        if (o->can[operation] && both) {
            printf("%s | %s | %.0f/s | %.0f/s | %.2f\n", name, names[operation],
                   middle(rate, rounds), middle(ref, rounds), middle(ratio, rounds));
        } else if (o->can[operation]) {
            printf("%s | %s | %.0f/s | - | -\n", name, names[operation], middle(rate, rounds));
        }
        fflush(stdout);
        free(rate);
        free(ref);
        free(ratio);
    }
}

static void bench_token(const struct bst_se_host *host, char **argv, const char *more,
                        const char *name, int rounds)
{
    char uri[2048];
    struct ours o;
    struct bare b;
    const struct side side = {bare_run, &b};
    snprintf(uri, sizeof uri, "pkcs11:token=%s?module-path=%s&pin-source=file:%s%s", argv[1],
             argv[0], argv[2], more);
    ours_open(&o, host, uri);
    bare_open(&b, argv);
    compare(name, &o, &side, rounds);
    b.f->C_CloseSession(b.session);
    ours_close(&o);
}

int main(int argc, char **argv)
{
    struct bst_se_host host;
    struct ours o;
    char uri[1024];
    int rounds = argc > 1 ? atoi(argv[1]) : 5;
    if (argc < 3 || rounds < 1) {
        fputs("usage: bench_se ROUNDS FOLDER [MODULE TOKEN PIN-FILE] [TPM-ADDRESS OTHER-TPM]\n",
              stderr);
        return 2;
    }
    bst_se_host_file(&host, wall_us);
    snprintf(uri, sizeof uri, "se:soft?dir=%s/soft", argv[2]);
    ours_open(&o, &host, uri);
    ssl_pair = EVP_EC_gen("P-256");
    ssl_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    compare("software", &o, &(struct side){ssl_run, NULL}, rounds);
    ours_close(&o);
    if (argc >= 6) {
        bench_token(&host, argv + 3, "", "SoftHSM2, its own process", rounds);
        bench_token(&host, argv + 3, "&in-process=yes", "SoftHSM2 in process", rounds);
    }
    if (argc == 5 || argc == 8) {
        struct bare_tpm bare;
        ours_open(&o, &host, argv[argc - 2]);
        tpm_open(&bare, argv[argc - 1]);
        compare("TPM (swtpm)", &o, &(struct side){tpm_run, &bare}, rounds);
        tpm_close(&bare);
        ours_close(&o);
    }
    EVP_PKEY_free(ssl_pair);
    EVP_CIPHER_free(ssl_gcm);
    return 0;
}
