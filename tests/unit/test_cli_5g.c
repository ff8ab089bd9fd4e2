/* cli: bastide selftest, suci and aka by their exit codes, outputs and messages. */
#include "support/cli_run.h"
#include "support/scratch.h"

#include "core5g/aka/aka.h"
#include "core5g/aka/keyfile.h"
#include "crypto/kem.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* One word of an answer: what follows `name` up to blank, quote or line end. */
static void word_after(const char *text, const char *name, char *out, size_t cap)
{
    const char *at = strstr(text, name);
    assert_non_null(at);
    at += strlen(name);
    size_t len = strcspn(at += strspn(at, " "), " \"\n");
    assert_true(len < cap);
    memcpy(out, at, len);
    out[len] = '\0';
}

/* Another hexadecimal digit. */
static void change_digit(char *digit)
{
    *digit = *digit == '0' ? '1' : '0';
}

static char vectors_path[512];

static const char *vectors(const char *name)
{
    const char *root = getenv("BST_SOURCE");
    snprintf(vectors_path, sizeof vectors_path, "%s/tests/vectors/5g/%s", root ? root : ".", name);
    return vectors_path;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    chmod(path, 0600);
}

static void remove_profile(struct scratch *s)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", s->dir);
    assert_int_equal(system(command), 0);
}

static void selftest_counts_and_its_exit_code_tells(void **state)
{
    struct scratch s;
    assert_true(scratch_make(&s));
    expect(RUN("selftest", "--vectors", vectors("milenage.json")), CLI_OK, "14 passed, 0 failed\n",
           "");
    expect(RUN("selftest", "--json", "--vectors", vectors("suci.json")), CLI_OK, "\"passed\":6",
           "");
    write_file(scratch_path(&s, "bad.json"),
               "{\"family\":\"TUAK\",\"vectors\":[{\"id\":\"a\",\"k\":\"00\"}]}");
    expect(RUN("selftest", "--vectors", s.path), CLI_FAILED, "vector 'a': field 'k'", "");
    expect(RUN("selftest", "--vectors", s.path), CLI_FAILED, "\n0 passed, 1 failed\n", "");
    write_file(scratch_path(&s, "cut.json"), "{\"family\":\"TUAK\",\"vectors\":[");
    expect(RUN("selftest", "--vectors", vectors("tuak.json"), s.path), CLI_INPUT,
           "4 passed, 0 failed\n", "cut.json");
    expect(RUN("selftest", "--vectors", "/nonexistent"), CLI_NOT_FOUND, "0 passed", "/nonexistent");
    expect(RUN("selftest", "--vectors"), CLI_USAGE, "", "name the files");
    expect(RUN("selftest", vectors("tuak.json")), CLI_USAGE, "", "--vectors");
    scratch_remove(&s);
}

static void a_suci_goes_round_by_command(void **state)
{
    struct scratch s;
    char suci[400];
    assert_true(scratch_make(&s));
    expect(RUN("suci", "keygen", "--profile", s.dir, "--id", "7", "--scheme", "B"), CLI_OK,
           "active", "");
    expect(RUN("suci", "keygen", "--profile", s.dir, "--id", "7"), CLI_CONFLICT, "",
           "id 7 already");
    expect(RUN("suci", "keygen", "--profile", s.dir, "--id", "255"), CLI_USAGE, "", "0 to 254");
    expect(RUN("suci", "keygen", "--profile", s.dir), CLI_USAGE, "", "--id N is missing");
    struct said said =
        RUN("suci", "conceal", "imsi-001010000000001", "--profile", s.dir, "--scheme", "B");
    assert_int_equal(said.code, CLI_OK);
    word_after(said.out, "", suci, sizeof suci);
    said_clear(&said);
    expect(RUN("suci", "reveal", suci, "--profile", s.dir), CLI_OK, "imsi-001010000000001", "");
    change_digit(&suci[strlen(suci) - 1]);
    expect(RUN("suci", "reveal", suci, "--profile", s.dir), CLI_DENIED, "", "does not open");
    expect(RUN("suci", "reveal", "suci-0-001-01", "--profile", s.dir), CLI_INPUT, "", "malformed");
    expect(RUN("suci", "conceal", "imsi-x", "--profile", s.dir), CLI_INPUT, "", "IMSI");
    expect(RUN("suci", "conceal", "imsi-001010000000001", "--profile", s.dir), CLI_NOT_FOUND, "",
           "no active key");
    expect(RUN("suci", "revoke", "7", "--profile", s.dir), CLI_OK, "7", "");
    expect(RUN("suci", "revoke", "7", "--profile", s.dir), CLI_NOT_FOUND, "",
           "no home network key");
    expect(RUN("suci", "revoke", "x", "--profile", s.dir), CLI_USAGE, "", "no key identifier");
    remove_profile(&s);
}

