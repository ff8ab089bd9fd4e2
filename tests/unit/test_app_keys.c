/* app/se_uri, app/rotate, app/profile_move, app/state_keys: addresses of environments, keys that
 * give way to new ones, and profiles that change the place of their keys. */
#include "support/state_folder.h"
#include "support/test.h"

#include "app/profile.h"
#include "app/rotate.h"
#include "app/se_uri.h"
#include "se/se.h"
#include "sys/clock.h"

#include <stdlib.h>

/* ---- addresses ---- */

static void settled(const char *uri, const char *pin, const char *expected)
{
    bst_auto(buf) out = {0};
    assert_ok(bst_se_uri_settle(uri, pin, false, &out));
    assert_string_equal(out.ptr, expected);
}

static void a_pin_file_replaces_the_one_in_the_address(void **state)
{
    settled("pkcs11:token=a", NULL, "pkcs11:token=a");
    settled("pkcs11:token=a", "pin", "pkcs11:token=a?pin-source=file:pin");
    settled("pkcs11:token=a?module-path=/m.so", "p n",
            "pkcs11:token=a?module-path=/m.so&pin-source=file:p%20n");
    settled("pkcs11:token=a?pin-source=file:/old&module-path=/m.so", "/new",
            "pkcs11:token=a?module-path=/m.so&pin-source=file:/new");
    settled("tpm2:?x=y", "/new", "tpm2:?x=y&pin-source=file:/new");
    settled("se:soft?dir=d&key=file:k", "/phrase", "se:soft?dir=d&key=passphrase:file:/phrase");
}

static void relative_places_become_absolute(void **state)
{
    char expected[4096];
    char *here = realpath(".", NULL);
    bst_auto(buf) out = {0};
    assert_non_null(here);
    snprintf(expected, sizeof expected,
             "pkcs11:token=a?module-path=/m.so&pin-source=file:%s/keys/pin&fallback=soft", here);
    assert_ok(
        bst_se_uri_settle("pkcs11:token=a?module-path=/m.so&pin-source=file:keys/pin&fallback=soft",
                          NULL, true, &out));
    assert_string_equal(out.ptr, expected);
    bst_buf_clear(&out);
    snprintf(expected, sizeof expected, "se:soft?dir=%s/d&key=passphrase:file:%s/k", here, here);
    assert_ok(bst_se_uri_settle("se:soft?dir=d&key=passphrase:file:k", NULL, true, &out));
    assert_string_equal(out.ptr, expected);
    bst_buf_clear(&out);
    assert_err(bst_se_uri_settle("pkcs11:token=a", "no such file", true, &out), BST_E_NOT_FOUND);
    free(here);
}

static void split(const char *uri, const char *expected, const char *label)
{
    bst_auto(buf) out = {0};
    char got[BST_KEY_LABEL_MAX + 1] = "default";
    assert_ok(bst_se_uri_split(uri, &out, got));
    assert_string_equal(out.ptr, expected);
    assert_string_equal(got, label);
}

static void the_label_of_a_key_is_taken_out_of_its_address(void **state)
{
    split("pkcs11:token=a?pin-source=file:p", "pkcs11:token=a?pin-source=file:p", "default");
    split("pkcs11:token=a;object=the%20key?pin-source=file:p", "pkcs11:token=a?pin-source=file:p",
          "the key");
    split("pkcs11:object=k;token=a", "pkcs11:token=a", "k");
    split("se:soft?dir=d&object=k", "se:soft?dir=d", "k");
    split("tpm2:?object=k", "tpm2:", "k");
    split("tpm2:", "tpm2:", "default");
}

static void a_wrong_label_in_an_address_is_refused(void **state)
{
    bst_auto(buf) out = {0};
    char label[BST_KEY_LABEL_MAX + 1] = "default";
    char uri[BST_KEY_LABEL_MAX + 64] = "tpm2:object=";
    memset(uri + strlen(uri), 'x', BST_KEY_LABEL_MAX + 1);
    assert_err(bst_se_uri_split(uri, &out, label), BST_E_TOO_LONG);
    bst_buf_clear(&out);
    assert_true(bst_failed(bst_se_uri_split("tpm2:object=%00", &out, label)));
    bst_buf_clear(&out);
    assert_true(bst_failed(bst_se_uri_split("tpm2:object=%z", &out, label)));
    assert_string_equal(label, "default");
}

