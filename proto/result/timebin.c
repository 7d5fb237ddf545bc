#include "proto/result/result.h"

#include <stdlib.h>

static int64_t bin_end(int64_t ts, int64_t bin)
{
    int64_t over = ts % bin;
    return ts <= 0 || over == 0 ? ts : ts - over + bin;
}

static int by_key(const void *a, const void *b)
{
    return gp_row_cmp_key(a, b);
}

gp_code gp_result_bin_time(gp_result *r, int64_t bin, gp_error *err)
{
    if (bin <= 0)
        return gp_fail(err, GP_EINVAL, "a time bin of %lld s is not possible", (long long)bin);
    for (size_t i = 0; i < r->n_rows; i++)
        r->rows[i].ts = bin_end(r->rows[i].ts, bin);
    if (r->n_rows)
        qsort(r->rows, r->n_rows, sizeof *r->rows, by_key);
    size_t kept = 0;
    for (size_t i = 0; i < r->n_rows; i++) {
        if (kept && gp_row_cmp_key(&r->rows[kept - 1], &r->rows[i]) == 0)
            gp_counters_add(&r->rows[kept - 1].c, &r->rows[i].c);
        else
            r->rows[kept++] = r->rows[i];
    }
    /* Rows that were cut before are hits, too. */
    size_t gone = r->n_rows - kept;
    r->hits_total = r->hits_total > gone + kept ? r->hits_total - gone : kept;
    r->n_rows = r->hits_displayed = kept;
    gp_result_sort(r, GP_SORT_TIME, GP_DIR_SUM, true, 0);
    return GP_OK;
}
