/* What the families of vectors share: fields in, answers compared. */
#pragma once

#include "codec/json.h"
#include "core5g/kat/kat.h"

#define KAT_OCTETS_MAX 5000

/** One vector under test. */
struct kat {
    const yyjson_val *vector;
    struct bst_arena *arena;
    const char *family; /* how names of its files begin: "nea1" */
    size_t answers;     /* compared so far */
};

/* Families; a failure's sentence says which field and what. */
bst_result kat_milenage(struct kat *kat);
bst_result kat_tuak(struct kat *kat);
bst_result kat_milenage256(struct kat *kat);
bst_result kat_kdf(struct kat *kat);
bst_result kat_suci(struct kat *kat);
bst_result kat_air(struct kat *kat);
bst_result kat_snow3g(struct kat *kat);
bst_result kat_zuc128(struct kat *kat);
bst_result kat_mlkem768(struct kat *kat);
bst_result kat_jose(struct kat *kat);

bool kat_has(const struct kat *kat, const char *name); /* there, and not null */
/** Octets of a hexadecimal member, in the arena. */
bst_result kat_octets(const struct kat *kat, const char *name, struct bst_view *ret);
/** The same with a length between two limits. */
bst_result kat_sized(const struct kat *kat, const char *name, size_t min, size_t max,
                     struct bst_view *ret);
/** The same with one length, copied to `out`. */
bst_result kat_fixed(const struct kat *kat, const char *name, void *out, size_t len);
bst_result kat_text(const struct kat *kat, const char *name, struct bst_view *ret);
bst_result kat_number(const struct kat *kat, const char *name, int64_t max, int64_t *ret);
/** Does the member "result" say that the input is good? Anything but "valid" and "invalid" is a
 * failure. */
bst_result kat_wants_valid(const struct kat *kat, bool *ret);
/** What came of an input that must be refused. */
bst_result kat_refused(struct kat *kat, bst_result outcome);
/** Compare with an answer; a member that is absent asks for nothing. */
bst_result kat_answer(struct kat *kat, const char *name, const void *got, size_t len);
