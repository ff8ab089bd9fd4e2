/* One line per decision: formats, escaping and flood control. Where lines go is decided above. */
#include "obs/log.h"

#include "base/time.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define LOG_LINE_MAX 4096
#define LOG_EVENTS 64 /* events whose rate is watched at a time */

/* Lines of one event in the present window. */
struct log_rate {
    char event[48];
    int64_t window_start_us;
    unsigned written;
    unsigned dropped;
};

static struct {
    pthread_mutex_t lock;
    struct bst_log_setup setup;
    struct log_rate rates[LOG_EVENTS];
    enum bst_log_level level; /* of the setup; looked at without the lock */
} logger = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = BST_LOG_INFO};

static const char *const level_names[] = {"error", "warn", "info", "debug"};
/* syslog priorities, as journald wants them */
static const char level_priorities[] = {'3', '4', '6', '7'};

const char *bst_log_level_name(enum bst_log_level level)
{
    return (unsigned)level <= BST_LOG_DEBUG ? level_names[level] : "?";
}

bst_result bst_log_level_parse(struct bst_view text, enum bst_log_level *ret)
{
    for (unsigned i = 0; i <= BST_LOG_DEBUG; i++) {
        if (bst_view_is(text, level_names[i])) {
            *ret = (enum bst_log_level)i;
            return BST_OK;
        }
    }
    BST_FAIL(BST_E_VALUE, "log level '%.*s' is none of error, warn, info, debug",
             BST_VIEW_ARGS(text));
}

void bst_log_configure(const struct bst_log_setup *setup)
{
    pthread_mutex_lock(&logger.lock);
    logger.setup = *setup;
    __atomic_store_n(&logger.level, setup->level, __ATOMIC_RELAXED);
    memset(logger.rates, 0, sizeof logger.rates);
    pthread_mutex_unlock(&logger.lock);
}

bool bst_log_enabled(enum bst_log_level level)
{
    return level <= __atomic_load_n(&logger.level, __ATOMIC_RELAXED);
}

static int64_t log_now_us(void)
{
    if (logger.setup.wall_us) {
        return logger.setup.wall_us();
    }
    struct timespec ts;
    timespec_get(&ts, TIME_UTC);
    return (int64_t)ts.tv_sec * BST_US_PER_S + ts.tv_nsec / 1000;
}

static void write_line(enum bst_log_level level, const struct bst_buf *line)
{
    if (line->failed || line->len == 0) {
        return;
    }
    if (logger.setup.write) {
        logger.setup.write(logger.setup.ctx, level, bst_buf_view(line));
        return;
    }
    fwrite(line->ptr, 1, line->len, stderr);
}

/* Control characters would let a peer forge lines. */
static void add_text(struct bst_buf *buf, struct bst_view text)
{
    for (size_t i = 0; i < text.len && i < LOG_LINE_MAX; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20 || c == 0x7f) {
            bst_buf_addf(buf, "\\x%02x", c);
        } else {
            bst_buf_addc(buf, (char)c);
        }
    }
}

static bool needs_quotes(struct bst_view v)
{
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] <= ' ' || v.ptr[i] == '"' || v.ptr[i] == '=' || v.ptr[i] == 0x7f) {
            return true;
        }
    }
    return v.len == 0;
}

static void format_text(struct bst_buf *out, enum bst_log_level level, const char *event,
                        struct bst_view message, const struct bst_log_field *fields, size_t n)
{
    char when[BST_RFC3339_LEN + 1];
    bst_rfc3339_format(log_now_us(), when);
    bst_buf_addf(out, "%s %-5s %s: ", when, bst_log_level_name(level), event);
    add_text(out, message);
    for (size_t i = 0; i < n; i++) {
        bst_buf_addf(out, " %s=", fields[i].key);
        if (needs_quotes(fields[i].value)) {
            bst_buf_add_json(out, fields[i].value);
        } else {
            bst_buf_addv(out, fields[i].value);
        }
    }
    bst_buf_addc(out, '\n');
}

static void format_json(struct bst_buf *out, enum bst_log_level level, const char *event,
                        struct bst_view message, const struct bst_log_field *fields, size_t n)
{
    char when[BST_RFC3339_LEN + 1];
    bst_rfc3339_format(log_now_us(), when);
    bst_buf_addf(out, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\",\"message\":", when,
                 bst_log_level_name(level), event);
    bst_buf_add_json(out, message);
    for (size_t i = 0; i < n; i++) {
        bst_buf_addc(out, ',');
        bst_buf_add_json(out, bst_view(fields[i].key));
        bst_buf_addc(out, ':');
        bst_buf_add_json(out, fields[i].value);
    }
    bst_buf_adds(out, "}\n");
}

