#include "client/fanout.h"

#include "client/fanout_lane.h"
#include "client/gather.h"
#include "proto/base/cpus.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

enum {
    KEPT_LOOPS = 8, /* and one for each thread that may ask at a time */
    KEPT_CONNECTIONS = 4096,
    MAX_LANES = GP_LOOP_SLEEP_MOST,
    HOSTS_PER_LANE = 32 /* fewer are not worth a thread */
};

/* A loop of a query that is over, with the connections to the hosts of its lane. */
typedef struct kept_loop {
    gp_loop *loop;
    size_t lane;
} kept_loop;

struct gp_fanout {
    gp_connpool *pool;
    unsigned cpus;
    pthread_mutex_t lock;
    kept_loop idle[KEPT_LOOPS + MAX_LANES];
    size_t n_idle, most_idle;
    size_t n_taken;
    size_t n_queries;
};

gp_code gp_fanout_new(gp_fanout **out, gp_error *err)
{
    gp_fanout *f = calloc(1, sizeof *f);
    if (!f)
        return gp_fail(err, GP_ENOMEM, "out of memory for asking many hosts");
    gp_code rc = gp_connpool_new(&f->pool, KEPT_CONNECTIONS, err);
    if (rc != GP_OK) {
        free(f);
        return rc;
    }
    f->cpus = gp_usable_cpus();
    f->most_idle = KEPT_LOOPS + (f->cpus < MAX_LANES ? f->cpus : MAX_LANES);
    pthread_mutex_init(&f->lock, NULL);
    *out = f;
    return GP_OK;
}

void gp_fanout_free(gp_fanout *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n_idle; i++)
        gp_loop_free(f->idle[i].loop);
    gp_connpool_free(f->pool);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

/* ---- loops --------------------------------------------------------------------------------------------- */

/* The youngest, for it has the most connections that are still open. */
static gp_loop *take_idle(gp_fanout *f, size_t lane)
{
    for (size_t i = f->n_idle; i-- > 0;) {
        gp_loop *l = f->idle[i].loop;
        if (f->idle[i].lane != lane)
            continue;
        f->n_idle--;
        memmove(&f->idle[i], &f->idle[i + 1], (f->n_idle - i) * sizeof *f->idle);
        return l;
    }
    return NULL;
}

/* Loops share what is kept: hosts must not end up with a connection from each query of a busy hour. */
static gp_code take_loop(gp_fanout *f, size_t lane, gp_loop **out, gp_error *err)
{
    pthread_mutex_lock(&f->lock);
    *out = take_idle(f, lane);
    size_t kept = KEPT_CONNECTIONS / ++f->n_taken;
    pthread_mutex_unlock(&f->lock);
    gp_code rc = *out ? GP_OK : gp_loop_new(out, f->pool, err);
    if (rc == GP_OK)
        gp_loop_keep(*out, kept ? kept : 1);
    return rc;
}

static void give_back(gp_fanout *f, size_t lane, gp_loop *l)
{
    pthread_mutex_lock(&f->lock);
    f->n_taken--;
    bool keep = l && f->n_idle < f->most_idle;
    if (keep)
        f->idle[f->n_idle++] = (kept_loop){l, lane};
    pthread_mutex_unlock(&f->lock);
    if (!keep)
        gp_loop_free(l);
}

/* ---- a query ------------------------------------------------------------------------------------------- */

/* One thread's part of a query. */
typedef struct part {
    gp_lane *lane;
    gp_loop *loop;
    struct query *query;
    pthread_t thread;
    gp_code code;
    gp_error err;
} part;

typedef struct query {
    gp_fanout *fanout;
    gp_fanout_run run;
    part *parts;
    size_t n_loops; /* taken */
} query;

/* Processors that no other query uses are worth a thread each. */
static size_t count_lanes(gp_fanout *f, const gp_fanout_options *opt, size_t n_hosts)
{
    pthread_mutex_lock(&f->lock);
    size_t lanes = f->cpus / ++f->n_queries;
    pthread_mutex_unlock(&f->lock);
    size_t most = n_hosts / HOSTS_PER_LANE;
    if (opt->threads) {
        lanes = opt->threads;
        most = n_hosts;
    }
    if (opt->max_concurrent && most > opt->max_concurrent)
        most = opt->max_concurrent;
    if (most > MAX_LANES)
        most = MAX_LANES;
    lanes = lanes < most ? lanes : most;
    return lanes ? lanes : 1;
}

/* A host always comes into the same lane, where its connection is. */
static size_t lane_of(const gp_fanout_host *h, size_t lanes)
{
    return lanes > 1 && h->addr ? (size_t)(XXH3_64bits(h->addr, strlen(h->addr)) % lanes) : 0;
}

static gp_code make_parts(query *q, const gp_fanout_host *hosts, gp_error *err)
{
    gp_fanout_run *r = &q->run;
    gp_code rc = GP_OK;
    q->parts = calloc(r->n_lanes, sizeof *q->parts);
    if (!q->parts)
        return gp_fail(err, GP_ENOMEM, "out of memory for asking %zu hosts", r->n_hosts);
    for (size_t i = 0; i < r->n_lanes && rc == GP_OK; i++) {
        part *p = &q->parts[i];
        p->query = q;
        q->n_loops++;
        rc = take_loop(q->fanout, i, &p->loop, err);
        if (rc == GP_OK)
            rc = gp_lane_new(&p->lane, r, p->loop, err);
    }
    for (size_t i = 0; i < r->n_hosts && rc == GP_OK; i++)
        rc = gp_lane_add(q->parts[lane_of(&hosts[i], r->n_lanes)].lane, &hosts[i], err);
    return rc;
}

