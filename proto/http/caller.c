/* Who asks, from where, and by which id the request is known on its way through a fleet. */
#include "proto/http/internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <gnutls/crypto.h>

static void put_inet(const struct sockaddr *addr, char *dst, size_t size)
{
    char text[INET6_ADDRSTRLEN] = "?";
    if (addr->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, addr, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
        snprintf(dst, size, "%s:%u", text, ntohs(v4.sin_port));
        return;
    }
    struct sockaddr_in6 v6;
    memcpy(&v6, addr, sizeof v6);
    bool mapped = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr);
    inet_ntop(mapped ? AF_INET : AF_INET6, &v6.sin6_addr.s6_addr[mapped ? 12 : 0], text, sizeof text);
    snprintf(dst, size, mapped ? "%s:%u" : "[%s]:%u", text, ntohs(v6.sin6_port));
}

/* The kernel says who connected to a UNIX socket (unix(7), SO_PEERCRED). */
static void put_process(int fd, char *dst, size_t size)
{
    struct ucred who;
    socklen_t len = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0)
        snprintf(dst, size, "unix:uid=%u,pid=%d", who.uid, who.pid);
    else
        snprintf(dst, size, "unix:");
}

void gp_http_write_peer(struct MHD_Connection *c, int fd, char *dst, size_t size)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *addr = info ? info->client_addr : NULL;
    if (addr && (addr->sa_family == AF_INET || addr->sa_family == AF_INET6))
        put_inet(addr, dst, size);
    else
        put_process(fd, dst, size);
}

/* An id from outside is taken only if it is short and printable: it ends up in logs and in headers. */
static bool is_sane(const char *id)
{
    size_t n = strlen(id);
    for (size_t i = 0; i < n; i++)
        if (id[i] < 0x21 || id[i] > 0x7e)
            return false;
    return n > 0 && n <= GP_REQUEST_ID_MAX;
}

void gp_http_take_id(gp_http_request *req)
{
    const char *id = gp_http_header(req, "X-Request-ID");
    unsigned char bytes[16] = {0};
    if (id && is_sane(id)) {
        memcpy(req->id, id, strlen(id) + 1);
        return;
    }
    (void)gnutls_rnd(GNUTLS_RND_NONCE, bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(req->id + 2 * i, 3, "%02x", bytes[i]);
}

const char *gp_http_request_id(const gp_http_request *req)
{
    return req->id;
}

const char *gp_http_peer(const gp_http_request *req)
{
    return req->conn ? req->conn->peer : "?";
}

const char *gp_http_who(gp_http_request *req)
{
    gnutls_session_t session = gp_http_tls_session(req->connection);
    if (!req->identity.name[0] && session)
        gp_tls_peer_name(session, req->identity.name, sizeof req->identity.name);
    return req->identity.name;
}

void gp_http_note(gp_http_request *req, const char *text)
{
    gp_buf_clear(&req->note);
    gp_buf_puts(&req->note, text);
}

void gp_http_note_failure(gp_http_request *req)
{
    req->failed = true;
}

/* One line for each attempt to change something, whether it was allowed or not. */
void gp_http_audit(gp_http_request *req)
{
    if (!req->route || req->route->access != GP_HTTP_CONTROL)
        return;
    const char *who = gp_http_who(req);
    const char *outcome = req->status == 0                    ? "aborted"
                          : req->refused                      ? "denied"
                          : req->status >= 400 || req->failed ? "failed"
                                                              : "done";
    gp_log_audit(req->server->audit, "control call", GP_F_STR("who", *who ? who : "anonymous"),
                 GP_F_STR("from", gp_http_peer(req)), GP_F_STR("method", req->method),
                 GP_F_STR("path", gp_http_path(req)), GP_F_STR("outcome", outcome),
                 GP_F_I64("status", req->status), GP_F_STR("request_id", req->id),
                 GP_F_STR("detail", req->note.data ? req->note.data : ""));
}
