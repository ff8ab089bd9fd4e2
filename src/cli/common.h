/* What several commands need. */
#pragma once

#include "app/server.h"
#include "cli/cli.h"
#include "codec/json.h"
#include "se/se.h"

#define CLI_SETS_MAX 64
/** What --pin-file is. */
#define CLI_PIN_TEXT "File of mode 0600 with the PIN of a token, or the passphrase of software."

/** Options for opening a state, with --set of the command line and more of the caller. */
struct cli_sets {
    struct bst_state_options options;
    const char *sets[CLI_SETS_MAX];
};
void cli_state_options(const struct cli_call *call, const char *const *more, size_t n_more,
                       struct cli_sets *ret);
/** What secure environments of this program have around them: files, and the machine's clock. */
void cli_se_host(struct bst_se_host *ret);
/** Open the environment at an address.
 * @param pin_file  becomes its pin-source=, for software its passphrase; may be NULL */
bst_result cli_se_open(const char *uri, const char *pin_file, struct bst_se **ret);
/** Print text that is JSON already, with a line end. */
void cli_print(const struct cli_call *call, const struct bst_buf *json);

/** Run an administrative command: in the running server, or here on a stopped one.
 * @param args  members of the JSON object of arguments, without braces
 * @param ret   the answer */
bst_result cli_admin(const struct cli_call *call, const char *op, const struct bst_buf *args,
                     struct bst_arena *arena, struct bst_buf *ret_text, yyjson_val **ret);
/** Append `"name":"value"` to arguments; a NULL value is left out. */
void cli_arg(struct bst_buf *args, const char *name, const char *value);
/** Run it, print the answer as it is with --json, else by `plain`; the exit code. */
int cli_admin_print(struct cli_call *call, const char *op, struct bst_buf *args,
                    void (*plain)(struct cli_call *call, yyjson_val *answer));
/** printf arguments for a text member, "" when it is absent. */
const char *cli_text(const yyjson_val *object, const char *name);
