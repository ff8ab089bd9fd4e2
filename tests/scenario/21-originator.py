#!/usr/bin/env python3
"""TS-0003 7.2.1, 8.2.1; TS-0004 7.3.2.1: From is what the association proved; nothing in a request changes it."""
import ssl
import threading

import provider
from provider import CREATED, DOMAIN, OK, eq, expect

OWN = f"//{DOMAIN}/id-in/"


def bindings(of):
    """(name of the binding, its AE-ID-Stem, function that opens a connection), each registered."""
    if not hasattr(of, "bound"):
        key = of.add_key(f"bound@{DOMAIN}")
        pair = of.ca.ae("Ccert")
        of.bound = [("key 1.2", "Ckey", lambda: of.by_psk(f"bound@{DOMAIN}", key)),
                      ("key 1.3", "Ckey", lambda: of.by_psk(f"bound@{DOMAIN}", key, "-tls1_3")),
                      ("certificate 1.2", "Ccert", lambda: of.by_cert(pair, version=ssl.TLSVersion.TLSv1_2)),
                      ("certificate 1.3", "Ccert", lambda: of.by_cert(pair, version=ssl.TLSVersion.TLSv1_3))]
        for i in (0, 2):
            with of.bound[i][2]() as h:
                expect(h.register("ae-" + of.bound[i][1], of.bound[i][1]), CREATED)
        victim = of.add_key(f"victim@{DOMAIN}")
        of.victim = of.by_psk(f"victim@{DOMAIN}", victim)
        expect(of.victim.register("ae-victim", "Cvictim"), CREATED)
    return of.bound


def from_is_bound_to_the_credential_for_every_kind_of_association(site):
    claims = ["Cvictim", OWN + "Cvictim", "/id-in/Cvictim", "CAdmin", OWN + "CAdmin", "Cnobody", "Snobody", "/id-in",
              "//" + DOMAIN + "/id-in", "/other-cse", "//other.example.org/cse/Cx", "*", "C*", "all",
              "Cvictim ", "Cvictim,Ckey", "Ckey/../Cvictim", "ckey", "Ckey%20"]
    for name, stem, connect in bindings(site):
        with connect() as h:
            own = expect(h.get("cse-in/ae-" + stem, stem), OK)
            eq(own.root("m2m:ae")["aei"], stem)
            for claim in claims:
                for answer in (h.get("cse-in/ae-victim", claim), h.get("cse-in", claim),
                               h.post("cse-in/ae-victim", 3, "m2m:cnt", {}, claim)):
                    assert answer.rsc in (4000, 4106), (name, claim, answer)
            expect(h.get("cse-in/ae-" + stem, None), 4000)
            expect(h.get("cse-in/ae-" + stem, ""), 4000)
            # And still who it was.
            expect(h.get("cse-in/ae-" + stem, stem), OK)


def nothing_else_in_a_request_makes_somebody_else_of_it(site):
    content = {"m2m:cnt": {"cr": None, "lbl": ["x"]}}
    for name, stem, connect in bindings(site):
        with connect() as h:
            for headers in ({"X-M2M-From": "Cvictim"}, {"Authorization": "Basic Q3ZpY3RpbTp4"}, {"Cookie": "fr=Cvictim"},
                            {"X-Forwarded-For": "10.0.0.1", "Forwarded": "for=10.0.0.1", "X-Real-IP": "10.0.0.1"},
                            {"X-SSL-Client-S-DN": "CN=Cvictim", "X-Client-Cert": "Cvictim"},
                            {"X-M2M-RID": "1@role"}, {"X-M2M-RTU": "http://127.0.0.1:1/"}):
                answer = h.get("cse-in/ae-victim", stem, headers=headers)
                assert answer.rsc in (4103, 4000, 4105, 4102), (name, headers, answer)
            for query in ("?fr=Cvictim", "?from=Cvictim", "?X-M2M-Origin=Cvictim", "?rids=x"):
                answer = h.get("cse-in/ae-victim" + query, stem)
                assert answer.rsc in (4103, 4000, 4102), (name, query, answer)
            answer = h.send("POST", "cse-in/ae-" + stem, stem, content, ty=3)
            assert answer.rsc in (4000, 4102) or answer.root("m2m:cnt")["cr"] != "Cvictim", answer
            made = h.post("cse-in/ae-" + stem, 3, "m2m:cnt", {"cr": "Cvictim"}, stem)
            assert made.rsc != CREATED, made
            # Two From headers are ambiguous, whichever comes first.
            h.stream.send((f"GET /cse-in/ae-victim HTTP/1.1\r\nHost: x\r\nX-M2M-RI: 1\r\nX-M2M-RVI: 3\r\n"
                           f"X-M2M-Origin: {stem}\r\nX-M2M-Origin: Cvictim\r\n\r\n").encode())
            assert h.read().status in (400, 403), name


