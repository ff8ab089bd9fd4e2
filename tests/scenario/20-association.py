#!/usr/bin/env python3
"""TS-0003 8.2.2, 10.1, 10.2: which handshakes make a security association, and which do not."""
import datetime
import os
import secrets
import socket
import ssl
import struct
import subprocess

import provider
from provider import CSE_FQDN, DOMAIN, MEF_FQDN, Ca, Site, eq, openssl, wait_for

KEY_ID = f"meter@{DOMAIN}"
SUITES = ["PSK-AES128-CBC-SHA256", "PSK-AES128-GCM-SHA256", "ECDHE-PSK-AES128-CBC-SHA256"]


def psk(of):
    if not hasattr(of, "psk_key"):
        of.psk_key = of.add_key(KEY_ID)
    return of.psk_key


def cert_args(pair, *more):
    return ["-cert", pair[0], "-key", pair[1], "-cert_chain", pair[0], *more]


def refused(site, pair, why, version="-tls1_3", more=()):
    """The certificate is refused at the handshake; the log says why in words."""
    p = site.probe(*cert_args(pair, version, *more))
    assert not p.served and p.alert, p
    site.audited("handshake.failed", lambda r: why in r.get("detail", ""))
    return p


def keys_and_certificates_are_accepted_on_one_port(site):
    key, cert = psk(site), site.ca.ae("Ckc")
    for version in ("-tls1_2", "-tls1_3"):
        p = site.probe("-psk_identity", KEY_ID, "-psk", key.hex(), version)
        assert p.served, p
        p = site.probe(*cert_args(cert, version))
        assert p.served, p


def suites_of_the_standard_are_accepted_with_a_key(site):
    key = psk(site)
    for suite in SUITES:
        p = site.probe("-psk_identity", KEY_ID, "-psk", key.hex(), "-tls1_2", "-cipher", suite)
        assert p.served, p
        eq(p.cipher, suite)
    for suite in ("TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"):
        p = site.probe("-psk_identity", KEY_ID, "-psk", key.hex(), "-tls1_3", "-ciphersuites", suite)
        assert p.served, p
        eq(p.cipher, suite)


def suites_of_the_standard_are_accepted_with_a_certificate(site):
    cert = site.ca.ae("Csuite")
    for suite in ("ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"):
        p = site.probe(*cert_args(cert, "-tls1_2", "-cipher", suite))
        assert p.served, p
        eq(p.cipher, suite)


def an_unknown_identity_looks_like_a_wrong_key(site):
    psk(site)
    other = secrets.token_hex(32)
    versions = [("-tls1_2", "-cipher", suite) for suite in SUITES] + [("-tls1_3",)]
    for version in versions:
        wrong = site.probe("-psk_identity", KEY_ID, "-psk", other, *version)
        unknown = site.probe("-psk_identity", f"nobody@{DOMAIN}", "-psk", other, *version)
        same_length = site.probe("-psk_identity", KEY_ID[::-1].replace("@", "x"), "-psk", other, *version)
        for p in (wrong, unknown, same_length):
            assert not p.served and p.alert, p
        eq(unknown.alert, wrong.alert)
        eq(same_length.alert, wrong.alert)
        eq([s[1] for s in same_length.shape() if s[0] == "<<<"], [s[1] for s in wrong.shape() if s[0] == "<<<"])
    site.audited("handshake.failed", f"nobody@{DOMAIN}")


