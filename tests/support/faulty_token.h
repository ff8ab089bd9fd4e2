/* The controls of the faulty module (faulty_p11.h), for tests that load it. */
#pragma once

#include "support/test.h"

#include "support/faulty_p11.h"

#include <dlfcn.h>
#include <stdlib.h>

/** All as it should be; the first time, the module is found. */
static inline void faulty_token_reset(struct faulty_p11 **faults)
{
    if (!*faults) {
        void *module = dlopen(getenv("BST_FAULTY_P11"), RTLD_NOW);
        assert_non_null(module);
        *faults = dlsym(module, FAULTY_P11_SYMBOL);
        assert_non_null(*faults);
    }
    **faults = (struct faulty_p11){0};
}
