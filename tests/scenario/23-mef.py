#!/usr/bin/env python3
"""TS-0003 8.3.5, 10.3: the MEF gives keys to those they are meant for; a MEF that is silent holds up one handshake."""
import base64
import secrets
import socket
import threading
import time

import provider
from provider import CREATED, CSE_FQDN, DOMAIN, MEF_FQDN, OK, Closed, Site, eq, expect, wait_for

CSE_ID = f"//{DOMAIN}/id-in"
REG, KEY = 30004, 30005
DEAD = "dead.example.net"


def later(seconds=3600):
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime(time.time() + seconds))


class Client:
    """A MEF client: its pre-provisioned key, and requests over sessions that each prove it."""

    def __init__(self, site, name):
        self.site, self.name, self.stem = site, name, "C" + name
        self.kpm_id = f"{name}@{MEF_FQDN}"
        self.kpm = site.add_kpm(self.kpm_id, self.stem)

    def session(self):
        return self.site.mef_psk(self.kpm_id, self.kpm)

    def register(self, h, **changes):
        return h.post("-", REG, "sec:mecr", drop({"et": later(), "adfq": DOMAIN, "fq": MEF_FQDN, **changes}), self.stem)

    def key(self, h, targets=(CSE_ID,), suid=22, **changes):
        return h.post("-", KEY, "sec:skr", drop({"et": later(), "adfq": DOMAIN, "fq": MEF_FQDN, "suid": suid,
                                                 "tgis": list(targets), **changes}), self.stem)

    def registered(self):
        h = self.session()
        expect(self.register(h), CREATED)
        return h


def drop(members):
    return {k: v for k, v in members.items() if v is not None}


def made(answer):
    return expect(answer, CREATED).root("sec:skr")["ri"]


def a_device_is_enrolled_and_its_key_opens_an_association(site):
    folder = site.enrolled("whole")
    site.run("device", "register", folder, "--name", "whole", state=False)
    keys = site.run("mef", "keys", "--json").json["keys"]
    eq([k["suid"] for k in keys if "Cwhole" in k["source"]], [22])
    assert "key.fetched" in site.log_text()


def a_target_gets_only_keys_that_are_meant_for_it(site):
    a, b, c = (Client(site, n) for n in ("src", "tgt", "spy"))
    h, target, spy = a.registered(), b.registered(), c.registered()
    value = "A" * 42 + "E="
    ri = made(a.key(h, [f"{CSE_ID}/Ctgt"], 23, kv=value))
    got = expect(target.get("-/" + ri, b.stem), OK).root("sec:skr")
    eq(got["kv"], value)
    assert "tgis" not in got, got
    own = expect(h.get("-/" + ri, a.stem), OK).root("sec:skr")
    assert "kv" not in own, "the source has its key"
    for claim in (c.stem, b.stem, "CAdmin", CSE_ID, f"{CSE_ID}/Ctgt", "/id-in"):
        answer = spy.get("-/" + ri, claim)
        assert answer.rsc in (4103, 4106, 4107, 4004) and b"kv" not in answer.body, (claim, answer)
    # Nor through the older address, nor in another spelling.
    for path in (f"-/fetchCredentials/{ri}@{MEF_FQDN}/23", "-/" + ri.lower(), "mef/" + ri, ri):
        answer = spy.get(path, c.stem)
        assert answer.rsc != OK, (path, answer)
    answer = target.get(f"-/fetchCredentials/{ri}@{MEF_FQDN}/22", b.stem)
    assert answer.rsc != OK, answer
    # By certificate the CSE is itself, and no target of this key.
    site.admin("mef-provision-certificate", name=f"{CSE_ID}/Ccertspy", flavour="ae", client=f"{CSE_ID}/Ccertspy")
    with site.by_cert(site.ca.ae("Ccertspy"), port=site.mef_port, name=MEF_FQDN) as h2:
        expect(h2.get("-/" + ri, "Ccertspy"), 4103)
    for x in (h, target, spy):
        x.close()


