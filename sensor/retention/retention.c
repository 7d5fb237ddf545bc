#include "sensor/retention/retention.h"

#include "proto/base/clock.h"
#include "proto/base/strlist.h"
#include "sensor/godb/reader.h"
#include "sensor/godb/retention.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { NICENESS = 15 };

struct gp_retention {
    gp_retention_config cfg;
    char *db;
    _Atomic uint64_t days, bytes, errors;
    pthread_mutex_t lock; /* guards stopping */
    pthread_cond_t stop;
    bool stopping, running;
    pthread_t thread;
};

gp_code gp_retention_new(gp_retention **out, const gp_retention_config *cfg, gp_error *err)
{
    *out = NULL;
    gp_retention *r = calloc(1, sizeof *r);
    char *db = strdup(cfg->db);
    if (!r || !db) {
        free(r);
        free(db);
        return gp_fail(err, GP_ENOMEM, "out of memory for the retention of days");
    }
    r->cfg = *cfg;
    r->db = db;
    r->cfg.db = db;
    gp_clock_cond_init(&r->stop);
    pthread_mutex_init(&r->lock, NULL);
    *out = r;
    return GP_OK;
}

gp_retention_counters gp_retention_count(const gp_retention *r)
{
    return (gp_retention_counters){atomic_load(&r->days), atomic_load(&r->bytes), atomic_load(&r->errors)};
}

/* ---- one round ----------------------------------------------------------------------------------------- */

static bool is_stopping(gp_retention *r)
{
    pthread_mutex_lock(&r->lock);
    bool stopping = r->stopping;
    pthread_mutex_unlock(&r->lock);
    return stopping;
}

static void complain(gp_retention *r, const char *iface, const gp_error *err)
{
    atomic_fetch_add(&r->errors, 1);
    gp_log_error(r->cfg.log, "days not removed, the next interval tries again", GP_F_STR("iface", iface),
                 GP_F_STR("error", err->msg));
}

static void tell(gp_retention *r, const char *what, const char *iface, const gp_retention_day *day)
{
    char date[32];
    time_t t = (time_t)day->day;
    struct tm utc;
    if (!gmtime_r(&t, &utc) || strftime(date, sizeof date, "%Y-%m-%d", &utc) == 0)
        snprintf(date, sizeof date, "%lld", (long long)day->day);
    gp_log_info(r->cfg.log, what, GP_F_STR("iface", iface), GP_F_STR("day", date),
                GP_F_U64("bytes", day->bytes), GP_F_STR("reason", gp_retention_reason_name(day->reason)));
}

static gp_code carry_out(gp_retention *r, const char *iface, const gp_retention_plan *plan, gp_error *err)
{
    for (size_t i = 0; i < plan->n && !is_stopping(r); i++) {
        const gp_retention_day *day = &plan->days[i];
        if (r->cfg.options->dry_run) {
            tell(r, "day would be removed (retention.dry_run)", iface, day);
            continue;
        }
        gp_code code = gp_retention_remove(r->cfg.db, iface, day, err);
        if (code != GP_OK)
            return code;
        atomic_fetch_add(&r->days, 1);
        atomic_fetch_add(&r->bytes, day->bytes);
        tell(r, "day removed", iface, day);
    }
    return GP_OK;
}

static void keep_iface(gp_retention *r, const char *iface, const gp_retention_limits *limits, int64_t now)
{
    gp_retention_plan plan = {0};
    gp_error err = GP_ERROR_INIT;
    gp_code code = r->cfg.options->dry_run ? GP_OK : gp_retention_clean(r->cfg.db, iface, &err);
    if (code == GP_OK)
        code = gp_retention_plan_make(&plan, r->cfg.db, iface, limits, now, &err);
    if (code == GP_OK)
        code = carry_out(r, iface, &plan, &err);
    if (code != GP_OK)
        complain(r, iface, &err);
    gp_retention_plan_free(&plan);
}

static void keep_all(gp_retention *r)
{
    char **ifaces = NULL;
    size_t n = 0;
    gp_error err = GP_ERROR_INIT;
    int64_t now = r->cfg.now ? r->cfg.now(r->cfg.now_ctx) : (int64_t)time(NULL);
    if (gp_db_list_ifaces(r->cfg.db, &ifaces, &n, &err) != GP_OK)
        complain(r, "", &err);
    for (size_t i = 0; i < n && !is_stopping(r); i++) {
        const gp_retention_limits limits = gp_retention_limits_of(r->cfg.options, ifaces[i]);
        if (limits.max_age_s > 0 || limits.max_size > 0)
            keep_iface(r, ifaces[i], &limits, now);
    }
    gp_strlist_free(ifaces, n);
}

/* ---- the thread ---------------------------------------------------------------------------------------- */

/* False when it is time to stop. */
static bool wait_interval(gp_retention *r)
{
    const int64_t at = gp_clock_after(r->cfg.options->interval_ns);
    pthread_mutex_lock(&r->lock);
    while (!r->stopping && gp_clock_wait(&r->stop, &r->lock, at)) {
    }
    bool go_on = !r->stopping;
    pthread_mutex_unlock(&r->lock);
    return go_on;
}

static void *run(void *arg)
{
    gp_retention *r = arg;
    (void)setpriority(PRIO_PROCESS, 0, NICENESS); /* on Linux: of this thread */
    do
        keep_all(r);
    while (wait_interval(r));
    return NULL;
}

static bool has_limits(const gp_retention_options *o)
{
    bool some = o->max_age_s > 0 || o->max_size > 0;
    for (size_t i = 0; i < o->n_ifaces; i++)
        some = some || o->ifaces[i].limits.max_age_s > 0 || o->ifaces[i].limits.max_size > 0;
    return some;
}

gp_code gp_retention_start(gp_retention *r, gp_error *err)
{
    if (!has_limits(r->cfg.options))
        return GP_OK;
    int rc = pthread_create(&r->thread, NULL, run, r);
    if (rc != 0)
        return gp_fail_errno(err, rc, "cannot start the retention of days");
    r->running = true;
    return GP_OK;
}

void gp_retention_free(gp_retention *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    pthread_cond_broadcast(&r->stop);
    pthread_mutex_unlock(&r->lock);
    if (r->running)
        pthread_join(r->thread, NULL);
    pthread_cond_destroy(&r->stop);
    pthread_mutex_destroy(&r->lock);
    free(r->db);
    free(r);
}
