/* What an environment can do, found out by doing it: every operation with its refused twin.
 *
 * The same checks are the conformance suite of the backends and `bastide key selftest`. They use
 * keys under labels of their own and delete them. */
#pragma once

#include "se/se.h"

enum bst_se_verdict {
    BST_SE_PASSED,
    BST_SE_FAILED,
    BST_SE_CANNOT, /* the token has no such mechanism, and says so */
};

struct bst_se_selftest {
    const struct bst_se_host *host;
    const char *uri;
    /** Told of each check; `detail` is "" or a sentence. */
    void (*each)(void *ctx, const char *name, enum bst_se_verdict verdict, const char *detail);
    void *ctx;
    unsigned passed, failed, cannot; /* out */
    struct bst_se_about about;       /* out */
};
/** Open, check, clean up, close.
 * @error  of bst_se_open(): nothing was checked */
bst_result bst_se_selftest(struct bst_se_selftest *test);
