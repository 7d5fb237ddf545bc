/*
 * strpool.h - one copy of each string, for the labels of result rows. Strings keep their address until
 * the pool is freed, so labels of one pool compare by pointer. Not thread-safe.
 */
#ifndef GP_RESULT_STRPOOL_H
#define GP_RESULT_STRPOOL_H

#include <stddef.h>

typedef struct gp_strpool gp_strpool;

gp_strpool *gp_strpool_new(void); /* NULL when out of memory */
void gp_strpool_free(gp_strpool *p);
const char *gp_strpool_add(gp_strpool *p, const char *s, size_t len); /* NULL when out of memory */

size_t gp_strpool_bytes(const gp_strpool *p);                                /* of text */
const char *gp_strpool_find(const gp_strpool *p, const char *s, size_t len); /* NULL: not there */

#endif
