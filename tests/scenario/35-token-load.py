#!/usr/bin/env python3
"""TS-0003 6.3: a token's module has a process of its own. It is killed, hung and cut off from its token under load:
what needs the token is told so, everything else goes on, and it comes back by itself."""
import base64
import contextlib
import glob
import http.server
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import provider
import softhsm
from lab import CIN, CNT, UPDATED
from provider import CREATED, DOMAIN, MEF_FQDN, OK, Site, eq, expect, openssl, wait_for

SE, SIGN = 30101, 30108
if not softhsm.HERE:
    print("SKIP: " + softhsm.ABSENT)
    sys.exit(77)

home = tempfile.mkdtemp(prefix="bastide-hsm-")
hsm = softhsm.Home(home)
TOKENS = os.path.join(home, "tokens")
URI = hsm.token_with_pin("server") + "&timeout=1"


def read(name):
    try:
        with open(name) as f:
            return f.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""  # a thread or a process that has just ended


def token_processes(pid):
    """Living child processes that have the module, of any thread."""
    found = []
    for name in glob.glob(f"/proc/{pid}/task/*/children"):
        for child in read(name).split():
            name, _, state = read(f"/proc/{child}/stat").partition("(")[2].rpartition(")")
            found += [int(child)] * (name == "bastide-token" and state.split()[0] != "Z")
    return found


def processes(server):
    """Every environment of the server has one."""
    return wait_for("the module's process", lambda: token_processes(server.process.pid))


def signal_all(server, number):
    old = processes(server)
    for pid in old:
        os.kill(pid, number)
    return old


def none_of(old, server):
    return not set(old) & set(token_processes(server.process.pid))


class Load:
    """Creates over kept connections, which need no token, and handshakes, which do."""

    def __init__(self, site):
        self.site, self.over = site, False
        self.creates = self.good = self.refused = 0
        self.failed, self.longest = [], 0.0
        self.streams = [wait_for("a connection", self.connected) for _ in range(2)]
        self.threads = [threading.Thread(target=t) for t in (self.create, self.create, self.by_cert, self.by_key)]

    def connected(self):
        try:
            return self.site.by_cert(self.site.cert)
        except OSError:
            return None  # the token has just been cut off

    def create(self):
        try:
            with self.streams.pop() as h:
                while not self.over:
                    begin = time.monotonic()
                    expect(h.post("cse-in/load/c", CIN, "m2m:cin", {"con": "21.5"}, "Cload"), CREATED)
                    self.longest = max(self.longest, time.monotonic() - begin)
                    self.creates += 1
        except Exception as e:
            self.failed.append(repr(e))

    def attempt(self, make):
        while not self.over:
            try:
                with make() as h:
                    good = h.get("cse-in/load", "Cload").status in (200, 403)
            except Exception:
                good = False
            self.good, self.refused = self.good + good, self.refused + (not good)

    def by_cert(self):
        self.attempt(lambda: self.site.by_cert(self.site.cert))

    def by_key(self):
        self.attempt(lambda: self.site.by_psk(*self.site.psk))

    def __enter__(self):
        for t in self.threads:
            t.start()
        wait_for("load", lambda: self.creates > 20 and self.good > 3 or self.failed)
        return self

    def __exit__(self, *args):
        self.over = True
        for t in self.threads:
            t.join()

    def goes_on(self, what):
        before = self.creates
        wait_for("creates while " + what, lambda: self.creates > before + 10 or self.failed)
        eq(self.failed, [])

    def recovers(self, what):
        before = self.good
        wait_for("handshakes after " + what, lambda: self.good > before + 3 or self.failed, 30)
        eq(self.failed, [])


def prepare(site, name):
    site.cert = site.ca.ae("C" + name)
    with site.by_cert(site.cert) as h:
        expect(h.register(name, "C" + name), CREATED)
        expect(h.post("cse-in/" + name, CNT, "m2m:cnt", {"rn": "c", "mni": 100}, "C" + name), CREATED)
    site.psk = (f"{name}@{DOMAIN}", site.add_key(f"{name}@{DOMAIN}"))


def the_module_is_in_a_process_of_its_own(site):
    prepare(site, "load")
    with open(f"/proc/{site.process.pid}/maps") as f:
        assert "softhsm" not in f.read()
    for pid in processes(site):
        with open(f"/proc/{pid}/maps") as f:
            assert "softhsm" in f.read()


