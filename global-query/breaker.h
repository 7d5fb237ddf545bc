/*
 * breaker.h - hosts that keep failing are left alone for a while (M. Nygard, "Release It!", circuit breaker),
 * so that they cost queries no time. After `failures` in a row a host is not asked for `pause_ns`; then one
 * query may try it, and each further failure doubles the pause, up to GP_BREAKER_MAX_PAUSE_NS.
 *
 * Hosts are known by name; what is known of them outlives changes of the endpoints file.
 * Thread-safety: all functions may be called from any thread.
 */
#ifndef GP_GLOBAL_QUERY_BREAKER_H
#define GP_GLOBAL_QUERY_BREAKER_H

#include "proto/base/buf.h"
#include "proto/base/error.h"

#define GP_BREAKER_MAX_PAUSE_NS INT64_C(120000000000)

typedef struct gp_breaker gp_breaker;

/* failures 0: hosts are always asked. */
gp_code gp_breaker_new(gp_breaker **out, unsigned failures, int64_t pause_ns, gp_error *err);
void gp_breaker_free(gp_breaker *b);

/* Whether the host may be asked now (CLOCK_MONOTONIC, ns); otherwise *err says why not. After a pause one
 * query may try the host. NULL always allows. */
bool gp_breaker_allows(gp_breaker *b, const char *host, int64_t now_ns, gp_error *err);
/* What came of asking it; a host that refused was reached. `why` is shown to those that are not allowed to
 * ask. */
void gp_breaker_report(gp_breaker *b, const char *host, bool reached, const char *why, int64_t now_ns);

/* Metrics: hosts that are left alone, and how often that happened. */
void gp_breaker_metrics(gp_breaker *b, int64_t now_ns, gp_buf *out);

#endif
