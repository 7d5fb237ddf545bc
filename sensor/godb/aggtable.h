/*
 * aggtable.h - sums counters by key: the table behind every query that groups by addresses.
 *
 * Extendible hashing (Fagin, Nievergelt, Pippenger, Strong, "Extendible hashing - a fast access method for
 * dynamic files", TODS 1979) over segments of one size: the first bits of a key's hash choose the segment
 * through a directory, the last ones its place in it, found by linear probing. A full segment splits in
 * two, so the table grows a little at a time, never copies itself and never needs twice its memory; and as
 * the directory is ordered by hash, a range of it is a partition that one thread can merge and read while
 * others do the same elsewhere.
 *
 * An entry is its key words followed by its four counters, of 32 bits each: a hit touches one cache line,
 * seldom two. The few entries that outgrow 32 bits have their counters in a cell elsewhere. Rows come in
 * batches: the hashes of a batch are computed and their entries prefetched before the first one is touched,
 * which hides most of the memory latency of large tables. The hash is seeded per query, so traffic cannot be
 * aimed at it.
 *
 * Thread-safety: one thread per table, but for gp_agg_absorb and gp_agg_next on disjoint partitions.
 */
#ifndef GP_GODB_AGGTABLE_H
#define GP_GODB_AGGTABLE_H

#include "sensor/godb/counters.h"
#include "sensor/godb/flowkey.h"
#include "sensor/godb/segpool.h"

typedef struct gp_segment gp_segment;

typedef struct gp_agg {
    gp_segment **dir; /* 1 << depth pointers, NULL while the table is empty */
    unsigned depth;
    unsigned words;        /* of a key */
    uint32_t slots, limit; /* of a segment; it splits at `limit` entries */
    uint64_t seed[2];
} gp_agg;

enum { GP_AGG_BATCH = 256 }; /* keys; their entries fit the first level cache */

void gp_agg_init(gp_agg *t, unsigned words, const uint64_t seed[2]);
/* Frees the directory; the segments belong to the pools. */
void gp_agg_free(gp_agg *t);
size_t gp_agg_count(const gp_agg *t);

/* Adds counters[i] under the i-th key; n <= GP_AGG_BATCH. GP_ENOMEM when the budget is spent. */
gp_code gp_agg_add_batch(gp_agg *t, gp_segpool *pool, const uint64_t *keys, const gp_counters *counters,
                         size_t n, gp_error *err);
gp_code gp_agg_add(gp_agg *t, gp_segpool *pool, const uint64_t *key, const gp_counters *c, gp_error *err);

/* Makes the directory of a table that others will be absorbed into large enough for `entries` and at least
 * 1 << min_depth partitions. */
gp_code gp_agg_prepare(gp_agg *t, gp_segpool *pool, size_t entries, unsigned min_depth, gp_error *err);
/* Moves those entries of `from` (same seed and words) whose hash begins with the `bits` bits of `part` into
 * the prepared table `t`; gives segments that nothing else refers to back to the pool. */
gp_code gp_agg_absorb(gp_agg *t, gp_segpool *pool, const gp_agg *from, unsigned part, unsigned bits,
                      gp_error *err);

/* Iterates over the entries of a partition. */
typedef struct gp_agg_iter {
    const gp_agg *table;
    size_t dir_at, dir_end;
    uint32_t slot;
} gp_agg_iter;
gp_agg_iter gp_agg_entries(const gp_agg *t, unsigned part, unsigned bits);
/* False at the end. *key stays valid until the table changes; its low byte means nothing. */
bool gp_agg_next(gp_agg_iter *it, const uint64_t **key, gp_counters *c);

#endif
