/* Key material of one subscriber as a JSON file. */
#pragma once

#include "core5g/aka/functions.h"

#define BST_AKA_KEYFILE_MAX 4096

/** {"algorithm": "milenage" | "tuak" | "milenage256", "k": hex, "opc": hex or "op": hex}, for TUAK
 * also "iterations", and "mac_bytes", "res_bytes", "ck_bytes", "ik_bytes" where they are not the
 * usual ones. Clear `ret` after use.
 * @error BST_E_SYNTAX @error BST_E_VALUE  the detail names the member */
bst_result bst_aka_keyfile_parse(struct bst_view text, struct bst_aka_keys *ret);
