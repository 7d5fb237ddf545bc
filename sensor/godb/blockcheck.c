#include "sensor/godb/blockcheck.h"

#include "sensor/godb/bigendian.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { FINGERPRINTED = 8 + 3 * 4 + GP_COL_COUNT * 9 /* bytes a block */ };

static uint8_t *put32(uint8_t *p, uint64_t v)
{
    gp_store_be32(p, (uint32_t)v);
    return p + sizeof(uint32_t);
}

static uint8_t *put64(uint8_t *p, uint64_t v)
{
    gp_store_be64(p, v);
    return p + sizeof v;
}

uint64_t gp_block_fingerprint(uint64_t before, const gp_block_info *b)
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

uint64_t gp_block_check(uint64_t fingerprint, unsigned version, const uint8_t *record, size_t len)
{
    return XXH3_64bits_withSeed(record, len, fingerprint + version);
}
