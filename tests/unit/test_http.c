/* The HTTP server against libcurl and raw sockets, on loopback and on a UNIX socket. */
#include "proto/http/gzip.h"
#include "proto/http/internal.h"
#include "proto/http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <curl/curl.h>

#include <cmocka.h>

typedef struct fixture {
    gp_http_server *server;
    char base[64];
    atomic_int entered, canceled, observed, sent;
    atomic_bool release;
    unsigned request_s, per_client; /* limits; 0: default */
} fixture;

static void nap(void)
{
    poll(NULL, 0, 5);
}

static void echo(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)ctx;
    size_t len;
    const char *body = gp_http_body(req, &len);
    const char *param = gp_http_path_param(req);
    gp_buf_printf(&res->body, "%s %s [%s] ", gp_http_method(req), gp_http_path(req), param ? param : "-");
    gp_http_params it = {.req = req};
    const char *key;
    const char *value;
    while (gp_http_params_next(&it, &key, &value))
        gp_buf_printf(&res->body, "%s=%s;", key, value);
    const char *first = gp_http_query(req, "a");
    gp_buf_printf(&res->body, " first=%s body=%zu:", first ? first : "-", len);
    gp_buf_add(&res->body, body, len);
    res->content_type = "text/plain";
}

static void reload(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)req;
    (void)ctx;
    gp_buf_puts(&res->body, "reloaded");
    res->extra_header[0] = "X-Extra";
    res->extra_header[1] = "yes";
}

static void nothing(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)req;
    (void)res;
    (void)ctx;
}

static void big(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)req;
    (void)ctx;
    gp_buf_pad(&res->body, 'x', 100000);
}

/* Runs until its client goes away or the test lets it go. */
static void wait_for_it(gp_http_request *req, gp_http_response *res, void *ctx)
{
    fixture *f = ctx;
    atomic_fetch_add(&f->entered, 1);
    while (!atomic_load(&f->release) && !gp_http_canceled(req))
        nap();
    if (gp_http_canceled(req))
        atomic_fetch_add(&f->canceled, 1);
    gp_buf_puts(&res->body, "done");
}

static void events(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)res;
    (void)ctx;
    gp_http_stream *s;
    gp_buf data = GP_BUF_INIT;
    assert_int_equal(gp_http_stream_begin(req, &s, NULL), GP_OK);
    assert_int_equal(gp_http_stream_begin(req, &s, NULL), GP_EINTERNAL);
    for (int i = 0; i < 3; i++) {
        gp_buf_clear(&data);
        gp_buf_printf(&data, "{\"n\":%d}", i);
        assert_int_equal(gp_http_stream_event(s, "partialResult", &data, NULL), GP_OK);
    }
    gp_buf_clear(&data);
    gp_buf_puts(&data, "two\nlines");
    assert_int_equal(gp_http_stream_event(s, NULL, &data, NULL), GP_OK);
    gp_buf_free(&data);
}

/* Sends until somebody stops it. */
static void endless(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)res;
    fixture *f = ctx;
    gp_http_stream *s;
    gp_buf data = GP_BUF_INIT;
    gp_buf_pad(&data, 'x', 10000);
    atomic_fetch_add(&f->entered, 1);
    assert_int_equal(gp_http_stream_begin(req, &s, NULL), GP_OK);
    while (gp_http_stream_event(s, "e", &data, NULL) == GP_OK)
        atomic_fetch_add(&f->sent, 1);
    atomic_fetch_add(&f->canceled, 1);
    gp_buf_free(&data);
}

/* Tells on its stream that it was stopped. */
static void last_words(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)res;
    fixture *f = ctx;
    gp_http_stream *s;
    gp_buf data = GP_BUF_INIT;
    gp_buf_puts(&data, "stopped");
    assert_int_equal(gp_http_stream_begin(req, &s, NULL), GP_OK);
    atomic_fetch_add(&f->entered, 1);
    while (!gp_http_canceled(req))
        nap();
    assert_int_equal(gp_http_stream_event(s, "end", &data, NULL), GP_ECANCELED);
    gp_buf_free(&data);
}

static void slow_event(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)res;
    (void)ctx;
    gp_http_stream *s;
    gp_buf data = GP_BUF_INIT;
    gp_buf_puts(&data, "late");
    assert_int_equal(gp_http_stream_begin(req, &s, NULL), GP_OK);
    poll(NULL, 0, 1500); /* longer than the idle timeout */
    assert_int_equal(gp_http_stream_event(s, "e", &data, NULL), GP_OK);
    gp_buf_free(&data);
}

