/* Resource identifiers: a keyed permutation of 64-bit ids, written as 13 characters. Not a
 * cryptographic primitive; see resource.h. */
#include "store/resource.h"

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

void bst_ri_key_init(struct bst_ri_key *key, const uint8_t bytes[32])
{
    for (size_t i = 0; i < 8; i++) {
        key->round[i] = (uint32_t)bytes[4 * i] | (uint32_t)bytes[4 * i + 1] << 8 |
                        (uint32_t)bytes[4 * i + 2] << 16 | (uint32_t)bytes[4 * i + 3] << 24;
    }
}

/* Multiply and fold, twice: every input bit reaches every output bit. */
static uint32_t mix(uint32_t half, uint32_t key)
{
    uint64_t x = ((uint64_t)half ^ key) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 29 ^ key) * UINT64_C(0xbf58476d1ce4e5b9);
    return (uint32_t)(x >> 32);
}

static uint64_t permute(const struct bst_ri_key *key, uint64_t value)
{
    uint32_t left = (uint32_t)(value >> 32), right = (uint32_t)value;
    for (size_t i = 0; i < 8; i++) {
        uint32_t next = left ^ mix(right, key->round[i]);
        left = right;
        right = next;
    }
    return (uint64_t)left << 32 | right;
}

static uint64_t permute_back(const struct bst_ri_key *key, uint64_t value)
{
    uint32_t left = (uint32_t)(value >> 32), right = (uint32_t)value;
    for (size_t i = 8; i-- > 0;) {
        uint32_t before = right ^ mix(left, key->round[i]);
        right = left;
        left = before;
    }
    return (uint64_t)left << 32 | right;
}

void bst_ri_format(const struct bst_ri_key *key, int64_t id, char out[BST_RI_LEN + 1])
{
    uint64_t value = permute(key, (uint64_t)id);
    for (size_t i = BST_RI_LEN; i-- > 0;) {
        out[i] = alphabet[value & 31];
        value >>= 5;
    }
    out[BST_RI_LEN] = '\0';
}

static int digit(char c)
{
    return c >= 'a' && c <= 'z' ? c - 'a' : c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

bst_result bst_ri_parse(const struct bst_ri_key *key, struct bst_view text, int64_t *ret_id)
{
    BST_ENSURE(text.len == BST_RI_LEN, BST_E_SYNTAX);
    /* 13 characters hold 65 bits: the first one never uses its highest. */
    BST_ENSURE(digit(text.ptr[0]) < 16, BST_E_SYNTAX);
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        int d = digit(text.ptr[i]);
        BST_ENSURE(d >= 0, BST_E_SYNTAX);
        value = value << 5 | (uint64_t)d;
    }
    int64_t id = (int64_t)permute_back(key, value);
    BST_ENSURE(id > 0, BST_E_SYNTAX);
    *ret_id = id;
    return BST_OK;
}
