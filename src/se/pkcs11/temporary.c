/* Keys that are not kept, on a token that has kept ones only: they are objects of the token like
 * others, and are removed when they are let go.
 *
 * Beside each is a data object that says who made it, so that what a crash left is removed when the
 * token is opened again, and what another program still uses is not. */
#include "base/mem.h"
#include "se/pkcs11/p11_priv.h"
#include "se/soft/soft_priv.h"

#include "crypto/digest.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAKER_VERSION 1
#define NAME_BYTES 16

/* ---- who made a key ---- */

/* A process, as far as it can be told from all others. Numbers of processes mean something in their
 * name space only, and until the machine starts anew. */
struct maker {
    uint8_t machine[NAME_BYTES]; /* zeros: has no name */
    uint8_t boot[NAME_BYTES];
    uint64_t space, pid, started;
};

/* The first line of a short file, "" when there is none. */
static void read_line(const char *path, char *out, size_t cap)
{
    FILE *file = fopen(path, "re");
    out[0] = '\0';
    if (file) {
        if (!fgets(out, (int)cap, file)) {
            out[0] = '\0';
        }
        fclose(file);
    }
}

static void name_from(const char *path, uint8_t out[NAME_BYTES])
{
    char line[128];
    uint8_t digest[BST_SHA256_BYTES];
    read_line(path, line, sizeof line);
    const struct bst_view parts[] = {BST_VIEW("bastide temporary key"), bst_view(line)};
    memset(out, 0, NAME_BYTES);
    if (line[0] && !bst_failed(bst_digest(BST_MD_SHA256, parts, 2, digest))) {
        memcpy(out, digest, NAME_BYTES);
    }
}

/* Time at which a process was started, the 22nd field of its line; 0: there is no such process. The
 * second field is a name in parentheses, which may hold anything. */
static uint64_t started(uint64_t pid)
{
    char path[64], line[1024];
    unsigned long long at = 0;
    snprintf(path, sizeof path, "/proc/%llu/stat", (unsigned long long)pid);
    read_line(path, line, sizeof line);
    const char *after = strrchr(line, ')');
    if (after) {
        (void)sscanf(after + 1,
                     " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
                     "%llu",
                     &at);
    }
    return at;
}

static void this_process(struct maker *ret)
{
    struct stat space;
    *ret = (struct maker){.pid = (uint64_t)getpid()};
    name_from("/etc/machine-id", ret->machine);
    name_from("/proc/sys/kernel/random/boot_id", ret->boot);
    ret->space = stat("/proc/self/ns/pid", &space) == 0 ? (uint64_t)space.st_ino : 0;
    ret->started = started(ret->pid);
}

static bool named(const uint8_t name[NAME_BYTES])
{
    static const uint8_t none[NAME_BYTES];
    return !bst_equal_ct(name, none, NAME_BYTES);
}

/* Only what is known to be gone is: what cannot be told is left alone. */
static bool is_gone(const struct maker *maker, const struct maker *here)
{
    bool same_machine =
        named(here->machine) && bst_equal_ct(maker->machine, here->machine, NAME_BYTES);
    bool same_boot = named(here->boot) && bst_equal_ct(maker->boot, here->boot, NAME_BYTES);
    if (!same_boot) {
        return same_machine;
    }
    return here->space && maker->space == here->space && started(maker->pid) != maker->started;
}

static bool take_maker(struct bst_view in, struct maker *ret)
{
    uint64_t version;
    if (!bst_soft_take(&in, 1, &version) || version != MAKER_VERSION ||
        in.len != 2 * NAME_BYTES + 24) {
        return false;
    }
    memcpy(ret->machine, in.ptr, NAME_BYTES);
    memcpy(ret->boot, in.ptr + NAME_BYTES, NAME_BYTES);
    in = bst_view_from(in, 2 * NAME_BYTES);
    return bst_soft_take(&in, 8, &ret->space) && bst_soft_take(&in, 8, &ret->pid) &&
           bst_soft_take(&in, 8, &ret->started);
}

