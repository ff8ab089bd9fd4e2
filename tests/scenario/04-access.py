#!/usr/bin/env python3
"""TS-0003 7.1, TS-0001 9.6.2: who may do what; every rule has its denied twin."""
import datetime

import lab
from lab import ACP, ADMIN, CIN, CNT, CREATED, DELETED, OK, UPDATED, eq, expect

C, R, U, D, N, DISC = 1, 2, 4, 8, 16, 32
ALL = 63


def acr(who, ops, **more):
    return {"acor": who if isinstance(who, list) else [who], "acop": ops, **more}


def policy(lab, name, rules, owner="Cowner"):
    a = expect(lab.post("cse-in/owner", ACP, "m2m:acp", {"rn": name, "pv": {"acr": rules},
                                                        "pvs": {"acr": [acr([owner, ADMIN], ALL)]}}, fr=owner), CREATED)
    return a.root("m2m:acp")["ri"]


def guarded(lab, name, rules):
    p = policy(lab, "p-" + name, rules)
    lab.cnt("cse-in/owner", name, fr="Cowner", acpi=[p])
    return "cse-in/owner/" + name


def without_a_policy_only_the_creator_enters(lab):
    lab.ae("owner")
    for name in ("friend", "stranger"):
        lab.ae(name)
    lab.cnt("cse-in/owner", "own", fr="Cowner")
    expect(lab.get("cse-in/owner/own", "Cowner"), OK)
    expect(lab.get("cse-in/owner/own", "Cfriend"), 4103, 403)
    expect(lab.post("cse-in/owner/own", CIN, "m2m:cin", {"con": "x"}, fr="Cfriend"), 4103)
    expect(lab.delete("cse-in/owner/own", "Cfriend"), 4103)


def each_operation_has_its_bit(lab):
    to = guarded(lab, "bits", [acr("Cfriend", R), acr("Cowner", ALL)])
    lab.cin(to, "x", fr="Cowner")
    expect(lab.get(to, "Cfriend"), OK)
    expect(lab.get(to + "/la", "Cfriend"), OK)
    expect(lab.get(to, "Cstranger"), 4103)
    expect(lab.get(to + "/la", "Cstranger"), 4103)
    expect(lab.post(to, CIN, "m2m:cin", {"con": "x"}, fr="Cfriend"), 4103)
    expect(lab.put(to, "m2m:cnt", {"lbl": ["x"]}, fr="Cfriend"), 4103)
    expect(lab.delete(to, "Cfriend"), 4103)
    expect(lab.delete(to + "/la", "Cfriend"), 4103)
    found = lab.get(to + "?fu=1", "Cfriend")
    assert found.rsc == 4103 or not found.root("m2m:uril"), found


def originators_match_by_pattern_and_form(lab):
    for i, (who, ok) in enumerate([("all", True), ("Cfri*", True), ("/id-in/Cfriend", True), ("C*d", True),
                                   ("//acme.example.com/id-in/Cfriend", True), ("/id-in/*", True), ("Cstr*", False),
                                   ("/id-in", False), ("Cfrien", False),
                                   ("//other.example.com/id-in/Cfriend", False)]):
        to = guarded(lab, f"who{i}", [acr(who, R), acr("Cowner", ALL)])
        expect(lab.get(to, "Cfriend"), OK if ok else 4103)


def a_group_admits_its_members(lab):
    g = expect(lab.post("cse-in/owner", 9, "m2m:grp", {"rn": "friends", "mt": 2, "mnm": 5, "mid": ["Cfriend"]},
                        fr="Cowner"), CREATED).root("m2m:grp")
    to = guarded(lab, "bygroup", [acr(g["ri"], R), acr("Cowner", ALL)])
    expect(lab.get(to, "Cfriend"), OK)
    expect(lab.get(to, "Cstranger"), 4103)


