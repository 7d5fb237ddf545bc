#include "sensor/godb/flowread.h"

#include "sensor/godb/bitpack.h"

#include <stdlib.h>
#include <string.h>

struct gp_flowread {
    gp_codec *codec;
    gp_buf raw; /* one column */
    gp_flow *flows;
    size_t cap;
};

gp_code gp_flowread_new(gp_flowread **out, gp_error *err)
{
    gp_flowread *r = calloc(1, sizeof *r);
    if (!r)
        return gp_fail(err, GP_ENOMEM, "out of memory for reading flows");
    gp_code code = gp_codec_new(&r->codec, err);
    if (code != GP_OK) {
        free(r);
        return code;
    }
    *out = r;
    return GP_OK;
}

void gp_flowread_free(gp_flowread *r)
{
    if (!r)
        return;
    gp_codec_free(r->codec);
    gp_buf_free(&r->raw);
    free(r->flows);
    free(r);
}

static void take_addrs(gp_flow *flows, size_t field, const uint8_t *at, size_t n, uint8_t len)
{
    for (size_t i = 0; i < n; i++, at += len) {
        gp_addr *a = (gp_addr *)((char *)&flows[i] + field);
        *a = (gp_addr){.len = len};
        memcpy(a->bytes, at, len);
    }
}

static void take_column(gp_flow *flows, const gp_block_info *b, gp_column col, const uint8_t *raw)
{
    size_t n_v4 = (size_t)b->n_v4;
    size_t n = n_v4 + (size_t)b->n_v6;
    if (col == GP_COL_SIP || col == GP_COL_DIP) {
        size_t field = col == GP_COL_SIP ? offsetof(gp_flow, sip) : offsetof(gp_flow, dip);
        take_addrs(flows, field, raw, n_v4, 4);
        take_addrs(flows + n_v4, field, raw + 4 * n_v4, n - n_v4, 16);
    } else if (col == GP_COL_PROTO) {
        for (size_t i = 0; i < n; i++)
            flows[i].proto = raw[i];
    } else {
        for (size_t i = 0; i < n; i++)
            flows[i].dport = (uint16_t)(raw[2 * i] << 8 | raw[2 * i + 1]);
    }
}

static void take_counter(gp_flow *flows, size_t n, gp_column col, const uint8_t *raw)
{
    const gp_packed_column c = gp_packed(raw);
    for (size_t i = 0; i < n; i++) {
        uint64_t *const counters[] = {&flows[i].c.bytes_rcvd, &flows[i].c.bytes_sent, &flows[i].c.pkts_rcvd,
                                      &flows[i].c.pkts_sent};
        *counters[col - GP_COL_ATTR_COUNT] = gp_packed_at(&c, i);
    }
}

/* Decodes a column into r->raw; it has as many values as the block has flows. */
static gp_code decode_column(gp_flowread *r, gp_day *day, size_t block, gp_column col, gp_error *err)
{
    const gp_block_info *b = &gp_day_meta(day)->blocks[block];
    gp_code code = gp_day_read_column(day, r->codec, block, col, &r->raw, err);
    if (code == GP_OK)
        code = gp_block_check_column(b, col, (const uint8_t *)r->raw.data, r->raw.len, err);
    return code;
}

static gp_code read_column(gp_flowread *r, gp_day *day, size_t block, gp_column col, gp_error *err)
{
    const gp_block_info *b = &gp_day_meta(day)->blocks[block];
    gp_code code = decode_column(r, day, block, col, err);
    if (code != GP_OK)
        return code;
    if (col < GP_COL_ATTR_COUNT)
        take_column(r->flows, b, col, (const uint8_t *)r->raw.data);
    else
        take_counter(r->flows, (size_t)(b->n_v4 + b->n_v6), col, (const uint8_t *)r->raw.data);
    return GP_OK;
}

/* Makes room for n rows. Every column is decoded before: a count that lies fails before memory is sized by
 * it. */
static gp_code reserve(gp_flowread *r, gp_day *day, size_t block, size_t n, gp_error *err)
{
    gp_code code = GP_OK;
    for (unsigned col = 0; col < GP_COL_COUNT && code == GP_OK; col++)
        code = decode_column(r, day, block, (gp_column)col, err);
    if (code != GP_OK)
        return code;
    gp_flow *more = realloc(r->flows, n * sizeof *more);
    if (!more)
        return gp_fail(err, GP_ENOMEM, "out of memory for a block of %zu flows", n);
    r->flows = more;
    r->cap = n;
    return GP_OK;
}

gp_code gp_flowread_block(gp_flowread *r, gp_day *day, size_t block, const gp_flow **flows, size_t *n,
                          gp_error *err)
{
    const gp_block_info *b = &gp_day_meta(day)->blocks[block];
    size_t rows = (size_t)(b->n_v4 + b->n_v6);
    gp_code code = rows > r->cap ? reserve(r, day, block, rows, err) : GP_OK;
    for (unsigned col = 0; col < GP_COL_COUNT && rows && code == GP_OK; col++)
        code = read_column(r, day, block, (gp_column)col, err);
    if (code != GP_OK)
        return gp_error_prefix(err, "%s: block %lld", gp_day_path(day), (long long)b->ts);
    *flows = r->flows;
    *n = rows;
    return GP_OK;
}
