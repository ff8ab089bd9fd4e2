/* Parsing a command line by the table, finding out what went wrong, and telling it. */
#include "cli/cli.h"

#include "base/result.h"

#include <stdarg.h>
#include <unistd.h>

#define CLI_ARGS_MAX 256

const struct cli_option cli_global_options[] = {
    {"--state", "DIR", "State folder; without it $BASTIDE_STATE, else /var/lib/bastide.", false},
    {"--config", "FILE",
     "Configuration; without it /etc/bastide/bastide.yaml, or bastide.yaml in the state folder.",
     false},
    {"--json", NULL, "Print results, and failures too, as JSON on standard output.", false},
    {"--verbose", NULL, "Say more on standard error.", false},
    {"--help", NULL, "Show help for the command.", false},
    {0},
};

const char *cli_value(const struct cli_call *call, const char *name)
{
    return cli_value_at(call, name, 0);
}

bool cli_has(const struct cli_call *call, const char *name)
{
    return cli_value_at(call, name, 0) != NULL;
}

const char *cli_value_at(const struct cli_call *call, const char *name, size_t n)
{
    for (size_t i = 0; i < call->n_given; i++) {
        if (strcmp(call->given[i].option->name, name) == 0 && n-- == 0) {
            return call->given[i].value;
        }
    }
    return NULL;
}

bst_result cli_number(const struct cli_call *call, const char *name, int64_t fallback, int64_t min,
                      int64_t max, int64_t *ret)
{
    const char *text = cli_value(call, name);
    int64_t number = fallback;
    if (text &&
        (bst_failed(bst_parse_i64(bst_view(text), &number)) || number < min || number > max)) {
        BST_FAIL(BST_E_USAGE, "%s wants a number from %lld to %lld, not '%s'", name, (long long)min,
                 (long long)max, text);
    }
    *ret = number;
    return BST_OK;
}

enum cli_exit cli_exit_of(enum bst_error code)
{
    switch (bst_error_class(code)) {
    case BST_CLASS_OK:
        return CLI_OK;
    case BST_CLASS_USAGE:
        return CLI_USAGE;
    case BST_CLASS_INPUT:
    case BST_CLASS_LIMIT:
    case BST_CLASS_CRYPTO:
        return CLI_INPUT;
    case BST_CLASS_AUTH:
    case BST_CLASS_DENIED:
        return CLI_DENIED;
    case BST_CLASS_NOT_FOUND:
        return CLI_NOT_FOUND;
    case BST_CLASS_CONFLICT:
    case BST_CLASS_BUSY:
        return CLI_CONFLICT;
    case BST_CLASS_IO:
    case BST_CLASS_BACKEND:
        return CLI_IO;
    case BST_CLASS_INTERNAL:
        break;
    }
    return CLI_INTERNAL;
}

int cli_fail(const struct cli_call *call, bst_result result, const char *what)
{
    const char *why = bst_error_detail();
    why = why[0] ? why : bst_error_text(result.code);
    fprintf(call->err, "%s: %s: %s\n", call->path, what, why);
    if (call->json) {
        bst_auto(buf) out = {0};
        bst_buf_addf(&out,
                     "{\"error\":\"%s\",\"class\":\"%s\",\"what\":", bst_error_name(result.code),
                     bst_class_name(bst_error_class(result.code)));
        bst_buf_add_json(&out, bst_view(what));
        bst_buf_adds(&out, ",\"detail\":");
        bst_buf_add_json(&out, bst_view(why));
        bst_buf_adds(&out, "}\n");
        fwrite(out.ptr, 1, out.len, call->out);
    }
    return cli_exit_of(result.code);
}

int cli_usage(const struct cli_call *call, const char *format, ...)
{
    va_list ap;
    fprintf(call->err, "%s: ", call->path);
    va_start(ap, format);
    vfprintf(call->err, format, ap);
    va_end(ap);
    fprintf(call->err, "\nusage: %s%s%s\nSee '%s --help'.\n", call->path,
            call->command && call->command->args[0] ? " " : "",
            call->command ? call->command->args : "", call->path);
    return CLI_USAGE;
}

