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
    const char *scopes; /* file of the clients' scopes; NULL: none */
    gp_auth *auth;      /* NULL: no token is asked for */
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
                                    {"GET", "/hold", hold, f, GP_HTTP_QUERY},
                                    {"GET", "/change", hello, f, GP_HTTP_CONTROL},
                                    {"GET", "/open", hello, f, GP_HTTP_OPEN}};
    const gp_http_config cfg = {
        .addr = addr,
        .tls = {.cert = f->server_file, .client_ca = client_ca, .client_scopes = f->scopes},
        .auth = f->auth};
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
    gp_auth_free(f->auth);
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

static void write_text(const char *path, const char *text)
{
    char fresh[128];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    FILE *file = fopen(fresh, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(fresh, path), 0);
}

typedef struct may {
    bool query, control;
    const char *why; /* in the message of what it may not; NULL: no matter */
} may;

static void assert_path(const fixture *f, const char *cert, const char *token, const char *path, bool allowed,
                        const char *why)
{
    gp_client *c = NULL;
    gp_error err = GP_ERROR_INIT;
    const gp_client_config cfg = {.addr = f->addr,
                                  .access = {.ca_file = f->ca_file, .cert_file = cert, .token = token},
                                  .timeout_ns = INT64_C(20000000000)};
    assert_int_equal(gp_client_new(&c, &cfg, NULL), GP_OK);
    gp_code rc = get(c, path, "hello", &err);
    if (rc != (allowed ? GP_OK : GP_EPERM))
        fail_msg("%s: %s", path, rc == GP_OK ? "allowed" : err.msg);
    if (!allowed && why && !strstr(err.msg, why))
        fail_msg("%s, not %s", err.msg, why);
    gp_client_free(c);
}

static void assert_may(const fixture *f, const char *cert, const char *token, may want)
{
    assert_path(f, cert, token, "/open", true, NULL);
    assert_path(f, cert, token, "/hello", want.query, want.why);
    assert_path(f, cert, token, "/change", want.control, want.why);
}

static void certificates_have_scopes_by_their_names(void **state)
{
    fixture *f = *state;
    static const may everything = {true, true, NULL};
    static const may nothing = {false, false, "\"nobody\" may do nothing here"};
    char scopes[96];
    char dns[96];
    char uri[96];
    char nobody[96];
    char forged[96];
    in_dir(f, "scopes", scopes, sizeof scopes);
    in_dir(f, "dns.pem", dns, sizeof dns);
    in_dir(f, "uri.pem", uri, sizeof uri);
    in_dir(f, "nobody.pem", nobody, sizeof nobody);
    in_dir(f, "forged.pem", forged, sizeof forged);
    gp_test_ca_issue_client(f->ca, "some host", "GQ.example.org", 14, NULL, dns);
    gp_test_ca_issue_client(f->ca, "another", "x.example.net", 13, "spiffe://example.org/ops/bob", uri);
    gp_test_ca_issue_client(f->ca, "nobody", "example.org", 11, NULL, nobody);
    gp_test_ca_issue_client(f->ca, "nobody", "gq.example.org\0.evil.net", 24, NULL, forged);
    write_text(scopes, "# name  scopes\n\n gpctl of Alice\tquery,control \n*.example.org query\n"
                       "spiffe://example.org/ops/* control\nx.example.net query\n");
    f->scopes = scopes;
    assert_int_equal(start(f, f->ca_file, NULL), GP_OK);
    assert_may(f, f->client_file, NULL, everything);
    assert_may(f, dns, NULL, (may){true, false, "\"some host\" may ask, but not change anything"});
    assert_may(f, uri, NULL, everything); /* control includes query; the first line counts */
    assert_may(f, nobody, NULL, nothing);
    assert_may(f, forged, NULL, nothing);

    write_text(scopes, "nobody query,control\n");
    for (int i = 0; i < 100; i++) { /* it is read again by itself */
        gp_client *c = client(f, NULL, f->ca_file, nobody);
        gp_code rc = get(c, "/change", "hello", NULL);
        gp_client_free(c);
        if (rc == GP_OK)
            break;
        poll(NULL, 0, 50);
    }
    assert_may(f, nobody, NULL, everything);
    assert_may(f, f->client_file, NULL, (may){.why = "\"gpctl of Alice\" may do nothing here"});
    write_text(scopes, "nobody everything\n");
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_http_reload(f->server, &err), GP_EINVAL);
    assert_non_null(strstr(err.msg, "scopes:1: 'everything' is no scope"));
    assert_may(f, nobody, NULL, everything); /* what was wrong changes nothing */
}

static void token_and_certificate_must_both_allow_it(void **state)
{
    fixture *f = *state;
    static const char *const all[] = {"a-key-of-every-scope"};
    const gp_auth_config auth = {.keys = all, .n_keys = 1};
    char scopes[96];
    in_dir(f, "scopes", scopes, sizeof scopes);
    write_text(scopes, "gpctl* query\n");
    f->scopes = scopes;
    assert_int_equal(gp_auth_new(&f->auth, &auth, NULL), GP_OK);
    assert_int_equal(start(f, f->ca_file, NULL), GP_OK);
    assert_may(f, f->client_file, all[0], (may){true, false, NULL});
    assert_may(f, f->client_file, NULL, (may){false, false, "a token is needed"});
    assert_may(f, f->client_file, "wrong", (may){false, false, "not known here"});
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
    cfg.tls = (gp_http_tls){
        .cert = f->server_file, .client_ca = f->ca_file, .client_scopes = "/nonexistent/scopes"};
    assert_int_equal(gp_http_start(&s, &cfg, NULL, 0, &err), GP_ENOTFOUND);
    assert_non_null(strstr(err.msg, "/nonexistent/scopes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(trusts_the_named_ca_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(certificate_must_name_the_host, set_up, tear_down),
        cmocka_unit_test_setup_teardown(asks_clients_for_their_certificate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(certificate_is_replaced_while_connections_go_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_replacement_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(certificates_have_scopes_by_their_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(token_and_certificate_must_both_allow_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(says_what_is_wrong_with_a_file, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
