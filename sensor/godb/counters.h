/*
 * counters.h - the four counter columns of a block, as they are stored, into sums.
 *
 * A stored column has one width for all its values (see bitpack.h), so four values at a time are spread to
 * 64 bits by one byte shuffle where the processor has AVX2 (asked at run time), one by one elsewhere. Both
 * give the same results.
 *
 * The columns must have passed gp_block_check_column, and GP_PACKED_SLACK bytes behind them must be readable.
 * Thread-safety: no state.
 */
#ifndef GP_GODB_COUNTERS_H
#define GP_GODB_COUNTERS_H

#include "proto/flow/flow.h"
#include "sensor/godb/bitpack.h"

typedef struct gp_counter_columns {
    gp_packed_column col[4]; /* bytes received, bytes sent, packets received, packets sent */
} gp_counter_columns;

/* Four words that compilers add with what vectors there are. */
typedef uint64_t gp_counter_vector __attribute__((vector_size(32), aligned(8)));

static inline void gp_counters_accumulate(gp_counters *sum, const gp_counters *add)
{
    *(gp_counter_vector *)(void *)sum += *(const gp_counter_vector *)(const void *)add;
}

/* Rows are given as rows[0..n), rising, counted from row `first` of the block. */

/* Their counters. */
void gp_counters_load(const gp_counter_columns *c, size_t first, const uint32_t *rows, size_t n,
                      gp_counters *out);
/* Adds the counters of rows[i] to *to[i]. Returns whether there are rows without any packet. */
bool gp_counters_scatter(const gp_counter_columns *c, size_t first, const uint32_t *rows, size_t n,
                         gp_counters *const *to);

/* Sum of the values first..first+n. */
uint64_t gp_packed_sum(const gp_packed_column *c, size_t first, size_t n);
gp_counters gp_counters_sum(const gp_counter_columns *c, size_t first, size_t n);

/*
 * Adds up the counters of neighbouring equal keys of 1, 2, 3 or 5 words: what a query by leading columns of
 * the sort order of blocks finds often. Keys and sums are moved together in place; returns how many are left.
 */
size_t gp_counters_combine(uint64_t *keys, unsigned words, gp_counters *sums, size_t n);

#endif