static void slow(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)req;
    (void)ctx;
    poll(NULL, 0, 1500);
    gp_buf_puts(&res->body, "late");
}

static void observe(void *ctx, const gp_http_observation *seen)
{
    fixture *f = ctx;
    if (strcmp(seen->route, "/status/{iface}") == 0 && seen->status == 200 && seen->seconds >= 0 &&
        seen->request_bytes > 0)
        atomic_fetch_add(&f->observed, 1);
}

static gp_code start(fixture *f, const char *addr, unsigned idle_s, gp_error *err)
{
    const gp_http_route routes[] = {
        {"GET", "/status", echo, f, GP_HTTP_QUERY},
        {"GET", "/status/{iface}", echo, f, GP_HTTP_QUERY},
        {"GET", "/config", echo, f, GP_HTTP_QUERY},
        {"PUT", "/config", echo, f, GP_HTTP_QUERY},
        {"GET", "/config/{iface}", echo, f, GP_HTTP_QUERY},
        {"POST", "/config/_reload", reload, f, GP_HTTP_QUERY},
        {"GET", "/nothing", nothing, f, GP_HTTP_QUERY},
        {"GET", "/big", big, f, GP_HTTP_QUERY},
        {"GET", "/wait", wait_for_it, f, GP_HTTP_QUERY},
        {"POST", "/sse", events, f, GP_HTTP_QUERY},
        {"GET", "/endless", endless, f, GP_HTTP_QUERY},
        {"GET", "/last-words", last_words, f, GP_HTTP_QUERY},
        {"GET", "/slow", slow, f, GP_HTTP_QUERY},
        {"GET", "/slow-event", slow_event, f, GP_HTTP_QUERY},
    };
    static const char *const origins[] = {"https://page.example"};
    gp_http_config cfg = {.addr = addr,
                          .allow_without_token = true,
                          .cors_origins = origins,
                          .n_cors_origins = 1,
                          .max_body = 100000,
                          .idle_timeout_s = idle_s,
                          .request_timeout_s = f->request_s,
                          .max_connections_per_client = f->per_client,
                          .server_name = "test/1",
                          .observe = observe,
                          .observe_ctx = f};
    gp_code rc = gp_http_start(&f->server, &cfg, routes, sizeof routes / sizeof routes[0], err);
    if (rc == GP_OK)
        snprintf(f->base, sizeof f->base, "http://127.0.0.1:%u", gp_http_port(f->server));
    return rc;
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    gp_error err = GP_ERROR_INIT;
    if (!f || start(f, "127.0.0.1:0", 0, &err) != GP_OK) {
        fprintf(stderr, "%s\n", err.msg);
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

/* One request by libcurl. */
typedef struct call {
    const char *method, *path, *body, *header, *socket;
    long status;
    gp_buf answer, headers;
} call;

static size_t on_data(char *data, size_t size, size_t n, void *ctx)
{
    gp_buf_add(ctx, data, size * n);
    return size * n;
}

static CURLcode perform(const char *base, call *c)
{
    char url[512];
    snprintf(url, sizeof url, "%s%s", base, c->path);
    CURL *h = curl_easy_init();
    struct curl_slist *headers = c->header ? curl_slist_append(NULL, c->header) : NULL;
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(h, CURLOPT_TIMEOUT, 30L);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, &c->answer);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_data);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, &c->headers);
    if (headers)
        curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    if (c->body) {
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, c->body);
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE, (long)strlen(c->body));
    }
    if (c->socket)
        curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, c->socket);
    if (c->method && strcmp(c->method, "HEAD") == 0)
        curl_easy_setopt(h, CURLOPT_NOBODY, 1L);
    else if (c->method)
        curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, c->method);
    CURLcode rc = curl_easy_perform(h);
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &c->status);
    curl_easy_cleanup(h);
    curl_slist_free_all(headers);
    gp_buf_reserve(&c->answer, 0);
    gp_buf_reserve(&c->headers, 0);
    return rc;
}

static void release(call *c)
{
    gp_buf_free(&c->answer);
    gp_buf_free(&c->headers);
}

static void expect(fixture *f, call c, long status, const char *answer)
{
    assert_int_equal(perform(f->base, &c), CURLE_OK);
    assert_int_equal(c.status, status);
    if (answer)
        assert_string_equal(c.answer.data, answer);
    release(&c);
}

