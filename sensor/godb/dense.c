#include "sensor/godb/dense.h"

bool gp_dense_suits(const gp_keyspec *spec)
{
    return !spec->sip && !spec->dip && !spec->time && (spec->dport || spec->proto);
}

gp_code gp_dense_make(gp_dense *d, gp_segpool *pool, uint32_t place, gp_counters **out, gp_error *err)
{
    gp_counters **chunk = &d->chunks[place / GP_DENSE_CHUNK];
    if (!*chunk) {
        void *memory = NULL;
        gp_code code = gp_segpool_get(pool, &memory, err);
        if (code != GP_OK)
            return code;
        *chunk = memory;
    }
    *out = &(*chunk)[place % GP_DENSE_CHUNK];
    return GP_OK;
}

gp_code gp_dense_merge(gp_dense *d, gp_segpool *pool, const gp_dense *from, gp_error *err)
{
    for (uint32_t i = 0; i < GP_DENSE_CHUNKS; i++) {
        const gp_counters *more = from->chunks[i];
        gp_counters *chunk = NULL;
        if (!more)
            continue;
        gp_code code = gp_dense_make(d, pool, i * GP_DENSE_CHUNK, &chunk, err);
        if (code != GP_OK)
            return code;
        for (uint32_t k = 0; k < GP_DENSE_CHUNK; k++)
            gp_counters_add(&chunk[k], &more[k]);
    }
    return GP_OK;
}

static bool in_use(const gp_counters *c)
{
    return c->bytes_rcvd | c->bytes_sent | c->pkts_rcvd | c->pkts_sent;
}

const gp_counters *gp_dense_at(const gp_dense *d, uint32_t place)
{
    const gp_counters *chunk = d->chunks[place / GP_DENSE_CHUNK];
    return chunk && in_use(&chunk[place % GP_DENSE_CHUNK]) ? &chunk[place % GP_DENSE_CHUNK] : NULL;
}

const gp_counters *gp_dense_next(const gp_dense *d, uint32_t *place)
{
    while (*place < GP_DENSE_CHUNKS * GP_DENSE_CHUNK) {
        const gp_counters *chunk = d->chunks[*place / GP_DENSE_CHUNK];
        if (!chunk) {
            *place = (*place / GP_DENSE_CHUNK + 1) * GP_DENSE_CHUNK;
            continue;
        }
        const gp_counters *c = &chunk[(*place)++ % GP_DENSE_CHUNK];
        if (in_use(c))
            return c;
    }
    return NULL;
}
