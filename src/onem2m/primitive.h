/* Request and response primitives (TS-0004 6.4, 7.2.1): every binding makes and takes these. */
#pragma once

#include "onem2m/address.h"
#include "onem2m/filter.h"
#include "onem2m/status.h"

/** m2m:responseType, TS-0004 6.3.4.2.6. */
enum bst_m2m_rt {
    BST_RT_NON_BLOCKING_SYNCH = 1,
    BST_RT_NON_BLOCKING_ASYNCH = 2,
    BST_RT_BLOCKING = 3,
    BST_RT_FLEX_BLOCKING = 4,
    BST_RT_NO_RESPONSE = 5,
};

/** m2m:resultContent, TS-0004 6.3.4.2.7. */
enum bst_m2m_rcn {
    BST_RCN_ABSENT = -1,
    BST_RCN_NOTHING = 0,
    BST_RCN_ATTRIBUTES = 1,
    BST_RCN_ADDRESS = 2,
    BST_RCN_ADDRESS_ATTRIBUTES = 3,
    BST_RCN_ATTRIBUTES_CHILDREN = 4,
    BST_RCN_ATTRIBUTES_CHILD_REFS = 5,
    BST_RCN_CHILD_REFS = 6,
    BST_RCN_ORIGINAL = 7,
    BST_RCN_CHILDREN = 8,
    BST_RCN_MODIFIED = 9,
    BST_RCN_SEMANTIC = 10,
    BST_RCN_DISCOVERY_REFS = 11, /* later releases */
    BST_RCN_PERMISSIONS = 12,    /* later releases */
};

/** Service layer releases, in order; the text is X-M2M-RVI and rvi. */
enum bst_m2m_release {
    BST_RELEASE_NONE = 0, /* parameter absent: treated as Release 1 (TS-0004 7.3.2.1) */
    BST_RELEASE_1,
    BST_RELEASE_2,
    BST_RELEASE_2A,
    BST_RELEASE_3,
    BST_RELEASE_4,
    BST_RELEASE_5,
    BST_RELEASE_UNKNOWN,
};
enum bst_m2m_release bst_m2m_release_of(struct bst_view rvi);

enum bst_m2m_format { BST_FORMAT_NONE, BST_FORMAT_JSON, BST_FORMAT_XML, BST_FORMAT_CBOR };

/** A timestamp parameter: as sent, and as wall time (relative ones resolved at arrival). */
struct bst_m2m_time {
    struct bst_view text; /* ptr NULL: absent */
    int64_t us;
};

/** Presence of parameters that have no telling value of their own. */
enum {
    BST_REQ_FR = 1,
    BST_REQ_FC = 2,
    BST_REQ_DA = 4,
    BST_REQ_TQI = 8,
    BST_REQ_ASI = 16,
    BST_REQ_AURI = 32,
    BST_REQ_SQI = 64,
};

struct bst_m2m_request {
    enum bst_m2m_op op;
    uint32_t present; /* BST_REQ_ */
    struct bst_view to, fr, rqi;
    struct bst_view rvi;          /* ptr NULL: absent */
    enum bst_m2m_release release; /* of rvi */
    struct bst_view gid, vsi;
    int ty;                   /* 0 absent */
    int rt;                   /* enum bst_m2m_rt; 0 absent, read as blocking */
    struct bst_m2m_views rtu; /* notification URIs of rt */
    int rcn;                  /* enum bst_m2m_rcn */
    int drt;                  /* 1 structured, 2 unstructured, 0 absent */
    int ec;                   /* 0 absent */
    struct bst_m2m_time ot, rqet, rset, oet, rp;
    bool da, tqi, asi, auri, sqi;
    struct bst_m2m_filter fc;
    struct bst_m2m_views rids, tkns, tids, ltids, grtm, aus, atrl;
    yyjson_val *pc;             /* NULL: none. The whole content with its root member */
    struct bst_view pc_text;    /* as received, when it came as text; else empty */
    enum bst_m2m_format accept; /* what the answer's content shall be; NONE = any */
};
static inline bool bst_m2m_request_has(const struct bst_m2m_request *r, uint32_t bit)
{
    return (r->present & bit) != 0;
}
/** rcn with its default filled in: 0 for DELETE, else 1; discovery has BST_RCN_ABSENT. */
int bst_m2m_request_rcn(const struct bst_m2m_request *r);

struct bst_m2m_response {
    int rsc;
    struct bst_view rqi, to, fr;
    struct bst_view ot, rset, rvi, vsi; /* ptr NULL: absent */
    int ec;                             /* 0 absent */
    struct bst_view pc;                 /* JSON text with its root member; empty: none */
    int cnst;                           /* 0 absent, 1 partial, 2 full */
    int64_t cnot;                       /* with cnst 1: offset of the next part */
    struct bst_view content_location;   /* address of what was created, or of a <request> */
    struct bst_view debug;              /* m2m:dbg text, used when pc is empty and rsc >= 4000 */
    struct bst_m2m_views ati;           /* "lti:tkid" */
    bool asri;
    unsigned retry_s; /* the receiver cannot now, but in so many seconds; 0: not said */
};

/** A zeroed request with the defaults that are not zero. */
void bst_m2m_request_init(struct bst_m2m_request *req);

/** Check a filled request against TS-0004 7.2.1.1, 7.3.2.1: which parameters its operation must,
 * may and must not have, value ranges, rcn for the operation, content's root against ty. Bindings
 * call it last; the CSE need not. Expiry of rqet is not checked here (a clock is).
 * @error BST_E_SYNTAX 4000, BST_E_VALUE 4000, BST_E_VERSION 4001, BST_E_NOT_IMPLEMENTED 5001 */
bst_result bst_m2m_request_check(const struct bst_m2m_request *req);

/** From a JSON request primitive: the bare object, or wrapped in m2m:rqp. Checked.
 * @param now_us wall time that relative timestamps count from */
bst_result bst_m2m_request_from_json(struct bst_arena *arena, yyjson_val *root, int64_t now_us,
                                     struct bst_m2m_request *ret);
/** The bare JSON object. @error BST_E_NOMEM */
bst_result bst_m2m_request_to_json(const struct bst_m2m_request *req, struct bst_buf *ret);
bst_result bst_m2m_response_from_json(struct bst_arena *arena, yyjson_val *root,
                                      struct bst_m2m_response *ret);
bst_result bst_m2m_response_to_json(const struct bst_m2m_response *rsp, struct bst_buf *ret);

/** The resource of a CREATE or UPDATE: the one member "m2m:xxx": {...} of pc.
 * @param ret_type    its type; for CREATE it equals req->ty
 * @param ret_members the object under the root
 * @error BST_E_SYNTAX no content or not one member; BST_E_VALUE unknown root or not that of ty */
bst_result bst_m2m_request_resource(const struct bst_m2m_request *req,
                                    const struct bst_m2m_type **ret_type, yyjson_val **ret_members);

/** Make an error answer from a failed result and the thread's detail. */
void bst_m2m_response_fail(struct bst_m2m_response *rsp, bst_result failure,
                           struct bst_arena *arena);
/** The m2m:dbg content of an answer, or its pc; what a binding puts in the body. */
bst_result bst_m2m_response_content(const struct bst_m2m_response *rsp, struct bst_buf *ret);
