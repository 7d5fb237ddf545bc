/* Whole queries over a database that the test writes, against a row-by-row oracle. */
#include "sensor/godb/engine.h"
#include "sensor/godb/reader.h"
#include "sensor/godb/writer.h"
#include "tests/support/files.h"
#include "tests/support/questions.h"
#include "tests/support/tempdir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { N_IFACES = 2, N_DAYS = 3, BLOCKS_PER_DAY = 4, FLOWS_PER_BLOCK = 300 };

static const int64_t first_day = 1456358400; /* 2016-02-25 00:00 UTC */
static const char *const iface_names[N_IFACES] = {"eth0", "eth1"};

typedef struct stored_flow {
    const char *iface;
    int64_t ts;
    gp_flow f;
} stored_flow;

typedef struct fixture {
    char db[GP_TEMPDIR_LEN];
    stored_flow *flows;
    size_t n;
    gp_engine *engine;
} fixture;

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

/* Flow number i of a block: distinct keys within the block, few distinct values per column. */
static gp_flow make_flow(size_t i, uint64_t *rng)
{
    bool v6 = i % 5 == 4;
    gp_flow f = {.sip.len = v6 ? 16 : 4, .dip.len = v6 ? 16 : 4};
    f.sip.bytes[0] = v6 ? 0x20 : 10;
    f.dip.bytes[0] = v6 ? 0x20 : 192;
    f.sip.bytes[f.sip.len - 1] = (uint8_t)(i % 7);
    f.dip.bytes[f.dip.len - 1] = (uint8_t)(i % 11);
    f.dport = (uint16_t)(i % 3 == 0 ? 443 : i);
    f.proto = i % 2 ? 6 : 17;
    f.c.bytes_rcvd = next_random(rng) % 100000;
    f.c.bytes_sent = i % 4 ? next_random(rng) % 1000 : 0;
    f.c.pkts_rcvd = f.c.bytes_rcvd ? 1 + f.c.bytes_rcvd / 1000 : 0;
    f.c.pkts_sent = f.c.bytes_sent ? 1 + f.c.bytes_sent / 500 : 0;
    return f;
}

static void write_block(fixture *fx, gp_writer *w, const char *iface, int64_t ts, uint64_t *rng)
{
    gp_flow flows[FLOWS_PER_BLOCK];
    for (size_t i = 0; i < FLOWS_PER_BLOCK; i++) {
        flows[i] = make_flow(i, rng);
        fx->flows[fx->n++] = (stored_flow){iface, ts, flows[i]};
    }
    gp_error err = GP_ERROR_INIT;
    if (gp_writer_write(w, ts, flows, FLOWS_PER_BLOCK, 0, NULL, &err) != GP_OK)
        fail_msg("%s", err.msg);
}

static int setup(void **state)
{
    fixture *fx = calloc(1, sizeof *fx);
    assert_non_null(fx);
    gp_tempdir_make(fx->db);
    fx->flows = calloc((size_t)N_IFACES * N_DAYS * BLOCKS_PER_DAY * FLOWS_PER_BLOCK, sizeof *fx->flows);
    assert_non_null(fx->flows);
    uint64_t rng = 99;
    for (size_t i = 0; i < N_IFACES; i++) {
        gp_writer *w = NULL;
        const gp_writer_config cfg = {
            .db = fx->db, .iface = iface_names[i], .codec = GP_CODEC_LZ4, .no_sync = true};
        assert_int_equal(gp_writer_new(&w, &cfg, NULL), GP_OK);
        for (int64_t day = 0; day < N_DAYS; day++)
            for (int64_t b = 1; b <= BLOCKS_PER_DAY; b++)
                write_block(fx, w, iface_names[i], first_day + day * 86400 + b * 300, &rng);
        gp_writer_free(w);
    }
    const gp_engine_config cfg = {.db = fx->db, .threads = 3};
    assert_int_equal(gp_engine_new(&fx->engine, &cfg, NULL), GP_OK);
    *state = fx;
    return 0;
}

static int teardown(void **state)
{
    fixture *fx = *state;
    gp_engine_free(fx->engine);
    gp_tempdir_remove(fx->db);
    free(fx->flows);
    free(fx);
    return 0;
}

typedef struct query {
    const char *type, *ifaces, *cond, *first, *last, *sort_by, *resolution;
    uint64_t limit;
    bool ascending, in, out, live, low_mem;
    int64_t max_mem_pct;
} query;

