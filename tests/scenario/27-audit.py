#!/usr/bin/env python3
"""Evidence: every denial with reason and clause, a chain that shows any change, and never a secret."""
import glob
import hashlib
import os
import re
import shutil
import signal
import subprocess

import provider
from provider import BASTIDE, CREATED, DOMAIN, MEF_FQDN, OK, Closed, Site, eq, expect, find_in_files, forms_of, wait_for


def make():
    return Site(settings=["log.level=debug", "audit.merge-s=2"])


def reasoned(record):
    """A denial says who, why, and by which clause."""
    eq(record["decision"], "denied")
    assert record.get("peer", "").startswith("127.0.0.1"), record
    assert len(record.get("detail", "")) > 10, record
    assert record.get("clause", "").startswith(("TS-0001", "TS-0003", "TS-0004")), record
    return record


def each_kind_of_denial_has_a_record_with_reason_and_clause(site):
    key, spy = site.add_key(f"a@{DOMAIN}"), site.add_key(f"spy@{DOMAIN}")
    a, s = site.by_psk(f"a@{DOMAIN}", key), site.by_psk(f"spy@{DOMAIN}", spy)
    expect(a.register("a", "Ca"), CREATED)
    expect(s.register("spy", "Cspy"), CREATED)
    expect(a.post("cse-in/a", 3, "m2m:cnt", {"rn": "c"}, "Ca"), CREATED)
    for op, call in (("retrieve", lambda: s.get("cse-in/a/c", "Cspy")),
                     ("create", lambda: s.post("cse-in/a/c", 4, "m2m:cin", {"con": "x"}, "Cspy")),
                     ("update", lambda: s.put("cse-in/a/c", "m2m:cnt", {"lbl": ["x"]}, "Cspy")),
                     ("delete", lambda: s.delete("cse-in/a/c", "Cspy"))):
        expect(call(), 4103)
        r = reasoned(site.audited("access.denied", lambda r: r.get("op", "").lower() == op
                                  and "cse-in/a/c" in r.get("target", "")))
        eq((r["rsc"], r["credential"]), (4103, f"12-spy@{DOMAIN}"))
        assert "Cspy" in r["subject"] and r.get("rule"), r
    eq(expect(s.get("cse-in/a/c?fu=1", "Cspy"), OK).json, {"m2m:uril": []})
    expect(s.get("cse-in/claim", "Ca"), 4106)
    reasoned(site.audited("request.refused", "cse-in/claim"))
    expect(s.register("again", "Ca"), 4106)
    other = site.by_psk(f"b@{DOMAIN}", site.add_key(f"b@{DOMAIN}"))
    expect(other.get("cse-in/unbound", "Cb"), 4106)
    reasoned(site.audited("request.refused", "cse-in/unbound"))
    for args in (("-psk_identity", f"a@{DOMAIN}", "-psk", "aa" * 32, "-tls1_2"),
                 ("-psk_identity", f"unknown@{DOMAIN}", "-psk", "aa" * 32, "-tls1_2"),
                 ("-psk_identity", f"a@{DOMAIN}", "-psk", "aa" * 32, "-tls1_3")):
        assert not site.probe(*args).served
        reasoned(site.audited("handshake.failed", lambda r, who=args[1]: r.get("credential") == who))
    late = site.ca.ae("Clate", dates=("20200101000000Z", "20210101000000Z"))
    assert not site.probe("-cert", late[0], "-key", late[1]).served
    reasoned(site.audited("handshake.failed", "Clate"))
    site.run("access", "revoke", f"12-spy@{DOMAIN}", "--reason", "lost and found")
    try:
        with site.by_psk(f"spy@{DOMAIN}", spy) as h:
            h.get("cse-in", "Cspy")
            raise AssertionError("a revoked credential was served")
    except Closed:
        pass
    r = reasoned(site.audited("session.refused", f"12-spy@{DOMAIN}"))
    assert "lost and found" in r["detail"], r
    kpm = site.add_kpm(f"m@{MEF_FQDN}", "Cm")
    with site.mef_psk(f"m@{MEF_FQDN}", kpm) as h:
        expect(h.post("-", 30005, "sec:skr", {"et": "20990101T000000", "adfq": DOMAIN, "fq": MEF_FQDN, "suid": 22,
                                             "tgis": [f"//{DOMAIN}/id-in"]}, "Cm"), 4103)
    r = site.audited(None, lambda r: r.get("credential") == f"10-m@{MEF_FQDN}" and r.get("decision") == "denied")
    assert len(r.get("detail", "")) > 10 and r.get("clause", "").startswith("TS-0003"), r
    for h in (a, s, other):
        h.close()


