#!/usr/bin/env python3
"""What a peer can do wrong: a clear answer, the connection closed where the protocol demands it, no harm to others."""
import json
import socket

import lab
from lab import AE, CIN, CNT, CREATED, OK, eq, expect

HEAD = "X-M2M-RI: 1\r\nX-M2M-Origin: CAdmin\r\nX-M2M-RVI: 3\r\nHost: x\r\n"


def talk(lab, data, timeout=10):
    """Send bytes, return all that comes back until the server closes, and whether it closed."""
    with socket.create_connection(("127.0.0.1", lab.port), timeout) as s:
        s.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))
        got = b""
        s.settimeout(timeout)
        while True:
            try:
                part = s.recv(65536)
            except (socket.timeout, ConnectionResetError):
                return got, not isinstance(got, str) and got == b""
            if not part:
                return got, True
            got += part


def status(answer):
    return int(answer[0].split(b" ", 2)[1]) if answer[0].startswith(b"HTTP/1.1 ") else None


def http_that_is_ambiguous_is_refused(lab):
    body = '{"m2m:cnt":{}}'
    cases = {
        "length and chunked": f"POST /cse-in HTTP/1.1\r\n{HEAD}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "two lengths": f"POST /cse-in HTTP/1.1\r\n{HEAD}Content-Length: 4\r\nContent-Length: 5\r\n\r\n1234",
        "bare line feed": f"GET /cse-in HTTP/1.1\nHost: x\n{HEAD}\n\n",
        "folded header": f"GET /cse-in HTTP/1.1\r\n{HEAD}X: a\r\n b\r\n\r\n",
        "no colon": f"GET /cse-in HTTP/1.1\r\n{HEAD}X\r\n\r\n",
        "space before colon": f"GET /cse-in HTTP/1.1\r\n{HEAD}X : y\r\n\r\n",
        "bad chunk": f"POST /cse-in HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "negative length": f"POST /cse-in HTTP/1.1\r\n{HEAD}Content-Length: -1\r\n\r\n",
        "huge length": f"POST /cse-in HTTP/1.1\r\n{HEAD}Content-Length: 99999999999999999999\r\n\r\n",
        "too long a body": f"POST /cse-in HTTP/1.1\r\n{HEAD}Content-Length: 999999999\r\n\r\n",
        "unknown method": f"BREW /cse-in HTTP/1.1\r\n{HEAD}\r\n",
        "version 2 preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "garbage": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "A" * 50 + "\r\n\r\n",
        "long header": f"GET /cse-in HTTP/1.1\r\n{HEAD}X: {'a' * 200000}\r\n\r\n",
        "many headers": f"GET /cse-in HTTP/1.1\r\n{HEAD}" + "X: y\r\n" * 2000 + "\r\n",
        "long target": f"GET /{'a' * 100000} HTTP/1.1\r\n{HEAD}\r\n",
    }
    for name, data in cases.items():
        answer = talk(lab, data)
        assert answer[1], f"{name}: the connection must be closed: {answer[0][:200]}"
        assert status(answer) in (400, 405, 413, 414, 431, 501, 505) or answer[0] == b"", f"{name}: {answer[0][:200]}"
    eq(lab.get("cse-in").rsc, OK)
    assert body


def a_smuggled_second_request_is_not_served(lab):
    answer, closed = talk(lab, f"POST /cse-in HTTP/1.1\r\n{HEAD}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
                               f"0\r\n\r\nGET /cse-in HTTP/1.1\r\n{HEAD}\r\n")
    assert closed and answer.count(b"HTTP/1.1") <= 1, answer


def pipelined_requests_are_answered_in_order(lab):
    one = "GET /cse-in HTTP/1.1\r\n" + HEAD.replace("RI: 1", "RI: {}") + "{}\r\n"
    data = "".join(one.format(i, "Connection: close\r\n" if i == 19 else "") for i in range(20))
    answer, closed = talk(lab, data)
    ids = [int(line.split(b":")[1]) for line in answer.lower().split(b"\r\n") if line.startswith(b"x-m2m-ri")]
    eq(ids, list(range(20)))
    assert closed


