/* Capture files, datagrams, frames, traces and key files. What comes out of a trace is a packet
 * that is found again. */
#include "core5g/pcap/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEY "\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\""
#define OTHER_KEY "\"202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f\""
static const char key_file[] =
    "{\"ues\":[{\"ueid\":1,\"ciphering\":\"NEA2\",\"integrity\":\"NIA2\",\"kgnb\":" KEY "},"
    "{\"ueid\":0,\"ciphering\":\"NEA0\",\"integrity\":\"NIA2\",\"up_integrity\":false,"
    "\"kgnb\":" OTHER_KEY "}]}";

static void frame_again(struct bst_view payload)
{
    struct bst_framed frame, back;
    bst_auto(buf) out = {0};
    if (bst_failed(bst_framed_parse(payload, &frame))) {
        return;
    }
    bst_framed_format(&frame, &out);
    if (bst_failed(bst_framed_parse(bst_buf_view(&out), &back)) ||
        !bst_view_eq(frame.pdu, back.pdu) || frame.ueid != back.ueid || frame.rb_id != back.rb_id ||
        frame.mac_present != back.mac_present || frame.compressed != back.compressed ||
        frame.not_ciphered != back.not_ciphered) {
        abort();
    }
}

static void pass(struct bst_trace *trace, const struct bst_pcap_packet *packet)
{
    struct bst_udp at, after;
    bst_auto(buf) out = {0};
    bool found = bst_udp_find(packet->link, packet->octets, &at);
    if (found) {
        frame_again(bst_view_of(packet->octets.ptr + at.payload, at.end - at.payload));
    }
    if (!bst_failed(bst_trace_packet(trace, packet, &out)) && found &&
        (!bst_udp_find(packet->link, bst_buf_view(&out), &after) || after.payload != at.payload)) {
        abort();
    }
}

static void run(struct bst_view file, bool sealing)
{
    struct bst_pcap pcap;
    struct bst_pcap_packet packet;
    struct bst_trace trace;
    bool more = true;
    bst_auto(trace_keys) keys = {0};
    if (bst_failed(bst_trace_keys_parse(bst_view(key_file), NULL, &keys)) ||
        bst_failed(bst_trace_init(&trace, &keys, sealing))) {
        abort();
    }
    if (!bst_failed(bst_pcap_open(file, &pcap))) {
        while (!bst_failed(bst_pcap_next(&pcap, &packet, &more)) && more) {
            pass(&trace, &packet);
        }
    }
    bst_trace_clear(&trace);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bst_view in = bst_view_of(data, size);
    bst_auto(trace_keys) keys = {0};
    run(in, false);
    run(in, true);
    frame_again(in);
    (void)bst_trace_keys_parse(in, NULL, &keys).code;
    return 0;
}
