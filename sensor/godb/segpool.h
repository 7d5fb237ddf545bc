/*
 * segpool.h - memory of a query's tables, in segments of one size.
 *
 * Tables grow by segments and give them back one by one while they are merged, so what one table frees
 * the next one uses, and nothing is copied to grow. Segments are cut from regions that double in size;
 * regions of 2 MiB and more ask for huge pages (madvise(2), MADV_HUGEPAGE): a table of many flows is
 * touched at random, and with small pages faults and TLB misses cost more than the work itself.
 *
 * All pools of a query draw on one gp_mem_budget, region by region, and all queries of an engine on a common
 * one. Thread-safety: a pool belongs to one thread, the budget is shared. A segment may be returned to
 * another pool of the same query; the memory stays valid until the pool that it came from is freed.
 */
#ifndef GP_GODB_SEGPOOL_H
#define GP_GODB_SEGPOOL_H

#include "proto/base/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { GP_SEGMENT_SIZE = 1 << 16, GP_CELL_SIZE = 32 }; /* bytes; segments are aligned to 64 bytes at least */

typedef struct gp_mem_budget {
    struct gp_mem_budget *parent; /* what is taken here is taken there, too; NULL: none */
    atomic_uint_fast64_t used;
    uint64_t limit; /* bytes */
    unsigned pct;   /* for the message */
} gp_mem_budget;

/* Takes `size` bytes of the budget for memory that the caller gets elsewhere; false when there are not so
 * many left: nothing is taken then. */
bool gp_mem_take(gp_mem_budget *b, uint64_t size);
void gp_mem_give(gp_mem_budget *b, uint64_t size);
/* GP_ENOMEM: the budget is spent, and what to do. */
gp_code gp_mem_fail(const gp_mem_budget *b, gp_error *err);

typedef struct gp_segpool gp_segpool;
gp_code gp_segpool_new(gp_segpool **out, gp_mem_budget *budget, gp_error *err);
void gp_segpool_free(gp_segpool *p);

/* *out gets GP_SEGMENT_SIZE zero bytes. GP_ENOMEM when the budget is spent; the message says what to do. */
gp_code gp_segpool_get(gp_segpool *p, void **out, gp_error *err);
void gp_segpool_put(gp_segpool *p, void *segment);
/* *out gets GP_CELL_SIZE zero bytes, for the odd thing too small for a segment; they are not given back. */
gp_code gp_segpool_get_cell(gp_segpool *p, void **out, gp_error *err);

#endif
