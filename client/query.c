/* Queries: at once, or as a stream of partial results. */
#include "client/exchange_kind.h"
#include "client/transport.h"
#include "proto/base/version.h"

#include <stdio.h>
#include <string.h>

enum { POLL_MS = 100 };

/* The request body. Whatever the caller wants to print, the answer must come as JSON. All who are asked read
 * the same hours, whatever their zones. */
gp_code gp_client_args_body(const gp_args *args, gp_buf *out, gp_error *err)
{
    gp_args copy;
    gp_args_init(&copy);
    gp_code rc = gp_args_copy(args, &copy, err);
    if (rc == GP_OK)
        rc = gp_args_set(&copy.format, "json", err);
    if (rc == GP_OK)
        rc = gp_args_resolve_local_times(&copy, err);
    if (rc == GP_OK && (!copy.caller || !*copy.caller)) {
        char caller[64];
        snprintf(caller, sizeof caller, "gpclient/%s", gp_version());
        rc = gp_args_set(&copy.caller, caller, err);
    }
    if (rc == GP_OK)
        gp_args_to_json(&copy, out);
    gp_args_free(&copy);
    if (rc == GP_OK && out->failed)
        rc = gp_fail(err, GP_ENOMEM, "out of memory for the query's arguments");
    return rc;
}

/* Ids of aggregators are letters, digits and commas: nothing to escape. */
gp_code gp_client_v4_query(const gp_args *args, gp_buf *body, gp_buf *params, gp_error *err)
{
    gp_args plain = *args; /* borrows the texts */
    plain.sum_hosts = false;
    plain.via = NULL;
    if (args->sum_hosts)
        gp_buf_puts(params, "sum_hosts=true");
    if (args->via && *args->via)
        gp_buf_printf(params, "%svia=%s", params->len ? "&" : "", args->via);
    if (params->failed)
        return gp_fail(err, GP_ENOMEM, "out of memory for a query");
    return gp_client_args_body(&plain, body, err);
}

static gp_code wait_for(const gp_client *c, gp_loop *l, gp_error *err)
{
    for (;;) {
        gp_exchange *done = NULL;
        gp_code rc = gp_loop_wait(l, POLL_MS, &done, err);
        if (rc != GP_OK || done)
            return rc;
        if (c->canceled && c->canceled(c->cancel_ctx))
            return gp_fail(err, GP_ECANCELED, "the request to %s was canceled", c->addr);
    }
}

/* A query to one nanomsg endpoint is a fan-out to one host. */
static gp_code query_nanomsg(gp_client *c, const gp_buf *body, gp_result *out, gp_problem *problem,
                             gp_error *err)
{
    gp_loop *l = NULL;
    gp_exchange *x = NULL;
    const gp_exchange_config cfg = {.addr = c->addr,
                                    .access = {.token = c->token},
                                    .args = body,
                                    .timeout_ns = c->timeout_ns,
                                    .max_response = c->max_response};
    gp_code rc = gp_loop_new(&l, NULL, err);
    if (rc == GP_OK)
        rc = gp_exchange_begin(l, &cfg, &x, err);
    if (rc == GP_OK)
        rc = wait_for(c, l, err);
    if (rc == GP_OK)
        rc = gp_exchange_outcome(x, out, problem, err);
    gp_exchange_end(x);
    gp_loop_free(l);
    return rc;
}

static gp_code query_http(gp_client *c, const gp_buf *body, gp_result *out, gp_problem *problem,
                          gp_error *err)
{
    gp_call call = {.method = "POST", .path = "/_query", .body = body, .problem = problem};
    gp_code rc = gp_result_reader_new(&call.reader, err);
    if (rc == GP_OK)
        rc = gp_client_call(c, &call, err);
    if (rc == GP_OK)
        rc = gp_client_take_result(c, &call, out, err);
    gp_call_end(&call);
    return rc;
}

gp_code gp_client_query(gp_client *c, const gp_args *args, gp_result *out, gp_problem *problem, gp_error *err)
{
    gp_error local = GP_ERROR_INIT;
    err = err ? err : &local;
    gp_buf body = GP_BUF_INIT;
    gp_code rc = gp_client_args_body(args, &body, err);
    if (rc == GP_OK)
        rc = (c->nanomsg ? query_nanomsg : query_http)(c, &body, out, problem, err);
    gp_buf_free(&body);
    return rc;
}

gp_code gp_client_validate(gp_client *c, const gp_args *args, gp_problem *problem, gp_error *err)
{
    gp_buf body = GP_BUF_INIT;
    gp_call call = {.method = "POST", .path = "/_query/validate", .body = &body, .problem = problem};
    gp_args_to_json(args, &body);
    gp_code rc = gp_client_call(c, &call, err);
    gp_buf_free(&call.answer);
    gp_buf_free(&body);
    return rc;
}

