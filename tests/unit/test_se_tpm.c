/* What only a TPM has: places that are few, counters, PCRs, an EK, going away with all it had
 * loaded. On swtpm; the files of the folder are in memory. */
#include "support/test.h"

#include "crypto/pkey.h"
#include "crypto/x509.h"
#include "se/selftest.h"
#include "se/tpm2/tpm2.h"
#include "se/tpm2/tpm2_priv.h"
#include "support/faulty_tcti.h"
#include "support/se_host.h"
#include "support/swtpm.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define AUTO_SE __attribute__((cleanup(bst_se_close))) struct bst_se
#define EK_CERT_INDEX UINT32_C(0x01c0000a)
#define EK_RSA_CERT_INDEX UINT32_C(0x01c00002)
#define DEBUG_PCR 16 /* that programs may extend and reset */

static struct swtpm tpm, other_tpm;
static const char *no_swtpm;
static size_t nv_before; /* indices, when the case began */

/* ---- the TPM from outside: while no environment is open, as swtpm has one client ---- */

struct raw {
    TSS2_TCTI_CONTEXT *tcti;
    ESYS_CONTEXT *esys;
};

static struct raw raw_open(const struct swtpm *at)
{
    struct raw raw = {NULL, NULL};
    char conf[40];
    snprintf(conf, sizeof conf, "swtpm:port=%u", at->port);
    setenv("TSS2_LOG", "all+NONE", 0);
    assert_int_equal(Tss2_TctiLdr_Initialize(conf, &raw.tcti), 0);
    assert_int_equal(Esys_Initialize(&raw.esys, raw.tcti, NULL), 0);
    return raw;
}

static void raw_close(struct raw *raw)
{
    Esys_Finalize(&raw->esys);
    Tss2_TctiLdr_Finalize(&raw->tcti);
}

static size_t raw_handles(const struct swtpm *at, TPM2_HANDLE first)
{
    struct raw raw = raw_open(at);
    TPMS_CAPABILITY_DATA *data = NULL;
    assert_int_equal(Esys_GetCapability(raw.esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                        TPM2_CAP_HANDLES, first, TPM2_MAX_CAP_HANDLES, NULL, &data),
                     0);
    size_t count = data->data.handles.count;
    Esys_Free(data);
    raw_close(&raw);
    return count;
}

static size_t nv_count(void)
{
    return raw_handles(&tpm, TPM2_NV_INDEX_FIRST);
}

static int count_nv(void **state)
{
    nv_before = no_swtpm ? 0 : nv_count();
    return 0;
}

static const char *uri_at(const struct swtpm *at, const char *options)
{
    static char uri[300];
    snprintf(uri, sizeof uri, "tpm2:swtpm:port=%u%s", at->port, options);
    return uri;
}

static struct bst_se *open_at(struct test_host *h, const char *options)
{
    struct bst_se *se = NULL;
    assert_ok(bst_se_open(&h->host, uri_at(&tpm, options), &se));
    return se;
}

static bst_key make_key(struct bst_se *se, const char *label, enum bst_key_type type, uint32_t uses)
{
    bst_key key = 0;
    struct bst_key_attrs attrs = {
        .type = type, .uses = uses, .label = label, .persistent = label[0] != '\0'};
    assert_ok(bst_se_key_generate(se, &attrs, &key));
    return key;
}

static bst_key find_key(struct bst_se *se, const char *label)
{
    bst_key key = 0;
    assert_ok(bst_se_key_find(se, label, &key));
    return key;
}

static bst_result sign(struct bst_se *se, bst_key key)
{
    bst_auto(buf) signature = {0}, spki = {0};
    bst_auto_pkey *pkey = NULL;
    BST_TRY(bst_se_sign(se, key, BST_MD_SHA256, BST_VIEW("m"), &signature));
    BST_TRY(bst_se_key_public(se, key, &spki));
    BST_TRY(bst_pkey_load_public(bst_buf_view(&spki), &pkey));
    return bst_pkey_verify(pkey, BST_MD_SHA256, BST_VIEW("m"), bst_buf_view(&signature));
}

static void extend_pcr(bool back)
{
    struct raw raw = raw_open(&tpm);
    TPML_DIGEST_VALUES digest = {.count = 1, .digests = {{.hashAlg = TPM2_ALG_SHA256}}};
    TSS2_RC rc =
        back ? Esys_PCR_Reset(raw.esys, ESYS_TR_PCR16, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE)
             : Esys_PCR_Extend(raw.esys, ESYS_TR_PCR16, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                               ESYS_TR_NONE, &digest);
    assert_int_equal(rc, 0);
    raw_close(&raw);
}

static void end_lockout(void)
{
    struct raw raw = raw_open(&tpm);
    assert_int_equal(Esys_DictionaryAttackLockReset(raw.esys, ESYS_TR_RH_LOCKOUT, ESYS_TR_PASSWORD,
                                                    ESYS_TR_NONE, ESYS_TR_NONE),
                     0);
    raw_close(&raw);
}

/* ---- keys ---- */

static void keys_outlive_environment_and_tpm(void **state)
{
    skip_without(no_swtpm);
    AUTO_HOST h;
    test_host_init(&h);
    struct bst_se *se = open_at(&h, "?dir=d");
    bst_key pair = make_key(se, "pair", BST_KEY_EC_P256, BST_KEY_USE_SIGN);
    bst_key mac = make_key(se, "mac", BST_KEY_SYMMETRIC, BST_KEY_USE_MAC);
    uint8_t before[32], after[32];
    assert_ok(bst_se_mac(se, mac, NULL, 0, before));
    assert_ok(sign(se, pair));
    bst_se_close(&se);
    swtpm_stop(&tpm);
    assert_true(swtpm_start(&tpm));
    se = open_at(&h, "?dir=d");
    assert_ok(sign(se, find_key(se, "pair")));
    assert_ok(bst_se_mac(se, find_key(se, "mac"), NULL, 0, after));
    assert_memory_equal(before, after, 32);
    assert_ok(bst_se_key_rename(se, find_key(se, "pair"), "pair.1"));
    assert_ok(bst_se_key_delete(se, find_key(se, "mac")));
    bst_se_close(&se);
    se = open_at(&h, "?dir=d");
    assert_int_equal(find_key(se, "pair"), 0);
    assert_ok(sign(se, find_key(se, "pair.1")));
    assert_int_equal(bst_se_key_count(se), 1);
    assert_ok(bst_se_key_delete(se, find_key(se, "pair.1")));
    bst_se_close(&se);
    assert_null(h.files);                    /* with the last key the folder goes, */
    assert_int_equal(nv_count(), nv_before); /* and its counter */
}

static void there_may_be_more_keys_than_places(void **state)
{
    skip_without(no_swtpm);
    AUTO_HOST h;
    test_host_init(&h);
    struct bst_se *se = open_at(&h, "");
    bst_key keys[8];
    for (size_t i = 0; i < 8; i++) {
        keys[i] = make_key(se, "", BST_KEY_EC_P256, BST_KEY_USE_SIGN);
    }
    uint8_t mac[32];
    char long_message[5000] = {0};
    struct bst_view part = bst_view_of(long_message, sizeof long_message);
    bst_key mac_key = make_key(se, "", BST_KEY_SYMMETRIC, BST_KEY_USE_MAC);
    for (size_t i = 0; i < 24; i++) {
        assert_ok(sign(se, keys[i * 5 % 8]));
        assert_ok(bst_se_mac(se, mac_key, &part, 1, mac)); /* a sequence takes a place too */
    }
    bst_se_close(&se);
    assert_int_equal(raw_handles(&tpm, UINT32_C(0x80000000)), 0);
    assert_int_equal(raw_handles(&tpm, UINT32_C(0x02000000)), 0);
}

