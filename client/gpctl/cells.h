/* cells.h - one row of a table, put together cell by cell: text, then gp_cells_end. */
#ifndef GP_GPCTL_CELLS_H
#define GP_GPCTL_CELLS_H

#include "client/term/term.h"

enum { MAX_CELLS = 16 };

/* Begin with {.text = GP_BUF_INIT}. All cells are in one buffer, each with its NUL. */
typedef struct cells {
    gp_buf text;
    size_t at[MAX_CELLS];
    size_t n;
} cells;

void cells_end(cells *c); /* what was appended to text since the last one is a cell */
void cells_put(cells *c, const char *text);
void cells_put_count(cells *c, uint64_t n);
void cells_add_to(cells *c, gp_table *t); /* as a row of the table; frees the cells */

#endif