/* ---- rotation ---- */

static int64_t now(void *ctx)
{
    return bst_wall_us();
}

static struct bst_se *open_se(const char *uri)
{
    struct bst_se_host host;
    struct bst_se *se = NULL;
    bst_se_host_file(&host, now);
    assert_ok(bst_se_open(&host, uri, &se));
    return se;
}

static struct bst_se *open_folder(struct state_folder *f, const char *name)
{
    char path[512], uri[600];
    snprintf(uri, sizeof uri, "se:soft?dir=%s", state_folder_path(f, name, path));
    return open_se(uri);
}

static bst_key make(struct bst_se *se, const char *label)
{
    bst_key key = 0;
    assert_ok(bst_se_key_generate(se,
                                  &(struct bst_key_attrs){.type = BST_KEY_EC_P256,
                                                          .uses = BST_KEY_USE_SIGN,
                                                          .label = label,
                                                          .suid = 7,
                                                          .persistent = true},
                                  &key));
    return key;
}

static bst_key find(struct bst_se *se, const char *label)
{
    bst_key key = 0;
    assert_ok(bst_se_key_find(se, label, &key));
    return key;
}

static struct bst_se *open_view(struct state_folder *f, const char *name, const char *owner)
{
    struct bst_se *se = open_folder(f, name), *view = NULL;
    assert_ok(bst_se_for_owner(se, owner, &view));
    bst_se_close(&se);
    return view;
}

static void signs(struct bst_se *se, bst_key key)
{
    bst_auto(buf) signature = {0};
    assert_ok(bst_se_sign(se, key, BST_MD_SHA256, BST_VIEW("x"), &signature));
}

static void a_rotation_keeps_handles_and_attributes(void **state)
{
    struct bst_se *se = open_view(*state, "rotation", "alice");
    bst_key old = make(se, "tls");
    struct bst_rotation r;
    struct bst_key_info info;
    assert_ok(bst_rotation_begin(se, "tls", 0, &r));
    assert_int_equal(find(se, "tls"), old);
    assert_int_equal(find(se, "tls.next"), r.fresh);
    assert_ok(bst_rotation_end(&r, false));
    assert_string_equal(r.kept, "tls.1");
    assert_int_equal(find(se, "tls"), r.fresh);
    assert_int_equal(find(se, "tls.1"), old);
    assert_int_equal(find(se, "tls.next"), 0);
    signs(se, old);
    signs(se, r.fresh);
    assert_ok(bst_se_key_info(se, r.fresh, &info));
    assert_string_equal(info.owner, "alice");
    assert_string_equal(info.label, "tls");
    assert_int_equal(info.attrs.suid, 7);
    bst_se_close(&se);
    se = open_view(*state, "rotation", "alice");
    signs(se, find(se, "tls"));
    signs(se, find(se, "tls.1"));
    assert_int_equal(bst_se_key_count(se), 2);
    bst_se_close(&se);
}

static void a_line_of_keys_goes_on_in_another_environment(void **state)
{
    struct bst_se *here = open_folder(*state, "here"), *there = open_folder(*state, "there2");
    const struct bst_key_attrs attrs = {.type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN};
    bst_key old = make(here, "root"), other;
    struct bst_rotation r, again, left = {.se = here, .old = old, .label = "root"};
    assert_ok(bst_rotation_begin_with(there, "root", &attrs, &r));
    assert_int_equal(r.old, 0);
    assert_ok(bst_rotation_begin_with(there, "root", &attrs, &again));
    assert_int_equal(again.fresh, r.fresh);
    assert_ok(bst_rotation_end(&r, false));
    assert_string_equal(r.kept, "");
    assert_ok(bst_rotation_put_by(&left));
    assert_string_equal(left.kept, "root.1");
    assert_int_equal(find(here, "root.1"), old);
    assert_int_equal(find(here, "root"), 0);
    assert_int_equal(find(there, "root"), r.fresh);
    /* Back again, where one of that label has been made meanwhile: it gives way. */
    other = make(here, "root");
    assert_ok(bst_rotation_begin_with(here, "root", &attrs, &r));
    assert_ok(bst_rotation_end(&r, false));
    assert_string_equal(r.kept, "root.2");
    assert_int_equal(find(here, "root.2"), other);
    bst_se_close(&here);
    bst_se_close(&there);
}

