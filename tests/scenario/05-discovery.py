#!/usr/bin/env python3
"""TS-0004 7.3.3.14, 7.3.3.17: discovery, filter criteria, result content."""
import lab
from lab import ACP, ADMIN, CNT, CREATED, DELETED, OK, eq, expect


def a_tree_is_planted(lab):
    lab.ae("d", lbl=["house:a", "kind"])
    lab.cnt("cse-in/d", "t1", fr="Cd", lbl=["room:1", "temp"])
    lab.cnt("cse-in/d", "t2", fr="Cd", lbl=["room:2", "temp"])
    lab.cnt("cse-in/d/t1", "sub", fr="Cd", lbl=["room:1", "deep"])
    for i in range(5):
        lab.cin("cse-in/d/t1", f"{i}" * (i + 1), fr="Cd", rn=f"i{i}", cnf="text/plain:0", lbl=[f"n:{i}"])


def found(lab, query, fr="Cd", to="cse-in/d"):
    a = expect(lab.get(f"{to}?fu=1&{query}" if query else f"{to}?fu=1", fr), OK)
    return sorted(a.root("m2m:uril"))


def labels_find_by_any_of_them(lab):
    eq(found(lab, "lbl=temp"), ["cse-in/d/t1", "cse-in/d/t2"])
    eq(found(lab, "lbl=room:1"), ["cse-in/d/t1", "cse-in/d/t1/sub"])
    eq(found(lab, "lbl=room:2+deep"), ["cse-in/d/t1/sub", "cse-in/d/t2"])
    eq(found(lab, "lbl=nothing"), [])


def types_and_combinations(lab):
    eq(found(lab, "ty=3"), ["cse-in/d/t1", "cse-in/d/t1/sub", "cse-in/d/t2"])
    eq(len(found(lab, "ty=4")), 5)
    eq(found(lab, "ty=3&lbl=deep"), ["cse-in/d/t1/sub"])
    eq(len(found(lab, "ty=4&lbl=temp&fo=2")), 7)
    eq(len(found(lab, "ty=3+4")), 8)


def sizes_content_types_and_attributes(lab):
    eq(found(lab, "sza=4"), ["cse-in/d/t1/i3", "cse-in/d/t1/i4"])
    eq(found(lab, "szb=3&ty=4"), ["cse-in/d/t1/i0", "cse-in/d/t1/i1"])
    eq(len(found(lab, "cty=text/plain")), 5)
    eq(found(lab, "sza=2&szb=3&ty=4"), ["cse-in/d/t1/i1"])
    expect(lab.get("cse-in/d?fu=1&cs=2", "Cd"), 4000)  # TS-0004 7.3.3.17.9: sizeAbove and sizeBelow are for that
    eq(found(lab, "ty=4&con=33*"), ["cse-in/d/t1/i3"])


def times(lab):
    eq(len(found(lab, "cra=20200101T000000")) >= 8, True)
    eq(found(lab, "crb=20200101T000000"), [])
    eq(found(lab, "ms=20990101T000000"), [])
    eq(found(lab, "exb=20200101T000000"), [])
    two = lab.get("cse-in/d/t1/i2", "Cd").root("m2m:cin")["ct"]
    four = lab.get("cse-in/d/t1/i4", "Cd").root("m2m:cin")["ct"]
    eq(found(lab, f"ty=4&cra={two}&crb={four}"), ["cse-in/d/t1/i2", "cse-in/d/t1/i3"])


def limit_offset_and_level(lab):
    a = expect(lab.get("cse-in/d?fu=1&lim=3", "Cd"), OK)
    eq(len(a.root("m2m:uril")), 3)
    eq(a.headers.get("x-m2m-cts"), "1")
    offset = int(a.headers["x-m2m-cto"])
    rest = expect(lab.get(f"cse-in/d?fu=1&ofst={offset}", "Cd"), OK).root("m2m:uril")
    eq(len(set(rest) & set(a.root("m2m:uril"))), 0)
    eq(sorted(rest + a.root("m2m:uril")), found(lab, ""))
    eq(found(lab, "lvl=1"), ["cse-in/d/t1", "cse-in/d/t2"])
    assert "cse-in/d/t1/sub" in found(lab, "lvl=2")


def result_types(lab):
    plain = expect(lab.get("cse-in/d?fu=1&lbl=temp&drt=2", "Cd"), OK).root("m2m:uril")
    ids = {lab.get(f"cse-in/d/{n}", "Cd").root("m2m:cnt")["ri"] for n in ("t1", "t2")}
    eq(set(plain), ids)
    a = expect(lab.get("cse-in/d?fu=1&lbl=temp&rcn=6", "Cd"), OK).root("m2m:rrl")
    refs = a["rrf"] if isinstance(a, dict) else a
    eq(sorted(r["nm"] for r in refs), ["t1", "t2"])
    eq({r["typ"] for r in refs}, {3})


