/* JSON of results, field by field and in the order in which goProbe v4 writes it. */
#include "proto/query/timeparse.h"
#include "proto/result/result.h"

#include <stdlib.h>
#include <string.h>

static void put_key(gp_buf *b, const char *key)
{
    char last = b->len ? b->data[b->len - 1] : '{';
    if (last != '{' && last != '[')
        gp_buf_putc(b, ',');
    gp_buf_json_str(b, key);
    gp_buf_putc(b, ':');
}

static void put_str(gp_buf *b, const char *key, const char *value)
{
    put_key(b, key);
    gp_buf_json_str(b, value);
}

static void put_opt_str(gp_buf *b, const char *key, const char *value)
{
    if (value && *value)
        put_str(b, key, value);
}

static void put_u64(gp_buf *b, const char *key, uint64_t value)
{
    put_key(b, key);
    gp_buf_u64(b, value);
}

static void put_time(gp_buf *b, const char *key, const gp_time *t)
{
    char text[GP_TIME_STRLEN] = "0001-01-01T00:00:00Z"; /* Go's zero time: not known */
    /* RFC 3339 ends with the year 9999. */
    static const gp_time limit = {.sec = INT64_C(253402300799), .set = true};
    if (t->set)
        gp_time_format_rfc3339(t->sec > limit.sec ? limit.sec : t->sec, t->nsec, text);
    put_str(b, key, text);
}

static void put_status(gp_buf *b, gp_status_code code, const char *message, const char *endpoint)
{
    gp_buf_putc(b, '{');
    put_str(b, "code", gp_status_name(code));
    put_opt_str(b, "message", message);
    put_opt_str(b, "endpoint", endpoint);
    gp_buf_putc(b, '}');
}

static int by_host(const void *a, const void *b)
{
    const gp_host_status *x = *(const gp_host_status *const *)a;
    const gp_host_status *y = *(const gp_host_status *const *)b;
    return strcmp(x->host, y->host);
}

