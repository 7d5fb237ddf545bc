/*
 * How a query runs:
 *
 *   plan     the interfaces that the statement selects, and their days: one job a day folder
 *   scan     workers take jobs in order and fill tables of their own, one set per interface
 *   merge    where several workers met on one interface, each takes a partition of the hash
 *   emit     table entries become rows; only those that can be among the first num_results are kept
 *
 * The caller's thread is worker 0: it also polls cancellation and sends keepalives, so the hooks never
 * run concurrently.
 */
#include "sensor/godb/engine.h"

#include "proto/query/ifsel.h"
#include "sensor/godb/scan.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { MAX_THREADS = 64 };

struct gp_engine {
    char *db;
    unsigned threads;
    unsigned max_concurrent;
    gp_live_source live;
    gp_log *log;
    pthread_mutex_t lock;
    pthread_cond_t slot_free;
    unsigned running;
};

/* One interface of a running query. */
typedef struct iface_run {
    const char *name;
    gp_day_ref *days;
    size_t n_days;
    gp_flow_tables *tables;          /* one per worker; after the merge one per partition */
    int64_t first_block, last_block; /* written by the worker that has the first and last day; 0: unknown */
} iface_run;

typedef struct query_run {
    gp_engine *engine;
    const gp_stmt *stmt;
    const gp_run_hooks *hooks;
    gp_scan_plan plan;
    gp_mem_budget budget;
    uint64_t seed[2];
    iface_run *ifaces;
    size_t n_ifaces;
    char **db_ifaces; /* owns the names */
    size_t n_db_ifaces;
    size_t n_jobs;
    unsigned n_workers;
    atomic_size_t next_job;
    atomic_bool stop;
    pthread_mutex_t lock; /* guards the fields below */
    pthread_cond_t done;
    unsigned working;
    gp_code code;
    gp_error error;
    gp_query_stats stats;
    int64_t next_keepalive; /* CLOCK_MONOTONIC, ns; worker 0 only */
} query_run;

static int64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- engine ---------------------------------------------------------------------------------------- */

gp_code gp_engine_new(gp_engine **out, const gp_engine_config *cfg, gp_error *err)
{
    gp_engine *e = calloc(1, sizeof *e);
    char *db = strdup(cfg->db);
    if (!e || !db) {
        free(e);
        free(db);
        return gp_fail(err, GP_ENOMEM, "out of memory for the query engine");
    }
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned threads = cfg->threads ? cfg->threads : cpus > 0 ? (unsigned)cpus : 1;
    e->db = db;
    e->threads = threads > MAX_THREADS ? MAX_THREADS : threads;
    e->max_concurrent = cfg->max_concurrent;
    e->live = cfg->live;
    e->log = cfg->log;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->slot_free, &attr);
    pthread_condattr_destroy(&attr);
    *out = e;
    return GP_OK;
}

void gp_engine_free(gp_engine *e)
{
    if (!e)
        return;
    pthread_cond_destroy(&e->slot_free);
    pthread_mutex_destroy(&e->lock);
    free(e->db);
    free(e);
}

/* Waits up to a keepalive interval (or one second) for one of max_concurrent places. */
static bool take_slot(gp_engine *e, int64_t keepalive_ns)
{
    int64_t until = monotonic_ns() + (keepalive_ns > 0 ? keepalive_ns : INT64_C(1000000000));
    const struct timespec deadline = {until / 1000000000, until % 1000000000};
    pthread_mutex_lock(&e->lock);
    int rc = 0;
    while (e->max_concurrent && e->running >= e->max_concurrent && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&e->slot_free, &e->lock, &deadline);
    bool taken = !e->max_concurrent || e->running < e->max_concurrent;
    e->running += taken;
    pthread_mutex_unlock(&e->lock);
    return taken;
}

static void release_slot(gp_engine *e)
{
    pthread_mutex_lock(&e->lock);
    e->running--;
    pthread_cond_signal(&e->slot_free);
    pthread_mutex_unlock(&e->lock);
}

/* ---- plan ------------------------------------------------------------------------------------------ */

