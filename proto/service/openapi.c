#include "proto/service/openapi.h"

#include "proto/yaml/yaml.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char reference[] = "#/components/schemas/";

static bool is_number(const char *s)
{
    s += *s == '-';
    size_t digits = strspn(s, "0123456789");
    if (digits == 0 || (digits > 1 && *s == '0'))
        return false;
    s += digits;
    if (*s == '.') {
        size_t fraction = strspn(s + 1, "0123456789");
        if (fraction == 0)
            return false;
        s += 1 + fraction;
    }
    return *s == '\0';
}

static void put_scalar(const gp_yaml_node *n, bool alone, gp_buf *out)
{
    const char *s = n->text;
    if (!n->quoted && (is_number(s) || strcmp(s, "true") == 0 || strcmp(s, "false") == 0)) {
        gp_buf_puts(out, s);
    } else if (alone && strncmp(s, reference, sizeof reference - 1) == 0) {
        char path[128];
        snprintf(path, sizeof path, "/schemas/%.100s.json", s + sizeof reference - 1);
        gp_buf_json_str(out, path);
    } else {
        gp_buf_json_str(out, s);
    }
}

/* alone: a schema that stands for itself, outside of the document. Depth is bounded by the YAML reader. */
static void put_json(const gp_yaml_node *n, bool alone, gp_buf *out)
{
    if (n->kind == GP_YAML_NULL) {
        gp_buf_puts(out, "null");
        return;
    }
    if (n->kind == GP_YAML_SCALAR) {
        put_scalar(n, alone, out);
        return;
    }
    bool map = n->kind == GP_YAML_MAP;
    gp_buf_putc(out, map ? '{' : '[');
    for (size_t i = 0; i < n->n; i++) {
        if (i)
            gp_buf_putc(out, ',');
        if (map) {
            gp_buf_json_str(out, n->entries[i].key);
            gp_buf_putc(out, ':');
        }
        put_json(n->entries[i].value, alone, out);
    }
    gp_buf_putc(out, map ? '}' : ']');
}

gp_code gp_openapi_json(const gp_openapi *spec, const char *schema, gp_buf *out, gp_error *err)
{
    gp_yaml_doc *doc;
    gp_code rc = gp_yaml_parse(&doc, "openapi.yaml", spec->text, spec->len, err);
    if (rc != GP_OK)
        return rc;
    const gp_yaml_node *node = gp_yaml_root(doc);
    if (schema)
        node = gp_yaml_get(gp_yaml_get(gp_yaml_get(node, "components"), "schemas"), schema);
    if (node)
        put_json(node, schema != NULL, out);
    else
        rc = gp_fail(err, GP_ENOTFOUND, "there is no schema '%.64s'", schema);
    gp_yaml_free(doc);
    return rc;
}

gp_code gp_openapi_write(const gp_openapi *doc, const char *path, gp_error *err)
{
    FILE *f = fopen(path, "we");
    if (!f)
        return gp_fail_errno(err, errno, "cannot open '%s'", path);
    bool ok = fwrite(doc->text, 1, doc->len, f) == doc->len;
    int sys = errno;
    if (fclose(f) != 0 && ok) {
        ok = false;
        sys = errno;
    }
    return ok ? GP_OK : gp_fail_errno(err, sys, "cannot write '%s'", path);
}

void gp_openapi_api_yaml(gp_http_request *req, gp_http_response *res, void *doc)
{
    (void)req;
    const gp_openapi *spec = doc;
    gp_buf_add(&res->body, spec->text, spec->len);
    res->content_type = "application/openapi+yaml";
}

static void answer(gp_http_response *res, const gp_openapi *spec, const char *schema, const char *type)
{
    gp_error err = GP_ERROR_INIT;
    gp_code rc = gp_openapi_json(spec, schema, &res->body, &err);
    if (rc != GP_OK)
        gp_http_error(res, gp_problem_status_of(rc), "%s", err.msg);
    else
        res->content_type = type;
}

void gp_openapi_api_json(gp_http_request *req, gp_http_response *res, void *doc)
{
    (void)req;
    answer(res, doc, NULL, "application/openapi+json");
}

void gp_openapi_api_schema(gp_http_request *req, gp_http_response *res, void *doc)
{
    char name[128];
    const char *file = gp_http_path_param(req);
    size_t len = file ? strlen(file) : 0;
    if (len < 6 || len >= sizeof name || strcmp(file + len - 5, ".json") != 0) {
        gp_http_error(res, 404, "schemas are at /schemas/<name>.json");
        return;
    }
    snprintf(name, sizeof name, "%.*s", (int)(len - 5), file);
    answer(res, doc, name, "application/json");
}

/* One line for each operation; whoever wants more feeds the document to a tool. */
static void put_operations(const gp_yaml_node *paths, gp_buf *out)
{
    for (size_t i = 0; paths && i < paths->n; i++) {
        const gp_yaml_node *operations = paths->entries[i].value;
        for (size_t j = 0; j < operations->n; j++) {
            const char *summary = "";
            (void)gp_yaml_str(gp_yaml_get(operations->entries[j].value, "summary"), &summary, NULL);
            gp_buf_printf(out, "<tr><td>%s</td><td><code>%s</code></td><td>%s</td></tr>\n",
                          operations->entries[j].key, paths->entries[i].key, summary);
        }
    }
}

void gp_openapi_api_docs(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)req;
    const gp_openapi *spec = ctx;
    gp_yaml_doc *doc;
    gp_error err = GP_ERROR_INIT;
    if (gp_yaml_parse(&doc, "openapi.yaml", spec->text, spec->len, &err) != GP_OK) {
        gp_http_error(res, 500, "%s", err.msg);
        return;
    }
    gp_buf_printf(&res->body,
                  "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s API"
                  "</title></head><body>\n<h1>%s API</h1>\n<p>The full description: "
                  "<a href=\"/openapi.yaml\">openapi.yaml</a>, "
                  "<a href=\"/openapi.json\">openapi.json</a>.</p>\n<table>\n",
                  spec->service, spec->service);
    put_operations(gp_yaml_get(gp_yaml_root(doc), "paths"), &res->body);
    gp_buf_puts(&res->body, "</table>\n</body></html>\n");
    res->content_type = "text/html; charset=utf-8";
    gp_yaml_free(doc);
}

void gp_openapi_routes(const gp_openapi *doc, gp_http_route *routes)
{
    static const gp_http_route all[GP_OPENAPI_ROUTES] = {
        {"GET", "/openapi.json", gp_openapi_api_json, NULL, GP_HTTP_OPEN},
        {"GET", "/openapi-3.0.json", gp_openapi_api_json, NULL, GP_HTTP_OPEN},
        {"GET", "/openapi.yaml", gp_openapi_api_yaml, NULL, GP_HTTP_OPEN},
        {"GET", "/openapi-3.0.yaml", gp_openapi_api_yaml, NULL, GP_HTTP_OPEN},
        {"GET", "/schemas/{schema}", gp_openapi_api_schema, NULL, GP_HTTP_OPEN},
        {"GET", "/docs", gp_openapi_api_docs, NULL, GP_HTTP_OPEN},
    };
    for (size_t i = 0; i < GP_OPENAPI_ROUTES; i++) {
        routes[i] = all[i];
        routes[i].ctx = (void *)(uintptr_t)doc; /* handlers only read it */
    }
}
