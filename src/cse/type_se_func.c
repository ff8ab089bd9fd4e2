/* Functions of the secure environment (TS-0016 7.5): <cipher> with <encrypt>, <decrypt> and
 * <generateKey>, <signature>, <hash>, <rand>, <identity>.
 *
 * A CREATE or UPDATE that carries the input runs the function; the answer carries the result. An
 * input is never kept; of the results, digests and signatures are. */
#include "cse/type_se.h"

#include "crypto/rand.h"

#define RANDOM_MAX 4096
#define CHALLENGE_MAX 1024

/* ---- algorithms (names of TS-0003 annex L; numbers are not in the edition at hand) ---- */

struct algorithm {
    const char *name;
    enum bst_md md;
    enum bst_key_type type; /* of its keys */
    uint32_t uses;
};

static const struct algorithm ciphers[] = {
    {"ALG_AEAD_AES_256_GCM", BST_MD_NONE, BST_KEY_SYMMETRIC, BST_KEY_USE_SEAL},
    {0},
};
static const struct algorithm signatures[] = {
    {"ALG_ECDSA_SHA_256", BST_MD_SHA256, BST_KEY_EC_P256, BST_KEY_USE_SIGN},
    {"ALG_ECDSA_SHA_384", BST_MD_SHA384, BST_KEY_EC_P384, BST_KEY_USE_SIGN},
    {"ALG_HMAC_SHA_256", BST_MD_NONE, BST_KEY_SYMMETRIC, BST_KEY_USE_MAC},
    {0},
};
static const struct algorithm hashes[] = {
    {"ALG_SHA_256", BST_MD_SHA256, 0, 0},
    {"ALG_SHA_384", BST_MD_SHA384, 0, 0},
    {"ALG_SHA_512", BST_MD_SHA512, 0, 0},
    {0},
};
static const struct algorithm agreements[] = {
    {"", BST_MD_NONE, BST_KEY_SYMMETRIC, BST_KEY_USE_DERIVE},
    {0},
};

static const struct {
    int ty;
    const char *sn; /* attribute that names the algorithm; NULL: there is one only */
    const struct algorithm *table;
} choices[] = {
    {BST_TY_CIPH, "Calg", ciphers},
    {BST_TY_SIGN, "Salg", signatures},
    {BST_TY_HASH, "Halg", hashes},
    {BST_TY_SECO, NULL, agreements},
};

static const struct algorithm *algorithms_of(int ty)
{
    size_t i = 0;
    while (i < sizeof choices / sizeof choices[0] - 1 && choices[i].ty != ty) {
        i++;
    }
    return choices[i].table;
}

/* The algorithm of a resource by the name that it has or will have; NULL: not supported. */
static const struct algorithm *algorithm_of(int ty, struct bst_view name)
{
    const struct algorithm *at = algorithms_of(ty);
    while (at->name && !bst_view_is(name, at->name)) {
        at++;
    }
    return at->name ? at : NULL;
}

static bst_result unknown_algorithm(int ty, struct bst_view name)
{
    bst_auto(buf) known = {0};
    for (const struct algorithm *at = algorithms_of(ty); at->name; at++) {
        bst_buf_addf(&known, "%s%s", known.len ? ", " : "", at->name);
    }
    BST_FAIL(BST_E_VALUE, "algorithm \"%.*s\" is not supported; there is %.*s",
             (int)(name.len > 40 ? 40 : name.len), name.ptr, (int)known.len, known.ptr);
}

static struct bst_view attribute_of_algorithm(int ty)
{
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        if (choices[i].ty == ty && choices[i].sn) {
            return bst_view(choices[i].sn);
        }
    }
    return (struct bst_view){0};
}

/* ---- members ---- */

/* The text of a member in the making; empty when it is absent. */
static struct bst_view text_of(struct bst_cse_op *op, const struct bst_cse_draft *draft,
                               const char *sn)
{
    yyjson_val *value;
    const struct bst_cse_member *m = bst_cse_members_find(&draft->members, bst_view(sn));
    if (!m || bst_failed(bst_json_parse(op->arena, m->text, 0, &value))) {
        return (struct bst_view){0};
    }
    return bst_json_view(value);
}

