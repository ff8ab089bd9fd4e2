/* A program of somebody else: sees installed headers and the library only. Both sides of a
 * concealed identity and of an authentication, and one known answer of each family. */
#include <bastide/core5g.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char SUPI[] = "imsi-001010000000001";
static const char SN[] = "5G:mnc001.mcc001.3gppnetwork.org";
static const char KEYS[] = "{\"algorithm\":\"milenage\",\"k\":\"465b5ce8b199b49faa5f0a2ee238a6bc\","
                           "\"opc\":\"cd63cb71954a9f4e48a5994e37a02baf\"}";

static void must(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "consumer: %s: %s\n", what, bst_error_detail());
        exit(1);
    }
}
#define OK(call) must((call).code == BST_E_NONE, #call)
#define FAILS(call, error) must((call).code == (error), #call)

static int64_t wall_us(void)
{
    return INT64_C(1700000000000000);
}

static struct bst_view view(const char *text)
{
    struct bst_view v = {text, strlen(text)};
    return v;
}

static void identities(struct bst_core5g *core)
{
    static char suci[BST_CORE5G_SUCI_MAX], supi[BST_CORE5G_SUPI_MAX];
    uint8_t point[BST_CORE5G_PUBLIC_MAX];
    size_t len;
    OK(bst_core5g_home_key(core, "B", 7, view("")));
    FAILS(bst_core5g_home_key(core, "A", 7, view("")), BST_E_EXISTS);
    FAILS(bst_core5g_home_key(core, "C", 8, view("")), BST_E_VALUE);
    OK(bst_core5g_home_public(core, 7, point, &len));
    must(len == 33, "length of the public key");
    struct bst_view home = {(const char *)point, len};
    OK(bst_core5g_conceal(SUPI, 2, "B", 7, home, suci));
    must(strncmp(suci, "suci-0-001-01-0-2-7-", 20) == 0, suci);
    OK(bst_core5g_reveal(core, suci, supi));
    must(strcmp(supi, SUPI) == 0, supi);
    char *last = &suci[strlen(suci) - 1];
    *last = *last == '0' ? '1' : '0';
    FAILS(bst_core5g_reveal(core, suci, supi), BST_E_CREDENTIAL);
    FAILS(bst_core5g_conceal(SUPI, 2, "A", 7, home, suci), BST_E_BAD_KEY);
    OK(bst_core5g_home_key_remove(core, 7));
    FAILS(bst_core5g_home_public(core, 7, point, &len), BST_E_NOT_FOUND);
}

static void authentication(struct bst_core5g *core)
{
    static struct bst_core5g_challenge challenges[20];
    static struct bst_core5g_vector v[20];
    struct bst_core5g_device device = {{0}};
    struct bst_core5g_answer answer;
    uint8_t sqn[6];
    OK(bst_core5g_subscriber(core, SUPI, view(KEYS)));
    for (size_t i = 0; i < 20; i++) {
        challenges[i].rand[0] = (uint8_t)i;
        challenges[i].sqn[4] = (uint8_t)(i + 1);
    }
    OK(bst_core5g_vectors(core, SUPI, SN, challenges, 20, v));
    OK(bst_core5g_answer(core, SUPI, SN, v[19].rand, v[19].autn, &device, &answer));
    must(answer.verdict == BST_CORE5G_ACCEPTED, "verdict");
    must(memcmp(answer.res_star, v[19].xres_star, 16) == 0, "RES*");
    OK(bst_core5g_answer(core, SUPI, SN, v[19].rand, v[19].autn, &device, &answer));
    must(answer.verdict == BST_CORE5G_SYNC_FAILURE, "replay");
    OK(bst_core5g_auts(core, SUPI, v[19].rand, answer.auts, sqn));
    must(memcmp(sqn, challenges[19].sqn, 6) == 0, "SQN of the device");
    v[18].autn[15] ^= 1;
    OK(bst_core5g_answer(core, SUPI, SN, v[18].rand, v[18].autn, &device, &answer));
    must(answer.verdict == BST_CORE5G_MAC_FAILURE, "wrong MAC");
    FAILS(bst_core5g_vectors(core, "imsi-001019999999999", SN, challenges, 1, v), BST_E_NOT_FOUND);
    FAILS(bst_core5g_vectors(core, SUPI, "5G:", challenges, 1, v), BST_E_VALUE);
}

static void keys_and_air(void)
{
    static const uint8_t key[32] = {1};
    const struct bst_core5g_place place = {0x398a59b4, 21, 1};
    const struct bst_view in = {"some octets", 11}, long_key = {(const char *)key, 32};
    const struct bst_view short_key = {(const char *)key, 16};
    uint8_t out[32], clear[11], tag[4];
    size_t len;
    OK(bst_core5g_derive("A.6", long_key, &in, 1, out, &len));
    must(len == 32, "length of KSEAF");
    FAILS(bst_core5g_derive("A.5", long_key, &in, 1, out, &len), BST_E_VALUE);
    OK(bst_core5g_cipher("NEA2", short_key, &place, in, out));
    struct bst_view sealed = {(const char *)out, in.len};
    OK(bst_core5g_cipher("NEA2", short_key, &place, sealed, clear));
    must(memcmp(clear, in.ptr, in.len) == 0, "NEA2");
    OK(bst_core5g_mac("NIA1", short_key, &place, in, tag));
    OK(bst_core5g_mac_check("NIA1", short_key, &place, in, tag));
    tag[0] ^= 1;
    FAILS(bst_core5g_mac_check("NIA1", short_key, &place, in, tag), BST_E_BAD_MAC);
    FAILS(bst_core5g_mac("NIA0", short_key, &place, in, tag), BST_E_VALUE);
    FAILS(bst_core5g_cipher("NIA1", short_key, &place, in, out), BST_E_VALUE);
}

int main(void)
{
    struct bst_core5g *core = NULL;
    OK(bst_core5g_open("se:soft", wall_us, &core));
    FAILS(bst_core5g_open("no such thing", wall_us, &core), BST_E_CONFIG);
    identities(core);
    authentication(core);
    keys_and_air();
    bst_core5g_close(&core);
    puts("consumer: ok");
    return 0;
}
