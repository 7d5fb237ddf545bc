/*
 * The end of a query: tables become rows.
 *
 * A task is one partition of one table of an interface: what the workers found there is merged into the
 * largest of their tables and turned into rows at once, so that the table's entries are read once more
 * while they are still warm, and partitions need no lock.
 */
#include "sensor/godb/queryrun.h"
#include "sensor/godb/toplist.h"

#include <stdlib.h>
#include <string.h>

/* ---- rows ---------------------------------------------------------------------------------------------- */

static uint64_t sort_value(const gp_stmt *s, const gp_counters *c, uint32_t ts)
{
    uint64_t in = s->sort_by == GP_SORT_PACKETS ? c->pkts_rcvd : c->bytes_rcvd;
    uint64_t out = s->sort_by == GP_SORT_PACKETS ? c->pkts_sent : c->bytes_sent;
    if (s->sort_by == GP_SORT_TIME)
        return ts;
    if (s->direction == GP_DIR_IN)
        return in;
    return s->direction == GP_DIR_OUT ? out : in + out;
}

/* One for each worker. Keeps the rows that can be among the first num_results: once twice as many are
 * there, they are cut back to the best, and whatever sorts behind the last of these is not even made a
 * row. */
typedef struct emitter {
    const gp_stmt *stmt;
    gp_mem_budget *budget;
    gp_result *out; /* rows and totals; names belong to the result of the query */
    const char *iface, *host, *hostid;
    uint64_t limit;          /* 0: keep all */
    const gp_narrow *narrow; /* NULL: all rows are wanted */
    bool full;
    uint64_t threshold; /* sort value of the last row kept so far, valid when full */
    uint64_t hits;
} emitter;

enum { MIN_CUT = 1024 };

static bool worth_a_row(const emitter *e, const gp_counters *c, uint32_t ts)
{
    if (!e->full)
        return true;
    uint64_t v = sort_value(e->stmt, c, ts);
    return e->stmt->sort_ascending ? v <= e->threshold : v >= e->threshold;
}

static void cut(emitter *e)
{
    const gp_stmt *s = e->stmt;
    gp_result_sort(e->out, s->sort_by, s->direction, s->sort_ascending, e->limit);
    e->full = true;
    const gp_row *last = &e->out->rows[e->out->n_rows - 1];
    e->threshold = sort_value(s, &last->c, (uint32_t)last->ts);
}

static gp_code add_fingerprint(gp_result *out, uint64_t fingerprint, gp_error *err)
{
    if (out->n_digest >= MIN_CUT ? (out->n_digest & (out->n_digest - 1)) == 0 : !out->digest) {
        size_t room = out->n_digest ? out->n_digest * 2 : MIN_CUT;
        uint64_t *grown = realloc(out->digest, room * sizeof *grown);
        if (!grown)
            return gp_fail(err, GP_ENOMEM, "out of memory for the digest of %zu rows", out->n_digest);
        out->digest = grown;
    }
    out->digest[out->n_digest++] = fingerprint;
    return GP_OK;
}

/* What an aggregator left out of its question; the row is not in the result yet. */
static gp_code narrow(emitter *e, const gp_row *row, bool *wanted, gp_error *err)
{
    const gp_narrow *n = e->narrow;
    uint64_t fingerprint = n->digest || n->only ? gp_row_fingerprint(row) : 0;
    uint64_t value = gp_row_value(row, e->stmt->sort_by, e->stmt->direction);
    *wanted = value >= n->min_value && (!n->only || gp_narrow_has(n, fingerprint));
    return n->digest ? add_fingerprint(e->out, fingerprint, err) : GP_OK;
}

/* Rows come out of the same budget as tables: a query that wants all of millions must not take all memory. */
static gp_code reserve_rows(gp_mem_budget *budget, gp_result *out, size_t n, gp_error *err)
{
    if (n <= out->cap_rows)
        return GP_OK;
    if (!gp_mem_take(budget, (n - out->cap_rows) * sizeof *out->rows))
        return gp_mem_fail(budget, err);
    return gp_result_reserve_rows(out, n, err);
}

static gp_code emit_entry(emitter *e, const gp_keyspec *spec, const uint64_t *key, const gp_counters *c,
                          gp_error *err)
{
    gp_direction_filter dir = e->stmt->cond ? gp_cond_direction(e->stmt->cond) : GP_DIRF_NONE;
    if (dir != GP_DIRF_NONE && !gp_direction_match(dir, c))
        return GP_OK;
    e->hits++;
    gp_counters_add(&e->out->totals, c);
    const uint32_t ts = spec->time ? gp_key_time(spec, key) : 0;
    if (!e->narrow && !worth_a_row(e, c, ts))
        return GP_OK;
    gp_result *out = e->out;
    gp_row made = {.iface = e->iface, .host = e->host, .hostid = e->hostid, .c = *c};
    gp_key_unpack(spec, key, &made);
    if (e->narrow) {
        bool wanted;
        gp_code code = narrow(e, &made, &wanted, err);
        if (code != GP_OK || !wanted || !worth_a_row(e, c, ts))
            return code;
    }
    if (out->n_rows == out->cap_rows) {
        gp_code code = reserve_rows(e->budget, out, out->n_rows ? out->n_rows * 2 : MIN_CUT, err);
        if (code != GP_OK)
            return code;
    }
    out->rows[out->n_rows++] = made;
    if (e->limit && out->n_rows >= 2 * e->limit && out->n_rows >= MIN_CUT)
        cut(e);
    return GP_OK;
}

