/* All hosts of a file, whatever the query says: "ids: [hostA, hostB]". */
#include "global-query/resolver.h"
#include "proto/yaml/yaml.h"

#include <stdlib.h>

typedef struct static_resolver {
    gp_resolver base;
    char **ids;
    size_t n;
} static_resolver;

static gp_code resolve(const gp_resolver *base, const char *query, char ***hosts, size_t *n, gp_error *err)
{
    const static_resolver *r = (const static_resolver *)base;
    (void)query;
    gp_code rc = GP_OK;
    for (size_t i = 0; i < r->n && rc == GP_OK; i++)
        rc = gp_strlist_add(hosts, n, r->ids[i], err);
    return rc;
}

static void close_resolver(gp_resolver *base)
{
    static_resolver *r = (static_resolver *)base;
    gp_strlist_free(r->ids, r->n);
    free(r);
}

static gp_code load_ids(static_resolver *r, const char *path, gp_error *err)
{
    gp_yaml_doc *doc = NULL;
    gp_code rc = gp_yaml_load(&doc, path, err);
    if (rc != GP_OK)
        return rc;
    rc = gp_yaml_strlist(gp_yaml_find(gp_yaml_root(doc), "ids"), &r->ids, &r->n, err);
    if (rc == GP_OK && r->n == 0)
        rc = gp_fail(err, GP_EINVAL, "static resolver: config has no ids (%s)", path);
    gp_yaml_free(doc);
    return rc;
}

static gp_code open_resolver(gp_resolver **out, const char *config, gp_error *err)
{
    static_resolver *r = calloc(1, sizeof *r);
    if (!r)
        return gp_fail(err, GP_ENOMEM, "out of memory for a resolver");
    r->base = (gp_resolver){&gp_resolver_static, resolve, close_resolver};
    gp_code rc = config && *config ? load_ids(r, config, err) : GP_OK;
    if (rc != GP_OK) {
        close_resolver(&r->base);
        return rc;
    }
    *out = &r->base;
    return GP_OK;
}

const gp_resolver_kind gp_resolver_static = {"static", open_resolver};
