/* Capture files, datagrams in them, the framing of PDCP PDUs, and traces under a key file. */
#include "core5g/pcap/trace.h"
#include "support/test.h"

#define ONE_US INT64_C(1700000000000001)

/* ---- capture files ---- */

static size_t count_packets(struct bst_view file, bst_result *ret)
{
    struct bst_pcap pcap;
    struct bst_pcap_packet packet;
    bool more = true;
    *ret = bst_pcap_open(file, &pcap);
    while (!bst_failed(*ret) && more) {
        *ret = bst_pcap_next(&pcap, &packet, &more);
    }
    return bst_failed(*ret) ? 0 : (size_t)pcap.number;
}

static void what_was_written_is_read(void **state)
{
    bst_auto(buf) file = {0};
    struct bst_pcap pcap;
    struct bst_pcap_packet packet;
    bool more;
    bst_pcap_begin(&file, BST_LINK_ETHERNET);
    bst_pcap_add(&file, ONE_US, BST_VIEW("first"));
    bst_pcap_add(&file, ONE_US + 5, BST_VIEW(""));
    assert_ok(bst_pcap_open(bst_buf_view(&file), &pcap));
    assert_ok(bst_pcap_next(&pcap, &packet, &more));
    assert_true(more && bst_view_is(packet.octets, "first"));
    assert_int_equal(packet.time_us, ONE_US);
    assert_int_equal(packet.link, BST_LINK_ETHERNET);
    assert_ok(bst_pcap_next(&pcap, &packet, &more));
    assert_true(more && packet.octets.len == 0);
    assert_ok(bst_pcap_next(&pcap, &packet, &more));
    assert_false(more);
}

/* As BST_VIEW, for a static table. */
/* clang-format off */
#define LITERAL(text) {"" text, sizeof(text) - 1}
/* One packet "abcde" at 1 s and 5 units, in each of the forms. */
#define BE_HEADER(magic) magic "\0\2\0\4\0\0\0\0\0\0\0\0\0\4\0\0\0\0\0\1"
static const struct {
    struct bst_view file;
    int64_t time_us;
} forms[] = {
    {LITERAL(BE_HEADER("\xa1\xb2\xc3\xd4") "\0\0\0\1\0\0\0\5\0\0\0\5\0\0\0\5"
                                            "abcde"),
     1000005},
    {LITERAL(BE_HEADER("\xa1\xb2\x3c\x4d") "\0\0\0\1\0\0\x13\x88\0\0\0\5\0\0\0\5"
                                            "abcde"),
     1000005},
    /* pcapng, little-endian: section, interface, enhanced packet in microseconds */
    {LITERAL("\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\1\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"
              "\x1c\0\0\0"
              "\1\0\0\0\x14\0\0\0\1\0\0\0\0\0\0\0\x14\0\0\0"
              "\6\0\0\0\x28\0\0\0\0\0\0\0\0\0\0\0\x45\x42\x0f\0\5\0\0\0\5\0\0\0"
              "abcde\0\0\0\x28\0\0\0"),
     1000005},
    /* big-endian, with if_tsresol 9 (nanoseconds) */
    {LITERAL("\x0a\x0d\x0d\x0a\0\0\0\x1c\x1a\x2b\x3c\x4d\0\1\0\0\xff\xff\xff\xff\xff\xff\xff\xff"
              "\0\0\0\x1c"
              "\0\0\0\1\0\0\0\x20\0\1\0\0\0\0\0\0\0\x09\0\1\x09\0\0\0\0\0\0\0\0\0\0\x20"
              "\0\0\0\6\0\0\0\x28\0\0\0\0\0\0\0\0\x3b\x9a\xdd\x88\0\0\0\5\0\0\0\5"
              "abcde\0\0\0\0\0\0\x28"),
     1000005},
    /* simple packet */
    {LITERAL("\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\1\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"
              "\x1c\0\0\0"
              "\1\0\0\0\x14\0\0\0\1\0\0\0\0\0\0\0\x14\0\0\0"
              "\3\0\0\0\x18\0\0\0\5\0\0\0"
              "abcde\0\0\0\x18\0\0\0"),
     0},
};
#define FORMS (sizeof forms / sizeof forms[0])

