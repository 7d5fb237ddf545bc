/* Sums of blocks: arbitrary records, and right ones with some bytes changed, of which none may count. */
#include "sensor/godb/blocksums.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_BLOCKS = 16 };

static void make_block(gp_blockmeta *m, gp_buf *records, uint64_t *fingerprint, uint8_t seed)
{
    gp_block_info b = {.ts = 1700000100 + (int64_t)m->n_blocks * 300, .n_v4 = seed, .n_v6 = 1};
    const gp_counters sum = {seed, 2, 3, 4}; /* three bytes hold each: rows are as wide as raw_len says */
    for (unsigned col = 0; col < GP_COL_COUNT; col++)
        b.col[col] = (gp_block_loc){.len = seed + col, .raw_len = 2 * (seed + 1u) + 1, .codec = GP_CODEC_LZ4};
    if (gp_blockmeta_append(m, &b, NULL) != GP_OK)
        abort();
    gp_counters_add(&m->sum.c, &sum);
    *fingerprint = gp_block_fingerprint(*fingerprint, &b);
    gp_blocksums_put(records, *fingerprint, &b, &sum);
}

/* Pairs of bytes: where, and what is flipped there. */
static void change(gp_buf *records, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i + 1 < size; i += 2) {
        size_t at = data[i] * 3u % records->len;
        records->data[at] = (char)((uint8_t)records->data[at] ^ data[i + 1]);
    }
}

static void check_changed(const gp_blockmeta *m, gp_buf *records, const uint8_t *data, size_t size)
{
    gp_block_sum sums[MAX_BLOCKS];
    gp_buf before = GP_BUF_INIT;
    gp_buf_add(&before, records->data, records->len);
    change(records, data, size);
    (void)gp_blocksums_decode((const uint8_t *)records->data, records->len, m, sums);
    size_t at = 0;
    for (size_t i = 0; i < m->n_blocks; i++) {
        const size_t len = gp_blocksums_size(&m->blocks[i]);
        if (sums[i].known != (memcmp(before.data + at, records->data + at, len) == 0))
            abort();
        at += len;
    }
    gp_buf_free(&before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gp_blockmeta m;
    gp_buf records = GP_BUF_INIT;
    gp_block_sum sums[MAX_BLOCKS];
    uint64_t fingerprint = GP_FINGERPRINT_START;
    if (size < 2)
        return 0;
    gp_blockmeta_init(&m);
    for (unsigned i = 0; i <= data[0] % MAX_BLOCKS; i++)
        make_block(&m, &records, &fingerprint, (uint8_t)(data[1] + i));
    if (gp_blocksums_decode((const uint8_t *)records.data, records.len, &m, sums) != m.n_blocks)
        abort();
    check_changed(&m, &records, data + 2, size - 2);
    (void)gp_blocksums_decode(data + 2, size - 2, &m, sums);
    gp_blockmeta_free(&m);
    gp_buf_free(&records);
    return 0;
}
