/* Capture files: the classic format and its successor, octet by octet. */
#include "core5g/pcap/pcap.h"

#include "base/time.h"

#define MAGIC_US 0xa1b2c3d4U
#define MAGIC_NS 0xa1b23c4dU
#define BLOCK_SECTION 0x0a0d0d0aU
#define BYTE_ORDER_MAGIC 0x1a2b3c4dU
#define BLOCK_INTERFACE 1U
#define BLOCK_SIMPLE 3U
#define BLOCK_ENHANCED 6U
#define OPTION_END 0U
#define OPTION_TSRESOL 9U
#define FILE_HEADER 24U
#define RECORD_HEADER 16U
#define BLOCK_FRAME 12U /* type, length, and length again */
#define LINK_MASK 0x0fffffffU
#define SECONDS_MAX (UINT64_C(1) << 40)

static uint32_t number(const struct bst_pcap *pcap, const char *at, size_t bytes)
{
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value = value << 8 | (uint8_t)at[pcap->big_endian ? i : bytes - 1 - i];
    }
    return value;
}

static int64_t time_of(uint64_t ticks, uint64_t ticks_per_s)
{
    uint64_t s = ticks / ticks_per_s;
    if (s > SECONDS_MAX) {
        return 0;
    }
    double fraction = (double)(ticks % ticks_per_s) * BST_US_PER_S / (double)ticks_per_s;
    return (int64_t)s * BST_US_PER_S + (int64_t)fraction;
}

/* ---- opening ---- */

static bst_result open_classic(struct bst_pcap *pcap)
{
    struct bst_pcap_interface *face = &pcap->interfaces[0];
    BST_ENSURE(pcap->rest.len >= FILE_HEADER, BST_E_TRUNCATED);
    const uint32_t magic = number(pcap, pcap->rest.ptr, 4);
    *face = (struct bst_pcap_interface){.link = number(pcap, pcap->rest.ptr + 20, 4) & LINK_MASK,
                                        .ticks_per_s = magic == MAGIC_NS ? 1000000000 : 1000000};
    pcap->n_interfaces = 1;
    pcap->rest = bst_view_from(pcap->rest, FILE_HEADER);
    return BST_OK;
}

bst_result bst_pcap_open(struct bst_view file, struct bst_pcap *ret)
{
    *ret = (struct bst_pcap){.rest = file};
    for (unsigned big = 0; file.len >= 4 && big < 2; big++) {
        ret->big_endian = big != 0;
        const uint32_t magic = number(ret, file.ptr, 4);
        if (magic == BLOCK_SECTION) {
            ret->next_generation = true;
            return BST_OK;
        }
        if (magic == MAGIC_US || magic == MAGIC_NS) {
            return open_classic(ret);
        }
    }
    BST_FAIL(BST_E_SYNTAX, "this is no capture file (pcap or pcapng)");
}

/* ---- the classic format ---- */

static bst_result next_record(struct bst_pcap *pcap, struct bst_pcap_packet *ret)
{
    const char *at = pcap->rest.ptr;
    BST_ENSURE(pcap->rest.len >= RECORD_HEADER, BST_E_TRUNCATED);
    const uint32_t captured = number(pcap, at + 8, 4);
    const struct bst_pcap_interface *face = &pcap->interfaces[0];
    BST_ENSURE(captured <= BST_PCAP_PACKET_MAX, BST_E_SYNTAX);
    BST_ENSURE(captured <= pcap->rest.len - RECORD_HEADER, BST_E_TRUNCATED);
    const uint64_t ticks = number(pcap, at, 4) * face->ticks_per_s + number(pcap, at + 4, 4);
    *ret = (struct bst_pcap_packet){time_of(ticks, face->ticks_per_s), face->link,
                                    number(pcap, at + 12, 4),
                                    bst_view_of(at + RECORD_HEADER, captured)};
    pcap->rest = bst_view_from(pcap->rest, RECORD_HEADER + captured);
    return BST_OK;
}

/* ---- pcapng ---- */

struct block {
    uint32_t type;
    struct bst_view body;
};

/* A section says its octet order in its first block. */
static void learn_order(struct bst_pcap *pcap)
{
    const char *at = pcap->rest.ptr;
    if (pcap->rest.len >= BLOCK_FRAME && number(pcap, at, 4) == BLOCK_SECTION &&
        number(pcap, at + 8, 4) != BYTE_ORDER_MAGIC) {
        pcap->big_endian = !pcap->big_endian;
    }
}

static bst_result next_block(struct bst_pcap *pcap, struct block *ret)
{
    learn_order(pcap);
    const char *at = pcap->rest.ptr;
    BST_ENSURE(pcap->rest.len >= BLOCK_FRAME, BST_E_TRUNCATED);
    const uint32_t len = number(pcap, at + 4, 4);
    BST_ENSURE(len >= BLOCK_FRAME && len % 4 == 0, BST_E_SYNTAX);
    BST_ENSURE(len <= pcap->rest.len, BST_E_TRUNCATED);
    BST_ENSURE(number(pcap, at + len - 4, 4) == len, BST_E_SYNTAX);
    *ret = (struct block){number(pcap, at, 4), bst_view_of(at + 8, len - BLOCK_FRAME)};
    pcap->rest = bst_view_from(pcap->rest, len);
    return BST_OK;
}

/* if_tsresol: a power of ten, or with the high bit of two. */
static bst_result read_resolution(uint8_t code, uint64_t *ret)
{
    const unsigned power = code & 0x7f, base = code & 0x80 ? 2 : 10;
    BST_ENSURE(power <= (base == 2 ? 63U : 19U), BST_E_SYNTAX);
    *ret = 1;
    for (unsigned i = 0; i < power; i++) {
        *ret *= base;
    }
    return BST_OK;
}

