#include "tests/support/questions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

void gp_test_prepare(gp_args *a, gp_stmt *stmt)
{
    gp_problem problem = GP_PROBLEM_INIT;
    assert_int_equal(gp_args_set_defaults(a, time(NULL), NULL), GP_OK);
    if (gp_args_prepare(a, time(NULL), stmt, &problem) != GP_OK)
        fail_msg("%s: %s", a->query, problem.n_errors ? problem.errors[0].message : problem.detail);
    gp_problem_free(&problem);
    gp_args_free(a);
}
