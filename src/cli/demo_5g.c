/* bastide demo 5g: a software USIM, a home network, a base station, and a sniffer between them.
 *
 * Identity and authentication are commands that a person could type; what a radio does is calls of
 * the library. What the sniffer shows is all that goes over the air. */
#include "cli/core5g.h"
#include "cli/demo.h"

#include "codec/json.h"
#include "core5g/kdf/kdf.h"
#include "core5g/pcap/framed.h"
#include "core5g/pcap/pcap.h"
#include "core5g/pdcp/policy.h"
#include "crypto/rand.h"
#include "sys/clock.h"
#include "sys/file.h"

#define MSIN "0000000001"
#define IMSI "00101" MSIN
#define SUPI "imsi-" IMSI
#define SN_NAME "5G:mnc001.mcc001.3gppnetwork.org"
#define KGNB_LABEL "ran.kgnb.1"
#define READINGS 300
#define SHOWN 60 /* octets of a message that the sniffer prints */
#define SMC_BYTES 15
#define FIELD_MAX 1400
#define FILE_MAX ((size_t)1 << 20)

/* Keys of one side, from KAUSF down to the radio. */
struct side {
    struct bst_5g_keys keys;
    uint8_t kgnb[BST_5G_KEY_BYTES];
};

struct story {
    struct demo *d;
    uint8_t k[16], opc[16];
    char suci[FIELD_MAX], rand[33], autn[33];
    struct side home, device;
    struct bst_air_choice choice;
    struct bst_se *ran_se;
    struct bst_pdcp_keys device_up, ran_up;
    struct bst_pdcp_tx tx;
    struct bst_pdcp_rx rx;
    struct bst_buf air;     /* the sniffer's capture */
    struct bst_buf pdus[3]; /* some PDUs for later */
    unsigned delivered;
    bool in_order;
};

/* What the device can, in truth. */
static const struct bst_air_capability device_can = {.nea = 0x0f, .nia = 0x0f};
static const struct bst_air_priority operator_wants = {{2, 1, 3}, {2, 1, 3}, 3, 3};
static const struct bst_pdcp_bearer drb = {BST_PDCP_DRB, 1, 18, 0, BST_AIR_UPLINK, true, true};

/* ---- helpers ---- */

static void path_of(const struct demo *d, const char *name, char out[512])
{
    snprintf(out, 512, "%.255s/%.200s", d->dir, name);
}

static void sniff(const struct demo *d, const char *what, const char *text)
{
    fprintf(d->call->out, "       sniffer: %-22s %.100s%s\n", what, text,
            strlen(text) > 100 ? "..." : "");
}

static void sniff_octets(const struct demo *d, const char *what, struct bst_view octets)
{
    bst_auto(buf) text = {0};
    const bool more = octets.len > SHOWN;
    bst_hex_add(&text, bst_view_of(octets.ptr, more ? SHOWN : octets.len), false);
    bst_buf_adds(&text, more ? "..." : "");
    bst_buf_addc(&text, '\0');
    if (!text.failed) {
        fprintf(d->call->out, "       sniffer: %-22s %s\n", what, text.ptr);
    }
}

/* A member of the object that the last command printed; "" when there is none. */
static void field(const struct demo *d, const char *name, char *out, size_t cap)
{
    struct bst_arena arena;
    yyjson_val *root;
    out[0] = '\0';
    bst_arena_init(&arena, 0);
    if (d->said &&
        !bst_failed(bst_json_parse(
            &arena, bst_view_trim((struct bst_view){d->said, strcspn(d->said, "\n")}),
            BST_JSON_DEPTH, &root)) &&
        bst_failed(bst_view_copy(bst_json_view(bst_json_get(root, name)), out, cap))) {
        out[0] = '\0';
    }
    bst_arena_clear(&arena);
}

static bool field_octets(const struct demo *d, const char *name, uint8_t *out, size_t len)
{
    char text[FIELD_MAX];
    field(d, name, text, sizeof text);
    return !bst_failed(bst_hex_decode(bst_view(text), out, len));
}

static bool write_file(const struct demo *d, const char *name, struct bst_view content)
{
    char path[512];
    path_of(d, name, path);
    return !bst_failed(bst_file_write_atomic(path, content, 0600));
}

