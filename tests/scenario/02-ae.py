#!/usr/bin/env python3
"""TS-0004 7.4.5, TS-0001 10.2.2.2: registration of application entities."""
import lab
from lab import AE, CREATED, DELETED, OK, UPDATED, eq, expect


def ae(**more):
    return {"api": "N.test", "rr": False, "srv": ["3"], **more}


def a_stem_is_taken_or_assigned(lab):
    a = expect(lab.post("cse-in", AE, "m2m:ae", ae(rn="own"), fr="Cown"), CREATED, 201).root("m2m:ae")
    eq((a["aei"], a["ri"], a["rn"], a["ty"]), ("Cown", "Cown", "own", 2))
    for kind in ("C", "S"):
        a = expect(lab.post("cse-in", AE, "m2m:ae", ae(rn="gen" + kind), fr=kind), CREATED).root("m2m:ae")
        assert a["aei"].startswith(kind) and len(a["aei"]) > 4, a
        eq(a["ri"], a["aei"])
    a = expect(lab.post("cse-in", AE, "m2m:ae", ae(rn="nofrom"), fr=None), CREATED).root("m2m:ae")
    assert a["aei"][0] in "CS"


def a_second_registration_is_refused(lab):
    expect(lab.post("cse-in", AE, "m2m:ae", ae(rn="own2"), fr="Cown"), 4117, 403)
    expect(lab.post("cse-in", AE, "m2m:ae", ae(rn="own"), fr="Cother"), 4105, 409)
    expect(lab.get("cse-in/own2"), 4004)


def what_a_registration_must_have(lab):
    expect(lab.post("cse-in", AE, "m2m:ae", {"rn": "x", "rr": True, "srv": ["3"]}, fr="Cx"), 4000, 400)
    expect(lab.post("cse-in", AE, "m2m:ae", {"rn": "x", "api": "N.x", "srv": ["3"]}, fr="Cx"), 4000)
    expect(lab.post("cse-in", AE, "m2m:ae", {"rn": "x", "api": "N.x", "rr": True}, fr="Cx"), 4000)
    expect(lab.post("cse-in", AE, "m2m:ae", ae(rn="x", api="x.y"), fr="Cx"), 4000)
    expect(lab.post("cse-in", AE, "m2m:ae", ae(rn="x", aei="Cx"), fr="Cx"), 4000)
    expect(lab.post("cse-in", AE, "m2m:ae", ae(rn="x", rr="yes"), fr="Cx"), 4000)
    expect(lab.post("cse-in", AE, "m2m:ae", ae(rn="x", nonsense=1), fr="Cx"), 4000)
    expect(lab.post("cse-in", AE, "m2m:ae", ae(rn="x y"), fr="Cx"), 4000)
    expect(lab.post("cse-in", AE, "m2m:cnt", ae(rn="x"), fr="Cx"), 4000)
    expect(lab.get("cse-in/x"), 4004)


def an_application_under_an_application_is_refused(lab):
    expect(lab.post("cse-in/own", AE, "m2m:ae", ae(rn="inner"), fr="Cinner"), 4108, 403)


def update_and_delete_are_the_creators(lab):
    expect(lab.put("cse-in/own", "m2m:ae", {"lbl": ["a"]}, fr="CgenC"), 4103, 403)
    a = expect(lab.put("cse-in/own", "m2m:ae", {"lbl": ["a", "b"], "apn": "name"}, fr="Cown"), UPDATED, 200)
    eq(a.root("m2m:ae")["lbl"], ["a", "b"])
    a = expect(lab.put("cse-in/own", "m2m:ae", {"lbl": None}, fr="Cown"), UPDATED)
    assert "lbl" not in lab.get("cse-in/own", "Cown").root("m2m:ae")
    expect(lab.put("cse-in/own", "m2m:ae", {"api": "N.other"}, fr="Cown"), 4000)
    expect(lab.put("cse-in/own", "m2m:ae", {"ri": "x"}, fr="Cown"), 4000)
    expect(lab.put("cse-in/own", "m2m:ae", {"rr": None}, fr="Cown"), 4000)
    expect(lab.delete("cse-in/own", "CgenC"), 4103)
    expect(lab.delete("cse-in/own", "Cown"), DELETED, 200)
    expect(lab.get("cse-in/own"), 4004)
    expect(lab.post("cse-in", AE, "m2m:ae", ae(rn="own"), fr="Cown"), CREATED)


def expiration_is_a_time_in_the_future(lab):
    expect(lab.post("cse-in", AE, "m2m:ae", ae(rn="old", et="20200101T000000"), fr="Cold"), 4000)
    a = expect(lab.post("cse-in", AE, "m2m:ae", ae(rn="new", et="20990101T000000"), fr="Cnew"), CREATED)
    assert a.root("m2m:ae")["et"] <= "20990101T000000"


lab.main()
