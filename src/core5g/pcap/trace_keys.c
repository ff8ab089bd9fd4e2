/* The key file of a trace: a JSON object; no member is unknown, no copy of a key stays behind. */
#include "core5g/pcap/trace.h"

#include "codec/json.h"
#include "core5g/kdf/kdf.h"
#include "crypto/digest.h"

#define DEPTH 5
#define T_REORDERING_MS_MAX 3000 /* the longest that TS 38.331 has */
#define STARTS_MAX (BST_TRACE_UES_MAX * 2 * (BST_PDCP_RB_MAX + 4))

static const char *const file_members[] = {"ues", "t_reordering_ms", NULL};
static const char *const ue_members[] = {"ueid",         "ciphering",    "integrity",  "combined",
                                         "mac_bits",     "emergency",    "starts",     "kgnb",
                                         "up_ciphering", "up_integrity", "kgnb_label", "krrcenc",
                                         "krrcint",      "kupenc",       "kupint",     NULL};
static const char *const start_members[] = {"plane", "rb", "direction", "count", NULL};

static bst_result refuse_unknown(yyjson_val *object, const char *const *known)
{
    if (!yyjson_is_obj(object)) {
        BST_FAIL(BST_E_VALUE, "the key file has a %s where an object belongs",
                 bst_json_kind(object));
    }
    yyjson_obj_iter iter = yyjson_obj_iter_with(object);
    for (yyjson_val *name; (name = yyjson_obj_iter_next(&iter));) {
        size_t i = 0;
        while (known[i] && !bst_view_is(bst_json_view(name), known[i])) {
            i++;
        }
        if (!known[i]) {
            BST_FAIL(BST_E_VALUE, "there is no member '%.*s'", BST_VIEW_ARGS(bst_json_view(name)));
        }
    }
    return BST_OK;
}

static bst_result take_number(yyjson_val *object, const char *name, int64_t min, int64_t max,
                              int64_t *ret)
{
    BST_TRY(bst_json_i64(object, name, ret));
    if (*ret < min || *ret > max) {
        BST_FAIL(BST_E_VALUE, "'%s' is %lld to %lld", name, (long long)min, (long long)max);
    }
    return BST_OK;
}

/* ---- algorithms ---- */

static bst_result take_algorithm(yyjson_val *ue, const char *name, enum bst_air_kind kind,
                                 uint8_t *ret)
{
    struct bst_view text;
    BST_TRY(bst_json_string(ue, name, &text));
    const struct bst_air_algorithm *row = bst_air_named(text);
    if (!row || row->kind != kind) {
        BST_FAIL(BST_E_VALUE,
                 "'%s' is no such algorithm: '%.*s'; bastide air algorithms lists them", name,
                 BST_VIEW_ARGS(text));
    }
    *ret = row->id;
    return BST_OK;
}

static bst_result take_suite(yyjson_val *ue, struct bst_trace_ue *ret)
{
    int64_t mac_bits = 8L * BST_PDCP_MAC_BYTES;
    BST_TRY(bst_json_opt_i64(ue, "mac_bits", &mac_bits));
    if (mac_bits < 8L * BST_PDCP_MAC_BYTES || mac_bits > 8L * BST_AIR_TAG_MAX || mac_bits % 8) {
        BST_FAIL(BST_E_VALUE, "'mac_bits' is 32, with algorithms 4 to 6 up to 128");
    }
    ret->suite.mac_bytes = (uint8_t)(mac_bits / 8);
    ret->up_ciphering = ret->up_integrity = true;
    BST_TRY(bst_json_opt_bool(ue, "up_ciphering", &ret->up_ciphering));
    BST_TRY(bst_json_opt_bool(ue, "up_integrity", &ret->up_integrity));
    BST_TRY(bst_json_opt_bool(ue, "emergency", &ret->suite.emergency));
    if (bst_json_get(ue, "combined")) {
        ret->suite.combined = true;
        return take_algorithm(ue, "combined", BST_AIR_NCA, &ret->suite.ciphering);
    }
    BST_TRY(take_algorithm(ue, "ciphering", BST_AIR_NEA, &ret->suite.ciphering));
    return take_algorithm(ue, "integrity", BST_AIR_NIA, &ret->suite.integrity);
}

