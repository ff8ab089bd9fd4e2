/* Views, buffers, numbers, alphabets. */
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>

bool bst_view_eq_nocase(struct bst_view a, struct bst_view b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        unsigned char x = (unsigned char)a.ptr[i], y = (unsigned char)b.ptr[i];
        x = x >= 'A' && x <= 'Z' ? (unsigned char)(x + 32) : x;
        y = y >= 'A' && y <= 'Z' ? (unsigned char)(y + 32) : y;
        if (x != y) {
            return false;
        }
    }
    return true;
}

int bst_view_cmp(struct bst_view a, struct bst_view b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.ptr, b.ptr, n) : 0;
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

struct bst_view bst_view_trim(struct bst_view v)
{
    while (v.len && (v.ptr[0] == ' ' || v.ptr[0] == '\t')) {
        v.ptr++;
        v.len--;
    }
    while (v.len && (v.ptr[v.len - 1] == ' ' || v.ptr[v.len - 1] == '\t')) {
        v.len--;
    }
    return v;
}

bool bst_view_cut(struct bst_view *rest, char sep, struct bst_view *ret_head)
{
    const char *at = rest->len ? memchr(rest->ptr, sep, rest->len) : NULL;
    if (!at) {
        *ret_head = *rest;
        *rest = (struct bst_view){rest->ptr ? rest->ptr + rest->len : NULL, 0};
        return false;
    }
    size_t head = (size_t)(at - rest->ptr);
    *ret_head = (struct bst_view){rest->ptr, head};
    *rest = bst_view_from(*rest, head + 1);
    return true;
}

bst_result bst_view_copy(struct bst_view v, char *out, size_t cap)
{
    BST_ENSURE(v.len < cap, BST_E_TOO_LONG);
    BST_ENSURE(!v.len || !memchr(v.ptr, '\0', v.len), BST_E_SYNTAX);
    if (v.len) {
        memcpy(out, v.ptr, v.len);
    }
    out[v.len] = '\0';
    return BST_OK;
}

bool bst_wildcard_match(struct bst_view pattern, struct bst_view text, char stop)
{
    /* Greedy with one point of return: linear in practice, quadratic at worst, no recursion. A
     * later star makes an earlier one irrelevant only if the earlier one cannot be blocked by
     * `stop`: the text between them is then already matched, so going back to the last star is
     * enough. */
    size_t p = 0, t = 0, star = SIZE_MAX, mark = 0;
    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            mark = t;
        } else if (p < pattern.len && pattern.ptr[p] == text.ptr[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX && !(stop && text.ptr[mark] == stop)) {
            p = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*') {
        p++;
    }
    return p == pattern.len;
}

bool bst_utf8_valid(struct bst_view v)
{
    const unsigned char *s = (const unsigned char *)v.ptr;
    size_t i = 0;
    while (i < v.len) {
        unsigned char c = s[i];
        if (c < 0x80) {
            i++;
            continue;
        }
        size_t more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
        if (c < 0xc2 || c > 0xf4 || v.len - i <= more) {
            return false;
        }
        unsigned char d = s[i + 1];
        unsigned char lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
        unsigned char hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        if (d < lo || d > hi) {
            return false;
        }
        for (size_t k = 2; k <= more; k++) {
            if ((s[i + k] & 0xc0) != 0x80) {
                return false;
            }
        }
        i += more + 1;
    }
    return true;
}

bst_result bst_parse_u64(struct bst_view v, uint64_t *ret)
{
    BST_ENSURE(v.len > 0, BST_E_SYNTAX);
    uint64_t n = 0;
    for (size_t i = 0; i < v.len; i++) {
        BST_ENSURE(v.ptr[i] >= '0' && v.ptr[i] <= '9', BST_E_SYNTAX);
        unsigned digit = (unsigned)(v.ptr[i] - '0');
        BST_ENSURE(n <= (UINT64_MAX - digit) / 10, BST_E_VALUE);
        n = n * 10 + digit;
    }
    *ret = n;
    return BST_OK;
}

