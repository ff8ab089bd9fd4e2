/* Compiled form of privileges: one block of memory, arrays addressed by index, texts by offset. */
#pragma once

#include "sec/acp.h"

struct acp_text {
    uint32_t at, len;
};

enum acp_name_kind { NAME_ID, NAME_DOMAIN, NAME_ROLE };
/** An entry that matches by equality; found through its hash. */
struct acp_name {
    uint64_t hash;
    struct acp_text normal, written;
    uint8_t kind;
};
/** An entry with `*`. */
struct acp_pattern {
    struct acp_text normal, written;
    uint32_t prefix; /* characters before the first `*`: most patterns fail there */
    bool domain;     /* matched against the domain alone */
    bool ae_only;    /* written as a stem: not for CSE-IDs */
};
struct acp_group {
    struct acp_text written;
};
struct acp_slice {
    uint32_t at, n;
};
struct acp_context {
    struct acp_slice windows, nets, regions; /* empty: no condition */
};
struct acp_object {
    int32_t ty; /* 0: any */
    struct acp_text spec;
    struct acp_slice children;
};
struct acp_rule {
    uint64_t bloom; /* one bit for each name: no bit in common, no name in common */
    struct acp_slice names, patterns, groups, contexts, objects;
    uint8_t ops;
    bool all, authenticated;
};

struct bst_acp_rules {
    size_t bytes;
    bool self_privileges;
    struct acp_text policy_id;
    uint32_t n_rules;
    uint8_t ops; /* of all rules */
    const struct acp_rule *rules;
    const struct acp_name *names;
    const struct acp_pattern *patterns;
    const struct acp_group *groups;
    const struct acp_context *contexts;
    const struct bst_crontab *windows;
    const struct bst_cidr *nets;
    const struct bst_region *regions;
    const struct acp_object *objects;
    const int32_t *children;
    const char *text;
};

static inline uint64_t acp_bloom_bit(uint64_t hash)
{
    return UINT64_C(1) << (hash & 63);
}
static inline struct bst_view acp_view(const struct bst_acp_rules *rules, struct acp_text t)
{
    return (struct bst_view){rules->text + t.at, t.len};
}
