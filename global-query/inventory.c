#include "global-query/inventory_internal.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_FILE = 16 << 20, MAX_NESTING = 32, DEFAULT_PORT = 8145 };

/* ---- names --------------------------------------------------------------------------------------------- */

/* Where a host or group with a name is in its array. */
typedef struct inventory_name {
    char *text;
    size_t at;
    void **tree;
    struct inventory_name *next;
} inventory_name;

static int by_text(const void *a, const void *b)
{
    return strcmp(((const inventory_name *)a)->text, ((const inventory_name *)b)->text);
}

static inventory_name *find_name(void **tree, const char *text)
{
    const inventory_name key = {.text = (char *)(uintptr_t)text};
    inventory_name *const *node = tfind(&key, tree, by_text);
    return node ? *node : NULL;
}

static inventory_name *add_name(inventory *v, void **tree, const char *text, size_t at)
{
    inventory_name *n = calloc(1, sizeof *n);
    if (n)
        n->text = strdup(text);
    if (!n || !n->text || !tsearch(n, tree, by_text)) {
        free(n ? n->text : NULL);
        free(n);
        return NULL;
    }
    n->at = at;
    n->tree = tree;
    n->next = v->names;
    v->names = n;
    return n;
}

/* An array whose capacity is the next power of two of its length. */
static void *room_for_one(void *array, size_t n, size_t size)
{
    return array && (n & (n - 1)) != 0 ? array : realloc(array, (n ? n * 2 : 1) * size);
}

static gp_code no_memory(gp_error *err)
{
    return gp_fail(err, GP_ENOMEM, "out of memory for the inventory");
}

gp_code inventory_host_at(inventory *v, const char *name, size_t *at, gp_error *err)
{
    const inventory_name *known = find_name(&v->host_tree, name);
    if (known) {
        *at = known->at;
        return GP_OK;
    }
    if (v->n_hosts >= GP_INVENTORY_MAX_HOSTS)
        return gp_fail(err, GP_ELIMIT, "more than %d hosts", GP_INVENTORY_MAX_HOSTS);
    inventory_host *grown = room_for_one(v->hosts, v->n_hosts, sizeof *grown);
    if (!grown)
        return no_memory(err);
    v->hosts = grown;
    const inventory_name *n = add_name(v, &v->host_tree, name, v->n_hosts);
    if (!n)
        return no_memory(err);
    v->hosts[v->n_hosts] = (inventory_host){.name = n->text};
    *at = v->n_hosts++;
    return GP_OK;
}

gp_code inventory_group_at(inventory *v, const char *name, size_t *at, gp_error *err)
{
    const inventory_name *known = find_name(&v->group_tree, name);
    if (known) {
        *at = known->at;
        return GP_OK;
    }
    inventory_group *grown = room_for_one(v->groups, v->n_groups, sizeof *grown);
    if (!grown)
        return no_memory(err);
    v->groups = grown;
    const inventory_name *n = add_name(v, &v->group_tree, name, v->n_groups);
    if (!n)
        return no_memory(err);
    v->groups[v->n_groups] = (inventory_group){.name = n->text};
    *at = v->n_groups++;
    return GP_OK;
}

static gp_code add_index(size_t **list, size_t *n, size_t index, gp_error *err)
{
    size_t *grown = room_for_one(*list, *n, sizeof *grown);
    if (!grown)
        return no_memory(err);
    *list = grown;
    grown[(*n)++] = index;
    return GP_OK;
}

gp_code inventory_join(inventory *v, size_t group, size_t host, gp_error *err)
{
    return add_index(&v->groups[group].hosts, &v->groups[group].n_hosts, host, err);
}

gp_code inventory_nest(inventory *v, size_t parent, size_t child, gp_error *err)
{
    return add_index(&v->groups[parent].children, &v->groups[parent].n_children, child, err);
}

gp_code inventory_set(inventory_vars *vars, const char *name, const char *value, gp_error *err)
{
    char **at = strcmp(name, "goprobe_api_addr") == 0   ? &vars->addr
                : strcmp(name, "ansible_host") == 0     ? &vars->host
                : strcmp(name, "goprobe_api_port") == 0 ? &vars->port
                                                        : NULL;
    char *copy = at ? strdup(value) : NULL;
    if (!at)
        return GP_OK;
    if (!copy)
        return no_memory(err);
    free(*at);
    *at = copy;
    return GP_OK;
}

