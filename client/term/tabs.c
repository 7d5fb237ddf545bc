/* Aligning tab-separated cells; see gp_tabs_format. */
#include "client/term/term.h"

#include <stdlib.h>
#include <string.h>

typedef struct cell {
    size_t at;
    size_t len;
    size_t width;  /* of the text */
    size_t column; /* what the cell is padded to */
} cell;

typedef struct line {
    size_t first; /* index of its first cell */
    size_t tabs;  /* cells that a tab ends; one more, unaligned, follows */
} line;

typedef struct grid {
    cell *cells;
    line *lines;
    size_t n_cells, n_lines, max_tabs;
} grid;

static size_t count(const char *text, size_t len, char c)
{
    size_t n = 0;
    for (const char *p = text; len && (p = memchr(p, c, len - (size_t)(p - text))); p++)
        n++;
    return n;
}

static void split(const char *text, size_t len, grid *g)
{
    size_t start = 0;
    size_t at = 0;
    g->lines[0] = (line){0};
    for (;; at++) {
        if (at < len && text[at] != '\t' && text[at] != '\n')
            continue;
        size_t n = at - start;
        g->cells[g->n_cells++] = (cell){start, n, gp_text_width(text + start, n), 0};
        start = at + 1;
        line *l = &g->lines[g->n_lines];
        if (at < len && text[at] == '\t') {
            l->tabs++;
            continue;
        }
        g->max_tabs = l->tabs > g->max_tabs ? l->tabs : g->max_tabs;
        g->n_lines++;
        if (at >= len)
            return;
        g->lines[g->n_lines] = (line){.first = g->n_cells};
    }
}

/* Gives the cells of one column in lines [from, to) their common width. */
static void set_block(grid *g, size_t column, size_t from, size_t to, const gp_tabs *opt)
{
    size_t width = opt->min_width;
    for (size_t i = from; i < to; i++) {
        size_t w = g->cells[g->lines[i].first + column].width + opt->padding;
        width = w > width ? w : width;
    }
    for (size_t i = from; i < to; i++)
        g->cells[g->lines[i].first + column].column = width;
}

static void measure(grid *g, const gp_tabs *opt)
{
    for (size_t column = 0; column < g->max_tabs; column++) {
        for (size_t from = 0; from < g->n_lines; from++) {
            size_t to = from;
            while (to < g->n_lines && g->lines[to].tabs > column)
                to++;
            if (to > from)
                set_block(g, column, from, to, opt);
            from = to;
        }
    }
}

static void print(const char *text, const grid *g, const gp_tabs *opt, gp_buf *out)
{
    for (size_t i = 0; i < g->n_lines; i++) {
        const line *l = &g->lines[i];
        for (size_t j = 0; j <= l->tabs; j++) {
            const cell *c = &g->cells[l->first + j];
            size_t pad = j < l->tabs ? c->column - c->width : 0;
            if (opt->align_right)
                gp_buf_pad(out, ' ', pad);
            gp_buf_add(out, text + c->at, c->len);
            if (!opt->align_right)
                gp_buf_pad(out, ' ', pad);
        }
        if (i + 1 < g->n_lines)
            gp_buf_putc(out, '\n');
    }
}

void gp_tabs_format(const char *text, size_t len, const gp_tabs *opt, gp_buf *out)
{
    if (len == 0)
        return;
    size_t lines = count(text, len, '\n') + 1;
    size_t cells = count(text, len, '\t') + lines;
    grid g = {.cells = calloc(cells, sizeof *g.cells), .lines = calloc(lines, sizeof *g.lines)};
    if (g.cells && g.lines) {
        split(text, len, &g);
        measure(&g, opt);
        print(text, &g, opt, out);
    } else {
        out->failed = true;
    }
    free(g.cells);
    free(g.lines);
}
