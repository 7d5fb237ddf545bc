/*
 * config.h - settings of global-query: a YAML file, environment variables and flags, each winning over the
 * one before, under goProbe v4's names.
 *
 *   logging.level, logging.encoding, logging.destination, hosts.resolver.type, hosts.resolver.config,
 *   hosts.resolvers (file only: a list of {type, config}), querier.type, querier.config,
 *   querier.max_concurrent, server.addr, server.shutdowngraceperiod, server.cors_origins
 * and, beyond v4, server.page, server.tls.cert, server.tls.key, server.tls.client_ca,
 * server.tls.client_scopes, server.tokens, server.allow_without_token, server.socket.owner,
 * server.socket.group, server.socket.mode, querier.max_queries, querier.max_requests, querier.max_memory,
 * querier.max_response, querier.retries, querier.deadline, querier.breaker.failures, querier.breaker.pause,
 * querier.token_file, querier.tls.ca, querier.tls.cert, querier.tls.key, logging.audit_destination,
 * logging.slow_query, security.user, security.drop_capabilities, security.seccomp,
 * server.limits.max_connections, server.limits.max_connections_per_client, server.limits.max_body,
 * server.limits.max_header, server.limits.request_timeout, server.query_rate_limit.max_req_per_sec,
 * server.query_rate_limit.max_burst
 *
 * A flag is --name; an environment variable is the name in upper case with '_' for '.' (and '__' for '-').
 * Ownership: gp_gq_config owns its strings.
 */
#ifndef GP_GLOBAL_QUERY_CONFIG_H
#define GP_GLOBAL_QUERY_CONFIG_H

#include "proto/base/log.h"
#include "proto/base/strlist.h"
#include "proto/sandbox/sandbox.h"

#include <sys/types.h>

typedef struct gp_gq_resolver_config {
    char *type;
    char *config; /* NULL: none */
} gp_gq_resolver_config;

typedef struct gp_gq_config {
    gp_log_level level;
    gp_log_encoding encoding;
    char *log_destination;   /* NULL: stdout, as in v4 */
    char *audit_destination; /* NULL: the log */
    int64_t slow_query_ns;   /* 0: none is logged */
    gp_gq_resolver_config *resolvers;
    size_t n_resolvers;
    char *querier_type; /* "api", "nanomsg" */
    char *querier_config;
    int64_t max_concurrent;                   /* requests to hosts at a time, of one query; 0: 256 */
    int64_t max_requests;                     /* of all queries */
    int64_t max_queries;                      /* at a time; 0: no limit, as with the next two */
    int64_t max_memory_mib, max_response_mib; /* of a query; of a host's answer */
    int64_t deadline_ns;                      /* of a query; 0: none */
    int64_t retries;
    int64_t breaker_failures, breaker_pause_ns; /* see breaker.h */
    char *addr;                                 /* localhost:8145, as in v4 */
    char *tls_cert, *tls_key, *tls_client_ca;   /* PEM files; NULL: none */
    char *tls_client_scopes;                    /* what clients may do; NULL: everything */
    char *tokens;                               /* tokens file; NULL: none */
    bool allow_without_token;
    char *socket_owner, *socket_group;                       /* NULL: who we are */
    mode_t socket_mode;                                      /* 0: 0660 */
    char *token_file, *sensor_ca, *sensor_cert, *sensor_key; /* for hosts that have none of their own */
    int64_t shutdown_grace_ns;                               /* of running queries, when the service stops */
    char **cors_origins;
    size_t n_cors_origins;
    bool page;  /* serve the web page (default) */
    char *user; /* to run as; NULL: who we are */
    bool keep_caps;
    gp_seccomp_mode seccomp;
    int64_t max_connections, max_connections_per_client, max_body, max_header; /* 0: default */
    int64_t request_timeout_ns;                                                /* 0: default */
    double max_req_per_sec;                                                    /* queries; 0: no limit */
    int64_t max_burst;
    char **warnings; /* of the file, one sentence each: keys that nobody knows */
    size_t n_warnings;
    char *spec_outfile; /* write the OpenAPI document there and exit */
} gp_gq_config;

typedef enum gp_gq_command { GP_GQ_SERVER, GP_GQ_HELP, GP_GQ_VERSION } gp_gq_command;

/* Reads argv, then the file that it names, then the environment. GP_EINVAL for the user. */
gp_code gp_gq_config_load(int argc, char **argv, gp_gq_command *command, gp_gq_config *out, gp_error *err);
void gp_gq_config_free(gp_gq_config *c);

#endif
