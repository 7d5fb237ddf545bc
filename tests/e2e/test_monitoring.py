"""Alerts and dashboard: promtool finds no mistake, every metric that they name is one that the services really have,
and a Prometheus that scrapes the services can evaluate every expression."""

import json
import os
import re
import subprocess
import urllib.parse

import lab
from lab import GLOBAL_QUERY, GOPROBE, GOQUERY, Lab, TestCase, wait_until

FOLDER = os.path.join(lab.TOP, "deploy", "monitoring")
OURS = re.compile(r"\b(?:goprobe|global_query|process)_[a-z0-9_]+\b")
EITHER = re.compile(r'\{__name__=~"\(goprobe\|global_query\)(_[a-z_]+)"')


def expressions():
    """Of the dashboard, with its variables filled in."""
    with open(os.path.join(FOLDER, "grafana-dashboard.json"), encoding="utf-8") as f:
        dashboard = json.load(f)
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*").replace(
                "$iface", ".*")


def named_metrics():
    with open(os.path.join(FOLDER, "goprobe-rules.yml"), encoding="utf-8") as f:
        texts = [f.read()]
    texts += [expr for _, expr in expressions()]
    names = set()
    for text in texts:
        for suffix in EITHER.findall(text):
            names |= {f"goprobe{suffix}", f"global_query{suffix}"}
        names |= set(OURS.findall(EITHER.sub("", text)))
    return names


class Monitoring(TestCase):
    def promtool(self, *args):
        done = subprocess.run(["promtool", *args], cwd=FOLDER, capture_output=True, text=True, check=False)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def test_promtool(self):
        self.promtool("check", "config", "--syntax-only", "prometheus.yml")
        self.promtool("check", "rules", "goprobe-rules.yml")
        self.promtool("test", "rules", "goprobe-rules-test.yml")

    def start(self, lab_):
        host = lab_.alpha
        self.host = host
        db = os.path.join(lab_.dir, "db")
        os.makedirs(db)
        self.write(lab_, "goprobe.yaml", {"db": {"path": db}, "api": {"addr": "127.0.0.1:8145", "metrics": True},
                                          "autodetection": {"enabled": True}})
        self.write(lab_, "endpoints.yaml", {"alpha": {"addr": "127.0.0.1:8145", "timeout": "10s"}})
        self.write(lab_, "prometheus.yml", {
            "global": {"scrape_interval": "1s"},
            "rule_files": [os.path.join(FOLDER, "goprobe-rules.yml")],
            "scrape_configs": [{"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
                               for job, port in (("goprobe", 8145), ("global-query", 8146))]})
        lab_.daemon("goprobe", host.command(GOPROBE, "--config", os.path.join(lab_.dir, "goprobe.yaml")))
        lab_.daemon("global-query", host.command(GLOBAL_QUERY, "server", "--server.addr", "127.0.0.1:8146",
                                                 "--querier.config", os.path.join(lab_.dir, "endpoints.yaml")))
        for port in (8145, 8146):
            wait_until(f"port {port} is ready", lambda p=port: self.curl(f"http://127.0.0.1:{p}/-/ready") is not None)
        self.run_tool(*host.command(GOQUERY, "--query.server.addr", "127.0.0.1:8146", "-q", "alpha", "-i", "any", "-f",
                                    "-1h", "sip"))
        lab_.daemon("prometheus", host.command(
            "prometheus", f"--config.file={os.path.join(lab_.dir, 'prometheus.yml')}",
            f"--storage.tsdb.path={os.path.join(lab_.dir, 'tsdb')}", "--web.listen-address=127.0.0.1:9090"))

    @staticmethod
    def write(lab_, name, content):
        with open(os.path.join(lab_.dir, name), "w", encoding="utf-8") as f:
            json.dump(content, f)

    def curl(self, url):
        done = subprocess.run(self.host.command("curl", "-sf", url), capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else None

    def ask(self, expr):
        answer = self.curl(f"http://127.0.0.1:9090/api/v1/query?query={urllib.parse.quote(expr)}")
        self.assertIsNotNone(answer, expr)
        return json.loads(answer)["data"]["result"]

    def test_metrics_exist(self):
        lab_ = self.enterContext(Lab("alpha"))
        self.start(lab_)
        wait_until("Prometheus is ready", lambda: self.curl("http://127.0.0.1:9090/-/ready") is not None, 30)
        wait_until("both services are scraped", lambda: len(self.ask("up == 1")) == 2, 30)
        have = set(json.loads(self.curl("http://127.0.0.1:9090/api/v1/label/__name__/values"))["data"])
        # These have no series until something went wrong.
        quiet = {"goprobe_capture_capture_issues_total"}
        missing = named_metrics() - have - quiet
        self.assertEqual(set(), missing)
        self.assertGreater(len(named_metrics()), 20)
        for title, expr in expressions():
            self.ask(expr)
        self.assertEqual([], [a for a in self.ask("ALERTS")], "a healthy pair raises no alarm")


if __name__ == "__main__":
    lab.main()
