#include "proto/base/jsonread.h"
#include "proto/result/json_pieces.h"
#include "proto/result/result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 40;
}

static void add_row(gp_result *r, gp_row row)
{
    row.iface = gp_result_intern(r, row.iface);
    row.host = gp_result_intern(r, row.host);
    row.hostid = gp_result_intern(r, row.hostid);
    assert_int_equal(gp_result_reserve_rows(r, r->n_rows + 1, NULL), GP_OK);
    r->rows[r->n_rows++] = row;
}

static gp_row random_row(uint64_t *rng)
{
    static const char *const ifaces[] = {"eth0", "eth1", "wlan0"};
    gp_row row = {.iface = ifaces[next_random(rng) % 3], .host = "h", .hostid = "1"};
    row.sip = gp_addr_from_bytes((const uint8_t[]){10, 0, 0, (uint8_t)(next_random(rng) % 50)}, 4);
    row.dport = (uint16_t)(next_random(rng) % 5);
    row.ts = (int64_t)(next_random(rng) % 4) * 300 + 300;
    row.c = (gp_counters){next_random(rng) % 100, next_random(rng) % 100, next_random(rng) % 9,
                          next_random(rng) % 9};
    return row;
}

static void selection_equals_a_full_sort(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 15, 17, 100, 1000};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        for (unsigned variant = 0; variant < 24; variant++) {
            gp_sort by = (gp_sort)(variant % 3);
            gp_direction dir = (gp_direction)(variant / 6);
            bool ascending = variant & 1;
            uint64_t rng = variant;
            gp_result full;
            gp_result top;
            gp_result_init(&full);
            gp_result_init(&top);
            for (size_t i = 0; i < sizes[s]; i++) {
                gp_row row = random_row(&rng);
                row.dport = (uint16_t)i; /* keys are unique, as in any result */
                add_row(&full, row);
                add_row(&top, row);
            }
            gp_result_sort(&full, by, dir, ascending, 0);
            gp_result_sort(&top, by, dir, ascending, 10);
            assert_int_equal(top.n_rows, sizes[s] < 10 ? sizes[s] : 10);
            for (size_t i = 0; i < top.n_rows; i++) {
                assert_int_equal(gp_row_cmp_key(&top.rows[i], &full.rows[i]), 0);
                assert_int_equal(top.rows[i].c.bytes_rcvd, full.rows[i].c.bytes_rcvd);
            }
            gp_result_free(&full);
            gp_result_free(&top);
        }
    }
}

