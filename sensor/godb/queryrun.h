/*
 * queryrun.h - a query while it runs; internal to the engine.
 *
 *   plan    (plan.c)    the interfaces that the statement selects, and their days
 *   lists   (toplist.c) where the heaviest ports are asked for, lists of whole days take the place of scans
 *   scan    (workers.c) workers take jobs in order, each some blocks of a day, and fill tables of their own,
 *                       one set per interface
 *   finish  (finish.c)  partition by partition, the workers' tables are merged and their entries become
 *                       rows; only those that can be among the first num_results are kept
 *
 * The caller's thread is worker 0: it also polls cancellation and sends keepalives, so the hooks never
 * run concurrently.
 */
#ifndef GP_GODB_QUERYRUN_H
#define GP_GODB_QUERYRUN_H

#include "sensor/godb/engine.h"
#include "sensor/godb/scan.h"

#include <pthread.h>

enum { GP_MAX_WORKERS = 64 };

struct gp_engine {
    char *db;
    unsigned threads;
    unsigned max_concurrent;
    uint64_t memory;      /* bytes */
    gp_mem_budget budget; /* of all queries together */
    gp_live_source live;
    gp_log *log;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t slot_free;
    unsigned running;
};

/* One interface of a running query. */
typedef struct iface_run {
    const char *name;
    gp_day_ref *days;
    size_t n_days;
    int64_t until;                   /* time of the last block that counts */
    gp_flow_tables *tables;          /* one per worker */
    int64_t first_block, last_block; /* written by the worker that has the first and last day; 0: unknown */
    bool *passed_over;               /* for each day, whether it is not to be scanned (now); NULL: all are */
} iface_run;

typedef struct query_run {
    gp_engine *engine;
    const gp_stmt *stmt;
    const gp_run_hooks *hooks;
    gp_scan_plan plan;
    gp_mem_budget budget;
    gp_segpool *pools[GP_MAX_WORKERS]; /* one per worker; all tables live in them */
    uint64_t seed[2];
    iface_run *ifaces;
    size_t n_ifaces;
    char **db_ifaces; /* owns the names */
    size_t n_db_ifaces;
    bool totals_only;       /* nothing is asked of single flows or intervals */
    bool bin_rows;          /* entries keep the time of their block, and time bins are made of rows */
    size_t n_days;          /* of all interfaces */
    unsigned parts_per_day; /* a job is one of these parts */
    unsigned n_workers;
    atomic_size_t next_job;
    atomic_bool stop;
    pthread_mutex_t lock; /* guards the fields below */
    pthread_cond_t done;
    unsigned working;
    gp_code code;
    gp_error error;
    gp_query_stats stats;
    atomic_uint warnings;       /* logged so far */
    int64_t next_keepalive;     /* CLOCK_MONOTONIC, ns; worker 0 only */
    struct gp_toplist *toplist; /* toplist.h; NULL: not used */
} query_run;

gp_code gp_query_plan(query_run *q, gp_error *err);

/* Runs `step` once on every worker. */
void gp_query_run_workers(query_run *q, void (*step)(query_run *q, unsigned worker, void *ctx), void *ctx);
/* Worker 0 only: between two pieces of work. */
void gp_query_poll_hooks(query_run *q);
/* Ends the query; the first failure is kept. */
void gp_query_fail(query_run *q, gp_code code, const gp_error *err);
/* What a day tells of the range that its interface covers. */
void gp_query_note_coverage(iface_run *i, size_t day_index, const gp_blockmeta *meta);
/* Whether all blocks of a day lie within the range of the statement. There is one at least. */
bool gp_query_wants_all(const query_run *q, const iface_run *i, const gp_blockmeta *meta);
/* Every block of every day that is not passed over. */
gp_code gp_query_scan_days(query_run *q, gp_error *err);
/* Live flows into the tables of worker 0, then every block. */
gp_code gp_query_scan(query_run *q, gp_error *err);

/* What workers found by port and protocol goes into the table of the first. */
gp_code gp_query_merge_dense(query_run *q, iface_run *i, gp_error *err);
/* The tables' entries as rows of *out: the first num_results in order, hits and totals of all. */
gp_code gp_query_finish(query_run *q, gp_result *out, const char *host, const char *hostid, gp_error *err);

#endif