/* What arrives on a stream, until its final event. */
typedef struct stream {
    gp_event_fn on_event;
    void *ctx;
    gp_result *out;
    gp_problem *problem;
    bool has_final;
    gp_code code; /* an event that ends the stream: unusable, or the server's error */
    gp_error err;
} stream;

static bool give(stream *s, gp_event_type type, const gp_result *result, const gp_problem *problem)
{
    return !s->on_event || s->on_event(s->ctx, type, result, problem);
}

static bool on_result(stream *s, gp_event_type type, const char *data, size_t len)
{
    gp_result result;
    gp_result_init(&result);
    s->code = gp_client_blame_peer(gp_result_from_json(data, len, 0, &result, &s->err), &s->err);
    if (s->code != GP_OK) {
        gp_result_free(&result);
        return false;
    }
    bool go_on = give(s, type, &result, NULL);
    if (type == GP_EVENT_FINAL && go_on && !s->has_final) {
        s->has_final = true;
        *s->out = result;
    } else {
        gp_result_free(&result);
    }
    return go_on;
}

static bool on_error(stream *s, const char *data, size_t len)
{
    gp_problem local = GP_PROBLEM_INIT;
    gp_problem *problem = s->problem ? s->problem : &local;
    gp_problem_free(problem);
    bool known = gp_problem_from_json(data, len, problem);
    const char *detail = known && problem->detail ? problem->detail : "the query failed";
    s->code = gp_fail(&s->err, known && problem->status < 500 ? GP_EINVAL : GP_EINTERNAL, "%s", detail);
    (void)give(s, GP_EVENT_ERROR, NULL, problem);
    gp_problem_free(&local);
    return false;
}

static bool on_keepalive(stream *s, const char *data, size_t len)
{
    gp_result r;
    bool known = gp_result_from_json(data, len, 0, &r, NULL) == GP_OK && r.has_progress;
    bool go_on = give(s, GP_EVENT_KEEPALIVE, known ? &r : NULL, NULL);
    gp_result_free(&r);
    return go_on;
}

static bool on_sse(void *ctx, const char *name, const char *data, size_t len)
{
    stream *s = ctx;
    if (strcmp(name, "partialResult") == 0)
        return on_result(s, GP_EVENT_PARTIAL, data, len);
    if (strcmp(name, "finalResult") == 0)
        return on_result(s, GP_EVENT_FINAL, data, len);
    if (strcmp(name, "queryError") == 0)
        return on_error(s, data, len);
    if (strcmp(name, "keepalive") == 0)
        return on_keepalive(s, data, len);
    return true; /* an event of a newer server */
}

/* nanomsg carries one answer to a request: the stream has its end only. */
static gp_code query_at_once(gp_client *c, const gp_args *args, gp_event_fn on_event, void *ctx,
                             gp_result *out, gp_problem *problem, gp_error *err)
{
    gp_code rc = gp_client_query(c, args, out, problem, err);
    if (rc != GP_OK || !on_event || on_event(ctx, GP_EVENT_FINAL, out, NULL))
        return rc;
    gp_result_free(out);
    return gp_fail(err, GP_ECANCELED, "the request to %s was canceled", c->addr);
}

gp_code gp_client_query_sse(gp_client *c, const gp_args *args, gp_event_fn on_event, void *ctx,
                            gp_result *out, gp_problem *problem, gp_error *err)
{
    if (c->nanomsg)
        return query_at_once(c, args, on_event, ctx, out, problem, err);
    stream s = {.on_event = on_event, .ctx = ctx, .out = out, .problem = problem};
    gp_sse sse = {.on_event = on_sse, .ctx = &s, .max_event = c->max_response};
    gp_buf body = GP_BUF_INIT;
    gp_call call = {.method = "POST", .path = "/_query/sse", .body = &body, .sse = &sse, .problem = problem};
    gp_code rc = gp_client_args_body(args, &body, err);
    if (rc == GP_OK)
        rc = gp_client_call(c, &call, err);
    if (s.code != GP_OK)
        rc = gp_fail(err, s.code, "%s: %s", c->addr, s.err.msg);
    else if (rc == GP_OK && !s.has_final)
        rc = gp_fail(err, GP_ENET, "%s: the stream ended before the final result", c->addr);
    if (rc != GP_OK && s.has_final)
        gp_result_free(out);
    gp_sse_free(&sse);
    gp_buf_free(&call.answer);
    gp_buf_free(&body);
    return rc;
}
