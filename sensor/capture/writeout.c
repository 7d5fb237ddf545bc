#include "sensor/capture/writeout.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct job {
    struct job *next;
    char iface[16];
    int64_t ts;
    gp_table_ref *table;
    gp_capture_stats stats;
    size_t bytes;
} job;

struct gp_writeout {
    gp_writeout_fn fn;
    void *ctx;
    size_t limit;
    gp_log *log;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    job *first, **last;
    bool busy, ending;
    double seconds; /* spent on writing since the queue was empty */
    gp_writeout_stats stats;
};

/* As v4 has them: disks differ. */
static const double duration_bounds[GP_HISTOGRAM_BOUNDS] = {0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 10, 30, 60};

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static gp_code write_job(gp_writeout *w, const job *j, gp_error *err)
{
    gp_flow *flows = NULL;
    size_t n = 0;
    gp_code code = gp_flowtable_export(gp_table_ref_get(j->table), &flows, &n, err);
    if (code == GP_OK)
        code = w->fn(w->ctx, j->iface, j->ts, flows, gp_flows_merge(flows, n), &j->stats, err);
    free(flows);
    return code;
}

static void run_job(gp_writeout *w, job *j)
{
    struct timespec start;
    gp_error err = GP_ERROR_INIT;
    clock_gettime(CLOCK_MONOTONIC, &start);
    gp_code code = write_job(w, j, &err);
    if (code != GP_OK)
        gp_log_error(w->log, "writeout failed", GP_F_STR("iface", j->iface), GP_F_I64("ts", j->ts),
                     GP_F_STR("error", err.msg));
    gp_table_unref(j->table);
    pthread_mutex_lock(&w->lock);
    w->stats.waiting_bytes -= j->bytes;
    w->stats.blocks++;
    w->stats.failed += code != GP_OK;
    w->seconds += seconds_since(&start);
    if (!w->first) {
        gp_histogram_add(&w->stats.durations, w->seconds);
        w->seconds = 0;
    }
    pthread_mutex_unlock(&w->lock);
    free(j);
}

static void *writeout_main(void *arg)
{
    gp_writeout *w = arg;
    (void)pthread_setname_np(pthread_self(), "writeout");
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->first && !w->ending)
            pthread_cond_wait(&w->changed, &w->lock);
        job *j = w->first;
        if (!j)
            break;
        w->first = j->next;
        if (!w->first)
            w->last = &w->first;
        w->busy = true;
        pthread_mutex_unlock(&w->lock);
        run_job(w, j);
        pthread_mutex_lock(&w->lock);
        w->busy = false;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

gp_code gp_writeout_new(gp_writeout **out, gp_writeout_fn fn, void *ctx, size_t limit, gp_log *log,
                        gp_error *err)
{
    gp_writeout *w = calloc(1, sizeof *w);
    if (!w)
        return gp_fail(err, GP_ENOMEM, "out of memory for the writeout");
    w->fn = fn;
    w->ctx = ctx;
    w->limit = limit;
    w->log = log;
    w->last = &w->first;
    w->stats.durations.bounds = duration_bounds;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    int rc = pthread_create(&w->thread, NULL, writeout_main, w);
    if (rc != 0) {
        pthread_cond_destroy(&w->changed);
        pthread_mutex_destroy(&w->lock);
        free(w);
        return gp_fail_errno(err, rc, "cannot start the writeout thread");
    }
    *out = w;
    return GP_OK;
}

void gp_writeout_free(gp_writeout *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

gp_code gp_writeout_add(gp_writeout *w, const char *iface, int64_t ts, gp_table_ref *table,
                        const gp_capture_stats *stats, gp_error *err)
{
    job *j = calloc(1, sizeof *j);
    if (!j)
        return gp_fail(err, GP_ENOMEM, "out of memory for a writeout of '%s'", iface);
    snprintf(j->iface, sizeof j->iface, "%s", iface);
    j->ts = ts;
    j->table = table;
    j->stats = *stats;
    j->bytes = gp_flowtable_bytes(gp_table_ref_get(table));
    pthread_mutex_lock(&w->lock);
    *w->last = j;
    w->last = &j->next;
    w->stats.waiting_bytes += j->bytes;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return GP_OK;
}

bool gp_writeout_full(gp_writeout *w)
{
    pthread_mutex_lock(&w->lock);
    bool full = w->stats.waiting_bytes > w->limit;
    pthread_mutex_unlock(&w->lock);
    return full;
}

void gp_writeout_wait(gp_writeout *w)
{
    pthread_mutex_lock(&w->lock);
    while (w->first || w->busy)
        pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

void gp_writeout_get_stats(gp_writeout *w, gp_writeout_stats *out)
{
    pthread_mutex_lock(&w->lock);
    *out = w->stats;
    pthread_mutex_unlock(&w->lock);
}
