/* Response status codes and their names, texts and HTTP codes (TS-0004 6.6.3, TS-0009 6.3.2). */
#pragma once

#include "base/text.h"
#include "onem2m/tables.h"

/** "BAD_REQUEST"; "?" for an unknown code. */
const char *bst_m2m_rsc_name(int rsc);
/** True for a code of the table. */
bool bst_m2m_rsc_known(int rsc);
/** HTTP status of a code. An unknown code maps by its class: 1xxx 202, 2xxx 200, 4xxx 400, else
 * 500. */
int bst_m2m_rsc_http(int rsc);
/** A code for an HTTP answer that carries none (a proxy spoke). */
int bst_m2m_rsc_from_http(int http_status);
static inline bool bst_m2m_rsc_is_success(int rsc)
{
    return rsc >= 1000 && rsc < 3000;
}
/** HTTP status of an answer that is worth another try soon. */
#define BST_M2M_BUSY_HTTP 503
/** When it is worth another try, after a failure of the receiver; 0: not for that reason. */
unsigned bst_m2m_retry_s(enum bst_error failure);
/** The success code of an operation. */
int bst_m2m_rsc_success(int op);
