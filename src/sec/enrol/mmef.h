/* Representations of the interface Mmef: written by the client, read from the MEF's answers. */
#pragma once

#include "codec/json.h"
#include "onem2m/filter.h"

/* Writing: begin, members in any order, end. Absent values leave the member out. */
void bst_mmef_begin(struct bst_buf *out, const char *root);
void bst_mmef_add_text(struct bst_buf *out, const char *name, struct bst_view value);
void bst_mmef_add_number(struct bst_buf *out, const char *name, int64_t value);
void bst_mmef_add_time(struct bst_buf *out, const char *name, int64_t us); /* 0: absent */
void bst_mmef_add_list(struct bst_buf *out, const char *name, const struct bst_m2m_views *list);
void bst_mmef_add_raw(struct bst_buf *out, const char *name, struct bst_view json);
void bst_mmef_add_key(struct bst_buf *out,
                      const struct bst_secret *value); /* the buffer is secret then */
void bst_mmef_end(struct bst_buf *out);

/** What an answer may hold; what is absent is zero. */
struct bst_mmef_answer {
    struct bst_view id, creator, admin, key;
    int64_t expires_us, suid;
    bool has_expires;
    struct bst_m2m_views targets;
};
/** @error BST_E_SYNTAX, BST_E_VALUE  the detail names the member */
bst_result bst_mmef_answer_parse(struct bst_view pc, const char *root, struct bst_arena *arena,
                                 struct bst_mmef_answer *ret);
/** Wipe the key's text, which lies in the arena. */
void bst_mmef_answer_wipe(struct bst_mmef_answer *answer);
/** xs:base64Binary of 16 to BST_KEY_VALUE_MAX octets. */
bst_result bst_mmef_key_value(struct bst_view base64, struct bst_secret *ret);
/** A list of strings from JSON; views into the values. */
bst_result bst_mmef_list(yyjson_val *members, const char *name, struct bst_arena *arena,
                         struct bst_m2m_views *ret);
