/* Rules of filters: what is taken must decide, too. */
#include "se/filters.h"
#include "support/se_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int64_t mono(void)
{
    return 1;
}

static void use_rule(const char *rule)
{
    struct test_host host;
    struct bst_se *se = NULL;
    struct bst_key_attrs attrs = {.label = "cse.tls", .uses = BST_KEY_USE_MAC, .owner = "cse"};
    bst_key key = 0;
    uint8_t mac[32];
    test_host_init(&host);
    if (bst_failed(bst_se_open(&host.host, "none:", &se))) {
        return;
    }
    (void)bst_se_filter_policy(se, &rule, 1).code;
    (void)bst_se_filter_quota(se, &rule, 1, mono).code;
    (void)bst_se_filter_fault(se, &rule, 1).code;
    if (!bst_failed(bst_se_key_generate(se, &attrs, &key))) {
        (void)bst_se_mac(se, key, NULL, 0, mac).code;
    }
    bst_se_close(&se);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char rule[600];
    if (size >= sizeof rule) {
        return 0;
    }
    memcpy(rule, data, size);
    rule[size] = '\0';
    (void)bst_se_policy_rule_check(rule).code;
    (void)bst_se_quota_rule_check(rule).code;
    use_rule(rule);
    return 0;
}
