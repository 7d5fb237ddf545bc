/*
 * config.h - the sensor's configuration: a YAML or JSON file, environment variables and flags.
 *
 * Files of goProbe v4 are accepted as they are, and so are its other two sources, in its order of
 * precedence: a flag ("--api.addr X") wins over an environment variable (API_ADDR: the key in upper case
 * with '_' for '.'), which wins over the file. Keys are case-insensitive; names of interfaces are not
 * (v4 turns them into lower case, and then cannot find an interface "enX0").
 *
 * A key that is not known, or that has no meaning here any more, is accepted with a warning; a value that
 * cannot work is an error naming file, line, key, value and what is allowed.
 *
 * Ownership: a gp_sensor_config owns everything in it. Once loaded it is only read, by any thread.
 */
#ifndef GP_CONFIG_CONFIG_H
#define GP_CONFIG_CONFIG_H

#include "proto/base/log.h"
#include "proto/control/capconfig.h"
#include "proto/sandbox/sandbox.h"
#include "sensor/godb/codec.h"
#include "sensor/godb/retention.h"

#include <sys/types.h>

enum { GP_MAX_IFACES = 1024, GP_API_KEY_MIN = 32 };

typedef struct gp_string_list {
    char **items;
    size_t n;
} gp_string_list;

typedef struct gp_db_config {
    char *path;
    gp_codec_type codec; /* default lz4 */
    int64_t level;       /* of the encoder; 0: what pays for each column */
    mode_t permissions;  /* of the files; 0: the writer's default */
} gp_db_config;

typedef struct gp_autodetect_config {
    bool enabled;
    gp_string_list exclude; /* names or "/regex/" */
} gp_autodetect_config;

typedef struct gp_tls_config { /* PEM files; may change at any time */
    char *cert;                /* NULL: no TLS */
    char *key;                 /* NULL: in the file of the certificate */
    char *client_ca;           /* NULL: clients need no certificate */
    char *client_scopes;       /* what they may do; NULL: everything */
} gp_tls_config;

typedef struct gp_limits_config { /* 0: default */
    int64_t max_connections, max_connections_per_client;
    int64_t max_body, max_header; /* bytes */
    int64_t request_timeout_ns;   /* until a request is complete */
    int64_t query_timeout_ns;     /* of a query; 0: none */
} gp_limits_config;

typedef struct gp_api_config {
    char *addr; /* NULL: no API */
    gp_tls_config tls;
    gp_limits_config limits;
    char *socket_owner, *socket_group; /* of the UNIX socket; NULL: who we are */
    mode_t socket_mode;                /* 0: 0660 */
    char *tokens;                      /* tokens file; NULL: none */
    bool allow_without_token;          /* on an address that other machines reach */
    bool metrics;
    bool disable_iface_metrics;
    bool page;               /* serve the web page (default) */
    bool profiling;          /* accepted, without effect: Go's profiler endpoints */
    int64_t request_timeout; /* seconds; accepted, without effect, as in v4 */
    gp_string_list keys;     /* tokens of every scope, see gp_api_auth_config */
    double max_req_per_sec;  /* token bucket for queries; 0: none */
    int64_t max_burst;
    int64_t max_concurrent; /* queries at a time; 0: no limit */
} gp_api_config;

/* Queries by nanomsg, beside the API and with its limits. */
typedef struct gp_nanomsg_config {
    gp_string_list addrs; /* "tcp://host:port", "ipc:///path"; none: no endpoint */
} gp_nanomsg_config;

typedef struct gp_local_buffers_config {
    int64_t size_limit; /* bytes; 0: default of the capture manager */
    int64_t num_buffers;
} gp_local_buffers_config;

/* Not known to v4. */
typedef struct gp_journal_options {
    bool enabled;       /* default true */
    bool fsync;         /* default true */
    int64_t interval;   /* seconds between two writes; default 3 */
    int64_t size_limit; /* bytes of one interface's file; default 256 MiB */
} gp_journal_options;

/* Not known to v4. */
typedef struct gp_retention_rule {
    char *iface;
    gp_retention_limits limits; /* all of them: what the file leaves out is the general limit */
} gp_retention_rule;

typedef struct gp_retention_options {
    int64_t max_age_s, max_size; /* 0: nothing is removed */
    int64_t interval_ns;         /* default 1h */
    bool dry_run;                /* only log what would go */
    gp_retention_rule *ifaces;   /* with limits of their own */
    size_t n_ifaces;
} gp_retention_options;

typedef struct gp_logging_config {
    char *destination;       /* NULL: stdout, as in v4 */
    char *audit_destination; /* NULL: the log */
    int64_t slow_query_ns;   /* 0: none is logged */
    gp_log_level level;
    gp_log_encoding encoding;
} gp_logging_config;

typedef struct gp_security_config {
    char *user;     /* to run as; NULL: who we are */
    bool drop_caps; /* default true */
    gp_seccomp_mode seccomp;
} gp_security_config;

typedef struct gp_sensor_config {
    gp_security_config security;
    gp_db_config db;
    gp_autodetect_config autodetect;
    gp_capconfig_map ifaces;
    bool syslog_flows; /* a line for each flow to a syslog socket, see flowlog.h */
    gp_api_config api;
    gp_nanomsg_config nanomsg;
    gp_local_buffers_config local_buffers;
    gp_journal_options journal;
    gp_retention_options retention;
    gp_logging_config logging;
    gp_string_list warnings; /* sentences for the log */
} gp_sensor_config;

/* One value that does not come from the file. */
typedef struct gp_setting {
    const char *key; /* "api.addr" */
    const char *value;
} gp_setting;

typedef struct gp_config_sources {
    const char *path; /* the file; NULL: none */
    const gp_setting *flags;
    size_t n_flags;
    const char *(*getenv)(const char *name); /* NULL: no environment */
} gp_config_sources;

/* Loads and validates. On failure *out is empty. */
gp_code gp_sensor_config_load(gp_sensor_config *out, const gp_config_sources *src, gp_error *err);
/* The same with the text of the file given; src->path names it in messages. */
gp_code gp_sensor_config_parse(gp_sensor_config *out, const gp_config_sources *src, const char *text,
                               size_t len, gp_error *err);
void gp_sensor_config_free(gp_sensor_config *cfg);

/* The limits of an interface, whether it has some of its own or not. */
gp_retention_limits gp_retention_limits_of(const gp_retention_options *o, const char *iface);

/* The keys that exist, for the command line: "db.path", ... `help` describes one. */
typedef enum gp_option_type {
    GP_OPT_STR,
    GP_OPT_BOOL,
    GP_OPT_INT,
    GP_OPT_F64,
    GP_OPT_LIST,
    GP_OPT_SECCOMP,
    GP_OPT_DURATION, /* int64_t, nanoseconds */
    GP_OPT_MODE,
    GP_OPT_AGE,  /* int64_t, seconds: "90d" or a duration */
    GP_OPT_SIZE, /* int64_t, bytes: "20G" */
    GP_OPT_CODEC,
    GP_OPT_LEVEL,
    GP_OPT_ENCODING,
    GP_OPT_IGNORED /* known to v4, no meaning here */
} gp_option_type;

typedef struct gp_option {
    const char *key;
    gp_option_type type;
    size_t offset; /* in gp_sensor_config */
    const char *help;
} gp_option;

const gp_option *gp_config_options(size_t *n);
const gp_option *gp_config_option(const char *key); /* NULL: there is none */

#endif
