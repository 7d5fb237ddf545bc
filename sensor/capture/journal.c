/*
 * Locks, in this order: that of the journal (list of intervals, statistics) is held for moments; that of an
 * interval guards its files and is held while the disk works. Whoever rotates takes only the former.
 */
#include "sensor/capture/journal.h"

#include "proto/base/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gp_journal_interval {
    gp_journal_interval *next;
    char iface[GP_JOURNAL_IFACE_MAX];
    unsigned refs; /* the journal's lock */
    pthread_mutex_t lock;
    gp_journalfile *file;  /* what a restart would find; NULL: none yet */
    atomic_ullong bytes;   /* of file */
    atomic_ullong good_ms; /* when the last pass that succeeded began, or the interval */
    uint64_t base;         /* bytes of file when it was new */
    bool resumed;          /* file is of the time before a restart and takes nothing more */
    bool stale;            /* file misses changes: it has to be written anew */
    bool sealed;           /* the block is being written, nothing more is taken */
    bool overflown;        /* too much for the limit: file stays as it is */
    bool failing;          /* said so already */
};

struct gp_journal {
    gp_journal_config cfg;
    char *dir;
    pthread_t thread;
    bool started, ending;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    gp_journal_interval *intervals;
    gp_journal_stats stats;
    int64_t last_good;    /* when the last round that succeeded began: gp_clock_ns() */
    gp_session *sessions; /* scratch of the thread */
};

static const double duration_bounds[GP_HISTOGRAM_BOUNDS] = {0.001, 0.0025, 0.005, 0.01, 0.025,
                                                            0.05,  0.1,    0.25,  1,    5};

static unsigned long long now_ms(void)
{
    return (unsigned long long)gp_clock_ns() / 1000000;
}

/* ---- intervals ----------------------------------------------------------------------------------------- */

gp_journal_interval *gp_journal_begin(gp_journal *j, const char *iface, gp_journalfile *resumed)
{
    gp_journal_interval *iv = calloc(1, sizeof *iv);
    if (!iv) {
        gp_journalfile_close(resumed);
        gp_log_error(j->cfg.log, "out of memory: an interval without journal", GP_F_STR("iface", iface));
        return NULL;
    }
    snprintf(iv->iface, sizeof iv->iface, "%s", iface);
    iv->refs = 1;
    iv->file = resumed;
    iv->resumed = resumed != NULL;
    atomic_init(&iv->good_ms, now_ms());
    atomic_init(&iv->bytes, resumed ? gp_journalfile_size(resumed) : 0);
    pthread_mutex_init(&iv->lock, NULL);
    pthread_mutex_lock(&j->lock);
    iv->next = j->intervals;
    j->intervals = iv;
    pthread_mutex_unlock(&j->lock);
    return iv;
}

static void unref(gp_journal *j, gp_journal_interval *iv)
{
    pthread_mutex_lock(&j->lock);
    bool last = --iv->refs == 0;
    pthread_mutex_unlock(&j->lock);
    if (!last)
        return;
    gp_journalfile_close(iv->file);
    pthread_mutex_destroy(&iv->lock);
    free(iv);
}

static void forget(gp_journal *j, gp_journal_interval *iv)
{
    pthread_mutex_lock(&j->lock);
    gp_journal_interval **at = &j->intervals;
    while (*at != iv)
        at = &(*at)->next;
    *at = iv->next;
    pthread_mutex_unlock(&j->lock);
    unref(j, iv);
}

static void remove_file(gp_journal *j, gp_journalfile **f)
{
    gp_error err = GP_ERROR_INIT;
    if (*f && gp_journalfile_remove(*f, &err) != GP_OK)
        gp_log_warn(j->cfg.log, "journal not removed", GP_F_STR("error", err.msg));
    *f = NULL;
}

gp_code gp_journal_commit(gp_journal *j, gp_journal_interval *iv, int64_t ts, gp_error *err)
{
    if (!iv)
        return GP_OK;
    pthread_mutex_lock(&iv->lock);
    iv->sealed = true;
    gp_code code = iv->file ? gp_journalfile_commit(iv->file, ts, j->cfg.sync, err) : GP_OK;
    pthread_mutex_unlock(&iv->lock);
    return code;
}

void gp_journal_end(gp_journal *j, gp_journal_interval *iv)
{
    if (!iv)
        return;
    pthread_mutex_lock(&iv->lock);
    iv->sealed = true;
    remove_file(j, &iv->file);
    atomic_store(&iv->bytes, 0);
    pthread_mutex_unlock(&iv->lock);
    forget(j, iv);
}

/* ---- writing ------------------------------------------------------------------------------------------- */

