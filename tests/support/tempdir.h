/* tempdir.h - a temporary folder for one test, removed with everything in it. */
#ifndef GP_TESTS_TEMPDIR_H
#define GP_TESTS_TEMPDIR_H

enum { GP_TEMPDIR_LEN = 64 };

/* Makes a new folder and writes its path to dst[GP_TEMPDIR_LEN]; fails the running cmocka test otherwise. */
void gp_tempdir_make(char *dst);
void gp_tempdir_remove(const char *path);

#endif