static void prepare(const query *q, gp_stmt *stmt)
{
    gp_args a;
    gp_args_init(&a);
    gp_args_set(&a.query, q->type, NULL);
    gp_args_set(&a.ifaces, q->ifaces ? q->ifaces : "any", NULL);
    gp_args_set(&a.condition, q->cond, NULL);
    gp_args_set(&a.first, q->first ? q->first : "0", NULL);
    gp_args_set(&a.last, q->last, NULL);
    gp_args_set(&a.sort_by, q->sort_by, NULL);
    gp_args_set(&a.time_resolution, q->resolution, NULL);
    gp_args_set(&a.format, "json", NULL);
    a.num_results = q->limit;
    a.sort_ascending = q->ascending;
    a.in = q->in;
    a.out = q->out;
    a.low_mem = q->low_mem;
    a.live = q->live;
    a.max_mem_pct = q->max_mem_pct;
    gp_test_prepare(&a, stmt);
}

static int64_t round_up(int64_t ts, int64_t bin)
{
    return (ts + bin - 1) / bin * bin;
}

static gp_row project(const gp_stmt *s, const stored_flow *f)
{
    gp_row r = {.iface = f->iface, .c = f->f.c};
    if (s->type.attr_mask & GP_ATTR_SIP)
        r.sip = f->f.sip;
    if (s->type.attr_mask & GP_ATTR_DIP)
        r.dip = f->f.dip;
    if (s->type.attr_mask & GP_ATTR_DPORT)
        r.dport = f->f.dport;
    if (s->type.attr_mask & GP_ATTR_PROTO)
        r.proto = f->f.proto;
    if (s->type.label_mask & GP_LABEL_TIME)
        r.ts = f->ts;
    return r;
}

static bool same_key(const gp_row *a, const gp_row *b)
{
    return strcmp(a->iface, b->iface) == 0 && a->ts == b->ts && a->dport == b->dport &&
           a->proto == b->proto && gp_addr_cmp(&a->sip, &b->sip) == 0 && gp_addr_cmp(&a->dip, &b->dip) == 0;
}

static void oracle_add(gp_result *r, const gp_row *row)
{
    for (size_t i = 0; i < r->n_rows; i++) {
        if (same_key(&r->rows[i], row)) {
            gp_counters_add(&r->rows[i].c, &row->c);
            return;
        }
    }
    if (r->n_rows == r->cap_rows)
        assert_int_equal(gp_result_reserve_rows(r, r->n_rows * 2 + 64, NULL), GP_OK);
    r->rows[r->n_rows++] = *row;
}

static bool wanted(const gp_stmt *s, const stored_flow *f, const char *only_iface)
{
    if (only_iface && strcmp(only_iface, f->iface) != 0)
        return false;
    return f->ts >= s->first && f->ts <= s->last && (!s->cond || gp_cond_match(s->cond, &f->f));
}

static void oracle_bin(gp_result *r, int64_t bin)
{
    size_t n = r->n_rows;
    r->n_rows = 0;
    for (size_t i = 0; i < n; i++) {
        gp_row row = r->rows[i];
        row.ts = round_up(row.ts, bin);
        oracle_add(r, &row);
    }
}

/* The same answer by brute force: rows, totals, hits, sorted and cut. A condition on the direction chooses
 * among sums of single blocks (so does v4), before there are bins. */
static void oracle(const fixture *fx, const gp_stmt *s, const char *only_iface, gp_result *r)
{
    gp_result_init(r);
    for (size_t i = 0; i < fx->n; i++) {
        if (!wanted(s, &fx->flows[i], only_iface))
            continue;
        gp_row row = project(s, &fx->flows[i]);
        oracle_add(r, &row);
    }
    gp_direction_filter dir = s->cond ? gp_cond_direction(s->cond) : GP_DIRF_NONE;
    size_t kept = 0;
    for (size_t i = 0; i < r->n_rows; i++) {
        if (dir != GP_DIRF_NONE && !gp_direction_match(dir, &r->rows[i].c))
            continue;
        r->rows[kept++] = r->rows[i];
        gp_counters_add(&r->totals, &r->rows[i].c);
    }
    r->n_rows = kept;
    if (s->type.label_mask & GP_LABEL_TIME)
        oracle_bin(r, s->bin_size);
    r->hits_total = r->n_rows;
    gp_result_sort(r, s->sort_by, s->direction, s->sort_ascending, s->num_results);
}

