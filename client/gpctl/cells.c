#include "client/gpctl/cells.h"

void cells_end(cells *c)
{
    gp_buf_putc(&c->text, '\0');
    if (++c->n < MAX_CELLS)
        c->at[c->n] = c->text.len;
}

void cells_put(cells *c, const char *text)
{
    gp_buf_puts(&c->text, text);
    cells_end(c);
}

void cells_put_count(cells *c, uint64_t n)
{
    gp_fmt_count(&c->text, n);
    cells_end(c);
}

void cells_add_to(cells *c, gp_table *t)
{
    const char *row[MAX_CELLS] = {0};
    for (size_t i = 0; i < c->n && i < MAX_CELLS && c->text.data; i++)
        row[i] = c->text.data + c->at[i];
    if (!c->text.failed)
        gp_table_row(t, row, c->n);
    gp_buf_free(&c->text);
}
