#include "proto/control/status.h"
#include "proto/control/json.h"
#include "proto/query/timeparse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *gp_parse_errno_name(gp_parse_errno e)
{
    static const char *const names[GP_PARSE_ERRORS] = {"packet fragmented", "invalid IP header",
                                                       "packet truncated"};
    return (size_t)e < GP_PARSE_ERRORS ? names[e] : "unknown";
}

typedef struct counter {
    const char *name;
    size_t offset;
} counter;

/* The counters of gp_capture_stats in the order of v4's JSON. */
static const counter counters[] = {
    {"received", offsetof(gp_capture_stats, received)},
    {"received_total", offsetof(gp_capture_stats, received_total)},
    {"processed", offsetof(gp_capture_stats, processed)},
    {"processed_total", offsetof(gp_capture_stats, processed_total)},
    {"dropped", offsetof(gp_capture_stats, dropped)},
    {"dropped_total", offsetof(gp_capture_stats, dropped_total)},
};
enum { N_COUNTERS = sizeof counters / sizeof counters[0] };

/* What v4 does not have stands behind, unless it is 0. */
static const counter more_counters[] = {
    {"flows", offsetof(gp_capture_stats, flows)},
    {"table_bytes", offsetof(gp_capture_stats, table_bytes)},
    {"overflow_packets", offsetof(gp_capture_stats, overflow_packets)},
    {"overflow_bytes", offsetof(gp_capture_stats, overflow_bytes)},
    {"ring_fill_percent", offsetof(gp_capture_stats, ring_fill_percent)},
    {"journal_bytes", offsetof(gp_capture_stats, journal_bytes)},
    {"journal_age_ms", offsetof(gp_capture_stats, journal_age_ms)},
    {"rotation_pause_ns", offsetof(gp_capture_stats, rotation_pause_ns)},
};
enum { N_MORE_COUNTERS = sizeof more_counters / sizeof more_counters[0] };

/* More interfaces than that no host has; keeps the sorted insertion of a peer's list cheap. */
enum { MAX_CHANGES = 16384 };

void gp_status_free(gp_status *s)
{
    for (size_t i = 0; i < s->n_ifaces; i++)
        free(s->ifaces[i].iface);
    free(s->ifaces);
    free(s->error);
    *s = (gp_status){0};
}

static void put_time(gp_buf *out, const char *name, int64_t sec, int32_t nsec)
{
    char text[GP_TIME_STRLEN];
    if (sec == 0)
        snprintf(text, sizeof text, "0001-01-01T00:00:00Z");
    else
        gp_time_format_rfc3339(sec, nsec, text);
    gp_buf_printf(out, "\"%s\":\"%s\"", name, text);
}

static void counters_to_json(const gp_capture_stats *st, const counter *list, size_t n, bool zeros,
                             gp_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t v;
        memcpy(&v, (const char *)st + list[i].offset, sizeof v);
        if (v == 0 && !zeros)
            continue;
        gp_buf_printf(out, ",\"%s\":", list[i].name);
        gp_buf_u64(out, v);
    }
}

static void stats_to_json(const gp_capture_stats *st, gp_buf *out)
{
    gp_buf_putc(out, '{');
    put_time(out, "started_at", st->started_sec, st->started_nsec);
    counters_to_json(st, counters, N_COUNTERS, true, out);
    gp_buf_puts(out, ",\"parsing_errors\":[");
    for (size_t i = 0; i < GP_PARSE_ERRORS; i++) {
        if (i)
            gp_buf_putc(out, ',');
        gp_buf_u64(out, st->parse_errors[i]);
    }
    gp_buf_putc(out, ']');
    counters_to_json(st, more_counters, N_MORE_COUNTERS, false, out);
    gp_buf_putc(out, '}');
}

/* The members that every response of v4's control API starts with. */
static void put_head(gp_buf *out, int status_code, const char *error)
{
    gp_buf_printf(out, "{\"status_code\":%d,", status_code);
    if (error && *error) {
        gp_buf_puts(out, "\"error\":");
        gp_buf_json_str(out, error);
        gp_buf_putc(out, ',');
    }
}

void gp_status_to_json(const gp_status *s, gp_buf *out)
{
    put_head(out, s->status_code, s->error);
    put_time(out, "last_writeout", s->last_writeout_sec, s->last_writeout_nsec);
    gp_buf_putc(out, ',');
    put_time(out, "started_at", s->started_sec, s->started_nsec);
    gp_buf_puts(out, ",\"statuses\":{");
    for (size_t i = 0; i < s->n_ifaces; i++) {
        if (i)
            gp_buf_putc(out, ',');
        gp_buf_json_str(out, s->ifaces[i].iface);
        gp_buf_putc(out, ':');
        stats_to_json(&s->ifaces[i].stats, out);
    }
    gp_buf_puts(out, "}}");
}

