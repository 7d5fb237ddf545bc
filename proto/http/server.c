#include "proto/base/clock.h"
#include "proto/http/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    DEFAULT_CONNECTIONS = 256,
    DEFAULT_MAX_BODY = 16 << 20,
    DEFAULT_IDLE_S = 30,
    DEFAULT_REQUEST_S = 60,
    REFUSED_BODY = 64 << 10, /* how much of a refused request's body is read, so that its client sees why */
    DEFAULT_MAX_HEADER = 64 << 10, /* request line and headers; more gives 431 */
    FLUSH_S = 2                    /* how long stopping waits for slow readers of finished answers */
};

static const char too_large[] = "request body is too large";

/* 0 where the client did not say. */
static uint64_t content_length(const gp_http_request *req)
{
    const char *text = gp_http_header(req, "Content-Length");
    return text ? strtoull(text, NULL, 10) : 0;
}

static enum MHD_Result queue_too_large(gp_http_request *req)
{
    char detail[96];
    snprintf(detail, sizeof detail, "%s limit=%zu bytes", too_large, req->server->max_body);
    req->body_too_large = true;
    return gp_http_queue_error(req, 413, NULL, detail);
}

static enum MHD_Result begin(gp_http_server *s, struct MHD_Connection *c, const char *url, const char *method,
                             void **con_cls)
{
    gp_http_request *req = gp_http_request_new(s, c, url, method);
    if (!req)
        return MHD_NO;
    pthread_mutex_lock(&s->lock);
    s->active++;
    pthread_mutex_unlock(&s->lock);
    *con_cls = req;
    gp_buf allow = GP_BUF_INIT;
    req->route = gp_http_match(s, method, gp_http_path(req), &req->param, &allow);
    gp_buf_free(&allow);
    gp_http_check_access(req);
    return content_length(req) > s->max_body ? queue_too_large(req) : MHD_YES;
}

/* Keeps a piece of the body. What is beyond the limit is read and dropped, so that the client gets to see
 * the 413, but not without end. */
static enum MHD_Result add_body(gp_http_request *req, const char *data, size_t len)
{
    if (req->refused) {
        req->bytes += len;
        return req->bytes > REFUSED_BODY ? MHD_NO : MHD_YES;
    }
    if (!req->body_too_large)
        gp_buf_add(&req->body, data, len);
    if (req->body.failed && !req->body_too_large) {
        req->body_too_large = true;
        gp_buf_free(&req->body);
        req->bytes = 0;
    }
    if (!req->body_too_large)
        return MHD_YES;
    req->bytes += len;
    return req->bytes > req->server->max_body ? MHD_NO : MHD_YES;
}

static enum MHD_Result on_access(void *cls, struct MHD_Connection *c, const char *url, const char *method,
                                 const char *version, const char *upload, size_t *upload_len, void **con_cls)
{
    (void)version;
    gp_http_request *req = *con_cls;
    if (!req)
        return begin(cls, c, url, method, con_cls);
    if (*upload_len) {
        enum MHD_Result r = add_body(req, upload, *upload_len);
        *upload_len = 0;
        return r;
    }
    gp_http_set_busy(req, true);
    if (req->refused)
        return gp_http_queue_refusal(req);
    return req->body_too_large ? queue_too_large(req) : gp_http_dispatch(req);
}

static void log_answer(gp_http_request *req, double seconds)
{
    gp_log_level level = req->status >= 500 ? GP_LOG_WARN : req->status >= 400 ? GP_LOG_INFO : GP_LOG_DEBUG;
    GP_LOG_AT(req->server->log, level, "handled request", GP_F_STR("method", req->method),
              GP_F_STR("path", gp_http_path(req)), GP_F_I64("status", req->status),
              GP_F_U64("bytes", req->bytes), GP_F_F64("seconds", seconds),
              GP_F_STR("from", gp_http_peer(req)), GP_F_STR("who", gp_http_who(req)),
              GP_F_STR("request_id", req->id));
}

