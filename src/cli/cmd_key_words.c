/* bastide key: the table of its words. */
#include "cli/cmd_key_priv.h"

#define PIN_OPTION                                                                                 \
    {                                                                                              \
        "--pin-file", "FILE", CLI_PIN_TEXT, false                                                  \
    }
#define OUT_OPTION                                                                                 \
    {                                                                                              \
        "--out", "FILE", "Where to write; without it, standard output.", false                     \
    }
#define ATTRIBUTE_OPTIONS                                                                          \
    {"--use", "USES",                                                                              \
     "With commas between: sign, agree, mac, derive, seal, psk (may be read for a handshake), "    \
     "wrap (may leave wrapped), kek (wraps others).",                                              \
     false},                                                                                       \
        {"--owner", "NAME", "Only this stakeholder sees the key.", false},                         \
        {"--suid", "N", "Security usage identifier of oneM2M.", false},                            \
    {                                                                                              \
        "--expires", "TIME", "Not used after this, such as 2027-01-01T00:00:00Z.", false           \
    }
#define MAKE_OPTIONS                                                                               \
    {"--type", "TYPE",                                                                             \
     "p256 (default), p384, ed25519, x25519, symmetric; data, which are kept and no key.", false}, \
        ATTRIBUTE_OPTIONS

#define OWNER_OPTION                                                                               \
    {                                                                                              \
        "--owner", "NAME", "Whose key, when several stakeholders have one of this label.", false   \
    }

static const struct cli_option pin_options[] = {PIN_OPTION, {0}};
static const struct cli_option key_options[] = {PIN_OPTION, OWNER_OPTION, {0}};
static const struct cli_option generate_options[] = {PIN_OPTION, MAKE_OPTIONS, {0}};
static const struct cli_option import_options[] = {
    PIN_OPTION,
    MAKE_OPTIONS,
    {"--in", "FILE",
     "Private key in PEM or DER, or bytes or hexadecimal digits of a symmetric key.", false},
    {"--level-1", NULL, "Bring it in although keys made inside would have a higher level.", false},
    {0}};
static const struct cli_option derive_options[] = {
    PIN_OPTION,
    {"--info", "TEXT", "By HKDF-SHA-256 (RFC 5869) with this info.", false},
    {"--salt", "TEXT", "Salt of HKDF.", false},
    {"--hmac", "TEXT", "By HMAC-SHA-256 over this text, for tokens without HKDF.", false},
    ATTRIBUTE_OPTIONS,
    {0}};
static const struct cli_option sign_options[] = {
    PIN_OPTION,
    OWNER_OPTION,
    OUT_OPTION,
    {"--in", "FILE", "The message; without it, standard input.", false},
    {"--hash", "NAME", "sha256 (default), sha384 or sha512; not for Ed25519.", false},
    {0}};
static const struct cli_option public_options[] = {PIN_OPTION, OWNER_OPTION, OUT_OPTION, {0}};
static const struct cli_option csr_options[] = {
    PIN_OPTION,
    OWNER_OPTION,
    OUT_OPTION,
    {"--name", "NAME", "Common name of the subject.", false},
    {"--ae-id", "ID", "Absolute AE-ID, such as //sp.example.com/Cdevice1.", true},
    {"--fqdn", "NAME", "Domain name, of a CSE, MEF or MAF.", true},
    {"--node", "URI", "M2M-Node-ID.", true},
    {0}};
static const struct cli_option certify_options[] = {
    PIN_OPTION,
    OWNER_OPTION,
    OUT_OPTION,
    {"--ae-id", "ID", "Absolute AE-ID, such as //sp.example.com/Cdevice1.", false},
    {"--cse", "NAME", "Public domain name of a CSE.", false},
    {"--fqdn", "NAME", "Domain name of a MEF or MAF.", false},
    {"--node", "URI", "M2M-Node-ID.", false},
    {"--days", "N", "How long it holds; without it 365.", false},
    {"--self-signed", NULL, "By the key itself, not by the project CA of --state.", false},
    {0}};
static const struct cli_option wrap_options[] = {
    PIN_OPTION,
    OWNER_OPTION,
    OUT_OPTION,
    {"--with", "LABEL", "The key that wraps; made with --type symmetric --use kek.", false},
    {0}};
static const struct cli_option unwrap_options[] = {
    PIN_OPTION,
    {"--with", "LABEL", "The key that it was wrapped with.", false},
    {"--in", "FILE", "What wrap wrote; without it, standard input.", false},
    {0}};
static const struct cli_option rewrap_options[] = {
    PIN_OPTION,
    OWNER_OPTION,
    {"--to-pin-file", "FILE", "The same as --pin-file, for the other environment.", false},
    {"--as", "LABEL", "Label there; without it the same.", false},
    {"--move", NULL, "Delete the source once the copy is proved to be the same key.", false},
    {0}};