static bool write_text(const struct demo *d, const char *name, const char *text)
{
    return write_file(d, name, bst_view(text));
}

/* ---- 1. keys in a secure environment ---- */

static bool write_subscriber(struct story *s)
{
    bst_auto(buf) text = {0};
    if (bst_failed(bst_random(s->k, sizeof s->k)) ||
        bst_failed(bst_random(s->opc, sizeof s->opc))) {
        return false;
    }
    bst_buf_adds(&text, "{\"algorithm\":\"milenage\",\"k\":\"");
    bst_hex_add(&text, bst_view_of(s->k, sizeof s->k), false);
    bst_buf_adds(&text, "\",\"opc\":\"");
    bst_hex_add(&text, bst_view_of(s->opc, sizeof s->opc), false);
    bst_buf_adds(&text, "\"}");
    bool good = !text.failed && write_file(s->d, "subscriber.json", bst_buf_view(&text));
    bst_buf_wipe(&text);
    return good;
}

struct hunt {
    const char *folder;
    struct bst_view raw, hex;
    bool found;
};

static bool contains(struct bst_view text, struct bst_view what)
{
    return text.len >= what.len && memmem(text.ptr, text.len, what.ptr, what.len) != NULL;
}

static bst_result hunt_in(void *user, const char *name)
{
    struct hunt *h = user;
    char path[1024];
    bst_auto(buf) content = {0};
    snprintf(path, sizeof path, "%s/%s", h->folder, name);
    if (!bst_failed(bst_file_read(path, FILE_MAX, &content))) {
        h->found = h->found || contains(bst_buf_view(&content), h->raw) ||
                   contains(bst_buf_view(&content), h->hex);
    }
    return BST_OK;
}

/* Whether K stands in any file of a folder, as it is or in hexadecimal. */
static bool key_lies_open(const struct story *s, const char *folder)
{
    char path[512];
    bst_auto(buf) hex = {0};
    path_of(s->d, folder, path);
    bst_hex_add(&hex, bst_view_of(s->k, sizeof s->k), false);
    struct hunt h = {path, bst_view_of(s->k, sizeof s->k), bst_buf_view(&hex), false};
    bool read = !bst_failed(bst_dir_list(path, hunt_in, &h));
    bst_buf_wipe(&hex);
    return h.found || !read;
}

static bool keys_inside(struct story *s)
{
    struct demo *d = s->d;
    char point[FIELD_MAX], file[512];
    demo_part(d, "1. The home network's keys go into a secure environment");
    bool made = RUN("suci", "keygen", "--profile", "@/home", "--id", "1", "--scheme", "A",
                    "--json") == CLI_OK;
    field(d, "public", point, sizeof point);
    demo_check(d, made && point[0] && write_text(d, "hn.pub", point), "TS 33.501 6.12.5",
               "SUCI: a key pair is made inside, the USIM gets its public half");
    bool added =
        write_subscriber(s) &&
        RUN("aka", "add", "@/subscriber.json", "--profile", "@/home", "--supi", SUPI) == CLI_OK &&
        RUN("aka", "add", "@/subscriber.json", "--profile", "@/usim", "--supi", SUPI) == CLI_OK;
    path_of(d, "subscriber.json", file);
    added = !bst_failed(bst_file_remove(file)) && added;
    demo_check(d, added, "TS 33.102 6.3", "K and OPc of one subscriber: home network and USIM");
    return demo_check(d, added && !key_lies_open(s, "home/se"), "TS 33.501 5.8.1",
                      "no file of the home network has K in it");
}

/* ---- 2. the identity ---- */

static bool conceal(struct demo *d, char out[FIELD_MAX])
{
    bool done = RUN("suci", "conceal", SUPI, "--public", "@/hn.pub", "--id", "1", "--scheme", "A",
                    "--json") == CLI_OK;
    field(d, "suci", out, FIELD_MAX);
    return done && out[0];
}