static void long_messages_give_the_same_mac_as_software(void **state)
{
    skip_without(no_swtpm);
    AUTO_HOST h;
    test_host_init(&h);
    AUTO_SE *se = open_at(&h, "");
    static char message[5000];
    memset(message, 'x', sizeof message);
    static const size_t lengths[] = {0, 1, 1023, 1024, 1025, 2048, 5000};
    static const size_t key_lengths[] = {4, 32, 64, 65, 200};
    for (size_t k = 0; k < sizeof key_lengths / sizeof key_lengths[0]; k++) {
        bst_auto(secret) value = {0};
        struct bst_key_attrs attrs = {.uses = BST_KEY_USE_MAC};
        bst_key key = 0;
        assert_ok(bst_secret_init(&value, key_lengths[k]));
        memset(value.ptr, 7, value.len);
        assert_ok(bst_se_key_import(se, &attrs, &value, &key));
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            const struct bst_view parts[] = {bst_view_of(message, lengths[i] / 3),
                                             bst_view_of(message, lengths[i] - lengths[i] / 3)};
            uint8_t inside[32], outside[32];
            assert_ok(bst_se_mac(se, key, parts, 2, inside));
            assert_ok(bst_hmac_sha256(bst_view_of(value.ptr, value.len), parts, 2, outside));
            assert_memory_equal(inside, outside, 32);
        }
    }
}

static void values_of_any_length_are_sealed(void **state)
{
    skip_without(no_swtpm);
    AUTO_HOST h;
    test_host_init(&h);
    static const size_t lengths[] = {1, 128, 129, 256};
    for (int round = 0; round < 2; round++) { /* made, then found again */
        AUTO_SE *se = open_at(&h, "?dir=d");
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            bst_auto(secret) value = {0}, out = {0};
            char label[16];
            struct bst_key_attrs attrs = {
                .uses = BST_KEY_USE_PSK, .label = label, .persistent = true};
            bst_key key = 0;
            snprintf(label, sizeof label, "v%zu", lengths[i]);
            assert_ok(bst_secret_init(&value, lengths[i]));
            memset(value.ptr, (int)i + 1, value.len);
            if (!round) {
                assert_ok(bst_se_key_import(se, &attrs, &value, &key));
            }
            key = find_key(se, label);
            assert_ok(bst_se_release_psk(se, key, "test", &out));
            assert_int_equal(out.len, value.len);
            assert_memory_equal(out.ptr, value.ptr, value.len);
            if (round) {
                assert_ok(bst_se_key_delete(se, key));
            }
        }
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
    for (int i = 0; i < 8; i++) {
        struct bst_key_attrs attrs = {.uses = BST_KEY_USE_PSK};
        bst_key key = 0;
        bst_auto(secret) psk = {0};
        bool ok = !bst_failed(bst_se_key_generate(crowd->se, &attrs, &key)) &&
                  !bst_failed(bst_se_release_psk(crowd->se, key, "t", &psk)) &&
                  !bst_failed(bst_se_key_delete(crowd->se, key)) &&
                  !bst_failed(sign(crowd->se, crowd->shared));
        atomic_fetch_add(&crowd->failed, !ok);
    }
    return NULL;
}

static void several_threads_use_one_tpm(void **state)
{
    skip_without(no_swtpm);
    AUTO_HOST h;
    test_host_init(&h);
    AUTO_SE *se = open_at(&h, "?pcrs=sha256:0");
    struct crowd crowd = {.se = se};
    pthread_t threads[6];
    crowd.shared = make_key(se, "", BST_KEY_EC_P256, BST_KEY_USE_SIGN);
    for (int i = 0; i < 6; i++) {
        pthread_create(&threads[i], NULL, crowd_member, &crowd);
    }
    for (int i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(crowd.failed, 0);
}

/* ---- going away ---- */

static void a_tpm_that_is_gone_means_busy_and_it_recovers_by_itself(void **state)
{
    skip_without(no_swtpm);
    AUTO_HOST h;
    test_host_init(&h);
    AUTO_SE *se = open_at(&h, "?dir=d");
    uint8_t before[32], after[32], random[80];
    bst_key pair = make_key(se, "pair", BST_KEY_EC_P256, BST_KEY_USE_SIGN), late = 0;
    bst_key session = make_key(se, "", BST_KEY_SYMMETRIC, BST_KEY_USE_MAC);
    struct bst_key_attrs attrs = {
        .type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN, .label = "late", .persistent = true};
    assert_ok(bst_se_mac(se, session, NULL, 0, before));
    assert_ok(sign(se, pair));
    swtpm_stop(&tpm);
    for (int i = 0; i < 3; i++) {
        assert_err(sign(se, pair), BST_E_BUSY);
        assert_non_null(strstr(bst_error_detail(), "swtpm:port="));
    }
    assert_err(bst_se_key_generate(se, &attrs, &late), BST_E_BUSY);
    assert_err(bst_se_random(se, random, sizeof random), BST_E_BUSY);
    assert_true(swtpm_start(&tpm));
    assert_err(sign(se, pair), BST_E_BUSY); /* it is looked for once a second */
    h.wall_us += 1000001;
    assert_ok(sign(se, pair));
    /* Also a key that is not kept: its blob is, here. */
    assert_ok(bst_se_mac(se, session, NULL, 0, after));
    assert_memory_equal(before, after, 32);
    assert_ok(bst_se_key_generate(se, &attrs, &late));
    /* And without anybody noticing when it comes back between two uses. */
    swtpm_stop(&tpm);
    assert_true(swtpm_start(&tpm));
    assert_ok(sign(se, late));
    assert_ok(bst_se_random(se, random, sizeof random));
    assert_ok(bst_se_key_delete(se, pair));
    assert_ok(bst_se_key_delete(se, late));
}

static void what_a_killed_program_left_in_the_tpm_is_swept(void **state)
{
    skip_without(no_swtpm);
    AUTO_HOST h;
    test_host_init(&h);
    const TPM2B_SENSITIVE_CREATE nothing = {.size = 0};
    const TPM2B_DATA no_data = {.size = 0};
    const TPML_PCR_SELECTION no_pcrs = {.count = 0};
    const TPMT_SYM_DEF none = {.algorithm = TPM2_ALG_NULL};
    TPM2B_PUBLIC template = tpm2_storage_template();
    struct raw raw = raw_open(&tpm);
    ESYS_TR tr;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(Esys_CreatePrimary(raw.esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD,
                                            ESYS_TR_NONE, ESYS_TR_NONE, &nothing, &template,
                                            &no_data, &no_pcrs, &tr, NULL, NULL, NULL, NULL),
                         0);
        assert_int_equal(Esys_StartAuthSession(raw.esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                               ESYS_TR_NONE, ESYS_TR_NONE, NULL, TPM2_SE_HMAC,
                                               &none, TPM2_ALG_SHA256, &tr),
                         0);
    }
    raw_close(&raw);
    assert_int_equal(raw_handles(&tpm, UINT32_C(0x80000000)), 3);
    AUTO_SE *se = open_at(&h, "?pcrs=sha256:0");
    assert_ok(sign(se, make_key(se, "", BST_KEY_EC_P256, BST_KEY_USE_SIGN)));
}

/* ---- any command may fail ---- */

static struct faulty_tcti *faults_of(void **ret_library)
{
    *ret_library = dlopen(getenv("BST_FAULTY_TCTI"), RTLD_NOW);
    assert_non_null(*ret_library);
    struct faulty_tcti *faults = dlsym(*ret_library, FAULTY_TCTI_SYMBOL);
    assert_non_null(faults);
    return faults;
}

/* Make, use and delete; nothing may stay, whatever fails. */
static bst_result whole_life(struct bst_se *se)
{
    struct bst_key_attrs pair = {.type = BST_KEY_EC_P256,
                                 .uses = BST_KEY_USE_SIGN,
                                 .label = "life",
                                 .persistent = true},
                         mac = {.uses = BST_KEY_USE_DERIVE}, psk = {.uses = BST_KEY_USE_PSK};
    const struct bst_view part = BST_VIEW("part");
    bst_key keys[3] = {0};
    uint64_t at;
    bst_auto(buf) signature = {0};
    bst_auto(secret) out = {0};
    bst_result r = bst_se_key_generate(se, &pair, &keys[0]);
    r = bst_failed(r) ? r : bst_se_sign(se, keys[0], BST_MD_SHA256, part, &signature);
    r = bst_failed(r) ? r : bst_se_key_generate(se, &mac, &keys[1]);
    r = bst_failed(r) ? r : bst_se_derive(se, keys[1], &part, 1, &psk, &keys[2]);
    r = bst_failed(r) ? r : bst_se_release_psk(se, keys[2], "test", &out);
    r = bst_failed(r) ? r : bst_se_counter_next(se, "c", &at);
    bst_result gone = bst_se_counter_remove(se, "c");
    if (bst_failed(gone) && gone.code != BST_E_NOT_FOUND) {
        (void)bst_se_counter_remove(se, "c").code; /* only one command of the run fails */
    }
    for (int i = 0; i < 3; i++) {
        gone = keys[i] ? bst_se_key_delete(se, keys[i]) : BST_OK;
        if (bst_failed(gone)) {
            gone = bst_se_key_delete(se, keys[i]);
        }
        assert_ok(gone);
    }
    return r;
}

