#!/usr/bin/env python3
"""bastide demo 5g: everything passes, in time, and what it shows of the air is what the air has."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

BASTIDE = os.environ.get("BASTIDE", "build/bastide")
home = tempfile.mkdtemp(prefix="bastide-demo5g-")


def demo(*words, tmp=home):
    return subprocess.run([BASTIDE, "demo", *words], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "TMPDIR": tmp})


def it_passes_and_leaves_nothing():
    begin = time.monotonic()
    done = demo("5g")
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - begin < 10
    last = done.stdout.splitlines()[-1]
    assert re.fullmatch(r"\d{2,} passed, 0 failed", last), last
    assert "FAIL" not in done.stdout and os.listdir(home) == []


def each_step_has_a_sniffers_view_and_each_attack_fails():
    out = demo("5g").stdout
    for what in ("registration request", "RAND", "AUTN", "RES*", "security mode command", "PDU of reading 0",
                 "command after the cut", "forged command, NIA0"):
        assert f"sniffer: {what}" in out, what
    for what in ("replay", "bit of a PDU is flipped", "bidding down to NEA0", "bidding down to NIA0", "stolen",
                 "MAC failure", "last COUNT"):
        assert re.search(rf"ok   .*{what}", out), what
    assert "0000000001" not in "".join(line for line in out.splitlines() if "sniffer:" in line)


def the_capture_holds_what_was_sent_and_nothing_in_clear():
    done = demo("5g", "--keep")
    folder = re.search(r"The folder (\S+) stays", done.stdout).group(1)
    with open(os.path.join(folder, "air.pcap"), "rb") as f:
        air = f.read()
    with open(os.path.join(folder, "clear.pcap"), "rb") as f:
        clear = f.read()
    assert air.count(b"pdcp-nr") == 300 and b"meter" not in air
    assert clear.count(b"meter 4711 reading") == 300
    pdu = re.search(r"PDU of reading 0\s+([0-9a-f]+)", done.stdout).group(1)
    assert bytes.fromhex(pdu) in air
    shutil.rmtree(folder)


def wrong_uses_are_named():
    done = demo("6g")
    assert done.returncode == 2 and "5g" in done.stderr, done
    done = demo("5g", tmp=os.path.join(home, "nowhere"))
    assert done.returncode == 7 and "temporary folder" in done.stderr, done


passed = failed = 0
try:
    for case in (it_passes_and_leaves_nothing, each_step_has_a_sniffers_view_and_each_attack_fails,
                 the_capture_holds_what_was_sent_and_nothing_in_clear, wrong_uses_are_named):
        try:
            case()
            passed += 1
            print("ok  ", case.__name__.replace("_", " "))
        except Exception as e:
            failed += 1
            print("FAIL", case.__name__.replace("_", " "), repr(e))
finally:
    shutil.rmtree(home, ignore_errors=True)
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed or not passed else 0)
