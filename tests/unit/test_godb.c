/* The storage of goDB: encodings, metadata, sorting, writing, reading back. Faults: test_faults.c. */
#include "proto/query/timeparse.h"
#include "sensor/godb/bitpack.h"
#include "sensor/godb/daypath.h"
#include "sensor/godb/flowsort.h"
#include "sensor/godb/reader.h"
#include "sensor/godb/writer.h"
#include "tests/support/tempdir.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 11;
}

/* ---- encodings ----------------------------------------------------------------------------------------- */

static void counters_round_trip(void **state)
{
    (void)state;
    for (unsigned width = 1; width <= 8; width++) {
        uint64_t max = width == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * width)) - 1;
        for (size_t n = 0; n < 20; n++) {
            uint64_t in[20];
            uint64_t out[20];
            for (size_t i = 0; i < n; i++)
                in[i] = max - i;
            size_t size = gp_bitpack_size(n, max);
            uint8_t *packed = malloc(size + GP_PACKED_SLACK);
            assert_non_null(packed);
            assert_int_equal(gp_bitpack(in, sizeof *in, n, max, packed), size);
            assert_int_equal(packed[0], width);
            assert_int_equal(gp_bitpack_count(packed, size), n);
            gp_bitunpack(packed, size, out);
            assert_memory_equal(in, out, n * sizeof *in);
            free(packed);
        }
    }
    assert_int_equal(gp_bitpack_count(NULL, 0), -1);
    assert_int_equal(gp_bitpack_count((const uint8_t *)"\0\1", 2), -1);
    assert_int_equal(gp_bitpack_count((const uint8_t *)"\2\1", 2), -1);
    assert_int_equal(gp_bitpack_count((const uint8_t *)"\11", 1), -1);
}

