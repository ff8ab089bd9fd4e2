/* MEF client procedures, TS-0003 V3.18, 8.3.5.2: requests out, answers in, nothing believed
 * unchecked. */
#include "sec/enrol/mef_client.h"

#include "codec/json.h"
#include "crypto/rand.h"
#include "sec/enrol/mmef.h"
#include "sec/sec_names.h"

#define REG_ID_MAX 127
#define RELEASE "3"

struct bst_mef_client {
    struct bst_arena texts; /* the configuration */
    struct bst_mef_client_config config;
    char reg_id[REG_ID_MAX + 1];

    /* the exchange under way */
    enum bst_mef_procedure pending;
    struct bst_arena asked;
    char rqi[33];
    int suid;
    bool from_exporter;
    struct bst_m2m_views targets;
    struct bst_view relative_id;
};

static bst_result copy_config(struct bst_mef_client *client,
                              const struct bst_mef_client_config *from)
{
    struct bst_mef_client_config *to = &client->config;
    *to = *from;
    struct bst_view *const texts[] = {&to->self.sp_domain, &to->self.cse, &to->client_id,
                                      &to->mef_fqdn, &to->admin_fqdn};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        *texts[i] = bst_arena_view(&client->texts, *texts[i]);
        BST_ENSURE(texts[i]->ptr || !texts[i]->len, BST_E_NOMEM);
    }
    return BST_OK;
}

bst_result bst_mef_client_new(const struct bst_mef_client_config *config,
                              struct bst_mef_client **ret)
{
    if (!bst_fqdn_valid(config->mef_fqdn) || !bst_fqdn_valid(config->admin_fqdn)) {
        BST_FAIL(BST_E_VALUE, "the FQDN of the MEF or of its stakeholder is not a domain name");
    }
    BST_ENSURE(config->client_id.len, BST_E_VALUE);
    struct bst_mef_client *client = bst_alloc(sizeof *client);
    BST_ENSURE(client, BST_E_NOMEM);
    bst_arena_init(&client->texts, 0);
    bst_arena_init(&client->asked, 0);
    bst_result r = copy_config(client, config);
    if (bst_failed(r)) {
        bst_mef_client_free(&client);
        return r;
    }
    *ret = client;
    return BST_OK;
}

void bst_mef_client_free(struct bst_mef_client **client)
{
    if (*client) {
        bst_arena_clear(&(*client)->texts);
        bst_arena_clear(&(*client)->asked);
        bst_free(*client);
        *client = NULL;
    }
}

/* An identifier that becomes one segment of an address. */
static bst_result segment_check(struct bst_view id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        BST_ENSURE((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                       c == '-' || c == '_' || c == '.',
                   BST_E_SYNTAX);
    }
    BST_ENSURE(id.len && id.len <= REG_ID_MAX && id.ptr[0] != '.', BST_E_SYNTAX);
    return BST_OK;
}

bst_result bst_mef_client_resume(struct bst_mef_client *client, struct bst_view reg_id)
{
    BST_TRY(segment_check(reg_id));
    return bst_view_copy(reg_id, client->reg_id, sizeof client->reg_id);
}

struct bst_view bst_mef_client_reg_id(const struct bst_mef_client *client)
{
    return bst_view(client->reg_id);
}

enum bst_mef_procedure bst_mef_client_pending(const struct bst_mef_client *client)
{
    return client->pending;
}

void bst_mef_client_cancel(struct bst_mef_client *client)
{
    client->pending = BST_MEF_NONE;
}

/* ---- requests ---- */

static bst_result begin(struct bst_mef_client *client, enum bst_mef_procedure procedure)
{
    bool needs_reg = procedure != BST_MEF_REGISTER && procedure != BST_MEF_KEY_RETRIEVE;
    if (client->pending != BST_MEF_NONE) {
        BST_FAIL(BST_E_USAGE, "an exchange with the MEF is under way");
    }
    if (needs_reg && !client->reg_id[0]) {
        BST_FAIL(BST_E_USAGE, "register with the MEF first");
    }
    bst_arena_reset(&client->asked);
    client->suid = 0;
    client->from_exporter = false;
    client->targets = (struct bst_m2m_views){0};
    client->relative_id = (struct bst_view){NULL, 0};
    return BST_OK;
}