def it_is_killed_again_and_again_and_comes_back(site):
    with Load(site) as load:
        for _ in range(6):
            old = signal_all(site, signal.SIGKILL)
            load.goes_on("the module is dead")
            load.recovers("the module was killed")
            assert none_of(old, site)
        print(f"{load.creates} creates, {load.good} handshakes, {load.refused} refused, longest create {load.longest:.2f} s")
    assert load.longest < 8, load.longest


def it_hangs_and_is_started_anew(site):
    with Load(site) as load:
        for _ in range(2):
            old = signal_all(site, signal.SIGSTOP)
            wait_for("the end of one that is in use", lambda: not set(old) <= set(token_processes(site.process.pid)))
            load.goes_on("the module hangs")
            load.recovers("the module hung")
        print(f"{load.creates} creates, {load.good} handshakes, {load.refused} refused, longest create {load.longest:.2f} s")
    assert load.longest < 8, load.longest


def sign(h):
    """A request that needs the token."""
    return h.put("cse-in/load/se/s", "m2m:sign", {"msg": "aGVsbG8="}, "Cload")


def a_token_that_is_gone_is_busy_in_words_and_works_again_when_it_is_back(site):
    kpm = site.add_kpm(f"m@{MEF_FQDN}", "Cm")
    later = time.strftime("%Y%m%dT%H%M%S", time.gmtime(time.time() + 3600))
    common = {"et": later, "adfq": DOMAIN, "fq": MEF_FQDN}
    body = {**common, "suid": 22, "tgis": [f"//{DOMAIN}/id-in"]}
    with Load(site) as load, site.mef_psk(f"m@{MEF_FQDN}", kpm) as mef, site.by_cert(site.cert) as cse:
        expect(mef.post("-", 30004, "sec:mecr", common, "Cm"), CREATED)
        expect(cse.post("cse-in/load", SE, "m2m:se", {"rn": "se"}, "Cload"), CREATED)
        expect(cse.post("cse-in/load/se", SIGN, "m2m:sign", {"rn": "s", "Salg": "ALG_ECDSA_SHA_256"}, "Cload"), CREATED)
        expect(cse.put("cse-in/load/se/s/genk", "m2m:genk", {}, "Cload"), UPDATED)
        expect(sign(cse), UPDATED)
        os.rename(TOKENS, TOKENS + ".away")
        signal_all(site, signal.SIGKILL)
        load.goes_on("the token is gone")
        refused = load.refused
        wait_for("handshakes that fail", lambda: load.refused > refused + 2)
        answer = mef.post("-", 30005, "sec:skr", body, "Cm")
        eq((answer.status, answer.rsc, answer.headers.get("retry-after")), (503, 5000, "2"))
        assert b"busy" in answer.body, answer
        answer = sign(cse)
        eq((answer.status, answer.rsc, answer.headers.get("retry-after")), (503, 5000, "2"))
        refused = cse.get("cse-in/nobody", "Cload")  # what does not need it is told the same as ever
        eq((refused.rsc, refused.headers.get("retry-after")), (4004, None))
        load.goes_on("the token is still gone")
        os.rename(TOKENS + ".away", TOKENS)
        load.recovers("the token was back")
        wait_for("a key at the MEF", lambda: mef.post("-", 30005, "sec:skr", body, "Cm").rsc == CREATED)
        wait_for("a signature", lambda: sign(cse).rsc == UPDATED)
    eq(site.run("audit", "verify").code, 0)


