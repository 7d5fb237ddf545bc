#include "proto/service/query_api.h"

#include "proto/http/answer.h"

#include <string.h>
#include <time.h>

static const gp_http_schema result_schema = GP_HTTP_SCHEMA("Result");

/* Aggregators name in the URL what services of v4 would refuse in a body. */
static bool args_of_url(const gp_http_request *req, gp_args *args, gp_problem *p)
{
    const char *sum_hosts = gp_http_query(req, "sum_hosts");
    const char *via = gp_http_query(req, "via");
    args->sum_hosts |= sum_hosts && strcmp(sum_hosts, "true") == 0;
    if (!via || gp_args_set(&args->via, via, NULL) == GP_OK)
        return true;
    gp_problem_set(p, 500, "out of memory for the query arguments");
    return false;
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
    bool ok = gp_args_from_json(text, len, args, &p) == GP_OK && args_of_url(req, args, &p);
    if (!ok)
        gp_http_answer_problem(req, res, &p);
    gp_problem_free(&p);
    return ok;
}

/* False when the answer is given. */
static bool args_of_params(gp_http_request *req, gp_http_response *res, gp_args *args)
{
    gp_problem p = GP_PROBLEM_INIT;
    gp_http_params params = {.req = req};
    gp_args_init(args);
    bool ok = gp_args_from_params(gp_http_params_next, &params, args, &p) == GP_OK;
    if (!ok)
        gp_http_answer_problem(req, res, &p);
    gp_problem_free(&p);
    return ok;
}

static gp_query_hooks hooks_of(gp_http_request *req, void *ctx)
{
    return (gp_query_hooks){.ctx = ctx,
                            .request_id = gp_http_request_id(req),
                            .from = gp_http_peer(req),
                            .who = gp_http_who(req)};
}

static void answer_failure(const gp_http_request *req, gp_http_response *res, const gp_problem *p,
                           const char *message)
{
    if (p->status) {
        gp_http_problem(res, p); /* v4 puts no schema on this one */
        return;
    }
    gp_problem own = GP_PROBLEM_INIT;
    gp_query_failed(&own, message);
    gp_http_answer_problem(req, res, &own);
    gp_problem_free(&own);
}

/* A client that is gone never hears of it; whoever still waits can ask again. */
static void name_cancellation(gp_code rc, gp_problem *p)
{
    if (rc == GP_ECANCELED && !p->status)
        gp_problem_set(p, 503, "the service is stopping, and gave the query up: ask again");
}

static bool canceled(void *req)
{
    return gp_http_canceled(req);
}

/* mistake: the status of a query that is well-formed and asks for what there is not, such as an interface. */
static void run_plain(const gp_query_runner *r, gp_http_request *req, gp_http_response *res, gp_args *args,
                      int mistake)
{
    gp_result result;
    gp_problem p = GP_PROBLEM_INIT;
    gp_error err = GP_ERROR_INIT;
    gp_query_hooks hooks = hooks_of(req, req);
    hooks.canceled = canceled;
    gp_code rc = gp_query_run(r, args, &hooks, &result, &p, &err);
    name_cancellation(rc, &p);
    if (rc == GP_EINVAL && !p.status && mistake != 500)
        gp_problem_set(&p, mistake, "%s", err.msg);
    if (rc == GP_OK) {
        gp_buf json = GP_BUF_INIT;
        gp_result_to_json(&result, &json);
        gp_http_answer(req, res, 200, &result_schema, &json);
        res->extra_header[2] = GP_NARROW_HEADER;
        res->extra_header[3] = GP_NARROW_VALUE;
    } else {
        answer_failure(req, res, &p, err.msg);
    }
    gp_problem_free(&p);
    gp_result_free(&result);
}

/* v4 answers 429 with an empty body. */
static bool refused(const gp_query_runner *r, gp_http_response *res)
{
    if (!r->admit || r->admit(r->ctx))
        return false;
    res->status = 429;
    res->extra_header[0] = "Retry-After";
    res->extra_header[1] = "1";
    return true;
}

static void leave(const gp_query_runner *r)
{
    if (r->leave)
        r->leave(r->ctx);
}

typedef bool args_reader(gp_http_request *req, gp_http_response *res, gp_args *args);