/* ---- keys ---- */

struct octets {
    uint8_t at[BST_5G_KEY_BYTES];
    size_t len;
};

static bst_result take_octets(yyjson_val *ue, const char *name, struct octets *ret)
{
    struct bst_view text;
    BST_TRY(bst_json_string(ue, name, &text));
    ret->len = text.len / 2;
    bool ok =
        (text.len == 32 || text.len == 64) && !bst_failed(bst_hex_decode(text, ret->at, ret->len));
    if (!ok) {
        BST_FAIL(BST_E_VALUE, "'%s' is not 16 or 32 octets in hexadecimal", name);
    }
    return BST_OK;
}

/* One plane by its own keys. A key that nothing on this plane uses may be left out. */
static bst_result take_plane(yyjson_val *ue, const char *ciphering, const char *integrity,
                             const struct bst_trace_ue *row, bool up, struct bst_pdcp_keys *ret)
{
    struct octets enc = {.len = BST_5G_KEY_BYTES}, proof = {.len = BST_5G_KEY_BYTES};
    const bool enc_used = row->suite.ciphering && (!up || row->up_ciphering || row->suite.combined);
    const bool proof_used = row->suite.integrity && (!up || row->up_integrity);
    bst_result r = BST_OK;
    if (!bst_json_get(ue, ciphering) && !bst_json_get(ue, integrity)) {
        return BST_OK;
    }
    if (enc_used || bst_json_get(ue, ciphering)) {
        r = take_octets(ue, ciphering, &enc);
    }
    if (!bst_failed(r) && (proof_used || bst_json_get(ue, integrity))) {
        r = take_octets(ue, integrity, &proof);
    }
    if (!bst_failed(r)) {
        r = bst_pdcp_keys_init(ret, &row->suite, bst_view_of(enc.at, enc.len),
                               bst_view_of(proof.at, proof.len));
    }
    bst_wipe(&enc, sizeof enc);
    bst_wipe(&proof, sizeof proof);
    return r;
}

static bst_result derive_planes(yyjson_val *ue, struct bst_trace_ue *ret)
{
    struct octets kgnb = {0};
    bst_result r = take_octets(ue, "kgnb", &kgnb);
    struct bst_view key = bst_view_of(kgnb.at, kgnb.len);
    if (!bst_failed(r)) {
        r = bst_pdcp_keys_derive(&ret->rrc, &ret->suite, BST_PDCP_SRB, key);
    }
    if (!bst_failed(r)) {
        r = bst_pdcp_keys_derive(&ret->up, &ret->suite, BST_PDCP_DRB, key);
    }
    bst_wipe(&kgnb, sizeof kgnb);
    return r;
}

static bst_result find_inside(yyjson_val *ue, struct bst_se *se, bst_key *ret)
{
    char label[BST_KEY_LABEL_MAX + 1];
    struct bst_view text;
    BST_TRY(bst_json_string(ue, "kgnb_label", &text));
    BST_TRY(bst_view_copy(text, label, sizeof label));
    if (!se) {
        BST_FAIL(BST_E_USAGE, "'kgnb_label' wants a secure environment: name it");
    }
    BST_TRY(bst_se_key_find(se, label, ret));
    if (!*ret) {
        BST_FAIL(BST_E_NOT_FOUND, "the secure environment has no key '%s'", label);
    }
    return BST_OK;
}

