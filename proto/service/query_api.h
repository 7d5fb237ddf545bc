/*
 * query_api.h - the query routes that sensor and global-query have in common: GET and POST /_query, POST
 * /_query/sse, GET and POST /_query/validate. What runs a query differs; requests, answers and errors do not.
 *
 * Thread-safety: handlers run concurrently; the runner must allow that.
 */
#ifndef GP_SERVICE_QUERY_API_H
#define GP_SERVICE_QUERY_API_H

#include "proto/http/server.h"
#include "proto/service/query_run.h"

/* Handlers; ctx is the gp_query_runner. */
void gp_query_api_run(gp_http_request *req, gp_http_response *res, void *runner);
void gp_query_api_run_params(gp_http_request *req, gp_http_response *res, void *runner);
void gp_query_api_sse(gp_http_request *req, gp_http_response *res, void *runner);
void gp_query_api_validate_body(gp_http_request *req, gp_http_response *res, void *runner);
void gp_query_api_validate_params(gp_http_request *req, gp_http_response *res, void *runner);

#endif
