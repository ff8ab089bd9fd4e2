#!/usr/bin/env python3
"""A request without X-M2M-RVI is one of Release 1 (TS-0004 7.3.2.1): nothing newer is asked or told."""
import lab
from lab import AE, CNT, CREATED, DELETED, OK, eq, expect


def an_application_needs_no_supported_releases(lab):
    a = lab.post("cse-in", AE, "m2m:ae", {"rn": "old", "api": "N.old", "rr": True}, fr="Cold", rvi=None)
    expect(a, CREATED)
    assert "srv" not in a.root("m2m:ae"), a
    cb = expect(lab.get("cse-in", "Cold", rvi=None), OK).root("m2m:cb")
    assert "srv" not in cb, cb
    expect(lab.post("cse-in", AE, "m2m:ae", {"rn": "old3", "api": "N.old", "rr": True}, fr="Cold3"), 4000)


def the_work_of_a_simple_device_goes_through(lab):
    expect(lab.post("cse-in/old", CNT, "m2m:cnt", {"rn": "c"}, fr="Cold", rvi=None), CREATED)
    expect(lab.post("cse-in/old/c", 4, "m2m:cin", {"con": "21.5"}, fr="Cold", rvi=None), CREATED)
    eq(expect(lab.get("cse-in/old/c/la", "Cold", rvi=None), OK).root("m2m:cin")["con"], "21.5")
    expect(lab.delete("cse-in/old/c", "Cold", rvi=None), DELETED)


def newer_status_codes_become_older_ones(lab):
    a = lab.post("cse-in", AE, "m2m:ae", {"rn": "again", "api": "N.old", "rr": True}, fr="Cold", rvi=None)
    assert a.rsc in (4105, 5106), a


lab.main()