static void free_vars(inventory_vars *v)
{
    free(v->addr);
    free(v->host);
    free(v->port);
}

static void free_inventory(inventory *v)
{
    for (size_t i = 0; i < v->n_hosts; i++)
        free_vars(&v->hosts[i].vars);
    for (size_t i = 0; i < v->n_groups; i++) {
        free_vars(&v->groups[i].vars);
        free(v->groups[i].hosts);
        free(v->groups[i].children);
    }
    while (v->names) {
        inventory_name *n = v->names;
        v->names = n->next;
        tdelete(n, n->tree, by_text);
        free(n->text);
        free(n);
    }
    free(v->hosts);
    free(v->groups);
}

/* ---- hosts of groups ----------------------------------------------------------------------------------- */

/* What is known of a host on the way down through its groups: the nearest value of each variable. */
typedef struct known {
    const char *addr, *host, *port;
    unsigned addr_depth, host_depth, port_depth; /* depth of the group that said so, + 1 */
} known;

typedef struct resolving {
    const inventory *v;
    gp_hostset *set;
    known *known;             /* by host */
    size_t path[MAX_NESTING]; /* groups from the top */
    bool *entered;            /* groups on the path: no circles */
    bool *visited;
    size_t steps; /* host memberships so far, for a bound on hostile nesting */
} resolving;

static void learn(const char **to, unsigned *at_depth, const char *value, unsigned depth)
{
    if (value && depth >= *at_depth) {
        *to = value;
        *at_depth = depth;
    }
}

static void learn_vars(known *k, const inventory_vars *vars, unsigned depth)
{
    learn(&k->addr, &k->addr_depth, vars->addr, depth);
    learn(&k->host, &k->host_depth, vars->host, depth);
    learn(&k->port, &k->port_depth, vars->port, depth);
}

static gp_code label_host(resolving *r, size_t host, unsigned depth, gp_error *err)
{
    enum { MAX_STEPS = 4000000 };
    gp_code rc = GP_OK;
    if (r->steps++ > MAX_STEPS)
        return gp_fail(err, GP_ELIMIT, "groups contain each other too often");
    for (unsigned d = 0; d <= depth && rc == GP_OK; d++) {
        const inventory_group *g = &r->v->groups[r->path[d]];
        learn_vars(&r->known[host], &g->vars, d + 1);
        rc = gp_hostset_label(r->set, r->v->hosts[host].name, g->name, err);
    }
    return rc;
}

static gp_code walk(resolving *r, size_t group, unsigned depth, gp_error *err)
{
    const inventory_group *g = &r->v->groups[group];
    gp_code rc = GP_OK;
    if (depth >= MAX_NESTING)
        return gp_fail(err, GP_ELIMIT, "group %s is nested more than %d deep", g->name, MAX_NESTING);
    if (r->entered[group])
        return gp_fail(err, GP_EINVAL, "group %s contains itself", g->name);
    r->entered[group] = r->visited[group] = true;
    r->path[depth] = group;
    for (size_t i = 0; i < g->n_hosts && rc == GP_OK; i++)
        rc = label_host(r, g->hosts[i], depth, err);
    for (size_t i = 0; i < g->n_children && rc == GP_OK; i++)
        rc = walk(r, g->children[i], depth + 1, err);
    r->entered[group] = false;
    return rc;
}

static bool usable_addr(const char *addr)
{
    return addr && *addr && !strstr(addr, "{{") && strncmp(addr, "unix:", 5) != 0;
}

