#include "client/gpctl/cells.h"
#include "client/gpctl/gpctl.h"

#include <stdlib.h>

enum { COLUMNS = 8, DETAILED_COLUMNS = COLUMNS + GP_PARSE_ERRORS };

static void iface_row(gp_table *t, const gp_iface_status *s, bool detailed, bool color,
                      const struct timespec *now)
{
    const gp_capture_stats *st = &s->stats;
    cells c = {.text = GP_BUF_INIT};
    gp_buf_puts(&c.text, s->iface);
    cells_end(&c);
    cells_put_count(&c, st->received_total);
    cells_put_count(&c, st->received);
    cells_put_count(&c, st->processed_total);
    cells_put_count(&c, st->processed);
    cells_put_count(&c, st->dropped_total);
    if (st->dropped)
        gp_styled(&c.text, color, GP_STYLE_BOLD | GP_STYLE_RED, "%llu", (unsigned long long)st->dropped);
    else
        gp_fmt_count(&c.text, 0);
    cells_end(&c);
    put_age(&c.text, st->started_sec, st->started_nsec, now);
    cells_end(&c);
    for (size_t i = 0; detailed && i < GP_PARSE_ERRORS; i++)
        cells_put_count(&c, st->parse_errors[i]);
    cells_add_to(&c, t);
}

static void heading(gp_table *t, bool detailed)
{
    const char *above[COLUMNS + 1] = {"", "total", "", "total", "", "total", "", "active", "parsing errors"};
    const char *below[DETAILED_COLUMNS] = {"iface",       "received", "+ received", "processed",
                                           "+ processed", "dropped",  "+ dropped",  "for"};
    for (size_t i = 0; i < GP_PARSE_ERRORS; i++)
        below[COLUMNS + i] = gp_parse_errno_name((gp_parse_errno)i);
    gp_table_row(t, above, detailed ? COLUMNS + 1 : COLUMNS);
    gp_table_row(t, below, detailed ? DETAILED_COLUMNS : COLUMNS);
    gp_table_separator(t);
    for (size_t i = 1; i < DETAILED_COLUMNS; i++)
        gp_table_align(t, i, GP_ALIGN_RIGHT);
    if (!detailed)
        gp_table_align(t, COLUMNS - 1, GP_ALIGN_LEFT);
}

static gp_code put_table(const gp_status *s, bool detailed, bool color, const struct timespec *now,
                         gp_buf *out, gp_error *err)
{
    gp_buf title = GP_BUF_INIT;
    gp_styled(&title, color, GP_STYLE_BOLD, "Interface Statuses");
    gp_table *t = title.failed ? NULL : gp_table_new(detailed ? DETAILED_COLUMNS : COLUMNS, title.data);
    gp_buf_free(&title);
    if (!t)
        return gp_fail(err, GP_ENOMEM, "out of memory for the table");
    heading(t, detailed);
    for (size_t i = 0; i < s->n_ifaces; i++)
        iface_row(t, &s->ifaces[i], detailed, color, now);
    gp_table_render(t, out);
    gp_table_free(t);
    return GP_OK;
}

static void put_time_and_age(gp_buf *out, int64_t sec, int32_t nsec, const struct timespec *now)
{
    if (sec == 0) {
        gp_buf_puts(out, "- (- ago)");
        return;
    }
    gp_fmt_time(out, sec);
    gp_buf_puts(out, " (");
    put_age(out, sec, nsec, now);
    gp_buf_puts(out, " ago)");
}

static void put_pair(gp_buf *out, const char *label, uint64_t total, uint64_t recent)
{
    gp_buf_puts(out, label);
    gp_fmt_count(out, total);
    gp_buf_puts(out, " / + ");
    gp_fmt_count(out, recent);
    gp_buf_putc(out, '\n');
}

static void put_summary(const gp_status *s, const struct timespec *now, gp_buf *out)
{
    const gp_capture_stats sum = status_sum(s);
    gp_buf_puts(out, "Runtime info:\n\n            Running since: ");
    put_time_and_age(out, s->started_sec, s->started_nsec, now);
    gp_buf_puts(out, "\n  Last scheduled writeout: ");
    put_time_and_age(out, s->last_writeout_sec, s->last_writeout_nsec, now);
    gp_buf_puts(out, "\n\nTotals:\n\n    Packets\n");
    put_pair(out, "       Received: ", sum.received_total, sum.received);
    put_pair(out, "      Processed: ", sum.processed_total, sum.processed);
    put_pair(out, "        Dropped: ", sum.dropped_total, sum.dropped);
    gp_buf_putc(out, '\n');
}

static gp_code explain(const options *o, gp_error *err)
{
    gp_buf names = GP_BUF_INIT;
    put_names(&names, o->ifaces, o->n_ifaces);
    gp_code rc =
        gp_error_prefix(err, "failed to fetch status for interfaces %s", names.data ? names.data : "");
    gp_buf_free(&names);
    return rc;
}

gp_code run_status(const options *o, gp_client *c, bool color, gp_buf *out, gp_error *err)
{
    gp_status s = {0};
    gp_code rc = gp_client_status(c, o->ifaces, o->n_ifaces, &s, err);
    if (rc != GP_OK)
        return explain(o, err);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    gp_buf_putc(out, '\n');
    rc = put_table(&s, o->detailed, color, &now, out, err);
    if (rc == GP_OK) {
        gp_buf_putc(out, '\n');
        put_summary(&s, &now, out);
    }
    gp_status_free(&s);
    return rc;
}
