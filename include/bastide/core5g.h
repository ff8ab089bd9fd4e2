/* 5G security algorithms for a core network, a test lab or a SIM maker: concealed identities,
 * authentication vectors of 5G AKA and EAP-AKA', sequence numbers, the device's side of these, key
 * derivation, ciphers and tags one by one and in batches, PDCP bearers, user-plane policy.
 *
 * No network, no store, no clock. Keys of home network and subscribers are in a secure environment
 * and do not come out; where sequence numbers are kept is the caller's. Link with
 * `pkg-config bastide-core5g`.
 *
 * Conventions. Inputs are borrowed for the call unless a comment says longer. Outputs are named
 * ret_ or come last; what is in them after a failed call is of no use. What _open, _new and their
 * like gave is given back by _close or _free, which take the address of the handle, set it to NULL,
 * and do nothing with NULL. A missing handle, name or callback is BST_E_USAGE; bst_error_detail()
 * says what else was wrong. Names of NEA, NIA and NCA are read in any case. Lengths are in octets
 * unless the name says bits. */
#pragma once

#include <bastide/result.h>

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BST_CORE5G_SUPI_MAX 300 /* characters with the closing NUL */
#define BST_CORE5G_SUCI_MAX 8192
#define BST_CORE5G_PUBLIC_MAX 1216               /* octets of a home network key */
#define BST_CORE5G_MESSAGE_MAX ((size_t)1 << 24) /* octets of a message of the air interface */

/** Keys of one home network, or of one device. Calls that change keys are for one thread, without
 * others beside them; all the others may run on any number of threads. */
struct bst_core5g;

/** @param uri      secure environment: "se:soft" keeps nothing, "se:soft?dir=PATH" a folder; a
 *                  token is "pkcs11:token=NAME?pin-source=file:PATH", where PATH is of mode 0600
 * and holds the PIN, a TPM "tpm2:device:/dev/tpmrm0?dir=PATH". A token's module runs in the program
 * bastide-token, which is installed with this library. Subscriber keys are worked with octet by
 * octet, which no token does: add fallback=soft, and they are kept there and come out for each use
 * (protection level 1)
 *  @param wall_us  microseconds since 1970
 *  @error BST_E_SE_PIN     wrong PIN  @error BST_E_SE_BLOCKED  it is locked
 *  @error BST_E_NOT_FOUND  no such token, no such PIN file  @error BST_E_CONFIG  no such address */
bst_result bst_core5g_open(const char *uri, int64_t (*wall_us)(void), struct bst_core5g **ret);
void bst_core5g_close(struct bst_core5g **core);

/* ---- concealed identities (TS 33.501 6.12, Annex C) ---- */

/** Make or import a home network key.
 *
 * @param scheme       "A", "B"; "mlkem768" and "x25519-mlkem768" are experimental
 * @param private_key  raw, hexadecimal, PEM or DER; empty: a new one
 * @error BST_E_EXISTS        the identifier has a key already
 * @error BST_E_SE_MECHANISM  the environment has no keys of this kind: most tokens have P-256 (B)
 *                            only */
bst_result bst_core5g_home_key(struct bst_core5g *core, const char *scheme, uint8_t id,
                               struct bst_view private_key);
/** The same with a validity, for rotation: of the valid keys of a scheme the newest is for new
 * devices, the others still open what older devices send.
 * @param from_us, until_us  microseconds since 1970; until 0: no end */
bst_result bst_core5g_home_key_valid(struct bst_core5g *core, const char *scheme, uint8_t id,
                                     struct bst_view private_key, int64_t from_us,
                                     int64_t until_us);
struct bst_core5g_home_key_info {
    uint8_t id;
    const char *scheme; /* as above */
    const char *state;  /* "pending", "active", "accept-only", "expired" */
    int64_t from_us, until_us;
    int level; /* protection level 0 to 3 of oneM2M TS-0003 6.3.1 */
};
/** The n-th key, by ascending identifier, as it was when keys last changed.
 * @error BST_E_NOT_FOUND  behind the last one */
