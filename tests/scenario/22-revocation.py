#!/usr/bin/env python3
"""What is no longer trusted ends at once: sessions, tickets, new handshakes. Trust is replaced while serving."""
import shutil
import signal
import ssl
import threading

import provider
from provider import CREATED, CSE_FQDN, DOMAIN, OK, Ca, Closed, eq, expect, openssl, wait_for


def held(site, name):
    """A witness: a kept connection by key that must live through everything."""
    key = site.add_key(f"{name}@{DOMAIN}")
    h = site.by_psk(f"{name}@{DOMAIN}", key)
    expect(h.register(name, "C" + name), CREATED)
    return h


def served(connect, stem):
    """Whether a new association gets an answer."""
    try:
        with connect() as h:
            return h.get("cse-in", stem).status in (200, 403)
    except (Closed, OSError, ssl.SSLError):
        return False


def a_revoked_key_ends_its_sessions_and_opens_no_new_ones(site):
    witness = held(site, "w1")
    key = site.add_key(f"gone@{DOMAIN}")
    links = [site.by_psk(f"gone@{DOMAIN}", key, v) for v in ("-tls1_2", "-tls1_3", "-tls1_2")]
    expect(links[0].register("gone", "Cgone"), CREATED)
    for h in links:
        expect(h.get("cse-in/gone", "Cgone"), OK)
    assert not witness.is_closed(0.1)
    site.run("access", "revoke", f"12-gone@{DOMAIN}", "--reason", "stolen")
    for h in links:
        assert h.is_closed(5), "a session of a revoked credential lives on"
        h.close()
    for version in ("-tls1_2", "-tls1_3"):
        assert not served(lambda: site.by_psk(f"gone@{DOMAIN}", key, version), "Cgone")
    site.restart(signal.SIGKILL)
    assert not served(lambda: site.by_psk(f"gone@{DOMAIN}", key), "Cgone")
    site.run("access", "restore", f"12-gone@{DOMAIN}")
    with site.by_psk(f"gone@{DOMAIN}", key) as h:
        expect(h.get("cse-in/gone", "Cgone"), OK)
    witness.close()
    site.audited("credential.revoked", f"12-gone@{DOMAIN}")


def a_revoked_ae_id_certificate_ends_its_sessions_and_tickets(site):
    witness = held(site, "w2")
    pair, other = site.ca.ae("Cticket"), site.ca.ae("Cother")
    with site.by_cert(pair, version=ssl.TLSVersion.TLSv1_2) as h:
        h.get("cse-in", "Cticket")
        assert not h.stream.sock.session.has_ticket, "tickets of TLS 1.2 travel in clear"
    for _ in range(2):
        context, ok = site.context(pair), site.context(other)
        with site.by_cert(pair, context=context) as h:
            h.get("cse-in", "Cticket")
            session = h.stream.sock.session
        resumed = provider.Http(site.cert_stream(pair, context=context, session=session))
        assert resumed.stream.sock.session_reused, "tickets must work before their end can be tested"
        eq(resumed.get("cse-in", "Cticket").status, 200)
        session = resumed.stream.sock.session
        bystander = site.by_cert(other, context=ok)
        site.run("access", "revoke", f"33-//{DOMAIN}/id-in/Cticket")
        assert resumed.is_closed(5)
        try:
            again = provider.Http(site.cert_stream(pair, context=context, session=session))
            assert again.is_closed(5), again.get("cse-in", "Cticket")
            again.close()
        except (ssl.SSLError, OSError, Closed):
            pass
        assert not served(lambda: site.by_cert(pair), "Cticket")
        eq(bystander.get("cse-in", "Cother").status, 200)
        site.run("access", "restore", f"33-//{DOMAIN}/id-in/Cticket")
        assert served(lambda: site.by_cert(pair), "Cticket")
        bystander.close()
        resumed.close()
    expect(witness.get("cse-in/w2", "Cw2"), OK)
    witness.close()


def a_request_in_work_when_its_credential_is_revoked_is_done_or_not_done_but_never_by_somebody_else(site):
    key = site.add_key(f"busy@{DOMAIN}")
    h = site.by_psk(f"busy@{DOMAIN}", key)
    expect(h.register("busy", "Cbusy"), CREATED)
    acked, stop = [], threading.Event()

    def write():
        try:
            while not stop.is_set():
                a = h.post("cse-in/busy", 3, "m2m:cnt", {"rn": f"c{len(acked)}"}, "Cbusy")
                if a.rsc != CREATED:
                    return
                acked.append(len(acked))
        except Closed:
            pass
    t = threading.Thread(target=write)
    t.start()
    wait_for("some work", lambda: len(acked) > 20)
    site.run("access", "revoke", f"12-busy@{DOMAIN}")
    t.join(10)
    assert not t.is_alive(), "requests of a revoked credential go on"
    stop.set()
    site.run("access", "restore", f"12-busy@{DOMAIN}")
    with site.by_psk(f"busy@{DOMAIN}", key) as again:
        for n in acked:
            expect(again.get(f"cse-in/busy/c{n}", "Cbusy"), OK)
    h.close()


