/* cli: bastide air on files in hexadecimal, and how it refuses. */
#include "cli/cli.h"
#include "core5g/pcap/pcap.h"
#include "support/scratch.h"
#include "support/test.h"
#include "sys/file.h"

#define KEY16 "d3c5d592327fb11c4035c6680af8c6d1"
#define MESSAGE "981ba6824c1bfb1ab485472029b71d808ce33e2cc3c0b5fc1f3de8a6dc66b1f0"
#define CIPHERTEXT "e9fed8a63d155304d71df20bf3e82214b20ed7dad2f233dc3c22d7bdeeed8e78"
#define PLACE "--count", "398a59b4", "--bearer", "21", "--direction", "downlink"

static struct scratch scratch;
static char key16[256], key32[256], message[256], sealed[256];

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
    argv[argc++] = (char *)(uintptr_t) "air";
    for (size_t i = 0; words[i]; i++) {
        argv[argc++] = (char *)(uintptr_t)words[i];
    }
    argv[argc] = NULL;
    FILE *out = open_memstream(&said.out, &out_len), *err = open_memstream(&said.err, &err_len);
    said.code = cli_main(argc, argv, out, err);
    (void)fclose(out);
    (void)fclose(err);
    return said;
}
#define RUN(...) run_words((const char *const[]){__VA_ARGS__, NULL})

static void expect(struct said said, int code, const char *out, const char *err)
{
    if (said.code != code || !strstr(said.out, out) || !strstr(said.err, err)) {
        fail_msg("code %d, out '%s', err '%s'", said.code, said.out, said.err);
    }
    free(said.out);
    free(said.err);
}

static void write_file(char path[256], const char *name, const char *text)
{
    snprintf(path, 256, "%s", scratch_path(&scratch, name));
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    (void)fclose(file);
}

static int make(void **state)
{
    if (!scratch_make(&scratch)) {
        return -1;
    }
    write_file(key16, "key16", KEY16 "\n");
    write_file(key32, "key32", KEY16 "\n" KEY16 "\n");
    write_file(message, "message", MESSAGE "\n");
    return 0;
}

static int gone(void **state)
{
    scratch_remove(&scratch);
    return 0;
}

static void a_published_message_is_ciphered_and_back(void **state)
{
    expect(RUN("protect", "--algorithm", "nea2", "--key", key16, PLACE, "--bits", "253", message),
           CLI_OK, "protected  " CIPHERTEXT "\n", "");
    write_file(sealed, "sealed", CIPHERTEXT);
    expect(RUN("open", "--json", "--algorithm", "NEA2", "--key", key16, PLACE, "--bits", "253",
               sealed),
           CLI_OK, "\"message\":\"" MESSAGE "\"", "");
}

/* Protects, opens, then changes the first digit. */
static void round_trip(const char *algorithm, const char *key, const char *tag_bits)
{
    struct said said = RUN("protect", "--algorithm", algorithm, "--key", key, PLACE, "--tag-bits",
                           tag_bits, message);
    char *text = strstr(said.out, "protected  ");
    assert_int_equal(said.code, CLI_OK);
    assert_non_null(text);
    text += 11;
    write_file(sealed, "sealed", text);
    expect(
        RUN("open", "--algorithm", algorithm, "--key", key, PLACE, "--tag-bits", tag_bits, sealed),
        CLI_OK, "message    " MESSAGE, "");
    text[0] = text[0] == '0' ? '1' : '0';
    write_file(sealed, "sealed", text);
    struct said changed =
        RUN("open", "--algorithm", algorithm, "--key", key, PLACE, "--tag-bits", tag_bits, sealed);
    assert_string_equal(changed.out, "");
    expect(changed, CLI_INPUT, "", "tag does not match");
    free(said.out);
    free(said.err);
}

static void a_changed_message_does_not_open_and_prints_nothing(void **state)
{
    round_trip("NIA1", key16, "32");
    round_trip("NIA2", key16, "32");
    round_trip("NIA3", key16, "32");
    round_trip("NIA4", key32, "64");
    round_trip("NIA5", key32, "128");
    round_trip("NIA6", key32, "32");
    round_trip("NCA4", key32, "32");
    round_trip("NCA5", key32, "96");
    round_trip("NCA6", key32, "128");
}

