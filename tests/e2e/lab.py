"""A network of our own for tests with real daemons.

Every host of a Lab is a network namespace with one Ethernet interface, eth0, on a common bridge (in a namespace, too).
Sockets are made in the namespace of a host, so that one process can play all of them; daemons run in the namespace of
their host and are ended by their process id. Needs root and iproute2; touches nothing outside of its namespaces.
"""

import contextlib
import ctypes
import http.client
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("GP_BUILD", os.path.join(TOP, "build", "release")))
GOPROBE = os.path.join(BUILD, "sensor", "goprobe")
GLOBAL_QUERY = os.path.join(BUILD, "global-query", "global-query")
GOQUERY = os.path.join(BUILD, "client", "goquery", "goquery")
GPCTL = os.path.join(BUILD, "client", "gpctl", "gpctl")

ETHERNET, IPV4, IPV6, UDP, ICMP = 14, 20, 40, 8, 8  # bytes of headers
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def ip(*args):
    subprocess.run(["ip", *args], check=True)


def _enter(path):
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {path}")
    finally:
        os.close(fd)


# The namespace this process started in, held open by name for as long as it runs.
_home_fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
_HOME = f"/proc/self/fd/{_home_fd}"


@contextlib.contextmanager
def inside(namespace):
    """The thread is in this network namespace; sockets made there stay there."""
    _enter(f"/run/netns/{namespace}")
    try:
        yield
    finally:
        _enter(_HOME)


def wait_until(what, condition, seconds=15):
    """Polls; what is a phrase for the message of the failure."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s, still not so: {what}")
        time.sleep(0.05)


ROTATION, CLEAR = 300, 20  # seconds: the grid of the clock on which sensors rotate; what a test takes at most


def stay_clear_of_rotation():
    """Waits where a rotation is near: it would write what a test expects in memory, or in the journal."""
    left = ROTATION - time.time() % ROTATION
    if left < CLEAR:
        time.sleep(left + 0.5)


def fill_disk(path):
    """Writes to this file until there is no room."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(fd, bytes(4096))
    os.close(fd)


class Host:
    def __init__(self, lab, number, name):
        self.lab = lab
        self.name = name
        self.number = number
        self.namespace = f"{lab.prefix}-{name}"
        self.ip4 = f"10.78.0.{number}"
        self.ip6 = f"fd78::{number}"
        self.mac = f"02:00:00:00:78:{number:02x}"

    def address(self, version):
        return self.ip4 if version == 4 else self.ip6

    def socket(self, family, kind, protocol=0):
        with inside(self.namespace):
            s = socket.socket(family, kind, protocol)
        s.settimeout(10)
        self.lab.stack.callback(s.close)
        return s

    def command(self, *args):
        """To run args with the network and the name of this host, in the process that is started."""
        return ["ip", "netns", "exec", self.namespace, "unshare", "--uts", "sh", "-c",
                'hostname "$0" && exec "$@"', self.name, *args]


