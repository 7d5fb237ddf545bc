/*
 * aggtable.h - sums counters by key: the table behind every aggregating query.
 *
 * Open addressing with linear probing; an entry is its key words followed by its four counters, so a hit
 * touches one or two cache lines. Rows come in batches: the hashes of a batch are computed and their slots
 * prefetched before the first one is touched, which hides most of the memory latency of large tables.
 * The hash is seeded per query (gp_agg_init), so traffic cannot be aimed at it.
 *
 * Memory: all tables of a query draw on one gp_mem_budget. Not thread-safe: one table per thread,
 * merged by partition of the hash at the end.
 */
#ifndef GP_GODB_AGGTABLE_H
#define GP_GODB_AGGTABLE_H

#include "sensor/godb/flowkey.h"

#include <stdatomic.h>

typedef struct gp_mem_budget {
    atomic_uint_fast64_t used;
    uint64_t limit; /* bytes */
    unsigned pct;   /* for the message */
} gp_mem_budget;

typedef struct gp_agg {
    uint64_t *slots; /* capacity * (words + 4) */
    size_t mask;     /* capacity - 1 */
    size_t n;        /* entries */
    size_t grow_at;
    unsigned words;
    uint64_t seed[2];
    gp_mem_budget *budget;
} gp_agg;

/* Counter vectors of a block, indexed by row. */
typedef struct gp_counter_columns {
    const uint64_t *bytes_rcvd, *bytes_sent, *pkts_rcvd, *pkts_sent;
} gp_counter_columns;

enum { GP_AGG_BATCH = 128 };

void gp_agg_init(gp_agg *t, unsigned words, const uint64_t seed[2], gp_mem_budget *budget);
void gp_agg_free(gp_agg *t);

/* Adds the counters of rows[0..n) under keys[0..n); n <= GP_AGG_BATCH. GP_ENOMEM when the budget is spent. */
gp_code gp_agg_add_batch(gp_agg *t, const uint64_t *keys, const uint32_t *rows, size_t n,
                         const gp_counter_columns *c, gp_error *err);
gp_code gp_agg_add(gp_agg *t, const uint64_t *key, const gp_counters *c, gp_error *err);
/* Adds those entries of `from` (same seed and words) whose hash falls into partition `part` of `parts` (a
 * power of two). */
gp_code gp_agg_merge_part(gp_agg *t, const gp_agg *from, unsigned part, unsigned parts, gp_error *err);

/* Iterates: *at starts at 0; false at the end. The key and counters stay valid until the table changes. */
bool gp_agg_next(const gp_agg *t, size_t *at, const uint64_t **key, gp_counters *c);

#endif
