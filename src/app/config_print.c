/* Showing the configuration: as YAML with the origin of each value, as JSON, and the reference. */
#include "app/config_priv.h"

static size_t section_len(const char *name)
{
    const char *dot = strchr(name, '.');
    return dot ? (size_t)(dot - name) : 0;
}

static void add_texts(struct bst_buf *out, const struct bst_config_texts *list)
{
    bst_buf_addc(out, '[');
    for (size_t i = 0; i < list->n; i++) {
        bst_buf_adds(out, i ? ", " : "");
        bst_buf_add_json(out, bst_view(list->items[i]));
    }
    bst_buf_addc(out, ']');
}

static void add_mefs(struct bst_buf *out, const struct bst_config *config)
{
    bst_buf_addc(out, '[');
    for (size_t i = 0; i < config->enrolment.n_servers; i++) {
        const struct bst_config_mef *mef = &config->enrolment.servers[i];
        bst_buf_adds(out, i ? ", {\"fqdn\": " : "{\"fqdn\": ");
        bst_buf_add_json(out, bst_view(mef->fqdn));
        bst_buf_adds(out, ", \"address\": ");
        bst_buf_add_json(out, bst_view(mef->address));
        bst_buf_adds(out, ", \"ca\": ");
        bst_buf_add_json(out, bst_view(mef->ca));
        bst_buf_addc(out, '}');
    }
    bst_buf_addc(out, ']');
}

/* Values are printed as JSON, which is YAML too. */
static void add_value(struct bst_buf *out, const struct bst_config *config,
                      const struct bst_config_option *option)
{
    void *field = bst_config_field(config, option);
    switch (option->type) {
    case BST_CONFIG_TEXT:
        bst_buf_add_json(out, bst_view(*(char **)field));
        return;
    case BST_CONFIG_TEXTS:
        add_texts(out, field);
        return;
    case BST_CONFIG_INT:
        bst_buf_addi(out, *(int64_t *)field);
        return;
    case BST_CONFIG_BOOL:
        bst_buf_adds(out, *(bool *)field ? "true" : "false");
        return;
    case BST_CONFIG_MEFS:
        add_mefs(out, config);
        return;
    }
}

static void add_origin(struct bst_buf *out, const struct bst_config *config, size_t row)
{
    int origin = config->origins[row];
    if (origin > 0) {
        bst_buf_addf(out, "  # %s:%d", config->file ? config->file : "?", origin);
    } else {
        bst_buf_adds(out, origin < 0 ? "  # command line" : "  # default");
    }
}

/* One option, under the heading of its section where that is another than before. */
static void add_line(struct bst_buf *out, const struct bst_config *config, size_t row,
                     const char *previous)
{
    const struct bst_config_option *option = &bst_config_schema[row];
    size_t len = section_len(option->name);
    if (len && (section_len(previous) != len || strncmp(previous, option->name, len) != 0)) {
        bst_buf_addf(out, "%.*s:\n", (int)len, option->name);
    }
    bst_buf_addf(out, "%s%s: ", len ? "  " : "", option->name + (len ? len + 1 : 0));
    add_value(out, config, option);
}

bst_result bst_config_show(const struct bst_config *config, bool origin, struct bst_buf *ret)
{
    const char *previous = "";
    for (size_t i = 0; i < bst_config_schema_count; i++) {
        add_line(ret, config, i, previous);
        if (origin) {
            add_origin(ret, config, i);
        }
        bst_buf_addc(ret, '\n');
        previous = bst_config_schema[i].name;
    }
    return bst_buf_check(ret);
}

bst_result bst_config_write_changed(const struct bst_config *config, struct bst_buf *ret)
{
    const char *previous = "";
    for (size_t i = 0; i < bst_config_schema_count; i++) {
        const struct bst_config_option *option = &bst_config_schema[i];
        if (config->origins[i] != 0) {
            add_line(ret, config, i, previous);
            bst_buf_addc(ret, '\n');
            previous = option->name;
        }
    }
    return bst_buf_check(ret);
}

bst_result bst_config_show_json(const struct bst_config *config, struct bst_buf *ret)
{
    bst_buf_addc(ret, '{');
    for (size_t i = 0; i < bst_config_schema_count; i++) {
        bst_buf_addf(ret, "%s\"%s\":{\"value\":", i ? "," : "", bst_config_schema[i].name);
        add_value(ret, config, &bst_config_schema[i]);
        int origin = config->origins[i];
        bst_buf_addf(ret, ",\"origin\":\"%s\"",
                     origin > 0   ? "file"
                     : origin < 0 ? "command line"
                                  : "default");
        if (origin > 0) {
            bst_buf_addf(ret, ",\"line\":%d", origin);
        }
        bst_buf_addc(ret, '}');
    }
    bst_buf_addc(ret, '}');
    return bst_buf_check(ret);
}

static const char *type_name(const struct bst_config_option *option)
{
    switch (option->type) {
    case BST_CONFIG_TEXT:
        return option->choices ? "one of" : "text";
    case BST_CONFIG_TEXTS:
        return "list of texts";
    case BST_CONFIG_INT:
        return "number";
    case BST_CONFIG_BOOL:
        return "true or false";
    case BST_CONFIG_MEFS:
        return "list of mappings";
    }
    return "";
}

static void add_type(struct bst_buf *out, const struct bst_config_option *option)
{
    bst_buf_adds(out, type_name(option));
    if (option->choices) {
        struct bst_view rest = bst_view(option->choices), choice;
        bool more;
        do {
            more = bst_view_cut(&rest, '|', &choice);
            bst_buf_addf(out, " `%.*s`", BST_VIEW_ARGS(choice));
        } while (more);
    }
    if (option->type == BST_CONFIG_INT) {
        bst_buf_addf(out, ", %lld to %lld", (long long)option->min, (long long)option->max);
    }
    if (option->unit) {
        bst_buf_addf(out, " %s", option->unit);
    }
}

static void add_row(struct bst_buf *out, const struct bst_config_option *option)
{
    bst_buf_addf(out, "| `%s` | ", option->name);
    add_type(out, option);
    bst_buf_addf(out, " | %s%s%s | %s | %s |\n", option->fallback[0] ? "`" : "", option->fallback,
                 option->fallback[0] ? "`" : "", option->live ? "reload" : "restart", option->text);
}

bst_result bst_config_reference(struct bst_buf *ret)
{
    bst_buf_adds(
        ret, "# Configuration\n\n"
             "Bastide reads `/etc/bastide/bastide.yaml`, or `bastide.yaml` in the state folder, or "
             "the file\ngiven with `--config`. `bastide config check` tells what is wrong with a "
             "file,\n`bastide config show --origin` where each value comes from. Paths that do not "
             "begin\nwith `/` are below the state folder. A name such as `cse.listen` is the key "
             "`listen`\nunder `cse:`. An unknown key is an error. No option takes a secret.\n\n"
             "This page is made by `bastide config reference`.\n\n"
             "| option | type | default | change takes | meaning |\n"
             "| --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < bst_config_schema_count; i++) {
        add_row(ret, &bst_config_schema[i]);
    }
    bst_buf_adds(ret, "\nEach entry of `enrolment.servers`:\n\n"
                      "| key | type | default | change takes | meaning |\n"
                      "| --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < bst_config_mef_schema_count; i++) {
        add_row(ret, &bst_config_mef_schema[i]);
    }
    return bst_buf_check(ret);
}
