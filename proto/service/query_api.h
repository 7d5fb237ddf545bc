/*
 * query_api.h - the query routes that sensor and global-query have in common: POST /_query, POST /_query/sse,
 * GET and POST /_query/validate. What runs a query differs; requests, answers and errors do not.
 *
 * Thread-safety: handlers run concurrently; the runner must allow that.
 */
#ifndef GP_SERVICE_QUERY_API_H
#define GP_SERVICE_QUERY_API_H

#include "proto/http/server.h"
#include "proto/result/result.h"

/* What a running query may call. All from the thread that runs it. */
typedef struct gp_query_hooks {
    bool (*canceled)(void *ctx);                         /* the client is gone */
    void (*keepalive)(void *ctx);                        /* NULL: nobody wants them */
    void (*partial)(void *ctx, const gp_result *so_far); /* NULL: only the final result counts */
    void *ctx;
    const char *request_id; /* by which the query is known in logs, to be passed on */
} gp_query_hooks;

typedef struct gp_query_runner {
    void *ctx;
    const char *caller;       /* who asks, where the client does not say */
    bool (*admit)(void *ctx); /* false: 429; NULL: everybody */
    /* Runs a prepared query. GP_EINVAL with a filled problem is answered as that problem; every other error
     * as 500 with its message. */
    gp_code (*run)(void *ctx, const gp_args *args, const gp_stmt *stmt, const gp_query_hooks *hooks,
                   gp_result *out, gp_problem *problem, gp_error *err);
    gp_log *log;
    int64_t slow_ns; /* queries that take this long are logged; 0: none are */
} gp_query_runner;

/* Handlers; ctx is the gp_query_runner. */
void gp_query_api_run(gp_http_request *req, gp_http_response *res, void *runner);
void gp_query_api_sse(gp_http_request *req, gp_http_response *res, void *runner);
void gp_query_api_validate_body(gp_http_request *req, gp_http_response *res, void *runner);
void gp_query_api_validate_params(gp_http_request *req, gp_http_response *res, void *runner);

#endif
