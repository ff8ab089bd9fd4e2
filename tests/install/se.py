"""Install bastide-se into a folder of its own, then compile, link and run a program of somebody else against it with
what pkg-config says, in C and in C++; with keys in software, and on a token where there is SoftHSM2.
usage: se.py BUILD SOURCE TOKEN_PROGRAM CC..."""
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from core5g import SKIPPED, run, symbols, token


def declared(root):
    """The calls of the installed headers."""
    text = ''.join(next(root.rglob(f'bastide/{name}.h')).read_text(encoding='utf-8') for name in ('se', 'mem', 'result'))
    return set(re.findall(r'^[a-z][a-z0-9_ ]*[ *](bst_[a-z0-9_]+)\(', text, re.M))


def main():
    build, source, token_program, *cc = sys.argv[1:]
    for tool in ('meson', 'pkg-config', 'nm'):
        if not shutil.which(tool):
            print(f'SKIP there is no {tool}')
            return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        root, program = Path(folder) / 'root', Path(folder) / 'consumer'
        run('meson', 'install', '-C', build, '--no-rebuild', '--quiet', '--destdir', str(root), '--tags', 'se,devel')
        pc, = root.rglob('bastide-se.pc')
        library, = [p for p in root.rglob('libbastide-se.so.*') if not p.is_symlink()]
        paths = [str(library.parent)] + [str(p) for p in Path(source).glob('.deps/root/usr/lib/*') if p.is_dir()]
        env = os.environ | {
            'PKG_CONFIG_PATH': str(pc.parent), 'PKG_CONFIG_SYSROOT_DIR': str(root),
            'LD_LIBRARY_PATH': ':'.join(paths + [p for p in [os.environ.get('LD_LIBRARY_PATH')] if p])}
        flags = run('pkg-config', '--cflags', '--libs', 'bastide-se', env=env).split()
        flags += ['-lcrypto', '-Wall', '-Wextra', '-pedantic', '-Werror']
        keys = token(Path(folder))
        env |= keys | {'BASTIDE_TOKEN_PROGRAM': token_program}
        plus = shutil.which('g++') or shutil.which('clang++')
        for n, compiler in enumerate([[*cc, '-std=c11'], [plus, '-x', 'c++']] if plus else [[*cc, '-std=c11']]):
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
