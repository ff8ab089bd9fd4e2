/* What a daemon asks of the system: signals, watched files, threads, service manager, hardening. */
#pragma once

#include "sys/loop.h"

struct bst_signal;
struct bst_watch;
struct bst_thread;

/** Run `run` on the loop for every arrival of a signal. */
bst_result bst_signal_new(struct bst_loop *loop, int signum, void (*run)(void *user, int signum),
                          void *user, struct bst_signal **ret);
void bst_signal_free(struct bst_signal **sig);

/** Call `run` some time after a file was changed or replaced; bursts are reported once. The folder
 * is what is watched, so that editors and atomic replacement are seen too. */
bst_result bst_watch_new(struct bst_loop *loop, const char *path, void (*run)(void *user),
                         void *user, struct bst_watch **ret);
void bst_watch_free(struct bst_watch **watch);

/** Start a thread with a short name; signals stay with the first thread. */
bst_result bst_thread_start(const char *name, void (*run)(void *arg), void *arg,
                            struct bst_thread **ret);
/** Wait for its end and free it. */
void bst_thread_join(struct bst_thread **thread);
/** The calling thread gives way to the others: long work in the background. */
void bst_thread_give_way(void);
/** Processors this process may use, at least 1. */
unsigned bst_cpu_count(void);

/** Tell the service manager ("READY=1", "STOPPING=1", "STATUS=..."); nothing without one. */
void bst_service_notify(const char *state);
/** Sockets passed by the service manager: count, starting at descriptor 3; taken once. */
size_t bst_service_sockets(void);
/** No new privileges and no core dumps or debuggers of the same user: keys are in memory. */
bst_result bst_service_harden(void);
