#!/usr/bin/env python3
"""A disk that is full for an hour, or for as many minutes as the first argument says, under a sensor that goes on.

Too long for ./test. Blocks of every interval wait, nothing is counted as lost, memory stays bounded; when there is room
again, everything that was sent is in the database."""

import glob
import json
import os
import shutil
import subprocess
import sys
import time

import lab
from lab import UNICAST, Lab, Sensor, TestCase, exchange_udp, http_request, wait_until

MINUTES = int(sys.argv.pop(1)) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 60
PERIOD, FIRST_PORT, PORTS = 5, 7000, 50


class FullDisk(TestCase):
    def metric(self, name):
        _, _, text = http_request(self.sensor.socket, "GET", "/metrics")
        return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"goprobe_{name} ")))

    def memory(self):
        with open(f"/proc/{self.child()}/status", encoding="ascii") as f:
            return int(next(line.split()[1] for line in f if line.startswith("VmRSS:")))

    def child(self):
        """goprobe itself; the daemon is the command that brought it into its namespace, or has become it."""
        pid = self.sensor.daemon.process.pid
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            below = f.read().split()
        return int(below[0]) if below else pid

    def stored(self):
        out, _ = self.run_tool(lab.GOQUERY, "-d", self.sensor.db, "-i", "any", "-f", "-1d", "-e", "json", "-c", UNICAST,
                               "-n", "1000", "dport")
        return {row["attributes"]["dport"]: (row["counters"].get("ps", 0), row["counters"].get("pr", 0))
                for row in json.loads(out).get("rows") or []}

    def send(self, minutes):
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            port = FIRST_PORT + self.turns % PORTS
            self.turns += 1
            requests, replies = 1 + self.turns % 7, self.turns % 3
            exchange_udp(self.lab.alpha, self.lab.beta, port, requests, replies, 100)
            before = self.sent.get(port, (0, 0))
            self.sent[port] = (before[0] + requests, before[1] + replies)
            if self.turns % 60 == 0:
                print(f"{time.strftime('%T')} waiting {self.metric('writeout_waiting_blocks'):.0f}, failed "
                      f"{self.metric('writeout_failed_total'):.0f}, lost {self.metric('writeout_lost_total'):.0f}, "
                      f"memory {self.memory()} kB", flush=True)
            time.sleep(PERIOD)

    def test_an_hour(self):
        self.lab = self.enterContext(Lab("alpha", "beta"))
        self.sensor = Sensor(self.lab.alpha)
        self.turns, self.sent = 0, {}
        self.sensor.write_config(journal={"interval": 3})
        shutil.rmtree(self.sensor.db, ignore_errors=True)
        os.mkdir(self.sensor.db)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", self.sensor.db], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", self.sensor.db], check=True)
        self.sensor.start()
        self.send(1)
        before = self.memory()
        lab.fill_disk(os.path.join(self.sensor.db, "filler"))
        self.send(MINUTES)
        self.assertGreater(self.metric("writeout_waiting_blocks"), MINUTES // 5 - 1)
        self.assertLess(self.memory(), before + 4096)
        os.unlink(os.path.join(self.sensor.db, "filler"))
        self.send(1)
        wait_until("the blocks are written", lambda: self.metric("writeout_waiting_blocks") == 0, 120)
        self.assertEqual(0, self.metric("writeout_lost_total"))
        self.assertEqual(0, self.sensor.stop())
        self.assertEqual(self.sent, self.stored())
        self.assertEqual([], glob.glob(os.path.join(self.sensor.db, ".journal*")))


if __name__ == "__main__":
    lab.main()
