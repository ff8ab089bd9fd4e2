/* Name constraints that OpenSSL cannot judge: otherName (its error 51) and urn: URIs (its error
 * 53).
 *
 * [TS-0003, 8.1.2.2] CA certificates "shall constrain the names (object identifier M2M Device IDs
 * ..., Node-ID or FQDNs)". RFC 5280 4.2.1.10 knows no constraint for a URI without host; a subtree
 * that is itself a urn: prefix constrains those, and a host subtree alone refuses them. */
#include "crypto/x509_priv.h"

enum match { MATCH_NONE, MATCH_OTHER_FORM, MATCH_YES };

static struct bst_view ia5_view(const ASN1_IA5STRING *string)
{
    return bst_view_of(ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
}

/* The host of "scheme://[user@]host[:port]/..."; empty when there is no authority. */
static struct bst_view uri_host(struct bst_view uri)
{
    struct bst_view rest = uri, head;
    if (!bst_view_cut(&rest, ':', &head) || !bst_view_starts(rest, BST_VIEW("//"))) {
        return (struct bst_view){0};
    }
    rest = bst_view_from(rest, 2);
    struct bst_view authority, host, user;
    bst_view_cut(&rest, '/', &authority);
    host = authority;
    if (!bst_view_cut(&host, '@', &user)) {
        host = authority;
    }
    bst_view_cut(&host, ':', &authority);
    return authority;
}

static bool is_prefix_form(struct bst_view base)
{
    return memchr(base.ptr, ':', base.len) != NULL;
}

/* "urn:dev:mac" covers "urn:dev:mac" and "urn:dev:mac:...". */
static bool prefix_match(struct bst_view name, struct bst_view base, char separator)
{
    if (!bst_view_starts(name, base)) {
        return false;
    }
    return name.len == base.len || base.len == 0 || base.ptr[base.len - 1] == separator ||
           name.ptr[base.len] == separator;
}

static bool host_match(struct bst_view host, struct bst_view base)
{
    if (base.len && base.ptr[0] == '.') {
        return host.len > base.len &&
               bst_view_eq_nocase(bst_view_from(host, host.len - base.len), base);
    }
    return bst_view_eq_nocase(host, base);
}

static bst_result uri_match(const GENERAL_NAME *name, const GENERAL_NAME *base, enum match *ret)
{
    struct bst_view uri = ia5_view(name->d.uniformResourceIdentifier);
    struct bst_view subtree = ia5_view(base->d.uniformResourceIdentifier);
    struct bst_view host = uri_host(uri);
    if (is_prefix_form(subtree) == (host.len > 0)) {
        *ret = MATCH_OTHER_FORM;
    } else if (host.len > 0) {
        *ret = host_match(host, subtree) ? MATCH_YES : MATCH_NONE;
    } else {
        *ret = prefix_match(uri, subtree, ':') ? MATCH_YES : MATCH_NONE;
    }
    return BST_OK;
}

static bst_result other_match(const GENERAL_NAME *name, const GENERAL_NAME *base, enum match *ret)
{
    char text[BST_CERT_NAME_BYTES], subtree[BST_CERT_NAME_BYTES];
    BST_TRY(bst_other_name_text(name->d.otherName, text, sizeof text));
    BST_TRY(bst_other_name_text(base->d.otherName, subtree, sizeof subtree));
    bool same_type = OBJ_cmp(name->d.otherName->type_id, base->d.otherName->type_id) == 0;
    *ret =
        same_type && prefix_match(bst_view(text), bst_view(subtree), '.') ? MATCH_YES : MATCH_NONE;
    return BST_OK;
}

static bst_result subtree_match(const GENERAL_NAME *name, const GENERAL_NAME *base, enum match *ret)
{
    return name->type == GEN_URI ? uri_match(name, base, ret) : other_match(name, base, ret);
}

/* How the name stands to the subtrees of its type: the best match, and whether there is any
 * subtree. */
static bst_result against(const GENERAL_NAME *name, const STACK_OF(GENERAL_SUBTREE) * subtrees,
                          enum match *ret_best, bool *ret_any)
{
    *ret_best = MATCH_NONE;
    *ret_any = false;
    for (int i = 0; subtrees && i < sk_GENERAL_SUBTREE_num(subtrees); i++) {
        const GENERAL_SUBTREE *subtree = sk_GENERAL_SUBTREE_value(subtrees, i);
        if (subtree->base->type != name->type) {
            continue;
        }
        enum match match = MATCH_NONE;
        BST_TRY(subtree_match(name, subtree->base, &match));
        *ret_any = true;
        *ret_best = match > *ret_best ? match : *ret_best;
    }
    return BST_OK;
}

static bst_result check_name(const GENERAL_NAME *name, const NAME_CONSTRAINTS *nc)
{
    enum match permitted, excluded;
    bool any_permitted, any_excluded;
    BST_TRY(against(name, nc->permittedSubtrees, &permitted, &any_permitted));
    BST_TRY(against(name, nc->excludedSubtrees, &excluded, &any_excluded));
    const char *what = name->type == GEN_URI ? "URI" : "device identifier";
    if (any_permitted && permitted != MATCH_YES) {
        BST_FAIL(BST_E_BAD_CERT, "a %s of the certificate is outside what its CA may name", what);
    }
    /* A host subtree cannot be judged for a name without host: refused (RFC 5280 4.2.1.10), unless
     * the name is permitted expressly. */
    if (excluded == MATCH_YES || (excluded == MATCH_OTHER_FORM && permitted != MATCH_YES)) {
        BST_FAIL(BST_E_BAD_CERT, "a %s of the certificate is excluded by its CA", what);
    }
    return BST_OK;
}

static bst_result check_own_names(const X509 *cert, const NAME_CONSTRAINTS *nc)
{
    bst_auto_ossl(general_names) GENERAL_NAMES *sans =
        X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; sans && i < sk_GENERAL_NAME_num(sans); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(sans, i);
        if (name->type == GEN_URI || name->type == GEN_OTHERNAME) {
            BST_TRY(check_name(name, nc));
        }
    }
    return BST_OK;
}

