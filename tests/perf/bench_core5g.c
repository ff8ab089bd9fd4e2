/* 5G procedures on one core, each beside OpenSSL's bare operations in the same run: vectors of 5G
 * AKA as a pure function and through the secure environment with durable sequence numbers, SUCIs
 * revealed, post-quantum ones too.
 * Usage: bench_core5g [FOLDER]     FOLDER holds the sequence numbers (default: the current one) */
#include "core5g/aka/aka.h"
#include "core5g/suci/sidf.h"
#include "crypto/kem.h"
#include "crypto/rand.h"
#include "perf.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SLICE_NS 60e6
#define SLICES 9
#define TOTAL_NS 2e9
#define BATCH 64
#define SUBSCRIBERS 256

#define SN BST_VIEW("5G:mnc001.mcc001.3gppnetwork.org")

static double now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double waited_ns; /* for storage, which the processor time does not show */

struct subject {
    const char *name;
    size_t (*run)(void *ctx); /* how many it did */
    void *ctx;
};

/* Processor time of this thread, so that other load does not count, and waiting for storage. */
static double spent_ns(void)
{
    return now_ns(CLOCK_THREAD_CPUTIME_ID) + waited_ns;
}

/* Per second, in one slice. */
static int64_t slice(const struct subject *s)
{
    size_t n = 0;
    double start = spent_ns(), end = start;
    for (; end - start < SLICE_NS; end = spent_ns()) {
        n += s->run(s->ctx);
    }
    return (int64_t)((double)n * 1e9 / (end - start));
}

/* In turns, so that whatever else runs here slows both. */
static void compare(const struct subject *ours, const struct subject *bare)
{
    int64_t a[SLICES], b[SLICES], ratio[SLICES];
    for (size_t i = 0; i < SLICES; i++) {
        a[i] = slice(ours);
        b[i] = bare ? slice(bare) : 0;
        ratio[i] = bare && b[i] ? a[i] * 10000 / b[i] : 0;
    }
    double mine = (double)quantile(a, SLICES, 0.5);
    if (bare) {
        printf("%-46s | %.0f /s | %.0f /s | %.3f\n", ours->name, mine,
               (double)quantile(b, SLICES, 0.5), (double)quantile(ratio, SLICES, 0.5) / 10000);
    } else {
        printf("%-46s | %.0f /s | - | -\n", ours->name, mine);
    }
    fflush(stdout);
}

/* Over a longer time, waiting for storage included. */
static void total(const struct subject *ours)
{
    size_t n = 0;
    double start = spent_ns(), end = start;
    for (; end - start < TOTAL_NS; end = spent_ns()) {
        n += ours->run(ours->ctx);
    }
    printf("%-46s | %.0f /s | - | -\n", ours->name, (double)n * 1e9 / (end - start));
    fflush(stdout);
}

/* ---- vectors ---- */

struct vectors {
    struct bst_aka_ready ready;
    struct bst_aka_challenge challenges[BATCH];
    struct bst_aka_vector out[BATCH];
    uint64_t seq;
};

/* RAND drawn for the batch, numbers counted. */
static size_t pure_batch(void *ctx)
{
    struct vectors *v = ctx;
    uint8_t random[BATCH][16];
    must(bst_random(random, sizeof random), "RAND");
    for (size_t i = 0; i < BATCH; i++) {
        memcpy(v->challenges[i].rand, random[i], 16);
        bst_sqn_write(++v->seq, 0, v->challenges[i].sqn);
    }
    must(bst_aka_ready_vectors(&v->ready, v->challenges, BATCH, v->out), "vectors");
    return BATCH;
}

/* What one vector costs in OpenSSL's own calls: contexts at hand, 5 blocks of AES, HMAC-SHA-256 by
 * EVP_MAC over as many octets twice, SHA-256. */
struct bare_vector {
    EVP_CIPHER_CTX *aes;
    EVP_MAC_CTX *mac;
    EVP_MD_CTX *md;
    EVP_MD *sha256;
};

static void no_error(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "OpenSSL: %s\n", what);
        exit(1);
    }
}