static void on_completed(void *cls, struct MHD_Connection *c, void **con_cls,
                         enum MHD_RequestTerminationCode why)
{
    (void)c;
    (void)why;
    gp_http_server *s = cls;
    gp_http_request *req = *con_cls;
    if (!req)
        return;
    *con_cls = NULL;
    if (req->thread_started) {
        pthread_mutex_lock(&req->lock);
        req->gone = true;
        pthread_cond_broadcast(&req->changed);
        pthread_mutex_unlock(&req->lock);
        pthread_join(req->thread, NULL);
    }
    gp_http_set_busy(req, false);
    double seconds = gp_clock_seconds_since(req->began_ns);
    if (req->status) {
        log_answer(req, seconds);
        const gp_http_observation seen = {req->method, req->route ? req->route->path : "", req->status,
                                          seconds,     req->text.len + req->body.len,      req->bytes};
        if (s->observe)
            s->observe(s->observe_ctx, &seen);
    }
    gp_http_audit(req);
    gp_http_request_free(req);
    pthread_mutex_lock(&s->lock);
    s->active--;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

__attribute__((format(printf, 2, 0))) static void on_mhd_log(void *cls, const char *fmt, va_list ap)
{
    gp_http_server *s = cls;
    char text[256];
    if (!gp_log_enabled(s->log, GP_LOG_DEBUG))
        return;
    vsnprintf(text, sizeof text, fmt, ap);
    text[strcspn(text, "\n")] = '\0';
    gp_log_debug(s->log, "HTTP connection", GP_F_STR("detail", text));
}

static gp_http_server *server_new(const gp_http_config *cfg, const gp_http_route *routes, size_t n)
{
    gp_http_server *s = calloc(1, sizeof *s);
    gp_http_route *copy = calloc(n ? n : 1, sizeof *copy);
    if (!s || !copy) {
        free(s);
        free(copy);
        return NULL;
    }
    if (n)
        memcpy(copy, routes, n * sizeof *copy);
    s->listener.fd = -1;
    s->routes = copy;
    s->n_routes = n;
    s->max_body = cfg->max_body ? cfg->max_body : DEFAULT_MAX_BODY;
    s->idle_timeout_s = cfg->idle_timeout_s ? cfg->idle_timeout_s : DEFAULT_IDLE_S;
    s->log = cfg->log;
    gp_http_guard_init(&s->guard, cfg->request_timeout_s ? cfg->request_timeout_s : DEFAULT_REQUEST_S);
    s->auth = cfg->auth;
    s->audit = cfg->audit;
    s->server_name = cfg->server_name;
    s->cors_origins = cfg->cors_origins;
    s->n_cors_origins = cfg->n_cors_origins;
    s->observe = cfg->observe;
    s->observe_ctx = cfg->observe_ctx;
    atomic_init(&s->closed, false);
    atomic_init(&s->stopping, false);
    pthread_mutex_init(&s->lock, NULL);
    gp_clock_cond_init(&s->changed);
    return s;
}

static void server_free(gp_http_server *s)
{
    gp_http_guard_destroy(&s->guard);
    gp_tls_free(s->tls);
    gp_listener_close(&s->listener);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s->routes);
    free(s);
}

static bool start_daemon(gp_http_server *s, const gp_http_config *cfg)
{
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
                     MHD_USE_ITC | MHD_USE_ERROR_LOG;
    unsigned connections = cfg->max_connections ? cfg->max_connections : DEFAULT_CONNECTIONS;
    unsigned per_client =
        cfg->max_connections_per_client ? cfg->max_connections_per_client : (connections + 1) / 2;
    const char *cert = NULL;
    const char *key = NULL;
    struct MHD_OptionItem tls[] = {{MHD_OPTION_END, 0, NULL}, {0}, {0}, {MHD_OPTION_END, 0, NULL}};
    if (s->tls) {
        flags |= MHD_USE_TLS;
        gp_tls_pem(s->tls, &cert, &key);
        tls[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)cert};
        tls[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key};
        tls[2] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)GP_TLS_PRIORITIES};
    }
    s->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_access, s, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, s,
        MHD_OPTION_LISTEN_SOCKET, s->listener.fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
        MHD_OPTION_NOTIFY_CONNECTION, gp_http_on_connection, s, MHD_OPTION_CONNECTION_LIMIT, connections,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, per_client, MHD_OPTION_CONNECTION_TIMEOUT, s->idle_timeout_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, cfg->max_header ? cfg->max_header : (size_t)DEFAULT_MAX_HEADER,
        MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    if (s->daemon && !gp_http_guard_start(s)) {
        MHD_stop_daemon(s->daemon); /* closes the listening socket, too */
        s->daemon = NULL;
        s->listener.fd = -1;
    }
    return s->daemon != NULL;
}

