/* Results from JSON, as sensors and aggregators send them. Unknown fields are skipped. */
#include "proto/result/json_in.h"

#include "proto/query/timeparse.h"
#include "proto/result/strpool.h"

#include <string.h>

typedef gp_json_in reader;

static const char *intern(reader *rd, const char *s, size_t len)
{
    gp_result *r = rd->r;
    if (memchr(s, '\0', len)) {
        gp_json_reject(&rd->j, "a name contains a NUL character");
        return NULL;
    }
    if (!r->pool)
        r->pool = gp_strpool_new();
    const char *copy = r->pool ? gp_strpool_add(r->pool, s, len) : NULL;
    if (!copy)
        gp_json_reject(&rd->j, "out of memory");
    return copy;
}

static const char *read_name(reader *rd)
{
    size_t len;
    const char *s = gp_json_str(&rd->j, &len);
    return rd->j.what ? NULL : intern(rd, s, len);
}

static void read_time(reader *rd, gp_time *out)
{
    size_t len;
    char text[GP_TIME_STRLEN];
    const char *s = gp_json_str(&rd->j, &len);
    *out = (gp_time){0};
    if (rd->j.what)
        return;
    if (len >= sizeof text) {
        gp_json_reject(&rd->j, "expected an RFC 3339 time");
        return;
    }
    memcpy(text, s, len);
    text[len] = '\0';
    if (strncmp(text, "0001-01-01T00:00:00", 19) == 0)
        return;
    out->set = gp_time_parse_rfc3339(text, &out->sec, &out->nsec);
    if (!out->set)
        gp_json_reject(&rd->j, "expected an RFC 3339 time");
}

static gp_status_code read_status_code(reader *rd)
{
    size_t len;
    char name[32];
    gp_status_code code = GP_STATUS_ERROR;
    const char *s = gp_json_str(&rd->j, &len);
    if (len >= sizeof name)
        len = sizeof name - 1;
    memcpy(name, s, len);
    name[len] = '\0';
    if (!rd->j.what && !gp_status_parse(name, &code))
        gp_json_reject(&rd->j, "unknown status code");
    return code;
}

static void read_status(reader *rd, gp_host_status *out)
{
    const char *key;
    size_t len;
    if (!gp_json_object(&rd->j))
        return;
    while (gp_json_key(&rd->j, &key, &len)) {
        if (gp_json_is(key, len, "code"))
            out->code = read_status_code(rd);
        else if (gp_json_is(key, len, "message"))
            out->message = read_name(rd);
        else if (gp_json_is(key, len, "endpoint"))
            out->endpoint = read_name(rd);
        else
            gp_json_skip(&rd->j);
    }
}

static bool skip_null(reader *rd)
{
    if (gp_json_peek(&rd->j) != GP_JSON_NULL)
        return false;
    gp_json_skip(&rd->j);
    return true;
}

static void read_hosts(reader *rd)
{
    const char *key;
    size_t len;
    if (skip_null(rd) || !gp_json_object(&rd->j))
        return;
    while (gp_json_key(&rd->j, &key, &len)) {
        gp_host_status s = {.host = intern(rd, key, len), .code = GP_STATUS_ERROR};
        read_status(rd, &s);
        if (rd->j.what)
            return;
        rd->code = gp_result_set_status(rd->r, &s, rd->err);
        if (rd->code != GP_OK)
            gp_json_reject(&rd->j, "out of memory");
    }
}

static void read_counters(reader *rd, gp_counters *c)
{
    const char *key;
    size_t len;
    if (!gp_json_object(&rd->j))
        return;
    while (gp_json_key(&rd->j, &key, &len)) {
        if (gp_json_is(key, len, "br"))
            c->bytes_rcvd = gp_json_u64(&rd->j);
        else if (gp_json_is(key, len, "bs"))
            c->bytes_sent = gp_json_u64(&rd->j);
        else if (gp_json_is(key, len, "pr"))
            c->pkts_rcvd = gp_json_u64(&rd->j);
        else if (gp_json_is(key, len, "ps"))
            c->pkts_sent = gp_json_u64(&rd->j);
        else
            gp_json_skip(&rd->j);
    }
}

