/* A program of somebody else: sees installed headers and the library only. Both sides of a
 * concealed identity and of an authentication, and one known answer of each family. */
#include "consumer.h"
#include "known_keys.h"

static const char SUPI[] = "imsi-001010000000001";
static const char SN[] = "5G:mnc001.mcc001.3gppnetwork.org";
static const char KEYS[] = "{\"algorithm\":\"milenage\",\"k\":\"465b5ce8b199b49faa5f0a2ee238a6bc\","
                           "\"opc\":\"cd63cb71954a9f4e48a5994e37a02baf\"}";

static int64_t wall_us(void)
{
    return INT64_C(1700000000000000);
}

static void identities(struct bst_core5g *core)
{
    static char suci[BST_CORE5G_SUCI_MAX], supi[BST_CORE5G_SUPI_MAX];
    uint8_t point[BST_CORE5G_PUBLIC_MAX];
    size_t len;
    OK(bst_core5g_home_key(core, "B", 7, text("")));
    FAILS(bst_core5g_home_key(core, "A", 7, text("")), BST_E_EXISTS);
    FAILS(bst_core5g_home_key(core, "C", 8, text("")), BST_E_VALUE);
    OK(bst_core5g_home_public(core, 7, point, &len));
    must(len == 33, "length of the public key");
    struct bst_view home = octets(point, len);
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
    struct bst_core5g_device device;
    struct bst_core5g_answer answer;
    uint8_t sqn[6];
    memset(&device, 0, sizeof device);
    OK(bst_core5g_subscriber(core, SUPI, text(KEYS)));
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

/* A published scheme output opens under the published key. */
static void known_identities(struct bst_core5g *core)
{
    static char supi[BST_CORE5G_SUPI_MAX];
    uint8_t point[BST_CORE5G_PUBLIC_MAX];
    size_t len;
    OK(bst_core5g_home_key(core, "A", 1, text(KNOWN_A_HN_PRIVATE)));
    OK(bst_core5g_home_public(core, 1, point, &len));
    must(len == 32 && same(point, KNOWN_A_HN_PUBLIC), "public key of profile A");
    OK(bst_core5g_reveal(core, "suci-0-274-012-0-1-1-" KNOWN_A_SCHEME_OUTPUT, supi));
    must(strcmp(supi, "imsi-274012001002086") == 0, supi);
    OK(bst_core5g_home_key(core, "B", 2, text(KNOWN_B_HN_PRIVATE)));
    OK(bst_core5g_reveal(core, "suci-0-274-012-0-2-2-" KNOWN_B_SCHEME_OUTPUT, supi));
    must(strcmp(supi, "imsi-274012001002086") == 0, supi);
    OK(bst_core5g_home_key_remove(core, 1));
    OK(bst_core5g_home_key_remove(core, 2));
}

static void rotation(struct bst_core5g *core)
{
    struct bst_core5g_home_key_info info;
    const int64_t now = wall_us();
    OK(bst_core5g_home_key_valid(core, "B", 3, text(""), now - 10, 0));
    OK(bst_core5g_home_key_valid(core, "B", 4, text(""), now - 5, now + 5));
    OK(bst_core5g_home_key_valid(core, "B", 5, text(""), now + 5, 0));
    FAILS(bst_core5g_home_key_valid(core, "B", 6, text(""), now, now - 1), BST_E_VALUE);
    static const char *const states[] = {"accept-only", "active", "pending"};
    for (size_t i = 0; i < 3; i++) {
        OK(bst_core5g_home_key_at(core, i, &info));
        must(info.id == 3 + i && info.level == 1 && strcmp(info.scheme, "B") == 0, "information");
        must(strcmp(info.state, states[i]) == 0, info.state);
    }
    FAILS(bst_core5g_home_key_at(core, 3, &info), BST_E_NOT_FOUND);
    for (uint8_t id = 3; id < 6; id++) {
        OK(bst_core5g_home_key_remove(core, id));
    }
}

#define MILENAGE(k, opc) "{\"algorithm\":\"milenage\",\"k\":\"" k "\",\"opc\":\"" opc "\"}"

static void known_vectors(struct bst_core5g *core)
{
    struct bst_core5g_challenge challenge;
    struct bst_core5g_vector v;
    struct bst_core5g_vector_eap eap;
    uint8_t sqn[8], f5[8], bad[16];
    char name[BST_CORE5G_SN_NAME_MAX];
    memset(&challenge, 0, sizeof challenge);
    OK(bst_core5g_sn_name("001", "01", NULL, name));
    must(strcmp(name, SN) == 0, name);
    FAILS(bst_core5g_sn_name("1", "01", NULL, name), BST_E_VALUE);
    OK(bst_core5g_subscriber(core, "imsi-001010000000002",
                             text(MILENAGE(KNOWN_RES_K, KNOWN_RES_OPC))));
    from_hex(KNOWN_RES_RAND, challenge.rand);
    OK(bst_core5g_vectors(core, "imsi-001010000000002", SN, &challenge, 1, &v));
    must(same(v.xres_star, KNOWN_RES_XRES_STAR), "XRES*");
    must(same(v.hxres_star, KNOWN_RES_HXRES_STAR), "HXRES*");
    OK(bst_core5g_check_res_star(v.xres_star, v.xres_star));
    OK(bst_core5g_check_hres_star(v.rand, v.hxres_star, v.xres_star));
    memcpy(bad, v.xres_star, 16);
    bad[15] ^= 1;
    FAILS(bst_core5g_check_res_star(v.xres_star, bad), BST_E_BAD_MAC);
    FAILS(bst_core5g_check_hres_star(v.rand, v.hxres_star, bad), BST_E_BAD_MAC);
    OK(bst_core5g_subscriber_remove(core, "imsi-001010000000002"));
    FAILS(bst_core5g_subscriber_remove(core, "imsi-001010000000002"), BST_E_NOT_FOUND);
    from_hex(KNOWN_MILENAGE_RAND, challenge.rand);
    from_hex(KNOWN_MILENAGE_SQN, challenge.sqn);
    from_hex(KNOWN_MILENAGE_SQN, sqn);
    from_hex(KNOWN_MILENAGE_F5, f5);
    OK(bst_core5g_vectors_eap(core, SUPI, SN, &challenge, 1, &eap));
    must(eap.xres_len == 8 && same(eap.xres, KNOWN_MILENAGE_F2), "XRES");
    for (size_t i = 0; i < 6; i++) {
        must((sqn[i] ^ f5[i]) == eap.autn[i], "SQN xor AK");
    }
}

static void eap(struct bst_core5g *core)
{
    struct bst_core5g_challenge challenge;
    struct bst_core5g_vector_eap v;
    struct bst_core5g_answer_eap answer;
    struct bst_core5g_device device;
    struct bst_core5g_eap_keys keys;
    uint8_t sqn[6], ck_ik[32], out[32], ck[16], ik[16];
    size_t len;
    memset(&challenge, 0, sizeof challenge);
    memset(&device, 0, sizeof device);
    challenge.sqn[5] = 33;
    OK(bst_core5g_vectors_eap(core, SUPI, SN, &challenge, 1, &v));
    OK(bst_core5g_answer_eap(core, SUPI, SN, v.rand, v.autn, &device, &answer));
    must(answer.verdict == BST_CORE5G_ACCEPTED && answer.res_len == v.xres_len, "verdict");
    must(memcmp(answer.res, v.xres, v.xres_len) == 0, "RES");
    must(memcmp(answer.ck_prime, v.ck_prime, 16) == 0 &&
             memcmp(answer.ik_prime, v.ik_prime, 16) == 0,
         "CK' and IK'");
    OK(bst_core5g_answer_eap(core, SUPI, SN, v.rand, v.autn, &device, &answer));
    must(answer.verdict == BST_CORE5G_SYNC_FAILURE && answer.res_len == 0, "replay");
    OK(bst_core5g_auts(core, SUPI, v.rand, answer.auts, sqn));
    must(sqn[5] == 33, "SQN of the device");
    FAILS(bst_core5g_vectors_eap(core, SUPI, NULL, &challenge, 1, &v), BST_E_USAGE);
    FAILS(bst_core5g_vectors_eap(core, "imsi-001019999999999", SN, &challenge, 1, &v),
          BST_E_NOT_FOUND);

    /* RFC 5448 Appendix C, case 1. */
    struct bst_view params[2];
    uint8_t hidden[6];
    params[0] = text("WLAN");
    params[1] = from_hex(KNOWN_EAP_SQN_XOR_AK, hidden);
    from_hex(KNOWN_EAP_CK KNOWN_EAP_IK, ck_ik);
    OK(bst_core5g_derive("A.3", octets(ck_ik, 32), params, 2, out, &len));
    must(same(out, KNOWN_EAP_CK_PRIME KNOWN_EAP_IK_PRIME), "CK' and IK' as published");
    from_hex(KNOWN_EAP_CK_PRIME, ck);
    from_hex(KNOWN_EAP_IK_PRIME, ik);
    OK(bst_core5g_eap_keys(ck, ik, "0555444333222111", &keys));
    must(same(keys.k_encr, "766fa0a6c317174b812d52fbcd11a179"), "K_encr");
    must(same(keys.k_aut, "0842ea722ff6835bfa2032499fc3ec23c2f0e388b4f07543ffc677f1696d71ea"),
         "K_aut");
    must(same(keys.k_re, "cf83aa8bc7e0aced892acc98e76a9b2095b558c7795c7094715cb3393aa7d17a"),
         "K_re");
    must(same(keys.msk, "67c42d9aa56c1b79e295e3459fc3d187d42be0bf818d3070e362c5e967a4d544"), "MSK");
    must(same(keys.emsk, "f861703cd775590e16c7679ea3874ada866311de290764d760cf76df647ea01c"),
         "EMSK");
    FAILS(bst_core5g_eap_keys(ck, ik, "", &keys), BST_E_USAGE);
}

/* What a home network keeps, and how often it was written. */
struct shelf {
    uint64_t seq;
    unsigned writes;
    enum bst_error broken;
};

static bst_result shelf_load(void *ctx, const char *supi, uint64_t *ret_seq)
{
    must(strcmp(supi, SUPI) == 0, supi);
    *ret_seq = ((struct shelf *)ctx)->seq;
    return BST_OK;
}

static bst_result shelf_keep(void *ctx, const char *supi, uint64_t seq)
{
    struct shelf *shelf = (struct shelf *)ctx;
    bst_result r = BST_OK;
    must(strcmp(supi, SUPI) == 0, supi);
    r.code = shelf->broken;
    if (!shelf->broken) {
        shelf->seq = seq;
        shelf->writes++;
    }
    return r;
}

static uint64_t seq_of(const uint8_t sqn[6])
{
    uint64_t number = 0;
    for (size_t i = 0; i < 6; i++) {
        number = number << 8 | sqn[i];
    }
    return number >> 5;
}

static void sequence_numbers(void)
{
    static struct bst_core5g_challenge made[40];
    struct shelf shelf = {0, 0, BST_E_NONE};
    const struct bst_core5g_sqn_store store = {&shelf, shelf_load, shelf_keep};
    const struct bst_core5g_sqn_store none = {NULL, NULL, NULL};
    struct bst_core5g_sqn *sqn = NULL;
    struct bst_core5g_device device;
    uint8_t number[6], highest[6];
    memset(&device, 0, sizeof device);
    OK(bst_core5g_sqn_open(&store, SUPI, 16, &sqn));
    OK(bst_core5g_challenges(sqn, 40, made));
    must(shelf.writes == 3 && shelf.seq == 49, "three blocks of 16");
    must(seq_of(made[0].sqn) == 1 && seq_of(made[39].sqn) == 40, "numbers go up by one");
    must(memcmp(made[0].rand, made[1].rand, 16) != 0, "RAND");
    bst_core5g_sqn_close(&sqn);
    must(sqn == NULL, "closed");
    OK(bst_core5g_sqn_open(&store, SUPI, 0, &sqn));
    OK(bst_core5g_sqn_next(sqn, number));
    must(seq_of(number) == 49 && shelf.seq == 49 + 4096, "behind the block after a stop");
    must(bst_core5g_sqn_fresh(&device, number), "fresh");
    bst_core5g_sqn_accept(&device, number);
    must(!bst_core5g_sqn_fresh(&device, number), "once");
    bst_core5g_sqn_highest(&device, highest);
    must(memcmp(highest, number, 6) == 0, "SQN_MS");
    memset(highest, 0, 6);
    highest[1] = 1; /* far ahead of the home network */
    OK(bst_core5g_sqn_resync(sqn, highest));
    OK(bst_core5g_sqn_next(sqn, number));
    must(seq_of(number) == seq_of(highest) + 1, "goes on from the device's number");
    shelf.broken = BST_E_DISK_FULL;
    highest[1] = 2;
    FAILS(bst_core5g_sqn_resync(sqn, highest), BST_E_DISK_FULL);
    bst_core5g_sqn_close(&sqn);
    shelf.broken = BST_E_NONE;
    OK(bst_core5g_sqn_open(&store, SUPI, 1, &sqn));
    shelf.broken = BST_E_DISK_FULL;
    FAILS(bst_core5g_sqn_next(sqn, number), BST_E_DISK_FULL);
    FAILS(bst_core5g_challenges(sqn, 1, made), BST_E_DISK_FULL);
    bst_core5g_sqn_close(&sqn);
    bst_core5g_sqn_close(NULL);
    FAILS(bst_core5g_sqn_open(&none, SUPI, 1, &sqn), BST_E_USAGE);
    FAILS(bst_core5g_sqn_open(&store, NULL, 1, &sqn), BST_E_USAGE);
    FAILS(bst_core5g_sqn_next(NULL, number), BST_E_USAGE);
}

static void hierarchy(void)
{
    uint8_t key[32], out[32], abba[2];
    struct bst_view params[2];
    size_t len;
    params[0] = text(SN);
    OK(bst_core5g_derive("A.6", from_hex(KNOWN_CHAIN_KAUSF, key), params, 1, out, &len));
    must(len == 32 && same(out, KNOWN_CHAIN_KSEAF), "KSEAF");
    params[0] = text("001010123456789");
    params[1] = from_hex(KNOWN_CHAIN_ABBA, abba);
    OK(bst_core5g_derive("A.7", octets(out, 32), params, 2, key, &len));
    must(len == 32 && same(key, KNOWN_CHAIN_KAMF), "KAMF");
    FAILS(bst_core5g_derive("A.5", octets(key, 32), params, 1, out, &len), BST_E_VALUE);
    FAILS(bst_core5g_derive("A.6", octets(key, 31), params, 1, out, &len), BST_E_VALUE);
    FAILS(bst_core5g_derive(NULL, octets(key, 32), params, 1, out, &len), BST_E_USAGE);
}

static void nothing_given(void)
{
    static char out[BST_CORE5G_SUCI_MAX];
    struct bst_core5g *core = NULL;
    FAILS(bst_core5g_open(NULL, wall_us, &core), BST_E_USAGE);
    FAILS(bst_core5g_open("se:soft", NULL, &core), BST_E_USAGE);
    FAILS(bst_core5g_home_key(NULL, "B", 1, text("")), BST_E_USAGE);
    FAILS(bst_core5g_reveal(NULL, "suci", out), BST_E_USAGE);
    FAILS(bst_core5g_conceal(NULL, 2, "null", 0, text(""), out), BST_E_USAGE);
    FAILS(bst_core5g_conceal(SUPI, 2, NULL, 0, text(""), out), BST_E_USAGE);
    FAILS(bst_core5g_subscriber(NULL, SUPI, text(KEYS)), BST_E_USAGE);
    bst_core5g_close(&core);
    bst_core5g_close(NULL);
}

/* Keys on a token with a PIN, named by the environment of the test. */
static int on_a_token(void)
{
    static char suci[BST_CORE5G_SUCI_MAX], supi[BST_CORE5G_SUPI_MAX];
    const char *uri = getenv("CONSUMER_TOKEN"), *wrong = getenv("CONSUMER_WRONG_PIN");
    const char *absent = getenv("CONSUMER_NO_TOKEN"), *soft = getenv("CONSUMER_SOFT_TOKEN");
    struct bst_core5g *core = NULL;
    uint8_t point[BST_CORE5G_PUBLIC_MAX];
    size_t len;
    if (!uri || !wrong || !absent || !soft) {
        return 0;
    }
    FAILS(bst_core5g_open(wrong, wall_us, &core), BST_E_SE_PIN);
    FAILS(bst_core5g_open(absent, wall_us, &core), BST_E_NOT_FOUND);
    OK(bst_core5g_open(uri, wall_us, &core));
    OK(bst_core5g_home_key(core, "B", 9, text("")));
    FAILS(bst_core5g_subscriber(core, SUPI, text(KEYS)), BST_E_SE_MECHANISM);
    bst_core5g_close(&core);
    OK(bst_core5g_open(uri, wall_us, &core)); /* it is kept there */
    OK(bst_core5g_home_public(core, 9, point, &len));
    OK(bst_core5g_conceal(SUPI, 2, "B", 9, octets(point, len), suci));
    OK(bst_core5g_reveal(core, suci, supi));
    must(strcmp(supi, SUPI) == 0, supi);
    OK(bst_core5g_home_key_remove(core, 9));
    FAILS(bst_core5g_reveal(core, suci, supi), BST_E_CREDENTIAL);
    bst_core5g_close(&core);
    OK(bst_core5g_open(soft, wall_us, &core));
    authentication(core);
    OK(bst_core5g_subscriber_remove(core, SUPI));
    bst_core5g_close(&core);
    return 1;
}

int main(void)
{
    struct bst_core5g *core = NULL;
    OK(bst_core5g_open("se:soft", wall_us, &core));
    FAILS(bst_core5g_open("no such thing", wall_us, &core), BST_E_CONFIG);
    identities(core);
    known_identities(core);
    rotation(core);
    authentication(core);
    known_vectors(core);
    eap(core);
    sequence_numbers();
    hierarchy();
    nothing_given();
    check_air();
    check_pdcp();
    bst_core5g_close(&core);
    puts(on_a_token() ? "consumer: ok, with a token" : "consumer: ok");
    return 0;
}
