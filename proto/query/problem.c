#include "proto/query/problem.h"

#include <cjson/cJSON.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {413, "Request Entity Too Large"}, /* as Go spells it */
    {415, "Unsupported Media Type"},
    {422, "Unprocessable Entity"},
    {429, "Too Many Requests"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {508, "Loop Detected"},
};

static const char *reason_of(int status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return NULL;
}

static const char *title_of(const gp_problem *p)
{
    return p->title ? p->title : reason_of(p->status);
}

/* NULL when out of memory. */
static char *format(const char *fmt, va_list ap)
{
    char *text = NULL;
    return vasprintf(&text, fmt, ap) < 0 ? NULL : text;
}

void gp_problem_set(gp_problem *p, int status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *detail = format(fmt, ap);
    va_end(ap);
    free(p->detail);
    p->detail = detail;
    p->status = status;
}

/* The capacity of p->errors is n_errors rounded up to a power of two. */
static gp_problem_detail *append(gp_problem *p)
{
    if ((p->n_errors & (p->n_errors - 1)) == 0) {
        size_t cap = p->n_errors ? p->n_errors * 2 : 1;
        gp_problem_detail *errors = reallocarray(p->errors, cap, sizeof *errors);
        if (!errors)
            return NULL;
        p->errors = errors;
    }
    gp_problem_detail *d = &p->errors[p->n_errors++];
    *d = (gp_problem_detail){NULL, NULL, NULL};
    return d;
}

void gp_problem_add(gp_problem *p, const char *location, const char *value_json, const char *fmt, ...)
{
    gp_problem_detail *d = append(p);
    if (!d)
        return;
    va_list ap;
    va_start(ap, fmt);
    d->message = format(fmt, ap);
    va_end(ap);
    d->location = location ? strdup(location) : NULL;
    d->value = value_json ? strdup(value_json) : NULL;
}

void gp_problem_free(gp_problem *p)
{
    for (size_t i = 0; i < p->n_errors; i++) {
        free(p->errors[i].message);
        free(p->errors[i].location);
        free(p->errors[i].value);
    }
    free(p->errors);
    free(p->title);
    free(p->detail);
    *p = (gp_problem)GP_PROBLEM_INIT;
}

/* Adds ,"name": when text is set; the comma only after a first member. */
static bool json_key(gp_buf *out, const char *name, bool *first)
{
    if (!*first)
        gp_buf_putc(out, ',');
    *first = false;
    gp_buf_json_str(out, name);
    gp_buf_putc(out, ':');
    return true;
}

static void json_text(gp_buf *out, const char *name, const char *text, bool *first)
{
    if (text && *text && json_key(out, name, first))
        gp_buf_json_str(out, text);
}

static void detail_to_json(const gp_problem_detail *d, gp_buf *out)
{
    bool first = true;
    gp_buf_putc(out, '{');
    json_text(out, "message", d->message, &first);
    json_text(out, "location", d->location, &first);
    if (d->value && json_key(out, "value", &first))
        gp_buf_puts(out, d->value);
    gp_buf_putc(out, '}');
}

void gp_problem_to_json(const gp_problem *p, gp_buf *out)
{
    bool first = true;
    gp_buf_putc(out, '{');
    json_text(out, "title", title_of(p), &first);
    if (p->status && json_key(out, "status", &first))
        gp_buf_i64(out, p->status);
    json_text(out, "detail", p->detail, &first);
    if (p->n_errors && json_key(out, "errors", &first)) {
        gp_buf_putc(out, '[');
        for (size_t i = 0; i < p->n_errors; i++) {
            if (i)
                gp_buf_putc(out, ',');
            detail_to_json(&p->errors[i], out);
        }
        gp_buf_putc(out, ']');
    }
    gp_buf_putc(out, '}');
}

static const char *string_member(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static char *copy_or_null(const char *text)
{
    return text ? strdup(text) : NULL;
}

static void detail_from_json(const cJSON *item, gp_problem *out)
{
    gp_problem_detail *d = append(out);
    if (!d)
        return;
    d->message = copy_or_null(string_member(item, "message"));
    d->location = copy_or_null(string_member(item, "location"));
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(item, "value");
    char *text = value ? cJSON_PrintUnformatted(value) : NULL;
    d->value = copy_or_null(text);
    cJSON_free(text);
}

static bool is_problem(const cJSON *root)
{
    return cJSON_IsObject(root) && (cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(root, "status")) ||
                                    string_member(root, "title") || string_member(root, "detail"));
}