static bool list_has(char *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

/* Interfaces of the database and, for live queries, those that are captured but have no block yet. */
static gp_code list_ifaces(query_run *q, gp_error *err)
{
    gp_engine *e = q->engine;
    bool live = q->stmt->live && e->live.ifaces;
    gp_code code = gp_db_list_ifaces(e->db, &q->db_ifaces, &q->n_db_ifaces, err);
    if (code != GP_OK && !(live && code == GP_ENOTFOUND))
        return code;
    if (!live)
        return GP_OK;
    char **captured = NULL;
    size_t n = 0;
    code = e->live.ifaces(e->live.ctx, &captured, &n, err);
    if (code != GP_OK)
        return code;
    char **all = realloc(q->db_ifaces, (q->n_db_ifaces + n + 1) * sizeof *all);
    if (!all) {
        gp_strlist_free(captured, n);
        return gp_fail(err, GP_ENOMEM, "out of memory for a list of interfaces");
    }
    q->db_ifaces = all;
    for (size_t i = 0; i < n; i++) {
        if (list_has(all, q->n_db_ifaces, captured[i]))
            continue;
        all[q->n_db_ifaces++] = captured[i];
        captured[i] = NULL;
    }
    gp_strlist_free(captured, n);
    return GP_OK;
}

static gp_code plan_iface(query_run *q, iface_run *i, gp_error *err)
{
    const gp_stmt *s = q->stmt;
    gp_code code = gp_db_list_days(q->engine->db, i->name, s->first, s->last, &i->days, &i->n_days, err);
    if (code == GP_ENOTFOUND) /* captured, but nothing written yet */
        code = GP_OK;
    q->n_jobs += i->n_days;
    return code;
}

static gp_code plan_ifaces(query_run *q, gp_error *err)
{
    const char **chosen = NULL;
    gp_code code = list_ifaces(q, err);
    if (code == GP_OK)
        code = gp_ifsel_select(q->stmt->ifaces, (const char *const *)q->db_ifaces, q->n_db_ifaces, &chosen,
                               &q->n_ifaces, err);
    if (code != GP_OK)
        return code;
    q->ifaces = calloc(q->n_ifaces + 1, sizeof *q->ifaces);
    if (!q->ifaces)
        code = gp_fail(err, GP_ENOMEM, "out of memory for %zu interfaces", q->n_ifaces);
    for (size_t i = 0; i < q->n_ifaces && code == GP_OK; i++) {
        q->ifaces[i].name = chosen[i];
        code = plan_iface(q, &q->ifaces[i], err);
    }
    free(chosen);
    return code;
}

static gp_code alloc_tables(query_run *q, gp_flow_tables **out, unsigned n, gp_error *err)
{
    gp_flow_tables *t = calloc(n, sizeof *t);
    if (!t)
        return gp_fail(err, GP_ENOMEM, "out of memory for a query");
    for (unsigned i = 0; i < n; i++) {
        gp_agg_init(&t[i].v4, q->plan.key_v4.words, q->seed, &q->budget);
        gp_agg_init(&t[i].v6, q->plan.key_v6.words, q->seed, &q->budget);
    }
    *out = t;
    return GP_OK;
}

static void free_tables(gp_flow_tables *t, unsigned n)
{
    for (unsigned i = 0; t && i < n; i++) {
        gp_agg_free(&t[i].v4);
        gp_agg_free(&t[i].v6);
    }
    free(t);
}

static uint64_t memory_limit(int pct)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    long size = sysconf(_SC_PAGESIZE);
    uint64_t total = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_C(1) << 30;
    return total / 100 * (uint64_t)(pct > 0 ? pct : GP_DEFAULT_MAX_MEM_PCT);
}

