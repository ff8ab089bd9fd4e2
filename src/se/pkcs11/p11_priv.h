/* Inside the PKCS#11 backend: address, token with its sessions, objects, words for return values.
 *
 * What is kept where: a key is an ordinary PKCS#11 key object that other software can use too. What
 * PKCS#11 has no attribute for (owner, SUID, expiry, exact uses) is in a private data object beside
 * it that cannot be modified, found by the key's CKA_ID. It is on the token and not in a file so
 * that a cloned or moved token brings it along, and so that there is no second state to lose. Who
 * has the PIN can delete it: then the key is one without owner and expiry, as one made by another
 * program; what the token enforces by itself (CKA_SIGN, CKA_EXTRACTABLE...) stays. */
#pragma once

#include "base/map.h"
#include "se/backend.h"
#include "se/pkcs11/remote.h"

#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>

#include <pthread.h>
#include <stdatomic.h>

#define P11_SESSIONS_MAX 16
#define P11_ID_BYTES 16
#define P11_ID_MAX 64
#define P11_RETRY_US INT64_C(1000000) /* between attempts to reach a token that is gone */
#define P11_TIMEOUT_S 5               /* for one call into a module, unless timeout= says else */

/* ---- address ---- */

struct p11_address {
    void *uri;       /* P11KitUri */
    char token[256]; /* how messages name it */
    char module_path[1024], module_name[128];
    char pin_source[1100]; /* "file:PATH", "credential:NAME", "" */
    bool fallback;         /* software does what the token cannot */
    bool in_process;       /* the module is loaded here, not into a process of its own */
    int timeout_s;         /* of one call into a process of its own */
};
/** RFC 7512, without "pkcs11:". */
bst_result p11_address_parse(struct bst_view text, struct p11_address *ret);
void p11_address_clear(struct p11_address *address);
bool p11_address_fits(const struct p11_address *address, const CK_TOKEN_INFO *info);

/* ---- mechanisms ---- */

enum p11_mech {
    P11_EC_GEN,
    P11_ECDSA,
    P11_ED_GEN,
    P11_EDDSA,
    P11_SECRET_GEN,
    P11_HMAC,
    P11_AES_GEN,
    P11_GCM,
    P11_ECDH,
    P11_KWP,
    P11_SECRETS, /* no mechanism: keeps secret keys that are given to it, and keeps them secret */
    P11_MECHS,
};
#define P11_CKM_KWP 0x210bUL /* CKM_AES_KEY_WRAP_KWP of PKCS #11 3.0 */
struct p11_mech_fact {
    CK_MECHANISM_TYPE type;
    const char *name;
    CK_FLAGS needs;
};
extern const struct p11_mech_fact p11_mechs[P11_MECHS];

/* ---- token ---- */

struct p11 {
    struct bst_se_backend base;
    const struct bst_se_host *host;
    struct p11_address address;
    struct p11_remote_spec spec;
    struct p11_remote *remote;  /* NULL: the modules are in this process */
    CK_FUNCTION_LIST **modules; /* one, or all that the machine has; NULL at the end */
    bool all_modules;
    CK_FUNCTION_LIST *module; /* that has the token */
    CK_SLOT_ID slot;
    char name[160], evidence[320];
    atomic_uint can;        /* bits 1 << enum p11_mech */
    atomic_ulong kwp;       /* number under which it has RFC 5649 */
    atomic_bool keeps_all;  /* it has no session keys (temporary.c) */
    atomic_bool takes_none; /* it refused a pair that was made outside */
    pthread_mutex_t lock;   /* guards what follows */
    pthread_cond_t changed;
    bool up, connecting, pin_refused;
    bool aside;          /* connecting is done by a thread of its own, and nobody waits for it */
    uint32_t generation; /* counts connections: handles of an earlier one are void */
    int64_t next_try_us;
    struct bst_buf left; /* ids of temporary keys that could not be removed yet */
    size_t busy, open, max, idle;
    CK_SESSION_HANDLE sessions[P11_SESSIONS_MAX];
    CK_TOKEN_INFO info;
};