class Daemon:
    """A program that runs until it is told to stop. Its log is kept, and shown when a test fails."""

    def __init__(self, lab, name, command, env=None):
        self.log_path = os.path.join(lab.dir, f"{name}.log")
        self.log = open(self.log_path, "ab")
        self.name = name
        # A system call that the filter of the services does not know of ends them here, instead of failing quietly.
        env = {"SECURITY_SECCOMP": "kill", **os.environ, **(env or {})}
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                        env=env)

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, seconds=20):
        """SIGTERM; the exit status."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"{self.name} did not stop within {seconds} s of SIGTERM:\n{self.output()}")
        self.log.close()
        return self.process.returncode

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def output(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(20)
        self.sock.connect(self.path)


def http_request(path_of_socket, method, path, body=None, content_type="application/json"):
    """(status, headers, body as text). A body that is no text is sent as JSON."""
    connection = _UnixConnection(path_of_socket)
    try:
        if body is not None and not isinstance(body, str):
            body = json.dumps(body)
        headers = {} if body is None else {"Content-Type": content_type}
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


# Interfaces with IPv6 join multicast groups on their own.
UNICAST = "dnet != ff00::/8"


class Sensor:
    def __init__(self, host, interface="eth0"):
        self.host = host
        self.lab = host.lab
        self.db = os.path.join(self.lab.dir, f"{host.name}.db")
        self.config = os.path.join(self.lab.dir, f"{host.name}.yaml")
        self.socket = os.path.join(self.lab.dir, f"{host.name}.sock")
        self.interface = interface
        self.daemon = None
        os.makedirs(self.db, exist_ok=True)
        self.write_config()

    @property
    def addr(self):
        return f"unix:{self.socket}"

    def write_config(self, **more):
        config = {"db": {"path": self.db}, "api": {"addr": self.addr, "metrics": True},
                  "interfaces": {self.interface: {"promisc": True,
                                                  "ring_buffer": {"block_size": 1048576, "num_blocks": 4}}}}
        config.update(more)
        with open(self.config, "w", encoding="utf-8") as f:
            json.dump(config, f)

    def command(self):
        return self.host.command(GOPROBE, "-config", self.config)

    def start(self, env=None):
        stay_clear_of_rotation()
        self.daemon = Daemon(self.lab, self.host.name, self.command(), env)
        self.lab.daemons.append(self.daemon)
        wait_until(f"{self.host.name} captures", self.is_capturing)

    def is_capturing(self):
        if self.daemon.process.poll() is not None:
            raise AssertionError(f"{self.host.name} ended:\n{self.daemon.output()}")
        try:
            status, _, body = http_request(self.socket, "GET", "/status")
        except OSError:
            return False
        return status == 200 and self.interface in json.loads(body)["statuses"]

    def stop(self):
        """The block that is written at the end is stamped one second ahead, as v4 does; afterwards it can be seen."""
        status = self.daemon.stop()
        time.sleep(1.1)
        return status

    def query(self, columns, **more):
        """The answer to a query that includes the flows still in memory."""
        status, _, body = http_request(self.socket, "POST", "/_query",
                                       {"query": columns, "ifaces": "any", "first": "-1h", "live": True, "condition": UNICAST,
                                        **more})
        if status != 200:
            raise AssertionError(f"query answered {status}: {body}")
        return json.loads(body)


class Lab:
    """with Lab("a", "b") as lab: lab.a, lab.b are hosts."""

    _count = 0

    def __init__(self, *names):
        Lab._count += 1
        self.prefix = f"gpe2e{os.getpid()}x{Lab._count}"
        self.stack = contextlib.ExitStack()
        self.daemons = []
        self.hosts = [Host(self, i + 1, name) for i, name in enumerate(names)]
        for host in self.hosts:
            setattr(self, host.name, host)

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="gpe2e.")
        self.stack.callback(shutil.rmtree, self.dir, ignore_errors=True)
        try:
            self._build()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *exc):
        for daemon in self.daemons:
            if daemon.process.poll() is None:
                daemon.process.kill()
                daemon.process.wait()
            daemon.log.close()
        if exc[0] is not None:
            for daemon in self.daemons:
                print(f"--- log of {daemon.name}\n{daemon.output()}")
        self.stack.close()

    def _namespace(self, name):
        ip("netns", "add", name)
        self.stack.callback(ip, "netns", "del", name)
        ip("-n", name, "link", "set", "lo", "up")

    def _sysctl(self, namespace, key, value):
        subprocess.run(["ip", "netns", "exec", namespace, "sysctl", "-q", "-w", f"{key}={value}"], check=True)

    def _build(self):
        bridge = f"{self.prefix}-bridge"
        self._namespace(bridge)
        self._sysctl(bridge, "net.ipv6.conf.default.disable_ipv6", 1)
        ip("-n", bridge, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        ip("-n", bridge, "link", "set", "br0", "addrgenmode", "none", "up")
        for host in self.hosts:
            self._attach(host, bridge)
        for host in self.hosts:
            self._introduce(host)
        for host in self.hosts:
            self._await_link(bridge, f"port{host.number}")
            self._await_link(host.namespace, "eth0")

    def _await_link(self, namespace, link):
        """The kernel connects a link that is up some time later, and drops what is sent before."""
        def is_connected():
            out = subprocess.run(["ip", "-n", namespace, "-j", "link", "show", link], check=True, capture_output=True).stdout
            (state,) = json.loads(out)
            return state["operstate"] == "UP" and state["qdisc"] != "noop"
        wait_until(f"{link} is connected", is_connected)

    def _attach(self, host, bridge):
        ns = host.namespace
        port = f"port{host.number}"
        self._namespace(ns)
        ip("-n", ns, "link", "add", "eth0", "address", host.mac, "type", "veth", "peer", "name", port, "netns", bridge)
        ip("-n", bridge, "link", "set", port, "master", "br0", "addrgenmode", "none", "up")
        ip("-n", ns, "link", "set", "eth0", "addrgenmode", "none", "up")
        ip("-n", ns, "addr", "add", f"{host.ip4}/24", "dev", "eth0")
        ip("-n", ns, "addr", "add", f"{host.ip6}/64", "dev", "eth0", "nodad")

    def _introduce(self, host):
        """Everybody knows everybody: no ARP, no neighbour discovery between them."""
        for other in self.hosts:
            if other is not host:
                for address in (other.ip4, other.ip6):
                    ip("-n", host.namespace, "neigh", "add", address, "lladdr", other.mac, "dev", "eth0", "nud",
                       "permanent")

    def daemon(self, name, command, env=None):
        daemon = Daemon(self, name, command, env)
        self.daemons.append(daemon)
        return daemon

    def global_query(self, host, sensors, name="global-query", timeout="10s", env=None):
        """On a UNIX socket; returns (daemon, path of the socket). sensors: name -> address; timeout: of each."""
        endpoints = os.path.join(self.dir, f"{name}-endpoints.yaml")
        path = os.path.join(self.dir, f"{name}.sock")
        with open(endpoints, "w", encoding="utf-8") as f:
            json.dump({n: {"addr": addr, "timeout": timeout} for n, addr in sensors.items()}, f)
        daemon = self.daemon(name, host.command(GLOBAL_QUERY, "server", "--server.addr", f"unix:{path}",
                                                "--querier.config", endpoints), env)
        wait_until("global-query listens", lambda: daemon.process.poll() is not None or os.path.exists(path))
        if daemon.process.poll() is not None:
            raise AssertionError(f"global-query ended:\n{daemon.output()}")
        return daemon, path


class TestCase(unittest.TestCase):
    maxDiff = None

    def run_tool(self, *args, status=0, env=None):
        """Standard output and standard error of a program that has to end with this status (None: any)."""
        done = subprocess.run(args, capture_output=True, text=True, timeout=60, check=False,
                              env={**os.environ, "NO_COLOR": "1", "TZ": "UTC", **(env or {})})
        if status is not None:
            self.assertEqual(status, done.returncode, f"{args}\n{done.stdout}{done.stderr}")
        return done.stdout, done.stderr


# ---- traffic of known counts


def exchange_udp(a, b, port, requests, replies, size, version=4):
    """a sends datagrams to a port of b, which answers with some; bytes and packets as a sensor counts them."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    server = b.socket(family, socket.SOCK_DGRAM)
    server.bind((b.address(version), port))
    client = a.socket(family, socket.SOCK_DGRAM)
    client.bind((a.address(version), 0))
    for _ in range(requests):
        client.sendto(bytes(size), (b.address(version), port))
        server.recvfrom(65536)
    for _ in range(replies):
        server.sendto(bytes(size), client.getsockname()[:2])
        client.recvfrom(65536)
    frame = ETHERNET + (IPV4 if version == 4 else IPV6) + UDP + size
    server.close()
    client.close()
    return {"sent": (requests * frame, requests), "rcvd": (replies * frame, replies)}


