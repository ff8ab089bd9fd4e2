/* core5g: no branch and no address depends on a secret where tags and answers are checked, whether
 * they are right or wrong. Shown by valgrind: keys and tags are marked as undefined, and it reports
 * every decision that depends on them.
 *
 * The outcome of a comparison is public, and so are the numbers and identities that come out after
 * it: these are the only places where a mark is taken off, by wrappers of the linker around
 * bst_equal_ct() and the functions that receive them. The wrappers count marked comparisons, so
 * that a case without any fails; controls that leak must be reported.
 *
 * SNOW 3G, SNOW 5G and ZUC look tables up by secret bytes, which docs/5g.md says: for them the tags
 * are marked and the keys are not. */
#include "core5g/air/air.h"
#include "core5g/aka/aka.h"
#include "core5g/suci/sidf.h"
#include "crypto/kem.h"
#include "obs/log.h"
#include "support/taint.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPORTED 9
#define NO_VALGRIND 127
#define SKIPPED 77

#define SN BST_VIEW("5G:mnc001.mcc001.3gppnetwork.org")

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s: %s\n", what, bst_error_detail());
        _exit(3);
    }
}
#define OK(call) must(!bst_failed(call), #call)
#define FAILS(call, error) must((call).code == (error), #call)

/* ---- where marks come on and off ---- */

static unsigned compared; /* with something marked in it */
static bool keep_outcome; /* a control */
static struct bst_aka_keys subscriber;
static struct bst_view pq_key; /* with its marks; empty: the subscriber's */
static bool mark_key_data;

bool __real_bst_equal_ct(const void *a, const void *b, size_t bytes);
bool __wrap_bst_equal_ct(const void *a, const void *b, size_t bytes);
bool __wrap_bst_equal_ct(const void *a, const void *b, size_t bytes)
{
    compared += tainted(a, bytes) || tainted(b, bytes);
    bool equal = __real_bst_equal_ct(a, b, bytes);
    if (!keep_outcome) {
        declassify(&equal, sizeof equal);
    }
    return equal;
}

/* The routine gets K and OPc marked, as an environment would hand them over. */
bst_result __wrap_bst_se_run(struct bst_se *se, bst_key key, const struct bst_se_routine *routine,
                             void *io);
bst_result __wrap_bst_se_run(struct bst_se *se, bst_key key, const struct bst_se_routine *routine,
                             void *io)
{
    bst_auto(secret) packed = {0};
    if (pq_key.len) {
        return routine->run(pq_key, io);
    }
    OK(bst_aka_keys_pack(&subscriber, &packed));
    taint(packed.ptr + 8, packed.len - 8);
    return routine->run(bst_view_of(packed.ptr, packed.len), io);
}

bst_result __real_bst_se_agree(struct bst_se *se, bst_key key, struct bst_view point,
                               struct bst_view info, size_t len, struct bst_secret *ret);
bst_result __wrap_bst_se_agree(struct bst_se *se, bst_key key, struct bst_view point,
                               struct bst_view info, size_t len, struct bst_secret *ret);
bst_result __wrap_bst_se_agree(struct bst_se *se, bst_key key, struct bst_view point,
                               struct bst_view info, size_t len, struct bst_secret *ret)
{
    bst_result agreed = __real_bst_se_agree(se, key, point, info, len, ret);
    if (!bst_failed(agreed) && mark_key_data) {
        taint(ret->ptr, ret->len);
    }
    return agreed;
}

bst_result __real_bst_kem_decapsulate(struct bst_view dk, struct bst_view ciphertext,
                                      uint8_t shared[BST_KEM_SHARED_BYTES]);
bst_result __wrap_bst_kem_decapsulate(struct bst_view dk, struct bst_view ciphertext,
                                      uint8_t shared[BST_KEM_SHARED_BYTES]);
bst_result __wrap_bst_kem_decapsulate(struct bst_view dk, struct bst_view ciphertext,
                                      uint8_t shared[BST_KEM_SHARED_BYTES])
{
    bst_result opened = __real_bst_kem_decapsulate(dk, ciphertext, shared);
    taint(shared, BST_KEM_SHARED_BYTES);
    return opened;
}

/* An authentic number is told to the network, an authentic identity is what was asked for. */
bool __real_bst_sqn_fresh(const struct bst_sqn_array *array, const uint8_t sqn[BST_SQN_BYTES]);
bool __wrap_bst_sqn_fresh(const struct bst_sqn_array *array, const uint8_t sqn[BST_SQN_BYTES]);
bool __wrap_bst_sqn_fresh(const struct bst_sqn_array *array, const uint8_t sqn[BST_SQN_BYTES])
{
    declassify(sqn, BST_SQN_BYTES);
    return __real_bst_sqn_fresh(array, sqn);
}

