/* Between the words of bastide key. */
#pragma once

#include "cli/common.h"
#include "se/se.h"

/** Open the environment that the first argument names; --pin-file becomes its pin-source=. */
bst_result key_open(const struct cli_call *call, struct bst_se **ret);
/** The address with its PIN file, for what opens by itself. */
bst_result key_uri(const struct cli_call *call, struct bst_buf *ret);
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

/** --use, --owner, --suid and --expires; `type` NULL: p256. */
bst_result key_attrs_read(const struct cli_call *call, const char *label, const char *type,
                          struct bst_key_attrs *ret);
bst_result key_print(struct cli_call *call, struct bst_se *se, bst_key key);

/** As many arguments as the table of the words says. */
bool key_args_given(const struct cli_call *call);
/** Open, run, close; `what` says what did not come about. The exit code. */
int key_with_se(struct cli_call *call, const char *what,
                bst_result (*run)(struct cli_call *call, struct bst_se *se));
int key_with_key(struct cli_call *call, const char *what,
                 bst_result (*run)(struct cli_call *call, struct bst_se *se, bst_key key));

/* cmd_key.c */
int key_list(struct cli_call *call);
int key_info(struct cli_call *call);
int key_generate(struct cli_call *call);
int key_import(struct cli_call *call);
int key_delete(struct cli_call *call);
/* cmd_key_use.c */
int key_sign(struct cli_call *call);
int key_public(struct cli_call *call);
int key_csr(struct cli_call *call);
int key_certify(struct cli_call *call);
int key_derive(struct cli_call *call);
int key_selftest(struct cli_call *call);
/* cmd_key_move.c */
int key_wrap(struct cli_call *call);
int key_unwrap(struct cli_call *call);
int key_rewrap(struct cli_call *call);
int key_check(struct cli_call *call);
/* cmd_key_life.c */
int key_rotate(struct cli_call *call);
int key_activate(struct cli_call *call);
int key_pin(struct cli_call *call);
int key_block(struct cli_call *call);
int key_wipe(struct cli_call *call);
int key_attest(struct cli_call *call);
int key_verify(struct cli_call *call);
