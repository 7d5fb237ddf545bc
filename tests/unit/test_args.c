#include "proto/query/args.h"
#include "proto/query/timeparse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

enum { NOW = 1700000000 };

/* ---- known answers ------------------------------------------------------------------------------------- */

/* The expected message may end in '*'. */
static bool same_message(const char *got, const char *expected)
{
    size_t n = strlen(expected);
    if (n > 0 && expected[n - 1] == '*')
        return strncmp(got, expected, n - 1) == 0;
    return strcmp(got, expected) == 0;
}

/* Compares and removes the messages, so that the rest can be compared as a whole. */
static void take_messages(cJSON *got, cJSON *expected, const char *input)
{
    cJSON *a = cJSON_GetObjectItem(got, "errors");
    cJSON *b = cJSON_GetObjectItem(expected, "errors");
    assert_int_equal(cJSON_GetArraySize(a), cJSON_GetArraySize(b));
    for (int i = 0; i < cJSON_GetArraySize(a); i++) {
        cJSON *x = cJSON_DetachItemFromObject(cJSON_GetArrayItem(a, i), "message");
        cJSON *y = cJSON_DetachItemFromObject(cJSON_GetArrayItem(b, i), "message");
        if (!x || !y || !same_message(x->valuestring, y->valuestring))
            fail_msg("%s: '%s'", input, x ? x->valuestring : "no message");
        cJSON_Delete(x);
        cJSON_Delete(y);
    }
}

static void compare(const gp_problem *problem, const char *expected, const char *input)
{
    gp_buf json = GP_BUF_INIT;
    gp_problem_to_json(problem, &json);
    cJSON *got = cJSON_Parse(json.data);
    cJSON *want = cJSON_Parse(expected);
    assert_non_null(got);
    assert_non_null(want);
    if (cJSON_GetArraySize(cJSON_GetObjectItem(got, "errors")) !=
        cJSON_GetArraySize(cJSON_GetObjectItem(want, "errors")))
        fail_msg("%s: %s", input, json.data);
    take_messages(got, want, input);
    if (!cJSON_Compare(got, want, true))
        fail_msg("%s: %s", input, json.data);
    cJSON_Delete(got);
    cJSON_Delete(want);
    gp_buf_free(&json);
}

static void check(gp_code code, gp_args *args, gp_problem *problem, const char *expected, const char *input)
{
    gp_stmt stmt;
    if (code == GP_OK) {
        code = gp_args_prepare(args, NOW, &stmt, problem);
        gp_stmt_free(&stmt);
    }
    bool want_ok = strcmp(expected, "ok") == 0;
    if ((code == GP_OK) != want_ok)
        fail_msg("%s: %s", input, problem->n_errors ? problem->errors[0].message : "accepted");
    if (!want_ok)
        compare(problem, expected, input);
    gp_args_free(args);
    gp_problem_free(problem);
}

static void check_body(const char *body, const char *expected)
{
    gp_args args;
    gp_problem problem = GP_PROBLEM_INIT;
    check(gp_args_from_json(body, strlen(body), &args, &problem), &args, &problem, expected, body);
}

/* A percent-decoder over "a=b&c=d", as an HTTP server has it. */
typedef struct query_string {
    char *rest;
} query_string;

static int hex(char c)
{
    return c >= 'a' ? c - 'a' + 10 : c >= 'A' ? c - 'A' + 10 : c - '0';
}

static void decode(char *s)
{
    char *to = s;
    for (; *s; s++) {
        if (*s == '%' && s[1] && s[2] && strspn(s + 1, "0123456789abcdefABCDEF") >= 2) {
            *to++ = (char)(hex(s[1]) * 16 + hex(s[2]));
            s += 2;
        } else
            *to++ = *s == '+' ? ' ' : *s;
    }
    *to = '\0';
}

static bool next_param(void *ctx, const char **key, const char **value)
{
    query_string *q = ctx;
    char *pair = strsep(&q->rest, "&");
    if (!pair || !*pair)
        return false;
    *key = strsep(&pair, "=");
    if (pair)
        decode(pair);
    *value = pair;
    return true;
}

static void check_params(const char *text, const char *expected)
{
    if (strstr(text, "%zz"))
        return; /* the server's business */
    char *copy = strdup(text);
    assert_non_null(copy);
    query_string q = {copy};
    gp_args args;
    gp_problem problem = GP_PROBLEM_INIT;
    check(gp_args_from_params(next_param, &q, &args, &problem), &args, &problem, expected, text);
    free(copy);
}

