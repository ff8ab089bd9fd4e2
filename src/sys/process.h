/* Child processes: started, asked, killed, waited for. */
#pragma once

#include "base/text.h"

struct bst_process {
    int pid; /* 0: none */
};
/** Start a program; argv ends with NULL. Its output and errors are appended to `log_path`.
 * @error BST_E_IO  it could not be started */
bst_result bst_process_start(const char *program, const char *const *argv, const char *log_path,
                             struct bst_process *ret);
/** True until it has ended. */
bool bst_process_running(struct bst_process *process);
bst_result bst_process_signal(const struct bst_process *process, int signum);
/** Wait for its end, at most that long. @param ret_status  exit code, or 128 + signal
 * @error BST_E_TIMEOUT */
bst_result bst_process_wait(struct bst_process *process, int64_t timeout_ms, int *ret_status);
/** Path of the running program. */
bst_result bst_process_self(char *out, size_t cap);
/** A TCP port of the loopback that is free now. */
bst_result bst_free_port(unsigned *ret);
/** Resident memory of a process in KiB, and the processor time it has used. */
bst_result bst_process_usage(int pid, uint64_t *ret_rss_kib, uint64_t *ret_cpu_us);
