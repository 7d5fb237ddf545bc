/* Hosts as the query names them: "hostA, hostB". */
#include "global-query/resolver.h"

#include <stdlib.h>
#include <string.h>

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static gp_code add_name(const char *from, size_t len, char ***hosts, size_t *n, gp_error *err)
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
    gp_code rc = gp_strlist_add(hosts, n, name, err);
    free(name);
    return rc;
}

/* Sorted, each once. */
static void make_unique(char **hosts, size_t *n)
{
    size_t kept = 0;
    if (*n)
        qsort(hosts, *n, sizeof *hosts, compare_names);
    for (size_t i = 0; i < *n; i++) {
        if (kept && strcmp(hosts[kept - 1], hosts[i]) == 0)
            free(hosts[i]);
        else
            hosts[kept++] = hosts[i];
    }
    *n = kept;
}

static gp_code resolve(const gp_resolver *r, const char *query, char ***hosts, size_t *n, gp_error *err)
{
    (void)r;
    gp_code rc = GP_OK;
    for (const char *at = query; rc == GP_OK;) {
        size_t len = strcspn(at, ",");
        rc = add_name(at, len, hosts, n, err);
        if (at[len] == '\0')
            break;
        at += len + 1;
    }
    if (rc != GP_OK) {
        gp_strlist_free(*hosts, *n);
        *hosts = NULL;
        *n = 0;
        return rc;
    }
    make_unique(*hosts, n);
    return GP_OK;
}

static void close_resolver(gp_resolver *r)
{
    free(r);
}

static gp_code open_resolver(gp_resolver **out, const char *config, gp_error *err)
{
    (void)config;
    gp_resolver *r = malloc(sizeof *r);
    if (!r)
        return gp_fail(err, GP_ENOMEM, "out of memory for a resolver");
    *r = (gp_resolver){&gp_resolver_string, resolve, close_resolver};
    *out = r;
    return GP_OK;
}

const gp_resolver_kind gp_resolver_string = {"string", open_resolver};