static void read_and_run(const gp_query_runner *r, gp_http_request *req, gp_http_response *res,
                         args_reader *read, int mistake)
{
    gp_args args;
    if (refused(r, res))
        return;
    if (read(req, res, &args))
        run_plain(r, req, res, &args, mistake);
    gp_args_free(&args);
    leave(r);
}

void gp_query_api_run(gp_http_request *req, gp_http_response *res, void *runner)
{
    read_and_run(runner, req, res, args_of_body, 500); /* as v4 */
}

void gp_query_api_run_params(gp_http_request *req, gp_http_response *res, void *runner)
{
    read_and_run(runner, req, res, args_of_params, 422);
}

/* ---- server-sent events -------------------------------------------------------------------------------- */

typedef struct stream {
    gp_http_request *req;
    gp_http_stream *to;
} stream;

static bool stream_canceled(void *ctx)
{
    const stream *s = ctx;
    return gp_http_canceled(s->req);
}

/* A client that is gone shows as canceled. */
static void send_event(const stream *s, const char *event, const gp_buf *data)
{
    (void)gp_http_stream_event(s->to, event, data, NULL);
}

static void stream_keepalive(void *ctx, const gp_progress *progress)
{
    gp_buf json = GP_BUF_INIT;
    const stream *s = ctx;
    gp_buf_putc(&json, '{');
    if (progress) {
        gp_buf_puts(&json, "\"progress\":");
        gp_progress_to_json(progress, &json);
    }
    gp_buf_putc(&json, '}');
    if (gp_http_stream_idle(s->to))
        send_event(s, "keepalive", &json);
    gp_buf_free(&json);
}

static void send_result(const stream *s, const char *event, const gp_result *result)
{
    gp_buf json = GP_BUF_INIT;
    gp_result_to_json(result, &json);
    if (!json.failed)
        send_event(s, event, &json);
    gp_buf_free(&json);
}

/* A client that reads slowly gets fewer of them; hosts must not wait for it. */
static void stream_partial(void *ctx, const gp_result *so_far)
{
    const stream *s = ctx;
    if (!gp_http_stream_idle(s->to))
        return;
    send_result(ctx, "partialResult", so_far);
}

static void send_failure(const stream *s, const gp_problem *p, const char *message)
{
    gp_problem own = GP_PROBLEM_INIT;
    gp_buf json = GP_BUF_INIT;
    /* On a stream v4 tells the detail only, and always with status 500. */
    gp_problem_set(&own, 500, "%s", p->detail ? p->detail : message);
    gp_problem_to_json(&own, &json);
    send_event(s, "queryError", &json);
    gp_buf_free(&json);
    gp_problem_free(&own);
}

static void run_stream(const gp_query_runner *r, stream *s, gp_args *args)
{
    gp_result result;
    gp_problem p = GP_PROBLEM_INIT;
    gp_error err = GP_ERROR_INIT;
    gp_query_hooks hooks = hooks_of(s->req, s);
    hooks.canceled = stream_canceled;
    hooks.keepalive = stream_keepalive;
    hooks.partial = stream_partial;
    gp_code rc = gp_query_run(r, args, &hooks, &result, &p, &err);
    name_cancellation(rc, &p);
    if (rc == GP_OK)
        send_result(s, "finalResult", &result);
    else
        send_failure(s, &p, err.msg);
    gp_problem_free(&p);
    gp_result_free(&result);
}

void gp_query_api_sse(gp_http_request *req, gp_http_response *res, void *runner)
{
    const gp_query_runner *r = runner;
    gp_args args;
    gp_error err = GP_ERROR_INIT;
    stream s = {.req = req};
    if (refused(r, res))
        return;
    if (args_of_body(req, res, &args)) {
        if (gp_http_stream_begin(req, &s.to, &err) == GP_OK)
            run_stream(r, &s, &args);
        else
            answer_failure(req, res, &(gp_problem){0}, err.msg);
    }
    gp_args_free(&args);
    leave(r);
}

/* ---- validation ---------------------------------------------------------------------------------------- */

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

void gp_query_api_validate_body(gp_http_request *req, gp_http_response *res, void *runner)
{
    (void)runner;
    gp_args args;
    if (args_of_body(req, res, &args))
        validate(req, res, &args);
    gp_args_free(&args);
}

void gp_query_api_validate_params(gp_http_request *req, gp_http_response *res, void *runner)
{
    (void)runner;
    gp_args args;
    if (args_of_params(req, res, &args))
        validate(req, res, &args);
    gp_args_free(&args);
}