bst_result bst_parse_i64(struct bst_view v, int64_t *ret)
{
    bool minus = v.len > 0 && v.ptr[0] == '-';
    uint64_t n;
    BST_TRY(bst_parse_u64(bst_view_from(v, minus), &n));
    BST_ENSURE(n <= (uint64_t)INT64_MAX + minus, BST_E_VALUE);
    *ret = minus ? (int64_t)(0 - n) : (int64_t)n;
    return BST_OK;
}

bst_result bst_parse_double(struct bst_view v, double *ret)
{
    char text[64];
    BST_ENSURE(v.len > 0, BST_E_SYNTAX);
    BST_TRY(bst_view_copy(v, text, sizeof text));
    for (size_t i = 0; i < v.len; i++) {
        /* strtod also reads hex, inf and nan: the standards' numbers have none of these. */
        BST_ENSURE(strchr("0123456789+-.eE", text[i]), BST_E_SYNTAX);
    }
    char *end;
    double d = strtod(text, &end);
    BST_ENSURE(*end == '\0' && isfinite(d), BST_E_SYNTAX);
    *ret = d;
    return BST_OK;
}

void bst_buf_clear(struct bst_buf *buf)
{
    bst_free(buf->ptr);
    *buf = (struct bst_buf){0};
}

void bst_buf_wipe(struct bst_buf *buf)
{
    bst_wipe(buf->ptr, buf->cap);
    bst_buf_clear(buf);
}

char *bst_buf_reserve(struct bst_buf *buf, size_t extra)
{
    if (buf->failed || extra > SIZE_MAX / 4 - buf->len) {
        buf->failed = true;
        return NULL;
    }
    if (buf->cap - buf->len < extra + 1) {
        size_t cap = buf->cap ? buf->cap : 128;
        while (cap < buf->len + extra + 1) {
            cap *= 2;
        }
        char *ptr = bst_realloc(buf->ptr, cap);
        if (!ptr) {
            buf->failed = true;
            return NULL;
        }
        buf->ptr = ptr;
        buf->cap = cap;
    }
    return buf->ptr + buf->len;
}

void bst_buf_add(struct bst_buf *buf, const void *ptr, size_t len)
{
    char *at = bst_buf_reserve(buf, len);
    if (at && len) {
        memcpy(at, ptr, len);
        buf->len += len;
    }
}

void bst_buf_addv(struct bst_buf *buf, struct bst_view v)
{
    bst_buf_add(buf, v.ptr, v.len);
}

void bst_buf_adds(struct bst_buf *buf, const char *text)
{
    bst_buf_add(buf, text, strlen(text));
}

void bst_buf_addc(struct bst_buf *buf, char c)
{
    bst_buf_add(buf, &c, 1);
}

void bst_buf_addi(struct bst_buf *buf, int64_t number)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t n = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    if (number < 0) {
        digits[--at] = '-';
    }
    bst_buf_add(buf, digits + at, sizeof digits - at);
}

void bst_buf_addf(struct bst_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *at = len < 0 ? NULL : bst_buf_reserve(buf, (size_t)len);
    if (!at) {
        buf->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf(at, (size_t)len + 1, format, args);
    va_end(args);
    buf->len += (size_t)len;
}

void bst_buf_add_json(struct bst_buf *buf, struct bst_view text)
{
    static const char hex[] = "0123456789abcdef";
    if (!bst_utf8_valid(text)) {
        bst_buf_addc(buf, '"');
        for (size_t i = 0; i < text.len; i++) {
            unsigned char c = (unsigned char)text.ptr[i];
            if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
                bst_buf_addc(buf, (char)c);
            } else {
                bst_buf_adds(buf, "\\ufffd");
            }
        }
        bst_buf_addc(buf, '"');
        return;
    }
    bst_buf_addc(buf, '"');
    size_t start = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c >= 0x20 && c != '"' && c != '\\') {
            continue;
        }
        bst_buf_add(buf, text.ptr + start, i - start);
        start = i + 1;
        if (c == '"' || c == '\\') {
            bst_buf_addc(buf, '\\');
            bst_buf_addc(buf, (char)c);
        } else if (c == '\n') {
            bst_buf_adds(buf, "\\n");
        } else {
            bst_buf_adds(buf, "\\u00");
            bst_buf_addc(buf, hex[c >> 4]);
            bst_buf_addc(buf, hex[c & 15]);
        }
    }
    if (text.len > start) {
        bst_buf_add(buf, text.ptr + start, text.len - start);
    }
    bst_buf_addc(buf, '"');
}