def what_may_not_be_discovered_is_left_out(lab):
    lab.ae("eye")
    a = lab.get("cse-in?fu=1&ty=3", "Ceye")
    expect(a, OK)
    assert not [u for u in a.root("m2m:uril") if u.startswith("cse-in/d/")], a
    expect(lab.post("cse-in/d", ACP, "m2m:acp", {"rn": "p", "pv": {"acr": [
        {"acor": ["Ceye"], "acop": 32}, {"acor": ["Cd"], "acop": 63}]}, "pvs": {"acr": [{"acor": ["Cd"], "acop": 63}]}},
        fr="Cd"), CREATED)
    lab.cnt("cse-in/d", "seen", fr="Cd", acpi=["cse-in/d/p"], lbl=["visible"])
    eq(lab.get("cse-in?fu=1&lbl=visible", "Ceye").root("m2m:uril"), ["cse-in/d/seen"])
    expect(lab.get("cse-in/d/seen", "Ceye"), 4103)


def children_come_by_result_content(lab):
    t = expect(lab.get("cse-in/d?rcn=4", "Cd"), OK).root("m2m:ae")
    eq(t["aei"], "Cd")
    assert {c["rn"] for c in t["m2m:cnt"]} >= {"t1", "t2"}
    t = expect(lab.get("cse-in/d/t1?rcn=8", "Cd"), OK).root("m2m:cnt")
    assert "cni" not in t and len(t["m2m:cin"]) == 5, t
    t = expect(lab.get("cse-in/d/t1?rcn=5", "Cd"), OK).root("m2m:cnt")
    eq(len(t["ch"]), 6)
    t = expect(lab.get("cse-in/d/t1?rcn=6", "Cd"), OK).json
    assert "ch" in json_text(t) or "rrf" in json_text(t), t
    t = expect(lab.get("cse-in/d/t1?rcn=4&lbl=n:3", "Cd"), OK).root("m2m:cnt")
    eq([i["con"] for i in t["m2m:cin"]], ["3333"])
    t = expect(lab.get("cse-in/d?rcn=4&lvl=1", "Cd"), OK).root("m2m:ae")
    assert all("m2m:cin" not in c for c in t["m2m:cnt"]), t


def json_text(value):
    import json
    return json.dumps(value)


def create_update_delete_honour_result_content(lab):
    a = expect(lab.post("cse-in/d?rcn=0", CNT, "m2m:cnt", {"rn": "r0"}, fr="Cd"), CREATED)
    eq(a.body, b"")
    a = expect(lab.post("cse-in/d?rcn=2", CNT, "m2m:cnt", {"rn": "r2"}, fr="Cd"), CREATED)
    eq(a.root("m2m:uri"), "cse-in/d/r2")
    a = expect(lab.post("cse-in/d?rcn=3", CNT, "m2m:cnt", {"rn": "r3"}, fr="Cd"), CREATED).root("m2m:rce")
    eq(a["uri"], "cse-in/d/r3")
    eq(a["m2m:cnt"]["rn"], "r3")
    a = expect(lab.post("cse-in/d?rcn=9", CNT, "m2m:cnt", {"rn": "r9", "mni": 5}, fr="Cd"), CREATED).root("m2m:cnt")
    assert "mni" not in a and "ri" in a, a
    a = expect(lab.put("cse-in/d/r9?rcn=9", "m2m:cnt", {"mni": 6}, fr="Cd"), 2004).root("m2m:cnt")
    assert "mni" not in a and "lt" in a and "ri" not in a, a
    a = expect(lab.put("cse-in/d/r9?rcn=0", "m2m:cnt", {"mni": 7}, fr="Cd"), 2004)
    eq(a.body, b"")
    a = expect(lab.delete("cse-in/d/r9?rcn=1", "Cd"), DELETED)
    eq(a.root("m2m:cnt")["mni"], 7)
    a = expect(lab.delete("cse-in/d/r0", "Cd"), DELETED)
    eq(a.body, b"")
    for query, method in (("rcn=6", "POST"), ("rcn=4", "POST"), ("rcn=2", "GET"), ("rcn=3", "GET"), ("rcn=99", "GET"),
                          ("rcn=x", "GET"), ("rcn=-1", "GET")):
        if method == "POST":
            expect(lab.post("cse-in/d?" + query, CNT, "m2m:cnt", {}, fr="Cd"), 4000)
        else:
            expect(lab.get("cse-in/d/r2?" + query, "Cd"), 4000)


def a_filter_makes_retrieve_and_delete_conditional(lab):
    expect(lab.get("cse-in/d/t1?lbl=temp", "Cd"), OK)
    a = lab.get("cse-in/d/t1?cra=20990101T000000", "Cd")
    assert a.rsc in (OK, 4004), a


def wrong_criteria_are_refused(lab):
    for query in ("fu=9", "ty=x", "lim=-1", "crb=yesterday", "lvl=x", "ofst=x", "fo=7", "drt=5", "fu=1&fu=1&lim=",
                  "sza=a", "lim=1e3"):
        a = lab.get("cse-in/d?" + query, "Cd")
        eq((query, a.rsc), (query, 4000))


def a_relative_path_leads_on_from_each_match(lab):
    for n in ("one", "two", "three"):
        lab.cnt("cse-in/d", n, fr="Cd", lbl=["arp"])
    lab.cin("cse-in/d/one", "1", fr="Cd")
    lab.cin("cse-in/d/two", "2", fr="Cd")
    uris = found(lab, "lbl=arp&arp=la")
    eq(len(uris), 2)
    eq(sorted(lab.get(u, "Cd").root("m2m:cin")["con"] for u in uris), ["1", "2"])


lab.main()
