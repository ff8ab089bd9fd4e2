#!/usr/bin/env python3
"""TS-0003 6.3: the memory of a server under load, as a core dump would show it, holds no key outside locked pages.

The keys are known to the test: pre-shared ones that it gives to the server, enrolment keys that it exports from the
same handshakes, private keys and sealing keys that it imports, and those that the state key of the folder gives, which
seal the others. Looked for are both halves of each value, the same reversed (as big numbers are kept) and in
hexadecimal, and what AES-256 expands it to, for both directions and both orders of bytes. Nothing is let pass: not even
what OpenSSL works with in a handshake under way.
"""
import base64
import contextlib
import functools
import glob
import hashlib
import hmac
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import provider
from lab import CIN, CNT
from provider import CREATED, CSE_FQDN, DOMAIN, MEF_FQDN, OK, Http, PipeStream, Site, eq, expect, openssl, wait_for

if provider.sanitized():
    print("SKIP: the memory of a sanitizer is another one, and far larger")
    sys.exit(77)

SYMMETRIC, PAIRS, SEALING, ENROLLED, OWN = 22, 16, 4, 8, 4  # 50 in all, and those that seal them
SE, CIPH, UPDATED = 30101, 30103, 2004
STAKEHOLDER = f"//{DOMAIN}/id-in/Cmemory"
CSE_ID = f"//{DOMAIN}/id-in"
PAGE, CHUNK = 4096, 1 << 20
NOTHING = bytes(PAGE)


# -- what a key may look like

def sbox():
    p = q = 1
    box = [0] * 256
    while True:
        p ^= (p << 1) & 0xff ^ (0x1b if p & 0x80 else 0)
        for shift in (1, 2, 4):
            q ^= q << shift & 0xff
        q ^= 0x09 if q & 0x80 else 0
        box[p] = q ^ rotl(q, 1) ^ rotl(q, 2) ^ rotl(q, 3) ^ rotl(q, 4) ^ 0x63
        if p == 1:
            box[0] = 0x63
            return box


def rotl(byte, n):
    return (byte << n | byte >> (8 - n)) & 0xff


SBOX = sbox()


def expanded(key):
    """FIPS 197, 5.2: the round keys of AES-256, 240 bytes."""
    words, rcon = [key[i:i + 4] for i in range(0, 32, 4)], 1
    for i in range(8, 60):
        word = words[-1]
        if i % 8 == 0:
            word = bytes((SBOX[word[1]] ^ rcon, SBOX[word[2]], SBOX[word[3]], SBOX[word[0]]))
            rcon <<= 1
        elif i % 8 == 4:
            word = bytes(SBOX[b] for b in word)
        words.append(bytes(a ^ b for a, b in zip(words[-8], word)))
    return b"".join(words)


def times(a, b):
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a, b = (a << 1) & 0xff ^ (0x1b if a & 0x80 else 0), b >> 1
    return product


def unmixed(round_key):
    """FIPS 197, 5.3.5: a round key of the equivalent inverse cipher."""
    out = bytearray()
    for i in range(0, 16, 4):
        column = round_key[i:i + 4]
        out += bytes(times(column[r], 14) ^ times(column[(r + 1) % 4], 11) ^ times(column[(r + 2) % 4], 13)
                     ^ times(column[(r + 3) % 4], 9) for r in range(4))
    return bytes(out)


def word_swapped(block):
    return b"".join(block[i:i + 4][::-1] for i in range(0, len(block), 4))


@functools.lru_cache(None)
def forms_of(key):
    """{what it is called: 16 bytes that must not be seen}"""
    schedule = expanded(key)
    forms = {"hexadecimal": key.hex()[:32].encode(), "capital hexadecimal": key.hex()[:32].upper().encode(),
             "value": key[:16], "second half": key[16:], "reversed": key[::-1][:16], "reversed half": key[::-1][16:],
             "words swapped": word_swapped(key)[:16]}
    for n in (2, 7, 14):
        block = schedule[16 * n:16 * n + 16]
        forms[f"round key {n}"] = block
        forms[f"round key {n}, words swapped"] = word_swapped(block)
        if n < 14:
            forms[f"round key {n} to decrypt"] = unmixed(block)
    return forms


def known_answers():
    """FIPS 197, A.3 and C.3, so that a search for round keys searches for what AES uses."""
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    eq(expanded(key)[32:36].hex(), "9ba35411")
    eq(expanded(key)[236:].hex(), "706c631e")
    eq(unmixed(bytes(range(16, 32))).hex(), "1a1f181d1e1b1c191217101516131411")


# -- the memory of a process

