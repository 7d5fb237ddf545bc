"""Whole machines for tests of packages and roles: Debian with systemd as process 1, in namespaces of its own.

The root file system is made once with mmdebstrap from the package sources of this host and kept below build/; each
Machine unpacks its own copy and boots it with systemd-nspawn, with a loopback interface and no other network. Needs root.
"""

import glob
import hashlib
import os
import shutil
import subprocess
import tempfile
import time

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
CACHE = os.path.join(TOP, "build", "roots")


def package_sources():
    lists = ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*"))]
    return [path for path in lists if os.path.isfile(path) and os.path.getsize(path) > 0]


def root_tar(packages):
    """Path of a root file system with these packages."""
    name = hashlib.sha256(" ".join(sorted(packages)).encode()).hexdigest()[:16]
    path = os.path.join(CACHE, f"bookworm-{name}.tar")
    if not os.path.exists(path):
        os.makedirs(CACHE, exist_ok=True)
        subprocess.run(["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(packages)}",
                        "bookworm", f"{path}.part.tar", *package_sources()], check=True)
        os.rename(f"{path}.part.tar", path)
    return path


class Machine:
    """with Machine(packages) as m: m.run("systemctl", "status")"""

    def __init__(self, packages):
        self.packages = packages

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="gpmachine.")
        self.root = os.path.join(self.dir, "root")
        os.mkdir(self.root)
        self.log = open(os.path.join(self.dir, "console.log"), "w+b")
        self.nspawn = None
        try:
            subprocess.run(["tar", "-C", self.root, "-xf", root_tar(self.packages)], check=True)
            self.write("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
            self._boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        if self.nspawn and self.nspawn.poll() is None:
            self.nspawn.terminate()  # a clean shutdown of the machine
            try:
                self.nspawn.wait(30)
            except subprocess.TimeoutExpired:
                self.nspawn.kill()
                self.nspawn.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _boot(self):
        self.nspawn = subprocess.Popen(
            ["systemd-nspawn", "--quiet", f"--directory={self.root}", f"--machine=gp{os.getpid()}", "--private-network",
             "--register=no", "--keep-unit", "--link-journal=no", "--console=pipe", "--boot"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 60
        while self.state() not in ("running", "degraded"):
            if self.nspawn.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                raise AssertionError(f"the machine did not boot ({self.state()}):\n{self.log.read().decode(errors='replace')}")
            time.sleep(0.2)

    def _leader(self):
        """Process 1 of the machine, as this host numbers it."""
        path = f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children"
        with open(path, encoding="ascii") as f:
            return f.read().split()[0]

    def _command(self, args):
        return ["nsenter", "--all", "--root", "--wd", "--target", self._leader(), "env", "-i", "LC_ALL=C.UTF-8", "TERM=dumb",
                "HOME=/root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "NO_COLOR=1",
                "DEBIAN_FRONTEND=noninteractive", *args]

    def state(self):
        try:
            done = subprocess.run(self._command(["systemctl", "is-system-running"]), capture_output=True, text=True,
                                  timeout=20, check=False)
        except (OSError, IndexError, subprocess.TimeoutExpired):
            return "starting"
        return done.stdout.strip()

    def try_run(self, *args, timeout=120):
        return subprocess.run(self._command(args), capture_output=True, text=True, timeout=timeout, check=False,
                              stdin=subprocess.DEVNULL)

    def run(self, *args, timeout=120):
        """Standard output of a command that has to succeed."""
        done = self.try_run(*args, timeout=timeout)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(args)}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def copy(self, source, target):
        """A file or folder of this host to a path of the machine."""
        path = os.path.join(self.root, target.lstrip("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.isdir(source):
            shutil.copytree(source, path)
        else:
            shutil.copy(source, path)

    def exists(self, path):
        return os.path.lexists(os.path.join(self.root, path.lstrip("/")))

    def read(self, path):
        with open(os.path.join(self.root, path.lstrip("/")), encoding="utf-8") as f:
            return f.read()

    def write(self, path, text):
        with open(os.path.join(self.root, path.lstrip("/")), "w", encoding="utf-8") as f:
            f.write(text)
