/* What the demos share: a temporary folder, commands run in this process, the log of steps. */
#pragma once

#include "cli/cli.h"
#include "sys/process.h"

struct demo_listener;

struct demo {
    struct cli_call *call;
    char dir[256];
    char self[4096]; /* path of this program */
    unsigned passed, failed;
    int64_t start_us, step_us;
    char *said, *complained; /* what the last command printed */
    /* of a demo that has a server */
    struct bst_process server;
    struct demo_listener *listener;
    int64_t audited; /* number of the record that was shown last */
};

/** Make the folder. False, after saying why, when there can be none.
 * @param where  what the first line adds */
bool demo_begin(struct demo *d, struct cli_call *call, const char *where);
/** Remove the folder unless it is to stay, print the count; the exit code. */
int demo_end(struct demo *d);

/** Run a command line; "@" at the start of a word is the demo's folder. The exit code. */
int demo_run(struct demo *d, const char *const *words);
#define RUN(...) demo_run(d, (const char *const[]){__VA_ARGS__, NULL})
/** Whether the last command printed this. */
bool demo_said(const struct demo *d, const char *text);

void demo_part(struct demo *d, const char *title);
/** One line of the log, counted. */
bool demo_check(struct demo *d, bool good, const char *clause, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/** bastide demo 5g. */
int demo_5g(struct cli_call *call);
