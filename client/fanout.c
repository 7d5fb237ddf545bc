#include "client/fanout.h"

#include "client/exchange.h"
#include "client/transport.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

static const int64_t default_retry_pause_ns = INT64_C(200000000);

enum {
    POLL_MS = 100,
    RETRY_POLL_MS = 20,
    KEPT_LOOPS = 8,
    KEPT_CONNECTIONS = 4096,
    DEFAULT_MAX_RESPONSE = 256 << 20
};

struct gp_fanout {
    gp_connpool *pool;
    pthread_mutex_t lock;
    gp_loop *idle[KEPT_LOOPS];
    size_t n_idle;
    size_t n_taken;
};

/* A query as it is sent. */
typedef struct question {
    gp_buf args;
    gp_buf v4_args, v4_params; /* where a service of v4 may listen */
} question;

/* One host of a running query. */
typedef struct task {
    const gp_fanout_host *host;
    gp_exchange *exchange; /* NULL: not begun, waiting, or over */
    unsigned attempts;
    int64_t begun;    /* the first attempt */
    int64_t deadline; /* of all attempts; 0: none */
    int64_t again;    /* when it is asked again */
    struct task *next_waiting;
    question own; /* of a host with arguments of its own */
} task;

typedef struct run {
    gp_loop *loop;
    task *tasks;
    size_t n, next, running;
    size_t left;   /* hosts whose outcome was not told yet */
    task *waiting; /* to be asked again */
    gp_in_flight in_flight;
    unsigned random;
    question question;
    const gp_fanout_options *opt;
    gp_fanout_fn on_answer;
    void *ctx;
    int64_t deadline; /* CLOCK_MONOTONIC, ns; 0: none */
} run;

static int64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

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
    pthread_mutex_init(&f->lock, NULL);
    *out = f;
    return GP_OK;
}

void gp_fanout_free(gp_fanout *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n_idle; i++)
        gp_loop_free(f->idle[i]);
    gp_connpool_free(f->pool);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

/* Loops share what is kept: hosts must not end up with a connection from each query of a busy hour. */
static gp_code take_loop(gp_fanout *f, gp_loop **out, gp_error *err)
{
    pthread_mutex_lock(&f->lock);
    *out = f->n_idle ? f->idle[--f->n_idle] : NULL;
    size_t kept = KEPT_CONNECTIONS / ++f->n_taken;
    pthread_mutex_unlock(&f->lock);
    gp_code rc = *out ? GP_OK : gp_loop_new(out, f->pool, err);
    if (rc == GP_OK)
        gp_loop_keep(*out, kept ? kept : 1);
    return rc;
}

static void give_back(gp_fanout *f, gp_loop *l)
{
    pthread_mutex_lock(&f->lock);
    f->n_taken--;
    bool keep = l && f->n_idle < KEPT_LOOPS;
    if (keep)
        f->idle[f->n_idle++] = l;
    pthread_mutex_unlock(&f->lock);
    if (!keep)
        gp_loop_free(l);
}

static void question_free(question *q)
{
    gp_buf_free(&q->args);
    gp_buf_free(&q->v4_args);
    gp_buf_free(&q->v4_params);
}

static gp_code make_question(const gp_args *args, question *out, gp_error *err)
{
    gp_code rc = gp_client_args_body(args, &out->args, err);
    return rc == GP_OK ? gp_client_v4_query(args, &out->v4_args, &out->v4_params, err) : rc;
}

static void end_task(run *r, task *t)
{
    question_free(&t->own);
    if (!t->exchange)
        return;
    gp_exchange_end(t->exchange);
    t->exchange = NULL;
    r->running--;
}

static int64_t took_ns(const task *t)
{
    return t->begun ? monotonic_ns() - t->begun : 0;
}

static void report_error(run *r, task *t, const gp_error *err)
{
    r->on_answer(r->ctx, t->host, NULL, took_ns(t), err);
    r->left--;
    end_task(r, t);
}

/* What is left of the host's time; 0: as much as you like. */
static int64_t time_left(const task *t, int64_t now)
{
    int64_t left = t->deadline - now;
    return t->deadline == 0 ? 0 : left > 0 ? left : 1;
}

static int64_t pause_before(run *r, const task *t)
{
    int64_t pause = r->opt->retry_pause_ns > 0 ? r->opt->retry_pause_ns : default_retry_pause_ns;
    for (unsigned i = 1; i < t->attempts && pause < INT64_MAX / 4; i++)
        pause *= 2;
    return pause / 2 + (int64_t)((double)pause / 2 * ((double)rand_r(&r->random) / RAND_MAX));
}

/* Whether the host will be asked once more. */
static bool try_again(run *r, task *t, gp_code why)
{
    if (t->attempts > r->opt->retries || (why != GP_ENET && why != GP_EBUSY))
        return false;
    int64_t again = monotonic_ns() + pause_before(r, t);
    if ((t->deadline && again >= t->deadline) || (r->deadline && again >= r->deadline))
        return false;
    end_task(r, t);
    if (r->opt->retried)
        ++*r->opt->retried;
    t->again = again;
    t->next_waiting = r->waiting;
    r->waiting = t;
    return true;
}