#define SN "5G:mnc001.mcc001.3gppnetwork.org"
#define SUPI "imsi-001010000000001"

static void a_challenge_goes_round_by_command(void **state)
{
    struct scratch s;
    char rand[40], autn[40], star[40], auts[40];
    assert_true(scratch_make(&s));
    write_file(scratch_path(&s, "k.json"),
               "{\"algorithm\":\"milenage\",\"k\":\"465b5ce8b199b49faa5f0a2ee238a6bc\","
               "\"opc\":\"cd63cb71954a9f4e48a5994e37a02baf\"}");
    expect(RUN("aka", "add", s.path, "--profile", s.dir, "--supi", SUPI), CLI_OK, SUPI, "");
    expect(RUN("aka", "add", s.path, "--profile", s.dir, "--supi", SUPI), CLI_CONFLICT, "",
           "already");
    struct said said = RUN("aka", "vector", "--profile", s.dir, "--supi", SUPI, "--sn", SN);
    assert_int_equal(said.code, CLI_OK);
    word_after(said.out, "rand", rand, sizeof rand);
    word_after(said.out, "autn", autn, sizeof autn);
    word_after(said.out, "xresStar", star, sizeof star);
    said_clear(&said);
    expect(RUN("aka", "usim", "--profile", s.dir, "--supi", SUPI, "--sn", SN, "--rand", rand,
               "--autn", autn),
           CLI_OK, star, "");
    said = RUN("aka", "usim", "--profile", s.dir, "--supi", SUPI, "--sn", SN, "--rand", rand,
               "--autn", autn);
    assert_int_equal(said.code, CLI_FAILED);
    word_after(said.out, "auts", auts, sizeof auts);
    said_clear(&said);
    expect(RUN("aka", "resync", "--profile", s.dir, "--supi", SUPI, "--rand", rand, "--auts", auts),
           CLI_OK, "000000000020", "");
    change_digit(&auts[27]);
    expect(RUN("aka", "resync", "--profile", s.dir, "--supi", SUPI, "--rand", rand, "--auts", auts),
           CLI_INPUT, "", "not an answer of this subscriber");
    change_digit(&autn[31]);
    expect(RUN("aka", "usim", "--profile", s.dir, "--supi", SUPI, "--sn", SN, "--rand", rand,
               "--autn", autn),
           CLI_FAILED, "MAC failure", "");
    expect(RUN("aka", "vector", "--profile", s.dir, "--supi", "imsi-001019999999999", "--sn", SN),
           CLI_NOT_FOUND, "", "no keys");
    expect(RUN("aka", "vector", "--keys", scratch_path(&s, "k.json"), "--sn", SN, "--sqn",
               "ff9bb4d0b607", "--rand", "23553cbe9637a89d218ae64dae47bf35"),
           CLI_OK, "autn       55f328b43577", "");
    expect(RUN("aka", "vector", "--keys", s.path, "--sn", SN), CLI_USAGE, "", "--sqn");
    expect(RUN("aka", "vector", "--sn", SN), CLI_USAGE, "", "either --profile");
    remove_profile(&s);
}

/* ---- a machine that stops ---- */