static void any_command_may_fail(uint32_t rc, long step)
{
    AUTO_HOST h;
    test_host_init(&h);
    void *library = NULL;
    struct faulty_tcti *faults = faults_of(&library);
    char uri[600];
    snprintf(uri, sizeof uri, "tpm2:%s:swtpm:port=%u?dir=d", getenv("BST_FAULTY_TCTI"), tpm.port);
    AUTO_SE *se = NULL;
    *faults = (struct faulty_tcti){.calls = 0};
    assert_ok(bst_se_open(&h.host, uri, &se));
    make_key(se, "stays", BST_KEY_EC_P256, BST_KEY_USE_SIGN);
    faults->calls = 0;
    assert_ok(whole_life(se));
    long calls = faults->calls;
    assert_true(calls > 20);
    for (long n = 1; n <= calls; n += step) {
        *faults = (struct faulty_tcti){.fail_at = n, .rc = rc};
        bst_result r = whole_life(se);
        if (bst_failed(r) && strstr(bst_error_detail(), "0x")) {
            fail_msg("not in words: %s", bst_error_detail());
        }
        if (!rc && bst_failed(r)) { /* a broken connection is nothing to notice */
            fail_msg("command %ld of %ld: %s", n, calls, bst_error_detail());
        }
        assert_int_equal(bst_se_key_count(se), 1);
    }
    *faults = (struct faulty_tcti){.calls = 0};
    bst_se_close(&se);
    assert_ok(bst_se_open(&h.host, uri, &se)); /* folder and counter agree */
    assert_ok(sign(se, find_key(se, "stays")));
    assert_ok(bst_se_wipe(se));
    bst_se_close(&se);
    dlclose(library);
}

static void any_command_may_be_refused_and_nothing_stays(void **state)
{
    skip_without(no_swtpm);
    any_command_may_fail(TPM2_RC_FAILURE, 1);
}

static void the_connection_may_break_at_any_command_unnoticed(void **state)
{
    skip_without(no_swtpm);
    any_command_may_fail(0, 2);
}

/* ---- how new is the folder? ---- */

static void a_folder_from_an_older_copy_is_refused(void **state)
{
    skip_without(no_swtpm);
    AUTO_HOST h, copy, newest;
    test_host_init(&h);
    struct bst_se *se = open_at(&h, "?dir=d"), *none = NULL;
    make_key(se, "revoked", BST_KEY_EC_P256, BST_KEY_USE_SIGN);
    make_key(se, "kept", BST_KEY_EC_P256, BST_KEY_USE_SIGN);
    test_host_copy(&h, &copy);
    assert_ok(bst_se_key_delete(se, find_key(se, "revoked")));
    bst_se_close(&se);
    test_host_copy(&h, &newest);
    assert_err(bst_se_open(&copy.host, uri_at(&tpm, "?dir=d"), &none), BST_E_CORRUPT);
    assert_non_null(strstr(bst_error_detail(), "older copy"));
    assert_non_null(test_file(&copy, "d/tpm")); /* nothing of it was touched */
    se = open_at(&newest, "?dir=d");
    assert_int_equal(find_key(se, "revoked"), 0);
    assert_ok(bst_se_key_delete(se, find_key(se, "kept")));
    bst_se_close(&se);
    /* The counter is gone with the folder: what is left of it is not taken for whole. */
    assert_err(bst_se_open(&copy.host, uri_at(&tpm, "?dir=d"), &none), BST_E_NOT_FOUND);
    assert_non_null(strstr(bst_error_detail(), "counter"));
}

static void a_second_writer_of_a_folder_is_found_out(void **state)
{
    skip_without(no_swtpm);
    AUTO_HOST h;
    test_host_init(&h);
    struct bst_se *one = open_at(&h, "?dir=d");
    make_key(one, "first", BST_KEY_EC_P256, BST_KEY_USE_SIGN);
    swtpm_stop(&tpm); /* it has one client: this one lets go */
    assert_true(swtpm_start(&tpm));
    struct bst_se *two = open_at(&h, "?dir=d");
    make_key(two, "second", BST_KEY_EC_P256, BST_KEY_USE_SIGN);
    bst_se_close(&two);
    struct bst_key_attrs attrs = {.uses = BST_KEY_USE_MAC, .label = "third", .persistent = true};
    bst_key key = 0;
    assert_err(bst_se_key_generate(one, &attrs, &key), BST_E_LOCKED);
    assert_err(bst_se_key_delete(one, find_key(one, "first")), BST_E_LOCKED);
    assert_ok(sign(one, find_key(one, "first")));
    bst_se_close(&one);
    one = open_at(&h, "?dir=d");
    assert_int_equal(bst_se_key_count(one), 2);
    assert_ok(bst_se_wipe(one));
    bst_se_close(&one);
    assert_null(h.files);
}

static void a_crash_at_any_write_leaves_a_folder_that_opens(void **state)
{
    skip_without(no_swtpm);
    for (long crash_at = 1; crash_at < 12; crash_at++) {
        AUTO_HOST h;
        test_host_init(&h);
        h.crash_at = crash_at;
        struct bst_se *se = open_at(&h, "?dir=d");
        struct bst_key_attrs attrs = {
            .type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN, .persistent = true};
        bst_key keys[3] = {0};
        static const char *const labels[] = {"a", "b", "c"};
        for (int i = 0; i < 3; i++) {
            attrs.label = labels[i];
            (void)bst_se_key_generate(se, &attrs, &keys[i]).code;
        }
        if (keys[0]) {
            (void)bst_se_key_delete(se, keys[0]).code;
        }
        /* The machine is off: nothing more is written, the TPM has what it has. */
        swtpm_stop(&tpm);
        bst_se_close(&se);
        assert_true(swtpm_start(&tpm));
        h.crash_at = 0;
        bst_result r = bst_se_open(&h.host, uri_at(&tpm, "?dir=d"), &se);
        if (bst_failed(r)) {
            fail_msg("crash at write %ld: %s", crash_at, bst_error_detail());
        }
        for (int i = 1; i < 3; i++) {
            bst_key key = find_key(se, labels[i]);
            assert_true(key || !keys[i]); /* what was promised is there */
            if (key) {
                assert_ok(sign(se, key));
            }
        }
        assert_ok(bst_se_wipe(se));
        bst_se_close(&se);
    }
}

static void a_failed_write_leaves_nothing_and_the_next_one_works(void **state)
{
    skip_without(no_swtpm);
    for (long fail_at = 1; fail_at < 10; fail_at++) {
        AUTO_HOST h;
        test_host_init(&h);
        h.fail_at = fail_at;
        AUTO_SE *se = open_at(&h, "?dir=d");
        struct bst_key_attrs attrs = {
            .type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN, .label = "k", .persistent = true};
        bst_key key = 0;
        bst_result r = bst_se_key_generate(se, &attrs, &key);
        if (bst_failed(r)) {
            assert_int_equal(r.code, BST_E_DISK_FULL);
            assert_int_equal(bst_se_key_count(se), 0);
            assert_ok(bst_se_key_generate(se, &attrs, &key));
        }
        bst_se_close(&se);
        se = open_at(&h, "?dir=d");
        assert_ok(sign(se, find_key(se, "k")));
        r = bst_se_key_delete(se, find_key(se, "k"));
        if (bst_failed(r)) {
            assert_ok(bst_se_key_delete(se, find_key(se, "k")));
        }
        bst_se_close(&se);
        if (h.files) { /* it could not be taken away */
            se = open_at(&h, "?dir=d");
            bst_se_close(&se);
        }
        assert_null(h.files);
    }
    assert_int_equal(nv_count(), nv_before);
}

