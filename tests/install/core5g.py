"""Install bastide-core5g into a folder of its own, then compile, link and run a program of somebody else
against it with what pkg-config says, in C and in C++; with keys on a token where there is SoftHSM2.
usage: core5g.py BUILD SOURCE TOKEN_PROGRAM CC..."""
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


def tools_absent():
    return next((tool for tool in ('meson', 'pkg-config', 'nm') if not shutil.which(tool)), None)


def install(build, source, name, tag, folder):
    """Root and library of an installation in this folder, the environment of who uses it, what pkg-config says."""
    root = Path(folder) / 'root'
    run('meson', 'install', '-C', build, '--no-rebuild', '--quiet', '--destdir', str(root), '--tags', f'{tag},devel')
    pc, = root.rglob(f'{name}.pc')
    library, = [p for p in root.rglob(f'lib{name}.so.*') if not p.is_symlink()]
    paths = [str(library.parent)] + [str(p) for p in Path(source).glob('.deps/root/usr/lib/*') if p.is_dir()]
    env = os.environ | {
        'PKG_CONFIG_PATH': str(pc.parent), 'PKG_CONFIG_SYSROOT_DIR': str(root),
        'LD_LIBRARY_PATH': ':'.join(paths + [p for p in [os.environ.get('LD_LIBRARY_PATH')] if p])}
    assert run('pkg-config', '--modversion', name, env=env).strip()
    return root, library, env, run('pkg-config', '--cflags', '--libs', name, env=env).split()


def compilers(cc):
    """The C compiler, and a C++ compiler where there is one."""
    plus = shutil.which('g++') or shutil.which('clang++')
    return plus, [[*cc, '-std=c11'], [plus, '-x', 'c++']] if plus else [[*cc, '-std=c11']]


def token(folder, source):
    """The addresses of a SoftHSM2 token for the consumer's environment; {} where there is none."""
    sys.path.insert(0, str(Path(source) / 'tests/scenario'))
    import softhsm
    if not softhsm.HERE:
        print('no SoftHSM2: keys on a token are not tried')
        return {}
    hsm = softhsm.Home(folder)
    address, wrong = hsm.token_with_pin('lab'), hsm.put('wrong', '11111111\n')
    return {'SOFTHSM2_CONF': os.environ['SOFTHSM2_CONF'],
            'CONSUMER_TOKEN': address,
            'CONSUMER_WRONG_PIN': address.replace(hsm.pin, wrong),
            'CONSUMER_NO_TOKEN': address.replace('token=lab', 'token=elsewhere'),
            'CONSUMER_SOFT_TOKEN': address + '&fallback=soft'}


def main():
    build, source, token_program, *cc = sys.argv[1:]
    if tools_absent():
        print(f'SKIP there is no {tools_absent()}')
        return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        root, library, env, flags = install(build, source, 'bastide-core5g', 'core5g', folder)
        program = Path(folder) / 'consumer'
        tests = Path(source) / 'tests/install'
        code = [str(tests / name) for name in ('consumer.c', 'consumer_air.c', 'consumer_pdcp.c')]
        run(sys.executable, str(tests / 'known_answers.py'), str(Path(source) / 'tests/vectors/5g'),
            str(Path(folder) / 'known_air.h'), str(Path(folder) / 'known_keys.h'))
        flags += ['-Wall', '-Wextra', '-pedantic', '-Werror', f'-I{folder}']
        plus, both = compilers(cc)
        keys = token(folder, source)
        env |= keys | {'BASTIDE_TOKEN_PROGRAM': token_program}
        for compiler in both:
            run(*compiler, *code, *flags, '-o', str(program), env=env)
            said = run(str(program), env=env)
            assert said == ('consumer: ok, with a token\n' if keys else 'consumer: ok\n'), said

        shown = symbols(library, '--defined-only')
        odd = {s for s in shown if not s.startswith(('bst_core5g_', 'bst_error_', 'bst_class_'))}
        assert shown and not odd, f'symbols that the library should not show: {sorted(odd)}'
        used = symbols(library, '--undefined-only') & NETWORK_AND_STORE
        assert not used, f'a library without network and store uses {sorted(used)}'

        for header in root.rglob('bastide/*.h'):
            alone = f'#include <bastide/{header.name}>\n'
            include = f'-I{header.parent.parent}'
            run(*cc, '-std=c11', '-Wall', '-Wextra', '-Werror', '-fsyntax-only', '-x', 'c', include, '-', input=alone)
            if plus:
                run(plus, '-Wall', '-Wextra', '-Werror', '-fsyntax-only', '-x', 'c++', include, '-', input=alone)
    print('ok installed, linked, run')
    return 0


if __name__ == '__main__':
    sys.exit(main())
