/*
 * The manager's lock orders everything that starts, stops or asks captures; the packet path never sees it.
 * One thread of its own does what the clock demands: rotation on the 5-minute grid, and every few seconds a
 * look at the interfaces, so that captures follow links which come and go.
 */
#include "sensor/capture/manager.h"

#include "proto/base/clock.h"
#include "proto/base/strlist.h"
#include "proto/query/args.h"
#include "proto/query/ifsel.h"
#include "sensor/capture/capture.h"
#include "sensor/capture/journal.h"
#include "sensor/capture/links.h"
#include "sensor/capture/metrics.h"
#include "sensor/capture/writeout.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DEFAULT_WRITEOUT_LIMIT = 64 << 20, LINK_CHECK_S = 2, MAX_CAPTURES = 1024 };

/* One interface that is, or should be, captured. */
typedef struct slot {
    char *iface;
    gp_capconfig cfg;
    gp_capture *capture;          /* NULL: not running */
    char *failure;                /* why not, for status and logs; NULL: none known */
    gp_iface_sample done;         /* finished intervals, for metrics */
    gp_journal_interval *journal; /* of the running interval; NULL: none */
    uint64_t resumed_drops;       /* of the running interval before a restart */
} slot;

struct gp_capture_manager {
    gp_log *log;
    bool autodetect;
    char **exclude;
    size_t n_exclude;
    gp_writeout *writeout;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool thread_started, ending;
    gp_capconfig_map wanted; /* as configured */
    slot *slots;             /* sorted by interface */
    size_t n_slots;
    struct timespec started;
    int64_t last_rotation;
    size_t writeout_limit;
    int64_t interval;   /* seconds */
    uint64_t postponed; /* rotations that did not take place because the writeout was behind */
    void (*now)(void *ctx, struct timespec *out);
    void *now_ctx;
    gp_journal *journal;             /* NULL: none */
    gp_journal_recovered *recovered; /* intervals of an earlier process that are not over yet; by time */
    size_t n_recovered;
    gp_histogram rotation_seconds;
};

/* As v4 has them: rotation is much faster than writing. */
static const double rotation_bounds[GP_HISTOGRAM_BOUNDS] = {0.001, 0.005, 0.01, 0.025, 0.05,
                                                            0.1,   0.25,  0.5,  0.75,  1};

/* ---- time ---------------------------------------------------------------------------------------------- */

static void read_clock(void *ctx, struct timespec *out)
{
    (void)ctx;
    clock_gettime(CLOCK_REALTIME, out);
}

static int64_t now_s(const gp_capture_manager *m)
{
    struct timespec now;
    m->now(m->now_ctx, &now);
    return now.tv_sec;
}

static int64_t next_grid(const gp_capture_manager *m, int64_t now)
{
    return (now / m->interval + 1) * m->interval;
}

/* ---- slots --------------------------------------------------------------------------------------------- */

static slot *find_slot(gp_capture_manager *m, const char *iface)
{
    for (size_t i = 0; i < m->n_slots; i++)
        if (strcmp(m->slots[i].iface, iface) == 0)
            return &m->slots[i];
    return NULL;
}

static slot *add_slot(gp_capture_manager *m, const char *iface, gp_error *err)
{
    char *name = strdup(iface);
    slot *slots = name ? realloc(m->slots, (m->n_slots + 1) * sizeof *slots) : NULL;
    if (!slots || m->n_slots >= MAX_CAPTURES) {
        if (slots)
            m->slots = slots;
        free(name);
        gp_fail(err, GP_ELIMIT, "no room for another capture ('%s'; at most %d)", iface, MAX_CAPTURES);
        return NULL;
    }
    m->slots = slots;
    size_t at = 0;
    while (at < m->n_slots && strcmp(slots[at].iface, iface) < 0)
        at++;
    memmove(slots + at + 1, slots + at, (m->n_slots - at) * sizeof *slots);
    slots[at] = (slot){.iface = name};
    m->n_slots++;
    return &slots[at];
}

static void remove_slot(gp_capture_manager *m, slot *s)
{
    size_t at = (size_t)(s - m->slots);
    free(s->iface);
    free(s->failure);
    gp_capconfig_free(&s->cfg);
    memmove(s, s + 1, (m->n_slots - at - 1) * sizeof *s);
    m->n_slots--;
}