static void check(const fixture *fx, const query *q)
{
    gp_stmt stmt;
    gp_result got;
    gp_result want;
    gp_error err = GP_ERROR_INIT;
    prepare(q, &stmt);
    if (gp_engine_run(fx->engine, &stmt, NULL, &got, &err) != GP_OK)
        fail_msg("%s: %s", q->type, err.msg);
    const char *only = q->ifaces && strcmp(q->ifaces, "any") != 0 ? q->ifaces : NULL;
    oracle(fx, &stmt, only, &want);
    assert_int_equal(got.hits_total, want.hits_total);
    assert_int_equal(got.n_rows, want.n_rows);
    if (memcmp(&got.totals, &want.totals, sizeof got.totals) != 0)
        fail_msg("query '%s' (%s): totals differ", q->type, q->cond ? q->cond : "no condition");
    for (size_t i = 0; i < got.n_rows; i++) {
        if (!same_key(&got.rows[i], &want.rows[i]) ||
            memcmp(&got.rows[i].c, &want.rows[i].c, sizeof got.rows[i].c) != 0)
            fail_msg("query '%s' (%s): row %zu differs", q->type, q->cond ? q->cond : "no condition", i);
    }
    gp_result_free(&got);
    gp_result_free(&want);
    gp_stmt_free(&stmt);
}

static void queries_equal_the_oracle(void **state)
{
    static const query queries[] = {
        {.type = "sip"},
        {.type = "sip,dip", .limit = 10},
        {.type = "dport,proto", .limit = 5, .sort_by = "packets"},
        {.type = "sip,dip,dport,proto", .limit = 1000, .ascending = true},
        {.type = "sip,dip,dport,proto", .limit = 7, .in = true},
        {.type = "dip", .ifaces = "eth1", .limit = 3},
        {.type = "proto", .cond = "dport = 443"},
        {.type = "sip,dport", .cond = "snet = 10.0.0.0/30 & dport != 443", .limit = 20},
        {.type = "dip,proto", .cond = "dip = 2000::3 | dport < 50", .limit = 20},
        {.type = "sip", .cond = "dir = in"},
        {.type = "sip,dip,dport,proto", .cond = "dir = uni & proto = 17", .limit = 50},
        {.type = "time"},
        {.type = "time,proto", .cond = "proto = 6"},
        {.type = "time", .resolution = "1h"},
        {.type = "time,sip,dip", .resolution = "10m"},
        {.type = "time", .cond = "dport = 443 & dir = in", .resolution = "24h"},
        {.type = "time,sip", .cond = "dir = out", .resolution = "10m", .limit = 3},
        {.type = "time,sip,dport", .cond = "dir = uni", .resolution = "1h", .limit = 40},
        {.type = "raw", .cond = "dport = 443"},
        {.type = "iface"},
        {.type = "iface", .first = "1456445100", .last = "1456531500"},
        {.type = "sip", .first = "1456445100", .last = "1456531500"},
        {.type = "talk_conv", .first = "1456358700", .last = "1456358700"},
    };
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++)
        check(*state, &queries[i]);
}

static void all_orders_equal_the_oracle(void **state)
{
    static const char *const types[] = {"sip,dport", "dip,proto", "time,proto", "raw", "proto"};
    static const char *const orders[] = {"bytes", "packets", "time"};
    static const char *const conditions[] = {NULL, "dport != 443 & proto = 6", "dir = bi & dport < 70",
                                             "!(snet = 10.0.0.0/31 | dnet = 2000::/64)"};
    for (unsigned i = 0; i < 5 * 3 * 2 * 4; i++) {
        const query q = {.type = types[i % 5],
                         .last = i % 5 == 3 ? "1456444800" : NULL, /* the oracle is slow */
                         .sort_by = orders[i / 5 % 3],
                         .ascending = i / 15 % 2,
                         .in = i / 30 % 4 == 1 || i / 30 % 4 == 3,
                         .out = i / 30 % 4 >= 2,
                         .cond = conditions[(i / 5 + i / 30) % 4],
                         .low_mem = i % 7 == 0,
                         .resolution = i % 2 ? "10m" : NULL,
                         .limit = i % 3 ? 9 : 100000};
        check(*state, &q);
    }
}