bst_result bst_core5g_home_key_at(const struct bst_core5g *core, size_t n,
                                  struct bst_core5g_home_key_info *ret);
/** Its public half as devices get it.
 * @error BST_E_NOT_FOUND */
bst_result bst_core5g_home_public(const struct bst_core5g *core, uint8_t id,
                                  uint8_t out[BST_CORE5G_PUBLIC_MAX], size_t *ret_len);
/** Remove it for good. */
bst_result bst_core5g_home_key_remove(struct bst_core5g *core, uint8_t id);

/** Conceal, as a device does; needs no environment.
 *
 * @param supi        "imsi-..." with an MNC of `mnc_digits` digits, or "nai-..."
 * @param public_key  raw, hexadecimal, for A and B also PEM or DER; empty for the scheme "null"
 * @param ret_suci    "suci-0-..." or "suci-1-..." with a closing NUL */
bst_result bst_core5g_conceal(const char *supi, unsigned mnc_digits, const char *scheme, uint8_t id,
                              struct bst_view public_key, char ret_suci[BST_CORE5G_SUCI_MAX]);
/** Reveal, as the home network does. The null scheme is refused.
 * @error BST_E_CREDENTIAL  it does not open, whatever the reason is */
bst_result bst_core5g_reveal(const struct bst_core5g *core, const char *suci,
                             char ret_supi[BST_CORE5G_SUPI_MAX]);

/* ---- authentication (TS 33.501 6.1, TS 33.102) ---- */

/** Import a subscriber's keys: a JSON object with "algorithm" (milenage, tuak, milenage256), "k",
 * and "opc" or "op", in hexadecimal. Wipe `keys` afterwards.
 * @error BST_E_EXISTS  there are some of this subscriber */
bst_result bst_core5g_subscriber(struct bst_core5g *core, const char *supi, struct bst_view keys);
/** Remove them for good.
 * @error BST_E_NOT_FOUND */
bst_result bst_core5g_subscriber_remove(struct bst_core5g *core, const char *supi);

/** "5G:mnc001.mcc001.3gppnetwork.org", the name that a serving network binds keys to.
 * @param mnc  2 or 3 digits
 * @param nid  11 hexadecimal digits of a stand-alone non-public network, or NULL
 * @clause TS 24.501 9.12.1 */
#define BST_CORE5G_SN_NAME_MAX 48
bst_result bst_core5g_sn_name(const char *mcc, const char *mnc, const char *nid,
                              char ret[BST_CORE5G_SN_NAME_MAX]);

/** What a vector is made from. One SQN is used once. */
struct bst_core5g_challenge {
    uint8_t rand[16], sqn[6];
};
struct bst_core5g_vector {
    uint8_t rand[16], autn[16], xres_star[16], hxres_star[16], kausf[32];
};
/** Vectors of one subscriber for 5G AKA, in one use of its key.
 *
 * @param sn_name  "5G:mnc001.mcc001.3gppnetwork.org"
 * @error BST_E_NOT_FOUND  no such subscriber */
bst_result bst_core5g_vectors(const struct bst_core5g *core, const char *supi, const char *sn_name,
                              const struct bst_core5g_challenge *challenges, size_t n,
                              struct bst_core5g_vector *ret);
/** The home network's decision on a device's RES*, in the same time for every answer...
 * @error BST_E_BAD_MAC  @clause TS 33.501 6.1.3.2 */
bst_result bst_core5g_check_res_star(const uint8_t xres_star[16], const uint8_t res_star[16]);
/** ... and the serving network's, which has the hash only.  @clause TS 33.501 A.5 */
bst_result bst_core5g_check_hres_star(const uint8_t rand[16], const uint8_t hxres_star[16],
                                      const uint8_t res_star[16]);

/** EAP-AKA': what the home network's UDM gives to its AUSF. */
struct bst_core5g_vector_eap {
    uint8_t rand[16], autn[16];
    uint8_t xres[16], xres_len; /* 4 to 16 */
    uint8_t ck_prime[16], ik_prime[16];
};
/** @param network_name  the serving network's, AT_KDF_INPUT in the exchange
 *  @clause TS 33.501 6.1.3.1, A.3 */
