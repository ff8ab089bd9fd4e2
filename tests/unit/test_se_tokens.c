/* What is particular to tokens: answers in words, a module's process that is slow on purpose, and
 * keys that are not kept on a token that has kept ones only. */
#include "support/test.h"

#include "se/pkcs11/p11_priv.h"
#include "se/pkcs11/remote_priv.h"
#include "se/tpm2/tpm2_priv.h"
#include "support/faulty_token.h"
#include "support/softhsm.h"
#include "support/token_objects.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define AUTO_SE __attribute__((cleanup(bst_se_close))) struct bst_se

static struct softhsm hsm;
static const char *no_softhsm; /* why, or NULL */
static struct bst_se_host host;
static struct faulty_p11 *faults;
static int64_t now_us = INT64_C(1800000000000000);

static int64_t wall(void *ctx)
{
    return now_us;
}

/* SoftHSM2 itself leaks. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libsofthsm2";
}

/* ---- words ---- */

static void is_in_words(const char *text, unsigned long code)
{
    static const char *const raw[] = {"CKR",   "CKM",   "CKF", "TPM_RC",
                                      "TPM2_", "TSS2_", "0x",  "(null)"};
    for (size_t i = 0; i < sizeof raw / sizeof raw[0]; i++) {
        if (strstr(text, raw[i])) {
            fail_msg("%lx: %s", code, text);
        }
    }
    for (const char *at = strchr(text, '_'); at; at = strchr(at + 1, '_')) {
        if (at - text < 4 || memcmp(at - 4, "tpm2_", 5) != 0) { /* the tools are named so */
            fail_msg("%lx: %s", code, text);
        }
    }
    assert_true(strlen(text) > 30);
}

static bool is_told(const struct p11 *p, CK_RV rv, const char *word)
{
    assert_true(bst_failed(p11_fail(p, rv, "signing")));
    is_in_words(bst_error_detail(), rv);
    return strstr(bst_error_detail(), word);
}

static void whatever_a_token_answers_is_told_in_words(void **state)
{
    struct p11 p = {.address = {.token = "hsm"}};
    static const CK_RV standard[] = {
        CKR_GENERAL_ERROR,
        CKR_ATTRIBUTE_TYPE_INVALID,
        CKR_FUNCTION_NOT_PARALLEL,
        CKR_KEY_INDIGESTIBLE,
        CKR_SESSION_READ_ONLY_EXISTS,
        CKR_UNWRAPPING_KEY_SIZE_RANGE,
        CKR_STATE_UNSAVEABLE,
        CKR_MUTEX_BAD,
        CKR_RANDOM_SEED_NOT_SUPPORTED,
        CKR_FUNCTION_REJECTED,
    };
    for (CK_RV rv = 1; rv < 0x400; rv++) {
        (void)is_told(&p, rv, "");
    }
    for (size_t i = 0; i < sizeof standard / sizeof standard[0]; i++) {
        assert_false(is_told(&p, standard[i], "no meaning"));
    }
    assert_true(is_told(&p, 0x3ff, "PKCS #11 has no meaning for, number 1023"));
    assert_true(is_told(&p, CKR_VENDOR_DEFINED | 77, "its maker's own, number 77"));
    assert_true(is_told(&p, P11_RV_ENDED, "crashed or was ended"));
    assert_true(is_told(&p, P11_RV_HUNG, "hung"));
    for (unsigned i = 0; i < P11_MECHS; i++) {
        assert_true(bst_failed(p11_need(&p, (enum p11_mech)i, "do this")));
        is_in_words(bst_error_detail(), i);
    }
}

static bool tpm_tells(const struct tpm2 *t, TSS2_RC rc, const char *word)
{
    assert_true(bst_failed(tpm2_fail(t, rc, "signing")));
    is_in_words(bst_error_detail(), rc);
    return strstr(bst_error_detail(), word);
}

static void whatever_a_tpm_answers_is_told_in_words(void **state)
{
    struct tpm2 t = {.address = {.tcti = "device:/dev/tpmrm0"}};
    static const TSS2_RC standard[] = {TPM2_RC_SEQUENCE, TPM2_RC_NEEDS_TEST, TPM2_RC_VALUE,
                                       TPM2_RC_TICKET,   TPM2_RC_POLICY_CC,  TPM2_RC_REFERENCE_S6};
    for (TSS2_RC rc = 1; rc < 0x1000; rc++) {
        (void)tpm_tells(&t, rc, "");
        (void)tpm_tells(&t, rc | TSS2_RESMGR_TPM_RC_LAYER, "");
    }
    for (TSS2_RC layer = 1; layer < 16; layer++) {
        for (TSS2_RC base = 1; base < 64; base++) {
            (void)tpm_tells(&t, layer << TSS2_RC_LAYER_SHIFT | base, "");
        }
    }
    for (size_t i = 0; i < sizeof standard / sizeof standard[0]; i++) {
        assert_false(tpm_tells(&t, standard[i], "no meaning"));
    }
    assert_true(tpm_tells(&t, 0x17e, "TPM 2.0 has no meaning for, number 382"));
}