static void set_failure(gp_capture_manager *m, slot *s, const char *why)
{
    if (s->failure && why && strcmp(s->failure, why) == 0)
        return; /* said already */
    free(s->failure);
    s->failure = why ? strdup(why) : NULL;
    if (why)
        gp_log_error(m->log, "capture not running", GP_F_STR("iface", s->iface), GP_F_STR("error", why));
}

/* ---- rotation ------------------------------------------------------------------------------------------ */

static void add_stats(gp_iface_sample *to, const gp_capture_stats *interval)
{
    to->processed += interval->processed;
    to->dropped += interval->dropped;
    to->received += interval->received;
    to->overflow_packets += interval->overflow_packets;
    to->overflow_bytes += interval->overflow_bytes;
    for (unsigned i = 0; i < GP_PARSE_ERRORS; i++)
        to->issues[i] += interval->parse_errors[i];
}

static gp_journal_interval *begin_journal(gp_capture_manager *m, const char *iface, gp_journalfile *resumed)
{
    return m->journal ? gp_journal_begin(m->journal, iface, resumed) : NULL;
}

/* Ends the interval of one capture and hands its flows to the writeout. */
static void rotate_slot(gp_capture_manager *m, slot *s, int64_t ts)
{
    gp_table_ref *table = NULL;
    gp_capture_stats stats;
    gp_error err = GP_ERROR_INIT;
    if (gp_capture_rotate(s->capture, &table, &stats, &err) != GP_OK) {
        gp_log_error(m->log, "rotation failed, the interval goes on", GP_F_STR("iface", s->iface),
                     GP_F_STR("error", err.msg));
        return;
    }
    gp_journal_interval *finished = s->journal;
    s->journal = begin_journal(m, s->iface, NULL);
    const gp_flowtable *t = gp_table_ref_get(table);
    gp_counters volume = gp_flowtable_totals(t);
    add_stats(&s->done, &stats);
    gp_counters_add(&s->done.volume, &volume);
    s->done.flows = gp_flowtable_flows(t);
    stats.dropped += s->resumed_drops;
    s->resumed_drops = 0;
    if (gp_writeout_add(m->writeout, s->iface, ts, table, &stats, finished, &err) != GP_OK) {
        gp_log_error(m->log, "flows lost", GP_F_STR("iface", s->iface), GP_F_STR("error", err.msg));
        gp_table_unref(table);
        gp_journal_end(m->journal, finished);
    }
    m->last_rotation = ts;
}

static void rotate_all(gp_capture_manager *m, int64_t ts)
{
    const int64_t start = gp_clock_ns();
    size_t n = 0;
    for (size_t i = 0; i < m->n_slots; i++) {
        slot *s = &m->slots[i];
        if (!s->capture)
            continue;
        if (gp_writeout_full(m->writeout, s->iface, ts)) {
            m->postponed++;
            gp_log_warn(m->log, "writeout is behind: this interval runs on into the next",
                        GP_F_STR("iface", s->iface), GP_F_I64("ts", ts), GP_F_U64("times", m->postponed));
            continue;
        }
        rotate_slot(m, s, ts);
        n++;
    }
    double elapsed = gp_clock_seconds_since(start);
    gp_histogram_add(&m->rotation_seconds, elapsed);
    gp_log_info(m->log, "rotated interfaces", GP_F_U64("ifaces", n), GP_F_I64("ts", ts),
                GP_F_F64("elapsed_s", elapsed));
}

/* ---- what an earlier process left ---------------------------------------------------------------------- */

static void forget_recovered(gp_capture_manager *m, size_t i)
{
    gp_journal_recovered_free(&m->recovered[i]);
    m->n_recovered--;
    memmove(&m->recovered[i], &m->recovered[i + 1], (m->n_recovered - i) * sizeof m->recovered[i]);
}

/* As a block of its own. */
static void write_recovered(gp_capture_manager *m, size_t i, int64_t ts)
{
    gp_error err = GP_ERROR_INIT;
    gp_journal_recovered *r = &m->recovered[i];
    const gp_capture_stats stats = {.dropped = r->dropped};
    gp_table_ref *table = gp_table_ref_new(r->table, &err);
    if (!table) { /* the file stays, for the next start */
        gp_log_error(m->log, "journal not replayed", GP_F_STR("iface", r->iface), GP_F_STR("error", err.msg));
        forget_recovered(m, i);
        return;
    }
    gp_log_info(m->log, "flows of an earlier process go to the database", GP_F_STR("iface", r->iface),
                GP_F_I64("ts", ts), GP_F_U64("flows", gp_flowtable_flows(r->table)));
    r->table = NULL;
    gp_journal_interval *journal = begin_journal(m, r->iface, r->file);
    r->file = NULL;
    if (gp_writeout_add(m->writeout, r->iface, ts, table, &stats, journal, &err) != GP_OK) {
        gp_log_error(m->log, "journal not replayed", GP_F_STR("iface", r->iface), GP_F_STR("error", err.msg));
        gp_table_unref(table);
    }
    forget_recovered(m, i);
}