static void day_names_round_trip(void **state)
{
    (void)state;
    /* A folder of the reference database and what its .blockmeta states. */
    gp_day_summary sum;
    int64_t day;
    bool has_sum;
    char name[GP_DAYNAME_MAX];
    assert_int_equal(
        gp_dayname_parse("1456444800_oX-1-aVB1-8PILs4-AK9rM2-0Gt8-05he", &day, &sum, &has_sum, NULL), GP_OK);
    assert_true(has_sum);
    assert_int_equal(day, 1456444800);
    assert_int_equal(sum.n_v6, 1);
    gp_dayname_format(day, &sum, name);
    assert_string_equal(name, "1456444800_oX-1-aVB1-8PILs4-AK9rM2-0Gt8-05he");
    sum = (gp_day_summary){
        UINT64_MAX, UINT64_MAX, UINT64_MAX, {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    gp_dayname_format(INT64_MAX, &sum, name);
    gp_day_summary back;
    assert_int_equal(gp_dayname_parse(name, &day, &back, &has_sum, NULL), GP_OK);
    assert_memory_equal(&sum, &back, sizeof sum);
    assert_int_equal(gp_dayname_parse("1456444800", &day, &sum, &has_sum, NULL), GP_OK);
    assert_false(has_sum);
    assert_int_equal(gp_dayname_parse("1456444800_1-2-3", &day, &sum, &has_sum, NULL), GP_OK);
    assert_false(has_sum);
    assert_int_equal(gp_dayname_parse("145x", &day, &sum, &has_sum, NULL), GP_EINVAL);
    assert_int_equal(gp_dayname_parse("", &day, &sum, &has_sum, NULL), GP_EINVAL);
}

static void codecs_round_trip(void **state)
{
    (void)state;
    static const gp_codec_type types[] = {GP_CODEC_NULL, GP_CODEC_LZ4, GP_CODEC_ZSTD};
    gp_codec *c = NULL;
    uint8_t raw[5000];
    uint8_t back[5000];
    for (size_t i = 0; i < sizeof raw; i++)
        raw[i] = (uint8_t)(i / 7);
    assert_int_equal(gp_codec_new(&c, NULL), GP_OK);
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        size_t cap = gp_codec_bound(types[t], sizeof raw);
        uint8_t *packed = malloc(cap);
        size_t len = 0;
        assert_non_null(packed);
        assert_int_equal(gp_codec_compress(c, types[t], 0, raw, sizeof raw, packed, cap, &len, NULL), GP_OK);
        assert_int_equal(gp_codec_decompress(c, types[t], packed, len, back, sizeof back, NULL), GP_OK);
        assert_memory_equal(raw, back, sizeof raw);
        assert_int_equal(gp_codec_decompress(c, types[t], packed, len, back, sizeof back - 1, NULL),
                         GP_ECORRUPT);
        assert_int_equal(gp_codec_decompress(c, types[t], packed, len / 2, back, sizeof back, NULL),
                         GP_ECORRUPT);
        free(packed);
    }
    assert_int_equal(gp_codec_decompress(c, GP_CODEC_LZ4_OLD, raw, 5, back, 5, NULL), GP_EUNSUPPORTED);
    gp_codec_free(c);
}

/* Field by field: what is between them is anything. */
static void assert_same_block(const gp_block_info *a, const gp_block_info *b)
{
    assert_int_equal(a->ts, b->ts);
    assert_int_equal(a->n_v4, b->n_v4);
    assert_int_equal(a->n_v6, b->n_v6);
    assert_int_equal(a->drops, b->drops);
    for (unsigned col = 0; col < GP_COL_COUNT; col++) {
        assert_int_equal(a->col[col].offset, b->col[col].offset);
        assert_int_equal(a->col[col].len, b->col[col].len);
        assert_int_equal(a->col[col].raw_len, b->col[col].raw_len);
        assert_int_equal(a->col[col].codec, b->col[col].codec);
    }
}

static void metadata_refuses_what_contradicts_itself(void **state)
{
    (void)state;
    gp_blockmeta m;
    gp_blockmeta back;
    gp_buf bytes = GP_BUF_INIT;
    gp_error err = GP_ERROR_INIT;
    gp_blockmeta_init(&m);
    for (int i = 0; i < 3; i++) {
        gp_block_info b = {.ts = 1000 + 300 * i, .n_v4 = 7, .n_v6 = 2, .drops = 1};
        b.col[GP_COL_SIP] = (gp_block_loc){(uint64_t)(10 * i), 10, 60, GP_CODEC_LZ4};
        assert_int_equal(gp_blockmeta_append(&m, &b, NULL), GP_OK);
    }
    assert_int_equal(gp_blockmeta_encode(&m, &bytes, NULL), GP_OK);
    const uint8_t *data = (const uint8_t *)bytes.data;
    assert_int_equal(gp_blockmeta_decode(data, bytes.len, &back, NULL), GP_OK);
    assert_int_equal(back.n_blocks, 3);
    for (int i = 0; i < 3; i++)
        assert_same_block(&back.blocks[i], &m.blocks[i]);
    gp_blockmeta_free(&back);
    for (size_t len = 0; len < bytes.len; len++) {
        assert_int_equal(gp_blockmeta_decode(data, len, &back, &err), GP_ECORRUPT);
        gp_blockmeta_free(&back);
    }
    m.blocks[1].ts = 10;
    gp_buf_clear(&bytes);
    assert_int_equal(gp_blockmeta_encode(&m, &bytes, &err), GP_ELIMIT);
    gp_buf_free(&bytes);
    gp_blockmeta_free(&m);
}

static void times_beyond_the_calendar_are_damage(void **state)
{
    (void)state;
    const struct {
        int64_t ts;
        gp_code encoded, decoded;
    } cases[] = {{0, GP_OK, GP_OK},
                 {GP_BLOCK_TS_MAX, GP_OK, GP_OK},
                 {GP_BLOCK_TS_MAX + 1, GP_ELIMIT, GP_ECORRUPT},
                 {-1, GP_ELIMIT, GP_ECORRUPT},
                 {INT64_MIN, GP_ELIMIT, GP_ECORRUPT},
                 {INT64_MAX, GP_ELIMIT, GP_ECORRUPT}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gp_blockmeta m, back;
        gp_buf bytes = GP_BUF_INIT;
        gp_blockmeta_init(&m);
        gp_block_info b = {.n_v4 = 1};
        assert_int_equal(gp_blockmeta_append(&m, &b, NULL), GP_OK);
        assert_int_equal(gp_blockmeta_encode(&m, &bytes, NULL), GP_OK);
        uint8_t *first = (uint8_t *)bytes.data + bytes.len - 16 - 8;
        for (unsigned byte = 0; byte < 8; byte++)
            first[byte] = (uint8_t)((uint64_t)cases[i].ts >> (56 - 8 * byte));
        assert_int_equal(gp_blockmeta_decode((const uint8_t *)bytes.data, bytes.len, &back, NULL),
                         cases[i].decoded);
        gp_blockmeta_free(&back);
        m.blocks[0].ts = cases[i].ts;
        gp_buf_clear(&bytes);
        assert_int_equal(gp_blockmeta_encode(&m, &bytes, NULL), cases[i].encoded);
        gp_buf_free(&bytes);
        gp_blockmeta_free(&m);
    }
}

/* ---- databases ----------------------------------------------------------------------------------------- */

static gp_counters read_counters(gp_day *day, gp_codec *codec, size_t block)
{
    const gp_block_info *info = &gp_day_meta(day)->blocks[block];
    uint64_t sum[GP_COL_COUNT] = {0};
    gp_error err = GP_ERROR_INIT;
    gp_buf raw = GP_BUF_INIT;
    for (unsigned col = 0; col < GP_COL_COUNT; col++) {
        if (gp_day_read_column(day, codec, block, (gp_column)col, &raw, &err) != GP_OK)
            fail_msg("%s", err.msg);
        if (gp_block_check_column(info, (gp_column)col, (const uint8_t *)raw.data, raw.len, &err) != GP_OK)
            fail_msg("%s", err.msg);
        if (col < GP_COL_ATTR_COUNT)
            continue;
        size_t n = (size_t)(info->n_v4 + info->n_v6);
        uint64_t *values = calloc(n + 1, sizeof *values);
        assert_non_null(values);
        gp_bitunpack((const uint8_t *)raw.data, raw.len, values);
        for (size_t i = 0; i < n; i++)
            sum[col] += values[i];
        free(values);
    }
    gp_buf_free(&raw);
    return (gp_counters){sum[GP_COL_BYTES_RCVD], sum[GP_COL_BYTES_SENT], sum[GP_COL_PKTS_RCVD],
                         sum[GP_COL_PKTS_SENT]};
}

/* Sums a day block by block; .blockmeta and the folder's name must state the same. */
static void check_day(const char *db, const char *iface, const gp_day_ref *ref)
{
    gp_day *day = NULL;
    gp_codec *codec = NULL;
    gp_error err = GP_ERROR_INIT;
    if (gp_day_open(&day, db, iface, ref->day, &err) != GP_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(gp_codec_new(&codec, NULL), GP_OK);
    const gp_blockmeta *m = gp_day_meta(day);
    gp_day_summary sum = {0};
    for (size_t i = 0; i < m->n_blocks; i++) {
        gp_counters c = read_counters(day, codec, i);
        gp_counters_add(&sum.c, &c);
        sum.n_v4 += m->blocks[i].n_v4;
        sum.n_v6 += m->blocks[i].n_v6;
        sum.drops += m->blocks[i].drops;
    }
    assert_memory_equal(&sum, &m->sum, sizeof sum);
    if (ref->has_sum)
        assert_memory_equal(&sum, &ref->sum, sizeof sum);
    gp_codec_free(codec);
    gp_day_close(day);
}

static size_t check_database(const char *db, size_t *n_ifaces)
{
    char **ifaces = NULL;
    size_t days_seen = 0;
    assert_int_equal(gp_db_list_ifaces(db, &ifaces, n_ifaces, NULL), GP_OK);
    for (size_t i = 0; i < *n_ifaces; i++) {
        gp_day_ref *days = NULL;
        size_t n = 0;
        assert_int_equal(gp_db_list_days(db, ifaces[i], 0, GP_TIME_MAX, &days, &n, NULL), GP_OK);
        for (size_t d = 0; d < n; d++)
            check_day(db, ifaces[i], &days[d]);
        days_seen += n;
        free(days);
    }
    gp_strlist_free(ifaces, *n_ifaces);
    return days_seen;
}

static void reference_database_reads_back(void **state)
{
    (void)state;
    const char *db = GP_SOURCE_DIR "/../shared/reference/testdb";
    size_t n_ifaces = 0;
    if (access(db, R_OK) != 0) {
        print_message("no reference database beside the source: skipped\n");
        skip();
    }
    assert_int_equal(check_database(db, &n_ifaces), 14);
    assert_int_equal(n_ifaces, 7);
}

static void make_flows(gp_flow *flows, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++) {
        bool v6 = i % 3 == 2;
        flows[i] = (gp_flow){.sip.len = v6 ? 16 : 4, .dip.len = v6 ? 16 : 4};
        for (size_t b = 0; b < flows[i].sip.len; b++) {
            flows[i].sip.bytes[b] = (uint8_t)next_random(&seed);
            flows[i].dip.bytes[b] = (uint8_t)next_random(&seed);
        }
        flows[i].dport = (uint16_t)i;
        flows[i].proto = 6;
        flows[i].c = (gp_counters){next_random(&seed), i, i * 2, 1};
    }
}

enum { DAY = 86400, N_FLOWS = 50 };
static const int64_t t0 = 1700000100; /* on the grid, 2023-11-14 */

static gp_code write_block(const char *db, gp_codec_type codec, int64_t ts)
{
    const gp_writer_config cfg = {.db = db, .iface = "eth0", .codec = codec};
    gp_flow flows[N_FLOWS];
    gp_writer *w = NULL;
    make_flows(flows, N_FLOWS, (uint64_t)ts);
    assert_int_equal(gp_writer_new(&w, &cfg, NULL), GP_OK);
    gp_code code = gp_writer_write(w, ts, flows, N_FLOWS, 3, NULL, NULL);
    gp_writer_free(w);
    return code;
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    static const gp_codec_type types[] = {GP_CODEC_NULL, GP_CODEC_LZ4, GP_CODEC_ZSTD};
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        char db[GP_TEMPDIR_LEN];
        size_t n_ifaces = 0;
        gp_tempdir_make(db);
        for (int64_t day = 0; day < 2; day++)
            for (int64_t b = 0; b < 4; b++)
                assert_int_equal(write_block(db, types[t], t0 + day * DAY + b * 300), GP_OK);
        assert_int_equal(write_block(db, types[t], t0), GP_EEXIST);
        assert_int_equal(check_database(db, &n_ifaces), 2);
        gp_tempdir_remove(db);
    }
}

