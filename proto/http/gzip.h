/*
 * gzip.h - gzip (RFC 1952) of answers, for clients that accept it (RFC 9110, 12.5.3). Stateless.
 */
#ifndef GP_HTTP_GZIP_H
#define GP_HTTP_GZIP_H

#include "proto/base/buf.h"

bool gp_http_accepts_gzip(const char *accept_encoding); /* NULL: no such header */

/* GP_GZIP_FAST is for what is made once and sent once, GP_GZIP_SMALL for what is sent often. */
typedef enum gp_gzip_effort { GP_GZIP_FAST = 1, GP_GZIP_SMALL = 9 } gp_gzip_effort;
/* False (no memory, or it would not get smaller): keep the original; *out is then to be freed, not used. */
bool gp_http_gzip(const gp_buf *in, gp_gzip_effort effort, gp_buf *out);

#endif
