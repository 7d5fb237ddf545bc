/*
 * pace.h - how long hosts took to answer, so that the slowest are asked first.
 *
 * A question is answered when its last host has answered, and asking many takes time: a host that takes long
 * should not be among the last to hear of it (R. L. Graham, "Bounds on multiprocessing timing anomalies",
 * SIAM J. Appl. Math. 17, 1969: longest processing time first).
 *
 * This is a forecast, from which nothing follows but the order: a table of fixed size, by a hash of the name.
 * Hosts that share a place share a forecast.
 *
 * Thread-safety: all functions may be called from any thread.
 */
#ifndef GP_GLOBAL_QUERY_PACE_H
#define GP_GLOBAL_QUERY_PACE_H

#include "proto/base/error.h"

#include <stdint.h>

typedef struct gp_pace gp_pace;

gp_code gp_pace_new(gp_pace **out, gp_error *err);
void gp_pace_free(gp_pace *p); /* NULL is fine */

/* The host answered after took_ns. */
void gp_pace_answered(gp_pace *p, const char *host, int64_t took_ns);
/* It did not: it must not take the place of those that do, and comes last until it answers again. */
void gp_pace_failed(gp_pace *p, const char *host);

/* Microseconds that its answer is expected to take; 0: not known. */
uint32_t gp_pace_of(const gp_pace *p, const char *host);

#endif
