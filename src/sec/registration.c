/* May this AE register, and under which stem?
 * TS-0001 V3.36, 10.2.2.2 steps 002 to 004, 9.6.19, 9.6.29; TS-0004 V3.32, 7.3.2.7. */
#include "sec/registration.h"

bst_result bst_app_id_check(struct bst_view app_id)
{
    bool ok = app_id.len > 1 && app_id.len <= 255 && strchr("RrN", app_id.ptr[0]);
    for (size_t i = 0; ok && i < app_id.len; i++) {
        unsigned char c = (unsigned char)app_id.ptr[i];
        ok = c > 0x20 && c < 0x7f && c != '/' && c != '"' && c != '\\' && c != '*';
    }
    if (!ok) {
        BST_FAIL(BST_E_SYNTAX, "App-ID '%.*s' does not start with R, r or N and a name",
                 BST_VIEW_ARGS(app_id));
    }
    return BST_OK;
}

static bool listed(const struct bst_text_list *list, struct bst_view value)
{
    for (size_t i = 0; i < list->n; i++) {
        if (bst_wildcard_match(list->items[i], value, '\0')) {
            return true;
        }
    }
    return false;
}

static bool wants_a_stem(struct bst_view from)
{
    return !from.len || bst_view_is(from, "S") || bst_view_is(from, "C");
}

/* The one stem that the credential stands for, if it is one: re-registration gives it back. */
static struct bst_view stem_of_credential(const struct bst_association *assoc)
{
    struct bst_view none = {NULL, 0};
    if (!assoc || assoc->n_ae_ids != 1 || strchr(assoc->ae_ids[0], '*')) {
        return none;
    }
    const char *slash = strrchr(assoc->ae_ids[0], '/');
    return slash ? bst_view(slash + 1) : none;
}

static struct bst_view effective_stem(const struct bst_ae_registration *reg)
{
    return wants_a_stem(reg->from) ? stem_of_credential(reg->assoc) : reg->from;
}

static bool credential_listed(const struct bst_app_rule *rule, const struct bst_association *assoc)
{
    bool has_credential = assoc && assoc->cred_id[0];
    /* [TS-0001, 9.6.29] no list: for registrations without a security association */
    return has_credential ? listed(&rule->cred_ids, bst_view(assoc->cred_id))
                          : rule->cred_ids.n == 0;
}

/* First entry of allowedAEs that a stem of this kind can have. */
static struct bst_view pattern_for(const struct bst_app_rule *rule, char kind)
{
    for (size_t i = 0; i < rule->ae_ids.n; i++) {
        struct bst_view entry = rule->ae_ids.items[i];
        if (entry.len && (entry.ptr[0] == kind || entry.ptr[0] == '*')) {
            return entry;
        }
    }
    return (struct bst_view){NULL, 0};
}

static bool stem_granted(const struct bst_ae_registration *reg, const struct bst_app_rule *rule,
                         struct bst_registration_grant *ret)
{
    struct bst_view stem = effective_stem(reg);
    struct bst_registration_grant grant = {.rule = rule};
    if (stem.len) {
        grant.s_pattern = grant.c_pattern = stem;
        *ret = grant;
        return listed(&rule->ae_ids, stem);
    }
    grant.s_pattern = bst_view_is(reg->from, "C") ? grant.s_pattern : pattern_for(rule, 'S');
    grant.c_pattern = bst_view_is(reg->from, "S") ? grant.c_pattern : pattern_for(rule, 'C');
    *ret = grant;
    return grant.s_pattern.len || grant.c_pattern.len;
}

/* [TS-0001, 10.2.2.2] a certificate that names App-ID and stem speaks for itself */
static bool certificate_grants(const struct bst_ae_registration *reg,
                               struct bst_registration_grant *ret)
{
    struct bst_view own = stem_of_credential(reg->assoc), stem = effective_stem(reg);
    if (!own.len || !reg->assoc->app_id || reg->assoc->kind != BST_ASSOC_CERT ||
        !bst_view_is(reg->app_id, reg->assoc->app_id) || !bst_view_eq(own, stem)) {
        return false;
    }
    *ret = (struct bst_registration_grant){.s_pattern = stem, .c_pattern = stem};
    return true;
}

bst_result bst_registration_check(const struct bst_ae_registration *reg,
                                  const struct bst_service_subscription *sub,
                                  struct bst_registration_grant *ret)
{
    BST_TRY(bst_app_id_check(reg->app_id));
    if (certificate_grants(reg, ret)) {
        return BST_OK;
    }
    if (!sub->has_node) {
        BST_FAIL(BST_E_NO_SUBSCRIPTION,
                 "no serviceSubscribedNode names this CSE: no AE may register here");
    }
    for (size_t i = 0; i < sub->n_rules; i++) {
        const struct bst_app_rule *rule = &sub->rules[i];
        if (credential_listed(rule, reg->assoc) && listed(&rule->app_ids, reg->app_id) &&
            stem_granted(reg, rule, ret)) {
            return BST_OK;
        }
    }
    BST_FAIL(BST_E_APP_RULE,
             "no serviceSubscribedAppRule covers Credential-ID '%s', App-ID '%.*s' and AE-ID-Stem "
             "'%.*s' together",
             reg->assoc && reg->assoc->cred_id[0] ? reg->assoc->cred_id : "none",
             BST_VIEW_ARGS(reg->app_id), BST_VIEW_ARGS(reg->from));
}

