#include "client/sse.h"

#include <string.h>

static bool is_field(const char *line, size_t name_len, const char *field)
{
    return strlen(field) == name_len && memcmp(line, field, name_len) == 0;
}

static bool dispatch(gp_sse *s)
{
    bool go_on = true;
    if (s->has_data) {
        const char *name = s->name.len ? s->name.data : "message";
        go_on = s->on_event(s->ctx, name, s->data.len ? s->data.data : "", s->data.len);
    }
    gp_buf_clear(&s->name);
    gp_buf_clear(&s->data);
    s->has_data = false;
    return go_on;
}

/* "id" and "retry" are for reconnecting, which a query does not do. */
static void take_field(gp_sse *s)
{
    const char *line = s->line.data;
    const char *colon = memchr(line, ':', s->line.len);
    size_t name = colon ? (size_t)(colon - line) : s->line.len;
    size_t at = colon ? name + 1 : name;
    if (at < s->line.len && line[at] == ' ')
        at++;
    if (is_field(line, name, "event")) {
        gp_buf_clear(&s->name);
        gp_buf_add(&s->name, line + at, s->line.len - at);
    } else if (is_field(line, name, "data")) {
        if (s->has_data)
            gp_buf_putc(&s->data, '\n');
        gp_buf_add(&s->data, line + at, s->line.len - at);
        s->has_data = true;
    }
}

static gp_code end_line(gp_sse *s, gp_error *err)
{
    bool go_on = true;
    if (s->line.len == 0)
        go_on = dispatch(s);
    else
        take_field(s);
    gp_buf_clear(&s->line);
    if (s->data.failed || s->name.failed)
        return gp_fail(err, GP_ELIMIT, "an event of the stream is larger than %zu bytes", s->max_event);
    return go_on ? GP_OK : gp_fail(err, GP_ECANCELED, "the stream was canceled");
}

/* Drops a byte order mark at the very start, which may arrive in pieces. */
static size_t skip_mark(gp_sse *s, const char *bytes, size_t len)
{
    static const char mark[] = "\xef\xbb\xbf";
    size_t at = 0;
    while (at < len && s->fed < 3 && bytes[at] == mark[s->fed]) {
        s->fed++;
        at++;
    }
    if (at < len)
        s->fed = 3;
    return at;
}

gp_code gp_sse_feed(gp_sse *s, const char *bytes, size_t len, gp_error *err)
{
    s->line.limit = s->max_event;
    s->data.limit = s->max_event;
    s->name.limit = s->max_event;
    size_t at = s->fed < 3 ? skip_mark(s, bytes, len) : 0;
    while (at < len) {
        if (s->after_cr && bytes[at] == '\n')
            at++;
        s->after_cr = false;
        size_t end = at;
        while (end < len && bytes[end] != '\n' && bytes[end] != '\r')
            end++;
        gp_buf_add(&s->line, bytes + at, end - at);
        if (s->line.failed)
            return gp_fail(err, GP_ELIMIT, "a line of the stream is longer than %zu bytes", s->max_event);
        if (end == len)
            return GP_OK;
        s->after_cr = bytes[end] == '\r';
        at = end + 1;
        gp_code rc = end_line(s, err);
        if (rc != GP_OK)
            return rc;
    }
    return GP_OK;
}

void gp_sse_free(gp_sse *s)
{
    gp_buf_free(&s->line);
    gp_buf_free(&s->name);
    gp_buf_free(&s->data);
}
