"""The doors of both services, with real programs: certificates and tokens all the way from goquery to a sensor, ids of
requests through the fleet, logs that are rotated, the audit log, and addresses that stay closed."""

import json
import os
import re
import signal
import stat
import subprocess

import lab
from lab import GLOBAL_QUERY, GOPROBE, GOQUERY, GPCTL, Lab, TestCase, wait_until


class Doors(TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab("alpha"))
        self.host = self.lab.alpha

    def path(self, *names):
        return os.path.join(self.lab.dir, *names)

    def write(self, name, content):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(content)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as f:
            return f.read()

    def openssl(self, *args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=self.lab.dir)

    def make_ca(self):
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
                     "-out", "ca.pem", "-days", "2", "-subj", "/CN=test CA")

    def issue(self, name, alt_names="IP:127.0.0.1"):
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key.new",
                     "-out", f"{name}.csr", "-subj", f"/CN={name}")
        self.write("ext", f"subjectAltName={alt_names}\n")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                     "-days", "2", "-extfile", "ext", "-out", f"{name}.pem.new")
        for ending in ("key", "pem"):
            os.rename(self.path(f"{name}.{ending}.new"), self.path(f"{name}.{ending}"))

    def token(self, program, name, scopes="query", tokens="tokens"):
        token, _ = self.run_tool(program, "token", "new", name, "--file", self.path(tokens), "--scopes", scopes)
        self.assertRegex(token, r"^gp_[0-9a-f]{64}\n$")
        self.write(f"{name}.token", token)
        return token.strip()

    def in_host(self, *command, status=0, env=None):
        return self.run_tool(*self.host.command(*command), status=status, env=env)

    def config(self, api, **more):
        os.makedirs(self.path("db"), exist_ok=True)
        return self.write("goprobe.yaml", json.dumps({
            "db": {"path": self.path("db")}, "api": api,
            "interfaces": {"lo": {"ring_buffer": {"block_size": 1048576, "num_blocks": 4}}}, **more}))

    def start_sensor(self, api, name="goprobe", **more):
        config = self.config(api, **more)
        return self.lab.daemon(name, self.host.command(GOPROBE, "-c", config))

    def wait_for_log(self, daemon, what):
        wait_until(f"{daemon.name} says {what!r}", lambda: what in daemon.output() or daemon.process.poll() is not None)
        self.assertIn(what, daemon.output())

    def test_from_goquery_to_the_sensor(self):
        self.make_ca()
        for name in ("sensor", "global-query"):
            self.issue(name)
        admin = self.token(GOPROBE, "admin", "query,control")
        fleet = self.token(GOPROBE, "fleet")
        person = self.token(GLOBAL_QUERY, "person", tokens="people")
        sensor = self.start_sensor(
            {"addr": ":8145", "tokens": self.path("tokens"),
             "tls": {"cert": self.path("sensor.pem"), "key": self.path("sensor.key")}},
            logging={"encoding": "json", "level": "debug", "destination": self.path("goprobe.json"),
                     "audit_destination": self.path("audit.json"), "slow_query": "1ns"})
        endpoints = self.write("endpoints.yaml", json.dumps({"alpha": {"addr": "https://127.0.0.1:8145"}}))
        server = self.lab.daemon("global-query", self.host.command(
            GLOBAL_QUERY, "server", "--server.addr", "127.0.0.1:8146", "--querier.config", endpoints,
            "--querier.token_file", self.path("fleet.token"), "--querier.tls.ca", self.path("ca.pem"),
            "--server.tokens", self.path("people"), "--server.tls.cert", self.path("global-query.pem"),
            "--server.tls.key", self.path("global-query.key"), "--logging.level", "debug"))
        self.wait_for_log(server, "started API server")

        gpctl = (GPCTL, "-s", "https://127.0.0.1:8145", "--tls.ca", self.path("ca.pem"))
        wait_until("the sensor answers", lambda: subprocess.run(
            self.host.command(*gpctl, "status", "--token.file", self.path("admin.token")),
            capture_output=True, check=False).returncode == 0)
        _, err = self.in_host(*gpctl, "status", status=1)
        self.assertIn("401: a token is needed", err)
        out, _ = self.in_host(*gpctl, "log-level", env={"GPCTL_TOKEN": fleet})
        self.assertEqual("debug\n", out)
        _, err = self.in_host(*gpctl, "log-level", "warn", status=1, env={"GPCTL_TOKEN": fleet})
        self.assertIn('403: the token "fleet" may ask', err)
        out, _ = self.in_host(*gpctl, "log-level", "info", "--token.file", self.path("admin.token"))
        self.assertEqual("info\n", out)

        ask = (GOQUERY, "--query.server.addr", "https://127.0.0.1:8146", "--query.server.tls.ca", self.path("ca.pem"),
               "-q", "alpha", "-i", "any", "-f", "-1h", "-e", "json", "sip")
        _, err = self.in_host(*ask, status=1)
        self.assertIn("a token is needed", err)
        out, _ = self.in_host(*ask, env={"GOQUERY_TOKEN": person})
        self.assertIn("alpha", json.loads(out)["hosts_statuses"].__str__())
        self.follow_an_id(person)
        self.rotate(sensor, admin)
        self.replace_certificate(gpctl)
        renewed = self.renew_token(ask, person)
        self.audit(admin)
        self.assertEqual(0, server.stop())
        self.assertEqual(0, sensor.stop())
        logs = self.read("goprobe.json") + self.read("goprobe.json.1") + self.read("audit.json") + server.output()
        for secret in (admin, fleet, person, renewed):
            self.assertNotIn(secret, logs)

    def curl(self, *args, token=None):
        with_token = ("-H", f"Authorization: Bearer {token}") if token else ()
        out, _ = self.in_host("curl", "-s", "-i", "--cacert", self.path("ca.pem"), "-H", "Content-Type: application/json",
                              *with_token, *args)
        return out

    def follow_an_id(self, person):
        """The id that a client gives comes back, and is in the logs of global-query and of the sensor."""
        answer = self.curl("-H", "X-Request-ID: incident-42", "-d", json.dumps(
            {"query": "sip", "ifaces": "any", "query_hosts": "alpha", "first": "-1h"}),
            "https://127.0.0.1:8146/_query", token=person)
        self.assertIn("X-Request-ID: incident-42", answer)
        self.assertIn(" 200 ", answer.splitlines()[0])
        slow = [json.loads(line) for line in self.read("goprobe.json").splitlines() if "slow query" in line]
        mine = [entry for entry in slow if entry["request_id"] == "incident-42"]
        self.assertEqual(1, len(mine), slow)
        self.assertEqual("fleet", mine[0]["who"])

    def rotate(self, sensor, admin):
        os.rename(self.path("goprobe.json"), self.path("goprobe.json.1"))
        sensor.signal(signal.SIGHUP)
        wait_until("the log is opened again", lambda: os.path.exists(self.path("goprobe.json")) and
                   "configuration reloaded" in self.read("goprobe.json"))
        self.curl("-X", "PUT", "-d", '{"level":"loud"}', "https://127.0.0.1:8145/-/logging", token=admin)

    def replace_certificate(self, gpctl):
        old = self.certificate()
        self.issue("sensor")
        wait_until("the new certificate is served", lambda: self.certificate() not in (old, ""))
        self.in_host(*gpctl, "status", "--token.file", self.path("admin.token"))

    def renew_token(self, ask, person):
        """The sensor gets a new token for global-query, which notices that its file has changed."""
        def status():
            return json.loads(self.in_host(*ask, status=None, env={"GOQUERY_TOKEN": person})[0])["hosts_statuses"]["alpha"]
        self.run_tool(GOPROBE, "token", "remove", "fleet", "--file", self.path("tokens"))
        wait_until("the old token is gone", lambda: status()["code"] == "error")
        self.assertIn("401: this token is not known here", status()["message"])
        token = self.token(GOPROBE, "fleet")
        wait_until("the new token is shown", lambda: status()["code"] != "error")
        return token

    def certificate(self):
        done = subprocess.run(self.host.command("openssl", "s_client", "-connect", "127.0.0.1:8145"), input="",
                              capture_output=True, text=True, check=False)
        return "".join(re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END", done.stdout, re.S))

    def audit(self, admin):
        entries = [json.loads(line) for line in self.read("audit.json").splitlines()]
        self.assertEqual([("fleet", "denied", 403), ("admin", "done", 200), ("admin", "failed", 422)],
                         [(e["who"], e["outcome"], e["status"]) for e in entries])
        self.assertEqual("log level debug -> info", entries[1]["detail"])
        self.assertRegex(entries[0]["from"], r"^127\.0\.0\.1:\d+$")

    def test_certificates_have_scopes(self):
        """global-query may ask by its certificate, an operator may change things, and others of the same CA may do nothing."""
        self.make_ca()
        self.issue("sensor")
        self.issue("aggregator", "DNS:gq.example.org")
        for name in ("operator", "intern"):
            self.issue(name, "email:someone@example.org")
        scopes = self.write("clients", "# name scopes\n*.example.org query\noperator query,control\n")
        sensor = self.start_sensor({"addr": ":8145", "tls": {
            "cert": self.path("sensor.pem"), "key": self.path("sensor.key"), "client_ca": self.path("ca.pem"),
            "client_scopes": scopes}}, logging={"audit_destination": self.path("audit.log")})
        self.wait_for_log(sensor, "started goprobe")
        endpoints = self.write("endpoints.yaml", json.dumps({"alpha": {"addr": "https://127.0.0.1:8145"}}))
        server = self.lab.daemon("global-query", self.host.command(
            GLOBAL_QUERY, "server", "--server.addr", "127.0.0.1:8146", "--querier.config", endpoints,
            "--querier.tls.ca", self.path("ca.pem"), "--querier.tls.cert", self.path("aggregator.pem"),
            "--querier.tls.key", self.path("aggregator.key")))
        self.wait_for_log(server, "started API server")

        def log_level(name, *level, status=0):
            return self.in_host(GPCTL, "-s", "https://127.0.0.1:8145", "--tls.ca", self.path("ca.pem"), "--tls.cert",
                                self.path(f"{name}.pem"), "--tls.key", self.path(f"{name}.key"), "log-level", *level,
                                status=status)

        def ask():
            out, _ = self.in_host(GOQUERY, "--query.server.addr", "127.0.0.1:8146", "-q", "alpha", "-i", "any", "-f", "-1h",
                                  "-e", "json", "sip", status=None)
            return json.loads(out)["hosts_statuses"]

        self.assertNotIn("error", [status["code"] for status in ask().values()])
        log_level("aggregator")
        _, err = log_level("aggregator", "warn", status=1)
        self.assertIn('403: the certificate "aggregator" may ask, but not change anything', err)
        log_level("operator", "debug")
        _, err = log_level("intern", status=1)
        self.assertIn('403: the certificate "intern" may do nothing here', err)

        self.write("clients", "operator query,control\n")
        wait_until("global-query is shut out", lambda: ask()["alpha"]["code"] == "error")
        self.assertIn('the certificate "aggregator" may do nothing here', ask()["alpha"]["message"])
        self.write("clients", "operator everything\n")
        wait_until("a wrong file is named", lambda: log_level("operator") and
                   "'everything' is no scope" in sensor.output())
        log_level("operator", "info")
        self.assertRegex(self.read("audit.log"), r"who=aggregator .* outcome=denied status=403")
        self.assertRegex(self.read("audit.log"), r"who=operator .* outcome=done status=200")
        self.assertEqual(0, server.stop())
        self.assertEqual(0, sensor.stop())
        without_ca = self.start_sensor({"addr": "127.0.0.1:8145", "tls": {
            "cert": self.path("sensor.pem"), "key": self.path("sensor.key"), "client_scopes": scopes}}, "without-ca")
        self.wait_for_log(without_ca, "api.tls.client_scopes is set, but not api.tls.client_ca")

    def test_open_addresses_need_a_decision(self):
        refused = self.start_sensor({"addr": ":8145"})
        wait_until("it gave up", lambda: refused.process.poll() is not None)
        self.assertEqual(1, refused.process.returncode)
        self.assertIn("set api.allow_without_token: true", refused.output())
        told = self.start_sensor({"addr": ":8145", "allow_without_token": True}, "told")
        self.wait_for_log(told, "started goprobe")
        self.assertEqual(0, told.stop())
        key = "59436af63ebf98a39de763d56220edb90267debaa4180b864811c7a44ad35bc8"
        v4 = self.start_sensor({"addr": ":8145", "keys": [key]}, "v4")
        self.wait_for_log(v4, "requests must carry one of api.keys")
        self.wait_for_log(v4, "started goprobe")
        self.assertNotIn(key, v4.output())
        self.assertIn(" 401 ", self.curl_plain("http://127.0.0.1:8145/status"))
        self.assertIn(" 200 ", self.curl_plain("http://127.0.0.1:8145/status", "-H", f"Authorization: digest {key}"))
        self.assertIn(" 200 ", self.curl_plain("http://127.0.0.1:8145/-/health"))
        self.assertEqual(0, v4.stop())

    def curl_plain(self, *args):
        return self.in_host("curl", "-s", "-i", *args)[0]

    def privileges(self, daemon):
        """Uids, permitted capabilities (as a number), no_new_privs and seccomp of a running goprobe."""
        status = {}
        with open(f"/proc/{daemon.process.pid}/status", encoding="utf-8") as f:
            for line in f:
                name, value = line.split(":", 1)
                status[name] = value.split()
        return (int(status["Uid"][1]), int(status["CapPrm"][0], 16), status["NoNewPrivs"][0], status["Seccomp"][0])

    def capture_as(self, daemon, uid, caps):
        self.wait_for_log(daemon, "captures started")
        self.assertIn("running=1", daemon.output())
        self.assertEqual((uid, caps, "1", "2"), self.privileges(daemon))
        self.in_host(GPCTL, "-s", "127.0.0.1:8145", "config", "--reload")
        self.assertEqual(0, daemon.stop())
        self.assertNotIn("level=error", daemon.output())

    def test_privileges(self):
        """Started as root, as root that becomes somebody else, and as an ordinary user with CAP_NET_RAW alone."""
        net_raw, net_bind, dac_override = 1 << 13, 1 << 10, 1 << 1
        api = {"addr": "127.0.0.1:8145"}
        os.chmod(self.lab.dir, 0o755)
        self.capture_as(self.start_sensor(api), 0, net_raw | net_bind | dac_override)
        os.chown(self.path("db"), 65534, 65534)
        for root, folders, files in os.walk(self.path("db")):
            for name in folders + files:
                os.chown(os.path.join(root, name), 65534, 65534)
        self.capture_as(self.start_sensor(api, "former-root", security={"user": "nobody"}), 65534, net_raw | net_bind)
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all,+net_raw")
        config = self.config(api)
        os.chmod(config, 0o644)
        self.capture_as(self.lab.daemon("unprivileged", self.host.command(
            *nobody, "--inh-caps=+net_raw", "--ambient-caps=+net_raw", GOPROBE, "-c", config)), 65534, net_raw)
        without = self.lab.daemon("without", self.host.command(
            *nobody, "--inh-caps=-all", GOPROBE, "-c", config))
        self.wait_for_log(without, "the capability CAP_NET_RAW is missing")
        self.wait_for_log(without, "no permission to capture on 'lo'")
        self.assertEqual(0, without.stop())

    def test_socket(self):
        sock, asked = self.path("sock"), self.path("asked")
        sensor = self.start_sensor({"addr": f"unix:{sock}", "socket": {"group": "daemon", "mode": "0620"}},
                                   nanomsg={"addr": [f"ipc://{asked}"]})
        self.wait_for_log(sensor, "started goprobe")
        st = os.stat(sock)
        self.assertEqual(0o620, stat.S_IMODE(st.st_mode))
        self.assertEqual(1, st.st_gid)
        st = os.stat(asked)
        self.assertEqual((0o620, 1), (stat.S_IMODE(st.st_mode), st.st_gid))
        os.chmod(self.lab.dir, 0o755)
        for group, status in ((1, 0), (65534, 1)):
            for addr in (f"unix:{sock}", f"nanomsg+ipc://{asked}"):
                _, err = self.run_tool("setpriv", "--reuid=65534", f"--regid={group}", "--clear-groups", GOQUERY,
                                       "--query.server.addr", addr, "-q", "any", "-i", "any", "-f", "-1h", "sip",
                                       status=status)
                self.assertEqual(status, int("Permission denied" in err), err)
        self.run_tool(GPCTL, "-s", f"unix:{sock}", "log-level", "debug")
        self.run_tool(GPCTL, "-s", f"unix:{sock}", "config", "--reload")
        self.assertRegex(sensor.output(), r'level=audit msg="control call" who=anonymous from="?unix:uid=0,pid=\d+"?')
        self.assertEqual(0, sensor.stop())


if __name__ == "__main__":
    lab.main()
