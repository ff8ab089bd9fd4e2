/* Response status codes over the generated table. */
#include "onem2m/status.h"

#include "onem2m/tables_priv.h"

static const struct bst_m2m_status *find(int rsc)
{
    size_t low = 0, high = bst_m2m_n_statuses;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (bst_m2m_statuses[mid].code < rsc) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < bst_m2m_n_statuses && bst_m2m_statuses[low].code == rsc ? &bst_m2m_statuses[low]
                                                                         : NULL;
}

const char *bst_m2m_rsc_name(int rsc)
{
    const struct bst_m2m_status *status = find(rsc);
    return status ? status->name : "?";
}

bool bst_m2m_rsc_known(int rsc)
{
    return find(rsc) != NULL;
}

int bst_m2m_rsc_http(int rsc)
{
    const struct bst_m2m_status *status = find(rsc);
    if (status) {
        return status->http;
    }
    switch (rsc / 1000) {
    case 1:
        return 202;
    case 2:
        return 200;
    case 4:
        return 400;
    default:
        return 500;
    }
}

int bst_m2m_rsc_from_http(int http_status)
{
    switch (http_status) {
    case 200:
    case 204:
        return BST_RSC_OK;
    case 201:
        return BST_RSC_CREATED;
    case 202:
        return BST_RSC_ACCEPTED;
    case 401:
    case 403:
    case 407:
        return BST_RSC_ORIGINATOR_HAS_NO_PRIVILEGE;
    case 404:
    case 410:
        return BST_RSC_NOT_FOUND;
    case 405:
        return BST_RSC_OPERATION_NOT_ALLOWED;
    case 406:
        return BST_RSC_NOT_ACCEPTABLE;
    case 408:
    case 504:
        return BST_RSC_REQUEST_TIMEOUT;
    case 409:
        return BST_RSC_CONFLICT;
    case 415:
        return BST_RSC_UNSUPPORTED_MEDIA_TYPE;
    case 501:
        return BST_RSC_NOT_IMPLEMENTED;
    case 502:
    case 503:
        return BST_RSC_TARGET_NOT_REACHABLE;
    default:
        return http_status >= 400 && http_status < 500 ? BST_RSC_BAD_REQUEST
                                                       : BST_RSC_INTERNAL_SERVER_ERROR;
    }
}

/* A receiver that cannot now: a token that is gone, a full queue, a quota of a second. The standard
 * has no code for it (TS-0004 table 6.6.3.6-1), so that it is INTERNAL_SERVER_ERROR, and TS-0009
 * table 6.3.2-1 makes 500 of that, which says nothing of another try. Here the Status-Code is 503
 * with Retry-After (RFC 9110 15.6.4, 10.2.3), as caches, proxies and libraries know it; X-M2M-RSC,
 * which alone counts between oneM2M entities (TS-0009 6.4.17), stays 5000. A quota is that of an
 * owner, not of who happens to ask, hence no 429 (RFC 6585 4). A token is looked for once a second.
 */
unsigned bst_m2m_retry_s(enum bst_error failure)
{
    static const struct {
        enum bst_error failure;
        unsigned retry_s;
    } rows[] = {{BST_E_BUSY, 2}, {BST_E_LOCKED, 10}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].failure == failure) {
            return rows[i].retry_s;
        }
    }
    return 0;
}

int bst_m2m_rsc_success(int op)
{
    static const int codes[] = {[BST_OP_CREATE] = BST_RSC_CREATED,
                                [BST_OP_RETRIEVE] = BST_RSC_OK,
                                [BST_OP_UPDATE] = BST_RSC_UPDATED,
                                [BST_OP_DELETE] = BST_RSC_DELETED,
                                [BST_OP_NOTIFY] = BST_RSC_OK};
    return op >= BST_OP_CREATE && op <= BST_OP_NOTIFY ? codes[op] : BST_RSC_OK;
}