static void read_ifaces(reader *rd)
{
    if (skip_null(rd) || !gp_json_array(&rd->j))
        return;
    while (gp_json_item(&rd->j)) {
        const char *iface = read_name(rd);
        if (!iface)
            return;
        rd->code = gp_result_add_iface(rd->r, iface, rd->err);
        if (rd->code != GP_OK)
            gp_json_reject(&rd->j, "out of memory");
    }
}

static void read_stats(reader *rd)
{
    const char *key;
    size_t len;
    gp_query_stats *s = &rd->r->stats;
    if (skip_null(rd) || !gp_json_object(&rd->j))
        return;
    rd->r->has_stats = true;
    while (gp_json_key(&rd->j, &key, &len)) {
        if (gp_json_is(key, len, "bytes_loaded"))
            s->bytes_loaded = gp_json_u64(&rd->j);
        else if (gp_json_is(key, len, "bytes_decompressed"))
            s->bytes_decompressed = gp_json_u64(&rd->j);
        else if (gp_json_is(key, len, "blocks_processed"))
            s->blocks_processed = gp_json_u64(&rd->j);
        else if (gp_json_is(key, len, "blocks_corrupted"))
            s->blocks_corrupted = gp_json_u64(&rd->j);
        else if (gp_json_is(key, len, "directories_processed"))
            s->directories_processed = gp_json_u64(&rd->j);
        else if (gp_json_is(key, len, "workloads"))
            s->workloads = gp_json_u64(&rd->j);
        else
            gp_json_skip(&rd->j);
    }
}

static void read_timings(reader *rd)
{
    const char *key;
    size_t len;
    if (!gp_json_object(&rd->j))
        return;
    while (gp_json_key(&rd->j, &key, &len)) {
        if (gp_json_is(key, len, "query_start"))
            read_time(rd, &rd->r->query_start);
        else if (gp_json_is(key, len, "query_duration_ns"))
            rd->r->query_duration_ns = gp_json_i64(&rd->j);
        else if (gp_json_is(key, len, "resolution"))
            rd->r->resolution_ns = gp_json_i64(&rd->j);
        else
            gp_json_skip(&rd->j);
    }
}

static void read_hits(reader *rd)
{
    const char *key;
    size_t len;
    if (!gp_json_object(&rd->j))
        return;
    while (gp_json_key(&rd->j, &key, &len)) {
        if (gp_json_is(key, len, "displayed"))
            rd->r->hits_displayed = gp_json_u64(&rd->j);
        else if (gp_json_is(key, len, "total"))
            rd->r->hits_total = gp_json_u64(&rd->j);
        else
            gp_json_skip(&rd->j);
    }
}

static void read_summary(reader *rd)
{
    const char *key;
    size_t len;
    if (!gp_json_object(&rd->j))
        return;
    while (gp_json_key(&rd->j, &key, &len)) {
        if (gp_json_is(key, len, "interfaces"))
            read_ifaces(rd);
        else if (gp_json_is(key, len, "time_first"))
            read_time(rd, &rd->r->first);
        else if (gp_json_is(key, len, "time_last"))
            read_time(rd, &rd->r->last);
        else if (gp_json_is(key, len, "totals"))
            read_counters(rd, &rd->r->totals);
        else if (gp_json_is(key, len, "timings"))
            read_timings(rd);
        else if (gp_json_is(key, len, "hits"))
            read_hits(rd);
        else if (gp_json_is(key, len, "data_available"))
            rd->r->data_available = gp_json_bool(&rd->j);
        else if (gp_json_is(key, len, "stats"))
            read_stats(rd);
        else
            gp_json_skip(&rd->j);
    }
}

static void read_attributes(reader *rd)
{
    if (skip_null(rd) || !gp_json_array(&rd->j))
        return;
    while (gp_json_item(&rd->j)) {
        const char *name = read_name(rd);
        if (name && rd->r->n_attributes < GP_COL_ATTR_COUNT)
            rd->r->attributes[rd->r->n_attributes++] = name;
        else
            gp_json_reject(&rd->j, "more attributes than there are");
    }
}

