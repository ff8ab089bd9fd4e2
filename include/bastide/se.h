/* Secure environment: keys by handle, used but not seen (TS-0003 6.3, TS-0016).
 *
 * Every call is safe on any thread. A handle stays valid until its key is deleted or the
 * environment is closed; a stale handle is BST_E_NOT_FOUND, never another key. Link with
 * `pkg-config bastide-se`. */
#pragma once

#include <bastide/mem.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what an environment needs from the outside: durable blobs, secrets at start, a clock ---- */

/** Filled by the program; every call may come from any thread, writes are serialised by the caller.
 */
struct bst_se_host {
    void *ctx;
    /** Whole blob, appended. BST_E_NOT_FOUND when there is none, BST_E_TOO_LONG above `max`. */
    bst_result (*read)(void *ctx, const char *path, size_t max, struct bst_buf *ret);
    /** Old or new, never half; durable when it returns success. */
    bst_result (*replace)(void *ctx, const char *path, struct bst_view bytes);
    /** Durable when it returns success; a crash may leave a part at the end. */
    bst_result (*append)(void *ctx, const char *path, struct bst_view bytes);
    /** Success when it is already gone. */
    bst_result (*remove)(void *ctx, const char *path);
    /** Secret bytes of "file:PATH" (readable by its owner only) or "credential:NAME". */
    bst_result (*secret_read)(void *ctx, const char *source, struct bst_secret *ret);
    /** Keep a new secret, mode 0600, durable; BST_E_EXISTS rather than overwrite. */
    bst_result (*secret_write)(void *ctx, const char *source, const struct bst_secret *secret);
    /** Wall time in microseconds. */
    int64_t (*wall_us)(void *ctx);
};

/** A host over ordinary files. `wall_us` is the clock; ctx is unused. */
void bst_se_host_file(struct bst_se_host *ret, int64_t (*wall_us)(void *ctx));

struct bst_se;
typedef uint64_t bst_key; /* handle; 0 = none */

enum bst_key_type {
    BST_KEY_SYMMETRIC,
    BST_KEY_EC_P256,
    BST_KEY_EC_P384,
    BST_KEY_ED25519,
    BST_KEY_X25519,
    BST_KEY_DATA, /* no key: octets that are kept, given by import */
};

/** What a key may be used for; everything else is BST_E_SE_USAGE. */
enum bst_key_use {
    BST_KEY_USE_MAC = 1,
    BST_KEY_USE_DERIVE = 2,
    BST_KEY_USE_SIGN = 4,
    BST_KEY_USE_SEAL = 8,      /* AES-256-GCM */
    BST_KEY_USE_PSK = 16,      /* may be released to a handshake */
    BST_KEY_USE_AGREE = 32,    /* ECDH: open what was encrypted to this key */
    BST_KEY_USE_WRAP = 64,     /* may leave wrapped under another key */
    BST_KEY_USE_ROUTINE = 128, /* input of an algorithm that runs inside */
    BST_KEY_USE_KEK = 256,     /* wraps and unwraps other keys, and nothing else */
    BST_KEY_USE_READ = 512,    /* data: its octets come out again */
};

#define BST_KEY_LABEL_MAX 384
#define BST_KEY_OWNER_MAX 128
#define BST_KEY_VALUE_MAX 256 /* bytes of a symmetric key */
/** A key that only an algorithm inside uses may be longer: post-quantum ones are. */
#define BST_KEY_ROUTINE_VALUE_MAX 4096
#define BST_KEY_DATA_MAX 4096

struct bst_key_attrs {
    enum bst_key_type type;
    uint32_t uses; /* enum bst_key_use bits */
    int suid;      /* security usage identifier, 0 none (TS-0003 12.3.2.3) */
    /** Unique among those of its owner: "cse.tls", "mef.key.<RelativeKeyID>"; NULL or "": none, not
     * findable. */
    const char *label;
    const char *owner;  /* NULL: of the view, which may be nobody in particular */
    int64_t expires_us; /* wall, 0 never; later every use is BST_E_EXPIRED */
    bool persistent;    /* survives a restart; needs a label */
    bool borrowed;      /* for one piece of work: without label, not kept, in nobody's quota */
    int level;          /* out: protection level 0..3 of TS-0003 6.3.1 */
};

