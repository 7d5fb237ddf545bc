/* Queries over databases that are damaged, lie about themselves, or change while they are read: every block
 * that is whole is part of the answer, the others are counted, and nothing worse happens. */
#include "sensor/godb/daypath.h"
#include "sensor/godb/engine.h"
#include "sensor/godb/reader.h"
#include "tests/support/gendb.h"
#include "tests/support/questions.h"
#include "tests/support/tempdir.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { DAYS = 2, BLOCKS = 8, FLOWS = 150, PATH_LEN = 600, NAME_LEN = 32 };

static const int64_t first_day = 1704067200; /* 2024-01-01 */

typedef struct fixture {
    char db[GP_TEMPDIR_LEN];
    char day[PATH_LEN]; /* folder of the first day */
    gp_engine *engine;
    gp_result whole, second; /* answers from both days, and from the second one, by all attributes */
} fixture;

static const char all[] = "sip,dip,dport,proto";

static void prepare(const char *type, const char *cond, int64_t first, gp_stmt *stmt)
{
    gp_args a;
    char from[NAME_LEN];
    snprintf(from, sizeof from, "%lld", (long long)first);
    gp_args_init(&a);
    gp_args_set(&a.query, type, NULL);
    gp_args_set(&a.ifaces, "any", NULL);
    gp_args_set(&a.condition, cond, NULL);
    gp_args_set(&a.first, from, NULL);
    gp_args_set(&a.last, "1704240000", NULL);
    gp_args_set(&a.format, "json", NULL);
    a.num_results = 100000;
    gp_test_prepare(&a, stmt);
}

static void ask(const fixture *fx, const char *type, const char *cond, int64_t first,
                const gp_run_hooks *hooks, gp_result *out)
{
    gp_stmt stmt;
    gp_error err = GP_ERROR_INIT;
    prepare(type, cond, first, &stmt);
    if (gp_engine_run(fx->engine, &stmt, hooks, out, &err) != GP_OK)
        fail_msg("query '%s': %s", type, err.msg);
    gp_stmt_free(&stmt);
}

static void assert_same_rows(const gp_result *got, const gp_result *want)
{
    assert_int_equal(got->hits_total, want->hits_total);
    assert_int_equal(got->n_rows, want->n_rows);
    assert_memory_equal(&got->totals, &want->totals, sizeof got->totals);
    for (size_t i = 0; i < got->n_rows; i++) {
        assert_int_equal(gp_row_cmp_key(&got->rows[i], &want->rows[i]), 0);
        assert_memory_equal(&got->rows[i].c, &want->rows[i].c, sizeof got->rows[i].c);
    }
}

static int setup(void **state)
{
    static const char *const ifaces[] = {"eth0"};
    fixture *fx = calloc(1, sizeof *fx);
    gp_day *day = NULL;
    assert_non_null(fx);
    gp_tempdir_make(fx->db);
    const gp_gendb_options opt = {.db = fx->db,
                                  .ifaces = ifaces,
                                  .n_ifaces = 1,
                                  .first_day = first_day,
                                  .days = DAYS,
                                  .blocks = BLOCKS,
                                  .flows = FLOWS,
                                  .seed = 5,
                                  .codec = GP_CODEC_LZ4};
    assert_int_equal(gp_gendb_write(&opt, NULL), GP_OK);
    assert_int_equal(gp_day_open(&day, fx->db, "eth0", first_day, NULL), GP_OK);
    snprintf(fx->day, sizeof fx->day, "%s", gp_day_path(day));
    gp_day_close(day);
    assert_int_equal(gp_engine_new(&fx->engine, &(gp_engine_config){.db = fx->db, .threads = 1}, NULL),
                     GP_OK);
    ask(fx, all, NULL, first_day, NULL, &fx->whole);
    ask(fx, all, NULL, first_day + GP_DAY_SECONDS, NULL, &fx->second);
    assert_true(fx->second.n_rows > 0 && fx->whole.n_rows > fx->second.n_rows);
    *state = fx;
    return 0;
}

static int teardown(void **state)
{
    fixture *fx = *state;
    gp_result_free(&fx->whole);
    gp_result_free(&fx->second);
    gp_engine_free(fx->engine);
    gp_tempdir_remove(fx->db);
    free(fx);
    return 0;
}

static void column_path(const fixture *fx, unsigned col, char *dst)
{
    snprintf(dst, PATH_LEN + NAME_LEN, "%s/%s.gpf", fx->day, gp_column_name((gp_column)col));
}

