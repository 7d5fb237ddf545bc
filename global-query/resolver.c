#include "global-query/resolver.h"

#include <stdlib.h>
#include <string.h>

static const gp_resolver_kind *const kinds[] = {&gp_resolver_string, &gp_resolver_static, &gp_resolver_dns,
                                                &gp_resolver_ansible};
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

static gp_resolver *find(const gp_resolvers *r, const char *kind)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->items[i]->kind->name, kind) == 0)
            return r->items[i];
    return NULL;
}

static gp_code open_kind(const char *name, const char *config, gp_log *log, gp_resolver **out, gp_error *err)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        if (strcmp(kinds[i]->name, name) != 0)
            continue;
        gp_code rc = kinds[i]->open(out, config, log, err);
        if (rc != GP_OK)
            gp_error_prefix(err, "failed to initialize resolver \"%s\"", name);
        return rc;
    }
    return gp_fail(err, GP_EINVAL,
                   "resolver plugin \"%s\" not registered (there are: string, static, dns, ansible)", name);
}

gp_code gp_resolvers_add(gp_resolvers *r, const char *kind, const char *config, gp_log *log, gp_error *err)
{
    gp_resolver *opened = NULL;
    if (find(r, kind))
        return GP_OK;
    gp_code rc = open_kind(kind, config, log, &opened, err);
    if (rc != GP_OK)
        return rc;
    gp_resolver **items = realloc(r->items, (r->n + 1) * sizeof(gp_resolver *));
    if (!items) {
        opened->close(opened);
        return gp_fail(err, GP_ENOMEM, "out of memory for a resolver");
    }
    r->items = items;
    r->items[r->n++] = opened;
    return GP_OK;
}

void gp_resolvers_free(gp_resolvers *r)
{
    for (size_t i = 0; i < r->n; i++)
        r->items[i]->close(r->items[i]);
    free(r->items);
    *r = (gp_resolvers){0};
}

gp_code gp_resolvers_resolve(const gp_resolvers *r, const char *kind, const char *query, gp_host_list *out,
                             gp_error *err)
{
    const char *name = kind && *kind ? kind : gp_resolver_string.name;
    gp_resolver *resolver = find(r, name);
    *out = (gp_host_list){0};
    if (!resolver)
        return gp_fail(err, GP_EINVAL, "hosts resolver type \"%s\" not available", name);
    gp_code rc = resolver->resolve(resolver, query, out, err);
    if (rc != GP_OK)
        gp_host_list_free(out);
    return rc;
}
