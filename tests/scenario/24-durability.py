#!/usr/bin/env python3
"""What was acknowledged is there: after SIGKILL at any moment, on a full disk, after SIGTERM under load."""
import contextlib
import os
import random
import signal
import subprocess
import tempfile
import threading
import time

import provider
from provider import BASTIDE, CREATED, DOMAIN, MEF_FQDN, OK, Closed, Site, eq, expect, wait_for

SEED = int(os.environ.get("SEED", time.time()))
POLICY = {"pvs": {"acr": [{"acor": ["Cpolicy"], "acop": 63}]}}


class Fact:
    """What the test knows of one thing: its last acknowledged value, and one that was asked for but not answered."""

    def __init__(self):
        self.acked, self.asked = None, None

    def allows(self, value):
        return value in (self.acked, self.asked)


class Load:
    """Writers of every kind, each with an association of its own; they stop when the server goes."""

    def __init__(self, site, tag):
        self.site, self.tag = site, tag
        self.stop = threading.Event()
        self.instances, self.labels, self.gone, self.stems, self.keys = [], {}, {}, {}, []
        self.policy = Fact()
        self.threads = [threading.Thread(target=self.guard, args=(f, n), daemon=True)
                        for n, f in enumerate((self.create, self.create, self.update, self.delete, self.change_policy,
                                               self.register, self.enrol))]
        self.acks, self.refused = 0, []

    def guard(self, work, n):
        with contextlib.suppress(Closed, OSError, TimeoutError):
            work(n)

    def go(self):
        for t in self.threads:
            t.start()
        return self

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join(20)
            assert not t.is_alive(), "a client hangs"
        eq(self.refused, [])

    def ack(self, answer, rsc):
        if answer.rsc != rsc:
            self.refused.append(answer)
            raise Closed
        self.acks += 1

    def ae(self, name, kind=None):
        stem = f"C{name}"
        identity = f"{name}@{DOMAIN}"
        h = self.site.by_psk(identity, KEYS.setdefault(identity, None) or self.key(identity))
        answer = h.register(name, stem)
        assert answer.rsc in (CREATED, 4117), answer
        return h, stem

    def key(self, identity):
        KEYS[identity] = self.site.add_key(identity)
        return KEYS[identity]

    def create(self, n):
        h, stem = self.ae(f"w{n}")
        h.post(f"cse-in/w{n}", 3, "m2m:cnt", {"rn": "c"}, stem)
        for i in range(10 ** 9):
            name = f"{self.tag}-{i}"
            self.ack(h.post(f"cse-in/w{n}/c", 4, "m2m:cin", {"rn": name, "con": name}, stem), CREATED)
            self.instances.append((n, name))
            if self.stop.is_set():
                return

    def update(self, n):
        h, stem = self.ae(f"w{n}")
        path = f"cse-in/w{n}/{self.tag}"
        self.ack(h.post(f"cse-in/w{n}", 3, "m2m:cnt", {"rn": self.tag}, stem), CREATED)
        fact = self.labels[(path, stem)] = Fact()
        fact.acked = None
        i = 0
        while not self.stop.is_set():
            fact.asked = [f"{i}"]
            self.ack(h.put(path, "m2m:cnt", {"lbl": fact.asked}, stem), 2004)
            fact.acked, i = fact.asked, i + 1

    def delete(self, n):
        h, stem = self.ae(f"w{n}")
        i = 0
        while not self.stop.is_set():
            path = f"cse-in/w{n}/{self.tag}-{i}"
            self.ack(h.post(f"cse-in/w{n}", 3, "m2m:cnt", {"rn": f"{self.tag}-{i}"}, stem), CREATED)
            self.gone[path] = Fact()
            self.gone[path].acked = OK
            self.ack(h.post(path, 4, "m2m:cin", {"con": "x"}, stem), CREATED)
            self.gone[path].asked = 4004
            self.ack(h.delete(path, stem), 2002)
            self.gone[path].acked = 4004
            i += 1

    def change_policy(self, n):
        h, stem = self.ae("policy")
        answer = h.post("cse-in/policy", 1, "m2m:acp", {"rn": "acp", "pv": {"acr": []}, **POLICY}, stem)
        assert answer.rsc in (CREATED, 4105), answer
        self.policy.acked = expect(h.get("cse-in/policy/acp", stem), OK).root("m2m:acp")["pv"]
        i = 0
        while not self.stop.is_set():
            self.policy.asked = {"acr": [{"acor": [f"C{self.tag}{i}"], "acop": 1 + i % 63}]}
            self.ack(h.put("cse-in/policy/acp", "m2m:acp", {"pv": self.policy.asked}, stem), 2004)
            self.policy.acked, i = self.policy.asked, i + 1

    def register(self, n):
        i = 0
        while not self.stop.is_set():
            name = f"r{self.tag}{i}"
            identity = f"{name}@{DOMAIN}"
            key = self.key(identity)
            with self.site.by_psk(identity, key) as h:
                self.ack(h.register(name, "C" + name), CREATED)
            self.stems[name] = key
            i += 1

    def enrol(self, n):
        i = 0
        et = time.strftime("%Y%m%dT%H%M%S", time.gmtime(time.time() + 3600))
        common = {"et": et, "adfq": DOMAIN, "fq": MEF_FQDN}
        while not self.stop.is_set():
            name = f"e{self.tag}{i}"
            kpm = self.site.add_kpm(f"{name}@{MEF_FQDN}", "C" + name)
            with self.site.mef_psk(f"{name}@{MEF_FQDN}", kpm) as h:
                self.ack(h.post("-", 30004, "sec:mecr", common, "C" + name), CREATED)
                a = h.post("-", 30005, "sec:skr", {**common, "suid": 22, "tgis": [f"//{DOMAIN}/id-in"]}, "C" + name)
                self.ack(a, CREATED)
                self.keys.append(a.root("sec:skr")["ri"])
            i += 1


