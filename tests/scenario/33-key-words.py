#!/usr/bin/env python3
"""TS-0003 6.3, TS-0016: the words of bastide key that derive, certify, carry, rotate and end keys, in software and on
a token, and the server's own keys while it runs."""
import glob
import hashlib
import hmac
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time

import provider
import softhsm
from provider import CSE_FQDN, DOMAIN, MEF_FQDN, Site, eq, openssl, wait_for

home = tempfile.mkdtemp(prefix="bastide-words-")
hsm = softhsm.Home(home)
put, token, PIN_FILE = hsm.put, hsm.token_with_pin, hsm.pin


def get(path, mode="r"):
    with open(path, mode) as f:
        return f.read()


def forget(label):
    """The token goes, also while a program has it open."""
    for folder in glob.glob(f"{home}/tokens/*"):
        if label.encode() in get(os.path.join(folder, "token.object"), "rb"):
            shutil.rmtree(folder)
            return
    raise AssertionError(f"there is no token {label}")


def soft(name):
    return f"se:soft?dir={home}/{name}"


def key(site, word, *args, code=0):
    """A word of bastide key; an error is in words."""
    done = site.cli("key", word, *args, state=False)
    assert done.code == code, f"bastide key {word} {args}: {done}"
    assert not re.search(r"\b0x[0-9a-f]{4,}\b|CKR_|CKM_|CKF_|TPM_RC", done.err), done
    return done


def labels(site, uri):
    return sorted(k["label"] for k in key(site, "list", uri, "--json").json)


def value_of(site, uri, label):
    return key(site, "check", uri, label, "--json").json["check"]


def make(site, uri, label, *args):
    return key(site, "generate", uri, label, "--type", "symmetric", *args)


# -- derive

def derived_keys_are_those_of_the_algorithms(site):
    parent, uri = secrets.token_bytes(32), soft("derive")
    key(site, "import", uri, "master", "--type", "symmetric", "--use", "derive", "--in", put("master", parent))
    by_hmac = hmac.digest(parent, b"meter7", "sha256")
    prk = hmac.digest(b"salt", parent, "sha256")
    by_hkdf = hmac.digest(prk, b"meter7\x01", "sha256")
    key(site, "derive", uri, "master", "by-hmac", "--hmac", "meter7", "--use", "mac")
    key(site, "derive", uri, "master", "by-hkdf", "--info", "meter7", "--salt", "salt", "--use", "mac")
    for label, expected in (("by-hmac", by_hmac), ("by-hkdf", by_hkdf)):
        key(site, "import", uri, "expected", "--type", "symmetric", "--use", "mac", "--in", put("expected", expected))
        eq(value_of(site, uri, label), value_of(site, uri, "expected"))
        key(site, "delete", uri, "expected")
    assert value_of(site, uri, "by-hmac") != value_of(site, uri, "by-hkdf")


def what_may_not_derive_does_not(site):
    uri = soft("derive2")
    make(site, uri, "mac", "--use", "mac")
    refused = key(site, "derive", uri, "mac", "child", "--info", "x", code=4)
    assert "may not be used for derivation" in refused.err, refused
    key(site, "derive", uri, "mac", "child", code=2)
    key(site, "derive", uri, "mac", "child", "--hmac", "x", "--info", "y", code=2)
    key(site, "derive", uri, "nobody", "child", "--info", "x", code=5)
    eq(labels(site, uri), ["mac"])


# -- wrap and unwrap

def a_wrapped_key_comes_back_with_its_attributes(site):
    uri, blob = soft("wrap"), os.path.join(home, "blob")
    make(site, uri, "kek", "--use", "kek")
    make(site, uri, "meter", "--use", "mac,wrap", "--owner", "alice", "--suid", "12")
    key(site, "wrap", uri, "meter", "--with", "kek", "--out", blob)
    back = key(site, "unwrap", uri, "again", "--with", "kek", "--in", blob, "--json").json
    eq((back["uses"], back["owner"], back["suid"]), ("mac wrap", "alice", 12))
    eq(value_of(site, uri, "meter"), value_of(site, uri, "again"))
    key(site, "generate", uri, "pair", "--use", "sign,wrap")
    key(site, "wrap", uri, "pair", "--with", "kek", "--out", blob)
    key(site, "unwrap", uri, "pair2", "--with", "kek", "--in", blob)
    eq(value_of(site, uri, "pair"), value_of(site, uri, "pair2"))


