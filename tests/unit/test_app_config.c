/* app/config: YAML by the schema table; every message names its place. */
#include "support/test.h"

#include "app/config.h"

#include <stdio.h>

static void refused(const char *yaml, const char *place, const char *words)
{
    struct bst_config config = {0};
    assert_err(bst_config_read(bst_view(yaml), "t.yaml", &config), BST_E_CONFIG);
    if (!strstr(bst_error_detail(), place) || !strstr(bst_error_detail(), words)) {
        fail_msg("'%s' has not '%s' and '%s'", bst_error_detail(), place, words);
    }
    assert_null(config.file);
}

static void an_empty_file_gives_the_defaults(void **state)
{
    static const char *const texts[] = {"", "# nothing\n", "---\n", "{}\n"};
    for (size_t i = 0; i < 4; i++) {
        bst_auto(config) config = {0};
        assert_ok(bst_config_read(bst_view(texts[i]), "t.yaml", &config));
        assert_string_equal(config.cse.id, "/id-in");
        assert_int_equal(config.cse.listen.n, 1);
        assert_string_equal(config.cse.listen.items[0], "0.0.0.0:8443");
        assert_true(config.mef.enabled);
        assert_int_equal(config.http.handshake_ms, 10000);
        assert_ok(bst_config_check(&config));
    }
}

static void values_are_read_into_their_fields(void **state)
{
    bst_auto(config) config = {0};
    assert_ok(bst_config_read(BST_VIEW("sp-domain: example.org\n"
                                       "workers: 3\n"
                                       "cse:\n"
                                       "  listen: ['127.0.0.1:0', '[::1]:8443']\n"
                                       "  require-subscription: true\n"
                                       "mef:\n"
                                       "  enabled: false\n"
                                       "enrolment:\n"
                                       "  servers:\n"
                                       "    - fqdn: mef.other.example\n"
                                       "      address: 192.0.2.1:8453\n"
                                       "    - {fqdn: mef.third.example}\n"
                                       "notify: {allow: []}\n"),
                              "t.yaml", &config));
    assert_string_equal(config.sp_domain, "example.org");
    assert_int_equal(config.workers, 3);
    assert_int_equal(config.cse.listen.n, 2);
    assert_true(config.cse.require_subscription);
    assert_false(config.mef.enabled);
    assert_int_equal(config.enrolment.n_servers, 2);
    assert_string_equal(config.enrolment.servers[0].address, "192.0.2.1:8453");
    assert_string_equal(config.enrolment.servers[1].address, "");
    assert_int_equal(config.notify.allow.n, 0);
    assert_ok(bst_config_check(&config));
}

static void an_unknown_key_names_its_place_and_the_nearest(void **state)
{
    refused("cse:\n  lisen: []\n", "t.yaml:2:3", "'cse.listen'");
    refused("sp_domain: a.example\n", "t.yaml:1:1", "'sp-domain'");
    refused("workers: 1\nnonsense-of-a-kind: 1\n", "t.yaml:2:1", "unknown key 'nonsense");
    refused("cse.id: /x\n", "t.yaml:1:1", "unknown key");
    refused("enrolment:\n  servers:\n    - fqnd: a.example\n", "t.yaml:3:7", "'fqdn'");
}

static void a_doubled_key_is_refused(void **state)
{
    refused("workers: 1\nworkers: 2\n", "t.yaml:2:1", "given before");
    refused("cse:\n  name: a\n  name: a\n", "t.yaml:3:3", "given before");
    refused("cse:\n  name: a\nmef:\n  enabled: true\ncse:\n  admin: b\n", "t.yaml:5:1",
            "given before");
    refused("enrolment:\n  servers:\n    - fqdn: a.example\n      fqdn: b.example\n", "t.yaml:4:7",
            "given before");
}

static void a_wrong_type_is_refused(void **state)
{
    refused("workers: many\n", "t.yaml:1:10", "not a whole number");
    refused("workers: '1'\n", "t.yaml:1:10", "without quotes");
    refused("workers: [1]\n", "t.yaml:1:10", "single value");
    refused("workers: {a: 1}\n", "t.yaml:1:10", "single value");
    refused("workers:\n", "t.yaml:1:9", "missing");
    refused("cse:\n  listen: 127.0.0.1:1\n", "t.yaml:2:11", "list");
    refused("cse:\n  listen: [[x]]\n", "t.yaml:2:12", "item");
    refused("cse: 1\n", "t.yaml:1:6", "options are wanted");
    refused("mef: {enabled: yes}\n", "t.yaml:1:16", "neither true nor false");
    refused("enrolment: {servers: [a]}\n", "t.yaml:1:23", "mapping");
    refused("[1]\n", "t.yaml:1:1", "options are wanted");
    refused("? [a]\n: 1\n", "t.yaml:1:3", "plain name");
}

