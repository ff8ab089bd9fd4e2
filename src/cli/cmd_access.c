/* bastide access: decisions explained, credentials revoked. */
#include "cli/provision.h"

#include <stdio.h>

/* --- explain -------------------------------------------------------------------------------- */

static const struct cli_option explain_options[] = {
    {"--as", "ORIGINATOR", "Who asks: an AE-ID or CSE-ID in any form.", false},
    {"--op", "OPERATION", "create, retrieve, update, delete, notify or discover.", false},
    {"--type", "NUMBER", "Resource type of a create.", false},
    {"--ip", "ADDRESS", "Address that the request comes from.", false},
    {"--at", "TIME", "Moment to decide for, as 2026-01-31T08:00:00.000Z; without it now.", false},
    {"--unproved", NULL, "As if the originator had not proved who it is.", false},
    {0},
};

static void print_decision(struct cli_call *call, yyjson_val *answer)
{
    bool permitted = yyjson_get_bool(bst_json_get(answer, "permitted"));
    fprintf(call->out, "%s: %s\n", permitted ? "PERMITTED" : "DENIED", cli_text(answer, "reason"));
    if (cli_text(answer, "policy")[0]) {
        fprintf(call->out, "policy     %s", cli_text(answer, "policy"));
        if (bst_json_get(answer, "rule")) {
            fprintf(call->out, ", rule %d", (int)yyjson_get_int(bst_json_get(answer, "rule")));
        }
        fputc('\n', call->out);
    }
    if (cli_text(answer, "attribute")[0]) {
        fprintf(call->out, "attribute  %s\n", cli_text(answer, "attribute"));
    }
    fprintf(call->out, "clause     %s\n", cli_text(answer, "clause"));
}

static int explain(struct cli_call *call)
{
    bst_auto(buf) args = {0};
    int64_t ty;
    if (call->n_args != 1 || !cli_value(call, "--as") || !cli_value(call, "--op")) {
        return cli_usage(call, "--as, --op and the address of a resource are needed");
    }
    if (bst_failed(cli_number(call, "--type", 0, 0, 100000, &ty))) {
        return cli_usage(call, "%s", bst_error_detail());
    }
    cli_arg(&args, "as", cli_value(call, "--as"));
    cli_arg(&args, "op", cli_value(call, "--op"));
    cli_arg(&args, "target", call->args[0]);
    cli_arg(&args, "ip", cli_value(call, "--ip"));
    cli_arg(&args, "at", cli_value(call, "--at"));
    bst_buf_addf(&args, ",\"ty\":%lld,\"proved\":%s", (long long)ty,
                 cli_has(call, "--unproved") ? "false" : "true");
    return cli_admin_print(call, "explain", &args, print_decision);
}

/* --- credentials ---------------------------------------------------------------------------- */

static const struct cli_option reason_options[] = {
    {"--reason", "TEXT", "For the audit trail.", false},
    {0},
};

static void print_revoked(struct cli_call *call, yyjson_val *answer)
{
    fprintf(call->out, "%s is revoked; its sessions are closed\n", cli_text(answer, "revoked"));
}

static void print_restored(struct cli_call *call, yyjson_val *answer)
{
    fprintf(call->out, "%s is good again\n", cli_text(answer, "restored"));
}

static int credential_call(struct cli_call *call, const char *op,
                           void (*plain)(struct cli_call *call, yyjson_val *answer))
{
    bst_auto(buf) args = {0};
    if (call->n_args != 1) {
        return cli_usage(call, "name the Credential-ID, such as 12-KEY-ID@MEF or 33-//domain/AE");
    }
    cli_arg(&args, "credential", call->args[0]);
    cli_arg(&args, "reason", cli_value(call, "--reason"));
    return cli_admin_print(call, op, &args, plain);
}

static int revoke(struct cli_call *call)
{
    return credential_call(call, "revoke", print_revoked);
}

static int restore(struct cli_call *call)
{
    return credential_call(call, "unrevoke", print_restored);
}

static void print_freed(struct cli_call *call, yyjson_val *answer)
{
    fprintf(call->out, "any credential may register %s now\n", cli_text(answer, "freed"));
}

static int free_ae(struct cli_call *call)
{
    bst_auto(buf) args = {0};
    if (call->n_args != 1) {
        return cli_usage(call, "name the AE-ID, such as Cthermo");
    }
    cli_arg(&args, "ae", call->args[0]);
    return cli_admin_print(call, "free-ae", &args, print_freed);
}

static const struct cli_option key_options[] = {
    {"--key-file", "FILE", "File with the key in hexadecimal, readable by its owner only.", false},
    {0},
};

static void print_added(struct cli_call *call, yyjson_val *answer)
{
    fprintf(call->out, "%s may open security associations\n", cli_text(answer, "added"));
}

static bst_result read_key_file(const char *file, struct bst_buf *ret)
{
    unsigned mode;
    BST_TRY(bst_file_mode(file, &mode));
    if (mode & 077) {
        BST_FAIL(BST_E_PERMISSION, "others may read %s: chmod 600 %s", file, file);
    }
    BST_TRY(bst_file_read(file, 4096, ret));
    while (ret->len > 0 && (ret->ptr[ret->len - 1] == '\n' || ret->ptr[ret->len - 1] == '\r')) {
        ret->len--;
    }
    return BST_OK;
}