def what_may_not_travel_does_not(site):
    uri, blob = soft("wrap2"), os.path.join(home, "blob2")
    make(site, uri, "kek", "--use", "kek")
    make(site, uri, "other", "--use", "kek")
    make(site, uri, "stays", "--use", "mac")
    make(site, uri, "goes", "--use", "mac,wrap")
    key(site, "wrap", uri, "stays", "--with", "kek", code=4)
    key(site, "wrap", uri, "goes", "--with", "goes", code=4)
    key(site, "wrap", uri, "goes", "--with", "nobody", code=5)
    key(site, "wrap", uri, "goes", code=2)
    key(site, "wrap", uri, "goes", "--with", "kek", "--out", blob)
    whole = get(blob, "rb")
    for bad in (whole[:-1], whole[:10], b"", whole[:20] + bytes([whole[20] ^ 1]) + whole[21:], whole + b"\0"):
        done = site.cli("key", "unwrap", uri, "bad", "--with", "kek", "--in", put("bad", bad), state=False)
        assert done.code in (3, 8), (bad.hex(), done)
    wrong = site.cli("key", "unwrap", uri, "bad", "--with", "other", "--in", blob, state=False)
    assert wrong.code != 0, wrong
    key(site, "unwrap", uri, "goes", "--with", "kek", "--in", blob, code=6)
    eq(labels(site, uri), ["goes", "kek", "other", "stays"])


# -- rewrap

def a_key_goes_to_another_environment_with_proof(site):
    here, there = soft("from"), soft("to")
    make(site, here, "meter", "--use", "mac,wrap", "--suid", "21")
    value = value_of(site, here, "meter")
    done = key(site, "rewrap", here, "meter", there, "--json").json
    eq((done["check"], done["moved"], done["agreed"]), (value, False, True))
    eq((value_of(site, here, "meter"), value_of(site, there, "meter")), (value, value))
    moved = key(site, "rewrap", here, "meter", there, "--as", "meter.b", "--move")
    assert "the same key" in moved.out and "deleted" in moved.out, moved
    eq((labels(site, here), labels(site, there)), ([], ["meter", "meter.b"]))  # no transport key is left
    eq(key(site, "info", there, "meter.b", "--json").json["suid"], 21)


def a_failed_rewrap_leaves_the_source(site):
    here, there = soft("from2"), soft("to2")
    make(site, here, "meter", "--use", "mac,wrap")
    make(site, here, "stays", "--use", "mac")
    make(site, there, "meter", "--use", "mac")
    key(site, "rewrap", here, "meter", there, "--move", code=6)
    key(site, "rewrap", here, "stays", there, "--move", code=4)
    key(site, "rewrap", here, "nobody", there, code=5)
    key(site, "rewrap", here, "meter", "none-such:", code=3)
    eq((labels(site, here), labels(site, there)), (["meter", "stays"], ["meter"]))


# -- rotate

def rotate_on(site, uri):
    key(site, "generate", uri, "signer", "--owner", "alice")
    first = value_of(site, uri, "signer")
    done = key(site, "rotate", uri, "signer")
    assert "kept as signer.1" in done.out, done
    second = value_of(site, uri, "signer")
    eq((labels(site, uri), value_of(site, uri, "signer.1")), (["signer", "signer.1"], first))
    assert first != second
    eq(key(site, "info", uri, "signer", "--json").json["owner"], "alice")
    message = put("message", "what is signed")
    for label in ("signer", "signer.1"):
        signature, public = os.path.join(home, "sig"), os.path.join(home, "pub")
        key(site, "sign", uri, label, "--in", message, "--out", signature)
        key(site, "public", uri, label, "--out", public)
        openssl("dgst", "-sha256", "-verify", public, "-signature", signature, message)
    eq(key(site, "rotate", uri, "signer", "--drop", "--json").json, {"rotated": "signer", "kept": ""})
    eq((labels(site, uri), value_of(site, uri, "signer.1")), (["signer", "signer.1"], first))
    eq(key(site, "rotate", uri, "signer", "--json").json, {"rotated": "signer", "kept": "signer.2"})
    eq(labels(site, uri), ["signer", "signer.1", "signer.2"])
    key(site, "rotate", uri, "nobody", code=5)


