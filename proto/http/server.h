/*
 * http/server.h - the HTTP server layer that sensor and global-query share, on libmicrohttpd with GnuTLS.
 *
 * Listens on "host:port", ":port" or "unix:/path"; dispatches by method and path; answers unknown paths
 * with 404 and wrong methods with 405 as problem+json; limits header, body and connection counts; redirects
 * "/path/" to "/path" where only that exists; answers preflight requests of allowed origins.
 * A handler runs in a thread of its own connection and may block.
 *
 * Ownership and thread-safety: the server owns its threads. Handlers are called concurrently; a request
 * and its response belong to the handler until it returns.
 */
#ifndef GP_HTTP_SERVER_H
#define GP_HTTP_SERVER_H

#include "proto/auth/auth.h"
#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "proto/base/log.h"
#include "proto/base/unixsock.h"
#include "proto/query/problem.h"

#include <sys/types.h>

typedef struct gp_http_server gp_http_server;
typedef struct gp_http_request gp_http_request;

typedef struct gp_http_field {
    const char *name, *value;
} gp_http_field;

typedef struct gp_http_response {
    int status;                  /* 0 means 200 (204 where body is empty) */
    const char *content_type;    /* static string; NULL means application/json */
    gp_buf body;                 /* taken over by the server */
    const char *extra_header[4]; /* name, value, name, value; static or NULL */
    const gp_http_field *fields; /* more of them; must outlive the server */
    size_t n_fields;
    bool encoded; /* the fields tell Content-Encoding and Vary: the body is sent as it is */
} gp_http_response;

/* Fills *res. Errors are answers too: use gp_http_problem. */
typedef void (*gp_http_handler)(gp_http_request *req, gp_http_response *res, void *ctx);

/* Who may call a route, where tokens are asked for. */
typedef enum gp_http_access {
    GP_HTTP_QUERY,   /* a token of any scope */
    GP_HTTP_CONTROL, /* a token with the scope control */
    GP_HTTP_OPEN     /* anybody: it tells nothing of flows */
} gp_http_access;

typedef struct gp_http_route {
    const char *method; /* "GET", ... (HEAD follows GET) */
    const char *path;   /* "/status", "/status/{iface}": one {name} segment may stand at the end */
    gp_http_handler handler;
    void *ctx;
    gp_http_access access;
} gp_http_route;

/* What there is to say of a request that was answered. */
typedef struct gp_http_observation {
    const char *method;
    const char *route; /* the path of the route, not the URL; "" where there is none. Static. */
    int status;
    double seconds;
    size_t request_bytes;  /* path, headers and body */
    size_t response_bytes; /* body */
} gp_http_observation;

/* Files in PEM. They may be replaced while the server runs: new connections get what is there then. */
typedef struct gp_http_tls {
    const char *cert;          /* with the chain behind it; NULL: plain HTTP */
    const char *key;           /* NULL: in the file of the certificate */
    const char *client_ca;     /* who signs the certificates that clients must have; NULL: they need none */
    const char *client_scopes; /* what they may do (proto/auth/certificates.h); NULL: everything. Tokens, if
                                  any are asked for, are needed beside it. Read again, too. */
} gp_http_tls;

typedef struct gp_http_config {
    const char *addr;             /* where to listen */
    gp_unix_socket_access socket; /* where that is a UNIX socket */
    gp_http_tls tls;
    gp_auth
        *auth; /* whose tokens are asked for; NULL: everybody may do everything. Must outlive the server. */
    /* Without tokens and without tls.client_ca an address that other machines reach is refused (GP_EPERM),
     * unless this is set. `section` is where the settings are found, "api", for the message. */
    bool allow_without_token;
    const char *section;
    unsigned max_connections;            /* 0: 256 */
    unsigned max_connections_per_client; /* by address, not for UNIX sockets; 0: half of them */
    size_t max_body;                     /* bytes; 0: 16 MiB */
    size_t max_header;                   /* bytes of request line and headers; 0: 64 KiB */
    unsigned idle_timeout_s;             /* without any byte; 0: 30 s */
    unsigned request_timeout_s;          /* until a request is complete, byte by byte; 0: 60 s */
    gp_log *log;
    gp_log *audit;           /* gets a line for every call of a route for GP_HTTP_CONTROL; NULL: none */
    const char *server_name; /* "goprobe/5.0.0" */
    /* Origins whose web pages may call (Fetch, 3.2); "*" for all. Strings must outlive the server. */
    const char *const *cors_origins;
    size_t n_cors_origins;
    /* Called after every answer, for metrics (may be NULL). */
    void (*observe)(void *ctx, const gp_http_observation *seen);
    void *observe_ctx;
} gp_http_config;

