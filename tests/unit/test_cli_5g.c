/* cli: bastide selftest, suci, aka and air by their exit codes, outputs and messages, with keys in
 * folders, on a token and in a TPM. */
#include "support/cli_run.h"
#include "support/swtpm.h"

#include "core5g/aka/aka.h"
#include "core5g/aka/keyfile.h"
#include "core5g/pcap/pcap.h"
#include "crypto/kem.h"
#include "sys/file.h"

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

/* ---- keys on a token ---- */

static struct softhsm hsm;
static const char *no_softhsm; /* why, or NULL */
static char token[400], soft_token[420];

static void set_token_uris(void)
{
    snprintf(token, sizeof token, "pkcs11:token=home?module-path=%s", hsm.module);
    snprintf(soft_token, sizeof soft_token, "%s&fallback=soft", token);
}

static void take_word(struct said said, const char *name, char *out, size_t cap)
{
    assert_int_equal(said.code, CLI_OK);
    word_after(said.out, name, out, cap);
    said_clear(&said);
}

static void home_keys_live_rotate_and_go_on_a_token(void **state)
{
    char first[400], second[400];
    skip_without(no_softhsm);
    expect(RUN("suci", "keygen", "--se", token, "--pin-file", hsm.pin, "--id", "1", "--scheme", "B",
               "--valid-from", "20200101T000000"),
           CLI_OK, "level      1", "");
    take_word(RUN("suci", "conceal", SUPI, "--se", token, "--pin-file", hsm.pin, "--scheme", "B"),
              "", first, sizeof first);
    assert_non_null(strstr(first, "-2-1-"));
    expect(RUN("suci", "keygen", "--se", token, "--pin-file", hsm.pin, "--id", "2", "--scheme", "B",
               "--json"),
           CLI_OK, "\"level\":1", "");
    expect(RUN("suci", "keys", "--se", token, "--pin-file", hsm.pin), CLI_OK, "accept-only", "");
    take_word(RUN("suci", "conceal", SUPI, "--se", token, "--pin-file", hsm.pin, "--scheme", "B"),
              "", second, sizeof second);
    assert_non_null(strstr(second, "-2-2-"));
    expect(RUN("suci", "reveal", first, "--se", token, "--pin-file", hsm.pin), CLI_OK, SUPI, "");
    expect(RUN("suci", "reveal", second, "--se", token, "--pin-file", hsm.pin), CLI_OK, SUPI, "");
    change_digit(&second[strlen(second) - 1]);
    expect(RUN("suci", "reveal", second, "--se", token, "--pin-file", hsm.pin), CLI_DENIED, "",
           "does not open");
    expect(
        RUN("suci", "keygen", "--se", token, "--pin-file", hsm.pin, "--id", "2", "--scheme", "B"),
        CLI_CONFLICT, "", "id 2 already");
    expect(RUN("suci", "revoke", "1", "--se", token, "--pin-file", hsm.pin), CLI_OK, "1", "");
    expect(RUN("suci", "reveal", first, "--se", token, "--pin-file", hsm.pin), CLI_DENIED, "",
           "does not open");
    expect(RUN("suci", "revoke", "1", "--se", token, "--pin-file", hsm.pin), CLI_NOT_FOUND, "",
           "no home network key");
    expect(RUN("suci", "revoke", "2", "--se", token, "--pin-file", hsm.pin), CLI_OK, "2", "");
}

/* X25519 and ML-KEM are no keys of a token: said, with what to do, and nothing is left there. */
static void a_scheme_that_a_token_has_not_is_refused_in_words(void **state)
{
    skip_without(no_softhsm);
    struct said said = RUN("suci", "keygen", "--se", token, "--pin-file", hsm.pin, "--id", "3");
    if (said.code == CLI_OK) { /* a token that has it */
        said_clear(&said);
        expect(RUN("suci", "revoke", "3", "--se", token, "--pin-file", hsm.pin), CLI_OK, "3", "");
    } else {
        expect(said, CLI_IO, "", "cannot hold a key of scheme A");
    }
    if (bst_kem_provider()) {
        said = RUN("suci", "keygen", "--se", token, "--pin-file", hsm.pin, "--id", "4", "--scheme",
                   "mlkem768");
        expect(said, CLI_IO, "", "scheme mlkem768");
    }
    expect(RUN("suci", "keys", "--se", token, "--pin-file", hsm.pin), CLI_OK, "", "");
}

