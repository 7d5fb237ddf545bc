/*
 * dense.h - sums counters by port and protocol: every value has a place of its own, so nothing is hashed.
 *
 * 2^24 places of which a query touches few: they come in chunks of one pool segment (2048 neighbouring
 * values), made when first used. A place is in use if any of its counters is not 0.
 *
 * Thread-safety: one thread per table.
 */
#ifndef GP_GODB_DENSE_H
#define GP_GODB_DENSE_H

#include "sensor/godb/aggtable.h"

enum { GP_DENSE_CHUNK = GP_SEGMENT_SIZE / sizeof(gp_counters), GP_DENSE_CHUNKS = (1 << 24) / GP_DENSE_CHUNK };

typedef struct gp_dense {
    gp_counters *chunks[GP_DENSE_CHUNKS];
} gp_dense;

/* Whether keys of this shape have a place: no address, no time, but a port or a protocol. */
bool gp_dense_suits(const gp_keyspec *spec);
/* The places of rows[0..n), indexes into the column vectors. */
void gp_dense_places(const gp_keyspec *spec, const gp_key_columns *c, const uint32_t *rows, size_t n,
                     uint32_t *places);
/* The place of a key, and its key. A key of this shape is port and protocol side by side (see flowkey.h);
 * neighbouring ports of one protocol are neighbours here. */
static inline uint32_t gp_dense_place(uint64_t key)
{
    return (uint32_t)(key & 0xff00) << 8 | (uint32_t)(key >> 16 & 0xffff);
}
static inline uint64_t gp_dense_key(uint32_t place)
{
    return (uint64_t)(place & 0xffff) << 16 | (place >> 8 & 0xff00) | 1;
}

/* Where the counters of n places are; they are made if need be and prefetched. */
gp_code gp_dense_find(gp_dense *d, gp_segpool *pool, const uint32_t *places, size_t n, gp_counters **out,
                      gp_error *err);
gp_code gp_dense_merge(gp_dense *d, gp_segpool *pool, const gp_dense *from, gp_error *err);
/* NULL if nothing was added there. */
const gp_counters *gp_dense_at(const gp_dense *d, uint32_t place);
/* The next place in use from *place on, which then lies behind it; NULL at the end. */
const gp_counters *gp_dense_next(const gp_dense *d, uint32_t *place);

#endif