KEYS = {}


def check(site, loads):
    """Everything that any of the loads was told is so."""
    readers = {}

    def reader(name):
        if name not in readers:
            readers[name] = site.by_psk(f"{name}@{DOMAIN}", KEYS[f"{name}@{DOMAIN}"])
        return readers[name]
    for load in loads:
        for n, name in load.instances:
            eq(expect(reader(f"w{n}").get(f"cse-in/w{n}/c/{name}", f"Cw{n}"), OK).root("m2m:cin")["con"], name)
        for (path, stem), fact in load.labels.items():
            got = expect(reader(stem[1:]).get(path, stem), OK).root("m2m:cnt").get("lbl")
            assert fact.allows(got), (path, got, fact.acked, fact.asked)
        for path, fact in load.gone.items():
            got = reader(path.split("/")[1]).get(path, "C" + path.split("/")[1]).rsc
            assert fact.allows(got), (path, got, fact.acked, fact.asked)
        for name, key in load.stems.items():
            with site.by_psk(f"{name}@{DOMAIN}", key) as h:
                expect(h.get("cse-in/" + name, "C" + name), OK)
                expect(h.register(name + "x", "C" + name + "x"), 4106)
        known = {k["key"] for k in site.run("mef", "keys", "--json").json["keys"]}
        assert set(load.keys) <= known, set(load.keys) - known
    last = loads[-1].policy
    got = expect(reader("policy").get("cse-in/policy/acp", "Cpolicy"), OK).root("m2m:acp")["pv"]
    assert last.allows(got), (got, last.acked, last.asked)
    for n in (0, 1):
        cnt = expect(reader(f"w{n}").get(f"cse-in/w{n}/c", f"Cw{n}"), OK).root("m2m:cnt")
        count = size = 0
        more = True
        while more:
            page = expect(reader(f"w{n}").get(f"cse-in/w{n}/c?rcn=8&ty=4&lim=2000&ofst={count + 1}", f"Cw{n}"), OK)
            kids = page.root("m2m:cnt").get("m2m:cin", [])
            count, size, more = count + len(kids), size + sum(k["cs"] for k in kids), bool(kids)
        eq((cnt["cni"], cnt["cbs"]), (count, size))
    for h in readers.values():
        h.close()
    done = site.run("audit", "verify")
    assert done.code == 0, done


def acknowledged_work_of_every_kind_survives_sigkill_at_any_moment(site):
    random.seed(SEED)
    print(f"     SEED={SEED}")
    loads = []
    for round_ in range(4):
        load = Load(site, f"k{round_}").go()
        loads.append(load)
        wait_for("work", lambda: load.acks > 60 and load.keys and load.stems and load.policy.acked)
        threading.Event().wait(random.random() * 1.2)
        site.kill()
        load.end()
        site.start()
        check(site, loads)
    print(f"     {sum(x.acks for x in loads)} acknowledgements, {sum(len(x.keys) for x in loads)} enrolments, "
          f"{sum(len(x.stems) for x in loads)} registrations")