def a_request_that_waits_for_its_time_does_not_outlive_its_credential(site):
    witness = held(site, "w9")
    key = site.add_key(f"later@{DOMAIN}")
    links = [site.by_psk(f"later@{DOMAIN}", key) for _ in range(2)]
    expect(links[0].register("later", "Clater"), CREATED)
    at = {"X-M2M-OET": "2500"}  # ms from now
    links[0].begin("POST", "cse-in/later", "Clater", {"m2m:cnt": {"rn": "blocking"}}, 3, headers=at)
    expect(links[1].post("cse-in/later?rt=1", 3, "m2m:cnt", {"rn": "later"}, "Clater", headers=at), 1001)
    site.run("access", "revoke", f"12-later@{DOMAIN}")
    # Operations begin in the order of their times: when this one is done, those above had theirs.
    expect(witness.post("cse-in/w9", 3, "m2m:cnt", {"rn": "end"}, "Cw9", headers={"X-M2M-OET": "3500"}), CREATED)
    for h in links:
        h.close()
    site.run("access", "restore", f"12-later@{DOMAIN}")
    with site.by_psk(f"later@{DOMAIN}", key) as h:
        expect(h.get("cse-in/later", "Clater"), OK)
        for name in ("blocking", "later"):
            expect(h.get(f"cse-in/later/{name}", "Clater"), 4004)
    witness.close()


def a_certificate_revoked_by_the_project_ca_is_out_at_once(site):
    folder = site.path("lost")
    site.run("access", "certificate", "lost", "--out", folder)
    site.run("device", "register", folder, "--name", "lost", state=False)
    site.run("request", "retrieve", "--profile", folder, "cse-in/lost", state=False)
    done = site.run("access", "revoke-certificate", f"//{DOMAIN}/id-in/Clost")
    assert "1" in done.out, done
    done = site.cli("request", "retrieve", "--profile", folder, "cse-in/lost", state=False)
    assert done.code != 0, done
    site.audited("handshake.failed", lambda r: "revoked" in r.get("detail", ""))
    # The provider's other certificates go on.
    site.run("request", "retrieve", "--profile", site.path("sp/admin"), "cse-in", state=False)


def a_new_revocation_list_is_taken_by_file_watch_and_ends_the_session(site):
    witness = held(site, "w3")
    pair, other = site.ca.ae("Ccrl"), site.ca.ae("Cfine")
    h, fine = site.by_cert(pair), site.by_cert(other)
    context = site.context(pair)
    with site.by_cert(pair, context=context) as t:
        t.get("cse-in", "Ccrl")
        session = t.stream.sock.session
    site.ca.revoke(pair[0])
    assert h.is_closed(10), "the session of a certificate on the list lives on"
    assert not served(lambda: site.by_cert(pair), "Ccrl")
    assert not served(lambda: provider.Http(site.cert_stream(pair, context=context, session=session)), "Ccrl")
    eq(fine.get("cse-in", "Cfine").status, 200)
    eq(witness.get("cse-in/w3", "Cw3").rsc, OK)
    for x in (h, fine, witness):
        x.close()


def a_ca_is_added_and_removed_on_sighup_without_restart(site):
    witness, bystander = held(site, "w4"), site.by_cert(site.ca.ae("Cby"))
    second = Ca(site.dir, "second-ca")
    pair = second.ae("Csecond")
    assert not served(lambda: site.by_cert(pair), "Csecond")
    with open(site.ca.cert) as f:
        first = f.read()
    with open(site.ca.crl_file) as f:
        first_crl = f.read()
    replace(site.ca.crl_file, first_crl + open(second.crl_file).read())
    replace(site.ca.cert, first + open(second.cert).read())
    site.process.send_signal(signal.SIGHUP)
    wait_for("the new CA", lambda: served(lambda: site.by_cert(pair), "Csecond"))
    h = site.by_cert(pair)
    eq(h.get("cse-in", "Csecond").status, 200)
    replace(site.ca.cert, first)
    assert h.is_closed(10), "a session of a CA that is gone lives on"
    assert not served(lambda: site.by_cert(pair), "Csecond")
    replace(site.ca.crl_file, first_crl)
    expect(witness.get("cse-in/w4", "Cw4"), OK)
    eq(bystander.get("cse-in", "Cby").status, 200)
    witness.close()
    bystander.close()
    h.close()


