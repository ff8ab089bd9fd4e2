/* One suite for every backend, and what only tokens have: PINs, faults, going away. */
#include "support/test.h"

#include "se/selftest.h"
#include "support/faulty_token.h"
#include "support/softhsm.h"
#include "support/tls_world.h"
#include "support/token_objects.h"
#include "support/tpm2_pkcs11.h"

#include <pthread.h>
#include <stdatomic.h>

#define AUTO_SE __attribute__((cleanup(bst_se_close))) struct bst_se

static struct softhsm hsm;
static const char *no_softhsm; /* why, or NULL */
static struct swtpm tpm;
static const char *no_swtpm;
static struct tpm2_pkcs11 behind_pkcs11;
static const char *no_tpm2_pkcs11;
static struct scratch tpm_folder;
static const char *always;
static struct bst_se_host host;
static int64_t now_us = WORLD_NOW_US;
static struct scratch soft_folder;
static struct faulty_p11 *faults;

static int64_t wall(void *ctx)
{
    return now_us;
}

/* SoftHSM2 itself leaks an OID at each EdDSA signature; whose leak it is shows only in a whole
 * stack. */
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

/* ---- backends ---- */

static const char *none_uri(void)
{
    return "none:";
}

static const char *soft_uri(void)
{
    static char uri[300];
    snprintf(uri, sizeof uri, "se:soft?dir=%s", soft_folder.dir);
    return uri;
}

static const char *token_uri_of(const char *module, const char *pin, const char *more)
{
    static char uri[700];
    snprintf(uri, sizeof uri, "pkcs11:token=conformance?module-path=%s&pin-source=file:%s%s",
             module, pin, more);
    return uri;
}

static const char *token_uri(void)
{
    return token_uri_of(hsm.module, hsm.pin, "");
}

static const char *token_here_uri(void)
{
    return token_uri_of(hsm.module, hsm.pin, "&in-process=yes");
}

/* The same token behind the module that can be made to fail. */
static const char *faulty_uri(void)
{
    return token_uri_of(getenv("BST_FAULTY_P11"), hsm.pin, "&in-process=yes");
}

static const char *tpm_uri_of(const char *more)
{
    static char uri[400];
    snprintf(uri, sizeof uri, "tpm2:swtpm:port=%u?dir=%s%s", tpm.port, tpm_folder.dir, more);
    return uri;
}

static const char *tpm_uri(void)
{
    return tpm_uri_of("");
}

static const char *tpm2_pkcs11_uri(void)
{
    return token_uri_of(behind_pkcs11.module, behind_pkcs11.pin, "");
}

static const char *tpm2_pkcs11_soft_uri(void)
{
    return token_uri_of(behind_pkcs11.module, behind_pkcs11.pin, "&fallback=soft");
}

/* As the one before it can: objects of a session are refused. */
static const char *kept_only_uri(void)
{
    setenv(FAULTY_P11_KEPT_ONLY, "1", 1);
    return token_uri_of(getenv("BST_FAULTY_P11"), hsm.pin, "");
}

static const char *tpm_soft_uri(void)
{
    return tpm_uri_of("&fallback=soft");
}

static const struct {
    const char *name;
    const char *(*uri)(void);
    const char **missing;
    int cannot; /* checks that the backend has no mechanism for; -1: what it says that it lacks */
    bool seals; /* AES-256-GCM, with keys that are kept */
    const char *module; /* of the token, which holds nothing before and after */
    bool tells;         /* each thing that it cannot do is among those that it says it lacks */
} backends[] = {
    {"none", none_uri, &always, 5 /* it keeps neither keys, data nor counters */},
    {"soft", soft_uri, &always, 0, .seals = true},
    {"SoftHSM2", token_uri, &no_softhsm, 5 /* HKDF, X25519, counters, wrap of odd lengths */,
     .seals = true, .tells = true, .module = hsm.module},
    {"SoftHSM2 in process", token_here_uri, &no_softhsm, 5, .seals = true, .tells = true,
     .module = hsm.module},
    {"SoftHSM2 without session keys", kept_only_uri, &no_softhsm, 5, .seals = true, .tells = true,
     .module = hsm.module},
    {"tpm2-pkcs11", tpm2_pkcs11_uri, &no_tpm2_pkcs11, -1, .tells = true,
     .module = behind_pkcs11.module},
    {"tpm2-pkcs11 with software", tpm2_pkcs11_soft_uri, &no_tpm2_pkcs11, 1 /* counters */,
     .seals = true, .tells = true, .module = behind_pkcs11.module},
    {"swtpm", tpm_uri, &no_swtpm, 8},
    {"swtpm with software", tpm_soft_uri, &no_swtpm, 1 /* HKDF */, .seals = true},
};
#define BACKENDS (sizeof backends / sizeof backends[0])

