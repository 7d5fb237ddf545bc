/* program.h - runs a program as a shell does, for tests of what it prints and of its exit status. */
#ifndef GP_TESTS_PROGRAM_H
#define GP_TESTS_PROGRAM_H

#include "proto/base/buf.h"

/* What the last command left; begin with {0}, end with gp_test_ran_free. */
typedef struct gp_test_ran {
    gp_buf out; /* stdout and stderr */
    int exit_code;
} gp_test_ran;

/* Runs a command line of the shell; fails the running cmocka test if it cannot, or if a signal ends it. */
void gp_test_run(gp_test_ran *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Fails the test unless the command ended with exit_code and printed `says`, among other things. */
void gp_test_expect(const gp_test_ran *r, int exit_code, const char *says);
void gp_test_ran_free(gp_test_ran *r);

#endif
