#include "proto/http/internal.h"

#include <string.h>

/* Whether path is that of the route; *param is then its last segment where the route has a {name} there. */
static bool path_matches(const char *route, const char *path, const char **param)
{
    const char *brace = strchr(route, '{');
    *param = NULL;
    if (!brace)
        return strcmp(route, path) == 0;
    size_t fixed = (size_t)(brace - route);
    if (strncmp(route, path, fixed) != 0)
        return false;
    const char *rest = path + fixed;
    if (rest[0] == '\0' || strchr(rest, '/'))
        return false;
    *param = rest;
    return true;
}

static bool method_matches(const char *route, const char *method)
{
    return strcmp(route, method) == 0 || (strcmp(route, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

static void add_allowed(gp_buf *allow, const char *method)
{
    if (allow->len)
        gp_buf_puts(allow, ", ");
    gp_buf_puts(allow, method);
    if (strcmp(method, "GET") == 0)
        gp_buf_puts(allow, ", HEAD");
}

const gp_http_route *gp_http_match(const gp_http_server *s, const char *method, const char *path,
                                   const char **param, gp_buf *allow)
{
    const gp_http_route *found = NULL;
    *param = NULL;
    for (size_t i = 0; i < s->n_routes; i++) {
        const gp_http_route *r = &s->routes[i];
        const char *segment = NULL;
        if (!path_matches(r->path, path, &segment))
            continue;
        add_allowed(allow, r->method);
        /* "/config/_reload" is more exact than "/config/{iface}". */
        if (method_matches(r->method, method) && (!found || !segment)) {
            found = r;
            *param = segment;
        }
    }
    return found;
}