static bool is_here(size_t i)
{
    if (*backends[i].missing) {
        print_message("[  SKIP    ] %s: %s\n", backends[i].name, *backends[i].missing);
        return false;
    }
    return true;
}

static struct bst_se *open_uri(const char *uri)
{
    struct bst_se *se = NULL;
    assert_ok(bst_se_open(&host, uri, &se));
    return se;
}

/* ---- the suite ---- */

struct suite {
    const char *name;
    char reasons[40][512];
    size_t n;
};

static void print_check(void *ctx, const char *name, enum bst_se_verdict verdict,
                        const char *detail)
{
    struct suite *suite = ctx;
    if (verdict != BST_SE_PASSED) {
        print_message("%s: %s: %s (%s)\n", suite->name, name,
                      verdict == BST_SE_FAILED ? "FAILED" : "cannot", detail);
    }
    if (verdict == BST_SE_CANNOT && suite->n < 40) {
        snprintf(suite->reasons[suite->n++], sizeof suite->reasons[0], "%s", detail);
    }
}

/* A reason that names nothing of what is lacking is none. */
static void check_reasons(const struct suite *suite, const char *lacks)
{
    for (size_t i = 0; i < suite->n; i++) {
        struct bst_view rest = bst_view(lacks), word;
        bool named = false, more = true;
        while (more && !named) {
            char text[128];
            more = bst_view_cut(&rest, ',', &word);
            assert_ok(bst_view_copy(bst_view_trim(word), text, sizeof text));
            named = strstr(suite->reasons[i], text) != NULL;
        }
        if (!named) {
            fail_msg("%s: '%s' is not among '%s'", suite->name, suite->reasons[i], lacks);
        }
    }
}

static void every_backend_does_what_the_interface_says(void **state)
{
    for (size_t i = 0; i < BACKENDS; i++) {
        if (!is_here(i)) {
            continue;
        }
        struct suite suite = {.name = backends[i].name};
        struct bst_se_selftest test = {
            .host = &host, .uri = backends[i].uri(), .each = print_check, .ctx = &suite};
        assert_ok(bst_se_selftest(&test));
        assert_int_equal(test.failed, 0);
        if (backends[i].cannot >= 0) {
            assert_int_equal(test.cannot, backends[i].cannot);
        }
        if (backends[i].tells) {
            check_reasons(&suite, test.about.lacks);
        }
        assert_true(test.passed >= 11); /* pairs, and what is done with them, at the least */
        assert_int_equal(test.about.level, i > 0); /* the first is none: */
        assert_true(strlen(test.about.evidence) > 10);
        AUTO_SE *se = open_uri(backends[i].uri());
        assert_int_equal(bst_se_key_count(se), 0);
        bst_se_close(&se);
        unsetenv(FAULTY_P11_KEPT_ONLY);
        assert_int_equal(backends[i].module ? token_objects(backends[i].module) : 0, 0);
    }
}

/* A filter that makes the n-th call fail. */
struct nth {
    long calls, fail_at;
};

static bst_result nth_before(void *ctx, const struct bst_se_event *event)
{
    struct nth *n = ctx;
    if (++n->calls == n->fail_at) {
        BST_FAIL(BST_E_SE_TOKEN, "fault for a test");
    }
    return BST_OK;
}

