/* Key derivation of the 5G system: the KDF of TS 33.220 B.2.0 and every use of it in TS 33.501
 * Annex A, plus what EAP-AKA' adds (RFC 9048).
 *
 * Function codes, keys and lengths are rows of one table in kdf.c. Pure: bytes in, bytes out. */
#pragma once

#include "crypto/digest.h"

#define BST_5G_KEY_BYTES 32
#define BST_5G_PARAMS_MAX 3

/** HMAC-SHA-256(key, FC || P0 || L0 || P1 || L1 ...).
 * @error BST_E_USAGE  more than 14 parameters, or one above 65535 octets
 * @clause TS 33.220 B.2.0 */
bst_result bst_kdf(struct bst_view key, uint8_t fc, const struct bst_view *params, size_t n,
                   uint8_t out[BST_5G_KEY_BYTES]);

/** The same with a key that serves several derivations. */
bst_result bst_kdf_keyed(struct bst_hmac *key, uint8_t fc, const struct bst_view *params, size_t n,
                         uint8_t out[BST_5G_KEY_BYTES]);

/** The derivations of TS 33.501 Annex A. */
enum bst_5g_kdf {
    BST_5G_KAUSF,            /* A.2: CK||IK; SN name, SQN xor AK */
    BST_5G_CK_IK_PRIME,      /* A.3: CK||IK; SN name, SQN xor AK; CK' then IK' */
    BST_5G_RES_STAR,         /* A.4: CK||IK; SN name, RAND, RES; 16 octets */
    BST_5G_KSEAF,            /* A.6: KAUSF; SN name */
    BST_5G_KAMF,             /* A.7: KSEAF; SUPI without prefix, ABBA */
    BST_5G_ALGORITHM_KEY,    /* A.8: KAMF, KgNB or KSN; type distinguisher, algorithm identity */
    BST_5G_KGNB,             /* A.9: KAMF; uplink NAS COUNT, access type */
    BST_5G_NH,               /* A.10: KAMF; SYNC input */
    BST_5G_KNG_RAN_STAR,     /* A.11: NH or KgNB; PCI, ARFCN-DL in 3 octets */
    BST_5G_KNG_RAN_STAR_ENB, /* A.12: NH or KgNB; PCI, EARFCN-DL in 3 octets */
    BST_5G_KAMF_PRIME,       /* A.13: KAMF; DIRECTION, NAS COUNT */
    BST_5G_KASME_IDLE,       /* A.14.1: KAMF; uplink NAS COUNT */
    BST_5G_KASME_HANDOVER,   /* A.14.2: KAMF; downlink NAS COUNT */
    BST_5G_KAMF_FROM_TAU,    /* A.15.1: KASME; uplink NAS COUNT of the TAU */
    BST_5G_KAMF_FROM_NH,     /* A.15.2: KASME; NH */
    BST_5G_KSN,              /* A.16: KgNB or KeNB; SN counter */
    BST_5G_SOR_MAC_AUSF,     /* A.17: KAUSF; SoR header, CounterSoR, list (may be left out); 16 */
    BST_5G_SOR_MAC_UE,       /* A.18: KAUSF; 0x01, CounterSoR; 16 */
    BST_5G_UPU_MAC_AUSF,     /* A.19: KAUSF; UPU data, CounterUPU; 16 */
    BST_5G_UPU_MAC_UE,       /* A.20: KAUSF; 0x01, CounterUPU; 16 */
    BST_5G_KASME_SRVCC,      /* A.21: KAMF; downlink NAS COUNT */
    BST_5G_KTNGF_USE,        /* A.22: KTNGF or KTWIF; usage */
    BST_5G_KIAB,             /* A.23: KgNB; addresses of donor CU and DU */
    BST_5G_KDF_COUNT
};

struct bst_5g_kdf_row {
    const char *name, *clause;
    uint8_t fc;
    uint8_t key_min, key_max;   /* octets of the input key */
    uint8_t n_params, optional; /* of them, how many at the end may be left out */
    struct {
        uint8_t min;
        uint16_t max;
    } param[BST_5G_PARAMS_MAX];
    uint8_t out; /* octets of the result: 32, or the last 16 */
};
/** NULL for a number outside the table. */
const struct bst_5g_kdf_row *bst_5g_kdf_row(enum bst_5g_kdf which);

/** Derive by a row of the table.
 *
 * @param out  row->out octets
 * @error BST_E_VALUE  a key or parameter has not the length that the clause gives */
bst_result bst_5g_derive(enum bst_5g_kdf which, struct bst_view key, const struct bst_view *params,
                         size_t n, uint8_t *out);

/** The same with a key that serves several derivations. */
bst_result bst_5g_derive_keyed(enum bst_5g_kdf which, struct bst_hmac *key,
                               const struct bst_view *params, size_t n, uint8_t *out);

/** HRES*, HXRES*: the last 16 octets of SHA-256(RAND || RES*).  @clause TS 33.501 A.5 */
bst_result bst_5g_hres_star(const uint8_t rand[16], const uint8_t res_star[16], uint8_t out[16]);

/** KAUSF, KSEAF and KAMF one after the other. */
struct bst_5g_keys {
    uint8_t kausf[BST_5G_KEY_BYTES], kseaf[BST_5G_KEY_BYTES], kamf[BST_5G_KEY_BYTES];
};
/** KSEAF and KAMF from ret->kausf.
 * @param supi  IMSI digits, or the NAI, without prefix
 * @clause TS 33.501 A.6, A.7 */
bst_result bst_5g_keys_below_kausf(struct bst_5g_keys *ret, struct bst_view sn_name,
                                   struct bst_view supi, struct bst_view abba);

/** Type distinguishers of A.8. */
enum bst_5g_key_use {
    BST_5G_NAS_ENC = 1,
    BST_5G_NAS_INT,
    BST_5G_RRC_ENC,
    BST_5G_RRC_INT,
    BST_5G_UP_ENC,
    BST_5G_UP_INT,
};

/** "5G:mnc001.mcc001.3gppnetwork.org", an MNC of two digits padded; with ":<NID>" for an SNPN.
 * @param nid  11 hexadecimal digits or NULL
 * @clause TS 33.501 6.1.1.4, TS 24.501 9.12.1 */
#define BST_5G_SN_NAME_MAX 48
bst_result bst_5g_sn_name(struct bst_view mcc, struct bst_view mnc, const char *nid,
                          char out[BST_5G_SN_NAME_MAX]);
/** Refuses a name that is not in the form above. */
bst_result bst_5g_sn_name_check(struct bst_view name);

/** Keys of EAP-AKA', RFC 9048 3.3; KAUSF is the first half of EMSK (TS 33.501 6.1.3.1). */
struct bst_eap_aka_keys {
    uint8_t k_encr[16], k_aut[32], k_re[32], msk[64], emsk[64];
};
/** @param identity  as the peer gave it in the exchange */
bst_result bst_eap_aka_prime(const uint8_t ik_prime[16], const uint8_t ck_prime[16],
                             struct bst_view identity, struct bst_eap_aka_keys *ret);