static bool is_running(const gp_capture_manager *m, const gp_journal_recovered *r, int64_t now)
{
    return r->block_ts > now && r->block_ts <= now + m->interval;
}

static void write_recovered_until(gp_capture_manager *m, int64_t now)
{
    for (size_t i = 0; i < m->n_recovered;) {
        if (is_running(m, &m->recovered[i], now))
            i++;
        else
            write_recovered(m, i, m->recovered[i].block_ts);
    }
}

/* The interval of this interface that an earlier process began; NULL if there is none. */
static gp_journal_recovered *find_recovered(gp_capture_manager *m, const char *iface)
{
    for (size_t i = 0; i < m->n_recovered; i++)
        if (strcmp(m->recovered[i].iface, iface) == 0)
            return &m->recovered[i];
    return NULL;
}

/* ---- starting and stopping ----------------------------------------------------------------------------- */

static bool start_slot(gp_capture_manager *m, slot *s)
{
    gp_error err = GP_ERROR_INIT;
    gp_journal_recovered *r = find_recovered(m, s->iface);
    size_t flows = r ? gp_flowtable_flows(r->table) : 0; /* the capture takes the table over */
    if (gp_capture_start(&s->capture, s->iface, &s->cfg, r ? r->table : NULL, m->log, &err) != GP_OK) {
        s->capture = NULL;
        set_failure(m, s, err.msg);
        return false;
    }
    s->journal = begin_journal(m, s->iface, r ? r->file : NULL);
    if (r) {
        gp_log_info(m->log, "interval of an earlier process goes on", GP_F_STR("iface", s->iface),
                    GP_F_I64("ts", r->block_ts), GP_F_U64("flows", flows));
        s->resumed_drops = r->dropped;
        r->table = NULL;
        r->file = NULL;
        forget_recovered(m, (size_t)(r - m->recovered));
    }
    set_failure(m, s, NULL);
    gp_log_info(m->log, "capturing", GP_F_STR("iface", s->iface));
    return true;
}

/* What was captured up to now is written out as a block of its own. */
static void stop_slot(gp_capture_manager *m, slot *s)
{
    if (!s->capture)
        return;
    gp_capture_stop(s->capture);
    rotate_slot(m, s, now_s(m) + 1);
    gp_capture_free(s->capture);
    s->capture = NULL;
    gp_journal_end(m->journal, s->journal);
    s->journal = NULL;
    gp_log_info(m->log, "stopped capturing", GP_F_STR("iface", s->iface));
}

/* ---- which interfaces ---------------------------------------------------------------------------------- */

static bool matches(const char *pattern, const char *iface)
{
    const char **hit = NULL;
    size_t n = 0;
    if (!gp_ifsel_is_regex(pattern))
        return strcmp(pattern, iface) == 0;
    bool found = gp_ifsel_select(pattern, &iface, 1, &hit, &n, NULL) == GP_OK && n == 1;
    free(hit);
    return found;
}

static bool is_excluded(const gp_capture_manager *m, const char *iface)
{
    for (size_t i = 0; i < m->n_exclude; i++)
        if (matches(m->exclude[i], iface))
            return true;
    return false;
}

/* The settings that apply to an interface: an entry with its name before one with a pattern. */
static const gp_capconfig *config_of(const gp_capture_manager *m, const char *iface)
{
    const gp_capconfig *c = gp_capconfig_map_get(&m->wanted, iface);
    for (size_t i = 0; i < m->wanted.n && !c; i++)
        if (gp_ifsel_is_regex(m->wanted.entries[i].name) && matches(m->wanted.entries[i].name, iface))
            c = &m->wanted.entries[i].cfg;
    return c && !c->disable ? c : NULL;
}

static gp_code want(gp_capconfig_map *to, const char *iface, const gp_capconfig *cfg, gp_error *err)
{
    gp_capconfig copy;
    gp_code code = gp_capconfig_copy(cfg, &copy, err);
    if (code != GP_OK)
        return code;
    code = gp_capconfig_map_put(to, iface, &copy, err);
    gp_capconfig_free(&copy);
    return code;
}

