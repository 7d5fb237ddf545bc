/*
 * scan.h - one worker of a query: reads blocks, selects rows, adds them to tables.
 *
 * Only the columns that the query names are decoded, and of those the condition's come first: a block in
 * which nothing matches costs no more. Blocks whose filter tells that nothing can match are passed over.
 * Totals of whole blocks need none where their sums are stored. A damaged block is counted and skipped; only
 * lack of memory ends a scan.
 *
 * Not thread-safe: one gp_scan per thread; the gp_scan_plan is shared and read-only.
 */
#ifndef GP_GODB_SCAN_H
#define GP_GODB_SCAN_H

#include "proto/base/log.h"
#include "sensor/godb/dense.h"
#include "sensor/godb/reader.h"
#include "sensor/godb/select.h"

/* What all workers of a query share. */
typedef struct gp_scan_plan {
    const gp_cond *cond; /* NULL: none */
    uint32_t cond_columns;
    uint32_t attr_columns;
    gp_ip_version ip_version;
    gp_keyspec key_v4, key_v6;
    bool split_families; /* addresses are part of the key */
    bool totals;         /* nothing of a flow is part of the key: blocks are summed as a whole */
    bool dense;          /* only port and protocol are */
    gp_log *log;
    atomic_uint *warnings; /* logged so far, by all workers */
} gp_scan_plan;

/* Tables of one interface: with addresses in the key one for each family, otherwise only v4; of those with
 * a place in `dense` that one holds only flows without any traffic. */
typedef struct gp_flow_tables {
    gp_agg v4, v6;
    gp_dense *dense; /* NULL until used */
} gp_flow_tables;

/* Whether to log one more thing that was skipped: the first ones, and once that there are more. */
bool gp_scan_may_warn(const gp_scan_plan *plan);

typedef struct gp_scan gp_scan;
/* `pool` is where the tables get their memory; it belongs to this worker and outlives the tables. */
gp_code gp_scan_new(gp_scan **out, const gp_scan_plan *plan, gp_segpool *pool, gp_error *err);
void gp_scan_free(gp_scan *s);
/* What was counted since the last call. */
gp_query_stats gp_scan_take_stats(gp_scan *s);
/* To be called for each day before its blocks. */
void gp_scan_use(gp_scan *s, gp_day *day);
void gp_scan_count_day(gp_scan *s, bool damaged);

/* Adds one block under time label `ts` (used only if time is part of the key). */
gp_code gp_scan_block(gp_scan *s, gp_day *day, size_t block, uint32_t ts, gp_flow_tables *t, gp_error *err);
/* Adds one live flow. */
gp_code gp_scan_flow(const gp_scan_plan *plan, gp_segpool *pool, const gp_flow *flow, uint32_t ts,
                     gp_flow_tables *t, gp_error *err);

#endif
