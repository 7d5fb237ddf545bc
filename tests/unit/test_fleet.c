/* Resolvers, endpoints, and whole fleet queries against HTTP servers of our own: good, dead, silent,
 * lying. */
#include "global-query/runner.h"
#include "global-query/service.h"
#include "proto/http/answer.h"
#include "tests/support/tempdir.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- resolvers and endpoints --------------------------------------------------------------------------- */

static void assert_hosts(const gp_resolvers *r, const char *kind, const char *query, const char *want)
{
    gp_host_list hosts;
    gp_buf text = GP_BUF_INIT;
    gp_error err = GP_ERROR_INIT;
    if (gp_resolvers_resolve(r, kind, query, &hosts, &err) != GP_OK)
        fail_msg("%s", err.msg);
    gp_buf_puts(&text, "");
    for (size_t i = 0; i < hosts.n; i++)
        gp_buf_printf(&text, "%s;", hosts.items[i].name);
    assert_string_equal(text.data ? text.data : "", want);
    gp_buf_free(&text);
    gp_host_list_free(&hosts);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void hosts_are_resolved(void **state)
{
    (void)state;
    gp_resolvers r = {0};
    gp_error err = GP_ERROR_INIT;
    char dir[GP_TEMPDIR_LEN];
    char path[128];
    gp_host_list hosts;
    gp_tempdir_make(dir);
    snprintf(path, sizeof path, "%s/hosts.yaml", dir);
    write_file(path, "ids:\n  - web1\n  - db1\n");
    assert_int_equal(gp_resolvers_add(&r, "string", NULL, NULL, &err), GP_OK);
    assert_int_equal(gp_resolvers_add(&r, "static", path, NULL, &err), GP_OK);
    assert_hosts(&r, NULL, "b, a,,b ,c", "a;b;c;");
    assert_hosts(&r, "string", " , ", "");
    assert_hosts(&r, "static", "whatever", "db1;web1;");
    assert_int_equal(gp_resolvers_resolve(&r, "dns", "x", &hosts, &err), GP_EINVAL);
    assert_int_equal(gp_resolvers_add(&r, "oracle", NULL, NULL, &err), GP_EINVAL);
    assert_non_null(strstr(err.msg, "oracle"));
    write_file(path, "ids: []\n");
    gp_resolvers empty = {0};
    assert_int_equal(gp_resolvers_add(&empty, "static", path, NULL, &err), GP_EINVAL);
    assert_int_equal(gp_resolvers_add(&empty, "static", "/nonexistent", NULL, &err), GP_ENOTFOUND);
    gp_resolvers_free(&empty);
    gp_resolvers_free(&r);
    gp_tempdir_remove(dir);
}

static void endpoints_are_checked(void **state)
{
    (void)state;
    gp_endpoints e;
    gp_error err = GP_ERROR_INIT;
    static const char good[] =
        "b:\n  addr: \"unix:/run/gp.sock\"\n  timeout: 5s\n  log: true\na: {addr: 'h:1'}\n";
    assert_int_equal(gp_endpoints_parse("e.yaml", good, strlen(good), &e, &err), GP_OK);
    assert_int_equal(e.n, 2);
    assert_string_equal(gp_endpoints_find(&e, "b")->addr, "unix:/run/gp.sock");
    assert_true(gp_endpoints_find(&e, "b")->timeout_ns == INT64_C(5000000000));
    assert_true(gp_endpoints_find(&e, "a")->timeout_ns == INT64_C(30000000000));
    assert_null(gp_endpoints_find(&e, "c"));
    assert_int_equal(e.n_warnings, 0);
    gp_endpoints_free(&e);
    static const char slips[] = "a: {addr: 'h:1', timeot: 1s, tls: {crt: x}}\n";
    assert_int_equal(gp_endpoints_parse("e.yaml", slips, strlen(slips), &e, &err), GP_OK);
    assert_int_equal(e.n_warnings, 2);
    assert_string_equal(e.warnings[0], "e.yaml:1:18: unknown key 'a.timeot' (did you mean 'timeout'?)");
    assert_string_equal(e.warnings[1], "e.yaml:1:36: unknown key 'a.tls.crt' (did you mean 'cert'?)");
    gp_endpoints_free(&e);
    static const char *const bad[] = {"a: {timeout: 5s}", "a: {addr: nohost}",
                                      "a: {addr: 'h:1', timeout: soon}", "- a"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(gp_endpoints_parse("e.yaml", bad[i], strlen(bad[i]), &e, &err), GP_EINVAL);
        assert_non_null(strstr(err.msg, "e.yaml:1"));
    }
}

/* ---- a fleet ------------------------------------------------------------------------------------------- */

typedef struct fake_sensor {
    const char *host;
    uint64_t bytes; /* of its one flow */
    int status;     /* HTTP; 0: a result */
    const char *garbage;
    unsigned delay_ms;
    unsigned fail_first; /* requests that get a 503, or this: */
    const char *fail_with;
    size_t blanks; /* before its answer */
    atomic_uint asked;
    gp_http_server *server;
    char request_id[GP_REQUEST_ID_MAX + 1]; /* of the last query */
    char authorization[128];
    char peer[64];        /* who sent it */
    bool is_sensor;       /* it names itself, as aggregators do not */
    bool is_mute;         /* it tells no status */
    const char *slanders; /* a host of which it says that it failed, beside itself; NULL: none */
    char body[1024];
    atomic_uint *turns; /* counts the queries of all; NULL: nobody does */
    unsigned turn;      /* of the last query */
} fake_sensor;

/* Several queries come to one sensor at a time. */
static pthread_mutex_t note_lock = PTHREAD_MUTEX_INITIALIZER;

static void note_query(fake_sensor *s, gp_http_request *req)
{
    size_t len;
    const char *authorization = gp_http_header(req, "Authorization");
    const char *body = gp_http_body(req, &len);
    pthread_mutex_lock(&note_lock);
    snprintf(s->request_id, sizeof s->request_id, "%s", gp_http_request_id(req));
    snprintf(s->authorization, sizeof s->authorization, "%s", authorization ? authorization : "");
    snprintf(s->peer, sizeof s->peer, "%s", gp_http_peer(req));
    snprintf(s->body, sizeof s->body, "%.*s", (int)len, body);
    s->turn = s->turns ? atomic_fetch_add(s->turns, 1) : 0;
    pthread_mutex_unlock(&note_lock);
}

static void answer_query(gp_http_request *req, gp_http_response *res, void *ctx)
{
    fake_sensor *s = ctx;
    gp_result r;
    note_query(s, req);
    for (unsigned waited = 0; waited < s->delay_ms && !gp_http_canceled(req); waited += 10)
        usleep(10000);
    if (atomic_fetch_add(&s->asked, 1) < s->fail_first) {
        if (s->fail_with)
            gp_buf_puts(&res->body, s->fail_with);
        else
            gp_http_error(res, 503, "not now");
        return;
    }
    gp_buf_pad(&res->body, ' ', s->blanks);
    if (s->status) {
        gp_http_error(res, s->status, "no luck");
        return;
    }
    if (s->garbage) {
        gp_buf_puts(&res->body, s->garbage);
        return;
    }
    gp_result_init(&r);
    assert_int_equal(gp_result_reserve_rows(&r, 1, NULL), GP_OK);
    r.rows[r.n_rows++] = (gp_row){.iface = gp_result_intern(&r, "eth0"),
                                  .sip = gp_addr_from_bytes((const uint8_t[]){10, 0, 0, 1}, 4),
                                  .c = {s->bytes, 1, 2, 3}};
    r.totals = r.rows[0].c;
    r.hits_total = 1;
    r.data_available = true;
    r.first = (gp_time){.sec = 1000, .set = true};
    r.last = (gp_time){.sec = 2000, .set = true};
    gp_result_add_iface(&r, "eth0", NULL);
    r.hostname = s->is_sensor ? gp_result_intern(&r, s->host) : NULL;
    if (!s->is_mute)
        gp_result_set_host(&r, s->host, GP_STATUS_OK, NULL, NULL);
    if (s->slanders)
        gp_result_set_host(&r, s->slanders, GP_STATUS_ERROR, "slander", NULL);
    gp_result_to_json(&r, &res->body);
    gp_result_free(&r);
}

static void start_sensor(fake_sensor *s)
{
    const gp_http_route route = {"POST", "/_query", answer_query, s, GP_HTTP_QUERY};
    const gp_http_config cfg = {.addr = "127.0.0.1:0"};
    gp_error err = GP_ERROR_INIT;
    if (gp_http_start(&s->server, &cfg, &route, 1, &err) != GP_OK)
        fail_msg("%s", err.msg);
}

/* A port of loopback on which nobody answers. */
static unsigned silent_port(int *fd)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    *fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(*fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(*fd, 8), 0);
    assert_int_equal(getsockname(*fd, (struct sockaddr *)&a, &len), 0);
    return ntohs(a.sin_port);
}

