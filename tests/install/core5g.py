"""Install bastide-core5g into a folder of its own, then compile, link and run a program of somebody else
against it with what pkg-config says. usage: core5g.py BUILD SOURCE CC..."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SKIPPED = 77
NETWORK_AND_STORE = {'socket', 'connect', 'listen', 'accept', 'accept4', 'bind', 'getaddrinfo', 'sqlite3_open_v2'}


def run(*words, **kwargs):
    done = subprocess.run(words, capture_output=True, text=True, **kwargs)
    if done.returncode != 0:
        sys.exit(f'{" ".join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr}')
    return done.stdout


def symbols(library, which):
    return {line.split()[-1].split('@')[0] for line in run('nm', '-D', which, str(library)).splitlines() if line.strip()}


def main():
    build, source, *cc = sys.argv[1:]
    for tool in ('meson', 'pkg-config', 'nm'):
        if not shutil.which(tool):
            print(f'SKIP there is no {tool}')
            return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / 'root'
        run('meson', 'install', '-C', build, '--no-rebuild', '--quiet', '--destdir', str(root), '--tags', 'core5g,devel')
        pc, = root.rglob('bastide-core5g.pc')
        library, = [p for p in root.rglob('libbastide-core5g.so.*') if not p.is_symlink()]
        paths = [str(library.parent)] + [str(p) for p in Path(source).glob('.deps/root/usr/lib/*') if p.is_dir()]
        env = os.environ | {
            'PKG_CONFIG_PATH': str(pc.parent), 'PKG_CONFIG_SYSROOT_DIR': str(root),
            'LD_LIBRARY_PATH': ':'.join(paths + [p for p in [os.environ.get('LD_LIBRARY_PATH')] if p])}
        assert run('pkg-config', '--modversion', 'bastide-core5g', env=env).strip()
        flags = run('pkg-config', '--cflags', '--libs', 'bastide-core5g', env=env).split()
        program = Path(folder) / 'consumer'
        code = Path(source) / 'tests/install/consumer.c'
        run(*cc, '-std=c11', '-Wall', '-Wextra', '-Wpedantic', '-Werror', str(code), *flags, '-o', str(program), env=env)
        assert run(str(program), env=env) == 'consumer: ok\n'

        shown = symbols(library, '--defined-only')
        odd = {s for s in shown if not s.startswith(('bst_core5g_', 'bst_error_', 'bst_class_'))}
        assert shown and not odd, f'symbols that the library should not show: {sorted(odd)}'
        used = symbols(library, '--undefined-only') & NETWORK_AND_STORE
        assert not used, f'a library without network and store uses {sorted(used)}'

        for header in root.rglob('bastide/*.h'):
            alone = f'#include <bastide/{header.name}>\n'
            include = f'-I{header.parent.parent}'
            run(*cc, '-std=c11', '-Wall', '-Wextra', '-Werror', '-fsyntax-only', '-x', 'c', include, '-', input=alone)
            plus = shutil.which('g++') or shutil.which('clang++')
            if plus:
                run(plus, '-Wall', '-Wextra', '-Werror', '-fsyntax-only', '-x', 'c++', include, '-', input=alone)
    print('ok installed, linked, run')
    return 0


if __name__ == '__main__':
    sys.exit(main())
