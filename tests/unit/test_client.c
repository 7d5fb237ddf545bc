/* libgpclient against servers in this process, on loopback and on a UNIX socket. */
#include "client/gpclient.h"
#include "proto/http/server.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct fixture {
    gp_http_server *server;
    char addr[64];
} fixture;

static void answer(gp_http_response *res, const char *text)
{
    gp_buf_puts(&res->body, text);
}

/* Echoes what it was asked for as the name of the only interface. */
static void status(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)ctx;
    const char *param = gp_http_path_param(req);
    const char *query = gp_http_query(req, "ifaces");
    if (param && strcmp(param, "none") == 0)
        return; /* 204 */
    gp_status s = {.status_code = 200, .started_sec = 1};
    char name[64];
    snprintf(name, sizeof name, "%s:%s",
             param   ? "path"
             : query ? "query"
                     : "all",
             param   ? param
             : query ? query
                     : "");
    gp_iface_status iface = {.iface = name, .stats = {.received_total = 42}};
    s.ifaces = &iface;
    s.n_ifaces = 1;
    gp_status_to_json(&s, &res->body);
}

static void config_get(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)req;
    (void)ctx;
    answer(res,
           "{\"status_code\":200,\"ifaces\":{\"eth0\":{\"promisc\":true,\"ring_buffer\":{\"block_size\":4096,"
           "\"num_blocks\":2}}}}");
}

static void config_put(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)ctx;
    size_t len;
    const char *body = gp_http_body(req, &len);
    gp_capconfig_map m = {0};
    gp_problem p = GP_PROBLEM_INIT;
    if (gp_capconfig_map_from_request(body, len, &m, &p) != GP_OK)
        gp_http_problem(res, &p);
    else
        answer(res, "{\"status_code\":200,\"enabled\":[{\"name\":\"eth0\",\"success\":true}]}");
    gp_problem_free(&p);
    gp_capconfig_map_free(&m);
}

static void reload(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)req;
    (void)ctx;
    answer(res, "{\"status_code\":400,\"error\":\"no such file\"}");
    res->status = 400;
}

static void big(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)req;
    (void)ctx;
    gp_buf_pad(&res->body, 'x', 200000);
}

static void hang(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)ctx;
    while (!gp_http_canceled(req))
        poll(NULL, 0, 5);
    answer(res, "{}");
}

static void garbage(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)req;
    (void)ctx;
    answer(res, "<html>");
}

static gp_code start(fixture *f, const char *addr)
{
    static const gp_http_route routes[] = {
        {"GET", "/status", status, NULL, GP_HTTP_QUERY},
        {"GET", "/status/{iface}", status, NULL, GP_HTTP_QUERY},
        {"GET", "/config", config_get, NULL, GP_HTTP_QUERY},
        {"PUT", "/config", config_put, NULL, GP_HTTP_QUERY},
        {"POST", "/config/_reload", reload, NULL, GP_HTTP_QUERY},
        {"GET", "/big", big, NULL, GP_HTTP_QUERY},
        {"GET", "/hang", hang, NULL, GP_HTTP_QUERY},
        {"GET", "/config/{iface}", garbage, NULL, GP_HTTP_QUERY},
    };
    gp_http_config cfg = {.addr = addr};
    gp_error err = GP_ERROR_INIT;
    gp_code rc = gp_http_start(&f->server, &cfg, routes, sizeof routes / sizeof routes[0], &err);
    if (rc != GP_OK)
        fprintf(stderr, "%s\n", err.msg);
    else if (gp_http_port(f->server))
        snprintf(f->addr, sizeof f->addr, "127.0.0.1:%u", gp_http_port(f->server));
    else
        snprintf(f->addr, sizeof f->addr, "%s", addr);
    return rc;
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    if (!f || start(f, "127.0.0.1:0") != GP_OK) {
        free(f);
        return -1;
    }
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

static gp_client *connect_to(const char *addr)
{
    gp_client *c = NULL;
    gp_client_config cfg = {.addr = addr, .timeout_ns = INT64_C(30000000000)};
    gp_error err = GP_ERROR_INIT;
    if (gp_client_new(&c, &cfg, &err) != GP_OK)
        fail_msg("%s", err.msg);
    return c;
}

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *addr, *url, *socket;
    } good[] = {
        {"localhost:8145", "http://localhost:8145", NULL},
        {":8145", "http://localhost:8145", NULL},
        {"[::1]:80", "http://[::1]:80", NULL},
        {"http://h:1/prefix/", "http://h:1/prefix", NULL},
        {"https://h", "https://h", NULL},
        {"unix:/run/gp.sock", "http://unix", "/run/gp.sock"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char *url;
        char *socket;
        assert_int_equal(gp_client_parse_addr(good[i].addr, &url, &socket, NULL), GP_OK);
        assert_string_equal(url, good[i].url);
        if (good[i].socket)
            assert_string_equal(socket, good[i].socket);
        else
            assert_null(socket);
        free(url);
        free(socket);
    }
    static const char *const bad[] = {"", "foo", "foo:", "foo:http", "::1:80", "unix:", "http://", "[::1]80"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *url;
        char *socket;
        gp_error err = GP_ERROR_INIT;
        assert_int_equal(gp_client_parse_addr(bad[i], &url, &socket, &err), GP_EINVAL);
        assert_null(url);
        assert_null(socket);
        assert_true(err.msg[0] != '\0');
    }
}

