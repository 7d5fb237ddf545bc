#include "proto/query/problem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static gp_problem sample(void)
{
    gp_problem p = GP_PROBLEM_INIT;
    gp_problem_set(&p, 422, "query preparation %s", "failed");
    gp_problem_add(&p, "body.ifaces", "\"a \\\"b\"", "invalid \"%s\"", "name");
    gp_problem_add(&p, "body.dns_resolution.timeout", "-1", "two\nlines");
    gp_problem_add(&p, NULL, NULL, "no place");
    return p;
}

static const char sample_json[] =
    "{\"title\":\"Unprocessable Entity\",\"status\":422,\"detail\":\"query preparation failed\",\"errors\":["
    "{\"message\":\"invalid \\\"name\\\"\",\"location\":\"body.ifaces\",\"value\":\"a \\\"b\"},"
    "{\"message\":\"two\\nlines\",\"location\":\"body.dns_resolution.timeout\",\"value\":-1},"
    "{\"message\":\"no place\"}]}";

static void json_is_written_and_read_back(void **state)
{
    (void)state;
    gp_problem p = sample();
    gp_buf out = GP_BUF_INIT;
    gp_problem_to_json(&p, &out);
    assert_string_equal(out.data, sample_json);
    gp_problem_free(&p);

    gp_problem again;
    assert_true(gp_problem_from_json(out.data, out.len, &again));
    assert_int_equal(again.status, 422);
    assert_int_equal(again.n_errors, 3);
    assert_string_equal(again.errors[0].value, "\"a \\\"b\"");
    assert_null(again.errors[2].location);
    gp_buf_clear(&out);
    gp_problem_to_json(&again, &out);
    assert_string_equal(out.data, sample_json);
    gp_problem_free(&again);
    gp_buf_free(&out);
}

static void other_documents_are_no_problems(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "[]", "{}", "{\"errors\":[]}", "{\"status\":\"422\"}", "nonsense", "{\"title\":1}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        gp_problem p = GP_PROBLEM_INIT;
        if (gp_problem_from_json(texts[i], strlen(texts[i]), &p))
            fail_msg("%s is not a problem document", texts[i]);
    }
    gp_problem p = GP_PROBLEM_INIT;
    const char *odd = "{\"$schema\":\"x\",\"detail\":\"d\",\"errors\":[1,null,{\"value\":{\"a\":[1]}}]}";
    assert_true(gp_problem_from_json(odd, strlen(odd), &p));
    assert_int_equal(p.n_errors, 3);
    assert_string_equal(p.errors[2].value, "{\"a\":[1]}");
    gp_problem_free(&p);
}

static void text_is_underlined(void **state)
{
    (void)state;
    gp_problem p = sample();
    gp_buf out = GP_BUF_INIT;
    gp_problem_to_text(&p, &out);
    assert_string_equal(out.data, "Unprocessable Entity: query preparation failed\n"
                                  "\n"
                                  "ifaces (value: a \"b)\n"
                                  "--------------------\n"
                                  "invalid \"name\"\n"
                                  "\n"
                                  "dns_resolution.timeout (value: -1)\n"
                                  "----------------------------------\n"
                                  "two\nlines\n"
                                  "\n"
                                  "no place");
    gp_buf_clear(&out);
    gp_problem_free(&p);
    gp_problem_set(&p, 599, "odd");
    gp_problem_add(&p, "live", NULL, "m");
    gp_problem_errors_to_text(&p, 4, &out);
    assert_string_equal(out.data, "\n    live\n    ----\n    m");
    gp_buf_clear(&out);
    gp_problem_to_text(&p, &out);
    assert_memory_equal(out.data, "status 599: odd\n", 16);
    gp_problem_free(&p);
    gp_buf_free(&out);
}

static void codes_have_a_status(void **state)
{
    (void)state;
    assert_int_equal(gp_problem_status_of(GP_EINVAL), 400);
    assert_int_equal(gp_problem_status_of(GP_ENOTFOUND), 404);
    assert_int_equal(gp_problem_status_of(GP_ELIMIT), 429);
    assert_int_equal(gp_problem_status_of(GP_ETIMEOUT), 504);
    assert_int_equal(gp_problem_status_of(GP_ENOMEM), 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_written_and_read_back),
        cmocka_unit_test(other_documents_are_no_problems),
        cmocka_unit_test(text_is_underlined),
        cmocka_unit_test(codes_have_a_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
