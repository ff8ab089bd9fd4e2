/* Server CPU per full handshake: our endpoint against the same OpenSSL operations without Bastide
 * (SSL over memory BIOs, same suites, keys and certificates), alternating in one run. The client is
 * plain OpenSSL in both cases and is not counted.
 *
 * usage: bench_handshake [ROUNDS [ADDRESS]]   prints microseconds, ratios, and the memory of a
 * connection. With the address of a secure environment our keys are in that one, and time is
 * measured in place of CPU time, which may be another process's. */
#include "support/tls_world.h"

#include "crypto/heap.h"
#include "support/tls_raw.h"
#include "tls/profile_priv.h"
#include "tls/tls_priv.h"

#include <malloc.h>
#include <time.h>

#define IDENTITY "00112233445566778899AABBCCDDEEFF@mef.acme.example.com"
#define KEY_TEXT "0123456789abcdef0123456789abcdef"
#define BATCH 50

struct keyed {
    struct evp_pkey_st *pkey;
    struct x509_st *cert;
    struct bst_buf pem;
    bst_key key; /* the same in the secure environment */
};

struct kind {
    const char *name;
    int version;
    const char *psk12, *cert12;
    bool psk;
};
static const struct kind kinds[] = {
    {"PSK, TLS 1.2", TLS1_2_VERSION, "PSK-AES128-CBC-SHA256", "", true},
    {"ECDHE-PSK, TLS 1.2", TLS1_2_VERSION, "ECDHE-PSK-AES128-CBC-SHA256", "", true},
    {"PSK, TLS 1.3", TLS1_3_VERSION, "", "", true},
    {"certificates, TLS 1.2", TLS1_2_VERSION, "", "ECDHE-ECDSA-AES128-GCM-SHA256", false},
    {"certificates, TLS 1.3", TLS1_3_VERSION, "", "", false},
};

static struct world w;
static struct keyed server_own, client_own;
static struct world_source source;
static clockid_t clock_used = CLOCK_THREAD_CPUTIME_ID;

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(clock_used, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void keyed_init(struct keyed *k, enum bst_cert_role role, enum bst_cert_flavour flavour,
                       const char *name)
{
    struct bst_cert_san san = {.flavour = flavour, .name = bst_view(name)};
    struct bst_cert_spec spec = {
        .common_name = bst_view(name),
        .sans = &san,
        .n_sans = 1,
        .path_len = -1,
        .role = role,
        .not_before_us = bst_tls_wall_us() - WORLD_DAY_US,
        .not_after_us = bst_tls_wall_us() + WORLD_DAY_US,
    };
    struct bst_buf der = {0};
    bst_auto(secret) value = {0};
    struct bst_key_attrs attrs = {.type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN};
    world_ok(bst_pkey_generate(BST_PKEY_EC_P256, &k->pkey));
    world_ok(bst_cert_issue(&spec, k->pkey, w.ca.cert, w.ca.key, &der));
    world_ok(bst_cert_load(bst_buf_view(&der), &k->cert));
    world_pem("CERTIFICATE", &der, &k->pem);
    world_ok(bst_pkey_private(k->pkey, &value));
    world_ok(bst_se_key_import(w.se, &attrs, &value, &k->key));
}

static unsigned int client_psk(SSL *ssl, const char *hint, char *identity, unsigned int cap,
                               unsigned char *out, unsigned int out_cap)
{
    snprintf(identity, cap, "%s", IDENTITY);
    memcpy(out, KEY_TEXT, strlen(KEY_TEXT));
    return (unsigned int)strlen(KEY_TEXT);
}

static unsigned int server_psk(SSL *ssl, const char *identity, unsigned char *out, unsigned int cap)
{
    memcpy(out, KEY_TEXT, strlen(KEY_TEXT));
    return strcmp(identity, IDENTITY) == 0 ? (unsigned int)strlen(KEY_TEXT) : 0;
}

static SSL_CTX *bare_ctx(const struct kind *kind, const struct keyed *own)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    int groups[] = {NID_X25519, NID_X9_62_prime256v1}; /* as the profile "onem2m" */
    SSL_CTX_set_min_proto_version(ctx, kind->version);
    SSL_CTX_set_max_proto_version(ctx, kind->version);
    SSL_CTX_set_cipher_list(ctx, kind->psk ? kind->psk12 : kind->cert12);
    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set1_groups(ctx, groups, 2);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    if (!kind->psk) {
        SSL_CTX_use_certificate(ctx, own->cert);
        SSL_CTX_use_PrivateKey(ctx, own->pkey);
        X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), w.ca.cert);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    return ctx;
}