/* What should be captured now: configured names (present or not), and the links that patterns match. */
static gp_code desired_captures(const gp_capture_manager *m, gp_capconfig_map *out, gp_error *err)
{
    char **links = NULL;
    size_t n = 0;
    gp_capconfig defaults;
    gp_capconfig_default(&defaults);
    gp_code code = gp_links_list(&links, &n, err);
    for (size_t i = 0; i < n && code == GP_OK; i++) {
        const gp_capconfig *c = config_of(m, links[i]);
        if (m->autodetect)
            c = is_excluded(m, links[i]) || !gp_link_usable(links[i]) ? NULL : &defaults;
        if (c)
            code = want(out, links[i], c, err);
    }
    for (size_t i = 0; i < m->wanted.n && code == GP_OK && !m->autodetect; i++) {
        const gp_capconfig_entry *e = &m->wanted.entries[i];
        if (!gp_ifsel_is_regex(e->name) && !e->cfg.disable)
            code = want(out, e->name, &e->cfg, err);
    }
    gp_strlist_free(links, n);
    gp_capconfig_free(&defaults);
    return code;
}

static gp_code note(gp_iface_changes *list, const char *iface, bool ok, gp_error *err)
{
    return list ? gp_iface_changes_add(list, iface, ok, err) : GP_OK;
}

static gp_code drop_unwanted(gp_capture_manager *m, const gp_capconfig_map *desired, gp_config_update *u,
                             gp_error *err)
{
    gp_code code = GP_OK;
    for (size_t i = m->n_slots; i-- > 0 && code == GP_OK;) {
        slot *s = &m->slots[i];
        if (gp_capconfig_map_get(desired, s->iface))
            continue;
        if (s->capture)
            code = note(u ? &u->disabled : NULL, s->iface, true, err);
        stop_slot(m, s);
        remove_slot(m, s);
    }
    return code;
}

/* A capture whose thread ended by itself: its flows are written, it may be started again. */
static void reap_failed(gp_capture_manager *m, slot *s)
{
    gp_error why = GP_ERROR_INIT;
    if (!s->capture || !gp_capture_failed(s->capture, &why))
        return;
    stop_slot(m, s);
    set_failure(m, s, why.msg);
}

static gp_code reconcile_one(gp_capture_manager *m, const gp_capconfig_entry *e, gp_config_update *u,
                             gp_error *err)
{
    slot *s = find_slot(m, e->name);
    if (!s && !(s = add_slot(m, e->name, err)))
        return GP_ELIMIT;
    reap_failed(m, s);
    if (s->capture && gp_capconfig_equal(&s->cfg, &e->cfg))
        return GP_OK;
    bool running = s->capture != NULL;
    /* Between requests, only a link that has become usable is worth another try. */
    if (!running && !u && !gp_link_usable(e->name))
        return GP_OK;
    stop_slot(m, s);
    gp_capconfig_free(&s->cfg);
    gp_code code = gp_capconfig_copy(&e->cfg, &s->cfg, err);
    if (code != GP_OK)
        return code;
    bool ok = start_slot(m, s);
    return note(!u ? NULL : running ? &u->updated : &u->enabled, e->name, ok, err);
}

/* Makes the running captures match what is wanted. u == NULL: a routine check. */
static gp_code reconcile(gp_capture_manager *m, gp_config_update *u, gp_error *err)
{
    gp_capconfig_map desired = {0};
    gp_code code = desired_captures(m, &desired, err);
    if (code == GP_OK)
        code = drop_unwanted(m, &desired, u, err);
    for (size_t i = 0; i < desired.n && code == GP_OK; i++)
        code = reconcile_one(m, &desired.entries[i], u, err);
    gp_capconfig_map_free(&desired);
    return code;
}

/* ---- the clock ----------------------------------------------------------------------------------------- */

static void check_links(gp_capture_manager *m)
{
    gp_error err = GP_ERROR_INIT;
    if (reconcile(m, NULL, &err) != GP_OK)
        gp_log_warn(m->log, "interface check failed", GP_F_STR("error", err.msg));
}

/* Until the grid point, but not longer than until the next look at the links and the clock: the clock may be
 * set while we wait, therefore the waiting itself goes by another one. */