static void make_scan_plan(query_run *q)
{
    const gp_stmt *s = q->stmt;
    q->plan = (gp_scan_plan){
        .cond = s->cond,
        .cond_columns = s->cond ? gp_cond_columns(s->cond) : 0,
        .attr_columns = s->type.attr_mask,
        .ip_version = s->cond ? gp_cond_ip_version(s->cond) : GP_IP_ANY,
        .key_v4 = gp_keyspec_make(&s->type, false),
        .key_v6 = gp_keyspec_make(&s->type, true),
        .split_families = s->type.attr_mask & (GP_ATTR_SIP | GP_ATTR_DIP),
        .log = q->engine->log,
    };
    q->budget.pct = (unsigned)(s->max_mem_pct > 0 ? s->max_mem_pct : GP_DEFAULT_MAX_MEM_PCT);
    q->budget.limit = memory_limit(s->max_mem_pct);
}

static gp_code make_plan(query_run *q, gp_error *err)
{
    if (getrandom(q->seed, sizeof q->seed, 0) != (ssize_t)sizeof q->seed)
        return gp_fail_errno(err, errno, "cannot get random numbers for a query");
    make_scan_plan(q);
    gp_code code = plan_ifaces(q, err);
    if (code != GP_OK)
        return code;
    size_t workers = q->stmt->low_mem ? 1 : q->engine->threads;
    if (workers > q->n_jobs)
        workers = q->n_jobs ? q->n_jobs : 1;
    q->n_workers = (unsigned)workers;
    for (size_t i = 0; i < q->n_ifaces && code == GP_OK; i++)
        code = alloc_tables(q, &q->ifaces[i].tables, q->n_workers, err);
    return code;
}

/* ---- scan ------------------------------------------------------------------------------------------ */

/* The end of the bin that an interval ending at ts belongs to. Blocks keep their own time where no coarser
 * resolution is asked for. */
static int64_t bin_of(int64_t ts, int64_t bin)
{
    int64_t over = bin > GP_DB_WRITE_INTERVAL ? ts % bin : 0;
    return over ? ts - over + bin : ts;
}

static void note_coverage(iface_run *i, size_t day_index, const gp_blockmeta *meta)
{
    if (meta->n_blocks == 0)
        return;
    if (day_index == 0)
        i->first_block = meta->blocks[0].ts;
    if (day_index == i->n_days - 1)
        i->last_block = meta->blocks[meta->n_blocks - 1].ts;
}

/* Nothing is asked of single flows and every block of the day counts: the metadata knows the answer. */
static bool metadata_suffices(const query_run *q, const gp_blockmeta *meta)
{
    const gp_stmt *s = q->stmt;
    bool totals_only = s->type.attr_mask == 0 && !s->cond && !q->plan.key_v4.time;
    return totals_only && meta->sum.n_v4 + meta->sum.n_v6 > 0 && meta->blocks[0].ts >= s->first &&
           meta->blocks[meta->n_blocks - 1].ts <= s->last;
}

static gp_code scan_blocks(query_run *q, gp_scan *scan, gp_day *day, gp_flow_tables *t, gp_error *err)
{
    const gp_stmt *s = q->stmt;
    const gp_blockmeta *meta = gp_day_meta(day);
    const uint64_t total_key = 1;
    if (meta->n_blocks && metadata_suffices(q, meta))
        return gp_agg_add(&t->v4, &total_key, &meta->sum.c, err);
    gp_code code = GP_OK;
    for (size_t b = 0; b < meta->n_blocks && code == GP_OK; b++) {
        int64_t ts = meta->blocks[b].ts;
        if (ts < s->first || ts > s->last)
            continue;
        if (atomic_load_explicit(&q->stop, memory_order_relaxed))
            break;
        code = gp_scan_block(scan, day, b, (uint32_t)bin_of(ts, s->bin_size), t, err);
    }
    return code;
}

static gp_code scan_day(query_run *q, gp_scan *scan, iface_run *i, size_t day_index, unsigned worker,
                        gp_error *err)
{
    gp_day *day = NULL;
    gp_error why = GP_ERROR_INIT;
    gp_code code = gp_day_open(&day, q->engine->db, i->name, i->days[day_index].day, &why);
    gp_scan_count_day(scan, code != GP_OK);
    if (code != GP_OK) {
        gp_log_warn(q->engine->log, "day skipped", GP_F_STR("iface", i->name), GP_F_STR("error", why.msg));
        return code == GP_ENOMEM ? gp_fail(err, code, "%s", why.msg) : GP_OK;
    }
    note_coverage(i, day_index, gp_day_meta(day));
    code = scan_blocks(q, scan, day, &i->tables[worker], err);
    gp_day_close(day);
    return code;
}