typedef struct fleet {
    gp_endpoints endpoints;
    gp_resolvers resolvers;
    gp_runner runner;
} fleet;

/* All of this must hold whether the calling thread asks or several do. */
static unsigned threads;

static int one_thread(void **state)
{
    (void)state;
    threads = 1;
    return 0;
}

static int several_threads(void **state)
{
    (void)state;
    threads = 3;
    return 0;
}

static void fleet_open(fleet *f, const char *yaml)
{
    gp_error err = GP_ERROR_INIT;
    *f = (fleet){0};
    if (gp_endpoints_parse("fleet", yaml, strlen(yaml), &f->endpoints, &err) != GP_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(gp_resolvers_add(&f->resolvers, "string", NULL, NULL, NULL), GP_OK);
    assert_int_equal(gp_fanout_new(&f->runner.fanout, NULL), GP_OK);
    f->runner.resolvers = &f->resolvers;
    f->runner.endpoints = &f->endpoints;
    f->runner.limits.max_concurrent = 3;
    f->runner.limits.threads = threads;
}

static void fleet_close(fleet *f)
{
    gp_fanout_free(f->runner.fanout);
    gp_resolvers_free(&f->resolvers);
    gp_endpoints_free(&f->endpoints);
}

static gp_code ask(fleet *f, const char *hosts, const gp_query_hooks *hooks, gp_result *out, gp_error *err)
{
    gp_args a;
    gp_stmt stmt;
    gp_problem p = GP_PROBLEM_INIT;
    gp_args_init(&a);
    gp_args_set(&a.query, "sip", NULL);
    gp_args_set(&a.ifaces, "any", NULL);
    gp_args_set(&a.query_hosts, hosts, NULL);
    gp_args_set(&a.format, "json", NULL);
    assert_int_equal(gp_args_set_defaults(&a, time(NULL), NULL), GP_OK);
    if (gp_args_prepare(&a, time(NULL), &stmt, &p) != GP_OK)
        fail_msg("%s", p.detail);
    gp_code rc = gp_runner_run(&f->runner, &a, &stmt, hooks, out, &p, err);
    gp_problem_free(&p);
    gp_stmt_free(&stmt);
    gp_args_free(&a);
    return rc;
}

static const gp_host_status *status_of(const gp_result *r, const char *host)
{
    for (size_t i = 0; i < r->n_hosts; i++)
        if (strcmp(r->hosts[i].host, host) == 0)
            return &r->hosts[i];
    fail_msg("no status of host %s", host);
    return NULL;
}

static void a_bad_host_never_spoils_the_answer(void **state)
{
    (void)state;
    fake_sensor s[] = {{.host = "good1", .bytes = 100},
                       {.host = "good2", .bytes = 23},
                       {.host = "failing", .status = 500},
                       {.host = "lying", .garbage = "{\"rows\":[{\"counters\":{\"br\":-5}}]}"},
                       {.host = "broken", .garbage = "<html>"}};
    enum { N = sizeof s / sizeof s[0] };
    int silent;
    fleet f;
    gp_result r;
    gp_error err = GP_ERROR_INIT;
    gp_buf yaml = GP_BUF_INIT;
    for (size_t i = 0; i < N; i++) {
        start_sensor(&s[i]);
        gp_buf_printf(&yaml, "%s: {addr: '127.0.0.1:%u'}\n", s[i].host, gp_http_port(s[i].server));
    }
    gp_buf_printf(&yaml, "silent: {addr: '127.0.0.1:%u', timeout: 300ms}\ndead: {addr: '127.0.0.1:1'}\n",
                  silent_port(&silent));
    fleet_open(&f, yaml.data);
    const gp_query_hooks hooks = {0};
    if (ask(&f, "good1,good2,failing,lying,broken,silent,dead,unknown", &hooks, &r, &err) != GP_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(r.n_hosts, 8);
    assert_int_equal(status_of(&r, "good1")->code, GP_STATUS_OK);
    assert_int_equal(status_of(&r, "good2")->code, GP_STATUS_OK);
    static const char *const bad[] = {"failing", "lying", "broken", "silent", "dead", "unknown"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(status_of(&r, bad[i])->code, GP_STATUS_ERROR);
    assert_non_null(strstr(status_of(&r, "silent")->message, "in time"));
    assert_non_null(strstr(status_of(&r, "failing")->message, "no luck"));
    /* Both good hosts saw the same flow, without host labels: one row. */
    assert_int_equal(r.n_rows, 1);
    assert_int_equal(r.rows[0].c.bytes_rcvd, 123);
    assert_int_equal(r.totals.bytes_rcvd, 123);
    assert_int_equal(r.hits_total, 1);
    assert_int_equal(r.status, GP_STATUS_OK);
    assert_int_equal(r.first.sec, 1000);
    gp_result_free(&r);
    fleet_close(&f);
    for (size_t i = 0; i < N; i++)
        gp_http_stop(s[i].server);
    close(silent);
    gp_buf_free(&yaml);
}

static bool cancel_now(void *ctx)
{
    unsigned *polls = ctx;
    return ++*polls > 2;
}

static const char *endpoint_of(const gp_result *r, const char *host)
{
    const char *endpoint = status_of(r, host)->endpoint;
    return endpoint ? endpoint : host;
}

static void every_host_can_be_asked_for_again(void **state)
{
    (void)state;
    fake_sensor web = {.host = "web", .is_sensor = true};
    fake_sensor old = {.host = "below"}; /* an aggregator of v4: it does not say that it can narrow */
    fleet f;
    gp_result r;
    gp_error err = GP_ERROR_INIT;
    gp_buf yaml = GP_BUF_INIT;
    start_sensor(&web);
    start_sensor(&old);
    gp_buf_printf(&yaml, "here: {addr: '127.0.0.1:%u'}\nweb: {addr: '127.0.0.1:%u'}\n",
                  gp_http_port(web.server), gp_http_port(web.server));
    gp_buf_printf(&yaml, "old: {addr: '127.0.0.1:%u'}\nweb2: {addr: '127.0.0.1:1'}\n",
                  gp_http_port(old.server));
    fleet_open(&f, yaml.data);
    const gp_query_hooks hooks = {0};
    if (ask(&f, "any", &hooks, &r, &err) != GP_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(r.n_hosts, 4);
    assert_string_equal(endpoint_of(&r, "web"), "web");
    assert_null(status_of(&r, "here/web")->message);
    assert_string_equal(endpoint_of(&r, "here/web"), "here");
    assert_string_equal(endpoint_of(&r, "below"), "old");
    assert_null(status_of(&r, "web2")->endpoint); /* said only where it is another name */
    gp_result_free(&r);
    fleet_close(&f);
    gp_http_stop(web.server);
    gp_http_stop(old.server);
    gp_buf_free(&yaml);
}

static void a_query_can_be_canceled(void **state)
{
    (void)state;
    fake_sensor s = {.host = "slow", .delay_ms = 20000};
    fleet f;
    gp_result r;
    gp_error err = GP_ERROR_INIT;
    char yaml[64];
    unsigned polls = 0;
    const gp_query_hooks hooks = {.canceled = cancel_now, .ctx = &polls};
    start_sensor(&s);
    snprintf(yaml, sizeof yaml, "slow: {addr: '127.0.0.1:%u'}\n", gp_http_port(s.server));
    fleet_open(&f, yaml);
    time_t start = time(NULL);
    assert_int_equal(ask(&f, "any", &hooks, &r, &err), GP_ECANCELED);
    assert_true(time(NULL) - start < 5);
    fleet_close(&f);
    gp_http_stop(s.server);
}

static void count_partial(void *ctx, const gp_result *so_far)
{
    unsigned *partials = ctx;
    ++*partials;
    assert_true(so_far->has_progress && so_far->progress.hosts_total == 3);
    assert_int_equal(so_far->n_hosts, so_far->progress.hosts_done);
}

static void partial_results_grow(void **state)
{
    (void)state;
    fake_sensor s[3] = {{.host = "a", .bytes = 1}, {.host = "b", .bytes = 2}, {.host = "c", .bytes = 4}};
    fleet f;
    gp_result r;
    gp_error err = GP_ERROR_INIT;
    gp_buf yaml = GP_BUF_INIT;
    unsigned partials = 0;
    for (size_t i = 0; i < 3; i++) {
        start_sensor(&s[i]);
        gp_buf_printf(&yaml, "%s: {addr: '127.0.0.1:%u'}\n", s[i].host, gp_http_port(s[i].server));
    }
    fleet_open(&f, yaml.data);
    const gp_query_hooks hooks = {.partial = count_partial, .ctx = &partials};
    assert_int_equal(ask(&f, "any", &hooks, &r, &err), GP_OK);
    assert_in_range(partials, 1, 3); /* they come at intervals */
    assert_int_equal(r.rows[0].c.bytes_rcvd, 7);
    gp_result_free(&r);
    fleet_close(&f);
    for (size_t i = 0; i < 3; i++)
        gp_http_stop(s[i].server);
    gp_buf_free(&yaml);
}

/* ---- policies ------------------------------------------------------------------------------------------ */

static void start_fleet(fleet *f, fake_sensor *s, size_t n, const char *more)
{
    gp_buf yaml = GP_BUF_INIT;
    for (size_t i = 0; i < n; i++) {
        start_sensor(&s[i]);
        gp_buf_printf(&yaml, "%s: {addr: '127.0.0.1:%u'}\n", s[i].host, gp_http_port(s[i].server));
    }
    gp_buf_puts(&yaml, more);
    fleet_open(f, yaml.data);
    gp_buf_free(&yaml);
}

static void stop_fleet(fleet *f, fake_sensor *s, size_t n)
{
    gp_breaker_free(f->runner.breaker);
    gp_pace_free(f->runner.pace);
    fleet_close(f);
    for (size_t i = 0; i < n; i++)
        gp_http_stop(s[i].server);
}

static void a_host_without_time_is_asked_again(void **state)
{
    (void)state;
    fake_sensor s[] = {{.host = "busy", .bytes = 5, .fail_first = 2},
                       {.host = "hopeless", .bytes = 7, .fail_first = 9}};
    fleet f;
    gp_result r;
    const gp_query_hooks hooks = {0};
    start_fleet(&f, s, 2, "");
    f.runner.limits.retries = 2;
    assert_int_equal(ask(&f, "any", &hooks, &r, NULL), GP_OK);
    assert_int_equal(status_of(&r, "busy")->code, GP_STATUS_OK);
    assert_int_equal(status_of(&r, "hopeless")->code, GP_STATUS_ERROR);
    assert_non_null(strstr(status_of(&r, "hopeless")->message, "not now"));
    assert_int_equal(r.totals.bytes_rcvd, 5);
    assert_int_equal(atomic_load(&s[0].asked), 3);
    assert_int_equal(atomic_load(&s[1].asked), 3);
    assert_int_equal(atomic_load(&f.runner.counts.retries), 4);
    gp_result_free(&r);
    stop_fleet(&f, s, 2);
}

static void the_deadline_names_who_is_missing(void **state)
{
    (void)state;
    fake_sensor s[] = {{.host = "good", .bytes = 5}, {.host = "slow", .bytes = 7, .delay_ms = 20000}};
    fleet f;
    gp_result r;
    struct timespec start;
    struct timespec end;
    const gp_query_hooks hooks = {0};
    start_fleet(&f, s, 2, "");
    f.runner.limits.deadline_ns = INT64_C(400000000);
    clock_gettime(CLOCK_MONOTONIC, &start);
    assert_int_equal(ask(&f, "any", &hooks, &r, NULL), GP_OK);
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_in_range((end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000, 399, 3000);
    assert_int_equal(status_of(&r, "good")->code, GP_STATUS_OK);
    assert_non_null(strstr(status_of(&r, "slow")->message, "deadline"));
    assert_int_equal(r.rows[0].c.bytes_rcvd, 5);
    gp_result_free(&r);
    stop_fleet(&f, s, 2);
}

static void hosts_that_keep_failing_are_left_alone(void **state)
{
    (void)state;
    fake_sensor s[] = {{.host = "good", .bytes = 5},
                       {.host = "ill", .bytes = 7, .fail_first = 2, .fail_with = "{"}};
    fleet f;
    gp_result r;
    gp_buf metrics = GP_BUF_INIT;
    const gp_query_hooks hooks = {0};
    start_fleet(&f, s, 2, "");
    assert_int_equal(gp_breaker_new(&f.runner.breaker, 2, INT64_C(700000000), NULL), GP_OK);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(ask(&f, "any", &hooks, &r, NULL), GP_OK);
        assert_int_equal(status_of(&r, "good")->code, GP_STATUS_OK);
        assert_int_equal(status_of(&r, "ill")->code, GP_STATUS_ERROR);
        if (i == 2)
            assert_non_null(strstr(status_of(&r, "ill")->message, "not asked: it failed 2 times in a row"));
        gp_result_free(&r);
    }
    assert_int_equal(atomic_load(&s[1].asked), 2);
    gp_runner_metrics(&f.runner, &metrics);
    assert_non_null(strstr(metrics.data, "global_query_host_circuit_open{host=\"ill\"} 1\n"));
    assert_non_null(strstr(metrics.data, "global_query_hosts_skipped_total 1\n"));
    gp_buf_free(&metrics);
    usleep(750000);
    assert_int_equal(ask(&f, "any", &hooks, &r, NULL), GP_OK);
    assert_int_equal(status_of(&r, "ill")->code, GP_STATUS_OK);
    assert_int_equal(r.totals.bytes_rcvd, 12);
    gp_result_free(&r);
    stop_fleet(&f, s, 2);
}

/* One bad query must not cut hosts off for everybody. */
static void hosts_that_refuse_are_asked_again(void **state)
{
    (void)state;
    static const int refusals[] = {400, 401, 404, 422, 429, 500, 503};
    enum { N = sizeof refusals / sizeof refusals[0] };
    fake_sensor s[N] = {{.host = NULL}};
    char names[N][8];
    fleet f;
    gp_result r;
    const gp_query_hooks hooks = {0};
    for (unsigned i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "h%d", refusals[i]);
        s[i] = (fake_sensor){.host = names[i], .bytes = 1, .status = refusals[i]};
    }
    start_fleet(&f, s, N, "");
    assert_int_equal(gp_breaker_new(&f.runner.breaker, 2, INT64_C(60000000000), NULL), GP_OK);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(ask(&f, "any", &hooks, &r, NULL), GP_OK);
        for (unsigned k = 0; k < N; k++)
            assert_int_equal(status_of(&r, names[k])->code, GP_STATUS_ERROR);
        gp_result_free(&r);
    }
    for (unsigned k = 0; k < N; k++) {
        assert_int_equal(atomic_load(&s[k].asked), 4);
        s[k].status = 0;
    }
    assert_int_equal(ask(&f, "any", &hooks, &r, NULL), GP_OK);
    assert_int_equal(r.totals.bytes_rcvd, N);
    gp_result_free(&r);
    stop_fleet(&f, s, N);
}

static void ask_all(fleet *f)
{
    gp_result r;
    gp_error err = GP_ERROR_INIT;
    const gp_query_hooks hooks = {0};
    if (ask(f, "any", &hooks, &r, &err) != GP_OK)
        fail_msg("%s", err.msg);
    gp_result_free(&r);
}

/* libcurl by itself keeps as many connections as four times the requests under way, which are few when the
 * last hosts answer. */
static void connections_are_kept(void **state)
{
    (void)state;
    enum { HOSTS = 12 };
    fake_sensor s[HOSTS] = {{.host = "h00"}};
    char names[HOSTS][8];
    char peers[HOSTS][64];
    fleet f;
    for (unsigned i = 0; i < HOSTS; i++) {
        snprintf(names[i], sizeof names[i], "h%02u", i);
        s[i] = (fake_sensor){.host = names[i], .delay_ms = 20 * i};
    }
    start_fleet(&f, s, HOSTS, "");
    f.runner.limits.max_concurrent = HOSTS;
    ask_all(&f);
    for (size_t i = 0; i < HOSTS; i++)
        memcpy(peers[i], s[i].peer, sizeof peers[i]);
    assert_non_null(strchr(peers[0], ':'));
    ask_all(&f);
    for (size_t i = 0; i < HOSTS; i++)
        assert_string_equal(s[i].peer, peers[i]);
    stop_fleet(&f, s, HOSTS);
}

static void slow_hosts_are_asked_first(void **state)
{
    (void)state;
    enum { HOSTS = 4 };
    atomic_uint turns = 0;
    fake_sensor s[] = {{.host = "a", .delay_ms = 20, .turns = &turns},
                       {.host = "b", .turns = &turns, .fail_first = 3},
                       {.host = "c", .delay_ms = 500, .turns = &turns},
                       {.host = "d", .delay_ms = 200, .turns = &turns}};
    fleet f;
    static const struct {
        size_t places;
        int64_t deadline_ns;
        unsigned want[HOSTS];
    } rounds[] = {
        {0, 0, {0, 1, 2, 3}}, /* nothing is known yet: as they are named */
        {0, 0, {2, 3, 0, 1}}, /* b has failed */
        {1, 0, {1, 3, 0, 2}}, /* they wait for each other: the slowest and the fastest in turn */
        {1, INT64_C(10000000000), {0, 1, 2, 3}}, /* c must not keep the others from being asked */
    };
    start_fleet(&f, s, HOSTS, "");
    assert_int_equal(gp_pace_new(&f.runner.pace, NULL), GP_OK);
    f.runner.limits.max_requests = 1; /* one after the other, whatever the places of the query */
    f.runner.limits.threads = 1;      /* each has an order of its own */
    for (unsigned k = 0; k < sizeof rounds / sizeof rounds[0]; k++) {
        f.runner.limits.max_concurrent = rounds[k].places;
        f.runner.limits.deadline_ns = rounds[k].deadline_ns;
        ask_all(&f);
        for (unsigned i = 0; i < HOSTS; i++)
            assert_int_equal(s[i].turn, k * HOSTS + rounds[k].want[i]);
    }
    stop_fleet(&f, s, HOSTS);
}

static void a_pace_follows_its_host(void **state)
{
    (void)state;
    gp_pace *p = NULL;
    assert_int_equal(gp_pace_new(&p, NULL), GP_OK);
    assert_int_equal(gp_pace_of(p, "host"), 0);
    gp_pace_answered(p, "host", 0);
    assert_int_equal(gp_pace_of(p, "host"), 1); /* it is known */
    gp_pace_failed(p, "host");
    gp_pace_answered(p, "host", INT64_C(8000000));
    assert_int_equal(gp_pace_of(p, "host"), 8000);
    gp_pace_answered(p, "host", INT64_C(4000000));
    assert_int_equal(gp_pace_of(p, "host"), 7000);
    gp_pace_answered(p, "other", INT64_MAX);
    assert_int_equal(gp_pace_of(p, "other"), INT32_MAX);
    assert_int_equal(gp_pace_of(p, "host"), 7000);
    gp_pace_failed(p, "host");
    assert_int_equal(gp_pace_of(p, "host"), 0);
    gp_pace_free(p);
}

static void huge_answers_fail_alone(void **state)
{
    (void)state;
    fake_sensor s[] = {{.host = "good", .bytes = 5}, {.host = "huge", .bytes = 7, .blanks = 8 << 20}};
    fleet f;
    gp_result r;
    const gp_query_hooks hooks = {0};
    static const struct {
        size_t max_response, max_bytes;
        const char *why;
    } cases[] = {{1 << 20, 0, "larger than"}, {64 << 20, 4 << 20, "beside those of other hosts"}};
    start_fleet(&f, s, 2, "");
    for (size_t i = 0; i < 2; i++) {
        f.runner.limits.max_response = cases[i].max_response;
        f.runner.limits.max_bytes = cases[i].max_bytes;
        assert_int_equal(ask(&f, "any", &hooks, &r, NULL), GP_OK);
        assert_int_equal(status_of(&r, "good")->code, GP_STATUS_OK);
        assert_non_null(strstr(status_of(&r, "huge")->message, cases[i].why));
        assert_int_equal(r.totals.bytes_rcvd, 5);
        gp_result_free(&r);
    }
    stop_fleet(&f, s, 2);
}

/* Many hosts on few sensors: good ones, and of each kind that fails. */
static void no_host_is_lost_among_many(void **state)
{
    (void)state;
    enum { KINDS = 4, HOSTS = 80 };
    fake_sensor s[KINDS] = {{.bytes = 3},
                            {.bytes = 5, .delay_ms = 10},
                            {.status = 500},
                            {.garbage = "{\"rows\":[{\"counters\":{\"br\":-5}}]}"}};
    gp_buf yaml = GP_BUF_INIT;
    fleet f;
    gp_result r;
    const gp_query_hooks hooks = {0};
    for (size_t i = 0; i < KINDS; i++) {
        s[i].host = "any of them";
        start_sensor(&s[i]);
    }
    for (unsigned i = 0; i < HOSTS; i++)
        gp_buf_printf(&yaml, "h%02u: {addr: '%s127.0.0.1:%u'}\n", i, i / KINDS % 2 ? "http://" : "",
                      gp_http_port(s[i % KINDS].server));
    fleet_open(&f, yaml.data);
    for (size_t places = 0; places < 12; places += 2) {
        f.runner.limits.max_concurrent = places;
        f.runner.limits.max_requests = places % 3 ? 5 : 0;
        assert_int_equal(ask(&f, "any", &hooks, &r, NULL), GP_OK);
        assert_int_equal(r.totals.bytes_rcvd, HOSTS / KINDS * (3 + 5));
        assert_int_equal(r.rows[0].c.bytes_rcvd, HOSTS / KINDS * (3 + 5));
        size_t failed = 0;
        for (size_t i = 0; i < r.n_hosts; i++)
            failed += r.hosts[i].code == GP_STATUS_ERROR;
        assert_int_equal(failed, HOSTS / 2);
        gp_result_free(&r);
    }
    fleet_close(&f);
    for (size_t i = 0; i < KINDS; i++)
        gp_http_stop(s[i].server);
    gp_buf_free(&yaml);
}

static void a_query_is_canceled_while_answers_come(void **state)
{
    (void)state;
    enum { HOSTS = 60 };
    fake_sensor s = {.host = "many", .bytes = 3, .delay_ms = 10};
    gp_buf yaml = GP_BUF_INIT;
    fleet f;
    gp_result r;
    start_sensor(&s);
    for (unsigned i = 0; i < HOSTS; i++)
        gp_buf_printf(&yaml, "h%02u: {addr: '127.0.0.1:%u'}\n", i, gp_http_port(s.server));
    fleet_open(&f, yaml.data);
    for (unsigned k = 0; k < 5; k++) {
        unsigned polls = 0;
        const gp_query_hooks hooks = {.canceled = cancel_now, .ctx = &polls};
        assert_int_equal(ask(&f, "any", &hooks, &r, NULL), GP_ECANCELED);
    }
    fleet_close(&f);
    gp_http_stop(s.server);
    gp_buf_free(&yaml);
}

static void circles_and_long_ways_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *via;
        int status;
    } cases[] = {{"aa,me,bb", 508}, {"me", 508}, {"1,2,3,4,5,6,7,8", 508}, {"1,<>", 422}};
    gp_runner r = {.id = "me"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gp_args a;
        gp_stmt stmt = {0};
        gp_result out;
        gp_problem p = GP_PROBLEM_INIT;
        const gp_query_hooks hooks = {0};
        gp_args_init(&a);
        gp_args_set(&a.query_hosts, "any", NULL);
        gp_args_set(&a.via, cases[i].via, NULL);
        assert_int_equal(gp_runner_run(&r, &a, &stmt, &hooks, &out, &p, NULL), GP_EINVAL);
        assert_int_equal(p.status, cases[i].status);
        gp_problem_free(&p);
        gp_args_free(&a);
    }
}

