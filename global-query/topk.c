#include "global-query/topk.h"

#include <stdlib.h>
#include <string.h>

enum {
    CHEAP_ROWS = 4096, /* so many more rows are asked for rather than thought about */
    ROW_COST = 40,     /* bytes of a row, compressed as HTTP sends it */
    NAME_COST = 11     /* bytes of a fingerprint in base64 */
};

/* Numbers of JSON are exact up to here. */
static const uint64_t exact_bits = 53;
static const uint64_t all_rows = GP_MAX_RESULTS;

typedef enum host_state {
    HOST_NEW,   /* has not answered, or must answer anew */
    HOST_CUT,   /* has sent a part of its rows */
    HOST_WHOLE, /* has sent all of its rows */
    HOST_LOST
} host_state;

/* A row that a host sent, so that it can be taken back. */
typedef struct sent_row {
    uint32_t at;
    bool there; /* false: the host was asked, and has no such row */
    gp_counters c;
} sent_row;

typedef struct host {
    host_state state;
    bool asked;
    bool all; /* must send all of its rows at once: what it said changed between two answers */
    gp_topk_ask ask;
    uint32_t *looked_up; /* the rows that ask.narrow.only names */
    gp_result summary;   /* of the answer, without its rows */
    sent_row *sent;      /* while the state is HOST_CUT */
    size_t n_sent, cap_sent;
    uint64_t in_order; /* rows that came in the order of its answer */
    uint64_t bound;    /* no row that it has not sent is larger */
} host;

struct gp_topk {
    const gp_stmt *stmt;
    uint64_t first_limit;
    size_t max_bytes, other_bytes; /* memory beside the table of rows */
    bool keep_few;                 /* no two hosts share a row (yet): only `few` is kept */
    gp_result few;                 /* the first rows so far, at most twice as many as are wanted */
    bool few_full;                 /* `few` was cut: */
    uint64_t edge;                 /* rows behind this value are not among the first */
    gp_merge *merge;
    uint32_t *refs; /* for each row: on how many hosts it is */
    size_t cap_refs;
    host *hosts;
    size_t n_hosts;
    bool shared;      /* rows of several hosts may be the same one */
    gp_result claims; /* the names of hosts that rows carry */
    size_t *owners;   /* of each: who sent it */
    gp_topk_stats stats;
};

gp_code gp_topk_new(gp_topk **out, const gp_stmt *stmt, size_t n_hosts, size_t max_bytes, gp_error *err)
{
    gp_topk *t = calloc(1, sizeof *t);
    if (t)
        t->hosts = calloc(n_hosts ? n_hosts : 1, sizeof *t->hosts);
    if (!t || !t->hosts) {
        free(t);
        return gp_fail(err, GP_ENOMEM, "out of memory for asking %zu hosts", n_hosts);
    }
    bool binned = (stmt->type.label_mask & GP_LABEL_TIME) && stmt->bin_size > GP_DB_WRITE_INTERVAL;
    t->stmt = stmt;
    t->n_hosts = n_hosts;
    t->max_bytes = max_bytes;
    t->shared = stmt->sum_hosts;
    /* Bins are made of whole lists, as is whatever a narrowed question leaves out. */
    t->first_limit = binned || gp_narrow_any(&stmt->narrow) ? all_rows : stmt->num_results;
    t->keep_few = !t->shared && t->first_limit == stmt->num_results;
    gp_result_init(&t->claims);
    gp_result_init(&t->few);
    for (size_t i = 0; i < n_hosts; i++)
        gp_result_init(&t->hosts[i].summary);
    gp_code rc = gp_merge_new(&t->merge, err);
    if (rc != GP_OK) {
        gp_topk_free(t);
        return rc;
    }
    *out = t;
    return GP_OK;
}

static void free_ask(host *h)
{
    free(h->ask.narrow.only);
    free(h->looked_up);
    h->ask = (gp_topk_ask){0};
    h->looked_up = NULL;
    h->asked = false;
}

void gp_topk_free(gp_topk *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n_hosts; i++) {
        free_ask(&t->hosts[i]);
        free(t->hosts[i].sent);
        gp_result_free(&t->hosts[i].summary);
    }
    gp_result_free(&t->claims);
    gp_result_free(&t->few);
    free(t->owners);
    gp_merge_free(t->merge);
    free(t->refs);
    free(t->hosts);
    free(t);
}

const gp_topk_ask *gp_topk_ask_of(const gp_topk *t, size_t i)
{
    return t->hosts[i].asked ? &t->hosts[i].ask : NULL;
}

