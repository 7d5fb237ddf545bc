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
#include "global-query/resolver.h"
#include "proto/service/query_api.h"
#include "proto/service/ratelimit.h"

enum {
    GP_STREAM_ROWS = 100, /* of a partial result */
    GP_MAX_DEPTH = 8      /* aggregators that a question may come through */
};

typedef struct gp_runner {
    gp_fanout *fanout;
    const gp_resolvers *resolvers;
    const gp_endpoints *endpoints;
    gp_client_access access; /* for hosts that have none of their own */
    const char *id;          /* of this aggregator among all; NULL: none, loops are not noticed */
    size_t max_concurrent;   /* hosts asked at a time */
    size_t max_bytes;        /* memory of a query; 0: no limit */
    int64_t deadline_ns;     /* of a query; 0: none */
    gp_ratelimit *rate;      /* of queries; NULL: no limit */
    gp_log *log;
} gp_runner;

/* Fits gp_query_runner.admit. */
bool gp_runner_admit(void *runner);
/* Fits gp_query_runner.run with a gp_runner as ctx. */
gp_code gp_runner_run(void *runner, const gp_args *args, const gp_stmt *stmt, const gp_query_hooks *hooks,
                      gp_result *out, gp_problem *problem, gp_error *err);

#endif
