/*
 * blocksums.h - the sums of each block's counters, in an additional file of a day folder
 * (spec/godb-format.md).
 *
 * The file is advice: without it, or where a record is missing, damaged or of another block, the counter
 * columns say the same. A record counts only for the block that it was written for (blockcheck.h). How
 * long it is, and so where it lies, follows from what .blockmeta states of the blocks.
 *
 * Thread-safety: no state.
 */
#ifndef GP_GODB_BLOCKSUMS_H
#define GP_GODB_BLOCKSUMS_H

#include "sensor/godb/blockcheck.h"

enum { GP_BLOCKSUMS_MAX = 4 * 8 + 4 /* bytes of a record */ };

typedef struct gp_block_sum {
    gp_counters c;
    bool known;
} gp_block_sum;

/* Bytes that the record of a block takes; 0 if it has no flows, whose sums are known without. */
size_t gp_blocksums_size(const gp_block_info *b);
/* Adds the record of block b to *out. */
void gp_blocksums_put(gp_buf *out, uint64_t fingerprint, const gp_block_info *b, const gp_counters *sum);
/* The records of all blocks of *m, one after the other. sums holds m->n_blocks entries. How many are known:
 * none if they contradict the totals of the day. */
size_t gp_blocksums_decode(const uint8_t *data, size_t len, const gp_blockmeta *m, gp_block_sum *sums);

#endif
