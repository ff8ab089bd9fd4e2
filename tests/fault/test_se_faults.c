/* Every operation of a secure environment with its n-th call failing, for every n: into the token,
 * into storage, into memory. And with the module's process ending or hanging at that call.
 *
 * After each fault: the failure has a class and a sentence, nothing was left behind or lost, and
 * the same operation works. */
#include "support/test.h"

#include "crypto/aead.h"
#include "crypto/digest.h"
#include "crypto/pkey.h"
#include "se/se.h"
#include "support/faulty_token.h"
#include "support/se_host.h"
#include "support/softhsm.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>

#define AUTO_SE __attribute__((cleanup(bst_se_close))) struct bst_se
#define SOFT_URI "se:soft?dir=keys"
#define CALLS_MAX 200

static struct softhsm hsm;
static const char *no_softhsm; /* why, or NULL */
static struct bst_se_host files;
static int64_t now_us = TEST_HOST_WALL_US;
static struct faulty_p11 *faults;
static struct scratch order;
static char end_file[300];

static int64_t wall(void *ctx)
{
    return now_us;
}

/* SoftHSM2 itself loses an object identifier at each EdDSA signature. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "fast_unwind_on_malloc=0";
}
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libsofthsm2";
}

/* ---- the keys that stay, and what is done with them ---- */

enum kept { PAIR, MAC, SEAL, PSK, KEK, LOOSE, KEPT };

struct bench {
    struct bst_se *se;
    bst_key keys[KEPT];
    struct bst_buf blob, sealed_to, wrapped, spki;
    struct bst_secret pkcs8;
    size_t count; /* of keys, when nothing is under way */
};

static const struct bst_key_attrs kept[KEPT] = {
    [PAIR] = {.type = BST_KEY_EC_P256,
              .uses = BST_KEY_USE_SIGN | BST_KEY_USE_AGREE,
              .label = "pair",
              .persistent = true},
    [MAC] = {.uses = BST_KEY_USE_MAC | BST_KEY_USE_DERIVE, .label = "mac", .persistent = true},
    [SEAL] = {.uses = BST_KEY_USE_SEAL, .label = "seal", .persistent = true},
    [PSK] = {.uses = BST_KEY_USE_PSK, .label = "psk", .persistent = true},
    [KEK] = {.uses = BST_KEY_USE_KEK, .label = "kek", .persistent = true},
    [LOOSE] = {.uses = BST_KEY_USE_WRAP | BST_KEY_USE_MAC, .label = "loose", .persistent = true},
};

static const struct bst_key_attrs made = {
    .type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN, .label = "made", .persistent = true};
static const struct bst_key_attrs made_secret = {
    .uses = BST_KEY_USE_PSK, .label = "made", .persistent = true};

/* A key of the operation itself goes again; the fault was the one before, so this works. */
static bst_result done_with(struct bench *b, bst_key key, bst_result r)
{
    if (!bst_failed(r)) {
        bst_result gone = bst_se_key_delete(b->se, key);
        if (bst_failed(gone)) {
            assert_ok(bst_se_key_delete(b->se, key)); /* only one call of a run fails */
            return gone;
        }
    }
    return r;
}

static bst_result generate_pair(struct bench *b)
{
    bst_key key = 0;
    bst_result r = bst_se_key_generate(b->se, &made, &key);
    return done_with(b, key, r);
}

static bst_result generate_secret(struct bench *b)
{
    bst_key key = 0;
    bst_result r = bst_se_key_generate(b->se, &made_secret, &key);
    return done_with(b, key, r);
}

static bst_result import_pair(struct bench *b)
{
    bst_key key = 0;
    bst_result r = bst_se_key_import(b->se, &made, &b->pkcs8, &key);
    return done_with(b, key, r);
}

