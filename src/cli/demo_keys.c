/* One enrolment in three places: software, SoftHSM2, a software TPM started for the demo. */
#include "cli/demo_keys.h"

#include "codec/json.h"
#include "crypto/rand.h"
#include "sys/file.h"
#include "sys/tcp.h"

#include <signal.h>

#define PATH_BYTES 512
#define SETUP_MS 20000
#define READY_STEPS 100

struct place {
    const char *name, *device;
    char uri[1400];
    char pin[16];
    char absent[160]; /* why there is none here */
    struct bst_process process;
    int level;
    char evidence[320];
};

/* -- what is installed */

static bool find_program(const char *name, char out[PATH_BYTES])
{
    const char *path = getenv("PATH");
    struct bst_view rest = bst_view(path ? path : "/usr/bin"), folder;
    while (rest.len) {
        bst_view_cut(&rest, ':', &folder);
        int len = snprintf(out, PATH_BYTES, "%.*s/%s", BST_VIEW_ARGS(folder), name);
        if (len > 0 && len < PATH_BYTES && bst_file_exists(out)) {
            return true;
        }
    }
    return false;
}

static const char *softhsm_module(void)
{
    static const char *const paths[] = {
        "/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (bst_file_exists(paths[i])) {
            return paths[i];
        }
    }
    return NULL;
}

/* -- files and helpers of other programs */

static bool put(struct demo *d, const char *name, const char *text)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", d->dir, name);
    return !bst_failed(bst_file_write_atomic(path, bst_view(text), 0600));
}

static bool make_folder(struct demo *d, const char *name)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", d->dir, name);
    return !bst_failed(bst_dir_make(path, 0700));
}

/* Digits for a token that lives as long as the demo. */
static bool make_pin(struct demo *d, struct place *p, const char *file)
{
    uint8_t bytes[8];
    if (bst_failed(bst_random(bytes, sizeof bytes))) {
        return false;
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        p->pin[i] = (char)('0' + bytes[i] % 10);
    }
    return put(d, file, p->pin);
}

static bool run_program(struct demo *d, const char *const *argv)
{
    struct bst_process process = {0};
    char log[PATH_BYTES];
    int status = 1;
    snprintf(log, sizeof log, "%s/tools.log", d->dir);
    return !bst_failed(bst_process_start(argv[0], argv, log, &process)) &&
           !bst_failed(bst_process_wait(&process, SETUP_MS, &status)) && status == 0;
}

static bool missing(struct place *p, const char *why)
{
    snprintf(p->absent, sizeof p->absent, "%s", why);
    return false;
}

/* -- the three places */

static bool software(struct demo *d, struct place *p)
{
    snprintf(p->uri, sizeof p->uri, "se:soft?dir=%s/soft", d->dir);
    return true;
}