/* A group that nobody knows is the user's to mend, and its name is told where the user looks. */
static void unknown_groups_are_named(void **state)
{
    (void)state;
    char dir[GP_TEMPDIR_LEN];
    char path[128];
    gp_resolvers resolvers = {0};
    gp_endpoints endpoints = {0};
    gp_runner r = {.resolvers = &resolvers, .endpoints = &endpoints};
    gp_args a;
    gp_stmt stmt = {0};
    gp_result out;
    gp_problem p = GP_PROBLEM_INIT;
    const gp_query_hooks hooks = {0};
    gp_tempdir_make(dir);
    snprintf(path, sizeof path, "%s/hosts.yaml", dir);
    write_file(path, "hosts: {web1: }\n");
    assert_int_equal(gp_resolvers_add(&resolvers, "static", path, NULL, NULL), GP_OK);
    gp_args_init(&a);
    gp_args_set(&a.query_hosts, "no \"group\"", NULL);
    gp_args_set(&a.query_hosts_resolver_type, "static", NULL);
    assert_int_equal(gp_runner_run(&r, &a, &stmt, &hooks, &out, &p, NULL), GP_EINVAL);
    assert_int_equal(p.status, 422);
    assert_int_equal(p.n_errors, 1);
    assert_string_equal(p.errors[0].location, "body.query_hosts");
    assert_non_null(strstr(p.errors[0].message, "no host, group or tag is called \"no \"group\"\""));
    assert_non_null(strstr(p.detail, p.errors[0].message)); /* streams tell only this */
    gp_problem_free(&p);
    gp_args_free(&a);
    gp_resolvers_free(&resolvers);
    gp_tempdir_remove(dir);
}