static size_t bare_batch(void *ctx)
{
    struct bare_vector *v = ctx;
    uint8_t random[BATCH][16], blocks[5 * 16] = {2}, text[64] = {3}, out[32];
    size_t len;
    int n;
    no_error(RAND_bytes(random[0], sizeof random) == 1, "RAND");
    for (size_t i = 0; i < BATCH; i++) {
        bool ok =
            EVP_EncryptUpdate(v->aes, blocks, &n, random[i], 16) == 1 &&
            EVP_EncryptUpdate(v->aes, blocks, &n, blocks, 64) == 1 &&
            EVP_MAC_init(v->mac, blocks, 32, NULL) == 1 && EVP_MAC_update(v->mac, text, 63) == 1 &&
            EVP_MAC_final(v->mac, out, &len, 32) == 1 && EVP_MAC_init(v->mac, NULL, 0, NULL) == 1 &&
            EVP_MAC_update(v->mac, text, 43) == 1 && EVP_MAC_final(v->mac, out, &len, 32) == 1 &&
            EVP_DigestInit_ex2(v->md, v->sha256, NULL) == 1 &&
            EVP_DigestUpdate(v->md, text, 32) == 1 && EVP_DigestFinal_ex(v->md, out, NULL) == 1;
        no_error(ok, "the operations of a vector");
    }
    return BATCH;
}

static EVP_MAC_CTX *hmac_context(void)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0),
                                 OSSL_PARAM_construct_end()};
    no_error(ctx && EVP_MAC_CTX_set_params(ctx, params) == 1, "HMAC");
    EVP_MAC_free(mac);
    return ctx;
}

static struct bst_aka_keys lab_keys(void)
{
    struct bst_aka_keys keys = bst_aka_milenage.usual;
    memset(keys.k, 0x4b, sizeof keys.k);
    memset(keys.opc, 0x0c, sizeof keys.opc);
    return keys;
}

static void bench_vectors(void)
{
    static struct vectors v;
    struct bare_vector bare = {EVP_CIPHER_CTX_new(), hmac_context(), EVP_MD_CTX_new(),
                               EVP_MD_fetch(NULL, "SHA256", NULL)};
    const struct bst_aka_keys keys = lab_keys();
    no_error(EVP_EncryptInit_ex2(bare.aes, EVP_aes_128_ecb(), keys.k, NULL, NULL) == 1, "AES");
    EVP_CIPHER_CTX_set_padding(bare.aes, 0);
    must(bst_aka_ready_init(&v.ready, &keys), "keys");
    for (size_t i = 0; i < BATCH; i++) {
        v.challenges[i] = (struct bst_aka_challenge){.amf = {0x80}, .sn_name = SN};
    }
    compare(&(struct subject){"5G vectors, pure function", pure_batch, &v},
            &(struct subject){"", bare_batch, &bare});
    bst_aka_ready_clear(&v.ready);
    EVP_CIPHER_CTX_free(bare.aes);
    EVP_MAC_CTX_free(bare.mac);
    EVP_MD_CTX_free(bare.md);
    EVP_MD_free(bare.sha256);
}

/* ---- the same as a service ---- */

struct subscriber {
    bst_key key;
    struct bst_sqn_counter counter;
};
struct service {
    struct bst_se *se;
    struct subscriber subscribers[SUBSCRIBERS];
    struct bst_aka_challenge challenges[BATCH];
    struct bst_aka_vector out[BATCH];
    size_t next;
    int fd;
    unsigned kept;
};

static bst_result load_sqn(void *ctx, const char *subscriber, uint64_t *ret)
{
    *ret = 0;
    return BST_OK;
}

/* One word a subscriber, on stable storage before a number of the block is given out. */
static bst_result keep_sqn(void *ctx, const char *subscriber, uint64_t seq)
{
    struct service *s = ctx;
    off_t at = (off_t)(strtoul(subscriber, NULL, 10) * sizeof seq);
    double start = now_ns(CLOCK_MONOTONIC), cpu = now_ns(CLOCK_THREAD_CPUTIME_ID);
    bool kept = pwrite(s->fd, &seq, sizeof seq, at) == sizeof seq && fdatasync(s->fd) == 0;
    waited_ns += now_ns(CLOCK_MONOTONIC) - start - (now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu);
    BST_ENSURE(kept, BST_E_DISK_FULL);
    s->kept++;
    return BST_OK;
}

/* Each vector for another subscriber, in a use of its key of its own. */
static size_t serve_each(void *ctx)
{
    struct service *s = ctx;
    uint8_t random[BATCH][16];
    must(bst_random(random, sizeof random), "RAND");
    for (size_t i = 0; i < BATCH; i++) {
        struct subscriber *sub = &s->subscribers[s->next++ % SUBSCRIBERS];
        struct bst_aka_challenge *c = &s->challenges[i];
        memcpy(c->rand, random[i], sizeof c->rand);
        must(bst_sqn_next(&sub->counter, c->sqn), "SQN");
        must(bst_aka_vector_5g(s->se, sub->key, c, &s->out[i]), "vector");
    }
    return BATCH;
}

