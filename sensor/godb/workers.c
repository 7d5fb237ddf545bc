#include "proto/base/clock.h"
#include "sensor/godb/daypath.h"
#include "sensor/godb/queryrun.h"
#include "sensor/godb/toplist.h"

#include <stdlib.h>
#include <time.h>

/* ---- blocks -------------------------------------------------------------------------------------------- */

/* The end of the bin that an interval ending at ts belongs to. Blocks keep their own time where no coarser
 * resolution is asked for, or where rows will be binned. */
static int64_t bin_of(const query_run *q, int64_t ts)
{
    const int64_t bin = q->stmt->bin_size;
    int64_t over = bin > GP_DB_WRITE_INTERVAL && !q->bin_rows ? ts % bin : 0;
    return over ? ts - over + bin : ts;
}

void gp_query_note_coverage(iface_run *i, size_t day_index, const gp_blockmeta *meta)
{
    if (meta->n_blocks == 0)
        return;
    if (day_index == 0)
        i->first_block = meta->blocks[0].ts;
    if (day_index == i->n_days - 1)
        i->last_block = meta->blocks[meta->n_blocks - 1].ts;
}

bool gp_query_wants_all(const query_run *q, const iface_run *i, const gp_blockmeta *meta)
{
    return meta->blocks[0].ts >= q->stmt->first && meta->blocks[meta->n_blocks - 1].ts <= i->until;
}

/* Nothing is asked of single flows and every block of the day counts: the metadata knows the answer. */
static bool metadata_suffices(const query_run *q, const iface_run *i, const gp_blockmeta *meta)
{
    return q->totals_only && meta->sum.n_v4 + meta->sum.n_v6 > 0 && gp_query_wants_all(q, i, meta);
}

/* A piece of work: the blocks of one part of a day. Parts are cut by time, so that they stay what they are
 * while a writer appends to the day. */
typedef struct job {
    iface_run *iface;
    size_t day_index;
    unsigned part;
    int64_t from, to; /* blocks from <= ts < to */
} job;

static job find_job(const query_run *q, size_t index)
{
    size_t day = index / q->parts_per_day;
    size_t iface = 0;
    while (day >= q->ifaces[iface].n_days)
        day -= q->ifaces[iface++].n_days;
    job j = {.iface = &q->ifaces[iface], .day_index = day, .part = (unsigned)(index % q->parts_per_day)};
    int64_t start = j.iface->days[day].day;
    int64_t length = GP_DAY_SECONDS / q->parts_per_day;
    j.from = j.part == 0 ? INT64_MIN : start + j.part * length;
    j.to = j.part + 1 == q->parts_per_day ? INT64_MAX : start + (j.part + 1) * length;
    return j;
}

static bool block_counts(const gp_stmt *s, const job *j, int64_t ts)
{
    return ts >= s->first && ts <= j->iface->until && ts >= j->from && ts < j->to;
}

/* So that nothing behind them is read ahead. */
static void announce_blocks(const gp_stmt *s, const job *j, gp_day *day)
{
    const gp_blockmeta *meta = gp_day_meta(day);
    for (size_t b = meta->n_blocks; b-- > 0;) {
        if (block_counts(s, j, meta->blocks[b].ts)) {
            gp_day_want_until(day, b);
            return;
        }
    }
}

static gp_code scan_blocks(query_run *q, gp_scan *scan, const job *j, gp_day *day, unsigned worker,
                           gp_error *err)
{
    const gp_stmt *s = q->stmt;
    const gp_blockmeta *meta = gp_day_meta(day);
    gp_flow_tables *t = &j->iface->tables[worker];
    const uint64_t total_key = 1;
    if (meta->n_blocks && metadata_suffices(q, j->iface, meta))
        return gp_agg_add(&t->v4, q->pools[worker], &total_key, &meta->sum.c, err);
    gp_code code = GP_OK;
    announce_blocks(s, j, day);
    for (size_t b = 0; b < meta->n_blocks && code == GP_OK; b++) {
        int64_t ts = meta->blocks[b].ts;
        if (!block_counts(s, j, ts))
            continue;
        if (worker == 0)
            gp_query_poll_hooks(q);
        if (atomic_load_explicit(&q->stop, memory_order_relaxed))
            break;
        code = gp_scan_block(scan, day, b, (uint32_t)bin_of(q, ts), t, err);
    }
    return code;
}