/* Make, use and delete; nothing may stay, whatever fails. */
static bst_result whole_life(struct bst_se *se)
{
    struct bst_key_attrs pair = {.type = BST_KEY_EC_P256,
                                 .uses = BST_KEY_USE_SIGN,
                                 .label = "life",
                                 .persistent = true},
                         psk = {.uses = BST_KEY_USE_PSK | BST_KEY_USE_DERIVE,
                                .label = "life.psk",
                                .persistent = true},
                         child = {.uses = BST_KEY_USE_SEAL};
    bst_key keys[3] = {0};
    bst_auto(buf) signature = {0}, blob = {0};
    const struct bst_view part = BST_VIEW("part");
    bst_result r = bst_se_key_generate(se, &pair, &keys[0]);
    r = bst_failed(r) ? r : bst_se_key_generate(se, &psk, &keys[1]);
    r = bst_failed(r) ? r : bst_se_derive(se, keys[1], &part, 1, &child, &keys[2]);
    r = bst_failed(r) ? r : bst_se_sign(se, keys[0], BST_MD_SHA256, part, &signature);
    r = bst_failed(r) ? r : bst_se_seal(se, keys[2], part, part, &blob);
    for (int i = 0; i < 3; i++) {
        bst_result gone = keys[i] ? bst_se_key_delete(se, keys[i]) : BST_OK;
        if (bst_failed(gone)) { /* once more: only one call of the run fails */
            gone = bst_se_key_delete(se, keys[i]);
        }
        assert_ok(gone);
    }
    return r;
}

static void any_call_may_be_refused_by_a_filter_and_nothing_stays(void **state)
{
    for (size_t i = 0; i < BACKENDS; i++) {
        if (!backends[i].seals || !is_here(i)) {
            continue;
        }
        AUTO_SE *se = open_uri(backends[i].uri());
        struct nth nth = {0};
        struct bst_se_filter filter = {&nth, nth_before, NULL};
        assert_ok(bst_se_filter_add(se, &filter));
        assert_ok(whole_life(se));
        long calls = nth.calls;
        assert_true(calls >= 8);
        for (long n = 1; n <= calls; n++) {
            nth = (struct nth){.fail_at = n};
            bst_result r = whole_life(se);
            assert_true(!bst_failed(r) || r.code == BST_E_SE_TOKEN);
            assert_int_equal(bst_se_key_count(se), 0);
        }
    }
}

static void tls_handshakes_use_inside_keys_on_both_ends(void **state)
{
    for (size_t i = 0; i < BACKENDS; i++) {
        if (!is_here(i)) {
            continue;
        }
        struct world w;
        struct world_pair pair;
        world_init(&w);
        bst_se_close(&w.se);
        w.se = open_uri(backends[i].uri());
        bst_buf_clear(&w.server.chain_pem);
        bst_buf_clear(&w.client.chain_pem);
        world_issue(&w, &w.ca, BST_CERT_TLS_SERVER, BST_CERT_FQDN, WORLD_SERVER_NAME, &w.server);
        world_issue(&w, &w.ca, BST_CERT_TLS_CLIENT, BST_CERT_AE, WORLD_CLIENT_AE, &w.client);
        struct bst_tls_server_config server = world_server_config(&w, "onem2m", NULL);
        struct bst_tls_client_config client = world_cert_client(&w, "onem2m", &w.client);
        world_pair_init(&pair, &server, &client);
        assert_true(world_talks(pair.c, pair.s));
        world_pair_clear(&pair);
        world_clear(&w);
    }
}

struct crowd {
    struct bst_se *se;
    bst_key shared;
    atomic_int failed;
};

static void *crowd_member(void *arg)
{
    struct crowd *crowd = arg;
    for (int i = 0; i < 20; i++) {
        struct bst_key_attrs attrs = {.uses = BST_KEY_USE_PSK};
        bst_key key = 0;
        bst_auto(secret) psk = {0};
        bst_auto(buf) signature = {0};
        bool ok = !bst_failed(bst_se_key_generate(crowd->se, &attrs, &key)) &&
                  !bst_failed(bst_se_release_psk(crowd->se, key, "t", &psk)) &&
                  !bst_failed(bst_se_key_delete(crowd->se, key)) &&
                  !bst_failed(bst_se_sign(crowd->se, crowd->shared, BST_MD_SHA256, BST_VIEW("m"),
                                          &signature));
        atomic_fetch_add(&crowd->failed, !ok);
    }
    return NULL;
}

