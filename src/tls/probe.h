/* A handshake told step by step, for `bastide doctor tls HOST:PORT`. No I/O: the caller carries
 * the bytes of bst_tls_probe_endpoint() and reports what the transport did. */
#pragma once

#include "tls/tls.h"

struct bst_tls_probe;

/** Begin as a client of `client`; the first flight is ready. */
bst_result bst_tls_probe_new(struct bst_tls_client *client, struct bst_tls_probe **ret);
void bst_tls_probe_free(struct bst_tls_probe **probe);
/** The endpoint to feed and to take bytes from; owned by the probe. */
struct bst_tls *bst_tls_probe_endpoint(struct bst_tls_probe *probe);
/** One line a step ("-> ClientHello ...", "<- Certificate ..."), then the verdict: what was agreed,
 * or which side refused at which step, why, and what to do. */
bst_result bst_tls_probe_report(struct bst_tls_probe *probe, struct bst_buf *ret);
