#!/usr/bin/env python3
"""TS-0003 6.3: a token's module has a process of its own. It is killed, hung and cut off from its token under load:
what needs the token is told so, everything else goes on, and it comes back by itself."""
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import provider
from lab import CIN, CNT
from provider import CREATED, DOMAIN, MEF_FQDN, Site, eq, expect, wait_for

PIN = "27182818"
MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/*/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")
MODULE = next((m for pattern in MODULES for m in glob.glob(pattern)), None)
if not MODULE or not shutil.which("softhsm2-util"):
    print("SKIP: SoftHSM2 is not installed (package softhsm2)")
    sys.exit(77)

home = tempfile.mkdtemp(prefix="bastide-hsm-")
TOKENS = os.path.join(home, "tokens")
os.environ["SOFTHSM2_CONF"] = os.path.join(home, "softhsm2.conf")
os.mkdir(TOKENS)
with open(os.environ["SOFTHSM2_CONF"], "w") as conf:
    conf.write(f"directories.tokendir = {TOKENS}\nlog.level = ERROR\n")
with open(os.open(os.path.join(home, "pin"), os.O_WRONLY | os.O_CREAT, 0o600), "w") as pin_file:
    pin_file.write(PIN)
subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", "server", "--so-pin", "31415926", "--pin", PIN],
               check=True, capture_output=True)
URI = f"pkcs11:token=server?module-path={MODULE}&pin-source=file:{home}/pin&timeout=1"


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


def a_token_that_is_gone_is_busy_in_words_and_works_again_when_it_is_back(site):
    kpm = site.add_kpm(f"m@{MEF_FQDN}", "Cm")
    later = time.strftime("%Y%m%dT%H%M%S", time.gmtime(time.time() + 3600))
    common = {"et": later, "adfq": DOMAIN, "fq": MEF_FQDN}
    body = {**common, "suid": 22, "tgis": [f"//{DOMAIN}/id-in"]}
    with Load(site) as load, site.mef_psk(f"m@{MEF_FQDN}", kpm) as mef:
        expect(mef.post("-", 30004, "sec:mecr", common, "Cm"), CREATED)
        os.rename(TOKENS, TOKENS + ".away")
        signal_all(site, signal.SIGKILL)
        load.goes_on("the token is gone")
        refused = load.refused
        wait_for("handshakes that fail", lambda: load.refused > refused + 2)
        answer = mef.post("-", 30005, "sec:skr", body, "Cm")
        eq((answer.status, answer.rsc), (500, 5000))
        assert b"busy" in answer.body, answer
        load.goes_on("the token is still gone")
        os.rename(TOKENS + ".away", TOKENS)
        load.recovers("the token was back")
        wait_for("a key at the MEF", lambda: mef.post("-", 30005, "sec:skr", body, "Cm").rsc == CREATED)
    eq(site.run("audit", "verify").code, 0)


def a_restart_leaves_no_process_behind(site):
    old = processes(site)
    site.restart()
    wait_for("their end", lambda: not [pid for pid in old if os.path.exists(f"/proc/{pid}/task")])
    with site.by_psk(*site.psk) as h:
        assert h.get("cse-in/load", "Cload").status in (200, 403)


def serve_by_p11_kit(socket_path):
    for name in (socket_path, os.path.join(home, "p11-kit.out")):
        if os.path.exists(name):
            os.unlink(name)
    with open(os.path.join(home, "p11-kit.out"), "wb") as out:
        server = subprocess.Popen(["p11-kit", "server", "-f", "--provider", MODULE, "--name", socket_path,
                                   "pkcs11:token=remote"], stdout=out, stderr=out)
    wait_for("p11-kit server", lambda: os.path.exists(socket_path))
    return server


def a_token_behind_p11_kits_own_remoting_comes_back_too(site):
    client = next(iter(glob.glob("/usr/lib/*/pkcs11/p11-kit-client.so")), None)
    if not client or not shutil.which("p11-kit"):
        print("SKIP this part: p11-kit's client module is not installed (packages p11-kit, p11-kit-modules)")
        return
    subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", "remote", "--so-pin", "31415926", "--pin",
                    PIN], check=True, capture_output=True)
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