static bool is_unfinished(const char *db, int64_t at)
{
    gp_day *day = NULL;
    assert_int_equal(gp_day_open(&day, db, "eth0", at, NULL), GP_OK);
    const bool unfinished = gp_day_unfinished(day) && gp_day_meta(day)->n_blocks == 0;
    gp_day_close(day);
    return unfinished;
}

/* A batch becomes visible as a whole; what was not flushed never happened. */
static void a_batch_becomes_visible_when_flushed(void **state)
{
    (void)state;
    char db[GP_TEMPDIR_LEN];
    size_t n_ifaces = 0;
    gp_writer *w = NULL;
    gp_day *day = NULL;
    gp_flow flows[N_FLOWS];
    gp_tempdir_make(db);
    const gp_writer_config cfg = {.db = db, .iface = "eth0", .codec = GP_CODEC_LZ4, .batch = true};
    assert_int_equal(gp_writer_new(&w, &cfg, NULL), GP_OK);
    make_flows(flows, N_FLOWS, 1);
    for (int64_t b = 0; b < 3; b++)
        assert_int_equal(gp_writer_write(w, t0 + b * 300, flows, N_FLOWS, 0, NULL, NULL), GP_OK);
    assert_int_equal(gp_writer_write(w, t0, flows, N_FLOWS, 0, NULL, NULL), GP_EEXIST);
    assert_true(is_unfinished(db, t0 - t0 % DAY));
    assert_int_equal(gp_writer_write(w, t0 + DAY, flows, N_FLOWS, 0, NULL, NULL), GP_OK); /* ends the day */
    assert_int_equal(gp_day_open(&day, db, "eth0", t0 - t0 % DAY, NULL), GP_OK);
    assert_int_equal(gp_day_meta(day)->n_blocks, 3);
    gp_day_close(day);
    assert_true(is_unfinished(db, t0 + DAY - t0 % DAY));
    assert_int_equal(gp_writer_flush(w, NULL), GP_OK);
    assert_int_equal(check_database(db, &n_ifaces), 2);
    gp_writer_free(w);
    gp_tempdir_remove(db);
}