static gp_code run_job(query_run *q, gp_scan *scan, size_t job, unsigned worker, gp_error *err)
{
    size_t iface = 0;
    while (job >= q->ifaces[iface].n_days)
        job -= q->ifaces[iface++].n_days;
    return scan_day(q, scan, &q->ifaces[iface], job, worker, err);
}

static void fail_run(query_run *q, gp_code code, const gp_error *err)
{
    pthread_mutex_lock(&q->lock);
    if (q->code == GP_OK) {
        q->code = code;
        q->error = *err;
    }
    pthread_mutex_unlock(&q->lock);
    atomic_store(&q->stop, true);
}

static void add_stats(gp_query_stats *to, const gp_query_stats *from)
{
    to->bytes_loaded += from->bytes_loaded;
    to->bytes_decompressed += from->bytes_decompressed;
    to->blocks_processed += from->blocks_processed;
    to->blocks_corrupted += from->blocks_corrupted;
    to->directories_processed += from->directories_processed;
    to->workloads += from->workloads;
}

/* Worker 0 only. */
static void poll_hooks(query_run *q)
{
    const gp_run_hooks *h = q->hooks;
    if (!h)
        return;
    if (h->canceled && h->canceled(h->ctx)) {
        gp_error err = GP_ERROR_INIT;
        gp_fail(&err, GP_ECANCELED, "the query was canceled");
        fail_run(q, GP_ECANCELED, &err);
    }
    if (!h->keepalive || q->stmt->keepalive_ns <= 0 || monotonic_ns() < q->next_keepalive)
        return;
    q->next_keepalive = monotonic_ns() + q->stmt->keepalive_ns;
    pthread_mutex_lock(&q->lock);
    gp_query_stats so_far = q->stats;
    pthread_mutex_unlock(&q->lock);
    h->keepalive(h->ctx, &so_far);
}

static void work(query_run *q, unsigned worker)
{
    gp_scan *scan = NULL;
    gp_error err = GP_ERROR_INIT;
    gp_code code = gp_scan_new(&scan, &q->plan, &err);
    while (code == GP_OK) {
        if (worker == 0)
            poll_hooks(q);
        if (atomic_load(&q->stop))
            break;
        size_t job = atomic_fetch_add(&q->next_job, 1);
        if (job >= q->n_jobs)
            break;
        gp_query_stats before = *gp_scan_stats(scan);
        code = run_job(q, scan, job, worker, &err);
        gp_query_stats now = *gp_scan_stats(scan);
        now.bytes_loaded -= before.bytes_loaded;
        now.bytes_decompressed -= before.bytes_decompressed;
        now.blocks_processed -= before.blocks_processed;
        now.blocks_corrupted -= before.blocks_corrupted;
        now.directories_processed -= before.directories_processed;
        now.workloads -= before.workloads;
        pthread_mutex_lock(&q->lock);
        add_stats(&q->stats, &now);
        pthread_mutex_unlock(&q->lock);
    }
    gp_scan_free(scan);
    if (code != GP_OK)
        fail_run(q, code, &err);
}

typedef struct worker_arg {
    query_run *q;
    unsigned id;
    void (*step)(query_run *q, unsigned id);
} worker_arg;

static void *worker_main(void *p)
{
    worker_arg *a = p;
    a->step(a->q, a->id);
    pthread_mutex_lock(&a->q->lock);
    a->q->working--;
    pthread_cond_signal(&a->q->done);
    pthread_mutex_unlock(&a->q->lock);
    return NULL;
}

