/* Runs the queries of the API on the engine. */
#include "proto/base/clock.h"
#include "sensor/api/internal.h"

/* The engine's hooks, spoken by those of the API. */
typedef struct bridge {
    const gp_query_hooks *api;
} bridge;

static bool canceled(void *ctx)
{
    const bridge *b = ctx;
    return b->api->canceled(b->api->ctx);
}

static void keepalive(void *ctx, const gp_query_stats *so_far)
{
    (void)so_far;
    const bridge *b = ctx;
    b->api->keepalive(b->api->ctx, NULL);
}

gp_code gp_api_run(void *api, const gp_args *args, const gp_stmt *stmt, const gp_query_hooks *hooks,
                   gp_result *out, gp_problem *problem, gp_error *err)
{
    gp_sensor_api *a = api;
    bridge b = {hooks};
    (void)args;
    (void)problem;
    const gp_run_hooks engine = {.canceled = hooks->canceled ? canceled : NULL,
                                 .keepalive = hooks->keepalive ? keepalive : NULL,
                                 .ctx = &b};
    return gp_engine_run(a->cfg.engine, stmt, &engine, out, err);
}

bool gp_api_admit(void *api)
{
    gp_sensor_api *a = api;
    return gp_ratelimit_allow(a->ratelimit, gp_clock_ns());
}
