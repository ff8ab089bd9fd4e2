/* bastide suci: home network keys, concealing and revealing subscriber identities (TS 33.501 6.12).
 */
#include "cli/core5g.h"

#include "core5g/suci/sidf.h"
#include "obs/log.h"
#include "sys/clock.h"
#include "sys/file.h"

#define KEY_FILE_MAX 65536

/* ---- options that several words have ---- */

static bst_result scheme_of(const struct cli_call *call, const char *fallback,
                            const struct bst_suci_scheme **ret)
{
    const char *name = cli_value(call, "--scheme");
    *ret = bst_suci_scheme_named(bst_view(name ? name : fallback));
    if (*ret) {
        return BST_OK;
    }
    const struct bst_suci_scheme *scheme;
    bst_auto(buf) names = {0};
    for (size_t i = 0; (scheme = bst_suci_scheme_at(i)); i++) {
        bst_buf_addf(&names, "%s%s", i ? ", " : "", scheme->name);
    }
    BST_TRY(bst_buf_check(&names));
    BST_FAIL(BST_E_USAGE, "--scheme wants one of %.*s, not '%s'", (int)names.len, names.ptr, name);
}

static bst_result time_of(const struct cli_call *call, const char *name, int64_t fallback,
                          int64_t *ret)
{
    const char *text = cli_value(call, name);
    *ret = fallback;
    if (text && bst_failed(bst_m2m_time_parse(bst_view(text), ret))) {
        BST_FAIL(BST_E_USAGE, "%s wants YYYYMMDDTHHMMSS, not '%s'", name, text);
    }
    return BST_OK;
}

#define HOME_OPTIONS                                                                               \
    {"--profile", "DIR", "Folder with the home network's keys.", false}, CLI_5G_SE_OPTIONS

/* A table of keys on its environment. */
struct home {
    struct bst_se *se;
    struct bst_sidf sidf;
};
static inline void bst_home_clear(struct home *home)
{
    bst_se_close(&home->se);
}
#define AUTO_HOME __attribute__((cleanup(bst_home_clear))) struct home

static bst_result home_se(const struct cli_call *call, struct home *home)
{
    return cli_5g_open_named(call, "the home network's keys", &home->se);
}

static bst_result home_open(const struct cli_call *call, struct home *home)
{
    BST_TRY(home_se(call, home));
    return bst_sidf_init(&home->sidf, home->se, bst_wall_us);
}

/* ---- keygen, keys, revoke ---- */

static void print_key(const struct cli_call *call, const struct bst_hn_key *key)
{
    const struct bst_suci_scheme *scheme = bst_suci_scheme(key->scheme);
    char id[8], level[12], from[BST_RFC3339_LEN + 1] = "", until[BST_RFC3339_LEN + 1] = "";
    snprintf(id, sizeof id, "%u", (unsigned)key->id);
    snprintf(level, sizeof level, "%d", key->level);
    bst_rfc3339_format(key->from_us, from);
    if (key->until_us) {
        bst_rfc3339_format(key->until_us, until);
    }
    const struct cli_5g_field fields[] = {
        {"id", NULL, 0, id, true},
        {"scheme", NULL, 0, scheme->name},
        {"public", key->public_key, scheme->public_bytes, NULL},
        {"state", NULL, 0, bst_hn_state_name(key->state)},
        {"level", NULL, 0, level, true},
        {"from", NULL, 0, from},
        {"until", NULL, 0, until[0] ? until : "no end"},
    };
    cli_5g_print(call, fields, sizeof fields / sizeof fields[0]);
}

static const struct cli_option keygen_options[] = {
    HOME_OPTIONS,
    {"--id", "N",
     "Key identifier, 0 to 254; an identifier is not used again while its key is there.", false},
    {"--scheme", "NAME",
     "Protection scheme: A (default) or B; mlkem768 and x25519-mlkem768 are post-quantum and "
     "experimental.",
     false},
    {"--private", "FILE",
     "Import this private key in place of a new one: raw or hexadecimal, for A and B also PEM or "
     "DER. Of ML-KEM the seed (d, z) or the expanded key, the X25519 key behind it.",
     false},
    {"--valid-from", "TIME", "Begin of validity, YYYYMMDDTHHMMSS in UTC (default now).", false},
    {"--valid-until", "TIME", "End of validity (default none).", false},
    {0},
};

