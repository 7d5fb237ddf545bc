// Names of IP protocols, and of services that a reader knows by name (IANA, Service Name and Transport Protocol
// Port Number Registry).
import { PROTOCOLS } from "./protocol_names";

const SERVICES: Record<number, string> = {
  20: "ftp-data",
  21: "ftp",
  22: "ssh",
  23: "telnet",
  25: "smtp",
  53: "dns",
  67: "dhcp",
  69: "tftp",
  80: "http",
  88: "kerberos",
  110: "pop3",
  111: "rpcbind",
  123: "ntp",
  137: "netbios-ns",
  143: "imap",
  161: "snmp",
  162: "snmp-trap",
  179: "bgp",
  389: "ldap",
  443: "https",
  445: "smb",
  500: "ike",
  514: "syslog",
  546: "dhcpv6",
  587: "submission",
  636: "ldaps",
  853: "dns-tls",
  873: "rsync",
  993: "imaps",
  1194: "openvpn",
  1433: "mssql",
  1521: "oracle",
  1812: "radius",
  1883: "mqtt",
  2049: "nfs",
  2379: "etcd",
  3128: "squid",
  3260: "iscsi",
  3306: "mysql",
  3389: "rdp",
  4500: "ipsec-nat",
  4789: "vxlan",
  5060: "sip",
  5201: "iperf3",
  5353: "mdns",
  5432: "postgres",
  5672: "amqp",
  5900: "vnc",
  6379: "redis",
  6443: "kubernetes",
  8080: "http-alt",
  8443: "https-alt",
  9090: "prometheus",
  9092: "kafka",
  9100: "node-exporter",
  9200: "elasticsearch",
  11211: "memcached",
  27017: "mongodb",
  51820: "wireguard",
};

const COMMON = ["TCP", "UDP", "ICMP", "IPv6-ICMP", "ESP", "GRE"].filter((name) => Object.values(PROTOCOLS).includes(name));

export const protocolName = (n: number): string => PROTOCOLS[n] ?? String(n);
export const serviceName = (port: number): string | undefined => SERVICES[port];
export const services = (): [number, string][] => Object.entries(SERVICES).map(([p, name]) => [Number(p), name]);
export const protocols = (): string[] => [...COMMON, ...Object.values(PROTOCOLS).filter((name) => !COMMON.includes(name))];

/** The number behind a name; null where it is a number already or nobody knows it. */
export function protocolNumber(name: string): number | null {
  const found = Object.entries(PROTOCOLS).find(([, n]) => n.toLowerCase() === name.toLowerCase());
  return found ? Number(found[0]) : null;
}