static bst_result fresh_rqi(struct bst_mef_client *client)
{
    uint8_t random[16];
    BST_TRY(bst_random(random, sizeof random));
    bst_auto(buf) hex = {0};
    bst_hex_add(&hex, bst_view_of(random, sizeof random), false);
    BST_TRY(bst_buf_check(&hex));
    return bst_view_copy(bst_buf_view(&hex), client->rqi, sizeof client->rqi);
}

/* Fill what every request has; `segment` empty: the base resource. */
static bst_result compose(struct bst_mef_client *client, enum bst_mef_procedure procedure,
                          enum bst_m2m_op op, struct bst_view segment, struct bst_buf *content,
                          struct bst_arena *arena, struct bst_m2m_request *ret)
{
    struct bst_m2m_request req;
    bst_m2m_request_init(&req);
    BST_TRY(fresh_rqi(client));
    req.op = op;
    req.to = segment.len ? bst_arena_printf(arena, BST_SEC_BASE "/%.*s", BST_VIEW_ARGS(segment))
                         : BST_VIEW(BST_SEC_BASE);
    req.fr = bst_arena_view(arena, client->config.client_id);
    req.present |= BST_REQ_FR;
    req.rqi = bst_arena_view(arena, bst_view(client->rqi));
    req.rvi = BST_VIEW(RELEASE);
    req.release = bst_m2m_release_of(req.rvi);
    BST_ENSURE(req.to.ptr && req.fr.ptr && req.rqi.ptr, BST_E_NOMEM);
    if (content) {
        BST_TRY(bst_buf_check(content));
        req.pc_text = bst_arena_view(arena, bst_buf_view(content));
        BST_ENSURE(req.pc_text.ptr, BST_E_NOMEM);
        BST_TRY(bst_json_parse(arena, req.pc_text, BST_JSON_DEPTH, &req.pc));
    }
    client->pending = procedure;
    *ret = req;
    return BST_OK;
}

bst_result bst_mef_client_register(struct bst_mef_client *client, int64_t expires_us,
                                   const struct bst_m2m_views *labels, struct bst_arena *arena,
                                   struct bst_m2m_request *ret)
{
    BST_TRY(begin(client, BST_MEF_REGISTER));
    BST_ENSURE(expires_us > 0, BST_E_VALUE);
    bst_auto(buf) content = {0};
    bst_mmef_begin(&content, BST_SEC_ROOT_MEF_CLIENT_REG);
    bst_mmef_add_time(&content, BST_SEC_SN_EXPIRATION_TIME, expires_us);
    bst_mmef_add_list(&content, BST_SEC_SN_LABELS, labels);
    bst_mmef_add_text(&content, BST_SEC_SN_ADMIN_FQDN, client->config.admin_fqdn);
    bst_mmef_add_text(&content, BST_SEC_SN_FQDN, client->config.mef_fqdn);
    bst_mmef_end(&content);
    BST_TRY(compose(client, BST_MEF_REGISTER, BST_OP_CREATE, (struct bst_view){NULL, 0}, &content,
                    arena, ret));
    ret->ty = BST_SEC_TY_MEF_CLIENT_REG;
    return BST_OK;
}

bst_result bst_mef_client_configuration(struct bst_mef_client *client, struct bst_arena *arena,
                                        struct bst_m2m_request *ret)
{
    BST_TRY(begin(client, BST_MEF_CONFIGURATION));
    return compose(client, BST_MEF_CONFIGURATION, BST_OP_RETRIEVE, bst_view(client->reg_id), NULL,
                   arena, ret);
}

bst_result bst_mef_client_update(struct bst_mef_client *client, int64_t expires_us,
                                 const struct bst_m2m_views *labels, struct bst_arena *arena,
                                 struct bst_m2m_request *ret)
{
    BST_TRY(begin(client, BST_MEF_UPDATE));
    BST_ENSURE(expires_us > 0 || labels, BST_E_VALUE);
    bst_auto(buf) content = {0};
    bst_mmef_begin(&content, BST_SEC_ROOT_MEF_CLIENT_REG);
    bst_mmef_add_time(&content, BST_SEC_SN_EXPIRATION_TIME, expires_us);
    bst_mmef_add_list(&content, BST_SEC_SN_LABELS, labels);
    bst_mmef_end(&content);
    return compose(client, BST_MEF_UPDATE, BST_OP_UPDATE, bst_view(client->reg_id), &content, arena,
                   ret);
}

