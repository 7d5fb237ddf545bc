#include "sensor/dbsink/dbsink.h"
#include "sensor/godb/daypath.h"
#include "sensor/godb/engine.h"
#include "sensor/godb/reader.h"
#include "tests/support/tempdir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const int64_t noon = 1700049600; /* 2023-11-15T12:00:00Z */

static int setup(void **state)
{
    char path[] = "/tmp/gp-dbsink-XXXXXX";
    *state = mkdtemp(path) ? strdup(path) : NULL;
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    gp_tempdir_remove(*state);
    free(*state);
    return 0;
}

static gp_flow one_flow(uint64_t bytes)
{
    gp_flow f = {.dport = 443, .proto = 6, .c = {.bytes_rcvd = bytes, .pkts_rcvd = 1}};
    assert_true(gp_addr_parse("10.0.0.1", 8, &f.sip));
    assert_true(gp_addr_parse("10.0.0.2", 8, &f.dip));
    return f;
}

static gp_code put(gp_dbsink *s, const char *iface, int64_t ts, uint64_t bytes, uint64_t drops, gp_error *err)
{
    gp_flow f = one_flow(bytes);
    const gp_capture_stats stats = {.dropped = drops};
    return gp_dbsink_write(s, iface, ts, &f, 1, &stats, err);
}

static void intervals_of_several_interfaces(void **state)
{
    const char *db = *state;
    const gp_dbsink_config cfg = {.db = db, .codec = GP_CODEC_LZ4, .no_sync = true};
    gp_dbsink *s = NULL;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_dbsink_new(&s, &cfg, &err), GP_OK);
    assert_int_equal(put(s, "eth0", noon, 100, 3, &err), GP_OK);
    assert_int_equal(put(s, "eth1", noon, 7, 0, &err), GP_OK);
    assert_int_equal(put(s, "eth0", noon + 300, 50, 4, &err), GP_OK);
    int64_t ts = noon + 300;
    assert_int_equal(gp_dbsink_place(s, "eth0", &ts, &err), GP_OK);
    assert_int_equal(ts, noon + 301);
    assert_int_equal(put(s, "eth0", ts, 25, 0, &err), GP_OK);
    gp_dbsink_free(s);
    gp_iface_totals t = {0};
    assert_int_equal(gp_db_iface_totals(db, "eth0", 0, noon + 86400, &t, &err), GP_OK);
    assert_int_equal(t.c.bytes_rcvd, 175);
    assert_int_equal(t.n_v4, 3);
    assert_int_equal(t.drops, 7);
    assert_int_equal(gp_db_iface_totals(db, "eth1", 0, noon + 86400, &t, &err), GP_OK);
    assert_int_equal(t.c.bytes_rcvd, 7);
}

/* What a clock that was set back does to blocks: they stay in their day, behind those that are there. */
static void blocks_find_a_place(void **state)
{
    const gp_dbsink_config cfg = {.db = *state, .codec = GP_CODEC_LZ4, .no_sync = true};
    enum { DAY = 86400 };
    const int64_t midnight = noon + DAY / 2;
    static const struct {
        int64_t written, wanted, place;
    } steps[] = {
        {0, 0, 0},             /* an empty database */
        {300, 300, 301},       /* the same time again */
        {301, -3600, -3600},   /* an hour back, in the day before: free */
        {-3600, -7200, -3599}, /* further back than its last block */
        {-3599, 7200, 7200},   /* forth */
        {-1, -600, 302},       /* a day that is full up to its last second: the next one */
        {DAY, 600, 600},       /* other days do not matter */
    };
    gp_dbsink *s = NULL;
    gp_error err = GP_ERROR_INIT;
    bool held = true;
    assert_int_equal(gp_dbsink_new(&s, &cfg, &err), GP_OK);
    assert_int_equal(gp_dbsink_holds(s, "eth0", midnight, &held, &err), GP_OK);
    assert_false(held);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        int64_t ts = midnight + steps[i].wanted;
        if (i > 0)
            assert_int_equal(put(s, "eth0", midnight + steps[i].written, 1, 0, &err), GP_OK);
        assert_int_equal(gp_dbsink_place(s, "eth0", &ts, &err), GP_OK);
        assert_int_equal(ts - midnight, steps[i].place);
        assert_int_equal(gp_dbsink_holds(s, "eth0", ts, &held, &err), GP_OK);
        assert_false(held);
        if (i > 0)
            assert_int_equal(gp_dbsink_holds(s, "eth0", midnight + steps[i].written, &held, &err), GP_OK);
        assert_int_equal(held, i > 0);
    }
    gp_dbsink_free(s);
}

