/* Privileges from their representation to the compiled form; everything that can be wrong is found
 * here. TS-0004 V3.32, 6.3.5.26 to 6.3.5.28, 7.3.3.15; TS-0003 V3.18, 7.1.3. */
#include "onem2m/address.h"
#include "sec/acp_priv.h"

#include <stdio.h>

/* Far above any sensible policy, so that one policy cannot cost seconds or megabytes. */
enum { MAX_RULES = 1024, MAX_ENTRIES = 16384 };

enum part {
    RULES,
    NAMES,
    PATTERNS,
    GROUPS,
    CONTEXTS,
    WINDOWS,
    NETS,
    REGIONS,
    OBJECTS,
    CHILDREN,
    TEXT,
    N_PARTS
};

struct builder {
    const struct bst_self *self;
    struct bst_buf parts[N_PARTS];
    int rule; /* index, for error sentences */
    size_t entries;
};

static void builder_clear(struct builder *b)
{
    for (size_t i = 0; i < N_PARTS; i++) {
        bst_buf_clear(&b->parts[i]);
    }
}

static uint32_t count(const struct builder *b, enum part part, size_t size)
{
    return (uint32_t)(b->parts[part].len / size);
}

#define PUSH(b, part, value) bst_buf_add(&(b)->parts[part], &(value), sizeof(value))

static struct acp_text text_add(struct builder *b, struct bst_view v)
{
    struct acp_text t = {(uint32_t)b->parts[TEXT].len, (uint32_t)v.len};
    bst_buf_addv(&b->parts[TEXT], v);
    return t;
}

/* Add the rule's number to a sentence that a lower level wrote. */
static bst_result in_rule(const struct builder *b, const char *attribute, bst_result r)
{
    if (!bst_failed(r) || r.code == BST_E_NOMEM) {
        return r;
    }
    char why[256];
    const char *said = bst_error_detail();
    struct bst_view detail = bst_view(*said ? said : bst_error_text(r.code));
    detail.len = detail.len < sizeof why ? detail.len : sizeof why - 1;
    memcpy(why, detail.ptr, detail.len);
    why[detail.len] = '\0';
    BST_FAIL(r.code, "rule %d, %s: %s", b->rule, attribute, why);
}

static bst_result count_entry(struct builder *b)
{
    if (++b->entries > MAX_ENTRIES) {
        BST_FAIL(BST_E_TOO_LONG, "more than %d entries in one policy", MAX_ENTRIES);
    }
    return BST_OK;
}

static bst_result array_of(struct builder *b, yyjson_val *value, const char *name)
{
    if (!yyjson_is_arr(value)) {
        BST_FAIL(BST_E_VALUE, "rule %d: %s is a %s instead of a list", b->rule, name,
                 bst_json_kind(value));
    }
    return BST_OK;
}

static bst_result only_members(struct builder *b, yyjson_val *object, const char *where,
                               const char *const *known)
{
    if (!yyjson_is_obj(object)) {
        BST_FAIL(BST_E_VALUE, "rule %d: %s is not an object", b->rule, where);
    }
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        struct bst_view name = bst_json_view(key);
        size_t i = 0;
        while (known[i] && !bst_view_is(name, known[i])) {
            i++;
        }
        if (!known[i]) {
            BST_FAIL(BST_E_SYNTAX, "rule %d: %s has no member '%.*s'", b->rule, where,
                     BST_VIEW_ARGS(name));
        }
    }
    return BST_OK;
}

/* ---- accessControlOriginators ---- */

static void name_add(struct builder *b, struct acp_rule *rule, enum acp_name_kind kind,
                     struct bst_view normal, struct bst_view written)
{
    struct acp_name name = {.hash = bst_hash(normal), .kind = (uint8_t)kind};
    name.normal = text_add(b, normal);
    name.written = text_add(b, written);
    rule->bloom |= acp_bloom_bit(name.hash);
    PUSH(b, NAMES, name);
}

