#include "proto/page/page.h"

#include "page_files.h" /* generated: page_files[] */
#include "proto/http/gzip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_FILES = sizeof page_files / sizeof page_files[0], ETAG_DIGITS = 32, MAX_FIELDS = 10 };

static const char security_policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/* One form of a file, as it is sent. */
typedef struct variant {
    const void *data;
    size_t len;
    char etag[ETAG_DIGITS + 8];
    gp_http_field fields[MAX_FIELDS];
    size_t n_fields;
} variant;

typedef struct asset {
    const char *name;
    const char *type;
    variant plain;
    variant gzip;  /* empty where it would not be smaller */
    gp_buf packed; /* what gzip points to */
} asset;

struct gp_page {
    asset assets[N_FILES];
};

static const char *type_of(const char *name)
{
    static const struct {
        const char *ending, *type;
    } types[] = {{".html", "text/html; charset=utf-8"},
                 {".js", "text/javascript; charset=utf-8"},
                 {".css", "text/css; charset=utf-8"},
                 {".svg", "image/svg+xml"},
                 {".txt", "text/plain; charset=utf-8"}};
    const char *ending = strrchr(name, '.');
    for (size_t i = 0; ending && i < sizeof types / sizeof *types; i++)
        if (strcmp(ending, types[i].ending) == 0)
            return types[i].type;
    return "application/octet-stream";
}

static void add_field(variant *v, const char *name, const char *value)
{
    if (v->n_fields < MAX_FIELDS)
        v->fields[v->n_fields++] = (gp_http_field){name, value};
}

/* encoding NULL: none. */
static void describe(variant *v, const char *sha256, const char *encoding)
{
    snprintf(v->etag, sizeof v->etag, "\"%.*s%s\"", (int)ETAG_DIGITS, sha256, encoding ? "-gz" : "");
    add_field(v, "ETag", v->etag);
    add_field(v, "Cache-Control", "no-cache");
    add_field(v, "Vary", "Accept-Encoding");
    if (encoding)
        add_field(v, "Content-Encoding", encoding);
    add_field(v, "Content-Security-Policy", security_policy);
    add_field(v, "X-Content-Type-Options", "nosniff");
    add_field(v, "Referrer-Policy", "no-referrer");
    add_field(v, "Cross-Origin-Opener-Policy", "same-origin");
    add_field(v, "Cross-Origin-Resource-Policy", "same-origin");
}

static bool load(asset *a, size_t i)
{
    gp_buf text = GP_BUF_INIT;
    a->name = page_files[i].name;
    a->type = type_of(a->name);
    a->plain.data = page_files[i].data;
    a->plain.len = page_files[i].len;
    describe(&a->plain, page_files[i].sha256, NULL);
    gp_buf_add(&text, page_files[i].data, page_files[i].len);
    bool ok = !text.failed;
    if (ok && gp_http_gzip(&text, GP_GZIP_SMALL, &a->packed)) {
        a->gzip.data = a->packed.data;
        a->gzip.len = a->packed.len;
        describe(&a->gzip, page_files[i].sha256, "gzip");
    }
    gp_buf_free(&text);
    return ok;
}

gp_code gp_page_new(gp_page **out, gp_error *err)
{
    gp_page *page = calloc(1, sizeof *page);
    *out = NULL;
    for (size_t i = 0; page && i < N_FILES; i++) {
        if (!load(&page->assets[i], i)) {
            gp_page_free(page);
            page = NULL;
        }
    }
    if (!page)
        return gp_fail(err, GP_ENOMEM, "out of memory for the web page");
    *out = page;
    return GP_OK;
}

void gp_page_free(gp_page *page)
{
    for (size_t i = 0; page && i < N_FILES; i++)
        gp_buf_free(&page->assets[i].packed);
    free(page);
}

/* If-None-Match (RFC 9110, 13.1.2): the quotes keep one tag from being found inside another. */
static bool has_it(const gp_http_request *req, const variant *v)
{
    const char *tags = gp_http_header(req, "If-None-Match");
    return tags && (strcmp(tags, "*") == 0 || strstr(tags, v->etag));
}

static void answer(const gp_http_request *req, gp_http_response *res, const asset *a)
{
    bool zip = a->gzip.len && gp_http_accepts_gzip(gp_http_header(req, "Accept-Encoding"));
    const variant *v = zip ? &a->gzip : &a->plain;
    res->fields = v->fields;
    res->n_fields = v->n_fields;
    res->encoded = true;
    res->content_type = a->type;
    if (has_it(req, v))
        res->status = 304;
    else
        gp_buf_add(&res->body, v->data, v->len);
}

static void answer_file(gp_http_request *req, gp_http_response *res, const gp_page *page, const char *name)
{
    for (size_t i = 0; i < N_FILES; i++) {
        if (strcmp(page->assets[i].name, name) == 0) {
            answer(req, res, &page->assets[i]);
            return;
        }
    }
    gp_http_error(res, 404, "the page has no file '%.64s'", name);
}

static void get_index(gp_http_request *req, gp_http_response *res, void *page)
{
    answer_file(req, res, page, "index.html");
}

static void get_file(gp_http_request *req, gp_http_response *res, void *page)
{
    answer_file(req, res, page, gp_http_path_param(req));
}

void gp_page_routes(gp_page *page, gp_http_route *routes)
{
    routes[0] = (gp_http_route){"GET", "/", get_index, page, GP_HTTP_OPEN};
    routes[1] = (gp_http_route){"GET", "/page/{file}", get_file, page, GP_HTTP_OPEN};
}
