/* The two clocks. Wall time is what is stored and sent, monotonic time is what deadlines use. */
#pragma once

#include "base/time.h"

/** Microseconds since 1970-01-01 UTC. */
int64_t bst_wall_us(void);
/** Microseconds since some moment in the past; never goes back. */
int64_t bst_mono_us(void);

/** Stop both clocks at `now_us`; 0 gives the real ones back. For tests: every thread sees it. */
void bst_clock_fake_us(int64_t now_us);
/** Move a stopped clock forward. */
void bst_clock_fake_advance_ms(int64_t ms);
