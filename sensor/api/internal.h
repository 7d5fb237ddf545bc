/* internal.h - what the handlers of the API share. */
#ifndef GP_API_INTERNAL_H
#define GP_API_INTERNAL_H

#include "proto/http/answer.h"
#include "proto/http/metrics.h"
#include "proto/http/server.h"
#include "sensor/api/api.h"
#include "sensor/api/ratelimit.h"

struct gp_sensor_api {
    gp_sensor_api_config cfg;
    gp_api_config limits; /* pointers in it are not used after the start */
    gp_ratelimit *ratelimit;
    gp_http_metrics *metrics; /* NULL: not served */
    gp_http_server *server;
    char caller[64]; /* "goProbe/<version>", for queries that name no caller */
};

/* query.c */
void gp_api_query(gp_http_request *req, gp_http_response *res, void *api);
void gp_api_query_sse(gp_http_request *req, gp_http_response *res, void *api);
void gp_api_validate_body(gp_http_request *req, gp_http_response *res, void *api);
void gp_api_validate_params(gp_http_request *req, gp_http_response *res, void *api);

/* control.c */
void gp_api_status(gp_http_request *req, gp_http_response *res, void *api);
void gp_api_status_one(gp_http_request *req, gp_http_response *res, void *api);
void gp_api_config_get(gp_http_request *req, gp_http_response *res, void *api);
void gp_api_config_get_one(gp_http_request *req, gp_http_response *res, void *api);
void gp_api_config_put(gp_http_request *req, gp_http_response *res, void *api);
void gp_api_config_reload(gp_http_request *req, gp_http_response *res, void *api);

/* info.c */
void gp_api_health(gp_http_request *req, gp_http_response *res, void *api);
void gp_api_ready(gp_http_request *req, gp_http_response *res, void *api);
void gp_api_info(gp_http_request *req, gp_http_response *res, void *api);
void gp_api_metrics(gp_http_request *req, gp_http_response *res, void *api);

/* "5.0.0-1a2b3c4d", or "5.0.0" where the commit is not known. Into dst. */
void gp_api_version(char *dst, size_t size);

/* An error document with one entry in "errors", as v4 answers failures of its own. */
void gp_api_fail(const gp_http_request *req, gp_http_response *res, int status, const char *detail,
                 const char *message);

#endif
