#!/usr/bin/env python3
"""What capturing costs: one command, one table.

    tests/bench/capture.py [--reference GOPROBE_V4] [--rounds N] [--rate PACKETS_A_SECOND] [--skip PART,...]

Builds nothing; needs root, iproute2 and a release build (build/release, or GP_BUILD). Sends small packets over a pair
of virtual links in network namespaces of its own, bounded in number. With --reference, another goProbe gets the same
packets in the same run, in turn with ours, and the ratios are printed. Instructions come from valgrind, if installed.
"""

import argparse
import contextlib
import http.client
import json
import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("GP_BUILD", os.path.join(TOP, "build", "release")))
GOPROBE = os.path.join(BUILD, "sensor", "goprobe")
FLOOD = os.path.join(BUILD, "tests", "bench", "gp-flood")
MICRO = os.path.join(BUILD, "tests", "bench", "gp-bench-packets")
GENCAPTURE = os.path.join(BUILD, "tests", "bench", "gp-gencapture")
ROTATION = os.path.join(BUILD, "tests", "bench", "gp-bench-rotation")
RING = 4 << 20
INTERVAL = 300

CONFIG = """db: {{path: {dir}/db}}
api: {{addr: "unix:{dir}/sock"}}
logging: {{level: warn, destination: {dir}/log}}
interfaces:
  cap:
    ring_buffer: {{block_size: 1048576, num_blocks: 4}}
"""


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Wire:
    """Two namespaces, joined by a pair of links: gen sends, cap is captured."""

    def __enter__(self):
        self.sender, self.sensor = (f"gpbench{os.getpid()}-{x}" for x in "ab")
        for ns in (self.sender, self.sensor):
            subprocess.run(["ip", "netns", "add", ns], check=True)
            subprocess.run(["ip", "netns", "exec", ns, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"],
                           check=True)
        subprocess.run(["ip", "link", "add", "gen", "netns", self.sender, "type", "veth", "peer", "name", "cap",
                        "netns", self.sensor], check=True)
        for ns, link in ((self.sender, "gen"), (self.sensor, "cap")):
            subprocess.run(["ip", "-n", ns, "link", "set", link, "up"], check=True)
        return self

    def __exit__(self, *_):
        for ns in (self.sender, self.sensor):
            subprocess.run(["ip", "netns", "del", ns], check=False)

    def flood(self, flows, packets, rate=0):
        """Packets a second that were sent."""
        out = subprocess.run(["ip", "netns", "exec", self.sender, FLOOD, "gen", str(flows), str(packets), str(rate)],
                             check=True, capture_output=True, text=True).stdout
        return float(re.search(r"(\d+) a second", out).group(1))


class Sensor:
    """A running goprobe, ours or the reference's: both know the same configuration and API."""

    def __init__(self, wire, binary):
        self.dir = tempfile.mkdtemp(prefix="gpbench")
        config = os.path.join(self.dir, "goprobe.yaml")
        with open(config, "w", encoding="utf-8") as f:
            f.write(CONFIG.format(dir=self.dir))
        away_from_rotation(60)
        self.process = subprocess.Popen(["ip", "netns", "exec", wire.sensor, binary, "-c", config],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 15
        while True:
            with contextlib.suppress(OSError, ValueError, KeyError):
                self.status()
                break
            if time.monotonic() > deadline:
                raise SystemExit(f"{binary} does not capture; see {self.dir}/log")
            time.sleep(0.1)
        time.sleep(1)

    def status(self):
        c = Unix(os.path.join(self.dir, "sock"))
        try:
            c.request("GET", "/status")
            return json.loads(c.getresponse().read())["statuses"]["cap"]
        finally:
            c.close()

    def cpu_seconds(self):
        """Of all threads; the clock of another process, see clock_getcpuclockid(3)."""
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def resident(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1)) * 1024

    def settle(self):
        """Waits until all that was sent is counted."""
        last = -1
        while True:
            now = self.status()["processed_total"]
            if now == last:
                return
            last = now
            time.sleep(0.5)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


def away_from_rotation(seconds):
    """A rotation in the middle would be measured along."""
    left = INTERVAL - time.time() % INTERVAL
    if left < seconds:
        print(f"(waiting {left:.0f} s for the next interval)", file=sys.stderr)
        time.sleep(left + 2)


def cost(wire, binary, flows, packets, rate):
    """CPU time for a packet of known flows, memory and drops."""
    s = Sensor(wire, binary)
    try:
        result = {"idle": s.resident()}
        wire.flood(flows, flows, rate)
        s.settle()
        before, seen = s.cpu_seconds(), s.status()
        wire.flood(flows, packets, rate)
        s.settle()
        after = s.status()
        counted = after["processed_total"] - seen["processed_total"]
        result["ns"] = (s.cpu_seconds() - before) * 1e9 / max(counted, 1)
        result["dropped"] = after["dropped_total"] - seen["dropped_total"]
        result["flow"] = (s.resident() - result["idle"]) / flows
        return result
    finally:
        s.stop()


def drops_at(wire, sensor, flows, packets, rate):
    before = sensor.status()["dropped_total"]
    sent = wire.flood(flows, packets, rate)
    sensor.settle()
    return sensor.status()["dropped_total"] - before, sent


def highest_rate(wire, binary, flows, packets):
    """(packets a second without drops, the generator's limit)."""
    s = Sensor(wire, binary)
    try:
        drops_at(wire, s, flows, packets, 0)
        dropped, limit = drops_at(wire, s, flows, packets, 0)
        if dropped == 0:
            return limit, limit
        low, high = 0.0, limit
        for _ in range(5):
            middle = (low + high) / 2
            dropped, sent = drops_at(wire, s, flows, packets, middle)
            if dropped == 0:
                low = sent
            else:
                high = middle
        return low, limit
    finally:
        s.stop()


def instructions(stage, flows, packets):
    if not shutil.which("valgrind"):
        return None
    with tempfile.NamedTemporaryFile() as out:
        log = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out.name}",
                              "--toggle-collect=run_stage", MICRO, stage, str(flows), str(packets)],
                             check=True, capture_output=True, text=True).stderr
    collected = re.search(r"Collected : (\d+)", log)
    return int(collected.group(1)) / packets if collected else None