def contexts_limit_time_and_address(lab):
    now = datetime.datetime.now(datetime.timezone.utc)
    other = (now.hour + 12) % 24
    for name, acco, ok in [
        ("always", {"actw": ["* * * * * * *"]}, True),
        ("thisyear", {"actw": [f"* * * * * * {now.year}"]}, True),
        ("otherhour", {"actw": [f"* * {other} * * * *"]}, False),
        ("loop", {"acip": {"ipv4": ["127.0.0.0/8"]}}, True),
        ("net10", {"acip": {"ipv4": ["10.0.0.0/8"]}}, False),
        ("both", {"actw": ["* * * * * * *"], "acip": {"ipv4": ["10.0.0.0/8"]}}, False),
        ("circle", {"aclr": {"accr": [50.0, 8.0, 1000.0]}}, False),
        ("country", {"aclr": {"accc": ["DE"]}}, False),
    ]:
        a = lab.post("cse-in/owner", ACP, "m2m:acp", {"rn": "ctx-" + name, "pv": {"acr": [
            acr("Cfriend", R, acco=[acco]), acr("Cowner", ALL)]}, "pvs": {"acr": [acr("Cowner", ALL)]}}, fr="Cowner")
        expect(a, CREATED)
        lab.cnt("cse-in/owner", name, fr="Cowner", acpi=[a.root("m2m:acp")["ri"]])
        expect(lab.get("cse-in/owner/" + name, "Cfriend"), OK if ok else 4103)
        expect(lab.get("cse-in/owner/" + name, "Cowner"), OK)


def authenticated_only_denies_the_unproved(lab):
    to = guarded(lab, "auth", [acr("Cfriend", R, acaf=True), acr("Cowner", ALL)])
    expect(lab.get(to, "Cfriend"), 4103)


def object_details_limit_what_is_created(lab):
    to = guarded(lab, "details", [acr("Cfriend", C, acod=[{"chty": [4]}]), acr("Cowner", ALL)])
    expect(lab.post(to, CIN, "m2m:cin", {"con": "x"}, fr="Cfriend"), CREATED)
    expect(lab.post(to, CNT, "m2m:cnt", {}, fr="Cfriend"), 4103)


def a_policy_is_governed_by_its_self_privileges(lab):
    policy(lab, "selfish", [acr("Cfriend", ALL)])
    to = "cse-in/owner/selfish"
    expect(lab.get(to, "Cfriend"), 4103)
    expect(lab.get(to, "Cowner"), OK)
    expect(lab.put(to, "m2m:acp", {"pv": {"acr": []}}, fr="Cfriend"), 4103)
    expect(lab.put(to, "m2m:acp", {"pvs": {"acr": []}}, fr="Cowner"), 4000)
    expect(lab.put(to, "m2m:acp", {"pv": {"acr": []}}, fr="Cowner"), UPDATED)
    expect(lab.post("cse-in/owner", ACP, "m2m:acp", {"rn": "bad", "pv": {"acr": []}, "pvs": {"acr": []}},
                    fr="Cowner"), 4000)


def a_changed_policy_holds_at_once(lab):
    p = policy(lab, "live", [acr("Cfriend", R), acr("Cowner", ALL)])
    lab.cnt("cse-in/owner", "livecnt", fr="Cowner", acpi=[p])
    for _ in range(20):
        expect(lab.get("cse-in/owner/livecnt", "Cfriend"), OK)
        expect(lab.put("cse-in/owner/live", "m2m:acp", {"pv": {"acr": [acr("Cowner", ALL)]}}, fr="Cowner"), UPDATED)
        expect(lab.get("cse-in/owner/livecnt", "Cfriend"), 4103)
        expect(lab.put("cse-in/owner/live", "m2m:acp", {"pv": {"acr": [acr("Cfriend", R), acr("Cowner", ALL)]}},
                       fr="Cowner"), UPDATED)
    expect(lab.delete("cse-in/owner/live", "Cowner"), DELETED)
    expect(lab.get("cse-in/owner/livecnt", "Cfriend"), 4103)


def policy_links_change_alone_and_by_self_privilege(lab):
    a = policy(lab, "la-a", [acr("Cfriend", ALL), acr("Cowner", ALL)])
    b = policy(lab, "la-b", [acr("Cowner", ALL)])
    lab.cnt("cse-in/owner", "linked", fr="Cowner", acpi=[a])
    expect(lab.put("cse-in/owner/linked", "m2m:cnt", {"acpi": [b]}, fr="Cfriend"), 4103)
    expect(lab.put("cse-in/owner/linked", "m2m:cnt", {"acpi": [b], "lbl": ["x"]}, fr="Cowner"), 4000)
    expect(lab.put("cse-in/owner/linked", "m2m:cnt", {"acpi": [b]}, fr="Cowner"), UPDATED)
    expect(lab.get("cse-in/owner/linked", "Cfriend"), 4103)


lab.main()
