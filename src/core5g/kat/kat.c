/* Files of vectors: which family, each vector, the tally. */
#include "core5g/kat/kat_priv.h"

#include "crypto/kem.h"

#include <stdio.h>

#define DEPTH_MAX 8
#define HEX_DIGITS_MAX 10000

struct family {
    const char *file;   /* how names of its files begin */
    const char *family; /* how its member "family" begins */
    bst_result (*run)(struct kat *kat);
    const char *(*why_not)(void); /* NULL, or gives NULL: this build can run it */
};

static const char *no_kem(void)
{
    return bst_kem_provider() ? NULL : "ML-KEM-768 is not part of this build";
}

/* Longer beginnings before shorter ones. */
static const struct family families[] = {
    {"milenage256", "MILENAGE-256", kat_milenage256, NULL},
    {"milenage", "MILENAGE", kat_milenage, NULL},
    {"tuak", "TUAK", kat_tuak, NULL},
    {"kdf", "5G key hierarchy", kat_kdf, NULL},
    {"suci", "SUPI concealment", kat_suci, NULL},
    {"nea1", "128-NEA1", kat_air, NULL},
    {"nea2", "128-NEA2", kat_air, NULL},
    {"nea3", "128-NEA3", kat_air, NULL},
    {"nia1", "128-NIA1", kat_air, NULL},
    {"nia2", "128-NIA2", kat_air, NULL},
    {"nia3", "128-NIA3", kat_air, NULL},
    {"nea4", "256-NEA4", kat_air, NULL},
    {"nea5", "256-NEA5", kat_air, NULL},
    {"nea6", "256-NEA6", kat_air, NULL},
    {"nia4", "256-NIA4", kat_air, NULL},
    {"nia5", "256-NIA5", kat_air, NULL},
    {"nia6", "256-NIA6", kat_air, NULL},
    {"nca4", "256-NCA4", kat_air, NULL},
    {"nca5", "256-NCA5", kat_air, NULL},
    {"nca6", "256-NCA6", kat_air, NULL},
    {"snow3g-keystream", "SNOW 3G keystream", kat_snow3g, NULL},
    {"zuc128-keystream", "ZUC-128 keystream", kat_zuc128, NULL},
    {"mlkem768", "ML-KEM-768", kat_mlkem768, no_kem},
    {"jose", "JOSE", kat_jose, NULL},
};
#define FAMILIES (sizeof families / sizeof families[0])

/* ---- fields ---- */

bool kat_has(const struct kat *kat, const char *name)
{
    yyjson_val *member = bst_json_get(kat->vector, name);
    return member && !yyjson_is_null(member);
}

bst_result kat_text(const struct kat *kat, const char *name, struct bst_view *ret)
{
    return bst_json_string(kat->vector, name, ret);
}

bst_result kat_octets(const struct kat *kat, const char *name, struct bst_view *ret)
{
    struct bst_view text;
    BST_TRY(kat_text(kat, name, &text));
    if (text.len % 2 || text.len > HEX_DIGITS_MAX) {
        BST_FAIL(BST_E_VALUE, "field '%s': %zu hexadecimal digits", name, text.len);
    }
    char *out = bst_arena_alloc(kat->arena, text.len / 2 + 1);
    BST_ENSURE(out, BST_E_NOMEM);
    if (text.len && bst_failed(bst_hex_decode(text, out, text.len / 2))) {
        BST_FAIL(BST_E_VALUE, "field '%s' is not hexadecimal", name);
    }
    *ret = bst_view_of(out, text.len / 2);
    return BST_OK;
}

bst_result kat_sized(const struct kat *kat, const char *name, size_t min, size_t max,
                     struct bst_view *ret)
{
    BST_TRY(kat_octets(kat, name, ret));
    if (ret->len < min || ret->len > max) {
        BST_FAIL(BST_E_VALUE, "field '%s' has %zu octets instead of %zu to %zu", name, ret->len,
                 min, max);
    }
    return BST_OK;
}

bst_result kat_fixed(const struct kat *kat, const char *name, void *out, size_t len)
{
    struct bst_view octets;
    BST_TRY(kat_octets(kat, name, &octets));
    if (octets.len != len) {
        BST_FAIL(BST_E_VALUE, "field '%s' has %zu octets instead of %zu", name, octets.len, len);
    }
    memcpy(out, octets.ptr, len);
    return BST_OK;
}

bst_result kat_number(const struct kat *kat, const char *name, int64_t max, int64_t *ret)
{
    BST_TRY(bst_json_i64(kat->vector, name, ret));
    if (*ret < 0 || *ret > max) {
        BST_FAIL(BST_E_VALUE, "field '%s' is not a number from 0 to %lld", name, (long long)max);
    }
    return BST_OK;
}

bst_result kat_wants_valid(const struct kat *kat, bool *ret)
{
    struct bst_view result;
    BST_TRY(kat_text(kat, "result", &result));
    *ret = bst_view_is(result, "valid");
    if (!*ret && !bst_view_is(result, "invalid")) {
        BST_FAIL(BST_E_VALUE, "field 'result' is '%.*s'", BST_VIEW_ARGS(result));
    }
    return BST_OK;
}

bst_result kat_refused(struct kat *kat, bst_result outcome)
{
    if (outcome.code == BST_E_NOMEM || outcome.code == BST_E_INTERNAL) {
        return outcome;
    }
    if (!bst_failed(outcome)) {
        BST_FAIL(BST_E_VALUE, "what must be refused was accepted");
    }
    kat->answers++;
    return BST_OK;
}

