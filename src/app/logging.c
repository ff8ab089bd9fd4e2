/* Sinks of the log: standard error, or journald when standard error is connected to it. */
#include "app/logging.h"

#include "obs/log.h"
#include "sys/clock.h"
#include "sys/journal.h"

static void to_stderr(void *ctx, enum bst_log_level level, struct bst_view line)
{
    bst_stderr_write(line);
}

static void to_journal(void *ctx, enum bst_log_level level, struct bst_view entry)
{
    if (!bst_journal_send(entry)) {
        bst_stderr_write(entry);
    }
}

static void on_bug(const char *file, int line, const char *what)
{
    bst_log(BST_LOG_ERROR, "defect", "%s:%d: %s should be impossible; please report it", file, line,
            what);
}

static enum bst_log_format format_of(const struct bst_config *config)
{
    const char *format = config->log.format;
    if (strcmp(format, "json") == 0) {
        return BST_LOG_JSON;
    }
    if (strcmp(format, "journal") == 0 ||
        (strcmp(format, "auto") == 0 && bst_journal_is_stderr())) {
        return BST_LOG_JOURNAL;
    }
    return BST_LOG_TEXT;
}

bst_result bst_logging_start(const struct bst_config *config, bool verbose)
{
    struct bst_log_setup setup = {.format = format_of(config), .wall_us = bst_wall_us};
    BST_TRY(bst_log_level_parse(bst_view(config->log.level), &setup.level));
    if (verbose) {
        setup.level = BST_LOG_DEBUG;
    }
    setup.write = setup.format == BST_LOG_JOURNAL ? to_journal : to_stderr;
    bst_log_configure(&setup);
    bst_bug_hook = on_bug;
    return BST_OK;
}

void bst_logging_quiet(bool verbose)
{
    bst_log_configure(&(struct bst_log_setup){.level = verbose ? BST_LOG_DEBUG : BST_LOG_WARN,
                                              .write = to_stderr,
                                              .wall_us = bst_wall_us});
    bst_bug_hook = on_bug;
}
