/* Run the command in this process and look at its exit code, output and messages. */
#pragma once

#include "cli/cli.h"
#include "support/test.h"

#define CLI_WORDS_MAX 32

struct said {
    char *out, *err;
    int code;
};

static inline struct said run_words(const char *const *words)
{
    char *argv[CLI_WORDS_MAX];
    int argc = 0;
    size_t out_len, err_len;
    struct said said = {0};
    argv[argc++] = (char *)(uintptr_t) "bastide";
    for (size_t i = 0; words[i]; i++) {
        assert_true(argc + 1 < CLI_WORDS_MAX);
        argv[argc++] = (char *)(uintptr_t)words[i];
    }
    argv[argc] = NULL;
    FILE *out = open_memstream(&said.out, &out_len), *err = open_memstream(&said.err, &err_len);
    said.code = cli_main(argc, argv, out, err);
    fclose(out);
    fclose(err);
    return said;
}
#define RUN(...) run_words((const char *const[]){__VA_ARGS__, NULL})

static inline void said_clear(struct said *said)
{
    free(said->out);
    free(said->err);
}

/** The exit code, and what output and messages hold. */
static inline void expect(struct said said, int code, const char *out, const char *err)
{
    if (said.code != code || !strstr(said.out, out) || !strstr(said.err, err)) {
        fail_msg("code %d, out '%s', err '%s'", said.code, said.out, said.err);
    }
    said_clear(&said);
}
