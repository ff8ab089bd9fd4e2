/* bastide air: one message under one algorithm of the air interface (TS 33.501 annex D). */
#include "cli/cmd_air_priv.h"

#include "core5g/air/air.h"
#include "sys/file.h"

/* Two digits an octet and room for line ends. */
#define TEXT_MAX ((size_t)2 * BST_AIR_MESSAGE_MAX + 4096)
#define KEY_TEXT_MAX 4096

/* ---- hexadecimal files ---- */

static void drop_blanks(struct bst_buf *text)
{
    size_t n = 0;
    for (size_t i = 0; i < text->len; i++) {
        if (memchr(" \t\r\n", text->ptr[i], 4) == NULL) {
            text->ptr[n++] = text->ptr[i];
        }
    }
    text->len = n;
}

static bst_result decode(const char *path, struct bst_buf *text, struct bst_buf *ret)
{
    drop_blanks(text);
    char *out = bst_buf_reserve(ret, text->len / 2 + 1);
    BST_ENSURE(out, BST_E_NOMEM);
    if (text->len && bst_failed(bst_hex_decode(bst_buf_view(text), out, text->len / 2))) {
        BST_FAIL(BST_E_SYNTAX, "%s is not pairs of hexadecimal digits", path);
    }
    ret->len = text->len / 2;
    return BST_OK;
}

static bst_result read_octets(const char *path, struct bst_buf *ret)
{
    bst_auto(buf) text = {0};
    BST_TRY(bst_file_read(path, TEXT_MAX, &text));
    return decode(path, &text, ret);
}

static bst_result read_key_text(const struct cli_call *call, const char *path, struct bst_buf *ret)
{
    bst_auto(buf) text = {0};
    bst_result r = cli_5g_read_key(call, path, KEY_TEXT_MAX, &text);
    if (!bst_failed(r)) {
        r = decode(path, &text, ret);
    }
    bst_buf_wipe(&text);
    return r;
}

/* ---- options ---- */

struct job {
    struct bst_air_key key;
    uint8_t iv[BST_AIR_IV_BYTES];
    struct bst_buf text, aad;
    size_t bits;        /* of the message, without its tag */
    struct bst_buf out; /* what is printed */
};

static void job_clear(struct job *job)
{
    bst_air_key_clear(&job->key);
    bst_buf_wipe(&job->text);
    bst_buf_wipe(&job->aad);
    bst_buf_wipe(&job->out);
}

static bst_result read_algorithm(const struct cli_call *call, const struct bst_air_algorithm **ret)
{
    const char *name = cli_value(call, "--algorithm");
    *ret = bst_air_named(bst_view(name));
    if (!*ret) {
        BST_FAIL(BST_E_USAGE,
                 "--algorithm wants a name such as NEA2; bastide air algorithms lists them");
    }
    if (cli_has(call, "--aad") && (*ret)->kind != BST_AIR_NCA) {
        BST_FAIL(BST_E_USAGE, "--aad is for NCA only");
    }
    return BST_OK;
}

static bst_result read_key(const struct cli_call *call, struct job *job)
{
    const struct bst_air_algorithm *algorithm = NULL;
    const char *path = cli_value(call, "--key");
    int64_t tag_bits;
    bst_auto(buf) key = {0};
    BST_TRY(read_algorithm(call, &algorithm));
    BST_TRY(cli_number(call, "--tag-bits", 0, 0, 8L * BST_AIR_TAG_MAX, &tag_bits));
    if (tag_bits % 8) {
        BST_FAIL(BST_E_USAGE, "--tag-bits wants a multiple of 8");
    }
    if (algorithm->key_bytes && !path) {
        BST_FAIL(BST_E_USAGE, "--key FILE is missing: the key in hexadecimal");
    }
    bst_result r = algorithm->key_bytes ? read_key_text(call, path, &key) : BST_OK;
    if (!bst_failed(r)) {
        r = bst_air_key_init(&job->key, algorithm, bst_buf_view(&key), (unsigned)tag_bits / 8);
    }
    bst_buf_wipe(&key);
    return r;
}

