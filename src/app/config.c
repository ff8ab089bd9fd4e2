/* The values of the configuration: defaults, setting by type, rules between values, release. */
#include "app/config_priv.h"

#include "tls/profile.h"

#include <stdio.h>

int config_find(const struct bst_config_option *schema, size_t n, struct bst_view name)
{
    for (size_t i = 0; i < n; i++) {
        if (bst_view_is(name, schema[i].name)) {
            return (int)i;
        }
    }
    return -1;
}

const char *config_nearest(const struct bst_config_option *schema, size_t n, struct bst_view name)
{
    const char *best = NULL;
    unsigned best_distance = name.len < 5 ? 2 : 4;
    for (size_t i = 0; i < n; i++) {
        unsigned distance = bst_edit_distance(name, bst_view(schema[i].name));
        if (distance < best_distance) {
            best_distance = distance;
            best = schema[i].name;
        }
    }
    return best;
}

static bst_result check_choice(const struct bst_config_option *option, struct bst_view value)
{
    struct bst_view rest = bst_view(option->choices), choice;
    bool more;
    do {
        more = bst_view_cut(&rest, '|', &choice);
        if (bst_view_eq(choice, value)) {
            return BST_OK;
        }
    } while (more);
    BST_FAIL(BST_E_VALUE, "'%.*s' is none of %s", BST_VIEW_ARGS(value), option->choices);
}

static bst_result check_text(const struct bst_config_option *option, struct bst_view value)
{
    if (value.len > 1024 || (value.len && memchr(value.ptr, '\0', value.len))) {
        BST_FAIL(BST_E_VALUE, "the value is too long or contains NUL");
    }
    if (!bst_utf8_valid(value)) {
        BST_FAIL(BST_E_VALUE, "the value is not UTF-8");
    }
    if (option->choices) {
        BST_TRY(check_choice(option, value));
    }
    return option->check ? option->check(value) : BST_OK;
}

static bst_result set_int(const struct bst_config_option *option, int64_t *field,
                          struct bst_view value)
{
    int64_t number;
    if (bst_failed(bst_parse_i64(value, &number))) {
        BST_FAIL(BST_E_VALUE, "'%.*s' is not a whole number", BST_VIEW_ARGS(value));
    }
    if (number < option->min || number > option->max) {
        BST_FAIL(BST_E_VALUE, "%lld is not within %lld to %lld%s%s", (long long)number,
                 (long long)option->min, (long long)option->max, option->unit ? " " : "",
                 option->unit ? option->unit : "");
    }
    *field = number;
    return BST_OK;
}

static bst_result set_bool(bool *field, struct bst_view value)
{
    if (!bst_view_is(value, "true") && !bst_view_is(value, "false")) {
        BST_FAIL(BST_E_VALUE, "'%.*s' is neither true nor false", BST_VIEW_ARGS(value));
    }
    *field = bst_view_is(value, "true");
    return BST_OK;
}

static bst_result set_text(const struct bst_config_option *option, char **field,
                           struct bst_view value)
{
    BST_TRY(check_text(option, value));
    char *copy = bst_strndup(value.ptr, value.len);
    BST_ENSURE(copy, BST_E_NOMEM);
    bst_free(*field);
    *field = copy;
    return BST_OK;
}

bst_result config_set_scalar(const struct bst_config_option *option, void *field,
                             struct bst_view value, bool plain)
{
    switch (option->type) {
    case BST_CONFIG_TEXT:
        return set_text(option, field, value);
    case BST_CONFIG_INT:
        if (!plain) {
            BST_FAIL(BST_E_VALUE, "a number stands without quotes");
        }
        return set_int(option, field, value);
    case BST_CONFIG_BOOL:
        if (!plain) {
            BST_FAIL(BST_E_VALUE, "true and false stand without quotes");
        }
        return set_bool(field, value);
    case BST_CONFIG_TEXTS:
    case BST_CONFIG_MEFS:
        break;
    }
    BST_FAIL(BST_E_VALUE, "a list is wanted here, like [a, b]");
}

bst_result config_add_text(const struct bst_config_option *option, struct bst_config_texts *list,
                           struct bst_view value)
{
    BST_TRY(check_text(option, value));
    if (list->n >= CONFIG_ITEMS_MAX) {
        BST_FAIL(BST_E_VALUE, "more than %d items", CONFIG_ITEMS_MAX);
    }
    char **items = bst_realloc(list->items, (list->n + 1) * sizeof *items);
    BST_ENSURE(items, BST_E_NOMEM);
    list->items = items;
    items[list->n] = bst_strndup(value.ptr, value.len);
    BST_ENSURE(items[list->n], BST_E_NOMEM);
    list->n++;
    return BST_OK;
}

void config_texts_clear(struct bst_config_texts *list)
{
    for (size_t i = 0; i < list->n; i++) {
        bst_free(list->items[i]);
    }
    bst_free(list->items);
    *list = (struct bst_config_texts){0};
}

/* Items separated by `sep`. */
static bst_result set_list(const struct bst_config_option *option, struct bst_config_texts *list,
                           struct bst_view items, char sep)
{
    config_texts_clear(list);
    struct bst_view item;
    bool more = items.len > 0;
    while (more) {
        more = bst_view_cut(&items, sep, &item);
        BST_TRY(config_add_text(option, list, bst_view_trim(item)));
    }
    return BST_OK;
}

/* Defaults are not checked: an empty text may stand for "not given" where no value may be empty. */
static bst_result set_default(const struct bst_config_option *option, void *field)
{
    if (option->type == BST_CONFIG_TEXT) {
        char **text = field;
        *text = bst_strdup(option->fallback);
        return *text ? BST_OK : bst_error(BST_E_NOMEM);
    }
    if (option->type == BST_CONFIG_TEXTS) {
        return set_list(option, field, bst_view(option->fallback), ' ');
    }
    if (option->type == BST_CONFIG_MEFS) {
        return BST_OK;
    }
    return config_set_scalar(option, field, bst_view(option->fallback), true);
}

