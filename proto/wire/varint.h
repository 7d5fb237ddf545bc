/*
 * varint.h - unsigned integers of varying length: seven bits a byte, low ones first, the top bit says that
 * more follow (LEB128: DWARF 5, 7.6). At most ten bytes.
 *
 * A reader turns `bad` at the first thing that does not fit, and from then on gives zeros: check once.
 */
#ifndef GP_WIRE_VARINT_H
#define GP_WIRE_VARINT_H

#include "proto/base/buf.h"

enum { GP_VARINT_MAX = 10 };

typedef struct gp_wire_reader {
    const uint8_t *at, *end;
    bool bad;
} gp_wire_reader;

static inline size_t gp_wire_left(const gp_wire_reader *r)
{
    return (size_t)(r->end - r->at);
}

static inline void gp_varint_write(gp_buf *out, uint64_t v)
{
    uint8_t bytes[GP_VARINT_MAX];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        bytes[n++] = (uint8_t)(v | 0x80);
    bytes[n++] = (uint8_t)v;
    gp_buf_add(out, bytes, n);
}

static inline size_t gp_varint_len(uint64_t v)
{
    size_t n = 1;
    for (; v >= 0x80; v >>= 7)
        n++;
    return n;
}

static inline uint64_t gp_varint_read(gp_wire_reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && r->at < r->end && !r->bad; shift += 7) {
        uint8_t byte = *r->at++;
        if (shift == 63 && byte > 1)
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return v;
    }
    r->bad = true;
    return 0;
}

/* The next n bytes, or NULL. */
static inline const uint8_t *gp_wire_take(gp_wire_reader *r, uint64_t n)
{
    if (r->bad || n > gp_wire_left(r)) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *p = r->at;
    r->at += n;
    return p;
}

#endif
