/* The HTTP binding: TS-0009 both ways, and what a peer can try with it. */
#include "support/test.h"

#include "bind/http/http_binding.h"

#define NOW INT64_C(1700000000000000)
#define MAX_HEADERS 16

static struct bst_arena arena;

static int setup(void **state)
{
    bst_arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    bst_arena_clear(&arena);
    return 0;
}

struct fake {
    struct bst_http_header headers[MAX_HEADERS];
    struct bst_http_msg msg;
};

/* `lines` is "Name: value\n..."; the usual three headers are there unless it starts with '!'. */
static const struct bst_http_msg *message(struct fake *f, int method, const char *target,
                                          const char *lines, const char *body)
{
    struct bst_view rest = bst_view(lines);
    size_t n = 0;
    memset(f, 0, sizeof *f);
    if (rest.len && rest.ptr[0] == '!') {
        rest = bst_view_from(rest, 1);
    } else {
        f->headers[n++] = (struct bst_http_header){BST_VIEW("X-M2M-Origin"), BST_VIEW("CAdmin")};
        f->headers[n++] = (struct bst_http_header){BST_VIEW("x-m2m-ri"), BST_VIEW("r1")};
        f->headers[n++] = (struct bst_http_header){BST_VIEW("X-M2M-RVI"), BST_VIEW("3")};
    }
    while (rest.len) {
        struct bst_view line, value;
        bst_view_cut(&rest, '\n', &line);
        value = line;
        bst_view_cut(&value, ':', &f->headers[n].name);
        f->headers[n++].value = bst_view_trim(value);
    }
    f->msg = (struct bst_http_msg){.method = method,
                                   .target = bst_view(target),
                                   .headers = f->headers,
                                   .n_headers = n,
                                   .body = bst_view(body),
                                   .minor = 1};
    return &f->msg;
}

static bst_result read_request(int method, const char *target, const char *lines, const char *body,
                               struct bst_m2m_request *ret)
{
    struct fake *f = bst_arena_alloc(&arena, sizeof *f);
    return bst_http_to_request(message(f, method, target, lines, body), NOW, &arena, ret);
}

static void methods_stand_for_operations(void **state)
{
    struct bst_m2m_request r;
    assert_ok(read_request(BST_HTTP_GET, "/cse-in", "", "", &r));
    assert_int_equal(r.op, BST_OP_RETRIEVE);
    assert_true(bst_view_is(r.to, "cse-in") && bst_view_is(r.fr, "CAdmin") &&
                bst_view_is(r.rqi, "r1"));
    assert_int_equal(r.release, BST_RELEASE_3);
    assert_ok(read_request(BST_HTTP_POST, "/cse-in", "Content-Type: application/json; ty=3",
                           "{\"m2m:cnt\":{}}", &r));
    assert_int_equal(r.op, BST_OP_CREATE);
    assert_int_equal(r.ty, 3);
    assert_ok(read_request(BST_HTTP_POST, "/cse-in",
                           "Content-Type: application/vnd.onem2m-res+json;ty=4", "{\"m2m:cin\":{}}",
                           &r));
    assert_int_equal(r.ty, 4);
    assert_ok(read_request(BST_HTTP_POST, "/", "Content-Type: application/vnd.onem2m-ntfy+json",
                           "{\"m2m:sgn\":{}}", &r));
    assert_int_equal(r.op, BST_OP_NOTIFY);
    assert_ok(read_request(BST_HTTP_PUT, "/x", "Content-Type: Application/JSON;charset=utf-8",
                           "{\"m2m:cnt\":{}}", &r));
    assert_int_equal(r.op, BST_OP_UPDATE);
    assert_ok(read_request(BST_HTTP_DELETE, "/x", "Content-Type: text/html", "", &r));
    assert_int_equal(r.op, BST_OP_DELETE);
    assert_err(read_request(BST_HTTP_PATCH, "/x", "", "", &r), BST_E_OPERATION);
    assert_err(read_request(BST_HTTP_OPTIONS, "/x", "", "", &r), BST_E_OPERATION);
    assert_err(read_request(BST_HTTP_OTHER, "/x", "", "", &r), BST_E_OPERATION);
}

