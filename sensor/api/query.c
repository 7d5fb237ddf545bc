/* POST /_query, POST /_query/sse, and GET and POST /_query/validate. */
#include "proto/query/args.h"
#include "sensor/api/internal.h"

#include <time.h>

static const gp_http_schema result_schema = GP_HTTP_SCHEMA("Result");

static int64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* v4 answers 429 with an empty body. */
static bool rate_limited(gp_sensor_api *a, gp_http_response *res)
{
    if (gp_ratelimit_allow(a->ratelimit, monotonic_ns()))
        return false;
    res->status = 429;
    return true;
}

static bool canceled(void *req)
{
    return gp_http_canceled(req);
}

/* False when the answer is given: the body is no query. */
static bool args_of_body(gp_http_request *req, gp_http_response *res, gp_args *args)
{
    const char *text;
    size_t len;
    gp_args_init(args);
    if (!gp_http_json_body(req, res, &text, &len))
        return false;
    gp_problem p = GP_PROBLEM_INIT;
    bool ok = gp_args_from_json(text, len, args, &p) == GP_OK;
    if (!ok)
        gp_http_answer_problem(req, res, &p);
    gp_problem_free(&p);
    return ok;
}

/* What v4 fills in before it runs a query of a client. */
static gp_code complete(const gp_sensor_api *a, gp_args *args, int64_t now, gp_error *err)
{
    gp_code rc = gp_args_set_defaults(args, now, err);
    if (rc == GP_OK)
        rc = gp_args_set(&args->format, "json", err);
    if (rc == GP_OK && !(args->caller && *args->caller))
        rc = gp_args_set(&args->caller, a->caller, err);
    return rc;
}

/* GP_EINVAL with a filled problem, or another code with *err. */
static gp_code statement_of(const gp_sensor_api *a, gp_args *args, gp_stmt *stmt, gp_problem *p,
                            gp_error *err)
{
    int64_t now = (int64_t)time(NULL);
    gp_code rc = complete(a, args, now, err);
    return rc == GP_OK ? gp_args_prepare(args, now, stmt, p) : rc;
}

static void log_failure(const gp_sensor_api *a, const gp_args *args, const char *what)
{
    gp_buf json = {.limit = 4096};
    gp_args_to_json(args, &json);
    gp_log_error(a->cfg.log, "error running query", GP_F_STR("args", json.failed ? "?" : json.data),
                 GP_F_STR("error", what));
    gp_buf_free(&json);
}

static void run_plain(gp_sensor_api *a, gp_http_request *req, gp_http_response *res, const gp_args *args,
                      const gp_stmt *stmt)
{
    gp_result result;
    gp_error err = GP_ERROR_INIT;
    const gp_run_hooks hooks = {.canceled = canceled, .ctx = req};
    gp_result_init(&result);
    if (gp_engine_run(a->cfg.engine, stmt, &hooks, &result, &err) == GP_OK) {
        gp_buf json = GP_BUF_INIT;
        gp_result_to_json(&result, &json);
        gp_http_answer(req, res, 200, &result_schema, &json);
    } else {
        log_failure(a, args, err.msg);
        gp_api_fail(req, res, 500, "unexpected error occurred", err.msg);
    }
    gp_result_free(&result);
}

void gp_api_query(gp_http_request *req, gp_http_response *res, void *api)
{
    gp_sensor_api *a = api;
    if (rate_limited(a, res))
        return;
    gp_args args;
    if (args_of_body(req, res, &args)) {
        gp_stmt stmt = {0};
        gp_problem p = GP_PROBLEM_INIT;
        gp_error err = GP_ERROR_INIT;
        gp_code rc = statement_of(a, &args, &stmt, &p, &err);
        if (rc == GP_OK)
            run_plain(a, req, res, &args, &stmt);
        else if (rc == GP_EINVAL)
            gp_http_problem(res, &p); /* v4 puts no schema on this one */
        else
            gp_api_fail(req, res, 500, "unexpected error occurred", err.msg);
        gp_problem_free(&p);
        gp_stmt_free(&stmt);
    }
    gp_args_free(&args);
}

/* A stream while its query runs. */
typedef struct stream {
    gp_http_request *req;
    gp_http_stream *to;
} stream;

static bool stream_canceled(void *ctx)
{
    const stream *s = ctx;
    return gp_http_canceled(s->req);
}

