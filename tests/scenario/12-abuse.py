#!/usr/bin/env python3
"""What one originator does must not cost the others: loops, floods, questions that were not to be answered."""
import http.client
import json
import socket
import threading
import time

import lab
from lab import ACP, CIN, CNT, CREATED, DELETED, GRP, OK, PCH, SUB, UPDATED, Listener, eq, expect, select_wait


def group(lab, name, mid, fr="Cv"):
    return expect(lab.post("cse-in/v", GRP, "m2m:grp", {"rn": name, "mid": mid, "mnm": 50}, fr=fr), CREATED)


def subscribe(lab, to, name, nu, fr="Cv", **more):
    return lab.post(to, SUB, "m2m:sub", {"rn": name, "nu": [nu], **more}, fr=fr)


def quickly(what, seconds=10):
    begun = time.monotonic()
    answer = what()
    took = time.monotonic() - begun
    assert took < seconds, f"{took:.1f} s"
    return answer


def a_group_that_leads_to_itself_ends(lab):
    lab.ae("v")
    names = [f"cse-in/v/self/fopt/{c}" for c in "abcdefghij"] + ["cse-in/v/self/fopt/fopt"]
    group(lab, "self", names)
    quickly(lambda: lab.get("cse-in/v/self/fopt", "Cv"))
    quickly(lambda: lab.delete("cse-in/v/self/fopt", "Cv"))
    quickly(lambda: lab.post("cse-in/v/self/fopt", CNT, "m2m:cnt", {"rn": "x"}, fr="Cv"))
    expect(lab.get("cse-in/v", "Cv"), OK)


def groups_within_groups_are_followed_so_far(lab):
    lab.cnt("cse-in/v", "c", fr="Cv")
    group(lab, "g1", ["cse-in/v/c"])
    group(lab, "g2", ["cse-in/v/g1/fopt"])
    a = expect(lab.get("cse-in/v/g2/fopt", "Cv"), OK)
    assert '"m2m:cnt"' in json.dumps(a.json), a
    for n in range(3, 7):
        group(lab, f"g{n}", [f"cse-in/v/g{n - 1}/fopt"])
    a = expect(lab.get("cse-in/v/g6/fopt", "Cv"), OK)
    assert '"m2m:cnt"' not in json.dumps(a.json), a


def groups_that_notify_each_other_end(lab):
    l = Listener()
    lab.ae("target", poa=[l.url])
    group(lab, "n1", ["cse-in/v/n2", "cse-in/v/n2/../n2", "/id-in/cse-in/v/n2"])
    group(lab, "n2", ["cse-in/v/n1", "/id-in/cse-in/v/n1", "Ctarget"])
    lab.cnt("cse-in/v", "loud", fr="Cv")
    expect(subscribe(lab, "cse-in/v/loud", "s", "cse-in/v/n1", enc={"net": [3]}), CREATED)
    while l.next().get("vrq"):
        if l.got.empty():
            break
    lab.cin("cse-in/v/loud", "once", fr="Cv")
    l.next_event()
    select_wait(1.0)
    assert l.got.qsize() < 10, f"{l.got.qsize()} more notifications of one event"
    l.close()


def a_condition_tells_nothing_to_who_has_no_access(lab):
    lab.ae("nosy")
    lab.cnt("cse-in/v", "secret", fr="Cv", lbl=["code:4711"])
    for wanted in ("code:4711", "code:0000"):
        expect(lab.get(f"cse-in/v/secret?fu=2&lbl={wanted}", "Cnosy"), 4103)
        expect(lab.delete(f"cse-in/v/secret?fu=2&lbl={wanted}", "Cnosy"), 4103)
    expect(lab.get("cse-in/v/secret?fu=2&lbl=code:0000", "Cv"), 4004)
    expect(lab.get("cse-in/v/secret?fu=2&lbl=code:4711", "Cv"), OK)


def who_may_not_read_may_not_watch(lab):
    def policy(acop):
        return {"pv": {"acr": [{"acor": ["Cv"], "acop": 63}, {"acor": ["Cnosy"], "acop": acop}]},
                "pvs": {"acr": [{"acor": ["Cv"], "acop": 63}]}}
    acp = expect(lab.post("cse-in/v", ACP, "m2m:acp", {"rn": "p", **policy(1)}, fr="Cv"), CREATED).root("m2m:acp")["ri"]
    lab.cnt("cse-in/v", "box", fr="Cv", acpi=[acp])
    l = Listener()
    expect(subscribe(lab, "cse-in/v/box", "s", l.url, fr="Cnosy", enc={"net": [3]}), 4103)
    expect(lab.put("cse-in/v/p", "m2m:acp", policy(3), fr="Cv"), UPDATED)
    expect(subscribe(lab, "cse-in/v/box", "s", l.url, fr="Cnosy", enc={"net": [3]}), CREATED)
    lab.cin("cse-in/v/box", "seen", fr="Cv")
    eq(l.next_event()["nev"]["rep"]["m2m:cin"]["con"], "seen")
    expect(lab.put("cse-in/v/p", "m2m:acp", policy(1), fr="Cv"), UPDATED)
    lab.cin("cse-in/v/box", "hidden", fr="Cv")
    l.silent(1.0)
    expect(lab.put("cse-in/v/p", "m2m:acp", policy(2), fr="Cv"), UPDATED)
    lab.cin("cse-in/v/box", "again", fr="Cv")
    eq(l.next_event()["nev"]["rep"]["m2m:cin"]["con"], "again")
    l.close()


