/* Packet data convergence protocol of 5G NR (TS 38.323), the part that protects: PDUs, COUNT, the
 * receive window, ciphering and integrity of signalling and data radio bearers.
 *
 * No I/O and no clock: PDUs and times come from the caller. Header compression, status reports and
 * duplication are not here. With algorithms 4 to 6 everything is experimental: their identities and
 * IVs are in the table of core5g/air/air.c. */
#pragma once

#include "base/map.h"
#include "core5g/air/air.h"
#include "se/se.h"

#define BST_PDCP_SDU_MAX 9000 /* TS 38.323 4.3.1 */
#define BST_PDCP_MAC_BYTES 4
#define BST_PDCP_HEADER_MAX 3
/** What a PDU has more than its SDU, at most. */
#define BST_PDCP_OVERHEAD_MAX (BST_PDCP_HEADER_MAX + BST_AIR_TAG_MAX)
#define BST_PDCP_RB_MAX 32

enum bst_pdcp_plane { BST_PDCP_SRB = 1, BST_PDCP_DRB = 2 };

/* ---- keys ---- */

/** Algorithms by their identities. */
struct bst_pdcp_suite {
    uint8_t ciphering, integrity; /* NEA and NIA */
    bool combined;                /* NCA of the number `ciphering`; `integrity` is the same */
    bool emergency;               /* unauthenticated emergency session: NIA0 with NEA0 may be */
    uint8_t mac_bytes;            /* 0: 4; other lengths with algorithms 4 to 6 only */
};

/** Keys of one plane of one device, for all its bearers and both directions. One thread at a time;
 * clear() is harmless. */
struct bst_pdcp_keys {
    struct bst_pdcp_suite suite;
    struct bst_air_key ciphering, integrity; /* combined: the first only */
    uint8_t id[16];                          /* tells keys apart without showing them */
    bool experimental;
};
/** @param ciphering, integrity  as long as the algorithm wants, or 32 octets of which it takes the
 *                               last ones (TS 33.501 A.8); ignored by null algorithms
 * @error BST_E_VALUE  no such algorithm  @error BST_E_BAD_KEY */
bst_result bst_pdcp_keys_init(struct bst_pdcp_keys *keys, const struct bst_pdcp_suite *suite,
                              struct bst_view ciphering, struct bst_view integrity);
/** From KgNB.  @clause TS 33.501 A.8 */
bst_result bst_pdcp_keys_derive(struct bst_pdcp_keys *keys, const struct bst_pdcp_suite *suite,
                                enum bst_pdcp_plane plane, struct bst_view kgnb);
/** The same with a KgNB that stays in a secure environment (BST_KEY_USE_ROUTINE). */
bst_result bst_pdcp_keys_derive_se(struct bst_pdcp_keys *keys, const struct bst_pdcp_suite *suite,
                                   enum bst_pdcp_plane plane, struct bst_se *se, bst_key kgnb);
void bst_pdcp_keys_clear(struct bst_pdcp_keys *keys);

/* ---- one PDU ---- */

/** One direction of a radio bearer, as RRC configures it. */
struct bst_pdcp_bearer {
    enum bst_pdcp_plane plane;
    uint8_t rb_id;      /* radio bearer identity, 1 to 4 or 1 to 32; BEARER is one less */
    uint8_t sn_bits;    /* 12, or on a DRB 18 */
    uint8_t sdap_bytes; /* SDAP header of a DRB: 0 or 1; integrity covers it, ciphering does not */
    enum bst_air_direction direction;
    bool ciphering, integrity; /* activated; an SRB has the MAC-I field in any case */
};
/** @error BST_E_VALUE  not a bearer of TS 38.323, or an algorithm that it must not have */
bst_result bst_pdcp_bearer_check(const struct bst_pdcp_bearer *bearer,
                                 const struct bst_pdcp_keys *keys);

struct bst_pdcp_header {
    bool control; /* PDCP control PDU of a DRB: neither numbered nor protected */
    uint32_t sn;
    size_t bytes;
};
/** @error BST_E_TRUNCATED  @clause TS 38.323 6.2.2 */
bst_result bst_pdcp_header_parse(const struct bst_pdcp_bearer *bearer, struct bst_view pdu,
                                 struct bst_pdcp_header *ret);
size_t bst_pdcp_mac_bytes(const struct bst_pdcp_bearer *bearer, const struct bst_pdcp_keys *keys);

/** Make the data PDU of an SDU: appended to `ret`. Who calls this takes care that a COUNT is used
 * once with a key; bst_pdcp_send() does.
 * @error BST_E_TOO_LONG  @error BST_E_TRUNCATED  shorter than its SDAP header
 * @clause TS 38.323 5.8, 5.9 */
bst_result bst_pdcp_seal(struct bst_pdcp_keys *keys, const struct bst_pdcp_bearer *bearer,
                         uint32_t count, struct bst_view sdu, struct bst_buf *ret);
/** Decipher and verify: the SDU is appended to `ret`, nothing when it is not authentic.
 * @error BST_E_BAD_MAC  @error BST_E_TRUNCATED  no room for header, SDAP header and MAC-I */
bst_result bst_pdcp_open(struct bst_pdcp_keys *keys, const struct bst_pdcp_bearer *bearer,
                         uint32_t count, struct bst_view pdu, struct bst_buf *ret);

/* ---- the receive window ---- */

/** State variables of TS 38.323 7.1. They are wider than COUNT, so that the last COUNT of a key has
 * a successor that is none. */