def a_primitive_in_the_body_cannot_speak_for_somebody_else(site):
    for name, stem, connect in bindings(site):
        with connect() as h:
            body = {"m2m:rqp": {"op": 2, "fr": "Cvictim", "to": "cse-in/ae-victim", "rqi": "1", "rvi": "3"}}
            for ty in (None, 17):
                answer = h.send("POST", "cse-in", stem, body, ty=ty)
                assert answer.rsc not in (OK, CREATED), (name, answer)


def an_unbound_credential_can_only_register_one_ae(site):
    key = site.add_key(f"fresh@{DOMAIN}")
    with site.by_psk(f"fresh@{DOMAIN}", key) as h:
        for answer in (h.get("cse-in", "Cfresh"), h.post("cse-in", 3, "m2m:cnt", {}, "Cfresh"),
                       h.get("cse-in?fu=1", "Cfresh"), h.put("cse-in", "m2m:cb", {"lbl": ["x"]}, "Cfresh"),
                       h.delete("cse-in/ae-victim", "Cfresh"),
                       h.send("POST", "cse-in", "Cfresh", {"m2m:acp": {"pv": {}, "pvs": {}}}, ty=1)):
            expect(answer, 4106)
        expect(h.register("fresh", "Cfresh"), CREATED)
        expect(h.get("cse-in/fresh", "Cfresh"), OK)
        for claim in ("Cfresh2", "C", "S", None, "Sfresh"):
            answer = h.register("fresh2", claim)
            assert answer.rsc in (4106, 4117), (claim, answer)
        expect(h.get("cse-in/fresh", "Cfresh"), OK)
    with site.by_psk(f"fresh@{DOMAIN}", key, "-tls1_3") as h:
        expect(h.register("fresh3", "Cfresh3"), 4106)