/* The client of both: plain OpenSSL. */
static void client_begin(struct raw *c)
{
    raw_start(c, true);
    SSL_do_handshake(c->ssl);
}

static void client_end(struct raw *c)
{
    SSL_free(c->ssl);
    c->ssl = NULL;
}

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

/** One handshake with a server made of OpenSSL alone; its CPU time. */
static int64_t bare_handshake(struct raw *c, SSL_CTX *ctx)
{
    client_begin(c);
    int64_t start = cpu_ns(), spent = 0;
    struct raw s = {.ctx = ctx};
    raw_start(&s, false);
    int done = 0;
    for (int i = 0; i < 4 && done != 1; i++) {
        char *bytes;
        long n = BIO_get_mem_data(c->out, &bytes);
        BIO_write(s.in, bytes, (int)n);
        done = SSL_do_handshake(s.ssl);
        n = BIO_get_mem_data(s.out, &bytes);
        spent += cpu_ns() - start;
        (void)BIO_reset(c->out);
        BIO_write(c->in, bytes, (int)n);
        SSL_do_handshake(c->ssl);
        start = cpu_ns();
        (void)BIO_reset(s.out);
    }
    must(done == 1, "bare handshake failed");
    SSL_free(s.ssl);
    spent += cpu_ns() - start;
    client_end(c);
    return spent;
}

/** The same with our endpoint. */
static int64_t our_handshake(struct raw *c, struct bst_tls_server *server)
{
    client_begin(c);
    int64_t start = cpu_ns(), spent = 0;
    struct bst_tls *t;
    world_ok(bst_tls_accept(server, BST_VIEW("192.0.2.7:4711"), &t));
    for (int i = 0; i < 4 && bst_tls_state(t) == BST_TLS_HANDSHAKE; i++) {
        char *bytes;
        long n = BIO_get_mem_data(c->out, &bytes);
        world_ok(bst_tls_feed(t, (struct bst_view){bytes, (size_t)n}));
        struct bst_buf out = bst_tls_take_out(t);
        spent += cpu_ns() - start;
        (void)BIO_reset(c->out);
        BIO_write(c->in, out.ptr, (int)out.len);
        SSL_do_handshake(c->ssl);
        start = cpu_ns();
        bst_buf_clear(&out);
    }
    must(bst_tls_state(t) == BST_TLS_OPEN, "handshake failed");
    bst_tls_free(&t);
    spent += cpu_ns() - start;
    client_end(c);
    return spent;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_us(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, compare);
    return values[n / 2];
}

static struct bst_tls_server *our_server(const struct kind *kind)
{
    static struct bst_tls_profile row;
    struct bst_tls_credential own = {NULL, bst_buf_view(&server_own.pem), server_own.key};
    struct bst_tls_server_config config = {
        .profile = &row,
        .se = w.se,
        .psk = kind->psk ? &source.table : NULL,
        .credentials = &own,
        .n_credentials = kind->psk ? 0 : 1,
        .trust = w.trust,
    };
    struct bst_tls_server *server;
    row = *world_profile("onem2m");
    world_ok(bst_tls_server_new(&config, &server));
    return server;
}

