/* Authentication and key agreement: the home network's vectors and the device's answer.
 *
 * K and OPc are one object of the secure environment per subscriber ("aka.<SUPI>"), and the
 * functions over them run inside it: what comes out is what the protocol sends, and KAUSF or CK'
 * and IK'. */
#pragma once

#include "core5g/aka/functions.h"
#include "core5g/aka/sqn.h"
#include "core5g/kdf/kdf.h"
#include "se/se.h"

#define BST_AKA_AUTN_BYTES 16
#define BST_AKA_AUTS_BYTES 14
#define BST_AKA_RES_MAX 16
/** Bit 0 of the AMF field, "separation bit", is 1 in every vector for 5G (TS 33.501 6.1.3). */
#define BST_AKA_AMF_SEPARATION 0x80

/** Import a subscriber's keys. BST_E_EXISTS when there are some.
 * @param supi  with prefix, as bst_supi_format() writes it */
bst_result bst_aka_subscribe(struct bst_se *se, const char *supi, const struct bst_aka_keys *keys,
                             bool persistent, bst_key *ret);
/** BST_E_NOT_FOUND when there is none. */
bst_result bst_aka_subscriber(struct bst_se *se, const char *supi, bst_key *ret);

/* ---- home network ---- */

struct bst_aka_challenge {
    uint8_t rand[BST_AKA_RAND_BYTES], sqn[BST_AKA_SQN_BYTES], amf[BST_AKA_AMF_BYTES];
    struct bst_view sn_name;
};

/** 5G AKA: what the UDM gives to the AUSF, with HXRES* for the SEAF. */
struct bst_aka_vector {
    uint8_t rand[BST_AKA_RAND_BYTES], autn[BST_AKA_AUTN_BYTES];
    uint8_t xres_star[16], hxres_star[16], kausf[BST_5G_KEY_BYTES];
};
/** @clause TS 33.501 6.1.3.2, A.2, A.4, A.5 */
bst_result bst_aka_vector_5g(struct bst_se *se, bst_key key,
                             const struct bst_aka_challenge *challenge, struct bst_aka_vector *ret);

/** Vectors of one subscriber in one use of its key: the key schedules are made once.
 * @param ret  `n` vectors; wiped when it fails */
bst_result bst_aka_vectors_5g(struct bst_se *se, bst_key key, const struct bst_aka_challenge *from,
                              size_t n, struct bst_aka_vector *ret);

/** RAND by the generator and the next sequence number for each of `n` challenges; serving network
 * and AMF are those of the first one. */
bst_result bst_aka_challenges(struct bst_sqn_counter *counter, struct bst_aka_challenge *challenges,
                              size_t n);

/** A subscriber's keys in the open, ready for many vectors: a test lab's or a SIM maker's, and what
 * the calls above work with inside the secure environment. One thread at a time; clear() wipes. */
struct bst_aka_ready {
    struct bst_aka_keys keys;
    struct bst_aka_schedule schedule;
    struct bst_hmac kdf; /* keyed by CK || IK of one vector after the other */
    struct bst_hasher hash;
};
bst_result bst_aka_ready_init(struct bst_aka_ready *ready, const struct bst_aka_keys *keys);
/** As bst_aka_vectors_5g(). */
bst_result bst_aka_ready_vectors(struct bst_aka_ready *ready, const struct bst_aka_challenge *from,
                                 size_t n, struct bst_aka_vector *ret);
void bst_aka_ready_clear(struct bst_aka_ready *ready);

/** The serving network's decision on a device's RES*, by its hash...
 * @error BST_E_BAD_MAC  @clause TS 33.501 6.1.3.2.0, A.5 */
bst_result bst_aka_check_hres_star(const uint8_t rand[BST_AKA_RAND_BYTES],
                                   const uint8_t hxres_star[16], const uint8_t res_star[16]);
/** ... and the home network's. */
bst_result bst_aka_check_res_star(const uint8_t xres_star[16], const uint8_t res_star[16]);

/** EAP-AKA': CK' and IK' in the place of KAUSF. */
struct bst_aka_vector_eap {
    uint8_t rand[BST_AKA_RAND_BYTES], autn[BST_AKA_AUTN_BYTES];
    uint8_t xres[BST_AKA_RES_MAX];
    uint8_t xres_bytes;
    uint8_t ck_prime[16], ik_prime[16];
};
/** @clause TS 33.501 6.1.3.1, A.3 */
bst_result bst_aka_vector_prime(struct bst_se *se, bst_key key,
                                const struct bst_aka_challenge *challenge,
                                struct bst_aka_vector_eap *ret);

/** SQN_MS of an AUTS, after its MAC-S is verified.
 * @error BST_E_BAD_MAC  the AUTS is not an answer of this subscriber to this RAND
 * @clause TS 33.102 6.3.5 */
bst_result bst_aka_auts(struct bst_se *se, bst_key key, const uint8_t rand[BST_AKA_RAND_BYTES],
                        const uint8_t auts[BST_AKA_AUTS_BYTES],
                        uint8_t ret_sqn_ms[BST_AKA_SQN_BYTES]);

/* ---- device ---- */

/** Where a software USIM keeps what it has accepted. */
struct bst_usim_host {
    void *ctx;
    bst_result (*load)(void *ctx, struct bst_sqn_array *ret); /* zeros for a new one */
    /** Durable when it returns success. */
    bst_result (*keep)(void *ctx, const struct bst_sqn_array *array);
};
struct bst_usim {
    struct bst_se *se;
    bst_key key;
    const struct bst_usim_host *host;
    struct bst_sqn_array accepted;
};
bst_result bst_usim_open(struct bst_usim *usim, struct bst_se *se, bst_key key,
                         const struct bst_usim_host *host);

enum bst_usim_verdict {
    BST_USIM_OK,
    BST_USIM_MAC_FAILURE,  /* AUTN is not from the home network */
    BST_USIM_NOT_5G,       /* the separation bit is 0 */
    BST_USIM_SYNC_FAILURE, /* authentic but not fresh: AUTS tells the home network */
};
const char *bst_usim_verdict_name(enum bst_usim_verdict verdict);

struct bst_usim_answer {
    enum bst_usim_verdict verdict;
    /* BST_USIM_OK */
    uint8_t res_star[16], kausf[BST_5G_KEY_BYTES]; /* 5G AKA */
    uint8_t res[BST_AKA_RES_MAX], res_bytes;       /* EAP-AKA' */
    uint8_t ck_prime[16], ik_prime[16];
    /* BST_USIM_SYNC_FAILURE */
    uint8_t auts[BST_AKA_AUTS_BYTES];
};
/** Check AUTN and answer; a refusal by the USIM is a verdict, not a failure of this call. The
 * number is kept before the answer comes out.
 * @clause TS 33.102 6.3.3, TS 33.501 6.1.3.2.0, 6.1.3.3 */
bst_result bst_usim_answer(struct bst_usim *usim, const uint8_t rand[BST_AKA_RAND_BYTES],
                           const uint8_t autn[BST_AKA_AUTN_BYTES], struct bst_view sn_name,
                           struct bst_usim_answer *ret);
