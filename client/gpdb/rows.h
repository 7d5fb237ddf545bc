/*
 * rows.h - flows as text or bytes that other databases read: CSV, JSON lines (one object a line), and
 * ClickHouse's RowBinaryWithNamesAndTypes.
 *
 * Plain functions; they append to a buffer of the caller.
 */
#ifndef GP_GPDB_ROWS_H
#define GP_GPDB_ROWS_H

#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "proto/flow/flow.h"

typedef struct gp_row_format {
    const char *name;
    void (*begin)(gp_buf *out); /* what stands before the first row */
    void (*row)(gp_buf *out, int64_t ts, const char *iface, const gp_flow *f);
} gp_row_format;

/* "csv", "json" or "rowbinary"; GP_EINVAL names these. */
gp_code gp_row_format_find(const char *name, const gp_row_format **out, gp_error *err);

#endif
