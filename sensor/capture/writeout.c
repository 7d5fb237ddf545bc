#include "sensor/capture/writeout.h"

#include "proto/base/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_PAUSE_S = 1, LONGEST_PAUSE_S = 30 };

typedef struct job {
    struct job *next;
    char iface[16];
    int64_t ts, placed; /* as wanted; as last tried, 0: not yet */
    gp_table_ref *table;
    gp_capture_stats stats;
    gp_journal_interval *journal;
    size_t bytes;
    unsigned tries;
    int64_t retry_at; /* gp_clock_ns() */
    bool damaged;     /* where it belongs, that is, as of its last try */
} job;

struct gp_writeout {
    gp_block_store store;
    gp_journal *journal;
    size_t limit;
    gp_log *log;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    job *first, **last;
    bool busy, ending;
    double seconds; /* spent on writing since nothing was to do */
    gp_writeout_stats stats;
};

/* As v4 has them: disks differ. */
static const double duration_bounds[GP_HISTOGRAM_BOUNDS] = {0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 10, 30, 60};

/* ---- one block ----------------------------------------------------------------------------------------- */

/* Did the last attempt come so far that the block is there? Its time was free before. */
static bool is_there_already(const gp_writeout *w, const job *j)
{
    bool held = false;
    return j->placed && w->store.holds &&
           w->store.holds(w->store.ctx, j->iface, j->placed, &held, NULL) == GP_OK && held;
}

static gp_code store_flows(gp_writeout *w, job *j, gp_error *err)
{
    gp_flow *flows = NULL;
    size_t n = 0;
    gp_code code = gp_flowtable_export(gp_table_ref_get(j->table), &flows, &n, err);
    if (code == GP_OK)
        code = w->store.write(w->store.ctx, j->iface, j->placed, flows, gp_flows_merge(flows, n), &j->stats,
                              err);
    free(flows);
    return code;
}

static gp_code write_job(gp_writeout *w, job *j, gp_error *err)
{
    if (is_there_already(w, j))
        return GP_OK;
    int64_t ts = j->ts;
    gp_code code = w->store.place ? w->store.place(w->store.ctx, j->iface, &ts, err) : GP_OK;
    if (code == GP_OK)
        code = gp_journal_commit(w->journal, j->journal, ts, err);
    if (code != GP_OK)
        return code;
    pthread_mutex_lock(&w->lock);
    j->placed = ts;
    pthread_mutex_unlock(&w->lock);
    code = store_flows(w, j, err);
    if (code == GP_OK && ts != j->ts)
        gp_log_info(w->log, "block moved: its time was taken (has the clock been set back?)",
                    GP_F_STR("iface", j->iface), GP_F_I64("wanted", j->ts), GP_F_I64("ts", ts));
    return code;
}

/* Nobody will try again. True if the next start will. */
static bool leave_to_journal(gp_writeout *w, const job *j)
{
    const gp_journal_batch batch = {.block_ts = j->ts, .dropped = j->stats.dropped};
    if (!gp_journal_keep(w->journal, j->journal, gp_table_ref_get(j->table), &batch))
        return false;
    gp_log_warn(w->log, "block left to the journal: the next start will write it",
                GP_F_STR("iface", j->iface), GP_F_I64("ts", j->ts));
    return true;
}

/* The block was written, or cannot be. True if its flows are lost. */
static bool finish_job(gp_writeout *w, job *j, gp_code code, const gp_error *err, bool ending)
{
    bool lost = false;
    if (code != GP_OK)
        gp_log_error(w->log, "writeout failed", GP_F_STR("iface", j->iface), GP_F_I64("ts", j->ts),
                     GP_F_STR("error", err->msg));
    if (code == GP_OK || !ending)
        gp_journal_end(w->journal, j->journal);
    if (code != GP_OK)
        lost = !ending || !leave_to_journal(w, j);
    if (lost)
        gp_log_error(w->log, "flows lost", GP_F_STR("iface", j->iface), GP_F_I64("ts", j->ts),
                     GP_F_U64("flows", gp_flowtable_flows(gp_table_ref_get(j->table))));
    gp_table_unref(j->table);
    free(j);
    return lost;
}

