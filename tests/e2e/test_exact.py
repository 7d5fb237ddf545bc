"""The first rows of a fleet are the true ones: real sensors with generated databases, in one level and in a tree,
against sums over everything that the databases hold."""

import json
import os
import subprocess
import time

import lab
from lab import Lab, Sensor, TestCase, http_request

GENDB = os.path.join(lab.BUILD, "tests", "bench", "gp-gendb")
SENSORS = ("a", "b", "c", "d")
VALUES = {"bytes": ("br", "bs"), "packets": ("pr", "ps")}


def key_of(row, host=False):
    a, l = row["attributes"], row["labels"]
    key = (a.get("sip"), a.get("dip"), a.get("proto", 0), a.get("dport", 0), l.get("timestamp"), l.get("iface"))
    return key + (l.get("host"),) if host else key


def ask(path, query, **more):
    status, headers, body = http_request(path, "POST", "/_query", {
        "query": query, "ifaces": "any", "first": "1704067100", "last": "1704200000", "query_hosts": "any", **more})
    assert status == 200, body
    return json.loads(body), headers


class Exact(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab(*SENSORS, "mid1", "mid2", "top"))
        cls.sensors = {}
        for number, name in enumerate(SENSORS):
            sensor = Sensor(getattr(cls.lab, name))
            sensor.nanomsg = os.path.join(cls.lab.dir, f"{name}.ipc")
            sensor.write_config(nanomsg={"addr": f"ipc://{sensor.nanomsg}"})
            subprocess.run([GENDB, sensor.db, "1", "6", "4000", str(number + 1)], check=True, stderr=subprocess.DEVNULL)
            sensor.start()
            cls.sensors[name] = sensor
        _, cls.flat = cls.lab.global_query(cls.lab.top, {n: s.addr for n, s in cls.sensors.items()}, "flat")
        _, cls.mixed = cls.lab.global_query(cls.lab.top, {n: f"nanomsg+ipc://{s.nanomsg}" if n in "abc" else s.addr
                                                          for n, s in cls.sensors.items()}, "mixed")
        _, mid1 = cls.lab.global_query(cls.lab.mid1, {n: cls.sensors[n].addr for n in ("a", "b")}, "mid1")
        _, mid2 = cls.lab.global_query(cls.lab.mid2, {"c": cls.sensors["c"].addr}, "mid2")
        _, cls.tree = cls.lab.global_query(cls.lab.top, {"left": f"unix:{mid1}", "right": f"unix:{mid2}",
                                                         "d": cls.sensors["d"].addr}, "tree")
        cls.lists = {}

    def everything(self, query):
        """{host: rows}, each sensor's whole list."""
        if query not in self.lists:
            self.lists[query] = {n: ask(s.socket, query, num_results=10**9)[0] for n, s in self.sensors.items()}
        return self.lists[query]

    def expected(self, query, by, direction, ascending, n, sum_hosts):
        sums, totals = {}, {}
        for answer in self.everything(query).values():
            for row in answer["rows"]:
                into = sums.setdefault(key_of(row, not sum_hosts), {})
                for c, v in row["counters"].items():
                    into[c] = into.get(c, 0) + v
            for c, v in answer["summary"]["totals"].items():
                totals[c] = totals.get(c, 0) + v
        rcvd, sent = VALUES[by]

        def value(c):
            return (c.get(rcvd, 0) if direction != "out" else 0) + (c.get(sent, 0) if direction != "in" else 0)
        values = sorted((value(c) for c in sums.values()), reverse=not ascending)[:n]
        return sums, totals, values, value

    def compare(self, path, query, by="bytes", direction=None, ascending=False, n=10, sum_hosts=True):
        sums, totals, values, value = self.expected(query, by, direction, ascending, n, sum_hosts)
        more = {"sort_by": by, "num_results": n, "sort_ascending": ascending, "sum_hosts": sum_hosts}
        if direction:
            more[direction] = True
        got, _ = ask(path, query, **more)
        self.assertEqual({n: "ok" for n in SENSORS}, {h: s["code"] for h, s in got["hosts_statuses"].items()})
        self.assertEqual(values, [value(r["counters"]) for r in got["rows"]])
        for row in got["rows"]:
            self.assertEqual(sums[key_of(row, not sum_hosts)], row["counters"])
            self.assertEqual(sum_hosts, "host" not in row["labels"])
        self.assertEqual(len(sums), got["summary"]["hits"]["total"])
        self.assertEqual(totals, got["summary"]["totals"])

    def check_all(self, path):
        for query in ("sip", "sip,dip,dport,proto", "dport,proto"):
            for sum_hosts in (True, False):
                self.compare(path, query, sum_hosts=sum_hosts)
        for by in ("bytes", "packets"):
            for direction in ("in", "out", "sum"):
                self.compare(path, "sip,dip", by, direction, n=25)
        self.compare(path, "sip,dip", ascending=True)
        self.compare(path, "sip,dip", n=3000)

    def test_flat(self):
        self.check_all(self.flat)

    def test_by_nanomsg(self):
        """Three hosts by nanomsg, one by HTTP."""
        self.check_all(self.mixed)

    def test_tree(self):
        self.check_all(self.tree)

    def test_time(self):
        """A bin holds all rows of its time, not those that were left when a sensor cut."""
        whole, _ = ask(self.flat, "time", num_results=10**9, time_resolution="10m", sum_hosts=True)
        cut, _ = ask(self.flat, "time", num_results=2, time_resolution="10m", sum_hosts=True)
        self.assertEqual(whole["rows"][:2], cut["rows"])
        self.assertGreater(len(whole["rows"]), 2)

    def test_a_circle_is_refused(self):
        """x asks y and y asks x: each reaches its own sensor, and names who closed the circle."""
        x_path = os.path.join(self.lab.dir, "x.sock")
        _, y = self.lab.global_query(self.lab.mid1, {"b": self.sensors["b"].addr, "x": f"unix:{x_path}"}, "y")
        _, x = self.lab.global_query(self.lab.top, {"a": self.sensors["a"].addr, "y": f"unix:{y}"}, "x")
        start = time.monotonic()
        got, _ = ask(x, "sip")
        self.assertLess(time.monotonic() - start, 5)
        codes = {h: s["code"] for h, s in got["hosts_statuses"].items()}
        self.assertEqual({"a": "ok", "b": "ok", "x": "error"}, codes)
        self.assertIn("circle", got["hosts_statuses"]["x"]["message"])

    def test_a_leaf_that_fails_is_named_at_the_top(self):
        _, mid = self.lab.global_query(self.lab.mid1, {"a": self.sensors["a"].addr, "gone": "unix:/nonexistent"}, "mid3")
        _, top = self.lab.global_query(self.lab.top, {"mid": f"unix:{mid}", "gone": "unix:/nonexistent"}, "top3")
        got, _ = ask(top, "sip")
        self.assertEqual({"a": "ok", "gone": "error", "mid/gone": "error"},
                         {h: s["code"] for h, s in got["hosts_statuses"].items()})

    def test_some_leaves_of_a_tree(self):
        """"left/a" is a below the aggregator left, on any number of levels; nobody else is asked."""
        _, above = self.lab.global_query(self.lab.top, {"tree": f"unix:{self.tree}", "d": self.sensors["d"].addr}, "above")

        def leaves(path, hosts):
            got, _ = ask(path, "sip", query_hosts=hosts, num_results=10**9, sum_hosts=True)
            return got, {h: s["code"] for h, s in got["hosts_statuses"].items()}

        for path, hosts, names in ((self.tree, "left/a", "a"), (self.tree, "left/b,right/c,left/a", "abc"),
                                   (above, "tree/left/a,tree/right/c", "ac"), (above, "d,tree/left/b", "bd"),
                                   (above, "tree/d", "d"), (above, "tree/left", "ab")):
            with self.subTest(hosts=hosts):
                got, codes = leaves(path, hosts)
                self.assertEqual({n: "ok" for n in names}, codes)
                sums = {}
                for n in names:
                    for row in self.everything("sip")[n]["rows"]:
                        into = sums.setdefault(key_of(row), {})
                        for c, v in row["counters"].items():
                            into[c] = into.get(c, 0) + v
                self.assertEqual(sums, {key_of(r): r["counters"] for r in got["rows"]})
        got, codes = leaves(self.tree, "d/a,left/nobody,left/a,nowhere/a,left/")
        self.assertEqual({"a": "ok", "d": "error", "nobody": "error", "nowhere/a": "error", "left/": "error"}, codes)
        self.assertIn("has no hosts below it", got["hosts_statuses"]["d"]["message"])

    def test_every_leaf_says_how_to_ask_for_it(self):
        """Whatever its own name is, and on any number of levels: the name of an endpoint, behind those above it."""
        _, mid = self.lab.global_query(self.lab.mid1, {"here": self.sensors["a"].addr, "b": self.sensors["b"].addr}, "mid4")
        _, top = self.lab.global_query(self.lab.top, {"mid": f"unix:{mid}", "tree": f"unix:{self.tree}", "gone": "unix:/nobody"}, "top4")
        got, _ = ask(top, "sip", num_results=10**9)
        endpoints = {h: s.get("endpoint", h) for h, s in got["hosts_statuses"].items()}
        self.assertEqual({"a": "mid/here", "b": "mid/b", "tree/a": "tree/left/a", "tree/b": "tree/left/b", "c": "tree/right/c",
                          "d": "tree/d", "gone": "gone"}, endpoints)
        self.assertNotIn("endpoint", got["hosts_statuses"]["gone"])
        for host, endpoint in endpoints.items():
            again, _ = ask(top, "sip", query_hosts=endpoint)
            self.assertEqual([got["hosts_statuses"][host]["code"]], [s["code"] for s in again["hosts_statuses"].values()])
            self.assertEqual([endpoint], [s.get("endpoint", h) for h, s in again["hosts_statuses"].items()])

    def test_v4_clients_see_what_they_know(self):
        got, headers = ask(self.flat, "sip")
        self.assertEqual({"$schema", "status", "hosts_statuses", "summary", "query", "rows"}, set(got))
        self.assertIn("Goprobe-Query-Narrowing", headers)


if __name__ == "__main__":
    lab.main()