def registrations_at_the_same_moment_bind_one_ae(site):
    key = site.add_key(f"race@{DOMAIN}")
    links = [site.by_psk(f"race@{DOMAIN}", key) for _ in range(8)]
    answers = [None] * len(links)
    ready = threading.Barrier(len(links))
    for h in links:
        expect(h.get("cse-in", "Crace"), 4106)

    def go(i):
        ready.wait()
        answers[i] = links[i].register(f"race{i}", f"Crace{i}")
    threads = [threading.Thread(target=go, args=(i,)) for i in range(len(links))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for h in links:
        h.close()
    eq(sorted(a.rsc for a in answers), [CREATED] + [4106] * (len(links) - 1))


def the_administrators_and_other_certificates_names_cannot_be_registered_with_a_key(site):
    key = site.add_key(f"climber@{DOMAIN}")
    with site.by_psk(f"climber@{DOMAIN}", key) as h:
        for claim in ("CAdmin", OWN + "CAdmin", "/id-in/CAdmin"):
            answer = h.register("climber", claim)
            assert answer.rsc != CREATED, (claim, answer)
        expect(h.get("cse-in", "CAdmin"), 4106)
        site.run("access", "certificate", "holder", "--out", site.path("holder"))
        expect(h.register("climber", "Cholder"), 4106)
        for claim in ("id-in", "/id-in", f"//{DOMAIN}/id-in", "//other.example.org/x/Cy", "/other/Cy", "Xclimber"):
            answer = h.register("climber", claim)
            assert answer.rsc in (4000, 4106, 4107), (claim, answer)


def another_credential_cannot_take_an_ae_id_while_it_is_registered(site):
    key = site.add_key(f"taker@{DOMAIN}")
    with site.by_psk(f"taker@{DOMAIN}", key) as h:
        for claim in ("Cvictim", "Ccert"):
            expect(h.register("taker", claim), 4117)
        expect(h.get("cse-in/ae-victim", "Cvictim"), 4106)
        expect(h.register("taker", "Ctaker"), CREATED)
    with site.by_cert(site.ca.ae("Cvictim2")) as h:
        expect(h.register("taker2", "Cvictim"), 4106)


def a_binding_persists_over_restarts_and_ends_with_deregistration(site):
    bindings(site)
    site.victim.close()
    key, other = site.add_key(f"stay@{DOMAIN}"), site.add_key(f"next@{DOMAIN}")
    with site.by_psk(f"stay@{DOMAIN}", key) as h:
        expect(h.register("stay", "Cstay"), CREATED)
    for how in (provider.signal.SIGTERM, provider.signal.SIGKILL):
        site.restart(how)
        with site.by_psk(f"stay@{DOMAIN}", key) as h:
            expect(h.get("cse-in/stay", "Cstay"), OK)
            expect(h.register("stay2", "Cstay2"), 4106)
    h = site.by_psk(f"stay@{DOMAIN}", key)
    second = site.by_psk(f"stay@{DOMAIN}", key)
    expect(second.get("cse-in/stay", "Cstay"), OK)
    expect(h.delete("cse-in/stay", "Cstay"), 2002)
    expect(second.get("cse-in", "Cstay"), 4106)
    expect(h.get("cse-in", "Cstay"), 4106)
    with site.by_psk(f"next@{DOMAIN}", other) as n:
        expect(n.register("stay", "Cstay"), 4106)  # kept for who had it, until the operator frees it
        site.run("access", "free", "Cstay")
        assert site.cli("access", "free", "Cstay").code != 0
        expect(n.register("stay", "Cstay"), CREATED)
        expect(second.get("cse-in/stay", "Cstay"), 4106)
        expect(second.register("again", "Cagain"), CREATED)
    h.close()
    second.close()
    site.audited("ae.freed", "Cstay")


def an_ae_id_is_kept_for_the_credential_that_had_it_and_each_keeps_one(site):
    key, other = site.add_key(f"keep@{DOMAIN}"), site.add_key(f"thief@{DOMAIN}")
    with site.by_psk(f"keep@{DOMAIN}", key) as h, site.by_psk(f"thief@{DOMAIN}", other) as thief:
        expect(h.register("keep", "Ckeep"), CREATED)
        expect(h.delete("cse-in/keep", "Ckeep"), 2002)
        expect(thief.register("keep", "Ckeep"), 4106)
        expect(h.register("keep", "Ckeep"), CREATED)
        expect(h.delete("cse-in/keep", "Ckeep"), 2002)
        expect(h.register("keep2", "Ckeep2"), CREATED)
        expect(thief.register("keep", "Ckeep"), 4106)
        expect(h.delete("cse-in/keep2", "Ckeep2"), 2002)
        expect(thief.register("keep2", "Ckeep2"), 4106)
        expect(thief.register("keep", "Ckeep"), CREATED)


def other_sessions_of_a_credential_know_of_its_registration_once_it_is_answered(site):
    key = site.add_key(f"many@{DOMAIN}")
    mine, *others = [site.by_psk(f"many@{DOMAIN}", key) for _ in range(4)]
    registered, late, stop = [False], [], threading.Event()

    def ask(h):
        while not stop.is_set():
            known = registered[0]
            answer = h.get("cse-in/many", "Cmany")
            if known and registered[0] and answer.rsc != OK:
                late.append(answer)
    threads = [threading.Thread(target=ask, args=(h,)) for h in others]
    for t in threads:
        t.start()
    for _ in range(150):
        expect(mine.register("many", "Cmany"), CREATED)
        registered[0] = True
        expect(mine.get("cse-in/many", "Cmany"), OK)
        expect(mine.get("cse-in/many", "Cmany"), OK)
        registered[0] = False
        expect(mine.delete("cse-in/many", "Cmany"), 2002)
    stop.set()
    for t in threads:
        t.join()
    for h in (mine, *others):
        h.close()
    eq(late, [])


def an_ae_that_expires_gives_its_binding_back(site):
    key = site.add_key(f"short@{DOMAIN}")
    with site.by_psk(f"short@{DOMAIN}", key) as h:
        until = provider.time.strftime("%Y%m%dT%H%M%S", provider.time.gmtime(provider.time.time() + 2))
        expect(h.register("short", "Cshort", et=until), CREATED)
        provider.wait_for("the AE to expire", lambda: h.get("cse-in/short", "Cshort").rsc != OK)
        provider.wait_for("the binding to end", lambda: h.register("short2", "Cshort2").rsc == CREATED)


def node_and_device_certificates_stand_for_what_they_registered(site):
    for n, san in ((1, "URI:urn:gsma:imei:90420156-025763-0"),
                   (2, "otherName:1.3.6.1.4.1.99999.1;UTF8:instance-7")):
        pair = site.ca.issue(f"dev{n}", san)
        with site.by_cert(pair) as h:
            expect(h.get("cse-in", f"Cdev{n}"), 4106)
            expect(h.register(f"dev{n}", f"Cdev{n}"), CREATED)
            expect(h.get(f"cse-in/dev{n}", f"Cdev{n}"), OK)
            expect(h.get(f"cse-in/dev{n}", "Cvictim"), 4106)
        # The same name in another certificate is the same credential; another name is not.
        with site.by_cert(site.ca.issue(f"again{n}", san)) as h:
            expect(h.get(f"cse-in/dev{n}", f"Cdev{n}"), OK)
        with site.by_cert(site.ca.issue(f"other{n}", san[:-1] + "8")) as h:
            expect(h.get(f"cse-in/dev{n}", f"Cdev{n}"), 4106)


def a_cse_speaks_for_itself_and_never_for_an_ae_registered_here(site):
    with site.by_cert(site.ca.issue("mn", f"DNS:mn1.id-in.{DOMAIN}")) as h:
        for claim in ("Cvictim", OWN + "Cvictim", "/id-in/Cvictim", "/id-in", "CAdmin"):
            answer = h.get("cse-in/ae-victim", claim)
            assert answer.rsc in (4106, 4000), (claim, answer)
        # Its own id is proved, and then the policies decide.
        expect(h.get("cse-in/ae-victim", "/mn1"), 4103)
        expect(h.register("mnae", "Cmnae"), 4106)


def a_hello_with_key_and_certificate_stands_for_the_one_that_was_used(site):
    key, pair = site.add_key(f"both@{DOMAIN}"), site.ca.ae("Cbothcert")
    with site.by_psk(f"both@{DOMAIN}", key) as h:
        expect(h.register("both", "Cboth"), CREATED)
    with site.by_cert(pair) as h:
        expect(h.register("bothcert", "Cbothcert"), CREATED)
    more = ["-cert", pair[0], "-key", pair[1]]
    for version in ("-tls1_2", "-tls1_3"):
        with site.by_psk(f"both@{DOMAIN}", key, version, more=more) as h:
            who = {s: h.get("cse-in/" + s[1:], s).rsc for s in ("Cboth", "Cbothcert")}
            eq(sorted(who.values()), [OK, 4106])
    # An unknown identity falls into the certificate path of TLS 1.3: it is the certificate then, or nothing.
    with site.by_psk(f"unknown@{DOMAIN}", key, "-tls1_3", more=more) as h:
        try:
            expect(h.get("cse-in/both", "Cboth"), 4106)
            expect(h.get("cse-in/bothcert", "Cbothcert"), OK)
        except provider.Closed:
            pass


def each_refusal_has_its_reason_on_the_audit_trail(site):
    name, stem, connect = bindings(site)[0]
    with connect() as h:
        expect(h.get("cse-in/audit-me", "Cvictim"), 4106)
    r = site.audited("request.refused", "cse-in/audit-me")
    eq((r["subject"], r["rsc"], r["decision"]), ("Cvictim", 4106, "denied"))
    assert "stands for" in r["detail"] and r["clause"], r


provider.main()
