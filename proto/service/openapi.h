/*
 * openapi.h - serves the OpenAPI document of a service (spec/openapi/<service>.yaml, compiled in by
 * gp_openapi_document() in cmake/Functions.cmake) as YAML and JSON, and its schemas one by one, at the paths
 * where goProbe v4 has them. Stateless; handlers take the gp_openapi as ctx.
 */
#ifndef GP_SERVICE_OPENAPI_H
#define GP_SERVICE_OPENAPI_H

#include "proto/http/server.h"

typedef struct gp_openapi {
    const char *service; /* for the title of /docs */
    const char *text;    /* the YAML document */
    size_t len;
} gp_openapi;

void gp_openapi_api_yaml(gp_http_request *req, gp_http_response *res, void *doc);
void gp_openapi_api_json(gp_http_request *req, gp_http_response *res, void *doc);
void gp_openapi_api_schema(gp_http_request *req, gp_http_response *res, void *doc); /* /schemas/{schema} */
void gp_openapi_api_docs(gp_http_request *req, gp_http_response *res, void *doc);

/* The routes of all of these: writes GP_OPENAPI_ROUTES entries. */
enum { GP_OPENAPI_ROUTES = 6 };
void gp_openapi_routes(const gp_openapi *doc, gp_http_route *routes);

/* The YAML document as JSON; schema == NULL: all of it, otherwise components.schemas.<schema>, whose
 * references then point to /schemas/. GP_ENOTFOUND if there is no such schema. */
gp_code gp_openapi_json(const gp_openapi *doc, const char *schema, gp_buf *out, gp_error *err);

/* For "openapi.spec-outfile": the YAML document into a file. */
gp_code gp_openapi_write(const gp_openapi *doc, const char *path, gp_error *err);

#endif
