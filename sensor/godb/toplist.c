#include "sensor/godb/toplist.h"

#include "sensor/godb/topn.h"
#include "sensor/godb/topports.h"

#include <stdlib.h>
#include <string.h>

enum {
    MOST_RESULTS = 1024, /* a list has half as many groups; days that have more can hardly tell */
    N_PROTOS = 256,
    WORDS = GP_PORTS / 64
};

/* A set of ports. */
typedef struct ports {
    uint64_t bits[WORDS];
} ports;

/* The groups of one protocol; of all protocols, if the query does not group by them. */
typedef struct groups {
    ports open;                 /* those that a day has and does not list */
    uint64_t missing[GP_PORTS]; /* what these may have in such days, at most; never more than UINT64_MAX */
} groups;

/* A day that has a list. */
typedef struct day_list {
    gp_topports *list; /* NULL: it has none, or is scanned */
    uint64_t blocks;
} day_list;

typedef struct iface_lists {
    day_list *days;
    groups *protos[N_PROTOS]; /* NULL: none is open */
} iface_lists;

typedef struct gp_toplist {
    gp_rank rank;
    bool by_port, by_proto;
    iface_lists *ifaces;
    atomic_size_t next; /* day to load */
    uint64_t threshold; /* what the last row has at least; 0: any group may be in the answer */
    uint64_t rest_hits; /* of groups without an entry in a table */
    gp_counters rest;   /* of all groups that are not listed */
} gp_toplist;

bool gp_toplist_suits(const query_run *q)
{
    const gp_stmt *s = q->stmt;
    if (!q->plan.dense || s->cond)
        return false;
    if (!q->plan.key_v4.dport) /* lists know all protocols */
        return true;
    return !s->sort_ascending && s->sort_by != GP_SORT_TIME && !gp_narrow_any(&s->narrow) &&
           s->num_results > 0 && s->num_results <= MOST_RESULTS;
}

static gp_rank rank_of(const gp_stmt *s)
{
    const bool pkts = s->sort_by == GP_SORT_PACKETS;
    if (s->direction == GP_DIR_IN)
        return pkts ? GP_RANK_PKTS_RCVD : GP_RANK_BYTES_RCVD;
    if (s->direction == GP_DIR_OUT)
        return pkts ? GP_RANK_PKTS_SENT : GP_RANK_BYTES_SENT;
    return pkts ? GP_RANK_PKTS : GP_RANK_BYTES;
}

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* ---- sets of ports ------------------------------------------------------------------------------------- */

static void add_present(ports *to, const gp_topports_proto *p)
{
    for (size_t i = 0; i < p->n; i++) {
        const size_t at = p->first + i;
        to->bits[at / 8] |= (uint64_t)p->ports[i] << at % 8 * 8;
    }
}

static void clear_port(ports *s, uint32_t port)
{
    s->bits[port / 64] &= ~(UINT64_C(1) << port % 64);
}

/* The next port from *port on; false at the end. */
static bool next_port(const ports *s, uint32_t *port)
{
    for (uint32_t w = *port / 64; w < WORDS; w++) {
        const uint64_t left = w == *port / 64 ? s->bits[w] & UINT64_MAX << *port % 64 : s->bits[w];
        if (left) {
            *port = w * 64 + (uint32_t)__builtin_ctzll(left);
            return true;
        }
    }
    return false;
}

/* ---- loading ------------------------------------------------------------------------------------------- */

static gp_code load_day(query_run *q, gp_codec *codec, iface_run *i, size_t day_index, day_list *out,
                        gp_error *err)
{
    gp_day *day = NULL;
    gp_error why = GP_ERROR_INIT;
    gp_code code = gp_day_open(&day, q->engine->db, i->name, i->days[day_index].day, &why);
    if (code != GP_OK) /* the scan tells */
        return code == GP_ENOMEM ? gp_fail(err, code, "%s", why.msg) : GP_OK;
    const gp_blockmeta *meta = gp_day_meta(day);
    gp_topports *list =
        meta->n_blocks > 0 && gp_query_wants_all(q, i, meta) ? gp_day_topports(day, codec) : NULL;
    if (list && !gp_mem_take(&q->budget, gp_topports_memory(list))) {
        gp_topports_free(list);
        list = NULL;
    }
    if (list) {
        gp_query_note_coverage(i, day_index, meta);
        i->passed_over[day_index] = true;
        out->list = list;
        out->blocks = meta->n_blocks;
    }
    gp_day_close(day);
    return GP_OK;
}

