#include "sensor/godb/dense.h"

#include <string.h>

bool gp_dense_suits(const gp_keyspec *spec)
{
    return !spec->sip && !spec->dip && !spec->time && (spec->dport || spec->proto);
}

/* Rows without a gap: passes that the compiler vectorizes. A column that the key lacks may be NULL. */
static void places_of_run(const gp_keyspec *spec, const gp_key_columns *c, uint32_t first, size_t n,
                          uint32_t *restrict places)
{
    if (spec->proto) {
        const uint8_t *proto = c->proto + first;
        for (size_t i = 0; i < n; i++)
            places[i] = (uint32_t)proto[i] << 16;
    }
    if (spec->dport) {
        const uint8_t *dport = c->dport + (size_t)first * 2;
        for (size_t i = 0; i < n; i++)
            places[i] |= (uint32_t)dport[2 * i] << 8 | dport[2 * i + 1];
    }
}

void gp_dense_places(const gp_keyspec *spec, const gp_key_columns *c, const uint32_t *rows, size_t n,
                     uint32_t *places)
{
    memset(places, 0, n * sizeof *places);
    if (rows[n - 1] - rows[0] == n - 1) {
        places_of_run(spec, c, rows[0], n, places);
        return;
    }
    for (size_t i = 0; spec->proto && i < n; i++)
        places[i] = (uint32_t)c->proto[rows[i]] << 16;
    for (size_t i = 0; spec->dport && i < n; i++)
        places[i] |= (uint32_t)c->dport[(size_t)rows[i] * 2] << 8 | c->dport[(size_t)rows[i] * 2 + 1];
}

static gp_code make_chunk(gp_dense *d, gp_segpool *pool, uint32_t index, gp_error *err)
{
    void *memory = NULL;
    if (d->chunks[index])
        return GP_OK;
    gp_code code = gp_segpool_get(pool, &memory, err);
    d->chunks[index] = memory;
    return code;
}

gp_code gp_dense_find(gp_dense *d, gp_segpool *pool, const uint32_t *places, size_t n, gp_counters **out,
                      gp_error *err)
{
    for (size_t i = 0; i < n; i++) {
        gp_counters *chunk = d->chunks[places[i] / GP_DENSE_CHUNK];
        if (!chunk) {
            gp_code code = make_chunk(d, pool, places[i] / GP_DENSE_CHUNK, err);
            if (code != GP_OK)
                return code;
            chunk = d->chunks[places[i] / GP_DENSE_CHUNK];
        }
        out[i] = &chunk[places[i] % GP_DENSE_CHUNK];
        __builtin_prefetch(out[i], 1); /* rare ports are far from the processor */
    }
    return GP_OK;
}

gp_code gp_dense_merge(gp_dense *d, gp_segpool *pool, const gp_dense *from, gp_error *err)
{
    for (uint32_t i = 0; i < GP_DENSE_CHUNKS; i++) {
        const gp_counters *more = from->chunks[i];
        if (!more)
            continue;
        gp_code code = make_chunk(d, pool, i, err);
        if (code != GP_OK)
            return code;
        for (uint32_t k = 0; k < GP_DENSE_CHUNK; k++)
            gp_counters_accumulate(&d->chunks[i][k], &more[k]);
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