/** What a filter sees: one call on one key. */
struct bst_se_event {
    const char *op;    /* "release_psk", "sign", "import"...; see bst_se_ops */
    const char *label; /* "" for a key without label; the name of a counter */
    const char *owner;
    const char *subject; /* owner of the view that asks, "" for the one that sees all */
    const char *why;     /* reason that the caller gave, "" */
    int suid;
    bool released; /* key bytes leave the environment by this call */
    bool making;   /* a key comes into being */
    bool agreed;   /* in `after`: this filter was asked, and agreed */
    size_t owned;  /* when one is made: keys of `owner`, this one included; 0 for a borrowed one */
};
/** Names of the operations that filters are asked about, from 0; NULL after the last one. */
const char *bst_se_op_name(size_t i);
/** Stacked in front of the backend: audit, policy, quota, fault injection (se/filters.h). */
struct bst_se_filter {
    void *ctx;
    /** Refuse by returning an error; may be NULL. */
    bst_result (*before)(void *ctx, const struct bst_se_event *event);
    /** Told the outcome; may be NULL. */
    void (*after)(void *ctx, const struct bst_se_event *event, bst_result outcome);
    /** At the end of the environment; may be NULL. */
    void (*drop)(void *ctx);
};

/** Kind of secure environment, the first part of its M2M-SE-ID. TS-0016 7.2.1 has 1 to 4 and
 * reserves the others; 5 and 6 are our choice. */
enum bst_se_type {
    BST_SE_UICC = 1,
    BST_SE_GLOBALPLATFORM = 2,
    BST_SE_TEE = 3,
    BST_SE_SOFTWARE = 4,
    BST_SE_TPM = 5,
    BST_SE_TOKEN = 6, /* behind PKCS#11, nearer kind unknown */
};

/** Life cycle (TS-0003 annex L). */
enum bst_se_state {
    BST_SE_OPERATIONAL,
    BST_SE_PERSONALISATION, /* private keys may still be brought in */
    BST_SE_BLOCKED,         /* every use of a key is BST_E_SE_BLOCKED */
};

/** What an environment is, and what its protection level rests on. */
struct bst_se_about {
    char kind[16];  /* "soft", "pkcs11" */
    char name[160]; /* of a token: label, maker, model, serial number */
    int level;      /* of keys made inside, 0..3 of TS-0003 6.3.1; see bst_key_attrs for each key */
    char evidence[320]; /* one clause in words */
    char pin[128];      /* what the token says of its PIN, "" when nothing */
    char lacks[256];    /* mechanisms that it does not have, by name; "" when none is missing */
    enum bst_se_type type;
    char unique[72]; /* tells it from every other of its type; "" when it keeps nothing */
    char se_id[80];  /* M2M-SE-ID: type, then `unique`; "" without it */
    bool slow;       /* an event loop must not wait for it: bst_se_submit() */
    enum bst_se_state state;
};

/** Open a secure environment.
 *
 * @param host  copied; what it points to outlives the environment
 * @param uri   "se:soft" keeps nothing; "se:soft?dir=PATH[&key=SOURCE]" is persistent. SOURCE is
 *              "file:PATH" (default PATH/state.key, made when the folder is new), "credential:NAME"
 *              (of the service manager) or "passphrase:" followed by a source of the passphrase.
 *              "pkcs11:token=NAME?pin-source=SOURCE[&module-path=PATH][&fallback=soft]" is a token
 *              (RFC 7512); what it cannot do is BST_E_SE_MECHANISM, or done by software at level 1.
 *              "tpm2:device:/dev/tpmrm0[?dir=PATH][&pin-source=SOURCE]..." is a TPM (docs/keys.md).
 * @error BST_E_SE_PIN   wrong key or passphrase for this folder
 * @error BST_E_SE_BLOCKED  the PIN of the token is locked, or the next wrong one would lock it
 * @error BST_E_BUSY     the token is gone; later calls find it again by themselves
 * @error BST_E_CORRUPT  changed, swapped, cut or rolled-back objects: the detail names object and
 * remedy */
bst_result bst_se_open(const struct bst_se_host *host, const char *uri, struct bst_se **ret);
void bst_se_close(struct bst_se **se);
void bst_se_about(struct bst_se *se, struct bst_se_about *ret);
/** A view that sees and makes only keys of one owner. Closed by bst_se_close(), in any order. */
bst_result bst_se_for_owner(struct bst_se *se, const char *owner, struct bst_se **ret);
/** One more view of the same environment and owner. Closed by bst_se_close(). */
bst_result bst_se_hold(struct bst_se *se, struct bst_se **ret);
/** Add a filter; the last one added is asked first. Before other threads use the environment; its
 * `drop` is called when this fails, too. */