/* An open door must be somebody's decision. */
static gp_code check_open(const gp_http_server *s, const gp_http_config *cfg, gp_error *err)
{
    const char *section = cfg->section ? cfg->section : "server";
    bool guarded = cfg->auth || (cfg->tls.cert && cfg->tls.client_ca) || cfg->allow_without_token;
    if (guarded || !s->listener.open)
        return GP_OK;
    return gp_fail(
        err, GP_EPERM,
        "%s.addr %s can be reached from other machines, and nobody would be asked for a token: name a "
        "tokens file in %s.tokens (made with the command \"token new\"), ask for certificates with "
        "%s.tls.client_ca, listen on localhost or a UNIX socket, or, if everybody may ask and change "
        "everything, set %s.allow_without_token: true",
        section, cfg->addr, section, section, section);
}

gp_code gp_http_start(gp_http_server **out, const gp_http_config *cfg, const gp_http_route *routes, size_t n,
                      gp_error *err)
{
    gp_http_server *s = server_new(cfg, routes, n);
    if (!s)
        return gp_fail(err, GP_ENOMEM, "out of memory for the HTTP server");
    gp_code rc = cfg->tls.cert ? gp_tls_new(&s->tls, &cfg->tls, cfg->log, err) : GP_OK;
    if (rc == GP_OK)
        rc = gp_listen(&s->listener, cfg->addr, &cfg->socket, err);
    if (rc == GP_OK)
        rc = check_open(s, cfg, err);
    if (rc != GP_OK) {
        server_free(s);
        return rc;
    }
    if (!start_daemon(s, cfg)) {
        server_free(s);
        return gp_fail(err, GP_EINTERNAL, "cannot start the HTTP server on %s", cfg->addr);
    }
    *out = s;
    return GP_OK;
}

/* Until when clients may read what handlers have left for them; s->lock is held. */
static int64_t flush_until(const gp_http_server *s)
{
    return s->quiet_ns + FLUSH_S * GP_NS_PER_SEC;
}

/* Waits until no handler runs, and then a little for clients that are still reading their answer. */
static void drain(gp_http_server *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->running)
        pthread_cond_wait(&s->changed, &s->lock);
    const int64_t until = flush_until(s);
    while (s->active && gp_clock_wait(&s->changed, &s->lock, until)) {
    }
    pthread_mutex_unlock(&s->lock);
}

/* libmicrohttpd may look at the listening socket until it is stopped: shut down, it refuses connections at
 * once, which otherwise would wait for somebody to accept them. */
void gp_http_close(gp_http_server *s)
{
    if (atomic_exchange(&s->closed, true))
        return;
    pthread_mutex_lock(&s->lock);
    s->quiet_ns = gp_clock_ns();
    pthread_mutex_unlock(&s->lock);
    if (MHD_quiesce_daemon(s->daemon) == MHD_INVALID_SOCKET)
        s->listener.fd = -1; /* libmicrohttpd will close it; otherwise it is ours again */
    else
        (void)shutdown(s->listener.fd, SHUT_RDWR);
}

bool gp_http_busy(gp_http_server *s)
{
    pthread_mutex_lock(&s->lock);
    bool busy = s->running || (s->active && gp_clock_ns() < flush_until(s));
    pthread_mutex_unlock(&s->lock);
    return busy;
}

void gp_http_stop(gp_http_server *s)
{
    if (!s)
        return;
    atomic_store(&s->stopping, true);
    gp_http_close(s);
    drain(s);
    gp_http_guard_stop(&s->guard);
    MHD_stop_daemon(s->daemon);
    server_free(s);
}

gp_code gp_http_reload(gp_http_server *s, gp_error *err)
{
    gp_code rc = s->tls ? gp_tls_reload(s->tls, err) : GP_OK;
    return rc == GP_OK && s->auth ? gp_auth_reload(s->auth, err) : rc;
}

unsigned gp_http_port(const gp_http_server *s)
{
    return s->listener.port;
}