/* The native protocol: NAME=value, or for values with a line end NAME, LE64 length, value. */
static void journal_field(struct bst_buf *out, const char *name, struct bst_view value)
{
    for (const char *p = name; *p; p++) {
        bst_buf_addc(out, *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p);
    }
    if (value.len == 0 || !memchr(value.ptr, '\n', value.len)) {
        bst_buf_addc(out, '=');
    } else {
        bst_buf_addc(out, '\n');
        for (unsigned shift = 0; shift < 64; shift += 8) {
            bst_buf_addc(out, (char)((uint64_t)value.len >> shift));
        }
    }
    bst_buf_addv(out, value);
    bst_buf_addc(out, '\n');
}

static void format_journal(struct bst_buf *out, enum bst_log_level level, const char *event,
                           struct bst_view message, const struct bst_log_field *fields, size_t n)
{
    journal_field(out, "priority", bst_view_of(&level_priorities[level], 1));
    journal_field(out, "syslog_identifier", BST_VIEW("bastide"));
    journal_field(out, "message", message);
    journal_field(out, "bastide_event", bst_view(event));
    for (size_t i = 0; i < n; i++) {
        char name[64];
        snprintf(name, sizeof name, "bastide_%s", fields[i].key);
        journal_field(out, name, fields[i].value);
    }
}

static void emit(enum bst_log_level level, const char *event, struct bst_view message,
                 const struct bst_log_field *fields, size_t n)
{
    bst_auto(buf) line = {0};
    switch (logger.setup.format) {
    case BST_LOG_JSON:
        format_json(&line, level, event, message, fields, n);
        break;
    case BST_LOG_JOURNAL:
        format_journal(&line, level, event, message, fields, n);
        break;
    case BST_LOG_TEXT:
        format_text(&line, level, event, message, fields, n);
        break;
    }
    write_line(level, &line);
}

static void emit_dropped(struct log_rate *rate)
{
    if (rate->dropped == 0) {
        return;
    }
    char message[96];
    int len = snprintf(message, sizeof message, "%u more lines of this event were left out",
                       rate->dropped);
    struct bst_log_field field = {"left_out", bst_view(rate->event)};
    emit(BST_LOG_WARN, "log.flood", bst_view_of(message, (size_t)len), &field, 1);
    rate->dropped = 0;
}

/* The slot of an event; a new event takes the slot whose window began first. */
static struct log_rate *rate_of(const char *event)
{
    struct log_rate *oldest = &logger.rates[0];
    for (size_t i = 0; i < LOG_EVENTS; i++) {
        struct log_rate *rate = &logger.rates[i];
        if (strncmp(rate->event, event, sizeof rate->event - 1) == 0) {
            return rate;
        }
        if (rate->window_start_us < oldest->window_start_us) {
            oldest = rate;
        }
    }
    emit_dropped(oldest);
    memset(oldest, 0, sizeof *oldest);
    snprintf(oldest->event, sizeof oldest->event, "%s", event);
    return oldest;
}

static bool may_write(const char *event)
{
    int64_t now_us = log_now_us();
    int64_t window_us = logger.setup.window_us ? logger.setup.window_us : 10 * BST_US_PER_S;
    unsigned burst = logger.setup.burst ? logger.setup.burst : 200;
    struct log_rate *rate = rate_of(event);
    /* A clock that went back must not silence an event for long. */
    if (now_us - rate->window_start_us >= window_us || now_us < rate->window_start_us) {
        emit_dropped(rate);
        rate->window_start_us = now_us;
        rate->written = 0;
    }
    if (rate->written >= burst) {
        rate->dropped++;
        return false;
    }
    rate->written++;
    return true;
}

static void log_message(enum bst_log_level level, const char *event,
                        const struct bst_log_field *fields, size_t n, const char *format,
                        va_list ap)
{
    char message[LOG_LINE_MAX];
    int len = vsnprintf(message, sizeof message, format, ap);
    if (len < 0) {
        return;
    }
    size_t used = (size_t)len < sizeof message ? (size_t)len : sizeof message - 1;
    pthread_mutex_lock(&logger.lock);
    if (may_write(event)) {
        emit(level, event, bst_view_of(message, used), fields, n);
    }
    pthread_mutex_unlock(&logger.lock);
}

void bst_log(enum bst_log_level level, const char *event, const char *format, ...)
{
    if (!bst_log_enabled(level)) {
        return;
    }
    va_list ap;
    va_start(ap, format);
    log_message(level, event, NULL, 0, format, ap);
    va_end(ap);
}

void bst_log_fields(enum bst_log_level level, const char *event, const struct bst_log_field *fields,
                    size_t n, const char *format, ...)
{
    if (!bst_log_enabled(level)) {
        return;
    }
    va_list ap;
    va_start(ap, format);
    log_message(level, event, fields, n, format, ap);
    va_end(ap);
}