bst_result p11_temporary_record(struct bst_buf *ret)
{
    struct maker maker;
    this_process(&maker);
    bst_soft_put(ret, MAKER_VERSION, 1);
    bst_buf_add(ret, maker.machine, NAME_BYTES);
    bst_buf_add(ret, maker.boot, NAME_BYTES);
    bst_soft_put(ret, maker.space, 8);
    bst_soft_put(ret, maker.pid, 8);
    bst_soft_put(ret, maker.started, 8);
    return bst_buf_check(ret);
}

/* ---- what is on the token ---- */

static CK_RV remove_id(struct p11_call *call, struct bst_view id)
{
    struct p11_object object = {.temporary = true, .id_len = id.len};
    if (id.len == 0 || id.len > P11_ID_MAX) {
        return CKR_OK; /* not ours */
    }
    memcpy(object.id, id.ptr, id.len);
    return p11_unmake(call, &object);
}

/* One data object: *ret_gone says that its key may go. */
static CK_RV look_at(struct p11_call *call, CK_OBJECT_HANDLE handle, const struct maker *here,
                     struct bst_buf *id, bool *ret_gone)
{
    bst_auto(buf) value = {0};
    struct maker maker;
    CK_RV rv = p11_attribute(call, handle, CKA_OBJECT_ID, id);
    rv = rv == CKR_OK ? p11_attribute(call, handle, CKA_VALUE, &value) : rv;
    *ret_gone = rv == CKR_OK && take_maker(bst_buf_view(&value), &maker) && is_gone(&maker, here);
    return rv;
}

CK_RV p11_temporaries(struct p11_call *call, bool all, struct bst_map *ret_alive)
{
    CK_OBJECT_CLASS class = CKO_DATA;
    char application[] = P11_APP_TEMPORARY;
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class, sizeof class},
        {CKA_APPLICATION, application, sizeof application - 1},
    };
    struct maker here;
    bst_auto(buf) found = {0};
    CK_RV rv = p11_find_all(call, template, 2, &found);
    this_process(&here);
    for (size_t at = 0; rv == CKR_OK && at < found.len; at += sizeof(CK_OBJECT_HANDLE)) {
        CK_OBJECT_HANDLE handle;
        bst_auto(buf) id = {0};
        bool gone = false;
        memcpy(&handle, found.ptr + at, sizeof handle);
        rv = look_at(call, handle, &here, &id, &gone);
        /* A token that cannot be written to keeps them; they are not shown. */
        bool stays =
            rv == CKR_OK && (!(gone || all) || remove_id(call, bst_buf_view(&id)) != CKR_OK);
        if (stays && ret_alive &&
            bst_failed(bst_map_set(ret_alive, bst_buf_view(&id), ret_alive, NULL))) {
            rv = CKR_HOST_MEMORY;
        }
    }
    return rv;
}

static CK_RV wipe_call(struct p11_call *call, void *arg)
{
    return p11_temporaries(call, true, NULL);
}

bst_result p11_wipe(struct bst_se_backend *backend)
{
    return p11_run(bst_container_of(backend, struct p11, base), wipe_call, NULL,
                   "removing temporary keys");
}

/* ---- letting go ---- */

static CK_RV remove_call(struct p11_call *call, void *arg)
{
    const struct p11_object *object = arg;
    return remove_id(call, bst_view_of(object->id, object->id_len));
}

static bool let_go(struct p11 *p, struct p11_object *object)
{
    bool gone =
        p11_is_up(p) && !bst_failed(p11_run(p, remove_call, object, "removing a temporary key"));
    if (!gone) {
        pthread_mutex_lock(&p->lock);
        bst_buf_add(&p->left, object->id, P11_ID_BYTES);
        pthread_mutex_unlock(&p->lock);
    }
    return gone;
}

/* Those that could not be removed at their time. */
static void remove_left(struct p11 *p)
{
    struct p11_object object = {.id_len = P11_ID_BYTES};
    bool more = true;
    while (more) {
        pthread_mutex_lock(&p->lock);
        more = p->left.len >= P11_ID_BYTES;
        if (more) {
            memcpy(object.id, p->left.ptr, P11_ID_BYTES);
            bst_buf_consume(&p->left, P11_ID_BYTES);
        }
        pthread_mutex_unlock(&p->lock);
        more = more && let_go(p, &object);
    }
}

void p11_temporary_let_go(struct p11 *p, struct p11_object *object)
{
    if (let_go(p, object)) {
        remove_left(p);
    }
}