static void keys_of_another_tpm_are_refused(void **state)
{
    skip_without(no_swtpm);
    AUTO_HOST h;
    test_host_init(&h);
    const char *why;
    struct bst_se *se = open_at(&h, "?dir=d"), *none = NULL;
    make_key(se, "k", BST_KEY_EC_P256, BST_KEY_USE_SIGN);
    assert_true(swtpm_make(&other_tpm, &why));
    assert_err(bst_se_open(&h.host, uri_at(&other_tpm, "?dir=d"), &none), BST_E_CORRUPT);
    assert_non_null(strstr(bst_error_detail(), "not the one that the keys were made in"));
    swtpm_remove(&other_tpm);
    assert_ok(bst_se_key_delete(se, find_key(se, "k")));
    bst_se_close(&se);
}

static void changed_files_are_refused_each_in_words(void **state)
{
    skip_without(no_swtpm);
    AUTO_HOST h;
    test_host_init(&h);
    struct bst_se *se = open_at(&h, "?dir=d");
    make_key(se, "k", BST_KEY_EC_P256, BST_KEY_USE_SIGN);
    bst_se_close(&se);
    static const char *const files[] = {"d/tpm", "d/keys.1", "d/manifest"};
    for (size_t i = 0; i < 3; i++) {
        AUTO_HOST broken;
        test_host_copy(&h, &broken);
        struct test_file *file = test_file(&broken, files[i]);
        if (!file) {
            fail_msg("there is no %s", files[i]);
            return;
        }
        file->ptr[file->len - 1] ^= 1;
        bst_result r = bst_se_open(&broken.host, uri_at(&tpm, "?dir=d"), &se);
        assert_int_equal(r.code, BST_E_CORRUPT);
        assert_null(strstr(bst_error_detail(), "0x"));
        file->len = file->len / 2;
        assert_err(bst_se_open(&broken.host, uri_at(&tpm, "?dir=d"), &se), BST_E_CORRUPT);
        assert_ok(test_host_remove(&broken, files[i]));
        assert_err(bst_se_open(&broken.host, uri_at(&tpm, "?dir=d"), &se), BST_E_CORRUPT);
    }
    se = open_at(&h, "?dir=d");
    assert_ok(bst_se_key_delete(se, find_key(se, "k")));
    bst_se_close(&se);
}

/* ---- counters and life ---- */

static void counters_only_go_up(void **state)
{
    skip_without(no_swtpm);
    AUTO_HOST h;
    test_host_init(&h);
    uint64_t floor = 0, at = 0, ended = 0;
    struct bst_se *se = open_at(&h, "?dir=d");
    assert_ok(bst_se_counter_get(se, "bills", &floor));
    for (uint64_t i = 1; i <= 3; i++) {
        assert_ok(bst_se_counter_next(se, "bills", &at));
        assert_int_equal(at, floor + i);
    }
    bst_se_close(&se);
    swtpm_stop(&tpm);
    assert_true(swtpm_start(&tpm));
    se = open_at(&h, "?dir=d");
    assert_ok(bst_se_counter_get(se, "bills", &at));
    assert_int_equal(at, floor + 3);
    assert_ok(bst_se_counter_next(se, "letters", &at));
    assert_ok(bst_se_counter_next(se, "bills", &ended));
    assert_int_equal(ended, floor + 4);
    assert_ok(bst_se_counter_remove(se, "bills"));
    assert_err(bst_se_counter_remove(se, "bills"), BST_E_NOT_FOUND);
    assert_ok(bst_se_counter_get(se, "bills", &at));
    assert_true(at >= ended);
    bst_se_close(&se);
    se = open_at(&h, "?dir=d");
    assert_ok(bst_se_counter_next(se, "bills", &at));
    assert_true(at > ended);
    ended = at;
    assert_ok(bst_se_counter_remove(se, "bills"));
    assert_ok(bst_se_counter_remove(se, "letters"));
    bst_se_close(&se);
    assert_null(h.files);
    se = open_at(&h, "?dir=d"); /* a new folder in the same TPM */
    assert_ok(bst_se_counter_next(se, "bills", &at));
    assert_true(at > ended);
    assert_ok(bst_se_counter_remove(se, "bills"));
    bst_se_close(&se);
    assert_int_equal(nv_count(), nv_before);
}

static void nothing_is_kept_without_a_folder(void **state)
{
    skip_without(no_swtpm);
    AUTO_HOST h;
    test_host_init(&h);
    AUTO_SE *se = open_at(&h, "");
    uint64_t at;
    bst_key key = 0;
    struct bst_key_attrs attrs = {.uses = BST_KEY_USE_MAC, .label = "k", .persistent = true};
    assert_err(bst_se_key_generate(se, &attrs, &key), BST_E_CONFIG);
    assert_non_null(strstr(bst_error_detail(), "dir="));
    assert_err(bst_se_counter_next(se, "c", &at), BST_E_CONFIG);
}

static void a_blocked_environment_stays_blocked_until_it_is_wiped(void **state)
{
    skip_without(no_swtpm);
    AUTO_HOST h;
    test_host_init(&h);
    uint64_t at;
    struct bst_se *se = open_at(&h, "?dir=d");
    make_key(se, "k", BST_KEY_EC_P256, BST_KEY_USE_SIGN);
    assert_ok(bst_se_counter_next(se, "c", &at));
    assert_ok(bst_se_activate(se));
    assert_ok(bst_se_block(se, "stolen"));
    bst_se_close(&se);
    se = open_at(&h, "?dir=d");
    assert_int_equal(bst_se_state(se), BST_SE_BLOCKED);
    assert_err(sign(se, find_key(se, "k")), BST_E_SE_BLOCKED);
    assert_ok(bst_se_wipe(se));
    assert_int_equal(bst_se_key_count(se), 0);
    assert_int_equal(bst_se_state(se), BST_SE_PERSONALISATION);
    bst_se_close(&se);
    assert_null(h.files);
    assert_int_equal(nv_count(), nv_before);
}

/* ---- PIN ---- */

static void put_pin(struct test_host *h, const char *pin)
{
    test_file_set(h, "file:pin", bst_view(pin));
}

static void wrong_pins_count_and_the_last_try_is_not_taken(void **state)
{
    skip_without(no_swtpm);
    AUTO_HOST h;
    test_host_init(&h);
    static const char *const options = "?dir=d&pin-source=file:pin";
    struct bst_se *se = NULL;
    end_lockout();
    struct bst_key_attrs attrs = {.uses = BST_KEY_USE_MAC, .label = "k", .persistent = true};
    bst_key none = 0;
    put_pin(&h, "\n");
    se = open_at(&h, options);
    assert_err(bst_se_key_generate(se, &attrs, &none), BST_E_SE_PIN); /* no PIN is no PIN */
    bst_se_close(&se);
    put_pin(&h, "27182818\n");
    se = open_at(&h, options);
    make_key(se, "k", BST_KEY_EC_P256, BST_KEY_USE_SIGN);
    bst_se_close(&se);
    put_pin(&h, "00000000\n");
    assert_err(bst_se_open(&h.host, uri_at(&tpm, options), &se), BST_E_SE_PIN);
    assert_non_null(strstr(bst_error_detail(), "the PIN is wrong; 1 of 3"));
    assert_non_null(strstr(bst_error_detail(), "1 of 3 wrong tries are used up"));
    assert_null(strstr(bst_error_detail(), "00000000"));
    assert_err(bst_se_open(&h.host, uri_at(&tpm, options), &se), BST_E_SE_PIN);
    assert_err(bst_se_open(&h.host, uri_at(&tpm, options), &se), BST_E_SE_BLOCKED);
    assert_non_null(strstr(bst_error_detail(), "2 of 3 wrong tries are used up"));
    put_pin(&h, "27182818");
    assert_err(bst_se_open(&h.host, uri_at(&tpm, options), &se), BST_E_SE_BLOCKED);
    assert_non_null(strstr(bst_error_detail(), "tpm2_dictionarylockout"));
    end_lockout();
    se = open_at(&h, options);
    assert_ok(sign(se, find_key(se, "k")));
    bst_se_close(&se);
    assert_err(bst_se_open(&h.host, uri_at(&tpm, "?dir=d"), &se), BST_E_SE_PIN);
    assert_non_null(strstr(bst_error_detail(), "pin-source="));
    se = open_at(&h, options);
    assert_ok(bst_se_key_delete(se, find_key(se, "k")));
    bst_se_close(&se);
}