static void a_value_out_of_its_range_is_refused(void **state)
{
    refused("workers: 257\n", "t.yaml:1:10", "0 to 256");
    refused("workers: -1\n", "t.yaml:1:10", "0 to 256");
    refused("workers: 99999999999999999999\n", "t.yaml:1:10", "not a whole number");
    refused("cse: {id: id-in}\n", "t.yaml:1:11", "begins with '/'");
    refused("cse: {name: 'a b'}\n", "t.yaml:1:13", "only letters");
    refused("cse: {listen: ['127.0.0.1']}\n", "t.yaml:1:16", "ADDRESS:PORT");
    refused("cse: {listen: ['127.0.0.1:70000']}\n", "t.yaml:1:16", "not a port");
    refused("sp-domain: 'a..b'\n", "t.yaml:1:12", "not a domain");
    refused("metrics: {listen: '0.0.0.0:9464'}\n", "t.yaml:1:19", "loopback only");
    refused("tls: {crl-policy: maybe}\n", "t.yaml:1:19", "none of required");
}

static void secrets_are_named_by_place_only(void **state)
{
    refused("se: {state-key: 00112233445566778899aabbccddeeff}\n", "t.yaml:1:17", "never written");
    bst_auto(config) config = {0};
    assert_ok(bst_config_read(BST_VIEW("se: {state-key: 'credential:bastide-state'}\n"), "t.yaml",
                              &config));
}

static void anchors_aliases_tags_and_second_documents_are_refused(void **state)
{
    refused("workers: &a 1\n", "t.yaml:1:10", "anchors");
    refused("cse: *a\n", "t.yaml:1:6", "anchors");
    refused("workers: !!int 1\n", "t.yaml:1:10", "tags");
    refused("cse: !x {name: a}\n", "t.yaml:1:6", "tags");
    refused("workers: 1\n---\nworkers: 2\n", "t.yaml:2:1", "second document");
}

static void what_is_not_yaml_is_refused(void **state)
{
    refused("cse: {name: a\n", "t.yaml:", "not YAML");
    refused("\tworkers: 1\n", "t.yaml:1:1", "not YAML");
    refused("workers: \"1\n", "t.yaml:", "not YAML");
    refused("workers: \xff\n", "t.yaml", "UTF-8");
    bst_auto(buf) deep = {0};
    for (int i = 0; i < 20000; i++) {
        bst_buf_addc(&deep, '[');
    }
    bst_buf_addc(&deep, '\0');
    refused(deep.ptr, "t.yaml:1:1", "options are wanted");
}

static void a_file_that_is_too_long_is_refused(void **state)
{
    bst_auto(buf) big = {0};
    struct bst_config config = {0};
    for (int i = 0; i < 300000; i++) {
        bst_buf_addc(&big, '#');
    }
    assert_err(bst_config_read(bst_buf_view(&big), "t.yaml", &config), BST_E_CONFIG);
}

static void nul_inside_is_refused(void **state)
{
    struct bst_config config = {0};
    static const char text[] = "sp-domain: \"a\\0b\"\n";
    assert_err(bst_config_read(BST_VIEW("cse: {name: \"a\\0b\"}"), "t.yaml", &config),
               BST_E_CONFIG);
    assert_err(bst_config_read(bst_view(text), "t.yaml", &config), BST_E_CONFIG);
}

static void the_command_line_sets_single_values(void **state)
{
    bst_auto(config) config = {0};
    assert_ok(bst_config_init(&config));
    assert_ok(bst_config_set(&config, BST_VIEW("cse.listen=127.0.0.1:0,[::1]:0")));
    assert_int_equal(config.cse.listen.n, 2);
    assert_ok(bst_config_set(&config, BST_VIEW("workers=2")));
    assert_ok(bst_config_set(&config, BST_VIEW("notify.allow=")));
    assert_int_equal(config.notify.allow.n, 0);
    assert_err(bst_config_set(&config, BST_VIEW("workers")), BST_E_CONFIG);
    assert_err(bst_config_set(&config, BST_VIEW("worker=2")), BST_E_CONFIG);
    assert_non_null(strstr(bst_error_detail(), "'workers'"));
    assert_err(bst_config_set(&config, BST_VIEW("workers=x")), BST_E_CONFIG);
    assert_non_null(strstr(bst_error_detail(), "workers: "));
}

static void rules_between_values_hold(void **state)
{
    bst_auto(config) config = {0};
    assert_ok(bst_config_init(&config));
    assert_ok(bst_config_set(&config, BST_VIEW("http.handshake-ms=5000")));
    assert_err(bst_config_check(&config), BST_E_CONFIG);
    assert_ok(bst_config_set(&config, BST_VIEW("enrolment.lookup-ms=4000")));
    assert_ok(bst_config_check(&config));
    assert_ok(bst_config_set(&config, BST_VIEW("tls.profile=none-such")));
    assert_err(bst_config_check(&config), BST_E_CONFIG);
    bst_auto(config) servers = {0};
    assert_ok(bst_config_read(BST_VIEW("enrolment: {servers: [{address: '192.0.2.1:1'}]}"),
                              "t.yaml", &servers));
    assert_err(bst_config_check(&servers), BST_E_CONFIG);
}

