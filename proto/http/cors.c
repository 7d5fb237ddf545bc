/* Cross-origin requests of browsers (WHATWG Fetch, 3.2). Without configured origins nothing is said, and
 * browsers keep other origins' pages out. */
#include "proto/http/internal.h"

#include <string.h>

/* The request's Origin if it is allowed, otherwise NULL; *any tells that all are. */
static const char *allowed_origin(const gp_http_request *req, bool *any)
{
    const char *origin = gp_http_header(req, "Origin");
    *any = false;
    for (size_t i = 0; origin && i < req->server->n_cors_origins; i++) {
        *any = strcmp(req->server->cors_origins[i], "*") == 0;
        if (*any || strcmp(req->server->cors_origins[i], origin) == 0)
            return origin;
    }
    return NULL;
}

bool gp_http_is_preflight(const gp_http_request *req)
{
    bool any;
    return strcmp(req->method, "OPTIONS") == 0 && allowed_origin(req, &any);
}

void gp_http_cors_headers(const gp_http_request *req, struct MHD_Response *r)
{
    bool any;
    const char *origin = allowed_origin(req, &any);
    if (!origin)
        return;
    MHD_add_response_header(r, "Access-Control-Allow-Origin", any ? "*" : origin);
    if (!any)
        MHD_add_response_header(r, MHD_HTTP_HEADER_VARY, "Origin");
    if (!gp_http_is_preflight(req))
        return;
    MHD_add_response_header(r, "Access-Control-Allow-Methods", "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS");
    MHD_add_response_header(r, "Access-Control-Allow-Headers",
                            "Origin,Content-Length,Content-Type,Authorization");
    MHD_add_response_header(r, "Access-Control-Max-Age", "43200");
}
