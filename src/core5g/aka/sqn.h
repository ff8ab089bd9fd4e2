/* Sequence numbers by TS 33.102 Annex C: SQN = SEQ || IND with an IND of 5 bits, counters that are
 * not time-based (profile 2).
 *
 * Home side: numbers are reserved in blocks, so that storage is written once a block and no number
 * is given out twice, whenever the machine stops. Device side: the highest SEQ accepted for each
 * IND. */
#pragma once

#include "base/text.h"

#define BST_SQN_BYTES 6
#define BST_SQN_IND_BITS 5
#define BST_SQN_INDS (1u << BST_SQN_IND_BITS)
#define BST_SQN_SEQ_MAX ((UINT64_C(1) << (48 - BST_SQN_IND_BITS)) - 1)
/** A SEQ that is farther ahead than this is refused (C.2.1, C.3.2). */
#define BST_SQN_DELTA (UINT64_C(1) << 28)
#define BST_SQN_BLOCK 4096

void bst_sqn_write(uint64_t seq, unsigned ind, uint8_t out[BST_SQN_BYTES]);
void bst_sqn_read(const uint8_t in[BST_SQN_BYTES], uint64_t *ret_seq, unsigned *ret_ind);

/* ---- home network ---- */

/** Where the counters of subscribers are kept. */
struct bst_sqn_host {
    void *ctx;
    /** What was kept last; 0 for a subscriber without. */
    bst_result (*load)(void *ctx, const char *subscriber, uint64_t *ret_seq);
    /** Every SEQ below `seq` may have been used. Durable when it returns success. */
    bst_result (*keep)(void *ctx, const char *subscriber, uint64_t seq);
};

/** Counter of one subscriber. One thread at a time. */
struct bst_sqn_counter {
    const struct bst_sqn_host *host;
    const char *subscriber;  /* borrowed */
    uint64_t next, reserved; /* SEQ to give out next; below `reserved` without asking the host */
    uint64_t block;
    unsigned ind;
};
/** @param block  numbers to reserve at once, 0 for BST_SQN_BLOCK */
bst_result bst_sqn_open(struct bst_sqn_counter *counter, const struct bst_sqn_host *host,
                        const char *subscriber, uint64_t block);
/** The next SQN; SEQ and IND both go on by one.
 * @error BST_E_LIMIT  all numbers are used  @clause TS 33.102 C.1.1, C.3.2 */
bst_result bst_sqn_next(struct bst_sqn_counter *counter, uint8_t ret[BST_SQN_BYTES]);
/** After a verified AUTS: go on from the device's number unless the device would accept the next
 * one anyway.  @clause TS 33.102 6.3.5 */
bst_result bst_sqn_resync(struct bst_sqn_counter *counter, const uint8_t sqn_ms[BST_SQN_BYTES]);

/* ---- device ---- */

struct bst_sqn_array {
    uint64_t seq[BST_SQN_INDS];
};
/** Fresh: above what this IND has seen and not too far ahead of everything.
 * @clause TS 33.102 C.2.2 */
bool bst_sqn_fresh(const struct bst_sqn_array *array, const uint8_t sqn[BST_SQN_BYTES]);
void bst_sqn_accept(struct bst_sqn_array *array, const uint8_t sqn[BST_SQN_BYTES]);
/** SQN_MS: the highest number accepted so far. */
void bst_sqn_highest(const struct bst_sqn_array *array, uint8_t out[BST_SQN_BYTES]);
