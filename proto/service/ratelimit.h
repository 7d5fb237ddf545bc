/*
 * ratelimit.h - a token bucket: `burst` requests may come at once, and `per_sec` tokens flow back each
 * second. Thread-safe.
 */
#ifndef GP_SERVICE_RATELIMIT_H
#define GP_SERVICE_RATELIMIT_H

#include "proto/base/error.h"

#include <stdint.h>

typedef struct gp_ratelimit gp_ratelimit;

gp_code gp_ratelimit_new(gp_ratelimit **out, double per_sec, int64_t burst, gp_error *err);
void gp_ratelimit_free(gp_ratelimit *l);
/* Takes a token; false if there is none. NULL always allows. now_ns: any monotonic clock. */
bool gp_ratelimit_allow(gp_ratelimit *l, int64_t now_ns);

#endif
