/* Reading YAML events by the schema. Only plain trees: one document, no anchors, aliases or tags,
 * so that what stands in the file is what holds. Every message begins with file:line:column. */
#include "app/config_priv.h"

#include <stdio.h>
#include <yaml.h>

struct reader {
    yaml_parser_t parser;
    yaml_event_t event;
    bool has_event;
    const char *file;
    struct bst_config *config;
    char sections[16][64]; /* those seen so far */
    size_t n_sections;
};

/* Wrap what failed with its place. */
static bst_result fail_at(const struct reader *r, const yaml_mark_t *mark, const char *what,
                          const char *why)
{
    BST_FAIL(BST_E_CONFIG, "%s:%zu:%zu: %s%s%s", r->file, mark->line + 1, mark->column + 1, what,
             what[0] && why[0] ? ": " : "", why);
}

static bst_result fail_here(const struct reader *r, const char *why)
{
    return fail_at(r, &r->event.start_mark, "", why);
}

static void drop_event(struct reader *r)
{
    if (r->has_event) {
        yaml_event_delete(&r->event);
        r->has_event = false;
    }
}

static bool has_decoration(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return e->data.scalar.anchor || e->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT:
        return e->data.sequence_start.anchor || e->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:
        return e->data.mapping_start.anchor || e->data.mapping_start.tag;
    default:
        return e->type == YAML_ALIAS_EVENT;
    }
}

static bst_result next(struct reader *r)
{
    drop_event(r);
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        if (r->parser.error == YAML_MEMORY_ERROR) {
            return bst_error(BST_E_NOMEM);
        }
        yaml_mark_t mark = r->parser.problem_mark;
        if (r->parser.error == YAML_READER_ERROR) {
            BST_FAIL(BST_E_CONFIG, "%s: byte %zu: %s", r->file, r->parser.problem_offset,
                     r->parser.problem);
        }
        return fail_at(r, &mark, "not YAML",
                       r->parser.problem ? r->parser.problem : "unknown problem");
    }
    r->has_event = true;
    if (has_decoration(&r->event)) {
        return fail_here(r, "anchors, aliases and tags are not allowed");
    }
    return BST_OK;
}

static struct bst_view scalar(const struct reader *r)
{
    return bst_view_of(r->event.data.scalar.value, r->event.data.scalar.length);
}