static bst_result derive_inside(yyjson_val *ue, struct bst_se *se, struct bst_trace_ue *ret)
{
    bst_key key = 0;
    BST_TRY(find_inside(ue, se, &key));
    BST_TRY(bst_pdcp_keys_derive_se(&ret->rrc, &ret->suite, BST_PDCP_SRB, se, key));
    return bst_pdcp_keys_derive_se(&ret->up, &ret->suite, BST_PDCP_DRB, se, key);
}

static bst_result take_keys(yyjson_val *ue, struct bst_se *se, struct bst_trace_ue *ret)
{
    if (bst_json_get(ue, "kgnb_label")) {
        return derive_inside(ue, se, ret);
    }
    if (bst_json_get(ue, "kgnb")) {
        return derive_planes(ue, ret);
    }
    BST_TRY(take_plane(ue, "krrcenc", "krrcint", ret, false, &ret->rrc));
    BST_TRY(take_plane(ue, "kupenc", "kupint", ret, true, &ret->up));
    if (!ret->rrc.ciphering.algorithm && !ret->up.ciphering.algorithm) {
        BST_FAIL(BST_E_VALUE, "ueid %u has no key: give kgnb, kgnb_label, or keys of a plane",
                 ret->ueid);
    }
    return BST_OK;
}

/* ---- every device has keys of its own ----
 *
 * Under one key the same COUNT, BEARER and DIRECTION would come twice, and a PDU of one device
 * would pass for another's. */

#define TOLD_APART_BYTES 16 /* the last ones, which are all that a key of 128 bits has */

static const struct {
    const char *name;
    bool ciphering, integrity; /* what it serves */
} key_members[] = {
    {"kgnb", true, true},    {"krrcenc", true, false}, {"krrcint", false, true},
    {"kupenc", true, false}, {"kupint", false, true},  {"kgnb_label", true, true},
};
#define KEY_MEMBERS (sizeof key_members / sizeof key_members[0])

/* A key that was there before, known again by its digest. */
struct holder {
    uint8_t digest[BST_SHA256_BYTES];
    size_t entry;
    uint16_t ueid;
    const char *member;
};
struct holders {
    struct holder *list;
    size_t n;
};

static bst_result digest_of(struct bst_view key, void *out)
{
    const struct bst_view tail =
        key.len > TOLD_APART_BYTES ? bst_view_from(key, key.len - TOLD_APART_BYTES) : key;
    return bst_hmac_sha256(BST_VIEW("trace key"), &tail, 1, out);
}

static bst_result digest_inside(yyjson_val *ue, struct bst_se *se, uint8_t out[BST_SHA256_BYTES])
{
    static const struct bst_se_routine routine = {"comparison of keys", digest_of};
    bst_key key = 0;
    BST_TRY(find_inside(ue, se, &key));
    return bst_se_run(se, key, &routine, out);
}

static bst_result digest_member(yyjson_val *ue, const char *name, struct bst_se *se,
                                uint8_t out[BST_SHA256_BYTES])
{
    struct octets octets = {0};
    if (strcmp(name, "kgnb_label") == 0) {
        return digest_inside(ue, se, out);
    }
    bst_result r = take_octets(ue, name, &octets);
    if (!bst_failed(r)) {
        r = digest_of(bst_view_of(octets.at, octets.len), out);
    }
    bst_wipe(&octets, sizeof octets);
    return r;
}

static bst_result hold(struct holders *holders, const struct holder *new)
{
    for (size_t i = 0; i < holders->n; i++) {
        const struct holder *old = &holders->list[i];
        if (old->entry != new->entry &&
            bst_equal_ct(old->digest, new->digest, sizeof new->digest)) {
            BST_FAIL(
                BST_E_VALUE,
                "entry %zu of 'ues' (ueid %u) has as '%s' the key that entry %zu (ueid %u) has "
                "as '%s'; every device has keys of its own",
                new->entry, new->ueid, new->member, old->entry, old->ueid, old->member);
        }
    }
    holders->list[holders->n++] = *new;
    return BST_OK;
}

