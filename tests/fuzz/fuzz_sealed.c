/* Sealed blobs, streams, records, and a folder of sealed objects in which one file is anybody's. */
#include "crypto/aead.h"
#include "se/se.h"
#include "se/soft/soft_priv.h"
#include "support/se_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char key_bytes[32] = "a key that everybody may know..";

static void open_blob(struct bst_view in)
{
    const struct bst_view key = {key_bytes, sizeof key_bytes};
    bst_auto(buf) out = {0};
    bst_auto(secret) secret = {0};
    bst_auto(stream) stream = {0};
    (void)bst_aead_open(key, BST_VIEW("a"), in, &out).code;
    (void)bst_aead_open_secret(key, BST_VIEW("a"), in, &secret).code;
    struct bst_view header = bst_view_of(in.ptr, in.len < 40 ? in.len : 40);
    if (!bst_failed(bst_stream_open_init(&stream, key, header))) {
        (void)bst_stream_open(&stream, bst_view_from(in, 40), true, &out).code;
    }
}

/* A record whose seal was good says whatever its writer wanted. */
static void read_record(struct bst_view in)
{
    struct bst_soft_record record;
    bst_auto(buf) back = {0};
    if (bst_failed(bst_soft_record_read(in, &record))) {
        return;
    }
    if (record.kind == BST_SOFT_PUT) {
        bst_soft_record_put(record.object, &back);
        bst_soft_object_free(record.object);
    } else {
        bst_soft_record_note(&record, &back);
    }
}

/* A wrapped key comes from outside; everything of it but its key may be anybody's. */
static void unwrap(struct bst_view in)
{
    static const struct bst_key_attrs attrs = {.uses = BST_KEY_USE_KEK};
    struct test_host host;
    struct bst_se *se = NULL;
    bst_key kek = 0, key = 0;
    bst_auto(secret) value = {0};
    test_host_init(&host);
    if (bst_failed(bst_se_open(&host.host, "none:", &se))) {
        return;
    }
    if (!bst_failed(bst_secret_copy(&value, key_bytes, sizeof key_bytes)) &&
        !bst_failed(bst_se_key_import(se, &attrs, &value, &kek))) {
        (void)bst_se_unwrap(se, kek, in, &(struct bst_key_attrs){0}, &key).code;
    }
    bst_se_close(&se);
    test_host_clear(&host);
}

static void open_folder(const char *path, struct bst_view in)
{
    static const struct bst_key_attrs attrs = {
        .label = "k", .uses = BST_KEY_USE_MAC, .persistent = true};
    struct test_host host;
    struct bst_se *se = NULL;
    bst_key key = 0;
    test_host_init(&host);
    test_file_set(&host, "file:d/state.key", bst_view_of(key_bytes, sizeof key_bytes));
    if (!bst_failed(bst_se_open(&host.host, "se:soft?dir=d", &se))) {
        (void)bst_se_key_generate(se, &attrs, &key).code;
        bst_se_close(&se);
    }
    test_file_set(&host, path, in);
    if (!bst_failed(bst_se_open(&host.host, "se:soft?dir=d", &se))) {
        bst_se_close(&se);
    }
    test_host_clear(&host);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct bst_view in = bst_view_of(data + 1, size - 1);
    switch (data[0] % 7) {
    case 0:
        open_blob(in);
        break;
    case 1:
        open_folder("d/keys.1", in);
        break;
    case 2:
        open_folder("d/manifest", in);
        break;
    case 3:
        open_folder("d/params", in);
        break;
    case 4:
        read_record(in);
        break;
    case 5:
        open_folder("d/tries", in);
        break;
    default:
        unwrap(in);
    }
    return 0;
}
