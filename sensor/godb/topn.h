/*
 * topn.h - the n largest of many values, by a heap of n.
 *
 * Of equal values those with the smaller id are taken, so that the outcome does not depend on the order in
 * which they are offered. Not thread-safe.
 */
#ifndef GP_GODB_TOPN_H
#define GP_GODB_TOPN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gp_topn_item {
    uint64_t value;
    uint32_t id;
} gp_topn_item;

typedef struct gp_topn {
    gp_topn_item *items; /* a heap: the least of them, of equal ones that with the largest id, is the first */
    size_t n, most;
} gp_topn;

bool gp_topn_init(gp_topn *t, size_t most); /* most >= 1; false: out of memory */
void gp_topn_free(gp_topn *t);
void gp_topn_offer(gp_topn *t, uint64_t value, uint32_t id);

#endif
