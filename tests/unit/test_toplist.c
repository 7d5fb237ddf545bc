/* Queries by port and protocol with lists of the heaviest ports are compared with the same queries without:
 * rows, order, hits, totals and coverage, over random databases whose lists are short, so that the threshold
 * matters. */
#include "sensor/godb/daypath.h"
#include "sensor/godb/engine.h"
#include "sensor/godb/topports.h"
#include "sensor/godb/writer.h"
#include "tests/support/files.h"
#include "tests/support/questions.h"
#include "tests/support/tempdir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST_DAYS = 6, MOST_IFACES = 2, MOST_FLOWS = 120, STEP = 300, DAY = 86400, MOST_FILE = 1 << 16 };
static const int64_t first_day = 1699920000; /* 2023-11-14 */
static const char *const iface_names[MOST_IFACES] = {"eth0", "eth1"};

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static uint64_t below(uint64_t *rng, uint64_t n)
{
    return next_random(rng) % n;
}

/* ---- a random database --------------------------------------------------------------------------------- */

typedef struct shape {
    uint64_t rng;
    unsigned groups;  /* ports and protocols that there are */
    unsigned traffic; /* bits of a counter */
    unsigned ifaces, days;
} shape;

/* Flows without any traffic, in one direction only, and many that are equal are among them. */
static uint64_t counter(shape *s, unsigned weight)
{
    const uint64_t kind = below(&s->rng, 8);
    if (kind == 0)
        return 0;
    if (kind < 4)
        return weight;
    return (next_random(&s->rng) << 33 | next_random(&s->rng) << 2) >> (64 - 1 - below(&s->rng, s->traffic));
}

static gp_flow make_flow(shape *s, unsigned i)
{
    unsigned group = (unsigned)below(&s->rng, s->groups);
    if (below(&s->rng, 2))
        group = (unsigned)below(&s->rng, 1 + s->groups / 8); /* some are frequent */
    gp_flow f = {.sip.len = 4, .dip.len = 4};
    f.sip.bytes[0] = 10;
    f.sip.bytes[3] = (uint8_t)i;
    f.dip.bytes[0] = 192;
    f.proto = (uint8_t)(group % 3 ? 6 : 11 * (group % 2));
    f.dport = (uint16_t)(group / 2 * 2047);
    f.c = (gp_counters){counter(s, 1000 / (group + 1)), counter(s, 100), counter(s, 10), counter(s, 3)};
    if (below(&s->rng, 10) == 0)
        f.c = (gp_counters){0};
    return f;
}

static void write_block(shape *s, const char *db, const char *iface, int64_t ts)
{
    gp_flow flows[MOST_FLOWS];
    gp_writer *w = NULL;
    const gp_writer_config cfg = {.db = db, .iface = iface, .codec = GP_CODEC_LZ4, .no_sync = true};
    const unsigned n = (unsigned)below(&s->rng, MOST_FLOWS);
    for (unsigned i = 0; i < n; i++)
        flows[i] = make_flow(s, i);
    assert_int_equal(gp_writer_new(&w, &cfg, NULL), GP_OK);
    assert_int_equal(gp_writer_write(w, ts, flows, n, 0, NULL, NULL), GP_OK);
    gp_writer_free(w);
}

static void list_path(const char *db, const char *iface, int64_t day, char dst[static 600])
{
    gp_day *d = NULL;
    assert_int_equal(gp_day_open(&d, db, iface, day, NULL), GP_OK);
    snprintf(dst, 600, "%s/" GP_TOPPORTS_FILE, gp_day_path(d));
    gp_day_close(d);
}

