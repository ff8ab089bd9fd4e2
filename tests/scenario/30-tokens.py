#!/usr/bin/env python3
"""TS-0003 6.3: keys on a PKCS#11 token, SoftHSM2 here: a whole provider on one, and the words of bastide key."""
import os
import shutil
import subprocess
import sys
import tempfile

import provider
import softhsm
from provider import Site, eq, openssl
from softhsm import PIN

if not softhsm.HERE:
    print("SKIP: " + softhsm.ABSENT)
    sys.exit(77)

home = tempfile.mkdtemp(prefix="bastide-hsm-")
hsm = softhsm.Home(home)
put = hsm.put
# Whose memory it is that SoftHSM2 loses (support/lsan.txt) shows only with whole stacks.
os.environ["ASAN_OPTIONS"] = "fast_unwind_on_malloc=0"
PIN_FILE = hsm.pin
SERVER, BENCH = hsm.token_with_pin("server"), hsm.token("bench")


def key(site, word, *args, uri=BENCH, pin=PIN_FILE):
    return site.cli("key", word, uri, *args, *(["--pin-file", pin] if pin else []), state=False)


def labels(site, uri=BENCH):
    done = key(site, "list", "--json", uri=uri, pin=PIN_FILE if uri == BENCH else None)
    assert done.code == 0, done
    return sorted(k["label"] for k in done.json)


def the_keys_of_a_provider_are_on_its_token_and_nowhere_else(site):
    eq(labels(site, SERVER), ["audit.sign", "cse.tls", "mef.tls", "pki.ca"])
    eq(os.listdir(os.path.join(site.state, "se")), [])


def a_device_enrols_and_its_key_outlives_a_restart(site):
    folder = site.enrolled("hut")
    site.run("device", "register", folder, "--name", "hut", state=False)
    assert any(name.startswith("mef.key.") for name in labels(site, SERVER))
    site.restart()
    site.run("device", "send", folder, "--name", "hut", "--count", "2", state=False)
    assert "whole" in site.run("audit", "verify").out


def a_backup_holds_everything_but_the_keys(site):
    phrase = put("phrase", "correct horse battery staple\n")
    site.run("backup", site.path("copy.bak"), "--passphrase-file", phrase)


def a_self_test_says_what_a_token_can_and_leaves_nothing(site):
    before = subprocess.run(["softhsm2-util", "--show-slots"], capture_output=True, text=True).stdout
    done = key(site, "selftest")
    assert done.code == 0, done
    assert done.out.splitlines()[-1].endswith(" passed, 0 failed"), done
    assert "HKDF" in done.out and "protection level 1" in done.out and "SoftHSM" in done.out
    eq(labels(site), [])
    eq(before, subprocess.run(["softhsm2-util", "--show-slots"], capture_output=True, text=True).stdout)
    report = key(site, "selftest", "--json").json
    eq((report["failed"], report["level"]), (0, 1))
    assert "level 0 of 3 for keys made inside, 0 for all others" in key(site, "selftest", uri="none:", pin=None).out


def a_key_signs_and_others_can_check_it(site):
    message, signature, public, csr = (site.path(n) for n in ("message", "signature", "public", "csr"))
    with open(message, "w") as f:
        f.write("what is signed")
    for kind, digest in (("p256", "sha256"), ("p384", "sha384")):
        eq(key(site, "generate", "signer", "--type", kind).code, 0)
        eq(key(site, "sign", "signer", "--in", message, "--out", signature, "--hash", digest).code, 0)
        eq(key(site, "public", "signer", "--out", public).code, 0)
        eq(key(site, "csr", "signer", "--fqdn", "in.example.com", "--out", csr).code, 0)
        openssl("dgst", "-" + digest, "-verify", public, "-signature", signature, message)
        openssl("req", "-in", csr, "-noout", "-verify")
        eq(key(site, "delete", "signer").code, 0)
    eq(labels(site), [])


def attributes_come_back_and_uses_are_kept_to(site):
    done = key(site, "generate", "sealing", "--type", "symmetric", "--use", "seal", "--owner", "alice", "--suid", "12",
               "--expires", "2090-01-01T00:00:00Z")
    assert done.code == 0, done
    shown = key(site, "info", "sealing", "--json").json
    eq((shown["uses"], shown["owner"], shown["suid"], shown["expires"][:10]), ("seal", "alice", 12, "2090-01-01"))
    refused = key(site, "sign", "sealing", "--in", PIN_FILE)
    assert refused.code == 4 and "may not be used for signing" in refused.err, refused
    eq(key(site, "delete", "sealing").code, 0)


def an_imported_key_has_level_1_and_a_vendors_key_is_seen(site):
    pem = site.path("own.key")
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", pem)
    done = key(site, "import", "brought", "--in", pem, "--json")
    eq((done.code, done.json["level"]), (0, 1))
    wrong = key(site, "import", "other", "--in", pem, "--type", "p384")
    assert wrong.code == 3 and "not EC P-384" in wrong.err, wrong
    eq(key(site, "import", "brought", "--in", pem).code, 6)
    eq(key(site, "delete", "brought").code, 0)
    eq(key(site, "delete", "brought").code, 5)
    p8 = site.path("p8.key")
    openssl("pkcs8", "-topk8", "-nocrypt", "-in", pem, "-out", p8)
    subprocess.run(["softhsm2-util", "--import", p8, "--token", "bench", "--label", "vendor", "--id", "77", "--pin", PIN],
                   check=True, capture_output=True)
    eq((labels(site), "sign" in key(site, "info", "vendor", "--json").json["uses"]), (["vendor"], True))
    eq(key(site, "sign", "vendor", "--in", pem, "--out", site.path("vendor.sig")).code, 0)
    openssl("pkey", "-in", pem, "-pubout", "-out", site.path("vendor.pub"))
    openssl("dgst", "-sha256", "-verify", site.path("vendor.pub"), "-signature", site.path("vendor.sig"), pem)
    eq(key(site, "delete", "vendor").code, 0)
    eq(labels(site), [])


def errors_are_in_words(site):
    wrong = key(site, "list", pin=put("wrong", "11111111\n"))
    assert wrong.code == 4 and "the PIN is wrong; " in wrong.err, wrong
    assert "fewer tries" in wrong.err and "11111111" not in wrong.err
    eq(key(site, "list").code, 0)  # the counter is back
    readable = key(site, "list", pin=put("readable", PIN, 0o644))
    assert readable.code != 0 and "chmod 600" in readable.err, readable
    shown = key(site, "list", uri=BENCH + "&pin-value=" + PIN, pin=None)
    assert shown.code == 3 and "pin-source=file:" in shown.err and PIN not in shown.err, shown
    absent = key(site, "list", uri=BENCH.replace("bench", "nobody"))
    assert absent.code == 5 and "'bench'" in absent.err, absent
    module = key(site, "list", uri="pkcs11:token=bench?module-path=/nowhere.so")
    assert module.code == 3 and "/nowhere.so" in module.err, module


try:
    provider.main(lambda: Site(settings=[f"se.uri={SERVER}"], extra_ca=False))
finally:
    shutil.rmtree(home, ignore_errors=True)
