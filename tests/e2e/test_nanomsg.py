"""Queries by nanomsg between real programs: the same answers as by HTTP, in one fleet with it, and exactly the hosts named that
are stopped, killed or cut off."""

import json
import os
import signal
import time

import lab
from lab import GOQUERY, UNICAST, Lab, Sensor, TestCase, exchange_udp, http_request, ip, ping, wait_until

PORT = 8147
COLUMNS = "sip,dip,dport,proto"


def sums(rows):
    """{(sip, dip, dport, proto): counters}"""
    out = {}
    for row in rows:
        a, c = row["attributes"], row["counters"]
        key = (a["sip"], a["dip"], a.get("dport", 0), a.get("proto", 0))
        seen = out.setdefault(key, [0, 0, 0, 0])
        for i, name in enumerate(("br", "bs", "pr", "ps")):
            seen[i] += c.get(name, 0)
    return out


def together(*answers):
    """What the answers of all these sensors say."""
    return sums([row for answer in answers for row in answer["rows"]])


class Nanomsg(TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab("alpha", "beta", "gamma", "hub"))
        self.sensors = {h.name: Sensor(h) for h in (self.lab.alpha, self.lab.beta, self.lab.gamma)}
        socket = os.path.join(self.lab.dir, "gamma.query")
        self.addr = {"alpha": self.sensors["alpha"].addr, "beta": f"nanomsg+tcp://{self.lab.beta.ip4}:{PORT}",
                     "gamma": f"nanomsg+ipc://{socket}"}
        listen = {"beta": [f"tcp://{self.lab.beta.ip4}:{PORT}"], "gamma": [f"ipc://{socket}"]}
        for name, sensor in self.sensors.items():
            api = {"addr": sensor.addr, "metrics": True, "allow_without_token": True}
            sensor.write_config(api=api, nanomsg={"addr": listen.get(name, [])})
            sensor.start()
        self.condition = f"{UNICAST} & host != {self.lab.hub.ip4}"  # the questions are traffic, too
        self.lab.global_query(self.lab.hub, self.addr, timeout="2s")
        exchange_udp(self.lab.alpha, self.lab.beta, 53, 7, 5, 100)
        exchange_udp(self.lab.beta, self.lab.gamma, 53, 3, 3, 600, version=6)
        ping(self.lab.gamma, self.lab.alpha, 4, 56)
        self.settle()

    def settle(self):
        """Until no sensor counts more packets."""
        seen = [None]

        def is_quiet():
            time.sleep(0.3)
            seen.append([sums(self.ask_directly(name)["rows"]) for name in self.sensors])
            return seen[-1] == seen[-2]
        wait_until("all packets are counted", is_quiet)

    def ask(self):
        question = {"query": COLUMNS, "query_hosts": "any", "ifaces": "any", "first": "-1h", "live": True,
                    "condition": self.condition, "num_results": 1000}
        start = time.monotonic()
        status, _, body = http_request(os.path.join(self.lab.dir, "global-query.sock"), "POST", "/_query", question)
        self.assertEqual(200, status, body)
        return json.loads(body), time.monotonic() - start

    def ask_directly(self, name):
        return self.sensors[name].query(COLUMNS, condition=self.condition, num_results=1000)

    def expect(self, *missing):
        """Exact sums of all sensors but these, and these named; seconds that it took."""
        answer, took = self.ask()
        there = [self.ask_directly(n) for n in self.sensors if n not in missing]
        self.assertEqual(together(*there), sums(answer["rows"]))
        failed = {h for h, s in answer["hosts_statuses"].items() if s["code"] == "error"}
        self.assertEqual(set(missing), failed, answer["hosts_statuses"])
        return took

    def test_both_transports_answer_one_query(self):
        self.expect()
        self.expect()  # on connections that are kept

    def test_goquery_asks_a_sensor(self):
        for name in ("beta", "gamma"):
            command = self.lab.hub.command(GOQUERY, "--query.server.addr", self.addr[name], "-q", name, "-i", "any", "-f",
                                           "-1h", "--query.live", "-c", self.condition, "-n", "1000", "-e", "json",
                                           COLUMNS)
            out, _ = self.run_tool(*command)
            self.assertEqual(together(self.ask_directly(name)),
                             sums(json.loads(out)["rows"]))

    def test_stopped_and_killed_hosts_are_named(self):
        beta = self.sensors["beta"]
        beta.daemon.signal(signal.SIGSTOP)
        self.assertGreater(self.expect("beta"), 1.9)
        beta.daemon.signal(signal.SIGCONT)
        self.expect()  # whatever it still has to say to the last query does not matter
        beta.daemon.kill()
        self.assertLess(self.expect("beta"), 1.5)
        beta.start()
        exchange_udp(self.lab.alpha, self.lab.beta, 53, 7, 5, 100)
        self.settle()
        self.expect()

    def test_hosts_that_are_cut_off_are_named(self):
        self.expect()
        ip("-n", self.lab.beta.namespace, "link", "set", "eth0", "down")
        self.assertLess(self.expect("beta"), 8)
        ip("-n", self.lab.beta.namespace, "link", "set", "eth0", "up")

    def test_counters_tell(self):
        self.expect()
        _, _, text = http_request(self.sensors["gamma"].socket, "GET", "/metrics")
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("goprobe_nanomsg_"))
        self.assertGreaterEqual(int(lines["goprobe_nanomsg_queries_total"]), 1)
        self.assertEqual(lines["goprobe_nanomsg_queries_total"], lines["goprobe_nanomsg_answers_total"])
        self.assertEqual("0", lines["goprobe_nanomsg_malformed_total"])


if __name__ == "__main__":
    lab.main()