def ping(a, b, count, size, version=4):
    """Echo requests from a, each answered by the kernel of b."""
    if version == 4:
        s = a.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        request, reply, skip = 8, 0, IPV4
    else:
        s = a.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        request, reply, skip = 128, 129, 0
    for n in range(count):
        body = struct.pack("!HH", os.getpid() & 0xFFFF, n) + bytes(size)
        packet = struct.pack("!BBH", request, 0, 0) + body
        packet = struct.pack("!BBH", request, 0, _checksum(packet)) + body
        s.sendto(packet, (b.address(version), 0))
        while s.recv(65536)[skip] != reply:
            pass
    s.close()
    frame = ETHERNET + (IPV4 if version == 4 else IPV6) + ICMP + size
    return {"sent": (count * frame, count), "rcvd": (count * frame, count)}


def _checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Witness:
    """Counts the packets of a TCP port on eth0 of a host, apart from the sensor: how many packets a connection
    takes is up to the kernels."""

    ETH_P_ALL, OUTGOING = 3, 4

    def __init__(self, host, port):
        self.port = port
        self.sent = [0, 0]
        self.rcvd = [0, 0]
        with inside(host.namespace):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(self.ETH_P_ALL))
            self.socket.bind(("eth0", self.ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.setblocking(False)

    def result(self):
        """Ends it."""
        with self.socket:
            while True:
                try:
                    data, address = self.socket.recvfrom(1 << 17)
                except BlockingIOError:
                    return {"sent": tuple(self.sent), "rcvd": tuple(self.rcvd)}
                self._count(data, address)

    def _count(self, data, address):
        ether_type = struct.unpack("!H", data[12:14])[0]
        transport = {0x0800: ETHERNET + IPV4, 0x86DD: ETHERNET + IPV6}.get(ether_type)
        protocol_at = ETHERNET + (9 if ether_type == 0x0800 else 6)
        if transport is None or data[protocol_at] != socket.IPPROTO_TCP:
            return
        if self.port in struct.unpack("!HH", data[transport:transport + 4]):
            counters = self.sent if address[2] == self.OUTGOING else self.rcvd
            counters[0] += len(data)
            counters[1] += 1


def exchange_tcp(a, b, port, request, reply, version=4):
    """A whole connection from a to b: request bytes there, reply bytes back."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    server = b.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((b.address(version), port))
    server.listen()
    witness = Witness(a, port)
    client = a.socket(family, socket.SOCK_STREAM)
    client.connect((b.address(version), port))
    peer, _ = server.accept()
    for sender, receiver, size in ((client, peer, request), (peer, client, reply)):
        _transfer(sender, receiver, size)
    client.close()
    if peer.recv(1):
        raise AssertionError("more than was sent")
    peer.close()
    server.close()
    time.sleep(0.3)  # the last acknowledgement
    return witness.result()


def _transfer(sender, receiver, size):
    left = size
    while left:
        chunk = min(left, 16384)
        sender.sendall(bytes(chunk))
        left -= chunk
        while chunk:
            chunk -= len(receiver.recv(chunk))


def main():
    if os.geteuid() != 0:
        sys.exit("end-to-end tests need root: network namespaces and packet capture")
    unittest.main(verbosity=2)