static int64_t wake_up_at(const gp_capture_manager *m, int64_t grid)
{
    struct timespec now;
    m->now(m->now_ctx, &now);
    int64_t ns = LINK_CHECK_S * GP_NS_PER_SEC;
    if (grid - now.tv_sec <= LINK_CHECK_S)
        ns = (grid - now.tv_sec) * GP_NS_PER_SEC - now.tv_nsec;
    return gp_clock_after(ns > 0 ? ns : 0);
}

static void *clock_main(void *arg)
{
    gp_capture_manager *m = arg;
    (void)pthread_setname_np(pthread_self(), "rotation");
    pthread_mutex_lock(&m->lock);
    int64_t grid = next_grid(m, now_s(m));
    while (!m->ending) {
        (void)gp_clock_wait(&m->wake, &m->lock, wake_up_at(m, grid));
        if (m->ending)
            break;
        int64_t now = now_s(m);
        /* The clock may have been set back: then the grid point that we waited for is too far away. */
        if (grid - now > m->interval)
            grid = next_grid(m, now);
        write_recovered_until(m, now);
        if (now >= grid) {
            rotate_all(m, now - now % m->interval);
            grid = next_grid(m, now);
        }
        check_links(m);
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

/* ---- the journal --------------------------------------------------------------------------------------- */

static slot *slot_of_journal(gp_capture_manager *m, const gp_journal_interval *iv)
{
    for (size_t i = 0; i < m->n_slots; i++)
        if (m->slots[i].capture && m->slots[i].journal == iv)
            return &m->slots[i];
    return NULL;
}

/* At the first step of a walk. */
static gp_code describe_interval(gp_capture_manager *m, const slot *s, gp_journal_batch *batch, gp_error *err)
{
    gp_capture_stats stats;
    gp_code code = gp_capture_status(s->capture, &stats, err);
    batch->block_ts = next_grid(m, now_s(m));
    batch->dropped = code == GP_OK ? stats.dropped + s->resumed_drops : 0;
    return code;
}

static gp_code take_sessions(void *ctx, const gp_journal_interval *iv, gp_flowtable_walk *w, gp_session *out,
                             size_t max, size_t *n, gp_journal_batch *batch, gp_error *err)
{
    gp_capture_manager *m = ctx;
    *n = 0;
    pthread_mutex_lock(&m->lock);
    const slot *s = slot_of_journal(m, iv);
    gp_code code = s ? GP_OK : gp_fail(err, GP_ECANCELED, "the interval has ended");
    if (code == GP_OK && batch->block_ts == 0)
        code = describe_interval(m, s, batch, err);
    if (code == GP_OK)
        code = gp_capture_take(s->capture, w, out, max, n, err);
    pthread_mutex_unlock(&m->lock);
    return code;
}

static gp_code start_journal(gp_capture_manager *m, const gp_manager_config *cfg, gp_error *err)
{
    const gp_journal_config journal = {
        .dir = cfg->journal.dir,
        .every_s = cfg->journal.every_s,
        .size_limit = cfg->journal.size_limit,
        .sync = cfg->journal.sync,
        .log = m->log,
        .take = take_sessions,
        .ctx = m,
    };
    gp_code code = gp_journal_recover(journal.dir, cfg->store.holds, cfg->store.ctx, m->log, &m->recovered,
                                      &m->n_recovered, err);
    return code == GP_OK ? gp_journal_new(&m->journal, &journal, err) : code;
}

/* ---- interface ----------------------------------------------------------------------------------------- */

static gp_code copy_excludes(gp_capture_manager *m, const gp_manager_config *cfg, gp_error *err)
{
    gp_code code = GP_OK;
    for (size_t i = 0; i < cfg->n_exclude && code == GP_OK; i++) {
        if (gp_ifsel_is_regex(cfg->exclude[i]))
            code = gp_ifsel_validate(cfg->exclude[i], err);
        if (code == GP_OK)
            code = gp_strlist_add(&m->exclude, &m->n_exclude, cfg->exclude[i], err);
    }
    return code;
}

gp_code gp_manager_new(gp_capture_manager **out, const gp_manager_config *cfg, gp_error *err)
{
    gp_capture_manager *m = calloc(1, sizeof *m);
    if (!m)
        return gp_fail(err, GP_ENOMEM, "out of memory for the capture manager");
    size_t limit = cfg->local_buffer_size > 0 ? (size_t)cfg->local_buffer_size : DEFAULT_WRITEOUT_LIMIT;
    m->log = cfg->log;
    m->autodetect = cfg->autodetect;
    m->writeout_limit = limit;
    m->interval = cfg->interval_s > 0 ? cfg->interval_s : GP_DB_WRITE_INTERVAL;
    m->rotation_seconds.bounds = rotation_bounds;
    m->now = cfg->now ? cfg->now : read_clock;
    m->now_ctx = cfg->now_ctx;
    pthread_mutex_init(&m->lock, NULL);
    gp_clock_cond_init(&m->wake);
    m->now(m->now_ctx, &m->started);
    gp_code code = copy_excludes(m, cfg, err);
    if (code == GP_OK && cfg->journal.dir)
        code = start_journal(m, cfg, err);
    if (code == GP_OK)
        code = gp_writeout_new(&m->writeout, &cfg->store, m->journal, limit, m->log, err);
    if (code == GP_OK) {
        write_recovered_until(m, now_s(m));
        int rc = pthread_create(&m->thread, NULL, clock_main, m);
        m->thread_started = rc == 0;
        if (rc != 0)
            code = gp_fail_errno(err, rc, "cannot start the rotation thread");
    }
    if (code != GP_OK) {
        gp_manager_close(m);
        return code;
    }
    *out = m;
    return GP_OK;
}

void gp_manager_close(gp_capture_manager *m)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    m->ending = true;
    pthread_cond_broadcast(&m->wake);
    pthread_mutex_unlock(&m->lock);
    if (m->thread_started)
        pthread_join(m->thread, NULL);
    pthread_mutex_lock(&m->lock); /* the journal still takes sessions */
    while (m->n_slots) {
        stop_slot(m, &m->slots[m->n_slots - 1]);
        remove_slot(m, &m->slots[m->n_slots - 1]);
    }
    pthread_mutex_unlock(&m->lock);
    while (m->writeout && m->n_recovered) {
        int64_t now = now_s(m) + 1;
        write_recovered(m, 0, m->recovered[0].block_ts < now ? m->recovered[0].block_ts : now);
    }
    gp_journal_stop(m->journal);
    gp_writeout_free(m->writeout);
    while (m->n_recovered)
        forget_recovered(m, 0);
    free(m->recovered);
    gp_journal_free(m->journal);
    free(m->slots);
    gp_strlist_free(m->exclude, m->n_exclude);
    gp_capconfig_map_free(&m->wanted);
    pthread_cond_destroy(&m->wake);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static gp_code validate(const gp_capconfig_map *cfg, gp_error *err)
{
    gp_code code = GP_OK;
    for (size_t i = 0; i < cfg->n && code == GP_OK; i++) {
        if (gp_ifsel_is_regex(cfg->entries[i].name))
            code = gp_ifsel_validate(cfg->entries[i].name, err);
        if (code == GP_OK)
            code = gp_capconfig_validate(cfg->entries[i].name, &cfg->entries[i].cfg, err);
    }
    return code;
}

gp_code gp_manager_apply(gp_capture_manager *m, const gp_capconfig_map *cfg, gp_config_update *update,
                         gp_error *err)
{
    gp_capconfig_map copy = {0};
    *update = (gp_config_update){.status_code = 200};
    gp_code code = validate(cfg, err);
    if (code == GP_OK)
        code = gp_capconfig_map_copy(cfg, &copy, err);
    if (code != GP_OK)
        return code;
    pthread_mutex_lock(&m->lock);
    gp_capconfig_map_free(&m->wanted);
    m->wanted = copy;
    code = reconcile(m, update, err);
    pthread_mutex_unlock(&m->lock);
    if (code != GP_OK)
        gp_config_update_free(update);
    /* Who reads the database after a reload finds what was captured before it. */
    gp_writeout_wait(m->writeout);
    return code;
}

gp_code gp_manager_config_get(gp_capture_manager *m, gp_capconfig_map *out, gp_error *err)
{
    gp_code code = GP_OK;
    *out = (gp_capconfig_map){0};
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->n_slots && code == GP_OK; i++)
        if (m->slots[i].capture)
            code = want(out, m->slots[i].iface, &m->slots[i].cfg, err);
    pthread_mutex_unlock(&m->lock);
    if (code != GP_OK)
        gp_capconfig_map_free(out);
    return code;
}

static bool is_named(const char *iface, const char *const *ifaces, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(ifaces[i], iface) == 0)
            return true;
    return n == 0;
}

