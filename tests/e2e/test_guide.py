"""Every command of the guide is run, page by page and in order, as it stands there. A command that fails fails the page."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
import unittest

import lab
from lab import GLOBAL_QUERY, GOPROBE, GOQUERY, GPCTL, Lab, wait_until

GUIDE = os.path.join(lab.TOP, "spec", "guide")
GPDB = os.path.join(lab.BUILD, "client", "gpdb", "gpdb")
GENDB = os.path.join(lab.BUILD, "tests", "bench", "gp-gendb")
MAKE_CAPTURE = os.path.join(lab.BUILD, "tests", "support", "make_capture")
PATH = ":".join(os.path.dirname(p) for p in (GOPROBE, GLOBAL_QUERY, GOQUERY, GPCTL, GPDB)) + ":" + os.environ["PATH"]


def commands(page):
    with open(os.path.join(GUIDE, page), encoding="utf-8") as f:
        return re.findall(r"^```sh\n(.*?)^```", f.read(), re.S | re.M)


class Guide(unittest.TestCase):
    def run_page(self, page, cwd, prefix=(), least=3, **variables):
        blocks = commands(page)
        self.assertGreaterEqual(len(blocks), least)
        script = "set -euo pipefail\n" + "".join(f"echo '== block {i + 1}' >&2\n{b}" for i, b in enumerate(blocks))
        environment = {**os.environ, "PATH": PATH, "NO_COLOR": "1", "TZ": "UTC", **variables}
        done = subprocess.run([*prefix, "bash", "-c", script], cwd=cwd, env=environment, capture_output=True, text=True,
                              timeout=300, check=False)
        self.assertEqual(0, done.returncode, f"{page}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def test_tutorial(self):
        self.addCleanup(self.remove_namespaces)
        output = self.run_page("tutorial.md", lab.TOP, least=8)
        self.assertRegex(output, r"host1 +eth0 +10\.79\.0\.1 +10\.79\.0\.2 +9 +UDP +0 +50 ")
        self.assertRegex(output, r"host2 +eth0 +10\.79\.0\.1 +10\.79\.0\.2 +9 +UDP +50 +0 ")
        self.assertRegex(output, r"Host host3 returned with error")
        self.assertIn("Damages: 0", output)

    @staticmethod
    def remove_namespaces():
        """Only those of a tutorial that did not come to its end."""
        there = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.split()
        for name in {"gp-switch", "gp-host1", "gp-host2", "gp-host3"} & set(there):
            subprocess.run(["ip", "netns", "del", name], check=False)

    @contextlib.contextmanager
    def services(self):
        """What the recipes ask: a sensor with some days of flows until now, and global-query over it."""
        with Lab("alpha") as net:
            host = net.alpha
            db = os.path.join(net.dir, "db")
            today = int(time.time()) // 86400 * 86400
            subprocess.run([GENDB, db, "3", "24", "50", "1", str(today - 3 * 86400)], check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            sensor, fleet = os.path.join(net.dir, "sensor.sock"), "127.0.0.1:8146"
            config, hosts = os.path.join(net.dir, "goprobe.yaml"), os.path.join(net.dir, "hosts.yaml")
            with open(config, "w", encoding="utf-8") as f:
                json.dump({"db": {"path": db}, "api": {"addr": f"unix:{sensor}"},
                           "interfaces": {name: {"ring_buffer": {"block_size": 1048576, "num_blocks": 4}}
                                          for name in ("lo", "eth0")}}, f)
            with open(hosts, "w", encoding="utf-8") as f:
                json.dump({"alpha": {"addr": f"unix:{sensor}", "timeout": "10s"}}, f)
            net.daemon("goprobe", host.command(GOPROBE, "--config", config))
            net.daemon("global-query", host.command(GLOBAL_QUERY, "server", "--server.addr", fleet, "--querier.config",
                                                    hosts, "--hosts.resolver.type", "string"))
            for url in (("--unix-socket", sensor, "http://localhost/-/ready"), (f"http://{fleet}/-/ready",)):
                wait_until(f"{url[-1]} answers", lambda u=url: subprocess.run(
                    host.command("curl", "-sf", *u), capture_output=True, check=False).returncode == 0)
            pcap = os.path.join(net.dir, "some.pcap")
            subprocess.run([MAKE_CAPTURE, pcap], check=True)
            yield net, host, {"db": db, "sensor": f"unix:{sensor}", "fleet": fleet, "hosts": hosts, "pcap": pcap,
                              "v4_config": config, "v4_db": db}

    def test_how_to(self):
        with self.services() as (net, host, variables):
            output = self.run_page("how-to.md", net.dir, host.command(), least=10, **variables)
            self.assertIn("Traffic, one column for", output)
            self.assertIn("Damages: 0", output)
            self.assertRegex(output, r"Updated: \[eth0 lo\]\n +Disabled: \[\]")

    def test_migration(self):
        with self.services() as (net, host, variables):
            self.run_page("migration.md", net.dir, host.command(), least=2, **variables)

    def test_reference_is_up_to_date(self):
        made = subprocess.run([sys.executable, os.path.join(GUIDE, "make_reference.py"), lab.BUILD], capture_output=True,
                              text=True, check=True).stdout
        with open(os.path.join(GUIDE, "reference.md"), encoding="utf-8") as f:
            self.assertTrue(f.read() == made, "run spec/guide/make_reference.py > spec/guide/reference.md")

    def test_links_lead_somewhere(self):
        pages = [os.path.join(GUIDE, p) for p in os.listdir(GUIDE) if p.endswith(".md")] + [os.path.join(lab.TOP, "README.md")]
        n = 0
        for page in pages:
            with open(page, encoding="utf-8") as f:
                links = re.findall(r"\]\(([^)#]+)\)", f.read())
            for link in links:
                if "://" not in link:
                    n += 1
                    self.assertTrue(os.path.exists(os.path.join(os.path.dirname(page), link)), f"{page}: {link}")
        self.assertGreater(n, 20)


if __name__ == "__main__":
    lab.main()