static void targets_become_addresses_and_back(void **state)
{
    static const char *const rows[][2] = {
        {"/cse-in/ae12/cont27", "cse-in/ae12/cont27"},
        {"/cin00856", "cin00856"},
        {"/-/x", "-/x"},
        {"/~/CSE178/CSEBase/ae12", "/CSE178/CSEBase/ae12"},
        {"/~/CSE178", "/CSE178"},
        {"/_/mym2msp.org/CSE178/cin00856", "//mym2msp.org/CSE178/cin00856"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bst_view to, path;
        assert_ok(bst_http_target_to_address(bst_view(rows[i][0]), &arena, &to));
        assert_true(bst_view_is(to, rows[i][1]));
        assert_ok(bst_http_address_to_target(to, &arena, &path));
        assert_true(bst_view_is(path, rows[i][0]));
    }
    struct bst_m2m_request r;
    assert_ok(read_request(BST_HTTP_GET, "/cse-in/a%2Db", "", "", &r));
    assert_true(bst_view_is(r.to, "cse-in/a-b"));
    assert_ok(read_request(BST_HTTP_GET, "http://h:8080/~/id-in/x?rcn=1", "", "", &r));
    assert_true(bst_view_is(r.to, "/id-in/x"));
    struct bst_view path;
    assert_ok(bst_http_address_to_target(BST_VIEW("a b?c#d\r\n"), &arena, &path));
    assert_true(bst_view_is(path, "/a%20b%3Fc%23d%0D%0A"));
}

/* "/_/x" is the absolute address "//x": an address "_/x" has no target of its own. */
static void what_reads_as_a_scope_is_no_name(void **state)
{
    static const char *const targets[] = {"/%5f", "/%5F/x", "/%7E", "/%7e/id-in", "/_%2D/x"};
    static const char *const addresses[] = {"_", "_/x", "~", "~/id-in"};
    struct bst_view out;
    for (size_t i = 0; i < 4; i++) {
        assert_err(bst_http_target_to_address(bst_view(targets[i]), &arena, &out), BST_E_SYNTAX);
        assert_err(bst_http_address_to_target(bst_view(addresses[i]), &arena, &out), BST_E_SYNTAX);
    }
    assert_ok(bst_http_target_to_address(bst_view(targets[4]), &arena, &out));
    assert_true(bst_view_is(out, "_-/x"));
}

static void path_tricks_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "*",
        "x",
        "/",
        "/~",
        "/~/",
        "/_",
        "/_/",
        "/_/sp.com",
        "//x/y/z/../q",
        "/a/../b",
        "/a/%2e%2e/b",
        "/a/./b",
        "/a//b",
        "/a%2Fb",
        "/a%2fb",
        "/a%00",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%25b",
        "/a%5Cb",
        "/a\\b",
        "/a%20b",
        "/a#b",
        "/a%23b",
        "/~/id-in/%2e%2e",
        "/%c0%ae%c0%ae/x",
        "/a%ff",
        "http://h",
        "http://h/",
        "/a%0d%0aX:y",
        "/a%3Fb",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct bst_m2m_request r;
        bst_result got = read_request(BST_HTTP_GET, bad[i], "", "", &r);
        if (bst_error_rsc(got.code) != 4000) {
            fail_msg("%s: %s", bad[i], bst_error_name(got.code));
        }
    }
}

static void headers_carry_parameters(void **state)
{
    struct bst_m2m_request r;
    assert_ok(read_request(
        BST_HTTP_GET, "/x",
        "!x-m2m-origin: C1\nX-M2M-RI: 7\nX-M2M-GID: g\nX-M2M-RTU: http://a/x&Cb\nX-M2M-OT: "
        "20231114T221320\n"
        "X-M2M-RST: 1000\nX-M2M-RET: 20990101T000000\nX-M2M-OET: 5\nX-M2M-EC: 3\nX-M2M-VSI: v\n"
        "X-M2M-AS: aa + bb\nAuthorization: a.b.c+ d.e.f\nAccept: text/html, application/*;q=0.5",
        "", &r));
    assert_int_equal(r.release, BST_RELEASE_NONE);
    assert_true(bst_view_is(r.gid, "g") && bst_view_is(r.vsi, "v"));
    assert_int_equal(r.rtu.n, 2);
    assert_true(bst_view_is(r.rtu.v[1], "Cb"));
    assert_int_equal(r.ot.us, NOW);
    assert_int_equal(r.rset.us, NOW + 1000000);
    assert_true(r.rqet.us > NOW);
    assert_int_equal(r.ec, 3);
    assert_int_equal(r.aus.n, 2);
    assert_int_equal(r.tkns.n, 2);
    assert_true(bst_view_is(r.tkns.v[1], "d.e.f"));
    assert_int_equal(r.accept, BST_FORMAT_JSON);
    assert_ok(read_request(BST_HTTP_GET, "/x", "Authorization: Bearer abc", "", &r));
    assert_int_equal(r.tkns.n, 0);
    /* An empty From is none: what AE registration may do. */
    assert_ok(read_request(
        BST_HTTP_POST, "/x",
        "!X-M2M-Origin:\nX-M2M-RI: 1\nX-M2M-RVI: 3\nContent-Type: application/json;ty=2",
        "{\"m2m:ae\":{}}", &r));
    assert_null(r.fr.ptr);
}