static gp_code run_job(query_run *q, gp_scan *scan, const job *j, unsigned worker, gp_error *err)
{
    gp_day *day = NULL;
    gp_error why = GP_ERROR_INIT;
    gp_code code = gp_day_open(&day, q->engine->db, j->iface->name, j->iface->days[j->day_index].day, &why);
    if (j->part == 0)
        gp_scan_count_day(scan, code != GP_OK);
    if (code != GP_OK) {
        if (j->part == 0 && gp_scan_may_warn(&q->plan))
            gp_log_warn(q->engine->log, "day skipped", GP_F_STR("iface", j->iface->name),
                        GP_F_STR("error", why.msg));
        return code == GP_ENOMEM ? gp_fail(err, code, "%s", why.msg) : GP_OK;
    }
    if (j->part == 0)
        gp_query_note_coverage(j->iface, j->day_index, gp_day_meta(day));
    gp_scan_use(scan, day);
    code = scan_blocks(q, scan, j, day, worker, err);
    gp_day_close(day);
    return code;
}

/* ---- workers ------------------------------------------------------------------------------------------- */

void gp_query_fail(query_run *q, gp_code code, const gp_error *err)
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

void gp_query_poll_hooks(query_run *q)
{
    const gp_run_hooks *h = q->hooks;
    if (!h)
        return;
    if (h->canceled && h->canceled(h->ctx)) {
        gp_error err = GP_ERROR_INIT;
        gp_fail(&err, GP_ECANCELED, "the query was canceled");
        gp_query_fail(q, GP_ECANCELED, &err);
    }
    if (!h->keepalive || q->stmt->keepalive_ns <= 0 || gp_clock_ns() < q->next_keepalive)
        return;
    q->next_keepalive = gp_clock_ns() + q->stmt->keepalive_ns;
    pthread_mutex_lock(&q->lock);
    gp_query_stats so_far = q->stats;
    pthread_mutex_unlock(&q->lock);
    h->keepalive(h->ctx, &so_far);
}

static void scan_work(query_run *q, unsigned worker, void *ctx)
{
    (void)ctx;
    gp_scan *scan = NULL;
    gp_error err = GP_ERROR_INIT;
    gp_code code = gp_scan_new(&scan, &q->plan, q->pools[worker], &err);
    while (code == GP_OK && !atomic_load(&q->stop)) {
        size_t index = atomic_fetch_add(&q->next_job, 1);
        if (index >= q->n_days * q->parts_per_day)
            break;
        const job j = find_job(q, index);
        if (j.iface->passed_over && j.iface->passed_over[j.day_index])
            continue;
        code = run_job(q, scan, &j, worker, &err);
        const gp_query_stats stats = gp_scan_take_stats(scan);
        pthread_mutex_lock(&q->lock);
        add_stats(&q->stats, &stats);
        pthread_mutex_unlock(&q->lock);
    }
    gp_scan_free(scan);
    if (code != GP_OK)
        gp_query_fail(q, code, &err);
}

typedef struct worker_arg {
    query_run *q;
    unsigned id;
    void (*step)(query_run *q, unsigned id, void *ctx);
    void *ctx;
} worker_arg;

static void *worker_main(void *p)
{
    worker_arg *a = p;
    a->step(a->q, a->id, a->ctx);
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
        if (gp_clock_wait(&q->done, &q->lock, gp_clock_after(slice_ns)))
            continue;
        pthread_mutex_unlock(&q->lock);
        gp_query_poll_hooks(q);
        pthread_mutex_lock(&q->lock);
    }
    pthread_mutex_unlock(&q->lock);
}

/* Runs `step` on every worker; a thread that cannot be created leaves its share to the others when the step
 * hands out jobs, and runs on the caller's thread when every worker has a share of its own. */