static bool hide_identity(struct story *s)
{
    struct demo *d = s->d;
    char other[FIELD_MAX];
    demo_part(d, "2. The device says who it is, to its home network only");
    bool both = conceal(d, s->suci) && conceal(d, other);
    sniff(d, "registration request", s->suci);
    sniff(d, "another day", other);
    demo_check(d, both && strcmp(s->suci, other) != 0 && !strstr(s->suci, MSIN), "TS 33.501 6.12.2",
               "two SUCIs of one subscriber have nothing in common");
    return demo_check(
        d, RUN("suci", "reveal", s->suci, "--profile", "@/home") == CLI_OK && demo_said(d, SUPI),
        "TS 33.501 C.3.3", "the home network finds %s", SUPI);
}

/* ---- 3. authentication ---- */

static int ask_usim(struct story *s, const char *autn)
{
    struct demo *d = s->d;
    return RUN("aka", "usim", "--profile", "@/usim", "--supi", SUPI, "--sn", SN_NAME, "--rand",
               s->rand, "--autn", autn, "--json");
}

static bool authenticate(struct story *s)
{
    struct demo *d = s->d;
    uint8_t rand[16], xres[16], hxres[16], res[16], hres[16];
    demo_part(d, "3. Both prove that they have K: 5G AKA");
    bool made = RUN("aka", "vector", "--profile", "@/home", "--supi", SUPI, "--sn", SN_NAME,
                    "--json") == CLI_OK;
    field(d, "rand", s->rand, sizeof s->rand);
    field(d, "autn", s->autn, sizeof s->autn);
    made = made && field_octets(d, "rand", rand, 16) && field_octets(d, "xresStar", xres, 16) &&
           field_octets(d, "hxresStar", hxres, 16) &&
           field_octets(d, "kausf", s->home.keys.kausf, BST_5G_KEY_BYTES);
    demo_check(d, made, "TS 33.501 6.1.3.2", "a vector is computed inside the environment");
    sniff(d, "RAND", s->rand);
    sniff(d, "AUTN", s->autn);
    bool answered = ask_usim(s, s->autn) == CLI_OK && field_octets(d, "resStar", res, 16) &&
                    field_octets(d, "kausf", s->device.keys.kausf, BST_5G_KEY_BYTES);
    demo_check(d, answered, "TS 33.102 6.3.3", "the USIM finds AUTN authentic and fresh");
    sniff_octets(d, "RES*", bst_view_of(res, answered ? sizeof res : 0));
    bool serving = answered && !bst_failed(bst_5g_hres_star(rand, res, hres)) &&
                   bst_equal_ct(hres, hxres, sizeof hres);
    return demo_check(d, serving && made && bst_equal_ct(res, xres, sizeof res), "TS 33.501 A.5",
                      "serving network: HRES* is right; home network: RES* is");
}

/* ---- 4. keys and algorithms ---- */

static bst_result derive_side(struct side *side)
{
    static const uint8_t count[4], access = 1, abba[2];
    const struct bst_view params[] = {bst_view_of(count, 4), bst_view_of(&access, 1)};
    BST_TRY(bst_5g_keys_below_kausf(&side->keys, BST_VIEW(SN_NAME), BST_VIEW(IMSI),
                                    bst_view_of(abba, sizeof abba)));
    return bst_5g_derive(BST_5G_KGNB, bst_view_of(side->keys.kamf, BST_5G_KEY_BYTES), params, 2,
                         side->kgnb);
}

/* MAC of a NAS message: over its sequence number and what follows (TS 24.501 4.4.3.3). */
static bst_result nas_mac(const struct side *side, uint8_t nia, const uint8_t *from, size_t len,
                          uint8_t out[4])
{
    static const struct bst_air_place place = {0, 1, BST_AIR_DOWNLINK};
    const uint8_t use = BST_5G_NAS_INT;
    const struct bst_view params[] = {bst_view_of(&use, 1), bst_view_of(&nia, 1)};
    const struct bst_air_algorithm *row = bst_air_find(BST_AIR_NIA, nia);
    uint8_t derived[BST_5G_KEY_BYTES], iv[BST_AIR_IV_BYTES];
    bst_auto(air_key) key = {0};
    BST_ENSURE(row && row->key_bytes <= sizeof derived, BST_E_VALUE);
    BST_TRY(bst_5g_derive(BST_5G_ALGORITHM_KEY, bst_view_of(side->keys.kamf, BST_5G_KEY_BYTES),
                          params, 2, derived));
    bst_result r = bst_air_key_init(
        &key, row, bst_view_of(derived + sizeof derived - row->key_bytes, row->key_bytes), 4);
    bst_wipe(derived, sizeof derived);
    BST_TRY(r);
    BST_TRY(bst_air_iv(&key, &place, iv));
    return bst_air_mac(&key, iv, from, len * 8, out);
}