static void every_form_of_capture_file_is_read(void **state)
{
    for (size_t i = 0; i < FORMS; i++) {
        struct bst_pcap pcap;
        struct bst_pcap_packet packet;
        bool more;
        assert_ok(bst_pcap_open(forms[i].file, &pcap));
        assert_ok(bst_pcap_next(&pcap, &packet, &more));
        assert_true(more && bst_view_is(packet.octets, "abcde"));
        assert_int_equal(packet.time_us, forms[i].time_us);
        assert_int_equal(packet.link, 1);
        assert_int_equal(packet.original_bytes, 5);
        assert_ok(bst_pcap_next(&pcap, &packet, &more));
        assert_false(more);
    }
}

static void a_cut_capture_file_is_refused_or_ends_between_packets(void **state)
{
    bst_result r;
    for (size_t i = 0; i < FORMS; i++) {
        for (size_t len = 0; len < forms[i].file.len; len++) {
            assert_int_equal(count_packets(bst_view_of(forms[i].file.ptr, len), &r), 0);
        }
        assert_int_equal(count_packets(forms[i].file, &r), 1);
        assert_ok(r);
    }
}

static void lengths_that_lie_are_refused(void **state)
{
    bst_result r;
    for (size_t i = 0; i < FORMS; i++) {
        char copy[160];
        const size_t len = forms[i].file.len;
        for (size_t at = 4; at < len; at++) {
            memcpy(copy, forms[i].file.ptr, len);
            copy[at] = (char)0xff;
            (void)count_packets(bst_view_of(copy, len), &r); /* no crash, no reading beyond */
        }
    }
    (void)count_packets(BST_VIEW("not a capture file"), &r);
    assert_int_equal(r.code, BST_E_SYNTAX);
}

/* ---- datagrams ---- */

static uint16_t add_up(const uint8_t *at, size_t len, uint32_t total)
{
    for (size_t i = 0; i < len; i++) {
        total += i % 2 ? at[i] : (uint32_t)at[i] << 8;
    }
    while (total >> 16) {
        total = (total & 0xffff) + (total >> 16);
    }
    return (uint16_t)total;
}

/* Both sums of an IPv4 packet come out as all ones. */
static void check_sums_v4(struct bst_view packet)
{
    const uint8_t *ip = (const uint8_t *)packet.ptr;
    const size_t udp_len = packet.len - 20;
    assert_int_equal(add_up(ip, 20, 0), 0xffff);
    uint32_t pseudo = (uint32_t)17 + (uint32_t)udp_len;
    for (size_t i = 12; i < 20; i += 2) {
        pseudo += (uint32_t)ip[i] << 8 | ip[i + 1];
    }
    assert_int_equal(add_up(ip + 20, udp_len, pseudo), 0xffff);
}

static void a_datagram_gets_another_payload_and_right_sums(void **state)
{
    static const uint8_t a[4] = {10, 0, 0, 1}, b[4] = {10, 0, 0, 2};
    static char big[65536];
    bst_auto(buf) packet = {0}, other = {0}, tagged = {0}, again = {0};
    struct bst_udp at;
    assert_ok(bst_udp_make(a, b, 9999, BST_VIEW("payload"), &packet));
    check_sums_v4(bst_buf_view(&packet));
    assert_true(bst_udp_find(BST_LINK_IPV4, bst_buf_view(&packet), &at));
    assert_int_equal(at.destination, 9999);
    assert_true(bst_view_is(bst_view_of(packet.ptr + at.payload, at.end - at.payload), "payload"));
    assert_ok(
        bst_udp_replace(bst_buf_view(&packet), &at, BST_VIEW("something longer, odd"), &other));
    check_sums_v4(bst_buf_view(&other));
    /* the same behind Ethernet with two VLAN tags, and padding behind it */
    bst_buf_add(&tagged, "\1\2\3\4\5\6\7\10\11\12\13\14\x88\xa8\0\1\x81\0\0\2\x08\0", 22);
    bst_buf_addv(&tagged, bst_buf_view(&packet));
    bst_buf_add(&tagged, "\0\0\0", 3);
    assert_true(bst_udp_find(BST_LINK_ETHERNET, bst_buf_view(&tagged), &at));
    assert_int_equal(at.ip, 22);
    assert_ok(bst_udp_replace(bst_buf_view(&tagged), &at, BST_VIEW("short"), &again));
    assert_int_equal(again.len, 22 + 28 + 5);
    check_sums_v4(bst_view_of(again.ptr + 22, again.len - 22));
    assert_err(bst_udp_replace(bst_buf_view(&packet), &at, bst_view_of(big, 65508), &again),
               BST_E_TOO_LONG);
}

