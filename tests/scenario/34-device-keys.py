#!/usr/bin/env python3
"""TS-0003 6.3, 8.3.2: a device enrols, registers and sends exactly alike wherever its keys are: in software, on a
PKCS#11 token (SoftHSM2), in a TPM (swtpm)."""
import json
import os
import shutil
import socket
import subprocess
import tempfile

import provider
import softhsm
from provider import MEF_FQDN, Site, eq, forms_of, find_in_files, wait_for

home = tempfile.mkdtemp(prefix="bastide-devkeys-")
hsm = softhsm.Home(home)
put, PIN_FILE = hsm.put, hsm.pin
PHRASE_FILE = put("phrase", "correct horse battery staple\n")


class Software:
    """A folder sealed under a passphrase."""
    name, kind, pin = "software", "soft", PHRASE_FILE
    uri = f"se:soft?dir={home}/soft"

    def remove(self):
        os.rename(f"{home}/soft", f"{home}/soft.away")

    def put_back(self):
        shutil.rmtree(f"{home}/soft", ignore_errors=True)
        os.rename(f"{home}/soft.away", f"{home}/soft")

    def forgive(self):
        return True

    def stop(self):
        pass


class Token:
    name, kind, pin = "SoftHSM2", "pkcs11", PIN_FILE

    def __init__(self):
        self.uri = hsm.token("device")

    def remove(self):
        os.rename(f"{home}/tokens", f"{home}/tokens.away")
        os.mkdir(f"{home}/tokens")

    def put_back(self):
        os.rmdir(f"{home}/tokens")
        os.rename(f"{home}/tokens.away", f"{home}/tokens")

    def forgive(self):
        return True

    def stop(self):
        pass


class Tpm:
    """With an EK certificate of a CA of its own where swtpm_setup is there: level 2 (test root)."""
    name, kind, pin = "TPM", "tpm2", PIN_FILE

    def __init__(self):
        os.makedirs(f"{home}/tpm", exist_ok=True)
        root = self.certified()
        for attempt in range(5):  # somebody may take a port between its choice and its use
            self.port = self.pair_of_ports()
            self.uri = f"tpm2:swtpm:port={self.port}?dir={home}/tpm-keys{root}"
            try:
                self.put_back()
                break
            except AssertionError:
                assert attempt < 4

    def certified(self):
        if not shutil.which("swtpm_setup") or not shutil.which("swtpm_localca"):
            return ""
        os.mkdir(f"{home}/maker")
        put("maker.conf", f"statedir = {home}/maker\nsigningkey = {home}/maker/key.pem\n"
            f"issuercert = {home}/maker/issuer.pem\ncertserial = {home}/maker/serial\n")
        put("maker.options", "")
        put("tpm.conf", f"create_certs_tool = {shutil.which('swtpm_localca')}\n"
            f"create_certs_tool_config = {home}/maker.conf\ncreate_certs_tool_options = {home}/maker.options\n")
        subprocess.run(["swtpm_setup", "--tpm2", "--tpmstate", f"{home}/tpm", "--config", f"{home}/tpm.conf",
                        "--create-ek-cert", "--overwrite"], check=True, capture_output=True)
        with open(f"{home}/maker/swtpm-localca-rootca-cert.pem") as a, open(f"{home}/maker/issuer.pem") as b:
            put("maker.pem", a.read() + b.read())
        self.level = 2
        return f"&test-root={home}/maker.pem"

    @staticmethod
    def pair_of_ports():
        for _ in range(200):
            with socket.socket() as a, socket.socket() as b:
                a.bind(("127.0.0.1", 0))
                try:
                    b.bind(("127.0.0.1", a.getsockname()[1] + 1))
                    return a.getsockname()[1]
                except OSError:
                    continue
        raise AssertionError("no two ports beside each other are free")

    def put_back(self):
        self.process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={home}/tpm", "--server", f"type=tcp,port={self.port}",
             "--ctrl", f"type=tcp,port={self.port + 1}", "--flags", "not-need-init,startup-clear"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("swtpm", self.answers)

    def answers(self):
        assert self.process.poll() is None, "swtpm ended"
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port + 1)) == 0

    def remove(self):
        self.process.terminate()
        self.process.wait(10)

    def forgive(self):
        """A TPM counts wrong tries, and an end without notice as one; its owner takes them back."""
        done = shutil.which("tpm2_dictionarylockout") and subprocess.run(
            ["tpm2_dictionarylockout", "-c", "-T", f"swtpm:port={self.port}"], capture_output=True)
        return done and done.returncode == 0

    stop = remove


def absent(kind):
    """Why an environment cannot be tried here; empty: it can."""
    if kind is Token and not softhsm.HERE:
        return softhsm.ABSENT
    if kind is Tpm and not shutil.which("swtpm"):
        return "swtpm is not installed (package swtpm)"
    return ""


def device(site, word, folder, *args, code=0):
    done = site.cli("device", word, folder, *args, state=False)
    assert done.code == code, f"bastide device {word}: {done}"
    return done


