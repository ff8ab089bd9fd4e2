/* cli: bastide selftest, suci and aka by their exit codes, outputs and messages. */
#include "support/test.h"

#include "cli/cli.h"
#include "support/scratch.h"

#include <sys/stat.h>

struct said {
    char *out, *err;
    int code;
};

static struct said run_words(const char *const *words)
{
    char *argv[32];
    int argc = 0;
    size_t out_len, err_len;
    struct said said = {0};
    argv[argc++] = (char *)(uintptr_t) "bastide";
    for (size_t i = 0; words[i]; i++) {
        argv[argc++] = (char *)(uintptr_t)words[i];
    }
    argv[argc] = NULL;
    FILE *out = open_memstream(&said.out, &out_len), *err = open_memstream(&said.err, &err_len);
    said.code = cli_main(argc, argv, out, err);
    fclose(out);
    fclose(err);
    return said;
}
#define RUN(...) run_words((const char *const[]){__VA_ARGS__, NULL})

static void said_clear(struct said *said)
{
    free(said->out);
    free(said->err);
}

static void expect(struct said said, int code, const char *out, const char *err)
{
    if (said.code != code || !strstr(said.out, out) || !strstr(said.err, err)) {
        fail_msg("code %d, out '%s', err '%s'", said.code, said.out, said.err);
    }
    said_clear(&said);
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(selftest_counts_and_its_exit_code_tells),
        cmocka_unit_test(a_suci_goes_round_by_command),
        cmocka_unit_test(a_challenge_goes_round_by_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