/* ---- stems ---- */

static bst_result whole_stem(struct bst_view stem, const struct bst_stem_policy *policy,
                             char ret[BST_STEM_MAX + 1])
{
    bool ok = stem.len > 1 || policy->any_letter;
    for (size_t i = 0; ok && i < stem.len; i++) {
        char c = stem.ptr[i];
        ok = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
             strchr("-._~", c);
    }
    if (!ok || !stem.len || (!policy->any_letter && stem.ptr[0] != 'S' && stem.ptr[0] != 'C')) {
        BST_FAIL(BST_E_SYNTAX, "'%.*s' is not an AE-ID-Stem: S or C and unreserved characters",
                 BST_VIEW_ARGS(stem));
    }
    if (stem.len > BST_STEM_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "an AE-ID-Stem has at most %d characters", BST_STEM_MAX);
    }
    if (policy->exists(policy->ctx, stem)) {
        BST_FAIL(BST_E_ALREADY_REGISTERED, "an AE '%.*s' is registered", BST_VIEW_ARGS(stem));
    }
    return bst_view_copy(stem, ret, BST_STEM_MAX + 1);
}

/* Fill the first `*` of the pattern with random letters; further ones stand for nothing. */
static bst_result fill(struct bst_view pattern, char kind, const struct bst_stem_policy *policy,
                       char ret[BST_STEM_MAX + 1])
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t random[12];
    BST_TRY(policy->random(policy->ctx, random, sizeof random));
    size_t len = 0;
    bool filled = false;
    if (pattern.ptr[0] == '*') {
        ret[len++] = kind;
    }
    for (size_t i = 0; i < pattern.len; i++) {
        if (len + (pattern.ptr[i] == '*' && !filled ? sizeof random : 1) > BST_STEM_MAX) {
            BST_FAIL(BST_E_APP_RULE, "the pattern '%.*s' of allowedAEs is too long",
                     BST_VIEW_ARGS(pattern));
        }
        if (pattern.ptr[i] != '*') {
            ret[len++] = pattern.ptr[i];
        }
        for (size_t k = 0; pattern.ptr[i] == '*' && !filled && k < sizeof random; k++) {
            ret[len++] = alphabet[random[k] & 31];
        }
        filled = filled || pattern.ptr[i] == '*';
    }
    ret[len] = '\0';
    return BST_OK;
}

static bst_result fresh_stem(struct bst_view pattern, char kind,
                             const struct bst_stem_policy *policy, char ret[BST_STEM_MAX + 1])
{
    if (!memchr(pattern.ptr, '*', pattern.len)) {
        return whole_stem(pattern, policy, ret);
    }
    for (int attempt = 0; attempt < 8; attempt++) {
        BST_TRY(fill(pattern, kind, policy, ret));
        if (!policy->exists(policy->ctx, bst_view(ret))) {
            return BST_OK;
        }
    }
    BST_FAIL(BST_E_ALREADY_REGISTERED, "no free AE-ID-Stem of the form '%.*s' was found",
             BST_VIEW_ARGS(pattern));
}

bst_result bst_registration_stem(const struct bst_ae_registration *reg,
                                 const struct bst_registration_grant *grant,
                                 const struct bst_stem_policy *policy, char ret[BST_STEM_MAX + 1])
{
    static const struct bst_registration_grant every = {.s_pattern = {"S*", 2},
                                                        .c_pattern = {"C*", 2}};
    struct bst_view stem = effective_stem(reg);
    char out[BST_STEM_MAX + 1];
    if (stem.len) {
        BST_TRY(whole_stem(stem, policy, out));
    } else {
        const struct bst_registration_grant *g = grant ? grant : &every;
        bool s = bst_view_is(reg->from, "S") || (!reg->from.len && policy->prefer_s);
        if (!reg->from.len && !(s ? g->s_pattern : g->c_pattern).len) {
            s = !s; /* From says nothing: the kind that the subscription leaves */
        }
        struct bst_view pattern = s ? g->s_pattern : g->c_pattern;
        BST_ENSURE(pattern.len, BST_E_APP_RULE);
        BST_TRY(fresh_stem(pattern, s ? 'S' : 'C', policy, out));
    }
    memcpy(ret, out, sizeof out);
    return BST_OK;
}