static const struct cli_option rotate_options[] = {
    PIN_OPTION,
    OWNER_OPTION,
    {"--drop", NULL, "Delete the old key in place of keeping it as LABEL.N.", false},
    {"--expires", "TIME", "Of the new key; without it as the old one.", false},
    {"--to", "URI", "Of pki.ca: environment of the new key (its PIN: --pin-file), or state.",
     false},
    {"--until", "TIME", "Of pki.ca: when the former root ends; without it at --retire.", false},
    {"--retire", NULL, "Of pki.ca: trust former roots no more.", false},
    {"--yes", NULL, "With --retire: even if certificates of theirs still hold.", false},
    {0}};
static const struct cli_option activate_options[] = {
    PIN_OPTION, {"--yes", NULL, "Needed: only wiping undoes it.", false}, {0}};
static const struct cli_option change_options[] = {
    PIN_OPTION, {"--new-file", "FILE", "File of mode 0600 with the new one.", false}, {0}};
static const struct cli_option block_options[] = {
    PIN_OPTION,
    {"--yes", NULL, "Needed: it cannot be undone.", false},
    {"--reason", "TEXT", "Why; the environment tells it to whoever tries to use it.", false},
    {0}};
static const struct cli_option wipe_options[] = {
    PIN_OPTION, {"--yes", NULL, "Needed: it cannot be undone.", false}, {0}};
#define NONCE_OPTION                                                                               \
    {                                                                                              \
        "--nonce", "HEX", "Made by whoever wants the proof, 8 to 64 bytes.", false                 \
    }
static const struct cli_option attest_options[] = {
    PIN_OPTION, OWNER_OPTION, OUT_OPTION, NONCE_OPTION, {0}};
static const struct cli_option verify_options[] = {
    NONCE_OPTION,
    {"--root", "FILE", "Certificates of the makers that are trusted; without one, none is.", true},
    {0}};

#define TOKEN "pkcs11:token=demo"