static unsigned for_each_line(const char *name, void (*f)(const char *input, const char *expected))
{
    char path[1024];
    char line[4096];
    unsigned n = 0;
    snprintf(path, sizeof path, "%s/tests/data/query/%s", GP_SOURCE_DIR, name);
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("cannot open %s", path);
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *tab = strchr(line, '\t');
        if (line[0] == '#')
            continue;
        assert_non_null(tab);
        *tab = '\0';
        f(line, tab + 1);
        n++;
    }
    fclose(file);
    return n;
}

static void bodies_are_judged_as_by_v4(void **state)
{
    (void)state;
    assert_true(for_each_line("bodies.tsv", check_body) > 100);
}

static void parameters_are_judged_as_by_v4(void **state)
{
    (void)state;
    assert_true(for_each_line("params.tsv", check_params) > 25);
}

/* ---- bodies -------------------------------------------------------------------------------------------- */

static void broken_bodies_are_refused(void **state)
{
    (void)state;
    check_body("", "{\"title\":\"Bad Request\",\"status\":400,\"detail\":\"request body is required\"}");
    check_body("{\"query\":\"sip\",\"ifaces\":\"eth0\",\"format\":\"csv\",\"condition\":\"a\\u0000b\"}",
               "{\"title\":\"Bad Request\",\"status\":400,\"detail\":\"validation failed\",\"errors\":["
               "{\"message\":\"invalid JSON: NUL*\",\"location\":\"body\",\"value\":\"{\\\"query\\\":"
               "\\\"sip\\\",\\\"ifaces\\\":\\\"eth0\\\",\\\"format\\\":\\\"csv\\\",\\\"condition\\\":"
               "\\\"a\\\\u0000b\\\"}\"}]}");
    check_body("{\"query\":\"sip\",\"ifaces\":\"eth0\",\"format\":\"csv\",\"caller\":\"a\\\\u0000b\"}", "ok");
    gp_args args;
    gp_problem problem = GP_PROBLEM_INIT;
    assert_int_equal(gp_args_from_json("{}\0", 3, &args, &problem), GP_EINVAL);
    assert_int_equal(problem.status, 400);
    gp_problem_free(&problem);
}

static void large_numbers_are_kept_or_refused(void **state)
{
    (void)state;
    gp_args args;
    gp_problem problem = GP_PROBLEM_INIT;
    const char *body = "{\"query\":\"sip\",\"ifaces\":\"eth0\",\"num_results\":18446744073709551615,"
                       "\"host_id\":9007199254740991,\"keepalive\":1e9}";
    assert_int_equal(gp_args_from_json(body, strlen(body), &args, &problem), GP_OK);
    assert_true(args.num_results == UINT64_MAX);
    assert_true(args.host_id == UINT64_C(9007199254740991));
    assert_true(args.keepalive_ns == 1000000000);
    gp_args_free(&args);
    body = "{\"query\":\"sip\",\"ifaces\":\"eth0\",\"num_results\":1e300,\"host_id\":9007199254740993,"
           "\"keepalive\":1e19,\"max_mem_pct\":1e999}";
    assert_int_equal(gp_args_from_json(body, strlen(body), &args, &problem), GP_EINVAL);
    assert_int_equal(problem.n_errors, 4);
    gp_problem_free(&problem);
}

static void unknown_members_do_not_multiply(void **state)
{
    (void)state;
    gp_buf body = GP_BUF_INIT;
    gp_buf_puts(&body, "{\"query\":\"sip\",\"ifaces\":\"eth0\"");
    for (int i = 0; i < 20000; i++)
        gp_buf_printf(&body, ",\"x%d\":1", i);
    gp_buf_puts(&body, "}");
    gp_args args;
    gp_problem problem = GP_PROBLEM_INIT;
    gp_buf json = GP_BUF_INIT;
    assert_int_equal(gp_args_from_json(body.data, body.len, &args, &problem), GP_EINVAL);
    gp_problem_to_json(&problem, &json);
    assert_true(problem.n_errors > 1 && json.len < 100000);
    assert_string_equal(problem.errors[0].location, "body.x0");
    gp_buf_free(&json);
    gp_buf_free(&body);
    gp_problem_free(&problem);
}

