#!/usr/bin/env python3
"""Tables of the air-interface ciphers, computed from their definitions: gen_air_tables.py AES.h SNOW3G.h ZUC.h VECTOR.h

AES S-box (FIPS 197), SNOW 3G's S_Q and products with alpha (TS 35.216), ZUC's S0 and S1 (TS 35.222).
The last file has the same maps as bit matrices, octets and nibbles, for vector instructions, and ZUC's S-boxes with what
follows them for x86-64.
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


# Powers of beta in a product with alpha and with its inverse, the highest octet first.
TIMES_ALPHA = (23, 245, 48, 239)
OVER_ALPHA = (16, 39, 6, 64)


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


def rotl32(v, n):
    return (v << n | v >> (32 - n)) & 0xFFFFFFFF


def zuc_mix(v, turns):
    """L1 or L2: the word and its rotations."""
    out = v
    for n in turns:
        out ^= rotl32(v, n)
    return out


def zuc_sum_boxes():
    """What each octet of the first question adds to W1 in a word of 64 bits, 16 bits up; octet 0 first."""
    s1 = [zuc_s1(x) for x in range(256)]
    return [v << 16 for v in s1] + [v << 24 for v in ZUC_S0] + [v << 32 for v in s1] + [v << 40 for v in ZUC_S0]


def zuc_mixed_boxes():
    """What each octet of the second question gives: in the upper word its part of R2, in the lower one what that part
    does, through L2 (octets 0 and 1) or L1, to one of the next questions; octet 0 first."""
    s1, l1, l2 = [zuc_s1(x) for x in range(256)], (2, 10, 18, 24), (8, 14, 22, 30)
    return ([v << 32 | zuc_mix(v << 16, l2) for v in s1] + [v << 40 | zuc_mix(v << 24, l2) for v in ZUC_S0] +
            [v << 48 | zuc_mix(v, l1) for v in s1] + [v << 56 | zuc_mix(v << 8, l1) for v in ZUC_S0])


# ---- bit matrices, in the order of GF2P8AFFINEQB: octet 7 - i has the row that gives bit i ----


def matrix(linear):
    """The qword of a linear map of octets."""
    out = 0
    for bit in range(8):
        row = sum(1 << col for col in range(8) if linear(1 << col) >> bit & 1)
        out |= row << 8 * (7 - bit)
    return out


def isomorphism():
    """From ZUC's field (0x8b) to that of AES (0x1b): x goes to a root of ZUC's polynomial."""
    root = next(r for r in range(2, 256)
                if power(r, 8, 0x1B) ^ power(r, 7, 0x1B) ^ power(r, 3, 0x1B) ^ r ^ 1 == 0)
    to = {x: 0 for x in range(256)}
    for x in to:
        for bit in range(8):
            to[x] ^= power(root, bit, 0x1B) if x >> bit & 1 else 0
    return to


def zuc_s1_matrices():
    """S1(x) = OUT * (1 / (IN * x)) + 0x55, the inverse being that of AES's field."""
    to = isomorphism()
    back = {v: k for k, v in to.items()}

    def last(x):
        y, out = back[x], 0
        for bit, value in enumerate(ZUC_S1_COLUMNS):
            out ^= value if y >> bit & 1 else 0
        return out

    return matrix(lambda x: to[x]), matrix(last)


# ---- maps of nibbles, for look-ups of sixteen octets in a register ----


def nibbles(linear, constant=0):
    """A linear map of octets as two tables: of the lower nibble, with the constant, and of the upper one."""
    return [linear(x) ^ constant for x in range(16)] + [linear(x << 4) for x in range(16)]


def zuc_s1_nibbles():
    """S1(x) = OUT(AES S-box(IN(x)))."""
    to = isomorphism()
    sbox_inverse = {aes_sbox(x): x for x in range(256)}
    after = {v: zuc_s1(next(k for k in to if to[k] == u)) for v, u in sbox_inverse.items()}
    constant = after[0]
    return nibbles(lambda x: to[x]), nibbles(lambda v: after[v] ^ constant, constant)


