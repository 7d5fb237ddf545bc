/* What we know of a connection from its first to its last moment. */
#include "proto/http/internal.h"

#include <stdlib.h>
#include <sys/socket.h>

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

/* Without credentials of ours the session would use those that libmicrohttpd was started with, which know
 * nothing of a client's: it must not go on. */
static gp_connection *begin(gp_http_server *s, struct MHD_Connection *c)
{
    gp_connection *conn = calloc(1, sizeof *conn);
    if (conn && s->tls)
        conn->tls = gp_tls_attach(s->tls, gp_http_tls_session(c));
    if (conn)
        gp_http_write_peer(c, socket_of(c), conn->peer, sizeof conn->peer);
    if (!conn || (s->tls && !conn->tls))
        shutdown(socket_of(c), SHUT_RDWR);
    return conn;
}

void gp_http_on_connection(void *server, struct MHD_Connection *c, void **context,
                           enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = begin(server, c);
        return;
    }
    gp_connection *conn = *context;
    *context = NULL;
    if (conn)
        gp_tls_release(conn->tls);
    free(conn);
}
