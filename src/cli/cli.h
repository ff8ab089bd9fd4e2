/* The command table: what each command is called, takes, prints and ends with. Parsing, help, man
 * page and completion all read it. */
#pragma once

#include "base/text.h"

#include <stdio.h>

/** Exit codes, the same for every command; the table for people is in cli.c. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1, /* done, and the answer is no: a check, a verification, a test failed */
    CLI_USAGE = 2,
    CLI_INPUT = 3,  /* a file, a configuration or a value is wrong */
    CLI_DENIED = 4, /* not authenticated, or not allowed */
    CLI_NOT_FOUND = 5,
    CLI_CONFLICT = 6, /* something is in the way, or in use */
    CLI_IO = 7,       /* disk or network */
    CLI_INTERNAL = 8,
};

struct cli_option {
    const char *name; /* "--state" */
    const char *arg;  /* "DIR"; NULL: a switch */
    const char *text; /* one sentence */
    bool repeats;
};

struct cli_call;

/** A command, or a word under one ("config check"). Tables end with a zeroed entry. */
struct cli_command {
    const char *name;
    const char *args;    /* "HOST:PORT", "[FILE]", "FILE...": "" for none */
    const char *summary; /* one line, without a full stop */
    const char *text;    /* paragraphs separated by an empty line, or NULL */
    const struct cli_option *options;
    const char *example;               /* one or more lines that work */
    int (*run)(struct cli_call *call); /* NULL when there are words under it */
    const struct cli_command *words;
};

/** One parsed command line. */
struct cli_call {
    const struct cli_command *command; /* the one that runs */
    const char *path;                  /* "bastide config check" */
    bool json;
    bool verbose;
    const char *state;  /* --state or the default */
    const char *config; /* --config, or NULL: the usual places */
    const char **args;  /* what is no option */
    size_t n_args;
    struct cli_given {
        const struct cli_option *option;
        const char *value;
    } * given;
    size_t n_given;
    FILE *out, *err;
};

/** Value of an option, NULL when it was not given; switches give "". */
const char *cli_value(const struct cli_call *call, const char *name);
bool cli_has(const struct cli_call *call, const char *name);
/** The n-th value of an option that repeats, NULL at the end. */
const char *cli_value_at(const struct cli_call *call, const char *name, size_t n);
/** Value of an option as a number in a range, `fallback` when it was not given. */
bst_result cli_number(const struct cli_call *call, const char *name, int64_t fallback, int64_t min,
                      int64_t max, int64_t *ret);
/** Say on standard error what failed, with the thread's detail, and give the exit code of its
 * class. With --json the same as an object on standard output. */
int cli_fail(const struct cli_call *call, bst_result result, const char *what);
/** The same for a wrong use: shows how the command is called. */
int cli_usage(const struct cli_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
enum cli_exit cli_exit_of(enum bst_error code);
/** Progress of long work on standard error, when that is a terminal; total 0: unknown. */
void cli_progress(const struct cli_call *call, const char *what, uint64_t done, uint64_t total);

/** Parse and run: main() without the process. */
int cli_main(int argc, char **argv, FILE *out, FILE *err);

extern const struct cli_command *const cli_commands[]; /* NULL at the end */
extern const struct cli_option cli_global_options[];
/** Man page (mdoc), bash completion and help, from the table. */
bst_result cli_man_page(struct bst_buf *ret);
bst_result cli_completion(struct bst_buf *ret);
void cli_help(const struct cli_command *command, const char *path, FILE *out);