static void a_pin_is_changed_by_who_knows_the_old_one(void **state)
{
    skip_without(no_swtpm);
    AUTO_HOST h;
    test_host_init(&h);
    static const char *const options = "?dir=d&pin-source=file:pin";
    bst_auto(secret) old = {0}, fresh = {0}, wrong = {0};
    struct bst_se *se = NULL;
    end_lockout();
    put_pin(&h, "old pin");
    assert_ok(bst_secret_copy(&old, "old pin", 7));
    assert_ok(bst_secret_copy(&wrong, "other", 5));
    /* Longer than a TPM takes: its hash counts. */
    assert_ok(bst_secret_copy(&fresh, "a new passphrase of more than 32 bytes", 38));
    se = open_at(&h, options);
    make_key(se, "k", BST_KEY_EC_P256, BST_KEY_USE_SIGN);
    assert_err(bst_se_pin_change(se, &wrong, &fresh), BST_E_SE_PIN);
    assert_ok(bst_se_pin_change(se, &old, &fresh));
    assert_ok(sign(se, find_key(se, "k")));
    bst_se_close(&se);
    end_lockout();
    assert_err(bst_se_open(&h.host, uri_at(&tpm, options), &se), BST_E_SE_PIN);
    put_pin(&h, "a new passphrase of more than 32 bytes");
    end_lockout();
    se = open_at(&h, options);
    assert_ok(sign(se, find_key(se, "k")));
    assert_ok(bst_se_key_delete(se, find_key(se, "k")));
    bst_se_close(&se);
}

/* ---- PCRs ---- */

static void keys_are_bound_to_how_the_machine_was_started(void **state)
{
    skip_without(no_swtpm);
    AUTO_HOST h;
    test_host_init(&h);
    struct bst_se *se = NULL;
    extend_pcr(true);
    se = open_at(&h, "?dir=d&pcrs=sha256:16");
    bst_key mac = make_key(se, "mac", BST_KEY_SYMMETRIC, BST_KEY_USE_MAC);
    uint8_t out[32];
    make_key(se, "pair", BST_KEY_EC_P256, BST_KEY_USE_SIGN | BST_KEY_USE_AGREE);
    make_key(se, "psk", BST_KEY_SYMMETRIC, BST_KEY_USE_PSK);
    assert_ok(sign(se, find_key(se, "pair")));
    assert_ok(bst_se_mac(se, mac, NULL, 0, out));
    bst_se_close(&se);
    extend_pcr(false);
    assert_err(bst_se_open(&h.host, uri_at(&tpm, "?dir=d"), &se), BST_E_SE_BLOCKED);
    assert_non_null(strstr(bst_error_detail(), "PCRs"));
    extend_pcr(true);
    se = open_at(&h, "?dir=d"); /* the folder knows its PCRs */
    bst_auto(secret) psk = {0};
    assert_ok(sign(se, find_key(se, "pair")));
    assert_ok(bst_se_release_psk(se, find_key(se, "psk"), "test", &psk));
    bst_se_close(&se);
    assert_err(bst_se_open(&h.host, uri_at(&tpm, "?dir=d&pcrs=sha256:16,7"), &se), BST_E_CONFIG);
    se = open_at(&h, "?dir=d");
    assert_ok(bst_se_wipe(se));
    bst_se_close(&se);
}

/* ---- EK and level ---- */

struct authority {
    struct evp_pkey_st *key;
    struct x509_st *cert;
    struct bst_buf pem;
};

static void make_authority(const char *name, struct authority *ret)
{
    bst_auto(buf) der = {0};
    struct bst_cert_spec spec = {.common_name = bst_view(name),
                                 .ca = true,
                                 .path_len = -1,
                                 .not_before_us = TEST_HOST_WALL_US - 1000000,
                                 .not_after_us = TEST_HOST_WALL_US + INT64_C(86400000000)};
    *ret = (struct authority){NULL, NULL, {0}};
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &ret->key));
    assert_ok(bst_cert_issue(&spec, ret->key, NULL, ret->key, &der));
    assert_ok(bst_cert_load(bst_buf_view(&der), &ret->cert));
    assert_ok(bst_cert_pem(ret->cert, &ret->pem));
}

static void clear_authority(struct authority *authority)
{
    bst_pkey_free(&authority->key);
    bst_cert_free(&authority->cert);
    bst_buf_clear(&authority->pem);
}

/* A certificate where TPMs have those of their EKs, in a place that is larger than it. */
static void put_ek_cert(struct raw *raw, uint32_t index, struct bst_view der)
{
    const TPM2B_AUTH no_auth = {.size = 0};
    const TPM2B_NV_PUBLIC public = {.nvPublic = {.nvIndex = index,
                                                 .nameAlg = TPM2_ALG_SHA256,
                                                 .attributes = TPMA_NV_OWNERWRITE |
                                                               TPMA_NV_OWNERREAD |
                                                               TPMA_NV_AUTHREAD | TPMA_NV_NO_DA,
                                                 .dataSize = (UINT16)(der.len + 20)}};
    ESYS_TR nv = ESYS_TR_NONE;
    assert_int_equal(Esys_NV_DefineSpace(raw->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD,
                                         ESYS_TR_NONE, ESYS_TR_NONE, &no_auth, &public, &nv),
                     0);
    for (size_t done = 0; done < der.len + 20;) {
        TPM2B_MAX_NV_BUFFER part = {.size = 0};
        size_t left = der.len + 20 - done;
        part.size = (UINT16)(left < 512 ? left : 512);
        memset(part.buffer, 0xff, part.size);
        if (done < der.len) {
            size_t cert = der.len - done < part.size ? der.len - done : part.size;
            memcpy(part.buffer, der.ptr + done, cert);
        }
        assert_int_equal(Esys_NV_Write(raw->esys, ESYS_TR_RH_OWNER, nv, ESYS_TR_PASSWORD,
                                       ESYS_TR_NONE, ESYS_TR_NONE, &part, (UINT16)done),
                         0);
        done += part.size;
    }
}

static void read_ek(struct raw *raw, TPMI_ALG_PUBLIC type, struct bst_buf *ret_spki)
{
    struct tpm2 t = {.parent = ESYS_TR_NONE};
    ESYS_TR ek = ESYS_TR_NONE;
    t.esys = raw->esys;
    assert_int_equal(tpm2_ek_make(&t, type, &ek, ret_spki), 0);
    Esys_FlushContext(raw->esys, ek);
}

/* A certificate for the EK that the TPM has, or for another key. */
static void certify_ek(const struct swtpm *at, const struct authority *by, bool of_another)
{
    bst_auto(buf) spki = {0}, der = {0};
    bst_auto_pkey *subject = NULL;
    struct raw raw = raw_open(at);
    read_ek(&raw, TPM2_ALG_ECC, &spki);
    if (of_another) {
        assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &subject));
    } else {
        assert_ok(bst_pkey_load_public(bst_buf_view(&spki), &subject));
    }
    struct bst_cert_spec spec = {.common_name = BST_VIEW("EK"),
                                 .not_before_us = TEST_HOST_WALL_US - 1000000,
                                 .not_after_us = TEST_HOST_WALL_US + INT64_C(86400000000)};
    assert_ok(bst_cert_issue(&spec, subject, by->cert, by->key, &der));
    put_ek_cert(&raw, EK_CERT_INDEX, bst_buf_view(&der));
    raw_close(&raw);
}

static void forget_ek_cert_at(const struct swtpm *at, uint32_t index)
{
    struct raw raw = raw_open(at);
    ESYS_TR nv = ESYS_TR_NONE;
    assert_int_equal(
        Esys_TR_FromTPMPublic(raw.esys, index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &nv), 0);
    assert_int_equal(Esys_NV_UndefineSpace(raw.esys, ESYS_TR_RH_OWNER, nv, ESYS_TR_PASSWORD,
                                           ESYS_TR_NONE, ESYS_TR_NONE),
                     0);
    raw_close(&raw);
}

static void forget_ek_cert(const struct swtpm *at)
{
    forget_ek_cert_at(at, EK_CERT_INDEX);
}

