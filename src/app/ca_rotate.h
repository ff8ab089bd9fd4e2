/* A new key and a new root for the project CA, and the end of former roots.
 *
 * Every step leaves something that works: until the new root is in pki/ca.crt nothing has changed,
 * from then on both roots are trusted. What is left over is done by the next call. */
#pragma once

#include "app/ca_keys.h"
#include "app/issued.h"
#include "app/rotate.h"

struct bst_ca_rotation {
    struct bst_state *state;
    const struct bst_config *config;
    struct ca_keys keys;
    struct bst_state_place before; /* borrowed */
    bst_key before_key;
    char *address; /* of the new key; owned */
    struct bst_rotation rotation;
    bool resumed; /* one that was cut short is ended, no other begins */
    bool moved;   /* to another environment */
};
void bst_ca_rotation_clear(struct bst_ca_rotation *rotation);
/** Make the key and the root. *pki is replaced by the authority with its new key.
 * @param to        address of the new key's environment; NULL: where the present one is
 * @param until_us  wall time at which the present root ends to be trusted; 0: when it is retired */
bst_result bst_ca_rotate(struct bst_state *state, const struct bst_config *config, const char *to,
                         int64_t until_us, struct bst_pki **pki, struct bst_ca_rotation *ret);
/** Give the labels, once certificates of the new root are in use. */
bst_result bst_ca_rotate_end(struct bst_ca_rotation *rotation);

/** One of the process's own certificates under the present root, in place of the file: issued anew,
 * or only with what leads to former roots that are still trusted. A file that is not there, or not
 * of the project CA, stays. *ret_ours: it was one. */
bst_result bst_ca_renew_own(struct bst_state *state, struct bst_pki *pki, const char *file,
                            struct bst_view common_name, int64_t lifetime_us, bool *ret_ours);

/** How many former roots stay at this time; *ret_next: when the next one ends, 0: none does. */
bst_result bst_ca_due(const struct bst_state *state, const struct bst_pki *pki, int64_t now_us,
                      size_t *ret_keep, int64_t *ret_next);
/** Certificates that would not be accepted any more, and that nothing newer has replaced. */
bst_result bst_ca_count_left(const struct bst_state *state, const struct bst_pki *pki, size_t keep,
                             size_t *ret);
/** Trust only the latest `keep` former roots. *pki is opened anew. */
bst_result bst_ca_retire(struct bst_state *state, const struct bst_config *config, size_t keep,
                         struct bst_pki **pki);
