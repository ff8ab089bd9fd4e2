/* Values against the data types of TS-0004 6.3: simple types, enumerations, lists, complex types.
 *
 * JSON carries numbers and booleans as such (TS-0004 8.4), so a number in quotes is refused. */
#include "onem2m/address.h"
#include "onem2m/primitive.h"
#include "onem2m/tables_priv.h"

#include "base/time.h"

#include <stdarg.h>
#include <stdio.h>

static size_t path_text(const struct bst_m2m_path *path, char *out, size_t cap)
{
    size_t len = path->up ? path_text(path->up, out, cap) : 0;
    int n = path->index >= 0
                ? snprintf(out + len, cap - len, "[%ld]", path->index)
                : snprintf(out + len, cap - len, "%s%.*s", len ? "." : "",
                           (int)(path->name.len > 40 ? 40 : path->name.len), path->name.ptr);
    return n < 0 || len + (size_t)n >= cap ? cap - 1 : len + (size_t)n;
}

bst_result bst_m2m_path_fail(enum bst_error code, const struct bst_m2m_path *path,
                             const char *format, ...)
{
    char where[160] = "", what[240];
    path_text(path, where, sizeof where);
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    BST_FAIL(code, "%s: %s", where, what);
}

static const char *found(const yyjson_val *value, char out[64])
{
    struct bst_view text = bst_json_view(value);
    if (text.ptr) {
        bool cut = text.len > 40;
        size_t len = cut ? 40 : text.len;
        while (cut && len > 0 && ((unsigned char)text.ptr[len] & 0xc0) == 0x80) {
            len--;
        }
        snprintf(out, 64, "\"%.*s%s\"", (int)len, text.ptr, cut ? "..." : "");
        return out;
    }
    if (yyjson_is_uint((yyjson_val *)(uintptr_t)value)) {
        snprintf(out, 64, "%llu",
                 (unsigned long long)yyjson_get_uint((yyjson_val *)(uintptr_t)value));
        return out;
    }
    if (yyjson_is_sint((yyjson_val *)(uintptr_t)value)) {
        snprintf(out, 64, "%lld", (long long)yyjson_get_sint((yyjson_val *)(uintptr_t)value));
        return out;
    }
    return bst_json_kind(value);
}

static bst_result refuse(uint16_t type, yyjson_val *value, const struct bst_m2m_path *path)
{
    char text[64];
    return bst_m2m_path_fail(BST_E_VALUE, path, "must be %s, found %s",
                             bst_m2m_name_at(bst_m2m_datatypes[type].name), found(value, text));
}

/* Texts. Each takes a string that is not empty. */

