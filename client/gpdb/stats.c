#include "client/gpdb/gpdb.h"
#include "client/gpdb/text.h"
#include "client/term/term.h"
#include "proto/query/timeparse.h"
#include "sensor/godb/reader.h"

#include <stdlib.h>
#include <string.h>

typedef struct iface_stats {
    const char *name;
    size_t days, unreadable, blocks;
    int64_t first, last; /* blocks; 0: none */
    gp_day_summary sum;
    uint64_t raw[GP_COL_COUNT], stored[GP_COL_COUNT];
} iface_stats;

/* ---- gathering ----------------------------------------------------------------------------------------- */

static void add_day(iface_stats *s, const gp_blockmeta *m)
{
    s->blocks += m->n_blocks;
    s->sum.n_v4 += m->sum.n_v4;
    s->sum.n_v6 += m->sum.n_v6;
    s->sum.drops += m->sum.drops;
    gp_counters_add(&s->sum.c, &m->sum.c);
    for (size_t i = 0; i < m->n_blocks; i++)
        for (unsigned col = 0; col < GP_COL_COUNT; col++) {
            s->raw[col] += m->blocks[i].col[col].raw_len;
            s->stored[col] += m->blocks[i].col[col].len;
        }
    if (m->n_blocks && s->first == 0)
        s->first = m->blocks[0].ts;
    if (m->n_blocks)
        s->last = m->blocks[m->n_blocks - 1].ts;
}

/* Metadata tells everything; a day without is counted. */
static gp_code gather_day(iface_stats *s, const char *db, int64_t day, gp_error *err)
{
    gp_day *d = NULL;
    gp_error why = GP_ERROR_INIT;
    gp_code code = gp_day_open(&d, db, s->name, day, &why);
    if (code == GP_ENOMEM)
        return gp_fail(err, code, "%s", why.msg);
    s->days += code != GP_OK || !gp_day_unfinished(d);
    if (code != GP_OK) {
        s->unreadable++;
        fprintf(stderr, "gpdb: %s\n", why.msg);
        return GP_OK;
    }
    add_day(s, gp_day_meta(d));
    gp_day_close(d);
    return GP_OK;
}

static gp_code gather(iface_stats *s, const char *db, progress *p, gp_error *err)
{
    gp_day_ref *days = NULL;
    size_t n = 0;
    gp_code code = gp_db_list_days(db, s->name, 0, GP_TIME_MAX, &days, &n, err);
    for (size_t i = 0; i < n && code == GP_OK; i++) {
        progress_show(p, "%s: day %zu of %zu", s->name, i + 1, n);
        code = check_interrupt(err);
        if (code == GP_OK)
            code = gather_day(s, db, days[i].day, err);
    }
    progress_clear(p);
    free(days);
    return code;
}

static uint64_t total(const uint64_t *columns)
{
    uint64_t sum = 0;
    for (unsigned col = 0; col < GP_COL_COUNT; col++)
        sum += columns[col];
    return sum;
}

static double ratio(uint64_t raw, uint64_t stored)
{
    return stored ? (double)raw / (double)stored : 0;
}

/* ---- text ---------------------------------------------------------------------------------------------- */

enum { COLUMNS = 5 };

static void add_row(gp_table *t, const char *name, uint64_t raw, uint64_t stored, uint64_t flows)
{
    gp_buf cells[COLUMNS - 1] = {0};
    const char *row[COLUMNS] = {name};
    gp_fmt_size(&cells[0], raw);
    gp_fmt_size(&cells[1], stored);
    gp_buf_printf(&cells[2], "%.2f", ratio(raw, stored));
    gp_buf_printf(&cells[3], "%.2f", flows ? (double)stored / (double)flows : 0);
    for (size_t i = 0; i + 1 < COLUMNS; i++)
        row[i + 1] = cells[i].data ? cells[i].data : "";
    gp_table_row(t, row, COLUMNS);
    for (size_t i = 0; i + 1 < COLUMNS; i++)
        gp_buf_free(&cells[i]);
}

static void put_heading(gp_buf *out, const iface_stats *s)
{
    char from[GP_UTC_STRLEN];
    char to[GP_UTC_STRLEN];
    gp_buf_printf(out, "%s: %zu days, %zu blocks", s->name, s->days, s->blocks);
    if (s->blocks) {
        format_utc(s->first, from);
        format_utc(s->last, to);
        gp_buf_printf(out, " from %s to %s", from, to);
    }
    gp_buf_puts(out, "\n");
    if (s->unreadable)
        gp_buf_printf(out, "  %zu days cannot be read (see gpdb check)\n", s->unreadable);
    gp_buf_printf(out, "  flows: %llu IPv4, %llu IPv6; packets dropped: %llu\n",
                  (unsigned long long)s->sum.n_v4, (unsigned long long)s->sum.n_v6,
                  (unsigned long long)s->sum.drops);
    gp_buf_puts(out, "  traffic: ");
    gp_fmt_size(out, s->sum.c.bytes_rcvd);
    gp_buf_puts(out, " received, ");
    gp_fmt_size(out, s->sum.c.bytes_sent);
    gp_buf_puts(out, " sent\n");
}

