/* log_api.h - GET and PUT /-/logging: the level of the log, changed while the service runs. Handlers; ctx is
 * the gp_log. */
#ifndef GP_SERVICE_LOG_API_H
#define GP_SERVICE_LOG_API_H

#include "proto/http/server.h"

void gp_log_api_get(gp_http_request *req, gp_http_response *res, void *log);
void gp_log_api_put(gp_http_request *req, gp_http_response *res, void *log);

#endif
