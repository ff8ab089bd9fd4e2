/* Calendar without a clock: wall times are int64_t microseconds since 1970-01-01 UTC (`_us`). */
#pragma once

#include "base/text.h"

#define BST_US_PER_S INT64_C(1000000)
/** No time: absent. Every real wall time is positive. */
#define BST_TIME_NONE INT64_C(0)

struct bst_calendar {
    int year, month, day; /* month and day from 1 */
    int hour, minute, second;
    int weekday; /* 0 = Sunday */
    int micros;
};

void bst_calendar_of(int64_t wall_us, struct bst_calendar *ret);
/** Years 1970..9999, every field in range (so no 31 February, no leap second). */
bst_result bst_calendar_to_us(const struct bst_calendar *c, int64_t *ret_wall_us);

/** m2m:timestamp, TS-0004 6.3.3: YYYYMMDDTHHMMSS with an optional fraction after ','. */
bst_result bst_m2m_time_parse(struct bst_view text, int64_t *ret_wall_us);
/** m2m:absRelTimestamp: as above, or milliseconds relative to `now_us` when it is an integer. */
bst_result bst_m2m_time_parse_absrel(struct bst_view text, int64_t now_us, int64_t *ret_wall_us);
/** YYYYMMDDTHHMMSS,ffffff : 22 characters and a NUL. */
#define BST_M2M_TIME_LEN 22
void bst_m2m_time_format(int64_t wall_us, char out[BST_M2M_TIME_LEN + 1]);
/** RFC 3339 with milliseconds and Z, for logs and people. */
#define BST_RFC3339_LEN 24
void bst_rfc3339_format(int64_t wall_us, char out[BST_RFC3339_LEN + 1]);
bst_result bst_rfc3339_parse(struct bst_view text, int64_t *ret_wall_us);