bst_result __real_bst_supi_take_input(struct bst_view input, struct bst_supi *ret);
bst_result __wrap_bst_supi_take_input(struct bst_view input, struct bst_supi *ret);
bst_result __wrap_bst_supi_take_input(struct bst_view input, struct bst_supi *ret)
{
    declassify(input.ptr, input.len);
    return __real_bst_supi_take_input(input, ret);
}

/* ---- AKA ---- */

static bst_result no_load(void *ctx, struct bst_sqn_array *ret)
{
    *ret = (struct bst_sqn_array){0};
    return BST_OK;
}

static bst_result no_keep(void *ctx, const struct bst_sqn_array *array)
{
    return BST_OK;
}

static struct bst_aka_vector vector_of(struct bst_aka_challenge *challenge)
{
    struct bst_aka_vector v;
    struct bst_aka_ready ready = {0};
    OK(bst_aka_ready_init(&ready, &subscriber));
    OK(bst_aka_ready_vectors(&ready, challenge, 1, &v));
    bst_aka_ready_clear(&ready);
    return v;
}

/* A good challenge, a replay, a wrong MAC; then AUTS in both ways. */
static void usim(const struct bst_aka_algorithm *algorithm)
{
    const struct bst_usim_host host = {NULL, no_load, no_keep};
    struct bst_usim usim;
    struct bst_usim_answer good, replay, bad;
    struct bst_aka_challenge challenge = {
        .rand = {7}, .sqn = {0, 0, 0, 0, 1, 0}, .amf = {0x80}, .sn_name = SN};
    uint8_t sqn_ms[BST_SQN_BYTES];
    subscriber = algorithm->usual;
    memset(subscriber.k, 0x4b, subscriber.k_bytes);
    memset(subscriber.opc, 0x0c, algorithm->op_bytes);
    struct bst_aka_vector v = vector_of(&challenge);
    OK(bst_usim_open(&usim, NULL, 1, &host));
    OK(bst_usim_answer(&usim, v.rand, v.autn, SN, &good));
    must(good.verdict == BST_USIM_OK, "a good challenge");
    taint(v.xres_star, 16);
    taint(v.hxres_star, 16);
    OK(bst_aka_check_hres_star(v.rand, v.hxres_star, good.res_star));
    OK(bst_aka_check_res_star(v.xres_star, good.res_star));
    good.res_star[3] ^= 1;
    FAILS(bst_aka_check_hres_star(v.rand, v.hxres_star, good.res_star), BST_E_BAD_MAC);
    FAILS(bst_aka_check_res_star(v.xres_star, good.res_star), BST_E_BAD_MAC);
    OK(bst_usim_answer(&usim, v.rand, v.autn, SN, &replay));
    must(replay.verdict == BST_USIM_SYNC_FAILURE, "a replay");
    v.autn[9] ^= 1;
    OK(bst_usim_answer(&usim, v.rand, v.autn, SN, &bad));
    must(bad.verdict == BST_USIM_MAC_FAILURE, "a wrong MAC");
    OK(bst_aka_auts(NULL, 1, v.rand, replay.auts, sqn_ms));
    replay.auts[13] ^= 1;
    FAILS(bst_aka_auts(NULL, 1, v.rand, replay.auts, sqn_ms), BST_E_BAD_MAC);
}

/* The home network makes vectors from marked keys; nothing is compared there. */
static void vectors(void)
{
    struct bst_aka_challenge challenges[20] = {{.amf = {0x80}, .sn_name = SN}};
    struct bst_aka_vector v[20];
    for (size_t i = 1; i < 20; i++) {
        challenges[i] = challenges[0];
        challenges[i].rand[0] = (uint8_t)i;
    }
    OK(bst_aka_vectors_5g(NULL, 1, challenges, 20, v));
    must(tainted(v[19].kausf, 32) || !RUNNING_ON_VALGRIND, "marks of the keys");
}

/* ---- SUCI ---- */

static int64_t now(void)
{
    return 1;
}

static int64_t se_now(void *ctx)
{
    return 1;
}