class Busy(http.server.BaseHTTPRequestHandler):
    """A CSE that is busy at first."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append((time.monotonic(), self.headers["X-M2M-RI"]))
        busy = len(self.server.asked) <= self.server.refuses
        body = b'{"m2m:dbg":"too busy"}' if busy else b'{"m2m:cb":{"ri":"x"}}'
        self.send_response(503 if busy else 200)
        for name, value in {"X-M2M-RSC": "5000" if busy else "2000", "X-M2M-RI": self.headers["X-M2M-RI"],
                            "Content-Type": "application/json", "Content-Length": str(len(body)),
                            **({"Retry-After": self.server.after} if busy else {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def busy_cse(refuses, after):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    server.asked, server.refuses, server.after, server.daemon_threads = [], refuses, after, True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def a_client_that_is_told_busy_asks_again_after_as_long_as_it_was_told(site):
    with busy_cse(2, "1") as cse:
        site.run("request", "retrieve", "--lab", str(cse.server_port), "--as", "CAdmin", "x", state=False)
        times = [t for t, _ in cse.asked]
        eq((len(times), len({ri for _, ri in cse.asked})), (3, 1))
        assert times[1] - times[0] > 0.9 and times[2] - times[1] > 0.9, times
    with busy_cse(99, "1") as cse:
        done = site.cli("request", "retrieve", "--lab", str(cse.server_port), "--as", "CAdmin", "x", state=False)
        assert done.code == 6 and "busy; try again in 1 s" in done.err, done
        eq(len(cse.asked), 5)


def a_restart_leaves_no_process_behind(site):
    old = processes(site)
    site.restart()
    wait_for("their end", lambda: not [pid for pid in old if os.path.exists(f"/proc/{pid}/task")])
    with site.by_psk(*site.psk) as h:
        assert h.get("cse-in/load", "Cload").status in (200, 403)


def certify(site, name):
    """A certificate of the project CA for a key of the test."""
    key = os.path.join(site.dir, name + ".key")
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    spki = openssl("pkey", "-in", key, "-pubout", "-outform", "DER").stdout
    return site.admin("certify", name=f"//{DOMAIN}/id-in/{name}", flavour="ae", spki=base64.b64encode(spki).decode())


def without_the_token_of_the_ca(mine):
    """It may be kept away from the machine: only what it has to sign waits for it."""
    folder = next(f for f in glob.glob(TOKENS + "/*") if b"authority" in Path(f, "token.object").read_bytes())
    os.rename(folder, os.path.join(home, "away"))
    try:
        mine.restart()
        with mine.by_psk(*mine.psk) as h:
            assert h.get("cse-in/load", "Cload").status in (200, 403)
        for words in (("key", "rotate", "cse.tls"), ("key", "rotate", "pki.ca"),
                      ("mef", "provision", "hut", "--certificate", "--out", mine.path("hut"))):
            refused = mine.cli(*words)
            assert refused.code == 6 and "not at hand" in refused.err, refused
        eq(mine.admin("reload"), {"reloaded": True})
        assert mine.admin("certificates")["certificates"]
    finally:
        os.rename(os.path.join(home, "away"), folder)
    wait_for("a certificate", lambda: mine.cli("mef", "provision", "hut", "--certificate", "--out",
                                               mine.path("hut")).code == 0)


def a_ca_whose_token_does_not_answer_keeps_nobody_else_waiting(site):
    hsm.token("authority")
    uri = URI.replace("token=server", "token=authority").replace("timeout=1", "timeout=12")
    mine = Site(settings=[f"pki.ca-uri={uri}"])
    outcome = []

    def issue():
        try:
            outcome.append(certify(mine, "Cslow"))
        except Exception as e:
            outcome.append(e)
    try:
        mine.start()
        prepare(mine, "load")
        certify(mine, "Cquick")
        signal_all(mine, signal.SIGSTOP)
        issuing = threading.Thread(target=issue)
        issuing.start()
        threading.Event().wait(1)
        begin = time.monotonic()
        assert mine.admin("status")["running"]
        assert mine.metric("bastide_connections") >= 0
        assert mine.admin("explain", **{"as": "Cload", "op": "retrieve", "target": "cse-in/load"})["permitted"]
        with mine.by_psk(*mine.psk) as h:
            assert h.get("cse-in/load", "Cload").status in (200, 403)
        mine.process.send_signal(signal.SIGHUP)
        assert mine.admin("status")["running"]
        took = time.monotonic() - begin
        assert not outcome and issuing.is_alive(), "the token answered although it was stopped"
        signal_all(mine, signal.SIGCONT)
        issuing.join(30)
        assert isinstance(outcome[0], dict) and "BEGIN CERTIFICATE" in outcome[0]["certificate"], outcome
        print(f"others were answered in {took:.1f} s while the CA's token hung")
        outcome.clear()
        signal_all(mine, signal.SIGSTOP)  # this time for longer than it may
        issue()
        assert "BUSY" in str(outcome[0]) and "did not answer" in str(outcome[0]), outcome
        wait_for("a certificate", lambda: issue() or isinstance(outcome[-1], dict), 30)
        without_the_token_of_the_ca(mine)
    finally:
        mine.stop()


def while_the_token_hangs_only_who_needs_it_waits(site):
    """Connections on every loop are answered while a MEF takes a key, a handshake signs and the trail wants its seal."""
    hsm.token("patient")
    patient = Site(settings=["se.uri=" + URI.replace("token=server", "token=patient").replace("timeout=1", "timeout=20")])
    later = time.strftime("%Y%m%dT%H%M%S", time.gmtime(time.time() + 3600))
    common = {"et": later, "adfq": DOMAIN, "fq": MEF_FQDN}
    key = {**common, "suid": 22, "tgis": [f"//{DOMAIN}/id-in"], "kv": base64.b64encode(bytes(range(32))).decode()}
    outcome = {}

    def register():
        outcome["key"] = mef.post("-", 30005, "sec:skr", key, "Cmeter")

    def connect():
        with patient.by_cert(patient.cert) as h:
            outcome["handshake"] = h.get("cse-in/load", "Cload")
    try:
        patient.start()
        prepare(patient, "load")
        mef = patient.mef_psk(f"meter@{MEF_FQDN}", patient.add_kpm(f"meter@{MEF_FQDN}", "Cmeter"))
        expect(mef.post("-", 30004, "sec:mecr", common, "Cmeter"), CREATED)
        streams = [patient.by_cert(patient.cert) for _ in range(8)]
        signal_all(patient, signal.SIGSTOP)
        waiting = [threading.Thread(target=t) for t in (register, connect)]
        for t in waiting:
            t.start()
        longest, n, end = 0.0, 0, time.monotonic() + 4
        while time.monotonic() < end:
            begin = time.monotonic()
            expect(streams[n % 8].post("cse-in/load/c", CIN, "m2m:cin", {"con": "21.5"}, "Cload"), CREATED)
            assert n % 50 or patient.admin("status")["running"]
            longest, n = max(longest, time.monotonic() - begin), n + 1
        eq(outcome, {})
        signal_all(patient, signal.SIGCONT)
        for t in waiting:
            t.join(30)
        expect(outcome["key"], CREATED)
        expect(outcome["handshake"], OK)
        print(f"{n} creates while the token hung, the longest {longest:.2f} s")
        assert longest < 2, longest
        for h in [mef, *streams]:
            h.close()
    finally:
        patient.stop()


def serve_by_p11_kit(socket_path):
    for name in (socket_path, os.path.join(home, "p11-kit.out")):
        if os.path.exists(name):
            os.unlink(name)
    with open(os.path.join(home, "p11-kit.out"), "wb") as out:
        server = subprocess.Popen(["p11-kit", "server", "-f", "--provider", softhsm.MODULE, "--name", socket_path,
                                   "pkcs11:token=remote"], stdout=out, stderr=out)
    wait_for("p11-kit server", lambda: os.path.exists(socket_path))
    return server


def a_token_behind_p11_kits_own_remoting_comes_back_too(site):
    client = next(iter(glob.glob("/usr/lib/*/pkcs11/p11-kit-client.so")), None)
    if not client or not shutil.which("p11-kit"):
        print("SKIP this part: p11-kit's client module is not installed (packages p11-kit, p11-kit-modules)")
        return
    hsm.token("remote")
    path = os.path.join(home, "p11-kit")
    server = serve_by_p11_kit(path)
    os.environ["P11_KIT_SERVER_ADDRESS"] = "unix:path=" + path
    # fallback=soft: p11-kit's messages do not carry EdDSA.
    remote = Site(settings=[f"se.uri=pkcs11:token=remote?module-path={client}&pin-source=file:{home}/pin&fallback=soft"])
    try:
        remote.start()
        prepare(remote, "load")
        with Load(remote) as load:
            for _ in range(2):
                server.kill()
                server.wait()
                load.goes_on("p11-kit server is dead")
                server = serve_by_p11_kit(path)
                load.recovers("p11-kit server is back")
    finally:
        remote.stop()
        server.kill()
        server.wait()
        del os.environ["P11_KIT_SERVER_ADDRESS"]


try:
    provider.main(lambda: Site(settings=[f"se.uri={URI}"]))
finally:
    shutil.rmtree(home, ignore_errors=True)