/* What scenario 40 does with captures, as far as it needs no tshark. */
static void a_capture_is_protected_and_opened(void **state)
{
    char clear[256], keys[256], bad[256], out[256], back[256];
    bst_auto(buf) file = {0}, packet = {0}, opened = {0};
    static const uint8_t host[4] = {127, 0, 0, 1};
    write_file(keys, "keys.json",
               "{\"ues\":[{\"ueid\":1,\"ciphering\":\"NEA2\",\"integrity\":\"NIA2\","
               "\"kupenc\":\"" KEY16 "\",\"kupint\":\"" KEY16 "\"}]}");
    write_file(bad, "bad.json", "{\"ues\":[{\"ueid\":1}]}");
    snprintf(clear, sizeof clear, "%s", scratch_path(&scratch, "clear.pcap"));
    snprintf(out, sizeof out, "%s", scratch_path(&scratch, "out.pcap"));
    snprintf(back, sizeof back, "%s", scratch_path(&scratch, "back.pcap"));
    bst_pcap_begin(&file, BST_LINK_IPV4);
    assert_ok(bst_udp_make(host, host, 9999,
                           BST_VIEW("pdcp-nr\x02\x02\x0c\x03\0\x04\x01\x05\x01\x06\0\x01\x11\x01"
                                    "\x80\0text"),
                           &packet));
    bst_pcap_add(&file, 1, bst_buf_view(&packet));
    assert_ok(bst_file_write_atomic(clear, bst_buf_view(&file), 0600));
    expect(RUN("protect", "--pcap", clear, "--out", out, "--keys", keys), CLI_OK, "protected  1",
           "");
    expect(RUN("open", "--pcap", out, "--out", back, "--keys", keys, "--json"), CLI_OK,
           "{\"opened\":1,\"unprotected\":0,\"copied\":0,\"refused\":0}", "");
    assert_ok(bst_file_read(back, 4096, &opened));
    assert_true(bst_view_eq(bst_buf_view(&opened), bst_buf_view(&file)));
    expect(RUN("open", "--pcap", clear, "--out", back, "--keys", keys), CLI_FAILED, "refused    1",
           "packet 1 refused");
    expect(RUN("open", "--pcap", clear, "--out", back, "--keys", bad), CLI_INPUT, "", "ciphering");
    expect(RUN("open", "--pcap", clear, "--keys", keys), CLI_USAGE, "", "--out is missing");
    expect(RUN("open", "--pcap", clear, "--out", back), CLI_USAGE, "", "--keys is missing");
    expect(RUN("open", "--pcap", clear, "--out", back, "--keys", keys, message), CLI_USAGE, "",
           "--pcap stands in place");
}

static void what_is_wrong_is_named(void **state)
{
    char odd[256], text[256];
    write_file(odd, "odd", "123");
    write_file(text, "text", "zz");
    expect(RUN("protect", "--key", key16, PLACE, message), CLI_USAGE, "", "--algorithm");
    expect(RUN("protect", "--algorithm", "NEA7", "--key", key16, PLACE, message), CLI_USAGE, "",
           "--algorithm wants");
    expect(RUN("protect", "--algorithm", "NEA2", PLACE, message), CLI_USAGE, "", "--key FILE");
    expect(RUN("protect", "--algorithm", "NEA2", "--key", key32, PLACE, message), CLI_INPUT, "",
           "a key of 16 octets");
    expect(RUN("protect", "--algorithm", "NEA2", "--key", odd, PLACE, message), CLI_INPUT, "",
           "hexadecimal");
    expect(RUN("protect", "--algorithm", "NEA2", "--key", key16, PLACE, text), CLI_INPUT, "",
           "hexadecimal");
    expect(RUN("protect", "--algorithm", "NEA2", "--key", key16, PLACE, "/nonexistent"),
           CLI_NOT_FOUND, "", "/nonexistent");
    expect(RUN("protect", "--algorithm", "NEA2", "--key", key16, PLACE), CLI_USAGE, "",
           "name the file");
    expect(RUN("protect", "--algorithm", "NEA2", "--key", key16, PLACE, "--bits", "8", message),
           CLI_INPUT, "", "not 8 bits");
    expect(RUN("protect", "--algorithm", "NEA2", "--key", key16, PLACE, "--iv",
               "00000000000000000000000000000000", message),
           CLI_USAGE, "", "either --iv");
    expect(RUN("protect", "--algorithm", "NEA2", "--key", key16, "--count", "1", message),
           CLI_USAGE, "", "--count wants 8");
    expect(RUN("protect", "--algorithm", "NEA2", "--key", key16, "--count", "00000001", "--bearer",
               "32", "--direction", "uplink", message),
           CLI_USAGE, "", "--bearer");
    expect(RUN("protect", "--algorithm", "NEA2", "--key", key16, "--count", "00000001", "--bearer",
               "1", "--direction", "up", message),
           CLI_USAGE, "", "--direction wants");
    expect(RUN("protect", "--algorithm", "NIA2", "--key", key16, PLACE, "--aad", message, message),
           CLI_USAGE, "", "NCA only");
    expect(
        RUN("protect", "--algorithm", "NIA5", "--key", key32, PLACE, "--tag-bits", "33", message),
        CLI_USAGE, "", "multiple of 8");
    expect(RUN("protect", "--algorithm", "NIA5", "--key", key32, PLACE, "--bits", "255", message),
           CLI_INPUT, "", "whole octets");
    write_file(text, "text", "00");
    expect(RUN("open", "--algorithm", "NIA2", "--key", key16, PLACE, text), CLI_INPUT, "",
           "the tag alone");
}

static void the_algorithms_are_listed(void **state)
{
    expect(RUN("algorithms"), CLI_OK, "NCA6", "");
    expect(RUN("algorithms", "--json"), CLI_OK, "{\"name\":\"NIA1\",\"made_of\":\"SNOW 3G\"", "");
    expect(RUN("algorithms", "more"), CLI_USAGE, "", "argument");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_published_message_is_ciphered_and_back),
        cmocka_unit_test(a_changed_message_does_not_open_and_prints_nothing),
        cmocka_unit_test(a_capture_is_protected_and_opened),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(the_algorithms_are_listed),
    };
    return cmocka_run_group_tests(tests, make, gone);
}
