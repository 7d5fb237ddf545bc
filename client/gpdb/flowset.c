#include "client/gpdb/flowset.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* The key is what a flow begins with, without padding. */
static_assert(offsetof(gp_flow, proto) == 2 * sizeof(gp_addr) + sizeof(uint16_t),
              "the key of a flow has holes");
enum { FIRST_SLOTS = 1024, KEY_SIZE = offsetof(gp_flow, proto) + sizeof(uint8_t) };

void gp_flowset_free(gp_flowset *s)
{
    free(s->flows);
    free(s->slots);
    *s = (gp_flowset){0};
}

void gp_flowset_clear(gp_flowset *s)
{
    if (s->slots)
        memset(s->slots, 0, s->n_slots * sizeof *s->slots);
    s->n = 0;
}

/* The slot of a key: free, or that of the flow with the same key. */
static size_t find(const gp_flowset *s, const gp_flow *f)
{
    size_t at = XXH3_64bits(f, KEY_SIZE) & (s->n_slots - 1);
    while (s->slots[at] && memcmp(&s->flows[s->slots[at] - 1], f, KEY_SIZE) != 0)
        at = (at + 1) & (s->n_slots - 1);
    return at;
}

static gp_code grow(gp_flowset *s, gp_error *err)
{
    size_t n_slots = s->n_slots ? 2 * s->n_slots : FIRST_SLOTS;
    uint32_t *slots = n_slots < UINT32_MAX ? calloc(n_slots, sizeof *slots) : NULL;
    gp_flow *flows = slots ? realloc(s->flows, n_slots / 2 * sizeof *flows) : NULL;
    if (!flows) {
        free(slots);
        return gp_fail(err, GP_ENOMEM, "out of memory for a block of %zu flows", s->n + 1);
    }
    free(s->slots);
    s->slots = slots;
    s->n_slots = n_slots;
    s->flows = flows;
    s->cap = n_slots / 2;
    for (size_t i = 0; i < s->n; i++)
        s->slots[find(s, &s->flows[i])] = (uint32_t)i + 1;
    return GP_OK;
}

gp_code gp_flowset_put(gp_flowset *s, const gp_flow *f, gp_error *err)
{
    if (s->n == s->cap) {
        gp_code code = grow(s, err);
        if (code != GP_OK)
            return code;
    }
    size_t at = find(s, f);
    if (s->slots[at] == 0)
        s->slots[at] = (uint32_t)++s->n;
    s->flows[s->slots[at] - 1] = *f;
    return GP_OK;
}