static bst_result read_wish(const struct cli_call *call, struct bst_buf *private_key,
                            struct bst_hn_wish *ret)
{
    const struct bst_suci_scheme *scheme = NULL;
    const char *path = cli_value(call, "--private");
    int64_t id;
    BST_TRY(scheme_of(call, "A", &scheme));
    BST_TRY(cli_number(call, "--id", -1, 0, BST_SUCI_KEY_ID_MAX, &id));
    if (id < 0) {
        BST_FAIL(BST_E_USAGE, "--id N is missing: the key identifier");
    }
    ret->id = (uint8_t)id;
    ret->scheme = scheme->id;
    BST_TRY(time_of(call, "--valid-from", bst_wall_us(), &ret->from_us));
    BST_TRY(time_of(call, "--valid-until", 0, &ret->until_us));
    if (path) {
        BST_TRY(cli_5g_read_key(call, path, KEY_FILE_MAX, private_key));
        ret->private_key = bst_buf_view(private_key);
        BST_ENSURE(private_key->len, BST_E_TRUNCATED);
    }
    return BST_OK;
}

static const struct bst_hn_key *key_with(const struct bst_sidf *sidf, uint8_t id)
{
    for (size_t i = 0; i < sidf->n; i++) {
        if (sidf->keys[i].id == id) {
            return &sidf->keys[i];
        }
    }
    return NULL;
}

static bst_result make_key(const struct cli_call *call, struct bst_buf *private_key)
{
    struct bst_hn_wish wish = {0};
    AUTO_HOME home = {0};
    BST_TRY(read_wish(call, private_key, &wish));
    BST_TRY(home_se(call, &home));
    BST_TRY(bst_hn_key_add(home.se, &wish));
    BST_TRY(bst_sidf_init(&home.sidf, home.se, bst_wall_us));
    const struct bst_hn_key *key = key_with(&home.sidf, wish.id);
    BST_ENSURE(key, BST_E_INTERNAL);
    print_key(call, key);
    return BST_OK;
}

static int keygen(struct cli_call *call)
{
    bst_auto(buf) private_key = {0};
    bst_result r = make_key(call, &private_key);
    bst_buf_wipe(&private_key);
    return bst_failed(r) ? cli_fail(call, r, "no key was made") : CLI_OK;
}

static const struct cli_option home_options[] = {
    HOME_OPTIONS,
    {0},
};

static bst_result list_keys(const struct cli_call *call)
{
    AUTO_HOME home = {0};
    BST_TRY(home_open(call, &home));
    for (size_t i = 0; i < home.sidf.n; i++) {
        if (i && !call->json) {
            fputc('\n', call->out);
        }
        print_key(call, &home.sidf.keys[i]);
    }
    return BST_OK;
}

static int keys(struct cli_call *call)
{
    bst_result r = list_keys(call);
    return bst_failed(r) ? cli_fail(call, r, "nothing to list") : CLI_OK;
}

static bst_result revoke_key(const struct cli_call *call)
{
    uint64_t id = 0;
    AUTO_HOME home = {0};
    if (bst_failed(bst_parse_u64(bst_view(call->args[0]), &id)) || id > BST_SUCI_KEY_ID_MAX) {
        BST_FAIL(BST_E_USAGE, "'%s' is no key identifier (0 to %d)", call->args[0],
                 BST_SUCI_KEY_ID_MAX);
    }
    BST_TRY(home_se(call, &home));
    return bst_hn_key_remove(home.se, (uint8_t)id);
}

static int revoke(struct cli_call *call)
{
    if (call->n_args != 1) {
        return cli_usage(call, "name the key identifier");
    }
    bst_result r = revoke_key(call);
    if (bst_failed(r)) {
        return cli_fail(call, r, "nothing was revoked");
    }
    cli_5g_print(call, &(struct cli_5g_field){"revoked", NULL, 0, call->args[0], true}, 1);
    return CLI_OK;
}

/* ---- conceal ---- */

static const struct cli_option conceal_options[] = {
    {"--profile", "DIR", "Take the active key of the home network in this folder.", false},
    CLI_5G_SE_OPTIONS,
    {"--public", "FILE",
     "Public key of the home network: raw or hexadecimal, for A and B also PEM or DER.", false},
    {"--id", "N", "Its key identifier (with --public).", false},
    {"--scheme", "NAME", "Protection scheme: null, A (default), B, mlkem768 or x25519-mlkem768.",
     false},
    {"--routing", "DIGITS", "Routing indicator, 1 to 4 digits (default 0).", false},
    {"--mnc-digits", "2|3", "Length of the MNC in an IMSI (default 2).", false},
    {"--form", "sbi|nai|nas", "Way of writing: text, NAI, or the octets of the mobile identity.",
     false},
    {0},
};

static bst_result home_from_file(const struct cli_call *call, const struct bst_suci_scheme *scheme,
                                 struct bst_suci_home *ret)
{
    bst_auto(buf) text = {0};
    int64_t id;
    BST_TRY(cli_number(call, "--id", -1, 0, BST_SUCI_KEY_ID_MAX, &id));
    if (id < 0) {
        BST_FAIL(BST_E_USAGE, "--id N is missing: the identifier of the public key");
    }
    ret->key_id = (uint8_t)id;
    BST_TRY(bst_file_read(cli_value(call, "--public"), KEY_FILE_MAX, &text));
    return scheme->read_public(scheme, bst_buf_view(&text), ret->public_key);
}

