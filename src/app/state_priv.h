/* What the files about the state folder share. */
#pragma once

#include "app/state.h"

#define STATE_CONFIG_FILE "bastide.yaml"
#define STATE_MARKER_FILE "state.json"

struct bst_state *state_new(const char *folder);
bst_result state_se_open(struct bst_state *state);
bst_result state_audit_open(struct bst_state *state);
/** Quota, policy and audit trail of the configuration, in front of an environment. */
bst_result state_filters_add(const struct bst_state *state, struct bst_se *se);
/** Configured address of a key, "" or that of the state's environment when it has none. */
const char *state_key_address(const struct bst_config *config, enum bst_state_key which);
/** The environment of an address. @param which  what the key is called when the address does not
 * say it */
bst_result state_place_at(const struct bst_state *state, const char *address,
                          enum bst_state_key which, bool anew, struct bst_state_place *ret);
void state_hosts_fill(struct bst_state *state);
int64_t state_wall(void *ctx);
