#include "sensor/godb/blockcheck.h"

#include "sensor/godb/bigendian.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { FINGERPRINTED = 8 + 3 * 4 + GP_COL_COUNT * 9 /* bytes a block */ };

uint64_t gp_block_fingerprint(uint64_t before, const gp_block_info *b)
{
    uint8_t bytes[FINGERPRINTED];
    uint8_t *p = gp_put_be64(bytes, (uint64_t)b->ts);
    p = gp_put_be32(p, (uint32_t)b->n_v4);
    p = gp_put_be32(p, (uint32_t)b->n_v6);
    p = gp_put_be32(p, (uint32_t)b->drops);
    for (unsigned col = 0; col < GP_COL_COUNT; col++) {
        p = gp_put_be32(p, b->col[col].len);
        p = gp_put_be32(p, b->col[col].raw_len);
        *p++ = b->col[col].codec;
    }
    return XXH3_64bits_withSeed(bytes, sizeof bytes, before);
}

uint64_t gp_block_check(uint64_t fingerprint, unsigned version, const uint8_t *record, size_t len)
{
    return XXH3_64bits_withSeed(record, len, fingerprint + version);
}
