/*
 * engine.h - answers a statement from a database, optionally with the live flows of a running capture.
 *
 * Execution is column at a time: blocks are pruned by interface, day and time; only the columns that the
 * query or its condition name are decoded; the condition becomes a selection; the selected flows are
 * aggregated into one table per thread, merged at the end.
 *
 * Thread-safety: a gp_engine may run any number of queries at a time.
 */
#ifndef GP_GODB_ENGINE_H
#define GP_GODB_ENGINE_H

#include "proto/base/log.h"
#include "proto/flow/livesink.h"
#include "proto/result/result.h"

/* Gives the engine the flows that are not in the database yet, as livesink.h says. */
typedef struct gp_live_source {
    void *ctx;
    /* How many blocks have been written. NULL: none ever is. */
    uint64_t (*written)(void *ctx);
    /* The flows of `iface`, if any. GP_EBUSY: there is another block in the database by now. */
    gp_code (*flows)(void *ctx, const char *iface, const gp_live_sink *sink, gp_error *err);
    /* Interfaces captured right now (n names, malloc'ed list, gp_strlist_free). */
    gp_code (*ifaces)(void *ctx, char ***out, size_t *n, gp_error *err);
} gp_live_source;

typedef struct gp_engine_config {
    const char *db;          /* copied */
    unsigned threads;        /* 0: number of CPUs that the process may use */
    unsigned max_concurrent; /* queries at a time, 0: no limit */
    uint64_t memory;         /* bytes that max_mem_pct is a share of; 0: what the host or its cgroup has */
    gp_live_source live;     /* flows == NULL: none */
    gp_log *log;
} gp_engine_config;

typedef struct gp_engine gp_engine;
gp_code gp_engine_new(gp_engine **out, const gp_engine_config *cfg, gp_error *err);
void gp_engine_free(gp_engine *e);

typedef struct gp_run_hooks {
    bool (*canceled)(void *ctx);                                /* polled between blocks; NULL: never */
    void (*keepalive)(void *ctx, const gp_query_stats *so_far); /* every stmt->keepalive_ns; NULL: none */
    void *ctx;
} gp_run_hooks;

/*
 * Runs the statement. An answer without rows is no error (status empty or missing data), nor is a damaged
 * block (counted in stats.blocks_corrupted, logged, skipped). A full house gives status "too many requests".
 * The result is sorted and cut to num_results, time bins applied, totals over all selected flows.
 */
gp_code gp_engine_run(gp_engine *e, const gp_stmt *stmt, const gp_run_hooks *hooks, gp_result *out,
                      gp_error *err);

/* Totals of one interface in [first, last], from block metadata: what `goquery list` shows. A day whose
 * metadata cannot be read counts as damaged, and for what its folder's name states if it lies in the range as
 * a whole; a damaged block is left out, and so is an interface whose folders cannot be read. */
typedef struct gp_iface_totals {
    uint64_t n_v4, n_v6, drops;
    gp_counters c;
    int64_t first, last; /* covered range: start of the first interval, end of the last; 0 if empty */
    uint64_t damaged;    /* blocks and days that cannot be read, */
    gp_error damage;     /* and the first of them */
} gp_iface_totals;
gp_code gp_db_iface_totals(const char *db, const char *iface, int64_t first, int64_t last,
                           gp_iface_totals *out, gp_error *err);

/* The id of this host: what v4 derives from the database folder and machine id. dst is malloc'ed. */
gp_code gp_db_host_id(const char *db, char **out, gp_error *err);

#endif