static void pattern_add(struct builder *b, struct bst_view normal, struct bst_view written,
                        bool domain, bool ae_only)
{
    const char *star = memchr(normal.ptr, '*', normal.len);
    struct acp_pattern pattern = {.domain = domain, .ae_only = ae_only};
    pattern.prefix = (uint32_t)(star ? (size_t)(star - normal.ptr) : normal.len);
    pattern.normal = text_add(b, normal);
    pattern.written = text_add(b, written);
    PUSH(b, PATTERNS, pattern);
}

static bst_result domain_add(struct builder *b, struct acp_rule *rule, struct bst_view domain,
                             struct bst_view written)
{
    char normal[254];
    BST_TRY(bst_view_copy(domain, normal, sizeof normal));
    for (size_t i = 0; i < domain.len; i++) {
        normal[i] = normal[i] >= 'A' && normal[i] <= 'Z' ? (char)(normal[i] + 32) : normal[i];
    }
    if (memchr(normal, '*', domain.len)) {
        pattern_add(b, bst_view(normal), written, true, false);
        return BST_OK;
    }
    if (!bst_fqdn_valid(domain)) {
        BST_FAIL(BST_E_VALUE, "'%.*s' is not a domain", BST_VIEW_ARGS(written));
    }
    name_add(b, rule, NAME_DOMAIN, bst_view(normal), written);
    return BST_OK;
}

static bst_result pattern_entry(struct builder *b, struct bst_view text)
{
    struct bst_entity_id ids[2];
    size_t n;
    BST_TRY(bst_entity_pattern(b->self, text, ids, &n));
    for (size_t i = 0; i < n; i++) {
        pattern_add(b, bst_entity_abs(&ids[i]), text, false, ids[i].form == BST_FORM_STEM);
    }
    return BST_OK;
}

static bst_result group_add(struct builder *b, struct bst_view text)
{
    struct bst_m2m_address address;
    if (bst_failed(bst_m2m_address_parse(text, &address)) || address.attribute.len) {
        BST_FAIL(BST_E_VALUE, "'%.*s' is neither an entity, a domain, a role nor a group",
                 BST_VIEW_ARGS(text));
    }
    struct acp_group group = {text_add(b, text)};
    PUSH(b, GROUPS, group);
    return BST_OK;
}

static bool is_bare_domain(struct bst_view text)
{
    return memchr(text.ptr, '.', text.len) && !memchr(text.ptr, '/', text.len) &&
           text.ptr[0] != 'S' && text.ptr[0] != 'C' && bst_fqdn_valid(text);
}

/* [TS-0004, table 7.3.3.15-1] the six kinds of entries, told apart by their form */
static bst_result originator_entry(struct builder *b, struct acp_rule *rule, struct bst_view text)
{
    struct bst_view after = bst_view_from(text, 2), relative, fqdn;
    BST_TRY(count_entry(b));
    BST_ENSURE(text.len, BST_E_VALUE);
    if (bst_view_is(text, "all")) {
        rule->all = true;
        return BST_OK;
    }
    if (memchr(text.ptr, '@', text.len)) {
        BST_TRY(bst_relative_id_split(text, &relative, &fqdn));
        name_add(b, rule, NAME_ROLE, text, text);
        return BST_OK;
    }
    if (bst_view_starts(text, BST_VIEW("//")) && after.len && !memchr(after.ptr, '/', after.len)) {
        return domain_add(b, rule, after, text);
    }
    if (memchr(text.ptr, '*', text.len)) {
        return pattern_entry(b, text);
    }
    if (is_bare_domain(text)) {
        return domain_add(b, rule, text, text);
    }
    struct bst_entity_id id;
    if (bst_failed(bst_entity_parse(b->self, text, &id))) {
        return group_add(b, text);
    }
    name_add(b, rule, NAME_ID, bst_entity_abs(&id), text);
    /* A word without the letter of an AE-ID-Stem may be the resource ID of a group. */
    return id.kind == BST_ENTITY_UNKNOWN ? group_add(b, text) : BST_OK;
}