static int level_at(struct test_host *h, const char *options, const char *words)
{
    AUTO_SE *se = open_at(h, options);
    struct bst_se_about about;
    struct bst_key_info made, released;
    bst_se_about(se, &about);
    if (!strstr(about.evidence, words)) {
        fail_msg("evidence: %s", about.evidence);
    }
    assert_ok(bst_se_key_info(se, make_key(se, "", BST_KEY_EC_P256, BST_KEY_USE_SIGN), &made));
    assert_ok(bst_se_key_info(se, make_key(se, "", BST_KEY_SYMMETRIC, BST_KEY_USE_PSK), &released));
    assert_int_equal(made.attrs.level, about.level);
    assert_int_equal(released.attrs.level, 1);
    return about.level;
}

static void the_level_follows_from_the_ek_and_from_nothing_else(void **state)
{
    skip_without(no_swtpm);
    AUTO_HOST h;
    test_host_init(&h);
    struct authority maker, stranger;
    make_authority("a test root", &maker);
    make_authority("a stranger", &stranger);
    test_file_set(&h, "maker.pem", bst_buf_view(&maker.pem));
    test_file_set(&h, "stranger.pem", bst_buf_view(&stranger.pem));
    assert_int_equal(level_at(&h, "", "no maker's root is named"), 1);
    assert_int_equal(level_at(&h, "?test-root=maker.pem", "it holds no EK certificate"), 1);
    certify_ek(&tpm, &maker, true);
    assert_int_equal(level_at(&h, "?test-root=maker.pem", "for another key"), 1);
    forget_ek_cert(&tpm);
    certify_ek(&tpm, &maker, false);
    assert_int_equal(level_at(&h, "", "no maker's root is named"), 1);
    assert_int_equal(level_at(&h, "?test-root=stranger.pem", "no evidence: the EK certificate"), 1);
    assert_int_equal(level_at(&h, "?test-root=maker.pem", "2 (test root)"), 2);
    assert_int_equal(level_at(&h, "?ek-roots=maker.pem", "not 3, since its maker"), 2);
    h.wall_us += INT64_C(2) * 86400000000;
    assert_int_equal(level_at(&h, "?test-root=maker.pem", "expired"), 1);
    h.wall_us = TEST_HOST_WALL_US;
    struct bst_se *se = NULL;
    assert_err(bst_se_open(&h.host, uri_at(&tpm, "?test-root=absent.pem"), &se), BST_E_NOT_FOUND);
    /* A key keeps what it deserves only while the TPM is proved. */
    se = open_at(&h, "?dir=d&test-root=maker.pem");
    struct bst_key_info info;
    assert_ok(bst_se_key_info(se, make_key(se, "k", BST_KEY_EC_P256, BST_KEY_USE_SIGN), &info));
    assert_int_equal(info.attrs.level, 2);
    bst_se_close(&se);
    se = open_at(&h, "?dir=d");
    assert_ok(bst_se_key_info(se, find_key(se, "k"), &info));
    assert_int_equal(info.attrs.level, 1);
    assert_ok(bst_se_key_delete(se, find_key(se, "k")));
    bst_se_close(&se);
    forget_ek_cert(&tpm);
    clear_authority(&maker);
    clear_authority(&stranger);
}

/* EK certificates as makers write them, by openssl: RSA root, description and assertions of the
 * TCG.
 */
static const char ek_config[] =
    "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=EK\n"
    "[bare]\nkeyUsage=critical,keyAgreement\nsubjectAltName=critical,dirName:infineon\n"
    "[evaluated]\nkeyUsage=critical,keyAgreement\nsubjectAltName=critical,dirName:infineon\n"
    "2.5.29.9=ASN1:SEQUENCE:attributes\n"
    "[firmware]\nkeyUsage=critical,keyAgreement\nsubjectAltName=critical,dirName:intel\n"
    "2.5.29.9=ASN1:SEQUENCE:attributes\n"
    "[infineon]\n0.2.23.133.2.1=id:49465800\n0.2.23.133.2.2=SLB9670\n"
    "[intel]\n0.2.23.133.2.1=id:494E5443\n0.2.23.133.2.2=Intel\n"
    "[attributes]\na=SEQUENCE:attribute\n"
    "[attribute]\noid=OID:2.23.133.2.18\nset=SET:values\n"
    "[values]\nv=SEQUENCE:assertions\n"
    "[assertions]\nversion=INTEGER:0\nupgradable=BOOLEAN:TRUE\ncc=IMPLICIT:3,SEQUENCE:criteria\n"
    "[criteria]\nversion=IA5STRING:3.1\nlevel=ENUMERATED:4\n";

static bool run_openssl(const struct scratch *folder, const char *words)
{
    char command[1200];
    snprintf(command, sizeof command, "cd '%s' && openssl %s >/dev/null 2>&1", folder->dir, words);
    return system(command) == 0;
}

static void read_all(struct scratch *folder, const char *name, struct bst_buf *ret)
{
    char bytes[8192];
    FILE *file = fopen(scratch_path(folder, name), "r");
    assert_non_null(file);
    bst_buf_add(ret, bytes, fread(bytes, 1, sizeof bytes, file));
    fclose(file);
}

static void level_3_takes_a_maker_of_chips_and_an_evaluation(void **state)
{
    static const struct {
        const char *extensions, *words;
        bool test_root;
        int level;
    } chips[] = {
        {"evaluated", "chip of its own by Infineon", false, 3},
        {"evaluated", "2 (test root)", true, 2},
        {"bare", "states no evaluation", false, 2},
        {"firmware", "not known to make chips", false, 2},
    };
    struct scratch folder;
    assert_true(scratch_make(&folder));
    assert_true(softhsm_put(scratch_path(&folder, "cnf"), ek_config));
    if (!run_openssl(&folder, "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj "
                              "/CN=Maker -days 9")) {
        print_message("[  SKIP    ] there is no openssl command\n");
        scratch_remove(&folder);
        skip();
    }
    assert_true(run_openssl(&folder, "ecparam -name prime256v1 -genkey -noout -out ek.key"));
    assert_true(run_openssl(&folder, "req -new -key ek.key -config cnf -out ek.csr"));
    bst_auto(buf) root = {0};
    read_all(&folder, "ca.pem", &root);
    for (size_t i = 0; i < sizeof chips / sizeof chips[0]; i++) {
        bst_auto(buf) cert = {0}, spki = {0};
        char words[300], evidence[320];
        int level = 0;
        snprintf(words, sizeof words,
                 "x509 -req -in ek.csr -CA ca.pem -CAkey ca.key -set_serial 7 -days 5 -extfile cnf "
                 "-extensions %s -outform DER -out ek.der",
                 chips[i].extensions);
        assert_true(run_openssl(&folder, words));
        read_all(&folder, "ek.der", &cert);
        assert_ok(tpm2_ek_judge(bst_buf_view(&cert), bst_buf_view(&root), 0, chips[i].test_root,
                                &spki, &level, evidence));
        assert_int_equal(level, chips[i].level);
        assert_non_null(strstr(evidence, chips[i].words));
        cert.ptr[cert.len - 1] ^= 1; /* of the maker's signature */
        assert_err(tpm2_ek_judge(bst_buf_view(&cert), bst_buf_view(&root), 0, false, &spki, &level,
                                 evidence),
                   BST_E_BAD_CERT);
        assert_int_equal(level, 1);
    }
    scratch_remove(&folder);
}

/* Most TPMs have an RSA EK, and a maker who signs with RSA. */
static void an_rsa_ek_proves_as_well(void **state)
{
    skip_without(no_swtpm);
    AUTO_HOST h;
    test_host_init(&h);
    struct scratch folder;
    bst_auto(buf) spki = {0}, pem = {0}, cert = {0}, root = {0};
    struct raw raw = raw_open(&tpm);
    read_ek(&raw, TPM2_ALG_RSA, &spki);
    assert_ok(bst_der_to_pem("PUBLIC KEY", bst_buf_view(&spki), &pem));
    bst_auto_free char *text = bst_buf_take_text(&pem);
    assert_true(scratch_make(&folder) && softhsm_put(scratch_path(&folder, "ek.pub"), text) &&
                softhsm_put(scratch_path(&folder, "cnf"), ek_config));
    bool made = run_openssl(&folder, "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem "
                                     "-subj /CN=Maker -days 9") &&
                run_openssl(&folder, "req -new -key ca.key -config cnf -out ek.csr") &&
                run_openssl(&folder, "x509 -req -in ek.csr -force_pubkey ek.pub -CA ca.pem -CAkey "
                                     "ca.key -set_serial 7 -days 5 -extfile cnf -extensions bare "
                                     "-outform DER -out ek.der");
    assert_true(made);
    read_all(&folder, "ek.der", &cert);
    read_all(&folder, "ca.pem", &root);
    put_ek_cert(&raw, EK_RSA_CERT_INDEX, bst_buf_view(&cert));
    raw_close(&raw);
    test_file_set(&h, "maker.pem", bst_buf_view(&root));
    h.wall_us = (int64_t)time(NULL) * 1000000;
    assert_int_equal(level_at(&h, "?test-root=maker.pem", "2 (test root)"), 2);
    forget_ek_cert_at(&tpm, EK_RSA_CERT_INDEX);
    scratch_remove(&folder);
}

