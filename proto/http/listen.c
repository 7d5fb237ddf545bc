/* Addresses to listen on: "host:port", ":port", "[v6]:port" and "unix:/path". */
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

enum { BACKLOG = 128, SOCKET_MODE = 0660 };

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

/* Somebody listens there: busy. Nobody does: a crashed predecessor's socket, which goes. */
static gp_code clear_stale(const struct sockaddr_un *sun, gp_error *err)
{
    struct stat st;
    if (lstat(sun->sun_path, &st) != 0)
        return errno == ENOENT ? GP_OK : gp_fail_errno(err, errno, "cannot look at '%s'", sun->sun_path);
    if (!S_ISSOCK(st.st_mode))
        return gp_fail(err, GP_EEXIST, "cannot listen on unix:%s: a file that is not a socket is there",
                       sun->sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return gp_fail_errno(err, errno, "cannot make a UNIX socket");
    bool refused = connect(fd, (const struct sockaddr *)sun, sizeof *sun) != 0 && errno == ECONNREFUSED;
    close(fd);
    if (!refused)
        return gp_fail(err, GP_EBUSY,
                       "cannot listen on unix:%s: another program listens there; stop it or configure "
                       "another path",
                       sun->sun_path);
    if (unlink(sun->sun_path) != 0 && errno != ENOENT)
        return gp_fail_errno(err, errno, "cannot remove the stale socket '%s'", sun->sun_path);
    return GP_OK;
}

static gp_code listen_unix(gp_listener *out, const char *path, gp_error *err)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    if (path[0] == '\0' || strlen(path) >= sizeof sun.sun_path)
        return gp_fail(err, GP_EINVAL, "cannot listen on unix:%s: a socket path has 1 to %zu bytes", path,
                       sizeof sun.sun_path - 1);
    memcpy(sun.sun_path, path, strlen(path) + 1);
    gp_code rc = clear_stale(&sun, err);
    if (rc != GP_OK)
        return rc;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return gp_fail_errno(err, errno, "cannot make a UNIX socket");
    /* Mode of the socket's file from the start (unix(7)): no moment in which others may connect. */
    if (fchmod(fd, SOCKET_MODE) != 0 || bind(fd, (const struct sockaddr *)&sun, sizeof sun) != 0)
        return fail_close(err, fd, "bind", path);
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
    *out = (gp_listener){.fd = fd, .port = ntohs(port)};
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

static gp_code listen_tcp(gp_listener *out, const char *addr, gp_error *err)
{
    char *copy = strdup(addr);
    if (!copy)
        return gp_fail(err, GP_ENOMEM, "out of memory");
    char *host = NULL;
    char *port = NULL;
    if (!split_port(copy, &host, &port)) {
        free(copy);
        return gp_fail(err, GP_EINVAL,
                       "cannot listen on '%s': write host:port, :port, [v6]:port or unix:/path", addr);
    }
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *list = NULL;
    int gai = getaddrinfo(host[0] ? host : NULL, port, &hints, &list);
    gp_code rc;
    if (gai != 0) {
        rc = gp_fail(err, GP_EINVAL, "cannot listen on %s: %s", addr, gai_strerror(gai));
    } else {
        /* Without a host: IPv6, which takes IPv4 along. With a name: IPv4 first, as v4 does. */
        rc = listen_any(out, list, host[0] ? AF_INET : AF_INET6, addr, err);
        freeaddrinfo(list);
    }
    free(copy);
    return rc;
}

gp_code gp_listen(gp_listener *out, const char *addr, gp_error *err)
{
    *out = (gp_listener){.fd = -1};
    if (strncmp(addr, "unix:", 5) == 0)
        return listen_unix(out, addr + 5, err);
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