/* Security mode command (TS 24.501 8.2.25): what the network chose, and what it heard before. */
static bst_result make_smc(const struct side *side, const struct bst_air_choice *choice,
                           const struct bst_air_capability *heard, uint8_t out[SMC_BYTES])
{
    const uint8_t head[] = {
        0x7e, 0x03, 0, 0, 0, 0, 0, 0x7e, 0x00, 0x5d, (uint8_t)(choice->nea << 4 | choice->nia),
        0,    2};
    memcpy(out, head, sizeof head);
    bst_air_capability_format(heard, out + sizeof head);
    return nas_mac(side, choice->nia, out + 6, SMC_BYTES - 6, out + 2);
}

static bst_result device_takes_smc(const struct side *side, const uint8_t in[SMC_BYTES])
{
    const struct bst_air_choice choice = {in[10] >> 4, in[10] & 15};
    struct bst_air_capability replayed;
    uint8_t mac[4];
    BST_TRY(nas_mac(side, choice.nia, in + 6, SMC_BYTES - 6, mac));
    BST_ENSURE(bst_equal_ct(mac, in + 2, sizeof mac), BST_E_BAD_MAC);
    bst_air_capability_parse(in + 13, &replayed);
    return bst_air_check_choice(&device_can, &replayed, &choice, false);
}

static bool keep_kgnb(struct story *s)
{
    char folder[512];
    bst_key key;
    bst_auto(secret) value = {0};
    path_of(s->d, "ran", folder);
    return !bst_failed(bst_secret_copy(&value, s->home.kgnb, sizeof s->home.kgnb)) &&
           !bst_failed(cli_5g_open(folder, &s->ran_se)) &&
           !bst_failed(bst_se_key_import(s->ran_se,
                                         &(struct bst_key_attrs){.type = BST_KEY_SYMMETRIC,
                                                                 .uses = BST_KEY_USE_ROUTINE,
                                                                 .label = KGNB_LABEL,
                                                                 .persistent = true},
                                         &value, &key));
}

static bool agree(struct story *s)
{
    struct demo *d = s->d;
    uint8_t smc[SMC_BYTES] = {0};
    demo_part(d, "4. From one key to all, and the choice of algorithms");
    bool same = !bst_failed(derive_side(&s->home)) && !bst_failed(derive_side(&s->device)) &&
                bst_equal_ct(s->home.kgnb, s->device.kgnb, sizeof s->home.kgnb);
    demo_check(d, same, "TS 33.501 6.2.2", "KAUSF, KSEAF, KAMF, KgNB are the same on both sides");
    demo_check(d, same && keep_kgnb(s), "TS 33.501 5.3.5",
               "the base station keeps KgNB in an environment of its own");
    bool chosen = !bst_failed(bst_air_choose(&operator_wants, &device_can, false, &s->choice)) &&
                  !bst_failed(make_smc(&s->home, &s->choice, &device_can, smc));
    sniff_octets(d, "security mode command", bst_view_of(smc, sizeof smc));
    return demo_check(d, chosen && !bst_failed(device_takes_smc(&s->device, smc)),
                      "TS 33.501 6.7.2", "NEA%u and NIA%u; the device hears its own offer back",
                      s->choice.nea, s->choice.nia) &&
           same;
}

/* ---- 5. data ---- */

static void deliver(void *ctx, uint32_t count, struct bst_view sdu)
{
    struct story *s = ctx;
    char text[80];
    snprintf(text, sizeof text, "meter 4711 reading %u", count);
    s->in_order = s->in_order && count == s->delivered && bst_view_starts(sdu, bst_view(text));
    s->delivered++;
}

