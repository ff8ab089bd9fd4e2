"""A service provider's site over HTTPS: CSE and MEF in one real process on free ports of the loopback, with a
state folder of its own, a second CA whose keys the tests hold, and clients that speak TLS from outside.

Certificates of any kind come from the tests' own CA, made with the openssl command and named in tls.ca. Clients
with certificates use Python's ssl; clients with pre-shared keys, which Python 3.11 does not have, run
`openssl s_client` and speak HTTP through its pipes. A function whose only parameter is `site` is a case.
"""
import base64
import contextlib
import glob
import http.client
import inspect
import json
import os
import re
import secrets
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import lab
from lab import AE, Answer, CREATED, OK, eq, expect, free_port

BASTIDE = os.path.abspath(lab.BASTIDE)
DOMAIN = "acme.example.com"
CSE_FQDN = "id-in." + DOMAIN
MEF_FQDN = "mef." + DOMAIN
DEADLINE = 15
LISTS = ("tls.ca", "tls.crl", "notify.allow", "cse.listen", "mef.listen", "cse.poa")


def sanitized():
    """Whether the server is built with AddressSanitizer, whose allocator keeps what was freed."""
    with open(BASTIDE, "rb") as f:
        return b"__asan_init" in f.read()


def wait_for(what, condition, timeout=DEADLINE):
    """The first true value of `condition`, which is asked again until the deadline."""
    deadline = time.monotonic() + timeout
    while True:
        got = condition()
        if got:
            return got
        assert time.monotonic() < deadline, f"{what}: not within {timeout} s"
        threading.Event().wait(0.02)


def openssl(*args, data=None, check=True):
    p = subprocess.run(["openssl", *args], input=data, capture_output=True, timeout=30)
    assert not check or p.returncode == 0, f"openssl {' '.join(args)}: {p.stderr.decode()}"
    return p


# -- certificates

class Ca:
    """A certificate authority of the tests: keys in files, any subjectAltName, any dates."""

    def __init__(self, folder, name, constraints=None, issuer=None):
        self.folder, self.name = os.path.join(folder, name), name
        os.makedirs(self.folder)
        self.cert, self.key = self.path("ca.pem"), self.path("ca.key")
        self.crl_file = self.path("ca.crl")
        self.count = 0
        extensions = ("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
                      "subjectKeyIdentifier=hash\n")
        if constraints:
            extensions += f"nameConstraints=critical,{constraints}\n"
        with open(self.path("ca.cnf"), "w") as f:
            f.write("[req]\ndistinguished_name=dn\nprompt=no\nx509_extensions=v3\n[dn]\n"
                    f"CN={name}\n[v3]\n{extensions}\n"
                    f"[ca]\ndefault_ca=own\n[own]\ndatabase={self.path('index.txt')}\n"
                    f"crlnumber={self.path('crlnumber')}\ndefault_md=sha256\ndefault_crl_days=30\n"
                    f"certificate={self.cert}\nprivate_key={self.key}\n"
                    "unique_subject=no\nrand_serial=yes\n")
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.key)
        if issuer:
            openssl("req", "-new", "-key", self.key, "-config", self.path("ca.cnf"), "-out", self.path("ca.csr"))
            self._sign(issuer, self.path("ca.csr"), extensions, self.cert, [])
        else:
            openssl("req", "-new", "-x509", "-key", self.key, "-config", self.path("ca.cnf"), "-days", "30",
                    "-out", self.cert)
        open(self.path("index.txt"), "w").close()
        with open(self.path("crlnumber"), "w") as f:
            f.write("01\n")
        self.revoke()

    def path(self, name):
        return os.path.join(self.folder, name)

    def _sign(self, issuer, csr, extensions, out, dates):
        issuer.count += 1
        with open(csr + ".ext", "w") as f:
            f.write(extensions)
        if dates:
            openssl("ca", "-config", issuer.path("sign.cnf"), "-batch", "-notext", "-in", csr, "-out", out,
                    "-startdate", dates[0], "-enddate", dates[1], "-extfile", csr + ".ext",
                    "-policy", "any", "-outdir", issuer.folder)
        else:
            openssl("x509", "-req", "-in", csr, "-CA", issuer.cert, "-CAkey", issuer.key, "-days", "20",
                    "-set_serial", hex(int.from_bytes(secrets.token_bytes(8), "big") >> 1), "-sha256",
                    "-extfile", csr + ".ext", "-out", out)

    def issue(self, name, san, dates=None, usage="serverAuth,clientAuth", key="prime256v1", chain=()):
        """(certificate file, key file) for a subjectAltName in openssl's notation, one or several."""
        base = self.path(f"{self.count}-{name}")
        args = ["genrsa", "-out", base + ".key", "2048"] if key == "rsa" else \
            ["ecparam", "-name", key, "-genkey", "-noout", "-out", base + ".key"]
        openssl(*args)
        openssl("req", "-new", "-key", base + ".key", "-subj", f"/CN={name}", "-out", base + ".csr")
        extensions = ("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
                      f"extendedKeyUsage={usage}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
                      + (f"subjectAltName={san}\n" if san else ""))
        with open(self.path("sign.cnf"), "w") as f:
            f.write(open(self.path("ca.cnf")).read() + "[any]\ncommonName=supplied\n")
        self._sign(self, base + ".csr", extensions, base + ".pem", dates)
        if chain:
            with open(base + ".pem", "a") as f:
                f.writelines(open(ca.cert).read() for ca in chain)
        return base + ".pem", base + ".key"

    def ae(self, stem, **kw):
        return self.issue(stem, f"URI:m2m://{DOMAIN}/id-in/{stem}", **kw)

    def revoke(self, cert=None, days=30, crl_seconds=None):
        """Sign a new revocation list, with one certificate more."""
        if cert:
            openssl("ca", "-config", self.path("ca.cnf"), "-revoke", cert)
        life = ["-crlsec", str(crl_seconds)] if crl_seconds else ["-crldays", str(days)]
        openssl("ca", "-config", self.path("ca.cnf"), "-gencrl", *life, "-out", self.crl_file)