/* The list of a day, of which the heaviest `worth` groups are named; false: it can have none. */
static bool make_list(const char *db, const char *iface, int64_t day, unsigned worth)
{
    gp_day *d = NULL;
    gp_codec *codec = NULL;
    gp_portsums *sums = NULL;
    gp_buf file = GP_BUF_INIT;
    char path[600];
    assert_int_equal(gp_codec_new(&codec, NULL), GP_OK);
    assert_int_equal(gp_day_open(&d, db, iface, day, NULL), GP_OK);
    bool made = gp_portsums_of_day(d, codec, &sums, NULL) == GP_OK &&
                gp_topports_encode(sums, worth, gp_day_meta(d), codec, &file, NULL) == GP_OK;
    gp_day_close(d);
    if (made) {
        list_path(db, iface, day, path);
        gp_test_write(path, (const uint8_t *)file.data, file.len);
    }
    gp_portsums_free(sums);
    gp_codec_free(codec);
    gp_buf_free(&file);
    return made;
}

static unsigned make_db(shape *s, const char *db)
{
    unsigned made = 0;
    for (unsigned i = 0; i < s->ifaces; i++)
        for (unsigned day = 0; day < s->days; day++) {
            const int64_t start = first_day + (int64_t)day * DAY;
            const unsigned blocks = 1 + (unsigned)below(&s->rng, 3);
            for (unsigned b = 0; b < blocks; b++)
                write_block(s, db, iface_names[i], start + (int64_t)b * STEP);
            if (below(&s->rng, 5) == 0)
                continue;
            made += make_list(db, iface_names[i], start, 1 + (unsigned)below(&s->rng, s->groups / 2));
            if (below(&s->rng, 8) == 0) /* it is stale then */
                write_block(s, db, iface_names[i], start + (int64_t)blocks * STEP);
        }
    return made;
}

static void remove_lists(const shape *s, const char *db)
{
    for (unsigned i = 0; i < s->ifaces; i++)
        for (unsigned day = 0; day < s->days; day++) {
            char path[600];
            list_path(db, iface_names[i], first_day + (int64_t)day * DAY, path);
            (void)unlink(path);
        }
}

/* ---- queries ------------------------------------------------------------------------------------------- */

typedef struct query {
    const char *type, *ifaces, *sort_by;
    int64_t first, last;
    uint64_t limit;
    bool ascending, in, out, live;
} query;

static void prepare(const query *q, gp_stmt *stmt)
{
    gp_args a;
    char time_text[32];
    gp_args_init(&a);
    gp_args_set(&a.query, q->type, NULL);
    gp_args_set(&a.ifaces, q->ifaces, NULL);
    snprintf(time_text, sizeof time_text, "%lld", (long long)q->first);
    gp_args_set(&a.first, time_text, NULL);
    snprintf(time_text, sizeof time_text, "%lld", (long long)q->last);
    gp_args_set(&a.last, q->live ? NULL : time_text, NULL);
    gp_args_set(&a.sort_by, q->sort_by, NULL);
    gp_args_set(&a.format, "json", NULL);
    a.num_results = q->limit;
    a.sort_ascending = q->ascending;
    a.in = q->in;
    a.out = q->out;
    a.live = q->live;
    gp_test_prepare(&a, stmt);
}

static void put_counters(gp_buf *out, const gp_counters *c)
{
    gp_buf_printf(out, " %llu %llu %llu %llu\n", (unsigned long long)c->bytes_rcvd,
                  (unsigned long long)c->bytes_sent, (unsigned long long)c->pkts_rcvd,
                  (unsigned long long)c->pkts_sent);
}

/* The day an answer ends on; 0 without traffic, -1 where it ends now, on whatever day that is. */
static long long last_day_of(const gp_result *r)
{
    if (r->last.sec < 1 << 30)
        return 0;
    return r->last.sec > first_day + 2 * MOST_DAYS * DAY ? -1 : (long long)r->last.sec / DAY;
}

/* Everything but how it was found. */
static void put_answer(gp_buf *out, const gp_result *r)
{
    gp_buf_printf(out, "hits %llu blocks %llu days %llu/%llu %lld to %lld", (unsigned long long)r->hits_total,
                  (unsigned long long)r->stats.blocks_processed,
                  (unsigned long long)r->stats.directories_processed, (unsigned long long)r->stats.workloads,
                  (long long)r->first.sec, last_day_of(r));
    put_counters(out, &r->totals);
    for (size_t i = 0; i < r->n_rows; i++) {
        const gp_row *row = &r->rows[i];
        gp_buf_printf(out, "%s %u %u", row->iface ? row->iface : "", row->dport, row->proto);
        put_counters(out, &row->c);
    }
}