const gp_result *gp_topk_summary(const gp_topk *t, size_t i)
{
    const host *h = &t->hosts[i];
    return h->state == HOST_CUT || h->state == HOST_WHOLE ? &h->summary : NULL;
}

size_t gp_topk_rows(const gp_topk *t)
{
    return t->keep_few ? (size_t)t->stats.rows_received : gp_merge_rows(t->merge);
}

static uint64_t value_at(const gp_topk *t, size_t at)
{
    return gp_row_value(gp_merge_row(t->merge, at), t->stmt->sort_by, t->stmt->direction);
}

/* ---- rows that a host sent ----------------------------------------------------------------------------- */

static void take_back(gp_topk *t, host *h)
{
    for (size_t i = 0; i < h->n_sent; i++) {
        const sent_row *s = &h->sent[i];
        if (!s->there)
            continue;
        gp_counters_sub(&gp_merge_row(t->merge, s->at)->c, &s->c);
        t->refs[s->at]--;
    }
    t->other_bytes -= h->cap_sent * sizeof *h->sent + h->summary.n_digest * sizeof *h->summary.digest;
    free(h->sent);
    h->sent = NULL;
    h->n_sent = h->cap_sent = 0;
    h->in_order = 0;
    gp_result_free(&h->summary);
    h->state = HOST_NEW;
}

void gp_topk_lose(gp_topk *t, size_t i)
{
    host *h = &t->hosts[i];
    free_ask(h);
    take_back(t, h);
    h->state = HOST_LOST;
}

static gp_code check_memory(const gp_topk *t, gp_error *err)
{
    size_t used = gp_merge_bytes(t->merge) + t->cap_refs * sizeof *t->refs + t->other_bytes +
                  t->few.cap_rows * sizeof *t->few.rows;
    if (!t->max_bytes || used <= t->max_bytes)
        return GP_OK;
    return gp_fail(err, GP_ELIMIT,
                   "the answer takes more memory than the %zu MiB that a query may use: ask for less (a "
                   "condition, a shorter time, fewer columns)",
                   t->max_bytes >> 20);
}

static gp_code remember(gp_topk *t, host *h, const sent_row *row, gp_error *err)
{
    if (h->n_sent == h->cap_sent) {
        size_t room = h->cap_sent ? h->cap_sent * 2 : 256;
        sent_row *grown = realloc(h->sent, room * sizeof *grown);
        if (!grown)
            return gp_fail(err, GP_ENOMEM, "out of memory for the rows of a host");
        t->other_bytes += (room - h->cap_sent) * sizeof *grown;
        h->sent = grown;
        h->cap_sent = room;
    }
    h->sent[h->n_sent++] = *row;
    return GP_OK;
}

/* One bit for each row of the table: what the host has sent, or was asked for. */
static uint64_t *sent_bits(const gp_topk *t, const host *h, gp_error *err)
{
    uint64_t *bits = calloc(gp_merge_rows(t->merge) / 64 + 1, sizeof *bits);
    if (!bits)
        gp_fail(err, GP_ENOMEM, "out of memory for %zu rows", gp_merge_rows(t->merge));
    for (size_t i = 0; bits && i < h->n_sent; i++)
        bits[h->sent[i].at / 64] |= UINT64_C(1) << (h->sent[i].at % 64);
    return bits;
}

static bool has_bit(const uint64_t *bits, size_t n, size_t at)
{
    return at < n && (bits[at / 64] >> (at % 64) & 1);
}

/* Rows on their way into the table. */
typedef struct adding {
    gp_topk *t;
    host *h;
    bool keep;      /* they may have to be taken back */
    uint64_t *bits; /* NULL: the host has sent nothing before */
    size_t n_bits;
} adding;

static gp_code on_row(void *ctx, uint32_t at, const gp_row *row, gp_error *err)
{
    adding *a = ctx;
    gp_topk *t = a->t;
    if (at >= t->cap_refs) {
        size_t room = t->cap_refs ? t->cap_refs * 2 : 1024;
        uint32_t *grown = realloc(t->refs, room * sizeof *grown);
        if (!grown)
            return gp_fail(err, GP_ENOMEM, "out of memory for %zu rows", room);
        memset(grown + t->cap_refs, 0, (room - t->cap_refs) * sizeof *grown);
        t->refs = grown;
        t->cap_refs = room;
        gp_code rc = check_memory(t, err);
        if (rc != GP_OK)
            return rc;
    }
    if (has_bit(a->bits, a->n_bits, at)) { /* it was looked up before its turn came */
        gp_counters_sub(&gp_merge_row(t->merge, at)->c, &row->c);
        return GP_OK;
    }
    t->refs[at]++;
    return a->keep ? remember(t, a->h, &(sent_row){at, true, row->c}, err) : GP_OK;
}

