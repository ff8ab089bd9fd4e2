/* bastide aka: 5G authentication vectors, a software USIM, resynchronisation (TS 33.501 6.1,
 * TS 33.102). */
#include "cli/core5g.h"

#include "core5g/aka/aka.h"
#include "core5g/aka/keyfile.h"
#include "core5g/suci/supi.h"
#include "crypto/rand.h"
#include "sys/file.h"

#define COUNT_MAX 10000
#define STATE_FILE_MAX 4096
#define LAB_SUBSCRIBER "imsi-keyfile" /* whose keys come from --keys and are not kept */

/* ---- sequence numbers in files ---- */

/* <folder>/aka/<SUPI>.sqn and <SUPI>.usim; one process at a time. */
struct shelf {
    const char *folder; /* NULL: nothing is kept */
    const char *supi;
    struct bst_lock lock;
};
static inline void bst_shelf_clear(struct shelf *shelf)
{
    bst_lock_clear(&shelf->lock);
}
#define AUTO_SHELF __attribute__((cleanup(bst_shelf_clear))) struct shelf

static bst_result shelf_path(const struct shelf *shelf, const char *name, const char *ending,
                             struct bst_buf *ret)
{
    bst_buf_addf(ret, "%s/aka/", shelf->folder);
    bst_percent_add(ret, bst_view(name), "@");
    bst_buf_adds(ret, ending);
    bst_buf_addc(ret, '\0');
    return bst_buf_check(ret);
}

static bst_result shelf_open(struct shelf *shelf)
{
    bst_auto(buf) dir = {0}, lock = {0};
    if (!shelf->folder) {
        return BST_OK;
    }
    bst_buf_addf(&dir, "%s/aka", shelf->folder);
    bst_buf_addc(&dir, '\0');
    BST_TRY(bst_buf_check(&dir));
    BST_TRY(bst_dir_make(dir.ptr, 0700));
    BST_TRY(shelf_path(shelf, "lock", "", &lock));
    return bst_lock_take(lock.ptr, &shelf->lock);
}

static bst_result shelf_read(const struct shelf *shelf, const char *ending, struct bst_buf *ret)
{
    bst_auto(buf) path = {0};
    if (!shelf->folder) {
        return BST_OK;
    }
    BST_TRY(shelf_path(shelf, shelf->supi, ending, &path));
    bst_result r = bst_file_read(path.ptr, STATE_FILE_MAX, ret);
    return r.code == BST_E_NOT_FOUND ? BST_OK : r;
}

static bst_result shelf_write(const struct shelf *shelf, const char *ending, struct bst_view text)
{
    bst_auto(buf) path = {0};
    if (!shelf->folder) {
        return BST_OK;
    }
    BST_TRY(shelf_path(shelf, shelf->supi, ending, &path));
    return bst_file_write_atomic(path.ptr, text, 0600);
}

/* Decimal numbers, one a line; fewer than asked for is no state of ours. */
static bst_result read_numbers(const struct shelf *shelf, const char *ending, uint64_t *out,
                               size_t n)
{
    bst_auto(buf) text = {0};
    BST_TRY(shelf_read(shelf, ending, &text));
    if (text.len == 0) {
        return BST_OK;
    }
    struct bst_view rest = bst_buf_view(&text), line;
    for (size_t i = 0; i < n; i++) {
        if (!bst_view_cut(&rest, '\n', &line) || bst_failed(bst_parse_u64(line, &out[i])) ||
            out[i] > BST_SQN_SEQ_MAX + 1) {
            BST_FAIL(BST_E_CORRUPT,
                     "%s/aka: the sequence numbers of %s are damaged; restore them from a "
                     "backup, or remove the file and resynchronise",
                     shelf->folder, shelf->supi);
        }
    }
    return BST_OK;
}

static bst_result write_numbers(const struct shelf *shelf, const char *ending, const uint64_t *in,
                                size_t n)
{
    bst_auto(buf) text = {0};
    for (size_t i = 0; i < n; i++) {
        bst_buf_addf(&text, "%llu\n", (unsigned long long)in[i]);
    }
    BST_TRY(bst_buf_check(&text));
    return shelf_write(shelf, ending, bst_buf_view(&text));
}

static bst_result sqn_load(void *ctx, const char *subscriber, uint64_t *ret_seq)
{
    return read_numbers(ctx, ".sqn", ret_seq, 1);
}

static bst_result sqn_keep(void *ctx, const char *subscriber, uint64_t seq)
{
    return write_numbers(ctx, ".sqn", &seq, 1);
}

