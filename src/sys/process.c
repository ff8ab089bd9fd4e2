/* posix_spawn, signals and waiting, for tools that drive a server of their own. */
#include "sys/process.h"

#include "sys/clock.h"
#include "sys/file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int add_log(posix_spawn_file_actions_t *actions, const char *log_path)
{
    int e = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!e) {
        e = posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, log_path,
                                             O_WRONLY | O_CREAT | O_APPEND, 0600);
    }
    return e ? e : posix_spawn_file_actions_adddup2(actions, STDOUT_FILENO, STDERR_FILENO);
}

bst_result bst_process_start(const char *program, const char *const *argv, const char *log_path,
                             struct bst_process *ret)
{
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    if (posix_spawn_file_actions_init(&actions) != 0) {
        return bst_error(BST_E_NOMEM);
    }
    int e = add_log(&actions, log_path);
    if (!e) {
        e = posix_spawn(&pid, program, &actions, NULL, (char *const *)(uintptr_t)argv, environ);
    }
    posix_spawn_file_actions_destroy(&actions);
    if (e) {
        BST_FAIL(BST_E_IO, "%s cannot be started: %s", program, strerror(e));
    }
    ret->pid = pid;
    return BST_OK;
}

bool bst_process_running(struct bst_process *process)
{
    siginfo_t info = {0};
    return process->pid &&
           waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
}

bst_result bst_process_signal(const struct bst_process *process, int signum)
{
    if (!process->pid || kill(process->pid, signum) != 0) {
        BST_FAIL(BST_E_NOT_FOUND, "there is no process %d to signal", process->pid);
    }
    return BST_OK;
}

bst_result bst_process_wait(struct bst_process *process, int64_t timeout_ms, int *ret_status)
{
    int status;
    BST_ENSURE(process->pid > 0, BST_E_NOT_FOUND);
    /* The descriptor becomes readable when the process ends: no polling in steps. */
    int fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (fd >= 0) {
        struct pollfd p = {fd, POLLIN, 0};
        int n = poll(&p, 1, (int)timeout_ms);
        close(fd);
        if (n == 0) {
            BST_FAIL(BST_E_TIMEOUT, "process %d did not end in %lld ms", process->pid,
                     (long long)timeout_ms);
        }
    }
    if (waitpid(process->pid, &status, 0) < 0) {
        BST_FAIL(BST_E_IO, "process %d cannot be waited for: %s", process->pid, strerror(errno));
    }
    process->pid = 0;
    *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return BST_OK;
}

bst_result bst_process_self(char *out, size_t cap)
{
    ssize_t n = readlink("/proc/self/exe", out, cap - 1);
    if (n <= 0) {
        BST_FAIL(BST_E_IO, "/proc/self/exe cannot be read: %s", strerror(errno));
    }
    out[n] = '\0';
    return BST_OK;
}

bst_result bst_free_port(unsigned *ret)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 &&
                getsockname(fd, (struct sockaddr *)&address, &len) == 0;
    if (fd >= 0) {
        close(fd);
    }
    if (!good) {
        BST_FAIL(BST_E_IO, "no free port on the loopback: %s", strerror(errno));
    }
    *ret = ntohs(address.sin_port);
    return BST_OK;
}

/* Fields of /proc/PID/stat after the command name, which may hold blanks: 14 utime, 15 stime, 24
 * rss. */
bst_result bst_process_usage(int pid, uint64_t *ret_rss_kib, uint64_t *ret_cpu_us)
{
    char path[64];
    bst_auto(buf) text = {0};
    unsigned long long utime, stime;
    long long rss;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    BST_TRY(bst_file_read(path, 4096, &text));
    bst_buf_addc(&text, '\0');
    BST_TRY(bst_buf_check(&text));
    const char *after = strrchr(text.ptr, ')');
    if (!after ||
        sscanf(after + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d "
               "%*u %*u %lld",
               &utime, &stime, &rss) != 3) {
        BST_FAIL(BST_E_IO, "%s cannot be understood", path);
    }
    *ret_rss_kib = (uint64_t)rss * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
    *ret_cpu_us = (utime + stime) * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
    return BST_OK;
}
