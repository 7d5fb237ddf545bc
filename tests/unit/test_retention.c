/* Which days go, that nothing else does, and the thread of the sensor. */
#include "sensor/godb/reader.h"
#include "sensor/godb/retention.h"
#include "sensor/retention/retention.h"
#include "tests/support/files.h"
#include "tests/support/gendb.h"
#include "tests/support/tempdir.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { DAY = 86400, DAYS = 6, HOUR = 3600 };
static const int64_t day0 = 1701216000; /* 2023-11-29: the days end in December */
static const int64_t noon = 1701216000 + (DAYS - 1) * DAY + 12 * HOUR; /* of the last day */

typedef struct fixture {
    char dir[GP_TEMPDIR_LEN];
    char db[GP_TEMPDIR_LEN + 8];
} fixture;

static int set_up(void **state)
{
    static const char *const ifaces[] = {"eth0", "eth1"};
    fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    gp_tempdir_make(f->dir);
    snprintf(f->db, sizeof f->db, "%s/db", f->dir);
    const gp_gendb_options opt = {.db = f->db,
                                  .ifaces = ifaces,
                                  .n_ifaces = 2,
                                  .first_day = day0,
                                  .days = DAYS,
                                  .blocks = 4,
                                  .flows = 20,
                                  .seed = 1,
                                  .codec = GP_CODEC_LZ4};
    *state = f;
    return gp_gendb_write(&opt, NULL) == GP_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    gp_tempdir_remove(f->dir);
    free(f);
    return 0;
}

static size_t days_of(const fixture *f, const char *iface, int64_t *first)
{
    gp_day_ref *days = NULL;
    size_t n = 0;
    assert_int_equal(gp_db_list_days(f->db, iface, 0, INT64_MAX / 2, &days, &n, NULL), GP_OK);
    if (first)
        *first = n ? days[0].day : 0;
    free(days);
    return n;
}

static void plan(const fixture *f, int64_t age, int64_t size, int64_t now, gp_retention_plan *out)
{
    const gp_retention_limits limits = {age, size};
    gp_error err = GP_ERROR_INIT;
    if (gp_retention_plan_make(out, f->db, "eth0", &limits, now, &err) != GP_OK)
        fail_msg("%s", err.msg);
}

static void remove_all(const fixture *f, const gp_retention_plan *p)
{
    gp_error err = GP_ERROR_INIT;
    for (size_t i = 0; i < p->n; i++)
        if (gp_retention_remove(f->db, "eth0", &p->days[i], &err) != GP_OK)
            fail_msg("%s", err.msg);
}

static size_t planned(const fixture *f, int64_t age, int64_t size, int64_t now)
{
    gp_retention_plan p;
    plan(f, age, size, now, &p);
    size_t n = p.n;
    assert_int_equal(p.kept_days, DAYS - n);
    gp_retention_plan_free(&p);
    return n;
}

static void exists(const fixture *f, const char *below, bool expected)
{
    char path[256];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", f->db, below);
    if ((lstat(path, &st) == 0) != expected)
        fail_msg("%s %s", path, expected ? "is gone" : "is still there");
}

static void a_day_goes_when_its_newest_block_is_too_old(void **state)
{
    fixture *f = *state;
    int64_t end = day0 + DAY; /* of the first day */
    assert_int_equal(planned(f, 2 * DAY, 0, end + 2 * DAY - 1), 0);
    assert_int_equal(planned(f, 2 * DAY, 0, end + 2 * DAY), 1);
    assert_int_equal(planned(f, 0, 0, noon + 1000 * (int64_t)DAY), 0); /* no limit */
    gp_retention_plan p;
    plan(f, 2 * DAY, 0, noon, &p);
    assert_int_equal(p.n, 3);
    assert_int_equal(p.days[0].day, day0);
    assert_int_equal(p.days[0].reason, GP_RETENTION_AGE);
    remove_all(f, &p);
    remove_all(f, &p); /* what is gone already is no error */
    gp_retention_plan_free(&p);
    int64_t first;
    assert_int_equal(days_of(f, "eth0", &first), 3);
    assert_int_equal(first, day0 + 3 * DAY);
    assert_int_equal(days_of(f, "eth1", NULL), DAYS);
    exists(f, "eth0/2023/11", false); /* the month is empty */
    exists(f, "eth0/2023/12", true);
    exists(f, "eth0/0", false);
}

