/* Inside the TPM 2.0 backend: address, connection, words for response codes, keys, folder.
 *
 * A key is an object of the TPM under a primary key of the owner hierarchy. Outside the TPM its
 * private half exists only as the blob that the TPM made of it, kept in memory and, when the key is
 * to be kept, in the folder. The folder is the sealed log of the soft backend; what it is sealed
 * with (the root) is itself sealed by the TPM, under the PIN and the PCR policy if there are such.
 * The PIN is asked of the TPM once for each opening, with its protection against guessing; each key
 * has a random authorisation value that follows from the root.
 *
 * One connection, used by one call at a time: a TPM does one thing at a time. */
#pragma once

#include "base/map.h"
#include "se/backend.h"
#include "se/soft/soft_priv.h"

#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_tctildr.h>

#include <pthread.h>

struct evp_pkey_st;
struct tpm2_head;
struct tpm2_record;

#define TPM2_SYMMETRIC_BYTES 32
#define TPM2_SEALED_MAX 128 /* bytes of a sealed object (MAX_SYM_DATA) */
#define TPM2_AUTH_BYTES 32
#define TPM2_NAME_MAX 66               /* algorithm and digest */
#define TPM2_RETRY_US INT64_C(1000000) /* between attempts to reach a TPM that is gone */
#define TPM2_POINT_MAX (1 + 2 * 48)    /* uncompressed, P-384 */
#define TPM2_SPKI_MAX 512              /* of a P-384 or an RSA key */
#define TPM2_CERT_MAX 4096             /* bytes of an EK certificate */
#define TPM2_HEAD_MAX 4096             /* bytes of the folder's file "tpm" */

/* ---- address ---- */

struct tpm2_address {
    char tcti[512]; /* "device:/dev/tpmrm0", "swtpm:port=2321" */
    char dir[BST_SOFT_PATH_MAX - 64];
    char pin_source[1024], owner_source[1024]; /* "file:PATH", "credential:NAME", "" */
    char roots[1024];                          /* PEM or DER certificates */
    bool test_root;                            /* they are somebody's own, for tests */
    bool fallback;                             /* software does what the TPM cannot */
    uint32_t pcrs;                             /* bits of the SHA-256 bank; 0: no policy */
    uint32_t parent;                           /* persistent handle; 0: a primary of our own */
};
/** What follows "tpm2:". */
bst_result tpm2_address_parse(struct bst_view text, struct tpm2_address *ret);

/* ---- objects ---- */

enum tpm2_form {
    TPM2_FORM_KEY = 1, /* the TPM computes with it: EC, HMAC */
    TPM2_FORM_VALUE,   /* sealed value: a key to be released, or one that software works with */
};

struct tpm2_object {
    struct bst_se_object base;
    struct bst_list link; /* among the persistent ones; guarded by the folder's lock */
    struct bst_view pub, priv;
    struct bst_view
        extra; /* a value too long to seal, under the one that is sealed; mostly empty */
    enum tpm2_form form;
    bool inside; /* made by the TPM and never out of it */
    /* Guarded by the TPM's lock. */
    struct bst_list loaded; /* while the TPM has it, the longest unused one first */
    ESYS_TR tr;
    /* label, owner and the three blobs follow */
};
bst_result tpm2_object_new(const struct bst_key_attrs *attrs, struct bst_view pub,
                           struct bst_view priv, struct bst_view extra, struct tpm2_object **ret);

static inline struct tpm2_object *tpm2_object_of(struct bst_se_object *object)
{
    return bst_container_of(object, struct tpm2_object, base);
}

/* ---- the TPM ---- */

struct tpm2_folder {
    bool there;             /* it is on storage; made with the first thing to keep */
    bool behind;            /* the NV counter has to follow the last record */
    struct bst_secret root; /* what everything of the folder follows from */
    struct bst_soft_keys keys;
    struct bst_soft_log log;
    struct bst_list objects, counters;
    uint64_t live;       /* of these two */
    uint64_t generation; /* of the last record, and of the NV counter unless that is behind */
    uint64_t first;      /* of the NV counter, when the folder was made */
    uint32_t index;      /* of the NV counter */
    uint64_t floor;      /* no counter that was removed was above */
    enum bst_se_state state;
    char why[128];
};

