/* The oneM2M resource types as data: which attributes each has, of which type, and when.
 *
 * The tables (TS-0004 7.4, 6.3; TS-0001 9.6) are generated from src/onem2m/tables by
 * tools/gen_onem2m.py. onem2m/tables.h, made by the same run, holds enum bst_m2m_ty
 * (BST_TY_ACP, BST_TY_AE, BST_TY_CNT... by short name), enum bst_m2m_rsc (BST_RSC_OK...)
 * and the enumerations of TS-0004 6.3.4.2. */
#pragma once

#include "codec/json.h"
#include "onem2m/tables.h"

/** m2m:operation, TS-0004 6.3.4.2.5. */
enum bst_m2m_op {
    BST_OP_NONE = 0,
    BST_OP_CREATE = 1,
    BST_OP_RETRIEVE = 2,
    BST_OP_UPDATE = 3,
    BST_OP_DELETE = 4,
    BST_OP_NOTIFY = 5,
};
/** "CREATE"... "?" for an unknown one. */
const char *bst_m2m_op_name(enum bst_m2m_op op);

/** Request optionality of an attribute (TS-0004 7.4). */
enum bst_m2m_opt { BST_OPT_NP = 0, BST_OPT_O = 1, BST_OPT_M = 2 };

enum {
    BST_ATTR_LIST = 1,     /* (L): an array */
    BST_ATTR_REQUIRED = 2, /* multiplicity 1: null in an UPDATE is refused */
    BST_ATTR_RO = 4,       /* set by the hosting CSE only */
    BST_ATTR_WO = 8,       /* set once, at creation */
    BST_ATTR_COMMON = 16,  /* a universal or common attribute (TS-0001 9.6.1.3) */
    BST_ATTR_MA = 32,      /* announced always */
    BST_ATTR_OA = 64,      /* announced when the creator asks */
};

/** One attribute of one resource type. Short names are packed so that a look-up compares words. */
struct bst_m2m_attr {
    char sn[8];     /* short name, NUL-terminated: "mni" */
    uint16_t name;  /* long name, see bst_m2m_attr_name() */
    uint16_t type;  /* index of its data type, see bst_m2m_attr_type_name() */
    uint8_t create; /* enum bst_m2m_opt */
    uint8_t update; /* enum bst_m2m_opt */
    uint8_t flags;  /* BST_ATTR_ */
    uint8_t index;  /* bit number within the type, < 64 */
};

enum {
    BST_TYPE_ACPI = 1,       /* has accessControlPolicyIDs */
    BST_TYPE_CREATOR = 2,    /* has creator */
    BST_TYPE_STATE_TAG = 4,  /* has stateTag */
    BST_TYPE_EXPIRES = 8,    /* has expirationTime */
    BST_TYPE_UPDATABLE = 16, /* the standard defines UPDATE */
    BST_TYPE_ANNOUNCEABLE = 32,
    BST_TYPE_ANNOUNCED = 64,    /* is the announced variant */
    BST_TYPE_IN_ONLY = 128,     /* lives on an IN-CSE only */
    BST_TYPE_SPECIALIZED = 256, /* mgmtObj, flexContainer: the root names a specialization */
    BST_TYPE_LABELS = 512,      /* has labels */
    BST_TYPE_CREATABLE = 1024,  /* a request may create it */
    BST_TYPE_SECURE = 2048,     /* of a secure environment (TS-0016): Release 1 has none */
};

struct bst_m2m_type {
    int ty;
    uint32_t flags;                   /* BST_TYPE_ */
    const char *sn;                   /* "cnt" */
    const char *root;                 /* "m2m:cnt" */
    const char *name;                 /* "container" */
    const struct bst_m2m_attr *attrs; /* sorted by short name */
    uint16_t n_attrs;
    uint16_t n_children;
    const int16_t *children;   /* types that may be created under it, ascending */
    uint64_t create_mandatory; /* bits by attr index */
    uint64_t update_mandatory;
};

/** NULL when unknown. For the shared numbers 13, 28: the generic type. */
const struct bst_m2m_type *bst_m2m_type_by_ty(int ty);
/** By root member name ("m2m:cnt"), NULL when unknown. Specializations have their own entries. */
const struct bst_m2m_type *bst_m2m_type_by_root(struct bst_view root);
/** Walk all types, i from 0; NULL at the end. */
const struct bst_m2m_type *bst_m2m_type_at(size_t i);
/** TS-0001 9.6: may a resource of `child` be created under one of `parent`? */
bool bst_m2m_child_allowed(const struct bst_m2m_type *parent, int child_ty);

/** NULL when the type has no such attribute. */
const struct bst_m2m_attr *bst_m2m_attr_find(const struct bst_m2m_type *type, struct bst_view sn);
const char *bst_m2m_attr_name(const struct bst_m2m_attr *attr);
const char *bst_m2m_attr_type_name(const struct bst_m2m_attr *attr);
static inline struct bst_view bst_m2m_attr_sn(const struct bst_m2m_attr *attr)
{
    return bst_view(attr->sn);
}
/** Long attribute name of a short one in any type ("mni" -> "maxNrOfInstances"), NULL if unknown.
 */
const char *bst_m2m_long_name(struct bst_view sn);

/** Virtual resources, TS-0004 6.8, and those of TS-0016. */
enum bst_m2m_virtual {
    BST_VIRT_NONE,
    BST_VIRT_LATEST,              /* la */
    BST_VIRT_OLDEST,              /* ol */
    BST_VIRT_FANOUT,              /* fopt */
    BST_VIRT_SEMANTIC_FANOUT,     /* sfop */
    BST_VIRT_POLLING_URI,         /* pcu */
    BST_VIRT_NTSR,                /* ntsr */
    BST_VIRT_SEMANTIC_VALIDATION, /* smv */
    BST_VIRT_MASHUP,              /* msp */
    BST_VIRT_ENCRYPT,             /* encr, TS-0016 7.5.1.2 */
    BST_VIRT_DECRYPT,             /* decr, TS-0016 7.5.1.3 */
    BST_VIRT_GENERATE_KEY,        /* genk, TS-0016 7.5.1.4, 7.6.7 */
};
enum bst_m2m_virtual bst_m2m_virtual_of(struct bst_view name);

/** Check the members of a representation sent with CREATE or UPDATE (TS-0004 7.3.3.3, 7.3.3.4).
 *
 * @param type     from bst_m2m_type_by_root(); the members of a specialization without its own
 *                 table are checked as far as they are common
 * @param members  the object under the root member
 * @error BST_E_SYNTAX           no object, unknown attribute, mandatory one missing, one present
 *                               that must not be (rsc 4000)
 * @error BST_E_VALUE            wrong type, range, multiplicity, or null for a mandatory attribute
 * @error BST_E_NOT_IMPLEMENTED  a known optional attribute that no part of Bastide supports (5001)
 * The detail names the attribute path, what it must be and what was found.
 */
bst_result bst_m2m_validate(const struct bst_m2m_type *type, enum bst_m2m_op op,
                            yyjson_val *members);
/** Check one value against a complex type of TS-0004 6.3.5 or a simple one ("m2m:notification"). */
bst_result bst_m2m_validate_as(const char *type_name, yyjson_val *value, const char *path);

/** Attributes of known types that a request may not use yet (TS-0004 7.3.3.3: 5001). Names are
 * "<type sn>.<attr sn>"; the table is in validate.c. */
bool bst_m2m_attr_supported(const struct bst_m2m_type *type, const struct bst_m2m_attr *attr);