/* ---- answers ------------------------------------------------------------------------------------------- */

static void drop_host_labels(gp_result *r)
{
    for (size_t i = 0; i < r->n_rows; i++)
        r->rows[i].host = r->rows[i].hostid = NULL;
}

/* Notices rows that do not carry the name of a host which is this answer's alone. */
static gp_code claim(gp_topk *t, size_t i, const gp_result *r, gp_error *err)
{
    const char *last = NULL;
    for (size_t k = 0; k < r->n_rows && !t->shared; k++) {
        const char *name = r->rows[k].host;
        if (name && name == last)
            continue;
        last = name;
        const gp_host_status *claimed = name ? gp_result_host(&t->claims, name) : NULL;
        if (!name || (claimed && t->owners[claimed - t->claims.hosts] != i)) {
            t->shared = t->n_hosts > 1;
            return GP_OK;
        }
        if (claimed)
            continue;
        size_t *grown = realloc(t->owners, (t->claims.n_hosts + 1) * sizeof *grown);
        if (!grown)
            return gp_fail(err, GP_ENOMEM, "out of memory for the names of %zu hosts", t->claims.n_hosts);
        t->owners = grown;
        t->owners[t->claims.n_hosts] = i;
        gp_code rc = gp_result_set_host(&t->claims, name, GP_STATUS_OK, NULL, err);
        if (rc != GP_OK)
            return rc;
    }
    return GP_OK;
}

static bool same_counters(const gp_counters *a, const gp_counters *b)
{
    return a->bytes_rcvd == b->bytes_rcvd && a->bytes_sent == b->bytes_sent && a->pkts_rcvd == b->pkts_rcvd &&
           a->pkts_sent == b->pkts_sent;
}

/* A peer that sends more than it was asked for would cost memory, or break the bounds. v4's sensors always
 * send all of their rows, whatever num_results says. */
static gp_code check_answer(const gp_topk *t, const host *h, const gp_result *r, gp_error *err)
{
    const gp_topk_ask *ask = &h->ask;
    if (r->narrows && r->n_rows > ask->num_results)
        return gp_fail(err, GP_ECORRUPT, "sent %zu rows where %llu were asked for", r->n_rows,
                       (unsigned long long)ask->num_results);
    if (ask->narrow.digest && !r->has_digest)
        return gp_fail(err, GP_EUNSUPPORTED, "does not send the digest that it was asked for");
    if (ask->narrow.only && r->n_rows > ask->narrow.n_only)
        return gp_fail(err, GP_ECORRUPT, "sent more rows than were looked up");
    for (size_t i = 0; ask->narrow.min_value && i < r->n_rows; i++)
        if (gp_row_value(&r->rows[i], t->stmt->sort_by, t->stmt->direction) < ask->narrow.min_value)
            return gp_fail(err, GP_ECORRUPT, "sent rows that are smaller than what was asked for");
    return GP_OK;
}

/* Keeps all but the rows. */
static void keep_summary(gp_topk *t, host *h, gp_result *r)
{
    gp_result_free(&h->summary);
    h->summary = *r;
    free(h->summary.rows);
    h->summary.rows = NULL;
    h->summary.n_rows = h->summary.cap_rows = 0;
    gp_result_init(r);
    t->other_bytes += h->summary.n_digest * sizeof *h->summary.digest;
}

static void keep_digest(gp_topk *t, host *h, gp_result *r)
{
    if (!r->has_digest || h->summary.has_digest)
        return;
    h->summary.has_digest = true;
    h->summary.digest = r->digest;
    h->summary.n_digest = r->n_digest;
    gp_fingerprints_sort(r->digest, r->n_digest); /* it is looked up in; a peer's word is not enough */
    t->other_bytes += r->n_digest * sizeof *r->digest;
    r->digest = NULL;
}

static uint64_t last_value(const gp_topk *t, const gp_result *r)
{
    return r->n_rows ? gp_row_value(&r->rows[r->n_rows - 1], t->stmt->sort_by, t->stmt->direction)
                     : UINT64_MAX;
}

static gp_code mark_looked_up(gp_topk *t, host *h, gp_error *err)
{
    uint64_t *bits = sent_bits(t, h, err);
    gp_code rc = bits ? GP_OK : GP_ENOMEM;
    for (size_t i = 0; rc == GP_OK && i < h->ask.narrow.n_only; i++)
        if (!has_bit(bits, SIZE_MAX, h->looked_up[i]))
            rc = remember(t, h, &(sent_row){.at = h->looked_up[i]}, err);
    free(bits);
    return rc;
}

