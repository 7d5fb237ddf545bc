#include "client/gpdb/csv.h"

#include "proto/base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_SIZE = 1 << 16 };

struct gp_csv {
    int fd;
    bool at_end;         /* of the file */
    uint64_t offset;     /* of what was read */
    uint64_t line;       /* the line last taken, from 1 */
    uint64_t first_line; /* of the record */
    char *buf;
    size_t start, end, cap; /* unread bytes */
    gp_buf text;            /* the fields of the record, each with its NUL */
    size_t *at;             /* where they begin */
    char **fields;
    size_t n, cap_fields;
};

gp_code gp_csv_new(gp_csv **out, int fd, gp_error *err)
{
    gp_csv *c = calloc(1, sizeof *c);
    if (!c)
        return gp_fail(err, GP_ENOMEM, "out of memory for reading CSV");
    c->fd = fd;
    c->cap = 2 * (size_t)READ_SIZE;
    c->buf = malloc(c->cap);
    if (!c->buf) {
        free(c);
        return gp_fail(err, GP_ENOMEM, "out of memory for reading CSV");
    }
    *out = c;
    return GP_OK;
}

void gp_csv_free(gp_csv *c)
{
    if (!c)
        return;
    gp_buf_free(&c->text);
    free(c->buf);
    free(c->at);
    free((void *)c->fields);
    free(c);
}

uint64_t gp_csv_offset(const gp_csv *c)
{
    return c->offset;
}

/* ---- lines --------------------------------------------------------------------------------------------- */

static gp_code make_room(gp_csv *c, gp_error *err)
{
    if (c->start > 0) {
        memmove(c->buf, c->buf + c->start, c->end - c->start);
        c->end -= c->start;
        c->start = 0;
    }
    if (c->cap - c->end >= READ_SIZE)
        return GP_OK;
    char *buf = realloc(c->buf, c->cap + 2 * (size_t)READ_SIZE);
    if (!buf)
        return gp_fail(err, GP_ENOMEM, "out of memory for reading CSV");
    c->buf = buf;
    c->cap += 2 * (size_t)READ_SIZE;
    return GP_OK;
}

static gp_code fill(gp_csv *c, gp_error *err)
{
    gp_code code = make_room(c, err);
    if (code != GP_OK)
        return code;
    ssize_t n;
    do
        n = read(c->fd, c->buf + c->end, READ_SIZE);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return gp_fail_errno(err, errno, "cannot read");
    c->at_end = n == 0;
    c->end += (size_t)n;
    c->offset += (uint64_t)n;
    return GP_OK;
}

/* The next line without its end; *line is NULL at the end of the file. Valid until the next call. */
static gp_code next_line(gp_csv *c, const char **line, size_t *len, gp_error *err)
{
    size_t seen = 0;
    *line = NULL;
    for (;;) {
        const char *from = c->buf + c->start;
        const char *lf = c->end > c->start ? memchr(from + seen, '\n', c->end - c->start - seen) : NULL;
        if (lf || (c->at_end && c->end > c->start)) {
            *line = from;
            *len = lf ? (size_t)(lf - from) : c->end - c->start;
            c->start += *len + (lf != NULL);
            *len -= *len > 0 && from[*len - 1] == '\r';
            c->line++;
            return GP_OK;
        }
        if (c->at_end)
            return GP_OK;
        seen = c->end - c->start;
        if (seen > GP_CSV_RECORD_MAX)
            return gp_fail(err, GP_ELIMIT, "line %llu is longer than %d bytes",
                           (unsigned long long)c->line + 1, GP_CSV_RECORD_MAX);
        gp_code code = fill(c, err);
        if (code != GP_OK)
            return code;
    }
}

/* ---- fields -------------------------------------------------------------------------------------------- */

static gp_code bad(const gp_csv *c, size_t column, const char *what, gp_error *err)
{
    if (c->first_line != c->line)
        return gp_fail(err, GP_EINVAL, "record on line %llu; parse error on line %llu, column %zu: %s",
                       (unsigned long long)c->first_line, (unsigned long long)c->line, column + 1, what);
    return gp_fail(err, GP_EINVAL, "parse error on line %llu, column %zu: %s", (unsigned long long)c->line,
                   column + 1, what);
}

