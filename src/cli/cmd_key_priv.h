/* Between the words of bastide key. */
#pragma once

#include "cli/common.h"
#include "se/se.h"

/** Open the environment that the first argument names; --pin-file becomes its pin-source=. */
bst_result key_open(const struct cli_call *call, struct bst_se **ret);
/** The address with its PIN file, for what opens by itself. */
bst_result key_uri(const struct cli_call *call, struct bst_buf *ret);
void key_host(struct bst_se_host *ret);
/** The key that the second argument names. */
bst_result key_find(const struct cli_call *call, struct bst_se *se, bst_key *ret);
/** The file of --in, "-" or nothing: standard input. */
bst_result key_input(const struct cli_call *call, size_t max, struct bst_buf *ret);
/** To the file of --out, mode 0644; nothing or "-": standard output. */
bst_result key_output(const struct cli_call *call, struct bst_view bytes);

const char *key_type_name(enum bst_key_type type);
bst_result key_type_read(const char *text, enum bst_key_type *ret);
/** Uses as words with blanks between. */
void key_uses_add(struct bst_buf *out, uint32_t uses);
bst_result key_uses_read(const struct cli_call *call, enum bst_key_type type, uint32_t *ret);

int key_sign(struct cli_call *call);
int key_public(struct cli_call *call);
int key_csr(struct cli_call *call);
int key_selftest(struct cli_call *call);
