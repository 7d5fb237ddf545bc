#!/usr/bin/env python3
"""gpdb against what hosts do to it: disks that fill up, SIGKILL and SIGINT at any instant.

The disk is a small tmpfs in a mount namespace of our own; that needs root.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("GP_BUILD", os.path.join(TOP, "build", "release")))
GPDB = os.path.join(BUILD, "client", "gpdb", "gpdb")
GOQUERY = os.path.join(BUILD, "client", "goquery", "goquery")
V4_DB = os.path.join(TOP, "..", "shared", "reference", "testdb")
GENDB = os.path.join(BUILD, "tests", "bench", "gp-gendb")


def gpdb(*args):
    done = subprocess.run([GPDB, *args], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def rows(db, *args):
    """What goquery answers, and how many bytes it loaded for it."""
    done = subprocess.run([GOQUERY, "-d", db, "-i", "any", "-f", "0", "-e", "json", *args], capture_output=True, text=True,
                          timeout=120, check=True)
    answer = json.loads(done.stdout)
    return (answer["rows"], answer["summary"]["totals"], answer["summary"]["hits"]), answer["summary"]["stats"]["bytes_loaded"]


def files(db, ours):
    """Inode, time and size of the files that v4 knows, or of those that it does not."""
    found = {}
    for folder, _, names in os.walk(db):
        for name in names:
            if (name in ADDITIONAL) == ours:
                st = os.stat(os.path.join(folder, name))
                found[os.path.join(folder, name)] = (st.st_ino, st.st_mtime_ns, st.st_size)
    return found


def additional(db):
    found = {}
    for path in files(db, ours=True):
        with open(path, "rb") as f:
            found[path] = f.read()
    return found


def strip(db):
    """A database as v4 would have left it."""
    for path in files(db, ours=True):
        os.remove(path)


def number(text, label):
    return int(re.search(rf"^{label}: (\d+)$", text, re.M).group(1))


NOBODY = 65534
ADDITIONAL = (".blocksums", ".blockfilter", ".topports")


class Gpdb(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="gp_e2e_")
        cls.source = os.path.join(cls.dir, "source")
        cls.csv = os.path.join(cls.dir, "flows.csv")
        subprocess.run([GENDB, cls.source, "6", "96", "300"], check=True, stderr=subprocess.DEVNULL)
        code, text = gpdb("export", cls.source, "-o", cls.csv)
        assert code == 0, text

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir)

    def fresh(self, name):
        path = os.path.join(self.dir, name)
        shutil.rmtree(path, ignore_errors=True)
        return path

    def intact_blocks(self, db):
        code, text = gpdb("check", db)
        self.assertEqual(code, 0, text)
        return number(text, "Blocks intact")

    def interrupt(self, sig, rng, *args):
        """Runs gpdb and sends it a signal after a random time; its exit status."""
        process = subprocess.Popen([GPDB, *args], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(rng.random() * 0.15)
        process.send_signal(sig)
        _, self.said = process.communicate(timeout=60)
        return process.returncode

    def test_import_survives_kill(self):
        rng = random.Random(1)
        killed = 0
        for _ in range(12):
            db = self.fresh("killed")
            killed += self.interrupt(signal.SIGKILL, rng, "import", self.csv, db) == -signal.SIGKILL
            if os.path.isdir(db):
                self.intact_blocks(db)
        self.assertGreater(killed, 0)

    def test_import_stops_at_a_block_when_asked(self):
        rng = random.Random(2)
        stopped = 0
        for _ in range(8):
            db = self.fresh("stopped")
            status = self.interrupt(signal.SIGINT, rng, "import", self.csv, db)
            stopped += status == 1 and "interrupted" in self.said
            if os.path.isdir(db):
                self.intact_blocks(db)
        self.assertGreater(stopped, 0)

    def test_merge_survives_kill(self):
        """A day is the old one or the new one at every instant, and merging again goes on."""
        rng = random.Random(3)
        start = os.path.join(self.dir, "start")
        subprocess.run([GENDB, start, "6", "48", "200", "7"], check=True, stderr=subprocess.DEVNULL)
        for _ in range(10):
            db = self.fresh("merged")
            shutil.copytree(start, db)
            self.interrupt(signal.SIGKILL, rng, "merge", self.source, db)
            blocks = self.intact_blocks(db)
            self.assertGreaterEqual(blocks, 6 * 48)
            code, text = gpdb("merge", self.source, db)
            self.assertEqual(code, 0, text)
            self.assertEqual(self.intact_blocks(db), 6 * 96)

    def check_index(self, db, *queries):
        """Answers stay, files of v4 stay, a second run finds nothing to do; how many bytes were loaded, before and after."""
        known, before = files(db, ours=False), [rows(db, *q) for q in queries]
        code, text = gpdb("index", db)
        self.assertEqual((code, number(text, "Days failed")), (0, 0), text)
        self.assertEqual(files(db, ours=False), known)
        after = [rows(db, *q) for q in queries]
        self.assertEqual([answer for answer, _ in after], [answer for answer, _ in before])
        code, text = gpdb("check", db)
        self.assertIn("Damages: 0\nNotes: 0\n", text)
        made = files(db, ours=True)
        code, text = gpdb("index", db)
        self.assertEqual((code, number(text, "Days indexed")), (0, 0), text)
        self.assertEqual(files(db, ours=True), made)
        return [loaded for _, loaded in before], [loaded for _, loaded in after]

    def test_index_of_days_without(self):
        db = self.fresh("plain")
        subprocess.run([GENDB, db, "2", "6", "6000"], check=True, stderr=subprocess.DEVNULL)
        strip(db)
        before, after = self.check_index(db, ["time"], ["sip,dip", "-c", "host = 203.0.113.77"], ["sip,dport"])
        self.assertLess(after[0], before[0])
        self.assertLess(after[1], before[1])
        self.assertEqual(after[2], before[2])
        self.assertEqual(len(files(db, ours=True)), 4)

    def test_index_of_large_days(self):
        db = self.fresh("large")
        subprocess.run([GENDB, db, "2", "288", "2200"], check=True, stderr=subprocess.DEVNULL)
        before, after = self.check_index(db, ["dport,proto", "-n", "5"], ["dport", "-n", "3", "-s", "packets"],
                                         ["proto", "-a"], ["dport,proto", "-a", "-n", "5"])
        for was, now in zip(before[:3], after):
            self.assertLess(now * 50, was)
        self.assertEqual(after[3], before[3])
        self.assertEqual(sum(path.endswith(".topports") for path in files(db, ours=True)), 2)

    @unittest.skipUnless(os.path.isdir(V4_DB), "no database of v4 here")
    def test_index_of_v4_days(self):
        db = self.fresh("v4")
        shutil.copytree(V4_DB, db)
        before, after = self.check_index(db, ["time"], ["sip,dip,dport,proto", "-n", "100000"])
        self.assertEqual(after[0], 0)
        self.assertGreater(before[0], 0)

    def test_index_survives_kill(self):
        rng = random.Random(4)
        db = self.fresh("indexed")
        shutil.copytree(self.source, db)
        right = additional(db)
        for _ in range(10):
            strip(db)
            self.interrupt(signal.SIGKILL, rng, "index", db)
            self.intact_blocks(db)
            code, text = gpdb("index", db)
            self.assertEqual(code, 0, text)
            self.assertEqual(additional(db), right)
            self.assertNotIn("interrupted write", gpdb("check", db)[1])

    def test_import_reads_what_export_writes(self):
        db, copy = self.fresh("several"), self.fresh("copy")
        subprocess.run([GENDB, db, "2", "24", "200"], check=True, stderr=subprocess.DEVNULL)
        for i in range(1, 3):
            subprocess.run([GENDB, os.path.join(db, "more"), "2", "24", "100", str(i)], check=True, stderr=subprocess.DEVNULL)
            os.rename(os.path.join(db, "more", "eth0"), os.path.join(db, f"eth{i}"))
            shutil.rmtree(os.path.join(db, "more"))
        done = subprocess.run(f'"{GPDB}" export "{db}" | "{GPDB}" import - "{copy}"', shell=True, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        flows = gpdb("export", db)
        self.assertIn("eth2", flows[1])
        self.assertEqual(flows, gpdb("export", copy))

    def strangers(self, db):
        """What the service could not read, or not as the rest of the database."""
        found = {}
        for folder, _, names in os.walk(db):
            for path in [folder, *(os.path.join(folder, name) for name in names)]:
                st = os.stat(path)
                if (st.st_uid, st.st_gid, st.st_mode & 0o777) != (NOBODY, NOBODY, 0o750 if os.path.isdir(path) else 0o640):
                    found[path] = (st.st_uid, st.st_gid, oct(st.st_mode))
        return found

    @unittest.skipUnless(os.geteuid() == 0, "giving files away needs root")
    def test_root_leaves_a_database_to_its_service(self):
        db, more = self.fresh("service"), self.fresh("more")
        subprocess.run([GENDB, db, "3", "24", "300"], check=True, stderr=subprocess.DEVNULL)
        subprocess.run([GENDB, more, "3", "288", "20", "7"], check=True, stderr=subprocess.DEVNULL)
        shutil.copytree(os.path.join(more, "eth0"), os.path.join(more, "eth1"))
        for folder, _, names in os.walk(db):
            os.chown(folder, NOBODY, NOBODY)
            os.chmod(folder, 0o750)
            for name in names:
                os.chown(os.path.join(folder, name), NOBODY, NOBODY)
                os.chmod(os.path.join(folder, name), 0o640)
        days = sorted(os.path.dirname(path) for path in files(db, ours=False) if path.endswith("sip.gpf"))
        os.truncate(os.path.join(days[0], "dip.gpf"), 30000)
        self.assertEqual(gpdb("repair", db)[0], 0)
        self.assertEqual(self.strangers(db), {}, "repair")
        self.assertEqual(self.strangers(db + ".damaged"), {}, "what repair put aside")
        code, text = gpdb("merge", more, db)
        self.assertEqual(code, 0, text)
        self.assertGreater(number(text, "Days copied"), 0)
        self.assertEqual(self.strangers(db), {}, "merge")
        strip(db)
        self.assertEqual(gpdb("index", db)[0], 0)
        self.assertEqual(self.strangers(db), {}, "index")
        rows_csv = os.path.join(self.dir, "rows.csv")
        with open(rows_csv, "w") as f:
            f.write("time,iface,sip\n1500000000,eth5,10.0.0.1\n1500086400,eth5,10.0.0.1\n4000000000,eth0,10.0.0.1\n")
        self.assertEqual(gpdb("import", rows_csv, db)[0], 0)
        self.assertEqual(self.strangers(db), {}, "import")
        self.assertEqual(gpdb("prune", db, "--iface", "eth0", "--max-age", "1d")[0], 0)
        self.assertEqual(self.strangers(db), {}, "prune")

    @unittest.skipUnless(os.geteuid() == 0, "mounting needs root")
    def test_import_into_a_full_disk(self):
        mount = os.path.join(self.dir, "disk")
        os.makedirs(mount, exist_ok=True)
        size = os.path.getsize(self.csv) // 16
        script = f'''
            mount -t tmpfs -o size={size} none "{mount}" || exit 77
            "{GPDB}" import "{self.csv}" "{mount}/db"; echo "import: $?"
            "{GPDB}" check "{mount}/db"; echo "check: $?"
            "{GPDB}" merge "{self.source}" "{mount}/db"; echo "merge: $?"
            "{GPDB}" check "{mount}/db"; echo "check: $?"
            ls -A "{mount}/db"
        '''
        done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=120)
        if done.returncode == 77:
            self.skipTest("no tmpfs can be mounted here")
        text = done.stdout + done.stderr
        self.assertIn("import: 1", text)
        self.assertIn("merge: 1", text)
        self.assertEqual(text.count("check: 0"), 2, text)
        self.assertEqual(text.count("No space left on device"), 2, text)
        self.assertGreater(number(text, "Blocks intact"), 0)
        self.assertEqual(number(text, "Blocks written"), number(text, "Blocks intact"), text)  # as the import said
        self.assertTrue(done.stdout.endswith("eth0\n"), text)  # no stage is left over


if __name__ == "__main__":
    if not os.access(GPDB, os.X_OK):
        sys.exit(f"{GPDB} is missing: cmake --build --preset release")
    unittest.main(verbosity=2)
