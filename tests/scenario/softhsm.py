"""SoftHSM2 of a test's own: tokens in a folder, their PIN, and files beside them."""
import glob
import os
import shutil
import subprocess

PIN = "27182818"
MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/*/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")
MODULE = next((m for pattern in MODULES for m in glob.glob(pattern)), None)
HERE = bool(MODULE and shutil.which("softhsm2-util"))
ABSENT = "SoftHSM2 is not installed (package softhsm2)"


class Home:
    """From now on SoftHSM2 looks for its tokens in this folder."""

    def __init__(self, folder):
        self.folder = str(folder)
        os.mkdir(os.path.join(self.folder, "tokens"))
        os.environ["SOFTHSM2_CONF"] = self.put(
            "softhsm2.conf", f"directories.tokendir = {self.folder}/tokens\nlog.level = ERROR\n")
        self.pin = self.put("pin", PIN + "\n")

    def put(self, name, text, mode=0o600):
        path = os.path.join(self.folder, name)
        with open(path, "w" if isinstance(text, str) else "wb") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def token(self, label):
        """A new token; its address without a PIN."""
        subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "31415926", "--pin", PIN],
                       check=True, capture_output=True)
        return f"pkcs11:token={label}?module-path={MODULE}"

    def token_with_pin(self, label):
        return f"{self.token(label)}&pin-source=file:{self.pin}"
