#include "proto/nanomsg/addr.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static const char tcp[] = "tcp://";
static const char ipc[] = "ipc://";
static const char every[] = "*";

/* Into host and port; the brackets of an IPv6 address go. */
typedef struct tcp_addr {
    char host[GP_NANOMSG_ADDR_SIZE];
    char port[6];
} tcp_addr;

static gp_code no_address(const char *addr, gp_error *err)
{
    return gp_fail(err, GP_EINVAL,
                   "nanomsg address '%s' is none: write tcp://host:port, tcp://:port or ipc:///path", addr);
}

static bool is_port(const char *text)
{
    size_t n = strspn(text, "0123456789");
    return n > 0 && n <= 5 && text[n] == '\0' && strtol(text, NULL, 10) <= 65535;
}

static gp_code split_tcp(const char *addr, tcp_addr *out, gp_error *err)
{
    const char *host = addr + (strncmp(addr, tcp, strlen(tcp)) == 0 ? strlen(tcp) : 0);
    const char *colon = strrchr(host, ':');
    if (!colon || !is_port(colon + 1))
        return no_address(addr, err);
    size_t len = (size_t)(colon - host);
    bool brackets = len >= 2 && host[0] == '[' && colon[-1] == ']';
    if (brackets) {
        host++;
        len -= 2;
    }
    if (len >= sizeof out->host || (!brackets && (memchr(host, ':', len) || memchr(host, '/', len))))
        return no_address(addr, err);
    snprintf(out->host, sizeof out->host, "%.*s", (int)len, len ? host : every);
    if (!len)
        snprintf(out->host, sizeof out->host, "%s", every);
    snprintf(out->port, sizeof out->port, "%s", colon + 1);
    return GP_OK;
}

static bool is_ipc(const char *addr)
{
    return strncmp(addr, ipc, strlen(ipc)) == 0;
}

static gp_code check_ipc(const char *addr, gp_error *err)
{
    size_t len = strlen(addr + strlen(ipc));
    size_t most = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    if (len == 0 || len > most)
        return gp_fail(err, GP_EINVAL, "nanomsg address '%s': a socket path has 1 to %zu bytes", addr, most);
    return GP_OK;
}

gp_code gp_nanomsg_addr_check(const char *addr, gp_error *err)
{
    tcp_addr parts;
    return is_ipc(addr) ? check_ipc(addr, err) : split_tcp(addr, &parts, err);
}

/* nanomsg binds to numbers and names of interfaces only. */
static gp_code look_up(const char *addr, tcp_addr *parts, gp_error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(parts->host, parts->port, &hints, &list);
    if (rc != 0)
        return gp_fail(err, GP_ENOTFOUND, "nanomsg address '%s': %s", addr, gai_strerror(rc));
    const struct addrinfo *ai = list; /* IPv4 first: that is what "localhost" is expected to be */
    while (ai && ai->ai_family != AF_INET)
        ai = ai->ai_next;
    ai = ai ? ai : list;
    rc = !ai ? EAI_NONAME
             : getnameinfo(ai->ai_addr, ai->ai_addrlen, parts->host, sizeof parts->host, NULL, 0,
                           NI_NUMERICHOST);
    freeaddrinfo(list);
    return rc == 0 ? GP_OK : gp_fail(err, GP_ENOTFOUND, "nanomsg address '%s': %s", addr, gai_strerror(rc));
}

gp_code gp_nanomsg_addr_resolve(const char *addr, gp_nanomsg_addr *out, gp_error *err)
{
    tcp_addr parts;
    gp_code rc = gp_nanomsg_addr_check(addr, err);
    if (rc != GP_OK)
        return rc;
    out->ipc = is_ipc(addr);
    if (out->ipc) {
        snprintf(out->text, sizeof out->text, "%s", addr);
        return GP_OK;
    }
    rc = split_tcp(addr, &parts, err);
    if (rc == GP_OK && strcmp(parts.host, every) != 0)
        rc = look_up(addr, &parts, err);
    if (rc != GP_OK)
        return rc;
    bool v6 = strchr(parts.host, ':') != NULL;
    int n = snprintf(out->text, sizeof out->text, "%s%s%s%s:%s", tcp, v6 ? "[" : "", parts.host,
                     v6 ? "]" : "", parts.port);
    return n > 0 && (size_t)n < sizeof out->text ? GP_OK : no_address(addr, err);
}
