/*
 * query_run.h - one query as a service answers it, whatever carries it (HTTP, nanomsg): defaults, validation,
 * the run itself, and what is said of a failure.
 *
 * Thread-safety: any number of queries at a time; the runner must allow that.
 */
#ifndef GP_SERVICE_QUERY_RUN_H
#define GP_SERVICE_QUERY_RUN_H

#include "proto/base/log.h"
#include "proto/query/args.h"
#include "proto/query/problem.h"
#include "proto/result/result.h"

/* What a running query may call: one at a time, from any of its threads. */
typedef struct gp_query_hooks {
    bool (*canceled)(void *ctx); /* the client is gone */
    /* progress may be NULL. keepalive NULL: nobody wants them */
    void (*keepalive)(void *ctx, const gp_progress *progress);
    void (*partial)(void *ctx, const gp_result *so_far); /* NULL: only the final result counts */
    void *ctx;
    /* For logs, "" or NULL where not known: */
    const char *request_id; /* by which the query is known in logs, to be passed on */
    const char *from;       /* address of the client */
    const char *who;        /* name of its token */
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
    int64_t slow_ns;          /* queries that take this long are logged; 0: none are */
    int64_t limit_ns;         /* queries that take longer are given up, with 503; 0: no limit */
    void (*leave)(void *ctx); /* after each query that was admitted; NULL: nobody counts */
} gp_query_runner;

/* Prepares and runs. On failure *p is filled if there is a problem document to answer with, otherwise *err
 * says what happened. */
gp_code gp_query_run(const gp_query_runner *r, gp_args *args, const gp_query_hooks *hooks, gp_result *out,
                     gp_problem *p, gp_error *err);

/* The problem document of a failure that has none of its own: 500 with its message. */
void gp_query_failed(gp_problem *p, const char *message);

#endif