static void free_parts(query *q)
{
    for (size_t i = 0; i < q->n_loops; i++) {
        gp_lane_free(q->parts[i].lane);
        give_back(q->fanout, i, q->parts[i].loop);
    }
    free(q->parts);
}

static bool poll_caller(void *ctx)
{
    const query *q = ctx;
    const gp_fanout_options *opt = q->run.opt;
    if (opt->canceled && opt->canceled(opt->ctx))
        return true;
    if (opt->tick)
        opt->tick(opt->ctx);
    return false;
}

static int64_t thread_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static gp_code step(part *parts, size_t n, bool *progress, gp_error *err)
{
    gp_code rc = GP_OK;
    *progress = false;
    for (size_t i = 0; i < n && rc == GP_OK; i++) {
        bool some = false;
        if (!gp_lane_is_over(parts[i].lane))
            rc = gp_lane_step(parts[i].lane, &some, err);
        *progress |= some;
    }
    return rc;
}

static gp_code sleep_until_news(part *parts, size_t n, gp_error *err)
{
    gp_loop *loops[MAX_LANES];
    int ms = INT_MAX;
    for (size_t i = 0; i < n; i++) {
        int wait = gp_lane_poll_ms(parts[i].lane);
        ms = wait < ms ? wait : ms;
        loops[i] = parts[i].loop;
    }
    return gp_loop_sleep(loops, n, ms, err);
}

static bool all_over(const part *parts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!gp_lane_is_over(parts[i].lane))
            return false;
    return true;
}

/* In the calling thread, until all hosts were told of, or it had no rest for so long. */
static gp_code drive(part *parts, size_t n, int64_t busy_ns, gp_error *err)
{
    gp_gather *g = parts->query->run.gather;
    bool patient = busy_ns == INT64_MAX;
    int64_t since = patient ? 0 : thread_ns();
    while (!all_over(parts, n)) {
        bool progress;
        if (gp_gather_poll(g))
            return gp_fail(err, GP_ECANCELED, "the query was canceled");
        gp_code rc = step(parts, n, &progress, err);
        if (rc == GP_OK && !progress && !gp_gather_tell(g)) {
            rc = sleep_until_news(parts, n, err);
            since = patient ? 0 : thread_ns();
        }
        if (rc != GP_OK)
            return rc;
        if (!patient && thread_ns() - since > busy_ns)
            break;
    }
    return GP_OK;
}

/* Parts to their end, and then what others bring. */
static void finish_parts(part *parts, size_t n)
{
    gp_gather *g = parts->query->run.gather;
    parts->code = drive(parts, n, INT64_MAX, &parts->err);
    if (parts->code != GP_OK)
        gp_gather_stop(g);
    gp_gather_help(g);
}

static void *run_part(void *arg)
{
    finish_parts(arg, 1);
    return NULL;
}

/* A thread for each part but the first. What gets none is the calling thread's, too. */
static gp_code ask_in_threads(query *q, gp_error *err)
{
    gp_code rc = GP_OK;
    size_t n = q->run.n_lanes;
    size_t own = n;
    while (own > 1 && pthread_create(&q->parts[own - 1].thread, NULL, run_part, &q->parts[own - 1]) == 0)
        own--;
    finish_parts(q->parts, own);
    for (size_t i = own; i < n; i++)
        pthread_join(q->parts[i].thread, NULL);
    for (size_t i = 0; i < n && rc == GP_OK; i++)
        if (q->parts[i].code != GP_OK)
            rc = gp_fail(err, q->parts[i].code, "%s", q->parts[i].err.msg);
    return rc;
}

/* Threads are started for a query that keeps one busy: most are over before that. */
static gp_code ask(query *q, gp_error *err)
{
    const int64_t worth_threads_ns = INT64_C(4000000);
    size_t n = q->run.n_lanes;
    int64_t busy_ns = n == 1 ? INT64_MAX : q->run.opt->threads ? -1 : worth_threads_ns;
    gp_code rc = drive(q->parts, n, busy_ns, err);
    if (rc == GP_OK && !all_over(q->parts, n))
        rc = ask_in_threads(q, err);
    if (rc == GP_OK && !gp_gather_is_complete(q->run.gather))
        rc = gp_fail(err, GP_ECANCELED, "the query was canceled");
    return rc;
}

static void end_query(query *q)
{
    const gp_fanout_options *opt = q->run.opt;
    for (size_t i = 0; opt->retried && i < q->n_loops; i++)
        *opt->retried += q->parts[i].lane ? gp_lane_retried(q->parts[i].lane) : 0;
    free_parts(q);
    gp_gather_free(q->run.gather);
    gp_fanout_run_end(&q->run);
    pthread_mutex_lock(&q->fanout->lock);
    q->fanout->n_queries--;
    pthread_mutex_unlock(&q->fanout->lock);
}

gp_code gp_fanout_query(gp_fanout *f, const gp_fanout_host *hosts, size_t n, const gp_args *args,
                        const gp_fanout_options *opt, gp_fanout_fn on_answer, void *ctx, gp_error *err)
{
    query q = {.fanout = f, .run = {.opt = opt, .n_hosts = n}};
    const gp_gather_hooks hooks = {on_answer, ctx, poll_caller, &q};
    q.run.n_lanes = count_lanes(f, opt, n);
    gp_code rc = gp_fanout_run_begin(&q.run, args, err);
    if (rc == GP_OK)
        rc = gp_gather_new(&q.run.gather, n, &hooks, err);
    if (rc == GP_OK)
        rc = make_parts(&q, hosts, err);
    if (rc == GP_OK)
        rc = ask(&q, err);
    end_query(&q);
    return rc;
}
