#!/usr/bin/env python3
"""How fast global-query asks a fleet: one command that prints a table.

    tests/bench/fleet_bench.py --reference /path/to/global-query

starts simulated sensors (gp-fleet-sensors: one process, answers made beforehand, through the real protocols on
loopback) and global-query, asks, checks that every answer is exact, and prints time from question to answer, processor
time and peak memory of global-query, and bytes that the sensors sent. Where two programs or transports are compared,
they take turns in one run; ratios are medians of the ratios turn by turn.

    --only NAME    merge, transport, latency, faults or crowd
    --build DIR    where ours is built (default build/release)
    --turns N      per comparison (default 7)
"""

import argparse
import concurrent.futures
import contextlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TICK = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Sensors:
    """Simulated hosts, with what a complete answer must say."""

    def __init__(self, program, folder, **options):
        self.endpoints = tempfile.mktemp(dir=folder, suffix=".yaml")
        words = [f"{k}={v}" for k, v in options.items()]
        self.process = subprocess.Popen([program, self.endpoints, *words], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.told = {k: int(v) for k, v in (word.split("=") for word in line.split())}

    def counts(self):
        """Bytes sent, queries and cancellations since the last call."""
        with socket.create_connection(("127.0.0.1", self.told["control"])) as s:
            text = s.makefile().read()
        return {k: int(v) for k, v in (word.split("=") for word in text.split())}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


class Server:
    """A running global-query, ours or a reference's."""

    def __init__(self, program, endpoints, concurrent, folder):
        self.port = free_port()
        log = open(os.path.join(folder, f"log.{self.port}"), "w")
        self.process = subprocess.Popen(
            [program, "server", "--server.addr", f"127.0.0.1:{self.port}", "--querier.config", endpoints,
             "--querier.max_concurrent", str(concurrent), "--logging.level", "error"],
            stdout=log, stderr=log)
        log.close()
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.05)
        raise SystemExit(f"{program} does not answer; see {log.name}")

    def ask(self, rows=1000, timeout=120):
        """The answer and the seconds that it took."""
        body = json.dumps({"query": "sip,dip,dport,proto", "ifaces": "eth0", "query_hosts": "any",
                           "first": "2024-01-01T00:00:00Z", "last": "2024-01-02T00:00:00Z", "format": "json",
                           "sort_by": "bytes", "num_results": rows})
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        before = time.perf_counter()
        c.request("POST", "/_query", body, {"Content-Type": "application/json"})
        answer = c.getresponse()
        text = answer.read()
        took = time.perf_counter() - before
        c.close()
        if answer.status != 200:
            raise SystemExit(f"status {answer.status}: {text[:300]}")
        return json.loads(text), took

    def cpu(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self, name):
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith(name + ":"))

    def forget_peak(self):
        with open(f"/proc/{self.process.pid}/clear_refs", "w") as f:
            f.write("5")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


class Turn:
    """One query, measured and checked."""

    def __init__(self, server, sensors):
        sensors.counts()
        server.forget_peak()
        cpu = server.cpu()
        answer, self.seconds = server.ask()
        self.cpu = server.cpu() - cpu
        self.peak = server.memory("VmHWM")
        self.bytes = sensors.counts()["sent"]
        check(answer, sensors)


def check(answer, sensors):
    totals = answer["summary"]["totals"]
    ok = sum(s["code"] == "ok" for s in answer["hosts_statuses"].values())
    want = sensors.told
    if (totals["br"], totals["pr"], ok) != (want["bytes_rcvd"], want["pkts_rcvd"], want["live"]):
        raise SystemExit(f"not exact: {totals}, {ok} hosts ok; expected {want}")


def row(name, turns):
    seconds = statistics.median(t.seconds for t in turns)
    cpu = statistics.mean(t.cpu for t in turns)
    peak = statistics.median(t.peak for t in turns)
    sent = statistics.median(t.bytes for t in turns)
    print(f"  {name:34} {seconds * 1000:9.0f} ms {cpu * 1000:9.0f} ms {peak / MIB:9.0f} MiB {sent / MIB:9.1f} MiB")


def ratios(name, a, b):
    """How many times more b needs than a."""

    def of(what):
        pairs = [what(y) / max(what(x), 1e-9) for x, y in zip(a, b)]
        return f"{statistics.median(pairs):8.1f} x"

    cpu = sum(t.cpu for t in b) / max(sum(t.cpu for t in a), 1 / TICK)
    print(f"  {name:34} {of(lambda t: t.seconds):>12} {cpu:10.1f} x {of(lambda t: t.peak):>13} "
          f"{of(lambda t: t.bytes):>13}")


def heading(text):
    print(f"\n{text}\n  {'':34} {'time':>12} {'processor':>12} {'peak memory':>13} {'bytes':>13}")


def compare(turns, pairs):
    """Lists of turns of each (server, sensors), taking turns, the first round not counted."""
    out = [[] for _ in pairs]
    for number in range(turns + 1):
        for kept, (server, sensors) in zip(out, pairs):
            turn = Turn(server, sensors)
            if number:
                kept.append(turn)
    return out


def merge(a, folder):
    with Sensors(a.sensors, folder, hosts=1000, rows=1000) as s, contextlib.ExitStack() as stack:
        heading("1,000 hosts x 1,000 rows by HTTP, plain")
        ours = stack.enter_context(Server(a.ours, s.endpoints, 64, folder))
        pairs = [(ours, s)]
        if a.reference:
            pairs.append((stack.enter_context(Server(a.reference, s.endpoints, 64, folder)), s))
        results = compare(a.turns if not a.reference else min(a.turns, 5), pairs)
        row("ours", results[0])
        if a.reference:
            row("reference", results[1])
            ratios("reference / ours", *results)


