/* The profile table (TS-0003 10.2 and its modern neighbours) and its printed form. */
#include "tls/ctx_priv.h"

#define SUITES13 "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"
#define GROUPS_STANDARD "P-256:X25519:P-384"
/* X25519 first: an ECDHE-PSK handshake takes 119 us of server CPU with it, 179 with P-256, and the
 * connection is 4 kB smaller (OpenSSL 3.0). A device that has only P-256 gets P-256. */
#define GROUPS_FAST "X25519:P-256:P-384"
#define SIGALGS "ECDSA+SHA256:ed25519:ECDSA+SHA384"

static const struct bst_tls_profile profiles[] = {
    {
        .name = "onem2m-tls12",
        .purpose = "MEF and MAF endpoints as the standard has them: TLS 1.2",
        .clause = "TS-0003 10.2",
        .min_version = TLS1_2_VERSION,
        .max_version = TLS1_2_VERSION,
        /* 10.2.2 asks for PSK-AES128-CBC-SHA256; forward secrecy is preferred where a client has
           it. */
        .psk12 = "ECDHE-PSK-AES128-CBC-SHA256:PSK-AES128-GCM-SHA256:PSK-AES128-CBC-SHA256",
        .cert12 = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA256",
        .suites13 = SUITES13,
        .groups = GROUPS_STANDARD,
        .sigalgs = SIGALGS,
        .level = 2,
    },
    {
        .name = "onem2m",
        .purpose = "CSE endpoints: the standard's suites, and TLS 1.3 where both sides have it",
        .clause = "TS-0003 10.2",
        .min_version = TLS1_2_VERSION,
        .max_version = TLS1_3_VERSION,
        .psk12 = "ECDHE-PSK-AES128-CBC-SHA256:ECDHE-PSK-CHACHA20-POLY1305:PSK-AES128-GCM-SHA256:"
                 "PSK-AES128-CBC-SHA256",
        .cert12 = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
                  "ECDHE-ECDSA-AES128-SHA256",
        .suites13 = SUITES13,
        .groups = GROUPS_FAST,
        .sigalgs = SIGALGS,
        .level = 2,
    },
    {
        .name = "modern",
        .purpose = "TLS 1.3 only, post-quantum key exchange where OpenSSL has it",
        .clause = "",
        .min_version = TLS1_3_VERSION,
        .max_version = TLS1_3_VERSION,
        .psk12 = "",
        .cert12 = "",
        .suites13 = SUITES13,
        .groups = "X25519MLKEM768:" GROUPS_FAST,
        .groups_older = GROUPS_FAST,
        .sigalgs = SIGALGS,
        .level = 2,
    },
    {
        .name = "constrained",
        .purpose = "small devices: TLS 1.2 with the CCM_8 suites that TS-0003 asks for over DTLS",
        .clause = "TS-0003 10.2",
        .min_version = TLS1_2_VERSION,
        .max_version = TLS1_2_VERSION,
        .psk12 = "PSK-AES128-CCM8",
        .cert12 = "ECDHE-ECDSA-AES128-CCM8",
        .suites13 = SUITES13,
        .groups = GROUPS_STANDARD,
        .sigalgs = SIGALGS,
        .level = 0, /* an 8-octet tag is below every higher level of OpenSSL 3.5 */
    },
};

const struct bst_tls_profile *bst_tls_profile_at(size_t n)
{
    return n < sizeof profiles / sizeof profiles[0] ? &profiles[n] : NULL;
}

const struct bst_tls_profile *bst_tls_profile_find(struct bst_view name)
{
    for (size_t i = 0; bst_tls_profile_at(i); i++) {
        if (bst_view_is(name, profiles[i].name)) {
            return &profiles[i];
        }
    }
    return NULL;
}

const char *bst_tls_profile_name(const struct bst_tls_profile *profile)
{
    return profile->name;
}

const char *bst_tls_profile_purpose(const struct bst_tls_profile *profile)
{
    return profile->purpose;
}

static const char *version_name(int version)
{
    return version == TLS1_3_VERSION ? "1.3" : "1.2";
}

static void print_ciphers(SSL *ssl, const char *version, struct bst_buf *ret)
{
    STACK_OF(SSL_CIPHER) *ciphers = SSL_get_ciphers(ssl);
    bst_buf_addf(ret, "suites of TLS %s\n", version);
    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
        const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(ciphers, i);
        bool is13 = strcmp(SSL_CIPHER_get_version(cipher), "TLSv1.3") == 0;
        if (is13 == (strcmp(version, "1.3") == 0)) {
            bst_buf_addf(ret, "  0x%04X %s\n", SSL_CIPHER_get_protocol_id(cipher),
                         SSL_CIPHER_standard_name(cipher));
        }
    }
}

/* OpenSSL cannot list the groups and signature algorithms of a context in all versions: the lists
 * that it accepted are printed, one name a line. */
static void print_list(const char *title, const char *list, struct bst_buf *ret)
{
    struct bst_view rest = bst_view(list), item;
    bst_buf_addf(ret, "%s\n", title);
    bool more = true;
    while (more) {
        more = bst_view_cut(&rest, ':', &item);
        bst_buf_addf(ret, "  %.*s\n", BST_VIEW_ARGS(item));
    }
}

bst_result bst_tls_profile_print(const struct bst_tls_profile *profile, struct bst_buf *ret)
{
    bst_auto_ssl_ctx *ctx = NULL;
    const char *groups = NULL;
    BST_TRY(bst_tls_ctx_new(profile, true, true, &ctx, &groups));
    bst_auto_ssl *ssl = SSL_new(ctx);
    BST_ENSURE(ssl, BST_E_NOMEM);
    bst_buf_addf(ret, "profile %s\n%s\n", profile->name, profile->purpose);
    bst_buf_addf(ret, "versions %s to %s\nsecurity level %d\n", version_name(profile->min_version),
                 version_name(profile->max_version), SSL_get_security_level(ssl));
    uint64_t options = SSL_get_options(ssl);
    bst_buf_addf(ret, "server preference %s\nrenegotiation %s\ncompression %s\n",
                 options & SSL_OP_CIPHER_SERVER_PREFERENCE ? "yes" : "no",
                 options & SSL_OP_NO_RENEGOTIATION ? "no" : "yes",
                 options & SSL_OP_NO_COMPRESSION ? "no" : "yes");
    bst_buf_addf(ret, "extended master secret %s\nencrypt-then-MAC %s\n",
                 options & SSL_OP_NO_EXTENDED_MASTER_SECRET ? "no" : "yes",
                 options & SSL_OP_NO_ENCRYPT_THEN_MAC ? "no" : "yes");
    if (profile->max_version >= TLS1_3_VERSION) {
        print_ciphers(ssl, "1.3", ret);
    }
    if (profile->min_version < TLS1_3_VERSION) {
        print_ciphers(ssl, "1.2", ret);
    }
    print_list("groups", groups, ret);
    print_list("signature algorithms", profile->sigalgs, ret);
    return bst_buf_check(ret);
}
