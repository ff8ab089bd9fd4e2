/* From a captured packet to the payload of its UDP datagram, and back with another payload. */
#include "core5g/pcap/pcap.h"

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define PROTOCOL_UDP 17
#define UDP_HEADER 8
#define IPV4_HEADER 20
#define IPV6_HEADER 40
#define DATAGRAM_MAX 65535
#define TAGS_MAX 4
#define EXTENSIONS_MAX 8
#define ANY_IP (-1)

static uint8_t octet(struct bst_view packet, size_t at)
{
    return (uint8_t)packet.ptr[at];
}

static uint16_t be16(struct bst_view packet, size_t at)
{
    return (uint16_t)(octet(packet, at) << 8 | octet(packet, at + 1));
}

static bool room(struct bst_view packet, size_t at, size_t len)
{
    return at <= packet.len && len <= packet.len - at;
}

/* ---- layers ---- */

struct link_row {
    uint32_t link;
    uint8_t header;
    int8_t type_at; /* of the EtherType; ANY_IP: the first nibble tells */
};
static const struct link_row links[] = {
    {BST_LINK_NULL, 4, ANY_IP}, {BST_LINK_ETHERNET, 14, 12}, {BST_LINK_RAW, 0, ANY_IP},
    {BST_LINK_COOKED, 16, 14},  {BST_LINK_COOKED2, 20, 0},   {BST_LINK_IPV4, 0, ANY_IP},
    {BST_LINK_IPV6, 0, ANY_IP},
};

static bool is_tag(uint16_t type)
{
    return type == 0x8100 || type == 0x88a8 || type == 0x9100;
}

/* Where IP begins; 0 for a link or a type that has none. */
static uint8_t find_ip(const struct link_row *row, struct bst_view packet, size_t *ret)
{
    size_t at = row->header;
    if (!room(packet, at, 1)) {
        return 0;
    }
    *ret = at;
    if (row->type_at == ANY_IP) {
        return octet(packet, at) >> 4;
    }
    uint16_t type = be16(packet, (size_t)row->type_at);
    for (unsigned i = 0; i < TAGS_MAX && is_tag(type) && room(packet, at, 4); i++, at += 4) {
        type = be16(packet, at + 2);
    }
    *ret = at;
    return type == ETHERTYPE_IPV4 ? 4 : type == ETHERTYPE_IPV6 ? 6 : 0;
}

static bool find_udp_v4(struct bst_view packet, struct bst_udp *at)
{
    if (!room(packet, at->ip, IPV4_HEADER) || octet(packet, at->ip) >> 4 != 4) {
        return false;
    }
    const size_t header = (octet(packet, at->ip) & 15) * (size_t)4;
    const size_t total = be16(packet, at->ip + 2);
    const bool fragment = (be16(packet, at->ip + 6) & 0x3fff) != 0;
    at->udp = at->ip + header;
    at->end = at->ip + total;
    return header >= IPV4_HEADER && total >= header && room(packet, at->ip, total) && !fragment &&
           octet(packet, at->ip + 9) == PROTOCOL_UDP;
}

static bool is_extension(uint8_t next)
{
    return next == 0 || next == 43 || next == 60;
}

static bool find_udp_v6(struct bst_view packet, struct bst_udp *at)
{
    if (!room(packet, at->ip, IPV6_HEADER) || octet(packet, at->ip) >> 4 != 6) {
        return false;
    }
    uint8_t next = octet(packet, at->ip + 6);
    at->udp = at->ip + IPV6_HEADER;
    at->end = at->udp + be16(packet, at->ip + 4);
    for (unsigned i = 0; i < EXTENSIONS_MAX && is_extension(next) && room(packet, at->udp, 8);
         i++) {
        next = octet(packet, at->udp);
        at->udp += (octet(packet, at->udp + 1) + (size_t)1) * 8;
    }
    return next == PROTOCOL_UDP && at->end <= packet.len && at->udp <= at->end;
}

static bool read_udp(struct bst_view packet, struct bst_udp *at)
{
    if (at->end < at->udp || at->end - at->udp < UDP_HEADER) {
        return false;
    }
    const size_t len = be16(packet, at->udp + 4);
    if (len < UDP_HEADER || len > at->end - at->udp) {
        return false;
    }
    at->source = be16(packet, at->udp);
    at->destination = be16(packet, at->udp + 2);
    at->payload = at->udp + UDP_HEADER;
    at->end = at->udp + len;
    return true;
}