/* ---- attestation ---- */

static void copy_buf(const struct bst_buf *from, struct bst_buf *to)
{
    to->len = 0;
    bst_buf_addv(to, bst_buf_view(from));
}

static void refuses(struct bst_se_attestation *a, struct bst_buf *changed)
{
    bst_auto(buf) was = {0};
    copy_buf(changed, &was);
    for (size_t i = 0; i < was.len; i++) {
        struct bst_se_attested attested = {.level = 0};
        changed->ptr[i] ^= 0x41;
        bst_result r = bst_se_attest_verify(a, BST_VIEW("nonce"), (struct bst_view){0}, &attested);
        if (!bst_failed(r)) {
            fail_msg("byte %zu of %zu may be changed", i, was.len);
        }
        changed->ptr[i] ^= 0x41;
        changed->len = i;
        assert_true(bst_failed(
            bst_se_attest_verify(a, BST_VIEW("nonce"), (struct bst_view){0}, &attested)));
        changed->len = was.len;
    }
}

static void an_attestation_says_which_key_and_answers_one_nonce(void **state)
{
    skip_without(no_swtpm);
    AUTO_HOST h;
    test_host_init(&h);
    AUTO_SE *se = open_at(&h, "");
    bst_key key = make_key(se, "", BST_KEY_EC_P256, BST_KEY_USE_SIGN);
    bst_key other = make_key(se, "", BST_KEY_EC_P256, BST_KEY_USE_SIGN);
    bst_auto(se_attestation) a = {.kind = ""}, b = {.kind = ""};
    bst_auto(se_attested) attested = {.level = 0};
    bst_auto(buf) spki = {0};
    assert_ok(bst_se_attest(se, key, BST_VIEW("nonce"), &a));
    assert_ok(bst_se_attest_verify(&a, BST_VIEW("nonce"), (struct bst_view){0}, &attested));
    assert_int_equal(attested.level, 1);
    assert_non_null(strstr(attested.evidence, "made inside and cannot leave"));
    assert_ok(bst_se_key_public(se, key, &spki));
    assert_true(bst_view_eq(bst_buf_view(&spki), bst_buf_view(&attested.spki)));
    /* another nonce */
    struct bst_se_attested none;
    assert_err(bst_se_attest_verify(&a, BST_VIEW("another"), (struct bst_view){0}, &none),
               BST_E_BAD_MAC);
    assert_non_null(strstr(bst_error_detail(), "another nonce"));
    assert_err(bst_se_attest(se, key, BST_VIEW(""), &b), BST_E_VALUE);
    /* another key */
    assert_ok(bst_se_attest(se, other, BST_VIEW("nonce"), &b));
    struct bst_se_attestation mixed = a;
    mixed.object = b.object;
    assert_err(bst_se_attest_verify(&mixed, BST_VIEW("nonce"), (struct bst_view){0}, &none),
               BST_E_BAD_MAC);
    assert_non_null(strstr(bst_error_detail(), "another key"));
    /* a signer that signs anything: an ordinary key of the same TPM */
    mixed = a;
    mixed.signer = a.object;
    assert_err(bst_se_attest_verify(&mixed, BST_VIEW("nonce"), (struct bst_view){0}, &none),
               BST_E_BAD_KEY);
    /* anything changed or cut, the quote too */
    refuses(&a, &a.statement);
    refuses(&a, &a.signature);
    refuses(&a, &a.object);
    refuses(&a, &a.signer);
    /* a key that was brought says so */
    bst_auto_pkey *pkey = NULL;
    bst_auto(secret) der = {0};
    struct bst_key_attrs attrs = {.type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN};
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &pkey));
    assert_ok(bst_pkey_private(pkey, &der));
    assert_ok(bst_se_key_import(se, &attrs, &der, &key));
    bst_se_attestation_clear(&b);
    bst_se_attested_clear(&attested);
    assert_ok(bst_se_attest(se, key, BST_VIEW("nonce"), &b));
    assert_ok(bst_se_attest_verify(&b, BST_VIEW("nonce"), (struct bst_view){0}, &attested));
    assert_non_null(strstr(attested.evidence, "brought from outside"));
}

static void only_the_tpm_of_the_certificate_opens_a_challenge(void **state)
{
    skip_without(no_swtpm);
    AUTO_HOST h;
    test_host_init(&h);
    struct authority maker, stranger;
    const char *why;
    make_authority("a maker", &maker);
    make_authority("a stranger", &stranger);
    struct bst_view roots = bst_buf_view(&maker.pem);
    certify_ek(&tpm, &maker, false);
    AUTO_SE *se = open_at(&h, "?pcrs=sha256:0"), *fake = NULL;
    bst_key key = make_key(se, "", BST_KEY_EC_P256, BST_KEY_USE_SIGN);
    bst_auto(se_attestation) a = {.kind = ""}, b = {.kind = ""}, c = {.kind = ""};
    bst_auto(se_attested) attested = {.level = 0};
    bst_auto(buf) challenge = {0}, nonce = {0}, none = {0};
    struct bst_se_attested refused;
    assert_ok(bst_se_attest(se, key, BST_VIEW("n"), &a));
    assert_ok(bst_se_attest_verify(&a, BST_VIEW("n"), roots, &attested));
    assert_int_equal(attested.level, 1);
    assert_non_null(strstr(attested.evidence, "was not shown"));
    bst_se_attested_clear(&attested);
    assert_ok(bst_tpm2_challenge(&a, roots, &challenge, &nonce));
    assert_ok(bst_se_attest(se, key, bst_buf_view(&challenge), &b));
    assert_ok(bst_se_attest_verify(&b, bst_buf_view(&nonce), roots, &attested));
    assert_int_equal(attested.level, 2);
    /* Who does not open it cannot answer it. */
    nonce.ptr[nonce.len - 1] ^= 1;
    assert_err(bst_se_attest_verify(&b, bst_buf_view(&nonce), roots, &refused), BST_E_BAD_MAC);
    nonce.ptr[nonce.len - 1] ^= 1;
    assert_err(bst_se_attest_verify(&a, bst_buf_view(&nonce), roots, &refused), BST_E_BAD_MAC);
    assert_err(bst_tpm2_challenge(&a, bst_buf_view(&stranger.pem), &none, &none), BST_E_BAD_CERT);
    /* Another TPM with a copy of the certificate. */
    assert_true(swtpm_make(&other_tpm, &why));
    assert_ok(bst_se_open(&h.host, uri_at(&other_tpm, ""), &fake));
    key = make_key(fake, "", BST_KEY_EC_P256, BST_KEY_USE_SIGN);
    bst_result r = bst_se_attest(fake, key, bst_buf_view(&challenge), &c);
    if (r.code != BST_E_BAD_MAC) {
        fail_msg("%s: %s", bst_error_name(r.code), bst_error_detail());
    }
    /* The same when the first one lets it know the secret: the signer is not the challenged one. */
    struct bst_view known = bst_view_of(nonce.ptr, strlen(BST_TPM2_ACTIVATED) + 32);
    bst_se_attestation_clear(&c);
    assert_ok(bst_se_attest(fake, key, known, &c));
    bst_buf_addv(&c.chain, bst_buf_view(&b.chain));
    assert_err(bst_se_attest_verify(&c, bst_buf_view(&nonce), roots, &refused), BST_E_BAD_MAC);
    challenge.ptr[challenge.len - 1] ^= 1;
    assert_true(bst_failed(bst_se_attest(se, key, bst_buf_view(&challenge), &c)));
    bst_se_close(&fake);
    bst_se_close(&se);
    swtpm_remove(&other_tpm);
    forget_ek_cert(&tpm);
    clear_authority(&maker);
    clear_authority(&stranger);
}

