/* internal.h - what the handlers of the API share. */
#ifndef GP_API_INTERNAL_H
#define GP_API_INTERNAL_H

#include "proto/http/answer.h"
#include "proto/http/metrics.h"
#include "proto/http/server.h"
#include "proto/nanomsg/responder.h"
#include "proto/page/page.h"
#include "proto/service/info_api.h"
#include "proto/service/log_api.h"
#include "proto/service/names_api.h"
#include "proto/service/openapi.h"
#include "proto/service/query_api.h"
#include "proto/service/ratelimit.h"
#include "sensor/api/api.h"

struct gp_sensor_api {
    gp_sensor_api_config cfg;
    gp_api_config limits; /* pointers in it are not used after the start */
    gp_ratelimit *ratelimit;
    gp_auth *auth;            /* NULL: no token is asked for */
    gp_http_metrics *metrics; /* NULL: not served */
    gp_page *page;            /* NULL: not served */
    gp_http_server *server;   /* NULL: none */
    gp_responder *responder;  /* NULL: none */
    gp_query_runner runner;
    gp_service_info info;
    gp_names_service names;
    gp_openapi openapi;
    char caller[64]; /* "goProbe/<version>", for queries that name no caller */
};

/* run.c: fit gp_query_runner with the API as context */
gp_code gp_api_run(void *api, const gp_args *args, const gp_stmt *stmt, const gp_query_hooks *hooks,
                   gp_result *out, gp_problem *problem, gp_error *err);
bool gp_api_admit(void *api);

/* nanomsg.c */
gp_code gp_api_start_nanomsg(gp_sensor_api *a, gp_error *err);
bool gp_api_nanomsg_is_open(const gp_nanomsg_config *cfg); /* other machines reach it; NULL: no */
void gp_api_nanomsg_metrics(const gp_sensor_api *a, gp_buf *out);

/* control.c */
void gp_api_status(gp_http_request *req, gp_http_response *res, void *api);
void gp_api_status_one(gp_http_request *req, gp_http_response *res, void *api);
void gp_api_config_get(gp_http_request *req, gp_http_response *res, void *api);
void gp_api_config_get_one(gp_http_request *req, gp_http_response *res, void *api);
void gp_api_config_put(gp_http_request *req, gp_http_response *res, void *api);
void gp_api_config_reload(gp_http_request *req, gp_http_response *res, void *api);

/* info.c */
void gp_api_metrics(gp_http_request *req, gp_http_response *res, void *api);

/* An error document with one entry in "errors", as v4 answers failures of its own. */
void gp_api_fail(const gp_http_request *req, gp_http_response *res, int status, const char *detail,
                 const char *message);

#endif