bst_result bst_core5g_vectors_eap(const struct bst_core5g *core, const char *supi,
                                  const char *network_name,
                                  const struct bst_core5g_challenge *challenges, size_t n,
                                  struct bst_core5g_vector_eap *ret);
/** MK is K_encr || K_aut || K_re || MSK || EMSK; KAUSF is the first 32 octets of EMSK. */
struct bst_core5g_eap_keys {
    uint8_t k_encr[16], k_aut[32], k_re[32], msk[64], emsk[64];
};
/** @param identity  as the device gave it in the exchange; not empty
 *  @clause RFC 9048 3.3, TS 33.501 6.1.3.1 */
bst_result bst_core5g_eap_keys(const uint8_t ck_prime[16], const uint8_t ik_prime[16],
                               const char *identity, struct bst_core5g_eap_keys *ret);

/** The number of a device from its AUTS.
 * @error BST_E_BAD_MAC  not an answer of this subscriber to this RAND */
bst_result bst_core5g_auts(const struct bst_core5g *core, const char *supi, const uint8_t rand[16],
                           const uint8_t auts[14], uint8_t ret_sqn[6]);

/* ---- sequence numbers (TS 33.102 6.3, Annex C) ----
 *
 * SQN is SEQ (43 bits) and behind it IND (5 bits); counters are not time-based (C.3.2). */

/** Where a home network keeps the counters of its subscribers; outlives what is opened with it. */
struct bst_core5g_sqn_store {
    void *ctx;
    /** What was kept last; 0 for a subscriber without. */
    bst_result (*load)(void *ctx, const char *supi, uint64_t *ret_seq);
    /** Every SEQ below `seq` may have been used. Success means that it is on stable storage. */
    bst_result (*keep)(void *ctx, const char *supi, uint64_t seq);
};
/** Counter of one subscriber; one thread at a time, and one at a time for a subscriber. */
struct bst_core5g_sqn;
/** Numbers are reserved in blocks: `keep` is called once for each, before the first of them goes
 * out. After a stop, whenever it comes, none is used twice; at most a block is left out.
 * @param supi   copied
 * @param block  numbers to reserve at once, 0 for 4096 */
bst_result bst_core5g_sqn_open(const struct bst_core5g_sqn_store *store, const char *supi,
                               uint64_t block, struct bst_core5g_sqn **ret);
void bst_core5g_sqn_close(struct bst_core5g_sqn **sqn);
/** The next number.
 * @error BST_E_LIMIT  all are used  @error  what `keep` returned: nothing was given out
 * @clause TS 33.102 C.1.1, C.3.2 */
bst_result bst_core5g_sqn_next(struct bst_core5g_sqn *sqn, uint8_t ret[6]);
/** Challenges with the next numbers and random octets. */
bst_result bst_core5g_challenges(struct bst_core5g_sqn *sqn, size_t n,
                                 struct bst_core5g_challenge *ret);
/** After bst_core5g_auts(): go on from the device's number, unless the device would accept the next
 * one anyway.  @clause TS 33.102 6.3.5, C.3.2 */
bst_result bst_core5g_sqn_resync(struct bst_core5g_sqn *sqn, const uint8_t sqn_ms[6]);

/** Highest SEQ that a device has accepted for each IND, zeros for a new one; keep it before the
 * answer is sent. */
struct bst_core5g_device {
    uint64_t accepted[32];
};
/** A device's rule: above what this IND has seen, and at most 2^28 ahead of everything. The calls
 * that answer a challenge apply it; this is for a USIM of another making.
 * @clause TS 33.102 C.2.1, C.2.2 */
bool bst_core5g_sqn_fresh(const struct bst_core5g_device *device, const uint8_t sqn[6]);
/** Note a number that is fresh. */
void bst_core5g_sqn_accept(struct bst_core5g_device *device, const uint8_t sqn[6]);
/** SQN_MS, which goes into an AUTS: the highest number accepted. */
void bst_core5g_sqn_highest(const struct bst_core5g_device *device, uint8_t ret[6]);

/* ---- a device's answer (TS 33.102 6.3.3, TS 33.501 6.1.3) ---- */