static bst_result import_secret(struct bench *b)
{
    bst_key key = 0;
    bst_auto(secret) value = {0};
    BST_TRY(bst_secret_copy(&value, "thirty-two octets of a known key", 32));
    bst_result r = bst_se_key_import(b->se, &made_secret, &value, &key);
    return done_with(b, key, r);
}

static bst_result derive(struct bench *b)
{
    const struct bst_key_attrs attrs = {.uses = BST_KEY_USE_PSK};
    const struct bst_view part = BST_VIEW("label");
    bst_key key = 0;
    bst_result r = bst_se_derive(b->se, b->keys[MAC], &part, 1, &attrs, &key);
    return done_with(b, key, r);
}

static bst_result sign(struct bench *b)
{
    bst_auto(buf) signature = {0};
    return bst_se_sign(b->se, b->keys[PAIR], BST_MD_SHA256, BST_VIEW("m"), &signature);
}

static bst_result public_half(struct bench *b)
{
    bst_auto(buf) spki = {0};
    BST_TRY(bst_se_key_public(b->se, b->keys[PAIR], &spki));
    return bst_view_eq(bst_buf_view(&spki), bst_buf_view(&b->spki)) ? BST_OK
                                                                    : bst_error(BST_E_CORRUPT);
}

static bst_result mac(struct bench *b)
{
    uint8_t out[BST_SHA256_BYTES];
    const struct bst_view part = BST_VIEW("m");
    return bst_se_mac(b->se, b->keys[MAC], &part, 1, out);
}

static bst_result seal(struct bench *b)
{
    bst_auto(buf) blob = {0};
    return bst_se_seal(b->se, b->keys[SEAL], BST_VIEW("a"), BST_VIEW("text"), &blob);
}

static bst_result unseal(struct bench *b)
{
    bst_auto(buf) text = {0};
    BST_TRY(bst_se_unseal(b->se, b->keys[SEAL], BST_VIEW("a"), bst_buf_view(&b->blob), &text));
    return bst_view_is(bst_buf_view(&text), "text") ? BST_OK : bst_error(BST_E_CORRUPT);
}

static bst_result ecies_open(struct bench *b)
{
    bst_auto(secret) text = {0};
    return bst_se_ecies_open(b->se, b->keys[PAIR], BST_VIEW("i"), bst_buf_view(&b->sealed_to),
                             &text);
}

static bst_result release(struct bench *b)
{
    bst_auto(secret) psk = {0};
    return bst_se_release_psk(b->se, b->keys[PSK], "fault run", &psk);
}

static bst_result wrap(struct bench *b)
{
    bst_auto(buf) blob = {0};
    return bst_se_wrap(b->se, b->keys[KEK], b->keys[LOOSE], &blob);
}

static bst_result unwrap(struct bench *b)
{
    const struct bst_key_attrs attrs = {.label = "made", .persistent = true};
    bst_key key = 0;
    bst_result r = bst_se_unwrap(b->se, b->keys[KEK], bst_buf_view(&b->wrapped), &attrs, &key);
    return done_with(b, key, r);
}

static bst_result check_value(struct bench *b)
{
    uint8_t out[BST_SE_CHECK_BYTES];
    return bst_se_check_value(b->se, b->keys[MAC], out);
}

static bst_result some_random(struct bench *b)
{
    uint8_t out[16];
    return bst_se_random(b->se, out, sizeof out);
}

static const struct {
    const char *name;
    bst_result (*run)(struct bench *b);
} operations[] = {
    {"generate a pair", generate_pair},
    {"generate a secret key", generate_secret},
    {"import a pair", import_pair},
    {"import a secret key", import_secret},
    {"derive", derive},
    {"sign", sign},
    {"public half", public_half},
    {"mac", mac},
    {"seal", seal},
    {"unseal", unseal},
    {"ecies", ecies_open},
    {"release", release},
    {"wrap", wrap},
    {"unwrap", unwrap},
    {"check value", check_value},
    {"random", some_random},
};
#define OPERATIONS (sizeof operations / sizeof operations[0])

