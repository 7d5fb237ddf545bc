"""Times without a zone: client, global-query and sensors in four zones read the same hours."""

import datetime
import json
import os
import zoneinfo

import lab
from lab import Lab, Sensor, TestCase, http_request

GPDB = os.path.join(lab.BUILD, "client", "gpdb", "gpdb")
CLIENT, HUB, ALPHA, BETA = "America/New_York", "Europe/Berlin", "Asia/Tokyo", "America/Los_Angeles"
FIRST, LAST = "2024-01-02 10:00", "2.1.24 12:00"
BEGIN = 1704067200  # 2024-01-01 00:00 UTC


def flows():
    """One an hour over three days; its port is the number of the hour."""
    head = "time,iface,sip,dip,dport,proto,packets received,packets sent,data vol. received,data vol. sent\n"
    return head + "".join(f"{BEGIN + 3600 * h},lan,10.0.0.1,10.0.0.2,{h + 1},17,1,0,100,0\n" for h in range(72))


def hours_in(zone):
    """Ports of the flows from FIRST to LAST. A block has the flows of the five minutes before its time."""
    first = datetime.datetime(2024, 1, 2, 10, tzinfo=zoneinfo.ZoneInfo(zone)).timestamp()
    hour = int(first - BEGIN) // 3600
    return [hour + 1, hour + 2, hour + 3]


class Zones(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab("alpha", "beta", "hub"))
        cls.alpha, cls.beta = Sensor(cls.lab.alpha), Sensor(cls.lab.beta)
        nanomsg = f"ipc://{os.path.join(cls.lab.dir, 'beta.ipc')}"
        cls.beta.write_config(nanomsg={"addr": nanomsg})
        csv = os.path.join(cls.lab.dir, "flows.csv")
        with open(csv, "w", encoding="ascii") as f:
            f.write(flows())
        for sensor, zone in ((cls.alpha, ALPHA), (cls.beta, BETA)):
            cls.run_tool(cls(), GPDB, "import", csv, sensor.db)
            sensor.start({"TZ": zone})
        _, cls.http = cls.lab.global_query(cls.lab.hub, {"alpha": cls.alpha.addr, "beta": f"nanomsg+{nanomsg}"},
                                           env={"TZ": HUB})

    def expect(self, zone, rows, hosts):
        ports = {}
        for row in rows:
            ports.setdefault(row["labels"].get("host"), []).append(row["attributes"]["dport"])
        self.assertEqual({host: hours_in(zone) for host in hosts}, {host: sorted(p) for host, p in ports.items()})

    def goquery(self, *where):
        out, _ = self.run_tool(lab.GOQUERY, *where, "-i", "lan", "-f", FIRST, "-l", LAST, "-e", "json", "dport",
                               env={"TZ": CLIENT})
        return json.loads(out)["rows"]

    def test_goquery_means_its_own_hours(self):
        self.expect(CLIENT, self.goquery("--query.server.addr", f"unix:{self.http}", "-q", "alpha,beta"), ["alpha", "beta"])
        self.expect(CLIENT, self.goquery("--query.server.addr", self.alpha.addr, "-q", "alpha"), ["alpha"])
        self.expect(CLIENT, self.goquery("--query.server.addr", f"unix:{self.http}", "--query.streaming", "-q", "beta"),
                    ["beta"])

    def test_global_query_speaks_for_the_fleet(self):
        status, _, body = http_request(self.http, "POST", "/_query", {
            "query": "dport", "ifaces": "lan", "first": FIRST, "last": LAST, "query_hosts": "alpha,beta"})
        self.assertEqual(200, status, body)
        self.expect(HUB, json.loads(body)["rows"], ["alpha", "beta"])


if __name__ == "__main__":
    lab.main()
