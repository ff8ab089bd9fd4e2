/* A way to a TPM that fails on demand, in front of swtpm's; the library is BST_FAULTY_TCTI. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define FAULTY_TCTI_SYMBOL "faulty_tcti_state"

struct faulty_tcti {
    long calls;   /* commands since the test set it to 0 */
    long fail_at; /* the number of the one that fails, once; 0: none */
    uint32_t rc;  /* what the TPM answers; 0: the connection breaks */
};
