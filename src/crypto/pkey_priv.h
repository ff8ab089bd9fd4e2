/* Loading keys of any algorithm, for the files of crypto that then look which one it is. */
#pragma once

#include "crypto/pkey.h"

/** As bst_pkey_load() and bst_pkey_load_public(), whatever the algorithm. */
bst_result bst_pkey_load_unchecked(struct bst_view text, struct evp_pkey_st **ret);
bst_result bst_pkey_load_public_unchecked(struct bst_view text, struct evp_pkey_st **ret);
