/* Known answers: files of published vectors, computed anew and compared.
 *
 * The format is described in docs/5g.md. A vector passes when every answer in it comes out, a
 * negative one when it is refused; a vector of a shape that nobody here can run fails. */
#pragma once

#include "base/text.h"

struct bst_kat_tally {
    size_t passed, failed, skipped;
    void *ctx;
    /** One vector failed; may be NULL. */
    void (*on_failed)(void *ctx, const char *file, const char *vector, const char *why);
    /** All vectors of a file were left out; may be NULL. */
    void (*on_skipped)(void *ctx, const char *file, size_t n, const char *why);
};

#define BST_KAT_FILE_MAX ((size_t)16 << 20)

/** Run every vector of a file. Vectors that fail are counted, not returned as failures.
 *
 * @param file  its name, for reports and to know the family when its text does not tell
 * @error BST_E_SYNTAX @error BST_E_VALUE  the file is not one of vectors, or of an unknown family
 */
bst_result bst_kat_run(const char *file, struct bst_view text, struct bst_kat_tally *tally);