static void read_query(reader *rd)
{
    const char *key;
    size_t len;
    if (!gp_json_object(&rd->j))
        return;
    while (gp_json_key(&rd->j, &key, &len)) {
        if (gp_json_is(key, len, "attributes"))
            read_attributes(rd);
        else if (gp_json_is(key, len, "condition"))
            rd->r->condition = read_name(rd);
        else
            gp_json_skip(&rd->j);
    }
}

static void read_timestamp(reader *rd, gp_row *row)
{
    size_t len;
    const char *at = rd->j.at;
    const char *s = gp_json_str(&rd->j, &len);
    if (len < sizeof rd->last_ts && strlen(rd->last_ts) == len && memcmp(s, rd->last_ts, len) == 0) {
        row->ts = rd->last_sec;
        return;
    }
    gp_time t;
    if (rd->j.what)
        return;
    if (len < sizeof rd->last_ts) {
        memcpy(rd->last_ts, s, len);
        rd->last_ts[len] = '\0';
    }
    rd->j.at = at; /* once more, as a time */
    read_time(rd, &t);
    row->ts = rd->last_sec = t.set ? t.sec : 0;
}

static void read_labels(reader *rd, gp_row *row)
{
    const char *key;
    size_t len;
    if (!gp_json_object(&rd->j))
        return;
    while (gp_json_key(&rd->j, &key, &len)) {
        if (gp_json_is(key, len, "timestamp"))
            read_timestamp(rd, row);
        else if (gp_json_is(key, len, "iface"))
            row->iface = read_name(rd);
        else if (gp_json_is(key, len, "host"))
            row->host = read_name(rd);
        else if (gp_json_is(key, len, "host_id"))
            row->hostid = read_name(rd);
        else
            gp_json_skip(&rd->j);
    }
}

static void read_addr(reader *rd, gp_addr *out)
{
    size_t len;
    const char *s = gp_json_str(&rd->j, &len);
    if (!rd->j.what && len && !gp_addr_parse(s, len, out))
        gp_json_reject(&rd->j, "expected an IP address");
}

static uint64_t read_bounded(reader *rd, uint64_t max)
{
    uint64_t v = gp_json_u64(&rd->j);
    if (v > max)
        gp_json_reject(&rd->j, "number out of range");
    return v;
}

static void read_row_attributes(reader *rd, gp_row *row)
{
    const char *key;
    size_t len;
    if (!gp_json_object(&rd->j))
        return;
    while (gp_json_key(&rd->j, &key, &len)) {
        if (gp_json_is(key, len, "sip"))
            read_addr(rd, &row->sip);
        else if (gp_json_is(key, len, "dip"))
            read_addr(rd, &row->dip);
        else if (gp_json_is(key, len, "proto"))
            row->proto = (uint8_t)read_bounded(rd, UINT8_MAX);
        else if (gp_json_is(key, len, "dport"))
            row->dport = (uint16_t)read_bounded(rd, UINT16_MAX);
        else
            gp_json_skip(&rd->j);
    }
}

static void read_row(reader *rd, gp_row *row)
{
    const char *key;
    size_t len;
    *row = (gp_row){0};
    if (!gp_json_object(&rd->j))
        return;
    while (gp_json_key(&rd->j, &key, &len)) {
        if (gp_json_is(key, len, "labels"))
            read_labels(rd, row);
        else if (gp_json_is(key, len, "attributes"))
            read_row_attributes(rd, row);
        else if (gp_json_is(key, len, "counters"))
            read_counters(rd, &row->c);
        else
            gp_json_skip(&rd->j);
    }
}

static bool room_for_row(reader *rd)
{
    gp_result *r = rd->r;
    if (rd->max_rows && r->n_rows >= rd->max_rows) {
        rd->code = gp_fail(rd->err, GP_ELIMIT, "the answer has more than the %llu rows that are accepted",
                           (unsigned long long)rd->max_rows);
        return false;
    }
    if (r->n_rows < r->cap_rows)
        return true;
    rd->code = gp_result_reserve_rows(r, r->cap_rows ? r->cap_rows * 2 : 64, rd->err);
    return rd->code == GP_OK;
}