/* Adds the answer to *out; bytes that were loaded for it. */
static uint64_t ask(gp_engine *e, const query *q, gp_buf *out)
{
    gp_stmt stmt;
    gp_result r;
    gp_error err = GP_ERROR_INIT;
    prepare(q, &stmt);
    if (gp_engine_run(e, &stmt, NULL, &r, &err) != GP_OK)
        fail_msg("%s: %s", q->type, err.msg);
    assert_int_equal(r.stats.blocks_corrupted, 0);
    put_answer(out, &r);
    const uint64_t loaded = r.stats.bytes_loaded;
    gp_result_free(&r);
    gp_stmt_free(&stmt);
    return loaded;
}

/* The flows of the running interval: of one group that every day has, and of one that none has. */
static gp_code live_flows(void *ctx, const char *iface, const gp_live_sink *sink, gp_error *err)
{
    (void)ctx;
    (void)iface;
    (void)err;
    gp_flow f = {.sip.len = 4, .dip.len = 4, .proto = 6, .dport = 2047, .c = {500, 70, 3, 4}};
    assert_true(sink->block(sink->ctx, time(NULL)));
    sink->flow(sink->ctx, &f);
    f.dport = 9;
    f.c = (gp_counters){0};
    sink->flow(sink->ctx, &f);
    return GP_OK;
}

enum { N_TYPES = 4, N_LIMITS = 8, N_RANGES = 3, N_QUERIES = N_TYPES * N_LIMITS * N_RANGES * 3 * 4 * 2 };

static query query_of(size_t i, const shape *s)
{
    static const char *const types[N_TYPES] = {"dport,proto", "dport", "proto", "dport,iface"};
    static const uint64_t limits[N_LIMITS] = {1, 2, 3, 5, 8, 20, 40, 2000};
    static const char *const sorts[] = {"bytes", "packets", "time"};
    query q = {.type = types[i % N_TYPES], .ifaces = s->ifaces > 1 && i % 5 ? "any" : "eth0"};
    i /= N_TYPES;
    q.limit = limits[i % N_LIMITS];
    i /= N_LIMITS;
    q.first = first_day + (i % N_RANGES == 1 ? DAY + 10 : 0);
    q.last = first_day + (i % N_RANGES == 2 ? 3 * DAY + 10 : MOST_DAYS * DAY);
    q.live = i % N_RANGES == 0 && i % 2;
    i /= N_RANGES;
    q.sort_by = sorts[i % 3];
    i /= 3;
    q.in = i % 4 & 1;
    q.out = i % 4 >> 1 & 1;
    i /= 4;
    q.ascending = i % 2;
    return q;
}

/* Every so many of the queries, others for every database. */
enum { QUERY_STEP = 19, SOME_QUERIES = N_QUERIES / QUERY_STEP };

static query some_query(size_t i, const shape *s)
{
    return query_of(i * QUERY_STEP + s->rng % QUERY_STEP, s);
}

static void ask_some(const shape *s, const char *db, gp_buf *answers, uint64_t *loaded)
{
    gp_engine *e = NULL;
    const gp_engine_config cfg = {.db = db, .threads = 1 + s->days % 3, .live = {.flows = live_flows}};
    assert_int_equal(gp_engine_new(&e, &cfg, NULL), GP_OK);
    for (size_t i = 0; i < SOME_QUERIES; i++) {
        const query q = some_query(i, s);
        loaded[i] = ask(e, &q, &answers[i]);
    }
    gp_engine_free(e);
}

