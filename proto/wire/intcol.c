#include "proto/wire/intcol.h"

#include <string.h>

enum { BLOCK = 128, PACKED_MAX = BLOCK * 8, DICT_DOMAIN = 1 << 16, DICT_WORDS = DICT_DOMAIN / 64 };

typedef enum mode { CONSTANT, PACKED, DELTA, DICTIONARY } mode;

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static unsigned bits_of(uint64_t v)
{
    return v ? 64 - (unsigned)__builtin_clzll(v) : 0;
}

static uint64_t zigzag(uint64_t difference)
{
    return difference << 1 ^ (difference >> 63 ? UINT64_MAX : 0);
}

static uint64_t unzigzag(uint64_t v)
{
    return v >> 1 ^ (v & 1 ? UINT64_MAX : 0);
}

/* ---- packed -------------------------------------------------------------------------------------------- */

typedef struct frame {
    uint64_t least;
    unsigned width;
    size_t bytes; /* of the packed distances */
} frame;

static frame frame_of(const uint64_t *v, size_t n)
{
    uint64_t least = v[0];
    uint64_t most = v[0];
    for (size_t i = 1; i < n; i++) {
        least = v[i] < least ? v[i] : least;
        most = v[i] > most ? v[i] : most;
    }
    unsigned width = bits_of(most - least);
    return (frame){least, width, (n * width + 7) / 8};
}

static size_t packed_size(const uint64_t *v, size_t n)
{
    size_t size = 0;
    for (size_t at = 0; at < n; at += BLOCK) {
        frame f = frame_of(v + at, min_size(BLOCK, n - at));
        size += gp_varint_len(f.least) + 1 + f.bytes;
    }
    return size;
}

/* Low bits first. `to` is zeroed and has eight bytes to spare. */
static void pack(uint8_t *to, const uint64_t *v, size_t n, const frame *f)
{
    for (size_t i = 0, bit = 0; i < n; i++, bit += f->width) {
        uint64_t distance = v[i] - f->least;
        unsigned shift = bit & 7;
        uint64_t word;
        memcpy(&word, to + bit / 8, sizeof word);
        word |= distance << shift;
        memcpy(to + bit / 8, &word, sizeof word);
        if (shift && shift + f->width > 64)
            to[bit / 8 + 8] = (uint8_t)(distance >> (64 - shift));
    }
}

static void write_packed(gp_buf *out, const uint64_t *v, size_t n)
{
    for (size_t at = 0; at < n; at += BLOCK) {
        size_t count = min_size(BLOCK, n - at);
        frame f = frame_of(v + at, count);
        uint8_t bytes[PACKED_MAX + 9] = {0};
        gp_varint_write(out, f.least);
        gp_buf_putc(out, (char)f.width);
        if (f.width)
            pack(bytes, v + at, count, &f);
        gp_buf_add(out, bytes, f.bytes);
    }
}

/* `from` has nine bytes to spare. */
static void unpack(const uint8_t *from, uint64_t *v, size_t n, const frame *f)
{
    uint64_t mask = f->width == 64 ? UINT64_MAX : (UINT64_C(1) << f->width) - 1;
    for (size_t i = 0, bit = 0; i < n; i++, bit += f->width) {
        unsigned shift = bit & 7;
        uint64_t word;
        memcpy(&word, from + bit / 8, sizeof word);
        word >>= shift;
        if (shift && shift + f->width > 64)
            word |= (uint64_t)from[bit / 8 + 8] << (64 - shift);
        v[i] = f->least + (word & mask);
    }
}

static void read_block(gp_wire_reader *in, uint64_t *v, size_t n)
{
    uint8_t padded[PACKED_MAX + 9];
    frame f = {.least = gp_varint_read(in)};
    const uint8_t *width = gp_wire_take(in, 1);
    if (!width || *width > 64) {
        in->bad = true;
        return;
    }
    f.width = *width;
    f.bytes = (n * f.width + 7) / 8;
    const uint8_t *bytes = gp_wire_take(in, f.bytes);
    if (!bytes)
        return;
    if (gp_wire_left(in) < 9) { /* words may not reach beyond the end */
        memcpy(padded, bytes, f.bytes);
        memset(padded + f.bytes, 0, 9);
        bytes = padded;
    }
    if (f.width)
        unpack(bytes, v, n, &f);
    else
        for (size_t i = 0; i < n; i++)
            v[i] = f.least;
}

static void read_packed(gp_wire_reader *in, uint64_t *v, size_t n)
{
    for (size_t at = 0; at < n && !in->bad; at += BLOCK)
        read_block(in, v + at, min_size(BLOCK, n - at));
}

/* ---- delta --------------------------------------------------------------------------------------------- */

/* The first value stands apart: it may be far from the differences, and would make its block wide. */
static void differences(const uint64_t *v, uint64_t *d, size_t n)
{
    d[0] = v[0];
    for (size_t i = 1; i < n; i++)
        d[i] = zigzag(v[i] - v[i - 1]);
}

static size_t delta_size(const uint64_t *d, size_t n)
{
    return gp_varint_len(d[0]) + packed_size(d + 1, n - 1);
}

static void write_delta(gp_buf *out, const uint64_t *d, size_t n)
{
    gp_varint_write(out, d[0]);
    write_packed(out, d + 1, n - 1);
}

static void add_up(uint64_t *v, size_t n)
{
    for (size_t i = 1; i < n; i++)
        v[i] = v[i - 1] + unzigzag(v[i]);
}

