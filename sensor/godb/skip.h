/*
 * skip.h - a condition against the filter of a block: whether any of its flows can match.
 *
 * Each part of the condition is false for every flow of the block, or may be true. An address that the filter
 * does not have makes `sip = address` and `dip = address` false, and networks of one address likewise; `and`
 * is false if one of its sides is, `or` if both are. Everything else may be true.
 *
 * Not thread-safe: one gp_skip per thread.
 */
#ifndef GP_GODB_SKIP_H
#define GP_GODB_SKIP_H

#include "proto/query/cond.h"
#include "sensor/godb/blockfilter.h"

typedef struct gp_skip gp_skip;
/* *out is NULL where no filter can tell: the condition may be true whatever addresses there are. It borrows
 * `cond`. */
gp_code gp_skip_new(gp_skip **out, const gp_cond *cond, gp_error *err);
void gp_skip_free(gp_skip *s);

/* True: no flow of the block of this time matches. Never without a filter (size 0). */
bool gp_skip_block(gp_skip *s, int64_t ts, const gp_blockfilter *f);

#endif
