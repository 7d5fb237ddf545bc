/*
 * fanout_lane.h - the hosts of a query that one thread asks, all through one loop (exchange.h). Internal to
 * fanout.c, which makes one lane or several.
 *
 * A lane belongs to one thread at a time, which may hand it on to another; lanes of a query share a
 * gp_fanout_run.
 */
#ifndef GP_CLIENT_FANOUT_LANE_H
#define GP_CLIENT_FANOUT_LANE_H

#include "client/exchange.h"
#include "client/fanout.h"
#include "client/gather.h"

#include <stdatomic.h>

/* A query as it is sent. */
typedef struct gp_question {
    gp_buf args;
    gp_buf v4_args, v4_params; /* where a service of v4 may listen */
} gp_question;

/* A query under way. */
typedef struct gp_fanout_run {
    const gp_fanout_options *opt;
    gp_question question;
    size_t n_hosts, n_lanes;
    int64_t deadline;    /* CLOCK_MONOTONIC, ns; 0: none */
    gp_gather *gather;   /* is told of each host once, and says when to end early */
    atomic_size_t asked; /* hosts, right now */
    gp_in_flight in_flight;
} gp_fanout_run;

gp_code gp_fanout_run_begin(gp_fanout_run *r, const gp_args *args, gp_error *err);
void gp_fanout_run_end(gp_fanout_run *r);

typedef struct gp_lane gp_lane;
/* The loop is the caller's. */
gp_code gp_lane_new(gp_lane **out, gp_fanout_run *run, gp_loop *loop, gp_error *err);
void gp_lane_free(gp_lane *l);
gp_code gp_lane_add(gp_lane *l, const gp_fanout_host *host, gp_error *err);
/* Asks some of its hosts, in the order in which they were added, and tells of one that has its outcome,
 * without waiting. No progress: there is nothing to be done before something comes, or gp_lane_poll_ms have
 * passed. */
gp_code gp_lane_step(gp_lane *l, bool *progress, gp_error *err);
int gp_lane_poll_ms(const gp_lane *l);
bool gp_lane_is_over(const gp_lane *l); /* each host was told of */
uint64_t gp_lane_retried(const gp_lane *l);

#endif
