#!/usr/bin/env python3
"""A fleet in three levels: one root, real aggregators, simulated sensors that answer over HTTP, all on this machine.

    tests/bench/fleet_tree.py [AGGREGATORS [HOSTS_OF_EACH [ROWS]]]       default 20 500 2

Every simulated sensor has rows of its own and one that all share, so totals, hits and the shared sum are known. The query is
asked twice: rows of each host, and sums over all hosts. Prints what came and what it cost; ends with 1 if anything is wrong.
Wants many open files (ulimit -n).
"""

import asyncio
import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("GP_BUILD", os.path.join(TOP, "build", "release"))
GLOBAL_QUERY = os.path.join(BUILD, "global-query", "global-query")


def counters(n):
    return {"br": n, "bs": n, "pr": 1, "ps": 1}


def answer_of(number, rows):
    """Own rows of 1000 + number bytes each way, and a shared one of 7."""
    name = f"h{number}"
    labels = {"iface": "eth0", "host": name, "host_id": f"{number:08x}"}
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    own = [{"labels": labels, "attributes": {"sip": address, "dport": r + 1}, "counters": counters(1000 + number)}
           for r in range(rows)]
    shared = {"labels": labels, "attributes": {"sip": "192.0.2.1"}, "counters": counters(7)}
    total = rows * (1000 + number) + 7
    return {"hostname": name, "status": {"code": "ok"}, "hosts_statuses": {name: {"code": "ok"}},
            "summary": {"interfaces": ["eth0"], "time_first": "2024-01-01T00:00:00Z", "time_last": "2024-01-02T00:00:00Z",
                        "totals": {"br": total, "bs": total, "pr": rows + 1, "ps": rows + 1},
                        "timings": {"query_start": "2024-01-02T00:00:00Z", "query_duration_ns": 1},
                        "hits": {"displayed": rows + 1, "total": rows + 1}, "data_available": True},
            "query": {"attributes": ["sip", "dport"]}, "rows": own + [shared]}


class Sensor(asyncio.Protocol):
    """POST /h<number>/_query; the rows that HTTP needs and no more."""

    rows = 1

    def connection_made(self, transport):
        self.transport, self.data = transport, b""

    def data_received(self, data):
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15:].split(b"\r\n")[0]) if at >= 0 else 0
            if len(self.data) < end + 4 + length:
                return
            number = int(self.data[:end].split(b" ")[1].split(b"/")[1][1:])
            self.data = self.data[end + 4 + length:]
            body = json.dumps(answer_of(number, self.rows), separators=(",", ":")).encode()
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                                 % len(body) + body)


def serve(rows, ready):
    async def run():
        Sensor.rows = rows
        server = await asyncio.get_running_loop().create_server(Sensor, "127.0.0.1", 0, backlog=4096)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()
    asyncio.run(run())


class Tree:
    def __init__(self, folder, aggregators, hosts, port):
        self.folder, self.processes = folder, []
        self.start_all({f"agg{i}": {f"h{n}": f"http://127.0.0.1:{port}/h{n}" for n in range(i * hosts, (i + 1) * hosts)}
                        for i in range(aggregators)})
        self.start_all({"root": {f"agg{i}": f"unix:{self.path(f'agg{i}')}" for i in range(aggregators)}})

    def path(self, name):
        return os.path.join(self.folder, f"{name}.sock")

    def start_all(self, services):
        for name, addresses in services.items():
            endpoints = os.path.join(self.folder, f"{name}.json")
            with open(endpoints, "w", encoding="utf-8") as f:
                json.dump({n: {"addr": a, "timeout": "120s"} for n, a in addresses.items()}, f)
            self.processes.append(subprocess.Popen(
                [GLOBAL_QUERY, "server", "--server.addr", f"unix:{self.path(name)}", "--querier.config", endpoints,
                 "--querier.max_concurrent=8", "--logging.level=error"], stdout=subprocess.DEVNULL))
        for name in services:
            while not os.path.exists(self.path(name)):
                time.sleep(0.01)

    def ask(self, **more):
        body = json.dumps({"query": "sip,dport", "ifaces": "any", "query_hosts": "any", "first": "1704067100",
                           "last": "1704200000", "num_results": 10, **more}).encode()
        done = subprocess.run(["curl", "-sf", "--unix-socket", self.path("root"), "-H", "Content-Type: application/json",
                               "-d", "@-", "http://x/_query"], input=body, capture_output=True, check=True)
        return json.loads(done.stdout)

    def memory(self):
        with open(f"/proc/{self.processes[-1].pid}/status", encoding="utf-8") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) / 1024

    def stop(self):
        for p in self.processes:
            p.send_signal(signal.SIGTERM)
        for p in self.processes:
            p.wait()


def check(got, n, rows, sum_hosts):
    wrong = []

    def expect(what, value, wanted):
        if value != wanted:
            wrong.append(f"{what}: {value} instead of {wanted}")
    total = rows * (1000 * n + n * (n - 1) // 2) + 7 * n
    expect("statuses", len(got["hosts_statuses"]), n)
    expect("hosts that failed", sum(s["code"] != "ok" for s in got["hosts_statuses"].values()), 0)
    expect("bytes received", got["summary"]["totals"]["br"], total)
    expect("hits", got["summary"]["hits"]["total"], rows * n + (1 if sum_hosts else n))
    values = sorted([1000 + i for i in range(max(0, n - 10), n) for _ in range(rows)] + ([7 * n] if sum_hosts else []),
                    reverse=True)[:10]
    expect("first rows", [r["counters"]["br"] for r in got["rows"]], values)
    return wrong


def main():
    aggregators, hosts, rows = [int(a) for a in sys.argv[1:]] + [20, 500, 2][len(sys.argv) - 1:]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard < 65536 else 65536, hard))
    folder = tempfile.mkdtemp(prefix="gptree.")
    ready, theirs = multiprocessing.Pipe()
    sensors = multiprocessing.Process(target=serve, args=(rows, theirs), daemon=True)
    sensors.start()
    tree = Tree(folder, aggregators, hosts, ready.recv())
    n = aggregators * hosts
    failed = False
    print(f"{n} hosts under {aggregators} aggregators under one root, {rows + 1} rows each")
    print(f"{'query':<22}{'seconds':>9}{'statuses':>10}{'hits':>9}{'root MiB':>10}  result")
    for name, more in (("rows of each host", {}), ("sums over all hosts", {"sum_hosts": True})):
        start = time.monotonic()
        got = tree.ask(**more)
        seconds = time.monotonic() - start
        wrong = check(got, n, rows, bool(more))
        failed |= bool(wrong)
        print(f"{name:<22}{seconds:>9.2f}{len(got['hosts_statuses']):>10}{got['summary']['hits']['total']:>9}"
              f"{tree.memory():>10.1f}  {'; '.join(wrong) or 'exact'}")
    tree.stop()
    sensors.terminate()
    shutil.rmtree(folder)
    return failed


if __name__ == "__main__":
    sys.exit(main())