/* Sixteen vectors for one subscriber, then the next. */
static size_t serve_batch(void *ctx)
{
    struct service *s = ctx;
    struct subscriber *sub = &s->subscribers[s->next++ % SUBSCRIBERS];
    must(bst_aka_challenges(&sub->counter, s->challenges, 16), "challenges");
    must(bst_aka_vectors_5g(s->se, sub->key, s->challenges, 16, s->out), "vectors");
    return 16;
}

static int64_t se_now(void *ctx)
{
    return 1;
}

static struct bst_se *environment(void)
{
    struct bst_se_host host = {0};
    struct bst_se *se = NULL;
    bst_se_host_file(&host, se_now);
    must(bst_se_open(&host, "se:soft", &se), "se");
    return se;
}

static void bench_service(const char *folder)
{
    static struct service s;
    static char names[SUBSCRIBERS][32];
    char path[4096];
    const struct bst_sqn_host host = {&s, load_sqn, keep_sqn};
    const struct bst_aka_keys keys = lab_keys();
    snprintf(path, sizeof path, "%s/bench-sqn", folder);
    s.se = environment();
    s.fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
    no_error(s.fd >= 0, path);
    for (size_t i = 0; i < SUBSCRIBERS; i++) {
        struct subscriber *sub = &s.subscribers[i];
        snprintf(names[i], sizeof names[i], "%zu", i);
        must(bst_aka_subscribe(s.se, names[i], &keys, false, &sub->key), "subscriber");
        must(bst_sqn_open(&sub->counter, &host, names[i], 0), "counter");
    }
    for (size_t i = 0; i < BATCH; i++) {
        s.challenges[i] = (struct bst_aka_challenge){.amf = {0x80}, .sn_name = SN};
    }
    compare(&(struct subject){"5G vectors, service, another subscriber each", serve_each, &s},
            NULL);
    total(&(struct subject){"5G vectors, service, sixteen each", serve_batch, &s});
    printf("%-46s | %u | - | -\n", "durable reservations during that", s.kept);
    close(s.fd);
    unlink(path);
    bst_se_close(&s.se);
}

/* ---- SUCI ---- */

struct suci {
    const struct bst_suci_scheme *scheme;
    struct bst_se *se;
    struct bst_sidf sidf;
    struct bst_suci suci;
    bool decoded; /* the reference does not decode the ephemeral key */
    EVP_PKEY *home, *peer;
    EVP_PKEY_CTX *derive;
    EVP_CIPHER_CTX *aes;
    EVP_MAC_CTX *mac;
    EVP_MD_CTX *md;
    EVP_MD *sha256;
};

static int64_t sidf_now(void)
{
    return 1;
}

static size_t reveal(void *ctx)
{
    struct suci *s = ctx;
    struct bst_supi supi;
    must(bst_sidf_reveal(&s->sidf, &s->suci, &supi), "reveal");
    return 1;
}

/* ECDH with parsed keys, X9.63 in two hashes, AES-CTR, HMAC; every context is at hand. */
static size_t bare_reveal(void *ctx)
{
    struct suci *s = ctx;
    uint8_t z[32], data[64], out[32], text[8];
    size_t len = sizeof z, point = bst_curve_point_bytes(s->scheme->curve);
    int n;
    bool ok = (s->decoded || EVP_PKEY_set1_encoded_public_key(
                                 s->peer, (const uint8_t *)s->suci.output.ptr, point) == 1) &&
              EVP_PKEY_derive_set_peer_ex(s->derive, s->peer, 0) == 1 &&
              EVP_PKEY_derive(s->derive, z, &len) == 1;
    for (uint8_t i = 1; ok && i <= 2; i++) {
        const uint8_t counter[4] = {0, 0, 0, i};
        ok = EVP_DigestInit_ex2(s->md, s->sha256, NULL) == 1 &&
             EVP_DigestUpdate(s->md, z, sizeof z) == 1 &&
             EVP_DigestUpdate(s->md, counter, sizeof counter) == 1 &&
             EVP_DigestUpdate(s->md, s->suci.output.ptr, point) == 1 &&
             EVP_DigestFinal_ex(s->md, data + (i - 1) * 32, NULL) == 1;
    }
    ok = ok && EVP_MAC_init(s->mac, data + 32, 32, NULL) == 1 &&
         EVP_MAC_update(s->mac, (const uint8_t *)s->suci.output.ptr + point, 5) == 1 &&
         EVP_MAC_final(s->mac, out, &len, 32) == 1 &&
         EVP_EncryptInit_ex2(s->aes, NULL, data, data + 16, NULL) == 1 &&
         EVP_EncryptUpdate(s->aes, text, &n, (const uint8_t *)s->suci.output.ptr + point, 5) == 1;
    no_error(ok, "the operations of a SUCI");
    return 1;
}

