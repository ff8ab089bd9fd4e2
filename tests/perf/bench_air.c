/* Air-interface algorithms on one core: Gbit/s at a message length (1500 octets by default), keys
 * at hand, a new IV each; one packet after the other and in batches of 32. Beside each stands what
 * it is measured against, in turns of the same run: OpenSSL's AES or intel-ipsec-mb's multi-buffer
 * calls. Usage: bench_air [OCTETS]
 * A line a figure: what | measured | reference | ratio | goal | holds */
#include "core5g/air/air.h"
#include "perf.h"

#include <openssl/evp.h>
#include <string.h>
#include <time.h>

#ifdef BENCH_IPSEC_MB
#include <intel-ipsec-mb.h>
#endif

#define SLICE_NS 4e6
#define SLICES 15
#define PACKETS 32
#define LEN_MAX 65536
#define CYCLES_LEN 8192

#define ROOM (LEN_MAX + 128)
static uint8_t all_text[PACKETS * ROOM], all_out[PACKETS * ROOM], tags[PACKETS][BST_AIR_TAG_MAX];
static const uint8_t key_octets[32] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
static size_t len = 1500;

/* One packet behind the other, as in a program's buffers: at a distance of a power of two they
 * would fight for the same lines of the cache. */
static size_t place_of(size_t i)
{
    return i * ((len + 127) / 64 * 64);
}
static uint8_t *text_of(size_t i)
{
    return all_text + place_of(i);
}
static uint8_t *out_of(size_t i)
{
    return all_out + place_of(i);
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* other load does not count */
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Cycles a nanosecond: multiplications that wait for each other take three each (x86-64). */
static double cycles_per_ns(void)
{
    double best = 0;
#ifdef __x86_64__
    for (int i = 0; i < 10; i++) {
        uint64_t x = 3;
        double start = now_ns();
        for (int k = 0; k < 200000; k++) {
            __asm__ volatile("imul %0, %0" : "+r"(x));
        }
        double rate = 3 * 200000 / (now_ns() - start);
        best = rate > best ? rate : best;
    }
#endif
    return best;
}

/* ---- what is measured: each does PACKETS packets ---- */

struct subject {
    const struct bst_air_algorithm *row;
    struct bst_air_key key;
    struct bst_air_packet packets[PACKETS];
    EVP_CIPHER_CTX *evp;
    bool gcm;
    uint32_t count;
};
typedef void work_fn(struct subject *s);

static void ours_single(struct subject *s)
{
    uint8_t iv[BST_AIR_IV_BYTES];
    for (size_t i = 0; i < PACKETS; i++) {
        const struct bst_air_place place = {s->count++, 3, BST_AIR_DOWNLINK};
        must(bst_air_iv(&s->key, &place, iv), "iv");
        switch (s->row->kind) {
        case BST_AIR_NEA:
            must(bst_air_cipher(&s->key, iv, text_of(i), len * 8, out_of(i)), "cipher");
            break;
        case BST_AIR_NIA:
            must(bst_air_mac(&s->key, iv, text_of(i), len * 8, tags[i]), "mac");
            break;
        default:
            must(bst_air_seal(&s->key, iv, bst_view_of(text_of(0), 2), bst_view_of(text_of(i), len),
                              out_of(i), tags[i]),
                 "seal");
        }
    }
}

static void ours_batch(struct subject *s)
{
    for (size_t i = 0; i < PACKETS; i++) {
        s->packets[i].place.count = s->count++;
    }
    if (bst_air_protect_batch(s->packets, PACKETS) > 0) {
        fprintf(stderr, "a batch failed\n");
        exit(1);
    }
}

static void openssl(struct subject *s)
{
    uint8_t iv[BST_AIR_IV_BYTES] = {0}, tag[16];
    for (size_t i = 0; i < PACKETS; i++, s->count++) {
        int n = 0, good = 1;
        memcpy(iv, &s->count, 4);
        good &= EVP_EncryptInit_ex2(s->evp, NULL, NULL, iv, NULL);
        if (s->gcm) {
            good &= EVP_EncryptUpdate(s->evp, NULL, &n, text_of(0), 2);
        }
        good &= EVP_EncryptUpdate(s->evp, out_of(i), &n, text_of(i), (int)len);
        if (s->gcm) {
            good &= EVP_EncryptFinal_ex(s->evp, out_of(i), &n);
            good &= EVP_CIPHER_CTX_ctrl(s->evp, EVP_CTRL_AEAD_GET_TAG, 16, tag);
        }
        if (good != 1) {
            fprintf(stderr, "OpenSSL failed\n");
            exit(1);
        }
    }
}

#ifdef BENCH_IPSEC_MB
static IMB_MGR *manager;
static uint8_t imb_iv[PACKETS][16] __attribute__((aligned(16)));
static uint8_t imb_aes[2][11 * 16] __attribute__((aligned(16)));
static uint8_t imb_subkeys[2][16] __attribute__((aligned(16)));
static uint8_t imb_key[16] __attribute__((aligned(16)));
static snow3g_key_schedule_t imb_snow3g;

static bool imb_init(void)
{
    IMB_ARCH arch = IMB_ARCH_NONE;
    manager = alloc_mb_mgr(0);
    if (manager) {
        init_mb_mgr_auto(manager, &arch);
        memcpy(imb_key, key_octets, sizeof imb_key);
        IMB_AES_KEYEXP_128(manager, imb_key, imb_aes[0], imb_aes[1]);
        IMB_AES_CMAC_SUBKEY_GEN_128(manager, imb_aes[0], imb_subkeys[0], imb_subkeys[1]);
        IMB_SNOW3G_INIT_KEY_SCHED(manager, imb_key, &imb_snow3g);
    }
    return arch != IMB_ARCH_NONE;
}

static void imb_cipher(IMB_JOB *job, uint8_t id)
{
    job->hash_alg = IMB_AUTH_NULL;
    job->key_len_in_bytes = 16;
    job->iv_len_in_bytes = 16;
    job->cipher_start_src_offset_in_bytes = 0;
    job->msg_len_to_cipher_in_bytes = id == 1 ? len * 8 : len;
    job->cipher_mode = id == 1 ? IMB_CIPHER_SNOW3G_UEA2_BITLEN : IMB_CIPHER_ZUC_EEA3;
    job->enc_keys = id == 1 ? (const void *)&imb_snow3g : imb_key;
}

static void imb_hash(IMB_JOB *job, uint8_t id, size_t i)
{
    static const IMB_HASH_ALG algorithms[] = {0, IMB_AUTH_SNOW3G_UIA2_BITLEN,
                                              IMB_AUTH_AES_CMAC_BITLEN, IMB_AUTH_ZUC_EIA3_BITLEN};
    job->cipher_mode = IMB_CIPHER_NULL;
    job->hash_alg = algorithms[id];
    job->hash_start_src_offset_in_bytes = 0;
    job->msg_len_to_hash_in_bits = len * 8;
    job->auth_tag_output = tags[i];
    job->auth_tag_output_len_in_bytes = 4;
    if (id == 1) {
        job->u.SNOW3G_UIA2._key = &imb_snow3g;
        job->u.SNOW3G_UIA2._iv = imb_iv[i];
    } else if (id == 2) {
        job->u.CMAC._key_expanded = imb_aes[0];
        job->u.CMAC._skey1 = imb_subkeys[0];
        job->u.CMAC._skey2 = imb_subkeys[1];
    } else {
        job->u.ZUC_EIA3._key = imb_key;
        job->u.ZUC_EIA3._iv = imb_iv[i];
    }
}

/* Jobs with everything prepared; the header of NIA2 is taken as part of the message. */
static void ipsec_mb(struct subject *s)
{
    for (size_t i = 0; i < PACKETS; i++) {
        IMB_JOB *job = IMB_GET_NEXT_JOB(manager);
        memcpy(imb_iv[i], &s->count, 4);
        s->count++;
        job->cipher_direction = IMB_DIR_ENCRYPT;
        job->chain_order = IMB_ORDER_CIPHER_HASH;
        job->src = text_of(i);
        job->dst = out_of(i);
        job->iv = imb_iv[i];
        if (s->row->kind == BST_AIR_NEA) {
            imb_cipher(job, s->row->id);
        } else {
            imb_hash(job, s->row->id, i);
        }
        (void)IMB_SUBMIT_JOB_NOCHECK(manager);
    }
    while (IMB_FLUSH_JOB(manager)) {
    }
}
#endif

/* ---- rates ---- */

/* Gbit/s of one slice. */
static double slice(work_fn *work, struct subject *s)
{
    size_t n = 0;
    double start = now_ns(), end = start;
    for (; end - start < SLICE_NS; n += PACKETS) {
        work(s);
        end = now_ns();
    }
    return (double)n * (double)len * 8 / (end - start);
}

struct figure {
    double ours, reference, ratio; /* medians; 0: no reference */
};

static double middle(const double *values)
{
    int64_t fixed[SLICES];
    for (size_t i = 0; i < SLICES; i++) {
        fixed[i] = (int64_t)(values[i] * 1e6);
    }
    return (double)quantile(fixed, SLICES, 0.5) / 1e6;
}

static struct figure compare(work_fn *work, struct subject *s, work_fn *reference,
                             struct subject *of)
{
    double ours[SLICES], theirs[SLICES] = {0}, ratio[SLICES] = {0};
    for (size_t i = 0; i < SLICES; i++) {
        ours[i] = slice(work, s);
        if (reference) {
            theirs[i] = slice(reference, of);
            ratio[i] = ours[i] / theirs[i];
        }
    }
    return (struct figure){middle(ours), middle(theirs), middle(ratio)};
}

/* ---- subjects ---- */

static void prepare(struct subject *s, const struct bst_air_algorithm *row, const char *by)
{
    *s = (struct subject){.row = row};
    must(bst_air_use(bst_view(by)), by);
    must(bst_air_key_init(&s->key, row, bst_view_of(key_octets, row->key_bytes), 0), row->name);
    for (size_t i = 0; i < PACKETS; i++) {
        s->packets[i] = (struct bst_air_packet){.key = &s->key,
                                                .place = {0, 3, BST_AIR_DOWNLINK},
                                                .aad = bst_view_of(text_of(0), 2),
                                                .in = text_of(i),
                                                .bits = len * 8,
                                                .out = out_of(i),
                                                .tag = tags[i]};
    }
}

static void prepare_openssl(struct subject *s, const EVP_CIPHER *cipher, bool gcm)
{
    *s = (struct subject){.gcm = gcm, .evp = EVP_CIPHER_CTX_new()};
    if (!s->evp || EVP_EncryptInit_ex2(s->evp, cipher, key_octets, NULL, NULL) != 1) {
        fprintf(stderr, "OpenSSL cannot start\n");
        exit(1);
    }
}

/* ---- the figures ---- */

enum against { NOTHING, CTR128, CTR256, GCM256, MULTI_BUFFER };

/* Instructions on vectors in the inner loops, without loads, stores and moves (gcc 12). Of 512 bits
 * two a cycle at best: 76 for four steps of four lanes, 1257 for sixteen words of sixteen; of 256
 * or 128 bits three: 21 for one step of one packet, 2147 for sixteen words of eight lanes. */
#define SNOW5G_BOUND                                                                               \
    {                                                                                              \
        76.0 / 256 / 2, 21.0 / 16 / 3                                                              \
    }
#define ZUC_BOUND                                                                                  \
    {                                                                                              \
        1257.0 / 1024 / 2, 2147.0 / 512 / 3                                                        \
    }

/* Goals: of a ratio, and of Gbit/s in absolute terms, at 1500 octets; 0: none. The bound is in
 * cycles an octet, with AVX-512 and with AVX2. */
static const struct {
    const char *name;
    enum against single, batch;
    double single_ratio, batch_ratio, single_rate, portable_rate, bound[2];
} wanted[] = {
    {.name = "NEA1",
     .batch = MULTI_BUFFER,
     .batch_ratio = 0.9,
     .single_rate = 10.4,
     .portable_rate = 5.2},
    {.name = "NEA2", .single = CTR128, .batch = CTR128, .single_ratio = 0.9, .batch_ratio = 0.9},
    {.name = "NEA3",
     .batch = MULTI_BUFFER,
     .batch_ratio = 0.9,
     .single_rate = 5.6,
     .portable_rate = 2.8},
    {.name = "NIA1",
     .batch = MULTI_BUFFER,
     .batch_ratio = 0.9,
     .single_rate = 0.12,
     .portable_rate = 0.06},
    {.name = "NIA2", .batch = MULTI_BUFFER, .batch_ratio = 0.9},
    {.name = "NIA3",
     .batch = MULTI_BUFFER,
     .batch_ratio = 0.9,
     .single_rate = 1.5,
     .portable_rate = 0.75},
    {.name = "NEA4", .bound = SNOW5G_BOUND},
    {.name = "NEA5", .single = CTR256},
    {.name = "NEA6", .bound = ZUC_BOUND},
    {.name = "NIA4"},
    {.name = "NIA5"},
    {.name = "NIA6"},
    {.name = "NCA4"},
    {.name = "NCA5", .single = GCM256, .single_ratio = 0.6},
    {.name = "NCA6"},
};

static void print(const char *what, const struct figure *f, const char *reference, double goal)
{
    printf("%s, %zu octets|%.2f Gbit/s|", what, len, f->ours);
    if (f->reference > 0) {
        printf("%s %.2f Gbit/s|%.2f|", reference, f->reference, f->ratio);
    } else {
        printf("-|-|");
    }
    if (goal > 0 && f->reference > 0) {
        printf(">= %.2f|%s\n", goal, f->ratio >= goal ? "yes" : "NO");
    } else {
        printf("-|-\n");
    }
}

static void print_rate(const char *what, double rate, double goal)
{
    printf("%s, %zu octets|%.2f Gbit/s|-|-|", what, len, rate);
    if (goal > 0 && len == 1500) {
        printf(">= %.2f Gbit/s|%s\n", goal, rate >= goal ? "yes" : "NO");
    } else {
        printf("-|-\n");
    }
}

static void measure_against(enum against against, const char *what, work_fn *work,
                            struct subject *s, double goal)
{
    static const char *const names[] = {[CTR128] = "OpenSSL AES-128-CTR",
                                        [CTR256] = "OpenSSL AES-256-CTR",
                                        [GCM256] = "OpenSSL AES-256-GCM",
                                        [MULTI_BUFFER] = "ipsec-mb multi-buffer"};
    struct subject of = {.row = s->row};
    work_fn *reference = NULL;
    if (against == CTR128 || against == CTR256 || against == GCM256) {
        prepare_openssl(&of,
                        against == CTR128   ? EVP_aes_128_ctr()
                        : against == CTR256 ? EVP_aes_256_ctr()
                                            : EVP_aes_256_gcm(),
                        against == GCM256);
        reference = openssl;
    }
#ifdef BENCH_IPSEC_MB
    if (against == MULTI_BUFFER && manager) {
        reference = ipsec_mb;
    }
#endif
    struct figure f = compare(work, s, reference, &of);
    print(what, &f, names[against], goal);
    EVP_CIPHER_CTX_free(of.evp);
}

/* Long packets, so that it is the inner loop which is measured. */
static void print_cycles(struct subject *s, const char *by, double ghz, double bound)
{
    const size_t before = len;
    len = CYCLES_LEN;
    for (size_t i = 0; i < PACKETS; i++) {
        s->packets[i].bits = len * 8;
        s->packets[i].in = text_of(i);
        s->packets[i].out = out_of(i);
    }
    double cycles = 8 * ghz / compare(ours_batch, s, NULL, NULL).ours;
    printf("%s in batches, %s, cycles an octet, %zu octets|%.3f|instruction bound %.3f|%.2f|-|-\n",
           s->row->name, by, len, cycles, bound, cycles / bound);
    len = before;
}

/* By each implementation that has a bound, where the machine has it. */
static void print_bounds(const struct bst_air_algorithm *row, double ghz, const double bound[2])
{
    static const char *const by[2] = {"avx512", "avx2"};
    for (int i = 0; i < 2; i++) {
        struct subject s;
        if (bound[i] > 0 && ghz > 0 && !bst_failed(bst_air_use(bst_view(by[i])))) {
            prepare(&s, row, by[i]);
            print_cycles(&s, by[i], ghz, bound[i]);
            bst_air_key_clear(&s.key);
        }
    }
}

static void measure(size_t n, double ghz)
{
    const struct bst_air_algorithm *row = bst_air_named(bst_view(wanted[n].name));
    struct subject s;
    char what[96];
    prepare(&s, row, "auto");
    snprintf(what, sizeof what, "%s (%s), packet by packet, %s", row->name, row->made_of,
             bst_air_used(&s.key, false));
    if (wanted[n].single_rate > 0) {
        print_rate(what, compare(ours_single, &s, NULL, NULL).ours, wanted[n].single_rate);
    } else {
        measure_against(wanted[n].single, what, ours_single, &s, wanted[n].single_ratio);
    }
    snprintf(what, sizeof what, "%s (%s), batches of %d, %s", row->name, row->made_of, PACKETS,
             bst_air_used(&s.key, true));
    measure_against(wanted[n].batch, what, ours_batch, &s, wanted[n].batch_ratio);
    bst_air_key_clear(&s.key);
    print_bounds(row, ghz, wanted[n].bound);
    prepare(&s, row, "portable");
    snprintf(what, sizeof what, "%s (%s), packet by packet, portable", row->name, row->made_of);
    print_rate(what, compare(ours_single, &s, NULL, NULL).ours, wanted[n].portable_rate);
    bst_air_key_clear(&s.key);
}

int main(int argc, char **argv)
{
    len = argc > 1 ? strtoul(argv[1], NULL, 10) : len;
    if (len == 0 || len > LEN_MAX) {
        fprintf(stderr, "a length from 1 to %d\n", LEN_MAX);
        return 2;
    }
#ifdef BENCH_IPSEC_MB
    if (!imb_init()) {
        fprintf(stderr, "intel-ipsec-mb does not start here: nothing is measured against it\n");
        manager = NULL;
    }
#endif
    double ghz = cycles_per_ns();
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        measure(i, ghz);
    }
    return 0;
}
