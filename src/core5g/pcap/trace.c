/* Packet by packet through a trace: which keys, which COUNT, and what the other trace gets. */
#include "core5g/pcap/trace.h"

/* One direction of one bearer. */
struct stream {
    struct bst_pdcp_window window;
    bool secured; /* security was activated: from now on nothing unprotected is taken */
};

bst_result bst_trace_init(struct bst_trace *trace, struct bst_trace_keys *keys, bool sealing)
{
    *trace = (struct bst_trace){.keys = keys, .sealing = sealing};
    return BST_OK;
}

void bst_trace_clear(struct bst_trace *trace)
{
    size_t cursor = 0;
    struct bst_view key;
    void *value;
    while (bst_map_next(&trace->streams, &cursor, &key, &value)) {
        bst_pdcp_window_clear(&((struct stream *)value)->window);
        bst_free(value);
    }
    bst_map_clear(&trace->streams);
}

/* ---- which keys, which COUNT ---- */

static uint32_t first_count(const struct bst_trace *trace, const struct bst_framed *frame)
{
    for (size_t i = 0; i < trace->keys->n_starts; i++) {
        const struct bst_trace_start *s = &trace->keys->starts[i];
        if (s->ueid == frame->ueid && s->plane == frame->plane && s->rb_id == frame->rb_id &&
            s->direction == frame->direction) {
            return s->count;
        }
    }
    return 0;
}

static bst_result find_stream(struct bst_trace *trace, const struct bst_framed *frame,
                              struct stream **ret)
{
    const uint8_t name[] = {(uint8_t)(frame->ueid >> 8), (uint8_t)frame->ueid,
                            (uint8_t)frame->plane, frame->rb_id, (uint8_t)frame->direction};
    const struct bst_view key = bst_view_of(name, sizeof name);
    *ret = bst_map_get(&trace->streams, key);
    if (*ret) {
        if ((*ret)->window.sn_bits != frame->sn_bits) {
            BST_FAIL(BST_E_VALUE, "the bearer had %u bits of SN before, now %u",
                     (*ret)->window.sn_bits, frame->sn_bits);
        }
        return BST_OK;
    }
    struct stream *made = bst_alloc(sizeof *made);
    BST_ENSURE(made, BST_E_NOMEM);
    bst_result r = bst_pdcp_window_init(&made->window, frame->sn_bits, first_count(trace, frame),
                                        trace->keys->t_reordering_us);
    if (!bst_failed(r)) {
        r = bst_map_set(&trace->streams, key, made, NULL);
    }
    if (bst_failed(r)) {
        bst_pdcp_window_clear(&made->window);
        bst_free(made);
        return r;
    }
    *ret = made;
    return BST_OK;
}

static struct bst_trace_ue *find_ue(const struct bst_trace *trace, uint16_t ueid)
{
    for (size_t i = 0; i < trace->keys->n_ues; i++) {
        if (trace->keys->ues[i].ueid == ueid) {
            return &trace->keys->ues[i];
        }
    }
    return NULL;
}

/* ---- what a frame says of itself, against what is configured ---- */

static struct bst_pdcp_bearer bearer_of(const struct bst_trace *trace,
                                        const struct bst_trace_ue *ue,
                                        const struct bst_framed *frame)
{
    const bool srb = frame->plane == BST_PDCP_SRB;
    const unsigned sdap =
        frame->direction == BST_AIR_UPLINK ? BST_FRAMED_SDAP_UPLINK : BST_FRAMED_SDAP_DOWNLINK;
    return (struct bst_pdcp_bearer){
        .plane = frame->plane,
        .rb_id = frame->rb_id,
        .sn_bits = frame->sn_bits,
        .sdap_bytes = !srb && (frame->sdap & sdap) ? 1 : 0,
        .direction = frame->direction,
        .ciphering = srb ? trace->sealing || !frame->not_ciphered : ue->up_ciphering,
        .integrity = srb || ue->up_integrity,
    };
}

/* TS 33.501 6.6.4.2: what comes without the protection that was activated is not taken. */
static bst_result check_marks(const struct bst_trace_ue *ue, const struct bst_framed *frame)
{
    if (frame->plane == BST_PDCP_SRB) {
        return BST_OK;
    }
    if (frame->mac_present != ue->up_integrity) {
        BST_FAIL(ue->up_integrity ? BST_E_BAD_MAC : BST_E_VALUE, "the PDU has %s MAC-I, %s",
                 frame->mac_present ? "a" : "no",
                 ue->up_integrity ? "integrity is activated" : "integrity is not activated");
    }
    if (frame->not_ciphered && ue->up_ciphering) {
        BST_FAIL(BST_E_VALUE, "the PDU is not ciphered, ciphering is activated");
    }
    return BST_OK;
}

/* The MAC-I field of an SRB before security is activated (TS 38.323 6.3.4). */
static bool padded(struct bst_view pdu)
{
    static const uint8_t zeros[BST_PDCP_MAC_BYTES];
    return pdu.len >= sizeof zeros &&
           bst_equal_ct(pdu.ptr + pdu.len - sizeof zeros, zeros, sizeof zeros);
}

/* ---- one PDU ---- */

/* A frame on its way from one trace to the other. */
struct passage {
    struct bst_framed frame;
    struct bst_trace_ue *ue;
    struct bst_pdcp_keys *keys;
    struct bst_pdcp_bearer bearer;
    struct bst_pdcp_header header;
    struct stream *stream;
    uint32_t count;
};

