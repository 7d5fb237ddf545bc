#include "sensor/godb/blockmeta.h"

#include "sensor/godb/bigendian.h"
#include "sensor/godb/bitpack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADER_SIZE = 72, /* version, number of blocks, 3 counts, 4 counters: nine 64-bit words */
    COLUMN_HEAD = 8,  /* end offset */
    COLUMN_ENTRY = 9, /* length, raw length, codec */
    FIRST_TS_SIZE = 8,
    TRAFFIC_ENTRY = 16, /* IPv4 flows, IPv6 flows, drops, seconds since the block before */
    EMPTY_SIZE = HEADER_SIZE + GP_COL_COUNT * COLUMN_HEAD + FIRST_TS_SIZE,
    BLOCK_SIZE = GP_COL_COUNT * COLUMN_ENTRY + TRAFFIC_ENTRY
};

void gp_blockmeta_init(gp_blockmeta *m)
{
    *m = (gp_blockmeta){.version = GP_BLOCKMETA_VERSION};
}

void gp_blockmeta_free(gp_blockmeta *m)
{
    free(m->blocks);
    gp_blockmeta_init(m);
}

static void decode_header(const uint8_t *p, gp_blockmeta *m)
{
    m->version = gp_load_be64(p);
    m->sum.n_v4 = gp_load_be64(p + 16);
    m->sum.n_v6 = gp_load_be64(p + 24);
    m->sum.drops = gp_load_be64(p + 32);
    m->sum.c =
        (gp_counters){gp_load_be64(p + 40), gp_load_be64(p + 48), gp_load_be64(p + 56), gp_load_be64(p + 64)};
}

static const uint8_t *decode_column(const uint8_t *p, gp_blockmeta *m, unsigned col)
{
    uint64_t offset = 0;
    m->col_end[col] = gp_load_be64(p);
    p += COLUMN_HEAD;
    for (size_t i = 0; i < m->n_blocks; i++, p += COLUMN_ENTRY) {
        m->blocks[i].col[col] = (gp_block_loc){offset, gp_load_be32(p), gp_load_be32(p + 4), p[8]};
        offset += gp_load_be32(p);
    }
    return p;
}

/* Times are bounded here, once, so that whoever computes with them cannot overflow. */
static gp_code decode_traffic(const uint8_t *p, gp_blockmeta *m, gp_error *err)
{
    uint64_t ts = gp_load_be64(p);
    p += FIRST_TS_SIZE;
    for (size_t i = 0; i < m->n_blocks; i++, p += TRAFFIC_ENTRY) {
        ts += gp_load_be32(p + 12);
        if (ts > GP_BLOCK_TS_MAX)
            return gp_fail(err, GP_ECORRUPT, "block %zu has the time %llu, beyond the year 9999", i,
                           (unsigned long long)ts);
        m->blocks[i].ts = (int64_t)ts;
        m->blocks[i].n_v4 = gp_load_be32(p);
        m->blocks[i].n_v6 = gp_load_be32(p + 4);
        m->blocks[i].drops = gp_load_be32(p + 8);
    }
    return GP_OK;
}

gp_code gp_blockmeta_decode(const uint8_t *data, size_t len, gp_blockmeta *out, gp_error *err)
{
    gp_blockmeta_init(out);
    if (len < EMPTY_SIZE)
        return gp_fail(err, GP_ECORRUPT, "block metadata of %zu bytes is shorter than its header of %d", len,
                       EMPTY_SIZE);
    uint64_t n = gp_load_be64(data + 8);
    if (n > (len - EMPTY_SIZE) / BLOCK_SIZE)
        return gp_fail(err, GP_ECORRUPT, "block metadata of %zu bytes cannot hold the %llu blocks it claims",
                       len, (unsigned long long)n);
    decode_header(data, out);
    if (out->version != GP_BLOCKMETA_VERSION)
        return gp_fail(err, GP_EUNSUPPORTED, "block metadata has version %llu; this program knows version %d",
                       (unsigned long long)out->version, GP_BLOCKMETA_VERSION);
    out->blocks = calloc(n ? n : 1, sizeof *out->blocks);
    if (!out->blocks)
        return gp_fail(err, GP_ENOMEM, "out of memory for the metadata of %llu blocks",
                       (unsigned long long)n);
    out->n_blocks = out->cap_blocks = (size_t)n;
    const uint8_t *p = data + HEADER_SIZE;
    for (unsigned col = 0; col < GP_COL_COUNT; col++)
        p = decode_column(p, out, col);
    return decode_traffic(p, out, err);
}

static uint8_t *encode_header(const gp_blockmeta *m, uint8_t *p)
{
    const uint64_t words[] = {m->version,          m->n_blocks,        m->sum.n_v4,
                              m->sum.n_v6,         m->sum.drops,       m->sum.c.bytes_rcvd,
                              m->sum.c.bytes_sent, m->sum.c.pkts_rcvd, m->sum.c.pkts_sent};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        p = gp_put_be64(p, words[i]);
    return p;
}