static void several_unknown_members_are_named(void **state)
{
    (void)state;
    check_body(
        "{\"query\":\"sip\",\"ifaces\":\"eth0\",\"zzz\":1,\"num_results\":0,\"aaa\":2}",
        "{\"title\":\"Unprocessable Entity\",\"status\":422,\"detail\":\"validation failed\",\"errors\":["
        "{\"message\":\"expected number >= 1\",\"location\":\"body.num_results\",\"value\":0},"
        "{\"message\":\"unexpected property\",\"location\":\"body.zzz\",\"value\":{\"query\":\"sip\","
        "\"ifaces\":\"eth0\",\"zzz\":1,\"num_results\":0,\"aaa\":2}},"
        "{\"message\":\"unexpected property\",\"location\":\"body.aaa\",\"value\":{\"query\":\"sip\","
        "\"ifaces\":\"eth0\",\"zzz\":1,\"num_results\":0,\"aaa\":2}}]}");
}

static void everything_survives_json(void **state)
{
    (void)state;
    const char *body =
        "{\"query\":\"sip,\\\"dip\",\"ifaces\":\"eth0\",\"query_hosts\":\"a,b\",\"query_hosts_resolver_"
        "type\":"
        "\"string\",\"hostname\":\"h\",\"host_id\":7,\"condition\":\"dport = 80\",\"in\":true,\"out\":true,"
        "\"sum\":true,\"first\":\"-1d\",\"last\":\"-1h\",\"time_resolution\":\"auto\",\"format\":\"txt\","
        "\"sort_by\":\"packets\",\"num_results\":5,\"sort_ascending\":true,\"list\":true,\"version\":true,"
        "\"dns_resolution\":{\"enabled\":true,\"timeout\":9,\"max_rows\":3},\"max_mem_pct\":50,\"low_mem\":"
        "true,"
        "\"keepalive\":1,\"caller\":\"c\",\"live\":true}";
    gp_args args;
    gp_args copy;
    gp_problem problem = GP_PROBLEM_INIT;
    gp_buf json = GP_BUF_INIT;
    assert_int_equal(gp_args_from_json(body, strlen(body), &args, &problem), GP_OK);
    assert_int_equal(gp_args_copy(&args, &copy, NULL), GP_OK);
    assert_ptr_not_equal(args.caller, copy.caller);
    gp_args_free(&args);
    gp_args_to_json(&copy, &json);
    assert_string_equal(json.data, body);
    gp_args_free(&copy);
    gp_buf_clear(&json);
    gp_args_to_json(&copy, &json);
    assert_string_equal(json.data, "{\"query\":\"\",\"ifaces\":\"\",\"dns_resolution\":{\"enabled\":false}}");
    gp_buf_free(&json);
}

/* ---- defaults and preparation -------------------------------------------------------------------------- */

static gp_args sample(const char *query, const char *ifaces)
{
    gp_args a;
    gp_args_init(&a);
    assert_int_equal(gp_args_set(&a.query, query, NULL), GP_OK);
    assert_int_equal(gp_args_set(&a.ifaces, ifaces, NULL), GP_OK);
    assert_int_equal(gp_args_set(&a.format, "json", NULL), GP_OK);
    assert_int_equal(gp_args_set_defaults(&a, NOW, NULL), GP_OK);
    return a;
}

static gp_stmt must_prepare(gp_args *a)
{
    gp_stmt s;
    gp_problem problem = GP_PROBLEM_INIT;
    if (gp_args_prepare(a, NOW, &s, &problem) != GP_OK)
        fail_msg("%s: %s", problem.errors[0].location, problem.errors[0].message);
    gp_args_free(a);
    return s;
}

static void defaults_fill_what_is_unset(void **state)
{
    (void)state;
    assert_int_equal(setenv("TZ", "UTC", 1), 0);
    tzset();
    gp_args a = sample("sip", "eth0");
    assert_string_equal(a.first, "Sat Oct 14 22:13:20 2023");
    assert_string_equal(a.last, "9223371974719179007");
    assert_string_equal(a.sort_by, "bytes");
    assert_int_equal(a.num_results, 1000);
    assert_int_equal(a.max_mem_pct, 60);
    assert_int_equal(a.dns.max_rows, 25);
    assert_true(a.dns.timeout_ns == GP_NS_PER_SEC);
    gp_stmt s = must_prepare(&a);
    assert_true(s.first == 1697321600);
    assert_true(s.last == GP_TIME_MAX);
    assert_int_equal(s.direction, GP_DIR_BOTH);
    assert_int_equal(s.sort_by, GP_SORT_BYTES);
    assert_false(s.sort_ascending);
    assert_int_equal(s.bin_size, GP_DB_WRITE_INTERVAL);
    assert_null(s.cond);
    assert_string_equal(s.ifaces, "eth0");
    assert_int_equal(s.type.label_mask, 0);
    gp_stmt_free(&s);

    a = sample("sip", "eth0");
    gp_args b = {.first = NULL};
    /* 2023-03-31 minus a month is what the calendar makes of February 31. */
    assert_int_equal(gp_args_set_defaults(&b, 1680220800, NULL), GP_OK);
    assert_string_equal(b.first, "Fri Mar  3 00:00:00 2023");
    gp_args_free(&a);
    gp_args_free(&b);
}

