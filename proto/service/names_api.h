/*
 * names_api.h - GET /_names: names of addresses by reverse DNS, as this host knows them, for the web page.
 * Additive: v4 has no such route.
 *
 * At most GP_NAMES_MAX addresses a request, GP_NAMES_WAIT_NS for all of them, GP_NAMES_AT_ONCE requests at a
 * time (429 beyond): a resolver that does not answer must not cost the service its threads. What is not
 * answered in time is left out.
 *
 * Thread-safety: handlers run concurrently.
 */
#ifndef GP_SERVICE_NAMES_API_H
#define GP_SERVICE_NAMES_API_H

#include "proto/http/server.h"

#include <stdatomic.h>

enum { GP_NAMES_MAX = 256, GP_NAMES_AT_ONCE = 4 };
#define GP_NAMES_WAIT_NS INT64_C(2000000000)

typedef struct gp_names_service { /* zeroed */
    atomic_uint running;
} gp_names_service;

/* Handler; ctx is the gp_names_service. */
void gp_names_api_get(gp_http_request *req, gp_http_response *res, void *service);

#endif
