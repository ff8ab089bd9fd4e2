/* A private key of the secure environment as an OpenSSL key. */
#pragma once

#include "se/se.h"

struct evp_pkey_st; /* EVP_PKEY */

/** An EVP_PKEY that signs inside; for SSL_CTX_use_PrivateKey(), certificates and CSRs.
 *
 * Every signature passes usage, expiry and filters. It keeps working until the key is deleted, then
 * signing fails. It holds the environment open.
 * @error BST_E_SE_USAGE  the key may not sign */
bst_result bst_se_pkey(struct bst_se *se, bst_key key, struct evp_pkey_st **ret);