static bst_result originators(struct builder *b, yyjson_val *list, struct acp_rule *rule)
{
    BST_TRY(array_of(b, list, "accessControlOriginators (acor)"));
    rule->names.at = count(b, NAMES, sizeof(struct acp_name));
    rule->patterns.at = count(b, PATTERNS, sizeof(struct acp_pattern));
    rule->groups.at = count(b, GROUPS, sizeof(struct acp_group));
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&it));) {
        if (!yyjson_is_str(item)) {
            BST_FAIL(BST_E_VALUE, "rule %d: accessControlOriginators (acor) holds a %s", b->rule,
                     bst_json_kind(item));
        }
        BST_TRY(
            in_rule(b, "accessControlOriginators", originator_entry(b, rule, bst_json_view(item))));
    }
    rule->names.n = count(b, NAMES, sizeof(struct acp_name)) - rule->names.at;
    rule->patterns.n = count(b, PATTERNS, sizeof(struct acp_pattern)) - rule->patterns.at;
    rule->groups.n = count(b, GROUPS, sizeof(struct acp_group)) - rule->groups.at;
    return BST_OK;
}

/* ---- accessControlContexts ---- */

static bst_result windows(struct builder *b, yyjson_val *list, struct acp_context *ctx)
{
    BST_TRY(array_of(b, list, "accessControlWindow (actw)"));
    ctx->windows.at = count(b, WINDOWS, sizeof(struct bst_crontab));
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&it)); ctx->windows.n++) {
        struct bst_crontab window;
        BST_TRY(count_entry(b));
        BST_TRY(in_rule(b, "accessControlWindow", bst_crontab_parse(bst_json_view(item), &window)));
        PUSH(b, WINDOWS, window);
    }
    return BST_OK;
}

static bst_result nets_of(struct builder *b, yyjson_val *list, uint8_t family,
                          struct acp_context *ctx)
{
    if (!list) {
        return BST_OK;
    }
    BST_TRY(array_of(b, list, "a list of accessControlIpAddresses (acip)"));
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&it)); ctx->nets.n++) {
        struct bst_cidr net;
        BST_TRY(count_entry(b));
        BST_TRY(in_rule(b, "accessControlIpAddresses",
                        bst_cidr_parse(bst_json_view(item), family, &net)));
        PUSH(b, NETS, net);
    }
    return BST_OK;
}

static bst_result nets(struct builder *b, yyjson_val *value, struct acp_context *ctx)
{
    static const char *const known[] = {"ipv4", "ipv6", NULL};
    BST_TRY(only_members(b, value, "accessControlIpAddresses (acip)", known));
    ctx->nets.at = count(b, NETS, sizeof(struct bst_cidr));
    BST_TRY(nets_of(b, bst_json_get(value, "ipv4"), 4, ctx));
    BST_TRY(nets_of(b, bst_json_get(value, "ipv6"), 6, ctx));
    if (!ctx->nets.n) {
        BST_FAIL(BST_E_VALUE, "rule %d: accessControlIpAddresses (acip) names no address", b->rule);
    }
    return BST_OK;
}

static bst_result circle(struct builder *b, yyjson_val *list, struct bst_region *ret)
{
    double v[3] = {0};
    size_t n = 0;
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&it)); n++) {
        if (n == 3 || !yyjson_is_num(item)) {
            n = 99;
            break;
        }
        v[n] = yyjson_get_num(item);
    }
    if (n != 3 || !(v[0] >= -90 && v[0] <= 90) || !(v[1] >= -180 && v[1] <= 180) ||
        !(v[2] >= 0 && v[2] <= 1e9)) {
        BST_FAIL(BST_E_VALUE,
                 "rule %d: circRegion (accr) is latitude (+-90), longitude (+-180) and radius in "
                 "metres",
                 b->rule);
    }
    *ret =
        (struct bst_region){.circle = true, .latitude = v[0], .longitude = v[1], .radius_m = v[2]};
    return BST_OK;
}