static unsigned pause_after(unsigned tries)
{
    unsigned pause = FIRST_PAUSE_S;
    while (--tries && pause < LONGEST_PAUSE_S)
        pause *= 2;
    return pause < LONGEST_PAUSE_S ? pause : LONGEST_PAUSE_S;
}

static void try_later(gp_writeout *w, job *j, const gp_error *err)
{
    unsigned pause = pause_after(++j->tries);
    j->retry_at = gp_clock_after(pause * GP_NS_PER_SEC);
    if ((j->tries & (j->tries - 1)) == 0) /* 1, 2, 4, 8, ... */
        gp_log_error(w->log, "writeout failed, to be tried again", GP_F_STR("iface", j->iface),
                     GP_F_I64("ts", j->ts), GP_F_U64("tries", j->tries), GP_F_STR("error", err->msg));
}

/* ---- the queue ----------------------------------------------------------------------------------------- */

/* Blocks of an interface are written in order; but those of another day need not wait until one is mended. */
static bool holds_up(const gp_writeout *w, const job *j, const char *iface, int64_t ts)
{
    if (strcmp(j->iface, iface) != 0)
        return false;
    return !(j->damaged && w->store.apart && w->store.apart(j->ts, ts));
}

static bool is_behind_its_own(const gp_writeout *w, const job *j)
{
    const job *k = w->first;
    while (k != j && !holds_up(w, k, j->iface, j->ts))
        k = k->next;
    return k != j;
}

/* The place in the queue of a job whose turn it is; NULL, and when to look again, if there is none. */
static job **find_due(gp_writeout *w, int64_t *until)
{
    const int64_t now = gp_clock_ns();
    *until = now + LONGEST_PAUSE_S * GP_NS_PER_SEC;
    for (job **at = &w->first; *at; at = &(*at)->next) {
        if (is_behind_its_own(w, *at))
            continue;
        if (w->ending || !(*at)->tries || (*at)->retry_at <= now)
            return at;
        if ((*at)->retry_at < *until)
            *until = (*at)->retry_at;
    }
    return NULL;
}

static void take_out(gp_writeout *w, job **at)
{
    job *j = *at;
    *at = j->next;
    if (w->last == &j->next)
        w->last = at;
}

/* Called with the lock; lets go of it while the disk works. */
static void run_job(gp_writeout *w, job **at)
{
    gp_error err = GP_ERROR_INIT;
    job *j = *at;
    bool ending = w->ending;
    w->busy = true;
    pthread_mutex_unlock(&w->lock);
    const int64_t start = gp_clock_ns();
    gp_code code = write_job(w, j, &err);
    /* A block that can never be stored is not worth another try. */
    bool finished = code == GP_OK || code == GP_EINVAL || ending;
    size_t bytes = j->bytes;
    if (!finished)
        try_later(w, j, &err);
    pthread_mutex_lock(&w->lock);
    j->damaged = code == GP_ECORRUPT;
    if (finished)
        take_out(w, at); /* others only append */
    w->stats.waiting -= finished;
    w->stats.waiting_bytes -= finished ? bytes : 0;
    w->stats.blocks += code == GP_OK;
    w->stats.failed += code != GP_OK;
    pthread_mutex_unlock(&w->lock);
    bool lost = finished && finish_job(w, j, code, &err, ending);
    pthread_mutex_lock(&w->lock);
    w->busy = false;
    w->seconds += gp_clock_seconds_since(start);
    w->stats.lost += lost;
}

static void note_pause(gp_writeout *w)
{
    if (w->seconds > 0)
        gp_histogram_add(&w->stats.durations, w->seconds);
    w->seconds = 0;
}