void cli_progress(const struct cli_call *call, const char *what, uint64_t done, uint64_t total)
{
    if (!isatty(fileno(call->err))) {
        return;
    }
    if (total == 0) {
        fprintf(call->err, "\r%s %llu ", what, (unsigned long long)done);
        return;
    }
    char bar[33] = "................................";
    uint64_t filled = done >= total ? 32 : done * 32 / total;
    memset(bar, '#', (size_t)filled);
    fprintf(call->err, "\r%s [%s] %llu/%llu%s", what, bar, (unsigned long long)done,
            (unsigned long long)total, done >= total ? "\n" : " ");
    fflush(call->err);
}

/* --- parsing ------------------------------------------------------------------------------- */

static const struct cli_option *find_option(const struct cli_option *options, struct bst_view name)
{
    for (; options && options->name; options++) {
        if (bst_view_is(name, options->name)) {
            return options;
        }
    }
    return NULL;
}

static void consider(struct bst_view given, const char *candidate, unsigned *distance,
                     const char **best)
{
    unsigned d = bst_edit_distance(given, bst_view(candidate));
    if (d < *distance) {
        *distance = d;
        *best = candidate;
    }
}

static const char *nearest_option(const struct cli_command *command, struct bst_view name)
{
    unsigned distance = 4;
    const char *best = NULL;
    for (const struct cli_option *o = command->options; o && o->name; o++) {
        consider(name, o->name, &distance, &best);
    }
    for (const struct cli_option *o = cli_global_options; o->name; o++) {
        consider(name, o->name, &distance, &best);
    }
    return best;
}

static void keep_option(struct cli_call *call, const struct cli_option *option, const char *value)
{
    if (BST_BUG(!option)) {
        return;
    }
    call->given[call->n_given++] = (struct cli_given){option, value};
}

static bool given_before(const struct cli_call *call, const struct cli_option *option)
{
    return !option->repeats && cli_has(call, option->name);
}

