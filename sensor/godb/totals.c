#include "proto/query/args.h"
#include "sensor/godb/counters.h"
#include "sensor/godb/daypath.h"
#include "sensor/godb/engine.h"
#include "sensor/godb/reader.h"

#include <stdlib.h>

/* Damage is told and passed over; lack of memory is the end. */
static gp_code pass_over(gp_iface_totals *t, gp_code code, const gp_error *why, gp_error *err)
{
    if (code == GP_ENOMEM)
        return gp_fail(err, code, "%s", why->msg);
    if (t->damaged++ == 0)
        t->damage = *why;
    return GP_OK;
}

/* The counters of one block: as they are stored, or from its four counter columns. */
static gp_code block_counters(gp_day *day, gp_codec *codec, size_t block, gp_buf *raw, gp_counters *c,
                              gp_error *err)
{
    const gp_block_info *info = &gp_day_meta(day)->blocks[block];
    uint64_t sums[GP_COL_COUNT - GP_COL_ATTR_COUNT] = {0};
    if (info->n_v4 + info->n_v6 == 0)
        return GP_OK;
    const gp_counters *known = gp_day_block_sum(day, block);
    if (known) {
        gp_counters_add(c, known);
        return GP_OK;
    }
    for (unsigned i = 0; i < sizeof sums / sizeof sums[0]; i++) {
        gp_column col = (gp_column)(GP_COL_ATTR_COUNT + i);
        gp_code code = gp_day_read_column(day, codec, block, col, raw, err);
        const uint8_t *bytes = (const uint8_t *)raw->data;
        if (code == GP_OK)
            code = gp_block_check_column(info, col, bytes, raw->len, err);
        if (code != GP_OK)
            return code;
        const gp_packed_column values = gp_packed(bytes);
        sums[i] = gp_packed_sum(&values, 0, (size_t)(info->n_v4 + info->n_v6));
    }
    const gp_counters add = {sums[0], sums[1], sums[2], sums[3]};
    gp_counters_add(c, &add);
    return GP_OK;
}

static void note_range(gp_iface_totals *t, int64_t ts)
{
    if (!t->first)
        t->first = ts - GP_DB_WRITE_INTERVAL;
    t->last = ts;
}

/* A day at the edge of the range: only some of its blocks count. */
static gp_code add_blocks(gp_day *day, int64_t first, int64_t last, gp_iface_totals *t, gp_error *err)
{
    const gp_blockmeta *m = gp_day_meta(day);
    gp_codec *codec = NULL;
    gp_buf raw = GP_BUF_INIT;
    gp_code code = gp_codec_new(&codec, err);
    for (size_t i = 0; i < m->n_blocks && code == GP_OK; i++) {
        const gp_block_info *b = &m->blocks[i];
        if (b->ts < first || b->ts > last)
            continue;
        gp_error why = GP_ERROR_INIT;
        gp_code read = block_counters(day, codec, i, &raw, &t->c, &why);
        if (read != GP_OK) {
            code = pass_over(t, read, &why, err);
            continue;
        }
        t->n_v4 += b->n_v4;
        t->n_v6 += b->n_v6;
        t->drops += b->drops;
        note_range(t, b->ts);
    }
    gp_buf_free(&raw);
    gp_codec_free(codec);
    return code;
}

static void add_sum(gp_iface_totals *t, const gp_day_summary *sum)
{
    t->n_v4 += sum->n_v4;
    t->n_v6 += sum->n_v6;
    t->drops += sum->drops;
    gp_counters_add(&t->c, &sum->c);
}

/* All that is known of a day without metadata is what the folder's name says. */
static void add_name(const gp_day_ref *ref, int64_t first, int64_t last, gp_iface_totals *t)
{
    const int64_t end = ref->day + GP_DAY_SECONDS;
    if (!ref->has_sum || ref->day < first || end > last)
        return;
    add_sum(t, &ref->sum);
    if (!t->first)
        t->first = ref->day;
    t->last = end < last ? end : last;
}

static gp_code add_day(const char *db, const char *iface, const gp_day_ref *ref, int64_t first, int64_t last,
                       gp_iface_totals *t, gp_error *err)
{
    gp_day *day = NULL;
    gp_error why = GP_ERROR_INIT;
    gp_code code = gp_day_open(&day, db, iface, ref->day, &why);
    if (code != GP_OK) {
        if (code != GP_ENOMEM)
            add_name(ref, first, last, t);
        return pass_over(t, code, &why, err);
    }
    const gp_blockmeta *m = gp_day_meta(day);
    if (m->n_blocks && m->blocks[0].ts >= first && m->blocks[m->n_blocks - 1].ts <= last) {
        add_sum(t, &m->sum);
        note_range(t, m->blocks[0].ts);
        note_range(t, m->blocks[m->n_blocks - 1].ts);
    } else {
        code = add_blocks(day, first, last, t, err);
    }
    gp_day_close(day);
    return code;
}

gp_code gp_db_iface_totals(const char *db, const char *iface, int64_t first, int64_t last,
                           gp_iface_totals *out, gp_error *err)
{
    gp_day_ref *days = NULL;
    size_t n = 0;
    *out = (gp_iface_totals){.damage = GP_ERROR_INIT};
    gp_error why = GP_ERROR_INIT;
    gp_code code = gp_db_list_days(db, iface, first, last, &days, &n, &why);
    if (code != GP_OK)
        return pass_over(out, code, &why, err);
    for (size_t i = 0; i < n && code == GP_OK; i++)
        code = add_day(db, iface, &days[i], first, last, out, err);
    free(days);
    return code;
}