/* Who asks others says which hours are meant, for their zone may be another. */
static void local_times_become_seconds(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {{"2024-01-01 10:00", "1704121200"},
                 {"Mon Jan  1 10:00:00 2024", "1704121200"},
                 {"1.1.1969 10:00", "1969-01-01T10:00:00-05:00"},
                 {"2024-01-01 10:00 +0100", "2024-01-01 10:00 +0100"},
                 {"-1d", "-1d"},
                 {"1704121200", "1704121200"},
                 {"tomorrow", "tomorrow"}};
    assert_int_equal(setenv("TZ", "America/New_York", 1), 0);
    tzset();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gp_args a;
        gp_args_init(&a);
        assert_int_equal(gp_args_set(&a.last, cases[i].text, NULL), GP_OK);
        assert_int_equal(gp_args_resolve_local_times(&a, NULL), GP_OK);
        assert_null(a.first);
        assert_string_equal(a.last, cases[i].expected);
        gp_args_free(&a);
    }
    assert_int_equal(setenv("TZ", "UTC", 1), 0);
    tzset();
}

static void interfaces_become_a_label_if_several(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        const char *ifaces;
        bool label;
    } cases[] = {
        {"sip", "eth0", false},   {"sip", "eth0,eth1", true},  {"sip", "any", true},
        {"sip", "ANY", true},     {"sip", "company0", false},  {"sip", "/eth./", true},
        {"sip", "any,!lo", true}, {"sip,iface", "eth0", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gp_args a = sample(cases[i].query, cases[i].ifaces);
        gp_stmt s = must_prepare(&a);
        if (((s.type.label_mask & GP_LABEL_IFACE) != 0) != cases[i].label)
            fail_msg("%s %s", cases[i].query, cases[i].ifaces);
        gp_stmt_free(&s);
    }
}

static void series_are_sorted_and_binned(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        const char *resolution;
        int64_t bin;
    } cases[] = {
        {"sip,time", "", 300},     {"sip,time", "5m", 300},   {"sip,time", "1h", 3600},
        {"sip,time", "600s", 600}, {"sip,time", "auto", 900}, {"sip", "bogus", 300},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gp_args a = sample(cases[i].query, "eth0");
        a.num_results = 7;
        assert_int_equal(gp_args_set(&a.time_resolution, cases[i].resolution, NULL), GP_OK);
        assert_int_equal(gp_args_set(&a.first, "-3d", NULL), GP_OK);
        assert_int_equal(gp_args_set(&a.last, "-1d", NULL), GP_OK);
        if (i == 4)
            assert_int_equal(gp_args_set(&a.last, "-23h", NULL), GP_OK);
        gp_stmt s = must_prepare(&a);
        bool series = strstr(cases[i].query, "time") != NULL;
        assert_int_equal(s.bin_size, cases[i].bin);
        assert_int_equal(s.sort_by, series ? GP_SORT_TIME : GP_SORT_BYTES);
        assert_int_equal(s.sort_ascending, series);
        assert_int_equal(s.num_results, 7);
        assert_true(s.first == NOW - 3 * 86400);
        gp_stmt_free(&s);
    }
}

static void automatic_bins_are_at_most_288(void **state)
{
    (void)state;
    assert_int_equal(gp_time_bin_auto(-5), 300);
    assert_int_equal(gp_time_bin_auto(0), 300);
    assert_int_equal(gp_time_bin_auto(1), 300);
    assert_int_equal(gp_time_bin_auto(86400), 300);
    assert_int_equal(gp_time_bin_auto(86401), 600);
    assert_int_equal(gp_time_bin_auto(INT64_C(30) * 86400), 9000);
    assert_int_equal(gp_time_bin_auto(INT64_MAX), 32025600);
}

