/* The inventory by which the sensors were rolled out (inventory.h); the query chooses from it (hostset.h). */
#include "global-query/inventory.h"
#include "global-query/resolver.h"
#include "proto/base/watched.h"

#include <stdlib.h>

typedef struct ansible_resolver {
    gp_resolver base;
    gp_watched *file;
} ansible_resolver;

static gp_code load(const char *path, gp_log *log, void **content, gp_error *err)
{
    (void)log;
    gp_hostset *set = NULL;
    gp_code rc = gp_inventory_load(path, &set, err);
    *content = set;
    return rc;
}

static void free_set(void *content)
{
    gp_hostset_free(content);
}

static const gp_watched_kind inventory_file = {"Ansible inventory", load, free_set};

static gp_code resolve(gp_resolver *base, const char *query, gp_host_list *out, gp_error *err)
{
    ansible_resolver *r = (ansible_resolver *)base;
    gp_watched_content *handle;
    const gp_hostset *hosts = gp_watched_take(r->file, &handle);
    gp_code rc = gp_hostset_choose(hosts, query, out, err);
    gp_watched_give(r->file, handle);
    return rc;
}

static void close_resolver(gp_resolver *base)
{
    ansible_resolver *r = (ansible_resolver *)base;
    gp_watched_close(r->file);
    free(r);
}

static gp_code open_resolver(gp_resolver **out, const char *config, gp_log *log, gp_error *err)
{
    if (!config || !*config)
        return gp_fail(err, GP_EINVAL, "it needs an inventory: name its file as config of the resolver");
    ansible_resolver *r = calloc(1, sizeof *r);
    if (!r)
        return gp_fail(err, GP_ENOMEM, "out of memory for a resolver");
    r->base = (gp_resolver){&gp_resolver_ansible, resolve, close_resolver};
    gp_code rc = gp_watched_open(&r->file, &inventory_file, config, log, err);
    if (rc != GP_OK) {
        close_resolver(&r->base);
        return rc;
    }
    *out = &r->base;
    return GP_OK;
}

const gp_resolver_kind gp_resolver_ansible = {"ansible", open_resolver};