static void what_is_shown_can_be_read_again(void **state)
{
    bst_auto(config) config = {0};
    bst_auto(config) again = {0};
    bst_auto(buf) shown = {0};
    bst_auto(buf) twice = {0};
    assert_ok(
        bst_config_read(BST_VIEW("cse: {name: other}\nenrolment: {servers: [{fqdn: a.example}]}"),
                        "t.yaml", &config));
    assert_ok(bst_config_show(&config, false, &shown));
    /* Defaults that stand for "not given" are the one thing that cannot be written. */
    assert_ok(bst_config_read(bst_buf_view(&shown), "u.yaml", &again));
    assert_ok(bst_config_show(&again, false, &twice));
    assert_true(bst_view_eq(bst_buf_view(&shown), bst_buf_view(&twice)));
}

static void origins_are_shown(void **state)
{
    bst_auto(config) config = {0};
    bst_auto(buf) shown = {0};
    assert_ok(bst_config_read(BST_VIEW("workers: 2\ncse:\n  name: other\n"), "t.yaml", &config));
    assert_ok(bst_config_set(&config, BST_VIEW("log.level=debug")));
    assert_ok(bst_config_show(&config, true, &shown));
    bst_auto_free char *text = bst_buf_take_text(&shown);
    assert_non_null(strstr(text, "workers: 2  # t.yaml:1\n"));
    assert_non_null(strstr(text, "  name: \"other\"  # t.yaml:3\n"));
    assert_non_null(strstr(text, "  level: \"debug\"  # command line\n"));
    assert_non_null(strstr(text, "sp-domain: \"acme.example.com\"  # default\n"));
}

static void a_reload_takes_what_can_change_at_once(void **state)
{
    bst_auto(config) running = {0};
    bst_auto(config) fresh = {0};
    bst_auto(buf) waiting = {0};
    assert_ok(bst_config_read(BST_VIEW("workers: 2\ncse: {listen: ['a:1'], name: x}\n"), "t.yaml",
                              &running));
    assert_ok(bst_config_read(BST_VIEW("workers: 3\ncse: {listen: ['a:2'], name: y}\n"
                                       "notify: {allow: [10.0.0.0/8]}\nlog: {level: debug}\n"),
                              "t.yaml", &fresh));
    assert_ok(bst_config_merge(&running, &fresh, &waiting));
    assert_int_equal(fresh.workers, 2);
    assert_string_equal(fresh.cse.listen.items[0], "a:1");
    assert_string_equal(fresh.cse.name, "x");
    assert_string_equal(fresh.notify.allow.items[0], "10.0.0.0/8");
    assert_string_equal(fresh.log.level, "debug");
    assert_true(bst_view_is(bst_buf_view(&waiting), "workers, cse.name, cse.listen"));
}

static void the_reference_in_docs_is_the_schema(void **state)
{
    bst_auto(buf) reference = {0};
    bst_auto(buf) path = {0};
    static char page[65536];
    assert_ok(bst_config_reference(&reference));
    bst_buf_addf(&path, "%s/docs/configuration.md", getenv("BST_SOURCE"));
    bst_auto_free char *name = bst_buf_take_text(&path);
    FILE *file = fopen(name, "r");
    assert_non_null(file);
    size_t len = fread(page, 1, sizeof page, file);
    fclose(file);
    if (!bst_view_eq(bst_view_of(page, len), bst_buf_view(&reference))) {
        fail_msg("%s is not what 'bastide config reference' prints", name);
    }
}

static void every_failed_allocation_is_reported(void **state)
{
    for (long n = 1; n < 2000; n++) {
        struct bst_config config = {0};
        bst_alloc_fail_at(n);
        bst_result r = bst_config_read(
            BST_VIEW("cse: {listen: ['a:1', 'b:2']}\nenrolment: {servers: [{fqdn: a.example}]}\n"),
            "t.yaml", &config);
        bst_alloc_fail_at(0);
        if (!bst_failed(r)) {
            bst_config_clear(&config);
            return;
        }
        assert_int_equal(r.code, BST_E_NOMEM);
    }
    fail_msg("it never succeeded");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_gives_the_defaults),
        cmocka_unit_test(values_are_read_into_their_fields),
        cmocka_unit_test(an_unknown_key_names_its_place_and_the_nearest),
        cmocka_unit_test(a_doubled_key_is_refused),
        cmocka_unit_test(a_wrong_type_is_refused),
        cmocka_unit_test(a_value_out_of_its_range_is_refused),
        cmocka_unit_test(secrets_are_named_by_place_only),
        cmocka_unit_test(anchors_aliases_tags_and_second_documents_are_refused),
        cmocka_unit_test(what_is_not_yaml_is_refused),
        cmocka_unit_test(a_file_that_is_too_long_is_refused),
        cmocka_unit_test(nul_inside_is_refused),
        cmocka_unit_test(the_command_line_sets_single_values),
        cmocka_unit_test(rules_between_values_hold),
        cmocka_unit_test(what_is_shown_can_be_read_again),
        cmocka_unit_test(origins_are_shown),
        cmocka_unit_test(a_reload_takes_what_can_change_at_once),
        cmocka_unit_test(the_reference_in_docs_is_the_schema),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