static uint8_t *encode_column(const gp_blockmeta *m, unsigned col, uint8_t *p)
{
    p = gp_put_be64(p, m->col_end[col]);
    for (size_t i = 0; i < m->n_blocks; i++) {
        const gp_block_loc *loc = &m->blocks[i].col[col];
        p = gp_put_be32(p, loc->len);
        p = gp_put_be32(p, loc->raw_len);
        *p++ = loc->codec;
    }
    return p;
}

static gp_code encode_traffic(const gp_blockmeta *m, uint8_t *p, gp_error *err)
{
    int64_t last = m->n_blocks ? m->blocks[0].ts : 0;
    p = gp_put_be64(p, (uint64_t)last);
    for (size_t i = 0; i < m->n_blocks; i++) {
        const gp_block_info *b = &m->blocks[i];
        bool rises = b->ts >= last && last >= 0 && b->ts <= GP_BLOCK_TS_MAX && b->ts - last <= UINT32_MAX;
        if (b->n_v4 > UINT32_MAX || b->n_v6 > UINT32_MAX || b->drops > UINT32_MAX || !rises)
            return gp_fail(err, GP_ELIMIT,
                           "block %lld does not fit the metadata format (32-bit counts, rising times)",
                           (long long)b->ts);
        p = gp_put_be32(p, (uint32_t)b->n_v4);
        p = gp_put_be32(p, (uint32_t)b->n_v6);
        p = gp_put_be32(p, (uint32_t)b->drops);
        p = gp_put_be32(p, (uint32_t)(b->ts - last));
        last = b->ts;
    }
    return GP_OK;
}

gp_code gp_blockmeta_encode(const gp_blockmeta *m, gp_buf *out, gp_error *err)
{
    const size_t size = EMPTY_SIZE + m->n_blocks * BLOCK_SIZE;
    if (!gp_buf_reserve(out, size))
        return gp_fail(err, GP_ENOMEM, "out of memory for block metadata");
    uint8_t *p = encode_header(m, (uint8_t *)out->data + out->len);
    for (unsigned col = 0; col < GP_COL_COUNT; col++)
        p = encode_column(m, col, p);
    gp_code code = encode_traffic(m, p, err);
    if (code == GP_OK)
        out->len += size;
    return code;
}

gp_code gp_blockmeta_append(gp_blockmeta *m, const gp_block_info *b, gp_error *err)
{
    if (m->n_blocks == m->cap_blocks) {
        size_t cap = m->cap_blocks ? m->cap_blocks * 2 : 288;
        gp_block_info *blocks = realloc(m->blocks, cap * sizeof *blocks);
        if (!blocks)
            return gp_fail(err, GP_ENOMEM, "out of memory for block metadata");
        m->blocks = blocks;
        m->cap_blocks = cap;
    }
    m->blocks[m->n_blocks++] = *b;
    return GP_OK;
}

static bool parse_summary(const char *text, gp_day_summary *sum)
{
    uint64_t *const fields[] = {&sum->n_v4,         &sum->n_v6,        &sum->drops,      &sum->c.bytes_rcvd,
                                &sum->c.bytes_sent, &sum->c.pkts_rcvd, &sum->c.pkts_sent};
    enum { N = sizeof fields / sizeof fields[0] };
    for (size_t i = 0; i < N; i++) {
        size_t len = strcspn(text, "-");
        if (!gp_bitunpack_text(text, len, fields[i]))
            return false;
        text += len;
        if ((*text == '-') != (i + 1 < N))
            return false;
        text += *text == '-';
    }
    return true;
}

gp_code gp_dayname_parse(const char *name, int64_t *day, gp_day_summary *sum, bool *has_sum, gp_error *err)
{
    char *end = NULL;
    errno = 0;
    *sum = (gp_day_summary){0};
    *has_sum = false;
    long long v = name[0] >= '0' && name[0] <= '9' ? strtoll(name, &end, 10) : -1;
    if (v < 0 || errno || (*end != '\0' && *end != '_'))
        return gp_fail(err, GP_EINVAL, "'%.80s' is not the name of a day folder", name);
    *day = v;
    if (*end == '\0')
        return GP_OK;
    /* A summary that cannot be read costs speed, not data: the metadata file holds the same numbers. */
    *has_sum = parse_summary(end + 1, sum);
    if (!*has_sum)
        *sum = (gp_day_summary){0};
    return GP_OK;
}

size_t gp_dayname_format(int64_t day, const gp_day_summary *sum, char *dst)
{
    const uint64_t fields[] = {sum->n_v4,         sum->n_v6,        sum->drops,      sum->c.bytes_rcvd,
                               sum->c.bytes_sent, sum->c.pkts_rcvd, sum->c.pkts_sent};
    gp_buf b = {.data = dst, .cap = GP_DAYNAME_MAX, .limit = GP_DAYNAME_MAX - 1};
    gp_buf_i64(&b, day);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        char text[GP_BITPACK_TEXT_MAX];
        gp_buf_putc(&b, i ? '-' : '_');
        gp_buf_add(&b, text, gp_bitpack_text(fields[i], text));
    }
    return b.len;
}
