#include "sensor/godb/queryrun.h"

#include "proto/query/ifsel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

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
    q->n_days += i->n_days;
    i->until = s->last;
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

static gp_code alloc_tables(const query_run *q, iface_run *i, gp_error *err)
{
    if (q->n_workers == 0)
        return gp_fail(err, GP_EINTERNAL, "a query without workers");
    i->tables = calloc(q->n_workers, sizeof *i->tables);
    if (!i->tables)
        return gp_fail(err, GP_ENOMEM, "out of memory for a query");
    for (unsigned w = 0; w < q->n_workers; w++) {
        gp_agg_init(&i->tables[w].v4, q->plan.key_v4.words, q->seed);
        gp_agg_init(&i->tables[w].v6, q->plan.key_v6.words, q->seed);
    }
    return GP_OK;
}

/*
 * A condition on the direction chooses among the sums that each key has in single blocks, as v4 does: a host
 * that only receives in one block and answers in the next does neither in their hour. So its bins are made
 * of the rows that it chose, which takes memory for a row of each block. All else is summed up in bins at
 * once.
 */
static bool chooses_before_binning(const gp_stmt *s)
{
    return (s->type.label_mask & GP_LABEL_TIME) && s->bin_size > GP_DB_WRITE_INTERVAL && s->cond &&
           gp_cond_direction(s->cond) != GP_DIRF_NONE && !gp_narrow_any(&s->narrow);
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
        .warnings = &q->warnings,
    };
    q->bin_rows = chooses_before_binning(s);
    q->plan.totals = s->type.attr_mask == 0;
    q->plan.dense = gp_dense_suits(&q->plan.key_v4);
    q->budget.pct = (unsigned)(s->max_mem_pct > 0 ? s->max_mem_pct : GP_DEFAULT_MAX_MEM_PCT);
    q->budget.limit = q->engine->memory / 100 * q->budget.pct;
}

/* Days are cut into parts where there are too few of them to keep all workers busy to the end; not so where
 * a day's metadata is all that is read. */
static void plan_jobs(query_run *q)
{
    enum { JOBS_PER_WORKER = 8, MAX_PARTS = 24 };
    size_t workers = q->stmt->low_mem ? 1 : q->engine->threads;
    q->totals_only = q->plan.totals && !q->stmt->cond && !q->plan.key_v4.time;
    q->parts_per_day = 1;
    if (workers > 1 && q->n_days > 0 && !q->totals_only)
        while (q->parts_per_day < MAX_PARTS && q->n_days * q->parts_per_day < workers * JOBS_PER_WORKER)
            q->parts_per_day++;
    size_t jobs = q->n_days * q->parts_per_day;
    if (workers > jobs)
        workers = jobs ? jobs : 1;
    q->n_workers = (unsigned)workers;
}

gp_code gp_query_plan(query_run *q, gp_error *err)
{
    if (getrandom(q->seed, sizeof q->seed, 0) != (ssize_t)sizeof q->seed)
        return gp_fail_errno(err, errno, "cannot get random numbers for a query");
    make_scan_plan(q);
    gp_code code = plan_ifaces(q, err);
    if (code != GP_OK)
        return code;
    plan_jobs(q);
    for (unsigned w = 0; w < q->n_workers && code == GP_OK; w++)
        code = gp_segpool_new(&q->pools[w], &q->budget, err);
    for (size_t i = 0; i < q->n_ifaces && code == GP_OK; i++)
        code = alloc_tables(q, &q->ifaces[i], err);
    return code;
}