static bst_result home_from_profile(const struct cli_call *call, struct bst_suci_home *ret)
{
    AUTO_HOME home = {0};
    BST_TRY(home_open(call, &home));
    const struct bst_hn_key *key = bst_sidf_active(&home.sidf, ret->scheme);
    if (!key) {
        BST_FAIL(BST_E_NOT_FOUND, "%s has no active key of this scheme",
                 cli_has(call, "--se") ? "the secure environment" : cli_value(call, "--profile"));
    }
    ret->key_id = key->id;
    memcpy(ret->public_key, key->public_key, sizeof ret->public_key);
    return BST_OK;
}

static bst_result read_home(const struct cli_call *call, struct bst_suci_home *ret)
{
    const struct bst_suci_scheme *scheme = NULL;
    const char *routing = cli_value(call, "--routing");
    BST_TRY(scheme_of(call, "A", &scheme));
    ret->scheme = scheme->id;
    if (bst_failed(bst_view_copy(bst_view(routing), ret->routing, sizeof ret->routing))) {
        BST_FAIL(BST_E_USAGE, "--routing wants 1 to 4 digits");
    }
    if (!scheme->keyed) {
        return BST_OK;
    }
    return cli_value(call, "--public") ? home_from_file(call, scheme, ret)
                                       : home_from_profile(call, ret);
}

static bst_result print_suci(const struct cli_call *call, const struct bst_suci *suci)
{
    const char *form = cli_value(call, "--form");
    bst_auto(buf) text = {0}, octets = {0};
    if (!form || strcmp(form, "sbi") == 0) {
        BST_TRY(bst_suci_format(suci, &text));
    } else if (strcmp(form, "nai") == 0 && suci->type == BST_SUPI_NAI) {
        BST_TRY(bst_suci_format_nai(suci, &text));
    } else if (strcmp(form, "nas") == 0) {
        BST_TRY(bst_suci_format_nas(suci, &octets));
        bst_hex_add(&text, bst_buf_view(&octets), false);
    } else {
        BST_FAIL(BST_E_USAGE, "--form wants sbi, nas, or for a network access identifier nai");
    }
    BST_TRY(bst_buf_check(&text));
    fprintf(call->out, call->json ? "{\"suci\":\"%.*s\"}\n" : "%.*s\n", (int)text.len, text.ptr);
    return BST_OK;
}

static bst_result conceal_one(const struct cli_call *call)
{
    struct bst_suci_home home = {0};
    struct bst_supi supi;
    bst_auto(suci) suci = {0};
    int64_t mnc_digits;
    BST_TRY(cli_number(call, "--mnc-digits", 2, 2, 3, &mnc_digits));
    BST_TRY(bst_supi_parse(bst_view(call->args[0]), (unsigned)mnc_digits, &supi));
    BST_TRY(read_home(call, &home));
    BST_TRY(bst_suci_conceal(&supi, &home, &suci));
    if (home.scheme == BST_SUCI_NULL) {
        fprintf(call->err, "bastide: warning: the null scheme hides nothing\n");
    }
    return print_suci(call, &suci);
}

static int conceal(struct cli_call *call)
{
    if (call->n_args != 1) {
        return cli_usage(call, "give one SUPI: imsi-... or nai-...");
    }
    bst_result r = conceal_one(call);
    return bst_failed(r) ? cli_fail(call, r, "nothing was concealed") : CLI_OK;
}

/* ---- reveal ---- */

static const struct cli_option reveal_options[] = {
    HOME_OPTIONS,
    {"--private", "FILE", "One private key, for the key identifier that the SUCI names.", false},
    {"--nas", NULL, "The SUCI is the mobile identity in hexadecimal, from its octet 4.", false},
    {"--allow-null", NULL, "Accept the null scheme, which proves and hides nothing.", false},
    {0},
};

static bst_result read_suci(const struct cli_call *call, struct bst_suci *ret)
{
    struct bst_view text = bst_view(call->args[0]);
    bst_auto(buf) octets = {0};
    if (!cli_has(call, "--nas")) {
        return bst_suci_parse(text, ret);
    }
    char *at = bst_buf_reserve(&octets, text.len / 2 + 1);
    BST_ENSURE(at, BST_E_NOMEM);
    if (bst_failed(bst_hex_decode(text, at, text.len / 2))) {
        BST_FAIL(BST_E_SYNTAX, "the mobile identity is not hexadecimal");
    }
    return bst_suci_parse_nas(bst_view_of(at, text.len / 2), ret);
}

