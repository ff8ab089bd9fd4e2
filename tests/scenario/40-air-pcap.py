#!/usr/bin/env python3
"""TS 38.323, TS 33.501 6.5 and 6.6: bastide air on captures; tshark deciphers and verifies what Bastide protects, and
Bastide opens it. Only files: nothing is captured."""
import functools
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import traceback

BASTIDE = os.environ.get("BASTIDE", "build/bastide")
if not shutil.which("tshark"):
    print("SKIP: tshark is not installed (package tshark)")
    sys.exit(77)

home = tempfile.mkdtemp(prefix="bastide-air-")
UP, DOWN, SRB, DRB = 0, 1, 1, 2
KGNB = "b3a4e1d5c6f7988776655443322110ffeeddccbbaa99887766554433221100aa"
# KRRCenc, KRRCint, KUPenc, KUPint as given keys, all different.
KEYS = {name: bytes(range(n, n + 16)).hex() for name, n in
        (("krrcenc", 0x10), ("krrcint", 0x30), ("kupenc", 0x50), ("kupint", 0x70))}
TEXT = bytes(range(40)) + b"five hundred readings of a meter"


def path(name):
    return os.path.join(home, name)


def put(name, data):
    with open(path(name), "wb") as f:
        os.fchmod(f.fileno(), 0o600)
        f.write(data if isinstance(data, bytes) else data.encode())
    return path(name)


# ---- captures, written and read here independently of the code under test

def header(plane, bits, sn):
    if bits == 18:
        return struct.pack(">I", 0x800000 | sn)[1:]
    return struct.pack(">H", (0x8000 if plane == DRB else 0) | sn)


def framed(plane, bits, direction, rb, pdu, ueid=1, mac=False, sdap=False, clear=True):
    tags = b"pdcp-nr" + bytes([plane])
    tags += bytes([2, bits]) if plane == DRB else b""
    tags += bytes([3, direction, 4, 1, 5, rb, 6]) + struct.pack(">H", ueid)
    tags += b"\x0f" if mac else b""
    tags += bytes([0x10, 1 << direction]) if sdap else b""
    tags += b"\x11" if clear else b""
    return tags + b"\x01" + pdu


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(payload):
    udp = struct.pack(">HHHH", 9999, 9999, 8 + len(payload), 0) + payload
    ip = bytearray(struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 7, 0, 64, 17, 0, b"\x0a\0\0\1", b"\x0a\0\0\2"))
    ip[10:12] = struct.pack(">H", checksum(ip))
    return bytes(12) + b"\x08\0" + bytes(ip) + udp


def capture(packets):
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    for i, data in enumerate(packets):
        out += struct.pack("<IIII", 1700000000, i * 1000, len(data), len(data)) + data
    return out


