/* A table with one line for each host. */
#include "client/gpctl/cells.h"
#include "client/gpctl/fleet.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_COLUMNS = 10 };

typedef struct layout {
    const char *title;
    size_t columns;
    size_t left; /* this many columns from the left are words, not numbers */
    const char *above[MAX_COLUMNS];
    const char *below[MAX_COLUMNS];
} layout;

static const layout status_layout = {"Status of all hosts",
                                     10,
                                     1,
                                     {"", "", "total", "", "total", "", "total", "", "", "last"},
                                     {"host", "ifaces", "received", "+ received", "processed", "+ processed",
                                      "dropped", "+ dropped", "running for", "writeout"}};
static const layout config_layout = {
    "Configuration of all hosts", 3, 3, {"", "", ""}, {"host", "ifaces", "names"}};
static const layout update_layout = {
    "Changes on all hosts", 5, 5, {"", "", "", "", ""}, {"host", "enabled", "updated", "disabled", "failed"}};
static const layout level_layout = {"Log level of all hosts", 2, 2, {"", ""}, {"host", "level"}};

static const layout *layout_of(const options *o)
{
    if (o->cmd == CMD_STATUS)
        return &status_layout;
    if (o->cmd == CMD_LOG_LEVEL)
        return &level_layout;
    return o->file || o->reload ? &update_layout : &config_layout;
}

static void put_status(cells *l, const gp_status *s, bool color, const struct timespec *now)
{
    const gp_capture_stats sum = status_sum(s);
    gp_buf_printf(&l->text, "%zu", s->n_ifaces);
    cells_end(l);
    cells_put_count(l, sum.received_total);
    cells_put_count(l, sum.received);
    cells_put_count(l, sum.processed_total);
    cells_put_count(l, sum.processed);
    cells_put_count(l, sum.dropped_total);
    if (sum.dropped)
        gp_styled(&l->text, color, GP_STYLE_BOLD | GP_STYLE_RED, "%llu", (unsigned long long)sum.dropped);
    else
        gp_fmt_count(&l->text, 0);
    cells_end(l);
    put_age(&l->text, s->started_sec, s->started_nsec, now);
    cells_end(l);
    if (s->last_writeout_sec)
        put_age(&l->text, s->last_writeout_sec, s->last_writeout_nsec, now);
    gp_buf_puts(&l->text, s->last_writeout_sec ? " ago" : "-");
    cells_end(l);
}

static void put_config(cells *l, const gp_capconfig_map *m)
{
    gp_buf_printf(&l->text, "%zu", m->n);
    cells_end(l);
    for (size_t i = 0; i < m->n; i++)
        gp_buf_printf(&l->text, "%s%s", i ? " " : "", m->entries[i].name);
    cells_end(l);
}

static void put_changed(cells *l, const gp_iface_changes *c)
{
    bool any = false;
    for (size_t i = 0; i < c->n; i++)
        if (c->items[i].success) {
            gp_buf_printf(&l->text, "%s%s", any ? " " : "", c->items[i].iface);
            any = true;
        }
    cells_put(l, any ? "" : "-");
}

static bool put_failed(cells *l, const gp_iface_changes *c, bool any, bool color)
{
    for (size_t i = 0; i < c->n; i++)
        if (!c->items[i].success) {
            gp_styled(&l->text, color, GP_STYLE_BOLD | GP_STYLE_RED, "%s%s", any ? " " : "",
                      c->items[i].iface);
            any = true;
        }
    return any;
}

static void put_update(cells *l, const gp_config_update *u, bool color)
{
    put_changed(l, &u->enabled);
    put_changed(l, &u->updated);
    put_changed(l, &u->disabled);
    bool any = put_failed(l, &u->enabled, false, color);
    any = put_failed(l, &u->updated, any, color);
    any = put_failed(l, &u->disabled, any, color);
    cells_put(l, any ? "" : "-");
}

/* As much of a message as a line has room for; the rest of the line is its. */
static void put_error(cells *l, const char *message, bool color)
{
    enum { ROOM = 100 };
    size_t n = strcspn(message, "\n");
    gp_styled(&l->text, color, GP_STYLE_RED, "%.*s%s", (int)(n < ROOM ? n : ROOM), message,
              n > ROOM ? "..." : "");
    cells_end(l);
}

static void add_host(gp_table *t, const options *o, const char *name, const answer *a, bool color,
                     const struct timespec *now)
{
    cells l = {.text = GP_BUF_INIT};
    cells_put(&l, name);
    if (a->code != GP_OK)
        put_error(&l, a->err.msg, color);
    else if (o->cmd == CMD_STATUS)
        put_status(&l, &a->status, color, now);
    else if (o->cmd == CMD_LOG_LEVEL)
        cells_put(&l, a->level ? a->level : "");
    else if (o->file || o->reload)
        put_update(&l, &a->update, color);
    else
        put_config(&l, &a->config);
    cells_add_to(&l, t);
}

static void heading(gp_table *t, const layout *l)
{
    if (l == &status_layout)
        gp_table_row(t, l->above, l->columns);
    gp_table_row(t, l->below, l->columns);
    gp_table_separator(t);
    for (size_t i = l->left; i < l->columns; i++)
        gp_table_align(t, i, GP_ALIGN_RIGHT);
}

gp_code fleet_report(const options *o, const targets *t, const answer *answers, bool color, gp_buf *out,
                     gp_error *err)
{
    const layout *l = layout_of(o);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    gp_buf title = GP_BUF_INIT;
    gp_styled(&title, color, GP_STYLE_BOLD, "%s", l->title);
    gp_table *table = title.failed ? NULL : gp_table_new(l->columns, title.data);
    gp_buf_free(&title);
    if (!table)
        return gp_fail(err, GP_ENOMEM, "out of memory for the table");
    heading(table, l);
    for (size_t i = 0; i < t->n; i++)
        add_host(table, o, t->items[i].name, &answers[i], color, &now);
    gp_buf_putc(out, '\n');
    if (!o->silent)
        gp_table_render(table, out);
    gp_buf_putc(out, '\n');
    gp_table_free(table);
    return GP_OK;
}
