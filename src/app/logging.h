/* Where the log goes: the sinks that obs leaves to the program. */
#pragma once

#include "app/config.h"

/** Set up the log as configured; `verbose` shows debug lines. */
bst_result bst_logging_start(const struct bst_config *config, bool verbose);
/** For commands that are no servers: warnings and errors as text. */
void bst_logging_quiet(bool verbose);
