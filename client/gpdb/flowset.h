/*
 * flowset.h - the flows of one block being gathered, each key once. Of rows with the same key the last
 * counts, as in goProbe v4's import. Open addressing over the keys' hashes (XXH3). Not thread-safe.
 */
#ifndef GP_GPDB_FLOWSET_H
#define GP_GPDB_FLOWSET_H

#include "proto/base/error.h"
#include "proto/flow/flow.h"

#include <stdint.h>

/* A zeroed one is empty. */
typedef struct gp_flowset {
    gp_flow *flows;
    size_t n, cap;
    uint32_t *slots; /* place in flows + 1; 0: free */
    size_t n_slots;  /* power of two, more than twice the flows */
} gp_flowset;

void gp_flowset_free(gp_flowset *s);
gp_code gp_flowset_put(gp_flowset *s, const gp_flow *f, gp_error *err);
void gp_flowset_clear(gp_flowset *s); /* keeps the memory */

#endif