static void load_work(query_run *q, unsigned worker, void *ctx)
{
    gp_toplist *t = ctx;
    gp_codec *codec = NULL;
    gp_error err = GP_ERROR_INIT;
    gp_code code = gp_codec_new(&codec, &err);
    size_t iface = 0;
    size_t before = 0; /* days of the interfaces before */
    while (code == GP_OK && !atomic_load(&q->stop)) {
        const size_t index = atomic_fetch_add(&t->next, 1);
        if (index >= q->n_days)
            break;
        while (index - before >= q->ifaces[iface].n_days)
            before += q->ifaces[iface++].n_days;
        const size_t day = index - before;
        code = load_day(q, codec, &q->ifaces[iface], day, &t->ifaces[iface].days[day], &err);
        if (worker == 0)
            gp_query_poll_hooks(q);
    }
    gp_codec_free(codec);
    if (code != GP_OK)
        gp_query_fail(q, code, &err);
}

static gp_code make_toplist(query_run *q, gp_error *err)
{
    gp_toplist *t = calloc(1, sizeof *t);
    q->toplist = t;
    bool ok = t && (t->ifaces = calloc(q->n_ifaces + 1, sizeof *t->ifaces));
    for (size_t i = 0; i < q->n_ifaces && ok; i++) {
        iface_run *r = &q->ifaces[i];
        ok = (t->ifaces[i].days = calloc(r->n_days + 1, sizeof *t->ifaces[i].days)) &&
             (r->passed_over = calloc(r->n_days + 1, sizeof *r->passed_over));
    }
    if (!ok)
        return gp_fail(err, GP_ENOMEM, "out of memory for a query");
    t->rank = rank_of(q->stmt);
    t->by_port = q->plan.key_v4.dport;
    t->by_proto = q->plan.key_v4.proto;
    return GP_OK;
}

static void drop_list(query_run *q, day_list *d)
{
    if (!d->list)
        return;
    gp_mem_give(&q->budget, gp_topports_memory(d->list));
    gp_topports_free(d->list);
    d->list = NULL;
}

void gp_toplist_free(query_run *q)
{
    gp_toplist *t = q->toplist;
    for (size_t i = 0; t && t->ifaces && i < q->n_ifaces; i++) {
        for (size_t day = 0; t->ifaces[i].days && day < q->ifaces[i].n_days; day++)
            drop_list(q, &t->ifaces[i].days[day]);
        free(t->ifaces[i].days);
        for (unsigned p = 0; p < N_PROTOS; p++)
            free(t->ifaces[i].protos[p]);
    }
    if (t)
        free(t->ifaces);
    free(t);
    q->toplist = NULL;
}

/* Room for what the list leaves open; false if the query may not have so much memory. */
static bool reserve_groups(query_run *q, iface_lists *lists, const gp_topports *list)
{
    const gp_toplist *t = q->toplist;
    const gp_topports_proto *p = gp_topports_protos(list);
    for (size_t n = gp_topports_n_protos(list); t->by_port && n-- > 0; p++) {
        groups **g = &lists->protos[t->by_proto ? p->proto : 0];
        if (*g)
            continue;
        if (!gp_mem_take(&q->budget, sizeof **g))
            return false;
        *g = calloc(1, sizeof **g); /* what is not touched takes none */
        if (!*g)
            return false;
    }
    return true;
}

/* Lists that there is no room for are left out: their days are scanned. */
static void reserve_room(query_run *q)
{
    for (size_t i = 0; i < q->n_ifaces; i++) {
        iface_lists *lists = &q->toplist->ifaces[i];
        for (size_t day = 0; day < q->ifaces[i].n_days; day++) {
            day_list *d = &lists->days[day];
            if (!d->list || reserve_groups(q, lists, d->list))
                continue;
            drop_list(q, d);
            q->ifaces[i].passed_over[day] = false;
        }
    }
}

/* ---- lists into tables --------------------------------------------------------------------------------- */

/* Where a group of a list belongs in the tables of this query. */
static uint32_t place_of(const gp_toplist *t, uint32_t group)
{
    return (t->by_proto ? group & ~(uint32_t)(GP_PORTS - 1) : 0) | (t->by_port ? group % GP_PORTS : 0);
}

