"""A server in lab mode on a free port of the loopback, and a oneM2M client over plain HTTP for scenario tests.

Each scenario file defines functions named after what must hold, and ends with lab.main(). A server is shared by the
functions of one file; a function whose only parameter is `lab` is a case.
"""
import contextlib
import http.client
import http.server
import inspect
import json
import os
import queue
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

BASTIDE = os.environ.get("BASTIDE", "build/bastide")
ADMIN = "CAdmin"

CSE, ACP, AE, CNT, CIN, GRP, NOD, PCH, REQ, SUB = 5, 1, 2, 3, 4, 9, 14, 15, 17, 23
OK, CREATED, DELETED, UPDATED = 2000, 2001, 2002, 2004


def free_port():
    """One that is free now and stays so: below those that the kernel gives to whoever connects. Somebody else's
    connection would take it while a server is restarted."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        end = int(f.read().split()[0])
    for port in random.SystemRandom().sample(range(min(10000, end - 2000), end), 1000):
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        rsc = headers.get("x-m2m-rsc")
        self.rsc = int(rsc) if rsc else None
        self.json = None
        if body and "json" in headers.get("content-type", ""):
            self.json = json.loads(body)

    def root(self, name):
        assert self.json is not None and name in self.json, f"{name} expected: {self}"
        return self.json[name]

    def __repr__(self):
        return f"HTTP {self.status} rsc {self.rsc} {self.body[:600]!r}"


class Lab:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="bastide-lab-")
        self.state = os.path.join(self.dir, "state")
        self.port = free_port()
        self.process = None
        self.local = threading.local()
        self.count = 0

    def start(self):
        self.log = open(os.path.join(self.dir, "log"), "ab")
        self.process = subprocess.Popen([BASTIDE, "serve", "--state", self.state, "--lab", str(self.port)],
                                        stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 20
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"server ended with {self.process.returncode}:\n{self.log_text()}")
            with contextlib.suppress(OSError):
                if self.get("cse-in").rsc == OK:
                    return self
            self.local = threading.local()
            assert time.monotonic() < deadline, f"not ready in 20 s:\n{self.log_text()}"
            select_wait(0.05)

    def kill(self, sig=signal.SIGKILL):
        self.process.send_signal(sig)
        code = self.process.wait(20)
        self.local = threading.local()
        return code

    def stop(self):
        if self.process and self.process.poll() is None:
            assert self.kill(signal.SIGTERM) == 0, f"SIGTERM must end in order:\n{self.log_text()}"
        shutil.rmtree(self.dir)

    def log_text(self):
        with open(os.path.join(self.dir, "log"), errors="replace") as f:
            return f.read()[-4000:]

    # -- HTTP
    def raw(self, method, path, headers, body=None):
        for attempt in (1, 2):
            conn = getattr(self.local, "conn", None)
            if conn is None:
                conn = self.local.conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            try:
                conn.request(method, path, body=body, headers=headers)
                r = conn.getresponse()
                return Answer(r.status, {k.lower(): v for k, v in r.getheaders()}, r.read())
            except (http.client.RemoteDisconnected, ConnectionError):
                conn.close()
                self.local.conn = None
                if attempt == 2:
                    raise

    def send(self, method, to, fr, content=None, ty=None, rvi="3", headers=None):
        self.count += 1
        h = {"X-M2M-RI": f"q{self.count}", "Accept": "application/json"}
        if fr is not None:
            h["X-M2M-Origin"] = fr
        if rvi is not None:
            h["X-M2M-RVI"] = rvi
        body = None
        if content is not None:
            body = content if isinstance(content, (str, bytes)) else json.dumps(content)
            h["Content-Type"] = "application/json" + (f";ty={ty}" if ty is not None else "")
        h.update(headers or {})
        path = "/" + to
        if to.startswith("//"):
            path = "/_/" + to[2:]
        elif to.startswith("/"):
            path = "/~" + to
        answer = self.raw(method, path, h, body)
        assert answer.headers.get("x-m2m-ri") == h["X-M2M-RI"], f"request id not echoed: {answer}"
        return answer

    def get(self, to, fr=ADMIN, **kw):
        return self.send("GET", to, fr, **kw)

    def post(self, to, ty, root, attributes, fr=ADMIN, **kw):
        return self.send("POST", to, fr, {root: attributes}, ty=ty, **kw)

    def put(self, to, root, attributes, fr=ADMIN, **kw):
        return self.send("PUT", to, fr, {root: attributes}, **kw)

    def delete(self, to, fr=ADMIN, **kw):
        return self.send("DELETE", to, fr, **kw)

    # -- shorthands that must succeed
    def ae(self, name, fr=None, **attributes):
        a = self.post("cse-in", AE, "m2m:ae", {"rn": name, "api": "N.org.example." + name, "rr": True,
                                               "srv": ["3"], **attributes}, fr=fr or "C" + name)
        expect(a, CREATED)
        return a.root("m2m:ae")

    def cnt(self, parent, name, fr=ADMIN, **attributes):
        a = self.post(parent, CNT, "m2m:cnt", {"rn": name, **attributes}, fr=fr)
        expect(a, CREATED)
        return a.root("m2m:cnt")

    def cin(self, parent, con, fr=ADMIN, **attributes):
        a = self.post(parent, CIN, "m2m:cin", {"con": con, **attributes}, fr=fr)
        expect(a, CREATED)
        return a.root("m2m:cin")


class Listener:
    """A notification target: keeps what arrives; answers rsc 2000 unless told otherwise."""

    def __init__(self, answer=None):
        self.got = queue.Queue()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.got.put((dict((k.lower(), v) for k, v in self.headers.items()), json.loads(body or b"{}")))
                rsc = answer(json.loads(body or b"{}")) if answer else OK
                self.send_response(200 if rsc < 3000 else 403)
                self.send_header("X-M2M-RSC", str(rsc))
                self.send_header("X-M2M-RI", self.headers.get("X-M2M-RI", ""))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/n"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self, timeout=10):
        headers, body = self.got.get(timeout=timeout)
        return body.get("m2m:sgn", body)

    def next_event(self, timeout=10):
        while True:
            sgn = self.next(timeout)
            if not sgn.get("vrq"):
                return sgn

    def silent(self, seconds=0.4):
        try:
            headers, body = self.got.get(timeout=seconds)
        except queue.Empty:
            return True
        raise AssertionError(f"unexpected notification {body}")

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def select_wait(seconds):
    threading.Event().wait(seconds)


def expect(answer, rsc, status=None):
    assert answer.rsc == rsc, f"rsc {rsc} expected: {answer}"
    if status:
        assert answer.status == status, f"HTTP {status} expected: {answer}"
    if rsc >= 4000:
        assert answer.json and answer.json.get("m2m:dbg"), f"an error says why in m2m:dbg: {answer}"
    return answer


def eq(got, wanted):
    assert got == wanted, f"{got!r} instead of {wanted!r}"


def main():
    """Run every function of the calling file whose only parameter is `lab`."""
    scope = inspect.stack()[1].frame.f_globals
    cases = [f for f in scope.values() if inspect.isfunction(f) and f.__module__ == "__main__"
             and list(inspect.signature(f).parameters) == ["lab"]]
    only = sys.argv[1:]
    passed = failed = 0
    lab = Lab().start()
    try:
        for case in cases:
            if only and case.__name__ not in only:
                continue
            try:
                case(lab)
                passed += 1
                print("ok  ", case.__name__.replace("_", " "))
            except Exception:
                failed += 1
                print("FAIL", case.__name__.replace("_", " "))
                traceback.print_exc(limit=4, file=sys.stdout)
                if lab.process.poll() is not None:
                    print(f"the server ended with {lab.process.returncode}:\n{lab.log_text()}")
                    break
    finally:
        try:
            lab.stop()
        except Exception:
            failed += 1
            traceback.print_exc(file=sys.stdout)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)