/* Worker 0 has nothing left to do: keeps the hooks alive until the others are done. */
static void await_workers(query_run *q)
{
    const int64_t slice_ns = 20000000;
    pthread_mutex_lock(&q->lock);
    while (q->working) {
        int64_t until = monotonic_ns() + slice_ns;
        const struct timespec t = {until / 1000000000, until % 1000000000};
        if (pthread_cond_timedwait(&q->done, &q->lock, &t) != ETIMEDOUT)
            continue;
        pthread_mutex_unlock(&q->lock);
        poll_hooks(q);
        pthread_mutex_lock(&q->lock);
    }
    pthread_mutex_unlock(&q->lock);
}

/* Runs `step` on every worker; a thread that cannot be created leaves its share to the others when the step
 * hands out jobs, and runs on the caller's thread when every worker has a share of its own. */
static void run_workers(query_run *q, void (*step)(query_run *, unsigned))
{
    pthread_t threads[MAX_THREADS];
    worker_arg args[MAX_THREADS];
    bool started[MAX_THREADS] = {false};
    for (unsigned i = 1; i < q->n_workers; i++) {
        args[i] = (worker_arg){q, i, step};
        pthread_mutex_lock(&q->lock);
        q->working++;
        pthread_mutex_unlock(&q->lock);
        started[i] = pthread_create(&threads[i], NULL, worker_main, &args[i]) == 0;
        if (started[i])
            continue;
        pthread_mutex_lock(&q->lock);
        q->working--;
        pthread_mutex_unlock(&q->lock);
    }
    step(q, 0);
    for (unsigned i = 1; i < q->n_workers; i++)
        if (!started[i])
            step(q, i);
    await_workers(q);
    for (unsigned i = 1; i < q->n_workers; i++)
        if (started[i])
            pthread_join(threads[i], NULL);
}

/* ---- live flows ------------------------------------------------------------------------------------ */

typedef struct live_sink {
    query_run *q;
    gp_flow_tables *tables;
    uint32_t ts;
    gp_code code;
    gp_error err;
} live_sink;

static void add_live_flow(void *ctx, const gp_flow *flow)
{
    live_sink *s = ctx;
    if (s->code == GP_OK)
        s->code = gp_scan_flow(&s->q->plan, flow, s->ts, s->tables, &s->err);
}

/* Live flows carry the time label of the block that they will be written to. */
static gp_code add_live(query_run *q, gp_error *err)
{
    const gp_live_source *live = &q->engine->live;
    if (!q->stmt->live || !live->flows)
        return GP_OK;
    int64_t now = (int64_t)time(NULL);
    int64_t interval_end = (now / GP_DB_WRITE_INTERVAL + 1) * GP_DB_WRITE_INTERVAL;
    for (size_t i = 0; i < q->n_ifaces; i++) {
        live_sink sink = {.q = q,
                          .tables = &q->ifaces[i].tables[0],
                          .ts = (uint32_t)bin_of(interval_end, q->stmt->bin_size)};
        gp_code code = live->flows(live->ctx, q->ifaces[i].name, add_live_flow, &sink, err);
        if (code == GP_OK && sink.code != GP_OK)
            code = gp_fail(err, sink.code, "%s", sink.err.msg);
        if (code != GP_OK)
            return code;
    }
    return GP_OK;
}

/* ---- merge ----------------------------------------------------------------------------------------- */

static unsigned partitions(const query_run *q)
{
    unsigned p = 1;
    while (p < q->n_workers)
        p *= 2;
    return p;
}

static bool empty(const gp_flow_tables *t)
{
    return t->v4.n == 0 && t->v6.n == 0;
}

/* Partition `part` of everything that the workers found on one interface. */
static gp_code merge_iface(query_run *q, const iface_run *i, unsigned part, unsigned parts,
                           gp_flow_tables *to, gp_error *err)
{
    gp_code code = GP_OK;
    for (unsigned w = 0; w < q->n_workers && code == GP_OK; w++) {
        code = gp_agg_merge_part(&to->v4, &i->tables[w].v4, part, parts, err);
        if (code == GP_OK)
            code = gp_agg_merge_part(&to->v6, &i->tables[w].v6, part, parts, err);
    }
    return code;
}