static void routes(void **state)
{
    fixture *f = *state;
    expect(f, (call){.path = "/status?a=1&b=x%20y&a=2&c"}, 200,
           "GET /status [-] a=1;b=x y;a=2;c=; first=1 body=0:");
    expect(f, (call){.path = "/status/eth0"}, 200, "GET /status/eth0 [eth0]  first=- body=0:");
    expect(f, (call){.path = "/config", .method = "PUT", .body = "{}"}, 200,
           "PUT /config [-]  first=- body=2:{}");
    expect(f, (call){.path = "/config/_reload", .method = "POST", .body = ""}, 200, "reloaded");
    expect(f, (call){.path = "/config/_reload"}, 200, "GET /config/_reload [_reload]  first=- body=0:");
    expect(f, (call){.path = "/nothing"}, 204, "");
    while (atomic_load(&f->observed) < 1)
        nap();
}

static void headers(void **state)
{
    fixture *f = *state;
    call c = {.path = "/status", .header = "X-Request-ID: abc-1"};
    assert_int_equal(perform(f->base, &c), CURLE_OK);
    assert_non_null(strstr(c.headers.data, "Server: test/1\r\n"));
    assert_non_null(strstr(c.headers.data, "X-Content-Type-Options: nosniff\r\n"));
    assert_non_null(strstr(c.headers.data, "X-Frame-Options: DENY\r\n"));
    assert_non_null(strstr(c.headers.data, "Cache-Control: no-store\r\n"));
    assert_non_null(
        strstr(c.headers.data, "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"));
    assert_non_null(strstr(c.headers.data, "X-Request-ID: abc-1\r\n"));
    assert_non_null(strstr(c.headers.data, "Content-Type: text/plain\r\n"));
    release(&c);
    c = (call){.path = "/status", .header = "X-Request-ID: not sane"};
    assert_int_equal(perform(f->base, &c), CURLE_OK);
    const char *made = strstr(c.headers.data, "X-Request-ID: ");
    assert_non_null(made); /* one of ours: 32 hexadecimal digits */
    assert_int_equal(strspn(made + 14, "0123456789abcdef"), 32);
    release(&c);
    c = (call){.path = "/config/_reload", .method = "POST", .body = ""};
    assert_int_equal(perform(f->base, &c), CURLE_OK);
    assert_non_null(strstr(c.headers.data, "X-Extra: yes\r\n"));
    assert_non_null(strstr(c.headers.data, "Content-Type: application/json\r\n"));
    release(&c);
    c = (call){.path = "/status", .method = "HEAD"};
    assert_int_equal(perform(f->base, &c), CURLE_OK);
    assert_int_equal(c.status, 200);
    assert_int_equal(c.answer.len, 0);
    assert_non_null(strstr(c.headers.data, "Content-Length: "));
    release(&c);
}

static void unknown_paths_and_methods(void **state)
{
    fixture *f = *state;
    call c = {.path = "/nope"};
    assert_int_equal(perform(f->base, &c), CURLE_OK);
    assert_int_equal(c.status, 404);
    assert_non_null(strstr(c.headers.data, "Content-Type: application/problem+json\r\n"));
    assert_non_null(strstr(c.answer.data, "\"title\":\"Not Found\",\"status\":404"));
    release(&c);
    c = (call){.path = "/config", .method = "DELETE"};
    assert_int_equal(perform(f->base, &c), CURLE_OK);
    assert_int_equal(c.status, 405);
    assert_non_null(strstr(c.headers.data, "Allow: GET, HEAD, PUT\r\n"));
    release(&c);
    expect(f, (call){.path = "/status/a/b"}, 404, NULL);
    expect(f, (call){.path = "/nope/"}, 404, NULL);
    expect(f, (call){.path = "//"}, 404, NULL);
    expect(f, (call){.path = "/"}, 404, NULL);
    expect(f, (call){.path = "/sse"}, 405, NULL);
}

static void trailing_slash(void **state)
{
    fixture *f = *state;
    call c = {.path = "/status/"};
    assert_int_equal(perform(f->base, &c), CURLE_OK);
    assert_int_equal(c.status, 301);
    assert_non_null(strstr(c.headers.data, "Location: /status\r\n"));
    release(&c);
    expect(f, (call){.path = "/config/", .method = "PUT", .body = "{}"}, 307, NULL);
}

