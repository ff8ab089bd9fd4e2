#!/usr/bin/env python3
"""Tables of the air-interface ciphers, computed from their definitions: gen_air_tables.py AES.h SNOW3G.h ZUC.h

AES S-box (FIPS 197), SNOW 3G's S_Q and products with alpha (TS 35.216), ZUC's S0 and S1 (TS 35.222).
"""
import sys


def times_x(v, poly):
    return ((v << 1) ^ poly) & 0xFF if v & 0x80 else v << 1


def product(a, b, poly):
    out = 0
    while b:
        if b & 1:
            out ^= a
        a, b = times_x(a, poly), b >> 1
    return out


def power(a, n, poly):
    out = 1
    for _ in range(n):
        out = product(out, a, poly)
    return out


def rotl8(v, n):
    return (v << n | v >> (8 - n)) & 0xFF


def aes_sbox(x):
    y = power(x, 254, 0x1B)
    return y ^ rotl8(y, 1) ^ rotl8(y, 2) ^ rotl8(y, 3) ^ rotl8(y, 4) ^ 0x63


def snow3g_sq(x):
    """Dickson polynomial g49 over x^8 + x^6 + x^5 + x^3 + 1, plus 0x25."""
    out = 0x25
    for n in (1, 9, 13, 15, 33, 41, 45, 47, 49):
        out ^= power(x, n, 0x69)
    return out


def column(s, poly):
    """Contribution of the first octet to a mixed column, that octet lowest."""
    two = times_x(s, poly)
    return two | s << 8 | s << 16 | (two ^ s) << 24


def alpha(c, powers):
    out = 0
    for n in powers:
        v = c
        for _ in range(n):
            v = times_x(v, 0xA9)
        out = out << 8 | v
    return out


# S0 of ZUC is given by the standard as a table.
ZUC_S0 = bytes.fromhex(
    "3e725b47cae0003304d1549809b96dcb7b1bf932af9d6aa5b82dfc1d08530390"
    "4d4e8499e4ced991ddb685488b296eaccdc1f81e734369c6b5bdfd396320d438"
    "767db2a7cfed57c5f32cbb142106559be3ef5e314f7f5aa40d8251495fba581c"
    "4a16d517a892241f8cffd8ae2e01d3ad3b4bda46ebc9de9a8f87d73a806f2fc8"
    "b1b437f70a2213287ccc3c89c7c3965607bf7ef00b2b975235417961a64c10fe"
    "bc2695888ab0a3fbc01894f2e1e5e95dd0dc1166645cec59427512f5749caa23"
    "0e86abbe2a02e767e644a26cc2939ff1f6fa36d250689e6271153dd640c4e20f"
    "8e83776b25053f0c30ea70b7a1e8a9658d271adb81b3a0f4457a19dfee783460")
# Its S1 is the inverse over x^8 + x^7 + x^3 + x + 1, then a linear map and a constant.
ZUC_S1_COLUMNS = (0x97, 0x3E, 0x6D, 0xCB, 0xEE, 0xDD, 0xBB, 0x77)


def zuc_s1(x):
    y, out = power(x, 254, 0x8B), 0x55
    for bit, value in enumerate(ZUC_S1_COLUMNS):
        out ^= value if y >> bit & 1 else 0
    return out


def write(out, ctype, digits, name, values):
    out.write("static const %s %s[256] = {\n" % (ctype, name))
    for i in range(0, 256, 8):
        out.write("    " + " ".join("0x%0*x," % (digits, v) for v in values[i:i + 8]) + "\n")
    out.write("};\n")


def main():
    octets = range(256)
    assert sorted(ZUC_S0) == list(octets) and sorted(map(zuc_s1, octets)) == list(octets)
    sets = {
        "aes": [("uint32_t", 8, "aes_columns", [column(aes_sbox(x), 0x1B) for x in octets])],
        "snow3g": [
            ("uint32_t", 8, "sq_columns", [column(snow3g_sq(x), 0x69) for x in octets]),
            ("uint32_t", 8, "times_alpha", [alpha(x, (23, 245, 48, 239)) for x in octets]),
            ("uint32_t", 8, "over_alpha", [alpha(x, (16, 39, 6, 64)) for x in octets]),
        ],
        "zuc": [
            ("uint8_t", 2, "zuc_s0", list(ZUC_S0)),
            ("uint8_t", 2, "zuc_s1", [zuc_s1(x) for x in octets]),
        ],
    }
    for path, name in zip(sys.argv[1:], ("aes", "snow3g", "zuc")):
        with open(path, "w", encoding="ascii") as out:
            out.write("/* Made by tools/gen_air_tables.py. */\n#pragma once\n\n#include <stdint.h>\n\n")
            for row in sets[name]:
                write(out, *row)


main()