bool bst_udp_find(uint32_t link, struct bst_view packet, struct bst_udp *ret)
{
    *ret = (struct bst_udp){0};
    if (link == BST_LINK_USER2) {
        ret->end = packet.len;
        return read_udp(packet, ret);
    }
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        if (links[i].link == link) {
            ret->ip_version = find_ip(&links[i], packet, &ret->ip);
            return (ret->ip_version == 4   ? find_udp_v4(packet, ret)
                    : ret->ip_version == 6 ? find_udp_v6(packet, ret)
                                           : false) &&
                   read_udp(packet, ret);
        }
    }
    return false;
}

/* ---- another payload ---- */

static void put16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* RFC 1071, without the last complement. */
static uint32_t sum(const uint8_t *at, size_t len, uint32_t start)
{
    for (size_t i = 0; i < len; i++) {
        start += i % 2 ? at[i] : (uint32_t)at[i] << 8;
    }
    return start;
}

static uint16_t folded(uint32_t total)
{
    while (total >> 16) {
        total = (total & 0xffff) + (total >> 16);
    }
    return (uint16_t)~total;
}

static void fit_ip(uint8_t *packet, const struct bst_udp *at, size_t datagram)
{
    uint8_t *ip = packet + at->ip;
    const size_t header = at->udp - at->ip;
    if (at->ip_version == 4) {
        put16(ip + 2, header + datagram);
        put16(ip + 10, 0);
        put16(ip + 10, folded(sum(ip, header, 0)));
    } else if (at->ip_version == 6) {
        put16(ip + 4, header - IPV6_HEADER + datagram);
    }
}

/* With IPv4 a checksum of 0 says that there is none; a sum of 0 is written as ffff. */
static void fit_udp(uint8_t *packet, const struct bst_udp *at, size_t datagram)
{
    uint8_t *udp = packet + at->udp;
    const bool v6 = at->ip_version == 6;
    const bool wanted = v6 || (at->ip_version == 4 && (udp[6] || udp[7]));
    put16(udp + 4, datagram);
    put16(udp + 6, 0);
    if (wanted) {
        const uint8_t *addresses = packet + at->ip + (v6 ? 8 : 12);
        uint32_t total = sum(addresses, v6 ? 32 : 8, (uint32_t)(PROTOCOL_UDP + datagram));
        uint16_t checksum = folded(sum(udp, datagram, total));
        put16(udp + 6, checksum ? checksum : 0xffff);
    }
}

bst_result bst_udp_replace(struct bst_view packet, const struct bst_udp *at,
                           struct bst_view payload, struct bst_buf *ret)
{
    const size_t datagram = UDP_HEADER + payload.len;
    if (at->udp - at->ip + datagram > DATAGRAM_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "%zu octets do not fit a UDP datagram", payload.len);
    }
    char *out = bst_buf_reserve(ret, at->payload + payload.len);
    BST_ENSURE(out, BST_E_NOMEM);
    memcpy(out, packet.ptr, at->payload);
    if (payload.len > 0) {
        memcpy(out + at->payload, payload.ptr, payload.len);
    }
    fit_ip((uint8_t *)out, at, datagram);
    fit_udp((uint8_t *)out, at, datagram);
    ret->len += at->payload + payload.len;
    return BST_OK;
}

bst_result bst_udp_make(const uint8_t source[4], const uint8_t destination[4], uint16_t port,
                        struct bst_view payload, struct bst_buf *ret)
{
    uint8_t empty[IPV4_HEADER + UDP_HEADER] = {0x45, [8] = 64, PROTOCOL_UDP};
    const struct bst_udp at = {
        .udp = IPV4_HEADER, .payload = sizeof empty, .end = sizeof empty, .ip_version = 4};
    memcpy(empty + 12, source, 4);
    memcpy(empty + 16, destination, 4);
    put16(empty + IPV4_HEADER, port);
    put16(empty + IPV4_HEADER + 2, port);
    empty[IPV4_HEADER + 6] = 1; /* a checksum is wanted */
    return bst_udp_replace(bst_view_of(empty, sizeof empty), &at, payload, ret);
}