static bool is_plain(const struct reader *r)
{
    return r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static bool is_null(const struct reader *r)
{
    struct bst_view v = scalar(r);
    return is_plain(r) && (v.len == 0 || bst_view_is(v, "~") || bst_view_is(v, "null"));
}

/* Complain about a value: the option's name and the reason that the check gave. */
static bst_result value_error(const struct reader *r, bst_result failed, const char *name,
                              const yaml_mark_t *mark)
{
    if (failed.code == BST_E_NOMEM) {
        return failed;
    }
    char why[400];
    snprintf(why, sizeof why, "%s", bst_error_detail());
    return fail_at(r, mark, name, why[0] ? why : bst_error_text(failed.code));
}

static bst_result read_scalar(struct reader *r, const struct bst_config_option *option, void *field)
{
    yaml_mark_t mark = r->event.start_mark;
    if (r->event.type != YAML_SCALAR_EVENT) {
        return fail_at(r, &mark, option->name, "a single value is wanted here");
    }
    if (is_null(r)) {
        return fail_at(r, &mark, option->name, "the value is missing; \"\" is the empty text");
    }
    bst_result result = config_set_scalar(option, field, scalar(r), is_plain(r));
    return bst_failed(result) ? value_error(r, result, option->name, &mark) : BST_OK;
}

static bst_result read_texts(struct reader *r, const struct bst_config_option *option,
                             struct bst_config_texts *list)
{
    if (r->event.type != YAML_SEQUENCE_START_EVENT) {
        return fail_at(r, &r->event.start_mark, option->name, "a list is wanted here, like [a, b]");
    }
    config_texts_clear(list);
    for (;;) {
        BST_TRY(next(r));
        if (r->event.type == YAML_SEQUENCE_END_EVENT) {
            return BST_OK;
        }
        yaml_mark_t mark = r->event.start_mark;
        if (r->event.type != YAML_SCALAR_EVENT || is_null(r)) {
            return fail_at(r, &mark, option->name, "an item of the list must be a text");
        }
        bst_result result = config_add_text(option, list, scalar(r));
        if (bst_failed(result)) {
            return value_error(r, result, option->name, &mark);
        }
    }
}

static bst_result unknown_key(const struct reader *r, const struct bst_config_option *schema,
                              size_t n, const char *name)
{
    const char *near = config_nearest(schema, n, bst_view(name));
    char why[200];
    snprintf(why, sizeof why, "unknown key '%.80s'%s%s%s", name, near ? "; did you mean '" : "",
             near ? near : "", near ? "'?" : "");
    return fail_here(r, why);
}

/* The key of a mapping as text; *ret_end at the mapping's end. */
static bst_result read_key(struct reader *r, char *out, size_t cap, bool *ret_end)
{
    BST_TRY(next(r));
    *ret_end = r->event.type == YAML_MAPPING_END_EVENT;
    if (*ret_end) {
        return BST_OK;
    }
    if (r->event.type != YAML_SCALAR_EVENT) {
        return fail_here(r, "a key must be a plain name");
    }
    if (bst_failed(bst_view_copy(scalar(r), out, cap))) {
        return fail_here(r, "this key is too long to be one");
    }
    return BST_OK;
}

static bst_result read_mef(struct reader *r, struct bst_config_mef *mef)
{
    bool seen[8] = {false}, end;
    char key[64];
    if (r->event.type != YAML_MAPPING_START_EVENT) {
        return fail_here(r, "each server is a mapping with fqdn, address and ca");
    }
    for (;;) {
        BST_TRY(read_key(r, key, sizeof key, &end));
        if (end) {
            return BST_OK;
        }
        int row = config_find(bst_config_mef_schema, bst_config_mef_schema_count, bst_view(key));
        if (row < 0) {
            return unknown_key(r, bst_config_mef_schema, bst_config_mef_schema_count, key);
        }
        if (seen[row]) {
            return fail_here(r, "this key was given before");
        }
        seen[row] = true;
        BST_TRY(next(r));
        const struct bst_config_option *option = &bst_config_mef_schema[row];
        BST_TRY(read_scalar(r, option, (char *)mef + option->offset));
    }
}

static bst_result read_mefs(struct reader *r, const struct bst_config_option *option)
{
    if (r->event.type != YAML_SEQUENCE_START_EVENT) {
        return fail_at(r, &r->event.start_mark, option->name, "a list of mappings is wanted here");
    }
    for (;;) {
        BST_TRY(next(r));
        if (r->event.type == YAML_SEQUENCE_END_EVENT) {
            return BST_OK;
        }
        struct bst_config_mef *mef;
        BST_TRY(config_add_mef(r->config, &mef));
        BST_TRY(read_mef(r, mef));
    }
}

static bst_result read_option(struct reader *r, int row)
{
    const struct bst_config_option *option = &bst_config_schema[row];
    void *field = bst_config_field(r->config, option);
    if (r->config->origins[row] > 0) {
        return fail_here(r, "this key was given before");
    }
    r->config->origins[row] = (int)r->event.start_mark.line + 1;
    BST_TRY(next(r));
    switch (option->type) {
    case BST_CONFIG_TEXTS:
        return read_texts(r, option, field);
    case BST_CONFIG_MEFS:
        return read_mefs(r, option);
    default:
        return read_scalar(r, option, field);
    }
}

static bool is_section(const char *key)
{
    size_t len = strlen(key);
    for (size_t i = 0; i < bst_config_schema_count; i++) {
        const char *name = bst_config_schema[i].name;
        if (strncmp(name, key, len) == 0 && name[len] == '.') {
            return true;
        }
    }
    return false;
}

static bst_result enter_section(struct reader *r, const char *section)
{
    for (size_t i = 0; i < r->n_sections; i++) {
        if (strcmp(r->sections[i], section) == 0) {
            return fail_here(r, "this section was given before");
        }
    }
    if (r->n_sections < sizeof r->sections / sizeof r->sections[0]) {
        snprintf(r->sections[r->n_sections++], sizeof r->sections[0], "%s", section);
    }
    return BST_OK;
}

static bst_result read_section(struct reader *r, const char *section)
{
    char key[64], name[128];
    bool end;
    BST_TRY(enter_section(r, section));
    BST_TRY(next(r));
    if (r->event.type != YAML_MAPPING_START_EVENT) {
        return fail_at(r, &r->event.start_mark, section, "options are wanted under this section");
    }
    for (;;) {
        BST_TRY(read_key(r, key, sizeof key, &end));
        if (end) {
            return BST_OK;
        }
        snprintf(name, sizeof name, "%s.%s", section, key);
        int row = config_find(bst_config_schema, bst_config_schema_count, bst_view(name));
        if (row < 0) {
            return unknown_key(r, bst_config_schema, bst_config_schema_count, name);
        }
        BST_TRY(read_option(r, row));
    }
}

static bst_result read_top(struct reader *r)
{
    char key[64];
    bool end;
    for (;;) {
        BST_TRY(read_key(r, key, sizeof key, &end));
        if (end) {
            return BST_OK;
        }
        int row = config_find(bst_config_schema, bst_config_schema_count, bst_view(key));
        if (row >= 0 && !strchr(key, '.')) {
            BST_TRY(read_option(r, row));
        } else if (is_section(key)) {
            BST_TRY(read_section(r, key));
        } else {
            return unknown_key(r, bst_config_schema, bst_config_schema_count, key);
        }
    }
}

static bst_result read_document(struct reader *r)
{
    BST_TRY(next(r)); /* stream start */
    BST_TRY(next(r));
    if (r->event.type == YAML_STREAM_END_EVENT) {
        return BST_OK; /* an empty file: all defaults */
    }
    BST_TRY(next(r));
    if (r->event.type == YAML_SCALAR_EVENT && is_null(r)) {
        return BST_OK;
    }
    if (r->event.type != YAML_MAPPING_START_EVENT) {
        return fail_here(r, "options are wanted here, as 'name: value' lines");
    }
    BST_TRY(read_top(r));
    BST_TRY(next(r)); /* document end */
    BST_TRY(next(r));
    if (r->event.type != YAML_STREAM_END_EVENT) {
        return fail_here(r, "there is a second document");
    }
    return BST_OK;
}

static bst_result read_all(struct bst_view yaml, const char *file, struct bst_config *config)
{
    struct reader r = {.file = file, .config = config};
    if (!yaml_parser_initialize(&r.parser)) {
        return bst_error(BST_E_NOMEM);
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)yaml.ptr, yaml.len);
    bst_result result = read_document(&r);
    drop_event(&r);
    yaml_parser_delete(&r.parser);
    return result;
}

bst_result bst_config_read(struct bst_view yaml, const char *file, struct bst_config *ret)
{
    bst_auto(config) config = {0};
    if (yaml.len > CONFIG_FILE_MAX) {
        BST_FAIL(BST_E_CONFIG, "%s: longer than %zu bytes", file, CONFIG_FILE_MAX);
    }
    BST_TRY(bst_config_init(&config));
    config.file = bst_strdup(file);
    BST_ENSURE(config.file, BST_E_NOMEM);
    BST_TRY(read_all(yaml.ptr ? yaml : BST_VIEW(""), file, &config));
    *ret = config;
    config = (struct bst_config){0};
    return BST_OK;
}