/* Starts to listen; routes are copied (their strings must outlive the server). GP_EBUSY names the address
 * in use. A stale UNIX socket that nobody listens on is replaced. */
gp_code gp_http_start(gp_http_server **out, const gp_http_config *cfg, const gp_http_route *routes, size_t n,
                      gp_error *err);
/*
 * A stop that loses nothing begins with close: new connections are refused from then on, requests on those
 * that are open are still answered, each as the last of its connection. busy tells whether a handler runs or
 * somebody still reads an answer, a few seconds at most. Idle connections do not count. Then:
 */
void gp_http_close(gp_http_server *s);
bool gp_http_busy(gp_http_server *s);
/* Stops accepting, waits for running handlers (their gp_http_canceled turns true), frees. */
void gp_http_stop(gp_http_server *s);
/* Reads the TLS files and tokens again, which otherwise happens by itself soon after a change. A failure
 * leaves the old ones in force. */
gp_code gp_http_reload(gp_http_server *s, gp_error *err);
/* The port in use when the address asked for port 0; 0 for UNIX sockets. */
unsigned gp_http_port(const gp_http_server *s);

/* Whether other machines can reach an address to listen on: neither a UNIX socket nor loopback. One that has
 * no address counts as such. */
bool gp_http_addr_is_open(const char *addr);

const char *gp_http_method(const gp_http_request *req);
const char *gp_http_path(const gp_http_request *req);
const char *gp_http_path_param(const gp_http_request *req);              /* the {name} segment, or NULL */
const char *gp_http_query(const gp_http_request *req, const char *name); /* first value, or NULL */
/* Iterates over all query parameters; compatible with gp_param_next of proto/query/args.h. */
typedef struct gp_http_params {
    const gp_http_request *req;
    size_t at;
} gp_http_params;
bool gp_http_params_next(void *gp_http_params_ptr, const char **key, const char **value);
const char *gp_http_header(const gp_http_request *req, const char *name);
enum { GP_REQUEST_ID_MAX = 128 };
/* By which the request is known in logs: the client's X-Request-ID, or one of ours. It is returned to the
 * client and goes along with whatever is asked of others for this request. */
const char *gp_http_request_id(const gp_http_request *req);
/* "10.1.2.3:4567", "unix:uid=0,pid=123" */
const char *gp_http_peer(const gp_http_request *req);
/* The name of the token, or else of the client's certificate; "" where there is neither. */
const char *gp_http_who(gp_http_request *req);
/* What a control call did, for the audit log (copied). */
void gp_http_note(gp_http_request *req, const char *text);
/* For the audit log: not all was done, although the answer is no error. */
void gp_http_note_failure(gp_http_request *req);
const char *gp_http_body(const gp_http_request *req, size_t *len);
/* True once the peer closed the connection or the server is stopping: long work should end. */
bool gp_http_canceled(const gp_http_request *req);

/* The answer is the problem document. */
void gp_http_problem(gp_http_response *res, const gp_problem *p);
void gp_http_error(gp_http_response *res, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Server-sent events (WHATWG HTML, 9.2): a handler may, instead of filling *res, begin a stream and send
 * events until it returns. send gives GP_ECANCELED once the peer is gone, or the server is stopping; then the
 * event is sent all the same, so that a stream can say how it ends. Data is one line of JSON.
 */
typedef struct gp_http_stream gp_http_stream;
gp_code gp_http_stream_begin(gp_http_request *req, gp_http_stream **out, gp_error *err);
/* Whether what was sent before is on its way: a sender of what may as well be left out can do that. */
bool gp_http_stream_idle(gp_http_stream *s);
gp_code gp_http_stream_event(gp_http_stream *s, const char *event, const gp_buf *data, gp_error *err);

#endif
