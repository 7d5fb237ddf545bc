#include "client/fanout_lane.h"

#include "client/transport.h"
#include "proto/base/clock.h"

#include <stdlib.h>

static const int64_t default_retry_pause_ns = INT64_C(200000000);

enum { POLL_MS = 100, SHORT_POLL_MS = 20, DEFAULT_MAX_RESPONSE = 256 << 20 };

/* One host of a running query. */
typedef struct task {
    const gp_fanout_host *host;
    gp_exchange *exchange; /* NULL: not begun, waiting, or over */
    unsigned attempts;
    int64_t begun;    /* the first attempt */
    int64_t deadline; /* of all attempts; 0: none */
    int64_t again;    /* when it is asked again */
    struct task *next_waiting;
    gp_question own; /* of a host with arguments of its own */
} task;

struct gp_lane {
    gp_fanout_run *run;
    gp_loop *loop;
    task *tasks;
    size_t n, room;
    size_t next;   /* that has not begun */
    size_t asked;  /* right now */
    size_t left;   /* hosts whose outcome was not told yet */
    task *waiting; /* to be asked again */
    unsigned random;
    uint64_t retried;
};

/* ---- what the lanes of a query share ------------------------------------------------------------------- */

static void question_free(gp_question *q)
{
    gp_buf_free(&q->args);
    gp_buf_free(&q->v4_args);
    gp_buf_free(&q->v4_params);
}

static gp_code make_question(const gp_args *args, gp_question *out, gp_error *err)
{
    gp_code rc = gp_client_args_body(args, &out->args, err);
    return rc == GP_OK ? gp_client_v4_query(args, &out->v4_args, &out->v4_params, err) : rc;
}

gp_code gp_fanout_run_begin(gp_fanout_run *r, const gp_args *args, gp_error *err)
{
    const gp_fanout_options *opt = r->opt;
    size_t most = opt->max_concurrent ? opt->max_concurrent : r->n_hosts ? r->n_hosts : 1;
    r->in_flight.own = opt->max_in_flight / 2 / most;
    r->in_flight.left = opt->max_in_flight / 2;
    r->deadline = opt->deadline_ns > 0 ? gp_clock_ns() + opt->deadline_ns : 0;
    return make_question(args, &r->question, err);
}

void gp_fanout_run_end(gp_fanout_run *r)
{
    question_free(&r->question);
}

/* ---- lanes --------------------------------------------------------------------------------------------- */

gp_code gp_lane_new(gp_lane **out, gp_fanout_run *run, gp_loop *loop, gp_error *err)
{
    gp_lane *l = calloc(1, sizeof *l);
    if (!l)
        return gp_fail(err, GP_ENOMEM, "out of memory for asking %zu hosts", run->n_hosts);
    l->run = run;
    l->loop = loop;
    l->random = (unsigned)gp_clock_ns() ^ (unsigned)(uintptr_t)l;
    *out = l;
    return GP_OK;
}

gp_code gp_lane_add(gp_lane *l, const gp_fanout_host *host, gp_error *err)
{
    if (l->n == l->room) {
        size_t room = l->room ? l->room * 2 : 64;
        task *grown = realloc(l->tasks, room * sizeof *grown);
        if (!grown)
            return gp_fail(err, GP_ENOMEM, "out of memory for asking %zu hosts", l->run->n_hosts);
        l->tasks = grown;
        l->room = room;
    }
    l->tasks[l->n++] = (task){.host = host};
    l->left++;
    return GP_OK;
}

uint64_t gp_lane_retried(const gp_lane *l)
{
    return l->retried;
}

static size_t places(const gp_fanout_run *r)
{
    size_t max = r->opt->max_concurrent ? r->opt->max_concurrent : r->n_hosts;
    size_t share = r->opt->share ? r->opt->share(r->opt->ctx) : max;
    return share < max ? share : max;
}

/* Lanes have equal parts of the places. */
static bool take_place(gp_lane *l)
{
    gp_fanout_run *r = l->run;
    size_t max = places(r);
    if (l->asked >= (max + r->n_lanes - 1) / r->n_lanes)
        return false;
    if (atomic_fetch_add(&r->asked, 1) >= max) {
        atomic_fetch_sub(&r->asked, 1);
        return false;
    }
    l->asked++;
    return true;
}

static void give_place(gp_lane *l)
{
    l->asked--;
    atomic_fetch_sub(&l->run->asked, 1);
}

static void end_task(gp_lane *l, task *t)
{
    question_free(&t->own);
    if (!t->exchange)
        return;
    gp_exchange_end(t->exchange);
    t->exchange = NULL;
    give_place(l);
}

void gp_lane_free(gp_lane *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->n; i++)
        end_task(l, &l->tasks[i]);
    free(l->tasks);
    free(l);
}

static int64_t took_ns(const task *t)
{
    return t->begun ? gp_clock_ns() - t->begun : 0;
}

/* The answer counts as under way until it is told of: what waits for that takes memory. */
static void tell(gp_lane *l, task *t, gp_result *result, const gp_error *err)
{
    gp_gather_put(l->run->gather, t->host, result, took_ns(t), err);
    l->left--;
    end_task(l, t);
}

/* What is left of the host's time; 0: as much as you like. */
static int64_t time_left(const task *t, int64_t now)
{
    int64_t left = t->deadline - now;
    return t->deadline == 0 ? 0 : left > 0 ? left : 1;
}

