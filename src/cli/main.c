/* The process. */
#include "cli/cli.h"

#include "app/logging.h"
#include "crypto/heap.h"

int main(int argc, char **argv)
{
    /* Before OpenSSL allocates anything. Where it cannot be, keys lie where OpenSSL puts them. */
    (void)bst_heap_start();
    bst_logging_quiet(false);
    return cli_main(argc, argv, stdout, stderr);
}
