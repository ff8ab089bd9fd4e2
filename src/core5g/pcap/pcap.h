/* Capture files in memory: pcap and pcapng are read, pcap is written; and the UDP payload inside a
 * packet. No I/O. */
#pragma once

#include "base/text.h"

#define BST_PCAP_PACKET_MAX 262144

/* Link types that bst_udp_find() knows (LINKTYPE_...). */
enum {
    BST_LINK_NULL = 0,
    BST_LINK_ETHERNET = 1,
    BST_LINK_RAW = 101,
    BST_LINK_COOKED = 113,
    BST_LINK_USER2 = 149, /* begins with the UDP header, as srsRAN writes it */
    BST_LINK_IPV4 = 228,
    BST_LINK_IPV6 = 229,
    BST_LINK_COOKED2 = 276,
};

struct bst_pcap_packet {
    int64_t time_us; /* wall */
    uint32_t link;
    uint32_t original_bytes; /* before the capture cut it */
    struct bst_view octets;  /* in the file's bytes */
};

#define BST_PCAP_INTERFACES_MAX 64
/** Reader over a whole file, which stays where it is. */
struct bst_pcap {
    struct bst_view rest;
    bool next_generation, big_endian;
    uint64_t number; /* of the packet read last, from 1 */
    size_t n_interfaces;
    struct bst_pcap_interface {
        uint32_t link, snaplen; /* 0: not cut */
        uint64_t ticks_per_s;
    } interfaces[BST_PCAP_INTERFACES_MAX]; /* pcap: the first one */
};
/** @error BST_E_SYNTAX  not a capture file */
bst_result bst_pcap_open(struct bst_view file, struct bst_pcap *ret);
/** The next packet; *ret_more false at the end.
 * @error BST_E_TRUNCATED @error BST_E_SYNTAX  the detail tells where */
bst_result bst_pcap_next(struct bst_pcap *pcap, struct bst_pcap_packet *ret, bool *ret_more);

/** Begin a pcap file; appended. */
void bst_pcap_begin(struct bst_buf *ret, uint32_t link);
void bst_pcap_add(struct bst_buf *ret, int64_t time_us, struct bst_view octets);

/** Where a UDP datagram lies in a packet. */
struct bst_udp {
    size_t ip, udp, payload, end; /* offsets; ip == udp: there is no IP header */
    uint8_t ip_version;           /* 0: none */
    uint16_t source, destination;
};
/** False for anything else: other protocols, fragments, cut packets. */
bool bst_udp_find(uint32_t link, struct bst_view packet, struct bst_udp *ret);
/** The packet with another payload; lengths and checksums fit it. Appended.
 * @error BST_E_TOO_LONG */
bst_result bst_udp_replace(struct bst_view packet, const struct bst_udp *at,
                           struct bst_view payload, struct bst_buf *ret);
/** An IPv4 packet with a datagram, for a file of BST_LINK_IPV4. Appended. */
bst_result bst_udp_make(const uint8_t source[4], const uint8_t destination[4], uint16_t port,
                        struct bst_view payload, struct bst_buf *ret);