bst_result bst_mef_client_deregister(struct bst_mef_client *client, struct bst_arena *arena,
                                     struct bst_m2m_request *ret)
{
    BST_TRY(begin(client, BST_MEF_DEREGISTER));
    return compose(client, BST_MEF_DEREGISTER, BST_OP_DELETE, bst_view(client->reg_id), NULL, arena,
                   ret);
}

/* [TS-0003, 8.3.5.2.7] one absolute id, but for ESData keys; 21 names a MAF, which has an FQDN */
static bst_result targets_check(const struct bst_mef_client *client,
                                const struct bst_mef_key_wish *wish, int suid)
{
    if (!wish->n_targets || (wish->n_targets > 1 && !bst_suid_many_targets(suid))) {
        BST_FAIL(BST_E_VALUE, "a key with SUID %d has exactly one target", suid);
    }
    for (size_t i = 0; i < wish->n_targets; i++) {
        struct bst_entity_id id;
        bool maf = suid == BST_SUID_MEF_KEY_MAF && bst_fqdn_valid(wish->targets[i]);
        if (!maf && (bst_failed(bst_entity_parse(&client->config.self, wish->targets[i], &id)) ||
                     id.form != BST_FORM_ABSOLUTE)) {
            BST_FAIL(BST_E_VALUE, "target '%.*s' is not an absolute CSE-ID or AE-ID",
                     BST_VIEW_ARGS(wish->targets[i]));
        }
    }
    return BST_OK;
}

static bst_result remember_targets(struct bst_mef_client *client,
                                   const struct bst_mef_key_wish *wish)
{
    struct bst_view *copy = bst_arena_alloc(&client->asked, (wish->n_targets + 1) * sizeof *copy);
    BST_ENSURE(copy, BST_E_NOMEM);
    for (size_t i = 0; i < wish->n_targets; i++) {
        copy[i] = bst_arena_view(&client->asked, wish->targets[i]);
        BST_ENSURE(copy[i].ptr, BST_E_NOMEM);
    }
    client->targets = (struct bst_m2m_views){copy, wish->n_targets};
    return BST_OK;
}

static bst_result remember_key(struct bst_mef_client *client, struct bst_view relative_id)
{
    BST_TRY(segment_check(relative_id));
    client->relative_id = bst_arena_view(&client->asked, relative_id);
    BST_ENSURE(client->relative_id.ptr, BST_E_NOMEM);
    return BST_OK;
}

static void add_targets(struct bst_buf *content, const struct bst_mef_client *client)
{
    bst_mmef_add_list(content, BST_SEC_SN_TARGET_IDS, client->targets.n ? &client->targets : NULL);
}

bst_result bst_mef_client_key_register(struct bst_mef_client *client,
                                       const struct bst_mef_key_wish *wish, struct bst_arena *arena,
                                       struct bst_m2m_request *ret)
{
    BST_TRY(begin(client, BST_MEF_KEY_REGISTER));
    if (!bst_suid_is_mef_key(wish->suid) || wish->expires_us <= 0) {
        BST_FAIL(BST_E_VALUE, "a MEF distributes keys with SUID 21 to 25 and an expiration, not %d",
                 wish->suid);
    }
    BST_TRY(targets_check(client, wish, wish->suid));
    BST_TRY(remember_targets(client, wish));
    struct bst_buf content = {0};
    bst_mmef_begin(&content, BST_SEC_ROOT_SYMM_KEY_REG);
    bst_mmef_add_time(&content, BST_SEC_SN_EXPIRATION_TIME, wish->expires_us);
    bst_mmef_add_list(&content, BST_SEC_SN_LABELS, wish->labels);
    bst_mmef_add_text(&content, BST_SEC_SN_ADMIN_FQDN, client->config.admin_fqdn);
    bst_mmef_add_text(&content, BST_SEC_SN_FQDN, client->config.mef_fqdn);
    bst_mmef_add_number(&content, BST_SEC_SN_SUID, wish->suid);
    add_targets(&content, client);
    if (wish->value) {
        bst_mmef_add_key(&content, wish->value);
    }
    bst_mmef_end(&content);
    bst_result r = compose(client, BST_MEF_KEY_REGISTER, BST_OP_CREATE, (struct bst_view){NULL, 0},
                           &content, arena, ret);
    bst_buf_wipe(&content);
    BST_TRY(r);
    ret->ty = BST_SEC_TY_SYMM_KEY_REG;
    client->suid = wish->suid;
    client->from_exporter = !wish->value;
    return BST_OK;
}

