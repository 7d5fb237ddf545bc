/* HTTPS between our server and our client: trust, certificates of clients, replacing certificates. */
#include "client/gpclient.h"
#include "proto/http/server.h"
#include "tests/support/certs.h"
#include "tests/support/tempdir.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct fixture {
    gp_http_server *server;
    gp_test_ca *ca, *other;
    char dir[GP_TEMPDIR_LEN];
    char ca_file[96], other_file[96], server_file[96], client_file[96], stranger_file[96];
    char addr[64];
    atomic_bool release;
} fixture;

static void hello(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)req;
    (void)ctx;
    gp_buf_puts(&res->body, "hello");
}

/* Holds its connection until the test lets it go. */
static void hold(gp_http_request *req, gp_http_response *res, void *ctx)
{
    fixture *f = ctx;
    while (!atomic_load(&f->release) && !gp_http_canceled(req))
        poll(NULL, 0, 5);
    gp_buf_puts(&res->body, "held");
}

static gp_code start_on(fixture *f, const char *addr, const char *client_ca, gp_error *err)
{
    const gp_http_route routes[] = {{"GET", "/hello", hello, f, GP_HTTP_QUERY},
                                    {"GET", "/hold", hold, f, GP_HTTP_QUERY}};
    const gp_http_config cfg = {.addr = addr, .tls = {.cert = f->server_file, .client_ca = client_ca}};
    gp_code rc = gp_http_start(&f->server, &cfg, routes, sizeof routes / sizeof routes[0], err);
    if (rc == GP_OK)
        snprintf(f->addr, sizeof f->addr, "https://localhost:%u", gp_http_port(f->server));
    return rc;
}

static gp_code start(fixture *f, const char *client_ca, gp_error *err)
{
    return start_on(f, "127.0.0.1:0", client_ca, err);
}

static void in_dir(const fixture *f, const char *name, char *dst, size_t size)
{
    snprintf(dst, size, "%s/%s", f->dir, name);
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    gp_tempdir_make(f->dir);
    in_dir(f, "ca.pem", f->ca_file, sizeof f->ca_file);
    in_dir(f, "other.pem", f->other_file, sizeof f->other_file);
    in_dir(f, "server.pem", f->server_file, sizeof f->server_file);
    in_dir(f, "client.pem", f->client_file, sizeof f->client_file);
    in_dir(f, "stranger.pem", f->stranger_file, sizeof f->stranger_file);
    f->ca = gp_test_ca_new(f->ca_file);
    f->other = gp_test_ca_new(f->other_file);
    gp_test_ca_issue(f->ca, GP_TEST_SERVER, "server", f->server_file);
    gp_test_ca_issue(f->ca, GP_TEST_CLIENT, "gpctl of Alice", f->client_file);
    gp_test_ca_issue(f->other, GP_TEST_CLIENT, "stranger", f->stranger_file);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    gp_http_stop(f->server);
    gp_test_ca_free(f->ca);
    gp_test_ca_free(f->other);
    gp_tempdir_remove(f->dir);
    free(f);
    return 0;
}

static gp_code get(gp_client *c, const char *path, const char *expected, gp_error *err)
{
    gp_buf body = GP_BUF_INIT;
    gp_code rc = gp_client_get(c, path, &body, err);
    if (rc == GP_OK) {
        assert_int_equal(body.len, strlen(expected));
        assert_memory_equal(body.data, expected, body.len);
    }
    gp_buf_free(&body);
    return rc;
}

static gp_client *client(const fixture *f, const char *addr, const char *ca, const char *cert)
{
    gp_client *c = NULL;
    const gp_client_config cfg = {.addr = addr ? addr : f->addr,
                                  .access = {.ca_file = ca, .cert_file = cert},
                                  .timeout_ns = INT64_C(20000000000)};
    assert_int_equal(gp_client_new(&c, &cfg, NULL), GP_OK);
    return c;
}

/* What a client with these files gets to hear. */
static gp_code try(const fixture *f, const char *addr, const char *ca, const char *cert)
{
    gp_error err = GP_ERROR_INIT;
    gp_client *c = client(f, addr, ca, cert);
    gp_code rc = get(c, "/hello", "hello", &err);
    if (rc != GP_OK)
        print_message("%s\n", err.msg);
    gp_client_free(c);
    return rc;
}

static void trusts_the_named_ca_only(void **state)
{
    fixture *f = *state;
    char plain[64];
    assert_int_equal(start(f, NULL, NULL), GP_OK);
    assert_int_equal(try(f, NULL, f->ca_file, NULL), GP_OK);
    assert_int_equal(try(f, NULL, f->other_file, NULL), GP_EPERM);
    assert_int_equal(try(f, NULL, NULL, NULL), GP_EPERM); /* the system's do not know it */
    assert_int_equal(try(f, NULL, "/nonexistent/ca.pem", NULL), GP_EINVAL);
    snprintf(plain, sizeof plain, "http://127.0.0.1:%u", gp_http_port(f->server));
    assert_int_equal(try(f, plain, NULL, NULL), GP_ENET);
}

