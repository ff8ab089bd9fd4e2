#!/usr/bin/env python3
"""TS-0004 7.4.13, 7.4.14: groups and their fan-out point."""
import lab
from lab import CIN, CNT, CREATED, DELETED, GRP, OK, UPDATED, eq, expect, select_wait


def group(lab, name, mid, fr="Cg", **more):
    return lab.post("cse-in/g", GRP, "m2m:grp", {"rn": name, "mid": mid, "mnm": 10, **more}, fr=fr)


def members_are_checked_when_a_group_is_made(lab):
    lab.ae("g")
    for n in ("a", "b", "c"):
        lab.cnt("cse-in/g", n, fr="Cg")
    g = expect(group(lab, "g1", ["cse-in/g/a", "cse-in/g/b", "cse-in/g/b"], mt=3), CREATED).root("m2m:grp")
    eq((g["cnm"], len(g["mid"]), g["mtv"], g["mnm"]), (2, 2, True, 10))
    expect(group(lab, "mixed", ["cse-in/g/a", "cse-in/g"], mt=3, csy=2), 4110, 400)
    g = expect(group(lab, "abandon", ["cse-in/g/a", "cse-in/g"], mt=3, csy=1), CREATED).root("m2m:grp")
    eq(g["cnm"], 1)
    expect(group(lab, "many", ["cse-in/g/a", "cse-in/g/b"], mnm=1), 6010)
    expect(group(lab, "nomnm", ["cse-in/g/a"], mnm=0), 4000)


def an_operation_reaches_every_member(lab):
    a = expect(lab.post("cse-in/g/g1/fopt", CIN, "m2m:cin", {"con": "fan"}, fr="Cg"), OK)
    rsp = a.root("m2m:agr")["m2m:rsp"] if "m2m:rsp" in a.root("m2m:agr") else a.root("m2m:agr")["rsp"]
    eq([r["rsc"] for r in rsp], [2001, 2001])
    for n in ("a", "b"):
        eq(lab.get(f"cse-in/g/{n}/la", "Cg").root("m2m:cin")["con"], "fan")
    a = expect(lab.get("cse-in/g/g1/fopt/la", "Cg"), OK).root("m2m:agr")
    rsp = a.get("m2m:rsp", a.get("rsp"))
    eq([r["pc"]["m2m:cin"]["con"] for r in rsp], ["fan", "fan"])
    a = expect(lab.put("cse-in/g/g1/fopt", "m2m:cnt", {"lbl": ["all"]}, fr="Cg"), OK).root("m2m:agr")
    eq([r["rsc"] for r in a.get("m2m:rsp", a.get("rsp"))], [2004, 2004])
    eq(lab.get("cse-in/g/b", "Cg").root("m2m:cnt")["lbl"], ["all"])


def members_answer_for_themselves(lab):
    expect(lab.delete("cse-in/g/b/la", "Cg"), DELETED)
    a = expect(lab.get("cse-in/g/g1/fopt/la", "Cg"), OK).root("m2m:agr")
    eq(sorted(r["rsc"] for r in a.get("m2m:rsp", a.get("rsp"))), [2000, 4004])
    lab.ae("outsider")
    expect(lab.get("cse-in/g/g1/fopt", "Coutsider"), 4103)


def an_empty_group_has_nobody_to_ask(lab):
    expect(group(lab, "empty", []), CREATED)
    expect(lab.get("cse-in/g/empty/fopt", "Cg"), 4109, 403)
    expect(lab.put("cse-in/g/empty", "m2m:grp", {"mid": ["cse-in/g/c"]}, fr="Cg"), UPDATED)
    expect(lab.get("cse-in/g/empty/fopt", "Cg"), OK)


def members_policies_decide_over_the_fan_out_point(lab):
    lab.ae("friend")
    rules = {"rn": "macp", "pv": {"acr": [{"acor": ["Cg", "Cfriend"], "acop": 63}]},
             "pvs": {"acr": [{"acor": ["Cg"], "acop": 63}]}}
    expect(lab.post("cse-in/g", 1, "m2m:acp", rules, fr="Cg"), CREATED)
    lab.cnt("cse-in/g", "shared", fr="Cg", acpi=["cse-in/g/macp"])
    expect(group(lab, "own", ["cse-in/g/shared"]), CREATED)
    expect(lab.get("cse-in/g/own/fopt", "Cfriend"), 4103)
    expect(group(lab, "open", ["cse-in/g/shared"], macp=["cse-in/g/macp"]), CREATED)
    a = expect(lab.get("cse-in/g/open/fopt", "Cfriend"), OK).root("m2m:agr")
    eq([r["rsc"] for r in a["m2m:rsp"]], [2000])
    expect(lab.get("cse-in/g/open", "Cfriend"), 4103)


def deleted_members_leave_the_group(lab):
    for n in ("x", "y"):
        lab.cnt("cse-in/g", n, fr="Cg")
    expect(group(lab, "goers", ["cse-in/g/x", "cse-in/g/y", "cse-in/g"]), CREATED)
    lab.delete("cse-in/g/x", "Cg")
    expect(group(lab, "rest", ["cse-in/g/y"]), CREATED)
    a = expect(lab.delete("cse-in/g/rest/fopt", "Cg"), OK).root("m2m:agr")
    eq([r["rsc"] for r in a["m2m:rsp"]], [DELETED])
    for _ in range(100):
        if lab.get("cse-in/g/rest", "Cg").root("m2m:grp")["cnm"] == 0:
            return
        select_wait(0.05)
    raise AssertionError("the deleted member stays in the group")


lab.main()