static bst_result read_direction(const struct cli_call *call, enum bst_air_direction *ret)
{
    const char *text = cli_value(call, "--direction");
    struct bst_view direction = bst_view(text);
    *ret = bst_view_is(direction, "downlink") ? BST_AIR_DOWNLINK : BST_AIR_UPLINK;
    if (!bst_view_is(direction, "downlink") && !bst_view_is(direction, "uplink")) {
        BST_FAIL(BST_E_USAGE, "--direction wants uplink or downlink");
    }
    return BST_OK;
}

/* The IV as it is, or what it is made of. */
static bst_result read_iv(const struct cli_call *call, struct job *job)
{
    struct bst_air_place place;
    uint8_t count[4];
    int64_t bearer;
    if (cli_has(call, "--iv")) {
        if (cli_has(call, "--count") || cli_has(call, "--bearer") || cli_has(call, "--direction")) {
            BST_FAIL(BST_E_USAGE, "either --iv, or --count, --bearer and --direction");
        }
        return cli_5g_octets(call, "--iv", job->iv, sizeof job->iv);
    }
    BST_TRY(cli_5g_octets(call, "--count", count, sizeof count));
    BST_TRY(cli_number(call, "--bearer", -1, 0, BST_AIR_BEARER_MAX, &bearer));
    if (bearer < 0) {
        BST_FAIL(BST_E_USAGE, "--bearer N is missing: radio bearer identity - 1");
    }
    BST_TRY(read_direction(call, &place.direction));
    place.count =
        (uint32_t)count[0] << 24 | (uint32_t)count[1] << 16 | (uint32_t)count[2] << 8 | count[3];
    place.bearer = (uint8_t)bearer;
    if (job->key.algorithm->experimental) {
        fprintf(call->err, CLI_AIR_NOTE, job->key.algorithm->name);
    }
    return bst_air_iv(&job->key, &place, job->iv);
}

static bst_result read_text(const struct cli_call *call, struct job *job, size_t tag_bytes)
{
    int64_t bits;
    BST_TRY(read_octets(call->args[0], &job->text));
    if (cli_has(call, "--aad")) {
        BST_TRY(read_octets(cli_value(call, "--aad"), &job->aad));
    }
    if (job->text.len < tag_bytes) {
        BST_FAIL(BST_E_TRUNCATED, "%s has %zu octets, the tag alone has %zu", call->args[0],
                 job->text.len, tag_bytes);
    }
    size_t len = job->text.len - tag_bytes;
    BST_TRY(
        cli_number(call, "--bits", (int64_t)len * 8, 0, (int64_t)BST_AIR_MESSAGE_MAX * 8, &bits));
    job->bits = (size_t)bits;
    if ((job->bits + 7) / 8 != len) {
        BST_FAIL(BST_E_VALUE, "%s has %zu octets of message, not %zu bits", call->args[0], len,
                 job->bits);
    }
    if (job->bits % 8 && job->key.algorithm->key_bytes == 32) {
        BST_FAIL(BST_E_VALUE, "%s takes whole octets", job->key.algorithm->name);
    }
    return BST_OK;
}

/* ---- protect and open ---- */

static bst_result protect(struct job *job)
{
    const uint8_t *in = (const uint8_t *)job->text.ptr;
    const size_t len = job->text.len;
    uint8_t *out = (uint8_t *)bst_buf_reserve(&job->out, len + BST_AIR_TAG_MAX);
    BST_ENSURE(out, BST_E_NOMEM);
    job->out.len = len + job->key.tag_bytes;
    switch (job->key.algorithm->kind) {
    case BST_AIR_NEA:
        return bst_air_cipher(&job->key, job->iv, in, job->bits, out);
    case BST_AIR_NIA:
        if (len > 0) {
            memcpy(out, in, len);
        }
        return bst_air_mac(&job->key, job->iv, in, job->bits, out + len);
    default:
        return bst_air_seal(&job->key, job->iv, bst_buf_view(&job->aad), bst_buf_view(&job->text),
                            out, out + len);
    }
}

