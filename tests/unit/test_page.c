/* The web page as the services serve it. */
#include "proto/http/gzip.h"
#include "proto/page/page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include <cmocka.h>

enum { MOST_BYTES = 300000 /* of the whole page, compressed */ };

typedef struct fixture {
    gp_page *page;
    gp_http_server *server;
    char base[64];
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    gp_http_route routes[GP_PAGE_ROUTES];
    gp_error err = GP_ERROR_INIT;
    const gp_http_config cfg = {.addr = "127.0.0.1:0"};
    *state = f;
    if (!f || gp_page_new(&f->page, &err) != GP_OK)
        return -1;
    gp_page_routes(f->page, routes);
    if (gp_http_start(&f->server, &cfg, routes, GP_PAGE_ROUTES, &err) != GP_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return -1;
    }
    snprintf(f->base, sizeof f->base, "http://127.0.0.1:%u", gp_http_port(f->server));
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    gp_http_stop(f->server);
    gp_page_free(f->page);
    free(f);
    return 0;
}

typedef struct answer {
    long status;
    gp_buf body, headers; /* as they came: compressed, if they were */
} answer;

static size_t on_data(char *data, size_t size, size_t n, void *ctx)
{
    gp_buf_add(ctx, data, size * n);
    return size * n;
}

/* header, more: request headers or NULL */
static answer ask(const fixture *f, const char *path, bool head, const char *header, const char *more)
{
    char url[256];
    answer a = {0};
    snprintf(url, sizeof url, "%s%s", f->base, path);
    CURL *h = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "X-Request-ID: test");
    if (header)
        headers = curl_slist_append(headers, header);
    if (more)
        headers = curl_slist_append(headers, more);
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(h, CURLOPT_NOBODY, head ? 1L : 0L);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, &a.body);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_data);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, &a.headers);
    assert_int_equal(curl_easy_perform(h), CURLE_OK);
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &a.status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(h);
    gp_buf_reserve(&a.body, 0);
    gp_buf_reserve(&a.headers, 0);
    return a;
}

static void release(answer *a)
{
    gp_buf_free(&a->body);
    gp_buf_free(&a->headers);
}

static bool has(const answer *a, const char *header)
{
    return strstr(a->headers.data, header) != NULL;
}

/* The value of a header, up to the end of its line. */
static void value_of(const answer *a, const char *header, char *out, size_t size)
{
    const char *at = strstr(a->headers.data, header);
    assert_non_null(at);
    at += strlen(header);
    snprintf(out, size, "%.*s", (int)strcspn(at, "\r\n"), at);
}

static void test_index(void **state)
{
    answer a = ask(*state, "/", false, NULL, NULL);
    assert_int_equal(a.status, 200);
    assert_true(has(&a, "Content-Type: text/html; charset=utf-8\r\n"));
    assert_true(has(&a, "Cache-Control: no-cache\r\n"));
    assert_true(has(&a, "Content-Security-Policy: default-src 'none'; script-src 'self';"));
    assert_true(has(&a, "frame-ancestors 'none'"));
    assert_false(has(&a, "unsafe-inline"));
    assert_true(has(&a, "X-Content-Type-Options: nosniff\r\n"));
    assert_true(has(&a, "Referrer-Policy: no-referrer\r\n"));
    assert_non_null(strstr(a.body.data, "<div id=\"app\">"));
    /* Nothing from elsewhere. */
    assert_null(strstr(a.body.data, "://"));
    release(&a);
}

/* Every file that the page names is served, with the right type. */
static void test_files_of_the_index(void **state)
{
    answer index = ask(*state, "/", false, NULL, NULL);
    unsigned n = 0;
    for (const char *at = index.body.data; (at = strstr(at, "=\"/page/")); n++) {
        char path[128];
        at += 2;
        snprintf(path, sizeof path, "%.*s", (int)strcspn(at, "\""), at);
        answer a = ask(*state, path, false, NULL, NULL);
        assert_int_equal(a.status, 200);
        if (strstr(path, ".js"))
            assert_true(has(&a, "Content-Type: text/javascript; charset=utf-8\r\n"));
        if (strstr(path, ".css"))
            assert_true(has(&a, "Content-Type: text/css; charset=utf-8\r\n"));
        if (strstr(path, ".svg"))
            assert_true(has(&a, "Content-Type: image/svg+xml\r\n"));
        assert_true(has(&a, "Content-Security-Policy: "));
        release(&a);
    }
    assert_int_equal(n, 3);
    release(&index);
}

static void test_compressed_and_small(void **state)
{
    static const char *const files[] = {"/", "/page/page.js", "/page/page.css", "/page/icon.svg",
                                        "/page/licenses.txt"};
    size_t total = 0;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        answer plain = ask(*state, files[i], false, NULL, NULL);
        answer zip = ask(*state, files[i], false, "Accept-Encoding: gzip", NULL);
        assert_true(has(&zip, "Vary: Accept-Encoding\r\n") && has(&plain, "Vary: Accept-Encoding\r\n"));
        assert_true(has(&zip, "Content-Encoding: gzip\r\n"));
        assert_false(has(&plain, "Content-Encoding"));
        assert_memory_equal(zip.body.data, "\x1f\x8b", 2);
        assert_true(zip.body.len < plain.body.len);
        total += zip.body.len;
        release(&plain);
        release(&zip);
    }
    assert_true(total < MOST_BYTES);
}

static void test_revalidation(void **state)
{
    char etag[2][96];
    char header[256];
    static const char *const accept[] = {NULL, "Accept-Encoding: gzip"};
    for (size_t i = 0; i < 2; i++) {
        answer first = ask(*state, "/page/page.js", false, accept[i], NULL);
        value_of(&first, "ETag: ", etag[i], sizeof etag[i]);
        release(&first);
        snprintf(header, sizeof header, "If-None-Match: W/\"other\", %s", etag[i]);
        answer again = ask(*state, "/page/page.js", false, accept[i], header);
        assert_int_equal(again.status, 304);
        assert_int_equal(again.body.len, 0);
        assert_true(has(&again, etag[i]) && has(&again, "Vary: ") && has(&again, "Cache-Control: "));
        release(&again);
    }
    /* Each form has a tag of its own (RFC 9110, 8.8.3.3). */
    assert_string_not_equal(etag[0], etag[1]);
    snprintf(header, sizeof header, "If-None-Match: %s", etag[0]);
    answer other = ask(*state, "/page/page.js", false, accept[1], header);
    assert_int_equal(other.status, 200);
    release(&other);
    answer any = ask(*state, "/", false, "If-None-Match: *", NULL);
    assert_int_equal(any.status, 304);
    release(&any);
}

static void test_head(void **state)
{
    answer a = ask(*state, "/", true, NULL, NULL);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.body.len, 0);
    assert_true(has(&a, "Content-Type: text/html"));
    release(&a);
}

static void test_unknown_files(void **state)
{
    static const char *const paths[] = {"/page/none.js", "/page/sums", "/page/..%2fpage.js", "/page/"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        answer a = ask(*state, paths[i], false, NULL, NULL);
        assert_int_equal(a.status, 404);
        assert_true(has(&a, "Content-Type: application/problem+json\r\n"));
        release(&a);
    }
}

int main(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_index, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_files_of_the_index, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_compressed_and_small, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_revalidation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_head, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown_files, set_up, tear_down),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
