"""The Ansible roles, applied for real to a machine with systemd: twice (the second time changes nothing), an upgrade
while queries run, and removal."""

import json
import os
import re
import threading
import unittest

from machine import TOP, Machine
from test_packages import BASE, dependencies, make_packages

INVENTORY = """
all:
  hosts:
    sensor1:
      ansible_connection: local
      ansible_python_interpreter: /usr/bin/python3
  vars:
    goprobe_packages_dir: /opt/packages
    goprobe_api_addr: unix:/run/goprobe/goprobe.sock
{more}  children:
    goprobe_sensors: {{hosts: {{sensor1: }}}}
    global_query: {{hosts: {{sensor1: }}}}
"""


# The only interface of the machine.
CAPTURE_LO = """    goprobe_config:
      db: {path: /var/lib/goprobe/db}
      api: {addr: "unix:/run/goprobe/goprobe.sock"}
      autodetection: {enabled: true}
"""


class Queries(threading.Thread):
    """Asks the fleet again and again until told to stop; keeps every answer that is not complete."""

    def __init__(self, machine):
        super().__init__()
        self.machine = machine
        self.done = threading.Event()
        self.complete = 0
        self.named = 0
        self.unreachable = []
        self.wrong = []

    def run(self):
        while not self.done.wait(0.1):
            self.ask()

    def ask(self):
        asked = self.machine.try_run("goquery", "--query.server.addr", "localhost:8146", "-q", "sensor1", "-i", "any",
                                     "-f", "-1h", "--query.live", "-e", "json", "sip")
        if asked.returncode != 0:
            # global-query itself is being replaced, or the tools are
            self.unreachable.append(asked.stdout + asked.stderr)
            return
        # A sensor that answered has its own host name there, one that did not the name it was asked by.
        statuses = json.loads(asked.stdout)["hosts_statuses"]
        if len(statuses) == 1 and {s["code"] for s in statuses.values()} <= {"ok", "empty", "missing data"}:
            self.complete += 1
        elif list(statuses) == ["sensor1"] and statuses["sensor1"]["code"] == "error":
            self.named += 1
        else:
            self.wrong.append(asked.stdout)


class Roles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.old = make_packages("5.0.0~test1")
        cls.new = make_packages("5.0.0~test2")

    def setUp(self):
        runtime = [d for d in dependencies(self.old) if not d.endswith("-dev")]
        self.machine = self.enterContext(Machine([*BASE, "ansible-core", "python3-apt", *runtime]))
        self.machine.copy(os.path.join(TOP, "deploy", "ansible"), "/opt/ansible")
        self.machine.write("/opt/ansible/inventory.yml", INVENTORY.format(more=""))
        self.provide(self.old)

    def provide(self, packages):
        self.machine.run("rm", "-rf", "/opt/packages")
        for path in packages.values():
            self.machine.copy(path, f"/opt/packages/{os.path.basename(path)}")

    def play(self, playbook, *args):
        """What changed, as the recap counts it."""
        out = self.machine.run("env", "ANSIBLE_CONFIG=/opt/ansible/ansible.cfg", "ansible-playbook", "-i",
                               "/opt/ansible/inventory.yml", f"/opt/ansible/{playbook}", *args, timeout=300)
        self.assertIn("failed=0", out)
        self.assertIn("unreachable=0", out)
        return int(re.search(r"changed=(\d+)", out).group(1)), out

    def version(self, package):
        return self.machine.run("dpkg-query", "-W", "-f", "${Version}", package)

    def test_roles(self):
        changed, _ = self.play("site.yml")
        self.assertGreater(changed, 4)
        self.assertEqual("5.0.0~test1", self.version("goprobe"))
        self.assertIn("sensor1", self.machine.read("/etc/goprobe/endpoints.yaml"))
        again, out = self.play("site.yml")
        self.assertEqual(0, again, out)

        self.machine.write("/opt/ansible/inventory.yml", INVENTORY.format(more=CAPTURE_LO))
        changed, _ = self.play("site.yml")
        self.assertEqual(2, changed, "the file and the restart")
        self.assertIn("lo", self.machine.run("gpctl", "-s", "unix:/run/goprobe/goprobe.sock", "status"))

        self.upgrade_while_queries_run()

        self.play("remove.yml")
        self.assertNotEqual(0, self.machine.try_run("systemctl", "is-active", "goprobe").returncode)
        self.assertFalse(self.machine.exists("/etc/goprobe"))
        self.assertTrue(self.machine.exists("/var/lib/goprobe/db"))
        again, out = self.play("remove.yml")
        self.assertEqual(0, again, out)
        self.play("remove.yml", "-e", "goprobe_remove_data=true")
        self.assertFalse(self.machine.exists("/var/lib/goprobe"))

    def upgrade_while_queries_run(self):
        self.provide(self.new)
        changed, out = self.play("site.yml")
        self.assertEqual("5.0.0~test1", self.version("goprobe"), "site.yml does not upgrade")
        queries = Queries(self.machine)
        queries.start()
        try:
            self.play("upgrade.yml")
        finally:
            queries.done.set()
            queries.join()
        self.assertEqual("5.0.0~test2", self.version("goprobe"))
        self.assertEqual("5.0.0~test2", self.version("global-query"))
        self.assertEqual([], queries.wrong)
        self.assertGreater(queries.complete, 5, queries.unreachable)
        print(f"during the upgrade: {queries.complete} complete answers, {queries.named} that named the sensor, "
              f"{len(queries.unreachable)} while global-query or the tools were replaced")
        again, out = self.play("upgrade.yml")
        self.assertEqual(0, again, out)


if __name__ == "__main__":
    unittest.main(verbosity=2)