/* Limits above and below the number of rows at which workers start to cut. */
static void limits_cut_exactly(void **state)
{
    static const uint64_t limits[] = {1, 511, 512, 513, 1100, 5000};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        query q = {.type = "raw", .last = "1456444800", .limit = limits[i]};
        check(*state, &q);
        q.sort_by = "bytes";
        q.ascending = true;
        check(*state, &q);
        q = (query){.type = "time,sip,dport", .last = q.last, .limit = q.limit, .sort_by = "packets"};
        check(*state, &q);
    }
}

/* The limit is on memory for tables and rows; what fits in it is answered as ever. */
static void memory_is_bounded(void **state)
{
    const fixture *fx = *state;
    const gp_engine_config cfg = {.db = fx->db, .threads = 2, .memory = 100 << 20};
    gp_engine *e = NULL;
    gp_stmt stmt;
    gp_result r;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_engine_new(&e, &cfg, NULL), GP_OK);
    for (int64_t pct = 1; pct <= 60; pct += 59) {
        prepare(&(query){.type = "raw", .limit = 100000, .max_mem_pct = pct}, &stmt);
        gp_code code = gp_engine_run(e, &stmt, NULL, &r, &err);
        gp_stmt_free(&stmt);
        assert_int_equal(code, pct == 1 ? GP_ENOMEM : GP_OK);
        if (code == GP_OK)
            gp_result_free(&r);
    }
    assert_non_null(strstr(err.msg, "memory limit exceeded"));
    assert_non_null(strstr(err.msg, "1%"));
    prepare(&(query){.type = "proto", .limit = 10, .max_mem_pct = 1}, &stmt);
    if (gp_engine_run(e, &stmt, NULL, &r, &err) != GP_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(r.n_rows, 4);
    gp_result_free(&r);
    gp_stmt_free(&stmt);
    gp_engine_free(e);
}

static void summary_states_what_was_covered(void **state)
{
    const fixture *fx = *state;
    gp_stmt stmt;
    gp_result r;
    prepare(&(query){.type = "sip", .limit = 1}, &stmt);
    assert_int_equal(gp_engine_run(fx->engine, &stmt, NULL, &r, NULL), GP_OK);
    assert_int_equal(r.first.sec, first_day);
    assert_int_equal(r.last.sec, first_day + (N_DAYS - 1) * 86400 + BLOCKS_PER_DAY * 300);
    assert_int_equal(r.n_ifaces, N_IFACES);
    assert_int_equal(r.hits_displayed, 1);
    assert_int_equal(r.status, GP_STATUS_OK);
    assert_int_equal(r.n_hosts, 1);
    assert_int_equal(r.stats.blocks_processed, N_IFACES * N_DAYS * BLOCKS_PER_DAY);
    assert_int_equal(r.stats.directories_processed, N_IFACES * N_DAYS);
    assert_int_equal(r.stats.blocks_corrupted, 0);
    gp_result_free(&r);
    gp_stmt_free(&stmt);
}

static void empty_and_missing_are_told_apart(void **state)
{
    const fixture *fx = *state;
    gp_stmt stmt;
    gp_result r;
    prepare(&(query){.type = "sip", .cond = "sip = 1.2.3.4"}, &stmt);
    assert_int_equal(gp_engine_run(fx->engine, &stmt, NULL, &r, NULL), GP_OK);
    assert_int_equal(r.status, GP_STATUS_EMPTY);
    assert_int_equal(r.hosts[0].code, GP_STATUS_OK);
    gp_result_free(&r);
    gp_stmt_free(&stmt);
    prepare(&(query){.type = "sip", .first = "100", .last = "200"}, &stmt);
    assert_int_equal(gp_engine_run(fx->engine, &stmt, NULL, &r, NULL), GP_OK);
    assert_int_equal(r.status, GP_STATUS_MISSING_DATA);
    gp_result_free(&r);
    gp_stmt_free(&stmt);
}

static void unknown_interface_is_an_error(void **state)
{
    const fixture *fx = *state;
    gp_stmt stmt;
    gp_result r;
    gp_error err = GP_ERROR_INIT;
    prepare(&(query){.type = "sip", .ifaces = "eth7"}, &stmt);
    assert_int_equal(gp_engine_run(fx->engine, &stmt, NULL, &r, &err), GP_EINVAL);
    assert_non_null(strstr(err.msg, "eth7"));
    gp_stmt_free(&stmt);
}