static gp_code begin_task(run *r, task *t, gp_error *err)
{
    const gp_fanout_host *h = t->host;
    if (!h->addr)
        return gp_fail(err, GP_ENOTFOUND, "%s", h->why ? h->why : "no address known for this host");
    gp_code rc = h->args ? make_question(h->args, &t->own, err) : GP_OK;
    const question *asked = h->args ? &t->own : &r->question;
    const gp_exchange_config cfg = {
        .addr = h->addr,
        .access = h->access,
        .args = &asked->args,
        .v4_args = &asked->v4_args,
        .v4_params = asked->v4_params.data,
        .request_id = r->opt->request_id,
        .timeout_ns = time_left(t, monotonic_ns()),
        .max_response = r->opt->max_response ? r->opt->max_response : DEFAULT_MAX_RESPONSE,
        .in_flight = r->opt->max_in_flight ? &r->in_flight : NULL,
        .max_rows = h->max_rows,
        .owner = t,
    };
    if (rc == GP_OK)
        rc = gp_exchange_begin(r->loop, &cfg, &t->exchange, err);
    r->running += rc == GP_OK;
    return rc;
}

static void begin_or_fail(run *r, task *t)
{
    gp_error err = GP_ERROR_INIT;
    if (t->attempts++ == 0) {
        t->begun = monotonic_ns();
        t->deadline = t->host->timeout_ns > 0 ? t->begun + t->host->timeout_ns : 0;
    }
    if (begin_task(r, t, &err) != GP_OK)
        report_error(r, t, &err);
}

static size_t places(const run *r)
{
    size_t max = r->opt->max_concurrent ? r->opt->max_concurrent : r->n;
    size_t share = r->opt->share ? r->opt->share(r->opt->ctx) : max;
    return share < max ? share : max;
}

static task *take_due(run *r, int64_t now)
{
    for (task **at = &r->waiting; *at; at = &(*at)->next_waiting) {
        task *t = *at;
        if (t->again > now)
            continue;
        *at = t->next_waiting;
        return t;
    }
    return NULL;
}

static void begin_tasks(run *r)
{
    size_t max = places(r);
    while (r->running < max) {
        task *t = r->waiting ? take_due(r, monotonic_ns()) : NULL;
        if (!t && r->next == r->n)
            return;
        begin_or_fail(r, t ? t : &r->tasks[r->next++]);
    }
}

/* A host's answer, good or bad, concerns that host alone. */
static void finish_task(run *r, task *t)
{
    gp_error err = GP_ERROR_INIT;
    gp_result result;
    gp_code rc = gp_exchange_result(t->exchange, &result, &err);
    if (rc != GP_OK) {
        if (!try_again(r, t, rc))
            report_error(r, t, &err);
        return;
    }
    /* A sensor that has no time says so in an answer without rows. */
    if (result.status == GP_STATUS_TOO_MANY_REQUESTS && try_again(r, t, GP_EBUSY)) {
        gp_result_free(&result);
        return;
    }
    end_task(r, t);
    r->on_answer(r->ctx, t->host, &result, took_ns(t), NULL);
    r->left--;
    gp_result_free(&result);
}

static void give_up(run *r)
{
    gp_error err = GP_ERROR_INIT;
    gp_fail(&err, GP_ETIMEOUT, "no answer before the deadline of the query");
    for (size_t i = 0; i < r->next; i++)
        if (r->tasks[i].exchange)
            report_error(r, &r->tasks[i], &err);
    for (; r->waiting; r->waiting = r->waiting->next_waiting)
        report_error(r, r->waiting, &err);
    for (; r->next < r->n; r->next++)
        report_error(r, &r->tasks[r->next], &err);
}

static gp_code drive(run *r, gp_error *err)
{
    begin_tasks(r);
    while (r->left) {
        gp_exchange *done = NULL;
        gp_code rc = gp_loop_wait(r->loop, r->waiting ? RETRY_POLL_MS : POLL_MS, &done, err);
        if (rc != GP_OK)
            return rc;
        if (done)
            finish_task(r, gp_exchange_owner(done));
        begin_tasks(r);
        if (r->opt->canceled && r->opt->canceled(r->opt->ctx))
            return gp_fail(err, GP_ECANCELED, "the query was canceled");
        if (r->deadline && monotonic_ns() >= r->deadline) {
            give_up(r);
            break;
        }
        if (r->opt->tick)
            r->opt->tick(r->opt->ctx);
    }
    return GP_OK;
}

gp_code gp_fanout_query(gp_fanout *f, const gp_fanout_host *hosts, size_t n, const gp_args *args,
                        const gp_fanout_options *opt, gp_fanout_fn on_answer, void *ctx, gp_error *err)
{
    run r = {.n = n, .opt = opt, .on_answer = on_answer, .ctx = ctx};
    r.left = n;
    r.random = (unsigned)monotonic_ns();
    r.in_flight.own = opt->max_in_flight / 2 / (opt->max_concurrent ? opt->max_concurrent : n ? n : 1);
    r.in_flight.left = opt->max_in_flight / 2;
    r.deadline = opt->deadline_ns > 0 ? monotonic_ns() + opt->deadline_ns : 0;
    r.tasks = calloc(n ? n : 1, sizeof *r.tasks);
    gp_code rc = r.tasks ? take_loop(f, &r.loop, err)
                         : gp_fail(err, GP_ENOMEM, "out of memory for asking %zu hosts", n);
    if (rc == GP_OK)
        rc = make_question(args, &r.question, err);
    for (size_t i = 0; i < n && rc == GP_OK; i++)
        r.tasks[i].host = &hosts[i];
    if (rc == GP_OK)
        rc = drive(&r, err);
    for (size_t i = 0; i < n && r.tasks; i++)
        end_task(&r, &r.tasks[i]);
    if (r.tasks)
        give_back(f, r.loop);
    question_free(&r.question);
    free(r.tasks);
    return rc;
}
