/* Hosts as the query names them: "hostA, hostB". */
#include "global-query/resolver.h"

#include <stdlib.h>
#include <string.h>

static gp_code add_name(const char *from, size_t len, gp_host_list *out, gp_error *err)
{
    while (len && strchr(" \t\r\n", *from)) {
        from++;
        len--;
    }
    while (len && strchr(" \t\r\n", from[len - 1]))
        len--;
    if (len == 0)
        return GP_OK;
    char *name = strndup(from, len);
    if (!name)
        return gp_fail(err, GP_ENOMEM, "out of memory for a list of hosts");
    gp_code rc = gp_host_list_add(out, name, NULL, err);
    free(name);
    return rc;
}

static gp_code resolve(gp_resolver *r, const char *query, gp_host_list *out, gp_error *err)
{
    (void)r;
    gp_code rc = GP_OK;
    for (const char *at = query; rc == GP_OK;) {
        size_t len = strcspn(at, ",");
        rc = add_name(at, len, out, err);
        if (at[len] == '\0')
            break;
        at += len + 1;
    }
    if (rc == GP_OK)
        gp_host_list_sort(out);
    return rc;
}

static void close_resolver(gp_resolver *r)
{
    free(r);
}

static gp_code open_resolver(gp_resolver **out, const char *config, gp_log *log, gp_error *err)
{
    (void)config;
    (void)log;
    gp_resolver *r = malloc(sizeof *r);
    if (!r)
        return gp_fail(err, GP_ENOMEM, "out of memory for a resolver");
    *r = (gp_resolver){&gp_resolver_string, resolve, close_resolver};
    *out = r;
    return GP_OK;
}

const gp_resolver_kind gp_resolver_string = {"string", open_resolver};
