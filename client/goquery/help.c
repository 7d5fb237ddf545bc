#include "client/goquery/goquery.h"

void print_usage(FILE *to)
{
    fputs("Usage: goquery -d DB -i INTERFACES [flags] COLUMNS\n"
          "       goquery --query.server.addr ADDR -q HOSTS -i INTERFACES [flags] COLUMNS\n"
          "       goquery [list | examples | version | help]\n"
          "Try 'goquery --help'.\n",
          to);
}

void print_help(void)
{
    fputs(
        "goquery - ask a flow database who talked to whom, where and when\n"
        "\n"
        "Usage:\n"
        "  goquery -d DB -i INTERFACES [flags] COLUMNS           ask the local database DB\n"
        "  goquery --query.server.addr ADDR -q HOSTS -i ... COLUMNS   ask a fleet through global-query\n"
        "  goquery -d DB list [IFACE...]                         interfaces and what is stored of them\n"
        "  goquery examples | version | help\n"
        "  goquery completion bash | zsh | fish                  script: source <(goquery completion bash)\n"
        "  goquery completion flags | columns | ifaces | ...     candidates, for the completion of shells\n"
        "\n"
        "Columns to group by, separated by commas:\n"
        "  sip (src)      source address              time      time of the 5-minute interval\n"
        "  dip (dst)      destination address         iface     interface\n"
        "  dport (port)   destination port            hostname  name of the host\n"
        "  proto          IP protocol                 hostid    id of the host\n"
        "or one of these combinations:\n"
        "  talk_src       sip                         apps_port      dport,proto\n"
        "  talk_dst       dip                         agg_talk_port  sip,dip,dport,proto\n"
        "  talk_conv      sip,dip                     raw            everything, flow by flow\n"
        "\n"
        "What to ask for:\n"
        "  -i, --ifaces LIST        eth0 | eth0,eth1 | any | any,!lo | /eth[0-3]/\n"
        "  -c, --condition COND     which flows count, see below\n"
        "  -f, --first TIME         from when on (default: 30 days ago; 1 day with time)\n"
        "  -l, --last TIME          until when (default: now)\n"
        "      --in, --out, --sum   only received, only sent, or both in one number\n"
        "  -n, --results.limit N    number of rows (default 1000)\n"
        "  -s, --sort.by KEY        bytes (default), packets or time\n"
        "  -a, --sort.ascending     smallest first\n"
        "  -e, --format F           txt (default), csv or json; also --results.format\n"
        "      --plot               below the table (txt): traffic over time, in and out\n"
        "      --query.time-resolution D   with time: width of the bins, 5m, 1h, ... or auto\n"
        "  -r, --dns-resolution.enabled    names instead of addresses, as DNS has them now;\n"
        "      --dns-resolution.max-rows N, --dns-resolution.timeout D\n"
        "\n"
        "Whom to ask:\n"
        "  -d, --db.path DB                local database\n"
        "      --query.server.addr ADDR    host:port, http(s)://host:port or unix:/path of a query server\n"
        "      --query.server.tls.ca FILE  with https: PEM file of the CA to trust (default: the system's)\n"
        "      --query.server.tls.cert FILE, --query.server.tls.key FILE\n"
        "                                  with https: our certificate, where the server asks for one\n"
        "      --query.server.token-file FILE\n"
        "                                  file with the token to send (or the token in GOQUERY_TOKEN)\n"
        "  -q, --query.hosts-resolution Q  hosts, for the query server to resolve\n"
        "      --query.hosts-resolver-type T   how it resolves them (default string: a list of names)\n"
        "      --query.sum-hosts           one row for what several hosts saw: sums over all hosts\n"
        "      --query.streaming           let the server send results as hosts answer (on a terminal it "
        "always\n"
        "                                  does, and a line shows how far it is)\n"
        "      --query.live                include the flows that are not written out yet (query server "
        "only)\n"
        "\n"
        "Limits and the rest:\n"
        "      --query.timeout D, -k --query.keepalive D, --memory.max-pct P, --memory.low-mode\n"
        "      --query.stats     print how much of the database was read\n"
        "      --query.log FILE  append a line per query to FILE\n"
        "      --stored-query F  read the arguments from a JSON file (- for standard input)\n"
        "      --config FILE     YAML file with db.path, query.server.addr, ...\n"
        "\n",
        stdout);
    fputs(
        "Conditions:\n"
        "  sip, dip, host (either)    = !=           address or host name\n"
        "  snet, dnet, net (either)   = !=           network, 10.0.0.0/8\n"
        "  dport, proto               = != < > <= >= number (or protocol name)\n"
        "  dir                        =              in, out, uni, bi; at top level or in a top-level '&'\n"
        "  joined by & (and), | (or), ! (not) and parentheses; & binds tighter than |\n"
        "\n"
        "Times:\n"
        "  -30m, -4h, -2d, -1d:12h    back from now\n"
        "  2026-11-24 10:00, 24.11.2026 10:00, 2026-11-24T10:00:00Z, Mon Nov 24 10:00:00 2026, UNIX seconds\n"
        "  local time unless a zone follows (+0100)\n"
        "\n"
        "Exit status: 0 if the query ran and a host answered, 1 otherwise. See goquery(1), and goquery "
        "examples.\n",
        stdout);
}

void print_examples(void)
{
    fputs("The five busiest pairs of the last day on eth0:\n"
          "  goquery -d /var/lib/goprobe/db -i eth0 -f -1d -n 5 sip,dip\n"
          "\n"
          "What runs over all interfaces, by port, most packets first:\n"
          "  goquery -d /var/lib/goprobe/db -i any -s packets -n 10 apps_port\n"
          "\n"
          "Who received anything from 192.168.7.0/24 yesterday, without HTTPS:\n"
          "  goquery -d /var/lib/goprobe/db -i any -f -2d -l -1d -c 'snet = 192.168.7.0/24 & dport != 443' "
          "talk_dst\n"
          "\n"
          "Traffic over time in bins of an hour, for a plot:\n"
          "  goquery -d /var/lib/goprobe/db -i eth0 -f -7d --query.time-resolution 1h -e csv time\n"
          "\n"
          "Scans: flows that nobody answered:\n"
          "  goquery -d /var/lib/goprobe/db -i any -f -1h -c 'dir = in & proto = tcp' sip,dport\n"
          "\n"
          "The same of three hosts at once, through global-query:\n"
          "  goquery --query.server.addr localhost:8146 -q host1,host2,host3 -i any -f -1h sip,dip\n",
          stdout);
}