static void find_kept(struct bench *b)
{
    for (size_t i = 0; i < KEPT; i++) {
        assert_ok(bst_se_key_find(b->se, kept[i].label, &b->keys[i]));
        assert_true(b->keys[i] != 0);
    }
    assert_int_equal(bst_se_key_count(b->se), KEPT);
}

static void bench_open(struct bench *b, const struct bst_se_host *host, const char *uri)
{
    bst_auto_pkey *pkey = NULL;
    memset(b, 0, sizeof *b);
    assert_ok(bst_se_open(host, uri, &b->se));
    assert_ok(bst_se_wipe(b->se)); /* of what a case before left */
    for (size_t i = 0; i < KEPT; i++) {
        assert_ok(bst_se_key_generate(b->se, &kept[i], &b->keys[i]));
    }
    assert_ok(bst_se_key_public(b->se, b->keys[PAIR], &b->spki));
    assert_ok(bst_se_seal(b->se, b->keys[SEAL], BST_VIEW("a"), BST_VIEW("text"), &b->blob));
    assert_ok(bst_ecies_seal(bst_buf_view(&b->spki), BST_VIEW("i"), BST_VIEW("t"), &b->sealed_to));
    assert_ok(bst_se_wrap(b->se, b->keys[KEK], b->keys[LOOSE], &b->wrapped));
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &pkey));
    assert_ok(bst_pkey_private(pkey, &b->pkcs8));
}

static void bench_close(struct bench *b, bool wipe)
{
    for (size_t i = 0; wipe && i < KEPT; i++) {
        assert_ok(bst_se_key_delete(b->se, b->keys[i]));
    }
    bst_se_close(&b->se);
    bst_buf_clear(&b->spki);
    bst_buf_clear(&b->blob);
    bst_buf_clear(&b->sealed_to);
    bst_buf_clear(&b->wrapped);
    bst_secret_clear(&b->pkcs8);
}

/* ---- a fault at each call of each operation ---- */

struct fault {
    void (*set)(struct bench *b, long n); /* 0: none from now on */
    long (*calls)(void);                  /* since it was set */
    enum bst_error allowed[4];            /* OK at the end */
};

static void check_failure(const struct fault *f, const char *name, long n, bst_result r)
{
    bool allowed = !bst_failed(r);
    for (size_t i = 0; i < 4 && bst_failed(r) && f->allowed[i]; i++) {
        allowed = allowed || f->allowed[i] == r.code;
    }
    if (!allowed || (bst_failed(r) && r.code != BST_E_NOMEM && !bst_error_detail()[0])) {
        fail_msg("%s, fault at call %ld: %s: '%s'", name, n, bst_error_name(r.code),
                 bst_error_detail());
    }
}

static void one_fault(struct bench *b, const struct fault *f, size_t op, long n)
{
    f->set(b, n);
    bst_result r = operations[op].run(b);
    check_failure(f, operations[op].name, n, r);
    f->set(b, 0);
    bst_result again = operations[op].run(b);
    if (bst_failed(again)) {
        fail_msg("%s does not work after a fault at call %ld: %s", operations[op].name, n,
                 bst_error_detail());
    }
    assert_int_equal(bst_se_key_count(b->se), KEPT);
}

static void every_fault(struct bench *b, const struct fault *f)
{
    long total = 0;
    for (size_t op = 0; op < OPERATIONS; op++) {
        f->set(b, CALLS_MAX * 10); /* counted, not reached */
        assert_ok(operations[op].run(b));
        long calls = f->calls();
        assert_true(calls < CALLS_MAX);
        for (long n = 1; n <= calls; n++) {
            one_fault(b, f, op, n);
        }
        total += calls;
    }
    assert_true(total > 10);
    f->set(b, 0);
}

/* ---- software ---- */

static struct test_host soft_host;

static void fail_write(struct bench *b, long n)
{
    soft_host.writes = 0;
    soft_host.fail_at = n;
}

