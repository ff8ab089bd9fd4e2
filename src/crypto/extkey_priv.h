/* External keys, as the rest of crypto sees them. */
#pragma once

#include "crypto/pkey.h"

bool bst_extkey_is(const struct evp_pkey_st *pkey);
bst_result bst_extkey_spki(const struct evp_pkey_st *pkey, struct bst_buf *ret);
