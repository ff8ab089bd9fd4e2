/* A SoftHSM2 token of its own for a test program, gone afterwards. */
#pragma once

#include "support/scratch.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SOFTHSM_PIN "27182818"

struct softhsm {
    struct scratch home;
    char tokens[160], pin[160], module[128];
};

static inline const char *softhsm_module(void)
{
    static const char *const places[] = {
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib64/pkcs11/libsofthsm2.so",
        "/usr/lib/pkcs11/libsofthsm2.so",
    };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (access(places[i], R_OK) == 0) {
            return places[i];
        }
    }
    return NULL;
}

static inline bool softhsm_put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    bool ok = file && fputs(text, file) >= 0;
    return (file ? fclose(file) == 0 : false) && ok && chmod(path, 0600) == 0;
}

extern char **environ;

/** Run softhsm2-util quietly; false when it fails or is not there. */
static inline bool softhsm_util(const char *const argv[])
{
    pid_t pid;
    int status = -1;
    char *args[16] = {0};
    for (size_t i = 0; argv[i] && i < 15; i++) {
        args[i] = strdup(argv[i]);
    }
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
    bool ran = posix_spawnp(&pid, args[0], &quiet, NULL, args, environ) == 0 &&
               waitpid(pid, &status, 0) == pid;
    posix_spawn_file_actions_destroy(&quiet);
    for (size_t i = 0; i < 15; i++) {
        free(args[i]);
    }
    return ran && status == 0;
}

static inline bool softhsm_token(const char *label)
{
    const char *const argv[] = {"softhsm2-util", "--init-token", "--free", "--label",   label,
                                "--so-pin",      "31415926",     "--pin",  SOFTHSM_PIN, NULL};
    return softhsm_util(argv);
}

static inline void softhsm_remove(struct softhsm *hsm)
{
    if (hsm->home.dir[0]) {
        char command[400];
        snprintf(command, sizeof command, "rm -rf -- '%s'", hsm->home.dir);
        if (system(command) != 0) {
            fprintf(stderr, "%s stays\n", hsm->home.dir);
        }
    }
    hsm->home.dir[0] = '\0';
}

/** False, with the reason, when there is no SoftHSM2 here. */
static inline bool softhsm_make(struct softhsm *hsm, const char *label, const char **ret_why)
{
    char text[256];
    memset(hsm, 0, sizeof *hsm);
    *ret_why = "SoftHSM2 is not installed (package softhsm2)";
    if (!softhsm_module()) {
        return false;
    }
    *ret_why = "softhsm2-util could not make a token";
    if (!scratch_make(&hsm->home)) {
        return false;
    }
    snprintf(hsm->module, sizeof hsm->module, "%s", softhsm_module());
    snprintf(hsm->tokens, sizeof hsm->tokens, "%s/tokens", hsm->home.dir);
    snprintf(hsm->pin, sizeof hsm->pin, "%s/pin", hsm->home.dir);
    snprintf(text, sizeof text,
             "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n",
             hsm->tokens);
    bool ok = mkdir(hsm->tokens, 0700) == 0 &&
              softhsm_put(scratch_path(&hsm->home, "conf"), text) &&
              setenv("SOFTHSM2_CONF", hsm->home.path, 1) == 0 &&
              softhsm_put(hsm->pin, SOFTHSM_PIN "\n") && softhsm_token(label);
    if (!ok) {
        softhsm_remove(hsm);
    }
    return ok;
}