bst_result bst_mef_client_key_retrieve(struct bst_mef_client *client,
                                       struct bst_view relative_key_id, int suid,
                                       struct bst_arena *arena, struct bst_m2m_request *ret)
{
    BST_TRY(begin(client, BST_MEF_KEY_RETRIEVE));
    BST_TRY(remember_key(client, relative_key_id));
    client->suid = suid;
    return compose(client, BST_MEF_KEY_RETRIEVE, BST_OP_RETRIEVE, client->relative_id, NULL, arena,
                   ret);
}

bst_result bst_mef_client_key_update(struct bst_mef_client *client, struct bst_view relative_key_id,
                                     const struct bst_mef_key_wish *wish, struct bst_arena *arena,
                                     struct bst_m2m_request *ret)
{
    BST_TRY(begin(client, BST_MEF_KEY_UPDATE));
    BST_TRY(remember_key(client, relative_key_id));
    BST_ENSURE(wish->expires_us > 0 || wish->labels || wish->n_targets, BST_E_VALUE);
    if (wish->n_targets) {
        BST_TRY(targets_check(client, wish, wish->suid));
        BST_TRY(remember_targets(client, wish));
    }
    bst_auto(buf) content = {0};
    bst_mmef_begin(&content, BST_SEC_ROOT_SYMM_KEY_REG);
    bst_mmef_add_time(&content, BST_SEC_SN_EXPIRATION_TIME, wish->expires_us);
    bst_mmef_add_list(&content, BST_SEC_SN_LABELS, wish->labels);
    add_targets(&content, client);
    bst_mmef_end(&content);
    return compose(client, BST_MEF_KEY_UPDATE, BST_OP_UPDATE, client->relative_id, &content, arena,
                   ret);
}

bst_result bst_mef_client_key_deregister(struct bst_mef_client *client,
                                         struct bst_view relative_key_id, struct bst_arena *arena,
                                         struct bst_m2m_request *ret)
{
    BST_TRY(begin(client, BST_MEF_KEY_DEREGISTER));
    BST_TRY(remember_key(client, relative_key_id));
    return compose(client, BST_MEF_KEY_DEREGISTER, BST_OP_DELETE, client->relative_id, NULL, arena,
                   ret);
}

/* ---- answers ---- */

static bst_result refused(const struct bst_m2m_response *rsp)
{
    static const struct {
        int rsc;
        enum bst_error code;
    } codes[] = {
        {4000, BST_E_VALUE},
        {4004, BST_E_NOT_FOUND},
        {4005, BST_E_OPERATION},
        {4102, BST_E_CONTENTS},
        {4103, BST_E_DENIED},
        {4105, BST_E_CONFLICT},
        {4106, BST_E_NOT_AUTHENTICATED},
        {4107, BST_E_ASSOCIATION_REQUIRED},
        {4117, BST_E_ALREADY_REGISTERED},
    };
    enum bst_error code = BST_E_IO;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        code = codes[i].rsc == rsp->rsc ? codes[i].code : code;
    }
    code = rsp->retry_s ? BST_E_BUSY : code;
    struct bst_view why = rsp->debug.len ? rsp->debug : rsp->pc;
    BST_FAIL(code, "the MEF answered %d %s%s%.*s", rsp->rsc, bst_m2m_rsc_name(rsp->rsc),
             why.len ? ": " : "", (int)(why.len > 160 ? 160 : why.len), why.ptr ? why.ptr : "");
}

static bst_result contradicts(const char *what, struct bst_view got)
{
    BST_FAIL(BST_E_CREDENTIAL, "the MEF's answer contradicts the request: %s is '%.*s'", what,
             BST_VIEW_ARGS(got));
}

