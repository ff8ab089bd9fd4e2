/* bastide selftest: published vectors computed anew by this build on this machine. */
#include "cli/cli.h"

#include "core5g/kat/kat.h"
#include "sys/file.h"

static const struct cli_option given_options[] = {
    {"--vectors", NULL, "Run the known-answer vectors of the files that follow.", false},
    {0},
};

struct report {
    const struct cli_call *call;
    struct bst_kat_tally tally;
    struct bst_buf failures, skips; /* members of JSON arrays */
    enum cli_exit worst;            /* of files that could not be read */
};

static void add_json(struct bst_buf *out, const char *file, const char *vector, const char *why)
{
    bst_buf_adds(out, out->len ? ",{\"file\":" : "{\"file\":");
    bst_buf_add_json(out, bst_view(file));
    if (vector) {
        bst_buf_adds(out, ",\"vector\":");
        bst_buf_add_json(out, bst_view(vector));
    }
    bst_buf_adds(out, ",\"why\":");
    bst_buf_add_json(out, bst_view(why));
    bst_buf_addc(out, '}');
}

static void on_failed(void *ctx, const char *file, const char *vector, const char *why)
{
    struct report *report = ctx;
    if (report->call->json) {
        add_json(&report->failures, file, vector, why);
    } else {
        fprintf(report->call->out, "FAILED %s: vector '%s': %s\n", file, vector, why);
    }
}

static void on_skipped(void *ctx, const char *file, size_t n, const char *why)
{
    struct report *report = ctx;
    if (report->call->json) {
        add_json(&report->skips, file, NULL, why);
    } else {
        fprintf(report->call->out, "skipped %s: %zu vector%s: %s\n", file, n, n == 1 ? "" : "s",
                why);
    }
}

static bst_result run_file(struct report *report, const char *path)
{
    bst_auto(buf) text = {0};
    BST_TRY(bst_file_read(path, BST_KAT_FILE_MAX, &text));
    return bst_kat_run(path, bst_buf_view(&text), &report->tally);
}

/* A file that cannot be read does not keep the others from being run. */
static void run_each(struct report *report)
{
    const struct cli_call *call = report->call;
    for (size_t i = 0; i < call->n_args; i++) {
        bst_result r = run_file(report, call->args[i]);
        if (!bst_failed(r)) {
            continue;
        }
        enum cli_exit exit = cli_exit_of(r.code);
        report->worst = report->worst > exit ? report->worst : exit;
        if (call->json) {
            add_json(&report->failures, call->args[i], NULL, bst_error_detail());
        } else {
            fprintf(call->err, "bastide: %s\n", bst_error_detail());
        }
    }
}

static void print_end(const struct report *report)
{
    const struct bst_kat_tally *t = &report->tally;
    FILE *out = report->call->out;
    if (report->call->json) {
        fprintf(out,
                "{\"passed\":%zu,\"failed\":%zu,\"skipped\":%zu,\"failures\":[%.*s],\"skips\":[%.*"
                "s]}\n",
                t->passed, t->failed, t->skipped, (int)report->failures.len,
                report->failures.len ? report->failures.ptr : "", (int)report->skips.len,
                report->skips.len ? report->skips.ptr : "");
        return;
    }
    fprintf(out, "%zu passed, %zu failed", t->passed, t->failed);
    if (t->skipped) {
        fprintf(out, ", %zu skipped", t->skipped);
    }
    fputc('\n', out);
}

static int run(struct cli_call *call)
{
    struct report report = {.call = call};
    if (!cli_has(call, "--vectors") || call->n_args == 0) {
        return cli_usage(call, "name the files: bastide selftest --vectors FILE...");
    }
    report.tally.ctx = &report;
    report.tally.on_failed = on_failed;
    report.tally.on_skipped = on_skipped;
    run_each(&report);
    print_end(&report);
    bst_buf_clear(&report.failures);
    bst_buf_clear(&report.skips);
    if (report.worst) {
        return report.worst;
    }
    return report.tally.failed == 0 && report.tally.passed > 0 ? CLI_OK : CLI_FAILED;
}

const struct cli_command cmd_selftest = {
    .name = "selftest",
    .args = "FILE...",
    .summary = "Compute published vectors of the 5G algorithms and compare",
    .text = "Every vector of every file is computed, the negative ones must be refused. Each "
            "failure is "
            "named; algorithms that this build does not have are counted as skipped, with the "
            "reason. The "
            "last line counts. The exit code is 0 only when nothing failed and at least one vector "
            "passed.",
    .options = given_options,
    .example = "bastide selftest --vectors tests/vectors/5g/*.json",
    .run = run,
};