static gp_code set_addr(resolving *r, size_t host, gp_error *err)
{
    const inventory_host *h = &r->v->hosts[host];
    known *k = &r->known[host];
    learn_vars(k, &h->vars, MAX_NESTING + 1);
    if (usable_addr(k->addr))
        return gp_hostset_add(r->set, h->name, k->addr, err);
    const char *at = usable_addr(k->host) ? k->host : h->name;
    char port[16];
    char *addr = NULL;
    snprintf(port, sizeof port, "%d", DEFAULT_PORT);
    bool v6 = strchr(at, ':') != NULL;
    if (asprintf(&addr, v6 ? "[%s]:%s" : "%s:%s", at, usable_addr(k->port) ? k->port : port) < 0)
        return no_memory(err);
    gp_code rc = gp_hostset_add(r->set, h->name, addr, err);
    free(addr);
    return rc;
}

/* Groups that no other contains. */
static gp_code walk_tops(resolving *r, gp_error *err)
{
    const inventory *v = r->v;
    bool *inner = calloc(v->n_groups + 1, sizeof *inner);
    if (!inner)
        return no_memory(err);
    for (size_t i = 0; i < v->n_groups; i++)
        for (size_t k = 0; k < v->groups[i].n_children; k++)
            inner[v->groups[i].children[k]] = true;
    gp_code rc = GP_OK;
    for (size_t i = 0; i < v->n_groups && rc == GP_OK; i++)
        if (!inner[i])
            rc = walk(r, i, 0, err);
    /* From no top one comes into a circle that hangs in the air. */
    for (size_t i = 0; i < v->n_groups && rc == GP_OK; i++)
        if (!r->visited[i])
            rc = gp_fail(err, GP_EINVAL, "group %s contains itself", v->groups[i].name);
    free(inner);
    return rc;
}

static gp_code resolve(const inventory *v, gp_hostset *set, gp_error *err)
{
    resolving r = {.v = v, .set = set};
    r.known = calloc(v->n_hosts + 1, sizeof *r.known);
    r.entered = calloc(v->n_groups + 1, sizeof *r.entered);
    r.visited = calloc(v->n_groups + 1, sizeof *r.visited);
    gp_code rc = r.known && r.entered && r.visited ? walk_tops(&r, err) : no_memory(err);
    for (size_t i = 0; i < v->n_hosts && rc == GP_OK; i++)
        rc = set_addr(&r, i, err);
    free(r.known);
    free(r.entered);
    free(r.visited);
    return rc;
}

/* ---- files --------------------------------------------------------------------------------------------- */

static bool is_yaml(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot &&
           (strcasecmp(dot, ".yml") == 0 || strcasecmp(dot, ".yaml") == 0 || strcasecmp(dot, ".json") == 0);
}

gp_code gp_inventory_parse(const char *name, const char *text, size_t len, gp_hostset **out, gp_error *err)
{
    inventory v = {0};
    gp_hostset *set = NULL;
    gp_code rc = is_yaml(name) ? inventory_read_yaml(&v, name, text, len, err)
                               : inventory_read_ini(&v, name, text, len, err);
    if (rc == GP_OK)
        rc = gp_hostset_new(&set, err);
    if (rc == GP_OK && (rc = resolve(&v, set, err)) != GP_OK)
        gp_error_prefix(err, "%s", name);
    free_inventory(&v);
    if (rc != GP_OK) {
        gp_hostset_free(set);
        return rc;
    }
    *out = set;
    return GP_OK;
}

static gp_code read_text(const char *path, gp_buf *out, gp_error *err)
{
    FILE *f = fopen(path, "re");
    char chunk[16384];
    if (!f)
        return gp_fail_errno(err, errno, "cannot open %s", path);
    out->limit = MAX_FILE;
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        gp_buf_add(out, chunk, n);
    bool failed = ferror(f) != 0;
    (void)fclose(f); /* only read */
    if (failed)
        return gp_fail(err, GP_EIO, "cannot read %s", path);
    return out->failed ? gp_fail(err, GP_ELIMIT, "%s is larger than %d MiB", path, MAX_FILE >> 20) : GP_OK;
}

gp_code gp_inventory_load(const char *path, gp_hostset **out, gp_error *err)
{
    gp_buf text = GP_BUF_INIT;
    gp_code rc = read_text(path, &text, err);
    if (rc == GP_OK)
        rc = gp_inventory_parse(path, text.data ? text.data : "", text.len, out, err);
    gp_buf_free(&text);
    return rc;
}