bst_result bst_se_filter_add(struct bst_se *se, const struct bst_se_filter *filter);

/** Import a symmetric key (its bytes) or a private key (DER PKCS#8). A copy is taken; the caller
 * wipes.
 * @error BST_E_EXISTS the label is taken  @error BST_E_BAD_KEY the value does not fit the type */
bst_result bst_se_key_import(struct bst_se *se, const struct bst_key_attrs *attrs,
                             const struct bst_secret *value, bst_key *ret);
/** Make a key inside; symmetric keys have 32 bytes. */
bst_result bst_se_key_generate(struct bst_se *se, const struct bst_key_attrs *attrs, bst_key *ret);
/** Among the keys of the view's owner; a view that sees all finds by label what has no owner. 0
 * when there is none. Constant time in the number of keys. */
bst_result bst_se_key_find(struct bst_se *se, const char *label, bst_key *ret);
/** The same among the keys of `owner`, for a view that sees them. */
bst_result bst_se_key_find_of(struct bst_se *se, const char *owner, const char *label,
                              bst_key *ret);
struct bst_key_info {
    struct bst_key_attrs attrs; /* label and owner point into the fields below */
    char label[BST_KEY_LABEL_MAX + 1];
    char owner[BST_KEY_OWNER_MAX + 1];
};
bst_result bst_se_key_info(struct bst_se *se, bst_key key, struct bst_key_info *ret);
/** Another label for a key that is kept; durable when it returns success. The handle stays.
 * @error BST_E_EXISTS  the label is taken  @error BST_E_SE_MECHANISM  the backend cannot */
bst_result bst_se_key_rename(struct bst_se *se, bst_key key, const char *label);
/** Gone for good, on storage too, when this returns success. */
bst_result bst_se_key_delete(struct bst_se *se, bst_key key);
/** Walk the keys with a label, in no order; `each` must not call the environment. False ends the
 * walk. */
bst_result bst_se_key_list(struct bst_se *se,
                           bool (*each)(void *ctx, bst_key key, const struct bst_key_attrs *attrs),
                           void *ctx);

/* ---- data: sensitive octets, kept as keys are (TS-0016 sensitiveDataObject) ----
 *
 * Put by bst_se_key_import() with the type BST_KEY_DATA, 1 to BST_KEY_DATA_MAX octets; found,
 * listed and removed as keys are. */

/** @param why  shown in the audit trail
 * @error BST_E_SE_USAGE  a key, or data without BST_KEY_USE_READ  @error BST_E_EXPIRED */
bst_result bst_se_data_read(struct bst_se *se, bst_key key, const char *why,
                            struct bst_secret *ret);
/** Other octets under the same label, owner and handle; durable when it returns success, and the
 * old ones until then. */
bst_result bst_se_data_replace(struct bst_se *se, bst_key key, const struct bst_secret *value);

/** Digest; no key is in it. `out` takes 64 bytes at most. */
bst_result bst_se_hash(struct bst_se *se, enum bst_md md, struct bst_view message, uint8_t *out);

/** DER SubjectPublicKeyInfo, appended. */
bst_result bst_se_key_public(struct bst_se *se, bst_key key, struct bst_buf *ret_spki_der);
/** Sign a message; md is NONE for Ed25519. ECDSA in DER. Appends. */
bst_result bst_se_sign(struct bst_se *se, bst_key key, enum bst_md md, struct bst_view message,
                       struct bst_buf *ret_signature);
/** HMAC-SHA-256 over the parts one after the other. */
bst_result bst_se_mac(struct bst_se *se, bst_key key, const struct bst_view *parts, size_t n,
                      uint8_t out[BST_SHA256_BYTES]);
/** New key = HMAC-SHA-256(parent, parts), its level the lower of the parent's and of this path. */
bst_result bst_se_derive(struct bst_se *se, bst_key parent, const struct bst_view *parts, size_t n,
                         const struct bst_key_attrs *attrs, bst_key *ret);
/** New 32-byte key by HKDF-SHA-256 (RFC 5869) with the parent as input keying material. */
bst_result bst_se_hkdf(struct bst_se *se, bst_key parent, struct bst_view salt,
                       struct bst_view info, const struct bst_key_attrs *attrs, bst_key *ret);