static void suci(uint8_t scheme)
{
    static struct bst_sidf sidf;
    struct bst_se_host host = {0};
    struct bst_se *se = NULL;
    const struct bst_hn_wish wish = {.id = 1, .scheme = scheme, .temporary = true};
    struct bst_suci_home home = {.scheme = scheme, .key_id = 1};
    struct bst_supi supi;
    bst_auto(suci) sent = {0};
    bst_se_host_file(&host, se_now);
    OK(bst_se_open(&host, "se:soft", &se));
    OK(bst_hn_key_add(se, &wish));
    OK(bst_sidf_init(&sidf, se, now));
    memcpy(home.public_key, sidf.keys[0].public_key, sizeof home.public_key);
    OK(bst_supi_parse(BST_VIEW("nai-a.rather.long.user.name.of.many.octets@a"), 2, &supi));
    OK(bst_suci_conceal(&supi, &home, &sent));
    mark_key_data = true;
    OK(bst_sidf_reveal(&sidf, &sent, &supi));
    sent.output.ptr[sent.output.len - 1] ^= 1;
    FAILS(bst_sidf_reveal(&sidf, &sent, &supi), BST_E_CREDENTIAL);
    mark_key_data = false;
    bst_se_close(&se);
}

/* Marked: what ML-KEM gives, and with PQClean's code the secret vector and z too (OpenSSL checks
 * the vector when it reads a key). X25519 is not: OpenSSL itself decides whether its result is
 * zero, which is public. A changed ciphertext is rejected by the tag only. */
static void suci_pq(uint8_t id)
{
    const struct bst_suci_scheme *scheme = bst_suci_scheme(id);
    static const uint8_t seed[96] = {1, 2};
    static uint8_t home[BST_SUCI_PUBLIC_MAX];
    bst_auto(secret) value = {0};
    bst_auto(buf) output = {0}, plain = {0};
    OK(scheme->read_private(scheme, bst_view_of(seed, scheme->hybrid ? 96 : 64), &value));
    pq_key = bst_view_of(value.ptr, value.len);
    OK(scheme->public_of(scheme, NULL, 1, home));
    OK(scheme->conceal(scheme, bst_view_of(home, scheme->public_bytes), NULL, SN, &output));
    if (strcmp(bst_kem_provider(), "PQClean") == 0) {
        taint(value.ptr, 1152);
        taint(value.ptr + 2368, 32);
    }
    OK(scheme->reveal(scheme, NULL, 1, bst_buf_view(&output), &plain));
    declassify(plain.ptr, plain.len);
    must(bst_view_eq(bst_buf_view(&plain), SN), "what was concealed");
    output.ptr[5] ^= 1;
    FAILS(scheme->reveal(scheme, NULL, 1, bst_buf_view(&output), &plain), BST_E_BAD_MAC);
    pq_key = BST_VIEW("");
}

/* ---- air interface ---- */

/* The second of two packets has a wrong tag. */
static void air_batch(struct bst_air_key *key, const struct bst_air_place *place, const uint8_t *in,
                      size_t len, const uint8_t tag[BST_AIR_TAG_MAX])
{
    uint8_t tags[2][BST_AIR_TAG_MAX], opened[2][64];
    struct bst_air_packet packets[2];
    for (size_t i = 0; i < 2; i++) {
        memcpy(tags[i], tag, sizeof tags[i]);
        packets[i] = (struct bst_air_packet){.key = key,
                                             .place = *place,
                                             .aad = SN,
                                             .in = in,
                                             .bits = len * 8,
                                             .out = opened[i],
                                             .tag = tags[i]};
    }
    tags[1][0] ^= 4;
    taint(tags, sizeof tags);
    must(bst_air_open_batch(packets, 2) == 1 && !bst_failed(packets[0].result) &&
             packets[1].result.code == BST_E_BAD_MAC,
         "a batch");
}

/* Right and wrong tags that are marked, single and in batches. */
static void air(const struct bst_air_algorithm *algorithm)
{
    static const uint8_t key_octets[32] = {3, 1, 4}, text[61] = {1, 5, 9};
    const struct bst_air_place place = {7, 3, BST_AIR_DOWNLINK};
    uint8_t key[32], iv[BST_AIR_IV_BYTES], out[sizeof text], tag[BST_AIR_TAG_MAX];
    struct bst_air_key k = {0};
    bool aead = algorithm->kind == BST_AIR_NCA;
    memcpy(key, key_octets, sizeof key);
    if (algorithm->core == BST_AIR_AES) {
        taint(key, sizeof key);
    }
    OK(bst_air_key_init(&k, algorithm, bst_view_of(key, algorithm->key_bytes), 0));
    OK(bst_air_iv(&k, &place, iv));
    OK(aead ? bst_air_seal(&k, iv, SN, bst_view_of(text, sizeof text), out, tag)
            : bst_air_mac(&k, iv, text, sizeof text * 8, tag));
    for (unsigned wrong = 0; wrong < 2; wrong++) {
        const struct bst_view given = bst_view_of(tag, k.tag_bytes);
        uint8_t opened[sizeof text];
        taint(tag, sizeof tag);
        bst_result checked =
            aead ? bst_air_open(&k, iv, SN, bst_view_of(out, sizeof out), given, opened)
                 : bst_air_check(&k, iv, text, sizeof text * 8, given);
        must(checked.code == (wrong ? BST_E_BAD_MAC : BST_E_NONE), algorithm->name);
        tag[1] ^= 1;
    }
    air_batch(&k, &place, aead ? out : text, sizeof text, tag);
    bst_air_key_clear(&k);
}