def a_rotated_key_is_another_and_the_old_one_stays(site):
    rotate_on(site, soft("rotate"))


def a_rotation_that_was_cut_short_goes_on(site):
    uri = soft("rotate2")
    make(site, uri, "meter", "--use", "mac")
    make(site, uri, "meter.next", "--use", "mac")
    fresh = value_of(site, uri, "meter.next")
    key(site, "rotate", uri, "meter")
    eq((labels(site, uri), value_of(site, uri, "meter")), (["meter", "meter.1"], fresh))


def a_label_names_a_key_of_each_owner(site):
    uri = soft("owners")
    for owner in ("alice", "bob"):
        make(site, uri, "meter", "--use", "mac", "--owner", owner)
    for word in ("info", "check", "rotate", "delete"):
        asked = key(site, word, uri, "meter", code=5)
        assert "no key" in asked.err or "say whose with --owner" in asked.err, asked
        key(site, word, uri, "meter", "--owner", "carol", code=5)
    assert "say whose with --owner" in key(site, "info", uri, "meter", code=5).err
    eq(key(site, "info", uri, "meter", "--owner", "bob", "--json").json["owner"], "bob")
    alice = key(site, "check", uri, "meter", "--owner", "alice", "--json").json["check"]
    key(site, "rotate", uri, "meter", "--owner", "bob")
    eq(sorted((k["owner"], k["label"]) for k in key(site, "list", uri, "--json").json),
       [("alice", "meter"), ("bob", "meter"), ("bob", "meter.1")])
    eq(key(site, "check", uri, "meter", "--owner", "alice", "--json").json["check"], alice)
    key(site, "delete", uri, "meter", "--owner", "bob")
    eq(key(site, "info", uri, "meter", "--json").json["owner"], "alice")  # the only one now
    make(site, uri, "meter", "--use", "mac")
    eq(key(site, "info", uri, "meter", "--json").json["owner"], "")  # nobody's comes first


# -- certify

def certificates_come_from_the_project_ca_or_from_the_key(site):
    uri, cert = soft("certify"), os.path.join(home, "cert.pem")
    key(site, "generate", uri, "tls")
    site.run("key", "certify", uri, "tls", "--ae-id", f"//{DOMAIN}/id-in/Chut", "--days", "30", "--out", cert)
    openssl("verify", "-CAfile", site.ca_file, cert)
    assert "m2m://acme.example.com/id-in/Chut" in openssl("x509", "-in", cert, "-noout", "-text").stdout.decode()
    public = os.path.join(home, "tls.pub")
    key(site, "public", uri, "tls", "--out", public)
    eq(openssl("x509", "-in", cert, "-noout", "-pubkey").stdout.decode(), get(public))
    assert any(c["name"].endswith("Chut") for c in site.admin("certificates")["certificates"])
    key(site, "certify", uri, "tls", "--self-signed", "--fqdn", "mef.example.com", "--out", cert)
    openssl("verify", "-CAfile", cert, cert)


def a_certificate_names_one_entity_that_the_ca_may_name(site):
    uri = soft("certify2")
    key(site, "generate", uri, "tls")
    make(site, uri, "meter", "--use", "mac")
    for args, code in (((), 2), (("--fqdn", "a.example.com", "--cse", "b.example.com"), 2),
                       (("--fqdn", "a.example.com", "--days", "0"), 2)):
        eq(site.cli("key", "certify", uri, "tls", "--self-signed", *args).code, code)
    assert site.cli("key", "certify", uri, "meter", "--self-signed", "--fqdn", "a.example.com").code != 0
    eq(site.cli("key", "certify", uri, "nobody", "--self-signed", "--fqdn", "a.example.com").code, 5)


# -- block, wipe, attest

def block_and_wipe_are_asked_for_twice_and_final(site):
    uri = soft("block")
    key(site, "generate", uri, "signer")
    for word in ("block", "wipe"):
        asked = key(site, word, uri, code=2)
        assert "--yes" in asked.err, asked
    key(site, "sign", uri, "signer", "--in", PIN_FILE, "--out", os.path.join(home, "s"))
    key(site, "block", uri, "--yes", "--reason", "stolen")
    for word, *args in (("sign", "signer", "--in", PIN_FILE), ("generate", "more"), ("rotate", "signer")):
        blocked = key(site, word, uri, *args, code=4)
        assert "blocked" in blocked.err, blocked
    eq(labels(site, uri), ["signer"])
    assert "BLOCKED" in key(site, "list", uri).err
    key(site, "wipe", uri, "--yes")
    eq(labels(site, uri), [])
    key(site, "generate", uri, "signer")