static long writes(void)
{
    return soft_host.writes;
}

static void fail_allocation(struct bench *b, long n)
{
    bst_alloc_fail_at(n);
}

static void any_write_of_the_software_backend_may_fail(void **state)
{
    static const struct fault fault = {fail_write, writes, {BST_E_DISK_FULL, BST_E_IO}};
    struct bench b;
    test_host_init(&soft_host);
    bench_open(&b, &soft_host.host, SOFT_URI);
    every_fault(&b, &fault);
    bst_se_close(&b.se);
    assert_ok(bst_se_open(&soft_host.host, SOFT_URI, &b.se));
    find_kept(&b);
    assert_ok(public_half(&b));
    bench_close(&b, true);
    test_host_clear(&soft_host);
}

static void any_allocation_of_the_software_backend_may_fail(void **state)
{
    static const struct fault fault = {fail_allocation, bst_alloc_count, {BST_E_NOMEM}};
    struct bench b;
    test_host_init(&soft_host);
    bench_open(&b, &soft_host.host, SOFT_URI);
    every_fault(&b, &fault);
    bench_close(&b, true);
    test_host_clear(&soft_host);
}

/* ---- a token ---- */

static const char *token_uri(const char *module, const char *more)
{
    static char uri[700];
    snprintf(uri, sizeof uri, "pkcs11:token=faults?module-path=%s&pin-source=file:%s%s", module,
             hsm.pin, more);
    return uri;
}

/* One after the other, so that each place sees some of them. */
static const CK_RV failures[] = {CKR_FUNCTION_FAILED, CKR_DEVICE_MEMORY, CKR_HOST_MEMORY};

static void fail_call(struct bench *b, long n)
{
    *faults = (struct faulty_p11){.fail_at = n, .rv = failures[n % 3]};
}

static void fill_token(struct bench *b, long n)
{
    *faults = (struct faulty_p11){.fail_at = n, .rv = CKR_DEVICE_MEMORY};
}

static void lose_sessions(struct bench *b, long n)
{
    *faults = (struct faulty_p11){.fail_at = n, .rv = CKR_DEVICE_REMOVED, .lost = true};
}

static long calls_into_token(void)
{
    return faults->calls;
}

static void reopened_with_everything(struct bench *b, const char *uri)
{
    bst_se_close(&b->se);
    assert_ok(bst_se_open(&files, uri, &b->se));
    find_kept(b);
    assert_ok(public_half(b));
}

static void any_call_into_the_token_may_fail(void **state)
{
    skip_without(no_softhsm);
    faulty_token_reset(&faults);
    static const struct fault fault = {
        fail_call, calls_into_token, {BST_E_SE_TOKEN, BST_E_DISK_FULL, BST_E_NOMEM, BST_E_BAD_MAC}};
    const char *uri = token_uri(getenv("BST_FAULTY_P11"), "&in-process=yes");
    struct bench b;
    bench_open(&b, &files, uri);
    every_fault(&b, &fault);
    reopened_with_everything(&b, uri);
    bench_close(&b, true);
}

/* What PKCS#11 loses with its sessions are keys that were not to be kept. */
static void a_token_may_be_taken_away_at_any_call(void **state)
{
    skip_without(no_softhsm);
    faulty_token_reset(&faults);
    static const struct fault fault = {
        lose_sessions, calls_into_token, {BST_E_BUSY, BST_E_NOT_FOUND, BST_E_BAD_MAC}};
    const char *uri = token_uri(getenv("BST_FAULTY_P11"), "&in-process=yes");
    struct bench b;
    bench_open(&b, &files, uri);
    every_fault(&b, &fault);
    reopened_with_everything(&b, uri);
    bench_close(&b, true);
}