/* One option at argv[i]; *i moves over its value. */
static int take_option(struct cli_call *call, int argc, char **argv, int *i)
{
    struct bst_view value = bst_view(argv[*i]), name;
    bool inline_value = bst_view_cut(&value, '=', &name);
    const struct cli_option *option = find_option(call->command->options, name);
    option = option ? option : find_option(cli_global_options, name);
    if (!option) {
        const char *near = nearest_option(call->command, name);
        return cli_usage(call, "unknown option '%.*s'%s%s%s", BST_VIEW_ARGS(name),
                         near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    if (given_before(call, option)) {
        return cli_usage(call, "%s was given twice", option->name);
    }
    if (!option->arg) {
        if (inline_value) {
            return cli_usage(call, "%s takes no value", option->name);
        }
        keep_option(call, option, "");
        return CLI_OK;
    }
    if (!inline_value && *i + 1 >= argc) {
        return cli_usage(call, "%s wants %s", option->name, option->arg);
    }
    keep_option(call, option, inline_value ? value.ptr : argv[++*i]);
    return CLI_OK;
}

static int take_all(struct cli_call *call, int argc, char **argv, int first)
{
    bool options_end = false;
    for (int i = first; i < argc; i++) {
        if (!options_end && strcmp(argv[i], "--") == 0) {
            options_end = true;
        } else if (!options_end && argv[i][0] == '-' && argv[i][1] == '-') {
            int code = take_option(call, argc, argv, &i);
            if (code != CLI_OK) {
                return code;
            }
        } else if (!options_end && strcmp(argv[i], "-h") == 0) {
            keep_option(call, find_option(cli_global_options, BST_VIEW("--help")), "");
        } else {
            call->args[call->n_args++] = argv[i];
        }
    }
    return CLI_OK;
}

static const struct cli_command *find_word(const struct cli_command *words, const char *name)
{
    for (; words && words->name; words++) {
        if (strcmp(words->name, name) == 0) {
            return words;
        }
    }
    return NULL;
}

static const struct cli_command *find_command(const char *name)
{
    for (size_t i = 0; cli_commands[i]; i++) {
        if (strcmp(cli_commands[i]->name, name) == 0) {
            return cli_commands[i];
        }
    }
    return NULL;
}

static void list_commands(FILE *out)
{
    fprintf(out, "usage: bastide COMMAND [OPTION...] [ARGUMENT...]\n\n");
    for (size_t i = 0; cli_commands[i]; i++) {
        fprintf(out, "  %-10s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    }
    fprintf(out, "\nexample: bastide init --state /tmp/b && bastide serve --state /tmp/b\n"
                 "'bastide COMMAND --help' tells more.\n");
}

static int unknown_command(const char *name, FILE *err)
{
    unsigned distance = 3;
    const char *best = NULL;
    for (size_t i = 0; cli_commands[i]; i++) {
        consider(bst_view(name), cli_commands[i]->name, &distance, &best);
    }
    fprintf(err, "bastide: unknown command '%s'%s%s%s\n", name, best ? "; did you mean '" : "",
            best ? best : "", best ? "'?" : "; 'bastide --help' lists them");
    return CLI_USAGE;
}

static int unknown_word(const struct cli_call *call, const char *name)
{
    if (name) {
        fprintf(call->err, "%s: there is no '%s'; there are:\n", call->path, name);
    } else {
        fprintf(call->err, "%s: say what:\n", call->path);
    }
    for (const struct cli_command *w = call->command->words; w->name; w++) {
        fprintf(call->err, "  %s %-10s %s\n", call->path, w->name, w->summary);
    }
    return CLI_USAGE;
}

static bool is_help(const char *arg)
{
    return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

static int run_call(struct cli_call *call, int argc, char **argv, int first)
{
    int code = take_all(call, argc, argv, first);
    if (cli_has(call, "--help")) {
        cli_help(call->command, call->path, call->out);
        return CLI_OK;
    }
    if (code != CLI_OK) {
        return code;
    }
    const char *from_env = getenv("BASTIDE_STATE");
    call->json = cli_has(call, "--json");
    call->verbose = cli_has(call, "--verbose");
    call->state = cli_value(call, "--state");
    call->state = call->state ? call->state : from_env ? from_env : "/var/lib/bastide";
    call->config = cli_value(call, "--config");
    if (call->n_args > 0 && call->command->args[0] == '\0') {
        return cli_usage(call, "unexpected argument '%s'", call->args[0]);
    }
    return call->command->run(call);
}

static int run_command(const struct cli_command *command, int argc, char **argv, FILE *out,
                       FILE *err)
{
    const char *args[CLI_ARGS_MAX] = {0};
    struct cli_given given[CLI_ARGS_MAX];
    char path[128];
    int first = 2;
    snprintf(path, sizeof path, "bastide %s", command->name);
    struct cli_call call = {
        .command = command, .path = path, .args = args, .given = given, .out = out, .err = err};
    if (command->words && !command->run) {
        const char *name = argc > 2 ? argv[2] : NULL;
        if (name && is_help(name)) {
            cli_help(command, path, out);
            return CLI_OK;
        }
        const struct cli_command *word = name ? find_word(command->words, name) : NULL;
        if (!word) {
            return unknown_word(&call, name);
        }
        snprintf(path, sizeof path, "bastide %s %s", command->name, word->name);
        call.command = word;
        first = 3;
    }
    return run_call(&call, argc, argv, first);
}

int cli_main(int argc, char **argv, FILE *out, FILE *err)
{
    if (argc > CLI_ARGS_MAX) {
        fprintf(err, "bastide: more than %d arguments\n", CLI_ARGS_MAX);
        return CLI_USAGE;
    }
    if (argc < 2) {
        list_commands(err);
        return CLI_USAGE;
    }
    if (is_help(argv[1]) || strcmp(argv[1], "help") == 0) {
        list_commands(out);
        return CLI_OK;
    }
    const struct cli_command *command =
        find_command(strcmp(argv[1], "--version") == 0 ? "version" : argv[1]);
    return command ? run_command(command, argc, argv, out, err) : unknown_command(argv[1], err);
}
