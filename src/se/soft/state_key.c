/* The state key of a folder: a file, a credential of the service manager, or a passphrase
 * (Argon2id).
 *
 * <dir>/params  magic || kdf || t || m || p || salt[16] || check. The check is an empty blob sealed
 *               under a key of its own, so that a wrong key is told apart from damaged objects.
 * With a passphrase (MAGIC_SEALED) it is the root, sealed under what the passphrase gives: the
 * passphrase may change, the root stays. <dir>/tries   an octet for each wrong passphrase since the
 * last right one. Appended before each try, so that a full disk and a kill in between count too. */
#include "se/soft/soft_priv.h"

#include "crypto/aead.h"
#include "crypto/rand.h"
#include "se/passphrase.h"

#include <ctype.h>
#include <stdio.h>

#define MAGIC "BSTSEP1\n"
#define MAGIC_SEALED "BSTSEP2\n"
#define MAGIC_BYTES 8
#define TRIES_MAX 10
#define TRIES_FILE_MAX 1024
#define TRY 'x'
#define RIGHT '.'
#define SALT_BYTES 16
#define HEAD_BYTES (MAGIC_BYTES + 1 + 4 + 4 + 4 + SALT_BYTES)
#define ROOT_BYTES 32

enum kdf { KDF_NONE = 0, KDF_ARGON2ID = 1 };

struct params {
    bool sealed; /* the root is in them */
    uint8_t kdf;
    uint32_t passes, kib, lanes;
    uint8_t salt[SALT_BYTES];
};

void bst_soft_keys_clear(struct bst_soft_keys *keys)
{
    bst_secret_clear(&keys->value);
    bst_secret_clear(&keys->log);
    bst_secret_clear(&keys->manifest);
}

static bst_result subkey(const struct bst_secret *root, const char *purpose, struct bst_secret *ret)
{
    bst_auto(secret) key = {0};
    BST_TRY(bst_secret_init(&key, BST_AEAD_KEY_BYTES));
    BST_TRY(bst_hkdf_sha256((struct bst_view){0}, bst_view_of(root->ptr, root->len),
                            bst_view(purpose), key.ptr, key.len));
    *ret = key;
    key = (struct bst_secret){0};
    return BST_OK;
}

static bst_result name_folder(const struct bst_secret *root, char out[BST_SOFT_UNIQUE_BYTES])
{
    bst_auto(secret) id = {0};
    bst_auto(buf) hex = {0};
    BST_TRY(subkey(root, "bastide se identity", &id));
    bst_hex_add(&hex, bst_view_of(id.ptr, (BST_SOFT_UNIQUE_BYTES - 1) / 2), false);
    BST_TRY(bst_buf_check(&hex));
    return bst_view_copy(bst_buf_view(&hex), out, BST_SOFT_UNIQUE_BYTES);
}

static bst_result derive_keys(const struct bst_secret *root, struct bst_soft_keys *ret)
{
    bst_auto(soft_keys) keys = {0};
    BST_TRY(subkey(root, "bastide se value key", &keys.value));
    BST_TRY(subkey(root, "bastide se log key", &keys.log));
    BST_TRY(subkey(root, "bastide se manifest key", &keys.manifest));
    BST_TRY(name_folder(root, keys.unique));
    *ret = keys;
    keys = (struct bst_soft_keys){0};
    return BST_OK;
}

static bst_result random_root(struct bst_secret *ret)
{
    bst_auto(secret) root = {0};
    BST_TRY(bst_secret_init(&root, ROOT_BYTES));
    BST_TRY(bst_random(root.ptr, root.len));
    *ret = root;
    root = (struct bst_secret){0};
    return BST_OK;
}

bst_result bst_soft_keys_volatile(struct bst_soft_keys *ret)
{
    bst_auto(secret) root = {0};
    BST_TRY(random_root(&root));
    return derive_keys(&root, ret);
}

/* ---- parameters ---- */