static void several_threads_use_one_token(void **state)
{
    skip_without(no_softhsm);
    AUTO_SE *se = open_uri(token_uri());
    struct bst_key_attrs attrs = {.type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN};
    struct crowd crowd = {.se = se};
    pthread_t threads[6];
    assert_ok(bst_se_key_generate(se, &attrs, &crowd.shared));
    for (int i = 0; i < 6; i++) {
        pthread_create(&threads[i], NULL, crowd_member, &crowd);
    }
    for (int i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(crowd.failed, 0);
}

/* ---- faults of a token ---- */

static void any_call_into_the_token_may_fail_and_nothing_stays(void **state)
{
    skip_without(no_softhsm);
    faulty_token_reset(&faults);
    AUTO_SE *se = open_uri(faulty_uri());
    assert_ok(whole_life(se));
    faults->calls = 0;
    assert_ok(whole_life(se));
    long calls = faults->calls;
    assert_true(calls > 20);
    for (long n = 1; n <= calls; n++) {
        *faults = (struct faulty_p11){.fail_at = n, .rv = CKR_FUNCTION_FAILED};
        bst_result r = whole_life(se);
        assert_true(!bst_failed(r) || r.code == BST_E_SE_TOKEN || r.code == BST_E_NOT_FOUND);
        assert_int_equal(bst_se_key_count(se), 0);
    }
    faulty_token_reset(&faults);
    bst_se_close(&se);
    se = open_uri(faulty_uri());
    /* A fault while cleaning up after a fault is not possible here: one call fails in each run. */
    assert_int_equal(bst_se_key_count(se), 0);
}

static void lost_sessions_are_replaced_without_the_caller_noticing(void **state)
{
    skip_without(no_softhsm);
    faulty_token_reset(&faults);
    AUTO_SE *se = open_uri(faulty_uri());
    struct bst_key_attrs attrs = {
        .type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN, .label = "lasting", .persistent = true};
    bst_key key = 0;
    static const CK_RV losses[] = {CKR_SESSION_HANDLE_INVALID, CKR_DEVICE_REMOVED,
                                   CKR_USER_NOT_LOGGED_IN,     CKR_SESSION_CLOSED,
                                   CKR_TOKEN_NOT_PRESENT,      CKR_DEVICE_ERROR};
    assert_ok(bst_se_key_generate(se, &attrs, &key));
    for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++) {
        bst_auto(buf) signature = {0};
        *faults = (struct faulty_p11){.fail_at = 1 + (long)i % 2, .rv = losses[i], .lost = true};
        assert_ok(bst_se_sign(se, key, BST_MD_SHA256, BST_VIEW("m"), &signature));
        assert_int_equal(faults->logins, 1);
    }
    faulty_token_reset(&faults);
    assert_ok(bst_se_key_delete(se, key));
}

static void a_token_that_is_gone_means_busy_and_it_recovers_by_itself(void **state)
{
    skip_without(no_softhsm);
    faulty_token_reset(&faults);
    AUTO_SE *se = open_uri(faulty_uri());
    struct bst_key_attrs attrs = {.type = BST_KEY_EC_P256,
                                  .uses = BST_KEY_USE_SIGN,
                                  .label = "patient",
                                  .persistent = true},
                         session = {.uses = BST_KEY_USE_MAC};
    bst_key key = 0, fleeting = 0, late = 0;
    bst_auto(buf) signature = {0};
    uint8_t mac[32];
    assert_ok(bst_se_key_generate(se, &attrs, &key));
    assert_ok(bst_se_key_generate(se, &session, &fleeting));
    faults->away = true;
    for (int i = 0; i < 3; i++) {
        assert_err(bst_se_sign(se, key, BST_MD_SHA256, BST_VIEW("m"), &signature), BST_E_BUSY);
        assert_non_null(strstr(bst_error_detail(), "conformance"));
    }
    attrs.label = "late";
    assert_err(bst_se_key_generate(se, &attrs, &late), BST_E_BUSY);
    faults->away = false;
    now_us += 1000001; /* it is looked for once a second */
    assert_ok(bst_se_sign(se, key, BST_MD_SHA256, BST_VIEW("m"), &signature));
    assert_int_equal(faults->logins, 2); /* at the start, and after the token was back */
    /* A key that was not to be kept went with the token's sessions, if the token dropped them. */
    bst_result r = bst_se_mac(se, fleeting, NULL, 0, mac);
    assert_true(r.code == BST_E_NOT_FOUND || !bst_failed(r));
    assert_ok(bst_se_key_delete(se, key));
}