void gp_query_run_workers(query_run *q, void (*step)(query_run *, unsigned, void *), void *ctx)
{
    pthread_t threads[GP_MAX_WORKERS];
    worker_arg args[GP_MAX_WORKERS];
    bool started[GP_MAX_WORKERS] = {false};
    for (unsigned i = 1; i < q->n_workers; i++) {
        args[i] = (worker_arg){q, i, step, ctx};
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
    step(q, 0, ctx);
    for (unsigned i = 1; i < q->n_workers; i++)
        if (!started[i])
            step(q, i, ctx);
    await_workers(q);
    for (unsigned i = 1; i < q->n_workers; i++)
        if (started[i])
            pthread_join(threads[i], NULL);
}

/* ---- live flows ---------------------------------------------------------------------------------------- */

typedef struct live_flows {
    query_run *q;
    gp_flow_tables *tables;
    uint32_t ts;
    gp_code code;
    gp_error err;
} live_flows;

/* Live flows carry the time label of the block that they will be written to. */
static bool add_live_block(void *ctx, int64_t ts)
{
    live_flows *s = ctx;
    s->ts = (uint32_t)bin_of(s->q, ts);
    return s->code == GP_OK && ts >= s->q->stmt->first;
}

static void add_live_flow(void *ctx, const gp_flow *flow)
{
    live_flows *s = ctx;
    if (s->code == GP_OK)
        s->code = gp_scan_flow(&s->q->plan, s->q->pools[0], flow, s->ts, s->tables, &s->err);
}

/* Time of the last block of the days that are planned. A day whose first block is just being written has
 * none. */
static int64_t last_block_of(const query_run *q, const iface_run *i)
{
    gp_day *day = NULL;
    if (i->n_days == 0)
        return 0;
    int64_t last = i->days[i->n_days - 1].day - 1;
    if (gp_day_open(&day, q->engine->db, i->name, i->days[i->n_days - 1].day, NULL) != GP_OK)
        return last;
    const gp_blockmeta *meta = gp_day_meta(day);
    if (meta->n_blocks)
        last = meta->blocks[meta->n_blocks - 1].ts;
    gp_day_close(day);
    return last;
}

/* GP_EBUSY if a block was written meanwhile. */
static gp_code try_live(query_run *q, iface_run *i, gp_error *err)
{
    const gp_live_source *live = &q->engine->live;
    live_flows to = {.q = q, .tables = &i->tables[0]};
    gp_live_sink sink = {.ctx = &to, .block = add_live_block, .flow = add_live_flow};
    sink.written = live->written ? live->written(live->ctx) : 0;
    sink.last = last_block_of(q, i);
    gp_code code = live->flows(live->ctx, i->name, &sink, err);
    if (code == GP_OK && to.code != GP_OK)
        code = gp_fail(err, to.code, "%s", to.err.msg);
    /* The end of what is now may lie ahead: a capture that ends has its last block stamped with the next
     * second. */
    const int64_t ahead = q->stmt->last + GP_DB_WRITE_INTERVAL;
    i->until = sink.last < ahead ? sink.last : q->stmt->last;
    return code;
}

static gp_code add_live(query_run *q, gp_error *err)
{
    /* Blocks of all interfaces are written one after the other, every 5 minutes. */
    enum { MOST_TRIES = 1000 };
    if (!q->stmt->live || !q->engine->live.flows)
        return GP_OK;
    for (size_t i = 0; i < q->n_ifaces; i++) {
        gp_code code = GP_EBUSY;
        for (unsigned tries = 0; tries < MOST_TRIES && code == GP_EBUSY; tries++)
            code = try_live(q, &q->ifaces[i], err);
        if (code != GP_OK)
            return code;
    }
    return GP_OK;
}

gp_code gp_query_scan_days(query_run *q, gp_error *err)
{
    atomic_store(&q->next_job, 0);
    gp_query_poll_hooks(q);
    gp_query_run_workers(q, scan_work, NULL);
    return q->code == GP_OK ? GP_OK : gp_fail(err, q->code, "%s", q->error.msg);
}

gp_code gp_query_scan(query_run *q, gp_error *err)
{
    gp_code code = add_live(q, err);
    if (code != GP_OK)
        return code;
    return gp_toplist_suits(q) ? gp_toplist_scan(q, err) : gp_query_scan_days(q, err);
}
