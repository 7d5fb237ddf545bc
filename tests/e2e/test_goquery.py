#!/usr/bin/env python3
"""goquery prints what is in tests/data/goquery: what goProbe v4's goQuery prints, or what we print instead.

The database is made anew each time, from a seed. `test_goquery.py --record PROGRAM FILE` writes into FILE what PROGRAM
prints instead of testing; see the README there.
"""

import dataclasses
import difflib
import glob
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("GP_BUILD", os.path.join(TOP, "build", "release")))
GOQUERY = os.path.join(BUILD, "client", "goquery", "goquery")
GENDB = os.path.join(BUILD, "tests", "bench", "gp-gendb")
DATA = os.path.join(TOP, "tests", "data", "goquery")
MANUAL = os.path.join(TOP, "deploy", "man", "goquery.1")
SAME = os.path.join(DATA, "cases.txt")
DIFFERENT = os.path.join(DATA, "differences.txt")

# What differs from run to run, from host to host, or (the last two) on purpose from v4: see spec/compatibility.md.
MASKS = [
    (r"( in |resolution : )[0-9.]+(ns|µs|ms|s)\b", r"\1TIME"),
    (r'"query_start":"[^"]*"', '"query_start":"START"'),
    (r'"(query_duration_ns|resolution)":[0-9]+', r'"\1":0'),
    (r"\b[0-9a-f]{32}\b", "HOSTID"),
    (r'"(bytes_loaded|blocks_processed|workloads)":[0-9]+', r'"\1":0'),
    (r"((Bytes loaded|Blocks processed|Workloads) +: ).*", r"\1N"),
]


def mask(text):
    for pattern, replacement in MASKS:
        text = re.sub(pattern, replacement, text)
    name = re.escape(socket.gethostname())
    return re.sub(rf'(?<=[",\n]){name}(?=[",])', "HOST", text)


@dataclasses.dataclass
class Case:
    name: str
    note: str = ""
    command: str = ""
    status: int = 0
    output: str = ""

    def text(self):
        note = f"# {self.note}\n" if self.note else ""
        lines = "".join(f"|{line}\n" for line in self.output.splitlines())
        return f"=== {self.name}\n{note}$ {self.command}\nstatus {self.status}\n{lines}"


def read_cases(path):
    cases = []
    with open(path, encoding="utf-8") as f:
        for line in f.read().splitlines():
            if line.startswith("=== "):
                cases.append(Case(line[4:]))
            elif line.startswith("# "):
                cases[-1].note = line[2:]
            elif line.startswith("$ "):
                cases[-1].command = line[2:]
            elif line.startswith("status "):
                cases[-1].status = int(line[7:])
            elif line.startswith("|"):
                cases[-1].output += line[1:] + "\n"
    return cases


def make_database(folder):
    """Two interfaces, two days of two hours each: deterministic, so that answers can be known."""
    for iface, flows, seed in (("eth0", 30, 7), ("eth1", 20, 8)):
        made = os.path.join(folder, f"made-{iface}")
        subprocess.run([GENDB, made, "2", "24", str(flows), str(seed)], check=True, stderr=subprocess.DEVNULL)
        os.makedirs(os.path.join(folder, "db"), exist_ok=True)
        os.rename(os.path.join(made, "eth0"), os.path.join(folder, "db", iface))
    for name in os.listdir(DATA):
        if name.endswith((".json", ".yaml")):
            shutil.copy(os.path.join(DATA, name), folder)


def run(program, command, folder):
    """Status, masked output, and messages."""
    words = shlex.split(command)
    stdin = None
    if "<" in words:
        stdin = open(os.path.join(folder, words[-1]), "rb")
        words = words[: words.index("<")]
    env = {"TZ": "UTC", "HOME": folder, "PATH": "/usr/bin:/bin"}
    with stdin or open(os.devnull, "rb") as source:
        done = subprocess.run([program, *words], cwd=folder, env=env, stdin=source, capture_output=True, timeout=60)
    return done.returncode, mask(done.stdout.decode()), done.stderr.decode()


