/*
 * What we know of a connection from its first to its last moment, and the end of those that take too long.
 *
 * libmicrohttpd's idle timeout starts anew with every byte, so a client that sends a byte now and then holds
 * its connection, and with it a thread, for ever. A guard looks once a second for connections whose request
 * is not complete in time, and shuts their sockets down; libmicrohttpd then ends them as if the client had
 * gone.
 */
#include "proto/base/clock.h"
#include "proto/http/internal.h"

#include <stdlib.h>
#include <sys/socket.h>

enum { LOOK_S = 1 };

static int socket_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

gnutls_session_t gp_http_tls_session(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info ? info->tls_session : NULL;
}

static int64_t monotonic_s(void)
{
    return gp_clock_ns() / GP_NS_PER_SEC;
}

static void watch(gp_guard *g, gp_connection *conn)
{
    pthread_mutex_lock(&g->lock);
    conn->since = monotonic_s();
    conn->next = g->first;
    if (g->first)
        g->first->prev = conn;
    g->first = conn;
    pthread_mutex_unlock(&g->lock);
}

static void forget(gp_guard *g, gp_connection *conn)
{
    pthread_mutex_lock(&g->lock);
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        g->first = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    pthread_mutex_unlock(&g->lock);
}

/* Without credentials of ours the session would use those that libmicrohttpd was started with, which know
 * nothing of a client's: it must not go on. */
static gp_connection *begin(gp_http_server *s, struct MHD_Connection *c)
{
    gp_connection *conn = calloc(1, sizeof *conn);
    int fd = socket_of(c);
    if (conn && s->tls)
        conn->tls = gp_tls_attach(s->tls, gp_http_tls_session(c));
    if (conn) {
        conn->fd = fd;
        gp_http_write_peer(c, fd, conn->peer, sizeof conn->peer);
        watch(&s->guard, conn);
    }
    if (!conn || (s->tls && !conn->tls))
        shutdown(fd, SHUT_RDWR);
    return conn;
}

void gp_http_on_connection(void *server, struct MHD_Connection *c, void **context,
                           enum MHD_ConnectionNotificationCode what)
{
    gp_http_server *s = server;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = begin(s, c);
        return;
    }
    gp_connection *conn = *context; /* its socket is still open, and is closed after us */
    *context = NULL;
    if (!conn)
        return;
    forget(&s->guard, conn);
    gp_tls_release(conn->tls);
    free(conn);
}

void gp_http_set_busy(gp_http_request *req, bool busy)
{
    gp_guard *g = &req->server->guard;
    if (!req->conn)
        return;
    pthread_mutex_lock(&g->lock);
    req->conn->busy = busy;
    req->conn->since = monotonic_s();
    pthread_mutex_unlock(&g->lock);
}

/* ---- the guard ----------------------------------------------------------------------------------------- */

/* g->lock is held. */
static void end_late(gp_http_server *s, time_t now)
{
    for (gp_connection *c = s->guard.first; c; c = c->next) {
        if (c->busy || c->late || now - c->since < (time_t)s->guard.request_timeout_s)
            continue;
        c->late = true;
        shutdown(c->fd, SHUT_RDWR);
        gp_log_info(s->log, "closed a connection whose request was not complete in time",
                    GP_F_STR("from", c->peer), GP_F_I64("seconds", now - c->since));
    }
}

static void *stand_guard(void *server)
{
    gp_http_server *s = server;
    gp_guard *g = &s->guard;
    pthread_mutex_lock(&g->lock);
    while (!g->stopping) {
        (void)gp_clock_wait(&g->stop, &g->lock, gp_clock_after(LOOK_S * GP_NS_PER_SEC));
        end_late(s, monotonic_s());
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

void gp_http_guard_init(gp_guard *g, unsigned request_timeout_s)
{
    g->request_timeout_s = request_timeout_s;
    pthread_mutex_init(&g->lock, NULL);
    gp_clock_cond_init(&g->stop);
}

bool gp_http_guard_start(gp_http_server *s)
{
    s->guard.running = pthread_create(&s->guard.thread, NULL, stand_guard, s) == 0;
    return s->guard.running;
}

void gp_http_guard_stop(gp_guard *g)
{
    if (!g->running)
        return;
    pthread_mutex_lock(&g->lock);
    g->stopping = true;
    pthread_cond_broadcast(&g->stop);
    pthread_mutex_unlock(&g->lock);
    pthread_join(g->thread, NULL);
    g->running = false;
}

void gp_http_guard_destroy(gp_guard *g)
{
    pthread_cond_destroy(&g->stop);
    pthread_mutex_destroy(&g->lock);
}