static bst_result usim_load(void *ctx, struct bst_sqn_array *ret)
{
    *ret = (struct bst_sqn_array){0};
    return read_numbers(ctx, ".usim", ret->seq, BST_SQN_INDS);
}

static bst_result usim_keep(void *ctx, const struct bst_sqn_array *array)
{
    return write_numbers(ctx, ".usim", array->seq, BST_SQN_INDS);
}

/* ---- who ---- */

/* A subscriber with keys in a secure environment: of the folder, or of one file and gone
 * afterwards. */
struct subject {
    struct bst_se *se;
    bst_key key;
    struct shelf shelf;
};
static inline void bst_subject_clear(struct subject *subject)
{
    bst_se_close(&subject->se);
    bst_shelf_clear(&subject->shelf);
}
#define AUTO_SUBJECT __attribute__((cleanup(bst_subject_clear))) struct subject

static bst_result import_file(const struct cli_call *call, const char *path, struct bst_se *se,
                              const char *supi, bool persistent, bst_key *ret)
{
    bst_auto(buf) text = {0};
    struct bst_aka_keys keys = {0};
    BST_TRY(cli_5g_read_key(call, path, BST_AKA_KEYFILE_MAX, &text));
    bst_result r = bst_aka_keyfile_parse(bst_buf_view(&text), &keys);
    bst_buf_wipe(&text);
    if (!bst_failed(r)) {
        r = bst_aka_subscribe(se, supi, &keys, persistent, ret);
    }
    bst_aka_keys_clear(&keys);
    return r;
}

/* Length of the MNC does not matter here. */
static bst_result supi_of(const struct cli_call *call, const char **ret)
{
    struct bst_supi unused;
    *ret = cli_value(call, "--supi");
    if (!*ret) {
        BST_FAIL(BST_E_USAGE, "--supi is missing: imsi-... or nai-...");
    }
    return bst_supi_parse(bst_view(*ret), 2, &unused);
}

static bst_result subject_open(const struct cli_call *call, struct subject *ret)
{
    const char *folder = cli_value(call, "--profile"), *file = cli_value(call, "--keys");
    if (cli_has(call, "--se") && !folder) {
        BST_FAIL(BST_E_USAGE, "--profile DIR is missing: the folder that keeps the sequence "
                              "numbers, beside the keys in --se");
    }
    if (!folder == !file) {
        BST_FAIL(BST_E_USAGE, "give either --profile DIR with --supi, or --keys FILE");
    }
    ret->shelf = (struct shelf){.folder = folder, .supi = LAB_SUBSCRIBER, .lock = {-1}};
    if (file) {
        BST_TRY(cli_5g_open(NULL, &ret->se));
        return import_file(call, file, ret->se, LAB_SUBSCRIBER, false, &ret->key);
    }
    BST_TRY(supi_of(call, &ret->shelf.supi));
    BST_TRY(shelf_open(&ret->shelf));
    BST_TRY(cli_5g_open_named(call, "the subscriber's keys", &ret->se));
    return bst_aka_subscriber(ret->se, ret->shelf.supi, &ret->key);
}

#define SUBJECT_OPTIONS                                                                            \
    {"--profile", "DIR", "Folder with the subscriber's keys and sequence numbers.", false},        \
        CLI_5G_SE_OPTIONS,                                                                         \
        {"--supi", "SUPI", "The subscriber: imsi-... or nai-... (with --profile).", false},        \
    {                                                                                              \
        "--keys", "FILE", "Key file in JSON in place of a folder; nothing is kept.", false         \
    }

static bst_result sn_of(const struct cli_call *call, struct bst_view *ret)
{
    *ret = bst_view(cli_value(call, "--sn"));
    if (!ret->len) {
        BST_FAIL(BST_E_USAGE, "--sn is missing: the serving network name, "
                              "5G:mnc001.mcc001.3gppnetwork.org");
    }
    return bst_5g_sn_name_check(*ret);
}

/* ---- add ---- */

static const struct cli_option add_options[] = {
    {"--profile", "DIR", "Folder that gets the keys.", false},
    CLI_5G_SE_OPTIONS,
    {"--supi", "SUPI", "The subscriber: imsi-... or nai-...", false},
    {0},
};

