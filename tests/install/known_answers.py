"""Write the published vectors of the air interface, and a few of the keys, as a C header.
usage: known_answers.py VECTORS AIR KEYS"""
import json
import sys
from pathlib import Path

AIR = [f'{kind}{n}' for kind in ('nea', 'nia', 'nca') for n in range(1, 7) if not (kind == 'nca' and n < 4)]


class Octets:
    """Arrays, each once; ISO C has no empty ones."""

    def __init__(self):
        self.names, self.lines = {}, []

    def name(self, text):
        if text not in self.names:
            self.names[text] = f'octets_{len(self.names)}'
            values = ','.join(f'0x{b:02x}' for b in bytes.fromhex(text)) or '0'
            self.lines.append(f'static const uint8_t {self.names[text]}[] = {{{values}}};')
        return self.names[text]

    def view(self, text):
        return f'{{(const char *){self.name(text)}, {len(text) // 2}}}'


def air_row(octets, algorithm, v):
    iv = octets.name(v['iv']) if 'iv' in v else 'NULL'
    message = v['message']
    bits = v.get('bit_length', len(message) * 4)
    out = octets.name(v['ciphertext']) if 'ciphertext' in v else 'NULL'
    tag = v.get('tag', v.get('mac', ''))
    fields = [f'"{algorithm}"', octets.view(v['key']), f'{{0x{v.get("count", "0")}u, {v.get("bearer", 0)}, '
              f'{"true" if v.get("direction") else "false"}}}', iv, octets.view(v.get('aad', '')), octets.name(message),
              str(bits), out, octets.view(tag)]
    return '    {' + ', '.join(fields) + '},'


def main():
    folder, air, keys = map(Path, sys.argv[1:])
    octets, rows = Octets(), []
    for name in AIR:
        vectors = json.loads((folder / f'{name}.json').read_text(encoding='utf-8'))['vectors']
        assert vectors, name
        rows += [air_row(octets, name.upper(), v) for v in vectors if v.get('result', 'valid') == 'valid']
    kdf = {v['id']: v for v in json.loads((folder / 'kdf.json').read_text(encoding='utf-8'))['vectors']}
    milenage = json.loads((folder / 'milenage.json').read_text(encoding='utf-8'))['vectors'][0]
    suci = {v['id']: v for v in json.loads((folder / 'suci.json').read_text(encoding='utf-8'))['vectors']}
    words = {}
    for prefix, vector, names in (
            ('eap', kdf["CK'/IK' (RFC 5448 case 1)"], ('ck', 'ik', 'sqn_xor_ak', 'ck_prime', 'ik_prime')),
            ('res', kdf['RES* / HXRES* dummy'], ('k', 'opc', 'rand', 'xres_star', 'hxres_star')),
            ('chain', kdf['5G AKA chain KAUSF..KgNB'], ('kausf', 'kseaf', 'kamf', 'kgnb', 'abba')),
            ('milenage', milenage, ('k', 'opc', 'rand', 'sqn', 'f2', 'f5')),
            ('a', suci['C.4.3.1'], ('hn_private', 'hn_public', 'scheme_output')),
            ('b', suci['C.4.4.1'], ('hn_private', 'hn_public', 'scheme_output'))):
        for name in names:
            words[f'{prefix}_{name}'] = vector[name]
    air.write_text('\n'.join([*octets.lines, 'static const struct known_air known_air[] = {', *rows, '};', '']), encoding='utf-8')
    keys.write_text(''.join(f'#define KNOWN_{name.upper()} "{text}"\n' for name, text in words.items()), encoding='utf-8')


if __name__ == '__main__':
    main()