class KnownAnswers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="goquery."))
        make_database(cls.folder)

    def check(self, path, least):
        cases = read_cases(path)
        self.assertGreaterEqual(len(cases), least)
        for case in cases:
            with self.subTest(case.name, command=case.command):
                status, output, messages = run(GOQUERY, case.command, self.folder)
                diff = difflib.unified_diff(case.output.splitlines(), output.splitlines(), "known", "now", lineterm="")
                self.assertTrue(output == case.output, "\n" + "\n".join(diff))
                self.assertEqual(status, case.status, messages)
                self.assertEqual(bool(messages), status != 0, messages)  # a failure says why, a success nothing

    def test_same_as_v4(self):
        self.check(SAME, 80)

    def test_different_on_purpose(self):
        self.check(DIFFERENT, 10)

    def test_list_of_a_damaged_database(self):
        """A bad day costs no other, counts by what its folder's name says, and is told."""
        with tempfile.TemporaryDirectory(prefix="goquery.") as folder:
            shutil.copytree(os.path.join(self.folder, "db"), os.path.join(folder, "db"))
            known = json.loads(run(GOQUERY, "list -d db -e json", folder)[1])
            bad = sorted(glob.glob(os.path.join(folder, "db", "eth0", "*", "*", "*")))[0]
            os.remove(os.path.join(bad, ".blockmeta"))
            status, output, messages = run(GOQUERY, "list -d db -e json", folder)
            self.assertEqual(status, 0, messages)
            self.assertEqual(messages.count("\n"), 1, messages)
            self.assertIn("goquery: eth0: 1 damaged or unreadable blocks or days (see gpdb check): cannot open", messages)
            now = json.loads(output)
            self.assertEqual(now[0].pop("blocks_corrupted"), 1)
            self.assertEqual([(i["iface"], i["counts"], i["traffic"]) for i in now],
                             [(i["iface"], i["counts"], i["traffic"]) for i in known])
            self.assertEqual(now[1], known[1])

    @unittest.skipUnless(os.geteuid() == 0, "becoming another user needs root")
    def test_list_of_what_is_partly_forbidden(self):
        nobody = 65534
        with tempfile.TemporaryDirectory(prefix="goquery.") as folder:
            program = shutil.copy(GOQUERY, folder)
            shutil.copytree(os.path.join(self.folder, "db"), os.path.join(folder, "db"))
            os.chmod(folder, 0o755)
            os.chmod(os.path.join(folder, "db", "eth0", "2024"), 0o700)
            done = subprocess.run([program, "list", "-d", os.path.join(folder, "db"), "-e", "json"], user=nobody, cwd=folder,
                                  group=nobody, extra_groups=[], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, "^goquery: eth0: 1 damaged or unreadable .*: Permission denied\n$")
        eth0, eth1 = json.loads(done.stdout)
        self.assertEqual((eth0["counts"]["br"], eth0["blocks_corrupted"]), (0, 1))
        self.assertGreater(eth1["counts"]["br"], 0)

    def test_csv_that_is_cut(self):
        """Only where nobody asked for it, and a program would not notice."""
        whole = "-d db -i any -f 0 raw"
        status, output, messages = run(GOQUERY, whole + " -e csv", self.folder)
        self.assertEqual((status, output.count("\n")), (0, 1007))
        self.assertRegex(messages, r"^goquery: 1000 of \d+ rows \(-n \d+ prints all\)\n$")
        most = re.search(r"-n (\d+)", messages)[1]
        status, output, messages = run(GOQUERY, f"{whole} -e csv -n {most}", self.folder)
        self.assertEqual((status, output.count("\n"), messages), (0, int(most) + 7, ""))
        for more in (" -e csv -n 999", " -e json", ""):
            self.assertEqual(run(GOQUERY, whole + more, self.folder)[2], "")

    def test_plot(self):
        """Bytes in two hours of one day, one column for each block; nothing outside of them."""
        status, output, messages = run(GOQUERY, "-d db -i eth0 -f 1704067200 -l 1704081600 -n 3 --plot sip", self.folder)
        self.assertEqual((status, messages), (0, ""))
        table, plot = output.split("Traffic, one column for 5m0s:\n\n")
        self.assertIn("Query stats", table)
        received, sent, axis = plot.rstrip("\n").split("\n")
        self.assertRegex(received, r"^   in [▁▂▃▄▅▆▇█ ]+  peak \d+\.\d\d {1,2}k?B/s$")
        self.assertRegex(sent, r"^  out [▁▂▃▄▅▆▇█ ]+  peak ")
        self.assertIn("█", received)
        self.assertEqual(24, len(re.findall("[▁▂▃▄▅▆▇█]", received)), "24 blocks have traffic")
        self.assertIn("2024-01-01", axis)
        self.assertNotIn("Traffic", run(GOQUERY, "-d db -i eth0 -f 1704067200 --plot -e csv sip", self.folder)[1])
        _, only_in, _ = run(GOQUERY, "-d db -i eth0 -f 1704067200 -l 1704081600 --plot --in sip", self.folder)
        self.assertNotIn("  out ", only_in)

    def test_what_was_skipped(self):
        """A damaged column costs its blocks; the table says so, and a table for programs leaves that to stderr."""
        damaged = os.path.join(self.folder, "damaged")
        shutil.copytree(os.path.join(self.folder, "db"), damaged)
        column = sorted(glob.glob(os.path.join(damaged, "eth0", "*", "*", "*", "sip.gpf")))[0]
        with open(column, "r+b") as f:
            f.truncate(os.path.getsize(column) // 2)
        says = r"HOST: \d+ damaged or unreadable blocks or days were skipped"
        ask = "-d damaged -i eth0,eth1 -f 1704067200 -l 1704240000"
        host = re.escape(socket.gethostname())
        status, output, _ = run(GOQUERY, f"{ask} sip", self.folder)
        self.assertEqual(0, status)
        self.assertRegex(output, rf"Query stats +: .*\nWarnings +: {says.replace('HOST', host)}.*\n\n$")
        status, output, messages = run(GOQUERY, f"{ask} -e csv sip", self.folder)
        self.assertEqual(0, status)
        self.assertNotIn("skipped", output)
        self.assertRegex(messages, rf"Warning: host {says.replace('HOST', host)}")
        self.assertNotIn("Warnings", run(GOQUERY, ask.replace("damaged", "db") + " sip", self.folder)[1])

    def test_misspelt_columns(self):
        status, _, messages = run(GOQUERY, "-d db -i eth0 sip,dprot", self.folder)
        self.assertEqual(1, status)
        self.assertIn("Did you mean dport instead of dprot?", messages)

    def test_zero_is_no_default(self):
        """In the words of v4, for a sum and for a query by time."""
        ask = "-d db -i eth0 -f 1704067200 -l 1704240000"
        for flags, message in (("-n 0", "invalid number of result rows: must be > 0"),
                               ("--results.limit=0", "invalid number of result rows: must be > 0"),
                               ("--memory.max-pct 0", "invalid max memory percentage: must be in (0, 100]")):
            status, output, messages = run(GOQUERY, f"{ask} {flags} sip", self.folder)
            self.assertEqual((status, output), (1, ""), flags)
            self.assertIn(message, messages)

    def test_stored_queries_may_say_more(self):
        """Files are kept longer than programs; as with v4, what is not known does not matter, but here it is said."""
        query = {"query": "sip", "ifaces": "eth0", "first": "1704067200", "last": "1704240000", "num_results": 3}
        for name, more in (("plain", {}), ("more", {"bogus": 1, "external": True, "dns_resolution":
                                                    {"enabled": False, "server\n": "x"}})):
            with open(os.path.join(self.folder, f"stored-{name}.json"), "w", encoding="utf-8") as f:
                json.dump({**query, **more}, f)
        want = run(GOQUERY, "-d db --stored-query stored-plain.json -e csv", self.folder)
        self.assertEqual((want[0], want[2]), (0, ""))
        status, output, messages = run(GOQUERY, "-d db --stored-query stored-more.json -e csv", self.folder)
        self.assertEqual((status, output), (0, want[1]))
        self.assertEqual(messages, "Warning: no query args, and so without effect, in stored-more.json: "
                                   '"server\\n", "bogus", "external"\n')
        with open(os.path.join(self.folder, "stored-bad.json"), "w", encoding="utf-8") as f:
            json.dump({**query, "num_results": 0}, f)
        self.assertEqual(1, run(GOQUERY, "-d db --stored-query stored-bad.json", self.folder)[0])

    def manual(self, section):
        """The lines of literal blocks and example commands in a section of goquery(1)."""
        with open(MANUAL, encoding="utf-8") as f:
            text = f.read().split(f"\n.Sh {section}\n")[1].split("\n.Sh ")[0]
        blocks = re.findall(r"^\.Bd -literal.*\n((?:.*\n)*?)\.Ed", text, re.M)
        return re.findall(r"^\.Dl goquery (.*)", text, re.M) + "".join(blocks).splitlines()

    def works(self, command):
        status, _, messages = run(GOQUERY, command, self.folder)
        self.assertEqual((status, messages), (0, ""), command)

    def test_manual(self):
        conditions, times = self.manual("CONDITIONS"), self.manual("TIME FORMATS")
        examples = [e for e in self.manual("EXAMPLES") if "server.addr" not in e]
        self.assertGreater(min(len(conditions), len(times), len(examples)), 4)
        for condition in conditions:
            self.works(f"-d db -i eth0 -f -10000d -c '{condition}' sip,dip")
        for first in times:
            self.works(f"-d db -i eth0 -f '{first}' -l 4000000000 sip,dip")
        for example in examples:
            self.works(example.replace("/var/lib/goprobe/db", "db"))

    def test_manual_is_complete(self):
        with open(MANUAL, encoding="utf-8") as f:
            text = f.read()
        flags = re.findall(r"--([a-z][a-z.-]+)", run(GOQUERY, "--help", self.folder)[1])
        self.assertGreater(len(flags), 20)
        for flag in flags:
            self.assertRegex(text, rf"Fl -{re.escape(flag)}\b")


def record(program, path):
    cases = read_cases(path)
    with tempfile.TemporaryDirectory(prefix="goquery.") as folder:
        make_database(folder)
        for case in cases:
            case.status, case.output, _ = run(program, case.command, folder)
    with open(path, "w", encoding="utf-8") as f:
        f.write("".join(case.text() for case in cases))


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "--record":
        record(os.path.abspath(sys.argv[2]), sys.argv[3])
    else:
        unittest.main()