/** A session that a call holds. */
struct p11_call {
    struct p11 *p;
    CK_FUNCTION_LIST *f;
    CK_SESSION_HANDLE session;
    uint32_t generation;
    int attempt;
};

bst_result p11_token_open(struct p11 *p);
bool p11_is_up(struct p11 *p);
void p11_token_close(struct p11 *p);
/** Run a call with a session. When the token turns out to be gone it is looked for, logged in to,
 * and the call made once more; so a call must stand being repeated. */
bst_result p11_run(struct p11 *p, CK_RV (*run)(struct p11_call *call, void *arg), void *arg,
                   const char *what);
/** Protection level and what it rests on. */
int p11_level(const CK_SLOT_INFO *slot, const CK_TOKEN_INFO *token, char *evidence, size_t cap);
/** What the flags of the token say of its PIN, "" when nothing. */
const char *p11_pin_words(CK_FLAGS flags);
/** Text of a blank-padded field. */
struct bst_view p11_text(const unsigned char *field, size_t len);

static inline bool p11_can(const struct p11 *p, enum p11_mech mech)
{
    return atomic_load(&p->can) >> mech & 1;
}
/** Refuse what the token has no mechanism for, by its name. */
bst_result p11_need(const struct p11 *p, enum p11_mech mech, const char *what);

/* ---- words ---- */

/** The failure in words: what the token said, what it means, what to do. */
bst_result p11_fail(const struct p11 *p, CK_RV rv, const char *what);
/** What may be done when a token lacks something; goes behind a sentence. */
const char *p11_fallback_words(const struct p11 *p);
/** The session or the token is not there any more: worth another attempt. */
bool p11_rv_gone(CK_RV rv);

/* ---- encodings ---- */

/** CKA_EC_PARAMS of a type of pair. */
struct bst_view p11_ec_params(enum bst_key_type type);
bool p11_ec_type(struct bst_view params, enum bst_key_type *ret);
/** SubjectPublicKeyInfo of a public point, which may have a DER wrapping. */
bst_result p11_spki(enum bst_key_type type, struct bst_view point, struct bst_buf *ret);
/** The point in a SubjectPublicKeyInfo. */
struct bst_view p11_spki_point(enum bst_key_type type, struct bst_view spki);
/** r || s as DER. */
bst_result p11_ecdsa_der(struct bst_view raw, uint8_t out[112], size_t *ret_len);

/* ---- objects ---- */

enum p11_part {
    P11_PRIVATE,
    P11_PUBLIC,
    P11_MAC,   /* secret key for HMAC, or one that is only read */
    P11_AES,   /* secret key for AES-256-GCM */
    P11_VALUE, /* data object: bytes of a key that software works with */
    P11_RECORD,
    P11_PARTS,
};

struct p11_object {
    struct bst_se_object base;
    uint8_t id[P11_ID_MAX];
    size_t id_len, value_len; /* of a symmetric key, without the padding */
    bool soft;                /* software works with its bytes: a data object, or `value` */
    bool temporary;           /* not kept, but an object of the token for as long (temporary.c) */
    struct bst_secret value;  /* soft, and not kept */
    /* Handles by part, of one connection; guarded by the token's lock. */
    uint32_t generation;
    CK_OBJECT_HANDLE handles[P11_PARTS];
    /* label and owner follow */
};
bst_result p11_object_new(const struct bst_key_attrs *attrs, struct p11_object **ret);
/** Only in memory; NULL is nothing. */
void p11_object_free(struct p11_object *object);
/** Handle of one part of a key: remembered, or looked for by CKA_ID. */
CK_RV p11_part(struct p11_call *call, struct p11_object *object, enum p11_part part,
               CK_OBJECT_HANDLE *ret);
