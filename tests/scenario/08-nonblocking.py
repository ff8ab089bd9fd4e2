#!/usr/bin/env python3
"""TS-0004 7.2.2, 7.4.12: response types and the request resource; pollingChannel 7.4.21."""
import threading

import lab
from lab import CIN, CNT, CREATED, DELETED, OK, PCH, Listener, eq, expect, select_wait


def result(lab, uri, fr):
    for _ in range(100):
        a = expect(lab.get(uri, fr), OK).root("m2m:req")
        if a["rs"] in (1, 2):
            return a
        select_wait(0.05)
    raise AssertionError(f"request never ended: {a}")


def a_synchronous_request_is_fetched_later(lab):
    lab.ae("r")
    lab.cnt("cse-in/r", "c", fr="Cr")
    a = expect(lab.post("cse-in/r/c?rt=1", CIN, "m2m:cin", {"con": "later"}, fr="Cr"), 1001, 202)
    uri = a.root("m2m:uri")
    req = result(lab, uri, "Cr")
    eq((req["rs"], req["ors"]["rsc"], req["op"], req["org"][-2:]), (1, 2001, 1, "Cr"))
    eq(req["ors"]["pc"]["m2m:cin"]["con"], "later")
    eq(lab.get("cse-in/r/c/la", "Cr").root("m2m:cin")["con"], "later")
    lab.ae("other")
    expect(lab.get(uri, "Cother"), 4103)
    expect(lab.delete(uri, "Cr"), DELETED)


def a_failed_operation_is_recorded(lab):
    a = expect(lab.get("cse-in/r/none?rt=1", "Cr"), 1001)
    req = result(lab, a.root("m2m:uri"), "Cr")
    eq(req["ors"]["rsc"], 4004)


def an_asynchronous_request_is_told(lab):
    l = Listener()
    a = lab.get("cse-in/r/c/la?rt=2", "Cr", headers={"X-M2M-RTU": l.url})
    expect(a, 1002, 202)
    headers, body = l.got.get(timeout=10)
    rsp = body.get("m2m:rsp", body)
    eq(rsp["rsc"], 2000)
    eq(rsp["pc"]["m2m:cin"]["con"], "later")
    l.close()


def no_answer_is_wanted(lab):
    a = lab.post("cse-in/r/c?rt=5", CIN, "m2m:cin", {"con": "silent"}, fr="Cr")
    assert a.status in (200, 202, 204), a
    for _ in range(100):
        if lab.get("cse-in/r/c/la", "Cr").root("m2m:cin")["con"] == "silent":
            return
        select_wait(0.05)
    raise AssertionError("never done")


def flexible_blocking_answers_in_one_of_its_ways(lab):
    a = lab.get("cse-in/r/c?rt=4", "Cr")
    assert a.rsc in (2000, 1001), a
    expect(lab.get("cse-in/r/c?rt=9", "Cr"), 4000)


def a_polling_channel_delivers_to_its_owner_only(lab):
    lab.ae("p", rr=False)
    expect(lab.post("cse-in/p", PCH, "m2m:pch", {"rn": "pch"}, fr="Cr"), 4103)
    expect(lab.post("cse-in/p", PCH, "m2m:pch", {"rn": "pch"}, fr="Cp"), CREATED)
    expect(lab.get("cse-in/p/pch", "Cr"), 4103)
    expect(lab.get("cse-in/p/pch/pcu", "Cr"), 4103)
    expect(lab.get("cse-in/p/pch/pcu", "Cp",
                   headers={"X-M2M-RET": "300"}), 4008, 504)
    lab.cnt("cse-in/p", "c", fr="Cp")
    got = {}

    def poll():
        a = lab.get("cse-in/p/pch/pcu", "Cp", headers={"X-M2M-RET": "8000"})
        got["first"] = a

    t = threading.Thread(target=poll)
    t.start()
    expect(lab.post("cse-in/p/c", 23, "m2m:sub", {"rn": "s", "nu": ["/id-in/Cp"], "enc": {"net": [3]}}, fr="Cp"), CREATED)
    lab.cin("cse-in/p/c", "polled", fr="Cp")
    t.join(10)
    a = expect(got["first"], OK)
    rqp = a.json.get("m2m:rqp", a.json)
    sgn = rqp["pc"]["m2m:sgn"]
    eq(rqp["op"], 5)
    eq(sgn["nev"]["rep"]["m2m:cin"]["con"], "polled")


def an_ae_has_one_polling_channel(lab):
    expect(lab.post("cse-in/p", PCH, "m2m:pch", {"rn": "second"}, fr="Cp"), 4105)
    expect(lab.post("cse-in/r/c", PCH, "m2m:pch", {"rn": "astray"}, fr="Cr"), 4108)


def a_polled_request_is_answered_by_a_notify(lab):
    lab.ae("q", rr=False)
    expect(lab.post("cse-in/q", PCH, "m2m:pch", {"rn": "pch"}, fr="Cq"), CREATED)
    lab.cnt("cse-in/r", "watched", fr="Cr")
    got = {}

    def subscribe():
        got["sub"] = lab.post("cse-in/r/watched", 23, "m2m:sub", {"rn": "s", "nu": ["/id-in/Cq"], "enc": {"net": [3]}},
                              fr="Cr")

    t = threading.Thread(target=subscribe)
    t.start()
    a = expect(lab.get("cse-in/q/pch/pcu", "Cq", headers={"X-M2M-RET": "8000"}), OK)
    asked = a.json.get("m2m:rqp", a.json)
    assert asked["pc"]["m2m:sgn"]["vrq"] is True, asked
    answer = {"m2m:rsp": {"rsc": OK, "rqi": asked["rqi"]}}
    expect(lab.send("POST", "cse-in/q/pch/pcu", "Cr", answer), 4103)
    expect(lab.send("POST", "cse-in/q/pch/pcu", "Cq", {"m2m:sgn": {}}), 4000)
    expect(lab.send("POST", "cse-in/q/pch/pcu", "Cq", answer), OK)
    t.join(10)
    expect(got["sub"], CREATED)


def a_request_resource_is_the_cses(lab):
    expect(lab.post("cse-in", 17, "m2m:req", {"rn": "forged", "op": 2, "tg": "cse-in", "org": "Cr", "rid": "1",
                                              "rs": 1, "mi": {}}, fr="Cr"), 4005)
    a = expect(lab.get("cse-in/r?rt=1", "Cr"), 1001)
    uri = a.root("m2m:uri")
    result(lab, uri, "Cr")
    expect(lab.put(uri, "m2m:req", {"lbl": ["x"]}, fr="Cr"), 4000)


lab.main()