typedef struct merge_share {
    query_run *q;
    iface_run *iface;
    gp_flow_tables *to;
    unsigned part, parts;
    gp_code code;
    gp_error err;
} merge_share;

static void *merge_main(void *p)
{
    merge_share *m = p;
    m->code = merge_iface(m->q, m->iface, m->part, m->parts, &m->to[m->part], &m->err);
    return NULL;
}

/* Merges the tables of one interface by partition, one thread each. Below this many entries in all,
 * starting threads would cost more than the merge. */
enum { PARALLEL_MERGE_FROM = 1 << 15 };

static gp_code merge_parallel(query_run *q, iface_run *i, gp_flow_tables *to, unsigned parts, gp_error *err)
{
    merge_share share[MAX_THREADS];
    pthread_t threads[MAX_THREADS];
    bool started[MAX_THREADS] = {false};
    for (unsigned p = 0; p < parts; p++) {
        share[p] = (merge_share){.q = q, .iface = i, .to = to, .part = p, .parts = parts};
        started[p] = p + 1 < parts && pthread_create(&threads[p], NULL, merge_main, &share[p]) == 0;
        if (!started[p])
            merge_main(&share[p]);
    }
    gp_code code = GP_OK;
    for (unsigned p = 0; p < parts; p++) {
        if (started[p])
            pthread_join(threads[p], NULL);
        if (share[p].code != GP_OK && code == GP_OK)
            code = gp_fail(err, share[p].code, "%s", share[p].err.msg);
    }
    return code;
}

/* Afterwards tables[0..*n) hold every key exactly once. */
static gp_code merge_tables(query_run *q, iface_run *i, unsigned *n, gp_error *err)
{
    size_t entries = 0;
    unsigned used = 0;
    for (unsigned w = 0; w < q->n_workers; w++) {
        if (empty(&i->tables[w]))
            continue;
        used++;
        entries += i->tables[w].v4.n + i->tables[w].v6.n;
    }
    *n = q->n_workers;
    if (used <= 1) /* no key can be in two tables */
        return GP_OK;
    unsigned parts = entries < PARALLEL_MERGE_FROM ? 1 : partitions(q);
    gp_flow_tables *to = NULL;
    gp_code code = alloc_tables(q, &to, parts, err);
    if (code == GP_OK)
        code = merge_parallel(q, i, to, parts, err);
    if (code != GP_OK) {
        free_tables(to, parts);
        return code;
    }
    free_tables(i->tables, q->n_workers);
    i->tables = to;
    *n = parts;
    return GP_OK;
}

/* ---- emit ------------------------------------------------------------------------------------------ */

static uint64_t sort_value(const gp_stmt *s, const gp_counters *c)
{
    uint64_t in = s->sort_by == GP_SORT_PACKETS ? c->pkts_rcvd : c->bytes_rcvd;
    uint64_t out = s->sort_by == GP_SORT_PACKETS ? c->pkts_sent : c->bytes_sent;
    if (s->direction == GP_DIR_IN)
        return in;
    return s->direction == GP_DIR_OUT ? out : in + out;
}

/* Keeps the rows that can be among the first num_results: once twice as many are there, they are cut back
 * to the best, and whatever sorts behind the last of these is not even made a row. */
typedef struct emitter {
    const gp_stmt *stmt;
    gp_result *out;
    const char *iface, *host, *hostid;
    uint64_t limit; /* 0: keep all */
    bool full;
    uint64_t threshold; /* sort value of the last row kept so far, valid when full */
    uint64_t hits;
} emitter;

enum { MIN_CUT = 1024 };

static bool worth_a_row(const emitter *e, const gp_counters *c)
{
    if (!e->full)
        return true;
    uint64_t v = sort_value(e->stmt, c);
    return e->stmt->sort_ascending ? v <= e->threshold : v >= e->threshold;
}

static void cut(emitter *e)
{
    const gp_stmt *s = e->stmt;
    gp_result_sort(e->out, s->sort_by, s->direction, s->sort_ascending, e->limit);
    e->full = true;
    e->threshold = sort_value(s, &e->out->rows[e->out->n_rows - 1].c);
}

