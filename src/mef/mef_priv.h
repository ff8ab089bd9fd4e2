/* What the files of the MEF share. */
#pragma once

#include "codec/json.h"
#include "mef/mef.h"
#include "sec/enrol/mmef.h"
#include "sec/labels.h"
#include "sec/sec_names.h"
#include "sys/clock.h"

#define MEF_KEY_LABEL "mef.key."
#define MEF_KPM_LABEL "mef.kpm."
#define MEF_ID_MAX BST_ENTITY_ID_MAX

/** Keys whose records went; their bytes follow when the deletion is durable. */
struct mef_gone {
    struct mef_gone *next;
    char relative_id[BST_RELATIVE_ID_LEN + 1];
};

/** Rows of `reg` and `skr`. */
struct mef_reg_row {
    char id[40], client[MEF_ID_MAX + 1], admin[254];
    int64_t et, ct, lt;
    struct bst_view labels; /* in the arena */
};
struct mef_key_row {
    char relative_id[BST_RELATIVE_ID_LEN + 1], source[MEF_ID_MAX + 1], admin[254];
    int64_t suid, et, ct, lt;
    struct bst_view labels, targets; /* in the arena */
};

struct bst_mef {
    struct bst_mef_config config;
    struct bst_arena texts;
};

enum mef_target { MEF_BASE, MEF_REG, MEF_KEY, MEF_FETCH };

/** One request taken apart; lives in the call's arena. */
struct mef_work {
    enum mef_target target;
    int ty;             /* of a CREATE */
    struct bst_view id; /* registration or key; 32 hex digits are upper case */
    int64_t fetch_suid; /* of the older retrieval */
    int64_t now_us;
    char from[MEF_ID_MAX + 1];

    /* content */
    int64_t expires_us;                   /* 0: absent */
    struct bst_view labels, targets_json; /* JSON lists; empty: absent */
    struct bst_m2m_views targets;
    bool has_targets;
    struct bst_view admin, fqdn;
    int64_t suid;
    struct bst_secret value; /* of the request, or all 48 octets of an export */
    bool has_value;

    /* doing it */
    bool exported;                             /* `value` was taken from the session */
    char relative_id[BST_RELATIVE_ID_LEN + 1]; /* of a key made for this request */
    bst_key made;                              /* 0: none */
    struct mef_gone own;                       /* it, when it has to go again */
    struct mef_gone *gone;
    const struct mef_key_row *wanted; /* a target may have this key; NULL: nobody asks for one */
    struct bst_mef_call *call;
    struct bst_se_call inside; /* what the environment does for it, where that takes time */
};

/** A row of `client`. */
struct mef_client {
    char id[MEF_ID_MAX + 1];
    char admins[1024];
    bool revoked;
};

/* request.c: what the peer wants, as far as it can be seen without the database */
bst_result mef_parse(const struct bst_mef *mef, struct bst_mef_call *call, struct mef_work *work);
/** Normal form of an identifier of a client: absolute id, Node-ID as it is, FQDN in lower case. */
bst_result mef_client_id(const struct bst_mef *mef, struct bst_view text, char ret[MEF_ID_MAX + 1]);

/** A domain name in lower case. */
bst_result mef_domain(struct bst_view name, char ret[254]);

/* reg.c, key.c: on a thread of the store */
bst_result mef_reg_create(struct bst_store_conn *conn, struct bst_mef_call *call,
                          const struct mef_client *client);
bst_result mef_reg_retrieve(struct bst_store_conn *conn, struct bst_mef_call *call,
                            const struct mef_client *client);
bst_result mef_reg_update(struct bst_store_conn *conn, struct bst_mef_call *call,
                          const struct mef_client *client);
bst_result mef_reg_delete(struct bst_store_conn *conn, struct bst_mef_call *call,
                          const struct mef_client *client);
bst_result mef_key_create(struct bst_store_conn *conn, struct bst_mef_call *call,
                          const struct mef_client *client);