def private_keys_come_in_during_personalisation_only(site):
    uri, pem = soft("activate"), os.path.join(home, "own.key")
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", pem)
    key(site, "import", uri, "before", "--in", pem)
    key(site, "activate", uri, code=2)
    key(site, "activate", uri, "--yes")
    refused = key(site, "import", uri, "after", "--in", pem, code=4)
    assert "personalisation" in refused.err, refused
    key(site, "generate", uri, "after")
    key(site, "sign", uri, "before", "--in", pem, "--out", os.path.join(home, "s"))
    eq(labels(site, uri), ["after", "before"])


def a_passphrase_is_changed_by_who_has_it(site):
    uri, old, new = soft("phrase"), put("old", "correct horse battery\n"), put("new", "staple of another kind\n")
    key(site, "generate", uri, "signer", "--pin-file", old)
    key(site, "pin", uri, "--pin-file", old, code=2)
    key(site, "pin", uri, "--pin-file", old, "--new-file", put("empty", "\n"), code=3)
    key(site, "pin", uri, "--pin-file", old, "--new-file", new)
    key(site, "info", uri, "signer", "--pin-file", new)
    assert "passphrase" in key(site, "list", uri, "--pin-file", old, code=4).err


def software_proves_nothing_and_says_so(site):
    uri = soft("attest")
    key(site, "generate", uri, "signer")
    key(site, "attest", uri, "signer", code=2)
    key(site, "attest", uri, "signer", "--nonce", "00112233", code=2)
    refused = site.cli("key", "attest", uri, "signer", "--nonce", "00112233445566778899", state=False)
    assert refused.code != 0 and "attestation" in refused.err, refused
    part = '"statement":"","signature":"","object":"","signer":"","chain":""'
    for text in ("", "{}", '{"kind":"soft"}', '{"kind":"soft",%s}' % part, '{"kind":"' + "x" * 99 + '",%s}' % part,
                 '{"kind":"tpm2",%s}' % part, '{"kind":"tpm2",%s}' % part.replace('""', '"!"', 1)):
        done = site.cli("key", "verify", put("attested", text), "--nonce", "00112233445566778899", state=False)
        assert done.code not in (0, 2) and "proves nothing" in done.err, (text, done)


def every_word_shows_an_example(site):
    words = re.findall(r"^  bastide key ([a-z]+) ", site.cli("key", state=False).err, re.M)
    assert {"derive", "certify", "wrap", "unwrap", "rewrap", "check", "rotate", "attest", "verify", "block",
            "wipe", "pin", "activate"} <= set(words), words
    for word in words:
        shown = key(site, word, "--help").out
        assert f"bastide key {word} " in shown.split("xample", 1)[1], shown
        key(site, word, code=2)


# -- the server's own keys

def served(site, port=None, name=CSE_FQDN):
    """Fingerprint of the certificate that a listener shows now."""
    p = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port or site.cse_port}", "-servername", name],
                       input=b"", capture_output=True, timeout=15)
    return hashlib.sha256(openssl("x509", "-outform", "DER", data=p.stdout).stdout).hexdigest()


def a_server_goes_over_to_a_new_key_without_a_restart(site):
    folder = site.enrolled("hen")
    site.run("device", "register", folder, "--name", "hen", state=False)
    pid = site.process.pid
    for label, port, name in (("cse.tls", site.cse_port, CSE_FQDN), ("mef.tls", site.mef_port, MEF_FQDN)):
        before = served(site, port, name)
        done = site.run("key", "rotate", label)
        assert "in use" in done.out and f"{label}.1" in done.out, done
        assert served(site, port, name) != before
        assert site.audited("key.rotated", label)
    site.run("device", "send", folder, "--name", "hen", "--count", "2", state=False)
    site.enrolled("hen2")
    eq(site.admin("status")["pid"], pid)
    site.restart()
    site.run("device", "send", folder, "--name", "hen", "--count", "2", state=False)
    eq(site.cli("key", "rotate", "nobody").code, 3)