static bst_result put_head(const struct params *params, struct bst_buf *ret)
{
    bst_buf_add(ret, params->sealed ? MAGIC_SEALED : MAGIC, MAGIC_BYTES);
    bst_soft_put(ret, params->kdf, 1);
    bst_soft_put(ret, params->passes, 4);
    bst_soft_put(ret, params->kib, 4);
    bst_soft_put(ret, params->lanes, 4);
    bst_buf_add(ret, params->salt, SALT_BYTES);
    return bst_buf_check(ret);
}

static bool take_head(struct bst_view in, struct params *ret)
{
    uint64_t kdf, passes, kib, lanes;
    bool sealed = bst_view_starts(in, bst_view_of(MAGIC_SEALED, MAGIC_BYTES));
    if (!sealed && !bst_view_starts(in, bst_view_of(MAGIC, MAGIC_BYTES))) {
        return false;
    }
    in = bst_view_from(in, MAGIC_BYTES);
    if (!bst_soft_take(&in, 1, &kdf) || !bst_soft_take(&in, 4, &passes) ||
        !bst_soft_take(&in, 4, &kib) || !bst_soft_take(&in, 4, &lanes) || in.len < SALT_BYTES ||
        kdf > KDF_ARGON2ID || (sealed && kdf != KDF_ARGON2ID)) {
        return false;
    }
    *ret = (struct params){sealed,        (uint8_t)kdf,    (uint32_t)passes,
                           (uint32_t)kib, (uint32_t)lanes, {0}};
    memcpy(ret->salt, in.ptr, SALT_BYTES);
    return true;
}

static bst_result stretch(const struct params *params, const struct bst_secret *passphrase,
                          struct bst_secret *ret)
{
    const struct bst_passphrase_cost cost = {params->passes, params->kib, params->lanes};
    return bst_passphrase_key(passphrase, &cost, params->salt, ret);
}

/* ---- where the key comes from ---- */

struct source {
    const char *name; /* what the host reads */
    bool passphrase;
};

static struct source source_of(const char *text)
{
    static const char prefix[] = "passphrase:";
    bool passphrase = strncmp(text, prefix, sizeof prefix - 1) == 0;
    return (struct source){passphrase ? text + sizeof prefix - 1 : text, passphrase};
}

/* 32 bytes, or 64 hexadecimal digits with or without a line end. */
static bst_result key_of_bytes(const struct source *source, const struct bst_secret *bytes,
                               struct bst_secret *ret)
{
    if (bytes->len == ROOT_BYTES) {
        return bst_secret_copy(ret, bytes->ptr, bytes->len);
    }
    struct bst_view text = bst_view_of(bytes->ptr, bytes->len);
    while (text.len && isspace((unsigned char)text.ptr[text.len - 1])) {
        text.len--;
    }
    bst_auto(secret) root = {0};
    BST_TRY(bst_secret_init(&root, ROOT_BYTES));
    if (bst_failed(bst_hex_decode(text, root.ptr, root.len))) {
        BST_FAIL(BST_E_BAD_KEY,
                 "the state key in %s has %zu bytes; it is 32 bytes or 64 hexadecimal "
                 "digits",
                 source->name, bytes->len);
    }
    *ret = root;
    root = (struct bst_secret){0};
    return BST_OK;
}

/* Without line ends: a file has one. */
static bst_result trim_passphrase(const struct bst_secret *text, struct bst_secret *ret)
{
    size_t len = text->len;
    while (len && (text->ptr[len - 1] == '\n' || text->ptr[len - 1] == '\r')) {
        len--;
    }
    return bst_secret_copy(ret, text->ptr, len);
}

static bst_result read_passphrase(const struct bst_se_host *host, const struct source *source,
                                  struct bst_secret *ret)
{
    bst_auto(secret) text = {0};
    BST_TRY(host->secret_read(host->ctx, source->name, &text));
    return trim_passphrase(&text, ret);
}

static bst_result read_key(const struct bst_se_host *host, const struct source *source,
                           struct bst_secret *ret)
{
    bst_auto(secret) bytes = {0};
    bst_result got = host->secret_read(host->ctx, source->name, &bytes);
    if (got.code == BST_E_NOT_FOUND) {
        BST_FAIL(BST_E_NOT_FOUND,
                 "the state key %s of this folder is missing; bring it back from "
                 "its backup, no other key opens the folder",
                 source->name);
    }
    BST_TRY(got);
    return key_of_bytes(source, &bytes, ret);
}

