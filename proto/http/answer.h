/*
 * answer.h - JSON in and out the way both services of goProbe v4 do it: every answer names its JSON schema,
 * in a "$schema" member and in a Link header, and ends in a line feed; a body must be there and be JSON.
 *
 * Ownership and thread-safety: as server.h.
 */
#ifndef GP_HTTP_ANSWER_H
#define GP_HTTP_ANSWER_H

#include "proto/http/server.h"

typedef struct gp_http_schema { /* static strings */
    const char *path;
    const char *link;
} gp_http_schema;

#define GP_HTTP_SCHEMA(name)                                                                                 \
    {                                                                                                        \
        "/schemas/" name ".json", "</schemas/" name ".json>; rel=\"describedBy\""                            \
    }

/* Answers with the JSON object in *body, which is taken over. An empty body (204) gets the header only. */
void gp_http_answer(const gp_http_request *req, gp_http_response *res, int status,
                    const gp_http_schema *schema, gp_buf *body);
/* Answers with a problem document of schema ErrorModel. */
void gp_http_answer_problem(const gp_http_request *req, gp_http_response *res, const gp_problem *p);

/* The JSON text of the request. Answers itself (and returns false) with 400 when there is no body and with
 * 415 when it says to be something else. */
bool gp_http_json_body(const gp_http_request *req, gp_http_response *res, const char **text, size_t *len);

#endif
