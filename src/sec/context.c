/* Time windows, address ranges and regions.
 * TS-0004 V3.32, 7.4.9.1 and 6.3.5.27, 6.3.5.28; TS-0003 V3.18, 7.1.3. */
#include "sec/context.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <math.h>

/* ---- time patterns ---- */

struct field {
    const char *name;
    unsigned from, to;
};
static const struct field FIELDS[7] = {
    {"second", 0, 59}, {"minute", 0, 59},     {"hour", 0, 23},      {"day of month", 1, 31},
    {"month", 1, 12},  {"day of week", 0, 6}, {"year", 2000, 9999},
};
enum { YEAR = 6 };

struct range {
    unsigned from, to, step;
};

static bst_result number(const struct field *field, struct bst_view text, unsigned *ret)
{
    int64_t value;
    if (!text.len || !isdigit((unsigned char)text.ptr[0]) ||
        bst_failed(bst_parse_i64(text, &value))) {
        BST_FAIL(BST_E_SYNTAX, "%s: '%.*s' is not a number", field->name, BST_VIEW_ARGS(text));
    }
    if (value < field->from || value > field->to) {
        BST_FAIL(BST_E_VALUE, "%s: %.*s is not in %u to %u", field->name, BST_VIEW_ARGS(text),
                 field->from, field->to);
    }
    *ret = (unsigned)value;
    return BST_OK;
}

static bst_result step_of(const struct field *field, struct bst_view text, unsigned *ret)
{
    int64_t value;
    if (!text.len || !isdigit((unsigned char)text.ptr[0]) ||
        bst_failed(bst_parse_i64(text, &value)) || value < 1 || value > 9999) {
        BST_FAIL(BST_E_VALUE, "%s: '%.*s' is not a step", field->name, BST_VIEW_ARGS(text));
    }
    *ret = (unsigned)value;
    return BST_OK;
}

/* A number, a range, or a range or asterisk followed by a step. */
static bst_result element(const struct field *field, struct bst_view text, struct range *ret)
{
    struct bst_view step = text, body, low;
    bool has_step = bst_view_cut(&step, '/', &body);
    struct range r = {field->from, field->to, 1};
    struct bst_view high = body;
    bool is_range = bst_view_is(body, "*") || bst_view_cut(&high, '-', &low);
    if (bst_view_is(body, "*")) {
        is_range = has_step; /* a bare asterisk is a whole field, not an element */
    } else if (is_range) {
        BST_TRY(number(field, low, &r.from));
        BST_TRY(number(field, high, &r.to));
    } else {
        BST_TRY(number(field, body, &r.from));
        r.to = r.from;
    }
    if (has_step) {
        BST_TRY(step_of(field, step, &r.step));
    }
    if (r.from > r.to || (has_step && !is_range) || (!has_step && bst_view_is(body, "*"))) {
        BST_FAIL(BST_E_SYNTAX, "%s: '%.*s' is neither a number, a range nor a range with a step",
                 field->name, BST_VIEW_ARGS(text));
    }
    *ret = r;
    return BST_OK;
}

static bst_result add_years(const struct range *r, struct bst_crontab *out)
{
    if (out->n_years == sizeof out->years / sizeof out->years[0]) {
        BST_FAIL(BST_E_TOO_LONG, "year: more than %zu elements",
                 sizeof out->years / sizeof out->years[0]);
    }
    out->years[out->n_years++] =
        (struct bst_year_range){(uint16_t)r->from, (uint16_t)r->to, (uint16_t)r->step};
    return BST_OK;
}

static bst_result field_parse(unsigned index, struct bst_view text, struct bst_crontab *out,
                              uint64_t *ret_bits)
{
    const struct field *field = &FIELDS[index];
    *ret_bits = 0;
    if (bst_view_is(text, "*")) {
        *ret_bits = UINT64_MAX;
        return BST_OK;
    }
    struct bst_view rest = text, item;
    bool more = true;
    while (more) {
        more = bst_view_cut(&rest, ',', &item);
        struct range r = {0, 0, 1};
        BST_TRY(element(field, item, &r));
        if (index == YEAR) {
            BST_TRY(add_years(&r, out));
            continue;
        }
        for (unsigned v = r.from; v <= r.to; v += r.step) {
            *ret_bits |= UINT64_C(1) << v;
        }
    }
    return BST_OK;
}

static struct bst_view next_word(struct bst_view *rest)
{
    *rest = bst_view_trim(*rest);
    size_t n = 0;
    while (n < rest->len && rest->ptr[n] != ' ' && rest->ptr[n] != '\t') {
        n++;
    }
    struct bst_view word = {rest->ptr, n};
    *rest = bst_view_from(*rest, n);
    return word;
}

bst_result bst_crontab_parse(struct bst_view text, struct bst_crontab *ret)
{
    struct bst_crontab out = {0};
    uint64_t bits[7];
    struct bst_view rest = text;
    BST_ENSURE(text.len && text.len <= 1024, text.len ? BST_E_TOO_LONG : BST_E_SYNTAX);
    for (unsigned i = 0; i < 7; i++) {
        struct bst_view word = next_word(&rest);
        if (!word.len) {
            BST_FAIL(BST_E_SYNTAX, "a time pattern has 7 fields, the %s is missing",
                     FIELDS[i].name);
        }
        BST_TRY(field_parse(i, word, &out, &bits[i]));
    }
    if (bst_view_trim(rest).len) {
        BST_FAIL(BST_E_SYNTAX, "a time pattern has 7 fields, '%.*s' follows the year",
                 BST_VIEW_ARGS(bst_view_trim(rest)));
    }
    out.second = bits[0];
    out.minute = bits[1];
    out.hour = (uint32_t)bits[2];
    out.day = (uint32_t)bits[3];
    out.month = (uint16_t)bits[4];
    out.weekday = (uint8_t)bits[5];
    *ret = out;
    return BST_OK;
}