def capture_ng(packets):
    def block(kind, body):
        body += bytes(-len(body) % 4)
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)
    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, struct.pack("<HHI", 1, 0, 0))
    for i, data in enumerate(packets):
        ticks = 1700000000000000 + i * 1000
        out += block(6, struct.pack("<IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data)) + data)
    return out


def packets_of(name):
    with open(path(name), "rb") as f:
        data = f.read()
    at, found = 24, []
    while at < len(data):
        n = struct.unpack_from("<I", data, at + 8)[0]
        found.append(data[at + 16:at + 16 + n])
        at += 16 + n
    return found


def clear_trace():
    """Both planes, both lengths of SN, both directions, with and without SDAP header, with SNs that wrap."""
    frames = []
    for sn in range(3):
        for direction in (UP, DOWN):
            frames.append(framed(SRB, 12, direction, 1, header(SRB, 12, sn) + TEXT + bytes([sn]) + bytes(4),
                                 mac=True))
            frames.append(framed(DRB, 18, direction, 5, header(DRB, 18, sn) + TEXT + bytes([sn])))
    for count in range(4093, 4101):
        frames.append(framed(DRB, 12, UP, 1, header(DRB, 12, count & 4095) + b"\x81" + TEXT, sdap=True))
    return frames


FIRST = [{"plane": "drb", "rb": 1, "direction": "uplink", "count": f"{4093:08x}"}]


def key_file(name, nea=2, nia=2, keys=None, starts=True, **more):
    ue = {"ueid": 1, "ciphering": f"NEA{nea}", "integrity": f"NIA{nia}", **(keys or KEYS), **more}
    if starts:
        ue["starts"] = FIRST
    return put(name, json.dumps({"ues": [ue]}))


# ---- running

class Done:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"exit {self.code}\n{self.out}{self.err}"


def run(*words):
    p = subprocess.run([BASTIDE, *words], capture_output=True, text=True, timeout=60)
    return Done(p.returncode, p.stdout, p.stderr)


def air(word, source, target, keys, *more):
    return run("air", word, "--json", "--pcap", path(source), "--out", path(target), "--keys", keys, *more)


def tally(done):
    return json.loads(done.out.splitlines()[-1])


def tshark(name, nea, nia, keys=None):
    """What Wireshark makes of each packet: COUNT, octets in clear, whether it found a MAC-I wrong."""
    keys = {**KEYS, **(keys or {})}
    ciphers = ("NEA0 (NULL)", "NEA1 (SNOW3G)", "NEA2 (AES)", "NEA3 (ZUC)")
    proofs = ("NIA0 (NULL)", "NIA1 (SNOW3G)", "NIA2 (AES)", "NIA3 (ZUC)")
    row = ",".join(f'"{v}"' for v in ("1", keys["krrcenc"], keys["kupenc"], keys["krrcint"], keys["kupint"]))
    options = {"default_ciphering_algorithm": ciphers[nea], "default_integrity_algorithm": proofs[nia],
               "decipher_signalling": "TRUE", "decipher_userplane": "TRUE", "verify_integrity": "TRUE",
               "check_sequence_numbers": "Only-PDCP-frames", "show_user_plane_as_ip": "FALSE",
               "show_signalling_plane_as_rrc": "FALSE"}
    words = ["tshark", "-r", path(name), "--enable-heuristic", "pdcp_nr_udp", "-T", "json",
             "-o", "uat:pdcp_nr_ue_keys:" + row]
    for option, value in options.items():
        words += ["-o", f"pdcp-nr.{option}:{value}"]
    p = subprocess.run(words, capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": home})
    assert p.returncode == 0, p.stderr
    return [Seen(item["_source"]["layers"]["pdcp-nr"]) for item in json.loads(p.stdout)]


class Seen:
    def __init__(self, layer):
        text = layer.get("pdcp-nr.user-data") or layer.get("pdcp-nr.signalling-data") or ""
        self.data = bytes.fromhex(text.replace(":", ""))
        self.wrong = "pdcp-nr.maci-wrong" in json.dumps(layer)
        self.verified = "pdcp-nr.mac" in layer and not self.wrong
        self.count = int(layer["pdcp-nr.security-config_tree"]["pdcp-nr.security-config.count"])
        self.bearer = int(layer["pdcp-nr.security-config_tree"]["pdcp-nr.security-config.bearer"])


# ---- cases

PUT = [packet(f) for f in clear_trace()]
EXPECTED = [TEXT + bytes([i // 4]) for i in range(12)] + [TEXT] * 8


def protect(nea=2, nia=2, name="sealed.pcap", **more):
    """The clear trace under one pair of algorithms; the name of the protected one."""
    put("clear.pcap", capture(PUT))
    keys = key_file("keys.json", nea, nia, **more)
    done = air("protect", "clear.pcap", name, keys)
    assert done.code == 0 and tally(done)["protected"] == len(PUT), done
    return name


def flip(packets, index, bit):
    changed = bytearray(packets[index])
    changed[bit // 8] ^= 1 << bit % 8
    return packets[:index] + [bytes(changed)] + packets[index + 1:]


def open_packets(packets, keys, *more):
    put("in.pcap", capture(packets))
    return air("open", "in.pcap", "opened.pcap", keys, *more)


def data_part(frame):
    """Octets behind the PDCP header of a frame of this trace, without MAC-I and SDAP header."""
    pdu = frame[frame.index(b"\x01", frame.index(b"\x06\x00\x01") + 3):][1:]
    return pdu[3 if frame[frame.index(b"pdcp-nr") + 9] == 18 else 2:-4]


@functools.cache
def verifies(nia):
    """Whether this tshark computes NIA of that number: a changed octet must make it complain."""
    packets = packets_of(protect(0, nia, up_ciphering=False))
    put("flipped.pcap", capture(flip(packets, 1, len(packets[1]) * 8 - 41)))
    return tshark("flipped.pcap", 0, nia)[1].wrong


@functools.cache
def deciphers(nea):
    """Whether it computes NEA of that number: it shows the ciphertext as it is when it does not."""
    name = protect(nea, 2)
    return tshark(name, nea, 2)[1].data != data_part(packets_of(name)[1])


@functools.cache
def signalling():
    """Whether it deciphers a signalling bearer: from 4.4 on only when it saw the RRC messages that start it."""
    does = tshark(protect(2, 2), 2, 2)[0].data == EXPECTED[0]
    if not does:
        print("     not checked: this tshark deciphers signalling only behind an RRC SecurityModeCommand")
    return does


def told(seen):
    """What it should have got right, with what was put in."""
    return [(s, e) for s, e in zip(seen, EXPECTED) if s.bearer or signalling()]


def wireshark_agrees(nea, nia, **more):
    if not deciphers(nea) and nea or not verifies(nia):
        print(f"     not checked: this tshark does not compute {'NIA' if nea == 0 or deciphers(nea) else 'NEA'}"
              f"{nia if nea == 0 or deciphers(nea) else nea}")
        return
    seen = tshark(protect(nea, nia, **more), nea, nia)
    plain, with_sdap = told(seen[:12]), seen[12:]
    assert len(plain) >= 6 and all(s.data == e and s.verified and not s.wrong for s, e in plain)
    assert [s.bearer for s in seen[:2]] == [0, 4]
    # Releases of Wireshark take the first octet behind an SDAP header for that header when they show and verify.
    assert all(s.data in (TEXT, TEXT[1:]) for s in with_sdap)
    assert [s.count for s in with_sdap] == list(range(4093, 4101))


def aes_is_deciphered_and_verified_by_wireshark():
    assert deciphers(2) and verifies(2)  # each build has it
    wireshark_agrees(2, 2)
    wrong = tshark("sealed.pcap", 2, 2, keys={"kupenc": "00" * 16})
    assert wrong[0].verified == signalling() and wrong[1].wrong and wrong[1].data != EXPECTED[1]
    wrong = tshark("sealed.pcap", 2, 2, keys={"kupint": "00" * 16})
    assert wrong[0].verified == signalling() and wrong[1].wrong and wrong[1].data == EXPECTED[1]


def integrity_alone_is_verified_by_wireshark():
    wireshark_agrees(0, 2)
    wireshark_agrees(2, 2, up_ciphering=False)


def snow_3g_and_zuc_are_verified_by_wireshark_where_it_has_them():
    for nea, nia in ((1, 1), (3, 3), (1, 2), (3, 2), (2, 1), (2, 3), (0, 1), (0, 3)):
        wireshark_agrees(nea, nia)


def ciphering_alone_is_deciphered_by_wireshark():
    seen = tshark(protect(2, 2, up_integrity=False), 2, 2)
    assert all(s.data == e and not s.wrong for s, e in told(seen[:12])) and not any(s.wrong for s in seen[12:])


def integrity_covers_the_sdap_header():
    """Computed by openssl over PDCP header, SDAP header and data (TS 38.323 5.9, 6.3.3)."""
    packets = packets_of(protect(0, 2, up_ciphering=False))
    for count in (4093, 4098):
        octets = packets[12 + count - 4093][-4:]
        message = struct.pack(">II", count, UP << 26) + header(DRB, 12, count & 4095) + b"\x81" + TEXT
        made = subprocess.run(["openssl", "mac", "-cipher", "AES-128-CBC", "-macopt", "hexkey:" + KEYS["kupint"],
                               "-in", put("message", message), "CMAC"], capture_output=True, text=True, check=True)
        assert made.stdout.strip().lower()[:8] == octets.hex(), made


def every_algorithm_opens_what_it_protected():
    for n in range(4):
        protect(n, max(n, 1))
        done = air("open", "sealed.pcap", "opened.pcap", path("keys.json"))
        assert done.code == 0, done
        opened, sealed = packets_of("opened.pcap"), packets_of("sealed.pcap")
        assert [TEXT in p for p in opened] == [True] * len(PUT)
        assert all((TEXT in p) == (n == 0) for p in sealed)
        again = air("protect", "opened.pcap", "again.pcap", path("keys.json"))
        assert again.code == 0 and packets_of("again.pcap") == sealed, again


def an_opened_capture_is_the_one_in_clear():
    for n in range(4):
        protect(n, max(n, 1))
        assert air("open", "sealed.pcap", "opened.pcap", path("keys.json")).code == 0
        assert packets_of("opened.pcap") == PUT


def a_changed_bit_is_named_and_left_out():
    packets = packets_of(protect())
    for bit in (-1, -40, -200):
        done = open_packets(flip(packets, 4, len(packets[4]) * 8 + bit), path("keys.json"))
        assert done.code == 1 and "packet 5 refused: authentication tag does not match" in done.err, done
        assert tally(done) == {"opened": len(PUT) - 1, "unprotected": 0, "copied": 0, "refused": 1}
        assert packets_of("opened.pcap") == PUT[:4] + PUT[5:]


def a_wrong_key_opens_nothing():
    protect()
    wrong = key_file("wrong.json", keys={**KEYS, "kupint": "00" * 16, "krrcint": "00" * 16})
    done = air("open", "sealed.pcap", "opened.pcap", wrong)
    assert done.code == 1 and tally(done)["refused"] == len(PUT) and packets_of("opened.pcap") == [], done


def another_bearer_or_direction_does_not_open():
    packets = packets_of(protect())
    for tag in (b"\x04\x01\x05\x05", b"\x03\x00\x04\x01"):
        at = packets[1].index(tag) + (3 if tag[0] == 4 else 1)
        moved = bytearray(packets[1])
        moved[at] ^= 1
        done = open_packets([bytes(moved)], path("keys.json"))
        assert done.code == 1 and "authentication tag does not match" in done.err, done


def a_replay_is_refused():
    packets = packets_of(protect())
    done = open_packets(packets + [packets[1]], path("keys.json"))
    assert done.code == 1 and f"packet {len(PUT) + 1} refused: received before" in done.err, done
    done = air("protect", "clear.pcap", "x.pcap", path("keys.json"))
    put("clear.pcap", capture(PUT + [PUT[0]]))
    done = air("protect", "clear.pcap", "x.pcap", path("keys.json"))
    assert done.code == 1 and "received before" in done.err, done  # the same keystream twice


def a_pdu_without_the_protection_that_is_activated_is_refused():
    packets = packets_of(protect(up_integrity=False))
    both = key_file("both.json")
    done = open_packets(packets, both)
    assert done.code == 1 and "the PDU has no MAC-I, integrity is activated" in done.err, done
    done = open_packets(PUT, both)
    assert done.code == 1 and tally(done) == {"opened": 0, "unprotected": 6, "copied": 0, "refused": 14}, done


def signalling_before_activation_passes_and_after_it_does_not():
    sealed = packets_of(protect())
    mixed = [PUT[0], sealed[4], PUT[8]]  # SRB 1 uplink: SN 0 in clear, SN 1 protected, SN 2 in clear
    done = open_packets(mixed, path("keys.json"))
    assert done.code == 1 and tally(done) == {"opened": 1, "unprotected": 1, "copied": 0, "refused": 1}, done


def what_is_not_ours_is_copied():
    other = [bytes(60), packet(b"hello"), packet(framed(DRB, 12, UP, 1, header(DRB, 12, 9) + b"x", ueid=77))]
    done = open_packets(other + packets_of(protect()), path("keys.json"))
    assert done.code == 0 and tally(done)["copied"] == 3, done
    assert packets_of("opened.pcap")[:3] == other
    done = open_packets(other, path("keys.json"))
    assert done.code == 1 and tally(done)["opened"] == 0, done


def pcapng_is_read():
    packets = packets_of(protect())
    put("in.pcapng", capture_ng(packets))
    done = air("open", "in.pcapng", "opened.pcap", path("keys.json"))
    assert done.code == 0 and packets_of("opened.pcap") == PUT, done


def algorithms_with_256_bit_keys_are_marked_experimental():
    for n in (4, 5, 6):
        for suite in ({"ciphering": f"NEA{n}", "integrity": f"NIA{n}", "mac_bits": 64}, {"combined": f"NCA{n}"}):
            put("clear.pcap", capture(PUT))
            keys = put("k.json", json.dumps({"ues": [{"ueid": 1, "kgnb": KGNB, "starts": FIRST, **suite}]}))
            done = air("protect", "clear.pcap", "sealed.pcap", keys)
            assert done.code == 0 and "experimental" in done.err, done
            done = air("open", "sealed.pcap", "opened.pcap", keys)
            assert done.code == 0 and packets_of("opened.pcap") == PUT, done


def null_integrity_needs_an_emergency():
    put("clear.pcap", capture(PUT[:1]))
    done = air("protect", "clear.pcap", "x.pcap", key_file("null.json", 0, 0))
    assert done.code == 3 and "emergency" in done.err, done
    done = air("protect", "clear.pcap", "x.pcap", key_file("null.json", 0, 0, emergency=True))
    assert done.code == 0, done
    put("clear.pcap", capture(PUT[1:2]))
    done = air("protect", "clear.pcap", "x.pcap", key_file("null.json", 0, 0, emergency=True))
    assert done.code == 1 and "NIA0 is not for data radio bearers" in done.err, done


def keys_stay_in_a_secure_environment():
    uri, raw = "se:soft?dir=" + path("ran/se"), put("kgnb.bin", bytes.fromhex(KGNB))
    os.makedirs(path("ran/se"), mode=0o700)
    done = run("key", "import", uri, "ran.kgnb.1", "--in", raw, "--type", "symmetric", "--use", "routine")
    assert done.code == 0, done
    named = key_file("named.json", keys={"kgnb_label": "ran.kgnb.1"})
    given = key_file("given.json", keys={"kgnb": KGNB})
    put("clear.pcap", capture(PUT))
    assert air("protect", "clear.pcap", "a.pcap", given).code == 0
    done = air("protect", "clear.pcap", "b.pcap", named, "--profile", path("ran"))
    assert done.code == 0 and packets_of("a.pcap") == packets_of("b.pcap"), done
    assert air("protect", "clear.pcap", "b.pcap", named).code == 2
    absent = key_file("absent.json", keys={"kgnb_label": "nobody"})
    assert air("protect", "clear.pcap", "b.pcap", absent, "--profile", path("ran")).code == 5


def errors_are_in_words():
    put("clear.pcap", capture(PUT))
    keys = key_file("keys.json")
    os.chmod(keys, 0o644)
    assert "chmod 600" in air("open", "clear.pcap", "x.pcap", keys).err
    put("cut.pcap", capture(PUT)[:-5])
    done = air("open", "cut.pcap", "x.pcap", keys)
    assert done.code == 3 and f"behind packet {len(PUT) - 1}" in done.err, done
    done = air("open", "keys.json", "x.pcap", keys)
    assert done.code == 3 and "no capture file" in done.err, done
    done = air("open", "nowhere.pcap", "x.pcap", keys)
    assert done.code == 5, done
    done = run("air", "open", "--pcap", path("clear.pcap"), "--keys", keys)
    assert done.code == 2 and "--out is missing" in done.err, done
    bad = put("bad.json", json.dumps({"ues": [{"ueid": 1, "cyphering": "NEA2"}]}))
    done = air("open", "clear.pcap", "x.pcap", bad)
    assert done.code == 3 and "'cyphering'" in done.err, done


def main():
    cases = [f for name, f in list(globals().items()) if callable(f) and getattr(f, "__module__", "") == "__main__"
             and not isinstance(f, type) and "_" in name and f.__code__.co_argcount == 0
             and name not in ("main", "clear_trace")]
    passed = failed = 0
    for case in cases:
        if sys.argv[1:] and case.__name__ not in sys.argv[1:]:
            continue
        try:
            case()
            passed += 1
            print("ok  ", case.__name__.replace("_", " "), flush=True)
        except Exception:
            failed += 1
            print("FAIL", case.__name__.replace("_", " "))
            traceback.print_exc(limit=5, file=sys.stdout)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


try:
    code = main()
finally:
    shutil.rmtree(home, ignore_errors=True)
sys.exit(code)