static void other_origins(void **state)
{
    fixture *f = *state;
    call c = {.path = "/status", .header = "Origin: https://page.example"};
    assert_int_equal(perform(f->base, &c), CURLE_OK);
    assert_non_null(strstr(c.headers.data, "Access-Control-Allow-Origin: https://page.example\r\n"));
    assert_non_null(strstr(c.headers.data, "Vary: Origin\r\n"));
    release(&c);
    c = (call){.path = "/status", .header = "Origin: https://evil.example"};
    assert_int_equal(perform(f->base, &c), CURLE_OK);
    assert_int_equal(c.status, 200);
    assert_null(strstr(c.headers.data, "Access-Control"));
    release(&c);
    c = (call){.path = "/config", .method = "OPTIONS", .header = "Origin: https://page.example"};
    assert_int_equal(perform(f->base, &c), CURLE_OK);
    assert_int_equal(c.status, 204);
    assert_non_null(strstr(c.headers.data, "Access-Control-Allow-Methods: GET"));
    release(&c);
    expect(f, (call){.path = "/config", .method = "OPTIONS"}, 405, NULL);
    expect(f, (call){.path = "/config", .method = "OPTIONS", .header = "Origin: https://evil.example"}, 405,
           NULL);
}

static void compression(void **state)
{
    fixture *f = *state;
    call c = {.path = "/big", .header = "Accept-Encoding: br, gzip;q=0.5"};
    assert_int_equal(perform(f->base, &c), CURLE_OK);
    assert_non_null(strstr(c.headers.data, "Content-Encoding: gzip\r\n"));
    assert_true(c.answer.len < 1000);
    assert_memory_equal(c.answer.data, "\x1f\x8b", 2);
    release(&c);
    c = (call){.path = "/big", .header = "Accept-Encoding: gzip;q=0"};
    assert_int_equal(perform(f->base, &c), CURLE_OK);
    assert_int_equal(c.answer.len, 100000);
    assert_non_null(strstr(c.headers.data, "Vary: Accept-Encoding\r\n"));
    release(&c);
    assert_true(gp_http_accepts_gzip("deflate , gzip"));
    assert_true(gp_http_accepts_gzip("*"));
    assert_false(gp_http_accepts_gzip("gzipped, identity"));
    assert_false(gp_http_accepts_gzip(NULL));
    assert_false(gp_http_accepts_gzip(""));
}

static void oversized_body(void **state)
{
    fixture *f = *state;
    gp_buf body = GP_BUF_INIT;
    gp_buf_pad(&body, 'x', 150000);
    call c = {.path = "/config", .method = "PUT", .body = body.data};
    CURLcode rc = perform(f->base, &c);
    /* The server answers before it has read the body; curl may see the answer or the closed connection. */
    assert_true(rc == CURLE_OK || rc == CURLE_SEND_ERROR || rc == CURLE_RECV_ERROR);
    if (rc == CURLE_OK) {
        assert_int_equal(c.status, 413);
        assert_non_null(strstr(c.answer.data, "request body is too large limit=100000 bytes"));
    }
    release(&c);
    c = (call){.path = "/config", .method = "PUT", .body = body.data, .header = "Transfer-Encoding: chunked"};
    rc = perform(f->base, &c);
    assert_int_equal(rc, CURLE_OK);
    assert_int_equal(c.status, 413);
    release(&c);
    gp_buf_free(&body);
    expect(f, (call){.path = "/status"}, 200, NULL);
}

static int dial(const fixture *f)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)gp_http_port(f->server))};
    inet_pton(AF_INET, "127.0.0.1", &sin.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof sin), 0);
    return fd;
}

static void send_text(int fd, const char *text, size_t len)
{
    (void)!send(fd, text, len, MSG_NOSIGNAL); /* the server may have closed already: part of the test */
}

/* Sends bytes, half-closes, and reads what comes; every outcome but a hang or a crash is fine. */
static void throw_at(const fixture *f, const char *text, size_t len)
{
    int fd = dial(f);
    send_text(fd, text, len);
    shutdown(fd, SHUT_WR);
    char buf[4096];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    for (;;) {
        assert_int_equal(poll(&p, 1, 10000), 1);
        if (recv(fd, buf, sizeof buf, 0) <= 0)
            break;
    }
    close(fd);
}