static gp_code emit_table(emitter *e, const gp_keyspec *spec, const gp_agg *t, unsigned part, unsigned bits,
                          const gp_dense *dense, gp_error *err)
{
    gp_agg_iter it = gp_agg_entries(t, part, bits);
    const uint64_t *key;
    gp_counters c;
    gp_code code = GP_OK;
    while (code == GP_OK && gp_agg_next(&it, &key, &c))
        if (!dense || !gp_dense_at(dense, gp_dense_place(key[0])))
            code = emit_entry(e, spec, key, &c, err);
    return code;
}

static gp_code emit_dense(emitter *e, const gp_keyspec *spec, const gp_dense *dense, gp_error *err)
{
    const gp_counters *c;
    gp_code code = GP_OK;
    for (uint32_t place = 0; code == GP_OK && (c = gp_dense_next(dense, &place));) {
        uint64_t key = gp_dense_key(place - 1);
        code = emit_entry(e, spec, &key, c, err);
    }
    return code;
}

/* ---- tasks --------------------------------------------------------------------------------------------- */

/* All partitions of one table of an interface. */
typedef struct table_tasks {
    iface_run *iface;
    const char *iface_name; /* as the result holds it */
    bool v6;
    unsigned base; /* the worker whose table the others are merged into */
    unsigned bits; /* 1 << bits partitions */
    size_t first;  /* index of the first task */
} table_tasks;

typedef struct finish_run {
    table_tasks *tables;
    size_t n_tables;
    size_t n_tasks;
    atomic_size_t next;
    emitter emitters[GP_MAX_WORKERS];
} finish_run;

/* With fewer entries starting threads would cost more than the merge. */
enum { PARALLEL_FROM = 1 << 15, PARTITION_BITS = 6 };

static gp_agg *table_of(const iface_run *i, unsigned worker, bool v6)
{
    return v6 ? &i->tables[worker].v6 : &i->tables[worker].v4;
}

static gp_code prepare_table(query_run *q, table_tasks *t, gp_error *err)
{
    size_t entries = 0;
    size_t most = 0;
    unsigned used = 0;
    for (unsigned w = 0; w < q->n_workers; w++) {
        size_t n = gp_agg_count(table_of(t->iface, w, t->v6));
        used += n > 0;
        entries += n;
        if (n > most) {
            most = n;
            t->base = w;
        }
    }
    t->bits =
        entries >= PARALLEL_FROM ? PARTITION_BITS : 0; /* between partitions a query can be canceled, too */
    if (used <= 1 && t->bits == 0)
        return GP_OK;
    return gp_agg_prepare(table_of(t->iface, t->base, t->v6), q->pools[0], entries, t->bits, err);
}

/* Those tables are small. */
gp_code gp_query_merge_dense(query_run *q, iface_run *i, gp_error *err)
{
    gp_code code = GP_OK;
    for (unsigned w = 1; w < q->n_workers && code == GP_OK; w++) {
        const gp_dense *from = i->tables[w].dense;
        if (!from)
            continue;
        if (!i->tables[0].dense && !(i->tables[0].dense = calloc(1, sizeof(gp_dense))))
            return gp_fail(err, GP_ENOMEM, "out of memory for a query");
        code = gp_dense_merge(i->tables[0].dense, q->pools[0], from, err);
        free(i->tables[w].dense);
        i->tables[w].dense = NULL;
    }
    return code;
}

static gp_code prepare(query_run *q, finish_run *f, gp_result *out, gp_error *err)
{
    gp_code code = GP_OK;
    f->tables = calloc(2 * q->n_ifaces + 1, sizeof *f->tables);
    if (!f->tables)
        return gp_fail(err, GP_ENOMEM, "out of memory for a query");
    for (size_t i = 0; i < 2 * q->n_ifaces && code == GP_OK; i++) {
        table_tasks *t = &f->tables[f->n_tables++];
        *t = (table_tasks){.iface = &q->ifaces[i / 2], .v6 = i % 2, .first = f->n_tasks};
        t->iface_name = gp_result_intern(out, t->iface->name);
        if (!t->v6)
            code = gp_query_merge_dense(q, t->iface, err);
        if (code == GP_OK)
            code = prepare_table(q, t, err);
        f->n_tasks += (size_t)1 << t->bits;
    }
    return code;
}

