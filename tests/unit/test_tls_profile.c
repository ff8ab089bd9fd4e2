/* tls: what each profile really negotiates, against golden text; the handshake told by the probe.
 */
#include "support/test.h"

#include "support/tls_world.h"

#include "tls/probe.h"

#include <openssl/opensslv.h>
#include <unistd.h>

static bool read_file(const char *path, struct bst_buf *ret)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        return false;
    }
    char part[4096];
    size_t n;
    while ((n = fread(part, 1, sizeof part, file)) > 0) {
        bst_buf_add(ret, part, n);
    }
    fclose(file);
    return true;
}

/** The golden file of the newest OpenSSL that is not newer than this one comes before the common
 * one. */
static void read_golden(const char *name, struct bst_buf *ret)
{
    char path[512];
    const char *source = getenv("BST_SOURCE");
    for (int minor = OPENSSL_VERSION_MINOR; minor >= 0; minor--) {
        snprintf(path, sizeof path, "%s/tests/golden/tls-%s.openssl-%d.%d.txt",
                 source ? source : ".", name, OPENSSL_VERSION_MAJOR, minor);
        if (read_file(path, ret)) {
            return;
        }
    }
    snprintf(path, sizeof path, "%s/tests/golden/tls-%s.txt", source ? source : ".", name);
    if (!read_file(path, ret)) {
        fail_msg("no golden file %s", path);
    }
}

static void every_profile_is_what_its_golden_file_says(void **state)
{
    const struct bst_tls_profile *profile;
    for (size_t i = 0; (profile = bst_tls_profile_at(i)) != NULL; i++) {
        struct bst_buf printed = {0}, golden = {0};
        assert_ok(bst_tls_profile_print(profile, &printed));
        read_golden(bst_tls_profile_name(profile), &golden);
        if (!bst_view_eq(bst_buf_view(&printed), bst_buf_view(&golden))) {
            fail_msg("profile %s is now:\n%.*s", bst_tls_profile_name(profile),
                     BST_VIEW_ARGS(bst_buf_view(&printed)));
        }
        assert_ptr_equal(bst_tls_profile_find(bst_view(bst_tls_profile_name(profile))), profile);
        assert_true(*bst_tls_profile_purpose(profile));
        bst_buf_clear(&printed);
        bst_buf_clear(&golden);
    }
    assert_null(bst_tls_profile_find(BST_VIEW("oneM2M")));
}

static bool probe_says(struct bst_tls_probe *probe, const char *words)
{
    struct bst_buf report = {0};
    assert_ok(bst_tls_probe_report(probe, &report));
    char *text = bst_buf_take_text(&report);
    bool says = strstr(text, words) != NULL;
    if (!says) {
        print_message("%s", text);
    }
    bst_free(text);
    return says;
}

struct probing {
    struct world w;
    struct bst_tls_server *server;
    struct bst_tls_client *client;
    struct bst_tls *t;
    struct bst_tls_probe *probe;
};

static void probing_init(struct probing *g, const char *profile, bool expired)
{
    *g = (struct probing){0};
    world_init(&g->w);
    struct bst_tls_server_config server = world_server_config(&g->w, profile, NULL);
    struct bst_tls_client_config client = world_cert_client(&g->w, profile, &g->w.client);
    assert_ok(bst_tls_server_new(&server, &g->server));
    assert_ok(bst_tls_client_new(&client, &g->client));
    assert_ok(bst_tls_accept(g->server, BST_VIEW("x"), &g->t));
    world_now_us += expired ? 1000 * WORLD_DAY_US : 0;
    assert_ok(bst_tls_probe_new(g->client, &g->probe));
}

static void probing_clear(struct probing *g)
{
    bst_tls_probe_free(&g->probe);
    bst_tls_free(&g->t);
    bst_tls_client_free(&g->client);
    bst_tls_server_free(&g->server);
    world_clear(&g->w);
}

static void a_probe_tells_each_step_of_a_good_handshake(void **state)
{
    static const char *const profiles[] = {"onem2m-tls12", "onem2m"};
    for (size_t i = 0; i < 2; i++) {
        struct probing g;
        probing_init(&g, profiles[i], false);
        assert_true(probe_says(g.probe, "not finished: 1 messages sent, 0 received"));
        world_shake(bst_tls_probe_endpoint(g.probe), g.t, 0);
        assert_true(probe_says(g.probe, "-> ClientHello"));
        assert_true(probe_says(g.probe, "<- ServerHello"));
        assert_true(probe_says(g.probe, i ? "suite 0x1301" : "suite 0xC02B"));
        assert_true(probe_says(g.probe, "<- Certificate,"));
        assert_true(probe_says(g.probe, "name " WORLD_SERVER_NAME));
        assert_true(probe_says(g.probe, "<- CertificateRequest"));
        assert_true(probe_says(g.probe, "-> Finished"));
        assert_true(probe_says(g.probe, i ? "agreed: TLSv1.3" : "agreed: TLSv1.2"));
        assert_true(probe_says(g.probe, "the server proved to be " WORLD_SERVER_NAME));
        probing_clear(&g);
    }
}

static void a_probe_tells_which_side_refuses_and_why(void **state)
{
    struct probing g;
    probing_init(&g, "onem2m", true);
    world_shake(bst_tls_probe_endpoint(g.probe), g.t, 0);
    assert_true(
        probe_says(g.probe, "failed at step \"certificate of the server\"; refused by this side"));
    assert_true(probe_says(g.probe, "-> Alert: certificate expired"));
    assert_true(probe_says(g.probe, "clause: TS-0003 8.1.2.2"));
    assert_true(probe_says(g.probe, "remedy: renew"));
    probing_clear(&g);
}

/** A system configuration that would change every profile, if anybody read it. */
static void hostile_openssl_cnf(void)
{
    static char path[] = "/tmp/bastide-openssl-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (file) {
        fputs(
            "openssl_conf = conf\n[conf]\nssl_conf = ssl\n[ssl]\nsystem_default = all\n[all]\n"
            "MinProtocol = TLSv1.3\nMaxProtocol = TLSv1.3\nCiphersuites = TLS_AES_256_GCM_SHA384\n"
            "Groups = P-521\nOptions = UnsafeLegacyRenegotiation\n",
            file);
        fclose(file);
        setenv("OPENSSL_CONF", path, 1);
    }
}

static void the_systems_configuration_changes_nothing(void **state)
{
    /* The golden files above were compared under it; here a TLS 1.2 handshake goes through. */
    struct probing g;
    assert_non_null(strstr(getenv("OPENSSL_CONF"), "bastide-openssl-"));
    probing_init(&g, "onem2m-tls12", false);
    world_shake(bst_tls_probe_endpoint(g.probe), g.t, 0);
    assert_true(probe_says(g.probe, "agreed: TLSv1.2"));
    probing_clear(&g);
    unlink(getenv("OPENSSL_CONF"));
}

int main(void)
{
    hostile_openssl_cnf();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_profile_is_what_its_golden_file_says),
        cmocka_unit_test(a_probe_tells_each_step_of_a_good_handshake),
        cmocka_unit_test(a_probe_tells_which_side_refuses_and_why),
        cmocka_unit_test(the_systems_configuration_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