static void malformed_requests(void **state)
{
    fixture *f = *state;
    static const char *const texts[] = {
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /status HTTP/1.1\r\n\r\n", /* no Host */
        "GET /status HTTP/1.1\r\nHost\r\n\r\n",
        "GET /status?%zz=%&&=&;a=%00b HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /status/%2e%2e%2f%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        "PUT /config HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "PUT /config HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "PUT /config HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
        "PUT /config HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "PUT /config HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc",
        "PUT /config HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", /* TLS */
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        throw_at(f, texts[i], strlen(texts[i]));
    /* Any bytes in place of any byte of a good request. */
    static const char good[] = "GET /status/eth0?a=1 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n";
    unsigned seed = 1;
    for (size_t i = 0; i < 150; i++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        for (int j = 0; j < 3; j++)
            text[(size_t)rand_r(&seed) % (sizeof good - 1)] = (char)rand_r(&seed);
        throw_at(f, text, sizeof good - 1);
    }
    /* More headers than there is room for. */
    gp_buf b = GP_BUF_INIT;
    gp_buf_puts(&b, "GET /status HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 5000; i++)
        gp_buf_printf(&b, "X-Header-%d: some value that takes room\r\n", i);
    gp_buf_puts(&b, "\r\n");
    throw_at(f, b.data, b.len);
    gp_buf_free(&b);
    expect(f, (call){.path = "/status"}, 200, NULL);
}

static void *perform_many(void *arg)
{
    fixture *f = arg;
    size_t ok = 0;
    for (int i = 0; i < 20; i++) {
        call c = {.path = i % 2 ? "/status/eth0" : "/config",
                  .method = i % 2 ? "GET" : "PUT",
                  .body = i % 2 ? NULL : "{}"};
        ok += perform(f->base, &c) == CURLE_OK && c.status == 200;
        release(&c);
    }
    return (void *)ok;
}

static void concurrent_requests(void **state)
{
    fixture *f = *state;
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, perform_many, f), 0);
    for (size_t i = 0; i < 8; i++) {
        void *ok;
        pthread_join(threads[i], &ok);
        assert_int_equal((size_t)ok, 20);
    }
}

static void client_that_leaves_cancels_the_handler(void **state)
{
    fixture *f = *state;
    static const char text[] = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd = dial(f);
    send_text(fd, text, strlen(text));
    while (atomic_load(&f->entered) == 0)
        nap();
    assert_int_equal(atomic_load(&f->canceled), 0);
    close(fd);
    while (atomic_load(&f->canceled) == 0) /* ctest's time limit catches a handler that never notices */
        nap();
}

static void event_stream(void **state)
{
    fixture *f = *state;
    call c = {.path = "/sse", .method = "POST", .body = "{}"};
    assert_int_equal(perform(f->base, &c), CURLE_OK);
    assert_int_equal(c.status, 200);
    assert_non_null(strstr(c.headers.data, "Content-Type: text/event-stream\r\n"));
    assert_string_equal(c.answer.data, "event: partialResult\ndata: {\"n\":0}\n\n"
                                       "event: partialResult\ndata: {\"n\":1}\n\n"
                                       "event: partialResult\ndata: {\"n\":2}\n\n"
                                       "data: two\ndata: lines\n\n");
    release(&c);
}

static void stream_waits_for_a_slow_reader_and_ends_with_it(void **state)
{
    fixture *f = *state;
    static const char text[] = "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd = dial(f);
    send_text(fd, text, strlen(text));
    int before = -1;
    while (atomic_load(&f->sent) == 0 || atomic_load(&f->sent) != before) {
        before = atomic_load(&f->sent);
        poll(NULL, 0, 300);
    }
    assert_true(before < 10000); /* 10 kB each: what was not read is bounded */
    assert_int_equal(atomic_load(&f->canceled), 0);
    close(fd);
    while (atomic_load(&f->canceled) == 0)
        nap();
}

static void idle_timeout_spares_slow_handlers(void **state)
{
    (void)state;
    fixture f = {0};
    assert_int_equal(start(&f, "127.0.0.1:0", 1, NULL), GP_OK);
    expect(&f, (call){.path = "/slow"}, 200, "late");
    expect(&f, (call){.path = "/slow-event"}, 200, "event: e\ndata: late\n\n");
    /* A client that says nothing is cut off. */
    int fd = dial(&f);
    send_text(fd, "GET /st", 7);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 10000), 1);
    close(fd);
    gp_http_stop(f.server);
}