static gp_code add_status(slot *s, gp_status *out, gp_error *err)
{
    gp_iface_status st = {0};
    gp_code code = gp_capture_status(s->capture, &st.stats, err);
    if (code != GP_OK)
        return code;
    if (s->journal)
        gp_journal_interval_state(s->journal, &st.stats.journal_bytes, &st.stats.journal_age_ms);
    st.iface = strdup(s->iface);
    gp_iface_status *list = st.iface ? realloc(out->ifaces, (out->n_ifaces + 1) * sizeof *list) : NULL;
    if (!list) {
        free(st.iface);
        return gp_fail(err, GP_ENOMEM, "out of memory for the status of '%s'", s->iface);
    }
    out->ifaces = list;
    list[out->n_ifaces++] = st;
    return GP_OK;
}

gp_code gp_manager_status(gp_capture_manager *m, const char *const *ifaces, size_t n, gp_status *out,
                          gp_error *err)
{
    gp_code code = GP_OK;
    *out = (gp_status){
        .status_code = 200, .started_sec = m->started.tv_sec, .started_nsec = (int32_t)m->started.tv_nsec};
    pthread_mutex_lock(&m->lock);
    out->last_writeout_sec = m->last_rotation;
    for (size_t i = 0; i < m->n_slots && code == GP_OK; i++)
        if (m->slots[i].capture && is_named(m->slots[i].iface, ifaces, n))
            code = add_status(&m->slots[i], out, err);
    pthread_mutex_unlock(&m->lock);
    if (code != GP_OK)
        gp_status_free(out);
    return code;
}