static gp_code add_rows(gp_topk *t, host *h, const gp_result *r, bool keep, gp_error *err)
{
    adding a = {.t = t, .h = h, .keep = keep};
    if (h->n_sent) {
        a.n_bits = gp_merge_rows(t->merge);
        a.bits = sent_bits(t, h, err);
        if (!a.bits)
            return GP_ENOMEM;
    }
    gp_code rc = gp_merge_add_rows(t->merge, r, on_row, &a, err);
    free(a.bits);
    t->stats.rows_received += r->n_rows;
    return rc == GP_OK ? check_memory(t, err) : rc;
}

/* ---- rows that no two hosts share ---------------------------------------------------------------------- */

static bool is_behind(const gp_topk *t, const gp_row *row)
{
    const gp_stmt *s = t->stmt;
    if (!t->few_full)
        return false;
    uint64_t v = gp_row_value(row, s->sort_by, s->direction);
    return s->sort_ascending ? v > t->edge : v < t->edge;
}

/* Room for one more: the first half is selected once the room is twice what is wanted. */
static gp_code make_room(gp_topk *t, gp_error *err)
{
    enum { MIN_ROOM = 1024 };
    const gp_stmt *s = t->stmt;
    gp_result *few = &t->few;
    if (few->n_rows >= MIN_ROOM && few->n_rows / 2 >= s->num_results) {
        gp_result_sort(few, s->sort_by, s->direction, s->sort_ascending, s->num_results);
        t->few_full = s->sort_by != GP_SORT_TIME;
        t->edge = gp_row_value(&few->rows[few->n_rows - 1], s->sort_by, s->direction);
    }
    if (few->n_rows < few->cap_rows)
        return GP_OK;
    gp_code rc = gp_result_reserve_rows(few, few->cap_rows ? few->cap_rows * 2 : MIN_ROOM, err);
    return rc == GP_OK ? check_memory(t, err) : rc;
}

static gp_code add_to_few(gp_topk *t, const gp_result *r, gp_error *err)
{
    gp_label_cache cache = {0};
    t->stats.rows_received += r->n_rows;
    for (size_t i = 0; i < r->n_rows; i++) {
        if (is_behind(t, &r->rows[i]))
            continue;
        gp_code rc = make_room(t, err);
        if (rc != GP_OK)
            return rc;
        gp_row *row = &t->few.rows[t->few.n_rows];
        *row = r->rows[i];
        rc = gp_result_adopt_labels(&t->few, &cache, row, err);
        if (rc != GP_OK)
            return rc;
        t->few.n_rows++;
    }
    return GP_OK;
}

/* Hosts do share rows, after all: all must be asked again. */
static void ask_all_again(gp_topk *t)
{
    gp_result_free(&t->few);
    t->keep_few = t->few_full = false;
    for (size_t i = 0; i < t->n_hosts; i++)
        if (t->hosts[i].state != HOST_LOST)
            take_back(t, &t->hosts[i]);
}

static gp_code add_few(gp_topk *t, size_t i, gp_result *r, gp_error *err)
{
    host *h = &t->hosts[i];
    gp_code rc = add_to_few(t, r, err);
    if (rc != GP_OK)
        return rc;
    h->state = HOST_WHOLE; /* what it has beside these is not among the first */
    keep_summary(t, h, r);
    return GP_OK;
}

static gp_code add_first(gp_topk *t, size_t i, gp_result *r, gp_error *err)
{
    host *h = &t->hosts[i];
    bool whole = r->n_rows >= r->hits_total || h->ask.num_results >= all_rows;
    gp_code rc = claim(t, i, r, err);
    if (rc == GP_OK && t->keep_few && t->shared)
        ask_all_again(t);
    if (rc == GP_OK && t->keep_few)
        return add_few(t, i, r, err);
    if (rc == GP_OK)
        rc = add_rows(t, h, r, !whole, err);
    if (rc != GP_OK)
        return rc;
    h->state = whole ? HOST_WHOLE : HOST_CUT;
    h->bound = whole ? 0 : last_value(t, r);
    h->in_order = r->n_rows;
    keep_summary(t, h, r);
    return GP_OK;
}