bst_result kat_answer(struct kat *kat, const char *name, const void *got, size_t len)
{
    struct bst_view expected;
    if (!bst_json_get(kat->vector, name)) {
        return BST_OK;
    }
    BST_TRY(kat_octets(kat, name, &expected));
    kat->answers++;
    if (bst_view_eq(expected, bst_view_of(got, len))) {
        return BST_OK;
    }
    bst_auto(buf) a = {0}, b = {0};
    bst_hex_add(&a, expected, false);
    bst_hex_add(&b, bst_view_of(got, len), false);
    BST_FAIL(BST_E_VALUE, "field '%s' is %.*s%s, computed is %.*s%s", name,
             (int)(a.len < 64 ? a.len : 64), a.len ? a.ptr : "", a.len > 64 ? "..." : "",
             (int)(b.len < 64 ? b.len : 64), b.len ? b.ptr : "", b.len > 64 ? "..." : "");
}

/* ---- files ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bst_result find_family(const char *file, struct bst_view name, const struct family **ret)
{
    for (size_t i = 0; i < FAMILIES; i++) {
        if (bst_view_starts(name, bst_view(families[i].family))) {
            *ret = &families[i];
            return BST_OK;
        }
    }
    for (size_t i = 0; i < FAMILIES; i++) {
        if (bst_view_starts(bst_view(base_name(file)), bst_view(families[i].file))) {
            *ret = &families[i];
            return BST_OK;
        }
    }
    BST_FAIL(BST_E_VALUE, "%s: field 'family': '%.*s' is not known", file, BST_VIEW_ARGS(name));
}

/* Puts the name of the file before the sentence of a failure. */
static bst_result in_file(const char *file, bst_result r)
{
    if (bst_failed(r)) {
        char why[512];
        snprintf(why, sizeof why, "%s", bst_error_detail());
        BST_FAIL(r.code, "%s: %s", file, why[0] ? why : bst_error_text(r.code));
    }
    return BST_OK;
}

static bst_result read_file(const char *file, struct bst_view text, struct bst_arena *arena,
                            const struct family **ret_family, yyjson_val **ret_vectors)
{
    yyjson_val *root = NULL;
    struct bst_view name = {0};
    int64_t count = -1;
    BST_TRY(in_file(file, bst_json_parse(arena, text, DEPTH_MAX, &root)));
    BST_TRY(in_file(file, bst_json_string(root, "family", &name)));
    BST_TRY(in_file(file, bst_json_array(root, "vectors", ret_vectors)));
    BST_TRY(in_file(file, bst_json_opt_i64(root, "count", &count)));
    if (yyjson_arr_size(*ret_vectors) == 0) {
        BST_FAIL(BST_E_VALUE, "%s: field 'vectors' is empty", file);
    }
    if (count >= 0 && (size_t)count != yyjson_arr_size(*ret_vectors)) {
        BST_FAIL(BST_E_VALUE, "%s: field 'count' says %lld, there are %zu vectors", file,
                 (long long)count, yyjson_arr_size(*ret_vectors));
    }
    return find_family(file, name, ret_family);
}

static bst_result run_vector(const struct family *family, yyjson_val *vector,
                             struct bst_arena *arena)
{
    struct kat kat = {.vector = vector, .arena = arena, .family = family->file};
    if (!yyjson_is_obj(vector)) {
        BST_FAIL(BST_E_VALUE, "the vector is a %s, not an object", bst_json_kind(vector));
    }
    struct bst_view id;
    BST_TRY(kat_text(&kat, "id", &id));
    BST_TRY(family->run(&kat));
    if (kat.answers == 0) {
        BST_FAIL(BST_E_VALUE, "the vector has no answer that this family knows");
    }
    return BST_OK;
}

static void tell_failed(struct bst_kat_tally *tally, const char *file, yyjson_val *vector,
                        size_t at, bst_result r)
{
    char name[160], why[512];
    struct bst_view id = bst_json_view(bst_json_get(vector, "id"));
    snprintf(why, sizeof why, "%s", bst_error_detail());
    if (id.len) {
        snprintf(name, sizeof name, "%.*s", (int)(id.len < 150 ? id.len : 150), id.ptr);
    } else {
        snprintf(name, sizeof name, "number %zu", at + 1);
    }
    tally->failed++;
    if (tally->on_failed) {
        tally->on_failed(tally->ctx, file, name, why[0] ? why : bst_error_text(r.code));
    }
}

bst_result bst_kat_run(const char *file, struct bst_view text, struct bst_kat_tally *tally)
{
    bst_auto(arena) arena = {0};
    const struct family *family = NULL;
    yyjson_val *vectors = NULL, *vector;
    BST_TRY(read_file(file, text, &arena, &family, &vectors));
    const char *why_not = family->why_not ? family->why_not() : NULL;
    if (why_not) {
        tally->skipped += yyjson_arr_size(vectors);
        if (tally->on_skipped) {
            tally->on_skipped(tally->ctx, file, yyjson_arr_size(vectors), why_not);
        }
        return BST_OK;
    }
    yyjson_arr_iter iter;
    yyjson_arr_iter_init(vectors, &iter);
    for (size_t i = 0; (vector = yyjson_arr_iter_next(&iter)); i++) {
        bst_result r = run_vector(family, vector, &arena);
        if (bst_failed(r)) {
            tell_failed(tally, file, vector, i, r);
        } else {
            tally->passed++;
        }
    }
    return BST_OK;
}