/* ---- PINs ---- */

static void a_wrong_pin_is_refused_in_words_and_not_tried_again(void **state)
{
    skip_without(no_softhsm);
    faulty_token_reset(&faults);
    struct bst_se *se = NULL;
    char wrong[200];
    snprintf(wrong, sizeof wrong, "%s/wrong", hsm.home.dir);
    assert_true(softhsm_put(wrong, "00000000\n"));
    assert_err(bst_se_open(&host, token_uri_of(hsm.module, wrong, ""), &se), BST_E_SE_PIN);
    assert_non_null(strstr(bst_error_detail(), "the PIN is wrong; put the right PIN"));
    assert_non_null(strstr(bst_error_detail(), "fewer tries than at first are left"));
    assert_null(strstr(bst_error_detail(), "00000000"));
    assert_null(se);
    /* A server whose PIN was changed meanwhile: one try, however often its keys are asked for. */
    se = open_uri(token_uri_of(getenv("BST_FAULTY_P11"), hsm.pin, "&in-process=yes"));
    struct bst_key_attrs attrs = {
        .type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN, .label = "pin", .persistent = true};
    bst_key key = 0;
    bst_auto(buf) signature = {0};
    assert_ok(bst_se_key_generate(se, &attrs, &key));
    *faults = (struct faulty_p11){
        .fail_at = 1, .rv = CKR_DEVICE_REMOVED, .lost = true, .login = CKR_PIN_INCORRECT};
    for (int i = 0; i < 4; i++) {
        assert_err(bst_se_sign(se, key, BST_MD_SHA256, BST_VIEW("m"), &signature), BST_E_SE_PIN);
        now_us += 2000000;
    }
    assert_int_equal(faults->logins, 1);
    bst_se_close(&se);
    faulty_token_reset(&faults);
    se = open_uri(token_uri());
    assert_ok(bst_se_key_find(se, "pin", &key));
    assert_ok(bst_se_key_delete(se, key));
    bst_se_close(&se);
}

static void a_pin_near_or_past_its_last_try_is_not_risked(void **state)
{
    skip_without(no_softhsm);
    faulty_token_reset(&faults);
    struct bst_se *se = NULL;
    faults->flags = CKF_USER_PIN_FINAL_TRY;
    assert_err(bst_se_open(&host, faulty_uri(), &se), BST_E_SE_BLOCKED);
    assert_non_null(strstr(bst_error_detail(), "one try is left"));
    faults->flags = CKF_USER_PIN_LOCKED;
    assert_err(bst_se_open(&host, faulty_uri(), &se), BST_E_SE_BLOCKED);
    assert_non_null(strstr(bst_error_detail(), "security officer"));
    assert_int_equal(faults->logins, 0);
    faulty_token_reset(&faults);
}

/* ---- addresses ---- */

