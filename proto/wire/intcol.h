/*
 * intcol.h - a column of unsigned integers in few bits. Written is whichever of these is shortest:
 *
 *   constant    one value
 *   packed      blocks of 128 values: the least of them, and the distance of each from it in as many bits as
 *               the greatest distance needs ("frame of reference": Goldstein, Ramakrishnan, Shaft, ICDE 1998)
 *   delta       the differences of neighbours, signed in zigzag, packed
 *   dictionary  the distinct values in order, and the place of each among them, both packed; for values
 *               below 65,536
 *
 * Reading never goes beyond the given bytes, whatever they say.
 */
#ifndef GP_WIRE_INTCOL_H
#define GP_WIRE_INTCOL_H

#include "proto/wire/varint.h"

enum { GP_INTCOL_MAX = 4096 /* values of a column */ };

/* n <= GP_INTCOL_MAX; nothing is written for n == 0. */
void gp_intcol_write(gp_buf *out, const uint64_t *v, size_t n);
/* False: no column of n values is there. */
bool gp_intcol_read(gp_wire_reader *in, uint64_t *v, size_t n);

#endif