static void what_cannot_be_rotated_is_refused_before_anything_is_made(void **state)
{
    struct bst_se *se = open_folder(*state, "refused");
    const struct bst_key_attrs expired = {.type = BST_KEY_EC_P256,
                                          .uses = BST_KEY_USE_SIGN,
                                          .label = "old",
                                          .persistent = true,
                                          .expires_us = 1};
    struct bst_key_attrs resource = expired;
    struct bst_rotation r;
    bst_key key;
    resource.label = "ts0016:key:Cthermo:k";
    resource.expires_us = 0;
    assert_ok(bst_se_key_generate(se, &expired, &key));
    assert_ok(bst_se_key_generate(se, &resource, &key));
    assert_err(bst_rotation_begin(se, "old", 0, &r), BST_E_EXPIRED);
    assert_err(bst_rotation_begin(se, resource.label, 0, &r), BST_E_SE_USAGE);
    assert_int_equal(bst_se_key_count(se), 2);
    assert_ok(bst_rotation_begin(se, "old", INT64_MAX, &r));
    assert_ok(bst_rotation_end(&r, true));
    signs(se, find(se, "old"));
    bst_se_close(&se);
}

static void a_rotation_goes_on_from_wherever_it_stopped(void **state)
{
    struct bst_se *se = open_folder(*state, "resumed");
    bst_key old = make(se, "tls");
    struct bst_rotation first, second;
    assert_ok(bst_rotation_begin(se, "tls", 0, &first));
    assert_ok(bst_rotation_begin(se, "tls", 0, &second));
    assert_int_equal(second.fresh, first.fresh);
    assert_ok(bst_se_key_rename(se, old, "tls.1"));
    assert_ok(bst_rotation_begin(se, "tls", 0, &second));
    assert_int_equal(second.old, 0);
    assert_ok(bst_rotation_end(&second, true));
    assert_int_equal(find(se, "tls"), first.fresh);
    assert_int_equal(find(se, "tls.1"), old);
    assert_err(bst_rotation_begin(se, "nobody", 0, &second), BST_E_NOT_FOUND);
    bst_se_close(&se);
}

static void a_key_does_not_take_the_label_of_another(void **state)
{
    struct bst_se *se = open_folder(*state, "labels");
    struct bst_se *alice = NULL, *bob = NULL;
    bst_key a = make(se, "a"), b = make(se, "b"), hers = 0, passing = 0;
    assert_err(bst_se_key_rename(se, a, "b"), BST_E_EXISTS);
    assert_err(bst_se_key_rename(se, a, ""), BST_E_VALUE);
    assert_err(bst_se_key_rename(se, a, "a"), BST_E_EXISTS);
    assert_ok(bst_se_for_owner(se, "alice", &alice));
    assert_ok(bst_se_for_owner(se, "bob", &bob));
    hers = make(alice, "c");
    assert_err(bst_se_key_rename(bob, hers, "d"), BST_E_NOT_FOUND);
    assert_ok(bst_se_key_rename(alice, hers, "b")); /* that of nobody is not hers */
    assert_int_equal(find(alice, "b"), hers);
    assert_int_equal(find(se, "b"), b);
    assert_ok(bst_se_key_delete(se, b));
    assert_ok(bst_se_key_rename(se, a, "b"));
    assert_int_equal(find(se, "b"), a);
    assert_int_equal(find(se, "a"), 0);
    assert_ok(bst_se_key_generate(
        se, &(struct bst_key_attrs){.type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN}, &passing));
    assert_err(bst_se_key_rename(se, passing, "kept"), BST_E_USAGE);
    bst_se_close(&alice);
    bst_se_close(&bob);
    bst_se_close(&se);
}

