"""The Debian packages on a machine with systemd: they install, serve, survive an upgrade, and go away again."""

import glob
import json
import os
import re
import subprocess
import time
import unittest

from machine import TOP, Machine

BASE = ["systemd", "systemd-sysv", "dbus", "init-system-helpers", "iproute2", "logrotate", "python3"]
OWN = ("goprobe", "goprobe-tools", "global-query", "libgpclient5", "libgpclient-dev")


def make_packages(version):
    """Builds packages of this version; {name: path}."""
    folder = os.path.join(TOP, "build", f"packages-{version}")
    log = os.path.join(TOP, "build", f"packages-{version}.log")
    with open(log, "w", encoding="utf-8") as f:
        for command in (["cmake", "--preset", "package", f"-DGP_PACKAGE_VERSION={version}"],
                        ["cmake", "--build", "--preset", "package"], ["cpack", "--preset", "package", "-B", folder]):
            if subprocess.run(command, cwd=TOP, stdout=f, stderr=subprocess.STDOUT, check=False).returncode != 0:
                raise AssertionError(f"{' '.join(command)} failed, see {log}")
    return {os.path.basename(p).split("_")[0]: p for p in glob.glob(os.path.join(folder, f"*_{version}_*.deb"))}


def dependencies(packages):
    """Names of the packages that ours need."""
    names = set()
    for path in packages.values():
        field = subprocess.run(["dpkg-deb", "-f", path, "Depends"], check=True, capture_output=True, text=True).stdout
        names |= {re.split(r"[ |(:]", d.strip())[0] for d in field.split(",")}
    return sorted(names - set(OWN) - {""})


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.old = make_packages("5.0.0~test1")
        cls.new = make_packages("5.0.0~test2")

    def boot(self):
        runtime = [d for d in dependencies(self.old) if not d.endswith("-dev")]
        self.machine = self.enterContext(Machine(BASE + runtime))

    def install(self, packages, *names):
        for name in names:
            self.machine.copy(packages[name], f"/opt/{os.path.basename(packages[name])}")
        return self.machine.run("dpkg", "--force-confold", "-i",
                                *[f"/opt/{os.path.basename(packages[n])}" for n in names])

    def eventually(self, what, condition, seconds=20):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                journal = self.machine.try_run("journalctl", "--no-pager", "-n", "60").stdout
                raise AssertionError(f"after {seconds} s, still not so: {what}\n{journal}")
            time.sleep(0.2)

    def active(self, unit):
        return self.machine.try_run("systemctl", "is-active", unit).stdout.strip() == "active"

    def packets(self, *args):
        """Datagrams to the discard port, as goquery tells them."""
        answer = json.loads(self.machine.run("goquery", *args, "-i", "lo", "-f", "-1h", "-e", "json", "-c",
                                             "dport = 9 & proto = udp", "sip,dip,dport,proto"))
        return sum(row["counters"].get("pr", 0) for row in answer.get("rows") or [])

    def test_lintian(self):
        done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error", *self.old.values()], capture_output=True,
                              text=True, check=False)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def test_life_of_the_packages(self):
        self.boot()
        m = self.machine
        self.install(self.old, "goprobe", "goprobe-tools", "global-query", "libgpclient5")
        self.eventually("goprobe runs", lambda: self.active("goprobe"))
        self.eventually("global-query runs", lambda: self.active("global-query"))
        self.check_least_privilege()

        # Settings are the administrator's: capture the loopback interface.
        config = m.read("/etc/goprobe/goprobe.yaml").replace("exclude: [lo, ", "exclude: [")
        m.write("/etc/goprobe/goprobe.yaml", config)
        m.run("systemctl", "restart", "goprobe")
        self.eventually("lo is captured", lambda: "lo" in m.try_run("gpctl", "-s", SOCKET, "status").stdout)
        m.run("python3", "-c", TRAFFIC)
        self.eventually("the fleet's answer has the traffic", lambda: self.packets(
            "--query.server.addr", "localhost:8146", "-q", "localhost", "--query.live") == DATAGRAMS)

        # An upgrade restarts the services, keeps settings and flows.
        before = m.run("systemctl", "show", "-p", "MainPID", "--value", "goprobe").strip()
        self.install(self.new, "goprobe", "goprobe-tools", "global-query", "libgpclient5")
        self.eventually("goprobe runs again", lambda: self.active("goprobe"))
        self.assertNotEqual(before, m.run("systemctl", "show", "-p", "MainPID", "--value", "goprobe").strip())
        self.assertEqual(config, m.read("/etc/goprobe/goprobe.yaml"))
        time.sleep(1.1)  # the last block of the old program is stamped one second ahead
        self.assertEqual(DATAGRAMS, self.packets("-d", "/var/lib/goprobe/db"))

        self.check_token_recipe()

        # What an administrator switched off stays off.
        m.run("systemctl", "disable", "--now", "--quiet", "global-query")
        self.install(self.old, "global-query")
        self.assertFalse(self.active("global-query"))

        m.run("dpkg", "--remove", "goprobe", "goprobe-tools", "global-query", "libgpclient5")
        self.assertFalse(self.active("goprobe"))
        self.assertFalse(m.exists("/usr/bin/goprobe"))
        self.assertTrue(m.exists("/etc/goprobe/goprobe.yaml"))
        text = m.run("dpkg", "--purge", "goprobe", "goprobe-tools", "global-query", "libgpclient5")
        self.assertIn("/var/lib/goprobe", text)
        self.assertTrue(m.exists("/var/lib/goprobe/db/lo"), "flows are kept")
        for path in ("/etc/goprobe", "/etc/logrotate.d/goprobe", "/var/log/goprobe", "/var/log/global-query",
                     "/usr/lib/systemd/system/goprobe.service", "/usr/share/doc/goprobe"):
            self.assertFalse(m.exists(path), path)
        self.assertEqual("", m.run("systemctl", "list-units", "--failed", "--plain", "--no-legend", "--no-pager", "go*",
                                   "global*"))

    def check_token_recipe(self):
        """Tokens as SECURITY.md says to make them: both services can read them, nobody else can."""
        m = self.machine
        made = ("sh", "-c", "umask 022; (umask 077; goprobe token new global-query --file /etc/goprobe/tokens "
                ">global-query.token) && install -g global-query -m 0640 global-query.token /etc/goprobe/ && "
                "goprobe token new me --file /etc/goprobe/tokens >/root/me.token")
        m.run(*made)
        self.assertEqual("root:goprobe 640", m.run("stat", "-c", "%U:%G %a", "/etc/goprobe/tokens").strip())
        configs = {}
        for name, addr in (("goprobe", "addr: unix:/run/goprobe/goprobe.sock"), ("global-query", "addr: localhost:8146")):
            path = f"/etc/goprobe/{name}.yaml"
            configs[path] = m.read(path)
            port = 8145 if name == "goprobe" else 8146
            text = configs[path].replace(addr, f"addr: 0.0.0.0:{port}\n  tokens: /etc/goprobe/tokens")
            self.assertNotEqual(configs[path], text)
            m.write(path, text.replace("\nhosts:", "\n  token_file: /etc/goprobe/global-query.token\nhosts:"))
        endpoints = m.read("/etc/goprobe/endpoints.yaml")
        m.write("/etc/goprobe/endpoints.yaml", "localhost: {addr: 127.0.0.1:8145}\n")
        m.run("systemctl", "restart", "goprobe", "global-query")
        self.eventually("the fleet answers who shows a token", lambda: "lo" in m.try_run(
            "goquery", "--query.server.addr", "localhost:8146", "--query.server.token-file", "/root/me.token", "-q",
            "localhost", "-i", "lo", "-f", "-1h", "iface").stdout)
        self.assertEqual(1, m.try_run("goquery", "--query.server.addr", "localhost:8146", "-q", "localhost", "-i", "lo",
                                      "iface").returncode)
        for file in ("tokens", "global-query.token"):
            self.assertNotEqual(0, m.try_run("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "cat",
                                             f"/etc/goprobe/{file}").returncode)
        for path, text in {**configs, "/etc/goprobe/endpoints.yaml": endpoints}.items():
            m.write(path, text)
        m.run("rm", "/etc/goprobe/tokens", "/etc/goprobe/global-query.token")
        m.run("systemctl", "restart", "goprobe", "global-query")

    def check_least_privilege(self):
        """No root, one capability, nobody else may use the socket."""
        m = self.machine
        pid = m.run("systemctl", "show", "-p", "MainPID", "--value", "goprobe").strip()
        status = m.run("cat", f"/proc/{pid}/status")
        self.assertNotRegex(status, r"Uid:\t0\t")
        self.assertRegex(status, r"CapBnd:\t0000000000002000")
        self.assertRegex(status, r"NoNewPrivs:\t1")
        self.assertNotEqual(0, m.try_run("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "gpctl", "-s",
                                         SOCKET, "status").returncode)


SOCKET = "unix:/run/goprobe/goprobe.sock"

DATAGRAMS = 10
TRAFFIC = f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range({DATAGRAMS}):
    s.sendto(bytes(100), ("127.0.0.1", 9))
"""

if __name__ == "__main__":
    unittest.main(verbosity=2)