static bst_result octets(struct bst_cse_op *op, struct bst_view base64, const char *what,
                         struct bst_view *ret)
{
    bst_auto(buf) bytes = {0};
    *ret = (struct bst_view){0};
    if (!base64.len) {
        return BST_OK;
    }
    if (bst_failed(bst_base64_decode(base64, &bytes))) {
        BST_FAIL(BST_E_VALUE, "%s must be base64 text", what);
    }
    *ret = bst_arena_view(op->arena, bst_buf_view(&bytes));
    BST_ENSURE(ret->ptr, BST_E_NOMEM);
    return BST_OK;
}

static bst_result base64_of(struct bst_cse_op *op, struct bst_view bytes, struct bst_view *ret)
{
    struct bst_buf text = {0};
    bst_base64_add(&text, bytes);
    *ret = bst_arena_view(op->arena, bst_buf_view(&text));
    bst_buf_wipe(&text);
    BST_ENSURE(ret->ptr, BST_E_NOMEM);
    return BST_OK;
}

static bst_result set_octets(struct bst_cse_op *op, struct bst_cse_draft *draft, const char *sn,
                             struct bst_view bytes)
{
    struct bst_view text;
    BST_TRY(base64_of(op, bytes, &text));
    bst_cse_members_set_text(&draft->members, sn, text);
    return BST_OK;
}

static bool given(const struct bst_cse_draft *draft, const char *sn)
{
    return bst_json_get(draft->given, sn) != NULL;
}

static struct bst_cse_res *place(const struct bst_cse_draft *draft)
{
    return draft->old ? draft->old : draft->parent;
}

/* ---- what all have in common ---- */

/* The key that the draft names, if any, is there and made for this. */
static bst_result check_key(struct bst_cse_op *op, struct bst_cse_draft *draft, uint32_t uses,
                            struct bst_secure_key *ret)
{
    struct bst_view handle = text_of(op, draft, "kDt");
    *ret = (struct bst_secure_key){0};
    /* One that has gone meanwhile is looked at when it is used or named again. */
    bool concerns = given(draft, "kDt") || given(draft, "msg") || given(draft, "oAD");
    if (!handle.len || !concerns) {
        return BST_OK;
    }
    return given(draft, "kDt") ? bst_secure_named_key(op, place(draft), handle, uses, ret)
                               : bst_secure_key(op, place(draft), handle, uses, ret);
}

/* [7.5.1.4] what a resource made goes with it */
static bst_result deleted(struct bst_cse_op *op, struct bst_cse_res *res)
{
    return bst_secure_forget(op, res->row.id);
}

static bst_result needs_key(const struct bst_secure_key *key)
{
    if (!key->label) {
        BST_FAIL(BST_E_VALUE, "there is no key yet: UPDATE keyData (kDt), or generateKey (genk)");
    }
    return BST_OK;
}

/* ---- <cipher> ---- */

static bst_result cipher(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    struct bst_secure_key key;
    int64_t mbs;
    BST_TRY(bst_secure_draft(op, draft));
    struct bst_view name = text_of(op, draft, "Calg");
    const struct algorithm *algorithm = algorithm_of(BST_TY_CIPH, name);
    if (!algorithm) {
        return unknown_algorithm(BST_TY_CIPH, name);
    }
    if (yyjson_is_int(bst_json_get(draft->given, "mbs"))) {
        mbs = yyjson_get_sint(bst_json_get(draft->given, "mbs"));
        if (mbs > BST_SECURE_INPUT_MAX) {
            BST_FAIL(BST_E_VALUE, "maxByteSize (mbs) can be %d at most", BST_SECURE_INPUT_MAX);
        }
    }
    return check_key(op, draft, algorithm->uses, &key);
}

const struct bst_cse_type bst_cse_type_ciph = {
    .ty = BST_TY_CIPH,
    .governor = BST_GOVERN_INHERIT,
    .virtuals = 1u << BST_VIRT_ENCRYPT | 1u << BST_VIRT_DECRYPT | 1u << BST_VIRT_GENERATE_KEY,
    .create = cipher,
    .update = cipher,
    .deleted = deleted,
};