static bst_result import_one(const struct cli_call *call, const struct bst_suci *suci,
                             struct bst_buf *key, struct bst_se *se)
{
    struct bst_hn_wish wish = {.id = suci->key_id, .scheme = suci->scheme, .temporary = true};
    BST_TRY(cli_5g_read_key(call, cli_value(call, "--private"), KEY_FILE_MAX, key));
    wish.private_key = bst_buf_view(key);
    BST_ENSURE(key->len, BST_E_TRUNCATED);
    return bst_hn_key_add(se, &wish);
}

static bst_result reveal_one(const struct cli_call *call, struct bst_buf *key)
{
    AUTO_HOME home = {0};
    bst_auto(suci) suci = {0};
    bst_auto(buf) text = {0};
    struct bst_supi supi;
    bool from_file = cli_value(call, "--private") != NULL;
    if (from_file && cli_has(call, "--se")) {
        BST_FAIL(BST_E_USAGE, "the key is in a file or in an environment: --private or --se");
    }
    BST_TRY(read_suci(call, &suci));
    bool keyless = from_file || (suci.scheme == BST_SUCI_NULL && !cli_5g_named(call));
    BST_TRY(keyless ? cli_5g_open(NULL, &home.se) : home_se(call, &home));
    if (from_file && suci.scheme != BST_SUCI_NULL) {
        BST_TRY(import_one(call, &suci, key, home.se));
    }
    BST_TRY(bst_sidf_init(&home.sidf, home.se, bst_wall_us));
    home.sidf.allow_null = cli_has(call, "--allow-null");
    BST_TRY(bst_sidf_reveal(&home.sidf, &suci, &supi));
    bst_supi_format(&supi, &text);
    bst_buf_addc(&text, '\0');
    BST_TRY(bst_buf_check(&text));
    cli_5g_print(call, &(struct cli_5g_field){"supi", NULL, 0, text.ptr}, 1);
    return BST_OK;
}

static int reveal(struct cli_call *call)
{
    bst_auto(buf) key = {0};
    if (call->n_args != 1) {
        return cli_usage(call, "give one SUCI");
    }
    if (call->verbose) {
        bst_log_configure(&(struct bst_log_setup){.level = BST_LOG_INFO});
    }
    bst_result r = reveal_one(call, &key);
    bst_buf_wipe(&key);
    return bst_failed(r) ? cli_fail(call, r, "not revealed") : CLI_OK;
}

/* ---- the table ---- */

static const struct cli_command words[] = {
    {
        .name = "keygen",
        .args = "",
        .summary = "Make or import a home network key",
        .text = "The private key goes into the secure environment of the folder, or the one that "
                "--se "
                "names, and never leaves it; the "
                "public key and the protection level are printed. The newest valid key of a scheme "
                "is the active one, older "
                "ones are "
                "still accepted until they end or are revoked.",
        .options = keygen_options,
        .example = "bastide suci keygen --profile ./home --id 1 --scheme A\n"
                   "bastide suci keygen --profile ./home --id 2 --scheme B --private hn.pem\n"
                   "bastide suci keygen --se pkcs11:token=home --pin-file pin --id 3 --scheme B",
        .run = keygen,
    },
    {
        .name = "keys",
        .args = "",
        .summary = "List the home network keys: identifier, public key, state, level, validity",
        .options = home_options,
        .example = "bastide suci keys --profile ./home\n"
                   "bastide suci keys --se pkcs11:token=home --pin-file pin",
        .run = keys,
    },
    {
        .name = "revoke",
        .args = "ID",
        .summary = "Remove a home network key for good",
        .options = home_options,
        .example = "bastide suci revoke 1 --profile ./home",
        .run = revoke,
    },
    {
        .name = "conceal",
        .args = "SUPI",
        .summary = "Conceal a SUPI, as a device does",
        .options = conceal_options,
        .example = "bastide suci conceal imsi-001010000000001 --profile ./home\n"
                   "bastide suci conceal nai-user@example.com --public hn.pub --id 1 --scheme B",
        .run = conceal,
    },
    {
        .name = "reveal",
        .args = "SUCI",
        .summary = "Reveal the SUPI in a SUCI, as the home network does",
        .text = "Whatever keeps a SUCI from opening (unknown key, changed octet, bad point, wrong "
                "digits) "
                "is answered alike; --verbose tells the reason on standard error.",
        .options = reveal_options,
        .example = "bastide suci reveal suci-0-001-01-0-1-1-... --profile ./home",
        .run = reveal,
    },
    {0},
};

const struct cli_command cmd_suci = {
    .name = "suci",
    .args = "",
    .summary = "Conceal and reveal 5G subscriber identities, manage home network keys",
    .words = words,
};
