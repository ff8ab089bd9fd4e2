/* A software TPM (swtpm) of its own for a test program: started on free ports, killed, started
 * again with the same state, gone afterwards. */
#pragma once

#include "support/softhsm.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/socket.h>

struct swtpm {
    struct scratch home;
    unsigned port; /* of commands; control has the next one */
    pid_t pid;     /* 0: not running */
};

static inline bool swtpm_bind(unsigned port, unsigned *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
              getsockname(fd, (struct sockaddr *)&at, &len) == 0;
    *ret_port = ntohs(at.sin_port);
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/** A port that is free together with the one after it; not one that the kernel gives to outgoing
 * connections, which could take it while the TPM is stopped. */
static inline unsigned swtpm_ports(void)
{
    for (int i = 0; i < 50; i++) {
        unsigned port, unused;
        uint16_t random = 0;
        if (getrandom(&random, sizeof random, 0) != sizeof random) {
            return 0;
        }
        port = 16384 + 2 * (random % 8000u);
        if (swtpm_bind(port, &unused) && swtpm_bind(port + 1, &unused)) {
            return port;
        }
    }
    return 0;
}

/* Both ports listen. The one for commands takes one client at a time, so it is not asked. */
static inline bool swtpm_await(const struct swtpm *tpm)
{
    for (int i = 0; i < 400; i++) {
        unsigned unused;
        if (!swtpm_bind(tpm->port, &unused) && !swtpm_bind(tpm->port + 1, &unused)) {
            return true;
        }
        if (waitpid(tpm->pid, NULL, WNOHANG) == tpm->pid) {
            return false;
        }
        poll(NULL, 0, 25);
    }
    return false;
}

/** Tell it of its end (TPM2_Shutdown), as an orderly system does; without that a PIN that was used
 * counts as a wrong try. While nobody else is connected. */
static inline void swtpm_notice(const struct swtpm *tpm)
{
    static const unsigned char shutdown_clear[] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x45, 0, 0};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)tpm->port)};
    unsigned char answer[10];
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
        send(fd, shutdown_clear, sizeof shutdown_clear, MSG_NOSIGNAL) ==
            (ssize_t)sizeof shutdown_clear &&
        poll(&waiting, 1, 2000) == 1) {
        (void)!read(fd, answer, sizeof answer);
    }
    if (fd >= 0) {
        close(fd);
    }
}

static inline void swtpm_stop(struct swtpm *tpm)
{
    if (tpm->pid > 0) {
        kill(tpm->pid, SIGKILL);
        waitpid(tpm->pid, NULL, 0);
    }
    tpm->pid = 0;
}

/** Start it with the state that it has. */
static inline bool swtpm_start(struct swtpm *tpm)
{
    char state[200], server[64], control[64];
    snprintf(state, sizeof state, "dir=%s", tpm->home.dir);
    snprintf(server, sizeof server, "type=tcp,port=%u", tpm->port);
    snprintf(control, sizeof control, "type=tcp,port=%u", tpm->port + 1);
    const char *const argv[] = {"swtpm",
                                "socket",
                                "--tpm2",
                                "--tpmstate",
                                state,
                                "--server",
                                server,
                                "--ctrl",
                                control,
                                "--flags",
                                "not-need-init,startup-clear",
                                NULL};
    char *args[16] = {0};
    posix_spawn_file_actions_t quiet;
    for (size_t i = 0; argv[i]; i++) {
        args[i] = strdup(argv[i]);
    }
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
    bool ok = posix_spawnp(&tpm->pid, "swtpm", &quiet, NULL, args, environ) == 0;
    posix_spawn_file_actions_destroy(&quiet);
    for (size_t i = 0; args[i]; i++) {
        free(args[i]);
    }
    if (!ok) {
        tpm->pid = 0;
    }
    return ok && swtpm_await(tpm);
}

static inline void swtpm_remove(struct swtpm *tpm)
{
    swtpm_stop(tpm);
    if (tpm->home.dir[0]) {
        scratch_remove(&tpm->home);
    }
    tpm->home.dir[0] = '\0';
}

/** False, with the reason, when there is no swtpm here. */
static inline bool swtpm_make(struct swtpm *tpm, const char **ret_why)
{
    memset(tpm, 0, sizeof *tpm);
    *ret_why = "swtpm is not installed (package swtpm)";
    const char *const version[] = {"swtpm", "--version", NULL};
    if (!softhsm_util(version)) {
        return false;
    }
    *ret_why = "swtpm does not start";
    tpm->port = swtpm_ports();
    if (!tpm->port || !scratch_make(&tpm->home) || !swtpm_start(tpm)) {
        swtpm_remove(tpm);
        return false;
    }
    return true;
}