enum bst_core5g_verdict {
    BST_CORE5G_ACCEPTED,
    BST_CORE5G_MAC_FAILURE,  /* AUTN is not from the home network */
    BST_CORE5G_NOT_5G,       /* the separation bit is 0 */
    BST_CORE5G_SYNC_FAILURE, /* authentic but not fresh: `auts` is for the home network */
};
struct bst_core5g_answer {
    enum bst_core5g_verdict verdict;
    uint8_t res_star[16], kausf[32]; /* accepted */
    uint8_t auts[14];                /* synchronisation failure */
};
/** Answer a challenge, as a USIM does; `device` changes when it is accepted. */
bst_result bst_core5g_answer(const struct bst_core5g *core, const char *supi, const char *sn_name,
                             const uint8_t rand[16], const uint8_t autn[16],
                             struct bst_core5g_device *device, struct bst_core5g_answer *ret);
/** The same in EAP-AKA': `res` goes into AT_RES, the keys follow by bst_core5g_eap_keys(). */
struct bst_core5g_answer_eap {
    enum bst_core5g_verdict verdict;
    uint8_t res[16], res_len, ck_prime[16], ik_prime[16]; /* accepted */
    uint8_t auts[14];                                     /* synchronisation failure */
};
bst_result bst_core5g_answer_eap(const struct bst_core5g *core, const char *supi,
                                 const char *network_name, const uint8_t rand[16],
                                 const uint8_t autn[16], struct bst_core5g_device *device,
                                 struct bst_core5g_answer_eap *ret);

/* ---- keys (TS 33.501 Annex A) ---- */

/** Derive by a clause of Annex A: "A.2" to "A.23" without A.5.
 *
 * @param ret_len  32, or 16 where the clause takes the last 128 bits
 * @error BST_E_VALUE  no such clause, or a key or parameter of another length than it gives */
bst_result bst_core5g_derive(const char *clause, struct bst_view key, const struct bst_view *params,
                             size_t n, uint8_t out[32], size_t *ret_len);

/* ---- air interface (TS 33.501 Annex D) ---- */

/** Where a message belongs: what makes its IV besides the key. */
struct bst_core5g_place {
    uint32_t count;
    uint8_t bearer; /* radio bearer identity - 1 */
    bool downlink;
};
/** Encipher or decipher with NEA1 to NEA6. `in` and `out` may be the same. */
bst_result bst_core5g_cipher(const char *algorithm, struct bst_view key,
                             const struct bst_core5g_place *place, struct bst_view in,
                             uint8_t *out);
/** Tag of 32 bits with NIA1 to NIA6... */
bst_result bst_core5g_mac(const char *algorithm, struct bst_view key,
                          const struct bst_core5g_place *place, struct bst_view in,
                          uint8_t ret_tag[4]);
/** ... and whether one is right, in the same time for every tag.
 * @error BST_E_BAD_MAC */
bst_result bst_core5g_mac_check(const char *algorithm, struct bst_view key,
                                const struct bst_core5g_place *place, struct bst_view in,
                                const uint8_t tag[4]);
/** Encipher and tag at once with NCA4 to NCA6, which are experimental as to their IV.
 *
 * @param aad        authenticated and not enciphered; may be empty
 * @param tag_bytes  4 to 16
 * @param out        as long as `in`, may be the same
 * @error BST_E_VALUE  no such algorithm, or no tag of that length */
bst_result bst_core5g_seal(const char *algorithm, struct bst_view key,
                           const struct bst_core5g_place *place, struct bst_view aad,
                           struct bst_view in, size_t tag_bytes, uint8_t *out, uint8_t *ret_tag);
/** The other way; `out` stays as it is unless the tag is right.
 * @error BST_E_BAD_MAC */
bst_result bst_core5g_unseal(const char *algorithm, struct bst_view key,
                             const struct bst_core5g_place *place, struct bst_view aad,
                             struct bst_view in, struct bst_view tag, uint8_t *out);

/* ---- many packets at once ----
 *
 * The fast path: key schedules are made once, and packets that stand together and have one
 * algorithm are computed side by side, whatever their keys are. */