/* What the TPM says of itself. */
struct tpm2_facts {
    char maker[5], model[20];
    uint32_t manufacturer, firmware[2];
    bool p384;
    uint32_t fails, fails_max, recovery_s, lockout_s; /* of the protection against guessing */
    bool locked;
    uint32_t buffer_max; /* bytes of a message in one command */
    uint32_t nv_max;
};

struct tpm2 {
    struct bst_se_backend base;
    const struct bst_se_host *host;
    struct tpm2_address address;
    struct bst_secret auth;    /* authorisation value of the keys */
    struct bst_secret nv_auth; /* and of NV indices */
    char evidence[320];
    uint8_t parent_name[TPM2_NAME_MAX]; /* that the folder's keys are under */
    size_t parent_name_len;             /* 0: any */
    pthread_mutex_t lock;               /* guards what follows */
    TSS2_TCTI_CONTEXT *tcti;
    ESYS_CONTEXT *esys;
    bool up;
    bool was_up; /* once: from then on base.level stands */
    int level;   /* proved when it was connected to */
    int64_t next_try_us;
    ESYS_TR parent, session, policy;
    struct bst_list loaded;
    struct tpm2_facts facts;
    bst_result own;        /* failure of ours within a call; its sentence is the thread's detail */
    pthread_mutex_t write; /* guards the folder; taken before `lock` */
    struct tpm2_folder folder;
};

static inline struct tpm2 *tpm2_of(struct bst_se_backend *backend)
{
    return bst_container_of(backend, struct tpm2, base);
}

/** Connect for the first time. */
bst_result tpm2_open_device(struct tpm2 *t);
void tpm2_close_device(struct tpm2 *t);
/** Run a call with the TPM. When it turns out to be gone, or to have forgotten, it is connected to
 * again and the call made once more; when its slots are full, objects are taken out and the call
 * made once more. So a call must stand being repeated. */
bst_result tpm2_run(struct tpm2 *t, TSS2_RC (*run)(struct tpm2 *t, void *arg), void *arg,
                    const char *what);
/** Take an object out of the TPM, if it is there. Never waits for a TPM that is gone. */
void tpm2_let_go(struct tpm2 *t, struct tpm2_object *object);

/* Within a call: */

/** A failure that is not the TPM's, on its way through the call. */
TSS2_RC tpm2_own(struct tpm2 *t, bst_result r);

TSS2_RC tpm2_start_session(struct tpm2 *t, ESYS_TR salt, TPM2_SE type, ESYS_TR *ret);
/** The session of the connection: authorises by HMAC, hides the first parameter either way. */
#define TPM2_HIDE_IN TPMA_SESSION_DECRYPT
#define TPM2_HIDE_OUT TPMA_SESSION_ENCRYPT
TSS2_RC tpm2_session(struct tpm2 *t, TPMA_SESSION hide, ESYS_TR *ret);
/** The session that may use our keys: the same one, or one that has met the PCR policy. */
TSS2_RC tpm2_key_session(struct tpm2 *t, TPMA_SESSION hide, ESYS_TR *ret);
/** The key in the TPM, loaded if it is not yet. */
TSS2_RC tpm2_load(struct tpm2 *t, struct tpm2_object *object, ESYS_TR *ret);
/** Load a pair of blobs under the parent with this authorisation value. */
TSS2_RC tpm2_load_blobs(struct tpm2 *t, struct bst_view pub, struct bst_view priv,
                        const struct bst_secret *auth, ESYS_TR *ret);
void tpm2_flush(struct tpm2 *t, ESYS_TR *tr);
/** Digest of the PCR policy; empty without one. */
TSS2_RC tpm2_policy_digest(struct tpm2 *t, TPM2B_DIGEST *ret);
TPML_PCR_SELECTION tpm2_pcr_selection(uint32_t pcrs);
TSS2_RC tpm2_read_lockout(struct tpm2 *t);
/** Set the owner's authorisation for the commands that need it. */
TSS2_RC tpm2_owner_auth(struct tpm2 *t);
/** A secret as TPM2B_AUTH: at most 32 bytes, longer ones hashed. */
bst_result tpm2_auth_of(struct bst_view text, TPM2B_AUTH *ret);
/** That of a source in the address, without the end of its line; empty without a source. */
bst_result tpm2_read_auth(const struct tpm2 *t, const char *source, TPM2B_AUTH *ret);

/* ---- words ---- */