/* <algorithmSpecificParameter>: associated data of what is sealed and opened from now on. */
static bst_result parameter(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    struct bst_view data;
    BST_TRY(bst_secure_draft(op, draft));
    if (!draft->old) {
        BST_TRY(bst_secure_only_one(op, draft));
    }
    BST_TRY(octets(op, text_of(op, draft, "aD"), "associatedData (aD)", &data));
    if (data.len > CHALLENGE_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "associatedData (aD) has more than %d octets", CHALLENGE_MAX);
    }
    return BST_OK;
}

const struct bst_cse_type bst_cse_type_asp = {
    .ty = BST_TY_ASP,
    .governor = BST_GOVERN_INHERIT,
    .create = parameter,
    .update = parameter,
};

/* ---- <signature> ---- */

static void drop_results(struct bst_cse_draft *draft)
{
    static const char *const inputs[] = {"Salg", "kDt", "kInf", "Halg"};
    static const char *const results[] = {"Sgn", "vR", "Hv"};
    bool stale = false;
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        stale = stale || given(draft, inputs[i]);
    }
    for (size_t i = 0; stale && i < sizeof results / sizeof results[0]; i++) {
        bst_cse_members_remove(&draft->members, bst_view(results[i]));
    }
}

static bst_result sign(struct bst_cse_op *op, struct bst_cse_draft *draft,
                       struct bst_secure_work *work)
{
    if (!work->label) {
        return needs_key(&(struct bst_secure_key){0});
    }
    BST_TRY(bst_secure_run(op, work));
    bst_cse_members_remove(&draft->members, BST_VIEW("vR"));
    return set_octets(op, draft, "Sgn", bst_buf_view(&op->secure->out));
}

static bst_result verify(struct bst_cse_op *op, struct bst_cse_draft *draft,
                         struct bst_secure_work *work)
{
    bool mac = work->kind == BST_SECURE_MAC;
    BST_TRY(octets(op, text_of(op, draft, "kInf"), "keyInformation (kInf)", &work->public_key));
    BST_TRY(octets(op, text_of(op, draft, "Sgn"), "signature (Sgn)", &work->signature));
    if (mac ? !work->label : !work->label && !work->public_key.len) {
        return needs_key(&(struct bst_secure_key){0});
    }
    work->kind = mac ? BST_SECURE_VERIFY_MAC : BST_SECURE_VERIFY;
    BST_TRY(bst_secure_run(op, work));
    bst_cse_members_set(&draft->members, BST_VIEW("vR"),
                        op->secure->verified ? BST_VIEW("true") : BST_VIEW("false"));
    return BST_OK;
}

static bst_result signature(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    struct bst_secure_key key;
    struct bst_view message;
    BST_TRY(bst_secure_draft(op, draft));
    struct bst_view name = text_of(op, draft, "Salg");
    const struct algorithm *algorithm = algorithm_of(BST_TY_SIGN, name);
    if (!algorithm) {
        return unknown_algorithm(BST_TY_SIGN, name);
    }
    BST_TRY(check_key(op, draft, algorithm->uses, &key));
    if (key.label && key.type != algorithm->type) {
        BST_FAIL(BST_E_VALUE, "the key (kDt) is not one for %s", algorithm->name);
    }
    if (!given(draft, "msg")) {
        if (given(draft, "Sgn")) {
            BST_FAIL(BST_E_VALUE, "a signature (Sgn) is verified over a message (msg): send both");
        }
        drop_results(draft);
        return BST_OK;
    }
    BST_TRY(bst_secure_input(op, BST_SECURE_INPUT_MAX, &message));
    struct bst_secure_work work = {
        .kind = algorithm->type == BST_KEY_SYMMETRIC ? BST_SECURE_MAC : BST_SECURE_SIGN,
        .md = algorithm->md,
    };
    bst_secure_use(&work, &key, algorithm->uses);
    BST_TRY(bst_secure_owner(op, place(draft), &work.owner));
    BST_TRY(given(draft, "Sgn") ? verify(op, draft, &work) : sign(op, draft, &work));
    BST_ENSURE(!draft->members.failed, BST_E_NOMEM);
    return BST_OK;
}

const struct bst_cse_type bst_cse_type_sign = {
    .ty = BST_TY_SIGN,
    .governor = BST_GOVERN_INHERIT,
    .virtuals = 1u << BST_VIRT_GENERATE_KEY,
    .create = signature,
    .update = signature,
    .deleted = deleted,
};

