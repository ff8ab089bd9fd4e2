/* The root of a folder: 32 random bytes that its keys follow from, sealed by the TPM under the PIN
 * together with the NV counter that says how new the folder is.
 *
 * The PIN stands between the TPM and who has the machine: wrong ones count as tries, and a try that
 * would lock the TPM for everybody is not made. */
#include "crypto/rand.h"
#include "se/tpm2/tpm2_priv.h"

#include <stdio.h>

#define ROOT_BYTES 32
#define SEALED_BYTES (ROOT_BYTES + 4 + 8)

/* ---- what follows from the root ---- */

static bst_result subkey(const struct tpm2 *t, const char *purpose, struct bst_secret *ret)
{
    bst_auto(secret) key = {0};
    const struct bst_secret *root = &t->folder.root;
    BST_TRY(bst_secret_init(&key, TPM2_AUTH_BYTES));
    BST_TRY(bst_hkdf_sha256((struct bst_view){0}, bst_view_of(root->ptr, root->len),
                            bst_view(purpose), key.ptr, key.len));
    key.ptr[key.len - 1] |= 1; /* a TPM drops zeros at the end of an authorisation value */
    bst_secret_clear(ret);
    *ret = key;
    key = (struct bst_secret){0};
    return BST_OK;
}

static bst_result derive_all(struct tpm2 *t)
{
    BST_TRY(subkey(t, "bastide tpm2 log key", &t->folder.keys.log));
    BST_TRY(subkey(t, "bastide tpm2 manifest key", &t->folder.keys.manifest));
    BST_TRY(subkey(t, "bastide tpm2 key authorisation", &t->auth));
    return subkey(t, "bastide tpm2 counter authorisation", &t->nv_auth);
}

bst_result tpm2_root_new(struct tpm2 *t)
{
    bst_secret_clear(&t->folder.root);
    BST_TRY(bst_secret_init(&t->folder.root, ROOT_BYTES));
    BST_TRY(bst_random(t->folder.root.ptr, ROOT_BYTES));
    return derive_all(t);
}

/* ---- sealing ---- */

static void put_number(uint8_t *out, uint64_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (uint8_t)(number >> (8 * (bytes - 1 - i)));
    }
}

void tpm2_head_path(const struct tpm2 *t, char out[BST_SOFT_PATH_MAX])
{
    snprintf(out, BST_SOFT_PATH_MAX, "%s/tpm", t->address.dir);
}

bst_result tpm2_root_store(struct tpm2 *t, const TPM2B_AUTH *pin)
{
    bst_auto(secret) sealed = {0};
    bst_auto(tpm2_blobs) blobs = {0};
    bst_auto(buf) bytes = {0};
    char path[BST_SOFT_PATH_MAX];
    BST_TRY(bst_secret_init(&sealed, SEALED_BYTES));
    memcpy(sealed.ptr, t->folder.root.ptr, ROOT_BYTES);
    put_number(sealed.ptr + ROOT_BYTES, t->folder.index, 4);
    put_number(sealed.ptr + ROOT_BYTES + 4, t->folder.first, 8);
    BST_TRY(tpm2_seal_bytes(t, &sealed, pin, pin->size > 0, &blobs));
    const struct tpm2_head head = {
        .pcrs = t->address.pcrs,
        .parent = t->address.parent,
        .parent_name = bst_view_of(t->parent_name, t->parent_name_len),
        .pub = bst_buf_view(&blobs.pub),
        .priv = bst_buf_view(&blobs.priv),
    };
    BST_TRY(tpm2_head_put(&head, &bytes));
    tpm2_head_path(t, path);
    return t->host->replace(t->host->ctx, path, bst_buf_view(&bytes));
}

/* ---- opening ---- */

bst_result tpm2_head_load(const struct tpm2 *t, struct bst_buf *bytes, struct tpm2_head *ret)
{
    char path[BST_SOFT_PATH_MAX];
    tpm2_head_path(t, path);
    uint64_t log_number;
    BST_TRY(t->host->read(t->host->ctx, path, TPM2_HEAD_MAX, bytes));
    if (tpm2_tomb_read(bst_buf_view(bytes), &log_number)) {
        tpm2_folder_bury(t, log_number);
        BST_FAIL(BST_E_NOT_FOUND, "%s is an empty folder", t->address.dir);
    }
    if (bst_failed(tpm2_head_read(bst_buf_view(bytes), ret))) {
        BST_FAIL(BST_E_CORRUPT, "%s is damaged; restore the folder from a backup", path);
    }
    return BST_OK;
}

