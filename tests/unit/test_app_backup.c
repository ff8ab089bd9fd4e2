/* app/backup: what is packed comes out again, for the right key only, and nothing changed or cut
 * off. */
#include "support/state_folder.h"
#include "support/test.h"

static bst_result make_folder(struct state_folder *f, const char *name, size_t big)
{
    char path[512], sub[600];
    bst_auto(buf) bytes = {0};
    for (size_t i = 0; i < big; i++) {
        bst_buf_addc(&bytes, (char)(i * 7));
    }
    BST_TRY(bst_dir_make(state_folder_path(f, name, path), 0700));
    snprintf(sub, sizeof sub, "%s/a/b", path);
    BST_TRY(bst_dir_make(sub, 0700));
    snprintf(sub, sizeof sub, "%s/a/b/big", path);
    BST_TRY(bst_file_write_atomic(sub, bst_buf_view(&bytes), 0600));
    snprintf(sub, sizeof sub, "%s/empty", path);
    BST_TRY(bst_file_write_atomic(sub, BST_VIEW(""), 0600));
    snprintf(sub, sizeof sub, "%s/a/small", path);
    return bst_file_write_atomic(sub, BST_VIEW("seven\n"), 0600);
}

static bst_result same_file(struct state_folder *f, const char *name)
{
    bst_auto(buf) one = {0};
    bst_auto(buf) two = {0};
    char path[512], relative[128];
    snprintf(relative, sizeof relative, "in/%s", name);
    BST_TRY(bst_file_read(state_folder_path(f, relative, path), 16 << 20, &one));
    snprintf(relative, sizeof relative, "out/%s", name);
    BST_TRY(bst_file_read(state_folder_path(f, relative, path), 16 << 20, &two));
    BST_ENSURE(bst_view_eq(bst_buf_view(&one), bst_buf_view(&two)), BST_E_CORRUPT);
    return BST_OK;
}

struct keys {
    struct evp_pkey_st *pkey;
    struct bst_buf spki;
    struct bst_secret passphrase;
};

static void keys_make(struct keys *k)
{
    *k = (struct keys){0};
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &k->pkey));
    assert_ok(bst_pkey_spki(k->pkey, &k->spki));
    assert_ok(bst_secret_copy(&k->passphrase, "correct horse", 13));
}

static void keys_clear(struct keys *k)
{
    bst_pkey_free(&k->pkey);
    bst_buf_clear(&k->spki);
    bst_secret_clear(&k->passphrase);
}

static void round_trip(struct state_folder *f, const struct bst_backup_lock *lock,
                       const struct bst_backup_key *key, size_t big)
{
    char in[512], out[512], file[512];
    struct bst_backup_info info;
    state_folder_path(f, "in", in);
    state_folder_path(f, "out", out);
    state_folder_path(f, "b", file);
    assert_ok(make_folder(f, "in", big));
    assert_ok(bst_backup_pack(in, file, lock, 42));
    assert_ok(bst_backup_info(file, &info));
    assert_int_equal(info.generation, 42);
    assert_int_equal(info.by_passphrase, lock->passphrase != NULL);
    assert_ok(bst_backup_unpack(file, key, out));
    assert_ok(same_file(f, "empty"));
    assert_ok(same_file(f, "a/small"));
    assert_ok(same_file(f, "a/b/big"));
}

static void a_recipient_opens_what_was_packed(void **state)
{
    struct keys k;
    keys_make(&k);
    round_trip(*state, &(struct bst_backup_lock){.recipient = bst_buf_view(&k.spki)},
               &(struct bst_backup_key){.recipient = k.pkey}, 300000);
    keys_clear(&k);
}

static void a_passphrase_opens_what_was_packed(void **state)
{
    struct keys k;
    keys_make(&k);
    round_trip(*state, &(struct bst_backup_lock){.passphrase = &k.passphrase},
               &(struct bst_backup_key){.passphrase = &k.passphrase}, 10);
    keys_clear(&k);
}