/* ---- <hash> ---- */

static bst_result hash(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    struct bst_view message;
    uint8_t digest[BST_MD_MAX_BYTES];
    BST_TRY(bst_secure_draft(op, draft));
    struct bst_view name = text_of(op, draft, "Halg");
    const struct algorithm *algorithm = algorithm_of(BST_TY_HASH, name);
    if (!algorithm) {
        return unknown_algorithm(BST_TY_HASH, name);
    }
    drop_results(draft);
    if (!given(draft, "msg")) {
        return BST_OK;
    }
    /* No key: some microseconds, no work for the environment. */
    BST_TRY(bst_secure_input(op, BST_SECURE_INPUT_MAX, &message));
    BST_TRY(bst_digest(algorithm->md, &message, 1, digest));
    BST_TRY(set_octets(op, draft, "Hv", bst_view_of(digest, bst_md_bytes(algorithm->md))));
    BST_ENSURE(!draft->members.failed, BST_E_NOMEM);
    return BST_OK;
}

const struct bst_cse_type bst_cse_type_hash = {
    .ty = BST_TY_HASH,
    .governor = BST_GOVERN_INHERIT,
    .create = hash,
    .update = hash,
};

/* ---- <rand> ---- */

/* What must not be found in the store later is in the answer only. */
static bst_result answer_only(struct bst_cse_op *op, const char *sn, struct bst_view bytes)
{
    struct bst_view text;
    BST_TRY(base64_of(op, bytes, &text));
    op->extra = bst_arena_printf(op->arena, "\"%s\":\"%.*s\"", sn, (int)text.len, text.ptr);
    BST_ENSURE(op->extra.ptr, BST_E_NOMEM);
    return BST_OK;
}

static bst_result random_data(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    enum { SYSTEM_GENERATOR = 1 };
    yyjson_val *type = bst_json_get(draft->given, "rgT"), *size = bst_json_get(draft->given, "Dsz");
    uint8_t bytes[RANDOM_MAX];
    BST_TRY(bst_secure_draft(op, draft));
    if (type && yyjson_get_sint(type) != SYSTEM_GENERATOR) {
        BST_FAIL(BST_E_VALUE, "rngType (rgT) %lld is not supported; there is 1",
                 (long long)yyjson_get_sint(type));
    }
    if (!size) {
        return BST_OK;
    }
    if (yyjson_get_sint(size) > RANDOM_MAX) {
        BST_FAIL(BST_E_VALUE, "requestedDataSize (Dsz) can be %d at most", RANDOM_MAX);
    }
    size_t len = (size_t)yyjson_get_sint(size);
    BST_TRY(bst_random(bytes, len));
    bst_result r = answer_only(op, "rndD", bst_view_of(bytes, len));
    bst_wipe(bytes, sizeof bytes);
    return r;
}

const struct bst_cse_type bst_cse_type_rand = {
    .ty = BST_TY_RAND,
    .governor = BST_GOVERN_INHERIT,
    .create = random_data,
    .update = random_data,
};

/* ---- <identity> ---- */

/* What is signed says what it is for: an answer to a challenge serves nowhere else. */
static bst_result statement(struct bst_cse_op *op, const struct bst_cse_draft *draft,
                            struct bst_view challenge, struct bst_view *ret)
{
    static const char purpose[] = "TS-0016 identity"; /* with its NUL */
    struct bst_buf text = {0};
    bst_buf_add(&text, purpose, sizeof purpose);
    bst_buf_addv(&text, text_of(op, draft, "idN"));
    bst_buf_addc(&text, '\0');
    bst_buf_addv(&text, challenge);
    *ret = bst_arena_view(op->arena, bst_buf_view(&text));
    bst_buf_clear(&text);
    BST_ENSURE(ret->ptr, BST_E_NOMEM);
    return BST_OK;
}

