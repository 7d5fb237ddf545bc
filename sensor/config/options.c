/* The table of keys: what the loader reads, what the command line offers. */
#include "sensor/config/config.h"

#include <stddef.h>
#include <strings.h>

#define AT(member) offsetof(gp_sensor_config, member)

static const gp_option options[] = {
    {"api.addr", GP_OPT_STR, AT(api.addr), "address of the API server (host:port or unix:/path)"},
    {"api.allow_without_token", GP_OPT_BOOL, AT(api.allow_without_token),
     "everybody may ask and change everything, from other machines, too"},
    {"api.disable_iface_metrics", GP_OPT_BOOL, AT(api.disable_iface_metrics),
     "metrics without the iface label"},
    {"api.keys", GP_OPT_LIST, AT(api.keys), "tokens in plain text, as in v4 (better: api.tokens)"},
    {"api.limits.max_body", GP_OPT_INT, AT(api.limits.max_body),
     "bytes of a request's body (default 16 MiB)"},
    {"api.limits.max_connections", GP_OPT_INT, AT(api.limits.max_connections),
     "connections at a time (default 256)"},
    {"api.limits.max_connections_per_client", GP_OPT_INT, AT(api.limits.max_connections_per_client),
     "connections of one address (default: half of them)"},
    {"api.limits.max_header", GP_OPT_INT, AT(api.limits.max_header),
     "bytes of request line and headers (default 64 KiB)"},
    {"api.limits.query_timeout", GP_OPT_DURATION, AT(api.limits.query_timeout_ns),
     "how long a query may run (default: no limit)"},
    {"api.limits.request_timeout", GP_OPT_DURATION, AT(api.limits.request_timeout_ns),
     "until a request is complete (default 1m)"},
    {"api.metrics", GP_OPT_BOOL, AT(api.metrics), "serve /metrics for Prometheus"},
    {"api.page", GP_OPT_BOOL, AT(api.page), "serve the web page at / (default true)"},
    {"api.profiling", GP_OPT_BOOL, AT(api.profiling), "accepted, without effect"},
    {"api.query_rate_limit.max_burst", GP_OPT_INT, AT(api.max_burst), "queries that may come at once"},
    {"api.query_rate_limit.max_concurrent", GP_OPT_INT, AT(api.max_concurrent), "queries at a time"},
    {"api.query_rate_limit.max_req_per_sec", GP_OPT_F64, AT(api.max_req_per_sec), "queries per second"},
    {"api.request_timeout", GP_OPT_INT, AT(api.request_timeout), "accepted, without effect"},
    {"api.socket.group", GP_OPT_STR, AT(api.socket_group), "group of UNIX sockets"},
    {"api.socket.mode", GP_OPT_MODE, AT(api.socket_mode), "mode of UNIX sockets (default 0660)"},
    {"api.socket.owner", GP_OPT_STR, AT(api.socket_owner), "owner of UNIX sockets"},
    {"api.tls.cert", GP_OPT_STR, AT(api.tls.cert), "certificate (PEM file): serve HTTPS"},
    {"api.tls.client_ca", GP_OPT_STR, AT(api.tls.client_ca),
     "CA (PEM file) of the certificates that clients must have"},
    {"api.tls.client_scopes", GP_OPT_STR, AT(api.tls.client_scopes),
     "file of what clients may do, by the names in their certificates (default: everything)"},
    {"api.tls.key", GP_OPT_STR, AT(api.tls.key), "key (PEM file; default: in that of the certificate)"},
    {"api.tokens", GP_OPT_STR, AT(api.tokens), "tokens file, see 'goprobe token --help': ask for tokens"},
    {"autodetection.enabled", GP_OPT_BOOL, AT(autodetect.enabled), "capture every interface that is up"},
    {"autodetection.exclude", GP_OPT_LIST, AT(autodetect.exclude),
     "interfaces (names or /regex/) that autodetection leaves out"},
    {"db.encoder_level", GP_OPT_INT, AT(db.level),
     "level of the encoder (default 0: what pays for each column)"},
    {"db.encoder_type", GP_OPT_CODEC, AT(db.codec), "lz4, zstd or null (default lz4)"},
    {"db.path", GP_OPT_STR, AT(db.path), "database folder"},
    {"db.permissions", GP_OPT_MODE, AT(db.permissions), "mode of database files (0644)"},
    {"journal.enabled", GP_OPT_BOOL, AT(journal.enabled),
     "keep a journal of the running interval (default true)"},
    {"journal.fsync", GP_OPT_BOOL, AT(journal.fsync), "a power loss, too, costs seconds only (default true)"},
    {"journal.interval", GP_OPT_INT, AT(journal.interval),
     "seconds between two writes to the journal (default 3)"},
    {"journal.size_limit", GP_OPT_INT, AT(journal.size_limit),
     "bytes of one interface's journal (default 268435456)"},
    {"local_buffers.num_buffers", GP_OPT_INT, AT(local_buffers.num_buffers), "accepted, without effect"},
    {"local_buffers.size_limit", GP_OPT_INT, AT(local_buffers.size_limit),
     "bytes of flows that may wait for the disk"},
    {"logging.audit_destination", GP_OPT_STR, AT(logging.audit_destination),
     "where control calls are logged (default: the log)"},
    {"logging.destination", GP_OPT_STR, AT(logging.destination),
     "log file, stdout (default), stderr or journald"},
    {"logging.encoding", GP_OPT_ENCODING, AT(logging.encoding), "logfmt or json (default logfmt)"},
    {"logging.level", GP_OPT_LEVEL, AT(logging.level), "debug, info, warn or error (default info)"},
    {"logging.slow_query", GP_OPT_DURATION, AT(logging.slow_query_ns), "log queries that take this long"},
    {"nanomsg.addr", GP_OPT_LIST, AT(nanomsg.addrs),
     "addresses of nanomsg endpoints (tcp://host:port, ipc:///path)"},
    {"retention.dry_run", GP_OPT_BOOL, AT(retention.dry_run), "only log which days would be removed"},
    {"retention.interval", GP_OPT_DURATION, AT(retention.interval_ns),
     "time between two searches for days to remove (default 1h)"},
    {"retention.max_age", GP_OPT_AGE, AT(retention.max_age_s),
     "remove days that are older, for example 90d (default: none)"},
    {"retention.max_size", GP_OPT_SIZE, AT(retention.max_size),
     "bytes that the days of an interface may take, for example 20G (default: no limit)"},
    {"security.drop_capabilities", GP_OPT_BOOL, AT(security.drop_caps),
     "give up all capabilities that are not needed (default true)"},
    {"security.seccomp", GP_OPT_SECCOMP, AT(security.seccomp),
     "filter system calls: on (default), kill, log or off"},
    {"security.user", GP_OPT_STR, AT(security.user), "user to run as, when started as root"},
    {"syslog_flows", GP_OPT_BOOL, AT(syslog_flows),
     "write a line for each flow to the syslog socket /var/run/goprobe.sock"},
    {"tracing.collector.endpoint", GP_OPT_IGNORED, 0, "accepted, without effect"},
    {"tracing.collector.type", GP_OPT_IGNORED, 0, "accepted, without effect"},
    {"tracing.enabled", GP_OPT_IGNORED, 0, "accepted, without effect"},
};

const gp_option *gp_config_options(size_t *n)
{
    *n = sizeof options / sizeof *options;
    return options;
}

const gp_option *gp_config_option(const char *key)
{
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (strcasecmp(options[i].key, key) == 0)
            return &options[i];
    return NULL;
}
