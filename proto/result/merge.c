#include "proto/result/result.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { FIRST_SLOTS = 1024 };

/* Rows lie densely in `sum.rows`; the slots hold their index + 1. */
struct gp_merge {
    gp_result sum;
    uint32_t *slots;
    size_t mask;
};

gp_code gp_merge_new(gp_merge **out, gp_error *err)
{
    gp_merge *m = calloc(1, sizeof *m);
    if (m)
        m->slots = calloc(FIRST_SLOTS, sizeof *m->slots);
    if (!m || !m->slots) {
        free(m);
        return gp_fail(err, GP_ENOMEM, "out of memory for merging results");
    }
    m->mask = FIRST_SLOTS - 1;
    gp_result_init(&m->sum);
    *out = m;
    return GP_OK;
}

void gp_merge_free(gp_merge *m)
{
    if (!m)
        return;
    gp_result_free(&m->sum);
    free(m->slots);
    free(m);
}

size_t gp_merge_rows(const gp_merge *m)
{
    return m->sum.n_rows;
}

/* What rows are merged by, without padding. Labels are pointers into the table's own pool. */
typedef struct merge_key {
    uint64_t sip[2], dip[2];
    int64_t ts;
    const char *iface, *host, *hostid;
    uint64_t rest;
} merge_key;

static merge_key key_of(const gp_row *r)
{
    merge_key k = {.ts = r->ts, .iface = r->iface, .host = r->host, .hostid = r->hostid};
    memcpy(k.sip, r->sip.bytes, sizeof k.sip);
    memcpy(k.dip, r->dip.bytes, sizeof k.dip);
    k.rest = (uint64_t)r->sip.len << 40 | (uint64_t)r->dip.len << 32 | (uint64_t)r->dport << 8 | r->proto;
    return k;
}

static uint32_t *find(uint32_t *slots, size_t mask, const gp_row *rows, const merge_key *key)
{
    size_t i = (size_t)XXH3_64bits(key, sizeof *key) & mask;
    for (; slots[i]; i = (i + 1) & mask) {
        merge_key other = key_of(&rows[slots[i] - 1]);
        if (memcmp(&other, key, sizeof other) == 0)
            break;
    }
    return &slots[i];
}

static gp_code grow(gp_merge *m, gp_error *err)
{
    size_t mask = m->mask * 2 + 1;
    uint32_t *slots = calloc(mask + 1, sizeof *slots);
    if (!slots)
        return gp_fail(err, GP_ENOMEM, "out of memory for merging %zu rows", m->sum.n_rows);
    for (size_t i = 0; i < m->sum.n_rows; i++) {
        merge_key key = key_of(&m->sum.rows[i]);
        *find(slots, mask, m->sum.rows, &key) = (uint32_t)i + 1;
    }
    free(m->slots);
    m->slots = slots;
    m->mask = mask;
    return GP_OK;
}

/* Remembers the last label of each kind: rows of one host repeat them, and interning costs a hash. */
typedef struct label_cache {
    const char *from, *to;
} label_cache;

static const char *translate(gp_merge *m, label_cache *c, const char *label)
{
    if (label != c->from || !c->to) {
        c->from = label;
        c->to = gp_result_intern(&m->sum, label);
    }
    return label ? c->to : NULL;
}

static gp_code add_row(gp_merge *m, const gp_row *row, gp_error *err)
{
    if ((m->sum.n_rows + 1) * 4 > m->mask * 3) {
        gp_code code = grow(m, err);
        if (code != GP_OK)
            return code;
    }
    merge_key key = key_of(row);
    uint32_t *slot = find(m->slots, m->mask, m->sum.rows, &key);
    if (*slot) {
        gp_counters_add(&m->sum.rows[*slot - 1].c, &row->c);
        return GP_OK;
    }
    if (m->sum.n_rows >= UINT32_MAX - 1)
        return gp_fail(err, GP_ELIMIT, "more than %u distinct rows cannot be merged", UINT32_MAX - 1);
    if (m->sum.n_rows == m->sum.cap_rows) {
        gp_code code =
            gp_result_reserve_rows(&m->sum, m->sum.cap_rows ? m->sum.cap_rows * 2 : FIRST_SLOTS, err);
        if (code != GP_OK)
            return code;
    }
    m->sum.rows[m->sum.n_rows++] = *row;
    *slot = (uint32_t)m->sum.n_rows;
    return GP_OK;
}

static gp_code add_rows(gp_merge *m, const gp_result *from, gp_error *err)
{
    label_cache iface = {0};
    label_cache host = {0};
    label_cache hostid = {0};
    for (size_t i = 0; i < from->n_rows; i++) {
        gp_row row = from->rows[i];
        row.iface = translate(m, &iface, row.iface);
        row.host = translate(m, &host, row.host);
        row.hostid = translate(m, &hostid, row.hostid);
        gp_code code = add_row(m, &row, err);
        if (code != GP_OK)
            return code;
    }
    return GP_OK;
}

static bool before(const gp_time *a, const gp_time *b)
{
    return a->sec < b->sec || (a->sec == b->sec && a->nsec < b->nsec);
}

