#include "client/report/report.h"

#include "client/term/term.h"
#include "proto/query/protocols.h"

#include <string.h>

/* Every column that can appear, in the order of the tables below. */
typedef enum column {
    C_TIME,
    C_HOST,
    C_HOSTID,
    C_IFACE,
    C_SIP,
    C_DIP,
    C_DPORT,
    C_PROTO,
    C_IN_PKTS,
    C_IN_PKTS_PCT,
    C_IN_BYTES,
    C_IN_BYTES_PCT,
    C_OUT_PKTS,
    C_OUT_PKTS_PCT,
    C_OUT_BYTES,
    C_OUT_BYTES_PCT,
    C_SUM_PKTS,
    C_SUM_PKTS_PCT,
    C_SUM_BYTES,
    C_SUM_BYTES_PCT,
    C_BOTH_PKTS_RCVD,
    C_BOTH_PKTS_SENT,
    C_BOTH_PKTS_PCT,
    C_BOTH_BYTES_RCVD,
    C_BOTH_BYTES_SENT,
    C_BOTH_BYTES_PCT,
    N_COLUMNS
} column;

typedef struct column_info {
    const char *txt_upper, *txt, *csv, *csv_total;
} column_info;

#define PKTS  "Overall packets"
#define BYTES "Overall data volume (bytes)"

static const column_info columns[N_COLUMNS] = {
    [C_TIME] = {"", "time", "time", NULL},
    [C_HOST] = {"", "host", "host", NULL},
    [C_HOSTID] = {"", "hostid", "hostid", NULL},
    [C_IFACE] = {"", "iface", "iface", NULL},
    [C_SIP] = {"", "sip", "sip", NULL},
    [C_DIP] = {"", "dip", "dip", NULL},
    [C_DPORT] = {"", "dport", "dport", NULL},
    [C_PROTO] = {"", "proto", "proto", NULL},
    [C_IN_PKTS] = {"packets", "in", "packets", PKTS},
    [C_IN_PKTS_PCT] = {"", "%", "%", NULL},
    [C_IN_BYTES] = {"bytes", "in", "data vol.", BYTES},
    [C_IN_BYTES_PCT] = {"", "%", "%", NULL},
    [C_OUT_PKTS] = {"packets", "out", "packets", PKTS},
    [C_OUT_PKTS_PCT] = {"", "%", "%", NULL},
    [C_OUT_BYTES] = {"bytes", "out", "data vol.", BYTES},
    [C_OUT_BYTES_PCT] = {"", "%", "%", NULL},
    [C_SUM_PKTS] = {"packets", "in+out", "packets", PKTS},
    [C_SUM_PKTS_PCT] = {"", "%", "%", NULL},
    [C_SUM_BYTES] = {"bytes", "in+out", "data vol.", BYTES},
    [C_SUM_BYTES_PCT] = {"", "%", "%", NULL},
    [C_BOTH_PKTS_RCVD] = {"packets", "in", "packets received", "Received packets"},
    [C_BOTH_PKTS_SENT] = {"packets", "out", "packets sent", "Sent packets"},
    [C_BOTH_PKTS_PCT] = {"", "%", "%", NULL},
    [C_BOTH_BYTES_RCVD] = {"bytes", "in", "data vol. received", "Received data volume (bytes)"},
    [C_BOTH_BYTES_SENT] = {"bytes", "out", "data vol. sent", "Sent data volume (bytes)"},
    [C_BOTH_BYTES_PCT] = {"", "%", "%", NULL},
};

typedef struct layout {
    column cols[N_COLUMNS];
    size_t n;
} layout;

static void add_range(layout *l, column first, column last)
{
    for (unsigned c = first; c <= (unsigned)last; c++)
        l->cols[l->n++] = (column)c;
}