def versions_and_suites_outside_the_profile_are_refused(site):
    key, cert = psk(site), site.ca.ae("Cold")
    rsa = site.ca.ae("Crsa", key="rsa")
    low = ["-cipher", "ALL:@SECLEVEL=0"]
    for args in (["-tls1", *low], ["-tls1_1", *low],
                 ["-tls1_2", "-cipher", "AES128-SHA256:AES128-GCM-SHA256:@SECLEVEL=0"],
                 ["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"],
                 ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"]):
        p = site.probe(*cert_args(cert, *args))
        assert not p.served and p.alert in ("protocol_version", "handshake_failure"), p
    for suite in ("PSK-AES256-CBC-SHA384", "PSK-AES128-CBC-SHA", "RSA-PSK-AES128-GCM-SHA256", "PSK-NULL-SHA256"):
        p = site.probe("-psk_identity", KEY_ID, "-psk", key.hex(), "-tls1_2", "-cipher", suite + ":@SECLEVEL=0")
        assert not p.served and p.alert == "handshake_failure", p
    p = site.probe(*cert_args(rsa, "-tls1_3"))
    assert not p.served, p


def client_hello(extensions):
    """A TLS 1.2 hello with the suite ECDHE-ECDSA-AES128-GCM-SHA256 and P-256."""
    blocks = {10: b"\x00\x02\x00\x17", 11: b"\x01\x00", 13: b"\x00\x02\x04\x03", 23: b"", **extensions}
    ext = b"".join(struct.pack(">HH", k, len(v)) + v for k, v in blocks.items())
    body = b"\x03\x03" + secrets.token_bytes(32) + b"\x00" + b"\x00\x02\xc0\x2b" + b"\x01\x00" + \
        struct.pack(">H", len(ext)) + ext
    message = b"\x01" + struct.pack(">I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack(">H", len(message)) + message


def answer_to_hello(site, extensions):
    with socket.create_connection(("127.0.0.1", site.cse_port), timeout=10) as s:
        s.sendall(client_hello(extensions))
        return s.recv(4096)


def raw_public_keys_are_refused_with_a_clear_reason(site):
    """RFC 7250, TS-0003 8.1.2.3: not served yet, whichever side would show one."""
    eq(answer_to_hello(site, {})[0], 22)
    for extension in (19, 20):
        got = answer_to_hello(site, {extension: b"\x01\x02"})
        eq((got[0], got[5]), (21, 2))
        site.audited("handshake.failed", lambda r: "raw public key" in r.get("detail", ""))
    # A hello that also offers X.509 goes on with it.
    eq(answer_to_hello(site, {19: b"\x02\x02\x00"})[0], 22)


def a_client_without_any_credential_is_refused(site):
    for version in ("-tls1_2", "-tls1_3"):
        p = site.probe(version)
        assert not p.served and p.alert, p


def the_mef_speaks_tls_1_2_with_extended_master_secret_only(site):
    kpm = site.add_kpm(f"probe@{MEF_FQDN}", "Cprobe")
    mef = dict(port=site.mef_port, name=MEF_FQDN, to="/-")
    who = ["-psk_identity", f"probe@{MEF_FQDN}", "-psk", kpm.hex()]
    assert site.probe(*who, "-tls1_2", **mef).served
    p = site.probe(*who, "-tls1_3", **mef)
    assert not p.served and p.alert == "protocol_version", p
    # A key for the MEF is none for the CSE, and the other way round.
    p = site.probe(*who, "-tls1_2")
    assert not p.served, p
    p = site.probe("-psk_identity", KEY_ID, "-psk", psk(site).hex(), "-tls1_2", **mef)
    assert not p.served, p


def a_mef_session_without_extended_master_secret_is_refused(site):
    """OpenSSL's s_client cannot leave the extension out by an option, but by a configuration."""
    config = site.path("no-ems.cnf")
    with open(config, "w") as f:
        f.write("openssl_conf=o\n[o]\nssl_conf=s\n[s]\nsystem_default=d\n[d]\nOptions=-ExtendedMasterSecret\n")
    kpm = site.add_kpm(f"noems@{MEF_FQDN}", "Cnoems")
    request = b"GET /- HTTP/1.1\r\nHost: x\r\nX-M2M-RI: 1\r\nX-M2M-RVI: 3\r\nX-M2M-Origin: Cnoems\r\nConnection: close\r\n\r\n"
    env = {**os.environ, "OPENSSL_CONF": config}
    args = site.psk_args(f"noems@{MEF_FQDN}", kpm, port=site.mef_port, name=MEF_FQDN)
    p = subprocess.run(["openssl", "s_client", "-ign_eof", *args], input=request, capture_output=True, timeout=15,
                       env=env)
    assert b"Extended master secret: no" in p.stdout, p.stdout.decode()
    assert b"HTTP/1.1 " not in p.stdout, p.stdout.decode()
    assert "extended master secret" in site.tail(), site.tail()


def a_peer_that_wants_to_renegotiate_is_not_heard(site):
    with site.by_cert(site.ca.ae("Creneg"), version=ssl.TLSVersion.TLSv1_2) as h:
        h.get("cse-in", "Creneg")
    pair = site.ca.ae("Creneg2")
    p = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{site.cse_port}", "-servername", CSE_FQDN,
                          "-tls1_2", "-cert", pair[0], "-key", pair[1]], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    p.stdin.write(b"R\n")
    p.stdin.flush()
    out, _ = p.communicate(timeout=20)
    assert b"no renegotiation" in out.lower() or b"renegotiat" in out.lower(), out.decode()[-2000:]
    assert site.process.poll() is None


def expired_and_not_yet_valid_certificates_are_refused(site):
    old = site.ca.ae("Cexpired", dates=("20200101000000Z", "20210101000000Z"))
    new = site.ca.ae("Cearly", dates=("20400101000000Z", "20410101000000Z"))
    eq(refused(site, old, "expired").alert, "certificate_expired")
    refused(site, new, "not yet valid")
    refused(site, old, "expired", "-tls1_2")


def foreign_and_self_signed_certificates_are_refused(site):
    foreign = Ca(site.dir, "foreign")
    refused(site, foreign.ae("Cforeign"), "issuer")
    own = site.path("self.pem"), site.path("self.key")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", own[1], "-out",
            own[0] + ".csr", "-subj", "/CN=self")
    with open(own[0] + ".ext", "w") as f:
        f.write(f"subjectAltName=URI:m2m://{DOMAIN}/id-in/Cself\nkeyUsage=digitalSignature\n")
    openssl("x509", "-req", "-in", own[0] + ".csr", "-signkey", own[1], "-days", "2", "-extfile", own[0] + ".ext", "-out",
            own[0])
    refused(site, own, "self")


