/* The application's side of the demo: an HTTPS server that proves an AE-ID and takes notifications.
 */
#pragma once

#include "app/profile.h"

struct demo_listener;

/** Serve on a free port of the loopback with the profile's certificate, on a thread of its own.
 * Clients must show a certificate of the same CA. */
bst_result demo_listener_start(const char *profile_folder, struct demo_listener **ret);
void demo_listener_stop(struct demo_listener **listener);
/** "https://127.0.0.1:port/notify", borrowed. */
const char *demo_listener_url(const struct demo_listener *listener);
/** Wait until that many notifications of events have come. @error BST_E_TIMEOUT says how many did
 */
bst_result demo_listener_wait(struct demo_listener *listener, unsigned count, int64_t timeout_ms);
/** How many came whose sender proved nothing or another name than the CSE's. */
unsigned demo_listener_unproved(struct demo_listener *listener);
