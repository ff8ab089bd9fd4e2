#!/usr/bin/env python3
"""TS-0016: a secure environment administered over the network; keys by handle, sensitive data never in clear."""
import base64
import contextlib
import glob
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import threading

import lab as lab_module
import provider
import softhsm
from lab import CREATED, DELETED, OK, SUB, UPDATED, Listener, eq, expect

SE, SDO, CIPH, SIGN, HASH, RAND, IDEN, SECO, COIN = 30101, 30102, 30103, 30108, 30109, 30110, 30111, 30112, 30113
ASP = 30107
SECRET = b"the long-term secret of meter 4711"
GCM = "ALG_AEAD_AES_256_GCM"


def b64(data):
    return base64.b64encode(data).decode()


def files_of(site):
    return [f for f in glob.glob(site.state + "/**", recursive=True) if os.path.isfile(f)] + [site.dir + "/log"]


def nowhere(lab, *texts):
    for name in files_of(lab):
        with open(name, "rb") as f:
            content = f.read()
        for text in texts:
            assert text not in content, f"{text!r} stands in {name}"


def stakeholder(lab, name):
    """An AE with an environment of its own."""
    if not hasattr(lab, "known"):
        lab.known = set()
    if name not in lab.known:
        lab.known.add(name)
        lab.ae(name)
        expect(lab.post(f"cse-in/{name}", SE, "m2m:se", {"rn": "se"}, fr="C" + name), CREATED)
    return f"cse-in/{name}/se", "C" + name


def the_server_shows_its_environment(lab):
    se = expect(lab.get("cse-in/se", "Canybody"), OK).root("m2m:se")
    eq((se["seT"], se["seL"], se["hcl"]), (4, 1, "/id-in"))
    assert se["sID"].startswith("4-") and SDO in se["srt"], se
    assert SE in lab.get("cse-in").root("m2m:cb")["srt"]
    expect(lab.post("cse-in/se", HASH, "m2m:hash", {"Halg": "ALG_SHA_256"}, fr="Canybody"), 4103)
    expect(lab.post("cse-in/se", HASH, "m2m:hash", {"rn": "h", "Halg": "ALG_SHA_256"}), CREATED)
    expect(lab.delete("cse-in/se/h"), DELETED)
    expect(lab.delete("cse-in/se"), 4005)


def keys_are_made_inside_and_used_by_handle(lab):
    se, fr = stakeholder(lab, "maker")
    expect(lab.post(se, CIPH, "m2m:ciph", {"rn": "c", "Calg": GCM}, fr=fr), CREATED)
    key = expect(lab.put(se + "/c/genk", "m2m:genk", {"kDt": "se:first"}, fr=fr), UPDATED).root("m2m:genk")
    eq(key, {"kDt": "se:first"})
    expect(lab.post(se + "/c", ASP, "m2m:asp", {"aD": b64(b"meter 4711")}, fr=fr), CREATED)
    sealed = expect(lab.put(se + "/c/encr", "m2m:encr", {"msg": b64(SECRET)}, fr=fr), UPDATED).root("m2m:encr")["cD"]
    opened = expect(lab.put(se + "/c/decr", "m2m:decr", {"msg": sealed}, fr=fr), UPDATED).root("m2m:decr")["cD"]
    eq(base64.b64decode(opened), SECRET)
    broken = bytearray(base64.b64decode(sealed))
    broken[-1] ^= 1
    expect(lab.put(se + "/c/decr", "m2m:decr", {"msg": b64(bytes(broken))}, fr=fr), 4102)
    # Another stakeholder reaches neither the cipher nor the key by its handle.
    other, stranger = stakeholder(lab, "stranger")
    expect(lab.put(se + "/c/decr", "m2m:decr", {"msg": sealed}, fr=stranger), 4103)
    expect(lab.put(se + "/c/genk", "m2m:genk", {}, fr=stranger), 4103)
    expect(lab.post(other, CIPH, "m2m:ciph", {"Calg": GCM, "kDt": "se:first"}, fr=stranger), 4000)
    for handle in ("se:cse.tls", "se:audit", "cse.tls", "file:/etc/shadow", "pkcs11:token=x", "se:", b64(SECRET)):
        expect(lab.put(se + "/c", "m2m:ciph", {"kDt": handle}, fr=fr), 4000)
    # And the key is there after a restart.
    lab.kill(15)
    lab.start()
    opened = expect(lab.put(se + "/c/decr", "m2m:decr", {"msg": sealed}, fr=fr), UPDATED).root("m2m:decr")["cD"]
    eq(base64.b64decode(opened), SECRET)
    nowhere(lab, SECRET, b64(SECRET).encode())


