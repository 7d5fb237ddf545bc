/*
 * blocksums.h - the sums of each block's counters, in an additional file of a day folder
 * (spec/godb-format.md).
 *
 * The file is advice: without it, or where a record is missing, damaged or of another block, the counter
 * columns say the same. A record counts only for the block that it was written for: its checksum begins with
 * a fingerprint of all that .blockmeta states of this block and of every block of the day before it.
 *
 * Thread-safety: no state.
 */
#ifndef GP_GODB_BLOCKSUMS_H
#define GP_GODB_BLOCKSUMS_H

#include "sensor/godb/blockmeta.h"

enum {
    GP_BLOCKSUMS_VERSION = 1, /* the fingerprint before the first block of a day */
    GP_BLOCKSUMS_RECORD = 40  /* bytes */
};

typedef struct gp_block_sum {
    gp_counters c;
    bool known;
} gp_block_sum;

/* The fingerprint of a day up to block b, from that of the blocks before. */
uint64_t gp_blocksums_fingerprint(uint64_t before, const gp_block_info *b);
/* Adds a record to *out. */
void gp_blocksums_put(gp_buf *out, uint64_t fingerprint, const gp_counters *sum);
/* Record i of `data` belongs to block i of *m. sums holds m->n_blocks entries. How many are known: none if
 * they contradict the totals of the day. */
size_t gp_blocksums_decode(const uint8_t *data, size_t len, const gp_blockmeta *m, gp_block_sum *sums);

#endif
