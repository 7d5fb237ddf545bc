/*
 * flowsort.h - the order of rows in a block.
 *
 * IPv4 before IPv6, then ascending by source address; rows of one source by protocol and destination port,
 * rows of one service by packets sent and received (up to 255), then by destination address. Each of these
 * runs goes up or down, whichever begins nearer to where the row before it left off. So rows that look alike
 * become neighbours in every column, which compresses better than the order of v4 (sip, dip, dport, proto),
 * at equal runs of the source address (spec/decisions/0013).
 *
 * Keys are sorted by their words, the most significant first, and only rows that are equal so far by the next
 * one. A word is sorted by the bytes in which keys differ (radix sort from the least significant one; Knuth,
 * The Art of Computer Programming 3, 5.2.5), of few rows by insertion: linear in the number of flows. Not
 * thread-safe: one gp_flowsort a thread.
 */
#ifndef GP_GODB_FLOWSORT_H
#define GP_GODB_FLOWSORT_H

#include "proto/base/error.h"
#include "proto/flow/flow.h"

#include <stdint.h>

typedef struct gp_flowsort_row {
    uint64_t key;
    uint32_t row;
} gp_flowsort_row;

/* Memory that is kept from call to call: 32 bytes a flow. A zeroed one is empty. */
typedef struct gp_flowsort {
    gp_flowsort_row *rows, *spare;
    size_t cap;
} gp_flowsort;

void gp_flowsort_free(gp_flowsort *s);
/* Sorts flows in place; n fits 32 bits. */
gp_code gp_flowsort_run(gp_flowsort *s, gp_flow *flows, size_t n, gp_error *err);

#endif
