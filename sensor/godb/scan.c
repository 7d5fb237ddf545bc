#include "sensor/godb/scan.h"

#include "sensor/godb/skip.h"

#include <stdlib.h>
#include <string.h>

static const uint32_t counter_columns = (1u << GP_COL_COUNT) - (1u << GP_COL_ATTR_COUNT);

enum {
    LOAD_BATCH = GP_AGG_BATCH / 2, /* rows */
    MOST_WARNINGS = 10             /* of one query */
};

struct gp_scan {
    const gp_scan_plan *plan;
    gp_codec *codec;
    gp_selector *selector;
    gp_skip *skip; /* NULL: filters do not tell */
    gp_segpool *pool;
    gp_day_buffers *buffers;
    gp_buf raw[GP_COL_COUNT];
    gp_counter_columns counters; /* of the block at hand */
    uint32_t *selected;          /* rows that match, IPv4 part first, each part counted from 0 */
    uint32_t *all;               /* 0, 1, 2, ...: the selection without a condition */
    size_t cap;                  /* rows that the vectors above hold */
    uint64_t keys[GP_AGG_BATCH * GP_KEY_MAX_WORDS]; /* of the rows at hand, and their counters */
    gp_counters sums[GP_AGG_BATCH];
    gp_query_stats stats;
};

gp_code gp_scan_new(gp_scan **out, const gp_scan_plan *plan, gp_segpool *pool, gp_error *err)
{
    gp_scan *s = calloc(1, sizeof *s);
    if (!s)
        return gp_fail(err, GP_ENOMEM, "out of memory for a query");
    s->plan = plan;
    s->pool = pool;
    gp_code code = gp_codec_new(&s->codec, err);
    if (code == GP_OK)
        code = gp_day_buffers_new(&s->buffers, err);
    if (code == GP_OK && plan->cond)
        code = gp_selector_new(&s->selector, plan->cond, err);
    if (code == GP_OK && plan->cond)
        code = gp_skip_new(&s->skip, plan->cond, err);
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
    gp_skip_free(s->skip);
    gp_day_buffers_free(s->buffers);
    for (size_t i = 0; i < GP_COL_COUNT; i++)
        gp_buf_free(&s->raw[i]);
    free(s->selected);
    free(s->all);
    free(s);
}

gp_query_stats gp_scan_take_stats(gp_scan *s)
{
    gp_query_stats taken = s->stats;
    s->stats = (gp_query_stats){0};
    return taken;
}