static void the_oldest_go_until_the_rest_is_small_enough(void **state)
{
    fixture *f = *state;
    gp_retention_plan all;
    plan(f, 1, 0, noon + 1000 * (int64_t)DAY, &all);
    assert_int_equal(all.n, DAYS);
    uint64_t last_two = all.days[DAYS - 1].bytes + all.days[DAYS - 2].bytes;
    gp_retention_plan_free(&all);
    assert_int_equal(planned(f, 0, (int64_t)last_two, noon), DAYS - 2);
    assert_int_equal(planned(f, 0, (int64_t)last_two - 1, noon), DAYS - 1);
    assert_int_equal(planned(f, 0, INT64_MAX, noon), 0);
    gp_retention_plan both;
    plan(f, 4 * DAY, (int64_t)last_two, noon, &both);
    assert_int_equal(both.n, DAYS - 2);
    assert_int_equal(both.days[0].reason, GP_RETENTION_AGE);
    assert_int_equal(both.days[both.n - 1].reason, GP_RETENTION_SIZE);
    assert_int_equal(both.kept_bytes, last_two);
    gp_retention_plan_free(&both);
}

static void today_stays(void **state)
{
    fixture *f = *state;
    int64_t midnight = day0 + (DAYS - 1) * DAY; /* the last day begins */
    assert_int_equal(planned(f, 0, 1, noon), DAYS - 1);
    assert_int_equal(planned(f, 0, 1, midnight + HOUR - 1), DAYS - 2); /* yesterday may be written to */
    assert_int_equal(planned(f, 0, 1, midnight + HOUR), DAYS - 1);
    assert_int_equal(planned(f, DAY, 1, day0 - 10 * DAY), 0); /* the clock is behind: all lie ahead */
}

static void make_folder(const fixture *f, const char *below)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", f->db, below);
    assert_int_equal(mkdir(path, 0755), 0);
}

static void make_file(const fixture *f, const char *below)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", f->db, below);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    close(fd);
}

static void make_link(const fixture *f, const char *to, const char *below)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", f->db, below);
    assert_int_equal(symlink(to, path), 0);
}

