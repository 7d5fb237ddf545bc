"""Hosts that stop, die, are cut off or crawl while they are asked, and an aggregator that is restarted under load: every
answer is complete and exact, or names exactly the hosts that are missing and is exact over the others."""

import contextlib
import errno
import http.client
import json
import os
import pty
import signal
import socket
import subprocess
import threading
import time

import lab
from lab import Lab, Sensor, TestCase, http_request, ip, wait_until

GENDB = os.path.join(lab.BUILD, "tests", "bench", "gp-gendb")
SENSORS = ("a", "b", "c", "d")
PORT = 8145
TIMEOUT = 2  # seconds, of a host
RANGE = {"ifaces": "any", "first": "1704067100", "last": "1704200000"}


class TcpSensor(Sensor):
    """A sensor on the network of its host, so that links matter."""

    def write_config(self, **more):
        super().write_config(**more)
        with open(self.config, encoding="utf-8") as f:
            config = json.load(f)
        config["api"].update({"addr": f"{self.host.ip4}:{PORT}", "allow_without_token": True})
        with open(self.config, "w", encoding="utf-8") as f:
            json.dump(config, f)

    def is_capturing(self):
        if self.daemon.process.poll() is not None:
            raise AssertionError(f"{self.host.name} ended:\n{self.daemon.output()}")
        try:
            with contextlib.closing(self.host.socket(socket.AF_INET, socket.SOCK_STREAM)) as s:
                s.connect((self.host.ip4, PORT))
                return True
        except OSError:
            return False

    @property
    def tcp(self):
        return f"{self.host.ip4}:{PORT}"


def rows_by_key(answer):
    result = {}
    for row in answer["rows"]:
        a = row["attributes"]
        key = (a.get("sip"), a.get("dip"), a.get("proto", 0), a.get("dport", 0))
        assert key not in result, f"two rows for {key}"
        result[key] = row["counters"]
    return result


class Stream:
    """POST /_query/sse over a UNIX socket, event by event."""

    def __init__(self, path, body, receive_buffer=None):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(20)
        self.socket.connect(path)
        text = json.dumps(body).encode()
        self.socket.sendall(b"POST /_query/sse HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                            b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(text) + text)
        self.answer = None

    def events(self):
        self.answer = http.client.HTTPResponse(self.socket)
        self.answer.begin()
        name = None
        for line in self.answer:
            line = line.decode().rstrip("\r\n")
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                yield name, json.loads(line[6:])

    def close(self):
        if self.answer:
            self.answer.close()
        self.socket.close()


class SlowProxy:
    """Passes connections on, with so many bytes a second towards the client."""

    def __init__(self, host, target, bytes_per_second):
        self.target, self.rate, self.host = target, bytes_per_second, host
        self.listener = host.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.bind((host.ip4, 0))
        self.listener.listen(16)
        self.listener.settimeout(None)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with lab.inside(self.host.namespace):
                server = socket.create_connection(self.target)
            threading.Thread(target=self.copy, args=(client, server, None), daemon=True).start()
            threading.Thread(target=self.copy, args=(server, client, self.rate), daemon=True).start()

    @staticmethod
    def copy(source, target, rate):
        try:
            while data := source.recv(2048 if rate else 65536):
                target.sendall(data)
                if rate:
                    time.sleep(len(data) / rate)
        except OSError:
            pass
        for s in (source, target):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)


class SilentHost:
    """Takes queries, never answers, and notes when the asker is gone."""

    def __init__(self, host):
        self.listener = host.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.bind((host.ip4, 0))
        self.listener.listen(16)
        self.listener.settimeout(None)
        self.port = self.listener.getsockname()[1]
        self.asked, self.left = threading.Event(), threading.Event()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        client, _ = self.listener.accept()
        with client:
            client.settimeout(30)
            client.recv(65536)
            self.asked.set()
            with contextlib.suppress(OSError):
                while client.recv(65536):
                    pass
            self.left.set()