void gp_scan_use(gp_scan *s, gp_day *day)
{
    gp_day_use_buffers(day, s->buffers);
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

static gp_code make_dense(gp_flow_tables *t, gp_error *err)
{
    t->dense = calloc(1, sizeof *t->dense);
    return t->dense ? GP_OK : gp_fail(err, GP_ENOMEM, "out of memory for a query");
}

/* Flows without any traffic leave no trace in their places: they go into the table. */
static gp_code add_idle(gp_segpool *pool, const uint32_t *places, const gp_counters *counters, size_t n,
                        gp_flow_tables *t, gp_error *err)
{
    gp_code code = GP_OK;
    for (size_t i = 0; i < n && code == GP_OK; i++) {
        const gp_counters *c = &counters[i];
        const uint64_t key = gp_dense_key(places[i]);
        if ((c->bytes_rcvd | c->bytes_sent | c->pkts_rcvd | c->pkts_sent) == 0)
            code = gp_agg_add(&t->v4, pool, &key, c, err);
    }
    return code;
}

static gp_code add_dense_batch(gp_scan *s, const gp_key_columns *cols, const family *f, const uint32_t *rows,
                               size_t n, gp_flow_tables *t, gp_error *err)
{
    uint32_t places[LOAD_BATCH];
    gp_counters *to[LOAD_BATCH];
    gp_code code = t->dense ? GP_OK : make_dense(t, err);
    gp_dense_places(&s->plan->key_v4, cols, rows, n, places);
    if (code == GP_OK)
        code = gp_dense_find(t->dense, s->pool, places, n, to, err);
    if (code != GP_OK || !gp_counters_scatter(&s->counters, f->first, rows, n, to))
        return code;
    gp_counters_load(&s->counters, f->first, rows, n, s->sums);
    return add_idle(s->pool, places, s->sums, n, t, err);
}

static size_t next_batch(const family *f, size_t at)
{
    return f->n_rows - at < LOAD_BATCH ? f->n_rows - at : LOAD_BATCH;
}

static gp_code aggregate_dense(gp_scan *s, const gp_key_columns *cols, const family *f, gp_flow_tables *t,
                               gp_error *err)
{
    gp_code code = GP_OK;
    for (size_t at = 0, n; at < f->n_rows && code == GP_OK; at += n) {
        n = next_batch(f, at);
        code = add_dense_batch(s, cols, f, f->rows + at, n, t, err);
    }
    return code;
}

/* Equal neighbours are added up first; what is left is collected until there is enough of it to hide the
 * latency of the table's memory. */
static gp_code aggregate_hashed(gp_scan *s, const gp_key_columns *cols, const family *f, gp_flow_tables *t,
                                gp_error *err)
{
    bool to_v6 = f->v6 && s->plan->split_families;
    const gp_keyspec *spec = to_v6 ? &s->plan->key_v6 : &s->plan->key_v4;
    gp_agg *table = to_v6 ? &t->v6 : &t->v4;
    gp_code code = GP_OK;
    size_t pending = 0;
    for (size_t at = 0, n; at < f->n_rows && code == GP_OK; at += n) {
        n = next_batch(f, at);
        gp_counters_load(&s->counters, f->first, f->rows + at, n, s->sums + pending);
        gp_keys_pack(spec, cols, f->rows + at, n, s->keys + pending * spec->words);
        size_t from = pending ? pending - 1 : 0; /* the last one may go on */
        pending = from + gp_counters_combine(s->keys + from * spec->words, spec->words, s->sums + from,
                                             pending + n - from);
        if (pending < LOAD_BATCH && at + n < f->n_rows)
            continue;
        code = gp_agg_add_batch(table, s->pool, s->keys, s->sums, pending, err);
        pending = 0;
    }
    return code;
}

static gp_code aggregate(gp_scan *s, const family *f, uint32_t ts, gp_flow_tables *t, gp_error *err)
{
    const gp_key_columns cols = {
        .sip = address_column(s, GP_COL_SIP, f),
        .dip = address_column(s, GP_COL_DIP, f),
        .dport = plain_column(s, GP_COL_DPORT, f, 2),
        .proto = plain_column(s, GP_COL_PROTO, f, 1),
        .time = ts,
    };
    return s->plan->dense ? aggregate_dense(s, &cols, f, t, err) : aggregate_hashed(s, &cols, f, t, err);
}

static gp_counters sum_rows(gp_scan *s, const family *f)
{
    gp_counters sum = {0};
    if (f->rows == s->all)
        return gp_counters_sum(&s->counters, f->first, f->n);
    for (size_t at = 0, n; at < f->n_rows; at += n) {
        n = next_batch(f, at);
        gp_counters_load(&s->counters, f->first, f->rows + at, n, s->sums);
        for (size_t i = 0; i < n; i++)
            gp_counters_add(&sum, &s->sums[i]);
    }
    return sum;
}

static gp_code add_total(gp_scan *s, const gp_counters *sum, uint32_t ts, gp_flow_tables *t, gp_error *err)
{
    const gp_key_columns keys = {.time = ts};
    const uint32_t row = 0;
    gp_keys_pack(&s->plan->key_v4, &keys, &row, 1, s->keys);
    return gp_agg_add(&t->v4, s->pool, s->keys, sum, err);
}

static gp_code aggregate_total(gp_scan *s, const family *f, uint32_t ts, gp_flow_tables *t, gp_error *err)
{
    const gp_counters sum = sum_rows(s, f);
    return f->n_rows ? add_total(s, &sum, ts, t, err) : GP_OK;
}

static void use_counters(gp_scan *s)
{
    for (unsigned i = 0; i < GP_COL_COUNT - GP_COL_ATTR_COUNT; i++)
        s->counters.col[i] = gp_packed((const uint8_t *)s->raw[GP_COL_ATTR_COUNT + i].data);
}

/* No row of the block can match, so none is looked at. */
static bool may_skip(gp_scan *s, gp_day *day, size_t block)
{
    if (!s->skip)
        return false;
    const gp_blockfilter filter = gp_day_block_filter(day, block);
    s->stats.bytes_loaded += filter.size;
    return gp_skip_block(s->skip, gp_day_meta(day)->blocks[block].ts, &filter);
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
    const bool every_row = s->plan->totals && !s->plan->cond;
    const gp_counters *sum = every_row ? gp_day_block_sum(day, block) : NULL;
    if (sum)
        return add_total(s, sum, ts, t, err);
    if (may_skip(s, day, block))
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
    use_counters(s);
    for (unsigned i = 0; i < 2 && code == GP_OK; i++)
        code = s->plan->totals ? aggregate_total(s, &fam[i], ts, t, err) : aggregate(s, &fam[i], ts, t, err);
    return code;
}

bool gp_scan_may_warn(const gp_scan_plan *plan)
{
    unsigned before = atomic_fetch_add(plan->warnings, 1);
    if (before == MOST_WARNINGS)
        gp_log_warn(plan->log, "more was skipped; the answer counts how much");
    return before < MOST_WARNINGS;
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
    if (gp_scan_may_warn(s->plan))
        gp_log_warn(s->plan->log, "block skipped", GP_F_STR("day", gp_day_path(day)),
                    GP_F_I64("block", gp_day_meta(day)->blocks[block].ts), GP_F_STR("error", why.msg));
    return GP_OK;
}

gp_code gp_scan_flow(const gp_scan_plan *plan, gp_segpool *pool, const gp_flow *flow, uint32_t ts,
                     gp_flow_tables *t, gp_error *err)
{
    if (plan->cond && !gp_cond_match(plan->cond, flow))
        return GP_OK;
    bool to_v6 = flow->sip.len == 16 && plan->split_families;
    uint64_t key[GP_KEY_MAX_WORDS];
    gp_key_pack_flow(to_v6 ? &plan->key_v6 : &plan->key_v4, flow, ts, key);
    if (!plan->dense)
        return gp_agg_add(to_v6 ? &t->v6 : &t->v4, pool, key, &flow->c, err);
    const uint32_t place = gp_dense_place(key[0]);
    gp_counters *to = NULL;
    gp_code code = t->dense ? GP_OK : make_dense(t, err);
    if (code == GP_OK)
        code = gp_dense_find(t->dense, pool, &place, 1, &to, err);
    if (code != GP_OK)
        return code;
    gp_counters_add(to, &flow->c);
    return add_idle(pool, &place, &flow->c, 1, t, err);
}