/* ---- check ---- */

static bst_result put_check(const struct bst_secret *root, struct bst_buf *params)
{
    bst_auto(secret) key = {0};
    BST_TRY(subkey(root, "bastide se check key", &key));
    bst_auto(buf) blob = {0};
    BST_TRY(
        bst_aead_seal(bst_view_of(key.ptr, key.len), bst_buf_view(params), BST_VIEW(""), &blob));
    bst_buf_addv(params, bst_buf_view(&blob));
    return bst_buf_check(params);
}

static bst_result check(const char *dir, const char *what, const struct bst_secret *root,
                        struct bst_view params)
{
    bst_auto(secret) key = {0};
    BST_TRY(subkey(root, "bastide se check key", &key));
    bst_auto(buf) nothing = {0};
    bst_result opened =
        bst_aead_open(bst_view_of(key.ptr, key.len), bst_view_of(params.ptr, HEAD_BYTES),
                      bst_view_from(params, HEAD_BYTES), &nothing);
    if (opened.code == BST_E_BAD_MAC) {
        BST_FAIL(BST_E_SE_PIN,
                 "the %s does not open the keys in %s; give the one they were made with", what,
                 dir);
    }
    return opened;
}

/* ---- a root under a passphrase ---- */

static bst_result put_root(const struct bst_secret *root, const struct bst_secret *passphrase,
                           struct bst_buf *ret)
{
    const struct bst_passphrase_cost cost = BST_PASSPHRASE_COST;
    struct params params = {true, KDF_ARGON2ID, cost.passes, cost.kib, cost.lanes, {0}};
    bst_auto(secret) stretched = {0}, key = {0};
    BST_TRY(bst_random(params.salt, SALT_BYTES));
    BST_TRY(stretch(&params, passphrase, &stretched));
    BST_TRY(subkey(&stretched, "bastide se root key", &key));
    BST_TRY(put_head(&params, ret));
    return bst_aead_seal(bst_view_of(key.ptr, key.len), bst_buf_view(ret),
                         bst_view_of(root->ptr, root->len), ret);
}

static bst_result open_root(const char *dir, const struct params *params, struct bst_view bytes,
                            const struct bst_secret *passphrase, struct bst_secret *ret)
{
    bst_auto(secret) stretched = {0}, key = {0};
    BST_TRY(stretch(params, passphrase, &stretched));
    if (!params->sealed) {
        BST_TRY(check(dir, "passphrase", &stretched, bytes));
        return bst_secret_copy(ret, stretched.ptr, stretched.len);
    }
    BST_TRY(subkey(&stretched, "bastide se root key", &key));
    bst_result opened =
        bst_aead_open_secret(bst_view_of(key.ptr, key.len), bst_view_of(bytes.ptr, HEAD_BYTES),
                             bst_view_from(bytes, HEAD_BYTES), ret);
    if (opened.code == BST_E_BAD_MAC) {
        BST_FAIL(BST_E_SE_PIN,
                 "the passphrase does not open the keys in %s; give the one they were made with",
                 dir);
    }
    return opened;
}

/* ---- opening and making ---- */

static void path_of(const char *dir, const char *name, char out[BST_SOFT_PATH_MAX])
{
    snprintf(out, BST_SOFT_PATH_MAX, "%s/%s", dir, name);
}

/* A new folder takes a key that is there already, and makes one only where it keeps it itself. */
static bst_result new_root(const struct bst_se_host *host, const struct source *source,
                           struct bst_secret *ret)
{
    bst_auto(secret) bytes = {0};
    bst_result got = host->secret_read(host->ctx, source->name, &bytes);
    if (!bst_failed(got)) {
        return key_of_bytes(source, &bytes, ret);
    }
    if (got.code != BST_E_NOT_FOUND || strncmp(source->name, "file:", 5) != 0) {
        return got;
    }
    bst_auto(secret) root = {0};
    BST_TRY(random_root(&root));
    BST_TRY(host->secret_write(host->ctx, source->name, &root));
    *ret = root;
    root = (struct bst_secret){0};
    return BST_OK;
}