static void what_is_no_day_is_left_alone(void **state)
{
    fixture *f = *state;
    static const char *const odd[] = {"eth0/notes", "eth0/2023/x", "eth0/2023/11/1701216000x",
                                      "eth0/2023/11/1701216001", "eth0/2023/11/.hidden"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        make_folder(f, odd[i]);
    make_file(f, "eth0/2023/11/1701129600"); /* a file */
    gp_retention_plan p;
    plan(f, DAY, 0, noon + 1000 * (int64_t)DAY, &p);
    assert_int_equal(p.n, DAYS);
    remove_all(f, &p);
    gp_retention_plan_free(&p);
    assert_int_equal(days_of(f, "eth0", NULL), 1); /* 1701216001 */
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        exists(f, odd[i], true);
    exists(f, "eth0/2023/11/1701129600", true);
}

static void links_are_not_followed(void **state)
{
    fixture *f = *state;
    make_folder(f, "../outside");
    make_folder(f, "../outside/1701043200"); /* would be a day */
    make_file(f, "../outside/precious");
    make_file(f, "../outside/1701043200/sip.gpf");
    make_folder(f, "eth0/2022");
    make_link(f, "../../../outside", "eth0/2022/12"); /* a month elsewhere */
    make_link(f, "../../../../outside/1701043200", "eth0/2023/11/1701129600");
    make_folder(f, "eth0/2023/11/1700956800");
    make_link(f, "../../../../../outside", "eth0/2023/11/1700956800/folder");
    make_link(f, "../../../../../outside/precious", "eth0/2023/11/1700956800/sip.gpf");
    gp_retention_plan p;
    plan(f, DAY, 0, noon, &p);
    assert_int_equal(p.days[0].day, 1700956800);
    assert_int_equal(p.days[0].bytes, 0);
    remove_all(f, &p);
    gp_retention_plan_free(&p);
    exists(f, "eth0/2023/11/1700956800", false);
    exists(f, "eth0/2023/11/1701129600", true);
    exists(f, "eth0/2022/12", true);
    exists(f, "../outside/precious", true);
    exists(f, "../outside/1701043200/sip.gpf", true);
    /* An interface elsewhere. */
    make_link(f, "eth1", "eth2");
    gp_retention_limits limits = {.max_age_s = DAY};
    assert_int_equal(gp_retention_plan_make(&p, f->db, "eth2", &limits, noon, NULL), GP_OK);
    assert_int_equal(p.n, 0);
    gp_retention_plan_free(&p);
    assert_int_equal(gp_retention_plan_make(&p, f->db, "../outside", &limits, noon, NULL), GP_EINVAL);
    assert_int_equal(gp_retention_plan_make(&p, f->db, "eth9", &limits, noon, NULL), GP_ENOTFOUND);
}

static void whoever_reads_goes_on(void **state)
{
    fixture *f = *state;
    gp_day *day = NULL;
    gp_codec *codec = NULL;
    gp_buf raw = GP_BUF_INIT;
    assert_int_equal(gp_codec_new(&codec, NULL), GP_OK);
    assert_int_equal(gp_day_open(&day, f->db, "eth0", day0, NULL), GP_OK);
    assert_int_equal(gp_day_read_column(day, codec, 0, GP_COL_SIP, &raw, NULL), GP_OK);
    gp_retention_plan p;
    plan(f, DAY, 0, noon, &p);
    remove_all(f, &p);
    gp_retention_plan_free(&p);
    assert_int_equal(gp_day_read_column(day, codec, 3, GP_COL_SIP, &raw, NULL), GP_OK);
    assert_true(raw.len > 0);
    gp_day_close(day);
    assert_int_equal(gp_day_open(&day, f->db, "eth0", day0, NULL), GP_ENOTFOUND);
    gp_buf_free(&raw);
    gp_codec_free(codec);
}

static void an_interrupted_removal_is_finished(void **state)
{
    fixture *f = *state;
    make_folder(f, "eth0/0");
    make_folder(f, "eth0/0/.removed-1-0");
    make_file(f, "eth0/0/.removed-1-0/sip.gpf");
    assert_int_equal(days_of(f, "eth0", NULL), DAYS); /* nobody sees it */
    assert_int_equal(gp_retention_clean(f->db, "eth0", NULL), GP_OK);
    exists(f, "eth0/0", false);
    assert_int_equal(gp_retention_clean(f->db, "eth0", NULL), GP_OK);
}

static void limits_as_people_write_them(void **state)
{
    (void)state;
    int64_t v = -1;
    assert_int_equal(gp_retention_parse_age("90d", &v, NULL), GP_OK);
    assert_int_equal(v, 90 * DAY);
    assert_int_equal(gp_retention_parse_age("2160h", &v, NULL), GP_OK);
    assert_int_equal(v, 90 * DAY);
    assert_int_equal(gp_retention_parse_age("0", &v, NULL), GP_OK);
    assert_int_equal(v, 0);
    static const char *const bad_ages[] = {"",  "d", "90", "-90d", "23h", "90 d", "9223372036854775807d",
                                           "1w"};
    for (size_t i = 0; i < sizeof bad_ages / sizeof bad_ages[0]; i++)
        if (gp_retention_parse_age(bad_ages[i], &v, NULL) != GP_EINVAL)
            fail_msg("'%s' was taken", bad_ages[i]);
    assert_int_equal(gp_retention_parse_size("1000", &v, NULL), GP_OK);
    assert_int_equal(v, 1000);
    assert_int_equal(gp_retention_parse_size("20G", &v, NULL), GP_OK);
    assert_int_equal(v, INT64_C(20) << 30);
    assert_int_equal(gp_retention_parse_size("3k", &v, NULL), GP_OK);
    assert_int_equal(v, 3072);
    static const char *const bad_sizes[] = {"", "G", "-1", "20GB", "1.5G", "9999999999T", "7x"};
    for (size_t i = 0; i < sizeof bad_sizes / sizeof bad_sizes[0]; i++)
        if (gp_retention_parse_size(bad_sizes[i], &v, NULL) != GP_EINVAL)
            fail_msg("'%s' was taken", bad_sizes[i]);
}

/* ---- the thread ---------------------------------------------------------------------------------------- */

static int64_t clock_of_test(void *ctx)
{
    return atomic_load((_Atomic int64_t *)ctx);
}

static void wait_for_days(const gp_retention *r, uint64_t days)
{
    for (int i = 0; i < 2000 && gp_retention_count(r).days < days; i++)
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    assert_int_equal(gp_retention_count(r).days, days);
}

static void the_thread_removes_every_interval(void **state)
{
    fixture *f = *state;
    gp_retention_rule rule = {"eth1", {.max_age_s = 4 * DAY}};
    const gp_retention_options options = {
        .max_age_s = 2 * DAY, .interval_ns = 5000000, .ifaces = &rule, .n_ifaces = 1};
    _Atomic int64_t now = noon;
    const gp_retention_config cfg = {
        .db = f->db, .options = &options, .now = clock_of_test, .now_ctx = (void *)&now};
    gp_retention *r = NULL;
    assert_int_equal(gp_retention_new(&r, &cfg, NULL), GP_OK);
    assert_int_equal(gp_retention_start(r, NULL), GP_OK);
    wait_for_days(r, 3 + 1);
    assert_int_equal(days_of(f, "eth0", NULL), DAYS - 3);
    assert_int_equal(days_of(f, "eth1", NULL), DAYS - 1);
    atomic_store(&now, noon + DAY);
    wait_for_days(r, 4 + 2);
    assert_true(gp_retention_count(r).bytes > 0);
    assert_int_equal(gp_retention_count(r).errors, 0);
    gp_retention_free(r);
}

static void a_dry_run_only_logs(void **state)
{
    fixture *f = *state;
    char path[GP_TEMPDIR_LEN + 8];
    char text[4096] = "";
    gp_log *log = NULL;
    snprintf(path, sizeof path, "%s/log", f->dir);
    assert_int_equal(gp_log_open(&log, path, GP_LOG_INFO, GP_LOG_LOGFMT, NULL), GP_OK);
    const gp_retention_options options = {
        .max_age_s = 2 * DAY, .interval_ns = INT64_C(3600000000000), .dry_run = true};
    _Atomic int64_t now = noon;
    const gp_retention_config cfg = {
        .db = f->db, .options = &options, .log = log, .now = clock_of_test, .now_ctx = (void *)&now};
    gp_retention *r = NULL;
    assert_int_equal(gp_retention_new(&r, &cfg, NULL), GP_OK);
    assert_int_equal(gp_retention_start(r, NULL), GP_OK);
    for (int i = 0; i < 2000 && !strstr(text, "iface=eth1 day=2023-12-01"); i++) {
        nanosleep(&(struct timespec){0, 5000000}, NULL);
        gp_test_read_text(path, text, sizeof text);
    }
    gp_retention_free(r);
    gp_log_close(log);
    assert_non_null(
        strstr(text, "msg=\"day would be removed (retention.dry_run)\" iface=eth0 day=2023-11-29 "));
    assert_non_null(strstr(text, "reason=age"));
    assert_int_equal(days_of(f, "eth0", NULL), DAYS);
    assert_int_equal(days_of(f, "eth1", NULL), DAYS);
}

static void without_limits_nothing_starts(void **state)
{
    fixture *f = *state;
    const gp_retention_options options = {.interval_ns = 1000000};
    const gp_retention_config cfg = {.db = f->db, .options = &options};
    gp_retention *r = NULL;
    assert_int_equal(gp_retention_new(&r, &cfg, NULL), GP_OK);
    assert_int_equal(gp_retention_start(r, NULL), GP_OK);
    gp_retention_free(r);
    gp_retention_free(NULL);
    assert_int_equal(days_of(f, "eth0", NULL), DAYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_day_goes_when_its_newest_block_is_too_old, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_oldest_go_until_the_rest_is_small_enough, set_up, tear_down),
        cmocka_unit_test_setup_teardown(today_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_day_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_are_not_followed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whoever_reads_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_interrupted_removal_is_finished, set_up, tear_down),
        cmocka_unit_test(limits_as_people_write_them),
        cmocka_unit_test_setup_teardown(the_thread_removes_every_interval, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dry_run_only_logs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_limits_nothing_starts, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