struct bst_pdcp_window {
    uint64_t next, deliv, reord; /* RX_NEXT, RX_DELIV, RX_REORD */
    uint8_t sn_bits;
    int64_t t_reordering_us; /* negative: no limit */
    int64_t expires_us;      /* of a running t-Reordering */
    bool running;
    uint8_t *seen; /* a bit for each COUNT from RX_DELIV on, by COUNT modulo the window size */
};
/** @param first  COUNT that is expected first */
bst_result bst_pdcp_window_init(struct bst_pdcp_window *window, uint8_t sn_bits, uint32_t first,
                                int64_t t_reordering_us);
void bst_pdcp_window_clear(struct bst_pdcp_window *window);
/** COUNT of a sequence number.
 * @error BST_E_REPLAY  it would lie before the first COUNT
 * @error BST_E_LIMIT   it would lie behind the last one: the key must have been refreshed
 * @clause TS 38.323 5.2.2.1 */
bst_result bst_pdcp_window_count(const struct bst_pdcp_window *window, uint32_t sn,
                                 uint32_t *ret_count);
/** @error BST_E_REPLAY  received before, or given up waiting for */
bst_result bst_pdcp_window_fresh(const struct bst_pdcp_window *window, uint32_t count);
/** Note a fresh COUNT: moves RX_NEXT and RX_DELIV, starts and stops t-Reordering. */
void bst_pdcp_window_accept(struct bst_pdcp_window *window, int64_t now_us, uint32_t count);
/** Give up waiting when t-Reordering has expired; true when it had.  @clause TS 38.323 5.2.2.2 */
bool bst_pdcp_window_tick(struct bst_pdcp_window *window, int64_t now_us);

/* ---- entities ---- */

/** From here to the last COUNT a new key is asked for: 16 s at a million PDUs a second. */
#define BST_PDCP_REFRESH_LEFT (UINT32_C(1) << 24)

/** Transmitting entity of a bearer. */
struct bst_pdcp_tx {
    struct bst_pdcp_bearer bearer;
    struct bst_pdcp_keys *keys;
    uint64_t next;         /* TX_NEXT */
    uint32_t refresh_left; /* how many COUNTs before the end refresh_due says so */
};
/** @param keys  borrowed, as long as the entity has them
 * @param first  COUNT of the first SDU: 0 for a new bearer */
bst_result bst_pdcp_tx_init(struct bst_pdcp_tx *tx, const struct bst_pdcp_bearer *bearer,
                            struct bst_pdcp_keys *keys, uint32_t first);
/** Number and protect; the PDU is appended.
 * @error BST_E_LIMIT  every COUNT of this key is used: nothing is sent before a key refresh
 * @clause TS 38.323 5.2.1, TS 33.501 6.9.4 */
bst_result bst_pdcp_send(struct bst_pdcp_tx *tx, struct bst_view sdu, struct bst_buf *ret);
/** It is time for a new KgNB. */
bool bst_pdcp_tx_refresh_due(const struct bst_pdcp_tx *tx);
/** Go on with other keys.
 * @param keep_count  true for a DRB over acknowledged RLC, which goes on counting
 * @error BST_E_BAD_KEY  the same key again: its COUNTs would repeat  @clause TS 38.323 5.1.2 */
bst_result bst_pdcp_tx_reestablish(struct bst_pdcp_tx *tx, struct bst_pdcp_keys *keys,
                                   bool keep_count);

struct bst_pdcp_rx_setup {
    struct bst_pdcp_bearer bearer;
    uint32_t first;          /* COUNT that is expected first */
    int64_t t_reordering_us; /* negative: no limit */
    bool out_of_order;       /* deliver as it comes (outOfOrderDelivery) */
    size_t stored_max_bytes; /* of SDUs that wait for earlier ones; 0: BST_PDCP_STORED_MAX */
    void (*deliver)(void *ctx, uint32_t count, struct bst_view sdu);
    void *ctx;
};
#define BST_PDCP_STORED_MAX ((size_t)16 << 20)

/** Receiving entity of a bearer. */
struct bst_pdcp_rx {
    struct bst_pdcp_rx_setup setup;
    struct bst_pdcp_keys *keys;
    struct bst_pdcp_window window;
    uint64_t delivered; /* COUNTs below went to `deliver`, or were given up */
    struct bst_map stored;
    size_t stored_bytes;
    uint64_t forged, replayed; /* PDUs refused */
};
bst_result bst_pdcp_rx_init(struct bst_pdcp_rx *rx, const struct bst_pdcp_rx_setup *setup,
                            struct bst_pdcp_keys *keys);
void bst_pdcp_rx_clear(struct bst_pdcp_rx *rx);
/** Take a PDU from below. What is refused changes nothing; control PDUs of a DRB are BST_OK and go
 * nowhere.
 * @error BST_E_BAD_MAC  integrity failed: upper layers are to be told
 * @error BST_E_REPLAY  @error BST_E_LIMIT  COUNT has wrapped, or too much is waiting
 * @clause TS 38.323 5.2.2.1, TS 33.501 6.5.1, 6.6.4.2 */
bst_result bst_pdcp_receive(struct bst_pdcp_rx *rx, int64_t now_us, struct bst_view pdu);
/** To be called when t-Reordering expires, at window.expires_us while window.running. */
void bst_pdcp_rx_tick(struct bst_pdcp_rx *rx, int64_t now_us);
bool bst_pdcp_rx_refresh_due(const struct bst_pdcp_rx *rx);
/** As bst_pdcp_tx_reestablish(). What waits is delivered in order on a DRB whose COUNT starts anew,
 * dropped on an SRB. */
bst_result bst_pdcp_rx_reestablish(struct bst_pdcp_rx *rx, struct bst_pdcp_keys *keys,
                                   bool keep_count);