/* What no algorithm uses may be the same, such as zeros. */
static bst_result tell_apart(yyjson_val *ue, struct bst_se *se, const struct bst_trace_ue *row,
                             size_t entry, struct holders *holders)
{
    struct holder new = {.entry = entry, .ueid = row->ueid};
    for (size_t i = 0; i < KEY_MEMBERS; i++) {
        const bool used = (key_members[i].ciphering && row->suite.ciphering) ||
                          (key_members[i].integrity && row->suite.integrity);
        if (used && bst_json_get(ue, key_members[i].name)) {
            new.member = key_members[i].name;
            BST_TRY(digest_member(ue, new.member, se, new.digest));
            BST_TRY(hold(holders, &new));
        }
    }
    return BST_OK;
}

/* ---- where bearers begin ---- */

static bst_result take_start(yyjson_val *item, uint16_t ueid, struct bst_trace_start *ret)
{
    struct bst_view plane, direction, count;
    uint8_t octets[4];
    int64_t rb;
    BST_TRY(refuse_unknown(item, start_members));
    BST_TRY(bst_json_string(item, "plane", &plane));
    BST_TRY(bst_json_string(item, "direction", &direction));
    BST_TRY(bst_json_string(item, "count", &count));
    BST_TRY(take_number(item, "rb", 1, BST_PDCP_RB_MAX, &rb));
    const bool srb = bst_view_is(plane, "srb"), downlink = bst_view_is(direction, "downlink");
    if ((!srb && !bst_view_is(plane, "drb")) || (!downlink && !bst_view_is(direction, "uplink")) ||
        bst_failed(bst_hex_decode(count, octets, sizeof octets))) {
        BST_FAIL(BST_E_VALUE, "a start has plane srb or drb, direction uplink or downlink, and a "
                              "count of 8 hexadecimal digits");
    }
    *ret = (struct bst_trace_start){ueid, srb ? BST_PDCP_SRB : BST_PDCP_DRB, (uint8_t)rb,
                                    downlink ? BST_AIR_DOWNLINK : BST_AIR_UPLINK,
                                    (uint32_t)octets[0] << 24 | (uint32_t)octets[1] << 16 |
                                        (uint32_t)octets[2] << 8 | octets[3]};
    return BST_OK;
}

static bst_result take_starts(yyjson_val *ue, uint16_t ueid, struct bst_trace_keys *ret)
{
    yyjson_val *list = NULL, *item;
    size_t i, n;
    if (!bst_json_get(ue, "starts")) {
        return BST_OK;
    }
    BST_TRY(bst_json_array(ue, "starts", &list));
    BST_ENSURE(ret->n_starts + yyjson_arr_size(list) <= STARTS_MAX, BST_E_LIMIT);
    struct bst_trace_start *more =
        bst_realloc(ret->starts, (ret->n_starts + yyjson_arr_size(list) + 1) * sizeof *ret->starts);
    BST_ENSURE(more, BST_E_NOMEM);
    ret->starts = more;
    yyjson_arr_foreach(list, i, n, item)
    {
        BST_TRY(take_start(item, ueid, &ret->starts[ret->n_starts]));
        ret->n_starts++;
    }
    return BST_OK;
}

/* ---- the file ---- */

static bst_result take_ue(yyjson_val *item, struct bst_se *se, struct holders *holders,
                          struct bst_trace_keys *ret)
{
    struct bst_trace_ue *ue = &ret->ues[ret->n_ues];
    int64_t ueid;
    BST_TRY(refuse_unknown(item, ue_members));
    BST_TRY(take_number(item, "ueid", 0, UINT16_MAX, &ueid));
    for (size_t i = 0; i < ret->n_ues; i++) {
        if (ret->ues[i].ueid == ueid) {
            BST_FAIL(BST_E_VALUE, "ueid %lld stands there twice", (long long)ueid);
        }
    }
    ret->n_ues++; /* from here on it is cleared with the rest */
    ue->ueid = (uint16_t)ueid;
    BST_TRY(take_suite(item, ue));
    BST_TRY(take_keys(item, se, ue));
    BST_TRY(tell_apart(item, se, ue, ret->n_ues, holders));
    return take_starts(item, ue->ueid, ret);
}

