/* Messages and answers: what is written is read back exactly, what is broken is refused, nothing takes more
 * memory than it may. */
#include "proto/wire/answer.h"
#include "proto/wire/frame.h"
#include "proto/wire/intcol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* xorshift64*: Vigna, ACM TOMS 42 (2016). */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static uint64_t below(uint64_t *state, uint64_t n)
{
    return next_random(state) % n;
}

/* ---- columns of integers ------------------------------------------------------------------------------- */

static void fill(uint64_t *v, size_t n, unsigned shape, uint64_t *seed)
{
    uint64_t last = 0;
    unsigned width = (unsigned)below(seed, 65);
    for (size_t i = 0; i < n; i++) {
        uint64_t r = next_random(seed);
        switch (shape) {
        case 0: /* any width */
            v[i] = width == 0 ? 0 : r >> (64 - width);
            break;
        case 1: /* ascending */
            v[i] = last += r & 0xff;
            break;
        case 2: /* descending, through zero */
            v[i] = last -= r & 0xff;
            break;
        case 3: /* a few distinct, far apart */
            v[i] = (r & 7) * 8191;
            break;
        case 4: /* constant */
            v[i] = width;
            break;
        default: /* both ends of the range */
            v[i] = r & 1 ? UINT64_MAX : 0;
        }
    }
}

static void columns_come_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 127, 128, 129, 1000, GP_INTCOL_MAX};
    static uint64_t v[GP_INTCOL_MAX];
    static uint64_t back[GP_INTCOL_MAX];
    uint64_t seed = 7;
    for (unsigned round = 0; round < 400; round++) {
        size_t n = sizes[round % (sizeof sizes / sizeof sizes[0])];
        gp_buf out = GP_BUF_INIT;
        fill(v, n, round % 6, &seed);
        gp_intcol_write(&out, v, n);
        assert_false(out.failed);
        gp_wire_reader in = {0}; /* nothing is written for no numbers, not even a buffer */
        if (out.len)
            in =
                (gp_wire_reader){.at = (const uint8_t *)out.data, .end = (const uint8_t *)out.data + out.len};
        assert_true(gp_intcol_read(&in, back, n));
        assert_int_equal(gp_wire_left(&in), 0);
        assert_memory_equal(v, back, n * sizeof *v);
        if (out.len) { /* one byte short is too short */
            in = (gp_wire_reader){.at = (const uint8_t *)out.data,
                                  .end = (const uint8_t *)out.data + out.len - 1};
            assert_false(gp_intcol_read(&in, back, n));
        }
        gp_buf_free(&out);
    }
}

static void columns_are_short(void **state)
{
    (void)state;
    uint64_t v[1024];
    gp_buf out = GP_BUF_INIT;
    for (size_t i = 0; i < 1024; i++)
        v[i] = 1700000000 + i / 4 * 300; /* time in bins */
    gp_intcol_write(&out, v, 1024);
    assert_true(out.len < 1400);
    gp_buf_clear(&out);
    for (size_t i = 0; i < 1024; i++)
        v[i] = i % 3 == 0 ? 443 : i % 3 == 1 ? 53 : 51820;
    gp_intcol_write(&out, v, 1024);
    assert_true(out.len < 300); /* two bits each */
    gp_buf_clear(&out);
    for (size_t i = 0; i < 1024; i++)
        v[i] = 6;
    gp_intcol_write(&out, v, 1024);
    assert_int_equal(out.len, 2);
    gp_buf_free(&out);
}

/* ---- answers ------------------------------------------------------------------------------------------- */

static const char *maybe(gp_result *r, uint64_t *seed, const char *const *names, size_t n)
{
    uint64_t k = below(seed, n + 1);
    return k == n ? NULL : gp_result_intern(r, names[k]);
}

static gp_addr random_addr(uint64_t *seed, unsigned kinds)
{
    uint8_t bytes[16];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)below(seed, i % 4 == 3 ? 256 : 3);
    unsigned kind = (unsigned)below(seed, kinds);
    return kind == 0   ? gp_addr_from_bytes(bytes, 4)
           : kind == 1 ? gp_addr_from_bytes(bytes, 16)
                       : (gp_addr){0};
}

static uint64_t some_counter(uint64_t *seed)
{
    return next_random(seed) >> below(seed, 64);
}