/* ---- words ---- */

static void every_answer_is_in_words(void **state)
{
    static const struct {
        TSS2_RC rc;
        enum bst_error error;
        const char *words;
    } answers[] = {
        {TPM2_RC_AUTH_FAIL | TPM2_RC_S | TPM2_RC_1, BST_E_SE_PIN, "the PIN is wrong"},
        {TPM2_RC_LOCKOUT, BST_E_SE_BLOCKED, "locked after too many wrong tries"},
        {TPM2_RC_INTEGRITY | TPM2_RC_P | TPM2_RC_1, BST_E_CORRUPT, "of another TPM"},
        {TPM2_RC_POLICY_FAIL | TPM2_RC_S | TPM2_RC_1, BST_E_SE_BLOCKED, "PCRs"},
        {TPM2_RC_NV_SPACE, BST_E_DISK_FULL, "full"},
        {TPM2_RC_NV_RATE, BST_E_BUSY, "spares its memory"},
        {TPM2_RC_OBJECT_MEMORY | TSS2_RESMGR_TPM_RC_LAYER, BST_E_BUSY, "places"},
        {TPM2_RC_CURVE | TPM2_RC_P | TPM2_RC_2, BST_E_SE_MECHANISM, "curve"},
        {TPM2_RC_FAILURE, BST_E_SE_TOKEN, "self-test"},
        {TSS2_TCTI_RC_IO_ERROR, BST_E_BUSY, "cannot be reached"},
        {TSS2_TCTI_RC_NO_CONNECTION, BST_E_BUSY, "cannot be reached"},
        {TSS2_ESYS_RC_MEMORY, BST_E_NOMEM, "memory"},
        {TPM2_RC_EXPIRED | TPM2_RC_P | TPM2_RC_1, BST_E_EXPIRED, "authorisation is over"},
        {TPM2_RC_SENSITIVE, BST_E_CORRUPT, "private half"},
        {TSS2_ESYS_RC_BAD_REFERENCE, BST_E_SE_TOKEN, "does not take the command"},
    };
    struct tpm2 t = {.address = {.tcti = "device:/dev/tpmrm0"}};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        bst_result r = tpm2_fail(&t, answers[i].rc, "signing");
        if (r.code != answers[i].error || !strstr(bst_error_detail(), answers[i].words) ||
            strstr(bst_error_detail(), "0x")) {
            fail_msg("%x: %s: %s", (unsigned)answers[i].rc, bst_error_name(r.code),
                     bst_error_detail());
        }
    }
}

static void addresses_are_checked(void **state)
{
    static const struct {
        const char *uri, *word;
    } bad[] = {
        {"tpm2:cmd:rm -rf /", "no way to a TPM"},
        {"tpm2:nowhere", "no way to a TPM"},
        {"tpm2:swtpm:port=1?pin-value=1234", "pin-source=file:PATH"},
        {"tpm2:swtpm:port=1?pin-source=1234", "never the secret"},
        {"tpm2:swtpm:port=1?owner-source=file:", "never the secret"},
        {"tpm2:swtpm:port=1?dir=", "empty"},
        {"tpm2:swtpm:port=1?dir=%zz", "escaped"},
        {"tpm2:swtpm:port=1?colour=red", "has no 'colour='"},
        {"tpm2:swtpm:port=1?pcrs=sha1:0", "sha256:0,2,7"},
        {"tpm2:swtpm:port=1?pcrs=sha256:24", "0 to 23"},
        {"tpm2:swtpm:port=1?pcrs=sha256:", "0 to 23"},
        {"tpm2:swtpm:port=1?parent=0x40000001", "persistent"},
        {"tpm2:swtpm:port=1?fallback=hard", "soft or none"},
        {"tpm2:swtpm:port=1?ek-roots=a&test-root=b", "exclude each other"},
    };
    AUTO_HOST h;
    test_host_init(&h);
    struct bst_se *se = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bst_result r = bst_se_open(&h.host, bad[i].uri, &se);
        if (r.code != BST_E_CONFIG || !strstr(bst_error_detail(), bad[i].word) ||
            strstr(bst_error_detail(), "1234")) {
            fail_msg("%s: %s: %s", bad[i].uri, bst_error_name(r.code), bst_error_detail());
        }
    }
    struct tpm2_address address;
    assert_ok(tpm2_address_parse(BST_VIEW(""), &address));
    assert_string_equal(address.tcti, "device:/dev/tpmrm0");
    assert_ok(tpm2_address_parse(
        BST_VIEW("device:/dev/tpm0?dir=a%20b&pcrs=sha256:0,2,7&parent=0x81000001&fallback=soft"),
        &address));
    assert_string_equal(address.dir, "a b");
    assert_int_equal(address.pcrs, 0x85);
    assert_int_equal(address.parent, 0x81000001);
    assert_true(address.fallback);
    assert_err(bst_se_open(&h.host, "tpm2:swtpm:port=1", &se), BST_E_BUSY);
    assert_err(bst_se_open(&h.host, "tpm2:device:/dev/there-is-no-tpm", &se), BST_E_BUSY);
}

static int set_up(void **state)
{
    if (swtpm_make(&tpm, &no_swtpm)) {
        no_swtpm = NULL;
    }
    return 0;
}

static int tear_down(void **state)
{
    swtpm_remove(&tpm);
    swtpm_remove(&other_tpm);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(keys_outlive_environment_and_tpm, count_nv),
        cmocka_unit_test_setup(there_may_be_more_keys_than_places, count_nv),
        cmocka_unit_test_setup(long_messages_give_the_same_mac_as_software, count_nv),
        cmocka_unit_test_setup(values_of_any_length_are_sealed, count_nv),
        cmocka_unit_test_setup(several_threads_use_one_tpm, count_nv),
        cmocka_unit_test_setup(a_tpm_that_is_gone_means_busy_and_it_recovers_by_itself, count_nv),
        cmocka_unit_test_setup(what_a_killed_program_left_in_the_tpm_is_swept, count_nv),
        cmocka_unit_test(any_command_may_be_refused_and_nothing_stays),
        cmocka_unit_test(the_connection_may_break_at_any_command_unnoticed),
        cmocka_unit_test_setup(a_folder_from_an_older_copy_is_refused, count_nv),
        cmocka_unit_test_setup(a_second_writer_of_a_folder_is_found_out, count_nv),
        cmocka_unit_test_setup(a_crash_at_any_write_leaves_a_folder_that_opens, count_nv),
        cmocka_unit_test_setup(a_failed_write_leaves_nothing_and_the_next_one_works, count_nv),
        cmocka_unit_test_setup(keys_of_another_tpm_are_refused, count_nv),
        cmocka_unit_test_setup(changed_files_are_refused_each_in_words, count_nv),
        cmocka_unit_test_setup(counters_only_go_up, count_nv),
        cmocka_unit_test_setup(nothing_is_kept_without_a_folder, count_nv),
        cmocka_unit_test_setup(a_blocked_environment_stays_blocked_until_it_is_wiped, count_nv),
        cmocka_unit_test_setup(wrong_pins_count_and_the_last_try_is_not_taken, count_nv),
        cmocka_unit_test_setup(a_pin_is_changed_by_who_knows_the_old_one, count_nv),
        cmocka_unit_test_setup(keys_are_bound_to_how_the_machine_was_started, count_nv),
        cmocka_unit_test_setup(the_level_follows_from_the_ek_and_from_nothing_else, count_nv),
        cmocka_unit_test_setup(an_rsa_ek_proves_as_well, count_nv),
        cmocka_unit_test(level_3_takes_a_maker_of_chips_and_an_evaluation),
        cmocka_unit_test_setup(an_attestation_says_which_key_and_answers_one_nonce, count_nv),
        cmocka_unit_test_setup(only_the_tpm_of_the_certificate_opens_a_challenge, count_nv),
        cmocka_unit_test_setup(every_answer_is_in_words, count_nv),
        cmocka_unit_test_setup(addresses_are_checked, count_nv),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
