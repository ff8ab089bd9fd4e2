/* Vectors of ML-KEM-768: keys from seeds, both directions, refusals of keys and ciphertexts. */
#include "core5g/kat/kat_priv.h"
#include "crypto/kem.h"

/* What a vector computes; each field is filled when its operation has come that far. */
struct results {
    uint8_t ek[BST_KEM_EK_BYTES];
    struct bst_secret dk;
    uint8_t ciphertext[BST_KEM_CIPHERTEXT_BYTES], shared[BST_KEM_SHARED_BYTES];
};
static inline void bst_results_clear(struct results *results)
{
    bst_secret_clear(&results->dk);
}

static bst_result keygen(const struct kat *kat, struct results *ret)
{
    struct bst_view seed;
    BST_TRY(kat_octets(kat, "seed_d_z", &seed));
    return bst_kem_keygen(seed, ret->ek, &ret->dk);
}

static bst_result decapsulate(const struct kat *kat, struct results *ret)
{
    struct bst_view ciphertext;
    BST_TRY(kat_octets(kat, "ciphertext", &ciphertext));
    return bst_kem_decapsulate(bst_view_of(ret->dk.ptr, ret->dk.len), ciphertext, ret->shared);
}

static bst_result keygen_decaps(const struct kat *kat, struct results *ret)
{
    BST_TRY(keygen(kat, ret));
    return decapsulate(kat, ret);
}

static bst_result decaps_expanded(const struct kat *kat, struct results *ret)
{
    struct bst_view dk;
    BST_TRY(kat_octets(kat, "dk", &dk));
    if (dk.len == BST_KEM_SEED_BYTES) {
        BST_FAIL(BST_E_BAD_KEY, "field 'dk' is a seed");
    }
    BST_TRY(bst_kem_dk_load(dk, &ret->dk));
    return decapsulate(kat, ret);
}

static bst_result encaps(const struct kat *kat, struct results *ret)
{
    struct bst_view ek, m;
    BST_TRY(kat_octets(kat, "ek", &ek));
    BST_TRY(kat_sized(kat, "m", BST_KEM_RANDOM_BYTES, BST_KEM_RANDOM_BYTES, &m));
    return bst_kem_encapsulate(ek, m, ret->ciphertext, ret->shared);
}

static const struct op {
    const char *name;
    bst_result (*run)(const struct kat *kat, struct results *ret);
    bool ek, dk, ciphertext, shared; /* which members are answers */
} ops[] = {
    {"keygen", keygen, .ek = true, .dk = true},
    {"keygen+decaps", keygen_decaps, .ek = true, .shared = true},
    {"decaps with expanded dk", decaps_expanded, .shared = true},
    {"encaps", encaps, .ciphertext = true, .shared = true},
};

static bst_result find_op(const struct kat *kat, const struct op **ret)
{
    struct bst_view name;
    BST_TRY(kat_text(kat, "op", &name));
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (bst_view_is(name, ops[i].name)) {
            *ret = &ops[i];
            return BST_OK;
        }
    }
    BST_FAIL(BST_E_VALUE, "field 'op' is '%.*s'", BST_VIEW_ARGS(name));
}

static bst_result need(struct kat *kat, bool wanted, const char *name, const void *got, size_t len)
{
    if (!wanted) {
        return BST_OK;
    }
    if (!kat_has(kat, name)) {
        BST_FAIL(BST_E_SYNTAX, "field '%s' is missing", name);
    }
    return kat_answer(kat, name, got, len);
}

/* So that a member that is no hexadecimal does not count as a refusal of what it says. */
static bst_result check_members(const struct kat *kat)
{
    static const char *const names[] = {"seed_d_z", "ek", "dk", "ciphertext", "m", "shared_secret"};
    struct bst_view unused;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (kat_has(kat, names[i])) {
            BST_TRY(kat_octets(kat, names[i], &unused));
        }
    }
    return BST_OK;
}

/* Refusals are of key or ciphertext, never of a member that is missing. */
static bst_result refusal(struct kat *kat, bst_result outcome)
{
    return outcome.code == BST_E_SYNTAX ? outcome : kat_refused(kat, outcome);
}

bst_result kat_mlkem768(struct kat *kat)
{
    const struct op *op = NULL;
    bool valid;
    __attribute__((cleanup(bst_results_clear))) struct results results = {0};
    BST_TRY(find_op(kat, &op));
    BST_TRY(kat_wants_valid(kat, &valid));
    BST_TRY(check_members(kat));
    bst_result outcome = op->run(kat, &results);
    if (!valid) {
        return refusal(kat, outcome);
    }
    BST_TRY(outcome);
    BST_TRY(need(kat, op->ek, "ek", results.ek, sizeof results.ek));
    BST_TRY(need(kat, op->dk, "dk", results.dk.ptr, results.dk.len));
    BST_TRY(need(kat, op->ciphertext, "ciphertext", results.ciphertext, sizeof results.ciphertext));
    return need(kat, op->shared, "shared_secret", results.shared, sizeof results.shared);
}
