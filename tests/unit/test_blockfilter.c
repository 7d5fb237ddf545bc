/* Filters of blocks: no address of a block is ever denied, and queries give the same answers with them,
 * without and with damaged ones. */
#include "sensor/godb/engine.h"
#include "sensor/godb/skip.h"
#include "sensor/godb/verify.h"
#include "sensor/godb/writer.h"
#include "tests/support/daycheck.h"
#include "tests/support/files.h"
#include "tests/support/gendb.h"
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

enum { N_FLOWS = 6000, N_BLOCKS = 3, STEP = 300 };
static const int64_t t0 = 1700000100; /* 2023-11-14 */

static int64_t time_of(size_t block)
{
    return t0 + (int64_t)block * STEP;
}

static int setup(void **state)
{
    char *db = malloc(GP_TEMPDIR_LEN);
    gp_flow *flows = calloc(N_FLOWS, sizeof *flows);
    gp_writer *w = NULL;
    assert_true(db && flows);
    gp_tempdir_make(db);
    const gp_writer_config cfg = {.db = db, .iface = "eth0", .codec = GP_CODEC_LZ4, .no_sync = true};
    assert_int_equal(gp_writer_new(&w, &cfg, NULL), GP_OK);
    for (size_t b = 0; b < N_BLOCKS; b++) {
        size_t n = gp_gendb_block(7, time_of(b), flows, N_FLOWS);
        assert_int_equal(gp_writer_write(w, time_of(b), flows, n, 0, NULL, NULL), GP_OK);
    }
    gp_writer_free(w);
    free(flows);
    *state = db;
    return 0;
}

static int teardown(void **state)
{
    gp_tempdir_remove(*state);
    free(*state);
    return 0;
}

static gp_day *open_day(const char *db)
{
    gp_day *day = NULL;
    assert_int_equal(gp_day_open(&day, db, "eth0", t0 - t0 % 86400, NULL), GP_OK);
    return day;
}

static void filter_path(const char *db, char dst[static 600])
{
    gp_day *day = open_day(db);
    snprintf(dst, 600, "%s/.blockfilter", gp_day_path(day));
    gp_day_close(day);
}

static bool may_have(const gp_blockfilter *f, int64_t ts, const gp_addr *a)
{
    return gp_blockfilter_may_have(f, gp_addr_mark(ts, a->bytes, a->len));
}

static void no_address_is_denied(void **state)
{
    gp_flow *flows = calloc(N_FLOWS, sizeof *flows);
    gp_day *day = open_day(*state);
    assert_non_null(flows);
    for (size_t b = N_BLOCKS; b-- > 0;) { /* out of order, too */
        const int64_t ts = time_of(b);
        const gp_blockfilter f = gp_day_block_filter(day, b);
        size_t n = gp_gendb_block(7, ts, flows, N_FLOWS);
        assert_true(f.size > 0);
        for (size_t i = 0; i < n; i++)
            assert_true(may_have(&f, ts, &flows[i].sip) && may_have(&f, ts, &flows[i].dip));
    }
    gp_day_close(day);
    free(flows);
}