struct unsealing {
    const struct tpm2_head *head;
    struct bst_secret auth, sealed;
};

static TSS2_RC unseal_call(struct tpm2 *t, void *arg)
{
    struct unsealing *u = arg;
    TPM2B_SENSITIVE_DATA *data = NULL;
    ESYS_TR root = ESYS_TR_NONE, session;
    TSS2_RC rc = tpm2_load_blobs(t, u->head->pub, u->head->priv, &u->auth, &root);
    rc = rc ? rc : tpm2_key_session(t, TPM2_HIDE_OUT, &session);
    rc = rc ? rc : Esys_Unseal(t->esys, root, session, ESYS_TR_NONE, ESYS_TR_NONE, &data);
    if (rc == TSS2_RC_SUCCESS) {
        bst_secret_clear(&u->sealed);
        rc = tpm2_own(t, bst_secret_copy(&u->sealed, data->buffer, data->size));
        bst_wipe(data, sizeof *data);
    }
    Esys_Free(data);
    tpm2_flush(t, &root);
    return rc;
}

static bst_result take_sealed(struct tpm2 *t, const struct bst_secret *sealed)
{
    struct bst_view in = bst_view_of(sealed->ptr, sealed->len);
    uint64_t index = 0;
    BST_ENSURE(in.len == SEALED_BYTES, BST_E_CORRUPT);
    bst_secret_clear(&t->folder.root);
    BST_TRY(bst_secret_copy(&t->folder.root, in.ptr, ROOT_BYTES));
    in = bst_view_from(in, ROOT_BYTES);
    (void)bst_soft_take(&in, 4, &index);
    (void)bst_soft_take(&in, 8, &t->folder.first);
    t->folder.index = (uint32_t)index;
    return derive_all(t);
}

static bool is_guarded(const struct tpm2_head *head)
{
    TPM2B_PUBLIC public;
    return !bst_failed(tpm2_read_public(head->pub, &public)) &&
           !(public.publicArea.objectAttributes & TPMA_OBJECT_NODA);
}

/* A wrong file must not lock the TPM for everybody: the last try is not taken. */
static bst_result may_try(const struct tpm2 *t)
{
    const struct tpm2_facts *facts = &t->facts;
    char said[128];
    tpm2_lockout_words(facts, said, sizeof said);
    if (facts->locked || (facts->fails_max && facts->fails + 1 >= facts->fails_max)) {
        BST_FAIL(BST_E_SE_BLOCKED,
                 "TPM '%s': %s; the PIN is not tried now. Wait, or let the holder of the lockout "
                 "authorisation end it: tpm2_dictionarylockout -c",
                 t->address.tcti, said);
    }
    return BST_OK;
}

bst_result tpm2_root_open(struct tpm2 *t, const struct tpm2_head *head, const TPM2B_AUTH *pin)
{
    struct unsealing u = {.head = head};
    if (is_guarded(head)) {
        if (pin->size == 0) {
            BST_FAIL(BST_E_SE_PIN,
                     "the keys in %s are guarded by a PIN: pin-source=file:PATH in the address, or "
                     "--pin-file",
                     t->address.dir);
        }
        BST_TRY(may_try(t));
    }
    BST_TRY(bst_secret_init(&u.auth, pin->size ? pin->size : 1));
    memcpy(u.auth.ptr, pin->buffer, pin->size);
    u.auth.len = pin->size;
    bst_result opened = tpm2_run(t, unseal_call, &u, "opening the folder");
    if (!bst_failed(opened)) {
        opened = take_sealed(t, &u.sealed);
    }
    u.auth.len = pin->size ? pin->size : 1;
    bst_secret_clear(&u.auth);
    bst_secret_clear(&u.sealed);
    return opened;
}
