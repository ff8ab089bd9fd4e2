#!/usr/bin/env python3
"""TS-0004 7.4.6, 7.4.7: containers, instances, limits."""
import concurrent.futures

import lab
from lab import ADMIN, CIN, CNT, CREATED, DELETED, OK, UPDATED, eq, expect


def state(lab, to):
    c = lab.get(to).root("m2m:cnt")
    return c["cni"], c["cbs"]


def counters_follow_the_instances(lab):
    lab.ae("dev")
    c = lab.cnt("cse-in/dev", "c", fr="Cdev")
    eq((c["cni"], c["cbs"], c["st"]), (0, 0, 0))
    one = lab.cin("cse-in/dev/c", "12345", fr="Cdev", cnf="text/plain:0", lbl=["x"])
    eq((one["cs"], one["cnf"]), (5, "text/plain:0"))
    lab.cin("cse-in/dev/c", "äö", fr="Cdev")
    eq(state(lab, "cse-in/dev/c"), (2, 9))
    assert lab.get("cse-in/dev/c").root("m2m:cnt")["st"] >= 2
    expect(lab.delete("cse-in/dev/c/" + one["rn"], "Cdev"), DELETED)
    eq(state(lab, "cse-in/dev/c"), (1, 4))
    expect(lab.delete("cse-in/dev/c/la", "Cdev"), DELETED)
    eq(state(lab, "cse-in/dev/c"), (0, 0))
    expect(lab.get("cse-in/dev/c/la", "Cdev"), 4004)


def the_oldest_give_way(lab):
    lab.cnt("cse-in/dev", "few", fr="Cdev", mni=3)
    for i in range(6):
        lab.cin("cse-in/dev/few", f"v{i}", fr="Cdev")
    eq(state(lab, "cse-in/dev/few"), (3, 6))
    eq(lab.get("cse-in/dev/few/ol").root("m2m:cin")["con"], "v3")
    eq(lab.get("cse-in/dev/few/la").root("m2m:cin")["con"], "v5")
    lab.cnt("cse-in/dev", "small", fr="Cdev", mbs=10)
    lab.cin("cse-in/dev/small", "1234567", fr="Cdev")
    lab.cin("cse-in/dev/small", "12345", fr="Cdev")
    eq(state(lab, "cse-in/dev/small"), (1, 5))
    expect(lab.post("cse-in/dev/small", CIN, "m2m:cin", {"con": "12345678901"}, fr="Cdev"), 5207, 406)
    eq(state(lab, "cse-in/dev/small"), (1, 5))
    expect(lab.put("cse-in/dev/few", "m2m:cnt", {"mni": 1}, fr="Cdev"), UPDATED)
    eq(state(lab, "cse-in/dev/few"), (1, 2))


def an_instance_does_not_change(lab):
    lab.cin("cse-in/dev/c", "x", fr="Cdev", rn="fixed")
    expect(lab.put("cse-in/dev/c/fixed", "m2m:cin", {"con": "y"}, fr="Cdev"), 4005, 405)
    expect(lab.put("cse-in/dev/c/la", "m2m:cin", {"con": "y"}, fr="Cdev"), 4005)
    expect(lab.post("cse-in/dev/c/la", CIN, "m2m:cin", {"con": "y"}, fr="Cdev"), 4005)
    expect(lab.post("cse-in/dev/c", CIN, "m2m:cin", {"con": "y", "rn": "fixed"}, fr="Cdev"), 4105)
    a = lab.post("cse-in/dev/c", CIN, "m2m:cin", {"con": "y", "rn": "la"}, fr="Cdev")
    assert a.rsc in (4000, 4105), a
    eq(lab.get("cse-in/dev/c/la").root("m2m:cin")["con"], "x")
    expect(lab.post("cse-in/dev/c/fixed", CNT, "m2m:cnt", {}, fr="Cdev"), 4108)
    expect(lab.post("cse-in/dev/c", CIN, "m2m:cin", {"cnf": "text/plain:0"}, fr="Cdev"), 4000)
    expect(lab.post("cse-in/dev/c", CIN, "m2m:cin", {"con": "x", "cs": 3}, fr="Cdev"), 4000)


def content_keeps_its_shape(lab):
    for value in ("text", "", "quote\" back\\ \n\u0001 \u20ac \U0001f600", '{"a":[1,2,{"b":null}]}', "x" * 60000):
        made = lab.cin("cse-in/dev/c", value, fr="Cdev")
        eq(lab.get(made["ri"]).root("m2m:cin")["con"], value)


def names_are_unique_under_concurrency(lab):
    lab.cnt("cse-in/dev", "race", fr="Cdev")
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda i: lab.post("cse-in/dev/race", CNT, "m2m:cnt", {"rn": f"n{i // 8}"},
                                                   fr="Cdev").rsc, range(64)))
    eq((results.count(CREATED), results.count(4105)), (8, 56))
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda i: lab.cin("cse-in/dev/race", "abc", fr="Cdev"), range(200)))
    eq(state(lab, "cse-in/dev/race"), (200, 600))


def nested_containers_and_hierarchical_delete(lab):
    lab.cnt("cse-in/dev/c", "inner", fr="Cdev")
    deep = lab.cnt("cse-in/dev/c/inner", "deep", fr="Cdev")
    made = lab.cin("cse-in/dev/c/inner/deep", "v", fr="Cdev")
    expect(lab.delete("cse-in/dev/c/inner", "Cdev"), DELETED)
    for to in ("cse-in/dev/c/inner", "cse-in/dev/c/inner/deep", deep["ri"], made["ri"],
               "cse-in/dev/c/inner/deep/la"):
        expect(lab.get(to), 4004)


def the_cse_base_stays(lab):
    expect(lab.delete("cse-in"), 4005, 405)
    expect(lab.put("cse-in", "m2m:cb", {"lbl": ["x"]}), 4005)
    a = lab.post("cse-in", 5, "m2m:cb", {"rn": "second"})
    assert a.rsc in (4005, 4108), a
    expect(lab.get("cse-in/second"), 4004)


lab.main()
