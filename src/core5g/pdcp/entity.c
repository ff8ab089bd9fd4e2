/* Transmitting and receiving entity: counting, delivery in order, and the end of a key's COUNTs. */
#include "core5g/pdcp/pdcp.h"

#define COUNTS (UINT64_C(1) << 32)

static bst_result refuse_same_key(const struct bst_pdcp_keys *old, const struct bst_pdcp_keys *new)
{
    if (memcmp(old->id, new->id, sizeof old->id) == 0) {
        BST_FAIL(BST_E_BAD_KEY,
                 "the new keys are the old ones: their COUNTs would be used again; derive a new "
                 "KgNB first");
    }
    return BST_OK;
}

/* ---- transmitting ---- */

bst_result bst_pdcp_tx_init(struct bst_pdcp_tx *tx, const struct bst_pdcp_bearer *bearer,
                            struct bst_pdcp_keys *keys, uint32_t first)
{
    BST_TRY(bst_pdcp_bearer_check(bearer, keys));
    *tx = (struct bst_pdcp_tx){*bearer, keys, first, BST_PDCP_REFRESH_LEFT};
    return BST_OK;
}

bst_result bst_pdcp_send(struct bst_pdcp_tx *tx, struct bst_view sdu, struct bst_buf *ret)
{
    if (tx->next >= COUNTS) {
        BST_FAIL(BST_E_LIMIT, "every COUNT of this key is used: refresh KgNB and re-establish");
    }
    BST_TRY(bst_pdcp_seal(tx->keys, &tx->bearer, (uint32_t)tx->next, sdu, ret));
    tx->next++;
    return BST_OK;
}

bool bst_pdcp_tx_refresh_due(const struct bst_pdcp_tx *tx)
{
    return COUNTS - tx->next <= tx->refresh_left;
}

bst_result bst_pdcp_tx_reestablish(struct bst_pdcp_tx *tx, struct bst_pdcp_keys *keys,
                                   bool keep_count)
{
    BST_TRY(refuse_same_key(tx->keys, keys));
    BST_TRY(bst_pdcp_bearer_check(&tx->bearer, keys));
    tx->keys = keys;
    tx->next = keep_count ? tx->next : 0;
    return BST_OK;
}

/* ---- receiving ---- */

/* An SDU that waits for earlier ones. */
struct waiting {
    size_t len;
    char octets[];
};

static struct bst_view key_of(const uint32_t *count)
{
    return bst_view_of(count, sizeof *count);
}

static struct waiting *take_waiting(struct bst_pdcp_rx *rx, uint64_t count)
{
    const uint32_t name = (uint32_t)count;
    struct waiting *w = bst_map_remove(&rx->stored, key_of(&name));
    rx->stored_bytes -= w ? w->len : 0;
    return w;
}

static void free_waiting(struct waiting *w)
{
    bst_wipe(w->octets, w->len);
    bst_free(w);
}

/* Everything that is not waited for any longer goes up, in order. */
static void deliver_until(struct bst_pdcp_rx *rx, uint64_t end)
{
    for (; rx->stored.count > 0 && rx->delivered < end; rx->delivered++) {
        struct waiting *w = take_waiting(rx, rx->delivered);
        if (w) {
            rx->setup.deliver(rx->setup.ctx, (uint32_t)rx->delivered,
                              bst_view_of(w->octets, w->len));
            free_waiting(w);
        }
    }
    rx->delivered = end;
}

static void drop_waiting(struct bst_pdcp_rx *rx)
{
    size_t cursor = 0;
    void *value;
    struct bst_view key;
    while (bst_map_next(&rx->stored, &cursor, &key, &value)) {
        free_waiting(value);
    }
    bst_map_clear(&rx->stored);
    rx->stored = (struct bst_map){0};
    rx->stored_bytes = 0;
}

static bst_result keep_waiting(struct bst_pdcp_rx *rx, uint32_t count, struct bst_view sdu)
{
    if (rx->stored_bytes + sdu.len > rx->setup.stored_max_bytes) {
        BST_FAIL(BST_E_LIMIT, "%zu octets wait for earlier SDUs already", rx->stored_bytes);
    }
    struct waiting *w = bst_alloc(sizeof *w + sdu.len);
    BST_ENSURE(w, BST_E_NOMEM);
    w->len = sdu.len;
    if (sdu.len > 0) {
        memcpy(w->octets, sdu.ptr, sdu.len);
    }
    bst_result r = bst_map_set(&rx->stored, key_of(&count), w, NULL);
    if (bst_failed(r)) {
        free_waiting(w);
        return r;
    }
    rx->stored_bytes += sdu.len;
    return BST_OK;
}

