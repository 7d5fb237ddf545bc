/*
 * select.h - evaluates a condition on column vectors: which rows of a block count.
 *
 * Every leaf of the condition compares one whole column with a constant and leaves a byte (0 or 1) per
 * row; AND, OR and NOT combine these byte vectors. The loops are plain, branch-free and made for the
 * compiler's vectorizer; where the processor has AVX2 (asked at run time), it runs what was compiled for
 * that. Semantics are those of gp_cond_match, which the tests use as the oracle.
 *
 * Not thread-safe: a gp_selector holds scratch memory, one per thread.
 */
#ifndef GP_GODB_SELECT_H
#define GP_GODB_SELECT_H

#include "proto/query/cond.h"

typedef struct gp_select_columns {
    const uint8_t *sip, *dip; /* of one family: 4 or 16 bytes each; NULL if the condition has none */
    const uint8_t *dport;     /* 2 bytes each, big-endian */
    const uint8_t *proto;
    bool v6;
} gp_select_columns;

typedef struct gp_selector gp_selector;
gp_code gp_selector_new(gp_selector **out, const gp_cond *cond, gp_error *err);
void gp_selector_free(gp_selector *s);

/* Indexes of the matching rows among rows 0..n, in order, into rows[] (room for n). *matched gets their
 * number. GP_ENOMEM when scratch memory is not to be had. */
gp_code gp_select(gp_selector *s, const gp_select_columns *cols, size_t n, uint32_t *rows, size_t *matched,
                  gp_error *err);

#endif