bool gp_json_in_usual_row(gp_json_in *rd)
{
    if (!room_for_row(rd)) {
        gp_json_reject(&rd->j, "too many rows");
        return true;
    }
    const char *behind = gp_row_read(&rd->rows, rd->j.at, rd->j.end, &rd->r->rows[rd->r->n_rows]);
    if (!behind)
        return false;
    rd->j.at = behind;
    rd->r->n_rows += !rd->j.what;
    return true;
}

void gp_json_in_row(gp_json_in *rd)
{
    if (gp_json_in_usual_row(rd))
        return;
    read_row(rd, &rd->r->rows[rd->r->n_rows]);
    rd->r->n_rows += !rd->j.what;
}

void gp_json_in_rows(gp_json_in *rd)
{
    if (skip_null(rd) || !gp_json_array(&rd->j))
        return;
    while (gp_json_item(&rd->j))
        gp_json_in_row(rd);
}

static void read_progress(reader *rd)
{
    const char *key;
    size_t len;
    if (skip_null(rd) || !gp_json_object(&rd->j))
        return;
    rd->r->has_progress = true;
    while (gp_json_key(&rd->j, &key, &len)) {
        if (gp_json_is(key, len, "hosts_total"))
            rd->r->progress.hosts_total = gp_json_u64(&rd->j);
        else if (gp_json_is(key, len, "hosts_done"))
            rd->r->progress.hosts_done = gp_json_u64(&rd->j);
        else if (gp_json_is(key, len, "rows"))
            rd->r->progress.rows = gp_json_u64(&rd->j);
        else if (gp_json_is(key, len, "elapsed_ns"))
            rd->r->progress.elapsed_ns = gp_json_i64(&rd->j);
        else
            gp_json_skip(&rd->j);
    }
}

static void read_digest(reader *rd)
{
    size_t len;
    gp_result *r = rd->r;
    const char *text = gp_json_str(&rd->j, &len);
    if (rd->j.what)
        return;
    if (r->has_digest || gp_fingerprints_from_text(text, len, &r->digest, &r->n_digest, NULL) != GP_OK) {
        gp_json_reject(&rd->j, "expected one list of fingerprints in base64");
        return;
    }
    r->has_digest = true;
}

static void read_hostname(reader *rd)
{
    rd->r->hostname = read_name(rd);
}

static void read_own_status(reader *rd)
{
    gp_host_status s = {.code = rd->r->status};
    read_status(rd, &s);
    rd->r->status = s.code;
    rd->r->status_message = s.message;
}

static void skip_member(reader *rd)
{
    gp_json_skip(&rd->j);
}

gp_json_in_fn gp_json_in_member(const char *key, size_t len)
{
    static const struct {
        const char *name;
        gp_json_in_fn read;
    } members[] = {
        {"hostname", read_hostname}, {"status", read_own_status}, {"hosts_statuses", read_hosts},
        {"summary", read_summary},   {"query", read_query},       {"rows", gp_json_in_rows},
        {"progress", read_progress}, {"digest", read_digest},
    };
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (gp_json_is(key, len, members[i].name))
            return members[i].read;
    return skip_member;
}

gp_code gp_json_in_code(gp_json_in *rd, gp_error *err)
{
    return rd->code != GP_OK ? rd->code : gp_json_done(&rd->j, err) ? GP_OK : GP_EINVAL;
}

gp_code gp_result_from_json(const char *text, size_t len, uint64_t max_rows, gp_result *out, gp_error *err)
{
    reader rd = {.r = out, .max_rows = max_rows, .err = err, .rows.result = out};
    const char *key;
    size_t key_len;
    gp_result_init(out);
    gp_json_init(&rd.j, text, len);
    if (gp_json_object(&rd.j))
        while (gp_json_key(&rd.j, &key, &key_len))
            gp_json_in_member(key, key_len)(&rd);
    gp_code code = gp_json_in_code(&rd, err);
    gp_json_free(&rd.j);
    if (code != GP_OK)
        gp_result_free(out);
    return code;
}