def broken_json_says_where(lab):
    for text in ('', '{', '{"m2m:cnt":', '{"m2m:cnt":{}} x', '[]', '{"m2m:cnt":[]}', '{"m2m:cnt":null}', '{"a":1,"b":2}',
                 '{"m2m:cnt":{"rn":"a","rn":"b"}}', '{"m2m:cnt":{"lbl":"notalist"}}', '{"m2m:cnt":{"mni":-1}}',
                 '{"m2m:cnt":{"mni":1.5}}', '{"m2m:cnt":{"mni":"3"}}', '{"m2m:cnt":{"mni":99999999999999999999999}}',
                 '{"m2m:cnt":{"rn":1}}', '{"m2m:cnt":{"rn":""}}', '{"m2m:cnt":{"rn":"a/b"}}', '{"m2m:cnt":{"rn":"..%"}}',
                 '{"m2m:cnt":{"zzz":1}}', '{"m2m:cnt":{"ri":"x"}}', '{"m2m:cnt":{"ct":"20260101T000000"}}',
                 '{"m2m:cnt":{"et":"soon"}}', '{"m2m:cnt":{"lbl":[1]}}', '{"m2m:cnt":{"acpi":"x"}}',
                 '{"m2m:cnt":' * 200 + '{}' + '}' * 200, '{"m2m:unknown":{}}', '{"cnt":{}}',
                 '{"m2m:cnt":{"lbl":["' + '\\ud800' + '"]}}', '{"m2m:cnt":{"rn":"a\\u0000b"}}', 'nul', '"x"', '1', '{\'m2m:cnt\':{}}'):
        a = lab.send("POST", "cse-in", "CAdmin", text, ty=CNT)
        expect(a, 4000, 400)
    a = lab.send("POST", "cse-in", "CAdmin", b'{"m2m:cnt":{"lbl":["\xff\xfe"]}}', ty=CNT)
    expect(a, 4000)


def headers_that_are_missing_or_wrong_are_named(lab):
    base = {"X-M2M-RI": "1", "X-M2M-Origin": "CAdmin", "X-M2M-RVI": "3"}
    def without(name):
        return lab.raw("GET", "/cse-in", {k: v for k, v in base.items() if k != name})
    eq(without("X-M2M-RI").rsc, 4000)
    eq(without("X-M2M-Origin").rsc, 4000)
    eq(lab.raw("GET", "/cse-in", {**base, "X-M2M-RVI": "99"}).rsc, 4001)
    assert lab.raw("GET", "/cse-in", {**base, "Accept": "text/html"}).rsc == 5207
    a = lab.raw("POST", "/cse-in", {**base, "Content-Type": "text/plain;ty=3"}, "x")
    eq((a.rsc, a.status), (4015, 415))
    a = lab.raw("POST", "/cse-in", {**base, "Content-Type": "application/json;ty=x"}, "{}")
    eq(a.rsc, 4000)
    a = lab.raw("POST", "/cse-in", {**base, "Content-Type": "application/json;ty=9999"}, '{"m2m:cnt":{}}')
    assert a.rsc in (4000, 5001, 4108), a
    a = lab.raw("GET", "/cse-in", {**base, "X-M2M-RET": "20200101T000000"})
    eq((a.rsc, a.status), (4008, 504))
    a = lab.raw("GET", "/cse-in", {**base, "X-M2M-RET": "tomorrow"})
    eq(a.rsc, 4000)


def echoed_values_cannot_split_an_answer(lab):
    answer, _ = talk(lab, "GET /cse-in HTTP/1.1\r\nHost: x\r\nX-M2M-RI: a\x0bSet: x\r\nX-M2M-Origin: C\x01\r\nX-M2M-RVI: 3\r\nConnection: close\r\n\r\n")
    assert b"\r\nSet:" not in answer and b"\x01" not in answer, answer


def a_slow_client_is_cut_off_and_harms_nobody(lab):
    slow = [socket.create_connection(("127.0.0.1", lab.port)) for _ in range(50)]
    for s in slow:
        s.sendall(b"GET /cse-in HTTP/1.1\r\nX-M2M")
    eq(lab.get("cse-in").rsc, OK)
    for s in slow:
        s.close()


def size_is_limited_with_the_standards_code(lab):
    lab.ae("big")
    a = lab.post("cse-in/big", CNT, "m2m:cnt", {"rn": "c", "lbl": ["x" * 5000] * 10}, fr="Cbig")
    assert a.rsc in (CREATED, 4000), a
    deep = "x"
    for _ in range(100):
        deep = [deep]
    a = lab.send("POST", "cse-in/big", "Cbig", json.dumps({"m2m:cnt": {"lbl": deep}}), ty=CNT)
    expect(a, 4000)


lab.main()