/** Make the token's objects for a key: from a value (symmetric bytes, PKCS#8), or new ones. */
bst_result p11_make(struct p11 *p, struct p11_object *object, const struct bst_secret *value);
/** The same key on the token under another label. */
bst_result p11_rename(struct p11 *p, struct p11_object *object, const char *label,
                      struct p11_object **ret);
CK_RV p11_unmake(struct p11_call *call, struct p11_object *object);
/** One more data object with the octets of a key or of data. */
CK_RV p11_make_value(struct p11_call *call, struct p11_object *object, struct bst_view value);
/** The same, of a symmetric key that comes wrapped. */
bst_result p11_make_unwrapped(struct p11 *p, struct p11_object *object, struct p11_object *kek,
                              struct bst_view wrapped);
/** Who makes a temporary key: the value of its data object. */
bst_result p11_temporary_record(struct bst_buf *ret);
/** Remove temporary keys whose makers are gone, or all; the ids of the others. */
CK_RV p11_temporaries(struct p11_call *call, bool all, struct bst_map *ret_alive);
/** Off the token, at once or as soon as it is there again. */
void p11_temporary_let_go(struct p11 *p, struct p11_object *object);
/** Backend operation. */
bst_result p11_wipe(struct bst_se_backend *backend);
/** Bytes of a key that may leave. */
bst_result p11_value(struct p11 *p, struct p11_object *object, struct bst_secret *ret);
/* Key wrap, RFC 5649: backend operations. */
bst_result p11_wrap(struct bst_se_backend *backend, struct bst_se_object *kek,
                    struct bst_se_object *object, struct bst_view text, struct bst_buf *ret);
bst_result p11_unwrap(struct bst_se_backend *backend, struct bst_se_object *kek,
                      struct bst_view wrapped, const struct bst_key_attrs *attrs,
                      struct bst_se_object **ret);
bst_result p11_unwrap_text(struct bst_se_backend *backend, struct bst_se_object *kek,
                           struct bst_view wrapped, struct bst_buf *ret);
/* What concerns the whole token: backend operations. */
bst_result p11_random(struct bst_se_backend *backend, uint8_t *out, size_t n);
bst_result p11_pin_change(struct bst_se_backend *backend, const struct bst_secret *old,
                          const struct bst_secret *fresh);
enum bst_se_state p11_state(struct bst_se_backend *backend);
bst_result p11_set_state(struct bst_se_backend *backend, enum bst_se_state state, const char *why);
/** Every key on the token, to `found`. */
bst_result p11_scan(struct p11 *p, bst_result (*found)(void *ctx, struct bst_se_object *take),
                    void *ctx);
/** BST_E_EXISTS when a key of this owner on the token has this label. */
bst_result p11_label_free(struct p11 *p, const struct bst_key_attrs *attrs);
/** Is this data object the record of a key of another owner? */
CK_RV p11_record_of_other(struct p11_call *call, CK_OBJECT_HANDLE record, const char *owner,
                          bool *ret);
/** Data with other octets: backend operation. */
bst_result p11_replace(struct bst_se_backend *backend, struct bst_se_object *object,
                       const struct bst_secret *value, struct bst_se_object **ret);
/** Handles of all objects that fit, as an array in a buffer. */
CK_RV p11_find_all(struct p11_call *call, CK_ATTRIBUTE *template, CK_ULONG n, struct bst_buf *ret);
/** One attribute, appended. CKR_OK with nothing when the object does not have it. */
CK_RV p11_attribute(struct p11_call *call, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                    struct bst_buf *ret);

/* The record of a key, in its data object. */
bst_result p11_record_put(const struct p11_object *object, struct bst_buf *ret);
/** @error BST_E_CORRUPT  not a record of this version */
bst_result p11_record_read(struct bst_view record, struct p11_object **ret);
#define P11_APP_RECORD "bastide key"
#define P11_APP_VALUE "bastide key value"
#define P11_APP_STATE "bastide state"
#define P11_APP_TEMPORARY "bastide temporary key"