def who_made_a_key_is_on_record(lab):
    se, fr = stakeholder(lab, "recorded")
    expect(lab.post(se, CIPH, "m2m:ciph", {"rn": "c", "Calg": GCM}, fr=fr), CREATED)
    expect(lab.put(se + "/c/genk", "m2m:genk", {"kDt": "se:noted"}, fr=fr), UPDATED)
    expect(lab.delete(se + "/c", fr), DELETED)
    for event in ("key.made", "key.wiped"):
        for _ in range(100):
            lines = []
            for name in glob.glob(lab.state + "/audit/*.jsonl"):
                with open(name) as f:
                    lines += [line for line in f if event in line and ":noted" in line]
            if lines:
                break
            lab_module.select_wait(0.1)
        assert len(lines) == 1 and "Crecorded" in lines[0], (event, lines)


def others_verify_what_is_signed(lab):
    se, fr = stakeholder(lab, "signer")
    expect(lab.post(se, SIGN, "m2m:sign", {"rn": "s", "Salg": "ALG_ECDSA_SHA_256"}, fr=fr), CREATED)
    key = expect(lab.put(se + "/s/genk", "m2m:genk", {}, fr=fr), UPDATED).root("m2m:genk")
    signed = expect(lab.put(se + "/s", "m2m:sign", {"msg": b64(b"reading 17")}, fr=fr), UPDATED).root("m2m:sign")
    for name, data in (("key", key["kInf"]), ("signature", signed["Sgn"]), ("message", b64(b"reading 17"))):
        with open(os.path.join(lab.dir, name), "wb") as f:
            f.write(base64.b64decode(data))
    done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", "key", "-keyform", "DER", "-signature", "signature",
                           "message"], cwd=lab.dir, capture_output=True, text=True)
    assert done.returncode == 0, done
    checked = lab.put(se + "/s", "m2m:sign", {"msg": b64(b"reading 17"), "Sgn": signed["Sgn"]}, fr=fr)
    eq(expect(checked, UPDATED).root("m2m:sign")["vR"], True)
    checked = lab.put(se + "/s", "m2m:sign", {"msg": b64(b"reading 18"), "Sgn": signed["Sgn"]}, fr=fr)
    eq(expect(checked, UPDATED).root("m2m:sign")["vR"], False)
    expect(lab.post(se, SIGN, "m2m:sign", {"Salg": "ALG_RSA_PKCS1"}, fr=fr), 4000)


def digests_random_data_and_proofs_come_with_the_answer(lab):
    se, fr = stakeholder(lab, "misc")
    a = expect(lab.post(se, HASH, "m2m:hash", {"Halg": "ALG_SHA_384", "msg": b64(SECRET)}, fr=fr), CREATED)
    eq(base64.b64decode(a.root("m2m:hash")["Hv"]), hashlib.sha384(SECRET).digest())
    a = expect(lab.post(se, RAND, "m2m:rand", {"rn": "r", "Dsz": 100}, fr=fr), CREATED)
    eq(len(base64.b64decode(a.root("m2m:rand")["rndD"])), 100)
    assert "rndD" not in expect(lab.get(se + "/r", fr), OK).root("m2m:rand")
    expect(lab.post(se, SECO, "m2m:seco", {"rn": "tls", "aCS": ["TLS_PSK_WITH_AES_128_CCM_8"]}, fr=fr), CREATED)
    expect(lab.put(se + "/tls/genk", "m2m:genk", {}, fr=fr), UPDATED)
    coin = expect(lab.post(se + "/tls", COIN, "m2m:coin", {"dst": "coaps://peer.example.com"}, fr=fr), CREATED)
    assert coin.root("m2m:coin")["ngK"].startswith("se:"), coin
    expect(lab.post(se, IDEN, "m2m:iden", {"rn": "i", "idN": "meter", "kDt": coin.root("m2m:coin")["ngK"]}, fr=fr), CREATED)
    proof = expect(lab.put(se + "/i", "m2m:iden", {"oAD": b64(b"challenge")}, fr=fr), UPDATED).root("m2m:iden")["rAD"]
    eq(len(base64.b64decode(proof)), 32)