typedef enum change { ADD, TAKE_OFF } change;

static gp_code change_place(query_run *q, iface_run *i, uint32_t place, const gp_counters *c, change how,
                            gp_error *err)
{
    gp_flow_tables *to = &i->tables[0];
    const uint64_t key = gp_dense_key(place);
    gp_counters *at = NULL;
    if ((c->bytes_rcvd | c->bytes_sent | c->pkts_rcvd | c->pkts_sent) == 0) /* as flows without any traffic */
        return gp_agg_add(&to->v4, q->pools[0], &key, c, err);
    if (!to->dense && !(to->dense = calloc(1, sizeof *to->dense)))
        return gp_fail(err, GP_ENOMEM, "out of memory for a query");
    gp_code code = gp_dense_find(to->dense, q->pools[0], &place, 1, &at, err);
    if (code != GP_OK)
        return code;
    if (how == ADD)
        gp_counters_add(at, c);
    else
        gp_counters_sub(at, c);
    return GP_OK;
}

static gp_code change_tables(query_run *q, iface_run *i, const gp_topports *list, change how, gp_error *err)
{
    const gp_toplist *t = q->toplist;
    gp_code code = GP_OK;
    if (!t->by_port) {
        const gp_topports_proto *p = gp_topports_protos(list);
        for (size_t n = gp_topports_n_protos(list); n-- > 0 && code == GP_OK; p++)
            code = change_place(q, i, place_of(t, (uint32_t)p->proto * GP_PORTS), &p->sum, how, err);
        return code;
    }
    for (gp_topports_iter it = gp_topports_listed(list); code == GP_OK && gp_topports_next(&it);)
        code = change_place(q, i, place_of(t, it.place), &it.sum, how, err);
    return code;
}

/* ---- groups that lists leave open ---------------------------------------------------------------------- */

/* Calls see, for each protocol of a day, the ports that it has and does not list. */
static void for_each_open(const gp_topports *list, void (*see)(void *ctx, uint8_t proto, const ports *open),
                          void *ctx)
{
    const gp_topports_proto *p = gp_topports_protos(list);
    gp_topports_iter it = gp_topports_listed(list);
    bool more = gp_topports_next(&it);
    for (size_t n = gp_topports_n_protos(list); n-- > 0; p++) {
        ports open = {0};
        add_present(&open, p);
        for (; more && it.place / GP_PORTS == p->proto; more = gp_topports_next(&it))
            clear_port(&open, it.place % GP_PORTS);
        see(ctx, p->proto, &open);
    }
}

/* What callbacks are about. */
typedef struct context {
    const gp_toplist *t;
    iface_lists *lists;
    uint64_t bound; /* of groups that the list at hand does not have */
    bool found;
} context;

static groups *groups_of(const context *c, uint8_t proto)
{
    return c->lists->protos[c->t->by_proto ? proto : 0];
}

static void add_open(void *ctx, uint8_t proto, const ports *open)
{
    const context *c = ctx;
    groups *g = groups_of(c, proto);
    for (size_t w = 0; w < WORDS; w++)
        g->open.bits[w] |= open->bits[w];
    for (uint32_t port = 0; c->bound && next_port(open, &port); port++)
        g->missing[port] = add_saturated(g->missing[port], c->bound);
}

static gp_code add_lists(query_run *q, size_t iface, gp_error *err)
{
    gp_toplist *t = q->toplist;
    iface_run *i = &q->ifaces[iface];
    context c = {.t = t, .lists = &t->ifaces[iface]};
    gp_code code = gp_query_merge_dense(q, i, err);
    for (size_t day = 0; day < i->n_days && code == GP_OK; day++) {
        const gp_topports *list = c.lists->days[day].list;
        if (!list)
            continue;
        code = change_tables(q, i, list, ADD, err);
        c.bound = gp_topports_bound(list, t->rank);
        if (code == GP_OK && t->by_port)
            for_each_open(list, add_open, &c);
    }
    return code;
}

/* ---- the threshold ------------------------------------------------------------------------------------- */

