/*
 * metrics.h - what a service tells Prometheus of its HTTP API and its process, under the names of goProbe v4:
 *   <service>_api_requests_total{code,handler,method,path}
 *   <service>_api_request_duration_seconds{code,method,path}   histogram
 *   <service>_api_request_size_bytes{code,method}              histogram
 *   <service>_api_response_size_bytes{code,method}             histogram
 *   process_*                                                  as every Prometheus client library
 * "path" is the route ("/status/{iface}") and not the URL, and there is no label for the Host header: both
 * would let any client grow the number of series without end.
 *
 * Thread-safety: all functions may be called from any thread. Text format: Prometheus exposition 0.0.4.
 */
#ifndef GP_HTTP_METRICS_H
#define GP_HTTP_METRICS_H

#include "proto/http/server.h"

#define GP_METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

typedef struct gp_http_metrics gp_http_metrics;

gp_code gp_http_metrics_new(gp_http_metrics **out, const char *service, gp_error *err);
void gp_http_metrics_free(gp_http_metrics *m);
/* Fits gp_http_config.observe with the metrics as context. */
void gp_http_metrics_observe(void *metrics, const gp_http_observation *seen);
void gp_http_metrics_write(gp_http_metrics *m, gp_buf *out);
void gp_process_metrics_write(gp_buf *out);

#endif
