/* daycheck.h - what gpdb check says of a database; failing fails the running cmocka test. */
#ifndef GP_TESTS_DAYCHECK_H
#define GP_TESTS_DAYCHECK_H

/* Checks the one day of eth0 in this database: all of its blocks are intact, nothing is damaged, and every
 * note names this file. How many notes there are. */
unsigned gp_test_notes_of_check(const char *db, const char *file);

#endif