static uint64_t add_all(uint64_t total, const gp_counters *c)
{
    total = add_saturated(add_saturated(total, c->bytes_rcvd), c->bytes_sent);
    return add_saturated(add_saturated(total, c->pkts_rcvd), c->pkts_sent);
}

/* No less than what any group, or all together, have of anything. */
static uint64_t grand_total(const query_run *q)
{
    uint64_t total = 0;
    for (size_t i = 0; i < q->n_ifaces; i++) {
        const gp_counters *c;
        const gp_dense *dense = q->ifaces[i].tables[0].dense;
        for (uint32_t place = 0; dense && (c = gp_dense_next(dense, &place));)
            total = add_all(total, c);
        for (size_t day = 0; day < q->ifaces[i].n_days; day++) {
            const gp_topports *list = q->toplist->ifaces[i].days[day].list;
            for (size_t p = 0; list && p < gp_topports_n_protos(list); p++)
                total = add_all(total, &gp_topports_protos(list)[p].sum);
        }
    }
    return total;
}

/* The k-th largest sum so far; 0 if there are fewer, or sums that overflow, which bound nothing. */
static gp_code find_threshold(query_run *q, gp_error *err)
{
    gp_toplist *t = q->toplist;
    gp_topn top;
    if (grand_total(q) == UINT64_MAX)
        return GP_OK;
    if (!gp_topn_init(&top, (size_t)q->stmt->num_results))
        return gp_fail(err, GP_ENOMEM, "out of memory for a query");
    for (size_t i = 0; i < q->n_ifaces; i++) {
        const gp_counters *c;
        const gp_dense *dense = q->ifaces[i].tables[0].dense;
        for (uint32_t place = 0; dense && (c = gp_dense_next(dense, &place));)
            gp_topn_offer(&top, gp_rank_value(c, t->rank), place);
    }
    if (top.n == top.most)
        t->threshold = top.items[0].value;
    gp_topn_free(&top);
    return GP_OK;
}

/* Leaves open what may still be in the answer. */
static void close_groups(const gp_toplist *t, groups *g, uint32_t proto, const gp_dense *dense)
{
    for (uint32_t port = 0; next_port(&g->open, &port); port++) {
        const gp_counters *c = dense ? gp_dense_at(dense, proto * GP_PORTS | port) : NULL;
        const uint64_t known = c ? gp_rank_value(c, t->rank) : 0;
        if (add_saturated(known, g->missing[port]) < t->threshold)
            clear_port(&g->open, port);
    }
}

static void find_open(void *ctx, uint8_t proto, const ports *open)
{
    context *c = ctx;
    const groups *g = groups_of(c, proto);
    uint64_t both = 0;
    for (size_t w = 0; w < WORDS; w++)
        both |= g->open.bits[w] & open->bits[w];
    c->found = c->found || both;
}

/* Whether the day has a group that may be in the answer and is not listed. */
static bool must_be_scanned(const gp_toplist *t, iface_lists *lists, const gp_topports *list)
{
    context c = {.t = t, .lists = lists};
    if (t->by_port)
        for_each_open(list, find_open, &c);
    return c.found;
}

/* What was scanned, or is known, is passed over from now on. */
static gp_code choose_days(query_run *q, size_t iface, size_t *chosen, gp_error *err)
{
    gp_toplist *t = q->toplist;
    iface_lists *lists = &t->ifaces[iface];
    iface_run *i = &q->ifaces[iface];
    gp_code code = GP_OK;
    for (unsigned proto = 0; proto < N_PROTOS; proto++)
        if (lists->protos[proto])
            close_groups(t, lists->protos[proto], proto, i->tables[0].dense);
    for (size_t day = 0; day < i->n_days && code == GP_OK; day++) {
        day_list *d = &lists->days[day];
        i->passed_over[day] = !d->list || !must_be_scanned(t, lists, d->list);
        if (i->passed_over[day])
            continue;
        code = change_tables(q, i, d->list, TAKE_OFF, err);
        drop_list(q, d);
        ++*chosen;
    }
    return code;
}

/* ---- what is left -------------------------------------------------------------------------------------- */

static void take_off_listed(gp_counters *rest, const gp_topports *list)
{
    for (gp_topports_iter it = gp_topports_listed(list); gp_topports_next(&it);)
        gp_counters_sub(rest, &it.sum);
}

