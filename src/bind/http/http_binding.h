/* oneM2M primitives over HTTP/1.1 (TS-0009): server and client halves, without I/O.
 *
 * A server calls bst_http_to_request() and bst_http_from_response(); a client calls
 * bst_http_from_request() and bst_http_to_response(). Everything made lives in the given arena. */
#pragma once

#include "onem2m/primitive.h"
#include "proto/http1/http1.h"

/** Read a request.
 *
 * @param in      a complete message; its views must outlive `ret`
 * @param now_us  wall time that relative timestamps count from
 * @param ret     checked by bst_m2m_request_check()
 * @error what a peer is told follows from the error; use bst_http_reject() to answer
 */
bst_result bst_http_to_request(const struct bst_http_msg *in, int64_t now_us,
                               struct bst_arena *arena, struct bst_m2m_request *ret);
/** The answer to a request that bst_http_to_request() refused: X-M2M-RI and X-M2M-RVI are echoed
 * when they are well formed, the thread's detail becomes the debug text. */
void bst_http_reject(const struct bst_http_msg *in, bst_result failure, struct bst_arena *arena,
                     struct bst_m2m_response *ret);
/** Write an answer: status line, X-M2M-* headers, body. Values with CR, LF or NUL are refused.
 * @param accept  of the request
 * @param ret     status, headers and body are set */
bst_result bst_http_from_response(const struct bst_m2m_response *rsp, enum bst_m2m_format accept,
                                  struct bst_arena *arena, struct bst_http_msg *ret);

/** Write a request: method, target, headers and body are set. Host is the connection's business. */
bst_result bst_http_from_request(const struct bst_m2m_request *req, struct bst_arena *arena,
                                 struct bst_http_msg *ret);
/** Write a request to a point of access that has its own path, as a notification to
 * "https://host/path" does: the target is `path` as it stands. */
bst_result bst_http_from_request_at(const struct bst_m2m_request *req, struct bst_view path,
                                    struct bst_arena *arena, struct bst_http_msg *ret);
/** Read an answer. */
bst_result bst_http_to_response(const struct bst_http_msg *in, struct bst_arena *arena,
                                struct bst_m2m_response *ret);

/** HTTP target -> To (TS-0009 6.2.2.1): "/~/id-in/x" -> "/id-in/x", "/_/sp/id/x" -> "//sp/id/x". */
bst_result bst_http_target_to_address(struct bst_view path, struct bst_arena *arena,
                                      struct bst_view *ret_to);
/** To -> HTTP path, percent-encoded. */
bst_result bst_http_address_to_target(struct bst_view to, struct bst_arena *arena,
                                      struct bst_view *ret_path);

/** A URL of a point of access or notification target, split. */
struct bst_http_url {
    bool tls;                  /* https */
    struct bst_view host;      /* without port and brackets */
    uint16_t port;             /* 80 or 443 when the URL has none */
    struct bst_view authority; /* as in the URL: for Host */
    struct bst_view path;      /* with query; "/" when empty */
    enum bst_m2m_format
        ct; /* ?ct=json|xml|cbor of a notification URI (TS-0004 7.5.1.2), removed from path */
};
/** @error BST_E_SYNTAX no URL, BST_E_VALUE not http or https, or with credentials in it */
bst_result bst_http_url_parse(struct bst_view url, struct bst_arena *arena,
                              struct bst_http_url *ret);
