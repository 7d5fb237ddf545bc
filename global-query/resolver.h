/*
 * resolver.h - turns the hosts part of a query into hosts. Kinds of resolver are compiled in, one file each;
 * a new kind is a new file and a line in the table of resolver.c.
 *
 *   string    a comma-separated list of names (always there)
 *   static    a file that lists hosts, with groups and tags
 *   dns       SRV records (RFC 2782)
 *   ansible   an Ansible inventory, YAML or INI: the one by which the sensors were rolled out
 *
 * A resolver may say how a host is reached; where it does not, or the endpoints file names the host too, that
 * file decides. "any" without a resolver means every host of the endpoints file. Files are watched
 * (watched.h).
 *
 * Thread-safety: a resolver may be asked by any number of threads.
 */
#ifndef GP_GLOBAL_QUERY_RESOLVER_H
#define GP_GLOBAL_QUERY_RESOLVER_H

#include "global-query/hostset.h"
#include "proto/base/log.h"

typedef struct gp_resolver gp_resolver;

typedef struct gp_resolver_kind {
    const char *name;
    /* config: path of its configuration file, may be NULL or empty. */
    gp_code (*open)(gp_resolver **out, const char *config, gp_log *log, gp_error *err);
} gp_resolver_kind;

/* First member of every resolver. */
struct gp_resolver {
    const gp_resolver_kind *kind;
    /* *out is empty before; after an error it is freed by the caller. */
    gp_code (*resolve)(gp_resolver *r, const char *query, gp_host_list *out, gp_error *err);
    void (*close)(gp_resolver *r);
};

extern const gp_resolver_kind gp_resolver_string;
extern const gp_resolver_kind gp_resolver_static;
extern const gp_resolver_kind gp_resolver_dns;
extern const gp_resolver_kind gp_resolver_ansible;

/* The resolvers of a service. */
typedef struct gp_resolvers {
    gp_resolver **items;
    size_t n;
} gp_resolvers;

/* Adds a resolver of this kind unless there is one already; GP_EINVAL names an unknown kind and the known
 * ones. */
gp_code gp_resolvers_add(gp_resolvers *r, const char *kind, const char *config, gp_log *log, gp_error *err);
void gp_resolvers_free(gp_resolvers *r);
/* Hosts of a query by the resolver of this kind (NULL or "": string). *out: gp_host_list_free. */
gp_code gp_resolvers_resolve(const gp_resolvers *r, const char *kind, const char *query, gp_host_list *out,
                             gp_error *err);

#endif
