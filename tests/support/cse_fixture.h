/* A CSE over a store in a scratch folder, driven in process: JSON in, status code and JSON out.
 *
 * In the JSON of requests ' stands for ", so that cases stay readable. */
#pragma once

#include "support/test.h"

#include "cse/cse.h"
#include "support/scratch.h"

struct cse_fixture {
    struct scratch scratch;
    char path[256]; /* of the store */
    struct bst_store_config store_config;
    struct bst_store *store;
    struct bst_cse_config config; /* change before cse_start() */
    struct bst_cse *cse;
    struct bst_loop *loop;
    struct bst_cse_worker *worker;
    struct bst_association *assoc; /* of the requests; a laboratory's at first */
    const char *peer_ip;
    const char *rvi;        /* of the requests, "3" at first; NULL: none */
    struct bst_arena arena; /* of the last answer */
    struct bst_m2m_response rsp;
    struct bst_cse_trace trace;
    char *content;    /* content of the last answer, "" without */
    yyjson_val *root; /* the same parsed, NULL without */
    unsigned serial;
};

/** Settings as `serve --lab` has them, a fake clock at 2026-01-01, nothing running yet. */
void cse_init(struct cse_fixture *f);
/** Open store and CSE. After cse_stop() again: a restart on the same state. */
void cse_start(struct cse_fixture *f);
void cse_stop(struct cse_fixture *f);
/** Stop, and remove the scratch folder. */
void cse_end(struct cse_fixture *f);

/** cmocka group set-up and tear-down: one started fixture in *state. */
int cse_setup(void **state);
int cse_teardown(void **state);

/** Send a request primitive without fr, rqi, rvi (they are added) and give its status code. */
int cse_send(struct cse_fixture *f, const char *from, const char *primitive, ...)
    __attribute__((format(printf, 3, 4)));
/** CREATE of a resource, e.g. cse_create(f, "Cx", "cse-in", "cnt", "'rn':'c'"): members without
 * braces. */
int cse_create(struct cse_fixture *f, const char *from, const char *to, const char *type,
               const char *members, ...) __attribute__((format(printf, 5, 6)));
int cse_retrieve(struct cse_fixture *f, const char *from, const char *to);
/** RETRIEVE with more members in the primitive: "'rcn':4,'fc':{'lvl':1}". */
int cse_query(struct cse_fixture *f, const char *from, const char *to, const char *more);
int cse_update(struct cse_fixture *f, const char *from, const char *to, const char *type,
               const char *members);
int cse_delete(struct cse_fixture *f, const char *from, const char *to);
/** Register an AE of that stem and name; asserts 2001. */
void cse_register(struct cse_fixture *f, const char *stem, const char *name);

/** A value of the last answer by path: "m2m:cnt/cni", "m2m:uril/0". NULL when absent. */
yyjson_val *cse_at(struct cse_fixture *f, const char *path);
const char *cse_text(struct cse_fixture *f, const char *path); /* "" when absent or no string */
int64_t cse_int(struct cse_fixture *f, const char *path);      /* -1 when absent or no integer */
size_t cse_count(struct cse_fixture *f, const char *path);     /* elements; 0 when absent */
/** Does the array at `path` hold this string? */
bool cse_holds(struct cse_fixture *f, const char *path, const char *text);

/** Run a sweep to its end. */
void cse_sweep(struct cse_fixture *f);
/** Let the writer finish what it has, and the loop what came of it. */
void cse_settle(struct cse_fixture *f);

#define assert_rsc(expected, call)                                                                 \
    do {                                                                                           \
        int test_rsc_ = (call);                                                                    \
        if (test_rsc_ != (expected)) {                                                             \
            fail_msg("%s: %d instead of %d: %.*s %s", #call, test_rsc_, (expected),                \
                     (int)f->rsp.debug.len, f->rsp.debug.ptr ? f->rsp.debug.ptr : "", f->content); \
        }                                                                                          \
    } while (0)
