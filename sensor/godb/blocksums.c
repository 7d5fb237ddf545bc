#include "sensor/godb/blocksums.h"

enum { VERSION = 2, N_SUMS = GP_COL_COUNT - GP_COL_ATTR_COUNT, CHECK_SIZE = 4 };

/* Of n values of w bytes each: what the sum may need at most. */
static size_t sum_width(const gp_block_info *b, unsigned i)
{
    enum { WIDEST = 8 };
    const uint64_t n = b->n_v4 + b->n_v6;
    uint64_t width = (b->col[GP_COL_ATTR_COUNT + i].raw_len - UINT64_C(1)) / n;
    for (uint64_t values = n - 1; values > 0; values >>= 8)
        width++;
    return width > WIDEST ? WIDEST : (size_t)width;
}

size_t gp_blocksums_size(const gp_block_info *b)
{
    size_t size = CHECK_SIZE;
    if (b->n_v4 + b->n_v6 == 0)
        return 0;
    for (unsigned i = 0; i < N_SUMS; i++)
        size += sum_width(b, i);
    return size;
}

static uint8_t *put(uint8_t *p, uint64_t v, size_t width)
{
    while (width-- > 0)
        *p++ = (uint8_t)(v >> 8 * width);
    return p;
}

static uint64_t get(const uint8_t **p, size_t width)
{
    uint64_t v = 0;
    while (width-- > 0)
        v = v << 8 | *(*p)++;
    return v;
}

void gp_blocksums_put(gp_buf *out, uint64_t fingerprint, const gp_block_info *b, const gp_counters *sum)
{
    const uint64_t sums[N_SUMS] = {sum->bytes_rcvd, sum->bytes_sent, sum->pkts_rcvd, sum->pkts_sent};
    uint8_t record[GP_BLOCKSUMS_MAX];
    uint8_t *p = record;
    bool fits = true;
    if (gp_blocksums_size(b) == 0)
        return;
    for (unsigned i = 0; i < N_SUMS; i++) {
        const size_t width = sum_width(b, i);
        fits = fits && (width == 8 || sums[i] >> 8 * width == 0);
        p = put(p, sums[i], width);
    }
    /* What the columns cannot add up to must not count. */
    const uint64_t check = gp_block_check(fingerprint, VERSION, record, (size_t)(p - record));
    p = put(p, fits ? check : ~check, CHECK_SIZE);
    gp_buf_add(out, record, (size_t)(p - record));
}

static void decode_one(const uint8_t *p, size_t size, const gp_block_info *b, uint64_t fingerprint,
                       gp_block_sum *out)
{
    const uint8_t *check = p + size - CHECK_SIZE;
    uint64_t sums[N_SUMS];
    const uint64_t want = gp_block_check(fingerprint, VERSION, p, size - CHECK_SIZE) & UINT32_MAX;
    for (unsigned i = 0; i < N_SUMS; i++)
        sums[i] = get(&p, sum_width(b, i));
    out->c = (gp_counters){sums[0], sums[1], sums[2], sums[3]};
    out->known = get(&check, CHECK_SIZE) == want;
}

static bool is_same(const gp_counters *a, const gp_counters *b)
{
    return a->bytes_rcvd == b->bytes_rcvd && a->bytes_sent == b->bytes_sent && a->pkts_rcvd == b->pkts_rcvd &&
           a->pkts_sent == b->pkts_sent;
}

size_t gp_blocksums_decode(const uint8_t *data, size_t len, const gp_blockmeta *m, gp_block_sum *sums)
{
    gp_counters total = {0};
    uint64_t fingerprint = GP_FINGERPRINT_START;
    size_t known = 0;
    size_t at = 0;
    for (size_t i = 0; i < m->n_blocks; i++) {
        const gp_block_info *b = &m->blocks[i];
        const size_t size = gp_blocksums_size(b);
        sums[i] = (gp_block_sum){.known = size == 0};
        fingerprint = gp_block_fingerprint(fingerprint, b);
        if (size > 0 && size <= len - at)
            decode_one(data + at, size, b, fingerprint, &sums[i]);
        at += size < len - at ? size : len - at;
        if (!sums[i].known)
            continue;
        gp_counters_add(&total, &sums[i].c);
        known++;
    }
    if (known < m->n_blocks || is_same(&total, &m->sum.c))
        return known;
    for (size_t i = 0; i < m->n_blocks; i++)
        sums[i].known = false;
    return 0;
}