static void an_import_never_counts_twice(void **state)
{
    const gp_dbsink_config cfg = {.db = *state, .codec = GP_CODEC_LZ4, .no_sync = true};
    gp_dbsink *s = NULL;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_dbsink_new(&s, &cfg, &err), GP_OK);
    assert_int_equal(put(s, "eth0", noon, 1, 0, &err), GP_OK);
    assert_int_equal(put(s, "eth0", noon, 1, 0, &err), GP_EEXIST);
    assert_non_null(strstr(err.msg, "eth0: 1 flows of the interval ending at 1700049600 are not written: "));
    gp_dbsink_free(s);
}

static void sums_path(const char *db, int64_t ts, char dst[static 600])
{
    gp_day *day = NULL;
    assert_int_equal(gp_day_open(&day, db, "eth0", gp_day_start(ts), NULL), GP_OK);
    snprintf(dst, 600, "%s/" GP_BLOCKSUMS_FILE, gp_day_path(day));
    gp_day_close(day);
}

/* With the first block of a day the one before gets what it lacks, as after v4 was replaced; no earlier, and
 * a failure is none of the write. */
static void the_day_before_is_finished(void **state)
{
    enum { DAY = 86400 };
    const char *db = *state;
    const gp_dbsink_config cfg = {.db = db, .codec = GP_CODEC_LZ4, .no_sync = true};
    char path[600];
    gp_dbsink *s = NULL;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_dbsink_new(&s, &cfg, &err), GP_OK);
    assert_int_equal(put(s, "eth0", noon, 1, 0, &err), GP_OK);
    sums_path(db, noon, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(put(s, "eth0", noon + 300, 1, 0, &err), GP_OK);
    sums_path(db, noon, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(put(s, "eth0", noon + DAY, 1, 0, &err), GP_OK);
    assert_int_equal(access(path, F_OK), 0);
    sums_path(db, noon + DAY, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(put(s, "eth0", noon + 2 * DAY, 1, 0, &err), GP_OK);
    gp_dbsink_free(s);
}

static void the_database_folder_is_checked(void **state)
{
    char path[256];
    gp_error err = GP_ERROR_INIT;
    struct stat st;
    snprintf(path, sizeof path, "%s/a/b/c", (const char *)*state);
    assert_int_equal(gp_dbsink_check_db(path, &err), GP_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(gp_dbsink_check_db(path, &err), GP_OK);

    snprintf(path, sizeof path, "%s/file", (const char *)*state);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(gp_dbsink_check_db(path, &err), GP_EINVAL);
    assert_non_null(strstr(err.msg, "a folder is needed"));
    snprintf(path, sizeof path, "%s/file/below", (const char *)*state);
    assert_int_not_equal(gp_dbsink_check_db(path, &err), GP_OK);
    assert_non_null(strstr(err.msg, "cannot make the folder"));
}

static void a_folder_of_somebody_else_is_refused(void **state)
{
    if (geteuid() != 0)
        skip(); /* only root can become somebody else */
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(chmod(*state, 0755), 0);
    assert_int_equal(seteuid(65534), 0);
    gp_code rc = gp_dbsink_check_db(*state, &err);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(rc, GP_EPERM);
    assert_non_null(strstr(err.msg, "no permission to write to the database folder"));
    assert_non_null(strstr(err.msg, "we are user 65534"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(intervals_of_several_interfaces, setup, teardown),
        cmocka_unit_test_setup_teardown(blocks_find_a_place, setup, teardown),
        cmocka_unit_test_setup_teardown(the_day_before_is_finished, setup, teardown),
        cmocka_unit_test_setup_teardown(an_import_never_counts_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(the_database_folder_is_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_of_somebody_else_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
