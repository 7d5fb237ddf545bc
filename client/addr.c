#include "client/transport.h"

#include <stdlib.h>
#include <string.h>

static const char nanomsg_tcp[] = "nanomsg+tcp://";
static const char nanomsg_ipc[] = "nanomsg+ipc://";

bool gp_client_addr_is_nanomsg(const char *addr)
{
    return addr && (strncmp(addr, nanomsg_tcp, strlen(nanomsg_tcp)) == 0 ||
                    strncmp(addr, nanomsg_ipc, strlen(nanomsg_ipc)) == 0);
}

/* Whether "host:port" has both a colon and a port; "[v6]:port" included. */
static bool has_port(const char *addr)
{
    const char *colon = strrchr(addr, ':');
    if (!colon || colon[1] == '\0' || colon[1 + strspn(colon + 1, "0123456789")] != '\0')
        return false;
    return addr[0] == '[' ? colon > addr && colon[-1] == ']' : strchr(addr, ':') == colon;
}

static gp_code copy_out(char **out, const char *prefix, const char *text, gp_error *err)
{
    gp_buf b = GP_BUF_INIT;
    gp_buf_puts(&b, prefix);
    gp_buf_puts(&b, text);
    *out = gp_buf_detach(&b);
    if (!*out)
        return gp_fail(err, GP_ENOMEM, "out of memory for the address '%s'", text);
    size_t n = strlen(*out);
    while (n > 0 && (*out)[n - 1] == '/') /* paths are appended */
        (*out)[--n] = '\0';
    return GP_OK;
}

static gp_code parse_socket(const char *addr, const char *path, char **url, char **socket, gp_error *err)
{
    if (path[0] == '\0')
        return gp_fail(err, GP_EINVAL, "address '%s' lacks the path of the socket", addr);
    *socket = strdup(path);
    if (!*socket)
        return gp_fail(err, GP_ENOMEM, "out of memory for the address '%s'", addr);
    gp_code rc = copy_out(url, "http://unix", "", err);
    if (rc != GP_OK) {
        free(*socket);
        *socket = NULL;
    }
    return rc;
}

static gp_code parse_nanomsg_tcp(const char *addr, const char *host, char **url, gp_error *err)
{
    if (!has_port(host) || host[0] == ':')
        return gp_fail(err, GP_EINVAL, "address '%s': write nanomsg+tcp://host:port", addr);
    return copy_out(url, "http://", host, err);
}

gp_code gp_client_parse_addr(const char *addr, char **url, char **socket, gp_error *err)
{
    *url = NULL;
    *socket = NULL;
    if (addr == NULL || addr[0] == '\0')
        return gp_fail(err, GP_EINVAL,
                       "no address given: write host:port, http(s)://host:port, unix:/path, "
                       "nanomsg+tcp://host:port or nanomsg+ipc:///path");
    if (strncmp(addr, "unix:", 5) == 0)
        return parse_socket(addr, addr + 5, url, socket, err);
    if (strncmp(addr, nanomsg_ipc, strlen(nanomsg_ipc)) == 0)
        return parse_socket(addr, addr + strlen(nanomsg_ipc), url, socket, err);
    if (strncmp(addr, nanomsg_tcp, strlen(nanomsg_tcp)) == 0)
        return parse_nanomsg_tcp(addr, addr + strlen(nanomsg_tcp), url, err);
    bool http = strncmp(addr, "http://", 7) == 0;
    if (http || strncmp(addr, "https://", 8) == 0) {
        if (addr[http ? 7 : 8] == '\0' || addr[http ? 7 : 8] == '/')
            return gp_fail(err, GP_EINVAL, "address '%s' lacks a host", addr);
        return copy_out(url, "", addr, err);
    }
    if (!has_port(addr))
        return gp_fail(err, GP_EINVAL, "address %s: missing port in address", addr);
    return copy_out(url, addr[0] == ':' ? "http://localhost" : "http://", addr, err);
}
