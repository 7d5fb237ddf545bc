/* goquery list: what is stored of each interface. */
#include "client/goquery/goquery.h"
#include "client/term/term.h"
#include "proto/query/timeparse.h"
#include "sensor/godb/engine.h"
#include "sensor/godb/reader.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_COLUMNS = 10 };

typedef struct table {
    gp_buf text;
    bool detailed;
    size_t n_columns;
} table;

static void put_line(table *t, const char *const *cells)
{
    for (size_t i = 0; i < t->n_columns; i++)
        gp_buf_printf(&t->text, "%s\t", cells[i]);
    gp_buf_putc(&t->text, '\n');
}

static void put_dashes(table *t, const char *const *upper, const char *const *lower)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        size_t a = upper ? strlen(upper[i]) : 0;
        size_t b = strlen(lower[i]);
        gp_buf_pad(&t->text, '-', a > b ? a : b);
        gp_buf_putc(&t->text, '\t');
    }
    gp_buf_putc(&t->text, '\n');
}

static void put_header(table *t)
{
    static const char *const upper[] = {"",     "packets", "packets", "bytes", "bytes",
                                        "# of", "# of",    "",        "",      ""};
    static const char *const detailed[] = {"iface",      "in",         "out",   "in",   "out",
                                           "IPv4 flows", "IPv6 flows", "drops", "from", "to"};
    static const char *const plain[] = {"iface", "packets", "traffic", "flows", "from", "to"};
    t->n_columns = t->detailed ? sizeof detailed / sizeof detailed[0] : sizeof plain / sizeof plain[0];
    if (t->detailed)
        put_line(t, upper);
    put_line(t, t->detailed ? detailed : plain);
    put_dashes(t, t->detailed ? upper : NULL, t->detailed ? detailed : plain);
}

static void put_row(table *t, const char *name, const gp_iface_totals *s, bool with_range)
{
    gp_buf *b = &t->text;
    gp_buf_printf(b, "%s\t", name);
    if (t->detailed) {
        gp_fmt_count(b, s->c.pkts_rcvd);
        gp_buf_putc(b, '\t');
        gp_fmt_count(b, s->c.pkts_sent);
        gp_buf_putc(b, '\t');
        gp_fmt_size(b, s->c.bytes_rcvd);
        gp_buf_putc(b, '\t');
        gp_fmt_size(b, s->c.bytes_sent);
        gp_buf_putc(b, '\t');
        gp_fmt_count(b, s->n_v4);
        gp_buf_putc(b, '\t');
        gp_fmt_count(b, s->n_v6);
        gp_buf_putc(b, '\t');
        gp_fmt_count(b, s->drops);
    } else {
        gp_fmt_count(b, s->c.pkts_rcvd + s->c.pkts_sent);
        gp_buf_putc(b, '\t');
        gp_fmt_size(b, s->c.bytes_rcvd + s->c.bytes_sent);
        gp_buf_putc(b, '\t');
        gp_fmt_count(b, s->n_v4 + s->n_v6);
    }
    gp_buf_putc(b, '\t');
    if (with_range)
        gp_fmt_time(b, s->first);
    gp_buf_putc(b, '\t');
    if (with_range)
        gp_fmt_time(b, s->last);
    gp_buf_puts(b, "\t\n");
}

static void put_json(gp_buf *b, const char *name, const gp_iface_totals *s)
{
    char first[GP_TIME_STRLEN];
    char last[GP_TIME_STRLEN];
    gp_time_format_rfc3339(s->first, 0, first);
    gp_time_format_rfc3339(s->last, 0, last);
    gp_buf_puts(b, b->len > 1 ? ",{\"iface\":" : "{\"iface\":");
    gp_buf_json_str(b, name);
    gp_buf_printf(
        b,
        ",\"time_first\":\"%s\",\"time_last\":\"%s\",\"counts\":{\"br\":%llu,\"bs\":%llu,\"pr\":%llu,"
        "\"ps\":%llu},\"traffic\":{\"num_v4_entries\":%llu,\"num_v6_entries\":%llu,\"num_drops\":%llu}",
        first, last, (unsigned long long)s->c.bytes_rcvd, (unsigned long long)s->c.bytes_sent,
        (unsigned long long)s->c.pkts_rcvd, (unsigned long long)s->c.pkts_sent, (unsigned long long)s->n_v4,
        (unsigned long long)s->n_v6, (unsigned long long)s->drops);
    if (s->damaged) /* as in the statistics of a query */
        gp_buf_printf(b, ",\"blocks_corrupted\":%llu", (unsigned long long)s->damaged);
    gp_buf_putc(b, '}');
}

