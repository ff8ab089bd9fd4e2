/* Passphrases from a file or from the terminal, never from the command line or the environment. */
#pragma once

#include "cli/cli.h"

/** The first line of the file (mode 0600) or, without one, what is typed. `twice`: asked again. */
bst_result cli_passphrase(const char *file, bool twice, struct bst_secret *ret);
