/* Non-blocking requests (TS-0004 7.2.2.2 Recv-2.0, 7.3.2.2): answered at once with the address of a
 * <request>, done afterwards. */
#pragma once

#include "cse/cse_priv.h"

/** Does the Response Type of this request, whose validity was checked, ask for it? */
bool bst_cse_wants_later(const struct bst_cse_op *op);
/** Keep the request as a <request>, answer by bst_cse_finish(), do it, and tell who wants to be
 * told. op->who is the verified originator. On the worker's loop. */
bst_result bst_cse_do_later(struct bst_cse_op *op);