static layout make_layout(const gp_report_options *o)
{
    static const column attr[] = {
        [GP_COL_SIP] = C_SIP, [GP_COL_DIP] = C_DIP, [GP_COL_PROTO] = C_PROTO, [GP_COL_DPORT] = C_DPORT};
    static const struct {
        uint32_t label;
        column col;
    } labels[] = {{GP_LABEL_TIME, C_TIME},
                  {GP_LABEL_HOSTNAME, C_HOST},
                  {GP_LABEL_HOSTID, C_HOSTID},
                  {GP_LABEL_IFACE, C_IFACE}};
    layout l = {.n = 0};
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++)
        if (o->type->label_mask & labels[i].label)
            add_range(&l, labels[i].col, labels[i].col);
    for (unsigned i = 0; i < o->type->n_attrs; i++)
        add_range(&l, attr[o->type->attrs[i]], attr[o->type->attrs[i]]);
    switch (o->direction) {
    case GP_DIR_IN:
        add_range(&l, C_IN_PKTS, C_IN_BYTES_PCT);
        break;
    case GP_DIR_OUT:
        add_range(&l, C_OUT_PKTS, C_OUT_BYTES_PCT);
        break;
    case GP_DIR_SUM:
        add_range(&l, C_SUM_PKTS, C_SUM_BYTES_PCT);
        break;
    case GP_DIR_BOTH:
        add_range(&l, C_BOTH_PKTS_RCVD, C_BOTH_BYTES_PCT);
        break;
    }
    return l;
}

/* ---- values -------------------------------------------------------------------------------------------- */

typedef enum quantity { NOT_A_NUMBER, COUNT, SIZE, PERCENT } quantity;