/* The key comes out of the token for each use, and the level says so. */
static void software_stands_in_for_a_token_when_it_is_told_to(void **state)
{
    char suci[400];
    skip_without(no_softhsm);
    expect(RUN("suci", "keygen", "--se", soft_token, "--pin-file", hsm.pin, "--id", "6"), CLI_OK,
           "level      1", "");
    take_word(RUN("suci", "conceal", SUPI, "--se", soft_token, "--pin-file", hsm.pin), "", suci,
              sizeof suci);
    expect(RUN("suci", "reveal", suci, "--se", soft_token, "--pin-file", hsm.pin), CLI_OK, SUPI,
           "");
    change_digit(&suci[strlen(suci) - 1]);
    expect(RUN("suci", "reveal", suci, "--se", soft_token, "--pin-file", hsm.pin), CLI_DENIED, "",
           "does not open");
    expect(RUN("suci", "revoke", "6", "--se", soft_token, "--pin-file", hsm.pin), CLI_OK, "6", "");
}

static void an_imported_home_key_works_on_a_token_at_level_1(void **state)
{
    static const char private_key[] =
        "f1ab1074477ebcc7f554ea1c5fc368b1616730155e0041ac447d6301975fecda";
    static const char c4_4[] = "suci-0-001-01-0-2-5-";
    struct scratch s;
    char suci[400];
    skip_without(no_softhsm);
    assert_true(scratch_make(&s));
    write_file(scratch_path(&s, "hn"), private_key);
    expect(RUN("suci", "keygen", "--se", token, "--pin-file", hsm.pin, "--id", "5", "--scheme", "B",
               "--private", s.path),
           CLI_OK, "0272da71976234ce833a6907425867b82e074d44ef907dfb4b3e21c1c2256ebcd1", "");
    take_word(RUN("suci", "conceal", SUPI, "--se", token, "--pin-file", hsm.pin, "--scheme", "B"),
              "", suci, sizeof suci);
    assert_memory_equal(suci, c4_4, sizeof c4_4 - 1);
    expect(RUN("suci", "reveal", suci, "--se", token, "--pin-file", hsm.pin), CLI_OK, SUPI, "");
    expect(RUN("suci", "reveal", suci, "--private", s.path), CLI_OK, SUPI, "");
    expect(RUN("suci", "reveal", suci, "--private", s.path, "--se", token), CLI_USAGE, "",
           "--private or --se");
    expect(RUN("suci", "revoke", "5", "--se", token, "--pin-file", hsm.pin), CLI_OK, "5", "");
    scratch_remove(&s);
}

static void wrong_pins_and_absent_tokens_are_told(void **state)
{
    struct scratch s;
    char other[420], none[80];
    skip_without(no_softhsm);
    assert_true(scratch_make(&s));
    write_file(scratch_path(&s, "wrong"), "00000000\n");
    expect(RUN("suci", "keys", "--se", token, "--pin-file", s.path), CLI_DENIED, "", "PIN");
    expect(RUN("suci", "keys", "--se", token, "--pin-file", hsm.pin), CLI_OK, "", "");
    expect(RUN("suci", "keys", "--se", token, "--pin-file", "/nonexistent"), CLI_NOT_FOUND, "",
           "/nonexistent");
    expect(RUN("suci", "keys", "--se", token), CLI_INPUT, "", "pin-source");
    snprintf(other, sizeof other, "pkcs11:token=elsewhere?module-path=%s", hsm.module);
    expect(RUN("suci", "keys", "--se", other, "--pin-file", hsm.pin), CLI_NOT_FOUND, "",
           "'elsewhere'");
    expect(RUN("aka", "add", "/nonexistent", "--supi", SUPI, "--se", other, "--pin-file", hsm.pin),
           CLI_NOT_FOUND, "", "'elsewhere'");
    snprintf(none, sizeof none, "pkcs11:token=x?module-path=/nowhere.so");
    expect(RUN("suci", "keys", "--se", none, "--pin-file", hsm.pin), CLI_INPUT, "", "/nowhere.so");
    expect(RUN("suci", "keys", "--se", "se:hard"), CLI_INPUT, "", "kind 'hard'");
    expect(RUN("suci", "keys", "--pin-file", hsm.pin), CLI_USAGE, "", "belongs to --se");
    expect(RUN("suci", "keys", "--profile", s.dir, "--pin-file", hsm.pin), CLI_USAGE, "",
           "belongs to --se");
    expect(RUN("suci", "keys"), CLI_USAGE, "", "--profile DIR or --se URI is missing");
    scratch_remove(&s);
}

