/* questions.h - statements for tests that ask an engine; failing fails the running cmocka test. */
#ifndef GP_TESTS_QUESTIONS_H
#define GP_TESTS_QUESTIONS_H

#include "proto/query/args.h"

/* The statement of these arguments, asked now, with the defaults of what is not set. Frees the arguments; the
 * caller frees the statement. */
void gp_test_prepare(gp_args *a, gp_stmt *stmt);

#endif