def only_the_source_changes_and_deletes_a_key(site):
    a, b = Client(site, "own"), Client(site, "other")
    h, o = a.registered(), b.registered()
    ri = made(a.key(h, [f"{CSE_ID}/Cother"], 23, kv="A" * 43 + "="))
    for answer in (o.put("-/" + ri, "sec:skr", {"lbl": ["x"]}, b.stem), o.delete("-/" + ri, b.stem),
                   o.put("-/" + ri, "sec:skr", {"tgis": [f"{CSE_ID}/Cown"]}, b.stem)):
        expect(answer, 4103)
    expect(h.put("-/" + ri, "sec:skr", {"tgis": [f"{CSE_ID}/Cthird"]}, a.stem), 2004)
    expect(o.get("-/" + ri, b.stem), 4103)
    expect(h.put("-/" + ri, "sec:skr", {"tgis": [f"{CSE_ID}/Cother"]}, a.stem), 2004)
    expect(o.get("-/" + ri, b.stem), OK)
    for content in ({"suid": 22}, {"kv": "A" * 43 + "="}, {"cr": "Cother"}, {"adfq": "x.example.org"}, {}):
        expect(h.put("-/" + ri, "sec:skr", content, a.stem), 4000)
    expect(h.delete("-/" + ri, a.stem), 2002)
    expect(o.get("-/" + ri, b.stem), 4004)
    expect(h.delete("-/" + ri, a.stem), 4004)
    h.close()
    o.close()


def keys_and_registrations_end_with_their_time(site):
    a, b = Client(site, "brief"), Client(site, "reader")
    h, o = a.registered(), b.registered()
    ri = made(a.key(h, [f"{CSE_ID}/Creader"], 23, kv="A" * 43 + "=", et=later(2)))
    expect(o.get("-/" + ri, b.stem), OK)
    wait_for("the key to end", lambda: o.get("-/" + ri, b.stem).rsc == 4004)
    expect(a.key(h, [f"{CSE_ID}/Creader"], 23, kv="A" * 43 + "=", et="20200101T000000"), 4000)
    # With the registration go its keys.
    reg = expect(b.session().get("-", b.stem), OK)
    assert reg.root("sec:mefb"), reg
    h.close()
    o.close()


def kept_key(client, h, **changes):
    """A key that the test knows, and its identity at the CSE."""
    value = secrets.token_bytes(32)
    ri = made(client.key(h, kv=base64.b64encode(value).decode(), **changes))
    return f"{ri}@{MEF_FQDN}", value


def a_key_has_one_name_only(site):
    a = Client(site, "spelled")
    h = a.registered()
    identity, value = kept_key(a, h)
    with site.by_psk(identity, value) as good:
        expect(good.register("spelled", "Cspelled"), CREATED)
    relative, fqdn = identity.split("@")
    for other in (f"{relative.lower()}@{fqdn}", f"{relative}@{fqdn.upper()}"):
        # Another spelling would be another Credential-ID, one that no revocation names.
        try:
            with site.by_psk(other, value) as h2:
                answer = h2.get("cse-in", "Cspelled")
            raise AssertionError(f"{other} was served: {answer}")
        except (Closed, OSError):
            pass
    h.close()


def a_key_that_ends_takes_its_open_association_along(site):
    a = Client(site, "ending")
    h = a.registered()
    identity, value = kept_key(a, h, et=later(6))
    link = site.by_psk(identity, value)
    expect(link.register("ending", "Cending"), CREATED)
    expect(link.get("cse-in/ending", "Cending"), OK)
    wait_for("the end of the association", lambda: link.get("cse-in/ending", "Cending").rsc == 4107, 15)
    link.close()
    h.close()


def a_session_gives_one_exported_key(site):
    a = Client(site, "export")
    h = a.registered()
    first = made(a.key(h))
    expect(a.key(h), 4105)
    with a.session() as second:
        other = made(a.key(second))
        assert other != first
        expect(a.key(second), 4105)
        # After an end of that key too: the export would be the same bytes.
        expect(second.delete("-/" + other, a.stem), 2002)
        expect(a.key(second), 4105)
    h.close()