def certificates_with_wildcards_or_names_of_no_use_are_refused(site):
    refused(site, site.ca.issue("wild", f"DNS:*.{DOMAIN}"), "wildcard")
    for san in ("URI:urn:example:thing", "email:someone@example.com", "IP:127.0.0.1", "DNS:id-in.other.example.org", ""):
        pair = site.ca.issue("odd", san)
        for version in ("-tls1_2", "-tls1_3"):
            p = site.probe(*cert_args(pair, version))
            assert not p.served or "X-M2M-RSC: 2000" not in p.out, (san, p)
    server_only = site.ca.ae("Cserveronly", usage="serverAuth")
    p = site.probe(*cert_args(server_only, "-tls1_3"))
    assert not p.served and p.alert, p
    leaf_as_ca = site.ca.ae("Cleaf")
    under = site.path("under.pem"), site.path("under.key")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", under[1],
            "-out", under[0] + ".csr", "-subj", "/CN=under")
    with open(under[0] + ".ext", "w") as f:
        f.write(f"subjectAltName=URI:m2m://{DOMAIN}/id-in/Cunder\n")
    openssl("x509", "-req", "-in", under[0] + ".csr", "-CA", leaf_as_ca[0], "-CAkey", leaf_as_ca[1], "-days", "2",
            "-set_serial", "77", "-extfile", under[0] + ".ext", "-out", under[0])
    with open(under[0], "a") as f:
        f.write(open(leaf_as_ca[0]).read())
    p = site.probe(*cert_args(under, "-tls1_3"))
    assert not p.served and p.alert, p


def an_intermediate_must_be_sent_and_have_its_own_list(site):
    middle = Ca(site.dir, "middle", issuer=site.ca)
    pair = middle.ae("Cmiddle", chain=[middle])
    # Required: a list of each CA in the chain; the intermediate's is not configured.
    refused(site, pair, "CRL")


