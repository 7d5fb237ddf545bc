#include "sensor/godb/scan.h"

#include "sensor/godb/bitpack.h"

#include <stdlib.h>
#include <string.h>

enum { N_COUNTERS = GP_COL_COUNT - GP_COL_ATTR_COUNT };

static const uint32_t counter_columns = (1u << GP_COL_COUNT) - (1u << GP_COL_ATTR_COUNT);

struct gp_scan {
    const gp_scan_plan *plan;
    gp_codec *codec;
    gp_selector *selector;
    gp_buf raw[GP_COL_COUNT];
    uint64_t *counters[N_COUNTERS];
    uint32_t *selected; /* rows that match, IPv4 part first, each part counted from 0 */
    uint32_t *all;      /* 0, 1, 2, ...: the selection without a condition */
    size_t cap;         /* rows that the vectors above hold */
    uint64_t keys[GP_AGG_BATCH * GP_KEY_MAX_WORDS];
    gp_query_stats stats;
};

gp_code gp_scan_new(gp_scan **out, const gp_scan_plan *plan, gp_error *err)
{
    gp_scan *s = calloc(1, sizeof *s);
    if (!s)
        return gp_fail(err, GP_ENOMEM, "out of memory for a query");
    s->plan = plan;
    gp_code code = gp_codec_new(&s->codec, err);
    if (code == GP_OK && plan->cond)
        code = gp_selector_new(&s->selector, plan->cond, err);
    if (code != GP_OK) {
        gp_scan_free(s);
        return code;
    }
    *out = s;
    return GP_OK;
}

void gp_scan_free(gp_scan *s)
{
    if (!s)
        return;
    gp_codec_free(s->codec);
    gp_selector_free(s->selector);
    for (size_t i = 0; i < GP_COL_COUNT; i++)
        gp_buf_free(&s->raw[i]);
    for (size_t i = 0; i < N_COUNTERS; i++)
        free(s->counters[i]);
    free(s->selected);
    free(s->all);
    free(s);
}

const gp_query_stats *gp_scan_stats(const gp_scan *s)
{
    return &s->stats;
}

void gp_scan_count_day(gp_scan *s, bool damaged)
{
    s->stats.directories_processed++;
    s->stats.workloads++;
    s->stats.blocks_corrupted += damaged;
}

static bool grow_vector(void **v, size_t bytes)
{
    void *p = realloc(*v, bytes);
    if (p)
        *v = p;
    return p != NULL;
}

static gp_code reserve_rows(gp_scan *s, size_t n, gp_error *err)
{
    if (n <= s->cap)
        return GP_OK;
    size_t cap = (n + n / 4 + 1023) & ~(size_t)1023;
    bool ok = grow_vector((void **)&s->selected, cap * sizeof *s->selected) &&
              grow_vector((void **)&s->all, cap * sizeof *s->all);
    for (size_t i = 0; ok && i < N_COUNTERS; i++)
        ok = grow_vector((void **)&s->counters[i], cap * sizeof *s->counters[i]);
    if (!ok)
        return gp_fail(err, GP_ENOMEM, "out of memory for a block of %zu flows", n);
    for (size_t i = 0; i < cap; i++)
        s->all[i] = (uint32_t)i;
    s->cap = cap;
    return GP_OK;
}

/* Reads and checks the columns of `mask` that are not in `*have` yet. */
static gp_code read_columns(gp_scan *s, gp_day *day, size_t block, uint32_t mask, uint32_t *have,
                            gp_error *err)
{
    const gp_block_info *info = &gp_day_meta(day)->blocks[block];
    for (unsigned col = 0; col < GP_COL_COUNT; col++) {
        if (!(mask & ~*have & 1u << col))
            continue;
        gp_code code = gp_day_read_column(day, s->codec, block, (gp_column)col, &s->raw[col], err);
        if (code != GP_OK)
            return code;
        const uint8_t *raw = (const uint8_t *)s->raw[col].data;
        code = gp_block_check_column(info, (gp_column)col, raw, s->raw[col].len, err);
        if (code != GP_OK)
            return code;
        s->stats.bytes_loaded += info->col[col].len;
        s->stats.bytes_decompressed += s->raw[col].len;
        *have |= 1u << col;
    }
    return GP_OK;
}

/* The rows of one family within a block. */
typedef struct family {
    bool v6;
    size_t first; /* index of its first row in the block */
    size_t n;
    const uint32_t *rows; /* selected, counted from `first` */
    size_t n_rows;
} family;

static const uint8_t *address_column(const gp_scan *s, gp_column col, const family *f)
{
    const uint8_t *raw = (const uint8_t *)s->raw[col].data;
    return raw && f->v6 ? raw + f->first * 4 : raw; /* the IPv4 addresses stand in front */
}

static const uint8_t *plain_column(const gp_scan *s, gp_column col, const family *f, size_t width)
{
    const uint8_t *raw = (const uint8_t *)s->raw[col].data;
    return raw ? raw + f->first * width : NULL;
}