/** AES-256-GCM with a random nonce inside the blob ; the key has 32 bytes. Appends.
 */
bst_result bst_se_seal(struct bst_se *se, bst_key key, struct bst_view aad, struct bst_view in,
                       struct bst_buf *ret);
bst_result bst_se_unseal(struct bst_se *se, bst_key key, struct bst_view aad, struct bst_view blob,
                         struct bst_buf *ret);
/** Agree with a public key in wire form and derive `len` bytes by ANSI X9.63 with
 * SHA-256; Z stays inside. For P-256 and X25519 keys with USE_AGREE.
 * @error BST_E_BAD_KEY  the public key is not one of this curve */
bst_result bst_se_agree(struct bst_se *se, bst_key key, struct bst_view point, struct bst_view info,
                        size_t len, struct bst_secret *ret);

/** Hand the bytes of a pre-shared key to a handshake: the one named release of key bytes.
 *
 * @param why  shown in the audit trail: "tls handshake with <peer>"
 * @error BST_E_SE_USAGE  the key has no BST_KEY_USE_PSK  @error BST_E_EXPIRED */
bst_result bst_se_release_psk(struct bst_se *se, bst_key key, const char *why,
                              struct bst_secret *ret);
/** New 32-byte key by HKDF-SHA-256 over the shared secret with a public key in wire form; for P-256
 * and X25519 keys with USE_AGREE. Its level is the lower of the private key's and of this path. */
bst_result bst_se_agree_key(struct bst_se *se, bst_key key, struct bst_view point,
                            struct bst_view salt, struct bst_view info,
                            const struct bst_key_attrs *attrs, bst_key *ret);

/** Random octets of the environment. */
bst_result bst_se_random(struct bst_se *se, uint8_t *out, size_t n);

/* ---- keys that travel ----
 *
 * A wrapped key is AES-256 key wrap with padding (RFC 5649) of its value, with its type, uses,
 * SUID, owner, expiry and level in clear beside it and bound to it. */

/** Wrap `key`, which needs USE_WRAP, under `wrapping`, which needs USE_KEK. Appends. */
bst_result bst_se_wrap(struct bst_se *se, bst_key wrapping, bst_key key, struct bst_buf *ret);
/** The other way. `attrs` gives label and persistence; the rest is what was bound to the blob, its
 * level at most that of the wrapping key.
 * @error BST_E_BAD_MAC  another wrapping key, or a changed blob
 * @error BST_E_DENIED   the key of another owner */
bst_result bst_se_unwrap(struct bst_se *se, bst_key wrapping, struct bst_view blob,
                         const struct bst_key_attrs *attrs, bst_key *ret);
#define BST_SE_CHECK_BYTES 8
/** The same for two keys of the same value, whatever environment holds them: of a symmetric key
 * from an HMAC under it, of a pair from its public half. */
bst_result bst_se_check_value(struct bst_se *se, bst_key key, uint8_t out[BST_SE_CHECK_BYTES]);

/* ---- counters ----
 *
 * Named by letters, digits, '.', '-' and '_', 64 at most; every owner has its own. They only go up:
 * one that was removed begins at or above where it ended. */

/** 0, or a floor that no counter was above, when it was never advanced. */
bst_result bst_se_counter_get(struct bst_se *se, const char *name, uint64_t *ret);
/** One more; durable when it returns success. */
bst_result bst_se_counter_next(struct bst_se *se, const char *name, uint64_t *ret);
bst_result bst_se_counter_remove(struct bst_se *se, const char *name);

/* ---- life cycle; only for a view that sees all owners ---- */

enum bst_se_state bst_se_state(struct bst_se *se);
/** Personalisation is over: from now on private keys are made inside or unwrapped. */
bst_result bst_se_activate(struct bst_se *se);
/** Durable, and at once: every later use of a key is BST_E_SE_BLOCKED. Only wiping ends it.
 * @error BST_E_SE_MECHANISM  the backend cannot keep the state */
bst_result bst_se_block(struct bst_se *se, const char *why);
/** Every key and counter is gone, on storage too; then personalisation begins anew. */
bst_result bst_se_wipe(struct bst_se *se);
/** Change the PIN or passphrase.
 * @error BST_E_SE_PIN  `old` is wrong; it counted as a try  @error BST_E_SE_BLOCKED */
bst_result bst_se_pin_change(struct bst_se *se, const struct bst_secret *old,
                             const struct bst_secret *fresh);