# -- streams: what an HTTP connection goes through

class Closed(Exception):
    """The other side ended the connection."""


class SocketStream:
    def __init__(self, sock):
        self.sock = sock

    def send(self, data):
        try:
            self.sock.sendall(data)
        except (OSError, ssl.SSLError) as e:
            raise Closed(repr(e)) from e

    def recv(self, timeout=DEADLINE):
        self.sock.settimeout(timeout)
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            raise
        except (OSError, ssl.SSLError) as e:
            raise Closed(repr(e)) from e
        if not data:
            raise Closed("end of file")
        return data

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.close()


class PipeStream:
    """s_client's standard input and output."""

    def __init__(self, args):
        self.process = subprocess.Popen(["openssl", "s_client", "-quiet", *args], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)

    def send(self, data):
        try:
            while data:
                data = data[os.write(self.process.stdin.fileno(), data):]
        except OSError as e:
            raise Closed(repr(e)) from e

    def recv(self, timeout=DEADLINE):
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            raise TimeoutError
        data = os.read(self.process.stdout.fileno(), 65536)
        if not data:
            raise Closed("end of file: " + self.why())
        return data

    def why(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(2)
        if select.select([self.process.stderr], [], [], 0)[0]:
            return os.read(self.process.stderr.fileno(), 65536).decode(errors="replace")
        return ""

    def close(self):
        self.process.kill()
        self.process.wait()
        for f in (self.process.stdin, self.process.stdout, self.process.stderr):
            f.close()


class Http:
    """One kept HTTP connection; oneM2M requests as in lab.Lab.send()."""

    def __init__(self, stream, host=CSE_FQDN):
        self.stream, self.host, self.rest, self.count = stream, host, b"", 0

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()

    def close(self):
        self.stream.close()

    def write(self, method, path, headers, body=b""):
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", *(f"{k}: {v}" for k, v in headers.items())]
        if body or method in ("POST", "PUT"):
            lines.append(f"Content-Length: {len(body)}")
        self.stream.send(("\r\n".join(lines) + "\r\n\r\n").encode() + body)

    def read(self, timeout=DEADLINE):
        deadline = time.monotonic() + timeout

        def more():
            self.rest += self.stream.recv(max(0.01, deadline - time.monotonic()))
        while b"\r\n\r\n" not in self.rest:
            more()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        first, *fields = head.decode("latin-1").split("\r\n")
        headers = {k.strip().lower(): v.strip() for k, v in (f.split(":", 1) for f in fields)}
        length = int(headers.get("content-length", 0))
        while len(self.rest) < length:
            more()
        body, self.rest = self.rest[:length], self.rest[length:]
        return Answer(int(first.split()[1]), headers, body)

    def send(self, method, to, fr, content=None, ty=None, rvi="3", headers=None, timeout=DEADLINE):
        self.begin(method, to, fr, content, ty, rvi, headers)
        return self.read(timeout)

    def begin(self, method, to, fr, content=None, ty=None, rvi="3", headers=None):
        self.count += 1
        h = {"X-M2M-RI": f"h{self.count}", "Accept": "application/json", "X-M2M-RVI": rvi}
        if fr is not None:
            h["X-M2M-Origin"] = fr
        body = b""
        if content is not None:
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            h["Content-Type"] = "application/json" + (f";ty={ty}" if ty is not None else "")
        h.update(headers or {})
        path = "/_/" + to[2:] if to.startswith("//") else "/~" + to if to.startswith("/") else "/" + to
        self.write(method, path, {k: v for k, v in h.items() if v is not None}, body)

    def get(self, to, fr, **kw):
        return self.send("GET", to, fr, **kw)

    def post(self, to, ty, root, attributes, fr, **kw):
        return self.send("POST", to, fr, {root: attributes}, ty=ty, **kw)

    def put(self, to, root, attributes, fr, **kw):
        return self.send("PUT", to, fr, {root: attributes}, **kw)

    def delete(self, to, fr, **kw):
        return self.send("DELETE", to, fr, **kw)

    def register(self, name, fr, **attributes):
        return self.post("cse-in", AE, "m2m:ae", {"rn": name, "api": "N.org.example.t", "rr": True, "srv": ["3"],
                                                  **attributes}, fr)

    def is_closed(self, timeout=DEADLINE):
        """Whether the other side ends this connection within the time, without an answer."""
        try:
            deadline = time.monotonic() + timeout
            while time.monotonic() < deadline:
                self.rest += self.stream.recv(max(0.01, deadline - time.monotonic()))
        except Closed:
            return True
        except TimeoutError:
            pass
        return False


# -- the site

class Outcome:
    """How a bastide command ended."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err, self.json = code, out, err, None
        with contextlib.suppress(ValueError):
            self.json = json.loads(out)

    def __repr__(self):
        return f"exit {self.code}: {self.out[-800:]}{self.err[-800:]}"


class Probe:
    """What s_client saw of a handshake: who spoke which messages, and whether a request was answered."""

    def __init__(self, out, messages):
        self.out, self.messages = out, messages
        self.served = b"HTTP/1.1 " in out.encode()
        self.alerts = re.findall(r"<<< TLS [\d.]+, Alert \[length \d+\], (?:fatal|warning) (\w+)", messages)
        self.alert = self.alerts[0] if self.alerts and self.alerts[0] != "close_notify" else None
        self.flow = re.findall(r"(>>>|<<<) ?(TLS [\d.]+, [^\n]*|\?\?\?[^\n]*)", messages)
        cipher = re.search(r"Cipher is (\S+)", out)
        self.cipher = cipher and cipher.group(1)
        version = re.search(r"New, (TLSv[\d.]+)", out)
        self.version = version and version.group(1)

    def shape(self):
        """Messages of both sides with their lengths, in order: what an outsider can tell apart."""
        return [(side, re.sub(r"0x\w+", "", what)) for side, what in self.flow]

    def __repr__(self):
        return f"served {self.served}, alert {self.alert}, {self.version} {self.cipher}\n{self.out[-1500:]}"


class Site:
    def __init__(self, settings=(), extra_ca=True, mef=True, state=None):
        self.dir = tempfile.mkdtemp(prefix="bastide-site-")
        self.state = state or os.path.join(self.dir, "sp")
        self.settings = list(settings)
        self.cse_port, self.mef_port, self.metrics_port = free_port(), free_port(), free_port()
        self.process = None
        self.secrets = []
        sets = [f"cse.listen=127.0.0.1:{self.cse_port}", f"mef.listen=127.0.0.1:{self.mef_port}",
                f"metrics.listen=127.0.0.1:{self.metrics_port}", *([] if mef else ["mef.enabled=false"])]
        self.ca = None
        if extra_ca:
            self.ca = Ca(self.dir, "tests-ca")
            sets += [f"tls.ca=pki/ca.crt,{self.ca.cert}", f"tls.crl=pki/ca.crl,{self.ca.crl_file}"]
        done = self.cli("init", *(w for s in sets + self.settings for w in ("--set", s)))
        assert done.code == 0, done
        self.ca_file = os.path.join(self.state, "pki/ca.crt")

    # -- the process
    def start(self, *args, wait=True, prefix=()):
        self.log = open(self.path("log"), "ab")
        self.process = subprocess.Popen([*prefix, BASTIDE, "serve", "--state", self.state, *args],
                                        stdout=self.log, stderr=self.log)
        if wait:
            deadline = time.monotonic() + 20
            while not self.answers():
                assert self.process.poll() is None, f"the server ended with {self.process.returncode}:\n{self.tail()}"
                assert time.monotonic() < deadline, f"not ready in 20 s:\n{self.tail()}"
                threading.Event().wait(0.03)
        return self

    def answers(self):
        try:
            return self.admin("status").get("running")
        except (OSError, ValueError, http.client.HTTPException):
            return False

    def kill(self, sig=signal.SIGKILL, timeout=20):
        self.process.send_signal(sig)
        return self.process.wait(timeout)

    def stop(self):
        try:
            if self.process and self.process.poll() is None:
                code = self.kill(signal.SIGTERM)
                assert code == 0, f"SIGTERM must end in order, not with {code}:\n{self.tail()}"
        finally:
            if self.process and self.process.poll() is None:
                self.kill()
            shutil.rmtree(self.dir, ignore_errors=True)

    def stop_process(self):
        code = self.kill(signal.SIGTERM)
        assert code == 0, f"SIGTERM must end in order, not with {code}:\n{self.tail()}"

    def restart(self, sig=signal.SIGTERM):
        self.kill(sig)
        return self.start()

    def set_config(self, name, value):
        """Another value of one option, by its line in the configuration file; for the next start."""
        section, option = name.split(".")
        with open(os.path.join(self.state, "bastide.yaml")) as f:
            lines = f.read().splitlines()
        text = json.dumps(value.split(",")) if name in LISTS else value
        lines = [x for x in lines if not x.startswith(f"  {option}:") or name not in self.names(lines, x)]
        if section + ":" not in lines:
            lines.append(section + ":")
        lines.insert(lines.index(section + ":") + 1, f"  {option}: {text}")
        with open(os.path.join(self.state, "bastide.yaml"), "w") as f:
            f.write("\n".join(lines) + "\n")

    @staticmethod
    def names(lines, line):
        section = [x for x in lines[:lines.index(line)] if x and not x.startswith((" ", "#"))][-1]
        return f"{section[:-1]}.{line.strip().split(':')[0]}"

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def log_text(self):
        with open(self.path("log"), errors="replace") as f:
            return f.read()

    def tail(self, n=5000):
        return self.log_text()[-n:]

    def metric(self, pattern):
        """Sum of the samples whose line matches."""
        conn = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=5)
        conn.request("GET", "/metrics")
        text = conn.getresponse().read().decode()
        conn.close()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                   if not line.startswith("#") and re.search(pattern, line))

    # -- commands
    def cli(self, *args, timeout=30, state=True):
        where = ("--state", self.state) if state else ()
        p = subprocess.run([BASTIDE, *args, *where], capture_output=True, timeout=timeout, text=True)
        return Outcome(p.returncode, p.stdout, p.stderr)

    def run(self, *args, **kw):
        done = self.cli(*args, **kw)
        assert done.code == 0, f"bastide {' '.join(args)}: {done}"
        return done

    def admin(self, op, /, **args):
        """An administrative operation over the admin socket; its answer, or its failure as AssertionError."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(os.path.join(self.state, "run/admin.sock"))
            with Http(SocketStream(s), "admin") as h:
                h.write("POST", "/" + op, {"Content-Type": "application/json"}, json.dumps(args).encode())
                answer = h.read()
        assert answer.status == 200, f"{op}: {answer}"
        return json.loads(answer.body)

    def provision(self, name, *args):
        self.run("mef", "provision", name, "--out", self.path(name), *args)
        return self.path(name)

    def enrolled(self, name, *args):
        """A profile whose key the CSE fetches from the MEF."""
        folder = self.provision(name, *args)
        self.run("device", "enrol", folder, state=False)
        return folder

    def add_key(self, identity, key=None):
        """A pre-shared key for associations with the CSE, known to the test."""
        key = key or secrets.token_bytes(32)
        self.secrets.append(key)
        self.admin("kpsa-add", id=identity, key=key.hex())
        return key

    def add_kpm(self, identity, stem):
        """A pre-provisioned key for enrolment, known to the test."""
        key = secrets.token_bytes(32)
        self.secrets.append(key)
        self.admin("mef-provision", id=identity, client=f"//{DOMAIN}/id-in/{stem}", key=key.hex())
        return key

    # -- the audit trail
    def audit(self, event=None):
        args = ["--event", event] if event else []
        done = self.run("audit", "show", "--last", "0", "--json", *args)
        return [json.loads(line) for line in done.out.splitlines() if line.strip()]

    def audited(self, event, match, timeout=12):
        """The first record of the event for which match(record) holds, or where one value contains the text."""
        def find():
            for r in self.audit(event):
                if match(r) if callable(match) else any(match in str(v) for v in r.values()):
                    return r
            return None
        return wait_for(f"audit record {event} with {match}", find, timeout)

    # -- clients from outside
    def context(self, cert=None, version=None, ca=None):
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ctx.load_verify_locations(ca or self.ca_file)
        if cert:
            ctx.load_cert_chain(*cert)
        if version:
            ctx.minimum_version = ctx.maximum_version = version
        return ctx

    def cert_stream(self, cert, version=None, port=None, name=CSE_FQDN, context=None, session=None):
        sock = socket.create_connection(("127.0.0.1", port or self.cse_port), timeout=DEADLINE)
        try:
            return SocketStream((context or self.context(cert, version)).wrap_socket(
                sock, server_hostname=name, session=session))
        except Exception:
            sock.close()
            raise

    def by_cert(self, cert, **kw):
        return Http(self.cert_stream(cert, **kw))

    def psk_args(self, identity, key, version="-tls1_2", port=None, name=CSE_FQDN, more=()):
        return ["-connect", f"127.0.0.1:{port or self.cse_port}", "-servername", name, "-CAfile", self.ca_file,
                "-psk_identity", identity, "-psk", key.hex(), *([version] if version else []), *more]

    def by_psk(self, identity, key, version="-tls1_2", more=(), **kw):
        return Http(PipeStream(self.psk_args(identity, key, version, more=more, **kw)))

    def mef_psk(self, identity, key):
        """A connection to the MEF by pre-provisioned key."""
        return Http(PipeStream(self.psk_args(identity, key, "-tls1_2", port=self.mef_port, name=MEF_FQDN)), MEF_FQDN)

    def probe(self, *args, port=None, name=CSE_FQDN, to="/cse-in", timeout=DEADLINE):
        """A handshake and one request by s_client; every message is shown."""
        trace = self.path(f"msg-{secrets.token_hex(4)}")
        request = (f"GET {to} HTTP/1.1\r\nHost: {name}\r\nX-M2M-RI: p\r\nX-M2M-RVI: 3\r\nX-M2M-Origin: CAdmin\r\n"
                   "Connection: close\r\n\r\n").encode()
        sni = ["-servername", name] if name else ["-noservername"]
        p = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port or self.cse_port}", *sni,
                            "-CAfile", self.ca_file, "-ign_eof", "-msg", "-msgfile", trace, *args],
                           input=request, capture_output=True, timeout=timeout)
        messages = ""
        if os.path.exists(trace):
            with open(trace, errors="replace") as f:
                messages = f.read()
        return Probe((p.stdout + p.stderr).decode(errors="replace"), messages)