bool gp_problem_from_json(const char *text, size_t len, gp_problem *out)
{
    cJSON *root = cJSON_ParseWithLength(text, len);
    bool ok = is_problem(root);
    if (ok) {
        const cJSON *status = cJSON_GetObjectItemCaseSensitive(root, "status");
        *out = (gp_problem)GP_PROBLEM_INIT;
        out->status = cJSON_IsNumber(status) ? status->valueint : 0;
        out->title = copy_or_null(string_member(root, "title"));
        out->detail = copy_or_null(string_member(root, "detail"));
        const cJSON *item;
        cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(root, "errors"))
            detail_from_json(item, out);
    }
    cJSON_Delete(root);
    return ok;
}

static void value_to_text(const char *value, gp_buf *out)
{
    cJSON *parsed = cJSON_Parse(value);
    const char *text = cJSON_GetStringValue(parsed);
    gp_buf_puts(out, text ? text : value);
    cJSON_Delete(parsed);
}

static void add_indented(gp_buf *out, const char *text, unsigned indent)
{
    for (;;) {
        size_t len = strcspn(text, "\n");
        gp_buf_putc(out, '\n');
        gp_buf_pad(out, ' ', indent);
        gp_buf_add(out, text, len);
        if (!text[len])
            return;
        text += len + 1;
    }
}

static void detail_to_text(const gp_problem_detail *d, unsigned indent, gp_buf *out)
{
    static const char prefix[] = "body.";
    gp_buf block = GP_BUF_INIT;
    const char *location = d->location ? d->location : "";
    if (strncmp(location, prefix, sizeof prefix - 1) == 0)
        location += sizeof prefix - 1;
    gp_buf_puts(&block, location);
    if (d->value) {
        gp_buf_puts(&block, *location ? " (value: " : "(value: ");
        value_to_text(d->value, &block);
        gp_buf_putc(&block, ')');
    }
    size_t width = block.len;
    if (width > 0) {
        gp_buf_putc(&block, '\n');
        gp_buf_pad(&block, '-', width);
        gp_buf_putc(&block, '\n');
    }
    gp_buf_puts(&block, d->message ? d->message : "");
    if (block.failed)
        out->failed = true;
    else
        add_indented(out, block.data ? block.data : "", indent);
    gp_buf_free(&block);
}

void gp_problem_errors_to_text(const gp_problem *p, unsigned indent, gp_buf *out)
{
    for (size_t i = 0; i < p->n_errors; i++) {
        if (i) {
            gp_buf_putc(out, '\n');
            gp_buf_pad(out, ' ', indent);
        }
        detail_to_text(&p->errors[i], indent, out);
    }
}

void gp_problem_to_text(const gp_problem *p, gp_buf *out)
{
    const char *title = title_of(p);
    if (title)
        gp_buf_puts(out, title);
    else
        gp_buf_printf(out, "status %d", p->status);
    if (p->detail && *p->detail)
        gp_buf_printf(out, ": %s", p->detail);
    if (p->n_errors)
        gp_buf_putc(out, '\n');
    gp_problem_errors_to_text(p, 0, out);
}

int gp_problem_status_of(gp_code code)
{
    switch (code) {
    case GP_OK:
        return 200;
    case GP_EINVAL:
        return 400;
    case GP_EPERM:
        return 403;
    case GP_ENOTFOUND:
        return 404;
    case GP_EEXIST:
        return 409;
    case GP_ELIMIT:
        return 429;
    case GP_EUNSUPPORTED:
        return 501;
    case GP_ENET:
        return 502;
    case GP_EBUSY:
    case GP_ECANCELED:
        return 503;
    case GP_ETIMEOUT:
        return 504;
    case GP_EIO:
    case GP_ECORRUPT:
    case GP_ENOMEM:
    case GP_EINTERNAL:
        break;
    }
    return 500;
}