static void warn_damaged(const char *name, const gp_iface_totals *s)
{
    if (s->damaged)
        fprintf(stderr, "goquery: %s: %llu damaged or unreadable blocks or days (see gpdb check): %s\n", name,
                (unsigned long long)s->damaged, s->damage.msg);
}

static bool is_wanted(const options *o, const char *iface)
{
    for (int i = 1; i < o->n_rest; i++)
        if (strcmp(o->rest[i], iface) == 0)
            return true;
    return o->n_rest <= 1;
}

static gp_code time_range(const options *o, int64_t *first, int64_t *last, gp_error *err)
{
    int64_t now = (int64_t)time(NULL);
    gp_code code = GP_OK;
    *first = 0;
    *last = now;
    if (o->args.first)
        code = gp_time_parse(o->args.first, now, first, err);
    if (code != GP_OK) {
        gp_error_prefix(err, "invalid time format for --first");
        return code;
    }
    if (o->args.last)
        code = gp_time_parse(o->args.last, now, last, err);
    if (code != GP_OK)
        gp_error_prefix(err, "invalid time format for --last");
    else if (*first > *last)
        code = gp_fail(err, GP_EINVAL,
                       "invalid time interval: the lower time bound cannot be greater than the upper "
                       "time bound");
    return code;
}

static void add_totals(gp_iface_totals *sum, const gp_iface_totals *s)
{
    sum->n_v4 += s->n_v4;
    sum->n_v6 += s->n_v6;
    sum->drops += s->drops;
    gp_counters_add(&sum->c, &s->c);
}

static gp_code collect(const options *o, char **ifaces, size_t n, table *t, gp_buf *json, size_t *shown,
                       gp_error *err)
{
    int64_t first;
    int64_t last;
    gp_iface_totals sum = {0};
    gp_code code = time_range(o, &first, &last, err);
    for (size_t i = 0; i < n && code == GP_OK; i++) {
        gp_iface_totals s;
        if (!is_wanted(o, ifaces[i]))
            continue;
        code = gp_db_iface_totals(o->db, ifaces[i], first, last, &s, err);
        if (code != GP_OK)
            break;
        (*shown)++;
        add_totals(&sum, &s);
        warn_damaged(ifaces[i], &s);
        put_json(json, ifaces[i], &s);
        put_row(t, ifaces[i], &s, true);
    }
    gp_buf_pad(&t->text, '\t', t->n_columns);
    gp_buf_putc(&t->text, '\n');
    put_row(t, "Total", &sum, false);
    return code;
}

static void print(const table *t, const gp_buf *json, bool as_json)
{
    static const gp_tabs tabs = {.min_width = 0, .padding = 4, .align_right = true};
    gp_buf out = GP_BUF_INIT;
    if (as_json) {
        fprintf(stdout, "%s]\n", json->data);
        return;
    }
    gp_tabs_format(t->text.data, t->text.len, &tabs, &out);
    fprintf(stdout, "\n%s\n", out.data ? out.data : "");
    gp_buf_free(&out);
}

gp_code run_list(const options *o, gp_error *err)
{
    char **ifaces = NULL;
    size_t n = 0;
    size_t shown = 0;
    table t = {.detailed = o->detailed};
    gp_buf json = GP_BUF_INIT;
    if (!o->db || !*o->db)
        return gp_fail(err, GP_EINVAL,
                       "db.path is required for local DB operations: name the database with -d");
    gp_code code = gp_db_list_ifaces(o->db, &ifaces, &n, err);
    if (code != GP_OK)
        return code;
    gp_buf_putc(&json, '[');
    put_header(&t);
    code = collect(o, ifaces, n, &t, &json, &shown, err);
    bool as_json = strcmp(o->args.format, "json") == 0;
    if (code == GP_OK && shown == 0 && !as_json)
        code = gp_fail(err, GP_ENOTFOUND, "no metadata available for printing: '%s' has no such interface",
                       o->db);
    if (code == GP_OK && (t.text.failed || json.failed))
        code = gp_fail(err, GP_ENOMEM, "out of memory for the list");
    if (code == GP_OK)
        print(&t, &json, as_json);
    gp_buf_free(&t.text);
    gp_buf_free(&json);
    gp_strlist_free(ifaces, n);
    return code;
}
