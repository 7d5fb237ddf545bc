"""A query whose asker is gone, or has no time left, stops working: seen by the processor time of a real goprobe."""

import json
import os
import shutil
import socket
import subprocess
import time

import lab
from lab import GOQUERY, Lab, Sensor, TestCase, http_request, wait_until

GENDB = os.path.join(lab.BUILD, "tests", "bench", "gp-gendb")
FLOWS = 3000  # a block; a day has 288 of them
QUESTION = {"query": "time,iface,sip,dip,dport,proto", "ifaces": "eth0", "first": "1704000000", "last": "1706000000",
            "num_results": 1, "sort_by": "bytes"}


def cpu(pid):
    """Seconds, user and system."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Cancel(TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab("alpha"))
        self.sensor = Sensor(self.lab.alpha)
        self.sensor.start()
        self.pid = self.sensor.daemon.process.pid
        for days in (6, 12, 23):  # as many as this machine needs to be busy for a while
            self.whole = self.time_of_question(days)
            if self.whole > 1:
                return

    def time_of_question(self, days):
        """Processor time of the question asked to the end."""
        shutil.rmtree(os.path.join(self.sensor.db, "eth0"), ignore_errors=True)
        subprocess.run([GENDB, self.sensor.db, str(days), "288", str(FLOWS)], check=True, stderr=subprocess.DEVNULL)
        before = cpu(self.pid)
        status, _, body = http_request(self.sensor.socket, "POST", "/_query", QUESTION)
        self.assertEqual(200, status, body)
        self.assertGreater(json.loads(body)["summary"]["hits"]["total"], 1000000)
        return cpu(self.pid) - before

    def spent(self, act):
        """Processor time of the sensor from the act until it stands still."""
        before = cpu(self.pid)
        act()

        def still():
            at = cpu(self.pid)
            time.sleep(0.3)
            return cpu(self.pid) - at <= 0.01
        wait_until("the query ends", still, 30)
        return cpu(self.pid) - before

    def leave(self, path):
        body = json.dumps(QUESTION)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.connect(self.sensor.socket)
            s.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                      f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
            time.sleep(0.15)

    def goquery(self, *where):
        return subprocess.run([GOQUERY, *where, "-i", "eth0", "-f", QUESTION["first"], "-l", QUESTION["last"],
                               "--query.timeout", "150ms", QUESTION["query"]], capture_output=True, text=True, check=False)

    def test_client_is_gone(self):
        for path in ("/_query", "/_query/sse"):
            self.assertLess(self.spent(lambda: self.leave(path)), self.whole / 2, path)
        status, _, _ = http_request(self.sensor.socket, "POST", "/_query", {**QUESTION, "query": "proto"})
        self.assertEqual(200, status)

    def test_time_is_over(self):
        server = ["--query.server.addr", self.sensor.addr, "-q", "alpha"]
        self.assertLess(self.spent(lambda: self.goquery(*server)), self.whole / 2)
        for where in (server, ["-d", self.sensor.db]):
            start = time.monotonic()
            done = self.goquery(*where)
            self.assertLess(time.monotonic() - start, self.whole)
            self.assertNotEqual(0, done.returncode)
            self.assertRegex(done.stderr, r"within 150ms, which is the time-out", where)


if __name__ == "__main__":
    lab.main()