static void fill_result(gp_result *r, size_t n, uint64_t *seed)
{
    static const char *const ifaces[] = {"eth0", "eth1", "wg \"0\"", "\xff\xfe"};
    static const char *const hosts[] = {"web1.example", "db1", "\xc3\xbc.example"};
    static const char *const ids[] = {"123456", "7", "0"};
    gp_result_init(r);
    assert_int_equal(gp_result_reserve_rows(r, n, NULL), GP_OK);
    for (size_t i = 0; i < n; i++) {
        gp_row row = {.ts = below(seed, 3) ? 1700000000 + (int64_t)below(seed, 50) * 300 : 0,
                      .iface = maybe(r, seed, ifaces, 4),
                      .host = maybe(r, seed, hosts, 3),
                      .hostid = maybe(r, seed, ids, 3),
                      .sip = random_addr(seed, 3),
                      .dip = random_addr(seed, 3),
                      .dport = (uint16_t)(next_random(seed) >> 50 << below(seed, 3)),
                      .proto = (uint8_t)below(seed, 256)};
        row.c = (gp_counters){some_counter(seed), some_counter(seed), some_counter(seed), some_counter(seed)};
        r->rows[r->n_rows++] = row;
    }
    for (size_t i = 0; i < 3; i++) {
        gp_result_set_host(r, hosts[i], i ? GP_STATUS_ERROR : GP_STATUS_OK, i ? "cut off: \"x\"\n" : NULL,
                           NULL);
        gp_result_add_iface(r, ifaces[i], NULL);
    }
    r->hostname = gp_result_intern(r, below(seed, 2) ? "web1" : NULL);
    r->condition = gp_result_intern(r, below(seed, 2) ? "dport = 443" : NULL);
    r->attributes[0] = gp_result_intern(r, "sip");
    r->attributes[1] = gp_result_intern(r, "dip");
    r->n_attributes = 2;
    r->first = (gp_time){.sec = 1700000000, .nsec = 1, .set = true};
    r->query_start = (gp_time){.sec = 1700000000, .nsec = 999999999, .set = true};
    r->query_duration_ns = (int64_t)(next_random(seed) >> 1);
    r->resolution_ns = (int64_t)below(seed, 2);
    r->totals = (gp_counters){UINT64_MAX, 0, some_counter(seed), 3};
    r->hits_total = n;
    r->has_stats = below(seed, 2);
    r->stats = (gp_query_stats){1, 2, 3, 4, 5, UINT64_MAX};
    r->data_available = below(seed, 2);
    gp_result_finish(r);
}

static void assert_same_json(const gp_result *a, const gp_result *b)
{
    gp_buf x = GP_BUF_INIT;
    gp_buf y = GP_BUF_INIT;
    gp_result_to_json(a, &x);
    gp_result_to_json(b, &y);
    assert_false(x.failed || y.failed);
    assert_string_equal(x.data, y.data);
    gp_buf_free(&x);
    gp_buf_free(&y);
}

/* Through a whole message, as it goes over the wire. */
static void send_and_receive(const gp_result *r, gp_buf *message, gp_result *back)
{
    gp_error err = GP_ERROR_INIT;
    gp_buf body = GP_BUF_INIT;
    gp_frame in;
    if (gp_answer_write(r, &body, &err) != GP_OK)
        fail_msg("%s", err.msg);
    const gp_frame f = {.type = GP_FRAME_ANSWER, .status = 200, .body = body.data, .len = body.len};
    assert_int_equal(gp_frame_write(message, &f, &err), GP_OK);
    gp_buf_free(&body);
    if (gp_frame_read(message->data, message->len, 0, &in, &err) != GP_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(in.type, GP_FRAME_ANSWER);
    assert_int_equal(in.status, 200);
    if (gp_answer_read(in.body, in.len, &(gp_answer_limits){0}, back, &err) != GP_OK)
        fail_msg("%s", err.msg);
    gp_frame_free(&in);
}

static void answers_say_what_json_says(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 100, 1000, GP_INTCOL_MAX, GP_INTCOL_MAX + 1, 10000};
    uint64_t seed = 42;
    for (size_t i = 0; i < 24; i++) {
        gp_result r;
        gp_result by_wire;
        gp_result by_json;
        gp_buf message = GP_BUF_INIT;
        gp_buf json = GP_BUF_INIT;
        fill_result(&r, sizes[i % (sizeof sizes / sizeof sizes[0])], &seed);
        send_and_receive(&r, &message, &by_wire);
        gp_result_to_json(&r, &json);
        assert_int_equal(gp_result_from_json(json.data, json.len, 0, &by_json, NULL), GP_OK);
        assert_same_json(&r, &by_wire);
        assert_same_json(&by_json, &by_wire);
        gp_buf_free(&message);
        gp_buf_free(&json);
        gp_result_free(&r);
        gp_result_free(&by_wire);
        gp_result_free(&by_json);
    }
}

