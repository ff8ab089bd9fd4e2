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
void state_hosts_fill(struct bst_state *state);
int64_t state_wall(void *ctx);