static gp_code begin_field(gp_csv *c, gp_error *err)
{
    if (c->n == c->cap_fields) {
        size_t cap = c->cap_fields ? 2 * c->cap_fields : 16;
        size_t *at = realloc(c->at, cap * sizeof *at);
        if (at)
            c->at = at;
        char **fields = at ? realloc((void *)c->fields, cap * sizeof *fields) : NULL;
        if (!fields)
            return gp_fail(err, GP_ENOMEM, "out of memory for reading CSV");
        c->fields = fields;
        c->cap_fields = cap;
    }
    c->at[c->n++] = c->text.len;
    return GP_OK;
}

/* Where a field that began inside quotes stands. */
typedef struct cursor {
    const char *line;
    size_t len, at;
} cursor;

static gp_code plain_field(gp_csv *c, cursor *p, gp_error *err)
{
    const char *from = p->line + p->at;
    const char *comma = memchr(from, ',', p->len - p->at);
    size_t len = comma ? (size_t)(comma - from) : p->len - p->at;
    const char *quote = memchr(from, '"', len);
    if (quote)
        return bad(c, (size_t)(quote - p->line), "bare \" in a field that is not quoted", err);
    gp_buf_add(&c->text, from, len);
    p->at += len;
    return GP_OK;
}

/* A quoted field goes on in the next line. */
static gp_code continue_field(gp_csv *c, cursor *p, gp_error *err)
{
    size_t column = p->len;
    gp_code code = next_line(c, &p->line, &p->len, err);
    if (code == GP_OK && !p->line)
        code = bad(c, column, "extraneous or missing \" in a quoted field", err);
    gp_buf_putc(&c->text, '\n');
    p->at = 0;
    if (code == GP_OK && c->text.len > GP_CSV_RECORD_MAX)
        code = gp_fail(err, GP_ELIMIT, "the record on line %llu is longer than %d bytes",
                       (unsigned long long)c->first_line, GP_CSV_RECORD_MAX);
    return code;
}

static gp_code quoted_field(gp_csv *c, cursor *p, gp_error *err)
{
    gp_code code = GP_OK;
    p->at++;
    while (code == GP_OK) {
        const char *from = p->line + p->at;
        const char *quote = p->at < p->len ? memchr(from, '"', p->len - p->at) : NULL;
        gp_buf_add(&c->text, from, quote ? (size_t)(quote - from) : p->len - p->at);
        if (!quote) {
            code = continue_field(c, p, err);
            continue;
        }
        p->at = (size_t)(quote - p->line) + 1;
        if (p->at == p->len || p->line[p->at] == ',')
            return GP_OK;
        if (p->line[p->at] != '"')
            return bad(c, p->at - 1, "extraneous or missing \" in a quoted field", err);
        gp_buf_putc(&c->text, '"');
        p->at++;
    }
    return code;
}

static gp_code read_fields(gp_csv *c, cursor *p, gp_error *err)
{
    for (;;) {
        gp_code code = begin_field(c, err);
        if (code == GP_OK)
            code = p->at < p->len && p->line[p->at] == '"' ? quoted_field(c, p, err) : plain_field(c, p, err);
        if (code != GP_OK)
            return code;
        gp_buf_putc(&c->text, '\0');
        if (p->at >= p->len)
            return c->text.failed ? gp_fail(err, GP_ENOMEM, "out of memory for reading CSV") : GP_OK;
        p->at++; /* the comma */
    }
}

gp_code gp_csv_next(gp_csv *c, char *const **fields, size_t *n, gp_error *err)
{
    cursor p = {0};
    *n = c->n = 0;
    gp_buf_clear(&c->text);
    do {
        gp_code code = next_line(c, &p.line, &p.len, err);
        if (code != GP_OK || !p.line)
            return code;
    } while (p.len == 0);
    c->first_line = c->line;
    gp_code code = read_fields(c, &p, err);
    if (code != GP_OK)
        return code;
    for (size_t i = 0; i < c->n; i++)
        c->fields[i] = c->text.data + c->at[i];
    *fields = c->fields;
    *n = c->n;
    return GP_OK;
}
