/* files.h - whole files of a few bytes; failing fails the running cmocka test. */
#ifndef GP_TESTS_FILES_H
#define GP_TESTS_FILES_H

#include <stddef.h>
#include <stdint.h>

/* Up to `room` bytes of the file; how many there are. */
size_t gp_test_read(const char *path, uint8_t *dst, size_t room);
/* The same as a string; room for the zero is part of `room`. */
void gp_test_read_text(const char *path, char *dst, size_t room);
/* Makes the file, or replaces what is in it. */
void gp_test_write(const char *path, const uint8_t *data, size_t len);

#endif