static void write_next(gp_writer *w, int64_t block)
{
    gp_flow flows[N_FLOWS];
    make_flows(flows, N_FLOWS, (uint64_t)block);
    assert_int_equal(gp_writer_write(w, t0 + block * 300, flows, N_FLOWS, 0, NULL, NULL), GP_OK);
}

static void expect_blocks(const char *db, size_t n)
{
    size_t n_ifaces = 0;
    gp_day *day = NULL;
    assert_int_equal(check_database(db, &n_ifaces), 1);
    assert_int_equal(gp_day_open(&day, db, "eth0", t0 - t0 % DAY, NULL), GP_OK);
    assert_int_equal(gp_day_meta(day)->n_blocks, n);
    for (size_t i = 0; i < n; i++)
        assert_non_null(gp_day_block_sum(day, i));
    gp_day_close(day);
}

/* What a writer remembers of its day does not count once somebody else was there. */
static void a_writer_notices_that_its_day_changed(void **state)
{
    (void)state;
    char db[GP_TEMPDIR_LEN];
    char month[GP_DB_PATH_MAX];
    char aside[GP_DB_PATH_MAX + 8];
    gp_writer *w = NULL;
    gp_tempdir_make(db);
    const gp_writer_config cfg = {.db = db, .iface = "eth0", .codec = GP_CODEC_LZ4};
    assert_int_equal(gp_writer_new(&w, &cfg, NULL), GP_OK);
    write_next(w, 0);
    write_next(w, 1);
    expect_blocks(db, 2);
    assert_int_equal(write_block(db, GP_CODEC_LZ4, t0 + 2 * 300), GP_OK);
    write_next(w, 3);
    expect_blocks(db, 4);
    assert_int_equal(gp_month_path(db, "eth0", t0 - t0 % DAY, month, NULL), GP_OK);
    snprintf(aside, sizeof aside, "%s.aside", month);
    assert_int_equal(rename(month, aside), 0); /* another day begins there */
    write_next(w, 4);
    write_next(w, 5);
    expect_blocks(db, 2);
    gp_tempdir_remove(month);
    assert_int_equal(rename(aside, month), 0); /* and the first one comes back */
    write_next(w, 6);
    expect_blocks(db, 5);
    gp_writer_free(w);
    gp_tempdir_remove(db);
}

