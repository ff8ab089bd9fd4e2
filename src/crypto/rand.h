/* Random bytes from OpenSSL's generator, which reseeds itself after fork. */
#pragma once

#include "base/text.h"

/** Unpredictable bytes. @error BST_E_CRYPTO the generator has no entropy */
bst_result bst_random(void *out, size_t len);

/** Make OpenSSL ready without the machine's openssl.cnf. Every function here does it by itself; who
 * calls OpenSSL directly (TLS) calls this before anything else. */
bst_result bst_crypto_start(void);
