#!/usr/bin/env python3
"""How fast queries are: one command that prints a table.

    tests/bench/query_bench.py --reference /path/to/goQuery

makes a database of 30 days x 288 blocks (once; kept in --cache), and asks every query of the table of ours and, if
given, of a reference goQuery in turn, on one processor and on two. It prints the median of each, the median of the ratios
run by run, the peak memory, and the physical limit: the time that one thread needs to read and decompress the stored
bytes of the same columns (gp-scanlimit). Whole processes are measured; the database is read once before, so it comes
from the page cache.

    --scaling   also with 10^6, 10^7 and 10^8 flows, ours alone
    --nfdump    also nfdump on the same flows (10^7), for two of the queries
"""

import argparse
import dataclasses
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DAYS, BLOCKS, START = 30, 288, "2024-01-01T00:00:00Z"
END = "2024-02-01T00:00:00Z"
COUNTERS = ["bytes_rcvd", "bytes_sent", "pkts_rcvd", "pkts_sent"]
RARE_HOST = "13.196.16.175"  # some 400 flows of 50 million


@dataclasses.dataclass(frozen=True)
class Query:
    name: str
    columns: str
    limit: list  # columns that cannot be done without; of conditions that few blocks meet only those of the condition
    condition: str = ""
    options: tuple = ()

    def command(self, program, db):
        condition = ["-c", self.condition] if self.condition else []
        span = ["-f", START, "-l", END, "-n", "10"]
        return [program, "-d", db, "-i", "eth0", *span, *condition, *self.options, self.columns]


QUERIES = [
    Query("sip", "sip", ["sip", *COUNTERS]),
    Query("sip,dip", "sip,dip", ["sip", "dip", *COUNTERS]),
    Query("dport,proto", "dport,proto", ["dport", "proto", *COUNTERS]),
    Query("dport,proto, least first", "dport,proto", ["dport", "proto", *COUNTERS], "", ("-a",)),  # lists do not tell
    Query("all, dport and snet", "sip,dip,dport,proto", ["sip", "dip", "dport", "proto", *COUNTERS],
          "dport = 443 & snet = 10.0.0.0/8"),
    Query("rare host", "sip,dip", ["sip", "dip"], f"host = {RARE_HOST}"),
    Query("time, 1 h", "time", COUNTERS, "", ("--query.time-resolution", "1h")),
]


# The same questions to nfdump.
NFDUMP = {
    "sip": ["-s", "srcip/bytes"],
    "all, dport and snet": ["-A", "srcip,dstip,dstport,proto", "-s", "record/bytes",
                            "dst port 443 and src net 10.0.0.0/8"],
}


@dataclasses.dataclass
class Run:
    wall: float  # seconds
    cpu: float  # seconds, user and system, all threads
    peak: int  # bytes