/* Whether the server closes the connection within ten seconds. */
static bool is_closed(int fd)
{
    char answer[256];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 10000) == 1 && recv(fd, answer, sizeof answer, MSG_DONTWAIT) <= 0;
}

/* A byte now and then (slow loris) does not hold a connection; nor does that stop a handler that takes
 * longer. */
static void trickling_client_is_cut_off(void **state)
{
    (void)state;
    fixture f = {.request_s = 1};
    static const char text[] = "GET /status HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\n";
    bool closed = false;
    assert_int_equal(start(&f, "127.0.0.1:0", 0, NULL), GP_OK);
    int fd = dial(&f);
    int body = dial(&f);
    static const char begun[] = "PUT /config HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{";
    send_text(body, begun, sizeof begun - 1);
    for (size_t i = 0; text[i] && !closed; i++) {
        closed = send(fd, &text[i], 1, MSG_NOSIGNAL) != 1 || send(body, " ", 1, MSG_NOSIGNAL) != 1;
        poll(NULL, 0, 100);
    }
    assert_true(closed);
    assert_true(is_closed(fd) && is_closed(body));
    expect(&f, (call){.path = "/slow"}, 200, "late");
    close(fd);
    close(body);
    gp_http_stop(f.server);
}

static void one_client_gets_its_share_of_connections(void **state)
{
    (void)state;
    fixture f = {.per_client = 3};
    assert_int_equal(start(&f, "127.0.0.1:0", 0, NULL), GP_OK);
    int held[3];
    for (size_t i = 0; i < 3; i++) {
        held[i] = dial(&f);
        send_text(held[i], "GET /st", 7);
    }
    int more = dial(&f);
    assert_true(is_closed(more));
    close(more);
    int other = socket(AF_INET, SOCK_STREAM, 0); /* from another address there is room */
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1)};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)gp_http_port(f.server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(other, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(other, (struct sockaddr *)&to, sizeof to), 0);
    char answer[64] = "";
    static const char whole[] = "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n";
    send_text(other, whole, sizeof whole - 1);
    struct pollfd p = {.fd = other, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 10000), 1);
    assert_true(recv(other, answer, sizeof answer - 1, 0) > 12);
    assert_memory_equal(answer, "HTTP/1.1 204", 12);
    close(other);
    for (size_t i = 0; i < 3; i++)
        close(held[i]);
    gp_http_stop(f.server);
}

static void *perform_wait(void *arg)
{
    fixture *f = arg;
    call c = {.path = "/wait"};
    CURLcode rc = perform(f->base, &c);
    bool ok = rc == CURLE_OK && c.status == 200 && strcmp(c.answer.data, "done") == 0;
    release(&c);
    return ok ? f : NULL;
}

static void *perform_endless(void *arg)
{
    fixture *f = arg;
    call c = {.path = "/endless"};
    (void)perform(f->base, &c);
    release(&c);
    return NULL;
}

static void stop_under_load(void **state)
{
    (void)state;
    fixture f = {0};
    assert_int_equal(start(&f, "127.0.0.1:0", 0, NULL), GP_OK);
    pthread_t waiting[4];
    pthread_t streaming;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&waiting[i], NULL, perform_wait, &f), 0);
    assert_int_equal(pthread_create(&streaming, NULL, perform_endless, &f), 0);
    int idle = dial(&f);
    while (atomic_load(&f.entered) < 5)
        nap();
    gp_http_stop(f.server);
    assert_int_equal(atomic_load(&f.canceled), 5);
    for (size_t i = 0; i < 4; i++) {
        void *answered;
        pthread_join(waiting[i], &answered);
        assert_non_null(answered); /* running handlers still got their answers out */
    }
    pthread_join(streaming, NULL);
    close(idle);
}

/* What runs comes to its end, nobody new is let in, and who only keeps a connection holds nothing up. */
static void closing_lets_handlers_finish(void **state)
{
    (void)state;
    fixture f = {0};
    pthread_t waiting;
    void *answered;
    assert_int_equal(start(&f, "127.0.0.1:0", 0, NULL), GP_OK);
    int idle = dial(&f);
    assert_int_equal(pthread_create(&waiting, NULL, perform_wait, &f), 0);
    while (atomic_load(&f.entered) < 1)
        nap();
    gp_http_close(f.server);
    call refused = {.path = "/status"};
    assert_int_equal(perform(f.base, &refused), CURLE_COULDNT_CONNECT);
    release(&refused);
    assert_true(gp_http_busy(f.server));
    atomic_store(&f.release, true);
    pthread_join(waiting, &answered);
    assert_non_null(answered);
    while (gp_http_busy(f.server)) /* ctest's time limit */
        nap();
    assert_int_equal(atomic_load(&f.canceled), 0);
    gp_http_stop(f.server);
    close(idle);
}