def transport(a, folder):
    with Sensors(a.sensors, folder, hosts=1000, rows=1000) as plain, \
            Sensors(a.sensors, folder, hosts=1000, rows=1000, gzip=1) as zipped, \
            Sensors(a.sensors, folder, hosts=1000, rows=1000, nanomsg=1) as wire, \
            Server(a.ours, plain.endpoints, 64, folder) as by_http, \
            Server(a.ours, zipped.endpoints, 64, folder) as by_gzip, \
            Server(a.ours, wire.endpoints, 64, folder) as by_wire:
        heading("1,000 hosts x 1,000 rows: nanomsg against our own HTTP")
        results = compare(a.turns, [(by_wire, wire), (by_gzip, zipped), (by_http, plain)])
        row("nanomsg", results[0])
        row("HTTP, gzip", results[1])
        row("HTTP, plain", results[2])
        ratios("HTTP, gzip / nanomsg", results[0], results[1])
        ratios("HTTP, plain / nanomsg", results[0], results[2])


def ask_slowest(sensors):
    """Seconds that the last host, which is the slowest, takes when it is asked over HTTP without anybody between."""
    with open(sensors.endpoints) as f:
        port = int(f.read().rsplit("127.0.0.1:", 1)[1].split('"')[0])
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    before = time.perf_counter()
    c.request("POST", "/_query", "{}", {"Content-Type": "application/json"})
    c.getresponse().read()
    took = time.perf_counter() - before
    c.close()
    return took


def latency(a, folder):
    """The first question, which finds no connections and does not know who is slow, is not counted."""
    print(f"\nadded to the slowest of 100 hosts (0 to 100 ms each, 20 rows), which itself takes a little more than 100 ms\n"
          f"  {'':34} {'median':>12} {'worst':>12} {'first':>12} {'the host alone':>15}")
    for name, nanomsg in (("HTTP", 0), ("nanomsg", 1), ("every other by nanomsg", 2)):
        with Sensors(a.sensors, folder, hosts=100, rows=20, spread_ms=100, nanomsg=nanomsg) as s, \
                Server(a.ours, s.endpoints, 100, folder) as server:
            _, first = server.ask()
            added, alone = [], []
            for _ in range(20):
                answer, took = server.ask()
                check(answer, s)
                added.append(took * 1000 - 100)
                if nanomsg != 1:
                    alone.append(ask_slowest(s) * 1000)
        told = f"{statistics.median(alone):12.1f} ms" if alone else ""
        print(f"  {name:34} {statistics.median(added):9.1f} ms {max(added):9.1f} ms {first * 1000 - 100:9.1f} ms {told}")


def faults(a, folder):
    print("\n1,000 hosts, 50 of them dead and 50 slow; answers are due after 2 s\n"
          f"  {'':34} {'time':>12} {'hosts ok':>12} {'named':>12} {'told':>12}")
    for name, nanomsg in (("HTTP", 0), ("nanomsg", 1), ("every other by nanomsg", 2)):
        with Sensors(a.sensors, folder, hosts=1000, rows=100, dead=50, slow=50, timeout_ms=2000, nanomsg=nanomsg) as s, \
                Server(a.ours, s.endpoints, 1000, folder) as server:
            answer, took = server.ask()
            check(answer, s)
            time.sleep(0.5)
            told = s.counts()["canceled"]
        failed = [h for h, status in answer["hosts_statuses"].items() if status["code"] == "error"]
        assert sorted(failed) == [f"host{i:05}" for i in range(100)], failed
        print(f"  {name:34} {took * 1000:9.0f} ms {s.told['live']:12} {len(failed):12} {told:12}")


def crowd(a, folder):
    print("\n64 queries at a time, 200 hosts x 100 rows each (0 to 50 ms)\n"
          f"  {'':34} {'fastest':>12} {'median':>12} {'slowest':>12} {'memory, rounds 1 and 10':>26}")
    for name, nanomsg in (("HTTP", 0), ("nanomsg", 1)):
        with Sensors(a.sensors, folder, hosts=200, rows=100, spread_ms=50, nanomsg=nanomsg) as s, \
                Server(a.ours, s.endpoints, 64, folder) as server, \
                concurrent.futures.ThreadPoolExecutor(64) as pool:
            peaks = []
            for _ in range(10):
                server.forget_peak()
                answers = list(pool.map(lambda _: server.ask(), range(64)))
                for answer, _ in answers:
                    check(answer, s)
                peaks.append(server.memory("VmHWM"))
        times = sorted(took for _, took in answers)
        print(f"  {name:34} {times[0] * 1000:9.0f} ms {times[32] * 1000:9.0f} ms {times[-1] * 1000:9.0f} ms "
              f"{peaks[0] / MIB:13.0f} {peaks[-1] / MIB:7.0f} MiB")


PARTS = {"merge": merge, "transport": transport, "latency": latency, "faults": faults, "crowd": crowd}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--reference")
    p.add_argument("--build", default=os.path.join(TOP, "build", "release"))
    p.add_argument("--turns", type=int, default=7)
    p.add_argument("--only", choices=PARTS)
    a = p.parse_args()
    a.ours = os.path.join(a.build, "global-query", "global-query")
    a.sensors = os.path.join(a.build, "tests", "bench", "gp-fleet-sensors")
    for program in filter(None, (a.ours, a.sensors, a.reference)):
        if not os.access(program, os.X_OK):
            sys.exit(f"{program} is not there: build it first")
    with tempfile.TemporaryDirectory(prefix="gp-fleet-bench.") as folder:
        for name, part in PARTS.items():
            if a.only in (None, name):
                part(a, folder)
                sys.stdout.flush()


if __name__ == "__main__":
    main()
