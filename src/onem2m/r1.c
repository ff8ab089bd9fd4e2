/* Release 1 treatment of requests without Release Version Indicator (TS-0004 7.3.2.1).
 *
 * What Release 1 knew is recalled, not printed in a later release: correct it here, nowhere else.
 */
#include "onem2m/r1.h"

/* Attributes of later releases, by type; ty 0 = any type. */
static const struct {
    int ty;
    const char *names;
} hidden[] = {
    {0, " daci cstn ast loc "},
    {BST_TY_AE, " srv esi mei regs trps scp tren ape tri trn "},
    {BST_TY_CB, " srv esi csz ctm ncp "},
    {BST_TY_CSR, " srv esi csz ape dcse mtcc egid tren tri trn "},
    {BST_TY_ACP, " adri apri airi "},
    {BST_TY_CNT, " disr "},
    {BST_TY_CIN, " conr "},
    {BST_TY_GRP, " ssi nar "},
    {BST_TY_SUB, " acrs "},
    {BST_TY_NOD, " hael hsl mgca rms nid nty "},
};

/* Codes that Release 1 did not have, and what it would have said. */
static const struct {
    int later, r1;
} codes[] = {
    {BST_RSC_ACCEPTED_NON_BLOCKING_SYNCH, BST_RSC_ACCEPTED},
    {BST_RSC_ACCEPTED_NON_BLOCKING_ASYNCH, BST_RSC_ACCEPTED},
    {BST_RSC_RELEASE_VERSION_NOT_SUPPORTED, BST_RSC_NOT_IMPLEMENTED},
    {BST_RSC_UNSUPPORTED_MEDIA_TYPE, BST_RSC_BAD_REQUEST},
    {BST_RSC_ESPRIM_UNSUPPORTED_OPTION, BST_RSC_BAD_REQUEST},
    {BST_RSC_ESPRIM_UNKNOWN_KEY_ID, BST_RSC_BAD_REQUEST},
    {BST_RSC_ESPRIM_UNKNOWN_ORIG_RAND_ID, BST_RSC_BAD_REQUEST},
    {BST_RSC_ESPRIM_UNKNOWN_RECV_RAND_ID, BST_RSC_BAD_REQUEST},
    {BST_RSC_ESPRIM_BAD_MAC, BST_RSC_ORIGINATOR_HAS_NO_PRIVILEGE},
    {BST_RSC_ESPRIM_IMPERSONATION_ERROR, BST_RSC_ORIGINATOR_HAS_NO_PRIVILEGE},
    {BST_RSC_ORIGINATOR_HAS_ALREADY_REGISTERED, BST_RSC_CONFLICT},
    {BST_RSC_ONTOLOGY_NOT_AVAILABLE, BST_RSC_NOT_FOUND},
    {BST_RSC_LINKED_SEMANTICS_NOT_AVAILABLE, BST_RSC_NOT_FOUND},
    {BST_RSC_INVALID_SEMANTICS, BST_RSC_CONTENTS_UNACCEPTABLE},
    {BST_RSC_MASHUP_MEMBER_NOT_FOUND, BST_RSC_NOT_FOUND},
    {BST_RSC_INVALID_TRIGGER_PURPOSE, BST_RSC_BAD_REQUEST},
    {BST_RSC_ILLEGAL_TRANSACTION_STATE_TRANSITION_ATTEMPTED, BST_RSC_CONFLICT},
    {BST_RSC_BLOCKING_SUBSCRIPTION_ALREADY_EXISTS, BST_RSC_CONFLICT},
    {BST_RSC_SPECIALIZATION_SCHEMA_NOT_FOUND, BST_RSC_NOT_IMPLEMENTED},
    {BST_RSC_APP_RULE_VALIDATION_FAILED, BST_RSC_ORIGINATOR_HAS_NO_PRIVILEGE},
    {BST_RSC_OPERATION_DENIED_BY_REMOTE_ENTITY, BST_RSC_ORIGINATOR_HAS_NO_PRIVILEGE},
    {BST_RSC_SERVICE_SUBSCRIPTION_NOT_ESTABLISHED, BST_RSC_ORIGINATOR_HAS_NO_PRIVILEGE},
    {BST_RSC_INVALID_SPARQL_QUERY, BST_RSC_BAD_REQUEST},
    {BST_RSC_REMOTE_ENTITY_NOT_REACHABLE, BST_RSC_TARGET_NOT_REACHABLE},
    {BST_RSC_DISCOVERY_DENIED_BY_IPE, BST_RSC_ORIGINATOR_HAS_NO_PRIVILEGE},
    {BST_RSC_GROUP_MEMBERS_NOT_RESPONDED, BST_RSC_INTERNAL_SERVER_ERROR},
    {BST_RSC_ESPRIM_DECRYPTION_ERROR, BST_RSC_INTERNAL_SERVER_ERROR},
    {BST_RSC_ESPRIM_ENCRYPTION_ERROR, BST_RSC_INTERNAL_SERVER_ERROR},
    {BST_RSC_SPARQL_UPDATE_ERROR, BST_RSC_INTERNAL_SERVER_ERROR},
    {BST_RSC_TARGET_HAS_NO_SESSION_CAPABILITY, BST_RSC_OPERATION_NOT_ALLOWED},
    {BST_RSC_SESSION_IS_ONLINE, BST_RSC_CONFLICT},
    {BST_RSC_JOIN_MULTICAST_GROUP_FAILED, BST_RSC_INTERNAL_SERVER_ERROR},
    {BST_RSC_LEAVE_MULTICAST_GROUP_FAILED, BST_RSC_INTERNAL_SERVER_ERROR},
    {BST_RSC_TRIGGERING_DISABLED_FOR_RECIPIENT, BST_RSC_ORIGINATOR_HAS_NO_PRIVILEGE},
    {BST_RSC_UNABLE_TO_REPLACE_REQUEST, BST_RSC_CONFLICT},
    {BST_RSC_UNABLE_TO_RECALL_REQUEST, BST_RSC_CONFLICT},
    {BST_RSC_CROSS_RESOURCE_OPERATION_FAILURE, BST_RSC_INTERNAL_SERVER_ERROR},
    {BST_RSC_TRANSACTION_PROCESSING_IS_INCOMPLETE, BST_RSC_CONFLICT},
    {BST_RSC_EXTERNAL_OBJECT_NOT_REACHABLE_BEFORE_RQET_TIMEOUT,
     BST_RSC_EXTERNAL_OBJECT_NOT_REACHABLE},
    {BST_RSC_EXTERNAL_OBJECT_NOT_REACHABLE_BEFORE_OET_TIMEOUT,
     BST_RSC_EXTERNAL_OBJECT_NOT_REACHABLE},
};

/* Attributes that a later release made mandatory. */
static const struct {
    int ty;
    const char *sn;
} demanded_later[] = {
    {BST_TY_AE, "srv"},
    {BST_TY_CSR, "srv"},
};

static bool listed(const char *names, struct bst_view sn)
{
    const char *at = names;
    while ((at = strchr(at, ' ')) != NULL && *++at) {
        size_t len = strcspn(at, " ");
        if (len == sn.len && memcmp(at, sn.ptr, len) == 0) {
            return true;
        }
    }
    return false;
}

bool bst_m2m_r1_hides(int ty, struct bst_view sn)
{
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
        if ((hidden[i].ty == 0 || hidden[i].ty == ty) && listed(hidden[i].names, sn)) {
            return true;
        }
    }
    return false;
}

int bst_m2m_r1_rsc(int rsc)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i].later == rsc) {
            return codes[i].r1;
        }
    }
    return rsc;
}

bool bst_m2m_r1_optional(int ty, struct bst_view sn)
{
    for (size_t i = 0; i < sizeof demanded_later / sizeof demanded_later[0]; i++) {
        if (demanded_later[i].ty == ty && bst_view_is(sn, demanded_later[i].sn)) {
            return true;
        }
    }
    return false;
}
