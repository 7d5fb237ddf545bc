#include "client/gpctl/gpctl.h"
#include "client/term/term.h"
#include "proto/yaml/yaml.h"

#include <stdio.h>

enum { COLUMNS = 4 };

static void config_row(gp_table *t, const gp_capconfig_entry *e)
{
    char size[24] = "-";
    char blocks[24] = "-";
    if (e->cfg.has_ring) {
        snprintf(size, sizeof size, "%lld", (long long)e->cfg.block_size);
        snprintf(blocks, sizeof blocks, "%lld", (long long)e->cfg.num_blocks);
    }
    const char *row[COLUMNS] = {e->name, e->cfg.promisc ? "true" : "false", size, blocks};
    gp_table_row(t, row, COLUMNS);
}

static gp_code put_table(const gp_capconfig_map *m, bool color, gp_buf *out, gp_error *err)
{
    static const char *const above[COLUMNS] = {"", "", "ring buffer", "ring buffer"};
    static const char *const below[COLUMNS] = {"iface", "promisc", "block size", "num blocks"};
    gp_buf title = GP_BUF_INIT;
    gp_styled(&title, color, GP_STYLE_BOLD, "Interface Configuration");
    gp_table *t = title.failed ? NULL : gp_table_new(COLUMNS, title.data);
    gp_buf_free(&title);
    if (!t)
        return gp_fail(err, GP_ENOMEM, "out of memory for the table");
    gp_table_align(t, 2, GP_ALIGN_RIGHT);
    gp_table_row(t, above, COLUMNS);
    gp_table_row(t, below, COLUMNS);
    gp_table_separator(t);
    for (size_t i = 0; i < m->n; i++)
        config_row(t, &m->entries[i]);
    gp_table_render(t, out);
    gp_table_free(t);
    return GP_OK;
}

static gp_code show(const options *o, gp_client *c, bool color, gp_buf *out, gp_error *err)
{
    gp_capconfig_map m = {0};
    gp_code rc = gp_client_config_get(c, o->ifaces, o->n_ifaces, &m, err);
    if (rc != GP_OK) {
        gp_buf names = GP_BUF_INIT;
        put_names(&names, o->ifaces, o->n_ifaces);
        gp_error_prefix(err, "failed to fetch config for interfaces %s", names.data ? names.data : "");
        gp_buf_free(&names);
        return rc;
    }
    gp_buf_putc(out, '\n');
    rc = put_table(&m, color, out, err);
    gp_buf_putc(out, '\n');
    gp_capconfig_map_free(&m);
    return rc;
}

/* "[eth0 eth1] (FAILED: [eth2])" */
static void put_changes(gp_buf *out, const char *label, const gp_iface_changes *c, bool color)
{
    gp_buf failed = GP_BUF_INIT;
    gp_buf_puts(out, label);
    gp_buf_putc(out, '[');
    bool first = true;
    for (size_t i = 0; i < c->n; i++) {
        const gp_iface_change *change = &c->items[i];
        if (!change->success) {
            gp_buf_puts(&failed, failed.len ? " " : "");
            gp_buf_puts(&failed, change->iface);
            continue;
        }
        gp_buf_puts(out, first ? "" : " ");
        gp_buf_puts(out, change->iface);
        first = false;
    }
    gp_buf_putc(out, ']');
    if (failed.len)
        gp_styled(out, color, GP_STYLE_BOLD | GP_STYLE_RED, " (FAILED: [%s])", failed.data);
    gp_buf_putc(out, '\n');
    gp_buf_free(&failed);
}

static void put_update(const gp_config_update *u, bool color, gp_buf *out)
{
    gp_buf_putc(out, '\n');
    put_changes(out, "     Enabled: ", &u->enabled, color);
    put_changes(out, "     Updated: ", &u->updated, color);
    put_changes(out, "    Disabled: ", &u->disabled, color);
    gp_buf_putc(out, '\n');
}

static gp_code load(const char *path, gp_capconfig_map *out, gp_error *err)
{
    gp_yaml_doc *doc = NULL;
    gp_code rc = gp_yaml_load(&doc, path, err);
    if (rc == GP_OK)
        rc = gp_capconfig_map_from_yaml(gp_yaml_get(gp_yaml_root(doc), "interfaces"), out, err);
    if (rc == GP_OK)
        rc = gp_capconfig_map_validate(out, err);
    if (rc != GP_OK)
        gp_error_prefix(err, "failed to load goprobe's config file %s", path);
    gp_yaml_free(doc);
    return rc;
}

gp_code change_config(const options *o, gp_client *c, gp_config_update *u, gp_error *err)
{
    if (o->reload) {
        gp_code rc = gp_client_reload(c, u, err);
        if (rc != GP_OK)
            gp_error_prefix(err, "failed to trigger reload of goprobe's runtime configuration");
        return rc;
    }
    gp_capconfig_map m = {0};
    gp_code rc = load(o->file, &m, err);
    if (rc == GP_OK) {
        rc = gp_client_config_put(c, &m, u, err);
        if (rc != GP_OK)
            gp_error_prefix(err, "failed to update goprobe's runtime configuration");
    }
    gp_capconfig_map_free(&m);
    return rc;
}

gp_code check_update(const gp_config_update *u, gp_error *err)
{
    size_t n = gp_config_update_failures(u);
    return n == 0 ? GP_OK
                  : gp_fail(err, GP_EIO, "%zu interface%s could not be changed: see the log of the sensor", n,
                            n == 1 ? "" : "s");
}

gp_code run_config(const options *o, gp_client *c, bool color, gp_buf *out, gp_error *err)
{
    if (!o->reload && !o->file)
        return show(o, c, color, out, err);
    gp_config_update u = {0};
    gp_code rc = change_config(o, c, &u, err);
    if (rc == GP_OK && !o->silent)
        put_update(&u, color, out);
    if (rc == GP_OK)
        rc = check_update(&u, err);
    gp_config_update_free(&u);
    return rc;
}
