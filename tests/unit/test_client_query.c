/* Queries through libgpclient, and its example program, against a server in this process. */
#include "client/gpclient.h"
#include "proto/http/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct fixture {
    gp_http_server *server;
    char addr[64];
} fixture;

static void put_result(gp_buf *out, uint64_t rows)
{
    gp_result r;
    gp_result_init(&r);
    assert_int_equal(gp_result_reserve_rows(&r, rows, NULL), GP_OK);
    for (uint64_t i = 0; i < rows; i++) {
        gp_row row = {.c = {.bytes_rcvd = 1000 - i, .bytes_sent = i}};
        assert_true(gp_addr_parse("10.0.0.1", 8, &row.sip));
        assert_true(gp_addr_parse("10.0.0.2", 8, &row.dip));
        row.dip.bytes[3] = (uint8_t)(2 + i);
        r.rows[r.n_rows++] = row;
    }
    r.attributes[0] = gp_result_intern(&r, "sip");
    r.attributes[1] = gp_result_intern(&r, "dip");
    r.n_attributes = 2;
    r.data_available = true;
    gp_result_finish(&r);
    gp_result_to_json(&r, out);
    gp_result_free(&r);
}

static void query(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)ctx;
    size_t len;
    const char *body = gp_http_body(req, &len);
    if (strstr(body, "\"bad\"")) {
        gp_problem p = GP_PROBLEM_INIT;
        gp_problem_set(&p, 422, "query preparation failed");
        gp_problem_add(&p, "body.query", "\"bad\"", "unknown attribute");
        gp_http_problem(res, &p);
        gp_problem_free(&p);
        return;
    }
    if (strstr(body, "\"much\"")) {
        res->status = 429;
        res->extra_header[0] = "Retry-After";
        res->extra_header[1] = "7";
        return;
    }
    /* Whatever the caller prints, it needs JSON. */
    if (!strstr(body, "\"format\":\"json\"") || !strstr(body, "\"caller\":\"gpclient/"))
        gp_http_error(res, 400, "not what a client sends: %s", body);
    else
        put_result(&res->body, 3);
}

static void validate(gp_http_request *req, gp_http_response *res, void *ctx)
{
    size_t len;
    if (strstr(gp_http_body(req, &len), "\"bad\""))
        query(req, res, ctx);
}

/* What to stream is the query's text: "p" partial, "k" keepalive, "f" final, "e" error, "x" unknown, "g"
 * garbage. */
static void sse(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)ctx;
    size_t len;
    const char *script = strstr(gp_http_body(req, &len), "\"query\":\"");
    gp_http_stream *s;
    if (!script || strncmp(script, "\"query\":\"bad", 12) == 0) {
        gp_http_error(res, 422, "bad query");
        return;
    }
    assert_int_equal(gp_http_stream_begin(req, &s, NULL), GP_OK);
    for (const char *p = script + 9; *p && *p != '"'; p++) {
        gp_buf data = GP_BUF_INIT;
        const char *event = "partialResult";
        if (*p == 'p' || *p == 'f') {
            event = *p == 'f' ? "finalResult" : event;
            put_result(&data, *p == 'f' ? 3 : 1);
        } else if (*p == 'e') {
            event = "queryError";
            gp_buf_puts(&data, "{\"title\":\"Bad\",\"status\":400,\"detail\":\"no hosts\"}");
        } else {
            event = *p == 'k' ? "keepalive" : *p == 'x' ? "news" : event;
            gp_buf_puts(&data, *p == 'g' ? "{" : "{}");
        }
        gp_code rc = gp_http_stream_event(s, event, &data, NULL);
        gp_buf_free(&data);
        if (rc != GP_OK)
            return;
    }
}

static int set_up(void **state)
{
    static const gp_http_route routes[] = {
        {"POST", "/_query", query, NULL, GP_HTTP_QUERY},
        {"POST", "/_query/validate", validate, NULL, GP_HTTP_QUERY},
        {"POST", "/_query/sse", sse, NULL, GP_HTTP_QUERY},
    };
    fixture *f = calloc(1, sizeof *f);
    gp_http_config cfg = {.addr = "127.0.0.1:0"};
    if (!f || gp_http_start(&f->server, &cfg, routes, sizeof routes / sizeof routes[0], NULL) != GP_OK)
        return -1;
    snprintf(f->addr, sizeof f->addr, "127.0.0.1:%u", gp_http_port(f->server));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    gp_http_stop(f->server);
    free(f);
    return 0;
}

static gp_client *connect_to(const fixture *f)
{
    gp_client *c = NULL;
    gp_client_config cfg = {.addr = f->addr, .timeout_ns = INT64_C(30000000000)};
    assert_int_equal(gp_client_new(&c, &cfg, NULL), GP_OK);
    return c;
}

static gp_args args_of(const char *text)
{
    gp_args a;
    gp_args_init(&a);
    assert_int_equal(gp_args_set(&a.query, text, NULL), GP_OK);
    assert_int_equal(gp_args_set(&a.ifaces, "eth0", NULL), GP_OK);
    return a;
}