static bst_result open_message(struct job *job)
{
    const uint8_t *in = (const uint8_t *)job->text.ptr;
    const size_t len = job->text.len - job->key.tag_bytes;
    struct bst_view tag = bst_view_of(in + len, job->key.tag_bytes);
    uint8_t *out = (uint8_t *)bst_buf_reserve(&job->out, len + 1);
    BST_ENSURE(out, BST_E_NOMEM);
    job->out.len = len;
    switch (job->key.algorithm->kind) {
    case BST_AIR_NEA:
        return bst_air_cipher(&job->key, job->iv, in, job->bits, out);
    case BST_AIR_NIA:
        BST_TRY(bst_air_check(&job->key, job->iv, in, job->bits, tag));
        if (len > 0) {
            memcpy(out, in, len);
        }
        return BST_OK;
    default:
        return bst_air_open(&job->key, job->iv, bst_buf_view(&job->aad), bst_view_of(in, len), tag,
                            out);
    }
}

static bst_result perform(const struct cli_call *call, struct job *job, bool sealing)
{
    BST_TRY(read_key(call, job));
    BST_TRY(read_iv(call, job));
    BST_TRY(read_text(call, job, sealing ? 0 : job->key.tag_bytes));
    if (job->text.len == 0) {
        bst_buf_reserve(&job->text, 1); /* an empty message still has an address */
        BST_TRY(bst_buf_check(&job->text));
    }
    BST_TRY(sealing ? protect(job) : open_message(job));
    const struct cli_5g_field fields[] = {
        {"algorithm", NULL, 0, job->key.algorithm->name},
        {"iv", job->iv, sizeof job->iv, NULL},
        {sealing ? "protected" : "message", job->out.ptr, job->out.len, NULL},
    };
    cli_5g_print(call, fields, sizeof fields / sizeof fields[0]);
    return BST_OK;
}

static int run(struct cli_call *call, bool sealing)
{
    struct job job = {0};
    if (cli_has(call, "--pcap")) {
        return cli_air_trace(call, sealing);
    }
    if (call->n_args != 1) {
        return cli_usage(call, "name the file with the message in hexadecimal, or --pcap FILE");
    }
    if (!cli_has(call, "--algorithm")) {
        return cli_usage(call, "--algorithm NAME is missing");
    }
    bst_result r = perform(call, &job, sealing);
    job_clear(&job);
    return bst_failed(r) ? cli_fail(call, r, sealing ? "nothing was protected" : "it does not open")
                         : CLI_OK;
}

static int run_protect(struct cli_call *call)
{
    return run(call, true);
}

static int run_open(struct cli_call *call)
{
    return run(call, false);
}

/* ---- algorithms ---- */

static void print_row(const struct cli_call *call, const struct bst_air_algorithm *row)
{
    char tag[24] = "";
    if (row->tag_max > row->tag_min) {
        snprintf(tag, sizeof tag, "tag %u to %u", row->tag_min * 8U, row->tag_max * 8U);
    } else if (row->tag_max) {
        snprintf(tag, sizeof tag, "tag %u", row->tag_max * 8U);
    }
    fprintf(call->out, "%s  %-12s  key %3u  %-13s%s\n", row->name, row->made_of,
            row->key_bytes * 8U, tag, row->experimental ? "  experimental IV" : "");
}

static void print_row_json(const struct cli_call *call, const struct bst_air_algorithm *row)
{
    fprintf(call->out,
            "{\"name\":\"%s\",\"made_of\":\"%s\",\"key_bits\":%u,\"tag_bits_min\":%u,"
            "\"tag_bits_max\":%u,\"experimental\":%s}",
            row->name, row->made_of, row->key_bytes * 8U, row->tag_min * 8U, row->tag_max * 8U,
            row->experimental ? "true" : "false");
}

