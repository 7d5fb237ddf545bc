#include "sensor/godb/blockfilter.h"

#include "sensor/godb/bigendian.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    VERSION = 1,
    CHECK_SIZE = 8,
    V4 = 4, /* bytes of an address */
    V6 = 16,
    /* Stored bytes of the address columns, for each byte of the filter: they grow with the number of distinct
     * addresses. A filter is less than one percent of its block. */
    COLUMN_SHARE = 50,
    LEAST = 480, /* bytes of a filter: less, and the filter's share is not made up for by our order of rows */
    MOST = 1024 * 1024 /* so that no metadata can size memory */
};

bool gp_blockfilter_suits(uint64_t n_v4, uint64_t n_v6)
{
    return 2 * (n_v4 * V4 + n_v6 * V6) >= (uint64_t)COLUMN_SHARE * LEAST;
}

size_t gp_blockfilter_size(const gp_block_info *b)
{
    const uint64_t size = ((uint64_t)b->col[GP_COL_SIP].len + b->col[GP_COL_DIP].len) / COLUMN_SHARE;
    if (size < LEAST)
        return 0;
    return (size < MOST ? (size_t)size : MOST) + CHECK_SIZE;
}

/* ---- marks --------------------------------------------------------------------------------------------- */

uint32_t gp_addr_mark(int64_t ts, const uint8_t *addr, size_t len)
{
    return (uint32_t)(XXH3_64bits_withSeed(addr, len, (uint64_t)ts) >> 32);
}

void gp_addr_marks_free(gp_addr_marks *m)
{
    free(m->marks);
    *m = (gp_addr_marks){0};
}

void gp_addr_marks_clear(gp_addr_marks *m)
{
    m->n = 0;
    m->failed = false;
}

static bool reserve(gp_addr_marks *m, size_t n)
{
    if (n <= m->cap)
        return true;
    uint32_t *marks = realloc(m->marks, n * sizeof *marks);
    if (!marks)
        return false;
    m->marks = marks;
    m->cap = n;
    return true;
}

static inline bool is_same_addr(const uint8_t *a, const uint8_t *b, size_t width)
{
    if (width == V4)
        return memcmp(a, b, V4) == 0;
    return gp_load_be64(a) == gp_load_be64(b) && gp_load_be64(a + 8) == gp_load_be64(b + 8);
}

/* Of equal neighbours, of which the source addresses have many, one is enough. The width is a constant where
 * this is called, so that hash and comparison become a few instructions. */
static inline __attribute__((always_inline)) size_t add_family(uint32_t *marks, int64_t ts, const uint8_t *v,
                                                               size_t n, size_t width)
{
    size_t added = 0;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *addr = v + i * width;
        if (i == 0 || !is_same_addr(addr, addr - width, width))
            marks[added++] = gp_addr_mark(ts, addr, width);
    }
    return added;
}

void gp_addr_marks_add(gp_addr_marks *m, int64_t ts, const uint8_t *column, size_t n_v4, size_t n_v6)
{
    if (n_v4 + n_v6 == 0)
        return;
    if (m->failed || !reserve(m, m->n + n_v4 + n_v6)) {
        m->failed = true;
        return;
    }
    m->n += add_family(m->marks + m->n, ts, column, n_v4, V4);
    m->n += add_family(m->marks + m->n, ts, column + n_v4 * V4, n_v6, V6);
}

/* ---- records ------------------------------------------------------------------------------------------- */

static size_t bit_of(uint32_t mark, size_t size)
{
    return (size_t)((uint64_t)mark * (8 * size) >> 32);
}

void gp_blockfilter_put(gp_buf *out, uint64_t fingerprint, const gp_block_info *b, const gp_addr_marks *m)
{
    const size_t len = gp_blockfilter_size(b);
    if (len == 0 || !gp_buf_reserve(out, len))
        return;
    const size_t size = len - CHECK_SIZE;
    uint8_t *record = (uint8_t *)out->data + out->len;
    memset(record, 0, len);
    for (size_t i = 0; i < m->n; i++) {
        const size_t bit = bit_of(m->marks[i], size);
        record[bit / 8] |= (uint8_t)(1u << bit % 8);
    }
    const uint64_t check = gp_block_check(fingerprint, VERSION, record, size);
    gp_store_be64(record + size, m->n > 0 && !m->failed ? check : ~check);
    out->len += len;
}

gp_blockfilter gp_blockfilter_open(const uint8_t *record, size_t len, uint64_t fingerprint)
{
    if (len <= CHECK_SIZE)
        return (gp_blockfilter){0};
    const size_t size = len - CHECK_SIZE;
    if (gp_block_check(fingerprint, VERSION, record, size) != gp_load_be64(record + size))
        return (gp_blockfilter){0};
    return (gp_blockfilter){record, size};
}

bool gp_blockfilter_may_have(const gp_blockfilter *f, uint32_t mark)
{
    const size_t bit = f->size ? bit_of(mark, f->size) : 0;
    return f->size == 0 || (f->bits[bit / 8] >> bit % 8 & 1);
}