static bst_result prove(struct bst_cse_op *op, struct bst_cse_draft *draft,
                        const struct bst_secure_key *key, struct bst_view challenge)
{
    struct bst_secure_work work = {0};
    BST_TRY(needs_key(key));
    work.kind = key->type == BST_KEY_SYMMETRIC ? BST_SECURE_MAC : BST_SECURE_SIGN;
    work.md = key->type == BST_KEY_EC_P384   ? BST_MD_SHA384
              : key->type == BST_KEY_EC_P256 ? BST_MD_SHA256
                                             : BST_MD_NONE;
    uint32_t needed = work.kind == BST_SECURE_MAC ? BST_KEY_USE_MAC : BST_KEY_USE_SIGN;
    if (!(key->uses & needed)) {
        BST_FAIL(BST_E_VALUE, "the key (kDt) can prove nothing: it neither signs nor makes MACs");
    }
    bst_secure_use(&work, key, needed);
    BST_TRY(statement(op, draft, challenge, &work.data));
    BST_TRY(bst_secure_run(op, &work));
    return answer_only(op, "rAD", bst_buf_view(&op->secure->out));
}

static bst_result identity(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    struct bst_secure_key key;
    struct bst_view challenge;
    BST_TRY(bst_secure_draft(op, draft));
    BST_TRY(check_key(op, draft, 0, &key));
    BST_TRY(
        octets(op, text_of(op, draft, "oAD"), "originatorAuthenticationData (oAD)", &challenge));
    bst_cse_members_remove(&draft->members, BST_VIEW("oAD"));
    if (challenge.len > CHALLENGE_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "originatorAuthenticationData (oAD) has more than %d octets",
                 CHALLENGE_MAX);
    }
    return challenge.len ? prove(op, draft, &key, challenge) : BST_OK;
}

const struct bst_cse_type bst_cse_type_iden = {
    .ty = BST_TY_IDEN,
    .governor = BST_GOVERN_INHERIT,
    .create = identity,
    .update = identity,
};

/* ---- <encrypt>, <decrypt>, <generateKey>: virtual, below what has the key ---- */

static const struct {
    enum bst_m2m_virtual virt;
    int ty;
} functions[] = {
    {BST_VIRT_ENCRYPT, BST_TY_ENCR},
    {BST_VIRT_DECRYPT, BST_TY_DECR},
    {BST_VIRT_GENERATE_KEY, BST_TY_GENK},
};

static int type_of_function(enum bst_m2m_virtual virt)
{
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (functions[i].virt == virt) {
            return functions[i].ty;
        }
    }
    return 0;
}

bool bst_secure_is_function(enum bst_m2m_virtual virt)
{
    return type_of_function(virt) != 0;
}

static bst_result attribute_of(struct bst_cse_op *op, struct bst_cse_res *res, const char *sn,
                               struct bst_view *ret)
{
    yyjson_val *value;
    BST_TRY(bst_cse_attr(op, res, sn, &value));
    *ret = bst_json_view(value);
    return BST_OK;
}

/* [7.5.1.5] associated data of the <algorithmSpecificParameter>, where there is one. */
static bst_result associated_data(struct bst_cse_op *op, struct bst_cse_res *res,
                                  struct bst_view *ret)
{
    struct bst_row row;
    struct bst_cse_res *parameters;
    struct bst_view text;
    *ret = (struct bst_view){0};
    BST_TRY(bst_resource_find_latest(op->conn, res->row.id, BST_TY_ASP, op->arena, &row));
    if (!row.id) {
        return BST_OK;
    }
    BST_TRY(bst_cse_res_new(op, &row, res, &parameters));
    BST_TRY(attribute_of(op, parameters, "aD", &text));
    return octets(op, text, "associatedData (aD)", ret);
}

static void put_octets(struct bst_cse_op *op, const char *sn, struct bst_view bytes)
{
    bst_buf_addf(&op->out, "\"%s\":\"", sn);
    bst_base64_add(&op->out, bytes);
    bst_buf_addc(&op->out, '"');
}