static gp_code parse_errors_from_json(const cJSON *list, const char *iface, gp_capture_stats *st,
                                      gp_error *err)
{
    if (!list || cJSON_IsNull(list))
        return GP_OK;
    if (!cJSON_IsArray(list))
        return gp_fail(err, GP_ECORRUPT, "%s: \"parsing_errors\" must be an array", iface);
    size_t at = 0;
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, list)
    {
        int64_t v = 0;
        if (!gp_cjson_to_i64(item, &v) || v < 0)
            return gp_fail(err, GP_ECORRUPT, "%s: \"parsing_errors\" must be counters", iface);
        if (at < GP_PARSE_ERRORS) /* a newer peer may know further kinds */
            st->parse_errors[at++] = (uint64_t)v;
    }
    return GP_OK;
}

static gp_code counters_from_json(const cJSON *o, const char *iface, const counter *list, size_t n,
                                  gp_capture_stats *st, gp_error *err)
{
    gp_code rc = GP_OK;
    for (size_t i = 0; rc == GP_OK && i < n; i++) {
        uint64_t v = 0;
        rc = gp_member_u64(o, iface, list[i].name, &v, err);
        memcpy((char *)st + list[i].offset, &v, sizeof v);
    }
    return rc;
}

static gp_code stats_from_json(const cJSON *o, const char *iface, gp_capture_stats *st, gp_error *err)
{
    if (!cJSON_IsObject(o))
        return gp_fail(err, GP_ECORRUPT, "%s: expected an object with capture statistics", iface);
    gp_code rc = gp_member_time(o, iface, "started_at", &st->started_sec, &st->started_nsec, err);
    if (rc == GP_OK)
        rc = counters_from_json(o, iface, counters, N_COUNTERS, st, err);
    if (rc == GP_OK)
        rc = counters_from_json(o, iface, more_counters, N_MORE_COUNTERS, st, err);
    if (rc == GP_OK)
        rc = parse_errors_from_json(cJSON_GetObjectItemCaseSensitive(o, "parsing_errors"), iface, st, err);
    return rc;
}

static int cmp_status(const void *a, const void *b)
{
    return strcmp(((const gp_iface_status *)a)->iface, ((const gp_iface_status *)b)->iface);
}

static gp_code statuses_from_json(const cJSON *map, gp_status *s, gp_error *err)
{
    if (!map || cJSON_IsNull(map))
        return GP_OK;
    if (!cJSON_IsObject(map))
        return gp_fail(err, GP_ECORRUPT, "status: \"statuses\" must be an object");
    size_t n = (size_t)cJSON_GetArraySize(map);
    s->ifaces = calloc(n ? n : 1, sizeof *s->ifaces);
    if (!s->ifaces)
        return gp_fail(err, GP_ENOMEM, "status: out of memory for %zu interfaces", n);
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, map)
    {
        gp_iface_status *st = &s->ifaces[s->n_ifaces];
        st->iface = strdup(item->string);
        if (!st->iface)
            return gp_fail(err, GP_ENOMEM, "status: out of memory for interface '%s'", item->string);
        s->n_ifaces++;
        gp_code rc = stats_from_json(item, st->iface, &st->stats, err);
        if (rc != GP_OK)
            return rc;
    }
    qsort(s->ifaces, s->n_ifaces, sizeof *s->ifaces, cmp_status);
    return GP_OK;
}

static gp_code head_from_json(const cJSON *o, const char *what, int *status_code, char **error, gp_error *err)
{
    int64_t code = 0;
    gp_code rc = gp_member_i64(o, what, "status_code", &code, err);
    if (rc == GP_OK && (code < 0 || code > 999))
        rc = gp_fail(err, GP_ECORRUPT, "%s: \"status_code\" %lld is not an HTTP status", what,
                     (long long)code);
    *status_code = (int)code;
    return rc == GP_OK ? gp_member_dup_str(o, what, "error", error, err) : rc;
}

gp_code gp_status_from_json(const char *text, size_t len, gp_status *out, gp_error *err)
{
    cJSON *root = gp_cjson_object(text, len, "status", err);
    if (!root)
        return GP_ECORRUPT;
    gp_status s = {0};
    gp_code rc = head_from_json(root, "status", &s.status_code, &s.error, err);
    if (rc == GP_OK)
        rc =
            gp_member_time(root, "status", "last_writeout", &s.last_writeout_sec, &s.last_writeout_nsec, err);
    if (rc == GP_OK)
        rc = gp_member_time(root, "status", "started_at", &s.started_sec, &s.started_nsec, err);
    if (rc == GP_OK)
        rc = statuses_from_json(cJSON_GetObjectItemCaseSensitive(root, "statuses"), &s, err);
    cJSON_Delete(root);
    if (rc == GP_OK)
        *out = s;
    else
        gp_status_free(&s);
    return rc;
}