void bst_buf_consume(struct bst_buf *buf, size_t len)
{
    if (len >= buf->len) {
        buf->len = 0;
        return;
    }
    memmove(buf->ptr, buf->ptr + len, buf->len - len);
    buf->len -= len;
}

bst_result bst_buf_check(const struct bst_buf *buf)
{
    BST_ENSURE(!buf->failed, BST_E_NOMEM);
    return BST_OK;
}

char *bst_buf_take_text(struct bst_buf *buf)
{
    bst_buf_addc(buf, '\0');
    if (buf->failed) {
        bst_buf_clear(buf);
        return NULL;
    }
    char *text = buf->ptr;
    *buf = (struct bst_buf){0};
    return text;
}

void bst_hex_add(struct bst_buf *buf, struct bst_view bytes, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        bst_buf_addc(buf, digits[c >> 4]);
        bst_buf_addc(buf, digits[c & 15]);
    }
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bst_result bst_hex_decode(struct bst_view text, void *out, size_t out_len)
{
    BST_ENSURE(text.len == out_len * 2, BST_E_SYNTAX);
    uint8_t *to = out;
    for (size_t i = 0; i < out_len; i++) {
        int hi = hex_value(text.ptr[2 * i]), lo = hex_value(text.ptr[2 * i + 1]);
        BST_ENSURE(hi >= 0 && lo >= 0, BST_E_SYNTAX);
        to[i] = (uint8_t)(hi << 4 | lo);
    }
    return BST_OK;
}

static void base64_add(struct bst_buf *buf, struct bst_view bytes, const char *tail, bool pad)
{
    static const char common[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const unsigned char *s = (const unsigned char *)bytes.ptr;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t n = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t bits = (uint32_t)s[i] << 16 | (n > 1 ? (uint32_t)s[i + 1] << 8 : 0) |
                        (n > 2 ? (uint32_t)s[i + 2] : 0);
        for (size_t k = 0; k < 4; k++) {
            unsigned six = bits >> (18 - 6 * k) & 63;
            if (k <= n) {
                bst_buf_addc(buf, six < 62 ? common[six] : tail[six - 62]);
            } else if (pad) {
                bst_buf_addc(buf, '=');
            }
        }
    }
}

void bst_base64_add(struct bst_buf *buf, struct bst_view bytes)
{
    base64_add(buf, bytes, "+/", true);
}

void bst_base64url_add(struct bst_buf *buf, struct bst_view bytes)
{
    base64_add(buf, bytes, "-_", false);
}

static int base64_value(char c, const char *tail)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == tail[0]         ? 62
           : c == tail[1]         ? 63
                                  : -1;
}

static bst_result base64_decode(struct bst_view text, const char *tail, struct bst_buf *ret)
{
    BST_ENSURE(text.len % 4 != 1, BST_E_SYNTAX);
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < text.len; i++) {
        int six = base64_value(text.ptr[i], tail);
        BST_ENSURE(six >= 0, BST_E_SYNTAX);
        bits = bits << 6 | (uint32_t)six;
        have += 6;
        if (have >= 8) {
            have -= 8;
            bst_buf_addc(ret, (char)(bits >> have & 0xff));
        }
    }
    /* Left-over bits must be zero, else two texts would mean the same bytes. */
    BST_ENSURE((bits & ((1u << have) - 1)) == 0, BST_E_SYNTAX);
    return bst_buf_check(ret);
}

