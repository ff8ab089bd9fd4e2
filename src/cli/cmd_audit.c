/* bastide audit: verify and show the audit trail. */
#include "cli/common.h"

#include <stdio.h>

static void print_report(struct cli_call *call, const struct bst_audit_report *r)
{
    if (call->json) {
        bst_auto(buf) out = {0};
        bst_buf_addf(
            &out,
            "{\"whole\":%s,\"first\":%llu,\"last\":%llu,\"checkpoints\":%llu,\"repairs\":%llu,"
            "\"after_head\":%llu,\"bad_entry\":%llu,\"bad_line\":%u,\"bad_file\":\"%s\","
            "\"reason\":",
            r->reason[0] ? "false" : "true", (unsigned long long)r->first,
            (unsigned long long)r->last, (unsigned long long)r->checkpoints,
            (unsigned long long)r->repairs, (unsigned long long)r->after_head,
            (unsigned long long)r->bad_entry, r->bad_line, r->bad_file);
        bst_buf_add_json(&out, bst_view(r->reason));
        bst_buf_addc(&out, '}');
        cli_print(call, &out);
        return;
    }
    if (r->reason[0]) {
        fprintf(call->out, "NOT WHOLE: %s line %u, record %llu: %s\n", r->bad_file, r->bad_line,
                (unsigned long long)r->bad_entry, r->reason);
        return;
    }
    fprintf(call->out,
            "whole: records %llu to %llu, %llu signed checkpoints, %llu explained repairs, "
            "%llu records newer than the head\n",
            (unsigned long long)r->first, (unsigned long long)r->last,
            (unsigned long long)r->checkpoints, (unsigned long long)r->repairs,
            (unsigned long long)r->after_head);
}

static int verify(struct cli_call *call)
{
    struct cli_sets sets;
    struct bst_audit_report report;
    cli_state_options(call, NULL, 0, &sets);
    bst_result r = bst_state_verify_audit(&sets.options, &report);
    if (bst_failed(r)) {
        return cli_fail(call, r, "the audit trail could not be read");
    }
    print_report(call, &report);
    return report.reason[0] ? CLI_FAILED : CLI_OK;
}

/* --- show ----------------------------------------------------------------------------------- */

static const struct cli_option show_options[] = {
    {"--last", "N", "Only the newest N records (default 20; 0: all).", false},
    {"--event", "NAME", "Only records of this event, such as access.denied.", false},
    {0},
};

/* Lines of the trail that are to be shown, newest last, in a ring. */
struct lines {
    struct bst_view *ring;
    size_t cap, n; /* n: seen */
};

static bool is_wanted(struct bst_view line, const char *event)
{
    char pattern[128];
    int len = snprintf(pattern, sizeof pattern, "\"event\":\"%s\"", event ? event : "");
    bool own = memmem(line.ptr, line.len, "\"event\":\"audit.", 15) != NULL;
    return event ? len > 0 && memmem(line.ptr, line.len, pattern, (size_t)len) != NULL : !own;
}

static void take_lines(struct bst_view text, const char *event, struct lines *l)
{
    struct bst_view line;
    while (bst_view_cut(&text, '\n', &line)) {
        if (is_wanted(line, event)) {
            l->ring[l->n++ % l->cap] = line;
        }
    }
}

static void print_record(struct cli_call *call, struct bst_view line)
{
    bst_auto(arena) arena = {0};
    yyjson_val *r;
    if (call->json || bst_failed(bst_json_parse(&arena, line, 3, &r))) {
        fprintf(call->out, "%.*s\n", (int)line.len, line.ptr);
        return;
    }
    static const char *const shown[] = {"subject",  "credential", "peer", "op",    "target",
                                        "decision", "detail",     "rule", "clause"};
    fprintf(call->out, "%lld %s %s", (long long)yyjson_get_sint(bst_json_get(r, "n")),
            cli_text(r, "t"), cli_text(r, "event"));
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        const char *value = cli_text(r, shown[i]);
        if (value[0]) {
            fprintf(call->out, strchr(value, ' ') ? " %s=\"%s\"" : " %s=%s", shown[i], value);
        }
    }
    int64_t count = yyjson_get_sint(bst_json_get(r, "count"));
    if (count) {
        fprintf(call->out, " (%lld times more)", (long long)count);
    }
    fputc('\n', call->out);
}

static bst_result read_trail(const char *folder, struct bst_buf *ret)
{
    /* The newest files: the trail rotates at some MiB, so that these hold more than anyone reads.
     */
    unsigned newest = 0;
    char name[32], path[BST_PATH_MAX];
    for (unsigned n = 1; n < 1000000; n++) {
        bst_audit_file_name(n, name);
        BST_TRY(bst_state_path(folder, name, path));
        if (bst_file_exists(path)) {
            newest = n;
        } else if (newest) {
            break;
        }
    }
    for (unsigned n = newest > 8 ? newest - 8 : 1; n <= newest; n++) {
        bst_audit_file_name(n, name);
        BST_TRY(bst_state_path(folder, name, path));
        bst_auto(buf) file = {0};
        bst_result r = bst_file_read(path, (size_t)1 << 30, &file);
        if (bst_failed(r) && r.code != BST_E_NOT_FOUND) {
            return r;
        }
        bst_buf_addv(ret, bst_buf_view(&file));
    }
    return bst_buf_check(ret);
}

static bst_result show_lines(struct cli_call *call, const char *folder, size_t last)
{
    bst_auto(buf) text = {0};
    BST_TRY(read_trail(folder, &text));
    struct lines l = {.cap = last ? last : 1 << 20};
    bst_auto_free struct bst_view *ring = bst_alloc(l.cap * sizeof *ring);
    BST_ENSURE(ring, BST_E_NOMEM);
    l.ring = ring;
    take_lines(bst_buf_view(&text), cli_value(call, "--event"), &l);
    for (size_t i = l.n > l.cap ? l.n - l.cap : 0; i < l.n; i++) {
        print_record(call, ring[i % l.cap]);
    }
    return BST_OK;
}

static int show(struct cli_call *call)
{
    struct cli_sets sets;
    bst_auto(config) config = {0};
    int64_t last;
    char folder[BST_PATH_MAX];
    if (bst_failed(cli_number(call, "--last", 20, 0, 1000000, &last))) {
        return cli_usage(call, "%s", bst_error_detail());
    }
    cli_state_options(call, NULL, 0, &sets);
    bst_result r = bst_state_config(&sets.options, &config);
    if (!bst_failed(r)) {
        r = bst_state_path(call->state, config.audit.folder, folder);
    }
    if (!bst_failed(r)) {
        r = show_lines(call, folder, (size_t)last);
    }
    return bst_failed(r) ? cli_fail(call, r, "the audit trail could not be read") : CLI_OK;
}

static const struct cli_command words[] = {
    {
        .name = "verify",
        .args = "",
        .summary = "Check the chain, the signatures and the end of the audit trail",
        .text =
            "Names the first record that is wrong. Works while a server runs. Exit code 1 when the "
            "trail is not whole.",
        .example = "bastide audit verify --state /var/lib/bastide",
        .run = verify,
    },
    {
        .name = "show",
        .args = "",
        .summary = "Show records of the audit trail",
        .options = show_options,
        .example = "bastide audit show --last 5\nbastide audit show --event access.denied --json",
        .run = show,
    },
    {0},
};

const struct cli_command cmd_audit = {
    .name = "audit",
    .args = "",
    .summary = "Verify and show the audit trail",
    .words = words,
};
