#include "proto/service/names_api.h"

#include "proto/flow/flow.h"
#include "proto/http/answer.h"
#include "proto/result/dns.h"

#include <string.h>

static const gp_http_schema names_schema = GP_HTTP_SCHEMA("Names");

static void refuse(const gp_http_request *req, gp_http_response *res, const char *value, const char *why)
{
    gp_problem p = GP_PROBLEM_INIT;
    gp_buf json = GP_BUF_INIT;
    gp_buf_json_str(&json, value);
    gp_problem_set(&p, 422, "validation failed");
    gp_problem_add(&p, "query.addresses", json.failed ? NULL : json.data, "%s", why);
    gp_http_answer_problem(req, res, &p);
    gp_problem_free(&p);
    gp_buf_free(&json);
}

/* "10.0.0.1,::1"; false when the answer is given. */
static bool parse(const gp_http_request *req, gp_http_response *res, gp_addr out[GP_NAMES_MAX], size_t *n)
{
    const char *text = gp_http_query(req, "addresses");
    *n = 0;
    if (!text || !*text) {
        refuse(req, res, "", "expected addresses, separated by commas");
        return false;
    }
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, ",");
        if (*n == GP_NAMES_MAX) {
            refuse(req, res, "", "expected at most 256 addresses");
            return false;
        }
        if (!gp_addr_parse(at, len, &out[*n])) {
            refuse(req, res, text, "expected IPv4 or IPv6 addresses, separated by commas");
            return false;
        }
        (*n)++;
        at += len + (at[len] == ',');
    }
    return true;
}

static void put_names(const gp_addr *addrs, size_t n, const gp_dns_names *names, gp_buf *out)
{
    bool first = true;
    gp_buf_puts(out, "{\"names\":{");
    for (size_t i = 0; i < n; i++) {
        const char *name = gp_dns_name(names, &addrs[i]);
        char text[GP_ADDR_STRLEN];
        if (!name)
            continue;
        (void)gp_addr_format(&addrs[i], text);
        gp_buf_puts(out, first ? "" : ",");
        gp_buf_json_str(out, text);
        gp_buf_putc(out, ':');
        gp_buf_json_str(out, name);
        first = false;
    }
    gp_buf_puts(out, "}}");
}

static void look_up(const gp_http_request *req, gp_http_response *res, const gp_addr *addrs, size_t n)
{
    gp_dns_names *names = NULL;
    gp_error err = GP_ERROR_INIT;
    gp_code rc = gp_dns_lookup_addrs(addrs, n, GP_NAMES_WAIT_NS, &names, &err);
    if (rc != GP_OK) {
        gp_http_error(res, gp_problem_status_of(rc), "%s", err.msg);
        return;
    }
    gp_buf json = GP_BUF_INIT;
    put_names(addrs, n, names, &json);
    gp_dns_free(names);
    gp_http_answer(req, res, 200, &names_schema, &json);
}

void gp_names_api_get(gp_http_request *req, gp_http_response *res, void *service)
{
    gp_names_service *s = service;
    gp_addr addrs[GP_NAMES_MAX];
    size_t n;
    if (!parse(req, res, addrs, &n))
        return;
    if (atomic_fetch_add(&s->running, 1) < GP_NAMES_AT_ONCE)
        look_up(req, res, addrs, n);
    else
        gp_http_error(res, 429, "too many look-ups of names at a time: try again");
    atomic_fetch_sub(&s->running, 1);
}