def micro_rows():
    print("\n| stage alone | flows | ns a packet | instructions a packet |\n|---|---|---|---|")
    for stage, flows in (("parse", 1000), ("classify", 1000), ("table", 1000), ("table", 10 ** 6),
                         ("all", 1000), ("all", 10 ** 6), ("new", 10 ** 6)):
        packets = 10 ** 6 if stage == "new" else 10 ** 7
        times = []
        for _ in range(5):
            out = subprocess.run([MICRO, stage, str(flows), str(packets)], check=True, capture_output=True, text=True)
            times.append(float(re.search(r": ([\d.]+) ns", out.stdout).group(1)))
        ir = instructions(stage, min(flows, 65536), 1 << 18)
        print(f"| {stage} | {flows} | {statistics.median(times):.1f} | {ir:.0f} |" if ir else
              f"| {stage} | {flows} | {statistics.median(times):.1f} | no valgrind |", flush=True)


def row(name, ours, theirs, unit, scale=1.0):
    """theirs / ours: how many times better we are."""
    if theirs is None:
        print(f"| {name} | {ours / scale:.1f} {unit} | | |", flush=True)
    else:
        ratio = f"{theirs / ours:.2f}" if ours else "-"
        print(f"| {name} | {ours / scale:.1f} {unit} | {theirs / scale:.1f} {unit} | {ratio} |", flush=True)


def median_of(results, key):
    return statistics.median(r[key] for r in results) if results else None


def cost_rows(wire, reference, rounds, rate):
    idle = ([], [])
    for flows, packets in ((1000, 2 * 10 ** 6), (10 ** 6, 3 * 10 ** 6)):
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(cost(wire, GOPROBE, flows, packets, rate))
            if reference:
                theirs.append(cost(wire, reference, flows, packets, rate))
        row(f"CPU time a packet, {flows} flows, {rate} packets/s", median_of(ours, "ns"), median_of(theirs, "ns"), "ns")
        row(f"packets dropped, {flows} flows", median_of(ours, "dropped"), median_of(theirs, "dropped"), "")
        if flows > 1000:
            row("resident memory a live flow", median_of(ours, "flow"), median_of(theirs, "flow"), "bytes")
        idle[0].extend(ours)
        idle[1].extend(theirs)
    row("resident memory, idle, without the ring of 4 MiB", median_of(idle[0], "idle") - RING,
        median_of(idle[1], "idle") - RING if reference else None, "MiB", 1 << 20)


def rate_rows(wire, reference, packets):
    for flows in (1000, 10 ** 6):
        ours, limit = highest_rate(wire, GOPROBE, flows, packets)
        theirs = highest_rate(wire, reference, flows, packets)[0] if reference else None
        beside = f"{theirs / 1e6:.2f}" if theirs is not None else ""
        ratio = f"{ours / theirs:.2f}" if theirs else ""
        print(f"| million packets/s without drops, {flows} flows (generator: {limit / 1e6:.2f}) | {ours / 1e6:.2f} "
              f"| {beside} | {ratio} |", flush=True)


def import_rows(packets):
    """User and system time of goprobe import, from files that are in the page cache; writing the flows included."""
    for flows in (1000, 10 ** 6):
        with tempfile.TemporaryDirectory(prefix="gpbench") as d:
            file = os.path.join(d, "traffic.pcap")
            subprocess.run([GENCAPTURE, file, str(flows), str(packets)], check=True)
            best = 0.0
            for i in range(3):
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                subprocess.run([GOPROBE, "import", "-d", os.path.join(d, f"db{i}"), "-i", "eth0", file], check=True,
                               stdout=subprocess.DEVNULL)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                best = max(best, packets / used)
            print(f"| million packets per second of CPU time from a capture file, {flows} flows | {best / 1e6:.2f} | | |",
                  flush=True)


def rotation_row(wire):
    sys.stdout.flush()
    p = subprocess.Popen(["ip", "netns", "exec", wire.sensor, ROTATION, "cap"])
    while p.poll() is None:
        wire.flood(10 ** 6, 10 ** 6)
    if p.returncode != 0:
        raise SystemExit("the rotations could not be measured")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--reference", help="another goProbe, to compare with")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--rate", type=int, default=300000, help="of the measured cost, packets a second")
    p.add_argument("--skip", default="", help="comma-separated: micro, cost, rate, rotation, import")
    a = p.parse_args()
    skip = a.skip.split(",")
    for needed in (GOPROBE, FLOOD, MICRO, ROTATION, GENCAPTURE):
        if not os.path.exists(needed):
            raise SystemExit(f"{needed} is missing: cmake --preset release && cmake --build --preset release")
    if "micro" not in skip:
        micro_rows()
    with Wire() as wire:
        print("\n| figure | this goprobe | reference | ratio |\n|---|---|---|---|")
        if "cost" not in skip:
            cost_rows(wire, a.reference, a.rounds, a.rate)
        if "rate" not in skip:
            rate_rows(wire, a.reference, 4 * 10 ** 6)
        if "rotation" not in skip:
            rotation_row(wire)
        if "import" not in skip:
            import_rows(10 ** 7)


if __name__ == "__main__":
    main()
