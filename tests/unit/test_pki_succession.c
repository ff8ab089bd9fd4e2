/* pki: one key of an authority after another. Who trusts the former root, the new one, or both; the
 * lists; crashes; the end of the former. */
#include "support/test.h"

#include "pki/pki.h"
#include "support/se_host.h"

#include <stdio.h>

#define YEAR (INT64_C(365) * 86400000000)
#define AUTO_PKI __attribute__((cleanup(bst_pki_close))) struct bst_pki
#define AUTO_TRUST __attribute__((cleanup(bst_trust_drop))) struct bst_trust
#define NAME "in.example.com"

struct world {
    struct test_host host;
    struct bst_se *se, *other; /* the first key is in `se`, those of moves in `other` */
    bool se_gone;
    struct bst_pki_keys keys;
    struct bst_pki_config config;
    struct evp_pkey_st *key;
    struct bst_buf spki;
};

struct search {
    struct bst_se *se;
    struct bst_view wanted;
    bst_key found;
};

static bool is_wanted(void *ctx, bst_key key, const struct bst_key_attrs *attrs)
{
    struct search *s = ctx;
    bst_auto(buf) spki = {0};
    assert_ok(bst_se_key_public(s->se, key, &spki));
    s->found = bst_view_eq(bst_buf_view(&spki), s->wanted) ? key : s->found;
    return true;
}

static bst_result find(void *ctx, struct bst_view pem, struct bst_se **ret_se, bst_key *ret)
{
    struct world *w = ctx;
    bst_auto_cert *cert = NULL;
    bst_auto_pkey *key = NULL;
    bst_auto(buf) spki = {0};
    assert_ok(bst_cert_load(pem, &cert));
    assert_ok(bst_cert_public_key(cert, &key));
    assert_ok(bst_pkey_spki(key, &spki));
    struct search searches[] = {{.se = w->se_gone ? NULL : w->se}, {.se = w->other}};
    for (size_t i = 0; i < 2; i++) {
        searches[i].wanted = bst_buf_view(&spki);
        if (searches[i].se) {
            assert_ok(bst_se_key_list(searches[i].se, is_wanted, &searches[i]));
        }
        if (searches[i].found) {
            *ret_se = searches[i].se;
            *ret = searches[i].found;
            return BST_OK;
        }
    }
    return bst_error_detailed(BST_E_BUSY, "its environment is gone");
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    test_host_init(&w->host);
    assert_ok(bst_se_open(&w->host.host, "se:soft?dir=d", &w->se));
    assert_ok(bst_se_open(&w->host.host, "se:soft?dir=e", &w->other));
    w->keys = (struct bst_pki_keys){w, find};
    w->config = (struct bst_pki_config){
        .se = w->se, .host = &w->host.host, .dir = "p", .name = "ca", .keys = &w->keys};
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &w->key));
    assert_ok(bst_pkey_spki(w->key, &w->spki));
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    bst_se_close(&w->se);
    bst_se_close(&w->other);
    bst_pkey_free(&w->key);
    bst_buf_clear(&w->spki);
    test_host_clear(&w->host);
    free(w);
    return 0;
}

/* ---- steps ---- */

static const struct bst_cert_permit permit = {BST_CERT_CSE, {"example.com", 11}};

static struct bst_pki *create(struct world *w)
{
    struct bst_pki *pki = NULL;
    assert_ok(bst_pki_create(&w->config, BST_VIEW("CA 1"), &permit, 1, NULL, 5 * YEAR, &pki));
    return pki;
}

static bst_key make_key(struct bst_se *se)
{
    bst_key key;
    char label[32];
    snprintf(label, sizeof label, "key.%zu", bst_se_key_count(se));
    assert_ok(bst_se_key_generate(
        se,
        &(struct bst_key_attrs){
            .type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN, .label = label, .persistent = true},
        &key));
    return key;
}

static bst_result succeed_with(struct bst_pki *pki, struct bst_se *se, bst_key key,
                               const char *name)
{
    return bst_pki_succeed(pki, &(struct bst_pki_successor){.se = se,
                                                            .key = key,
                                                            .common_name = bst_view(name),
                                                            .permits = &permit,
                                                            .n_permits = 1,
                                                            .lifetime_us = 10 * YEAR});
}

static void reopen(struct world *w, struct bst_pki **pki)
{
    bst_pki_close(pki);
    assert_ok(bst_pki_open(&w->config, pki));
}

static void succeed(struct world *w, struct bst_pki **pki, const char *name)
{
    assert_ok(succeed_with(*pki, w->other, make_key(w->other), name));
    reopen(w, pki);
}