static void *perform_last_words(void *arg)
{
    fixture *f = arg;
    call c = {.path = "/last-words"};
    bool told = perform(f->base, &c) == CURLE_OK && strstr(c.answer.data, "event: end\ndata: stopped\n\n");
    release(&c);
    return told ? f : NULL;
}

static void a_stop_is_told_on_streams(void **state)
{
    (void)state;
    fixture f = {0};
    pthread_t listening;
    void *told;
    assert_int_equal(start(&f, "127.0.0.1:0", 0, NULL), GP_OK);
    assert_int_equal(pthread_create(&listening, NULL, perform_last_words, &f), 0);
    while (atomic_load(&f.entered) < 1)
        nap();
    gp_http_stop(f.server);
    pthread_join(listening, &told);
    assert_non_null(told);
}

static void address_in_use(void **state)
{
    fixture *f = *state;
    char addr[64];
    fixture second = {0};
    gp_error err = GP_ERROR_INIT;
    snprintf(addr, sizeof addr, "127.0.0.1:%u", gp_http_port(f->server));
    assert_int_equal(start(&second, addr, 0, &err), GP_EBUSY);
    assert_non_null(strstr(err.msg, addr));
    static const char *const bad[] = {"", "nohost", "host:", "127.0.0.1:port", "::1:80", "unix:", "[::1]"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(start(&second, bad[i], 0, &err), GP_EINVAL);
    assert_int_equal(start(&second, ":0", 0, &err), GP_OK);
    expect(&second, (call){.path = "/status"}, 200, NULL);
    gp_http_stop(second.server);
}

static void unix_socket(void **state)
{
    (void)state;
    char dir[] = "/tmp/gp_http_XXXXXX";
    assert_non_null(mkdtemp(dir));
    char path[64];
    char addr[80];
    snprintf(path, sizeof path, "%s/api.sock", dir);
    snprintf(addr, sizeof addr, "unix:%s", path);
    fixture f = {0};
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(start(&f, addr, 0, &err), GP_OK);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0007, 0); /* not for everybody */
    assert_int_equal(gp_http_port(f.server), 0);
    snprintf(f.base, sizeof f.base, "http://unix");
    expect(&f, (call){.path = "/status/eth0", .socket = path}, 200,
           "GET /status/eth0 [eth0]  first=- body=0:");
    fixture second = {0};
    assert_int_equal(start(&second, addr, 0, &err), GP_EBUSY);
    assert_non_null(strstr(err.msg, addr));
    gp_http_stop(f.server);
    assert_int_not_equal(stat(path, &st), 0); /* removed */

    /* A socket that a crashed program left behind. */
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    snprintf(sun.sun_path, sizeof sun.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof sun), 0);
    close(fd);
    assert_int_equal(start(&f, addr, 0, &err), GP_OK);
    gp_http_stop(f.server);

    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(start(&f, addr, 0, &err), GP_EEXIST);
    assert_int_equal(unlink(path), 0);
    rmdir(dir);
}

int main(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
#define WITH_SERVER(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_SERVER(routes),
        WITH_SERVER(headers),
        WITH_SERVER(unknown_paths_and_methods),
        WITH_SERVER(trailing_slash),
        WITH_SERVER(other_origins),
        WITH_SERVER(compression),
        WITH_SERVER(oversized_body),
        WITH_SERVER(malformed_requests),
        WITH_SERVER(concurrent_requests),
        WITH_SERVER(client_that_leaves_cancels_the_handler),
        WITH_SERVER(event_stream),
        WITH_SERVER(stream_waits_for_a_slow_reader_and_ends_with_it),
        cmocka_unit_test(idle_timeout_spares_slow_handlers),
        cmocka_unit_test(trickling_client_is_cut_off),
        cmocka_unit_test(one_client_gets_its_share_of_connections),
        cmocka_unit_test(stop_under_load),
        cmocka_unit_test(closing_lets_handlers_finish),
        cmocka_unit_test(a_stop_is_told_on_streams),
        WITH_SERVER(address_in_use),
        cmocka_unit_test(unix_socket),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return rc;
}