static void widen_range(gp_result *sum, const gp_result *from)
{
    if (from->first.set && (!sum->first.set || before(&from->first, &sum->first)))
        sum->first = from->first;
    if (from->last.set && (!sum->last.set || before(&sum->last, &from->last)))
        sum->last = from->last;
}

/* What was covered is said by the answers with data; where there are none, it is what was asked for. */
static void cover_range(gp_result *sum, const gp_result *from)
{
    if (sum->data_available && !from->data_available)
        return;
    if (!sum->data_available && from->data_available) {
        sum->first = (gp_time){0};
        sum->last = (gp_time){0};
    }
    widen_range(sum, from);
}

static void add_stats(gp_result *sum, const gp_result *from)
{
    const gp_query_stats *s = &from->stats;
    if (!from->has_stats)
        return;
    sum->has_stats = true;
    sum->stats.bytes_loaded += s->bytes_loaded;
    sum->stats.bytes_decompressed += s->bytes_decompressed;
    sum->stats.blocks_processed += s->blocks_processed;
    sum->stats.blocks_corrupted += s->blocks_corrupted;
    sum->stats.directories_processed += s->directories_processed;
    sum->stats.workloads += s->workloads;
}

static gp_code add_summary(gp_merge *m, const gp_result *from, gp_error *err)
{
    gp_result *sum = &m->sum;
    gp_code code = GP_OK;
    for (size_t i = 0; i < from->n_hosts && code == GP_OK; i++)
        code = gp_result_set_host(sum, from->hosts[i].host, from->hosts[i].code, from->hosts[i].message, err);
    for (size_t i = 0; i < from->n_ifaces && code == GP_OK; i++)
        code = gp_result_add_iface(sum, from->ifaces[i], err);
    if (code != GP_OK)
        return code;
    cover_range(sum, from);
    gp_counters_add(&sum->totals, &from->totals);
    sum->hits_total += from->hits_total;
    sum->data_available |= from->data_available;
    add_stats(sum, from);
    if (sum->n_attributes == 0 && from->n_attributes) {
        for (size_t i = 0; i < from->n_attributes; i++)
            sum->attributes[i] = gp_result_intern(sum, from->attributes[i]);
        sum->n_attributes = from->n_attributes;
        sum->condition = gp_result_intern(sum, from->condition);
    }
    return GP_OK;
}

gp_code gp_merge_add(gp_merge *m, const gp_result *from, gp_error *err)
{
    size_t before_rows = m->sum.n_rows;
    gp_code code = add_summary(m, from, err);
    if (code == GP_OK)
        code = add_rows(m, from, err);
    /* A row that two answers share is one hit. */
    size_t merged = from->n_rows - (m->sum.n_rows - before_rows);
    if (code == GP_OK)
        m->sum.hits_total -= merged < m->sum.hits_total ? merged : m->sum.hits_total;
    return code;
}

static gp_code copy_labels(gp_result *out, gp_error *err)
{
    for (size_t i = 0; i < out->n_rows; i++) {
        gp_row *r = &out->rows[i];
        const char *old[] = {r->iface, r->host, r->hostid};
        r->iface = gp_result_intern(out, r->iface);
        r->host = gp_result_intern(out, r->host);
        r->hostid = gp_result_intern(out, r->hostid);
        if ((old[0] && !r->iface) || (old[1] && !r->host) || (old[2] && !r->hostid))
            return gp_fail(err, GP_ENOMEM, "out of memory for the labels of a result");
    }
    return GP_OK;
}

gp_code gp_merge_result(const gp_merge *m, gp_result *out, gp_error *err)
{
    const gp_result *sum = &m->sum;
    gp_result_init(out);
    gp_code code = gp_result_reserve_rows(out, sum->n_rows, err);
    if (code == GP_OK && sum->n_rows)
        memcpy(out->rows, sum->rows, sum->n_rows * sizeof *out->rows);
    out->n_rows = code == GP_OK ? sum->n_rows : 0;
    if (code == GP_OK)
        code = copy_labels(out, err);
    for (size_t i = 0; i < sum->n_hosts && code == GP_OK; i++)
        code = gp_result_set_host(out, sum->hosts[i].host, sum->hosts[i].code, sum->hosts[i].message, err);
    for (size_t i = 0; i < sum->n_ifaces && code == GP_OK; i++)
        code = gp_result_add_iface(out, sum->ifaces[i], err);
    if (code != GP_OK) {
        gp_result_free(out);
        return code;
    }
    out->first = sum->first;
    out->last = sum->last;
    out->totals = sum->totals;
    out->hits_total = sum->hits_total;
    out->data_available = sum->data_available;
    out->stats = sum->stats;
    out->has_stats = sum->has_stats;
    for (size_t i = 0; i < sum->n_attributes; i++)
        out->attributes[i] = gp_result_intern(out, sum->attributes[i]);
    out->n_attributes = sum->n_attributes;
    out->condition = gp_result_intern(out, sum->condition);
    return GP_OK;
}
