/* Labels and formulas of TS-0003 V3.18, 10.3.2, 10.3.3, 10.3.4, 10.3.5, 10.3.7. */
#include "sec/labels.h"

#include "sec/ids.h"

#include <stdio.h>

static const char KM_LABEL[] = "oneM2M Enrolment Key to Master Credential derivation";
static const char KPSA_LABEL[] =
    "oneM2M Enrolment Key to Provisioned Secure Connection Key derivation";
static const char USAGE_LABEL[] =
    "oneM2M Enrolment Key to Usage-Constrained Symmetric Key derivation";

void bst_relative_key_id(const uint8_t id[BST_EXPORT_ID_LEN], char ret[BST_RELATIVE_ID_LEN + 1])
{
    for (size_t i = 0; i < BST_EXPORT_ID_LEN; i++) {
        snprintf(ret + 2 * i, 3, "%02X", id[i]); /* canonical xs:hexBinary */
    }
}

bst_result bst_key_id(struct bst_view relative_id, struct bst_view fqdn,
                      char ret[BST_KEY_ID_MAX + 1])
{
    uint8_t raw[BST_EXPORT_ID_LEN];
    BST_TRY(bst_hex_decode(relative_id, raw, sizeof raw));
    if (!bst_fqdn_valid(fqdn)) {
        BST_FAIL(BST_E_VALUE, "'%.*s' is not a domain name", BST_VIEW_ARGS(fqdn));
    }
    bst_relative_key_id(raw, ret);
    ret[BST_RELATIVE_ID_LEN] = '@';
    return bst_view_copy(fqdn, ret + BST_RELATIVE_ID_LEN + 1, BST_KEY_ID_MAX - BST_RELATIVE_ID_LEN);
}

/* Identifiers are to be in NFKC, which leaves ASCII as it is; others are not accepted. */
static bst_result ascii_id(struct bst_view id)
{
    for (size_t i = 0; i < id.len; i++) {
        if ((unsigned char)id.ptr[i] < 0x21 || (unsigned char)id.ptr[i] > 0x7e) {
            BST_FAIL(BST_E_VALUE, "identifiers in key derivations are visible ASCII characters");
        }
    }
    BST_ENSURE(id.len, BST_E_VALUE);
    return BST_OK;
}

static bst_result derive(struct bst_se *se, bst_key ke, const struct bst_view *parts, size_t n,
                         const struct bst_key_attrs *attrs, bst_key *ret)
{
    BST_TRY(ascii_id(parts[n - 1]));
    return bst_se_derive(se, ke, parts, n, attrs, ret);
}

bst_result bst_derive_km(struct bst_se *se, bst_key ke, struct bst_view maf_id,
                         const struct bst_key_attrs *attrs, bst_key *ret)
{
    const struct bst_view parts[] = {bst_view(KM_LABEL), maf_id};
    return derive(se, ke, parts, 2, attrs, ret);
}

bst_result bst_derive_kpsa(struct bst_se *se, bst_key ke, struct bst_view enrolee_b_id,
                           const struct bst_key_attrs *attrs, bst_key *ret)
{
    const struct bst_view parts[] = {bst_view(KPSA_LABEL), enrolee_b_id};
    return derive(se, ke, parts, 2, attrs, ret);
}

bst_result bst_derive_usage(struct bst_se *se, bst_key ke, int suid, struct bst_view target_fqdn,
                            const struct bst_key_attrs *attrs, bst_key *ret)
{
    char digits[12];
    snprintf(digits, sizeof digits, "%d", suid);
    const struct bst_view parts[] = {bst_view(USAGE_LABEL), bst_view(digits), target_fqdn};
    return derive(se, ke, parts, 3, attrs, ret);
}