/** A key for one algorithm and one length of tags. In one call, and one thread, at a time. */
struct bst_core5g_air_key;
/** @param algorithm  NEA0 to NEA6, NIA0 to NIA6, NCA4 to NCA6; NIA0's tag is zeros
 *  @param key        16 octets, for algorithms 4 to 6 32, for 0 none; copied
 *  @param tag_bytes  NIA and NCA 4 to 6: 4 to 16; 0: 4
 *  @error BST_E_VALUE  no such algorithm or tag  @error BST_E_BAD_KEY  the key has another length
 */
bst_result bst_core5g_air_key_new(const char *algorithm, struct bst_view key, size_t tag_bytes,
                                  struct bst_core5g_air_key **ret);
void bst_core5g_air_key_free(struct bst_core5g_air_key **key);

/** One packet; what is done with it follows from its key. */
struct bst_core5g_packet {
    struct bst_core5g_air_key *key; /* packets may share one */
    struct bst_core5g_place place;
    const uint8_t *iv;   /* 16 octets in place of `place`, or NULL */
    struct bst_view aad; /* NCA */
    const uint8_t *in;   /* (bits + 7) / 8 octets */
    size_t bits;         /* whole octets for NCA and for NIA 4 to 6; at most 2^27 */
    uint8_t *out;        /* NEA, NCA: as long as `in`, may be `in`; overlaps no other packet */
    uint8_t *tag;        /* NIA, NCA: protect writes it, open reads it */
    bst_result result;   /* of this packet; the others do not depend on it */
};
/** Encipher (NEA), make tags (NIA) or both (NCA).
 * @return how many packets failed */
size_t bst_core5g_protect(struct bst_core5g_packet *packets, size_t n);
/** Decipher, check tags, or both; nothing comes out of an NCA packet whose tag is wrong, which is
 * BST_E_BAD_MAC in its result.
 * @return how many packets failed */
size_t bst_core5g_unprotect(struct bst_core5g_packet *packets, size_t n);

/* ---- PDCP bearers (TS 38.323; TS 33.501 6.5, 6.6) ----
 *
 * What protects: header, COUNT, receive window, ciphering, integrity. No I/O, no clock: PDUs and
 * times come from the caller. Everything of one set of keys is for one thread at a time. */

#define BST_CORE5G_SDU_MAX 9000
#define BST_CORE5G_RB_MAX 32

enum bst_core5g_plane { BST_CORE5G_SRB = 1, BST_CORE5G_DRB = 2 };

struct bst_core5g_suite {
    const char *ciphering; /* NEA0 to NEA6; or NCA4 to NCA6, then `integrity` is NULL */
    const char *integrity; /* NIA0 to NIA6 */
    bool emergency;        /* unauthenticated emergency session: NIA0 may be, with NEA0 */
    uint8_t mac_bytes;     /* of MAC-I, 0: 4; 4 to 16 with algorithms 4 to 6, else 4 */
};
/** Keys of one plane of one device, for all its bearers and both directions. They outlive the
 * entities that were opened with them. */
struct bst_core5g_pdcp_keys;
/** From KgNB, 32 octets.
 * @error BST_E_VALUE  no such algorithm or combination  @clause TS 33.501 A.8 */
bst_result bst_core5g_pdcp_keys_derive(const struct bst_core5g_suite *suite,
                                       enum bst_core5g_plane plane, struct bst_view kgnb,
                                       struct bst_core5g_pdcp_keys **ret);
/** From a KgNB that stays in the environment: a symmetric key for routines with this label.
 * @error BST_E_NOT_FOUND */
bst_result bst_core5g_pdcp_keys_inside(const struct bst_core5g *core, const char *label,
                                       const struct bst_core5g_suite *suite,
                                       enum bst_core5g_plane plane,
                                       struct bst_core5g_pdcp_keys **ret);
/** As they are.
 * @param ciphering, integrity  as long as the algorithm wants, or 32 octets of which it takes the
 *                              last ones; ignored by null algorithms, `integrity` with NCA */
