/* info_api.h - what a service says of itself: GET /-/health, /-/ready, /-/info. Handlers; ctx is a
 * gp_service_info. */
#ifndef GP_SERVICE_INFO_API_H
#define GP_SERVICE_INFO_API_H

#include "proto/http/server.h"

typedef struct gp_service_info {
    const char *name; /* "goprobe", "global_query" */
} gp_service_info;

void gp_info_api_health(gp_http_request *req, gp_http_response *res, void *info);
void gp_info_api_ready(gp_http_request *req, gp_http_response *res, void *info);
void gp_info_api_info(gp_http_request *req, gp_http_response *res, void *info);

/* "5.0.0-1a2b3c4d", or "5.0.0" where the commit is not known. Into dst. */
void gp_info_version(char *dst, size_t size);

#endif