static gp_code emit_entry(emitter *e, const gp_keyspec *spec, const uint64_t *key, const gp_counters *c,
                          gp_error *err)
{
    gp_direction_filter dir = e->stmt->cond ? gp_cond_direction(e->stmt->cond) : GP_DIRF_NONE;
    if (dir != GP_DIRF_NONE && !gp_direction_match(dir, c))
        return GP_OK;
    e->hits++;
    gp_counters_add(&e->out->totals, c);
    if (!worth_a_row(e, c))
        return GP_OK;
    gp_result *out = e->out;
    if (out->n_rows == out->cap_rows) {
        gp_code code = gp_result_reserve_rows(out, out->n_rows ? out->n_rows * 2 : MIN_CUT, err);
        if (code != GP_OK)
            return code;
    }
    gp_row *row = &out->rows[out->n_rows++];
    *row = (gp_row){.iface = e->iface, .host = e->host, .hostid = e->hostid, .c = *c};
    gp_key_unpack(spec, key, row);
    if (e->limit && out->n_rows >= 2 * e->limit && out->n_rows >= MIN_CUT)
        cut(e);
    return GP_OK;
}

static gp_code emit_table(emitter *e, const gp_keyspec *spec, const gp_agg *t, gp_error *err)
{
    size_t at = 0;
    const uint64_t *key;
    gp_counters c;
    gp_code code = GP_OK;
    while (code == GP_OK && gp_agg_next(t, &at, &key, &c))
        code = emit_entry(e, spec, key, &c, err);
    return code;
}

static gp_code emit_rows(query_run *q, gp_result *out, const char *host, const char *hostid, gp_error *err)
{
    const gp_stmt *s = q->stmt;
    emitter e = {.stmt = s, .out = out, .host = host, .hostid = hostid};
    bool by_value = s->sort_by != GP_SORT_TIME;
    e.limit = by_value && s->num_results < SIZE_MAX / 4 ? s->num_results : 0;
    for (size_t i = 0; i < q->n_ifaces; i++) {
        iface_run *run = &q->ifaces[i];
        unsigned n = 0;
        gp_code code = merge_tables(q, run, &n, err);
        e.iface = gp_result_intern(out, run->name);
        for (unsigned t = 0; t < n && code == GP_OK; t++) {
            code = emit_table(&e, &q->plan.key_v4, &run->tables[t].v4, err);
            if (code == GP_OK)
                code = emit_table(&e, &q->plan.key_v6, &run->tables[t].v6, err);
        }
        /* Keep one table array of the size that cleanup expects. */
        free_tables(run->tables, n);
        run->tables = NULL;
        if (code != GP_OK)
            return code;
    }
    out->hits_total = e.hits;
    gp_result_sort(out, s->sort_by, s->direction, s->sort_ascending, s->num_results);
    return GP_OK;
}

static void set_coverage(const query_run *q, gp_result *out)
{
    const gp_stmt *s = q->stmt;
    bool any = false;
    int64_t first = s->first;
    int64_t last = s->last;
    for (size_t i = 0; i < q->n_ifaces; i++) {
        const iface_run *r = &q->ifaces[i];
        if (r->n_days == 0)
            continue;
        int64_t f = (r->first_block > s->first ? r->first_block : s->first) - GP_DB_WRITE_INTERVAL;
        int64_t l = r->last_block && r->last_block < s->last ? r->last_block : s->last;
        first = any && first < f ? first : f;
        last = any && last > l ? last : l;
        any = true;
    }
    /* Live flows reach up to now; nothing can lie behind that. */
    int64_t now = (int64_t)time(NULL);
    if (s->live && q->engine->live.flows)
        last = s->last < now ? s->last : now;
    out->first = (gp_time){.sec = first, .set = true};
    out->last = (gp_time){.sec = last, .set = true};
    out->data_available = any || s->live;
}