/* ---- a peer that drips ---- */

struct dripping {
    int fd;
    bool reads; /* else it writes */
    struct p11_message answer;
    CK_ULONG rv;
    size_t at_once; /* bytes before it begins to drip */
    atomic_bool stop;
};

static void *drip(void *arg)
{
    struct dripping *d = arg;
    uint8_t bytes[4096];
    size_t len = 0;
    for (unsigned i = 0; i <= d->answer.head.n; i++) {
        memcpy(bytes + len, d->answer.part[i].iov_base, d->answer.part[i].iov_len);
        len += d->answer.part[i].iov_len;
    }
    for (size_t at = 0; !d->stop && (d->reads || at < len); at++) {
        size_t n = !d->reads && at == 0 && d->at_once ? d->at_once : 1;
        ssize_t moved =
            d->reads ? recv(d->fd, bytes, 1, 0) : send(d->fd, bytes + at, n, MSG_NOSIGNAL);
        if (moved <= 0) {
            break;
        }
        at += n - 1;
        poll(NULL, 0, at + 1 == len ? 0 : 50);
    }
    return NULL;
}

static int64_t seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

/* An answer of some hundred bytes to C_GetTokenInfo; dripped it takes half a minute. */
static bool ask(bool dripped, struct p11_limit *limit)
{
    int ends[2];
    pthread_t thread;
    CK_TOKEN_INFO info = {{0}}, got;
    struct p11_arg args[] = {{1, NULL}, {sizeof got, &got}};
    struct p11_exchange x;
    struct dripping d = {.rv = CKR_OK};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    d.fd = ends[1];
    p11_message_start(&d.answer, P11_FN_C_GetTokenInfo);
    assert_true(p11_message_add(&d.answer, &d.rv, sizeof d.rv));
    assert_true(p11_message_add(&d.answer, &info, sizeof info));
    d.at_once = dripped ? 0 : sizeof d.answer.head + sizeof d.rv + sizeof info;
    assert_true(p11_exchange_pack(&x, P11_FN_C_GetTokenInfo, args));
    *limit = p11_limit_in(dripped ? 400 : 60000);
    pthread_create(&thread, NULL, drip, &d);
    bool good = p11_exchange_run(&x, ends[0], limit);
    close(ends[0]);
    pthread_join(thread, NULL);
    close(ends[1]);
    return good;
}

static void an_answer_that_drips_has_no_more_time_than_a_whole_one(void **state)
{
    struct p11_limit limit;
    int64_t began = seconds();
    assert_false(ask(true, &limit));
    assert_true(limit.late);
    assert_true(seconds() - began < 12);
    assert_true(ask(false, &limit));
    assert_false(limit.late);
}

static void a_request_that_is_read_in_drips_ends_at_the_limit_too(void **state)
{
    static uint8_t much[4 << 20];
    int ends[2];
    pthread_t thread;
    struct p11_message m;
    struct dripping d = {.reads = true};
    struct p11_limit limit = p11_limit_in(400);
    int64_t began = seconds();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    d.fd = ends[1];
    p11_message_start(&m, P11_FN_C_GenerateRandom);
    assert_true(p11_message_add(&m, much, sizeof much));
    pthread_create(&thread, NULL, drip, &d);
    assert_false(p11_message_send(ends[0], &m, &limit));
    assert_true(limit.late);
    assert_true(seconds() - began < 12);
    d.stop = true;
    pthread_join(thread, NULL);
    close(ends[0]);
    close(ends[1]);
}

/* ---- keys that are not kept, on a token with kept ones only ---- */

static const char *uri_of(const char *module, const char *more)
{
    static char uri[700];
    snprintf(uri, sizeof uri, "pkcs11:token=tokens?module-path=%s&pin-source=file:%s%s", module,
             hsm.pin, more);
    return uri;
}

static const char *faulty_uri(void)
{
    return uri_of(getenv("BST_FAULTY_P11"), "&in-process=yes");
}

static struct bst_se *open_uri(const char *uri)
{
    struct bst_se *se = NULL;
    assert_ok(bst_se_open(&host, uri, &se));
    return se;
}

