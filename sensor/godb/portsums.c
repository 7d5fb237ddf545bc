#include "sensor/godb/portsums.h"

#include "sensor/godb/bitpack.h"

#include <stdlib.h>

enum { MOST_CHUNKS = 512 /* 33 MB: a million groups */, N_COUNTERS = GP_COL_COUNT - GP_COL_ATTR_COUNT };

/* The columns of a block that are read. */
typedef struct columns {
    gp_buf raw[GP_COL_COUNT];
} columns;

void gp_portsums_free(gp_portsums *p)
{
    for (size_t i = 0; p && i < GP_PORTSUMS_CHUNKS; i++)
        free(p->chunks[i]);
    free(p);
}

static gp_code read_block(gp_day *d, gp_codec *codec, size_t i, columns *c, gp_error *err)
{
    gp_code code = GP_OK;
    for (unsigned col = GP_COL_PROTO; col < GP_COL_COUNT && code == GP_OK; col++) {
        code = gp_day_read_column(d, codec, i, (gp_column)col, &c->raw[col], err);
        if (code == GP_OK)
            code = gp_block_check_column(&gp_day_meta(d)->blocks[i], (gp_column)col,
                                         (const uint8_t *)c->raw[col].data, c->raw[col].len, err);
    }
    return code;
}

static gp_portsums_chunk *find_chunk(gp_portsums *p, uint32_t place)
{
    gp_portsums_chunk **c = &p->chunks[place / GP_PORTSUMS_CHUNK];
    if (!*c && p->n_chunks < MOST_CHUNKS && (*c = calloc(1, sizeof **c)))
        p->n_chunks++;
    return *c;
}

/* False when a sum overflows, or there are too many groups. */
static bool add_rows(gp_portsums *p, const columns *c, size_t n)
{
    const uint8_t *proto = (const uint8_t *)c->raw[GP_COL_PROTO].data;
    const uint8_t *dport = (const uint8_t *)c->raw[GP_COL_DPORT].data;
    gp_packed_column counters[N_COUNTERS];
    bool overflows = false;
    for (unsigned i = 0; i < N_COUNTERS; i++)
        counters[i] = gp_packed((const uint8_t *)c->raw[GP_COL_ATTR_COUNT + i].data);
    for (size_t row = 0; row < n; row++) {
        const uint32_t place =
            (uint32_t)proto[row] << 16 | (uint32_t)dport[2 * row] << 8 | dport[2 * row + 1];
        const uint32_t at = place % GP_PORTSUMS_CHUNK;
        gp_portsums_chunk *chunk = find_chunk(p, place);
        if (!chunk)
            return false;
        gp_counters *s = &chunk->sums[at];
        uint64_t *const sums[N_COUNTERS] = {&s->bytes_rcvd, &s->bytes_sent, &s->pkts_rcvd, &s->pkts_sent};
        chunk->present[at / 64] |= UINT64_C(1) << at % 64;
        for (unsigned i = 0; i < N_COUNTERS; i++)
            overflows |= __builtin_add_overflow(*sums[i], gp_packed_at(&counters[i], row), sums[i]);
    }
    return !overflows;
}

static gp_code add_blocks(gp_day *d, gp_codec *codec, gp_portsums *p, gp_error *err)
{
    const gp_blockmeta *m = gp_day_meta(d);
    columns c = {0};
    gp_code code = GP_OK;
    for (size_t i = 0; i < m->n_blocks && code == GP_OK; i++) {
        const size_t n = (size_t)(m->blocks[i].n_v4 + m->blocks[i].n_v6);
        if (n == 0)
            continue;
        code = read_block(d, codec, i, &c, err);
        if (code == GP_OK && !add_rows(p, &c, n))
            code = gp_fail(err, GP_ELIMIT,
                           "'%s' has too many ports and protocols, or too large counters, to sum up",
                           gp_day_path(d));
    }
    for (unsigned col = 0; col < GP_COL_COUNT; col++)
        gp_buf_free(&c.raw[col]);
    return code;
}

gp_code gp_portsums_of_day(gp_day *d, gp_codec *codec, gp_portsums **out, gp_error *err)
{
    gp_portsums *p = calloc(1, sizeof *p);
    if (!p)
        return gp_fail(err, GP_ENOMEM, "out of memory for the ports of a day");
    gp_code code = add_blocks(d, codec, p, err);
    if (code != GP_OK) {
        gp_portsums_free(p);
        return code;
    }
    *out = p;
    return GP_OK;
}