static void a_subscriber_on_a_token_needs_software_and_says_so(void **state)
{
    struct scratch s;
    char rand[40], autn[40], star[40], auts[40], label[80];
    skip_without(no_softhsm);
    assert_true(scratch_make(&s));
    write_file(scratch_path(&s, "k.json"), KEY_TEXT);
    struct said said =
        RUN("aka", "add", s.path, "--supi", SUPI, "--se", token, "--pin-file", hsm.pin);
    assert_non_null(strstr(said.err, "milenage"));
    expect(said, CLI_IO, "", "fallback=soft");
    expect(RUN("aka", "add", s.path, "--supi", SUPI, "--se", soft_token, "--pin-file", hsm.pin),
           CLI_OK, "level      1", "");
    expect(RUN("aka", "add", s.path, "--supi", SUPI, "--se", soft_token, "--pin-file", hsm.pin),
           CLI_CONFLICT, "", "already");
    expect(
        RUN("aka", "vector", "--supi", SUPI, "--sn", SN, "--se", soft_token, "--pin-file", hsm.pin),
        CLI_USAGE, "", "sequence numbers");
    said = RUN("aka", "vector", "--supi", SUPI, "--sn", SN, "--profile", s.dir, "--se", soft_token,
               "--pin-file", hsm.pin);
    word_after(said.out, "rand", rand, sizeof rand);
    word_after(said.out, "autn", autn, sizeof autn);
    take_word(said, "xresStar", star, sizeof star);
    expect(RUN("aka", "usim", "--supi", SUPI, "--sn", SN, "--profile", s.dir, "--se", soft_token,
               "--pin-file", hsm.pin, "--rand", rand, "--autn", autn),
           CLI_OK, star, "");
    said = RUN("aka", "usim", "--supi", SUPI, "--sn", SN, "--profile", s.dir, "--se", soft_token,
               "--pin-file", hsm.pin, "--rand", rand, "--autn", autn);
    assert_int_equal(said.code, CLI_FAILED);
    word_after(said.out, "auts", auts, sizeof auts);
    said_clear(&said);
    expect(RUN("aka", "resync", "--supi", SUPI, "--profile", s.dir, "--se", soft_token,
               "--pin-file", hsm.pin, "--rand", rand, "--auts", auts),
           CLI_OK, "000000000020", "");
    snprintf(label, sizeof label, "aka.%s", SUPI);
    expect(RUN("key", "delete", token, label, "--pin-file", hsm.pin), CLI_OK, "", "");
    expect(RUN("aka", "vector", "--supi", SUPI, "--sn", SN, "--profile", s.dir, "--se", soft_token,
               "--pin-file", hsm.pin),
           CLI_NOT_FOUND, "", "no keys");
    remove_profile(&s);
}

