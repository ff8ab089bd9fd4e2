/* Between the files of the installed library. */
#pragma once

#include "core5g/aka/aka.h"
#include "core5g/suci/sidf.h"

#include <bastide/core5g.h>

struct bst_core5g {
    struct bst_se *se;
    int64_t (*wall_us)(void);
    struct bst_sidf sidf;
};

/** Do keys survive the environment? A token has storage, whether it has a name of its own or not.
 */
static inline bool api_keeps(const struct bst_core5g *core)
{
    struct bst_se_about about;
    bst_se_about(core->se, &about);
    return about.unique[0] != '\0' || strcmp(about.kind, "pkcs11") == 0;
}

/** Vectors and challenges are turned from one form into the other so many at a time. */
#define API_CHUNK 16

static inline size_t api_chunk(size_t left)
{
    return left < API_CHUNK ? left : API_CHUNK;
}