static void suci_world(struct suci *s, uint8_t scheme)
{
    const struct bst_hn_wish wish = {.id = 1, .scheme = scheme, .temporary = true};
    struct bst_suci_home home = {.scheme = scheme, .key_id = 1};
    struct bst_supi supi;
    s->scheme = bst_suci_scheme(scheme);
    s->se = environment();
    must(bst_hn_key_add(s->se, &wish), "key");
    must(bst_sidf_init(&s->sidf, s->se, sidf_now), "keys");
    memcpy(home.public_key, s->sidf.keys[0].public_key, sizeof home.public_key);
    must(bst_supi_parse(BST_VIEW("imsi-001010000000001"), 2, &supi), "SUPI");
    must(bst_suci_conceal(&supi, &home, &s->suci), "conceal");
}

static EVP_PKEY *pair_of(enum bst_curve curve)
{
    EVP_PKEY *pair = NULL;
    must(bst_agree_key_generate(curve, &pair), "key pair");
    return pair;
}

/* A public half alone: OpenSSL frees the private one wrongly when another point is set. */
static EVP_PKEY *public_of(enum bst_curve curve)
{
    EVP_PKEY *pair = pair_of(curve), *made = EVP_PKEY_new();
    uint8_t point[BST_CURVE_POINT_MAX];
    must(bst_agree_key_point(curve, pair, point), "public key");
    if (curve == BST_CURVE_X25519) {
        EVP_PKEY_free(made);
        made = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, point, 32);
    } else {
        no_error(EVP_PKEY_copy_parameters(made, pair) == 1 &&
                     EVP_PKEY_set1_encoded_public_key(made, point, 33) == 1,
                 "public key");
    }
    EVP_PKEY_free(pair);
    return made;
}

static void bench_suci(uint8_t scheme, const char *name, bool decoded)
{
    static struct suci s;
    s = (struct suci){.decoded = decoded};
    suci_world(&s, scheme);
    s.home = pair_of(s.scheme->curve);
    s.peer = public_of(s.scheme->curve);
    s.derive = EVP_PKEY_CTX_new_from_pkey(NULL, s.home, NULL);
    s.aes = EVP_CIPHER_CTX_new();
    s.mac = hmac_context();
    s.md = EVP_MD_CTX_new();
    s.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    no_error(EVP_PKEY_derive_init(s.derive) == 1 &&
                 EVP_EncryptInit_ex2(s.aes, EVP_aes_128_ctr(), NULL, NULL, NULL) == 1,
             name);
    compare(&(struct subject){name, reveal, &s}, &(struct subject){"", bare_reveal, &s});
    EVP_PKEY_free(s.home);
    EVP_PKEY_free(s.peer);
    EVP_PKEY_CTX_free(s.derive);
    EVP_CIPHER_CTX_free(s.aes);
    EVP_MAC_CTX_free(s.mac);
    EVP_MD_CTX_free(s.md);
    EVP_MD_free(s.sha256);
    bst_suci_clear(&s.suci);
    bst_se_close(&s.se);
}

static void bench_suci_pq(uint8_t scheme, const char *name)
{
    static struct suci s;
    s = (struct suci){0};
    suci_world(&s, scheme);
    compare(&(struct subject){name, reveal, &s}, NULL);
    bst_suci_clear(&s.suci);
    bst_se_close(&s.se);
}

int main(int argc, char **argv)
{
    bench_vectors();
    bench_service(argc > 1 ? argv[1] : ".");
    bench_suci(BST_SUCI_PROFILE_A, "SUCI profile A revealed", false);
    bench_suci(BST_SUCI_PROFILE_B, "SUCI profile B revealed", false);
    bench_suci(BST_SUCI_PROFILE_A, "SUCI profile A, reference with decoded keys", true);
    bench_suci(BST_SUCI_PROFILE_B, "SUCI profile B, reference with decoded keys", true);
    if (bst_kem_provider()) {
        bench_suci_pq(BST_SUCI_MLKEM768, "SUCI ML-KEM-768 revealed");
        bench_suci_pq(BST_SUCI_X25519_MLKEM768, "SUCI X25519 with ML-KEM-768 revealed");
    }
    return 0;
}
