"""Sensors see known traffic; the sensor, its database, goquery, gpctl and global-query all tell the same counts."""

import json
import os
import signal
import socket
import stat
import time
from urllib.parse import urlencode

import lab
from lab import UNICAST, Lab, Sensor, TestCase, exchange_tcp, exchange_udp, http_request, ping, wait_until

DNS, QUIC, WEB = 53, 4433, 8080


def counters(rows):
    """{(sip, dip, dport, proto): (bytes and packets received, sent)}"""
    result = {}
    for row in rows:
        a, c = row["attributes"], row["counters"]
        key = (a["sip"], a["dip"], a.get("dport", 0), a.get("proto", 0))
        assert key not in result, f"two rows for {key}"
        result[key] = {"rcvd": (c.get("br", 0), c.get("pr", 0)), "sent": (c.get("bs", 0), c.get("ps", 0))}
    return result


def mirrored(counts):
    """What the other end sees."""
    return {"rcvd": counts["sent"], "sent": counts["rcvd"]}


def make_traffic(a, b):
    """Between two hosts, both versions; the conversations as a sees them."""
    return {
        (a.ip4, b.ip4, DNS, socket.IPPROTO_UDP): exchange_udp(a, b, DNS, 7, 5, 100),
        (a.ip6, b.ip6, DNS, socket.IPPROTO_UDP): exchange_udp(a, b, DNS, 3, 3, 600, version=6),
        (a.ip4, b.ip4, QUIC, socket.IPPROTO_UDP): exchange_udp(a, b, QUIC, 20, 0, 1200),
        (a.ip4, b.ip4, 0, socket.IPPROTO_ICMP): ping(a, b, 4, 56),
        (a.ip6, b.ip6, 0, socket.IPPROTO_ICMPV6): ping(a, b, 6, 1000, version=6),
        (a.ip4, b.ip4, WEB, socket.IPPROTO_TCP): exchange_tcp(a, b, WEB, 300, 200000),
        (a.ip6, b.ip6, WEB, socket.IPPROTO_TCP): exchange_tcp(a, b, WEB, 70000, 10, version=6),
    }


def added(x, y):
    return {key: {d: tuple(p + q for p, q in zip(x[key][d], y[key][d])) for d in ("rcvd", "sent")} for key in x}


