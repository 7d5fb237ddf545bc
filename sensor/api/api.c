#include "goprobe_openapi.h" /* generated: goprobe_openapi[] */
#include "sensor/api/internal.h"

#include <stdio.h>
#include <stdlib.h>

gp_openapi gp_sensor_openapi(void)
{
    return (gp_openapi){"goprobe", (const char *)goprobe_openapi, sizeof goprobe_openapi - 1};
}

enum { MAX_ROUTES = 32 };

typedef struct routes {
    gp_http_route items[MAX_ROUTES];
    size_t n;
} routes;

static void add(routes *r, const char *method, const char *path, gp_http_handler handler, void *ctx)
{
    r->items[r->n++] = (gp_http_route){method, path, handler, ctx, GP_HTTP_QUERY};
}

static void add_for(routes *r, gp_http_access access, const char *method, const char *path,
                    gp_http_handler handler, void *ctx)
{
    r->items[r->n++] = (gp_http_route){method, path, handler, ctx, access};
}

static void add_all(routes *r, gp_sensor_api *a)
{
    add_for(r, GP_HTTP_OPEN, "GET", "/-/health", gp_info_api_health, &a->info);
    add(r, "GET", "/-/info", gp_info_api_info, &a->info);
    add_for(r, GP_HTTP_OPEN, "GET", "/-/ready", gp_info_api_ready, &a->info);
    if (a->cfg.log) {
        add(r, "GET", "/-/logging", gp_log_api_get, a->cfg.log);
        add_for(r, GP_HTTP_CONTROL, "PUT", "/-/logging", gp_log_api_put, a->cfg.log);
    }
    add(r, "GET", "/_names", gp_names_api_get, &a->names);
    add(r, "POST", "/_query", gp_query_api_run, &a->runner);
    add(r, "GET", "/_query", gp_query_api_run_params, &a->runner);
    add(r, "POST", "/_query/sse", gp_query_api_sse, &a->runner);
    add(r, "POST", "/_query/validate", gp_query_api_validate_body, &a->runner);
    add(r, "GET", "/_query/validate", gp_query_api_validate_params, &a->runner);
    add(r, "GET", "/status", gp_api_status, a);
    add(r, "GET", "/status/{iface}", gp_api_status_one, a);
    add(r, "GET", "/config", gp_api_config_get, a);
    add(r, "GET", "/config/{iface}", gp_api_config_get_one, a);
    add_for(r, GP_HTTP_CONTROL, "PUT", "/config", gp_api_config_put, a);
    add_for(r, GP_HTTP_CONTROL, "POST", "/config/_reload", gp_api_config_reload, a);
    gp_openapi_routes(&a->openapi, &r->items[r->n]);
    r->n += GP_OPENAPI_ROUTES;
    if (a->metrics)
        add(r, "GET", "/metrics", gp_api_metrics, a);
    if (a->page) {
        gp_page_routes(a->page, &r->items[r->n]);
        r->n += GP_PAGE_ROUTES;
    }
}

/*
 * Tokens of the tokens file are always asked for. v4 knows keys, too, but never asks for them; so they count
 * where we would otherwise refuse to listen, and an unchanged v4 sensor behind a UNIX socket goes on as
 * before.
 */
static gp_code make_auth(gp_sensor_api *a, const gp_api_config *cfg, gp_error *err)
{
    bool open = (cfg->addr && gp_http_addr_is_open(cfg->addr)) || gp_api_nanomsg_is_open(a->cfg.nanomsg);
    bool keys = cfg->keys.n && !cfg->allow_without_token && open;
    if (!cfg->tokens && !keys) {
        if (cfg->keys.n)
            gp_log_warn(a->cfg.log,
                        "api.keys is set, but nobody is asked for a key at this address (as in goProbe "
                        "v4): name a tokens file in api.tokens to ask for tokens");
        return GP_OK;
    }
    if (keys && !cfg->tokens)
        gp_log_warn(a->cfg.log,
                    "requests must carry one of api.keys as token, which goProbe v4 did not ask for: "
                    "give it to your clients, or set api.allow_without_token");
    const gp_auth_config auth = {.tokens_file = cfg->tokens,
                                 .keys = (const char *const *)cfg->keys.items,
                                 .n_keys = cfg->keys.n,
                                 .log = a->cfg.log};
    return gp_auth_new(&a->auth, &auth, err);
}