def regions(pid):
    """(first byte, one after the last, name, locked or left out of dumps) of all that can be read."""
    with open(f"/proc/{pid}/smaps") as f:
        text = f.read()
    for block in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", text)[1:]:
        head = block.split("\n", 1)[0].split(None, 5)
        flags = re.search(r"^VmFlags:(.*)$", block, re.M).group(1).split()
        if head[1][0] == "r" and head[1][1] == "w" and "io" not in flags:
            begin, end = (int(x, 16) for x in head[0].split("-"))
            yield begin, end, head[5] if len(head) > 5 else "anonymous", "lo" in flags or "dd" in flags


def image_of(site, chunk, closed_too):
    """[(address, what it is, bytes)] of the open memory without its empty pages, and the bytes of closed memory."""
    parts, closed_bytes = [], 0
    os.kill(site.process.pid, signal.SIGSTOP)
    try:
        with open(f"/proc/{site.process.pid}/mem", "rb", buffering=0) as memory:
            for begin, end, name, closed in regions(site.process.pid):
                closed_bytes += (end - begin) * closed
                for at in range(begin, end if closed_too or not closed else begin, chunk):
                    memory.seek(at)
                    try:
                        parts.append((at, name, memory.read(min(chunk, end - at))))
                    except OSError:
                        pass  # a guard page
    finally:
        os.kill(site.process.pid, signal.SIGCONT)
    return [run for part in joined(parts) for run in filled(*part)], closed_bytes


def joined(parts):
    """Neighbours as one, so that nothing hides on a border."""
    at = 0
    while at < len(parts):
        begin, name, first = parts[at]
        pieces, length, at = [first], len(first), at + 1
        while at < len(parts) and parts[at][0] == begin + length:
            pieces.append(parts[at][2])
            length, at = length + len(parts[at][2]), at + 1
        yield begin, name, b"".join(pieces)


def filled(begin, name, image):
    start = None
    for at in range(0, len(image) + 1, PAGE):
        empty = at >= len(image) or image.startswith(NOTHING, at)
        if empty and start is not None:
            yield begin + start, name, image[start:at]
            start = None
        elif not empty and start is None:
            start = at


def look(site, needles, closed_too=False):
    """{name of a needle: where} for what the open memory holds, and the bytes of open and of closed memory."""
    image, closed = image_of(site, CHUNK, closed_too)
    found = {}
    for begin, name, part in image:
        for what, needle in needles.items():
            at = part.find(needle)
            if at >= 0:
                found[what] = f"{name} at {begin + at:x}"
    return found, (sum(len(part) for _, _, part in image), closed)


# -- keys that the test knows

class World(Site):
    """A site whose TLS keys, and more that are only kept, are imported ones."""

    def __init__(self):
        super().__init__()
        self.known = {}
        self.trust = self.path("trust.pem")
        with open(self.trust, "w") as f:
            f.writelines(open(name).read() for name in (self.ca_file, self.ca.cert))
        self.ca_file = self.trust
        for kind, fqdn in (("cse", CSE_FQDN), ("mef", MEF_FQDN)):
            cert, key = self.ca.issue(fqdn, "DNS:" + fqdn)
            self.put_key(kind + ".tls", key, True)
            with open(os.path.join(self.state, "pki", kind + ".pem"), "w") as f:
                f.write(open(cert).read())
        for i in range(PAIRS - 2):
            key = self.path(f"pair{i}.key")
            openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
            self.put_key(f"kept.{i}", key, False)
        self.add_own_keys()

    def uri(self):
        return f"se:soft?dir={self.state}/se"

    def add_own_keys(self):
        for i in range(SEALING):
            self.known[f"sealing {i}"] = key = secrets.token_bytes(32)
            with open(self.path("sealing"), "w", opener=functools.partial(os.open, mode=0o600)) as f:
                f.write(key.hex())
            self.run("key", "import", self.uri(), f"{STAKEHOLDER}:s{i}", "--type", "symmetric", "--use", "seal",
                     "--owner", STAKEHOLDER, "--in", f.name, state=False)
        with open(os.path.join(self.state, "se", "state.key"), "rb") as f:
            root = f.read()
        self.known["state key"] = root = root if len(root) == 32 else bytes.fromhex(root.decode().strip())
        for what in ("value", "log", "manifest"):  # RFC 5869 without a salt
            pseudorandom = hmac.digest(bytes(32), root, hashlib.sha256)
            self.known[f"{what} key"] = hmac.digest(pseudorandom, f"bastide se {what} key\1".encode(), hashlib.sha256)

    def put_key(self, label, pem, instead):
        if instead:
            self.run("key", "delete", self.uri(), label, state=False)
        self.run("key", "import", self.uri(), label, "--in", pem, "--level-1", state=False)
        text = openssl("ec", "-in", pem, "-noout", "-text").stdout.decode()
        scalar = re.search(r"priv:\s*([0-9a-f:\s]+?)\s*pub:", text).group(1)
        self.known[label] = bytes.fromhex(re.sub(r"[:\s]", "", scalar)).rjust(32, b"\0")[-32:]

    def needles(self):
        return {f"{name}: {form}": needle for name, key in self.known.items() for form, needle in forms_of(key).items()}


