#!/usr/bin/env python3
"""TS-0003 6.3: keys in a TPM 2.0, swtpm here: a whole provider on one that goes away and comes back, and the words of
bastide key."""
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import provider
from provider import CREATED, DOMAIN, MEF_FQDN, Site, eq, expect, openssl, wait_for

if not shutil.which("swtpm"):
    print("SKIP: swtpm is not installed (package swtpm)")
    sys.exit(77)

home = tempfile.mkdtemp(prefix="bastide-tpm-")


def put(name, text, mode=0o600):
    path = os.path.join(home, name)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def two_ports():
    """A free port whose neighbour is free too, and which no outgoing connection takes while the TPM is stopped."""
    while True:
        port = random.randrange(16384, 32000, 2)
        if is_free(port) and is_free(port + 1):
            return port


class Tpm:
    """One software TPM: its state outlives its process."""

    def __init__(self, name):
        self.state = os.path.join(home, name)
        os.mkdir(self.state)
        self.port = two_ports()
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.state}", "--server",
             f"type=tcp,port={self.port}", "--ctrl", f"type=tcp,port={self.port + 1}", "--flags",
             "not-need-init,startup-clear"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("swtpm", self.answers)

    def answers(self):
        return not is_free(self.port) and not is_free(self.port + 1)

    def stop(self):
        self.process.kill()
        self.process.wait()

    def tool(self, *words):
        """One of the TPM's own tools; what it leaves in the TPM is flushed, as there is no resource manager."""
        env = dict(os.environ, TPM2TOOLS_TCTI=f"swtpm:port={self.port}")
        p = subprocess.run(words, env=env, capture_output=True, text=True)
        assert p.returncode == 0, p
        return p.stdout

    def uri(self, *options):
        return f"tpm2:swtpm:port={self.port}" + ("?" + "&".join(options) if options else "")


PIN_FILE = put("pin", "27182818\n")
MAIN, BENCH = Tpm("main"), Tpm("bench")
SERVER = MAIN.uri(f"dir={home}/keys")
os.mkdir(os.path.join(home, "keys"))
os.mkdir(os.path.join(home, "bench-keys"))


def key(site, word, *args, uri=None, pin=None):
    uri = uri or BENCH.uri(f"dir={home}/bench-keys")
    return site.cli("key", word, uri, *args, *(["--pin-file", pin] if pin else []), state=False)


def labels(site, uri=None):
    done = key(site, "list", "--json", uri=uri)
    assert done.code == 0, done
    return sorted(k["label"] for k in done.json)


def nothing_in(tpm):
    if shutil.which("tpm2_getcap"):
        for kind in ("handles-transient", "handles-loaded-session", "handles-nv-index", "handles-persistent"):
            eq((kind, tpm.tool("tpm2_getcap", kind).strip()), (kind, ""))


def the_keys_of_a_provider_are_blobs_of_its_tpm(site):
    eq(os.listdir(os.path.join(site.state, "se")), [])
    eq(sorted(f.split(".")[0] for f in os.listdir(os.path.join(home, "keys"))), ["keys", "manifest", "tpm"])
    folder = site.enrolled("hut")
    site.run("device", "register", folder, "--name", "hut", state=False)
    site.stop_process()
    held = labels(site, SERVER)
    assert {"audit.sign", "cse.tls", "mef.tls", "pki.ca"} <= set(held), held
    assert any(name.startswith("mef.key.") for name in held), held
    site.start()
    site.run("device", "send", folder, "--name", "hut", "--count", "2", state=False)
    assert "whole" in site.run("audit", "verify").out
    site.run("backup", site.path("copy.bak"), "--passphrase-file", put("phrase", "correct horse battery staple\n"))


def a_tpm_that_goes_away_under_load_is_used_again_when_it_is_back(site):
    folder = site.enrolled("mill")
    site.run("device", "register", folder, "--name", "mill", state=False)
    end, sent, refused = threading.Event(), [], []

    def load():
        while not end.is_set():
            done = site.cli("device", "send", folder, "--name", "mill", "--count", "1", state=False)
            (sent if done.code == 0 else refused).append(done)

    threads = [threading.Thread(target=load) for _ in range(2)]
    for t in threads:
        t.start()
    try:
        wait_for("load", lambda: len(sent) > 3)
        for _ in range(2):
            before = len(refused)
            MAIN.stop()
            wait_for("refusal", lambda: len(refused) > before)  # a handshake needs its key
            MAIN.start()
            before = len(sent)
            wait_for("recovery", lambda: len(sent) > before + 2)
    finally:
        end.set()
        for t in threads:
            t.join()
    assert site.process.poll() is None  # the same server all the time
    site.restart()
    site.run("device", "send", folder, "--name", "mill", "--count", "2", state=False)


def while_it_is_gone(site, folder, held, mef, registration):
    """What needs the TPM is told that it is busy; requests on a held connection are served."""
    eq(site.cli("device", "send", folder, "--name", "barn", "--count", "1", state=False).code != 0, True)
    answer = mef.post("-", 30005, "sec:skr", registration, "Cm")
    eq((answer.status, answer.rsc, answer.headers.get("retry-after")), (503, 5000, "2"))
    assert b"busy" in answer.body, answer
    for _ in range(5):
        assert held.get("cse-in", "CAdmin").status in (200, 403)
    eq(site.process.poll(), None)
    refused = site.cli("key", "list", SERVER, state=False)
    assert refused.code != 0 and "cannot be reached" in refused.err and "0x" not in refused.err, refused