static void wrong_headers_are_refused(void **state)
{
    static const struct {
        const char *lines;
        enum bst_error code;
    } rows[] = {
        {"!X-M2M-RI: 1\nX-M2M-RVI: 3", BST_E_SYNTAX},
        {"!X-M2M-Origin: C1\nX-M2M-RVI: 3", BST_E_SYNTAX},
        {"!X-M2M-Origin: C1\nX-M2M-RI: a b\nX-M2M-RVI: 3", BST_E_VALUE},
        {"X-M2M-RI: 2", BST_E_SYNTAX},
        {"X-M2M-Origin: C2", BST_E_SYNTAX},
        {"!X-M2M-Origin: C1\nX-M2M-RI: 1\nX-M2M-RVI: 99", BST_E_VERSION},
        {"!X-M2M-Origin: C\x01\nX-M2M-RI: 1", BST_E_SYNTAX},
        {"!X-M2M-Origin: C\xff\nX-M2M-RI: 1", BST_E_ENCODING},
        {"X-M2M-OT: 1000", BST_E_VALUE},
        {"X-M2M-RET: tomorrow", BST_E_VALUE},
        {"X-M2M-RET: 20231301T000000", BST_E_VALUE},
        {"X-M2M-EC: x", BST_E_VALUE},
        {"X-M2M-EC: 0", BST_E_VALUE},
        {"X-M2M-EC: 7", BST_E_VALUE},
        {"Accept: text/html", BST_E_NOT_ACCEPTABLE},
        {"Accept: application/xml", BST_E_NOT_ACCEPTABLE},
        {"Accept: application/vnd.onem2m-res+cbor", BST_E_NOT_ACCEPTABLE},
        {"Accept: application/json;q=0", BST_E_NOT_ACCEPTABLE},
        {"Accept: application/json;q=0.000, text/plain", BST_E_NOT_ACCEPTABLE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bst_m2m_request r;
        bst_result got = read_request(BST_HTTP_GET, "/x", rows[i].lines, "", &r);
        if (got.code != rows[i].code) {
            fail_msg("%s: %s %s", rows[i].lines, bst_error_name(got.code), bst_error_detail());
        }
    }
    static const char *const good[] = {
        "Accept: */*", "Accept: application/json", "Accept: APPLICATION/JSON",
        "Accept: text/html;q=0.9,application/vnd.onem2m-res+json", "Accept:"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct bst_m2m_request r;
        assert_ok(read_request(BST_HTTP_GET, "/x", good[i], "", &r));
    }
}

static void content_types_are_checked(void **state)
{
    static const struct {
        const char *type, *body;
        enum bst_error code;
    } rows[] = {
        {"Content-Type: application/json;ty=3", "{\"m2m:cnt\":{}}", BST_E_NONE},
        {"Content-Type: application/json;TY=3;charset=utf-8", "{\"m2m:cnt\":{}}", BST_E_NONE},
        {"Content-Type: application/json;ty=30001", "{\"sec:x\":{}}", BST_E_NONE},
        {"Content-Type: application/xml;ty=3", "<x/>", BST_E_MEDIA_TYPE},
        {"Content-Type: application/vnd.onem2m-res+xml;ty=3", "<x/>", BST_E_MEDIA_TYPE},
        {"Content-Type: application/cbor;ty=3", "x", BST_E_MEDIA_TYPE},
        {"Content-Type: text/plain;ty=3", "x", BST_E_MEDIA_TYPE},
        {"Content-Type: application/vnd.onem2m-foo+json;ty=3", "{}", BST_E_MEDIA_TYPE},
        {"Content-Type: application/vnd.onem2m-res;ty=3", "{}", BST_E_MEDIA_TYPE},
        {"", "{\"m2m:cnt\":{}}", BST_E_MEDIA_TYPE},
        {"Content-Type: application/json;ty=x", "{\"m2m:cnt\":{}}", BST_E_VALUE},
        {"Content-Type: application/json;ty=0", "{\"m2m:cnt\":{}}", BST_E_VALUE},
        {"Content-Type: application/json;ty=-3", "{\"m2m:cnt\":{}}", BST_E_VALUE},
        {"Content-Type: application/json;ty=99999999999", "{\"m2m:cnt\":{}}", BST_E_VALUE},
        {"Content-Type: application/json;ty=9999", "{\"m2m:cnt\":{}}", BST_E_VALUE},
        {"Content-Type: application/json;ty=4", "{\"m2m:cnt\":{}}", BST_E_VALUE},
        {"Content-Type: application/json;ty=", "{\"m2m:cnt\":{}}", BST_E_VALUE},
        {"Content-Type: application/json;ty=3", "", BST_E_SYNTAX},
        {"Content-Type: application/json;ty=3", "{", BST_E_SYNTAX},
        {"Content-Type: application/json;ty=3", "{\"m2m:cnt\":{},\"b\":1}", BST_E_SYNTAX},
        {"Content-Type: application/json;ty=3", "\"\xff\"", BST_E_ENCODING},
        {"Content-Type: application/json", "{\"m2m:cnt\":{}}",
         BST_E_SYNTAX}, /* a CREATE that lost ty */
        {"Content-Type: application/json", "{\"m2m:sgn\":{}}", BST_E_NONE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bst_m2m_request r;
        bst_result got = read_request(BST_HTTP_POST, "/x", rows[i].type, rows[i].body, &r);
        if (got.code != rows[i].code) {
            fail_msg("%s %s: %s %s", rows[i].type, rows[i].body, bst_error_name(got.code),
                     bst_error_detail());
        }
    }
    struct bst_m2m_request r;
    assert_err(read_request(BST_HTTP_PUT, "/x", "Content-Type: application/json;ty=3",
                            "{\"m2m:cnt\":{}}", &r),
               BST_E_SYNTAX);
    assert_err(read_request(BST_HTTP_DELETE, "/x", "Content-Type: application/json",
                            "{\"m2m:cnt\":{}}", &r),
               BST_E_SYNTAX);
}

static void queries_carry_parameters_and_criteria(void **state)
{
    struct bst_m2m_request r;
    assert_ok(read_request(
        BST_HTTP_GET,
        "/cse-in?fu=1&ty=3+4&lbl=a+b%2Bc&lbl=d%20e&cr=S*m&c.rn=x%26y&p.api=N1&lim=5&drt=2&rcn=6"
        "&rt=3&da=1&rids=a@x.com+b@x.com&rp=1000&lbq=color%20EQ%20red&fo=2",
        "", "", &r));
    assert_true(bst_m2m_request_has(&r, BST_REQ_FC | BST_REQ_DA) && r.da);
    assert_int_equal(r.fc.fu, 1);
    assert_int_equal(r.fc.ty.n, 2);
    assert_int_equal(r.fc.lbl.n, 3);
    assert_true(bst_view_is(r.fc.lbl.v[1], "b+c") && bst_view_is(r.fc.lbl.v[2], "d e"));
    assert_true(bst_view_is(r.fc.atr.v[0].nm, "cr") && bst_view_is(r.fc.atr.v[0].val, "S*m"));
    assert_true(bst_view_is(r.fc.catr.v[0].nm, "rn") && bst_view_is(r.fc.catr.v[0].val, "x&y"));
    assert_true(bst_view_is(r.fc.patr.v[0].nm, "api"));
    assert_int_equal(r.fc.lim, 5);
    assert_int_equal(r.drt, 2);
    assert_int_equal(r.rcn, 6);
    assert_int_equal(r.rt, 3);
    assert_int_equal(r.rids.n, 2);
    assert_int_equal(r.rp.us, NOW + 1000000);
    assert_non_null(r.fc.lbq);
    assert_ok(read_request(BST_HTTP_GET, "/x?atrl=ri+lbl+rr", "", "", &r));
    assert_int_equal(r.atrl.n, 3);
    assert_false(bst_m2m_request_has(&r, BST_REQ_FC));
    assert_ok(read_request(BST_HTTP_GET, "/x", "Content-Type: application/json",
                           "{\"m2m:atrl\":[\"ri\",\"lbl\"]}", &r));
    assert_int_equal(r.atrl.n, 2);
    assert_null(r.pc);
    assert_ok(read_request(BST_HTTP_GET, "/x?", "", "", &r));
    assert_ok(read_request(BST_HTTP_GET, "/x?&&rcn=1&", "", "", &r));
    assert_ok(read_request(BST_HTTP_DELETE, "/x?rcn=0", "", "", &r));
    assert_int_equal(r.rcn, 0);
}

static void bad_queries_are_refused(void **state)
{
    static const char *const bad[] = {
        "fu=9",
        "fu=0",
        "fu=",
        "ty=x",
        "ty=",
        "ty=3+",
        "ty=777",
        "lim=-1",
        "lim=1e3",
        "lim=",
        "lim=99999999999999999999",
        "crb=yesterday",
        "lvl=0",
        "lvl=x",
        "ofst=0",
        "fo=7",
        "drt=5",
        "drt=0",
        "drt=x",
        "rcn=x",
        "rcn=-1",
        "rcn=99",
        "rcn=",
        "rcn=1&rcn=2",
        "fu=1&fu=1",
        "rt=0",
        "rt=9",
        "da=yes",
        "tqi=2",
        "sqi=",
        "rids=norole",
        "ltids=1",
        "rp=never",
        "nosuch=1",
        "lbl",
        "=1",
        "a",
        "ct=1",
        "lbl=%",
        "lbl=%zz",
        "lbl=%ff",
        "lbl=%00",
        "c.zz=1",
        "p.=1",
        "atr=x",
        "cs=5",
        "atrl=1x",
        "lbq=",
        "rcn=11",
        "fu=1&rcn=1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct bst_m2m_request r;
        char target[100];
        snprintf(target, sizeof target, "/x?%s", bad[i]);
        bst_result got = read_request(BST_HTTP_GET, target, "", "", &r);
        if (bst_error_rsc(got.code) != 4000) {
            fail_msg("%s: %s", bad[i], bst_error_name(got.code));
        }
    }
    struct bst_m2m_request r;
    assert_err(read_request(BST_HTTP_GET, "/x?smf=SELECT", "", "", &r), BST_E_NOT_IMPLEMENTED);
    assert_err(read_request(BST_HTTP_GET, "/x?cfs=1&cfq=$.a", "", "", &r), BST_E_NOT_IMPLEMENTED);
    assert_err(read_request(BST_HTTP_POST, "/x?ty=3", "Content-Type: application/json;ty=3",
                            "{\"m2m:cnt\":{}}", &r),
               BST_E_SYNTAX);
    assert_err(read_request(BST_HTTP_DELETE, "/x?fu=1", "", "", &r), BST_E_VALUE);
    assert_err(read_request(BST_HTTP_DELETE, "/x?atrl=ri", "", "", &r), BST_E_SYNTAX);
    assert_err(read_request(BST_HTTP_PUT, "/x?atrl=ri", "Content-Type: application/json",
                            "{\"m2m:cnt\":{}}", &r),
               BST_E_SYNTAX);
}

static struct bst_view header(const struct bst_http_msg *msg, const char *name)
{
    return bst_http_header_get(msg, name);
}

static void responses_carry_their_parameters(void **state)
{
    struct bst_view ati[] = {BST_VIEW("a:t@x.com"), BST_VIEW("b:u@x.com")};
    struct bst_m2m_response rsp = {
        .rsc = 2001,
        .rqi = BST_VIEW("r1"),
        .rvi = BST_VIEW("3"),
        .fr = BST_VIEW("/id-in"),
        .ot = BST_VIEW("20200101T000000"),
        .rset = BST_VIEW("1000"),
        .vsi = BST_VIEW("v"),
        .ec = 2,
        .cnst = 1,
        .cnot = 12,
        .asri = true,
        .ati = {ati, 2},
        .content_location = BST_VIEW("/id-in/abc"),
        .pc = BST_VIEW("{\"m2m:cnt\":{}}"),
    };
    struct bst_http_msg out;
    assert_ok(bst_http_from_response(&rsp, BST_FORMAT_JSON, &arena, &out));
    static const char *const rows[][2] = {
        {"X-M2M-RSC", "2001"},
        {"X-M2M-RI", "r1"},
        {"X-M2M-RVI", "3"},
        {"X-M2M-Origin", "/id-in"},
        {"X-M2M-OT", "20200101T000000"},
        {"X-M2M-RST", "1000"},
        {"X-M2M-VSI", "v"},
        {"X-M2M-EC", "2"},
        {"X-M2M-CTS", "1"},
        {"X-M2M-CTO", "12"},
        {"X-M2M-ASRI", "true"},
        {"X-M2M-ATI", "a:t@x.com+b:u@x.com"},
        {"Content-Location", "/~/id-in/abc"},
        {"Content-Type", "application/json"},
    };
    assert_int_equal(out.status, 201);
    assert_int_equal(out.n_headers, sizeof rows / sizeof rows[0]);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(bst_view_is(header(&out, rows[i][0]), rows[i][1]));
    }
    struct bst_m2m_response back;
    assert_ok(bst_http_to_response(&out, &arena, &back));
    assert_int_equal(back.rsc, 2001);
    assert_true(bst_view_eq(back.pc, rsp.pc) && bst_view_eq(back.rqi, rsp.rqi) && back.asri);
    assert_true(bst_view_is(back.content_location, "/id-in/abc"));
    assert_int_equal(back.cnot, 12);
    assert_int_equal(back.ati.n, 2);
}

/* What a client makes of an answer of this status with this Retry-After. */
static unsigned retry_of(int status, const char *value)
{
    struct bst_m2m_response rsp;
    struct bst_http_header after = {BST_VIEW("Retry-After"), bst_view(value)};
    struct bst_http_msg in = {.status = status, .headers = &after, .n_headers = 1};
    assert_ok(bst_http_to_response(&in, &arena, &rsp));
    return rsp.retry_s;
}

static void a_busy_receiver_says_when_to_come_again(void **state)
{
    struct bst_m2m_response rsp = {0}, back;
    struct bst_http_msg out;
    bst_error_set_detail("token 'hsm' is gone");
    bst_m2m_response_fail(&rsp, (bst_result){BST_E_BUSY}, &arena);
    assert_ok(bst_http_from_response(&rsp, BST_FORMAT_JSON, &arena, &out));
    assert_int_equal(out.status, 503);
    assert_true(bst_view_is(header(&out, "X-M2M-RSC"), "5000"));
    assert_true(bst_view_is(header(&out, "Retry-After"), "2"));
    assert_true(bst_view_is(out.body, "{\"m2m:dbg\":\"too busy\"}"));
    assert_ok(bst_http_to_response(&out, &arena, &back));
    assert_int_equal(back.rsc, 5000);
    assert_int_equal(back.retry_s, 2);
    /* Any other failure inside is none of that, also after one. */
    bst_m2m_response_fail(&rsp, (bst_result){BST_E_CORRUPT}, &arena);
    assert_ok(bst_http_from_response(&rsp, BST_FORMAT_JSON, &arena, &out));
    assert_int_equal(out.status, 500);
    assert_null(header(&out, "Retry-After").ptr);
    assert_ok(bst_http_to_response(&out, &arena, &back));
    assert_int_equal(back.retry_s, 0);
}

static void the_wish_of_a_busy_answer_is_read_within_bounds(void **state)
{
    assert_int_equal(retry_of(503, "7"), 7);
    assert_int_equal(retry_of(503, "86401"), 86400);
    assert_int_equal(retry_of(503, "99999999999999999999999"), 2);
    assert_int_equal(retry_of(503, "0"), 2);
    assert_int_equal(retry_of(503, "-1"), 2);
    assert_int_equal(retry_of(503, "Fri, 31 Dec 1999 23:59:59 GMT"), 2);
    assert_int_equal(retry_of(503, ""), 2);
    assert_int_equal(retry_of(500, "7"), 0);
    assert_int_equal(retry_of(200, "7"), 0);
}

static void an_error_answer_carries_its_reason(void **state)
{
    struct bst_m2m_response rsp = {
        .rsc = 4004, .rqi = BST_VIEW("r1"), .debug = BST_VIEW("no \"x\"")};
    struct bst_http_msg out;
    assert_ok(bst_http_from_response(&rsp, BST_FORMAT_NONE, &arena, &out));
    assert_int_equal(out.status, 404);
    assert_true(bst_view_is(out.body, "{\"m2m:dbg\":\"no \\\"x\\\"\"}"));
    struct bst_m2m_response back;
    assert_ok(bst_http_to_response(&out, &arena, &back));
    assert_true(bst_view_is(back.debug, "no \"x\""));
    rsp = (struct bst_m2m_response){.rsc = 2002, .rqi = BST_VIEW("r1")};
    assert_ok(bst_http_from_response(&rsp, BST_FORMAT_NONE, &arena, &out));
    assert_int_equal(out.body.len, 0);
    assert_null(header(&out, "Content-Type").ptr);
}

static void echoed_values_cannot_start_another_header(void **state)
{
    struct bst_http_msg out;
    struct bst_m2m_response rsp = {.rsc = 2000, .rqi = BST_VIEW("a\r\nSet-Cookie: x")};
    assert_err(bst_http_from_response(&rsp, BST_FORMAT_NONE, &arena, &out), BST_E_VALUE);
    rsp = (struct bst_m2m_response){.rsc = 2000, .vsi = {"a\0b", 3}};
    assert_err(bst_http_from_response(&rsp, BST_FORMAT_NONE, &arena, &out), BST_E_VALUE);
    rsp = (struct bst_m2m_response){.rsc = 2000, .content_location = BST_VIEW("x\r\ny")};
    assert_ok(bst_http_from_response(&rsp, BST_FORMAT_NONE, &arena, &out));
    assert_true(bst_view_is(header(&out, "Content-Location"), "/x%0D%0Ay"));
    struct bst_m2m_request req;
    bst_m2m_request_init(&req);
    req.op = BST_OP_RETRIEVE;
    req.to = BST_VIEW("x");
    req.fr = BST_VIEW("C1\nX: y");
    assert_err(bst_http_from_request(&req, &arena, &out), BST_E_VALUE);
}

static void a_refused_request_still_gets_its_id_back(void **state)
{
    static const struct {
        const char *lines, *rqi, *rvi;
    } rows[] = {
        {"!X-M2M-RI: 42\nX-M2M-RVI: 4", "42", "4"},
        {"!X-M2M-RI: 42\nX-M2M-RVI: 99", "42", ""},
        {"!X-M2M-RI: a b", "", ""},
        {"!X-M2M-RI: a\x0b", "", ""},
        {"!X-M2M-RI: \xff", "", ""},
        {"!", "", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bst_m2m_request r;
        struct bst_m2m_response rsp;
        struct bst_http_msg out;
        struct fake f;
        const struct bst_http_msg *in = message(&f, BST_HTTP_GET, "/x", rows[i].lines, "");
        bst_result failure = bst_http_to_request(in, NOW, &arena, &r);
        assert_true(bst_failed(failure));
        bst_http_reject(in, failure, &arena, &rsp);
        assert_true(rsp.rsc >= 4000 && rsp.debug.len > 0);
        assert_true(bst_view_is(rsp.rqi, rows[i].rqi));
        assert_true(bst_view_is(rsp.rvi, rows[i].rvi));
        assert_ok(bst_http_from_response(&rsp, BST_FORMAT_NONE, &arena, &out));
        assert_true(out.status >= 400);
    }
}

static void what_a_client_writes_a_server_reads(void **state)
{
    static const char *const requests[] = {
        "{\"op\":1,\"to\":\"cse-in\",\"fr\":\"C1\",\"rqi\":\"1\",\"rvi\":\"3\",\"ty\":3,\"rcn\":0,"
        "\"pc\":{\"m2m:cnt\":{\"lbl\":[\"\\u20ac\"]}}}",
        "{\"op\":2,\"to\":\"/id-in/x\",\"fr\":\"/id-in/"
        "C1\",\"rqi\":\"1\",\"rvi\":\"2a\",\"drt\":2,\"rcn\":6,\"rids\":[\"r@x.com\"],\"fc\":"
        "{\"fu\":1,\"lbl\":[\"a "
        "b\",\"c&d+e%f\"],\"ty\":[3,4],\"lim\":3,\"atr\":[{\"nm\":\"cr\",\"val\":\"C*\"}],\"palb\":"
        "[\"p\"],\"crb\":"
        "\"20240101T000000,000000\",\"lbq\":\"a IN (b,c)\"}}",
        "{\"op\":2,\"to\":\"x\",\"fr\":\"C1\",\"rqi\":\"1\",\"rvi\":\"3\",\"pc\":{\"m2m:atrl\":["
        "\"ri\",\"lbl\"]}}",
        "{\"op\":3,\"to\":\"//sp.com/id-in/"
        "x\",\"fr\":\"C1\",\"rqi\":\"1\",\"rvi\":\"4\",\"gid\":\"g\",\"ec\":4,\"vsi\":\"v\",\"pc\":"
        "{\"m2m:cnt\":{\"mni\":null}}}",
        "{\"op\":4,\"to\":\"x\",\"fr\":\"C1\",\"rqi\":\"1\",\"rvi\":\"3\",\"rqet\":"
        "\"20990101T000000\",\"tkns\":[\"a.b.c\",\"d.e.f\"],\"tqi\":false}",
        "{\"op\":5,\"to\":\"Cother\",\"fr\":\"/"
        "id-in\",\"rqi\":\"1\",\"rvi\":\"3\",\"pc\":{\"m2m:sgn\":{\"sur\":\"x\"}}}",
    };
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        yyjson_val *root;
        struct bst_m2m_request sent, got;
        struct bst_http_msg wire;
        struct bst_buf a = {0}, b = {0};
        assert_ok(bst_json_parse(&arena, bst_view(requests[i]), BST_JSON_DEPTH, &root));
        assert_ok(bst_m2m_request_from_json(&arena, root, NOW, &sent));
        assert_ok(bst_http_from_request(&sent, &arena, &wire));
        assert_ok(bst_http_to_request(&wire, NOW, &arena, &got));
        assert_ok(bst_m2m_request_to_json(&sent, &a));
        assert_ok(bst_m2m_request_to_json(&got, &b));
        if (!bst_view_eq(bst_buf_view(&a), bst_buf_view(&b))) {
            fail_msg("%.*s\n%.*s", BST_VIEW_ARGS(bst_buf_view(&a)),
                     BST_VIEW_ARGS(bst_buf_view(&b)));
        }
        bst_buf_clear(&a);
        bst_buf_clear(&b);
    }
}

static void one_attribute_in_an_address_goes_as_a_list(void **state)
{
    struct bst_m2m_request req, got;
    struct bst_http_msg wire;
    bst_m2m_request_init(&req);
    req.op = BST_OP_RETRIEVE;
    req.to = BST_VIEW("/id-in/x#rr");
    req.fr = BST_VIEW("C1");
    req.rqi = BST_VIEW("1");
    req.rvi = BST_VIEW("3");
    assert_ok(bst_http_from_request(&req, &arena, &wire));
    assert_true(bst_view_is(wire.target, "/~/id-in/x?atrl=rr"));
    assert_ok(bst_http_to_request(&wire, NOW, &arena, &got));
    assert_true(bst_view_is(got.to, "/id-in/x"));
    assert_int_equal(got.atrl.n, 1);
}

static void a_notification_goes_to_the_path_of_its_url(void **state)
{
    struct bst_m2m_request req;
    struct bst_http_msg wire;
    struct bst_http_url url;
    bst_m2m_request_init(&req);
    req.op = BST_OP_NOTIFY;
    req.to = BST_VIEW("http://h:8080/a/b?x=1&ct=json");
    req.fr = BST_VIEW("/id-in");
    req.rqi = BST_VIEW("1");
    req.pc_text = BST_VIEW("{\"m2m:sgn\":{}}");
    assert_ok(bst_http_url_parse(req.to, &arena, &url));
    assert_ok(bst_http_from_request_at(&req, url.path, &arena, &wire));
    assert_int_equal(wire.method, BST_HTTP_POST);
    assert_true(bst_view_is(wire.target, "/a/b?x=1"));
    assert_true(bst_view_is(header(&wire, "Content-Type"), "application/json"));
    assert_true(bst_view_eq(wire.body, req.pc_text));
}

static void urls_are_split(void **state)
{
    static const struct {
        const char *url, *host, *path;
        int port;
        bool tls;
        enum bst_m2m_format ct;
    } rows[] = {
        {"http://h", "h", "/", 80, false, BST_FORMAT_NONE},
        {"https://h", "h", "/", 443, true, BST_FORMAT_NONE},
        {"HTTP://h:8080/a/b", "h", "/a/b", 8080, false, BST_FORMAT_NONE},
        {"https://[::1]:8443/x?y=z", "::1", "/x?y=z", 8443, true, BST_FORMAT_NONE},
        {"http://[fe80::1]", "fe80::1", "/", 80, false, BST_FORMAT_NONE},
        {"http://h?ct=json", "h", "/", 80, false, BST_FORMAT_JSON},
        {"http://h/a?ct=xml&b=c", "h", "/a?b=c", 80, false, BST_FORMAT_XML},
        {"http://h/a?b=c&ct=cbor", "h", "/a?b=c", 80, false, BST_FORMAT_CBOR},
        {"http://h/a?ct=foo", "h", "/a?ct=foo", 80, false, BST_FORMAT_NONE},
        {"http://h/a#frag", "h", "/a", 80, false, BST_FORMAT_NONE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bst_http_url u;
        assert_ok(bst_http_url_parse(bst_view(rows[i].url), &arena, &u));
        assert_true(bst_view_is(u.host, rows[i].host));
        assert_true(bst_view_is(u.path, rows[i].path));
        assert_int_equal(u.port, rows[i].port);
        assert_int_equal(u.tls, rows[i].tls);
        assert_int_equal(u.ct, rows[i].ct);
    }
    static const char *const bad[] = {"",
                                      "h",
                                      "http:",
                                      "http:/h",
                                      "http://",
                                      "http:///x",
                                      "http://:80",
                                      "http://u@h/",
                                      "http://h:0",
                                      "http://h:65536",
                                      "http://h:x",
                                      "http://h:",
                                      "http://[::1",
                                      "http://[::1]x",
                                      "http://[]:1",
                                      "http://h/a b",
                                      "http://h/\r\nX",
                                      "http://h\\x",
                                      "ftp://h/",
                                      "mqtt://h",
                                      "coap://h",
                                      "/x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct bst_http_url u;
        if (!bst_failed(bst_http_url_parse(bst_view(bad[i]), &arena, &u))) {
            fail_msg("%s", bad[i]);
        }
    }
}

static void answers_of_strangers_are_understood(void **state)
{
    struct bst_m2m_response rsp;
    struct bst_http_header html = {BST_VIEW("Content-Type"), BST_VIEW("text/html")};
    struct bst_http_msg proxy = {
        .status = 502, .headers = &html, .n_headers = 1, .body = BST_VIEW("<html>")};
    assert_ok(bst_http_to_response(&proxy, &arena, &rsp));
    assert_int_equal(rsp.rsc, 5103);
    assert_int_equal(rsp.pc.len, 0);
    proxy.status = 200;
    assert_err(bst_http_to_response(&proxy, &arena, &rsp), BST_E_MEDIA_TYPE);
    struct bst_http_header bad = {BST_VIEW("X-M2M-RSC"), BST_VIEW("20x1")};
    struct bst_http_msg wrong = {.status = 200, .headers = &bad, .n_headers = 1};
    assert_err(bst_http_to_response(&wrong, &arena, &rsp), BST_E_VALUE);
    bad.value = BST_VIEW("12345");
    assert_err(bst_http_to_response(&wrong, &arena, &rsp), BST_E_VALUE);
    struct bst_http_header json = {BST_VIEW("Content-Type"), BST_VIEW("application/json")};
    struct bst_http_msg broken = {
        .status = 200, .headers = &json, .n_headers = 1, .body = BST_VIEW("{")};
    assert_err(bst_http_to_response(&broken, &arena, &rsp), BST_E_SYNTAX);
    struct bst_http_msg empty = {.status = 204};
    assert_ok(bst_http_to_response(&empty, &arena, &rsp));
    assert_int_equal(rsp.rsc, 2000);
}

static void failing_allocations_are_reported(void **state)
{
    for (long n = 1; n < 40; n++) {
        struct bst_arena small;
        struct bst_m2m_request r;
        struct fake f;
        bst_arena_init(&small, 0);
        bst_alloc_fail_at(n);
        bst_result got = bst_http_to_request(
            message(&f, BST_HTTP_GET, "/a%2Db?lbl=a+b%20c&cr=x%20y&rids=a@x.com&lbq=k",
                    "X-M2M-RTU: a&b", ""),
            NOW, &small, &r);
        bst_alloc_fail_at(0);
        assert_true(got.code == BST_E_NONE || got.code == BST_E_NOMEM);
        bst_arena_clear(&small);
    }
    for (long n = 1; n < 40; n++) {
        struct bst_arena small;
        struct bst_http_msg out;
        struct bst_m2m_request req;
        struct bst_m2m_response rsp = {
            .rsc = 4000, .debug = BST_VIEW("x"), .content_location = BST_VIEW("y"), .cnot = 5};
        bst_arena_init(&small, 0);
        bst_m2m_request_init(&req);
        req.op = BST_OP_RETRIEVE;
        req.to = BST_VIEW("x");
        req.rcn = 4;
        bst_alloc_fail_at(n);
        bst_result got = bst_http_from_response(&rsp, BST_FORMAT_NONE, &small, &out);
        bst_result sent = bst_http_from_request(&req, &small, &out);
        bst_alloc_fail_at(0);
        assert_true(got.code == BST_E_NONE || got.code == BST_E_NOMEM);
        assert_true(sent.code == BST_E_NONE || sent.code == BST_E_NOMEM);
        bst_arena_clear(&small);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(methods_stand_for_operations, setup, teardown),
        cmocka_unit_test_setup_teardown(targets_become_addresses_and_back, setup, teardown),
        cmocka_unit_test_setup_teardown(what_reads_as_a_scope_is_no_name, setup, teardown),
        cmocka_unit_test_setup_teardown(path_tricks_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(headers_carry_parameters, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_headers_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(content_types_are_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(queries_carry_parameters_and_criteria, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_queries_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(responses_carry_their_parameters, setup, teardown),
        cmocka_unit_test_setup_teardown(a_busy_receiver_says_when_to_come_again, setup, teardown),
        cmocka_unit_test_setup_teardown(the_wish_of_a_busy_answer_is_read_within_bounds, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_error_answer_carries_its_reason, setup, teardown),
        cmocka_unit_test_setup_teardown(echoed_values_cannot_start_another_header, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refused_request_still_gets_its_id_back, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_client_writes_a_server_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(one_attribute_in_an_address_goes_as_a_list, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_notification_goes_to_the_path_of_its_url, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(urls_are_split, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_of_strangers_are_understood, setup, teardown),
        cmocka_unit_test_setup_teardown(failing_allocations_are_reported, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
