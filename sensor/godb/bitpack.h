/*
 * bitpack.h - the two integer encodings of goDB v4: counter columns (fixed byte width, little-endian, the
 * width in the first byte) and the text numbers of day folder names. See spec/godb-format.md.
 */
#ifndef GP_GODB_BITPACK_H
#define GP_GODB_BITPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { GP_PACKED_SLACK = 16 };

/* Bytes that gp_bitpack writes for n values with the given maximum. */
size_t gp_bitpack_size(size_t n, uint64_t max);
/* Writes width byte and n values that lie `stride` bytes apart; returns the number of bytes. `max` is as wide
 * as the widest of them. dst holds gp_bitpack_size(n, max) + GP_PACKED_SLACK. */
size_t gp_bitpack(const uint64_t *values, size_t stride, size_t n, uint64_t max, uint8_t *dst);
/* Number of values in a packed column, or -1 if it is malformed (width 0 or > 8, or a ragged end). */
int64_t gp_bitpack_count(const uint8_t *data, size_t len);
/* Unpacks n = gp_bitpack_count() values; data must have passed that check. */
void gp_bitunpack(const uint8_t *data, size_t len, uint64_t *values);

/* Their sum (modulo 2^64); GP_PACKED_SLACK bytes behind the column must be readable. */
uint64_t gp_bitpack_sum(const uint8_t *data, size_t len);

/* A packed column read in place: one load a value. Data must have passed gp_bitpack_count, and
 * GP_PACKED_SLACK bytes behind it must be readable. */
typedef struct gp_packed_column {
    const uint8_t *values;
    uint64_t mask;
    unsigned width;
} gp_packed_column;
gp_packed_column gp_packed(const uint8_t *data);

static inline uint64_t gp_packed_at(const gp_packed_column *c, size_t i)
{
    uint64_t word;
    memcpy(&word, c->values + i * c->width, sizeof word);
    return word & c->mask;
}

#define GP_BITPACK_TEXT_MAX 12
size_t gp_bitpack_text(uint64_t v, char *dst);                       /* no NUL; returns the length */
bool gp_bitunpack_text(const char *text, size_t len, uint64_t *out); /* false if malformed */

#endif