/* The same words for a TPM: P-256 inside, K and OPc by software. */
static void keys_of_a_tpm_serve_too(void **state)
{
    struct scratch s;
    struct swtpm tpm;
    const char *no_swtpm = NULL;
    char uri[260], soft_uri[280], suci[400];
    if (!swtpm_make(&tpm, &no_swtpm)) {
        skip_without(no_swtpm);
    }
    assert_true(scratch_make(&s));
    snprintf(uri, sizeof uri, "tpm2:swtpm:port=%u?dir=%s/tpm", tpm.port, s.dir);
    snprintf(soft_uri, sizeof soft_uri, "%s&fallback=soft", uri);
    expect(RUN("suci", "keygen", "--se", uri, "--id", "1"), CLI_IO, "",
           "cannot hold a key of scheme A");
    expect(RUN("suci", "keygen", "--se", uri, "--id", "1", "--scheme", "B"), CLI_OK, "level", "");
    take_word(RUN("suci", "conceal", SUPI, "--se", uri, "--scheme", "B"), "", suci, sizeof suci);
    expect(RUN("suci", "reveal", suci, "--se", uri), CLI_OK, SUPI, "");
    write_file(scratch_path(&s, "k.json"), KEY_TEXT);
    expect(RUN("aka", "add", s.path, "--supi", SUPI, "--se", uri), CLI_IO, "", "fallback=soft");
    expect(RUN("aka", "add", s.path, "--supi", SUPI, "--se", soft_uri), CLI_OK, "level      1", "");
    expect(RUN("aka", "vector", "--supi", SUPI, "--sn", SN, "--profile", s.dir, "--se", soft_uri),
           CLI_OK, "xresStar", "");
    swtpm_stop(&tpm);
    expect(RUN("suci", "reveal", suci, "--se", uri), CLI_CONFLICT, "", "TPM");
    swtpm_remove(&tpm);
    remove_profile(&s);
}

/* One PDU of a DRB in clear. */
static void write_capture(const char *path)
{
    static const uint8_t host[4] = {127, 0, 0, 1};
    bst_auto(buf) file = {0}, packet = {0};
    bst_pcap_begin(&file, BST_LINK_IPV4);
    assert_ok(bst_udp_make(host, host, 9999,
                           BST_VIEW("pdcp-nr\x02\x02\x0c\x03\0\x04\x01\x05\x01\x06\0\x01\x11\x01"
                                    "\x80\0text"),
                           &packet));
    bst_pcap_add(&file, 1, bst_buf_view(&packet));
    assert_ok(bst_file_write_atomic(path, bst_buf_view(&file), 0600));
}

