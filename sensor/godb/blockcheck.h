/*
 * blockcheck.h - what ties a record of an additional file of a day (blocksums.h, blockfilter.h) to the very
 * block that it was made for (spec/godb-format.md).
 *
 * Thread-safety: no state.
 */
#ifndef GP_GODB_BLOCKCHECK_H
#define GP_GODB_BLOCKCHECK_H

#include "sensor/godb/blockmeta.h"

enum { GP_FINGERPRINT_START = 1 }; /* before the first block of a day */

/* The fingerprint of a day up to block b, from that of the blocks before: of all that .blockmeta states of
 * them. */
uint64_t gp_block_fingerprint(uint64_t before, const gp_block_info *b);
/* A hash of the record, which only this block has. `version` is that of the file. */
uint64_t gp_block_check(uint64_t fingerprint, unsigned version, const uint8_t *record, size_t len);

#endif