static bst_result open_pdu(struct passage *p, struct bst_buf *pdu)
{
    static const uint8_t zeros[BST_PDCP_MAC_BYTES];
    BST_TRY(check_marks(p->ue, &p->frame));
    bst_buf_add(pdu, p->frame.pdu.ptr, p->header.bytes);
    BST_TRY(bst_pdcp_open(p->keys, &p->bearer, p->count, p->frame.pdu, pdu));
    BST_TRY(bst_pdcp_window_fresh(&p->stream->window, p->count));
    if (p->frame.plane == BST_PDCP_SRB) {
        bst_buf_add(pdu, zeros, sizeof zeros);
    }
    p->frame.mac_present = p->frame.plane == BST_PDCP_SRB && p->frame.mac_present;
    p->frame.not_ciphered = true;
    return BST_OK;
}

/* Keystream is made once for each COUNT: what was there before is refused first. */
static bst_result seal_pdu(struct passage *p, struct bst_buf *pdu)
{
    struct bst_view sdu = bst_view_from(p->frame.pdu, p->header.bytes);
    const bool srb = p->frame.plane == BST_PDCP_SRB;
    BST_TRY(bst_pdcp_window_fresh(&p->stream->window, p->count));
    if (srb ? !padded(sdu) : p->frame.mac_present) {
        BST_FAIL(BST_E_VALUE, "the PDU has a MAC-I already: protect what is in clear");
    }
    sdu.len -= srb ? BST_PDCP_MAC_BYTES : 0;
    BST_TRY(bst_pdcp_seal(p->keys, &p->bearer, p->count, sdu, pdu));
    p->frame.mac_present = bst_pdcp_mac_bytes(&p->bearer, p->keys) > 0;
    p->frame.not_ciphered = !p->bearer.ciphering;
    return BST_OK;
}

static bool before_activation(const struct bst_trace *trace, const struct passage *p)
{
    return !trace->sealing && p->frame.plane == BST_PDCP_SRB && !p->stream->secured &&
           p->keys->suite.integrity != 0 && padded(p->frame.pdu);
}

/* Fills `pdu` and p->frame for the other trace. */
static bst_result pass_pdu(struct bst_trace *trace, int64_t time_us, struct passage *p,
                           struct bst_buf *pdu)
{
    BST_TRY(find_stream(trace, &p->frame, &p->stream));
    struct bst_pdcp_window *window = &p->stream->window;
    (void)bst_pdcp_window_tick(window, time_us);
    BST_TRY(bst_pdcp_window_count(window, p->header.sn, &p->count));
    if (before_activation(trace, p)) {
        BST_TRY(bst_pdcp_window_fresh(window, p->count));
        bst_buf_addv(pdu, p->frame.pdu);
        trace->tally.unprotected++;
    } else {
        BST_TRY(trace->sealing ? seal_pdu(p, pdu) : open_pdu(p, pdu));
        p->stream->secured = true;
        trace->tally.done++;
    }
    bst_pdcp_window_accept(window, time_us, p->count);
    return bst_buf_check(pdu);
}

static bst_result pass_frame(struct bst_trace *trace, const struct bst_pcap_packet *packet,
                             const struct bst_udp *at, struct passage *p, struct bst_buf *ret)
{
    bst_auto(buf) pdu = {0}, framed = {0};
    if (!p->frame.has_direction) {
        BST_FAIL(BST_E_VALUE, "the frame does not say its direction");
    }
    p->bearer = bearer_of(trace, p->ue, &p->frame);
    BST_TRY(bst_pdcp_bearer_check(&p->bearer, p->keys));
    BST_TRY(bst_pdcp_header_parse(&p->bearer, p->frame.pdu, &p->header));
    if (p->header.control) {
        trace->tally.unprotected++;
        bst_buf_addv(ret, packet->octets);
        return bst_buf_check(ret);
    }
    bst_result r = pass_pdu(trace, packet->time_us, p, &pdu);
    if (!bst_failed(r)) {
        p->frame.pdu = bst_buf_view(&pdu);
        bst_framed_format(&p->frame, &framed);
        r = bst_buf_check(&framed);
    }
    if (!bst_failed(r)) {
        r = bst_udp_replace(packet->octets, at, bst_buf_view(&framed), ret);
    }
    bst_buf_wipe(&pdu);
    bst_buf_wipe(&framed);
    return r;
}

/* False: no frame of ours, or none that we have keys for. */
static bst_result find_frame(struct bst_trace *trace, const struct bst_pcap_packet *packet,
                             struct bst_udp *at, struct passage *p, bool *ret_ours)
{
    *ret_ours = false;
    if (!bst_udp_find(packet->link, packet->octets, at)) {
        return BST_OK;
    }
    const struct bst_view payload =
        bst_view_of(packet->octets.ptr + at->payload, at->end - at->payload);
    if (!bst_framed_is(payload)) {
        return BST_OK;
    }
    BST_TRY(bst_framed_parse(payload, &p->frame));
    p->ue = find_ue(trace, p->frame.ueid);
    const bool srb = p->frame.plane == BST_PDCP_SRB;
    p->keys = !p->ue ? NULL : srb ? &p->ue->rrc : &p->ue->up;
    *ret_ours = p->keys && p->keys->ciphering.algorithm &&
                (!srb || p->frame.bearer_type == BST_FRAMED_DCCH);
    return BST_OK;
}

bst_result bst_trace_packet(struct bst_trace *trace, const struct bst_pcap_packet *packet,
                            struct bst_buf *ret)
{
    struct passage p = {0};
    struct bst_udp at;
    bool ours;
    bst_result r = find_frame(trace, packet, &at, &p, &ours);
    if (!bst_failed(r) && !ours) {
        trace->tally.other++;
        bst_buf_addv(ret, packet->octets);
        return bst_buf_check(ret);
    }
    if (!bst_failed(r)) {
        r = pass_frame(trace, packet, &at, &p, ret);
    }
    trace->tally.refused += bst_failed(r);
    return r;
}
