/* Boxed tables; see gp_table in term.h. */
#include "client/term/term.h"

#include <stdlib.h>
#include <string.h>

typedef struct row {
    char **cells;
    size_t n; /* 0: a separator */
} row;

struct gp_table {
    size_t columns;
    char *title;
    gp_align *align;
    row *rows;
    size_t n_rows;
    bool failed;
};

/* Which of its neighbours a corner or crossing connects to. */
enum { UP = 1, DOWN = 2 };
#define BAR  "\xe2\x94\x80" /* ─ */
#define WALL "\xe2\x94\x82" /* │ */

gp_table *gp_table_new(size_t columns, const char *title)
{
    gp_table *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->columns = columns;
    t->title = strdup(title);
    t->align = calloc(columns ? columns : 1, sizeof *t->align);
    if (!t->title || !t->align || columns == 0) {
        gp_table_free(t);
        return NULL;
    }
    return t;
}

static void row_free(row *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->cells[i]);
    free(r->cells);
}

void gp_table_free(gp_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n_rows; i++)
        row_free(&t->rows[i]);
    free(t->rows);
    free(t->align);
    free(t->title);
    free(t);
}

void gp_table_align(gp_table *t, size_t column, gp_align align)
{
    if (column < t->columns)
        t->align[column] = align;
}

static void add_row(gp_table *t, row r)
{
    row *grown = t->failed ? NULL : reallocarray(t->rows, t->n_rows + 1, sizeof *grown);
    if (!grown) {
        row_free(&r);
        t->failed = true;
        return;
    }
    t->rows = grown;
    t->rows[t->n_rows++] = r;
}

void gp_table_row(gp_table *t, const char *const *cells, size_t n)
{
    n = n < t->columns ? n : t->columns;
    row r = {.cells = calloc(n ? n : 1, sizeof *r.cells)};
    for (; r.cells && r.n < n; r.n++) {
        r.cells[r.n] = strdup(cells[r.n]);
        if (!r.cells[r.n])
            break;
    }
    if (r.n < n) {
        row_free(&r);
        t->failed = true;
        return;
    }
    add_row(t, r);
}

void gp_table_separator(gp_table *t)
{
    add_row(t, (row){0});
}

static size_t width_of(const char *s)
{
    return gp_text_width(s, strlen(s));
}

static void measure(const gp_table *t, size_t *widths)
{
    for (size_t i = 0; i < t->n_rows; i++) {
        const row *r = &t->rows[i];
        size_t own = r->n == t->columns ? r->n : r->n ? r->n - 1 : 0; /* without a spanning cell */
        for (size_t j = 0; j < own; j++) {
            size_t w = width_of(r->cells[j]);
            widths[j] = w > widths[j] ? w : widths[j];
        }
    }
}

/* Room between the walls around columns [from, to): each has a blank on both sides. */
static size_t room(const size_t *widths, size_t from, size_t to)
{
    size_t sum = to - from - 1;
    for (size_t j = from; j < to; j++)
        sum += widths[j] + 2;
    return sum;
}

static void put_cell(gp_buf *out, const char *text, size_t space, gp_align align)
{
    size_t w = width_of(text) + 2;
    size_t left_over = space > w ? space - w : 0;
    size_t left = align == GP_ALIGN_RIGHT ? left_over : align == GP_ALIGN_CENTER ? left_over / 2 : 0;
    gp_buf_pad(out, ' ', left + 1);
    gp_buf_puts(out, text);
    gp_buf_pad(out, ' ', left_over - left + 1);
}

static void put_row(const gp_table *t, const row *r, const size_t *widths, gp_buf *out)
{
    gp_buf_puts(out, WALL);
    for (size_t j = 0; j < r->n; j++) {
        bool spans = j + 1 == r->n && r->n < t->columns;
        put_cell(out, r->cells[j], room(widths, j, spans ? t->columns : j + 1),
                 spans ? GP_ALIGN_CENTER : t->align[j]);
        gp_buf_puts(out, WALL);
    }
    gp_buf_putc(out, '\n');
}

/* Whether row r (NULL: none) has a wall after column j. */
static bool has_wall(const gp_table *t, const row *r, size_t j)
{
    return r && (r->n == t->columns || j + 1 < r->n);
}

static void put_line(const gp_table *t, const size_t *widths, const row *above, const row *below,
                     const char *left, const char *right, gp_buf *out)
{
    static const char *const crossing[] = {BAR, "\xe2\x94\xb4", "\xe2\x94\xac", "\xe2\x94\xbc"}; /* ─┴┬┼ */
    gp_buf_puts(out, left);
    for (size_t j = 0; j < t->columns; j++) {
        for (size_t i = 0; i < widths[j] + 2; i++)
            gp_buf_puts(out, BAR);
        if (j + 1 == t->columns)
            break;
        unsigned kind = (has_wall(t, above, j) ? UP : 0U) | (has_wall(t, below, j) ? DOWN : 0U);
        gp_buf_puts(out, crossing[kind]);
    }
    gp_buf_puts(out, right);
    gp_buf_putc(out, '\n');
}

static const row *content_at(const gp_table *t, size_t i)
{
    return i < t->n_rows && t->rows[i].n ? &t->rows[i] : NULL;
}

static void render(const gp_table *t, const size_t *widths, gp_buf *out)
{
    static const char tee_left[] = "\xe2\x94\x9c";                        /* ├ */
    static const char tee_right[] = "\xe2\x94\xa4";                       /* ┤ */
    put_line(t, widths, NULL, NULL, "\xe2\x95\xad", "\xe2\x95\xae", out); /* ╭ ╮ */
    gp_buf_puts(out, WALL);
    put_cell(out, t->title, room(widths, 0, t->columns), GP_ALIGN_CENTER);
    gp_buf_puts(out, WALL "\n");
    put_line(t, widths, NULL, content_at(t, 0), tee_left, tee_right, out);
    for (size_t i = 0; i < t->n_rows; i++) {
        if (t->rows[i].n)
            put_row(t, &t->rows[i], widths, out);
        else
            put_line(t, widths, i ? content_at(t, i - 1) : NULL, content_at(t, i + 1), tee_left, tee_right,
                     out);
    }
    const row *last = t->n_rows ? content_at(t, t->n_rows - 1) : NULL;
    put_line(t, widths, last, NULL, "\xe2\x95\xb0", "\xe2\x95\xaf", out); /* ╰ ╯ */
}

void gp_table_render(const gp_table *t, gp_buf *out)
{
    size_t *widths = calloc(t->columns, sizeof *widths);
    if (!widths || t->failed) {
        out->failed = true;
        free(widths);
        return;
    }
    measure(t, widths);
    /* A title wider than the columns widens the last one. */
    size_t title = width_of(t->title) + 2;
    size_t have = room(widths, 0, t->columns);
    if (title > have)
        widths[t->columns - 1] += title - have;
    render(t, widths, out);
    free(widths);
}