/* All blocks of the first day are gone, those of the second answer, and the answer says so. */
static void assert_second_day_only(const fixture *fx, uint64_t skipped)
{
    gp_result got;
    ask(fx, all, NULL, first_day, NULL, &got);
    assert_int_equal(got.stats.blocks_corrupted, skipped);
    assert_same_rows(&got, &fx->second);
    assert_int_equal(got.n_hosts, 1);
    assert_int_equal(got.hosts[0].code, GP_STATUS_OK);
    assert_non_null(got.hosts[0].message);
    assert_non_null(strstr(got.hosts[0].message, "skipped"));
    gp_result_free(&got);
}

static void a_missing_column_costs_its_day(void **state)
{
    const fixture *fx = *state;
    char path[PATH_LEN + NAME_LEN];
    char aside[PATH_LEN + 2 * NAME_LEN];
    for (unsigned col = 0; col < GP_COL_COUNT; col++) {
        column_path(fx, col, path);
        snprintf(aside, sizeof aside, "%s.aside", path);
        assert_int_equal(rename(path, aside), 0);
        assert_second_day_only(fx, BLOCKS);
        assert_int_equal(mkdir(path, 0700), 0); /* nor does a folder in its place help */
        assert_second_day_only(fx, BLOCKS);
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(rename(aside, path), 0);
    }
}

static void blocks_before_a_cut_answer(void **state)
{
    const fixture *fx = *state;
    char path[PATH_LEN + NAME_LEN];
    gp_day *day = NULL;
    gp_result got;
    gp_result want;
    assert_int_equal(gp_day_open(&day, fx->db, "eth0", first_day, NULL), GP_OK);
    const gp_block_info *third = &gp_day_meta(day)->blocks[2];
    column_path(fx, GP_COL_PKTS_SENT, path);
    assert_int_equal(truncate(path, (off_t)third->col[GP_COL_PKTS_SENT].offset + 1), 0);
    ask(fx, all, NULL, first_day, NULL, &got);
    assert_int_equal(got.stats.blocks_corrupted, BLOCKS - 2);
    ask(fx, all, NULL, third->ts, NULL, &want); /* without the two blocks before the cut */
    assert_true(got.hits_total > want.hits_total);
    gp_result_free(&want);
    gp_result_free(&got);
    ask(fx, "sip,dport", NULL, third->ts, NULL, &got);
    assert_int_equal(got.stats.blocks_corrupted, BLOCKS - 2);
    gp_result_free(&got);
    gp_day_close(day);
}

static void swapped_columns_are_noticed_by_their_sizes(void **state)
{
    const fixture *fx = *state;
    char a[PATH_LEN + NAME_LEN];
    char b[PATH_LEN + NAME_LEN];
    char c[PATH_LEN + NAME_LEN];
    column_path(fx, GP_COL_SIP, a);
    column_path(fx, GP_COL_PROTO, b);
    snprintf(c, sizeof c, "%s/aside", fx->day);
    assert_int_equal(rename(a, c), 0);
    assert_int_equal(rename(b, a), 0);
    assert_int_equal(rename(c, b), 0);
    assert_second_day_only(fx, BLOCKS);
}

/* What nothing asks of single flows is known without them. */
static void totals_need_no_columns(void **state)
{
    const fixture *fx = *state;
    char path[PATH_LEN + NAME_LEN];
    gp_result got;
    gp_iface_totals totals;
    for (unsigned col = 0; col < GP_COL_COUNT; col++) {
        column_path(fx, col, path);
        assert_int_equal(unlink(path), 0);
    }
    ask(fx, "iface", NULL, first_day, NULL, &got);
    assert_int_equal(got.n_rows, 1);
    assert_int_equal(got.stats.blocks_corrupted, 0);
    assert_int_equal(got.stats.bytes_loaded, 0);
    assert_memory_equal(&got.rows[0].c, &fx->whole.totals, sizeof got.rows[0].c);
    gp_result_free(&got);
    assert_int_equal(gp_db_iface_totals(fx->db, "eth0", first_day, INT64_MAX, &totals, NULL), GP_OK);
    assert_memory_equal(&totals.c, &fx->whole.totals, sizeof totals.c);
    assert_true(totals.n_v4 > 0 && totals.n_v6 > 0);
}