def each_wrong_attribute_has_its_code(site):
    a = Client(site, "wrong")
    with a.session() as h:
        expect(a.key(h), 4103)
        for change, rsc in (({"adfq": "other.example.org"}, 4103), ({"adfq": "-bad-"}, 4000), ({"adfq": None}, 4000),
                            ({"fq": "mef.other.example.org"}, 4000), ({"fq": None}, 4000), ({"et": None}, 4000),
                            ({"et": "20200101T000000"}, 4000), ({"et": "tomorrow"}, 4000), ({"xyz": 1}, 4000),
                            ({"suid": 22}, 4000), ({"cr": "Cother"}, 4000)):
            expect(a.register(h, **change), rsc)
        expect(a.register(h), CREATED)
        expect(a.register(h), 4117)
        for change, rsc in (({"suid": 10}, 4102), ({"suid": 12}, 4102), ({"suid": 42}, 4102), ({"suid": -1}, 4102),
                            ({"suid": "22"}, 4000), ({"suid": None}, 4000), ({"targets": []}, 4102),
                            ({"targets": [CSE_ID, f"{CSE_ID}/Cx"]}, 4102), ({"targets": ["Cx"]}, 4102),
                            ({"targets": ["/id-in"]}, 4102), ({"targets": ["//"]}, 4102), ({"targets": [7]}, 4000),
                            ({"kv": "zz"}, 4000), ({"kv": ""}, 4000), ({"kv": 5}, 4000), ({"kv": "A" * 4000}, 4000),
                            ({"adfq": "other.example.org"}, 4103), ({"fq": "other.example.org"}, 4000),
                            ({"et": "20200101T000000"}, 4000), ({"lbl": "x"}, 4000)):
            answer = a.key(h, **change)
            assert answer.rsc == rsc or (rsc in (4000, 4102) and answer.rsc in (4000, 4102)), (change, answer)
        for method, to, rsc in (("GET", "-/" + "A" * 32, 4004), ("GET", "-/../x", 4004), ("DELETE", "-", 4005),
                                ("PUT", "-", 4005), ("GET", "nothing/here", 4004), ("GET", "-/" + "B" * 300, 4004)):
            answer = h.send(method, to, a.stem, {"sec:mecr": {"lbl": ["x"]}} if method == "PUT" else None)
            assert answer.rsc in (rsc, 4000), (method, to, answer)
        eq(len([k for k in site.run("mef", "keys", "--json").json["keys"] if "Cwrong" in k["source"]]), 0)
        # From must be the client that the session proved.
        for claim in ("CAdmin", "Csrc", "/id-in", CSE_ID, f"{CSE_ID}/Csrc"):
            answer = h.post("-", REG, "sec:mecr", {"et": later(), "adfq": DOMAIN, "fq": MEF_FQDN}, claim)
            assert answer.rsc in (4103, 4106, 4107), (claim, answer)


def a_certificate_the_mef_does_not_know_gets_nothing(site):
    with site.by_cert(site.ca.ae("Cunknown"), port=site.mef_port, name=MEF_FQDN) as h:
        for answer in (h.get("-", "Cunknown"),
                       h.post("-", REG, "sec:mecr", {"et": later(), "adfq": DOMAIN, "fq": MEF_FQDN}, "Cunknown")):
            assert answer.rsc in (4103, 4106, 4107), answer


def identities_of_mefs_that_are_not_configured_are_never_asked_about(site):
    """A name in an identity must not make the CSE dial somewhere."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.2)
        port = trap.getsockname()[1]
        for identity in ("A" * 32 + "@localhost", "A" * 32 + "@mef.other.example.org", "A" * 32 + "@127.0.0.1",
                         f"{'A' * 32}@localhost:{port}", "x@" + "a." * 100 + "example"):
            p = site.probe("-psk_identity", identity, "-psk", "aa" * 32, "-tls1_2")
            assert not p.served, p
        try:
            trap.accept()
            raise AssertionError("the CSE dialled where an identity told it to")
        except TimeoutError:
            pass
    text = site.log_text()
    assert "is not a configured MEF" in text, text[-2000:]


def what_a_mef_does_not_know_is_not_asked_for_again(site):
    identity = "0123456789ABCDEF0123456789ABCDEF@" + MEF_FQDN
    before = site.metric(r'key_lookups_total.*missing')

    def fetches():
        return sum(1 for x in site.log_text().splitlines() if "key.fetched" in x and identity in x)
    for _ in range(5):
        assert not site.probe("-psk_identity", identity, "-psk", "aa" * 32, "-tls1_2").served
    eq(fetches(), 1)
    assert site.metric(r'key_lookups_total.*missing') > before


def a_key_that_was_deleted_ends_with_its_time_in_the_cache(site):
    own = Site(settings=["enrolment.keep-s=1"])
    try:
        own.start()
        folder = own.enrolled("cached")
        own.run("device", "register", folder, "--name", "cached", state=False)
        key = own.run("mef", "keys", "--json").json["keys"][0]["key"]
        own.run("mef", "revoke", f"10-cached@{MEF_FQDN}")
        assert key
        wait_for("the key to end", lambda: own.cli("request", "retrieve", "--profile", folder, "cse-in/cached",
                                                   state=False).code != 0)
    finally:
        own.stop()


class DeadMef:
    """Accepts connections and never says a word."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.accepted = []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                self.accepted.append(self.server.accept()[0])
            except OSError:
                return

    def close(self):
        self.server.close()
        for s in self.accepted:
            s.close()


