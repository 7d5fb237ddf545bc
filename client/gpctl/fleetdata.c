/* Answers for programs: JSON as the sensors' API has it, and CSV with a line for each interface. */
#include "client/gpctl/fleet.h"
#include "client/term/term.h"

/* ---- json ---------------------------------------------------------------------------------------------- */

static void put_json(const options *o, const answer *a, gp_buf *out)
{
    if (a->code != GP_OK) {
        gp_buf_puts(out, "{\"error\":");
        gp_buf_json_str(out, a->err.msg);
        gp_buf_putc(out, '}');
    } else if (o->cmd == CMD_STATUS) {
        gp_status_to_json(&a->status, out);
    } else if (o->cmd == CMD_LOG_LEVEL) {
        gp_buf_puts(out, "{\"level\":");
        gp_buf_json_str(out, a->level);
        gp_buf_putc(out, '}');
    } else if (o->file || o->reload) {
        gp_config_update_to_json(&a->update, out);
    } else {
        gp_capconfig_map_to_json(&a->config, out);
    }
}

static void put_all_json(const options *o, const targets *t, const answer *answers, gp_buf *out)
{
    for (size_t i = 0; i < t->n; i++) {
        gp_buf_putc(out, i ? ',' : '{');
        gp_buf_json_str(out, t->items[i].name);
        gp_buf_putc(out, ':');
        put_json(o, &answers[i], out);
    }
    gp_buf_puts(out, "}\n");
}

/* ---- csv ----------------------------------------------------------------------------------------------- */

static const char *csv_header(const options *o)
{
    if (o->cmd == CMD_STATUS)
        return "host,iface,received_total,received,processed_total,processed,dropped_total,dropped,error\n";
    if (o->cmd == CMD_LOG_LEVEL)
        return "host,level,error\n";
    return o->file || o->reload ? "host,change,iface,success,error\n"
                                : "host,iface,promisc,block_size,num_blocks,error\n";
}

static void put_start(gp_buf *out, const char *host, const char *next)
{
    gp_csv_field(out, host);
    gp_buf_putc(out, ',');
    gp_csv_field(out, next);
}

static void put_status_csv(gp_buf *out, const char *host, const gp_status *s)
{
    for (size_t i = 0; i < s->n_ifaces; i++) {
        const gp_capture_stats *st = &s->ifaces[i].stats;
        const uint64_t values[] = {st->received_total, st->received,      st->processed_total,
                                   st->processed,      st->dropped_total, st->dropped};
        put_start(out, host, s->ifaces[i].iface);
        for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
            gp_buf_putc(out, ',');
            gp_buf_u64(out, values[v]);
        }
        gp_buf_puts(out, ",\n");
    }
}

static void put_config_csv(gp_buf *out, const char *host, const gp_capconfig_map *m)
{
    for (size_t i = 0; i < m->n; i++) {
        const gp_capconfig *c = &m->entries[i].cfg;
        put_start(out, host, m->entries[i].name);
        gp_buf_puts(out, c->promisc ? ",true," : ",false,");
        if (c->has_ring)
            gp_buf_i64(out, c->block_size);
        gp_buf_putc(out, ',');
        if (c->has_ring)
            gp_buf_i64(out, c->num_blocks);
        gp_buf_puts(out, ",\n");
    }
}

static void put_changes_csv(gp_buf *out, const char *host, const char *change, const gp_iface_changes *c)
{
    for (size_t i = 0; i < c->n; i++) {
        put_start(out, host, change);
        gp_buf_putc(out, ',');
        gp_csv_field(out, c->items[i].iface);
        gp_buf_puts(out, c->items[i].success ? ",true,\n" : ",false,\n");
    }
}

/* The message is in the last column, which all lines have. */
static void put_error_csv(gp_buf *out, const char *host, const char *header, const char *message)
{
    gp_csv_field(out, host);
    for (const char *p = header; *p; p++)
        if (*p == ',')
            gp_buf_putc(out, ',');
    gp_csv_field(out, message);
    gp_buf_putc(out, '\n');
}

static void put_csv(const options *o, const char *host, const answer *a, gp_buf *out)
{
    if (a->code != GP_OK) {
        put_error_csv(out, host, csv_header(o), a->err.msg);
    } else if (o->cmd == CMD_STATUS) {
        put_status_csv(out, host, &a->status);
    } else if (o->cmd == CMD_LOG_LEVEL) {
        put_start(out, host, a->level);
        gp_buf_puts(out, ",\n");
    } else if (o->file || o->reload) {
        put_changes_csv(out, host, "enabled", &a->update.enabled);
        put_changes_csv(out, host, "updated", &a->update.updated);
        put_changes_csv(out, host, "disabled", &a->update.disabled);
    } else {
        put_config_csv(out, host, &a->config);
    }
}

void fleet_data(const options *o, const targets *t, const answer *answers, gp_buf *out)
{
    if (o->format == FORMAT_CSV) {
        gp_buf_puts(out, csv_header(o));
        for (size_t i = 0; i < t->n; i++)
            put_csv(o, t->items[i].name, &answers[i], out);
    } else if (t->n == 1 && !o->endpoints) { /* one host: what its API says */
        if (answers[0].code == GP_OK) {
            put_json(o, &answers[0], out);
            gp_buf_putc(out, '\n');
        }
    } else {
        put_all_json(o, t, answers, out);
    }
}