static void totals_of_damaged_days(void **state)
{
    const fixture *fx = *state;
    char path[PATH_LEN + NAME_LEN];
    gp_iface_totals intact;
    gp_iface_totals got;
    gp_iface_totals second;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_db_iface_totals(fx->db, "eth0", 0, INT64_MAX, &intact, &err), GP_OK);
    assert_int_equal(gp_db_iface_totals(fx->db, "eth0", first_day + GP_DAY_SECONDS, INT64_MAX, &second, &err),
                     GP_OK);
    assert_int_equal(intact.damaged, 0);
    /* Blocks: those that a part of the day still has. */
    column_path(fx, GP_COL_BYTES_SENT, path);
    assert_int_equal(truncate(path, 0), 0);
    snprintf(path, sizeof path, "%s/.blocksums", fx->day);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(gp_db_iface_totals(fx->db, "eth0", first_day + 1, INT64_MAX, &got, &err), GP_OK);
    assert_int_equal(got.damaged, BLOCKS - 1);
    assert_int_equal(got.n_v4, second.n_v4);
    assert_non_null(strstr(got.damage.msg, "bytes_sent"));
    /* The day: what its name says counts where all of it does. */
    snprintf(path, sizeof path, "%s/.blockmeta", fx->day);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(gp_db_iface_totals(fx->db, "eth0", 0, INT64_MAX, &got, &err), GP_OK);
    assert_int_equal(got.damaged, 1);
    assert_non_null(strstr(got.damage.msg, ".blockmeta: No such file"));
    assert_memory_equal(&got.c, &intact.c, sizeof got.c);
    assert_int_equal(got.n_v4 + got.n_v6, intact.n_v4 + intact.n_v6);
    assert_int_equal(got.first, first_day);
    assert_int_equal(got.last, intact.last);
    assert_int_equal(gp_db_iface_totals(fx->db, "eth0", first_day + 1, INT64_MAX, &got, &err), GP_OK);
    assert_int_equal(got.damaged, 1);
    assert_memory_equal(&got.c, &second.c, sizeof got.c);
}

/* What a kill in the first block of a day leaves is no day, and no damage. */
static void a_day_that_never_began_is_none(void **state)
{
    const fixture *fx = *state;
    char path[PATH_LEN + NAME_LEN];
    gp_iface_totals totals;
    gp_result got;
    snprintf(path, sizeof path, "%s/eth0/2024/01/1704240000", fx->db);
    assert_int_equal(mkdir(path, 0700), 0);
    ask(fx, all, NULL, first_day, NULL, &got);
    assert_int_equal(got.stats.blocks_corrupted, 0);
    assert_same_rows(&got, &fx->whole);
    gp_result_free(&got);
    assert_int_equal(gp_db_iface_totals(fx->db, "eth0", 0, INT64_MAX, &totals, NULL), GP_OK);
    assert_int_equal(totals.damaged, 0);
    assert_memory_equal(&totals.c, &fx->whole.totals, sizeof totals.c);
}

/* ---- metadata that lies -------------------------------------------------------------------------------- */