static void hosts_below_an_aggregator_are_asked_together(void **state)
{
    (void)state;
    fake_sensor s[] = {{.host = "sensor", .bytes = 1, .is_sensor = true}, {.host = "site", .bytes = 2}};
    fleet f;
    gp_result r;
    gp_error err = GP_ERROR_INIT;
    const gp_query_hooks hooks = {0};
    start_fleet(&f, s, 2, "");
    assert_int_equal(ask(&f, "site/a,sensor,site/rack/b,sensor/x,nowhere/c,/d,site/", &hooks, &r, &err),
                     GP_OK);
    assert_int_equal(atomic_load(&s[1].asked), 1);
    assert_non_null(strstr(s[1].body, "\"query_hosts\":\"a,rack/b\""));
    assert_int_equal(r.totals.bytes_rcvd, 3);
    assert_int_equal(status_of(&r, "site")->code, GP_STATUS_OK);
    assert_int_equal(status_of(&r, "sensor")->code, GP_STATUS_OK);
    assert_non_null(strstr(status_of(&r, "sensor/sensor")->message, "has no hosts below it"));
    static const char *const unknown[] = {"nowhere/c", "/d", "site/"};
    for (size_t i = 0; i < 3; i++)
        assert_non_null(strstr(status_of(&r, unknown[i])->message, "couldn't find endpoint"));
    assert_int_equal(r.n_hosts, 6);
    gp_result_free(&r);
    stop_fleet(&f, s, 2);
}

