/* Addresses to listen on: "host:port", ":port", "[v6]:port" and "unix:/path". */
#include "proto/base/unixsock.h"
#include "proto/http/internal.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 128 };

static gp_code fail_close(gp_error *err, int fd, const char *what, const char *addr)
{
    int sys = errno;
    close(fd);
    if (sys == EADDRINUSE) {
        gp_code rc = gp_fail(err, GP_EBUSY,
                             "cannot listen on %s: the address is in use; stop the program that "
                             "listens there or configure another address",
                             addr);
        if (err)
            err->sys = sys;
        return rc;
    }
    return gp_fail_errno(err, sys, "cannot listen on %s: %s", addr, what);
}

static gp_code listen_unix(gp_listener *out, const char *path, const gp_unix_socket_access *access,
                           gp_error *err)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    gp_code rc = gp_unix_socket_clear(path, err);
    if (rc != GP_OK)
        return rc;
    memcpy(sun.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return gp_fail_errno(err, errno, "cannot make a UNIX socket");
    if (bind(fd, (const struct sockaddr *)&sun, sizeof sun) != 0)
        return fail_close(err, fd, "bind", path);
    /* Before listen(2) nobody can connect, so there is no moment in which the wrong ones may. */
    rc = gp_unix_socket_give(path, access, err);
    if (rc != GP_OK) {
        close(fd);
        unlink(path);
        return rc;
    }
    struct stat st;
    if (listen(fd, BACKLOG) != 0 || lstat(path, &st) != 0) {
        rc = fail_close(err, fd, "listen", path);
        unlink(path);
        return rc;
    }
    *out = (gp_listener){.fd = fd, .path = strdup(path), .dev = st.st_dev, .ino = st.st_ino};
    if (out->path)
        return GP_OK;
    close(fd);
    unlink(path);
    return gp_fail(err, GP_ENOMEM, "out of memory");
}

/* Splits "host:port" and "[v6]:port" in place; false if there is no port. */
static bool split_port(char *text, char **host, char **port)
{
    char *colon = strrchr(text, ':');
    if (!colon || colon[1] == '\0')
        return false;
    *colon = '\0';
    *port = colon + 1;
    *host = text;
    size_t n = strlen(text);
    if (text[0] == '[' && n > 1 && text[n - 1] == ']') {
        text[n - 1] = '\0';
        *host = text + 1;
        return true;
    }
    return strchr(text, ':') == NULL; /* a bare IPv6 address needs brackets */
}

static bool is_loopback(const struct sockaddr *addr)
{
    if (addr->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, addr, sizeof v4);
        return ntohl(v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    struct sockaddr_in6 v6;
    if (addr->sa_family != AF_INET6)
        return false;
    memcpy(&v6, addr, sizeof v6);
    return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

static gp_code listen_on(gp_listener *out, const struct addrinfo *ai, const char *addr, gp_error *err)
{
    int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, ai->ai_protocol);
    if (fd < 0)
        return gp_fail_errno(err, errno, "cannot listen on %s: no socket", addr);
    int on = 1;
    int off = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (ai->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0)
        return fail_close(err, fd, "bind", addr);
    if (listen(fd, BACKLOG) != 0)
        return fail_close(err, fd, "listen", addr);
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } bound = {.v6 = {0}};
    socklen_t len = sizeof bound;
    if (getsockname(fd, &bound.any, &len) != 0)
        return fail_close(err, fd, "getsockname", addr);
    in_port_t port = bound.any.sa_family == AF_INET6 ? bound.v6.sin6_port : bound.v4.sin_port;
    *out = (gp_listener){.fd = fd, .port = ntohs(port), .open = !is_loopback(&bound.any)};
    return GP_OK;
}

/* Tries the addresses of one family after the other until one can be listened on. */
static gp_code listen_any(gp_listener *out, const struct addrinfo *list, int first_family, const char *addr,
                          gp_error *err)
{
    gp_code rc = gp_fail(err, GP_EINVAL, "cannot listen on %s: it has no address", addr);
    for (int pass = 0; pass < 2; pass++) {
        for (const struct addrinfo *ai = list; ai; ai = ai->ai_next) {
            if ((ai->ai_family == first_family) != (pass == 0))
                continue;
            rc = listen_on(out, ai, addr, err);
            if (rc == GP_OK || rc == GP_EBUSY)
                return rc;
        }
    }
    return rc;
}

/* The addresses that "host:port" and the like stand for. */
static gp_code resolve(const char *addr, struct addrinfo **list, bool *any_host, gp_error *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    char *copy = strdup(addr);
    char *host = NULL;
    char *port = NULL;
    gp_code rc = GP_OK;
    if (!copy)
        return gp_fail(err, GP_ENOMEM, "out of memory");
    if (!split_port(copy, &host, &port)) {
        rc = gp_fail(err, GP_EINVAL, "cannot listen on '%s': write host:port, :port, [v6]:port or unix:/path",
                     addr);
    } else {
        int gai = getaddrinfo(host[0] ? host : NULL, port, &hints, list);
        if (gai != 0)
            rc = gp_fail(err, GP_EINVAL, "cannot listen on %s: %s", addr, gai_strerror(gai));
        *any_host = !host[0];
    }
    free(copy);
    return rc;
}

bool gp_http_addr_is_open(const char *addr)
{
    struct addrinfo *list = NULL;
    bool any_host;
    bool open = false;
    if (strncmp(addr, "unix:", 5) == 0)
        return false;
    if (resolve(addr, &list, &any_host, NULL) != GP_OK)
        return true;
    for (const struct addrinfo *ai = list; ai; ai = ai->ai_next)
        open = open || !is_loopback(ai->ai_addr);
    freeaddrinfo(list);
    return open;
}

static gp_code listen_tcp(gp_listener *out, const char *addr, gp_error *err)
{
    struct addrinfo *list = NULL;
    bool any_host;
    gp_code rc = resolve(addr, &list, &any_host, err);
    if (rc != GP_OK)
        return rc;
    /* Without a host: IPv6, which takes IPv4 along. With a name: IPv4 first, as v4 does. */
    rc = listen_any(out, list, any_host ? AF_INET6 : AF_INET, addr, err);
    freeaddrinfo(list);
    return rc;
}

gp_code gp_listen(gp_listener *out, const char *addr, const gp_unix_socket_access *socket, gp_error *err)
{
    *out = (gp_listener){.fd = -1};
    if (strncmp(addr, "unix:", 5) == 0)
        return listen_unix(out, addr + 5, socket, err);
    return listen_tcp(out, addr, err);
}

void gp_listener_close(gp_listener *l)
{
    if (l->fd >= 0)
        close(l->fd);
    struct stat st;
    if (l->path && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
        unlink(l->path);
    free(l->path);
    *l = (gp_listener){.fd = -1};
}