def labels(site, env):
    done = site.cli("key", "list", env.uri, "--pin-file", env.pin, "--json", state=False)
    assert done.code == 0, done
    return sorted(k["label"] for k in done.json)


def profile(folder):
    with open(os.path.join(folder, "profile.json")) as f:
        return json.load(f)


def registers_and_sends(site, folder, name):
    device(site, "register", folder, "--name", name)
    eq(json.loads(device(site, "send", folder, "--name", name, "--count", "3", "--json").out)["sent"], 3)


def has_no_key_of_its_own(folder):
    """Neither an environment nor a private key is in the profile folder."""
    eq(sorted(set(os.listdir(folder)) - {"ca.pem", "cert.pem", "profile.json"}), [])
    for name in os.listdir(folder):
        with open(os.path.join(folder, name)) as f:
            text = f.read()
        assert "PRIVATE" not in text and softhsm.PIN not in text, name


# -- one environment: the same steps for each

def from_a_key_that_moves_in(site, env):
    """The factory put Kpm into the profile's own folder; enrolment brings it, and what follows, into the environment."""
    name = f"key-{env.kind}"
    folder = site.provision(name)
    assert os.path.isdir(os.path.join(folder, "se"))
    device(site, "enrol", folder, "--se", env.uri, "--pin-file", env.pin)
    has_no_key_of_its_own(folder)
    shown = json.loads(device(site, "show", folder, "--json").out)
    eq((shown["association"], shown["se"], shown["level"]), ("key", env.kind, 1))
    inside = labels(site, env)
    assert f"psk.{name}@{MEF_FQDN}" in inside and f"psk.{shown['identity']}" in inside, inside
    registers_and_sends(site, folder, name)
    return folder


def from_a_pair_made_inside(site, env):
    name = f"cert-{env.kind}"
    folder = site.provision(name, "--certificate", "--se", env.uri, "--pin-file", env.pin)
    has_no_key_of_its_own(folder)
    device(site, "enrol", folder, "--association", "certificate")
    shown = json.loads(device(site, "show", folder, "--json").out)
    eq((shown["association"], shown["se"], shown["key"]), ("certificate", env.kind, f"tls.C{name}"))
    eq(shown["level"], getattr(env, "level", 1))
    registers_and_sends(site, folder, name)
    return folder


def from_a_key_that_the_test_knows(site, env):
    """Kpm in any form is in no file of the device, of the environment or of the server."""
    name = f"known-{env.kind}"
    identity = f"{name}@{MEF_FQDN}"
    key, folder = site.add_kpm(identity, f"C{name}"), site.path(name)
    model = profile(site.provision(f"model-{env.kind}"))
    where = f"{env.uri}{'&' if '?' in env.uri else '?'}" + (
        f"key=passphrase:file:{env.pin}" if env.kind == "soft" else f"pin-source=file:{env.pin}")
    os.mkdir(folder)
    shutil.copy(site.ca_file, os.path.join(folder, "ca.pem"))
    with open(os.path.join(folder, "profile.json"), "w") as f:
        json.dump({**model, "originator": f"C{name}", "mef_psk": identity, "se_uri": where}, f)
    words = ["key", "import", env.uri, f"psk.{identity}", "--type", "symmetric", "--use", "psk,derive", "--in",
             put("known", key), "--pin-file", env.pin]
    if getattr(env, "level", 1) > 1:
        refused = site.cli(*words, state=False)
        assert refused.code == 4 and "--level-1" in refused.err, refused
    done = site.cli(*words, "--level-1", "--json", state=False)
    assert done.code == 0 and done.json["level"] == 1, done
    os.unlink(os.path.join(home, "known"))
    device(site, "enrol", folder)
    registers_and_sends(site, folder, name)
    for where in (f"{folder}/**", f"{home}/**", f"{site.dir}/**"):
        eq(find_in_files(where, forms_of(key)), [])


def a_key_travels_in_and_out(site, env):
    here, there = f"se:soft?dir={home}/travel-{env.kind}", env.uri
    there += "&fallback=soft" if env.kind == "tpm2" else ""

    def word(*args):
        done = site.cli("key", *args, "--json", state=False)
        assert done.code == 0, done
        return done.json
    word("generate", here, "meter", "--type", "symmetric", "--use", "mac,wrap")
    value = word("check", here, "meter")["check"]
    eq(word("rewrap", here, "meter", there, "--to-pin-file", env.pin, "--move")["check"], value)
    eq(word("check", there, "meter", "--pin-file", env.pin)["check"], value)
    eq(word("rewrap", there, "meter", here, "--pin-file", env.pin, "--move")["check"], value)
    assert not [x for x in labels(site, env) if x.startswith("meter")]
    word("delete", here, "meter")


