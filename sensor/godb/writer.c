#include "sensor/godb/writer.h"

#include "sensor/godb/bitpack.h"
#include "sensor/godb/daypath.h"
#include "sensor/godb/flowsort.h"

#include <stdlib.h>
#include <string.h>

struct gp_writer {
    gp_writer_config cfg;
    char *db, *iface;
    gp_codec *codec;
    gp_appender *open; /* the day written to last; NULL: none */
    int64_t open_day;
    gp_flowsort sort;
    gp_buf raw, packed; /* one column */
};

gp_code gp_writer_new(gp_writer **out, const gp_writer_config *cfg, gp_error *err)
{
    char path[GP_DB_PATH_MAX];
    gp_code code = gp_iface_path(cfg->db, cfg->iface, path, err);
    if (code != GP_OK)
        return code;
    gp_writer *w = calloc(1, sizeof *w);
    if (!w)
        return gp_fail(err, GP_ENOMEM, "out of memory for a database writer");
    w->cfg = *cfg;
    w->cfg.db = w->db = strdup(cfg->db);
    w->cfg.iface = w->iface = strdup(cfg->iface);
    code = w->db && w->iface ? gp_codec_new(&w->codec, err)
                             : gp_fail(err, GP_ENOMEM, "out of memory for a database writer");
    if (code != GP_OK) {
        gp_writer_free(w);
        return code;
    }
    *out = w;
    return GP_OK;
}

void gp_writer_free(gp_writer *w)
{
    if (!w)
        return;
    gp_appender_close(w->open);
    gp_codec_free(w->codec);
    gp_flowsort_free(&w->sort);
    gp_buf_free(&w->raw);
    gp_buf_free(&w->packed);
    free(w->db);
    free(w->iface);
    free(w);
}

/* ---- encoding ------------------------------------------------------------------------------------------ */

/* What is known of a block before its columns are encoded. */
typedef struct block {
    int64_t ts;
    const gp_flow *flows;
    size_t n;
    gp_day_summary sum;
    gp_counters bits; /* of each counter all values or-ed: as wide as the widest */
} block;

static void summarize(block *b)
{
    for (size_t i = 0; i < b->n; i++) {
        const gp_counters *c = &b->flows[i].c;
        gp_counters_add(&b->sum.c, c);
        b->bits.bytes_rcvd |= c->bytes_rcvd;
        b->bits.bytes_sent |= c->bytes_sent;
        b->bits.pkts_rcvd |= c->pkts_rcvd;
        b->bits.pkts_sent |= c->pkts_sent;
        b->sum.n_v4 += b->flows[i].sip.len == 4;
    }
    b->sum.n_v6 = b->n - b->sum.n_v4;
}

static size_t encode_addrs(const block *b, size_t field, uint8_t *dst)
{
    uint8_t *at = dst;
    for (size_t i = 0; i < b->n; i++) {
        const gp_addr *a = (const gp_addr *)((const char *)&b->flows[i] + field);
        memcpy(at, a->bytes, sizeof a->bytes); /* the next one overwrites what is too much */
        at += a->len;
    }
    return (size_t)(at - dst);
}

static size_t encode_protos(const block *b, uint8_t *dst)
{
    for (size_t i = 0; i < b->n; i++)
        dst[i] = b->flows[i].proto;
    return b->n;
}

static size_t encode_ports(const block *b, uint8_t *dst)
{
    for (size_t i = 0; i < b->n; i++) {
        dst[2 * i] = (uint8_t)(b->flows[i].dport >> 8);
        dst[2 * i + 1] = (uint8_t)b->flows[i].dport;
    }
    return 2 * b->n;
}

/* `first` is the counter of the first flow. */
static size_t encode_counter(const block *b, const uint64_t *first, uint64_t bits, uint8_t *dst)
{
    return gp_bitpack(first, sizeof *b->flows, b->n, bits, dst);
}

static size_t encode(const block *b, gp_column col, uint8_t *dst)
{
    switch (col) {
    case GP_COL_SIP:
        return encode_addrs(b, offsetof(gp_flow, sip), dst);
    case GP_COL_DIP:
        return encode_addrs(b, offsetof(gp_flow, dip), dst);
    case GP_COL_PROTO:
        return encode_protos(b, dst);
    case GP_COL_DPORT:
        return encode_ports(b, dst);
    case GP_COL_BYTES_RCVD:
        return encode_counter(b, &b->flows->c.bytes_rcvd, b->bits.bytes_rcvd, dst);
    case GP_COL_BYTES_SENT:
        return encode_counter(b, &b->flows->c.bytes_sent, b->bits.bytes_sent, dst);
    case GP_COL_PKTS_RCVD:
        return encode_counter(b, &b->flows->c.pkts_rcvd, b->bits.pkts_rcvd, dst);
    default:
        return encode_counter(b, &b->flows->c.pkts_sent, b->bits.pkts_sent, dst);
    }
}

/* The raw bytes of one column into w->raw. */
static gp_code encode_column(gp_writer *w, const block *b, gp_column col, gp_error *err)
{
    enum { WIDEST = 16 }; /* an address; every encoder may write as much behind its end */
    gp_buf_clear(&w->raw);
    if (!gp_buf_reserve(&w->raw, (b->n + 1) * WIDEST))
        return gp_fail(err, GP_ENOMEM, "out of memory for a column of %zu flows", b->n);
    w->raw.len = encode(b, col, (uint8_t *)w->raw.data);
    return GP_OK;
}

/*
 * v4 has level 6 for everything. Rows sorted as flowsort.h does take no more room at lower levels, in half
 * the time: destination addresses and byte counts hardly repeat, however deep one looks, and protocols repeat
 * wherever one looks. The smaller a block, the more its sums and its filter weigh, and the less time there is
 * to save: such blocks are searched deeper.
 */