static bst_result add_one(const struct cli_call *call)
{
    AUTO_SUBJECT subject = {.shelf.lock = {-1}};
    struct bst_key_info info;
    const char *supi;
    char level[12];
    BST_TRY(supi_of(call, &supi));
    BST_TRY(cli_5g_open_named(call, "the subscribers' keys", &subject.se));
    BST_TRY(import_file(call, call->args[0], subject.se, supi, true, &subject.key));
    BST_TRY(bst_se_key_info(subject.se, subject.key, &info));
    snprintf(level, sizeof level, "%d", info.attrs.level);
    const struct cli_5g_field fields[] = {
        {"added", NULL, 0, supi},
        {"level", NULL, 0, level, true},
    };
    cli_5g_print(call, fields, sizeof fields / sizeof fields[0]);
    return BST_OK;
}

static int add(struct cli_call *call)
{
    if (call->n_args != 1) {
        return cli_usage(call, "name the key file");
    }
    bst_result r = add_one(call);
    return bst_failed(r) ? cli_fail(call, r, "no subscriber was added") : CLI_OK;
}

/* ---- vector ---- */

static const struct cli_option vector_options[] = {
    SUBJECT_OPTIONS,
    {"--sn", "NAME", "Serving network name.", false},
    {"--method", "5g|eap", "5G AKA (default) or EAP-AKA'.", false},
    {"--count", "N", "How many vectors (default 1).", false},
    {"--sqn", "HEX", "Sequence number, 6 octets (with --keys; a folder counts by itself).", false},
    {"--rand", "HEX", "RAND, 16 octets, for repeating a trace (default: random).", false},
    {"--amf", "HEX", "Authentication management field, 2 octets (default 8000).", false},
    {0},
};

static bst_result print_5g(const struct cli_call *call, const struct subject *subject,
                           const struct bst_aka_challenge *challenge)
{
    struct bst_aka_vector v;
    BST_TRY(bst_aka_vector_5g(subject->se, subject->key, challenge, &v));
    const struct cli_5g_field fields[] = {
        {"rand", v.rand, sizeof v.rand, NULL},
        {"autn", v.autn, sizeof v.autn, NULL},
        {"xresStar", v.xres_star, sizeof v.xres_star, NULL},
        {"hxresStar", v.hxres_star, sizeof v.hxres_star, NULL},
        {"kausf", v.kausf, sizeof v.kausf, NULL},
    };
    cli_5g_print(call, fields, sizeof fields / sizeof fields[0]);
    bst_wipe(&v, sizeof v);
    return BST_OK;
}

static bst_result print_eap(const struct cli_call *call, const struct subject *subject,
                            const struct bst_aka_challenge *challenge)
{
    struct bst_aka_vector_eap v;
    BST_TRY(bst_aka_vector_prime(subject->se, subject->key, challenge, &v));
    const struct cli_5g_field fields[] = {
        {"rand", v.rand, sizeof v.rand, NULL},
        {"autn", v.autn, sizeof v.autn, NULL},
        {"xres", v.xres, v.xres_bytes, NULL},
        {"ckPrime", v.ck_prime, sizeof v.ck_prime, NULL},
        {"ikPrime", v.ik_prime, sizeof v.ik_prime, NULL},
    };
    cli_5g_print(call, fields, sizeof fields / sizeof fields[0]);
    bst_wipe(&v, sizeof v);
    return BST_OK;
}

/* Fixed parts of the challenge; RAND and SQN change with each vector. */
static bst_result read_challenge(const struct cli_call *call, bool *ret_eap,
                                 struct bst_aka_challenge *ret)
{
    const char *method = cli_value(call, "--method");
    *ret_eap = method && strcmp(method, "eap") == 0;
    if (method && !*ret_eap && strcmp(method, "5g") != 0) {
        BST_FAIL(BST_E_USAGE, "--method wants 5g or eap, not '%s'", method);
    }
    BST_TRY(sn_of(call, &ret->sn_name));
    ret->amf[0] = BST_AKA_AMF_SEPARATION;
    return cli_value(call, "--amf") ? cli_5g_octets(call, "--amf", ret->amf, sizeof ret->amf)
                                    : BST_OK;
}

static bst_result next_challenge(const struct cli_call *call, struct bst_sqn_counter *counter,
                                 struct bst_aka_challenge *ret)
{
    BST_TRY(cli_value(call, "--keys") ? cli_5g_octets(call, "--sqn", ret->sqn, sizeof ret->sqn)
                                      : bst_sqn_next(counter, ret->sqn));
    return cli_value(call, "--rand") ? cli_5g_octets(call, "--rand", ret->rand, sizeof ret->rand)
                                     : bst_random(ret->rand, sizeof ret->rand);
}