bst_result bst_pdcp_rx_init(struct bst_pdcp_rx *rx, const struct bst_pdcp_rx_setup *setup,
                            struct bst_pdcp_keys *keys)
{
    *rx = (struct bst_pdcp_rx){.setup = *setup, .keys = keys, .delivered = setup->first};
    if (!rx->setup.stored_max_bytes) {
        rx->setup.stored_max_bytes = BST_PDCP_STORED_MAX;
    }
    BST_TRY(bst_pdcp_bearer_check(&setup->bearer, keys));
    return bst_pdcp_window_init(&rx->window, setup->bearer.sn_bits, setup->first,
                                setup->t_reordering_us);
}

void bst_pdcp_rx_clear(struct bst_pdcp_rx *rx)
{
    drop_waiting(rx);
    bst_pdcp_window_clear(&rx->window);
}

void bst_pdcp_rx_tick(struct bst_pdcp_rx *rx, int64_t now_us)
{
    if (bst_pdcp_window_tick(&rx->window, now_us)) {
        deliver_until(rx, rx->window.deliv);
    }
}

/* A fresh and authentic SDU. */
static bst_result take_sdu(struct bst_pdcp_rx *rx, int64_t now_us, uint32_t count,
                           struct bst_view sdu)
{
    const bool at_once = rx->setup.out_of_order || count == rx->window.deliv;
    if (!at_once) {
        BST_TRY(keep_waiting(rx, count, sdu));
    }
    bst_pdcp_window_accept(&rx->window, now_us, count);
    if (at_once) {
        rx->setup.deliver(rx->setup.ctx, count, sdu);
    }
    deliver_until(rx, rx->window.deliv);
    bst_pdcp_rx_tick(rx, now_us);
    return BST_OK;
}

bst_result bst_pdcp_receive(struct bst_pdcp_rx *rx, int64_t now_us, struct bst_view pdu)
{
    struct bst_pdcp_header header;
    bst_auto(buf) sdu = {0};
    uint32_t count;
    bst_pdcp_rx_tick(rx, now_us);
    BST_TRY(bst_pdcp_header_parse(&rx->setup.bearer, pdu, &header));
    if (header.control) {
        return BST_OK;
    }
    bst_result r = bst_pdcp_window_count(&rx->window, header.sn, &count);
    if (!bst_failed(r)) {
        r = bst_pdcp_open(rx->keys, &rx->setup.bearer, count, pdu, &sdu);
    }
    if (!bst_failed(r)) {
        r = bst_pdcp_window_fresh(&rx->window, count);
    }
    if (!bst_failed(r)) {
        r = take_sdu(rx, now_us, count, bst_buf_view(&sdu));
    }
    rx->forged += r.code == BST_E_BAD_MAC;
    rx->replayed += r.code == BST_E_REPLAY;
    bst_buf_wipe(&sdu);
    return r;
}

bool bst_pdcp_rx_refresh_due(const struct bst_pdcp_rx *rx)
{
    return COUNTS - rx->window.next <= BST_PDCP_REFRESH_LEFT;
}

bst_result bst_pdcp_rx_reestablish(struct bst_pdcp_rx *rx, struct bst_pdcp_keys *keys,
                                   bool keep_count)
{
    struct bst_pdcp_window fresh;
    BST_TRY(refuse_same_key(rx->keys, keys));
    BST_TRY(bst_pdcp_bearer_check(&rx->setup.bearer, keys));
    if (!keep_count) {
        BST_TRY(bst_pdcp_window_init(&fresh, rx->window.sn_bits, 0, rx->window.t_reordering_us));
        if (rx->setup.bearer.plane == BST_PDCP_DRB) {
            deliver_until(rx, rx->window.next);
        }
        drop_waiting(rx);
        bst_pdcp_window_clear(&rx->window);
        rx->window = fresh;
        rx->delivered = 0;
    }
    rx->keys = keys;
    return BST_OK;
}