/** The failure in words: what the TPM said, what it means, what to do. */
bst_result tpm2_fail(const struct tpm2 *t, TSS2_RC rc, const char *what);
/** What a response code means for the connection. */
enum tpm2_loss {
    TPM2_STILL_THERE,
    TPM2_GONE,     /* it cannot be reached, or has forgotten us: connect again */
    TPM2_NO_PLACE, /* its slots are full */
};
enum tpm2_loss tpm2_loss(TSS2_RC rc);
/** Without the number of parameter, handle or session, and without the layer of the resource
 * manager. */
TSS2_RC tpm2_bare(TSS2_RC rc);
/** What the TPM says of its protection against guessing, "" when nothing. */
void tpm2_lockout_words(const struct tpm2_facts *facts, char *out, size_t cap);

/* ---- making keys ---- */

/** What the TPM has made: the two blobs, marshalled. */
struct bst_tpm2_blobs {
    struct bst_buf pub, priv;
};
void bst_tpm2_blobs_clear(struct bst_tpm2_blobs *blobs);
/** A key from a value (symmetric bytes, PKCS#8) or a new one. */
bst_result tpm2_make(struct tpm2 *t, const struct bst_key_attrs *attrs,
                     const struct bst_secret *value, struct tpm2_object **ret);
/** Seal bytes under an authorisation value. `guarded`: wrong ones count as attempts. */
bst_result tpm2_seal_bytes(struct tpm2 *t, const struct bst_secret *bytes, const TPM2B_AUTH *auth,
                           bool guarded, struct bst_tpm2_blobs *ret);
/** Bytes of a sealed value. */
bst_result tpm2_value(struct tpm2 *t, struct tpm2_object *object, struct bst_secret *ret);
/** A template of the primary key and its like: a restricted P-256 storage key. */
TPM2B_PUBLIC tpm2_storage_template(void);

/* ---- encodings ---- */

TPMI_ECC_CURVE tpm2_curve(enum bst_key_type type);
/** DER SubjectPublicKeyInfo of a public area: EC P-256, P-384, RSA-2048. Appends. */
bst_result tpm2_spki(const TPMT_PUBLIC *pub, struct bst_buf *ret);
/** The point in a SubjectPublicKeyInfo. */
bst_result tpm2_point(enum bst_key_type type, struct bst_view spki, TPMS_ECC_POINT *ret);
/** ECDSA signature as DER. */
bst_result tpm2_ecdsa_der(const TPMT_SIGNATURE *signature, uint8_t out[112], size_t *ret_len);
/** A number as wide as the curve, zeros in front. */
void tpm2_widen(const TPM2B_ECC_PARAMETER *number, size_t width, uint8_t *out);
/** Name of a public area: algorithm and SHA-256 digest. */
bst_result tpm2_name(const TPMT_PUBLIC *pub, uint8_t out[TPM2_NAME_MAX], size_t *ret_len);
bst_result tpm2_read_public(struct bst_view blob, TPM2B_PUBLIC *ret);

/* ---- folder ---- */

struct tpm2_counter {
    struct bst_list link;
    uint32_t index;
    uint64_t base; /* what the NV counter has more than ours */
    char name[];
};

/** Connect, and open the folder: root, records, generation. */
bst_result tpm2_folder_open(struct tpm2 *t,
                            bst_result (*found)(void *ctx, struct bst_se_object *take), void *ctx);
/** A folder in which nothing is kept any more goes, with its NV counter. */
void tpm2_folder_close(struct tpm2 *t);
bst_result tpm2_folder_add(struct tpm2 *t, struct tpm2_object *object);
/** `fresh` is the same as `object` with another label or another value, and takes its place. */
bst_result tpm2_folder_change(struct tpm2 *t, struct tpm2_object *object,
                              struct tpm2_object *fresh);
bst_result tpm2_folder_remove(struct tpm2 *t, struct tpm2_object *object);
enum bst_se_state tpm2_state(struct bst_se_backend *backend);
bst_result tpm2_set_state(struct bst_se_backend *backend, enum bst_se_state state, const char *why);
bst_result tpm2_wipe(struct bst_se_backend *backend);
bst_result tpm2_pin_change(struct bst_se_backend *backend, const struct bst_secret *old,
                           const struct bst_secret *fresh);
/** The folder, made if it is not there; with its lock. */
bst_result tpm2_folder_make(struct tpm2 *t);
/** Write one record; with the folder's lock. */
bst_result tpm2_folder_write(struct tpm2 *t, struct tpm2_record *record);
/** Refuse to keep what there is no folder for. */
bst_result tpm2_folder_need(const struct tpm2 *t, const char *what);

