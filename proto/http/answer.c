#include "proto/http/answer.h"

#include "proto/http/internal.h"

#include <string.h>
#include <strings.h>

static const gp_http_schema error_model = GP_HTTP_SCHEMA("ErrorModel");

/* The host by which the client knows us: what a proxy says (RFC 7239 "Forwarded" included) comes first. */
static void put_host(const gp_http_request *req, gp_buf *out)
{
    const char *host = gp_http_header(req, "X-Forwarded-Host");
    const char *forwarded = gp_http_header(req, "Forwarded");
    if (!(host && *host) && forwarded) {
        const char *at = strcasestr(forwarded, "host=");
        if (at) {
            at += strlen("host=");
            at += *at == '"';
            gp_buf_add(out, at, strcspn(at, "\";,"));
            return;
        }
    }
    if (!(host && *host))
        host = gp_http_header(req, "Host");
    gp_buf_puts(out, host && *host ? host : "localhost");
}

static void put_url(const gp_http_request *req, const gp_http_schema *schema, gp_buf *out)
{
    gp_buf host = {.limit = 512};
    put_host(req, &host);
    const char *name = host.data ? host.data : "localhost";
    bool local = strncmp(name, "localhost", 9) == 0 || strncmp(name, "127.0.0.1", 9) == 0;
    bool plain = local && !req->server->tls; /* elsewhere v4 takes a proxy with TLS for granted */
    gp_buf url = GP_BUF_INIT;
    if (!strstr(name, "://"))
        gp_buf_puts(&url, plain ? "http://" : "https://");
    gp_buf_puts(&url, name);
    gp_buf_puts(&url, schema->path);
    if (url.data)
        gp_buf_json_strn(out, url.data, url.len);
    gp_buf_free(&url);
    gp_buf_free(&host);
}

/* Puts the "$schema" member in front of the others: one copy, which is cheap beside making the answer. */
static void add_schema(const gp_http_request *req, const gp_http_schema *schema, gp_buf *body)
{
    if (body->failed || body->len < 2 || body->data[0] != '{')
        return;
    gp_buf out = {.limit = body->limit};
    gp_buf_reserve(&out, body->len + 256);
    gp_buf_puts(&out, "{\"$schema\":");
    put_url(req, schema, &out);
    if (body->data[1] != '}')
        gp_buf_putc(&out, ',');
    gp_buf_add(&out, body->data + 1, body->len - 1);
    gp_buf_putc(&out, '\n');
    gp_buf_free(body);
    *body = out;
}

void gp_http_answer(const gp_http_request *req, gp_http_response *res, int status,
                    const gp_http_schema *schema, gp_buf *body)
{
    gp_buf_free(&res->body);
    if (status == 204)
        gp_buf_free(body);
    else
        add_schema(req, schema, body);
    res->status = status;
    res->body = *body;
    *body = (gp_buf)GP_BUF_INIT;
    res->extra_header[0] = "Link";
    res->extra_header[1] = schema->link;
}

void gp_http_answer_problem(const gp_http_request *req, gp_http_response *res, const gp_problem *p)
{
    gp_http_problem(res, p);
    add_schema(req, &error_model, &res->body);
    res->extra_header[0] = "Link";
    res->extra_header[1] = error_model.link;
}

/* "application/json", any "...+json", parameters ignored; a missing type is taken for JSON. */
static bool is_json_type(const char *type)
{
    size_t len = type ? strcspn(type, "; \t") : 0;
    if (len == 0)
        return true;
    if (len == strlen("application/json") && strncasecmp(type, "application/json", len) == 0)
        return true;
    return len > 5 && strncasecmp(type + len - 5, "+json", 5) == 0;
}

static void refuse_type(const gp_http_request *req, gp_http_response *res, const char *type, const char *text,
                        size_t len)
{
    gp_problem p = GP_PROBLEM_INIT;
    gp_buf value = {.limit = 4096};
    gp_buf_json_strn(&value, text, len);
    gp_problem_set(&p, 415, "validation failed");
    gp_problem_add(&p, "body", value.failed ? NULL : value.data, "unknown content type: %s", type);
    gp_http_answer_problem(req, res, &p);
    gp_buf_free(&value);
    gp_problem_free(&p);
}

bool gp_http_json_body(const gp_http_request *req, gp_http_response *res, const char **text, size_t *len)
{
    *text = gp_http_body(req, len);
    if (!*text || *len == 0) {
        gp_problem p = GP_PROBLEM_INIT;
        gp_problem_set(&p, 400, "request body is required");
        gp_http_answer_problem(req, res, &p);
        gp_problem_free(&p);
        return false;
    }
    const char *type = gp_http_header(req, "Content-Type");
    if (is_json_type(type))
        return true;
    refuse_type(req, res, type, *text, *len);
    return false;
}
