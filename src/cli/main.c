/* The process. */
#include "cli/cli.h"

#include "app/logging.h"

int main(int argc, char **argv)
{
    bst_logging_quiet(false);
    return cli_main(argc, argv, stdout, stderr);
}