static int on_token(void)
{
    return token_objects(hsm.module);
}

static const struct bst_key_attrs pair = {.type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN},
                                  secret = {.uses = BST_KEY_USE_MAC, .label = "work"};

static bool sign_with(struct bst_se *se, bst_key key)
{
    bst_auto(buf) signature = {0};
    return !bst_failed(bst_se_sign(se, key, BST_MD_SHA256, BST_VIEW("m"), &signature));
}

static void temporary_keys_are_on_the_token_as_long_as_they_are_held(void **state)
{
    skip_without(no_softhsm);
    faulty_token_reset(&faults);
    faults->kept_only = true;
    int before = on_token();
    AUTO_SE *se = open_uri(faulty_uri());
    struct bst_se_about about;
    bst_key key = 0, other = 0, kept = 0;
    uint8_t mac[32];
    assert_ok(bst_se_key_generate(se, &pair, &key));
    assert_ok(bst_se_key_generate(se, &secret, &other));
    assert_true(sign_with(se, key));
    assert_ok(bst_se_mac(se, other, NULL, 0, mac));
    assert_int_equal(on_token(), before + 5); /* two halves, a secret, and who made each */
    bst_se_about(se, &about);
    assert_non_null(strstr(about.lacks, "session keys"));
    /* Its label is free for a key that another program keeps. */
    AUTO_SE *second = open_uri(uri_of(hsm.module, ""));
    struct bst_key_attrs same = secret;
    same.persistent = true;
    assert_int_equal(bst_se_key_count(second), 0);
    assert_ok(bst_se_key_generate(second, &same, &kept));
    assert_ok(bst_se_key_delete(second, kept));
    assert_ok(bst_se_key_delete(se, key));
    assert_int_equal(on_token(), before + 2);
    bst_se_close(&se);
    assert_int_equal(on_token(), before);
    faulty_token_reset(&faults);
}

/* A program that makes two keys, signs when it is told to, and is killed. */
struct holder {
    pid_t pid;
    int to, from;
};

static void hold(int in, int out)
{
    struct bst_se *se = NULL;
    bst_key key = 0, other = 0;
    char told;
    setenv(FAULTY_P11_KEPT_ONLY, "1", 1);
    bool ok = !bst_failed(bst_se_open(&host, uri_of(getenv("BST_FAULTY_P11"), ""), &se)) &&
              !bst_failed(bst_se_key_generate(se, &pair, &key)) &&
              !bst_failed(bst_se_key_generate(se, &secret, &other));
    while (write(out, ok ? "y" : "n", 1) == 1 && read(in, &told, 1) == 1) {
        ok = ok && sign_with(se, key);
    }
    _exit(0);
}

static char hear(const struct holder *h)
{
    char said = '-';
    struct pollfd one = {.fd = h->from, .events = POLLIN};
    return poll(&one, 1, 60000) == 1 && read(h->from, &said, 1) == 1 ? said : '-';
}

