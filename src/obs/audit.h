/* The audit trail: append-only JSON lines, each bound to the one before by SHA-256, checkpoints
 * signed, the newest position kept in a separate signed head so that a cut-off end shows.
 *
 * Digest, signature, files and clock come from the caller: this folder stands below all of them. */
#pragma once

#include "base/text.h"

/** One decision. Empty views are left out of the record. */
struct bst_audit_event {
    const char *event; /* dotted id: "access.denied", "credential.revoked", "key.released" */
    struct bst_view
        subject; /* who it claims or proved to be: originator, admin, credential owner */
    struct bst_view credential; /* identifier of the credential, never its value */
    struct bst_view peer;       /* address */
    struct bst_view op;
    struct bst_view target;
    struct bst_view decision; /* "denied", "allowed", "done", "failed" */
    struct bst_view rule;     /* what decided: policy and rule, or the attribute that failed */
    struct bst_view clause;   /* document and clause */
    struct bst_view detail;   /* a sentence for the auditor */
    int rsc;                  /* response status code told to the peer; 0 none */
};

#define BST_AUDIT_HASH_LEN 32

/** What the audit trail needs from above. Names are plain file names in the audit folder. */
struct bst_audit_host {
    void *ctx;
    int64_t (*wall_us)(void *ctx);
    bst_result (*sha256)(void *ctx, const struct bst_view *parts, size_t n,
                         uint8_t out[BST_AUDIT_HASH_LEN]);
    bst_result (*sign)(void *ctx, struct bst_view message, struct bst_buf *ret_signature);
    bst_result (*check)(void *ctx, struct bst_view message, struct bst_view signature);
    bst_result (*append)(void *ctx, const char *name, struct bst_view bytes);
    bst_result (*sync)(void *ctx, const char *name);
    bst_result (*read)(void *ctx, const char *name,
                       struct bst_buf *ret); /* BST_E_NOT_FOUND: absent */
    bst_result (*replace)(void *ctx, const char *name, struct bst_view bytes); /* atomic, durable */
    bst_result (*remove)(void *ctx, const char *name);
};

struct bst_audit_config {
    const struct bst_audit_host *host; /* borrowed for the life of the trail */
    size_t file_bytes;                 /* a file is closed beyond this, 0: 16 MiB */
    unsigned keep_files;               /* oldest are removed beyond this, 0: keep all */
    unsigned checkpoint_entries;       /* 0: 256 */
    int64_t checkpoint_us;             /* 0: 60 s */
    int64_t merge_us; /* equal denials within this become one counted record, 0: 10 s */
};

struct bst_audit;

/** Open the trail, repair a torn last line by a marked record, or begin a new trail.
 *
 * @error BST_E_CORRUPT  the end of the trail does not fit its head: bst_audit_verify() says where
 */
bst_result bst_audit_open(const struct bst_audit_config *config, struct bst_audit **ret_audit);
/** Flush, sign what is not signed yet, write the head, free. NULL is fine. */
void bst_audit_close(struct bst_audit **audit);
/** Append one record. NULL audit: nothing happens, so that tools may go without a trail.
 * @thread any; waits neither for a signature nor, but once a file, for the disk */
bst_result bst_audit_write(struct bst_audit *audit, const struct bst_audit_event *event);
/** Write what was merged, checkpoint when due or when the file has none, make all durable, then
 * move the head. The owner calls it every second, on one thread at a time that may wait for the
 * disk and for the key. */
bst_result bst_audit_flush(struct bst_audit *audit);

/** What a verification found. */
struct bst_audit_report {
    uint64_t first, last; /* numbers of the first and last record seen, 0 none */
    uint64_t checkpoints; /* signatures that were right */
    uint64_t repairs;     /* torn lines that a marked record explains */
    uint64_t after_head;  /* records newer than the head: written just before a crash */
    uint64_t bad_entry;   /* number of the first record that is wrong, 0 none */
    char bad_file[32];
    unsigned bad_line; /* in that file, from 1 */
    char reason[160];  /* in words; "" when the trail is whole */
};
/** Walk the whole trail. OK with a reason in the report when it is not whole; a failure only when
 * it could not be read. */
bst_result bst_audit_verify(const struct bst_audit_host *host, struct bst_audit_report *ret_report);
/** Name of the n-th file of a trail, n from 1: "audit-000001.jsonl". */
void bst_audit_file_name(unsigned n, char out[32]);
#define BST_AUDIT_HEAD "audit.head"
