/* The secure environment within Bastide: the public interface, and what only Bastide's own code
 * calls. */
#pragma once

#include "base/text.h"
#include "crypto/digest.h"

#include <bastide/se.h>

/** Open what bst_ecies_seal() encrypted to this P-256 key; USE_AGREE. */
bst_result bst_se_ecies_open(struct bst_se *se, bst_key key, struct bst_view info,
                             struct bst_view blob, struct bst_secret *ret);

/** An algorithm that the environment has no operation for; it runs inside and gives results only.
 */
struct bst_se_routine {
    const char *name; /* for filters: the reason of the call */
    /** Computes from the key's bytes, which it does not keep and does not give out. Any thread. */
    bst_result (*run)(struct bst_view key, void *io);
};
/** Run it over a symmetric key with USE_ROUTINE. */
bst_result bst_se_run(struct bst_se *se, bst_key key, const struct bst_se_routine *routine,
                      void *io);

/** Take the last 32 octets of an RFC 5705 export as a key; the first 16, its identifier, go out.
 * `export48` is wiped, whatever happens.  @clause TS-0003 10.3.1 */
bst_result bst_se_import_export(struct bst_se *se, const struct bst_key_attrs *attrs,
                                uint8_t export48[48], uint8_t ret_id[16], bst_key *ret);