static bst_result country(struct builder *b, yyjson_val *item, struct bst_region *ret)
{
    struct bst_view code = bst_json_view(item);
    *ret = (struct bst_region){0};
    for (size_t i = 0; i < 2 && code.len == 2; i++) {
        char c = code.ptr[i];
        ret->country[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
    }
    if (code.len != 2 || ret->country[0] < 'A' || ret->country[0] > 'Z' || ret->country[1] < 'A' ||
        ret->country[1] > 'Z') {
        BST_FAIL(BST_E_VALUE, "rule %d: countryCode (accc) holds a value that is not two letters",
                 b->rule);
    }
    return BST_OK;
}

/* [TS-0004, 6.3.5.28] a choice: one circle, or a list of countries */
static bst_result regions(struct builder *b, yyjson_val *value, struct acp_context *ctx)
{
    static const char *const known[] = {"accr", "accc", NULL};
    BST_TRY(only_members(b, value, "accessControlLocationRegion (aclr)", known));
    yyjson_val *circ = bst_json_get(value, "accr"), *codes = bst_json_get(value, "accc");
    struct bst_region region;
    ctx->regions.at = count(b, REGIONS, sizeof region);
    if (!circ == !codes) {
        BST_FAIL(BST_E_VALUE,
                 "rule %d: accessControlLocationRegion (aclr) needs either accr or accc", b->rule);
    }
    if (circ) {
        BST_TRY(array_of(b, circ, "circRegion (accr)"));
        BST_TRY(circle(b, circ, &region));
        PUSH(b, REGIONS, region);
        ctx->regions.n = 1;
        return BST_OK;
    }
    BST_TRY(array_of(b, codes, "countryCode (accc)"));
    yyjson_arr_iter it = yyjson_arr_iter_with(codes);
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&it)); ctx->regions.n++) {
        BST_TRY(count_entry(b));
        BST_TRY(country(b, item, &region));
        PUSH(b, REGIONS, region);
    }
    if (!ctx->regions.n) {
        BST_FAIL(BST_E_VALUE, "rule %d: countryCode (accc) is empty", b->rule);
    }
    return BST_OK;
}

static bst_result contexts(struct builder *b, yyjson_val *list, struct acp_rule *rule)
{
    static const char *const known[] = {"actw", "acip", "aclr", NULL};
    BST_TRY(array_of(b, list, "accessControlContexts (acco)"));
    rule->contexts.at = count(b, CONTEXTS, sizeof(struct acp_context));
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&it)); rule->contexts.n++) {
        struct acp_context ctx = {0};
        BST_TRY(count_entry(b));
        BST_TRY(only_members(b, item, "accessControlContexts (acco)", known));
        yyjson_val *actw = bst_json_get(item, "actw"), *acip = bst_json_get(item, "acip"),
                   *aclr = bst_json_get(item, "aclr");
        BST_TRY(actw ? windows(b, actw, &ctx) : BST_OK);
        BST_TRY(acip ? nets(b, acip, &ctx) : BST_OK);
        BST_TRY(aclr ? regions(b, aclr, &ctx) : BST_OK);
        PUSH(b, CONTEXTS, ctx);
    }
    return BST_OK;
}

/* ---- accessControlObjectDetails ---- */

static bst_result resource_type(struct builder *b, yyjson_val *value, int32_t *ret)
{
    if (!yyjson_is_int(value) || yyjson_get_sint(value) < 1 || yyjson_get_sint(value) > 99999) {
        BST_FAIL(BST_E_VALUE,
                 "rule %d: accessControlObjectDetails (acod) holds a wrong type number", b->rule);
    }
    *ret = (int32_t)yyjson_get_sint(value);
    return BST_OK;
}

