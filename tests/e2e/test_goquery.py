#!/usr/bin/env python3
"""goquery prints what is in tests/data/goquery: what goProbe v4's goQuery prints, or what we print instead.

The database is made anew each time, from a seed. `test_goquery.py --record PROGRAM FILE` writes into FILE what PROGRAM
prints instead of testing; see the README there.
"""

import dataclasses
import difflib
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
