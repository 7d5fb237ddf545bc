/* Inventories in YAML: groups are mappings with hosts, children and vars. */
#include "global-query/inventory_internal.h"
#include "proto/yaml/yaml.h"

/* Values that are no scalars are nothing that matters here. */
static gp_code read_vars(inventory_vars *vars, const gp_yaml_node *node, gp_error *err)
{
    gp_code rc = GP_OK;
    for (size_t i = 0; node && node->kind == GP_YAML_MAP && i < node->n && rc == GP_OK; i++) {
        const gp_yaml_entry *e = &node->entries[i];
        if (e->value->kind == GP_YAML_SCALAR)
            rc = inventory_set(vars, e->key, e->value->text, err);
    }
    return rc;
}

static gp_code read_hosts(inventory *v, size_t group, const gp_yaml_node *hosts, gp_error *err)
{
    gp_code rc = gp_yaml_expect(hosts, GP_YAML_MAP, err);
    for (size_t i = 0; rc == GP_OK && hosts && i < hosts->n; i++) {
        size_t host;
        rc = inventory_host_at(v, hosts->entries[i].key, &host, err);
        if (rc == GP_OK)
            rc = inventory_join(v, group, host, err);
        if (rc == GP_OK)
            rc = read_vars(&v->hosts[host].vars, hosts->entries[i].value, err);
    }
    return rc;
}

static gp_code read_group(inventory *v, const gp_yaml_entry *e, size_t *at, gp_error *err)
{
    const gp_yaml_node *children = gp_yaml_get(e->value, "children");
    size_t group;
    gp_code rc = gp_yaml_expect(e->value, GP_YAML_MAP, err);
    if (rc == GP_OK)
        rc = inventory_group_at(v, e->key, &group, err);
    if (rc != GP_OK)
        return rc;
    *at = group;
    rc = read_vars(&v->groups[group].vars, gp_yaml_get(e->value, "vars"), err);
    if (rc == GP_OK)
        rc = read_hosts(v, group, gp_yaml_get(e->value, "hosts"), err);
    if (rc == GP_OK)
        rc = gp_yaml_expect(children, GP_YAML_MAP, err);
    for (size_t i = 0; rc == GP_OK && children && i < children->n; i++) {
        size_t child;
        rc = read_group(v, &children->entries[i], &child, err); /* as deep as the document */
        if (rc == GP_OK)
            rc = inventory_nest(v, group, child, err);
    }
    return rc;
}

gp_code inventory_read_yaml(inventory *v, const char *name, const char *text, size_t len, gp_error *err)
{
    gp_yaml_doc *doc = NULL;
    gp_code rc = gp_yaml_parse(&doc, name, text, len, err);
    if (rc != GP_OK)
        return rc;
    const gp_yaml_node *root = gp_yaml_root(doc);
    size_t group;
    rc = gp_yaml_expect(root, GP_YAML_MAP, err);
    for (size_t i = 0; rc == GP_OK && i < root->n; i++)
        rc = read_group(v, &root->entries[i], &group, err);
    gp_yaml_free(doc);
    return rc;
}
