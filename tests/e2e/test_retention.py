#!/usr/bin/env python3
"""Retention: goprobe removes old days while it captures, confined and as a user without rights; gpdb prune."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

import lab

GPDB = os.path.join(lab.BUILD, "client", "gpdb", "gpdb")
GENDB = os.path.join(lab.BUILD, "tests", "bench", "gp-gendb")
DAYS = 5


def gpdb(*args):
    done = subprocess.run([GPDB, *args], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def generate(db):
    """Five days of eth0 from 2024-01-01 on."""
    subprocess.run([GENDB, db, str(DAYS), "8", "50"], check=True, stderr=subprocess.DEVNULL)


def days_of(db, iface="eth0"):
    """A folder whose name begins with a dot is being removed."""
    found = []
    for folder, _, files in os.walk(os.path.join(db, iface)):
        name = os.path.basename(folder)
        if ".blockmeta" in files and not name.startswith("."):
            found.append(int(name.split("_")[0]))
    return sorted(found)


class Prune(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="gp_e2e_")
        self.db = os.path.join(self.dir, "db")
        generate(self.db)

    def tearDown(self):
        shutil.rmtree(self.dir)

    def test_dry_run_and_prune(self):
        before = days_of(self.db)
        code, text = gpdb("prune", self.db, "--max-age", "30d", "--dry-run")
        self.assertEqual(code, 0, text)
        self.assertIn("eth0 2024-01-01: would remove ", text)
        self.assertIn(f"Days removed: {DAYS}\n", text)
        self.assertEqual(days_of(self.db), before)
        size = int(re.search(r"Bytes removed: (\d+)", text).group(1))
        code, text = gpdb("prune", self.db, "--max-size", str(size // 2))
        self.assertEqual(code, 0, text)
        self.assertIn("(size)", text)
        self.assertEqual(days_of(self.db), before[3:])
        code, text = gpdb("check", self.db)
        self.assertEqual(code, 0, text)
        code, text = gpdb("prune", self.db, "--max-age", "30d", "--iface", "eth0")
        self.assertEqual((code, days_of(self.db)), (0, []), text)
        self.assertEqual(os.listdir(os.path.join(self.db, "eth0")), [])

    def test_what_is_refused(self):
        for args, says in ((("prune", self.db), "prune needs a limit"),
                           (("prune", self.db, "--max-age", "90"), "is not an age of a day or more"),
                           (("prune", self.db, "--max-size", "1.5G"), "is not a size in bytes"),
                           (("prune", self.db, "--max-age", "1d", "--iface", "eth9"), "not found in the database"),
                           (("prune", "/nonexistent", "--max-age", "1d"), "failed to prune DB `/nonexistent`")):
            code, text = gpdb(*args)
            self.assertEqual(code, 1, text)
            self.assertIn(says, text)
        self.assertEqual(len(days_of(self.db)), DAYS)


class Sensor(lab.TestCase):
    def run_sensor(self, lab_, **retention):
        sensor = lab.Sensor(lab_.a)
        generate(sensor.db)
        shutil.copytree(os.path.join(sensor.db, "eth0"), os.path.join(sensor.db, "old0"))
        os.chmod(lab_.dir, 0o777)
        subprocess.run(["chown", "-R", "nobody", sensor.db], check=True)
        sensor.write_config(retention=retention, security={"user": "nobody", "seccomp": "kill"})
        sensor.start()
        return sensor

    def metric(self, sensor, name):
        status, _, body = lab.http_request(sensor.socket, "GET", "/metrics")
        self.assertEqual(status, 200)
        text = body.decode() if isinstance(body, bytes) else body
        return int(re.search(rf"^goprobe_retention_{name} (\d+)$", text, re.M).group(1))

    def test_old_days_go_and_new_ones_stay(self):
        with lab.Lab("a", "b") as l:
            sensor = self.run_sensor(l, max_age="90d", interfaces={"old0": {"max_age": "10000d", "max_size": 0}})
            lab.wait_until("the days are gone", lambda: not days_of(sensor.db))
            lab.wait_until("they are counted", lambda: self.metric(sensor, "removed_days_total") == DAYS)
            self.assertGreater(self.metric(sensor, "removed_bytes_total"), 0)
            self.assertEqual(self.metric(sensor, "errors_total"), 0)
            self.assertEqual(len(days_of(sensor.db, "old0")), DAYS)
            lab.ping(l.a, l.b, 3, 100)
            self.assertEqual(sensor.stop(), 0, sensor.daemon.output())
            log = sensor.daemon.output()
            self.assertRegex(log, r'msg="day removed" iface=eth0 day=2024-01-01 bytes=\d+ reason=age')
            self.assertEqual(len(days_of(sensor.db)), 1)  # today, written at the end
            code, text = gpdb("check", sensor.db)
            self.assertEqual(code, 0, text)

    def test_dry_run_removes_nothing(self):
        with lab.Lab("a", "b") as l:
            sensor = self.run_sensor(l, max_size="1k", dry_run=True)
            lab.wait_until("it is logged", lambda: sensor.daemon.output().count("would be removed") == 2 * DAYS)
            self.assertEqual(sensor.stop(), 0, sensor.daemon.output())
            self.assertEqual(len(days_of(sensor.db, "old0")), DAYS)
            self.assertGreaterEqual(len(days_of(sensor.db)), DAYS)


if __name__ == "__main__":
    lab.main()
