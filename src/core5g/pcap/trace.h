/* A trace of framed PDCP-NR PDUs, opened or protected packet by packet with the keys of a file. */
#pragma once

#include "core5g/pcap/framed.h"
#include "core5g/pcap/pcap.h"

#define BST_TRACE_KEYFILE_MAX 65536
#define BST_TRACE_UES_MAX 256

/** One device of a trace. */
struct bst_trace_ue {
    uint16_t ueid;
    struct bst_pdcp_suite suite;
    bool up_ciphering, up_integrity; /* activated on its DRBs */
    struct bst_pdcp_keys rrc, up;
};
/** A bearer that does not begin at COUNT 0. */
struct bst_trace_start {
    uint16_t ueid;
    enum bst_pdcp_plane plane;
    uint8_t rb_id;
    enum bst_air_direction direction;
    uint32_t count;
};
struct bst_trace_keys {
    struct bst_trace_ue *ues;
    size_t n_ues;
    struct bst_trace_start *starts;
    size_t n_starts;
    int64_t t_reordering_us;
};
/** Read a key file (its form is in docs/5g.md).
 * @param se  where keys given by label are, or NULL
 * @error BST_E_SYNTAX @error BST_E_VALUE @error BST_E_NOT_FOUND  the detail names the member */
bst_result bst_trace_keys_parse(struct bst_view text, struct bst_se *se,
                                struct bst_trace_keys *ret);
void bst_trace_keys_clear(struct bst_trace_keys *keys);

/** What became of the packets. */
struct bst_trace_tally {
    uint64_t done;        /* opened, or protected */
    uint64_t unprotected; /* SRB PDUs from before security was activated, and control PDUs */
    uint64_t other;       /* no PDCP-NR, or of a device without keys: copied */
    uint64_t refused;
};
struct bst_trace {
    struct bst_trace_keys *keys; /* borrowed */
    bool sealing;
    struct bst_map streams;
    struct bst_trace_tally tally;
};
bst_result bst_trace_init(struct bst_trace *trace, struct bst_trace_keys *keys, bool sealing);
void bst_trace_clear(struct bst_trace *trace);
/** One packet: what the other trace gets is appended, nothing for a refused one.
 * @error  a refused PDU; the trace goes on with the next packet  */
bst_result bst_trace_packet(struct bst_trace *trace, const struct bst_pcap_packet *packet,
                            struct bst_buf *ret);
