/* app/config: any bytes as a configuration file. What is accepted can be shown and read again. */
#include "app/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bst_config config = {0}, again = {0};
    struct bst_buf shown = {0};
    if (bst_failed(bst_config_read(bst_view_of(data, size), "f", &config))) {
        return 0;
    }
    if (bst_failed(bst_config_show(&config, false, &shown))) {
        __builtin_trap();
    }
    /* Members of a server that were not given cannot be written, so a refusal is allowed. */
    if (!bst_failed(bst_config_read(bst_buf_view(&shown), "g", &again))) {
        bst_config_clear(&again);
    }
    bst_buf_clear(&shown);
    bst_config_clear(&config);
    return 0;
}