static void drop_own_subtrees(STACK_OF(GENERAL_SUBTREE) * subtrees)
{
    for (int i = subtrees ? sk_GENERAL_SUBTREE_num(subtrees) - 1 : -1; i >= 0; i--) {
        GENERAL_SUBTREE *subtree = sk_GENERAL_SUBTREE_value(subtrees, i);
        if (subtree->base->type == GEN_URI || subtree->base->type == GEN_OTHERNAME) {
            GENERAL_SUBTREE_free(sk_GENERAL_SUBTREE_delete(subtrees, i));
        }
    }
}

/* Everything but URI and otherName, by OpenSSL: it had stopped before them. `nc` is spent. */
static bst_result check_other_names(X509 *cert, NAME_CONSTRAINTS *nc)
{
    drop_own_subtrees(nc->permittedSubtrees);
    drop_own_subtrees(nc->excludedSubtrees);
    int outcome = NAME_CONSTRAINTS_check(cert, nc);
    if (outcome != X509_V_OK) {
        BST_FAIL(BST_E_BAD_CERT, "a name of the certificate breaks a constraint of its CA: %s",
                 X509_verify_cert_error_string(outcome));
    }
    return BST_OK;
}

bst_result bst_constraints_check(STACK_OF(X509) * chain, bool all)
{
    for (int issuer = 1; issuer < sk_X509_num(chain); issuer++) {
        int critical = 0;
        bst_auto_ossl(nc) NAME_CONSTRAINTS *nc =
            X509_get_ext_d2i(sk_X509_value(chain, issuer), NID_name_constraints, &critical, NULL);
        if (!nc && critical != -1) {
            return bst_crypto_fail(BST_E_BAD_CERT, "the name constraints of a CA are damaged");
        }
        for (int below = 0; nc && below < issuer; below++) {
            BST_TRY(check_own_names(sk_X509_value(chain, below), nc));
        }
        for (int below = 0; nc && all && below < issuer; below++) {
            BST_TRY(check_other_names(sk_X509_value(chain, below), nc));
        }
    }
    return BST_OK;
}