static void a_full_token_says_so_and_loses_nothing(void **state)
{
    skip_without(no_softhsm);
    faulty_token_reset(&faults);
    struct bench b;
    bench_open(&b, &files, token_uri(getenv("BST_FAULTY_P11"), "&in-process=yes"));
    bst_key key = 0;
    fill_token(&b, 4); /* after the looks for the label: the first object */
    bst_result r = bst_se_key_generate(b.se, &made_secret, &key);
    for (long n = 5; !bst_failed(r) && n < 20; n++) {
        assert_ok(bst_se_key_delete(b.se, key));
        fill_token(&b, n);
        r = bst_se_key_generate(b.se, &made_secret, &key);
    }
    assert_int_equal(r.code, BST_E_DISK_FULL);
    assert_non_null(strstr(bst_error_detail(), "it is full; delete keys"));
    assert_non_null(strstr(bst_error_detail(), "delete keys"));
    fill_token(&b, 0);
    for (size_t op = 0; op < OPERATIONS; op++) {
        assert_ok(operations[op].run(&b));
    }
    bench_close(&b, true);
}

/* ---- its process ---- */

static pid_t token_process(void)
{
    pid_t found = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *e = readdir(tasks); e; e = readdir(tasks)) {
        char path[300], line[4096] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/children", e->d_name);
        FILE *file = fopen(path, "r");
        if (file && fgets(line, sizeof line, file) && line[0]) {
            found = (pid_t)strtol(line, NULL, 10);
        }
        if (file) {
            fclose(file);
        }
    }
    closedir(tasks);
    return found;
}

static int open_files(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir)) {
        n++;
    }
    closedir(dir);
    return n;
}

static void order_end(long n)
{
    char text[32];
    snprintf(text, sizeof text, "%ld\n", n);
    assert_true(softhsm_put(end_file, text));
}

/* The next process ends at its n-th call; the one that is there ends now. */
static void end_at(long n)
{
    pid_t pid = token_process();
    order_end(n);
    if (pid) {
        kill(pid, SIGKILL);
    }
    now_us += 2000000; /* it is started once a second */
}

static void check_ended(size_t op, long n, bst_result r)
{
    static const struct fault fault = {.allowed = {BST_E_BUSY, BST_E_NOT_FOUND}};
    check_failure(&fault, operations[op].name, n, r);
}

static void its_process_may_end_at_any_call(void **state)
{
    skip_without(no_softhsm);
    order_end(0);
    const char *uri = token_uri(getenv("BST_FAULTY_P11"), "");
    int before = open_files();
    struct bench b;
    bench_open(&b, &files, uri);
    for (size_t op = 0; op < OPERATIONS; op++) {
        for (long n = 1; n <= 6; n += 1 + n % 2) {
            end_at(n);
            check_ended(op, n, operations[op].run(&b));
            end_at(0);
            assert_ok(operations[op].run(&b));
            assert_int_equal(bst_se_key_count(b.se), KEPT);
        }
    }
    reopened_with_everything(&b, uri);
    bench_close(&b, true);
    assert_int_equal(token_process(), 0);
    assert_int_equal(open_files(), before);
}

static void a_module_that_crashes_at_each_start_is_started_once_a_second(void **state)
{
    skip_without(no_softhsm);
    order_end(0);
    struct bench b;
    bench_open(&b, &files, token_uri(getenv("BST_FAULTY_P11"), ""));
    end_at(1);
    for (int i = 0; i < 3; i++) {
        assert_err(sign(&b), BST_E_BUSY);
        assert_non_null(strstr(bst_error_detail(), "faults"));
    }
    assert_err(sign(&b), BST_E_BUSY);
    assert_non_null(strstr(bst_error_detail(), "once a second"));
    end_at(0);
    assert_ok(sign(&b));
    bench_close(&b, true);
}