static void equal_labels_are_one_pointer(void **state)
{
    (void)state;
    gp_result r;
    gp_result back;
    gp_buf message = GP_BUF_INIT;
    uint64_t seed = 3;
    fill_result(&r, 500, &seed);
    send_and_receive(&r, &message, &back);
    for (size_t i = 0; i < back.n_rows; i++)
        assert_ptr_equal(back.rows[i].iface, gp_result_intern(&back, back.rows[i].iface));
    gp_buf_free(&message);
    gp_result_free(&r);
    gp_result_free(&back);
}

/* ---- bad peers ----------------------------------------------------------------------------------------- */

static void cut_and_bent_answers_are_refused(void **state)
{
    (void)state;
    gp_result r;
    gp_result back;
    gp_buf body = GP_BUF_INIT;
    uint64_t seed = 5;
    fill_result(&r, 40, &seed);
    assert_int_equal(gp_answer_write(&r, &body, NULL), GP_OK);
    const gp_answer_limits limits = {.max_rows = 1000, .max_bytes = 1 << 20};
    for (size_t len = 0; len < body.len; len++)
        assert_int_equal(gp_answer_read(body.data, len, &limits, &back, NULL), GP_ECORRUPT);
    for (unsigned i = 0; i < 20000; i++) { /* whatever comes of it: no crash, no leak */
        size_t at = (size_t)below(&seed, body.len);
        char was = body.data[at];
        body.data[at] = (char)next_random(&seed);
        if (gp_answer_read(body.data, body.len, &limits, &back, NULL) == GP_OK)
            gp_result_free(&back);
        body.data[at] = was;
    }
    gp_buf_free(&body);
    gp_result_free(&r);
}

static void too_many_rows_are_refused(void **state)
{
    (void)state;
    gp_result r;
    gp_result back;
    gp_error err = GP_ERROR_INIT;
    gp_buf body = GP_BUF_INIT;
    uint64_t seed = 5;
    fill_result(&r, 100, &seed);
    assert_int_equal(gp_answer_write(&r, &body, NULL), GP_OK);
    assert_int_equal(gp_answer_read(body.data, body.len, &(gp_answer_limits){.max_rows = 99}, &back, &err),
                     GP_ELIMIT);
    assert_non_null(strstr(err.msg, "99 rows"));
    assert_int_equal(gp_answer_read(body.data, body.len, &(gp_answer_limits){.max_bytes = 5000}, &back, &err),
                     GP_ELIMIT);
    gp_buf_free(&body);
    gp_result_free(&r);
}

static gp_code read_message(const uint8_t *m, size_t len, size_t max, gp_error *err)
{
    gp_frame f;
    gp_code rc = gp_frame_read(m, len, max, &f, err);
    if (rc == GP_OK)
        gp_frame_free(&f);
    return rc;
}

static void bad_messages_are_refused(void **state)
{
    (void)state;
    gp_error err = GP_ERROR_INIT;
    uint8_t m[GP_FRAME_HEADER + 4] = {'G', 'P', 'Q', 1, GP_FRAME_QUERY, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 'a'};
    assert_int_equal(read_message(m, sizeof m, 0, &err), GP_OK);
    assert_int_equal(read_message(m, 15, 0, &err), GP_ECORRUPT);
    assert_int_equal(read_message(m, sizeof m - 1, 0, &err), GP_ECORRUPT);
    assert_int_equal(read_message(m, sizeof m, 3, &err), GP_ELIMIT);
    m[3] = 2;
    assert_int_equal(read_message(m, sizeof m, 0, &err), GP_EUNSUPPORTED);
    assert_non_null(strstr(err.msg, "version 2"));
    m[3] = 1;
    m[4] = 77;
    assert_int_equal(read_message(m, sizeof m, 0, &err), GP_ECORRUPT);
    m[4] = GP_FRAME_ANSWER;
    m[5] = 1; /* says that it is compressed, and is not */
    assert_int_equal(read_message(m, sizeof m, 0, &err), GP_ECORRUPT);
    m[15] = 0x40; /* a gigabyte in four bytes */
    assert_int_equal(read_message(m, sizeof m, 0, &err), GP_ECORRUPT);
    assert_non_null(strstr(err.msg, "cannot hold"));
    m[0] = 'H';
    assert_int_equal(read_message(m, sizeof m, 0, &err), GP_ECORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_come_back),
        cmocka_unit_test(columns_are_short),
        cmocka_unit_test(answers_say_what_json_says),
        cmocka_unit_test(equal_labels_are_one_pointer),
        cmocka_unit_test(cut_and_bent_answers_are_refused),
        cmocka_unit_test(too_many_rows_are_refused),
        cmocka_unit_test(bad_messages_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
