#!/usr/bin/env python3
"""TS-0004 7.4.8, 7.5.1.2: subscriptions and notifications."""
import lab
from lab import CIN, CNT, CREATED, DELETED, OK, SUB, UPDATED, Listener, eq, expect, select_wait


def subscribe(lab, to, name, nu, fr="Cn", **more):
    return lab.post(to, SUB, "m2m:sub", {"rn": name, "nu": nu if isinstance(nu, list) else [nu], **more}, fr=fr)


def a_target_is_asked_before_it_is_used(lab):
    lab.ae("n")
    lab.cnt("cse-in/n", "c", fr="Cn")
    good = Listener()
    expect(subscribe(lab, "cse-in/n/c", "s", good.url, enc={"net": [3]}), CREATED)
    sgn = good.next()
    assert sgn.get("vrq") is True and sgn.get("sur") and sgn.get("cr"), sgn
    refusing = Listener(answer=lambda body: 4103)
    expect(subscribe(lab, "cse-in/n/c", "refused", refusing.url), 5204)
    expect(subscribe(lab, "cse-in/n/c", "nobody", "http://127.0.0.1:1/"), 5204, 500)
    expect(lab.get("cse-in/n/c/refused", "Cn"), 4004)
    lab.cin("cse-in/n/c", "hello", fr="Cn")
    sgn = good.next_event()
    eq(sgn["nev"]["net"], 3)
    eq(sgn["nev"]["rep"]["m2m:cin"]["con"], "hello")
    assert sgn["sur"], sgn
    lab.put("cse-in/n/c", "m2m:cnt", {"lbl": ["x"]}, fr="Cn")
    good.silent()
    good.close()
    refusing.close()


def each_event_type_reports_its_own(lab):
    l = Listener()
    lab.cnt("cse-in/n", "e", fr="Cn")
    for net in (1, 2, 3, 4):
        expect(subscribe(lab, "cse-in/n/e", f"s{net}", l.url + str(net), enc={"net": [net], **({"chty": [4]} if net > 2 else {})}), CREATED)
    made = lab.cin("cse-in/n/e", "x", fr="Cn")
    sgn = l.next_event()
    eq((sgn["nev"]["net"], list(sgn["nev"]["rep"])), (3, ["m2m:cin"]))
    lab.put("cse-in/n/e", "m2m:cnt", {"lbl": ["u"]}, fr="Cn")
    sgn = l.next_event()
    eq((sgn["nev"]["net"], sgn["nev"]["rep"]["m2m:cnt"]["lbl"]), (1, ["u"]))
    lab.delete(made["ri"], "Cn")
    sgn = l.next_event()
    eq((sgn["nev"]["net"], sgn["nev"]["rep"]["m2m:cin"]["con"]), (4, "x"))
    lab.delete("cse-in/n/e", "Cn")
    seen = [l.next_event() for _ in range(1)]
    assert any(s.get("nev", {}).get("net") == 2 or s.get("sud") for s in seen), seen
    l.close()


def notification_content_follows_the_type(lab):
    l = Listener()
    lab.cnt("cse-in/n", "nct", fr="Cn", mni=5)
    for nct in (1, 2, 3):
        expect(subscribe(lab, "cse-in/n/nct", f"s{nct}", f"{l.url}{nct}", enc={"net": [1]}, nct=nct), CREATED)
    lab.put("cse-in/n/nct", "m2m:cnt", {"mni": 6}, fr="Cn")
    reps = [l.next_event()["nev"]["rep"] for _ in range(3)]
    full = [r for r in reps if "ri" in r.get("m2m:cnt", {})]
    modified = [r for r in reps if "m2m:cnt" in r and "ri" not in r["m2m:cnt"]]
    ids = [r for r in reps if "m2m:uri" in r]
    eq((len(full), len(modified), len(ids)), (1, 1, 1))
    eq(modified[0]["m2m:cnt"]["mni"], 6)
    l.close()


def criteria_narrow_what_is_reported(lab):
    l = Listener()
    lab.cnt("cse-in/n", "crit", fr="Cn")
    expect(subscribe(lab, "cse-in/n/crit", "s", l.url, enc={"net": [1], "atr": ["mni"]}), CREATED)
    expect(subscribe(lab, "cse-in/n/crit", "t", l.url, enc={"net": [3], "chty": [3]}), CREATED)
    lab.put("cse-in/n/crit", "m2m:cnt", {"lbl": ["x"]}, fr="Cn")
    lab.cin("cse-in/n/crit", "x", fr="Cn")
    lab.put("cse-in/n/crit", "m2m:cnt", {"mni": 3}, fr="Cn")
    eq(l.next_event()["nev"]["net"], 1)
    lab.cnt("cse-in/n/crit", "inner", fr="Cn")
    eq(l.next_event()["nev"]["net"], 3)
    l.silent()
    l.close()


def an_expiration_counter_ends_a_subscription(lab):
    l = Listener()
    lab.cnt("cse-in/n", "exc", fr="Cn")
    expect(subscribe(lab, "cse-in/n/exc", "s", l.url, enc={"net": [3]}, exc=2), CREATED)
    for i in range(4):
        lab.cin("cse-in/n/exc", f"{i}", fr="Cn")
    eq([l.next_event()["nev"]["rep"]["m2m:cin"]["con"] for _ in range(2)], ["0", "1"])
    deadline = 100
    while lab.get("cse-in/n/exc/s", "Cn").rsc == OK and deadline:
        deadline -= 1
        select_wait(0.05)
    expect(lab.get("cse-in/n/exc/s", "Cn"), 4004)
    l.close()


