/* From a verified handshake to the entity that may speak through it.
 * TS-0003 V3.18, 8.2.1 (Credential-ID and look-up), 8.2.2.1 to 8.2.2.3, 10.1.1, 10.4. */
#include "sec/association.h"

static bst_result copy_text(struct bst_view v, char **ret)
{
    char *copy = bst_strndup(v.ptr, v.len);
    BST_ENSURE(copy, BST_E_NOMEM);
    bst_free(*ret);
    *ret = copy;
    return BST_OK;
}

void bst_association_free(struct bst_association **slot)
{
    struct bst_association *assoc = *slot;
    if (!assoc) {
        return;
    }
    for (size_t i = 0; i < assoc->n_ae_ids; i++) {
        bst_free(assoc->ae_ids[i]);
    }
    bst_free(assoc->ae_ids);
    bst_free(assoc->cse_id);
    bst_free(assoc->app_id);
    bst_free(assoc->subject);
    bst_free(assoc);
    *slot = NULL;
}

static void association_free_ptr(struct bst_association **slot)
{
    bst_association_free(slot);
}

static bst_result add_ae(struct bst_association *assoc, struct bst_view abs)
{
    char **grown = bst_realloc(assoc->ae_ids, (assoc->n_ae_ids + 1) * sizeof *grown);
    BST_ENSURE(grown, BST_E_NOMEM);
    assoc->ae_ids = grown;
    grown[assoc->n_ae_ids] = bst_strndup(abs.ptr, abs.len);
    BST_ENSURE(grown[assoc->n_ae_ids], BST_E_NOMEM);
    assoc->n_ae_ids++;
    assoc->role = BST_ROLE_AE;
    return BST_OK;
}