def enrolment():
    later = time.strftime("%Y%m%dT%H%M%S", time.gmtime(time.time() + 3600))
    return {"et": later, "adfq": DOMAIN, "fq": MEF_FQDN}


def enrolled_key(site, name):
    """Identity and value of a key that the MEF and its client export from one handshake (TS-0003 10.3.1)."""
    kpm = site.add_kpm(f"{name}@{MEF_FQDN}", "C" + name)
    with site.mef_psk(f"{name}@{MEF_FQDN}", kpm) as h:
        expect(h.post("-", 30004, "sec:mecr", enrolment(), "C" + name), CREATED)
    site.known[f"Kpm of {name}"] = kpm
    return another_key(site, name, f"Ke of {name}")


def another_key(site, name, known_as):
    """One more key of a client that is enrolled."""
    kpm = site.known[f"Kpm of {name}"]
    body = json.dumps({"sec:skr": {**enrolment(), "suid": 22, "tgis": [CSE_ID]}})
    request = (f"POST /- HTTP/1.1\r\nHost: {MEF_FQDN}\r\nX-M2M-RI: k\r\nX-M2M-RVI: 3\r\nX-M2M-Origin: C{name}\r\n"
               f"Content-Type: application/json;ty=30005\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}")
    args = site.psk_args(f"{name}@{MEF_FQDN}", kpm, port=site.mef_port, name=MEF_FQDN)
    done = openssl("s_client", *args, "-ign_eof", "-keymatexport", "EXPORTER-oneM2M-Bootstrap", "-keymatexportlen",
                   "48", data=request.encode(), check=False).stdout.decode(errors="replace")
    exported = bytes.fromhex(re.search(r"Keying material: ([0-9A-F]{96})", done).group(1))
    site.known[known_as] = exported[16:]
    assert exported[:16].hex().upper() in done, done[-800:]
    return f"{exported[:16].hex().upper()}@{MEF_FQDN}", exported[16:]


# -- load

class Load:
    """Handshakes with every pre-shared key and with certificates, enrolments, creates and seals, until it is told to
    end."""

    def __init__(self, site, keys):
        self.site, self.keys, self.over = site, keys, False
        self.handshakes = self.creates = self.enrolments = self.seals = 0
        self.failed = []
        work = (self.by_key, self.by_cert, self.create, self.enrol, self.seal)
        self.threads = [threading.Thread(target=self.run, args=(f,)) for f in work]

    def run(self, turn):
        n = 0
        while not self.over:
            try:
                turn(n)
            except Exception as e:
                self.failed.append(repr(e))
            n += 1

    def by_key(self, n):
        identity, key = self.keys[n % len(self.keys)]
        version = "-tls1_3" if n % 2 else "-tls1_2"
        with self.site.by_psk(identity, key, version) as h:
            assert h.get("cse-in", "CAdmin").status in (200, 403)
        self.handshakes += 1

    def by_cert(self, n):
        with self.site.by_cert(self.site.cert) as h:
            expect(h.get("cse-in/memory", "Cmemory"), OK)
        self.handshakes += 1

    def create(self, n):
        with self.site.by_cert(self.site.cert) as h:
            for i in range(40):
                expect(h.post("cse-in/memory/c", CIN, "m2m:cin", {"con": str(i)}, "Cmemory"), CREATED)
                self.creates += 1

    def enrol(self, n):
        another_key(self.site, f"dev{n % (ENROLLED // 2)}", f"Ke {n} under load")
        self.enrolments += 1
        threading.Event().wait(0.2)  # each is one more key to look for

    def seal(self, n):
        text = base64.b64encode(secrets.token_bytes(60)).decode()
        with self.site.by_cert(self.site.cert) as h:
            for i in range(SEALING):
                to = f"cse-in/memory/se/s{i}"
                sealed = expect(h.put(to + "/encr", "m2m:encr", {"msg": text}, "Cmemory"), UPDATED).root("m2m:encr")["cD"]
                opened = expect(h.put(to + "/decr", "m2m:decr", {"msg": sealed}, "Cmemory"), UPDATED)
                eq(opened.root("m2m:decr")["cD"], text)
                self.seals += 1

    def all_ran(self):
        return self.handshakes > 10 and self.creates > 40 and self.enrolments and self.seals

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *args):
        self.over = True
        for t in self.threads:
            t.join()


