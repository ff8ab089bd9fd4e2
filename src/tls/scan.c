/* Plaintext handshake reader: RFC 5246 6.2.1, 7.4; RFC 6066 3; RFC 7250 3; RFC 8446 4.1.2, 4.2.11.
 */
#include "tls/scan.h"

size_t bst_tls_record_len(struct bst_view in)
{
    const uint8_t *p = (const uint8_t *)in.ptr;
    if (in.len && (p[0] < BST_TLS_REC_CCS || p[0] > BST_TLS_REC_DATA)) {
        return in.len;
    }
    if (in.len >= 2 && p[1] != 3) {
        return in.len;
    }
    if (in.len < BST_TLS_RECORD_HEAD) {
        return 0;
    }
    size_t body = (size_t)p[3] << 8 | p[4];
    if (body > BST_TLS_RECORD_MAX) {
        return in.len;
    }
    return in.len < BST_TLS_RECORD_HEAD + body ? 0 : BST_TLS_RECORD_HEAD + body;
}

void bst_tls_scan_clear(struct bst_tls_scan *scan)
{
    bst_buf_clear(&scan->body);
    *scan = (struct bst_tls_scan){0};
}

static void message_begins(struct bst_tls_scan *scan)
{
    scan->left = (size_t)scan->head[1] << 16 | (size_t)scan->head[2] << 8 | scan->head[3];
    scan->keep = (scan->head[0] == BST_TLS_MSG_CLIENT_HELLO ||
                  scan->head[0] == BST_TLS_MSG_CLIENT_KEY_EXCHANGE) &&
                 scan->left <= BST_TLS_HELLO_MAX;
    scan->body.len = 0;
}

/** Move bytes of the body; true when the message is complete. */
static bool message_goes_on(struct bst_tls_scan *scan, struct bst_view *in)
{
    size_t n = in->len < scan->left ? in->len : scan->left;
    if (scan->keep) {
        bst_buf_add(&scan->body, in->ptr, n);
    }
    *in = bst_view_from(*in, n);
    scan->left -= n;
    return scan->left == 0;
}

bst_result bst_tls_scan_record(struct bst_tls_scan *scan, struct bst_view record,
                               bst_result (*message)(void *ctx, uint8_t type, struct bst_view body),
                               void *ctx)
{
    uint8_t type = record.len ? (uint8_t)record.ptr[0] : 0;
    /* Encrypted records. ChangeCipherSpec ends the scan in TLS 1.2 only: in 1.3 a second
     * ClientHello may follow it (RFC 8446 D.4), so the owner, who knows the version, sets
     * `stopped`. */
    scan->stopped = scan->stopped || type == BST_TLS_REC_DATA;
    if (scan->stopped || type != BST_TLS_REC_HANDSHAKE || record.len <= BST_TLS_RECORD_HEAD) {
        return BST_OK;
    }
    struct bst_view in = bst_view_from(record, BST_TLS_RECORD_HEAD);
    while (in.len) {
        if (scan->head_len < sizeof scan->head) {
            scan->head[scan->head_len++] = (uint8_t)in.ptr[0];
            in = bst_view_from(in, 1);
            if (scan->head_len < sizeof scan->head) {
                continue;
            }
            message_begins(scan);
        }
        if (!message_goes_on(scan, &in)) {
            continue;
        }
        scan->head_len = 0;
        if (scan->keep) {
            BST_TRY(bst_buf_check(&scan->body));
            BST_TRY(message(ctx, scan->head[0], bst_buf_view(&scan->body)));
        }
    }
    return bst_buf_check(&scan->body);
}

/* A cursor that remembers running over the end. */
struct cursor {
    const uint8_t *p;
    size_t left;
    bool over;
};

static size_t take_number(struct cursor *c, unsigned bytes)
{
    size_t value = 0;
    if (c->left < bytes) {
        c->over = true;
        c->left = 0;
        return 0;
    }
    for (unsigned i = 0; i < bytes; i++) {
        value = value << 8 | c->p[i];
    }
    c->p += bytes;
    c->left -= bytes;
    return value;
}

static struct cursor take_bytes(struct cursor *c, size_t n)
{
    if (c->over || c->left < n) {
        c->over = true;
        c->left = 0;
        return (struct cursor){.over = true};
    }
    struct cursor part = {.p = c->p, .left = n};
    c->p += n;
    c->left -= n;
    return part;
}

/** A vector with a length of `bytes` octets before it. */
static struct cursor take_vector(struct cursor *c, unsigned bytes)
{
    size_t n = take_number(c, bytes);
    return take_bytes(c, n);
}

static struct bst_view cursor_view(struct cursor c)
{
    return bst_view_of(c.p, c.left);
}

