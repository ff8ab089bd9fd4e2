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


def token(folder):
    """The addresses of a SoftHSM2 token for the consumer's environment; {} where there is none."""
    modules = [m for m in (Path(p) / 'softhsm/libsofthsm2.so' for p in (
        '/usr/lib', '/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu')) if m.exists()]
    if not modules or not shutil.which('softhsm2-util'):
        print('no SoftHSM2: keys on a token are not tried')
        return {}
    (folder / 'tokens').mkdir()
    conf = folder / 'softhsm2.conf'
    conf.write_text(f'directories.tokendir = {folder}/tokens\nlog.level = ERROR\n', encoding='utf-8')
    for name, pin in ('pin', '27182818\n'), ('wrong', '11111111\n'):
        (folder / name).write_text(pin, encoding='utf-8')
        (folder / name).chmod(0o600)
    env = {'SOFTHSM2_CONF': str(conf)}
    run('softhsm2-util', '--init-token', '--free', '--label', 'lab', '--so-pin', '31415926', '--pin', '27182818',
        env=os.environ | env)
    address = f'?module-path={modules[0]}&pin-source=file:{folder}'
    return env | {'CONSUMER_TOKEN': f'pkcs11:token=lab{address}/pin',
                  'CONSUMER_WRONG_PIN': f'pkcs11:token=lab{address}/wrong',
                  'CONSUMER_NO_TOKEN': f'pkcs11:token=elsewhere{address}/pin',
                  'CONSUMER_SOFT_TOKEN': f'pkcs11:token=lab{address}/pin&fallback=soft'}


def main():
    build, source, token_program, *cc = sys.argv[1:]
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
        tests = Path(source) / 'tests/install'
        code = [str(tests / name) for name in ('consumer.c', 'consumer_air.c', 'consumer_pdcp.c')]
        run(sys.executable, str(tests / 'known_answers.py'), str(Path(source) / 'tests/vectors/5g'),
            str(Path(folder) / 'known_air.h'), str(Path(folder) / 'known_keys.h'))
        flags += ['-Wall', '-Wextra', '-pedantic', '-Werror', f'-I{folder}']
        plus = shutil.which('g++') or shutil.which('clang++')
        keys = token(Path(folder))
        env |= keys | {'BASTIDE_TOKEN_PROGRAM': token_program}
        for compiler in [[*cc, '-std=c11'], [plus, '-x', 'c++']] if plus else [[*cc, '-std=c11']]:
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