static void sizes_around_a_chunk_come_out_whole(void **state)
{
    struct state_folder *f = *state;
    struct keys k;
    char path[512];
    keys_make(&k);
    for (size_t big = 65536 - 260; big < 65536 - 100; big += 3) {
        round_trip(f, &(struct bst_backup_lock){.recipient = bst_buf_view(&k.spki)},
                   &(struct bst_backup_key){.recipient = k.pkey}, big);
        assert_ok(bst_snapshot_remove(state_folder_path(f, "in", path)));
        assert_ok(bst_snapshot_remove(state_folder_path(f, "out", path)));
        assert_ok(bst_file_remove(state_folder_path(f, "b", path)));
    }
    keys_clear(&k);
}

static void another_key_opens_nothing(void **state)
{
    struct state_folder *f = *state;
    struct keys k, other;
    char in[512], out[512], file[512];
    keys_make(&k);
    keys_make(&other);
    bst_secret_clear(&other.passphrase);
    assert_ok(bst_secret_copy(&other.passphrase, "battery staple", 14));
    assert_ok(make_folder(f, "in", 100));
    state_folder_path(f, "in", in);
    state_folder_path(f, "out", out);
    assert_ok(bst_backup_pack(in, state_folder_path(f, "b1", file),
                              &(struct bst_backup_lock){.recipient = bst_buf_view(&k.spki)}, 1));
    assert_err(bst_backup_unpack(file, &(struct bst_backup_key){.recipient = other.pkey}, out),
               BST_E_SE_PIN);
    assert_err(bst_backup_unpack(file, &(struct bst_backup_key){.passphrase = &k.passphrase}, out),
               BST_E_USAGE);
    assert_ok(bst_backup_pack(in, state_folder_path(f, "b2", file),
                              &(struct bst_backup_lock){.passphrase = &k.passphrase}, 1));
    assert_err(
        bst_backup_unpack(file, &(struct bst_backup_key){.passphrase = &other.passphrase}, out),
        BST_E_SE_PIN);
    assert_false(bst_file_exists(out));
    keys_clear(&k);
    keys_clear(&other);
}

static void every_changed_byte_and_every_cut_is_noticed(void **state)
{
    struct state_folder *f = *state;
    struct keys k;
    char in[512], out[512], file[512];
    bst_auto(buf) whole = {0};
    keys_make(&k);
    assert_ok(make_folder(f, "in", 70000));
    state_folder_path(f, "in", in);
    state_folder_path(f, "out", out);
    state_folder_path(f, "b", file);
    assert_ok(bst_backup_pack(in, file,
                              &(struct bst_backup_lock){.recipient = bst_buf_view(&k.spki)}, 1));
    assert_ok(bst_file_read(file, 1 << 20, &whole));
    for (size_t at = 0; at < whole.len; at += at < 500 ? 13 : 9001) {
        whole.ptr[at] ^= 1;
        assert_ok(bst_file_write_atomic(file, bst_buf_view(&whole), 0600));
        assert_true(bst_failed(
            bst_backup_unpack(file, &(struct bst_backup_key){.recipient = k.pkey}, out)));
        assert_false(bst_file_exists(out));
        whole.ptr[at] ^= 1;
        assert_ok(bst_file_write_atomic(file, bst_view_of(whole.ptr, at), 0600));
        assert_true(bst_failed(
            bst_backup_unpack(file, &(struct bst_backup_key){.recipient = k.pkey}, out)));
        assert_false(bst_file_exists(out));
    }
    keys_clear(&k);
}

static void an_existing_file_or_folder_is_not_overwritten(void **state)
{
    struct state_folder *f = *state;
    struct keys k;
    char in[512], file[512];
    keys_make(&k);
    struct bst_backup_lock lock = {.recipient = bst_buf_view(&k.spki)};
    assert_ok(make_folder(f, "in", 100));
    state_folder_path(f, "in", in);
    assert_ok(bst_backup_pack(in, state_folder_path(f, "b", file), &lock, 1));
    assert_err(bst_backup_pack(in, file, &lock, 1), BST_E_EXISTS);
    assert_err(bst_backup_unpack(file, &(struct bst_backup_key){.recipient = k.pkey}, in),
               BST_E_EXISTS);
    keys_clear(&k);
}

