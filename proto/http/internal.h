/*
 * internal.h - what the files of proto/http share; see README.md for how a request travels through them.
 *
 * Threads: libmicrohttpd runs one thread a connection. That thread reads the request, starts a thread for
 * the handler and waits; it sends the finished response, or, once the handler has begun a stream, passes on
 * what the handler puts into the stream's buffer. gp_http_request.lock guards what both touch.
 */
#ifndef GP_HTTP_INTERNAL_H
#define GP_HTTP_INTERNAL_H

#include "proto/http/server.h"
#include "proto/http/tls.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>

/* Where a server listens. */
typedef struct gp_listener {
    int fd;
    unsigned port; /* 0 for UNIX sockets */
    bool open;     /* other machines can reach it */
    char *path;    /* of the UNIX socket, otherwise NULL */
    dev_t dev;     /* identity of that socket's file: only our own is removed at the end */
    ino_t ino;
} gp_listener;

gp_code gp_listen(gp_listener *out, const char *addr, const gp_unix_socket_access *socket, gp_error *err);
void gp_listener_close(gp_listener *l);

/* A connection, from before its first byte (connection.c). */
typedef struct gp_connection {
    gp_tls_set *tls; /* NULL: plain */
    char peer[80];   /* where from, for logs */
    int fd;
    int64_t since; /* CLOCK_MONOTONIC: began, or was done with its last request; guarded by gp_guard.lock, as
                     are */
    bool busy;     /* its request is complete and being answered */
    bool late;     /* was shut down for it */
    struct gp_connection *next, *prev;
} gp_connection;

/* Ends connections whose request is not complete in time. */
typedef struct gp_guard {
    unsigned request_timeout_s;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t stop;
    bool stopping;
    gp_connection *first;
} gp_guard;

struct gp_http_server {
    struct MHD_Daemon *daemon;
    gp_listener listener;
    gp_tls *tls; /* NULL: plain HTTP */
    gp_auth *auth;
    gp_log *audit;
    gp_guard guard;
    gp_http_route *routes;
    size_t n_routes;
    size_t max_body;
    unsigned idle_timeout_s;
    gp_log *log;
    const char *server_name;
    const char *const *cors_origins;
    size_t n_cors_origins;
    void (*observe)(void *ctx, const gp_http_observation *seen);
    void *observe_ctx;

    atomic_bool closed; /* accepts nobody */
    atomic_bool stopping;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* running or active went down */
    unsigned running;       /* handlers */
    unsigned active;        /* requests between their first byte and the end of their response */
    int64_t quiet_ns;       /* gp_clock_ns() when the last handler ended, or when it was closed */
};

typedef enum gp_req_state { GP_REQ_RUNNING, GP_REQ_STREAMING, GP_REQ_DONE } gp_req_state;

/* Request lines, headers and parameters are copied into `text`; a pair holds offsets into it. */
typedef struct gp_pair {
    size_t key, value;
} gp_pair;
typedef struct gp_pairs {
    gp_pair *items;
    size_t n;
    bool failed;
} gp_pairs;

struct gp_http_stream {
    gp_buf pending; /* events that were not sent yet */
};

struct gp_http_request {
    gp_http_server *server;
    struct MHD_Connection *connection;
    gp_connection *conn;
    int fd;
    char id[GP_REQUEST_ID_MAX + 1];
    gp_buf note; /* for the audit log */
    bool failed; /* likewise: whatever the status says */

    const char *method; /* of the matched route, or the client's */
    char *method_text;
    const gp_http_route *route; /* NULL: none matched */
    gp_buf text;
    size_t path;
    const char *param; /* the {name} segment, inside text */
    gp_pairs params, headers;
    gp_buf body;
    bool body_too_large;
    int refused;           /* 401 or 403; 0: may go on */
    const char *challenge; /* of a refusal for lack of a token: WWW-Authenticate */
    gp_identity identity;  /* whose token it is; no name: nobody's */

    pthread_t thread;
    bool thread_started;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    gp_req_state state; /* guarded by lock, as are stream and gone */
    gp_http_stream stream;
    bool gone;
    bool streamed;
    gp_http_response response; /* the handler's until state is GP_REQ_DONE */

    int status; /* of the answer, for the log */
    size_t bytes;
    int64_t began_ns; /* gp_clock_ns() */
};

/* request.c */
gp_http_request *gp_http_request_new(gp_http_server *s, struct MHD_Connection *c, const char *url,
                                     const char *method);
void gp_http_request_free(gp_http_request *req);

/* connection.c: fits MHD_OPTION_NOTIFY_CONNECTION with the server as context */
void gp_http_on_connection(void *server, struct MHD_Connection *c, void **context,
                           enum MHD_ConnectionNotificationCode what);
gnutls_session_t gp_http_tls_session(struct MHD_Connection *c); /* NULL: plain */
void gp_http_set_busy(gp_http_request *req, bool busy);
void gp_http_guard_init(gp_guard *g, unsigned request_timeout_s);
bool gp_http_guard_start(gp_http_server *s);
void gp_http_guard_stop(gp_guard *g);
void gp_http_guard_destroy(gp_guard *g);

/* caller.c */
void gp_http_write_peer(struct MHD_Connection *c, int fd, char *dst, size_t size);
void gp_http_take_id(gp_http_request *req);
void gp_http_audit(gp_http_request *req);

/* access.c */
void gp_http_check_access(gp_http_request *req);
enum MHD_Result gp_http_queue_refusal(gp_http_request *req);

/* route.c: the route for a request, or NULL; then *allow lists the methods that the path has (empty: none) */
const gp_http_route *gp_http_match(const gp_http_server *s, const char *method, const char *path,
                                   const char **param, gp_buf *allow);

/* dispatch.c: runs the handler of a complete request and queues its answer */
enum MHD_Result gp_http_dispatch(gp_http_request *req);

/* response.c: queues res (and takes over its body); allow is for 405, may be NULL */
enum MHD_Result gp_http_queue(gp_http_request *req, gp_http_response *res, const char *allow);
enum MHD_Result gp_http_queue_error(gp_http_request *req, int status, const char *allow, const char *detail);
void gp_http_common_headers(gp_http_request *req, struct MHD_Response *r);

/* cors.c: what a browser needs to hear before it lets a page of another origin use an answer */
void gp_http_cors_headers(const gp_http_request *req, struct MHD_Response *r);
bool gp_http_is_preflight(const gp_http_request *req);

/* stream.c */
enum MHD_Result gp_http_queue_stream(gp_http_request *req);
/* Whether the peer has closed its side; any thread. */
bool gp_http_peer_gone(const gp_http_request *req);

#endif
