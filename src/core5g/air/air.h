/* The algorithms of the 5G air interface: confidentiality (NEA), integrity (NIA) and both at once
 * (NCA).
 *
 * NEA/NIA 0-3 are TS 33.501 annex D; NEA/NIA/NCA 4-6 with 256-bit keys are TS 35.240 to TS 35.248.
 * The table in air.c says for each what it is, what it takes and how its IV is made. */
#pragma once

#include "crypto/aes_ctx.h"

#define BST_AIR_IV_BYTES 16
#define BST_AIR_TAG_MAX 16
#define BST_AIR_BEARER_MAX 31
/** Of one message: more than any PDU, and far below what a counter of 32 bits can number. */
#define BST_AIR_MESSAGE_MAX ((size_t)1 << 24)

enum bst_air_kind { BST_AIR_NEA, BST_AIR_NIA, BST_AIR_NCA };
enum bst_air_direction { BST_AIR_UPLINK = 0, BST_AIR_DOWNLINK = 1 };

/** What makes a message's IV, besides the key. One COUNT is used once with one key. */
struct bst_air_place {
    uint32_t count;
    uint8_t bearer; /* 5 bits: radio bearer identity - 1 */
    enum bst_air_direction direction;
};

struct bst_air_key;

/** What makes the keystream. */
enum bst_air_core {
    BST_AIR_NO_CORE,
    BST_AIR_SNOW3G,
    BST_AIR_ZUC128,
    BST_AIR_ZUC256,
    BST_AIR_SNOW5G,
    BST_AIR_AES,
    BST_AIR_CORES
};

/** One row of the table; of cipher, mac and aead one is there. */
struct bst_air_algorithm {
    const char *name; /* "NEA1" */
    enum bst_air_kind kind;
    uint8_t id;          /* algorithm identity of TS 33.501 5.11.1; 4-6 are not assigned yet */
    const char *made_of; /* "SNOW 3G" */
    uint8_t key_bytes;
    uint8_t tag_min, tag_max; /* octets; 0 for NEA */
    bool experimental;        /* its IV mapping is a reading, not read in a specification */
    enum bst_air_core core;
    void (*iv)(const struct bst_air_place *place, uint8_t tag_bytes, uint8_t out[BST_AIR_IV_BYTES]);
    bst_result (*cipher)(struct bst_air_key *key, const uint8_t *iv, const uint8_t *in, size_t len,
                         uint8_t *out);
    bst_result (*mac)(struct bst_air_key *key, const uint8_t *iv, const uint8_t *in, size_t bits,
                      uint8_t tag[BST_AIR_TAG_MAX]);
    /* Sealing makes the tag over what it wrote to `out`; opening makes it over `in` and leaves
     * `out` alone unless the first tag_bytes of `tag` are right. */
    bst_result (*aead)(struct bst_air_key *key, const uint8_t *iv, bool seal, struct bst_view aad,
                       struct bst_view in, uint8_t *out, uint8_t tag[BST_AIR_TAG_MAX]);
};

/** Row n, NULL after the last. */
const struct bst_air_algorithm *bst_air_at(size_t n);
/** NULL when there is none. */
const struct bst_air_algorithm *bst_air_find(enum bst_air_kind kind, uint8_t id);
/** By name, in any case; NULL when there is none. */
const struct bst_air_algorithm *bst_air_named(struct bst_view name);

/** A key for one algorithm and one tag length. One thread at a time; clear() is harmless. */
struct bst_air_key {
    const struct bst_air_algorithm *algorithm;
    const struct bst_air_implementation *implementation;
    uint8_t tag_bytes;
    struct bst_secret key;
    struct bst_secret schedule; /* what the implementation made of the key */
    struct bst_ctr ctr;         /* AES only */
    struct bst_cmac cmac;       /* NIA2 only */
};
/** @param tag_bytes  0: the algorithm's usual length (its shortest)
 * @error BST_E_BAD_KEY  the key has another length  @error BST_E_VALUE  no tag of that length */
