/* PDCP-NR PDUs as Wireshark's dissector takes them out of UDP datagrams (heuristic "pdcp_nr_udp"):
 * "pdcp-nr", the plane, tagged facts, and the PDU. */
#pragma once

#include "core5g/pdcp/pdcp.h"

struct bst_framed {
    enum bst_pdcp_plane plane;
    uint8_t sn_bits;
    enum bst_air_direction direction;
    uint8_t bearer_type; /* 1: DCCH, DTCH; others are not protected */
    uint8_t rb_id;
    uint16_t ueid;
    bool has_direction, has_ueid;
    bool mac_present;
    uint8_t sdap; /* bit 0: uplink has SDAP headers, bit 1: downlink has */
    bool not_ciphered;
    bool compressed;      /* ROHC */
    struct bst_view tags; /* between plane and PDU, as they stand */
    struct bst_view pdu;
};
#define BST_FRAMED_DCCH 1
#define BST_FRAMED_SDAP_UPLINK 1
#define BST_FRAMED_SDAP_DOWNLINK 2

/** True when a datagram begins like one of these. */
bool bst_framed_is(struct bst_view payload);
/** @error BST_E_SYNTAX @error BST_E_TRUNCATED @error BST_E_VALUE */
bst_result bst_framed_parse(struct bst_view payload, struct bst_framed *ret);
/** Write the frame with its PDU; tags that these fields do not have are taken over. Appended. */
void bst_framed_format(const struct bst_framed *frame, struct bst_buf *ret);