class Held:
    """A TLS 1.3 handshake by pre-shared key in its middle: the server's answer is kept back until it is let go."""

    def __init__(self, site, identity, key):
        with socket.create_server(("127.0.0.1", 0)) as relay:
            self.client = Http(PipeStream(site.psk_args(identity, key, "-tls1_3", port=relay.getsockname()[1])))
            relay.settimeout(provider.DEADLINE)
            self.near = relay.accept()[0]
        self.far = socket.create_connection(("127.0.0.1", site.cse_port), provider.DEADLINE)
        self.near.settimeout(provider.DEADLINE)
        self.far.sendall(self.near.recv(65536))
        self.answer = self.far.recv(65536)

    def let_go(self):
        self.near.sendall(self.answer)
        for source, sink in ((self.near, self.far), (self.far, self.near)):
            threading.Thread(target=self.pass_on, args=(source, sink), daemon=True).start()

    @staticmethod
    def pass_on(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)

    def close(self):
        self.client.close()
        self.near.close()
        self.far.close()


def prepare(site, enrolled):
    site.cert = site.ca.ae("Cmemory")
    with site.by_cert(site.cert) as h:
        expect(h.register("memory", "Cmemory"), CREATED)
        expect(h.post("cse-in/memory", CNT, "m2m:cnt", {"rn": "c", "mni": 20}, "Cmemory"), CREATED)
        expect(h.post("cse-in/memory", SE, "m2m:se", {"rn": "se"}, "Cmemory"), CREATED)
        for i in range(SEALING):
            cipher = {"rn": f"s{i}", "Calg": "ALG_AEAD_AES_256_GCM", "kDt": f"se:s{i}"}
            expect(h.post("cse-in/memory/se", CIPH, "m2m:ciph", cipher, "Cmemory"), CREATED)
    keys = []
    for i in range(SYMMETRIC):
        identity = f"known{i}@{DOMAIN}"
        site.known[f"Kpsa {i}"] = site.add_key(identity)
        keys.append((identity, site.known[f"Kpsa {i}"]))
    keys += [enrolled_key(site, f"dev{i}") for i in range(enrolled // 2)]
    eq(len(site.known), SYMMETRIC + PAIRS + SEALING + ENROLLED + OWN)
    return keys


def what_is_planted_is_found_in_every_form(site):
    known_answers()
    planted = secrets.token_bytes(32)
    needles = forms_of(planted)
    found, sizes = look(site, needles)
    eq(found, {})
    assert sizes[0] > 1 << 19 and sizes[1] > 1 << 15, sizes
    planting = (f"POST /cse-in HTTP/1.1\r\nHost: {CSE_FQDN}\r\nX-M2M-RI: p\r\nX-M2M-Origin: Cplant\r\nX-M2M-RVI: 3\r\n"
                "Content-Type: application/json;ty=2\r\nContent-Length: 9000\r\n\r\n")
    with site.by_cert(site.ca.ae("Cplant")) as h:  # a body that never ends
        h.stream.send(planting.encode() + b"".join(needles.values()))
        wait_for("what was planted", lambda: len(look(site, needles)[0]) == len(needles))


def a_handshake_that_waits_for_its_peer_has_its_key_in_closed_memory(site):
    keys = [(f"held{i}@{DOMAIN}", site.add_key(f"held{i}@{DOMAIN}")) for i in range(4)]
    needles = {f"{name}: {form}": needle for name, key in keys for form, needle in forms_of(key).items()}
    eq(look(site, needles)[0], {})
    held = [Held(site, *key) for key in keys]
    try:
        eq(look(site, needles)[0], {})
        assert look(site, needles, closed_too=True)[0], "nothing is held"
        for h in held:
            h.let_go()
            assert h.client.get("cse-in", "CAdmin").status in (200, 403)
        eq(look(site, needles, closed_too=True)[0], {})  # over: sealed ones are all that there is
    finally:
        for h in held:
            h.close()


def under_load(site, moments):
    """[(moment, what, where)] of all that the open memory holds of the keys, under load and after it."""
    keys = prepare(site, ENROLLED)
    needles = site.needles()
    seen = []
    with Load(site, keys) as load:
        wait_for("some load", load.all_ran, 60)
        for moment in range(moments):
            before = load.handshakes
            seen += [(f"under load, {moment}", *found) for found in look(site, needles)[0].items()]
            wait_for("more load", lambda: load.handshakes > before + 5, 60)
        wait_for("each key once", lambda: load.handshakes > 2 * len(keys), 120)
    assert not load.failed, load.failed[:3]
    needles = site.needles()  # and of the keys that were made meanwhile
    found, sizes = look(site, needles)
    print(f"open and closed bytes {sizes}, {load.handshakes} handshakes, {load.enrolments} enrolments, {load.seals} seals, "
          f"{load.creates} creates, {len(needles)} patterns")
    return seen + [("after it", *found) for found in found.items()]


def no_key_is_in_open_memory_under_load_or_after_it(site):
    seen = under_load(site, 20)
    assert not seen, "\n".join(map(str, seen))


provider.main(World)