#define KEY_TEXT                                                                                   \
    "{\"algorithm\":\"milenage\",\"k\":\"465b5ce8b199b49faa5f0a2ee238a6bc\","                      \
    "\"opc\":\"cd63cb71954a9f4e48a5994e37a02baf\"}"

/* The number inside AUTN, as the device takes it out. */
static uint64_t seq_of(const char *rand_hex, const char *autn_hex)
{
    struct bst_aka_keys keys;
    struct bst_aka_in in = {0};
    struct bst_aka_out out;
    uint8_t autn[16], sqn[6];
    uint64_t seq;
    unsigned ind;
    assert_ok(bst_aka_keyfile_parse(BST_VIEW(KEY_TEXT), &keys));
    assert_ok(bst_hex_decode(bst_view_of(rand_hex, 32), in.rand, sizeof in.rand));
    assert_ok(bst_hex_decode(bst_view_of(autn_hex, 32), autn, sizeof autn));
    assert_ok(bst_aka_run(&keys, &in, BST_AKA_F5, &out));
    for (int i = 0; i < 6; i++) {
        sqn[i] = autn[i] ^ out.ak[i];
    }
    bst_sqn_read(sqn, &seq, &ind);
    return seq;
}

/* A process that makes vectors into a pipe until it is killed. */
static pid_t vectors_into(const char *profile, int *ret_read)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static const char *const words[] = {"bastide", "aka", "vector",  "--supi", SUPI,
                                            "--sn",    SN,    "--count", "300",    "--profile"};
        char *argv[12] = {0};
        for (size_t i = 0; i < 10; i++) {
            argv[i] = (char *)(uintptr_t)words[i];
        }
        argv[10] = (char *)(uintptr_t)profile;
        FILE *out = fdopen(ends[1], "w");
        setvbuf(out, NULL, _IOLBF, 0);
        _exit(cli_main(11, argv, out, stderr));
    }
    close(ends[1]);
    *ret_read = ends[0];
    return child;
}

/* Reads some vectors, then stops the process without a warning; what is still in the pipe was shown
 * too. */
