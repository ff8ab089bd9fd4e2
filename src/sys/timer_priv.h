/* Timers as the loop sees them. */
#pragma once

#include "sys/loop_priv.h"

/** Run every timer that is due in this turn. */
void bst_timers_run(struct bst_loop *loop);