def sensitive_data_is_shown_to_nobody(lab):
    se, fr = stakeholder(lab, "owner")
    listener = Listener()
    try:
        expect(lab.post(se, SUB, "m2m:sub", {"nu": [listener.url], "nct": 1, "enc": {"net": [3, 4]}}, fr=fr), CREATED)
        a = lab.post(se, SDO, "m2m:sdo", {"rn": "d", "msg": b64(SECRET)}, fr=fr)
        expect(a, CREATED)
        eq((a.root("m2m:sdo")["cbs"], a.root("m2m:sdo")["cr"], "msg" in a.root("m2m:sdo")), (len(SECRET), fr, False))
        assert b64(SECRET) not in json.dumps(listener.next_event())
        expect(lab.post(se + "/d", SUB, "m2m:sub", {"nu": [listener.url], "enc": {"net": [1]}}, fr=fr), CREATED)
        for rcn in (1, 9):
            a = expect(lab.put(se + f"/d?rcn={rcn}", "m2m:sdo", {"msg": b64(SECRET)}, fr=fr), UPDATED)
            assert b64(SECRET).encode() not in a.body
            assert b64(SECRET) not in json.dumps(listener.next_event())
        for query in ("", "?rcn=4", "?rcn=8", "?atrl=cbs"):
            a = expect(lab.get(se + "/d" + query, fr), OK)
            assert b64(SECRET).encode() not in a.body and b'"msg"' not in a.body, a
        expect(lab.get(se + "/d?atrl=msg", fr), 4005)
        expect(lab.get(se + "/d", "Cstranger"), 4103)
        expect(lab.put(se + "/d", "m2m:sdo", {"msg": "this " + SECRET.decode()}, fr=fr), 4000)
        for rt in (1, 2):
            expect(lab.post(se + f"?rt={rt}", SDO, "m2m:sdo", {"msg": b64(SECRET)}, fr=fr), 4005)
        expect(lab.get("cse-in", fr), OK)
        nowhere(lab, SECRET, b64(SECRET).encode())
    finally:
        listener.close()


