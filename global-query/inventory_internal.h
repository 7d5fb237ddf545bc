/*
 * inventory_internal.h - an inventory while it is read: groups with their hosts, children and variables,
 * before groups are resolved. Internal to inventory*.c.
 */
#ifndef GP_GLOBAL_QUERY_INVENTORY_INTERNAL_H
#define GP_GLOBAL_QUERY_INVENTORY_INTERNAL_H

#include "global-query/inventory.h"
#include "proto/base/buf.h"

/* The variables that matter; NULL: not set. */
typedef struct inventory_vars {
    char *addr, *host, *port;
} inventory_vars;

typedef struct inventory_host {
    char *name;
    inventory_vars vars;
} inventory_host;

typedef struct inventory_group {
    char *name;
    inventory_vars vars;
    size_t *hosts, n_hosts;
    size_t *children, n_children;
} inventory_group;

typedef struct inventory {
    inventory_host *hosts;
    size_t n_hosts;
    inventory_group *groups;
    size_t n_groups;
    void *host_tree, *group_tree; /* nodes by name, tsearch(3) */
    struct inventory_name *names;
} inventory;

/* Finds or adds; *at is the index. */
gp_code inventory_host_at(inventory *v, const char *name, size_t *at, gp_error *err);
gp_code inventory_group_at(inventory *v, const char *name, size_t *at, gp_error *err);
gp_code inventory_join(inventory *v, size_t group, size_t host, gp_error *err);
gp_code inventory_nest(inventory *v, size_t parent, size_t child, gp_error *err);
/* Variables that do not matter are ignored. */
gp_code inventory_set(inventory_vars *vars, const char *name, const char *value, gp_error *err);

gp_code inventory_read_yaml(inventory *v, const char *name, const char *text, size_t len, gp_error *err);
gp_code inventory_read_ini(inventory *v, const char *name, const char *text, size_t len, gp_error *err);

#endif
