#include "global-query/service.h"

#include "global-query/endpoints_file.h"
#include "global-query/runner.h"
#include "global-query/token_file.h"
#include "global_query_openapi.h" /* generated: global_query_openapi[] */
#include "proto/base/version.h"
#include "proto/http/answer.h"
#include "proto/http/metrics.h"
#include "proto/page/page.h"
#include "proto/service/info_api.h"
#include "proto/service/log_api.h"
#include "proto/service/names_api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 1024, DEFAULT_CONCURRENT = 256 };

struct gp_gq_service {
    gp_resolvers resolvers;
    gp_runner runner;
    gp_query_runner query;
    gp_service_info info;
    gp_names_service names;
    gp_openapi openapi;
    gp_log *log;
    gp_log *own_audit; /* NULL: audit lines go to the log */
    gp_auth *auth;     /* NULL: no token is asked for */
    gp_http_metrics *metrics;
    gp_page *page; /* NULL: not served */
    gp_http_server *server;
    char caller[64];
    char id[24];
};

static gp_code open_resolvers(gp_gq_service *s, const gp_gq_config *cfg, gp_log *log, gp_error *err)
{
    gp_code rc = GP_OK;
    for (size_t i = 0; i < cfg->n_resolvers && rc == GP_OK; i++)
        rc = gp_resolvers_add(&s->resolvers, cfg->resolvers[i].type, cfg->resolvers[i].config, log, err);
    return rc == GP_OK ? gp_resolvers_add(&s->resolvers, gp_resolver_string.name, NULL, log, err) : rc;
}

gp_openapi gp_gq_openapi(void)
{
    return (gp_openapi){"global-query", (const char *)global_query_openapi, sizeof global_query_openapi - 1};
}

/* What sensors are shown that have nothing of their own in the endpoints file. */
static gp_code prepare_access(gp_gq_service *s, const gp_gq_config *cfg, gp_log *log, gp_error *err)
{
    s->runner.access = (gp_client_access){NULL, cfg->sensor_ca, cfg->sensor_cert, cfg->sensor_key};
    if (!cfg->token_file)
        return GP_OK;
    return gp_watched_open(&s->runner.token_file, &gp_token_file, cfg->token_file, log, err);
}

/* No two aggregators have the same, wherever they run. */
static gp_code make_id(gp_gq_service *s, gp_error *err)
{
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return gp_fail_errno(err, errno, "cannot get random bytes");
    snprintf(s->id, sizeof s->id, "%016llx", (unsigned long long)random);
    s->runner.id = s->id;
    return GP_OK;
}

/* Where resolvers say how hosts are reached, the file may be missing. */
static gp_code open_endpoints(gp_gq_service *s, const gp_gq_config *cfg, gp_log *log, gp_error *err)
{
    static const gp_endpoints none = {0};
    if (cfg->querier_config && *cfg->querier_config)
        return gp_watched_open(&s->runner.endpoints_file,
                               strcmp(cfg->querier_type, "nanomsg") == 0 ? &gp_endpoints_file_nanomsg
                                                                         : &gp_endpoints_file,
                               cfg->querier_config, log, err);
    s->runner.endpoints = &none;
    return GP_OK;
}

static gp_fleet_limits limits_of(const gp_gq_config *cfg)
{
    return (gp_fleet_limits){.max_queries = (size_t)cfg->max_queries,
                             .max_requests = (size_t)cfg->max_requests,
                             .max_concurrent =
                                 cfg->max_concurrent ? (size_t)cfg->max_concurrent : DEFAULT_CONCURRENT,
                             .max_bytes = (size_t)cfg->max_memory_mib << 20,
                             .max_response = (size_t)cfg->max_response_mib << 20,
                             .deadline_ns = cfg->deadline_ns,
                             .retries = (unsigned)cfg->retries};
}