/* A certificate with what its holder sends behind it. */
static void issue(struct world *w, struct bst_pki *pki, struct bst_buf *ret)
{
    const struct bst_cert_san san = {BST_CERT_CSE, BST_VIEW(NAME)};
    struct bst_pki_order order = {.names = &san, .n_names = 1, .lifetime_us = YEAR};
    assert_ok(bst_pki_issue(pki, &order, bst_buf_view(&w->spki), ret));
    assert_ok(bst_pki_chain(pki, ret));
}

static void serial_of(const struct bst_buf *pem, char out[48])
{
    bst_auto_cert *cert = NULL;
    struct bst_cert_facts facts;
    assert_ok(bst_cert_load(bst_buf_view(pem), &cert));
    assert_ok(bst_cert_facts(cert, &facts));
    memcpy(out, facts.serial, sizeof facts.serial);
}

/* How somebody judges who trusts `roots` only, and has `lists` or none. */
static bst_result judge(struct world *w, const struct bst_buf *roots, const struct bst_buf *lists,
                        const struct bst_buf *sent)
{
    bst_auto_cert *leaf = NULL;
    AUTO_TRUST *trust = NULL;
    struct bst_view behind = bst_buf_view(sent);
    assert_ok(bst_cert_load(behind, &leaf));
    assert_ok(bst_trust_new(lists ? BST_CRL_REQUIRE : BST_CRL_OFF, &trust));
    assert_ok(bst_trust_add_anchors(trust, bst_buf_view(roots)));
    if (lists) {
        assert_ok(bst_trust_add_crls(trust, bst_buf_view(lists)));
    }
    assert_ok(bst_trust_add_intermediates(trust, behind));
    return bst_trust_verify(trust, leaf, NULL, BST_CERT_TLS_SERVER, w->host.wall_us);
}

/* ---- cases ---- */

static void who_knows_one_root_or_the_other_accepts_what_is_issued_after_a_change(void **state)
{
    struct world *w = *state;
    AUTO_PKI *pki = create(w);
    bst_auto(buf) old_root = {0}, new_root = {0}, both = {0}, before = {0}, after = {0},
                  lists = {0};
    assert_ok(bst_pki_cert(pki, &old_root));
    issue(w, pki, &before);
    succeed(w, &pki, "CA 2");
    assert_int_equal(bst_pki_former(pki), 1);
    assert_ok(bst_pki_cert(pki, &new_root));
    assert_ok(bst_pki_roots(pki, &both));
    assert_ok(bst_pki_crl(pki, &lists));
    issue(w, pki, &after);
    assert_ok(judge(w, &old_root, NULL, &after));
    assert_ok(judge(w, &new_root, NULL, &after));
    assert_ok(judge(w, &both, &lists, &after));
    assert_ok(judge(w, &both, &lists, &before));
    assert_ok(judge(w, &old_root, NULL, &before));
    assert_err(judge(w, &new_root, NULL, &before), BST_E_BAD_CERT);
}

static void without_what_leads_back_the_former_root_is_not_enough(void **state)
{
    struct world *w = *state;
    AUTO_PKI *pki = create(w);
    bst_auto(buf) old_root = {0}, after = {0}, alone = {0};
    bst_auto_cert *leaf = NULL;
    assert_ok(bst_pki_cert(pki, &old_root));
    succeed(w, &pki, "CA 2");
    issue(w, pki, &after);
    assert_ok(bst_cert_load(bst_buf_view(&after), &leaf));
    assert_ok(bst_cert_pem(leaf, &alone));
    assert_err(judge(w, &old_root, NULL, &alone), BST_E_BAD_CERT);
}

static void two_changes_lead_back_to_the_first_root(void **state)
{
    struct world *w = *state;
    AUTO_PKI *pki = create(w);
    bst_auto(buf) first = {0}, after = {0}, kept = {0};
    assert_ok(bst_pki_cert(pki, &first));
    succeed(w, &pki, "CA 2");
    succeed(w, &pki, "CA 3");
    issue(w, pki, &after);
    assert_ok(judge(w, &first, NULL, &after));
    assert_ok(bst_pki_retire(pki, 1));
    reopen(w, &pki);
    assert_int_equal(bst_pki_former(pki), 1);
    issue(w, pki, &kept);
    assert_err(judge(w, &first, NULL, &kept), BST_E_BAD_CERT);
}

static void the_names_that_may_be_certified_stay_the_same(void **state)
{
    struct world *w = *state;
    AUTO_PKI *pki = create(w);
    const struct bst_cert_san other = {BST_CERT_CSE, BST_VIEW("in.other.example")};
    struct bst_pki_order order = {.names = &other, .n_names = 1, .lifetime_us = YEAR};
    bst_auto(buf) old_root = {0}, both = {0}, pem = {0};
    assert_ok(bst_pki_cert(pki, &old_root));
    succeed(w, &pki, "CA 2");
    assert_ok(bst_pki_roots(pki, &both));
    assert_ok(bst_pki_issue(pki, &order, bst_buf_view(&w->spki), &pem));
    assert_ok(bst_pki_chain(pki, &pem));
    assert_err(judge(w, &old_root, NULL, &pem), BST_E_BAD_CERT);
    assert_err(judge(w, &both, NULL, &pem), BST_E_BAD_CERT);
}

