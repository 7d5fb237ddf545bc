/*
 * timeparse.h - the time formats that users may write: RFC 3339, ANSI C, Ruby, RFC 822/1123 with numeric
 * zone, the dotted and dashed dates of goProbe v4, relative times ("-15d04h05m", "-15d:04h:05m", "-30m")
 * and UNIX seconds. Formats without a zone are in local time (TZ).
 */
#ifndef GP_QUERY_TIMEPARSE_H
#define GP_QUERY_TIMEPARSE_H

#include "proto/base/clock.h"
#include "proto/base/error.h"

#include <stdint.h>

/* What "until the end" means: the default of `last`. Equals goProbe v4's largest timestamp. */
#define GP_TIME_MAX (INT64_MAX - INT64_C(62135596800))

/* UNIX seconds of `text`; relative times count back from `now`. */
gp_code gp_time_parse(const char *text, int64_t now, int64_t *out, gp_error *err);
/* UNIX seconds of a date without a zone, which another process may read in another zone. False for all else:
 * relative times, dates with a zone, UNIX seconds, and what is no time. */
bool gp_time_parse_local(const char *text, int64_t *out);

/* RFC 3339 in local time with numeric offset ("Z" for UTC), as Go's encoding of a time with `nsec`
 * nanoseconds: fraction without trailing zeros, none if 0. Times beyond the years 0 to 9999, which RFC 3339
 * cannot express, are written as the nearest that it can. dst holds GP_TIME_STRLEN. Returns the length. */
#define GP_TIME_STRLEN 48
size_t gp_time_format_rfc3339(int64_t sec, int32_t nsec, char *dst);
/* RFC 3339 with optional fraction into seconds and nanoseconds; false if malformed. */
bool gp_time_parse_rfc3339(const char *text, int64_t *sec, int32_t *nsec);

/* Go's duration syntax ("1h30m", "300ms", "1.5s") in nanoseconds; and back ("1h30m0s"). */
gp_code gp_duration_parse(const char *text, int64_t *out_ns, gp_error *err);
size_t gp_duration_format(int64_t ns, char *dst, size_t dst_size);

#endif