static void a_module_that_hangs_is_ended_and_others_do_not_wait_for_it(void **state)
{
    skip_without(no_softhsm);
    order_end(0);
    struct bench b;
    bench_open(&b, &files, token_uri(getenv("BST_FAULTY_P11"), "&timeout=1"));
    pid_t old = token_process();
    assert_true(old > 0);
    kill(old, SIGSTOP);
    assert_int_equal(waitpid(old, NULL, WUNTRACED), old); /* all its threads have stopped */
    assert_err(sign(&b), BST_E_BUSY);
    assert_non_null(strstr(bst_error_detail(), "did not answer in time"));
    now_us += 2000000;
    bst_result r = sign(&b);
    for (int i = 0; bst_failed(r) && i < 2000; i++) {
        assert_int_equal(r.code, BST_E_BUSY);
        poll(NULL, 0, 5);
        r = sign(&b);
    }
    assert_ok(r);
    assert_int_not_equal(token_process(), old);
    /* A module that hangs again, while it is being started. */
    order_end(-2);
    kill(token_process(), SIGKILL);
    now_us += 2000000;
    assert_err(sign(&b), BST_E_BUSY);
    end_at(0);
    for (int i = 0; bst_failed(r = sign(&b)) && i < 2000; i++) {
        poll(NULL, 0, 5);
    }
    assert_ok(r);
    bench_close(&b, true);
}

/* ---- PIN and uses, on the token itself ---- */

static void uses_are_refused_by_the_token_too(void **state)
{
    skip_without(no_softhsm);
    struct bench b;
    bst_auto(buf) blob = {0};
    bst_auto(secret) value = {0};
    const struct bst_view part = BST_VIEW("m");
    uint8_t out[BST_SHA256_BYTES];
    bench_open(&b, &files, token_uri(hsm.module, ""));
    assert_err(bst_se_seal(b.se, b.keys[MAC], part, part, &blob), BST_E_SE_USAGE);
    assert_err(bst_se_mac(b.se, b.keys[SEAL], &part, 1, out), BST_E_SE_USAGE);
    assert_err(bst_se_sign(b.se, b.keys[PSK], BST_MD_SHA256, part, &blob), BST_E_SE_USAGE);
    assert_err(bst_se_release_psk(b.se, b.keys[MAC], "t", &value), BST_E_SE_USAGE);
    assert_err(bst_se_wrap(b.se, b.keys[KEK], b.keys[PSK], &blob), BST_E_SE_USAGE);
    assert_err(bst_se_wrap(b.se, b.keys[SEAL], b.keys[LOOSE], &blob), BST_E_SE_USAGE);
    bench_close(&b, true);
}

static void a_wrapped_key_comes_back_equal_and_only_under_its_key(void **state)
{
    skip_without(no_softhsm);
    struct bench b;
    bst_key back = 0, other = 0;
    uint8_t one[BST_SE_CHECK_BYTES], two[BST_SE_CHECK_BYTES];
    const struct bst_key_attrs attrs = {.label = ""}, kek = {.uses = BST_KEY_USE_KEK};
    bench_open(&b, &files, token_uri(hsm.module, ""));
    struct bst_view blob = bst_buf_view(&b.wrapped);
    assert_ok(bst_se_unwrap(b.se, b.keys[KEK], blob, &attrs, &back));
    assert_ok(bst_se_check_value(b.se, b.keys[LOOSE], one));
    assert_ok(bst_se_check_value(b.se, back, two));
    assert_memory_equal(one, two, sizeof one);
    assert_ok(bst_se_key_delete(b.se, back));
    assert_ok(bst_se_key_generate(b.se, &kek, &other));
    assert_err(bst_se_unwrap(b.se, other, blob, &attrs, &back), BST_E_BAD_MAC);
    assert_ok(bst_se_key_delete(b.se, other));
    for (size_t cut = 1; cut < blob.len; cut += 7) {
        bst_result r =
            bst_se_unwrap(b.se, b.keys[KEK], bst_view_of(blob.ptr, blob.len - cut), &attrs, &back);
        assert_true(r.code == BST_E_BAD_MAC || r.code == BST_E_TRUNCATED ||
                    r.code == BST_E_VERSION);
    }
    bench_close(&b, true);
}

