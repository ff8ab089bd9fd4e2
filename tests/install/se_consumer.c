/* A program of somebody else that keeps its keys in a secure environment: sees installed headers,
 * the library and OpenSSL only.
 * usage: se_consumer ADDRESS */
#include <bastide/se.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "must.h"

#include <time.h>

static int64_t wall_us(void *ctx)
{
    (void)ctx;
    return (int64_t)time(NULL) * 1000000;
}

static struct bst_key_attrs attrs_of(enum bst_key_type type, uint32_t uses, const char *label)
{
    struct bst_key_attrs attrs;
    memset(&attrs, 0, sizeof attrs);
    attrs.type = type;
    attrs.uses = uses;
    attrs.label = label;
    attrs.persistent = label != NULL;
    return attrs;
}

/* What was signed inside holds for plain OpenSSL, with the public half that came out. */
static void signs(struct bst_se *se)
{
    const struct bst_key_attrs attrs = attrs_of(BST_KEY_EC_P256, BST_KEY_USE_SIGN, "device.sign");
    struct bst_buf spki, signature;
    bst_key key, found;
    uint8_t mac[BST_SHA256_BYTES];
    struct bst_view message = text("a reading");
    memset(&spki, 0, sizeof spki);
    memset(&signature, 0, sizeof signature);
    OK(bst_se_key_generate(se, &attrs, &key));
    FAILS(bst_se_key_generate(se, &attrs, &found), BST_E_EXISTS);
    OK(bst_se_key_find(se, "device.sign", &found));
    must(found == key, "the key by its label");
    OK(bst_se_key_public(se, key, &spki));
    OK(bst_se_sign(se, key, BST_MD_SHA256, message, &signature));
    FAILS(bst_se_mac(se, key, &message, 1, mac), BST_E_SE_USAGE);
    const unsigned char *der = (const unsigned char *)spki.ptr;
    EVP_PKEY *public_half = d2i_PUBKEY(NULL, &der, (long)spki.len);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    must(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, public_half) == 1 &&
             EVP_DigestVerify(ctx, (const unsigned char *)signature.ptr, signature.len,
                              (const unsigned char *)message.ptr, message.len) == 1,
         "OpenSSL verifies");
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(public_half);
    bst_buf_clear(&spki);
    bst_buf_clear(&signature);
}

/* A certificate request by a key that OpenSSL does not have. */
static void requests_a_certificate(struct bst_se *se)
{
    EVP_PKEY *inside = NULL, *public_half;
    X509_REQ *request = X509_REQ_new();
    struct bst_buf spki;
    bst_key key;
    memset(&spki, 0, sizeof spki);
    OK(bst_se_key_find(se, "device.sign", &key));
    OK(bst_se_pkey(se, key, &inside));
    OK(bst_se_key_public(se, key, &spki));
    const unsigned char *der = (const unsigned char *)spki.ptr;
    public_half = d2i_PUBKEY(NULL, &der, (long)spki.len);
    must(X509_REQ_set_pubkey(request, public_half) == 1 &&
             X509_REQ_sign(request, inside, EVP_sha256()) > 0 &&
             X509_REQ_verify(request, public_half) == 1,
         "a certificate request");
    X509_REQ_free(request);
    EVP_PKEY_free(public_half);
    bst_buf_clear(&spki);
    EVP_PKEY_free(inside);
}

static void seals_and_derives(struct bst_se *se)
{
    const struct bst_key_attrs sealing = attrs_of(BST_KEY_SYMMETRIC, BST_KEY_USE_SEAL, NULL),
                               parent = attrs_of(BST_KEY_SYMMETRIC, BST_KEY_USE_DERIVE, NULL),
                               child = attrs_of(BST_KEY_SYMMETRIC, BST_KEY_USE_MAC, NULL);
    struct bst_view aad = text("header"), in = text("a secret"), part = text("label");
    struct bst_buf blob, out;
    uint8_t mac[BST_SHA256_BYTES], digest[BST_MD_MAX_BYTES];
    bst_key key, derived;
    memset(&blob, 0, sizeof blob);
    memset(&out, 0, sizeof out);
    OK(bst_se_key_generate(se, &sealing, &key));
    OK(bst_se_seal(se, key, aad, in, &blob));
    FAILS(bst_se_unseal(se, key, part, octets(blob.ptr, blob.len), &out), BST_E_BAD_MAC);
    OK(bst_se_unseal(se, key, aad, octets(blob.ptr, blob.len), &out));
    must(out.len == in.len && memcmp(out.ptr, in.ptr, in.len) == 0, "what was sealed");
    OK(bst_se_key_generate(se, &parent, &key));
    OK(bst_se_derive(se, key, &part, 1, &child, &derived));
    OK(bst_se_mac(se, derived, &in, 1, mac));
    OK(bst_se_key_delete(se, derived));
    FAILS(bst_se_mac(se, derived, &in, 1, mac), BST_E_NOT_FOUND);
    OK(bst_se_hash(se, BST_MD_SHA256, in, digest));
    bst_buf_wipe(&out);
    bst_buf_clear(&blob);
}

/* Data are read by who may; another owner does not even see them. */
static void keeps_data(struct bst_se *se)
{
    struct bst_key_attrs attrs = attrs_of(BST_KEY_DATA, BST_KEY_USE_READ, "settings");
    struct bst_se *alice = NULL, *bob = NULL;
    struct bst_secret value;
    bst_key key, other;
    OK(bst_se_for_owner(se, "alice", &alice));
    OK(bst_se_for_owner(se, "bob", &bob));
    OK(bst_secret_copy(&value, "0123456789", 10));
    OK(bst_se_key_import(alice, &attrs, &value, &key));
    OK(bst_se_key_find(bob, "settings", &other));
    must(other == 0, "nothing of bob's");
    FAILS(bst_se_data_read(bob, key, "curious", &value), BST_E_NOT_FOUND);
    bst_secret_clear(&value);
    OK(bst_se_data_read(alice, key, "start", &value));
    must(value.len == 10 && memcmp(value.ptr, "0123456789", 10) == 0, "the data");
    OK(bst_se_key_import(bob, &attrs, &value, &other)); /* a label is its owner's */
    OK(bst_se_key_delete(bob, other));
    OK(bst_se_key_delete(alice, key));
    bst_secret_clear(&value);
    bst_se_close(&alice);
    bst_se_close(&bob);
}

static void opens_again(const struct bst_se_host *host, const char *uri)
{
    struct bst_se *se = NULL;
    struct bst_se_about about;
    bst_key key;
    OK(bst_se_open(host, uri, &se));
    bst_se_about(se, &about);
    OK(bst_se_key_find(se, "device.sign", &key));
    must(key != 0, "a key that is kept");
    OK(bst_se_key_delete(se, key));
    must(bst_se_key_count(se) == 0, "nothing is left");
    printf("%s: level %d\n", about.kind, about.level);
    bst_se_close(&se);
}

int main(int argc, char **argv)
{
    struct bst_se_host host;
    struct bst_se *se = NULL;
    must(argc == 2, "usage: se_consumer ADDRESS");
    memset(&host, 0, sizeof host);
    bst_se_host_file(&host, wall_us);
    FAILS(bst_se_open(&host, "no:such", &se), BST_E_CONFIG);
    OK(bst_se_open(&host, argv[1], &se));
    signs(se);
    requests_a_certificate(se);
    seals_and_derives(se);
    keeps_data(se);
    bst_se_close(&se);
    opens_again(&host, argv[1]);
    return 0;
}