def a_tpm_that_is_gone_stops_only_what_needs_it(site):
    folder = site.enrolled("barn")
    site.run("device", "register", folder, "--name", "barn", state=False)
    later = time.strftime("%Y%m%dT%H%M%S", time.gmtime(time.time() + 3600))
    client = {"et": later, "adfq": DOMAIN, "fq": MEF_FQDN}
    registration = {**client, "suid": 22, "tgis": [f"//{DOMAIN}/id-in"]}
    held, kpm = site.add_key(f"held@{DOMAIN}"), site.add_kpm(f"m@{MEF_FQDN}", "Cm")
    with site.by_psk(f"held@{DOMAIN}", held) as h, site.mef_psk(f"m@{MEF_FQDN}", kpm) as mef:
        assert h.get("cse-in", "CAdmin").status in (200, 403)
        expect(mef.post("-", 30004, "sec:mecr", client, "Cm"), CREATED)
        MAIN.stop()
        try:
            while_it_is_gone(site, folder, h, mef, registration)
        finally:
            MAIN.start()
        wait_for("a key at the MEF", lambda: mef.post("-", 30005, "sec:skr", registration, "Cm").rsc == CREATED)
    wait_for("recovery", lambda: site.cli("device", "send", folder, "--name", "barn", "--count", "1",
                                          state=False).code == 0)


def a_self_test_says_what_a_tpm_can_and_leaves_nothing(site):
    done = key(site, "selftest")
    assert done.code == 0, done
    assert done.out.splitlines()[-1].endswith(" passed, 0 failed"), done
    assert "protection level 1" in done.out and "no maker's root is named" in done.out, done
    assert "AES-256-GCM" in done.out, done
    eq(os.listdir(os.path.join(home, "bench-keys")), [])
    nothing_in(BENCH)
    whole = key(site, "selftest", "--json", uri=BENCH.uri(f"dir={home}/bench-keys", "fallback=soft")).json
    eq((whole["failed"], whole["level"]), (0, 1))
    without = key(site, "selftest", uri=BENCH.uri())
    assert without.code == 0 and without.out.splitlines()[-1].endswith(" passed, 0 failed"), without
    nothing_in(BENCH)


def a_key_signs_and_others_can_check_it(site):
    message, signature, public, csr = (site.path(n) for n in ("message", "signature", "public", "csr"))
    with open(message, "w") as f:
        f.write("what is signed")
    for kind, digest in (("p256", "sha256"), ("p256", "sha384"), ("p384", "sha384")):
        eq(key(site, "generate", "signer", "--type", kind).code, 0)
        eq(key(site, "sign", "signer", "--in", message, "--out", signature, "--hash", digest).code, 0)
        eq(key(site, "public", "signer", "--out", public).code, 0)
        eq(key(site, "csr", "signer", "--fqdn", "in.example.com", "--out", csr).code, 0)
        openssl("dgst", "-" + digest, "-verify", public, "-signature", signature, message)
        openssl("req", "-in", csr, "-noout", "-verify")
        eq(key(site, "delete", "signer").code, 0)
    eq(labels(site), [])
    nothing_in(BENCH)


def errors_are_in_words(site):
    uri = BENCH.uri(f"dir={home}/bench-keys")
    eq(key(site, "generate", "guarded", "--type", "p256", pin=PIN_FILE).code, 0)
    wrong = key(site, "list", pin=put("wrong", "11111111\n"))
    assert wrong.code == 4 and "the PIN is wrong; " in wrong.err, wrong
    assert "1 of 3 wrong tries" in wrong.err and "11111111" not in wrong.err, wrong
    forgotten = key(site, "list")
    assert forgotten.code == 4 and "--pin-file" in forgotten.err, forgotten
    refused = key(site, "generate", "sealing", "--type", "symmetric", "--use", "seal", pin=PIN_FILE)
    assert refused.code != 0 and "AES-256-GCM" in refused.err and "fallback=soft" in refused.err, refused
    eq(key(site, "delete", "guarded", pin=PIN_FILE).code, 0)
    shown = key(site, "list", uri=uri + "&pin-value=27182818")
    assert shown.code == 3 and "pin-source=file:" in shown.err and "27182818" not in shown.err, shown
    absent = key(site, "list", uri="tpm2:device:/dev/there-is-none")
    assert absent.code != 0 and "group tss" in absent.err, absent
    way = key(site, "list", uri="tpm2:cmd:true")
    assert way.code == 3 and "no way to a TPM" in way.err, way


def an_old_copy_of_the_folder_is_refused(site):
    folder, copy = os.path.join(home, "bench-keys"), os.path.join(home, "copy")
    eq(key(site, "generate", "kept", "--type", "p256").code, 0)
    eq(key(site, "generate", "revoked", "--type", "p256").code, 0)
    shutil.copytree(folder, copy)
    eq(key(site, "delete", "revoked").code, 0)
    old = key(site, "list", uri=BENCH.uri(f"dir={copy}"))
    assert old.code != 0 and "older copy" in old.err, old
    eq(labels(site), ["kept"])
    eq(key(site, "delete", "kept").code, 0)


try:
    provider.main(lambda: Site(settings=[f"se.uri={SERVER}"], extra_ca=False))
finally:
    for tpm in (MAIN, BENCH):
        tpm.stop()
    shutil.rmtree(home, ignore_errors=True)
