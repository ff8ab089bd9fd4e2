/* What stands in front of the keys of a state: limits, policy, audit trail. */
#include "app/state_priv.h"
#include "se/filters.h"
#include "sys/clock.h"

bst_result state_filters_add(const struct bst_state *state, struct bst_se *se)
{
    const struct bst_config_texts *policy = &state->config.se.policy;
    const struct bst_config_texts *quota = &state->config.se.quota;
    BST_TRY(bst_se_filter_quota(se, (const char *const *)quota->items, quota->n, bst_mono_us));
    BST_TRY(bst_se_filter_policy(se, (const char *const *)policy->items, policy->n));
    return state->trail ? bst_se_filter_audit(se, state->trail, "audit.sign") : BST_OK;
}