/* What a counter column shows of some counters. */
static quantity value_of(column col, const gp_counters *c, uint64_t *v)
{
    switch (col) {
    case C_IN_PKTS:
    case C_IN_PKTS_PCT:
    case C_BOTH_PKTS_RCVD:
        *v = c->pkts_rcvd;
        return col == C_IN_PKTS_PCT ? PERCENT : COUNT;
    case C_OUT_PKTS:
    case C_OUT_PKTS_PCT:
    case C_BOTH_PKTS_SENT:
        *v = c->pkts_sent;
        return col == C_OUT_PKTS_PCT ? PERCENT : COUNT;
    case C_SUM_PKTS:
    case C_SUM_PKTS_PCT:
    case C_BOTH_PKTS_PCT:
        *v = c->pkts_rcvd + c->pkts_sent;
        return col == C_SUM_PKTS ? COUNT : PERCENT;
    case C_IN_BYTES:
    case C_IN_BYTES_PCT:
    case C_BOTH_BYTES_RCVD:
        *v = c->bytes_rcvd;
        return col == C_IN_BYTES_PCT ? PERCENT : SIZE;
    case C_OUT_BYTES:
    case C_OUT_BYTES_PCT:
    case C_BOTH_BYTES_SENT:
        *v = c->bytes_sent;
        return col == C_OUT_BYTES_PCT ? PERCENT : SIZE;
    case C_SUM_BYTES:
    case C_SUM_BYTES_PCT:
    case C_BOTH_BYTES_PCT:
        *v = c->bytes_rcvd + c->bytes_sent;
        return col == C_SUM_BYTES ? SIZE : PERCENT;
    default:
        return NOT_A_NUMBER;
    }
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

/* How names that others have given are written. */
typedef void put_name(gp_buf *out, const char *name);

static void put_addr(const gp_addr *a, const gp_dns_names *names, put_name *put, gp_buf *out)
{
    char text[GP_ADDR_STRLEN];
    const char *name = names ? gp_dns_name(names, a) : NULL;
    gp_addr_format(a, text);
    put(out, name ? name : a->len ? text : "invalid IP");
}

static void put_attribute(column col, const gp_row *r, const gp_dns_names *names, put_name *put, gp_buf *out)
{
    switch (col) {
    case C_HOST:
        put(out, r->host ? r->host : "");
        break;
    case C_HOSTID:
        put(out, r->hostid ? r->hostid : "");
        break;
    case C_IFACE:
        put(out, r->iface ? r->iface : "");
        break;
    case C_SIP:
        put_addr(&r->sip, names, put, out);
        break;
    case C_DIP:
        put_addr(&r->dip, names, put, out);
        break;
    case C_DPORT:
        gp_buf_u64(out, r->dport);
        break;
    case C_PROTO:
        gp_buf_puts(out, gp_protocol_name(r->proto));
        break;
    default:
        break;
    }
}

static void put_txt(column col, const gp_row *r, const gp_counters *totals, const gp_dns_names *names,
                    gp_buf *out)
{
    uint64_t v = 0;
    uint64_t whole = 0;
    switch (value_of(col, &r->c, &v)) {
    case COUNT:
        gp_fmt_count_small(out, v, true);
        break;
    case SIZE:
        gp_fmt_size_small(out, v, true);
        break;
    case PERCENT:
        (void)value_of(col, totals, &whole);
        if (v == 0 || whole == 0)
            gp_buf_putc(out, '0');
        else
            gp_buf_printf(out, "%.2f", percent(v, whole));
        break;
    case NOT_A_NUMBER:
        if (col == C_TIME)
            gp_fmt_time(out, r->ts);
        else
            put_attribute(col, r, names, gp_fmt_text, out);
    }
}

/* ---- txt ----------------------------------------------------------------------------------------------- */

static void put_heading(const char *text, bool color, gp_buf *out)
{
    if (*text)
        gp_styled(out, color, GP_STYLE_BOLD, "%s", text);
    gp_buf_putc(out, '\t');
}

static void put_header(const layout *l, bool color, gp_buf *out)
{
    for (size_t i = 0; i < l->n; i++)
        put_heading(columns[l->cols[i]].txt_upper, color, out);
    gp_buf_putc(out, '\n');
    for (size_t i = 0; i < l->n; i++)
        put_heading(columns[l->cols[i]].txt, color, out);
    gp_buf_putc(out, '\n');
}

static bool has_total(column col)
{
    return columns[col].csv_total != NULL;
}

static void put_grand_total(const layout *l, const gp_counters *t, gp_buf *out)
{
    gp_buf_pad(out, '\t', l->n - 1);
    gp_buf_puts(out, "\nTotals:\t");
    for (size_t i = 1; i < l->n; i++) {
        if (l->cols[i] == C_BOTH_PKTS_SENT)
            gp_fmt_count_small(out, t->pkts_rcvd + t->pkts_sent, true);
        if (l->cols[i] == C_BOTH_BYTES_SENT)
            gp_fmt_size_small(out, t->bytes_rcvd + t->bytes_sent, true);
        gp_buf_putc(out, '\t');
    }
    gp_buf_putc(out, '\n');
}

static void put_totals(const layout *l, const gp_result *r, gp_direction dir, gp_buf *out)
{
    const gp_row totals = {.c = r->totals};
    for (size_t i = 0; i < l->n; i++)
        gp_buf_puts(out, has_total(l->cols[i]) && r->n_rows < r->hits_total ? "...\t" : "\t");
    gp_buf_putc(out, '\n');
    for (size_t i = 0; i < l->n; i++) {
        if (has_total(l->cols[i]))
            put_txt(l->cols[i], &totals, &r->totals, NULL, out);
        gp_buf_putc(out, '\t');
    }
    gp_buf_putc(out, '\n');
    if (dir == GP_DIR_BOTH)
        put_grand_total(l, &r->totals, out);
}

static void put_describe(gp_sort by, gp_direction dir, gp_buf *out)
{
    if (by == GP_SORT_TIME) {
        gp_buf_puts(out, "first packet time");
        return;
    }
    gp_buf_puts(out, by == GP_SORT_PACKETS ? "accumulated packets " : "accumulated data volume ");
    gp_buf_puts(out, dir == GP_DIR_IN    ? "(received only)"
                     : dir == GP_DIR_OUT ? "(sent only)"
                                         : "(sent and received)");
}

static void put_timespan(const gp_result *r, gp_buf *out)
{
    const int64_t minute = INT64_C(60000000000);
    int64_t span;
    if (__builtin_mul_overflow(r->last.sec - r->first.sec, INT64_C(1000000000), &span))
        span = INT64_MAX; /* 292 years or more: as long as nanoseconds can say */
    gp_buf_puts(out, "Timespan\t: [");
    gp_fmt_time(out, r->first.sec);
    gp_buf_puts(out, ", ");
    gp_fmt_time(out, r->last.sec);
    gp_buf_puts(out, "] (");
    gp_fmt_duration(out, gp_round_ns(span, minute));
    gp_buf_puts(out, ")\n");
}

static void put_ifaces(const gp_result *r, bool as_column, gp_buf *out)
{
    bool fleet = r->n_hosts > 1;
    gp_buf_puts(out, "Interface");
    if (fleet)
        gp_buf_puts(out, r->n_ifaces > 1 ? "s / Hosts" : " / Hosts");
    gp_buf_puts(out, "\t: ");
    if (as_column)
        gp_buf_printf(out, "%zu queried", r->n_ifaces);
    for (size_t i = 0; i < r->n_ifaces && !as_column; i++) {
        gp_buf_puts(out, i ? "," : "");
        gp_fmt_text(out, r->ifaces[i]);
    }
    if (fleet) {
        size_t n[GP_STATUS_ERROR + 1] = {0};
        for (size_t i = 0; i < r->n_hosts; i++)
            n[r->hosts[i].code]++;
        gp_buf_printf(out, " on %zu hosts: %zu ok / %zu empty / %zu error", r->n_hosts, n[GP_STATUS_OK],
                      n[GP_STATUS_EMPTY], n[GP_STATUS_ERROR]);
    }
    gp_buf_putc(out, '\n');
}

static bool has_warning(const gp_host_status *h)
{
    return h->code == GP_STATUS_OK && h->message && *h->message;
}

size_t gp_report_warnings(const gp_result *r, const char *first, const char *more, size_t most, gp_buf *out)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_hosts; i++) {
        if (!has_warning(&r->hosts[i]) || n++ >= most)
            continue;
        gp_buf_puts(out, n == 1 ? first : more);
        gp_fmt_text(out, r->hosts[i].host);
        gp_buf_puts(out, ": ");
        gp_fmt_text(out, r->hosts[i].message);
        gp_buf_putc(out, '\n');
    }
    return n;
}

