#include "sensor/godb/engine.h"

#include "proto/base/clock.h"
#include "proto/base/cpus.h"
#include "sensor/godb/queryrun.h"
#include "sensor/godb/toplist.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- engine -------------------------------------------------------------------------------------------- */

/* Of the memory, for the tables and rows of all queries that run at the same time. */
enum { MOST_PCT = 90 };

/* What the host has, or less where a cgroup (v2, as a container sees its own) allows less. */
static uint64_t usable_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    long size = sysconf(_SC_PAGESIZE);
    uint64_t memory = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_C(1) << 30;
    unsigned long long limit = 0;
    FILE *f = fopen("/sys/fs/cgroup/memory.max", "re");
    if (!f)
        return memory;
    if (fscanf(f, "%llu", &limit) == 1 && limit < memory) /* NOLINT(cert-err34-c): "max" is no number */
        memory = limit;
    (void)fclose(f);
    return memory;
}

gp_code gp_engine_new(gp_engine **out, const gp_engine_config *cfg, gp_error *err)
{
    gp_engine *e = calloc(1, sizeof *e);
    char *db = strdup(cfg->db);
    if (!e || !db) {
        free(e);
        free(db);
        return gp_fail(err, GP_ENOMEM, "out of memory for the query engine");
    }
    unsigned threads = cfg->threads ? cfg->threads : gp_usable_cpus();
    e->db = db;
    e->threads = threads > GP_MAX_WORKERS ? GP_MAX_WORKERS : threads;
    e->max_concurrent = cfg->max_concurrent;
    e->memory = cfg->memory ? cfg->memory : usable_memory();
    e->budget.limit = e->memory / 100 * MOST_PCT;
    e->live = cfg->live;
    e->log = cfg->log;
    pthread_mutex_init(&e->lock, NULL);
    gp_clock_cond_init(&e->slot_free);
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
    const int64_t deadline = gp_clock_after(keepalive_ns > 0 ? keepalive_ns : GP_NS_PER_SEC);
    bool in_time = true;
    pthread_mutex_lock(&e->lock);
    while (e->max_concurrent && e->running >= e->max_concurrent && in_time)
        in_time = gp_clock_wait(&e->slot_free, &e->lock, deadline);
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

/* ---- result -------------------------------------------------------------------------------------------- */

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

/* ---- run ----------------------------------------------------------------------------------------------- */

static void free_tables(gp_flow_tables *t, unsigned n)
{
    for (unsigned i = 0; t && i < n; i++) {
        gp_agg_free(&t[i].v4);
        gp_agg_free(&t[i].v6);
        free(t[i].dense);
    }
    free(t);
}

static void free_run(query_run *q)
{
    for (size_t i = 0; q->ifaces && i < q->n_ifaces; i++) {
        free(q->ifaces[i].days);
        free(q->ifaces[i].passed_over);
        free_tables(q->ifaces[i].tables, q->n_workers);
    }
    for (unsigned w = 0; w < GP_MAX_WORKERS; w++)
        gp_segpool_free(q->pools[w]);
    gp_toplist_free(q);
    free(q->ifaces);
    gp_strlist_free(q->db_ifaces, q->n_db_ifaces);
    gp_mem_give(&q->budget, atomic_load(&q->budget.used)); /* for rows: they are the caller's now */
    pthread_cond_destroy(&q->done);
    pthread_mutex_destroy(&q->lock);
}

static void init_run(query_run *q, gp_engine *e, const gp_stmt *stmt, const gp_run_hooks *hooks)
{
    *q = (query_run){.engine = e, .stmt = stmt, .hooks = hooks, .budget.parent = &e->budget};
    pthread_mutex_init(&q->lock, NULL);
    gp_clock_cond_init(&q->done);
    q->next_keepalive = gp_clock_ns() + stmt->keepalive_ns;
}

static gp_code execute(query_run *q, gp_result *out, const char *host, const char *hostid, gp_error *err)
{
    gp_code code = gp_query_plan(q, err);
    /* A database that nothing was written to yet has no data; that is no mistake of who asks. */
    if (code == GP_OK && q->n_ifaces == 0 && q->n_db_ifaces > 0)
        code =
            gp_fail(err, GP_EINVAL, "no interfaces provided: '%s' selects none of the database's interfaces",
                    q->stmt->ifaces);
    if (code == GP_OK)
        code = describe(q, out, err);
    if (code == GP_OK)
        code = gp_query_scan(q, err);
    if (code != GP_OK)
        return code;
    set_coverage(q, out);
    out->stats = q->stats;
    out->has_stats = true;
    return gp_query_finish(q, out, host, hostid, err);
}

static gp_time wall_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (gp_time){.sec = t.tv_sec, .nsec = (int32_t)t.tv_nsec, .set = true};
}

/* What the answer lacks, if anything. */
static const char *skipped(gp_result *out)
{
    char text[160];
    if (out->stats.blocks_corrupted == 0)
        return NULL;
    snprintf(text, sizeof text,
             "%llu damaged or unreadable blocks or days were skipped; see the log of the host",
             (unsigned long long)out->stats.blocks_corrupted);
    return gp_result_intern(out, text);
}

static gp_code run_in_slot(gp_engine *e, const gp_stmt *stmt, const gp_run_hooks *hooks, gp_result *out,
                           gp_error *err)
{
    char host[256] = "";
    char *hostid = NULL;
    query_run q;
    int64_t start = gp_clock_ns();
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
    out->query_duration_ns = gp_clock_ns() - start;
    /* As in v4, a host that answered is ok, whether it has rows or not: tools report all others as
     * failures. */
    code = gp_result_set_host(out, host, GP_STATUS_OK, skipped(out), err);
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
