/* What the writing and the reading half of the audit trail share: the shape of a line. */
#pragma once

#include "obs/audit.h"

/* {"h":"<64 hex>",<rest>} where h = SHA-256(h of the record before || rest), rest to the line's
 * end. */
#define AUDIT_PREFIX "{\"h\":\""
#define AUDIT_PREFIX_LEN 6
#define AUDIT_HEX_LEN (2 * BST_AUDIT_HASH_LEN)
#define AUDIT_REST_AT (AUDIT_PREFIX_LEN + AUDIT_HEX_LEN + 2)

#define AUDIT_EVENT_FILE "audit.file"
#define AUDIT_EVENT_CHECKPOINT "audit.checkpoint"
#define AUDIT_EVENT_REPAIR "audit.repair"

/** Position in the chain: number and hash of a record. */
struct audit_mark {
    uint64_t n;
    uint8_t hash[BST_AUDIT_HASH_LEN];
};

/** Records that may come while a signature is made: a checkpoint names one of these before it. */
#define AUDIT_SIGN_SPAN 65536u

/** A record that a later checkpoint may sign. */
struct audit_point {
    struct audit_mark mark;
    unsigned file;
};

struct audit_head {
    bool present;
    struct audit_mark mark;
    unsigned file;
};

/** Walk through the files of a trail. */
struct audit_walk {
    const struct bst_audit_host *host;
    struct audit_mark mark; /* the last good record */
    bool started;           /* mark is known */
    unsigned file;          /* number of the file being read */
    unsigned line;
    size_t tail_at;             /* in the file: end of the last good record */
    bool bad;                   /* what follows tail_at is not a record */
    struct audit_point *points; /* AUDIT_SIGN_SPAN, by number; NULL: signatures are not checked */
    uint64_t file_n;            /* number of the file's first record */
    uint64_t signed_n;          /* the last record that a checkpoint signs, 0 none */
    unsigned signed_file;       /* the last file with a record that a checkpoint signs */
    struct audit_head head;     /* the record it names must be met as it was */
    struct bst_audit_report report;
};

/** Hash of a record's rest after the record `before`. */
bst_result audit_hash(const struct bst_audit_host *host, const struct audit_mark *before,
                      struct bst_view rest, uint8_t out[BST_AUDIT_HASH_LEN]);
/** What a signature covers. */
bst_result audit_signed_text(const char *purpose, const struct audit_mark *mark, unsigned file,
                             struct bst_buf *ret);
/** Walk one file's bytes; stops at the first bad record that no repair explains. */
bst_result audit_walk_file(struct audit_walk *walk, struct bst_view data);
bst_result audit_head_read(const struct bst_audit_host *host, bool check, struct audit_head *ret);
bst_result audit_head_write(const struct bst_audit_host *host, const struct audit_head *head);