static void count_list(query_run *q, context *c, const day_list *d)
{
    gp_toplist *t = q->toplist;
    q->stats.directories_processed++;
    q->stats.workloads++;
    q->stats.blocks_processed += d->blocks;
    q->stats.bytes_loaded += gp_topports_stored(d->list);
    q->stats.bytes_decompressed += gp_topports_raw(d->list);
    if (!t->by_port)
        return;
    for_each_open(d->list, add_open, c);
    for (size_t p = 0; p < gp_topports_n_protos(d->list); p++)
        gp_counters_add(&t->rest, &gp_topports_protos(d->list)[p].sum);
    take_off_listed(&t->rest, d->list);
}

/* Groups that a table has an entry of, be it one without traffic. */
static void close_counted(const query_run *q, const iface_run *i, const context *c)
{
    for (unsigned w = 0; w < q->n_workers; w++) {
        const uint64_t *key;
        gp_counters unused;
        gp_agg_iter it = gp_agg_entries(&i->tables[w].v4, 0, 0);
        while (gp_agg_next(&it, &key, &unused)) {
            const uint32_t place = gp_dense_place(key[0]);
            groups *g = groups_of(c, (uint8_t)(place / GP_PORTS));
            if (g)
                clear_port(&g->open, place % GP_PORTS);
        }
    }
    const gp_dense *dense = i->tables[0].dense;
    for (uint32_t place = 0; dense && gp_dense_next(dense, &place);) {
        groups *g = groups_of(c, (uint8_t)((place - 1) / GP_PORTS));
        if (g)
            clear_port(&g->open, (place - 1) % GP_PORTS);
    }
}

static gp_code count_rest(query_run *q, size_t iface, gp_error *err)
{
    gp_toplist *t = q->toplist;
    iface_run *i = &q->ifaces[iface];
    context c = {.t = t, .lists = &t->ifaces[iface]};
    gp_code code = gp_query_merge_dense(q, i, err);
    if (code != GP_OK)
        return code;
    for (unsigned proto = 0; proto < N_PROTOS; proto++)
        if (c.lists->protos[proto])
            c.lists->protos[proto]->open = (ports){0};
    for (size_t day = 0; day < i->n_days; day++)
        if (c.lists->days[day].list)
            count_list(q, &c, &c.lists->days[day]);
    close_counted(q, i, &c);
    for (unsigned proto = 0; proto < N_PROTOS; proto++)
        for (size_t w = 0; c.lists->protos[proto] && w < WORDS; w++)
            t->rest_hits += (uint64_t)__builtin_popcountll(c.lists->protos[proto]->open.bits[w]);
    return GP_OK;
}

void gp_toplist_add_rest(const query_run *q, gp_result *out)
{
    if (!q->toplist)
        return;
    out->hits_total += q->toplist->rest_hits;
    gp_counters_add(&out->totals, &q->toplist->rest);
}

/* ---- the phases ---------------------------------------------------------------------------------------- */

/* Lists in the place of scans, but for the days that the threshold does not rule out. */
static gp_code add_and_choose(query_run *q, size_t *chosen, gp_error *err)
{
    gp_code code = GP_OK;
    for (size_t i = 0; i < q->n_ifaces && code == GP_OK; i++)
        code = add_lists(q, i, err);
    if (code == GP_OK && q->toplist->by_port)
        code = find_threshold(q, err);
    for (size_t i = 0; i < q->n_ifaces && code == GP_OK; i++)
        code = choose_days(q, i, chosen, err);
    return code;
}

static gp_code load(query_run *q, gp_error *err)
{
    gp_code code = make_toplist(q, err);
    if (code != GP_OK)
        return code;
    gp_query_run_workers(q, load_work, q->toplist);
    reserve_room(q);
    return q->code == GP_OK ? GP_OK : gp_fail(err, q->code, "%s", q->error.msg);
}

gp_code gp_toplist_scan(query_run *q, gp_error *err)
{
    size_t chosen = 0;
    gp_code code = load(q, err);
    if (code == GP_OK)
        code = gp_query_scan_days(q, err);
    if (code == GP_OK)
        code = add_and_choose(q, &chosen, err);
    if (code == GP_OK && chosen)
        code = gp_query_scan_days(q, err);
    for (size_t i = 0; i < q->n_ifaces && code == GP_OK; i++)
        code = count_rest(q, i, err);
    return code;
}
