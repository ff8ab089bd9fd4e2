/* Configuration: YAML read by one schema table. Unknown, doubled or wrong keys are fatal, with
 * their place in the file. No option takes a secret: only the place of one. */
#pragma once

#include "base/text.h"

struct bst_config_texts {
    char **items;
    size_t n;
};

/** A MEF that the CSE may ask for keys. */
struct bst_config_mef {
    char *fqdn;    /* the MEF-ID, and the name its certificate must prove */
    char *address; /* dialled; empty: fqdn:8453 */
    char *ca;      /* PEM file; empty: the project CA */
};

/** The values, by the names of the schema table in config_schema.c. */
struct bst_config {
    char *sp_domain;
    int64_t workers;
    struct {
        char *id, *name, *admin, *fqdn;
        struct bst_config_texts listen;
        char *certificate, *key_uri;
        struct bst_config_texts poa;
        bool require_subscription;
        int64_t default_life_s, max_life_s, max_results;
    } cse;
    struct {
        bool enabled;
        char *fqdn;
        struct bst_config_texts listen;
        char *certificate, *key_uri;
    } mef;
    struct {
        char *ca_uri;
    } pki;
    struct {
        struct bst_config_mef *servers;
        size_t n_servers;
        int64_t lookup_ms, missing_s, keep_s, lookups, lookups_per_peer;
    } enrolment;
    struct {
        char *profile, *mef_profile;
        struct bst_config_texts ca, crl;
        char *crl_policy;
        int64_t ticket_s;
    } tls;
    struct {
        int64_t connections, connections_per_peer, body_bytes, header_bytes;
        int64_t handshake_ms, header_ms, body_ms, idle_ms, drain_ms;
    } http;
    struct {
        struct bst_config_texts allow;
        int64_t queue, attempts, timeout_ms;
    } notify;
    struct {
        char *level, *format;
    } log;
    struct {
        char *folder, *head_folder;
        int64_t file_bytes, keep_files, merge_s;
    } audit;
    struct {
        char *listen;
    } metrics;
    struct {
        char *socket;
        struct bst_config_texts users;
    } admin;
    struct {
        char *uri, *state_key;
        struct bst_config_texts policy, quota;
    } se;

    char *file;   /* where it was read from; NULL: defaults only */
    int *origins; /* per schema row: the line, 0 = default, -1 = command line */
};
void bst_config_clear(struct bst_config *config);

enum bst_config_type {
    BST_CONFIG_TEXT,
    BST_CONFIG_TEXTS, /* a list */
    BST_CONFIG_INT,
    BST_CONFIG_BOOL,
    BST_CONFIG_MEFS, /* a list of mappings */
};

/** One row of the schema. */
struct bst_config_option {
    const char *name; /* "cse.listen": section and key */
    enum bst_config_type type;
    size_t offset;
    const char *fallback; /* as in YAML; lists: items separated by blanks */
    const char *unit;     /* "ms", "bytes", or NULL */
    int64_t min, max;     /* integers */
    const char *choices;  /* texts: the allowed ones separated by '|', or NULL */
    bst_result (*check)(struct bst_view value); /* texts and items; may be NULL */
    bool live;                                  /* a reload applies it; others need a restart */
    const char *text;
};
extern const struct bst_config_option bst_config_schema[];
extern const size_t bst_config_schema_count;
extern const struct bst_config_option bst_config_mef_schema[];
extern const size_t bst_config_mef_schema_count;

/** All defaults. */
bst_result bst_config_init(struct bst_config *ret);
/** Read YAML over the defaults; `file` is what messages call it.
 *
 * @error BST_E_CONFIG  the detail says file:line:column, what is wrong, and the nearest right name
 */
bst_result bst_config_read(struct bst_view yaml, const char *file, struct bst_config *ret);
/** Set one value from the command line ("cse.listen=127.0.0.1:0"; lists separated by commas). */
bst_result bst_config_set(struct bst_config *config, struct bst_view assignment);
/** Rules between values. */
bst_result bst_config_check(const struct bst_config *config);

/** Make `fresh` one that a running server can take: options that need a restart get the running
 * value back, and their names go to ret_waiting. */
bst_result bst_config_merge(const struct bst_config *running, struct bst_config *fresh,
                            struct bst_buf *ret_waiting);

/** All values as YAML; with `origin` each line says where its value comes from. */
bst_result bst_config_show(const struct bst_config *config, bool origin, struct bst_buf *ret);
/** Only what is not a default, as YAML. */
bst_result bst_config_write_changed(const struct bst_config *config, struct bst_buf *ret);
bst_result bst_config_show_json(const struct bst_config *config, struct bst_buf *ret);
/** docs/configuration.md. */
bst_result bst_config_reference(struct bst_buf *ret);

/** The field of an option. */
static inline void *bst_config_field(const struct bst_config *config,
                                     const struct bst_config_option *option)
{
    return (char *)(uintptr_t)config + option->offset;
}
