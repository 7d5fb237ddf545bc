/* endpoints_file.h - the endpoints file (client/endpoints.h) as one that may change while it is used, and
 * with it the files of tokens that it names. */
#ifndef GP_GLOBAL_QUERY_ENDPOINTS_FILE_H
#define GP_GLOBAL_QUERY_ENDPOINTS_FILE_H

#include "client/endpoints.h"
#include "proto/base/watched.h"

/* Content of the file. Tokens are taken from `tokens`: those in the list are what the files said when it was
 * read. */
typedef struct gp_endpoints_content {
    gp_endpoints list;
    gp_watched **tokens; /* of each of the list's items; NULL: it has no file for that */
} gp_endpoints_content;

extern const gp_watched_kind gp_endpoints_file;
extern const gp_watched_kind gp_endpoints_file_nanomsg; /* addresses without a scheme are nanomsg's */

#endif
