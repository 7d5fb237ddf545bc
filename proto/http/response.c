/* From a gp_http_response to libmicrohttpd's: headers, compression, problem documents. */
#include "proto/http/gzip.h"
#include "proto/http/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GZIP_FROM = 1024 };

static const char problem_type[] = "application/problem+json";

void gp_http_problem(gp_http_response *res, const gp_problem *p)
{
    gp_buf_clear(&res->body);
    gp_problem_to_json(p, &res->body);
    res->status = p->status;
    res->content_type = problem_type;
}

void gp_http_error(gp_http_response *res, int status, const char *fmt, ...)
{
    char detail[GP_ERROR_MSG_SIZE];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(detail, sizeof detail, fmt, ap);
    va_end(ap);
    gp_problem p = GP_PROBLEM_INIT;
    gp_problem_set(&p, status, "%s", detail);
    gp_http_problem(res, &p);
    gp_problem_free(&p);
}

/* What browsers must not do with an answer, unless it says otherwise itself: guess its type, show it inside
 * of another page, run what is in it, keep it, or tell others where it came from. */
static void guard_headers(struct MHD_Response *r)
{
    static const char *const headers[][2] = {
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
        {"Cache-Control", "no-store"},
        {"Referrer-Policy", "no-referrer"},
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        if (!MHD_get_response_header(r, headers[i][0]))
            MHD_add_response_header(r, headers[i][0], headers[i][1]);
}

void gp_http_common_headers(gp_http_request *req, struct MHD_Response *r)
{
    MHD_add_response_header(r, "X-Request-ID", req->id);
    guard_headers(r);
    if (req->server->server_name)
        MHD_add_response_header(r, "Server", req->server->server_name);
    gp_http_cors_headers(req, r);
    if (atomic_load(&req->server->closed))
        MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
}

static bool compressible(const char *type)
{
    return strncmp(type, "text/", 5) == 0 || strstr(type, "json") || strstr(type, "javascript") ||
           strstr(type, "yaml") || strstr(type, "svg");
}

/* Replaces the body by its compressed form; whether it did. */
static bool compress(const gp_http_request *req, gp_buf *body)
{
    gp_buf packed = GP_BUF_INIT;
    if (!gp_http_accepts_gzip(gp_http_header(req, "Accept-Encoding")))
        return false;
    if (!gp_http_gzip(body, GP_GZIP_FAST, &packed)) {
        gp_buf_free(&packed);
        return false;
    }
    gp_buf_free(body);
    *body = packed;
    return true;
}

static void body_headers(const gp_http_request *req, gp_http_response *res, struct MHD_Response *r,
                         bool zipped, bool varies)
{
    const char *type = res->content_type ? res->content_type : "application/json";
    if (req->bytes)
        MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (zipped)
        MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
    if (varies)
        MHD_add_response_header(r, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT_ENCODING);
    for (size_t i = 0; i + 1 < 4; i += 2)
        if (res->extra_header[i] && res->extra_header[i + 1])
            MHD_add_response_header(r, res->extra_header[i], res->extra_header[i + 1]);
    for (size_t i = 0; i < res->n_fields; i++)
        MHD_add_response_header(r, res->fields[i].name, res->fields[i].value);
}

enum MHD_Result gp_http_queue(gp_http_request *req, gp_http_response *res, const char *allow)
{
    if (res->body.failed) {
        gp_buf_free(&res->body);
        gp_http_error(res, 500, "the answer does not fit into memory");
    }
    const char *type = res->content_type ? res->content_type : "application/json";
    bool varies = !res->encoded && res->body.len > GZIP_FROM && compressible(type);
    bool zipped = varies && compress(req, &res->body);
    int status = res->status ? res->status : res->body.len ? 200 : 204;
    size_t len = res->body.len;
    char *data = len ? gp_buf_detach(&res->body) : NULL;
    gp_buf_free(&res->body);
    struct MHD_Response *r =
        MHD_create_response_from_buffer(len, data, data ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (!r) {
        free(data);
        return MHD_NO;
    }
    req->status = status;
    req->bytes = len;
    body_headers(req, res, r, zipped, varies);
    if (allow && *allow)
        MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, allow);
    if (req->body_too_large)
        MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
    gp_http_common_headers(req, r);
    enum MHD_Result queued = MHD_queue_response(req->connection, (unsigned)status, r);
    MHD_destroy_response(r);
    return queued;
}

enum MHD_Result gp_http_queue_error(gp_http_request *req, int status, const char *allow, const char *detail)
{
    gp_http_response res = {0};
    gp_http_error(&res, status, "%s", detail);
    return gp_http_queue(req, &res, allow);
}
