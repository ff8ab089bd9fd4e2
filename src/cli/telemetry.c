/* Readings from /proc and /sys. Files there have no size of their own and change while they are
 * read. */
#include "cli/telemetry.h"

#include "sys/clock.h"
#include "sys/file.h"

#include <stdio.h>

#define FILE_MAX (1u << 20)

static bst_result read_text(const char *path, struct bst_buf *ret)
{
    ret->len = 0;
    return bst_file_read(path, FILE_MAX, ret);
}

/* The next word between blanks; empty at the end. */
static struct bst_view next_word(struct bst_view *rest)
{
    struct bst_view word;
    do {
        (void)bst_view_cut(rest, ' ', &word);
    } while (!word.len && rest->len);
    return word;
}

static bst_result read_load(struct bst_buf *out)
{
    static const char *const names[] = {"1m", "5m", "15m"};
    bst_auto(buf) text = {0};
    double load;
    BST_TRY(read_text("/proc/loadavg", &text));
    struct bst_view rest = bst_buf_view(&text);
    for (size_t i = 0; i < 3; i++) {
        BST_TRY(bst_parse_double(next_word(&rest), &load));
        bst_buf_addf(out, ",\"%s\":%.2f", names[i], load);
    }
    return BST_OK;
}

static bst_result read_memory(struct bst_buf *out)
{
    static const char *const wanted[] = {"MemTotal", "MemAvailable", "SwapFree"};
    bst_auto(buf) text = {0};
    struct bst_view line, name;
    BST_TRY(read_text("/proc/meminfo", &text));
    struct bst_view rest = bst_buf_view(&text);
    for (bool more = true; more;) {
        more = bst_view_cut(&rest, '\n', &line);
        if (!bst_view_cut(&line, ':', &name)) {
            continue;
        }
        uint64_t kib;
        for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
            if (bst_view_is(name, wanted[i]) &&
                !bst_failed(bst_parse_u64(next_word(&line), &kib))) {
                bst_buf_addf(out, ",\"%s_kib\":%llu", wanted[i], (unsigned long long)kib);
            }
        }
    }
    return BST_OK;
}

/* Sectors read and written, all devices that have a number of their own. */
static bst_result read_disk(struct bst_buf *out)
{
    bst_auto(buf) text = {0};
    uint64_t read_sectors = 0, written_sectors = 0;
    struct bst_view line;
    BST_TRY(read_text("/proc/diskstats", &text));
    struct bst_view rest = bst_buf_view(&text);
    for (bool more = true; more;) {
        struct bst_view words[10] = {{0}};
        more = bst_view_cut(&rest, '\n', &line);
        for (size_t i = 0; i < 10; i++) {
            words[i] = next_word(&line);
        }
        uint64_t r, w;
        if (!bst_failed(bst_parse_u64(words[5], &r)) && !bst_failed(bst_parse_u64(words[9], &w))) {
            read_sectors += r;
            written_sectors += w;
        }
    }
    bst_buf_addf(out, ",\"read_sectors\":%llu,\"written_sectors\":%llu",
                 (unsigned long long)read_sectors, (unsigned long long)written_sectors);
    return BST_OK;
}

static bst_result read_network(struct bst_buf *out)
{
    bst_auto(buf) text = {0};
    uint64_t received = 0, sent = 0;
    struct bst_view line, name;
    BST_TRY(read_text("/proc/net/dev", &text));
    struct bst_view rest = bst_buf_view(&text);
    for (bool more = true; more;) {
        more = bst_view_cut(&rest, '\n', &line);
        if (!bst_view_cut(&line, ':', &name)) {
            continue;
        }
        uint64_t rx, tx;
        struct bst_view words[9];
        for (size_t i = 0; i < 9; i++) {
            words[i] = next_word(&line);
        }
        if (!bst_failed(bst_parse_u64(words[0], &rx)) &&
            !bst_failed(bst_parse_u64(words[8], &tx))) {
            received += rx;
            sent += tx;
        }
    }
    bst_buf_addf(out, ",\"received_bytes\":%llu,\"sent_bytes\":%llu", (unsigned long long)received,
                 (unsigned long long)sent);
    return BST_OK;
}

static bst_result read_temperature(struct bst_buf *out)
{
    bst_auto(buf) text = {0};
    size_t found = 0;
    for (int zone = 0; zone < 8; zone++) {
        char path[64];
        int64_t milli;
        snprintf(path, sizeof path, "/sys/class/thermal/thermal_zone%d/temp", zone);
        if (bst_failed(read_text(path, &text))) {
            continue;
        }
        struct bst_view line, rest = bst_buf_view(&text);
        (void)bst_view_cut(&rest, '\n', &line);
        if (!bst_failed(bst_parse_i64(line, &milli))) {
            bst_buf_addf(out, ",\"zone%d_c\":%.1f", zone, (double)milli / 1000.0);
            found++;
        }
    }
    BST_ENSURE(found > 0, BST_E_NOT_FOUND);
    return BST_OK;
}

static const struct {
    const char *name;
    bst_result (*read)(struct bst_buf *out);
} kinds[] = {
    {"load", read_load},       {"memory", read_memory},           {"disk", read_disk},
    {"network", read_network}, {"temperature", read_temperature},
};

const char *cli_telemetry_kind(size_t n)
{
    return n < sizeof kinds / sizeof kinds[0] ? kinds[n].name : NULL;
}

bst_result cli_telemetry_read(size_t kind, struct bst_buf *ret)
{
    char now[BST_RFC3339_LEN + 1];
    bst_rfc3339_format(bst_wall_us(), now);
    bst_buf_addf(ret, "{\"at\":\"%s\"", now);
    BST_TRY(kinds[kind].read(ret));
    bst_buf_addc(ret, '}');
    return bst_buf_check(ret);
}