static void addresses_of_tokens_are_checked(void **state)
{
    skip_without(no_softhsm);
    static const struct {
        const char *uri;
        enum bst_error error;
        const char *word;
    } bad[] = {
        {"pkcs11:token=x?pin-value=1234", BST_E_CONFIG, "pin-source"},
        {"pkcs11:token=%zz", BST_E_CONFIG, "RFC 7512"},
        {"pkcs11:token=x?module-path=/nowhere.so", BST_E_CONFIG, "/nowhere.so"},
        {"pkcs11:token=x?pin-source=%7Cls&module-path=/usr/lib/softhsm/libsofthsm2.so",
         BST_E_CONFIG, "file:PATH"},
        {"pkcs11:token=x?fallback=hard", BST_E_CONFIG, "soft or none"},
        {"pkcs11:colour=red", BST_E_CONFIG, "RFC 7512"},
    };
    struct bst_se *se = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bst_result r = bst_se_open(&host, bad[i].uri, &se);
        if (r.code != bad[i].error || !strstr(bst_error_detail(), bad[i].word)) {
            fail_msg("%s: %s: %s", bad[i].uri, bst_error_name(r.code), bst_error_detail());
        }
    }
    char uri[400];
    snprintf(uri, sizeof uri, "pkcs11:token=another?module-path=%s", hsm.module);
    assert_err(bst_se_open(&host, uri, &se), BST_E_NOT_FOUND);
    assert_non_null(strstr(bst_error_detail(), "'conformance'"));
    snprintf(uri, sizeof uri, "pkcs11:token=conformance?module-path=%s", hsm.module);
    assert_err(bst_se_open(&host, uri, &se), BST_E_CONFIG);
    assert_non_null(strstr(bst_error_detail(), "pin-source=file:PATH"));
}

/* ---- levels and what a token cannot do ---- */

static void a_missing_mechanism_is_named_or_replaced_at_level_1(void **state)
{
    skip_without(no_softhsm);
    faulty_token_reset(&faults);
    faults->hidden = CKM_AES_GCM;
    struct bst_key_attrs attrs = {
        .uses = BST_KEY_USE_SEAL | BST_KEY_USE_MAC, .label = "replaced", .persistent = true};
    bst_key key = 0;
    struct bst_se *se = open_uri(faulty_uri());
    struct bst_se_about about;
    bst_se_about(se, &about);
    assert_non_null(strstr(about.lacks, "AES-GCM"));
    assert_err(bst_se_key_generate(se, &attrs, &key), BST_E_SE_MECHANISM);
    assert_non_null(strstr(bst_error_detail(), "it has no AES-GCM"));
    bst_se_close(&se);
    for (int round = 0; round < 2; round++) { /* made, then found again */
        se = open_uri(
            token_uri_of(getenv("BST_FAULTY_P11"), hsm.pin, "&fallback=soft&in-process=yes"));
        bst_auto(buf) blob = {0}, out = {0};
        struct bst_key_info info;
        uint8_t mac[32];
        assert_ok(round ? bst_se_key_find(se, "replaced", &key)
                        : bst_se_key_generate(se, &attrs, &key));
        assert_ok(bst_se_seal(se, key, BST_VIEW("a"), BST_VIEW("text"), &blob));
        assert_ok(bst_se_unseal(se, key, BST_VIEW("a"), bst_buf_view(&blob), &out));
        assert_ok(bst_se_mac(se, key, NULL, 0, mac));
        assert_ok(bst_se_key_info(se, key, &info));
        assert_int_equal(info.attrs.level, 1);
        if (round) {
            assert_ok(bst_se_key_delete(se, key));
        }
        bst_se_close(&se);
    }
    faulty_token_reset(&faults);
}

static void about_token(const char *maker, const char *model, struct bst_se_about *ret)
{
    *faults = (struct faulty_p11){.slot_flags = CKF_HW_SLOT, .maker = maker, .model = model};
    AUTO_SE *se = open_uri(faulty_uri());
    bst_se_about(se, ret);
}

static void a_claim_of_hardware_alone_does_not_raise_the_level(void **state)
{
    skip_without(no_softhsm);
    faulty_token_reset(&faults);
    struct bst_se_about about;
    about_token(NULL, NULL, &about);
    assert_int_equal(about.level, 1);
    assert_non_null(strstr(about.evidence, "not in the list of known tokens"));
    assert_non_null(strstr(about.name, "conformance"));
    /* Nor does a name alone. */
    *faults = (struct faulty_p11){.maker = "Yubico (www.yubico.com)", .model = "YubiHSM"};
    AUTO_SE *se = open_uri(faulty_uri());
    bst_se_about(se, &about);
    assert_int_equal(about.level, 1);
    faulty_token_reset(&faults);
}