def what_administrators_do_is_on_record(site):
    site.run("access", "certificate", "recorded", "--out", site.path("recorded"))
    site.run("access", "revoke-certificate", f"//{DOMAIN}/id-in/Crecorded")
    site.provision("recordedtoo")
    site.run("mef", "revoke", f"10-recordedtoo@{MEF_FQDN}")
    for event, text in (("certificate.issued", "Crecorded"), ("certificate.revoked", "Crecorded"),
                        ("mef.provisioned", "recordedtoo"), ("mef.revoked", "recordedtoo"), ("credential.added", "a@")):
        r = site.audited(event, text)
        eq(r["decision"], "done")


def equal_denials_are_one_record_with_a_count(site):
    key = site.add_key(f"flood@{DOMAIN}")
    with site.by_psk(f"flood@{DOMAIN}", key) as h:
        expect(h.register("flood", "Cflood"), CREATED)
        for _ in range(300):
            expect(h.get("cse-in/a/c", "Cflood"), 4103)
        expect(h.get("cse-in/a", "Cflood"), 4103)

    def mine():
        return [r for r in site.audit("access.denied") if r.get("credential") == f"12-flood@{DOMAIN}"]
    wait_for("the count", lambda: sum(r.get("count", 1) for r in mine() if r["target"].endswith("c")) >= 300)
    same = [r for r in mine() if r["target"].endswith("c")]
    assert len(same) < 10, f"{len(same)} records for 300 equal denials"
    eq(sum(r.get("count", 1) for r in same), 300)
    eq(len(mine()) - len(same), 1)


