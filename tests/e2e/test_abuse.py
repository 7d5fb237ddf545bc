"""Clients that behave badly stop neither the service nor the capture: while one host does to a sensor's API what it should
not, another client is answered, and every packet of counted traffic is counted."""

import json
import os
import random
import socket
import threading
import time

from lab import GOPROBE, Lab, TestCase, exchange_udp, main, wait_until

PORT, DNS = 8145, 53
PACKETS = 1500
SEED = 8145


class Abuse(TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab("alpha", "beta"))
        self.sensor, self.attacker = self.lab.alpha, self.lab.beta
        db = os.path.join(self.lab.dir, "db")
        os.makedirs(db)
        config = os.path.join(self.lab.dir, "goprobe.yaml")
        with open(config, "w", encoding="utf-8") as f:
            json.dump({"db": {"path": db}, "interfaces": {"eth0": {"ring_buffer": {"block_size": 1048576, "num_blocks": 4}}},
                       "api": {"addr": f"{self.sensor.ip4}:{PORT}", "allow_without_token": True,
                               "limits": {"max_connections": 64, "max_connections_per_client": 32, "max_body": 65536,
                                          "max_header": 8192, "request_timeout": "2s"}}}, f)
        self.daemon = self.lab.daemon("goprobe", self.sensor.command(GOPROBE, "-c", config))
        wait_until("the sensor captures", lambda: "captures started" in self.daemon.output())

    def dial(self, host):
        s = host.socket(socket.AF_INET, socket.SOCK_STREAM)
        s.connect((self.sensor.ip4, PORT))
        return s

    def request(self, host, text, body=b""):
        """The status, or None if the connection ended without one."""
        s = self.dial(host)
        try:
            s.sendall(text.encode() + body)
            answer = b""
            while chunk := s.recv(65536):
                answer += chunk
        except OSError:
            pass
        finally:
            s.close()
        return (int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2]) if answer.startswith(b"HTTP/1.1 ") else (None, b"")

    def post(self, host, query):
        body = json.dumps(query).encode()
        return self.request(host, f"POST /_query HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
                                  "Content-Type: application/json\r\n\r\n", body)

    def attack(self, connections, stop):
        """Every kind of bad client, until it is told to stop; sockets are made ahead, in the main thread."""
        rng = random.Random(SEED)
        kinds = [b"GET /status HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"POST /_query HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{",
                 b"GET /" + b"a" * 6000, b"PUT /config HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
                 bytes(rng.randrange(256) for _ in range(3000)), b"POST /_query/sse HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b""]
        for n, s in enumerate(connections):
            s.settimeout(0.2)
            try:
                s.connect((self.sensor.ip4, PORT))
                s.sendall(kinds[n % len(kinds)])
            except OSError:
                pass
        while not stop.is_set():
            for s in connections:
                try:
                    s.send(b"x", socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
                except OSError:
                    pass
            time.sleep(0.05)

    def test_the_capture_does_not_notice(self):
        stop = threading.Event()
        connections = [self.attacker.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(150)]
        thread = threading.Thread(target=self.attack, args=(connections, stop))
        thread.start()
        self.addCleanup(stop.set)
        seen = exchange_udp(self.attacker, self.sensor, DNS, PACKETS, PACKETS, 100)
        # Others are answered meanwhile, from another address.
        for _ in range(5):
            status, _ = self.request(self.sensor, "GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertEqual(200, status)
        more = exchange_udp(self.attacker, self.sensor, DNS, PACKETS, 0, 50)
        stop.set()
        thread.join()
        self.assertIsNone(self.daemon.process.poll(), self.daemon.output())
        wait_until("clients that are too slow are cut off",
                   lambda: "not complete in time" in self.daemon.output())
        for s in connections:
            s.close()

        expected = {"br": seen["sent"][0] + more["sent"][0], "bs": seen["rcvd"][0],
                    "pr": seen["sent"][1] + more["sent"][1], "ps": seen["rcvd"][1]}
        query = {"query": "dport", "ifaces": "eth0", "first": "-1h", "live": True, "condition": f"dport = {DNS}"}
        totals = {}
        for _ in range(50):
            status, body = self.post(self.sensor, query)
            totals = json.loads(body)["summary"]["totals"] if status == 200 else {}
            if totals == expected:
                break
            time.sleep(0.1)
        self.assertEqual(expected, totals)
        self.assertEqual(0, self.daemon.stop())
        self.assertNotIn("drops", self.daemon.output())

    def test_limits_are_said(self):
        big = "a" * 70000
        head = "POST /_query HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        status, body = self.request(self.attacker, f"{head}Content-Length: {len(big)}\r\n\r\n", big.encode())
        self.assertEqual(413, status)
        self.assertIn("limit=65536 bytes", json.loads(body)["detail"])
        status, _ = self.request(self.attacker, f"GET /status HTTP/1.1\r\nHost: x\r\nX-Big: {big}\r\n\r\n")
        self.assertIn(status, (431, None))
        status, body = self.request(self.attacker, f"{head}Content-Length: 5\r\n\r\n", b"{\"a\":")
        self.assertIn(status, (400, 422))
        self.assertIsNone(self.daemon.process.poll())
        status, _ = self.request(self.attacker, "GET /-/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.assertEqual(200, status)


if __name__ == "__main__":
    main()
