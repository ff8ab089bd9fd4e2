/* What the 5G commands share: where keys are, octets in and out. */
#pragma once

#include "cli/common.h"

/** The secure environment in DIR/se, made when it is new; NULL: one that keeps nothing. */
bst_result cli_5g_open(const char *folder, struct bst_se **ret);

#define CLI_5G_SE_OPTIONS                                                                          \
    {"--se", "URI",                                                                                \
     "Secure environment with the keys, in place of the folder's own: pkcs11:token=NAME?..., "     \
     "tpm2:... or se:soft?dir=FOLDER.",                                                            \
     false},                                                                                       \
    {                                                                                              \
        "--pin-file", "FILE", CLI_PIN_TEXT, false                                                  \
    }
/** Does the command line name an environment, by --se or by --profile? */
bool cli_5g_named(const struct cli_call *call);
/** Open it.
 * @param what  is kept there, for the message when neither option is given */
bst_result cli_5g_open_named(const struct cli_call *call, const char *what, struct bst_se **ret);
/** A file with a key; says on standard error when others may read it. Wipe `ret` after use. */
bst_result cli_5g_read_key(const struct cli_call *call, const char *path, size_t max,
                           struct bst_buf *ret);
/** Hexadecimal value of an option. BST_E_USAGE names the option when it is absent or wrong. */
bst_result cli_5g_octets(const struct cli_call *call, const char *name, uint8_t *out, size_t len);

/** Fields of an answer: an object with --json, else a line each. */
struct cli_5g_field {
    const char *name;
    const void *octets; /* NULL: text */
    size_t len;
    const char *text;
    bool number; /* the text is one: no quotes in JSON */
};
void cli_5g_print(const struct cli_call *call, const struct cli_5g_field *fields, size_t n);