static bst_result expiry(const struct bst_mmef_answer *a, int64_t now_us, bool needed,
                         struct bst_mef_outcome *out)
{
    if (!a->has_expires && !needed) {
        return BST_OK;
    }
    if (!a->has_expires) {
        BST_FAIL(BST_E_SYNTAX, "the MEF's answer has no expirationTime");
    }
    if (a->expires_us <= now_us) {
        BST_FAIL(BST_E_EXPIRED, "the MEF's answer expires in the past");
    }
    out->expires_us = a->expires_us;
    return BST_OK;
}

static bool is_self(const struct bst_mef_client *client, struct bst_view id)
{
    struct bst_entity_id got, own;
    if (bst_view_eq(id, client->config.client_id)) {
        return true; /* a Node-ID has a form of its own */
    }
    return !bst_failed(bst_entity_parse(&client->config.self, id, &got)) &&
           !bst_failed(bst_entity_parse(&client->config.self, client->config.client_id, &own)) &&
           bst_view_eq(bst_entity_abs(&got), bst_entity_abs(&own));
}

static bst_result stakeholder(const struct bst_mef_client *client, const struct bst_mmef_answer *a)
{
    return bst_view_eq_nocase(a->admin, client->config.admin_fqdn)
               ? BST_OK
               : contradicts("adminFQDN", a->admin);
}

static bst_result take_registration(struct bst_mef_client *client, const struct bst_mmef_answer *a,
                                    int64_t now_us, struct bst_mef_outcome *out)
{
    BST_TRY(segment_check(a->id));
    if (!is_self(client, a->creator)) {
        return contradicts("the client", a->creator);
    }
    BST_TRY(stakeholder(client, a));
    BST_TRY(expiry(a, now_us, true, out));
    BST_TRY(bst_view_copy(a->id, client->reg_id, sizeof client->reg_id));
    out->reg_id = a->id;
    out->client_id = a->creator;
    return BST_OK;
}

static bool same_targets(const struct bst_m2m_views *a, const struct bst_m2m_views *b)
{
    for (size_t i = 0; i < a->n; i++) {
        size_t k = 0;
        while (k < b->n && !bst_view_eq(a->v[i], b->v[k])) {
            k++;
        }
        if (k == b->n) {
            return false;
        }
    }
    return a->n == b->n;
}

static bst_result take_targets(const struct bst_mef_client *client, const struct bst_mmef_answer *a,
                               struct bst_mef_outcome *out)
{
    if (!client->config.allow_changed_targets && !same_targets(&a->targets, &client->targets)) {
        return contradicts("targetIDs", a->targets.n ? a->targets.v[0] : BST_VIEW("empty"));
    }
    out->targets = a->targets;
    return BST_OK;
}

static bst_result take_key_id(const struct bst_mef_client *client, struct bst_view relative_id,
                              struct bst_mef_outcome *out)
{
    BST_TRY(segment_check(relative_id));
    size_t len = relative_id.len + 1 + client->config.mef_fqdn.len;
    BST_ENSURE(len < sizeof out->key_id, BST_E_TOO_LONG);
    memcpy(out->key_id, relative_id.ptr, relative_id.len);
    out->key_id[relative_id.len] = '@';
    out->relative_key_id = relative_id;
    return bst_view_copy(client->config.mef_fqdn, out->key_id + relative_id.len + 1,
                         sizeof out->key_id - relative_id.len - 1);
}

static bst_result suid_check(const struct bst_mef_client *client, const struct bst_mmef_answer *a)
{
    if (a->suid != client->suid) {
        BST_FAIL(BST_E_CREDENTIAL, "the MEF's key is for SUID %lld, not for %d", (long long)a->suid,
                 client->suid);
    }
    return BST_OK;
}

static bst_result take_key_registration(struct bst_mef_client *client,
                                        const struct bst_mmef_answer *a, int64_t now_us,
                                        struct bst_mef_outcome *out)
{
    if (!is_self(client, a->creator)) {
        return contradicts("the source", a->creator);
    }
    BST_TRY(stakeholder(client, a));
    BST_TRY(suid_check(client, a));
    BST_TRY(take_targets(client, a, out));
    BST_TRY(expiry(a, now_us, true, out));
    out->suid = client->suid;
    out->from_exporter = client->from_exporter;
    return take_key_id(client, a->id, out);
}

