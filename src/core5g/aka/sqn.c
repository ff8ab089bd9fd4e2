/* Generation, acceptance and resynchronisation of sequence numbers, TS 33.102 6.3 and Annex C. */
#include "core5g/aka/sqn.h"

void bst_sqn_write(uint64_t seq, unsigned ind, uint8_t out[BST_SQN_BYTES])
{
    uint64_t sqn = seq << BST_SQN_IND_BITS | ind;
    for (int i = BST_SQN_BYTES - 1; i >= 0; i--) {
        out[i] = (uint8_t)sqn;
        sqn >>= 8;
    }
}

void bst_sqn_read(const uint8_t in[BST_SQN_BYTES], uint64_t *ret_seq, unsigned *ret_ind)
{
    uint64_t sqn = 0;
    for (int i = 0; i < BST_SQN_BYTES; i++) {
        sqn = sqn << 8 | in[i];
    }
    *ret_seq = sqn >> BST_SQN_IND_BITS;
    *ret_ind = (unsigned)(sqn & (BST_SQN_INDS - 1));
}

/* ---- home network ---- */

bst_result bst_sqn_open(struct bst_sqn_counter *counter, const struct bst_sqn_host *host,
                        const char *subscriber, uint64_t block)
{
    uint64_t kept = 0;
    BST_TRY(host->load(host->ctx, subscriber, &kept));
    if (kept > BST_SQN_SEQ_MAX + 1) {
        BST_FAIL(BST_E_CORRUPT, "the sequence number kept for %s is out of range", subscriber);
    }
    /* SEQ 0 is never sent: a new device has seen it. */
    uint64_t next = kept ? kept : 1;
    *counter = (struct bst_sqn_counter){.host = host,
                                        .subscriber = subscriber,
                                        .next = next,
                                        .reserved = next,
                                        .block = block ? block : BST_SQN_BLOCK};
    return BST_OK;
}

/* Storage first: what it says is never behind what was given out. */
static bst_result reserve(struct bst_sqn_counter *counter, uint64_t from)
{
    uint64_t left = BST_SQN_SEQ_MAX + 1 - from;
    if (left == 0) {
        BST_FAIL(BST_E_LIMIT,
                 "the sequence numbers of %s are used up; the subscription needs new keys",
                 counter->subscriber);
    }
    uint64_t reserved = from + (left < counter->block ? left : counter->block);
    BST_TRY(counter->host->keep(counter->host->ctx, counter->subscriber, reserved));
    counter->next = from;
    counter->reserved = reserved;
    return BST_OK;
}

bst_result bst_sqn_next(struct bst_sqn_counter *counter, uint8_t ret[BST_SQN_BYTES])
{
    if (counter->next == counter->reserved) {
        BST_TRY(reserve(counter, counter->next));
    }
    bst_sqn_write(counter->next++, counter->ind, ret);
    counter->ind = (counter->ind + 1) % BST_SQN_INDS;
    return BST_OK;
}

bst_result bst_sqn_resync(struct bst_sqn_counter *counter, const uint8_t sqn_ms[BST_SQN_BYTES])
{
    uint64_t seq;
    unsigned ind;
    bst_sqn_read(sqn_ms, &seq, &ind);
    bool next_is_accepted = counter->next > seq && counter->next - seq <= BST_SQN_DELTA;
    return next_is_accepted ? BST_OK : reserve(counter, seq + 1);
}

/* ---- device ---- */

static unsigned highest_ind(const struct bst_sqn_array *array)
{
    unsigned best = 0;
    for (unsigned i = 1; i < BST_SQN_INDS; i++) {
        best = array->seq[i] > array->seq[best] ? i : best;
    }
    return best;
}

bool bst_sqn_fresh(const struct bst_sqn_array *array, const uint8_t sqn[BST_SQN_BYTES])
{
    uint64_t seq, highest = array->seq[highest_ind(array)];
    unsigned ind;
    bst_sqn_read(sqn, &seq, &ind);
    return seq > array->seq[ind] && (seq <= highest || seq - highest <= BST_SQN_DELTA);
}

void bst_sqn_accept(struct bst_sqn_array *array, const uint8_t sqn[BST_SQN_BYTES])
{
    uint64_t seq;
    unsigned ind;
    bst_sqn_read(sqn, &seq, &ind);
    array->seq[ind] = seq;
}

void bst_sqn_highest(const struct bst_sqn_array *array, uint8_t out[BST_SQN_BYTES])
{
    unsigned ind = highest_ind(array);
    bst_sqn_write(array->seq[ind], ind, out);
}