static void stream_keepalive(void *ctx, const gp_query_stats *so_far)
{
    (void)so_far;
    const stream *s = ctx;
    gp_buf nothing = GP_BUF_INIT;
    gp_buf_puts(&nothing, "{}");
    (void)gp_http_stream_event(s->to, "keepalive", &nothing, NULL); /* a lost client shows as canceled */
    gp_buf_free(&nothing);
}

static void stream_error(gp_http_stream *to, const char *detail)
{
    gp_problem p = GP_PROBLEM_INIT;
    gp_buf json = GP_BUF_INIT;
    gp_problem_set(&p, 500, "%s", detail);
    gp_problem_to_json(&p, &json);
    (void)gp_http_stream_event(to, "queryError", &json, NULL);
    gp_buf_free(&json);
    gp_problem_free(&p);
}

static void run_streaming(gp_sensor_api *a, stream *s, const gp_args *args, const gp_stmt *stmt)
{
    gp_result result;
    gp_error err = GP_ERROR_INIT;
    const gp_run_hooks hooks = {.canceled = stream_canceled, .keepalive = stream_keepalive, .ctx = s};
    gp_result_init(&result);
    if (gp_engine_run(a->cfg.engine, stmt, &hooks, &result, &err) == GP_OK) {
        gp_buf json = GP_BUF_INIT;
        gp_result_to_json(&result, &json);
        (void)gp_http_stream_event(s->to, "finalResult", &json, NULL); /* nobody is left to tell */
        gp_buf_free(&json);
    } else {
        log_failure(a, args, err.msg);
        stream_error(s->to, err.msg);
    }
    gp_result_free(&result);
}

void gp_api_query_sse(gp_http_request *req, gp_http_response *res, void *api)
{
    gp_sensor_api *a = api;
    if (rate_limited(a, res))
        return;
    gp_args args;
    gp_error err = GP_ERROR_INIT;
    stream s = {.req = req};
    if (!args_of_body(req, res, &args)) {
        gp_args_free(&args);
        return;
    }
    if (gp_http_stream_begin(req, &s.to, &err) != GP_OK) {
        gp_api_fail(req, res, 500, "unexpected error occurred", err.msg);
    } else {
        gp_stmt stmt = {0};
        gp_problem p = GP_PROBLEM_INIT;
        gp_code rc = statement_of(a, &args, &stmt, &p, &err);
        if (rc == GP_OK)
            run_streaming(a, &s, &args, &stmt);
        else
            stream_error(s.to, rc == GP_EINVAL && p.detail ? p.detail : err.msg);
        gp_problem_free(&p);
        gp_stmt_free(&stmt);
    }
    gp_args_free(&args);
}

/* v4's sensor shares this check with global-query: a query without hosts is incomplete. Its document has no
 * title. */
static bool refuse_without_hosts(const gp_http_request *req, gp_http_response *res, const gp_args *args)
{
    static const gp_http_schema error_model = GP_HTTP_SCHEMA("ErrorModel");
    if (args->query_hosts && *args->query_hosts)
        return false;
    gp_buf json = GP_BUF_INIT;
    gp_buf_puts(&json,
                "{\"status\":422,\"detail\":\"Incomplete distributed query parameters\",\"errors\":"
                "[{\"message\":\"Empty host query\",\"location\":\"body.query_hosts\",\"value\":\"\"}]}");
    gp_http_answer(req, res, 422, &error_model, &json);
    res->content_type = "application/problem+json";
    return true;
}

static void validate(const gp_http_request *req, gp_http_response *res, const gp_args *args)
{
    gp_stmt stmt = {0};
    gp_problem p = GP_PROBLEM_INIT;
    if (gp_args_prepare(args, (int64_t)time(NULL), &stmt, &p) != GP_OK)
        gp_http_problem(res, &p);
    else if (!refuse_without_hosts(req, res, args))
        res->status = 204;
    gp_problem_free(&p);
    gp_stmt_free(&stmt);
}

void gp_api_validate_body(gp_http_request *req, gp_http_response *res, void *api)
{
    (void)api;
    gp_args args;
    if (args_of_body(req, res, &args))
        validate(req, res, &args);
    gp_args_free(&args);
}

void gp_api_validate_params(gp_http_request *req, gp_http_response *res, void *api)
{
    (void)api;
    gp_args args;
    gp_problem p = GP_PROBLEM_INIT;
    gp_http_params params = {.req = req};
    gp_args_init(&args);
    if (gp_args_from_params(gp_http_params_next, &params, &args, &p) != GP_OK)
        gp_http_answer_problem(req, res, &p);
    else
        validate(req, res, &args);
    gp_problem_free(&p);
    gp_args_free(&args);
}