static void a_failed_write_leaves_no_file(void **state)
{
    struct state_folder *f = *state;
    struct keys k;
    char in[512], file[512];
    keys_make(&k);
    assert_ok(make_folder(f, "in", 100000));
    state_folder_path(f, "in", in);
    state_folder_path(f, "b", file);
    for (long n = 1; n < 100; n++) {
        bst_file_fail_at(n);
        bst_result r = bst_backup_pack(
            in, file, &(struct bst_backup_lock){.recipient = bst_buf_view(&k.spki)}, 1);
        bst_file_fail_at(0);
        if (!bst_failed(r)) {
            keys_clear(&k);
            assert_true(n > 3);
            return;
        }
        assert_false(bst_file_exists(file));
    }
    fail_msg("it never succeeded");
}

/* --- a whole state --------------------------------------------------------------------------- */

static bst_result admin(struct state_folder *f, const char *op, const char *args,
                        struct bst_buf *ret)
{
    ret->len = 0;
    return bst_admin_call(&f->options, op, bst_view(args), ret);
}

static void snapshot_of(struct state_folder *f, char out[512])
{
    bst_auto(buf) answer = {0};
    assert_ok(admin(f, "snapshot", "{}", &answer));
    char *from = memmem(answer.ptr, answer.len, "/run/snapshot-", 14);
    assert_non_null(from);
    snprintf(out, 512, "%s/run/snapshot-%.*s", f->state, (int)strspn(from + 14, "0123456789"),
             from + 14);
}

static void a_restore_tells_what_it_undoes_and_raises_the_generation(void **state)
{
    struct state_folder *f = *state;
    bst_auto(buf) answer = {0};
    bst_auto(buf) undone = {0};
    char older[512], kept[BST_PATH_MAX];
    snapshot_of(f, older);
    assert_ok(admin(f, "revoke", "{\"credential\":\"12-k@mef.example.com\",\"reason\":\"lost\"}",
                    &answer));
    assert_ok(
        admin(f, "revoke-certificate", "{\"which\":\"//acme.example.com/id-in/CAdmin\"}", &answer));
    assert_ok(bst_backup_undo(f->state, older, &undone));
    assert_non_null(memmem(undone.ptr, undone.len, "credential 12-k@mef.example.com", 31));
    assert_non_null(memmem(undone.ptr, undone.len, "id-in/CAdmin would be forgotten", 31));
    assert_ok(bst_backup_replace(f->state, older, kept));
    assert_true(bst_file_exists(kept));
    assert_ok(admin(f, "snapshot", "{}", &answer));
    assert_non_null(memmem(answer.ptr, answer.len, "\"generation\":2", 14));
    /* The revocation is forgotten, as was told. */
    undone.len = 0;
    assert_ok(bst_backup_undo(f->state, kept, &undone));
    assert_null(memmem(undone.ptr, undone.len, "revocation", 10));
}

#define EMPTY(name) cmocka_unit_test_setup_teardown(name, state_folder_setup, state_folder_teardown)
#define MADE(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, state_folder_setup_made, state_folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EMPTY(a_recipient_opens_what_was_packed),
        EMPTY(a_passphrase_opens_what_was_packed),
        EMPTY(sizes_around_a_chunk_come_out_whole),
        EMPTY(another_key_opens_nothing),
        EMPTY(every_changed_byte_and_every_cut_is_noticed),
        EMPTY(an_existing_file_or_folder_is_not_overwritten),
        EMPTY(a_failed_write_leaves_no_file),
        MADE(a_restore_tells_what_it_undoes_and_raises_the_generation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