def zuc_s0_rounds():
    """S0 is three Feistel rounds on nibbles and a rotation by 5: the three maps, from the table."""
    halves = [(rotl8(v, 3) >> 4, rotl8(v, 3) & 15) for v in ZUC_S0]
    p2 = [halves[a << 4][1] for a in range(16)]  # the first map may be chosen to give 0 for 0
    p1 = [next(c for c in range(16) if all(halves[a << 4 | b][1] == b ^ p2[a ^ c] for a in range(16)))
          for b in range(16)]
    p3 = [0] * 16
    for x, (upper, lower) in enumerate(halves):
        p3[lower] = upper ^ (x >> 4) ^ p1[x & 15]
    for x, (upper, lower) in enumerate(halves):
        assert upper == (x >> 4) ^ p1[x & 15] ^ p3[lower]
    return p1 + p2 + p3


def alpha_matrices(powers):
    """Lowest octet of the product first."""
    return [matrix(lambda x, j=j: alpha(x, powers) >> 8 * j & 0xFF) for j in range(4)]


def write(out, ctype, digits, name, values):
    out.write("static const %s %s[%d] = {\n" % (ctype, name, len(values)))
    for i in range(0, len(values), 8):
        out.write("    " + " ".join("0x%0*x," % (digits, v) for v in values[i:i + 8]) + "\n")
    out.write("};\n")


def main():
    octets = range(256)
    assert sorted(ZUC_S0) == list(octets) and sorted(map(zuc_s1, octets)) == list(octets)
    sets = {
        "aes": [("uint32_t", 8, "aes_columns", [column(aes_sbox(x), 0x1B) for x in octets])],
        "snow3g": [
            ("uint32_t", 8, "sq_columns", [column(snow3g_sq(x), 0x69) for x in octets]),
            ("uint32_t", 8, "times_alpha", [alpha(x, TIMES_ALPHA) for x in octets]),
            ("uint32_t", 8, "over_alpha", [alpha(x, OVER_ALPHA) for x in octets]),
        ],
        "zuc": [  # S0 and S1 in the places of octets 3 and 2, and of 1 and 0
            ("uint32_t", 8, "zuc_s0_3", [v << 24 for v in ZUC_S0]),
            ("uint32_t", 8, "zuc_s1_2", [zuc_s1(x) << 16 for x in octets]),
            ("uint32_t", 8, "zuc_s0_1", [v << 8 for v in ZUC_S0]),
            ("uint32_t", 8, "zuc_s1_0", [zuc_s1(x) for x in octets]),
        ],
        "gfni": [
            ("uint64_t", 16, "zuc_sum", zuc_sum_boxes()),
            ("uint64_t", 16, "zuc_mixed", zuc_mixed_boxes()),
            ("uint8_t", 2, "gfni_zuc_s0", list(ZUC_S0)),
            ("uint64_t", 16, "gfni_zuc_s1", list(zuc_s1_matrices())),
            ("uint8_t", 2, "nibbles_zuc_s0", zuc_s0_rounds()),
            ("uint8_t", 2, "nibbles_zuc_s1_in", zuc_s1_nibbles()[0]),
            ("uint8_t", 2, "nibbles_zuc_s1_out", zuc_s1_nibbles()[1]),
            ("uint8_t", 2, "gfni_snow3g_sq", [snow3g_sq(x) for x in octets]),
            ("uint64_t", 16, "gfni_snow3g_double", [matrix(lambda x: times_x(x, 0x69))]),
            ("uint64_t", 16, "gfni_times_alpha", alpha_matrices(TIMES_ALPHA)),
            ("uint64_t", 16, "gfni_over_alpha", alpha_matrices(OVER_ALPHA)),
        ],
    }
    for path, name in zip(sys.argv[1:], ("aes", "snow3g", "zuc", "gfni")):
        with open(path, "w", encoding="ascii") as out:
            out.write("/* Made by tools/gen_air_tables.py. */\n#pragma once\n\n#include <stdint.h>\n\n")
            for row in sets[name]:
                write(out, *row)


main()
