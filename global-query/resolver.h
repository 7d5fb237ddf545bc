/*
 * resolver.h - turns the hosts part of a query into the names of hosts. Kinds of resolver are compiled in,
 * one file each; `gp_resolver_kinds` lists them.
 *
 *   string   a comma-separated list of names (always there)
 *   static   all hosts of a file: {"ids": [...]}, whatever the query says
 *
 * "any" is not a resolver: it means every host that the querier knows (gp_endpoints).
 *
 * Thread-safety: a resolver may be asked by any number of threads.
 */
#ifndef GP_GLOBAL_QUERY_RESOLVER_H
#define GP_GLOBAL_QUERY_RESOLVER_H

#include "proto/base/strlist.h"

typedef struct gp_resolver gp_resolver;

typedef struct gp_resolver_kind {
    const char *name;
    /* config: path of its configuration file, may be NULL or empty. */
    gp_code (*open)(gp_resolver **out, const char *config, gp_error *err);
} gp_resolver_kind;

/* First member of every resolver. */
struct gp_resolver {
    const gp_resolver_kind *kind;
    gp_code (*resolve)(const gp_resolver *r, const char *query, char ***hosts, size_t *n, gp_error *err);
    void (*close)(gp_resolver *r);
};

extern const gp_resolver_kind gp_resolver_string;
extern const gp_resolver_kind gp_resolver_static;

/* The resolvers of a service. */
typedef struct gp_resolvers {
    gp_resolver **items;
    size_t n;
} gp_resolvers;

/* Adds a resolver of this kind unless there is one already; GP_EINVAL names an unknown kind and the known
 * ones. */
gp_code gp_resolvers_add(gp_resolvers *r, const char *kind, const char *config, gp_error *err);
void gp_resolvers_free(gp_resolvers *r);
/* Hosts of a query by the resolver of this kind (NULL or "": string). *hosts: gp_strlist_free. */
gp_code gp_resolvers_resolve(const gp_resolvers *r, const char *kind, const char *query, char ***hosts,
                             size_t *n, gp_error *err);

#endif
