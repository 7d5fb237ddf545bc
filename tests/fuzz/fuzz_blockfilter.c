/* Filters of blocks: no record counts for two blocks, whatever is in it; a right one has all of its
 * addresses, and does not count with some bytes changed. */
#include "sensor/godb/blockfilter.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_right(const gp_buf *record, uint64_t fingerprint, int64_t ts, const uint8_t *addrs,
                        size_t n)
{
    const gp_blockfilter f = gp_blockfilter_open((const uint8_t *)record->data, record->len, fingerprint);
    if ((f.size > 0) != (n > 0))
        abort();
    for (size_t i = 0; i < n; i++)
        if (!gp_blockfilter_may_have(&f, gp_addr_mark(ts, addrs + 4 * i, 4)))
            abort();
}

/* The fuzzer sees what a check is compared with and copies it, so that records of its own may count: it has
 * had the secret from us. For another block they still must not. */
static void check_arbitrary(const uint8_t *data, size_t size, uint64_t fingerprint, int64_t ts)
{
    const uint8_t addr[4] = {10, 0, 0, 1};
    const gp_blockfilter f = gp_blockfilter_open(data, size, fingerprint);
    (void)gp_blockfilter_may_have(&f, gp_addr_mark(ts, addr, sizeof addr));
    if (f.size > 0 && gp_blockfilter_open(data, size, fingerprint + 1).size > 0)
        abort();
}

/* Pairs of bytes: where, and what is flipped there. */
static void check_changed(gp_buf *record, uint64_t fingerprint, const uint8_t *data, size_t size)
{
    gp_buf before = GP_BUF_INIT;
    gp_buf_add(&before, record->data, record->len);
    for (size_t i = 0; i + 1 < size; i += 2) {
        const size_t at = data[i] * 3u % record->len;
        record->data[at] = (char)((uint8_t)record->data[at] ^ data[i + 1]);
    }
    const gp_blockfilter f = gp_blockfilter_open((const uint8_t *)record->data, record->len, fingerprint);
    if (memcmp(before.data, record->data, record->len) != 0 && f.size > 0)
        abort();
    gp_buf_free(&before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { STORED = 15000 };
    gp_block_info b = {.ts = 1700000100, .n_v4 = size / 4};
    gp_buf record = GP_BUF_INIT;
    gp_addr_marks marks = {0};
    b.col[GP_COL_SIP].len = b.col[GP_COL_DIP].len = STORED;
    const uint64_t fingerprint = gp_block_fingerprint(GP_FINGERPRINT_START, &b);
    check_arbitrary(data, size, fingerprint, b.ts);
    gp_addr_marks_add(&marks, b.ts, data, size / 4, 0);
    gp_blockfilter_put(&record, fingerprint, &b, &marks);
    if (record.len != gp_blockfilter_size(&b))
        abort();
    check_right(&record, fingerprint, b.ts, data, size / 4);
    if (size >= 4)
        check_changed(&record, fingerprint, data, size);
    gp_addr_marks_free(&marks);
    gp_buf_free(&record);
    return 0;
}