static void an_empty_database_has_no_data(void **state)
{
    (void)state;
    char dir[GP_TEMPDIR_LEN];
    gp_engine *engine = NULL;
    gp_stmt stmt;
    gp_result r;
    gp_tempdir_make(dir);
    assert_int_equal(gp_engine_new(&engine, &(gp_engine_config){.db = dir}, NULL), GP_OK);
    prepare(&(query){.type = "sip", .ifaces = "eth7", .first = "100", .last = "200"}, &stmt);
    assert_int_equal(gp_engine_run(engine, &stmt, NULL, &r, NULL), GP_OK);
    assert_int_equal(r.status, GP_STATUS_MISSING_DATA);
    assert_int_equal(r.first.sec, 100);
    assert_int_equal(r.last.sec, 200);
    gp_result_free(&r);
    gp_stmt_free(&stmt);
    gp_engine_free(engine);
    gp_tempdir_remove(dir);
}

static bool always(void *ctx)
{
    (void)ctx;
    return true;
}

static void a_query_can_be_canceled(void **state)
{
    const fixture *fx = *state;
    gp_stmt stmt;
    gp_result r;
    gp_error err = GP_ERROR_INIT;
    const gp_run_hooks hooks = {.canceled = always};
    prepare(&(query){.type = "sip,dip"}, &stmt);
    assert_int_equal(gp_engine_run(fx->engine, &stmt, &hooks, &r, &err), GP_ECANCELED);
    gp_stmt_free(&stmt);
}

static bool after_some(void *ctx)
{
    unsigned *polls = ctx;
    return ++*polls > 5;
}

static void a_running_query_stops_soon(void **state)
{
    const fixture *fx = *state;
    gp_stmt stmt;
    gp_result r;
    unsigned polls = 0;
    const gp_run_hooks hooks = {.canceled = after_some, .ctx = &polls};
    gp_engine *e = NULL;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_engine_new(&e, &(gp_engine_config){.db = fx->db, .threads = 1}, NULL), GP_OK);
    prepare(&(query){.type = "raw"}, &stmt);
    assert_int_equal(gp_engine_run(e, &stmt, &hooks, &r, &err), GP_ECANCELED);
    assert_int_equal(polls, 6);
    gp_stmt_free(&stmt);
    gp_engine_free(e);
}

/* Flips bytes in the middle of a column file of the first day: its blocks fail, the others answer. */
static void damage_costs_only_the_damaged_blocks(void **state)
{
    fixture *fx = *state;
    gp_day *day = NULL;
    char path[512];
    assert_int_equal(gp_day_open(&day, fx->db, "eth0", first_day, NULL), GP_OK);
    snprintf(path, sizeof path, "%s/sip.gpf", gp_day_path(day));
    gp_day_close(day);
    assert_int_equal(truncate(path, 3), 0);
    gp_stmt stmt;
    gp_result r;
    prepare(&(query){.type = "sip", .limit = 5}, &stmt);
    assert_int_equal(gp_engine_run(fx->engine, &stmt, NULL, &r, NULL), GP_OK);
    assert_int_equal(r.stats.blocks_corrupted, BLOCKS_PER_DAY);
    assert_int_equal(r.n_rows, 5);
    gp_result_free(&r);
    gp_stmt_free(&stmt);
}

/* ---- sums of blocks ------------------------------------------------------------------------------------ */

static void sums_path(const fixture *fx, const char *iface, int64_t day_ts, char dst[static 512])
{
    gp_day *day = NULL;
    assert_int_equal(gp_day_open(&day, fx->db, iface, day_ts, NULL), GP_OK);
    assert_true(snprintf(dst, 512, "%s/.blocksums", gp_day_path(day)) < 512);
    gp_day_close(day);
}

/* Bytes of columns that were read for the query, whose answer is right. */
static uint64_t bytes_read(const fixture *fx, const query *q)
{
    gp_stmt stmt;
    gp_result r;
    check(fx, q);
    prepare(q, &stmt);
    assert_int_equal(gp_engine_run(fx->engine, &stmt, NULL, &r, NULL), GP_OK);
    uint64_t n = r.stats.bytes_loaded;
    assert_int_equal(r.stats.blocks_corrupted, 0);
    gp_result_free(&r);
    gp_stmt_free(&stmt);
    return n;
}

/* The middle day and parts of its neighbours. */
#define CUT_FIRST "1456359300"
#define CUT_LAST  "1456531800"