def name_constraints_of_a_ca_hold(site):
    """DNS, URI, and the urn: names and otherNames that OpenSSL refuses to judge (its errors 51 and 53)."""
    cases = [("permitted;URI:" + DOMAIN, f"URI:m2m://{DOMAIN}/id-in/Cnc", True),
             ("permitted;URI:other.example.org", f"URI:m2m://{DOMAIN}/id-in/Cnc2", False),
             ("excluded;URI:" + DOMAIN, f"URI:m2m://{DOMAIN}/id-in/Cnc3", False),
             ("permitted;DNS:other.example.org", f"DNS:mn1.id-in.{DOMAIN}", False),
             ("permitted;DNS:" + DOMAIN, f"DNS:mn1.id-in.{DOMAIN}", True),
             ("permitted;URI:urn:example:plant", "URI:urn:example:plant:7", True),
             ("permitted;URI:urn:example:plant", "URI:urn:example:other", False)]
    authorities = [Ca(site.dir, f"nc{i}", constraints=c[0]) for i, c in enumerate(cases)]
    own = Site(extra_ca=False, settings=["tls.ca=" + ",".join(["pki/ca.crt", *(a.cert for a in authorities)]),
                                         "tls.crl=" + ",".join(["pki/ca.crl", *(a.crl_file for a in authorities)])])
    try:
        own.start()
        for authority, (constraint, san, good) in zip(authorities, cases):
            p = own.probe(*cert_args(authority.issue("nc", san), "-tls1_3"))
            # Accepted by TLS, whatever the CSE then says to the request.
            assert p.served == good, (constraint, san, p)
    finally:
        own.stop()


def a_revoked_certificate_is_refused(site):
    pair = site.ca.ae("Crevoked")
    assert site.probe(*cert_args(pair, "-tls1_3")).served
    site.ca.revoke(pair[0])
    wait_for("the new list to be read", lambda: not site.probe(*cert_args(pair, "-tls1_3")).served)
    eq(refused(site, pair, "revoked").alert, "certificate_revoked")


def without_a_current_revocation_list_the_policy_decides(site):
    cert = site.ca.ae("Ccrl")
    for policy, missing, stale, revoked in (("required", False, False, False), ("if-present", True, True, False),
                                            ("none", True, True, True)):
        ca = Ca(site.dir, "crl-" + policy)
        pair = ca.ae("Ccrl")
        own = Site(extra_ca=False, settings=[f"tls.ca=pki/ca.crt,{ca.cert}", "tls.crl=pki/ca.crl",
                                             "tls.crl-policy=" + policy])
        try:
            own.start()
            eq((policy, own.probe(*cert_args(pair, "-tls1_3")).served), (policy, missing))
            own.stop_process()
            bad = ca.ae("Cbad")
            ca.revoke(bad[0], crl_seconds=1)
            own.set_config("tls.crl", f"pki/ca.crl,{ca.crl_file}")
            wait_for("the list to end", lambda: crl_ended(ca))
            own.start()
            eq((policy, own.probe(*cert_args(pair, "-tls1_3")).served), (policy, stale))
            eq((policy, own.probe(*cert_args(bad, "-tls1_3")).served), (policy, revoked))
        finally:
            own.stop()
    assert site.probe(*cert_args(cert, "-tls1_3")).served


def crl_ended(ca):
    text = openssl("crl", "-in", ca.crl_file, "-noout", "-nextupdate").stdout.decode().strip().split("=")[1]
    end = datetime.datetime.strptime(text, "%b %d %H:%M:%S %Y GMT")
    return datetime.datetime.utcnow() > end + datetime.timedelta(seconds=0.2)


def a_name_in_sni_that_is_not_served_is_refused_or_gets_the_only_certificate(site):
    cert = site.ca.ae("Csni")
    for name in (CSE_FQDN, None):
        p = site.probe(*cert_args(cert, "-tls1_3"), name=name)
        assert p.served and f"CN={CSE_FQDN}" in p.out.replace(" = ", "="), p
    p = site.probe(*cert_args(cert, "-tls1_3"), name="other.example.org")
    assert not p.served and p.alert == "unrecognized_name" or f"CN={CSE_FQDN}" in p.out.replace(" = ", "="), p


def a_failed_handshake_is_one_line_with_reason_clause_and_remedy(site):
    before = site.log_text().count("tls.handshake_failed")
    site.probe("-psk_identity", KEY_ID, "-psk", secrets.token_hex(32), "-tls1_2")
    wait_for("a line", lambda: site.log_text().count("tls.handshake_failed") > before)
    line = [x for x in site.log_text().splitlines() if "tls.handshake_failed" in x][-1]
    for part in ("peer=", "identity=", KEY_ID, "reason=", "clause=", "remedy=", "TS-0003"):
        assert part in line, (part, line)


provider.main()
