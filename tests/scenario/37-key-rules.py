#!/usr/bin/env python3
"""TS-0003 6.3: who may use which key for what and how often, by rules of the configuration; and what the trail has of it."""
import os

import provider
from provider import DOMAIN, OK, Closed, Site, eq, find_in_files, forms_of

RULES = ["deny label=kpsa.locked* op=release_psk", "deny op=wrap", "allow subject=", "allow subject=mef"]


def make():
    return Site(settings=["se.policy=" + ",".join(RULES), "se.quota=owner=cse keys=4"])


def served(site, identity, key):
    try:
        with site.by_psk(identity, key) as h:
            return h.get("/id-in/cse-in", "CAdmin").status is not None
    except (Closed, OSError, AssertionError):
        return False


def rules_of_the_configuration_hold_in_a_server(site):
    free, locked = f"free@{DOMAIN}", f"locked@{DOMAIN}"
    keys = {identity: site.add_key(identity) for identity in (free, locked)}
    assert served(site, free, keys[free])
    assert not served(site, locked, keys[locked])
    record = site.audited("key.release_psk", lambda r: r["decision"] == "denied")
    assert "rule 1 of se.policy" in record["detail"] and record["credential"] == f"kpsa.{locked}", record


def each_release_is_on_the_trail_and_no_value(site):
    identity = f"heard@{DOMAIN}"
    key = site.add_key(identity)
    assert served(site, identity, key)
    record = site.audited("key.release_psk", lambda r: r["credential"] == f"kpsa.{identity}")
    eq((record["decision"], record["target"]), ("done", "cse"))
    assert "tls handshake with 127.0.0.1" in record["detail"], record
    site.audited("key.import", lambda r: r["credential"] == f"kpsa.{identity}")
    eq(find_in_files(os.path.join(site.state, "audit", "*"), forms_of(key)), [])
    assert "whole" in site.run("audit", "verify").out


def an_owner_has_as_many_keys_as_the_quota_says(site):
    made, refused = 0, ""
    while not refused and made < 10:
        try:
            site.add_key(f"more{made}@{DOMAIN}")
            made += 1
        except AssertionError as e:
            refused = str(e)
    assert made < 4 and "as many as it may" in refused, (made, refused)
    site.audited("key.import", lambda r: r["decision"] == "denied")
    site.restart()  # kept keys count
    try:
        site.add_key(f"again@{DOMAIN}")
        raise RuntimeError("a key more than the quota")
    except AssertionError as e:
        assert "as many as it may" in str(e), e


def the_server_itself_needs_a_rule(site):
    site.set_config("se.policy", '["allow subject=nobody"]')
    site.stop_process()
    done = site.cli("serve", timeout=20)
    assert done.code != 0 and "se.policy" in done.err, done
    site.set_config("se.policy", "[]")
    site.start()


def a_wrong_rule_is_refused_with_its_place(site):
    path = site.path("wrong.yaml")
    for rule, said in (("permit op=mac", "neither with allow nor with deny"), ("allow op=fly", "no operation 'fly'"),
                       ("allow colour=red", "no field 'colour'")):
        with open(path, "w") as f:
            f.write(f'se:\n  policy: ["{rule}"]\n')
        done = site.cli("config", "check", path, state=False)
        assert done.code == 3 and f"{path}:2:" in done.err and said in done.err, done


if __name__ == "__main__":
    provider.main(make)