static void check_totals(const fixture *fx)
{
    gp_iface_totals t;
    gp_counters want = {0};
    const int64_t first = strtoll(CUT_FIRST, NULL, 10);
    const int64_t last = strtoll(CUT_LAST, NULL, 10);
    for (size_t i = 0; i < fx->n; i++)
        if (strcmp(fx->flows[i].iface, "eth0") == 0 && fx->flows[i].ts >= first && fx->flows[i].ts <= last)
            gp_counters_add(&want, &fx->flows[i].f.c);
    assert_int_equal(gp_db_iface_totals(fx->db, "eth0", first, last, &t, NULL), GP_OK);
    assert_memory_equal(&t.c, &want, sizeof want);
}

static uint64_t bytes_read_for_totals(const fixture *fx)
{
    static const query queries[] = {
        {.type = "time"},
        {.type = "time", .resolution = "1h"},
        {.type = "time,iface", .resolution = "1h", .first = CUT_FIRST, .last = CUT_LAST},
        {.type = "iface", .first = CUT_FIRST, .last = CUT_LAST},
        {.type = "time", .in = true},
    };
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++)
        sum += bytes_read(fx, &queries[i]);
    check_totals(fx);
    return sum;
}

static void sums_of_blocks_replace_columns(void **state)
{
    fixture *fx = *state;
    char path[512];
    assert_int_equal(bytes_read_for_totals(fx), 0);
    assert_true(bytes_read(fx, &(query){.type = "time", .cond = "dport = 443"}) > 0);
    assert_true(bytes_read(fx, &(query){.type = "time,proto"}) > 0);
    sums_path(fx, "eth0", first_day, path);
    assert_int_equal(unlink(path), 0);
    uint64_t one_day = bytes_read_for_totals(fx);
    assert_true(one_day > 0);
    for (size_t i = 0; i < N_IFACES; i++)
        for (int64_t day = i == 0; day < N_DAYS; day++) {
            sums_path(fx, iface_names[i], first_day + day * 86400, path);
            assert_int_equal(unlink(path), 0);
        }
    assert_true(bytes_read_for_totals(fx) > one_day);
}

/* A block that others appended has no record, those around it do. */
static void blocks_without_record_are_read(void **state)
{
    fixture *fx = *state;
    char path[512];
    uint8_t records[1024];
    sums_path(fx, "eth0", first_day, path);
    size_t len = gp_test_read(path, records, sizeof records);
    assert_true(len > 0 && len < sizeof records);
    gp_test_write(path, records, len / 2);
    uint64_t half = bytes_read(fx, &(query){.type = "time"});
    assert_true(half > 0);
    memset(records, 0, len / 2); /* what a hole reads as */
    gp_test_write(path, records, len);
    assert_true(bytes_read(fx, &(query){.type = "time"}) > 0);
    gp_test_write(path, records, 0);
    assert_true(bytes_read(fx, &(query){.type = "time"}) > half);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_true(bytes_read(fx, &(query){.type = "time"}) > half);
}

static void wrong_records_do_not_count(void **state)
{
    fixture *fx = *state;
    char path[512];
    char other[512];
    uint8_t right[1024];
    uint8_t wrong[1024];
    sums_path(fx, "eth0", first_day, path);
    size_t len = gp_test_read(path, right, sizeof right);
    for (size_t at = 0; at < len; at++) {
        memcpy(wrong, right, len);
        wrong[at] ^= (uint8_t)(1u << at % 8);
        gp_test_write(path, wrong, len);
        assert_true(bytes_read(fx, &(query){.type = "time"}) > 0);
    }
    memmove(wrong, right + len / 2, len - len / 2); /* of the blocks behind */
    gp_test_write(path, wrong, len);
    assert_true(bytes_read_for_totals(fx) > 0);
    for (unsigned which = 0; which < 2; which++) {
        sums_path(fx, iface_names[which], first_day + (which == 0 ? 86400 : 0), other);
        gp_test_write(path, wrong, gp_test_read(other, wrong, sizeof wrong));
        assert_true(bytes_read_for_totals(fx) > 0);
    }
    gp_test_write(path, right, len);
    assert_int_equal(bytes_read_for_totals(fx), 0);
}