/* ---- the key of a certificate ---- */

static void self_signed(struct bst_se *se, bst_key key, struct bst_buf *pem)
{
    struct evp_pkey_st *pkey = NULL;
    bst_auto(buf) der = {0};
    const struct bst_cert_san san = {BST_CERT_FQDN, BST_VIEW("a.example.com")};
    assert_ok(bst_se_pkey(se, key, &pkey));
    assert_ok(bst_cert_issue(&(struct bst_cert_spec){.sans = &san,
                                                     .n_sans = 1,
                                                     .not_before_us = bst_wall_us(),
                                                     .not_after_us = bst_wall_us() + 3600000000},
                             pkey, NULL, pkey, &der));
    assert_ok(bst_der_to_pem("CERTIFICATE", bst_buf_view(&der), pem));
    bst_pkey_free(&pkey);
}

static void the_key_of_a_certificate_is_found_through_a_rotation(void **state)
{
    struct bst_state_place place = {.label = "tls"};
    struct bst_rotation r;
    bst_auto(buf) before = {0}, after = {0}, other = {0};
    bst_key found = 0;
    place.se = open_folder(*state, "place");
    bst_key old = make(place.se, "tls");
    self_signed(place.se, old, &before);
    self_signed(place.se, make(place.se, "tlsx"), &other);
    assert_ok(bst_rotation_begin(place.se, "tls", 0, &r));
    self_signed(place.se, r.fresh, &after);
    for (int i = 0; i < 2; i++) {
        assert_ok(bst_state_place_key(&place, bst_buf_view(&before), &found));
        assert_int_equal(found, old);
        assert_ok(bst_state_place_key(&place, bst_buf_view(&after), &found));
        assert_int_equal(found, r.fresh);
        assert_err(bst_state_place_key(&place, bst_buf_view(&other), &found), BST_E_BAD_KEY);
        if (i == 0) {
            assert_ok(bst_rotation_end(&r, false));
        }
    }
    snprintf(place.label, sizeof place.label, "nobody");
    assert_err(bst_state_place_key(&place, bst_buf_view(&before), &found), BST_E_NOT_FOUND);
    bst_state_place_clear(&place);
}

/* ---- profiles ---- */

static void new_profile(struct state_folder *f, const char *name, struct bst_profile *ret)
{
    char path[512];
    struct bst_se *se = NULL;
    bst_auto(secret) value = {0};
    bst_key key;
    assert_ok(bst_secret_copy(&value, "0123456789abcdef0123456789abcdef", 32));
    assert_ok(bst_profile_init(ret, state_folder_path(f, name, path)));
    assert_ok(bst_profile_set(&ret->mef_psk, BST_VIEW("hut@mef.example.com")));
    assert_ok(bst_profile_se(ret, &se));
    assert_ok(bst_profile_add_psk(se, ret->mef_psk, &value, &key));
    bst_se_close(&se);
    assert_ok(bst_profile_save(ret));
}

static void a_profile_takes_its_keys_along(void **state)
{
    struct state_folder *f = *state;
    struct bst_profile profile, again;
    struct bst_se *se = NULL;
    char path[512], uri[600];
    new_profile(f, "hut", &profile);
    snprintf(uri, sizeof uri, "se:soft?dir=%s", state_folder_path(f, "hut-keys", path));
    assert_ok(bst_profile_move(&profile, uri));
    assert_false(bst_file_exists(state_folder_path(f, "hut/se", path)));
    assert_ok(bst_profile_load(profile.folder, &again));
    assert_string_equal(again.se_uri, uri);
    assert_ok(bst_profile_se(&again, &se));
    assert_int_not_equal(find(se, "psk.hut@mef.example.com"), 0);
    assert_int_equal(bst_se_key_count(se), 1);
    bst_se_close(&se);
    assert_ok(bst_profile_move(&again, uri));
    bst_profile_clear(&again);
    bst_profile_clear(&profile);
}