/* Nobody speaks for hosts that were asked beside it, and nobody hides. */
static void hosts_speak_for_themselves(void **state)
{
    (void)state;
    static const char file[] = "other: {addr: '127.0.0.1:%u'}\nghost: {addr: '127.0.0.1:%u'}\n";
    fake_sensor s[] = {
        {.host = "honest", .is_sensor = true},
        {.host = "liar", .is_sensor = true, .slanders = "honest"},
        {.host = "chatty", .is_sensor = true, .slanders = "\x1b[2J"},
        {.host = "site", .slanders = "honest"},
        {.host = "mute", .is_mute = true},
        {.host = "veiled", .is_sensor = true, .is_mute = true},
    };
    enum { N = sizeof s / sizeof s[0] };
    fake_sensor mask = {.host = "honest", .is_sensor = true}; /* asked by the name "other" */
    char more[128];
    fleet f;
    gp_result r;
    const gp_query_hooks hooks = {0};
    start_sensor(&mask);
    snprintf(more, sizeof more, file, gp_http_port(mask.server), gp_http_port(mask.server));
    start_fleet(&f, s, N, more);
    assert_int_equal(ask(&f, "any", &hooks, &r, NULL), GP_OK);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(status_of(&r, s[i].host)->code, GP_STATUS_OK);
    assert_string_equal(status_of(&r, "site/honest")->message, "slander");
    assert_int_equal(status_of(&r, "other/honest")->code, GP_STATUS_OK);
    assert_int_equal(status_of(&r, "ghost/honest")->code, GP_STATUS_OK);
    assert_int_equal(r.n_hosts, N + 3);
    gp_result_free(&r);
    stop_fleet(&f, s, N);
    gp_http_stop(mask.server);
}