static void read_delta(gp_wire_reader *in, uint64_t *v, size_t n)
{
    v[0] = gp_varint_read(in);
    read_packed(in, v + 1, n - 1);
    add_up(v, in->bad ? 0 : n);
}

/* ---- dictionary ---------------------------------------------------------------------------------------- */

/* Which values there are, and how many of them come before each word of the map. */
typedef struct value_map {
    uint64_t has[DICT_WORDS];
    uint16_t before[DICT_WORDS];
    size_t n;
} value_map;

static void map_values(value_map *m, const uint64_t *v, size_t n)
{
    memset(m, 0, sizeof *m);
    for (size_t i = 0; i < n; i++)
        m->has[v[i] / 64] |= UINT64_C(1) << (v[i] & 63);
    for (size_t w = 0; w < DICT_WORDS; w++) {
        m->before[w] = (uint16_t)m->n;
        m->n += (size_t)__builtin_popcountll(m->has[w]);
    }
}

static uint64_t place_of(const value_map *m, uint64_t v)
{
    uint64_t lower = m->has[v / 64] & ((UINT64_C(1) << (v & 63)) - 1);
    return m->before[v / 64] + (uint64_t)__builtin_popcountll(lower);
}

/* The distinct values in order, as differences. */
static void list_values(const value_map *m, uint64_t *values)
{
    size_t at = 0;
    for (size_t w = 0; w < DICT_WORDS; w++)
        for (uint64_t left = m->has[w]; left; left &= left - 1)
            values[at++] = w * 64 + (uint64_t)__builtin_ctzll(left);
}

typedef struct dictionary {
    uint64_t values[GP_INTCOL_MAX]; /* differences */
    uint64_t places[GP_INTCOL_MAX];
    size_t n;
} dictionary;

static void make_dictionary(dictionary *d, const uint64_t *v, size_t n)
{
    value_map m;
    uint64_t values[GP_INTCOL_MAX] = {0};
    map_values(&m, v, n);
    list_values(&m, values);
    d->n = m.n;
    differences(values, d->values, d->n);
    for (size_t i = 0; i < n; i++)
        d->places[i] = place_of(&m, v[i]);
}

static size_t dictionary_size(const dictionary *d, size_t n)
{
    return gp_varint_len(d->n) + delta_size(d->values, d->n) + packed_size(d->places, n);
}

/* Writes, mode and all, only what is shorter than `size`. */
static bool write_dictionary(gp_buf *out, const uint64_t *v, size_t n, size_t size)
{
    dictionary d = {.n = 0};
    make_dictionary(&d, v, n);
    if (dictionary_size(&d, n) >= size)
        return false;
    gp_buf_putc(out, DICTIONARY);
    gp_varint_write(out, d.n);
    write_delta(out, d.values, d.n);
    write_packed(out, d.places, n);
    return true;
}

static void read_dictionary(gp_wire_reader *in, uint64_t *v, size_t n)
{
    uint64_t values[GP_INTCOL_MAX] = {0};
    uint64_t count = gp_varint_read(in);
    if (count == 0 || count > n) {
        in->bad = true;
        return;
    }
    read_delta(in, values, (size_t)count);
    read_packed(in, v, n);
    for (size_t i = 0; i < n && !in->bad; i++) {
        in->bad = v[i] >= count;
        v[i] = in->bad ? 0 : values[v[i]];
    }
}

/* ---- the choice ---------------------------------------------------------------------------------------- */

static uint64_t greatest(const uint64_t *v, size_t n)
{
    uint64_t most = 0;
    for (size_t i = 0; i < n; i++)
        most = v[i] > most ? v[i] : most;
    return most;
}

void gp_intcol_write(gp_buf *out, const uint64_t *v, size_t n)
{
    uint64_t delta[GP_INTCOL_MAX];
    if (n == 0)
        return;
    frame whole = frame_of(v, n);
    if (whole.width == 0) {
        gp_buf_putc(out, CONSTANT);
        gp_varint_write(out, v[0]);
        return;
    }
    size_t packed = packed_size(v, n);
    differences(v, delta, n);
    size_t by_delta = delta_size(delta, n);
    size_t size = min_size(packed, by_delta);
    /* Values in few bits gain nothing from a dictionary, and looking costs more than they do. */
    bool few = whole.width > 2 && greatest(v, n) < DICT_DOMAIN;
    if (few && write_dictionary(out, v, n, size))
        return;
    gp_buf_putc(out, (char)(by_delta < packed ? DELTA : PACKED));
    if (by_delta < packed)
        write_delta(out, delta, n);
    else
        write_packed(out, v, n);
}

bool gp_intcol_read(gp_wire_reader *in, uint64_t *v, size_t n)
{
    if (n == 0)
        return !in->bad;
    if (n > GP_INTCOL_MAX)
        in->bad = true;
    const uint8_t *kind = gp_wire_take(in, 1);
    switch (kind ? *kind : UINT8_MAX) {
    case CONSTANT: {
        uint64_t value = gp_varint_read(in);
        for (size_t i = 0; i < n; i++)
            v[i] = value;
        break;
    }
    case PACKED:
        read_packed(in, v, n);
        break;
    case DELTA:
        read_delta(in, v, n);
        break;
    case DICTIONARY:
        read_dictionary(in, v, n);
        break;
    default:
        in->bad = true;
    }
    return !in->bad;
}
