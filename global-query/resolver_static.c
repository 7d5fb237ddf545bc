/*
 * Hosts of a file. As in v4 a file with nothing but ids means all of these, whatever the query says:
 *
 *   ids: [hostA, hostB]
 *
 * Beyond v4 the query chooses (hostset.h) from hosts with addresses, groups and tags:
 *
 *   hosts:
 *     web1: {addr: "web1.example.com:8145", tags: [eu, web]}
 *     db1:
 *   groups:
 *     front: [web1]
 */
#include "global-query/resolver.h"
#include "proto/base/strlist.h"
#include "proto/base/watched.h"
#include "proto/yaml/yaml.h"

#include <stdlib.h>

typedef struct static_resolver {
    gp_resolver base;
    gp_watched *file;
} static_resolver;

typedef struct static_hosts {
    gp_hostset *set;
    bool only_ids;
} static_hosts;

static gp_code add_labels(gp_hostset *set, const char *host, const gp_yaml_node *tags, gp_error *err)
{
    char **names = NULL;
    size_t n = 0;
    gp_code rc = gp_yaml_strlist(tags, &names, &n, err);
    for (size_t i = 0; i < n && rc == GP_OK; i++)
        rc = gp_hostset_label(set, host, names[i], err);
    gp_strlist_free(names, n);
    return rc;
}

static gp_code add_hosts(gp_hostset *set, const gp_yaml_node *hosts, gp_error *err)
{
    gp_code rc = gp_yaml_expect(hosts, GP_YAML_MAP, err);
    for (size_t i = 0; rc == GP_OK && hosts && i < hosts->n; i++) {
        const gp_yaml_entry *e = &hosts->entries[i];
        const char *addr = NULL;
        rc = gp_yaml_expect(e->value, GP_YAML_MAP, err);
        if (rc == GP_OK)
            rc = gp_yaml_str(gp_yaml_get(e->value, "addr"), &addr, err);
        if (rc == GP_OK)
            rc = gp_hostset_add(set, e->key, addr, err);
        if (rc == GP_OK)
            rc = add_labels(set, e->key, gp_yaml_get(e->value, "tags"), err);
    }
    return rc;
}

static gp_code add_groups(gp_hostset *set, const gp_yaml_node *groups, gp_error *err)
{
    gp_code rc = gp_yaml_expect(groups, GP_YAML_MAP, err);
    for (size_t i = 0; rc == GP_OK && groups && i < groups->n; i++) {
        char **names = NULL;
        size_t n = 0;
        rc = gp_yaml_strlist(groups->entries[i].value, &names, &n, err);
        for (size_t k = 0; k < n && rc == GP_OK; k++)
            rc = gp_hostset_label(set, names[k], groups->entries[i].key, err);
        gp_strlist_free(names, n);
    }
    return rc;
}

static gp_code add_ids(gp_hostset *set, const gp_yaml_node *ids, gp_error *err)
{
    char **names = NULL;
    size_t n = 0;
    gp_code rc = gp_yaml_strlist(ids, &names, &n, err);
    for (size_t i = 0; i < n && rc == GP_OK; i++)
        rc = gp_hostset_add(set, names[i], NULL, err);
    gp_strlist_free(names, n);
    return rc;
}

static void free_hosts(void *content)
{
    static_hosts *h = content;
    gp_hostset_free(h->set);
    free(h);
}

static gp_code read_hosts(static_hosts *h, const gp_yaml_node *root, const char *path, gp_error *err)
{
    const gp_yaml_node *hosts = gp_yaml_get(root, "hosts");
    const gp_yaml_node *groups = gp_yaml_get(root, "groups");
    h->only_ids = !hosts && !groups;
    gp_code rc = gp_hostset_new(&h->set, err);
    if (rc == GP_OK)
        rc = add_ids(h->set, gp_yaml_get(root, "ids"), err);
    if (rc == GP_OK)
        rc = add_hosts(h->set, hosts, err);
    if (rc == GP_OK)
        rc = add_groups(h->set, groups, err);
    if (rc == GP_OK && gp_hostset_count(h->set) == 0)
        rc = gp_fail(err, GP_EINVAL, "static resolver: config has no ids (%s)", path);
    return rc;
}

static gp_code load_hosts(const char *path, gp_log *log, void **content, gp_error *err)
{
    (void)log;
    gp_yaml_doc *doc = NULL;
    static_hosts *h = calloc(1, sizeof *h);
    if (!h)
        return gp_fail(err, GP_ENOMEM, "out of memory for %s", path);
    gp_code rc = gp_yaml_load(&doc, path, err);
    if (rc == GP_OK)
        rc = read_hosts(h, gp_yaml_root(doc), path, err);
    gp_yaml_free(doc);
    if (rc != GP_OK) {
        free_hosts(h);
        return rc;
    }
    *content = h;
    return GP_OK;
}

static const gp_watched_kind static_file = {"hosts of the static resolver", load_hosts, free_hosts};

static gp_code resolve(gp_resolver *base, const char *query, gp_host_list *out, gp_error *err)
{
    static_resolver *r = (static_resolver *)base;
    gp_watched_content *handle;
    if (!r->file)
        return GP_OK;
    const static_hosts *h = gp_watched_take(r->file, &handle);
    gp_code rc = gp_hostset_choose(h->set, h->only_ids ? "any" : query, out, err);
    gp_watched_give(r->file, handle);
    return rc;
}

static void close_resolver(gp_resolver *base)
{
    static_resolver *r = (static_resolver *)base;
    gp_watched_close(r->file);
    free(r);
}

static gp_code open_resolver(gp_resolver **out, const char *config, gp_log *log, gp_error *err)
{
    static_resolver *r = calloc(1, sizeof *r);
    if (!r)
        return gp_fail(err, GP_ENOMEM, "out of memory for a resolver");
    r->base = (gp_resolver){&gp_resolver_static, resolve, close_resolver};
    gp_code rc = config && *config ? gp_watched_open(&r->file, &static_file, config, log, err) : GP_OK;
    if (rc != GP_OK) {
        close_resolver(&r->base);
        return rc;
    }
    *out = &r->base;
    return GP_OK;
}

const gp_resolver_kind gp_resolver_static = {"static", open_resolver};
