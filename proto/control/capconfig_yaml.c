/* Capture settings in configuration files. */
#include "proto/control/capconfig.h"
#include "proto/yaml/yaml.h"

#include <stdlib.h>

static gp_code insn_from_yaml(const gp_yaml_node *n, gp_bpf_insn *out, gp_error *err)
{
    int64_t op = 0;
    int64_t jt = 0;
    int64_t jf = 0;
    int64_t k = 0;
    gp_code rc = gp_yaml_expect(n, GP_YAML_MAP, err);
    if (rc == GP_OK)
        rc = gp_yaml_int(gp_yaml_get(n, "op"), 0, UINT16_MAX, &op, err);
    if (rc == GP_OK)
        rc = gp_yaml_int(gp_yaml_get(n, "jt"), 0, UINT8_MAX, &jt, err);
    if (rc == GP_OK)
        rc = gp_yaml_int(gp_yaml_get(n, "jf"), 0, UINT8_MAX, &jf, err);
    if (rc == GP_OK)
        rc = gp_yaml_int(gp_yaml_get(n, "k"), 0, UINT32_MAX, &k, err);
    *out = (gp_bpf_insn){(uint16_t)op, (uint8_t)jt, (uint8_t)jf, (uint32_t)k};
    return rc;
}

static gp_code bpf_from_yaml(const gp_yaml_node *list, gp_capconfig *out, gp_error *err)
{
    gp_code rc = gp_yaml_expect(list, GP_YAML_LIST, err);
    if (rc != GP_OK || !list || list->n == 0)
        return rc;
    if (list->n > GP_MAX_EXTRA_BPF)
        return gp_yaml_fail(list, err, "%zu BPF instructions, at most %d are possible", list->n,
                            GP_MAX_EXTRA_BPF);
    out->extra_bpf = calloc(list->n, sizeof *out->extra_bpf);
    if (!out->extra_bpf)
        return gp_fail(err, GP_ENOMEM, "out of memory for %zu BPF instructions", list->n);
    out->n_extra_bpf = list->n;
    for (size_t i = 0; rc == GP_OK && i < list->n; i++)
        rc = insn_from_yaml(list->entries[i].value, &out->extra_bpf[i], err);
    return rc;
}

static gp_code ring_from_yaml(const gp_yaml_node *ring, gp_capconfig *out, gp_error *err)
{
    gp_code rc = gp_yaml_expect(ring, GP_YAML_MAP, err);
    if (rc != GP_OK || !ring || ring->kind == GP_YAML_NULL)
        return rc;
    out->has_ring = true;
    /* Bounds are gp_capconfig_validate's, in v4's words. */
    rc = gp_yaml_int(gp_yaml_get(ring, "block_size"), INT64_MIN, INT64_MAX, &out->block_size, err);
    if (rc == GP_OK)
        rc = gp_yaml_int(gp_yaml_get(ring, "num_blocks"), INT64_MIN, INT64_MAX, &out->num_blocks, err);
    if (rc == GP_OK)
        rc = gp_yaml_int(gp_yaml_get(ring, "num_rings"), 1, GP_RING_MAX_RINGS, &out->num_rings, err);
    return rc;
}

static gp_code capconfig_from_yaml(const gp_yaml_node *n, gp_capconfig *out, gp_error *err)
{
    gp_code rc = gp_yaml_expect(n, GP_YAML_MAP, err);
    if (rc == GP_OK)
        rc = gp_yaml_bool(gp_yaml_get(n, "ignore_vlans"), &out->ignore_vlans, err);
    if (rc == GP_OK)
        rc = gp_yaml_bool(gp_yaml_get(n, "promisc"), &out->promisc, err);
    if (rc == GP_OK)
        rc = gp_yaml_bool(gp_yaml_get(n, "disable"), &out->disable, err);
    if (rc == GP_OK)
        rc = ring_from_yaml(gp_yaml_get(n, "ring_buffer"), out, err);
    if (rc == GP_OK)
        rc = bpf_from_yaml(gp_yaml_get(n, "extra_bpf_filters"), out, err);
    if (rc == GP_OK)
        rc = gp_yaml_int(gp_yaml_get(n, "max_flows"), 1, GP_MAX_FLOWS, &out->max_flows, err);
    if (rc == GP_OK)
        rc = gp_yaml_bool(gp_yaml_get(n, "in_kernel"), &out->in_kernel, err);
    return rc;
}

gp_code gp_capconfig_map_from_yaml(const gp_yaml_node *interfaces, gp_capconfig_map *out, gp_error *err)
{
    gp_capconfig_map map = {0};
    gp_code rc = gp_yaml_expect(interfaces, GP_YAML_MAP, err);
    size_t n = rc == GP_OK && interfaces ? interfaces->n : 0;
    for (size_t i = 0; rc == GP_OK && i < n; i++) {
        gp_capconfig cfg = {0};
        rc = capconfig_from_yaml(interfaces->entries[i].value, &cfg, err);
        if (rc == GP_OK)
            rc = gp_capconfig_map_put(&map, interfaces->entries[i].key, &cfg, err);
        gp_capconfig_free(&cfg); /* empty once it is in the map */
    }
    if (rc == GP_OK)
        *out = map;
    else
        gp_capconfig_map_free(&map);
    return rc;
}
