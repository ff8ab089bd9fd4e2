/* A state folder of its own for a test, made as bastide init makes it. */
#pragma once

#include "app/backup.h"
#include "app/state.h"
#include "obs/log.h"

#include <stdio.h>
#include <stdlib.h>

struct state_folder {
    char root[128];
    char state[160];
    struct bst_state_options options;
};

static inline void state_folder_quiet(void *ctx, enum bst_log_level level, struct bst_view line)
{
}

/* Without init: an empty folder. */
static inline int state_folder_setup(void **state)
{
    static const char *const sets[] = {"cse.listen=127.0.0.1:0", "mef.listen=127.0.0.1:0",
                                       "metrics.listen=127.0.0.1:0"};
    struct state_folder *f = calloc(1, sizeof *f);
    snprintf(f->root, sizeof f->root, "/tmp/bastide-test-XXXXXX");
    if (!mkdtemp(f->root)) {
        return -1;
    }
    snprintf(f->state, sizeof f->state, "%s/s", f->root);
    f->options = (struct bst_state_options){.folder = f->state, .sets = sets, .n_sets = 3};
    bst_log_configure(&(struct bst_log_setup){.level = BST_LOG_ERROR, .write = state_folder_quiet});
    *state = f;
    return 0;
}

static inline int state_folder_setup_made(void **state)
{
    if (state_folder_setup(state) != 0) {
        return -1;
    }
    struct state_folder *f = *state;
    return bst_failed(bst_state_init(&f->options, NULL)) ? -1 : 0;
}

static inline int state_folder_teardown(void **state)
{
    struct state_folder *f = *state;
    int code = bst_failed(bst_snapshot_remove(f->root)) ? -1 : 0;
    free(f);
    return code;
}

static inline const char *state_folder_path(struct state_folder *f, const char *name, char out[512])
{
    snprintf(out, 512, "%s/%s", f->root, name);
    return out;
}
