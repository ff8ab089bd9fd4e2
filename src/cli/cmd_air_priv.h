/* What the two files of bastide air share. */
#pragma once

#include "cli/core5g.h"

#define CLI_AIR_NOTE                                                                               \
    "bastide: note: the IV of %s from COUNT, BEARER and DIRECTION is experimental\n"

/** protect or open with --pcap. */
int cli_air_trace(struct cli_call *call, bool sealing);