static void no_more_queries_than_allowed(void **state)
{
    (void)state;
    gp_runner r = {.limits.max_queries = 2};
    assert_true(gp_runner_admit(&r) && gp_runner_admit(&r));
    assert_false(gp_runner_admit(&r));
    gp_runner_leave(&r);
    assert_true(gp_runner_admit(&r));
    assert_int_equal(atomic_load(&r.counts.refused), 1);
}

/* ---- the service --------------------------------------------------------------------------------------- */

static void the_service_answers(void **state)
{
    (void)state;
    fake_sensor s = {.host = "a", .bytes = 77};
    char dir[GP_TEMPDIR_LEN];
    char path[128];
    char token[128];
    char text[256];
    char addr[64];
    gp_gq_command command;
    gp_gq_config cfg;
    gp_gq_service *service = NULL;
    gp_client *client = NULL;
    gp_args args;
    gp_result r;
    gp_error err = GP_ERROR_INIT;
    gp_tempdir_make(dir);
    start_sensor(&s);
    snprintf(path, sizeof path, "%s/endpoints.yaml", dir);
    snprintf(token, sizeof token, "%s/token", dir);
    write_file(token, "gp_secret\n");
    snprintf(text, sizeof text, "a: {addr: '127.0.0.1:%u', token_file: %s}\n", gp_http_port(s.server), token);
    write_file(path, text);
    char *argv[] = {"global-query", "server", "--server.addr=127.0.0.1:0", "--querier.config", path, NULL};
    if (gp_gq_config_load(5, argv, &command, &cfg, &err) != GP_OK ||
        gp_gq_start(&service, &cfg, NULL, &err) != GP_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(command, GP_GQ_SERVER);
    snprintf(addr, sizeof addr, "127.0.0.1:%u", gp_gq_port(service));
    assert_int_equal(
        gp_client_new(&client, &(gp_client_config){.addr = addr, .request_id = "incident-42"}, NULL), GP_OK);
    gp_args_init(&args);
    gp_args_set(&args.query, "sip", NULL);
    gp_args_set(&args.ifaces, "any", NULL);
    gp_args_set(&args.query_hosts, "a", NULL);
    if (gp_client_query(client, &args, &r, NULL, &err) != GP_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(r.rows[0].c.bytes_rcvd, 77);
    assert_string_equal(s.request_id, "incident-42"); /* through global-query */
    assert_string_equal(s.authorization, "Bearer gp_secret");
    gp_result_free(&r);
    if (gp_client_query_sse(client, &args, NULL, NULL, &r, NULL, &err) != GP_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(r.rows[0].c.bytes_rcvd, 77);
    gp_result_free(&r);
    gp_args_set(&args.query, "sipp", NULL);
    assert_int_equal(gp_client_query(client, &args, &r, NULL, &err), GP_EINVAL);
    gp_args_free(&args);
    gp_client_free(client);
    gp_gq_stop(service);
    gp_gq_config_free(&cfg);
    gp_http_stop(s.server);
    gp_tempdir_remove(dir);
}

static void ask_service(unsigned port)
{
    char addr[64];
    gp_client *client = NULL;
    gp_args args;
    gp_result r;
    gp_error err = GP_ERROR_INIT;
    snprintf(addr, sizeof addr, "127.0.0.1:%u", port);
    assert_int_equal(gp_client_new(&client, &(gp_client_config){.addr = addr}, NULL), GP_OK);
    gp_args_init(&args);
    gp_args_set(&args.query, "sip", NULL);
    gp_args_set(&args.ifaces, "any", NULL);
    gp_args_set(&args.query_hosts, "any", NULL);
    if (gp_client_query(client, &args, &r, NULL, &err) != GP_OK)
        fail_msg("%s", err.msg);
    gp_result_free(&r);
    gp_args_free(&args);
    gp_client_free(client);
}

/* A file of tokens that changes is looked at again after a second; the next query shows what is in it. */
static void tokens_for_hosts_are_read_again(void **state)
{
    (void)state;
    fake_sensor s[] = {{.host = "a"}, {.host = "b"}, {.host = "c"}};
    char dir[GP_TEMPDIR_LEN];
    char endpoints[128];
    char own[128];
    char common[128];
    char common_flag[160];
    gp_buf yaml = GP_BUF_INIT;
    gp_gq_command command;
    gp_gq_config cfg;
    gp_gq_service *service = NULL;
    gp_error err = GP_ERROR_INIT;
    gp_tempdir_make(dir);
    snprintf(endpoints, sizeof endpoints, "%s/endpoints.yaml", dir);
    snprintf(own, sizeof own, "%s/own", dir);
    snprintf(common, sizeof common, "%s/common", dir);
    snprintf(common_flag, sizeof common_flag, "--querier.token_file=%s", common);
    write_file(own, "own-1\n");
    write_file(common, "common-1\n");
    for (size_t i = 0; i < 3; i++) {
        start_sensor(&s[i]);
        gp_buf_printf(&yaml, "%s: {addr: '127.0.0.1:%u'%s%s}\n", s[i].host, gp_http_port(s[i].server),
                      i < 2 ? ", token_file: " : "", i < 2 ? own : "");
    }
    write_file(endpoints, yaml.data);
    char *argv[] = {"global-query", "server", "--server.addr=127.0.0.1:0", "--querier.config", endpoints,
                    common_flag,    NULL};
    if (gp_gq_config_load(6, argv, &command, &cfg, &err) != GP_OK ||
        gp_gq_start(&service, &cfg, NULL, &err) != GP_OK)
        fail_msg("%s", err.msg);
    static const char *const said[][2] = {{NULL, NULL}, {"own-2\n", "common-2\n"}, {"", "two words\n"}};
    static const char *const want[][2] = {{"Bearer own-1", "Bearer common-1"},
                                          {"Bearer own-2", "Bearer common-2"},
                                          {"Bearer own-2", "Bearer common-2"}};
    for (size_t i = 0; i < 3; i++) {
        if (said[i][0]) {
            write_file(own, said[i][0]);
            write_file(common, said[i][1]);
            usleep(1100000);
        }
        ask_service(gp_gq_port(service));
        assert_string_equal(s[0].authorization, want[i][0]);
        assert_string_equal(s[1].authorization, want[i][0]);
        assert_string_equal(s[2].authorization, want[i][1]);
    }
    gp_gq_stop(service);
    gp_gq_config_free(&cfg);
    for (size_t i = 0; i < 3; i++)
        gp_http_stop(s[i].server);
    gp_buf_free(&yaml);
    gp_tempdir_remove(dir);
}

static void unknown_keys_are_told(void **state)
{
    (void)state;
    static const char file[] = "bogus: 1\n"
                               "querier: {deadlin: 5s, config: x, tls: {c: y}}\n"
                               "server: {token: x, 'limits.max_body': 2048}\n"
                               "hosts: {resolvers: [{type: string, conf: z}]}\n";
    static const char *const want[] = {
        "config.yaml:1:1: unknown key 'bogus'", "'querier.deadlin' (did you mean 'deadline'?)",
        "'querier.tls.c'", "'server.token' (did you mean 'tokens'?)", "'hosts.resolvers[0].conf'"};
    enum { N = sizeof want / sizeof want[0] };
    char dir[GP_TEMPDIR_LEN];
    char path[128];
    gp_gq_command command;
    gp_gq_config cfg;
    gp_error err = GP_ERROR_INIT;
    gp_tempdir_make(dir);
    snprintf(path, sizeof path, "%s/config.yaml", dir);
    write_file(path, file);
    char *argv[] = {"global-query", "server", "--config", path, NULL};
    if (gp_gq_config_load(4, argv, &command, &cfg, &err) != GP_OK)
        fail_msg("%s", err.msg);
    gp_buf all = GP_BUF_INIT;
    for (size_t i = 0; i < cfg.n_warnings; i++)
        gp_buf_printf(&all, "%s\n", cfg.warnings[i]);
    for (size_t i = 0; i < N; i++)
        if (!all.data || !strstr(all.data, want[i]))
            fail_msg("'%s' is not among\n%s", want[i], all.data ? all.data : "");
    assert_int_equal(cfg.n_warnings, N);
    gp_buf_free(&all);
    gp_gq_config_free(&cfg);
    gp_tempdir_remove(dir);
}

static void wrong_settings_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *flag, *want;
    } cases[] = {{"--querier.max_concurrent=many", "querier.max_concurrent: \"many\""},
                 {"--querier.type=pigeon", "\"pigeon\" not registered"},
                 {"--logging.level=loud", "logging.level: \"loud\""},
                 {"--nonsense", "unknown flag: --nonsense"},
                 {"serve", "unknown command \"serve\""},
                 {"--config=/nonexistent.yaml", "/nonexistent.yaml"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char flag[64];
        gp_gq_command command;
        gp_gq_config cfg;
        gp_error err = GP_ERROR_INIT;
        snprintf(flag, sizeof flag, "%s", cases[i].flag);
        char *argv[] = {"global-query", "server", "--querier.config=x", flag, NULL};
        assert_int_not_equal(gp_gq_config_load(4, argv, &command, &cfg, &err), GP_OK);
        if (!strstr(err.msg, cases[i].want))
            fail_msg("'%s' does not say '%s'", err.msg, cases[i].want);
        gp_gq_config_free(&cfg);
    }
}

int main(void)
{
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(hosts_are_resolved),      cmocka_unit_test(endpoints_are_checked),
        cmocka_unit_test(a_pace_follows_its_host), cmocka_unit_test(wrong_settings_are_named),
        cmocka_unit_test(unknown_keys_are_told),   cmocka_unit_test(unknown_groups_are_named),
    };
    const struct CMUnitTest fleets[] = {
        cmocka_unit_test(a_bad_host_never_spoils_the_answer),
        cmocka_unit_test(every_host_can_be_asked_for_again),
        cmocka_unit_test(a_query_can_be_canceled),
        cmocka_unit_test(partial_results_grow),
        cmocka_unit_test(a_host_without_time_is_asked_again),
        cmocka_unit_test(the_deadline_names_who_is_missing),
        cmocka_unit_test(hosts_that_keep_failing_are_left_alone),
        cmocka_unit_test(hosts_that_refuse_are_asked_again),
        cmocka_unit_test(connections_are_kept),
        cmocka_unit_test(slow_hosts_are_asked_first),
        cmocka_unit_test(huge_answers_fail_alone),
        cmocka_unit_test(no_host_is_lost_among_many),
        cmocka_unit_test(a_query_is_canceled_while_answers_come),
        cmocka_unit_test(circles_and_long_ways_are_refused),
        cmocka_unit_test(hosts_below_an_aggregator_are_asked_together),
        cmocka_unit_test(hosts_speak_for_themselves),
        cmocka_unit_test(no_more_queries_than_allowed),
        cmocka_unit_test(the_service_answers),
        cmocka_unit_test(tokens_for_hosts_are_read_again),
    };
    int failed = cmocka_run_group_tests(alone, NULL, NULL);
    failed += cmocka_run_group_tests_name("by the calling thread", fleets, one_thread, NULL);
    failed += cmocka_run_group_tests_name("by several threads", fleets, several_threads, NULL);
    return failed;
}