bst_result bst_air_key_init(struct bst_air_key *key, const struct bst_air_algorithm *algorithm,
                            struct bst_view value, unsigned tag_bytes);
void bst_air_key_clear(struct bst_air_key *key);

/** The IV of a message.
 * @error BST_E_VALUE  bearer or direction out of range */
bst_result bst_air_iv(const struct bst_air_key *key, const struct bst_air_place *place,
                      uint8_t out[BST_AIR_IV_BYTES]);

/** NEA: encipher or decipher, which is the same. `in` and `out` may be the same and have (bits + 7)
 * / 8 octets; the unused low bits of the last one are ignored and come out as 0.
 * @error BST_E_TOO_LONG  @error BST_E_USAGE  not a NEA key */
bst_result bst_air_cipher(struct bst_air_key *key, const uint8_t iv[BST_AIR_IV_BYTES],
                          const uint8_t *in, size_t bits, uint8_t *out);
/** NIA: the tag, key->tag_bytes octets.
 * @error BST_E_VALUE  bits that are no whole octets, for the 256-bit algorithms */
bst_result bst_air_mac(struct bst_air_key *key, const uint8_t iv[BST_AIR_IV_BYTES],
                       const uint8_t *in, size_t bits, uint8_t *tag);
/** NIA: check a tag in constant time.
 *
 * NIA0 gives a tag of zeros that protects nothing (TS 33.501 D.1): whether it may be used is the
 * caller's decision.
 * @error BST_E_BAD_MAC */
bst_result bst_air_check(struct bst_air_key *key, const uint8_t iv[BST_AIR_IV_BYTES],
                         const uint8_t *in, size_t bits, struct bst_view tag);
/** NCA: `out` takes as many octets as `in` has and may be the same. */
bst_result bst_air_seal(struct bst_air_key *key, const uint8_t iv[BST_AIR_IV_BYTES],
                        struct bst_view aad, struct bst_view in, uint8_t *out, uint8_t *tag);
/** NCA: nothing is written to `out` unless the tag is right.
 * @error BST_E_BAD_MAC */
bst_result bst_air_open(struct bst_air_key *key, const uint8_t iv[BST_AIR_IV_BYTES],
                        struct bst_view aad, struct bst_view in, struct bst_view tag, uint8_t *out);

/* ---- many packets at once ---- */

/** One packet. What is done with it follows from its key, as in the calls above; packets that
 * stand together and have one algorithm are computed side by side, whatever their keys are. */
struct bst_air_packet {
    struct bst_air_key *key; /* packets may share one */
    struct bst_air_place place;
    const uint8_t *iv;   /* NULL: it is made of `place` */
    struct bst_view aad; /* NCA: what is authenticated besides */
    const uint8_t *in;
    size_t bits;  /* of `in`; whole octets for the 256-bit NIA and for NCA */
    uint8_t *out; /* NEA and NCA: as long as `in`, may be `in` itself; overlaps no other packet */
    uint8_t *tag; /* NIA and NCA: key->tag_bytes octets, which protect writes and open reads */
    bst_result result; /* of this packet; the others do not depend on it */
};
/** Encipher (NEA), make tags (NIA) or seal (NCA).
 * @return packets that failed */
size_t bst_air_protect_batch(struct bst_air_packet *packets, size_t n);
/** Decipher (NEA), check tags (NIA) or open (NCA); of a packet whose tag is wrong nothing comes
 * out.
 * @return packets that failed */
size_t bst_air_open_batch(struct bst_air_packet *packets, size_t n);

/* ---- implementations ---- */

/** Name of the n-th implementation that this machine can run, "portable" first; NULL after the
 * last. All give the same octets. */
const char *bst_air_implementation_at(size_t n);
/** Let keys that are initialised from now on use one implementation where it has the algorithm and
 * "portable" elsewhere; "auto" takes the fastest for each. For tests and comparisons.
 * @error BST_E_NOT_FOUND  this machine cannot run it */
bst_result bst_air_use(struct bst_view name);
/** The implementation that computes a key's single packets, or its batches. */
const char *bst_air_used(const struct bst_air_key *key, bool batch);
