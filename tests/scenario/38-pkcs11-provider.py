#!/usr/bin/env python3
"""Keys that Bastide made on a token, in the hands of OpenSSL's pkcs11-provider: each checks what the other signed,
and one handshake has a key of the same module on both ends, each used through another provider.

SoftHSM2 and pkcs11-provider in one process would call OpenSSL from within OpenSSL and wait for themselves, so that
the module is in a process of p11-kit's, and each command has a time limit."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

import provider
import softhsm
from provider import CSE_FQDN, Site, eq, openssl, wait_for

LIMIT = 30


def first(*patterns):
    return next((path for pattern in patterns for path in sorted(glob.glob(pattern))), None)


def skip(why):
    print("SKIP: " + why)
    sys.exit(77)


CLIENT = first("/usr/lib/*/pkcs11/p11-kit-client.so", "/usr/lib64/pkcs11/p11-kit-client.so")
folder = re.search(r'MODULESDIR: "(.*)"', openssl("version", "-m").stdout.decode()).group(1)
PROVIDER = os.path.join(folder, "pkcs11.so")
if not softhsm.HERE:
    skip(softhsm.ABSENT)
if not os.path.exists(PROVIDER):
    skip("pkcs11-provider is not installed (package of Debian 13; Debian 12 has none)")
if not CLIENT or not shutil.which("p11-kit"):
    skip("p11-kit's remoting is not installed (packages p11-kit, p11-kit-modules)")

home = tempfile.mkdtemp(prefix="bastide-pp-")
os.environ["ASAN_OPTIONS"] = "fast_unwind_on_malloc=0"
hsm = softhsm.Home(home)
put = hsm.put
SERVER, BENCH = hsm.token_with_pin("server"), hsm.token_with_pin("bench")
SOCKET = os.path.join(home, "p11")
CONF = put("openssl.cnf", f"""openssl_conf = init
[init]
providers = list
[list]
default = software
pkcs11 = token
[software]
activate = 1
[token]
module = {PROVIDER}
pkcs11-module-path = {CLIENT}
pkcs11-module-token-pin = file:{put("pin.bare", softhsm.PIN)}
activate = 1
[req]
distinguished_name = dn
[dn]
""")
remote = subprocess.Popen(["p11-kit", "server", "-f", "--provider", softhsm.MODULE, "-n", SOCKET, "pkcs11:"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
WITH_PROVIDER = {**os.environ, "OPENSSL_CONF": CONF, "P11_KIT_SERVER_ADDRESS": "unix:path=" + SOCKET}


def by_provider(*args, data=None):
    """openssl with pkcs11-provider: (worked, output)."""
    p = subprocess.run(["openssl", *args], input=data, capture_output=True, timeout=LIMIT, env=WITH_PROVIDER)
    return p.returncode == 0, (p.stdout + p.stderr).decode(errors="replace")


def must(*args, **kw):
    worked, out = by_provider(*args, **kw)
    assert worked, f"openssl {' '.join(args)}: {out}"
    return out


def uri(label, kind):
    return f"pkcs11:token=bench;object={label};type={kind}"


def key(site, word, *args):
    done = site.cli("key", word, BENCH, *args, state=False)
    assert done.code == 0, f"bastide key {word}: {done}"
    return done


def files(site, *names):
    return [site.path(name) for name in names]


def what_the_provider_signs_verifies_with_the_public_half_from_bastide(site):
    message, other, signature, public = files(site, "message", "other", "signature", "public")
    for name, text in ((message, "what is signed"), (other, "what is not")):
        with open(name, "w") as f:
            f.write(text)
    for kind, digest in (("p256", "-sha256"), ("p384", "-sha384")):
        key(site, "generate", kind, "--type", kind)
        key(site, "public", kind, "--out", public)
        must("dgst", digest, "-sign", uri(kind, "private"), "-out", signature, message)
        openssl("dgst", digest, "-verify", public, "-signature", signature, message)
        assert openssl("dgst", digest, "-verify", public, "-signature", signature, other, check=False).returncode


def what_bastide_signs_verifies_with_the_provider(site):
    message, other, signature = files(site, "message", "other", "signature")
    for kind, digest in (("p256", "sha256"), ("p384", "sha384")):
        key(site, "sign", kind, "--in", message, "--out", signature, "--hash", digest)
        verify = ("dgst", "-" + digest, "-verify", uri(kind, "public"), "-signature", signature)
        must(*verify, message)
        assert not by_provider(*verify, other)[0]


def the_public_half_is_the_same_for_both(site):
    one, two = files(site, "one", "two")
    key(site, "public", "p256", "--out", one)
    must("pkey", "-pubin", "-in", uri("p256", "public"), "-pubout", "-out", two)
    eq(open(one).read(), open(two).read())


def element(der, at=0):
    """(start of the content, end) of the DER element at an offset."""
    length, content = der[at + 1], at + 2
    if length & 0x80:
        content += length & 0x7F
        length = int.from_bytes(der[at + 2:content], "big")
    return content, content + length


def check_signed(site, name, kind):
    """The signature in a request or certificate, by the provider with the public half on the token."""
    der, signed, signature = files(site, "der", "signed", "signature")
    openssl(kind, "-in", name, "-outform", "DER", "-out", der)
    with open(der, "rb") as f:
        whole = f.read()
    begin, _ = element(whole)
    _, end = element(whole, begin)
    _, algorithm_end = element(whole, end)
    bits, bits_end = element(whole, algorithm_end)
    verify = ("dgst", "-sha256", "-verify", uri("p256", "public"), "-signature", signature, signed)
    for part, content in ((signed, whole[begin:end]), (signature, whole[bits + 1:bits_end])):
        with open(part, "wb") as f:
            f.write(content)
    must(*verify)
    with open(signed, "ab") as f:
        f.write(b"more")
    assert not by_provider(*verify)[0]


def requests_and_certificates_of_inside_keys_verify_with_the_provider(site):
    csr, cert, other = files(site, "csr", "cert", "other.pem")
    key(site, "csr", "p256", "--fqdn", "in.example.com", "--out", csr)
    check_signed(site, csr, "req")
    key(site, "certify", "p256", "--self-signed", "--fqdn", "in.example.com", "--out", cert)
    check_signed(site, cert, "x509")
    # One that the provider makes for the same key has the same public half.
    must("req", "-new", "-x509", "-key", uri("p256", "private"), "-subj", "/CN=provider", "-days", "2", "-out", other)
    check_signed(site, other, "x509")
    halves = [openssl("x509", "-in", name, "-noout", "-pubkey").stdout for name in (cert, other)]
    eq(halves[0], halves[1])


def one_handshake_has_a_token_on_both_ends(site):
    cert = site.path("hut.crt")
    key(site, "generate", "hut", "--type", "p256")
    key(site, "generate", "not-hut", "--type", "p256")
    done = site.cli("key", "certify", BENCH, "hut", "--ae-id", "//acme.example.com/id-in/Chut", "--out", cert)
    assert done.code == 0, done
    request = (f"GET /cse-in HTTP/1.1\r\nHost: {CSE_FQDN}\r\nX-M2M-RI: p\r\nX-M2M-RVI: 3\r\nX-M2M-Origin: Chut\r\n"
               "Connection: close\r\n\r\n").encode()

    def connect(label):
        return by_provider("s_client", "-connect", f"127.0.0.1:{site.cse_port}", "-servername", CSE_FQDN, "-CAfile",
                           site.ca_file, "-verify_return_error", "-ign_eof", "-cert", cert, "-key",
                           uri(label, "private"), data=request)[1]
    served = connect("hut")
    assert "HTTP/1.1 " in served and "Verify return code: 0 (ok)" in served, served[-2000:] + site.tail()
    assert "HTTP/1.1 " not in connect("not-hut")  # the key is not that of the certificate


try:
    wait_for("p11-kit's server", lambda: os.path.exists(SOCKET))
    provider.main(lambda: Site(settings=[f"se.uri={SERVER}"], extra_ca=False))
finally:
    remote.kill()
    remote.wait()
    shutil.rmtree(home, ignore_errors=True)