static bool no_controls(struct bst_view v)
{
    for (size_t i = 0; i < v.len; i++) {
        if ((unsigned char)v.ptr[i] < 0x20 || v.ptr[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

/* xs:token: no controls, and blanks only one at a time between words. */
static bool is_token(struct bst_view v)
{
    bool edge = v.len && (v.ptr[0] == ' ' || v.ptr[v.len - 1] == ' ');
    return no_controls(v) && !edge && !memmem(v.ptr, v.len, "  ", 2);
}

static bool is_word(struct bst_view v)
{
    return no_controls(v) && !memchr(v.ptr, ' ', v.len);
}

static bool is_timestamp(struct bst_view v)
{
    int64_t us;
    return bst_m2m_time_parse(v, &us).code == BST_E_NONE;
}

static bool is_digits(struct bst_view v, size_t least, size_t most)
{
    if (v.len < least || v.len > most) {
        return false;
    }
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] < '0' || v.ptr[i] > '9') {
            return false;
        }
    }
    return true;
}

/* Numbers with units in the order given, each at most once; only seconds have a fraction. */
static bool in_unit_order(struct bst_view v, const char *units)
{
    while (v.len) {
        size_t i = 0, dots = 0;
        while (i < v.len && ((v.ptr[i] >= '0' && v.ptr[i] <= '9') || (v.ptr[i] == '.' && i))) {
            dots += v.ptr[i++] == '.';
        }
        if (i == 0 || i == v.len || v.ptr[i - 1] == '.') {
            return false;
        }
        const char *unit = strchr(units, v.ptr[i]);
        if (!unit || !*unit || (dots && (*unit != 'S' || dots > 1))) {
            return false;
        }
        units = unit + 1;
        v = bst_view_from(v, i + 1);
    }
    return true;
}

/* xs:duration without a sign: P[nY][nM][nD][T[nH][nM][n[.n]S]] with at least one part. */
static bool is_duration(struct bst_view v)
{
    struct bst_view time = bst_view_from(v, 1), date;
    bool has_time = bst_view_cut(&time, 'T', &date);
    return v.ptr[0] == 'P' && date.len + time.len > 0 && (!has_time || time.len > 0) &&
           in_unit_order(date, "YMD") && in_unit_order(time, "HMS");
}

static bool is_base64(struct bst_view v)
{
    size_t pad = 0;
    if (v.len % 4) {
        return false;
    }
    for (size_t i = 0; i < v.len; i++) {
        char c = v.ptr[i];
        bool digit = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '+' || c == '/';
        pad += c == '=';
        if ((!digit && c != '=') || (digit && pad) || pad > 2) {
            return false;
        }
    }
    return true;
}

static bool cut_prefix_length(struct bst_view *v, uint64_t most)
{
    struct bst_view rest = *v, head;
    uint64_t bits;
    if (!bst_view_cut(&rest, '/', &head)) {
        return true;
    }
    *v = head;
    return is_digits(rest, 1, 3) && bst_parse_u64(rest, &bits).code == BST_E_NONE && bits <= most;
}

static bool is_quad(struct bst_view v)
{
    for (int i = 0; i < 4; i++) {
        struct bst_view part;
        uint64_t n;
        bool more = bst_view_cut(&v, '.', &part);
        if (more != (i < 3) || !is_digits(part, 1, 3) ||
            bst_parse_u64(part, &n).code != BST_E_NONE || n > 255) {
            return false;
        }
    }
    return true;
}

static bool is_ipv4(struct bst_view v)
{
    return cut_prefix_length(&v, 32) && is_quad(v);
}

static bool is_hex_group(struct bst_view v)
{
    for (size_t i = 0; i < v.len; i++) {
        char c = (char)(v.ptr[i] | 0x20);
        if (!((v.ptr[i] >= '0' && v.ptr[i] <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
    }
    return v.len >= 1 && v.len <= 4;
}

/* Groups of one side of "::"; SIZE_MAX when one is malformed. */
static size_t count_groups(struct bst_view v)
{
    size_t n = 0;
    bool more = v.len > 0;
    while (more) {
        struct bst_view part;
        more = bst_view_cut(&v, ':', &part);
        bool quad = !more && memchr(part.ptr, '.', part.len) != NULL;
        if (quad ? !is_quad(part) : !is_hex_group(part)) {
            return SIZE_MAX;
        }
        n += quad ? 2 : 1;
    }
    return n;
}

/* RFC 4291 2.2: eight groups, one run of zero groups as "::", the last two may be a dotted quad. */
static bool is_ipv6(struct bst_view v)
{
    if (!cut_prefix_length(&v, 128) || v.len < 2 || v.len > 45) {
        return false;
    }
    const char *gap = memmem(v.ptr, v.len, "::", 2);
    if (!gap) {
        return count_groups(v) == 8;
    }
    size_t left_len = (size_t)(gap - v.ptr);
    struct bst_view right = bst_view_from(v, left_len + 2);
    size_t left = count_groups(bst_view_of(v.ptr, left_len)), rest = count_groups(right);
    return left <= 7 && rest <= 7 && left + rest <= 7 && !memchr(v.ptr, '.', left_len);
}

static bool is_country(struct bst_view v)
{
    return v.len == 2 && v.ptr[0] >= 'A' && v.ptr[0] <= 'Z' && v.ptr[1] >= 'A' && v.ptr[1] <= 'Z';
}

/* TS-0004 table 6.3.3-1: the transport protocol, "://", a host; no white space. */
static bool is_poa(struct bst_view v)
{
    struct bst_view rest = v, scheme;
    if (!is_word(v) || !bst_view_cut(&rest, ':', &scheme) || scheme.len == 0) {
        return false;
    }
    for (size_t i = 0; i < scheme.len; i++) {
        char c = (char)(scheme.ptr[i] | 0x20);
        bool digit =
            i > 0 && ((scheme.ptr[i] >= '0' && scheme.ptr[i] <= '9') || scheme.ptr[i] == '+' ||
                      scheme.ptr[i] == '-' || scheme.ptr[i] == '.');
        if (!(c >= 'a' && c <= 'z') && !digit) {
            return false;
        }
    }
    return bst_view_starts(rest, BST_VIEW("//")) && rest.len > 2;
}

static bool is_media(struct bst_view v)
{
    struct bst_view rest = v, type;
    return is_word(v) && bst_view_cut(&rest, '/', &type) && type.len > 0 && rest.len > 0 &&
           !memchr(v.ptr, ':', v.len);
}

/* The names of TS-0004 6.3.3; deployed AEs write the media types of earlier releases. */
static bool is_serialization(struct bst_view v)
{
    if (bst_view_starts(v, BST_VIEW("application/"))) {
        v = bst_view_from(v, sizeof "application/" - 1);
    }
    return bst_view_is(v, "json") || bst_view_is(v, "xml") || bst_view_is(v, "cbor");
}

/* <media type>:<encoding 0..2>[:<content security 0..5>] */
static bool is_content_info(struct bst_view v)
{
    struct bst_view rest = v, media, encoding;
    if (!bst_view_cut(&rest, ':', &media) || !is_media(media)) {
        return false;
    }
    bool more = bst_view_cut(&rest, ':', &encoding);
    return encoding.len == 1 && encoding.ptr[0] >= '0' && encoding.ptr[0] <= '2' &&
           (!more || (rest.len == 1 && rest.ptr[0] >= '0' && rest.ptr[0] <= '5'));
}

/* Seven fields (TS-0004 7.4.9.1); what they mean is read where schedules are evaluated. */
static bool is_schedule(struct bst_view v)
{
    int fields = 0;
    bool more = true;
    while (more) {
        struct bst_view field;
        more = bst_view_cut(&v, ' ', &field);
        if (field.len == 0) {
            return false;
        }
        for (size_t i = 0; i < field.len; i++) {
            if (!strchr("0123456789*,-/", field.ptr[i]) || !field.ptr[i]) {
                return false;
            }
        }
        fields++;
    }
    return fields == 7;
}

/* Compact JWS (3 parts) or JWE (5 parts), RFC 7515 7.1, RFC 7516 7.1. */
static bool is_jwt(struct bst_view v)
{
    int parts = 1;
    for (size_t i = 0; i < v.len; i++) {
        char c = v.ptr[i];
        if (c == '.') {
            parts++;
        } else if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_')) {
            return false;
        }
    }
    return (parts == 3 || parts == 5) && v.ptr[0] != '.';
}

static bool is_release(struct bst_view v)
{
    enum bst_m2m_release release = bst_m2m_release_of(v);
    return release != BST_RELEASE_NONE && release != BST_RELEASE_UNKNOWN;
}

static bool (*const text_checks[BST_KIND_COUNT])(struct bst_view) = {
    [BST_KIND_TOKEN] = is_token,
    [BST_KIND_NCNAME] = bst_m2m_is_ncname,
    [BST_KIND_URI] = is_word,
    [BST_KIND_ID] = bst_m2m_is_id,
    [BST_KIND_RESOURCE_NAME] = bst_m2m_is_resource_name,
    [BST_KIND_WORD] = is_word,
    [BST_KIND_TIMESTAMP] = is_timestamp,
    [BST_KIND_DURATION] = is_duration,
    [BST_KIND_BASE64] = is_base64,
    [BST_KIND_IPV4] = is_ipv4,
    [BST_KIND_IPV6] = is_ipv6,
    [BST_KIND_COUNTRY] = is_country,
    [BST_KIND_POA] = is_poa,
    [BST_KIND_MEDIA] = is_media,
    [BST_KIND_SERIALIZATION] = is_serialization,
    [BST_KIND_CONTENT_INFO] = is_content_info,
    [BST_KIND_SCHEDULE] = is_schedule,
    [BST_KIND_ISSUED_ID] = bst_m2m_is_role_id,
    [BST_KIND_JWT] = is_jwt,
    [BST_KIND_RELEASE] = is_release,
};

/* Values that are no text, or not only. */

static bool in_range(yyjson_val *value, int64_t low, int64_t high)
{
    if (yyjson_is_uint(value)) {
        uint64_t n = yyjson_get_uint(value);
        return n <= (uint64_t)INT64_MAX && (int64_t)n >= low && (int64_t)n <= high;
    }
    return yyjson_is_sint(value) && yyjson_get_sint(value) >= low && yyjson_get_sint(value) <= high;
}

static bool is_event_cat(yyjson_val *value, bool with_default)
{
    return in_range(value, 2, 4) || in_range(value, 100, 999) ||
           (with_default && in_range(value, 0, 0));
}

static bool is_absrel(yyjson_val *value)
{
    struct bst_view text = bst_json_view(value);
    int64_t us;
    /* A relative time is an integer, which JSON carries as a number; text is common, too. */
    return in_range(value, 0, INT64_MAX / 1000) ||
           (text.len && bst_m2m_time_parse_absrel(text, 1, &us).code == BST_E_NONE);
}

static bool is_enum(const struct bst_m2m_datatype *type, yyjson_val *value)
{
    const int32_t *values = bst_m2m_enum_values + type->first;
    size_t low = 0, high = type->count;
    if (!in_range(value, INT32_MIN, INT32_MAX)) {
        return false;
    }
    int32_t n = (int32_t)yyjson_get_sint(value);
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (values[mid] == n) {
            return true;
        }
        if (values[mid] < n) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return false;
}

static bool is_simple(const struct bst_m2m_datatype *type, yyjson_val *value)
{
    switch (type->kind) {
    case BST_KIND_ANY:
        return !yyjson_is_null(value);
    case BST_KIND_ANY_SIMPLE:
        return !yyjson_is_null(value) && !yyjson_is_ctn(value);
    case BST_KIND_STRING:
        return yyjson_is_str(value);
    case BST_KIND_BOOL:
        return yyjson_is_bool(value);
    case BST_KIND_INT:
        return in_range(value, type->low, type->high);
    case BST_KIND_FLOAT:
        return yyjson_is_num(value);
    case BST_KIND_ABSREL:
        return is_absrel(value);
    case BST_KIND_EVENT_CAT:
        return is_event_cat(value, false);
    case BST_KIND_EVENT_CAT_DEF:
        return is_event_cat(value, true);
    case BST_KIND_ENUM:
        return is_enum(type, value);
    default:
        return text_checks[type->kind] && yyjson_is_str(value) && yyjson_get_len(value) > 0 &&
               text_checks[type->kind](bst_json_view(value));
    }
}

static bst_result check_list(uint16_t index, yyjson_val *value, const struct bst_m2m_path *path)
{
    const struct bst_m2m_datatype *type = &bst_m2m_datatypes[index];
    if (!yyjson_is_arr(value)) {
        return refuse(index, value, path);
    }
    int64_t n = (int64_t)yyjson_arr_size(value);
    if (n < type->low || (type->high && n > type->high)) {
        return bst_m2m_path_fail(BST_E_VALUE, path, "%s with %lld elements is %s",
                                 bst_m2m_name_at(type->name), (long long)n,
                                 n < type->low ? "too short" : "too long");
    }
    struct bst_m2m_path here = {path, {NULL, 0}, 0};
    yyjson_arr_iter iter = yyjson_arr_iter_with(value);
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&iter)) != NULL; here.index++) {
        BST_TRY(bst_m2m_check_value(type->first, item, &here));
    }
    return BST_OK;
}

