/* What the tables for people say of hosts that answered, but not with everything. */
#include "client/report/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void fill(gp_result *r, size_t warned)
{
    gp_result_init(r);
    assert_int_equal(gp_result_reserve_rows(r, 1, NULL), GP_OK);
    r->rows[r->n_rows++] =
        (gp_row){.sip = gp_addr_from_bytes((const uint8_t[]){10, 0, 0, 1}, 4), .c = {5, 6, 7, 8}};
    r->totals = r->rows[0].c;
    r->hits_total = r->hits_displayed = 1;
    for (size_t i = 0; i < warned + 2; i++) {
        char host[32];
        snprintf(host, sizeof host, "host%02zu", i);
        gp_result_set_host(r, host, i == 0 ? GP_STATUS_ERROR : GP_STATUS_OK,
                           i == 1   ? NULL
                           : i == 0 ? "connection refused"
                                    : "2 damaged blocks were skipped",
                           NULL);
    }
}

static void report(size_t warned, void (*as)(const gp_result *r, const gp_report_options *o, gp_buf *out),
                   gp_buf *out)
{
    gp_query_type type;
    gp_result r;
    assert_int_equal(gp_query_type_parse("sip", &type, NULL), GP_OK);
    const gp_report_options opt = {.type = &type, .direction = GP_DIR_SUM, .sort_by = GP_SORT_BYTES};
    fill(&r, warned);
    as(&r, &opt, out);
    assert_false(out->failed);
    gp_result_free(&r);
}

static void warnings_stand_in_the_footer(void **state)
{
    (void)state;
    gp_buf out = GP_BUF_INIT;
    report(2, gp_report_txt, &out);
    assert_non_null(strstr(out.data, "\nWarnings          : host02: 2 damaged blocks were skipped\n"
                                     "                  : host03: 2 damaged blocks were skipped\n\n"));
    assert_null(strstr(out.data, "refused")); /* failures are somebody else's */
    gp_buf_clear(&out);
    report(12, gp_report_txt, &out);
    assert_non_null(strstr(out.data, ": host11: 2 damaged"));
    assert_null(strstr(out.data, "host12"));
    assert_non_null(strstr(out.data, "                  : and 2 more hosts, see the JSON format\n"));
    gp_buf_clear(&out);
    report(0, gp_report_txt, &out);
    assert_null(strstr(out.data, "Warnings"));
    gp_buf_free(&out);
}

/* Names and words of hosts must not steer a terminal, or forge a line; programs get what there is. */
static void control_characters_are_shown(void **state)
{
    (void)state;
    static const char name[] = "\x1b[2J\xc2\x9b"
                               "1\tm\n\x7f\xc3\xbc";
    static const char shown[] = "\\u001b[2J\\u009b1\\u0009m\\u000a\\u007f\xc3\xbc";
    gp_query_type type;
    gp_result r;
    gp_buf out = GP_BUF_INIT;
    assert_int_equal(gp_query_type_parse("hostname,iface,sip", &type, NULL), GP_OK);
    const gp_report_options opt = {.type = &type, .direction = GP_DIR_SUM, .sort_by = GP_SORT_BYTES};
    fill(&r, 0);
    r.rows[0].host = r.rows[0].iface = gp_result_intern(&r, name);
    r.condition = gp_result_intern(&r, name);
    gp_result_set_host(&r, name, GP_STATUS_OK, name, NULL);
    gp_report_txt(&r, &opt, &out);
    for (const char *c = out.data; *c; c++)
        assert_true(*c == '\n' || ((unsigned char)*c >= 0x20 && *c != 0x7f));
    size_t n = 0;
    for (const char *at = out.data; (at = strstr(at, shown)); at++)
        n++;
    assert_int_equal(n, 5); /* host, interface, condition, and the warning's host and words */
    gp_buf_clear(&out);
    gp_report_csv(&r, &opt, &out);
    assert_non_null(strstr(out.data, "\x1b[2J"));
    gp_buf_free(&out);
    gp_result_free(&r);
}

static void csv_has_none(void **state)
{
    (void)state;
    gp_buf out = GP_BUF_INIT;
    report(2, gp_report_csv, &out);
    assert_null(strstr(out.data, "damaged"));
    gp_buf_free(&out);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    tzset();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warnings_stand_in_the_footer),
        cmocka_unit_test(control_characters_are_shown),
        cmocka_unit_test(csv_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