class TwoSensors(TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab("alpha", "beta", "hub"))
        self.a, self.b = Sensor(self.lab.alpha), Sensor(self.lab.beta)
        self.a.start()
        self.b.start()

    def expect(self, sensor, expected):
        """Packets wait in the ring until a block of it is full or a few milliseconds have passed."""
        for _ in range(50):
            seen = counters(sensor.query("sip,dip,dport,proto")["rows"])
            if seen == expected:
                return
            time.sleep(0.1)
        self.assertEqual(expected, seen)

    def database(self, sensor, columns, condition=None):
        condition = f"({condition}) & {UNICAST}" if condition else UNICAST
        out, _ = self.run_tool(lab.GOQUERY, "-d", sensor.db, "-i", "any", "-f", "-1h", "-e", "json", "-c", condition,
                               columns)
        return json.loads(out)

    def test_counts_are_exact_live_and_stored(self):
        seen_by_a = make_traffic(self.lab.alpha, self.lab.beta)
        seen_by_b = {key: mirrored(value) for key, value in seen_by_a.items()}
        self.expect(self.a, seen_by_a)
        self.expect(self.b, seen_by_b)

        self.assertEqual((0, 0), (self.a.stop(), self.b.stop()))
        self.assertEqual(seen_by_a, counters(self.database(self.a, "sip,dip,dport,proto")["rows"]))
        self.assertEqual(seen_by_b, counters(self.database(self.b, "sip,dip,dport,proto")["rows"]))

        # A second run adds to the same database, and a live query adds what is still in memory.
        self.a.start()
        self.expect(self.a, seen_by_a)
        again = make_traffic(self.lab.alpha, self.lab.beta)
        self.expect(self.a, added(seen_by_a, again))
        self.assertEqual(0, self.a.stop())
        self.assertEqual(added(seen_by_a, again), counters(self.database(self.a, "sip,dip,dport,proto")["rows"]))

    def test_a_query_fits_into_a_url(self):
        """GET answers what POST does, of a sensor and of global-query; what is wrong is a problem of a parameter."""
        _, path = self.lab.global_query(self.lab.alpha, {"alpha": self.a.addr, "beta": self.b.addr})
        question = {"query": "sip,dip,dport,proto", "ifaces": "eth0", "query_hosts": "alpha,beta", "first": "-1h",
                    "live": "true", "condition": UNICAST, "num_results": "5"}
        make_traffic(self.lab.alpha, self.lab.beta)
        wait_until("packets are counted", lambda: self.a.query("dport")["rows"])
        for service in (self.a.socket, path):
            status, _, got = http_request(service, "GET", "/_query?" + urlencode(question))
            self.assertEqual(200, status, got)
            status, _, posted = http_request(service, "POST", "/_query", {**question, "live": True, "num_results": 5})
            self.assertEqual(200, status, posted)
            self.assertTrue(json.loads(got)["rows"])
            self.assertEqual(json.loads(posted)["rows"], json.loads(got)["rows"])
            status, _, wrong = http_request(service, "GET", "/_query?" + urlencode({**question, "query": "sip,nonsense"}))
            self.assertEqual(422, status, wrong)
            self.assertIn("query", json.loads(wrong)["errors"][0]["location"])

    def test_conditions_directions_and_formats(self):
        seen = make_traffic(self.lab.alpha, self.lab.beta)
        self.expect(self.a, seen)
        self.assertEqual(0, self.a.stop())
        dns = {key: value for key, value in seen.items() if key[2] == DNS}
        for condition in ("dport = 53", "dport=53 & proto=udp", "dport < 54 & dport > 52", "!(dport != 53)"):
            rows = self.database(self.a, "sip,dip,dport,proto", condition)["rows"]
            self.assertEqual(dns, counters(rows), condition)
        only6 = self.database(self.a, "sip,dip,dport,proto", "dnet = fd78::/64")["rows"]
        self.assertEqual({k: v for k, v in seen.items() if ":" in k[0]}, counters(only6))
        totals = self.database(self.a, "proto")["summary"]["totals"]
        self.assertEqual(sum(v["sent"][0] for v in seen.values()), totals["bs"])
        self.assertEqual(sum(v["rcvd"][1] for v in seen.values()), totals["pr"])
        out, _ = self.run_tool(lab.GOQUERY, "-d", self.a.db, "-i", "eth0", "-f", "-1h", "-e", "csv", "-c", "dport=4433",
                               "sip,dip,dport,proto")
        sent = seen[(self.lab.alpha.ip4, self.lab.beta.ip4, QUIC, 17)]["sent"]
        row = out.splitlines()[1].split(",")
        self.assertEqual([self.lab.alpha.ip4, self.lab.beta.ip4, "4433", "UDP"], row[:4])
        self.assertIn(str(sent[0]), row)
        self.assertIn(str(sent[1]), row)

    def settled(self):
        status, _, body = http_request(self.a.socket, "GET", "/status/eth0")
        self.assertEqual(200, status)
        stats = json.loads(body)["statuses"]["eth0"]
        return stats if stats["received_total"] == stats["processed_total"] else None

    def test_gpctl_counts_packets(self):
        seen = make_traffic(self.lab.alpha, self.lab.beta)
        packets = sum(v["sent"][1] + v["rcvd"][1] for v in seen.values())
        self.expect(self.a, seen)
        # The kernel counts a packet (of its own, to a multicast group) as received before the ring hands it over.
        stats = wait_until("what was received is processed", self.settled)
        self.assertGreaterEqual(stats["received_total"], packets)
        self.assertEqual(0, stats["dropped_total"])
        out, _ = self.run_tool(lab.GPCTL, "-s", self.a.addr, "status")
        self.assertIn("eth0", out)
        out, _ = self.run_tool(lab.GPCTL, "-s", self.a.addr, "config")
        self.assertIn("eth0", out)

    def test_global_query_merges_and_names_the_dead(self):
        seen_by_a = make_traffic(self.lab.alpha, self.lab.beta)
        seen_by_b = {key: mirrored(value) for key, value in seen_by_a.items()}
        self.expect(self.a, seen_by_a)
        self.expect(self.b, seen_by_b)
        daemon, path = self.lab.global_query(self.lab.hub, {"alpha": self.a.addr, "beta": self.b.addr})

        both = self.ask(path, "sip,dip,dport,proto")
        self.assertEqual({"alpha": "ok", "beta": "ok"}, {h: s["code"] for h, s in both["hosts_statuses"].items()})
        for name, seen in (("alpha", seen_by_a), ("beta", seen_by_b)):
            self.assertEqual(seen, counters([r for r in both["rows"] if r["labels"]["host"] == name]), name)
        everything = list(added(seen_by_a, seen_by_b).values())
        totals = both["summary"]["totals"]
        self.assertEqual([sum(v["rcvd"][0] for v in everything), sum(v["sent"][1] for v in everything)],
                         [totals["br"], totals["ps"]])

        self.b.daemon.kill()
        one = self.ask(path, "sip,dip,dport,proto")
        self.assertEqual("ok", one["hosts_statuses"]["alpha"]["code"])
        self.assertEqual("error", one["hosts_statuses"]["beta"]["code"])
        self.assertIn(self.b.socket, one["hosts_statuses"]["beta"]["message"])
        self.assertEqual(seen_by_a, counters(one["rows"]))

        out, _ = self.run_tool(lab.GOQUERY, "--query.server.addr", f"unix:{path}", "-q", "alpha,beta", "-i", "any",
                               "-f", "-1h", "--query.live", "-c", UNICAST, "sip,dip,dport,proto")
        self.assertIn("beta", out)
        self.assertIn("1 ok", out)
        self.assertIn("1 error", out)
        self.no_answer_is_a_failure(path)
        self.assertEqual(0, daemon.stop())

    def no_answer_is_a_failure(self, path):
        """Where the only host failed goquery says why, and its exit status is not that of an empty answer."""
        ask = (lab.GOQUERY, "--query.server.addr", f"unix:{path}", "-i", "any", "-f", "-1h", "--query.live")
        for form in ("txt", "csv", "json"):
            out, err = self.run_tool(*ask, "-q", "beta", "-e", form, "sip", status=1)
            self.assertRegex(err, rf'^Error running query: host beta failed with "error": .*{self.b.socket}')
            self.assertTrue(out)
            self.run_tool(*ask, "-q", "alpha,beta", "-e", form, "sip")

    def test_events_of_a_stream(self):
        seen_by_a = make_traffic(self.lab.alpha, self.lab.beta)
        self.expect(self.a, seen_by_a)
        _, path = self.lab.global_query(self.lab.hub, {"alpha": self.a.addr, "beta": self.b.addr})
        status, headers, body = http_request(path, "POST", "/_query/sse", {
            "query": "sip,dip,dport,proto", "ifaces": "any", "first": "-1h", "live": True, "query_hosts": "alpha,beta",
            "condition": UNICAST})
        self.assertEqual(200, status)
        self.assertTrue(headers["Content-Type"].startswith("text/event-stream"))
        events = [dict(line.split(": ", 1) for line in event.splitlines() if ": " in line)
                  for event in body.strip().split("\n\n")]
        self.assertIn("partialResult", {e["event"] for e in events})
        self.assertEqual("finalResult", events[-1]["event"])
        last = json.loads(events[-1]["data"])
        self.assertEqual({"alpha", "beta"}, set(last["hosts_statuses"]))

    def ask(self, path, columns):
        status, _, body = http_request(path, "POST", "/_query", {
            "query": columns, "ifaces": "any", "first": "-1h", "live": True, "query_hosts": "alpha,beta",
            "condition": UNICAST})
        self.assertEqual(200, status, body)
        return json.loads(body)

    def test_a_killed_sensor_leaves_a_readable_database(self):
        make_traffic(self.lab.alpha, self.lab.beta)
        self.assertEqual(0, self.a.stop())
        before = counters(self.database(self.a, "sip,dip,dport,proto")["rows"])
        self.a.start()
        make_traffic(self.lab.alpha, self.lab.beta)
        self.a.daemon.kill()
        self.assertEqual(before, counters(self.database(self.a, "sip,dip,dport,proto")["rows"]))
        self.a.start()  # over the stale socket and the database of before
        self.assertEqual(0, self.a.stop())

    def test_configuration_is_reloaded(self):
        with open(self.a.config, encoding="utf-8") as f:
            config = json.load(f)
        ring = {"ring_buffer": {"block_size": 1048576, "num_blocks": 4}}
        self.a.write_config(interfaces={"eth0": config["interfaces"]["eth0"], "lo": ring})
        self.a.daemon.signal(signal.SIGHUP)
        wait_until("lo is captured, too", lambda: self.captured() == {"eth0", "lo"})
        self.a.write_config()
        status, _, body = http_request(self.a.socket, "POST", "/config/_reload")
        self.assertEqual(200, status, body)
        self.assertEqual([{"name": "lo", "success": True}], json.loads(body)["disabled"])
        self.assertEqual({"eth0"}, self.captured())

    def captured(self):
        return set(json.loads(http_request(self.a.socket, "GET", "/status")[2])["statuses"])

    def test_the_socket_is_removed_at_the_end(self):
        self.assertTrue(stat.S_ISSOCK(os.stat(self.a.socket).st_mode))
        self.assertEqual(0, self.a.stop())
        self.assertFalse(os.path.exists(self.a.socket))


if __name__ == "__main__":
    lab.main()
