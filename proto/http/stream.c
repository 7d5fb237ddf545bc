/* Server-sent events: the handler fills a bounded buffer, the connection's thread empties it. */
#include "proto/base/clock.h"
#include "proto/http/internal.h"

#include <poll.h>
#include <string.h>

/* A handler waits once this much was not sent; and how often waiting threads look at the peer. */
enum { PENDING_MAX = 1 << 20, BLOCK_SIZE = 16 << 10, LOOK_MS = 200 };

bool gp_http_peer_gone(const gp_http_request *req)
{
    struct pollfd p = {.fd = req->fd, .events = POLLRDHUP};
    return req->fd < 0 || (poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)));
}

static bool is_stopping(const gp_http_request *req)
{
    return atomic_load(&req->server->stopping);
}

bool gp_http_canceled(const gp_http_request *req)
{
    return is_stopping(req) || gp_http_peer_gone(req);
}

/* Waits for the other side, at most LOOK_MS; req->lock is held. */
static void wait_change(gp_http_request *req)
{
    (void)gp_clock_wait(&req->changed, &req->lock, gp_clock_after(LOOK_MS * INT64_C(1000000)));
}

gp_code gp_http_stream_begin(gp_http_request *req, gp_http_stream **out, gp_error *err)
{
    pthread_mutex_lock(&req->lock);
    bool first = req->state == GP_REQ_RUNNING;
    if (first) {
        req->state = GP_REQ_STREAMING;
        req->streamed = true;
    }
    pthread_cond_broadcast(&req->changed);
    pthread_mutex_unlock(&req->lock);
    if (!first)
        return gp_fail(err, GP_EINTERNAL, "the stream has begun already");
    *out = &req->stream;
    return GP_OK;
}

/* An event as WHATWG HTML 9.2.6 parses it: every line of the data is a field of its own. */
static void put_event(gp_buf *out, const char *event, const gp_buf *data)
{
    if (event && *event) {
        gp_buf_puts(out, "event: ");
        gp_buf_puts(out, event);
        gp_buf_putc(out, '\n');
    }
    const char *p = data->len ? data->data : "";
    const char *end = p + data->len;
    for (;;) {
        const char *line = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((line ? line : end) - p);
        gp_buf_puts(out, "data: ");
        gp_buf_add(out, p, n);
        gp_buf_putc(out, '\n');
        if (!line)
            break;
        p = line + 1;
    }
    gp_buf_putc(out, '\n');
}

static gp_http_request *request_of(gp_http_stream *s)
{
    return (gp_http_request *)(void *)((char *)s - offsetof(gp_http_request, stream));
}

bool gp_http_stream_idle(gp_http_stream *s)
{
    gp_http_request *req = request_of(s);
    pthread_mutex_lock(&req->lock);
    bool idle = s->pending.len == 0;
    pthread_mutex_unlock(&req->lock);
    return idle;
}

gp_code gp_http_stream_event(gp_http_stream *s, const char *event, const gp_buf *data, gp_error *err)
{
    gp_http_request *req = request_of(s);
    if (data->failed)
        return gp_fail(err, GP_ENOMEM, "out of memory for an event");
    pthread_mutex_lock(&req->lock);
    while (s->pending.len > PENDING_MAX && !req->gone && !is_stopping(req)) {
        wait_change(req);
        req->gone |= gp_http_peer_gone(req);
    }
    req->gone |= gp_http_peer_gone(req);
    gp_code rc = GP_OK;
    if (!req->gone)
        put_event(&s->pending, event, data);
    if (req->gone)
        rc = gp_fail(err, GP_ECANCELED, "the client is gone");
    else if (is_stopping(req))
        rc = gp_fail(err, GP_ECANCELED, "the server is stopping");
    if (s->pending.failed) {
        req->gone = true;
        rc = gp_fail(err, GP_ENOMEM, "out of memory for an event");
    }
    pthread_cond_broadcast(&req->changed);
    pthread_mutex_unlock(&req->lock);
    return rc;
}

/* libmicrohttpd asks for more to send. Called in the connection's thread, which may wait. */
static ssize_t read_pending(void *cls, uint64_t pos, char *buf, size_t max)
{
    (void)pos;
    gp_http_request *req = cls;
    gp_buf *pending = &req->stream.pending;
    pthread_mutex_lock(&req->lock);
    while (pending->len == 0 && req->state != GP_REQ_DONE && !req->gone) {
        wait_change(req);
        if (pending->len == 0 && gp_http_peer_gone(req))
            req->gone = true;
    }
    ssize_t n;
    if (pending->len && !req->gone) {
        size_t take = pending->len < max ? pending->len : max;
        memcpy(buf, pending->data, take);
        memmove(pending->data, pending->data + take, pending->len - take);
        pending->len -= take;
        req->bytes += take;
        n = (ssize_t)take;
    } else {
        n = req->gone ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
    }
    pthread_cond_broadcast(&req->changed);
    pthread_mutex_unlock(&req->lock);
    /* Off and on again restarts the idle clock, which would otherwise have run while we waited. */
    MHD_set_connection_option(req->connection, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
    MHD_set_connection_option(req->connection, MHD_CONNECTION_OPTION_TIMEOUT, req->server->idle_timeout_s);
    return n;
}

enum MHD_Result gp_http_queue_stream(gp_http_request *req)
{
    struct MHD_Response *r =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE, read_pending, req, NULL);
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream");
    MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
    MHD_add_response_header(r, "X-Accel-Buffering", "no"); /* proxies must not hold events back */
    gp_http_common_headers(req, r);
    req->status = 200;
    enum MHD_Result queued = MHD_queue_response(req->connection, 200, r);
    MHD_destroy_response(r);
    return queued;
}
