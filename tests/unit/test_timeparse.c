#include "proto/query/timeparse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { NOW = 1700000000, COLUMNS = 3 };

static void set_zone(const char *zone)
{
    assert_int_equal(setenv("TZ", zone, 1), 0);
    tzset();
}

/* Calls check for every line of a table of known answers; returns the number of lines. */
static unsigned for_each_line(const char *name, void (*check)(char *const column[COLUMNS]))
{
    char path[1024];
    char line[1024];
    unsigned lines = 0;
    snprintf(path, sizeof path, "%s/tests/data/query/%s", GP_SOURCE_DIR, name);
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("cannot open %s", path);
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#')
            continue;
        char *rest = line;
        char *column[COLUMNS];
        for (int i = 0; i < COLUMNS; i++) {
            column[i] = strsep(&rest, "\t");
            assert_non_null(column[i]);
        }
        check(column);
        lines++;
    }
    fclose(f);
    return lines;
}

static void check_time(const char *text, const char *expected)
{
    int64_t now = text[0] == '-' ? NOW : 0;
    int64_t t = 0;
    gp_error err = GP_ERROR_INIT;
    gp_code code = gp_time_parse(text, now, &t, &err);
    if (strcmp(expected, "error") == 0) {
        if (code != GP_EINVAL || err.msg[0] == '\0')
            fail_msg("'%s' must be refused with a message", text);
        return;
    }
    if (code != GP_OK)
        fail_msg("'%s': %s", text, err.msg);
    if (t - now != strtoll(expected, NULL, 10))
        fail_msg("'%s' gave %lld, not %s", text, (long long)(t - now), expected);
}

static void check_utc(char *const column[COLUMNS])
{
    check_time(column[0], column[1]);
}

static void check_berlin(char *const column[COLUMNS])
{
    check_time(column[0], column[2]);
}

static void times_are_read_as_v4_does(void **state)
{
    (void)state;
    set_zone("UTC");
    assert_true(for_each_line("times.tsv", check_utc) > 100);
    set_zone("Europe/Berlin");
    assert_true(for_each_line("times.tsv", check_berlin) > 100);
}

static void dates_without_a_zone_are_known(void **state)
{
    (void)state;
    int64_t t = 0;
    set_zone("America/New_York");
    assert_true(gp_time_parse_local("2024-01-01 10:00", &t));
    assert_int_equal(t, 1704121200);
    assert_true(gp_time_parse_local("Mon Jan  1 10:00:00 2024", &t));
    assert_int_equal(t, 1704121200);
    set_zone("Asia/Tokyo");
    assert_true(gp_time_parse_local("1.1.24 10:00", &t));
    assert_int_equal(t, 1704070800);
    static const char *const others[] = {"2024-01-01 10:00 +0100",
                                         "2024-01-01T10:00:00Z",
                                         "1704121200",
                                         "-1d",
                                         "-24h",
                                         "2024-01-32 10:00",
                                         "yesterday",
                                         ""};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (gp_time_parse_local(others[i], &t))
            fail_msg("'%s' must mean the same everywhere", others[i]);
    set_zone("UTC");
}

static void empty_and_overflowing_times_are_refused(void **state)
{
    (void)state;
    int64_t t;
    assert_int_equal(gp_time_parse("", NOW, &t, NULL), GP_EINVAL);
    assert_int_equal(gp_time_parse("-106751991167301d", NOW, &t, NULL), GP_EINVAL);
    assert_int_equal(gp_time_parse("--106751991167299d", INT64_MAX, &t, NULL), GP_EINVAL);
    assert_int_equal(gp_time_parse("-106751991167299d:999999999999999h", NOW, &t, NULL), GP_EINVAL);
}

static void check_duration(char *const column[COLUMNS])
{
    int64_t ns = 0;
    gp_error err = GP_ERROR_INIT;
    gp_code code = gp_duration_parse(column[0], &ns, &err);
    if (strcmp(column[1], "error") == 0) {
        assert_int_equal(code, GP_EINVAL);
        /* Go quotes what is not printable ASCII; we do not. */
        assert_string_equal(err.msg, column[2]);
        return;
    }
    if (code != GP_OK)
        fail_msg("'%s': %s", column[0], err.msg);
    if (ns != strtoll(column[1], NULL, 10))
        fail_msg("'%s' gave %lld, not %s", column[0], (long long)ns, column[1]);
    char text[64];
    assert_int_equal(gp_duration_format(ns, text, sizeof text), strlen(column[2]));
    assert_string_equal(text, column[2]);
}

static void durations_are_those_of_go(void **state)
{
    (void)state;
    assert_true(for_each_line("durations.tsv", check_duration) > 40);
}

static void extreme_durations_format(void **state)
{
    (void)state;
    char text[64];
    gp_duration_format(INT64_MIN, text, sizeof text);
    assert_string_equal(text, "-2562047h47m16.854775808s");
    assert_int_equal(gp_duration_format(INT64_MAX, text, 4), strlen("2562047h47m16.854775807s"));
    assert_string_equal(text, "256");
}

static void expect_rfc3339(int64_t sec, int32_t nsec, const char *expected)
{
    char text[GP_TIME_STRLEN];
    assert_int_equal(gp_time_format_rfc3339(sec, nsec, text), strlen(expected));
    assert_string_equal(text, expected);
}

static void rfc3339_is_written_in_local_time(void **state)
{
    (void)state;
    set_zone("UTC");
    expect_rfc3339(1136214245, 0, "2006-01-02T15:04:05Z");
    expect_rfc3339(-62135596800, 0, "0001-01-01T00:00:00Z");
    expect_rfc3339(GP_TIME_MAX, 0, "9999-12-30T23:59:59Z");
    expect_rfc3339(INT64_MIN, 0, "0000-01-02T00:00:00Z");
    set_zone("America/St_Johns");
    expect_rfc3339(1136214245, 120000000, "2006-01-02T11:34:05.12-03:30");
    set_zone("Europe/Berlin");
    expect_rfc3339(1151748000, 1, "2006-07-01T12:00:00.000000001+02:00");
}

static void rfc3339_is_read_back(void **state)
{
    (void)state;
    int64_t sec = 0;
    int32_t nsec = -1;
    assert_true(gp_time_parse_rfc3339("2006-01-02T15:04:05Z", &sec, &nsec));
    assert_int_equal(sec, 1136214245);
    assert_int_equal(nsec, 0);
    assert_true(gp_time_parse_rfc3339("2006-01-02T11:34:05.1234567891234-03:30", &sec, &nsec));
    assert_int_equal(sec, 1136214245);
    assert_int_equal(nsec, 123456789);
    assert_false(gp_time_parse_rfc3339("2006-01-02 15:04:05", &sec, &nsec));
    assert_false(gp_time_parse_rfc3339("2006-01-02T15:04:05", &sec, &nsec));
    assert_false(gp_time_parse_rfc3339("2006-01-02T15:04:05Zx", &sec, &nsec));
    assert_false(gp_time_parse_rfc3339("", &sec, &nsec));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read_as_v4_does),
        cmocka_unit_test(dates_without_a_zone_are_known),
        cmocka_unit_test(empty_and_overflowing_times_are_refused),
        cmocka_unit_test(durations_are_those_of_go),
        cmocka_unit_test(extreme_durations_format),
        cmocka_unit_test(rfc3339_is_written_in_local_time),
        cmocka_unit_test(rfc3339_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