bst_result bst_core5g_pdcp_keys_new(const struct bst_core5g_suite *suite, struct bst_view ciphering,
                                    struct bst_view integrity, struct bst_core5g_pdcp_keys **ret);
void bst_core5g_pdcp_keys_free(struct bst_core5g_pdcp_keys **keys);

/** One direction of a radio bearer, as RRC configures it. */
struct bst_core5g_bearer {
    enum bst_core5g_plane plane;
    uint8_t rb_id;      /* radio bearer identity: SRB 1 to 4, DRB 1 to 32 */
    uint8_t sn_bits;    /* 12, or on a DRB 18 */
    uint8_t sdap_bytes; /* SDAP header of a DRB: 0 or 1 */
    bool downlink;
    bool ciphering, integrity; /* activated */
};

/** Transmitting entity. */
struct bst_core5g_tx;
/** @param first_count  COUNT of the first SDU: 0 for a new bearer
 *  @error BST_E_VALUE  not a bearer of TS 38.323, or an algorithm that it must not have (NIA0 on a
 *                      DRB) */
bst_result bst_core5g_tx_open(const struct bst_core5g_bearer *bearer,
                              struct bst_core5g_pdcp_keys *keys, uint32_t first_count,
                              struct bst_core5g_tx **ret);
void bst_core5g_tx_close(struct bst_core5g_tx **tx);
/** Number and protect.
 *
 * @param sdu      with its SDAP header; at most BST_CORE5G_SDU_MAX octets
 * @param ret_pdu  borrowed until the next call on this entity
 * @error BST_E_LIMIT  every COUNT of this key is used: nothing is sent before a key refresh
 * @error BST_E_TOO_LONG  @error BST_E_TRUNCATED  shorter than its SDAP header
 * @clause TS 38.323 5.2.1, 5.8, 5.9; TS 33.501 6.9.4 */
bst_result bst_core5g_send(struct bst_core5g_tx *tx, struct bst_view sdu, struct bst_view *ret_pdu);
/** COUNT of the next SDU; 2^32 when the last one is used. */
uint64_t bst_core5g_tx_count(const struct bst_core5g_tx *tx);
/** Is it time for a new KgNB: are fewer than `left` COUNTs there? 0 means 2^24. */
bool bst_core5g_tx_refresh_due(const struct bst_core5g_tx *tx, uint32_t left);
/** Go on with other keys.
 *
 * @param keep_count  true for a DRB over acknowledged RLC, which goes on counting
 * @error BST_E_BAD_KEY  the old keys again: their COUNTs would repeat  @clause TS 38.323 5.1.2 */
bst_result bst_core5g_tx_reestablish(struct bst_core5g_tx *tx, struct bst_core5g_pdcp_keys *keys,
                                     bool keep_count);

struct bst_core5g_rx_setup {
    struct bst_core5g_bearer bearer;
    uint32_t first_count;    /* that is expected first */
    int64_t t_reordering_us; /* how long a missing PDU is waited for; negative: without end */
    bool out_of_order;       /* deliver as it comes (outOfOrderDelivery) */
    size_t stored_max_bytes; /* of SDUs that wait for earlier ones; 0: 16 MiB */
    /** Is given each SDU once, with its SDAP header; must not call the entity. */
    void (*deliver)(void *ctx, uint32_t count, struct bst_view sdu);
    void *ctx;
};
/** Receiving entity. */
struct bst_core5g_rx;
bst_result bst_core5g_rx_open(const struct bst_core5g_rx_setup *setup,
                              struct bst_core5g_pdcp_keys *keys, struct bst_core5g_rx **ret);
/** What waits is dropped. */
void bst_core5g_rx_close(struct bst_core5g_rx **rx);
/** Take a PDU from below. What is refused changes nothing; control PDUs of a DRB are BST_OK and go
 * nowhere.
 *
 * @param now_us  of a clock that does not go back
 * @error BST_E_BAD_MAC  integrity failed: upper layers are to be told
 * @error BST_E_REPLAY   received before, or given up waiting for
 * @error BST_E_LIMIT    COUNT has wrapped, or too much is waiting  @error BST_E_TRUNCATED
 * @clause TS 38.323 5.2.2.1, TS 33.501 6.5.1, 6.6.4.2 */
