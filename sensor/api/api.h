/*
 * api.h - the HTTP API of the sensor: queries, status and configuration of the captures, health, metrics and
 * the description of it all (OpenAPI). Paths, fields, statuses and error documents are those of goProbe v4.
 *
 * Ownership: engine, manager, monitor and log are the caller's and must outlive the API.
 * Thread-safety: handlers run concurrently; start and stop belong to one thread.
 */
#ifndef GP_API_API_H
#define GP_API_API_H

#include "proto/service/openapi.h"
#include "sensor/capture/manager.h"
#include "sensor/config/config.h"
#include "sensor/config/monitor.h"
#include "sensor/godb/engine.h"

typedef struct gp_sensor_api_config {
    const gp_api_config *api;         /* address (NULL: no HTTP), metrics, limits; read at start only */
    const gp_nanomsg_config *nanomsg; /* endpoints for queries, with the same limits; NULL: none */
    gp_engine *engine;
    gp_capture_manager *manager;
    gp_config_monitor *monitor;
    const struct gp_retention *retention; /* its metrics; NULL: none */
    gp_log *log;
    gp_log *audit;         /* who changed what; NULL: nowhere */
    int64_t slow_query_ns; /* queries that take this long are logged; 0: none are */
} gp_sensor_api_config;

typedef struct gp_sensor_api gp_sensor_api;

/* GP_EBUSY names an address in use, GP_EPERM one that may not be used. */
gp_code gp_sensor_api_start(gp_sensor_api **out, const gp_sensor_api_config *cfg, gp_error *err);
/* Ends running queries (they notice the cancellation), then frees. */
void gp_sensor_api_stop(gp_sensor_api *a);
/* Reads the TLS files and tokens again; a failure leaves the old ones in force. */
gp_code gp_sensor_api_reload(gp_sensor_api *a, gp_error *err);
unsigned gp_sensor_api_port(const gp_sensor_api *a); /* 0 for UNIX sockets, and without HTTP */

/* The OpenAPI document of this API. */
gp_openapi gp_sensor_openapi(void);

#endif