/* Of a fleet that is ill all over, a few say enough. */
static void put_warnings(const gp_result *r, gp_buf *out)
{
    enum { SHOWN = 10 };
    static const char more[] = "\t: ";
    size_t n = gp_report_warnings(r, "Warnings\t: ", more, SHOWN, out);
    if (n > SHOWN)
        gp_buf_printf(out, "%sand %zu more hosts, see the JSON format\n", more, n - SHOWN);
}

static void put_query_stats(const gp_query_stats *s, gp_buf *out)
{
    gp_buf_puts(out, "Bytes loaded\t: ");
    gp_fmt_size_small(out, s->bytes_loaded, false);
    gp_buf_puts(out, "\nBytes decompressed\t: ");
    gp_fmt_size_small(out, s->bytes_decompressed, false);
    gp_buf_puts(out, "\nBlocks processed\t: ");
    gp_fmt_count(out, s->blocks_processed);
    gp_buf_puts(out, "\nBlocks corrupted\t: ");
    gp_fmt_count_small(out, s->blocks_corrupted, false);
    gp_buf_puts(out, "\nDirectories processed\t: ");
    gp_fmt_count_small(out, s->directories_processed, false);
    gp_buf_puts(out, "\nWorkloads\t: ");
    gp_fmt_count_small(out, s->workloads, false);
    gp_buf_putc(out, '\n');
}

static void put_footer(const gp_result *r, const gp_report_options *o, gp_buf *out)
{
    put_timespan(r, out);
    put_ifaces(r, o->type->label_mask & GP_LABEL_IFACE, out);
    gp_buf_puts(out, "Sorted by\t: ");
    put_describe(o->sort_by, o->direction, out);
    gp_buf_putc(out, '\n');
    if (r->condition && *r->condition) {
        gp_buf_puts(out, "Conditions\t: ");
        gp_fmt_text(out, r->condition);
        gp_buf_putc(out, '\n');
    }
    gp_buf_puts(out, "Query stats\t: displayed top ");
    gp_fmt_count_small(out, r->hits_displayed, false);
    gp_buf_puts(out, " hits out of ");
    gp_fmt_count_small(out, r->hits_total, false);
    gp_buf_puts(out, " in ");
    gp_fmt_duration(out, r->query_duration_ns);
    gp_buf_putc(out, '\n');
    if (o->query_stats && r->has_stats)
        put_query_stats(&r->stats, out);
    put_warnings(r, out);
}