static void a_retired_root_is_trusted_no_more(void **state)
{
    struct world *w = *state;
    AUTO_PKI *pki = create(w);
    bst_auto(buf) before = {0}, after = {0}, roots = {0}, lists = {0}, chain = {0};
    issue(w, pki, &before);
    succeed(w, &pki, "CA 2");
    assert_ok(bst_pki_retire(pki, 0));
    assert_ok(bst_pki_retire(pki, 0));
    reopen(w, &pki);
    issue(w, pki, &after);
    assert_int_equal(bst_pki_former(pki), 0);
    assert_ok(bst_pki_roots(pki, &roots));
    assert_ok(bst_pki_crl(pki, &lists));
    assert_ok(bst_pki_chain(pki, &chain));
    assert_int_equal(chain.len, 0);
    assert_ok(judge(w, &roots, &lists, &after));
    assert_err(judge(w, &roots, &lists, &before), BST_E_BAD_CERT);
}

static void each_root_revokes_what_it_issued(void **state)
{
    struct world *w = *state;
    AUTO_PKI *pki = create(w);
    bst_auto(buf) before = {0}, second = {0}, after = {0}, both = {0}, lists = {0};
    bst_auto(crl) list = {0};
    struct bst_cert_facts old_root, new_root;
    char serial[48];
    bool has_key;
    issue(w, pki, &before);
    issue(w, pki, &second);
    succeed(w, &pki, "CA 2");
    issue(w, pki, &after);
    assert_ok(bst_pki_root(pki, 0, &new_root, &has_key));
    assert_ok(bst_pki_root(pki, 1, &old_root, &has_key));
    serial_of(&before, serial);
    assert_ok(bst_pki_revoke(pki, bst_view(old_root.serial), bst_view(serial), 1));
    serial_of(&after, serial);
    assert_ok(bst_pki_revoke(pki, bst_view(new_root.serial), bst_view(serial), 1));
    /* One that no root has that is still trusted is on no list. */
    assert_ok(bst_pki_revoke(pki, BST_VIEW("0A"), BST_VIEW("0B"), 1));
    reopen(w, &pki);
    assert_ok(bst_pki_roots(pki, &both));
    assert_ok(bst_pki_crl(pki, &lists));
    assert_err(judge(w, &both, &lists, &before), BST_E_REVOKED);
    assert_err(judge(w, &both, &lists, &after), BST_E_REVOKED);
    assert_ok(judge(w, &both, &lists, &second));
    assert_ok(bst_crl_parse(bst_buf_view(&lists), NULL, &list)); /* of the present root */
    assert_int_equal(list.n, 1);
}

static void a_former_key_that_is_gone_costs_only_its_list(void **state)
{
    struct world *w = *state;
    AUTO_PKI *pki = create(w);
    bst_auto(buf) after = {0}, before = {0}, roots = {0}, lists = {0};
    struct bst_cert_facts old_root;
    bool has_key;
    issue(w, pki, &before);
    succeed(w, &pki, "CA 2");
    w->se_gone = true;
    reopen(w, &pki);
    assert_ok(bst_pki_root(pki, 1, &old_root, &has_key));
    assert_false(has_key);
    assert_err(bst_pki_revoke(pki, bst_view(old_root.serial), BST_VIEW("0A"), 1), BST_E_BUSY);
    w->host.wall_us += YEAR / 6;
    assert_err(bst_pki_crl_renew(pki), BST_E_BUSY);
    issue(w, pki, &after);
    assert_ok(bst_pki_roots(pki, &roots));
    assert_ok(bst_pki_crl(pki, &lists));
    assert_ok(judge(w, &roots, &lists, &after));
    assert_err(judge(w, &roots, &lists, &before), BST_E_REVOKED); /* its list is stale */
    w->se_gone = false;
    reopen(w, &pki);
    assert_ok(bst_pki_crl_renew(pki));
    bst_buf_clear(&lists);
    assert_ok(bst_pki_crl(pki, &lists));
    assert_ok(judge(w, &roots, &lists, &before));
}

static void a_key_takes_over_once_and_not_for_ever(void **state)
{
    struct world *w = *state;
    AUTO_PKI *pki = create(w);
    bst_key own = 0;
    assert_ok(bst_se_key_find(w->se, "pki.ca", &own));
    assert_err(succeed_with(pki, w->se, own, "CA 2"), BST_E_EXISTS);
    assert_int_equal(bst_pki_former(pki), 0);
    for (size_t i = 0; i < BST_PKI_FORMER_MAX; i++) {
        succeed(w, &pki, "CA next");
    }
    assert_err(succeed_with(pki, w->other, make_key(w->other), "CA n"), BST_E_LIMIT);
    reopen(w, &pki);
    assert_int_equal(bst_pki_former(pki), BST_PKI_FORMER_MAX);
}

