/* bastide mef: clients and keys of the MEF. */
#include "cli/provision.h"

#include <stdio.h>

static const struct cli_option provision_options[] = {
    {"--out", "DIR", "Folder of the new client profile.", false},
    {"--ae-id", "STEM", "AE-ID-Stem of the device (default: C and the name).", false},
    {"--certificate", NULL, "Give it an AE-ID certificate in place of a pre-provisioned key.",
     false},
    {"--se", "URI",
     "Environment that shall hold its keys, such as pkcs11:token=NAME; without it, software in the "
     "profile folder.",
     false},
    {"--pin-file", "FILE", "File of mode 0600 with the PIN (software: passphrase) of --se.", false},
    {"--valid-from", "TIME", "Begin of the certificate, YYYYMMDDTHHMMSS in UTC.", false},
    {"--valid-until", "TIME", "End of the certificate.", false},
    {0},
};

static int provision(struct cli_call *call)
{
    struct cli_provision wish = {
        .stem = cli_value(call, "--ae-id"),
        .folder = cli_value(call, "--out"),
        .certificate = cli_has(call, "--certificate"),
        .enrol = true,
        .se = cli_value(call, "--se"),
        .pin_file = cli_value(call, "--pin-file"),
        .from = cli_value(call, "--valid-from"),
        .until = cli_value(call, "--valid-until"),
    };
    if (call->n_args != 1) {
        return cli_usage(call, "name the device");
    }
    if (wish.pin_file && !wish.se) {
        return cli_usage(call, "--pin-file belongs to --se URI");
    }
    if (!wish.folder) {
        return cli_usage(call, "--out DIR is missing: the folder of the new profile");
    }
    wish.name = call->args[0];
    bst_result r = cli_provision(call, &wish);
    if (bst_failed(r)) {
        return cli_fail(call, r, "no profile was made");
    }
    if (call->json) {
        bst_auto(buf) out = {0};
        bst_buf_adds(&out, "{\"profile\":");
        bst_buf_add_json(&out, bst_view(wish.folder));
        bst_buf_addc(&out, '}');
        cli_print(call, &out);
    } else {
        fprintf(call->out, "%s: a profile with %s; next: bastide device enrol %s\n", wish.folder,
                wish.certificate ? "an AE-ID certificate" : "a pre-provisioned key", wish.folder);
    }
    return CLI_OK;
}

static void print_clients(struct cli_call *call, yyjson_val *answer)
{
    yyjson_arr_iter iter;
    yyjson_arr_iter_init(bst_json_get(answer, "clients"), &iter);
    for (yyjson_val *c; (c = yyjson_arr_iter_next(&iter));) {
        fprintf(call->out, "%-44s %-40s %s\n", cli_text(c, "credential"), cli_text(c, "client"),
                yyjson_get_bool(bst_json_get(c, "revoked")) ? "REVOKED" : "good");
    }
}

static int clients(struct cli_call *call)
{
    bst_auto(buf) args = {0};
    return cli_admin_print(call, "mef-clients", &args, print_clients);
}

static void print_keys(struct cli_call *call, yyjson_val *answer)
{
    yyjson_arr_iter iter;
    yyjson_arr_iter_init(bst_json_get(answer, "keys"), &iter);
    for (yyjson_val *k; (k = yyjson_arr_iter_next(&iter));) {
        fprintf(call->out, "%s  SUID %d  from %s  ends %s\n", cli_text(k, "key"),
                (int)yyjson_get_int(bst_json_get(k, "suid")), cli_text(k, "source"),
                cli_text(k, "ends"));
    }
}

static int keys(struct cli_call *call)
{
    bst_auto(buf) args = {0};
    return cli_admin_print(call, "mef-keys", &args, print_keys);
}

static const struct cli_option revoke_options[] = {
    {"--reason", "TEXT", "For the audit trail.", false},
    {0},
};

static void print_revoked(struct cli_call *call, yyjson_val *answer)
{
    fprintf(call->out, "%s is revoked; %d of its keys ended, their sessions are closed\n",
            cli_text(answer, "revoked"), (int)yyjson_get_int(bst_json_get(answer, "keys")));
}

static int revoke(struct cli_call *call)
{
    bst_auto(buf) args = {0};
    if (call->n_args != 1) {
        return cli_usage(call, "name the Credential-ID, as 'bastide mef clients' shows it");
    }
    cli_arg(&args, "credential", call->args[0]);
    cli_arg(&args, "reason", cli_value(call, "--reason"));
    return cli_admin_print(call, "mef-revoke", &args, print_revoked);
}

static const struct cli_command words[] = {
    {
        .name = "provision",
        .args = "NAME",
        .summary = "Let a new client in, and write its profile folder",
        .text =
            "The client gets a pre-provisioned key (KpmID NAME@MEF, TS-0003 8.3.2.1) or an AE-ID "
            "certificate (8.3.2.2). The key goes into the secure environment of the profile and "
            "into that of the MEF, nowhere else. With --certificate the key pair is made inside "
            "and stays there.",
        .options = provision_options,
        .example = "bastide mef provision thermo --out ./thermo\n"
                   "bastide mef provision pump --certificate --out ./pump\n"
                   "bastide mef provision hut --certificate --out ./hut --se pkcs11:token=hut "
                   "--pin-file pin",
        .run = provision,
    },
    {
        .name = "clients",
        .args = "",
        .summary = "List the clients that the MEF lets in",
        .example = "bastide mef clients --state /var/lib/bastide",
        .run = clients,
    },
    {
        .name = "keys",
        .args = "",
        .summary = "List the keys that are registered, without their values",
        .example = "bastide mef keys --json",
        .run = keys,
    },
    {
        .name = "revoke",
        .args = "CREDENTIAL-ID",
        .summary = "Shut a client out, with all keys that it registered",
        .text = "Its registrations and keys go at once; sessions at the MEF and security "
                "associations at "
                "the CSE by these keys are closed.",
        .options = revoke_options,
        .example = "bastide mef revoke 10-thermo@mef.acme.example.com --reason stolen",
        .run = revoke,
    },
    {0},
};

const struct cli_command cmd_mef = {
    .name = "mef",
    .args = "",
    .summary = "Clients and keys of the M2M Enrolment Function",
    .words = words,
};