static bst_result set_up_radio(struct story *s)
{
    const struct bst_pdcp_suite suite = {.ciphering = s->choice.nea, .integrity = s->choice.nia};
    const struct bst_pdcp_rx_setup setup = {
        .bearer = drb, .t_reordering_us = 100000, .deliver = deliver, .ctx = s};
    bst_key kgnb = 0;
    BST_TRY(bst_pdcp_keys_derive(&s->device_up, &suite, BST_PDCP_DRB,
                                 bst_view_of(s->device.kgnb, sizeof s->device.kgnb)));
    BST_TRY(bst_se_key_find(s->ran_se, KGNB_LABEL, &kgnb));
    BST_TRY(bst_pdcp_keys_derive_se(&s->ran_up, &suite, BST_PDCP_DRB, s->ran_se, kgnb));
    BST_TRY(bst_pdcp_tx_init(&s->tx, &drb, &s->device_up, 0));
    s->in_order = true;
    bst_pcap_begin(&s->air, BST_LINK_IPV4);
    return bst_pdcp_rx_init(&s->rx, &setup, &s->ran_up);
}

/* As a radio tester writes what it heard. */
static bst_result record(struct story *s, const struct bst_buf *pdu)
{
    static const uint8_t from[4] = {127, 0, 0, 1}, to[4] = {127, 0, 0, 2};
    bst_auto(buf) framed = {0}, packet = {0};
    const struct bst_framed frame = {.plane = BST_PDCP_DRB,
                                     .sn_bits = drb.sn_bits,
                                     .direction = drb.direction,
                                     .has_direction = true,
                                     .bearer_type = BST_FRAMED_DCCH,
                                     .rb_id = drb.rb_id,
                                     .ueid = 1,
                                     .has_ueid = true,
                                     .mac_present = true,
                                     .pdu = bst_buf_view(pdu)};
    bst_framed_format(&frame, &framed);
    BST_TRY(bst_buf_check(&framed));
    BST_TRY(bst_udp_make(from, to, 9999, bst_buf_view(&framed), &packet));
    bst_pcap_add(&s->air, bst_wall_us(), bst_buf_view(&packet));
    return bst_buf_check(&s->air);
}

/* Every eighth PDU is overtaken by the next one. */
static bst_result transmit(struct story *s)
{
    bst_auto(buf) late = {0};
    for (unsigned i = 0; i < READINGS; i++) {
        bst_auto(buf) pdu = {0}, sdu = {0};
        bst_buf_addf(&sdu, "meter 4711 reading %u: %u.%u kWh", i, 20 + i % 7, i % 10);
        BST_TRY(bst_pdcp_send(&s->tx, bst_buf_view(&sdu), &pdu));
        BST_TRY(record(s, &pdu));
        if (i < 3) {
            bst_buf_addv(&s->pdus[i], bst_buf_view(&pdu));
        }
        if (i % 8 == 6) {
            bst_buf_addv(&late, bst_buf_view(&pdu));
            continue;
        }
        BST_TRY(bst_pdcp_receive(&s->rx, bst_mono_us(), bst_buf_view(&pdu)));
        if (late.len > 0) {
            BST_TRY(bst_pdcp_receive(&s->rx, bst_mono_us(), bst_buf_view(&late)));
            bst_buf_clear(&late);
        }
    }
    return BST_OK;
}