static const struct cli_command words[] = {
    {
        .name = "list",
        .args = "URI",
        .summary = "List the keys",
        .text = "Names each key with its type, protection level, uses, owner and expiry. What the "
                "level "
                "rests on is said at the end.",
        .options = pin_options,
        .example = "bastide key list " TOKEN " --pin-file pin",
        .run = key_list,
    },
    {
        .name = "generate",
        .args = "URI LABEL",
        .summary = "Make a key inside",
        .options = generate_options,
        .example = "bastide key generate " TOKEN " cse.tls --type p256 --pin-file pin",
        .run = key_generate,
    },
    {
        .name = "import",
        .args = "URI LABEL",
        .summary = "Bring a key in",
        .text =
            "A key that was outside has protection level 1, whatever the token; where keys made "
            "inside have a higher one it is refused unless --level-1 is said.",
        .options = import_options,
        .example = "bastide key import " TOKEN " cse.tls --in key.pem --pin-file pin",
        .run = key_import,
    },
    {
        .name = "info",
        .args = "URI LABEL",
        .summary = "Show one key",
        .options = key_options,
        .example = "bastide key info " TOKEN " cse.tls --pin-file pin",
        .run = key_info,
    },
    {
        .name = "delete",
        .args = "URI LABEL",
        .summary = "Delete a key for good",
        .options = key_options,
        .example = "bastide key delete " TOKEN " cse.tls --pin-file pin",
        .run = key_delete,
    },
    {
        .name = "sign",
        .args = "URI LABEL",
        .summary = "Sign a message with an inside key",
        .text = "ECDSA signatures are in DER, as openssl dgst -verify takes them.",
        .options = sign_options,
        .example =
            "bastide key sign " TOKEN " cse.tls --in message --out message.sig --pin-file pin",
        .run = key_sign,
    },
    {
        .name = "public",
        .args = "URI LABEL",
        .summary = "Write the public half in PEM",
        .options = public_options,
        .example = "bastide key public " TOKEN " cse.tls --out cse.pub --pin-file pin",
        .run = key_public,
    },
    {
        .name = "csr",
        .args = "URI LABEL",
        .summary = "Write a certificate request for an inside key",
        .options = csr_options,
        .example =
            "bastide key csr " TOKEN " cse.tls --fqdn in.example.com --out cse.csr --pin-file pin",
        .run = key_csr,
    },
    {
        .name = "derive",
        .args = "URI LABEL NEW-LABEL",
        .summary = "Derive a key from an inside key",
        .text = "Its level is the lower of its parent's and of the way it took.",
        .options = derive_options,
        .example = "bastide key derive " TOKEN " master meter7 --info meter7 --use mac "
                   "--pin-file pin",
        .run = key_derive,
    },
    {
        .name = "certify",
        .args = "URI LABEL",
        .summary = "Issue a certificate for an inside key",
        .text = "By the project CA of --state, whose server may run, or self-signed.",
        .options = certify_options,
        .example = "bastide key certify " TOKEN " tls --ae-id //acme.example.com/id-in/Chut --out "
                   "hut.pem --pin-file pin",
        .run = key_certify,
    },
    {
        .name = "wrap",
        .args = "URI LABEL",
        .summary = "Write a key wrapped under another (RFC 5649)",
        .text =
            "The key needs the use wrap, the other one the use kek. Type, uses, owner, SUID and "
            "expiry go with it and are bound to it.",
        .options = wrap_options,
        .example = "bastide key wrap " TOKEN " meter7 --with transport --out meter7.key --pin-file "
                   "pin",
        .run = key_wrap,
    },
    {
        .name = "unwrap",
        .args = "URI LABEL",
        .summary = "Bring a wrapped key in under this label",
        .options = unwrap_options,
        .example = "bastide key unwrap " TOKEN " meter7 --with transport --in meter7.key "
                   "--pin-file pin",
        .run = key_unwrap,
    },
    {
        .name = "rewrap",
        .args = "URI LABEL TO-URI",
        .summary = "Copy or move a key to another environment, with proof",
        .text =
            "The key travels wrapped, under a key that both environments agree on where they "
            "can. Check values of both sides prove that it is the same key; only then, and with "
            "--move, the source is deleted.",
        .options = rewrap_options,
        .example = "bastide key rewrap 'se:soft?dir=keys' meter7 " TOKEN " --to-pin-file pin",
        .run = key_rewrap,
    },
    {
        .name = "check",
        .args = "URI LABEL",
        .summary = "Show the check value of a key",
        .text = "The same for the same key, wherever it is; it tells nothing about the value.",
        .options = key_options,
        .example = "bastide key check " TOKEN " meter7 --pin-file pin",
        .run = key_check,
    },
    {
        .name = "rotate",
        .args = "[URI] LABEL",
        .summary = "Put a new key in the place of one",
        .text =
            "The new key has the same attributes and takes the label; the old one stays as "
            "LABEL.1, LABEL.2 and so on until it is deleted.\n\n"
            "Without URI it is a key of the server of --state, cse.tls or mef.tls: the project "
            "CA issues a certificate for the new key and the server goes over to it without a "
            "restart. With pki.ca the project CA itself gets a new key and root; the former root "
            "is trusted until --until or --retire, and who knows only that one still connects.",
        .options = rotate_options,
        .example = "bastide key rotate " TOKEN " meter7 --pin-file pin\n"
                   "bastide key rotate cse.tls --state /var/lib/bastide\n"
                   "bastide key rotate pki.ca --to " TOKEN " --pin-file pin --until "
                   "2027-01-01T00:00:00Z --state /var/lib/bastide",
        .run = key_rotate,
    },
    {
        .name = "attest",
        .args = "URI LABEL",
        .summary = "Have the environment prove that a key lives in it",
        .options = attest_options,
        .example = "bastide key attest tpm2: tls --nonce 00112233445566778899aabbccddeeff --out "
                   "tls.attest",
        .run = key_attest,
    },
    {
        .name = "verify",
        .args = "FILE",
        .summary = "Check what attest wrote, on any machine",
        .text = "Says the protection level that this much evidence allows, and the public key that "
                "it is about. Exit code other than 0: it proves nothing.",
        .options = verify_options,
        .example = "bastide key verify tls.attest --nonce 00112233445566778899aabbccddeeff --root "
                   "maker.pem",
        .run = key_verify,
    },
    {
        .name = "pin",
        .args = "URI",
        .summary = "Change the PIN of a token, or the passphrase of software",
        .options = change_options,
        .example = "bastide key pin " TOKEN " --pin-file pin --new-file new-pin",
        .run = key_pin,
    },
    {
        .name = "activate",
        .args = "URI",
        .summary = "End the personalisation of an environment",
        .text = "From then on private keys are made inside or unwrapped; import refuses them.",
        .options = activate_options,
        .example = "bastide key activate 'se:soft?dir=keys' --yes",
        .run = key_activate,
    },
    {
        .name = "block",
        .args = "URI",
        .summary = "Block an environment for good",
        .text = "Every use of every key in it is refused from then on; only wiping ends that.",
        .options = block_options,
        .example = "bastide key block " TOKEN " --yes --reason stolen --pin-file pin",
        .run = key_block,
    },
    {
        .name = "wipe",
        .args = "URI",
        .summary = "Delete every key of an environment",
        .options = wipe_options,
        .example = "bastide key wipe " TOKEN " --yes --pin-file pin",
        .run = key_wipe,
    },
    {
        .name = "selftest",
        .args = "URI",
        .summary = "Find out what a token can do, by doing it",
        .text =
            "Runs every operation and its refused twins with keys of its own, which are deleted "
            "again. "
            "Says in words what the token can and cannot do, its protection level and what that "
            "rests "
            "on. Exit code 1 when something failed; a mechanism that the token does not have is no "
            "failure.",
        .options = pin_options,
        .example = "bastide key selftest " TOKEN " --pin-file pin",
        .run = key_selftest,
    },
    {0},
};

const struct cli_command cmd_key = {
    .name = "key",
    .args = "",
    .summary = "Keys in a secure environment: tokens and software",
    .text =
        "URI names the environment: pkcs11:token=NAME (RFC 7512, with module-path=, "
        "pin-source=file: "
        "and fallback=soft as far as they are needed), tpm2: (TPM 2.0) or se:soft?dir=FOLDER. The "
        "PIN is in a file, never on the command line. Do not use this on the folder of a server "
        "that runs.",
    .words = words,
};