def run(command, cpus, check=True):
    """One whole process on these processors."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               preexec_fn=lambda: os.sched_setaffinity(0, cpus))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if check and process.returncode != 0:
        sys.exit(f"query_bench: {' '.join(command)} ended with {process.returncode}")
    return Run(time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def in_turn(commands, cpus, options):
    """Runs of every command, one after the other so that they meet the same weather. The first round warms up and is
    not counted, unless it took so long that there is no time for more."""
    rounds = []
    start = time.monotonic()
    for i in range(options.runs + 1):
        rounds.append([run(command, cpus) for command in commands])
        if time.monotonic() - start > options.seconds:
            break
    return list(zip(*(rounds[1:] or rounds)))


def median(runs, field):
    return statistics.median(getattr(r, field) for r in runs)


def ratio(over, under, field):
    """Median of the ratios, run by run."""
    return statistics.median(getattr(a, field) / max(getattr(b, field), 1e-3) for a, b in zip(over, under))


def table(title, head, rows):
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    print(f"\n{title}")
    for row in [head, *rows]:
        cells = [str(c).ljust(w) if i == 0 else str(c).rjust(w) for i, (c, w) in enumerate(zip(row, widths))]
        print("  " + "  ".join(cells), flush=True)


def seconds(value):
    return f"{value:.3f} s"


def mebibytes(value):
    return f"{value / 2**20:.0f} MiB"


class Bench:
    def __init__(self, options):
        self.options = options
        self.ours = os.path.join(options.build, "client", "goquery", "goquery")
        self.tools = os.path.join(options.build, "tests", "bench")

    def tool(self, name):
        return os.path.join(self.tools, name)

    def database(self, flows):
        """The database with about this many flows, made if it is not in the cache."""
        db = os.path.join(self.options.cache, f"db-{flows}")
        if not os.path.isdir(db):
            os.makedirs(self.options.cache, exist_ok=True)
            making = f"{db}.{os.getpid()}"
            per_block = -(-flows * 104 // (100 * DAYS * BLOCKS))  # some keys are drawn twice in a block
            print(f"making {db}", file=sys.stderr)
            subprocess.run([self.tool("gp-gendb"), making, str(DAYS), str(BLOCKS), str(per_block)], check=True)
            os.rename(making, db)
        subprocess.run([os.path.join(self.options.build, "client", "gpdb", "gpdb"), "index", db], check=True,
                       stdout=subprocess.DEVNULL)  # as a sensor does with every day that it leaves
        return db

    def queries(self):
        return [q for q in QUERIES if not self.options.only or q.name in self.options.only]

    def against_reference(self, db, cpus):
        programs = [self.ours] + ([self.options.reference] if self.options.reference else [])
        rows = []
        for q in self.queries():
            limit = [self.tool("gp-scanlimit"), db, "eth0", *q.limit]
            measured = in_turn([limit, *(q.command(p, db) for p in programs)], cpus, self.options)
            least, ours = measured[0], measured[1]
            row = [q.name, seconds(median(ours, "wall")), seconds(median(ours, "cpu")), mebibytes(median(ours, "peak")),
                   seconds(median(least, "cpu")), f"{ratio(ours, least, 'cpu'):.2f}"]
            if self.options.reference:
                other = measured[2]
                row += [seconds(median(other, "wall")), mebibytes(median(other, "peak")),
                        f"{ratio(other, ours, 'wall'):.1f} x", f"{ratio(other, ours, 'cpu'):.1f} x",
                        f"{ratio(ours, other, 'peak'):.2f}"]
            rows.append(row)
        head = ["query", "ours", "cpu", "peak", "limit", "cpu/limit"]
        if self.options.reference:
            head += ["reference", "peak", "faster", "less cpu", "peak ratio"]
        table(f"{len(cpus)} processor(s), {self.options.flows} flows, median of up to {self.options.runs} runs", head, rows)

    def scaling(self):
        sizes = [10**6, 10**7, 10**8]
        rows = []
        for q in self.queries():
            for n in (1, 2):
                row = [q.name, n]
                for flows in sizes:
                    runs = in_turn([q.command(self.ours, self.database(flows))], processors(n), self.options)[0]
                    row += [seconds(median(runs, "wall")), mebibytes(median(runs, "peak"))]
                rows.append(row)
        table("ours by number of flows", ["query", "threads", "10^6", "peak", "10^7", "peak", "10^8", "peak"], rows)


    def netflow(self, db, folder):
        """The flows of the database as nfcapd stores them, lz4-compressed as ours are; kept in the cache."""
        if os.path.isdir(folder):
            return
        making = f"{folder}.{os.getpid()}"
        os.makedirs(making)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", 0))
            port = str(s.getsockname()[1])
        print(f"making {folder}", file=sys.stderr)
        collector = subprocess.Popen(["nfcapd", "-b", "127.0.0.1", "-p", port, "-w", making, "-t", "86400", "-y", "-B",
                                      "8000000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(1)
            subprocess.run([self.tool("gp-netflow"), db, "eth0", port], check=True)
            time.sleep(1)
        finally:
            collector.terminate()
            collector.wait()
        os.rename(making, folder)

    def against_nfdump(self, cpus):
        if not shutil.which("nfdump"):
            sys.exit("query_bench: there is no nfdump (Debian package nfdump)")
        db = self.database(10**7)
        folder = os.path.join(self.options.cache, f"nfdump-{10**7}")
        self.netflow(db, folder)
        rows = []
        for name, asked in NFDUMP.items():
            q = next(q for q in QUERIES if q.name == name)
            ours, other = in_turn([q.command(self.ours, db), ["nfdump", "-R", folder, "-n", "10", *asked]], cpus,
                                  self.options)
            rows.append([name, seconds(median(ours, "wall")), mebibytes(median(ours, "peak")),
                         seconds(median(other, "wall")), mebibytes(median(other, "peak")),
                         f"{ratio(other, ours, 'wall'):.1f} x", f"{ratio(other, ours, 'cpu'):.1f} x"])
        stored = [sum(os.path.getsize(os.path.join(d, f)) for d, _, names in os.walk(top) for f in names)
                  for top in (db, folder)]
        summary = subprocess.run(["nfdump", "-I", "-R", folder], capture_output=True, text=True, check=True).stdout
        flows = next(line for line in summary.splitlines() if line.startswith("Flows:"))
        table(f"{len(cpus)} processor(s), 10^7 flows, nfdump has {flows.lower()}; stored: ours {mebibytes(stored[0])}, "
              f"nfdump {mebibytes(stored[1])}",
              ["query", "ours", "peak", "nfdump", "peak", "faster", "less cpu"], rows)


def processors(n):
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < n:
        sys.exit(f"query_bench: this needs {n} processors, {len(usable)} may be used")
    return set(usable[-n:])


def parse():
    cache = os.environ.get("GP_BENCH_CACHE", os.path.join(TOP, "build", "bench"))
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default=os.path.join(TOP, "build", "release"), help="build to measure (%(default)s)")
    p.add_argument("--cache", default=cache, help="where databases are kept; GP_BENCH_CACHE (%(default)s)")
    p.add_argument("--reference", help="a goQuery of goProbe v4")
    p.add_argument("--flows", type=int, default=50_000_000, help="of the database (%(default)s)")
    p.add_argument("--runs", type=int, default=5, help="counted runs of each command (%(default)s)")
    p.add_argument("--threads", default="1,2", help="numbers of processors to use (%(default)s)")
    p.add_argument("--seconds", type=float, default=60, help="no more runs of a query after this time (%(default)s)")
    p.add_argument("--only", action="append", choices=[q.name for q in QUERIES], help="only this query (repeatable)")
    p.add_argument("--nfdump", action="store_true", help="also nfdump on 10^7 flows")
    p.add_argument("--scaling", action="store_true", help="also 10^6, 10^7 and 10^8 flows")
    return p.parse_args()


def main():
    options = parse()
    bench = Bench(options)
    db = bench.database(options.flows)
    for n in options.threads.split(","):
        bench.against_reference(db, processors(int(n)))
    if options.scaling:
        bench.scaling()
    if options.nfdump:
        for n in options.threads.split(","):
            bench.against_nfdump(processors(int(n)))


if __name__ == "__main__":
    main()