static bst_result crypt(struct bst_cse_op *op, struct bst_cse_res *res, bool seal)
{
    struct bst_view handle, data;
    struct bst_secure_key key = {0};
    struct bst_secure_work work = {.kind = seal ? BST_SECURE_SEAL : BST_SECURE_UNSEAL};
    int64_t mbs;
    BST_TRY(bst_cse_number(op, res, "mbs", BST_SECURE_INPUT_MAX, &mbs));
    BST_TRY(bst_secure_input(op, (size_t)mbs, &data));
    BST_TRY(attribute_of(op, res, "kDt", &handle));
    if (handle.len) {
        BST_TRY(bst_secure_key(op, res, handle, BST_KEY_USE_SEAL, &key));
    }
    BST_TRY(needs_key(&key));
    bst_secure_use(&work, &key, BST_KEY_USE_SEAL);
    BST_TRY(associated_data(op, res, &work.aad));
    BST_TRY(bst_secure_run(op, &work));
    if (op->rcn != BST_RCN_NOTHING) {
        bst_buf_addf(&op->out, "{\"m2m:%s\":{", op->content.type->sn);
        put_octets(op, "cD", bst_buf_view(&op->secure->out));
        bst_buf_adds(&op->out, "}}");
    }
    return bst_buf_check(&op->out);
}

/* The key becomes the keyData of what it was made for: an UPDATE like any other. */
static bst_result use_from_now_on(struct bst_cse_op *op, struct bst_cse_res *res,
                                  struct bst_view handle)
{
    const struct bst_cse_content asked = op->content;
    const int rcn = op->rcn;
    struct bst_view text = bst_arena_printf(op->arena, "{\"kDt\":\"%.*s\"}", BST_VIEW_ARGS(handle));
    BST_ENSURE(text.ptr, BST_E_NOMEM);
    BST_TRY(bst_json_parse(op->arena, text, 1, &op->content.members));
    op->content.type = res->type;
    op->rcn = BST_RCN_NOTHING;
    bst_result r = bst_cse_update(op);
    op->content = asked;
    op->rcn = rcn;
    return r;
}

static bst_result generate(struct bst_cse_op *op, struct bst_cse_res *res)
{
    struct bst_view sn = attribute_of_algorithm(res->row.ty), name = {0};
    struct bst_secure_work work = {.kind = BST_SECURE_GENERATE};
    if (sn.len) {
        BST_TRY(attribute_of(op, res, sn.ptr, &name));
    }
    const struct algorithm *algorithm = algorithm_of(res->row.ty, name);
    if (!algorithm) {
        return unknown_algorithm(res->row.ty, name);
    }
    work.type = algorithm->type;
    work.uses = algorithm->uses;
    BST_TRY(bst_secure_owner(op, res, &work.owner));
    BST_TRY(bst_secure_new_label(op, res, bst_json_view(bst_json_get(op->content.members, "kDt")),
                                 &work.made));
    BST_TRY(bst_secure_run(op, &work));
    BST_TRY(bst_secure_keep(op, res->row.id, work.made, (struct bst_view){0}));
    struct bst_view handle = bst_secure_handle(op, work.made);
    BST_ENSURE(handle.ptr, BST_E_NOMEM);
    BST_TRY(use_from_now_on(op, res, handle));
    if (op->rcn != BST_RCN_NOTHING) {
        bst_buf_addf(&op->out, "{\"m2m:%s\":{\"kDt\":\"%.*s\"", op->content.type->sn,
                     BST_VIEW_ARGS(handle));
        if (work.type != BST_KEY_SYMMETRIC) {
            bst_buf_addc(&op->out, ',');
            put_octets(op, "kInf", bst_buf_view(&op->secure->out));
        }
        bst_buf_adds(&op->out, "}}");
    }
    return bst_buf_check(&op->out);
}

bst_result bst_secure_function(struct bst_cse_op *op)
{
    const struct bst_cse_content *content = &op->content;
    struct bst_cse_res *res = op->target.res;
    if (!op->cse->config.se) {
        BST_FAIL(BST_E_NOT_IMPLEMENTED, "this CSE has no secure environment");
    }
    if (bst_failed(content->check)) {
        BST_FAIL(content->check.code, "%.*s", BST_VIEW_ARGS(content->detail));
    }
    if (content->type->ty != type_of_function(op->target.virt)) {
        BST_FAIL(BST_E_VALUE, "the content is a %s, the target is something else",
                 content->type->root);
    }
    if (op->target.virt == BST_VIRT_GENERATE_KEY) {
        return generate(op, res);
    }
    return crypt(op, res, op->target.virt == BST_VIRT_ENCRYPT);
}
