/* What a Linux machine can say about itself: read from /proc and /sys, as JSON for
 * contentInstances. */
#pragma once

#include "base/text.h"

/** The n-th kind of reading: "load", "memory", "disk", "network", "temperature"; NULL past the end.
 */
const char *cli_telemetry_kind(size_t n);
/** Append one reading as a JSON object. BST_E_NOT_FOUND when the machine has no such thing. */
bst_result cli_telemetry_read(size_t kind, struct bst_buf *ret);
