#!/usr/bin/env python3
"""Notifications over HTTPS: both sides proved, only where it is allowed, in order, again after a pause."""
import contextlib
import http.server
import json
import os
import queue
import select
import socket
import ssl
import subprocess
import threading
import time

import provider
from lab import Listener
from provider import CREATED, CSE_FQDN, DOMAIN, OK, Http, Site, eq, expect, free_port, wait_for

CIN, CNT, SUB = 4, 3, 23


class Target:
    """An AE or host that is notified over HTTPS and wants to know by whom."""

    def __init__(self, site, cert, port=0, answer=None):
        self.got, self.refused, self.links, self.dialled = queue.Queue(), [], [], 0
        outer = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*cert)
        context.load_verify_locations(site.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                outer.dialled += 1
                self.request.settimeout(20)
                self.request = context.wrap_socket(self.request, server_side=True)
                outer.links.append(self.request)
                super().setup()

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
                names = [v for k, v in self.request.getpeercert().get("subjectAltName", ())]
                outer.got.put((names, dict((k.lower(), v) for k, v in self.headers.items()), body.get("m2m:sgn", body)))
                rsc = answer(body) if answer else OK
                self.send_response(200)
                self.send_header("X-M2M-RSC", str(rsc))
                self.send_header("X-M2M-RI", self.headers.get("X-M2M-RI", ""))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                outer.refused.append(repr(__import__("sys").exc_info()[1]))

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def event(self, timeout=10):
        """The next notification that reports something, with the names its sender proved."""
        while True:
            names, headers, sgn = self.got.get(timeout=timeout)
            if not sgn.get("vrq"):
                return names, headers, sgn

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        for link in self.links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)


def owner(of):
    """An AE with a container, over a kept connection."""
    if not hasattr(of, "owner"):
        key = of.add_key(f"owner@{DOMAIN}")
        of.owner = of.by_psk(f"owner@{DOMAIN}", key)
        expect(of.owner.register("owner", "Cowner"), CREATED)
    return of.owner


def container(site, name):
    expect(owner(site).post("cse-in/owner", CNT, "m2m:cnt", {"rn": name}, "Cowner"), CREATED)
    return "cse-in/owner/" + name


def subscribe(site, to, name, *nu, **more):
    return owner(site).post(to, SUB, "m2m:sub", {"rn": name, "nu": list(nu), "enc": {"net": [3]}, **more}, "Cowner",
                            timeout=40)


def add(site, to, con):
    return expect(owner(site).post(to, CIN, "m2m:cin", {"con": con}, "Cowner"), CREATED)


def application(site, name, port):
    pair = site.ca.ae("C" + name)
    with site.by_cert(pair) as h:
        expect(h.register(name, "C" + name, poa=[f"https://127.0.0.1:{port}/n"]), CREATED)
    return pair


def both_sides_are_proved(site):
    target = Target(site, site.ca.ae("Capp"))
    application(site, "app", target.port)
    to = container(site, "proved")
    expect(subscribe(site, to, "s", "/id-in/Capp"), CREATED)
    add(site, to, "hello")
    names, headers, sgn = target.event()
    eq(names, [CSE_FQDN])
    eq(sgn["nev"]["rep"]["m2m:cin"]["con"], "hello")
    assert headers["x-m2m-origin"].endswith("/id-in"), headers
    target.close()


def a_target_that_proves_another_ae_id_gets_nothing(site):
    cases = {"other": site.ca.ae("Csomeoneelse"), "host": site.ca.issue("h", "DNS:localhost,IP:127.0.0.1"),
             "expired": site.ca.ae("Cw-expired", dates=("20200101000000Z", "20210101000000Z")),
             "foreign": provider.Ca(site.dir, "notify-foreign").ae("Cw-foreign")}
    for name, cert in cases.items():
        target = Target(site, cert)
        application(site, "w-" + name, target.port)
        to = container(site, "w-" + name)
        expect(subscribe(site, to, "s", "/id-in/Cw-" + name), 5204)
        assert target.got.empty() and target.dialled, name
        target.close()
    text = site.log_text()
    assert "notify.failed" in text and "Cw-other" in text, text[-3000:]