void demo_keys_prepare(struct demo *d)
{
    char path[PATH_BYTES], text[PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/softhsm2.conf", d->dir);
    snprintf(text, sizeof text, "directories.tokendir = %s/tokens\nlog.level = ERROR\n", d->dir);
    if (make_folder(d, "tokens") && put(d, "softhsm2.conf", text)) {
        setenv("SOFTHSM2_CONF", path, 1);
    }
}

static bool softhsm(struct demo *d, struct place *p)
{
    char util[PATH_BYTES];
    const char *module = softhsm_module();
    if (!module || !find_program("softhsm2-util", util)) {
        return missing(p, "it is not installed (package softhsm2)");
    }
    if (!make_pin(d, p, "softhsm.pin")) {
        return missing(p, "no PIN could be made");
    }
    const char *const argv[] = {util,       "--init-token", "--free", "--label", "demo",
                                "--so-pin", p->pin,         "--pin",  p->pin,    NULL};
    if (!run_program(d, argv)) {
        return missing(p, "no token could be made (tools.log)");
    }
    snprintf(p->uri, sizeof p->uri,
             "pkcs11:token=demo?module-path=%s&pin-source=file:%s/softhsm.pin", module, d->dir);
    return true;
}

/* The emulator's own certification authority lies in the demo's folder: a test root. */
static bool make_tpm(struct demo *d)
{
    char setup[PATH_BYTES], localca[PATH_BYTES], state[PATH_BYTES], config[PATH_BYTES],
        text[4 * PATH_BYTES];
    if (!find_program("swtpm_setup", setup) || !find_program("swtpm_localca", localca)) {
        return false;
    }
    snprintf(text, sizeof text,
             "statedir = %s/maker\nsigningkey = %s/maker/key.pem\nissuercert = "
             "%s/maker/issuer.pem\ncertserial = %s/maker/serial\n",
             d->dir, d->dir, d->dir, d->dir);
    bool good =
        make_folder(d, "maker") && put(d, "maker.conf", text) && put(d, "maker.options", "");
    snprintf(text, sizeof text,
             "create_certs_tool = %s\ncreate_certs_tool_config = %s/maker.conf\n"
             "create_certs_tool_options = %s/maker.options\nactive_pcr_banks = sha256\n",
             localca, d->dir, d->dir);
    snprintf(state, sizeof state, "%s/tpm", d->dir);
    snprintf(config, sizeof config, "%s/tpm.conf", d->dir);
    const char *const argv[] = {setup,  "--tpm2",           "--tpmstate",  state, "--config",
                                config, "--create-ek-cert", "--overwrite", NULL};
    return good && put(d, "tpm.conf", text) && run_program(d, argv);
}

/* Issuer and root in one file, for who checks the TPM's certificate. */
static bool join_roots(struct demo *d)
{
    static const char *const names[] = {"maker/swtpm-localca-rootca-cert.pem", "maker/issuer.pem"};
    bst_auto(buf) both = {0};
    char path[PATH_BYTES];
    for (size_t i = 0; i < 2; i++) {
        bst_auto(buf) one = {0};
        snprintf(path, sizeof path, "%s/%s", d->dir, names[i]);
        if (bst_failed(bst_file_read(path, 65536, &one))) {
            return false;
        }
        bst_buf_addv(&both, bst_buf_view(&one));
    }
    snprintf(path, sizeof path, "%s/maker.pem", d->dir);
    return !bst_failed(bst_buf_check(&both)) &&
           !bst_failed(bst_file_write_atomic(path, bst_buf_view(&both), 0644));
}

/* Two ports beside each other: commands, and the emulator's control channel. */
static bool free_ports(unsigned *ret)
{
    for (int i = 0; i < READY_STEPS; i++) {
        char next[32];
        struct bst_bound bound = {0};
        if (bst_failed(bst_free_port(ret))) {
            return false;
        }
        snprintf(next, sizeof next, "127.0.0.1:%u", *ret + 1);
        bool both = *ret < 65535 && !bst_failed(bst_bind(next, 1, &bound));
        bst_bound_clear(&bound);
        if (both) {
            return true;
        }
    }
    return false;
}

static bool start_tpm(struct demo *d, struct place *p, const char *program)
{
    char state[PATH_BYTES], server[32], control[32], log[PATH_BYTES];
    unsigned port;
    if (!free_ports(&port)) {
        return false;
    }
    snprintf(state, sizeof state, "dir=%s/tpm", d->dir);
    snprintf(server, sizeof server, "type=tcp,port=%u", port);
    snprintf(control, sizeof control, "type=tcp,port=%u", port + 1);
    snprintf(log, sizeof log, "%s/tools.log", d->dir);
    const char *const argv[] = {program,
                                "socket",
                                "--tpm2",
                                "--tpmstate",
                                state,
                                "--server",
                                server,
                                "--ctrl",
                                control,
                                "--flags",
                                "not-need-init,startup-clear",
                                NULL};
    snprintf(p->uri, sizeof p->uri,
             "tpm2:swtpm:port=%u?dir=%s/tpm-keys&pin-source=file:%s/tpm.pin&test-root=%s/maker.pem",
             port, d->dir, d->dir, d->dir);
    return !bst_failed(bst_process_start(program, argv, log, &p->process));
}

static bool await_tpm(struct demo *d, struct place *p)
{
    for (int i = 0; i < READY_STEPS; i++) {
        int status;
        if (RUN("key", "list", p->uri) == CLI_OK) {
            return true;
        }
        if (bst_process_wait(&p->process, 50, &status).code != BST_E_TIMEOUT) {
            p->process.pid = 0;
            return false;
        }
    }
    return false;
}

static bool tpm(struct demo *d, struct place *p)
{
    char program[PATH_BYTES], setup[PATH_BYTES];
    if (!find_program("swtpm", program) || !find_program("swtpm_setup", setup)) {
        return missing(p, "swtpm is not installed (packages swtpm and swtpm-tools)");
    }
    if (!make_folder(d, "tpm") || !make_tpm(d) || !join_roots(d) || !make_pin(d, p, "tpm.pin")) {
        return missing(p, "swtpm_setup did not make one (tools.log)");
    }
    /* Somebody may take a port between its choice and its use. */
    for (int i = 0; i < 3; i++) {
        if (start_tpm(d, p, program) && await_tpm(d, p)) {
            return true;
        }
    }
    return missing(p, "swtpm does not answer (tools.log)");
}

static void stop_tpm(struct place *p)
{
    int status;
    if (p->process.pid) {
        (void)bst_failed(bst_process_signal(&p->process, SIGTERM));
        (void)bst_failed(bst_process_wait(&p->process, 5000, &status));
    }
}

/* -- the same steps in each */

/* What the profile says of itself: the level of its key, and what that rests on. */
static bool read_evidence(struct demo *d, struct place *p, const char *folder)
{
    bst_auto(arena) arena = {0};
    yyjson_val *root;
    int64_t level = 0;
    struct bst_view evidence;
    if (RUN("device", "show", folder, "--json") != CLI_OK ||
        bst_failed(bst_json_parse(&arena, bst_view_trim(bst_view(d->said)), 4, &root)) ||
        bst_failed(bst_json_i64(root, "level", &level)) ||
        bst_failed(bst_json_string(root, "evidence", &evidence))) {
        return false;
    }
    p->level = (int)level;
    snprintf(p->evidence, sizeof p->evidence, "%.*s", BST_VIEW_ARGS(evidence));
    return true;
}

static bool live(struct demo *d, const char *folder, const char *name)
{
    return RUN("device", "register", folder, "--name", name) == CLI_OK &&
           RUN("device", "send", folder, "--name", name, "--count", "20") == CLI_OK;
}

/* The identity is a key pair that never was anywhere else. */
static void enrol_pair(struct demo *d, struct place *p)
{
    char folder[64];
    snprintf(folder, sizeof folder, "@/%s", p->device);
    bool good = RUN("mef", "provision", p->device, "--certificate", "--state", "@/sp", "--out",
                    folder, "--se", p->uri) == CLI_OK &&
                RUN("device", "enrol", folder, "--association", "certificate") == CLI_OK &&
                live(d, folder, p->device) && read_evidence(d, p, folder);
    demo_check(d, good, "TS-0003 8.3.2.2", "%s: key pair made inside, enrolled, 20 readings",
               p->name);
}

/* Kpm moves in, and the key for the CSE is exported from the handshake straight into it. */
static void enrol_key(struct demo *d, struct place *p)
{
    char name[32], folder[64];
    snprintf(name, sizeof name, "%s-k", p->device);
    snprintf(folder, sizeof folder, "@/%s", name);
    bool good = RUN("mef", "provision", name, "--state", "@/sp", "--out", folder) == CLI_OK &&
                RUN("device", "enrol", folder, "--se", p->uri) == CLI_OK && live(d, folder, name);
    demo_check(d, good, "TS-0003 8.3.2.1, 10.3.1", "%s: Kpm moves in, enrolled, 20 readings",
               p->name);
}

static void attest(struct demo *d, const struct place *p)
{
    static const char nonce[] = "00112233445566778899aabbccddeeff";
    char label[64];
    snprintf(label, sizeof label, "tls.C%s", p->device);
    demo_check(
        d,
        RUN("key", "attest", p->uri, label, "--nonce", nonce, "--out", "@/attest") == CLI_OK &&
            RUN("key", "verify", "@/attest", "--nonce", nonce, "--root", "@/maker.pem") == CLI_OK,
        "TS-0003 6.3.1", "%s proves that it holds the device's key", p->name);
}

static void print_table(struct demo *d, const struct place *places, size_t n)
{
    fprintf(d->call->out, "\n       %-9s  level  what that rests on\n", "keys in");
    for (size_t i = 0; i < n; i++) {
        if (places[i].absent[0]) {
            fprintf(d->call->out, "       %-9s      -  %s\n", places[i].name, places[i].absent);
        } else {
            fprintf(d->call->out, "       %-9s  %5d  %s\n", places[i].name, places[i].level,
                    places[i].evidence);
        }
    }
}

void demo_keys(struct demo *d)
{
    static bool (*const prepare[])(struct demo * d, struct place * p) = {software, softhsm, tpm};
    struct place places[] = {{.name = "software", .device = "hut-soft"},
                             {.name = "SoftHSM2", .device = "hut-hsm"},
                             {.name = "TPM", .device = "hut-tpm"}};
    size_t n = sizeof places / sizeof places[0];
    demo_part(d, "7. The same device with its keys in software, on a token, in a TPM");
    for (size_t i = 0; i < n; i++) {
        if (prepare[i](d, &places[i])) {
            enrol_pair(d, &places[i]);
            enrol_key(d, &places[i]);
        } else {
            fprintf(d->call->out, "  skip %s: %s\n", places[i].name, places[i].absent);
        }
    }
    if (!places[2].absent[0]) {
        attest(d, &places[2]);
    }
    print_table(d, places, n);
    stop_tpm(&places[2]);
}
