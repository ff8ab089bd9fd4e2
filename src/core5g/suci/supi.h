/* The subscription permanent identifier: IMSI and network access identifier, and the octets of them
 * that a protection scheme conceals. */
#pragma once

#include "base/text.h"

enum bst_supi_type { BST_SUPI_IMSI, BST_SUPI_NAI };

#define BST_MSIN_MAX 10
#define BST_NAI_MAX 253

struct bst_supi {
    enum bst_supi_type type;
    char mcc[4], mnc[4], msin[BST_MSIN_MAX + 1];            /* IMSI */
    char username[BST_NAI_MAX + 1], realm[BST_NAI_MAX + 1]; /* NAI */
};

/** "imsi-<digits>" or "nai-<username>@<realm>".
 * @param mnc_digits  2 or 3: an IMSI does not say how long its MNC is
 * @error BST_E_SYNTAX @error BST_E_VALUE @error BST_E_TOO_LONG */
bst_result bst_supi_parse(struct bst_view text, unsigned mnc_digits, struct bst_supi *ret);
/** As above, appended. */
void bst_supi_format(const struct bst_supi *supi, struct bst_buf *ret);
/** Without prefix, as key derivation takes it (TS 33.501 A.7). */
void bst_supi_bare(const struct bst_supi *supi, struct bst_buf *ret);

/** Scheme input: MSIN as packed BCD, low nibble first, or the octets of the username. Appended.
 * @clause TS 33.501 C.3.1 */
bst_result bst_supi_scheme_input(const struct bst_supi *supi, struct bst_buf *ret);
/** The other way: fills msin or username of `ret`, whose type and home network are set.
 * @error BST_E_VALUE  no BCD digits, a filler in another place than the end, no user name */
bst_result bst_supi_take_input(struct bst_view input, struct bst_supi *ret);

/* Parts that identifiers are made of. */
bool bst_digits_only(struct bst_view v, size_t min, size_t max);
bool bst_realm_valid(struct bst_view v); /* RFC 7542: labels of letters, digits and '-' */
bool bst_username_valid(struct bst_view v);