def a_backup_does_not_show_it_either(lab):
    phrase, copy, back = (os.path.join(lab.dir, n) for n in ("phrase", "copy.bak", "back"))
    se, fr = stakeholder(lab, "owner")
    expect(lab.post(se, SDO, "m2m:sdo", {"rn": "kept", "msg": b64(SECRET)}, fr=fr), CREATED)
    with open(os.open(phrase, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
        f.write("correct horse battery staple\n")
    bastide(lab, "backup", copy, "--passphrase-file", phrase, "--state", lab.state)
    bastide(lab, "restore", copy, "--yes", "--passphrase-file", phrase, "--state", back)
    expect(lab.delete("cse-in/owner/se/kept", fr), DELETED)
    for name in [copy] + [f for f in glob.glob(back + "/**", recursive=True) if os.path.isfile(f)]:
        with open(name, "rb") as f:
            content = f.read()
        assert SECRET not in content and b64(SECRET).encode() not in content, name
    nowhere(lab, SECRET, b64(SECRET).encode())


def bastide(lab, *args):
    done = subprocess.run([lab_module.BASTIDE, *args], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    return done.stdout


def keys_of(lab, prefix):
    """Labels in the environment of a stopped server."""
    out = bastide(lab, "key", "list", f"se:soft?dir={lab.state}/se", "--json")
    return [k["label"] for k in json.loads(out) if k["label"].startswith(prefix)]


def what_a_kill_interrupts_leaves_no_orphan(lab):
    se, fr = stakeholder(lab, "crash")
    for round_ in range(2):
        stop, made = threading.Event(), []

        def write(n):
            i = 0
            while not stop.is_set():
                try:
                    a = lab.post(se, SDO, "m2m:sdo", {"rn": f"r{round_}-{n}-{i}", "msg": b64(SECRET)}, fr=fr)
                except (OSError, http.client.HTTPException):
                    return
                if a.rsc != CREATED:
                    return
                made.append(f"r{round_}-{n}-{i}")
                i += 1

        threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        for t in threads:
            t.start()
        while len(made) < 20:
            lab_module.select_wait(0.01)
        lab.kill()
        stop.set()
        for t in threads:
            t.join()
        lab.start()
        for name in made:
            expect(lab.get(f"{se}/{name}", fr), OK)
    there = expect(lab.get(se + "?rcn=8", fr), OK).root("m2m:se")["m2m:sdo"]
    lab.kill(15)
    labels = keys_of(lab, "ts0016:data:")
    eq(len([k for k in labels if "Ccrash:" in k]), len(there))
    lab.start()
    expect(lab.delete(se, fr), DELETED)
    lab.kill(15)
    eq([k for k in keys_of(lab, "ts0016:data:") if "Ccrash:" in k], [])
    lab.start()


def release_1_sees_nothing_of_it(lab):
    se, fr = stakeholder(lab, "old")
    expect(lab.get(se, fr, rvi=None), 4004)
    expect(lab.post("cse-in/old", SE, "m2m:se", {}, fr=fr, rvi=None), 4000)
    assert b"m2m:se" not in lab.get("cse-in/old?rcn=4", fr, rvi=None).body
    assert b"3010" not in lab.get("cse-in", fr, rvi=None).body
    expect(lab.get(se, fr), OK)


def an_ae_that_leaves_takes_its_keys_along(lab):
    se, fr = stakeholder(lab, "leaver")
    expect(lab.post(se, CIPH, "m2m:ciph", {"rn": "c", "Calg": GCM}, fr=fr), CREATED)
    expect(lab.put(se + "/c/genk", "m2m:genk", {"kDt": "se:mine"}, fr=fr), UPDATED)
    expect(lab.delete("cse-in/leaver", fr), DELETED)
    lab.known.discard("leaver")
    se, fr = stakeholder(lab, "leaver")
    expect(lab.post(se, CIPH, "m2m:ciph", {"Calg": GCM, "kDt": "se:mine"}, fr=fr), 4000)


def token_of(site):
    """URI of a fresh SoftHSM2 token, None where there is none."""
    return softhsm.Home(site.dir).token_with_pin("se") if softhsm.HERE else None


def a_token_serves_as_well(lab):
    site = lab_module.Lab()
    uri = token_of(site)
    if not uri:
        print("     (no SoftHSM2 here)")
        return
    try:
        bastide(site, "init", "--state", site.state, "--set", "se.uri=" + uri)
        site.start()
        se, fr = stakeholder(site, "hsm")
        expect(site.post(se, CIPH, "m2m:ciph", {"rn": "c", "Calg": GCM}, fr=fr), CREATED)
        expect(site.put(se + "/c/genk", "m2m:genk", {"kDt": "se:k"}, fr=fr), UPDATED)
        sealed = expect(site.put(se + "/c/encr", "m2m:encr", {"msg": b64(SECRET)}, fr=fr), UPDATED)
        opened = site.put(se + "/c/decr", "m2m:decr", {"msg": sealed.root("m2m:encr")["cD"]}, fr=fr)
        eq(base64.b64decode(expect(opened, UPDATED).root("m2m:decr")["cD"]), SECRET)
        expect(site.post(se, SIGN, "m2m:sign", {"rn": "s", "Salg": "ALG_ECDSA_SHA_256"}, fr=fr), CREATED)
        expect(site.put(se + "/s/genk", "m2m:genk", {}, fr=fr), UPDATED)
        signed = expect(site.put(se + "/s", "m2m:sign", {"msg": b64(b"x")}, fr=fr), UPDATED).root("m2m:sign")
        checked = site.put(se + "/s", "m2m:sign", {"msg": b64(b"x"), "Sgn": signed["Sgn"]}, fr=fr)
        eq(expect(checked, UPDATED).root("m2m:sign")["vR"], True)
        expect(site.post(se, SDO, "m2m:sdo", {"rn": "d", "msg": b64(SECRET)}, fr=fr), CREATED)
        expect(site.put(se + "/d", "m2m:sdo", {"msg": b64(SECRET)}, fr=fr), UPDATED)
        expect(site.delete(se + "/d", fr), DELETED)
        nowhere(site, SECRET, b64(SECRET).encode())
        expect(site.delete(se, fr), DELETED)
        site.kill(15)
        labels = [k["label"] for k in json.loads(bastide(site, "key", "list", uri, "--json"))]
        eq([name for name in labels if name.startswith("ts0016:")], [])
    finally:
        site.stop()


def over_tls_the_proved_stakeholder_and_nobody_else(lab):
    site = provider.Site().start()
    hands, stack = {}, contextlib.ExitStack()
    try:
        for name in ("one", "two"):
            secret = site.add_key(f"{name}@{provider.DOMAIN}")
            hands[name] = stack.enter_context(site.by_psk(f"{name}@{provider.DOMAIN}", secret))
            expect(hands[name].register(name, "C" + name), CREATED)
            expect(hands[name].post(f"cse-in/{name}", SE, "m2m:se", {"rn": "se"}, "C" + name), CREATED)
        one, two = hands["one"], hands["two"]
        eq(expect(one.get("cse-in/se", "Cone"), OK).root("m2m:se")["seT"], 4)
        expect(one.post("cse-in/se", HASH, "m2m:hash", {"Halg": "ALG_SHA_256"}, "Cone"), 4103)
        expect(one.post("cse-in/one/se", SDO, "m2m:sdo", {"rn": "d", "msg": b64(SECRET)}, "Cone"), CREATED)
        expect(one.post("cse-in/one/se", CIPH, "m2m:ciph", {"rn": "c", "Calg": GCM}, "Cone"), CREATED)
        expect(one.put("cse-in/one/se/c/genk", "m2m:genk", {"kDt": "se:k"}, "Cone"), UPDATED)
        expect(one.put("cse-in/one/se/c/encr", "m2m:encr", {"msg": b64(SECRET)}, "Cone"), UPDATED)
        for to in ("cse-in/one/se", "cse-in/one/se/d", "cse-in/one/se/c"):
            expect(two.get(to, "Ctwo"), 4103)
            assert two.get(to, "Cone").rsc in (4000, 4106), to
        expect(two.put("cse-in/one/se/c/encr", "m2m:encr", {"msg": b64(SECRET)}, "Ctwo"), 4103)
        expect(two.post("cse-in/two/se", CIPH, "m2m:ciph", {"Calg": GCM, "kDt": "se:k"}, "Ctwo"), 4000)
        for handle in ("se:cse.tls", "se:pki.ca", "se:audit.sign"):
            expect(one.put("cse-in/one/se/c", "m2m:ciph", {"kDt": handle}, "Cone"), 4000)
        for name in [f for f in glob.glob(site.state + "/**", recursive=True) if os.path.isfile(f)]:
            with open(name, "rb") as f:
                content = f.read()
            assert SECRET not in content and b64(SECRET).encode() not in content, name
    finally:
        stack.close()
        site.kill(15)
        shutil.rmtree(site.dir)


lab_module.main()