gp_code gp_iface_changes_add(gp_iface_changes *c, const char *iface, bool success, gp_error *err)
{
    char *copy = strdup(iface);
    gp_iface_change *grown = copy ? reallocarray(c->items, c->n + 1, sizeof *grown) : NULL;
    if (!grown) {
        free(copy);
        return gp_fail(err, GP_ENOMEM, "out of memory for the change of interface '%s'", iface);
    }
    c->items = grown;
    size_t at = c->n;
    while (at > 0 && strcmp(grown[at - 1].iface, iface) > 0)
        at--;
    memmove(grown + at + 1, grown + at, (c->n - at) * sizeof *grown);
    grown[at] = (gp_iface_change){.iface = copy, .success = success};
    c->n++;
    return GP_OK;
}

static void changes_free(gp_iface_changes *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->items[i].iface);
    free(c->items);
    *c = (gp_iface_changes){0};
}

void gp_config_update_free(gp_config_update *u)
{
    changes_free(&u->enabled);
    changes_free(&u->updated);
    changes_free(&u->disabled);
    free(u->error);
    *u = (gp_config_update){0};
}

size_t gp_iface_changes_failures(const gp_iface_changes *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        n += !c->items[i].success;
    return n;
}

size_t gp_config_update_failures(const gp_config_update *u)
{
    return gp_iface_changes_failures(&u->enabled) + gp_iface_changes_failures(&u->updated) +
           gp_iface_changes_failures(&u->disabled);
}

static void changes_to_json(const char *name, const gp_iface_changes *c, gp_buf *out)
{
    gp_buf_printf(out, "\"%s\":", name);
    if (c->n == 0) {
        gp_buf_puts(out, "null");
        return;
    }
    for (size_t i = 0; i < c->n; i++) {
        gp_buf_puts(out, i ? ",{\"name\":" : "[{\"name\":");
        gp_buf_json_str(out, c->items[i].iface);
        gp_buf_printf(out, ",\"success\":%s}", c->items[i].success ? "true" : "false");
    }
    gp_buf_putc(out, ']');
}

void gp_config_update_to_json(const gp_config_update *u, gp_buf *out)
{
    put_head(out, u->status_code, u->error);
    changes_to_json("enabled", &u->enabled, out);
    gp_buf_putc(out, ',');
    changes_to_json("updated", &u->updated, out);
    gp_buf_putc(out, ',');
    changes_to_json("disabled", &u->disabled, out);
    gp_buf_putc(out, '}');
}

static void changes_to_text(const char *what, const gp_iface_changes *c, gp_buf *out)
{
    for (size_t i = 0; i < c->n; i++)
        gp_buf_printf(out, "%s%s %s%s", out->len ? ", " : "", what, c->items[i].iface,
                      c->items[i].success ? "" : " (failed)");
}

void gp_config_update_to_text(const gp_config_update *u, gp_buf *out)
{
    changes_to_text("enabled", &u->enabled, out);
    changes_to_text("updated", &u->updated, out);
    changes_to_text("disabled", &u->disabled, out);
}

static gp_code changes_from_json(const cJSON *root, const char *name, gp_iface_changes *c, gp_error *err)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, name);
    if (!list || cJSON_IsNull(list))
        return GP_OK;
    if (!cJSON_IsArray(list))
        return gp_fail(err, GP_ECORRUPT, "configuration update: \"%s\" must be an array", name);
    if (cJSON_GetArraySize(list) > MAX_CHANGES)
        return gp_fail(err, GP_ELIMIT, "configuration update: more than %d changes in \"%s\"", MAX_CHANGES,
                       name);
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, list)
    {
        const cJSON *iface = cJSON_GetObjectItemCaseSensitive(item, "name");
        bool success = false;
        if (!cJSON_IsString(iface))
            return gp_fail(err, GP_ECORRUPT, "configuration update: each of \"%s\" must have a name", name);
        gp_code rc = gp_member_bool(item, iface->valuestring, "success", &success, err);
        if (rc == GP_OK)
            rc = gp_iface_changes_add(c, iface->valuestring, success, err);
        if (rc != GP_OK)
            return rc;
    }
    return GP_OK;
}

gp_code gp_config_update_from_json(const char *text, size_t len, gp_config_update *out, gp_error *err)
{
    static const char what[] = "configuration update";
    cJSON *root = gp_cjson_object(text, len, what, err);
    if (!root)
        return GP_ECORRUPT;
    gp_config_update u = {0};
    gp_code rc = head_from_json(root, what, &u.status_code, &u.error, err);
    if (rc == GP_OK)
        rc = changes_from_json(root, "enabled", &u.enabled, err);
    if (rc == GP_OK)
        rc = changes_from_json(root, "updated", &u.updated, err);
    if (rc == GP_OK)
        rc = changes_from_json(root, "disabled", &u.disabled, err);
    cJSON_Delete(root);
    if (rc == GP_OK)
        *out = u;
    else
        gp_config_update_free(&u);
    return rc;
}
