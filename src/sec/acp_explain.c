/* Decisions in words: for the audit trail, for `access explain`, for the person who wrote the
 * policy. */
#include "sec/acp_priv.h"

struct step_text {
    const char *attribute, *clause, *why;
};

/* In the order of enum bst_access_step. */
static const struct step_text STEPS[] = {
    [BST_ACCESS_NO_POLICY] = {"accessControlPolicyIDs", "TS-0001 9.6.1.3.2",
                              "no policy of the target exists or can be reached"},
    [BST_ACCESS_NO_RULE] = {"privileges", "TS-0003 7.1.4",
                            "the policies of the target have no rule"},
    [BST_ACCESS_ORIGINATOR] = {"accessControlOriginators", "TS-0003 7.1.3",
                               "no rule names this originator"},
    [BST_ACCESS_GROUP] = {"accessControlOriginators", "TS-0001 9.6.2.1",
                          "the group that the rule names cannot be had"},
    [BST_ACCESS_OPERATION] = {"accessControlOperations", "TS-0003 7.1.5",
                              "the rule does not cover this operation"},
    [BST_ACCESS_AUTHENTICATION] = {"accessControlAuthenticationFlag", "TS-0003 7.1.2",
                                   "the rule asks for an authenticated originator"},
    [BST_ACCESS_OBJECT] = {"accessControlObjectDetails", "TS-0003 7.1.5",
                           "the rule does not allow a child of this type here"},
    [BST_ACCESS_WINDOW] = {"accessControlWindow", "TS-0003 7.1.3",
                           "the rule does not hold at this time (UTC)"},
    [BST_ACCESS_IP] = {"accessControlIpAddresses", "TS-0003 7.1.3",
                       "the rule does not hold for this address"},
    [BST_ACCESS_LOCATION] = {"accessControlLocationRegion", "TS-0003 7.1.3",
                             "the rule does not hold for this place"},
    [BST_ACCESS_NO_LOCATION] = {"accessControlLocationRegion", "TS-0003 7.1.3",
                                "the rule asks for a place, and there is no source of locations"},
    [BST_ACCESS_CREATOR] = {"creator", "TS-0001 9.6.1.3.2",
                            "without policies the creator alone has access"},
    [BST_ACCESS_FIXED] = {"resourceType", "TS-0001 9.6.1.3.2",
                          "the resource type fixes who has access"},
    [BST_ACCESS_PERMITTED] = {"privileges", "TS-0003 7.1.5", "the rule permits"},
};

static const struct step_text *text_of(const struct bst_access_decision *d)
{
    size_t step = (size_t)d->step;
    return &STEPS[step < sizeof STEPS / sizeof STEPS[0] ? step : BST_ACCESS_NO_POLICY];
}

const char *bst_access_attribute(const struct bst_access_decision *d)
{
    bool set = d->step == BST_ACCESS_NO_RULE || d->step == BST_ACCESS_PERMITTED;
    return set && bst_access_is_self(d) ? "selfPrivileges" : text_of(d)->attribute;
}

const char *bst_access_clause(const struct bst_access_decision *d)
{
    return text_of(d)->clause;
}

struct bst_view bst_access_policy_id(const struct bst_access_decision *d)
{
    return d->policy ? acp_view(d->policy, d->policy->policy_id) : (struct bst_view){"", 0};
}

bool bst_access_is_self(const struct bst_access_decision *d)
{
    return d->policy && d->policy->self_privileges;
}

const char *bst_acop_name(uint32_t op)
{
    switch (op) {
    case BST_ACOP_CREATE:
        return "CREATE";
    case BST_ACOP_RETRIEVE:
        return "RETRIEVE";
    case BST_ACOP_UPDATE:
        return "UPDATE";
    case BST_ACOP_DELETE:
        return "DELETE";
    case BST_ACOP_NOTIFY:
        return "NOTIFY";
    case BST_ACOP_DISCOVERY:
        return "DISCOVERY";
    default:
        return "?";
    }
}

void bst_access_explain(const struct bst_access_decision *d, const struct bst_access_request *req,
                        struct bst_buf *ret)
{
    const struct bst_entity_id *id = &req->originator->id;
    bst_buf_addf(ret, "%s %s for %.*s: %s", d->permit ? "permit" : "deny", bst_acop_name(req->op),
                 id->len ? (int)id->len : 1, id->len ? id->abs : "-",
                 d->permit && d->step == BST_ACCESS_CREATOR ? "the originator is the creator"
                                                            : text_of(d)->why);
    if (d->policy && d->rule >= 0) {
        struct bst_view policy = bst_access_policy_id(d);
        bst_buf_addf(ret, "; rule %d of %s of %.*s", d->rule,
                     bst_access_is_self(d) ? "selfPrivileges" : "privileges",
                     BST_VIEW_ARGS(policy));
    }
    if (d->entry.len) {
        bst_buf_addf(ret, ", originator entry '%.*s'", BST_VIEW_ARGS(d->entry));
    }
    bst_buf_addf(ret, " (%s, %s)", bst_access_attribute(d), bst_access_clause(d));
}