static gp_code put_text(gp_buf *out, const iface_stats *s, gp_error *err)
{
    static const char *const heading[COLUMNS] = {"column", "raw", "stored", "ratio", "bytes/flow"};
    uint64_t flows = s->sum.n_v4 + s->sum.n_v6;
    put_heading(out, s);
    gp_table *t = gp_table_new(COLUMNS, s->name);
    if (!t)
        return gp_fail(err, GP_ENOMEM, "out of memory for a table");
    for (size_t i = 1; i < COLUMNS; i++)
        gp_table_align(t, i, GP_ALIGN_RIGHT);
    gp_table_row(t, heading, COLUMNS);
    gp_table_separator(t);
    for (unsigned col = 0; col < GP_COL_COUNT; col++)
        add_row(t, gp_column_name((gp_column)col), s->raw[col], s->stored[col], flows);
    gp_table_separator(t);
    add_row(t, "all", total(s->raw), total(s->stored), flows);
    gp_table_render(t, out);
    gp_table_free(t);
    gp_buf_putc(out, '\n');
    return GP_OK;
}

/* ---- JSON lines ---------------------------------------------------------------------------------------- */

static void put_member(gp_buf *out, const char *name, uint64_t v)
{
    gp_buf_printf(out, ",\"%s\":%llu", name, (unsigned long long)v);
}

static void put_json(gp_buf *out, const iface_stats *s)
{
    gp_buf_puts(out, "{\"iface\":");
    gp_buf_json_str(out, s->name);
    put_member(out, "days", s->days);
    put_member(out, "unreadable_days", s->unreadable);
    put_member(out, "blocks", s->blocks);
    put_member(out, "first", (uint64_t)s->first);
    put_member(out, "last", (uint64_t)s->last);
    put_member(out, "flows_ipv4", s->sum.n_v4);
    put_member(out, "flows_ipv6", s->sum.n_v6);
    put_member(out, "drops", s->sum.drops);
    put_member(out, "bytes_rcvd", s->sum.c.bytes_rcvd);
    put_member(out, "bytes_sent", s->sum.c.bytes_sent);
    put_member(out, "pkts_rcvd", s->sum.c.pkts_rcvd);
    put_member(out, "pkts_sent", s->sum.c.pkts_sent);
    gp_buf_puts(out, ",\"columns\":{");
    for (unsigned col = 0; col < GP_COL_COUNT; col++)
        gp_buf_printf(out, "%s\"%s\":{\"raw\":%llu,\"stored\":%llu}", col ? "," : "",
                      gp_column_name((gp_column)col), (unsigned long long)s->raw[col],
                      (unsigned long long)s->stored[col]);
    gp_buf_puts(out, "}}\n");
}

/* ---- the command --------------------------------------------------------------------------------------- */

static gp_code report(const options *o, bool json, const char *iface, gp_error *err)
{
    iface_stats s = {.name = iface};
    gp_buf out = GP_BUF_INIT;
    progress p;
    progress_start(&p);
    gp_code code = gather(&s, o->args[0], &p, err);
    if (code == GP_OK && json)
        put_json(&out, &s);
    else if (code == GP_OK)
        code = put_text(&out, &s, err);
    if (code == GP_OK && out.failed)
        code = gp_fail(err, GP_ENOMEM, "out of memory for the output");
    if (code == GP_OK)
        fputs(out.data, stdout);
    gp_buf_free(&out);
    return code;
}

gp_code run_stats(const options *o, int *exit_code, gp_error *err)
{
    (void)exit_code;
    char **ifaces = NULL;
    size_t n = 0;
    bool json = o->format && strcmp(o->format, "json") == 0;
    if (o->format && !json && strcmp(o->format, "txt") != 0)
        return gp_fail(err, GP_EINVAL, "--format: '%s' is neither txt nor json", o->format);
    gp_code code = select_ifaces(o, o->args[0], &ifaces, &n, err);
    for (size_t i = 0; i < n && code == GP_OK; i++)
        code = report(o, json, ifaces[i], err);
    gp_strlist_free(ifaces, n);
    return code == GP_OK ? code : gp_error_prefix(err, "failed to read DB `%s`", o->args[0]);
}