def a_foreign_certificate_is_not_replaced(site):
    cert, own = os.path.join(site.state, "pki/cse.pem"), None
    with open(cert) as f:
        own = f.read()
    csr = os.path.join(home, "other.csr")
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
            os.path.join(home, "other.key"), "-subj", "/CN=x", "-x509", "-out", csr)
    shutil.copy(csr, cert)
    refused = site.cli("key", "rotate", "cse.tls")
    assert refused.code == 4 and "project CA" in refused.err, refused
    with open(cert, "w") as f:
        f.write(own)
    site.admin("reload")


# -- the project CA

def by_certificate(site, name):
    """A device that shows a certificate of the project CA, at the MEF and at the CSE."""
    folder = site.provision(name, "--certificate")
    site.run("device", "enrol", folder, "--association", "certificate", state=False)
    site.run("device", "register", folder, "--name", name, state=False)
    return folder


def send(site, folder, name, code=0):
    done = site.cli("device", "send", folder, "--name", name, "--count", "2", state=False)
    assert (done.code == 0) == (code == 0), done
    return done


def roots(site):
    return get(site.ca_file).count("BEGIN CERTIFICATE")


def issuer_at(site, port=None, name=CSE_FQDN):
    p = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port or site.cse_port}", "-servername", name],
                       input=b"", capture_output=True, timeout=15)
    return openssl("x509", "-noout", "-issuer", data=p.stdout).stdout


