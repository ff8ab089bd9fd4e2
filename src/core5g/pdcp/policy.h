/* What of the air interface is protected, and by which algorithms: user-plane security policy,
 * algorithm selection, null algorithms, and how a device sees that somebody bid the choice down. */
#pragma once

#include "core5g/air/air.h"

/* ---- user-plane security policy ---- */

/** TS 29.571 UpSecurity. */
enum bst_up_policy { BST_UP_NOT_NEEDED, BST_UP_PREFERRED, BST_UP_REQUIRED };
/** "NOT_NEEDED", "PREFERRED", "REQUIRED". */
const char *bst_up_policy_name(enum bst_up_policy policy);
bst_result bst_up_policy_parse(struct bst_view name, enum bst_up_policy *ret);

/** Up to which rate a device can verify integrity (TS 24.501 9.11.4.7), bit/s. */
#define BST_UP_RATE_64K UINT64_C(64000)
#define BST_UP_RATE_FULL UINT64_MAX

/** What is known when the resources of a PDU session are set up. */
struct bst_up_case {
    enum bst_up_policy confidentiality, integrity; /* from the SMF */
    bool ran_confidentiality, ran_integrity; /* the base station can, and on PREFERRED wants */
    uint64_t device_bps;                     /* maximum rate of the device for integrity, 0: none */
    uint64_t session_bps;                    /* rate that the session is to have */
    uint8_t ciphering, integrity_algorithm;  /* chosen by the security mode command */
};
enum bst_up_cause {
    BST_UP_CAUSE_NONE,
    BST_UP_CAUSE_CONFIDENTIALITY, /* NGAP up-confidentiality-protection-not-possible */
    BST_UP_CAUSE_INTEGRITY,       /* NGAP up-integrity-protection-not-possible */
    BST_UP_CAUSE_RATE,            /* 5GSM #82, the device's rate for integrity is too low */
};
const char *bst_up_cause_name(enum bst_up_cause cause);

struct bst_up_decision {
    bool confidentiality, integrity; /* activated, for all DRBs of the session */
    enum bst_up_cause cause;         /* other than NONE: the session's resources are refused */
};
/** Decide.  @clause TS 33.501 6.6.1, D.1 */
void bst_up_decide(const struct bst_up_case *in, struct bst_up_decision *ret);

/** At Xn handover the target goes by the policy that the SMF has, not by what the source said.
 * @return true: they differ, and the SMF's is now in `target`  @clause TS 33.501 6.6.1 */
bool bst_up_path_switch(const struct bst_up_case *smf, struct bst_up_case *target);

/* ---- algorithms ---- */

/** Algorithms of a device, bit n for algorithm n; as octets of TS 24.501 9.11.3.54 by _format. */
struct bst_air_capability {
    uint8_t nea, nia;
};
/** Bit n of the table is the most significant bit less n of the octet. */
#define BST_AIR_CAPABILITY_BYTES 2
void bst_air_capability_format(const struct bst_air_capability *capability,
                               uint8_t out[BST_AIR_CAPABILITY_BYTES]);
void bst_air_capability_parse(const uint8_t in[BST_AIR_CAPABILITY_BYTES],
                              struct bst_air_capability *ret);
/** A device has to have NEA0, 1, 2 and NIA0, 1, 2.
 * @error BST_E_DENIED  the detail names what is missing  @clause TS 33.501 5.2.2, 5.2.3 */
bst_result bst_air_capability_check(const struct bst_air_capability *capability);

/** Operator's order, the best first. */
struct bst_air_priority {
    uint8_t nea[8], nia[8];
    uint8_t n_nea, n_nia;
};
struct bst_air_choice {
    uint8_t nea, nia;
};
/** The first of each list that the device has. NIA0 is taken for an unauthenticated emergency
 * session only, then together with NEA0, whatever the lists say.
 * @error BST_E_DENIED  nothing in common  @clause TS 33.501 5.3.2, 5.3.3, 6.7.3, D.1 */
bst_result bst_air_choose(const struct bst_air_priority *priority,
                          const struct bst_air_capability *device, bool emergency,
                          struct bst_air_choice *ret);

/** The device's check of a security mode command whose integrity is verified already: what it sent
 * is what the network heard, the algorithms are its own, and null integrity is for emergencies.
 * @param replayed  its capabilities as the network repeats them
 * @error BST_E_DENIED  somebody bid down; the detail tells what  @clause TS 33.501 5.1.1, 6.7.2 */
bst_result bst_air_check_choice(const struct bst_air_capability *sent,
                                const struct bst_air_capability *replayed,
                                const struct bst_air_choice *choice, bool emergency);