def forms_of(key):
    """A key as it might leak: raw, hexadecimal in both cases, base64."""
    return [key, key.hex().encode(), key.hex().upper().encode(), base64.b64encode(key).rstrip(b"="),
            base64.urlsafe_b64encode(key).rstrip(b"=")]


def find_in_files(pattern, needles):
    """(file, needle number) for each file below the glob pattern that holds a needle."""
    found = []
    for name in glob.glob(pattern, recursive=True):
        if os.path.isfile(name):
            with open(name, "rb") as f:
                content = f.read()
            found += [(name, i) for i, n in enumerate(needles) if n in content]
    return found


def main(make=None):
    """Run every function of the calling file whose only parameter is `site`, with one running site for all."""
    scope = inspect.stack()[1].frame.f_globals
    cases = [f for f in scope.values() if inspect.isfunction(f) and f.__module__ == "__main__"
             and list(inspect.signature(f).parameters) == ["site"]]
    only = sys.argv[1:]
    passed = failed = 0
    site = (make or Site)()
    try:
        site.start()
        for case in cases:
            if only and case.__name__ not in only:
                continue
            begin = time.monotonic()
            try:
                case(site)
                passed += 1
                print(f"ok   {case.__name__.replace('_', ' ')} ({time.monotonic() - begin:.1f} s)", flush=True)
            except Exception:
                failed += 1
                print("FAIL", case.__name__.replace("_", " "))
                traceback.print_exc(limit=5, file=sys.stdout)
                if site.process.poll() is not None:
                    print(f"the server ended with {site.process.returncode}:\n{site.tail()}", flush=True)
                    break
    finally:
        try:
            if os.environ.get("KEEP"):
                print(f"kept: {site.dir}")
                site.kill(signal.SIGTERM)
            else:
                site.stop()
        except Exception:
            failed += 1
            traceback.print_exc(file=sys.stdout)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)