static void a_capture_opens_with_a_key_on_a_token(void **state)
{
    struct scratch s;
    char kgnb[260], keys[260], clear[260], sealed[260], back[260];
    skip_without(no_softhsm);
    assert_true(scratch_make(&s));
    snprintf(kgnb, sizeof kgnb, "%s", scratch_path(&s, "kgnb"));
    snprintf(keys, sizeof keys, "%s", scratch_path(&s, "keys.json"));
    snprintf(clear, sizeof clear, "%s", scratch_path(&s, "clear.pcap"));
    snprintf(sealed, sizeof sealed, "%s", scratch_path(&s, "sealed.pcap"));
    snprintf(back, sizeof back, "%s", scratch_path(&s, "back.pcap"));
    write_file(kgnb, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    write_file(keys, "{\"ues\":[{\"ueid\":1,\"ciphering\":\"NEA2\",\"integrity\":\"NIA2\","
                     "\"kgnb_label\":\"ran.kgnb\"}]}");
    write_capture(clear);
    expect(RUN("key", "import", soft_token, "ran.kgnb", "--in", kgnb, "--type", "symmetric",
               "--use", "routine", "--pin-file", hsm.pin),
           CLI_OK, "level 1", "");
    expect(RUN("air", "protect", "--pcap", clear, "--out", sealed, "--keys", keys, "--se",
               soft_token, "--pin-file", hsm.pin),
           CLI_OK, "protected  1", "");
    expect(RUN("air", "open", "--pcap", sealed, "--out", back, "--keys", keys, "--se", soft_token,
               "--pin-file", hsm.pin),
           CLI_OK, "opened     1", "");
    expect(RUN("air", "open", "--pcap", sealed, "--out", back, "--keys", keys), CLI_USAGE, "",
           "wants a secure environment");
    expect(
        RUN("air", "open", "--pcap", sealed, "--out", back, "--keys", keys, "--pin-file", hsm.pin),
        CLI_USAGE, "", "belongs to --se");
    expect(RUN("air", "open", "--pcap", sealed, "--out", back, "--keys", keys, "--se", soft_token,
               "--pin-file", "/nonexistent"),
           CLI_NOT_FOUND, "", "/nonexistent");
    expect(RUN("key", "delete", token, "ran.kgnb", "--pin-file", hsm.pin), CLI_OK, "", "");
    scratch_remove(&s);
}

/* The environment of --se is not that of the folder. */
static void a_software_folder_by_address_is_one_more_place(void **state)
{
    struct scratch s, keys;
    char uri[200], pin_uri[220], suci[400];
    assert_true(scratch_make(&s) && scratch_make(&keys));
    snprintf(uri, sizeof uri, "se:soft?dir=%s/keys", keys.dir);
    expect(RUN("suci", "keygen", "--se", uri, "--id", "1"), CLI_OK, "level      1", "");
    take_word(RUN("suci", "conceal", SUPI, "--se", uri), "", suci, sizeof suci);
    expect(RUN("suci", "reveal", suci, "--se", uri), CLI_OK, SUPI, "");
    expect(RUN("suci", "reveal", suci, "--profile", s.dir), CLI_DENIED, "", "does not open");
    expect(RUN("suci", "conceal", SUPI, "--se", uri, "--scheme", "B"), CLI_NOT_FOUND, "",
           "no active key");
    write_file(scratch_path(&s, "words"), "correct horse\n");
    snprintf(pin_uri, sizeof pin_uri, "se:soft?dir=%s/closed", keys.dir);
    expect(RUN("suci", "keygen", "--se", pin_uri, "--pin-file", s.path, "--id", "1"), CLI_OK,
           "active", "");
    expect(RUN("suci", "keys", "--se", pin_uri, "--pin-file", s.path), CLI_OK, "active", "");
    write_file(s.path, "battery staple\n");
    expect(RUN("suci", "keys", "--se", pin_uri, "--pin-file", s.path), CLI_DENIED, "",
           "passphrase");
    expect(RUN("suci", "keygen", "--se", "se:soft", "--id", "1"), CLI_INPUT, "", "keeps nothing");
    remove_profile(&s);
    remove_profile(&keys);
}

static int make_token(void **state)
{
    if (softhsm_make(&hsm, "home", &no_softhsm)) {
        no_softhsm = NULL;
        set_token_uris();
    }
    return 0;
}

static int remove_token(void **state)
{
    softhsm_remove(&hsm);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(home_keys_live_rotate_and_go_on_a_token),
        cmocka_unit_test(a_scheme_that_a_token_has_not_is_refused_in_words),
        cmocka_unit_test(software_stands_in_for_a_token_when_it_is_told_to),
        cmocka_unit_test(an_imported_home_key_works_on_a_token_at_level_1),
        cmocka_unit_test(wrong_pins_and_absent_tokens_are_told),
        cmocka_unit_test(a_subscriber_on_a_token_needs_software_and_says_so),
        cmocka_unit_test(keys_of_a_tpm_serve_too),
        cmocka_unit_test(a_capture_opens_with_a_key_on_a_token),
        cmocka_unit_test(a_software_folder_by_address_is_one_more_place),
        cmocka_unit_test(no_sequence_number_comes_twice_whenever_the_machine_stops),
        cmocka_unit_test(malformed_values_are_refused_by_name),
        cmocka_unit_test(a_post_quantum_suci_goes_round_by_command),
        cmocka_unit_test(selftest_counts_and_its_exit_code_tells),
        cmocka_unit_test(a_suci_goes_round_by_command),
        cmocka_unit_test(a_challenge_goes_round_by_command),
    };
    return cmocka_run_group_tests(tests, make_token, remove_token);
}