static int algorithms(struct cli_call *call)
{
    const struct bst_air_algorithm *row;
    if (call->n_args) {
        return cli_usage(call, "no argument is wanted");
    }
    for (size_t i = 0; (row = bst_air_at(i)); i++) {
        if (call->json) {
            fputs(i ? "," : "[", call->out);
            print_row_json(call, row);
        } else {
            print_row(call, row);
        }
    }
    fputs(call->json ? "]\n" : "", call->out);
    return CLI_OK;
}

/* ---- tables ---- */

static const struct cli_option message_options[] = {
    {"--algorithm", "NAME", "NEA0 to NEA6, NIA0 to NIA6, NCA4 to NCA6.", false},
    {"--key", "FILE", "The key in hexadecimal: 16 octets, 32 for algorithms 4 to 6.", false},
    {"--count", "HEX", "COUNT, 8 hexadecimal digits.", false},
    {"--bearer", "N", "BEARER, 0 to 31: radio bearer identity - 1.", false},
    {"--direction", "uplink|downlink", "DIRECTION.", false},
    {"--iv", "HEX", "The IV itself, 32 hexadecimal digits, in place of the three.", false},
    {"--bits", "N", "Length of the message in bits (default: all of its octets).", false},
    {"--tag-bits", "N", "Length of the tag, 32 to 128 for NIA and NCA 4 to 6 (default 32).", false},
    {"--aad", "FILE", "What NCA authenticates besides the message, in hexadecimal.", false},
    {"--pcap", "FILE", "A capture (pcap, pcapng) of PDCP-NR framed in UDP, in place of a message.",
     false},
    {"--out", "FILE", "The capture to write (with --pcap).", false},
    {"--keys", "FILE", "Keys of the devices in the capture, in JSON (with --pcap).", false},
    {"--profile", "DIR", "Folder whose secure environment has the keys that the file names.",
     false},
    CLI_5G_SE_OPTIONS,
    {0},
};

static const struct cli_command words[] = {
    {
        .name = "protect",
        .args = "[FILE]",
        .summary = "Protect a message, or the PDCP PDUs of a capture",
        .text = "FILE has the message in hexadecimal. NEA gives the ciphertext, NIA the message "
                "and behind "
                "it the tag, NCA the ciphertext and behind it the tag."
                "\n\n"
                "With --pcap, PDUs in clear get MAC-I and are ciphered under the keys of their "
                "device; COUNT follows from the numbers that they have.",
        .options = message_options,
        .example =
            "bastide air protect --algorithm NEA2 --key key.hex --count 38a6f056 --bearer 24 "
            "--direction uplink message.hex",
        .run = run_protect,
    },
    {
        .name = "open",
        .args = "[FILE]",
        .summary = "Decipher a message, check its tag, or both; or the PDCP PDUs of a capture",
        .text = "The counterpart of protect. A tag that does not match ends with an error, and "
                "nothing of "
                "the message is printed."
                "\n\n"
                "With --pcap, PDUs are deciphered and verified as a receiver does: what is forged, "
                "replayed or not protected is named and left out, and the exit code is 1.",
        .options = message_options,
        .example = "bastide air open --algorithm NIA2 --key key.hex --count 38a6f056 --bearer 24 "
                   "--direction uplink protected.hex\n"
                   "bastide air open --pcap trace.pcap --out clear.pcap --keys keys.json",
        .run = run_open,
    },
    {
        .name = "algorithms",
        .args = "",
        .summary = "List the algorithms with their key and tag lengths in bits",
        .example = "bastide air algorithms",
        .run = algorithms,
    },
    {0},
};

const struct cli_command cmd_air = {
    .name = "air",
    .args = "",
    .summary = "Protect and open messages of the 5G air interface",
    .text =
        "One message under one algorithm, as an engineer needs it to check a trace or an "
        "implementation. Keys and messages come from files in hexadecimal. That the IV of the "
        "256-bit "
        "algorithms is made of COUNT, BEARER and DIRECTION in this way is experimental; --iv gives "
        "them one as it is.",
    .example = "bastide air algorithms",
    .words = words,
};