static void a_blocked_token_stays_blocked_until_it_is_wiped(void **state)
{
    skip_without(no_softhsm);
    struct bench b;
    const char *uri = token_uri(hsm.module, "");
    bench_open(&b, &files, uri);
    assert_ok(bst_se_block(b.se, "lost"));
    assert_err(sign(&b), BST_E_SE_BLOCKED);
    bst_se_close(&b.se);
    assert_ok(bst_se_open(&files, uri, &b.se));
    assert_int_equal(bst_se_state(b.se), BST_SE_BLOCKED);
    assert_ok(bst_se_key_find(b.se, "pair", &b.keys[PAIR]));
    assert_err(sign(&b), BST_E_SE_BLOCKED);
    assert_ok(bst_se_wipe(b.se));
    assert_int_equal(bst_se_key_count(b.se), 0);
    bench_close(&b, false);
    bench_open(&b, &files, uri);
    assert_ok(sign(&b));
    bench_close(&b, true);
}

static void a_pin_is_changed_and_a_wrong_old_one_counts(void **state)
{
    skip_without(no_softhsm);
    struct bench b;
    bst_auto(secret) right = {0}, wrong = {0}, fresh = {0};
    struct bst_se_about about;
    assert_ok(bst_secret_copy(&right, SOFTHSM_PIN, strlen(SOFTHSM_PIN)));
    assert_ok(bst_secret_copy(&wrong, "99999999", 8));
    assert_ok(bst_secret_copy(&fresh, "16180339", 8));
    bench_open(&b, &files, token_uri(hsm.module, ""));
    assert_err(bst_se_pin_change(b.se, &wrong, &fresh), BST_E_SE_PIN);
    assert_null(strstr(bst_error_detail(), "99999999"));
    assert_ok(bst_se_pin_change(b.se, &right, &fresh));
    assert_ok(sign(&b));
    assert_ok(bst_se_pin_change(b.se, &fresh, &right));
    bst_se_about(b.se, &about);
    bench_close(&b, true);
}

static int set_up(void **state)
{
    bst_se_host_file(&files, wall);
    if (access("/dev/shm", W_OK) == 0) { /* SoftHSM2 writes a file for every step */
        setenv("TMPDIR", "/dev/shm", 0);
    }
    if (!softhsm_make(&hsm, "faults", &no_softhsm)) {
        return 0;
    }
    no_softhsm = NULL;
    scratch_make(&order);
    snprintf(end_file, sizeof end_file, "%s", scratch_path(&order, "end"));
    return setenv(FAULTY_P11_BEHIND, hsm.module, 1) || setenv(FAULTY_P11_END, end_file, 1);
}

static int tear_down(void **state)
{
    if (order.dir[0]) {
        scratch_remove(&order);
    }
    softhsm_remove(&hsm);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_write_of_the_software_backend_may_fail),
        cmocka_unit_test(any_allocation_of_the_software_backend_may_fail),
        cmocka_unit_test(any_call_into_the_token_may_fail),
        cmocka_unit_test(a_token_may_be_taken_away_at_any_call),
        cmocka_unit_test(a_full_token_says_so_and_loses_nothing),
        cmocka_unit_test(its_process_may_end_at_any_call),
        cmocka_unit_test(a_module_that_crashes_at_each_start_is_started_once_a_second),
        cmocka_unit_test(a_module_that_hangs_is_ended_and_others_do_not_wait_for_it),
        cmocka_unit_test(uses_are_refused_by_the_token_too),
        cmocka_unit_test(a_wrapped_key_comes_back_equal_and_only_under_its_key),
        cmocka_unit_test(a_blocked_token_stays_blocked_until_it_is_wiped),
        cmocka_unit_test(a_pin_is_changed_and_a_wrong_old_one_counts),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