static void a_profile_that_cannot_move_stays_whole(void **state)
{
    struct state_folder *f = *state;
    struct bst_profile profile;
    struct bst_se *se = NULL, *there = NULL;
    char path[512], uri[600];
    new_profile(f, "stays", &profile);
    assert_err(bst_profile_move(&profile, "none-such:"), BST_E_CONFIG);
    snprintf(uri, sizeof uri, "se:soft?dir=%s", state_folder_path(f, "there", path));
    assert_ok(bst_profile_se(&profile, &se));
    make(se, BST_PROFILE_KEY_TLS);
    bst_se_close(&se);
    assert_err(bst_profile_move(&profile, uri), BST_E_SE_USAGE);
    assert_string_equal(profile.se_uri, "");
    there = open_folder(f, "there");
    assert_int_equal(bst_se_key_count(there), 0);
    bst_se_close(&there);
    assert_ok(bst_profile_se(&profile, &se));
    assert_int_equal(bst_se_key_count(se), 2);
    bst_se_close(&se);
    bst_profile_clear(&profile);
}

static void another_key_of_the_same_name_is_not_taken_for_it(void **state)
{
    struct state_folder *f = *state;
    struct bst_profile profile;
    struct bst_se *there = open_folder(f, "taken");
    bst_auto(secret) value = {0};
    bst_key key;
    char path[512], uri[600];
    new_profile(f, "doubled", &profile);
    assert_ok(bst_secret_copy(&value, "another value of thirty-two byte", 32));
    assert_ok(bst_profile_add_psk(there, profile.mef_psk, &value, &key));
    bst_se_close(&there);
    snprintf(uri, sizeof uri, "se:soft?dir=%s", state_folder_path(f, "taken", path));
    assert_err(bst_profile_move(&profile, uri), BST_E_CORRUPT);
    there = open_folder(f, "taken");
    assert_int_equal(bst_se_key_count(there), 1);
    bst_se_close(&there);
    bst_profile_clear(&profile);
}

static void a_place_that_cannot_be_opened_is_named(void **state)
{
    struct state_folder *f = *state;
    struct bst_profile profile;
    struct bst_se *se = NULL;
    new_profile(f, "gone", &profile);
    assert_ok(bst_profile_set(
        &profile.se_uri, BST_VIEW("pkcs11:token=gone?module-path=/nowhere.so&pin-source=file:/p")));
    assert_true(bst_failed(bst_profile_se(&profile, &se)));
    assert_non_null(strstr(bst_error_detail(), "pkcs11:token=gone"));
    assert_non_null(strstr(bst_error_detail(), profile.folder));
    assert_null(strstr(bst_error_detail(), "pin-source"));
    bst_profile_clear(&profile);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pin_file_replaces_the_one_in_the_address),
        cmocka_unit_test(relative_places_become_absolute),
        cmocka_unit_test(the_label_of_a_key_is_taken_out_of_its_address),
        cmocka_unit_test(a_wrong_label_in_an_address_is_refused),
        cmocka_unit_test(a_rotation_keeps_handles_and_attributes),
        cmocka_unit_test(a_line_of_keys_goes_on_in_another_environment),
        cmocka_unit_test(what_cannot_be_rotated_is_refused_before_anything_is_made),
        cmocka_unit_test(a_rotation_goes_on_from_wherever_it_stopped),
        cmocka_unit_test(a_key_does_not_take_the_label_of_another),
        cmocka_unit_test(the_key_of_a_certificate_is_found_through_a_rotation),
        cmocka_unit_test(a_profile_takes_its_keys_along),
        cmocka_unit_test(a_profile_that_cannot_move_stays_whole),
        cmocka_unit_test(another_key_of_the_same_name_is_not_taken_for_it),
        cmocka_unit_test(a_place_that_cannot_be_opened_is_named),
    };
    return cmocka_run_group_tests(tests, state_folder_setup, state_folder_teardown);
}
