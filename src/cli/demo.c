/* The log of steps, and commands run in this process. */
#include "cli/demo.h"

#include "sys/clock.h"
#include "sys/file.h"

#include <stdarg.h>
#include <unistd.h>

#define WORDS_MAX 40

/* ---- running commands ---- */

static void forget_output(struct demo *d)
{
    free(d->said);
    free(d->complained);
    d->said = d->complained = NULL;
}

static const char *expand(struct demo *d, const char *word, struct bst_arena *arena)
{
    return word[0] == '@' ? bst_arena_printf(arena, "%s%s", d->dir, word + 1).ptr : word;
}

int demo_run(struct demo *d, const char *const *words)
{
    struct bst_arena arena;
    char *argv[WORDS_MAX] = {(char *)(uintptr_t) "bastide"};
    int argc = 1;
    size_t out_len, err_len;
    bst_arena_init(&arena, 0);
    forget_output(d);
    FILE *out = open_memstream(&d->said, &out_len), *err = open_memstream(&d->complained, &err_len);
    for (; words[argc - 1] && argc < WORDS_MAX - 1; argc++) {
        argv[argc] = (char *)(uintptr_t)expand(d, words[argc - 1], &arena);
    }
    int code = out && err ? cli_main(argc, argv, out, err) : CLI_INTERNAL;
    if (out) {
        fclose(out);
    }
    if (err) {
        fclose(err);
    }
    bst_arena_clear(&arena);
    return code;
}

bool demo_said(const struct demo *d, const char *text)
{
    return (d->said && strstr(d->said, text)) || (d->complained && strstr(d->complained, text));
}

/* ---- the log ---- */

void demo_part(struct demo *d, const char *title)
{
    fprintf(d->call->out, "\n%s\n", title);
    d->step_us = bst_mono_us();
}

bool demo_check(struct demo *d, bool good, const char *clause, const char *format, ...)
{
    char text[512];
    va_list args;
    int64_t now_us = bst_mono_us();
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(d->call->out, "  %s %-64s %6lld ms  %s\n", good ? "ok  " : "FAIL", text,
            (long long)((now_us - d->step_us) / 1000), clause);
    if (!good) {
        fprintf(d->call->out, "       said: %.600s%.600s\n", d->said ? d->said : "",
                d->complained ? d->complained : "");
    }
    fflush(d->call->out);
    d->passed += good;
    d->failed += !good;
    d->step_us = bst_mono_us();
    return good;
}

/* ---- begin and end ---- */

bool demo_begin(struct demo *d, struct cli_call *call, const char *where)
{
    const char *base = getenv("TMPDIR");
    *d = (struct demo){.call = call, .start_us = bst_mono_us()};
    snprintf(d->dir, sizeof d->dir, "%.200s/bastide-demo-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(d->dir) || bst_failed(bst_process_self(d->self, sizeof d->self))) {
        cli_fail(call, bst_error_detailed(BST_E_IO, "no temporary folder can be made"),
                 "nothing was shown");
        return false;
    }
    fprintf(call->out, "Everything happens in %s%s.\n", d->dir, where);
    return true;
}

static bst_result remove_tree(const char *path);

static bst_result remove_entry(void *user, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", (const char *)user, name);
    return remove_tree(path);
}

static bst_result remove_tree(const char *path)
{
    if (unlink(path) == 0) {
        return BST_OK;
    }
    (void)bst_failed(bst_dir_list(path, remove_entry, (void *)(uintptr_t)path));
    return rmdir(path) == 0 ? BST_OK : bst_error(BST_E_IO);
}

int demo_end(struct demo *d)
{
    forget_output(d);
    if (cli_has(d->call, "--keep") || d->failed) {
        fprintf(d->call->out, "\nThe folder %s stays for a look.\n", d->dir);
    } else {
        (void)bst_failed(remove_tree(d->dir));
    }
    fprintf(d->call->out, "\n%lld ms\n%u passed, %u failed\n",
            (long long)((bst_mono_us() - d->start_us) / 1000), d->passed, d->failed);
    return d->failed || !d->passed ? CLI_FAILED : CLI_OK;
}
