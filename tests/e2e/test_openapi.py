"""Both services answer every request, however odd, as their OpenAPI documents say.

Schemathesis makes the requests from the document that the running service gives out: examples, boundary values, and
random ones, valid and invalid, from a fixed seed. Everything happens on the loopback interface of a namespace.
"""

import json
import os
import subprocess

import lab
from lab import GLOBAL_QUERY, GOPROBE, Lab, TestCase, http_request, wait_until

SCHEMATHESIS = os.environ.get("SCHEMATHESIS", os.path.join(lab.TOP, "build", "venv", "bin", "schemathesis"))

# Left out: negative_data_rejection (null stands for a missing member, as in v4) and positive_data_acceptance (whether
# an interface, a condition or a time makes sense is not a matter of form), allow_header_conformance (GET
# /config/_reload is answered as /config/{iface}, as in v4).
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
          "response_schema_conformance", "unsupported_method", "missing_required_header")


class Documents(TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab("alpha"))
        self.host = self.lab.alpha

    def write(self, name, content):
        path = os.path.join(self.lab.dir, name)
        with open(path, "w", encoding="utf-8") as f:
            json.dump(content, f)
        return path

    def start_sensor(self):
        db = os.path.join(self.lab.dir, "db")
        os.makedirs(db)
        config = self.write("goprobe.yaml", {
            "db": {"path": db}, "api": {"addr": "127.0.0.1:8145", "metrics": True},
            "interfaces": {"eth0": {"promisc": True, "ring_buffer": {"block_size": 1048576, "num_blocks": 4}}}})
        return self.lab.daemon("goprobe", self.host.command(GOPROBE, "-config", config))

    def start_global_query(self):
        endpoints = self.write("endpoints.yaml", {"hostA": {"addr": "127.0.0.1:8145", "timeout": "10s"}})
        return self.lab.daemon("global-query", self.host.command(
            GLOBAL_QUERY, "server", "--server.addr", "127.0.0.1:8146", "--querier.config", endpoints))

    def in_host(self, *command, timeout=150):
        return subprocess.run(self.host.command(*command), capture_output=True, text=True, timeout=timeout, check=False,
                              cwd=self.lab.dir)

    def check(self, daemon, port):
        url = f"http://127.0.0.1:{port}"
        wait_until(f"{daemon.name} is ready",
                   lambda: self.in_host("curl", "-sf", f"{url}/-/ready").returncode == 0)
        done = self.in_host(SCHEMATHESIS, "run", f"{url}/openapi.yaml", "--phases", "examples,coverage,fuzzing",
                            "--max-examples", "40", "--seed", "5", "--continue-on-failure", "--no-color",
                            "--suppress-health-check", "all", "--generation-database", "none", "--checks",
                            ",".join(CHECKS))
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"\d{3,} generated, .*passed")
        self.assertIsNone(daemon.process.poll(), "it is still there")

    def test_sensor(self):
        self.check(self.start_sensor(), 8145)

    def test_global_query(self):
        self.start_sensor()
        self.check(self.start_global_query(), 8146)


if __name__ == "__main__":
    lab.main()
