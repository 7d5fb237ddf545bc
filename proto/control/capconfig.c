#include "proto/control/capconfig.h"

#include <stdlib.h>
#include <string.h>

void gp_capconfig_default(gp_capconfig *c)
{
    *c = (gp_capconfig){.has_ring = true, .block_size = GP_RING_BLOCK_SIZE, .num_blocks = GP_RING_NUM_BLOCKS};
}

static bool insn_equal(const gp_bpf_insn *a, const gp_bpf_insn *b)
{
    return a->op == b->op && a->jt == b->jt && a->jf == b->jf && a->k == b->k;
}

bool gp_capconfig_equal(const gp_capconfig *a, const gp_capconfig *b)
{
    if (a->ignore_vlans != b->ignore_vlans || a->promisc != b->promisc || a->disable != b->disable ||
        a->has_ring != b->has_ring || a->n_extra_bpf != b->n_extra_bpf)
        return false;
    if (a->max_flows != b->max_flows || a->in_kernel != b->in_kernel)
        return false;
    if (a->has_ring &&
        (a->block_size != b->block_size || a->num_blocks != b->num_blocks || a->num_rings != b->num_rings))
        return false;
    for (size_t i = 0; i < a->n_extra_bpf; i++)
        if (!insn_equal(&a->extra_bpf[i], &b->extra_bpf[i]))
            return false;
    return true;
}

gp_code gp_capconfig_copy(const gp_capconfig *from, gp_capconfig *to, gp_error *err)
{
    gp_capconfig copy = *from;
    copy.extra_bpf = NULL;
    if (from->n_extra_bpf) {
        copy.extra_bpf = calloc(from->n_extra_bpf, sizeof *copy.extra_bpf);
        if (!copy.extra_bpf)
            return gp_fail(err, GP_ENOMEM, "out of memory for %zu BPF instructions", from->n_extra_bpf);
        memcpy(copy.extra_bpf, from->extra_bpf, from->n_extra_bpf * sizeof *copy.extra_bpf);
    }
    *to = copy;
    return GP_OK;
}

void gp_capconfig_free(gp_capconfig *c)
{
    free(c->extra_bpf);
    *c = (gp_capconfig){0};
}

/* NULL when the settings are fine, otherwise what is wrong, in v4's words (its spelling included). */
static const char *complaint(const gp_capconfig *c)
{
    if (c->disable) {
        bool other = c->has_ring || c->n_extra_bpf > 0 || c->promisc || c->ignore_vlans || c->max_flows ||
                     c->in_kernel;
        return other ? "capture settings specified, but capture is disabled" : NULL;
    }
    if (!c->has_ring)
        return "no ring buffer configuration specified";
    if (c->block_size <= 0)
        return "ring buffer block size must be a postive number";
    if (c->num_blocks <= 0)
        return "ring buffer num blocks must be a postive number";
    if (c->num_rings < 0 || c->num_rings > GP_RING_MAX_RINGS)
        return "ring buffer num rings must be between 1 and 64";
    if (c->max_flows < 0 || c->max_flows > GP_MAX_FLOWS)
        return "max flows must be between 1 and 1073741824";
    return NULL;
}

gp_code gp_capconfig_validate(const char *name, const gp_capconfig *c, gp_error *err)
{
    const char *wrong = complaint(c);
    if (!wrong)
        return GP_OK;
    return gp_fail(err, GP_EINVAL, "%s%s%s", name ? name : "", name ? ": " : "", wrong);
}

gp_code gp_capconfig_map_validate(const gp_capconfig_map *m, gp_error *err)
{
    if (m->n == 0)
        return gp_fail(err, GP_EINVAL, "no interfaces specified");
    for (size_t i = 0; i < m->n; i++) {
        gp_code rc = gp_capconfig_validate(m->entries[i].name, &m->entries[i].cfg, err);
        if (rc != GP_OK)
            return rc;
    }
    return GP_OK;
}

/* Index of the first entry whose name is not less than `name`. */
static size_t lower_bound(const gp_capconfig_map *m, const char *name)
{
    size_t lo = 0;
    size_t hi = m->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(m->entries[mid].name, name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool is_at(const gp_capconfig_map *m, size_t at, const char *name)
{
    return at < m->n && strcmp(m->entries[at].name, name) == 0;
}

gp_code gp_capconfig_map_put(gp_capconfig_map *m, const char *name, gp_capconfig *cfg, gp_error *err)
{
    size_t at = lower_bound(m, name);
    if (!is_at(m, at, name)) {
        char *copy = strdup(name);
        gp_capconfig_entry *grown = copy ? reallocarray(m->entries, m->n + 1, sizeof *grown) : NULL;
        if (!grown) {
            free(copy);
            return gp_fail(err, GP_ENOMEM, "out of memory for the settings of interface '%s'", name);
        }
        m->entries = grown;
        memmove(grown + at + 1, grown + at, (m->n - at) * sizeof *grown);
        grown[at] = (gp_capconfig_entry){.name = copy};
        m->n++;
    }
    gp_capconfig_free(&m->entries[at].cfg);
    m->entries[at].cfg = *cfg;
    *cfg = (gp_capconfig){0};
    return GP_OK;
}

const gp_capconfig *gp_capconfig_map_get(const gp_capconfig_map *m, const char *name)
{
    size_t at = lower_bound(m, name);
    return is_at(m, at, name) ? &m->entries[at].cfg : NULL;
}

gp_code gp_capconfig_map_copy(const gp_capconfig_map *from, gp_capconfig_map *to, gp_error *err)
{
    gp_capconfig_map copy = {0};
    for (size_t i = 0; i < from->n; i++) {
        gp_capconfig cfg = {0};
        gp_code rc = gp_capconfig_copy(&from->entries[i].cfg, &cfg, err);
        if (rc == GP_OK)
            rc = gp_capconfig_map_put(&copy, from->entries[i].name, &cfg, err);
        if (rc != GP_OK) {
            gp_capconfig_free(&cfg);
            gp_capconfig_map_free(&copy);
            return rc;
        }
    }
    *to = copy;
    return GP_OK;
}

void gp_capconfig_map_free(gp_capconfig_map *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->entries[i].name);
        gp_capconfig_free(&m->entries[i].cfg);
    }
    free(m->entries);
    *m = (gp_capconfig_map){0};
}