/* How many queries were answered with less than is read without lists. */
static size_t compare_db(shape *s)
{
    static gp_buf with[SOME_QUERIES];
    static gp_buf without[SOME_QUERIES];
    static uint64_t loaded[2][SOME_QUERIES];
    char db[GP_TEMPDIR_LEN];
    const uint64_t seed = s->rng;
    size_t used = 0;
    gp_tempdir_make(db);
    const unsigned made = make_db(s, db);
    ask_some(s, db, with, loaded[0]);
    remove_lists(s, db);
    ask_some(s, db, without, loaded[1]);
    for (size_t i = 0; i < SOME_QUERIES; i++) {
        const query q = some_query(i, s);
        if (strcmp(with[i].data, without[i].data) != 0)
            fail_msg("seed %llu, %u lists: %s, first %llu by %s, %s%s%s:\n%s\nand without lists:\n%s",
                     (unsigned long long)seed, made, q.type, (unsigned long long)q.limit, q.sort_by,
                     q.in ? "in" : "", q.out ? "out" : "", q.ascending ? " ascending" : "", with[i].data,
                     without[i].data);
        used += loaded[0][i] < loaded[1][i];
        gp_buf_free(&with[i]);
        gp_buf_free(&without[i]);
    }
    gp_tempdir_remove(db);
    return used;
}

static void answers_are_those_of_scans(void **state)
{
    (void)state;
    enum { N_DBS = 16 };
    size_t used = 0;
    for (unsigned i = 0; i < N_DBS; i++) {
        shape s = {.rng = i,
                   .groups = 4 + 9 * (i % 5),
                   .traffic = i % 4 == 3 ? 63 : 24,
                   .ifaces = 1 + i % 2,
                   .days = 1 + i % MOST_DAYS};
        used += compare_db(&s);
    }
    assert_in_range(used, N_DBS * SOME_QUERIES / 8, N_DBS * SOME_QUERIES * 7 / 8);
}

/* ---- without columns ----------------------------------------------------------------------------------- */

static void remove_columns(const char *db, int64_t day)
{
    gp_day *d = NULL;
    char path[600];
    assert_int_equal(gp_day_open(&d, db, "eth0", day, NULL), GP_OK);
    for (unsigned col = 0; col < GP_COL_COUNT; col++) {
        char name[GP_COLUMN_FILE_MAX];
        gp_column_file((gp_column)col, name);
        snprintf(path, sizeof path, "%s/%s", gp_day_path(d), name);
        assert_int_equal(unlink(path), 0);
    }
    gp_day_close(d);
}

/* Lists that leave nothing open answer without a column, whatever is asked. A damaged list does not count. */
static void nothing_else_is_read(void **state)
{
    (void)state;
    enum { ALL = 1000 };
    static const char *const types[] = {"dport,proto", "dport", "proto"};
    shape s = {.rng = 5, .groups = 30, .traffic = 24, .ifaces = 1, .days = 1};
    char db[GP_TEMPDIR_LEN];
    char path[600];
    static uint8_t list[MOST_FILE];
    gp_engine *e = NULL;
    gp_buf scanned = GP_BUF_INIT;
    gp_buf listed = GP_BUF_INIT;
    gp_tempdir_make(db);
    write_block(&s, db, "eth0", first_day);
    assert_int_equal(gp_engine_new(&e, &(gp_engine_config){.db = db, .threads = 1}, NULL), GP_OK);
    query q = {.ifaces = "eth0", .first = first_day, .last = first_day + DAY, .limit = ALL};
    for (size_t i = 0; i < 3; i++) {
        q.type = types[i];
        (void)ask(e, &q, &scanned);
    }
    assert_true(make_list(db, "eth0", first_day, ALL));
    remove_columns(db, first_day);
    for (size_t i = 0; i < 3; i++) {
        q.type = types[i];
        assert_true(ask(e, &q, &listed) < MOST_FILE);
    }
    assert_string_equal(scanned.data, listed.data);
    list_path(db, "eth0", first_day, path);
    const size_t len = gp_test_read(path, list, sizeof list);
    list[len / 2] ^= 1;
    gp_test_write(path, list, len);
    gp_stmt stmt;
    gp_result r;
    prepare(&q, &stmt);
    assert_int_equal(gp_engine_run(e, &stmt, NULL, &r, NULL), GP_OK);
    assert_int_equal(r.stats.blocks_corrupted, 1);
    gp_result_free(&r);
    gp_stmt_free(&stmt);
    gp_engine_free(e);
    gp_buf_free(&scanned);
    gp_buf_free(&listed);
    gp_tempdir_remove(db);
}