bst_result bst_core5g_receive(struct bst_core5g_rx *rx, int64_t now_us, struct bst_view pdu);
/** To be called when t-Reordering expires.  @clause TS 38.323 5.2.2.2 */
void bst_core5g_rx_tick(struct bst_core5g_rx *rx, int64_t now_us);
struct bst_core5g_rx_state {
    uint64_t next_count;       /* RX_NEXT, 2^32 when the last one is used */
    bool refresh_due;          /* fewer than 2^24 COUNTs are left */
    bool waiting;              /* t-Reordering is running... */
    int64_t expires_us;        /* ... until then */
    uint64_t forged, replayed; /* PDUs refused */
};
void bst_core5g_rx_state(const struct bst_core5g_rx *rx, struct bst_core5g_rx_state *ret);
/** As bst_core5g_tx_reestablish(). On a DRB whose COUNT starts anew what waits is delivered, on an
 * SRB it is dropped. */
bst_result bst_core5g_rx_reestablish(struct bst_core5g_rx *rx, struct bst_core5g_pdcp_keys *keys,
                                     bool keep_count);

/* ---- what is protected, and by what (TS 33.501 5.3, 6.6.1, 6.7) ---- */

/** TS 29.571 UpSecurity. */
enum bst_core5g_policy { BST_CORE5G_NOT_NEEDED, BST_CORE5G_PREFERRED, BST_CORE5G_REQUIRED };
/** What is known when the resources of a PDU session are set up. */
struct bst_core5g_up_case {
    enum bst_core5g_policy confidentiality, integrity; /* from the SMF */
    bool ran_confidentiality, ran_integrity; /* the base station can, and on PREFERRED wants */
    uint64_t device_bps;   /* rate that the device verifies (TS 24.501 9.11.4.7): 0 none, 64000, or
                              UINT64_MAX for its full rate */
    uint64_t session_bps;  /* rate that the session is to have */
    const char *nea, *nia; /* chosen by the security mode command */
};
struct bst_core5g_up_decision {
    bool confidentiality, integrity; /* activated, for all DRBs of the session */
    const char *cause; /* NULL, or why its resources are refused: the cause of NGAP or 5GSM */
};
/** @error BST_E_VALUE  no such algorithm  @clause TS 33.501 6.6.1, D.1 */
bst_result bst_core5g_up_decide(const struct bst_core5g_up_case *in,
                                struct bst_core5g_up_decision *ret);
/** At Xn handover the policy of the SMF counts, not what the source said: `target` gets it.
 * @return whether they differed  @clause TS 33.501 6.6.1 */
bool bst_core5g_up_path_switch(const struct bst_core5g_up_case *smf,
                               struct bst_core5g_up_case *target);

/** Algorithms of a device: bit n is algorithm n. */
struct bst_core5g_capability {
    uint8_t nea, nia;
};
/** Numbers of the algorithms chosen. */
struct bst_core5g_choice {
    uint8_t nea, nia;
};
/** The first of the operator's lists that the device has; for an unauthenticated emergency session
 * NEA0 and NIA0, which no other has.
 *
 * @param nea, nia  numbers of algorithms, the best first; 8 at most count
 * @error BST_E_DENIED  nothing in common  @clause TS 33.501 5.3.2, 5.3.3, 6.7.2 */
bst_result bst_core5g_choose(struct bst_view nea, struct bst_view nia,
                             const struct bst_core5g_capability *device, bool emergency,
                             struct bst_core5g_choice *ret);
/** The device's check of a security mode command whose integrity is verified already.
 *
 * @param replayed  its capabilities as the network repeats them
 * @error BST_E_DENIED  somebody bid down; the detail tells what  @clause TS 33.501 5.1.1, 6.7.2 */
bst_result bst_core5g_check_choice(const struct bst_core5g_capability *sent,
                                   const struct bst_core5g_capability *replayed,
                                   const struct bst_core5g_choice *choice, bool emergency);

#ifdef __cplusplus
}
#endif