static bst_result make_sealed(const struct bst_se_host *host, const struct source *source,
                              struct bst_secret *ret_root, struct bst_buf *ret)
{
    bst_auto(secret) passphrase = {0};
    BST_TRY(read_passphrase(host, source, &passphrase));
    BST_TRY(random_root(ret_root));
    return put_root(ret_root, &passphrase, ret);
}

static bst_result make_folder(const struct bst_se_host *host, const char *params_path,
                              const struct source *source, struct bst_soft_keys *ret)
{
    bst_auto(secret) root = {0};
    bst_auto(buf) bytes = {0};
    if (source->passphrase) {
        BST_TRY(make_sealed(host, source, &root, &bytes));
    } else {
        const struct params params = {.kdf = KDF_NONE};
        BST_TRY(new_root(host, source, &root));
        BST_TRY(put_head(&params, &bytes));
        BST_TRY(put_check(&root, &bytes));
    }
    BST_TRY(host->replace(host->ctx, params_path, bst_buf_view(&bytes)));
    return derive_keys(&root, ret);
}

/* ---- tries ---- */

static unsigned count_tries(struct bst_view bytes)
{
    unsigned tries = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        tries = bytes.ptr[i] == RIGHT ? 0 : tries + 1;
    }
    return tries;
}

/* Before a passphrase is tried. The file begins anew when it is long, if there is room for that. */
static bst_result begin_try(const struct bst_se_host *host, const char *dir, const char *path,
                            unsigned *ret_left)
{
    bst_auto(buf) bytes = {0};
    bst_result got = host->read(host->ctx, path, (size_t)4 * TRIES_FILE_MAX, &bytes);
    unsigned tries = count_tries(bst_buf_view(&bytes));
    if (got.code == BST_E_NOT_FOUND || (bytes.len > TRIES_FILE_MAX && tries == 0)) {
        got = host->replace(host->ctx, path, BST_VIEW(""));
    }
    BST_TRY(got);
    if (tries >= TRIES_MAX) {
        BST_FAIL(BST_E_SE_BLOCKED,
                 "%s is locked after %d wrong passphrases; who has the right one removes the file "
                 "%s, with it the next try is free again",
                 dir, TRIES_MAX, path);
    }
    *ret_left = TRIES_MAX - tries - 1;
    return host->append(host->ctx, path, bst_view_of((const char[]){TRY}, 1));
}

static bst_result end_try(const struct bst_se_host *host, const char *path, unsigned left,
                          bst_result outcome)
{
    if (!bst_failed(outcome)) {
        return host->append(host->ctx, path, bst_view_of((const char[]){RIGHT}, 1));
    }
    if (outcome.code == BST_E_SE_PIN) {
        char said[300];
        snprintf(said, sizeof said, "%s", bst_error_detail());
        BST_FAIL(BST_E_SE_PIN, "%s (%u more tries)", said, left);
    }
    return outcome;
}

static bst_result try_root(const struct bst_se_host *host, const char *dir,
                           const struct params *params, struct bst_view bytes,
                           const struct bst_secret *passphrase, struct bst_secret *ret)
{
    char path[BST_SOFT_PATH_MAX];
    unsigned left;
    path_of(dir, "tries", path);
    BST_TRY(begin_try(host, dir, path, &left));
    bst_auto(secret) root = {0};
    BST_TRY(end_try(host, path, left, open_root(dir, params, bytes, passphrase, &root)));
    *ret = root;
    root = (struct bst_secret){0};
    return BST_OK;
}

/* ---- opening ---- */

static bst_result read_params(const char *dir, struct bst_view bytes, struct params *ret)
{
    if (bytes.len < HEAD_BYTES + BST_AEAD_OVERHEAD || !take_head(bytes, ret)) {
        BST_FAIL(BST_E_CORRUPT, "%s/params is damaged; restore the folder from a backup", dir);
    }
    return BST_OK;
}

