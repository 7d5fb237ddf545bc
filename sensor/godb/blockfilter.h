/*
 * blockfilter.h - which addresses a block may hold, in an additional file of a day folder
 * (spec/godb-format.md, spec/decisions/0027).
 *
 * A filter is a Bloom filter (Bloom, CACM 13(7), 1970) with one hash function: a bit array in which every
 * address of the block, source or destination, has set one bit. An address whose bit is not set is in no flow
 * of the block. Filters are short, so that of a set bit not much follows: three in five are set.
 *
 * The file is advice: a block without a record, or whose record is damaged or of another block, is read. A
 * record counts only for the block that it was written for (blockcheck.h). How long it is, and so where it
 * lies, follows from what .blockmeta states of the blocks.
 *
 * Thread-safety: one gp_addr_marks per thread; otherwise no state.
 */
#ifndef GP_GODB_BLOCKFILTER_H
#define GP_GODB_BLOCKFILTER_H

#include "sensor/godb/blockcheck.h"

/* Bytes that the record of a block takes; 0: it has none, being too small to gain anything by it. */
size_t gp_blockfilter_size(const gp_block_info *b);
/* Whether a block of so many flows can be large enough for a record. */
bool gp_blockfilter_suits(uint64_t n_v4, uint64_t n_v6);

/* Which bit an address sets in the filter of the block of this time, as a fraction of 2^32. Other blocks,
 * other bits: addresses that share one in this block hardly do so in the next. */
uint32_t gp_addr_mark(int64_t ts, const uint8_t *addr, size_t len);

/* The marks of a block's addresses. A zeroed one is empty. */
typedef struct gp_addr_marks {
    uint32_t *marks;
    size_t n, cap;
    bool failed; /* out of memory */
} gp_addr_marks;

void gp_addr_marks_free(gp_addr_marks *m);
void gp_addr_marks_clear(gp_addr_marks *m); /* keeps the memory */
/* Adds an address column of the block. */
void gp_addr_marks_add(gp_addr_marks *m, int64_t ts, const uint8_t *column, size_t n_v4, size_t n_v6);

/* Adds the record of block b to *out; *m has the marks of both of its address columns. If it has none, the
 * record is one that does not count. */
void gp_blockfilter_put(gp_buf *out, uint64_t fingerprint, const gp_block_info *b, const gp_addr_marks *m);

/* The filter within a record; borrowed. */
typedef struct gp_blockfilter {
    const uint8_t *bits;
    size_t size; /* bytes; 0: there is no filter */
} gp_blockfilter;

/* No filter unless the record was written for the block with this fingerprint. */
gp_blockfilter gp_blockfilter_open(const uint8_t *record, size_t len, uint64_t fingerprint);
/* False: the block has no such address. */
bool gp_blockfilter_may_have(const gp_blockfilter *f, uint32_t mark);

#endif
