/* The daemon: CSE and MEF with their listeners, loops and helpers in one process. */
#pragma once

#include "app/state.h"

struct bst_server;

struct bst_server_options {
    struct bst_state *state;                       /* borrowed; audit open */
    const struct bst_state_options *configuration; /* read again at a reload; NULL: it stays */
    bool verbose;                                  /* the log's level stays at debug */
    bool lab;          /* plain HTTP on the loopback, originators taken as written */
    unsigned lab_port; /* 0: any */
};

/** Where a running server answers, for people and tests: real ports. */
struct bst_server_ports {
    char cse[BST_PATH_MAX]; /* "https://127.0.0.1:8443", several separated by blanks; "" none */
    char mef[BST_PATH_MAX];
    char lab[64];
    char metrics[64];
    char admin[BST_PATH_MAX];
};

/** Open stores and services; nothing listens yet, so that commands can work on a stopped server. */
bst_result bst_server_new(const struct bst_server_options *options, struct bst_server **ret);
void bst_server_free(struct bst_server **server);
/** Listen and serve until SIGTERM or SIGINT, then drain. `ready` is called once it answers. */
bst_result bst_server_run(struct bst_server *server,
                          void (*ready)(void *ctx, const struct bst_server_ports *ports),
                          void *ctx);

/** One administrative command, on a running server (through its socket) or on a stopped one.
 *
 * @param op    "explain", "revoke", ...: the table is in admin.c
 * @param args  JSON object
 * @param ret   JSON answer
 */
bst_result bst_admin_run(struct bst_server *server, struct bst_view op, struct bst_view args,
                         struct bst_buf *ret);
/** Ask the running server of a state folder; when none runs, open the folder and do it here. */
bst_result bst_admin_call(const struct bst_state_options *options, const char *op,
                          struct bst_view args, struct bst_buf *ret);