static bst_result read_options(const struct bst_pcap *pcap, struct bst_view options,
                               struct bst_pcap_interface *face)
{
    while (options.len >= 4) {
        const uint32_t code = number(pcap, options.ptr, 2), len = number(pcap, options.ptr + 2, 2);
        BST_ENSURE(len <= options.len - 4, BST_E_SYNTAX);
        if (code == OPTION_END) {
            return BST_OK;
        }
        if (code == OPTION_TSRESOL && len == 1) {
            BST_TRY(read_resolution((uint8_t)options.ptr[4], &face->ticks_per_s));
        }
        options = bst_view_from(options, 4 + (len + 3) / 4 * (size_t)4);
    }
    return BST_OK;
}

static bst_result add_interface(struct bst_pcap *pcap, struct bst_view body)
{
    BST_ENSURE(body.len >= 8, BST_E_SYNTAX);
    BST_ENSURE(pcap->n_interfaces < BST_PCAP_INTERFACES_MAX, BST_E_LIMIT);
    struct bst_pcap_interface *face = &pcap->interfaces[pcap->n_interfaces];
    *face = (struct bst_pcap_interface){.link = number(pcap, body.ptr, 2),
                                        .snaplen = number(pcap, body.ptr + 4, 4),
                                        .ticks_per_s = 1000000};
    BST_TRY(read_options(pcap, bst_view_from(body, 8), face));
    pcap->n_interfaces++;
    return BST_OK;
}

static bst_result take_enhanced(const struct bst_pcap *pcap, struct bst_view body,
                                struct bst_pcap_packet *ret)
{
    BST_ENSURE(body.len >= 20, BST_E_SYNTAX);
    const uint32_t face = number(pcap, body.ptr, 4), captured = number(pcap, body.ptr + 12, 4);
    BST_ENSURE(face < pcap->n_interfaces && captured <= body.len - 20 &&
                   captured <= BST_PCAP_PACKET_MAX,
               BST_E_SYNTAX);
    const uint64_t ticks =
        (uint64_t)number(pcap, body.ptr + 4, 4) << 32 | number(pcap, body.ptr + 8, 4);
    *ret = (struct bst_pcap_packet){time_of(ticks, pcap->interfaces[face].ticks_per_s),
                                    pcap->interfaces[face].link, number(pcap, body.ptr + 16, 4),
                                    bst_view_of(body.ptr + 20, captured)};
    return BST_OK;
}

/* No time, no captured length: what was not cut off. */
static bst_result take_simple(const struct bst_pcap *pcap, struct bst_view body,
                              struct bst_pcap_packet *ret)
{
    BST_ENSURE(body.len >= 4 && pcap->n_interfaces > 0, BST_E_SYNTAX);
    const uint32_t original = number(pcap, body.ptr, 4), cut = pcap->interfaces[0].snaplen;
    const uint32_t captured = cut && cut < original ? cut : original;
    BST_ENSURE(captured <= body.len - 4 && captured <= BST_PCAP_PACKET_MAX, BST_E_SYNTAX);
    *ret = (struct bst_pcap_packet){0, pcap->interfaces[0].link, original,
                                    bst_view_of(body.ptr + 4, captured)};
    return BST_OK;
}

/* Reads blocks up to the next one with a packet. */
static bst_result next_in_blocks(struct bst_pcap *pcap, struct bst_pcap_packet *ret, bool *ret_more)
{
    struct block block;
    while (pcap->rest.len > 0) {
        BST_TRY(next_block(pcap, &block));
        *ret_more = block.type == BLOCK_ENHANCED || block.type == BLOCK_SIMPLE;
        if (block.type == BLOCK_SECTION) {
            pcap->n_interfaces = 0;
        } else if (block.type == BLOCK_INTERFACE) {
            BST_TRY(add_interface(pcap, block.body));
        } else if (*ret_more) {
            return block.type == BLOCK_ENHANCED ? take_enhanced(pcap, block.body, ret)
                                                : take_simple(pcap, block.body, ret);
        }
    }
    *ret_more = false;
    return BST_OK;
}

bst_result bst_pcap_next(struct bst_pcap *pcap, struct bst_pcap_packet *ret, bool *ret_more)
{
    bst_result r = BST_OK;
    *ret_more = pcap->rest.len > 0;
    if (*ret_more) {
        r = pcap->next_generation ? next_in_blocks(pcap, ret, ret_more) : next_record(pcap, ret);
    }
    if (bst_failed(r)) {
        BST_FAIL(r.code, "the capture file is damaged behind packet %llu",
                 (unsigned long long)pcap->number);
    }
    pcap->number += *ret_more;
    return BST_OK;
}

/* ---- writing ---- */

static void add_number(struct bst_buf *ret, uint32_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        bst_buf_addc(ret, (char)(uint8_t)(value >> 8 * i));
    }
}

void bst_pcap_begin(struct bst_buf *ret, uint32_t link)
{
    add_number(ret, MAGIC_US, 4);
    add_number(ret, 2, 2); /* version 2.4 */
    add_number(ret, 4, 2);
    add_number(ret, 0, 4);
    add_number(ret, 0, 4);
    add_number(ret, BST_PCAP_PACKET_MAX, 4);
    add_number(ret, link, 4);
}

void bst_pcap_add(struct bst_buf *ret, int64_t time_us, struct bst_view octets)
{
    add_number(ret, (uint32_t)(time_us / BST_US_PER_S), 4);
    add_number(ret, (uint32_t)(time_us % BST_US_PER_S), 4);
    add_number(ret, (uint32_t)octets.len, 4);
    add_number(ret, (uint32_t)octets.len, 4);
    bst_buf_addv(ret, octets);
}