static bst_result missing_member(const struct bst_m2m_datatype *type, yyjson_val *value,
                                 const struct bst_m2m_path *path)
{
    const struct bst_m2m_attr *members = bst_m2m_members + type->first;
    for (size_t i = 0; i < type->count; i++) {
        if (members[i].create == BST_OPT_M && !bst_json_get(value, members[i].sn) &&
            members[i].sn[0] != '*') {
            return bst_m2m_path_fail(BST_E_SYNTAX, path, "mandatory member \"%s\" (%s) is missing",
                                     members[i].sn, bst_m2m_attr_name(&members[i]));
        }
    }
    return BST_OK;
}

static bst_result check_complex(uint16_t index, yyjson_val *value, const struct bst_m2m_path *path)
{
    const struct bst_m2m_datatype *type = &bst_m2m_datatypes[index];
    if (!yyjson_is_obj(value)) {
        return refuse(index, value, path);
    }
    yyjson_obj_iter iter = yyjson_obj_iter_with(value);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter)) != NULL;) {
        struct bst_m2m_path here = {path, bst_json_view(key), -1};
        const struct bst_m2m_attr *member =
            bst_m2m_attr_search(bst_m2m_members + type->first, type->count, here.name);
        if (!member && !type->low) {
            return bst_m2m_path_fail(BST_E_SYNTAX, &here, "%s has no such member",
                                     bst_m2m_name_at(type->name));
        }
        if (member) {
            BST_TRY(bst_m2m_check_value(member->type, yyjson_obj_iter_get_val(key), &here));
        }
    }
    return missing_member(type, value, path);
}

bst_result bst_m2m_check_value(uint16_t type, yyjson_val *value, const struct bst_m2m_path *path)
{
    switch (bst_m2m_datatypes[type].kind) {
    case BST_KIND_LIST:
        return check_list(type, value, path);
    case BST_KIND_COMPLEX:
        return check_complex(type, value, path);
    default:
        return is_simple(&bst_m2m_datatypes[type], value) ? BST_OK : refuse(type, value, path);
    }
}