static gp_code add_more(gp_topk *t, size_t i, gp_result *r, gp_error *err)
{
    host *h = &t->hosts[i];
    const gp_narrow *n = &h->ask.narrow;
    if (r->hits_total != h->summary.hits_total || !same_counters(&r->totals, &h->summary.totals)) {
        take_back(t, h); /* its database has moved on: one answer must hold all */
        h->all = true;
        return GP_OK;
    }
    gp_code rc = add_rows(t, h, r, true, err);
    keep_digest(t, h, r);
    if (rc == GP_OK && n->only)
        return mark_looked_up(t, h, err);
    if (rc != GP_OK)
        return rc;
    h->in_order += r->n_rows;
    if (n->min_value && h->bound >= n->min_value)
        h->bound = n->min_value - 1;
    if (n->min_value && h->in_order < h->summary.hits_total)
        return GP_OK;
    if (h->in_order != h->summary.hits_total)
        return gp_fail(err, GP_ECORRUPT, "sent %llu rows and says that it has %llu",
                       (unsigned long long)h->in_order, (unsigned long long)h->summary.hits_total);
    h->state = HOST_WHOLE;
    h->bound = 0;
    return GP_OK;
}

gp_code gp_topk_add(gp_topk *t, size_t i, gp_result *r, gp_error *err)
{
    host *h = &t->hosts[i];
    if (t->stmt->sum_hosts)
        drop_host_labels(r);
    gp_code rc = check_answer(t, h, r, err);
    if (rc != GP_OK) {
        gp_topk_lose(t, i);
        return rc;
    }
    rc = h->state == HOST_CUT ? add_more(t, i, r, err) : add_first(t, i, r, err);
    free_ask(h);
    if (rc == GP_ECORRUPT)
        gp_topk_lose(t, i);
    return rc;
}

/* ---- what comes next ----------------------------------------------------------------------------------- */

static void ask(host *h, uint64_t num_results, size_t *n)
{
    h->asked = true;
    h->ask.num_results = num_results;
    ++*n;
}

/* The rows that the host has not sent; of one that does not understand that, or counts live flows, all. */
static void ask_rest(gp_topk *t, host *h, size_t *n)
{
    bool can_skip = h->summary.narrows && !t->stmt->live && h->n_sent == h->in_order;
    uint64_t skip = h->in_order;
    if (!can_skip)
        take_back(t, h);
    ask(h, all_rows, n);
    if (can_skip)
        h->ask.narrow.skip = skip;
}

static void ask_rests(gp_topk *t, size_t *n)
{
    for (size_t i = 0; i < t->n_hosts; i++)
        if (t->hosts[i].state == HOST_CUT)
            ask_rest(t, &t->hosts[i], n);
}

/* Largest number not above v that a double holds. */
static uint64_t exact_below(uint64_t v)
{
    unsigned bits = v ? 64 - (unsigned)__builtin_clzll(v) : 0;
    uint64_t low = bits > exact_bits ? (UINT64_C(1) << (bits - exact_bits)) - 1 : 0;
    return v & ~low;
}

