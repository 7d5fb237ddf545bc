#include "sensor/godb/blocksums.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    N_SUMS = GP_COL_COUNT - GP_COL_ATTR_COUNT,
    SUMS_SIZE = 8 * N_SUMS,
    FINGERPRINTED = 8 + 3 * 4 + GP_COL_COUNT * 9 /* bytes a block */
};

static uint8_t *put32(uint8_t *p, uint64_t v)
{
    const uint32_t be = __builtin_bswap32((uint32_t)v);
    memcpy(p, &be, sizeof be);
    return p + sizeof be;
}

static uint8_t *put64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

uint64_t gp_blocksums_fingerprint(uint64_t before, const gp_block_info *b)
{
    uint8_t bytes[FINGERPRINTED];
    uint8_t *p = put64(bytes, (uint64_t)b->ts);
    p = put32(p, b->n_v4);
    p = put32(p, b->n_v6);
    p = put32(p, b->drops);
    for (unsigned col = 0; col < GP_COL_COUNT; col++) {
        p = put32(p, b->col[col].len);
        p = put32(p, b->col[col].raw_len);
        *p++ = b->col[col].codec;
    }
    return XXH3_64bits_withSeed(bytes, sizeof bytes, before);
}

void gp_blocksums_put(gp_buf *out, uint64_t fingerprint, const gp_counters *sum)
{
    uint8_t record[GP_BLOCKSUMS_RECORD];
    uint8_t *p = put64(record, sum->bytes_rcvd);
    p = put64(p, sum->bytes_sent);
    p = put64(p, sum->pkts_rcvd);
    p = put64(p, sum->pkts_sent);
    put64(p, XXH3_64bits_withSeed(record, SUMS_SIZE, fingerprint));
    gp_buf_add(out, record, sizeof record);
}

static bool is_same(const gp_counters *a, const gp_counters *b)
{
    return a->bytes_rcvd == b->bytes_rcvd && a->bytes_sent == b->bytes_sent && a->pkts_rcvd == b->pkts_rcvd &&
           a->pkts_sent == b->pkts_sent;
}

size_t gp_blocksums_decode(const uint8_t *data, size_t len, const gp_blockmeta *m, gp_block_sum *sums)
{
    gp_counters total = {0};
    uint64_t fingerprint = GP_BLOCKSUMS_VERSION;
    size_t known = 0;
    for (size_t i = 0; i < m->n_blocks; i++) {
        sums[i] = (gp_block_sum){0};
        if (len / GP_BLOCKSUMS_RECORD <= i)
            continue;
        const uint8_t *p = data + i * GP_BLOCKSUMS_RECORD;
        fingerprint = gp_blocksums_fingerprint(fingerprint, &m->blocks[i]);
        if (XXH3_64bits_withSeed(p, SUMS_SIZE, fingerprint) != get64(p + SUMS_SIZE))
            continue;
        sums[i] = (gp_block_sum){{get64(p), get64(p + 8), get64(p + 16), get64(p + 24)}, true};
        gp_counters_add(&total, &sums[i].c);
        known++;
    }
    if (known < m->n_blocks || is_same(&total, &m->sum.c))
        return known;
    for (size_t i = 0; i < m->n_blocks; i++)
        sums[i].known = false;
    return 0;
}