static bool same_key(const gp_flow *a, const gp_flow *b)
{
    return gp_addr_cmp(&a->sip, &b->sip) == 0 && gp_addr_cmp(&a->dip, &b->dip) == 0 && a->dport == b->dport &&
           a->proto == b->proto;
}

static uint64_t service(const gp_flow *f)
{
    return (uint64_t)f->proto << 16 | f->dport;
}

/* Rows come out in the order of flowsort.h, and every flow that went in with its own counters. */
static void sorting_loses_nothing(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 3, 17, 256, 1000};
    gp_flowsort s = {0};
    gp_flow in[1000];
    gp_flow out[1000];
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        size_t n = sizes[k];
        make_flows(in, n, k);
        for (size_t i = 0; i < n; i++) {
            in[i].sip.bytes[in[i].sip.len - 1] &= 3; /* some sources share a prefix, some are the same */
            memset(in[i].sip.bytes, 10, in[i].sip.len - 1u);
        }
        memcpy(out, in, sizeof in);
        assert_int_equal(gp_flowsort_run(&s, out, n, NULL), GP_OK);
        for (size_t i = 0; i < n; i++) {
            size_t found = 0;
            while (found < n && !same_key(&in[i], &out[found]))
                found++;
            assert_true(found < n);
            assert_memory_equal(&in[i].c, &out[found].c, sizeof in[i].c);
        }
    }
    gp_flowsort_free(&s);
}