static void ipv6_and_other_links_are_found(void **state)
{
    static const uint8_t loop[4] = {127, 0, 0, 1};
    static const char v6[] = "\x60\0\0\0\0\x14\x00\x40"
                             "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
                             "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2"
                             "\x11\0\0\0\0\0\0\0" /* hop-by-hop */
                             "\x27\x0f\x27\x0f\0\x0c\x12\x34"
                             "data";
    bst_auto(buf) v4 = {0}, packet = {0}, other = {0};
    struct bst_udp at;
    assert_true(bst_udp_find(BST_LINK_RAW, bst_view_of(v6, sizeof v6 - 1), &at));
    assert_int_equal(at.udp, 48);
    assert_ok(bst_udp_replace(bst_view_of(v6, sizeof v6 - 1), &at, BST_VIEW("other"), &other));
    assert_int_equal(other.ptr[5], 8 + 13);
    uint32_t pseudo = 17 + 13 + 1 + 2;
    assert_int_equal(add_up((const uint8_t *)other.ptr + 48, 13, pseudo), 0xffff);
    assert_ok(bst_udp_make(loop, loop, 1, BST_VIEW("data"), &v4));
    static const struct {
        uint32_t link;
        struct bst_view head;
    } heads[] = {
        {BST_LINK_NULL, LITERAL("\2\0\0\0")},
        {BST_LINK_COOKED, LITERAL("\0\0\0\1\0\6\0\0\0\0\0\0\0\0\x08\0")},
        {BST_LINK_COOKED2, LITERAL("\x08\0\0\0\0\0\0\1\0\1\0\6\0\0\0\0\0\0\0\0")},
        {BST_LINK_RAW, LITERAL("")},
    };
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        bst_buf_clear(&packet);
        bst_buf_addv(&packet, heads[i].head);
        bst_buf_addv(&packet, bst_buf_view(&v4));
        assert_true(bst_udp_find(heads[i].link, bst_buf_view(&packet), &at));
        assert_int_equal(at.payload, heads[i].head.len + 28);
    }
    assert_true(bst_udp_find(BST_LINK_USER2, bst_view_of(v4.ptr + 20, v4.len - 20), &at));
    assert_false(bst_udp_find(12345, bst_buf_view(&v4), &at));
}

static void what_is_no_whole_datagram_is_left_alone(void **state)
{
    static const uint8_t a[4] = {10, 0, 0, 1};
    bst_auto(buf) packet = {0};
    struct bst_udp at;
    assert_ok(bst_udp_make(a, a, 9999, BST_VIEW("payload"), &packet));
    for (size_t len = 0; len < packet.len; len++) {
        assert_false(bst_udp_find(BST_LINK_IPV4, bst_view_of(packet.ptr, len), &at));
    }
    packet.ptr[6] = 0x20; /* more fragments */
    assert_false(bst_udp_find(BST_LINK_IPV4, bst_buf_view(&packet), &at));
    packet.ptr[6] = 0;
    packet.ptr[9] = 6; /* TCP */
    assert_false(bst_udp_find(BST_LINK_IPV4, bst_buf_view(&packet), &at));
    packet.ptr[9] = 17;
    packet.ptr[25] = 4; /* UDP length below its header */
    assert_false(bst_udp_find(BST_LINK_IPV4, bst_buf_view(&packet), &at));
}

/* ---- framing ---- */

#define DRB_FRAME                                                                                  \
    "pdcp-nr\x02\x02\x12\x03\x01\x04\x01\x05\x05\x06\x01\x02\x0f\x10\x02\x07\x0e\x00\x06\x11\x01"  \
    "\x80\0\1pdu"

