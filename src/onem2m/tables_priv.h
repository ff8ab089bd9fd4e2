/* Shape of the generated tables; only this folder sees them. */
#pragma once

#include "onem2m/types.h"

/** What a value of a data type must look like; the checks are in check.c. */
enum bst_m2m_kind {
    BST_KIND_ANY,
    BST_KIND_ANY_SIMPLE, /* string, number or boolean */
    BST_KIND_STRING,
    BST_KIND_TOKEN, /* string without control characters, not empty */
    BST_KIND_NCNAME,
    BST_KIND_URI,
    BST_KIND_ID,
    BST_KIND_RESOURCE_NAME,
    BST_KIND_WORD, /* string without blanks */
    BST_KIND_BOOL,
    BST_KIND_INT, /* low..high */
    BST_KIND_FLOAT,
    BST_KIND_TIMESTAMP,
    BST_KIND_ABSREL,
    BST_KIND_DURATION,
    BST_KIND_BASE64,
    BST_KIND_IPV4,
    BST_KIND_IPV6,
    BST_KIND_COUNTRY,
    BST_KIND_POA,
    BST_KIND_MEDIA,
    BST_KIND_SERIALIZATION,
    BST_KIND_CONTENT_INFO,
    BST_KIND_EVENT_CAT,
    BST_KIND_EVENT_CAT_DEF,
    BST_KIND_SCHEDULE,
    BST_KIND_ISSUED_ID, /* name@fqdn: role and token ids */
    BST_KIND_JWT,
    BST_KIND_RELEASE,
    BST_KIND_ENUM,    /* count values from bst_m2m_enum_values[first] */
    BST_KIND_LIST,    /* first: element type; low..high elements, 0 = no bound */
    BST_KIND_COMPLEX, /* count members from bst_m2m_members[first]; low: any member goes */
    BST_KIND_COUNT
};

struct bst_m2m_datatype {
    uint8_t kind;
    uint16_t name;
    uint16_t first, count;
    int64_t low, high;
};
struct bst_m2m_named {
    const char *name;
    uint16_t type;
};
/** A request parameter; opt by operation - 1. */
struct bst_m2m_parameter {
    char sn[8];
    uint16_t name, type;
    uint8_t opt[5];
};
struct bst_m2m_status {
    int code, http;
    const char *name, *coap;
};

extern const char bst_m2m_names[];
extern const struct bst_m2m_attr bst_m2m_attrs[];
extern const int16_t bst_m2m_children[];
extern const struct bst_m2m_type bst_m2m_types[]; /* by ty, the generic type of a number first */
extern const size_t bst_m2m_n_types;
extern const uint8_t bst_m2m_roots[];               /* indices of bst_m2m_types by root name */
extern const struct bst_m2m_attr bst_m2m_members[]; /* create: BST_OPT_M or BST_OPT_O */
extern const int32_t bst_m2m_enum_values[];
extern const struct bst_m2m_datatype bst_m2m_datatypes[];
extern const struct bst_m2m_named bst_m2m_named_types[]; /* by name */
extern const size_t bst_m2m_n_named_types;
extern const struct bst_m2m_parameter bst_m2m_parameters[]; /* by short name */
extern const size_t bst_m2m_n_parameters;
extern const struct bst_m2m_status bst_m2m_statuses[]; /* by code */
extern const size_t bst_m2m_n_statuses;

static inline const char *bst_m2m_name_at(uint16_t offset)
{
    return bst_m2m_names + offset;
}

/** Short names as words: equal words are equal names. 0 for a name that fits no table. */
static inline uint64_t bst_m2m_sn_word(const char *name, size_t len)
{
    uint64_t word = 0;
    if (len == 0 || len > 7) {
        return 0;
    }
    for (size_t i = 0; i < len; i++) {
        word |= (uint64_t)(uint8_t)name[i] << (56 - 8 * i);
    }
    return word;
}
static inline uint64_t bst_m2m_sn_of(const char sn[8])
{
    uint64_t word;
    memcpy(&word, sn, sizeof word);
    return __builtin_bswap64(word);
}
/** Search attributes or members sorted by short name. */
const struct bst_m2m_attr *bst_m2m_attr_search(const struct bst_m2m_attr *attrs, size_t n,
                                               struct bst_view sn);

/** Where a value stands, for the error sentence: a chain from the leaf to the root. */
struct bst_m2m_path {
    const struct bst_m2m_path *up;
    struct bst_view name;
    long index; /* in a list; -1 = none */
};
/** Check a value against a data type of the table. */
bst_result bst_m2m_check_value(uint16_t type, yyjson_val *value, const struct bst_m2m_path *path);
/** BST_E_VALUE or another code with "<path>: <what>". */
bst_result bst_m2m_path_fail(enum bst_error code, const struct bst_m2m_path *path,
                             const char *format, ...) __attribute__((format(printf, 3, 4)));
/** Index of a named data type; -1 when there is none. */
int bst_m2m_datatype_by_name(struct bst_view name);