static uint64_t low_packets(const gp_flow *f)
{
    return (f->c.pkts_sent < 255 ? f->c.pkts_sent : 255) << 8 | (f->c.pkts_rcvd < 255 ? f->c.pkts_rcvd : 255);
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

static bool same_source(const gp_flow *a, const gp_flow *b)
{
    return gp_addr_cmp(&a->sip, &b->sip) == 0;
}

static bool same_service(const gp_flow *a, const gp_flow *b)
{
    return same_source(a, b) && service(a) == service(b);
}

/* Where rows that are the same so far end. */
static size_t run_end(const gp_flow *flows, size_t n, size_t first,
                      bool (*same)(const gp_flow *, const gp_flow *))
{
    size_t end = first + 1;
    while (end < n && same(&flows[first], &flows[end]))
        end++;
    return end;
}

/* Up or down, but not both. */
static void expect_one_way(const gp_flow *flows, size_t n, uint64_t (*value)(const gp_flow *))
{
    bool rises = false;
    bool falls = false;
    for (size_t i = 1; i < n; i++) {
        rises = rises || value(&flows[i - 1]) < value(&flows[i]);
        falls = falls || value(&flows[i - 1]) > value(&flows[i]);
    }
    assert_false(rises && falls);
}

/* The order that flowsort.h states, of flows of one family. */
static void expect_order(const gp_flow *flows, size_t n)
{
    for (size_t i = 0, end = 0; i < n; i = end) {
        end = run_end(flows, n, i, same_source);
        assert_true(end == n || gp_addr_cmp(&flows[i].sip, &flows[end].sip) < 0);
        expect_one_way(flows + i, end - i, service);
        if (i > 0)
            assert_true(distance(service(&flows[i - 1]), service(&flows[i])) <=
                        distance(service(&flows[i - 1]), service(&flows[end - 1])));
        for (size_t k = i, next = 0; k < end; k = next) {
            next = run_end(flows, end, k, same_service);
            expect_one_way(flows + k, next - k, low_packets);
        }
    }
}

static uint8_t draw(uint64_t *seed, unsigned n)
{
    return (uint8_t)((next_random(seed) >> 32) % n);
}

/* Flows that differ in few of their fields, so that every part of the order decides somewhere. */
static void flows_that_look_alike(gp_flow *flows, size_t n, uint64_t seed)
{
    make_flows(flows, n, seed);
    for (size_t i = 0; i < n; i++) {
        gp_flow *f = &flows[i];
        memset(f->sip.bytes, 0, f->sip.len);
        memset(f->dip.bytes + 1, 0, f->dip.len - 1u);
        f->sip.bytes[draw(&seed, f->sip.len)] = draw(&seed, 3);
        f->proto = draw(&seed, 2);
        f->dport = draw(&seed, 2);
        f->c.pkts_sent = UINT64_C(254) + draw(&seed, 3);
        f->c.pkts_rcvd = draw(&seed, 2);
    }
}

static void every_part_of_the_order_counts(void **state)
{
    (void)state;
    static const size_t sizes[] = {60, 200, 3000};
    static gp_flow flows[3000];
    gp_flowsort s = {0};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        flows_that_look_alike(flows, sizes[k], k);
        assert_int_equal(gp_flowsort_run(&s, flows, sizes[k], NULL), GP_OK);
        size_t n_v4 = 0;
        while (flows[n_v4].sip.len == 4)
            n_v4++;
        assert_int_equal(n_v4, (sizes[k] * 2 + 2) / 3);
        expect_order(flows, n_v4);
        expect_order(flows + n_v4, sizes[k] - n_v4);
    }
    gp_flowsort_free(&s);
}

static void flows_keep_their_values_and_are_sorted(void **state)
{
    (void)state;
    char db[GP_TEMPDIR_LEN];
    gp_day *day = NULL;
    gp_codec *codec = NULL;
    gp_buf sip = GP_BUF_INIT;
    gp_tempdir_make(db);
    assert_int_equal(write_block(db, GP_CODEC_LZ4, t0), GP_OK);
    assert_int_equal(gp_day_open(&day, db, "eth0", t0 - t0 % DAY, NULL), GP_OK);
    assert_int_equal(gp_codec_new(&codec, NULL), GP_OK);
    assert_int_equal(gp_day_read_column(day, codec, 0, GP_COL_SIP, &sip, NULL), GP_OK);
    size_t n_v4 = (size_t)gp_day_meta(day)->blocks[0].n_v4;
    assert_int_equal(n_v4, 34);
    assert_int_equal(sip.len, n_v4 * 4 + (N_FLOWS - n_v4) * 16);
    for (size_t i = 1; i < n_v4; i++)
        assert_true(memcmp(sip.data + 4 * (i - 1), sip.data + 4 * i, 4) <= 0);
    gp_buf_free(&sip);
    gp_codec_free(codec);
    gp_day_close(day);
    gp_tempdir_remove(db);
}