/* Root of a folder. */

bst_result tpm2_root_new(struct tpm2 *t);
/** The root that the head has, with the PIN. Asks the TPM once. */
bst_result tpm2_root_open(struct tpm2 *t, const struct tpm2_head *head, const TPM2B_AUTH *pin);
/** Write a head with the root sealed under the PIN. */
bst_result tpm2_root_store(struct tpm2 *t, const TPM2B_AUTH *pin);
/** The head as it is on storage; the views are into `bytes`. BST_E_NOT_FOUND when there is none;
 * what an interrupted taking away left is taken away. */
bst_result tpm2_head_load(const struct tpm2 *t, struct bst_buf *bytes, struct tpm2_head *ret);
/** Take the files of a folder away in which nothing is kept. */
void tpm2_folder_bury(const struct tpm2 *t, uint64_t log_number);
void tpm2_head_path(const struct tpm2 *t, char out[BST_SOFT_PATH_MAX]);

/* Head of a folder: the file "tpm". */
struct tpm2_head {
    uint32_t pcrs, parent;
    struct bst_view parent_name, pub, priv; /* of the sealed root */
};
bst_result tpm2_head_read(struct bst_view bytes, struct tpm2_head *ret);
void tpm2_tomb_put(uint64_t log_number, struct bst_buf *ret);
bool tpm2_tomb_read(struct bst_view in, uint64_t *ret_log_number);
bst_result tpm2_head_put(const struct tpm2_head *head, struct bst_buf *ret);

/* Records of the log. */
enum tpm2_record_kind {
    TPM2_RECORD_KEY = 1,
    TPM2_RECORD_DELETE,
    TPM2_RECORD_COUNTER,
    TPM2_RECORD_COUNTER_GONE,
    TPM2_RECORD_STATE,
    TPM2_RECORD_MARK, /* generation only */
};
struct tpm2_record {
    enum tpm2_record_kind kind;
    uint64_t generation;
    struct bst_view
        name; /* of key, counter; reason; of a key that is kept: the name it had before */
    struct tpm2_object *object;
    uint32_t index;
    uint64_t base; /* of a counter that is gone: where it ended */
    enum bst_se_state state;
};
void tpm2_record_put(const struct tpm2_record *record, struct bst_buf *ret);
/** `object` is the caller's. @error BST_E_CORRUPT */
bst_result tpm2_record_read(struct bst_view bytes, struct tpm2_record *ret);

/* ---- NV counters ---- */

/** Define a counter at a free index and advance it once. */
bst_result tpm2_nv_make(struct tpm2 *t, uint32_t *ret_index, uint64_t *ret_value);
/** @error BST_E_NOT_FOUND  no such index, or not ours */
bst_result tpm2_nv_get(struct tpm2 *t, uint32_t index, uint64_t *ret);
/** Advance once. @param target  not beyond this, as a call may be repeated; 0: wherever it is */
bst_result tpm2_nv_next(struct tpm2 *t, uint32_t index, uint64_t target, uint64_t *ret);
bst_result tpm2_nv_remove(struct tpm2 *t, uint32_t index);
/** A counter in memory. */
bst_result tpm2_counter_new(struct tpm2 *t, struct bst_view name, uint32_t index, uint64_t base);
void tpm2_counter_forget(struct tpm2 *t, struct tpm2_counter *counter);
bst_result tpm2_counter_get(struct bst_se_backend *backend, const char *name, uint64_t *ret);
bst_result tpm2_counter_next(struct bst_se_backend *backend, const char *name, uint64_t *ret);
bst_result tpm2_counter_remove(struct bst_se_backend *backend, const char *name);

/* ---- what the protection level rests on ---- */

/** Within the making of a connection: check the EK certificate and begin the session under the EK,
 * which only the TPM of that certificate can do. Says in t->evidence what was found, sets the
 * level; *ret_session stays ESYS_TR_NONE when there is no proof. */
TSS2_RC tpm2_prove(struct tpm2 *t, ESYS_TR *ret_session);
/** Verify an EK certificate and judge it: pure.
 * @param roots     PEM or DER
 * @param ret_spki  the EK, appended
 * @param evidence  also after a failure */
