/* Start of OpenSSL: no system configuration file, algorithms fetched once, errors in words. */
#include "crypto/crypto_priv.h"

#include "crypto/rand.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

/* Some ten thousand scalars: keys that are open and handshakes under way. */
#define SECURE_HEAP_BYTES ((size_t)1 << 20)
#define SECURE_HEAP_MIN_BYTES 32

static struct bst_crypto crypto;
static bool crypto_ready;
static pthread_once_t crypto_once = PTHREAD_ONCE_INIT;

static EVP_MAC_CTX *hmac_template(void)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac);
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    if (ctx && EVP_MAC_CTX_set_params(ctx, params) != 1) {
        EVP_MAC_CTX_free(ctx);
        ctx = NULL;
    }
    return ctx;
}

static void crypto_start(void)
{
    /* A machine's openssl.cnf may weaken, add engines or demand what no profile here names. */
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1) {
        return;
    }
    /* Private scalars in locked pages that no dump shows; best effort, as for every secret. */
    CRYPTO_secure_malloc_init(SECURE_HEAP_BYTES, SECURE_HEAP_MIN_BYTES);
    crypto.md[BST_MD_SHA256] = EVP_MD_fetch(NULL, "SHA256", NULL);
    crypto.md[BST_MD_SHA384] = EVP_MD_fetch(NULL, "SHA384", NULL);
    crypto.md[BST_MD_SHA512] = EVP_MD_fetch(NULL, "SHA512", NULL);
    crypto.gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    crypto.aes_ecb = EVP_CIPHER_fetch(NULL, "AES-128-ECB", NULL);
    crypto.hmac_sha256 = hmac_template();
    crypto.hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    crypto_ready = crypto.md[BST_MD_SHA256] && crypto.md[BST_MD_SHA384] &&
                   crypto.md[BST_MD_SHA512] && crypto.gcm && crypto.aes_ecb && crypto.hmac_sha256 &&
                   crypto.hkdf;
}

bst_result bst_crypto_get(const struct bst_crypto **ret)
{
    pthread_once(&crypto_once, crypto_start);
    if (!crypto_ready) {
        return bst_crypto_fail(BST_E_CRYPTO, "this OpenSSL lacks AES, HMAC, HKDF or SHA-2");
    }
    *ret = &crypto;
    return BST_OK;
}

bst_result bst_crypto_start(void)
{
    const struct bst_crypto *unused;
    return bst_crypto_get(&unused);
}

/* The first entry is the deepest cause; the last one what was being attempted. What an external key
 * said is an error of ours. */
static enum bst_error drain(char *out, size_t cap)
{
    enum bst_error own = BST_E_NONE;
    const char *data = NULL;
    int flags = 0;
    unsigned long first = ERR_get_error_all(NULL, NULL, NULL, &data, &flags);
    out[0] = '\0';
    if (!first) {
        return own;
    }
    const char *reason = ERR_reason_error_string(first);
    bool has_data = (flags & ERR_TXT_STRING) && data && data[0];
    if (ERR_GET_LIB(first) == ERR_LIB_USER && has_data) {
        snprintf(out, cap, ": %s", data); /* our own sentence, from an external key */
        own = (enum bst_error)ERR_GET_REASON(first);
    } else {
        snprintf(out, cap, ": %s%s%s%s", reason ? reason : "unknown reason", has_data ? " (" : "",
                 has_data ? data : "", has_data ? ")" : "");
    }
    ERR_clear_error();
    return own;
}

bst_result bst_crypto_fail(enum bst_error code, const char *format, ...)
{
    char text[320], cause[160];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    enum bst_error own = drain(cause, sizeof cause);
    /* A token that is gone is no defect of the operation: it works later. */
    BST_FAIL(bst_error_class(own) == BST_CLASS_BUSY ? own : code, "%s%s", text, cause);
}

bst_result bst_random(void *out, size_t len)
{
    BST_TRY(bst_crypto_start());
    uint8_t *at = out;
    while (len) {
        int chunk = len > 1 << 20 ? 1 << 20 : (int)len;
        if (RAND_bytes(at, chunk) != 1) {
            return bst_crypto_fail(BST_E_CRYPTO, "no random bytes");
        }
        at += chunk;
        len -= (size_t)chunk;
    }
    return BST_OK;
}
