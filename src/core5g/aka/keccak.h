/* The permutation Keccak-f[1600], which no library function gives by itself. */
#pragma once

#include <stdint.h>

#define BST_KECCAK_BYTES 200

/** Permute 200 octets (lanes little-endian, FIPS 202 3.1.2). Time does not depend on the content.
 */
void bst_keccak_f1600(uint8_t state[BST_KECCAK_BYTES]);
