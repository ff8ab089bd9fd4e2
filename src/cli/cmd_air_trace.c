/* bastide air protect|open --pcap: PDCP-NR PDUs framed in UDP, from one capture to another. */
#include "cli/cmd_air_priv.h"

#include "core5g/pcap/trace.h"
#include "sys/file.h"

#define CAPTURE_MAX ((size_t)1 << 30)
#define REASONS_MAX 20

struct work {
    struct cli_call *call;
    struct bst_se *se;
    struct bst_trace_keys keys;
    struct bst_trace trace;
    struct bst_buf in, out;
};

static void work_clear(struct work *w)
{
    bst_trace_clear(&w->trace);
    bst_trace_keys_clear(&w->keys);
    bst_se_close(&w->se);
    bst_buf_clear(&w->in);
    bst_buf_wipe(&w->out);
}

static bst_result value_of(const struct cli_call *call, const char *name, const char **ret)
{
    *ret = cli_value(call, name);
    if (!*ret) {
        BST_FAIL(BST_E_USAGE, "%s is missing", name);
    }
    return BST_OK;
}

static void note_experimental(struct work *w)
{
    for (size_t i = 0; i < w->keys.n_ues; i++) {
        const struct bst_pdcp_keys *rrc = &w->keys.ues[i].rrc, *up = &w->keys.ues[i].up;
        if (rrc->experimental || up->experimental) {
            const struct bst_pdcp_keys *keys = up->experimental ? up : rrc;
            fprintf(w->call->err, CLI_AIR_NOTE, keys->ciphering.algorithm->name);
            return;
        }
    }
}

static bst_result read_keys(struct work *w)
{
    const char *path = NULL;
    bst_auto(buf) text = {0};
    BST_TRY(value_of(w->call, "--keys", &path));
    if (cli_5g_named(w->call) || cli_has(w->call, "--pin-file")) {
        BST_TRY(cli_5g_open_named(w->call, "the keys that the file names", &w->se));
    }
    bst_result r = cli_5g_read_key(w->call, path, BST_TRACE_KEYFILE_MAX, &text);
    if (!bst_failed(r)) {
        r = bst_trace_keys_parse(bst_buf_view(&text), w->se, &w->keys);
    }
    bst_buf_wipe(&text);
    BST_TRY(r);
    note_experimental(w);
    return BST_OK;
}

static void say_refused(struct work *w, uint64_t number, bst_result r)
{
    const char *detail = bst_error_detail();
    if (w->trace.tally.refused <= REASONS_MAX) {
        fprintf(w->call->err, "bastide: packet %llu refused: %s%s%s\n", (unsigned long long)number,
                bst_error_text(r.code), detail[0] ? ": " : "", detail);
    }
}

static bst_result pass_packets(struct work *w, struct bst_pcap *from)
{
    struct bst_pcap_packet packet;
    bool more;
    uint32_t link = 0;
    for (;;) {
        BST_TRY(bst_pcap_next(from, &packet, &more));
        if (w->out.len == 0) {
            link = more ? packet.link : BST_LINK_ETHERNET;
            bst_pcap_begin(&w->out, link);
        }
        if (!more) {
            return bst_buf_check(&w->out);
        }
        if (packet.link != link) {
            BST_FAIL(BST_E_VALUE,
                     "packet %llu has link type %u, those before %u: split the capture",
                     (unsigned long long)from->number, packet.link, link);
        }
        bst_auto(buf) passed = {0};
        bst_result r = bst_trace_packet(&w->trace, &packet, &passed);
        if (bst_failed(r)) {
            say_refused(w, from->number, r);
        } else {
            bst_pcap_add(&w->out, packet.time_us, bst_buf_view(&passed));
        }
    }
}

static void print_tally(const struct work *w)
{
    const struct bst_trace_tally *t = &w->trace.tally;
    const uint64_t numbers[] = {t->done, t->unprotected, t->other, t->refused};
    const char *const names[] = {w->trace.sealing ? "protected" : "opened", "unprotected", "copied",
                                 "refused"};
    char text[4][24];
    struct cli_5g_field fields[4];
    for (size_t i = 0; i < 4; i++) {
        snprintf(text[i], sizeof text[i], "%llu", (unsigned long long)numbers[i]);
        fields[i] = (struct cli_5g_field){names[i], NULL, 0, text[i], true};
    }
    cli_5g_print(w->call, fields, 4);
}

static bst_result pass_file(struct work *w, bool sealing)
{
    const char *out = NULL;
    struct bst_pcap from;
    BST_TRY(value_of(w->call, "--out", &out));
    BST_TRY(read_keys(w));
    BST_TRY(bst_file_read(cli_value(w->call, "--pcap"), CAPTURE_MAX, &w->in));
    BST_TRY(bst_pcap_open(bst_buf_view(&w->in), &from));
    BST_TRY(bst_trace_init(&w->trace, &w->keys, sealing));
    BST_TRY(pass_packets(w, &from));
    BST_TRY(bst_file_write_atomic(out, bst_buf_view(&w->out), 0600));
    print_tally(w);
    return BST_OK;
}

int cli_air_trace(struct cli_call *call, bool sealing)
{
    struct work w = {.call = call};
    if (call->n_args) {
        return cli_usage(call, "--pcap stands in place of a file with a message");
    }
    bst_result r = pass_file(&w, sealing);
    const bool good = w.trace.tally.refused == 0 && w.trace.tally.done > 0;
    work_clear(&w);
    if (bst_failed(r)) {
        return cli_fail(call, r, "no capture was written");
    }
    return good ? CLI_OK : CLI_FAILED;
}