static int64_t pause_before(gp_lane *l, const task *t)
{
    const gp_fanout_options *opt = l->run->opt;
    int64_t pause = opt->retry_pause_ns > 0 ? opt->retry_pause_ns : default_retry_pause_ns;
    for (unsigned i = 1; i < t->attempts && pause < INT64_MAX / 4; i++)
        pause *= 2;
    return pause / 2 + (int64_t)((double)pause / 2 * ((double)rand_r(&l->random) / RAND_MAX));
}

/* Whether the host will be asked once more. */
static bool try_again(gp_lane *l, task *t, gp_code why)
{
    const gp_fanout_run *r = l->run;
    if (t->attempts > r->opt->retries || (why != GP_ENET && why != GP_EBUSY))
        return false;
    int64_t again = gp_clock_ns() + pause_before(l, t);
    if ((t->deadline && again >= t->deadline) || (r->deadline && again >= r->deadline))
        return false;
    end_task(l, t);
    l->retried++;
    t->again = again;
    t->next_waiting = l->waiting;
    l->waiting = t;
    return true;
}

static gp_code begin_task(gp_lane *l, task *t, gp_error *err)
{
    const gp_fanout_host *h = t->host;
    gp_fanout_run *r = l->run;
    if (!h->addr)
        return gp_fail(err, GP_ENOTFOUND, "%s", h->why ? h->why : "no address known for this host");
    gp_code rc = h->args ? make_question(h->args, &t->own, err) : GP_OK;
    const gp_question *asked = h->args ? &t->own : &r->question;
    const gp_exchange_config cfg = {
        .addr = h->addr,
        .access = h->access,
        .args = &asked->args,
        .v4_args = &asked->v4_args,
        .v4_params = asked->v4_params.data,
        .request_id = r->opt->request_id,
        .timeout_ns = time_left(t, gp_clock_ns()),
        .max_response = r->opt->max_response ? r->opt->max_response : DEFAULT_MAX_RESPONSE,
        .in_flight = r->opt->max_in_flight ? &r->in_flight : NULL,
        .max_rows = h->max_rows,
        .owner = t,
    };
    return rc == GP_OK ? gp_exchange_begin(l->loop, &cfg, &t->exchange, err) : rc;
}

/* A place was taken for it. */
static void begin_or_fail(gp_lane *l, task *t)
{
    gp_error err = GP_ERROR_INIT;
    if (t->attempts++ == 0) {
        t->begun = gp_clock_ns();
        t->deadline = t->host->timeout_ns > 0 ? t->begun + t->host->timeout_ns : 0;
    }
    if (begin_task(l, t, &err) == GP_OK)
        return;
    give_place(l);
    tell(l, t, NULL, &err);
}

static task *take_due(gp_lane *l, int64_t now)
{
    for (task **at = &l->waiting; *at; at = &(*at)->next_waiting) {
        task *t = *at;
        if (t->again > now)
            continue;
        *at = t->next_waiting;
        return t;
    }
    return NULL;
}

static task *next_task(gp_lane *l)
{
    task *t = l->waiting ? take_due(l, gp_clock_ns()) : NULL;
    return t || l->next == l->n ? t : &l->tasks[l->next++];
}

/* Some at a time: answers of those that have begun must not wait for all others. */
static bool begin_tasks(gp_lane *l)
{
    enum { SOME = 16 };
    size_t begun = 0;
    while (begun < SOME && (l->waiting || l->next < l->n) && take_place(l)) {
        task *t = next_task(l);
        if (!t) {
            give_place(l);
            break;
        }
        begin_or_fail(l, t);
        begun++;
    }
    return begun > 0;
}

/* A host's answer, good or bad, concerns that host alone. */
static void finish_task(gp_lane *l, task *t)
{
    gp_error err = GP_ERROR_INIT;
    gp_result result;
    gp_code rc = gp_exchange_result(t->exchange, &result, &err);
    if (rc != GP_OK) {
        if (!try_again(l, t, rc))
            tell(l, t, NULL, &err);
        return;
    }
    /* A sensor that has no time says so in an answer without rows. */
    if (result.status != GP_STATUS_TOO_MANY_REQUESTS || !try_again(l, t, GP_EBUSY))
        tell(l, t, &result, NULL);
    gp_result_free(&result);
}

static void give_up(gp_lane *l)
{
    gp_error err = GP_ERROR_INIT;
    gp_fail(&err, GP_ETIMEOUT, "no answer before the deadline of the query");
    for (size_t i = 0; i < l->next; i++)
        if (l->tasks[i].exchange)
            tell(l, &l->tasks[i], NULL, &err);
    for (; l->waiting; l->waiting = l->waiting->next_waiting)
        tell(l, l->waiting, NULL, &err);
    for (; l->next < l->n; l->next++)
        tell(l, &l->tasks[l->next], NULL, &err);
}

int gp_lane_poll_ms(const gp_lane *l)
{
    bool is_woken = !l->waiting && (l->asked > 0 || l->left == 0);
    return is_woken ? POLL_MS : SHORT_POLL_MS;
}

bool gp_lane_is_over(const gp_lane *l)
{
    return l->left == 0;
}

gp_code gp_lane_step(gp_lane *l, bool *progress, gp_error *err)
{
    const gp_fanout_run *r = l->run;
    gp_exchange *done = NULL;
    *progress = true;
    if (r->deadline && gp_clock_ns() >= r->deadline) {
        give_up(l);
        return GP_OK;
    }
    bool begun = begin_tasks(l);
    gp_code rc = gp_loop_next(l->loop, &done, err);
    if (done)
        finish_task(l, gp_exchange_owner(done));
    *progress = begun || done;
    return rc;
}
