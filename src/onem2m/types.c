/* Look-ups in the generated tables of resource types. */
#include "onem2m/tables_priv.h"

static const char *const op_names[] = {"?", "CREATE", "RETRIEVE", "UPDATE", "DELETE", "NOTIFY"};

const char *bst_m2m_op_name(enum bst_m2m_op op)
{
    return (unsigned)op < sizeof op_names / sizeof op_names[0] ? op_names[op] : "?";
}

const struct bst_m2m_type *bst_m2m_type_by_ty(int ty)
{
    size_t low = 0, high = bst_m2m_n_types;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (bst_m2m_types[mid].ty < ty) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < bst_m2m_n_types && bst_m2m_types[low].ty == ty ? &bst_m2m_types[low] : NULL;
}

const struct bst_m2m_type *bst_m2m_type_by_root(struct bst_view root)
{
    size_t low = 0, high = bst_m2m_n_types;
    while (low < high) {
        size_t mid = (low + high) / 2;
        const struct bst_m2m_type *type = &bst_m2m_types[bst_m2m_roots[mid]];
        int order = bst_view_cmp(root, bst_view(type->root));
        if (order == 0) {
            return type;
        }
        if (order < 0) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return NULL;
}

const struct bst_m2m_type *bst_m2m_type_at(size_t i)
{
    return i < bst_m2m_n_types ? &bst_m2m_types[i] : NULL;
}

bool bst_m2m_child_allowed(const struct bst_m2m_type *parent, int child_ty)
{
    for (size_t i = 0; i < parent->n_children; i++) {
        if (parent->children[i] == child_ty) {
            return true;
        }
    }
    return false;
}

const struct bst_m2m_attr *bst_m2m_attr_search(const struct bst_m2m_attr *attrs, size_t n,
                                               struct bst_view sn)
{
    uint64_t word = bst_m2m_sn_word(sn.ptr, sn.len);
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        uint64_t at = bst_m2m_sn_of(attrs[mid].sn);
        if (at == word) {
            return &attrs[mid];
        }
        if (word < at) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return NULL;
}

const struct bst_m2m_attr *bst_m2m_attr_find(const struct bst_m2m_type *type, struct bst_view sn)
{
    return bst_m2m_attr_search(type->attrs, type->n_attrs, sn);
}

const char *bst_m2m_attr_name(const struct bst_m2m_attr *attr)
{
    return bst_m2m_name_at(attr->name);
}

const char *bst_m2m_attr_type_name(const struct bst_m2m_attr *attr)
{
    return bst_m2m_name_at(bst_m2m_datatypes[attr->type].name);
}

const char *bst_m2m_long_name(struct bst_view sn)
{
    for (size_t i = 0; i < bst_m2m_n_types; i++) {
        const struct bst_m2m_attr *attr = bst_m2m_attr_find(&bst_m2m_types[i], sn);
        if (attr) {
            return bst_m2m_attr_name(attr);
        }
    }
    return NULL;
}

/* TS-0004 table 6.8-1; the short names of TS-0016 are those of its table. */
static const char *const virtual_names[] = {
    [BST_VIRT_LATEST] = "la",
    [BST_VIRT_OLDEST] = "ol",
    [BST_VIRT_FANOUT] = "fopt",
    [BST_VIRT_SEMANTIC_FANOUT] = "sfop",
    [BST_VIRT_POLLING_URI] = "pcu",
    [BST_VIRT_NTSR] = "ntsr",
    [BST_VIRT_SEMANTIC_VALIDATION] = "smv",
    [BST_VIRT_MASHUP] = "msp",
    [BST_VIRT_ENCRYPT] = "encr",
    [BST_VIRT_DECRYPT] = "decr",
    [BST_VIRT_GENERATE_KEY] = "genk",
};

enum bst_m2m_virtual bst_m2m_virtual_of(struct bst_view name)
{
    if (name.len < 2 || name.len > 4) {
        return BST_VIRT_NONE;
    }
    for (size_t i = 1; i < sizeof virtual_names / sizeof virtual_names[0]; i++) {
        if (bst_view_is(name, virtual_names[i])) {
            return (enum bst_m2m_virtual)i;
        }
    }
    return BST_VIRT_NONE;
}

int bst_m2m_datatype_by_name(struct bst_view name)
{
    size_t low = 0, high = bst_m2m_n_named_types;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = bst_view_cmp(name, bst_view(bst_m2m_named_types[mid].name));
        if (order == 0) {
            return bst_m2m_named_types[mid].type;
        }
        if (order < 0) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return -1;
}