/* m2m:specializationType: containerDefinition or mgmtDefinition */
static bst_result specialization(struct builder *b, yyjson_val *value, struct acp_object *obj)
{
    yyjson_val *cnd = bst_json_get(value, "cnd"), *mgd = bst_json_get(value, "mgd");
    struct bst_view text = bst_json_view(cnd ? cnd : value);
    char digits[24];
    if (yyjson_is_uint(mgd) && !cnd) {
        int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)yyjson_get_uint(mgd));
        text = bst_view_of(digits, (size_t)n);
    }
    if (!text.len) {
        BST_FAIL(BST_E_VALUE, "rule %d: specializationType (spty) needs cnd or mgd", b->rule);
    }
    obj->spec = text_add(b, text);
    return BST_OK;
}

static bst_result object(struct builder *b, yyjson_val *value)
{
    static const char *const known[] = {"ty", "spty", "chty", NULL};
    struct acp_object obj = {.children.at = count(b, CHILDREN, sizeof(int32_t))};
    BST_TRY(only_members(b, value, "accessControlObjectDetails (acod)", known));
    yyjson_val *ty = bst_json_get(value, "ty"), *spty = bst_json_get(value, "spty"),
               *chty = bst_json_get(value, "chty");
    BST_TRY(ty ? resource_type(b, ty, &obj.ty) : BST_OK);
    BST_TRY(spty ? specialization(b, spty, &obj) : BST_OK);
    BST_TRY(array_of(b, chty, "childResourceType (chty)"));
    yyjson_arr_iter it = yyjson_arr_iter_with(chty);
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&it)); obj.children.n++) {
        int32_t child;
        BST_TRY(count_entry(b));
        BST_TRY(resource_type(b, item, &child));
        PUSH(b, CHILDREN, child);
    }
    PUSH(b, OBJECTS, obj);
    return BST_OK;
}

static bst_result objects(struct builder *b, yyjson_val *list, struct acp_rule *rule)
{
    BST_TRY(array_of(b, list, "accessControlObjectDetails (acod)"));
    rule->objects.at = count(b, OBJECTS, sizeof(struct acp_object));
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&it)); rule->objects.n++) {
        BST_TRY(count_entry(b));
        BST_TRY(object(b, item));
    }
    return BST_OK;
}

/* ---- rules ---- */

static bst_result operations(struct builder *b, yyjson_val *value, struct acp_rule *rule)
{
    if (!yyjson_is_int(value) || yyjson_get_sint(value) < 1 ||
        yyjson_get_sint(value) > BST_ACOP_ALL) {
        BST_FAIL(BST_E_VALUE, "rule %d: accessControlOperations (acop) is not in 1 to %d", b->rule,
                 BST_ACOP_ALL);
    }
    rule->ops = (uint8_t)yyjson_get_sint(value);
    return BST_OK;
}

static bst_result rule_compile(struct builder *b, yyjson_val *value)
{
    static const char *const known[] = {"acor", "acop", "acco", "acaf", "acod", NULL};
    struct acp_rule rule = {0};
    BST_TRY(only_members(b, value, "accessControlRule (acr)", known));
    yyjson_val *acco = bst_json_get(value, "acco"), *acod = bst_json_get(value, "acod"),
               *acaf = bst_json_get(value, "acaf");
    BST_TRY(originators(b, bst_json_get(value, "acor"), &rule));
    BST_TRY(operations(b, bst_json_get(value, "acop"), &rule));
    if (acaf && !yyjson_is_bool(acaf)) {
        BST_FAIL(BST_E_VALUE, "rule %d: accessControlAuthenticationFlag (acaf) is no boolean",
                 b->rule);
    }
    rule.authenticated = yyjson_is_true(acaf);
    BST_TRY(acco ? contexts(b, acco, &rule) : BST_OK);
    BST_TRY(acod ? objects(b, acod, &rule) : BST_OK);
    PUSH(b, RULES, rule);
    return BST_OK;
}

