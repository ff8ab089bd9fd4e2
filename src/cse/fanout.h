/* The fan-out point of a group (TS-0004 7.4.14). */
#pragma once

#include "cse/cse_priv.h"

/** Fan the request of `op` out to the members of op->target.res, after the existence check; on
 * success the operation is finished by bst_cse_finish(), now or later. On the worker's loop.
 * @error BST_E_NO_MEMBERS, BST_E_DENIED, BST_E_VALUE (grtm names no member) */
bst_result bst_cse_fanout(struct bst_cse_op *op);