static void a_frame_is_read_and_written_with_tags_that_are_not_ours(void **state)
{
    struct bst_framed frame, back;
    bst_auto(buf) out = {0};
    assert_ok(bst_framed_parse(BST_VIEW(DRB_FRAME), &frame));
    assert_int_equal(frame.plane, BST_PDCP_DRB);
    assert_int_equal(frame.sn_bits, 18);
    assert_int_equal(frame.direction, BST_AIR_DOWNLINK);
    assert_int_equal(frame.rb_id, 5);
    assert_int_equal(frame.ueid, 0x102);
    assert_true(frame.mac_present && frame.not_ciphered && frame.compressed);
    assert_int_equal(frame.sdap, BST_FRAMED_SDAP_DOWNLINK);
    assert_int_equal(frame.pdu.len, 6);
    bst_framed_format(&frame, &out);
    assert_int_equal(out.len, sizeof DRB_FRAME - 1);
    assert_ok(bst_framed_parse(bst_buf_view(&out), &back));
    assert_true(back.compressed && back.ueid == frame.ueid && back.sdap == frame.sdap);
    assert_true(bst_view_eq(back.pdu, frame.pdu));
}

static void malformed_frames_are_refused(void **state)
{
    struct bst_framed frame;
    const size_t tags = sizeof DRB_FRAME - 1 - 7; /* up to the tag of the PDU */
    for (size_t len = 0; len < tags; len++) {
        assert_true(bst_failed(bst_framed_parse(bst_view_of(DRB_FRAME, len), &frame)));
    }
    assert_err(bst_framed_parse(BST_VIEW("pdcp-nr\x03\x01"), &frame), BST_E_VALUE);
    assert_err(bst_framed_parse(BST_VIEW("pdcp-nr\x02\x13\x01"), &frame), BST_E_SYNTAX);
    assert_err(bst_framed_parse(BST_VIEW("pdcp-nr\x02\x00\x01"), &frame), BST_E_SYNTAX);
    assert_err(bst_framed_parse(BST_VIEW("pdcp-nr\x02\x03\x02\x01"), &frame), BST_E_VALUE);
    assert_err(bst_framed_parse(BST_VIEW("pdcp-lte\x02\x01"), &frame), BST_E_SYNTAX);
    assert_false(bst_framed_is(BST_VIEW("pdcp-n")));
}

/* ---- traces ---- */

#define KEYS                                                                                       \
    "{\"ues\":[{\"ueid\":258,\"ciphering\":\"NEA2\",\"integrity\":\"NIA2\",\"kgnb\":"              \
    "\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"}]}"
#define K16 "\"000102030405060708090a0b0c0d0e0f\""
#define UE(members) "{\"ues\":[{\"ueid\":1," members "}]}"
#define ALGS "\"ciphering\":\"NEA2\",\"integrity\":\"NIA2\""

