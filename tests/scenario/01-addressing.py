#!/usr/bin/env python3
"""TS-0001 7.2, TS-0004 6.2: every form of an address, and what is refused in a path."""
import lab
from lab import CREATED, OK, eq, expect


def the_cse_base_answers_to_all_forms(lab):
    want = lab.get("cse-in").root("m2m:cb")
    eq(want["csi"], "/id-in")
    eq(want["ty"], 5)
    eq(want["rn"], "cse-in")
    for to in ("-", want["ri"], "/id-in/cse-in", "/id-in/-", f"/id-in/{want['ri']}",
               "//acme.example.com/id-in/cse-in", f"//acme.example.com/id-in/{want['ri']}", "/id-in"):
        eq(expect(lab.get(to), OK).root("m2m:cb")["ri"], want["ri"])
    assert set((1, 2, 3, 4, 5, 9, 14, 15, 17, 23)) <= set(want["srt"]), want["srt"]
    assert "3" in want["srv"], want["srv"]


def a_resource_answers_structured_and_unstructured(lab):
    lab.ae("addr1")
    cnt = lab.cnt("cse-in/addr1", "c", fr="Caddr1")
    lab.cin("cse-in/addr1/c", "one", fr="Caddr1")
    last = lab.cin("cse-in/addr1/c", "two", fr="Caddr1")
    for base in ("cse-in/addr1/c", cnt["ri"], "-/addr1/c", "/id-in/cse-in/addr1/c", f"/id-in/{cnt['ri']}",
                 f"//acme.example.com/id-in/{cnt['ri']}", "Caddr1/c"):
        if base != "Caddr1/c":
            eq(expect(lab.get(base, "Caddr1"), OK).root("m2m:cnt")["ri"], cnt["ri"])
            eq(expect(lab.get(base + "/la", "Caddr1"), OK).root("m2m:cin")["con"], "two")
            eq(expect(lab.get(base + "/ol", "Caddr1"), OK).root("m2m:cin")["con"], "one")
    eq(expect(lab.get(last["ri"], "Caddr1"), OK).root("m2m:cin")["con"], "two")
    eq(expect(lab.get("cse-in/addr1/c/" + last["rn"], "Caddr1"), OK).root("m2m:cin")["ri"], last["ri"])
    eq(last["pi"], cnt["ri"])
    eq(cnt["pi"], "Caddr1")


def what_is_not_there_is_not_found(lab):
    for to in ("cse-in/none", "cse-in/addr1/none", "aaaaaaaaaaaaa", "/id-in/none", "//acme.example.com/id-in/none",
               "cse-in/addr1/la", "Cnone"):
        expect(lab.get(to), 4004, 404)
    for to in ("/id-other/x", "//other.example.com/id-in/cse-in"):
        a = lab.get(to)
        assert a.rsc in (4004, 5103, 5107), a


def path_tricks_are_refused(lab):
    h = {"X-M2M-RI": "t", "X-M2M-Origin": "CAdmin", "X-M2M-RVI": "3"}
    for path in ("/cse-in/../cse-in", "/cse-in//addr1", "/cse-in/%2e%2e/x", "/cse-in/addr1%2Fc", "/cse-in/%00", "/%",
                 "/cse-in/.", "/", "/~", "/~/", "/_", "/_/", "/_/acme.example.com"):
        a = lab.raw("GET", path, h)
        assert 400 <= a.status < 500, (path, a)
    eq(lab.get("cse-in").rsc, OK)


def an_attribute_is_selected_by_name(lab):
    a = expect(lab.get("cse-in/addr1?atrl=rr"), OK)
    eq(set(a.root("m2m:ae")), {"rr"})


lab.main()