bst_result bst_cse_id_of_domain(const struct bst_self *self, struct bst_view name,
                                struct bst_entity_id *ret)
{
    size_t tail = self->sp_domain.len + 1;
    if (name.len <= tail || !bst_fqdn_valid(name) || name.ptr[name.len - tail] != '.' ||
        !bst_view_eq_nocase(bst_view_from(name, name.len - tail + 1), self->sp_domain)) {
        BST_FAIL(BST_E_CREDENTIAL, "'%.*s' is not a CSE of %.*s", BST_VIEW_ARGS(name),
                 BST_VIEW_ARGS(self->sp_domain));
    }
    struct bst_view rest = {name.ptr, name.len - tail}, cse;
    /* An MN- or ASN-CSE has the name of its IN-CSE, that is ours, behind its own. */
    if (bst_view_cut(&rest, '.', &cse) && !bst_view_eq_nocase(rest, self->cse)) {
        BST_FAIL(BST_E_CREDENTIAL, "'%.*s' is not a CSE below %.*s", BST_VIEW_ARGS(name),
                 BST_VIEW_ARGS(self->cse));
    }
    char sp_relative[65];
    sp_relative[0] = '/';
    for (size_t i = 0; i < cse.len; i++) {
        /* CSE-IDs that have a domain name are lower case: names in DNS have no case. */
        char c = cse.ptr[i];
        sp_relative[1 + i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    BST_TRY(bst_entity_parse(self, bst_view_of(sp_relative, cse.len + 1), ret));
    ret->kind = BST_ENTITY_CSE;
    return BST_OK;
}

/* Names of one flavour, in the order of the certificate. */
static const struct bst_cert_name *name_of(const struct bst_cert_names *names,
                                           enum bst_cert_flavour flavour, size_t *cursor)
{
    while (*cursor < names->n) {
        const struct bst_cert_name *name = &names->names[(*cursor)++];
        if (name->flavours & (unsigned)flavour) {
            return name;
        }
    }
    return NULL;
}

static bst_result identity_of_ae_cert(const struct bst_self *self,
                                      const struct bst_cert_names *names,
                                      struct bst_association *assoc)
{
    size_t cursor = 0;
    for (const struct bst_cert_name *name; (name = name_of(names, BST_CERT_AE, &cursor));) {
        struct bst_entity_id id = {0};
        if (bst_failed(bst_entity_parse(self, bst_view(name->text), &id)) ||
            id.form != BST_FORM_ABSOLUTE ||
            (id.kind != BST_ENTITY_AE_S && id.kind != BST_ENTITY_AE_C)) {
            continue; /* another kind of URI */
        }
        assoc->assigned = true;
        if (!assoc->n_ae_ids) {
            BST_TRY(bst_cred_id_format(BST_CRED_AE_CERT, bst_entity_abs(&id), assoc->cred_id));
        }
        BST_TRY(add_ae(assoc, bst_entity_abs(&id)));
    }
    return BST_OK;
}

static bst_result identity_of_cse_cert(const struct bst_self *self,
                                       const struct bst_cert_names *names,
                                       struct bst_association *assoc)
{
    size_t cursor = 0;
    for (const struct bst_cert_name *name; (name = name_of(names, BST_CERT_CSE, &cursor));) {
        struct bst_entity_id id = {0};
        if (bst_failed(bst_cse_id_of_domain(self, bst_view(name->text), &id))) {
            continue; /* the domain name of something else */
        }
        assoc->role = BST_ROLE_CSE;
        assoc->assigned = true;
        BST_TRY(copy_text(bst_entity_abs(&id), &assoc->cse_id));
        return bst_cred_id_format(BST_CRED_CSE_CERT, bst_view(name->text), assoc->cred_id);
    }
    return BST_OK;
}

static bst_result apply_binding(const struct bst_self *self, const struct bst_assoc_binding *b,
                                struct bst_association *assoc)
{
    assoc->assigned = b->assigned;
    assoc->level = b->level;
    if (b->role == BST_ROLE_CSE) {
        struct bst_entity_id id = {0};
        BST_TRY(bst_entity_parse(self, b->cse_id, &id));
        assoc->role = BST_ROLE_CSE;
        return copy_text(bst_entity_abs(&id), &assoc->cse_id);
    }
    for (size_t i = 0; i < b->n_ae_ids; i++) {
        struct bst_entity_id ids[2] = {0};
        size_t n = 0;
        BST_TRY(bst_entity_pattern(self, b->ae_ids[i], ids, &n));
        for (size_t k = 0; k < n; k++) {
            BST_TRY(add_ae(assoc, bst_entity_abs(&ids[k])));
        }
    }
    return BST_OK;
}

static bst_result look_up(const struct bst_self *self, const struct bst_assoc_bindings *bindings,
                          struct bst_association *assoc)
{
    if (!bindings) {
        return BST_OK;
    }
    struct bst_arena arena;
    bst_arena_init(&arena, 256 * 1024);
    struct bst_assoc_binding found = {0};
    bool has = false;
    bst_result r = bindings->find(bindings->ctx, bst_view(assoc->cred_id), &arena, &found, &has);
    if (!bst_failed(r) && has) {
        r = apply_binding(self, &found, assoc);
    }
    bst_arena_clear(&arena);
    return r;
}

static bst_result identify_psk(const struct bst_self *self, const struct bst_assoc_proof *proof,
                               const struct bst_assoc_bindings *bindings,
                               struct bst_association *assoc)
{
    struct bst_view relative, fqdn;
    BST_TRY(bst_relative_id_split(proof->psk_identity, &relative, &fqdn));
    BST_TRY(bst_cred_id_format(BST_CRED_KPSA, proof->psk_identity, assoc->cred_id));
    return look_up(self, bindings, assoc);
}

static bst_result identify_cert(const struct bst_self *self, const struct bst_assoc_proof *proof,
                                const struct bst_assoc_bindings *bindings,
                                struct bst_association *assoc)
{
    BST_TRY(identity_of_ae_cert(self, proof->names, assoc));
    if (!assoc->cred_id[0]) {
        BST_TRY(identity_of_cse_cert(self, proof->names, assoc));
    }
    if (assoc->cred_id[0]) {
        return BST_OK;
    }
    size_t cursor = 0;
    enum bst_cred_type type = BST_CRED_NODE_CERT;
    const struct bst_cert_name *name = name_of(proof->names, BST_CERT_NODE, &cursor);
    if (!name) {
        cursor = 0;
        type = BST_CRED_DEVICE_CERT;
        name = name_of(proof->names, BST_CERT_DEVICE, &cursor);
    }
    if (!name) {
        BST_FAIL(BST_E_CREDENTIAL,
                 "the certificate has no AE-ID, no CSE-ID of this domain, no Node-ID and no device "
                 "identifier");
    }
    BST_TRY(bst_cred_id_format(type, bst_view(name->text), assoc->cred_id));
    return look_up(self, bindings, assoc);
}

bst_result bst_association_new(const struct bst_self *self, const struct bst_assoc_proof *proof,
                               const struct bst_assoc_bindings *bindings,
                               struct bst_association **ret)
{
    __attribute__((cleanup(association_free_ptr))) struct bst_association *assoc =
        bst_alloc(sizeof *assoc);
    BST_ENSURE(assoc, BST_E_NOMEM);
    assoc->kind = proof->kind;
    if (proof->subject.len) {
        BST_TRY(copy_text(proof->subject, &assoc->subject));
    }
    if (proof->kind == BST_ASSOC_PSK || proof->kind == BST_ASSOC_CERT) {
        assoc->proved = true;
        assoc->expires_us = proof->expires_us;
        if (proof->app_id.len) {
            BST_TRY(copy_text(proof->app_id, &assoc->app_id));
        }
        BST_TRY(proof->kind == BST_ASSOC_PSK ? identify_psk(self, proof, bindings, assoc)
                                             : identify_cert(self, proof, bindings, assoc));
    }
    *ret = bst_steal(&assoc);
    return BST_OK;
}

bool bst_association_allows_ae(const struct bst_association *assoc, struct bst_view abs_ae_id)
{
    for (size_t i = 0; i < assoc->n_ae_ids; i++) {
        if (bst_wildcard_match(bst_view(assoc->ae_ids[i]), abs_ae_id, '/')) {
            return true;
        }
    }
    return false;
}

bst_result bst_association_bind_ae(struct bst_association *assoc, struct bst_view abs_ae_id)
{
    BST_ENSURE(assoc->role != BST_ROLE_CSE, BST_E_USAGE);
    if (bst_association_allows_ae(assoc, abs_ae_id)) {
        return BST_OK;
    }
    return add_ae(assoc, abs_ae_id);
}

void bst_association_unbind_ae(struct bst_association *assoc, struct bst_view abs_ae_id)
{
    for (size_t i = 0; i < assoc->n_ae_ids && !assoc->assigned; i++) {
        if (bst_view_is(abs_ae_id, assoc->ae_ids[i])) {
            bst_free(assoc->ae_ids[i]);
            assoc->ae_ids[i] = assoc->ae_ids[--assoc->n_ae_ids];
            assoc->role = assoc->n_ae_ids ? BST_ROLE_AE : BST_ROLE_UNBOUND;
            return;
        }
    }
}
