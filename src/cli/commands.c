/* The commands, in the order of help. */
#include "cli/cli.h"

extern const struct cli_command cmd_init, cmd_serve, cmd_demo, cmd_device, cmd_request, cmd_access,
    cmd_audit, cmd_key, cmd_mef, cmd_config, cmd_backup, cmd_restore, cmd_doctor, cmd_bench,
    cmd_version, cmd_selftest, cmd_suci, cmd_aka, cmd_air;

const struct cli_command *const cli_commands[] = {
    &cmd_init, &cmd_serve, &cmd_demo,   &cmd_device,   &cmd_request, &cmd_access, &cmd_audit,
    &cmd_key,  &cmd_mef,   &cmd_config, &cmd_backup,   &cmd_restore, &cmd_doctor, &cmd_bench,
    &cmd_suci, &cmd_aka,   &cmd_air,    &cmd_selftest, &cmd_version, NULL,
};