static void count_written(gp_journal *j, size_t sessions, uint64_t bytes)
{
    pthread_mutex_lock(&j->lock);
    j->stats.sessions += sessions;
    j->stats.bytes += bytes;
    pthread_mutex_unlock(&j->lock);
}

static void count(gp_journal *j, uint64_t *counter)
{
    pthread_mutex_lock(&j->lock);
    ++*counter;
    pthread_mutex_unlock(&j->lock);
}

/* One pass over the sessions of an interval. */
typedef struct pass {
    gp_journal *j;
    gp_journal_interval *iv;
    gp_flowtable_walk walk; /* over all sessions where the file is a new one */
    gp_journalfile *fresh;  /* the new file; NULL: iv->file goes on */
    size_t n;               /* sessions that wait in j->sessions */
    uint64_t written;
    bool full;      /* the limit is reached */
    bool unlimited; /* it does not matter */
} pass;

/* With the interval's lock. */
static gp_code append_locked(pass *p, const gp_journal_batch *batch, gp_error *err)
{
    gp_journal *j = p->j;
    gp_code code = GP_OK;
    if (p->iv->sealed)
        return gp_fail(err, GP_ECANCELED, "the interval has ended");
    if (p->walk.all && !p->fresh)
        code = gp_journalfile_create(&p->fresh, j->dir, p->iv->iface, err);
    gp_journalfile *f = p->walk.all ? p->fresh : p->iv->file;
    if (code != GP_OK)
        return code;
    uint64_t before = gp_journalfile_size(f);
    if (before >= j->cfg.size_limit && !p->unlimited) {
        p->full = true;
        return gp_fail(err, GP_ELIMIT, "the journal of '%s' has reached its limit of %llu bytes",
                       p->iv->iface, (unsigned long long)j->cfg.size_limit);
    }
    code = gp_journalfile_append(f, batch, j->sessions, p->n, err);
    if (code == GP_OK)
        p->written += gp_journalfile_size(f) - before;
    if (f == p->iv->file)
        atomic_store(&p->iv->bytes, gp_journalfile_size(f));
    return code;
}

static gp_code append(pass *p, const gp_journal_batch *batch, gp_error *err)
{
    if (p->n == 0)
        return GP_OK;
    pthread_mutex_lock(&p->iv->lock);
    gp_code code = append_locked(p, batch, err);
    pthread_mutex_unlock(&p->iv->lock);
    if (code == GP_OK)
        count_written(p->j, p->n, 0);
    p->n = 0;
    return code;
}

/* One step of the walk, which does not go beyond its lane. A session may be in several: begun before a
 * restart in the first, going on in that of its ring. */
static gp_code take_step(pass *p, gp_journal_batch *batch, gp_error *err)
{
    gp_journal *j = p->j;
    size_t n = 0;
    unsigned lane = p->walk.lane;
    gp_code code = j->cfg.take(j->cfg.ctx, p->iv, &p->walk, j->sessions + p->n, GP_JOURNAL_BATCH_MAX - p->n,
                               &n, batch, err);
    batch->lane = (uint16_t)lane;
    p->n += n;
    bool flush = p->n == GP_JOURNAL_BATCH_MAX || p->walk.stage == GP_WALK_END || p->walk.lane != lane;
    return code == GP_OK && flush ? append(p, batch, err) : code;
}

static gp_code take_and_append(pass *p, gp_error *err)
{
    gp_journal_batch batch = {0};
    gp_code code = GP_OK;
    while (code == GP_OK && p->walk.stage < GP_WALK_END)
        code = take_step(p, &batch, err);
    return code;
}

/* The new file takes the place of the old one. With the interval's lock. */
static gp_code replace_file(pass *p, gp_error *err)
{
    gp_journal_interval *iv = p->iv;
    if (iv->sealed)
        return gp_fail(err, GP_ECANCELED, "the interval has ended");
    gp_code code = gp_journalfile_publish(p->fresh, iv->file, p->j->cfg.sync, err);
    if (code != GP_OK)
        return code;
    gp_journalfile_close(iv->file);
    iv->file = p->fresh;
    iv->base = gp_journalfile_size(iv->file);
    atomic_store(&iv->bytes, iv->base);
    iv->resumed = iv->stale = false;
    p->fresh = NULL;
    return GP_OK;
}

static gp_code finish_pass(pass *p, gp_error *err)
{
    gp_code code = GP_OK;
    pthread_mutex_lock(&p->iv->lock);
    if (p->fresh)
        code = replace_file(p, err);
    else if (p->written && p->j->cfg.sync && p->iv->file)
        code = gp_journalfile_sync(p->iv->file, err);
    pthread_mutex_unlock(&p->iv->lock);
    count_written(p->j, 0, code == GP_OK ? p->written : 0);
    return code;
}