static void key_files_are_read_strictly(void **state)
{
    static const struct {
        const char *text;
        enum bst_error code;
    } cases[] = {
        {"", BST_E_SYNTAX},
        {"[]", BST_E_VALUE},
        {"{}", BST_E_SYNTAX},
        {"{\"ues\":[1]}", BST_E_VALUE},
        {"{\"ues\":[{}]}", BST_E_SYNTAX},
        {"{\"ues\":[],\"keys\":1}", BST_E_VALUE},
        {"{\"ues\":[],\"t_reordering_ms\":3001}", BST_E_VALUE},
        {"{\"ues\":[{\"ueid\":65536}]}", BST_E_VALUE},
        {UE(ALGS), BST_E_VALUE},
        {UE(ALGS ",\"kgnb\":\"00\""), BST_E_VALUE},
        {UE(ALGS ",\"kgnb\":1"), BST_E_VALUE},
        {UE(ALGS ",\"kgnb_label\":\"x\""), BST_E_USAGE},
        {UE(ALGS ",\"krrcenc\":" K16), BST_E_SYNTAX},
        {UE(ALGS ",\"krrcenc\":" K16 ",\"krrcint\":\"zz\""), BST_E_VALUE},
        {UE("\"ciphering\":\"NIA2\",\"integrity\":\"NIA2\",\"kgnb\":" K16), BST_E_VALUE},
        {UE("\"ciphering\":\"NEA2\",\"integrity\":\"NIA0\",\"kupenc\":" K16), BST_E_VALUE},
        {UE("\"combined\":\"NEA5\",\"kgnb\":" K16), BST_E_VALUE},
        {UE(ALGS ",\"mac_bits\":33,\"kgnb\":" K16), BST_E_VALUE},
        {UE(ALGS ",\"mac_bits\":64,\"kupenc\":" K16 ",\"kupint\":" K16), BST_E_VALUE},
        {UE(ALGS ",\"kupenc\":" K16 ",\"kupint\":" K16 ",\"starts\":[{\"plane\":\"x\"}]"),
         BST_E_SYNTAX},
        {UE(ALGS ",\"kupenc\":" K16 ",\"kupint\":" K16
                 ",\"starts\":[{\"plane\":\"drb\",\"rb\":33,\"direction\":\"uplink\",\"count\":"
                 "\"00000000\"}]"),
         BST_E_VALUE},
        {UE(ALGS ",\"kupenc\":" K16 ",\"kupint\":" K16
                 ",\"starts\":[{\"plane\":\"drb\",\"rb\":3,\"direction\":\"uplink\",\"count\":"
                 "\"0000000\"}]"),
         BST_E_VALUE},
        {UE(ALGS ",\"kupenc\":" K16 ",\"kupint\":" K16), BST_E_NONE},
        {UE(ALGS ",\"up_integrity\":false,\"kupenc\":" K16), BST_E_NONE},
        {"{\"ues\":[]}", BST_E_NONE},
        {KEYS, BST_E_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bst_auto(trace_keys) keys = {0};
        assert_err(bst_trace_keys_parse(bst_view(cases[i].text), NULL, &keys), cases[i].code);
    }
}

#define TWO(first, second)                                                                         \
    "{\"ues\":[{\"ueid\":7," first "},{\"ueid\":9," second "}]}"
#define KGNB "\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\""
#define TAIL16 "\"101112131415161718191A1B1C1D1E1F\""
#define NULLS "\"ciphering\":\"NEA0\",\"integrity\":\"NIA0\",\"emergency\":true"

static void two_devices_with_one_key_are_refused_and_named(void **state)
{
    static const struct {
        const char *text, *first, *second; /* what the message names; NULL: accepted */
    } cases[] = {
        {TWO(ALGS ",\"kgnb\":" KGNB, ALGS ",\"kgnb\":" KGNB), "'kgnb'", "'kgnb'"},
        {TWO(ALGS ",\"kgnb\":" KGNB, "\"ciphering\":\"NEA1\",\"integrity\":\"NIA1\",\"kgnb\":" KGNB),
         "'kgnb'", "'kgnb'"},
        {TWO(ALGS ",\"kupenc\":" K16 ",\"kupint\":" TAIL16,
             ALGS ",\"krrcenc\":" TAIL16 ",\"krrcint\":" K16),
         "'krrcenc'", "'kupint'"},
        {TWO(ALGS ",\"kgnb\":" KGNB, ALGS ",\"kupenc\":" TAIL16 ",\"kupint\":" K16), "'kupenc'",
         "'kgnb'"},
        {TWO(ALGS ",\"kgnb\":" KGNB, ALGS ",\"kupenc\":" K16 ",\"kupint\":" K16), NULL, NULL},
        {TWO(NULLS ",\"kupenc\":" K16, NULLS ",\"kupenc\":" K16), NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bst_auto(trace_keys) keys = {0};
        bst_result r = bst_trace_keys_parse(bst_view(cases[i].text), NULL, &keys);
        if (!cases[i].first) {
            assert_ok(r);
            continue;
        }
        assert_err(r, BST_E_VALUE);
        const char *said = bst_error_detail();
        const char *second = strstr(said, "entry 2 of 'ues' (ueid 9)");
        const char *first = strstr(said, "entry 1 (ueid 7)");
        assert_true(second && first && strstr(second, cases[i].first) &&
                    strstr(first, cases[i].second));
    }
}

static int64_t no_clock(void *ctx)
{
    return 0;
}

static bst_result bring(struct bst_se *se, const char *label, struct bst_view octets)
{
    bst_auto(secret) value = {0};
    bst_key key;
    BST_TRY(bst_secret_copy(&value, octets.ptr, octets.len));
    return bst_se_key_import(
        se,
        &(struct bst_key_attrs){
            .type = BST_KEY_SYMMETRIC, .uses = BST_KEY_USE_ROUTINE, .label = label},
        &value, &key);
}

static void a_key_inside_is_known_again_too(void **state)
{
    struct bst_se_host host;
    struct bst_se *se = NULL;
    uint8_t kgnb[32];
    bst_auto(trace_keys) keys = {0};
    for (size_t i = 0; i < sizeof kgnb; i++) {
        kgnb[i] = (uint8_t)i;
    }
    bst_se_host_file(&host, no_clock);
    assert_ok(bst_se_open(&host, "se:soft", &se));
    assert_ok(bring(se, "a", bst_view_of(kgnb, sizeof kgnb)));
    assert_ok(bring(se, "b", bst_view_of(kgnb, sizeof kgnb)));
    kgnb[31] ^= 1;
    assert_ok(bring(se, "c", bst_view_of(kgnb, sizeof kgnb)));
    static const char *const twice[] = {
        TWO(ALGS ",\"kgnb_label\":\"a\"", ALGS ",\"kgnb_label\":\"a\""),
        TWO(ALGS ",\"kgnb_label\":\"a\"", ALGS ",\"kgnb_label\":\"b\""),
        TWO(ALGS ",\"kgnb\":" KGNB, ALGS ",\"kgnb_label\":\"b\""),
    };
    for (size_t i = 0; i < sizeof twice / sizeof twice[0]; i++) {
        assert_err(bst_trace_keys_parse(bst_view(twice[i]), se, &keys), BST_E_VALUE);
        assert_non_null(strstr(bst_error_detail(), "keys of its own"));
    }
    assert_ok(bst_trace_keys_parse(
        BST_VIEW(TWO(ALGS ",\"kgnb_label\":\"a\"", ALGS ",\"kgnb_label\":\"c\"")), se, &keys));
    bst_se_close(&se);
}

static void add_packet(struct bst_buf *ret, struct bst_view framed)
{
    static const uint8_t a[4] = {10, 0, 0, 1};
    assert_ok(bst_udp_make(a, a, 9999, framed, ret));
}

struct passed {
    struct bst_trace trace;
    struct bst_trace_keys keys;
};

static void start(struct passed *p, bool sealing)
{
    *p = (struct passed){0};
    assert_ok(bst_trace_keys_parse(BST_VIEW(KEYS), NULL, &p->keys));
    assert_ok(bst_trace_init(&p->trace, &p->keys, sealing));
}

static void stop(struct passed *p)
{
    bst_trace_clear(&p->trace);
    bst_trace_keys_clear(&p->keys);
}

static bst_result pass(struct passed *p, const struct bst_buf *in, struct bst_buf *ret)
{
    const struct bst_pcap_packet packet = {ONE_US, BST_LINK_IPV4, (uint32_t)in->len,
                                           bst_buf_view(in)};
    bst_buf_clear(ret);
    return bst_trace_packet(&p->trace, &packet, ret);
}

/* A DRB of UE 258, SN 0, without MAC-I. */
#define CLEAR_FRAME                                                                                \
    "pdcp-nr\x02\x02\x12\x03\x01\x04\x01\x05\x05\x06\x01\x02\x11\x01\x80\0\0some data"

static void a_trace_is_protected_and_opened_again(void **state)
{
    struct passed seal, open;
    bst_auto(buf) clear = {0}, sealed = {0}, opened = {0};
    start(&seal, true);
    start(&open, false);
    add_packet(&clear, BST_VIEW(CLEAR_FRAME));
    assert_ok(pass(&seal, &clear, &sealed));
    assert_int_equal(sealed.len, clear.len + 4); /* MAC-I; one tag more, one less */
    assert_ok(pass(&open, &sealed, &opened));
    assert_true(bst_view_eq(bst_buf_view(&opened), bst_buf_view(&clear)));
    assert_err(pass(&open, &sealed, &opened), BST_E_REPLAY);
    assert_int_equal(opened.len, 0);
    assert_err(pass(&seal, &clear, &sealed), BST_E_REPLAY);
    assert_err(pass(&open, &clear, &opened), BST_E_BAD_MAC); /* no MAC-I at all */
    assert_int_equal(open.trace.tally.done, 1);
    assert_int_equal(open.trace.tally.refused, 2);
    stop(&seal);
    stop(&open);
}

static void no_bit_of_a_protected_packet_may_change(void **state)
{
    struct passed seal;
    bst_auto(buf) clear = {0}, sealed = {0}, opened = {0};
    struct bst_udp at;
    start(&seal, true);
    add_packet(&clear, BST_VIEW(CLEAR_FRAME));
    assert_ok(pass(&seal, &clear, &sealed));
    assert_true(bst_udp_find(BST_LINK_IPV4, bst_buf_view(&sealed), &at));
    const size_t pdu = sealed.len - strlen("some data") - 4 - 3;
    for (size_t bit = pdu * 8; bit < sealed.len * 8; bit++) {
        struct passed open;
        start(&open, false);
        sealed.ptr[bit / 8] = (char)(sealed.ptr[bit / 8] ^ 1 << bit % 8);
        bst_result r = pass(&open, &sealed, &opened);
        /* D/C makes a control PDU of it, which is copied as it is. */
        assert_true(bst_failed(r) || open.trace.tally.unprotected == 1);
        assert_int_equal(open.trace.tally.done, 0);
        sealed.ptr[bit / 8] = (char)(sealed.ptr[bit / 8] ^ 1 << bit % 8);
        stop(&open);
    }
    stop(&seal);
}

static void frames_without_their_facts_are_refused(void **state)
{
    struct passed open;
    bst_auto(buf) in = {0}, out = {0};
    start(&open, false);
    add_packet(&in, BST_VIEW("pdcp-nr\x02\x02\x12\x05\x05\x06\x01\x02\x0f\x01\x80\0\0some data"));
    assert_err(pass(&open, &in, &out), BST_E_VALUE); /* no direction */
    bst_buf_clear(&in);
    add_packet(&in, BST_VIEW("pdcp-nr\x02\x03\x01\x05\x05\x06\x01\x02\x0f\x01\x80\0\0some data"));
    assert_err(pass(&open, &in, &out), BST_E_VALUE); /* no length of SN */
    bst_buf_clear(&in);
    add_packet(&in, BST_VIEW("pdcp-nr\x02\x02\x12\x03\x01\x06\x01\x02\x0f\x01\x80\0\0some data"));
    assert_err(pass(&open, &in, &out), BST_E_VALUE); /* no bearer */
    bst_buf_clear(&in);
    add_packet(&in, BST_VIEW("pdcp-nr\x02\x99"));
    assert_err(pass(&open, &in, &out), BST_E_SYNTAX);
    stop(&open);
}

static void every_allocation_of_a_trace_may_fail(void **state)
{
    bst_auto(buf) clear = {0};
    add_packet(&clear, BST_VIEW(CLEAR_FRAME));
    for (long n = 1; n < 40; n++) {
        struct passed p = {0};
        bst_auto(buf) out = {0};
        bst_alloc_fail_at(n);
        bst_result r = bst_trace_keys_parse(BST_VIEW(KEYS), NULL, &p.keys);
        if (!bst_failed(r)) {
            r = bst_trace_init(&p.trace, &p.keys, true);
        }
        if (!bst_failed(r)) {
            r = pass(&p, &clear, &out);
        }
        bst_alloc_fail_at(0);
        assert_true(r.code == BST_E_NONE || r.code == BST_E_NOMEM || r.code == BST_E_CRYPTO);
        stop(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(every_form_of_capture_file_is_read),
        cmocka_unit_test(a_cut_capture_file_is_refused_or_ends_between_packets),
        cmocka_unit_test(lengths_that_lie_are_refused),
        cmocka_unit_test(a_datagram_gets_another_payload_and_right_sums),
        cmocka_unit_test(ipv6_and_other_links_are_found),
        cmocka_unit_test(what_is_no_whole_datagram_is_left_alone),
        cmocka_unit_test(a_frame_is_read_and_written_with_tags_that_are_not_ours),
        cmocka_unit_test(malformed_frames_are_refused),
        cmocka_unit_test(key_files_are_read_strictly),
        cmocka_unit_test(two_devices_with_one_key_are_refused_and_named),
        cmocka_unit_test(a_key_inside_is_known_again_too),
        cmocka_unit_test(a_trace_is_protected_and_opened_again),
        cmocka_unit_test(no_bit_of_a_protected_packet_may_change),
        cmocka_unit_test(frames_without_their_facts_are_refused),
        cmocka_unit_test(every_allocation_of_a_trace_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