static gp_code run_task(query_run *q, const table_tasks *t, unsigned part, unsigned worker, emitter *e,
                        gp_error *err)
{
    gp_agg *base = table_of(t->iface, t->base, t->v6);
    const gp_dense *dense = t->v6 ? NULL : t->iface->tables[0].dense;
    const gp_keyspec *spec = t->v6 ? &q->plan.key_v6 : &q->plan.key_v4;
    gp_code code = GP_OK;
    e->iface = t->iface_name;
    for (unsigned w = 0; w < q->n_workers && code == GP_OK; w++)
        if (w != t->base)
            code = gp_agg_absorb(base, q->pools[worker], table_of(t->iface, w, t->v6), part, t->bits, err);
    if (code == GP_OK)
        code = emit_table(e, spec, base, part, t->bits, dense, err);
    if (code == GP_OK && dense)
        code = emit_dense(e, spec, dense, err);
    return code;
}

static void finish_work(query_run *q, unsigned worker, void *ctx)
{
    finish_run *f = ctx;
    gp_error err = GP_ERROR_INIT;
    gp_code code = GP_OK;
    size_t table = 0;
    while (code == GP_OK && !atomic_load(&q->stop)) {
        size_t task = atomic_fetch_add(&f->next, 1);
        if (task >= f->n_tasks)
            break;
        while (table + 1 < f->n_tables && f->tables[table + 1].first <= task)
            table++;
        const table_tasks *t = &f->tables[table];
        code = run_task(q, t, (unsigned)(task - t->first), worker, &f->emitters[worker], &err);
        if (worker == 0)
            gp_query_poll_hooks(q);
    }
    if (code != GP_OK)
        gp_query_fail(q, code, &err);
}

/* ---- finish -------------------------------------------------------------------------------------------- */

static gp_code join_digests(finish_run *f, unsigned n, gp_result *out, gp_error *err)
{
    gp_code code = GP_OK;
    for (unsigned w = 1; w < n; w++)
        for (size_t i = 0; i < f->emitters[w].out->n_digest && code == GP_OK; i++)
            code = add_fingerprint(out, f->emitters[w].out->digest[i], err);
    gp_fingerprints_sort(out->digest, out->n_digest);
    out->has_digest = true;
    return code;
}

static void skip_rows(gp_result *r, uint64_t skip)
{
    size_t gone = skip < r->n_rows ? (size_t)skip : r->n_rows;
    r->n_rows -= gone;
    if (gone && r->n_rows)
        memmove(r->rows, r->rows + gone, r->n_rows * sizeof *r->rows);
}

static gp_code collect(finish_run *f, unsigned n, gp_mem_budget *budget, gp_result *out, gp_error *err)
{
    size_t rows = 0;
    for (unsigned w = 0; w < n; w++)
        rows += f->emitters[w].out->n_rows;
    gp_code code = reserve_rows(budget, out, rows, err);
    for (unsigned w = 0; w < n && code == GP_OK; w++) {
        emitter *e = &f->emitters[w];
        out->hits_total += e->hits;
        if (e->out == out)
            continue;
        for (size_t r = 0; r < e->out->n_rows; r++)
            out->rows[out->n_rows++] = e->out->rows[r];
        gp_counters_add(&out->totals, &e->out->totals);
    }
    return code;
}

gp_code gp_query_finish(query_run *q, gp_result *out, const char *host, const char *hostid, gp_error *err)
{
    const gp_stmt *s = q->stmt;
    const unsigned n = q->n_workers;
    finish_run f = {0};
    gp_result parts[GP_MAX_WORKERS];
    uint64_t last =
        s->num_results > UINT64_MAX - s->narrow.skip ? UINT64_MAX : s->num_results + s->narrow.skip;
    if (s->sum_hosts)
        host = hostid = NULL;
    for (unsigned w = 0; w < n; w++) {
        gp_result_init(&parts[w]);
        f.emitters[w] = (emitter){
            .stmt = s, .budget = &q->budget, .out = w ? &parts[w] : out, .host = host, .hostid = hostid};
        f.emitters[w].narrow = gp_narrow_any(&s->narrow) ? &s->narrow : NULL;
        f.emitters[w].limit = last < SIZE_MAX / 4 && !q->bin_rows ? last : 0;
    }
    gp_code code = prepare(q, &f, out, err);
    if (code == GP_OK && f.n_tasks == f.n_tables) /* nothing large */
        finish_work(q, 0, &f);
    else if (code == GP_OK)
        gp_query_run_workers(q, finish_work, &f);
    if (code == GP_OK && q->code != GP_OK)
        code = gp_fail(err, q->code, "%s", q->error.msg);
    if (code == GP_OK)
        code = collect(&f, n, &q->budget, out, err);
    if (code == GP_OK)
        gp_toplist_add_rest(q, out);
    if (code == GP_OK && q->bin_rows)
        code = gp_result_bin_time(out, s->bin_size, err);
    if (code == GP_OK && s->narrow.digest)
        code = join_digests(&f, n, out, err);
    if (code == GP_OK) {
        gp_result_sort(out, s->sort_by, s->direction, s->sort_ascending, last);
        skip_rows(out, s->narrow.skip);
    }
    for (unsigned w = 0; w < n; w++)
        gp_result_free(&parts[w]);
    free(f.tables);
    return code;
}