static gp_code prepare(gp_gq_service *s, const gp_gq_config *cfg, gp_log *log, gp_error *err)
{
    gp_code rc = open_resolvers(s, cfg, log, err);
    if (rc == GP_OK)
        rc = open_endpoints(s, cfg, log, err);
    if (rc == GP_OK)
        rc = gp_breaker_new(&s->runner.breaker, (unsigned)cfg->breaker_failures, cfg->breaker_pause_ns, err);
    if (rc == GP_OK)
        rc = gp_pace_new(&s->runner.pace, err);
    if (rc == GP_OK)
        rc = gp_fanout_new(&s->runner.fanout, err);
    if (rc == GP_OK)
        rc = gp_http_metrics_new(&s->metrics, "global_query", err);
    if (rc == GP_OK)
        rc = make_id(s, err);
    if (rc == GP_OK)
        rc = prepare_access(s, cfg, log, err);
    if (rc == GP_OK && cfg->audit_destination)
        rc = gp_log_open(&s->own_audit, cfg->audit_destination, cfg->level, cfg->encoding, err);
    if (rc == GP_OK && cfg->max_req_per_sec > 0)
        rc = gp_ratelimit_new(&s->runner.rate, cfg->max_req_per_sec, cfg->max_burst, err);
    if (rc == GP_OK && cfg->tokens)
        rc = gp_auth_new(&s->auth, &(gp_auth_config){.tokens_file = cfg->tokens, .log = log}, err);
    if (rc == GP_OK && cfg->page)
        rc = gp_page_new(&s->page, err);
    snprintf(s->caller, sizeof s->caller, "global-query/%s", gp_version());
    s->runner.resolvers = &s->resolvers;
    s->runner.limits = limits_of(cfg);
    s->runner.log = log;
    s->log = log;
    s->query = (gp_query_runner){.ctx = &s->runner,
                                 .caller = s->caller,
                                 .admit = gp_runner_admit,
                                 .run = gp_runner_run,
                                 .log = log,
                                 .slow_ns = cfg->slow_query_ns,
                                 .leave = gp_runner_leave};
    s->info = (gp_service_info){.name = "global_query"};
    s->openapi = gp_gq_openapi();
    return rc;
}

static void answer_metrics(gp_http_request *req, gp_http_response *res, void *service)
{
    (void)req;
    gp_gq_service *s = service;
    gp_http_metrics_write(s->metrics, &res->body);
    gp_runner_metrics(&s->runner, &res->body);
    gp_process_metrics_write(&res->body);
    res->status = 200;
    res->content_type = GP_METRICS_CONTENT_TYPE;
}