static void queries(void **state)
{
    gp_client *c = connect_to(*state);
    gp_args a = args_of("sip,dip");
    gp_result r;
    gp_problem p = GP_PROBLEM_INIT;
    gp_error err = GP_ERROR_INIT;
    gp_result_init(&r);
    if (gp_client_query(c, &a, &r, &p, &err) != GP_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(r.n_rows, 3);
    assert_int_equal(r.rows[0].c.bytes_rcvd, 1000);
    gp_result_free(&r);
    assert_int_equal(gp_client_validate(c, &a, &p, &err), GP_OK);
    gp_args_free(&a);

    a = args_of("bad");
    gp_result_init(&r);
    assert_int_equal(gp_client_query(c, &a, &r, &p, &err), GP_EINVAL);
    assert_int_equal(p.status, 422);
    assert_int_equal(p.n_errors, 1);
    assert_string_equal(p.errors[0].location, "body.query");
    assert_non_null(strstr(err.msg, "query preparation failed: unknown attribute"));
    gp_problem_free(&p);
    assert_int_equal(gp_client_validate(c, &a, NULL, &err), GP_EINVAL);
    gp_result_free(&r);
    gp_args_free(&a);
    gp_client_free(c);
}

/* A service that is asked too much says nothing but when to come back. */
static void who_asks_too_much_hears_when_to_ask_again(void **state)
{
    gp_client *c = connect_to(*state);
    gp_args a = args_of("much");
    gp_result r;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_client_query(c, &a, &r, NULL, &err), GP_EBUSY);
    assert_non_null(strstr(err.msg, "HTTP status 429: too many queries at a time, try again in 7 s"));
    gp_args_free(&a);
    gp_client_free(c);
}

typedef struct seen {
    gp_buf text;
    size_t until; /* events after which to cancel; 0: never */
} seen;

static bool on_event(void *ctx, gp_event_type type, const gp_result *result, const gp_problem *problem)
{
    static const char letters[] = {
        [GP_EVENT_PARTIAL] = 'p', [GP_EVENT_FINAL] = 'f', [GP_EVENT_KEEPALIVE] = 'k', [GP_EVENT_ERROR] = 'e'};
    seen *s = ctx;
    gp_buf_putc(&s->text, letters[type]);
    assert_int_equal(result != NULL, type == GP_EVENT_PARTIAL || type == GP_EVENT_FINAL);
    assert_int_equal(problem != NULL, type == GP_EVENT_ERROR);
    return s->until == 0 || s->text.len < s->until;
}

static void stream(fixture *f, const char *script, size_t until, gp_code code, const char *events,
                   const char *message)
{
    gp_client *c = connect_to(f);
    gp_args a = args_of(script);
    gp_result r;
    gp_problem p = GP_PROBLEM_INIT;
    gp_error err = GP_ERROR_INIT;
    seen s = {.until = until};
    gp_result_init(&r);
    gp_code rc = gp_client_query_sse(c, &a, on_event, &s, &r, &p, &err);
    if (rc != code)
        fail_msg("%s gives %s: %s", script, gp_code_name(rc), err.msg);
    assert_string_equal(s.text.len ? s.text.data : "", events);
    if (code == GP_OK) {
        assert_int_equal(r.n_rows, 3);
        gp_result_free(&r);
    } else {
        assert_non_null(strstr(err.msg, message));
    }
    gp_buf_free(&s.text);
    gp_problem_free(&p);
    gp_args_free(&a);
    gp_client_free(c);
}

static void streams(void **state)
{
    fixture *f = *state;
    stream(f, "pkxpf", 0, GP_OK, "pkpf", NULL);
    stream(f, "ppe", 0, GP_EINVAL, "ppe", "no hosts");
    stream(f, "pp", 0, GP_ENET, "pp", "ended before the final result");
    stream(f, "pg", 0, GP_ECORRUPT, "p", "");
    stream(f, "pppppppf", 3, GP_ECANCELED, "ppp", "canceled");
    stream(f, "bad", 0, GP_EINVAL, "", "bad query");
}

static void example_program(void **state)
{
    fixture *f = *state;
    char cmd[512];
    char out[4096];
    snprintf(cmd, sizeof cmd, "%s %s eth0 3 2>&1", TOP_TALKERS, f->addr);
    FILE *p = popen(cmd, "r");
    assert_non_null(p);
    size_t n = fread(out, 1, sizeof out - 1, p);
    out[n] = '\0';
    assert_int_equal(pclose(p), 0);
    assert_non_null(strstr(out, "10.0.0.1                                10.0.0.2  "));
    assert_non_null(strstr(out, "          998            2\n"));
    snprintf(cmd, sizeof cmd, "%s 127.0.0.1:1 eth0 2>&1", TOP_TALKERS);
    p = popen(cmd, "r");
    assert_non_null(p);
    n = fread(out, 1, sizeof out - 1, p);
    out[n] = '\0';
    assert_int_not_equal(pclose(p), 0);
    assert_non_null(strstr(out, "top_talkers: cannot reach 127.0.0.1:1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(queries, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_asks_too_much_hears_when_to_ask_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(streams, set_up, tear_down),
        cmocka_unit_test_setup_teardown(example_program, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