static gp_code run_pass(pass *p, gp_error *err)
{
    gp_code code = take_and_append(p, err);
    if (code == GP_OK)
        code = finish_pass(p, err);
    remove_file(p->j, &p->fresh); /* where it did not get its name */
    if (code == GP_OK)
        return code;
    /* What was taken is missing in the file. */
    pthread_mutex_lock(&p->iv->lock);
    p->iv->stale = true;
    pthread_mutex_unlock(&p->iv->lock);
    return code;
}

/* Has the file grown so much that writing it anew makes it a good deal smaller? */
static bool has_grown(const gp_journal *j, const gp_journal_interval *iv)
{
    uint64_t size = iv->file ? gp_journalfile_size(iv->file) : 0;
    return size > j->cfg.size_limit / 2 && size > 2 * iv->base;
}

/* Does the file have to be written anew? */
static bool needs_rewrite(const gp_journal *j, const gp_journal_interval *iv)
{
    return !iv->file || iv->resumed || iv->stale || gp_journalfile_broken(iv->file) || has_grown(j, iv);
}

static void overflow(gp_journal *j, gp_journal_interval *iv)
{
    pthread_mutex_lock(&iv->lock);
    iv->overflown = true;
    pthread_mutex_unlock(&iv->lock);
    count(j, &j->stats.overflows);
    gp_log_warn(j->cfg.log,
                "the flows of this interval do not fit the journal: a crash loses what changes until it ends "
                "(raise journal.size_limit)",
                GP_F_STR("iface", iv->iface), GP_F_U64("size_limit", j->cfg.size_limit));
}

/* True unless a crash now would lose more than one round. */
static bool write_changes(gp_journal *j, gp_journal_interval *iv, bool *wrote)
{
    gp_error err = GP_ERROR_INIT;
    unsigned long long start = now_ms();
    pthread_mutex_lock(&iv->lock);
    bool idle = iv->sealed || iv->overflown;
    bool overflown = iv->overflown;
    bool rewrite = needs_rewrite(j, iv);
    bool grown = has_grown(j, iv);
    pthread_mutex_unlock(&iv->lock);
    if (idle)
        return !overflown;
    pass p = {.j = j, .iv = iv, .walk.all = rewrite};
    gp_code code = run_pass(&p, &err);
    if (code == GP_ELIMIT && p.full && !rewrite) { /* sooner than expected */
        p = (pass){.j = j, .iv = iv, .walk.all = true};
        grown = true;
        code = run_pass(&p, &err);
    }
    if (code == GP_OK && grown)
        count(j, &j->stats.rewrites);
    *wrote = *wrote || p.written;
    if (code == GP_ECANCELED) /* rotated meanwhile: the table is with the writeout */
        return true;
    if (code == GP_ELIMIT && p.full) {
        overflow(j, iv);
        return false;
    }
    if (code != GP_OK)
        count(j, &j->stats.errors);
    if (code != GP_OK && !iv->failing)
        gp_log_error(j->cfg.log, "journal not written", GP_F_STR("iface", iv->iface),
                     GP_F_STR("error", err.msg));
    if (code == GP_OK && iv->failing)
        gp_log_info(j->cfg.log, "journal written again", GP_F_STR("iface", iv->iface));
    iv->failing = code != GP_OK; /* only this thread looks at it */
    if (code == GP_OK)
        atomic_store(&iv->good_ms, start);
    return code == GP_OK;
}

/* The intervals there are now, each with a reference. */
static gp_journal_interval **list_intervals(gp_journal *j, size_t *n)
{
    *n = 0;
    pthread_mutex_lock(&j->lock);
    size_t total = 0;
    for (gp_journal_interval *iv = j->intervals; iv; iv = iv->next)
        total++;
    gp_journal_interval **list = calloc(total + 1, sizeof *list);
    for (gp_journal_interval *iv = j->intervals; iv && list; iv = iv->next) {
        iv->refs++;
        list[(*n)++] = iv;
    }
    pthread_mutex_unlock(&j->lock);
    return list;
}

/* Writes what has changed on all interfaces; returns the seconds that it took. */
static double write_round(gp_journal *j)
{
    size_t n;
    const int64_t start = gp_clock_ns();
    gp_journal_interval **list = list_intervals(j, &n);
    bool good = list != NULL;
    bool wrote = false;
    for (size_t i = 0; list && i < n; i++) {
        good = write_changes(j, list[i], &wrote) && good;
        unref(j, list[i]);
    }
    free(list);
    double elapsed = gp_clock_seconds_since(start);
    pthread_mutex_lock(&j->lock);
    if (good)
        j->last_good = start;
    if (wrote) {
        j->stats.writes++;
        gp_histogram_add(&j->stats.durations, elapsed);
    }
    pthread_mutex_unlock(&j->lock);
    return elapsed;
}

