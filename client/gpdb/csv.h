/*
 * csv.h - reading comma-separated values (RFC 4180), as strictly as goProbe v4's gpdb does.
 *
 * A field either starts with a quote and ends with one (quotes inside are doubled, lines may break), or holds
 * no quote at all. Lines end with LF or CRLF; empty lines are skipped; records may differ in length.
 *
 * Not thread-safe: one reader per thread.
 */
#ifndef GP_GPDB_CSV_H
#define GP_GPDB_CSV_H

#include "proto/base/error.h"

#include <stdint.h>

enum { GP_CSV_RECORD_MAX = 1 << 20 }; /* bytes; a longer record is refused */

typedef struct gp_csv gp_csv;
/* Reads from fd, which stays the caller's. */
gp_code gp_csv_new(gp_csv **out, int fd, gp_error *err);
void gp_csv_free(gp_csv *c);

/* The next record: *n fields, each NUL-terminated, valid until the next call. *n is 0 at the end. GP_EINVAL
 * names line and column of what cannot be read. */
gp_code gp_csv_next(gp_csv *c, char *const **fields, size_t *n, gp_error *err);
uint64_t gp_csv_offset(const gp_csv *c); /* bytes read so far */

#endif