static bst_result take_key(struct bst_mef_client *client, const struct bst_mmef_answer *a,
                           int64_t now_us, struct bst_mef_outcome *out)
{
    if (a->id.len && !bst_view_eq_nocase(a->id, client->relative_id)) {
        return contradicts("the key", a->id);
    }
    BST_TRY(suid_check(client, a));
    BST_TRY(expiry(a, now_us, true, out));
    BST_ENSURE(a->creator.len, BST_E_SYNTAX);
    BST_TRY(bst_mmef_key_value(a->key, &out->value));
    out->source_id = a->creator;
    out->suid = client->suid;
    return take_key_id(client, client->relative_id, out);
}

static bst_result take_content(struct bst_mef_client *client, enum bst_mef_procedure procedure,
                               const struct bst_mmef_answer *a, int64_t now_us,
                               struct bst_mef_outcome *out)
{
    switch (procedure) {
    case BST_MEF_REGISTER:
        return take_registration(client, a, now_us, out);
    case BST_MEF_CONFIGURATION:
        return expiry(a, now_us, true, out);
    case BST_MEF_UPDATE:
        return expiry(a, now_us, false, out);
    case BST_MEF_KEY_REGISTER:
        return take_key_registration(client, a, now_us, out);
    case BST_MEF_KEY_RETRIEVE:
        return take_key(client, a, now_us, out);
    case BST_MEF_KEY_UPDATE:
        if (client->targets.n) {
            BST_TRY(take_targets(client, a, out));
        }
        return expiry(a, now_us, false, out);
    default:
        return BST_OK;
    }
}

static int expected_rsc(enum bst_mef_procedure procedure)
{
    switch (procedure) {
    case BST_MEF_REGISTER:
    case BST_MEF_KEY_REGISTER:
        return BST_RSC_CREATED;
    case BST_MEF_CONFIGURATION:
    case BST_MEF_KEY_RETRIEVE:
        return BST_RSC_OK;
    case BST_MEF_UPDATE:
    case BST_MEF_KEY_UPDATE:
        return BST_RSC_UPDATED;
    default:
        return BST_RSC_DELETED;
    }
}

static const char *expected_root(enum bst_mef_procedure procedure)
{
    switch (procedure) {
    case BST_MEF_REGISTER:
    case BST_MEF_CONFIGURATION:
    case BST_MEF_UPDATE:
        return BST_SEC_ROOT_MEF_CLIENT_REG;
    case BST_MEF_KEY_REGISTER:
    case BST_MEF_KEY_RETRIEVE:
    case BST_MEF_KEY_UPDATE:
        return BST_SEC_ROOT_SYMM_KEY_REG;
    default:
        return NULL; /* the answer to a DELETE has no content */
    }
}

bst_result bst_mef_client_take(struct bst_mef_client *client, const struct bst_m2m_response *rsp,
                               int64_t now_us, struct bst_arena *arena, struct bst_mef_outcome *ret)
{
    enum bst_mef_procedure procedure = client->pending;
    BST_ENSURE(procedure != BST_MEF_NONE, BST_E_USAGE);
    client->pending = BST_MEF_NONE;
    if (!bst_view_is(rsp->rqi, client->rqi)) {
        BST_FAIL(BST_E_SYNTAX, "the MEF answered another request");
    }
    if (!bst_m2m_rsc_is_success(rsp->rsc)) {
        return refused(rsp);
    }
    if (rsp->rsc != expected_rsc(procedure)) {
        BST_FAIL(BST_E_SYNTAX, "the MEF answered %d, not %d", rsp->rsc, expected_rsc(procedure));
    }
    struct bst_mef_outcome out = {.procedure = procedure};
    struct bst_mmef_answer answer = {0};
    const char *root = expected_root(procedure);
    if (root) {
        BST_TRY(bst_mmef_answer_parse(rsp->pc, root, arena, &answer));
    }
    bst_result r = take_content(client, procedure, &answer, now_us, &out);
    bst_mmef_answer_wipe(&answer);
    if (bst_failed(r)) {
        bst_mef_outcome_clear(&out);
        return r;
    }
    if (procedure == BST_MEF_DEREGISTER) {
        client->reg_id[0] = '\0';
    }
    *ret = out;
    return BST_OK;
}

void bst_mef_outcome_clear(struct bst_mef_outcome *outcome)
{
    bst_secret_clear(&outcome->value);
}