static void take_and_kill(const char *profile, unsigned wanted, uint64_t *last, unsigned *seen)
{
    int fd;
    char line[256], rand_hex[33] = "";
    unsigned got = 0;
    pid_t child = vectors_into(profile, &fd);
    FILE *in = fdopen(fd, "r");
    while (fgets(line, sizeof line, in)) {
        if (strncmp(line, "rand ", 5) == 0) {
            memcpy(rand_hex, line + 11, 32);
        }
        if (strncmp(line, "autn ", 5) == 0) {
            uint64_t seq = seq_of(rand_hex, line + 11);
            assert_true(seq > *last);
            *last = seq;
            ++*seen;
            if (++got == wanted) {
                kill(child, SIGKILL);
            }
        }
    }
    fclose(in);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void no_sequence_number_comes_twice_whenever_the_machine_stops(void **state)
{
    struct scratch s;
    uint64_t last = 0;
    unsigned seen = 0;
    assert_true(scratch_make(&s));
    write_file(scratch_path(&s, "k.json"), KEY_TEXT);
    expect(RUN("aka", "add", s.path, "--profile", s.dir, "--supi", SUPI), CLI_OK, SUPI, "");
    for (unsigned round = 0; round < 12; round++) {
        take_and_kill(s.dir, 1 + 7 * round % 40, &last, &seen);
    }
    assert_true(seen >= 12 && last >= seen);
    remove_profile(&s);
}

/* ---- malformed values ---- */

static void malformed_values_are_refused_by_name(void **state)
{
    struct scratch s;
    static char digits[10241];
    assert_true(scratch_make(&s));
    memset(digits, '1', sizeof digits - 1);
    write_file(scratch_path(&s, "k.json"), KEY_TEXT);
    expect(RUN("aka", "add", s.path, "--profile", s.dir, "--supi", SUPI), CLI_OK, SUPI, "");
    static const char *const rands[] = {
        "",    "0", "zz", "23553cbe9637a89d218ae64dae47bf3", "23553cbe9637a89d218ae64dae47bf3500",
        digits};
    for (size_t i = 0; i < sizeof rands / sizeof rands[0]; i++) {
        expect(RUN("aka", "usim", "--profile", s.dir, "--supi", SUPI, "--sn", SN, "--rand",
                   rands[i], "--autn", "00112233445566778899aabbccddeeff"),
               CLI_USAGE, "", "--rand wants 32");
        expect(RUN("aka", "resync", "--profile", s.dir, "--supi", SUPI, "--rand",
                   "23553cbe9637a89d218ae64dae47bf35", "--auts", rands[i]),
               CLI_USAGE, "", "--auts wants 28");
    }
    static const char *const supis[] = {"", "imsi-", "imsi-0-1", "nai-@", digits};
    for (size_t i = 0; i < sizeof supis / sizeof supis[0]; i++) {
        struct said said = RUN("aka", "vector", "--profile", s.dir, "--supi", supis[i], "--sn", SN);
        assert_true(said.code == CLI_INPUT || said.code == CLI_USAGE);
        said_clear(&said);
        said = RUN("suci", "conceal", supis[i], "--scheme", "null");
        assert_true(said.code == CLI_INPUT || said.code == CLI_USAGE);
        said_clear(&said);
        said = RUN("suci", "reveal", supis[i], "--allow-null");
        assert_true(said.code == CLI_INPUT || said.code == CLI_USAGE);
        said_clear(&said);
    }
    expect(RUN("aka", "vector", "--profile", s.dir, "--supi", SUPI, "--sn", digits), CLI_INPUT, "",
           "serving network name");
    write_file(scratch_path(&s, "point"),
               "020000000000000000000000000000000000000000000000000000000"
               "000000001");
    expect(RUN("suci", "conceal", SUPI, "--public", s.path, "--id", "1", "--scheme", "B"),
           CLI_INPUT, "", "P-256");
    write_file(s.path, digits);
    expect(RUN("suci", "conceal", SUPI, "--public", s.path, "--id", "1"), CLI_INPUT, "", "public");
    expect(RUN("suci", "keygen", "--profile", s.dir, "--id", "1", "--private", s.path), CLI_INPUT,
           "", "private");
    expect(RUN("suci", "conceal", SUPI, "--profile", s.dir, "--scheme", "mlkem"), CLI_USAGE, "",
           "x25519-mlkem768");
    remove_profile(&s);
}

/* ---- post-quantum by command ---- */

static void a_post_quantum_suci_goes_round_by_command(void **state)
{
    static const char *const schemes[] = {"mlkem768", "x25519-mlkem768"};
    static char suci[4096];
    struct scratch s;
    assert_true(scratch_make(&s));
    for (size_t i = 0; i < 2; i++) {
        const char *id = i ? "2" : "1";
        struct said said =
            RUN("suci", "keygen", "--profile", s.dir, "--id", id, "--scheme", schemes[i]);
        if (!bst_kem_provider()) {
            expect(said, CLI_USAGE, "", "this build has no ML-KEM-768");
            continue;
        }
        expect(said, CLI_OK, "active", "");
        said = RUN("suci", "conceal", SUPI, "--profile", s.dir, "--scheme", schemes[i]);
        assert_int_equal(said.code, CLI_OK);
        word_after(said.out, "", suci, sizeof suci);
        said_clear(&said);
        expect(RUN("suci", "reveal", suci, "--profile", s.dir), CLI_OK, SUPI, "");
        change_digit(&suci[100]);
        expect(RUN("suci", "reveal", suci, "--profile", s.dir), CLI_DENIED, "", "does not open");
    }
    remove_profile(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_sequence_number_comes_twice_whenever_the_machine_stops),
        cmocka_unit_test(malformed_values_are_refused_by_name),
        cmocka_unit_test(a_post_quantum_suci_goes_round_by_command),
        cmocka_unit_test(selftest_counts_and_its_exit_code_tells),
        cmocka_unit_test(a_suci_goes_round_by_command),
        cmocka_unit_test(a_challenge_goes_round_by_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