def a_missing_instance_is_reported_for_readers_only(lab):
    l = Listener()
    lab.cnt("cse-in/v", "void", fr="Cv")
    expect(subscribe(lab, "cse-in/v/void", "s", l.url, enc={"net": [5]}), CREATED)
    assert l.next().get("vrq")
    lab.get("cse-in/v/void/la", "Cnosy")
    l.silent(0.6)
    expect(lab.get("cse-in/v/void/la", "Cv"), 4004)
    eq(l.next_event()["nev"]["net"], 5)
    l.close()


def too_many_targets_are_refused(lab):
    nu = [f"http://127.0.0.1:1/{n}" for n in range(101)]
    expect(lab.post("cse-in/v/c", SUB, "m2m:sub", {"nu": nu}, fr="Cv"), 5207)


def poll(lab, ms, hold):
    """A poll whose connection stays open and unread; returns the socket."""
    s = socket.create_connection(("127.0.0.1", lab.port))
    s.sendall((f"GET /cse-in/poller/pch/pcu HTTP/1.1\r\nHost: x\r\nX-M2M-Origin: Cpoller\r\nX-M2M-RI: p{hold}\r\n"
               f"X-M2M-RVI: 3\r\nX-M2M-RET: {ms}\r\n\r\n").encode())
    return s


def a_poll_of_a_lost_connection_takes_no_notification(lab):
    lab.ae("poller", rr=False)
    expect(lab.post("cse-in/poller", PCH, "m2m:pch", {"rn": "pch"}, fr="Cpoller"), CREATED)
    lab.cnt("cse-in/poller", "c", fr="Cpoller")
    expect(subscribe(lab, "cse-in/poller/c", "s", "/id-in/Cpoller", fr="Cpoller", enc={"net": [3]}), CREATED)
    lost = poll(lab, 30000, 1)
    select_wait(0.3)
    lost.close()
    held = poll(lab, 30000, 2)
    select_wait(0.3)
    lab.cin("cse-in/poller/c", "for the living", fr="Cpoller")
    held.settimeout(10)
    assert b"for the living" in held.recv(65536)
    held.close()


def polls_of_one_channel_are_few(lab):
    polls = [poll(lab, 60000, 10 + n) for n in range(12)]
    select_wait(0.5)
    answered = 0
    for s in polls:
        s.settimeout(0.3)
        try:
            answered += b" 504 " in s.recv(65536)
        except TimeoutError:
            pass
    assert answered >= 8, f"{answered} old polls were ended"
    for s in polls:
        s.close()


def peers_may_vanish_in_the_middle(lab):
    def request(line, body=b"", more=""):
        s = socket.create_connection(("127.0.0.1", lab.port))
        s.sendall((f"{line} HTTP/1.1\r\nHost: x\r\nX-M2M-Origin: Cv\r\nX-M2M-RI: z\r\nX-M2M-RVI: 3\r\n{more}"
                   f"Content-Length: {len(body)}\r\n\r\n").encode() + body)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        s.close()
    group(lab, "many", [f"cse-in/v/c{n}" for n in range(40)])
    for n in range(40):
        lab.cnt("cse-in/v", f"c{n}", fr="Cv")
    cin = json.dumps({"m2m:cin": {"con": "x" * 1000}}).encode()
    content = "Content-Type: application/json;ty=4\r\n"
    for _ in range(30):
        request("POST /cse-in/v/many/fopt", cin, content)
        request("POST /cse-in/v/c?rt=1", cin, content)
        request("POST /cse-in/v/c?rt=3", cin, content)
        request("GET /cse-in/v/many/fopt?rcn=4")
        request("GET /cse-in?fu=1")
        request("POST /cse-in/v/c", json.dumps({"m2m:sub": {"nu": ["http://127.0.0.1:1/x"]}}).encode(),
                "Content-Type: application/json;ty=23\r\n")
    select_wait(1)
    expect(lab.get("cse-in/v", "Cv"), OK)


def an_ae_may_remove_itself_through_a_group(lab):
    for turn in range(5):
        lab.ae("suicide")
        for n in range(20):
            lab.cnt("cse-in/suicide", f"c{n}", fr="Csuicide")
        mid = ["Csuicide"] + [f"cse-in/suicide/c{n}" for n in range(20)]
        expect(lab.post("cse-in/suicide", GRP, "m2m:grp", {"rn": "g", "mid": mid, "mnm": 50}, fr="Csuicide"), CREATED)
        a = lab.delete("cse-in/suicide/g/fopt", "Csuicide")
        assert a.rsc == OK, a
        expect(lab.get("Csuicide"), 4004)


def an_ae_does_not_register_through_a_group(lab):
    group(lab, "bases", ["cse-in", "/id-in/cse-in"])
    a = lab.post("cse-in/v/bases/fopt", 2, "m2m:ae", {"api": "N.x", "rr": False, "srv": ["3"]}, fr="Cv")
    assert a.rsc in (4005, 4117, 4106), a


if __name__ == "__main__":
    lab.main()
