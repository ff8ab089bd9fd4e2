/* COUNT from sequence numbers, replay refusal, and waiting for what is missing. */
#include "core5g/pdcp/pdcp.h"

#define COUNTS (UINT64_C(1) << 32) /* one behind the last COUNT */

static uint64_t window_size(const struct bst_pdcp_window *w)
{
    return UINT64_C(1) << (w->sn_bits - 1);
}

static uint64_t slot(const struct bst_pdcp_window *w, uint64_t count)
{
    return count & (window_size(w) - 1);
}

static bool seen(const struct bst_pdcp_window *w, uint64_t count)
{
    uint64_t at = slot(w, count);
    return (w->seen[at / 8] >> at % 8 & 1) != 0;
}

static void mark(struct bst_pdcp_window *w, uint64_t count, bool on)
{
    uint64_t at = slot(w, count);
    unsigned bit = 1U << at % 8;
    w->seen[at / 8] = (uint8_t)(on ? w->seen[at / 8] | bit : w->seen[at / 8] & ~bit);
}

bst_result bst_pdcp_window_init(struct bst_pdcp_window *w, uint8_t sn_bits, uint32_t first,
                                int64_t t_reordering_us)
{
    *w = (struct bst_pdcp_window){.next = first,
                                  .deliv = first,
                                  .reord = first,
                                  .sn_bits = sn_bits,
                                  .t_reordering_us = t_reordering_us};
    BST_ENSURE(sn_bits == 12 || sn_bits == 18, BST_E_VALUE);
    w->seen = bst_alloc(window_size(w) / 8);
    BST_ENSURE(w->seen, BST_E_NOMEM);
    return BST_OK;
}

void bst_pdcp_window_clear(struct bst_pdcp_window *w)
{
    bst_free(w->seen);
    w->seen = NULL;
}

bst_result bst_pdcp_window_count(const struct bst_pdcp_window *w, uint32_t sn, uint32_t *ret_count)
{
    const uint64_t numbers = UINT64_C(1) << w->sn_bits, half = window_size(w);
    const uint64_t deliv_sn = w->deliv & (numbers - 1);
    uint64_t hfn = w->deliv >> w->sn_bits;
    if (sn + half < deliv_sn) {
        hfn++;
    } else if (sn >= deliv_sn + half) {
        if (hfn == 0) {
            BST_FAIL(BST_E_REPLAY, "SN %u lies before the first COUNT", sn);
        }
        hfn--;
    }
    if (hfn * numbers + sn >= COUNTS) {
        BST_FAIL(BST_E_LIMIT, "COUNT has wrapped: the key must be refreshed");
    }
    *ret_count = (uint32_t)(hfn * numbers + sn);
    return BST_OK;
}

bst_result bst_pdcp_window_fresh(const struct bst_pdcp_window *w, uint32_t count)
{
    if (count < w->deliv || (count < w->deliv + window_size(w) && seen(w, count))) {
        BST_FAIL(BST_E_REPLAY, "COUNT %08x was received before, or is too old", count);
    }
    return BST_OK;
}

static void advance(struct bst_pdcp_window *w)
{
    while (w->deliv < w->next && seen(w, w->deliv)) {
        mark(w, w->deliv, false);
        w->deliv++;
    }
}

/* Whether somebody is still missing, and since when. */
static void set_timer(struct bst_pdcp_window *w, int64_t now_us)
{
    if (w->running && w->deliv >= w->reord) {
        w->running = false;
    }
    if (!w->running && w->deliv < w->next) {
        w->reord = w->next;
        w->running = w->t_reordering_us >= 0;
        w->expires_us = w->running ? now_us + w->t_reordering_us : 0;
    }
}

void bst_pdcp_window_accept(struct bst_pdcp_window *w, int64_t now_us, uint32_t count)
{
    mark(w, count, true);
    if (count >= w->next) {
        w->next = (uint64_t)count + 1;
    }
    advance(w);
    set_timer(w, now_us);
}

bool bst_pdcp_window_tick(struct bst_pdcp_window *w, int64_t now_us)
{
    if (!w->running || now_us < w->expires_us) {
        return false;
    }
    while (w->deliv < w->reord) {
        mark(w, w->deliv, false);
        w->deliv++;
    }
    advance(w);
    w->running = false;
    set_timer(w, now_us);
    return true;
}