static void stream(struct story *s)
{
    struct demo *d = s->d;
    struct bst_up_decision decision;
    const struct bst_up_case policy = {.confidentiality = BST_UP_REQUIRED,
                                       .integrity = BST_UP_REQUIRED,
                                       .ran_confidentiality = true,
                                       .ran_integrity = true,
                                       .device_bps = BST_UP_RATE_FULL,
                                       .session_bps = 1000000,
                                       .ciphering = s->choice.nea,
                                       .integrity_algorithm = s->choice.nia};
    demo_part(d, "5. Data over the protected air interface");
    bst_up_decide(&policy, &decision);
    demo_check(d, decision.confidentiality && decision.integrity, "TS 33.501 6.6.1",
               "policy of the session: both REQUIRED, both activated");
    bst_result r = set_up_radio(s);
    if (!bst_failed(r)) {
        r = transmit(s);
    }
    sniff_octets(d, "PDU of reading 0", bst_buf_view(&s->pdus[0]));
    sniff_octets(d, "PDU of reading 1", bst_buf_view(&s->pdus[1]));
    demo_check(d, !bst_failed(r) && s->delivered == READINGS && s->in_order, "TS 38.323 5.2.2",
               "%u of %u readings arrive in order, although some are overtaken", s->delivered,
               READINGS);
    demo_check(d,
               write_file(d, "air.pcap", bst_buf_view(&s->air)) &&
                   !contains(bst_buf_view(&s->air), BST_VIEW("meter")),
               "TS 38.323 5.8", "nothing of them can be read in the sniffer's air.pcap");
    bool opened = write_text(d, "keys.json",
                             "{\"ues\":[{\"ueid\":1,\"ciphering\":\"NEA2\",\"integrity\":\"NIA2\","
                             "\"kgnb_label\":\"" KGNB_LABEL "\"}]}") &&
                  RUN("air", "open", "--pcap", "@/air.pcap", "--out", "@/clear.pcap", "--keys",
                      "@/keys.json", "--profile", "@/ran") == CLI_OK;
    demo_check(d, opened && demo_said(d, "300"), "TS 38.323 5.9",
               "an engineer of the network opens it: bastide air open --pcap");
}

/* ---- 6. what must fail ---- */

static void attack_data(struct story *s)
{
    struct demo *d = s->d;
    const unsigned before = s->delivered;
    demo_check(
        d, bst_pdcp_receive(&s->rx, bst_mono_us(), bst_buf_view(&s->pdus[1])).code == BST_E_REPLAY,
        "TS 33.501 6.6.4.2", "the PDU of reading 1 is sent again: replay, dropped");
    bst_auto(buf) pdu = {0};
    bool sent = !bst_failed(bst_pdcp_send(&s->tx, BST_VIEW("meter 4711 reading 300: 9 kWh"), &pdu));
    if (sent) {
        pdu.ptr[pdu.len - 8] = (char)(pdu.ptr[pdu.len - 8] ^ 1);
    }
    demo_check(d,
               sent && bst_pdcp_receive(&s->rx, bst_mono_us(), bst_buf_view(&pdu)).code ==
                           BST_E_BAD_MAC,
               "TS 38.323 5.9", "one bit of a PDU is flipped on its way: MAC-I is wrong, dropped");
    demo_check(d, s->delivered == before, "", "neither reached the application");
    s->tx.next = UINT64_C(1) << 32;
    bst_auto(buf) none = {0};
    demo_check(
        d,
        bst_pdcp_send(&s->tx, BST_VIEW("one too many"), &none).code == BST_E_LIMIT && none.len == 0,
        "TS 33.501 6.9.4", "behind the last COUNT of a key nothing is sent without a new one");
}

static void attack_authentication(struct story *s)
{
    struct demo *d = s->d;
    char forged[33], suci[FIELD_MAX];
    demo_check(d, ask_usim(s, s->autn) == CLI_FAILED && demo_said(d, "synchronisation failure"),
               "TS 33.102 6.3.5", "RAND and AUTN are played again: the USIM asks to resynchronise");
    memcpy(forged, s->autn, sizeof forged);
    forged[31] = forged[31] == '0' ? '1' : '0';
    demo_check(d, ask_usim(s, forged) == CLI_FAILED && demo_said(d, "MAC failure"),
               "TS 33.501 6.1.3.3", "a challenge from somebody without K: MAC failure");
    memcpy(suci, s->suci, sizeof suci);
    char *last = suci + strlen(suci) - 1;
    *last = *last == '0' ? '1' : '0';
    demo_check(d,
               RUN("suci", "reveal", suci, "--profile", "@/home") != CLI_OK && !demo_said(d, SUPI),
               "TS 33.501 6.12.5", "a SUCI with one digit changed reveals nothing");
}

