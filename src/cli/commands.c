/* The commands, in the order of help. */
#include "cli/cli.h"

extern const struct cli_command cmd_init, cmd_serve, cmd_config, cmd_version, cmd_request, cmd_device,
    cmd_demo, cmd_bench;

const struct cli_command *const cli_commands[] = {
    &cmd_init, &cmd_serve, &cmd_config, &cmd_version, &cmd_request, &cmd_device, &cmd_demo,
    &cmd_bench, NULL,
};