static void put_hosts(gp_buf *b, const gp_result *r)
{
    put_key(b, "hosts_statuses");
    gp_buf_putc(b, '{');
    const gp_host_status **sorted = r->n_hosts ? malloc(r->n_hosts * sizeof *sorted) : NULL;
    if (r->n_hosts && !sorted)
        b->failed = true;
    for (size_t i = 0; sorted && i < r->n_hosts; i++)
        sorted[i] = &r->hosts[i];
    if (sorted)
        qsort(sorted, r->n_hosts, sizeof *sorted, by_host);
    for (size_t i = 0; sorted && i < r->n_hosts; i++) {
        put_key(b, sorted[i]->host);
        put_status(b, sorted[i]->code, sorted[i]->message, sorted[i]->endpoint);
    }
    free(sorted);
    gp_buf_putc(b, '}');
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

/* An answer is made of rows, and somebody waits for it: what has a known greatest length is written straight
 * into room that was reserved for all of it. */
enum { ATTRIBUTES_MAX = 192, COUNTERS_MAX = 128 };

/* Texts are literals, whose length the compiler knows once this is inlined. */
static inline char *raw_text(char *at, const char *text)
{
    const size_t len = strlen(text);
    memcpy(at, text, len + 1);
    return at + len;
}

static inline char *raw_key(char *at, const char *quoted)
{
    if (at[-1] != '{')
        *at++ = ',';
    return raw_text(at, quoted);
}

static char *raw_addr(char *at, const gp_addr *a)
{
    *at++ = '"';
    at += gp_addr_format(a, at);
    *at++ = '"';
    return at;
}

static void close_raw(gp_buf *b, char *end)
{
    b->len = (size_t)(end - b->data);
    *end = '\0';
}

static void put_row_attributes(gp_buf *b, const gp_row *row)
{
    if (!gp_buf_reserve(b, ATTRIBUTES_MAX))
        return;
    char *at = raw_text(b->data + b->len, "},\"attributes\":{");
    if (row->sip.len)
        at = raw_addr(raw_key(at, "\"sip\":"), &row->sip);
    if (row->dip.len)
        at = raw_addr(raw_key(at, "\"dip\":"), &row->dip);
    if (row->proto)
        at = gp_u64_format(raw_key(at, "\"proto\":"), row->proto);
    if (row->dport)
        at = gp_u64_format(raw_key(at, "\"dport\":"), row->dport);
    close_raw(b, raw_text(at, "},\"counters\":"));
}

static void put_counters(gp_buf *b, const gp_counters *c)
{
    if (!gp_buf_reserve(b, COUNTERS_MAX))
        return;
    char *at = raw_text(b->data + b->len, "{");
    if (c->bytes_rcvd)
        at = gp_u64_format(raw_key(at, "\"br\":"), c->bytes_rcvd);
    if (c->bytes_sent)
        at = gp_u64_format(raw_key(at, "\"bs\":"), c->bytes_sent);
    if (c->pkts_rcvd)
        at = gp_u64_format(raw_key(at, "\"pr\":"), c->pkts_rcvd);
    if (c->pkts_sent)
        at = gp_u64_format(raw_key(at, "\"ps\":"), c->pkts_sent);
    close_raw(b, raw_text(at, "}"));
}

/* Rows in time order repeat their timestamps: format each once. */
typedef struct ts_cache {
    int64_t ts;
    char text[GP_TIME_STRLEN];
} ts_cache;

static void put_timestamp(gp_buf *b, int64_t ts, ts_cache *cache)
{
    if (cache->ts != ts) {
        cache->ts = ts;
        gp_time_format_rfc3339(ts, 0, cache->text);
    }
    put_str(b, "timestamp", cache->text);
}

static void put_row(gp_buf *b, const gp_row *row, ts_cache *cache)
{
    gp_buf_puts(b, "{\"labels\":{");
    if (row->ts)
        put_timestamp(b, row->ts, cache);
    put_opt_str(b, "iface", row->iface);
    put_opt_str(b, "host", row->host);
    put_opt_str(b, "host_id", row->hostid);
    put_row_attributes(b, row);
    put_counters(b, &row->c);
    gp_buf_putc(b, '}');
}

/* ---- results ------------------------------------------------------------------------------------------- */

static void put_strings(gp_buf *b, const char *key, const char *const *list, size_t n)
{
    put_key(b, key);
    if (n == 0 && strcmp(key, "interfaces") == 0) {
        gp_buf_puts(b, "null"); /* as v4 writes a list that was never set */
        return;
    }
    gp_buf_putc(b, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            gp_buf_putc(b, ',');
        gp_buf_json_str(b, list[i]);
    }
    gp_buf_putc(b, ']');
}

static void put_stats(gp_buf *b, const gp_query_stats *s)
{
    put_key(b, "stats");
    gp_buf_putc(b, '{');
    put_u64(b, "bytes_loaded", s->bytes_loaded);
    put_u64(b, "bytes_decompressed", s->bytes_decompressed);
    put_u64(b, "blocks_processed", s->blocks_processed);
    put_u64(b, "blocks_corrupted", s->blocks_corrupted);
    put_u64(b, "directories_processed", s->directories_processed);
    put_u64(b, "workloads", s->workloads);
    gp_buf_putc(b, '}');
}

static void put_summary(gp_buf *b, const gp_result *r)
{
    put_key(b, "summary");
    gp_buf_putc(b, '{');
    put_strings(b, "interfaces", r->ifaces, r->n_ifaces);
    put_time(b, "time_first", &r->first);
    put_time(b, "time_last", &r->last);
    put_key(b, "totals");
    put_counters(b, &r->totals);
    put_key(b, "timings");
    gp_buf_putc(b, '{');
    put_time(b, "query_start", &r->query_start);
    put_key(b, "query_duration_ns");
    gp_buf_i64(b, r->query_duration_ns);
    if (r->resolution_ns) {
        put_key(b, "resolution");
        gp_buf_i64(b, r->resolution_ns);
    }
    gp_buf_putc(b, '}');
    put_key(b, "hits");
    gp_buf_putc(b, '{');
    put_u64(b, "displayed", r->hits_displayed);
    put_u64(b, "total", r->hits_total);
    gp_buf_putc(b, '}');
    put_key(b, "data_available");
    gp_buf_puts(b, r->data_available ? "true" : "false");
    if (r->has_stats)
        put_stats(b, &r->stats);
    gp_buf_putc(b, '}');
}

void gp_progress_to_json(const gp_progress *p, gp_buf *b)
{
    gp_buf_putc(b, '{');
    put_u64(b, "hosts_total", p->hosts_total);
    put_u64(b, "hosts_done", p->hosts_done);
    put_u64(b, "rows", p->rows);
    put_key(b, "elapsed_ns");
    gp_buf_i64(b, p->elapsed_ns);
    gp_buf_putc(b, '}');
}

void gp_result_to_json(const gp_result *r, gp_buf *b)
{
    ts_cache cache = {0};
    gp_buf_putc(b, '{');
    put_opt_str(b, "hostname", r->hostname);
    put_key(b, "status");
    put_status(b, r->status, r->status_message, NULL);
    put_hosts(b, r);
    put_summary(b, r);
    put_key(b, "query");
    gp_buf_putc(b, '{');
    put_strings(b, "attributes", r->attributes, r->n_attributes);
    put_opt_str(b, "condition", r->condition);
    gp_buf_putc(b, '}');
    put_key(b, "rows");
    gp_buf_putc(b, '[');
    for (size_t i = 0; i < r->n_rows; i++) {
        if (i)
            gp_buf_putc(b, ',');
        put_row(b, &r->rows[i], &cache);
    }
    gp_buf_putc(b, ']');
    if (r->has_progress) {
        put_key(b, "progress");
        gp_progress_to_json(&r->progress, b);
    }
    if (r->has_digest) {
        put_key(b, "digest");
        gp_buf_putc(b, '"');
        gp_fingerprints_to_text(r->digest, r->n_digest, b);
        gp_buf_putc(b, '"');
    }
    gp_buf_putc(b, '}');
}