static void certificate_must_name_the_host(void **state)
{
    fixture *f = *state;
    char addr[64];
    assert_int_equal(start_on(f, "127.0.0.2:0", NULL, NULL), GP_OK);
    snprintf(addr, sizeof addr, "https://127.0.0.2:%u", gp_http_port(f->server));
    assert_int_equal(try(f, addr, f->ca_file, NULL), GP_EPERM);
}

static void asks_clients_for_their_certificate(void **state)
{
    fixture *f = *state;
    assert_int_equal(start(f, f->ca_file, NULL), GP_OK);
    assert_int_equal(try(f, NULL, f->ca_file, f->client_file), GP_OK);
    assert_int_not_equal(try(f, NULL, f->ca_file, NULL), GP_OK);
    assert_int_not_equal(try(f, NULL, f->ca_file, f->stranger_file), GP_OK);
    /* A server's certificate is none for clients, though the CA is right. */
    assert_int_not_equal(try(f, NULL, f->ca_file, f->server_file), GP_OK);
    assert_int_equal(try(f, NULL, f->ca_file, f->client_file), GP_OK);
}

static void *get_held(void *client)
{
    return get(client, "/hold", "held", NULL) == GP_OK ? client : NULL;
}

/* The files are looked at again by themselves; a connection and a request under way notice nothing. */
static void certificate_is_replaced_while_connections_go_on(void **state)
{
    fixture *f = *state;
    pthread_t busy;
    void *answer = NULL;
    assert_int_equal(start(f, f->ca_file, NULL), GP_OK);
    gp_client *old = client(f, NULL, f->ca_file, f->client_file);
    gp_client *held = client(f, NULL, f->ca_file, f->client_file);
    assert_int_equal(get(old, "/hello", "hello", NULL), GP_OK);
    assert_int_equal(pthread_create(&busy, NULL, get_held, held), 0);

    gp_test_ca_issue(f->other, GP_TEST_SERVER, "server", f->server_file);
    for (int i = 0; i < 100 && try(f, NULL, f->other_file, f->client_file) != GP_OK; i++)
        poll(NULL, 0, 50);
    assert_int_equal(try(f, NULL, f->other_file, f->client_file), GP_OK);
    assert_int_equal(try(f, NULL, f->ca_file, f->client_file), GP_EPERM);

    assert_int_equal(get(old, "/hello", "hello", NULL), GP_OK); /* on its connection */
    atomic_store(&f->release, true);
    pthread_join(busy, &answer);
    assert_ptr_equal(answer, held);
    gp_client_free(old);
    gp_client_free(held);
}

static void broken_replacement_changes_nothing(void **state)
{
    fixture *f = *state;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(start(f, NULL, NULL), GP_OK);
    FILE *file = fopen(f->server_file, "we");
    assert_non_null(file);
    fputs("-----BEGIN CERTIFICATE-----\nnonsense\n", file);
    fclose(file);
    assert_int_equal(gp_http_reload(f->server, &err), GP_EINVAL);
    assert_non_null(strstr(err.msg, f->server_file));
    assert_int_equal(try(f, NULL, f->ca_file, NULL), GP_OK);
    gp_test_ca_issue(f->ca, GP_TEST_SERVER, "server", f->server_file);
    assert_int_equal(gp_http_reload(f->server, &err), GP_OK);
    assert_int_equal(try(f, NULL, f->ca_file, NULL), GP_OK);
}

static void says_what_is_wrong_with_a_file(void **state)
{
    fixture *f = *state;
    gp_error err = GP_ERROR_INIT;
    gp_http_server *s = NULL;
    gp_http_config cfg = {.addr = "127.0.0.1:0", .tls = {.cert = "/nonexistent/cert.pem"}};
    assert_int_equal(gp_http_start(&s, &cfg, NULL, 0, &err), GP_ENOTFOUND);
    assert_non_null(strstr(err.msg, "/nonexistent/cert.pem"));
    cfg.tls = (gp_http_tls){.cert = f->server_file, .key = f->client_file};
    assert_int_equal(gp_http_start(&s, &cfg, NULL, 0, &err), GP_EINVAL);
    assert_non_null(strstr(err.msg, f->client_file));
    cfg.tls = (gp_http_tls){.cert = f->server_file, .client_ca = "/dev/null"};
    assert_int_equal(gp_http_start(&s, &cfg, NULL, 0, &err), GP_EINVAL);
    assert_non_null(strstr(err.msg, "/dev/null"));
    cfg.tls = (gp_http_tls){.cert = f->server_file, .client_ca = "/dev/zero"};
    assert_int_equal(gp_http_start(&s, &cfg, NULL, 0, &err), GP_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(trusts_the_named_ca_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(certificate_must_name_the_host, set_up, tear_down),
        cmocka_unit_test_setup_teardown(asks_clients_for_their_certificate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(certificate_is_replaced_while_connections_go_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_replacement_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(says_what_is_wrong_with_a_file, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
