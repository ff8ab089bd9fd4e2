/* The demo's part about where keys are. */
#pragma once

#include "cli/demo.h"

/** Before any thread: name the configuration of a token of our own. */
void demo_keys_prepare(struct demo *d);
/** A device whose identity is in software, on a token and in a TPM, as far as these are installed:
 * the same enrolment, and what the protection levels rest on. */
void demo_keys(struct demo *d);