static void expect_status(gp_client *c, const char *const *ifaces, size_t n, const char *want)
{
    gp_status s = {0};
    gp_error err = GP_ERROR_INIT;
    if (gp_client_status(c, ifaces, n, &s, &err) != GP_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(s.n_ifaces, 1);
    assert_string_equal(s.ifaces[0].iface, want);
    assert_int_equal(s.ifaces[0].stats.received_total, 42);
    gp_status_free(&s);
}

static void status_of_interfaces(void **state)
{
    fixture *f = *state;
    gp_client *c = connect_to(f->addr);
    expect_status(c, NULL, 0, "all:");
    expect_status(c, (const char *const[]){"eth0"}, 1, "path:eth0");
    expect_status(c, (const char *const[]){"a b?"}, 1, "path:a b?");
    expect_status(c, (const char *const[]){"x"}, 1, "query:x");
    expect_status(c, (const char *const[]){"a/b"}, 1, "query:a/b");
    expect_status(c, (const char *const[]){"eth0", "eth1"}, 2, "query:eth0,eth1");
    gp_status s = {0};
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_client_status(c, (const char *const[]){"none"}, 1, &s, &err), GP_ENOTFOUND);
    assert_non_null(strstr(err.msg, "204 No Content"));
    gp_client_free(c);
}

static void configuration(void **state)
{
    fixture *f = *state;
    gp_client *c = connect_to(f->addr);
    gp_capconfig_map m = {0};
    gp_error err = GP_ERROR_INIT;
    gp_config_update u = {0};
    assert_int_equal(gp_client_config_get(c, NULL, 0, &m, &err), GP_OK);
    assert_true(gp_capconfig_map_get(&m, "eth0")->promisc);
    assert_int_equal(gp_client_config_put(c, &m, &u, &err), GP_OK);
    assert_int_equal(u.enabled.n, 1);
    gp_config_update_free(&u);

    gp_capconfig bad = {.has_ring = true};
    assert_int_equal(gp_capconfig_map_put(&m, "eth0", &bad, NULL), GP_OK);
    assert_int_equal(gp_client_config_put(c, &m, &u, &err), GP_EINVAL);
    assert_non_null(strstr(err.msg, "HTTP status 422: validation failed: expected number >= 1"));
    assert_int_equal(gp_client_reload(c, &u, &err), GP_EINVAL);
    assert_non_null(strstr(err.msg, "HTTP status 400: no such file"));
    gp_capconfig_map_free(&m);
    assert_int_equal(gp_client_config_get(c, (const char *const[]){"eth0"}, 1, &m, &err), GP_ECORRUPT);
    assert_non_null(strstr(err.msg, f->addr));
    gp_client_free(c);
}

static void plain_get_and_its_bound(void **state)
{
    fixture *f = *state;
    gp_client *c = connect_to(f->addr);
    gp_buf body = GP_BUF_INIT;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_client_get(c, "/big", &body, &err), GP_OK);
    assert_int_equal(body.len, 200000);
    gp_buf_free(&body);
    assert_int_equal(gp_client_get(c, "/nope", &body, &err), GP_ENOTFOUND);
    gp_client_free(c);
    /* The bound is on what comes out of decompression. */
    gp_client_config cfg = {.addr = f->addr, .max_response = 100000};
    assert_int_equal(gp_client_new(&c, &cfg, NULL), GP_OK);
    assert_int_equal(gp_client_get(c, "/big", &body, &err), GP_ELIMIT);
    assert_non_null(strstr(err.msg, "100000 bytes"));
    assert_int_equal(gp_client_get(c, "/config", &body, &err), GP_OK); /* and the client is still usable */
    gp_buf_free(&body);
    gp_client_free(c);
}

static bool cancel_soon(void *ctx)
{
    return --*(int *)ctx <= 0;
}

static void deadline_and_cancellation(void **state)
{
    fixture *f = *state;
    gp_client *c;
    gp_buf body = GP_BUF_INIT;
    gp_error err = GP_ERROR_INIT;
    gp_client_config cfg = {.addr = f->addr, .timeout_ns = 200000000};
    assert_int_equal(gp_client_new(&c, &cfg, NULL), GP_OK);
    assert_int_equal(gp_client_get(c, "/hang", &body, &err), GP_ETIMEOUT);
    assert_non_null(strstr(err.msg, f->addr));
    gp_client_free(c);
    int left = 3;
    cfg = (gp_client_config){.addr = f->addr, .canceled = cancel_soon, .cancel_ctx = &left};
    assert_int_equal(gp_client_new(&c, &cfg, NULL), GP_OK);
    assert_int_equal(gp_client_get(c, "/hang", &body, &err), GP_ECANCELED);
    gp_client_free(c);
}

static void nobody_there(void **state)
{
    (void)state;
    gp_client *c = connect_to("127.0.0.1:1");
    gp_buf body = GP_BUF_INIT;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_client_get(c, "/", &body, &err), GP_ENET);
    assert_non_null(strstr(err.msg, "cannot reach 127.0.0.1:1"));
    gp_client_free(c);
    c = connect_to("unix:/nonexistent/gp.sock");
    assert_int_equal(gp_client_get(c, "/", &body, &err), GP_ENET);
    assert_non_null(strstr(err.msg, "unix:/nonexistent/gp.sock"));
    gp_client_free(c);
}

static void over_a_unix_socket(void **state)
{
    (void)state;
    char dir[] = "/tmp/gp_client_XXXXXX";
    assert_non_null(mkdtemp(dir));
    char addr[64];
    snprintf(addr, sizeof addr, "unix:%s/s", dir);
    fixture f = {0};
    assert_int_equal(start(&f, addr), GP_OK);
    gp_client *c = connect_to(addr);
    expect_status(c, NULL, 0, "all:");
    gp_client_free(c);
    gp_http_stop(f.server);
    rmdir(dir);
}

int main(void)
{
#define WITH_SERVER(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        WITH_SERVER(status_of_interfaces),
        WITH_SERVER(configuration),
        WITH_SERVER(plain_get_and_its_bound),
        WITH_SERVER(deadline_and_cancellation),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(over_a_unix_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
