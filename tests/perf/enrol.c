/* Full enrolments (TS-0003 8.3): MEF handshake, client registration, key registration, key into the
 * device's secure environment. The same code as bastide device enrol, several devices at a time.
 *
 *     enrol THREADS PROFILE...    prints enrolments per second */
#include "cli/cli.h"
#include "perf/perf.h"
#include "sys/clock.h"
#include "sys/service.h"

#include <stdatomic.h>

enum { MAX_THREADS = 64 };

extern const struct cli_command cmd_device;

static char **folders;
static size_t n_folders;
static atomic_size_t next, failed;

static const struct cli_command *command(void)
{
    for (const struct cli_command *word = cmd_device.words; word->name; word++) {
        if (bst_view_is(bst_view(word->name), "enrol")) {
            return word;
        }
    }
    fprintf(stderr, "there is no command 'device enrol'\n");
    exit(1);
}

static void run(void *arg)
{
    FILE *out = arg;
    for (;;) {
        size_t i = atomic_fetch_add(&next, 1);
        if (i >= n_folders) {
            return;
        }
        const char *args[] = {folders[i]};
        struct cli_call call = {.command = command(),
                                .path = "enrol",
                                .args = args,
                                .n_args = 1,
                                .out = out,
                                .err = stderr,
                                .json = true};
        if (call.command->run(&call) != CLI_OK) {
            atomic_fetch_add(&failed, 1);
        }
    }
}

int main(int argc, char **argv)
{
    struct bst_thread *threads[MAX_THREADS];
    uint64_t n;
    FILE *out = fopen("/dev/null", "w");
    if (argc < 3 || !out || bst_failed(bst_parse_u64(bst_view(argv[1]), &n)) || n < 1 ||
        n > MAX_THREADS) {
        fprintf(stderr, "usage: %s THREADS PROFILE...\n", argv[0]);
        return 2;
    }
    folders = argv + 2;
    n_folders = (size_t)argc - 2;
    int64_t start_us = bst_mono_us();
    for (uint64_t i = 0; i < n; i++) {
        must(bst_thread_start("enrol", run, out, &threads[i]), "thread");
    }
    for (uint64_t i = 0; i < n; i++) {
        bst_thread_join(&threads[i]);
    }
    double s = (double)(bst_mono_us() - start_us) / 1e6;
    printf("enrolments %zu failed %zu per_second %.1f\n", n_folders, (size_t)failed,
           (double)(n_folders - failed) / s);
    fclose(out);
    return failed > 0;
}
