"""Install bastide-se into a folder of its own, then compile, link and run a program of somebody else against it with
what pkg-config says, in C and in C++; with keys in software, and on a token where there is SoftHSM2.
usage: se.py BUILD SOURCE TOKEN_PROGRAM CC..."""
import re
import sys
import tempfile
from pathlib import Path

from core5g import SKIPPED, compilers, install, run, symbols, token, tools_absent


def declared(root):
    """The calls of the installed headers."""
    text = ''.join(next(root.rglob(f'bastide/{name}.h')).read_text(encoding='utf-8') for name in ('se', 'mem', 'result'))
    return set(re.findall(r'^[a-z][a-z0-9_ ]*[ *](bst_[a-z0-9_]+)\(', text, re.M))


def main():
    build, source, token_program, *cc = sys.argv[1:]
    if tools_absent():
        print(f'SKIP there is no {tools_absent()}')
        return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        root, library, env, flags = install(build, source, 'bastide-se', 'se', folder)
        program = Path(folder) / 'consumer'
        flags += ['-lcrypto', '-Wall', '-Wextra', '-pedantic', '-Werror']
        keys = token(folder, source)
        env |= keys | {'BASTIDE_TOKEN_PROGRAM': token_program}
        for n, compiler in enumerate(compilers(cc)[1]):
            run(*compiler, str(Path(source) / 'tests/install/se_consumer.c'), *flags, '-o', str(program), env=env)
            assert run(str(program), f'se:soft?dir={folder}/keys{n}', env=env) == 'soft: level 1\n'
            if keys:
                assert run(str(program), keys['CONSUMER_TOKEN'], env=env).startswith('pkcs11: level ')
        shown, calls = symbols(library, '--defined-only'), declared(root)
        assert shown == calls, f'shown and not declared: {sorted(shown - calls)}; the other way: {sorted(calls - shown)}'
    print('ok installed, linked, run')
    return 0


if __name__ == '__main__':
    sys.exit(main())