/* ---- attestation ---- */

/** Proof by the environment that a key lives in it; forms are those of its kind. */
struct bst_se_attestation {
    char kind[16];            /* "tpm2" */
    struct bst_buf statement; /* what was signed (TPMS_ATTEST) */
    struct bst_buf signature; /* TPMT_SIGNATURE */
    struct bst_buf object;    /* public area of the attested key (TPMT_PUBLIC) */
    struct bst_buf signer;    /* public area of the attestation key */
    struct bst_buf chain;     /* DER certificates, leaf first; empty when there are none */
};
void bst_se_attestation_clear(struct bst_se_attestation *attestation);
/** What a verified attestation shows. */
struct bst_se_attested {
    int level;           /* that this much evidence allows */
    char evidence[320];  /* one clause in words */
    struct bst_buf spki; /* DER public half of the attested key */
};
void bst_se_attested_clear(struct bst_se_attested *attested);
/** @error BST_E_SE_MECHANISM  this kind of environment cannot */
bst_result bst_se_attest(struct bst_se *se, bst_key key, struct bst_view nonce,
                         struct bst_se_attestation *ret);
/** Needs no environment. `roots` are DER certificates one after the other, may be empty.
 * @error BST_E_BAD_MAC  signature, nonce or key do not fit  @error BST_E_BAD_CERT */
bst_result bst_se_attest_verify(const struct bst_se_attestation *attestation, struct bst_view nonce,
                                struct bst_view roots, struct bst_se_attested *ret);

/* ---- without waiting ---- */

/** One call on the environment's own worker threads. Kept by the caller until `done`. */
struct bst_se_call {
    /** Does the work by any of the calls above; on a worker thread. */
    bst_result (*run)(struct bst_se *se, struct bst_se_call *call);
    /** Told the end, on the worker thread; the call may be freed in it. */
    void (*done)(struct bst_se_call *call);
    bst_result outcome; /* of `run` */
    char detail[256];   /* its sentence */
    struct bst_se *se;  /* of the queue */
    struct bst_se_call *next;
};
/** Queue a call. It holds the environment open until it is done.
 * @error BST_E_BUSY  the queue is full; `done` is not called */
bst_result bst_se_submit(struct bst_se *se, struct bst_se_call *call);
/** Wait until every call that was submitted has ended. Not on a worker. */
void bst_se_settle(struct bst_se *se);
/** As bst_se_about() has it, without a copy. */
bool bst_se_slow(struct bst_se *se);

/** Number of keys that this view sees, labelled or not. */
size_t bst_se_key_count(struct bst_se *se);

/* ---- filters by rule: who may use which key for what, and how much ----
 *
 * A rule is a line of fields NAME=VALUE separated by blanks; the first rule that fits decides. A
 * field that is not there fits everything; `*` in a value matches any run of characters. */

/** Rules of `policy`: "allow" or "deny", then
 *
 *     subject=  owner of the view that asks; nothing behind '=': the server itself
 *     owner=    of the key
 *     label=    of the key
 *     suid=     number
 *     op=       names of bst_se_op_name() separated by '|'
 *
 * What no rule fits is denied; with no rules at all there is no filter.
 * @error BST_E_VALUE  a rule is wrong: the detail says which and why */
bst_result bst_se_filter_policy(struct bst_se *se, const char *const *rules, size_t n);

/** Rules of `quota`: owner= as above, then
 *
 *     keys=        keys that this owner may have at a time
 *     per-second=  operations on its keys, with a burst of as many
 *
 * What no rule fits has no limit. BST_E_LIMIT and BST_E_BUSY. Deleting is always possible. */
bst_result bst_se_filter_quota(struct bst_se *se, const char *const *rules, size_t n,
                               int64_t (*mono_us)(void));

/* ---- with OpenSSL ---- */

struct evp_pkey_st; /* EVP_PKEY */

/** An EVP_PKEY that signs inside; for SSL_CTX_use_PrivateKey(), certificates and CSRs. What OpenSSL
 * is to write into one is the public half, d2i_PUBKEY() of bst_se_key_public().
 *
 * Every signature passes usage, expiry and filters. It keeps working until the key is deleted, then
 * signing fails. It holds the environment open.
 * @error BST_E_SE_USAGE  the key may not sign */
bst_result bst_se_pkey(struct bst_se *se, bst_key key, struct evp_pkey_st **ret);

#ifdef __cplusplus
}
#endif