static void one_flow(const char *db, uint64_t bytes)
{
    gp_writer *w = NULL;
    gp_flow f = {.sip.len = 4, .dip.len = 4, .c = {bytes, 0, 1, 0}};
    const gp_writer_config cfg = {.db = db, .iface = "eth0", .codec = GP_CODEC_NULL, .no_sync = true};
    assert_int_equal(gp_writer_new(&w, &cfg, NULL), GP_OK);
    assert_int_equal(gp_writer_write(w, first_day + 300, &f, 1, 0, NULL, NULL), GP_OK);
    gp_writer_free(w);
}

/* Two days of which .blockmeta says the same, except for the totals. */
static void records_that_contradict_the_day_do_not_count(void **state)
{
    (void)state;
    fixture a = {0};
    fixture b = {0};
    char path[512];
    uint8_t records[64];
    gp_iface_totals t;
    gp_tempdir_make(a.db);
    gp_tempdir_make(b.db);
    one_flow(a.db, 5);
    one_flow(b.db, 6);
    sums_path(&a, "eth0", first_day, path);
    size_t len = gp_test_read(path, records, sizeof records);
    sums_path(&b, "eth0", first_day, path);
    gp_test_write(path, records, len);
    gp_day *day = NULL;
    assert_int_equal(gp_day_open(&day, b.db, "eth0", first_day, NULL), GP_OK);
    assert_null(gp_day_block_sum(day, 0));
    gp_day_close(day);
    assert_int_equal(gp_db_iface_totals(b.db, "eth0", first_day, first_day + 300, &t, NULL), GP_OK);
    assert_int_equal(t.c.bytes_rcvd, 6);
    gp_tempdir_remove(a.db);
    gp_tempdir_remove(b.db);
}

static gp_code one_live_flow(void *ctx, const char *iface, const gp_live_sink *sink, gp_error *err)
{
    (void)ctx;
    (void)err;
    gp_flow f = {.dport = 4242, .proto = 6, .c = {.bytes_rcvd = 77, .pkts_rcvd = 1}};
    f.sip = f.dip = gp_addr_from_bytes((const uint8_t[]){1, 2, 3, 4}, 4);
    if (strcmp(iface, "eth9") == 0 && sink->block(sink->ctx, time(NULL)))
        sink->flow(sink->ctx, &f);
    return GP_OK;
}

static gp_code live_ifaces(void *ctx, char ***out, size_t *n, gp_error *err)
{
    (void)ctx;
    (void)err;
    *out = calloc(2, sizeof **out);
    (*out)[0] = strdup("eth1");
    (*out)[1] = strdup("eth9");
    *n = 2;
    return GP_OK;
}

static void live_flows_are_part_of_the_answer(void **state)
{
    const fixture *fx = *state;
    gp_engine *e = NULL;
    gp_stmt stmt;
    gp_result r;
    const gp_engine_config cfg = {.db = fx->db, .live = {.flows = one_live_flow, .ifaces = live_ifaces}};
    assert_int_equal(gp_engine_new(&e, &cfg, NULL), GP_OK);
    prepare(&(query){.type = "sip,dport", .cond = "dport = 4242", .live = true}, &stmt);
    assert_int_equal(gp_engine_run(e, &stmt, NULL, &r, NULL), GP_OK);
    assert_int_equal(r.n_rows, 1);
    assert_string_equal(r.rows[0].iface, "eth9");
    assert_int_equal(r.rows[0].c.bytes_rcvd, 77);
    gp_result_free(&r);
    gp_stmt_free(&stmt);
    gp_engine_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(queries_equal_the_oracle, setup, teardown),
        cmocka_unit_test_setup_teardown(all_orders_equal_the_oracle, setup, teardown),
        cmocka_unit_test_setup_teardown(limits_cut_exactly, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(summary_states_what_was_covered, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_and_missing_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_interface_is_an_error, setup, teardown),
        cmocka_unit_test(an_empty_database_has_no_data),
        cmocka_unit_test_setup_teardown(a_query_can_be_canceled, setup, teardown),
        cmocka_unit_test_setup_teardown(a_running_query_stops_soon, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_costs_only_the_damaged_blocks, setup, teardown),
        cmocka_unit_test_setup_teardown(sums_of_blocks_replace_columns, setup, teardown),
        cmocka_unit_test_setup_teardown(blocks_without_record_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_records_do_not_count, setup, teardown),
        cmocka_unit_test(records_that_contradict_the_day_do_not_count),
        cmocka_unit_test_setup_teardown(live_flows_are_part_of_the_answer, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
