/* Which code computes what: portable C, this processor's vector instructions, or intel-ipsec-mb. */
#include "core5g/air/air_priv.h"

#include <pthread.h>
#include <stdatomic.h>

static bool always(void)
{
    return true;
}

const struct bst_air_implementation bst_air_portable = {
    .name = "portable",
    .usable = always,
    .generators = {[BST_AIR_SNOW3G] = &bst_air_snow3g,
                   [BST_AIR_ZUC128] = &bst_air_zuc128,
                   [BST_AIR_ZUC256] = &bst_air_zuc256,
                   [BST_AIR_SNOW5G] = &bst_air_snow5g,
                   [BST_AIR_AES] = &bst_air_aes},
    .nia1_value = bst_air_nia1_value,
    .nia3_sum = bst_air_nia3_sum,
    .sst_tag = bst_air_sst_tag,
};

/* Slower ones first: of two that have an algorithm the later one is taken. */
static const struct bst_air_implementation *const implementations[] = {
    &bst_air_portable,
#ifdef BST_AIR_IPSEC_MB
    &bst_air_ipsec_mb,
#endif
#ifdef BST_AIR_X86
    &bst_air_avx2,
    &bst_air_avx512,
#endif
};
#define IMPLEMENTATIONS (sizeof implementations / sizeof implementations[0])

/* ---- the fastest of each ---- */

static struct bst_air_implementation fastest;
static const struct bst_air_implementation *_Atomic chosen;
static pthread_once_t once = PTHREAD_ONCE_INIT;

#define TAKE(to, from)                                                                             \
    do {                                                                                           \
        if (from) {                                                                                \
            (to) = (from);                                                                         \
        }                                                                                          \
    } while (0)

/* What `row` has takes the place of what is there. */
static void overlay(struct bst_air_implementation *to, const struct bst_air_implementation *row)
{
    for (size_t core = 0; core < BST_AIR_CORES; core++) {
        TAKE(to->generators[core], row->generators[core]);
        TAKE(to->lanes[core], row->lanes[core]);
    }
    for (size_t i = 0; i < BST_AIR_KINDS * BST_AIR_IDS; i++) {
        TAKE(to->batch[i / BST_AIR_IDS][i % BST_AIR_IDS],
             row->batch[i / BST_AIR_IDS][i % BST_AIR_IDS]);
    }
    TAKE(to->aes_schedule, row->aes_schedule);
    TAKE(to->nia1_value, row->nia1_value);
    TAKE(to->nia3_sum, row->nia3_sum);
    TAKE(to->sst_tag, row->sst_tag);
}

/* Each row again over portable, so that no slot of a key's implementation is empty. */
static struct bst_air_implementation filled[IMPLEMENTATIONS];

static void find_out(void)
{
    fastest = bst_air_portable;
    for (size_t i = 0; i < IMPLEMENTATIONS; i++) {
        if (implementations[i]->usable()) {
            filled[i] = bst_air_portable;
            overlay(&filled[i], implementations[i]);
            filled[i].name = implementations[i]->name;
            overlay(&fastest, implementations[i]);
        }
    }
    fastest.name = "auto";
    atomic_store(&chosen, &fastest);
}

const struct bst_air_implementation *bst_air_implementation(void)
{
    (void)pthread_once(&once, find_out);
    return atomic_load(&chosen);
}

/* The n-th that can be used, NULL behind the last. */
static const struct bst_air_implementation *usable_at(size_t n)
{
    (void)pthread_once(&once, find_out);
    for (size_t i = 0; i < IMPLEMENTATIONS; i++) {
        if (filled[i].name && n-- == 0) {
            return &filled[i];
        }
    }
    return NULL;
}

const char *bst_air_implementation_at(size_t n)
{
    const struct bst_air_implementation *row = usable_at(n);
    return row ? row->name : NULL;
}

bst_result bst_air_use(struct bst_view name)
{
    const struct bst_air_implementation *row;
    size_t i = 0;
    if (bst_view_eq(name, BST_VIEW("auto"))) {
        (void)pthread_once(&once, find_out);
        atomic_store(&chosen, &fastest);
        return BST_OK;
    }
    while ((row = usable_at(i)) && !bst_view_eq(name, bst_view(row->name))) {
        i++;
    }
    if (!row) {
        BST_FAIL(BST_E_NOT_FOUND, "this machine has no implementation '%.*s' of air algorithms",
                 (int)(name.len < 40 ? name.len : 40), name.ptr);
    }
    atomic_store(&chosen, row);
    return BST_OK;
}

/* ---- who does it ---- */

static bool computes(const struct bst_air_implementation *row, const struct bst_air_key *key,
                     bool batch)
{
    const struct bst_air_implementation *used = key->implementation;
    const struct bst_air_algorithm *algorithm = key->algorithm;
    bst_air_batch *whole = used->batch[algorithm->kind][algorithm->id];
    if (batch && whole) {
        return row->batch[algorithm->kind][algorithm->id] == whole &&
               row->lanes[algorithm->core] == used->lanes[algorithm->core];
    }
    /* CMAC of one packet is OpenSSL's; of UIA2 the polynomial is more work than the keystream. */
    if (algorithm->mac == bst_air_nia2) {
        return false;
    }
    if (algorithm->mac == bst_air_nia1) {
        return row->nia1_value == used->nia1_value;
    }
    return row->generators[algorithm->core] == used->generators[algorithm->core];
}

const char *bst_air_used(const struct bst_air_key *key, bool batch)
{
    for (size_t i = 0; key->algorithm && i < IMPLEMENTATIONS; i++) {
        if (computes(implementations[i], key, batch)) {
            return implementations[i]->name;
        }
    }
    return bst_air_portable.name;
}