static void a_known_token_gives_its_level_to_keys_that_never_left_it(void **state)
{
    skip_without(no_softhsm);
    faulty_token_reset(&faults);
    *faults = (struct faulty_p11){
        .slot_flags = CKF_HW_SLOT, .maker = "Yubico (www.yubico.com)", .model = "YubiHSM"};
    struct bst_se_about about;
    AUTO_SE *se = open_uri(faulty_uri());
    struct bst_key_attrs inside = {.type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN},
                         readable = {.uses = BST_KEY_USE_PSK};
    struct bst_key_info info;
    bst_key key = 0;
    bst_se_about(se, &about);
    assert_int_equal(about.level, 3);
    assert_non_null(strstr(about.evidence, "no attestation was checked"));
    assert_ok(bst_se_key_generate(se, &inside, &key));
    assert_ok(bst_se_key_info(se, key, &info));
    assert_int_equal(info.attrs.level, 3);
    assert_ok(bst_se_key_generate(se, &readable, &key));
    assert_ok(bst_se_key_info(se, key, &info));
    assert_int_equal(info.attrs.level, 1);
    faulty_token_reset(&faults);
}

static void two_environments_on_one_token_do_not_share_a_label(void **state)
{
    skip_without(no_softhsm);
    AUTO_SE *one = open_uri(token_uri());
    AUTO_SE *two = open_uri(token_uri());
    struct bst_key_attrs attrs = {
        .type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN, .label = "shared", .persistent = true};
    bst_key key = 0, other = 0;
    bst_auto(buf) signature = {0};
    assert_ok(bst_se_key_generate(one, &attrs, &key));
    assert_err(bst_se_key_generate(two, &attrs, &other), BST_E_EXISTS);
    assert_ok(bst_se_key_delete(one, key));
    assert_ok(bst_se_key_generate(two, &attrs, &other));
    /* Deleted behind the other one's back. */
    AUTO_SE *three = open_uri(token_uri());
    assert_ok(bst_se_key_find(three, "shared", &key));
    assert_ok(bst_se_key_delete(three, key));
    assert_err(bst_se_sign(two, other, BST_MD_SHA256, BST_VIEW("m"), &signature), BST_E_NOT_FOUND);
}

static int set_up(void **state)
{
    bst_se_host_file(&host, wall);
    scratch_make(&soft_folder);
    scratch_make(&tpm_folder);
    if (swtpm_make(&tpm, &no_swtpm)) {
        no_swtpm = NULL;
    }
    if (tpm2_pkcs11_make(&behind_pkcs11, "conformance", &no_tpm2_pkcs11)) {
        no_tpm2_pkcs11 = NULL;
    }
    if (!softhsm_make(&hsm, "conformance", &no_softhsm)) {
        return 0;
    }
    no_softhsm = NULL;
    return setenv(FAULTY_P11_BEHIND, hsm.module, 1);
}

static int tear_down(void **state)
{
    scratch_remove(&soft_folder);
    scratch_remove(&tpm_folder);
    swtpm_remove(&tpm);
    tpm2_pkcs11_remove(&behind_pkcs11);
    softhsm_remove(&hsm);
    return 0;
}

int main(int argc, char **argv)
{
    token_objects_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_backend_does_what_the_interface_says),
        cmocka_unit_test(any_call_may_be_refused_by_a_filter_and_nothing_stays),
        cmocka_unit_test(tls_handshakes_use_inside_keys_on_both_ends),
        cmocka_unit_test(several_threads_use_one_token),
        cmocka_unit_test(any_call_into_the_token_may_fail_and_nothing_stays),
        cmocka_unit_test(lost_sessions_are_replaced_without_the_caller_noticing),
        cmocka_unit_test(a_token_that_is_gone_means_busy_and_it_recovers_by_itself),
        cmocka_unit_test(a_wrong_pin_is_refused_in_words_and_not_tried_again),
        cmocka_unit_test(a_pin_near_or_past_its_last_try_is_not_risked),
        cmocka_unit_test(addresses_of_tokens_are_checked),
        cmocka_unit_test(a_missing_mechanism_is_named_or_replaced_at_level_1),
        cmocka_unit_test(a_claim_of_hardware_alone_does_not_raise_the_level),
        cmocka_unit_test(a_known_token_gives_its_level_to_keys_that_never_left_it),
        cmocka_unit_test(two_environments_on_one_token_do_not_share_a_label),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
