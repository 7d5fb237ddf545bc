/*
 * openapi.h - serves the OpenAPI document (spec/openapi/sensor.yaml, compiled in) as YAML and JSON, and its
 * schemas one by one, at the paths where goProbe v4 has them.
 */
#ifndef GP_API_OPENAPI_H
#define GP_API_OPENAPI_H

#include "proto/http/server.h"

void gp_api_openapi_yaml(gp_http_request *req, gp_http_response *res, void *unused);
void gp_api_openapi_json(gp_http_request *req, gp_http_response *res, void *unused);
void gp_api_schema(gp_http_request *req, gp_http_response *res, void *unused); /* /schemas/{schema} */
void gp_api_docs(gp_http_request *req, gp_http_response *res, void *unused);

/* The document itself, for "openapi.spec-outfile". */
const char *gp_openapi_text(size_t *len);
/* The YAML document as JSON; schema == NULL: all of it, otherwise components.schemas.<schema>, whose
 * references then point to /schemas/. GP_ENOTFOUND if there is no such schema. */
gp_code gp_openapi_json(const char *schema, gp_buf *out, gp_error *err);

#endif
