/* Access control: privileges compiled once, decided many times, every decision explained.
 * TS-0003 7.1, TS-0001 9.6.2, TS-0004 7.3.3.15. */
#pragma once

#include "codec/json.h"
#include "sec/context.h"
#include "sec/originator.h"

/* m2m:accessControlOperations */
enum {
    BST_ACOP_CREATE = 1,
    BST_ACOP_RETRIEVE = 2,
    BST_ACOP_UPDATE = 4,
    BST_ACOP_DELETE = 8,
    BST_ACOP_NOTIFY = 16,
    BST_ACOP_DISCOVERY = 32,
    BST_ACOP_ALL = 63,
};

/** One set of rules (privileges or selfPrivileges of one policy), immutable, safe on any thread. */
struct bst_acp_rules;

struct bst_acp_source {
    const struct bst_self *self;
    struct bst_view policy_id; /* for explanations; copied */
    bool self_privileges;      /* pvs: at least one rule */
};

/** Compile `{"acr":[...]}`.
 *
 * @error BST_E_SYNTAX, BST_E_VALUE  the detail names rule and attribute
 * @clause TS-0003 V3.18, 7.1.3; TS-0004 V3.32, 7.3.3.15, 7.4.2.2
 */
bst_result bst_acp_compile(const struct bst_acp_source *source, yyjson_val *privileges,
                           struct bst_acp_rules **ret);
void bst_acp_rules_free(struct bst_acp_rules **rules);
size_t bst_acp_rules_count(const struct bst_acp_rules *rules);
size_t bst_acp_rules_bytes(const struct bst_acp_rules *rules);

enum bst_membership { BST_MEMBER_NO, BST_MEMBER_YES, BST_MEMBER_UNREACHABLE };

/** Everything a decision depends on; borrowed for the call. */
struct bst_access_request {
    const struct bst_originator *originator;
    uint32_t op;   /* one BST_ACOP_ bit */
    int target_ty; /* type of the resource in To */
    int create_ty; /* Resource Type of a CREATE */
    /* Specialisation of the target and of the content (mgmtDefinition, containerDefinition); empty:
     * none. */
    struct bst_view target_spec, content_spec;
    int64_t now_us;
    struct bst_ip ip;                    /* family 0: not known */
    const struct bst_location *location; /* NULL: no source of locations */
    bool anywhere;      /* nobody is connected now: rules hold whatever they say about the place */
    bool authenticated; /* rq_authn, TS-0003 7.1.2 */
    const struct bst_view *roles; /* Role-IDs that were verified */
    size_t n_roles;
    /** Is the originator a member of the group? NULL: no group can be reached. */
    enum bst_membership (*group)(void *ctx, struct bst_view group_id,
                                 const struct bst_originator *o);
    void *group_ctx;
};

/** How far the best rule came; the order is that of the checks. */
enum bst_access_step {
    BST_ACCESS_NO_POLICY,
    BST_ACCESS_NO_RULE,
    BST_ACCESS_ORIGINATOR,
    BST_ACCESS_GROUP,
    BST_ACCESS_OPERATION,
    BST_ACCESS_AUTHENTICATION,
    BST_ACCESS_OBJECT,
    BST_ACCESS_WINDOW,
    BST_ACCESS_IP,
    BST_ACCESS_LOCATION,
    BST_ACCESS_NO_LOCATION,
    BST_ACCESS_CREATOR,   /* the default policy: only the creator */
    BST_ACCESS_FIXED,     /* a rule fixed by the resource type; set by the CSE */
    BST_ACCESS_PERMITTED, /* a rule permits */
};

struct bst_access_decision {
    bool permit;
    enum bst_access_step step;
    const struct bst_acp_rules *policy; /* NULL when no policy took part */
    int rule;                           /* from 0; -1 none */
    struct bst_view entry; /* originator entry that matched, as written; lives in the policy */
};

/** Decide over all policies of the target: permit overrides, all else is deny. Allocates nothing.
 *
 * @param sets  compiled rules; NULL entries (missing or unreachable policies) grant nothing
 * @clause TS-0003 V3.18, 7.1.4, 7.1.5
 */
void bst_access_decide(const struct bst_acp_rules *const *sets, size_t n_sets,
                       const struct bst_access_request *req, struct bst_access_decision *ret);

/** The default where the type has acpi and the resource has none: its creator may do everything.
 * @clause TS-0001 V3.36, 9.6.1.3.2 */
void bst_access_decide_creator(struct bst_view creator_abs, const struct bst_access_request *req,
                               struct bst_access_decision *ret);

/** Long name of the attribute that decided ("accessControlWindow"). */
const char *bst_access_attribute(const struct bst_access_decision *d);
const char *bst_access_clause(const struct bst_access_decision *d);
struct bst_view bst_access_policy_id(const struct bst_access_decision *d); /* empty: none */
bool bst_access_is_self(const struct bst_access_decision *d);
/** One sentence: who, what, which rule of which policy, why. */
void bst_access_explain(const struct bst_access_decision *d, const struct bst_access_request *req,
                        struct bst_buf *ret);
/** "RETRIEVE", "DISCOVERY", ... */
const char *bst_acop_name(uint32_t op);
