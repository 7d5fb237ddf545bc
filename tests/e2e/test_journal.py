"""A sensor that is killed loses seconds: what its journal holds is counted once, live and in the database."""

import glob
import json
import os
import shutil
import subprocess
import time

import lab
from lab import UNICAST, Lab, Sensor, TestCase, exchange_udp, http_request, wait_until

PORT, OTHER, INTERVAL = 7001, 7002, 1


class Journal(TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab("alpha", "beta"))
        self.sensor = Sensor(self.lab.alpha)
        self.configure()
        self.sensor.start()

    def configure(self, **journal):
        self.sensor.write_config(journal={"interval": INTERVAL, **journal})

    def journals(self, prefix=".journal"):
        return glob.glob(os.path.join(self.sensor.db, prefix + "*"))

    def metric(self, name):
        _, _, text = http_request(self.sensor.socket, "GET", "/metrics")
        values = [line.split()[1] for line in text.splitlines() if line.startswith(f"goprobe_{name} ")]
        return float(values[0])

    def packets(self, rows):
        """{port: (packets sent, packets received)}"""
        return {row["attributes"].get("dport", 0): (row["counters"].get("ps", 0), row["counters"].get("pr", 0))
                for row in rows}

    def live(self):
        return self.packets(self.sensor.query("dport")["rows"])

    def stored(self):
        out, _ = self.run_tool(lab.GOQUERY, "-d", self.sensor.db, "-i", "any", "-f", "-1h", "-e", "json", "-c", UNICAST,
                               "dport")
        return self.packets(json.loads(out).get("rows") or [])

    def send(self, port, requests, replies):
        exchange_udp(self.lab.alpha, self.lab.beta, port, requests, replies, 100)

    def kill(self):
        self.sensor.daemon.kill()

    def test_nothing_before_the_last_write_is_lost(self):
        self.send(PORT, 40, 30)
        wait_until("packets are counted", lambda: self.live() == {PORT: (40, 30)})
        time.sleep(2.5 * INTERVAL)
        self.assertEqual(1, len(self.journals()))
        self.kill()
        self.sensor.start()
        self.assertEqual({PORT: (40, 30)}, self.live())  # the interval goes on
        self.assertIn("interval of an earlier process goes on", self.sensor.daemon.output())
        self.send(PORT, 2, 1)
        self.send(OTHER, 5, 0)
        expected = {PORT: (42, 31), OTHER: (5, 0)}
        wait_until("packets are counted", lambda: self.live() == expected)
        time.sleep(2.5 * INTERVAL)
        self.kill()  # again
        self.sensor.start()
        self.assertEqual(expected, self.live())
        self.assertEqual(0, self.sensor.stop())
        self.assertEqual([], self.journals())
        self.assertEqual(expected, self.stored())
        self.sensor.start()
        self.assertEqual(expected, self.live())
        self.assertEqual(0, self.sensor.stop())
        self.assertEqual(expected, self.stored())

    def test_a_kill_at_any_moment(self):
        """Packets flow all the time; what is lost is less than what came since the last write but one."""
        sent = 0
        for round_ in range(4):
            end = time.monotonic() + 1.3 * INTERVAL + 0.17 * round_
            stamps = []
            while time.monotonic() < end:
                self.send(PORT, 5, 0)
                sent += 5
                stamps.append((time.monotonic(), sent))
                time.sleep(0.02)
            killed = time.monotonic()
            self.kill()
            self.sensor.start()
            seen = self.live().get(PORT, (0, 0))[0]
            safe = max([n for t, n in stamps if t < killed - 2 * INTERVAL - 0.3], default=0)
            self.assertLessEqual(seen, sent)
            self.assertGreaterEqual(seen, safe)
            sent = seen
        self.assertEqual(0, self.sensor.stop())
        self.assertEqual({PORT: (sent, 0)}, self.stored())

    def test_an_interval_that_nobody_continues_is_written(self):
        """The interface is captured no more after the restart."""
        self.send(PORT, 9, 9)
        wait_until("packets are counted", lambda: self.live() == {PORT: (9, 9)})
        time.sleep(2.5 * INTERVAL)
        self.kill()
        self.sensor.write_config(interfaces={"lo": {"ring_buffer": {"block_size": 1048576, "num_blocks": 4}}})
        self.sensor.interface = "lo"
        self.sensor.start()
        self.assertEqual(0, self.sensor.stop())
        self.assertEqual({PORT: (9, 9)}, self.stored())
        self.assertEqual([], self.journals())

    def test_a_second_sensor_leaves_the_journal_of_the_first(self):
        """Started by mistake over the same database: once with the same address, once for another interface."""
        self.send(PORT, 9, 9)
        wait_until("packets are counted", lambda: self.live() == {PORT: (9, 9)})
        time.sleep(2.5 * INTERVAL)
        before = self.journals()
        self.assertEqual(1, len(before))
        said = "".join(self.run_tool(*self.sensor.command(), status=1))
        self.assertIn("another goprobe keeps it", said)
        other = Sensor(self.lab.beta)
        other.db = self.sensor.db
        other.write_config(journal={"interval": INTERVAL})
        other.start()
        self.assertEqual(0, other.stop())
        self.assertEqual(before, self.journals())
        self.assertEqual({}, {port: n for port, n in self.stored().items() if port == PORT})
        self.send(PORT, 1, 1)
        wait_until("packets are counted", lambda: self.live() == {PORT: (10, 10)})
        time.sleep(2.5 * INTERVAL)
        self.kill()
        self.sensor.start()
        self.assertEqual(0, self.sensor.stop())
        self.assertEqual({PORT: (10, 10)}, self.stored())

    def test_damaged_journals_do_not_stop_the_sensor(self):
        self.send(PORT, 9, 9)
        wait_until("packets are counted", lambda: self.live() == {PORT: (9, 9)})
        time.sleep(2.5 * INTERVAL)
        self.kill()
        (path,) = self.journals()
        with open(path, "ab") as f:
            f.write(b"torn")
        with open(os.path.join(self.sensor.db, ".journal.0000000000000000.eth0"), "wb") as f:
            f.write(b"no journal at all")
        os.mkdir(os.path.join(self.sensor.db, ".journal.0000000000000001.eth0"))  # cannot be read
        self.sensor.start()
        self.assertEqual({PORT: (9, 9)}, self.live())
        log = self.sensor.daemon.output()
        self.assertIn("torn or damaged end", log)
        self.assertIn("damaged journal set aside", log)
        self.assertIn("journal not replayed", log)
        self.assertEqual(0, self.sensor.stop())
        self.assertEqual({PORT: (9, 9)}, self.stored())
        self.assertEqual(1, len(self.journals(".journal-damaged.")))

    def test_without_a_journal(self):
        self.assertEqual(0, self.sensor.stop())
        self.configure(enabled=False)
        self.sensor.start()
        self.send(PORT, 9, 9)
        wait_until("packets are counted", lambda: self.live() == {PORT: (9, 9)})
        time.sleep(2 * INTERVAL)
        self.assertEqual([], self.journals())
        self.assertEqual(0, self.sensor.stop())
        self.assertEqual({PORT: (9, 9)}, self.stored())

    def test_a_database_that_cannot_be_written_now(self):
        """The day's metadata is damaged: the block is left to the journal, and written once that is mended."""
        self.send(PORT, 3, 3)
        wait_until("packets are counted", lambda: self.live() == {PORT: (3, 3)})
        self.assertEqual(0, self.sensor.stop())
        (meta,) = glob.glob(os.path.join(self.sensor.db, "eth0", "*", "*", "*", ".blockmeta"))
        with open(meta, "rb") as f:
            whole = f.read()
        with open(meta, "wb") as f:
            f.write(b"\xff" * 40)
        self.sensor.start()
        self.send(OTHER, 4, 4)
        wait_until("packets are counted", lambda: self.captured(8))
        self.assertEqual(0, self.sensor.stop())
        self.assertIn("block left to the journal", self.sensor.daemon.output())
        self.assertEqual(1, len(self.journals()))
        with open(meta, "wb") as f:
            f.write(whole)
        self.sensor.start()
        self.assertEqual(0, self.sensor.stop())
        self.assertEqual({PORT: (3, 3), OTHER: (4, 4)}, self.stored())
        self.assertEqual([], self.journals())

    def captured(self, packets):
        _, _, body = http_request(self.sensor.socket, "GET", "/status")
        return json.loads(body)["statuses"]["eth0"]["processed_total"] >= packets

    def test_a_full_disk(self):
        """Blocks wait until there is room again, and so does the journal."""
        self.assertEqual(0, self.sensor.stop())
        shutil.rmtree(self.sensor.db)
        os.mkdir(self.sensor.db)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", self.sensor.db], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", self.sensor.db], check=True)
        self.sensor.start()
        lab.fill_disk(os.path.join(self.sensor.db, "filler"))
        self.send(PORT, 6, 6)
        wait_until("packets are counted", lambda: self.live() == {PORT: (6, 6)})
        wait_until("the journal fails", lambda: self.metric("journal_errors_total") > 0)
        # A changed configuration ends the interval: its block cannot be written now.
        with open(self.sensor.config, encoding="utf-8") as f:
            config = json.load(f)
        config["interfaces"]["eth0"]["promisc"] = False
        with open(self.sensor.config, "w", encoding="utf-8") as f:
            json.dump(config, f)
        status, _, body = http_request(self.sensor.socket, "POST", "/config/_reload")
        self.assertEqual(200, status, body)
        self.send(OTHER, 2, 2)
        wait_until("a writeout fails", lambda: self.metric("writeout_failed_total") > 0)
        self.assertEqual(1, self.metric("writeout_waiting_blocks"))
        os.unlink(os.path.join(self.sensor.db, "filler"))
        wait_until("the block is written", lambda: self.metric("writeout_waiting_blocks") == 0, 40)
        self.assertEqual(0, self.metric("writeout_lost_total"))
        wait_until("the journal is up to date", lambda: self.metric("journal_lag_seconds") < 2 * INTERVAL)
        self.assertEqual(1, len(self.journals(".journal.")))
        self.assertEqual(0, self.sensor.stop())
        self.assertEqual({PORT: (6, 6), OTHER: (2, 2)}, self.stored())
        self.assertEqual([], self.journals())


if __name__ == "__main__":
    lab.main()