bst_result bst_base64_decode(struct bst_view text, struct bst_buf *ret)
{
    BST_ENSURE(text.len % 4 == 0, BST_E_SYNTAX);
    for (int pad = 0; pad < 2 && text.len && text.ptr[text.len - 1] == '='; pad++) {
        text.len--;
    }
    return base64_decode(text, "+/", ret);
}

bst_result bst_base64url_decode(struct bst_view text, struct bst_buf *ret)
{
    return base64_decode(text, "-_", ret);
}

bst_result bst_percent_decode(struct bst_view text, struct bst_buf *ret)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            uint8_t byte;
            BST_ENSURE(text.len - i >= 3, BST_E_SYNTAX);
            BST_TRY(bst_hex_decode((struct bst_view){text.ptr + i + 1, 2}, &byte, 1));
            BST_ENSURE(byte != 0, BST_E_SYNTAX);
            c = (char)byte;
            i += 2;
        }
        bst_buf_addc(ret, c);
    }
    return bst_buf_check(ret);
}

void bst_percent_add(struct bst_buf *buf, struct bst_view text, const char *keep)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     (c != '\0' && (strchr("-._~", c) || strchr(keep, c)));
        if (plain) {
            bst_buf_addc(buf, c);
        } else {
            bst_buf_addc(buf, '%');
            bst_hex_add(buf, (struct bst_view){&text.ptr[i], 1}, true);
        }
    }
}

unsigned bst_edit_distance(struct bst_view a, struct bst_view b)
{
    enum { MAX = 48, CAP = 9 };
    if (a.len > MAX || b.len > MAX) {
        return CAP;
    }
    unsigned rows[3][MAX + 1];
    for (size_t j = 0; j <= b.len; j++) {
        rows[0][j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        unsigned *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            unsigned change = last[j - 1] + (a.ptr[i - 1] != b.ptr[j - 1]);
            unsigned best = last[j] + 1 < now[j - 1] + 1 ? last[j] + 1 : now[j - 1] + 1;
            best = change < best ? change : best;
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1] &&
                before[j - 2] + 1 < best) {
                best = before[j - 2] + 1;
            }
            now[j] = best;
        }
    }
    unsigned d = rows[a.len % 3][b.len];
    return d < CAP ? d : CAP;
}

/* SipHash-1-3, which the hash tables of several languages use against collision floods. */

static uint64_t hash_key[2];

__attribute__((constructor)) static void hash_seed(void)
{
    if (getrandom(hash_key, sizeof hash_key, GRND_NONBLOCK) != (ssize_t)sizeof hash_key) {
        hash_key[0] ^= (uint64_t)(uintptr_t)&hash_key;
    }
}

static inline uint64_t rotl(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1], v[1] = rotl(v[1], 13), v[1] ^= v[0], v[0] = rotl(v[0], 32);
    v[2] += v[3], v[3] = rotl(v[3], 16), v[3] ^= v[2];
    v[0] += v[3], v[3] = rotl(v[3], 21), v[3] ^= v[0];
    v[2] += v[1], v[1] = rotl(v[1], 17), v[1] ^= v[2], v[2] = rotl(v[2], 32);
}

uint64_t bst_hash(struct bst_view text)
{
    uint64_t v[4] = {
        hash_key[0] ^ UINT64_C(0x736f6d6570736575), hash_key[1] ^ UINT64_C(0x646f72616e646f6d),
        hash_key[0] ^ UINT64_C(0x6c7967656e657261), hash_key[1] ^ UINT64_C(0x7465646279746573)};
    size_t i = 0;
    for (; i + 8 <= text.len; i += 8) {
        uint64_t m;
        memcpy(&m, text.ptr + i, 8);
        v[3] ^= m;
        sip_round(v);
        v[0] ^= m;
    }
    uint64_t tail = (uint64_t)text.len << 56;
    for (size_t k = 0; i + k < text.len; k++) {
        tail |= (uint64_t)(unsigned char)text.ptr[i + k] << (8 * k);
    }
    v[3] ^= tail;
    sip_round(v);
    v[0] ^= tail;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