static void measure(const struct kind *kind, int rounds)
{
    SSL_CTX *ctx = bare_ctx(kind, &server_own);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"bench", 5);
    struct raw client = {.ctx = bare_ctx(kind, &client_own)};
    struct bst_tls_server *server = our_server(kind);
    double *bare = bst_alloc((size_t)rounds * sizeof *bare);
    double *ours = bst_alloc((size_t)rounds * sizeof *ours);
    must(bare && ours, "out of memory");
    if (kind->psk) {
        SSL_CTX_set_psk_server_callback(ctx, server_psk);
        SSL_CTX_set_psk_client_callback(client.ctx, client_psk);
    }
    for (int i = -1; i < rounds; i++) { /* the first round warms up */
        int64_t bare_ns = 0, our_ns = 0;
        for (int k = 0; k < BATCH; k++) {
            bare_ns += bare_handshake(&client, ctx);
            our_ns += our_handshake(&client, server);
        }
        if (i >= 0) {
            bare[i] = (double)bare_ns / BATCH / 1000;
            ours[i] = (double)our_ns / BATCH / 1000;
        }
    }
    double bare_us = median_us(bare, rounds), our_us = median_us(ours, rounds);
    printf("handshake | %-22s | bare %7.1f us | bastide %7.1f us | ratio %.2f (goal 1.20)\n",
           kind->name, bare_us, our_us, our_us / bare_us);
    bst_free(bare);
    bst_free(ours);
    SSL_CTX_free(ctx);
    SSL_CTX_free(client.ctx);
    bst_tls_server_free(&server);
}

/** Heap of one open and idle server connection. */
static void weigh(const struct kind *kind)
{
    enum { N = 200 };
    struct raw client = {.ctx = bare_ctx(kind, &client_own)};
    struct bst_tls_server *server = our_server(kind);
    static struct bst_tls *open[N];
    if (kind->psk) {
        SSL_CTX_set_psk_client_callback(client.ctx, client_psk);
    }
    size_t before = 0;
    for (int i = -1; i < N; i++) {
        struct bst_tls *t;
        if (i == 0) {
            before = mallinfo2().uordblks;
        }
        world_ok(bst_tls_accept(server, BST_VIEW("192.0.2.7:4711"), &t));
        client_begin(&client);
        raw_shake(&client, t);
        client_end(&client);
        must(bst_tls_state(t) == BST_TLS_OPEN, "handshake failed");
        if (i < 0) {
            bst_tls_free(&t);
        } else {
            open[i] = t;
        }
    }
    printf("memory    | %-22s | %.1f kB a connection (goal 32 in all)\n", kind->name,
           (double)(mallinfo2().uordblks - before) / N / 1000);
    for (int i = 0; i < N; i++) {
        bst_tls_free(&open[i]);
    }
    SSL_CTX_free(client.ctx);
    bst_tls_server_free(&server);
}

static void keyed_clear(struct keyed *k)
{
    bst_pkey_free(&k->pkey);
    bst_cert_free(&k->cert);
    bst_buf_clear(&k->pem);
}

static struct bst_se_host token_host;

static int64_t token_wall_us(void *ctx)
{
    return bst_tls_wall_us();
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 20;
    (void)bst_heap_start(); /* as the program does; what is bare sets no mark */
    world_init(&w);
    if (argc > 2) {
        bst_se_close(&w.se);
        bst_se_host_file(&token_host, token_wall_us);
        world_ok(bst_se_open(&token_host, argv[2], &w.se));
        clock_used = CLOCK_MONOTONIC;
    }
    world_source_init(&source, IDENTITY, world_psk(&w, KEY_TEXT));
    keyed_init(&server_own, BST_CERT_TLS_SERVER, BST_CERT_FQDN, WORLD_SERVER_NAME);
    keyed_init(&client_own, BST_CERT_TLS_CLIENT, BST_CERT_AE, WORLD_CLIENT_AE);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        measure(&kinds[i], rounds < 1 ? 1 : rounds);
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        weigh(&kinds[i]);
    }
    keyed_clear(&server_own);
    keyed_clear(&client_own);
    world_clear(&w);
    return 0;
}