static void many_strangers_are_denied(void **state)
{
    enum { STRANGERS = 10000 };
    gp_day *day = open_day(*state);
    const gp_block_info *b = gp_day_meta(day)->blocks;
    const gp_blockfilter f = gp_day_block_filter(day, 0);
    unsigned let_in = 0;
    uint64_t stored = 0;
    for (uint32_t i = 0; i < STRANGERS; i++) {
        const uint8_t bytes[4] = {240, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        const gp_addr a = gp_addr_from_bytes(bytes, sizeof bytes);
        let_in += may_have(&f, b->ts, &a);
    }
    assert_in_range(let_in, STRANGERS / 2, STRANGERS * 7 / 10);
    for (unsigned col = 0; col < GP_COL_COUNT; col++)
        stored += b->col[col].len;
    assert_true(gp_blockfilter_size(b) * 100 < stored);
    gp_day_close(day);
}

/* ---- queries ------------------------------------------------------------------------------------------- */

typedef struct answer {
    gp_counters totals;
    uint64_t hits, loaded, blocks;
} answer;

static void prepare(const char *cond, gp_stmt *stmt)
{
    gp_args a;
    gp_args_init(&a);
    gp_args_set(&a.query, "sip,dip,dport,proto", NULL);
    gp_args_set(&a.ifaces, "eth0", NULL);
    gp_args_set(&a.condition, cond, NULL);
    gp_args_set(&a.first, "0", NULL);
    gp_args_set(&a.format, "json", NULL);
    a.num_results = 10;
    gp_test_prepare(&a, stmt);
}

static answer ask(const char *db, const char *cond)
{
    gp_engine *e = NULL;
    gp_stmt stmt;
    gp_result r;
    const gp_engine_config cfg = {.db = db, .threads = 1};
    assert_int_equal(gp_engine_new(&e, &cfg, NULL), GP_OK);
    prepare(cond, &stmt);
    assert_int_equal(gp_engine_run(e, &stmt, NULL, &r, NULL), GP_OK);
    const answer a = {r.totals, r.hits_total, r.stats.bytes_loaded, r.stats.blocks_processed};
    assert_int_equal(r.stats.blocks_corrupted, 0);
    gp_result_free(&r);
    gp_stmt_free(&stmt);
    gp_engine_free(e);
    return a;
}

/* What every flow of the database, one by one, says. Rows of different blocks that have the same key are one
 * hit, so hits are not compared. */
static gp_counters oracle(const char *cond)
{
    gp_stmt stmt;
    gp_counters sum = {0};
    gp_flow *flows = calloc(N_FLOWS, sizeof *flows);
    assert_non_null(flows);
    prepare(cond, &stmt);
    for (size_t b = 0; b < N_BLOCKS; b++) {
        size_t n = gp_gendb_block(7, time_of(b), flows, N_FLOWS);
        for (size_t i = 0; i < n; i++)
            if (gp_cond_match(stmt.cond, &flows[i]))
                gp_counters_add(&sum, &flows[i].c);
    }
    gp_stmt_free(&stmt);
    free(flows);
    return sum;
}

/* Hosts of which some are there and most are not, in conditions of every form. */
static const char *const forms[] = {
    "host = %s",
    "sip = %s",
    "dip = %s",
    "host = %s & dport = 443",
    "host = %s | dport = 22",
    "!(host = %s)",
    "host != %s",
    "dip != %s & sip = 10.0.0.1",
    "snet = %s/32",
    "dnet = %s/32 | sip = 10.0.0.3",
    "dnet = %s/24",
    "host = %s & host = 10.0.0.2",
    "!(sip = 10.0.0.1 | dip != %s)",
};
static const char *const hosts[] = {"10.0.0.0", "10.0.0.17", "10.0.15.1",
                                    "1.2.3.4",  "250.1.2.3", "99.98.97.96"};

enum { N_FORMS = sizeof forms / sizeof forms[0], N_HOSTS = sizeof hosts / sizeof hosts[0] };

static void form(size_t i, char dst[static 128])
{
    snprintf(dst, 128, forms[i % N_FORMS],
             hosts[i / N_FORMS]); /* NOLINT(clang-diagnostic-format-nonliteral) */
}

/* Answers equal the oracle, whatever the file holds; bytes that were loaded for all of them. */
static uint64_t check_answers(const char *db)
{
    uint64_t loaded = 0;
    for (size_t i = 0; i < (size_t)N_FORMS * N_HOSTS; i++) {
        char cond[128];
        form(i, cond);
        const answer a = ask(db, cond);
        const gp_counters want = oracle(cond);
        if (memcmp(&a.totals, &want, sizeof want) != 0)
            fail_msg("%s: other totals than the flows have", cond);
        assert_int_equal(a.blocks, N_BLOCKS);
        loaded += a.loaded;
    }
    return loaded;
}

static void answers_are_the_same_without(void **state)
{
    static uint8_t right[16384];
    char path[600];
    filter_path(*state, path);
    size_t len = gp_test_read(path, right, sizeof right);
    assert_true(len > 0 && len < sizeof right);
    const uint64_t with = check_answers(*state);
    assert_int_equal(unlink(path), 0);
    const uint64_t without = check_answers(*state);
    assert_true(with < without);
    gp_test_write(path, right, len / 2);
    (void)check_answers(*state);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(check_answers(*state), without);
}

static void damaged_records_do_not_count(void **state)
{
    static uint8_t right[16384];
    static uint8_t wrong[16384];
    const char *cond = "host = 250.1.2.3";
    char path[600];
    filter_path(*state, path);
    size_t len = gp_test_read(path, right, sizeof right);
    gp_day *day = open_day(*state);
    for (size_t at = 0; at < len; at += 13) {
        memcpy(wrong, right, len);
        wrong[at] ^= (uint8_t)(1u << at % 8);
        gp_test_write(path, wrong, len);
        size_t block = 0;
        size_t end = gp_blockfilter_size(&gp_day_meta(day)->blocks[0]);
        while (at >= end)
            end += gp_blockfilter_size(&gp_day_meta(day)->blocks[++block]);
        gp_day *again = open_day(*state);
        assert_int_equal(gp_day_block_filter(again, block).size, 0);
        assert_true(gp_day_block_filter(again, (block + 1) % N_BLOCKS).size > 0);
        gp_day_close(again);
    }
    memset(wrong, 0, len);
    gp_test_write(path, wrong, len);
    const answer none = ask(*state, cond);
    memcpy(wrong, right + len / 3, len - len / 3); /* of other blocks */
    gp_test_write(path, wrong, len);
    assert_int_equal(ask(*state, cond).loaded, none.loaded);
    gp_day_close(day);
}

/* What cannot be told by addresses is never passed over, not even with a filter that has none. */
static void only_addresses_that_are_asked_for_tell(void **state)
{
    (void)state;
    static const uint8_t zeros[64];
    const gp_blockfilter nothing = {zeros, sizeof zeros};
    const gp_blockfilter no_filter = {0};
    static const struct {
        const char *cond;
        bool tells;
    } cases[] = {{"sip = 1.2.3.4", true},
                 {"host = 2001:db8::1", true},
                 {"dnet = 2001:db8::1/128", true},
                 {"snet = 1.2.3.4/31", false},
                 {"sip = 1.2.3.4 & dport = 80", true},
                 {"sip = 1.2.3.4 | dport = 80", false},
                 {"sip = 1.2.3.4 | (dip = 1.2.3.5 & proto = tcp)", true},
                 {"!(host = 1.2.3.4)", false},
                 {"!(sip = 1.2.3.4) & dip != 1.2.3.4", false},
                 {"!(sip != 1.2.3.4)", true},
                 {"dir = in", false},
                 {"dport = 80", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gp_cond *cond = NULL;
        gp_skip *skip = NULL;
        assert_int_equal(gp_cond_parse(cases[i].cond, 0, &cond, NULL), GP_OK);
        assert_int_equal(gp_skip_new(&skip, cond, NULL), GP_OK);
        if ((skip != NULL) != cases[i].tells)
            fail_msg("%s: %d", cases[i].cond, skip != NULL);
        assert_true(!skip || gp_skip_block(skip, t0, &nothing));
        assert_false(skip && gp_skip_block(skip, t0, &no_filter));
        gp_skip_free(skip);
        gp_cond_free(cond);
    }
}

/* ---- check --------------------------------------------------------------------------------------------- */

/* A record that passes its check and lacks addresses nevertheless. */
static void a_filter_that_denies_is_noted(void **state)
{
    char path[600];
    gp_buf record = GP_BUF_INIT;
    uint32_t one = 5;
    const gp_addr_marks marks = {.marks = &one, .n = 1};
    gp_day *day = open_day(*state);
    const gp_block_info *b = &gp_day_meta(day)->blocks[0];
    assert_int_equal(gp_test_notes_of_check(*state, ".blockfilter"), 0);
    gp_blockfilter_put(&record, gp_block_fingerprint(GP_FINGERPRINT_START, b), b, &marks);
    assert_int_equal(record.len, gp_blockfilter_size(b));
    filter_path(*state, path);
    gp_test_write(path, (const uint8_t *)record.data, record.len);
    assert_int_equal(gp_test_notes_of_check(*state, ".blockfilter"), 1);
    gp_day_close(day);
    gp_buf_free(&record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_address_is_denied, setup, teardown),
        cmocka_unit_test_setup_teardown(many_strangers_are_denied, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_are_the_same_without, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_records_do_not_count, setup, teardown),
        cmocka_unit_test(only_addresses_that_are_asked_for_tell),
        cmocka_unit_test_setup_teardown(a_filter_that_denies_is_noted, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
