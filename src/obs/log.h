/* The operator's log: one line per decision, as text, JSON or journald fields. */
#pragma once

#include "base/text.h"

enum bst_log_level { BST_LOG_ERROR, BST_LOG_WARN, BST_LOG_INFO, BST_LOG_DEBUG };

struct bst_log_field {
    const char *key; /* lower case, digits and '_' */
    struct bst_view value;
};

/** Write one line.
 *
 * Never give it a secret: there is no way to print a struct bst_secret, keep it so.
 *
 * @param event   dotted lower-case id that does not change with the wording
 * ("tls.handshake_failed")
 * @thread any; keeps the thread's error detail
 */
void bst_log(enum bst_log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void bst_log_fields(enum bst_log_level level, const char *event, const struct bst_log_field *fields,
                    size_t n, const char *format, ...) __attribute__((format(printf, 5, 6)));
/** Whether a line of this level would be written: to skip costly arguments. */
bool bst_log_enabled(enum bst_log_level level);

enum bst_log_format {
    BST_LOG_TEXT,
    BST_LOG_JSON,
    BST_LOG_JOURNAL, /* the native protocol of systemd-journald, one datagram an entry */
};

struct bst_log_setup {
    enum bst_log_level level;
    enum bst_log_format format;
    /* Where lines go, with their line end; NULL: standard error. Called under the log's lock. */
    void (*write)(void *ctx, enum bst_log_level level, struct bst_view line);
    void *ctx;
    int64_t (*wall_us)(void); /* NULL: the C library's clock */
    unsigned burst;           /* lines of one event in a window, 0: 200 */
    int64_t window_us; /* 0: 10 s; what exceeds the burst is counted, then told in one line */
};
/** Replace the set-up; safe while other threads log. */
void bst_log_configure(const struct bst_log_setup *setup);
/** "error", "warn", "info", "debug". */
bst_result bst_log_level_parse(struct bst_view text, enum bst_log_level *ret);
const char *bst_log_level_name(enum bst_log_level level);