def a_subscriber_must_be_allowed_to_read(lab):
    l = Listener()
    lab.ae("n2")
    expect(subscribe(lab, "cse-in/n/c", "spy", l.url, fr="Cn2"), 4103)
    l.silent()
    a = subscribe(lab, "cse-in/n/c/la", "x", l.url)
    assert a.rsc in (5203, 4005, 4108), a
    expect(lab.post("cse-in/n/c", SUB, "m2m:sub", {"rn": "nonu"}, fr="Cn"), 4000)
    expect(lab.post("cse-in/n/c", SUB, "m2m:sub", {"rn": "empty", "nu": []}, fr="Cn"), 4000)
    l.close()


def deleting_a_subscription_tells_its_subscriber(lab):
    l = Listener()
    lab.cnt("cse-in/n", "su", fr="Cn")
    expect(subscribe(lab, "cse-in/n/su", "s", l.url, su=l.url), CREATED)
    expect(lab.delete("cse-in/n/su/s", "Cn"), DELETED)
    sgn = l.next_event()
    eq(sgn.get("sud"), True)
    l.close()


def a_slow_target_holds_nobody_up(lab):
    import threading
    gate = threading.Event()
    slow = Listener(answer=lambda body: OK if body.get("m2m:sgn", {}).get("vrq") else (gate.wait(5), OK)[1])
    lab.cnt("cse-in/n", "slow", fr="Cn")
    expect(subscribe(lab, "cse-in/n/slow", "s", slow.url, enc={"net": [3]}), CREATED)
    for i in range(50):
        lab.cin("cse-in/n/slow", str(i), fr="Cn")
    eq(lab.get("cse-in/n/slow", "Cn").root("m2m:cnt")["cni"], 50)
    gate.set()
    got = sorted(int(slow.next_event()["nev"]["rep"]["m2m:cin"]["con"]) for _ in range(50))
    eq(got, list(range(50)))
    slow.close()


def contents_go_with_their_events(lab):
    lab.cnt("cse-in/n", "pair", fr="Cn")
    expect(subscribe(lab, "cse-in/n/pair", "a", "/id-in/Cn", enc={"net": [3]}, nct=2), 4000)
    expect(subscribe(lab, "cse-in/n/pair", "b", "/id-in/Cn", enc={"net": [1]}, nct=2), CREATED)


def a_missing_instance_is_an_event(lab):
    l = Listener()
    lab.cnt("cse-in/n", "none", fr="Cn")
    expect(subscribe(lab, "cse-in/n/none", "s", l.url, enc={"net": [5]}), CREATED)
    expect(subscribe(lab, "cse-in/n", "s5", l.url, enc={"net": [5]}), 4000)
    lab.ae("curious")
    expect(lab.get("cse-in/n/none/la", "Ccurious"), 4004)
    expect(lab.get("cse-in/n/none/la", "Cn"), 4004)
    eq(l.next_event()["nev"]["net"], 5)
    l.silent()
    l.close()


def what_cannot_be_watched_is_said(lab):
    lab.cnt("cse-in/n", "plain", fr="Cn")
    lab.cin("cse-in/n/plain", "x", fr="Cn")
    expect(subscribe(lab, "cse-in/n/plain/la", "s", "/id-in/Cn"), 5203)
    expect(subscribe(lab, lab.get("cse-in/n/plain/la", "Cn").root("m2m:cin")["ri"], "s", "/id-in/Cn"), 5203)
    expect(subscribe(lab, "cse-in/n/plain", "s", "/id-in/Cn", enc={"net": [6]}), 5001)
    expect(subscribe(lab, "cse-in/n/plain", "s", "/id-in/Cn", enc={"net": [3], "chty": [2]}), 4000)
    expect(subscribe(lab, "cse-in/n/plain", "s", "ftp://host/x"), 4000)
    expect(subscribe(lab, "cse-in/n/plain", "s", "/id-in/Cn", bn={"num": 3}), 5001)


def new_targets_are_asked_too(lab):
    old, new, refusing = Listener(), Listener(), Listener(answer=lambda body: 4103)
    lab.cnt("cse-in/n", "more", fr="Cn")
    expect(subscribe(lab, "cse-in/n/more", "s", old.url), CREATED)
    assert old.next().get("vrq") is True
    expect(lab.put("cse-in/n/more/s", "m2m:sub", {"nu": [old.url, refusing.url]}, fr="Cn"), 5204)
    eq(lab.get("cse-in/n/more/s", "Cn").root("m2m:sub")["nu"], [old.url])
    expect(lab.put("cse-in/n/more/s", "m2m:sub", {"nu": [old.url, new.url]}, fr="Cn"), UPDATED)
    assert new.next().get("vrq") is True
    old.silent()
    for listener in (old, new, refusing):
        listener.close()


def a_group_of_targets_is_told_one_by_one(lab):
    l1, l2 = Listener(), Listener()
    lab.ae("t1", poa=[l1.url])
    lab.ae("t2", poa=[l2.url])
    expect(lab.post("cse-in/n", 9, "m2m:grp", {"rn": "targets", "mnm": 5, "mid": ["cse-in/t1", "cse-in/t2"]}, fr="Cn"),
           CREATED)
    lab.cnt("cse-in/n", "fan", fr="Cn")
    expect(subscribe(lab, "cse-in/n/fan", "s", "cse-in/n/targets", enc={"net": [3]}), CREATED)
    lab.cin("cse-in/n/fan", "to all", fr="Cn")
    for l in (l1, l2):
        eq(l.next_event()["nev"]["rep"]["m2m:cin"]["con"], "to all")
        l.close()


lab.main()