bst_result config_add_mef(struct bst_config *config, struct bst_config_mef **ret)
{
    size_t n = config->enrolment.n_servers;
    if (n >= CONFIG_ITEMS_MAX) {
        BST_FAIL(BST_E_VALUE, "more than %d items", CONFIG_ITEMS_MAX);
    }
    struct bst_config_mef *servers =
        bst_realloc(config->enrolment.servers, (n + 1) * sizeof *servers);
    BST_ENSURE(servers, BST_E_NOMEM);
    config->enrolment.servers = servers;
    servers[n] = (struct bst_config_mef){0};
    config->enrolment.n_servers = n + 1;
    for (size_t i = 0; i < bst_config_mef_schema_count; i++) {
        const struct bst_config_option *option = &bst_config_mef_schema[i];
        BST_TRY(set_default(option, (char *)&servers[n] + option->offset));
    }
    *ret = &servers[n];
    return BST_OK;
}

static bst_result init(struct bst_config *config)
{
    config->origins = bst_alloc(bst_config_schema_count * sizeof *config->origins);
    BST_ENSURE(config->origins, BST_E_NOMEM);
    for (size_t i = 0; i < bst_config_schema_count; i++) {
        BST_TRY(
            set_default(&bst_config_schema[i], bst_config_field(config, &bst_config_schema[i])));
    }
    return BST_OK;
}

bst_result bst_config_init(struct bst_config *ret)
{
    *ret = (struct bst_config){0};
    bst_result r = init(ret);
    if (bst_failed(r)) {
        bst_config_clear(ret);
    }
    return r;
}

static void clear_mefs(struct bst_config *config)
{
    for (size_t i = 0; i < config->enrolment.n_servers; i++) {
        bst_free(config->enrolment.servers[i].fqdn);
        bst_free(config->enrolment.servers[i].address);
        bst_free(config->enrolment.servers[i].ca);
    }
    bst_free(config->enrolment.servers);
    config->enrolment.servers = NULL;
    config->enrolment.n_servers = 0;
}

void bst_config_clear(struct bst_config *config)
{
    for (size_t i = 0; i < bst_config_schema_count; i++) {
        void *field = bst_config_field(config, &bst_config_schema[i]);
        if (bst_config_schema[i].type == BST_CONFIG_TEXT) {
            bst_free(*(char **)field);
        }
        if (bst_config_schema[i].type == BST_CONFIG_TEXTS) {
            config_texts_clear(field);
        }
    }
    clear_mefs(config);
    bst_free(config->file);
    bst_free(config->origins);
    *config = (struct bst_config){0};
}

bst_result bst_config_set(struct bst_config *config, struct bst_view assignment)
{
    struct bst_view value = assignment, name;
    if (!bst_view_cut(&value, '=', &name)) {
        BST_FAIL(BST_E_CONFIG, "'%.*s' is not NAME=VALUE", BST_VIEW_ARGS(assignment));
    }
    int row = config_find(bst_config_schema, bst_config_schema_count, name);
    if (row < 0) {
        const char *near = config_nearest(bst_config_schema, bst_config_schema_count, name);
        BST_FAIL(BST_E_CONFIG, "there is no option '%.*s'%s%s%s", BST_VIEW_ARGS(name),
                 near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    const struct bst_config_option *option = &bst_config_schema[row];
    void *field = bst_config_field(config, option);
    bst_result r = option->type == BST_CONFIG_TEXTS ? set_list(option, field, value, ',')
                                                    : config_set_scalar(option, field, value, true);
    if (bst_failed(r)) {
        char why[256];
        snprintf(why, sizeof why, "%s", bst_error_detail());
        BST_FAIL(r.code == BST_E_NOMEM ? BST_E_NOMEM : BST_E_CONFIG, "%s: %s", option->name, why);
    }
    config->origins[row] = -1;
    return BST_OK;
}

static bst_result check_profile(const char *option, const char *name)
{
    if (bst_tls_profile_find(bst_view(name))) {
        return BST_OK;
    }
    bst_auto(buf) names = {0};
    const struct bst_tls_profile *profile;
    for (size_t i = 0; (profile = bst_tls_profile_at(i)); i++) {
        bst_buf_addf(&names, "%s%s", i ? ", " : "", bst_tls_profile_name(profile));
    }
    BST_FAIL(BST_E_CONFIG, "%s: there is no profile '%s'; there are %.*s", option, name,
             BST_VIEW_ARGS(bst_buf_view(&names)));
}

bst_result bst_config_check(const struct bst_config *config)
{
    if (config->enrolment.lookup_ms >= config->http.handshake_ms) {
        BST_FAIL(BST_E_CONFIG,
                 "enrolment.lookup-ms (%lld) must be below http.handshake-ms (%lld): the handshake "
                 "waits for the key",
                 (long long)config->enrolment.lookup_ms, (long long)config->http.handshake_ms);
    }
    if (config->cse.default_life_s > config->cse.max_life_s) {
        BST_FAIL(BST_E_CONFIG, "cse.default-life-s exceeds cse.max-life-s");
    }
    for (size_t i = 0; i < config->enrolment.n_servers; i++) {
        if (config->enrolment.servers[i].fqdn[0] == '\0') {
            BST_FAIL(BST_E_CONFIG, "enrolment.servers: entry %zu has no fqdn", i + 1);
        }
    }
    BST_TRY(check_profile("tls.profile", config->tls.profile));
    return check_profile("tls.mef-profile", config->tls.mef_profile);
}
