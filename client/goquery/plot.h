/* plot.h - traffic over time as two lines of blocks, below a table. */
#ifndef GP_GOQUERY_PLOT_H
#define GP_GOQUERY_PLOT_H

#include "proto/query/args.h"
#include "proto/result/result.h"

/* Width of the bins, seconds: a multiple of the interval of blocks so that the range fits into `columns`. */
int64_t plot_bin(int64_t first, int64_t last, size_t columns);

/*
 * Appends the plot of an answer to a query by time with these bins. `first` and `last` are the range (UNIX
 * seconds); direction says which of the lines are drawn.
 */
void put_plot(const gp_result *r, int64_t first, int64_t last, int64_t bin, gp_direction direction,
              bool color, gp_buf *out);

#endif
