/*
 * gpclient.h - talk to a sensor (goprobe) or to global-query from C.
 *
 * Addresses: "host:port", ":port", "http://host:port[/prefix]", "https://...", "unix:/path/to/socket"; and
 * for the nanomsg endpoint of a sensor, "nanomsg+tcp://host:port" and "nanomsg+ipc:///path/to/socket", which
 * carry queries only.
 * https: the server's certificate must be signed by a CA that the system trusts, or by the one named here,
 * and must name the host; there is no way to leave that out.
 *
 * A gp_client holds one libcurl handle and its connection: one thread at a time. All results are owned by
 * the caller. Link with pkg-config --cflags --libs gpclient.
 */
#ifndef GP_CLIENT_GPCLIENT_H
#define GP_CLIENT_GPCLIENT_H

#include "proto/base/error.h"
#include "proto/control/capconfig.h"
#include "proto/control/status.h"
#include "proto/query/args.h"
#include "proto/query/problem.h"
#include "proto/result/result.h"

#define GP_DEFAULT_SENSOR_ADDR       "localhost:8145"
#define GP_DEFAULT_GLOBAL_QUERY_ADDR "localhost:8146"

typedef struct gp_client gp_client;

/* By what the server knows us, and we it. NULL: nothing. */
typedef struct gp_client_access {
    const char *token;     /* sent as "Authorization: Bearer" */
    const char *ca_file;   /* PEM: who signs the server's certificate; NULL: whom the system trusts */
    const char *cert_file; /* PEM: our own certificate, for servers that ask for one */
    const char *key_file;  /* PEM; NULL: in cert_file */
} gp_client_access;

typedef struct gp_client_config {
    const char *addr;
    gp_client_access access;    /* copied */
    int64_t timeout_ns;         /* of a whole request; 0: none */
    int64_t connect_timeout_ns; /* 0: 5 s */
    size_t max_response;        /* bytes; 0: 1 GiB */
    const char *request_id;     /* sent as X-Request-ID, so that servers' logs name it; NULL: none. Copied */
    const char *user_agent;     /* NULL: "gpclient/<version>" */
    /* Polled while waiting; true ends the request with GP_ECANCELED. May be NULL. */
    bool (*canceled)(void *ctx);
    void *cancel_ctx;
} gp_client_config;

/* The first line of a file, malloc'ed. A token never belongs on a command line, where everybody sees it. */
gp_code gp_client_token_from_file(const char *path, char **out, gp_error *err);
gp_code gp_client_token_check(const char *token, gp_error *err); /* whether it can be one */

gp_code gp_client_new(gp_client **out, const gp_client_config *cfg, gp_error *err);
void gp_client_free(gp_client *c);

/* Splits an address into a URL (for nanomsg: of where to connect) and, for UNIX sockets, the path (both
 * malloc'ed; *socket NULL otherwise). */
gp_code gp_client_parse_addr(const char *addr, char **url, char **socket, gp_error *err);

/*
 * All calls: an HTTP error status gives the code that fits it, the server's message in *err, and, if
 * problem is not NULL, the problem document (gp_problem_free it). No answer gives GP_ENET or GP_ETIMEOUT
 * with the address in the message.
 */
gp_code gp_client_query(gp_client *c, const gp_args *args, gp_result *out, gp_problem *problem,
                        gp_error *err);
gp_code gp_client_validate(gp_client *c, const gp_args *args, gp_problem *problem, gp_error *err);

typedef enum gp_event_type {
    GP_EVENT_PARTIAL,
    GP_EVENT_FINAL,
    GP_EVENT_KEEPALIVE,
    GP_EVENT_ERROR
} gp_event_type;
/* result is the callee's only during the call. Of a keepalive it holds the progress and nothing else, or is
 * NULL. Returning false cancels. */
typedef bool (*gp_event_fn)(void *ctx, gp_event_type type, const gp_result *result,
                            const gp_problem *problem);
/* POST /_query/sse. *out receives the final result. */
gp_code gp_client_query_sse(gp_client *c, const gp_args *args, gp_event_fn on_event, void *ctx,
                            gp_result *out, gp_problem *problem, gp_error *err);

gp_code gp_client_status(gp_client *c, const char *const *ifaces, size_t n, gp_status *out, gp_error *err);
gp_code gp_client_config_get(gp_client *c, const char *const *ifaces, size_t n, gp_capconfig_map *out,
                             gp_error *err);
gp_code gp_client_config_put(gp_client *c, const gp_capconfig_map *cfg, gp_config_update *out, gp_error *err);
gp_code gp_client_reload(gp_client *c, gp_config_update *out, gp_error *err);

/* Level of the service's log: "debug", "info", "warn", "error". *out has the level that holds now,
 * malloc'ed. */
gp_code gp_client_log_level(gp_client *c, char **out, gp_error *err);
gp_code gp_client_set_log_level(gp_client *c, const char *level, char **out, gp_error *err);

/* Body of a GET of any path ("/-/info"), for whatever has no typed call. */
gp_code gp_client_get(gp_client *c, const char *path, gp_buf *body, gp_error *err);

#endif
