/* The framing in front of a PDU: which tags there are is one table. */
#include "core5g/pcap/framed.h"

#define START BST_VIEW("pdcp-nr")
#define TAG_PDU 0x01

/* What Wireshark documents of its framing: tag, and octets behind it. */
enum {
    TAG_SN_BITS = 0x02,
    TAG_DIRECTION = 0x03,
    TAG_BEARER_TYPE = 0x04,
    TAG_BEARER_ID = 0x05,
    TAG_UEID = 0x06,
    TAG_ROHC = 0x07,
    TAG_MAC = 0x0f,
    TAG_SDAP = 0x10,
    TAG_NOT_CIPHERED = 0x11,
};
#define TAGS 0x12
static const struct {
    bool known, kept; /* kept: taken over as it stands, this code does not look at it */
    uint8_t octets;
} tags[TAGS] = {
    [TAG_SN_BITS] = {true, false, 1},
    [TAG_DIRECTION] = {true, false, 1},
    [TAG_BEARER_TYPE] = {true, false, 1},
    [TAG_BEARER_ID] = {true, false, 1},
    [TAG_UEID] = {true, false, 2},
    [TAG_ROHC] = {true, true, 0},
    [0x08] = {true, true, 1}, /* ROHC IP version */
    [0x09] = {true, true, 0}, /* ROHC CID inclusion */
    [0x0a] = {true, true, 0}, /* ROHC large CID */
    [0x0b] = {true, true, 1}, /* ROHC mode */
    [0x0c] = {true, true, 0}, /* ROHC RND */
    [0x0d] = {true, true, 0}, /* ROHC UDP checksum */
    [0x0e] = {true, true, 2}, /* ROHC profile */
    [TAG_MAC] = {true, false, 0},
    [TAG_SDAP] = {true, false, 1},
    [TAG_NOT_CIPHERED] = {true, false, 0},
};

bool bst_framed_is(struct bst_view payload)
{
    return bst_view_starts(payload, START);
}

static bst_result take_tag(struct bst_framed *frame, uint8_t tag, const uint8_t *value)
{
    switch (tag) {
    case TAG_SN_BITS:
        frame->sn_bits = value[0];
        break;
    case TAG_DIRECTION:
        BST_ENSURE(value[0] <= BST_AIR_DOWNLINK, BST_E_VALUE);
        frame->direction = (enum bst_air_direction)value[0];
        frame->has_direction = true;
        break;
    case TAG_BEARER_TYPE:
        frame->bearer_type = value[0];
        break;
    case TAG_BEARER_ID:
        frame->rb_id = value[0];
        break;
    case TAG_UEID:
        frame->ueid = (uint16_t)(value[0] << 8 | value[1]);
        frame->has_ueid = true;
        break;
    case TAG_MAC:
        frame->mac_present = true;
        break;
    case TAG_SDAP:
        frame->sdap = value[0];
        break;
    case TAG_NOT_CIPHERED:
        frame->not_ciphered = true;
        break;
    default:
        frame->compressed = frame->compressed || tag == TAG_ROHC;
    }
    return BST_OK;
}

/* Tags up to that of the PDU. */
static bst_result take_tags(struct bst_view *rest, struct bst_framed *frame)
{
    for (;;) {
        BST_ENSURE(rest->len > 0, BST_E_TRUNCATED);
        const uint8_t tag = (uint8_t)rest->ptr[0];
        if (tag == TAG_PDU) {
            return BST_OK;
        }
        if (tag >= TAGS || !tags[tag].known) {
            BST_FAIL(BST_E_SYNTAX, "the framing has an unknown tag %02x", tag);
        }
        BST_ENSURE(rest->len > tags[tag].octets, BST_E_TRUNCATED);
        BST_TRY(take_tag(frame, tag, (const uint8_t *)rest->ptr + 1));
        *rest = bst_view_from(*rest, (size_t)1 + tags[tag].octets);
    }
}

bst_result bst_framed_parse(struct bst_view payload, struct bst_framed *ret)
{
    struct bst_framed frame = {.bearer_type = BST_FRAMED_DCCH};
    BST_ENSURE(bst_framed_is(payload), BST_E_SYNTAX);
    struct bst_view rest = bst_view_from(payload, START.len);
    BST_ENSURE(rest.len > 0, BST_E_TRUNCATED);
    frame.plane = (enum bst_pdcp_plane)(uint8_t)rest.ptr[0];
    if (frame.plane != BST_PDCP_SRB && frame.plane != BST_PDCP_DRB) {
        BST_FAIL(BST_E_VALUE, "the framing has plane %u; 1 is signalling, 2 user data",
                 (unsigned)frame.plane);
    }
    frame.sn_bits = frame.plane == BST_PDCP_SRB ? 12 : 0;
    rest = bst_view_from(rest, 1);
    frame.tags = rest;
    BST_TRY(take_tags(&rest, &frame));
    frame.tags.len -= rest.len;
    frame.pdu = bst_view_from(rest, 1);
    *ret = frame;
    return BST_OK;
}

static void add_tag(struct bst_buf *ret, uint8_t tag, unsigned value)
{
    bst_buf_addc(ret, (char)tag);
    for (unsigned i = tags[tag].octets; i > 0; i--) {
        bst_buf_addc(ret, (char)(uint8_t)(value >> 8 * (i - 1)));
    }
}

static void keep_tags(const struct bst_framed *frame, struct bst_buf *ret)
{
    struct bst_view rest = frame->tags;
    while (rest.len > 0) {
        const uint8_t tag = (uint8_t)rest.ptr[0];
        const size_t len = (size_t)1 + tags[tag].octets;
        if (tags[tag].kept) {
            bst_buf_add(ret, rest.ptr, len);
        }
        rest = bst_view_from(rest, len);
    }
}

void bst_framed_format(const struct bst_framed *frame, struct bst_buf *ret)
{
    bst_buf_addv(ret, START);
    bst_buf_addc(ret, (char)frame->plane);
    if (frame->plane == BST_PDCP_DRB) {
        add_tag(ret, TAG_SN_BITS, frame->sn_bits);
    }
    if (frame->has_direction) {
        add_tag(ret, TAG_DIRECTION, frame->direction);
    }
    add_tag(ret, TAG_BEARER_TYPE, frame->bearer_type);
    add_tag(ret, TAG_BEARER_ID, frame->rb_id);
    if (frame->has_ueid) {
        add_tag(ret, TAG_UEID, frame->ueid);
    }
    if (frame->mac_present) {
        add_tag(ret, TAG_MAC, 0);
    }
    if (frame->sdap) {
        add_tag(ret, TAG_SDAP, frame->sdap);
    }
    if (frame->not_ciphered) {
        add_tag(ret, TAG_NOT_CIPHERED, 0);
    }
    keep_tags(frame, ret);
    bst_buf_addc(ret, TAG_PDU);
    bst_buf_addv(ret, frame->pdu);
}
