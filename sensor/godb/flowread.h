/*
 * flowread.h - the flows of a block as structs, for what needs every column of every row: export, tests.
 * Queries work on columns (scan.h).
 *
 * Not thread-safe: one gp_flowread per thread.
 */
#ifndef GP_GODB_FLOWREAD_H
#define GP_GODB_FLOWREAD_H

#include "sensor/godb/reader.h"

typedef struct gp_flowread gp_flowread;
gp_code gp_flowread_new(gp_flowread **out, gp_error *err);
void gp_flowread_free(gp_flowread *r);

/* The flows of one block, in the order in which they are stored; valid until the next call. */
gp_code gp_flowread_block(gp_flowread *r, gp_day *day, size_t block, const gp_flow **flows, size_t *n,
                          gp_error *err);

#endif