static int choose_level(const gp_writer_config *cfg, gp_column col, size_t n_flows)
{
    enum { FEW = 400, MANY = 5500, FEW_LEVEL = 6, ZSTD_LEVEL = 4 };
    static const int lz4_levels[][GP_COL_COUNT] = {
        /* sip, dip, proto, dport, bytes_rcvd, bytes_sent, pkts_rcvd, pkts_sent */
        {5, 2, 4, 4, 2, 2, 4, 4},
        {4, 2, 3, 4, 2, 2, 4, 4},
    };
    if (cfg->level > 0)
        return cfg->level;
    if (n_flows < FEW)
        return FEW_LEVEL;
    return cfg->codec == GP_CODEC_LZ4 ? lz4_levels[n_flows >= MANY][col] : ZSTD_LEVEL;
}

static gp_code store_column(gp_writer *w, const block *b, gp_column col, uint64_t *stored, gp_error *err)
{
    size_t bound = gp_codec_bound(w->cfg.codec, w->raw.len);
    size_t len = 0;
    gp_buf_clear(&w->packed);
    if (!gp_buf_reserve(&w->packed, bound))
        return gp_fail(err, GP_ENOMEM, "out of memory for compressing %zu bytes", w->raw.len);
    gp_code code = gp_codec_compress(w->codec, w->cfg.codec, choose_level(&w->cfg, col, b->n),
                                     (const uint8_t *)w->raw.data, w->raw.len, (uint8_t *)w->packed.data,
                                     bound, &len, err);
    if (code != GP_OK)
        return code;
    bool grew = len > w->raw.len; /* incompressible: stored as it is */
    *stored = grew ? w->raw.len : len;
    return gp_appender_column(w->open, col, grew ? GP_CODEC_NULL : w->cfg.codec,
                              grew ? w->raw.data : w->packed.data, (uint32_t)*stored, (uint32_t)w->raw.len,
                              err);
}

static gp_code store_columns(gp_writer *w, const block *b, gp_block_stats *stats, gp_error *err)
{
    gp_code code = GP_OK;
    for (unsigned i = 0; b->n && i < GP_COL_COUNT && code == GP_OK; i++) {
        uint64_t stored = 0;
        code = encode_column(w, b, (gp_column)i, err);
        if (code == GP_OK && (i == GP_COL_SIP || i == GP_COL_DIP))
            gp_appender_addresses(w->open, b->ts, (const uint8_t *)w->raw.data, b->sum.n_v4, b->sum.n_v6);
        if (code == GP_OK)
            code = store_column(w, b, (gp_column)i, &stored, err);
        stats->raw_bytes += w->raw.len;
        stats->stored_bytes += stored;
    }
    return code;
}

/* ---- a block ------------------------------------------------------------------------------------------- */

static void leave_day(gp_writer *w)
{
    gp_appender_close(w->open);
    w->open = NULL;
}

gp_code gp_writer_flush(gp_writer *w, gp_error *err)
{
    gp_code code = w->open && w->cfg.batch ? gp_appender_commit(w->open, err) : GP_OK;
    leave_day(w);
    return code;
}

static gp_code enter_day(gp_writer *w, int64_t ts, gp_error *err)
{
    const gp_append_config cfg = {.db = w->db,
                                  .iface = w->iface,
                                  .permissions = w->cfg.permissions,
                                  .inherit = w->cfg.inherit,
                                  .no_sync = w->cfg.no_sync,
                                  .before_step = w->cfg.before_step,
                                  .before_step_ctx = w->cfg.before_step_ctx};
    gp_code code = GP_OK;
    if (w->open && w->open_day == gp_day_start(ts) && (w->cfg.batch || gp_appender_resume(w->open)))
        return GP_OK;
    code = gp_writer_flush(w, err);
    if (code == GP_OK)
        code = gp_appender_open(&w->open, &cfg, ts, err);
    w->open_day = gp_day_start(ts);
    return code;
}

static gp_code append(gp_writer *w, const block *b, gp_block_stats *stats, gp_error *err)
{
    gp_code code = enter_day(w, b->ts, err);
    if (code == GP_OK)
        code = gp_appender_accepts(w->open, b->ts, err);
    if (code == GP_EEXIST && w->cfg.batch)
        return code; /* what the batch has is not hurt */
    if (code == GP_OK)
        code = store_columns(w, b, stats, err);
    if (code == GP_OK)
        code = gp_appender_block(w->open, b->ts, &b->sum, err);
    if (code == GP_OK && !w->cfg.batch)
        code = gp_appender_commit(w->open, err);
    if (code != GP_OK)
        leave_day(w);
    return code;
}

gp_code gp_writer_write(gp_writer *w, int64_t ts, gp_flow *flows, size_t n, uint64_t drops,
                        gp_block_stats *stats, gp_error *err)
{
    block b = {.ts = ts, .flows = flows, .n = n, .sum.drops = drops};
    if (ts < 0 || n > UINT32_MAX / 16)
        return gp_fail(err, GP_EINVAL, "a block at %lld with %zu flows cannot be stored", (long long)ts, n);
    gp_code code = gp_flowsort_run(&w->sort, flows, n, err);
    if (code != GP_OK)
        return code;
    summarize(&b);
    gp_block_stats s = {.flows = n, .n_v4 = b.sum.n_v4, .n_v6 = b.sum.n_v6, .c = b.sum.c};
    code = append(w, &b, &s, err);
    if (stats && code == GP_OK)
        *stats = s;
    return code;
}