def the_place_is_gone_and_back(site, env, folder):
    env.remove()
    try:
        gone = site.cli("device", "send", folder, "--name", f"key-{env.kind}", "--count", "1", state=False)
        assert gone.code not in (0, 2), gone
        told = "has no key" if env.kind == "soft" else env.uri.split("?")[0]
        assert told in gone.err and softhsm.PIN not in gone.err, gone
    finally:
        env.put_back()
    device(site, "send", folder, "--name", f"key-{env.kind}", "--count", "1")


def a_wrong_pin_is_told(site, env, folder):
    wrong = device(site, "send", folder, "--pin-file", put("wrong", "11111111\n"), "--count", "1", code=4)
    assert "11111111" not in wrong.err and folder in wrong.err, wrong
    if env.forgive():
        device(site, "send", folder, "--name", f"key-{env.kind}", "--count", "1")


def what_does_not_fit_is_refused(site, env):
    folder = site.provision(f"stays-{env.kind}", "--certificate")
    refused = device(site, "enrol", folder, "--se", env.uri, "--pin-file", env.pin, code=4)
    assert "does not leave" in refused.err, refused
    eq(profile(folder)["se_uri"], "")
    device(site, "enrol", folder, "--association", "certificate")
    device(site, "send", folder, "--pin-file", env.pin, code=2)
    before = labels(site, env)
    taken = site.cli("mef", "provision", f"cert-{env.kind}", "--certificate", "--se", env.uri, "--pin-file", env.pin,
                     "--out", site.path("again"))
    assert taken.code == 6, taken
    eq((labels(site, env), os.path.exists(site.path("again"))), (before, False))


def it_proves_where_its_key_is(site, env):
    """An attestation convinces who asked with this nonce, and nobody else."""
    nonce, proof = "00112233445566778899aabbccddeeff", os.path.join(home, "proof")
    done = site.cli("key", "attest", env.uri, f"tls.Ccert-{env.kind}", "--nonce", nonce, "--out", proof, "--pin-file",
                    env.pin, state=False)
    if env.kind != "tpm2":
        assert done.code != 0 and "attestation" in done.err, done
        return
    assert done.code == 0, done
    judged = site.cli("key", "verify", proof, "--nonce", nonce, "--json", state=False)
    assert judged.code == 0 and judged.json["level"] >= 1 and "made inside" in judged.json["evidence"], judged
    shown = site.cli("key", "public", env.uri, f"tls.Ccert-{env.kind}", "--pin-file", env.pin, state=False)
    eq(judged.json["public"], shown.out)
    eq(site.cli("key", "verify", proof, "--nonce", nonce[:-2] + "00", state=False).code, 1)
    with open(proof) as f:
        parts = json.load(f)
    for name in ("statement", "signature", "object", "signer"):
        forged = {**parts, name: parts[name][:20] + ("A" if parts[name][20] != "A" else "B") + parts[name][21:]}
        done = site.cli("key", "verify", put("forged", json.dumps(forged)), "--nonce", nonce, state=False)
        assert done.code in (1, 3) and "proves nothing" in done.err, (name, done)


def everything(site, kind):
    why = absent(kind)
    if why:
        print(f"SKIP: {kind.name}: {why}", flush=True)
        return
    env = kind()
    try:
        folder = from_a_key_that_moves_in(site, env)
        from_a_pair_made_inside(site, env)
        it_proves_where_its_key_is(site, env)
        from_a_key_that_the_test_knows(site, env)
        a_key_travels_in_and_out(site, env)
        the_place_is_gone_and_back(site, env, folder)
        a_wrong_pin_is_told(site, env, folder)
        what_does_not_fit_is_refused(site, env)
    finally:
        env.stop()


def a_device_with_keys_in_software(site):
    everything(site, Software)


def a_device_with_keys_on_a_token(site):
    everything(site, Token)


def a_device_with_keys_in_a_tpm(site):
    everything(site, Tpm)


def the_demo_shows_the_levels_side_by_side(site):
    """Whatever is not installed is said, and nothing fails for it."""
    done = site.cli("demo", state=False, timeout=200)
    assert done.code == 0 and done.out.splitlines()[-1].endswith(" passed, 0 failed"), done
    rows = {line[7:16].strip(): line[17:24].strip() for line in done.out.splitlines()
            if line.startswith(("       software ", "       SoftHSM2 ", "       TPM "))}
    eq(rows["software"], "1")
    eq(rows["SoftHSM2"], "-" if absent(Token) else "1")
    eq(rows["TPM"], "-" if absent(Tpm) or not shutil.which("swtpm_setup") else "2")


def a_place_is_named_in_full(site):
    eq(site.cli("mef", "provision", "p", "--out", site.path("p"), "--pin-file", PIN_FILE).code, 2)
    for uri in ("nothing", "se:hard", "pkcs11:pin-value=1", "tpm2:nowhere"):
        done = site.cli("mef", "provision", "p", "--out", site.path("p"), "--se", uri)
        assert done.code in (3, 5) and not os.path.exists(site.path("p")), (uri, done)


try:
    provider.main(lambda: Site(extra_ca=False))
finally:
    shutil.rmtree(home, ignore_errors=True)
