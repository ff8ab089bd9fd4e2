/* Proleptic Gregorian calendar in UTC; TS-0004 6.3.3 timestamps. */
#include "base/time.h"

#include <stdio.h>

static bool leap(int y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && leap(year));
}

/* Days since 1970-01-01 by counting years from March, where the leap day comes last. */
static int64_t days_from_civil(int y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

void bst_calendar_of(int64_t wall_us, struct bst_calendar *ret)
{
    int64_t s = wall_us / BST_US_PER_S;
    int64_t micros = wall_us % BST_US_PER_S;
    if (micros < 0) {
        micros += BST_US_PER_S;
        s--;
    }
    int64_t days = s / 86400;
    int64_t rest = s % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *ret = (struct bst_calendar){
        .year = (int)(yoe + era * 400 + (month <= 2)),
        .month = month,
        .day = (int)(doy - (153 * mp + 2) / 5 + 1),
        .hour = (int)(rest / 3600),
        .minute = (int)(rest / 60 % 60),
        .second = (int)(rest % 60),
        .weekday = (int)(((days + 4) % 7 + 7) % 7),
        .micros = (int)micros,
    };
}

bst_result bst_calendar_to_us(const struct bst_calendar *c, int64_t *ret_wall_us)
{
    BST_ENSURE(c->year >= 1970 && c->year <= 9999 && c->month >= 1 && c->month <= 12, BST_E_VALUE);
    BST_ENSURE(c->day >= 1 && c->day <= month_days(c->year, c->month), BST_E_VALUE);
    BST_ENSURE(c->hour >= 0 && c->hour < 24 && c->minute >= 0 && c->minute < 60, BST_E_VALUE);
    BST_ENSURE(c->second >= 0 && c->second < 60, BST_E_VALUE);
    BST_ENSURE(c->micros >= 0 && c->micros < BST_US_PER_S, BST_E_VALUE);
    int64_t days = days_from_civil(c->year, c->month, c->day);
    int64_t s = days * 86400 + c->hour * 3600 + c->minute * 60 + c->second;
    *ret_wall_us = s * BST_US_PER_S + c->micros;
    return BST_OK;
}

/* `len` decimal digits at the front of *v. */
static bst_result take_digits(struct bst_view *v, size_t len, int *ret)
{
    BST_ENSURE(v->len >= len, BST_E_SYNTAX);
    uint64_t n;
    BST_TRY(bst_parse_u64((struct bst_view){v->ptr, len}, &n));
    *v = bst_view_from(*v, len);
    *ret = (int)n;
    return BST_OK;
}

static bst_result take_char(struct bst_view *v, char c)
{
    BST_ENSURE(v->len && v->ptr[0] == c, BST_E_SYNTAX);
    *v = bst_view_from(*v, 1);
    return BST_OK;
}

/* Digits after the mark; what is finer than a microsecond is dropped. */
static bst_result take_fraction(struct bst_view *v, int *ret_micros)
{
    int micros = 0, scale = 100000;
    size_t n = 0;
    for (; n < v->len && v->ptr[n] >= '0' && v->ptr[n] <= '9'; n++) {
        micros += (v->ptr[n] - '0') * scale;
        scale /= 10;
    }
    BST_ENSURE(n > 0, BST_E_SYNTAX);
    *v = bst_view_from(*v, n);
    *ret_micros = micros;
    return BST_OK;
}

bst_result bst_m2m_time_parse(struct bst_view text, int64_t *ret_wall_us)
{
    struct bst_calendar c = {0};
    BST_ENSURE(text.len <= 40, BST_E_SYNTAX);
    BST_TRY(take_digits(&text, 4, &c.year));
    BST_TRY(take_digits(&text, 2, &c.month));
    BST_TRY(take_digits(&text, 2, &c.day));
    BST_TRY(take_char(&text, 'T'));
    BST_TRY(take_digits(&text, 2, &c.hour));
    BST_TRY(take_digits(&text, 2, &c.minute));
    BST_TRY(take_digits(&text, 2, &c.second));
    if (text.len) {
        BST_TRY(take_char(&text, ','));
        BST_TRY(take_fraction(&text, &c.micros));
    }
    BST_ENSURE(text.len == 0, BST_E_SYNTAX);
    return bst_calendar_to_us(&c, ret_wall_us);
}

bst_result bst_m2m_time_parse_absrel(struct bst_view text, int64_t now_us, int64_t *ret_wall_us)
{
    int64_t ms;
    if (text.len && !memchr(text.ptr, 'T', text.len)) {
        BST_TRY(bst_parse_i64(text, &ms));
        BST_ENSURE(ms > -(INT64_C(1) << 45) && ms < INT64_C(1) << 45, BST_E_VALUE);
        *ret_wall_us = now_us + ms * 1000;
        return BST_OK;
    }
    return bst_m2m_time_parse(text, ret_wall_us);
}

void bst_m2m_time_format(int64_t wall_us, char out[BST_M2M_TIME_LEN + 1])
{
    struct bst_calendar c;
    bst_calendar_of(wall_us, &c);
    /* Written by hand: this runs four times for each answer. */
    int fields[] = {c.year / 100,
                    c.year % 100,
                    c.month,
                    c.day,
                    -'T',
                    c.hour,
                    c.minute,
                    c.second,
                    -',',
                    c.micros / 10000,
                    c.micros / 100 % 100,
                    c.micros % 100};
    char *at = out;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (fields[i] < 0) {
            *at++ = (char)-fields[i];
        } else {
            *at++ = (char)('0' + fields[i] / 10 % 10);
            *at++ = (char)('0' + fields[i] % 10);
        }
    }
    *at = '\0';
}

void bst_rfc3339_format(int64_t wall_us, char out[BST_RFC3339_LEN + 1])
{
    struct bst_calendar c;
    bst_calendar_of(wall_us, &c);
    char text[80];
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", c.year % 10000, c.month,
             c.day, c.hour, c.minute, c.second, c.micros / 1000);
    memcpy(out, text, BST_RFC3339_LEN);
    out[BST_RFC3339_LEN] = '\0';
}

bst_result bst_rfc3339_parse(struct bst_view text, int64_t *ret_wall_us)
{
    struct bst_calendar c = {0};
    BST_TRY(take_digits(&text, 4, &c.year));
    BST_TRY(take_char(&text, '-'));
    BST_TRY(take_digits(&text, 2, &c.month));
    BST_TRY(take_char(&text, '-'));
    BST_TRY(take_digits(&text, 2, &c.day));
    BST_TRY(take_char(&text, 'T'));
    BST_TRY(take_digits(&text, 2, &c.hour));
    BST_TRY(take_char(&text, ':'));
    BST_TRY(take_digits(&text, 2, &c.minute));
    BST_TRY(take_char(&text, ':'));
    BST_TRY(take_digits(&text, 2, &c.second));
    if (text.len && text.ptr[0] == '.') {
        text = bst_view_from(text, 1);
        BST_TRY(take_fraction(&text, &c.micros));
    }
    BST_TRY(take_char(&text, 'Z'));
    BST_ENSURE(text.len == 0, BST_E_SYNTAX);
    return bst_calendar_to_us(&c, ret_wall_us);
}
