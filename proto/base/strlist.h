/* strlist.h - a malloc'ed array of malloc'ed strings. Not thread-safe. */
#ifndef GP_BASE_STRLIST_H
#define GP_BASE_STRLIST_H

#include "proto/base/error.h"

/* Appends a copy of s; (*list, *n) starts as (NULL, 0). */
gp_code gp_strlist_add(char ***list, size_t *n, const char *s, gp_error *err);
void gp_strlist_free(char **list, size_t n);
/* The last step of a function that fills a list, given how that went: sorts it by byte value, or, on an
 * error, frees it and leaves (NULL, 0). Returns the code it was given. */
gp_code gp_strlist_finish(char ***list, size_t *n, gp_code code);

#endif