static void options_reach_the_statement(void **state)
{
    (void)state;
    gp_args a = sample("talk_conv", "eth0");
    a.in = true;
    a.sort_ascending = true;
    a.live = true;
    a.low_mem = true;
    a.keepalive_ns = 5;
    a.dns.enabled = true;
    assert_int_equal(gp_args_set(&a.condition, "dport eq 80", NULL), GP_OK);
    assert_int_equal(gp_args_set(&a.caller, "me", NULL), GP_OK);
    assert_int_equal(gp_args_set(&a.sort_by, "packets", NULL), GP_OK);
    gp_stmt s = must_prepare(&a);
    assert_int_equal(s.direction, GP_DIR_IN);
    assert_int_equal(s.sort_by, GP_SORT_PACKETS);
    assert_true(s.sort_ascending && s.live && s.low_mem && s.dns.enabled);
    assert_int_equal(s.dns.max_rows, 25);
    assert_int_equal(s.keepalive_ns, 5);
    assert_int_equal(s.max_mem_pct, 60);
    assert_int_equal(s.format, GP_FORMAT_JSON);
    assert_string_equal(s.query_text, "talk_conv");
    assert_string_equal(s.caller, "me");
    assert_string_equal(gp_cond_string(s.cond), "dport = 80");
    gp_stmt_free(&s);
    static const struct {
        bool in, out, sum;
        gp_direction direction;
    } directions[] = {{true, true, false, GP_DIR_BOTH},
                      {false, true, false, GP_DIR_OUT},
                      {false, false, true, GP_DIR_SUM},
                      {true, false, true, GP_DIR_SUM}};
    for (size_t i = 0; i < 4; i++) {
        a = sample("sip", "eth0");
        a.in = directions[i].in;
        a.out = directions[i].out;
        a.sum = directions[i].sum;
        s = must_prepare(&a);
        assert_int_equal(s.direction, directions[i].direction);
        gp_stmt_free(&s);
    }
    assert_string_equal(gp_direction_name(GP_DIR_BOTH), "bi-directional");
    assert_string_equal(gp_sort_name(GP_SORT_TIME), "time");
}

static void all_errors_are_collected(void **state)
{
    (void)state;
    static const char *const locations[] = {"body.query",
                                            "body.format",
                                            "body.sort_by",
                                            "body.ifaces",
                                            "body.first",
                                            "body.last",
                                            "body.dns_resolution.timeout",
                                            "body.dns_resolution.max_rows",
                                            "body.condition",
                                            "body.max_mem_pct",
                                            "body.keepalive",
                                            "body.num_results",
                                            "live"};
    gp_args a = {.live = true, .keepalive_ns = -1, .max_mem_pct = 101, .dns = {true, -1, -1}};
    assert_int_equal(gp_args_set(&a.query, "x", NULL), GP_OK);
    assert_int_equal(gp_args_set(&a.format, "exe", NULL), GP_OK);
    assert_int_equal(gp_args_set(&a.sort_by, "biscuits", NULL), GP_OK);
    assert_int_equal(gp_args_set(&a.ifaces, "a b", NULL), GP_OK);
    assert_int_equal(gp_args_set(&a.first, "2000:", NULL), GP_OK);
    assert_int_equal(gp_args_set(&a.last, "x", NULL), GP_OK);
    assert_int_equal(gp_args_set(&a.condition, "DPORT eq", NULL), GP_OK);
    gp_stmt s;
    gp_problem p = GP_PROBLEM_INIT;
    assert_int_equal(gp_args_prepare(&a, NOW, &s, &p), GP_EINVAL);
    assert_null(s.query_text);
    assert_int_equal(p.status, 422);
    assert_int_equal(p.n_errors, sizeof locations / sizeof locations[0]);
    for (size_t i = 0; i < p.n_errors; i++)
        assert_string_equal(p.errors[i].location, locations[i]);
    assert_string_equal(p.errors[8].value, "\"dport=\"");
    assert_string_equal(p.errors[2].message, "unknown sort order: [bytes packets time]");
    gp_problem_free(&p);
    gp_args_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_are_judged_as_by_v4),
        cmocka_unit_test(parameters_are_judged_as_by_v4),
        cmocka_unit_test(broken_bodies_are_refused),
        cmocka_unit_test(large_numbers_are_kept_or_refused),
        cmocka_unit_test(unknown_members_do_not_multiply),
        cmocka_unit_test(several_unknown_members_are_named),
        cmocka_unit_test(everything_survives_json),
        cmocka_unit_test(defaults_fill_what_is_unset),
        cmocka_unit_test(local_times_become_seconds),
        cmocka_unit_test(interfaces_become_a_label_if_several),
        cmocka_unit_test(series_are_sorted_and_binned),
        cmocka_unit_test(automatic_bins_are_at_most_288),
        cmocka_unit_test(options_reach_the_statement),
        cmocka_unit_test(all_errors_are_collected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