static void *writeout_main(void *arg)
{
    gp_writeout *w = arg;
    (void)pthread_setname_np(pthread_self(), "writeout");
    pthread_mutex_lock(&w->lock);
    for (;;) {
        int64_t until;
        job **at = find_due(w, &until);
        if (at) {
            run_job(w, at);
            continue;
        }
        note_pause(w);
        pthread_cond_broadcast(&w->changed);
        if (w->ending && !w->first)
            break;
        (void)gp_clock_wait(&w->changed, &w->lock, until);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* ---- interface ----------------------------------------------------------------------------------------- */

gp_code gp_writeout_new(gp_writeout **out, const gp_block_store *store, gp_journal *journal, size_t limit,
                        gp_log *log, gp_error *err)
{
    gp_writeout *w = calloc(1, sizeof *w);
    if (!w)
        return gp_fail(err, GP_ENOMEM, "out of memory for the writeout");
    w->store = *store;
    w->journal = journal;
    w->limit = limit;
    w->log = log;
    w->last = &w->first;
    w->stats.durations.bounds = duration_bounds;
    pthread_mutex_init(&w->lock, NULL);
    gp_clock_cond_init(&w->changed);
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
                        const gp_capture_stats *stats, gp_journal_interval *journal, gp_error *err)
{
    job *j = calloc(1, sizeof *j);
    if (!j)
        return gp_fail(err, GP_ENOMEM, "out of memory for a writeout of '%s'", iface);
    snprintf(j->iface, sizeof j->iface, "%s", iface);
    j->ts = ts;
    j->table = table;
    j->stats = *stats;
    j->journal = journal;
    j->bytes = gp_flowtable_bytes(gp_table_ref_get(table));
    pthread_mutex_lock(&w->lock);
    *w->last = j;
    w->last = &j->next;
    w->stats.waiting++;
    w->stats.waiting_bytes += j->bytes;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return GP_OK;
}

bool gp_writeout_full(gp_writeout *w, const char *iface, int64_t ts)
{
    pthread_mutex_lock(&w->lock);
    const job *j = w->stats.waiting_bytes > w->limit ? w->first : NULL;
    while (j && !holds_up(w, j, iface, ts))
        j = j->next;
    pthread_mutex_unlock(&w->lock);
    return j != NULL;
}

uint64_t gp_writeout_written(gp_writeout *w)
{
    pthread_mutex_lock(&w->lock);
    uint64_t blocks = w->stats.blocks;
    pthread_mutex_unlock(&w->lock);
    return blocks;
}

/* A block that has got its place behind the last one is not there yet; nor is one of a damaged day. */
static bool is_missing(const job *j, int64_t last)
{
    return j->damaged || j->placed == 0 || j->placed > last;
}

size_t gp_writeout_waiting(gp_writeout *w, const char *iface, int64_t last, gp_waiting_block *out, size_t max)
{
    size_t n = 0;
    pthread_mutex_lock(&w->lock);
    for (const job *j = w->first; j && n < max; j = j->next)
        if (strcmp(j->iface, iface) == 0 && is_missing(j, last))
            out[n++] = (gp_waiting_block){gp_table_share(j->table), j->placed ? j->placed : j->ts};
    pthread_mutex_unlock(&w->lock);
    return n;
}

static bool all_tried(const gp_writeout *w)
{
    const job *j = w->first;
    while (j && (j->tries || is_behind_its_own(w, j)))
        j = j->next;
    return !j && !w->busy;
}

void gp_writeout_wait(gp_writeout *w)
{
    pthread_mutex_lock(&w->lock);
    while (!all_tried(w))
        pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

void gp_writeout_get_stats(gp_writeout *w, gp_writeout_stats *out)
{
    pthread_mutex_lock(&w->lock);
    *out = w->stats;
    pthread_mutex_unlock(&w->lock);
}
