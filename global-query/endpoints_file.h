/* endpoints_file.h - the endpoints file (client/endpoints.h) as one that may change while it is used. */
#ifndef GP_GLOBAL_QUERY_ENDPOINTS_FILE_H
#define GP_GLOBAL_QUERY_ENDPOINTS_FILE_H

#include "client/endpoints.h"
#include "global-query/watched.h"

/* Content: a const gp_endpoints. */
extern const gp_watched_kind gp_endpoints_file;
extern const gp_watched_kind gp_endpoints_file_nanomsg; /* addresses without a scheme are nanomsg's */

#endif