static void air_all(void)
{
    const struct bst_air_algorithm *row;
    for (size_t i = 0; (row = bst_air_at(i)); i++) {
        if (row->kind != BST_AIR_NEA && row->id != 0) {
            unsigned before = compared;
            air(row);
            must(!RUNNING_ON_VALGRIND || compared >= before + 4, row->name);
        }
    }
}

/* ---- cases ---- */

static void run_checks(void)
{
    usim(&bst_aka_milenage);
    usim(&bst_aka_tuak);
    usim(&bst_aka_milenage256);
    vectors();
    must(!RUNNING_ON_VALGRIND || compared >= 3 * 9, "comparisons of AKA");
    compared = 0;
    suci(BST_SUCI_PROFILE_A);
    suci(BST_SUCI_PROFILE_B);
    must(!RUNNING_ON_VALGRIND || compared >= 4, "comparisons of SUCI");
    if (bst_kem_provider()) {
        suci_pq(BST_SUCI_MLKEM768);
        suci_pq(BST_SUCI_X25519_MLKEM768);
        must(!RUNNING_ON_VALGRIND || compared >= 8, "comparisons of post-quantum SUCI");
    }
    air_all();
}

/* Stops at the first octet that differs, as memcmp() may. */
static bool leaky_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (a[i] != b[i]) {
            return false;
        }
    }
    return true;
}

static void run_leaky_comparison(void)
{
    uint8_t right[16] = {1, 2, 3}, given[16] = {1, 2, 3};
    taint(right, sizeof right);
    must(leaky_equal(right, given, sizeof right), "the same octets");
}

/* The same checks, but the outcome stays marked: shows that the marks arrive there. */
static void run_marked_outcome(void)
{
    keep_outcome = true;
    usim(&bst_aka_milenage);
}

static void run_table(void)
{
    static const uint8_t table[256] = {[7] = 1};
    volatile uint8_t out;
    uint8_t secret = 7;
    taint(&secret, 1);
    out = table[secret];
    (void)out;
}

/* Does valgrind start here at all? Debian's wants the symbols of libc6-dbg. */
static void run_nothing(void)
{
}

static const struct {
    const char *name;
    void (*run)(void);
    int status;
} cases[] = {
    {"start", run_nothing, 0},
    {"checks", run_checks, 0},
    {"leaky-comparison", run_leaky_comparison, REPORTED},
    {"marked-outcome", run_marked_outcome, REPORTED},
    {"secret-address", run_table, REPORTED},
};

/* What a control is reported for is not shown. */
static int under_valgrind(const char *self, const char *name, bool quiet)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        if (quiet && !freopen("/dev/null", "w", stderr)) {
            _exit(1);
        }
        execlp("valgrind", "valgrind", "-q", "--error-exitcode=9", "--leak-check=no", self, name,
               (char *)NULL);
        _exit(NO_VALGRIND);
    }
    must(child > 0 && waitpid(child, &status, 0) == child, "fork");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int run_all(const char *self)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int status =
            TAINT_POSSIBLE ? under_valgrind(self, cases[i].name, cases[i].status) : NO_VALGRIND;
        if (status == NO_VALGRIND || (i == 0 && status != 0)) {
            printf("SKIP valgrind, its header or libc6-dbg is not there\n");
            return SKIPPED;
        }
        if (status != cases[i].status) {
            printf("FAILED %s: exit status %d, expected %d\n", cases[i].name, status,
                   cases[i].status);
            failed = 1;
        } else {
            printf("ok %s: %s\n", cases[i].name, status ? "reported, as it must be" : "no report");
        }
    }
    return failed;
}

int main(int argc, char **argv)
{
    bst_log_configure(&(struct bst_log_setup){.level = BST_LOG_ERROR});
    for (size_t i = 0; argc > 1 && i < sizeof cases / sizeof cases[0]; i++) {
        if (strcmp(argv[1], cases[i].name) == 0) {
            cases[i].run();
            return 0;
        }
    }
    return run_all(argv[0]);
}