static bst_result open_by_passphrase(const struct bst_se_host *host, const char *dir,
                                     const struct params *params, struct bst_view bytes,
                                     const struct source *source, struct bst_secret *ret)
{
    bst_auto(secret) passphrase = {0};
    BST_TRY(read_passphrase(host, source, &passphrase));
    return try_root(host, dir, params, bytes, &passphrase, ret);
}

static bst_result open_by_key(const struct bst_se_host *host, const char *dir,
                              struct bst_view bytes, const struct source *source,
                              struct bst_secret *ret)
{
    char what[BST_SOFT_PATH_MAX + 32];
    snprintf(what, sizeof what, "state key in %s", source->name);
    BST_TRY(read_key(host, source, ret));
    return check(dir, what, ret, bytes);
}

static bst_result open_folder(const struct bst_se_host *host, const char *dir,
                              struct bst_view bytes, const struct source *source,
                              struct bst_soft_keys *ret)
{
    struct params params;
    BST_TRY(read_params(dir, bytes, &params));
    if ((params.kdf == KDF_ARGON2ID) != source->passphrase) {
        BST_FAIL(BST_E_CONFIG,
                 "the keys in %s are opened by a %s (key=%s in the address of the "
                 "secure environment)",
                 dir, params.kdf == KDF_ARGON2ID ? "passphrase" : "state key",
                 params.kdf == KDF_ARGON2ID ? "passphrase:file:PATH" : "file:PATH");
    }
    bst_auto(secret) root = {0};
    BST_TRY(source->passphrase ? open_by_passphrase(host, dir, &params, bytes, source, &root)
                               : open_by_key(host, dir, bytes, source, &root));
    return derive_keys(&root, ret);
}

/* Without parameters the folder must be new, or a new key would hide the old objects. */
static bst_result ensure_new(const struct bst_se_host *host, const char *dir)
{
    char path[BST_SOFT_PATH_MAX];
    bst_auto(buf) unused = {0};
    path_of(dir, "manifest", path);
    if (host->read(host->ctx, path, 4096, &unused).code != BST_E_NOT_FOUND) {
        BST_FAIL(BST_E_CORRUPT,
                 "%s/params is missing although there are keys; restore the folder "
                 "from a backup",
                 dir);
    }
    return BST_OK;
}

bst_result bst_soft_keys_open(const struct bst_se_host *host, const char *dir, const char *source,
                              struct bst_soft_keys *ret)
{
    char params_path[BST_SOFT_PATH_MAX], default_source[BST_SOFT_PATH_MAX];
    path_of(dir, "params", params_path);
    snprintf(default_source, sizeof default_source, "file:%s/state.key", dir);
    struct source from = source_of(source[0] ? source : default_source);
    bst_auto(buf) bytes = {0};
    bst_result got = host->read(host->ctx, params_path, 4096, &bytes);
    if (got.code == BST_E_NOT_FOUND) {
        BST_TRY(ensure_new(host, dir));
        return make_folder(host, params_path, &from, ret);
    }
    BST_TRY(got);
    return open_folder(host, dir, bst_buf_view(&bytes), &from, ret);
}

bst_result bst_soft_passphrase_change(const struct bst_se_host *host, const char *dir,
                                      const struct bst_secret *old, const struct bst_secret *fresh)
{
    char path[BST_SOFT_PATH_MAX];
    struct params params;
    bst_auto(buf) bytes = {0}, changed = {0};
    bst_auto(secret) before = {0}, after = {0}, root = {0};
    path_of(dir, "params", path);
    BST_TRY(host->read(host->ctx, path, 4096, &bytes));
    BST_TRY(read_params(dir, bst_buf_view(&bytes), &params));
    if (params.kdf != KDF_ARGON2ID) {
        BST_FAIL(BST_E_SE_MECHANISM, "the keys in %s are opened by a state key, not a passphrase",
                 dir);
    }
    BST_TRY(trim_passphrase(old, &before));
    BST_TRY(trim_passphrase(fresh, &after));
    BST_TRY(try_root(host, dir, &params, bst_buf_view(&bytes), &before, &root));
    BST_TRY(put_root(&root, &after, &changed));
    return host->replace(host->ctx, path, bst_buf_view(&changed));
}
