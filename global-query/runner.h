/*
 * runner.h - one question to the fleet: resolve the hosts, ask them, in rounds where one does not do
 * (topk.h), and put what comes together.
 *
 * A host that fails, is late or sends nonsense is an error status under its name; the answer holds the
 * others, exactly. A host may be another global-query: its hosts appear as if they were asked here.
 *
 * Thread-safety: any number of queries at a time.
 */
#ifndef GP_GLOBAL_QUERY_RUNNER_H
#define GP_GLOBAL_QUERY_RUNNER_H

#include "client/endpoints.h"
#include "client/fanout.h"
#include "global-query/breaker.h"
#include "global-query/pace.h"
#include "global-query/resolver.h"
#include "proto/base/watched.h"
#include "proto/service/query_api.h"
#include "proto/service/ratelimit.h"

#include <stdatomic.h>

enum {
    GP_STREAM_ROWS = 100, /* of a partial result */
    GP_MAX_DEPTH = 8      /* aggregators that a question may come through */
};

/* What one query may take, and all together. 0: no limit, except where it says otherwise. */
typedef struct gp_fleet_limits {
    unsigned threads;      /* of a query; 0: as many as fit the machine */
    size_t max_queries;    /* at a time; more are refused */
    size_t max_requests;   /* to hosts at a time, of all queries: each gets an equal share, at least one */
    size_t max_concurrent; /* to hosts at a time, of one query */
    size_t max_bytes;      /* memory of a query, for its rows and for answers under way each */
    size_t max_response;   /* bytes of one host's answer; 0: 256 MiB */
    int64_t deadline_ns;   /* of a query */
    unsigned retries;      /* of a host that cannot be reached or has no time */
} gp_fleet_limits;

/* Counted for as long as the service runs. */
typedef struct gp_fleet_counts {
    atomic_uint_fast64_t queries, refused, rounds, rows;
    atomic_uint_fast64_t hosts_ok, hosts_failed, hosts_skipped, retries;
    atomic_uint_fast64_t admitted, running; /* now */
} gp_fleet_counts;

typedef struct gp_runner {
    gp_fanout *fanout;
    const gp_resolvers *resolvers;
    const gp_endpoints *endpoints; /* NULL: those of the file */
    gp_watched *endpoints_file;    /* endpoints_file.h */
    gp_breaker *breaker;           /* NULL: none */
    gp_pace *pace;                 /* NULL: hosts are asked in the order in which they are named */
    gp_fleet_limits limits;
    gp_fleet_counts counts;
    gp_client_access access;        /* for hosts that have none of their own; its token comes from: */
    gp_watched *token_file;         /* NULL: there is none */
    const char *id;                 /* of this aggregator among all; NULL: none, loops are not noticed */
    gp_ratelimit *rate;             /* of queries; NULL: no limit */
    atomic_int_fast64_t trimmed_ns; /* internal: when memory was given back last */
    gp_log *log;
} gp_runner;

/* Fit gp_query_runner.admit and leave: no more than max_queries at a time, and no more than `rate` allows. */
bool gp_runner_admit(void *runner);
void gp_runner_leave(void *runner);
void gp_runner_metrics(gp_runner *r, gp_buf *out);

/* Fits gp_query_runner.run with a gp_runner as ctx. */
gp_code gp_runner_run(void *runner, const gp_args *args, const gp_stmt *stmt, const gp_query_hooks *hooks,
                      gp_result *out, gp_problem *problem, gp_error *err);

#endif