bst_result tpm2_ek_judge(struct bst_view cert_der, struct bst_view roots, int64_t now_us,
                         bool test_root, struct bst_buf *ret_spki, int *ret_level,
                         char evidence[320]);
TSS2_RC tpm2_ek_make(struct tpm2 *t, TPMI_ALG_PUBLIC type, ESYS_TR *ret, struct bst_buf *ret_spki);
/** The EK certificate that the TPM holds. TPM2_RC_HANDLE when there is none. */
TSS2_RC tpm2_ek_cert(struct tpm2 *t, struct bst_buf *ret_der, TPMI_ALG_PUBLIC *ret_type);
/** Nonce as it goes into a statement: longer ones hashed. */
bst_result tpm2_nonce(struct bst_view nonce, TPM2B_DATA *ret);
/** The attestation key; the same at every time. */
TSS2_RC tpm2_ak_make(struct tpm2 *t, ESYS_TR *ret, struct bst_buf *ret_public);
/** What a challenge hides: the nonce to attest with.  @error BST_E_BAD_MAC  for another TPM */
bst_result tpm2_activate(struct tpm2 *t, struct bst_view challenge, struct bst_buf *ret_nonce);
bool tpm2_is_challenge(struct bst_view nonce);
/** Octets of the secret in a challenge. */
#define TPM2_SECRET_BYTES 32
/** Whose challenge it is: of this signer with this certificate. */
bst_result tpm2_challenged(const struct bst_se_attestation *a, uint8_t out[BST_SHA256_BYTES]);

bst_result tpm2_attest(struct bst_se_backend *backend, struct bst_se_object *object,
                       struct bst_view nonce, struct bst_se_attestation *ret);
bst_result tpm2_attest_verify(const struct bst_se_attestation *attestation, struct bst_view nonce,
                              struct bst_view roots, struct bst_se_attested *ret);

/* ---- operations ---- */

bst_result tpm2_public(struct bst_se_backend *backend, struct bst_se_object *object,
                       struct bst_buf *ret_spki);
bst_result tpm2_sign(struct bst_se_backend *backend, struct bst_se_object *object, enum bst_md md,
                     struct bst_view tbs, uint8_t *out, size_t *ret_len);
bst_result tpm2_mac(struct bst_se_backend *backend, struct bst_se_object *object,
                    const struct bst_view *parts, size_t n, uint8_t out[BST_SHA256_BYTES]);
bst_result tpm2_derive(struct bst_se_backend *backend, struct bst_se_object *parent,
                       const struct bst_se_derivation *derivation,
                       const struct bst_key_attrs *attrs, struct bst_se_object **ret);
bst_result tpm2_seal(struct bst_se_backend *backend, struct bst_se_object *object,
                     struct bst_view aad, struct bst_view in, struct bst_buf *ret);
bst_result tpm2_unseal(struct bst_se_backend *backend, struct bst_se_object *object,
                       struct bst_view aad, struct bst_view blob, struct bst_buf *ret);
bst_result tpm2_ecies_open(struct bst_se_backend *backend, struct bst_se_object *object,
                           struct bst_view info, struct bst_view blob, struct bst_secret *ret);
bst_result tpm2_agree(struct bst_se_backend *backend, struct bst_se_object *base,
                      struct bst_view point, struct bst_secret *ret_z);
bst_result tpm2_run_routine(struct bst_se_backend *backend, struct bst_se_object *object,
                            const struct bst_se_routine *routine, void *io);
bst_result tpm2_release(struct bst_se_backend *backend, struct bst_se_object *object,
                        struct bst_secret *ret);
bst_result tpm2_random(struct bst_se_backend *backend, uint8_t *out, size_t n);
bst_result tpm2_wrap(struct bst_se_backend *backend, struct bst_se_object *kek,
                     struct bst_se_object *object, struct bst_view text, struct bst_buf *ret);
bst_result tpm2_unwrap(struct bst_se_backend *backend, struct bst_se_object *kek,
                       struct bst_view wrapped, const struct bst_key_attrs *attrs,
                       struct bst_se_object **ret);
bst_result tpm2_unwrap_text(struct bst_se_backend *backend, struct bst_se_object *kek,
                            struct bst_view wrapped, struct bst_buf *ret);
/** A key object from what the TPM has made, kept if it is to be. */
bst_result tpm2_create(struct bst_se_backend *backend, const struct bst_key_attrs *attrs,
                       const struct bst_secret *value, struct bst_se_object **ret);