static void *journal_main(void *arg)
{
    gp_journal *j = arg;
    (void)pthread_setname_np(pthread_self(), "journal");
    double pause = j->cfg.every_s;
    pthread_mutex_lock(&j->lock);
    while (!j->ending) {
        const int64_t until = gp_clock_after((int64_t)(pause * 1e9));
        while (!j->ending && gp_clock_wait(&j->wake, &j->lock, until)) {
        }
        if (j->ending)
            break;
        pthread_mutex_unlock(&j->lock);
        double elapsed = write_round(j);
        /* It may cost half of the time at most, however slow the disk is. */
        pause = elapsed > j->cfg.every_s / 2 ? elapsed : j->cfg.every_s - elapsed;
        pthread_mutex_lock(&j->lock);
    }
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

/* ---- the end of an interval that could not be written -------------------------------------------------- */

static gp_code list_and_append(pass *p, const gp_flowtable *t, gp_journal_batch batch, gp_error *err)
{
    gp_code code = GP_OK;
    while (code == GP_OK && p->walk.stage < GP_WALK_END) {
        batch.lane = (uint16_t)p->walk.lane;
        p->n = gp_flowtable_list(t, &p->walk, p->j->sessions, GP_JOURNAL_BATCH_MAX);
        code = append(p, &batch, err);
    }
    return code;
}

bool gp_journal_keep(gp_journal *j, gp_journal_interval *iv, const gp_flowtable *t,
                     const gp_journal_batch *batch)
{
    gp_error err = GP_ERROR_INIT;
    if (!iv)
        return false;
    iv->sealed = false;
    pass p = {.j = j, .iv = iv, .walk.all = true, .unlimited = true};
    gp_code code = list_and_append(&p, t, *batch, &err);
    if (code == GP_OK && p.fresh)
        code = finish_pass(&p, &err);
    remove_file(j, &p.fresh);
    if (code != GP_OK)
        gp_log_error(j->cfg.log, "journal not written", GP_F_STR("iface", iv->iface),
                     GP_F_STR("error", err.msg));
    forget(j, iv);
    return code == GP_OK;
}

/* ---- interface ----------------------------------------------------------------------------------------- */

gp_code gp_journal_new(gp_journal **out, const gp_journal_config *cfg, gp_error *err)
{
    gp_journal *j = calloc(1, sizeof *j);
    if (!j)
        return gp_fail(err, GP_ENOMEM, "out of memory for the journal");
    j->cfg = *cfg;
    j->stats.durations.bounds = duration_bounds;
    j->last_good = gp_clock_ns();
    pthread_mutex_init(&j->lock, NULL);
    gp_clock_cond_init(&j->wake);
    j->dir = strdup(cfg->dir);
    j->sessions = malloc(GP_JOURNAL_BATCH_MAX * sizeof *j->sessions);
    gp_code code = j->dir && j->sessions ? GP_OK : gp_fail(err, GP_ENOMEM, "out of memory for the journal");
    if (code == GP_OK) {
        int rc = pthread_create(&j->thread, NULL, journal_main, j);
        j->started = rc == 0;
        if (rc != 0)
            code = gp_fail_errno(err, rc, "cannot start the journal thread");
    }
    if (code != GP_OK) {
        gp_journal_free(j);
        return code;
    }
    *out = j;
    return GP_OK;
}

void gp_journal_stop(gp_journal *j)
{
    if (!j || !j->started)
        return;
    pthread_mutex_lock(&j->lock);
    j->ending = true;
    pthread_cond_broadcast(&j->wake);
    pthread_mutex_unlock(&j->lock);
    pthread_join(j->thread, NULL);
    j->started = false;
}

void gp_journal_free(gp_journal *j)
{
    if (!j)
        return;
    gp_journal_stop(j);
    while (j->intervals)
        forget(j, j->intervals);
    pthread_cond_destroy(&j->wake);
    pthread_mutex_destroy(&j->lock);
    free(j->sessions);
    free(j->dir);
    free(j);
}

void gp_journal_interval_state(const gp_journal_interval *iv, uint64_t *bytes, uint64_t *age_ms)
{
    *bytes = atomic_load(&iv->bytes);
    *age_ms = now_ms() - atomic_load(&iv->good_ms);
}

void gp_journal_get_stats(gp_journal *j, gp_journal_stats *out)
{
    uint64_t bytes = 0;
    pthread_mutex_lock(&j->lock);
    for (const gp_journal_interval *iv = j->intervals; iv; iv = iv->next)
        bytes += atomic_load(&iv->bytes);
    *out = j->stats;
    out->file_bytes = bytes;
    out->lag_s = gp_clock_seconds_since(j->last_good);
    pthread_mutex_unlock(&j->lock);
}
