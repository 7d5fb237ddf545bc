/*
 * service.h - global-query as a service: loads what its configuration names, listens, answers until told to
 * stop.
 */
#ifndef GP_GLOBAL_QUERY_SERVICE_H
#define GP_GLOBAL_QUERY_SERVICE_H

#include "global-query/config.h"
#include "proto/service/openapi.h"

typedef struct gp_gq_service gp_gq_service;
/* *cfg must outlive the service. */
gp_code gp_gq_start(gp_gq_service **out, const gp_gq_config *cfg, gp_log *log, gp_error *err);
/* The OpenAPI document that the service serves. */
gp_openapi gp_gq_openapi(void);
unsigned gp_gq_port(const gp_gq_service *s); /* 0 for UNIX sockets */
/* Reads the TLS files and tokens again, and opens the logs again; each that fails stays as it was. */
gp_code gp_gq_reload(gp_gq_service *s, gp_error *err);
/* Refuses connections from now on; whether queries still run that began before (see http/server.h). */
void gp_gq_close(gp_gq_service *s);
bool gp_gq_busy(gp_gq_service *s);
/* Ends running queries, whose clients are told, and frees. */
void gp_gq_stop(gp_gq_service *s);

#endif