static void ties_are_broken_by_attributes_then_labels(void **state)
{
    (void)state;
    gp_result r;
    gp_result_init(&r);
    for (int i = 0; i < 3; i++)
        add_row(&r, (gp_row){.dport = (uint16_t)(i * 7 % 3), .iface = "e", .c.bytes_rcvd = 5});
    gp_result_sort(&r, GP_SORT_BYTES, GP_DIR_SUM, true, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(r.rows[i].dport, i);
    gp_result_sort(&r, GP_SORT_BYTES, GP_DIR_SUM, false, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(r.rows[i].dport, 2 - i);
    gp_result_free(&r);
}

static void merged_rows_equal_brute_force(void **state)
{
    (void)state;
    enum { N = 3000, PARTS = 3 };
    gp_merge *m = NULL;
    gp_result parts[PARTS];
    gp_counters want = {0};
    uint64_t rng = 5;
    assert_int_equal(gp_merge_new(&m, NULL), GP_OK);
    for (size_t p = 0; p < PARTS; p++) {
        gp_result_init(&parts[p]);
        for (size_t i = 0; i < N; i++) {
            gp_row row = random_row(&rng);
            row.dport = (uint16_t)(i % 1000);
            add_row(&parts[p], row);
            gp_counters_add(&want, &row.c);
        }
        char host[8];
        snprintf(host, sizeof host, "host%zu", p);
        assert_int_equal(gp_result_set_host(&parts[p], host, GP_STATUS_OK, NULL, NULL), GP_OK);
        assert_int_equal(gp_merge_add(m, &parts[p], NULL), GP_OK);
    }
    gp_result all;
    assert_int_equal(gp_merge_result(m, &all, NULL), GP_OK);
    assert_int_equal(all.n_rows, gp_merge_rows(m));
    assert_int_equal(all.n_hosts, PARTS);
    gp_counters got = {0};
    for (size_t i = 0; i < all.n_rows; i++) {
        gp_counters sum = {0};
        gp_counters_add(&got, &all.rows[i].c);
        if (i % 97) /* brute force on a sample: every row would be quadratic */
            continue;
        for (size_t p = 0; p < PARTS; p++)
            for (size_t k = 0; k < N; k++)
                if (gp_row_cmp_key(&parts[p].rows[k], &all.rows[i]) == 0)
                    gp_counters_add(&sum, &parts[p].rows[k].c);
        assert_memory_equal(&sum, &all.rows[i].c, sizeof sum);
    }
    assert_memory_equal(&got, &want, sizeof got);
    gp_merge_free(m);
    for (size_t p = 0; p < PARTS; p++)
        gp_result_free(&parts[p]);
    gp_result_free(&all);
}

static void add_answer(gp_merge *m, int64_t first, int64_t last, bool data)
{
    gp_result r;
    gp_result_init(&r);
    r.first = (gp_time){.sec = first, .set = true};
    r.last = (gp_time){.sec = last, .set = true};
    r.data_available = data;
    assert_int_equal(gp_merge_add(m, &r, NULL), GP_OK);
    gp_result_free(&r);
}

static void expect_range(const gp_merge *m, int64_t first, int64_t last)
{
    gp_result all;
    assert_int_equal(gp_merge_result(m, &all, NULL), GP_OK);
    assert_int_equal(all.first.sec, first);
    assert_int_equal(all.last.sec, last);
    gp_result_free(&all);
}

/* Also where no row matched: a table must not say 1970. */
static void merged_range_is_that_of_answers_with_data(void **state)
{
    (void)state;
    gp_merge *m = NULL;
    assert_int_equal(gp_merge_new(&m, NULL), GP_OK);
    add_answer(m, 1000, 9000, false);
    expect_range(m, 1000, 9000);
    add_answer(m, 3000, 4000, true);
    expect_range(m, 3000, 4000);
    add_answer(m, 2000, 3500, true);
    expect_range(m, 2000, 4000);
    add_answer(m, 1000, 9000, false);
    expect_range(m, 2000, 4000);
    gp_merge_free(m);
}

static void time_bins_add_up(void **state)
{
    (void)state;
    gp_result r;
    gp_result_init(&r);
    for (int64_t ts = 300; ts <= 3600; ts += 300)
        add_row(&r, (gp_row){.ts = ts, .iface = "e", .c.bytes_rcvd = 1});
    assert_int_equal(gp_result_bin_time(&r, 900, NULL), GP_OK);
    assert_int_equal(r.n_rows, 4);
    assert_int_equal(r.hits_total, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(r.rows[i].ts, 900 * (int64_t)(i + 1));
        assert_int_equal(r.rows[i].c.bytes_rcvd, 3);
    }
    assert_int_equal(gp_result_bin_time(&r, 0, NULL), GP_EINVAL);
    gp_result_free(&r);
}

/* An answer of goQuery 4.2 over its own test database, shortened by hand to two rows; "endpoint" is ours. */
static const char sample[] =
    "{\"hostname\":\"vm\",\"status\":{\"code\":\"ok\"},\"hosts_statuses\":{\"vm\":{\"code\":\"ok\"},"
    "\"x\":{\"code\":\"error\",\"message\":\"no "
    "route\",\"endpoint\":\"y\"}},\"summary\":{\"interfaces\":[\"eth0\",\"eth1\"],"
    "\"time_first\":\"2016-02-25T19:29:35Z\",\"time_last\":\"2016-02-26T07:44:35Z\",\"totals\":{\"br\":"
    "17989675887,\"bs\":18446744073709551615,\"pr\":11000368,\"ps\":11483272},\"timings\":{\"query_start\":"
    "\"2026-11-24T03:52:34.786621464Z\",\"query_duration_ns\":28047005},\"hits\":{\"displayed\":2,\"total\":"
    "2458},"
    "\"data_available\":true,\"stats\":{\"bytes_loaded\":0,\"bytes_decompressed\":418286,\"blocks_"
    "processed\":8232,"
    "\"blocks_corrupted\":0,\"directories_processed\":14,\"workloads\":7}},\"query\":{\"attributes\":["
    "\"sip\","
    "\"dip\"],\"condition\":\"dport = "
    "80\"},\"rows\":[{\"labels\":{\"timestamp\":\"2016-02-25T19:34:35Z\",\"iface\":"
    "\"eth1\",\"host\":\"vm\",\"host_id\":\"3d12\"},\"attributes\":{\"sip\":\"154.203.92.202\",\"dip\":"
    "\"2001:db8::1\","
    "\"proto\":6,\"dport\":443},\"counters\":{\"br\":3034836316,\"bs\":7421687692,\"pr\":3525335,\"ps\":"
    "6482049}},"
    "{\"labels\":{\"iface\":\"eth0\",\"host\":\"vm\",\"host_id\":\"3d12\"},\"attributes\":{},\"counters\":{}}"
    "]}";

static void json_round_trips(void **state)
{
    (void)state;
    gp_result r;
    gp_error err = GP_ERROR_INIT;
    gp_buf out = GP_BUF_INIT;
    setenv("TZ", "UTC", 1);
    if (gp_result_from_json(sample, strlen(sample), 0, &r, &err) != GP_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(r.n_rows, 2);
    assert_int_equal(r.totals.bytes_sent, UINT64_MAX);
    assert_string_equal(r.rows[0].iface, "eth1");
    assert_int_equal(r.rows[0].ts, 1456428875);
    assert_int_equal(r.n_hosts, 2);
    assert_string_equal(gp_result_host(&r, "x")->endpoint, "y");
    gp_result_to_json(&r, &out);
    assert_string_equal(out.data, sample);
    gp_buf_free(&out);
    gp_result_free(&r);
}

static const char *const bad[] = {
    "",
    "[]",
    "{\"rows\":[{\"attributes\":{\"sip\":\"300.1.1.1\"}}]}",
    "{\"rows\":[{\"attributes\":{\"dport\":65536}}]}",
    "{\"rows\":[{\"counters\":{\"br\":-1}}]}",
    "{\"rows\":[{\"counters\":{\"br\":1.5}}]}",
    "{\"rows\":[{\"counters\":{\"br\":18446744073709551616}}]}",
    "{\"rows\":[{\"labels\":{\"iface\":\"a\\u0000b\"}}]}",
    "{\"status\":{\"code\":\"fine\"}}",
    "{\"summary\":{\"time_first\":\"yesterday\"}}",
    "{\"rows\":[]} x",
    "{\"rows\":[",
};

static void json_is_checked(void **state)
{
    (void)state;
    gp_result r;
    gp_error err = GP_ERROR_INIT;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(gp_result_from_json(bad[i], strlen(bad[i]), 0, &r, &err), GP_EINVAL);
    assert_int_equal(gp_result_from_json(sample, strlen(sample), 1, &r, &err), GP_ELIMIT);
}

/* Read as one piece up to `cut`, the rest in pieces. */
static gp_code read_pieces(const char *text, size_t cut, size_t piece, uint64_t max_rows, gp_result *out,
                           gp_error *err)
{
    gp_result_reader *r = NULL;
    size_t len = strlen(text);
    assert_int_equal(gp_result_reader_new(&r, NULL), GP_OK);
    gp_result_reader_limit(r, max_rows);
    gp_code rc = gp_result_reader_feed(r, text, cut, err);
    for (size_t at = cut; at < len && rc == GP_OK; at += piece)
        rc = gp_result_reader_feed(r, text + at, len - at < piece ? len - at : piece, err);
    gp_code end = gp_result_reader_finish(r, out, err);
    if (rc != GP_OK)
        assert_int_equal(end, rc); /* once wrong, always wrong */
    gp_result_reader_free(r);
    return end;
}

static void assert_same_in_pieces(const char *text, const char *want)
{
    size_t len = strlen(text);
    for (size_t piece = 1; piece < 30; piece += 7)
        for (size_t cut = 0; cut <= len; cut++) {
            gp_result r;
            gp_error err = GP_ERROR_INIT;
            gp_buf out = GP_BUF_INIT;
            if (read_pieces(text, cut, piece, 0, &r, &err) != GP_OK)
                fail_msg("cut at %zu: %s", cut, err.msg);
            gp_result_to_json(&r, &out);
            assert_string_equal(out.data, want);
            gp_buf_free(&out);
            gp_result_free(&r);
        }
}

static void json_may_come_in_pieces(void **state)
{
    (void)state;
    static const char odd[] = " { \"unknown\" : [ {\"a\":\"}]\\\"\"} , -1.5e3 , null ] ,\n\"rows\" : [ "
                              "{\"counters\":{\"br\":1},\"x\":[[]]} ,\n"
                              "{\"labels\":{\"iface\":\"e\\u0074h\"},\"attributes\":{},\"counters\":{\"bs\":"
                              "2}} ] , \"rows\":null, \"hostname\":\"h\", "
                              "\"rows\":[{\"labels\":{},\"attributes\":{},\"counters\":{\"ps\":3}}], "
                              "\"status\":{\"code\":\"empty\"}, \"n\": 12 }\n ";
    gp_result r;
    gp_buf whole = GP_BUF_INIT;
    assert_same_in_pieces(sample, sample);
    assert_int_equal(gp_result_from_json(odd, strlen(odd), 0, &r, NULL), GP_OK);
    assert_int_equal(r.n_rows, 3);
    gp_result_to_json(&r, &whole);
    gp_result_free(&r);
    assert_same_in_pieces(odd, whole.data);
    gp_buf_free(&whole);
}

static void pieces_are_checked(void **state)
{
    (void)state;
    gp_result r;
    gp_error whole = GP_ERROR_INIT;
    gp_error err = GP_ERROR_INIT;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        for (size_t cut = 0; cut <= strlen(bad[i]); cut++) {
            assert_int_equal(gp_result_from_json(bad[i], strlen(bad[i]), 0, &r, &whole), GP_EINVAL);
            assert_int_equal(read_pieces(bad[i], cut, 1, 0, &r, &err), GP_EINVAL);
            assert_string_equal(err.msg, whole.msg); /* at the same byte */
        }
    assert_int_equal(read_pieces(sample, 0, 9, 1, &r, &err), GP_ELIMIT);
    assert_non_null(strstr(err.msg, "more than the 1 rows"));
    assert_int_equal(read_pieces("", 0, 1, 0, &r, &err), GP_EINVAL);
    for (size_t len = 0; len < strlen(sample); len++) { /* the end is missing */
        char cut[sizeof sample];
        memcpy(cut, sample, len);
        cut[len] = '\0';
        assert_int_equal(read_pieces(cut, len / 2, 50, 0, &r, &err), GP_EINVAL);
    }
}

/* Of a long answer only rows are kept. */
static void text_is_forgotten(void **state)
{
    (void)state;
    enum { ROWS = 1000 };
    static const char row[] = "{\"labels\":{\"iface\":\"eth0\",\"host\":\"a host with a long "
                              "name\"},\"attributes\":{\"sip\":\"10.0.0.1\","
                              "\"dip\":\"192.168.100.200\",\"proto\":17,\"dport\":53},\"counters\":{\"br\":"
                              "3034836316,\"bs\":7421687692,"
                              "\"pr\":3525335,\"ps\":6482049}}";
    gp_result_reader *r = NULL;
    gp_result result;
    size_t most = 0;
    assert_int_equal(gp_result_reader_new(&r, NULL), GP_OK);
    assert_int_equal(gp_result_reader_feed(r, "{\"rows\":[", 9, NULL), GP_OK);
    for (unsigned i = 0; i < ROWS; i++) {
        assert_int_equal(gp_result_reader_feed(r, ",", i > 0, NULL), GP_OK);
        assert_int_equal(gp_result_reader_feed(r, row, sizeof row - 1, NULL), GP_OK);
        most = gp_result_reader_bytes(r) > most ? gp_result_reader_bytes(r) : most;
    }
    assert_int_equal(gp_result_reader_feed(r, "]}", 2, NULL), GP_OK);
    assert_int_equal(gp_result_reader_finish(r, &result, NULL), GP_OK);
    assert_int_equal(result.n_rows, ROWS);
    assert_in_range(most, ROWS * sizeof(gp_row), 1024 * sizeof(gp_row) + 1000);
    gp_result_free(&result);
    gp_result_reader_free(r);
}

static void json_reader_reads_what_rfc8259_allows(void **state)
{
    (void)state;
    static const char text[] =
        " { \"a\\u0041\" : [ 1 , -2 , [ ] , { } , \"\\ud83d\\ude00\\ud800\\n\" , null , true ] } ";
    gp_json j;
    const char *key;
    size_t len;
    gp_error err = GP_ERROR_INIT;
    gp_json_init(&j, text, strlen(text));
    assert_true(gp_json_object(&j));
    assert_true(gp_json_key(&j, &key, &len));
    assert_true(gp_json_is(key, len, "aA"));
    assert_true(gp_json_array(&j));
    assert_true(gp_json_item(&j));
    assert_int_equal(gp_json_u64(&j), 1);
    assert_true(gp_json_item(&j));
    assert_int_equal(gp_json_i64(&j), -2);
    for (int i = 0; i < 2; i++) {
        assert_true(gp_json_item(&j));
        gp_json_skip(&j);
    }
    assert_true(gp_json_item(&j));
    key = gp_json_str(&j, &len);
    assert_true(gp_json_is(key, len, "\xf0\x9f\x98\x80\xef\xbf\xbd\n"));
    assert_true(gp_json_item(&j));
    gp_json_skip(&j);
    assert_true(gp_json_item(&j));
    assert_true(gp_json_bool(&j));
    assert_false(gp_json_item(&j));
    assert_false(gp_json_key(&j, &key, &len));
    assert_true(gp_json_done(&j, &err));
    gp_json_free(&j);
    char deep[200];
    memset(deep, '[', sizeof deep);
    gp_json_init(&j, deep, sizeof deep);
    gp_json_skip(&j);
    assert_false(gp_json_done(&j, &err));
    gp_json_free(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(selection_equals_a_full_sort),
        cmocka_unit_test(ties_are_broken_by_attributes_then_labels),
        cmocka_unit_test(merged_rows_equal_brute_force),
        cmocka_unit_test(merged_range_is_that_of_answers_with_data),
        cmocka_unit_test(time_bins_add_up),
        cmocka_unit_test(json_round_trips),
        cmocka_unit_test(json_is_checked),
        cmocka_unit_test(json_may_come_in_pieces),
        cmocka_unit_test(pieces_are_checked),
        cmocka_unit_test(text_is_forgotten),
        cmocka_unit_test(json_reader_reads_what_rfc8259_allows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
