#include "proto/service/query_run.h"

#include "proto/base/clock.h"

#include <time.h>

/* GP_EINVAL with a filled problem, or another code with *err. */
static gp_code prepare(const gp_query_runner *r, gp_args *args, gp_stmt *stmt, gp_problem *p, gp_error *err)
{
    int64_t now = (int64_t)time(NULL);
    gp_code rc = gp_args_set_defaults(args, now, err);
    if (rc == GP_OK)
        rc = gp_args_set(&args->format, "json", err);
    if (rc == GP_OK && !(args->caller && *args->caller))
        rc = gp_args_set(&args->caller, r->caller, err);
    return rc == GP_OK ? gp_args_prepare(args, now, stmt, p) : rc;
}

static void log_failure(const gp_query_runner *r, const gp_args *args, const gp_query_hooks *hooks,
                        const char *what)
{
    gp_buf json = {.limit = 4096};
    gp_args_to_json(args, &json);
    gp_log_error(r->log, "error running query", GP_F_STR("args", json.failed ? "?" : json.data),
                 GP_F_STR("error", what), GP_F_STR("request_id", hooks->request_id));
    gp_buf_free(&json);
}

/* Who asked what, and what it cost. */
static void log_slow(const gp_query_runner *r, const gp_args *args, const gp_query_hooks *hooks, int64_t ns,
                     gp_code rc, const gp_result *result)
{
    gp_buf json = {.limit = 4096};
    if (r->slow_ns <= 0 || ns < r->slow_ns)
        return;
    gp_args_to_json(args, &json);
    gp_log_warn(r->log, "slow query", GP_F_F64("seconds", (double)ns / 1e9),
                GP_F_STR("outcome", rc == GP_OK ? "answered" : gp_code_name(rc)),
                GP_F_U64("rows", rc == GP_OK ? result->n_rows : 0), GP_F_STR("from", hooks->from),
                GP_F_STR("who", hooks->who), GP_F_STR("args", json.failed ? "?" : json.data),
                GP_F_STR("request_id", hooks->request_id));
    gp_buf_free(&json);
}

/* The client's hooks, and a deadline of ours. */
typedef struct limited {
    const gp_query_hooks *hooks;
    int64_t deadline; /* 0: none */
} limited;

static bool is_late(const limited *l)
{
    return l->deadline && gp_clock_ns() >= l->deadline;
}

static bool limited_canceled(void *ctx)
{
    const limited *l = ctx;
    return is_late(l) || (l->hooks->canceled && l->hooks->canceled(l->hooks->ctx));
}

static void limited_keepalive(void *ctx, const gp_progress *progress)
{
    const limited *l = ctx;
    l->hooks->keepalive(l->hooks->ctx, progress);
}

static void limited_partial(void *ctx, const gp_result *so_far)
{
    const limited *l = ctx;
    l->hooks->partial(l->hooks->ctx, so_far);
}

static gp_code run_limited(const gp_query_runner *r, const gp_args *args, const gp_stmt *stmt,
                           const gp_query_hooks *hooks, gp_result *out, gp_problem *p, gp_error *err)
{
    limited l = {hooks, r->limit_ns > 0 ? gp_clock_ns() + r->limit_ns : 0};
    gp_query_hooks own = *hooks;
    own.ctx = &l;
    own.canceled = limited_canceled;
    own.keepalive = hooks->keepalive ? limited_keepalive : NULL;
    own.partial = hooks->partial ? limited_partial : NULL;
    gp_code rc = r->run(r->ctx, args, stmt, &own, out, p, err);
    if (rc == GP_ECANCELED && is_late(&l))
        gp_problem_set(p, 503,
                       "the query took longer than %g s, which is the limit of this service: ask for a "
                       "shorter time, fewer "
                       "interfaces or fewer columns",
                       (double)r->limit_ns / 1e9);
    return rc;
}

gp_code gp_query_run(const gp_query_runner *r, gp_args *args, const gp_query_hooks *hooks, gp_result *out,
                     gp_problem *p, gp_error *err)
{
    gp_stmt stmt = {0};
    int64_t start = gp_clock_ns();
    gp_result_init(out);
    gp_code rc = prepare(r, args, &stmt, p, err);
    if (rc == GP_OK) {
        rc = run_limited(r, args, &stmt, hooks, out, p, err);
        if (rc != GP_OK)
            log_failure(r, args, hooks, p->status ? p->detail : err->msg);
        log_slow(r, args, hooks, gp_clock_ns() - start, rc, out);
    }
    gp_stmt_free(&stmt);
    return rc;
}

void gp_query_failed(gp_problem *p, const char *message)
{
    gp_problem_set(p, 500, "unexpected error occurred");
    gp_problem_add(p, NULL, NULL, "%s", message);
}