/* Of two equal groups the list has the one that the answer does not. */
static void ties_are_scanned(void **state)
{
    (void)state;
    gp_flow flows[2] = {{.sip.len = 4, .dip.len = 4, .proto = 6, .dport = 100, .c = {70, 3, 2, 1}},
                        {.sip.len = 4, .dip.len = 4, .proto = 17, .dport = 50, .c = {70, 3, 2, 1}}};
    char db[GP_TEMPDIR_LEN];
    gp_engine *e = NULL;
    gp_writer *w = NULL;
    gp_buf scanned = GP_BUF_INIT;
    gp_buf listed = GP_BUF_INIT;
    const query q = {
        .type = "dport,proto", .ifaces = "eth0", .first = first_day, .last = first_day + DAY, .limit = 1};
    gp_tempdir_make(db);
    const gp_writer_config cfg = {.db = db, .iface = "eth0", .codec = GP_CODEC_LZ4, .no_sync = true};
    assert_int_equal(gp_writer_new(&w, &cfg, NULL), GP_OK);
    assert_int_equal(gp_writer_write(w, first_day, flows, 2, 0, NULL, NULL), GP_OK);
    gp_writer_free(w);
    assert_int_equal(gp_engine_new(&e, &(gp_engine_config){.db = db, .threads = 1}, NULL), GP_OK);
    (void)ask(e, &q, &scanned);
    assert_non_null(strstr(scanned.data, "eth0 50 17 "));
    assert_true(make_list(db, "eth0", first_day, 1));
    (void)ask(e, &q, &listed);
    assert_string_equal(scanned.data, listed.data);
    gp_engine_free(e);
    gp_buf_free(&scanned);
    gp_buf_free(&listed);
    gp_tempdir_remove(db);
}

/* ---- the file ------------------------------------------------------------------------------------------ */

static void no_changed_list_counts(void **state)
{
    (void)state;
    shape s = {.rng = 9, .groups = 40, .traffic = 24, .ifaces = 1, .days = 1};
    static uint8_t list[MOST_FILE];
    char db[GP_TEMPDIR_LEN];
    char path[600];
    gp_day *d = NULL;
    gp_codec *codec = NULL;
    gp_topports *t = NULL;
    gp_tempdir_make(db);
    write_block(&s, db, "eth0", first_day);
    assert_true(make_list(db, "eth0", first_day, 5));
    list_path(db, "eth0", first_day, path);
    const size_t len = gp_test_read(path, list, sizeof list);
    assert_int_equal(gp_codec_new(&codec, NULL), GP_OK);
    assert_int_equal(gp_day_open(&d, db, "eth0", first_day, NULL), GP_OK);
    assert_int_equal(gp_topports_worth(gp_day_meta(d)), 0);
    assert_int_equal(gp_topports_decode(list, len, gp_day_meta(d), codec, &t, NULL), GP_OK);
    assert_in_range(gp_topports_n_protos(t), 1, 3);
    gp_topports_free(t);
    for (size_t at = 0; at < len; at++) {
        list[at] ^= 4;
        assert_int_equal(gp_topports_decode(list, len, gp_day_meta(d), codec, &t, NULL), GP_ECORRUPT);
        list[at] ^= 4;
        assert_int_equal(gp_topports_decode(list, at, gp_day_meta(d), codec, &t, NULL), GP_ECORRUPT);
    }
    gp_day_close(d);
    write_block(&s, db, "eth0", first_day + STEP);
    assert_int_equal(gp_day_open(&d, db, "eth0", first_day, NULL), GP_OK);
    assert_int_equal(gp_topports_decode(list, len, gp_day_meta(d), codec, &t, NULL), GP_ECORRUPT);
    gp_day_close(d);
    gp_codec_free(codec);
    gp_tempdir_remove(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_those_of_scans),
        cmocka_unit_test(nothing_else_is_read),
        cmocka_unit_test(ties_are_scanned),
        cmocka_unit_test(no_changed_list_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