static gp_code listen_on(gp_gq_service *s, const gp_gq_config *cfg, gp_log *log, gp_error *err)
{
    const gp_http_route own[] = {
        {"GET", "/-/health", gp_info_api_health, &s->info, GP_HTTP_OPEN},
        {"GET", "/-/info", gp_info_api_info, &s->info, GP_HTTP_QUERY},
        {"GET", "/-/ready", gp_info_api_ready, &s->info, GP_HTTP_OPEN},
        {"GET", "/-/logging", gp_log_api_get, log, GP_HTTP_QUERY},
        {"PUT", "/-/logging", gp_log_api_put, log, GP_HTTP_CONTROL},
        {"GET", "/_names", gp_names_api_get, &s->names, GP_HTTP_QUERY},
        {"POST", "/_query", gp_query_api_run, &s->query, GP_HTTP_QUERY},
        {"GET", "/_query", gp_query_api_run_params, &s->query, GP_HTTP_QUERY},
        {"POST", "/_query/sse", gp_query_api_sse, &s->query, GP_HTTP_QUERY},
        {"POST", "/_query/validate", gp_query_api_validate_body, &s->query, GP_HTTP_QUERY},
        {"GET", "/_query/validate", gp_query_api_validate_params, &s->query, GP_HTTP_QUERY},
        {"GET", "/metrics", answer_metrics, s, GP_HTTP_QUERY},
    };
    enum { N_OWN = sizeof own / sizeof own[0] };
    gp_http_route routes[N_OWN + GP_OPENAPI_ROUTES + GP_PAGE_ROUTES];
    size_t n_routes = N_OWN + GP_OPENAPI_ROUTES;
    memcpy(routes, own, sizeof own);
    gp_openapi_routes(&s->openapi, &routes[N_OWN]);
    if (s->page) {
        gp_page_routes(s->page, &routes[n_routes]);
        n_routes += GP_PAGE_ROUTES;
    }
    const gp_http_config http = {
        .addr = cfg->addr,
        .socket = {cfg->socket_owner, cfg->socket_group, cfg->socket_mode},
        .tls = {cfg->tls_cert, cfg->tls_key, cfg->tls_client_ca, cfg->tls_client_scopes},
        .auth = s->auth,
        .allow_without_token = cfg->allow_without_token,
        .section = "server",
        .max_connections_per_client = (unsigned)cfg->max_connections_per_client,
        .max_body = (size_t)cfg->max_body,
        .max_header = (size_t)cfg->max_header,
        .request_timeout_s = (unsigned)((cfg->request_timeout_ns + 999999999) / 1000000000),
        .max_connections = cfg->max_connections ? (unsigned)cfg->max_connections : MAX_CONNECTIONS,
        .log = log,
        .audit = s->own_audit ? s->own_audit : log,
        .server_name = "global-query",
        .cors_origins = (const char *const *)cfg->cors_origins,
        .n_cors_origins = cfg->n_cors_origins,
        .observe = gp_http_metrics_observe,
        .observe_ctx = s->metrics,
    };
    return gp_http_start(&s->server, &http, routes, n_routes, err);
}

gp_code gp_gq_start(gp_gq_service **out, const gp_gq_config *cfg, gp_log *log, gp_error *err)
{
    gp_gq_service *s = calloc(1, sizeof *s);
    if (!s)
        return gp_fail(err, GP_ENOMEM, "out of memory for the service");
    gp_code rc = prepare(s, cfg, log, err);
    if (rc == GP_OK)
        rc = listen_on(s, cfg, log, err);
    if (rc != GP_OK) {
        gp_gq_stop(s);
        return rc;
    }
    gp_log_info(log, "started API server", GP_F_STR("addr", cfg->addr),
                GP_F_U64("max_concurrent", s->runner.limits.max_concurrent));
    *out = s;
    return GP_OK;
}

gp_code gp_gq_reload(gp_gq_service *s, gp_error *err)
{
    gp_code rc = gp_log_reopen(s->log, err);
    gp_code audit = gp_log_reopen(s->own_audit, rc == GP_OK ? err : NULL);
    gp_code doors = gp_http_reload(s->server, rc == GP_OK && audit == GP_OK ? err : NULL);
    return rc != GP_OK ? rc : audit != GP_OK ? audit : doors;
}

unsigned gp_gq_port(const gp_gq_service *s)
{
    return gp_http_port(s->server);
}

void gp_gq_close(gp_gq_service *s)
{
    gp_http_close(s->server);
}

bool gp_gq_busy(gp_gq_service *s)
{
    return gp_http_busy(s->server);
}

void gp_gq_stop(gp_gq_service *s)
{
    if (!s)
        return;
    if (s->server)
        gp_http_stop(s->server);
    gp_http_metrics_free(s->metrics);
    gp_page_free(s->page);
    gp_auth_free(s->auth);
    gp_ratelimit_free(s->runner.rate);
    gp_log_close(s->own_audit);
    gp_fanout_free(s->runner.fanout);
    gp_watched_close(s->runner.endpoints_file);
    gp_watched_close(s->runner.token_file);
    gp_breaker_free(s->runner.breaker);
    gp_pace_free(s->runner.pace);
    gp_resolvers_free(&s->resolvers);
    free(s);
}