def replace(path, text):
    with open(path + ".new", "w") as f:
        f.write(text)
    shutil.move(path + ".new", path)


def broken_trust_material_changes_nothing(site):
    witness, pair = held(site, "w5"), site.ca.ae("Cgood")
    with open(site.ca.cert) as f:
        good = f.read()
    for bad in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "garbage\0\n", good[:200]):
        before = site.log_text().count("server.reload_failed")
        replace(site.ca.cert, bad)
        wait_for("the failure in the log", lambda: site.log_text().count("server.reload_failed") > before)
        assert served(lambda: site.by_cert(pair), "Cgood")
    replace(site.ca.cert, good)
    expect(witness.get("cse-in/w5", "Cw5"), OK)
    witness.close()


def the_servers_own_certificate_is_replaced_without_restart(site):
    def serial():
        p = site.probe("-tls1_3")
        return p.out[p.out.index("-----BEGIN CERTIFICATE-----"):p.out.index("-----END CERTIFICATE-----")]
    before, witness = serial(), held(site, "w6")
    bystander = site.by_cert(site.ca.ae("Cown"))
    spki = openssl("x509", "-in", site.path("sp/pki/cse.pem"), "-noout", "-pubkey").stdout.decode()
    spki64 = "".join(spki.splitlines()[1:-1])
    new = site.admin("certify", name=CSE_FQDN, flavour="fqdn", spki=spki64)
    replace(site.path("sp/pki/cse.pem"), new["certificate"])
    wait_for("the new certificate", lambda: serial() != before)
    expect(witness.get("cse-in/w6", "Cw6"), OK)
    eq(bystander.get("cse-in", "Cown").status, 200)
    witness.close()
    bystander.close()


def reloads_under_load_disturb_nobody(site):
    """Handshakes of every kind, keys on their way from the MEF, and kept connections while trust is replaced."""
    witness, pair = held(site, "w7"), site.ca.ae("Cload")
    kept = site.by_cert(pair)
    key = site.add_key(f"load@{DOMAIN}")
    stop, failed, done = threading.Event(), [], [0, 0, 0]

    def repeat(n, work):
        while not stop.is_set():
            try:
                work(done[n])
                done[n] += 1
            except Exception as e:  # noqa: BLE001  (told in the other thread)
                failed.append((n, repr(e)))
                return

    def by_cert(i):
        with site.by_cert(pair) as h:
            eq(h.get("cse-in", "Cload").status, 200)

    def by_psk(i):
        with site.by_psk(f"load@{DOMAIN}", key) as h:
            expect(h.get("cse-in", "Cload"), 4106)

    def unknown(i):
        assert not site.probe("-psk_identity", f"{i:032X}@mef.{DOMAIN}", "-psk", "aa" * 32, "-tls1_2").served
    threads = [threading.Thread(target=repeat, args=(n, w)) for n, w in enumerate((by_cert, by_psk, unknown))]
    for t in threads:
        t.start()
    for _ in range(60):
        site.process.send_signal(signal.SIGHUP)
        threading.Event().wait(0.03)
        eq(kept.get("cse-in", "Cload").status, 200)
        expect(witness.get("cse-in/w7", "Cw7"), OK)
    stop.set()
    for t in threads:
        t.join(30)
    eq(failed, [])
    print(f"     {done[0]} handshakes by certificate, {done[1]} by key, {done[2]} look-ups at the MEF meanwhile")
    assert min(done) > 3, done
    kept.close()
    witness.close()


def a_mef_client_that_is_revoked_loses_its_keys_at_the_cse_too(site):
    folder = site.enrolled("stolen")
    site.run("device", "register", folder, "--name", "stolen", state=False)
    other = site.enrolled("honest")
    site.run("device", "register", other, "--name", "honest", state=False)
    done = site.run("mef", "revoke", f"10-stolen@mef.{DOMAIN}", "--json")
    eq(done.json["keys"], 1)
    for words in (("request", "retrieve", "--profile", folder, "cse-in/stolen"), ("device", "enrol", folder)):
        assert site.cli(*words, state=False).code != 0, words
    site.run("request", "retrieve", "--profile", other, "cse-in/honest", state=False)


provider.main()