static gp_code select_rows(gp_scan *s, family *f, uint32_t *room, gp_error *err)
{
    if (!s->selector) {
        f->rows = s->all;
        f->n_rows = f->n;
        return GP_OK;
    }
    const gp_select_columns cols = {
        .sip = address_column(s, GP_COL_SIP, f),
        .dip = address_column(s, GP_COL_DIP, f),
        .dport = plain_column(s, GP_COL_DPORT, f, 2),
        .proto = plain_column(s, GP_COL_PROTO, f, 1),
        .v6 = f->v6,
    };
    f->rows = room;
    return gp_select(s->selector, &cols, f->n, room, &f->n_rows, err);
}

static gp_code aggregate(gp_scan *s, const family *f, uint32_t ts, gp_flow_tables *t, gp_error *err)
{
    bool to_v6 = f->v6 && s->plan->split_families;
    const gp_keyspec *spec = to_v6 ? &s->plan->key_v6 : &s->plan->key_v4;
    gp_agg *table = to_v6 ? &t->v6 : &t->v4;
    const gp_key_columns keys = {
        .sip = address_column(s, GP_COL_SIP, f),
        .dip = address_column(s, GP_COL_DIP, f),
        .dport = plain_column(s, GP_COL_DPORT, f, 2),
        .proto = plain_column(s, GP_COL_PROTO, f, 1),
        .time = ts,
    };
    const gp_counter_columns counters = {s->counters[0] + f->first, s->counters[1] + f->first,
                                         s->counters[2] + f->first, s->counters[3] + f->first};
    for (size_t at = 0; at < f->n_rows; at += GP_AGG_BATCH) {
        size_t n = f->n_rows - at < GP_AGG_BATCH ? f->n_rows - at : GP_AGG_BATCH;
        gp_keys_pack(spec, &keys, f->rows + at, n, s->keys);
        gp_code code = gp_agg_add_batch(table, s->keys, f->rows + at, n, &counters, err);
        if (code != GP_OK)
            return code;
    }
    return GP_OK;
}

static void unpack_counters(gp_scan *s)
{
    for (unsigned i = 0; i < N_COUNTERS; i++) {
        const gp_buf *raw = &s->raw[GP_COL_ATTR_COUNT + i];
        gp_bitunpack((const uint8_t *)raw->data, raw->len, s->counters[i]);
    }
}

/* GP_ENOMEM is the only code that ends the query; what is wrong with a block stays with the block. */
static gp_code scan_block(gp_scan *s, gp_day *day, size_t block, uint32_t ts, gp_flow_tables *t,
                          gp_error *err)
{
    const gp_block_info *info = &gp_day_meta(day)->blocks[block];
    family fam[2] = {{.n = info->n_v4}, {.v6 = true, .first = info->n_v4, .n = info->n_v6}};
    uint32_t have = 0;
    if (s->plan->ip_version == GP_IP_V6)
        fam[0].n = 0;
    if (s->plan->ip_version == GP_IP_V4)
        fam[1].n = 0;
    if (fam[0].n + fam[1].n == 0)
        return GP_OK;
    /* The first columns read confirm the row counts of the metadata before memory is sized by them. */
    uint32_t rest = s->plan->attr_columns | counter_columns;
    uint32_t first = s->plan->cond_columns ? s->plan->cond_columns : rest;
    gp_code code = read_columns(s, day, block, first, &have, err);
    if (code == GP_OK)
        code = reserve_rows(s, (size_t)(info->n_v4 + info->n_v6), err);
    uint32_t *room = s->selected;
    for (unsigned i = 0; i < 2 && code == GP_OK; i++) {
        code = select_rows(s, &fam[i], room, err);
        room += fam[i].n_rows;
    }
    if (code != GP_OK || fam[0].n_rows + fam[1].n_rows == 0)
        return code;
    code = read_columns(s, day, block, rest, &have, err);
    if (code != GP_OK)
        return code;
    unpack_counters(s);
    for (unsigned i = 0; i < 2 && code == GP_OK; i++)
        code = aggregate(s, &fam[i], ts, t, err);
    return code;
}

gp_code gp_scan_block(gp_scan *s, gp_day *day, size_t block, uint32_t ts, gp_flow_tables *t, gp_error *err)
{
    gp_error why = GP_ERROR_INIT;
    s->stats.blocks_processed++;
    gp_code code = scan_block(s, day, block, ts, t, &why);
    if (code == GP_OK)
        return GP_OK;
    if (code == GP_ENOMEM)
        return gp_fail(err, code, "%s", why.msg);
    s->stats.blocks_corrupted++;
    gp_log_warn(s->plan->log, "block skipped", GP_F_STR("day", gp_day_path(day)),
                GP_F_I64("block", gp_day_meta(day)->blocks[block].ts), GP_F_STR("error", why.msg));
    return GP_OK;
}

gp_code gp_scan_flow(const gp_scan_plan *plan, const gp_flow *flow, uint32_t ts, gp_flow_tables *t,
                     gp_error *err)
{
    if (plan->cond && !gp_cond_match(plan->cond, flow))
        return GP_OK;
    bool to_v6 = flow->sip.len == 16 && plan->split_families;
    uint64_t key[GP_KEY_MAX_WORDS];
    gp_key_pack_flow(to_v6 ? &plan->key_v6 : &plan->key_v4, flow, ts, key);
    return gp_agg_add(to_v6 ? &t->v6 : &t->v4, key, &flow->c, err);
}