static void put_aligned(const gp_buf *text, const gp_tabs *tabs, gp_buf *out)
{
    if (text->failed)
        out->failed = true;
    else if (text->len)
        gp_tabs_format(text->data, text->len, tabs, out);
}

void gp_report_txt(const gp_result *r, const gp_report_options *opt, gp_buf *out)
{
    static const gp_tabs body = {.padding = 2, .align_right = true};
    static const gp_tabs foot = {.padding = 1};
    layout l = make_layout(opt);
    gp_buf text = GP_BUF_INIT;
    if (r->hits_total)
        put_header(&l, opt->color, &text);
    for (size_t i = 0; i < r->n_rows; i++) {
        for (size_t c = 0; c < l.n; c++) {
            put_txt(l.cols[c], &r->rows[i], &r->totals, opt->names, &text);
            gp_buf_putc(&text, '\t');
        }
        gp_buf_putc(&text, '\n');
    }
    if (r->n_rows)
        put_totals(&l, r, opt->direction, &text);
    gp_buf_putc(out, '\n');
    put_aligned(&text, &body, out);
    if (r->n_rows)
        gp_buf_putc(out, '\n');
    gp_buf_clear(&text);
    put_footer(r, opt, &text);
    put_aligned(&text, &foot, out);
    gp_buf_putc(out, '\n');
    gp_buf_free(&text);
}

/* ---- csv (RFC 4180 quoting, LF line ends) -------------------------------------------------------------- */

static void put_csv_field(const char *s, bool first, gp_buf *out)
{
    if (!first)
        gp_buf_putc(out, ',');
    gp_csv_field(out, s);
}

static void put_csv_value(column col, const gp_row *r, const gp_counters *totals, const gp_dns_names *names,
                          gp_buf *field)
{
    uint64_t v = 0;
    uint64_t whole = 0;
    quantity q = value_of(col, &r->c, &v);
    gp_buf_clear(field);
    if (q == PERCENT) {
        (void)value_of(col, totals, &whole);
        gp_buf_printf(field, "%.2f", percent(v, whole));
    } else if (q != NOT_A_NUMBER) {
        gp_buf_u64(field, v);
    } else if (col == C_TIME) {
        gp_buf_i64(field, r->ts);
    } else {
        put_attribute(col, r, names, gp_buf_puts, field);
    }
}

static void put_csv_summary(const gp_result *r, const layout *l, const gp_report_options *o, gp_buf *out)
{
    gp_buf text = GP_BUF_INIT;
    const gp_row totals = {.c = r->totals};
    for (size_t i = 0; i < l->n; i++) {
        if (!has_total(l->cols[i]))
            continue;
        put_csv_value(l->cols[i], &totals, &r->totals, NULL, &text);
        gp_buf_printf(out, "%s,%s\n", columns[l->cols[i]].csv_total, text.data ? text.data : "");
    }
    gp_buf_puts(out, "Sorting and flow direction,");
    put_describe(o->sort_by, o->direction, out);
    gp_buf_puts(out, "\nInterface");
    gp_buf_clear(&text);
    for (size_t i = 0; i < r->n_ifaces; i++)
        gp_buf_printf(&text, "%s%s", i ? "," : "", r->ifaces[i]);
    put_csv_field(text.data ? text.data : "", false, out);
    gp_buf_putc(out, '\n');
    gp_buf_free(&text);
}

void gp_report_csv(const gp_result *r, const gp_report_options *opt, gp_buf *out)
{
    layout l = make_layout(opt);
    gp_buf field = GP_BUF_INIT;
    for (size_t i = 0; i < l.n; i++)
        put_csv_field(columns[l.cols[i]].csv, i == 0, out);
    gp_buf_putc(out, '\n');
    for (size_t i = 0; i < r->n_rows; i++) {
        for (size_t c = 0; c < l.n; c++) {
            put_csv_value(l.cols[c], &r->rows[i], &r->totals, opt->names, &field);
            put_csv_field(field.data ? field.data : "", c == 0, out);
        }
        gp_buf_putc(out, '\n');
    }
    if (field.failed)
        out->failed = true;
    gp_buf_free(&field);
    put_csv_summary(r, &l, opt, out);
}