static struct holder start_holder(void)
{
    int to[2], from[2];
    struct holder h;
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    h = (struct holder){.pid = fork(), .to = to[1], .from = from[0]};
    if (h.pid == 0) {
        close(to[1]);
        hold(to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    assert_int_equal(hear(&h), 'y');
    return h;
}

static void kill_holder(struct holder *h)
{
    kill(h->pid, SIGKILL);
    waitpid(h->pid, NULL, 0);
    close(h->to);
    close(h->from);
}

static void what_a_killed_program_left_goes_and_what_is_in_use_stays(void **state)
{
    skip_without(no_softhsm);
    int before = on_token();
    struct holder h = start_holder();
    assert_int_equal(on_token(), before + 5);
    struct bst_se *se = open_uri(uri_of(hsm.module, ""));
    assert_int_equal(bst_se_key_count(se), 0); /* nobody else's business */
    assert_int_equal(on_token(), before + 5);
    assert_int_equal(write(h.to, "s", 1), 1);
    assert_int_equal(hear(&h), 'y'); /* it still signs */
    bst_se_close(&se);
    kill_holder(&h);
    assert_int_equal(on_token(), before + 5);
    se = open_uri(uri_of(hsm.module, ""));
    assert_int_equal(on_token(), before);
    bst_se_close(&se);
}

static void wiping_takes_temporary_keys_of_whoever_made_them(void **state)
{
    skip_without(no_softhsm);
    int before = on_token();
    struct holder h = start_holder();
    AUTO_SE *se = open_uri(uri_of(hsm.module, ""));
    assert_ok(bst_se_wipe(se));
    assert_int_equal(on_token(), before);
    assert_int_equal(write(h.to, "s", 1), 1);
    assert_int_equal(hear(&h), 'n');
    kill_holder(&h);
}

static void a_temporary_key_that_could_not_be_removed_goes_later(void **state)
{
    skip_without(no_softhsm);
    faulty_token_reset(&faults);
    faults->kept_only = true;
    int before = on_token();
    AUTO_SE *se = open_uri(faulty_uri());
    bst_key key = 0, other = 0;
    assert_ok(bst_se_key_generate(se, &pair, &key));
    faults->away = true;
    assert_ok(bst_se_key_delete(se, key));
    faults->away = false;
    assert_int_equal(on_token(), before + 3);
    now_us += 2000000; /* it is looked for once a second */
    assert_ok(bst_se_key_generate(se, &pair, &other));
    assert_true(sign_with(se, other));
    assert_ok(bst_se_key_delete(se, other));
    assert_int_equal(on_token(), before);
    faulty_token_reset(&faults);
}

static void any_fault_while_a_temporary_key_is_made_leaves_nothing(void **state)
{
    skip_without(no_softhsm);
    faulty_token_reset(&faults);
    faults->kept_only = true;
    int before = on_token();
    AUTO_SE *se = open_uri(faulty_uri());
    long calls = 1;
    for (long n = 0; n <= calls; n++) {
        bst_key key = 0;
        *faults = (struct faulty_p11){.kept_only = true, .fail_at = n, .rv = CKR_FUNCTION_FAILED};
        bst_result made = bst_se_key_generate(se, &pair, &key);
        calls = n ? calls : faults->calls;
        *faults = (struct faulty_p11){.kept_only = true};
        assert_true(!bst_failed(made) || made.code == BST_E_SE_TOKEN);
        if (key) {
            assert_ok(bst_se_key_delete(se, key));
        }
    }
    assert_true(calls > 3);
    assert_int_equal(on_token(), before);
    faulty_token_reset(&faults);
}

/* ---- a token that takes secret keys and tells them ---- */

static void a_token_that_shows_secret_keys_gets_none(void **state)
{
    skip_without(no_softhsm);
    static const struct {
        bool shows, kept_only;
        enum bst_error error;
    } tokens[] = {{false, false, BST_E_NONE},
                  {true, false, BST_E_SE_MECHANISM},
                  {false, true, BST_E_NONE},
                  {true, true, BST_E_SE_MECHANISM}};
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        faulty_token_reset(&faults);
        faults->hidden = CKM_GENERIC_SECRET_KEY_GEN;
        faults->shows = tokens[i].shows;
        faults->kept_only = tokens[i].kept_only;
        int before = on_token();
        AUTO_SE *se = open_uri(faulty_uri());
        struct bst_se_about about;
        bst_key key = 0;
        bst_se_about(se, &about);
        bool refused = tokens[i].error != BST_E_NONE;
        assert_int_equal(strstr(about.lacks, "secret keys") != NULL, refused);
        assert_err(bst_se_key_generate(se, &secret, &key), tokens[i].error);
        bst_se_close(&se);
        assert_int_equal(on_token(), before);
    }
    faulty_token_reset(&faults);
}

static int set_up(void **state)
{
    bst_se_host_file(&host, wall);
    if (!softhsm_make(&hsm, "tokens", &no_softhsm)) {
        return 0;
    }
    no_softhsm = NULL;
    return setenv(FAULTY_P11_BEHIND, hsm.module, 1);
}

static int tear_down(void **state)
{
    softhsm_remove(&hsm);
    return 0;
}

int main(int argc, char **argv)
{
    token_objects_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_a_token_answers_is_told_in_words),
        cmocka_unit_test(whatever_a_tpm_answers_is_told_in_words),
        cmocka_unit_test(an_answer_that_drips_has_no_more_time_than_a_whole_one),
        cmocka_unit_test(a_request_that_is_read_in_drips_ends_at_the_limit_too),
        cmocka_unit_test(temporary_keys_are_on_the_token_as_long_as_they_are_held),
        cmocka_unit_test(what_a_killed_program_left_goes_and_what_is_in_use_stays),
        cmocka_unit_test(wiping_takes_temporary_keys_of_whoever_made_them),
        cmocka_unit_test(a_temporary_key_that_could_not_be_removed_goes_later),
        cmocka_unit_test(any_fault_while_a_temporary_key_is_made_leaves_nothing),
        cmocka_unit_test(a_token_that_shows_secret_keys_gets_none),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