def a_target_by_url_must_prove_the_host_of_the_url(site):
    good, bad = Target(site, site.ca.issue("good", "DNS:localhost")), Target(site, site.ca.issue("bad", "DNS:other.example"))
    to = container(site, "byurl")
    expect(subscribe(site, to, "good", f"https://localhost:{good.port}/n"), CREATED)
    expect(subscribe(site, to, "bad", f"https://localhost:{bad.port}/n"), 5204)
    expect(subscribe(site, to, "ip", f"https://127.0.0.1:{good.port}/n"), 5204)
    add(site, to, "x")
    eq(good.event()[0], [CSE_FQDN])
    assert bad.got.empty()
    good.close()
    bad.close()


class KeyTarget:
    """An AE that is notified over TLS with the key it registered with: openssl s_server, HTTP by hand."""

    def __init__(self, identity, key):
        self.port = free_port()
        self.process = subprocess.Popen(
            ["openssl", "s_server", "-accept", f"127.0.0.1:{self.port}", "-nocert", "-psk", key.hex(), "-psk_identity",
             identity, "-tls1_2", "-quiet"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.got = queue.Queue()
        self.rest = b""
        wait_for("s_server", self.listens)
        threading.Thread(target=self.run, daemon=True).start()

    def listens(self):
        with open("/proc/net/tcp") as f:
            return f":{self.port:04X} 00000000:0000 0A" in f.read()

    def run(self):
        while True:
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                return
            self.rest += data
            start = self.rest.find(b"POST ")
            if start < 0 or b"\r\n\r\n" not in self.rest[start:]:
                continue
            head, _, body = self.rest[start:].partition(b"\r\n\r\n")
            fields = {k.strip().lower(): v.strip() for k, v in
                      (x.split(":", 1) for x in head.decode().split("\r\n")[1:])}
            if len(body) < int(fields["content-length"]):
                continue
            self.rest = body[int(fields["content-length"]):]
            self.got.put(json.loads(body[:int(fields["content-length"])])["m2m:sgn"])
            answer = f"HTTP/1.1 200 \r\nX-M2M-RSC: 2000\r\nX-M2M-RI: {fields['x-m2m-ri']}\r\nContent-Length: 0\r\n\r\n"
            self.process.stdin.write(answer.encode())
            self.process.stdin.flush()

    def close(self):
        self.process.kill()
        self.process.wait()


def an_ae_with_a_key_is_notified_under_that_key(site):
    key = site.add_key(f"meter@{DOMAIN}")
    target = KeyTarget(f"meter@{DOMAIN}", key)
    with site.by_psk(f"meter@{DOMAIN}", key) as h:
        expect(h.register("meter", "Cmeter", poa=[f"https://127.0.0.1:{target.port}/n"]), CREATED)
    to = container(site, "bykey")
    expect(subscribe(site, to, "s", "/id-in/Cmeter"), CREATED)
    assert target.got.get(timeout=5)["vrq"]
    add(site, to, "k")
    eq(target.got.get(timeout=10)["nev"]["rep"]["m2m:cin"]["con"], "k")
    target.close()
    # Somebody without that key at the same address gets nothing.
    wrong = KeyTarget(f"meter@{DOMAIN}", bytes(32))
    with site.by_psk(f"meter@{DOMAIN}", key) as h:
        expect(h.put("cse-in/meter", "m2m:ae", {"poa": [f"https://127.0.0.1:{wrong.port}/n"]}, "Cmeter"), 2004)
    expect(subscribe(site, to, "s2", "/id-in/Cmeter"), 5204)
    assert wrong.got.empty()
    wrong.close()


class Trap:
    """Must not be dialled."""

    def __init__(self, family=socket.AF_INET):
        self.socket = socket.create_server(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family)
        self.port = self.socket.getsockname()[1]

    def check(self):
        touched = bool(select.select([self.socket], [], [], 0.3)[0])
        self.socket.close()
        assert not touched, "the server dialled where it must not"


def only_allowed_addresses_are_dialled(site):
    """The default: the loopback. Whatever is not on the list fails at once, and is not tried."""
    to = container(site, "ssrf")
    for n, host in enumerate(("169.254.169.254", "10.0.0.1", "192.168.1.1", "172.16.0.1", "8.8.8.8", "[fe80::1]", "[fd00::1]",
                              "0.0.0.0", "[::]", "224.0.0.1", "255.255.255.255", "[::ffff:10.0.0.1]", "100.64.0.1")):
        begin = time.monotonic()
        answer = subscribe(site, to, f"s{n}", f"http://{host}:9/n")
        expect(answer, 5204)
        assert time.monotonic() - begin < 3, (host, "was dialled")
        assert host not in str(answer.json) or "allow" not in str(answer.json), answer
    lines = [x for x in site.log_text().splitlines() if "notify.failed" in x and "169.254.169.254" in x]
    assert lines and "notify.allow" in lines[-1], lines
    for n, url in enumerate(("ftp://127.0.0.1/x", "file:///etc/passwd", "gopher://127.0.0.1:70/x", "http://", "http:///x",
                             "http://127.0.0.1:99999/", "http://127.0.0.1:0/", "http://user:pw@127.0.0.1:9/",
                             "http://127.0.0.1:9/\r\nX-Evil: 1", "unix:/run/x", "http://127.0.0.1\u0000.example/")):
        answer = subscribe(site, to, f"u{n}", url)
        assert answer.rsc in (4000, 5204, 4102), (url, answer)


def no_spelling_of_the_loopback_gets_around_the_allow_list(site):
    own = Site(settings=["notify.allow=192.0.2.0/24"])
    trap, trap6 = Trap(), Trap(socket.AF_INET6)
    try:
        own.start()
        to = container(own, "c")
        for n, host in enumerate(("127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.0.0.2",
                                  "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0", "0.0.0.0", "localhost.",
                                  "LOCALHOST", "[0:0:0:0:0:0:0:1]", "[::]")):
            port = trap6.port if host.startswith("[:") or host.startswith("[0") else trap.port
            answer = subscribe(own, to, f"s{n}", f"http://{host}:{port}/n")
            assert answer.rsc in (5204, 4000), (host, answer)
    finally:
        own.stop()
    trap.check()
    trap6.check()


def a_name_on_the_list_is_allowed_and_no_other(site):
    own = Site(settings=["notify.allow=localhost"])
    listener, trap = Listener(), Trap()
    port = listener.server.server_port
    try:
        own.start()
        to = container(own, "c")
        expect(subscribe(own, to, "ip", f"http://127.0.0.1:{trap.port}/n"), 5204)
        expect(subscribe(own, to, "name", f"http://localhost:{port}/n"), CREATED)
        add(own, to, "x")
        eq(listener.next_event()["nev"]["rep"]["m2m:cin"]["con"], "x")
    finally:
        own.stop()
        listener.close()
    trap.check()


def redirects_are_not_followed(site):
    trap = Trap()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(307)
            self.send_header("Location", f"http://127.0.0.1:{trap.port}/stolen")
            self.send_header("X-M2M-RI", self.headers.get("X-M2M-RI", ""))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    to = container(site, "redirect")
    expect(subscribe(site, to, "s", f"http://127.0.0.1:{server.server_port}/n"), 5204)
    trap.check()
    server.shutdown()
    server.server_close()


def notifications_to_one_target_keep_their_order(site):
    target = Target(site, site.ca.ae("Corder"))
    application(site, "order", target.port)
    to = container(site, "order")
    expect(subscribe(site, to, "s", "/id-in/Corder"), CREATED)
    for i in range(200):
        add(site, to, str(i))
    eq([int(target.event()[2]["nev"]["rep"]["m2m:cin"]["con"]) for _ in range(200)], list(range(200)))
    assert target.dialled < 20, f"{target.dialled} connections for 201 notifications"
    target.close()


def a_target_that_comes_back_gets_what_it_missed_in_order(site):
    port = free_port()
    pair = site.ca.ae("Cback")
    target = Target(site, pair, port)
    application(site, "back", port)
    to = container(site, "back")
    expect(subscribe(site, to, "s", "/id-in/Cback"), CREATED)
    add(site, to, "before")
    eq(target.event()[2]["nev"]["rep"]["m2m:cin"]["con"], "before")
    target.close()
    begin = time.monotonic()
    for i in range(5):
        add(site, to, f"missed{i}")
    assert time.monotonic() - begin < 5, "a target that is away holds up requests"
    wait_for("a first failure", lambda: f"127.0.0.1:{port}" in
             "".join(x for x in site.log_text().splitlines() if "notify.failed" in x))
    target = Target(site, pair, port)
    eq([target.event(20)[2]["nev"]["rep"]["m2m:cin"]["con"] for _ in range(5)], [f"missed{i}" for i in range(5)])
    target.close()


def who_waits_for_an_answer_does_not_wait_behind_what_is_tried_again(site):
    target = Target(site, site.ca.ae("Caway"))
    application(site, "away", target.port)
    to = container(site, "away")
    expect(subscribe(site, to, "s", "/id-in/Caway"), CREATED)
    target.close()
    for i in range(3):
        add(site, to, str(i))
    for i in range(3):
        begin = time.monotonic()
        expect(subscribe(site, to, f"more{i}", "/id-in/Caway"), 5204)
        took = time.monotonic() - begin
        assert took < 2, f"refused after {took:.1f} s"


def a_silent_target_holds_up_nobody_else(site):
    silent = socket.create_server(("127.0.0.1", 0))
    quick = Target(site, site.ca.ae("Cquick"))
    application(site, "quick", quick.port)
    to = container(site, "silent")
    # Verified by a listener that is then replaced by silence at the same port.
    first = Listener()
    expect(subscribe(site, to, "slow", first.url), CREATED)
    first.close()
    stuck = socket.create_server(("127.0.0.1", first.server.server_port))
    expect(subscribe(site, to, "fast", "/id-in/Cquick"), CREATED)
    begin = time.monotonic()
    for i in range(20):
        add(site, to, str(i))
        eq(quick.event()[2]["nev"]["rep"]["m2m:cin"]["con"], str(i))
    assert time.monotonic() - begin < 6
    for x in (silent, stuck):
        x.close()
    quick.close()


def no_server_state_is_lost_when_targets_misbehave(site):
    """Answers that are too long, broken, or of another request."""
    for blob in (b"garbage\r\n\r\n", b"HTTP/1.1 200 \r\nContent-Length: 99999999999\r\n\r\n", b"\x00" * 70000,
                 b"HTTP/1.1 200 \r\nX-M2M-RSC: 2000\r\nX-M2M-RI: other\r\nContent-Length: 0\r\n\r\n",
                 b"HTTP/1.1 200 \r\n" + b"X: y\r\n" * 20000):
        server = socket.create_server(("127.0.0.1", 0))

        def serve(listening, data):
            while True:
                try:
                    s, _ = listening.accept()
                    s.recv(65536)
                    s.sendall(data)
                    s.close()
                except OSError:
                    return
        threading.Thread(target=serve, args=(server, blob), daemon=True).start()
        n = len(blob)
        to = container(site, f"bad{n}")
        answer = subscribe(site, to, "s", f"http://127.0.0.1:{server.getsockname()[1]}/n")
        assert answer.rsc == 5204, (blob[:80], answer)
        server.close()
    assert site.process.poll() is None
    assert isinstance(owner(site), Http)


provider.main()
