/* A folder of its own for a test, gone afterwards with all files in it (no folders below it). */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct scratch {
    char dir[128];
    char path[256]; /* the last one that scratch_path() made */
};

static inline bool scratch_make(struct scratch *s)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(s->dir, sizeof s->dir, "%s/bastide-XXXXXX", tmp && strlen(tmp) < 64 ? tmp : "/tmp");
    return mkdtemp(s->dir) != NULL;
}

static inline const char *scratch_path(struct scratch *s, const char *name)
{
    snprintf(s->path, sizeof s->path, "%s/%.100s", s->dir, name);
    return s->path;
}

static inline void scratch_remove(struct scratch *s)
{
    DIR *dir = opendir(s->dir);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        unlink(scratch_path(s, e->d_name));
    }
    if (dir) {
        closedir(dir);
    }
    rmdir(s->dir);
}
