/* TLS profiles as data: one row says all that a connection may negotiate. */
#pragma once

#include "base/text.h"

struct bst_tls_profile;

/** NULL when there is none of that name. */
const struct bst_tls_profile *bst_tls_profile_find(struct bst_view name);
/** The n-th profile, NULL past the end. */
const struct bst_tls_profile *bst_tls_profile_at(size_t n);
const char *bst_tls_profile_name(const struct bst_tls_profile *profile);
/** One line: what it is for. */
const char *bst_tls_profile_purpose(const struct bst_tls_profile *profile);
/** What OpenSSL makes of the row, as text; kept as a golden file per profile. */
bst_result bst_tls_profile_print(const struct bst_tls_profile *profile, struct bst_buf *ret);