/* What gp_manager_live_flows hands on: taken at one instant, in which nothing goes from one place to another.
 */
typedef struct live_view {
    gp_flow *running;
    size_t n_running;
    int64_t ends; /* of the running interval */
    gp_waiting_block waiting[GP_WAITING_MAX];
    size_t n_waiting;
} live_view;

static gp_code look(gp_capture_manager *m, const char *iface, const gp_live_sink *sink, live_view *v,
                    gp_error *err)
{
    pthread_mutex_lock(&m->lock);
    const slot *s = find_slot(m, iface);
    gp_code code = GP_OK;
    v->ends = next_grid(m, now_s(m));
    v->n_waiting = gp_writeout_waiting(m->writeout, iface, sink->last, v->waiting, GP_WAITING_MAX);
    if (gp_writeout_written(m->writeout) != sink->written)
        code = gp_fail(err, GP_EBUSY, "a block was written meanwhile");
    else if (s && s->capture) /* nothing is copied in vain */
        code = gp_capture_live(s->capture, &v->running, &v->n_running, err);
    pthread_mutex_unlock(&m->lock);
    return code;
}

static void hand_on(const gp_live_sink *sink, int64_t ts, gp_flow *flows, size_t n)
{
    if (n == 0 || !sink->block(sink->ctx, ts))
        return;
    n = gp_flows_merge(flows, n);
    for (size_t i = 0; i < n; i++)
        sink->flow(sink->ctx, &flows[i]);
}

static gp_code hand_on_waiting(const gp_live_sink *sink, const gp_waiting_block *b, gp_error *err)
{
    gp_flow *flows = NULL;
    size_t n = 0;
    gp_code code = gp_flowtable_export(gp_table_ref_get(b->table), &flows, &n, err);
    if (code == GP_OK)
        hand_on(sink, b->ts, flows, n);
    free(flows);
    return code;
}

gp_code gp_manager_live_flows(gp_capture_manager *m, const char *iface, const gp_live_sink *sink,
                              gp_error *err)
{
    live_view v;
    v.running = NULL;
    v.n_running = v.n_waiting = 0;
    gp_code code = look(m, iface, sink, &v, err);
    for (size_t i = 0; i < v.n_waiting; i++) {
        if (code == GP_OK)
            code = hand_on_waiting(sink, &v.waiting[i], err);
        gp_table_unref(v.waiting[i].table);
    }
    if (code == GP_OK)
        hand_on(sink, v.ends, v.running, v.n_running);
    free(v.running);
    return code;
}

uint64_t gp_manager_written(gp_capture_manager *m)
{
    return gp_writeout_written(m->writeout);
}

gp_code gp_manager_ifaces(gp_capture_manager *m, char ***out, size_t *n, gp_error *err)
{
    gp_code code = GP_OK;
    *out = NULL;
    *n = 0;
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->n_slots && code == GP_OK; i++)
        if (m->slots[i].capture)
            code = gp_strlist_add(out, n, m->slots[i].iface, err);
    pthread_mutex_unlock(&m->lock);
    if (code != GP_OK) {
        gp_strlist_free(*out, *n);
        *out = NULL;
        *n = 0;
    }
    return code;
}