class Faults(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab(*SENSORS, "mid", "hub"))
        cls.sensors = {}
        for number, name in enumerate(SENSORS):
            sensor = TcpSensor(getattr(cls.lab, name))
            subprocess.run([GENDB, sensor.db, "1", "4", "2000", str(number + 1)], check=True, stderr=subprocess.DEVNULL)
            sensor.start()
            cls.sensors[name] = sensor
        cls.addresses = {n: s.tcp for n, s in cls.sensors.items()}
        _, cls.path = cls.start("hub", cls.addresses)
        whole = {name: cls.ask(cls.start(f"only-{name}", {name: cls.addresses[name]})[1]) for name in SENSORS}
        cls.lists = {name: rows_by_key(answer) for name, answer in whole.items()}
        cls.totals = {name: answer["summary"]["totals"] for name, answer in whole.items()}

    @classmethod
    def start(cls, name, addresses, *flags, timeout=TIMEOUT):
        endpoints = os.path.join(cls.lab.dir, f"{name}.yaml")
        path = os.path.join(cls.lab.dir, f"{name}.sock")
        with open(endpoints, "w", encoding="utf-8") as f:
            json.dump({n: {"addr": addr, "timeout": f"{timeout}s"} for n, addr in addresses.items()}, f)
        daemon = cls.lab.daemon(name, cls.lab.hub.command(lab.GLOBAL_QUERY, "server", "--server.addr", f"unix:{path}",
                                                          "--querier.config", endpoints, "--querier.breaker.failures=0",
                                                          *flags))
        wait_until(f"{name} listens", lambda: cls.knock(path) == 0)
        return daemon, path

    @staticmethod
    def knock(path):
        """The error number of a connection, 0 if there is one."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            return s.connect_ex(path)

    @staticmethod
    def ask(path, **more):
        status, _, body = http_request(path, "POST", "/_query", {
            "query": "sip,dip,dport,proto", "query_hosts": "any", "num_results": 10**9, "sum_hosts": True, **RANGE, **more})
        assert status == 200, body
        return json.loads(body)

    def check(self, answer, missing=()):
        """Exact over the hosts that are not missing, and these are named."""
        codes = {h: s["code"] for h, s in answer["hosts_statuses"].items()}
        self.assertEqual({n: "error" if n in missing else "ok" for n in SENSORS}, codes)
        expected, totals = {}, {}
        for name in SENSORS:
            if name in missing:
                continue
            for key, counters in self.lists[name].items():
                into = expected.setdefault(key, {})
                for c, v in counters.items():
                    into[c] = into.get(c, 0) + v
            for c, v in self.totals[name].items():
                totals[c] = totals.get(c, 0) + v
        self.assertEqual(totals, answer["summary"]["totals"])
        self.assertEqual(len(expected), answer["summary"]["hits"]["total"])
        rows = rows_by_key(answer)
        if len(rows) < len(expected):  # cut: the first ones
            def value(c):
                return c.get("br", 0) + c.get("bs", 0)
            self.assertEqual(sorted(map(value, expected.values()), reverse=True)[:len(rows)],
                             [value(r["counters"]) for r in answer["rows"]])
        for key, counters in rows.items():
            self.assertEqual(expected[key], counters)

    @contextlib.contextmanager
    def asking(self, missing, **more):
        """A query under way while the block runs; afterwards its answer is checked."""
        result = {}

        def run():
            try:
                result["answer"] = self.ask(self.path, **more)
            except Exception as e:  # pylint: disable=broad-except
                result["error"] = e
        thread = threading.Thread(target=run)
        thread.start()
        time.sleep(0.3)
        yield
        thread.join(TIMEOUT + 10)
        self.assertNotIn("error", result)
        self.check(result["answer"], missing)

    def stopped(self, name):
        """The process stands still while the context lasts."""
        daemon = self.sensors[name].daemon
        stack = contextlib.ExitStack()
        daemon.signal(signal.SIGSTOP)
        stack.callback(daemon.signal, signal.SIGCONT)  # nothing if it has ended
        return stack

    def test_complete(self):
        self.check(self.ask(self.path))
        self.check(self.ask(self.path, num_results=20))

    def test_a_stopped_process(self):
        with self.stopped("b"), self.asking(("b",)):
            pass
        self.check(self.ask(self.path))

    def test_a_stopped_process_that_goes_on_in_time(self):
        with self.asking(()), self.stopped("c"):
            time.sleep(TIMEOUT / 4)

    def test_a_killed_process(self):
        with self.stopped("d"):
            with self.asking(("d",)):
                self.sensors["d"].daemon.process.kill()
                self.sensors["d"].daemon.process.wait()
        self.sensors["d"].start()
        self.check(self.ask(self.path))

    def link(self, name, state):
        host = getattr(self.lab, name)
        ip("-n", f"{self.lab.prefix}-bridge", "link", "set", f"port{host.number}", state)

    def test_a_link_that_goes_down(self):
        stop = self.stopped("a")
        with self.asking(("a",)):
            self.link("a", "down")
            stop.close()  # it answers, to nobody
        self.check(self.ask(self.path), ("a",))
        self.link("a", "up")
        wait_until("the link carries again", lambda: "a" not in self.missing_in(self.ask(self.path)))
        self.check(self.ask(self.path))

    def missing_in(self, answer):
        return [h for h, s in answer["hosts_statuses"].items() if s["code"] != "ok"]

    def test_packets_that_are_dropped(self):
        namespace = self.lab.c.namespace
        stop = self.stopped("c")
        with self.asking(("c",), num_results=10):
            ip("-n", namespace, "route", "add", "blackhole", f"{self.lab.hub.ip4}/32")
            stop.close()
        self.check(self.ask(self.path), ("c",))
        ip("-n", namespace, "route", "del", "blackhole", f"{self.lab.hub.ip4}/32")
        wait_until("packets arrive again", lambda: not self.missing_in(self.ask(self.path)))

    def test_a_slow_link(self):
        """So slow that the answer would take minutes: the host is named at its timeout. A little slow: it is complete."""
        for rate, missing in ((2000, ("a",)), (2000000, ())):
            proxy = SlowProxy(self.lab.a, (self.lab.a.ip4, PORT), rate)
            _, path = self.start(f"slow-{rate}", {**self.addresses, "a": f"{self.lab.a.ip4}:{proxy.port}"})
            start = time.monotonic()
            self.check(self.ask(path), missing)
            self.assertLess(time.monotonic() - start, TIMEOUT + 3)

    def test_the_deadline(self):
        silent = SilentHost(self.lab.mid)
        _, path = self.start("deadline", {**self.addresses, "a": f"{self.lab.mid.ip4}:{silent.port}"},
                             "--querier.deadline=700ms")
        start = time.monotonic()
        answer = self.ask(path)
        self.assertLess(time.monotonic() - start, TIMEOUT)
        self.check(answer, ("a",))
        self.assertIn("deadline", answer["hosts_statuses"]["a"]["message"])

    def test_cancellation_reaches_the_last_sensor(self):
        """A client that leaves ends the query everywhere, through two aggregators, within a second."""
        silent = SilentHost(self.lab.mid)
        _, inner = self.start("inner", {"silent": f"{self.lab.mid.ip4}:{silent.port}"})
        _, outer = self.start("outer", {"inner": f"unix:{inner}"})
        for stream in (True, False):
            silent.asked.clear()
            silent.left.clear()
            if stream:
                client = Stream(outer, {"query": "sip", "query_hosts": "any", **RANGE})
            else:
                threading.Thread(target=silent.run, daemon=True).start()
                client = lab._UnixConnection(outer)
                client.request("POST", "/_query", json.dumps({"query": "sip", "query_hosts": "any", **RANGE}),
                               {"Content-Type": "application/json"})
            self.assertTrue(silent.asked.wait(5))
            start = time.monotonic()
            client.close()
            self.assertTrue(silent.left.wait(5))
            self.assertLess(time.monotonic() - start, 1)

    def test_a_restart_under_load(self):
        daemon, path = self.start("restarted", self.addresses)
        stop = threading.Event()
        seen = {"good": 0, "refused": 0, "wrong": []}

        def load():
            while not stop.is_set():
                try:
                    status, _, body = http_request(path, "POST", "/_query", {
                        "query": "sip,dip,dport,proto", "query_hosts": "any", "num_results": 50, "sum_hosts": True, **RANGE})
                except OSError:  # nobody has taken the question
                    seen["refused"] += 1
                    time.sleep(0.05)
                    continue
                except http.client.HTTPException as e:
                    seen["wrong"].append(repr(e))
                    continue
                try:
                    self.assertEqual(200, status, body)
                    self.check(json.loads(body))
                    seen["good"] += 1
                except AssertionError as e:
                    seen["wrong"].append(str(e))
        threads = [threading.Thread(target=load) for _ in range(4)]
        for t in threads:
            t.start()
        for _ in range(3):
            time.sleep(0.7)
            self.assertEqual(0, daemon.stop(), daemon.output())
            before = seen["good"]
            daemon, _ = self.start("restarted", self.addresses)
            wait_until("it answers again", lambda: seen["good"] > before)
        stop.set()
        for t in threads:
            t.join()
        self.assertEqual([], seen["wrong"][:1])
        self.assertGreater(seen["good"], 10)

    @contextlib.contextmanager
    def running(self, path):
        """A stream and a plain query that wait for a host; what became of them is in the dictionary afterwards."""
        question = {"query": "sip,dip,dport,proto", "query_hosts": "any", "num_results": 10**9, "sum_hosts": True, **RANGE}
        came = {}

        def plain():
            came["status"], _, came["body"] = http_request(path, "POST", "/_query", question)
        thread = threading.Thread(target=plain)
        stream = Stream(path, question)
        thread.start()
        wait_until("two queries run", lambda: "global_query_queries_running 2\n" in http_request(path, "GET", "/metrics")[2])
        yield came
        came["events"] = list(stream.events())
        stream.close()
        thread.join()

    def test_a_stop_lets_queries_end(self):
        daemon, path = self.start("leaving", self.addresses, timeout=60)
        idle = lab._UnixConnection(path)  # pylint: disable=protected-access
        idle.request("GET", "/-/health")
        idle.getresponse().read()
        with contextlib.ExitStack() as waiting:
            waiting.enter_context(self.stopped("b"))
            with self.running(path) as came:
                daemon.signal(signal.SIGTERM)
                wait_until("nobody is let in", lambda: self.knock(path) == errno.ECONNREFUSED)
                time.sleep(0.5)
                self.assertIsNone(daemon.process.poll(), daemon.output())
                waiting.close()  # the host goes on
        self.assertEqual(200, came["status"], came["body"])
        self.check(json.loads(came["body"]))
        self.assertEqual("finalResult", came["events"][-1][0])
        self.check(came["events"][-1][1])
        self.assertEqual(0, daemon.process.wait(5), daemon.output())
        idle.close()

    def test_a_stop_gives_queries_up_in_the_end(self):
        for again, grace in ((False, "300ms"), (True, "1m")):
            daemon, path = self.start(f"leaving-{grace}", self.addresses, f"--server.shutdowngraceperiod={grace}", timeout=60)
            with self.stopped("b"):
                with self.running(path) as came:
                    daemon.signal(signal.SIGTERM)
                    if again:
                        time.sleep(0.3)
                        daemon.signal(signal.SIGTERM)
                self.assertEqual(503, came["status"], came["body"])
                self.assertIn("the service is stopping", came["body"])
                self.assertEqual("queryError", came["events"][-1][0])
                self.assertIn("the service is stopping", came["events"][-1][1]["detail"])
                self.assertEqual(0, daemon.process.wait(5), daemon.output())
            self.assertIn("a second signal" if again else "server.shutdowngraceperiod is over", daemon.output())

    def test_many_queries_at_once(self):
        """No failure, and nobody waits for long while others are served."""
        answers, times = [], []
        _, path = self.start("patient", self.addresses, timeout=60)

        def one():
            start = time.monotonic()
            answers.append(self.ask(path, num_results=20))
            times.append(time.monotonic() - start)
        threads = [threading.Thread(target=one) for _ in range(64)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(64, len(answers))
        self.assertLess(max(times), 4 * min(times) + 2)
        for answer in answers:
            self.check(answer)

    def test_too_many_queries(self):
        silent = SilentHost(self.lab.mid)
        _, path = self.start("few", {"silent": f"{self.lab.mid.ip4}:{silent.port}"}, "--querier.max_queries=1")
        stream = Stream(path, {"query": "sip", "query_hosts": "any", **RANGE})
        self.assertTrue(silent.asked.wait(5))
        status, headers, _ = http_request(path, "POST", "/_query", {"query": "sip", "query_hosts": "any", **RANGE})
        self.assertEqual(429, status)
        self.assertEqual("1", headers["Retry-After"])
        stream.close()
        wait_until("there is room again", lambda: http_request(path, "POST", "/_query", {
            "query": "sip", "query_hosts": "nobody", **RANGE})[0] == 200)
        _, _, metrics = http_request(path, "GET", "/metrics")
        self.assertRegex(metrics, r"(?m)^global_query_queries_refused_total [1-9]")

    def test_an_unknown_group_is_named(self):
        hosts = os.path.join(self.lab.dir, "hosts.yaml")
        with open(hosts, "w", encoding="utf-8") as f:
            json.dump({"hosts": {name: {} for name in SENSORS}, "groups": {"front": ["a"]}}, f)
        _, path = self.start("grouped", self.addresses, "--hosts.resolver.type=static", f"--hosts.resolver.config={hosts}")
        for group, more in (("front", ()), ("nosuchgroup", ()), ("nosuchgroup", ("--query.streaming",))):
            done = subprocess.run([lab.GOQUERY, "--query.server.addr", f"unix:{path}", "-q", group, *more,
                                   "--query.hosts-resolver-type", "static", "-i", "any", "-f", RANGE["first"],
                                   "-l", RANGE["last"], "sip"], capture_output=True, text=True, check=False, timeout=30)
            self.assertEqual(group == "nosuchgroup", done.returncode != 0, done.stderr)
            if done.returncode:
                self.assertRegex(done.stderr, rf'unix:{path}: .*no host, group or tag is called "nosuchgroup"')

    def test_a_stream_says_how_far_it_is(self):
        with self.stopped("d"):
            stream = Stream(self.path, {"query": "sip", "query_hosts": "any", "keepalive": 200000000, **RANGE})
            events = list(stream.events())
            stream.close()
        names = [name for name, _ in events]
        self.assertEqual("finalResult", names[-1])
        self.assertIn("keepalive", names)
        partial = [data["progress"] for name, data in events if name == "partialResult"][-1]
        self.assertEqual((4, 3), (partial["hosts_total"], partial["hosts_done"]))
        self.assertGreater(partial["rows"], 0)
        self.assertGreater(partial["elapsed_ns"], 0)
        alive = [data["progress"] for name, data in events if name == "keepalive"][-1]
        self.assertEqual((4, 3), (alive["hosts_total"], alive["hosts_done"]))
        self.assertNotIn("progress", events[-1][1])
        self.assertEqual("error", events[-1][1]["hosts_statuses"]["d"]["code"])

    def test_goquery_shows_how_far_it_is(self):
        """On a terminal a line that is gone in the end; nothing of it in a pipe."""
        command = [lab.GOQUERY, "--query.server.addr", f"unix:{self.path}", "-q", "any", "-i", "any", "-f", RANGE["first"],
                   "-l", RANGE["last"], "-n", "3", "--query.sum-hosts", "sip"]
        master, slave = pty.openpty()
        with self.stopped("d"):
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=slave, text=True, timeout=20, check=True,
                                  env={**os.environ, "NO_COLOR": "1"})
            os.close(slave)
            line = os.read(master, 65536).decode()
            os.close(master)
            self.assertRegex(line, r"\r\x1b\[K3 of 4 hosts, .* rows, [0-9.]+ s")
            self.assertTrue(line.endswith("\r\x1b[K"), repr(line))
            self.assertIn("Host d returned with error", done.stdout)
            self.assertNotIn("of 4 hosts", done.stdout)
            self.assertNotIn("\x1b", done.stdout)
            self.assertNotIn("hosts  ", done.stdout.splitlines()[1])
            out, err = self.run_tool(*command)
        self.assertEqual("", err)
        self.assertEqual([r for r in done.stdout.splitlines() if "." in r][1:4], [r for r in out.splitlines() if "." in r][1:4])

    def test_a_client_that_reads_slowly(self):
        """It keeps nobody waiting, and gets its final result in the end."""
        stream = Stream(self.path, {"query": "sip,dip,dport,proto", "query_hosts": "any", "num_results": 10**9,
                                    "sum_hosts": True, **RANGE}, receive_buffer=4096)
        time.sleep(1)
        for _ in range(5):
            self.check(self.ask(self.path, num_results=5))
        self.check([data for name, data in stream.events() if name == "finalResult"][0])
        stream.close()

    def test_a_liar_is_named_alone(self):
        """Huge, malformed, of another version, closed in the middle."""
        rows = b'{"labels":{},"attributes":{"sip":"10.0.0.1"},"counters":{"br":1}},' * 1000
        bodies = {"endless": b'{"rows":[' + rows * 200, "malformed": b'{"rows":[{"counters":{"br":-1}}]}',
                  "foreign": b"SSH-2.0-OpenSSH_9\r\n", "version": b'{"result_version":99,"rows":"columnar"}',
                  "short": b'{"rows":['}
        addresses = dict(self.addresses)
        for name, body in bodies.items():
            listener = self.lab.mid.socket(socket.AF_INET, socket.SOCK_STREAM)
            listener.bind((self.lab.mid.ip4, 0))
            listener.listen(4)
            listener.settimeout(None)
            addresses[name] = f"{self.lab.mid.ip4}:{listener.getsockname()[1]}"
            threading.Thread(target=self.lie, args=(listener, name, body), daemon=True).start()
        _, path = self.start("lied-to", addresses, "--querier.max_response=4", "--querier.retries=0")
        answer = self.ask(path)
        liars = {n: answer["hosts_statuses"].pop(n) for n in bodies}
        self.assertEqual({"error"}, {s["code"] for s in liars.values()}, liars)
        self.check(answer)

    @staticmethod
    def lie(listener, name, body):
        while True:
            client, _ = listener.accept()
            client.recv(65536)
            with contextlib.suppress(OSError):
                if name != "foreign":
                    length = len(body) + (1000 if name == "short" else 0)
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % length)
                client.sendall(body)
            client.close()


if __name__ == "__main__":
    lab.main()