def tampered(site, change):
    """What verify says of a copy of the state in which `change` altered something."""
    copy = site.path("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(site.state, copy, ignore=shutil.ignore_patterns("*.sock"))
    change(copy)
    p = subprocess.run([BASTIDE, "audit", "verify", "--state", copy], capture_output=True, text=True, timeout=20)
    return p


def lines_of(copy):
    name = sorted(glob.glob(os.path.join(copy, "audit", "audit-*.jsonl")))[-1]
    with open(name) as f:
        return name, f.read().splitlines(keepends=True)


def chained(lines):
    """The lines with the hashes that belong to what they say."""
    before = None
    for i, line in enumerate(lines):
        own, rest = re.match(r'{"h":"([0-9a-f]{64})",(.*)$', line.rstrip("\n")).groups()
        own = hashlib.sha256(before + rest.encode()).digest() if before else bytes.fromhex(own)
        lines[i] = '{"h":"' + own.hex() + '",' + rest + "\n"
        before = own
    return lines


def verify_finds_every_kind_of_change(site):
    key = site.add_key(f"many@{DOMAIN}")
    with site.by_psk(f"many@{DOMAIN}", key) as h:
        expect(h.register("many", "Cmany"), CREATED)
        for i in range(300):
            expect(h.get(f"cse-in/no{i}", "Ca"), 4106)
    site.audited("audit.checkpoint", lambda r: True)
    site.stop_process()
    try:
        check_changes(site)
    finally:
        site.start()
    site.run("audit", "verify")


def check_changes(of):
    p = tampered(of, lambda copy: None)
    assert p.returncode == 0, p

    def rewrite(edit):
        def change(copy):
            name, lines = lines_of(copy)
            lines = edit(lines)
            with open(name, "w") as f:
                f.writelines(lines)
        return change

    def one_byte(n):
        def edit(lines):
            i = lines[n].rindex('"event"') + 12
            lines[n] = lines[n][:i] + ("x" if lines[n][i] != "x" else "y") + lines[n][i + 1:]
            return lines
        return rewrite(edit)
    name, lines = lines_of(of.state)
    signed = next(i for i, x in enumerate(lines) if '"event":"audit.checkpoint"' in x)
    eq(chained(list(lines)), lines)

    def forge(lines):
        """Another signature of the right form."""
        value = re.search(r'"sig":"([^"]+)"', lines[signed]).group(1)
        lines[signed] = lines[signed].replace(value, value[:20] + value[20:40][::-1] + value[40:])
        return chained(lines)

    def rewritten(lines):
        """By somebody who can write every file and knows how the chain is made, but has not the key."""
        lines[3] = lines[3].replace('"t":"20', '"t":"19')
        return chained(lines)

    def head(copy, how):
        for f in glob.glob(os.path.join(copy, "audit-head", "*")):
            how(f)

    def flip_head(f):
        with open(f, "r+b") as h:
            content = h.read()
            h.seek(len(content) // 2)
            h.write(bytes([content[len(content) // 2] ^ 1]))
    cases = {
        "a byte of the first record": one_byte(0),
        "a byte in the middle": one_byte(len(lines) // 2),
        "a byte of the last record": one_byte(-1),
        "a removed line": rewrite(lambda x: x[:8] + x[9:]),
        "the first line removed": rewrite(lambda x: x[1:]),
        "two lines in another order": rewrite(lambda x: x[:5] + [x[6], x[5]] + x[7:]),
        "a line twice": rewrite(lambda x: x[:9] + [x[8]] + x[9:]),
        "the end cut off": rewrite(lambda x: x[:-5]),
        "the last record cut off": rewrite(lambda x: x[:-1]),
        "half a line at the end": rewrite(lambda x: x[:-1] + [x[-1][:20]]),
        "the whole file emptied": rewrite(lambda x: []),
        "the file removed": lambda copy: os.unlink(lines_of(copy)[0]),
        "the head removed": lambda copy: head(copy, os.unlink),
        "the head changed": lambda copy: head(copy, flip_head),
        "a forged signature": rewrite(forge),
        "a record changed and the chain made anew": rewrite(rewritten),
        "a line of one's own at the end": rewrite(lambda x: x + [x[-1].replace('"n":', '"n":1', 1)]),
        "an empty line": rewrite(lambda x: x[:7] + ["\n"] + x[7:]),
    }
    for what, change in cases.items():
        p = tampered(of, change)
        assert p.returncode == 1, f"{what} is not noticed: {p.stdout}{p.stderr}"
        assert "whole" not in p.stdout or "not" in p.stdout, p


def records_survive_sigkill_and_the_trail_goes_on(site):
    before = len(site.audit())
    for i in range(3):
        assert not site.probe("-psk_identity", f"k{i}@{DOMAIN}", "-psk", "aa" * 32, "-tls1_2").served
        site.audited("handshake.failed", f"k{i}@{DOMAIN}")
        site.restart(signal.SIGKILL)
        site.run("audit", "verify")
    assert len(site.audit()) > before


def secrets_appear_nowhere(site):
    """Known keys in every form: state folder, logs, audit, metrics, and what the process shows of itself."""
    value = provider.secrets.token_bytes(32)
    b64 = provider.base64.b64encode(value).decode()
    kpm, kpm2 = site.add_kpm(f"leak@{MEF_FQDN}", "Cleak"), site.add_kpm(f"leak2@{MEF_FQDN}", "Cleak2")
    common = {"et": "20990101T000000", "adfq": DOMAIN, "fq": MEF_FQDN}
    h, t = site.mef_psk(f"leak@{MEF_FQDN}", kpm), site.mef_psk(f"leak2@{MEF_FQDN}", kpm2)
    for x, stem in ((h, "Cleak"), (t, "Cleak2")):
        expect(x.post("-", 30004, "sec:mecr", common, stem), CREATED)
    a = expect(h.post("-", 30005, "sec:skr", {**common, "suid": 23, "tgis": [f"//{DOMAIN}/id-in/Cleak2"], "kv": b64},
                      "Cleak"), CREATED)
    expect(t.get("-/" + a.root("sec:skr")["ri"], "Cleak2"), OK)
    # Requests that fail while they hold a key.
    for bad in ({"suid": 99}, {"tgis": ["nobody"]}, {"fq": "x.example.org"}, {"extra": 1}):
        h.post("-", 30005, "sec:skr", {**common, "suid": 23, "tgis": [f"//{DOMAIN}/id-in/Cleak2"], "kv": b64, **bad}, "Cleak")
    h.send("POST", "-", "Cleak", b'{"sec:skr":{"kv":"' + b64.encode() + b'"', ty=30005)
    key = site.add_key(f"leak@{DOMAIN}")
    with site.by_psk(f"leak@{DOMAIN}", key) as c:
        expect(c.register("leak", "Cleakae"), CREATED)
        token = "eyJhbGciOiJub25lIn0.SECRETTOKENSECRETTOKEN.x"
        c.get("cse-in/leak", "Cleakae", headers={"X-M2M-TK": token, "Authorization": "Bearer " + token})
        c.get("cse-in/nothing?tkns=" + token, "Cleakae")
    with open(site.path("key.hex"), "w") as f:
        os.chmod(f.name, 0o600)
        byfile = provider.secrets.token_bytes(32)
        f.write(byfile.hex())
    site.run("access", "add-key", f"byfile@{DOMAIN}", "--key-file", site.path("key.hex"))
    os.unlink(site.path("key.hex"))
    device = site.enrolled("leakdev")
    site.run("device", "register", device, "--name", "leakdev", state=False)
    needles = [f for k in (*site.secrets, value, byfile) for f in forms_of(k)] + [token.encode()]
    pid = site.process.pid
    shown = b""
    for name in ("environ", "cmdline", "comm", "status"):
        with open(f"/proc/{pid}/{name}", "rb") as f:
            shown += f.read()
    import http.client
    conn = http.client.HTTPConnection("127.0.0.1", site.metrics_port, timeout=5)
    conn.request("GET", "/metrics")
    shown += conn.getresponse().read()
    shown += site.run("mef", "keys", "--json").out.encode() + site.run("mef", "clients", "--json").out.encode()
    shown += site.run("audit", "show", "--last", "0").out.encode()
    eq([i for i, n in enumerate(needles) if n in shown], [])
    for _ in range(2):
        found = find_in_files(os.path.join(site.state, "**"), needles) + find_in_files(site.path("log"), needles)
        found += find_in_files(os.path.join(device, "**"), needles)
        eq(found, [])
        site.restart(signal.SIGKILL)
    h.close()
    t.close()


def files_that_matter_are_for_their_owner_only(site):
    for name in glob.glob(os.path.join(site.state, "**"), recursive=True):
        mode = os.stat(name).st_mode & 0o777
        public = name.endswith((".pem", "ca.crt", "ca.crl", "audit.pub"))
        assert public or not mode & 0o077 or os.path.isdir(name) and not os.stat(site.state).st_mode & 0o077, \
            (name, oct(mode))
    with open(f"/proc/{site.process.pid}/limits") as f:
        core = next(x for x in f if x.startswith("Max core"))
    assert core.split()[4] == "0", f"a dump of the process would hold keys: {core}"


provider.main(make)
