/* The decisions, as tables. */
#include "core5g/pdcp/policy.h"

/* ---- user-plane security policy ---- */

static const char *const policy_names[] = {"NOT_NEEDED", "PREFERRED", "REQUIRED"};
#define POLICIES (sizeof policy_names / sizeof policy_names[0])

const char *bst_up_policy_name(enum bst_up_policy policy)
{
    return (unsigned)policy < POLICIES ? policy_names[policy] : "?";
}

bst_result bst_up_policy_parse(struct bst_view name, enum bst_up_policy *ret)
{
    for (unsigned i = 0; i < POLICIES; i++) {
        if (bst_view_is(name, policy_names[i])) {
            *ret = (enum bst_up_policy)i;
            return BST_OK;
        }
    }
    BST_FAIL(BST_E_VALUE, "'%.*s' is not REQUIRED, PREFERRED or NOT_NEEDED", BST_VIEW_ARGS(name));
}

const char *bst_up_cause_name(enum bst_up_cause cause)
{
    static const char *const names[] = {"none", "up-confidentiality-protection-not-possible",
                                        "up-integrity-protection-not-possible",
                                        "maximum-integrity-protected-data-rate-too-low"};
    return (unsigned)cause < sizeof names / sizeof names[0] ? names[cause] : "?";
}

/* 6.6.1: what follows from a policy, by whether protection is possible. */
static const struct {
    bool active, refused;
} rules[POLICIES][2] = {
    /*                     not possible    possible      */
    [BST_UP_NOT_NEEDED] = {{false, false}, {false, false}},
    [BST_UP_PREFERRED] = {{false, false}, {true, false}},
    [BST_UP_REQUIRED] = {{false, true}, {true, false}},
};

static bool decide_one(enum bst_up_policy policy, bool possible, enum bst_up_cause why,
                       struct bst_up_decision *ret)
{
    /* A number that is no policy is taken for the strictest one. */
    unsigned row = (unsigned)policy < POLICIES ? (unsigned)policy : BST_UP_REQUIRED;
    if (rules[row][possible].refused && ret->cause == BST_UP_CAUSE_NONE) {
        ret->cause = why;
    }
    return rules[row][possible].active;
}

void bst_up_decide(const struct bst_up_case *in, struct bst_up_decision *ret)
{
    /* NEA0 hides nothing, and NIA0 is not for DRBs (D.1). */
    const bool fast_enough = in->device_bps > 0 && in->session_bps <= in->device_bps;
    const bool can_hide = in->ran_confidentiality && in->ciphering != 0;
    const bool can_prove = in->ran_integrity && in->integrity_algorithm != 0;
    *ret = (struct bst_up_decision){0};
    ret->confidentiality =
        decide_one(in->confidentiality, can_hide, BST_UP_CAUSE_CONFIDENTIALITY, ret);
    ret->integrity = decide_one(in->integrity, can_prove && fast_enough,
                                can_prove ? BST_UP_CAUSE_RATE : BST_UP_CAUSE_INTEGRITY, ret);
    if (ret->cause != BST_UP_CAUSE_NONE) {
        ret->confidentiality = ret->integrity = false;
    }
}

bool bst_up_path_switch(const struct bst_up_case *smf, struct bst_up_case *target)
{
    const bool differs =
        smf->confidentiality != target->confidentiality || smf->integrity != target->integrity;
    target->confidentiality = smf->confidentiality;
    target->integrity = smf->integrity;
    return differs;
}

/* ---- algorithms ---- */

#define ALGORITHMS 8

static uint8_t mirrored(uint8_t bits)
{
    uint8_t out = 0;
    for (unsigned i = 0; i < ALGORITHMS; i++) {
        out = (uint8_t)(out | (bits >> i & 1) << (ALGORITHMS - 1 - i));
    }
    return out;
}

/* TS 24.501 9.11.3.54: algorithm 0 is the most significant bit. */
void bst_air_capability_format(const struct bst_air_capability *capability,
                               uint8_t out[BST_AIR_CAPABILITY_BYTES])
{
    out[0] = mirrored(capability->nea);
    out[1] = mirrored(capability->nia);
}

void bst_air_capability_parse(const uint8_t in[BST_AIR_CAPABILITY_BYTES],
                              struct bst_air_capability *ret)
{
    ret->nea = mirrored(in[0]);
    ret->nia = mirrored(in[1]);
}

#define MANDATORY 0x07 /* 0, 1 and 2 */

bst_result bst_air_capability_check(const struct bst_air_capability *capability)
{
    for (unsigned i = 0; i < ALGORITHMS; i++) {
        const unsigned bit = 1U << i & MANDATORY;
        if (bit && !((unsigned)capability->nea & bit)) {
            BST_FAIL(BST_E_DENIED, "the device says that it has no NEA%u, which each device has",
                     i);
        }
        if (bit && !((unsigned)capability->nia & bit)) {
            BST_FAIL(BST_E_DENIED, "the device says that it has no NIA%u, which each device has",
                     i);
        }
    }
    return BST_OK;
}

static bool has(uint8_t bits, uint8_t id)
{
    return id < ALGORITHMS && (bits >> id & 1) != 0;
}

/* First of a list that the device has; `from` leaves out what is below. */
static bool first_common(const uint8_t *list, size_t n, uint8_t device, uint8_t from, uint8_t *ret)
{
    for (size_t i = 0; i < n && i < ALGORITHMS; i++) {
        if (list[i] >= from && has(device, list[i])) {
            *ret = list[i];
            return true;
        }
    }
    return false;
}

bst_result bst_air_choose(const struct bst_air_priority *priority,
                          const struct bst_air_capability *device, bool emergency,
                          struct bst_air_choice *ret)
{
    struct bst_air_choice choice = {0};
    if (emergency) {
        *ret = choice; /* 6.7.3.6: NIA0 and NEA0 */
        return BST_OK;
    }
    if (!first_common(priority->nia, priority->n_nia, device->nia, 1, &choice.nia)) {
        BST_FAIL(BST_E_DENIED, "the device has no integrity algorithm of the list, and NIA0 is for "
                               "emergencies only");
    }
    if (!first_common(priority->nea, priority->n_nea, device->nea, 0, &choice.nea)) {
        BST_FAIL(BST_E_DENIED, "the device has no ciphering algorithm of the list");
    }
    *ret = choice;
    return BST_OK;
}

bst_result bst_air_check_choice(const struct bst_air_capability *sent,
                                const struct bst_air_capability *replayed,
                                const struct bst_air_choice *choice, bool emergency)
{
    if (choice->nia == 0 && !emergency) {
        BST_FAIL(BST_E_DENIED, "the network wants null integrity outside an emergency");
    }
    if (choice->nia == 0 && choice->nea != 0) {
        BST_FAIL(BST_E_DENIED, "null integrity comes with null ciphering only");
    }
    if (sent->nea != replayed->nea || sent->nia != replayed->nia) {
        BST_FAIL(BST_E_DENIED,
                 "bidding down: the network heard of NEA %02x NIA %02x, the device sent NEA %02x "
                 "NIA %02x",
                 replayed->nea, replayed->nia, sent->nea, sent->nia);
    }
    if (!has(sent->nea, choice->nea) || !has(sent->nia, choice->nia)) {
        BST_FAIL(BST_E_DENIED, "the network chose NEA%u and NIA%u, which the device did not offer",
                 choice->nea, choice->nia);
    }
    return BST_OK;
}