/* After any number of writes the authority opens, issues what the holder of the first root accepts,
 * and the change can be made again. */
static void a_change_that_is_cut_off_leaves_what_works(void **state)
{
    struct world *w = *state;
    AUTO_PKI *pki = create(w);
    bst_auto(buf) old_root = {0};
    bst_key key = make_key(w->other);
    assert_ok(bst_pki_cert(pki, &old_root));
    bst_result made = bst_error(BST_E_IO);
    long n = 1;
    for (; bst_failed(made); n++) {
        bst_auto(buf) pem = {0}, roots = {0}, lists = {0};
        w->host.fail_at = w->host.writes + n;
        made = succeed_with(pki, w->other, key, "CA 2");
        w->host.fail_at = 0;
        reopen(w, &pki);
        assert_int_equal(bst_pki_former(pki), bst_failed(made) ? 0 : 1);
        issue(w, pki, &pem);
        assert_ok(bst_pki_roots(pki, &roots));
        assert_ok(bst_pki_crl(pki, &lists));
        assert_ok(judge(w, &old_root, NULL, &pem));
        assert_ok(judge(w, &roots, &lists, &pem));
        assert_ok(bst_pki_crl_renew(pki));
    }
    assert_int_equal(n, 5); /* three files, each of which can fail */
}

static void a_retirement_that_is_cut_off_leaves_what_works(void **state)
{
    struct world *w = *state;
    AUTO_PKI *pki = create(w);
    succeed(w, &pki, "CA 2");
    bst_result made = bst_error(BST_E_IO);
    for (long n = 1; bst_failed(made); n++) {
        bst_auto(buf) pem = {0}, roots = {0}, lists = {0};
        w->host.fail_at = w->host.writes + n;
        made = bst_pki_retire(pki, 0);
        w->host.fail_at = 0;
        reopen(w, &pki);
        issue(w, pki, &pem);
        assert_ok(bst_pki_roots(pki, &roots));
        assert_ok(bst_pki_crl(pki, &lists));
        assert_ok(judge(w, &roots, &lists, &pem));
        if (bst_pki_former(pki) == 0) {
            break;
        }
    }
    assert_int_equal(bst_pki_former(pki), 0);
}

static void damaged_files_of_a_change_do_not_open(void **state)
{
    struct world *w = *state;
    AUTO_PKI *pki = create(w);
    AUTO_PKI *again = NULL;
    bst_auto(buf) list = {0}, root = {0}, many = {0};
    succeed(w, &pki, "CA 2");
    assert_ok(bst_pki_cert(pki, &root));
    test_file_set(&w->host, "p/ca.chain", BST_VIEW("damaged"));
    assert_true(bst_failed(bst_pki_open(&w->config, &again)));
    test_file_set(&w->host, "p/ca.chain", bst_buf_view(&root)); /* of the key, but leads nowhere */
    assert_ok(bst_pki_open(&w->config, &again));
    bst_pki_close(&again);
    assert_ok(bst_pki_crl(pki, &list));
    test_file_set(&w->host, "p/ca.crl", bst_view_of(list.ptr, list.len / 2));
    assert_err(bst_pki_open(&w->config, &again), BST_E_CORRUPT);
    test_file_set(&w->host, "p/ca.crl", bst_buf_view(&list));
    for (size_t i = 0; i < 8; i++) {
        bst_buf_addv(&many, bst_buf_view(&root));
    }
    test_file_set(&w->host, "p/ca.crt", bst_buf_view(&many));
    assert_err(bst_pki_open(&w->config, &again), BST_E_CORRUPT);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(who_knows_one_root_or_the_other_accepts_what_is_issued_after_a_change),
        WITH_WORLD(without_what_leads_back_the_former_root_is_not_enough),
        WITH_WORLD(two_changes_lead_back_to_the_first_root),
        WITH_WORLD(the_names_that_may_be_certified_stay_the_same),
        WITH_WORLD(a_retired_root_is_trusted_no_more),
        WITH_WORLD(each_root_revokes_what_it_issued),
        WITH_WORLD(a_former_key_that_is_gone_costs_only_its_list),
        WITH_WORLD(a_key_takes_over_once_and_not_for_ever),
        WITH_WORLD(a_change_that_is_cut_off_leaves_what_works),
        WITH_WORLD(a_retirement_that_is_cut_off_leaves_what_works),
        WITH_WORLD(damaged_files_of_a_change_do_not_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