static bool year_match(const struct bst_crontab *pattern, unsigned year)
{
    if (!pattern->n_years) {
        return true;
    }
    for (unsigned i = 0; i < pattern->n_years; i++) {
        const struct bst_year_range *r = &pattern->years[i];
        if (year >= r->from && year <= r->to && (year - r->from) % r->step == 0) {
            return true;
        }
    }
    return false;
}

bool bst_crontab_match(const struct bst_crontab *pattern, const struct bst_calendar *at)
{
    return (pattern->second >> at->second & 1) && (pattern->minute >> at->minute & 1) &&
           (pattern->hour >> at->hour & 1) && (pattern->day >> at->day & 1) &&
           (pattern->month >> at->month & 1) && (pattern->weekday >> at->weekday & 1) &&
           year_match(pattern, (unsigned)at->year);
}

/* ---- addresses ---- */

static void unmap(struct bst_ip *ip)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (ip->family == 6 && memcmp(ip->bytes, mapped, sizeof mapped) == 0) {
        ip->family = 4;
        memmove(ip->bytes, ip->bytes + 12, 4);
        memset(ip->bytes + 4, 0, 12);
    }
}

static bst_result address(struct bst_view text, struct bst_ip *ret)
{
    char copy[INET6_ADDRSTRLEN + 1];
    struct bst_ip ip = {0};
    if (bst_failed(bst_view_copy(text, copy, sizeof copy))) {
        BST_FAIL(BST_E_SYNTAX, "not an IP address");
    }
    if (inet_pton(AF_INET, copy, ip.bytes) == 1) {
        ip.family = 4;
    } else if (inet_pton(AF_INET6, copy, ip.bytes) == 1) {
        ip.family = 6;
    } else {
        BST_FAIL(BST_E_SYNTAX, "'%s' is not an IP address", copy);
    }
    *ret = ip;
    return BST_OK;
}

bst_result bst_ip_parse(struct bst_view text, struct bst_ip *ret)
{
    BST_TRY(address(text, ret));
    unmap(ret);
    return BST_OK;
}

bst_result bst_cidr_parse(struct bst_view text, uint8_t family, struct bst_cidr *ret)
{
    struct bst_view suffix = text, body;
    bool has_suffix = bst_view_cut(&suffix, '/', &body);
    struct bst_cidr net = {0};
    BST_TRY(address(body, &net.ip));
    int64_t max = net.ip.family == 4 ? 32 : 128, bits = max;
    if (net.ip.family != family) {
        BST_FAIL(BST_E_VALUE, "'%.*s' is not an IPv%u address", BST_VIEW_ARGS(body), family);
    }
    if (has_suffix && (!suffix.len || suffix.len > 3 || !isdigit((unsigned char)suffix.ptr[0]) ||
                       bst_failed(bst_parse_i64(suffix, &bits)) || bits > max)) {
        BST_FAIL(BST_E_VALUE, "'%.*s' does not end in a prefix length up to %d",
                 BST_VIEW_ARGS(text), (int)max);
    }
    net.bits = (uint8_t)bits;
    if (net.ip.family == 6 && net.bits >= 96) {
        /* peers that arrive as ::ffff:a.b.c.d count as IPv4, so such a range does too */
        unmap(&net.ip);
        net.bits = net.ip.family == 4 ? (uint8_t)(net.bits - 96) : net.bits;
    }
    *ret = net;
    return BST_OK;
}

bool bst_cidr_match(const struct bst_cidr *net, const struct bst_ip *ip)
{
    if (!ip->family || ip->family != net->ip.family) {
        return false;
    }
    size_t whole = net->bits / 8;
    unsigned rest = net->bits % 8;
    if (memcmp(net->ip.bytes, ip->bytes, whole) != 0) {
        return false;
    }
    return rest == 0 || ((net->ip.bytes[whole] ^ ip->bytes[whole]) >> (8 - rest)) == 0;
}

/* ---- places ---- */

#define EARTH_RADIUS_M 6371008.8 /* mean radius of the IUGG */
#define RAD(degrees) ((degrees)*0.017453292519943295)

double bst_geo_distance_m(double lat1, double lon1, double lat2, double lon2)
{
    double s = sin(RAD(lat2 - lat1) / 2), t = sin(RAD(lon2 - lon1) / 2);
    double h = s * s + cos(RAD(lat1)) * cos(RAD(lat2)) * t * t;
    return 2 * EARTH_RADIUS_M * asin(sqrt(h > 1 ? 1 : h));
}

bool bst_region_match(const struct bst_region *region, const struct bst_location *at)
{
    if (!region->circle) {
        return at->country[0] && memcmp(region->country, at->country, 2) == 0;
    }
    return at->has_point && bst_geo_distance_m(region->latitude, region->longitude, at->latitude,
                                               at->longitude) <= region->radius_m;
}