bst_result mef_key_retrieve(struct bst_store_conn *conn, struct bst_mef_call *call,
                            const struct mef_client *client);
bst_result mef_key_update(struct bst_store_conn *conn, struct bst_mef_call *call,
                          const struct mef_client *client);
bst_result mef_key_delete(struct bst_store_conn *conn, struct bst_mef_call *call,
                          const struct mef_client *client);
/** Before the transaction, on the session's loop: take the key of a registration and name it. */
bst_result mef_key_take(struct bst_mef_call *call);

/* key.c: in the environment, on a thread that may wait for it */
/** Bring the key that was taken into `se`. */
bst_result mef_key_make(struct bst_mef_call *call);
/** Answer a target with the key that it may have. */
bst_result mef_key_release(struct bst_mef_call *call);
/** Drop a key from `se`; none is success. */
bst_result mef_key_drop(struct bst_mef *mef, const char *relative_id);

/** Answer with a finished representation. */
bst_result mef_answer(struct bst_mef_call *call, int rsc, struct bst_buf *content);
/** What the stakeholder's policy makes of a proposed expiration. */
bst_result mef_expiry(const struct bst_mef *mef, const struct mef_work *work, int64_t *ret_us);

/* db.c */
bst_result mef_db_client(struct bst_store_conn *conn, struct bst_view cred_id,
                         struct mef_client *ret, bool *ret_found);
bst_result mef_db_client_add(struct bst_store_conn *conn, struct bst_view cred_id,
                             struct bst_view id, struct bst_view admins, int64_t now_us);
bst_result mef_db_client_remove(struct bst_store_conn *conn, struct bst_view cred_id);
bst_result mef_db_client_revoke(struct bst_store_conn *conn, struct bst_view cred_id);
/** Credentials of a client that are not revoked. */
bst_result mef_db_client_credentials(struct bst_store_conn *conn, struct bst_view id, int64_t *ret);
bst_result mef_db_clients(struct bst_store_conn *conn,
                          void (*each)(void *ctx, const struct bst_mef_client_info *info),
                          void *ctx);

bst_result mef_db_reg(struct bst_store_conn *conn, struct bst_view id, struct bst_arena *arena,
                      struct mef_reg_row *ret, bool *ret_found);
bst_result mef_db_reg_of(struct bst_store_conn *conn, struct bst_view client, struct bst_view admin,
                         struct bst_arena *arena, struct mef_reg_row *ret, bool *ret_found);
bst_result mef_db_reg_put(struct bst_store_conn *conn, const struct mef_reg_row *row);
/** The registration and the keys registered under it, which go to `gone`. */
bst_result mef_db_reg_remove(struct bst_store_conn *conn, const struct mef_reg_row *row,
                             struct bst_arena *arena, struct mef_gone **gone);
/** Every registration and key of a client. */
bst_result mef_db_client_clear(struct bst_store_conn *conn, struct bst_view client,
                               struct bst_arena *arena, struct mef_gone **gone);

bst_result mef_db_key(struct bst_store_conn *conn, struct bst_view relative_id,
                      struct bst_arena *arena, struct mef_key_row *ret, bool *ret_found);
bst_result mef_db_key_put(struct bst_store_conn *conn, const struct mef_key_row *row);
bst_result mef_db_key_remove(struct bst_store_conn *conn, struct bst_view relative_id);
bst_result mef_db_keys(struct bst_store_conn *conn,
                       void (*each)(void *ctx, const struct bst_mef_key_info *info), void *ctx);
/** Delete at most `limit` expired registrations and keys. */
bst_result mef_db_expire(struct bst_store_conn *conn, int64_t now_us, int limit,
                         struct bst_arena *arena, struct mef_gone **gone, unsigned *ret_removed);

/* session.c */
bst_result mef_cert_cred_id(const struct bst_mef *mef, enum bst_cert_flavour flavour,
                            struct bst_view name, char ret[BST_CRED_ID_MAX + 1]);

/* admin.c */
bst_result mef_reconcile(struct bst_mef *mef);
