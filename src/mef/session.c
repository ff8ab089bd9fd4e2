/* Who a session belongs to: the Credential-ID that the handshake proved, nothing else. */
#include "mef/mef_priv.h"

#include <stdio.h>

bst_result bst_mef_session_psk(struct bst_mef_session *session, struct bst_view kpm_id)
{
    struct bst_view relative, fqdn;
    if (bst_failed(bst_relative_id_split(kpm_id, &relative, &fqdn))) {
        BST_FAIL(BST_E_CREDENTIAL, "'%.*s' is not a KpmID", BST_VIEW_ARGS(kpm_id));
    }
    return bst_cred_id_format(BST_CRED_KPM, kpm_id, session->cred_id);
}

bst_result mef_cert_cred_id(const struct bst_mef *mef, enum bst_cert_flavour flavour,
                            struct bst_view name, char ret[BST_CRED_ID_MAX + 1])
{
    struct bst_entity_id id;
    switch (flavour) {
    case BST_CERT_AE:
        BST_TRY(bst_entity_parse(&mef->config.self, name, &id));
        return bst_cred_id_format(BST_CRED_AE_CERT, bst_entity_abs(&id), ret);
    case BST_CERT_CSE:
    case BST_CERT_FQDN:
        return bst_cred_id_format(BST_CRED_CSE_CERT, name, ret);
    case BST_CERT_NODE:
        return bst_cred_id_format(BST_CRED_NODE_CERT, name, ret);
    case BST_CERT_DEVICE:
        return bst_cred_id_format(BST_CRED_DEVICE_CERT, name, ret);
    }
    BST_FAIL(BST_E_CREDENTIAL, "a certificate without a name");
}

bst_result bst_mef_session_cert(struct bst_mef_session *session, const struct bst_mef *mef,
                                const struct bst_cert_names *names)
{
    static const enum bst_cert_flavour order[] = {BST_CERT_AE, BST_CERT_CSE, BST_CERT_FQDN,
                                                  BST_CERT_NODE, BST_CERT_DEVICE};
    for (size_t f = 0; f < sizeof order / sizeof order[0]; f++) {
        for (size_t i = 0; i < names->n; i++) {
            if ((names->names[i].flavours & (unsigned)order[f]) &&
                !bst_failed(mef_cert_cred_id(mef, order[f], bst_view(names->names[i].text),
                                             session->cred_id))) {
                return BST_OK;
            }
        }
    }
    BST_FAIL(BST_E_CREDENTIAL, "the certificate has no name that a client of a MEF can have");
}

bst_result bst_mef_psk_key(struct bst_mef *mef, struct bst_view kpm_id, bst_key *ret)
{
    char label[BST_KEY_LABEL_MAX + 1];
    *ret = 0;
    if (kpm_id.len > 256 || (kpm_id.len && memchr(kpm_id.ptr, '\0', kpm_id.len))) {
        return BST_OK; /* nobody's */
    }
    snprintf(label, sizeof label, MEF_KPM_LABEL "%.*s", BST_VIEW_ARGS(kpm_id));
    return bst_se_key_find(mef->config.se, label, ret);
}