/* Cuts and flips every column file: an error, never a crash (the sanitizers watch). */
static void damaged_columns_are_reported(void **state)
{
    (void)state;
    char db[GP_TEMPDIR_LEN];
    gp_codec *codec = NULL;
    gp_tempdir_make(db);
    assert_int_equal(gp_codec_new(&codec, NULL), GP_OK);
    assert_int_equal(write_block(db, GP_CODEC_LZ4, t0), GP_OK);
    for (unsigned col = 0; col < GP_COL_COUNT; col++) {
        gp_day *day = NULL;
        gp_buf raw = GP_BUF_INIT;
        char path[512];
        assert_int_equal(gp_day_open(&day, db, "eth0", t0 - t0 % DAY, NULL), GP_OK);
        snprintf(path, sizeof path, "%s/%s.gpf", gp_day_path(day), gp_column_name((gp_column)col));
        assert_int_equal(truncate(path, 1), 0);
        gp_error err = GP_ERROR_INIT;
        assert_int_equal(gp_day_read_column(day, codec, 0, (gp_column)col, &raw, &err), GP_ECORRUPT);
        assert_int_equal(unlink(path), 0);
        gp_day_close(day);
        assert_int_equal(gp_day_open(&day, db, "eth0", t0 - t0 % DAY, NULL), GP_OK);
        assert_int_equal(gp_day_read_column(day, codec, 0, (gp_column)col, &raw, &err), GP_ENOTFOUND);
        assert_non_null(strstr(err.msg, gp_column_name((gp_column)col)));
        gp_day_close(day);
        gp_buf_free(&raw);
    }
    gp_codec_free(codec);
    gp_tempdir_remove(db);
}

static void a_day_is_found_after_its_rename(void **state)
{
    (void)state;
    char db[GP_TEMPDIR_LEN];
    gp_day *day = NULL;
    gp_codec *codec = NULL;
    gp_buf raw = GP_BUF_INIT;
    gp_tempdir_make(db);
    assert_int_equal(gp_codec_new(&codec, NULL), GP_OK);
    assert_int_equal(write_block(db, GP_CODEC_LZ4, t0), GP_OK);
    assert_int_equal(gp_day_open(&day, db, "eth0", t0 - t0 % DAY, NULL), GP_OK);
    assert_int_equal(write_block(db, GP_CODEC_LZ4, t0 + 300), GP_OK);
    assert_int_not_equal(access(gp_day_path(day), F_OK), 0); /* its summary changed */
    assert_int_equal(gp_day_read_column(day, codec, 0, GP_COL_DIP, &raw, NULL), GP_OK);
    gp_buf_free(&raw);
    gp_codec_free(codec);
    gp_day_close(day);
    gp_tempdir_remove(db);
}

static void names_cannot_leave_the_database(void **state)
{
    (void)state;
    static const char *const bad[] = {"", ".", "..", "../eth0", "a/b", ".hidden"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const gp_writer_config cfg = {.db = "/nonexistent", .iface = bad[i], .codec = GP_CODEC_LZ4};
        gp_writer *w = NULL;
        gp_day *day = NULL;
        assert_int_equal(gp_writer_new(&w, &cfg, NULL), GP_EINVAL);
        assert_int_equal(gp_day_open(&day, "/nonexistent", bad[i], 0, NULL), GP_EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_round_trip),
        cmocka_unit_test(day_names_round_trip),
        cmocka_unit_test(codecs_round_trip),
        cmocka_unit_test(metadata_refuses_what_contradicts_itself),
        cmocka_unit_test(times_beyond_the_calendar_are_damage),
        cmocka_unit_test(reference_database_reads_back),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(a_batch_becomes_visible_when_flushed),
        cmocka_unit_test(a_writer_notices_that_its_day_changed),
        cmocka_unit_test(sorting_loses_nothing),
        cmocka_unit_test(every_part_of_the_order_counts),
        cmocka_unit_test(flows_keep_their_values_and_are_sorted),
        cmocka_unit_test(damaged_columns_are_reported),
        cmocka_unit_test(a_day_is_found_after_its_rename),
        cmocka_unit_test(names_cannot_leave_the_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