def change_of_the_ca(site, *to):
    early, before = by_certificate(site, "early"), issuer_at(site)
    old_root, pid = get(site.ca_file), site.process.pid
    done = site.run("key", "rotate", "pki.ca", *to)
    assert "trusted until 'bastide key rotate pki.ca --retire'" in done.out, done
    assert site.audited("ca.rotated", "pki.ca")
    for port, name in ((site.cse_port, CSE_FQDN), (site.mef_port, MEF_FQDN)):
        assert issuer_at(site, port, name) != before
    eq((roots(site), site.admin("status")["pid"]), (2, pid))
    # The device of before knows the former root only, the one of after knows both, and one of neither the new alone.
    eq(get(os.path.join(early, "ca.pem")), old_root)
    send(site, early, "early")
    late = by_certificate(site, "late")
    send(site, late, "late")
    with open(os.path.join(late, "ca.pem"), "w") as f:
        f.write(get(site.ca_file).split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n")
    send(site, late, "late")
    site.run("request", "retrieve", "cse-in", "--profile", os.path.join(site.state, "admin"), state=False)
    return early, late, pid


def takes_along(site, folder, stem):
    """A device of before the change goes on: it learns the roots, and its key gets another certificate."""
    alone = site.cli("device", "trust", folder, "--ca", site.ca_file, state=False)
    assert alone.code == 4 and "not vouched for" in alone.err, alone
    bundle = put("roots.pem", get(site.ca_file) + get(os.path.join(site.state, "pki/ca.chain")))
    eq(site.run("device", "trust", folder, "--ca", bundle, "--json", state=False).json, {"trusted": 2, "new": 1})
    site.run("key", "certify", f"se:soft?dir={folder}/se", "tls", "--ae-id", f"//{DOMAIN}/id-in/{stem}",
             "--out", os.path.join(folder, "cert.pem"))


def the_ca_gets_a_new_key_and_devices_of_before_and_after_connect(site):
    mine = Site(extra_ca=False)
    try:
        mine.start()
        along = by_certificate(mine, "along")
        early, late, pid = change_of_the_ca(mine)
        takes_along(mine, along, "Calong")
        send(mine, along, "along")
        asked = mine.cli("key", "rotate", "pki.ca", "--retire")
        assert asked.code == 6 and "1 certificates of former roots still hold" in asked.err, asked
        eq(roots(mine), 2)
        send(mine, early, "early")
        done = mine.run("key", "rotate", "pki.ca", "--retire", "--yes")
        assert "1 former root of the project CA" in done.out, done
        assert mine.audited("ca.retired", "administrator")
        eq((roots(mine), mine.admin("status")["pid"]), (1, pid))
        send(mine, early, "early", code=1)
        send(mine, late, "late")
        send(mine, along, "along")
        eq(mine.cli("key", "rotate", "pki.ca", "--retire").code, 5)
        mine.restart()
        send(mine, early, "early", code=1)
        send(mine, late, "late")
    finally:
        mine.stop()


def who_trusts_the_former_root_only_refuses_a_server_without_the_way_to_it(site):
    mine = Site(extra_ca=False)
    try:
        mine.start()
        early = by_certificate(mine, "early")
        mine.run("key", "rotate", "pki.ca")
        cert = os.path.join(mine.state, "pki/cse.pem")
        alone = get(cert).split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
        with open(cert, "w") as f:
            f.write(alone)
        mine.admin("reload")
        send(mine, early, "early", code=1)
    finally:
        mine.stop()


def a_former_root_ends_at_its_time_by_itself(site):
    mine = Site(extra_ca=False)
    try:
        mine.start()
        early = by_certificate(mine, "early")
        end = time.time() + 12
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
        mine.run("key", "rotate", "pki.ca", "--until", when)
        if time.time() < end - 6:
            send(mine, early, "early")
        wait_for("the end of the former root", lambda: roots(mine) == 1, 40)
        assert time.time() >= end - 1, "the former root ended too early"
        assert mine.audited("ca.retired", "1 former roots")
        wait_for("refusal", lambda: mine.cli("device", "send", early, "--name", "early", "--count", "1",
                                             state=False).code != 0)
        past = mine.cli("key", "rotate", "pki.ca", "--until", "2001-01-01T00:00:00Z")
        assert past.code == 3 and "past" in past.err, past
        eq(mine.cli("key", "rotate", "pki.ca", "--drop").code, 2)
        eq(roots(mine), 1)
    finally:
        mine.stop()


def a_device_that_was_revoked_before_the_change_stays_revoked_after_it(site):
    mine = Site(extra_ca=False)
    try:
        mine.start()
        good, bad = by_certificate(mine, "good"), by_certificate(mine, "bad")
        mine.admin("revoke-certificate", which=f"//{DOMAIN}/id-in/Cbad")
        mine.run("key", "rotate", "pki.ca")
        send(mine, bad, "bad", code=1)
        send(mine, good, "good")
        mine.admin("revoke-certificate", which=f"//{DOMAIN}/id-in/Cgood")  # of the former root, by its own key
        send(mine, good, "good", code=1)
    finally:
        mine.stop()


def the_key_of_the_ca_moves_to_a_token_and_on_to_another(site):
    first, second = token("ca-first"), token("ca-second")
    mine = Site(extra_ca=False)
    try:
        mine.start()
        early, late, pid = change_of_the_ca(mine, "--to", first)
        eq(labels(mine, first), ["pki.ca"])
        mine.run("key", "rotate", "pki.ca", "--to", second.replace("ca-second", "ca-second;object=root"))
        eq((labels(mine, first), labels(mine, second), roots(mine)), (["pki.ca.1"], ["root"], 3))
        send(mine, early, "early")
        send(mine, late, "late")
        forget("ca-first")  # the key of a former root is gone: its list is not signed any more, all else goes on
        mine.restart()
        send(mine, early, "early")
        by_certificate(mine, "last")
        refused = mine.cli("key", "rotate", "pki.ca", "--to", "pkcs11:token=nobody?module-path=" + softhsm.MODULE)
        assert refused.code != 0, refused
        eq(roots(mine), 3)
        mine.run("key", "rotate", "pki.ca", "--retire", "--yes")
        send(mine, early, "early", code=1)
        mine.restart()
        by_certificate(mine, "last2")
    finally:
        mine.stop()


def on_tokens(case):
    """A case that needs SoftHSM2, or says why it was not run."""
    if softhsm.HERE:
        return case

    def skipped(site):
        print(f"SKIP: {case.__name__.replace('_', ' ')}: SoftHSM2 is not installed (package softhsm2)")
    skipped.__name__ = case.__name__
    return skipped


def the_words_do_the_same_on_a_token(site):
    uri = token("words")
    rotate_on(site, uri)
    key(site, "certify", uri, "signer", "--self-signed", "--fqdn", "mef.example.com", "--out", os.path.join(home, "c"))
    openssl("verify", "-CAfile", os.path.join(home, "c"), os.path.join(home, "c"))
    make(site, uri, "master", "--use", "derive")
    child = key(site, "derive", uri, "master", "child", "--hmac", "meter7", "--use", "mac", "--json").json
    eq(child["level"], 1)
    here = soft("travel")
    make(site, here, "meter", "--use", "mac,wrap")
    value = value_of(site, here, "meter")
    for source, target in ((here, uri), (uri, here)):
        eq(key(site, "rewrap", source, "meter", target, "--move", "--json").json["check"], value)
        eq(value_of(site, target, "meter"), value)
        assert "meter" not in labels(site, source)
    key(site, "wipe", uri, "--yes")
    eq(labels(site, uri), [])


def keys_of_a_server_have_addresses_and_change_them_without_a_restart(site):
    first, second = token("server-a"), token("server-b")
    for uri, label in ((first, "cse.tls"), (second, "the-cse")):
        key(site, "generate", uri, label)
    mine = Site(settings=[f"cse.key-uri={first}", f"pki.ca-uri={token('ca')}"], extra_ca=False)
    try:
        mine.start()
        eq(key(site, "list", f"se:soft?dir={mine.state}/se", "--json").json and True, True)
        inside = labels(mine, f"se:soft?dir={mine.state}/se")
        assert "mef.tls" in inside and "cse.tls" not in inside and "pki.ca" not in inside, inside
        before, folder = served(mine), mine.enrolled("hut")
        mine.run("device", "register", folder, "--name", "hut", state=False)
        cert = os.path.join(mine.state, "pki/cse.pem")
        mine.run("key", "certify", second, "the-cse", "--cse", CSE_FQDN, "--out", cert + ".new")
        mine.set_config("cse.key-uri", second.replace("token=server-b", "token=server-b;object=the-cse"))
        os.replace(cert + ".new", cert)
        mine.process.send_signal(provider.signal.SIGHUP)
        wait_for("the key of the other token", lambda: served(mine) != before)
        mine.run("device", "send", folder, "--name", "hut", "--count", "2", state=False)
        forget("server-a")
        mine.run("device", "send", folder, "--name", "hut", "--count", "2", state=False)
        mine.run("key", "rotate", "cse.tls")
        eq(labels(mine, second), ["the-cse", "the-cse.1"])
        mine.run("device", "send", folder, "--name", "hut", "--count", "2", state=False)
        mine.restart()
        mine.run("device", "send", folder, "--name", "hut", "--count", "2", state=False)
    finally:
        mine.stop()


def a_key_that_another_program_made_on_the_token_is_seen_by_a_reload(site):
    uri = token("shared")
    mine = Site(settings=[f"se.uri={uri}"], extra_ca=False)
    try:
        mine.start()
        before, cert = served(mine), os.path.join(mine.state, "pki/cse.pem")
        key(mine, "generate", uri, "cse.tls.2")
        mine.run("key", "certify", uri, "cse.tls.2", "--cse", CSE_FQDN, "--out", cert + ".new")
        os.replace(cert + ".new", cert)
        mine.process.send_signal(provider.signal.SIGHUP)
        wait_for("the new key", lambda: served(mine) != before)
        mine.enrolled("hut")
    finally:
        mine.stop()


def a_wrong_address_leaves_what_is_in_use(site):
    before = served(site)
    site.set_config("cse.key-uri", f"pkcs11:token=nobody?module-path={softhsm.MODULE}&pin-source=file:{PIN_FILE}")
    done = site.cli("key", "list", "pkcs11:token=nobody", state=False)
    assert done.code != 0, done
    try:
        site.admin("reload")
        raise AssertionError("a reload with a token that is not there must fail")
    except AssertionError as e:
        assert "nobody" in str(e) or "token" in str(e), e
    eq(served(site), before)
    site.set_config("cse.key-uri", '""')
    site.admin("reload")


the_words_do_the_same_on_a_token = on_tokens(the_words_do_the_same_on_a_token)
keys_of_a_server_have_addresses_and_change_them_without_a_restart = on_tokens(
    keys_of_a_server_have_addresses_and_change_them_without_a_restart)
a_key_that_another_program_made_on_the_token_is_seen_by_a_reload = on_tokens(
    a_key_that_another_program_made_on_the_token_is_seen_by_a_reload)
the_key_of_the_ca_moves_to_a_token_and_on_to_another = on_tokens(the_key_of_the_ca_moves_to_a_token_and_on_to_another)
a_wrong_address_leaves_what_is_in_use = on_tokens(a_wrong_address_leaves_what_is_in_use)

try:
    provider.main()
finally:
    shutil.rmtree(home, ignore_errors=True)