static gp_code prepare(gp_sensor_api *a, gp_error *err)
{
    gp_code rc = make_auth(a, a->cfg.api, err);
    if (rc == GP_OK && a->limits.max_req_per_sec > 0)
        rc = gp_ratelimit_new(&a->ratelimit, a->limits.max_req_per_sec, a->limits.max_burst, err);
    if (rc == GP_OK && a->limits.metrics)
        rc = gp_http_metrics_new(&a->metrics, "goprobe", err);
    if (rc == GP_OK && a->limits.page)
        rc = gp_page_new(&a->page, err);
    char version[48];
    gp_info_version(version, sizeof version);
    snprintf(a->caller, sizeof a->caller, "goProbe/%s", version);
    a->runner = (gp_query_runner){.ctx = a,
                                  .caller = a->caller,
                                  .admit = gp_api_admit,
                                  .run = gp_api_run,
                                  .log = a->cfg.log,
                                  .slow_ns = a->cfg.slow_query_ns,
                                  .limit_ns = a->limits.limits.query_timeout_ns};
    a->info = (gp_service_info){"goprobe"};
    a->openapi = gp_sensor_openapi();
    return rc;
}

static gp_code start_http(gp_sensor_api *a, gp_error *err)
{
    routes r = {.n = 0};
    const gp_api_config *api = &a->limits;
    if (!api->addr)
        return GP_OK;
    add_all(&r, a);
    const gp_limits_config *limits = &api->limits;
    const gp_http_config http = {
        .addr = api->addr,
        .socket = {api->socket_owner, api->socket_group, api->socket_mode},
        .tls = {api->tls.cert, api->tls.key, api->tls.client_ca, api->tls.client_scopes},
        .auth = a->auth,
        .allow_without_token = api->allow_without_token,
        .section = "api",
        .max_connections = (unsigned)limits->max_connections,
        .max_connections_per_client = (unsigned)limits->max_connections_per_client,
        .max_body = (size_t)limits->max_body,
        .max_header = (size_t)limits->max_header,
        .request_timeout_s = (unsigned)((limits->request_timeout_ns + 999999999) / 1000000000),
        .log = a->cfg.log,
        .audit = a->cfg.audit,
        .server_name = "goprobe",
        .observe = a->metrics ? gp_http_metrics_observe : NULL,
        .observe_ctx = a->metrics};
    return gp_http_start(&a->server, &http, r.items, r.n, err);
}

gp_code gp_sensor_api_start(gp_sensor_api **out, const gp_sensor_api_config *cfg, gp_error *err)
{
    *out = NULL;
    gp_sensor_api *a = calloc(1, sizeof *a);
    if (!a)
        return gp_fail(err, GP_ENOMEM, "out of memory for the API");
    a->cfg = *cfg;
    a->limits = *cfg->api;
    gp_code rc = prepare(a, err);
    if (rc == GP_OK)
        rc = gp_api_start_nanomsg(a, err);
    if (rc == GP_OK)
        rc = start_http(a, err);
    if (rc != GP_OK) {
        gp_sensor_api_stop(a);
        return rc;
    }
    *out = a;
    return GP_OK;
}

void gp_sensor_api_stop(gp_sensor_api *a)
{
    if (!a)
        return;
    if (a->server)
        gp_http_stop(a->server);
    gp_responder_stop(a->responder);
    gp_http_metrics_free(a->metrics);
    gp_page_free(a->page);
    gp_ratelimit_free(a->ratelimit);
    gp_auth_free(a->auth);
    free(a);
}

gp_code gp_sensor_api_reload(gp_sensor_api *a, gp_error *err)
{
    return a->server ? gp_http_reload(a->server, err) : GP_OK;
}

unsigned gp_sensor_api_port(const gp_sensor_api *a)
{
    return a->server ? gp_http_port(a->server) : 0;
}