void gp_manager_failure(gp_capture_manager *m, char *dst, size_t size)
{
    gp_buf text = {.limit = size ? size - 1 : 0};
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->n_slots; i++)
        if (!m->slots[i].capture && m->slots[i].failure)
            gp_buf_printf(&text, "%s%s", text.len ? "; " : "", m->slots[i].failure);
    pthread_mutex_unlock(&m->lock);
    snprintf(dst, size, "%s", text.data ? text.data : "");
    gp_buf_free(&text);
}

/* ---- metrics ------------------------------------------------------------------------------------------- */

static gp_iface_sample sample_of(slot *s, double buffer_usage)
{
    gp_capture_stats running;
    gp_iface_sample sample = s->done;
    sample.buffer_usage = buffer_usage;
    if (s->capture && gp_capture_status(s->capture, &running, NULL) == GP_OK) {
        add_stats(&sample, &running);
        sample.running = running;
    }
    return sample;
}

static void write_iface_metrics(gp_capture_manager *m, double usage, bool with_ifaces, gp_buf *out)
{
    const char **ifaces = calloc(m->n_slots + 1, sizeof *ifaces);
    gp_iface_sample *samples = calloc(m->n_slots + 1, sizeof *samples);
    size_t capturing = 0;
    for (size_t i = 0; i < m->n_slots && ifaces && samples; i++) {
        ifaces[i] = m->slots[i].iface;
        samples[i] = sample_of(&m->slots[i], with_ifaces || i == 0 ? usage : 0);
        capturing += m->slots[i].capture != NULL;
    }
    if (ifaces && samples)
        gp_capture_metrics_write(ifaces, samples, m->n_slots, with_ifaces, out);
    else
        out->failed = true;
    gp_gauge_write("capture_manager_interfaces_capturing_total",
                   "Number of interfaces that are actively capturing traffic", (double)capturing, out);
    free(ifaces);
    free(samples);
}

static void write_journal_metrics(gp_journal *j, gp_buf *out)
{
    gp_journal_stats s;
    gp_journal_get_stats(j, &s);
    gp_histogram_write(&s.durations, "journal_write_duration_seconds",
                       "Time to write what has changed on all interfaces", out);
    gp_gauge_write("journal_lag_seconds", "Age of the flows on disk: what a crash would cost", s.lag_s, out);
    gp_gauge_write("journal_size_bytes", "Size of all journals", (double)s.file_bytes, out);
    gp_counter_write("journal_written_bytes_total", "Bytes written to journals", s.bytes, out);
    gp_counter_write("journal_written_sessions_total", "Changed sessions written to journals", s.sessions,
                     out);
    gp_counter_write("journal_rewrites_total", "Journals written anew because they had grown", s.rewrites,
                     out);
    gp_counter_write("journal_errors_total", "Failures to write a journal", s.errors, out);
    gp_counter_write("journal_overflows_total", "Intervals too large for the size limit of the journal",
                     s.overflows, out);
}

void gp_manager_metrics(gp_capture_manager *m, bool with_ifaces, gp_buf *out)
{
    gp_writeout_stats w;
    gp_writeout_get_stats(m->writeout, &w);
    pthread_mutex_lock(&m->lock);
    write_iface_metrics(m, (double)w.waiting_bytes / (double)m->writeout_limit, with_ifaces, out);
    gp_histogram_write(&m->rotation_seconds, "capture_manager_rotation_duration_seconds",
                       "Total flow map rotation time, aggregated across all interfaces", out);
    uint64_t postponed = m->postponed;
    pthread_mutex_unlock(&m->lock);
    gp_histogram_write(&w.durations, "godb_handler_writeout_duration_seconds",
                       "Total flow data writeout time, aggregated across all interfaces written to DB", out);
    gp_counter_write("writeout_blocks_total", "Blocks handed to the database", w.blocks, out);
    gp_counter_write("writeout_failed_total", "Attempts to write a block that failed", w.failed, out);
    gp_counter_write("writeout_lost_total", "Blocks that were given up", w.lost, out);
    gp_counter_write("writeout_postponed_total", "Intervals that ran on because the writeout was behind",
                     postponed, out);
    gp_gauge_write("writeout_waiting_blocks", "Finished intervals waiting for the disk", (double)w.waiting,
                   out);
    gp_gauge_write("writeout_waiting_bytes", "Memory of finished intervals waiting for the disk",
                   (double)w.waiting_bytes, out);
    if (m->journal)
        write_journal_metrics(m->journal, out);
}