static void ask_from(host *h, uint64_t min_value, size_t *n)
{
    ask(h, all_rows, n);
    h->ask.narrow.skip = h->in_order;
    h->ask.narrow.min_value = min_value;
    h->ask.narrow.digest = !h->summary.has_digest;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

/* The num_results'th largest of the sums so far; 0 if there are fewer rows. */
static gp_code find_tau(const gp_topk *t, uint64_t *tau, gp_error *err)
{
    size_t rows = gp_merge_rows(t->merge);
    uint64_t *values = malloc((rows ? rows : 1) * sizeof *values);
    size_t n = 0;
    if (!values)
        return gp_fail(err, GP_ENOMEM, "out of memory for %zu rows", rows);
    for (size_t i = 0; i < rows; i++)
        if (t->refs[i])
            values[n++] = value_at(t, i);
    qsort(values, n, sizeof *values, by_size);
    *tau = t->stmt->num_results <= n ? values[t->stmt->num_results - 1] : 0;
    free(values);
    return GP_OK;
}

/* What the cut lists stand for. */
typedef struct cut_lists {
    size_t n, answered;
    uint64_t bound; /* of a row that none of them has sent, saturated */
    uint64_t rest;  /* rows that were not sent */
    bool all_narrow, any_digest_missing;
} cut_lists;

static cut_lists look_at_cuts(const gp_topk *t)
{
    cut_lists c = {.all_narrow = true};
    for (size_t i = 0; i < t->n_hosts; i++) {
        const host *h = &t->hosts[i];
        c.answered += h->state == HOST_CUT || h->state == HOST_WHOLE;
        if (h->state != HOST_CUT)
            continue;
        c.n++;
        c.bound = __builtin_add_overflow(c.bound, h->bound, &c.bound) ? UINT64_MAX : c.bound;
        c.rest += h->summary.hits_total - h->in_order;
        c.all_narrow &= h->summary.narrows;
        c.any_digest_missing |= !h->summary.has_digest;
    }
    return c;
}

/* Round 2. False where everything would have to be sent. */
static bool ask_large_rows(gp_topk *t, const cut_lists *c, uint64_t tau, size_t *n)
{
    uint64_t min_value = exact_below(tau / c->n);
    if (min_value <= 1)
        return false;
    for (size_t i = 0; i < t->n_hosts; i++) {
        host *h = &t->hosts[i];
        if (h->state == HOST_CUT && (h->bound >= min_value || !h->summary.has_digest))
            ask_from(h, min_value, n);
    }
    return true;
}

/* Rows that can still be among the first, and are not known everywhere. */
typedef struct candidates {
    uint32_t *at;
    uint64_t *fingerprints;
    size_t n, room;
} candidates;

static void free_candidates(candidates *c)
{
    free(c->at);
    free(c->fingerprints);
}

/* By its digest the host has no such row. */
static bool has_not(const host *h, uint64_t fingerprint)
{
    const gp_narrow digest = {.only = h->summary.digest, .n_only = h->summary.n_digest};
    return h->summary.has_digest && !gp_narrow_has(&digest, fingerprint);
}

static gp_code add_candidate(candidates *c, size_t at, gp_error *err)
{
    if (c->n == c->room) {
        size_t room = c->room ? c->room * 2 : 1024;
        uint32_t *grown = realloc(c->at, room * sizeof *grown);
        if (!grown)
            return gp_fail(err, GP_ENOMEM, "out of memory for %zu rows", room);
        c->at = grown;
        c->room = room;
    }
    c->at[c->n++] = (uint32_t)at;
    return GP_OK;
}

/* Rows whose sum can reach tau, given the bounds of the hosts that do not know them. */
static gp_code select_candidates(const gp_topk *t, const cut_lists *cuts, uint64_t tau, const uint64_t *known,
                                 candidates *c, gp_error *err)
{
    gp_code rc = GP_OK;
    for (size_t i = 0; rc == GP_OK && i < gp_merge_rows(t->merge); i++) {
        uint64_t unknown = cuts->bound - known[i];
        if (t->refs[i] && unknown && value_at(t, i) + unknown >= tau)
            rc = add_candidate(c, i, err);
    }
    c->fingerprints = calloc(c->n + 1, sizeof *c->fingerprints);
    if (rc == GP_OK && !c->fingerprints)
        rc = gp_fail(err, GP_ENOMEM, "out of memory for %zu rows", c->n);
    for (size_t i = 0; rc == GP_OK && i < c->n; i++)
        c->fingerprints[i] = gp_row_fingerprint(gp_merge_row(t->merge, c->at[i]));
    return rc;
}

/* Hosts that have no such row know that by their digest: fewer rows remain. */
static gp_code apply_digests(const gp_topk *t, const cut_lists *cuts, uint64_t tau, uint64_t *known,
                             candidates *c, gp_error *err)
{
    for (size_t i = 0; i < t->n_hosts; i++) {
        const host *h = &t->hosts[i];
        if (h->state != HOST_CUT)
            continue;
        uint64_t *bits = sent_bits(t, h, err);
        if (!bits)
            return GP_ENOMEM;
        for (size_t k = 0; k < c->n; k++)
            if (!has_bit(bits, SIZE_MAX, c->at[k]) && has_not(h, c->fingerprints[k]))
                known[c->at[k]] += h->bound;
        free(bits);
    }
    size_t kept = 0;
    for (size_t k = 0; k < c->n; k++) {
        uint64_t unknown = cuts->bound - known[c->at[k]];
        if (unknown == 0 || value_at(t, c->at[k]) + unknown < tau)
            continue;
        c->at[kept] = c->at[k];
        c->fingerprints[kept++] = c->fingerprints[k];
    }
    c->n = kept;
    return GP_OK;
}

static gp_code find_candidates(const gp_topk *t, const cut_lists *cuts, uint64_t tau, candidates *out,
                               gp_error *err)
{
    /* For each row: the bounds of the hosts that know it. */
    uint64_t *known = calloc(gp_merge_rows(t->merge) + 1, sizeof *known);
    *out = (candidates){0};
    if (!known)
        return gp_fail(err, GP_ENOMEM, "out of memory for %zu rows", gp_merge_rows(t->merge));
    for (size_t i = 0; i < t->n_hosts; i++)
        for (size_t k = 0; t->hosts[i].state == HOST_CUT && k < t->hosts[i].n_sent; k++)
            known[t->hosts[i].sent[k].at] += t->hosts[i].bound;
    gp_code rc = select_candidates(t, cuts, tau, known, out, err);
    if (rc == GP_OK)
        rc = apply_digests(t, cuts, tau, known, out, err);
    free(known);
    return rc;
}

static gp_code ask_unknown(gp_topk *t, host *h, const candidates *c, uint64_t *cost, size_t *n, gp_error *err)
{
    uint64_t *bits = sent_bits(t, h, err);
    uint64_t *only = calloc(c->n, sizeof *only);
    uint32_t *at = calloc(c->n, sizeof *at);
    size_t found = 0;
    gp_code rc = bits && only && at ? GP_OK : gp_fail(err, GP_ENOMEM, "out of memory for %zu rows", c->n);
    for (size_t i = 0; rc == GP_OK && i < c->n; i++) {
        if (has_bit(bits, SIZE_MAX, c->at[i]) || has_not(h, c->fingerprints[i]))
            continue;
        only[found] = c->fingerprints[i];
        at[found++] = c->at[i];
    }
    free(bits);
    if (rc != GP_OK || found == 0) {
        free(only);
        free(at);
        return rc;
    }
    gp_fingerprints_sort(only, found);
    ask(h, all_rows, n);
    h->ask.narrow.only = only;
    h->ask.narrow.n_only = found;
    h->looked_up = at;
    *cost += found * NAME_COST;
    return GP_OK;
}

static void forget_asks(gp_topk *t, size_t *n)
{
    for (size_t i = 0; i < t->n_hosts; i++)
        free_ask(&t->hosts[i]);
    *n = 0;
}

/* Round 3. */
static gp_code ask_candidates(gp_topk *t, const cut_lists *cuts, uint64_t tau, size_t *n, gp_error *err)
{
    candidates c;
    uint64_t cost = 0;
    gp_code rc = find_candidates(t, cuts, tau, &c, err);
    for (size_t i = 0; rc == GP_OK && c.n && i < t->n_hosts; i++)
        if (t->hosts[i].state == HOST_CUT)
            rc = ask_unknown(t, &t->hosts[i], &c, &cost, n, err);
    free_candidates(&c);
    if (rc == GP_OK && cost / ROW_COST > cuts->rest) {
        forget_asks(t, n);
        ask_rests(t, n);
    }
    return rc;
}

/* Whether bounds say anything: sums, from the largest, of what does not change meanwhile. */
static bool has_bounds(const gp_stmt *s)
{
    return s->sort_by != GP_SORT_TIME && !s->sort_ascending && !s->live;
}

static gp_code ask_cut_hosts(gp_topk *t, size_t *n, gp_error *err)
{
    cut_lists cuts = look_at_cuts(t);
    uint64_t tau = 0;
    if (cuts.n == 0 || !t->shared || (cuts.all_narrow && cuts.n == cuts.answered && cuts.n == 1))
        return GP_OK;
    if (!cuts.all_narrow || !has_bounds(t->stmt) || (cuts.any_digest_missing && cuts.rest <= CHEAP_ROWS)) {
        ask_rests(t, n);
        return GP_OK;
    }
    gp_code rc = find_tau(t, &tau, err);
    if (rc != GP_OK)
        return rc;
    if (cuts.bound >= tau || cuts.any_digest_missing) {
        if (!ask_large_rows(t, &cuts, tau, n))
            ask_rests(t, n);
        return GP_OK;
    }
    return ask_candidates(t, &cuts, tau, n, err);
}

gp_code gp_topk_next(gp_topk *t, size_t *n, gp_error *err)
{
    *n = 0;
    for (size_t i = 0; i < t->n_hosts; i++) {
        host *h = &t->hosts[i];
        if (h->asked && h->state == HOST_NEW) /* never answered */
            gp_topk_lose(t, i);
        if (h->state == HOST_NEW)
            ask(h, h->all ? all_rows : t->first_limit, n);
    }
    gp_code rc = *n ? GP_OK : ask_cut_hosts(t, n, err);
    t->stats.rounds += rc == GP_OK && *n > 0;
    return rc;
}

/* ---- the result ---------------------------------------------------------------------------------------- */

static bool is_nobodys(const void *ctx, size_t at)
{
    const gp_topk *t = ctx;
    return t->refs[at] == 0;
}

static gp_code add_summaries(const gp_topk *t, gp_result *out, gp_error *err)
{
    gp_merge *sums = NULL;
    gp_result_init(out);
    gp_code rc = gp_merge_new(&sums, err);
    for (size_t i = 0; i < t->n_hosts && rc == GP_OK; i++) {
        if (!gp_topk_summary(t, i))
            continue;
        gp_result summary = t->hosts[i].summary;
        summary.n_hosts = 0; /* names are the caller's matter */
        rc = gp_merge_add_summary(sums, &summary, err);
    }
    if (rc == GP_OK)
        gp_merge_take(sums, out);
    gp_merge_free(sums);
    return rc;
}

/* Fingerprints in a table of open addressing; 0 stands for none and is counted apart. */
typedef struct name_set {
    uint64_t *slots;
    size_t mask, n;
    bool zero;
} name_set;

static void add_name(name_set *s, uint64_t name)
{
    size_t i = (size_t)name & s->mask;
    if (name == 0) {
        s->zero = true;
        return;
    }
    while (s->slots[i] && s->slots[i] != name)
        i = (i + 1) & s->mask;
    s->n += s->slots[i] == 0;
    s->slots[i] = name;
}

static gp_code count_by_digest(const gp_topk *t, uint64_t *hits, gp_error *err)
{
    size_t most = gp_merge_rows(t->merge);
    for (size_t i = 0; i < t->n_hosts; i++)
        most += t->hosts[i].state == HOST_CUT ? t->hosts[i].summary.n_digest : 0;
    name_set set = {.mask = 1};
    while (set.mask < most * 2)
        set.mask = set.mask * 2 + 1;
    set.slots = calloc(set.mask + 1, sizeof *set.slots);
    if (!set.slots)
        return gp_fail(err, GP_ENOMEM, "out of memory for counting %zu rows", most);
    for (size_t i = 0; i < gp_merge_rows(t->merge); i++)
        if (t->refs[i])
            add_name(&set, gp_row_fingerprint(gp_merge_row(t->merge, i)));
    for (size_t i = 0; i < t->n_hosts; i++) {
        const gp_result *s = &t->hosts[i].summary;
        for (size_t k = 0; t->hosts[i].state == HOST_CUT && k < s->n_digest; k++)
            add_name(&set, s->digest[k]);
    }
    *hits = set.n + set.zero;
    free(set.slots);
    return GP_OK;
}

/* Rows of the fleet: each once. */
static gp_code count_hits(const gp_topk *t, uint64_t *hits, gp_error *err)
{
    bool cut = t->keep_few;
    bool digests = true;
    uint64_t sum = 0;
    for (size_t i = 0; i < t->n_hosts; i++) {
        const host *h = &t->hosts[i];
        cut |= h->state == HOST_CUT;
        digests &= h->state != HOST_CUT || h->summary.has_digest;
        sum += gp_topk_summary(t, i) ? h->summary.hits_total : 0;
    }
    *hits = sum;
    if (cut && t->shared && digests)
        return count_by_digest(t, hits, err);
    if (cut) /* each row is on one host, or this is a partial result */
        return GP_OK;
    *hits = 0;
    for (size_t i = 0; i < gp_merge_rows(t->merge); i++)
        *hits += t->refs[i] > 0;
    return GP_OK;
}

static gp_code copy_few(const gp_topk *t, uint64_t limit, gp_result *out, gp_error *err)
{
    const gp_stmt *s = t->stmt;
    gp_label_cache cache = {0};
    gp_code rc = gp_result_reserve_rows(out, t->few.n_rows, err);
    if (rc != GP_OK || t->few.n_rows == 0)
        return rc;
    memcpy(out->rows, t->few.rows, t->few.n_rows * sizeof *out->rows);
    out->n_rows = t->few.n_rows;
    gp_result_sort(out, s->sort_by, s->direction, s->sort_ascending, limit);
    for (size_t i = 0; i < out->n_rows && rc == GP_OK; i++)
        rc = gp_result_adopt_labels(out, &cache, &out->rows[i], err);
    return rc;
}

gp_code gp_topk_result(const gp_topk *t, uint64_t limit, gp_result *out, gp_error *err)
{
    const gp_stmt *s = t->stmt;
    const gp_merge_order order = {.by = s->sort_by,
                                  .dir = s->direction,
                                  .ascending = s->sort_ascending,
                                  .limit = limit,
                                  .skip = is_nobodys,
                                  .ctx = t};
    gp_code rc = add_summaries(t, out, err);
    if (rc == GP_OK)
        rc = t->keep_few ? copy_few(t, limit, out, err) : gp_merge_first(t->merge, &order, out, err);
    if (rc == GP_OK)
        rc = count_hits(t, &out->hits_total, err);
    if (rc != GP_OK)
        gp_result_free(out);
    return rc;
}

gp_topk_stats gp_topk_get_stats(const gp_topk *t)
{
    gp_topk_stats stats = t->stats;
    stats.rows_left = look_at_cuts(t).rest;
    return stats;
}