static bst_result take_ues(yyjson_val *list, struct bst_se *se, struct bst_trace_keys *ret)
{
    yyjson_val *item;
    size_t i, n;
    const size_t room = (yyjson_arr_size(list) + 1) * KEY_MEMBERS * sizeof(struct holder);
    struct holders holders = {bst_alloc(room), 0};
    BST_ENSURE(holders.list, BST_E_NOMEM);
    bst_result r = BST_OK;
    yyjson_arr_foreach(list, i, n, item)
    {
        r = bst_failed(r) ? r : take_ue(item, se, &holders, ret);
    }
    bst_wipe(holders.list, room);
    bst_free(holders.list);
    return r;
}

static bst_result take_file(yyjson_val *root, struct bst_se *se, struct bst_trace_keys *ret)
{
    int64_t reordering_ms = T_REORDERING_MS_MAX;
    yyjson_val *list = NULL;
    BST_TRY(refuse_unknown(root, file_members));
    BST_TRY(bst_json_opt_i64(root, "t_reordering_ms", &reordering_ms));
    if (reordering_ms < 0 || reordering_ms > T_REORDERING_MS_MAX) {
        BST_FAIL(BST_E_VALUE, "'t_reordering_ms' is 0 to %d", T_REORDERING_MS_MAX);
    }
    ret->t_reordering_us = reordering_ms * 1000;
    BST_TRY(bst_json_array(root, "ues", &list));
    BST_ENSURE(yyjson_arr_size(list) <= BST_TRACE_UES_MAX, BST_E_LIMIT);
    ret->ues = bst_alloc((yyjson_arr_size(list) + 1) * sizeof *ret->ues);
    BST_ENSURE(ret->ues, BST_E_NOMEM);
    return take_ues(list, se, ret);
}

/* Keys stand in the file as text: none stays in the arena, whatever else was wrong. */
static void wipe_texts(yyjson_val *value)
{
    size_t i, n;
    yyjson_val *item, *name;
    if (yyjson_is_str(value)) {
        struct bst_view text = bst_json_view(value);
        bst_wipe((void *)(uintptr_t)text.ptr, text.len);
    }
    if (yyjson_is_arr(value)) {
        yyjson_arr_foreach(value, i, n, item)
        {
            wipe_texts(item);
        }
    }
    if (yyjson_is_obj(value)) {
        yyjson_obj_foreach(value, i, n, name, item)
        {
            wipe_texts(item);
        }
    }
}

bst_result bst_trace_keys_parse(struct bst_view text, struct bst_se *se, struct bst_trace_keys *ret)
{
    bst_auto(arena) arena = {0};
    bst_auto(trace_keys) keys = {0};
    yyjson_val *root = NULL;
    BST_ENSURE(text.len <= BST_TRACE_KEYFILE_MAX, BST_E_TOO_LONG);
    BST_TRY(bst_json_parse(&arena, text, DEPTH, &root));
    bst_result taken = take_file(root, se, &keys);
    wipe_texts(root);
    BST_TRY(taken);
    *ret = keys;
    keys = (struct bst_trace_keys){0};
    return BST_OK;
}

void bst_trace_keys_clear(struct bst_trace_keys *keys)
{
    for (size_t i = 0; i < keys->n_ues; i++) {
        bst_pdcp_keys_clear(&keys->ues[i].rrc);
        bst_pdcp_keys_clear(&keys->ues[i].up);
    }
    bst_free(keys->ues);
    bst_free(keys->starts);
    *keys = (struct bst_trace_keys){0};
}