static bst_result rules_compile(struct builder *b, yyjson_val *privileges, bool at_least_one)
{
    static const char *const known[] = {"acr", NULL};
    BST_TRY(only_members(b, privileges, "the set of rules", known));
    yyjson_val *list = bst_json_get(privileges, "acr");
    if (list) {
        BST_TRY(array_of(b, list, "acr"));
    }
    if (yyjson_arr_size(list) > MAX_RULES) {
        BST_FAIL(BST_E_TOO_LONG, "more than %d rules in one policy", MAX_RULES);
    }
    if (at_least_one && !yyjson_arr_size(list)) {
        /* [TS-0004, 7.4.2.2] a policy that nobody could ever change again */
        BST_FAIL(BST_E_VALUE, "selfPrivileges (pvs) needs at least one rule");
    }
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    for (yyjson_val *item; list && (item = yyjson_arr_iter_next(&it)); b->rule++) {
        BST_TRY(rule_compile(b, item));
    }
    return BST_OK;
}

static size_t aligned(size_t bytes)
{
    return (bytes + 15) & ~(size_t)15;
}

/* Everything into one block; the order is that of enum part. */
static bst_result pack(const struct builder *b, struct acp_text policy_id, bool self,
                       struct bst_acp_rules **ret)
{
    size_t bytes = aligned(sizeof(struct bst_acp_rules));
    for (size_t i = 0; i < N_PARTS; i++) {
        BST_TRY(bst_buf_check(&b->parts[i]));
        bytes += aligned(b->parts[i].len);
    }
    char *block = bst_alloc(bytes);
    BST_ENSURE(block, BST_E_NOMEM);
    void *at[N_PARTS];
    size_t used = aligned(sizeof(struct bst_acp_rules));
    for (size_t i = 0; i < N_PARTS; i++) {
        at[i] = block + used;
        if (b->parts[i].len) {
            memcpy(at[i], b->parts[i].ptr, b->parts[i].len);
        }
        used += aligned(b->parts[i].len);
    }
    struct bst_acp_rules *rules = (struct bst_acp_rules *)(void *)block;
    *rules = (struct bst_acp_rules){
        .bytes = bytes,
        .self_privileges = self,
        .policy_id = policy_id,
        .n_rules = count(b, RULES, sizeof(struct acp_rule)),
        .rules = at[RULES],
        .names = at[NAMES],
        .patterns = at[PATTERNS],
        .groups = at[GROUPS],
        .contexts = at[CONTEXTS],
        .windows = at[WINDOWS],
        .nets = at[NETS],
        .regions = at[REGIONS],
        .objects = at[OBJECTS],
        .children = at[CHILDREN],
        .text = at[TEXT],
    };
    for (uint32_t i = 0; i < rules->n_rules; i++) {
        rules->ops |= rules->rules[i].ops;
    }
    *ret = rules;
    return BST_OK;
}

bst_result bst_acp_compile(const struct bst_acp_source *source, yyjson_val *privileges,
                           struct bst_acp_rules **ret)
{
    struct builder b = {.self = source->self};
    struct acp_text policy_id = text_add(&b, source->policy_id);
    bst_result r = rules_compile(&b, privileges, source->self_privileges);
    if (!bst_failed(r)) {
        r = pack(&b, policy_id, source->self_privileges, ret);
    }
    builder_clear(&b);
    return r;
}

void bst_acp_rules_free(struct bst_acp_rules **rules)
{
    bst_free(*rules);
    *rules = NULL;
}

size_t bst_acp_rules_count(const struct bst_acp_rules *rules)
{
    return rules->n_rules;
}

size_t bst_acp_rules_bytes(const struct bst_acp_rules *rules)
{
    return rules->bytes;
}
