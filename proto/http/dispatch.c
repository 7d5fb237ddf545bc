/* Runs handlers, each in a thread of its own, so that a handler may block, and stream when it likes. */
#include "proto/base/clock.h"
#include "proto/http/internal.h"

#include <string.h>

static void handler_finished(gp_http_server *s)
{
    pthread_mutex_lock(&s->lock);
    s->running--;
    s->quiet_ns = gp_clock_ns();
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void *run_handler(void *arg)
{
    gp_http_request *req = arg;
    gp_http_server *s = req->server;
    req->route->handler(req, &req->response, req->route->ctx);
    pthread_mutex_lock(&req->lock);
    req->state = GP_REQ_DONE;
    pthread_cond_broadcast(&req->changed);
    pthread_mutex_unlock(&req->lock);
    handler_finished(s); /* the request may be freed by now only after a join of this thread */
    return NULL;
}

static bool start_handler(gp_http_request *req)
{
    gp_http_server *s = req->server;
    pthread_mutex_lock(&s->lock);
    s->running++;
    pthread_mutex_unlock(&s->lock);
    req->state = GP_REQ_RUNNING;
    req->thread_started = pthread_create(&req->thread, NULL, run_handler, req) == 0;
    if (!req->thread_started)
        handler_finished(s);
    return req->thread_started;
}

/* Appends the path without its final slash where a route has that path; only plain characters, which need
 * no escaping. */
static bool without_slash(const gp_http_request *req, gp_buf *out)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./";
    const char *path = gp_http_path(req);
    size_t n = strlen(path);
    if (n < 2 || path[n - 1] != '/' || path[1] == '/' || strspn(path, plain) != n)
        return false;
    gp_buf_add(out, path, n - 1);
    gp_buf allow = GP_BUF_INIT;
    const char *param = NULL;
    if (!out->failed)
        (void)gp_http_match(req->server, req->method, out->data, &param, &allow);
    bool found = allow.len > 0;
    gp_buf_free(&allow);
    return found;
}

static enum MHD_Result queue_redirect(gp_http_request *req, const char *path)
{
    bool get = strcmp(req->method, "GET") == 0 || strcmp(req->method, "HEAD") == 0;
    gp_http_response res = {.status = get ? 301 : 307, .extra_header = {MHD_HTTP_HEADER_LOCATION, path}};
    return gp_http_queue(req, &res, NULL);
}

static enum MHD_Result queue_no_route(gp_http_request *req)
{
    gp_buf plain = GP_BUF_INIT;
    if (without_slash(req, &plain)) {
        enum MHD_Result moved = queue_redirect(req, plain.data);
        gp_buf_free(&plain);
        return moved;
    }
    gp_buf_free(&plain);
    if (gp_http_is_preflight(req)) {
        gp_http_response res = {.status = 204};
        return gp_http_queue(req, &res, NULL);
    }
    gp_buf allow = GP_BUF_INIT;
    const char *param = NULL;
    (void)gp_http_match(req->server, req->method, gp_http_path(req), &param, &allow);
    enum MHD_Result r;
    if (allow.len)
        r = gp_http_queue_error(req, 405, allow.data, "this path exists, but not with this method");
    else
        r = gp_http_queue_error(req, 404, NULL, "there is nothing at this path");
    gp_buf_free(&allow);
    return r;
}

enum MHD_Result gp_http_dispatch(gp_http_request *req)
{
    if (!req->route)
        return queue_no_route(req);
    if (atomic_load(&req->server->stopping))
        return gp_http_queue_error(req, 503, NULL, "the server is stopping");
    /* The idle timeout is for slow clients, not for slow handlers. */
    MHD_set_connection_option(req->connection, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
    if (!start_handler(req))
        return gp_http_queue_error(req, 503, NULL, "out of threads: try again later");
    pthread_mutex_lock(&req->lock);
    while (req->state == GP_REQ_RUNNING)
        pthread_cond_wait(&req->changed, &req->lock);
    bool streaming = req->streamed;
    pthread_mutex_unlock(&req->lock);
    MHD_set_connection_option(req->connection, MHD_CONNECTION_OPTION_TIMEOUT, req->server->idle_timeout_s);
    if (streaming)
        return gp_http_queue_stream(req); /* the thread is joined when the response ends */
    pthread_join(req->thread, NULL);
    req->thread_started = false;
    return gp_http_queue(req, &req->response, NULL);
}
