/* PDUs in any order at any time into a receiving entity, and back from a transmitting one. Without
 * integrity each PDU counts; what comes out has a COUNT once, and in order where that is asked. */
#include "core5g/pdcp/pdcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEEN 4096
struct watch {
    bool ordered, any;
    uint32_t last, seen[SEEN];
    size_t n;
};

static void deliver(void *ctx, uint32_t count, struct bst_view sdu)
{
    struct watch *w = ctx;
    for (size_t i = 0; i < w->n; i++) {
        if (w->seen[i] == count) {
            abort();
        }
    }
    if (w->ordered && w->any && count <= w->last) {
        abort();
    }
    w->last = count;
    w->any = true;
    if (w->n < SEEN) {
        w->seen[w->n++] = count;
    }
}

static void check_window(const struct bst_pdcp_window *w)
{
    if (w->deliv > w->next || w->next > UINT64_C(1) << 32) {
        abort();
    }
}

/* What was sealed opens, and is what it was. */
static void round_trip(struct bst_pdcp_keys *keys, const struct bst_pdcp_bearer *bearer,
                       uint32_t count, struct bst_view text)
{
    bst_auto(buf) pdu = {0}, sdu = {0};
    if (!bst_failed(bst_pdcp_seal(keys, bearer, count, text, &pdu)) &&
        (bst_failed(bst_pdcp_open(keys, bearer, count, bst_buf_view(&pdu), &sdu)) ||
         !bst_view_eq(bst_buf_view(&sdu), text))) {
        abort();
    }
}

static void receive(struct bst_pdcp_keys *keys, const struct bst_pdcp_bearer *bearer, uint8_t mode,
                    uint32_t first, struct bst_view in)
{
    struct watch watch = {.ordered = !(mode & 1)};
    struct bst_pdcp_rx rx;
    int64_t now_us = 0;
    const struct bst_pdcp_rx_setup setup = {.bearer = *bearer,
                                            .first = first,
                                            .t_reordering_us = mode & 2 ? 10 : -1,
                                            .out_of_order = (mode & 1) != 0,
                                            .stored_max_bytes = 1000,
                                            .deliver = deliver,
                                            .ctx = &watch};
    if (!bst_failed(bst_pdcp_rx_init(&rx, &setup, keys))) {
        while (in.len > 2) {
            const size_t want = (uint8_t)in.ptr[0] % 16,
                         len = want < in.len - 2 ? want : in.len - 2;
            now_us += (uint8_t)in.ptr[1];
            (void)bst_pdcp_receive(&rx, now_us, bst_view_of(in.ptr + 2, len)).code;
            check_window(&rx.window);
            in = bst_view_from(in, 2 + len);
        }
        bst_pdcp_rx_tick(&rx, now_us + 100);
        check_window(&rx.window);
    }
    bst_pdcp_rx_clear(&rx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t octets[32] = {1, 2, 3};
    if (size < 8) {
        return 0;
    }
    const struct bst_pdcp_suite suite = {.ciphering = data[0] & 7,
                                         .integrity = data[0] >> 3 & 7,
                                         .combined = (data[0] & 64) != 0,
                                         .emergency = (data[0] & 128) != 0,
                                         .mac_bytes = data[1] & 31};
    const struct bst_pdcp_bearer bearer = {data[2] & 1 ? BST_PDCP_DRB : BST_PDCP_SRB,
                                           (uint8_t)(data[2] >> 2 & 63),
                                           data[3] & 1 ? 18 : 12,
                                           data[3] >> 1 & 3,
                                           (enum bst_air_direction)(data[3] >> 3 & 1),
                                           (data[3] & 16) != 0,
                                           (data[3] & 32) != 0};
    const uint32_t first =
        (uint32_t)data[4] << 24 | (uint32_t)data[5] << 16 | (uint32_t)data[6] << 8 | data[7];
    const struct bst_view key = bst_view_of(octets, sizeof octets);
    struct bst_view rest = bst_view_of(data + 8, size - 8);
    bst_auto(pdcp_keys) keys = {0};
    if (!bst_failed(bst_pdcp_keys_init(&keys, &suite, key, key))) {
        round_trip(&keys, &bearer, first, rest);
        receive(&keys, &bearer, data[3] >> 6, first, rest);
    }
    return 0;
}