static void bid_down(struct story *s)
{
    struct demo *d = s->d;
    static const struct bst_air_capability cut = {.nea = 0x01, .nia = 0x0f}, null_only = {1, 1};
    static const struct bst_air_priority lax = {{2, 0}, {2}, 2, 1};
    static const struct bst_air_choice null_both = {0, 0};
    struct bst_air_choice choice;
    uint8_t smc[SMC_BYTES] = {0};
    /* In between, the registration request lost all but NEA0; a lax network goes along. */
    bool told = !bst_failed(bst_air_choose(&lax, &cut, false, &choice)) &&
                !bst_failed(make_smc(&s->home, &choice, &cut, smc));
    sniff_octets(d, "command after the cut", bst_view_of(smc, sizeof smc));
    demo_check(d, told && device_takes_smc(&s->device, smc).code == BST_E_DENIED, "TS 33.501 6.7.2",
               "bidding down to NEA0: the device hears a false offer, refuses");
    told = !bst_failed(make_smc(&s->home, &null_both, &device_can, smc));
    sniff_octets(d, "forged command, NIA0", bst_view_of(smc, sizeof smc));
    demo_check(d, told && device_takes_smc(&s->device, smc).code == BST_E_DENIED, "TS 33.501 D.1",
               "bidding down to NIA0, which needs no key: the device refuses");
    demo_check(d, bst_air_choose(&operator_wants, &null_only, false, &choice).code == BST_E_DENIED,
               "TS 33.501 5.3.3", "a device that seems to have null algorithms only is refused");
}

/* The sealed objects, without what opens them, laid into a thief's own environment. */
static bst_result take_object(void *user, const char *name)
{
    const struct story *s = user;
    char from[512], to[512];
    bst_auto(buf) content = {0};
    if (strncmp(name, "keys.", 5) != 0 && strcmp(name, "manifest") != 0) {
        return BST_OK;
    }
    snprintf(from, sizeof from, "%s/home/se/%s", s->d->dir, name);
    snprintf(to, sizeof to, "%s/thief/se/%s", s->d->dir, name);
    BST_TRY(bst_file_read(from, FILE_MAX, &content));
    return bst_file_write_atomic(to, bst_buf_view(&content), 0600);
}

static void steal(struct story *s)
{
    struct demo *d = s->d;
    char from[512];
    path_of(d, "home/se", from);
    bool stolen = RUN("suci", "keygen", "--profile", "@/thief", "--id", "9") == CLI_OK &&
                  !bst_failed(bst_dir_list(from, take_object, s));
    int code =
        RUN("aka", "vector", "--profile", "@/thief", "--supi", SUPI, "--sn", SN_NAME, "--json");
    fprintf(d->call->out, "       thief:   %.160s\n", d->complained ? d->complained : "");
    demo_check(d, stolen && code != CLI_OK && !demo_said(d, "kausf"), "TS 33.501 5.8.1",
               "a stolen subscriber file is useless outside its environment");
    demo_check(d,
               RUN("aka", "vector", "--profile", "@/home", "--supi", SUPI, "--sn", SN_NAME,
                   "--json") == CLI_OK &&
                   demo_said(d, "kausf"),
               "TS 33.501 6.1.3.2", "at home the same file still makes vectors");
}

static void attacks(struct story *s)
{
    demo_part(s->d, "6. What must fail, fails");
    attack_data(s);
    attack_authentication(s);
    bid_down(s);
    steal(s);
}

/* ---- */

static void story_clear(struct story *s)
{
    bst_pdcp_rx_clear(&s->rx);
    bst_pdcp_keys_clear(&s->device_up);
    bst_pdcp_keys_clear(&s->ran_up);
    bst_se_close(&s->ran_se);
    bst_buf_clear(&s->air);
    for (size_t i = 0; i < sizeof s->pdus / sizeof s->pdus[0]; i++) {
        bst_buf_clear(&s->pdus[i]);
    }
    bst_wipe(s, sizeof *s);
}

int demo_5g(struct cli_call *call)
{
    struct demo demo, *d = &demo;
    if (!demo_begin(d, call, "")) {
        return CLI_IO;
    }
    struct story s = {.d = d};
    if (keys_inside(&s) && hide_identity(&s) && authenticate(&s) && agree(&s)) {
        stream(&s);
        attacks(&s);
    }
    story_clear(&s);
    return demo_end(d);
}
