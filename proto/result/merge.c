#include "proto/base/hugepages.h"
#include "proto/result/result.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { FIRST_SLOTS = 1024 };

/* A slot of the table. Low bits of the hash say where it belongs, so that growing needs no look at the rows;
 * the others tell most rows apart without one. */
typedef struct slot {
    uint32_t row; /* index + 1; 0: free */
    uint32_t hash;
} slot;

/* Rows whose slots are fetched from memory at the same time. */
enum { BATCH = 32 };

/* Rows lie densely in `sum.rows`, in the order in which they came. */
struct gp_merge {
    gp_result sum;
    slot *slots;
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

gp_row *gp_merge_row(gp_merge *m, size_t at)
{
    return &m->sum.rows[at];
}

size_t gp_merge_bytes(const gp_merge *m)
{
    return m->sum.cap_rows * sizeof *m->sum.rows + (m->mask + 1) * sizeof *m->slots;
}

/* Labels are pointers into the table's own pool, so equal ones are the same pointer. */
static uint32_t hash_of(const gp_row *r)
{
    uint64_t key[9] = {(uint64_t)r->ts, (uint64_t)(uintptr_t)r->iface, (uint64_t)(uintptr_t)r->host,
                       (uint64_t)(uintptr_t)r->hostid};
    memcpy(key + 4, r->sip.bytes, sizeof r->sip.bytes);
    memcpy(key + 6, r->dip.bytes, sizeof r->dip.bytes);
    key[8] = (uint64_t)r->sip.len << 40 | (uint64_t)r->dip.len << 32 | (uint64_t)r->dport << 8 | r->proto;
    return (uint32_t)XXH3_64bits(key, sizeof key);
}

static bool same_key(const gp_row *a, const gp_row *b)
{
    return memcmp(&a->sip, &b->sip, sizeof a->sip) == 0 && memcmp(&a->dip, &b->dip, sizeof a->dip) == 0 &&
           a->dport == b->dport && a->proto == b->proto && a->ts == b->ts && a->iface == b->iface &&
           a->host == b->host && a->hostid == b->hostid;
}

static gp_code grow(gp_merge *m, gp_error *err)
{
    size_t mask = m->mask * 2 + 1;
    slot *slots = calloc(mask + 1, sizeof *slots);
    if (!slots)
        return gp_fail(err, GP_ENOMEM, "out of memory for merging %zu rows", m->sum.n_rows);
    gp_want_huge_pages(slots, (mask + 1) * sizeof *slots);
    for (size_t i = 0; i <= m->mask; i++) {
        size_t at = m->slots[i].hash & mask;
        if (!m->slots[i].row)
            continue;
        while (slots[at].row)
            at = (at + 1) & mask;
        slots[at] = m->slots[i];
    }
    free(m->slots);
    m->slots = slots;
    m->mask = mask;
    return GP_OK;
}

/* Room for n more rows at three quarters full. */
static gp_code make_room(gp_merge *m, size_t n, gp_error *err)
{
    gp_code code = GP_OK;
    while (code == GP_OK && (m->sum.n_rows + n) * 4 > m->mask * 3)
        code = grow(m, err);
    return code;
}

static gp_code append(gp_merge *m, const gp_row *row, gp_error *err)
{
    gp_result *sum = &m->sum;
    if (sum->n_rows >= UINT32_MAX - 1)
        return gp_fail(err, GP_ELIMIT, "more than %u distinct rows cannot be merged", UINT32_MAX - 1);
    if (sum->n_rows == sum->cap_rows) {
        gp_code code = gp_result_reserve_rows(sum, sum->cap_rows ? sum->cap_rows * 2 : FIRST_SLOTS, err);
        if (code != GP_OK)
            return code;
    }
    sum->rows[sum->n_rows++] = *row;
    return GP_OK;
}

static gp_code add_row(gp_merge *m, const gp_row *row, uint32_t hash, uint32_t *at, gp_error *err)
{
    size_t i = hash & m->mask;
    for (; m->slots[i].row; i = (i + 1) & m->mask) {
        gp_row *there = &m->sum.rows[m->slots[i].row - 1];
        if (m->slots[i].hash != hash || !same_key(there, row))
            continue;
        gp_counters_add(&there->c, &row->c);
        *at = m->slots[i].row - 1;
        return GP_OK;
    }
    gp_code code = append(m, row, err);
    if (code != GP_OK)
        return code;
    m->slots[i] = (slot){(uint32_t)m->sum.n_rows, hash};
    *at = (uint32_t)m->sum.n_rows - 1;
    return GP_OK;
}

/* n <= BATCH. The table is far larger than any cache: all of its slots are asked for before the first is
 * used. */
static gp_code add_batch(gp_merge *m, const gp_row *from, size_t n, gp_label_cache *cache,
                         gp_merge_row_fn on_row, void *ctx, gp_error *err)
{
    gp_row rows[BATCH];
    uint32_t hashes[BATCH];
    gp_code code = make_room(m, n, err);
    for (size_t i = 0; i < n && code == GP_OK; i++) {
        rows[i] = from[i];
        code = gp_result_adopt_labels(&m->sum, cache, &rows[i], err);
        hashes[i] = hash_of(&rows[i]);
        __builtin_prefetch(&m->slots[hashes[i] & m->mask], 1);
    }
    for (size_t i = 0; i < n && code == GP_OK; i++) {
        uint32_t at;
        code = add_row(m, &rows[i], hashes[i], &at, err);
        if (code == GP_OK && on_row)
            code = on_row(ctx, at, &rows[i], err);
    }
    return code;
}

gp_code gp_merge_add_rows(gp_merge *m, const gp_result *from, gp_merge_row_fn on_row, void *ctx,
                          gp_error *err)
{
    gp_label_cache cache = {0};
    gp_code code = GP_OK;
    for (size_t i = 0; i < from->n_rows && code == GP_OK; i += BATCH) {
        size_t n = from->n_rows - i < BATCH ? from->n_rows - i : BATCH;
        code = add_batch(m, &from->rows[i], n, &cache, on_row, ctx, err);
    }
    return code;
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

gp_code gp_merge_add_summary(gp_merge *m, const gp_result *from, gp_error *err)
{
    gp_result *sum = &m->sum;
    gp_code code = GP_OK;
    for (size_t i = 0; i < from->n_hosts && code == GP_OK; i++)
        code = gp_result_set_status(sum, &from->hosts[i], err);
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
    gp_code code = gp_merge_add_summary(m, from, err);
    if (code == GP_OK)
        code = gp_merge_add_rows(m, from, NULL, NULL, err);
    /* A row that two answers share is one hit. */
    size_t merged = from->n_rows - (m->sum.n_rows - before_rows);
    if (code == GP_OK)
        m->sum.hits_total -= merged < m->sum.hits_total ? merged : m->sum.hits_total;
    return code;
}

static gp_code copy_summary(const gp_result *sum, gp_result *out, gp_error *err)
{
    gp_code code = GP_OK;
    for (size_t i = 0; i < sum->n_hosts && code == GP_OK; i++)
        code = gp_result_set_status(out, &sum->hosts[i], err);
    for (size_t i = 0; i < sum->n_ifaces && code == GP_OK; i++)
        code = gp_result_add_iface(out, sum->ifaces[i], err);
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
    return code;
}

static gp_code copy_labels(gp_result *out, gp_error *err)
{
    gp_label_cache cache = {0};
    gp_code code = GP_OK;
    for (size_t i = 0; i < out->n_rows && code == GP_OK; i++)
        code = gp_result_adopt_labels(out, &cache, &out->rows[i], err);
    return code;
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
    if (code == GP_OK)
        code = copy_summary(sum, out, err);
    if (code != GP_OK)
        gp_result_free(out);
    return code;
}

void gp_merge_take(gp_merge *m, gp_result *out)
{
    *out = m->sum;
    gp_result_init(&m->sum);
    free(m->slots);
    m->slots = NULL;
}

/* Twice `limit` rows at most are kept: then the first half of them is selected, and only what comes before
 * the last of these is looked at from there on. */
static gp_code select_rows(const gp_merge *m, const gp_merge_order *o, gp_result *out, gp_error *err)
{
    enum { MIN_ROOM = 128 };
    const gp_result *sum = &m->sum;
    size_t room = o->limit < sum->n_rows ? (size_t)o->limit * 2 : sum->n_rows;
    room = room < MIN_ROOM ? MIN_ROOM : room;
    room = room < sum->n_rows ? room : sum->n_rows;
    bool full = false;
    uint64_t edge = 0;
    gp_code code = gp_result_reserve_rows(out, room, err);
    for (size_t i = 0; code == GP_OK && i < sum->n_rows; i++) {
        uint64_t value = gp_row_value(&sum->rows[i], o->by, o->dir);
        if ((full && (o->ascending ? value > edge : value < edge)) || (o->skip && o->skip(o->ctx, i)))
            continue;
        if (out->n_rows == room) {
            gp_result_sort(out, o->by, o->dir, o->ascending, o->limit);
            full = o->by != GP_SORT_TIME;
            edge = gp_row_value(&out->rows[out->n_rows - 1], o->by, o->dir);
        }
        out->rows[out->n_rows++] = sum->rows[i];
    }
    if (code == GP_OK)
        gp_result_sort(out, o->by, o->dir, o->ascending, o->limit);
    return code;
}

gp_code gp_merge_first(const gp_merge *m, const gp_merge_order *order, gp_result *out, gp_error *err)
{
    gp_code code = select_rows(m, order, out, err);
    return code == GP_OK ? copy_labels(out, err) : code;
}
