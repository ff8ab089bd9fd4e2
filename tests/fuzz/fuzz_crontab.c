/* Time patterns and address ranges of access control rules. */
#include "sec/context.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bst_view text = bst_view_of(data, size);
    struct bst_crontab window;
    if (!bst_failed(bst_crontab_parse(text, &window))) {
        struct bst_calendar at;
        for (int64_t s = 1; s < 4000000000; s += 86399999) {
            bst_calendar_of(s * BST_US_PER_S, &at);
            (void)bst_crontab_match(&window, &at);
        }
    }
    static const char peer[] = "2001:db8::1";
    struct bst_cidr net;
    struct bst_ip ip;
    for (uint8_t family = 4; family <= 6; family += 2) {
        if (!bst_failed(bst_cidr_parse(text, family, &net)) &&
            !bst_failed(bst_ip_parse(bst_view(peer), &ip))) {
            (void)bst_cidr_match(&net, &ip);
        }
    }
    return 0;
}
