#!/bin/sh
# Writes ts0003_derive.txt: the derivations of TS-0003 V3.18 10.3, computed by the openssl command.
set -eu
cd "$(dirname "$0")"

# kind, label, key in hex, the rest of the input
one() {
    mac=$(printf '%s%s' "$2" "$4" | openssl mac -digest SHA256 -macopt "hexkey:$3" HMAC | tr 'A-F' 'a-f')
    echo "$1|$3|$5|$mac"
}
KM='oneM2M Enrolment Key to Master Credential derivation'
KPSA='oneM2M Enrolment Key to Provisioned Secure Connection Key derivation'
USAGE='oneM2M Enrolment Key to Usage-Constrained Symmetric Key derivation'
{
    echo "# TS-0003 V3.18 10.3.2, 10.3.3, 10.3.7 by 'openssl mac' ($(openssl version | cut -d' ' -f1,2)); kind|Ke|inputs|key; made by ts0003_derive.sh"
    for ke in 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f \
        6b6579206f6620656e726f6c6d656e7420666f72206120766563746f72202121; do
        one km "$KM" $ke maf.example.com maf.example.com
        one kpsa "$KPSA" $ke //acme.example.com/id-in //acme.example.com/id-in
        one kpsa "$KPSA" $ke //acme.example.com/S123 //acme.example.com/S123
        one usage "$USAGE" $ke 21maf.example.com 21,maf.example.com
        one usage "$USAGE" $ke 22id-in.acme.example.com 22,id-in.acme.example.com
    done
} > ts0003_derive.txt