static struct cursor cursor_of(struct bst_view v)
{
    return (struct cursor){.p = (const uint8_t *)v.ptr, .left = v.len};
}

/* Every TLS_PSK_, DHE_PSK_, RSA_PSK_ and ECDHE_PSK_ suite that IANA has registered lies in one of
 * these ranges. */
static bool is_psk_suite(size_t suite)
{
    static const struct {
        uint16_t first, last;
    } ranges[] = {
        {0x002C, 0x002E}, {0x008A, 0x0095}, {0x00A8, 0x00B9}, {0xC033, 0xC03B}, {0xC064, 0xC071},
        {0xC08E, 0xC093}, {0xC094, 0xC09B}, {0xC0A4, 0xC0AB}, {0xCCAB, 0xCCAE}, {0xD001, 0xD005},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (suite >= ranges[i].first && suite <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

bool bst_tls_identity_is_text(struct bst_view identity)
{
    for (size_t i = 0; i < identity.len; i++) {
        if ((uint8_t)identity.ptr[i] < 0x20 || identity.ptr[i] == 0x7f) {
            return false;
        }
    }
    return identity.len > 0 && bst_utf8_valid(identity);
}

/** RFC 6066 3: the first host_name. */
static void read_server_name(struct cursor ext, struct bst_tls_hello *ret)
{
    struct cursor list = take_vector(&ext, 2);
    while (list.left && !list.over) {
        size_t kind = take_number(&list, 1);
        struct cursor name = take_vector(&list, 2);
        if (kind == 0 && !name.over) {
            ret->server_name = cursor_view(name);
            return;
        }
    }
}

/** RFC 8446 4.2.11: identities only; binders are OpenSSL's. */
static void read_pre_shared_key(struct cursor ext, struct bst_tls_hello *ret)
{
    struct cursor list = take_vector(&ext, 2);
    while (list.left && !list.over) {
        struct cursor identity = take_vector(&list, 2);
        (void)take_number(&list, 4);
        if (!list.over && bst_tls_identity_is_text(cursor_view(identity))) {
            ret->psk_identity = cursor_view(identity);
            return;
        }
    }
}

static void read_versions(struct cursor ext, struct bst_tls_hello *ret)
{
    struct cursor list = take_vector(&ext, 1);
    while (list.left >= 2) {
        ret->offers_tls13 = take_number(&list, 2) == 0x0304 || ret->offers_tls13;
    }
}

/** RFC 7250 3: true when the list has no X.509 (0). */
static bool raw_key_only(struct cursor ext)
{
    struct cursor list = take_vector(&ext, 1);
    bool only = list.left > 0;
    while (list.left) {
        only = take_number(&list, 1) != 0 && only;
    }
    return only;
}

static void read_extension(size_t type, struct cursor ext, struct bst_tls_hello *ret)
{
    switch (type) {
    case 0:
        read_server_name(ext, ret);
        break;
    case 19:
        ret->client_raw_key_only = raw_key_only(ext);
        break;
    case 20:
        ret->server_raw_key_only = raw_key_only(ext);
        break;
    case 41:
        read_pre_shared_key(ext, ret);
        break;
    case 43:
        read_versions(ext, ret);
        break;
    default:
        break;
    }
}

bst_result bst_tls_hello_read(struct bst_view body, struct bst_tls_hello *ret)
{
    struct bst_tls_hello hello = {0};
    struct cursor c = cursor_of(body);
    (void)take_bytes(&c, 2 + 32); /* legacy version, random */
    (void)take_vector(&c, 1);     /* session id */
    struct cursor suites = take_vector(&c, 2);
    (void)take_vector(&c, 1); /* compression */
    BST_ENSURE(!c.over, BST_E_TRUNCATED);
    while (suites.left >= 2) {
        hello.offers_psk_suites = is_psk_suite(take_number(&suites, 2)) || hello.offers_psk_suites;
    }
    struct cursor extensions = c.left ? take_vector(&c, 2) : c;
    BST_ENSURE(!c.over && c.left == 0, BST_E_SYNTAX);
    while (extensions.left) {
        size_t type = take_number(&extensions, 2);
        struct cursor ext = take_vector(&extensions, 2);
        BST_ENSURE(!extensions.over, BST_E_TRUNCATED);
        read_extension(type, ext, &hello);
    }
    *ret = hello;
    return BST_OK;
}

bst_result bst_tls_key_exchange_read(struct bst_view body, struct bst_view *ret_identity)
{
    struct cursor c = cursor_of(body);
    struct cursor identity = take_vector(&c, 2);
    BST_ENSURE(!identity.over, BST_E_TRUNCATED);
    *ret_identity = cursor_view(identity);
    return BST_OK;
}