static void write_file(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static size_t read_file(const char *path, uint8_t **out)
{
    struct stat st;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    *out = malloc((size_t)st.st_size + 1);
    assert_non_null(*out);
    assert_int_equal(fread(*out, 1, (size_t)st.st_size, f), st.st_size);
    fclose(f);
    return (size_t)st.st_size;
}

static void lie(gp_block_info *b, unsigned which)
{
    switch (which) {
    case 0: /* 64 GiB of addresses */
        b->n_v6 = UINT32_MAX;
        for (unsigned col = 0; col < GP_COL_COUNT; col++)
            b->col[col].raw_len = UINT32_MAX;
        break;
    case 1: /* consistent, but more than those bytes can hold */
        b->n_v4 = 200000000;
        b->n_v6 = 0;
        b->col[GP_COL_SIP].raw_len = b->col[GP_COL_DIP].raw_len = 800000000;
        b->col[GP_COL_DPORT].raw_len = 400000000;
        b->col[GP_COL_PROTO].raw_len = 200000000;
        for (unsigned col = GP_COL_ATTR_COUNT; col < GP_COL_COUNT; col++)
            b->col[col].raw_len = 200000001;
        break;
    case 2:
        for (unsigned col = 0; col < GP_COL_COUNT; col++)
            b->col[col].codec = GP_CODEC_ZSTD;
        break;
    case 3:
        for (unsigned col = 0; col < GP_COL_COUNT; col++)
            b->col[col].codec = 77;
        break;
    case 4: /* flows without data */
        for (unsigned col = 0; col < GP_COL_COUNT; col++)
            b->col[col].raw_len = 0;
        break;
    default: /* stored far behind the end */
        for (unsigned col = 0; col < GP_COL_COUNT; col++)
            b->col[col].len = UINT32_MAX;
    }
}

static void metadata_that_lies_costs_its_blocks(void **state)
{
    const fixture *fx = *state;
    char path[PATH_LEN + NAME_LEN];
    uint8_t *honest;
    snprintf(path, sizeof path, "%s/" GP_BLOCKMETA_FILE, fx->day);
    size_t len = read_file(path, &honest);
    for (unsigned which = 0; which < 6; which++) {
        gp_blockmeta m;
        gp_buf buf = GP_BUF_INIT;
        assert_int_equal(gp_blockmeta_decode(honest, len, &m, NULL), GP_OK);
        for (size_t b = 0; b < m.n_blocks; b++)
            lie(&m.blocks[b], which);
        assert_int_equal(gp_blockmeta_encode(&m, &buf, NULL), GP_OK);
        write_file(path, buf.data, buf.len);
        assert_second_day_only(fx, BLOCKS);
        gp_buf_free(&buf);
        gp_blockmeta_free(&m);
    }
    write_file(path, honest, len / 2);
    assert_second_day_only(fx, 1);
    write_file(path, "", 0);
    assert_second_day_only(fx, 1);
    assert_int_equal(unlink(path), 0);
    assert_second_day_only(fx, 1);
    free(honest);
}

/* ---- bits that flip ------------------------------------------------------------------------------------ */

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static void flips_of_bits_do_no_harm(void **state)
{
    enum { ROUNDS = 400, MOST_FLIPS = 6 };
    static const char *const types[] = {all, "dport,proto", "time", "sip", "raw"};
    const fixture *fx = *state;
    char path[PATH_LEN + NAME_LEN];
    uint64_t rng = 11;
    uint64_t skipped = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned col = (unsigned)(next_random(&rng) % (GP_COL_COUNT + 1));
        uint8_t *pristine;
        if (col < GP_COL_COUNT)
            column_path(fx, col, path);
        else
            snprintf(path, sizeof path, "%s/" GP_BLOCKMETA_FILE, fx->day);
        size_t len = read_file(path, &pristine);
        uint8_t *damaged = malloc(len);
        assert_non_null(damaged);
        memcpy(damaged, pristine, len);
        for (uint64_t n = next_random(&rng) % MOST_FLIPS + 1; n > 0; n--)
            damaged[next_random(&rng) % len] ^= (uint8_t)(1u << next_random(&rng) % 8);
        write_file(path, damaged, len);
        gp_result got;
        ask(fx, types[round % 5], round % 2 ? "dport = 443 | snet = 10.0.0.0/8" : NULL, first_day, NULL,
            &got);
        skipped += got.stats.blocks_corrupted;
        gp_result_free(&got);
        write_file(path, pristine, len);
        free(damaged);
        free(pristine);
    }
    assert_true(skipped > 0);
    gp_result got;
    ask(fx, all, NULL, first_day, NULL, &got);
    assert_same_rows(&got, &fx->whole);
    gp_result_free(&got);
}

/* ---- a day that is renamed or removed under the query -------------------------------------------------- */

typedef struct mover {
    const char *from;
    char to[PATH_LEN + NAME_LEN];
    bool done;
} mover;

/* The days are listed by then, but not open. */
static bool move_once(void *ctx)
{
    mover *m = ctx;
    if (!m->done)
        assert_int_equal(rename(m->from, m->to), 0);
    m->done = true;
    return false;
}

static void a_day_that_is_renamed_is_found_again(void **state)
{
    fixture *fx = *state;
    mover m = {.from = fx->day};
    gp_result got;
    snprintf(m.to, sizeof m.to, "%.*s/1704067200_1-1-0-1-1-1-1", (int)(strrchr(fx->day, '/') - fx->day),
             fx->day);
    ask(fx, all, NULL, first_day, &(gp_run_hooks){.canceled = move_once, .ctx = &m}, &got);
    assert_true(m.done);
    assert_int_equal(got.stats.blocks_corrupted, 0);
    assert_null(got.hosts[0].message);
    assert_same_rows(&got, &fx->whole);
    gp_result_free(&got);
}

static void a_day_that_is_removed_is_skipped(void **state)
{
    const fixture *fx = *state;
    mover m = {.from = fx->day};
    gp_result got;
    snprintf(m.to, sizeof m.to, "%s/gone", fx->db);
    ask(fx, all, NULL, first_day, &(gp_run_hooks){.canceled = move_once, .ctx = &m}, &got);
    assert_true(m.done);
    assert_int_equal(got.stats.blocks_corrupted, 1);
    assert_same_rows(&got, &fx->second);
    gp_result_free(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_missing_column_costs_its_day, setup, teardown),
        cmocka_unit_test_setup_teardown(blocks_before_a_cut_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(swapped_columns_are_noticed_by_their_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(totals_need_no_columns, setup, teardown),
        cmocka_unit_test_setup_teardown(totals_of_damaged_days, setup, teardown),
        cmocka_unit_test_setup_teardown(a_day_that_never_began_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(metadata_that_lies_costs_its_blocks, setup, teardown),
        cmocka_unit_test_setup_teardown(flips_of_bits_do_no_harm, setup, teardown),
        cmocka_unit_test_setup_teardown(a_day_that_is_renamed_is_found_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_day_that_is_removed_is_skipped, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