static int add_key(struct cli_call *call)
{
    bst_auto(buf) args = {0};
    bst_auto(buf) key = {0};
    const char *file = cli_value(call, "--key-file");
    if (call->n_args != 1 || !file) {
        return cli_usage(call, "a KpsaID and --key-file are needed");
    }
    bst_result r = read_key_file(file, &key);
    if (bst_failed(r)) {
        bst_buf_wipe(&key);
        return cli_fail(call, r, "the key was not read");
    }
    cli_arg(&args, "id", call->args[0]);
    bst_buf_adds(&args, ",\"key\":");
    bst_buf_add_json(&args, bst_buf_view(&key));
    bst_buf_wipe(&key);
    return cli_admin_print(call, "kpsa-add", &args, print_added);
}

/* --- certificates --------------------------------------------------------------------------- */

static const struct cli_option certificate_options[] = {
    {"--out", "DIR", "Folder of the new client profile.", false},
    {"--ae-id", "STEM", "AE-ID-Stem (default: C and the name).", false},
    {"--valid-from", "TIME", "Begin, YYYYMMDDTHHMMSS in UTC.", false},
    {"--valid-until", "TIME", "End.", false},
    {0},
};

static int certificate(struct cli_call *call)
{
    struct cli_provision wish = {
        .stem = cli_value(call, "--ae-id"),
        .folder = cli_value(call, "--out"),
        .certificate = true,
        .from = cli_value(call, "--valid-from"),
        .until = cli_value(call, "--valid-until"),
    };
    if (call->n_args != 1 || !wish.folder) {
        return cli_usage(call, "a name and --out DIR are needed");
    }
    wish.name = call->args[0];
    bst_result r = cli_provision(call, &wish);
    if (bst_failed(r)) {
        return cli_fail(call, r, "no profile was made");
    }
    fprintf(call->out,
            call->json ? "{\"profile\":\"%s\"}\n" : "%s: a profile with an AE-ID certificate\n",
            wish.folder);
    return CLI_OK;
}

static void print_certificates(struct cli_call *call, yyjson_val *answer)
{
    yyjson_arr_iter iter;
    yyjson_arr_iter_init(bst_json_get(answer, "certificates"), &iter);
    for (yyjson_val *c; (c = yyjson_arr_iter_next(&iter));) {
        const char *revoked = cli_text(c, "revoked");
        fprintf(call->out, "%s  %-6s %-44s ends %s%s%s\n", cli_text(c, "serial"),
                cli_text(c, "flavour"), cli_text(c, "name"), cli_text(c, "ends"),
                revoked[0] ? "  REVOKED " : "", revoked);
    }
}

static int certificates(struct cli_call *call)
{
    bst_auto(buf) args = {0};
    return cli_admin_print(call, "certificates", &args, print_certificates);
}

static void print_revoked_certificates(struct cli_call *call, yyjson_val *answer)
{
    fprintf(call->out, "%d certificates revoked; the list is signed, sessions are verified anew\n",
            (int)yyjson_get_int(bst_json_get(answer, "revoked")));
}

static int revoke_certificate(struct cli_call *call)
{
    bst_auto(buf) args = {0};
    if (call->n_args != 1) {
        return cli_usage(call,
                         "a serial number or a name is needed, as 'bastide access certificates' "
                         "shows them");
    }
    cli_arg(&args, "which", call->args[0]);
    return cli_admin_print(call, "revoke-certificate", &args, print_revoked_certificates);
}

static const struct cli_command words[] = {
    {
        .name = "explain",
        .args = "TARGET",
        .summary = "Say what would be decided, by which rule and attribute, and why",
        .text = "Nothing is done. The audit trail has the same for every denial.",
        .options = explain_options,
        .example = "bastide access explain --as CApp --op retrieve cse-in/thermo/load",
        .run = explain,
    },
    {
        .name = "revoke",
        .args = "CREDENTIAL-ID",
        .summary = "Refuse a credential from now on, and close its sessions",
        .options = reason_options,
        .example = "bastide access revoke 33-//acme.example.com/id-in/Cpump --reason lost",
        .run = revoke,
    },
    {
        .name = "restore",
        .args = "CREDENTIAL-ID",
        .summary = "Accept a revoked credential again",
        .options = reason_options,
        .example = "bastide access restore 33-//acme.example.com/id-in/Cpump",
        .run = restore,
    },
    {
        .name = "free",
        .args = "AE-ID",
        .summary = "Let any credential register the AE-ID of an AE that is gone",
        .text = "When an AE ends, its AE-ID is kept for the credential that had it: policies may "
                "still name it. Needed when a device comes back with another key or certificate.",
        .example = "bastide access free Cthermo",
        .run = free_ae,
    },
    {
        .name = "add-key",
        .args = "KPSA-ID",
        .summary = "Provision a key for security associations, without a MEF",
        .options = key_options,
        .example = "bastide access add-key meter7@acme.example.com --key-file meter7.hex",
        .run = add_key,
    },
    {
        .name = "certificate",
        .args = "NAME",
        .summary = "Issue an AE-ID certificate, and write a client profile with it",
        .options = certificate_options,
        .example = "bastide access certificate dashboard --out ./dashboard",
        .run = certificate,
    },
    {
        .name = "certificates",
        .args = "",
        .summary = "List what the project CA issued",
        .example = "bastide access certificates",
        .run = certificates,
    },
    {
        .name = "revoke-certificate",
        .args = "SERIAL-OR-NAME",
        .summary = "Revoke certificates and sign a new revocation list",
        .example = "bastide access revoke-certificate //acme.example.com/id-in/Cpump",
        .run = revoke_certificate,
    },
    {0},
};

const struct cli_command cmd_access = {
    .name = "access",
    .args = "",
    .summary = "Explain decisions, revoke and issue credentials",
    .words = words,
};
