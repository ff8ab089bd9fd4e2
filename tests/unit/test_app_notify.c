/* app/server_outside: where notifications may go. */
#include "support/test.h"

#include "app/server_priv.h"

static bool allows(const char *entry, const char *address)
{
    char *items[1] = {(char *)(uintptr_t)entry};
    struct bst_config_texts list = {items, 1};
    struct bst_inet ip;
    assert_ok(bst_inet_parse(bst_view(address), &ip));
    return server_notify_allows_ip(&list, &ip);
}

static void networks_hold_their_addresses(void **state)
{
    assert_true(allows("10.1.0.0/16", "10.1.2.3:80"));
    assert_false(allows("10.1.0.0/16", "10.2.0.1:80"));
    assert_true(allows("192.0.2.7", "192.0.2.7:80"));
    assert_false(allows("192.0.2.7", "192.0.2.8:80"));
    assert_true(allows("10.1.2.128/25", "10.1.2.200:1"));
    assert_false(allows("10.1.2.128/25", "10.1.2.100:1"));
    assert_true(allows("0.0.0.0/0", "203.0.113.9:1"));
    assert_true(allows("2001:db8::/32", "[2001:db8:5::1]:443"));
    assert_false(allows("2001:db8::/32", "[2001:db9::1]:443"));
    assert_false(allows("0.0.0.0/0", "[2001:db8::1]:443"));
}

static void what_is_no_network_allows_nothing(void **state)
{
    static const char *const broken[] = {
        "",        "/",      "10.1.0.0/33", "10.1.0.0/-1",  "10.1.0.0/x",
        "10.1/16", "::/129", "example.com", "10.1.0.0/16/8"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        assert_false(allows(broken[i], "10.1.2.3:80"));
        assert_false(allows(broken[i], "[::1]:80"));
    }
}

static void a_star_is_every_address_but_those_of_the_link(void **state)
{
    assert_true(allows("*", "203.0.113.9:80"));
    assert_true(allows("*", "127.0.0.1:80"));
    assert_false(allows("*", "169.254.169.254:80"));
    assert_false(allows("*", "[fe80::1]:80"));
    assert_false(allows("*", "0.0.0.0:80"));
    assert_true(allows("169.254.0.0/16", "169.254.169.254:80"));
}

static void names_are_allowed_one_by_one(void **state)
{
    char *items[2] = {(char *)(uintptr_t) "*", (char *)(uintptr_t) "App.example.com"};
    struct bst_config_texts list = {items, 2};
    assert_true(server_notify_allows_name(&list, BST_VIEW("app.EXAMPLE.com")));
    assert_false(server_notify_allows_name(&list, BST_VIEW("evil.example.com")));
    assert_false(server_notify_allows_name(&list, BST_VIEW("*")));
    assert_false(server_notify_allows_name(&list, BST_VIEW("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_hold_their_addresses),
        cmocka_unit_test(what_is_no_network_allows_nothing),
        cmocka_unit_test(a_star_is_every_address_but_those_of_the_link),
        cmocka_unit_test(names_are_allowed_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