static bst_result make_vectors(const struct cli_call *call)
{
    AUTO_SUBJECT subject = {.shelf.lock = {-1}};
    struct bst_aka_challenge challenge = {0};
    struct bst_sqn_counter counter = {0};
    int64_t count;
    bool eap;
    BST_TRY(cli_number(call, "--count", 1, 1, COUNT_MAX, &count));
    if ((cli_value(call, "--sqn") && !cli_value(call, "--keys")) ||
        (cli_value(call, "--sqn") && count > 1)) {
        BST_FAIL(BST_E_USAGE, "--sqn goes with --keys and a count of 1");
    }
    BST_TRY(read_challenge(call, &eap, &challenge));
    BST_TRY(subject_open(call, &subject));
    const struct bst_sqn_host host = {&subject.shelf, sqn_load, sqn_keep};
    BST_TRY(bst_sqn_open(&counter, &host, subject.shelf.supi, (uint64_t)count));
    for (int64_t i = 0; i < count; i++) {
        BST_TRY(next_challenge(call, &counter, &challenge));
        BST_TRY(eap ? print_eap(call, &subject, &challenge) : print_5g(call, &subject, &challenge));
    }
    return BST_OK;
}

static int vector(struct cli_call *call)
{
    bst_result r = make_vectors(call);
    return bst_failed(r) ? cli_fail(call, r, "no vector was made") : CLI_OK;
}

/* ---- usim ---- */

static const struct cli_option usim_options[] = {
    SUBJECT_OPTIONS,
    {"--sn", "NAME", "Serving network name.", false},
    {"--rand", "HEX", "RAND of the challenge, 16 octets.", false},
    {"--autn", "HEX", "AUTN of the challenge, 16 octets.", false},
    {"--accepted", "HEX", "Highest sequence number accepted before (with --keys).", false},
    {0},
};

static void print_accepted(const struct cli_call *call, const struct bst_usim_answer *a)
{
    const struct cli_5g_field fields[] = {
        {"verdict", NULL, 0, bst_usim_verdict_name(a->verdict)},
        {"resStar", a->res_star, sizeof a->res_star, NULL},
        {"kausf", a->kausf, sizeof a->kausf, NULL},
        {"res", a->res, a->res_bytes, NULL},
        {"ckPrime", a->ck_prime, sizeof a->ck_prime, NULL},
        {"ikPrime", a->ik_prime, sizeof a->ik_prime, NULL},
    };
    cli_5g_print(call, fields, sizeof fields / sizeof fields[0]);
}

static void print_refused(const struct cli_call *call, const struct bst_usim_answer *a)
{
    const struct cli_5g_field fields[] = {
        {"verdict", NULL, 0, bst_usim_verdict_name(a->verdict)},
        {"auts", a->auts, sizeof a->auts, NULL},
    };
    cli_5g_print(call, fields, a->verdict == BST_USIM_SYNC_FAILURE ? 2 : 1);
}

static bst_result ask_usim(const struct cli_call *call, enum bst_usim_verdict *ret)
{
    AUTO_SUBJECT subject = {.shelf.lock = {-1}};
    struct bst_usim usim;
    struct bst_usim_answer answer;
    struct bst_view sn_name;
    uint8_t rand[BST_AKA_RAND_BYTES], autn[BST_AKA_AUTN_BYTES], accepted[BST_SQN_BYTES];
    BST_TRY(sn_of(call, &sn_name));
    BST_TRY(cli_5g_octets(call, "--rand", rand, sizeof rand));
    BST_TRY(cli_5g_octets(call, "--autn", autn, sizeof autn));
    BST_TRY(subject_open(call, &subject));
    const struct bst_usim_host host = {&subject.shelf, usim_load, usim_keep};
    BST_TRY(bst_usim_open(&usim, subject.se, subject.key, &host));
    if (cli_value(call, "--accepted") && cli_value(call, "--keys")) {
        BST_TRY(cli_5g_octets(call, "--accepted", accepted, sizeof accepted));
        bst_sqn_accept(&usim.accepted, accepted);
    }
    BST_TRY(bst_usim_answer(&usim, rand, autn, sn_name, &answer));
    *ret = answer.verdict;
    if (answer.verdict == BST_USIM_OK) {
        print_accepted(call, &answer);
    } else {
        print_refused(call, &answer);
    }
    bst_wipe(&answer, sizeof answer);
    return BST_OK;
}

