/* Fill a container with contentInstances through the store, as the CSE writes them, many in a
 * commit.
 *
 *     fill STATE CSE-NAME/NAME... COUNT [ADDRESSES]
 *
 * No server may run on STATE. Prints the addresses of as many instances spread over what was
 * written. */
#include "app/state.h"
#include "perf/perf.h"
#include "store/resource.h"
#include "sys/clock.h"

enum { CONTAINER_TY = 3, INSTANCE_TY = 4, SLICE = 20000 };

static const char body[] = "\"con\":\"21.5\"";
#define CONTENT_BYTES 4

struct filling {
    const char *path;
    struct bst_row container;
    struct bst_arena arena;
    int64_t left, total, addresses, printed;
    struct bst_ri_key ri_key;
};

static bst_result find(struct bst_store_conn *conn, void *arg)
{
    struct filling *f = arg;
    struct bst_view rest = bst_view(f->path), name;
    for (bool more = true; more;) {
        more = bst_view_cut(&rest, '/', &name);
        int64_t pi = f->container.id;
        BST_TRY(bst_resource_find_name(conn, pi, name, &f->arena, &f->container));
        BST_ENSURE(f->container.id, BST_E_NOT_FOUND);
    }
    BST_ENSURE(f->container.ty == CONTAINER_TY, BST_E_VALUE);
    return BST_OK;
}

static void print_address(struct filling *f, int64_t id)
{
    int64_t done = f->total - f->left;
    if (f->printed < f->addresses && done * f->addresses >= f->printed * f->total) {
        char ri[BST_RI_LEN + 1];
        bst_ri_format(&f->ri_key, id, ri);
        puts(ri);
        f->printed++;
    }
}

static bst_result write_slice(struct bst_store_conn *conn, void *arg)
{
    struct filling *f = arg;
    struct bst_counters c;
    BST_TRY(bst_counters_get(conn, f->container.id, &c));
    struct bst_row row = {.pi = f->container.id,
                          .ty = INSTANCE_TY,
                          .et = f->container.et,
                          .cbs = CONTENT_BYTES,
                          .cr = f->container.cr,
                          .body = {body, sizeof body - 1}};
    row.ct = row.lt = c.lt = bst_wall_us();
    for (int i = 0; i < SLICE && f->left > 0; i++, f->left--) {
        row.st = ++c.st;
        c.cni++;
        c.cbs += CONTENT_BYTES;
        BST_TRY(bst_resource_insert(conn, &row, &row.id));
        print_address(f, row.id);
    }
    return bst_counters_set(conn, f->container.id, &c);
}

static void read_ri_key(const char *folder, struct bst_ri_key *ret)
{
    char path[BST_PATH_MAX];
    bst_auto(buf) bytes = {0};
    must(bst_state_path(folder, "store/id.key", path), "path");
    must(bst_file_read(path, 64, &bytes), path);
    if (bytes.len != 32) {
        fprintf(stderr, "%s has not 32 bytes\n", path);
        exit(1);
    }
    bst_ri_key_init(ret, (const uint8_t *)bytes.ptr);
}

int main(int argc, char **argv)
{
    struct filling f = {0};
    char path[BST_PATH_MAX];
    struct bst_store *store;
    if (argc < 4 || bst_failed(bst_parse_i64(bst_view(argv[3]), &f.total)) ||
        (argc > 4 && bst_failed(bst_parse_i64(bst_view(argv[4]), &f.addresses)))) {
        fprintf(stderr, "usage: %s STATE CSE-NAME/NAME... COUNT [ADDRESSES]\n", argv[0]);
        return 2;
    }
    f.path = argv[2];
    f.left = f.total;
    bst_arena_init(&f.arena, 0);
    read_ri_key(argv[1], &f.ri_key);
    must(bst_state_path(argv[1], "store/cse.db", path), "path");
    must(bst_store_open(&(struct bst_store_config){.path = path, .schema = &bst_resource_schema},
                        &store),
         path);
    must(bst_store_run(store, find, &f), f.path);
    while (f.left > 0) {
        must(bst_store_run(store, write_slice, &f), "insert");
    }
    bst_store_close(&store);
    bst_arena_clear(&f.arena);
    return 0;
}
