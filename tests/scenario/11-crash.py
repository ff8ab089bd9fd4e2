#!/usr/bin/env python3
"""What was answered is there after SIGKILL and a restart, and what was not is whole or absent."""
import http.client
import threading

import lab
from lab import OK, eq, expect


def acknowledged_instances_survive_sigkill(lab):
    lab.ae("k")
    lab.cnt("cse-in/k", "c", fr="Ck")
    for round_ in range(3):
        acked, stop = [], threading.Event()

        def write(n):
            i = 0
            while not stop.is_set():
                name = f"r{round_}-{n}-{i}"
                try:
                    a = lab.post("cse-in/k/c", 4, "m2m:cin", {"rn": name, "con": name}, fr="Ck")
                except (OSError, http.client.HTTPException):
                    return
                if a.rsc != 2001:
                    return
                acked.append(name)
                i += 1

        threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
        for t in threads:
            t.start()
        while len(acked) < 400:
            lab_wait()
        lab.kill()
        stop.set()
        for t in threads:
            t.join()
        lab.start()
        for name in acked:
            eq(expect(lab.get("cse-in/k/c/" + name, "Ck"), OK).root("m2m:cin")["con"], name)
        cnt = lab.get("cse-in/k/c", "Ck").root("m2m:cnt")
        kids = lab.get("cse-in/k/c?rcn=8", "Ck").root("m2m:cnt")["m2m:cin"]
        eq(cnt["cni"], len(kids))
        eq(cnt["cbs"], sum(k["cs"] for k in kids))


def lab_wait():
    threading.Event().wait(0.01)


def a_second_server_on_the_same_state_is_refused(lab):
    import subprocess
    p = subprocess.run([lab_bastide(), "serve", "--state", lab.state, "--lab", "1"], capture_output=True, timeout=20,
                       text=True)
    assert p.returncode != 0 and str(lab.process.pid) in p.stderr, p


def lab_bastide():
    import lab as module
    return module.BASTIDE


lab.main()