static gp_code describe(query_run *q, gp_result *out, gp_error *err)
{
    const gp_stmt *s = q->stmt;
    for (unsigned i = 0; i < s->type.n_attrs; i++)
        out->attributes[out->n_attributes++] = gp_column_name(s->type.attrs[i]);
    if (s->cond)
        out->condition = gp_result_intern(out, gp_cond_string(s->cond));
    gp_code code = GP_OK;
    for (size_t i = 0; i < q->n_ifaces && code == GP_OK; i++)
        code = gp_result_add_iface(out, q->ifaces[i].name, err);
    return code;
}

/* ---- run ------------------------------------------------------------------------------------------- */

static void free_run(query_run *q)
{
    for (size_t i = 0; q->ifaces && i < q->n_ifaces; i++) {
        free(q->ifaces[i].days);
        free_tables(q->ifaces[i].tables, q->n_workers);
    }
    free(q->ifaces);
    gp_strlist_free(q->db_ifaces, q->n_db_ifaces);
    pthread_cond_destroy(&q->done);
    pthread_mutex_destroy(&q->lock);
}

static void init_run(query_run *q, gp_engine *e, const gp_stmt *stmt, const gp_run_hooks *hooks)
{
    *q = (query_run){.engine = e, .stmt = stmt, .hooks = hooks};
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->done, &attr);
    pthread_condattr_destroy(&attr);
    q->next_keepalive = monotonic_ns() + stmt->keepalive_ns;
}

static gp_code execute(query_run *q, gp_result *out, const char *host, const char *hostid, gp_error *err)
{
    gp_code code = make_plan(q, err);
    /* A database that nothing was written to yet has no data; that is no mistake of who asks. */
    if (code == GP_OK && q->n_ifaces == 0 && q->n_db_ifaces > 0)
        code =
            gp_fail(err, GP_EINVAL, "no interfaces provided: '%s' selects none of the database's interfaces",
                    q->stmt->ifaces);
    if (code == GP_OK)
        code = describe(q, out, err);
    if (code == GP_OK)
        code = add_live(q, err);
    if (code != GP_OK)
        return code;
    run_workers(q, work);
    if (q->code != GP_OK)
        return gp_fail(err, q->code, "%s", q->error.msg);
    set_coverage(q, out);
    out->stats = q->stats;
    out->has_stats = true;
    return emit_rows(q, out, host, hostid, err);
}

static gp_time wall_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (gp_time){.sec = t.tv_sec, .nsec = (int32_t)t.tv_nsec, .set = true};
}

static gp_code run_in_slot(gp_engine *e, const gp_stmt *stmt, const gp_run_hooks *hooks, gp_result *out,
                           gp_error *err)
{
    char host[256] = "";
    char *hostid = NULL;
    query_run q;
    int64_t start = monotonic_ns();
    out->query_start = wall_clock();
    if (gethostname(host, sizeof host - 1) != 0)
        return gp_fail_errno(err, errno, "cannot get the host name");
    init_run(&q, e, stmt, hooks);
    gp_code code = gp_db_host_id(e->db, &hostid, err);
    out->hostname = gp_result_intern(out, host);
    if (code == GP_OK)
        code = execute(&q, out, out->hostname, gp_result_intern(out, hostid), err);
    free(hostid);
    free_run(&q);
    if (code != GP_OK)
        return code;
    out->query_duration_ns = monotonic_ns() - start;
    /* As in v4, a host that answered is ok, whether it has rows or not: tools report all others as failures.
     */
    code = gp_result_set_host(out, host, GP_STATUS_OK, NULL, err);
    gp_result_finish(out);
    return code;
}

gp_code gp_engine_run(gp_engine *e, const gp_stmt *stmt, const gp_run_hooks *hooks, gp_result *out,
                      gp_error *err)
{
    gp_result_init(out);
    if (!take_slot(e, stmt->keepalive_ns)) {
        out->status = GP_STATUS_TOO_MANY_REQUESTS;
        out->status_message = gp_result_intern(out, "too many concurrent requests");
        return GP_OK;
    }
    gp_code code = run_in_slot(e, stmt, hooks, out, err);
    release_slot(e);
    if (code != GP_OK)
        gp_result_free(out);
    return code;
}