static int usim(struct cli_call *call)
{
    enum bst_usim_verdict verdict = BST_USIM_OK;
    bst_result r = ask_usim(call, &verdict);
    if (bst_failed(r)) {
        return cli_fail(call, r, "the challenge was not answered");
    }
    return verdict == BST_USIM_OK ? CLI_OK : CLI_FAILED;
}

/* ---- resync ---- */

static const struct cli_option resync_options[] = {
    SUBJECT_OPTIONS,
    {"--rand", "HEX", "RAND of the challenge that the device answered with AUTS.", false},
    {"--auts", "HEX", "AUTS, 14 octets.", false},
    {0},
};

static bst_result resync_one(const struct cli_call *call)
{
    AUTO_SUBJECT subject = {.shelf.lock = {-1}};
    struct bst_sqn_counter counter;
    uint8_t rand[BST_AKA_RAND_BYTES], auts[BST_AKA_AUTS_BYTES], sqn_ms[BST_SQN_BYTES];
    char next[24];
    BST_TRY(cli_5g_octets(call, "--rand", rand, sizeof rand));
    BST_TRY(cli_5g_octets(call, "--auts", auts, sizeof auts));
    BST_TRY(subject_open(call, &subject));
    BST_TRY(bst_aka_auts(subject.se, subject.key, rand, auts, sqn_ms));
    const struct bst_sqn_host host = {&subject.shelf, sqn_load, sqn_keep};
    BST_TRY(bst_sqn_open(&counter, &host, subject.shelf.supi, 1));
    BST_TRY(bst_sqn_resync(&counter, sqn_ms));
    snprintf(next, sizeof next, "%llu", (unsigned long long)counter.next);
    const struct cli_5g_field fields[] = {
        {"sqnMs", sqn_ms, sizeof sqn_ms, NULL},
        {"nextSeq", NULL, 0, next, true},
    };
    cli_5g_print(call, fields, sizeof fields / sizeof fields[0]);
    return BST_OK;
}

static int resync(struct cli_call *call)
{
    bst_result r = resync_one(call);
    return bst_failed(r) ? cli_fail(call, r, "not resynchronised") : CLI_OK;
}

/* ---- the table ---- */

static const struct cli_command words[] = {
    {
        .name = "add",
        .args = "KEYFILE",
        .summary = "Put a subscriber's keys into a secure environment",
        .text = "The key file is a JSON object with algorithm (milenage, tuak, milenage256), k, "
                "and opc or "
                "op, in hexadecimal. It is not needed afterwards: delete it."
                "\n\n"
                "The authentication functions run over K and OPc themselves, which no token does: "
                "in an address of --se, fallback=soft keeps them on the token and lets them out "
                "for "
                "each use, at protection level 1. Sequence numbers stay in the folder of "
                "--profile.",
        .options = add_options,
        .example = "bastide aka add subscriber.json --profile ./home --supi imsi-001010000000001\n"
                   "bastide aka add subscriber.json --supi imsi-001010000000001 "
                   "--se 'pkcs11:token=home?fallback=soft' --pin-file pin",
        .run = add,
    },
    {
        .name = "vector",
        .args = "",
        .summary = "Make authentication vectors, as the home network does",
        .text = "Sequence numbers follow TS 33.102 Annex C and are reserved on storage before a "
                "vector is "
                "shown, so none is used twice.",
        .options = vector_options,
        .example = "bastide aka vector --profile ./home --supi imsi-001010000000001 "
                   "--sn 5G:mnc001.mcc001.3gppnetwork.org",
        .run = vector,
    },
    {
        .name = "usim",
        .args = "",
        .summary = "Answer a challenge, as a USIM and its device do",
        .text = "AUTN is checked for origin, separation bit and freshness. Exit code 1 when it is "
                "refused; "
                "a stale number is answered with AUTS.",
        .options = usim_options,
        .example = "bastide aka usim --profile ./device --supi imsi-001010000000001 "
                   "--sn 5G:mnc001.mcc001.3gppnetwork.org --rand HEX --autn HEX",
        .run = usim,
    },
    {
        .name = "resync",
        .args = "",
        .summary = "Take a device's AUTS and go on from its sequence number",
        .options = resync_options,
        .example =
            "bastide aka resync --profile ./home --supi imsi-001010000000001 --rand HEX --auts HEX",
        .run = resync,
    },
    {0},
};

const struct cli_command cmd_aka = {
    .name = "aka",
    .args = "",
    .summary = "5G authentication vectors, a software USIM, resynchronisation",
    .words = words,
};