def a_mef_that_does_not_answer_holds_up_only_who_waits_for_it(site):
    dead = DeadMef()
    own = Site(settings=["enrolment.lookup-ms=3000", "enrolment.lookups-per-peer=3", "workers=1"])
    with open(own.path("sp/bastide.yaml")) as f:
        text = f.read()
    with open(own.path("sp/bastide.yaml"), "w") as f:
        entry = f"  servers:\n    - fqdn: {DEAD}\n      address: 127.0.0.1:{dead.port}\n"
        f.write(text.replace("enrolment:\n", "enrolment:\n" + entry))
    try:
        own.start()
        key = own.add_key(f"quick@{DOMAIN}")
        quick = own.by_psk(f"quick@{DOMAIN}", key)
        expect(quick.register("quick", "Cquick"), CREATED)
        results = {}

        def wait(name, identity, version):
            begin = time.monotonic()
            p = own.probe("-psk_identity", identity, "-psk", "aa" * 32, version)
            results[name] = (p, time.monotonic() - begin)
        same = "1" * 32 + "@" + DEAD
        waiting = [("a", same, "-tls1_2"), ("b", same, "-tls1_3"), ("c", same, "-tls1_2"),
                   ("d", "2" * 32 + "@" + DEAD, "-tls1_2")]
        threads = [threading.Thread(target=wait, args=w) for w in waiting]
        for t in threads:
            t.start()
        wait_for("the CSE to dial", lambda: dead.accepted)
        slowest, n = 0, 0
        while any(t.is_alive() for t in threads):
            begin = time.monotonic()
            expect(quick.get("cse-in/quick", "Cquick"), OK)
            slowest, n = max(slowest, time.monotonic() - begin), n + 1
            if n == 20:
                with own.by_psk(f"quick@{DOMAIN}", key) as fresh:
                    expect(fresh.get("cse-in/quick", "Cquick"), OK)
                assert len(results) < len(waiting), "the others were to be waiting still"
        for t in threads:
            t.join()
        print(f"     {n} requests meanwhile, the slowest took {slowest * 1000:.0f} ms")
        assert n >= 20 and slowest < 1.5, (n, slowest)
        for name, (p, took) in results.items():
            assert not p.served and p.alert, (name, p)
            assert took < 8, (name, took)
        assert len(dead.accepted) <= 2, "two identities are two flights, whoever waits for them"
        # A wrong key and a silent MEF look the same.
        wrong = own.probe("-psk_identity", f"quick@{DOMAIN}", "-psk", "aa" * 32, "-tls1_2")
        eq(results["a"][0].alert, wrong.alert)
        # More different keys than one peer may have looked up at a time are refused at once.
        many = [threading.Thread(target=wait, args=(f"m{i}", f"{i:032d}@{DEAD}", "-tls1_2")) for i in range(6)]
        for t in many:
            t.start()
        for t in many:
            t.join()
        quickly = [n for n, (p, took) in results.items() if n.startswith("m") and took < 1.5]
        eq(len(quickly), 3)
        quick.close()
    finally:
        own.stop()
        dead.close()


provider.main()