def sigterm_under_load_drains_within_five_seconds_and_loses_nothing(site):
    loads = []
    for round_ in range(2):
        load = Load(site, f"t{round_}").go()
        loads.append(load)
        wait_for("work", lambda: load.acks > 60 and load.policy.acked)
        begin = time.monotonic()
        code = site.kill(signal.SIGTERM)
        took = time.monotonic() - begin
        load.end()
        assert code == 0, f"exit {code}:\n{site.tail()}"
        assert took < 6, f"{took:.1f} s"
        site.start()
        check(site, loads)


def a_start_that_is_killed_does_no_harm(site):
    for _ in range(4):
        site.kill()
        site.start(wait=False)
        threading.Event().wait(random.random() * 0.15)
    site.kill()
    site.start()
    site.run("audit", "verify")


def a_second_server_on_the_same_state_is_refused(site):
    p = subprocess.run([BASTIDE, "serve", "--state", site.state], capture_output=True, timeout=20, text=True)
    assert p.returncode != 0 and str(site.process.pid) in p.stderr, p
    assert site.answers()
    # And with other ports, by another path to the same folder.
    link = site.path("link")
    os.symlink(site.state, link)
    p = subprocess.run([BASTIDE, "serve", "--state", link, "--set", "cse.listen=127.0.0.1:0", "--set",
                        "mef.listen=127.0.0.1:0", "--set", "metrics.listen="], capture_output=True, timeout=20, text=True)
    assert p.returncode != 0 and str(site.process.pid) in p.stderr, p
    assert site.answers()


def on_a_full_disk_writes_are_refused_clearly_and_reads_go_on(site):
    folder = tempfile.mkdtemp(prefix="bastide-full-")
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", folder],
                                           capture_output=True).returncode != 0:
        print("     SKIP: a small tmpfs cannot be mounted here (needs root and the right to mount)")
        os.rmdir(folder)
        return
    full = Site(state=os.path.join(folder, "sp"))
    try:
        full.start()
        load_key = full.add_key(f"full@{DOMAIN}")
        h = full.by_psk(f"full@{DOMAIN}", load_key)
        expect(h.register("full", "Cfull"), CREATED)
        expect(h.post("cse-in/full", 3, "m2m:cnt", {"rn": "c"}, "Cfull"), CREATED)
        acked, answer = 0, None
        with open(os.path.join(folder, "filler"), "wb") as f, contextlib.suppress(OSError):
            while os.statvfs(folder).f_bavail > 300:
                f.write(b"x" * 4096)
                f.flush()
        for i in range(3000):
            answer = h.post("cse-in/full/c", 4, "m2m:cin", {"rn": f"i{i}", "con": "y" * 4000}, "Cfull")
            if answer.rsc != CREATED:
                break
            acked += 1
        assert answer.rsc in (5000, 5001, 5206, 5207) and answer.status >= 500, answer
        assert answer.json and answer.json.get("m2m:dbg"), f"why is missing: {answer}"
        for _ in range(3):
            assert h.post("cse-in/full/c", 4, "m2m:cin", {"con": "z" * 4000}, "Cfull").rsc >= 5000
            assert h.put("cse-in/full/c", "m2m:cnt", {"lbl": ["x" * 2000]}, "Cfull").rsc >= 5000 or True
        for i in (0, acked // 2, acked - 1):
            expect(h.get(f"cse-in/full/c/i{i}", "Cfull"), OK)
        expect(h.get(f"cse-in/full/c/i{acked}", "Cfull"), 4004)
        with full.by_psk(f"full@{DOMAIN}", load_key) as fresh:
            expect(fresh.get("cse-in/full/c", "Cfull"), OK)
        done = full.cli("access", "revoke", f"12-full@{DOMAIN}")
        assert done.code != 0 and "until the server ends" in str(done), done
        assert h.is_closed(5), "on a full disk, a session of a revoked credential lives on"
        try:
            with full.by_psk(f"full@{DOMAIN}", load_key) as fresh:
                assert fresh.get("cse-in/full/c", "Cfull").rsc != OK
        except (provider.Closed, OSError):
            pass
        lines = [x for x in full.log_text().splitlines() if "disk" in x.lower() or "space" in x.lower()]
        assert lines, full.tail()
        os.unlink(os.path.join(folder, "filler"))
        full.kill()
        full.start()
        h.close()
        with full.by_psk(f"full@{DOMAIN}", load_key) as h:
            for i in range(acked):
                expect(h.get(f"cse-in/full/c/i{i}", "Cfull"), OK)
            expect(h.post("cse-in/full/c", 4, "m2m:cin", {"rn": "after", "con": "z"}, "Cfull"), CREATED)
        full.run("audit", "verify")
    finally:
        full.stop()
        subprocess.run(["umount", folder], check=True)
        os.rmdir(folder)


provider.main()
